/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/soft/x87_wide.h"

struct wide wide_add(struct wide a, struct wide b)
{
	u32 shift;
	u128 x, y;

	if (!b.m || (a.m && (a.exp > b.exp || (a.exp == b.exp && a.m >= b.m)))) {
		/* a is the larger */
	} else {
		struct wide t = a;

		a = b;
		b = t;
	}
	if (!b.m)
		return a;
	shift = a.exp - b.exp;
	if (shift > 127)
		return a;
	y = b.m >> shift;
	if (a.sign != b.sign)
		return wide_normalize(a.m - y, a.exp, a.sign);
	x = a.m + y;
	if (x < a.m) {
		a.m = x >> 1 | (u128)1 << 127;
		a.exp++;
	} else {
		a.m = x;
	}
	return a;
}

struct wide wide_mul(struct wide a, struct wide b)
{
	u64 a1 = a.m >> 64, a0 = a.m, b1 = b.m >> 64, b0 = b.m;
	u128 low = (u128)a0 * b0, mid1 = (u128)a1 * b0, mid2 = (u128)a0 * b1;
	u128 mid = (low >> 64) + (u64)mid1 + (u64)mid2;
	u128 hi = (u128)a1 * b1 + (mid1 >> 64) + (mid2 >> 64) + (mid >> 64);

	if (hi && !(hi >> 127))
		return (struct wide){hi << 1 | (mid >> 63 & 1), a.exp + b.exp, a.sign ^ b.sign};
	return (struct wide){hi, a.exp + b.exp + 1, a.sign ^ b.sign};
}

struct wide wide_div(struct wide a, struct wide b)
{
	u128 q = 0, r = a.m;
	s32 exp = a.exp - b.exp;
	bool carry = false;

	if (!a.m)
		return (struct wide){0, 0, a.sign ^ b.sign};
	/* Restoring division, 128 quotient bits; the first is 0 when a.m < b.m, so begin a place later then. */
	if (r < b.m) {
		carry = r >> 127;
		r <<= 1;
		exp--;
	}
	for (int i = 0; i < 128; i++) {
		q <<= 1;
		if (carry || r >= b.m) {
			r -= b.m;
			q |= 1;
		}
		carry = r >> 127;
		r <<= 1;
	}
	return (struct wide){q, exp, a.sign ^ b.sign};
}

struct wide wide_div_small(struct wide a, u64 d)
{
	u64 hi = a.m >> 64, q2 = hi / d, r = hi % d, q1, q0;
	u128 part = (u128)r << 64 | (u64)a.m, q;

	q1 = part / d;
	part = part % d << 64;
	q0 = part / d;
	q = (u128)q2 << 64 | q1;
	if (!q)
		return (struct wide){0, 0, a.sign};

	struct wide w = wide_normalize(q, a.exp, a.sign);
	unsigned shift = a.exp - w.exp;

	/* Refill what normalizing shifted in; a divisor of 64 bits shifts by at most 64. */
	if (shift)
		w.m |= shift < 64 ? (u128)(q0 >> (64 - shift)) : (u128)q0;
	return w;
}
