/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Instructions one at a time in user mode: what the differential test (tests/cpu) can't compare on every host since
 * processors differ, and what it has found. The interpreter follows Intel's processors (docs/cpu-coverage.md). */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/cpu/diff.h"
#include "vmm/x86/regs.h"

static const u64 base = DIFF_DATA, code = DIFF_CODE + DIFF_CODE_START;
static struct interp *interp;
static u8 data[DIFF_IMAGE];
static struct diff_case c;
static struct diff_result r;

/* The images of these tests leave nothing open. */
void diff_wipe_image(const struct diff_case *of, u64 rip, u8 *bytes)
{
}

static void setup(void)
{
	static const struct diff_host host = {.fsgsbase = true, .ldt = true, .xcr0 = 3};

	interp = interp_create(&host);
}

static void teardown(void)
{
	interp_free(interp);
}

/* A case in flat 32- or 64-bit code, or in the LDT's segments (16: a 16-bit stack too). */
static void begin(unsigned bits, bool segmented)
{
	u16 ds = segmented ? DIFF_LDT_SELECTOR(LDT_DATA16) : USER_DS;

	c = (struct diff_case){.bits = bits, .segmented = segmented};
	memset(data, 0, sizeof(data));
	for (unsigned n = 0; n < 6; n++)
		c.in.seg[n] = n < SEG_FS ? ds : 0;
	c.in.seg[SEG_CS] = bits == 64 ? USER64_CS : USER32_CS;
	if (segmented)
		c.in.seg[SEG_CS] = DIFF_LDT_SELECTOR(bits == 16 ? LDT_CODE16 : LDT_CODE32);
	c.in.rip = segmented ? DIFF_CODE_START : code;
	c.in.gpr[RSP] = segmented ? 0x800 : base + 0x800;
	c.in.rflags = RFLAGS_1 | RFLAGS_IF;
	c.in.fpu.fcw = 0x37f;
	c.in.fpu.mxcsr = 0x1f80;
}

/* Runs the bytes written in @hex, with an INT3 behind. Returns the vector that ended them. */
static unsigned run(const char *hex)
{
	unsigned byte;

	c.code_len = 0;
	for (int n; sscanf(hex, " %2x%n", &byte, &n) == 1; hex += n)
		c.code[c.code_len++] = byte;
	c.code[c.code_len++] = 0xcc;
	interp_set_data(interp, data);
	interp_run(interp, &c, &r);
	return r.vector;
}

static u64 memory(unsigned offset, unsigned size)
{
	u64 v = 0;

	memcpy(&v, interp_data(interp) + offset, size);
	return v;
}

/* --- stack --- */

START_TEST(test_push_segment)
{
	begin(32, false);
	memset(data + 0x7f8, 0xee, 8);
	ck_assert_uint_eq(run("1e"), X86_BP); /* PUSH DS */
	ck_assert_uint_eq(memory(0x7fc, 4), 0xeeee002b);
	ck_assert_uint_eq(r.regs.gpr[RSP], base + 0x7fc);
	begin(32, false);
	memset(data + 0x7f8, 0xee, 8);
	ck_assert_uint_eq(run("66 1e"), X86_BP);
	ck_assert_uint_eq(memory(0x7fc, 4), 0x002beeee);
	begin(64, false);
	memset(data + 0x7f8, 0xee, 8);
	ck_assert_uint_eq(run("0f a0"), X86_BP); /* PUSH FS */
	ck_assert_uint_eq(memory(0x7f8, 8), 0);
}
END_TEST

START_TEST(test_enter_16bit_stack)
{
	begin(32, true);
	c.in.gpr[RBP] = 0x12345678;
	c.in.gpr[RSP] = 0xabcd0800;
	ck_assert_uint_eq(run("c8 10 00 00"), X86_BP);
	ck_assert_uint_eq(memory(0x7fc, 4), 0x12345678);
	ck_assert_uint_eq((u32)r.regs.gpr[RSP], 0xabcd07ec);
	ck_assert_uint_eq((u16)r.regs.gpr[RBP], 0x7fc);
}
END_TEST

START_TEST(test_iret_stack_pointer)
{
	/* 16-bit IRET in 64-bit code: what is popped is zero-extended. */
	static const u16 frame16[] = {0, USER32_CS, 0x202, 0x1234, USER_DS};
	static const u64 frame64[] = {0x40, DIFF_LDT_SELECTOR(LDT_CODE32), 0x202, 0xffff1234,
				      DIFF_LDT_SELECTOR(LDT_DATA16)};

	begin(64, false);
	memcpy(data + 0x800, frame16, sizeof(frame16));
	ck_assert_uint_eq(run("66 cf"), X86_PF);
	ck_assert_uint_eq(r.regs.rip, 0);
	ck_assert_uint_eq(r.regs.gpr[RSP], 0x1234);
	/* To a 16-bit stack: SP only. */
	begin(64, false);
	memcpy(data + 0x800, frame64, sizeof(frame64));
	ck_assert_uint_eq(run("48 cf"), X86_BP);
	ck_assert_uint_eq(r.regs.rip, 0x41);
	ck_assert_uint_eq((u16)r.regs.gpr[RSP], 0x1234);
	ck_assert_uint_eq((u32)r.regs.gpr[RSP] >> 16, (base + 0x800) >> 16);
}
END_TEST

START_TEST(test_ret_far_16bit_stack)
{
	begin(32, true);
	c.in.gpr[RSP] = 0xabcd0800;
	store32(data + 0x800, 0x40);
	store32(data + 0x804, DIFF_LDT_SELECTOR(LDT_CODE32));
	ck_assert_uint_eq(run("ca 00 f9"), X86_BP); /* SP wraps, ESP doesn't carry */
	ck_assert_uint_eq((u32)r.regs.gpr[RSP], 0xabcd0108);
}
END_TEST

/* --- branches --- */

START_TEST(test_near_branch_66)
{
	begin(64, false);
	ck_assert_uint_eq(run("66 eb 01 cc"), X86_BP); /* 66 means nothing */
	ck_assert_uint_eq(r.regs.rip, code + 5);
	begin(64, false);
	ck_assert_uint_eq(run("66 e8 01 00 00 00 cc"), X86_BP);
	ck_assert_uint_eq(r.regs.rip, code + 8);
	ck_assert_uint_eq(r.regs.gpr[RSP], base + 0x7f8);
	begin(32, false);
	ck_assert_uint_eq(run("66 eb 01 cc"), X86_PF); /* IP has 16 bits */
	ck_assert_uint_eq(r.regs.rip, (u16)code + 4);
}
END_TEST

START_TEST(test_loop_rep)
{
	/* LOOPNE with F3 stays LOOPNE: ZF ends it. */
	for (unsigned zf = 0; zf < 2; zf++) {
		begin(64, false);
		c.in.gpr[RCX] = 5;
		c.in.rflags |= zf ? RFLAGS_ZF : 0;
		ck_assert_uint_eq(run("f3 e0 01 cc"), X86_BP);
		ck_assert_uint_eq(r.regs.rip, zf ? code + 4 : code + 5);
		ck_assert_uint_eq(r.regs.gpr[RCX], 4);
	}
}
END_TEST

START_TEST(test_far_pointer_64)
{
	begin(64, false);
	store64(data + 0x100, DIFF_CODE + DIFF_LANDING);
	store16(data + 0x108, USER64_CS);
	c.in.gpr[RAX] = base + 0x100;
	ck_assert_uint_eq(run("48 ff 28"), X86_BP); /* JMP far m16:64 */
	ck_assert_uint_eq(r.regs.rip, DIFF_CODE + DIFF_LANDING + 1);
	begin(64, false);
	store64(data + 0x100, 0x1122334455667788);
	store16(data + 0x108, USER_DS);
	c.in.gpr[RAX] = base + 0x100;
	ck_assert_uint_eq(run("48 0f b4 18"), X86_BP); /* LFS RBX, m16:64 */
	ck_assert_uint_eq(r.regs.gpr[RBX], 0x1122334455667788);
	ck_assert_uint_eq(r.regs.seg[SEG_FS], USER_DS);
}
END_TEST

/* --- exceptions --- */

START_TEST(test_alignment)
{
	static const struct {
		const char *code;
		unsigned align; /* of [EAX] */
	} rows[] = {
	    {"66 62 08", 2},    /* BOUND CX, m16&16 */
	    {"62 08", 4},       /* BOUND ECX, m32&32 */
	    {"66 c5 08", 2},    /* LDS CX, m16:16 */
	    {"c5 08", 4},       /* LDS ECX, m16:32 */
	    {"66 d9 20", 2},    /* FLDENV */
	    {"d9 20", 4},       /* FLDENV */
	    {"d9 30", 4},       /* FNSTENV */
	    {"dd 20", 4},       /* FRSTOR */
	    {"66 dd 30", 2},    /* FNSAVE */
	    {"dd 00", 8},       /* FLD m64 */
	    {"db 28", 8},       /* FLD m80 */
	    {"8b 08", 4},       /* MOV */
	    {"66 8b 08", 2},    /* MOV */
	    {"f0 0f c7 08", 8}, /* CMPXCHG8B */
	};

	for (unsigned n = 0; n < ARRAY_SIZE(rows); n++) {
		for (unsigned offset = 1; offset <= 8; offset++) {
			bool aligned = offset % rows[n].align == 0;

			begin(32, false);
			memset(data, 0, 0x400);
			c.in.rflags |= RFLAGS_AC;
			c.in.gpr[RAX] = base + 0x100 + offset;
			ck_assert_msg((run(rows[n].code) == X86_AC) == !aligned, "%s at %u: vector %u", rows[n].code,
				      offset, r.vector);
		}
	}
}
END_TEST

START_TEST(test_mov_ss_int3)
{
	/* The step that MOV SS holds back doesn't come behind INT3. */
	begin(32, false);
	c.in.rflags |= RFLAGS_TF;
	c.in.gpr[RAX] = USER_DS;
	ck_assert_uint_eq(run("8e d0"), X86_BP);
	ck_assert_uint_eq(r.regs.rip, code + 3);
	begin(32, false);
	c.in.rflags |= RFLAGS_TF;
	c.in.gpr[RAX] = USER_DS;
	ck_assert_uint_eq(run("8e d0 90"), X86_DB);
	ck_assert_uint_eq(r.regs.rip, code + 3);
}
END_TEST

START_TEST(test_undefined)
{
	static const char *const rows[] = {
	    "f0 0f 00 20",                   /* LOCK VERR */
	    "f0 90",                         /* LOCK NOP */
	    "f0 01 c0",                      /* LOCK ADD of a register */
	    "f0 8b 00",                      /* LOCK MOV */
	    "f0 0f ba 20 01",                /* LOCK BT */
	    "0f ff 00",                      /* UD0 */
	    "0f b9 00",                      /* UD1 */
	    "0f 0b",          "c5 f8 57 c0", /* VXORPS: not in the model */
	};

	for (unsigned n = 0; n < ARRAY_SIZE(rows); n++) {
		begin(64, false);
		ck_assert_msg(run(rows[n]) == X86_UD, "%s: vector %u", rows[n], r.vector);
		ck_assert_uint_eq(r.regs.rip, code);
	}
}
END_TEST

START_TEST(test_fxsave_operand)
{
	/* All 512 bytes must be there, though fewer are written. */
	begin(64, false);
	c.in.gpr[RAX] = base + DIFF_DATA_SIZE - 432;
	ck_assert_uint_eq(run("0f ae 00"), X86_PF);
	ck_assert_uint_eq(r.cr2, base + DIFF_DATA_SIZE);
	ck_assert_uint_eq(memory(DIFF_DATA_SIZE - 432, 8), 0);
}
END_TEST

/* --- registers and results --- */

START_TEST(test_fsbase_66)
{
	begin(64, false);
	c.in.gpr[RAX] = 0x12345678;
	c.in.fs_base = ~0ull << 48;
	ck_assert_uint_eq(run("66 f3 0f ae d0"), X86_BP); /* WRFSBASE EAX */
	ck_assert_uint_eq(r.regs.fs_base, 0x12345678);
	begin(64, false);
	c.in.fs_base = 0x123456789abc;
	ck_assert_uint_eq(run("66 f3 0f ae c0"), X86_BP); /* RDFSBASE EAX */
	ck_assert_uint_eq(r.regs.gpr[RAX], 0x56789abc);
}
END_TEST

START_TEST(test_lar)
{
	begin(64, false);
	c.in.gpr[RAX] = USER_DS;
	ck_assert_uint_eq(run("0f 02 c8"), X86_BP);
	ck_assert_uint_eq(r.regs.gpr[RCX], 0xcff300);
	ck_assert_uint_eq(r.regs.rflags & RFLAGS_ZF, RFLAGS_ZF);
}
END_TEST

START_TEST(test_bit_scan_of_zero)
{
	/* The destination stays, its upper half too. */
	begin(64, false);
	c.in.gpr[RCX] = 0x1122334455667788;
	ck_assert_uint_eq(run("0f bc c8"), X86_BP);
	ck_assert_uint_eq(r.regs.gpr[RCX], 0x1122334455667788);
	ck_assert_uint_eq(r.regs.rflags & RFLAGS_ZF, RFLAGS_ZF);
}
END_TEST

START_TEST(test_cmpxchg32)
{
	/* Failing: EAX is loaded and RAX zero-extended; the destination's upper half... */
	begin(64, false);
	c.in.gpr[RAX] = 0x1111111111111111;
	c.in.gpr[RCX] = 0x2222222222222222;
	c.in.gpr[RDX] = 0x3333333333333333;
	ck_assert_uint_eq(run("0f b1 d1"), X86_BP); /* CMPXCHG ECX, EDX */
	ck_assert_uint_eq(r.regs.gpr[RAX], 0x22222222);
	ck_assert_uint_eq(r.regs.gpr[RCX], 0x2222222222222222);
	/* ... and equal: RAX stays as it is. */
	begin(64, false);
	c.in.gpr[RAX] = 0x1111111122222222;
	c.in.gpr[RCX] = 0x2222222222222222;
	c.in.gpr[RDX] = 0x3333333333333333;
	ck_assert_uint_eq(run("0f b1 d1"), X86_BP);
	ck_assert_uint_eq(r.regs.gpr[RAX], 0x1111111122222222);
	ck_assert_uint_eq(r.regs.gpr[RCX], 0x33333333);
}
END_TEST

START_TEST(test_cvtpi2ps_memory)
{
	/* Enters MMX state, whatever its operand; and so waits for x87 exceptions. */
	begin(64, false);
	c.in.gpr[RAX] = base;
	c.in.fpu.fsw = 3 << 11;
	ck_assert_uint_eq(run("0f 2a 00"), X86_BP);
	ck_assert_uint_eq(r.regs.fpu.ftw, 0xff);
	ck_assert_uint_eq(r.regs.fpu.fsw >> 11 & 7, 0);
	begin(64, false);
	c.in.gpr[RAX] = base;
	c.in.fpu.fcw = 0x37e;
	c.in.fpu.fsw = 0x8081;
	ck_assert_uint_eq(run("0f 2a 00"), X86_MF);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("insn");
	TCase *tc = tcase_create("insn");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_push_segment);
	tcase_add_test(tc, test_enter_16bit_stack);
	tcase_add_test(tc, test_iret_stack_pointer);
	tcase_add_test(tc, test_ret_far_16bit_stack);
	tcase_add_test(tc, test_near_branch_66);
	tcase_add_test(tc, test_loop_rep);
	tcase_add_test(tc, test_far_pointer_64);
	tcase_add_test(tc, test_alignment);
	tcase_add_test(tc, test_mov_ss_int3);
	tcase_add_test(tc, test_undefined);
	tcase_add_test(tc, test_fxsave_operand);
	tcase_add_test(tc, test_fsbase_66);
	tcase_add_test(tc, test_lar);
	tcase_add_test(tc, test_bit_scan_of_zero);
	tcase_add_test(tc, test_cmpxchg32);
	tcase_add_test(tc, test_cvtpi2ps_memory);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
