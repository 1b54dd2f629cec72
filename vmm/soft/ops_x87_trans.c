/* SPDX-License-Identifier: GPL-2.0-or-later */
/* F2XM1, FYL2X, FYL2XP1, FPTAN, FPATAN, FSIN, FCOS, FSINCOS. */
#include "vmm/soft/x87.h"
#include "vmm/soft/x87_math.h"

void op_f2xm1(struct soft_cpu *cpu, const struct insn *i)
{
	struct x86_fpu *fpu = x87_fpu(cpu);
	struct x87_reg r = F80_DEFAULT;
	struct f80_env env;

	x87_begin(cpu);
	env = x87_env(fpu);
	if (x87_empty(fpu, 0)) {
		env.raised = X87_UNDERFLOW;
	} else {
		struct f80_num a = x87_num(fpu, 0);

		r = f80_exp2m1(&env, &a);
	}
	x87_note(cpu, i);
	if (!x87_raise(cpu, i, env.raised))
		x87_set(fpu, 0, r);
}

/* ST1 = fn(ST1, ST0), then a pop. */
static void binary_pop(struct soft_cpu *cpu, const struct insn *i,
		       struct x87_reg (*fn)(struct f80_env *env, const struct f80_num *y, const struct f80_num *x))
{
	struct x86_fpu *fpu = x87_fpu(cpu);
	struct x87_reg r = F80_DEFAULT;
	struct f80_env env;

	x87_begin(cpu);
	env = x87_env(fpu);
	if (x87_empty(fpu, 0) || x87_empty(fpu, 1)) {
		env.raised = X87_UNDERFLOW;
	} else {
		struct f80_num x = x87_num(fpu, 0), y = x87_num(fpu, 1);

		r = fn(&env, &y, &x);
	}
	x87_note(cpu, i);
	if (x87_raise(cpu, i, env.raised))
		return;
	x87_set(fpu, 1, r);
	x87_pop(fpu);
}

void op_fyl2x(struct soft_cpu *cpu, const struct insn *i)
{
	binary_pop(cpu, i, f80_ylog2);
}

void op_fyl2xp1(struct soft_cpu *cpu, const struct insn *i)
{
	binary_pop(cpu, i, f80_ylog2p1);
}

void op_fpatan(struct soft_cpu *cpu, const struct insn *i)
{
	binary_pop(cpu, i, f80_atan2);
}

enum trig_op { SIN, COS, SINCOS, TAN };

/* C2 tells that |ST0| is too large; then nothing else changes. */
static void trig(struct soft_cpu *cpu, const struct insn *i, enum trig_op op)
{
	struct x86_fpu *fpu = x87_fpu(cpu);
	struct x87_reg first = F80_DEFAULT, second = F80_DEFAULT;
	bool two = op == SINCOS || op == TAN, in_range = true;
	struct f80_env env;

	x87_begin(cpu);
	env = x87_env(fpu);
	if (x87_empty(fpu, 0)) {
		env.raised = X87_UNDERFLOW;
	} else if (two && !x87_empty(fpu, 7)) {
		env.raised = X87_OVERFLOW;
	} else {
		struct f80_num a = x87_num(fpu, 0);

		if (op == TAN) {
			in_range = f80_tan(&env, &a, &first);
			/* NaNs and the indefinite come twice, results with a 1. */
			second = a.cls <= F80_FINITE ? F80_ONE : first;
		} else {
			in_range = f80_sincos(&env, &a, op == COS ? NULL : &first,
					      op == COS      ? &first
					      : op == SINCOS ? &second
							     : NULL);
		}
	}
	x87_note(cpu, i);
	fpu->fsw &= ~X87_C2;
	if (x87_raise(cpu, i, env.raised))
		return;
	if (!in_range) {
		fpu->fsw |= X87_C2;
		return;
	}
	x87_set(fpu, 0, first);
	if (two)
		x87_push(fpu, second);
}

void op_fsin(struct soft_cpu *cpu, const struct insn *i)
{
	trig(cpu, i, SIN);
}

void op_fcos(struct soft_cpu *cpu, const struct insn *i)
{
	trig(cpu, i, COS);
}

void op_fsincos(struct soft_cpu *cpu, const struct insn *i)
{
	trig(cpu, i, SINCOS);
}

void op_fptan(struct soft_cpu *cpu, const struct insn *i)
{
	trig(cpu, i, TAN);
}
