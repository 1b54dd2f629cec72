/* SPDX-License-Identifier: GPL-2.0-or-later */
/* High precision event timers (IA-PC HPET specification 1.0a): registers, the counter, one-shot and periodic timers, edge
 * and level, legacy replacement. Timers are set up with the counter halted, so how fast the processor is doesn't matter. */
#include "tests/guest/lib/chip.h"

#define HPET 0xfed00000ull

enum { CAPABILITIES = 0, CONFIG = 0x10, STATUS = 0x20, COUNTER = 0xf0 };
#define TIMER(n)      (0x100 + 0x20 * (n))
#define COMPARATOR(n) (0x108 + 0x20 * (n))

#define ENABLE     1
#define LEGACY     2
#define LEVEL      BIT(1)
#define INTERRUPTS BIT(2)
#define PERIODIC   BIT(3)
#define VALUE_SET  BIT(6)
#define MODE_32    BIT(8)
#define ROUTED(n)  ((n) << 9)
#define FSB        BIT(14)

#define VECTOR(n) (0x50 + 0x10 * (n)) /* of timer n */
#define SOME      2000                /* ticks */

static unsigned timers, pin;

static u32 reg(u32 at)
{
	return *(volatile u32 *)(HPET + at);
}

static void set(u32 at, u32 v)
{
	*(volatile u32 *)(HPET + at) = v;
}

static u64 reg64(u32 at)
{
	return *(volatile u64 *)(HPET + at);
}

static void set64(u32 at, u64 v)
{
	*(volatile u64 *)(HPET + at) = v;
}

/* Of a register that doesn't change, and of the counter while it runs. */
static u64 halves(u32 at)
{
	u32 high = reg(at + 4), low = reg(at);

	return reg(at + 4) == high ? (u64)high << 32 | low : halves(at);
}

static void set_halves(u32 at, u64 v)
{
	set(at, v);
	set(at + 4, v >> 32);
}

static u32 routes(unsigned n)
{
	return reg(TIMER(n) + 4);
}

/* Everything off, the counter at @counter. */
static void quiet(u64 counter)
{
	set(CONFIG, 0);
	for (unsigned n = 0; n < timers; n++) {
		set(TIMER(n), ROUTED(pin));
		set_halves(COMPARATOR(n), ~0ull);
	}
	set(STATUS, ~0u);
	set_halves(COUNTER, counter);
	open_briefly();
	clear();
}

/* Timer @n from there on, at pin @pin. */
static void prepare(unsigned n, u32 config, u64 comparator)
{
	ioapic_write(0x11 + 2 * pin, apic(ID));
	ioapic_write(0x10 + 2 * pin, VECTOR(n) | (config & LEVEL ? BIT(15) : 0));
	set(TIMER(n), config | ROUTED(pin));
	set_halves(COMPARATOR(n), comparator);
}

static void masked(void)
{
	ioapic_write(0x10 + 2 * pin, BIT(16));
}

/* Until the counter, which runs, has come to @value. */
static void count_to(u64 value)
{
	while (halves(COUNTER) < value)
		open_briefly();
	open_briefly();
}

/* The 8254's counter 0 at the end of mode 0: no more edges from it. */
static void still_8254(void)
{
	outb(0x43, 0x30);
	outb(0x40, 1);
	outb(0x40, 0);
	for (unsigned n = 0; n < 20000; n++)
		asm volatile("pause");
}

/* --- registers --- */

static void registers(void)
{
	static struct table t = {.name = "HPET: timer configuration, what can be written"};
	static struct table route = {.name = "HPET: a route is taken if it's among those offered"};
	static struct table cmp = {.name = "HPET: comparators hold 64 bits"};
	u32 low = reg(CAPABILITIES), period = reg(CAPABILITIES + 4);

	claim("HPET: a period, up to 100 ns", period && period <= 0x05f5e100);
	claim("HPET: a revision", low & 0xff);
	claim("HPET: three timers or more", (low >> 8 & 31) >= 2);
	claim("HPET: legacy replacement, 64-bit counter", (low & BIT(15)) && (low & BIT(13)));
	set(CAPABILITIES, 0);
	set(CAPABILITIES + 4, 0);
	claim("HPET: capabilities can't be written", reg(CAPABILITIES) == low && reg(CAPABILITIES + 4) == period);
	timers = (low >> 8 & 31) + 1;
	for (unsigned n = 0; n < timers; n++)
		set(TIMER(n), 0);
	quiet(0);
	for (unsigned v = 0; v < 4; v++) {
		set(CONFIG, v);
		if (table_case(&t, reg(CONFIG) == v))
			note(CONFIG, reg(CONFIG));
	}
	set(CONFIG, 0);
	for (unsigned n = 0; n < timers; n++) {
		u32 caps = reg(TIMER(n)), can = LEVEL | INTERRUPTS;

		can |= caps & BIT(4) ? PERIODIC : 0;
		can |= caps & BIT(5) ? MODE_32 : 0;
		can |= caps & BIT(15) ? FSB : 0;
		for (unsigned bit = 0; bit < 16; bit++) {
			if (bit == 6 || (bit >= 9 && bit <= 13))
				continue; /* VAL_SET; the route */
			set(TIMER(n), ROUTED(pin) | BIT(bit));
			u32 want = (caps & (BIT(4) | BIT(5) | BIT(15))) | (BIT(bit) & can);
			if (table_case(&t, (reg(TIMER(n)) & ~(u32)(ROUTED(31) | VALUE_SET)) == want))
				note(bit, reg(TIMER(n)));
		}
		for (unsigned r = 0; r < 32; r++) {
			set(TIMER(n), ROUTED(r));
			if (table_case(&route, ((reg(TIMER(n)) >> 9 & 31) == r) == (routes(n) >> r & 1)))
				note(n, r);
		}
		set(TIMER(n), ROUTED(pin));
		for (unsigned bit = 0; bit < (caps & BIT(5) ? 64 : 32); bit++) {
			set_halves(COMPARATOR(n), BIT(bit));
			if (table_case(&cmp, halves(COMPARATOR(n)) == BIT(bit)))
				note(bit, halves(COMPARATOR(n)));
		}
	}
	table_line("", &t);
	table_line("", &route);
	table_line("", &cmp);
	quiet(0);
	claim("HPET: accesses of 64 bits: reads", reg64(CAPABILITIES) == ((u64)period << 32 | low));
	set64(COUNTER, 0x123456789abcdef0);
	claim("HPET: accesses of 64 bits: writes", halves(COUNTER) == 0x123456789abcdef0);
}

/* --- the counter --- */

/* Ticks in the time of @n ticks of the 8254, whose counter 2 is waited for. */
static u64 ticks_of_8254(u16 n)
{
	outb(0x61, (inb(0x61) & ~2) | 1);
	outb(0x43, 0xb0);
	outb(0x42, n & 0xff);
	outb(0x42, n >> 8);
	u64 from = halves(COUNTER);
	while (!(inb(0x61) & 0x20))
		for (unsigned k = 0; k < 100; k++)
			asm volatile("pause");
	return halves(COUNTER) - from;
}

static void counter(void)
{
	bool rate = false;

	quiet(0x100);
	for (unsigned n = 0; n < 10000; n++)
		asm volatile("pause");
	claim("HPET: halted, the counter stands", halves(COUNTER) == 0x100);
	set(CONFIG, ENABLE);
	u64 first = halves(COUNTER), last = first;
	bool up = true;
	for (unsigned n = 0; n < 1000; n++) {
		u64 now = halves(COUNTER);

		up = up && now >= last;
		last = now;
	}
	claim("HPET: it goes on from where it stood, upwards", first >= 0x100 && up && last > first);
	set(CONFIG, 0);
	last = halves(COUNTER);
	for (unsigned n = 0; n < 1000; n++)
		asm volatile("pause");
	claim("HPET: halted again, it stays", halves(COUNTER) == last);
	quiet(0xfffffff0);
	set(CONFIG, ENABLE);
	count_to(0x100000000);
	set(CONFIG, 0);
	claim("HPET: it carries into its upper half", halves(COUNTER) >> 32 == 1);
	/* 50 ms, to a tenth; a host may be busy with something else */
	quiet(0);
	set(CONFIG, ENABLE);
	for (unsigned n = 0; n < 5 && !rate; n++) {
		u64 want = 59659ull * 838095345 / reg(CAPABILITIES + 4), got = ticks_of_8254(59659);

		rate = got > want - want / 10 && got < want + want / 10;
	}
	claim("HPET: it runs as fast as its period says", rate);
}

/* --- timers --- */

static void one_shot(void)
{
	static struct table edge = {.name = "HPET: one-shot, edge: one interrupt, when the counter is there"};
	static struct table off = {.name = "HPET: no interrupt without INT_ENB, or halted"};

	for (unsigned n = 0; n < timers; n++) {
		bool early = false;

		quiet(0);
		prepare(n, INTERRUPTS, SOME);
		set(CONFIG, ENABLE);
		for (u64 now = 0; now < 3 * SOME;) {
			unsigned came;

			open_briefly();
			came = seen[VECTOR(n)];
			now = halves(COUNTER);
			early = early || (came && now < SOME);
		}
		wait_for(VECTOR(n), 1); /* some are late, on a busy host */
		count_to(halves(COUNTER) + SOME);
		if (table_case(&edge, seen[VECTOR(n)] == 1 && !early))
			note(n, seen[VECTOR(n)]);
		if (table_case(&edge, halves(COMPARATOR(n)) == SOME))
			note(n, halves(COMPARATOR(n)));
		quiet(0);
		prepare(n, 0, SOME);
		set(CONFIG, ENABLE);
		count_to(2 * SOME);
		if (table_case(&off, !seen[VECTOR(n)]))
			note(n, 0);
		quiet(0);
		prepare(n, INTERRUPTS, SOME);
		for (unsigned k = 0; k < 10000; k++)
			open_briefly();
		if (table_case(&off, !seen[VECTOR(n)]))
			note(n, 1);
	}
	table_line("", &edge);
	table_line("", &off);
	quiet(SOME);
	prepare(0, INTERRUPTS, SOME / 2);
	set(CONFIG, ENABLE);
	count_to(3 * SOME);
	claim("HPET: a comparator that the counter has passed: no interrupt", !seen[VECTOR(0)]);
	/* 32 bits: the comparator is met whatever the upper half */
	quiet(0x5fffffff0);
	prepare(0, INTERRUPTS | MODE_32, 100 * SOME);
	set(CONFIG, ENABLE);
	count_to(0x600000000 + SOME);
	claim("HPET: 32-bit mode: an interrupt when the lower half wraps",
	      wait_for(VECTOR(0), 1) && seen[VECTOR(0)] == 1);
	count_to(0x600000000 + 101 * SOME);
	claim("HPET: 32-bit mode: the lower half is compared", wait_for(VECTOR(0), 2) && seen[VECTOR(0)] == 2);
	masked();
}

static void level(void)
{
	static struct table t = {.name = "HPET: level: the status bit is set, and cleared by writing one"};

	for (unsigned n = 0; n < timers; n++) {
		quiet(0);
		prepare(n, LEVEL, SOME); /* no interrupt, but its status */
		set(CONFIG, ENABLE);
		count_to(2 * SOME);
		if (table_case(&t, !seen[VECTOR(n)] && (reg(STATUS) & 7) == BIT(n)))
			note(n, reg(STATUS));
		set(STATUS, 7 & ~BIT(n));
		if (table_case(&t, reg(STATUS) & BIT(n)))
			note(n, reg(STATUS));
		set(STATUS, BIT(n));
		if (table_case(&t, !(reg(STATUS) & BIT(n))))
			note(n, reg(STATUS));
	}
	table_line("", &t);
	quiet(0);
	prepare(1, INTERRUPTS | LEVEL, SOME);
	keep_eoi = true;
	set(CONFIG, ENABLE);
	bool came = wait_for(VECTOR(1), 1) && reg(STATUS) & 2;
	set(CONFIG, 0);
	claim("HPET: level: an interrupt with its status bit", came);
	claim("HPET: level: halting doesn't clear the status", reg(STATUS) & 2);
	set(CONFIG, ENABLE);
	apic_write(EOI, 0);
	claim("HPET: level: not cleared, it comes again after the EOI", wait_for(VECTOR(1), 2));
	set(STATUS, 2);
	apic_write(EOI, 0);
	unsigned so_far = seen[VECTOR(1)];
	for (unsigned n = 0; n < 100; n++)
		open_briefly();
	claim("HPET: level: cleared, it doesn't", seen[VECTOR(1)] == so_far && !(reg(STATUS) & 2));
	keep_eoi = false;
	masked();
}

static void periodic(void)
{
	static struct table t = {.name = "HPET: periodic timers: the comparator goes on by the period"};

	for (unsigned n = 0; n < timers; n++) {
		if (!(reg(TIMER(n)) & BIT(4)))
			continue;
		for (unsigned mode = 0; mode < 2; mode++) {
			quiet(0);
			prepare(n, 0, 0);
			/* the way of 2.3.9.2.2: counter, VAL_SET, one write */
			set(TIMER(n), INTERRUPTS | PERIODIC | VALUE_SET | ROUTED(pin) | (mode ? MODE_32 : 0));
			set(COMPARATOR(n), SOME);
			if (table_case(&t, reg(COMPARATOR(n)) == SOME))
				note(n, reg(COMPARATOR(n)));
			set(CONFIG, ENABLE);
			if (table_case(&t, wait_for(VECTOR(n), 5)))
				note(n, seen[VECTOR(n)]);
			set(CONFIG, 0);
			u64 now = halves(COUNTER), next = reg(COMPARATOR(n));
			if (table_case(&t, next % SOME == 0 && next > now && next - now <= SOME))
				note(now, next);
			/* never more than one a period */
			if (table_case(&t, seen[VECTOR(n)] <= now / SOME))
				note(now, seen[VECTOR(n)]);
			/* without VAL_SET: another period, the same next match */
			set(COMPARATOR(n), SOME / 2);
			if (table_case(&t, reg(COMPARATOR(n)) == next))
				note(next, reg(COMPARATOR(n)));
			clear();
			set(CONFIG, ENABLE);
			if (table_case(&t, wait_for(VECTOR(n), 3)))
				note(n, seen[VECTOR(n)]);
			set(CONFIG, 0);
			now = halves(COUNTER);
			u64 then = reg(COMPARATOR(n));
			if (table_case(&t, (then - next) % (SOME / 2) == 0 && then > now && then - now <= SOME / 2))
				note(now, then);
		}
	}
	table_line("", &t);
	masked();
}

/* --- legacy replacement --- */

static void cmos_write(u8 at, u8 v)
{
	outb(0x70, at);
	outb(0x71, v);
}

static u8 cmos(u8 at)
{
	outb(0x70, at);
	return inb(0x71);
}

static void legacy(void)
{
	quiet(0);
	ioapic_write(0x11 + 2 * 2, apic(ID));
	ioapic_write(0x11 + 2 * 8, apic(ID));
	ioapic_write(0x10 + 2 * 2, 0xa0);
	ioapic_write(0x10 + 2 * 8, 0xb0);
	set(TIMER(0), INTERRUPTS);
	set(TIMER(1), INTERRUPTS);
	set_halves(COMPARATOR(0), SOME);
	set_halves(COMPARATOR(1), 2 * SOME);
	clear();
	set(CONFIG, ENABLE | LEGACY);
	bool first = wait_for(0xa0, 1), second = wait_for(0xb0, 1);
	claim("legacy replacement: timer 0 at IRQ 0, pin 2", first && seen[0xa0] == 1);
	claim("legacy replacement: timer 1 at IRQ 8", second && seen[0xb0] == 1);
	set(CONFIG, LEGACY);
	clear();
	/* the 8254 at 10 kHz, the RTC at 1024 Hz: 10 ms of them */
	outb(0x43, 0x34);
	outb(0x40, 119);
	outb(0x40, 0);
	cmos(0xc);
	cmos_write(0xa, 0x26);
	cmos_write(0xb, cmos(0xb) | 0x40);
	for (unsigned n = 0; n < 20; n++) {
		ticks_of_8254(596);
		open_briefly();
	}
	claim("legacy replacement: the 8254 doesn't interrupt", !seen[0xa0]);
	claim("legacy replacement: the RTC doesn't", !seen[0xb0]);
	cmos(0xc);
	set(CONFIG, 0);
	clear();
	claim("without it the 8254 does", wait_for(0xa0, 2));
	cmos(0xc);
	claim("without it the RTC does", wait_for(0xb0, 1));
	cmos_write(0xb, cmos(0xb) & ~0x40);
	cmos(0xc);
	ioapic_write(0x10 + 2 * 8, BIT(16));
	still_8254();
	ioapic_write(0x10 + 2 * 2, BIT(16));
}

/* The same through the 8259As. */
static void legacy_8259(void)
{
	outb(0x20, 0x11);
	outb(0x21, 0xc0);
	outb(0x21, 4);
	outb(0x21, 1);
	outb(0xa0, 0x11);
	outb(0xa1, 0xc8);
	outb(0xa1, 2);
	outb(0xa1, 1);
	outb(0x21, 0xfa);
	outb(0xa1, 0xfe);
	quiet(0);
	set(TIMER(0), INTERRUPTS);
	set(TIMER(1), INTERRUPTS);
	set_halves(COMPARATOR(0), SOME);
	set_halves(COMPARATOR(1), 2 * SOME);
	apic_write(LVT_LINT0, 7 << 8);
	open_briefly();
	outb(0x20, 0x20);
	clear();
	set(CONFIG, ENABLE | LEGACY);
	bool first = wait_for(0xc0, 1);
	outb(0x20, 0x20);
	bool second = wait_for(0xc8, 1);
	outb(0xa0, 0x20);
	outb(0x20, 0x20);
	claim("legacy replacement: 8259A: timer 0 at IR0, timer 1 at IR8", first && second);
	apic_write(LVT_LINT0, MASKED);
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
}

void kmain(void)
{
	chip_init();
	still_8254();
	/* A pin that all timers offer, of those without a device if there is one. */
	pin = routes(0) & ~0xffffu ? __builtin_ctz(routes(0) & ~0xffffu) : __builtin_ctz(routes(0) | BIT(31));
	registers();
	counter();
	one_shot();
	level();
	periodic();
	legacy();
	legacy_8259();
	quiet(0);
}
