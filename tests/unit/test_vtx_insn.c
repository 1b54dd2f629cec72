// SPDX-License-Identifier: GPL-2.0-or-later
/* The opcodes that the module's single-stepping treats apart, against Zydis over random instructions. */
#include <check.h>
#include <Zydis/Zydis.h>

#include "vmm/types.h"
#include "vmm/vtx/module/insn.c"

static enum insn_class classify(const u8 *code, unsigned n, unsigned bits)
{
	unsigned len;

	return insn_classify(code, n, bits, &len);
}

#define IS(class, bits, ...)                                                   \
	do {                                                                   \
		const u8 code_[] = {__VA_ARGS__};                              \
		ck_assert_int_eq(classify(code_, sizeof(code_), bits), class); \
	} while (0)

START_TEST(branches)
{
	IS(INSN_BRANCH, 64, 0x74, 0x00);
	IS(INSN_BRANCH, 16, 0x0f, 0x8f, 0, 0);
	IS(INSN_BRANCH, 32, 0xe2, 0xfe);
	IS(INSN_BRANCH, 64, 0x67, 0xe3, 0xfe);
	IS(INSN_BRANCH, 64, 0x2e, 0x75, 0x00);
	IS(INSN_PLAIN, 64, 0xeb, 0xfe);
	IS(INSN_PLAIN, 64, 0xe8, 0, 0, 0, 0);
	IS(INSN_PLAIN, 64, 0x0f, 0x94, 0xc0); /* SETcc */
	IS(INSN_PLAIN, 64, 0x0f, 0x44, 0xc0); /* CMOVcc */
}
END_TEST

START_TEST(flags)
{
	unsigned len;

	IS(INSN_PUSHF, 64, 0x9c);
	IS(INSN_LOADS_FLAGS, 64, 0x9d);
	IS(INSN_LOADS_FLAGS, 64, 0x48, 0xcf);
	IS(INSN_LOADS_FLAGS, 64, 0x48, 0x0f, 0x07);
	IS(INSN_SYSCALL, 64, 0x0f, 0x05);
	IS(INSN_PLAIN, 32, 0x0f, 0x05);
	IS(INSN_STI, 32, 0xfb);
	ck_assert_int_eq(insn_classify((const u8[]){0x66, 0x9c}, 2, 64, &len), INSN_PUSHF);
	ck_assert_uint_eq(len, 2);
	ck_assert_int_eq(insn_classify((const u8[]){0xcd, 0x80}, 2, 64, &len), INSN_INT);
	ck_assert_uint_eq(len, 2);
	IS(INSN_PLAIN, 64, 0xcd); /* the vector can't be fetched: it will fault */
	IS(INSN_PLAIN, 64, 0xcc);
}
END_TEST

START_TEST(strings)
{
	unsigned len;

	IS(INSN_REP, 64, 0xf3, 0xa4);
	IS(INSN_REP, 64, 0xf2, 0x48, 0xaf);
	IS(INSN_PLAIN, 64, 0xa4);
	IS(INSN_PLAIN, 64, 0xf3, 0x90);
	ck_assert_int_eq(insn_classify((const u8[]){0xf3, 0x48, 0xab}, 3, 64, &len), INSN_REP);
	ck_assert_uint_eq(len, 3);
	/* 48h is DEC EAX outside of 64-bit mode. */
	IS(INSN_PLAIN, 32, 0xf3, 0x48, 0xab);
}
END_TEST

START_TEST(segments)
{
	IS(INSN_LOADS_SS, 64, 0x8e, 0xd0);
	IS(INSN_PLAIN, 64, 0x8e, 0xd8);
	IS(INSN_LOADS_SS, 32, 0x17);
	IS(INSN_PUSH_SEG, 32, 0x1e);
	IS(INSN_PLAIN, 16, 0x1e);
	IS(INSN_PUSH_SEG, 16, 0x66, 0x1e);
	IS(INSN_PLAIN, 32, 0x66, 0x0f, 0xa0);
	IS(INSN_PUSH_SEG, 32, 0x0f, 0xa8);
	IS(INSN_PLAIN, 64, 0x0f, 0xa8);
}
END_TEST

START_TEST(rest)
{
	IS(INSN_X87, 64, 0xd9, 0xe8);
	IS(INSN_X87, 64, 0xdd, 0x00);
	IS(INSN_PLAIN, 64, 0xd9, 0x28); /* FLDCW */
	IS(INSN_PLAIN, 64, 0xdb, 0xe3); /* FNINIT */
	IS(INSN_SYSTEM, 64, 0x0f, 0x01, 0x38);
	IS(INSN_SYSTEM, 64, 0x66, 0x0f, 0x38, 0x82, 0x00);
	IS(INSN_ABSENT, 64, 0xf3, 0x0f, 0xc7, 0xf8); /* RDPID */
	IS(INSN_PLAIN, 64, 0x0f, 0xc7, 0x08);        /* CMPXCHG8B */
	ck_assert_int_eq(classify((const u8[]){0}, 0, 64), INSN_PLAIN);
	ck_assert_int_eq(classify((const u8[]){0x66, 0x66, 0x66}, 3, 64), INSN_PLAIN);
}
END_TEST

static u64 seed = 0x123456789abcdef1;

static u64 next(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static bool is_conditional(ZydisMnemonic m)
{
	return (m >= ZYDIS_MNEMONIC_JB && m <= ZYDIS_MNEMONIC_JZ && m != ZYDIS_MNEMONIC_JMP &&
		m != ZYDIS_MNEMONIC_JKNZD && m != ZYDIS_MNEMONIC_JKZD) ||
	       m == ZYDIS_MNEMONIC_LOOP || m == ZYDIS_MNEMONIC_LOOPE || m == ZYDIS_MNEMONIC_LOOPNE;
}

static enum insn_class by_zydis(const ZydisDecodedInstruction *z, const ZydisDecodedOperand *op)
{
	switch (z->mnemonic) {
	case ZYDIS_MNEMONIC_PUSHF:
	case ZYDIS_MNEMONIC_PUSHFD:
	case ZYDIS_MNEMONIC_PUSHFQ:
		return INSN_PUSHF;
	case ZYDIS_MNEMONIC_POPF:
	case ZYDIS_MNEMONIC_POPFD:
	case ZYDIS_MNEMONIC_POPFQ:
	case ZYDIS_MNEMONIC_IRET:
	case ZYDIS_MNEMONIC_IRETD:
	case ZYDIS_MNEMONIC_IRETQ:
	case ZYDIS_MNEMONIC_SYSRET:
		return INSN_LOADS_FLAGS;
	case ZYDIS_MNEMONIC_SYSCALL:
		return INSN_SYSCALL;
	case ZYDIS_MNEMONIC_INT:
		return INSN_INT;
	case ZYDIS_MNEMONIC_STI:
		return INSN_STI;
	default:
		break;
	}
	if (is_conditional(z->mnemonic))
		return INSN_BRANCH;
	if ((z->mnemonic == ZYDIS_MNEMONIC_MOV || z->mnemonic == ZYDIS_MNEMONIC_POP) &&
	    op[0].type == ZYDIS_OPERAND_TYPE_REGISTER && op[0].reg.value == ZYDIS_REGISTER_SS)
		return INSN_LOADS_SS;
	return INSN_PLAIN;
}

/* Where either says that an instruction is one of those whose class decides what the guest sees. */
START_TEST(against_zydis)
{
	static const unsigned width[] = {16, 32, 64};
	unsigned compared = 0;

	for (unsigned i = 0; i < 600000; i++) {
		unsigned bits = width[i % 3];
		ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
		ZydisDecodedInstruction z;
		ZydisDecoder decoder;
		enum insn_class want, got;
		u8 code[16];

		for (unsigned n = 0; n < 16; n += 8)
			store64(code + n, next());
		if (i & 4)
			code[0] = (const u8[]){0x66, 0xf3, 0xf2, 0x48, 0x67, 0x0f, 0x2e, 0x41}[next() & 7];
		ZydisDecoderInit(&decoder,
				 bits == 64   ? ZYDIS_MACHINE_MODE_LONG_64
				 : bits == 32 ? ZYDIS_MACHINE_MODE_LEGACY_32
					      : ZYDIS_MACHINE_MODE_LEGACY_16,
				 bits == 64   ? ZYDIS_STACK_WIDTH_64
				 : bits == 32 ? ZYDIS_STACK_WIDTH_32
					      : ZYDIS_STACK_WIDTH_16);
		if (ZYAN_FAILED(ZydisDecoderDecodeFull(&decoder, code, 15, &z, op)) ||
		    z.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
			continue;
		want = by_zydis(&z, op);
		got = classify(code, 15, bits);
		if (want == INSN_SYSCALL && bits != 64) /* only AMD has it there */
			want = INSN_PLAIN;
		if (want == INSN_PLAIN && got != INSN_PUSHF && got != INSN_LOADS_FLAGS && got != INSN_BRANCH &&
		    got != INSN_INT)
			continue;
		compared++;
		ck_assert_msg(got == want, "%02x %02x %02x %02x, %u bits, %s: class %d, not %d", code[0], code[1],
			      code[2], code[3], bits, ZydisMnemonicGetString(z.mnemonic), got, want);
	}
	ck_assert_uint_gt(compared, 10000);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("vtx_insn");
	TCase *t = tcase_create("classes");
	SRunner *r;
	int failed;

	tcase_add_test(t, branches);
	tcase_add_test(t, flags);
	tcase_add_test(t, strings);
	tcase_add_test(t, segments);
	tcase_add_test(t, rest);
	tcase_add_test(t, against_zydis);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
