/* SPDX-License-Identifier: GPL-2.0-or-later */
/* FPREM, FPREM1, FSCALE and FXTRACT: exact operations on exponents and remainders. */
#include "vmm/soft/x87_float.h"

typedef unsigned __int128 u128;

static struct x87_reg round_exact(struct f80_env *env, bool sign, s32 exp, u128 m)
{
	unsigned shift;

	if (!m)
		return f80_zero(sign);
	shift = m >> 64 ? __builtin_clzll(m >> 64) : 64 + __builtin_clzll(m);
	m <<= shift;
	/* @exp is that of bit 63. */
	return f80_round(env, sign, exp + 64 - (s32)shift, m >> 64, m, 64);
}

/* a mod b for exponents that differ by @steps: one quotient bit a step. */
static u64 reduce(u64 a, u64 b, unsigned steps, u64 *quotient)
{
	u128 r = a;
	u64 q = 0;

	for (unsigned i = 0;; i++) {
		q <<= 1;
		if (r >= b) {
			r -= b;
			q |= 1;
		}
		if (i == steps)
			break;
		r <<= 1;
	}
	*quotient = q;
	return r;
}

static struct x87_reg rem_finite(struct f80_env *env, const struct f80_num *a, const struct f80_num *b, bool nearest,
				 unsigned *quotient, bool *partial)
{
	s32 diff = a->exp - b->exp;
	s32 exp = b->exp;
	bool sign = a->sign;
	u64 q = 0;
	u128 r;

	if (diff >= 64) {
		unsigned n = (diff & 31) | 32;

		*partial = true;
		r = reduce(a->mant, b->mant, n, &q);
		return round_exact(env, sign, exp + diff - (s32)n, r);
	}
	if (diff < -1 || (diff < 0 && !nearest))
		return round_exact(env, sign, a->exp, a->mant);
	if (diff < 0) {
		/* In halves of b's unit. */
		r = a->mant;
		exp--;
		if (a->mant > b->mant) {
			r = ((u128)b->mant << 1) - a->mant;
			sign = !sign;
			q = 1;
		}
	} else {
		r = reduce(a->mant, b->mant, diff, &q);
		if (nearest && (r << 1 > b->mant || (r << 1 == b->mant && (q & 1)))) {
			r = b->mant - r;
			sign = !sign;
			q++;
		}
	}
	*quotient = q & 7;
	return round_exact(env, r ? sign : a->sign, exp, r);
}

struct x87_reg f80_rem(struct f80_env *env, const struct f80_num *a, const struct f80_num *b, bool nearest,
		       unsigned *quotient, bool *partial)
{
	struct x87_reg r;

	*quotient = 0;
	*partial = false;
	if (f80_nan_result(env, a, b, &r))
		return r;
	if (a->cls == F80_INF || b->cls == F80_ZERO)
		return f80_invalid(env);
	if (f80_denormal(env, a, b))
		return F80_DEFAULT;
	if (a->cls == F80_ZERO)
		return f80_zero(a->sign);
	if (b->cls == F80_INF)
		return round_exact(env, a->sign, a->exp, a->mant);
	return rem_finite(env, a, b, nearest, quotient, partial);
}

/* The scale, cut to what decides every result. */
static s32 scale_of(const struct f80_num *b)
{
	s32 shift = F80_BIAS + 63 - b->exp, n;

	if (b->cls == F80_ZERO || shift > 63)
		return 0;
	n = shift < 63 - 16 ? 1 << 17 : (s32)(b->mant >> shift);
	return b->sign ? -n : n;
}

struct x87_reg f80_scale(struct f80_env *env, const struct f80_num *a, const struct f80_num *b)
{
	struct x87_reg r;

	if (f80_nan_result(env, a, b, &r))
		return r;
	if (b->cls == F80_INF && a->cls == (b->sign ? F80_INF : F80_ZERO))
		return f80_invalid(env);
	if (f80_denormal(env, a, b))
		return F80_DEFAULT;
	if (a->cls != F80_FINITE)
		return f80_pack(a);
	if (b->cls == F80_INF)
		return b->sign ? f80_zero(a->sign) : f80_inf(a->sign);
	return f80_round(env, a->sign, a->exp + scale_of(b), a->mant, 0, 64);
}

struct x87_reg f80_extract(struct f80_env *env, const struct f80_num *a, struct x87_reg *exponent)
{
	struct f80_num n;
	struct x87_reg r;

	*exponent = F80_DEFAULT;
	if (f80_nan_result(env, a, a, &r)) {
		*exponent = r;
		return r;
	}
	if (a->cls == F80_ZERO) {
		env->raised |= X87_ZE;
		*exponent = f80_inf(true);
		return f80_zero(a->sign);
	}
	if (a->cls == F80_INF) {
		*exponent = f80_inf(false);
		return f80_inf(a->sign);
	}
	if (f80_denormal(env, a, a))
		return F80_DEFAULT;
	n = f80_from_int(a->exp - F80_BIAS);
	*exponent = f80_pack(&n);
	return (struct x87_reg){a->mant, (a->sign ? F80_SIGN : 0) | F80_BIAS};
}
