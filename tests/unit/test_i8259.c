/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 8259A pair, by the data sheet (Intel 231468). */
#include <check.h>

#include "tests/unit/rig.h"
#include "vmm/dev/i8259.h"

static struct rig rig;
static struct i8259 pic;

static void raise_line(unsigned n)
{
	i8259_set_irq(&pic, n, true);
}

static void lower_line(unsigned n)
{
	i8259_set_irq(&pic, n, false);
}

static void edge(unsigned n)
{
	raise_line(n);
	lower_line(n);
}

static u8 read_register(u16 port, u8 ocw3)
{
	rig_out(&rig, port, ocw3);
	return rig_in(&rig, port);
}

static u8 irr(u16 port)
{
	return read_register(port, 0x0a);
}

static u8 isr(u16 port)
{
	return read_register(port, 0x0b);
}

/* As every PC system does it: master at 20h, slave at 28h. */
static void setup_icw4(u8 master_icw4)
{
	rig_init(&rig);
	i8259_init(&pic, "pic");
	pic.intr = rig_irq(&rig, 0);
	rig_add(&rig, i8259_regions, &pic, 0);
	rig_out(&rig, 0x20, 0x11);
	rig_out(&rig, 0x21, 0x20);
	rig_out(&rig, 0x21, 0x04);
	rig_out(&rig, 0x21, master_icw4);
	rig_out(&rig, 0xa0, 0x11);
	rig_out(&rig, 0xa1, 0x28);
	rig_out(&rig, 0xa1, 0x02);
	rig_out(&rig, 0xa1, 0x01);
}

static void setup(void)
{
	setup_icw4(0x01);
}

START_TEST(initialisation_clears_mask_and_selects_irr)
{
	setup();
	ck_assert_uint_eq(rig_in(&rig, 0x21), 0);
	rig_out(&rig, 0x21, 0xfb);
	ck_assert_uint_eq(rig_in(&rig, 0x21), 0xfb);
	rig_out(&rig, 0x20, 0x0b);
	rig_out(&rig, 0x20, 0x11);
	ck_assert_uint_eq(rig_in(&rig, 0x21), 0);
	raise_line(3);
	ck_assert_uint_eq(rig_in(&rig, 0x20), 0x08);
}
END_TEST

START_TEST(interrupt_is_requested_acknowledged_ended)
{
	setup();
	ck_assert(!i8259_pending(&pic));
	raise_line(4);
	ck_assert(i8259_pending(&pic));
	ck_assert_uint_eq(rig.level[0], 1);
	ck_assert_uint_eq(irr(0x20), 0x10);
	ck_assert_int_eq(i8259_ack(&pic), 0x24);
	ck_assert(!i8259_pending(&pic));
	ck_assert_uint_eq(rig.level[0], 0);
	ck_assert_uint_eq(irr(0x20), 0);
	ck_assert_uint_eq(isr(0x20), 0x10);
	rig_out(&rig, 0x20, 0x20);
	ck_assert_uint_eq(isr(0x20), 0);
	/* still high, but there was no new edge */
	ck_assert(!i8259_pending(&pic));
	lower_line(4);
	raise_line(4);
	ck_assert(i8259_pending(&pic));
}
END_TEST

START_TEST(higher_priority_nests_lower_waits)
{
	setup();
	edge(4);
	ck_assert_int_eq(i8259_ack(&pic), 0x24);
	edge(5);
	ck_assert(!i8259_pending(&pic));
	edge(4);
	ck_assert(!i8259_pending(&pic));
	edge(1);
	ck_assert(i8259_pending(&pic));
	ck_assert_int_eq(i8259_ack(&pic), 0x21);
	ck_assert_uint_eq(isr(0x20), 0x12);
	rig_out(&rig, 0x20, 0x20); /* non-specific: the highest in service */
	ck_assert_uint_eq(isr(0x20), 0x10);
	rig_out(&rig, 0x20, 0x64); /* specific */
	ck_assert_uint_eq(isr(0x20), 0);
	ck_assert_int_eq(i8259_ack(&pic), 0x24);
}
END_TEST

START_TEST(mask_holds_back_but_keeps_request)
{
	setup();
	rig_out(&rig, 0x21, 0x10);
	edge(4);
	ck_assert(!i8259_pending(&pic));
	ck_assert_uint_eq(irr(0x20), 0x10);
	rig_out(&rig, 0x21, 0x00);
	ck_assert(i8259_pending(&pic));
}
END_TEST

START_TEST(slave_cascades)
{
	setup();
	edge(12);
	ck_assert_uint_eq(irr(0xa0), 0x10);
	ck_assert_uint_eq(irr(0x20), 0x04);
	ck_assert_int_eq(i8259_ack(&pic), 0x2c);
	ck_assert_uint_eq(isr(0xa0), 0x10);
	ck_assert_uint_eq(isr(0x20), 0x04);
	edge(14);
	ck_assert(!i8259_pending(&pic));
	rig_out(&rig, 0xa0, 0x20);
	ck_assert(!i8259_pending(&pic)); /* the master still serves IR2 */
	rig_out(&rig, 0x20, 0x62);
	ck_assert(i8259_pending(&pic));
	ck_assert_int_eq(i8259_ack(&pic), 0x2e);
}
END_TEST

START_TEST(slave_interrupts_rank_between_1_and_3)
{
	setup();
	edge(3);
	edge(8);
	edge(1);
	ck_assert_int_eq(i8259_ack(&pic), 0x21);
	rig_out(&rig, 0x20, 0x20);
	ck_assert_int_eq(i8259_ack(&pic), 0x28);
	rig_out(&rig, 0xa0, 0x20);
	rig_out(&rig, 0x20, 0x20);
	ck_assert_int_eq(i8259_ack(&pic), 0x23);
}
END_TEST

START_TEST(spurious_interrupts_set_no_isr_bit)
{
	setup();
	ck_assert_int_eq(i8259_ack(&pic), 0x27);
	ck_assert_uint_eq(isr(0x20), 0);

	/* a level-triggered slave request goes away between INTR and INTA: nothing is pending at the master either */
	rig_out(&rig, 0x4d1, 0x08);
	raise_line(11);
	ck_assert(i8259_pending(&pic));
	lower_line(11);
	ck_assert(!i8259_pending(&pic));
	ck_assert_int_eq(i8259_ack(&pic), 0x27);
	ck_assert_uint_eq(isr(0x20), 0);
	ck_assert_uint_eq(isr(0xa0), 0);
}
END_TEST

START_TEST(level_triggered_repeats_until_lowered)
{
	setup();
	rig_out(&rig, 0x4d0, 0xff);
	ck_assert_uint_eq(rig_in(&rig, 0x4d0), 0xf8);
	rig_out(&rig, 0x4d1, 0xff);
	ck_assert_uint_eq(rig_in(&rig, 0x4d1), 0xde);
	raise_line(5);
	ck_assert_int_eq(i8259_ack(&pic), 0x25);
	ck_assert_uint_eq(irr(0x20), 0x20);
	rig_out(&rig, 0x20, 0x20);
	ck_assert(i8259_pending(&pic));
	ck_assert_int_eq(i8259_ack(&pic), 0x25);
	lower_line(5);
	rig_out(&rig, 0x20, 0x20);
	ck_assert(!i8259_pending(&pic));
}
END_TEST

START_TEST(automatic_eoi_leaves_nothing_in_service)
{
	setup_icw4(0x03);
	edge(3);
	ck_assert_int_eq(i8259_ack(&pic), 0x23);
	ck_assert_uint_eq(isr(0x20), 0);
	/* rotating: the one served becomes the lowest */
	rig_out(&rig, 0x20, 0x80);
	edge(3);
	ck_assert_int_eq(i8259_ack(&pic), 0x23);
	edge(3);
	edge(4);
	ck_assert_int_eq(i8259_ack(&pic), 0x24);
	rig_out(&rig, 0x20, 0x00);
	ck_assert_int_eq(i8259_ack(&pic), 0x23);
}
END_TEST

START_TEST(rotation_and_set_priority)
{
	setup();
	rig_out(&rig, 0x20, 0xc4); /* IR4 lowest, so IR5 highest */
	edge(4);
	edge(0);
	edge(5);
	ck_assert_int_eq(i8259_ack(&pic), 0x25);
	rig_out(&rig, 0x20, 0xa0); /* rotate on non-specific EOI: IR5 becomes the lowest */
	edge(5);
	ck_assert_int_eq(i8259_ack(&pic), 0x20);
	rig_out(&rig, 0x20, 0xe0); /* rotate on specific EOI of IR0: IR1 the highest */
	edge(0);
	ck_assert_int_eq(i8259_ack(&pic), 0x24);
	rig_out(&rig, 0x20, 0x20);
	ck_assert_int_eq(i8259_ack(&pic), 0x25);
	rig_out(&rig, 0x20, 0x20);
	ck_assert_int_eq(i8259_ack(&pic), 0x20);
}
END_TEST

START_TEST(special_mask_lets_lower_ones_in)
{
	setup();
	edge(1);
	ck_assert_int_eq(i8259_ack(&pic), 0x21);
	edge(6);
	ck_assert(!i8259_pending(&pic));
	rig_out(&rig, 0x21, 0x02);
	ck_assert(!i8259_pending(&pic));
	rig_out(&rig, 0x20, 0x68);
	ck_assert(i8259_pending(&pic));
	ck_assert_int_eq(i8259_ack(&pic), 0x26);
	/* a non-specific EOI does not touch the masked one */
	rig_out(&rig, 0x20, 0x20);
	ck_assert_uint_eq(isr(0x20), 0x02);
	rig_out(&rig, 0x20, 0x20);
	ck_assert_uint_eq(isr(0x20), 0x02);
	rig_out(&rig, 0x20, 0x48);
	rig_out(&rig, 0x20, 0x20);
	ck_assert_uint_eq(isr(0x20), 0x00);
}
END_TEST

START_TEST(special_fully_nested_takes_another_from_the_slave)
{
	setup_icw4(0x11);
	edge(12);
	ck_assert_int_eq(i8259_ack(&pic), 0x2c);
	edge(14);
	ck_assert(!i8259_pending(&pic));
	edge(9);
	ck_assert(i8259_pending(&pic));
	ck_assert_int_eq(i8259_ack(&pic), 0x29);
	ck_assert_uint_eq(isr(0xa0), 0x12);
}
END_TEST

START_TEST(poll_acknowledges)
{
	setup();
	ck_assert_uint_eq(read_register(0x20, 0x0c), 0x00);
	edge(6);
	ck_assert_uint_eq(read_register(0x20, 0x0c), 0x86);
	ck_assert_uint_eq(isr(0x20), 0x40);
	ck_assert(!i8259_pending(&pic));
	edge(15);
	ck_assert_uint_eq(read_register(0x20, 0x0c), 0x82);
	ck_assert_uint_eq(read_register(0xa0, 0x0c), 0x87);
	ck_assert_uint_eq(isr(0xa0), 0x80);
}
END_TEST

START_TEST(icw1_forgets_edges_and_needs_new_ones)
{
	setup();
	raise_line(4);
	rig_out(&rig, 0x20, 0x13); /* single, with ICW4 */
	ck_assert(!i8259_pending(&pic));
	rig_out(&rig, 0x21, 0x47);
	rig_out(&rig, 0x21, 0x01);
	rig_out(&rig, 0x21, 0x20); /* that was the last ICW: OCW1 now */
	ck_assert_uint_eq(rig_in(&rig, 0x21), 0x20);
	ck_assert_uint_eq(irr(0x20), 0);
	raise_line(4);
	ck_assert(!i8259_pending(&pic));
	lower_line(4);
	raise_line(4);
	ck_assert_int_eq(i8259_ack(&pic), 0x44);
}
END_TEST

START_TEST(what_is_nothing_changes_nothing)
{
	setup();
	raise_line(3);
	i8259_ack(&pic);
	rig_out(&rig, 0x20, 0x40); /* OCW2 without a meaning */
	ck_assert_uint_eq(isr(0x20), 8);
	i8259_set_irq(&pic, 16, true);
	i8259_set_irq(&pic, 2, true); /* the cascade is the slave's */
	ck_assert_uint_eq(irr(0x20) | irr(0xa0), 0);
}
END_TEST

START_TEST(ltim_makes_all_inputs_level)
{
	setup();
	rig_out(&rig, 0x20, 0x19);
	rig_out(&rig, 0x21, 0x20);
	rig_out(&rig, 0x21, 0x04);
	rig_out(&rig, 0x21, 0x01);
	raise_line(1);
	ck_assert(i8259_pending(&pic));
	lower_line(1);
	ck_assert(!i8259_pending(&pic));
}
END_TEST

START_TEST(state_survives_saving)
{
	u8 image[128];
	size_t len;

	setup();
	edge(1);
	edge(12);
	i8259_ack(&pic);
	len = state_save(pic.dev.class->fields, &pic, image);
	ck_assert_uint_le(len, sizeof(image));
	setup();
	ck_assert_int_eq(state_load(pic.dev.class->fields, &pic, image, len), 0);
	pic.dev.class->loaded(&pic.dev);
	ck_assert_uint_eq(isr(0x20), 0x02);
	rig_out(&rig, 0x20, 0x20);
	ck_assert_int_eq(i8259_ack(&pic), 0x2c);
}
END_TEST

RIG_MAIN("i8259", initialisation_clears_mask_and_selects_irr, interrupt_is_requested_acknowledged_ended,
	 higher_priority_nests_lower_waits, mask_holds_back_but_keeps_request, slave_cascades,
	 slave_interrupts_rank_between_1_and_3, spurious_interrupts_set_no_isr_bit,
	 level_triggered_repeats_until_lowered, automatic_eoi_leaves_nothing_in_service, rotation_and_set_priority,
	 special_mask_lets_lower_ones_in, special_fully_nested_takes_another_from_the_slave, poll_acknowledges,
	 icw1_forgets_edges_and_needs_new_ones, ltim_makes_all_inputs_level, what_is_nothing_changes_nothing,
	 state_survives_saving)
