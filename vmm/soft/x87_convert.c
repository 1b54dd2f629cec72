/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the register format and the formats in memory. */
#include "vmm/soft/x87_float.h"

static struct f80_num from_binary(bool sign, u32 exp, u64 frac, u32 emax, s32 bias)
{
	struct f80_num n = {.sign = sign, .cls = F80_FINITE, .mant = frac | F80_INTEGER};

	if (exp == emax) {
		n.exp = F80_EXP_MAX;
		n.cls = !frac ? F80_INF : frac & F80_QUIET ? F80_QNAN : F80_SNAN;
	} else if (exp) {
		n.exp = (s32)exp - bias + F80_BIAS;
	} else if (!frac) {
		n.cls = F80_ZERO;
		n.mant = 0;
	} else {
		unsigned shift = __builtin_clzll(frac);

		n.denormal = true;
		n.mant = frac << shift;
		n.exp = 1 - bias + F80_BIAS - (s32)shift;
	}
	return n;
}

struct f80_num f80_from_f32(u32 v)
{
	u64 frac = v & 0x7fffff;
	u32 exp = v >> 23 & 0xff;

	return from_binary(v >> 31, exp, frac << 40, 0xff, 127);
}

struct f80_num f80_from_f64(u64 v)
{
	u64 frac = v & 0xfffffffffffffull;
	u32 exp = v >> 52 & 0x7ff;

	return from_binary(v >> 63, exp, frac << 11, 0x7ff, 1023);
}

static struct f80_num from_magnitude(bool sign, u64 m)
{
	struct f80_num n = {.sign = sign, .cls = F80_ZERO};

	if (m) {
		unsigned shift = __builtin_clzll(m);

		n.cls = F80_FINITE;
		n.mant = m << shift;
		n.exp = F80_BIAS + 63 - (s32)shift;
	}
	return n;
}

struct f80_num f80_from_int(s64 v)
{
	return from_magnitude(v < 0, v < 0 ? 0 - (u64)v : (u64)v);
}

struct x87_reg f80_load(struct f80_env *env, const struct f80_num *a)
{
	struct x87_reg r;

	if (f80_nan_result(env, a, a, &r))
		return r;
	f80_denormal(env, a, a);
	return f80_pack(a);
}

/* What FST makes of a value that is neither finite nor needs rounding; false: it is finite. */
static bool special(struct f80_env *env, const struct f80_num *a, u64 *frac, bool *inf)
{
	struct x87_reg r;

	*inf = false;
	if (f80_nan_result(env, a, a, &r)) {
		*frac = r.mant;
		return true;
	}
	*frac = 0;
	*inf = a->cls == F80_INF;
	return a->cls != F80_FINITE;
}

u32 f80_to_f32(struct f80_env *env, const struct f80_num *a)
{
	static const struct f80_format f = {24, 0xff, 0};
	u32 sign = (u32)a->sign << 31;
	struct f80_rounded r;
	u64 frac;
	bool inf;

	if (special(env, a, &frac, &inf)) {
		if (a->cls == F80_BAD)
			return F32_DEFAULT;
		return frac ? sign | 0x7f800000u | (u32)(frac << 1 >> 41) : sign | (inf ? 0x7f800000u : 0);
	}
	r = f80_round_format(env, a->sign, a->exp - F80_BIAS + 127, a->mant, 0, &f);
	return sign | (u32)r.exp << 23 | (u32)(r.mant << 1 >> 41);
}

u64 f80_to_f64(struct f80_env *env, const struct f80_num *a)
{
	static const struct f80_format f = {53, 0x7ff, 0};
	u64 sign = (u64)a->sign << 63, frac;
	struct f80_rounded r;
	bool inf;

	if (special(env, a, &frac, &inf)) {
		if (a->cls == F80_BAD)
			return F64_DEFAULT;
		return frac ? sign | 0x7ffull << 52 | frac << 1 >> 12 : sign | (inf ? 0x7ffull << 52 : 0);
	}
	r = f80_round_format(env, a->sign, a->exp - F80_BIAS + 1023, a->mant, 0, &f);
	return sign | (u64)r.exp << 52 | r.mant << 1 >> 12;
}

/* A rounding that ends as invalid leaves no trace of having been inexact. */
static bool to_magnitude(struct f80_env *env, const struct f80_num *a, enum rounding rc, u64 max, u64 *m)
{
	struct f80_env trial = *env;

	*m = 0;
	if (a->cls == F80_ZERO)
		return true;
	if (a->cls != F80_FINITE || !f80_integer(&trial, a, rc, m) || *m > max) {
		env->raised |= X87_IE;
		return false;
	}
	*env = trial;
	return true;
}

s64 f80_to_int(struct f80_env *env, const struct f80_num *a, unsigned size, enum rounding rc)
{
	u64 indefinite = 1ull << (8 * size - 1), m;

	if (!to_magnitude(env, a, rc, a->sign ? indefinite : indefinite - 1, &m))
		return (s64)(0 - indefinite);
	return (s64)(a->sign ? 0 - m : m);
}

struct f80_num f80_from_bcd(const u8 *bcd)
{
	u64 m = 0;

	/* Digits above 9 are not checked by hardware either: they count with their value. */
	for (int i = 8; i >= 0; i--)
		m = m * 100 + (bcd[i] >> 4) * 10 + (bcd[i] & 15);
	return from_magnitude(bcd[9] >> 7, m);
}

void f80_to_bcd(struct f80_env *env, const struct f80_num *a, u8 *bcd)
{
	static const u8 indefinite[10] = {0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff};
	u64 m;

	if (!to_magnitude(env, a, f80_rc(env), 999999999999999999ull, &m)) {
		memcpy(bcd, indefinite, sizeof(indefinite));
		return;
	}
	for (int i = 0; i < 9; i++) {
		unsigned two = m % 100;

		bcd[i] = two / 10 << 4 | two % 10;
		m /= 100;
	}
	bcd[9] = a->sign ? 0x80 : 0;
}
