/* SPDX-License-Identifier: GPL-2.0-or-later */
/* RCPPS, RCPSS, RSQRTPS, RSQRTSS: approximations that every vendor makes differently, so the host's can't be used.
 *
 * These compute, in integers, what a look-up table would give: the leading bits of the mantissa choose an interval, the
 * result is the function's value at the interval's middle, rounded to nearest. Numbers of bits are chosen so that the
 * two errors together reach, but don't exceed, the manual's bound of 1.5 * 2^-12 (SDM 2B):
 *   reciprocal     2^11 intervals, 11 fraction bits
 *   root           2^10 intervals for each parity of the exponent, 12 fraction bits
 * Denormals count as zeros of their sign whatever MXCSR says, tiny results are flushed to zero, no flag is raised. */
#include "vmm/soft/sse.h"
#include "vmm/soft/sse_list.h"

#define F32_SIGN     0x80000000u
#define F32_INF      0x7f800000u
#define F32_QUIET    0x00400000u
#define F32_MANTISSA 0x007fffffu
#define F32_DEFAULT  0xffc00000u /* the default NaN */

static u32 rcp32(u32 x)
{
	u32 sign = x & F32_SIGN, mag = x & ~F32_SIGN;
	u32 exp = mag >> 23, middle, m;

	if (mag > F32_INF)
		return x | F32_QUIET;
	if (mag == F32_INF)
		return sign;
	if (!exp)
		return sign | F32_INF;
	/* 1.m * 2^e, middle = 1.m * 2^12; 2 / 1.m in [1, 2), exponent -e - 1 */
	middle = 2 * (2048 + ((mag & F32_MANTISSA) >> 12)) + 1;
	m = ((1u << 25) / middle + 1) >> 1;
	if (exp >= 253)
		return sign;
	return sign | (253 - exp) << 23 | (m & 0x7ff) << 12;
}

/* The integer part of the root of @v, which is below 2^28. */
static u32 isqrt28(u64 v)
{
	u64 root = 0;

	for (u64 bit = 1u << 13; bit; bit >>= 1)
		if ((root | bit) * (root | bit) <= v)
			root |= bit;
	return root;
}

static u32 rsqrt32(u32 x)
{
	u32 mag = x & ~F32_SIGN, m;
	int exp = mag >> 23, half;
	u64 middle;

	if (mag > F32_INF)
		return x | F32_QUIET;
	if (!exp)
		return (x & F32_SIGN) | F32_INF;
	if (x & F32_SIGN)
		return F32_DEFAULT;
	if (mag == F32_INF)
		return 0;
	/* 1.m * 2^e with the odd bit of e moved into the mantissa: middle = [1, 4) * 2^11 */
	half = (exp - 127) >> 1;
	middle = (u64)(2 * (1024 + ((mag & F32_MANTISSA) >> 13)) + 1) << ((exp - 127) & 1);
	/* 2 / sqrt(1.m) in (1, 2), with one bit more than wanted: 2^14 * sqrt(2^11 / middle) */
	m = (isqrt28((1ull << 39) / middle) + 1) >> 1;
	return (u32)(126 - half) << 23 | (m & 0xfff) << 11;
}

#define APPROX(name, fn)                                                                \
	static void name##ps(struct soft_cpu *cpu, const struct insn *i, __m128i s)     \
	{                                                                               \
		u32 v[4];                                                               \
                                                                                        \
		_mm_storeu_si128((__m128i *)v, s);                                      \
		for (unsigned n = 0; n < 4; n++)                                        \
			v[n] = fn(v[n]);                                                \
		xmm_set(cpu, i->reg, _mm_loadu_si128((const __m128i *)v));              \
	}                                                                               \
	SSE_PAIR(name##ps, name##ps, sse_ld128a)                                        \
	static void name##ss(struct soft_cpu *cpu, const struct insn *i, __m128i s)     \
	{                                                                               \
		store32(cpu->vcpu.regs.fpu.xmm[i->reg], fn((u32)_mm_cvtsi128_si32(s))); \
	}                                                                               \
	SSE_PAIR(name##ss, name##ss, sse_ld32)

APPROX(rcp, rcp32)
APPROX(rsqrt, rsqrt32)
