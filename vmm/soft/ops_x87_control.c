/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Control words, environment and state in memory, stack pointer, FWAIT. */
#include "vmm/soft/x87.h"

static void set_fcw(struct x86_fpu *fpu, u16 v)
{
	fpu->fcw = (v & X87_FCW_BITS) | 0x40;
	x87_update_summary(fpu);
}

void op_fldcw(struct soft_cpu *cpu, const struct insn *i)
{
	x87_begin(cpu);
	set_fcw(x87_fpu(cpu), mem_ld16(cpu, i));
}

void op_fnstcw(struct soft_cpu *cpu, const struct insn *i)
{
	x87_begin_nowait(cpu);
	mem_st16(cpu, i, x87_fpu(cpu)->fcw);
}

void op_fnstsw(struct soft_cpu *cpu, const struct insn *i)
{
	x87_begin_nowait(cpu);
	mem_st16(cpu, i, x87_fpu(cpu)->fsw);
}

void op_fnstsw_ax(struct soft_cpu *cpu, const struct insn *i)
{
	x87_begin_nowait(cpu);
	set_reg16(cpu, RAX, x87_fpu(cpu)->fsw);
}

/* --- environment (SDM volume 1, figures 8-9 to 8-12) --- */

#define ENV_MAX  28
#define SAVE_MAX (ENV_MAX + 80)

static bool env_is_16(const struct insn *i)
{
	return i->osize == 2;
}

static unsigned env_size(const struct insn *i)
{
	return env_is_16(i) ? 14 : 28;
}

/* Two bits a register: valid, zero, special, empty. */
static u16 full_tags(const struct x86_fpu *fpu)
{
	u16 tags = 0;

	for (unsigned n = 0; n < 8; n++) {
		unsigned exp = fpu->st[n].se & F80_EXP_MAX, tag = 0;

		if (!(fpu->ftw >> n & 1))
			tag = 3;
		else if (!exp && !fpu->st[n].mant)
			tag = 1;
		else if (!exp || exp == F80_EXP_MAX || !(fpu->st[n].mant >> 63))
			tag = 2;
		tags |= tag << (2 * n);
	}
	return tags;
}

static u8 abridged_tags(u16 tags)
{
	u8 ftw = 0;

	for (unsigned n = 0; n < 8; n++)
		if ((tags >> (2 * n) & 3) != 3)
			ftw |= 1u << n;
	return ftw;
}

static void env_encode_16(const struct soft_cpu *cpu, u8 *p)
{
	const struct x86_fpu *fpu = &cpu->vcpu.regs.fpu;

	store16(p, fpu->fcw);
	store16(p + 2, fpu->fsw);
	store16(p + 4, full_tags(fpu));
	store16(p + 6, fpu->fip);
	store16(p + 10, fpu->fdp);
	if (cpu->mode & MODE_REAL) {
		/* Linear addresses, of a code and data segment whose selectors are stored as 0. */
		store16(p + 8, (fpu->fip >> 16 & 15) << 12 | (fpu->fop & 0x7ff));
		store16(p + 12, (fpu->fdp >> 16 & 15) << 12);
	} else {
		store16(p + 8, fpu->fcs);
		store16(p + 12, fpu->fds);
	}
}

static void env_encode_32(const struct soft_cpu *cpu, u8 *p)
{
	const struct x86_fpu *fpu = &cpu->vcpu.regs.fpu;

	store32(p, 0xffff0000u | fpu->fcw);
	store32(p + 4, 0xffff0000u | fpu->fsw);
	store32(p + 8, 0xffff0000u | full_tags(fpu));
	if (cpu->mode & MODE_REAL) {
		store32(p + 12, 0xffff0000u | (u16)fpu->fip);
		store32(p + 16, (u32)(fpu->fip >> 16 & 0xffff) << 12 | (fpu->fop & 0x7ff));
		store32(p + 20, 0xffff0000u | (u16)fpu->fdp);
		store32(p + 24, (u32)(fpu->fdp >> 16 & 0xffff) << 12);
	} else {
		store32(p + 12, fpu->fip);
		store32(p + 16, (u32)(fpu->fop & 0x7ff) << 16 | fpu->fcs);
		store32(p + 20, fpu->fdp);
		store32(p + 24, 0xffff0000u | fpu->fds);
	}
}

static void env_encode(const struct soft_cpu *cpu, const struct insn *i, u8 *p)
{
	if (env_is_16(i))
		env_encode_16(cpu, p);
	else
		env_encode_32(cpu, p);
}

static void env_decode(struct soft_cpu *cpu, const struct insn *i, const u8 *p)
{
	struct x86_fpu *fpu = x87_fpu(cpu);
	bool real = cpu->mode & MODE_REAL;

	if (env_is_16(i)) {
		fpu->ftw = abridged_tags(load16(p + 4));
		fpu->fip = load16(p + 6) | (real ? (load16(p + 8) >> 12) << 16 : 0);
		fpu->fdp = load16(p + 10) | (real ? (load16(p + 12) >> 12) << 16 : 0);
		fpu->fop = real ? load16(p + 8) & 0x7ff : 0;
		fpu->fsw = load16(p + 2);
	} else {
		fpu->ftw = abridged_tags(load16(p + 8));
		if (real) {
			fpu->fip = load16(p + 12) | (load32(p + 16) >> 12 & 0xffff) << 16;
			fpu->fop = load16(p + 16) & 0x7ff;
			fpu->fdp = load16(p + 20) | (load32(p + 24) >> 12 & 0xffff) << 16;
		} else {
			fpu->fip = load32(p + 12);
			fpu->fop = load16(p + 18) & 0x7ff;
			fpu->fdp = load32(p + 20);
		}
		fpu->fsw = load16(p + 4);
	}
	fpu->fcs = fpu->fds = 0;
	set_fcw(fpu, load16(p));
}

/* In alignment checks an image is a run of words or doublewords (SDM 3A, table 6-7). Before a store, after a load: a page
 * fault comes first. */
static void check_image(struct soft_cpu *cpu, const struct insn *i, unsigned size, enum access access)
{
	u64 la;

	if (likely(cpu->tlb != &cpu->tlbs[MMU_USER_ALIGN]))
		return;
	la = mem_linear(cpu, i, size, access);
	if (access == ACCESS_WRITE)
		soft_probe_write(cpu, la, size);
	if (la & (env_is_16(i) ? 1 : 3))
		soft_fault_code(cpu, X86_AC, 0);
}

void op_fnstenv(struct soft_cpu *cpu, const struct insn *i)
{
	struct x86_fpu *fpu = x87_fpu(cpu);
	u8 buf[ENV_MAX];

	x87_begin_nowait(cpu);
	env_encode(cpu, i, buf);
	check_image(cpu, i, env_size(i), ACCESS_WRITE);
	mem_st_bytes(cpu, i, buf, env_size(i));
	fpu->fcw |= X87_EXC;
	x87_update_summary(fpu);
}

void op_fldenv(struct soft_cpu *cpu, const struct insn *i)
{
	u8 buf[ENV_MAX];

	x87_begin(cpu);
	mem_ld_bytes(cpu, i, buf, env_size(i));
	check_image(cpu, i, env_size(i), ACCESS_READ);
	env_decode(cpu, i, buf);
}

/* The environment, then ST0 to ST7 in ten bytes each. */
void op_fnsave(struct soft_cpu *cpu, const struct insn *i)
{
	struct x86_fpu *fpu = x87_fpu(cpu);
	unsigned size = env_size(i);
	u8 buf[SAVE_MAX];

	x87_begin_nowait(cpu);
	env_encode(cpu, i, buf);
	for (unsigned n = 0; n < 8; n++) {
		struct x87_reg r = x87_get(fpu, n);

		store64(buf + size + 10 * n, r.mant);
		store16(buf + size + 10 * n + 8, r.se);
	}
	check_image(cpu, i, size + 80, ACCESS_WRITE);
	mem_st_bytes(cpu, i, buf, size + 80);
	x87_init(fpu);
}

void op_frstor(struct soft_cpu *cpu, const struct insn *i)
{
	struct x86_fpu *fpu = x87_fpu(cpu);
	unsigned size = env_size(i);
	u8 buf[SAVE_MAX];

	x87_begin(cpu);
	mem_ld_bytes(cpu, i, buf, size + 80);
	check_image(cpu, i, size + 80, ACCESS_READ);
	env_decode(cpu, i, buf);
	for (unsigned n = 0; n < 8; n++) {
		struct x87_reg *r = &fpu->st[x87_phys(fpu, n)];

		r->mant = load64(buf + size + 10 * n);
		r->se = load16(buf + size + 10 * n + 8);
	}
}

/* --- the rest --- */

void op_fninit(struct soft_cpu *cpu, const struct insn *i)
{
	x87_begin_nowait(cpu);
	x87_init(x87_fpu(cpu));
}

void op_fnclex(struct soft_cpu *cpu, const struct insn *i)
{
	x87_begin_nowait(cpu);
	x87_fpu(cpu)->fsw &= ~(X87_EXC | X87_SF | X87_ES | X87_B);
}

void op_fnop(struct soft_cpu *cpu, const struct insn *i)
{
	x87_begin(cpu);
	x87_note(cpu, i);
}

/* FENI, FDISI (8087) and FSETPM (80287): accepted and without effect. */
void op_fnop_nowait(struct soft_cpu *cpu, const struct insn *i)
{
	x87_begin_nowait(cpu);
}

void op_fincstp(struct soft_cpu *cpu, const struct insn *i)
{
	struct x86_fpu *fpu = x87_fpu(cpu);

	x87_begin(cpu);
	x87_note(cpu, i);
	fpu->fsw &= ~X87_C1;
	x87_set_top(fpu, x87_top(fpu) + 1);
}

void op_fdecstp(struct soft_cpu *cpu, const struct insn *i)
{
	struct x86_fpu *fpu = x87_fpu(cpu);

	x87_begin(cpu);
	x87_note(cpu, i);
	fpu->fsw &= ~X87_C1;
	x87_set_top(fpu, x87_top(fpu) - 1);
}

/* Depends on MP and TS together, not on EM (SDM volume 3, 2.5). */
void op_fwait(struct soft_cpu *cpu, const struct insn *i)
{
	if ((cpu->vcpu.regs.cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
		soft_fault(cpu, X86_NM);
	x87_check_pending(cpu);
}
