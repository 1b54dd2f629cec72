/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/soft/x87_float.h"

#define IMPLICIT (1ull << 63)

typedef unsigned __int128 u128;

struct f80_num f80_unpack(struct x87_reg r)
{
	struct f80_num n = {.mant = r.mant, .exp = r.se & F80_EXP_MAX, .sign = r.se >> 15, .cls = F80_FINITE};

	if (likely(n.exp != 0 && n.exp != F80_EXP_MAX && n.mant >> 63))
		return n;
	if (n.exp == 0) {
		if (!n.mant) {
			n.cls = F80_ZERO;
			return n;
		}
		unsigned shift = __builtin_clzll(n.mant);

		n.denormal = true;
		n.mant <<= shift;
		n.exp = 1 - (s32)shift;
	} else if (!(n.mant >> 63)) {
		n.cls = F80_BAD;
	} else if (!(n.mant << 1)) {
		n.cls = F80_INF;
	} else {
		n.cls = n.mant & F80_QUIET ? F80_QNAN : F80_SNAN;
	}
	return n;
}

struct x87_reg f80_pack(const struct f80_num *n)
{
	u16 sign = n->sign ? F80_SIGN : 0;

	switch (n->cls) {
	case F80_ZERO:
		return f80_zero(n->sign);
	case F80_FINITE:
		if (n->exp > 0)
			return (struct x87_reg){n->mant, sign | n->exp};
		return (struct x87_reg){n->mant >> (1 - n->exp), sign};
	case F80_INF:
		return f80_inf(n->sign);
	default:
		return (struct x87_reg){n->mant, sign | F80_EXP_MAX};
	}
}

struct x87_reg f80_invalid(struct f80_env *env)
{
	env->raised |= X87_IE;
	return F80_DEFAULT;
}

/* SDM volume 1 table 4-7: the rules of the x87, where the larger significand wins. */
bool f80_nan_result(struct f80_env *env, const struct f80_num *a, const struct f80_num *b, struct x87_reg *result)
{
	const struct f80_num *pick;

	if (likely(a->cls <= F80_INF && b->cls <= F80_INF))
		return false;
	if (a->cls == F80_BAD || b->cls == F80_BAD) {
		*result = f80_invalid(env);
		return true;
	}
	if (a->cls == F80_SNAN || b->cls == F80_SNAN)
		env->raised |= X87_IE;
	if (!f80_is_nan(a))
		pick = b;
	else if (!f80_is_nan(b))
		pick = a;
	else if (a->cls != b->cls)
		pick = a->cls == F80_QNAN ? a : b;
	else if (a->mant != b->mant)
		pick = a->mant > b->mant ? a : b;
	else
		pick = a->sign ? b : a;
	*result = (struct x87_reg){pick->mant | F80_QUIET, (pick->sign ? F80_SIGN : 0) | F80_EXP_MAX};
	return true;
}

bool f80_denormal(struct f80_env *env, const struct f80_num *a, const struct f80_num *b)
{
	if (likely(!a->denormal && !b->denormal))
		return false;
	env->raised |= X87_DE;
	return !(env->fcw & X87_DE);
}

/* --- rounding --- */

struct rounding_result {
	u64 mant;
	bool carry; /* mant went from all ones to a one above the top bit, now shifted back */
	bool inexact;
	bool up;
};

static struct rounding_result round_mant(u64 hi, u64 lo, unsigned prec, enum rounding rc, bool sign)
{
	u64 mask = prec == 64 ? 0 : ~0ull >> prec;
	bool half = mask ? hi >> (63 - prec) & 1 : lo >> 63;
	bool sticky = mask ? (hi & mask >> 1) | lo : lo << 1;
	struct rounding_result r = {.mant = hi & ~mask, .inexact = half | sticky};

	switch (rc) {
	case ROUND_NEAREST:
		r.up = half && (sticky || (hi & (mask + 1)));
		break;
	case ROUND_DOWN:
		r.up = sign && r.inexact;
		break;
	case ROUND_UP:
		r.up = !sign && r.inexact;
		break;
	case ROUND_ZERO:
		break;
	}
	if (r.up) {
		r.mant += mask + 1;
		if (!r.mant) {
			r.mant = IMPLICIT;
			r.carry = true;
		}
	}
	return r;
}

static void shift_right_sticky(u64 *hi, u64 *lo, unsigned n)
{
	u128 v = (u128)*hi << 64 | *lo;

	if (n >= 128) {
		v = v != 0;
	} else if (n) {
		bool sticky = v << (128 - n) != 0;

		v = v >> n | sticky;
	}
	*hi = v >> 64;
	*lo = v;
}

static struct f80_rounded round_overflow(struct f80_env *env, bool sign, s32 exp, struct rounding_result r,
					 const struct f80_format *f)
{
	enum rounding rc = f80_rc(env);

	env->raised |= X87_OE;
	if (!(env->fcw & X87_OE) && f->wrap && exp - f->wrap < f->emax) {
		env->raised |= (r.inexact ? X87_PE : 0) | (r.up ? X87_C1 : 0);
		return (struct f80_rounded){r.mant, exp - f->wrap};
	}
	if (!(env->fcw & X87_OE) && !f->wrap)
		return (struct f80_rounded){IMPLICIT, f->emax};
	env->raised |= X87_PE;
	/* Unmasked and still too large (FSCALE only): infinity whatever the rounding. */
	if (!(env->fcw & X87_OE) || rc == ROUND_NEAREST || rc == (sign ? ROUND_DOWN : ROUND_UP)) {
		env->raised |= X87_C1;
		return (struct f80_rounded){IMPLICIT, f->emax};
	}
	return (struct f80_rounded){~0ull << (64 - f->prec), f->emax - 1};
}

static struct f80_rounded round_underflow(struct f80_env *env, bool sign, s32 exp, u64 hi, u64 lo,
					  struct rounding_result r, const struct f80_format *f)
{
	if (!(env->fcw & X87_UE)) {
		env->raised |= X87_UE;
		if (!f->wrap)
			return (struct f80_rounded){0, 0};
		exp += r.carry + f->wrap;
		if (exp > 0) {
			env->raised |= (r.inexact ? X87_PE : 0) | (r.up ? X87_C1 : 0);
			return (struct f80_rounded){r.mant, exp};
		}
		env->raised |= X87_PE;
		return (struct f80_rounded){0, 0};
	}
	shift_right_sticky(&hi, &lo, 1 - exp);
	r = round_mant(hi, lo, f->prec, f80_rc(env), sign);
	if (r.inexact)
		env->raised |= X87_UE | X87_PE | (r.up ? X87_C1 : 0);
	return (struct f80_rounded){r.mant, r.mant >> 63};
}

/* Tininess is judged after rounding with an unbounded exponent (SDM volume 1, 4.9.1.5). @exp is biased as @f is. */
struct f80_rounded f80_round_format(struct f80_env *env, bool sign, s32 exp, u64 hi, u64 lo, const struct f80_format *f)
{
	struct rounding_result r = round_mant(hi, lo, f->prec, f80_rc(env), sign);

	if (unlikely(exp + r.carry <= 0))
		return round_underflow(env, sign, exp, hi, lo, r, f);
	exp += r.carry;
	if (unlikely(exp >= f->emax))
		return round_overflow(env, sign, exp, r, f);
	env->raised |= (r.inexact ? X87_PE : 0) | (r.up ? X87_C1 : 0);
	return (struct f80_rounded){r.mant, exp};
}

struct x87_reg f80_round(struct f80_env *env, bool sign, s32 exp, u64 hi, u64 lo, unsigned prec)
{
	struct f80_format f = {prec, F80_EXP_MAX, F80_WRAP};
	struct f80_rounded r = f80_round_format(env, sign, exp, hi, lo, &f);

	return (struct x87_reg){r.mant, (sign ? F80_SIGN : 0) | r.exp};
}

/* --- addition --- */

static u128 shift_sticky(u128 v, u32 n)
{
	if (n == 0)
		return v;
	if (n >= 128)
		return v != 0;
	return v >> n | (v << (128 - n) != 0);
}

static unsigned clz128(u128 v)
{
	return v >> 64 ? __builtin_clzll(v >> 64) : 64 + __builtin_clzll(v);
}

static struct x87_reg add_finite(struct f80_env *env, const struct f80_num *a, const struct f80_num *b, bool b_sign)
{
	unsigned prec = f80_precision(env->fcw);
	/* Bit 126 is the top of the larger operand: room for a carry, and 63 bits below for what is shifted out. */
	u128 x, y, sum;
	bool sign = a->sign;
	s32 exp = a->exp;

	if (a->exp > b->exp || (a->exp == b->exp && a->mant >= b->mant)) {
		x = (u128)a->mant << 63;
		y = shift_sticky((u128)b->mant << 63, a->exp - b->exp);
	} else {
		x = (u128)b->mant << 63;
		y = shift_sticky((u128)a->mant << 63, b->exp - a->exp);
		exp = b->exp;
		sign = b_sign;
	}
	sum = a->sign == b_sign ? x + y : x - y;
	if (!sum)
		return f80_zero(f80_rc(env) == ROUND_DOWN);

	unsigned shift = clz128(sum);

	sum <<= shift;
	return f80_round(env, sign, exp + 1 - (s32)shift, sum >> 64, sum, prec);
}

struct x87_reg f80_add(struct f80_env *env, const struct f80_num *a, const struct f80_num *b, bool subtract)
{
	bool b_sign = b->sign ^ subtract;
	struct x87_reg r;

	if (f80_nan_result(env, a, b, &r))
		return r;
	if (a->cls == F80_INF && b->cls == F80_INF && a->sign != b_sign)
		return f80_invalid(env);
	if (f80_denormal(env, a, b))
		return F80_DEFAULT;
	if (a->cls == F80_INF)
		return f80_inf(a->sign);
	if (b->cls == F80_INF)
		return f80_inf(b_sign);
	if (a->cls == F80_ZERO && b->cls == F80_ZERO)
		return f80_zero(a->sign == b_sign ? a->sign : f80_rc(env) == ROUND_DOWN);
	if (a->cls == F80_ZERO)
		return f80_round(env, b_sign, b->exp, b->mant, 0, f80_precision(env->fcw));
	if (b->cls == F80_ZERO)
		return f80_round(env, a->sign, a->exp, a->mant, 0, f80_precision(env->fcw));
	return add_finite(env, a, b, b_sign);
}

/* --- multiplication, division, root --- */

struct x87_reg f80_mul(struct f80_env *env, const struct f80_num *a, const struct f80_num *b)
{
	bool sign = a->sign ^ b->sign;
	s32 exp = a->exp + b->exp - F80_BIAS + 1;
	struct x87_reg r;
	u128 p;

	if (f80_nan_result(env, a, b, &r))
		return r;
	if ((a->cls == F80_INF && b->cls == F80_ZERO) || (a->cls == F80_ZERO && b->cls == F80_INF))
		return f80_invalid(env);
	if (f80_denormal(env, a, b))
		return F80_DEFAULT;
	if (a->cls == F80_INF || b->cls == F80_INF)
		return f80_inf(sign);
	if (a->cls == F80_ZERO || b->cls == F80_ZERO)
		return f80_zero(sign);
	p = (u128)a->mant * b->mant;
	if (!(p >> 127)) {
		p <<= 1;
		exp--;
	}
	return f80_round(env, sign, exp, p >> 64, p, f80_precision(env->fcw));
}

/* hi:lo / d with hi < d: one machine division, where the compiler's 128-bit division would be a call. */
static u64 div_128_64(u64 hi, u64 lo, u64 d, u64 *rem)
{
	u64 q;

	__asm__("divq %4" : "=a"(q), "=d"(*rem) : "0"(lo), "1"(hi), "r"(d) : "cc");
	return q;
}

struct x87_reg f80_div(struct f80_env *env, const struct f80_num *a, const struct f80_num *b)
{
	bool sign = a->sign ^ b->sign;
	s32 exp = a->exp - b->exp + F80_BIAS - 1;
	u64 hi, lo, rem;
	struct x87_reg r;

	if (f80_nan_result(env, a, b, &r))
		return r;
	if ((a->cls == F80_INF && b->cls == F80_INF) || (a->cls == F80_ZERO && b->cls == F80_ZERO))
		return f80_invalid(env);
	if (b->cls == F80_ZERO && a->cls == F80_FINITE) {
		env->raised |= X87_ZE;
		return f80_inf(sign);
	}
	if (f80_denormal(env, a, b))
		return F80_DEFAULT;
	if (a->cls == F80_INF || b->cls == F80_ZERO)
		return f80_inf(sign);
	if (a->cls == F80_ZERO || b->cls == F80_INF)
		return f80_zero(sign);
	if (a->mant < b->mant) {
		hi = div_128_64(a->mant, 0, b->mant, &rem);
	} else {
		hi = div_128_64(a->mant >> 1, a->mant << 63, b->mant, &rem);
		exp++;
	}
	lo = div_128_64(rem, 0, b->mant, &rem);
	return f80_round(env, sign, exp, hi, lo | (rem != 0), f80_precision(env->fcw));
}

/* The 64-bit root of @v (at least 2^126); *@lo gets the bits below it as far as rounding needs them. */
static u64 sqrt128(u128 v, u64 *lo)
{
	u128 rem = 0;
	u64 root = 0;

	for (int i = 63; i >= 0; i--) {
		u128 trial = (u128)root << 2 | 1;

		/* rem stays below 2^66. */
		rem = rem << 2 | (unsigned)(v >> (2 * i) & 3);
		root <<= 1;
		if (rem >= trial) {
			rem -= trial;
			root |= 1;
		}
	}
	/* (root + 1/2)^2 = root^2 + root + 1/4 */
	*lo = (rem > root ? IMPLICIT : 0) | (rem != 0);
	return root;
}

struct x87_reg f80_sqrt(struct f80_env *env, const struct f80_num *a)
{
	struct x87_reg r;
	s32 exp = a->exp - F80_BIAS;
	u64 hi, lo;

	if (f80_nan_result(env, a, a, &r))
		return r;
	if (a->cls == F80_ZERO)
		return f80_zero(a->sign);
	if (a->sign)
		return f80_invalid(env);
	if (a->cls == F80_INF)
		return f80_inf(false);
	if (f80_denormal(env, a, a))
		return F80_DEFAULT;
	/* mant * 2^-63 in [1,2) with an even exponent, or in [2,4). */
	hi = sqrt128(exp & 1 ? (u128)a->mant << 64 : (u128)a->mant << 63, &lo);
	return f80_round(env, false, (exp >> 1) + F80_BIAS, hi, lo, f80_precision(env->fcw));
}

/* --- integers and comparison --- */

bool f80_integer(struct f80_env *env, const struct f80_num *a, enum rounding rc, u64 *integer)
{
	s32 shift = F80_BIAS + 63 - a->exp;
	u64 hi = a->mant, lo = 0;
	struct rounding_result r;

	if (shift < 0)
		return false;
	shift_right_sticky(&hi, &lo, shift);
	r = round_mant(hi, lo, 64, rc, a->sign);
	if (r.carry)
		return false;
	env->raised |= (r.inexact ? X87_PE : 0) | (r.up ? X87_C1 : 0);
	*integer = r.mant;
	return true;
}

struct x87_reg f80_rint(struct f80_env *env, const struct f80_num *a)
{
	struct x87_reg r;
	struct f80_num n;
	u64 v;

	if (f80_nan_result(env, a, a, &r))
		return r;
	if (f80_denormal(env, a, a))
		return F80_DEFAULT;
	if (a->cls != F80_FINITE || a->exp >= F80_BIAS + 63)
		return f80_pack(a);
	f80_integer(env, a, f80_rc(env), &v);
	if (!v)
		return f80_zero(a->sign);
	n = (struct f80_num){.cls = F80_FINITE, .sign = a->sign, .exp = F80_BIAS + 63 - __builtin_clzll(v)};
	n.mant = v << __builtin_clzll(v);
	return f80_pack(&n);
}

static int compare_magnitude(const struct f80_num *a, const struct f80_num *b)
{
	/* ZERO < FINITE < INF by class. */
	if (a->cls != b->cls)
		return a->cls < b->cls ? -1 : 1;
	if (a->cls != F80_FINITE)
		return 0;
	if (a->exp != b->exp)
		return a->exp < b->exp ? -1 : 1;
	return a->mant == b->mant ? 0 : a->mant < b->mant ? -1 : 1;
}

u16 f80_compare(struct f80_env *env, const struct f80_num *a, const struct f80_num *b, bool quiet)
{
	int order;

	if (a->cls > F80_INF || b->cls > F80_INF) {
		if (!quiet || a->cls > F80_QNAN || b->cls > F80_QNAN)
			env->raised |= X87_IE;
		return X87_C3 | X87_C2 | X87_C0;
	}
	f80_denormal(env, a, b);
	order = compare_magnitude(a, b);
	if (a->sign != b->sign && !(a->cls == F80_ZERO && b->cls == F80_ZERO))
		order = 1;
	if (a->sign)
		order = -order;
	return order == 0 ? X87_C3 : order < 0 ? X87_C0 : 0;
}
