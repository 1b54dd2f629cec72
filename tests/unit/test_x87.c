/* SPDX-License-Identifier: GPL-2.0-or-later */
/* x87 instructions: each against the host's x87 from random states, compared in everything that the SDM defines;
 * then what a program on the host can't see. The transcendental ones have test_x87_math.c. */
#include <check.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "tests/unit/x87_rig.h"

#define ROUNDS 3000

static struct x87_rig rig;
static struct x86_fpu *fpu;

static void setup(void)
{
	x87_rig_init(&rig);
	fpu = x87_fpu(rig.cpu);
}

static void teardown(void)
{
	x87_rig_free(&rig);
}

/* --- random states --- */

static u64 seed = 88172645463325252ull;

static u64 rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * 0x2545f4914f6cdd1dull;
}

static unsigned pick(unsigned n)
{
	return (u32)(rnd() >> 32) % n;
}

static u64 random_mant(void)
{
	switch (pick(7)) {
	case 0:
		return F80_INTEGER;
	case 1:
		return ~0ull;
	case 2:
		return (rnd() | F80_INTEGER) & ~0ull << pick(64);
	case 3:
		return F80_INTEGER | 1ull << pick(64);
	case 4:
		return F80_INTEGER | ~0ull << pick(63);
	case 5:
		return ((~0ull << pick(63)) - pick(3)) | F80_INTEGER;
	default:
		return rnd() | F80_INTEGER;
	}
}

/* Normal numbers near 1, and the edges: of this format, of the shorter ones, of the integers. */
static struct x87_reg random_reg(void)
{
	static const u16 edge[] = {1,
				   70,
				   0x7ffe,
				   F80_BIAS - 1023,
				   F80_BIAS - 1070,
				   F80_BIAS + 1023,
				   F80_BIAS - 127,
				   F80_BIAS - 150,
				   F80_BIAS + 127,
				   F80_BIAS + 62,
				   F80_BIAS + 30,
				   F80_BIAS + 14};
	struct x87_reg r = {random_mant(), 0};
	s32 exp;

	switch (pick(20)) {
	case 0:
		r.mant = 0;
		break;
	case 1: /* denormal, pseudo-denormal */
		r.mant >>= pick(64);
		break;
	case 2:
		r = f80_inf(false);
		break;
	case 3:
		r.mant |= F80_QUIET;
		r.se = F80_EXP_MAX;
		break;
	case 4:
		r.mant = (r.mant | 1) & ~F80_QUIET;
		r.se = F80_EXP_MAX;
		break;
	case 5: /* unsupported */
		r.mant >>= 1;
		r.se = 1 + pick(F80_EXP_MAX);
		break;
	case 6:
		r.se = 1 + pick(0x7ffe);
		break;
	case 7:
	case 8:
	case 9:
	case 10:
		exp = edge[pick(ARRAY_SIZE(edge))] + (s32)pick(7) - 3;
		r.se = exp < 1 ? 1 : exp > 0x7ffe ? 0x7ffe : exp;
		break;
	case 11:
		r.mant = F80_INTEGER;
		r.se = F80_BIAS;
		break;
	default:
		r.se = F80_BIAS + 32 - pick(64);
	}
	r.se |= pick(2) ? F80_SIGN : 0;
	return r;
}

/* @unmasked: of the exceptions, which may be unmasked. */
static void random_state(u16 unmasked)
{
	fpu->fcw = 0x40 | pick(16) << 8 | (X87_EXC & ~(unmasked & rnd()));
	if ((fpu->fcw >> 8 & 3) == 1) /* reserved precision */
		fpu->fcw |= 0x300;
	fpu->fsw = rnd() & (X87_CC | X87_TOP);
	fpu->fsw |= pick(4) ? 0 : rnd() & fpu->fcw & X87_EXC;
	fpu->ftw = pick(8) == 0 ? rnd() : 0xff;
	if (pick(2)) /* room for a push */
		fpu->ftw &= ~(1u << x87_phys(fpu, 7));
	for (unsigned n = 0; n < 8; n++) {
		fpu->st[n].mant = random_mant();
		fpu->st[n].se = F80_BIAS;
	}
	for (unsigned n = 0; n < 8; n++) {
		struct x87_reg r = random_reg();

		if (n && pick(4) == 0) { /* nearly the one before: cancellation, equality */
			r = x87_get(fpu, n - 1);
			r.mant ^= pick(4) == 0;
			r.se ^= pick(2) ? F80_SIGN : 0;
		}
		fpu->st[x87_phys(fpu, n)].mant = r.mant;
		fpu->st[x87_phys(fpu, n)].se = r.se;
	}
	soft_set_rflags(rig.cpu, RFLAGS_1 | (rnd() & RFLAGS_STATUS));
}

static void random_memory(u8 op, u8 reg)
{
	u8 *p = rig.page;

	for (unsigned n = 0; n < 64; n += 8)
		store64(p + n, rnd());
	switch (pick(10)) {
	case 0:
		store64(p, 0x7ff0000000000000ull | (rnd() & 0x8000000000000003ull));
		break;
	case 1:
		store64(p, rnd() & 0x800fffffffffffffull);
		break;
	case 2:
		store32(p, 0x7f800000 | (rnd() & 0x80400001));
		break;
	case 3:
		store32(p, rnd() & 0x807fffff);
		break;
	case 4:
		store64(p, 0);
		break;
	case 5:
		store64(p, (u64)((s64)rnd() >> pick(64)));
		break;
	case 6:
		store64(p, 0x3ff0000000000000ull);
		break;
	}
	if (op == 0xdf && reg == 4) { /* digits above 9 are undefined */
		for (unsigned n = 0; n < 9; n++)
			p[n] = pick(10) << 4 | pick(10);
	} else if (op == 0xdb && reg == 5) {
		struct x87_reg r = random_reg();

		store64(p, r.mant);
		store16(p + 8, r.se);
	}
}

/* --- the host --- */

struct fxarea {
	u8 byte[512];
} __attribute__((aligned(16)));

static u8 *code;

/* Code that loads the first argument, executes the instruction (a memory operand is [RDX], the third argument) with
 * the fourth for RFLAGS, saves to the second argument and returns RFLAGS. */
static void host_prepare(u8 op, u8 modrm)
{
	const u8 text[] = {
	    0x0f, 0xae,  0x0f,       /* fxrstor [rdi] */
	    0x51, 0x9d,              /* push rcx; popfq */
	    op,   modrm, 0x9c, 0x58, /* pushfq; pop rax */
	    0x0f, 0xae,  0x06,       /* fxsave [rsi] */
	    0xdb, 0xe3,  0xc3,       /* fninit; ret */
	};

	memcpy(code, text, sizeof(text));
}

static u64 host_run(const struct fxarea *in, struct fxarea *out, u8 *mem, u64 rflags)
{
	u64 (*run)(const void *, void *, void *, u64);

	memcpy(&run, &code, sizeof(run));
	return run(in, out, mem, rflags) & RFLAGS_STATUS;
}

static void to_area(struct fxarea *area)
{
	memset(area, 0, sizeof(*area));
	store16(area->byte, fpu->fcw);
	store16(area->byte + 2, fpu->fsw);
	area->byte[4] = fpu->ftw;
	store32(area->byte + 24, MXCSR_INIT);
	for (unsigned n = 0; n < 8; n++) {
		struct x87_reg r = x87_get(fpu, n);

		store64(area->byte + 32 + 16 * n, r.mant);
		store16(area->byte + 40 + 16 * n, r.se);
	}
}

#define ALL_CC (X87_C0 | X87_C1 | X87_C2 | X87_C3)

/* The condition codes an instruction leaves undefined, or where vendors differ (C1 of those that can't round). */
static u16 undefined_cc(u8 op, u8 modrm, bool invalid)
{
	unsigned reg = modrm >> 3 & 7;
	bool mem = modrm < 0xc0;

	if ((op == 0xd8 || op == 0xdc || op == 0xda || op == 0xde) && (mem || op == 0xd8 || op == 0xdc || op == 0xde) &&
	    (reg == 2 || reg == 3))
		return 0; /* comparisons */
	if (!mem && ((op == 0xdd && reg >= 4) || (op == 0xda && modrm == 0xe9)))
		return 0;
	if (!mem && op == 0xd9) {
		if (modrm == 0xe4 || modrm == 0xe5)
			return 0;
		if (modrm == 0xf8 || modrm == 0xf5)
			return invalid ? ALL_CC : 0;
	}
	if (!mem && ((op & 0xfe) == 0xda || op == 0xdf || (op == 0xdd && reg == 0)))
		return ALL_CC;
	return X87_C0 | X87_C2 | X87_C3;
}

static bool skip(u8 op, u8 modrm)
{
	if (modrm < 0xc0) /* environment and control words */
		return (op == 0xd9 && modrm >> 3 >= 4) || (op == 0xdd && modrm >> 3 >= 4);
	if (op == 0xd9) /* undocumented FSTP, transcendental */
		return modrm >> 3 == 0x1b || (modrm >= 0xf0 && modrm <= 0xf3) || modrm == 0xf9 || modrm == 0xfb ||
		       modrm >= 0xfe;
	return (op == 0xdb && modrm >> 3 == 0x1c) || (op == 0xdf && modrm < 0xe8); /* control, undocumented */
}

/* Check notes every assertion passed in a file; these are millions. */
#define CHECK(ok, ...)                             \
	do {                                       \
		if (!(ok))                         \
			ck_abort_msg(__VA_ARGS__); \
	} while (0)

static void compare_once(u8 op, u8 modrm, u16 unmasked)
{
	u8 reg = modrm >> 3 & 7, mem[64] __attribute__((aligned(16)));
	bool source_empty, invalid;
	struct fxarea in, out;
	u64 rflags, host_flags;
	u16 differ;

	random_state(unmasked);
	random_memory(op, reg);
	memcpy(mem, rig.page, sizeof(mem));
	to_area(&in);
	/* Both an empty source and a full stack: which is reported is nowhere said. */
	source_empty = x87_empty(fpu, op == 0xd9 && reg == 0 ? modrm & 7 : 0);
	if (op == 0xd9 && modrm >= 0xc0 && (reg == 0 || modrm == 0xf4) && source_empty && !x87_empty(fpu, 7))
		return;
	rflags = soft_rflags(rig.cpu);
	host_flags = host_run(&in, &out, mem, rflags);
	CHECK(x87_rig_op(&rig, op, modrm, 0) == -1, "%02x %02x: fault", op, modrm);

	invalid = load16(out.byte + 2) & X87_IE;
	differ = (load16(out.byte + 2) ^ fpu->fsw) & ~undefined_cc(op, modrm, invalid);
	/* How far a partial remainder gets is up to the processor. */
	if (op == 0xd9 && (modrm == 0xf8 || modrm == 0xf5) && (fpu->fsw & X87_C2) && !differ)
		return;
	CHECK(!differ, "%02x %02x: fcw %04x fsw %04x: host %04x, here %04x", op, modrm, fpu->fcw, load16(in.byte + 2),
	      load16(out.byte + 2), fpu->fsw);
	CHECK(out.byte[4] == fpu->ftw, "%02x %02x: tags %02x, here %02x", op, modrm, out.byte[4], fpu->ftw);
	CHECK(!memcmp(mem, rig.page, sizeof(mem)), "%02x %02x: memory differs", op, modrm);
	if (!(unmasked & X87_IE))
		CHECK(host_flags == (soft_rflags(rig.cpu) & RFLAGS_STATUS), "%02x %02x: flags", op, modrm);
	for (unsigned n = 0; n < 8; n++) {
		struct x87_reg r = x87_get(fpu, n);

		CHECK(r.mant == load64(out.byte + 32 + 16 * n) && r.se == load16(out.byte + 40 + 16 * n),
		      "%02x %02x: fcw %04x fsw %04x: st%u %04x:%016lx, here %04x:%016lx", op, modrm, fpu->fcw,
		      load16(in.byte + 2), n, load16(out.byte + 40 + 16 * n), load64(out.byte + 32 + 16 * n), r.se,
		      r.mant);
	}
}

static bool in_family(u8 op, u8 modrm)
{
	if (modrm < 0xc0)
		return (modrm & 7) == 2 && x87_mem[op & 7][modrm >> 3 & 7];
	/* Of eight registers, a few: ST0, the next, the last. */
	return x87_reg[op & 7][modrm & 0x3f] && ((modrm & 7) < 2 || (modrm & 7) == 7 || op == 0xd9 || op == 0xda);
}

static void compare_family(u8 op, u16 unmasked)
{
	code = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert(code != MAP_FAILED);
	for (unsigned modrm = 2; modrm < 0x100; modrm++) {
		if ((modrm > 0x3f && modrm < 0xc0) || !in_family(op, modrm) || skip(op, modrm))
			continue;
		host_prepare(op, modrm);
		for (unsigned n = 0; n < ROUNDS; n++)
			compare_once(op, modrm, unmasked);
	}
	munmap(code, PAGE_SIZE);
}

START_TEST(host_masked)
{
	compare_family(_i, 0);
}
END_TEST

START_TEST(host_unmasked_overflow_underflow)
{
	/* The wrapped exponents and the stores that don't happen. */
	compare_family(_i, X87_OE | X87_UE | X87_PE);
}
END_TEST

START_TEST(host_unmasked_arithmetic)
{
	static const u8 op[] = {0xd8, 0xdc, 0xde};

	compare_family(op[_i], X87_EXC);
}
END_TEST

/* --- what a program on the host can't compare --- */

static void set_st(unsigned n, u64 mant, u16 se)
{
	x87_set(fpu, n, (struct x87_reg){mant, se});
}

static void push(u64 mant, u16 se)
{
	x87_push(fpu, (struct x87_reg){mant, se});
}

START_TEST(constants_follow_rounding)
{
	static const struct {
		u8 modrm;
		u64 mant[4]; /* by RC */
		u16 se;
	} t[] = {
	    {0xe8, {1ull << 63, 1ull << 63, 1ull << 63, 1ull << 63}, 0x3fff},
	    {0xe9, {0xd49a784bcd1b8afe, 0xd49a784bcd1b8afe, 0xd49a784bcd1b8aff, 0xd49a784bcd1b8afe}, 0x4000},
	    {0xea, {0xb8aa3b295c17f0bc, 0xb8aa3b295c17f0bb, 0xb8aa3b295c17f0bc, 0xb8aa3b295c17f0bb}, 0x3fff},
	    {0xeb, {0xc90fdaa22168c235, 0xc90fdaa22168c234, 0xc90fdaa22168c235, 0xc90fdaa22168c234}, 0x4000},
	    {0xec, {0x9a209a84fbcff799, 0x9a209a84fbcff798, 0x9a209a84fbcff799, 0x9a209a84fbcff798}, 0x3ffd},
	    {0xed, {0xb17217f7d1cf79ac, 0xb17217f7d1cf79ab, 0xb17217f7d1cf79ac, 0xb17217f7d1cf79ab}, 0x3ffe},
	    {0xee, {0, 0, 0, 0}, 0},
	};

	for (unsigned n = 0; n < ARRAY_SIZE(t); n++)
		for (unsigned rc = 0; rc < 4; rc++) {
			x87_init(fpu);
			fpu->fcw = 0x37f | rc << 10;
			ck_assert_int_eq(x87_rig_op(&rig, 0xd9, t[n].modrm, 0), -1);
			ck_assert_uint_eq(x87_get(fpu, 0).mant, t[n].mant[rc]);
			ck_assert_uint_eq(x87_get(fpu, 0).se, t[n].se);
			ck_assert_uint_eq(fpu->fsw, 7 << 11);
		}
}
END_TEST

START_TEST(bcd_limits)
{
	static const struct {
		u64 mant;
		u16 se;
		u8 bcd[10];
		u16 raised;
	} t[] = {
	    /* 999999999999999999, 10^18, -0, 0.5, -1.5, infinity */
	    {0xde0b6b3a763ffff0, 0x403a, {0x99, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99, 0}, 0},
	    {0xde0b6b3a76400000, 0x403a, {0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff}, X87_IE},
	    {0, 0x8000, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80}, 0},
	    {F80_INTEGER, 0x3ffe, {0}, X87_PE},
	    {3ull << 62, 0xbfff, {2, 0, 0, 0, 0, 0, 0, 0, 0, 0x80}, X87_PE | X87_C1},
	    {F80_INTEGER, 0x7fff, {0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff}, X87_IE},
	};

	for (unsigned n = 0; n < ARRAY_SIZE(t); n++) {
		x87_init(fpu);
		push(t[n].mant, t[n].se);
		ck_assert_int_eq(x87_rig_op(&rig, 0xdf, 0x32, 0), -1);
		ck_assert_mem_eq(rig.page, t[n].bcd, 10);
		ck_assert_uint_eq(fpu->fsw, t[n].raised);
		ck_assert_uint_eq(fpu->ftw, 0);
	}
}
END_TEST

START_TEST(not_available)
{
	struct insn i = x87_rig_insn(0x9b, 0, 0);

	rig.cpu->x87_ok = false;
	for (unsigned op = 0; op < 8; op++) {
		for (unsigned n = 0; n < 64; n++)
			if (x87_reg[op][n])
				ck_assert_int_eq(x87_rig_op(&rig, 0xd8 + op, 0xc0 + n, 0), X86_NM);
		for (unsigned n = 0; n < 8; n++)
			if (x87_mem[op][n])
				ck_assert_int_eq(x87_rig_op(&rig, 0xd8 + op, n << 3, 0), X86_NM);
	}
	/* FWAIT looks at MP and TS together. */
	rig.cpu->vcpu.regs.cr0 = CR0_TS;
	ck_assert_int_eq(x87_rig_call(&rig, op_fwait, &i), -1);
	rig.cpu->vcpu.regs.cr0 = CR0_TS | CR0_MP;
	ck_assert_int_eq(x87_rig_call(&rig, op_fwait, &i), X86_NM);
	rig.cpu->vcpu.regs.cr0 = CR0_EM | CR0_MP;
	ck_assert_int_eq(x87_rig_call(&rig, op_fwait, &i), -1);
}
END_TEST

/* An unmasked exception waits for the next waiting instruction, which then does nothing else. */
START_TEST(pending_exception)
{
	struct insn wait = x87_rig_insn(0x9b, 0, 0);

	fpu->fcw = 0x37f & ~X87_ZE;
	push(0, 0);
	push(F80_INTEGER, F80_BIAS);
	ck_assert_int_eq(x87_rig_op(&rig, 0xd8, 0xf1, 0), -1); /* FDIV ST1 */
	ck_assert_uint_eq(fpu->fsw & (X87_ES | X87_B | X87_ZE), X87_ES | X87_B | X87_ZE);
	ck_assert_uint_eq(x87_get(fpu, 0).mant, F80_INTEGER);
	ck_assert_uint_eq(x87_get(fpu, 0).se, F80_BIAS);
	ck_assert_uint_eq(fpu->fop, 0x0f1);
	ck_assert_uint_eq(fpu->fip, RIG_RIP);

	ck_assert_int_eq(x87_rig_op(&rig, 0xd9, 0xee, 0), X86_MF);
	ck_assert_int_eq(x87_rig_op(&rig, 0xd9, 0x28, 0), X86_MF); /* FLDCW */
	ck_assert_int_eq(x87_rig_call(&rig, op_fwait, &wait), X86_MF);
	ck_assert_int_eq(x87_rig_op(&rig, 0xd9, 0x38, 0), -1); /* FNSTCW */
	ck_assert_int_eq(x87_rig_op(&rig, 0xdf, 0xe0, 0), -1); /* FNSTSW AX */
	ck_assert_uint_eq(reg16(rig.cpu, RAX), fpu->fsw);
	ck_assert_int_eq(x87_rig_op(&rig, 0xdb, 0xe2, 0), -1); /* FNCLEX */
	ck_assert_uint_eq(fpu->fsw & 0x80ff, 0);
	ck_assert_int_eq(x87_rig_call(&rig, op_fwait, &wait), -1);
}
END_TEST

START_TEST(fldcw_makes_pending)
{
	struct insn wait = x87_rig_insn(0x9b, 0, 0);

	fpu->fsw = X87_PE;
	store16(rig.page, 0x37f & ~X87_PE);
	ck_assert_int_eq(x87_rig_op(&rig, 0xd9, 0x28, 0), -1);
	ck_assert_uint_eq(fpu->fsw, X87_PE | X87_ES | X87_B);
	ck_assert_int_eq(x87_rig_call(&rig, op_fwait, &wait), X86_MF);
	/* Reserved bits don't stick, bit 6 always reads 1. */
	x87_init(fpu);
	store16(rig.page, 0xffff);
	ck_assert_int_eq(x87_rig_op(&rig, 0xd9, 0x28, 0), -1);
	ck_assert_uint_eq(fpu->fcw, 0x1f7f);
	store16(rig.page, 0x003f);
	ck_assert_int_eq(x87_rig_op(&rig, 0xd9, 0x28, 0), -1);
	ck_assert_uint_eq(fpu->fcw, 0x007f);
}
END_TEST

/* EFLAGS stay when an unmasked invalid operation stops FCOMI. */
START_TEST(fcomi_unmasked)
{
	fpu->fcw = 0x37e;
	push(F80_INTEGER | F80_QUIET, F80_EXP_MAX);
	push(F80_INTEGER, F80_BIAS);
	soft_set_rflags(rig.cpu, RFLAGS_1 | RFLAGS_OF | RFLAGS_SF);
	ck_assert_int_eq(x87_rig_op(&rig, 0xdf, 0xf1, 0), -1); /* FCOMIP */
	ck_assert_uint_eq(soft_rflags(rig.cpu) & RFLAGS_STATUS, RFLAGS_OF | RFLAGS_SF);
	ck_assert_uint_eq(x87_top(fpu), 6);
	fpu->fsw &= ~(X87_IE | X87_ES | X87_B);
	ck_assert_int_eq(x87_rig_op(&rig, 0xdf, 0xe9, 0), -1); /* FUCOMIP: a QNaN is no fault */
	ck_assert_uint_eq(soft_rflags(rig.cpu) & RFLAGS_STATUS, RFLAGS_ZF | RFLAGS_PF | RFLAGS_CF);
	ck_assert_uint_eq(x87_top(fpu), 7);
}
END_TEST

START_TEST(pointers)
{
	store32(rig.page + 0x40, 0x3f800000);
	ck_assert_int_eq(x87_rig_op(&rig, 0xd9, 0x00, 0x40), -1);
	ck_assert_uint_eq(fpu->fip, RIG_RIP);
	ck_assert_uint_eq(fpu->fdp, RIG_LA + 0x40);
	ck_assert_uint_eq(fpu->fop, 0); /* no unmasked exception */
	/* Control instructions leave them. */
	rig.cpu->block_rip += 0x10;
	ck_assert_int_eq(x87_rig_op(&rig, 0xd9, 0x38, 0x80), -1);
	ck_assert_uint_eq(fpu->fip, RIG_RIP);
	ck_assert_uint_eq(fpu->fdp, RIG_LA + 0x40);
	/* A register form moves FIP only. */
	ck_assert_int_eq(x87_rig_op(&rig, 0xd9, 0xe0, 0), -1);
	ck_assert_uint_eq(fpu->fip, RIG_RIP + 0x10);
	ck_assert_uint_eq(fpu->fdp, RIG_LA + 0x40);
}
END_TEST

/* A store that faults leaves the stack and the status word alone. */
START_TEST(store_fault)
{
	struct insn i = x87_rig_insn(0xdd, 0x18, 0);
	struct x86_fpu before;

	push(F80_INTEGER | 1, F80_BIAS); /* would be inexact */
	before = *fpu;
	i.flags = INSN_MEM;
	i.seg = SEG_DS;
	i.disp = 0x8000000000000000ull;
	ck_assert_int_eq(x87_rig_call(&rig, op_fstp_f64, &i), X86_GP);
	ck_assert_mem_eq(&before, fpu, sizeof(before));
}
END_TEST

START_TEST(environment_32)
{
	static const u8 want[28] = {0x7f, 0x03, 0xff, 0xff, 0x00, 0x28, 0xff, 0xff, 0xff, 0x1b, 0xff, 0xff, 0x00, 0x10,
				    0x40, 0,    0,    0,    0xf1, 0x00, 0x40, 0,    1,    0,    0,    0,    0xff, 0xff};
	struct insn i = x87_rig_insn(0xd9, 0x30, 0);

	/* ST0 to ST2: special, zero, valid, in physical 5 to 7. */
	push(F80_INTEGER, F80_BIAS);
	push(0, 0);
	push(1, 0);
	fpu->fip = RIG_RIP;
	fpu->fdp = RIG_LA + 0x40;
	fpu->fop = 0x0f1;
	ck_assert_int_eq(x87_rig_call(&rig, op_fnstenv, &i), -1);
	ck_assert_mem_eq(rig.page, want, 8);
	ck_assert_uint_eq(load32(rig.page + 8), 0xffff0000u | 2 << 10 | 1 << 12 | 0 << 14 | 0x3ff);
	ck_assert_mem_eq(rig.page + 12, want + 12, 16);
	x87_init(fpu);
	ck_assert_int_eq(x87_rig_call(&rig, op_fldenv, &i), -1);
	ck_assert_uint_eq(fpu->ftw, 0xe0);
	ck_assert_uint_eq(fpu->fip, RIG_RIP);
	ck_assert_uint_eq(fpu->fdp, RIG_LA + 0x40);
	ck_assert_uint_eq(fpu->fop, 0x0f1);
	ck_assert_uint_eq(x87_top(fpu), 5);
}
END_TEST

START_TEST(environment_16)
{
	struct insn i = x87_rig_insn(0xd9, 0x30, 0);

	i.osize = 2;
	fpu->fip = 0xabcde;
	fpu->fdp = 0x54321;
	fpu->fop = 0x5aa;
	memset(rig.page, 0xee, 32);
	ck_assert_int_eq(x87_rig_call(&rig, op_fnstenv, &i), -1);
	ck_assert_uint_eq(load16(rig.page + 6), 0xbcde);
	ck_assert_uint_eq(load16(rig.page + 8), 0);
	ck_assert_uint_eq(load16(rig.page + 10), 0x4321);
	ck_assert_uint_eq(rig.page[14], 0xee);
	/* Real mode: 20-bit addresses, and the opcode. */
	rig.cpu->mode = MODE_REAL;
	ck_assert_int_eq(x87_rig_call(&rig, op_fnstenv, &i), -1);
	ck_assert_uint_eq(load16(rig.page + 8), 0xa5aa);
	ck_assert_uint_eq(load16(rig.page + 12), 0x5000);
	x87_init(fpu);
	ck_assert_int_eq(x87_rig_call(&rig, op_fldenv, &i), -1);
	ck_assert_uint_eq(fpu->fip, 0xabcde);
	ck_assert_uint_eq(fpu->fdp, 0x54321);
	ck_assert_uint_eq(fpu->fop, 0x5aa);
}
END_TEST

START_TEST(environment_masks)
{
	struct insn i = x87_rig_insn(0xd9, 0x30, 0);

	fpu->fcw = 0x340;
	fpu->fsw = X87_IE | X87_ES | X87_B;
	ck_assert_int_eq(x87_rig_call(&rig, op_fnstenv, &i), -1);
	ck_assert_uint_eq(load16(rig.page), 0x340);
	ck_assert_uint_eq(load16(rig.page + 4), X87_IE | X87_ES | X87_B);
	ck_assert_uint_eq(fpu->fcw, 0x37f);
	ck_assert_uint_eq(fpu->fsw, X87_IE);
	ck_assert_int_eq(x87_rig_call(&rig, op_fldenv, &i), -1);
	ck_assert_uint_eq(fpu->fsw, X87_IE | X87_ES | X87_B);
}
END_TEST

START_TEST(save_restore)
{
	struct x86_fpu before;

	for (unsigned osize = 2; osize <= 4; osize += 2) {
		struct insn i = x87_rig_insn(0xdd, 0x30, 0);

		i.osize = osize;
		random_state(0);
		fpu->fip = 0x1234;
		fpu->fdp = 0x4321;
		fpu->fop = 0;
		before = *fpu;
		ck_assert_int_eq(x87_rig_call(&rig, op_fnsave, &i), -1);
		ck_assert_uint_eq(fpu->fcw, 0x37f);
		ck_assert_uint_eq(fpu->fsw | fpu->ftw | fpu->fip | fpu->fdp, 0);
		ck_assert_uint_eq(load64(rig.page + (osize == 2 ? 14 : 28)), before.st[x87_top(&before)].mant);
		for (unsigned n = 0; n < 8; n++)
			set_st(n, 0, 0);
		ck_assert_int_eq(x87_rig_call(&rig, op_frstor, &i), -1);
		ck_assert_mem_eq(&before, fpu, sizeof(before));
	}
}
END_TEST

START_TEST(stack_pointer)
{
	ck_assert_int_eq(x87_rig_op(&rig, 0xd9, 0xf6, 0), -1); /* FDECSTP */
	ck_assert_uint_eq(fpu->fsw, 7 << 11);
	ck_assert_int_eq(x87_rig_op(&rig, 0xd9, 0xf7, 0), -1); /* FINCSTP */
	ck_assert_uint_eq(fpu->fsw, 0);
	push(F80_INTEGER, F80_BIAS);
	push(F80_INTEGER, F80_BIAS);
	ck_assert_int_eq(x87_rig_op(&rig, 0xdf, 0xc1, 0), -1); /* FFREEP ST1 */
	ck_assert_uint_eq(fpu->ftw, 0);
	ck_assert_uint_eq(x87_top(fpu), 7);
}
END_TEST

START_TEST(mmx_aliasing)
{
	push(F80_INTEGER, F80_BIAS);
	x87_enter_mmx(rig.cpu);
	x87_set_mmx(rig.cpu, 3, 0x1122334455667788ull);
	ck_assert_uint_eq(x87_top(fpu), 0);
	ck_assert_uint_eq(fpu->ftw, 0xff);
	ck_assert_uint_eq(fpu->st[3].mant, 0x1122334455667788ull);
	ck_assert_uint_eq(fpu->st[3].se, 0xffff);
	x87_leave_mmx(rig.cpu);
	ck_assert_uint_eq(fpu->ftw, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("x87");
	TCase *tc = tcase_create("x87");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, host_masked, 0xd8, 0xe0);
	tcase_add_loop_test(tc, host_unmasked_overflow_underflow, 0xd8, 0xe0);
	tcase_add_loop_test(tc, host_unmasked_arithmetic, 0, 3);
	tcase_add_test(tc, constants_follow_rounding);
	tcase_add_test(tc, bcd_limits);
	tcase_add_test(tc, not_available);
	tcase_add_test(tc, pending_exception);
	tcase_add_test(tc, fldcw_makes_pending);
	tcase_add_test(tc, fcomi_unmasked);
	tcase_add_test(tc, pointers);
	tcase_add_test(tc, store_fault);
	tcase_add_test(tc, environment_32);
	tcase_add_test(tc, environment_16);
	tcase_add_test(tc, environment_masks);
	tcase_add_test(tc, save_restore);
	tcase_add_test(tc, stack_pointer);
	tcase_add_test(tc, mmx_aliasing);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
