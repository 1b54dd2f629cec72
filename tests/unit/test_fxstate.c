/* SPDX-License-Identifier: GPL-2.0-or-later */
/* FXSAVE, FXRSTOR and the XSAVE family: images against the host's, headers and faults against SDM volume 1,
 * chapter 13. */
#include <check.h>
#include <cpuid.h>
#include <stdlib.h>

#include "tests/unit/x87_rig.h"

#define LEGACY    512
#define XSTATE_BV 512
#define XCOMP_BV  520
#define AREA      576

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

struct area {
	u8 byte[AREA];
} __attribute__((aligned(64)));

static u64 seed = 88172645463325252ull;

static u64 rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * 0x2545f4914f6cdd1dull;
}

static int run_at(insn_fn *fn, unsigned osize, u64 disp)
{
	struct insn i = x87_rig_insn(0xae, 0, disp);

	i.osize = osize;
	return x87_rig_call(&rig, fn, &i);
}

static int run(insn_fn *fn, unsigned osize, u64 mask)
{
	set_reg64(rig.cpu, RAX, (u32)mask);
	set_reg64(rig.cpu, RDX, mask >> 32);
	return run_at(fn, osize, 0);
}

static void random_state(void)
{
	for (unsigned n = 0; n < 8; n++) {
		fpu->st[n].mant = rnd();
		fpu->st[n].se = rnd();
	}
	for (unsigned n = 0; n < 16; n++) {
		store64(fpu->xmm[n], rnd());
		store64(fpu->xmm[n] + 8, rnd());
	}
	fpu->fcw = (rnd() & X87_FCW_BITS) | 0x40;
	fpu->fsw = rnd() & ~(X87_ES | X87_B);
	x87_update_summary(fpu);
	fpu->ftw = rnd();
	fpu->mxcsr = rnd() & MXCSR_MASK;
}

static void clear_state(void)
{
	memset(fpu, 0, sizeof(*fpu));
	fpu->fcw = X87_FCW_INIT;
	fpu->mxcsr = MXCSR_INIT;
}

/* Restores @in on the host and saves what came of it. */
static void host_round_trip(const struct area *in, struct area *out, bool xrstor)
{
	static struct area own;

	memset(out, 0xee, sizeof(*out));
	if (xrstor)
		__asm__ volatile("fxsave64 %1\n\txrstor64 %2\n\tfxsave64 %0\n\tfxrstor64 %1"
				 : "=m"(*out), "+m"(own)
				 : "m"(*in), "a"(3), "d"(0));
	else
		__asm__ volatile("fxsave64 %1\n\tfxrstor64 %2\n\tfxsave64 %0\n\tfxrstor64 %1"
				 : "=m"(*out), "+m"(own)
				 : "m"(*in));
}

/* The vendors disagree about when the pointers are kept, and their MXCSR_MASK need not be the model's. */
static void forget_pointers(struct area *a)
{
	memset(a->byte + 6, 0, 18);
	memset(a->byte + 28, 0, 4);
}

START_TEST(image_as_host)
{
	for (unsigned n = 0; n < 300; n++) {
		struct area in, host, here;

		random_state();
		memset(rig.page, 0xee, AREA);
		ck_assert_int_eq(run_at(op_fxsave, 8, 0), -1);
		memcpy(&in, rig.page, AREA);
		forget_pointers(&in);
		host_round_trip(&in, &host, false);

		memcpy(rig.page, &in, AREA);
		clear_state();
		ck_assert_int_eq(run_at(op_fxrstor, 8, 0), -1);
		memset(rig.page, 0xee, AREA);
		ck_assert_int_eq(run_at(op_fxsave, 8, 0), -1);
		memcpy(&here, rig.page, AREA);
		forget_pointers(&host);
		forget_pointers(&here);
		ck_assert_mem_eq(&host, &here, AREA);
	}
}
END_TEST

/* ES and B are made, and reserved bits dropped, whatever the image says. */
START_TEST(odd_image_as_host)
{
	for (unsigned n = 0; n < 300; n++) {
		struct area in, host;

		for (unsigned k = 0; k < LEGACY; k += 8)
			store64(in.byte + k, rnd());
		forget_pointers(&in);
		store32(in.byte + 24, rnd() & MXCSR_MASK);
		host_round_trip(&in, &host, false);
		memcpy(rig.page, &in, LEGACY);
		ck_assert_int_eq(run_at(op_fxrstor, 8, 0), -1);
		ck_assert_uint_eq(fpu->fcw, load16(host.byte));
		ck_assert_uint_eq(fpu->fsw, load16(host.byte + 2));
		ck_assert_uint_eq(fpu->ftw, host.byte[4]);
	}
}
END_TEST

START_TEST(pointer_layouts)
{
	fpu->fip = 0x1122334455667788;
	fpu->fdp = 0x99aabbccddeeff00;
	fpu->fop = 0x7a5;
	ck_assert_int_eq(run_at(op_fxsave, 8, 0), -1);
	ck_assert_uint_eq(load64(rig.page + 8), 0x1122334455667788);
	ck_assert_uint_eq(load64(rig.page + 16), 0x99aabbccddeeff00);
	ck_assert_uint_eq(load16(rig.page + 6), 0x7a5);
	ck_assert_int_eq(run_at(op_fxsave, 4, 0), -1);
	ck_assert_uint_eq(load64(rig.page + 8), 0x55667788);
	ck_assert_uint_eq(load64(rig.page + 16), 0xddeeff00);
	ck_assert_int_eq(run_at(op_fxrstor, 4, 0), -1);
	ck_assert_uint_eq(fpu->fip, 0x55667788);
	ck_assert_uint_eq(fpu->fdp, 0xddeeff00);
	ck_assert_uint_eq(fpu->fcs | fpu->fds, 0);
}
END_TEST

/* Outside 64-bit mode there are eight XMM registers; the rest of the area and of the registers stays. */
START_TEST(legacy_mode)
{
	rig.cpu->mode = MODE_32;
	random_state();
	memset(rig.page, 0xee, LEGACY);
	ck_assert_int_eq(run_at(op_fxsave, 4, 0), -1);
	ck_assert_uint_eq(load64(rig.page + 280), load64(fpu->xmm[7] + 8));
	for (unsigned n = 288; n < LEGACY; n++)
		ck_assert_uint_eq(rig.page[n], 0xee);
	ck_assert_int_eq(run_at(op_fxrstor, 4, 0), -1);
	ck_assert_uint_ne(load64(fpu->xmm[8]), 0xeeeeeeeeeeeeeeeeull);
}
END_TEST

START_TEST(fx_faults)
{
	struct x86_fpu before;

	ck_assert_int_eq(run_at(op_fxsave, 8, 8), X86_GP);
	ck_assert_int_eq(run_at(op_fxrstor, 8, 8), X86_GP);
	random_state();
	before = *fpu;
	memset(rig.page, 0, LEGACY);
	store32(rig.page + 24, 0x10000);
	ck_assert_int_eq(run_at(op_fxrstor, 8, 0), X86_GP);
	ck_assert_mem_eq(&before, fpu, sizeof(before));
	rig.cpu->x87_ok = false;
	ck_assert_int_eq(run_at(op_fxsave, 8, 8), X86_NM);
	ck_assert_int_eq(run_at(op_fxrstor, 8, 8), X86_NM);
}
END_TEST

START_TEST(mxcsr)
{
	store32(rig.page, 0x1fff);
	ck_assert_int_eq(run_at(op_ldmxcsr, 4, 0), -1);
	ck_assert_uint_eq(fpu->mxcsr, 0x1fff);
	store32(rig.page, 0x11f80);
	ck_assert_int_eq(run_at(op_ldmxcsr, 4, 0), X86_GP);
	ck_assert_int_eq(run_at(op_stmxcsr, 4, 0x40), -1);
	ck_assert_uint_eq(load32(rig.page + 0x40), 0x1fff);
	rig.cpu->sse_ok = false;
	rig.cpu->vcpu.regs.cr4 = 0;
	ck_assert_int_eq(run_at(op_stmxcsr, 4, 0), X86_UD);
	rig.cpu->vcpu.regs.cr4 = CR4_OSFXSR;
	ck_assert_int_eq(run_at(op_ldmxcsr, 4, 0), X86_NM);
}
END_TEST

/* --- XSAVE --- */

/* XSAVE writes what is asked for, in use or not; of the header only XSTATE_BV, and of that only the asked bits. */
START_TEST(xsave_header)
{
	clear_state();
	fpu->xmm[3][5] = 1;
	memset(rig.page, 0xee, AREA);
	ck_assert_int_eq(run(op_xsave, 8, 3), -1);
	ck_assert_uint_eq(load64(rig.page + XSTATE_BV), 0xeeeeeeeeeeeeeeecull | XCR0_SSE);
	ck_assert_uint_eq(load64(rig.page + XCOMP_BV), 0xeeeeeeeeeeeeeeeeull);
	ck_assert_uint_eq(load16(rig.page), X87_FCW_INIT);
	ck_assert_uint_eq(load32(rig.page + 24), MXCSR_INIT);
	ck_assert_uint_eq(load32(rig.page + 28), 0xffff);
	ck_assert_uint_eq(rig.page[160 + 16 * 3 + 5], 1);
	for (unsigned n = 416; n < LEGACY; n++)
		ck_assert_uint_eq(rig.page[n], 0xee);

	memset(rig.page, 0, AREA);
	store64(rig.page + XSTATE_BV, 2);
	ck_assert_int_eq(run(op_xsave, 8, 1), -1);
	ck_assert_uint_eq(load64(rig.page + XSTATE_BV), 2);
	ck_assert_uint_eq(load32(rig.page + 24), 0); /* MXCSR goes with SSE */
	ck_assert_uint_eq(rig.page[160 + 16 * 3 + 5], 0);
	/* Bits beyond XCR0 are ignored. */
	ck_assert_int_eq(run(op_xsave, 8, ~0ull), -1);
	ck_assert_uint_eq(load64(rig.page + XSTATE_BV), 2);
}
END_TEST

/* The init optimization skips what is not in use, but MXCSR is always written. */
START_TEST(xsaveopt)
{
	clear_state();
	fpu->ftw = 1;
	memset(rig.page, 0, AREA);
	memset(rig.page + 160, 0xee, 256);
	ck_assert_int_eq(run(op_xsaveopt, 8, 3), -1);
	ck_assert_uint_eq(load64(rig.page + XSTATE_BV), XCR0_X87);
	ck_assert_uint_eq(rig.page[4], 1);
	ck_assert_uint_eq(load32(rig.page + 24), MXCSR_INIT);
	ck_assert_uint_eq(load64(rig.page + 160), 0xeeeeeeeeeeeeeeeeull);
}
END_TEST

START_TEST(xsavec_header)
{
	clear_state();
	memset(rig.page, 0xee, AREA);
	ck_assert_int_eq(run(op_xsavec, 8, 3), -1);
	ck_assert_uint_eq(load64(rig.page + XSTATE_BV), 0);
	ck_assert_uint_eq(load64(rig.page + XCOMP_BV), BIT(63) | 3);
	ck_assert_uint_eq(load64(rig.page + 528), 0xeeeeeeeeeeeeeeeeull);
	ck_assert_uint_eq(load64(rig.page), 0xeeeeeeeeeeeeeeeeull);
	ck_assert_uint_eq(load32(rig.page + 24), 0xeeeeeeeeu);
	/* MXCSR alone brings SSE in. */
	fpu->mxcsr = 0x1fa0;
	ck_assert_int_eq(run(op_xsavec, 8, 2), -1);
	ck_assert_uint_eq(load64(rig.page + XSTATE_BV), XCR0_SSE);
	ck_assert_uint_eq(load64(rig.page + XCOMP_BV), BIT(63) | 2);
	ck_assert_uint_eq(load32(rig.page + 24), 0x1fa0);
	ck_assert_int_eq(run(op_xsaves, 8, 3), -1);
	ck_assert_uint_eq(load64(rig.page + XSTATE_BV), XCR0_SSE);
	ck_assert_uint_eq(load64(rig.page + XCOMP_BV), BIT(63) | 3);
}
END_TEST

START_TEST(xrstor_components)
{
	struct x86_fpu saved;

	random_state();
	saved = *fpu;
	memset(rig.page, 0, AREA);
	ck_assert_int_eq(run(op_xsave, 8, 3), -1);

	/* Only SSE asked for: x87 untouched. */
	clear_state();
	ck_assert_int_eq(run(op_xrstor, 8, 2), -1);
	ck_assert_mem_eq(fpu->xmm, saved.xmm, sizeof(saved.xmm));
	ck_assert_uint_eq(fpu->mxcsr, saved.mxcsr);
	ck_assert_uint_eq(fpu->fcw, X87_FCW_INIT);
	ck_assert_uint_eq(fpu->st[0].mant, 0);
	/* x87 asked for but clear in XSTATE_BV: initialized. */
	*fpu = saved;
	store64(rig.page + XSTATE_BV, 0);
	ck_assert_int_eq(run(op_xrstor, 8, 1), -1);
	ck_assert_uint_eq(fpu->fcw, X87_FCW_INIT);
	ck_assert_uint_eq(fpu->st[3].mant | fpu->st[3].se | fpu->ftw | fpu->fsw, 0);
	ck_assert_mem_eq(fpu->xmm, saved.xmm, sizeof(saved.xmm));
	/* SSE likewise; MXCSR comes from memory in the standard form and is initialized in the compacted one. */
	ck_assert_int_eq(run(op_xrstor, 8, 3), -1);
	ck_assert_uint_eq(soft_xinuse(rig.cpu), 0);
	ck_assert_uint_eq(fpu->mxcsr, saved.mxcsr);
	store64(rig.page + XCOMP_BV, BIT(63) | 3);
	ck_assert_int_eq(run(op_xrstor, 8, 3), -1);
	ck_assert_uint_eq(fpu->mxcsr, MXCSR_INIT);
}
END_TEST

START_TEST(compacted_round_trip)
{
	for (unsigned n = 0; n < 100; n++) {
		struct x86_fpu saved;

		random_state();
		saved = *fpu;
		memset(rig.page, 0, AREA);
		ck_assert_int_eq(run(n & 1 ? op_xsaves : op_xsavec, 8, 3), -1);
		clear_state();
		ck_assert_int_eq(run(n & 1 ? op_xrstors : op_xrstor, 8, 3), -1);
		ck_assert_mem_eq(&saved, fpu, sizeof(saved));
	}
}
END_TEST

START_TEST(xsave_faults)
{
	insn_fn *const all[] = {op_xsave, op_xsaveopt, op_xsavec, op_xsaves, op_xrstor, op_xrstors};

	for (unsigned n = 0; n < ARRAY_SIZE(all); n++) {
		rig.cpu->vcpu.regs.cr4 = CR4_OSFXSR | CR4_OSXSAVE;
		rig.cpu->vcpu.regs.cr0 = 0;
		ck_assert_int_eq(run_at(all[n], 8, 16), X86_GP);
		rig.cpu->vcpu.regs.cr0 = CR0_TS;
		ck_assert_int_eq(run_at(all[n], 8, 16), X86_NM);
		rig.cpu->vcpu.regs.cr4 = CR4_OSFXSR;
		ck_assert_int_eq(run_at(all[n], 8, 16), X86_UD);
	}
	rig.cpu->vcpu.regs.cr4 = CR4_OSFXSR | CR4_OSXSAVE;
	rig.cpu->vcpu.regs.cr0 = 0;
	rig.cpu->cpl = 3;
	ck_assert_int_eq(run(op_xsaves, 8, 3), X86_GP);
	ck_assert_int_eq(run(op_xrstors, 8, 3), X86_GP);
	ck_assert_int_eq(run(op_xsave, 8, 3), -1);
}
END_TEST

START_TEST(xrstor_header_faults)
{
	static const struct {
		u64 xstate_bv, xcomp_bv;
		unsigned reserved; /* a byte to set */
		bool supervisor, fault;
	} t[] = {
	    {3, 0, 0, false, false},
	    {4, 0, 0, false, true},                 /* not in XCR0 */
	    {0, 3, 0, false, true},                 /* XCOMP_BV without bit 63 */
	    {0, 0, 528, false, true},               /* bytes 23:16 of the header */
	    {0, 0, 536, false, false},              /* not looked at in the standard form */
	    {3, BIT(63) | 3, 0, false, false},      /* compacted */
	    {3, BIT(63) | 1, 0, false, true},       /* not in XCOMP_BV */
	    {0, BIT(63) | 4, 0, false, true},       /* not in XCR0 */
	    {BIT(63), BIT(63) | 3, 0, false, true}, /* bit 63 is no component */
	    {0, BIT(63) | 3, 536, false, true},     /* reserved bytes */
	    {0, BIT(63) | 3, 575, false, true},
	    {0, 0, 0, true, true}, /* XRSTORS knows one form */
	    {3, BIT(63) | 3, 0, true, false},
	};

	for (unsigned n = 0; n < ARRAY_SIZE(t); n++) {
		struct x86_fpu before;

		random_state();
		before = *fpu;
		memset(rig.page, 0, AREA);
		store64(rig.page + XSTATE_BV, t[n].xstate_bv);
		store64(rig.page + XCOMP_BV, t[n].xcomp_bv);
		if (t[n].reserved)
			rig.page[t[n].reserved] = 1;
		ck_assert_int_eq(run(t[n].supervisor ? op_xrstors : op_xrstor, 8, 3), t[n].fault ? X86_GP : -1);
		if (t[n].fault)
			ck_assert_mem_eq(&before, fpu, sizeof(before));
	}
	/* MXCSR is checked only when it would be loaded. */
	memset(rig.page, 0, AREA);
	store32(rig.page + 24, 0xffff0000);
	ck_assert_int_eq(run(op_xrstor, 8, 2), X86_GP);
	ck_assert_int_eq(run(op_xrstor, 8, 1), -1);
}
END_TEST

static bool host_has_xsave(void)
{
	u32 a, b, c, d;

	return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_OSXSAVE);
}

/* The host restores what is saved here. */
START_TEST(xsave_image_on_host)
{
	if (!host_has_xsave())
		return;
	for (unsigned n = 0; n < 200; n++) {
		struct area in, host, here;

		random_state();
		memset(rig.page, 0, AREA);
		ck_assert_int_eq(run(n & 1 ? op_xsave : op_xsaveopt, 8, 3), -1);
		memcpy(&in, rig.page, AREA);
		host_round_trip(&in, &host, true);
		memset(rig.page, 0xee, AREA);
		ck_assert_int_eq(run_at(op_fxsave, 8, 0), -1);
		memcpy(&here, rig.page, AREA);
		forget_pointers(&host);
		forget_pointers(&here);
		ck_assert_mem_eq(&host, &here, AREA);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fxstate");
	TCase *tc = tcase_create("fxstate");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, image_as_host);
	tcase_add_test(tc, odd_image_as_host);
	tcase_add_test(tc, pointer_layouts);
	tcase_add_test(tc, legacy_mode);
	tcase_add_test(tc, fx_faults);
	tcase_add_test(tc, mxcsr);
	tcase_add_test(tc, xsave_header);
	tcase_add_test(tc, xsaveopt);
	tcase_add_test(tc, xsavec_header);
	tcase_add_test(tc, xrstor_components);
	tcase_add_test(tc, compacted_round_trip);
	tcase_add_test(tc, xsave_faults);
	tcase_add_test(tc, xrstor_header_faults);
	tcase_add_test(tc, xsave_image_on_host);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
