/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Series in 128-bit floating point. Each keeps its error below 2^-118 of the result, so that rounding to 64 bits is
 * right but for one argument in 2^53, and the same everywhere in any case. */
#include "vmm/soft/x87_math.h"
#include "vmm/soft/x87_wide.h"

#define PI           WIDE(0xc90fdaa22168c234ull, 0xc4c6628b80dc1cd1ull, 1)
#define LN2          WIDE(0xb17217f7d1cf79abull, 0xc9e3b39803f2f6afull, -1)
#define TWO_OVER_LN2 WIDE(0xb8aa3b295c17f0bbull, 0xbe87fed0691d3e88ull, 1)

/* Below this exponent the second term of a series would soon vanish beyond 128 bits, and with it the direction in
 * which to round. */
#define TINY_EXP (-60)

static struct wide wide_of(const struct f80_num *a)
{
	return (struct wide){(u128)a->mant << 64, a->exp - F80_BIAS, a->sign};
}

static struct x87_reg round_wide(struct f80_env *env, struct wide w)
{
	return f80_round(env, w.sign, w.exp + F80_BIAS, w.m >> 64, w.m, 64);
}

/* For results known to be irrational: inexact whatever the bits. */
static struct x87_reg round_inexact(struct f80_env *env, struct wide w)
{
	w.m |= 1;
	return round_wide(env, w);
}

/* The next value towards zero: stands for a difference too small to represent. */
static struct wide wide_below(struct wide w)
{
	return wide_normalize(w.m - 1, w.exp, w.sign);
}

/* --- sine, cosine, tangent --- */

/* 1 - x2/(k(k+1)) (1 - x2/((k+2)(k+3)) (...)): with k = 2 sin(x)/x, with k = 1 cos(x). */
static struct wide alternating(struct wide x2, int k)
{
	struct wide sum = WIDE_ONE;

	for (int n = k + 34; n >= k; n -= 2)
		sum = wide_sub(WIDE_ONE, wide_div_small(wide_mul(x2, sum), n * (n + 1)));
	return sum;
}

/* |a| = quadrant * pi/2 + r, |r| <= pi/4, with pi = 3.243F6A8885A308D3h (SDM volume 1, 8.3.8). */
static unsigned reduce(const struct f80_num *a, struct wide *r)
{
	const u128 half_pi = (u128)3 << 64 | 0x243f6a8885a308d3ull; /* in units of 2^-65 */
	s32 exp = a->exp - F80_BIAS;
	unsigned quadrant = 0;
	u128 rem = a->mant;
	bool negative = false;

	*r = wide_of(a);
	r->sign = false;
	if (exp < -1)
		return 0;
	/* mant * 2^(exp - 63) = mant * 2^(exp + 2) units, exp + 2 being 1 to 64. */
	for (s32 i = exp + 2; i > 0; i--) {
		rem <<= 1;
		quadrant <<= 1;
		if (rem >= half_pi) {
			rem -= half_pi;
			quadrant |= 1;
		}
	}
	if (rem << 1 > half_pi) {
		rem = half_pi - rem;
		negative = true;
		quadrant++;
	}
	*r = wide_normalize(rem, 127 - 65, negative);
	return quadrant & 3;
}

static struct wide sin_reduced(struct wide r)
{
	if (r.exp < TINY_EXP)
		return wide_below(r);
	return wide_mul(r, alternating(wide_mul(r, r), 2));
}

static struct wide cos_reduced(struct wide r)
{
	if (r.exp < TINY_EXP)
		return wide_below(WIDE_ONE);
	return alternating(wide_mul(r, r), 1);
}

/* NaN, infinity, denormal and too large arguments; true: finished. */
static bool trig_special(struct f80_env *env, const struct f80_num *a, struct x87_reg *result, bool *in_range)
{
	*in_range = true;
	if (f80_nan_result(env, a, a, result))
		return true;
	if (a->cls == F80_INF) {
		*result = f80_invalid(env);
		return true;
	}
	if (f80_denormal(env, a, a)) {
		*result = F80_DEFAULT;
		return true;
	}
	*in_range = a->cls == F80_ZERO || a->exp < F80_BIAS + 63;
	return !*in_range;
}

bool f80_sincos(struct f80_env *env, const struct f80_num *a, struct x87_reg *sin, struct x87_reg *cos)
{
	struct wide r, w;
	struct x87_reg special;
	unsigned quadrant;
	bool in_range;

	if (trig_special(env, a, &special, &in_range)) {
		if (in_range && sin)
			*sin = special;
		if (in_range && cos)
			*cos = special;
		return in_range;
	}
	if (a->cls == F80_ZERO) {
		if (sin)
			*sin = f80_zero(a->sign);
		if (cos)
			*cos = F80_ONE;
		return true;
	}
	quadrant = reduce(a, &r);
	if (sin) {
		w = quadrant & 1 ? cos_reduced(r) : sin_reduced(r);
		w.sign ^= a->sign ^ (quadrant >> 1);
		*sin = round_inexact(env, w);
	}
	if (cos) {
		/* C1 tells about the value rounded last. */
		env->raised &= ~X87_C1;
		w = quadrant & 1 ? sin_reduced(r) : cos_reduced(r);
		w.sign ^= (quadrant ^ quadrant >> 1) & 1;
		*cos = round_inexact(env, w);
	}
	return true;
}

bool f80_tan(struct f80_env *env, const struct f80_num *a, struct x87_reg *tan)
{
	struct wide r, w;
	struct x87_reg special;
	unsigned quadrant;
	bool in_range;

	if (trig_special(env, a, &special, &in_range)) {
		if (in_range)
			*tan = special;
		return in_range;
	}
	if (a->cls == F80_ZERO) {
		*tan = f80_zero(a->sign);
		return true;
	}
	quadrant = reduce(a, &r);
	if (r.exp < TINY_EXP && !(quadrant & 1))
		w = r; /* the sticky bit stands for the cube */
	else if (quadrant & 1)
		w = wide_neg(wide_div(cos_reduced(r), sin_reduced(r)));
	else
		w = wide_div(sin_reduced(r), cos_reduced(r));
	w.sign ^= a->sign;
	*tan = round_inexact(env, w);
	return true;
}

/* --- arctangent --- */

/* t in [0, 1]: atan(t) = atan(k/8) + atan((t - k/8) / (1 + t k/8)). */
static struct wide atan_unit(struct wide t)
{
	static const struct {
		u64 hi, lo;
		s32 exp;
	} table[9] = {
	    {0, 0, 0},
	    {0xfeadd4d5617b6e32ull, 0xc897989f3e888ef7ull, -4},
	    {0xfadbafc96406eb15ull, 0x6dc79ef5f7a217e5ull, -3},
	    {0xb7b0ca0f26f78473ull, 0x8aa32122dcfe4483ull, -2},
	    {0xed63382b0dda7b45ull, 0x6fe445ecbc3a8d03ull, -2},
	    {0x8f005d5ef7f59f9bull, 0x5c835e1665c43747ull, -1},
	    {0xa4bc7d1934f70924ull, 0x19a87f2a457dac9eull, -1},
	    {0xb8053e2bc2319e73ull, 0xcb2da55210a4443dull, -1},
	    {0xc90fdaa22168c234ull, 0xc4c6628b80dc1cd1ull, -1},
	};
	unsigned k = t.exp < -4 ? 0 : ((u64)(t.m >> 64) >> (59 - t.exp)) + 1;
	struct wide u = t, u2, sum;

	/* That was floor(16 t) + 1; half of it is 8 t rounded. */
	k >>= 1;
	if (k) {
		struct wide c = wide_normalize(k, 127 - 3, false);

		u = wide_div(wide_sub(t, c), wide_add(WIDE_ONE, wide_mul(t, c)));
	}
	u2 = wide_mul(u, u);
	sum = wide_div_small(WIDE_ONE, 37);
	for (int n = 35; n >= 1; n -= 2)
		sum = wide_sub(wide_div_small(WIDE_ONE, n), wide_mul(u2, sum));
	sum = wide_mul(u, sum);
	return k ? wide_add(WIDE(table[k].hi, table[k].lo, table[k].exp), sum) : sum;
}

static struct wide scaled_pi(s32 exp)
{
	struct wide pi = PI;

	pi.exp += exp;
	return pi;
}

/* Infinities and zeroes: a multiple of pi/4, or zero. */
static struct x87_reg atan2_special(struct f80_env *env, const struct f80_num *y, const struct f80_num *x)
{
	struct wide w;

	if (y->cls == F80_INF && x->cls == F80_INF) {
		w = scaled_pi(-2);
		if (x->sign)
			w = wide_add(scaled_pi(-1), w);
	} else if (y->cls == F80_INF || (x->cls == F80_ZERO && y->cls != F80_ZERO)) {
		w = scaled_pi(-1);
	} else if (x->sign) {
		w = PI;
	} else {
		return f80_zero(y->sign);
	}
	w.sign = y->sign;
	return round_inexact(env, w);
}

struct x87_reg f80_atan2(struct f80_env *env, const struct f80_num *y, const struct f80_num *x)
{
	struct wide wy = wide_of(y), wx = wide_of(x), t;
	struct x87_reg r;
	bool steep;

	if (f80_nan_result(env, y, x, &r))
		return r;
	if (f80_denormal(env, y, x))
		return F80_DEFAULT;
	if (y->cls != F80_FINITE || x->cls != F80_FINITE)
		return atan2_special(env, y, x);
	wy.sign = wx.sign = false;
	steep = wy.exp > wx.exp || (wy.exp == wx.exp && wy.m > wx.m);
	t = steep ? wide_div(wx, wy) : wide_div(wy, wx);
	t = t.exp < TINY_EXP ? wide_below(t) : atan_unit(t);
	if (steep)
		t = x->sign ? wide_add(scaled_pi(-1), t) : wide_sub(scaled_pi(-1), t);
	else if (x->sign)
		t = wide_sub(PI, t);
	t.sign = y->sign;
	return round_inexact(env, t);
}

/* --- exponential and logarithm --- */

struct x87_reg f80_exp2m1(struct f80_env *env, const struct f80_num *a)
{
	struct wide y, sum = WIDE_ONE;
	struct x87_reg r;

	if (f80_nan_result(env, a, a, &r))
		return r;
	if (f80_denormal(env, a, a))
		return F80_DEFAULT;
	if (a->cls == F80_ZERO)
		return f80_zero(a->sign);
	if (a->cls == F80_INF)
		return a->sign ? (struct x87_reg){F80_INTEGER, F80_SIGN | F80_BIAS} : f80_inf(false);
	if (a->exp >= F80_BIAS) {
		env->raised |= X87_PE;
		if (a->exp == F80_BIAS && a->mant == F80_INTEGER && a->sign)
			return (struct x87_reg){F80_INTEGER, F80_SIGN | (F80_BIAS - 1)}; /* -1/2 */
		return f80_pack(a);
	}
	y = wide_mul(wide_of(a), LN2);
	/* e^y - 1 = y (1 + y/2 (1 + y/3 (...))) */
	for (unsigned n = 36; n >= 2; n--)
		sum = wide_add(WIDE_ONE, wide_div_small(wide_mul(y, sum), n));
	return round_inexact(env, wide_mul(y, sum));
}

/* 2/ln2 atanh(s), |s| < 0.172: the logarithm to base 2 of (1 + s)/(1 - s). */
static struct wide log2_series(struct wide s)
{
	struct wide s2, sum;

	if (!s.m)
		return s;
	s2 = wide_mul(s, s);
	sum = wide_div_small(WIDE_ONE, 55);
	for (int n = 53; n >= 1; n -= 2)
		sum = wide_add(wide_div_small(WIDE_ONE, n), wide_mul(s2, sum));
	return wide_mul(wide_mul(s, sum), TWO_OVER_LN2);
}

/* z > 0 as m * 2^e with m around 1. *@exact: a power of two, whose logarithm is an integer. */
static struct wide log2_wide(struct wide z, bool *exact)
{
	s32 e = z.exp;
	struct wide s;

	z.exp = 0;
	if ((u64)(z.m >> 64) > 0xb504f333f9de6484ull) {
		z.exp = -1;
		e++;
	}
	s = log2_series(wide_div(wide_sub(z, WIDE_ONE), wide_add(z, WIDE_ONE)));
	*exact = !s.m;
	return wide_add(wide_normalize(e < 0 ? -e : e, 127, e < 0), s);
}

/* y * log; counted as inexact even when it happens to be exact. */
static struct x87_reg round_product(struct f80_env *env, const struct f80_num *y, struct wide log, bool exact)
{
	struct wide product = wide_mul(wide_of(y), log);

	env->raised |= X87_PE;
	return exact ? round_wide(env, product) : round_inexact(env, product);
}

/* The products that involve zero or infinity; y times a logarithm that is 0 (@log 0), negative or positive, and
 * infinite when @inf. */
static struct x87_reg ylog_special(struct f80_env *env, const struct f80_num *y, int log, bool inf)
{
	bool sign = y->sign ^ (log < 0);

	if ((y->cls == F80_ZERO && inf) || (y->cls == F80_INF && log == 0))
		return f80_invalid(env);
	if (inf || y->cls == F80_INF)
		return f80_inf(sign);
	return f80_zero(sign);
}

/* log2(1 + x), near zero directly from x, where 1 + x would lose its bits. */
static struct wide log2_plus1(struct wide x, bool *exact)
{
	*exact = false;
	if (x.exp >= -2)
		return log2_wide(wide_add(WIDE_ONE, x), exact);
	return log2_series(wide_div(x, wide_add(WIDE(1ull << 63, 0, 1), x)));
}

struct x87_reg f80_ylog2(struct f80_env *env, const struct f80_num *y, const struct f80_num *x)
{
	struct x87_reg r;
	struct wide log;
	bool exact;
	int sign;

	if (f80_nan_result(env, y, x, &r))
		return r;
	if (x->cls == F80_ZERO) {
		if (y->cls == F80_FINITE)
			env->raised |= X87_ZE;
		return ylog_special(env, y, -1, true);
	}
	if (x->sign)
		return f80_invalid(env);
	if (f80_denormal(env, y, x))
		return F80_DEFAULT;
	if (x->cls == F80_INF)
		return ylog_special(env, y, 1, true);
	sign = x->exp < F80_BIAS ? -1 : x->exp == F80_BIAS && x->mant == F80_INTEGER ? 0 : 1;
	if (sign == 0 || y->cls != F80_FINITE)
		return ylog_special(env, y, sign, false);
	log = log2_wide(wide_of(x), &exact);
	return round_product(env, y, log, exact);
}

struct x87_reg f80_ylog2p1(struct f80_env *env, const struct f80_num *y, const struct f80_num *x)
{
	struct x87_reg r;
	struct wide log;
	bool exact;

	if (f80_nan_result(env, y, x, &r))
		return r;
	if (x->cls == F80_INF && x->sign)
		return f80_invalid(env);
	if (f80_denormal(env, y, x))
		return F80_DEFAULT;
	if (x->cls == F80_INF)
		return ylog_special(env, y, 1, true);
	if (x->cls == F80_ZERO) {
		r = ylog_special(env, y, 0, false);
		if (x->sign && y->cls != F80_INF)
			r.se ^= F80_SIGN;
		return r;
	}
	if (y->cls != F80_FINITE)
		return ylog_special(env, y, x->sign ? -1 : 1, false);
	if (x->sign && x->exp >= F80_BIAS) {
		env->raised |= X87_PE;
		return f80_pack(x);
	}
	log = log2_plus1(wide_of(x), &exact);
	return round_product(env, y, log, exact);
}
