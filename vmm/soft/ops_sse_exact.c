/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The inexact flag of operations that raise an unmasked overflow or underflow.
 *
 * Masked, these two imply or include the loss of precision that the limited exponent causes. Unmasked, inexact means
 * that rounding the significand alone lost something (SDM 1 sections 4.9.1.4 and 4.9.1.5). The x87 unit with its
 * precision control computes exactly that: significands of 24 or 53 bits, exponents that no operation here leaves. */
#include <float.h>

#include "vmm/soft/sse.h"

#define FCW_ALL_MASKED 0x3f
#define FCW_DOUBLE     0x200 /* 53 bits; 0: 24 bits */
#define FSW_PE         0x20
#define MXCSR_RC_SHIFT 13
#define FCW_RC_SHIFT   10

struct env {
	bool single; /* the results */
	u16 fcw;
	u32 mxcsr;
	u32 unmasked;
};

static u16 host_fcw(void)
{
	u16 v;

	__asm__ volatile("fnstcw %0" : "=m"(v));
	return v;
}

/* x op y in the given control word; *@inexact */
static long double x87_compute(const struct env *e, unsigned op, long double x, long double y, bool *inexact)
{
	u16 old = host_fcw(), fsw;

	__asm__ volatile("fnclex\n fldcw %0" : : "m"(e->fcw));
	switch (op) {
	case FP_ADD:
		__asm__ volatile("fadd %%st(1), %%st" : "+t"(x) : "u"(y));
		break;
	case FP_MUL:
	case FP_NARROW:
		__asm__ volatile("fmul %%st(1), %%st" : "+t"(x) : "u"(y));
		break;
	case FP_DIV:
		__asm__ volatile("fdiv %%st(1), %%st" : "+t"(x) : "u"(y));
		break;
	}
	__asm__ volatile("fnstsw %0" : "=m"(fsw));
	__asm__ volatile("fnclex\n fldcw %0" : : "m"(old));
	*inexact = fsw & FSW_PE;
	return x;
}

/* Does storing @x in the result's format, denormal, lose bits? */
static bool denormal_inexact(const struct env *e, long double x)
{
	u16 old = host_fcw(), fsw;
	double d;
	float f;

	__asm__ volatile("fnclex\n fldcw %0" : : "m"(e->fcw));
	if (e->single)
		__asm__ volatile("fsts %0" : "=m"(f) : "t"(x));
	else
		__asm__ volatile("fstl %0" : "=m"(d) : "t"(x));
	__asm__ volatile("fnstsw %0" : "=m"(fsw));
	__asm__ volatile("fnclex\n fldcw %0" : : "m"(old));
	return fsw & FSW_PE;
}

static bool element_inexact(const struct env *e, unsigned op, long double x, long double y)
{
	bool inexact;
	long double r, size;

	if (__builtin_isnan(x) || __builtin_isnan(y) || __builtin_isinf(x) || __builtin_isinf(y))
		return false;
	if (op == FP_SUB) {
		op = FP_ADD;
		y = -y;
	}
	r = x87_compute(e, op, x, y, &inexact);
	size = __builtin_fabsl(r);
	if (__builtin_isnan(r) || __builtin_isinf(r) || size == 0)
		return inexact;
	if (size > (e->single ? (long double)FLT_MAX : (long double)DBL_MAX))
		return inexact || !(e->unmasked & MXCSR_OE);
	if (size < (e->single ? (long double)FLT_MIN : (long double)DBL_MIN) && !(e->unmasked & MXCSR_UE))
		return inexact || (e->mxcsr & MXCSR_FTZ) || denormal_inexact(e, r);
	return inexact;
}

/* Single or double element @n, a denormal being zero with DAZ. */
static long double element(const struct env *e, __m128i v, unsigned n, bool single)
{
	union {
		__m128i v;
		float f[4];
		double d[2];
	} u = {v};
	long double x = single ? (long double)u.f[n] : (long double)u.d[n];
	long double limit = single ? (long double)FLT_MIN : (long double)DBL_MIN;

	return (e->mxcsr & MXCSR_DAZ) && __builtin_fabsl(x) < limit ? 0 : x;
}

bool sse_fp_inexact(u32 mxcsr, u32 unmasked, __m128i d, __m128i s, enum fp_kind kind)
{
	unsigned op = kind & FP_OP, elements, half;
	bool from_single, any = false;
	struct env e = {.mxcsr = mxcsr, .unmasked = unmasked};

	e.single = (kind & FP_KIND) == FP_SS || (kind & FP_KIND) == FP_PS;
	e.fcw = FCW_ALL_MASKED | (e.single ? 0 : FCW_DOUBLE) | (mxcsr >> MXCSR_RC_SHIFT & 3) << FCW_RC_SHIFT;
	from_single = e.single && op != FP_NARROW;
	elements = (kind & FP_KIND) == FP_SS || (kind & FP_KIND) == FP_SD ? 1 : from_single ? 4 : 2;
	half = elements / 2;
	for (unsigned n = 0; n < elements; n++) {
		if (op == FP_HADD || op == FP_HSUB) {
			__m128i v = n < half ? d : s;
			unsigned from = 2 * (n < half ? n : n - half);

			any |= element_inexact(&e, op == FP_HADD ? FP_ADD : FP_SUB, element(&e, v, from, from_single),
					       element(&e, v, from + 1, from_single));
		} else if (op == FP_NARROW) {
			any |= element_inexact(&e, op, element(&e, s, n, false), 1);
		} else {
			unsigned each = op != FP_ADDSUB ? op : n & 1 ? FP_ADD : FP_SUB;

			any |=
			    element_inexact(&e, each, element(&e, d, n, from_single), element(&e, s, n, from_single));
		}
	}
	return any;
}
