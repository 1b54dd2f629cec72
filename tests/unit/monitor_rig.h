/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The monitor's commands over the fake target, one at a time, and checks of what they print. */
#ifndef TESTS_UNIT_MONITOR_RIG_H
#define TESTS_UNIT_MONITOR_RIG_H

#include <check.h>

#include "gdbstub/monitor.h"
#include "tests/unit/fake_target.h"

static struct fake_target fake;
static struct monitor *monitor;
static char *output;

static inline void setup(void)
{
	fake_init(&fake);
	monitor = monitor_new(&fake.target);
	ck_assert_ptr_nonnull(monitor);
}

static inline void teardown(void)
{
	monitor_free(monitor);
	ck_assert_ptr_null(fake.target.breaks);
	free(output);
	output = NULL;
}

/* As the stub does it: the longest name that fits. */
static inline const struct stub_command *find(const char *line, const char **args)
{
	const struct stub_command *best = NULL;
	size_t most = 0;

	for (const struct stub_command *c = monitor_commands; c->name; c++) {
		size_t len = strlen(c->name);

		if (len <= most || strncmp(c->name, line, len) || (line[len] && line[len] != ' '))
			continue;
		best = c;
		most = len;
		*args = line + len + (line[len] == ' ');
	}
	return best;
}

/* What the command says; it stays until the next one. */
static inline const char *say(const char *line)
{
	const char *args;
	const struct stub_command *command = find(line, &args);
	size_t len;
	FILE *out;

	ck_assert_msg(command, "no such command: %s", line);
	free(output);
	out = open_memstream(&output, &len);
	command->run(monitor, &fake.target, 0, args, out);
	fclose(out);
	ck_assert_msg(!len || output[len - 1] == '\n', "%s: no line: %s", line, output);
	return output;
}

#define ck_says(line, text) ck_assert_str_eq(say(line), text)
#define ck_has(line, text)  ck_assert_msg(strstr(say(line), text), "%s said:\n%s", line, output)
#define ck_still(text)      ck_assert_msg(strstr(output, text), "it said:\n%s", output)
#define ck_hasnt(text)      ck_assert_msg(!strstr(output, text), "it said:\n%s", output)
#define ck_refuses(line)    refuses(line)

/* A sentence, and nothing else happens. */
static inline void refuses(const char *line)
{
	u64 position = fake.position;
	const char *end;

	say(line);
	end = strchr(output, '\n');
	ck_assert_msg(end && end > output && !end[1] && (end[-1] == '.' || end[-1] == ')'), "%s said:\n%s", line,
		      output);
	ck_assert_uint_eq(fake.position, position);
}

static inline int run_tests(const char *name, const TTest *const *tests, size_t count)
{
	Suite *suite = suite_create(name);
	TCase *tc = tcase_create(name);
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	for (size_t i = 0; i < count; i++)
		tcase_add_test(tc, tests[i]);
	tcase_set_timeout(tc, 120);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}

#endif
