/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/x86/cpuid.h"
#include "vmm/x86/paging.h"
#include "vmm/x86/state.h"

/* Physical-address bits [hi:lo]. */
#define BITS(hi, lo) ((~0ull >> (63 - (hi))) & (~0ull << (lo)))

struct walk {
	u64 gpa[4]; /* the entries used, from the top */
	u64 entry[4];
	unsigned count;
	unsigned size; /* of an entry */
	u64 base;      /* of the page */
	u64 held_low;
};

static u32 fault_code(const struct paging_context *pc, unsigned access, u32 error)
{
	if (access & PAGING_WRITE)
		error |= PF_W;
	if (access & PAGING_USER)
		error |= PF_U;
	/* I/D is reported only where fetches can be told from reads (SDM 3A 4.7). */
	if (access & PAGING_EXEC && (pc->cr4 & CR4_SMEP || (pc->cr4 & CR4_PAE && pc->efer & EFER_NXE)))
		error |= PF_I;
	return error;
}

static inline u64 walk_read(struct walk *w, const struct paging_ops *ops, void *opaque, u64 gpa)
{
	u64 entry;

	gpa &= ~w->held_low;
	entry = ops->read(opaque, gpa, w->size);
	w->gpa[w->count] = gpa;
	w->entry[w->count++] = entry;
	return entry;
}

/* 32-bit paging (4.3). Returns PF_* bits of a fault found on the way, ~0 for none. */
static u32 walk_32(const struct paging_context *pc, const struct paging_ops *ops, void *opaque, u32 la, struct walk *w,
		   struct paging_page *page)
{
	unsigned m = pc->phys_bits < 40 ? pc->phys_bits : 40;
	u64 pde, pte;

	w->size = 4;
	pde = walk_read(w, ops, opaque, (pc->cr3 & 0xfffff000) | (la >> 22 << 2));
	if (!(pde & PTE_P))
		return 0;
	page->nx = false;
	page->writable = pde & PTE_W;
	page->user = pde & PTE_U;
	if (pde & PTE_PS && pc->cr4 & CR4_PSE) {
		/* PSE-36: entry bits 20:13 are address bits 39:32, up to MAXPHYADDR; bit 21 is always reserved. */
		if (pde & BITS(21, m - 19))
			return PF_P | PF_RSVD;
		page->page_bits = 22;
		w->base = (pde & 0xffc00000) | (pde & BITS(20, 13)) << 19;
		return ~0u;
	}
	pte = walk_read(w, ops, opaque, (pde & 0xfffff000) | ((la >> 12 & 0x3ff) << 2));
	if (!(pte & PTE_P))
		return 0;
	page->writable &= !!(pte & PTE_W);
	page->user &= !!(pte & PTE_U);
	page->page_bits = 12;
	w->base = pte & 0xfffff000;
	return ~0u;
}

/* PAE and 4-level paging (4.4, 4.5): tables of 512 entries, from @level (4: PML4) whose table is at @table. */
static inline u32 walk_64(const struct paging_context *pc, const struct paging_ops *ops, void *opaque, u64 la,
			  unsigned level, u64 table, struct walk *w, struct paging_page *page)
{
	bool la64 = pc->efer & EFER_LMA;
	u64 address = BITS(pc->phys_bits - 1, 12);
	/* PAE reserves bits 62:M, 4-level paging 51:M; bit 63 is XD, reserved without NXE. */
	u64 reserved = pc->phys_bits < 52 ? BITS(51, pc->phys_bits) : 0;
	u64 rights = PTE_W | PTE_U, nx = 0;

	if (!la64)
		reserved |= BITS(62, 52);
	if (!(pc->efer & EFER_NXE))
		reserved |= PTE_NX;
	w->size = 8;
	for (;; level--) {
		unsigned shift = 12 + 9 * (level - 1);
		u64 entry = walk_read(w, ops, opaque, table | ((la >> shift & 511) << 3));

		if (unlikely(!(entry & PTE_P)))
			return 0;
		rights &= entry;
		nx |= entry & PTE_NX;
		if (level == 1 || (entry & PTE_PS && level < 4)) {
			/* Address bits below the page's size are reserved, but for bit 12, which is PAT. */
			if (level > 1)
				reserved |= BITS(shift - 1, 13);
			if (unlikely(entry & reserved))
				return PF_P | PF_RSVD;
			page->page_bits = shift;
			w->base = entry & address & BITS(63, shift);
			break;
		}
		if (unlikely(entry & (level == 4 ? reserved | PTE_PS : reserved)))
			return PF_P | PF_RSVD;
		table = entry & address;
	}
	page->writable = rights & PTE_W;
	page->user = rights & PTE_U;
	page->nx = nx;
	return ~0u;
}

/* Sets accessed and dirty flags. False: an entry changed under the walk. */
static bool walk_mark(const struct walk *w, const struct paging_ops *ops, void *opaque, bool write)
{
	for (unsigned i = 0; i < w->count; i++) {
		u64 bits = i == w->count - 1 && write ? PTE_A | PTE_D : PTE_A;

		if ((w->entry[i] & bits) == bits)
			continue;
		if (!ops->set_bits(opaque, w->gpa[i], w->size, w->entry[i], bits & ~w->entry[i]))
			return false;
	}
	return true;
}

static void page_identity(const struct paging_context *pc, struct paging_page *page, u64 la)
{
	*page = (struct paging_page){
	    .gpa = (u32)la & ~pc->held_low,
	    .page_bits = 32,
	    .writable = true,
	    .user = true,
	    .dirty = true,
	};
}

int paging_walk(const struct paging_context *pc, const struct paging_ops *ops, void *opaque, u64 la, unsigned access,
		struct paging_page *page)
{
	struct walk w = {.held_low = pc->held_low};
	u32 error;

	if (unlikely(!(pc->cr0 & CR0_PG))) {
		page_identity(pc, page, la);
		return 0;
	}
	/* An entry that maps itself is used at two levels: marking it for the first makes the second look changed. The
	 * next round finds it marked, so this ends. */
	do {
		w.count = 0;
		if (likely(pc->efer & EFER_LMA)) {
			error = walk_64(pc, ops, opaque, la, 4, pc->cr3 & BITS(pc->phys_bits - 1, 12), &w, page);
		} else if (pc->cr4 & CR4_PAE) {
			u64 pdpte = pc->pdpte[la >> 30 & 3];

			error = 0;
			if (pdpte & PTE_P)
				error =
				    walk_64(pc, ops, opaque, (u32)la, 2, pdpte & BITS(pc->phys_bits - 1, 12), &w, page);
		} else {
			error = walk_32(pc, ops, opaque, la, &w, page);
		}
		if (unlikely(error != ~0u)) {
			page->error = fault_code(pc, access, error);
			return -1;
		}
		if (unlikely(!paging_permits(pc, page, access))) {
			page->error = fault_code(pc, access, PF_P);
			return -1;
		}
	} while (ops->set_bits && !walk_mark(&w, ops, opaque, access & PAGING_WRITE));

	page->gpa = (w.base | (la & (BIT(page->page_bits) - 1))) & ~pc->held_low;
	page->global = w.entry[w.count - 1] & PTE_G && pc->cr4 & CR4_PGE;
	page->untracked = !ops->set_bits;
	page->dirty = w.entry[w.count - 1] & PTE_D || (access & PAGING_WRITE && ops->set_bits);
	page->error = 0;
	return 0;
}

void paging_context_set(struct paging_context *pc, const struct x86_state *s)
{
	pc->cr0 = s->cr0;
	pc->cr3 = s->cr3;
	pc->cr4 = s->cr4;
	pc->efer = s->efer;
	memcpy(pc->pdpte, s->pdpte, sizeof(pc->pdpte));
	pc->phys_bits = CPU_PHYS_BITS;
	pc->held_low = s->a20m ? BIT(20) : 0;
}

bool paging_pdpte_valid(u64 pdpte, unsigned phys_bits)
{
	/* Reserved: 2:1, 8:5 and everything from MAXPHYADDR up (table 4-8). */
	return !(pdpte & PTE_P) || !(pdpte & (BITS(2, 1) | BITS(8, 5) | BITS(63, phys_bits)));
}
