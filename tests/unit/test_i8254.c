/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 8254, by the data sheet (Intel 231164). One tick is 838.1 ns. */
#include <check.h>

#include "tests/unit/rig.h"
#include "vmm/dev/i8254.h"

static struct rig rig;
static struct i8254 pit;

static void setup(void)
{
	rig_init(&rig);
	i8254_init(&pit, "pit", &rig.clock, rig_irq(&rig, 0));
	rig_add(&rig, i8254_regions, &pit, 0);
}

/* Goes to the beginning of @tick. */
static void to_tick(u64 tick)
{
	rig_until(&rig, (tick * CLOCK_HZ + I8254_HZ - 1) / I8254_HZ, ~0u);
}

static u16 read16(unsigned n)
{
	u8 low = rig_in(&rig, 0x40 + n);

	return low | rig_in(&rig, 0x40 + n) << 8;
}

static void write16(unsigned n, u16 v)
{
	rig_out(&rig, 0x40 + n, v);
	rig_out(&rig, 0x40 + n, v >> 8);
}

static u8 status(unsigned n)
{
	rig_out(&rig, 0x43, 0xe0 | 2 << n);
	return rig_in(&rig, 0x40 + n);
}

START_TEST(mode0_rises_at_terminal_count)
{
	setup();
	rig_out(&rig, 0x43, 0x30);
	ck_assert_uint_eq(status(0), 0x70); /* OUT low, null count, both bytes, mode 0 */
	write16(0, 100);
	ck_assert_uint_eq(status(0), 0x70); /* loaded only at the next tick */
	to_tick(1);
	ck_assert_uint_eq(status(0), 0x30);
	ck_assert_uint_eq(read16(0), 100);
	to_tick(41);
	ck_assert_uint_eq(read16(0), 60);
	to_tick(100);
	ck_assert_uint_eq(rig.level[0], 0);
	ck_assert_uint_eq(read16(0), 1);
	to_tick(101); /* N + 1 ticks after the write */
	ck_assert_uint_eq(rig.level[0], 1);
	ck_assert_uint_eq(read16(0), 0);
	ck_assert_uint_eq(status(0), 0xb0);
	to_tick(102);
	ck_assert_uint_eq(read16(0), 0xffff);
	/* the first byte of a new count takes OUT low */
	rig_out(&rig, 0x40, 5);
	ck_assert_uint_eq(rig.level[0], 0);
	rig_out(&rig, 0x40, 0);
	to_tick(110);
	ck_assert_uint_eq(rig.level[0], 1);
	ck_assert_uint_eq(rig.edges[0], 2);
}
END_TEST

START_TEST(mode2_interrupts_every_n_ticks_without_drift)
{
	setup();
	rig_out(&rig, 0x43, 0x34);
	write16(0, 11932); /* 100 Hz, nearly */
	rig.edges[0] = 0;
	to_tick(1 + 11932 - 1);
	ck_assert_uint_eq(rig.edges[0], 0);
	to_tick(1 + 11932);
	ck_assert_uint_eq(rig.edges[0], 1);
	rig_until(&rig, 3600 * CLOCK_HZ, ~0u);
	/* floor((3600 s * 1193182 Hz - 1) / 11932) */
	ck_assert_uint_eq(rig.edges[0], (3600 * I8254_HZ - 1) / 11932);
}
END_TEST

START_TEST(mode2_counts_from_n_to_1_and_pulses_low)
{
	setup();
	rig_out(&rig, 0x43, 0xb4);
	write16(2, 4);
	i8254_set_gate2(&pit, true);
	to_tick(1);
	for (unsigned i = 0; i < 12; i++) {
		to_tick(1 + i);
		ck_assert_uint_eq(read16(2), 4 - i % 4);
		ck_assert_int_eq(i8254_out(&pit, 2), i % 4 != 3);
	}
}
END_TEST

START_TEST(mode3_is_a_square_wave)
{
	setup();
	rig_out(&rig, 0x43, 0xb6);
	write16(2, 6);
	i8254_set_gate2(&pit, true);
	for (unsigned i = 0; i < 12; i++) {
		static const u8 count[] = {6, 4, 2, 6, 4, 2};

		to_tick(1 + i);
		ck_assert_uint_eq(read16(2), count[i % 6]);
		ck_assert_int_eq(i8254_out(&pit, 2), i % 6 < 3);
	}
	/* an odd count is high for one tick longer than it is low */
	setup();
	rig_out(&rig, 0x43, 0xb6);
	write16(2, 5);
	i8254_set_gate2(&pit, true);
	for (unsigned i = 0; i < 10; i++) {
		static const u8 count[] = {4, 2, 0, 4, 2};

		to_tick(1 + i);
		ck_assert_uint_eq(read16(2), count[i % 5]);
		ck_assert_int_eq(i8254_out(&pit, 2), i % 5 < 3);
	}
}
END_TEST

START_TEST(mode3_drives_irq0)
{
	setup();
	rig_out(&rig, 0x43, 0x36);
	write16(0, 0); /* 65536: 18.2 Hz */
	ck_assert_uint_eq(rig.level[0], 1);
	rig.edges[0] = 0;
	rig_until(&rig, 10 * CLOCK_HZ, ~0u);
	ck_assert_uint_eq(rig.edges[0], 182);
}
END_TEST

START_TEST(new_count_waits_for_the_end_of_the_period)
{
	setup();
	rig_out(&rig, 0x43, 0x34);
	write16(0, 100);
	to_tick(11);
	rig.edges[0] = 0;
	write16(0, 50);
	ck_assert_uint_eq(status(0) & 0x40, 0x40);
	ck_assert_uint_eq(read16(0), 90);
	to_tick(100);
	ck_assert_uint_eq(rig.edges[0], 0);
	to_tick(101);
	ck_assert_uint_eq(rig.edges[0], 1);
	ck_assert_uint_eq(read16(0), 50);
	ck_assert_uint_eq(status(0) & 0x40, 0);
	to_tick(151);
	ck_assert_uint_eq(rig.edges[0], 2);
	/* mode 3: of the half period */
	setup();
	rig_out(&rig, 0x43, 0xb6);
	i8254_set_gate2(&pit, true);
	write16(2, 100);
	to_tick(11);
	write16(2, 20);
	to_tick(50);
	ck_assert(i8254_out(&pit, 2));
	to_tick(51);
	ck_assert(!i8254_out(&pit, 2));
	to_tick(60);
	ck_assert(!i8254_out(&pit, 2));
	to_tick(61);
	ck_assert(i8254_out(&pit, 2));
	to_tick(71);
	ck_assert(!i8254_out(&pit, 2));
}
END_TEST

START_TEST(mode4_strobes_for_one_tick)
{
	setup();
	rig_out(&rig, 0x43, 0x38);
	write16(0, 10);
	ck_assert_uint_eq(rig.level[0], 1);
	rig.edges[0] = 0;
	to_tick(10);
	ck_assert_uint_eq(rig.level[0], 1);
	to_tick(11);
	ck_assert_uint_eq(rig.level[0], 0);
	to_tick(12);
	ck_assert_uint_eq(rig.level[0], 1);
	ck_assert_uint_eq(rig.edges[0], 1);
	to_tick(200000);
	ck_assert_uint_eq(rig.edges[0], 1);
}
END_TEST

START_TEST(modes_1_and_5_wait_for_the_gate)
{
	setup();
	rig_out(&rig, 0x43, 0xb2);
	write16(2, 10);
	to_tick(5);
	ck_assert(i8254_out(&pit, 2));
	i8254_set_gate2(&pit, true);
	to_tick(6);
	ck_assert(!i8254_out(&pit, 2));
	i8254_set_gate2(&pit, false); /* lowering it does nothing */
	to_tick(15);
	ck_assert(!i8254_out(&pit, 2));
	i8254_set_gate2(&pit, true); /* again: the pulse gets longer */
	to_tick(25);
	ck_assert(!i8254_out(&pit, 2));
	to_tick(26);
	ck_assert(i8254_out(&pit, 2));

	setup();
	rig_out(&rig, 0x43, 0xba);
	write16(2, 10);
	i8254_set_gate2(&pit, true);
	to_tick(10);
	ck_assert(i8254_out(&pit, 2));
	to_tick(11);
	ck_assert(!i8254_out(&pit, 2));
	to_tick(12);
	ck_assert(i8254_out(&pit, 2));
}
END_TEST

START_TEST(gate_holds_counter_2)
{
	setup();
	rig_out(&rig, 0x43, 0xb0);
	write16(2, 100);
	to_tick(50);
	ck_assert_uint_eq(read16(2), 100);
	i8254_set_gate2(&pit, true);
	to_tick(60);
	ck_assert_uint_eq(read16(2), 90);
	i8254_set_gate2(&pit, false);
	to_tick(100);
	ck_assert_uint_eq(read16(2), 90);
	i8254_set_gate2(&pit, true);
	to_tick(189);
	ck_assert(!i8254_out(&pit, 2));
	to_tick(190);
	ck_assert(i8254_out(&pit, 2));
}
END_TEST

START_TEST(gate_low_stops_modes_2_and_3_high)
{
	setup();
	rig_out(&rig, 0x43, 0xb6);
	i8254_set_gate2(&pit, true);
	write16(2, 10);
	to_tick(8);
	ck_assert(!i8254_out(&pit, 2));
	i8254_set_gate2(&pit, false);
	ck_assert(i8254_out(&pit, 2));
	to_tick(30);
	i8254_set_gate2(&pit, true);
	to_tick(31);
	ck_assert_uint_eq(read16(2), 10);
	to_tick(36);
	ck_assert(!i8254_out(&pit, 2));
}
END_TEST

START_TEST(latch_command_freezes_a_reading)
{
	setup();
	rig_out(&rig, 0x43, 0x34);
	write16(0, 0x1234);
	to_tick(1);
	rig_out(&rig, 0x43, 0x00);
	to_tick(0x35);
	rig_out(&rig, 0x43, 0x00); /* ignored: one is latched already */
	ck_assert_uint_eq(rig_in(&rig, 0x40), 0x34);
	to_tick(0x36);
	ck_assert_uint_eq(rig_in(&rig, 0x40), 0x12);
	ck_assert_uint_eq(read16(0), 0x1234 - 0x35);
}
END_TEST

START_TEST(read_back_gives_status_then_count)
{
	setup();
	rig_out(&rig, 0x43, 0x34);
	write16(0, 1000);
	rig_out(&rig, 0x43, 0x56); /* counter 1: low byte only, mode 3 */
	rig_out(&rig, 0x41, 18);
	to_tick(11);
	rig_out(&rig, 0x43, 0xc6); /* count and status of counters 0 and 1 */
	to_tick(20);
	ck_assert_uint_eq(rig_in(&rig, 0x40), 0xb4);
	ck_assert_uint_eq(rig_in(&rig, 0x40), 990 & 0xff);
	ck_assert_uint_eq(rig_in(&rig, 0x40), 990 >> 8);
	ck_assert_uint_eq(rig_in(&rig, 0x41), 0x16); /* 10 of 18 ticks gone: low */
	ck_assert_uint_eq(rig_in(&rig, 0x41), 16);
	ck_assert_uint_eq(read16(0), 1000 - 19);
}
END_TEST

START_TEST(modes_2_and_3_have_no_count_of_1)
{
	setup();
	for (unsigned mode = 2; mode < 4; mode++) {
		rig_out(&rig, 0x43, 0x30 | mode << 1);
		write16(0, 1);
		ck_assert_uint_eq(pit.counter[0].count, 2);
	}
}
END_TEST

START_TEST(single_byte_access)
{
	setup();
	rig_out(&rig, 0x43, 0x14);
	rig_out(&rig, 0x40, 0x80);
	to_tick(2);
	ck_assert_uint_eq(rig_in(&rig, 0x40), 0x7f);
	ck_assert_uint_eq(rig_in(&rig, 0x40), 0x7f);
	rig_out(&rig, 0x43, 0x24);
	rig_out(&rig, 0x40, 0x80);
	to_tick(4);
	ck_assert_uint_eq(rig_in(&rig, 0x40), 0x7f); /* 8000h - 1 */
}
END_TEST

START_TEST(bcd_counts_in_decimal)
{
	setup();
	rig_out(&rig, 0x43, 0x31);
	write16(0, 0x1000);
	to_tick(2);
	ck_assert_uint_eq(read16(0), 0x0999);
	rig_out(&rig, 0x43, 0x35);
	write16(0, 0); /* ten thousand */
	to_tick(4);
	ck_assert_uint_eq(read16(0), 0x9999);
	rig.edges[0] = 0;
	to_tick(3 + 10000);
	ck_assert_uint_eq(rig.edges[0], 1);
}
END_TEST

START_TEST(late_timer_skips_lost_periods)
{
	setup();
	rig_out(&rig, 0x43, 0x34);
	write16(0, 2);
	rig.edges[0] = 0;
	clock_advance(&rig.clock, 3600 * CLOCK_HZ);
	clock_run_timers(&rig.clock);
	ck_assert_uint_eq(rig.edges[0], 1);
	ck_assert_uint_gt(rig.clock.next_deadline, 3600 * CLOCK_HZ);
}
END_TEST

RIG_MAIN("i8254", mode0_rises_at_terminal_count, mode2_interrupts_every_n_ticks_without_drift,
	 mode2_counts_from_n_to_1_and_pulses_low, mode3_is_a_square_wave, mode3_drives_irq0,
	 new_count_waits_for_the_end_of_the_period, mode4_strobes_for_one_tick, modes_1_and_5_wait_for_the_gate,
	 gate_holds_counter_2, gate_low_stops_modes_2_and_3_high, latch_command_freezes_a_reading,
	 read_back_gives_status_then_count, single_byte_access, modes_2_and_3_have_no_count_of_1, bcd_counts_in_decimal,
	 late_timer_skips_lost_periods)
