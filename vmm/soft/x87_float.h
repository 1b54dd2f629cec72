/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Double-extended arithmetic in integers: what the x87 computes, apart from its stack and status word.
 *
 * Every result, exception flag and rounding direction follows SDM volume 1 chapters 4 and 8 and depends on nothing of
 * the host. Pure functions: the control word goes in through struct f80_env, exceptions come out of it.
 *
 * An unmasked invalid, denormal or zero-divide exception means the result is not to be used; the caller looks at
 * env->raised & ~env->fcw. Unmasked overflow and underflow give the result with its exponent wrapped by 24576. */
#ifndef VMM_SOFT_X87_FLOAT_H
#define VMM_SOFT_X87_FLOAT_H

#include "vmm/types.h"
#include "vmm/x86/state.h"

/* Status word; the low six are the mask bits of the control word too. */
#define X87_IE      0x0001u
#define X87_DE      0x0002u
#define X87_ZE      0x0004u
#define X87_OE      0x0008u
#define X87_UE      0x0010u
#define X87_PE      0x0020u
#define X87_SF      0x0040u
#define X87_ES      0x0080u
#define X87_C0      0x0100u
#define X87_C1      0x0200u
#define X87_C2      0x0400u
#define X87_TOP     0x3800u
#define X87_C3      0x4000u
#define X87_B       0x8000u
#define X87_EXC     0x003fu /* the six exceptions */
#define X87_CC      (X87_C0 | X87_C1 | X87_C2 | X87_C3)
#define X87_PRE_EXC (X87_IE | X87_DE | X87_ZE) /* found before a result exists */

#define F80_BIAS    16383
#define F80_EXP_MAX 0x7fff
#define F80_WRAP    24576 /* exponent adjustment of unmasked overflow and underflow (SDM 1, 8.5.4) */

#define F80_SIGN    0x8000u
#define F80_INTEGER (1ull << 63)
#define F80_QUIET   (1ull << 62)
#define F80_DEFAULT ((struct x87_reg){0xc000000000000000ull, 0xffff}) /* the QNaN real indefinite */
#define F80_ONE     ((struct x87_reg){F80_INTEGER, F80_BIAS})
#define F32_DEFAULT 0xffc00000u
#define F64_DEFAULT 0xfff8000000000000ull

enum rounding { ROUND_NEAREST, ROUND_DOWN, ROUND_UP, ROUND_ZERO }; /* as in FCW.RC */

struct f80_env {
	u16 fcw;
	u16 raised; /* exception flags; X87_C1 when the result was rounded away from zero */
};

enum f80_class {
	F80_ZERO,
	F80_FINITE, /* normal or denormal */
	F80_INF,
	F80_QNAN,
	F80_SNAN,
	F80_BAD, /* an encoding the x87 doesn't support: unnormal, pseudo-NaN, pseudo-infinity */
};

/* A number taken apart. FINITE: mant has its top bit set, the value is mant * 2^(exp - 16383 - 63). */
struct f80_num {
	u64 mant;
	s32 exp;
	bool sign;
	bool denormal; /* the source's encoding was denormal */
	u8 cls;        /* enum f80_class */
};

static inline enum rounding f80_rc(const struct f80_env *env)
{
	return env->fcw >> 10 & 3;
}

/* Bits of significand by FCW.PC; the reserved value 1 gives full precision. */
static inline unsigned f80_precision(u16 fcw)
{
	switch (fcw >> 8 & 3) {
	case 0:
		return 24;
	case 2:
		return 53;
	default:
		return 64;
	}
}

static inline bool f80_is_nan(const struct f80_num *n)
{
	return n->cls == F80_QNAN || n->cls == F80_SNAN;
}

static inline struct x87_reg f80_zero(bool sign)
{
	return (struct x87_reg){0, sign ? F80_SIGN : 0};
}

static inline struct x87_reg f80_inf(bool sign)
{
	return (struct x87_reg){F80_INTEGER, (sign ? F80_SIGN : 0) | F80_EXP_MAX};
}

struct f80_num f80_unpack(struct x87_reg r);
struct f80_num f80_from_f32(u32 v);
struct f80_num f80_from_f64(u64 v);
struct f80_num f80_from_int(s64 v);
/* The exact register encoding; a NaN keeps its quiet bit. */
struct x87_reg f80_pack(const struct f80_num *n);

/* Rounds hi:lo (top bit of hi set) * 2^(exp - 16383 - 127) to @prec bits and raises what follows. */
struct x87_reg f80_round(struct f80_env *env, bool sign, s32 exp, u64 hi, u64 lo, unsigned prec);

struct x87_reg f80_add(struct f80_env *env, const struct f80_num *a, const struct f80_num *b, bool subtract);
struct x87_reg f80_mul(struct f80_env *env, const struct f80_num *a, const struct f80_num *b);
struct x87_reg f80_div(struct f80_env *env, const struct f80_num *a, const struct f80_num *b);
struct x87_reg f80_sqrt(struct f80_env *env, const struct f80_num *a);
struct x87_reg f80_rint(struct f80_env *env, const struct f80_num *a);
struct x87_reg f80_scale(struct f80_env *env, const struct f80_num *a, const struct f80_num *b);
/* Significand, and the unbiased exponent in *@exponent. */
struct x87_reg f80_extract(struct f80_env *env, const struct f80_num *a, struct x87_reg *exponent);
/* FPREM, and with @nearest FPREM1. *@quotient: its low three bits; *@partial: reduction incomplete. */
struct x87_reg f80_rem(struct f80_env *env, const struct f80_num *a, const struct f80_num *b, bool nearest,
		       unsigned *quotient, bool *partial);
/* The condition codes C3, C2, C0 of a compared with b; @quiet: QNaNs raise nothing (FUCOM). */
u16 f80_compare(struct f80_env *env, const struct f80_num *a, const struct f80_num *b, bool quiet);

/* Conversions to memory formats (x87_convert.c). After an unmasked IE, OE or UE the value is not to be stored. */
u32 f80_to_f32(struct f80_env *env, const struct f80_num *a);
u64 f80_to_f64(struct f80_env *env, const struct f80_num *a);
/* To an integer of @size bytes (2, 4, 8); invalid gives the integer indefinite. */
s64 f80_to_int(struct f80_env *env, const struct f80_num *a, unsigned size, enum rounding rc);
/* Packed BCD, 10 bytes. */
struct f80_num f80_from_bcd(const u8 *bcd);
void f80_to_bcd(struct f80_env *env, const struct f80_num *a, u8 *bcd);
/* Loading a memory format into a register: raises IE (SNaN, which becomes quiet) and DE. */
struct x87_reg f80_load(struct f80_env *env, const struct f80_num *a);

/* For the functions above and x87_math.c. True when an operand is a NaN or unsupported: *@result is the answer. */
bool f80_nan_result(struct f80_env *env, const struct f80_num *a, const struct f80_num *b, struct x87_reg *result);
struct x87_reg f80_invalid(struct f80_env *env);
/* Raises DE when an operand is denormal; true when that is unmasked. */
bool f80_denormal(struct f80_env *env, const struct f80_num *a, const struct f80_num *b);

/* Rounding to any binary format; see x87_float.c. */
struct f80_format {
	u8 prec;  /* bits of significand */
	u16 emax; /* the biased exponent of infinity */
	u16 wrap; /* exponent adjustment, 0: none */
};
struct f80_rounded {
	u64 mant; /* top bit clear: denormal or zero */
	s32 exp;  /* biased; emax: infinity */
};
struct f80_rounded f80_round_format(struct f80_env *env, bool sign, s32 exp, u64 hi, u64 lo,
				    const struct f80_format *f);
/* Splits mant * 2^(exp - 16383 - 63) into integer and rounding; false when it needs more than 64 bits. */
bool f80_integer(struct f80_env *env, const struct f80_num *a, enum rounding rc, u64 *integer);

#endif
