/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The one-register chips: ports 61h and 92h, debug console, debug exit, pvpanic. */
#include <check.h>

#include "tests/unit/rig.h"
#include "vmm/dev/debugcon.h"
#include "vmm/dev/debugexit.h"
#include "vmm/dev/port61.h"
#include "vmm/dev/port92.h"
#include "vmm/dev/pvpanic.h"

static struct rig rig;
static char sent[32];
static unsigned calls;
static u32 value;

static void send(void *opaque, const u8 *buf, size_t len)
{
	ck_assert_uint_lt(strlen(sent) + len, sizeof(sent));
	memcpy(sent + strlen(sent), buf, len);
}

static void called(void *opaque)
{
	calls++;
}

static void called_with(void *opaque, u32 v)
{
	calls++;
	value = v;
}

static void called_with_byte(void *opaque, u8 v)
{
	called_with(opaque, v);
}

static void setup(void)
{
	rig_init(&rig);
	memset(sent, 0, sizeof(sent));
	calls = 0;
	value = 0;
}

START_TEST(port61_refresh_toggles_every_15_us)
{
	struct i8254 pit;
	struct port61 port;
	unsigned toggles = 0;
	u8 last;

	setup();
	i8254_init(&pit, "pit", &rig.clock, rig_irq(&rig, 0));
	port61_init(&port, "port61", &rig.clock, &pit);
	rig_add(&rig, port61_regions, &port, 0);
	last = rig_in(&rig, 0x61);
	for (unsigned us = 0; us < 15085; us++) {
		u8 now;

		rig_pass(&rig, 1000);
		now = rig_in(&rig, 0x61);
		toggles += (now ^ last) >> 4 & 1;
		last = now;
	}
	ck_assert_uint_ge(toggles, 999);
	ck_assert_uint_le(toggles, 1000);
}
END_TEST

START_TEST(port61_gates_counter_2_and_shows_its_output)
{
	struct i8254 pit;
	struct port61 port;

	setup();
	i8254_init(&pit, "pit", &rig.clock, rig_irq(&rig, 0));
	port61_init(&port, "port61", &rig.clock, &pit);
	rig_add(&rig, port61_regions, &port, 0);
	rig_add(&rig, i8254_regions, &pit, 0);
	/* how Linux calibrates the TSC: gate on, mode 0, wait for bit 5 */
	rig_out(&rig, 0x61, (rig_in(&rig, 0x61) & ~0x02) | 0x01);
	rig_out(&rig, 0x43, 0xb0);
	rig_out(&rig, 0x42, 0xa9);
	rig_out(&rig, 0x42, 0x04); /* 1193 ticks: 1 ms */
	ck_assert_uint_eq(rig_in(&rig, 0x61) & 0x2f, 0x01);
	rig_pass(&rig, 999800);
	ck_assert_uint_eq(rig_in(&rig, 0x61) & 0x20, 0x00);
	rig_pass(&rig, 1800);
	ck_assert_uint_eq(rig_in(&rig, 0x61) & 0x20, 0x20);
	rig_out(&rig, 0x61, 0xff);
	ck_assert_uint_eq(rig_in(&rig, 0x61) & 0xcf, 0x0f);
}
END_TEST

START_TEST(port92_resets_on_a_rising_bit)
{
	struct port92 port;

	setup();
	port92_init(&port, "port92", called, NULL);
	rig_add(&rig, port92_regions, &port, 0);
	ck_assert_uint_eq(rig_in(&rig, 0x92), 0x02);
	rig_out(&rig, 0x92, 0x00);
	ck_assert_uint_eq(rig_in(&rig, 0x92), 0x00);
	ck_assert_uint_eq(calls, 0);
	rig_out(&rig, 0x92, 0x03);
	rig_out(&rig, 0x92, 0x03);
	ck_assert_uint_eq(calls, 1);
	rig_out(&rig, 0x92, 0x02);
	rig_out(&rig, 0x92, 0x01);
	ck_assert_uint_eq(calls, 2);
}
END_TEST

START_TEST(port92_drives_a20)
{
	struct port92 port;

	setup();
	port92_init(&port, "port92", called, NULL);
	port.a20 = rig_irq(&rig, 2);
	rig_add(&rig, port92_regions, &port, 0);
	port.dev.class->reset(&port.dev);
	ck_assert_uint_eq(rig.level[2], 1);
	rig_out(&rig, 0x92, 0xfc);
	ck_assert_uint_eq(rig.level[2], 0);
	rig.level[2] = 1;
	port.dev.class->loaded(&port.dev);
	ck_assert_uint_eq(rig.level[2], 0);
	rig_out(&rig, 0x92, 0x02);
	ck_assert_uint_eq(rig.level[2], 1);
	ck_assert_uint_eq(calls, 0);
}
END_TEST

START_TEST(debugcon_sends)
{
	struct debugcon con;

	setup();
	debugcon_init(&con, "debugcon", send, NULL);
	rig_add(&rig, debugcon_regions, &con, 0);
	ck_assert_uint_eq(rig_in(&rig, 0xe9), 0xe9);
	ck_assert_uint_eq(rig_in(&rig, 0x402), 0xe9);
	rig_out(&rig, 0xe9, 'a');
	rig_out(&rig, 0x402, 'b');
	ck_assert_str_eq(sent, "ab");
}
END_TEST

START_TEST(debugexit_takes_any_width)
{
	struct debugexit port;

	setup();
	debugexit_init(&port, "debugexit", called_with, NULL);
	rig_add(&rig, debugexit_regions, &port, 0);
	ck_assert_uint_eq(bus_read(&rig.pio, 0xf4, 4), 0);
	ck_assert_uint_eq(calls, 0);
	rig_out(&rig, 0xf4, 0x10);
	ck_assert_uint_eq(value, 0x10);
	bus_write(&rig.pio, 0xf4, 4, 0x12345678);
	ck_assert_uint_eq(value, 0x12345678);
	ck_assert_uint_eq(calls, 2);
}
END_TEST

START_TEST(pvpanic_reports_supported_events)
{
	struct pvpanic port;

	setup();
	pvpanic_init(&port, "pvpanic", called_with_byte, NULL);
	rig_add(&rig, pvpanic_regions, &port, 0);
	ck_assert_uint_eq(rig_in(&rig, 0x505), 0x03);
	rig_out(&rig, 0x505, 0x01);
	ck_assert_uint_eq(value, PVPANIC_PANICKED);
	rig_out(&rig, 0x505, 0xfe);
	ck_assert_uint_eq(value, PVPANIC_CRASH_LOADED);
	rig_out(&rig, 0x505, 0x80);
	ck_assert_uint_eq(calls, 2);
}
END_TEST

RIG_MAIN("ports", port61_refresh_toggles_every_15_us, port61_gates_counter_2_and_shows_its_output,
	 port92_resets_on_a_rising_bit, port92_drives_a20, debugcon_sends, debugexit_takes_any_width,
	 pvpanic_reports_supported_events)
