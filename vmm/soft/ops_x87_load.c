/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Moves: FLD, FST, FILD, FIST, FISTTP, FBLD, FBSTP, FXCH, FCMOVcc, FFREE and the constants. */
#include "vmm/soft/x87.h"

/* --- loads --- */

/* Pushes @r unless the stack is full or an invalid operation stops it; an unmasked DE doesn't. */
static void push_result(struct soft_cpu *cpu, const struct insn *i, struct x87_reg r, u16 raised)
{
	struct x86_fpu *fpu = x87_fpu(cpu);

	if (unlikely(!x87_empty(fpu, 7))) {
		raised = X87_OVERFLOW;
		r = F80_DEFAULT;
	}
	if (!x87_raise_stop(cpu, i, raised, X87_IE))
		x87_push(fpu, r);
}

static void load_num(struct soft_cpu *cpu, const struct insn *i, const struct f80_num *n)
{
	struct f80_env env = x87_env(x87_fpu(cpu));
	struct x87_reg r = f80_load(&env, n);

	x87_note_mem(cpu, i);
	push_result(cpu, i, r, env.raised);
}

void op_fld_f32(struct soft_cpu *cpu, const struct insn *i)
{
	struct f80_num n;

	x87_begin(cpu);
	n = f80_from_f32(mem_ld32(cpu, i));
	load_num(cpu, i, &n);
}

void op_fld_f64(struct soft_cpu *cpu, const struct insn *i)
{
	struct f80_num n;

	x87_begin(cpu);
	n = f80_from_f64(mem_ld64(cpu, i));
	load_num(cpu, i, &n);
}

/* No conversion, so that every encoding passes and nothing is raised. */
void op_fld_f80(struct soft_cpu *cpu, const struct insn *i)
{
	u8 buf[10];

	x87_begin(cpu);
	mem_ld_bytes(cpu, i, buf, sizeof(buf));
	x87_note_mem(cpu, i);
	push_result(cpu, i, (struct x87_reg){load64(buf), load16(buf + 8)}, 0);
}

static void load_int(struct soft_cpu *cpu, const struct insn *i, s64 v)
{
	struct f80_num n = f80_from_int(v);

	load_num(cpu, i, &n);
}

void op_fild_16(struct soft_cpu *cpu, const struct insn *i)
{
	x87_begin(cpu);
	load_int(cpu, i, (s16)mem_ld16(cpu, i));
}

void op_fild_32(struct soft_cpu *cpu, const struct insn *i)
{
	x87_begin(cpu);
	load_int(cpu, i, (s32)mem_ld32(cpu, i));
}

void op_fild_64(struct soft_cpu *cpu, const struct insn *i)
{
	x87_begin(cpu);
	load_int(cpu, i, (s64)mem_ld64(cpu, i));
}

void op_fbld(struct soft_cpu *cpu, const struct insn *i)
{
	struct f80_num n;
	u8 buf[10];

	x87_begin(cpu);
	mem_ld_bytes(cpu, i, buf, sizeof(buf));
	n = f80_from_bcd(buf);
	load_num(cpu, i, &n);
}

void op_fld_sti(struct soft_cpu *cpu, const struct insn *i)
{
	struct x86_fpu *fpu = x87_fpu(cpu);

	x87_begin(cpu);
	x87_note(cpu, i);
	/* An empty source is reported before a full stack. */
	if (unlikely(x87_empty(fpu, i->rm & 7))) {
		if (!x87_raise(cpu, i, X87_UNDERFLOW))
			x87_push(fpu, F80_DEFAULT);
		return;
	}
	push_result(cpu, i, x87_get(fpu, i->rm & 7), 0);
}

/* FLD1, FLDL2T, FLDL2E, FLDPI, FLDLG2, FLDLN2, FLDZ. The constants are kept to more than 64 bits and rounded by RC
 * (SDM volume 1, 8.3.2). */
void op_fld_constant(struct soft_cpu *cpu, const struct insn *i)
{
	static const struct {
		u64 down; /* truncated */
		u16 exp;
		u8 nearest; /* add when rounding to nearest */
		u8 up;      /* add when rounding up */
	} table[7] = {
	    {F80_INTEGER, F80_BIAS, 0, 0},
	    {0xd49a784bcd1b8afeull, F80_BIAS + 1, 0, 1},
	    {0xb8aa3b295c17f0bbull, F80_BIAS, 1, 1},
	    {0xc90fdaa22168c234ull, F80_BIAS + 1, 1, 1},
	    {0x9a209a84fbcff798ull, F80_BIAS - 2, 1, 1},
	    {0xb17217f7d1cf79abull, F80_BIAS - 1, 1, 1},
	    {0, 0, 0, 0},
	};
	unsigned n = i->modrm & 7;
	struct f80_env env;
	u64 mant;

	x87_begin(cpu);
	env = x87_env(x87_fpu(cpu));
	mant = table[n].down;
	if (f80_rc(&env) == ROUND_NEAREST)
		mant += table[n].nearest;
	else if (f80_rc(&env) == ROUND_UP)
		mant += table[n].up;
	x87_note(cpu, i);
	push_result(cpu, i, (struct x87_reg){mant, table[n].exp}, 0);
}

/* --- stores to memory --- */

enum store_format { STORE_F32, STORE_F64, STORE_INT, STORE_TRUNC, STORE_BCD };

static void convert(struct f80_env *env, const struct f80_num *n, enum store_format format, unsigned size, u8 *buf)
{
	switch (format) {
	case STORE_F32:
		store32(buf, f80_to_f32(env, n));
		break;
	case STORE_F64:
		store64(buf, f80_to_f64(env, n));
		break;
	case STORE_INT:
		store64(buf, f80_to_int(env, n, size, f80_rc(env)));
		break;
	case STORE_TRUNC:
		store64(buf, f80_to_int(env, n, size, ROUND_ZERO));
		break;
	case STORE_BCD:
		f80_to_bcd(env, n, buf);
		break;
	}
}

static void store(struct soft_cpu *cpu, const struct insn *i, enum store_format format, unsigned size, bool pop)
{
	struct x86_fpu *fpu = x87_fpu(cpu);
	struct f80_env env;
	struct f80_num n;
	u8 buf[16];

	x87_begin(cpu);
	env = x87_env(fpu);
	n = x87_num(fpu, 0);
	if (unlikely(x87_empty(fpu, 0))) {
		env.raised = X87_UNDERFLOW;
		n = f80_unpack(F80_DEFAULT);
		/* The indefinite of each format; converting it raises at most IE again. */
	}
	convert(&env, &n, format, size, buf);
	if (!x87_store_stops(fpu, env.raised))
		mem_st_bytes(cpu, i, buf, size);
	x87_note_mem(cpu, i);
	if (!x87_raise_stop(cpu, i, env.raised, X87_PRE_EXC | X87_OE | X87_UE) && pop)
		x87_pop(fpu);
}

#define DEFINE_STORE(name, format, size, pop)                 \
	void name(struct soft_cpu *cpu, const struct insn *i) \
	{                                                     \
		store(cpu, i, format, size, pop);             \
	}

DEFINE_STORE(op_fst_f32, STORE_F32, 4, false)
DEFINE_STORE(op_fstp_f32, STORE_F32, 4, true)
DEFINE_STORE(op_fst_f64, STORE_F64, 8, false)
DEFINE_STORE(op_fstp_f64, STORE_F64, 8, true)
DEFINE_STORE(op_fist_16, STORE_INT, 2, false)
DEFINE_STORE(op_fistp_16, STORE_INT, 2, true)
DEFINE_STORE(op_fist_32, STORE_INT, 4, false)
DEFINE_STORE(op_fistp_32, STORE_INT, 4, true)
DEFINE_STORE(op_fistp_64, STORE_INT, 8, true)
DEFINE_STORE(op_fisttp_16, STORE_TRUNC, 2, true)
DEFINE_STORE(op_fisttp_32, STORE_TRUNC, 4, true)
DEFINE_STORE(op_fisttp_64, STORE_TRUNC, 8, true)
DEFINE_STORE(op_fbstp, STORE_BCD, 10, true)

void op_fstp_f80(struct soft_cpu *cpu, const struct insn *i)
{
	struct x86_fpu *fpu = x87_fpu(cpu);
	struct x87_reg r;
	u16 raised = 0;
	u8 buf[10];

	x87_begin(cpu);
	r = x87_get(fpu, 0);
	if (unlikely(x87_empty(fpu, 0))) {
		raised = X87_UNDERFLOW;
		r = F80_DEFAULT;
	}
	store64(buf, r.mant);
	store16(buf + 8, r.se);
	if (!x87_store_stops(fpu, raised))
		mem_st_bytes(cpu, i, buf, sizeof(buf));
	x87_note_mem(cpu, i);
	if (!x87_raise(cpu, i, raised))
		x87_pop(fpu);
}

/* --- register moves --- */

static void store_sti(struct soft_cpu *cpu, const struct insn *i, bool pop)
{
	struct x86_fpu *fpu = x87_fpu(cpu);
	struct x87_reg r;
	u16 raised = 0;

	x87_begin(cpu);
	r = x87_get(fpu, 0);
	if (unlikely(x87_empty(fpu, 0))) {
		raised = X87_UNDERFLOW;
		r = F80_DEFAULT;
	}
	x87_note(cpu, i);
	if (x87_raise(cpu, i, raised))
		return;
	x87_set(fpu, i->rm & 7, r);
	if (pop)
		x87_pop(fpu);
}

void op_fst_sti(struct soft_cpu *cpu, const struct insn *i)
{
	store_sti(cpu, i, false);
}

void op_fstp_sti(struct soft_cpu *cpu, const struct insn *i)
{
	store_sti(cpu, i, true);
}

/* Undocumented D9 D8+i, the 8087's FSTP without a check: an empty ST0 is popped and nothing stored. */
void op_fstp_nocheck(struct soft_cpu *cpu, const struct insn *i)
{
	struct x86_fpu *fpu = x87_fpu(cpu);

	x87_begin(cpu);
	x87_note(cpu, i);
	fpu->fsw &= ~X87_C1;
	if (!x87_empty(fpu, 0))
		x87_set(fpu, i->rm & 7, x87_get(fpu, 0));
	x87_pop(fpu);
}

void op_fxch(struct soft_cpu *cpu, const struct insn *i)
{
	struct x86_fpu *fpu = x87_fpu(cpu);
	unsigned n = i->rm & 7;
	bool underflow;
	struct x87_reg a, b;

	x87_begin(cpu);
	a = x87_empty(fpu, 0) ? F80_DEFAULT : x87_get(fpu, 0);
	b = x87_empty(fpu, n) ? F80_DEFAULT : x87_get(fpu, n);
	underflow = x87_empty(fpu, 0) || x87_empty(fpu, n);
	x87_note(cpu, i);
	if (x87_raise(cpu, i, underflow ? X87_UNDERFLOW : 0))
		return;
	x87_set(fpu, 0, b);
	x87_set(fpu, n, a);
}

void op_ffree(struct soft_cpu *cpu, const struct insn *i)
{
	x87_begin(cpu);
	x87_note(cpu, i);
	x87_fpu(cpu)->fsw &= ~X87_C1;
	x87_free(x87_fpu(cpu), i->rm & 7);
}

/* Undocumented: FFREE, then a pop. */
void op_ffreep(struct soft_cpu *cpu, const struct insn *i)
{
	x87_begin(cpu);
	x87_note(cpu, i);
	x87_fpu(cpu)->fsw &= ~X87_C1;
	x87_free(x87_fpu(cpu), i->rm & 7);
	x87_pop(x87_fpu(cpu));
}

/* DA C0-DF and DB C0-DF: B, E, BE, U and their opposites. */
static bool fcmov_condition(const struct soft_cpu *cpu, const struct insn *i)
{
	const struct soft_flags *f = &cpu->flags;
	bool c;

	switch (i->modrm >> 3 & 3) {
	case 0:
		c = flag_cf(f);
		break;
	case 1:
		c = flag_zf(f);
		break;
	case 2:
		c = flag_cf(f) || flag_zf(f);
		break;
	default:
		c = flag_pf(f);
		break;
	}
	return c ^ (i->op & 1);
}

void op_fcmov(struct soft_cpu *cpu, const struct insn *i)
{
	struct x86_fpu *fpu = x87_fpu(cpu);
	unsigned n = i->rm & 7;

	x87_begin(cpu);
	x87_note(cpu, i);
	if (unlikely(x87_empty(fpu, 0) || x87_empty(fpu, n))) {
		if (!x87_raise(cpu, i, X87_UNDERFLOW))
			x87_set(fpu, 0, F80_DEFAULT);
		return;
	}
	if (fcmov_condition(cpu, i))
		x87_set(fpu, 0, x87_get(fpu, n));
}
