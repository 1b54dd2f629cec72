/* SPDX-License-Identifier: GPL-2.0-or-later */
/* High precision event timers, by the tables of the IA-PC HPET specification 1.0a. A tick is 10 ns. */
#include <check.h>

#include "tests/unit/rig.h"
#include "vmm/dev/hpet.h"

#define ROUTES 0x00f00800u
#define TICK   10ull

static struct rig rig;
static struct hpet hpet;
static u8 level[32];
static unsigned edges[32];

static void set_irq(void *opaque, unsigned n, bool up)
{
	ck_assert_uint_lt(n, 32);
	if (up && !level[n])
		edges[n]++;
	level[n] = up;
}

static void setup(void)
{
	rig_init(&rig);
	memset(level, 0, sizeof(level));
	memset(edges, 0, sizeof(edges));
	hpet_init(&hpet, "hpet", &rig.clock, ROUTES, (struct irq_line){.set = set_irq});
}

static u64 rd(unsigned reg)
{
	return hpet_read(&hpet, reg, 8);
}

static void wr(unsigned reg, u64 value)
{
	hpet_write(&hpet, reg, 8, value);
}

static void ticks(u64 n)
{
	rig_pass(&rig, n * TICK);
}

/* Timer @n: a configuration and a comparator; then the block runs from 0. */
static void start(unsigned n, u32 config, u64 comparator)
{
	wr(HPET_CONFIG, 0);
	wr(HPET_COUNTER, 0);
	wr(HPET_TIMER(n), config);
	wr(HPET_COMPARATOR(n), comparator);
	wr(HPET_CONFIG, HPET_ENABLE);
}

#define ROUTED(irq) ((irq) << HPET_ROUTE_SHIFT)

START_TEST(registers_after_reset)
{
	setup();
	/* period in fs, at most 100 ns; vendor; LEG_RT_CAP; COUNT_SIZE_CAP; last timer; revision, not 0 */
	ck_assert_uint_eq(rd(HPET_CAPABILITIES), 10000000ull << 32 | 0x8086a201);
	ck_assert_uint_le(rd(HPET_CAPABILITIES) >> 32, 0x05f5e100);
	ck_assert_uint_eq(rd(HPET_CONFIG), 0);
	ck_assert_uint_eq(rd(HPET_STATUS), 0);
	ck_assert_uint_eq(rd(HPET_COUNTER), 0);
	for (unsigned n = 0; n < HPET_TIMERS; n++) {
		ck_assert_uint_eq(rd(HPET_TIMER(n)), (u64)ROUTES << 32 | 0x30);
		ck_assert_uint_eq(rd(HPET_COMPARATOR(n)), ~0ull);
		ck_assert_uint_eq(rd(HPET_FSB(n)), 0);
	}
	ck_assert_uint_eq(rd(HPET_TIMER(HPET_TIMERS)), 0);
	ck_assert_uint_eq(rd(0x008), 0);
	ck_assert_uint_eq(rd(0x3f8), 0);
	ck_assert_uint_eq(rig.clock.next_deadline, CLOCK_NEVER);
}
END_TEST

START_TEST(bits_that_can_be_written)
{
	setup();
	wr(HPET_CAPABILITIES, 0);
	ck_assert_uint_ne(rd(HPET_CAPABILITIES), 0);
	wr(HPET_CONFIG, ~0ull);
	ck_assert_uint_eq(rd(HPET_CONFIG), 3);
	wr(HPET_CONFIG, 0);
	for (unsigned n = 0; n < HPET_TIMERS; n++) {
		for (unsigned irq = 0; irq < 32; irq++) {
			u64 before = rd(HPET_TIMER(n));

			wr(HPET_TIMER(n), ROUTED(irq));
			if (ROUTES >> irq & 1)
				ck_assert_uint_eq(rd(HPET_TIMER(n)) & HPET_ROUTE, ROUTED(irq));
			else
				ck_assert_uint_eq(rd(HPET_TIMER(n)), before);
		}
		wr(HPET_TIMER(n), ~0ull & ~(u64)HPET_ROUTE);
		/* type, enable, periodic, 32 bits; not FSB, not reserved ones, VAL_SET reads 0 */
		ck_assert_uint_eq(rd(HPET_TIMER(n)), (u64)ROUTES << 32 | ROUTED(23) | 0x13e);
		wr(HPET_FSB(n), ~0ull);
		ck_assert_uint_eq(rd(HPET_FSB(n)), 0);
	}
}
END_TEST

START_TEST(accesses_of_32_bits)
{
	setup();
	ck_assert_uint_eq(hpet_read(&hpet, 4, 4), 10000000);
	ck_assert_uint_eq((u32)hpet_read(&hpet, 0, 4), 0x8086a201);
	hpet_write(&hpet, HPET_COUNTER, 4, 0x11112222);
	hpet_write(&hpet, HPET_COUNTER + 4, 4, 0x33334444);
	ck_assert_uint_eq(rd(HPET_COUNTER), 0x3333444411112222);
	hpet_write(&hpet, HPET_COMPARATOR(1) + 4, 4, 0x5555);
	ck_assert_uint_eq(rd(HPET_COMPARATOR(1)), 0x5555ffffffff);
	hpet_write(&hpet, HPET_TIMER(1), 4, HPET_INTERRUPTS);
	hpet_write(&hpet, HPET_TIMER(1) + 4, 4, ~0u);
	ck_assert_uint_eq((u32)hpet_read(&hpet, HPET_TIMER(1), 4), 0x34);
	/* narrower ones are not allowed; they do what they look like. Across two registers: nothing. */
	ck_assert_uint_eq((u16)hpet_read(&hpet, HPET_COUNTER + 1, 2), 0x1122);
	ck_assert_uint_eq(hpet_read(&hpet, HPET_COUNTER + 4, 8), ~0ull);
	hpet_write(&hpet, HPET_COUNTER + 4, 8, 0);
	ck_assert_uint_eq(rd(HPET_COUNTER), 0x3333444411112222);
}
END_TEST

START_TEST(counter_runs_and_halts)
{
	setup();
	ticks(1000);
	ck_assert_uint_eq(rd(HPET_COUNTER), 0);
	wr(HPET_COUNTER, 0xfffffffeull);
	wr(HPET_CONFIG, HPET_ENABLE);
	ck_assert_uint_eq(rd(HPET_COUNTER), 0xfffffffeull);
	ticks(3);
	ck_assert_uint_eq(rd(HPET_COUNTER), 0x100000001ull);
	wr(HPET_COUNTER, 0); /* only while halted */
	ck_assert_uint_eq(rd(HPET_COUNTER), 0x100000001ull);
	wr(HPET_CONFIG, 0);
	ticks(5);
	ck_assert_uint_eq(rd(HPET_COUNTER), 0x100000001ull);
	wr(HPET_COUNTER, ~0ull);
	wr(HPET_CONFIG, HPET_ENABLE);
	rig_pass(&rig, TICK - 1);
	ck_assert_uint_eq(rd(HPET_COUNTER), ~0ull);
	rig_pass(&rig, 1);
	ck_assert_uint_eq(rd(HPET_COUNTER), 0);
}
END_TEST

START_TEST(one_shot_edge)
{
	setup();
	start(2, HPET_INTERRUPTS | ROUTED(20), 100);
	ck_assert_uint_eq(rig.clock.next_deadline, 100 * TICK);
	ticks(99);
	ck_assert_uint_eq(edges[20], 0);
	ticks(1);
	ck_assert_uint_eq(edges[20], 1);
	ck_assert_uint_eq(level[20], 0);
	ck_assert_uint_eq(rd(HPET_STATUS), 0); /* of level-triggered timers only */
	ck_assert_uint_eq(rd(HPET_COMPARATOR(2)), 100);
	ticks(1u << 30);
	ck_assert_uint_eq(edges[20], 1);
	/* a value that has gone by comes again when the counter has wrapped */
	wr(HPET_COMPARATOR(2), 50);
	ticks(1000);
	ck_assert_uint_eq(edges[20], 1);
	/* without INT_ENB it matches for nobody */
	wr(HPET_TIMER(2), ROUTED(20));
	wr(HPET_COMPARATOR(2), rd(HPET_COUNTER) + 10);
	ck_assert_uint_eq(rig.clock.next_deadline, CLOCK_NEVER);
	ticks(20);
	wr(HPET_TIMER(2), HPET_INTERRUPTS | ROUTED(20));
	ck_assert_uint_eq(edges[20], 1);
	ck_assert_uint_eq(edges[0] + edges[8], 0);
}
END_TEST

START_TEST(reset_route_goes_nowhere)
{
	setup();
	start(0, HPET_INTERRUPTS, 5);
	ticks(10);
	for (unsigned n = 0; n < 32; n++)
		ck_assert_uint_eq(edges[n], 0);
}
END_TEST

START_TEST(level_until_its_status_is_cleared)
{
	setup();
	start(1, HPET_INTERRUPTS | HPET_LEVEL | ROUTED(11), 7);
	ticks(7);
	ck_assert_uint_eq(level[11], 1);
	ck_assert_uint_eq(rd(HPET_STATUS), 2);
	wr(HPET_STATUS, 5);
	ck_assert_uint_eq(rd(HPET_STATUS), 2);
	/* halting doesn't clear it */
	wr(HPET_CONFIG, 0);
	ck_assert_uint_eq(rd(HPET_STATUS), 2);
	wr(HPET_STATUS, 2);
	ck_assert_uint_eq(rd(HPET_STATUS), 0);
	ck_assert_uint_eq(level[11], 0);
	ck_assert_uint_eq(edges[11], 1);
	/* without INT_ENB the status bit is set, and interrupts when that is */
	start(1, HPET_LEVEL | ROUTED(11), 7);
	ticks(10);
	ck_assert_uint_eq(rd(HPET_STATUS), 2);
	ck_assert_uint_eq(level[11], 0);
	wr(HPET_TIMER(1), HPET_LEVEL | HPET_INTERRUPTS | ROUTED(11));
	ck_assert_uint_eq(level[11], 1);
	wr(HPET_TIMER(1), HPET_LEVEL | ROUTED(11));
	ck_assert_uint_eq(level[11], 0);
	wr(HPET_TIMER(1), ROUTED(11));
	ck_assert_uint_eq(rd(HPET_STATUS), 0);
}
END_TEST

START_TEST(level_timers_share_a_line)
{
	setup();
	start(1, HPET_INTERRUPTS | HPET_LEVEL | ROUTED(21), 10);
	start(2, HPET_INTERRUPTS | HPET_LEVEL | ROUTED(21), 20);
	ticks(30);
	ck_assert_uint_eq(rd(HPET_STATUS), 6);
	wr(HPET_STATUS, 2);
	ck_assert_uint_eq(level[21], 1);
	wr(HPET_STATUS, 4);
	ck_assert_uint_eq(level[21], 0);
	ck_assert_uint_eq(edges[21], 1);
}
END_TEST

/* The use that 2.3.9.2.2 describes: VAL_SET, then one write. */
START_TEST(periodic)
{
	setup();
	start(0, HPET_INTERRUPTS | HPET_PERIODIC | HPET_VALUE_SET | ROUTED(20), 0x123);
	for (unsigned n = 1; n < 5; n++) {
		ck_assert_uint_eq(rd(HPET_COMPARATOR(0)), 0x123 * n);
		ticks(0x122);
		ck_assert_uint_eq(edges[20], n - 1);
		ticks(1);
		ck_assert_uint_eq(edges[20], n);
	}
	/* without VAL_SET a write is another period from the next match on */
	wr(HPET_COMPARATOR(0), 1000);
	ck_assert_uint_eq(rd(HPET_COMPARATOR(0)), 0x123 * 5);
	ticks(0x123);
	ck_assert_uint_eq(edges[20], 5);
	ck_assert_uint_eq(rd(HPET_COMPARATOR(0)), 0x123 * 5 + 1000);
	/* first value and period apart: VAL_SET clears itself */
	wr(HPET_CONFIG, 0);
	wr(HPET_COUNTER, 0);
	wr(HPET_TIMER(0), HPET_INTERRUPTS | HPET_PERIODIC | HPET_VALUE_SET | ROUTED(20));
	wr(HPET_COMPARATOR(0), 50);
	wr(HPET_COMPARATOR(0), 7);
	wr(HPET_CONFIG, HPET_ENABLE);
	ck_assert_uint_eq(rd(HPET_COMPARATOR(0)), 50);
	ticks(50);
	ck_assert_uint_eq(edges[20], 6);
	ck_assert_uint_eq(rd(HPET_COMPARATOR(0)), 57);
	ticks(7 * 100);
	ck_assert_uint_eq(edges[20], 106);
	/* a period of 0 stays where it is */
	wr(HPET_COMPARATOR(0), 0);
	ticks(10000);
	ck_assert_uint_eq(edges[20], 107);
}
END_TEST

/* Time that jumps over many periods gives one interrupt, and the comparator goes on ahead of the counter. */
START_TEST(periodic_catches_up)
{
	setup();
	start(0, HPET_INTERRUPTS | HPET_PERIODIC | HPET_VALUE_SET | ROUTED(20), 3);
	clock_advance(&rig.clock, 1000000000ull * TICK);
	clock_run_timers(&rig.clock);
	ck_assert_uint_eq(edges[20], 1);
	ck_assert_uint_eq(rd(HPET_COMPARATOR(0)), 1000000002);
	/* and so without interrupts, when it's looked at */
	wr(HPET_TIMER(0), HPET_PERIODIC | ROUTED(20));
	ticks(9000);
	ck_assert_uint_eq(rd(HPET_COMPARATOR(0)), 1000009002);
}
END_TEST

START_TEST(mode_of_32_bits)
{
	setup();
	wr(HPET_COUNTER, 0x7ffffff00ull);
	wr(HPET_TIMER(1), HPET_INTERRUPTS | HPET_32 | ROUTED(20));
	wr(HPET_COMPARATOR(1), 0x123400000080ull);
	ck_assert_uint_eq(rd(HPET_COMPARATOR(1)), 0x80);
	wr(HPET_CONFIG, HPET_ENABLE);
	/* when the lower half wraps, and when it matches */
	ticks(0xff);
	ck_assert_uint_eq(edges[20], 0);
	ticks(1);
	ck_assert_uint_eq(edges[20], 1);
	ticks(0x7f);
	ck_assert_uint_eq(edges[20], 1);
	ticks(1);
	ck_assert_uint_eq(edges[20], 2);
	ck_assert_uint_eq(rd(HPET_COUNTER), 0x800000080ull);
	/* and so on */
	ticks((1ull << 32) - 0x81);
	ck_assert_uint_eq(edges[20], 2);
	ticks(1);
	ck_assert_uint_eq(edges[20], 3);
	ticks(0x80);
	ck_assert_uint_eq(edges[20], 4);
	/* the accumulator of a periodic one wraps likewise */
	wr(HPET_TIMER(1), HPET_INTERRUPTS | HPET_32 | HPET_PERIODIC | HPET_VALUE_SET | ROUTED(20));
	wr(HPET_COMPARATOR(1), 0x90000000);
	ticks(0x90000000 - 0x80);
	ck_assert_uint_eq(edges[20], 5);
	ck_assert_uint_eq(rd(HPET_COMPARATOR(1)), 0x20000000);
	ticks(0x90000000);
	ck_assert_uint_eq(edges[20], 6);
}
END_TEST

START_TEST(legacy_replacement)
{
	setup();
	/* the 8254 and the RTC pass */
	hpet_set_input(&hpet, 0, true);
	hpet_set_input(&hpet, 1, true);
	ck_assert(level[0] && level[8]);
	wr(HPET_CONFIG, HPET_LEGACY);
	ck_assert(!level[0] && !level[8]);
	hpet_set_input(&hpet, 0, false);
	hpet_set_input(&hpet, 0, true);
	ck_assert_uint_eq(edges[0], 1);
	/* timers 0 and 1 take their interrupts whatever they are routed to; timer 2 doesn't */
	for (unsigned n = 0; n < HPET_TIMERS; n++) {
		wr(HPET_TIMER(n), HPET_INTERRUPTS | ROUTED(20 + n));
		wr(HPET_COMPARATOR(n), 10 * (n + 1));
	}
	wr(HPET_CONFIG, HPET_LEGACY | HPET_ENABLE);
	ticks(10);
	ck_assert(edges[0] == 2 && edges[8] == 1);
	ticks(10);
	ck_assert(edges[0] == 2 && edges[8] == 2);
	ticks(10);
	ck_assert(edges[20] == 0 && edges[21] == 0 && edges[22] == 1);
	wr(HPET_CONFIG, HPET_ENABLE);
	ck_assert(level[0] && level[8] && edges[0] == 3);
	hpet_set_input(&hpet, 1, false);
	ck_assert(!level[8]);
	/* level-triggered, too */
	start(0, HPET_INTERRUPTS | HPET_LEVEL, 5);
	hpet_set_input(&hpet, 0, false);
	wr(HPET_CONFIG, HPET_LEGACY | HPET_ENABLE);
	ticks(6);
	ck_assert_uint_eq(level[0], 1);
	wr(HPET_STATUS, 1);
	ck_assert_uint_eq(level[0], 0);
}
END_TEST

START_TEST(state_survives_saving)
{
	u8 image[256];
	size_t size;

	setup();
	size = state_size(hpet.dev.class->fields);
	start(0, HPET_INTERRUPTS | HPET_PERIODIC | HPET_VALUE_SET | ROUTED(20), 100);
	wr(HPET_TIMER(1), HPET_INTERRUPTS | HPET_LEVEL | ROUTED(21));
	wr(HPET_COMPARATOR(1), 120);
	ticks(150);
	ck_assert_uint_le(size, sizeof(image));
	state_save(hpet.dev.class->fields, &hpet, image);
	ticks(1000);
	hpet.dev.class->reset(&hpet.dev);
	ck_assert_uint_eq(level[21], 0);
	rig.insns = 0;
	rig.clock.skew = 150 * TICK;
	edges[20] = 0;
	ck_assert_int_eq(state_load(hpet.dev.class->fields, &hpet, image, size), 0);
	hpet.dev.class->loaded(&hpet.dev);
	ck_assert_uint_eq(rd(HPET_COUNTER), 150);
	ck_assert_uint_eq(rd(HPET_STATUS), 2);
	ticks(50);
	ck_assert_uint_eq(edges[20], 1);
	ck_assert_uint_eq(rd(HPET_COMPARATOR(0)), 300);
}
END_TEST

RIG_MAIN("hpet", registers_after_reset, bits_that_can_be_written, accesses_of_32_bits, counter_runs_and_halts,
	 one_shot_edge, reset_route_goes_nowhere, level_until_its_status_is_cleared, level_timers_share_a_line,
	 periodic, periodic_catches_up, mode_of_32_bits, legacy_replacement, state_survives_saving)
