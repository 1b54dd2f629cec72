/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 8259A, 8254, MC146818, 16550 and 8042, by their data sheets. */
#include "tests/guest/lib/chip.h"

/* --- 8259A through ExtINT, with the 8254's IRQ 0 and COM1's IRQ 4 --- */

static void pic_init(u8 icw4)
{
	outb(0x20, 0x11);
	outb(0x21, 0x20);
	outb(0x21, 4);
	outb(0x21, icw4);
	outb(0xa0, 0x11);
	outb(0xa1, 0x28);
	outb(0xa1, 2);
	outb(0xa1, 1);
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
}

static u8 pic_read(u16 port, u8 ocw3)
{
	outb(port, ocw3);
	return inb(port);
}

static void com1_line(bool high)
{
	if (high) {
		outb(COM1 + 4, 0x0b);
		outb(COM1 + 1, 2);
	} else {
		outb(COM1 + 1, 0);
		inb(COM1 + 2);
	}
	for (unsigned n = 0; n < 200; n++)
		asm volatile("pause");
}

static u8 cmos(u8 reg)
{
	outb(0x70, reg);
	return inb(0x71);
}

static void cmos_write(u8 reg, u8 v)
{
	outb(0x70, reg);
	outb(0x71, v);
}

/* IRQ 0 and IRQ 4 both waiting: which comes first. Counter 0 in mode 0 holds its line high once it has run out. */
static void both_lines(void)
{
	outb(0x21, 0xff);
	com1_line(false);
	outb(0x43, 0x30);
	outb(0x40, 10);
	outb(0x40, 0);
	for (unsigned n = 0; n < 20000; n++)
		asm volatile("pause");
	com1_line(true);
	clear();
	outb(0x21, 0xee);
	open_briefly();
}

static void end_both(void)
{
	outb(0x20, 0x60);
	outb(0x20, 0x64);
	open_briefly();
	outb(0x20, 0x60);
	outb(0x20, 0x64);
	outb(0x21, 0xff);
	com1_line(false);
}

static void pic_order(void)
{
	pic_init(1);
	both_lines();
	later("8259A: IRQ 0 before IRQ 4", nr_order == 1 && order[0] == 0x20);
	outb(0x20, 0x60);
	open_briefly();
	later("8259A: then IRQ 4", nr_order == 2 && order[1] == 0x24);
	end_both();
	outb(0x20, 0xc3); /* IRQ 3 lowest: IRQ 4 highest */
	both_lines();
	later("8259A: set priority turns the order round", nr_order == 1 && order[0] == 0x24);
	end_both();
	outb(0x20, 0xc7);
	/* Special mask mode: a level that is masked in service lets lower ones through. */
	both_lines();
	outb(0x20, 0x68);
	outb(0x21, 0xef);
	open_briefly();
	later("8259A: special mask mode", nr_order == 2 && order[0] == 0x20 && order[1] == 0x24);
	outb(0x20, 0x48);
	end_both();
	/* Rotation with the EOI: the level ended becomes the lowest. */
	both_lines();
	outb(0x20, 0xe0);
	open_briefly();
	outb(0x20, 0x64);
	both_lines();
	later("8259A: rotate on specific EOI: IRQ 0 is the lowest then", nr_order == 1 && order[0] == 0x24);
	end_both();
	outb(0x20, 0xc7);
	/* The slave, by the clock chip's interrupt. */
	u8 b = cmos(11);
	cmos(12);
	outb(0x21, 0xfb);
	outb(0xa1, 0xfe);
	clear();
	cmos_write(11, (b & 7) | 0x40);
	bool came = wait_for(0x28, 1);
	later("8259A: the slave's vector, in service in both",
	      came && pic_read(0x20, 0x0b) == 4 && pic_read(0xa0, 0x0b) == 1);
	cmos_write(11, b);
	cmos(12);
	outb(0xa0, 0x20);
	outb(0x20, 0x20);
	later("8259A: two EOIs end it", pic_read(0x20, 0x0b) == 0 && pic_read(0xa0, 0x0b) == 0);
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
	outb(0x70, 0x0d);
}

static void pic(void)
{
	static struct table imr = {.name = "8259A: the mask register reads back"};

	keep_eoi = true;
	apic_write(LVT_LINT0, 7 << 8);
	pic_init(1);
	for (unsigned v = 0; v < 256; v++) {
		outb(0x21, v);
		outb(0xa1, ~v);
		if (table_case(&imr, inb(0x21) == v && inb(0xa1) == (u8)~v))
			note(v, inb(0x21));
	}
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
	table_line("", &imr);
	com1_line(false);
	clear();
	com1_line(true);
	later("8259A: a masked request stands in IRR", pic_read(0x20, 0x0a) & 0x10);
	open_briefly();
	later("8259A: and doesn't interrupt", !seen[0x24]);
	outb(0x21, 0xef);
	later("8259A: unmasked, ExtINT gives its vector", wait_for(0x24, 1));
	later("8259A: it is in service", (pic_read(0x20, 0x0b)) == (0x10));
	open_briefly();
	later("8259A: no more before the EOI", seen[0x24] == 1);
	com1_line(false);
	outb(0x20, 0x20);
	later("8259A: a non-specific EOI ends the service", (pic_read(0x20, 0x0b)) == (0));
	com1_line(true);
	wait_for(0x24, 2);
	outb(0x20, 0x63);
	bool other = pic_read(0x20, 0x0b) == 0x10;
	outb(0x20, 0x64);
	later("8259A: a specific EOI ends the level it names", other && pic_read(0x20, 0x0b) == 0);
	com1_line(false);
	/* Poll: acknowledges without INTA. */
	outb(0x21, 0xef);
	asm volatile("cli");
	com1_line(true);
	outb(0x20, 0x0c);
	later("8259A: poll gives the level and bit 7", (inb(0x20)) == (0x84));
	later("8259A: and puts it in service", (pic_read(0x20, 0x0b)) == (0x10));
	outb(0x20, 0x20);
	com1_line(false);
	/* Automatic EOI. */
	pic_init(3);
	outb(0x21, 0xef);
	clear();
	com1_line(true);
	wait_for(0x24, 1);
	later("8259A: automatic EOI leaves nothing in service", (pic_read(0x20, 0x0b)) == (0));
	com1_line(false);
	pic_order();
	pic_init(1);
	later("8259A: ICW1 clears the service register", (pic_read(0x20, 0x0b)) == (0));
	outb(0x21, 0xff);
	apic_write(LVT_LINT0, MASKED);
	keep_eoi = false;
	print_later();
}

/* --- 8254, counter 2: its gate is bit 0 of port 61h --- */

static u8 pit_status(unsigned counter)
{
	outb(0x43, 0xe0 | 2 << counter);
	return inb(0x40 + counter);
}

static void pit(void)
{
	static struct table status = {
	    .name = "8254: read-back status echoes access, mode and BCD, every counter 2 setting"};
	static struct table out = {.name = "8254: OUT after the control word: low in mode 0, else high"};

	outb(0x61, inb(0x61) & ~3);
	for (unsigned mode = 0; mode < 8; mode++)
		for (unsigned access = 1; access < 4; access++)
			for (unsigned bcd = 0; bcd < 2; bcd++) {
				u8 control = 2 << 6 | access << 4 | mode << 1 | bcd, s;
				unsigned real = mode > 5 ? mode - 4 : mode;

				outb(0x43, control);
				s = pit_status(2);
				/* Modes 6 and 7 are other names of 2 and 3; which is read back, is the chip's affair. */
				if (mode < 6 && table_case(&status, (s & 0x7f) == (0x40 | (control & 0x3f))))
					note(control, s);
				if (table_case(&out, s >> 7 == (real != 0)))
					note(control, s);
			}
	table_line("", &status);
	table_line("", &out);
	outb(0x43, 0xb0);
	outb(0x42, 0x34);
	outb(0x42, 0x12);
	outb(0x61, inb(0x61) | 1);
	outb(0x43, 0x80);
	u8 low = inb(0x42), high = inb(0x42);
	u16 first = low | high << 8;
	claim("8254: counts down from what was written", first <= 0x1234);
	outb(0x43, 0x80);
	for (unsigned n = 0; n < 20000; n++)
		asm volatile("nop");
	outb(0x43, 0x80); /* a second latch before the first is read is ignored */
	low = inb(0x42);
	high = inb(0x42);
	u16 latched = low | high << 8;
	outb(0x43, 0x80);
	low = inb(0x42);
	high = inb(0x42);
	claim("8254: a latched count stays until it is read", latched <= first && (u16)(low | high << 8) < latched);
	/* Mode 0: OUT rises when the count has run out; port 61h bit 5 shows it. */
	outb(0x43, 0xb0);
	outb(0x42, 200);
	outb(0x42, 0);
	bool was_low = !(inb(0x61) & 0x20);
	for (unsigned n = 0; n < 1000000 && !(inb(0x61) & 0x20); n++)
		;
	claim("8254: mode 0, OUT goes high at terminal count", was_low && (inb(0x61) & 0x20));
	/* The gate holds the count. */
	outb(0x61, inb(0x61) & ~1);
	outb(0x43, 0xb0);
	outb(0x42, 0xff);
	outb(0x42, 0xff);
	outb(0x43, 0x80);
	low = inb(0x42);
	high = inb(0x42);
	first = low | high << 8;
	for (unsigned n = 0; n < 20000; n++)
		asm volatile("nop");
	outb(0x43, 0x80);
	low = inb(0x42);
	high = inb(0x42);
	claim("8254: mode 0, a low gate stops counting", (u16)(low | high << 8) == first);
}

static u16 pit_count(void)
{
	u8 low, high;

	outb(0x43, 0x80);
	low = inb(0x42);
	high = inb(0x42);
	return low | high << 8;
}

static void pit_load(u8 control, u16 count)
{
	outb(0x43, control);
	outb(0x42, count);
	outb(0x42, count >> 8);
}

static bool out_becomes(bool high)
{
	for (unsigned n = 0; n < 2000000; n++)
		if (!!(inb(0x61) & 0x20) == high)
			return true;
	return false;
}

static void gate_2(bool high)
{
	outb(0x61, (inb(0x61) & ~3) | high);
}

static void pit_modes(void)
{
	gate_2(false);
	pit_load(0xb2, 3000);
	bool before = inb(0x61) & 0x20;
	gate_2(true);
	bool fell = out_becomes(false), rose = out_becomes(true);
	claim("8254: mode 1, low from the gate's edge for the count", before && fell && rose);
	gate_2(false);
	gate_2(true);
	claim("8254: mode 1, another edge starts it again", out_becomes(false) && out_becomes(true));
	pit_load(0xb6, 2000);
	bool square = true;
	for (unsigned n = 0; n < 6; n++)
		square = square && out_becomes(n & 1);
	claim("8254: mode 3, a square wave", square);
	gate_2(false);
	claim("8254: mode 3, a low gate sets OUT", out_becomes(true));
	gate_2(true);
	pit_load(0xb4, 6000);
	u16 first = pit_count();
	bool reloads = false;
	for (unsigned n = 0; n < 2000000 && !reloads; n++) {
		u16 now = pit_count();

		reloads = now > first;
		first = now;
	}
	claim("8254: mode 2, the count starts again by itself", reloads && first <= 6000);
	pit_load(0xb5, 0x9999);
	bool bcd = true;
	for (unsigned n = 0; n < 2000; n++) {
		u16 v = pit_count();

		for (unsigned digit = 0; digit < 16; digit += 4)
			bcd = bcd && (v >> digit & 15) < 10;
	}
	claim("8254: BCD counts have decimal digits", bcd);
	/* One byte at a time: the other is 0. */
	gate_2(false);
	outb(0x43, 0x90);
	outb(0x42, 0x55);
	outb(0x43, 0x80);
	claim_eq("8254: low byte access", inb(0x42), 0x55);
	outb(0x43, 0xa0);
	outb(0x42, 0x66);
	outb(0x43, 0x80);
	claim_eq("8254: high byte access", inb(0x42), 0x66);
	pit_load(0xb0, 0x1234);
	outb(0x43, 0xc8); /* read-back: count and status of counter 2 */
	u8 status = inb(0x42), low = inb(0x42), high = inb(0x42);
	claim("8254: read-back latches both, status comes first",
	      (status & 0x3f) == 0x30 && low == 0x34 && high == 0x12);
	gate_2(true);
	pit_load(0xb0, 5);
	out_becomes(true);
	bool below = false;
	for (unsigned n = 0; n < 20000 && !below; n++)
		below = pit_count() > 5;
	claim("8254: mode 0, counting goes on below 0", below);
}

/* --- MC146818 --- */

static void rtc(void)
{
	static struct table ram = {.name = "MC146818: battery-backed bytes keep what is written"};
	static struct table rates = {.name = "MC146818: periodic interrupt at rates 3 to 8"};
	u8 b = cmos(11), a = cmos(10);

	for (unsigned reg = 0x50; reg < 0x58; reg++) {
		u8 old = cmos(reg);

		for (unsigned bit = 0; bit < 8; bit++) {
			cmos_write(reg, 1 << bit);
			if (table_case(&ram, cmos(reg) == 1 << bit))
				note(reg, bit);
		}
		cmos_write(reg, old);
	}
	table_line("", &ram);
	claim("MC146818: register D says the time is valid", cmos(13) & 0x80);
	ioapic_write(0x11 + 2 * 8, apic(ID));
	ioapic_write(0x10 + 2 * 8, 0x72);
	for (unsigned rate = 3; rate < 9; rate++) {
		clear();
		cmos_write(11, b & 0x07);
		cmos_write(10, (a & 0xf0) | rate);
		cmos(12);
		cmos_write(11, (b & 0x07) | 0x40);
		bool came = wait_for(0x72, 1);
		u8 c = cmos(12), again = cmos(12);

		if (table_case(&rates, came && (c & 0xc0) == 0xc0 && !(again & 0x80)))
			note(rate, c);
	}
	table_line("", &rates);
	cmos_write(11, b & 0x07);
	cmos_write(10, a);
	cmos(12);
	ioapic_write(0x10 + 2 * 8, BIT(16));
	cmos_write(11, (b & 0x07) | 0x80);
	u8 sec = cmos(0);
	cmos_write(0, 0x12);
	claim("MC146818: SET holds the clock, seconds can be written", cmos(0) == 0x12 && !(cmos(10) & 0x80));
	cmos_write(0, sec);
	cmos_write(11, b);
	outb(0x70, 0x0d);
}

/* --- 16550 in loopback --- */

static void uart(void)
{
	static struct table modem = {.name = "16550: loopback, MCR's outputs at MSR's inputs"};
	static struct table data = {.name = "16550: loopback, every byte through the FIFO"};
	static struct table scratch = {.name = "16550: scratch and divisor registers"};
	u8 lcr = inb(COM1 + 3), mcr = inb(COM1 + 4);
	bool good;

	outb(COM1 + 1, 0);
	for (unsigned v = 0; v < 256; v++) {
		outb(COM1 + 7, v);
		outb(COM1 + 3, 0x83);
		u8 lo = inb(COM1), hi = inb(COM1 + 1);
		outb(COM1, v);
		outb(COM1 + 1, ~v);
		good = inb(COM1) == v && inb(COM1 + 1) == (u8)~v;
		outb(COM1, lo);
		outb(COM1 + 1, hi);
		outb(COM1 + 3, 3);
		if (table_case(&scratch, good && inb(COM1 + 7) == v))
			note(v, 0);
	}
	for (unsigned v = 0; v < 16; v++) {
		outb(COM1 + 4, 0x10 | v);
		u8 msr = inb(COM1 + 6) >> 4;
		u8 want = (v & 2 ? 1 : 0) | (v & 1 ? 2 : 0) | (v & 4) | (v & 8);

		if (table_case(&modem, msr == want))
			note(v, msr);
	}
	outb(COM1 + 4, 0x10);
	outb(COM1 + 2, 7);
	for (unsigned v = 0; v < 256; v++) {
		outb(COM1, v);
		for (unsigned n = 0; n < 200000 && !(inb(COM1 + 5) & 1); n++)
			;
		if (table_case(&data, (inb(COM1 + 5) & 1) && inb(COM1) == v && !(inb(COM1 + 5) & 1)))
			note(v, 0);
	}
	good = (inb(COM1 + 2) & 0xc0) == 0xc0;
	outb(COM1 + 2, 0);
	bool off = (inb(COM1 + 2) & 0xc0) == 0;
	outb(COM1 + 2, 7);
	outb(COM1 + 4, mcr);
	outb(COM1 + 3, lcr);
	inb(COM1 + 6);
	table_line("", &scratch);
	table_line("", &modem);
	table_line("", &data);
	claim("16550: IIR shows whether the FIFOs are on", good && off);
}

/* --- 8042 --- */

static bool kbd_wait(bool output)
{
	for (unsigned n = 0; n < 1000000; n++)
		if (output ? inb(0x64) & 1 : !(inb(0x64) & 2))
			return true;
	return false;
}

static int kbd_answer(u8 command)
{
	kbd_wait(false);
	outb(0x64, command);
	return kbd_wait(true) ? inb(0x60) : -1;
}

static void keyboard(void)
{
	static struct table cmd = {.name = "8042: the command byte's bits read back"};
	int old;

	while (inb(0x64) & 1)
		inb(0x60);
	claim_eq("8042: self test", kbd_answer(0xaa), 0x55);
	claim_eq("8042: interface test", kbd_answer(0xab), 0);
	old = kbd_answer(0x20);
	for (unsigned v = 0; v < 8; v++) {
		u8 byte = 0x30 | (v & 1 ? 0x04 : 0) | (v & 2 ? 0x40 : 0); /* both ports off, no interrupts */

		kbd_wait(false);
		outb(0x64, 0x60);
		kbd_wait(false);
		outb(0x60, byte);
		if (table_case(&cmd, kbd_answer(0x20) == byte))
			note(byte, v);
	}
	table_line("", &cmd);
	kbd_wait(false);
	outb(0x64, 0xd2);
	kbd_wait(false);
	outb(0x60, 0x5a);
	claim("8042: D2h puts a byte in the output buffer", kbd_wait(true) && !(inb(0x64) & 0x20) && inb(0x60) == 0x5a);
	claim("8042: the output port's reset line is high", kbd_answer(0xd0) & 1);
	kbd_wait(false);
	outb(0x64, 0x60);
	kbd_wait(false);
	outb(0x60, old);
}

void kmain(void)
{
	chip_init();
	pic();
	pit();
	pit_modes();
	rtc();
	uart();
	keyboard();
}
