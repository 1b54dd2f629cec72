/* SPDX-License-Identifier: GPL-2.0-or-later */
/* x87, SSE and the instructions that save them (SDM 1 chapters 8, 10-13). Bit patterns, since the kernel itself is
 * built without floating point. */
#include "tests/guest/lib/guest.h"

#define ONE_D  0x3ff0000000000000ull
#define TWO_D  0x4000000000000000ull
#define QNAN_D 0xfff8000000000000ull /* the default NaN */
#define INF_D  0x7ff0000000000000ull

struct fp80 {
	u64 mant;
	u16 se;
} __attribute__((packed));

static void claim80(const char *name, const struct fp80 *got, u16 se, u64 mant)
{
	if (got->se != se || got->mant != mant) {
		put_string("# got ");
		put_hex(got->se);
		put_char(':');
		put_hex(got->mant);
		put_char('\n');
	}
	claim(name, got->se == se && got->mant == mant);
}

static u16 status(void)
{
	u16 sw;

	asm volatile("fnstsw %0" : "=a"(sw));
	return sw;
}

static void x87(void)
{
	u16 cw, sw;
	struct fp80 r;
	u64 d;
	u32 w;

	asm volatile("fninit; fnstcw %0; fnstsw %1" : "=m"(cw), "=m"(sw));
	claim("fninit: FCW 37Fh, FSW 0", cw == 0x37f && sw == 0);
	asm volatile("fldpi; fstpt %0" : "=m"(r));
	claim80("fldpi", &r, 0x4000, 0xc90fdaa22168c235);
	asm volatile("fldl2t; fstpt %0" : "=m"(r));
	claim80("fldl2t", &r, 0x4000, 0xd49a784bcd1b8afe);
	asm volatile("fldln2; fstpt %0" : "=m"(r));
	claim80("fldln2", &r, 0x3ffe, 0xb17217f7d1cf79ac);
	asm volatile("fld1; fld1; faddp; fstpl %0" : "=m"(d));
	claim_eq("1 + 1", d, TWO_D);
	w = 7;
	u32 three = 3;
	asm volatile("fildl %1; fildl %2; fdivrp; fstpt %0" : "=m"(r) : "m"(w), "m"(three));
	claim("7 / 3 or 3 / 7, rounded to 64 bits", r.mant == 0x9555555555555555 || r.mant == 0xdb6db6db6db6db6e);
	asm volatile("filds %1; fsqrt; fstpt %0" : "=m"(r) : "m"(*(u16 *)&three));
	claim80("sqrt 3", &r, 0x3fff, 0xddb3d742c265539e);
	asm volatile("fninit; fld1; fldz; fdivrp; fstpl %0" : "=m"(d));
	claim("1 / 0 masked: infinity and ZE, or 0 / 1", d == INF_D || d == 0);
	asm volatile("fninit; fldz; fldz; fdivrp; fstpl %0" : "=m"(d));
	claim("0 / 0: default NaN, IE", d == QNAN_D && (status() & 0x7f) == 1);

	asm volatile("fninit; fld1; fld1; fld1; fld1; fld1; fld1; fld1; fld1; fnstsw %0" : "=m"(sw));
	claim_eq("eight loads: TOP 0, no fault", sw, 0);
	asm volatile("fld1; fnstsw %1; fstpt %0" : "=m"(r), "=m"(sw));
	claim80("the ninth overflows: indefinite", &r, 0xffff, 0xc000000000000000);
	claim_eq("stack overflow: IE, SF, C1", sw & 0x241, 0x241);
	asm volatile("fninit; fstpt %0" : "=m"(r));
	claim80("store of an empty register: indefinite", &r, 0xffff, 0xc000000000000000);
	claim_eq("stack underflow: IE, SF, not C1", status() & 0x241, 0x41);

	static const u32 half3 = 0x40200000, mhalf3 = 0xc0200000; /* 2.5, -2.5 */
	static const u16 modes[4] = {0x37f, 0x77f, 0xb7f, 0xf7f};
	static const s16 want[4][2] = {{2, -2}, {2, -3}, {3, -2}, {2, -2}};
	bool good = true;
	for (int i = 0; i < 4; i++) {
		s16 a, b;

		asm volatile("fninit; fldcw %2; flds %3; fistps %0; flds %4; fistps %1"
			     : "=m"(a), "=m"(b)
			     : "m"(modes[i]), "m"(half3), "m"(mhalf3));
		good &= a == want[i][0] && b == want[i][1];
	}
	claim("fist of +-2.5 in four rounding modes", good);
	s16 t;
	asm volatile("fninit; flds %1; fisttps %0" : "=m"(t) : "m"(mhalf3));
	claim_eq("fisttp truncates", (u16)t, (u16)-2);
	static const u64 big = 0x43e0000000000000; /* 2^63 */
	s64 q;
	asm volatile("fninit; fldl %1; fistpll %0" : "=m"(q) : "m"(big));
	claim("fist overflow: integer indefinite, IE", (u64)q == 0x8000000000000000 && (status() & 1));

	u64 f;
	asm volatile("fninit; fld1; fldz; fcomi %%st(1), %%st; pushfq; pop %0; fninit" : "=r"(f) : : "cc");
	claim_eq("fcomi less: CF", f & (FLAG_CF | FLAG_ZF | FLAG_PF), FLAG_CF);
	asm volatile("fld1; fldz; fcompp; fnstsw %0" : "=m"(sw));
	claim_eq("fcompp less: C0", sw & 0x4500, 0x100);
	asm volatile("fldz; fchs; fxam; fnstsw %0; fninit" : "=m"(sw));
	claim_eq("fxam of -0", sw & 0x4700, 0x4200);
	asm volatile("fxam; fnstsw %0; fninit" : "=m"(sw));
	claim_eq("fxam of empty", sw & 0x4500, 0x4100);
	static const u8 bcd[10] = {0x90, 0x78, 0x56, 0x34, 0x12, 0, 0, 0, 0, 0x80};
	u8 out[10];
	asm volatile("fbld %2; fld %%st(0); fistpll %0; fbstp %1" : "=m"(q), "=m"(out) : "m"(bcd));
	claim("fbld and fbstp", q == -1234567890 && !memcmp(bcd, out, 10));
	static const u16 five = 5, two = 2;
	asm volatile("filds %1; filds %2; fprem; fstpl %0; fstp %%st" : "=m"(d) : "m"(two), "m"(five));
	claim_eq("5 rem 2", d, ONE_D);
	asm volatile("filds %1; fld1; fscale; fstpl %0; fstp %%st" : "=m"(d) : "m"(five));
	claim_eq("fscale", d, 0x4040000000000000);
	asm volatile("fninit; fld1; fldpi; ffree %%st(1); fincstp; fnstsw %0; fdecstp; fstp %%st; fninit" : "=m"(sw));
	claim_eq("fincstp turns TOP", sw >> 11 & 7, 7);
	/* Precision control: single. */
	cw = 0x07f;
	asm volatile("fldcw %1; filds %2; fsqrt; fstpt %0; fninit" : "=m"(r) : "m"(cw), "m"(two));
	claim80("sqrt 2 at 24 bits", &r, 0x3fff, 0xb504f30000000000);
	static u8 env[28];
	asm volatile("fninit; fld1; fnstenv %0; fninit" : "=m"(env));
	claim("fnstenv: tag word, FCW", *(u16 *)(env + 8) == 0x3fff && *(u16 *)env == 0x37f);
}

static void states(void)
{
	static u8 a[512] __attribute__((aligned(64))), b[512] __attribute__((aligned(64)));
	static u8 pattern[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

	asm volatile("fninit; fldpi; fld1; movups %1, %%xmm9; fxsave64 %0" : "=m"(a) : "m"(pattern));
	claim("fxsave: FCW, abridged tags, TOP",
	      *(u16 *)a == 0x37f && a[4] == 0xc0 && (*(u16 *)(a + 2) >> 11 & 7) == 6);
	claim("fxsave: ST0 is 1.0, ST1 is pi", *(u64 *)(a + 32) == 0x8000000000000000 && *(u16 *)(a + 40) == 0x3fff &&
						   *(u64 *)(a + 48) == 0xc90fdaa22168c235);
	claim("fxsave: XMM9", !memcmp(a + 160 + 9 * 16, pattern, 16));
	claim("fxsave: MXCSR and its mask", *(u32 *)(a + 24) == 0x1f80 && (*(u32 *)(a + 28) & 0xffbf) == 0xffbf);
	asm volatile("fninit; xorps %%xmm9, %%xmm9; fxrstor64 %1; fxsave64 %0" : "=m"(b) : "m"(a));
	claim("fxrstor gives it back", !memcmp(a, b, 416));
	memcpy(b, a, 512);
	*(u32 *)(b + 24) = 0x10000;
	EXPECT("fxrstor with reserved MXCSR bits: #GP(0)", VEC_GP, 0, "fxrstor64 %0" : : "m"(b));
	EXPECT("fxsave not aligned: #GP(0)", VEC_GP, 0, "fxsave64 (%0)" : : "r"(a + 8));
	static u32 bad = 0x10000;
	EXPECT("ldmxcsr with reserved bits: #GP(0)", VEC_GP, 0, "ldmxcsr %0" : : "m"(bad));

	u32 r[4];
	cpuid(1, 0, r);
	EXPECT("xgetbv without CR4.OSXSAVE: #UD", VEC_UD, 0, "xgetbv" : : "c"(0) : "rax", "rdx");
	if (!(r[2] >> 26 & 1)) {
		skip("XSAVE", "not in CPUID");
		return;
	}
	WRITE_CR(4, READ_CR(4) | BIT(18));
	cpuid(1, 0, r);
	claim("CPUID.OSXSAVE follows CR4", r[2] >> 27 & 1);
	u32 lo, hi;
	asm volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	claim_eq("XCR0 is 1 after reset", lo, 1);
	asm volatile("xsetbv" : : "a"(3), "d"(0), "c"(0));
	cpuid(13, 0, r);
	claim_eq("CPUID.0Dh: size for x87 and SSE", r[1], 576);
	EXPECT("xsetbv without x87: #GP(0)", VEC_GP, 0, "xsetbv" : : "a"(2), "d"(0), "c"(0));
	EXPECT("xsetbv of XCR1: #GP(0)", VEC_GP, 0, "xsetbv" : : "a"(3), "d"(0), "c"(1));
	static u8 x[1024] __attribute__((aligned(64)));
	asm volatile("fninit; fldpi; movups %1, %%xmm3; xsave64 %0" : "+m"(x) : "m"(pattern), "a"(-1), "d"(-1));
	claim("xsave: header says x87 and SSE", *(u64 *)(x + 512) == 3);
	claim("xsave: XMM3", !memcmp(x + 160 + 48, pattern, 16));
	asm volatile("fninit; xorps %%xmm3, %%xmm3; xrstor64 %1; movups %%xmm3, %0" : "=m"(b) : "m"(x), "a"(3), "d"(0));
	claim("xrstor gives XMM3 back", !memcmp(b, pattern, 16));
	*(u64 *)(x + 512) = 1;
	asm volatile("xrstor64 %1; movups %%xmm3, %0" : "=m"(b) : "m"(x), "a"(3), "d"(0));
	claim("xrstor of a component in its initial state", *(u64 *)b == 0 && *(u64 *)(b + 8) == 0);
	*(u64 *)(x + 512) = 4;
	EXPECT("xrstor of a component not in XCR0: #GP(0)", VEC_GP, 0, "xrstor64 %0" : : "m"(x), "a"(3), "d"(0));
	*(u64 *)(x + 512) = 1;
	EXPECT("xsave not aligned to 64: #GP(0)", VEC_GP, 0, "xsave64 (%0)" : : "r"(x + 16), "a"(3), "d"(0) : "memory");
	asm volatile("fninit");
}

/* op xmm0, xmm1 on 128-bit values; MXCSR flags start clear. */
#define SSE(insn, dst, src)                                                            \
	({                                                                             \
		static const u32 clear_ = 0x1f80;                                      \
		asm volatile("ldmxcsr %2; movups %0, %%xmm0; movups %1, %%xmm1; " insn \
			     " %%xmm1, %%xmm0; movups %%xmm0, %0"                      \
			     : "+m"(dst)                                               \
			     : "m"(src), "m"(clear_));                                 \
	})

struct v {
	union {
		u64 q[2];
		u32 d[4];
		u8 b[16];
	};
} __attribute__((aligned(16)));

static u32 mxcsr(void)
{
	u32 v;

	asm volatile("stmxcsr %0" : "=m"(v));
	return v;
}

static void sse(void)
{
	struct v a, b;

	a = (struct v){.d = {0x3f800000, 0x40000000, 0x40400000, 0x40800000}};
	b = (struct v){.d = {0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000}};
	SSE("addps", a, b);
	claim("addps", a.d[0] == 0x40000000 && a.d[1] == 0x40400000 && a.d[2] == 0x40800000 && a.d[3] == 0x40a00000);
	claim_eq("exact: no MXCSR flags", mxcsr() & 0x3f, 0);
	a = (struct v){.q = {ONE_D, 0x1234}};
	b = (struct v){.q = {0x4008000000000000, 0}};
	SSE("divsd", a, b);
	claim("divsd 1 / 3, upper half stays, PE",
	      a.q[0] == 0x3fd5555555555555 && a.q[1] == 0x1234 && (mxcsr() & 0x3f) == 0x20);
	a = (struct v){.q = {ONE_D, 0}};
	b = (struct v){.q = {0, 0}};
	SSE("divsd", a, b);
	claim("divsd by 0: infinity, ZE", a.q[0] == INF_D && (mxcsr() & 0x3f) == 4);
	a = b = (struct v){.q = {0, 0}};
	SSE("divsd", a, b);
	claim("0 / 0: default NaN, IE", a.q[0] == QNAN_D && (mxcsr() & 0x3f) == 1);
	a = (struct v){.q = {0x7ff0000000000001, 0}};
	b = (struct v){.q = {ONE_D, 0}};
	SSE("addsd", a, b);
	claim("signalling NaN is made quiet, IE", a.q[0] == 0x7ff8000000000001 && (mxcsr() & 0x3f) == 1);
	a = (struct v){.q = {0x7ff8000000000005, 0}};
	b = (struct v){.q = {0x7ff8000000000009, 0}};
	SSE("mulsd", a, b);
	claim_eq("two NaNs: the first operand", a.q[0], 0x7ff8000000000005);
	a = (struct v){.q = {0, 0}};
	b = (struct v){.q = {0x8000000000000000, 0}};
	SSE("maxsd", a, b);
	claim_eq("maxsd of zeros: the second operand", a.q[0], 0x8000000000000000);
	a = (struct v){.q = {QNAN_D, 0}};
	b = (struct v){.q = {ONE_D, 0}};
	SSE("minsd", a, b);
	claim("minsd with a NaN: the second operand, IE", a.q[0] == ONE_D && (mxcsr() & 1));
	a = (struct v){.q = {0x0010000000000000, 0}};
	b = (struct v){.q = {0x3fe0000000000000, 0}};
	SSE("mulsd", a, b);
	claim("exact denormal result: no UE while masked", a.q[0] == 0x0008000000000000 && (mxcsr() & 0x3f) == 0);
	SSE("mulsd", a, b);
	claim("denormal operand: DE", (mxcsr() & 0x3f) == 2);

	static const u32 modes[4] = {0x1f80, 0x3f80, 0x5f80, 0x7f80}, clear = 0x1f80;
	static const s32 want[4] = {2, 2, 3, 2};
	static const u64 two_half = 0x4004000000000000;
	bool good = true;
	for (int i = 0; i < 4; i++) {
		s32 r;

		asm volatile("ldmxcsr %1; cvtsd2si %2, %0; ldmxcsr %3"
			     : "=r"(r)
			     : "m"(modes[i]), "m"(two_half), "m"(clear));
		good &= r == want[i];
	}
	claim("cvtsd2si of 2.5 in four rounding modes", good);
	u64 r;
	static const u64 huge = 0x7fe0000000000000;
	asm volatile("cvttsd2si %1, %0" : "=r"(r) : "m"(huge));
	claim("cvttsd2si overflow: indefinite, IE", r == 0x8000000000000000 && (mxcsr() & 1));
	static const u32 ftz = 0x9fc0; /* FTZ, DAZ */
	a = (struct v){.q = {0x0010000000000000, 0}};
	asm volatile("ldmxcsr %1; movsd %0, %%xmm0; mulsd %2, %%xmm0; movsd %%xmm0, %0; ldmxcsr %3"
		     : "+m"(a.q[0])
		     : "m"(ftz), "m"(b.q[0]), "m"(clear));
	claim_eq("FTZ flushes", a.q[0], 0);

	u64 f;
	static const u64 one = ONE_D, two = TWO_D, nan = QNAN_D;
	asm volatile("movsd %1, %%xmm0; ucomisd %2, %%xmm0; pushfq; pop %0" : "=r"(f) : "m"(one), "m"(two) : "cc");
	claim_eq("ucomisd less: CF", f & STATUS_FLAGS, FLAG_CF);
	asm volatile("movsd %1, %%xmm0; ucomisd %2, %%xmm0; pushfq; pop %0" : "=r"(f) : "m"(one), "m"(nan) : "cc");
	claim_eq("ucomisd unordered: ZF, PF, CF", f & STATUS_FLAGS, FLAG_CF | FLAG_ZF | FLAG_PF);
	claim_eq("ucomisd of a quiet NaN: no IE", mxcsr() & 1, 0);
	asm volatile("movsd %0, %%xmm0; comisd %1, %%xmm0" : : "m"(one), "m"(nan) : "cc");
	claim_eq("comisd of a quiet NaN: IE", mxcsr() & 1, 1);
	asm volatile("ldmxcsr %0" : : "m"(clear));

	a = (struct v){.q = {0x0706050403020100, 0x0f0e0d0c0b0a0908}};
	b = (struct v){.b = {15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 0x80, 0}};
	SSE("pshufb", a, b);
	claim("pshufb", a.b[0] == 15 && a.b[13] == 2 && a.b[14] == 0 && a.b[15] == 0);
	a = (struct v){.b = {0xff, 1, 0x80, 0x7f}};
	b = (struct v){.b = {1, 0xff, 0x80, 1}};
	SSE("paddusb", a, b);
	claim("paddusb saturates", a.b[0] == 0xff && a.b[1] == 0xff && a.b[2] == 0xff && a.b[3] == 0x80);
	a = (struct v){.d = {0xffffffff, 0, 0xffffffff, 0}};
	b = (struct v){.d = {0xffffffff, 0, 2, 0}};
	SSE("pmuludq", a, b);
	claim("pmuludq", a.q[0] == 0xfffffffe00000001 && a.q[1] == 0x1fffffffe);
	a = (struct v){.q = {0x8000000000000080, 0x80}};
	u32 mask;
	asm volatile("movups %1, %%xmm0; pmovmskb %%xmm0, %0" : "=r"(mask) : "m"(a));
	claim_eq("pmovmskb", mask, 0x181);
	a = (struct v){.q = {0xf0, 0}};
	b = (struct v){.q = {0x0f, 0}};
	asm volatile("movups %1, %%xmm0; movups %2, %%xmm1; ptest %%xmm1, %%xmm0; pushfq; pop %0"
		     : "=r"(f)
		     : "m"(a), "m"(b)
		     : "cc");
	claim_eq("ptest: ZF, not CF", f & STATUS_FLAGS, FLAG_ZF);
	a = (struct v){.b = "hello, world"};
	b = (struct v){.b = "wor"};
	u32 index;
	asm volatile("movups %2, %%xmm0; movups %3, %%xmm1; pcmpistri $0x0c, %%xmm1, %%xmm0; pushfq; pop %1"
		     : "=c"(index), "=r"(f)
		     : "m"(b), "m"(a)
		     : "cc");
	claim("pcmpistri finds a substring", index == 7 && (f & FLAG_CF));
	static u8 odd[32] __attribute__((aligned(16)));
	EXPECT("movaps not aligned: #GP(0)", VEC_GP, 0, "movaps (%0), %%xmm0" : : "r"(odd + 1));
	EXPECT("addps from memory not aligned: #GP(0)", VEC_GP, 0, "addps (%0), %%xmm0" : : "r"(odd + 4));
	EXPECT_NONE("movups not aligned", "movups (%0), %%xmm0" : : "r"(odd + 1));
	/* MMX shares the x87 registers. */
	static u8 area[512] __attribute__((aligned(16)));
	u64 m = 0x1122334455667788;
	asm volatile("fninit; movq %1, %%mm2; fxsave64 %0; emms" : "=m"(area) : "m"(m));
	claim("MMX write: all tags valid, TOP 0, exponent all ones",
	      area[4] == 0xff && (*(u16 *)(area + 2) >> 11 & 7) == 0 && *(u64 *)(area + 64) == m &&
		  *(u16 *)(area + 72) == 0xffff);
	asm volatile("fxsave64 %0" : "=m"(area));
	claim_eq("emms empties the tags", area[4], 0);
}

void kmain(void)
{
	x87();
	states();
	sse();
}
