/* SPDX-License-Identifier: GPL-2.0-or-later */
/* FCOM, FUCOM, FCOMI, FICOM, FTST, FXAM. */
#include "vmm/soft/x87.h"

#define UNORDERED (X87_C3 | X87_C2 | X87_C0)

static inline void set_cc(struct x86_fpu *fpu, u16 cc)
{
	fpu->fsw = (fpu->fsw & ~UNORDERED) | cc;
}

/* Compares ST0 with @b (NULL: an empty register) and pops @pops times. */
static void compare(struct soft_cpu *cpu, const struct insn *i, const struct f80_num *b, bool quiet, unsigned pops)
{
	struct x86_fpu *fpu = x87_fpu(cpu);
	struct f80_env env = x87_env(fpu);
	u16 cc = UNORDERED;

	if (unlikely(!b || x87_empty(fpu, 0))) {
		env.raised = X87_UNDERFLOW;
	} else {
		struct f80_num a = x87_num(fpu, 0);

		cc = f80_compare(&env, &a, b, quiet);
	}
	set_cc(fpu, cc);
	/* An unmasked exception keeps the pops from happening, not the answer. */
	if (x87_raise(cpu, i, env.raised))
		return;
	while (pops--)
		x87_pop(fpu);
}

static void compare_sti(struct soft_cpu *cpu, const struct insn *i, unsigned n, bool quiet, unsigned pops)
{
	struct x86_fpu *fpu = x87_fpu(cpu);
	struct f80_num b;

	x87_begin(cpu);
	x87_note(cpu, i);
	b = x87_num(fpu, n);
	compare(cpu, i, x87_empty(fpu, n) ? NULL : &b, quiet, pops);
}

void op_fcom_sti(struct soft_cpu *cpu, const struct insn *i)
{
	compare_sti(cpu, i, i->rm & 7, false, 0);
}

void op_fcomp_sti(struct soft_cpu *cpu, const struct insn *i)
{
	compare_sti(cpu, i, i->rm & 7, false, 1);
}

void op_fcompp(struct soft_cpu *cpu, const struct insn *i)
{
	compare_sti(cpu, i, 1, false, 2);
}

void op_fucom_sti(struct soft_cpu *cpu, const struct insn *i)
{
	compare_sti(cpu, i, i->rm & 7, true, 0);
}

void op_fucomp_sti(struct soft_cpu *cpu, const struct insn *i)
{
	compare_sti(cpu, i, i->rm & 7, true, 1);
}

void op_fucompp(struct soft_cpu *cpu, const struct insn *i)
{
	compare_sti(cpu, i, 1, true, 2);
}

static void compare_mem(struct soft_cpu *cpu, const struct insn *i, struct f80_num b, bool pop)
{
	x87_note_mem(cpu, i);
	compare(cpu, i, &b, false, pop);
}

#define DEFINE_COMPARE_MEM(suffix, load)                                   \
	void op_fcom_##suffix(struct soft_cpu *cpu, const struct insn *i)  \
	{                                                                  \
		x87_begin(cpu);                                            \
		compare_mem(cpu, i, load, false);                          \
	}                                                                  \
	void op_fcomp_##suffix(struct soft_cpu *cpu, const struct insn *i) \
	{                                                                  \
		x87_begin(cpu);                                            \
		compare_mem(cpu, i, load, true);                           \
	}

DEFINE_COMPARE_MEM(f32, f80_from_f32(mem_ld32(cpu, i)))
DEFINE_COMPARE_MEM(f64, f80_from_f64(mem_ld64(cpu, i)))
DEFINE_COMPARE_MEM(i32, f80_from_int((s32)mem_ld32(cpu, i)))
DEFINE_COMPARE_MEM(i16, f80_from_int((s16)mem_ld16(cpu, i)))

void op_ftst(struct soft_cpu *cpu, const struct insn *i)
{
	static const struct f80_num zero = {.cls = F80_ZERO};

	x87_begin(cpu);
	x87_note(cpu, i);
	compare(cpu, i, &zero, false, 0);
}

/* The result in ZF, PF, CF; OF, SF and AF become 0. */
static void compare_flags(struct soft_cpu *cpu, const struct insn *i, bool quiet, bool pop)
{
	struct x86_fpu *fpu = x87_fpu(cpu);
	unsigned n = i->rm & 7;
	u16 cc = UNORDERED;
	struct f80_env env;
	bool stopped;

	x87_begin(cpu);
	env = x87_env(fpu);
	if (unlikely(x87_empty(fpu, 0) || x87_empty(fpu, n))) {
		env.raised = X87_UNDERFLOW;
	} else {
		struct f80_num a = x87_num(fpu, 0), b = x87_num(fpu, n);

		cc = f80_compare(&env, &a, &b, quiet);
	}
	x87_note(cpu, i);
	stopped = x87_raise(cpu, i, env.raised);
	/* An unmasked invalid operation leaves EFLAGS alone (SDM volume 2, FCOMI). */
	if (env.raised & ~fpu->fcw & X87_IE)
		return;
	flags_set(&cpu->flags,
		  (cc & X87_C3 ? RFLAGS_ZF : 0) | (cc & X87_C2 ? RFLAGS_PF : 0) | (cc & X87_C0 ? RFLAGS_CF : 0));
	if (pop && !stopped)
		x87_pop(fpu);
}

void op_fcomi(struct soft_cpu *cpu, const struct insn *i)
{
	compare_flags(cpu, i, false, false);
}

void op_fcomip(struct soft_cpu *cpu, const struct insn *i)
{
	compare_flags(cpu, i, false, true);
}

void op_fucomi(struct soft_cpu *cpu, const struct insn *i)
{
	compare_flags(cpu, i, true, false);
}

void op_fucomip(struct soft_cpu *cpu, const struct insn *i)
{
	compare_flags(cpu, i, true, true);
}

/* Class in C3, C2, C0; the sign in C1, also of an empty register. */
void op_fxam(struct soft_cpu *cpu, const struct insn *i)
{
	struct x86_fpu *fpu = x87_fpu(cpu);
	struct f80_num a;
	u16 cc;

	x87_begin(cpu);
	x87_note(cpu, i);
	a = x87_num(fpu, 0);
	if (x87_empty(fpu, 0))
		cc = X87_C3 | X87_C0;
	else if (a.cls == F80_BAD)
		cc = 0;
	else if (a.cls == F80_QNAN || a.cls == F80_SNAN)
		cc = X87_C0;
	else if (a.cls == F80_INF)
		cc = X87_C2 | X87_C0;
	else if (a.cls == F80_ZERO)
		cc = X87_C3;
	else
		cc = a.denormal ? X87_C3 | X87_C2 : X87_C2;
	fpu->fsw = (fpu->fsw & ~X87_CC) | cc | (a.sign ? X87_C1 : 0);
}
