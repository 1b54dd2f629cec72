/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The MC146818's flags, interrupts and calendar (MC146818A data sheet), timed by the ACPI PM timer. */
#include "tests/guest/lib/chip.h"

#define SET  0x80
#define PIE  0x40
#define AIE  0x20
#define UIE  0x10
#define DM   0x04
#define H24  0x02
#define IRQF 0x80
#define PF   0x40
#define AF   0x20
#define UF   0x10
#define VEC  0x72

static u16 pm;

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

static u32 ms(u32 n)
{
	return PM_HZ / 1000 * n;
}

/* Register C's flags until all of @flags were seen or @n milliseconds (below 4600) have gone by; sleeps. *@took: then. */
static u8 flags_within(u8 flags, u32 n, u32 *took)
{
	u32 from = pm_timer(pm);
	u8 all = 0;

	apic_write(TDCR, 11);
	apic_write(LVT_TIMER, 0x5f | BIT(17));
	apic_write(TMICT, 500000);
	do {
		asm volatile("sti; hlt; cli" : : : "memory");
		all |= cmos(12);
		*took = pm_since(pm, from);
	} while ((all & flags) != flags && *took < ms(n));
	apic_write(LVT_TIMER, MASKED);
	apic_write(TMICT, 0);
	open_briefly();
	return all;
}

static void no_alarm(void)
{
	cmos_write(1, 0x7f);
	cmos_write(3, 0x7f);
	cmos_write(5, 0x7f);
}

/* The divider begins anew: the next update is half a second away. */
static void restart(void)
{
	cmos_write(10, 0x76);
	cmos_write(10, 0x26);
	cmos(12);
}

/* --- formats and calendar --- */

struct moment {
	u8 year, month, day, weekday, hour, minute, second; /* weekday 1 to 7, Sunday first */
};

static u8 coded(u8 format, u8 v)
{
	return format & DM ? v : v % 10 | v / 10 << 4;
}

static u8 coded_hour(u8 format, u8 hour)
{
	return format & H24 ? coded(format, hour) : coded(format, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? 0x80 : 0);
}

static void set_time(u8 format, const struct moment *m, bool frozen)
{
	cmos_write(11, SET | format);
	cmos_write(0, coded(format, m->second));
	cmos_write(2, coded(format, m->minute));
	cmos_write(4, coded_hour(format, m->hour));
	cmos_write(6, m->weekday);
	cmos_write(7, coded(format, m->day));
	cmos_write(8, coded(format, m->month));
	cmos_write(9, coded(format, m->year));
	cmos_write(0x32, coded(format, 20));
	/* Enabled, since emulators may leave flags clear otherwise; the pin is masked. */
	if (!frozen)
		cmos_write(11, format | UIE | AIE);
	restart();
}

static bool time_is(u8 format, const struct moment *m)
{
	return cmos(0) == coded(format, m->second) && cmos(2) == coded(format, m->minute) &&
	       cmos(4) == coded_hour(format, m->hour) && cmos(6) == m->weekday && cmos(7) == coded(format, m->day) &&
	       cmos(8) == coded(format, m->month) && cmos(9) == coded(format, m->year);
}

static bool leap(unsigned year)
{
	return year % 4 == 0; /* 2000 to 2099 */
}

static struct moment next_second(struct moment m)
{
	static const u8 days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	if (++m.second < 60)
		return m;
	m.second = 0;
	if (++m.minute < 60)
		return m;
	m.minute = 0;
	if (++m.hour < 24)
		return m;
	m.hour = 0;
	m.weekday = m.weekday % 7 + 1;
	if (++m.day <= days[m.month - 1] + (m.month == 2 && leap(m.year)))
		return m;
	m.day = 1;
	if (++m.month <= 12)
		return m;
	m.month = 1;
	m.year++;
	return m;
}

static const u8 formats[] = {H24, 0, DM | H24, DM};

static void calendar(void)
{
	static struct table hours = {.name = "MC146818: the end of every hour, BCD and binary, 12 and 24 hours"};
	static struct table months = {.name = "MC146818: the end of every month, leap years too"};
	static struct table kept = {.name = "MC146818: what is written under SET reads back, in every format"};
	u32 took;

	for (unsigned f = 0; f < ARRAY_SIZE(formats); f++)
		for (unsigned hour = 0; hour < 24; hour++) {
			struct moment m = {
			    .year = 26, .month = 3, .day = 14, .weekday = 7, .hour = hour, .minute = 59, .second = 59};

			set_time(formats[f], &m, true);
			if (table_case(&kept, time_is(formats[f], &m)))
				note(f, hour);
			set_time(formats[f], &m, false);
			flags_within(UF, 1500, &took);
			m = next_second(m);
			if (table_case(&hours, time_is(formats[f], &m)))
				note(f << 8 | hour, cmos(4));
		}
	table_line("", &kept);
	table_line("", &hours);
	for (unsigned year = 0; year < 5; year++)
		for (unsigned month = 1; month <= 12; month++) {
			static const u8 last[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
			/* 2023-01-31 was a Tuesday: its 29 February, if any, is asked for in 2024 and 2000. */
			static const u8 years[] = {23, 24, 0, 1, 99};
			struct moment m = {.year = years[year], .month = month, .hour = 23, .minute = 59, .second = 59};
			static const u8 offset[] = {0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4};

			if (year > 1 && month != 2 && month != 12)
				continue;
			m.day = last[month - 1] + (month == 2 && leap(m.year));
			unsigned y = 2000 + m.year - (month < 3);
			m.weekday = (y + y / 4 - y / 100 + y / 400 + offset[month - 1] + m.day) % 7 + 1;
			set_time(H24, &m, false);
			flags_within(UF, 1500, &took);
			struct moment want = next_second(m);
			if (m.year == 99 && month == 12)
				want.year = 0;
			if (table_case(&months, time_is(H24, &want)))
				note(m.year << 8 | month, cmos(7));
		}
	table_line("", &months);
}

/* --- update cycle --- */

static void updates(void)
{
	static const struct moment noon = {26, 6, 15, 2, 12, 0, 0};
	u32 took;
	u8 c;

	set_time(H24, &noon, false);
	flags_within(UF, 1500, &took);
	bool half = took > ms(480) && took < ms(520);
	set_time(H24, &noon, false);
	cmos_write(11, H24);
	c = flags_within(UF, 1500, &took);
	claim("MC146818: the first update is half a second after the divider's reset", half);
	claim("MC146818: UF and PF are set without their enables, IRQF isn't",
	      (c & (UF | PF)) == (UF | PF) && !(c & IRQF));
	cmos_write(11, H24 | UIE);
	flags_within(UF, 1500, &took);
	flags_within(UF, 1500, &took);
	claim("MC146818: then one a second", took > ms(980) && took < ms(1020) && cmos(0) == 3);
	claim("MC146818: reading register C clears it", cmos(12) == 0);
	cmos_write(12, 0xf0);
	claim("MC146818: it can't be written", cmos(12) == 0);
	cmos_write(13, 0);
	claim("MC146818: register D can't be written", cmos(13) == 0x80);
	cmos_write(10, 0xa6);
	claim("MC146818: UIP can't be written", !(cmos(10) & 0x80) && (cmos(10) & 0x7f) == 0x26);

	/* UIP: high for 244 us before the update, low at it. */
	u32 rose = 0, updated = 0;
	bool early = false, torn = false;
	cmos_write(10, 0x23); /* 122 us */
	flags_within(UF, 1500, &took);
	u32 from = pm_timer(pm);
	flags_within(AF, 990, &took); /* never: sleeps */
	early = cmos(10) & 0x80;
	while (pm_since(pm, from) < ms(1100)) {
		if (!rose && (cmos(10) & 0x80))
			rose = pm_since(pm, from);
		if (cmos(12) & UF) {
			updated = pm_since(pm, from);
			torn = cmos(10) & 0x80;
			break;
		}
	}
	claim("MC146818: UIP rises 244 us before the update", rose && updated > rose &&
								  updated - rose > PM_HZ / 1000000 * 200 &&
								  updated - rose < PM_HZ / 1000000 * 300);
	claim("MC146818: it is low long before", !early);
	claim("MC146818: and after", updated && !torn);

	/* SET. */
	cmos_write(11, H24);
	set_time(H24, &noon, true);
	c = flags_within(UF, 1300, &took);
	claim("MC146818: SET: no update, no UF", !(c & UF) && cmos(0) == 0);
	claim("MC146818: SET: the periodic flag goes on", c & PF);
	cmos_write(11, H24 | UIE);
	claim("MC146818: UIE can be set", cmos(11) == (H24 | UIE));
	cmos_write(11, H24 | UIE | SET);
	claim("MC146818: SET clears UIE", cmos(11) == (H24 | SET));
	cmos_write(11, H24);
	/* The divider held. */
	cmos_write(10, 0x76);
	cmos(12);
	c = flags_within(UF, 1300, &took);
	claim("MC146818: the divider in reset: no update, no periodic flag", !(c & (UF | PF)));
	restart();
	claim("MC146818: bit 7 of port 70h is no part of the index", ({
		      cmos_write(0x8e, 0x5a);
		      bool same = cmos(0x0e) == 0x5a;
		      cmos_write(0x0e, 0);
		      same;
	      }));
}

/* --- alarm --- */

static void alarm(void)
{
	static struct table t = {.name = "MC146818: alarm: exact bytes, others, and C0h to FFh for any, every format"};
	static const struct moment noon = {26, 6, 15, 2, 13, 14, 15};
	u32 took;

	/* For each byte: what the time will be, something else, any. */
	for (unsigned f = 0; f < ARRAY_SIZE(formats); f++)
		for (unsigned n = 0; n < 27; n++) {
			u8 format = formats[f], kind[3] = {n % 3, n / 3 % 3, n / 9};
			static const u8 any[] = {0xc0, 0xff, 0xd5};
			struct moment at = next_second(noon);
			u8 byte[3];

			byte[0] = coded(format, at.second + kind[0]);
			byte[1] = coded(format, at.minute + kind[1]);
			byte[2] = coded_hour(format, at.hour + kind[2]);
			for (unsigned k = 0; k < 3; k++)
				if (kind[k] == 2)
					byte[k] = any[(n + k) % 3];
			set_time(format, &noon, false);
			for (unsigned k = 0; k < 3; k++)
				cmos_write(1 + 2 * k, byte[k]);
			cmos(12);
			bool want = kind[0] != 1 && kind[1] != 1 && kind[2] != 1;
			u8 c = flags_within(UF, 1500, &took);
			if (table_case(&t, (c & UF) && !(c & AF) == !want))
				note(format << 8 | n, c);
		}
	table_line("", &t);
	no_alarm();
}

/* --- interrupts --- */

static void interrupts(void)
{
	static struct table enables = {.name = "MC146818: PIE, AIE and UIE: IRQF with a flag whose enable is set"};
	static struct table rates = {.name = "MC146818: periodic rates 1 to 15, rate 0 none"};
	static const struct moment noon = {26, 6, 15, 2, 13, 14, 15};

	ioapic_write(0x11 + 2 * 8, apic(ID));
	ioapic_write(0x10 + 2 * 8, VEC);
	for (unsigned n = 0; n < 8; n++) {
		u8 b = n << 4;

		set_time(H24, &noon, false);
		for (unsigned k = 0; k < 3; k++)
			cmos_write(1 + 2 * k, 0xff);
		cmos_write(11, H24);
		restart();
		clear();
		cmos_write(11, H24 | b);
		/* Until behind the first update, without a look at C. */
		sleep_for(pm, 0xff, 1, ms(600));
		unsigned came = seen[VEC];
		u8 c = cmos(12);
		cmos_write(11, H24);
		if (table_case(&enables, (c & (PF | AF | UF)) == (PF | AF | UF) && !(c & IRQF) == !b && came == !!b))
			note(b, c << 8 | came);
	}
	table_line("", &enables);
	no_alarm();
	set_time(H24, &noon, false);
	cmos_write(11, H24);
	cmos(12);
	clear();
	cmos_write(11, H24 | UIE);
	sleep_for(pm, VEC, 1, ms(1500));
	bool one = seen[VEC] == 1;
	sleep_for(pm, VEC, 2, ms(1500));
	claim("MC146818: no second interrupt before register C is read", one && seen[VEC] == 1);
	claim("MC146818: it says why", (cmos(12) & (IRQF | UF)) == (IRQF | UF));
	claim("MC146818: then the next update interrupts", sleep_for(pm, VEC, 2, ms(1500)));
	cmos(12);
	cmos_write(11, H24);
	/* A flag that stands interrupts when its enable is set. */
	sleep_for(pm, 0xff, 1, ms(1100));
	clear();
	cmos_write(11, H24 | UIE);
	open_briefly();
	claim("MC146818: an enable that finds its flag set interrupts at once", seen[VEC] == 1);
	cmos_write(11, H24);
	cmos(12);

	for (unsigned rate = 0; rate < 16; rate++) {
		unsigned cycles = rate < 3 ? 64 << rate : 1 << (rate - 1), periods = 0;
		u32 from, span = 0;

		cmos_write(10, 0x20 | rate);
		cmos(12);
		cmos_write(11, H24 | PIE);
		clear();
		cmos(12);
		if (!rate) {
			sleep_for(pm, VEC, 1, ms(300));
			if (table_case(&rates, !seen[VEC] && !(cmos(12) & PF)))
				note(rate, seen[VEC]);
			continue;
		}
		sleep_for(pm, VEC, 1, ms(1200));
		from = pm_timer(pm);
		while (periods < (rate < 10 ? 16 : 2) && span < ms(2500)) {
			clear();
			cmos(12);
			periods += sleep_for(pm, VEC, 1, ms(1200));
			span = pm_since(pm, from);
		}
		/* Each is @cycles of 32768 Hz. */
		u64 want = (u64)periods * cycles * PM_HZ / 32768;
		if (table_case(&rates, periods > 1 && span > want - want / 8 && span < want + want / 8)) {
			put_value("want", want);
			note(rate, span);
		}
		cmos_write(11, H24);
		cmos(12);
	}
	table_line("", &rates);
	ioapic_write(0x10 + 2 * 8, BIT(16));
}

void kmain(void)
{
	chip_init();
	pm = pm_base();
	no_alarm();
	calendar();
	updates();
	alarm();
	interrupts();
	outb(0x70, 0x0d);
}
