/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Devices in words: every kind of field, and every device of the machine. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "vmm/device_print.h"

static char *device_text(const struct machine *m, const char *id, int want)
{
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	ck_assert_int_eq(machine_print_device(m, id, f), want);
	fclose(f);
	return text;
}

static void ck_device(const struct machine *m, const char *id, const char *expected)
{
	char *text = device_text(m, id, 0);

	ck_assert_msg(strstr(text, expected), "%s: %s", id ? id : "list", text);
	free(text);
}

struct chip {
	struct device dev;
	u8 small;
	u16 rows[6];
	u8 bytes[40], large[4096], equal[64];
	struct clock_timer timer;
};

START_TEST(device_print)
{
	static const struct field fields[] = {
	    FIELD(struct chip, small),
	    FIELD_ARRAY(struct chip, rows),
	    FIELD_BLOB(struct chip, bytes),
	    FIELD_BLOB(struct chip, large),
	    FIELD_BLOB(struct chip, equal),
	    FIELD_CLOCK_TIMER(struct chip, timer),
	    FIELD_END,
	};
	static const struct device_class class = {.name = "a chip", .fields = fields}, bare = {.name = "bare"};
	static struct machine m;
	static struct chip chip = {.dev = {&class, "chip0"}, .small = 7, .rows = {1, 2, 3, 4, 5, 0xfffe}};
	static struct device empty = {&bare, "empty"};
	const u64 insns = 5;

	m = (struct machine){.device = {&chip.dev, &empty}, .nr_devices = 2};
	m.clock.insns = &insns;
	chip.bytes[39] = 0xab;
	for (unsigned i = 0; i < sizeof(chip.large); i++)
		chip.large[i] = i >> 4;
	clock_timer_init(&m.clock, &chip.timer, "timer", NULL, NULL);
	ck_device(&m, NULL, "chip0        a chip\nempty        bare\n");
	ck_device(&m, "empty", "empty: bare\n  no registers\n");
	ck_device(&m, "chip0",
		  "chip0: a chip\n  small                   07\n"
		  "  rows                    [ 0] 0001 0002 0003 0004\n"
		  "                          [ 4] 0005 fffe\n"
		  "  bytes                   0000  00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00\n"
		  "                          *\n"
		  "                          0020  00 00 00 00 00 00 00 ab\n");
	ck_device(&m, "chip0",
		  "01f0  1f 1f 1f 1f 1f 1f 1f 1f 1f 1f 1f 1f 1f 1f 1f 1f\n"
		  "                          ... and 3584 bytes more\n"
		  "  equal                   0000  00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00\n"
		  "                          *\n                          0040\n");
	ck_device(&m, "chip0", "  timer                   off\n");
	clock_timer_arm(&chip.timer, 123456);
	ck_device(&m, "chip0", "  timer                   due at 123456 ns, now 5 ns\n");
	free(device_text(&m, "other", -ENOENT));
}
END_TEST

/* Every device of the real machine. */
START_TEST(device_print_all)
{
	const struct machine_config config = {.ram = 2 << 20, .vcpus = 1, .engine = &soft_engine};
	struct machine *m;
	struct error err;

	ck_assert_msg(machine_create(&m, &config, &err) == 0, "%s", err.text);
	for (unsigned i = 0; i < m->nr_devices; i++) {
		ck_device(m, NULL, m->device[i]->id);
		ck_device(m, m->device[i]->id, m->device[i]->class->name);
	}
	ck_device(m, "pic", "  master.imr          ");
	ck_device(m, "ioapic", "  rte                     [ 0] ");
	machine_free(m);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("device_print");
	TCase *tc = tcase_create("device_print");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, device_print);
	tcase_add_test(tc, device_print_all);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
