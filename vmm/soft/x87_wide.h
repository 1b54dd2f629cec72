/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Floating point with 128 bits of significand, for the transcendental functions only.
 *
 * Value: m * 2^(exp - 127), m with its top bit set or zero. Operations truncate: an error below 2^-126 of the
 * result each, and no special values. Integers only, so that every host gets the same bits. */
#ifndef VMM_SOFT_X87_WIDE_H
#define VMM_SOFT_X87_WIDE_H

#include "vmm/types.h"

typedef unsigned __int128 u128;

struct wide {
	u128 m;
	s32 exp;
	bool sign;
};

#define WIDE(hi, lo, e) ((struct wide){(u128)(hi) << 64 | (lo), (e), false})
#define WIDE_ONE        WIDE(1ull << 63, 0, 0)

static inline struct wide wide_normalize(u128 m, s32 exp, bool sign)
{
	unsigned shift;

	if (!m)
		return (struct wide){0, 0, sign};
	shift = m >> 64 ? __builtin_clzll(m >> 64) : 64 + __builtin_clzll(m);
	return (struct wide){m << shift, exp - (s32)shift, sign};
}

static inline struct wide wide_neg(struct wide a)
{
	a.sign = !a.sign;
	return a;
}

struct wide wide_add(struct wide a, struct wide b);
struct wide wide_mul(struct wide a, struct wide b);
struct wide wide_div(struct wide a, struct wide b); /* b not zero */
struct wide wide_div_small(struct wide a, u64 d);   /* d not zero */

static inline struct wide wide_sub(struct wide a, struct wide b)
{
	return wide_add(a, wide_neg(b));
}

#endif
