// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From the guest's RIP to the bytes there, through the guest's own page tables (SDM 3A chapter 4), for stepping to know
 * what it is about to step. Rights aren't looked at and no flag is set: where the guest's fetch faults, it faults by
 * itself. The page of the last instruction is remembered until something that could change it has run.
 */
#include <linux/mm.h>

#include <asm/processor-flags.h>
#include <asm/msr-index.h>

#include "vmdbg.h"

#define PRESENT   1ull
#define BIG       BIT_ULL(7)
#define ADDR_MASK 0x000ffffffffff000ull

static const u8 *guest_page(struct vcpu *v, u64 gpa)
{
	struct page *page = machine_page(v->machine, gpa);

	return page ? page_address(page) : NULL;
}

static bool read_entry(struct vcpu *v, u64 gpa, unsigned int size, u64 *entry)
{
	const u8 *page = guest_page(v, gpa);

	if (!page)
		return false;
	*entry = size == 8 ? *(const u64 *)(page + (gpa & ~PAGE_MASK & ~7ull))
			   : *(const u32 *)(page + (gpa & ~PAGE_MASK & ~3ull));
	return *entry & PRESENT;
}

static bool walk_32(struct vcpu *v, u64 la, u64 *gpa)
{
	u64 e;

	if (!read_entry(v, (v->regs->cr3 & 0xfffff000) + (la >> 22 & 1023) * 4, 4, &e))
		return false;
	if ((e & BIG) && (v->regs->cr4 & X86_CR4_PSE)) {
		*gpa = (e & 0xffc00000) | (e & 0x1fe000) << 19 | (la & 0x3fffff);
		return true;
	}
	if (!read_entry(v, (e & 0xfffff000) + (la >> 12 & 1023) * 4, 4, &e))
		return false;
	*gpa = (e & 0xfffff000) | (la & 0xfff);
	return true;
}

static bool walk_64(struct vcpu *v, u64 la, u64 table, unsigned int level, u64 *gpa)
{
	u64 e, offset;

	for (;; level--) {
		unsigned int shift = PAGE_SHIFT + 9 * (level - 1);

		if (!read_entry(v, table + (la >> shift & 511) * 8, 8, &e))
			return false;
		if (level == 1 || (level < 4 && (e & BIG))) {
			offset = la & (BIT_ULL(shift) - 1);
			*gpa = (e & ADDR_MASK & ~(BIT_ULL(shift) - 1)) | offset;
			return true;
		}
		table = e & ADDR_MASK;
	}
}

static bool translate(struct vcpu *v, u64 la, u64 *gpa)
{
	const struct vmdbg_regs *r = v->regs;
	u64 e;

	if (!(r->cr0 & X86_CR0_PG)) {
		*gpa = la;
		return true;
	}
	if (!(r->cr4 & X86_CR4_PAE))
		return walk_32(v, la, gpa);
	if (r->efer & EFER_LMA)
		return walk_64(v, la, r->cr3 & ADDR_MASK, 4, gpa);
	e = r->pdpte[la >> 30 & 3];
	return (e & PRESENT) && walk_64(v, la, e & ADDR_MASK, 2, gpa);
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
