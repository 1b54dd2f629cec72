/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line's parts that need no machine: options, conditions, numbers, console watching, JUnit. */
#include <check.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmd/condition.c"
#include "cmd/console.c"
#include "cmd/junit.c"
#include "cmd/options.c"

static struct options o;
static struct error err;

/* Parses the words after the command's name, up to NULL. */
static int parse(enum options_command command, const char *what, const char *first, ...)
{
	static char *kept[32]; /* the options point there */
	char *argv[32] = {(char *)"test"};
	int argc = 1;
	va_list ap;

	options_free(&o);
	va_start(ap, first);
	for (const char *word = first; word; word = va_arg(ap, const char *)) {
		free(kept[argc]);
		kept[argc] = argv[argc] = strdup(word);
		argc++;
	}
	va_end(ap);
	err.text[0] = 0;
	return options_parse(&o, command, what, argc, argv, &err);
}

static void refused(int rc, const char *words)
{
	ck_assert_int_eq(rc, -EINVAL);
	ck_assert_msg(strstr(err.text, words) != NULL, "%s", err.text);
	ck_assert_ptr_null(strchr(err.text, '\n'));
}

START_TEST(record_defaults)
{
	ck_assert_int_eq(parse(OPT_RECORD, "KERNEL", "k", NULL), 0);
	ck_assert_str_eq(o.file, "k");
	ck_assert_str_eq(o.engine, "auto");
	ck_assert_uint_eq(o.smp, 1);
	ck_assert_uint_eq(o.memory, 0);
	ck_assert_int_eq(o.clock, CLOCK_VIRTUAL);
	ck_assert(!o.force && !o.json && !o.quiet && !o.flat && !o.inguest && !o.embed_none && !o.have_date);
	ck_assert_ptr_null(o.output);
}
END_TEST

START_TEST(record_all)
{
	ck_assert_int_eq(parse(OPT_RECORD, "KERNEL", "-o", "x.vmt", "--engine", "soft", "-m", "1G", "--smp", "1",
			       "--initrd=i", "--append", "a b", "--clock", "host", "--serial", "file:out", "--until",
			       "panic", "--force", "--boot", "inguest", "--date", "1999-12-31T23:59", "--embed", "none",
			       "-q", "kernel", NULL),
			 0);
	ck_assert_str_eq(o.output, "x.vmt");
	ck_assert_str_eq(o.engine, "soft");
	ck_assert_uint_eq(o.memory, 1ull << 30);
	ck_assert_str_eq(o.initrd, "i");
	ck_assert_str_eq(o.append, "a b");
	ck_assert_int_eq(o.clock, CLOCK_HOST);
	ck_assert_int_eq(o.serial, SERIAL_FILE);
	ck_assert_str_eq(o.serial_path, "out");
	ck_assert_uint_eq(o.nr_until, 1);
	ck_assert(o.force && o.inguest && o.embed_none && o.quiet);
	ck_assert_uint_eq(o.date, 946684740); /* 1999-12-31 23:59 UTC */
	ck_assert_str_eq(o.file, "kernel");
}
END_TEST

START_TEST(options_after_operand)
{
	ck_assert_int_eq(parse(OPT_REPLAY, "TRACE", "t.vmt", "--expect", "exit:0", "--junit", "r.xml", NULL), 0);
	ck_assert_str_eq(o.file, "t.vmt");
	ck_assert_uint_eq(o.nr_expect, 1);
	ck_assert_str_eq(o.junit, "r.xml");
	ck_assert_int_eq(parse(OPT_REPLAY, "TRACE", "--", "--odd-name", NULL), 0);
	ck_assert_str_eq(o.file, "--odd-name");
}
END_TEST

START_TEST(help_wins)
{
	ck_assert_int_eq(parse(OPT_RECORD, "KERNEL", "--help", "--nonsense", NULL), 0);
	ck_assert(o.help);
	ck_assert_int_eq(parse(OPT_DOCTOR, NULL, "-h", NULL), 0);
	ck_assert(o.help);
}
END_TEST

START_TEST(usage_errors)
{
	refused(parse(OPT_RECORD, "KERNEL", NULL), "KERNEL is missing");
	refused(parse(OPT_RECORD, "KERNEL", "a", "b", NULL), "'b' is left over");
	refused(parse(OPT_DOCTOR, NULL, "a", NULL), "takes no 'a'");
	refused(parse(OPT_RECORD, "KERNEL", "--nonsense", "k", NULL), "--nonsense");
	refused(parse(OPT_RECORD, "KERNEL", "-Z", "k", NULL), "-Z");
	refused(parse(OPT_RECORD, "KERNEL", "k", "-m", NULL), "-m needs an argument");
	refused(parse(OPT_RECORD, "KERNEL", "k", "--append", NULL), "--append needs an argument");
	refused(parse(OPT_RUN, "KERNEL", "-o", "x", "k", NULL), "-o"); /* record only */
	refused(parse(OPT_RECORD, "KERNEL", "--expect", "panic", "k", NULL), "--expect");
	refused(parse(OPT_RECORD, "KERNEL", "--engine", "bochs", "k", NULL), "'bochs'");
	refused(parse(OPT_RECORD, "KERNEL", "--clock", "wall", "k", NULL), "'wall'");
	refused(parse(OPT_RECORD, "KERNEL", "--serial", "tcp:1", "k", NULL), "'tcp:1'");
	refused(parse(OPT_RECORD, "KERNEL", "--serial", "file:", "k", NULL), "file:PATH");
	refused(parse(OPT_RECORD, "KERNEL", "--smp", "0", "k", NULL), "'0'");
	refused(parse(OPT_RECORD, "KERNEL", "--smp", "2", "k", NULL), "one vCPU");
	refused(parse(OPT_RECORD, "KERNEL", "--embed", "some", "k", NULL), "'some'");
	refused(parse(OPT_RECORD, "KERNEL", "--boot", "bios", "k", NULL), "'bios'");
	refused(parse(OPT_RECORD, "KERNEL", "--flat", "123", "k", NULL), "multiple of 4096");
	refused(parse(OPT_RECORD, "KERNEL", "--flat", "0x100000000", "k", NULL), "4 GiB");
	refused(parse(OPT_RECORD, "KERNEL", "--flat", "here", "k", NULL), "'here'");
	refused(parse(OPT_RECORD, "KERNEL", "--date", "yesterday", "k", NULL), "'yesterday'");
}
END_TEST

START_TEST(memory_sizes)
{
	static const struct {
		const char *text;
		u64 bytes;
	} good[] = {{"64", 64 << 20},   {"64M", 64 << 20},    {"64m", 64 << 20}, {"1.5G", 3ull << 29},
		    {"2048K", 2 << 20}, {"64G", 64ull << 30}, {"1M", 1 << 20}};
	static const char *const bad[] = {"",
					  "M",
					  "-1",
					  "0",
					  "12X",
					  "1MM",
					  "1 M",
					  "0.1K",
					  "1T",
					  "65G",
					  "99999999999999999999",
					  "18446744073709551615G",
					  "1.",
					  ".5G",
					  "0x10",
					  "1000.5K",
					  "1e3"};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		ck_assert_msg(parse(OPT_RUN, "KERNEL", "-m", good[i].text, "k", NULL) == 0, "%s", good[i].text);
		ck_assert_uint_eq(o.memory, good[i].bytes);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		refused(parse(OPT_RUN, "KERNEL", "-m", bad[i], "k", NULL), "-m");
}
END_TEST

START_TEST(numbers)
{
	u64 v;

	ck_assert_int_eq(parse_count("1.5G", &v), 0);
	ck_assert_uint_eq(v, 1500000000);
	ck_assert_int_eq(parse_count("12", &v), 0);
	ck_assert_uint_eq(v, 12);
	ck_assert_int_eq(parse_count("18446744073709551615", &v), 0);
	ck_assert_uint_eq(v, ~0ull);
	ck_assert_int_eq(parse_count("18446744073709551616", &v), -EINVAL);
	ck_assert_int_eq(parse_seconds("0.25", &v), 0);
	ck_assert_uint_eq(v, 250000000);
	ck_assert_int_eq(parse_seconds("1.0000000001", &v), -EINVAL);
	ck_assert_int_eq(parse_seconds("1s", &v), -EINVAL);
	ck_assert_int_eq(parse_number("0x1f", 255, &v), 0);
	ck_assert_uint_eq(v, 31);
	ck_assert_int_eq(parse_number("256", 255, &v), -EINVAL);
	ck_assert_int_eq(parse_number(" 1", 255, &v), -EINVAL);
	ck_assert_int_eq(parse_number("-1", 255, &v), -EINVAL);
}
END_TEST

START_TEST(until_conditions)
{
	ck_assert_int_eq(parse(OPT_RECORD, "KERNEL", "--until", "panic", "--until", "exit", "--until", "pattern:a+b$",
			       "--until", "insns:2M", "--until", "time:1.5", "k", NULL),
			 0);
	ck_assert_uint_eq(o.nr_until, 5);
	ck_assert_int_eq(o.until[0].kind, CONDITION_PANIC);
	ck_assert_int_eq(o.until[1].kind, CONDITION_EXIT);
	ck_assert_int_eq(o.until[2].kind, CONDITION_PATTERN);
	ck_assert_uint_eq(o.until[3].value, 2000000);
	ck_assert_uint_eq(o.until[4].value, 1500000000);
	refused(parse(OPT_RECORD, "KERNEL", "--until", "pattern:(", "k", NULL), "regular expression");
	refused(parse(OPT_RECORD, "KERNEL", "--until", "pattern:", "k", NULL), "missing");
	refused(parse(OPT_RECORD, "KERNEL", "--until", "insns:many", "k", NULL), "'many'");
	refused(parse(OPT_RECORD, "KERNEL", "--until", "time:-1", "k", NULL), "'-1'");
	refused(parse(OPT_RECORD, "KERNEL", "--until", "doomsday", "k", NULL), "'doomsday'");
	refused(parse(OPT_REPLAY, "TRACE", "--expect", "exit", "t", NULL), "'exit'");
	refused(parse(OPT_REPLAY, "TRACE", "--expect", "exit:256", "t", NULL), "'256'");
	refused(parse(OPT_REPLAY, "TRACE", "--expect", "time:1", "t", NULL), "'time:1'");
}
END_TEST

START_TEST(too_many_conditions)
{
	refused(parse(OPT_RECORD, "KERNEL", "--until", "exit", "--until", "exit", "--until", "exit", "--until", "exit",
		      "--until", "exit", "--until", "exit", "--until", "exit", "--until", "exit", "--until", "exit",
		      "k", NULL),
		"more than 8");
}
END_TEST

START_TEST(default_output)
{
	char *s = options_default_output("/boot/vmlinuz-6.1");

	ck_assert_str_eq(s, "vmlinuz-6.1.vmt");
	free(s);
	s = options_default_output("k.elf");
	ck_assert_str_eq(s, "k.elf.vmt");
	free(s);
}
END_TEST

/* --- console --- */

static struct {
	unsigned early, met, panics, over;
} seen;

static void saw_pattern(void *ctx, struct condition *c)
{
	if (c->met)
		seen.met++;
	else
		seen.early++;
}

static void saw_panic(void *ctx)
{
	seen.panics++;
}

static void saw_over(void *ctx)
{
	seen.over++;
}

static struct console console;

static void watch(const char *re)
{
	ck_assert_int_eq(parse(OPT_RECORD, "KERNEL", "--until", re, "k", NULL), 0);
	memset(&seen, 0, sizeof(seen));
	console_init(&console, -1);
	console.watch[0] = o.until;
	console.nr_watch[0] = o.nr_until;
	console.watcher = (struct console_watcher){saw_pattern, saw_panic, saw_over, NULL};
}

static void put(enum console_port port, const char *s)
{
	console_put(&console, port, (const u8 *)s, strlen(s));
}

START_TEST(pattern_on_lines)
{
	watch("pattern:^sum: [0-9]+$");
	put(CONSOLE_SERIAL0, "a sum: 1\nsum: 12");
	ck_assert_uint_eq(seen.early, 0); /* $ doesn't match an unfinished line */
	ck_assert_uint_eq(seen.met, 0);
	put(CONSOLE_SERIAL0, "3\r\n");
	ck_assert_uint_eq(seen.met, 1);
	put(CONSOLE_SERIAL0, "sum: 4\n");
	ck_assert_uint_eq(seen.met, 1); /* once is enough */
	ck_assert(o.until[0].met);
}
END_TEST

START_TEST(pattern_on_prompt)
{
	watch("pattern:login:");
	put(CONSOLE_SERIAL0, "debian login");
	ck_assert_uint_eq(seen.early, 0);
	put(CONSOLE_SERIAL0, ":");
	ck_assert_uint_eq(seen.early, 1);
	ck_assert(!o.until[0].met);
	console_end_lines(&console);
	ck_assert(o.until[0].met);
}
END_TEST

/* Ports have lines of their own. */
START_TEST(ports_do_not_mix)
{
	watch("pattern:^abcd$");
	put(CONSOLE_SERIAL0, "ab");
	put(CONSOLE_DEBUG, "x\n");
	put(CONSOLE_SERIAL0, "cd\n");
	ck_assert_uint_eq(seen.met, 1);
	ck_assert_uint_eq(console.bytes, 7);
}
END_TEST

START_TEST(long_lines)
{
	watch("pattern:^needle$");
	for (int i = 0; i < 3 * CONSOLE_LINE; i++)
		put(CONSOLE_SERIAL0, "x");
	put(CONSOLE_SERIAL0, "\nneedle\n");
	ck_assert_uint_eq(seen.met, 1);
}
END_TEST

START_TEST(panic_lines)
{
	watch("exit");
	put(CONSOLE_SERIAL0, "[ 1.0] Kernel panic - not syncin");
	ck_assert_uint_eq(seen.panics, 0);
	put(CONSOLE_SERIAL0, "g: Attempted to kill init!\n");
	ck_assert_uint_eq(seen.panics, 1);
	ck_assert_uint_eq(seen.over, 0);
	put(CONSOLE_SERIAL0, "[ 1.1] ---[ end Kernel panic - not syncing: x ]---\n");
	ck_assert_uint_eq(seen.over, 1);
}
END_TEST

START_TEST(console_writes)
{
	char buf[64] = "";
	int fd[2];

	ck_assert_int_eq(pipe(fd), 0);
	console_init(&console, fd[1]);
	put(CONSOLE_SERIAL0, "hello\n");
	ck_assert_int_eq(console_close(&console), 0);
	ck_assert_int_eq(read(fd[0], buf, sizeof(buf)), 6);
	ck_assert_str_eq(buf, "hello\n");
	close(fd[0]);
	close(fd[1]);
	ck_assert_int_lt(console_open(&console, "/nonexistent/x", &err), 0);
	ck_assert_ptr_nonnull(strstr(err.text, "/nonexistent/x"));
}
END_TEST

/* --- JUnit --- */

START_TEST(junit_escapes)
{
	struct junit_case c = {
	    .name = "a<b>&\"c\".vmt", .seconds = 1.5, .failure = "line\x01 \xff \xc3\xa4", .details = "]]>"};
	char path[] = "/tmp/junitXXXXXX", buf[2000] = "";
	int fd = mkstemp(path);
	FILE *f;

	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_eq(junit_write(path, &c, &err), 0);
	f = fopen(path, "r");
	ck_assert_uint_gt(fread(buf, 1, sizeof(buf) - 1, f), 0);
	fclose(f);
	unlink(path);
	ck_assert_ptr_nonnull(strstr(buf, "tests=\"1\" failures=\"1\" errors=\"0\""));
	ck_assert_ptr_nonnull(strstr(buf, "name=\"a&lt;b&gt;&amp;&quot;c&quot;.vmt\""));
	ck_assert_ptr_nonnull(strstr(buf, "<failure message=\"line? ? \xc3\xa4\">]]&gt;</failure>"));
	ck_assert_int_lt(junit_write("/nonexistent/r.xml", &c, &err), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("options");
	TCase *tc = tcase_create("options");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, record_defaults);
	tcase_add_test(tc, record_all);
	tcase_add_test(tc, options_after_operand);
	tcase_add_test(tc, help_wins);
	tcase_add_test(tc, usage_errors);
	tcase_add_test(tc, memory_sizes);
	tcase_add_test(tc, numbers);
	tcase_add_test(tc, until_conditions);
	tcase_add_test(tc, too_many_conditions);
	tcase_add_test(tc, default_output);
	tcase_add_test(tc, pattern_on_lines);
	tcase_add_test(tc, pattern_on_prompt);
	tcase_add_test(tc, ports_do_not_mix);
	tcase_add_test(tc, long_lines);
	tcase_add_test(tc, panic_lines);
	tcase_add_test(tc, console_writes);
	tcase_add_test(tc, junit_escapes);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
