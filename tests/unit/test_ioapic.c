/* SPDX-License-Identifier: GPL-2.0-or-later */
/* I/O APIC, against the 82093AA data sheet (290566). */
#include <check.h>
#include <stdlib.h>

#include "vmm/dev/ioapic.h"

static struct ioapic io;
static struct apic_message last;
static unsigned sent;
static bool refuse;

static bool deliver(void *opaque, const struct apic_message *msg)
{
	last = *msg;
	sent++;
	return !refuse;
}

static void setup(void)
{
	sent = 0;
	refuse = false;
	ioapic_init(&io, deliver, NULL, "ioapic");
}

static u32 rd(u8 reg)
{
	ioapic_write(&io, IOAPIC_REGSEL, 4, reg);
	return ioapic_read(&io, IOAPIC_WIN, 4);
}

static void wr(u8 reg, u32 value)
{
	ioapic_write(&io, IOAPIC_REGSEL, 4, reg);
	ioapic_write(&io, IOAPIC_WIN, 4, value);
}

static void route(unsigned pin, u64 rte)
{
	wr(IOAPIC_REDTBL + 2 * pin + 1, rte >> 32);
	wr(IOAPIC_REDTBL + 2 * pin, rte);
}

START_TEST(identity_and_reset)
{
	ck_assert_uint_eq(rd(IOAPIC_ID), 0);
	ck_assert_uint_eq(rd(IOAPIC_VER), 0x00170020);
	wr(IOAPIC_ID, 0xffffffff);
	ck_assert_uint_eq(rd(IOAPIC_ID), 0x0f000000);
	ck_assert_uint_eq(rd(IOAPIC_ARB), 0x0f000000);
	wr(IOAPIC_VER, 0);
	ck_assert_uint_eq(rd(IOAPIC_VER), 0x00170020);
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		ck_assert_uint_eq(rd(IOAPIC_REDTBL + 2 * pin), 0x10000);
		ck_assert_uint_eq(rd(IOAPIC_REDTBL + 2 * pin + 1), 0);
	}
	ck_assert_uint_eq(rd(IOAPIC_REDTBL + 2 * IOAPIC_PINS), 0);
	ck_assert_uint_eq(ioapic_read(&io, IOAPIC_REGSEL, 4), IOAPIC_REDTBL + 2 * IOAPIC_PINS);
	ck_assert_uint_eq(ioapic_read(&io, 0x800, 4), 0);
	wr(IOAPIC_REDTBL, 0xffffffff);
	ck_assert_uint_eq(rd(IOAPIC_REDTBL), 0x1afff); /* delivery status and remote IRR are read-only */
}
END_TEST

START_TEST(edges)
{
	route(4, 0x0300000000000041ull);
	ioapic_set_irq(&io, 4, true);
	ck_assert_uint_eq(sent, 1);
	ck_assert_uint_eq(last.vector, 0x41);
	ck_assert_uint_eq(last.dest, 3);
	ck_assert(!last.level && !last.logical && !last.broadcast);
	ioapic_set_irq(&io, 4, true);
	ck_assert_uint_eq(sent, 1);
	ioapic_set_irq(&io, 4, false);
	ioapic_set_irq(&io, 4, true);
	ck_assert_uint_eq(sent, 2);
	/* An edge on a masked entry is lost. */
	ioapic_set_irq(&io, 4, false);
	route(4, 0x0300000000010041ull);
	ioapic_set_irq(&io, 4, true);
	route(4, 0x0300000000000041ull);
	ck_assert_uint_eq(sent, 2);
	ioapic_set_irq(&io, 99, true);
}
END_TEST

START_TEST(levels_and_eoi)
{
	route(9, 0xff0000000000a951ull); /* level, active low, logical */
	ioapic_set_irq(&io, 9, true);
	ck_assert_uint_eq(sent, 1);
	ck_assert(last.level && last.logical && !last.broadcast);
	ck_assert_uint_eq(last.delivery, APIC_LOWEST);
	ck_assert(rd(IOAPIC_REDTBL + 18) & RTE_REMOTE_IRR);
	ioapic_set_irq(&io, 9, false);
	ioapic_set_irq(&io, 9, true);
	ck_assert_uint_eq(sent, 1); /* not before the EOI */
	ioapic_eoi(&io, 0x50);
	ck_assert_uint_eq(sent, 1);
	ioapic_eoi(&io, 0x51);
	ck_assert_uint_eq(sent, 2); /* still asserted */
	ioapic_set_irq(&io, 9, false);
	ioapic_eoi(&io, 0x51);
	ck_assert_uint_eq(sent, 2);
	ck_assert(!(rd(IOAPIC_REDTBL + 18) & RTE_REMOTE_IRR));
}
END_TEST

START_TEST(level_waits_for_the_mask)
{
	route(9, 0x18051);
	ioapic_set_irq(&io, 9, true);
	ck_assert_uint_eq(sent, 0);
	route(9, 0x08051);
	ck_assert_uint_eq(sent, 1);
	/* The EOI register, and turning to edge, clear remote IRR. */
	ioapic_set_irq(&io, 9, false);
	ioapic_write(&io, IOAPIC_EOIR, 4, 0x51);
	ck_assert(!(rd(IOAPIC_REDTBL + 18) & RTE_REMOTE_IRR));
	ioapic_set_irq(&io, 9, true);
	ck_assert(rd(IOAPIC_REDTBL + 18) & RTE_REMOTE_IRR);
	route(9, 0x10051);
	ck_assert(!(rd(IOAPIC_REDTBL + 18) & RTE_REMOTE_IRR));
}
END_TEST

START_TEST(refused_level_stays_pending)
{
	refuse = true;
	route(9, 0x08051);
	ioapic_set_irq(&io, 9, true);
	ck_assert(!(rd(IOAPIC_REDTBL + 18) & RTE_REMOTE_IRR));
	refuse = false;
	route(9, 0x08051);
	ck_assert(rd(IOAPIC_REDTBL + 18) & RTE_REMOTE_IRR);
}
END_TEST

START_TEST(broadcast_and_modes)
{
	route(1, 0xff00000000000400ull);
	ioapic_set_irq(&io, 1, true);
	ck_assert(last.broadcast);
	ck_assert_uint_eq(last.delivery, APIC_NMI);
	ck_assert(ioapic_has_nmi(&io));
	route(1, 0x10400);
	ck_assert(!ioapic_has_nmi(&io));
	sent = 0;
	route(5, 0x600 | 0x41); /* reserved */
	ioapic_set_irq(&io, 5, true);
	ck_assert_uint_eq(sent, 0);
}
END_TEST

START_TEST(access_sizes)
{
	ioapic_write(&io, IOAPIC_REGSEL, 1, 1);
	ck_assert_uint_eq(ioapic_read(&io, IOAPIC_WIN, 1), 0x20);
	ck_assert_uint_eq(ioapic_read(&io, IOAPIC_WIN + 2, 1), 0x17);
	ck_assert_uint_eq(ioapic_read(&io, IOAPIC_WIN + 4, 4), 0);
	ioapic_write(&io, IOAPIC_REGSEL, 4, IOAPIC_REDTBL);
	ioapic_write(&io, IOAPIC_WIN, 1, 0x55);
	ck_assert_uint_eq(ioapic_read(&io, IOAPIC_WIN, 8), 0x10000);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    identity_and_reset,  edges,        levels_and_eoi, level_waits_for_the_mask, refused_level_stays_pending,
	    broadcast_and_modes, access_sizes,
	};
	Suite *s = suite_create("ioapic");
	TCase *t = tcase_create("ioapic");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(tests); i++)
		tcase_add_test(t, tests[i]);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
