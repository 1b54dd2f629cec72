/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The page walker: linear to guest-physical addresses, for every paging mode of the CPU model (SDM 3A chapter 4):
 * none, 32-bit (with 4 MiB pages and PSE-36), PAE, 4-level (2 MiB and 1 GiB pages).
 *
 * Pure: memory is reached through struct paging_ops, nothing is kept between calls. Cost: one read for each level,
 * and one set_bits for each entry whose accessed or dirty flag was clear. */
#ifndef VMM_X86_PAGING_H
#define VMM_X86_PAGING_H

#include "vmm/types.h"
#include "vmm/x86/regs.h"

struct x86_state;

/* Bits of a paging-structure entry (SDM 3A, tables 4-4 to 4-20). */
#define PTE_P       BIT(0)
#define PTE_W       BIT(1)
#define PTE_U       BIT(2)
#define PTE_PWT     BIT(3)
#define PTE_PCD     BIT(4)
#define PTE_A       BIT(5)
#define PTE_D       BIT(6)
#define PTE_PS      BIT(7) /* directory entries: maps a page */
#define PTE_G       BIT(8)
#define PTE_PAT_BIG BIT(12) /* entries that map a page of more than 4 KiB */
#define PTE_NX      BIT(63)

/* What decides a translation besides memory. */
struct paging_context {
	u64 cr0, cr3, cr4, efer;
	u64 pdpte[4];       /* PAE paging: the PDPTE registers (loaded and checked by MOV CR3) */
	unsigned phys_bits; /* MAXPHYADDR, 32 to 52 */
	u64 held_low;       /* bits of physical addresses that leave the processor as 0 (A20M#) */
};

struct paging_ops {
	/* Reads an entry of @size (4 or 8) bytes, aligned. Where there is no RAM: all ones. */
	u64 (*read)(void *opaque, u64 gpa, unsigned size);
	/* Sets @bits in the entry if it still equals @old. False: it changed, the walk begins again. Where there is no
	 * RAM: true, nothing done. May be NULL: accessed and dirty flags are left alone (debuggers). */
	bool (*set_bits)(void *opaque, u64 gpa, unsigned size, u64 old, u64 bits);
};

/* The kind of access. Neither WRITE nor EXEC: a data read. */
#define PAGING_WRITE BIT(0)
#define PAGING_EXEC  BIT(1)
#define PAGING_USER  BIT(2) /* a user-mode access: CPL 3, unless the CPU accesses a descriptor table or TSS */
/* A supervisor data access may touch user pages in spite of CR4.SMAP: EFLAGS.AC is set and the access is explicit. */
#define PAGING_AC BIT(3)

/* A translation and its rights: of all levels together, before CR0.WP, SMEP and SMAP. */
struct paging_page {
	u64 gpa;        /* guest-physical address of the byte asked for */
	u8 page_bits;   /* log2 of the page's size: 12, 21, 22 or 30; 32 with paging off */
	bool writable;  /* R/W set at every level */
	bool user;      /* U/S set at every level */
	bool nx;        /* XD set at some level, and EFER.NXE */
	bool global;    /* G of the last entry, and CR4.PGE */
	bool dirty;     /* the dirty flag is set (now): a write needs no other walk. True with paging off */
	bool untracked; /* set_bits was NULL: accessed flags were not set, so the page must not enter a TLB */
	u32 error;      /* page-fault error code (PF_*), when the walk failed */
};

/* Translates @la (canonical, or 32 bits outside 64-bit mode: the caller has checked). 0, or -1: a page fault with
 * page->error, nothing else in @page is valid.
 *
 * Accessed flags are set in all entries used, and the dirty flag in the last one for a write, only when the access is
 * allowed; a walk that ends in a fault changes no memory (SDM 3A 4.8 leaves it open for upper levels: hardware may
 * have set accessed flags there). */
int paging_walk(const struct paging_context *pc, const struct paging_ops *ops, void *opaque, u64 la, unsigned access,
		struct paging_page *page);

/* Whether a page with these rights allows @access (SDM 3A 4.6): what fills the other columns of a TLB entry. */
static inline bool paging_permits(const struct paging_context *pc, const struct paging_page *page, unsigned access)
{
	if (unlikely(!(pc->cr0 & CR0_PG)))
		return true;
	if (access & PAGING_USER)
		return page->user && !(access & PAGING_WRITE && !page->writable) && !(access & PAGING_EXEC && page->nx);
	if (access & PAGING_EXEC)
		return !page->nx && !(page->user && pc->cr4 & CR4_SMEP);
	if (page->user && (pc->cr4 & CR4_SMAP) && !(access & PAGING_AC))
		return false;
	return !(access & PAGING_WRITE) || page->writable || !(pc->cr0 & CR0_WP);
}

/* The context of a vCPU's registers and A20M#, with the CPU model's MAXPHYADDR. */
void paging_context_set(struct paging_context *pc, const struct x86_state *s);

/* PAE: whether MOV to CR3 accepts this PDPTE; one that is present with reserved bits is a #GP(0) (4.4.1). */
bool paging_pdpte_valid(u64 pdpte, unsigned phys_bits);
/* PAE: the guest-physical address of the four PDPTEs, before A20M#. */
static inline u64 paging_pdpt(u64 cr3)
{
	return cr3 & 0xffffffe0;
}

#endif
