/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 8254 (8254 data sheet), by counter 2, whose gate is bit 0 and whose output bit 5 of port 61h. Counter 0 in mode 2 is
 * the clock that it is compared with: one read-back command latches both, so what is compared happened at one tick. */
#include "tests/guest/lib/chip.h"

/* What else may pass between two accesses of an emulator that computes counts from its host's clock. */
#define SLACK 150

static void gate(bool high)
{
	outb(0x61, (inb(0x61) & ~3) | high);
}

static bool out2(void)
{
	return inb(0x61) & 0x20;
}

static void load(u8 control, u16 count)
{
	outb(0x43, control);
	outb(0x42, count);
	outb(0x42, count >> 8);
}

#define CONTROL(mode) (0xb0 | (mode) << 1)

static u16 word_of(u16 port)
{
	u8 low = inb(port), high = inb(port);

	return low | high << 8;
}

static u16 count2(void)
{
	outb(0x43, 0x80);
	return word_of(0x42);
}

static u8 status2(void)
{
	outb(0x43, 0xe8);
	return inb(0x42);
}

struct both {
	u16 reference, count;
	u8 status;
};

/* Counters 0 and 2 and counter 2's status at one tick. */
static struct both look(void)
{
	struct both b;

	outb(0x43, 0xca);
	inb(0x40); /* counter 0's status */
	b.reference = word_of(0x40);
	b.status = inb(0x42);
	b.count = word_of(0x42);
	return b;
}

/* Ticks of the reference from @a to @b, less than 65536. */
static u16 ticks(struct both a, struct both b)
{
	return a.reference - b.reference;
}

/* Reads counter 0 alone. */
static u16 reference(void)
{
	outb(0x43, 0);
	return word_of(0x40);
}

static void wait_ticks(unsigned n)
{
	u16 from = reference();

	while ((u16)(from - reference()) < n)
		;
}

/* Nothing latched, no byte half read: where a claim before may have left an emulator so. */
static void fresh(u8 control, u16 count)
{
	for (unsigned n = 0; n < 4; n++)
		inb(0x42);
	load(control, count);
	wait_ticks(5);
}

static bool near(s64 a, s64 b)
{
	return a - b <= SLACK && b - a <= SLACK;
}

static void show(struct both a, struct both b)
{
	put_value("ticks", ticks(a, b));
	put_value("from", a.count);
	put_value("to", b.count);
	put_value("status", b.status);
	put_char('\n');
}

/* Until OUT is @high; false: it took longer than @most ticks (below 60000). *@at: then. */
static bool out_becomes(bool high, unsigned most, struct both *at)
{
	struct both from = look();

	do
		*at = look();
	while (!!(at->status & 0x80) != high && ticks(from, *at) < most);
	return !!(at->status & 0x80) == high;
}

/* --- counting --- */

static void rates(void)
{
	static struct table t = {.name = "8254: a tick of the clock is one count, in mode 3 two"};
	static struct table bcd = {.name = "8254: BCD: the same in decimal digits, 0 is 10000"};
	static struct table held = {.name = "8254: a low gate holds the count, in modes 0, 2, 3 and 4"};
	static struct table going = {.name = "8254: modes 0, 1, 4 and 5 count on below 0"};

	for (unsigned mode = 0; mode < 6; mode++) {
		unsigned per_tick = mode == 3 ? 2 : 1;

		gate(false);
		load(CONTROL(mode), 0xf000);
		gate(true);
		wait_ticks(20);
		struct both a = look();
		wait_ticks(4000);
		struct both b = look();
		if (table_case(&t, near((u16)(a.count - b.count), (ticks(a, b) * per_tick))))
			show(a, b);
		if (mode == 1 || mode == 5)
			continue;
		gate(false);
		wait_ticks(5);
		a = look();
		wait_ticks(1000);
		b = look();
		if (table_case(&held, a.count == b.count))
			show(a, b);
	}
	for (unsigned mode = 0; mode < 6; mode++) {
		static const u16 counts[] = {0x9000, 0x0000};

		if (mode == 3)
			continue;
		for (unsigned n = 0; n < ARRAY_SIZE(counts); n++) {
			gate(false);
			load(CONTROL(mode) | 1, counts[n]);
			gate(true);
			wait_ticks(20);
			struct both a = look();
			wait_ticks(3333);
			struct both b = look();
			unsigned from = 0, to = 0;
			for (int digit = 12; digit >= 0; digit -= 4) {
				from = from * 10 + (a.count >> digit & 15);
				to = to * 10 + (b.count >> digit & 15);
			}
			if (table_case(&bcd, near((from + 10000 - to) % 10000, ticks(a, b)) && from > 8000))
				show(a, b);
		}
	}
	for (unsigned mode = 0; mode < 6; mode++) {
		if (mode == 2 || mode == 3)
			continue;
		gate(false);
		load(CONTROL(mode), 1000);
		gate(true);
		wait_ticks(20);
		struct both a = look();
		wait_ticks(3000);
		struct both b = look();
		if (table_case(&going, near((u16)(a.count - b.count), ticks(a, b)) && b.count > 0x8000))
			show(a, b);
	}
	table_line("", &t);
	table_line("", &held);
	table_line("", &bcd);
	table_line("", &going);
}

/* --- outputs --- */

static void mode_0(void)
{
	static const u16 counts[] = {1, 2, 100, 5000, 50000};
	static struct table t = {.name = "8254: mode 0: OUT is low for the count and one tick, then high"};
	struct both a, b;

	gate(true);
	for (unsigned n = 0; n < ARRAY_SIZE(counts); n++) {
		load(CONTROL(0), counts[n]);
		a = look();
		bool was = a.status >> 7, rose = out_becomes(true, 58000, &b);
		/* What is left of it when it's first looked at is the count itself. */
		bool good = counts[n] <= SLACK ? rose : !was && rose && near(ticks(a, b), a.count);
		if (table_case(&t, good))
			show(a, b);
	}
	table_line("", &t);
	load(CONTROL(0), 0);
	wait_ticks(20);
	a = look();
	bool low = !(a.status & 0x80);
	for (unsigned n = 0; n < 6; n++) {
		wait_ticks(10000);
		b = look();
		low = low && !(b.status & 0x80) && b.count < a.count;
	}
	claim("8254: mode 0: a count of 0 is 65536",
	      low && out_becomes(true, 20000, &b) && (u16)(b.count - 1) > 0x8000);
	wait_ticks(2000);
	claim("8254: mode 0: OUT stays high", out2());
	outb(0x42, 0xff);
	claim("8254: mode 0: the first byte of a count sets OUT low", !out2());
	a = look();
	wait_ticks(1000);
	b = look();
	claim("8254: mode 0: and stops it", a.count == b.count && !(b.status & 0x80));
	outb(0x42, 3);
	wait_ticks(20);
	claim("8254: mode 0: the second starts it", near(count2(), 0x3ff));
	gate(false);
	load(CONTROL(0), 300);
	wait_ticks(1000);
	claim("8254: mode 0: a low gate doesn't touch OUT", !out2());
	gate(true);
	claim("8254: mode 0: and the count goes on when it is high", out_becomes(true, 3000, &b));
	gate(false);
	claim("8254: mode 0: nor when it has come to its end", out2());
	gate(true);
}

static void mode_1(void)
{
	struct both a, b;

	gate(false);
	load(CONTROL(1), 20000);
	wait_ticks(100);
	a = look();
	claim("8254: mode 1: nothing before the trigger: OUT high, null count", (a.status & 0xc0) == 0xc0);
	gate(true);
	wait_ticks(10);
	a = look();
	claim("8254: mode 1: then OUT is low and the count loaded", (a.status & 0xc0) == 0 && near(a.count, 20000));
	gate(false);
	wait_ticks(1000);
	b = look();
	claim("8254: mode 1: the gate's fall does nothing", !(b.status & 0x80) && near(a.count - b.count, ticks(a, b)));
	outb(0x42, 1000 & 255);
	outb(0x42, 1000 >> 8);
	b = look();
	wait_ticks(1200);
	claim("8254: mode 1: a new count waits for the next trigger: null count",
	      (b.status & 0x40) && !(look().status & 0x80));
	gate(true);
	wait_ticks(10);
	a = look();
	claim("8254: mode 1: which loads it", near(a.count, 1000) && !(a.status & 0x40));
	claim("8254: mode 1: OUT rises when it has run out", out_becomes(true, 3000, &b) && near(ticks(a, b), a.count));
	/* Triggered again while it is low: the pulse is extended. */
	gate(false);
	load(CONTROL(1), 4000);
	gate(true);
	wait_ticks(3000);
	gate(false);
	gate(true);
	wait_ticks(10);
	a = look();
	claim("8254: mode 1: triggered again, it begins anew",
	      near(a.count, 4000) && out_becomes(true, 9000, &b) && near(ticks(a, b), a.count));
}

static void mode_2(void)
{
	struct both a, b;

	gate(false);
	load(CONTROL(2), 3000);
	wait_ticks(100);
	a = look();
	claim("8254: mode 2: a low gate: the count is loaded and OUT high",
	      a.count == 3000 && (a.status & 0xc0) == 0x80);
	gate(true);
	wait_ticks(10);
	a = look();
	wait_ticks(3000 * 3 + 1000);
	b = look();
	claim("8254: mode 2: divides by the count",
	      near((a.count + 30000 - ticks(a, b) + 2999) % 3000, (b.count + 2999) % 3000));
	outb(0x42, 8000 & 255);
	outb(0x42, 8000 >> 8);
	a = look();
	bool null = a.status & 0x40;
	wait_ticks(a.count + 300);
	b = look();
	claim("8254: mode 2: a new count is taken at the end of the period",
	      null && a.count < 3000 && b.count > 7000 && !(b.status & 0x40));
	gate(false);
	a = look();
	claim("8254: mode 2: a low gate sets OUT", a.status & 0x80);
	gate(true);
	wait_ticks(10);
	claim("8254: mode 2: its rise loads the count", near(count2(), 8000));
	bool low = false;
	load(CONTROL(2), 2);
	for (unsigned n = 0; n < 100000 && !low; n++)
		low = !out2();
	claim("8254: mode 2: OUT is low for a tick in each period", low);
}

static void mode_3(void)
{
	static const u16 counts[] = {4, 5, 3000, 3001, 20000, 20001};
	static struct table t = {.name =
				     "8254: mode 3: OUT is high for half of the count, odd ones one more, then low"};
	struct both a, b, c;

	for (unsigned n = 0; n < ARRAY_SIZE(counts); n++) {
		bool good = true;

		gate(false);
		load(CONTROL(3), counts[n]);
		gate(true);
		a = look();
		for (unsigned half = 0; half < 4 && good; half++) {
			good = out_becomes(half & 1, 30000, &b);
			if (half)
				good = good && near(ticks(c, b), counts[n] / 2);
			c = b;
		}
		if (table_case(&t, good))
			show(a, b);
	}
	table_line("", &t);
	gate(false);
	wait_ticks(10);
	claim("8254: mode 3: a low gate sets OUT", out2());
	load(CONTROL(3), 20000);
	gate(true);
	wait_ticks(2000);
	outb(0x42, 4000 & 255);
	outb(0x42, 4000 >> 8);
	out_becomes(false, 30000, &a);
	out_becomes(true, 30000, &b);
	claim("8254: mode 3: a new count is taken at the end of the half period", near(ticks(a, b), 2000));
	bool even = true;
	load(CONTROL(3), 5000);
	for (unsigned n = 0; n < 500; n++)
		even = even && !(count2() & 1);
	claim("8254: mode 3: counts are even", even);
}

/* The strobe is one tick long: looked for again and again. @start: what begins the count. */
static bool strobe(void (*start)(void), struct both *from, struct both *at)
{
	for (unsigned attempt = 0; attempt < 20; attempt++) {
		start();
		*from = look();
		for (unsigned n = 0; n < 100000; n++)
			if (!out2()) {
				*at = look();
				return true;
			} else if (!(n & 63) && ticks(*from, look()) > 2000) {
				break;
			}
	}
	return false;
}

static void start_4(void)
{
	load(CONTROL(4), 1000);
}

static void start_5(void)
{
	gate(false);
	load(CONTROL(5), 1000);
	gate(true);
}

static void modes_4_and_5(void)
{
	struct both a, b;

	gate(true);
	claim("8254: mode 4: a strobe of one tick when the count has run out",
	      strobe(start_4, &a, &b) && near(ticks(a, b), a.count) && a.count > 500);
	bool high = true;
	for (unsigned n = 0; n < 5000; n++)
		high = high && out2();
	claim("8254: mode 4: once", high);
	load(CONTROL(4), 20000);
	wait_ticks(500);
	outb(0x42, 0x10);
	a = look();
	wait_ticks(500);
	b = look();
	claim("8254: mode 4: the first byte of a new count lets the old one go on",
	      near(a.count - b.count, ticks(a, b)));
	outb(0x42, 0x20);
	wait_ticks(10);
	claim("8254: mode 4: the second loads it", near(count2(), 0x2010));
	gate(false);
	a = look();
	wait_ticks(500);
	b = look();
	claim("8254: mode 4: a low gate holds it and leaves OUT high", a.count == b.count && (b.status & 0x80));
	gate(true);
	wait_ticks(500);
	claim("8254: mode 4: the gate's rise doesn't load it", near(count2(), a.count - 500));

	claim("8254: mode 5: a strobe when the count has run out",
	      strobe(start_5, &a, &b) && near(ticks(a, b), a.count) && a.count > 500);
	gate(false);
	load(CONTROL(5), 20000);
	wait_ticks(100);
	a = look();
	claim("8254: mode 5: nothing before the trigger: OUT high, null count", (a.status & 0xc0) == 0xc0);
	gate(true);
	wait_ticks(10);
	a = look();
	claim("8254: mode 5: which loads the count and leaves OUT high",
	      (a.status & 0xc0) == 0x80 && near(a.count, 20000));
	gate(false);
	wait_ticks(1000);
	b = look();
	claim("8254: mode 5: the gate's fall does nothing", near(a.count - b.count, ticks(a, b)));
	outb(0x42, 0);
	outb(0x42, 0x80);
	b = look();
	claim("8254: mode 5: a new count waits for the next trigger", near(a.count - b.count, ticks(a, b)));
	gate(true);
	wait_ticks(10);
	claim("8254: mode 5: which loads it", near(count2(), 0x8000));
}

/* --- programming --- */

static void programming(void)
{
	static struct table null = {.name = "8254: null count: set by control word and count, clear when it is loaded"};
	static struct table start = {.name = "8254: OUT after control word and count, by mode"};

	for (unsigned mode = 0; mode < 6; mode++) {
		bool triggered = mode == 1 || mode == 5;

		gate(false);
		outb(0x43, CONTROL(mode));
		u8 after_control = status2();
		outb(0x42, 0);
		u8 half = status2();
		outb(0x42, 0x40);
		wait_ticks(10);
		u8 loaded = status2();
		gate(true);
		wait_ticks(10);
		u8 running = status2();
		if (table_case(&null, (after_control & 0x40) && (half & 0x40) && !(loaded & 0x40) == !triggered &&
					  !(running & 0x40))) {
			put_value("mode", mode);
			put_value("loaded", loaded);
			put_value("running", running);
			put_char('\n');
		}
		if (table_case(&start, after_control >> 7 == (mode != 0) && loaded >> 7 == (mode != 0) &&
					   running >> 7 == (mode != 0 && mode != 1))) {
			put_value("mode", mode);
			put_value("running", running);
			put_char('\n');
		}
	}
	table_line("", &null);
	table_line("", &start);

	gate(false);
	fresh(CONTROL(0), 0x1234);
	outb(0x43, 0x80);
	load(CONTROL(0), 0x5678);
	wait_ticks(5);
	claim("8254: a control word drops a latched count", word_of(0x42) == 0x5678);
	fresh(CONTROL(0), 0x5678);
	u8 low = inb(0x42);
	word_of(0x40);
	u8 high = inb(0x42);
	claim("8254: two bytes of one counter, another's between them", low == 0x78 && high == 0x56);
	fresh(CONTROL(0), 0x5678);
	low = inb(0x42);
	outb(0x42, 0xcd);
	high = inb(0x42);
	outb(0x42, 0xab);
	wait_ticks(5);
	claim("8254: reading and writing by turns", low == 0x78 && count2() == 0xabcd);
	fresh(CONTROL(0), 0xabcd);
	outb(0x43, 0xda);
	u16 two = word_of(0x42);
	word_of(0x40);
	claim("8254: read-back of two counts: both latched", two == 0xabcd);
	fresh(CONTROL(0), 0xabcd);
	outb(0x43, 0xc8);
	outb(0x43, 0xe8);
	u8 s = inb(0x42);
	claim("8254: a second read-back of the status is ignored", (s & 0x3f) == 0x30 && word_of(0x42) == 0xabcd);
	gate(true);
	fresh(CONTROL(2), 60000);
	outb(0x43, 0x80);
	wait_ticks(500);
	outb(0x43, 0xd8);
	u16 old = word_of(0x42), now = count2();
	claim("8254: a read-back of a count that is latched is ignored", old > now + 400);
	outb(0x43, 0xb4);
	outb(0x43, 0xee);
	u8 s0 = inb(0x40), s1 = inb(0x41), s2 = inb(0x42);
	claim("8254: read-back of all three statuses", (s0 & 0x3f) == 0x34 && (s1 & 0x0f) < 12 && (s2 & 0x7f) == 0x74);
	gate(false);
	fresh(CONTROL(0), 0x1234);
	outb(0x42, 0x11);
	outb(0x43, 0x90); /* low bytes only; the high one is 0 */
	outb(0x42, 0x77);
	wait_ticks(5);
	outb(0x43, 0x80);
	claim("8254: a control word forgets a first byte", inb(0x42) == 0x77 && inb(0x42) == 0x77);
	gate(true);
}

/* Counter 0's output is IRQ 0: in mode 4 its strobe is one edge, in mode 0 its end. */
static void interrupts(void)
{
	static const struct {
		u8 mode;
		bool repeats;
	} list[] = {{0, false}, {2, true}, {3, true}, {4, false}};
	static struct table t = {.name = "8254: IRQ 0: modes 0 and 4 interrupt once, 2 and 3 again and again"};

	for (unsigned n = 0; n < ARRAY_SIZE(list); n++) {
		clear();
		/* The output is high, or the load will make it so, before the pin is open. */
		ioapic_write(0x11 + 2 * 2, apic(ID));
		outb(0x43, 0x30 | list[n].mode << 1);
		ioapic_write(0x10 + 2 * 2, 0x73);
		outb(0x40, 3000 & 255);
		outb(0x40, 3000 >> 8);
		bool came = wait_for(0x73, 1), more = false;
		gate(true);
		load(CONTROL(2), 0); /* the reference, now that counter 0 is taken */
		u16 from = count2();
		while ((u16)(from - count2()) < 15000 && !more) {
			open_briefly();
			more = seen[0x73] > 1;
		}
		ioapic_write(0x10 + 2 * 2, BIT(16));
		outb(0x43, 0x30);
		outb(0x40, 0xff);
		outb(0x40, 0xff);
		if (table_case(&t, came && more == list[n].repeats))
			note(list[n].mode, seen[0x73]);
	}
	table_line("", &t);
}

void kmain(void)
{
	chip_init();
	outb(0x43, 0x34);
	outb(0x40, 0);
	outb(0x40, 0);
	rates();
	mode_0();
	mode_1();
	mode_2();
	mode_3();
	modes_4_and_5();
	programming();
	interrupts();
}
