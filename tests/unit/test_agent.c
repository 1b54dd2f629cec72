/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Opcodes as GDB's manual defines them (appendix F.2). */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "gdbstub/agent.h"

static u8 memory[64];
static char output[8192];
static size_t output_len;
static u64 traced[2];
static u64 variables[AGENT_VARIABLES];

static int host_reg(void *opaque, unsigned n, u64 *value)
{
	*value = 0x1000 + n;
	return n < 100 ? 0 : -ENOENT;
}

static int host_mem(void *opaque, u64 addr, void *buf, size_t len)
{
	if (addr < 0x8000 || addr + len > 0x8000 + sizeof(memory))
		return -EFAULT;
	memcpy(buf, memory + addr - 0x8000, len);
	return 0;
}

static void host_text(void *opaque, const char *text, size_t len)
{
	ck_assert_uint_lt(output_len + len, sizeof(output));
	memcpy(output + output_len, text, len);
	output_len += len;
	output[output_len] = 0;
}

static void host_trace(void *opaque, u64 addr, u64 len)
{
	traced[0] = addr;
	traced[1] = len;
}

static const struct agent_host host = {
    .reg = host_reg, .mem = host_mem, .text = host_text, .trace = host_trace, .variables = variables};

static int eval_bytes(const u8 *code, size_t len, u64 *value)
{
	struct agent_expr e = {(u8 *)code, len};

	output_len = 0;
	output[0] = 0;
	*value = 0xdead;
	ck_assert_int_eq(agent_check(code, len), 0);
	return agent_eval(&e, &host, value);
}

/* The value of a program written in hex. */
static int eval(const char *hex, u64 *value)
{
	u8 code[256];
	size_t len = 0;
	unsigned byte;
	int n;

	for (; sscanf(hex, "%2x%n", &byte, &n) == 1; hex += n)
		code[len++] = byte;
	return eval_bytes(code, len, value);
}

static u64 value_of(const char *hex)
{
	u64 v;

	ck_assert_int_eq(eval(hex, &v), 0);
	return v;
}

#define ck_value(hex, expected) ck_assert_uint_eq(value_of(hex), (u64)(expected))
#define ck_fails(hex, error)                             \
	do {                                             \
		u64 v_;                                  \
		ck_assert_int_eq(eval(hex, &v_), error); \
	} while (0)

START_TEST(constants)
{
	ck_value("22 ff 27", 0xff);
	ck_value("23 ff fe 27", 0xfffe);
	ck_value("24 80 00 00 01 27", 0x80000001);
	ck_value("25 01 02 03 04 05 06 07 08 27", 0x0102030405060708);
	ck_value("22 ff 16 08 27", -1);
	ck_value("22 7f 16 08 27", 0x7f);
	ck_value("25 ff ff ff ff ff ff ff ff 2a 20 27", 0xffffffff);
	ck_value("22 05 16 00 27", 5);
	ck_value("22 05 2a 40 27", 5);
	ck_value("27", 0);
}
END_TEST

START_TEST(arithmetic)
{
	ck_value("22 07 22 02 02", 9);
	ck_value("22 07 22 02 03", 5);
	ck_value("22 02 22 07 03", -5);
	ck_value("22 07 22 02 04", 14);
	ck_value("22 f9 16 08 22 02 05", -3); /* -7 / 2 */
	ck_value("22 f9 16 08 22 02 07", -1);
	ck_value("22 f9 16 08 22 02 06", 0x7ffffffffffffffc);
	ck_value("22 f9 16 08 22 02 08", 1);
	ck_fails("22 01 22 00 05", -EDOM);
	ck_fails("22 01 22 00 06", -EDOM);
	ck_fails("22 01 22 00 07", -EDOM);
	ck_fails("22 01 22 00 08", -EDOM);
	/* INT64_MIN / -1 and % -1 */
	ck_value("25 80 00 00 00 00 00 00 00 22 ff 16 08 05", 0x8000000000000000);
	ck_value("25 80 00 00 00 00 00 00 00 22 ff 16 08 07", 0);
	ck_value("22 01 22 3f 09", 1ull << 63);
	ck_value("22 01 22 40 09", 0);
	ck_value("22 80 16 08 22 01 0a", -64);
	ck_value("22 80 16 08 22 40 0a", -1);
	ck_value("22 80 16 08 22 3f 0b", 1);
	ck_value("22 80 16 08 22 40 0b", 0);
	ck_value("22 0c 22 0a 0f", 8);
	ck_value("22 0c 22 0a 10", 14);
	ck_value("22 0c 22 0a 11", 6);
	ck_value("22 00 12", -1);
	ck_value("22 00 0e", 1);
	ck_value("22 09 0e", 0);
	ck_value("22 05 22 05 13", 1);
	ck_value("22 05 22 06 13", 0);
	ck_value("22 ff 16 08 22 01 14", 1);
	ck_value("22 ff 16 08 22 01 15", 0);
	ck_value("22 01 22 ff 16 08 15", 1);
}
END_TEST

START_TEST(stack)
{
	ck_value("22 01 22 02 28 02 02", 5);
	ck_value("22 01 22 02 29", 1);
	ck_value("22 07 22 02 2b 03", -5);
	ck_value("22 01 22 02 22 03 32 02", 1);
	ck_value("22 01 22 02 22 03 32 00", 3);
	ck_fails("22 01 22 02 32 02", -EOVERFLOW);
	/* a b c => c a b */
	ck_value("22 01 22 02 22 03 33", 2);
	ck_value("22 01 22 02 22 03 33 29", 1);
	ck_value("22 01 22 02 22 03 33 29 29", 3);
	ck_fails("02", -EOVERFLOW);
	ck_fails("22 01 33", -EOVERFLOW);
	ck_fails("20 00 00", -EOVERFLOW);
	ck_fails("22 01 21 00 00", -EOVERFLOW); /* pushes without end */
	ck_fails("21 00 00", -ELOOP);
}
END_TEST

START_TEST(jumps)
{
	/* x ? 5 : 6, as GDB compiles it */
	ck_value("22 01 20 00 0a 22 06 21 00 0c 22 05 27", 5);
	ck_value("22 00 20 00 0a 22 06 21 00 0c 22 05 27", 6);
	/* 1 + 2 + ... + 5 */
	ck_value("22 00 22 05 28 33 02 2b 22 01 03 28 20 00 04 29 27", 15);
}
END_TEST

START_TEST(references)
{
	static const u8 bytes[] = {0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11};

	memcpy(memory, bytes, 8);
	ck_value("23 80 00 17", 0x88);
	ck_value("23 80 00 18", 0x7788);
	ck_value("23 80 00 19", 0x55667788);
	ck_value("23 80 00 1a", 0x1122334455667788);
	ck_fails("23 80 39 1a", -EFAULT);
	ck_fails("22 00 17", -EFAULT);
	ck_value("26 00 07", 0x1007);
	ck_fails("26 01 00", -ENOENT);
}
END_TEST

START_TEST(floating)
{
	const double d = 2.5;
	const float f = -1.5;
	const long double l = 10.25L;

	memcpy(memory, &d, 8);
	memcpy(memory + 8, &f, 4);
	memcpy(memory + 16, &l, 10);
	ck_value("23 80 00 1c 1f", 2);
	ck_value("23 80 08 1b 1f", -1);
	ck_value("23 80 10 1d 1f", 10);
	ck_value("23 80 00 1c 23 80 08 1b 01 02 1f", 1); /* 2.5 + -1.5 */
	ck_value("23 80 00 1c 23 80 08 1b 01 03 1f", 4); /* 2.5 - -1.5 */
	ck_value("23 80 00 1c 22 04 1e 01 04 1f", 10);   /* 2.5 * 4 */
	ck_value("22 0a 1e 23 80 00 1c 01 05 1f", 4);    /* 10 / 2.5 */
	ck_value("23 80 08 1b 23 80 00 1c 01 14", 1);    /* -1.5 < 2.5 */
	ck_value("23 80 00 1c 28 01 13", 1);
	ck_value("22 00 1e 01 0e", 1);
	ck_value("22 01 1e 22 00 1e 01 05 1f", INT64_MAX); /* infinity */
	ck_value("22 00 1e 22 00 1e 01 05 1f", 0);         /* not a number */
}
END_TEST

START_TEST(variables_and_traces)
{
	memset(variables, 0, sizeof(variables));
	ck_value("22 2a 2d 00 07", 0x2a);
	ck_value("2c 00 07", 0x2a);
	ck_value("22 07 2e 00 07", 7);
	ck_fails("2c 01 00", -ENOENT);
	ck_value("22 09 22 08 0c", 0);
	ck_assert_uint_eq(traced[0], 9);
	ck_assert_uint_eq(traced[1], 8);
	ck_value("22 09 0d 20", 9);
	ck_assert_uint_eq(traced[1], 0x20);
	ck_value("22 09 30 01 20", 9);
	ck_assert_uint_eq(traced[1], 0x120);
	ck_value("22 0a 22 10 2f", 0);
	ck_assert_uint_eq(traced[0], 0xa);
}
END_TEST

/* GDB pushes the arguments last first, then channel and function (0: the printf of the stub). */
static const char *printed(const char *format, unsigned nargs, const u64 *args)
{
	u8 code[1024];
	size_t at = 0, len = strlen(format) + 1;
	u64 v;

	for (unsigned i = nargs; i-- > 0;) {
		code[at++] = 0x25;
		for (unsigned b = 8; b-- > 0;)
			code[at++] = args[i] >> 8 * b;
	}
	memcpy(code + at, "\x22\0\x22\0\x34", 5);
	code[at + 5] = nargs;
	code[at + 6] = len >> 8;
	code[at + 7] = len;
	memcpy(code + at + 8, format, len);
	code[at + 8 + len] = 0x27;
	ck_assert_int_eq(eval_bytes(code, at + 9 + len, &v), 0);
	return output;
}

#define PRINTED(format, ...) printed(format, sizeof((u64[]){__VA_ARGS__}) / sizeof(u64), (u64[]){__VA_ARGS__})

START_TEST(printing)
{
	double d = 3.25;
	u64 bits;

	memcpy(&bits, &d, 8);
	strcpy((char *)memory, "guest");
	ck_assert_str_eq(PRINTED("x=%d y=%#x\\n", -5ull, 0x1ff), "x=-5 y=0x1ff\n");
	ck_assert_str_eq(PRINTED("%d %ld %hhd %hu %lld", 0x100000001ull, 0x100000001ull, 0x1ffull, 0x12345, -1ull),
			 "1 4294967297 -1 9029 -1");
	ck_assert_str_eq(PRINTED("[%5d|%-5d|%05d|%+d|%.3d]", 42, 42, 42, 42, 7), "[   42|42   |00042|+42|007]");
	ck_assert_str_eq(PRINTED("[%s|%8s|%-8s|%.2s]", 0x8000, 0x8000, 0x8000, 0x8000), "[guest|   guest|guest   |gu]");
	ck_assert_str_eq(PRINTED("%s %s", 0, 0x10), "(null) ");
	ck_assert_str_eq(PRINTED("%c%c%% %p", 'o', 'k', 0x1234), "ok% 0x1234");
	ck_assert_str_eq(PRINTED("%.2f %g", bits, bits), "3.25 3.25");
	ck_assert_str_eq(PRINTED("\\t\\x41\\101\\\\\\\"\\q", 0), "\tAA\\\"q");
	ck_assert_str_eq(PRINTED("%d %d", 1), "1 0");
	ck_assert_str_eq(PRINTED("plain", 0), "plain");
	ck_assert_uint_eq(strlen(PRINTED("%99999999d", 1)), 512);
}
END_TEST

START_TEST(printing_malformed)
{
	u64 v;

	ck_assert_int_eq(agent_printf(&host, "%n", 2, NULL, 0), -EINVAL);
	ck_assert_int_eq(agent_printf(&host, "%", 1, NULL, 0), -EINVAL);
	ck_assert_int_eq(agent_printf(&host, "%-", 2, NULL, 0), -EINVAL);
	ck_assert_int_eq(agent_printf(&host, "\\", 1, NULL, 0), 0);
	/* an argument is missing on the stack */
	ck_assert_int_eq(eval("22 00 22 00 34 01 00 03 25 64 00 27", &v), -EOVERFLOW);
}
END_TEST

static int check(const char *hex)
{
	u8 code[64];
	size_t len = 0;
	unsigned byte;
	int n;

	for (; sscanf(hex, "%2x%n", &byte, &n) == 1; hex += n)
		code[len++] = byte;
	return agent_check(code, len);
}

START_TEST(malformed)
{
	static u8 big[AGENT_CODE_MAX + 1];

	ck_assert_int_eq(check(""), -EINVAL);
	ck_assert_int_eq(check("00"), -EINVAL);
	ck_assert_int_eq(check("31"), -EINVAL);
	ck_assert_int_eq(check("35"), -EINVAL);
	ck_assert_int_eq(check("ff"), -EINVAL);
	ck_assert_int_eq(check("22"), -EINVAL);
	ck_assert_int_eq(check("25 00 00 00 00 00 00 00"), -EINVAL);
	ck_assert_int_eq(check("21 00 01"), -EINVAL); /* into an operand */
	ck_assert_int_eq(check("21 00 03"), -EINVAL); /* behind the end */
	ck_assert_int_eq(check("21 00 03 27"), 0);
	ck_assert_int_eq(check("01 27"), -EINVAL);
	ck_assert_int_eq(check("01"), -EINVAL);
	ck_assert_int_eq(check("34 00 00 00 27"), -EINVAL);       /* no format */
	ck_assert_int_eq(check("34 00 00 02 41 41 27"), -EINVAL); /* does not end with NUL */
	ck_assert_int_eq(check("34 00 00 09 41 00"), -EINVAL);
	ck_assert_int_eq(check("34 ff 00 01 00"), -EINVAL);
	memset(big, 0x27, sizeof(big));
	ck_assert_int_eq(agent_check(big, AGENT_CODE_MAX), 0);
	ck_assert_int_eq(agent_check(big, AGENT_CODE_MAX + 1), -EINVAL);
}
END_TEST

/* What must be seen: a miss costs less than 2 microseconds. */
START_TEST(cost)
{
	u8 code[] = {0x26, 0, 5, 0x25, 0, 0, 0, 0, 1, 2, 3, 4, 0x13, 0x27};    /* $reg == 0x1020304 */
	u8 var[] = {0x24, 0, 0, 0x80, 0, 0x19, 0x16, 32, 0x22, 5, 0x13, 0x27}; /* var == 5 */
	const struct agent_expr e[] = {{code, sizeof(code)}, {var, sizeof(var)}};
	const unsigned rounds = 200000;
	struct timespec from, to;
	double ns;
	u64 v, sum = 0;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
	for (unsigned i = 0; i < rounds; i++) {
		agent_eval(&e[i & 1], &host, &v);
		sum += v;
	}
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
	ns = ((to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec)) / rounds;
	ck_assert_uint_eq(sum, 0);
	ck_assert_msg(ns < 2000, "a condition takes %.0f ns", ns);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent");
	TCase *tc = tcase_create("agent");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, constants);
	tcase_add_test(tc, arithmetic);
	tcase_add_test(tc, stack);
	tcase_add_test(tc, jumps);
	tcase_add_test(tc, references);
	tcase_add_test(tc, floating);
	tcase_add_test(tc, variables_and_traces);
	tcase_add_test(tc, printing);
	tcase_add_test(tc, printing_malformed);
	tcase_add_test(tc, malformed);
	tcase_add_test(tc, cost);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
