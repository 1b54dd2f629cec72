/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Errors, field tables, clock, buses and guest memory. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "vmm/bus.h"
#include "vmm/clock.h"
#include "vmm/error.h"
#include "vmm/memory.h"
#include "vmm/state.h"

/* --- error --- */

START_TEST(error_is_a_sentence_with_prefix)
{
	struct error err = {""};

	ck_assert_int_eq(error_set(&err, -EINVAL, "bad size %d", 7), -EINVAL);
	ck_assert_str_eq(err.text, "bad size 7");
	ck_assert_int_eq(error_prefix(&err, -EIO, "%s", "kernel"), -EIO);
	ck_assert_str_eq(err.text, "kernel: bad size 7");
	ck_assert_int_eq(error_set(NULL, -ENOENT, "dropped"), -ENOENT);
}
END_TEST

START_TEST(error_never_overflows)
{
	struct error err = {""};
	char longer[2000];

	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = 0;
	error_set(&err, -1, "%s", longer);
	ck_assert_uint_eq(strlen(err.text), sizeof(err.text) - 1);
	error_prefix(&err, -1, "%s", longer);
	ck_assert_uint_eq(strlen(err.text), sizeof(err.text) - 1);
	error_prefix(&err, -1, "short");
	ck_assert(strncmp(err.text, "short: xxx", 10) == 0);
}
END_TEST

/* --- clock --- */

static u64 insns;
static char fired[64];
static unsigned rearmed_count;

struct named_timer {
	struct clock_timer timer;
	char letter;
	u64 period;
};

static void named_fire(void *opaque)
{
	struct named_timer *t = opaque;
	size_t n = strlen(fired);

	if (n + 1 < sizeof(fired))
		fired[n] = t->letter;
	if (t->period)
		clock_timer_arm(&t->timer, clock_now(t->timer.clock) + t->period);
}

static void count_rearmed(void *opaque)
{
	rearmed_count++;
}

static void clock_setup(struct clock *clock, enum clock_mode mode)
{
	*clock = (struct clock){.mode = mode, .insns = &insns, .rearmed = count_rearmed};
	insns = 0;
	rearmed_count = 0;
	memset(fired, 0, sizeof(fired));
}

START_TEST(virtual_time_is_position_plus_skew)
{
	struct clock clock;

	clock_setup(&clock, CLOCK_VIRTUAL);
	ck_assert_uint_eq(clock_now(&clock), 0);
	insns = 1000;
	ck_assert_uint_eq(clock_now(&clock), 1000);
	clock_advance(&clock, 5000);
	ck_assert_uint_eq(clock_now(&clock), 5000);
	ck_assert_uint_eq(clock.skew, 4000);
	insns = 1001;
	ck_assert_uint_eq(clock_now(&clock), 5001);
	clock_advance(&clock, 17);
	ck_assert_uint_eq(clock_now(&clock), 5001);
}
END_TEST

START_TEST(host_time_moves_only_by_samples)
{
	struct clock clock;

	clock_setup(&clock, CLOCK_HOST);
	insns = 1000;
	ck_assert_uint_eq(clock_now(&clock), 0);
	clock_advance(&clock, 77);
	ck_assert_uint_eq(clock_now(&clock), 77);
	clock_advance(&clock, 76);
	ck_assert_uint_eq(clock_now(&clock), 77);
}
END_TEST

START_TEST(timers_fire_earliest_first)
{
	struct clock clock;
	struct named_timer a = {.letter = 'a'}, b = {.letter = 'b'}, c = {.letter = 'c'};

	clock_setup(&clock, CLOCK_VIRTUAL);
	clock_timer_init(&clock, &a.timer, "a", named_fire, &a);
	ck_assert_uint_eq(clock.next_deadline, CLOCK_NEVER);
	clock_timer_init(&clock, &b.timer, "b", named_fire, &b);
	clock_timer_init(&clock, &c.timer, "c", named_fire, &c);
	clock_timer_arm(&c.timer, 100);
	ck_assert_uint_eq(clock.next_deadline, 100);
	ck_assert_uint_eq(rearmed_count, 1);
	clock_timer_arm(&b.timer, 200);
	ck_assert_uint_eq(rearmed_count, 1);
	clock_timer_arm(&a.timer, 100);
	ck_assert_uint_eq(clock.next_deadline, 100);

	insns = 99;
	clock_run_timers(&clock);
	ck_assert_str_eq(fired, "");
	insns = 100;
	clock_run_timers(&clock);
	/* equal deadlines: in order of registration */
	ck_assert_str_eq(fired, "ac");
	ck_assert_uint_eq(clock.next_deadline, 200);
	clock_timer_cancel(&b.timer);
	ck_assert_uint_eq(clock.next_deadline, CLOCK_NEVER);
	insns = 1000;
	clock_run_timers(&clock);
	ck_assert_str_eq(fired, "ac");
}
END_TEST

START_TEST(timer_may_arm_itself_again)
{
	struct clock clock;
	struct named_timer a = {.letter = 'a', .period = 10};

	clock_setup(&clock, CLOCK_VIRTUAL);
	clock_timer_init(&clock, &a.timer, "a", named_fire, &a);
	clock_timer_arm(&a.timer, 5);
	insns = 7;
	clock_run_timers(&clock);
	ck_assert_str_eq(fired, "a");
	ck_assert_uint_eq(clock.next_deadline, 17);
	insns = 17;
	clock_run_timers(&clock);
	ck_assert_str_eq(fired, "aa");
}
END_TEST

static void fire_in_the_past(void *opaque)
{
	struct named_timer *t = opaque;

	t->period++;
	clock_timer_arm(&t->timer, 0);
}

START_TEST(timer_in_the_past_does_not_hang)
{
	struct clock clock;
	struct named_timer a = {.letter = 'a'};

	clock_setup(&clock, CLOCK_VIRTUAL);
	clock_timer_init(&clock, &a.timer, "a", fire_in_the_past, &a);
	clock_timer_arm(&a.timer, 0);
	clock_run_timers(&clock);
	ck_assert_uint_gt(a.period, 0);
	ck_assert_uint_eq(clock.next_deadline, 0);
}
END_TEST

START_TEST(muldiv_has_no_overflow)
{
	ck_assert_uint_eq(clock_muldiv(~0ull, ~0ull, ~0ull), ~0ull);
	ck_assert_uint_eq(clock_muldiv(1000000000, 1193182, 1000000000), 1193182);
}
END_TEST

/* --- state --- */

struct sample {
	u8 a;
	u16 b;
	u32 c[3];
	u64 d;
	u8 blob[5];
	u64 unsaved;
	struct clock_timer timer;
};

static const struct field sample_fields[] = {
    FIELD(struct sample, a),
    FIELD(struct sample, b),
    FIELD_ARRAY(struct sample, c),
    FIELD(struct sample, d),
    FIELD_BLOB(struct sample, blob),
    FIELD_CLOCK_TIMER(struct sample, timer),
    FIELD_END,
};

START_TEST(state_is_little_endian_without_padding)
{
	static const u8 expected[] = {
	    0x01, 0x03, 0x02, 0x07, 0x06, 0x05, 0x04, 0,   0,   0, 0,    0xff, 0xff, 0xff, 0xff, 0x0f, 0x0e, 0x0d, 0x0c,
	    0x0b, 0x0a, 0x09, 0x08, 'h',  'e',  'l',  'l', 'o', 1, 0x10, 0x27, 0,    0,    0,    0,    0,    0,
	};
	struct clock clock;
	struct sample s = {
	    .a = 1,
	    .b = 0x0203,
	    .c = {0x04050607, 0, 0xffffffff},
	    .d = 0x08090a0b0c0d0e0f,
	    .blob = {'h', 'e', 'l', 'l', 'o'},
	};
	u8 out[sizeof(expected)];

	clock_setup(&clock, CLOCK_VIRTUAL);
	clock_timer_init(&clock, &s.timer, "t", named_fire, &s);
	clock_timer_arm(&s.timer, 10000);
	ck_assert_uint_eq(state_size(sample_fields), sizeof(expected));
	ck_assert_uint_eq(state_save(sample_fields, &s, out), sizeof(expected));
	ck_assert_mem_eq(out, expected, sizeof(expected));
}
END_TEST

START_TEST(state_load_restores_and_rearms)
{
	struct clock clock;
	struct sample s = {.a = 9, .unsaved = 5}, t = {.a = 1, .unsaved = 6};
	u8 image[64];
	size_t len;

	clock_setup(&clock, CLOCK_VIRTUAL);
	clock_timer_init(&clock, &s.timer, "s", named_fire, &s);
	clock_timer_init(&clock, &t.timer, "t", named_fire, &t);
	clock_timer_arm(&s.timer, 300);
	len = state_save(sample_fields, &s, image);
	clock_timer_cancel(&s.timer);
	ck_assert_uint_eq(clock.next_deadline, CLOCK_NEVER);
	ck_assert_int_eq(state_load(sample_fields, &t, image, len), 0);
	ck_assert_uint_eq(t.a, 9);
	ck_assert_uint_eq(t.unsaved, 6);
	ck_assert(t.timer.armed);
	ck_assert_uint_eq(clock.next_deadline, 300);
	ck_assert_int_eq(state_load(sample_fields, &t, image, len - 1), -EINVAL);
	ck_assert_int_eq(state_load(sample_fields, &t, image, len + 1), -EINVAL);

	len = state_save(sample_fields, &s, image);
	ck_assert_int_eq(state_load(sample_fields, &t, image, len), 0);
	ck_assert(!t.timer.armed);
	ck_assert_uint_eq(clock.next_deadline, CLOCK_NEVER);
}
END_TEST

/* --- bus --- */

struct probe {
	char log[128];
	u8 base;
};

static u64 probe_read(void *dev, u64 offset, unsigned size)
{
	struct probe *p = dev;
	u64 value = 0;

	for (unsigned i = 0; i < size; i++)
		value |= (u64)(u8)(p->base + offset + i) << (8 * i);
	return value;
}

static void probe_write(void *dev, u64 offset, unsigned size, u64 value)
{
	struct probe *p = dev;
	size_t n = strlen(p->log);

	snprintf(p->log + n, sizeof(p->log) - n, "%x/%u=%llx ", (unsigned)offset, size, (unsigned long long)value);
}

static struct bus_region probe_region(struct probe *p, u64 base, u64 len, unsigned width)
{
	return (struct bus_region){.base = base,
				   .len = len,
				   .name = "probe",
				   .read = probe_read,
				   .write = probe_write,
				   .dev = p,
				   .width = width};
}

static int add(struct bus *bus, struct probe *p, u64 base, u64 len, unsigned width)
{
	struct bus_region r = probe_region(p, base, len, width);

	return bus_add(bus, &r);
}

START_TEST(bus_refuses_overlap)
{
	struct bus bus = {.mask = 0xffff};
	struct probe p = {.base = 0};

	ck_assert_int_eq(add(&bus, &p, 0x100, 16, 0), 0);
	ck_assert_int_eq(add(&bus, &p, 0x10f, 1, 0), -EEXIST);
	ck_assert_int_eq(add(&bus, &p, 0xf0, 0x11, 0), -EEXIST);
	ck_assert_int_eq(add(&bus, &p, 0x104, 4, 0), -EEXIST);
	ck_assert_int_eq(add(&bus, &p, 0xf0, 0x10, 0), 0);
	ck_assert_int_eq(add(&bus, &p, 0x110, 1, 0), 0);
	ck_assert_int_eq(add(&bus, &p, 0x200, 0, 0), -EINVAL);
	ck_assert_int_eq(add(&bus, &p, 0xfff0, 0x11, 0), -EINVAL);
	ck_assert_int_eq(add(&bus, &p, 0xfff0, 0x10, 0), 0);
	ck_assert_uint_eq(bus.count, 4);
	for (unsigned i = 1; i < bus.count; i++)
		ck_assert_uint_lt(bus.region[i - 1].base, bus.region[i].base);
}
END_TEST

START_TEST(bus_fills_up)
{
	struct bus bus = {.mask = ~0ull};
	struct probe p = {.base = 0};

	for (unsigned i = 0; i < BUS_MAX_REGIONS; i++)
		ck_assert_int_eq(add(&bus, &p, (i * 37) % 64 * 16, 16, 0), 0);
	ck_assert_int_eq(add(&bus, &p, 0x10000, 1, 0), -ENOSPC);
	for (unsigned i = 0; i < BUS_MAX_REGIONS; i++)
		ck_assert_uint_eq(bus_find(&bus, i * 16 + 15)->base, i * 16);
	ck_assert_ptr_null(bus_find(&bus, 64 * 16));
}
END_TEST

START_TEST(bus_routes_and_floats)
{
	struct bus bus = {.mask = 0xffff};
	struct probe p = {"", 0x10}, q = {"", 0x80};

	add(&bus, &p, 0x100, 4, 0);
	add(&bus, &q, 0x200, 8, 0);
	ck_assert_uint_eq(bus_read(&bus, 0x101, 1), 0x11);
	ck_assert_uint_eq(bus_read(&bus, 0x100, 4), 0x13121110);
	ck_assert_uint_eq(bus_read(&bus, 0x200, 8), 0x8786858483828180);
	ck_assert_uint_eq(bus_read(&bus, 0x10201, 1), 0x81); /* ports have 16 address lines */
	ck_assert_uint_eq(bus_read(&bus, 0x300, 1), 0xff);
	ck_assert_uint_eq(bus_read(&bus, 0x300, 4), 0xffffffff);
	bus_write(&bus, 0x300, 4, 1);
	bus_write(&bus, 0x202, 2, 0xabcdef);
	ck_assert_str_eq(q.log, "2/2=cdef ");
	ck_assert_str_eq(p.log, "");
}
END_TEST

START_TEST(bus_splits_at_edges_and_by_width)
{
	struct bus bus = {.mask = 0xffff};
	struct probe p = {"", 0x10}, q = {"", 0x80}, r = {"", 0xa0};

	add(&bus, &p, 0x100, 2, 0);
	add(&bus, &q, 0x102, 1, 0);
	add(&bus, &r, 0x200, 8, 1);
	ck_assert_uint_eq(bus_read(&bus, 0x100, 4), 0xff801110);
	ck_assert_uint_eq(bus_read(&bus, 0xff, 2), 0x10ff);
	bus_write(&bus, 0x101, 4, 0x44332211);
	ck_assert_str_eq(p.log, "1/1=11 ");
	ck_assert_str_eq(q.log, "0/1=22 ");
	bus_write(&bus, 0x204, 2, 0xbbaa);
	ck_assert_str_eq(r.log, "4/1=aa 5/1=bb ");
	ck_assert_uint_eq(bus_read(&bus, 0x200, 4), 0xa3a2a1a0);
}
END_TEST

START_TEST(bus_knows_what_is_timed)
{
	struct bus bus = {.mask = 0xffff};
	struct probe p = {.base = 0};
	struct bus_region r = probe_region(&p, 0x40, 4, 1);

	r.timed = true;
	bus_add(&bus, &r);
	add(&bus, &p, 0x60, 1, 1);
	ck_assert(bus_timed(&bus, 0x43));
	ck_assert(!bus_timed(&bus, 0x60));
	ck_assert(!bus_timed(&bus, 0x61));
}
END_TEST

/* --- memory --- */

static u64 changed_gpa, changed_len;
static u8 seen_before;

static void memory_was_changed(void *opaque, u64 gpa, u64 len)
{
	changed_gpa = gpa;
	changed_len = len;
	memory_read(opaque, gpa, &seen_before, 1);
}

START_TEST(memory_checks_sizes)
{
	struct memory mem;
	struct error err = {""};

	ck_assert_int_eq(memory_init(&mem, 0, &err), -EINVAL);
	ck_assert_str_ne(err.text, "");
	ck_assert_int_eq(memory_init(&mem, MEMORY_MIN - PAGE_SIZE, &err), -EINVAL);
	ck_assert_int_eq(memory_init(&mem, MEMORY_MIN + 1, &err), -EINVAL);
	ck_assert_int_eq(memory_init(&mem, MEMORY_MAX + PAGE_SIZE, &err), -EINVAL);
	ck_assert_int_eq(memory_init(&mem, MEMORY_MIN, &err), 0);
	memory_free(&mem);
	ck_assert_uint_eq(mem.count, 0);
}
END_TEST

START_TEST(memory_continues_above_the_hole)
{
	struct memory mem;
	u32 value = 0x12345678;

	ck_assert_int_eq(memory_init(&mem, MEMORY_MAX, NULL), 0);
	ck_assert_ptr_nonnull(memory_host(&mem, MEMORY_HOLE_START - 4, 4));
	ck_assert_ptr_null(memory_host(&mem, MEMORY_HOLE_START - 4, 5));
	ck_assert_ptr_null(memory_host(&mem, MEMORY_HOLE_START, 1));
	ck_assert_ptr_null(memory_host(&mem, 0, ~0ull));
	ck_assert_ptr_nonnull(memory_host(&mem, MEMORY_HOLE_END, 1));
	ck_assert_ptr_nonnull(memory_host(&mem, MEMORY_MAX + (1ull << 30) - 1, 1));
	ck_assert_ptr_null(memory_host(&mem, MEMORY_MAX + (1ull << 30), 1));
	ck_assert_int_eq(memory_write(&mem, MEMORY_HOLE_START - 2, &value, 4), -EFAULT);
	ck_assert_int_eq(memory_write(&mem, ~0ull, &value, 4), -EFAULT);
	/* a refused write changes nothing */
	ck_assert_int_eq(memory_read(&mem, MEMORY_HOLE_START - 4, &value, 4), 0);
	ck_assert_uint_eq(value, 0);
	memory_free(&mem);
}
END_TEST

START_TEST(memory_write_marks_pages_and_tells_first)
{
	struct memory mem;
	u8 buf[2 * 4096];

	memset(buf, 0xaa, sizeof(buf));
	ck_assert_int_eq(memory_init(&mem, MEMORY_MIN, NULL), 0);
	mem.changed = memory_was_changed;
	mem.changed_opaque = &mem;
	seen_before = 0x55;
	mem.slot[0].flags[3] = PAGE_CODE;
	ck_assert_int_eq(memory_write(&mem, 0x2fff, buf, 0x1002), 0);
	ck_assert_uint_eq(changed_gpa, 0x2fff);
	ck_assert_uint_eq(changed_len, 0x1002);
	ck_assert_uint_eq(seen_before, 0);
	ck_assert_uint_eq(mem.slot[0].flags[1], 0);
	ck_assert_uint_eq(mem.slot[0].flags[2], PAGE_WRITTEN);
	ck_assert_uint_eq(mem.slot[0].flags[3], PAGE_WRITTEN | PAGE_CODE);
	ck_assert_uint_eq(mem.slot[0].flags[4], PAGE_WRITTEN);
	ck_assert_uint_eq(mem.slot[0].flags[5], 0);
	ck_assert_uint_eq(*memory_host(&mem, 0x4000, 1), 0xaa);
	ck_assert_uint_eq(*memory_host(&mem, 0x4001, 1), 0);
	changed_len = 1;
	ck_assert_int_eq(memory_write(&mem, 0x1000, buf, 0), 0);
	ck_assert_uint_eq(mem.slot[0].flags[1], 0);
	memory_free(&mem);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base");
	TCase *t = tcase_create("base");
	SRunner *r;
	int failed;

	tcase_add_test(t, error_is_a_sentence_with_prefix);
	tcase_add_test(t, error_never_overflows);
	tcase_add_test(t, virtual_time_is_position_plus_skew);
	tcase_add_test(t, host_time_moves_only_by_samples);
	tcase_add_test(t, timers_fire_earliest_first);
	tcase_add_test(t, timer_may_arm_itself_again);
	tcase_add_test(t, timer_in_the_past_does_not_hang);
	tcase_add_test(t, muldiv_has_no_overflow);
	tcase_add_test(t, state_is_little_endian_without_padding);
	tcase_add_test(t, state_load_restores_and_rearms);
	tcase_add_test(t, bus_refuses_overlap);
	tcase_add_test(t, bus_fills_up);
	tcase_add_test(t, bus_routes_and_floats);
	tcase_add_test(t, bus_splits_at_edges_and_by_width);
	tcase_add_test(t, bus_knows_what_is_timed);
	tcase_add_test(t, memory_checks_sizes);
	tcase_add_test(t, memory_continues_above_the_hole);
	tcase_add_test(t, memory_write_marks_pages_and_tells_first);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
