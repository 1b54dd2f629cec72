/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The two 8259As (8259A data sheet) and the edge/level control register (82371AB data sheet 4.2.5), by lines that the
 * guest can move: IRQ 0 by counter 0, IRQ 1 by the 8042's output buffer, IRQ 4 by COM1, IRQ 8 by the clock chip, IRQ 9 by
 * the PM timer. */
#include "tests/guest/lib/chip.h"

static u16 pm;

static void icws(u8 icw4, u8 base)
{
	outb(0x20, 0x11);
	outb(0x21, base);
	outb(0x21, 4);
	outb(0x21, icw4);
	outb(0xa0, 0x11);
	outb(0xa1, 0x28);
	outb(0xa1, 2);
	outb(0xa1, 1);
}

static void pic_init(u8 icw4)
{
	icws(icw4, 0x20);
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
}

static u8 pic_read(u16 port, u8 ocw3)
{
	outb(port, ocw3);
	return inb(port);
}
#define IRR_OF(port) pic_read(port, 0x0a)
#define ISR_OF(port) pic_read(port, 0x0b)

static void cmos_write(u8 reg, u8 v)
{
	outb(0x70, reg);
	outb(0x71, v);
}

static u8 cmos(u8 reg)
{
	outb(0x70, reg);
	return inb(0x71);
}

static void pauses(void)
{
	for (unsigned n = 0; n < 20000; n++)
		asm volatile("pause");
}

static void kbd_wait(void)
{
	for (unsigned n = 0; n < 100000 && (inb(0x64) & 2); n++)
		;
}

/* Drives the line of @irq. A rise is there when this returns, in IRR or behind the mask. */
static void line(unsigned irq, bool high)
{
	switch (irq) {
	case 0: /* mode 0: low while it counts */
		outb(0x43, 0x30);
		outb(0x40, high ? 2 : 0xff);
		outb(0x40, high ? 0 : 0xff);
		break;
	case 1:
		kbd_wait();
		if (high) {
			outb(0x64, 0xd2);
			kbd_wait();
			outb(0x60, 0x5a);
		} else {
			inb(0x60);
		}
		break;
	case 4:
		outb(COM1 + 4, 0x0b);
		outb(COM1 + 1, high ? 2 : 0);
		if (!high)
			inb(COM1 + 2);
		break;
	case 8:
		cmos_write(11, high ? 0x42 : 0x02);
		for (unsigned n = 0; high && n < 100000 && !(IRR_OF(0xa0) & 1); n++)
			;
		if (!high)
			cmos(12);
		break;
	case 9: /* the timer's status bit stands; its enable bit is the line */
		outw(pm + 2, high);
		break;
	}
	pauses();
}

static void open_only(u16 irqs)
{
	outb(0x21, ~(irqs & 0xff) & (irqs >> 8 ? 0xfb : 0xff));
	outb(0xa1, ~(irqs >> 8));
}

/* The first vector that comes now, or 0. */
static unsigned take(void)
{
	clear();
	open_briefly();
	return nr_order ? order[0] : 0;
}

static unsigned vector_of(unsigned irq)
{
	return 0x20 + irq;
}

static void eoi(unsigned irq)
{
	if (irq >= 8)
		outb(0xa0, 0x60 | (irq & 7));
	outb(0x20, 0x60 | (irq < 8 ? irq : 2));
}

static const u8 by_priority[] = {0, 1, 8, 4};

static void start(u8 icw4)
{
	for (unsigned n = 0; n < ARRAY_SIZE(by_priority); n++)
		line(by_priority[n], false);
	pic_init(icw4);
	outb(0x20, 0x48); /* an emulator's initialisation may leave special mask mode on */
	outb(0xa0, 0x48);
}

/* --- initialisation --- */

static void initialise(void)
{
	static struct table bases = {.name = "8259A: ICW2 is the vectors' upper five bits"};

	for (unsigned base = 0x20; base < 0x100; base += 8) {
		if (base == VEC_DONE)
			continue;
		line(4, false);
		icws(1, base | 5);
		outb(0xa1, 0xff);
		outb(0x21, 0xef);
		line(4, true);
		quiet_case(&bases, take() == (base | 4));
	}
	start(1);
	outb(0x21, 0x5a);
	icws(1, 0x20);
	later("8259A: initialisation opens every input", inb(0x21) == 0 && inb(0xa1) == 0);
	start(1);
	outb(0x20, 0x68);
	pic_init(1);
	open_only(BIT(0) | BIT(4));
	line(0, true);
	bool in_service = take() == 0x20;
	open_only(BIT(4));
	line(4, true);
	later("8259A: and ends special mask mode", in_service && take() == 0);
	start(1);
	line(4, true);
	outb(0x20, 0x0b); /* reads of the even port give ISR */
	bool before = inb(0x20) == 0;
	line(4, false);
	pic_init(1);
	line(4, true);
	later("8259A: and selects IRR for reading", before && (inb(0x20) & 0x10));
	start(1);
	line(4, true);
	pic_init(1);
	open_only(BIT(4));
	bool none = take() == 0;
	line(4, false);
	line(4, true);
	later("8259A: a line that is high then needs another edge", none && take() == 0x24);
	start(1);
	open_only(BIT(0) | BIT(4));
	outb(0x20, 0xc3); /* IRQ 4 highest */
	start(1);
	open_only(BIT(0) | BIT(4));
	line(0, true);
	line(4, true);
	later("8259A: priorities are IRQ 0 to 7 then", take() == 0x20);
	start(1);
	outb(0x20, 0x0b);
	bool same = true;
	line(4, true);
	open_only(BIT(4));
	take();
	for (unsigned n = 0; n < 4; n++)
		same = same && inb(0x20) == 0x10;
	outb(0x20, 0x08); /* OCW3 without RR */
	same = same && inb(0x20) == 0x10;
	outb(0x20, 0x0a);
	line(4, false);
	line(4, true);
	later("8259A: ISR or IRR stays selected until OCW3 says otherwise", same && (inb(0x20) & 0x10));
	start(1);
	table_line("", &bases);
}

/* --- order --- */

static void nesting(void)
{
	static struct table t = {.name = "8259A: fully nested: what may interrupt what's in service, four inputs"};
	static struct table ends = {.name = "8259A: a non-specific EOI ends the highest in service"};

	for (unsigned a = 0; a < ARRAY_SIZE(by_priority); a++)
		for (unsigned b = 0; b < ARRAY_SIZE(by_priority); b++) {
			unsigned first = by_priority[a], second = by_priority[b];

			if (a == b)
				continue;
			start(1);
			open_only(1 << first | 1 << second);
			line(first, true);
			bool good = take() == vector_of(first);
			line(second, true);
			unsigned v = take();
			if (b < a) {
				good = good && v == vector_of(second);
				/* both in service */
				if (first < 8 && second < 8) {
					u8 both = ISR_OF(0x20);
					outb(0x20, 0x20);
					u8 one = ISR_OF(0x20);
					outb(0x20, 0x20);
					quiet_case(&ends, both == (1 << first | 1 << second) && one == 1 << first &&
							      ISR_OF(0x20) == 0);
				}
			} else {
				good = good && v == 0;
				eoi(first);
				good = good && take() == vector_of(second);
			}
			quiet_case(&t, good);
		}
	start(1);
	table_line("", &t);
	table_line("", &ends);
}

/* Which of two inputs comes first when @lowest has the lowest priority. */
static unsigned winner(unsigned lowest, unsigned a, unsigned b)
{
	return ((a - lowest - 1) & 7) < ((b - lowest - 1) & 7) ? a : b;
}

static const u8 pairs[][2] = {{0, 1}, {0, 4}, {1, 4}};

static void rotation(void)
{
	static struct table set = {.name = "8259A: set priority: every input as the lowest, pairs of requests"};
	static struct table spec = {.name = "8259A: rotate on specific EOI: likewise"};
	static struct table plain = {.name = "8259A: rotate on non-specific EOI: what was ended becomes the lowest"};
	static struct table none = {.name = "8259A: EOI and rotation with nothing in service change nothing"};

	for (unsigned lowest = 0; lowest < 8; lowest++)
		for (unsigned n = 0; n < ARRAY_SIZE(pairs); n++)
			for (unsigned by_eoi = 0; by_eoi < 2; by_eoi++) {
				unsigned a = pairs[n][0], b = pairs[n][1];

				start(1);
				outb(0x20, (by_eoi ? 0xe0 : 0xc0) | lowest);
				line(a, true);
				line(b, true);
				open_only(1 << a | 1 << b);
				quiet_case(by_eoi ? &spec : &set, take() == vector_of(winner(lowest, a, b)));
			}
	for (unsigned n = 0; n < ARRAY_SIZE(pairs); n++)
		for (unsigned k = 0; k < 2; k++) {
			unsigned first = pairs[n][k], other = pairs[n][!k];

			start(1);
			open_only(1 << first | 1 << other);
			line(first, true);
			bool good = take() == vector_of(first);
			outb(0x20, 0xa0);
			line(first, false);
			open_only(0);
			line(first, true);
			line(other, true);
			open_only(1 << first | 1 << other);
			quiet_case(&plain, good && take() == vector_of(other));
		}
	for (unsigned n = 0; n < ARRAY_SIZE(pairs); n++) {
		start(1);
		outb(0x20, 0x20);
		outb(0x20, 0xa0);
		outb(0x20, 0x66);
		line(pairs[n][1], true);
		line(pairs[n][0], true);
		open_only(1 << pairs[n][0] | 1 << pairs[n][1]);
		quiet_case(&none, take() == vector_of(pairs[n][0]));
	}
	/* Rotation of automatic EOI. */
	for (unsigned rotate = 0; rotate < 2; rotate++) {
		start(3);
		outb(0x20, rotate ? 0x80 : 0x00);
		open_only(BIT(0));
		line(0, true);
		bool good = take() == 0x20 && ISR_OF(0x20) == 0;
		line(0, false);
		open_only(0);
		line(0, true);
		line(4, true);
		open_only(BIT(0) | BIT(4));
		unsigned first = take();
		later(rotate ? "8259A: rotate in automatic EOI: what came becomes the lowest"
			     : "8259A: automatic EOI without rotation keeps the order",
		      good && first == (rotate ? 0x24 : 0x20));
		outb(0x20, 0);
	}
	start(1);
	table_line("", &set);
	table_line("", &spec);
	table_line("", &plain);
	table_line("", &none);
}

static void special_mask(void)
{
	static struct table t = {.name = "8259A: special mask mode: a masked level in service holds nothing back, "
					 "one that isn't masked does"};

	for (unsigned n = 0; n < ARRAY_SIZE(pairs); n++)
		for (unsigned how = 0; how < 4;
		     how++) { /* bit 0: special mask mode, bit 1: the one in service masked */
			unsigned a = pairs[n][0], b = pairs[n][1];

			start(1);
			open_only(1 << a);
			line(a, true);
			bool good = take() == vector_of(a);
			outb(0x20, how & 1 ? 0x68 : 0x48);
			open_only(how & 2 ? 1 << b : 1 << a | 1 << b);
			line(b, true);
			quiet_case(&t, good && take() == (how == 3 ? vector_of(b) : 0));
			outb(0x20, 0x48);
		}
	start(1);
	open_only(BIT(0));
	line(0, true);
	take();
	outb(0x20, 0x68);
	open_only(BIT(4));
	line(4, true);
	take();
	outb(0x20, 0x20);
	u8 left = ISR_OF(0x20);
	later("8259A: special mask mode: a non-specific EOI leaves what is masked", left == 1);
	outb(0x20, 0x60);
	later("8259A: special mask mode: a specific EOI ends it", !(ISR_OF(0x20) & 1));
	outb(0x20, 0x48);
	start(1);
	table_line("", &t);
}

static void polling(void)
{
	start(1);
	outb(0x20, 0x0c);
	later("8259A: poll with nothing there: bit 7 is clear", !(inb(0x20) & 0x80));
	later("8259A: and the next read is of IRR again", inb(0x20) == IRR_OF(0x20));
	open_only(BIT(0) | BIT(4));
	line(4, true);
	line(0, true);
	outb(0x20, 0x0c);
	bool first = inb(0x20) == 0x80;
	outb(0x20, 0x0c);
	bool held = !(inb(0x20) & 0x80);
	outb(0x20, 0x60);
	outb(0x20, 0x0c);
	later("8259A: polls give the highest first, the next after its EOI", first && held && inb(0x20) == 0x84);
	later("8259A: what was polled doesn't interrupt", take() == 0);
	start(1);
	open_only(BIT(8));
	line(8, true);
	outb(0x20, 0x0c);
	bool cascade = inb(0x20) == 0x82;
	outb(0xa0, 0x0c);
	later("8259A: the master's poll gives the cascade, the slave's the request",
	      cascade && inb(0xa0) == 0x80 && ISR_OF(0x20) == 4 && ISR_OF(0xa0) == 1);
	start(1);
}

/* --- edges and levels --- */

static void edges_and_levels(void)
{
	static struct table elcr = {.name = "ELCR: IRQ 0, 1, 2, 8 and 13 stay edge-triggered, the others can be set"};
	u8 old0 = inb(0x4d0), old1 = inb(0x4d1);

	for (unsigned bit = 0; bit < 8; bit++) {
		outb(0x4d0, 1 << bit);
		outb(0x4d1, 1 << bit);
		quiet_case(&elcr, inb(0x4d0) == (1 << bit & 0xf8));
		quiet_case(&elcr, inb(0x4d1) == (1 << bit & 0xde));
	}
	outb(0x4d0, old0 & ~0x10);
	outb(0x4d1, old1 | 2);
	start(1);
	open_only(BIT(4));
	line(4, true);
	bool came = take() == 0x24;
	later("edge: the acknowledge clears IRR, though the line is high", came && !(IRR_OF(0x20) & 0x10));
	eoi(4);
	later("edge: a line that stays high interrupts once", take() == 0);
	line(4, false);
	later("edge: its fall doesn't", take() == 0);
	line(4, true);
	later("edge: its next rise does", take() == 0x24);
	eoi(4);
	/* While in service: an edge waits for the EOI. */
	line(4, false);
	line(4, true);
	take();
	line(4, false);
	line(4, true);
	bool waits = take() == 0 && (IRR_OF(0x20) & 0x10);
	eoi(4);
	later("edge: one while in service waits for the EOI", waits && take() == 0x24);

	start(1);
	outb(0x4d0, old0 | 0x10);
	open_only(BIT(4));
	line(4, true);
	came = take() == 0x24;
	later("level: IRR shows the line, in service too", came && (IRR_OF(0x20) & 0x10));
	later("level: no more before the EOI", take() == 0);
	eoi(4);
	later("level: the line still high, it comes again after the EOI", take() == 0x24);
	line(4, false);
	bool gone = !(IRR_OF(0x20) & 0x10);
	eoi(4);
	later("level: the line low, no more", gone && take() == 0);
	line(4, true);
	bool there = IRR_OF(0x20) & 0x10;
	line(4, false);
	later("level: a request withdrawn before it is taken leaves IRR", there && !(IRR_OF(0x20) & 0x10));
	later("level: and doesn't come under its own vector", take() != 0x24);
	/* A level that stands when the controller is initialised needs no edge. */
	line(4, true);
	pic_init(1);
	open_only(BIT(4));
	later("level: one that stands at initialisation is seen", take() == 0x24);
	start(1);
	/* From edge to level and back with the line high. */
	outb(0x4d0, old0 & ~0x10);
	open_only(BIT(4));
	line(4, true);
	take();
	eoi(4);
	outb(0x4d0, old0 | 0x10);
	later("ELCR: set while the line is high: it requests", take() == 0x24);
	outb(0x4d0, old0 & ~0x10);
	line(4, false);
	eoi(4);
	take();
	start(1);
	outb(0x4d0, old0);
	outb(0x4d1, old1);
	table_line("", &elcr);
}

/* --- the slave --- */

static void slave(void)
{
	bool good;

	/* The local APIC's timer wants its EOI, ExtINT wants none. */
	for (unsigned n = 0; n < 2 && !(inw(pm) & 1) && !(inw(pm) & 1); n++)
		sleep_for(pm, 0xff, 1, 0x880000);
	keep_eoi = true;
	apic_write(LVT_LINT0, 7 << 8);
	later("PM1 status has the timer's bit, for IRQ 9", inw(pm) & 1);
	outb(0x4d1, inb(0x4d1) | 2);
	start(1);
	open_only(BIT(9) | BIT(8));
	line(9, true);
	good = take() == 0x29 && ISR_OF(0xa0) == 2 && ISR_OF(0x20) == 4;
	later("slave: IRQ 9, level-triggered, in service in both", good);
	outb(0xa0, 0x20);
	later("slave: after its EOI alone the master holds it back", take() == 0);
	outb(0x20, 0x20);
	later("slave: after the master's too it comes again", take() == 0x29);
	line(8, true);
	later("slave: a higher one waits for the EOI, the master knows one level only", take() == 0);
	eoi(9);
	later("slave: then it comes first", take() == 0x28);
	line(9, false);
	eoi(8);

	start(0x11);
	open_only(BIT(9) | BIT(8) | BIT(4));
	line(9, true);
	good = take() == 0x29;
	line(8, true);
	later("special fully nested mode: the slave's higher one interrupts its lower", good && take() == 0x28);
	later("special fully nested mode: the master is told once", ISR_OF(0x20) == 4 && ISR_OF(0xa0) == 3);
	line(4, true);
	later("special fully nested mode: what is below the cascade waits", take() == 0);
	line(9, false);
	start(1);
	/* Priorities of the slave's own. */
	outb(0xa0, 0xc0); /* IRQ 8 lowest */
	line(8, true);
	line(9, true);
	open_only(BIT(8) | BIT(9));
	later("slave: its own set priority", take() == 0x29);
	line(9, false);
	start(1);
	/* A slave's request that the master masks. */
	open_only(BIT(8));
	outb(0x21, 0xff);
	line(8, true);
	good = take() == 0 && (IRR_OF(0x20) & 4) && (IRR_OF(0xa0) & 1);
	outb(0x21, 0xfb);
	later("slave: the cascade masked holds it in both IRRs, then it comes", good && take() == 0x28);
	start(1);
	outb(0xa1, 0xff);
	line(8, true);
	good = !(IRR_OF(0x20) & 4);
	later("slave: masked there, the master sees nothing", good);
	outw(pm, 1);
	start(1);
	apic_write(LVT_LINT0, MASKED);
	keep_eoi = false;
}

void kmain(void)
{
	chip_init();
	pm = pm_base();
	outw(pm, 1);
	cmos_write(10, 0x23); /* periodic: 122 us */
	while (inb(0x64) & 1)
		inb(0x60);
	outb(0x64, 0x60);
	kbd_wait();
	outb(0x60, 0x61); /* IRQ 1 on */
	apic_write(LVT_LINT0, 7 << 8);
	pic_init(1);
	keep_eoi = true;
	initialise();
	nesting();
	rotation();
	special_mask();
	polling();
	edges_and_levels();
	keep_eoi = false;
	apic_write(LVT_LINT0, MASKED);
	print_later();
	slave();
	print_later();
}
