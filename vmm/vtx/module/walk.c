// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The guest's page tables by the rules of its CPU model (SDM 3A chapter 4), and from its RIP to the bytes there, for
 * stepping to know what it is about to step: there rights aren't looked at and no flag is set, since where the guest's
 * fetch faults, it faults by itself. The page of the last instruction is remembered until something that could change it
 * has run.
 */
#include <linux/bits.h>
#include <linux/mm.h>

#include <asm/processor-flags.h>
#include <asm/msr-index.h>

#include "shadow.h"

#define ADDRESS GENMASK_ULL(GUEST_PHYS_BITS - 1, 12)

static const u8 *guest_page(struct vcpu *v, u64 gpa)
{
	struct page *page = machine_page(v->machine, gpa);

	return page ? page_address(page) : NULL;
}

static enum guest_entry decode_32(const struct vmdbg_regs *r, u64 e, unsigned int level, u64 *address)
{
	if (level == 2 && (e & PTE_PS) && (r->cr4 & X86_CR4_PSE)) {
		/* PSE-36: bits 20:13 are bits 39:32 of the address, bit 21 is reserved. */
		*address = (e & 0xffc00000) | (e & 0x1fe000) << 19;
		return e & BIT(21) ? ENTRY_RESERVED : ENTRY_PAGE;
	}
	*address = e & 0xfffff000;
	return level == 1 ? ENTRY_PAGE : ENTRY_TABLE;
}

static enum guest_entry decode_64(const struct vmdbg_regs *r, u64 e, unsigned int level, u64 *address)
{
	unsigned int shift = PAGE_SHIFT + 9 * (level - 1);
	u64 reserved = GENMASK_ULL(51, GUEST_PHYS_BITS);
	bool page = level == 1 || ((e & PTE_PS) && level < 4);

	if (!(r->efer & EFER_LMA))
		reserved |= GENMASK_ULL(62, 52);
	if (!(r->efer & EFER_NX))
		reserved |= PTE_NX;
	if (level == 4)
		reserved |= PTE_PS;
	/* Bit 12 of an entry for a large page is PAT. */
	if (page && level > 1)
		reserved |= GENMASK_ULL(shift - 1, 13);
	if (e & reserved)
		return ENTRY_RESERVED;
	*address = e & ADDRESS;
	if (page)
		*address &= ~(BIT_ULL(shift) - 1);
	return page ? ENTRY_PAGE : ENTRY_TABLE;
}

enum guest_entry guest_entry_decode(const struct vmdbg_regs *r, u64 e, unsigned int level, u64 *address, u32 *rights)
{
	if (!(e & PTE_P))
		return ENTRY_ABSENT;
	*rights = (e & PTE_W ? RIGHT_W : 0) | (e & PTE_U ? RIGHT_U : 0) | (e & PTE_NX ? 0 : RIGHT_X);
	return r->cr4 & X86_CR4_PAE ? decode_64(r, e, level, address) : decode_32(r, e, level, address);
}

/* Where there is no RAM, all ones are read. False: the page is RAM, but not pinned. */
static bool read_entry(struct vcpu *v, u64 gpa, unsigned int size, u64 *entry)
{
	const u8 *page = guest_page(v, gpa);

	if (page) {
		page += gpa & ~PAGE_MASK;
		*entry = size == 8 ? READ_ONCE(*(const u64 *)page) : READ_ONCE(*(const u32 *)page);
		return true;
	}
	*entry = size == 8 ? ~0ull : ~0u;
	v->need_gpa = gpa;
	return !machine_is_ram(v->machine, gpa);
}

static enum guest_walked walk_from(struct vcpu *v, u64 la, u64 table, unsigned int level, struct guest_walk *w)
{
	unsigned int bits = w->size == 8 ? 9 : 10;
	enum guest_entry kind;
	u64 address, e;
	u32 rights;

	w->nr = 0;
	w->rights = RIGHT_ALL;
	for (;; level--) {
		unsigned int shift = PAGE_SHIFT + bits * (level - 1);
		u64 gpa = (table + (la >> shift & (BIT(bits) - 1)) * w->size) & ~v->held;

		if (!read_entry(v, gpa, w->size, &e))
			return WALK_UNPINNED;
		w->gpa[w->nr] = gpa;
		w->entry[w->nr++] = e;
		kind = guest_entry_decode(v->regs, e, level, &address, &rights);
		if (kind <= ENTRY_RESERVED) {
			w->error = kind == ENTRY_RESERVED ? FAULT_P | FAULT_RSVD : 0;
			return WALK_FAULT;
		}
		w->rights &= rights;
		if (kind == ENTRY_PAGE) {
			w->address = (address | (la & (BIT_ULL(shift) - 1))) & ~v->held;
			return WALK_DONE;
		}
		table = address;
	}
}

enum guest_walked guest_walk(struct vcpu *v, u64 la, struct guest_walk *w)
{
	const struct vmdbg_regs *r = v->regs;
	u64 e;

	w->size = r->cr4 & X86_CR4_PAE ? 8 : 4;
	if (w->size == 4)
		return walk_from(v, (u32)la, r->cr3 & 0xfffff000, 2, w);
	if (r->efer & EFER_LMA)
		return walk_from(v, la, r->cr3 & ADDRESS, 4, w);
	e = r->pdpte[la >> 30 & 3];
	w->nr = 0;
	w->error = 0;
	return e & PTE_P ? walk_from(v, (u32)la, e & ADDRESS, 2, w) : WALK_FAULT;
}

static bool translate(struct vcpu *v, u64 la, u64 *gpa)
{
	struct guest_walk w;

	if (!(v->regs->cr0 & X86_CR0_PG)) {
		*gpa = la & ~v->held;
		return true;
	}
	if (guest_walk(v, la, &w) != WALK_DONE)
		return false;
	*gpa = w.address;
	return true;
}
static const u8 *code_page(struct vcpu *v, u64 la)
{
	u64 gpa;

	la &= PAGE_MASK;
	if (v->code_la == la)
		return v->code;
	if (!translate(v, la, &gpa))
		return NULL;
	v->code = guest_page(v, gpa & PAGE_MASK);
	v->code_la = v->code ? la : ~0ull;
	return v->code;
}

unsigned int code_bytes(struct vcpu *v, u8 *out)
{
	bool is64 = (v->regs->efer & EFER_LMA) && (v->regs->seg[1].ar & BIT(13));
	u64 la = is64 ? v->insn_rip : (u32)(v->regs->seg[1].base + v->insn_rip);
	unsigned int n = 0;

	while (n < 15) {
		const u8 *page = code_page(v, la + n);
		unsigned int at = (la + n) & ~PAGE_MASK, part;

		if (!page)
			break;
		part = min_t(unsigned int, 15 - n, PAGE_SIZE - at);
		memcpy(out + n, page + at, part);
		n += part;
	}
	return n;
}
