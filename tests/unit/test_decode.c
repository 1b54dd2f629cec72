/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The decoder against Zydis: length and validity of every opcode with every ModRM byte, and of random bytes, in 16-, 32-
 * and 64-bit code. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/cpu/isa.h"
#include "vmm/soft/decode.h"
#include "vmm/x86/regs.h"

struct how {
	unsigned bits;
	unsigned mode;
};

static const struct how hows[] = {{64, MODE_64 | MODE_32 | MODE_SS32}, {32, MODE_32 | MODE_SS32}, {16, 0}};

static ZydisDecoder decoder;
static unsigned compared, differences;

static void init(const struct how *how)
{
	isa_decoder_init(&decoder, how->bits);
	compared = differences = 0;
}

/* What Zydis makes of the bytes: a length, or 0 for undefined, or TRUNCATED, TOO_LONG. */
#define TRUNCATED 100
#define TOO_LONG  101

static unsigned zydis_length(const u8 *bytes, unsigned len, ZydisDecodedInstruction *i)
{
	ZyanStatus status = ZydisDecoderDecodeInstruction(&decoder, NULL, bytes, len, i);

	if (ZYAN_SUCCESS(status))
		return i->length;
	if (status == ZYDIS_STATUS_NO_MORE_DATA)
		return TRUNCATED;
	return status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG ? TOO_LONG : 0;
}

static bool is_prefix(unsigned bits, u8 b)
{
	return b == 0xf0 || b == 0xf2 || b == 0xf3 || (b & 0xe7) == 0x26 || (b >= 0x64 && b <= 0x67) ||
	       (bits == 64 && (b & 0xf0) == 0x40);
}

/* Where the two may differ:
 *  1. The decoder takes PREFETCH and PREFETCHW (0F 0D) for the NOPs they are on processors without them.
 *  2. What Zydis calls UD0 and UD1 is undefined by design, and so is RSM outside of system-management mode. */
static bool known_difference(const ZydisDecodedInstruction *i)
{
	return i->meta.isa_ext == ZYDIS_ISA_EXT_AMD3DNOW_PREFETCH || i->meta.isa_ext == ZYDIS_ISA_EXT_PREFETCHWT1 ||
	       i->mnemonic == ZYDIS_MNEMONIC_RSM || i->mnemonic == ZYDIS_MNEMONIC_UD0 ||
	       i->mnemonic == ZYDIS_MNEMONIC_UD1;
}

static void report(const struct how *how, const u8 *bytes, const char *what, unsigned want, unsigned got,
		   const ZydisDecodedInstruction *i)
{
	if (differences++ >= 40)
		return;
	fprintf(stderr, "%u-bit, ", how->bits);
	for (unsigned k = 0; k < INSN_MAX_LEN; k++)
		fprintf(stderr, "%02x", bytes[k]);
	fprintf(stderr, ": %s: Zydis %u, decoder %u (%s)\n", what, want, got,
		i ? ZydisMnemonicGetString(i->mnemonic) : "undefined");
}

static void compare(const struct how *how, const u8 *bytes)
{
	ZydisDecodedInstruction z;
	struct insn insn;
	bool end, valid, model;
	unsigned want = zydis_length(bytes, INSN_MAX_LEN, &z), got;

	memset(&insn, 0, sizeof(insn));
	got = decode_insn(bytes, INSN_MAX_LEN, 0x1000, how->mode, &insn, &end);
	compared++;
	valid = want && want <= INSN_MAX_LEN;
	model = valid && isa_in_model(&z);
	if (valid && known_difference(&z))
		return;
	if (want == TRUNCATED || want == TOO_LONG) {
		/* 15 bytes don't hold the instruction */
		if (insn.fn != op_too_long && insn.fn != op_ud)
			report(how, bytes, "too long", want, got, NULL);
		return;
	}
	if (!model) {
		if (insn.fn != op_ud)
			report(how, bytes, "not undefined", want, got, valid ? &z : NULL);
		return;
	}
	if (insn.fn == op_ud)
		report(how, bytes, "undefined", want, got, &z);
	else if (got != want)
		report(how, bytes, "length", want, got, &z);
}

/* --- all opcodes --- */

static void fill(u8 *bytes, unsigned n)
{
	static const u8 tail[INSN_MAX_LEN] = {0x24, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66,
					      0x77, 0x88, 0x99, 0x1a, 0x1b, 0x1c};

	memcpy(bytes + n, tail, INSN_MAX_LEN - n);
}

/* Every ModRM byte behind these opcode bytes. */
static void compare_modrm(const struct how *how, const u8 *opcode, unsigned n)
{
	u8 bytes[INSN_MAX_LEN];

	memcpy(bytes, opcode, n);
	for (unsigned modrm = 0; modrm < 256; modrm++) {
		bytes[n] = modrm;
		fill(bytes, n + 1);
		compare(how, bytes);
	}
}

static void compare_map(const struct how *how, const u8 *prefix, unsigned n)
{
	static const u8 escape[4][2] = {{0}, {0x0f}, {0x0f, 0x38}, {0x0f, 0x3a}};
	static const u8 escape_len[4] = {0, 1, 2, 2};
	u8 bytes[INSN_MAX_LEN];

	memcpy(bytes, prefix, n);
	for (unsigned map = 0; map < 4; map++) {
		memcpy(bytes + n, escape[map], 2);
		for (unsigned op = 0; op < 256; op++) {
			if (map == 0 && (op == 0x0f || is_prefix(how->bits, op)))
				continue;
			if (map == 1 && (op == 0x38 || op == 0x3a))
				continue;
			bytes[n + escape_len[map]] = op;
			compare_modrm(how, bytes, n + escape_len[map] + 1);
		}
	}
}

START_TEST(test_all_opcodes)
{
	static const u8 prefixes[][3] = {{0},    {0x66}, {0xf3},       {0xf2},       {0x67},
					 {0xf0}, {0x48}, {0x66, 0x48}, {0xf3, 0x45}, {0xf2, 0x4f}};
	const struct how *how = &hows[_i];

	init(how);
	for (unsigned i = 0; i < ARRAY_SIZE(prefixes); i++) {
		unsigned n = prefixes[i][0] ? prefixes[i][1] ? 2 : 1 : 0;

		if (how->bits == 64 || !n || (prefixes[i][n - 1] & 0xf0) != 0x40)
			compare_map(how, prefixes[i], n);
	}
	ck_assert_uint_gt(compared, 700000);
	ck_assert_uint_eq(differences, 0);
}
END_TEST

/* --- random bytes, with many prefixes --- */

static u64 random_next(u64 *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	return *x ^= *x << 17;
}

START_TEST(test_random)
{
	static const u8 prefix[] = {0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x2e, 0x36, 0x3e,
				    0x26, 0x64, 0x65, 0x40, 0x48, 0x4f, 0x0f, 0x0f};
	const struct how *how = &hows[_i];
	u64 x = 88172645463325252 + _i;

	init(how);
	for (unsigned n = 0; n < 400000; n++) {
		u8 bytes[INSN_MAX_LEN];
		unsigned count = random_next(&x) % 5;

		for (unsigned k = 0; k < INSN_MAX_LEN; k++)
			bytes[k] = random_next(&x) >> 20;
		for (unsigned k = 0; k < count; k++)
			bytes[k] = prefix[random_next(&x) % sizeof(prefix)];
		compare(how, bytes);
	}
	ck_assert_uint_eq(differences, 0);
}
END_TEST

/* --- the edges of the buffer, and the length limit --- */

/* Needs exactly its length: with less, 0; what lies behind doesn't matter. */
START_TEST(test_available)
{
	const struct how *how = &hows[_i];
	u64 x = 4101842887655102017 + _i;
	unsigned wrong = 0;

	for (unsigned n = 0; n < 100000; n++) {
		u8 bytes[INSN_MAX_LEN];
		struct insn a = {0}, b = {0};
		bool end_a, end_b;
		unsigned len;

		for (unsigned k = 0; k < INSN_MAX_LEN; k++)
			bytes[k] = random_next(&x) >> 20;
		if (n & 1)
			bytes[0] = 0x0f;
		len = decode_insn(bytes, INSN_MAX_LEN, 0x1000, how->mode, &a, &end_a);
		if (len == 0 || len > INSN_MAX_LEN || a.len != len || !a.fn) {
			wrong++;
			continue;
		}
		if (a.fn == op_ud || a.fn == op_too_long)
			continue;
		for (unsigned k = len; k < INSN_MAX_LEN; k++)
			bytes[k] ^= 0xff;
		if (decode_insn(bytes, len, 0x1000, how->mode, &b, &end_b) != len || memcmp(&a, &b, sizeof(a)) ||
		    end_a != end_b)
			wrong++;
		for (unsigned k = 1; k < len; k++)
			if (decode_insn(bytes, k, 0x1000, how->mode, &b, &end_b) != 0)
				wrong++;
	}
	ck_assert_uint_eq(wrong, 0);
}
END_TEST

/* SDM 2A 2.3.11: more than 15 bytes are a #GP. */
START_TEST(test_too_long)
{
	const struct how *how = &hows[_i];
	u8 bytes[INSN_MAX_LEN];
	struct insn insn;
	bool end;

	memset(bytes, 0x26, sizeof(bytes));
	bytes[14] = 0x90;
	ck_assert_uint_eq(decode_insn(bytes, 15, 0, how->mode, &insn, &end), 15);
	ck_assert_ptr_ne(insn.fn, op_too_long);
	ck_assert_ptr_ne(insn.fn, op_ud);
	bytes[14] = 0x26;
	ck_assert_uint_ne(decode_insn(bytes, 15, 0, how->mode, &insn, &end), 0);
	ck_assert_ptr_eq(insn.fn, op_too_long);
	/* the opcode fits, its immediate doesn't */
	bytes[14] = 0x04;
	ck_assert_uint_ne(decode_insn(bytes, 15, 0, how->mode, &insn, &end), 0);
	ck_assert_ptr_eq(insn.fn, op_too_long);
}
END_TEST

/* What is in struct insn: operands, immediates, branch targets. */
START_TEST(test_fields)
{
	struct insn i;
	bool end;

	/* mov rax, [rbx + r9*4 - 8] */
	ck_assert_uint_eq(decode_insn((const u8[15]){0x4a, 0x8b, 0x44, 0x8b, 0xf8}, 15, 0, MODE_64, &i, &end), 5);
	ck_assert_uint_eq(i.reg, 0);
	ck_assert_uint_eq(i.base, 3);
	ck_assert_uint_eq(i.index, 9);
	ck_assert_uint_eq(i.scale, 2);
	ck_assert_uint_eq(i.disp, (u64)-8);
	ck_assert_uint_eq(i.osize, 8);
	ck_assert(i.flags & INSN_MEM);
	ck_assert(i.flags & INSN_FLAT);
	ck_assert(!end);
	/* lea ecx, [rip + 10h]: disp is the absolute offset */
	ck_assert_uint_eq(decode_insn((const u8[15]){0x8d, 0x0d, 0x10, 0, 0, 0}, 15, 0x400000, MODE_64, &i, &end), 6);
	ck_assert_uint_eq(i.disp, 0x400016);
	ck_assert_uint_eq(i.base, GPR_NONE);
	/* mov [esp], ah in 32-bit code: stack segment, byte offset 1 */
	ck_assert_uint_eq(decode_insn((const u8[15]){0x88, 0x24, 0x24}, 15, 0, MODE_32 | MODE_SS32, &i, &end), 3);
	ck_assert_uint_eq(i.reg, 1);
	ck_assert_uint_eq(i.base, 4);
	ck_assert_uint_eq(i.seg, SEG_SS);
	ck_assert_uint_eq(i.asize, 4);
	/* with REX the same byte register is SPL */
	ck_assert_uint_eq(decode_insn((const u8[15]){0x40, 0x88, 0x23}, 15, 0, MODE_64, &i, &end), 3);
	ck_assert_uint_eq(i.reg, 4 * 8);
	/* jz -2: the target, and the end of a block */
	ck_assert_uint_eq(decode_insn((const u8[15]){0x74, 0xfe}, 15, 0x1234, MODE_64, &i, &end), 2);
	ck_assert_uint_eq(i.imm, 0x1234);
	ck_assert(end);
	/* 16-bit code: IP wraps */
	ck_assert_uint_eq(decode_insn((const u8[15]){0xeb, 0x10}, 15, 0xfff8, 0, &i, &end), 2);
	ck_assert_uint_eq(i.imm, 0x000a);
	/* mov rax, imm64 */
	ck_assert_uint_eq(decode_insn((const u8[15]){0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8}, 15, 0, MODE_64, &i, &end),
			  10);
	ck_assert_uint_eq(i.imm, 0x0807060504030201);
	/* add qword [rax], -1: sign-extended */
	ck_assert_uint_eq(decode_insn((const u8[15]){0x48, 0x83, 0, 0xff}, 15, 0, MODE_64, &i, &end), 4);
	ck_assert_uint_eq(i.imm, ~0ull);
	/* jmp far 1234:56789abc */
	ck_assert_uint_eq(
	    decode_insn((const u8[15]){0xea, 0xbc, 0x9a, 0x78, 0x56, 0x34, 0x12}, 15, 0, MODE_32, &i, &end), 7);
	ck_assert_uint_eq(i.imm, 0x56789abc);
	ck_assert_uint_eq(i.aux, 0x1234);
	/* mov eax, fs:[bx + si + 5] in 16-bit code */
	ck_assert_uint_eq(decode_insn((const u8[15]){0x64, 0x66, 0x8b, 0x40, 5}, 15, 0, 0, &i, &end), 5);
	ck_assert_uint_eq(i.seg, SEG_FS);
	ck_assert_uint_eq(i.base, 3);
	ck_assert_uint_eq(i.index, 6);
	ck_assert_uint_eq(i.asize, 2);
	ck_assert_uint_eq(i.osize, 4);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("decode");
	TCase *tc = tcase_create("decode");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, test_all_opcodes, 0, ARRAY_SIZE(hows));
	tcase_add_loop_test(tc, test_random, 0, ARRAY_SIZE(hows));
	tcase_add_loop_test(tc, test_available, 0, ARRAY_SIZE(hows));
	tcase_add_loop_test(tc, test_too_long, 0, ARRAY_SIZE(hows));
	tcase_add_test(tc, test_fields);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
