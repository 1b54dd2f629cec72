/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small guests on a machine with the soft engine, for tests of what a debugger is told: long mode with 4 KiB pages that
 * map 4 MiB of RAM and the LAPIC one to one, protected mode, and real mode. Needs check.h. */
#ifndef TESTS_UNIT_PROBE_RIG_H
#define TESTS_UNIT_PROBE_RIG_H

#include <stdlib.h>

#include "vmm/machine.h"
#include "vmm/x86/paging.h"

/* Code for a guest, in Intel's syntax: const u8 name[], name_end[]. */
#define GUEST(name, bits, text)                                                                              \
	extern const u8 name[], name##_end[];                                                                \
	__asm__(".pushsection .rodata\n.code" #bits "\n.intel_syntax noprefix\n" #name ":\n" text "\n" #name \
		"_end:\n.att_syntax prefix\n.code64\n.popsection\n")

#define RAM   (4u << 20)
#define PML4  0x1000
#define PDPT  0x2000
#define PD    0x3000
#define PT    0x4000 /* two of them */
#define PD_3G 0x6000
#define GDT   0x7000
#define TSS   0x7800
#define IDT   0x8000
#define STACK 0xa000 /* top */
#define INNER 0xc000 /* top of the stack that ring 3 is left for */
#define CODE  0x10000
#define DATA  0x20000

#define CS64 0x08
#define DS   0x10
#define DS3  0x1b
#define CS3  0x23
#define TR   0x28
#define CS32 0x38

static inline u8 *ram(struct machine *m, u64 gpa)
{
	u8 *p = memory_host(&m->mem, gpa, 1);

	if (!p)
		ck_abort_msg("no RAM at %#llx", (unsigned long long)gpa);
	return p;
}

static inline u64 *pte(struct machine *m, u64 la)
{
	return (u64 *)ram(m, PT + (la >> PAGE_SHIFT) * 8);
}

/* An interrupt gate. */
static inline void gate(struct machine *m, unsigned vector, u64 target, unsigned dpl)
{
	u64 low = (target & 0xffff) | (u64)CS64 << 16 | (0x8e00ull | dpl << 13) << 32 | (target >> 16 & 0xffff) << 48;

	store64(ram(m, IDT + vector * 16), low);
	store64(ram(m, IDT + vector * 16 + 8), target >> 32);
}

static const struct machine_config rig_config = {
    .ram = RAM, .vcpus = 1, .clock = CLOCK_VIRTUAL, .engine = &soft_engine};

static inline struct machine *rig_machine(const struct machine_config *config, const u8 *code, const u8 *end, u64 at)
{
	struct error err = {""};
	struct machine *m;

	ck_assert_msg(machine_create(&m, config, &err) == 0, "%s", err.text);
	memcpy(ram(m, at), code, end - code);
	m->vcpu[0]->regs.rip = at;
	m->vcpu[0]->regs.gpr[RSP] = STACK;
	m->vcpu[0]->regs.rflags = RFLAGS_1;
	return m;
}

static inline struct x86_segment flat(u16 selector, u32 ar)
{
	return (struct x86_segment){.selector = selector, .limit = 0xffffffff, .ar = ar};
}

static inline void rig_tables(struct machine *m)
{
	static const u64 gdt[] = {
	    [CS64 / 8] = 0x00af9b000000ffff,
	    [DS / 8] = 0x00cf93000000ffff,
	    [DS3 / 8] = 0x00cff3000000ffff,
	    [CS3 / 8] = 0x00affb000000ffff,
	    [TR / 8] = 0x0000890000000067 | TSS << 16,
	    [CS32 / 8] = 0x00cf9b000000ffff,
	};

	memcpy(ram(m, GDT), gdt, sizeof(gdt));
	store64(ram(m, PML4), PDPT | PTE_P | PTE_W | PTE_U);
	store64(ram(m, PDPT), PD | PTE_P | PTE_W | PTE_U);
	store64(ram(m, PDPT + 24), PD_3G | PTE_P | PTE_W | PTE_U);
	store64(ram(m, PD), PT | PTE_P | PTE_W | PTE_U);
	store64(ram(m, PD + 8), (PT + 0x1000) | PTE_P | PTE_W | PTE_U);
	store64(ram(m, PD_3G + 503 * 8), 0xfee00000 | PTE_P | PTE_W | PTE_PS);
	for (u64 la = 0; la < RAM; la += PAGE_SIZE)
		*pte(m, la) = la | PTE_P | PTE_W | PTE_U;
	store64(ram(m, TSS + 4), INNER);
}

static inline struct machine *rig64_of(const struct machine_config *config, const u8 *code, const u8 *end)
{
	struct machine *m = rig_machine(config, code, end, CODE);
	struct x86_state *s = &m->vcpu[0]->regs;

	rig_tables(m);
	s->cr0 = CR0_PE | CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_MP;
	s->cr3 = PML4;
	s->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
	s->efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
	s->gdtr = (struct x86_table){GDT, 0x7f};
	s->idtr = (struct x86_table){IDT, 0xfff};
	for (unsigned seg = 0; seg < SEG_COUNT; seg++)
		s->seg[seg] = flat(DS, AR_P | AR_S | AR_RW | AR_ACCESSED | AR_G | AR_DB);
	s->seg[SEG_CS] = flat(CS64, AR_P | AR_S | AR_CODE | AR_RW | AR_ACCESSED | AR_G | AR_L);
	s->seg[SEG_TR] = (struct x86_segment){.selector = TR, .base = TSS, .limit = 0x67, .ar = 0x8b};
	soft_engine.regs_changed(m->vcpu[0]);
	return m;
}

static inline struct machine *rig64(const u8 *code, const u8 *end)
{
	return rig64_of(&rig_config, code, end);
}

/* Protected mode without paging; the code segment begins at @base. */
static inline struct machine *rig32(const u8 *code, const u8 *end, u32 base)
{
	struct machine *m = rig_machine(&rig_config, code, end, CODE);
	struct x86_state *s = &m->vcpu[0]->regs;

	rig_tables(m);
	s->cr0 = CR0_PE | CR0_NE | CR0_ET;
	s->gdtr = (struct x86_table){GDT, 0x7f};
	for (unsigned seg = 0; seg < SEG_COUNT; seg++)
		s->seg[seg] = flat(DS, AR_P | AR_S | AR_RW | AR_ACCESSED | AR_G | AR_DB);
	s->seg[SEG_CS] = flat(CS32, AR_P | AR_S | AR_CODE | AR_RW | AR_ACCESSED | AR_G | AR_DB);
	s->seg[SEG_CS].base = base;
	s->rip = CODE - base;
	soft_engine.regs_changed(m->vcpu[0]);
	return m;
}

/* Real mode at 1000h:0. */
static inline struct machine *rig16(const u8 *code, const u8 *end)
{
	struct machine *m = rig_machine(&rig_config, code, end, CODE);
	struct x86_state *s = &m->vcpu[0]->regs;

	s->seg[SEG_CS].selector = CODE >> 4;
	s->seg[SEG_CS].base = CODE;
	s->seg[SEG_CS].limit = 0xffff;
	s->rip = 0;
	soft_engine.regs_changed(m->vcpu[0]);
	return m;
}

/* --- the debugger's side --- */

#define EXEC_AT(at)                                               \
	{                                                         \
		.kind = TARGET_BREAK_EXEC, .addr = (at), .len = 1 \
	}
#define EXEC_PHYS(at)                                                                       \
	{                                                                                   \
		.kind = TARGET_BREAK_EXEC, .space = TARGET_PHYSICAL, .addr = (at), .len = 1 \
	}
#define WATCH(how, at, n)                                            \
	{                                                            \
		.kind = TARGET_BREAK_##how, .addr = (at), .len = (n) \
	}
#define WATCHP(how, at, n)                                                                     \
	{                                                                                      \
		.kind = TARGET_BREAK_##how, .space = TARGET_PHYSICAL, .addr = (at), .len = (n) \
	}
#define EVENT(which, n)                                                              \
	{                                                                            \
		.kind = TARGET_BREAK_EVENT, .addr = TARGET_EVENT_##which, .len = (n) \
	}

static inline void set_breaks(struct machine *m, struct target_break *b, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		b[i].next = i + 1 < n ? &b[i + 1] : NULL;
	ck_assert_int_eq(probe_set(m->vcpu[0], n ? b : NULL), 0);
}

/* Not told again here. */
static inline void skip_here(struct vcpu *v)
{
	v->probe.nr = 0;
	v->probe.skip_insns = v->insns;
	v->probe.skip_deliveries = vcpu_deliveries(v);
}

/* Runs on; whether there was a hit. */
static inline bool go(struct machine *m)
{
	skip_here(m->vcpu[0]);
	ck_assert_int_eq(machine_run(m, m->vcpu[0]->insns + 10000000), 0);
	return m->vcpu[0]->probe.nr;
}

/* How often @b was hit in a whole run. */
static inline unsigned hits_of(struct machine *m, const struct target_break *b)
{
	unsigned count = 0;

	while (go(m))
		for (unsigned n = 0; n < m->vcpu[0]->probe.nr; n++)
			count += m->vcpu[0]->probe.hit[n].hit == b;
	return count;
}

#endif
