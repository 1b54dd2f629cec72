// SPDX-License-Identifier: GPL-2.0-or-later
/* Descriptor-table registers and the instructions that test descriptors. */
#include "vmm/soft/alu.h"
#include "vmm/soft/ops.h"
#include "vmm/soft/system.h"

static void require_umip(struct soft_cpu *cpu)
{
	if (cpu->cpl && (cpu->vcpu.regs.cr4 & CR4_UMIP))
		soft_fault_code(cpu, X86_GP, 0);
}

static void store_table(struct soft_cpu *cpu, const struct insn *i, const struct x86_table *table)
{
	u8 image[10];

	require_umip(cpu);
	store16(image, table->limit);
	store64(image + 2, table->base);
	mem_st_bytes(cpu, i, image, cpu->mode & MODE_64 ? 10 : 6);
}

static void load_table(struct soft_cpu *cpu, const struct insn *i, struct x86_table *table)
{
	bool is64 = cpu->mode & MODE_64;
	u8 image[10] = {0};
	u64 base;

	soft_require_cpl0(cpu);
	mem_ld_bytes(cpu, i, image, is64 ? 10 : 6);
	base = load64(image + 2);
	if (is64 && !x86_canonical(base))
		soft_fault_code(cpu, X86_GP, 0);
	table->limit = load16(image);
	table->base = is64 ? base : i->osize == 2 ? base & 0xffffff : (u32)base;
}

void op_sgdt(struct soft_cpu *cpu, const struct insn *i)
{
	store_table(cpu, i, &cpu->vcpu.regs.gdtr);
}

void op_sidt(struct soft_cpu *cpu, const struct insn *i)
{
	store_table(cpu, i, &cpu->vcpu.regs.idtr);
}

void op_lgdt(struct soft_cpu *cpu, const struct insn *i)
{
	load_table(cpu, i, &cpu->vcpu.regs.gdtr);
}

void op_lidt(struct soft_cpu *cpu, const struct insn *i)
{
	load_table(cpu, i, &cpu->vcpu.regs.idtr);
}

void op_sldt_r(struct soft_cpu *cpu, const struct insn *i)
{
	require_umip(cpu);
	reg_set(cpu, i->rm, i->osize, cpu->vcpu.regs.seg[SEG_LDTR].selector);
}

void op_sldt_m(struct soft_cpu *cpu, const struct insn *i)
{
	require_umip(cpu);
	mem_st16(cpu, i, cpu->vcpu.regs.seg[SEG_LDTR].selector);
}

void op_str_r(struct soft_cpu *cpu, const struct insn *i)
{
	require_umip(cpu);
	reg_set(cpu, i->rm, i->osize, cpu->vcpu.regs.seg[SEG_TR].selector);
}

void op_str_m(struct soft_cpu *cpu, const struct insn *i)
{
	require_umip(cpu);
	mem_st16(cpu, i, cpu->vcpu.regs.seg[SEG_TR].selector);
}

/* LDTR and TR take GDT selectors only; in long mode their descriptors have 16 bytes. */
static void system_fetch(struct soft_cpu *cpu, u16 selector, struct descriptor *d)
{
	if (selector & 4)
		soft_fault_code(cpu, X86_GP, selector & 0xfffcu);
	descriptor_fetch(cpu, selector, d, X86_GP);
	if (x86_long_mode(&cpu->vcpu.regs) && !descriptor_whole(cpu, d))
		soft_fault_code(cpu, X86_GP, selector & 0xfffcu);
}

static void lldt(struct soft_cpu *cpu, u16 selector)
{
	struct x86_segment *ldtr = &cpu->vcpu.regs.seg[SEG_LDTR];
	struct descriptor d;

	if (!(selector & 0xfffc)) {
		*ldtr = (struct x86_segment){.selector = selector, .ar = AR_UNUSABLE};
		return;
	}
	system_fetch(cpu, selector, &d);
	if (DESC_S(&d) || DESC_TYPE(&d) != SYS_LDT)
		soft_fault_code(cpu, X86_GP, selector & 0xfffcu);
	if (!DESC_P(&d))
		soft_fault_code(cpu, X86_NP, selector & 0xfffcu);
	if (!x86_canonical(descriptor_base(&d)))
		soft_fault_code(cpu, X86_GP, selector & 0xfffcu);
	*ldtr = descriptor_segment(&d);
}

static void ltr(struct soft_cpu *cpu, u16 selector)
{
	struct descriptor d;

	if (!(selector & 0xfffc))
		soft_fault_code(cpu, X86_GP, 0);
	system_fetch(cpu, selector, &d);
	if (DESC_S(&d) || (d.high >> 40 & 31) ||
	    (DESC_TYPE(&d) != SYS_TSS && (x86_long_mode(&cpu->vcpu.regs) || DESC_TYPE(&d) != SYS_TSS16)))
		soft_fault_code(cpu, X86_GP, selector & 0xfffcu);
	if (!DESC_P(&d))
		soft_fault_code(cpu, X86_NP, selector & 0xfffcu);
	if (!x86_canonical(descriptor_base(&d)))
		soft_fault_code(cpu, X86_GP, selector & 0xfffcu);
	d.raw |= BIT(41); /* busy */
	soft_system_store(cpu, d.la + 5, 1, d.raw >> 40 & 0xff);
	cpu->vcpu.regs.seg[SEG_TR] = descriptor_segment(&d);
}

void op_lldt_r(struct soft_cpu *cpu, const struct insn *i)
{
	soft_require_cpl0(cpu);
	lldt(cpu, reg16(cpu, i->rm));
}

void op_lldt_m(struct soft_cpu *cpu, const struct insn *i)
{
	soft_require_cpl0(cpu);
	lldt(cpu, mem_ld16(cpu, i));
}

void op_ltr_r(struct soft_cpu *cpu, const struct insn *i)
{
	soft_require_cpl0(cpu);
	ltr(cpu, reg16(cpu, i->rm));
}

void op_ltr_m(struct soft_cpu *cpu, const struct insn *i)
{
	soft_require_cpl0(cpu);
	ltr(cpu, mem_ld16(cpu, i));
}

/* --- VERR, VERW, LAR, LSL --- */

/* Whether the present CPL and the selector's RPL may use a segment at its DPL. */
static bool privilege_allows(const struct soft_cpu *cpu, const struct descriptor *d)
{
	unsigned rpl = d->selector & 3;

	return (DESC_S(d) && DESC_CONFORMING(d)) || (DESC_DPL(d) >= cpu->cpl && DESC_DPL(d) >= rpl);
}

static void verify(struct soft_cpu *cpu, u16 selector, bool write)
{
	struct descriptor d;
	bool ok = descriptor_read(cpu, selector, &d) && DESC_S(&d) && privilege_allows(cpu, &d);

	if (ok)
		ok = write ? !DESC_CODE(&d) && (DESC_TYPE(&d) & AR_RW) : !DESC_CODE(&d) || (DESC_TYPE(&d) & AR_RW);
	alu_set_zf(&cpu->flags, ok);
}

#define VERIFY(name, write)                                            \
	void op_##name##_r(struct soft_cpu *cpu, const struct insn *i) \
	{                                                              \
		verify(cpu, reg16(cpu, i->rm), write);                 \
	}                                                              \
	void op_##name##_m(struct soft_cpu *cpu, const struct insn *i) \
	{                                                              \
		verify(cpu, mem_ld16(cpu, i), write);                  \
	}

VERIFY(verr, false)
VERIFY(verw, true)

/* System descriptor types that LAR and LSL accept (SDM volume 2, their tables); in long mode no 16-bit ones. */
static bool readable_type(const struct soft_cpu *cpu, const struct descriptor *d, bool limit)
{
	bool lm = x86_long_mode(&cpu->vcpu.regs);

	if (DESC_S(d))
		return true;
	switch (DESC_TYPE(d)) {
	case SYS_LDT:
	case SYS_TSS:
	case SYS_TSS_BUSY:
		return true;
	case SYS_TSS16:
	case SYS_TSS16_BUSY:
		return !lm;
	case SYS_CALL:
		return !limit;
	case SYS_CALL16:
	case SYS_TASK:
		return !limit && !lm;
	default:
		return false;
	}
}

static void load_rights(struct soft_cpu *cpu, const struct insn *i, u16 selector, bool limit)
{
	struct descriptor d;
	bool ok = descriptor_read(cpu, selector, &d) && readable_type(cpu, &d, limit) && privilege_allows(cpu, &d);

	/* LAR: bits 19:16 are undefined by Intel; AMD says, and processors do, that they are the descriptor's. */
	if (ok)
		reg_set(cpu, i->reg, i->osize, limit ? descriptor_limit(&d) : d.raw >> 32 & 0xffff00);
	alu_set_zf(&cpu->flags, ok);
}

#define RIGHTS(name, limit)                                            \
	void op_##name##_r(struct soft_cpu *cpu, const struct insn *i) \
	{                                                              \
		load_rights(cpu, i, reg16(cpu, i->rm), limit);         \
	}                                                              \
	void op_##name##_m(struct soft_cpu *cpu, const struct insn *i) \
	{                                                              \
		load_rights(cpu, i, mem_ld16(cpu, i), limit);          \
	}

RIGHTS(lar, false)
RIGHTS(lsl, true)

void op_arpl_r(struct soft_cpu *cpu, const struct insn *i)
{
	u16 d = reg16(cpu, i->rm), s = reg16(cpu, i->reg);
	bool raise = (d & 3) < (s & 3);

	if (raise)
		set_reg16(cpu, i->rm, (u16)((d & ~3u) | (s & 3)));
	alu_set_zf(&cpu->flags, raise);
}

void op_arpl_m(struct soft_cpu *cpu, const struct insn *i)
{
	u16 d, s = reg16(cpu, i->reg);
	u8 *p = mem_rmw16(cpu, i, &d);
	bool raise = (d & 3) < (s & 3);

	mem_rmw_st16(cpu, p, raise ? (u16)((d & ~3u) | (s & 3)) : d);
	alu_set_zf(&cpu->flags, raise);
}

void op_bound16(struct soft_cpu *cpu, const struct insn *i)
{
	s16 v = (s16)reg16(cpu, i->reg);
	u64 la = mem_linear(cpu, i, 4, ACCESS_READ);
	/* Two words: aligned as such. */
	s16 lower = (s16)la_ld16(cpu, la), upper = (s16)la_ld16(cpu, (u32)(la + 2));

	if (v < lower || v > upper)
		soft_fault(cpu, X86_BR);
}

void op_bound32(struct soft_cpu *cpu, const struct insn *i)
{
	s32 v = (s32)reg32(cpu, i->reg);
	u64 la = mem_linear(cpu, i, 8, ACCESS_READ);
	s32 lower = (s32)la_ld32(cpu, la), upper = (s32)la_ld32(cpu, (u32)(la + 4));

	if (v < lower || v > upper)
		soft_fault(cpu, X86_BR);
}

#define MOVSXD_OR_ARPL(size, form)                                                     \
	void op_movsxd_arpl##size##_##form(struct soft_cpu *cpu, const struct insn *i) \
	{                                                                              \
		if (cpu->mode & MODE_64)                                               \
			op_movsx##size##_32_##form(cpu, i);                            \
		else if (cpu->mode & MODE_REAL)                                        \
			soft_fault(cpu, X86_UD);                                       \
		else                                                                   \
			op_arpl_##form(cpu, i);                                        \
	}

MOVSXD_OR_ARPL(16, r)
MOVSXD_OR_ARPL(16, m)
MOVSXD_OR_ARPL(32, r)
MOVSXD_OR_ARPL(32, m)
