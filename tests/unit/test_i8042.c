/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keyboard controller and keyboard, by the PS/2 Hardware Interface Technical Reference. */
#include <check.h>

#include "tests/unit/rig.h"
#include "vmm/dev/i8042.h"

static struct rig rig;
static struct i8042 kbc;
static unsigned resets;

static void count_reset(void *opaque)
{
	resets++;
}

static void setup(void)
{
	rig_init(&rig);
	resets = 0;
	i8042_init(&kbc, "kbc", rig_irq(&rig, 1), rig_irq(&rig, 12), count_reset, NULL);
	rig_add(&rig, i8042_regions, &kbc, 0);
}

static void command(u8 c)
{
	rig_out(&rig, 0x64, c);
}

static void data(u8 d)
{
	rig_out(&rig, 0x60, d);
}

/* The next byte, which must be there. */
static u8 get(void)
{
	ck_assert_uint_eq(rig_in(&rig, 0x64) & 0x01, 1);
	return rig_in(&rig, 0x60);
}

static void assert_empty(void)
{
	ck_assert_uint_eq(rig_in(&rig, 0x64) & 0x21, 0);
	ck_assert_uint_eq(rig.level[1], 0);
}

static void press(const char *codes)
{
	ck_assert_uint_eq(i8042_key(&kbc, (const u8 *)codes, strlen(codes)), strlen(codes));
}

START_TEST(self_tests)
{
	setup();
	assert_empty();
	command(0xaa);
	ck_assert_uint_eq(rig_in(&rig, 0x64), 0x1d); /* full, system flag, last write a command, not locked */
	ck_assert_uint_eq(get(), 0x55);
	command(0xab);
	ck_assert_uint_eq(get(), 0x00);
	assert_empty();
}
END_TEST

START_TEST(command_byte_and_memory)
{
	setup();
	command(0x20);
	ck_assert_uint_eq(get(), 0x65);
	command(0x60);
	ck_assert_uint_eq(rig_in(&rig, 0x64) & 0x08, 0x08);
	data(0x74);
	ck_assert_uint_eq(rig_in(&rig, 0x64) & 0x08, 0x00);
	command(0x20);
	ck_assert_uint_eq(get(), 0x74);
	command(0x7f);
	data(0x99);
	command(0x3f);
	ck_assert_uint_eq(get(), 0x99);
	command(0xae);
	command(0xa8);
	command(0x20);
	ck_assert_uint_eq(get(), 0x44);
	command(0xad);
	command(0xa7);
	command(0x20);
	ck_assert_uint_eq(get(), 0x74);
}
END_TEST

START_TEST(output_port_and_reset)
{
	setup();
	command(0xd0);
	ck_assert_uint_eq(get(), 0x03);
	command(0xd1);
	data(0x01);
	command(0xd0);
	ck_assert_uint_eq(get(), 0x01);
	command(0xdf);
	command(0xd0);
	ck_assert_uint_eq(get(), 0x03);
	ck_assert_uint_eq(resets, 0);
	command(0xff); /* pulses nothing */
	ck_assert_uint_eq(resets, 0);
	command(0xfe);
	ck_assert_uint_eq(resets, 1);
	command(0xd1);
	data(0x02);
	ck_assert_uint_eq(resets, 2);
	command(0xc0);
	ck_assert_uint_eq(get(), 0x80);
}
END_TEST

START_TEST(output_port_drives_a20)
{
	setup();
	kbc.a20 = rig_irq(&rig, 2);
	kbc.dev.class->reset(&kbc.dev);
	ck_assert_uint_eq(rig.level[2], 1);
	command(0xdd);
	ck_assert_uint_eq(rig.level[2], 0);
	command(0xdf);
	ck_assert_uint_eq(rig.level[2], 1);
	command(0xd1);
	data(0xdd);
	ck_assert_uint_eq(rig.level[2], 0);
	rig.level[2] = 1;
	kbc.dev.class->loaded(&kbc.dev);
	ck_assert_uint_eq(rig.level[2], 0);
	command(0xd1);
	data(0xdf);
	ck_assert_uint_eq(rig.level[2], 1);
	ck_assert_uint_eq(resets, 0);
}
END_TEST

/* What Linux's i8042 driver asks to find out that there is no auxiliary port, without waiting for a timeout. */
START_TEST(auxiliary_port_is_absent)
{
	setup();
	command(0xd3);
	data(0x5a);
	ck_assert_uint_eq(rig_in(&rig, 0x64) & 0x21, 0x01);
	get();
	command(0xa9);
	ck_assert_uint_ne(get(), 0x00);
	/* a byte for the device is refused from the auxiliary side */
	command(0x60);
	data(0x03);
	command(0xd4);
	data(0xf4);
	ck_assert_uint_eq(rig_in(&rig, 0x64) & 0x21, 0x21);
	ck_assert_uint_eq(rig.level[12], 1);
	ck_assert_uint_eq(get(), 0xfe);
	ck_assert_uint_eq(rig.level[12], 0);
	assert_empty();
}
END_TEST

START_TEST(keyboard_identifies)
{
	setup();
	data(0xf2);
	ck_assert_uint_eq(get(), 0xfa);
	ck_assert_uint_eq(get(), 0xab);
	ck_assert_uint_eq(get(), 0x41); /* 83h after translation */
	assert_empty();
	command(0x60);
	data(0x05);
	data(0xf2);
	ck_assert_uint_eq(get(), 0xfa);
	ck_assert_uint_eq(get(), 0xab);
	ck_assert_uint_eq(get(), 0x83);
}
END_TEST

START_TEST(keyboard_commands)
{
	setup();
	data(0xff);
	ck_assert_uint_eq(get(), 0xfa);
	ck_assert_uint_eq(get(), 0xaa);
	data(0xed);
	ck_assert_uint_eq(get(), 0xfa);
	data(0x07);
	ck_assert_uint_eq(get(), 0xfa);
	ck_assert_uint_eq(kbc.kbd_leds, 7);
	data(0xf3);
	ck_assert_uint_eq(get(), 0xfa);
	data(0x00);
	ck_assert_uint_eq(get(), 0xfa);
	data(0xee);
	ck_assert_uint_eq(get(), 0xee);
	data(0xfe);
	ck_assert_uint_eq(get(), 0xee);
	data(0xf0);
	ck_assert_uint_eq(get(), 0xfa);
	data(0x00);
	ck_assert_uint_eq(get(), 0xfa);
	ck_assert_uint_eq(get(), 0x41); /* set 2, translated */
	data(0xe0);
	ck_assert_uint_eq(get(), 0xfe);
	/* a command in place of a parameter */
	data(0xed);
	get();
	data(0xf4);
	ck_assert_uint_eq(get(), 0xfa);
	ck_assert_uint_eq(kbc.kbd_command, 0);
	assert_empty();
}
END_TEST

START_TEST(keys_are_translated_one_interrupt_each)
{
	setup();
	press("\x1c\xf0\x1c\xe0\x75\xe0\xf0\x75"); /* A down, up; cursor up down, up */
	ck_assert_uint_eq(rig.edges[1], 1);
	ck_assert_uint_eq(get(), 0x1e);
	ck_assert_uint_eq(rig.edges[1], 2);
	ck_assert_uint_eq(get(), 0x9e);
	ck_assert_uint_eq(get(), 0xe0);
	ck_assert_uint_eq(get(), 0x48);
	ck_assert_uint_eq(get(), 0xe0);
	ck_assert_uint_eq(get(), 0xc8);
	ck_assert_uint_eq(rig.edges[1], 6);
	assert_empty();
	command(0x60);
	data(0x01);
	press("\xf0\x1c");
	ck_assert_uint_eq(get(), 0xf0);
	ck_assert_uint_eq(get(), 0x1c);
}
END_TEST

START_TEST(disabled_port_holds_keys_back)
{
	setup();
	command(0xad);
	press("\x1c");
	assert_empty();
	command(0xae);
	ck_assert_uint_eq(get(), 0x1e);
	/* interrupts off: the byte still comes */
	command(0x60);
	data(0x44);
	press("\x1c");
	ck_assert_uint_eq(rig.level[1], 0);
	ck_assert_uint_eq(get(), 0x1e);
	/* scanning off: keys are dropped */
	data(0xf5);
	get();
	press("\x1c");
	assert_empty();
}
END_TEST

START_TEST(queue_is_bounded)
{
	u8 codes[100];

	setup();
	memset(codes, 0x1c, sizeof(codes));
	ck_assert_uint_eq(i8042_room(&kbc), I8042_QUEUE);
	ck_assert_uint_eq(i8042_key(&kbc, codes, sizeof(codes)), I8042_QUEUE);
	ck_assert_uint_eq(i8042_room(&kbc), 1); /* one byte went to the output buffer */
	for (unsigned i = 0; i < 100; i++)
		data(0xee);
	for (unsigned i = 0; i < 200; i++)
		rig_in(&rig, 0x60);
	assert_empty();
}
END_TEST

START_TEST(state_survives_saving)
{
	u8 image[256];
	size_t len;

	setup();
	press("\x1c\xf0\x1c");
	len = state_save(kbc.dev.class->fields, &kbc, image);
	ck_assert_uint_le(len, sizeof(image));
	setup();
	ck_assert_int_eq(state_load(kbc.dev.class->fields, &kbc, image, len), 0);
	kbc.dev.class->loaded(&kbc.dev);
	ck_assert_uint_eq(get(), 0x1e);
	ck_assert_uint_eq(get(), 0x9e);
}
END_TEST

RIG_MAIN("i8042", self_tests, command_byte_and_memory, output_port_and_reset, output_port_drives_a20,
	 auxiliary_port_is_absent, keyboard_identifies, keyboard_commands, keys_are_translated_one_interrupt_each,
	 disabled_port_holds_keys_back, queue_is_bounded, state_survives_saving)
