/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The processor states kernels are entered in. */
#include "vmm/pc/load.h"
#include "vmm/x86/paging.h"

#define SEL_CODE32 0x08
#define SEL_CODE64 0x10
#define SEL_DATA   0x18

/* Flat segments, with the accessed bit already set. */
static const u64 gdt[] = {
    0, 0x00cf9b000000ffff, /* 08h: code, 32-bit */
    0x00af9b000000ffff,    /* 10h: code, 64-bit */
    0x00cf93000000ffff,    /* 18h: data */
};

static const struct x86_segment code32 = {
    .selector = SEL_CODE32,
    .limit = 0xffffffff,
    .ar = 0xb | AR_S | AR_P | AR_DB | AR_G,
};
static const struct x86_segment code64 = {
    .selector = SEL_CODE64,
    .limit = 0xffffffff,
    .ar = 0xb | AR_S | AR_P | AR_L | AR_G,
};
static const struct x86_segment data = {
    .selector = SEL_DATA,
    .limit = 0xffffffff,
    .ar = 0x3 | AR_S | AR_P | AR_DB | AR_G,
};
static const struct x86_segment null_segment = {.ar = AR_UNUSABLE};
/* A busy TSS: what VM entry asks of TR in every mode. */
static const struct x86_segment tss = {.limit = 0x67, .ar = 0xb | AR_P};

/* What both entries have in common. */
static struct x86_state *entry_common(struct load *l, u64 rip)
{
	struct x86_state *s = &l->m->vcpu[0]->regs;

	load_write(l, BOOT_GDT, gdt, sizeof(gdt));
	memset(s->gpr, 0, sizeof(s->gpr));
	s->gpr[RSP] = BOOT_STACK;
	s->rip = rip;
	s->rflags = RFLAGS_1;
	s->gdtr = (struct x86_table){BOOT_GDT, sizeof(gdt) - 1};
	s->idtr = (struct x86_table){0, 0};
	s->seg[SEG_LDTR] = null_segment;
	s->seg[SEG_TR] = tss;
	s->seg[SEG_DS] = s->seg[SEG_ES] = s->seg[SEG_SS] = data;
	return s;
}

/* The first 4 GiB at their own addresses: one PML4 entry, four page directories of 2 MiB pages. */
static void write_page_tables(struct load *l)
{
	const u64 pdpt = BOOT_PAGE_TABLES + PAGE_SIZE, pd = pdpt + PAGE_SIZE;
	u64 entry = pdpt | PTE_P | PTE_W;
	u64 table[512];

	load_write(l, BOOT_PAGE_TABLES, &entry, sizeof(entry));
	for (unsigned i = 0; i < 4; i++) {
		entry = (pd + i * PAGE_SIZE) | PTE_P | PTE_W;
		load_write(l, pdpt + i * 8, &entry, sizeof(entry));
		for (unsigned j = 0; j < 512; j++)
			table[j] = ((u64)i << 30) | ((u64)j << 21) | PTE_P | PTE_W | PTE_PS;
		load_write(l, pd + i * PAGE_SIZE, table, sizeof(table));
	}
}

void entry_long(struct load *l, u64 rip)
{
	struct x86_state *s = entry_common(l, rip);

	write_page_tables(l);
	s->seg[SEG_CS] = code64;
	s->seg[SEG_FS] = s->seg[SEG_GS] = null_segment;
	s->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_PG;
	s->cr3 = BOOT_PAGE_TABLES;
	s->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
	s->efer = EFER_LME | EFER_LMA;
}

void entry_protected(struct load *l, u32 eip)
{
	struct x86_state *s = entry_common(l, eip);

	s->seg[SEG_CS] = code32;
	s->seg[SEG_FS] = s->seg[SEG_GS] = data;
	s->cr0 = CR0_PE | CR0_ET;
	s->cr3 = 0;
	s->cr4 = 0;
	s->efer = 0;
}

/* The selectors are part of the 32-bit boot protocol. */
void entry_linux32(struct load *l, u32 eip)
{
	entry_protected(l, eip);
	load_write(l, BOOT_GDT + SEL_CODE64, &gdt[SEL_CODE32 / 8], sizeof(gdt[0]));
	l->m->vcpu[0]->regs.seg[SEG_CS].selector = SEL_CODE64;
}
