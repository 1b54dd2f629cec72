/* SPDX-License-Identifier: GPL-2.0-or-later */
/* MC146818, by the data sheet (Motorola MC146818A). */
#include <check.h>
#include <stdio.h>

#include "tests/unit/rig.h"
#include "vmm/dev/mc146818.h"

#define SECOND CLOCK_HZ
#define MS     1000000ull

static struct rig rig;
static struct mc146818 rtc;

/* 2024-02-28 23:59:57 UTC, a Wednesday, the day before a leap day. */
#define LEAP_EVE 1709164797ull

static void setup_at(u64 wall)
{
	rig_init(&rig);
	rig.clock.wall_start = wall;
	mc146818_init(&rtc, "rtc", &rig.clock, rig_irq(&rig, 8));
	rig_add(&rig, mc146818_regions, &rtc, 0);
}

static void setup(void)
{
	setup_at(LEAP_EVE);
}

static u8 get(u8 index)
{
	rig_out(&rig, 0x70, index);
	return rig_in(&rig, 0x71);
}

static void put(u8 index, u8 value)
{
	rig_out(&rig, 0x70, index);
	rig_out(&rig, 0x71, value);
}

static void assert_time(const char *expected)
{
	char text[32];

	snprintf(text, sizeof(text), "%02x%02x-%02x-%02x %x %02x:%02x:%02x", get(RTC_CENTURY), get(RTC_YEAR),
		 get(RTC_MONTH), get(RTC_DAY), get(RTC_WEEKDAY), get(RTC_HOURS), get(RTC_MINUTES), get(RTC_SECONDS));
	ck_assert_str_eq(text, expected);
}

START_TEST(time_follows_the_clock)
{
	setup();
	assert_time("2024-02-28 4 23:59:57");
	rig_pass(&rig, SECOND - 1);
	assert_time("2024-02-28 4 23:59:57");
	rig_pass(&rig, 1);
	assert_time("2024-02-28 4 23:59:58");
	rig_pass(&rig, 2 * SECOND);
	assert_time("2024-02-29 5 00:00:00");
	rig_pass(&rig, 86400 * SECOND);
	assert_time("2024-03-01 6 00:00:00");
	ck_assert_uint_eq(get(RTC_D), 0x80);
}
END_TEST

START_TEST(calendar_at_the_edges)
{
	setup_at(0);
	assert_time("1970-01-01 5 00:00:00");
	setup_at(946684799); /* a century that is a leap year */
	assert_time("1999-12-31 6 23:59:59");
	rig_pass(&rig, SECOND);
	assert_time("2000-01-01 7 00:00:00");
	rig_pass(&rig, 59 * 86400 * SECOND);
	assert_time("2000-02-29 3 00:00:00");
	setup_at(4107542400); /* and one that is not */
	assert_time("2100-03-01 2 00:00:00");
	rig_init(&rig);
	setup_at(4107542399);
	assert_time("2100-02-28 1 23:59:59");
	setup_at(253402300799);
	assert_time("9999-12-31 6 23:59:59");
}
END_TEST

START_TEST(binary_and_12_hour_formats)
{
	setup();
	put(RTC_B, 0x06);
	ck_assert_uint_eq(get(RTC_HOURS), 23);
	ck_assert_uint_eq(get(RTC_MINUTES), 59);
	put(RTC_B, 0x00);
	ck_assert_uint_eq(get(RTC_HOURS), 0x91); /* 11 pm */
	put(RTC_B, 0x04);
	ck_assert_uint_eq(get(RTC_HOURS), 0x8b);
	rig_pass(&rig, 3 * SECOND);
	ck_assert_uint_eq(get(RTC_HOURS), 12); /* midnight is 12 am */
	rig_pass(&rig, 12 * 3600 * SECOND);
	ck_assert_uint_eq(get(RTC_HOURS), 0x8c);
	put(RTC_HOURS, 0x81);
	put(RTC_B, 0x02);
	ck_assert_uint_eq(get(RTC_HOURS), 0x13);
}
END_TEST

START_TEST(set_bit_freezes_and_takes_over)
{
	setup();
	put(RTC_B, 0x92);
	ck_assert_uint_eq(get(RTC_B), 0x82); /* SET clears UIE */
	rig_pass(&rig, 5 * SECOND);
	assert_time("2024-02-28 4 23:59:57");
	put(RTC_CENTURY, 0x19);
	put(RTC_YEAR, 0x99);
	put(RTC_MONTH, 0x12);
	put(RTC_DAY, 0x31);
	put(RTC_WEEKDAY, 6);
	put(RTC_HOURS, 0x23);
	put(RTC_MINUTES, 0x59);
	put(RTC_SECONDS, 0x58);
	rig_pass(&rig, SECOND / 4);
	assert_time("1999-12-31 6 23:59:58");
	put(RTC_B, 0x02);
	assert_time("1999-12-31 6 23:59:58");
	rig_pass(&rig, SECOND * 3 / 4); /* updates stay where they were */
	assert_time("1999-12-31 6 23:59:59");
	rig_pass(&rig, SECOND);
	assert_time("2000-01-01 7 00:00:00");
}
END_TEST

START_TEST(weekday_is_the_guests_business)
{
	setup();
	put(RTC_WEEKDAY, 1);
	assert_time("2024-02-28 1 23:59:57");
	rig_pass(&rig, 3 * SECOND);
	assert_time("2024-02-29 2 00:00:00");
}
END_TEST

START_TEST(divider_reset_starts_half_a_second_before)
{
	setup();
	rig_pass(&rig, 300 * MS);
	put(RTC_A, 0x76);
	rig_pass(&rig, 5 * SECOND);
	assert_time("2024-02-28 4 23:59:57");
	put(RTC_A, 0x26);
	rig_pass(&rig, 500 * MS - 1);
	assert_time("2024-02-28 4 23:59:57");
	rig_pass(&rig, 1);
	assert_time("2024-02-28 4 23:59:58");
}
END_TEST

START_TEST(update_in_progress_for_244_us)
{
	setup();
	ck_assert_uint_eq(get(RTC_A), 0x26);
	rig_pass(&rig, SECOND - 244001);
	ck_assert_uint_eq(get(RTC_A), 0x26);
	rig_pass(&rig, 1);
	ck_assert_uint_eq(get(RTC_A), 0xa6);
	rig_pass(&rig, 243999);
	ck_assert_uint_eq(get(RTC_A), 0xa6);
	rig_pass(&rig, 1);
	ck_assert_uint_eq(get(RTC_A), 0x26);
	put(RTC_B, 0x82);
	rig_pass(&rig, SECOND - 1000);
	ck_assert_uint_eq(get(RTC_A), 0x26);
}
END_TEST

START_TEST(update_ended_interrupt)
{
	setup();
	put(RTC_B, 0x12);
	rig_pass(&rig, SECOND - 1);
	ck_assert_uint_eq(rig.level[8], 0);
	rig_pass(&rig, 1);
	ck_assert_uint_eq(rig.level[8], 1);
	rig_pass(&rig, 5 * SECOND);
	ck_assert_uint_eq(rig.edges[8], 1);
	ck_assert_uint_eq(get(RTC_C) & (RTC_C_IRQ | RTC_C_UF), 0x90);
	ck_assert_uint_eq(rig.level[8], 0);
	ck_assert_uint_eq(get(RTC_C), 0x00);
	rig_pass(&rig, SECOND);
	ck_assert_uint_eq(rig.edges[8], 2);
}
END_TEST

START_TEST(flags_rise_without_being_enabled)
{
	setup();
	rig_pass(&rig, SECOND);
	ck_assert_uint_eq(get(RTC_C), RTC_C_PF | RTC_C_UF);
	ck_assert_uint_eq(rig.edges[8], 0);
	/* nothing is enabled, so no timer runs */
	ck_assert_uint_eq(rig.clock.next_deadline, CLOCK_NEVER);
	rig_pass(&rig, MS);
	ck_assert_uint_eq(get(RTC_C), RTC_C_PF);
}
END_TEST

START_TEST(periodic_interrupt_rates)
{
	static const struct {
		u8 rate;
		unsigned hz;
	} rates[] = {{1, 256}, {2, 128}, {3, 8192}, {6, 1024}, {15, 2}};

	for (unsigned i = 0; i < ARRAY_SIZE(rates); i++) {
		unsigned count = 0;

		setup();
		put(RTC_A, 0x20 | rates[i].rate);
		put(RTC_B, 0x42);
		while (rig.clock.next_deadline <= 2 * SECOND) {
			rig_until(&rig, rig.clock.next_deadline, 1);
			ck_assert_uint_eq(rig.level[8], 1);
			ck_assert_uint_eq(get(RTC_C) & 0xc0, 0xc0);
			count++;
		}
		ck_assert_uint_eq(count, 2 * rates[i].hz);
	}
	setup();
	put(RTC_A, 0x20);
	put(RTC_B, 0x42);
	ck_assert_uint_eq(rig.clock.next_deadline, CLOCK_NEVER);
}
END_TEST

START_TEST(alarm_matches_exactly_or_any)
{
	setup();
	put(RTC_HOURS_ALARM, 0x00);
	put(RTC_MINUTES_ALARM, 0x00);
	put(RTC_SECONDS_ALARM, 0x02);
	put(RTC_B, 0x22);
	rig_pass(&rig, 5 * SECOND - 1);
	ck_assert_uint_eq(rig.level[8], 0);
	rig_pass(&rig, 1);
	ck_assert_uint_eq(rig.level[8], 1);
	ck_assert_uint_eq(get(RTC_C) & 0xa0, 0xa0);
	rig_pass(&rig, 86400 * SECOND - 1);
	ck_assert_uint_eq(rig.edges[8], 1);
	rig_pass(&rig, 1);
	ck_assert_uint_eq(rig.edges[8], 2);
	get(RTC_C);
	/* any hour, any minute: once a minute */
	put(RTC_HOURS_ALARM, 0xff);
	put(RTC_MINUTES_ALARM, 0xc0);
	for (unsigned i = 0; i < 5; i++) {
		rig_pass(&rig, 60 * SECOND);
		ck_assert_uint_eq(rig.edges[8], 3 + i);
		get(RTC_C);
	}
	/* a second that never comes */
	put(RTC_SECONDS_ALARM, 0x75);
	ck_assert_uint_eq(rig.clock.next_deadline, CLOCK_NEVER);
}
END_TEST

START_TEST(memory_and_nmi_mask)
{
	setup();
	put(0x0e, 0x12);
	put(0x7f, 0x34);
	ck_assert_uint_eq(get(0x0e), 0x12);
	ck_assert_uint_eq(get(0xff), 0x34);
	ck_assert_uint_eq(rtc.nmi_masked, 1);
	rig_out(&rig, 0x70, 0x0e);
	ck_assert_uint_eq(rtc.nmi_masked, 0);
	ck_assert_uint_eq(rig_in(&rig, 0x70), 0xff);
	rtc.dev.class->reset(&rtc.dev);
	ck_assert_uint_eq(get(0x0e), 0x12);
	put(RTC_D, 0);
	ck_assert_uint_eq(get(RTC_D), 0x80);
}
END_TEST

START_TEST(memory_size_bytes)
{
	setup();
	mc146818_set_memory(&rtc, 256ull << 20);
	ck_assert_uint_eq(get(0x15) | get(0x16) << 8, 640);
	ck_assert_uint_eq(get(0x17) | get(0x18) << 8, 65535);
	ck_assert_uint_eq(get(0x30) | get(0x31) << 8, 65535);
	ck_assert_uint_eq(get(0x34) | get(0x35) << 8, 240 * 16);
	ck_assert_uint_eq(get(0x5b) | get(0x5c) << 8 | get(0x5d) << 16, 0);
	mc146818_set_memory(&rtc, 8ull << 30);
	ck_assert_uint_eq(get(0x34) | get(0x35) << 8, (3072 - 16) * 16);
	ck_assert_uint_eq(get(0x5b) | get(0x5c) << 8 | get(0x5d) << 16, 5 * 1024 * 16);
	mc146818_set_memory(&rtc, 2ull << 20);
	ck_assert_uint_eq(get(0x17) | get(0x18) << 8, 1024);
	ck_assert_uint_eq(get(0x34) | get(0x35) << 8, 0);
}
END_TEST

/* The AT's: bytes 10h to 2Dh, the high byte of the sum first. */
START_TEST(checksum)
{
	unsigned sum = 0;

	setup();
	mc146818_set(&rtc, 0x10, 0xff);
	mc146818_set(&rtc, 0x2d, 0xfe);
	mc146818_set(&rtc, 0x30, 0xfd);
	mc146818_set_memory(&rtc, 256ull << 20);
	mc146818_set_checksum(&rtc);
	for (unsigned i = 0x10; i <= 0x2d; i++)
		sum += get(i);
	ck_assert_uint_gt(sum, 0x100);
	ck_assert_uint_eq(get(0x2e) << 8 | get(0x2f), sum);
}
END_TEST

RIG_MAIN("mc146818", time_follows_the_clock, calendar_at_the_edges, binary_and_12_hour_formats,
	 set_bit_freezes_and_takes_over, weekday_is_the_guests_business, divider_reset_starts_half_a_second_before,
	 update_in_progress_for_244_us, update_ended_interrupt, flags_rise_without_being_enabled,
	 periodic_interrupt_rates, alarm_matches_exactly_or_any, memory_and_nmi_mask, memory_size_bytes, checksum)
