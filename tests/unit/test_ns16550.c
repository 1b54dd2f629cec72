/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 16550A, by the data sheet (National Semiconductor PC16550D). */
#include <check.h>

#include "tests/unit/rig.h"
#include "vmm/dev/ns16550.h"

#define PORT 0x3f8
#define DATA PORT
#define IER  (PORT + 1)
#define IIR  (PORT + 2)
#define FCR  (PORT + 2)
#define LCR  (PORT + 3)
#define MCR  (PORT + 4)
#define LSR  (PORT + 5)
#define MSR  (PORT + 6)
#define SCR  (PORT + 7)

static struct rig rig;
static struct ns16550 uart;
static char sent[64];

static void sent_bytes(void *opaque, const u8 *buf, size_t len)
{
	ck_assert_ptr_eq(opaque, &uart);
	ck_assert_uint_lt(strlen(sent) + len, sizeof(sent));
	memcpy(sent + strlen(sent), buf, len);
}

static void setup(void)
{
	rig_init(&rig);
	memset(sent, 0, sizeof(sent));
	ns16550_init(&uart, "serial0", &rig.clock, rig_irq(&rig, 4), sent_bytes, &uart);
	rig_add(&rig, ns16550_regions, &uart, PORT);
	rig_out(&rig, MCR, UART_MCR_OUT2);
	rig_in(&rig, MSR);
}

static void receive(const char *text)
{
	ck_assert_uint_eq(ns16550_receive(&uart, (const u8 *)text, strlen(text)), strlen(text));
}

START_TEST(reset_values)
{
	setup();
	ck_assert_uint_eq(rig_in(&rig, IER), 0);
	ck_assert_uint_eq(rig_in(&rig, IIR), 1);
	ck_assert_uint_eq(rig_in(&rig, LCR), 0);
	ck_assert_uint_eq(rig_in(&rig, LSR), 0x60);
	ck_assert_uint_eq(rig_in(&rig, MSR), 0xb0);
}
END_TEST

START_TEST(register_bits)
{
	setup();
	rig_out(&rig, IER, 0xff);
	ck_assert_uint_eq(rig_in(&rig, IER), 0x0f);
	rig_out(&rig, SCR, 0xa5);
	ck_assert_uint_eq(rig_in(&rig, SCR), 0xa5);
	rig_out(&rig, MCR, 0xff);
	ck_assert_uint_eq(rig_in(&rig, MCR), 0x1f);
	rig_out(&rig, FCR, 0x01);
	ck_assert_uint_eq(rig_in(&rig, IIR) & 0xc0, 0xc0);
	rig_out(&rig, FCR, 0x00);
	ck_assert_uint_eq(rig_in(&rig, IIR) & 0xc0, 0x00);
}
END_TEST

START_TEST(divisor_latch)
{
	setup();
	rig_out(&rig, IER, 0x05);
	rig_out(&rig, LCR, 0x83);
	rig_out(&rig, DATA, 0x34);
	rig_out(&rig, IER, 0x12);
	ck_assert_uint_eq(rig_in(&rig, DATA), 0x34);
	ck_assert_uint_eq(rig_in(&rig, IER), 0x12);
	ck_assert_uint_eq(uart.divisor, 0x1234);
	rig_out(&rig, LCR, 0x03);
	ck_assert_uint_eq(rig_in(&rig, IER), 0x05);
	ck_assert_str_eq(sent, "");
}
END_TEST

START_TEST(sends_at_once)
{
	setup();
	for (const char *p = "hello"; *p; p++) {
		rig_out(&rig, DATA, *p);
		ck_assert_uint_eq(rig_in(&rig, LSR), 0x60);
	}
	ck_assert_str_eq(sent, "hello");
	ck_assert_uint_eq(rig.edges[4], 0);
}
END_TEST

START_TEST(thre_interrupt_is_cleared_by_reading_iir)
{
	setup();
	rig_out(&rig, IER, UART_IER_THRE); /* THR is empty: interrupts at once */
	ck_assert_uint_eq(rig.level[4], 1);
	ck_assert_uint_eq(rig_in(&rig, IIR), 0x02);
	ck_assert_uint_eq(rig.level[4], 0);
	ck_assert_uint_eq(rig_in(&rig, IIR), 0x01);
	rig_out(&rig, DATA, 'x');
	ck_assert_uint_eq(rig.level[4], 1);
	/* a write is a new edge even when the last interrupt was not looked at */
	rig_out(&rig, DATA, 'y');
	ck_assert_uint_eq(rig.edges[4], 3);
	ck_assert_uint_eq(rig_in(&rig, IIR), 0x02);
	/* off and on again interrupts again */
	rig_out(&rig, IER, 0);
	rig_out(&rig, IER, UART_IER_THRE);
	ck_assert_uint_eq(rig_in(&rig, IIR), 0x02);
	rig_out(&rig, IER, 0);
	ck_assert_uint_eq(rig_in(&rig, IIR), 0x01);
}
END_TEST

START_TEST(receives_without_fifo)
{
	setup();
	rig_out(&rig, IER, UART_IER_RDA);
	ck_assert_uint_eq(ns16550_room(&uart), 1);
	ck_assert_uint_eq(ns16550_receive(&uart, (const u8 *)"ab", 2), 1);
	ck_assert_uint_eq(ns16550_room(&uart), 0);
	ck_assert_uint_eq(rig.level[4], 1);
	ck_assert_uint_eq(rig_in(&rig, IIR), 0x04);
	ck_assert_uint_eq(rig_in(&rig, LSR), 0x61);
	ck_assert_uint_eq(rig_in(&rig, DATA), 'a');
	ck_assert_uint_eq(rig.level[4], 0);
	ck_assert_uint_eq(rig_in(&rig, LSR), 0x60);
}
END_TEST

START_TEST(fifo_interrupts_at_its_trigger)
{
	static const u8 trigger[] = {1, 4, 8, 14};

	for (unsigned i = 0; i < 4; i++) {
		setup();
		rig_out(&rig, FCR, 0x01 | i << 6);
		rig_out(&rig, IER, UART_IER_RDA);
		ck_assert_uint_eq(ns16550_room(&uart), 16);
		for (unsigned n = 1; n <= 16; n++) {
			receive("z");
			ck_assert_uint_eq(rig.level[4], n >= trigger[i]);
			ck_assert_uint_eq(rig_in(&rig, IIR), n >= trigger[i] ? 0xc4 : 0xc1);
		}
		ck_assert_uint_eq(ns16550_room(&uart), 0);
		for (unsigned n = 16; n-- > 0;) {
			rig_in(&rig, DATA);
			ck_assert_uint_eq(rig.level[4], n >= trigger[i]);
		}
	}
}
END_TEST

START_TEST(fifo_keeps_order_across_its_end)
{
	setup();
	rig_out(&rig, FCR, 0x01);
	receive("0123456789");
	for (unsigned i = 0; i < 10; i++)
		ck_assert_uint_eq(rig_in(&rig, DATA), '0' + i);
	receive("abcdefghijklmnop");
	for (unsigned i = 0; i < 16; i++)
		ck_assert_uint_eq(rig_in(&rig, DATA), 'a' + i);
	ck_assert_uint_eq(rig_in(&rig, LSR), 0x60);
}
END_TEST

START_TEST(character_timeout_after_four_characters)
{
	const u64 four = 4 * 10 * 16 * 12 * CLOCK_HZ / NS16550_HZ; /* 8N1 at 9600 */

	setup();
	rig_out(&rig, LCR, 0x03);
	rig_out(&rig, FCR, 0x81);
	rig_out(&rig, IER, UART_IER_RDA);
	receive("ab");
	rig_pass(&rig, four - 1);
	ck_assert_uint_eq(rig.level[4], 0);
	rig_pass(&rig, 1);
	ck_assert_uint_eq(rig.level[4], 1);
	ck_assert_uint_eq(rig_in(&rig, IIR), 0xcc);
	/* reading a byte clears it and starts anew */
	ck_assert_uint_eq(rig_in(&rig, DATA), 'a');
	ck_assert_uint_eq(rig.level[4], 0);
	rig_pass(&rig, four);
	ck_assert_uint_eq(rig_in(&rig, IIR), 0xcc);
	rig_in(&rig, DATA);
	rig_pass(&rig, 10 * four);
	ck_assert_uint_eq(rig.level[4], 0);
	ck_assert_uint_eq(rig.clock.next_deadline, CLOCK_NEVER);
}
END_TEST

START_TEST(priorities)
{
	setup();
	rig_out(&rig, FCR, 0x01);
	rig_out(&rig, IER, 0x0f);
	rig_out(&rig, MCR, 0x1b); /* loopback with RTS and DTR: levels change */
	for (unsigned i = 0; i < 17; i++)
		rig_out(&rig, DATA, i);
	ck_assert_uint_eq(rig_in(&rig, IIR), 0xc6);
	ck_assert_uint_eq(rig_in(&rig, LSR), 0x63); /* overrun, data ready */
	ck_assert_uint_eq(rig_in(&rig, LSR), 0x61);
	ck_assert_uint_eq(rig_in(&rig, IIR), 0xc4);
	for (unsigned i = 0; i < 16; i++)
		ck_assert_uint_eq(rig_in(&rig, DATA), i);
	ck_assert_uint_eq(rig_in(&rig, IIR), 0xc2);
	rig_out(&rig, MCR, 0x0a); /* leaves loopback */
	rig_out(&rig, MCR, 0x18);
	ck_assert_uint_eq(rig_in(&rig, IIR), 0xc0);
	rig_in(&rig, MSR);
	ck_assert_uint_eq(rig_in(&rig, IIR), 0xc1);
	ck_assert_uint_eq(rig.level[4], 0);
	ck_assert_str_eq(sent, "");
}
END_TEST

START_TEST(loopback_ties_modem_lines)
{
	setup();
	rig_out(&rig, MCR, 0x10);
	rig_in(&rig, MSR);
	ck_assert_uint_eq(ns16550_room(&uart), 0);
	rig_out(&rig, MCR, 0x1a); /* RTS, OUT2: as Linux probes */
	ck_assert_uint_eq(rig_in(&rig, MSR) & 0xf0, 0x90);
	rig_out(&rig, MCR, 0x15); /* DTR, OUT1 */
	ck_assert_uint_eq(rig_in(&rig, MSR), 0x60 | 0x0b);
	ck_assert_uint_eq(rig_in(&rig, MSR), 0x60);
	rig_out(&rig, MCR, 0x11); /* RI falls */
	ck_assert_uint_eq(rig_in(&rig, MSR), 0x24);
}
END_TEST

START_TEST(overrun_without_fifo_overwrites)
{
	setup();
	rig_out(&rig, MCR, 0x10);
	rig_out(&rig, DATA, 'a');
	rig_out(&rig, DATA, 'b');
	ck_assert_uint_eq(rig_in(&rig, LSR), 0x63);
	ck_assert_uint_eq(rig_in(&rig, DATA), 'b');
}
END_TEST

START_TEST(fcr_clears)
{
	setup();
	rig_out(&rig, FCR, 0x01);
	receive("abc");
	rig_out(&rig, FCR, 0x02); /* without the enable bit: the FIFOs go off, which empties them */
	ck_assert_uint_eq(rig_in(&rig, LSR), 0x60);
	rig_out(&rig, FCR, 0x01);
	receive("abc");
	rig_out(&rig, FCR, 0x05);
	ck_assert_uint_eq(rig_in(&rig, LSR), 0x61);
	rig_out(&rig, FCR, 0x03);
	ck_assert_uint_eq(rig_in(&rig, LSR), 0x60);
	ck_assert_uint_eq(ns16550_room(&uart), 16);
}
END_TEST

START_TEST(out2_gates_the_line)
{
	setup();
	rig_out(&rig, MCR, 0);
	rig_out(&rig, IER, UART_IER_THRE);
	ck_assert_uint_eq(rig.level[4], 0);
	ck_assert_uint_eq(uart.thre_pending, 1);
	rig_out(&rig, MCR, UART_MCR_OUT2);
	ck_assert_uint_eq(rig.level[4], 1);
}
END_TEST

START_TEST(state_survives_saving)
{
	u8 image[128];
	size_t len;

	setup();
	rig_out(&rig, FCR, 0xc1);
	receive("saved");
	len = state_save(uart.dev.class->fields, &uart, image);
	ck_assert_uint_le(len, sizeof(image));
	setup();
	ck_assert_int_eq(state_load(uart.dev.class->fields, &uart, image, len), 0);
	uart.dev.class->loaded(&uart.dev);
	ck_assert(uart.timeout.armed);
	for (const char *p = "saved"; *p; p++)
		ck_assert_uint_eq(rig_in(&rig, DATA), *p);
}
END_TEST

RIG_MAIN("ns16550", reset_values, register_bits, divisor_latch, sends_at_once, thre_interrupt_is_cleared_by_reading_iir,
	 receives_without_fifo, fifo_interrupts_at_its_trigger, fifo_keeps_order_across_its_end,
	 character_timeout_after_four_characters, priorities, loopback_ties_modem_lines,
	 overrun_without_fifo_overwrites, fcr_clears, out2_gates_the_line, state_survives_saving)
