/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The software CPU among hostile descriptors: GDT, IDT, TSSs and page tables that are in order but for some bytes, code made
 * of far transfers, segment loads and interrupts, in every mode. What a run gives may not depend on how it was cut.
 *
 * Input: mode; RFLAGS (2 bytes); count n of changes; n times offset (2 bytes) and new byte; then code. */
#include <stdlib.h>

#include "vmm/machine.h"
#include "vmm/x86/paging.h"

#define RAM        (1ull << 20)
#define STEPS      120
#define IDLE_JUMPS ((1u << 22) - 50)

enum {
	GDT = 0x1000,
	IDT = 0x1400,
	TSS = 0x1c00,
	LDT = 0x1f00,
	CODE = 0x2000,
	HANDLER = 0x2800,
	TABLES = 0x3000,
	STACK = 0x9000
};
enum { MODE_REAL, MODE_PROTECTED, MODE_PAGED, MODE_PAE, MODE_VM86, MODE_RING3, MODE_LONG, MODE_LONG3, MODES };

static u64 descriptor(u32 base, u32 limit, u8 access, u8 flags)
{
	return (limit & 0xffff) | (u64)(limit >> 16 & 15) << 48 | (u64)(base & 0xffffff) << 16 |
	       (u64)(base >> 24) << 56 | (u64)access << 40 | (u64)flags << 52;
}

static u64 gate(u32 offset, u16 selector, u8 access)
{
	return (offset & 0xffff) | (u64)selector << 16 | (u64)access << 40 | (u64)(offset >> 16) << 48;
}

/* Selectors: 08 code, 10 data, 18 code ring 3, 20 data ring 3, 28 TSS, 38 TSS, 48 16-bit TSS, 58 LDT, 68 call gate, 78 task
 * gate, 88 16-bit code, 90 conforming code, 98 expand-down data. */
static void fill(u8 *ram, bool lm)
{
	u64 *gdt = (u64 *)(ram + GDT), *idt = (u64 *)(ram + IDT), *ldt = (u64 *)(ram + LDT);
	u8 code = lm ? 0xa : 0xc;

	gdt[1] = descriptor(0, 0xfffff, 0x9b, code);
	gdt[2] = descriptor(0, 0xfffff, 0x93, 0xc);
	gdt[3] = descriptor(0, 0xfffff, 0xfb, code);
	gdt[4] = descriptor(0, 0xfffff, 0xf3, 0xc);
	gdt[5] = descriptor(TSS, 0x67, 0x8b, 0);
	gdt[7] = descriptor(TSS + 0x100, 0x67, 0xe9, 0);
	gdt[9] = descriptor(TSS + 0x200, 0x2b, 0xe1, 0);
	gdt[11] = descriptor(LDT, 0x3f, 0x82, 0);
	gdt[13] = gate(HANDLER, 8, 0xec) | 3ull << 32;
	gdt[15] = gate(0, 0x38, 0xe5);
	gdt[17] = descriptor(0, 0xffff, 0x9b, 0);
	gdt[18] = descriptor(0, 0xfffff, 0x9f, code);
	gdt[19] = descriptor(0, 0x1000, 0x97, 4);
	memcpy(ldt, gdt, 0x28);
	for (unsigned v = 0; v < 64; v++) {
		u64 g = v % 8 == 7 && !lm ? gate(0, 0x38, 0xe5) : gate(HANDLER + 16 * (v & 15), 8, v & 1 ? 0xee : 0xef);

		idt[lm ? 2 * v : v] = g;
	}
	for (unsigned t = 0; t < 3; t++) {
		u8 *tss = ram + TSS + 0x100 * t;

		store64(tss + 4, STACK + 0x1000);
		store64(tss + 12, 0x10);
		if (lm)
			continue;
		store32(tss + 8, 0x10);
		store32(tss + 0x1c, TABLES);
		store32(tss + 0x20, CODE);
		store32(tss + 0x24, 2);
		store32(tss + 0x38, STACK);
		store64(tss + 0x48, 0x800000010);
		store64(tss + 0x50, 0x1000000010);
		store32(tss + 0x64, 0x68 << 16);
	}
	for (unsigned n = 0; n < 16; n++) {
		static const u8 handler[][16] = {
		    {0xcf}, {0x48, 0xcf}, {0x83, 0xc4, 4, 0xcf}, {0xea, 0, 0x20, 0, 0, 8, 0}, {0xf4}, {0xcb}};

		memcpy(ram + HANDLER + 16 * n, handler[n % ARRAY_SIZE(handler)], 16);
	}
}

static void tables(u8 *ram, unsigned mode)
{
	u64 *t = (u64 *)(ram + TABLES), *pt = (u64 *)(ram + TABLES + 0x3000);

	if (mode == MODE_PAGED) {
		store32(ram + TABLES, (TABLES + 0x3000) | 7);
		for (u32 n = 0; n < 256; n++)
			store32((u8 *)pt + 4 * n, n << 12 | 7);
		return;
	}
	t[0] = (TABLES + 0x1000) | (mode == MODE_PAE ? 1 : 7);
	t[512] = (mode == MODE_PAE ? TABLES + 0x3000 : TABLES + 0x2000) | 7;
	t[1024] = (TABLES + 0x3000) | 7;
	for (u64 n = 0; n < 256; n++)
		pt[n] = n << 12 | 7;
}

static struct x86_segment segment(u16 selector, u8 access, u8 flags)
{
	return (struct x86_segment){.selector = selector, .limit = 0xffffffff, .ar = access | (u32)flags << 12};
}

static void registers(struct x86_state *s, unsigned mode, u16 rflags)
{
	bool lm = mode >= MODE_LONG, user = mode == MODE_RING3 || mode == MODE_LONG3;

	s->cr0 = CR0_ET | CR0_NE | (mode == MODE_REAL ? 0 : CR0_PE);
	s->cr4 = CR4_OSFXSR | CR4_VME | CR4_PVI;
	s->cr3 = TABLES;
	if (mode == MODE_PAGED || mode == MODE_PAE || lm)
		s->cr0 |= CR0_PG | CR0_WP;
	if (mode == MODE_PAE || lm)
		s->cr4 |= CR4_PAE;
	if (mode == MODE_PAE)
		s->pdpte[0] = (TABLES + 0x1000) | 1;
	if (lm)
		s->efer = EFER_LME | EFER_LMA | EFER_SCE;
	for (unsigned n = 0; n < SEG_COUNT; n++)
		s->seg[n] = segment(user ? 0x23 : 0x10, user ? 0xf3 : 0x93, 0xc);
	s->seg[SEG_CS] = segment(user ? 0x1b : 8, user ? 0xfb : 0x9b, lm ? 0xa : 0xc);
	if (mode == MODE_REAL || mode == MODE_VM86)
		for (unsigned n = 0; n < SEG_COUNT; n++)
			s->seg[n] = (struct x86_segment){.limit = 0xffff,
							 .ar = mode == MODE_VM86 ? 0xf3
							       : n == SEG_CS     ? 0x9b
										 : 0x93};
	s->seg[SEG_TR] = (struct x86_segment){.selector = 0x28, .base = TSS, .limit = 0x67, .ar = 0x8b};
	s->seg[SEG_LDTR] = (struct x86_segment){.selector = 0x58, .base = LDT, .limit = 0x3f, .ar = 0x82};
	s->gdtr = (struct x86_table){GDT, 0x3ff};
	s->idtr = (struct x86_table){mode == MODE_REAL ? 0 : IDT, 0x7ff};
	s->rflags = (rflags & 0x7fd5) | RFLAGS_1 | (mode == MODE_VM86 ? RFLAGS_VM : 0);
	s->rip = CODE;
	s->gpr[RSP] = STACK;
	s->gpr[RBX] = GDT + 0x68;
	s->gpr[RCX] = CODE;
	s->gpr[RDX] = CODE;
	s->sysenter_cs = 8;
	s->sysenter_eip = HANDLER;
	s->sysenter_esp = STACK;
	s->lstar = HANDLER;
	s->star = 0x0010000800000000;
}

struct input {
	unsigned mode;
	u16 rflags;
	const u8 *changes, *code;
	size_t nr_changes, code_len;
};

static struct machine *begin(const struct input *in)
{
	struct machine_config config = {.ram = RAM, .vcpus = 1, .engine = &soft_engine};
	struct machine *m;
	struct error err;
	u8 *ram;

	if (machine_create(&m, &config, &err))
		abort();
	ram = memory_host(&m->mem, 0, RAM);
	fill(ram, in->mode >= MODE_LONG);
	tables(ram, in->mode);
	memcpy(ram + CODE, in->code, in->code_len < 0x400 ? in->code_len : 0x400);
	for (size_t n = 0; n < in->nr_changes; n++)
		ram[GDT + load16(in->changes + 3 * n) % 0x5000] = in->changes[3 * n + 2];
	registers(&m->vcpu[0]->regs, in->mode, in->rflags);
	m->vcpu[0]->engine->regs_changed(m->vcpu[0]);
	m->progress.idle_jumps = IDLE_JUMPS;
	return m;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t len);
int LLVMFuzzerTestOneInput(const u8 *data, size_t len)
{
	struct input in = {0};
	struct machine *whole, *cut;

	if (len < 4)
		return 0;
	in.mode = data[0] % MODES;
	in.rflags = load16(data + 1);
	in.nr_changes = data[3] & 15;
	data += 4;
	len -= 4;
	if (in.nr_changes * 3 > len)
		in.nr_changes = len / 3;
	in.changes = data;
	in.code = data + 3 * in.nr_changes;
	in.code_len = len - 3 * in.nr_changes;

	whole = begin(&in);
	cut = begin(&in);
	machine_run(whole, STEPS);
	for (u64 n = 1; n <= STEPS && !cut->end; n++)
		machine_run(cut, n);
	if (whole->end != cut->end || machine_position(whole) != machine_position(cut) ||
	    memcmp(memory_host(&whole->mem, 0, RAM), memory_host(&cut->mem, 0, RAM), RAM) ||
	    memcmp(whole->vcpu[0]->regs.gpr, cut->vcpu[0]->regs.gpr, sizeof(cut->vcpu[0]->regs.gpr)) ||
	    whole->vcpu[0]->regs.rip != cut->vcpu[0]->regs.rip ||
	    whole->vcpu[0]->regs.rflags != cut->vcpu[0]->regs.rflags)
		abort();
	machine_free(whole);
	machine_free(cut);
	return 0;
}
