/* SPDX-License-Identifier: GPL-2.0-or-later */
/* FADD, FSUB, FMUL, FDIV and their forms; FCHS, FABS, FSQRT, FRNDINT, FSCALE, FPREM, FXTRACT. */
#include "vmm/soft/x87.h"

/* By ModRM.reg: 0 ADD, 1 MUL, 4 SUB, 5 SUBR, 6 DIV, 7 DIVR (2 and 3 are comparisons). The forms of DC and DE that
 * write ST(i) have the names of SUB and SUBR exchanged, and so ask for the same function of ST0 and the operand. */
static struct x87_reg arith(struct f80_env *env, unsigned op, const struct f80_num *a, const struct f80_num *b)
{
	switch (op) {
	case 0:
		return f80_add(env, a, b, false);
	case 1:
		return f80_mul(env, a, b);
	case 4:
		return f80_add(env, a, b, true);
	case 5:
		return f80_add(env, b, a, true);
	case 6:
		return f80_div(env, a, b);
	default:
		return f80_div(env, b, a);
	}
}

static void arith_sti(struct soft_cpu *cpu, const struct insn *i, unsigned dst, bool pop)
{
	struct x86_fpu *fpu = x87_fpu(cpu);
	unsigned n = i->rm & 7;
	struct x87_reg r = F80_DEFAULT;
	struct f80_env env;

	x87_begin(cpu);
	env = x87_env(fpu);
	if (unlikely(x87_empty(fpu, 0) || x87_empty(fpu, n))) {
		env.raised = X87_UNDERFLOW;
	} else {
		struct f80_num a = x87_num(fpu, 0), b = x87_num(fpu, n);

		r = arith(&env, i->modrm >> 3 & 7, &a, &b);
	}
	x87_note(cpu, i);
	if (x87_raise(cpu, i, env.raised))
		return;
	x87_set(fpu, dst, r);
	if (pop)
		x87_pop(fpu);
}

void op_farith_st0(struct soft_cpu *cpu, const struct insn *i)
{
	arith_sti(cpu, i, 0, false);
}

void op_farith_sti(struct soft_cpu *cpu, const struct insn *i)
{
	arith_sti(cpu, i, i->rm & 7, false);
}

void op_farith_sti_pop(struct soft_cpu *cpu, const struct insn *i)
{
	arith_sti(cpu, i, i->rm & 7, true);
}

static void arith_mem(struct soft_cpu *cpu, const struct insn *i, const struct f80_num *b)
{
	struct x86_fpu *fpu = x87_fpu(cpu);
	struct f80_env env = x87_env(fpu);
	struct x87_reg r = F80_DEFAULT;

	if (unlikely(x87_empty(fpu, 0))) {
		env.raised = X87_UNDERFLOW;
	} else {
		struct f80_num a = x87_num(fpu, 0);

		r = arith(&env, i->modrm >> 3 & 7, &a, b);
	}
	x87_note_mem(cpu, i);
	if (!x87_raise(cpu, i, env.raised))
		x87_set(fpu, 0, r);
}

void op_farith_f32(struct soft_cpu *cpu, const struct insn *i)
{
	struct f80_num b;

	x87_begin(cpu);
	b = f80_from_f32(mem_ld32(cpu, i));
	arith_mem(cpu, i, &b);
}

void op_farith_f64(struct soft_cpu *cpu, const struct insn *i)
{
	struct f80_num b;

	x87_begin(cpu);
	b = f80_from_f64(mem_ld64(cpu, i));
	arith_mem(cpu, i, &b);
}

void op_farith_i32(struct soft_cpu *cpu, const struct insn *i)
{
	struct f80_num b;

	x87_begin(cpu);
	b = f80_from_int((s32)mem_ld32(cpu, i));
	arith_mem(cpu, i, &b);
}

void op_farith_i16(struct soft_cpu *cpu, const struct insn *i)
{
	struct f80_num b;

	x87_begin(cpu);
	b = f80_from_int((s16)mem_ld16(cpu, i));
	arith_mem(cpu, i, &b);
}

/* --- one operand --- */

/* FCHS, FABS: the sign bit of any encoding. */
static void sign_op(struct soft_cpu *cpu, const struct insn *i, u16 and, u16 xor)
{
	struct x86_fpu *fpu = x87_fpu(cpu);
	struct x87_reg r;

	x87_begin(cpu);
	x87_note(cpu, i);
	if (unlikely(x87_empty(fpu, 0))) {
		if (!x87_raise(cpu, i, X87_UNDERFLOW))
			x87_set(fpu, 0, F80_DEFAULT);
		return;
	}
	x87_raise(cpu, i, 0);
	r = x87_get(fpu, 0);
	r.se = (r.se & and) ^ xor;
	x87_set(fpu, 0, r);
}

void op_fchs(struct soft_cpu *cpu, const struct insn *i)
{
	sign_op(cpu, i, 0xffff, F80_SIGN);
}

void op_fabs(struct soft_cpu *cpu, const struct insn *i)
{
	sign_op(cpu, i, 0x7fff, 0);
}

static void unary(struct soft_cpu *cpu, const struct insn *i,
		  struct x87_reg (*fn)(struct f80_env *env, const struct f80_num *a))
{
	struct x86_fpu *fpu = x87_fpu(cpu);
	struct x87_reg r = F80_DEFAULT;
	struct f80_env env;

	x87_begin(cpu);
	env = x87_env(fpu);
	if (unlikely(x87_empty(fpu, 0))) {
		env.raised = X87_UNDERFLOW;
	} else {
		struct f80_num a = x87_num(fpu, 0);

		r = fn(&env, &a);
	}
	x87_note(cpu, i);
	if (!x87_raise(cpu, i, env.raised))
		x87_set(fpu, 0, r);
}

void op_fsqrt(struct soft_cpu *cpu, const struct insn *i)
{
	unary(cpu, i, f80_sqrt);
}

void op_frndint(struct soft_cpu *cpu, const struct insn *i)
{
	unary(cpu, i, f80_rint);
}

void op_fscale(struct soft_cpu *cpu, const struct insn *i)
{
	struct x86_fpu *fpu = x87_fpu(cpu);
	struct x87_reg r = F80_DEFAULT;
	struct f80_env env;

	x87_begin(cpu);
	env = x87_env(fpu);
	if (unlikely(x87_empty(fpu, 0) || x87_empty(fpu, 1))) {
		env.raised = X87_UNDERFLOW;
	} else {
		struct f80_num a = x87_num(fpu, 0), b = x87_num(fpu, 1);

		r = f80_scale(&env, &a, &b);
	}
	x87_note(cpu, i);
	if (!x87_raise(cpu, i, env.raised))
		x87_set(fpu, 0, r);
}

/* C2: reduction incomplete. Otherwise C0, C3, C1 are bits 2, 1, 0 of the quotient. */
static void remainder_op(struct soft_cpu *cpu, const struct insn *i, bool nearest)
{
	struct x86_fpu *fpu = x87_fpu(cpu);
	struct x87_reg r = F80_DEFAULT;
	unsigned quotient = 0;
	bool partial = false;
	bool number = false;
	struct f80_env env;
	u16 cc;

	x87_begin(cpu);
	env = x87_env(fpu);
	if (unlikely(x87_empty(fpu, 0) || x87_empty(fpu, 1))) {
		env.raised = X87_UNDERFLOW;
	} else {
		struct f80_num a = x87_num(fpu, 0), b = x87_num(fpu, 1);

		number = a.cls <= F80_FINITE && b.cls <= F80_INF && b.cls != F80_ZERO;
		r = f80_rem(&env, &a, &b, nearest, &quotient, &partial);
	}
	x87_note(cpu, i);
	fpu->fsw &= ~X87_C2;
	if (x87_raise(cpu, i, env.raised))
		return;
	cc = partial ? X87_C2 : (quotient & 4 ? X87_C0 : 0) | (quotient & 2 ? X87_C3 : 0) | (quotient & 1 ? X87_C1 : 0);
	/* An invalid operation or a NaN leaves C0 and C3 alone. */
	if (number)
		fpu->fsw = (fpu->fsw & ~X87_CC) | cc;
	x87_set(fpu, 0, r);
}

void op_fprem(struct soft_cpu *cpu, const struct insn *i)
{
	remainder_op(cpu, i, false);
}

void op_fprem1(struct soft_cpu *cpu, const struct insn *i)
{
	remainder_op(cpu, i, true);
}

void op_fxtract(struct soft_cpu *cpu, const struct insn *i)
{
	struct x86_fpu *fpu = x87_fpu(cpu);
	struct x87_reg exponent = F80_DEFAULT, significand = F80_DEFAULT;
	struct f80_env env;

	x87_begin(cpu);
	env = x87_env(fpu);
	if (unlikely(x87_empty(fpu, 0))) {
		env.raised = X87_UNDERFLOW;
	} else if (unlikely(!x87_empty(fpu, 7))) {
		env.raised = X87_OVERFLOW;
	} else {
		struct f80_num a = x87_num(fpu, 0);

		significand = f80_extract(&env, &a, &exponent);
	}
	x87_note(cpu, i);
	if (x87_raise(cpu, i, env.raised))
		return;
	x87_set(fpu, 0, exponent);
	x87_push(fpu, significand);
}
