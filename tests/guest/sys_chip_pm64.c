/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ACPI fixed hardware (ACPI 6.4, 4.8.3): PM1 status, enable and control, the 24-bit timer, and the SCI, which is IRQ 9. What
 * a guest can't provoke by itself (buttons, global lock, wake) is claimed to stay quiet. */
#include "tests/guest/lib/chip.h"

#define TMR    BIT(0)
#define GBL    BIT(5)
#define PWRBTN BIT(8)
#define RTC    BIT(10)
#define VEC    0x79

static u16 pm;

static u16 status(void)
{
	inw(pm);
	return inw(pm); /* an emulator settles it behind a read */
}

static u32 ms(u32 n)
{
	return PM_HZ / 1000 * n;
}

static bool overflow(void)
{
	for (unsigned n = 0; n < 3 && !(status() & TMR); n++)
		sleep_for(pm, 0xff, 1, ms(2400));
	return status() & TMR;
}

/* Ends the line with the first interrupt. */
static bool hook_once(struct frame *f)
{
	if (f->vector == VEC)
		outw(pm + 2, 0);
	return hook(f);
}

static void timer(void)
{
	u16 base = pm;

	claim("PM timer: 24 bits", ({
		      bool fits = true;
		      for (unsigned n = 0; n < 100; n++)
			      fits = fits && inl(base + 8) < 1 << 24;
		      fits;
	      }));
	bool falls = false;
	for (unsigned n = 0; n < 1000; n++) {
		u32 a = pm_timer(base);
		falls = falls || pm_since(base, a) > 1 << 20;
	}
	claim("PM timer: counts up", !falls);
	/* 8254 and PM timer come from one crystal: 14.31818 MHz by 12 and by 4. */
	outb(0x61, inb(0x61) | 1);
	outb(0x43, 0xb4);
	outb(0x42, 0);
	outb(0x42, 0);
	sleep_for(base, 0xff, 1, ms(1));
	outb(0x43, 0x80);
	u32 from = pm_timer(base);
	u16 first = inb(0x42);
	first |= inb(0x42) << 8;
	while (pm_since(base, from) < ms(40))
		;
	outb(0x43, 0x80);
	u32 ticks = pm_since(base, from);
	u16 last = inb(0x42);
	last |= inb(0x42) << 8;
	u32 counts = (u16)(first - last);
	claim("PM timer: three ticks for each of the 8254's", ticks > counts * 3 - 600 && ticks < counts * 3 + 600);
	outl(pm + 8, 0);
	claim("PM timer: read-only", pm_timer(pm) > 1000);
}

static void enable_register(void)
{
	static struct table t = {.name = "PM1 enable: timer, global, power button and RTC bits read back"};
	static struct table quiet = {.name = "PM1: enables of what hasn't happened raise no SCI"};
	static struct table widths = {.name = "PM1: status and enable in bytes, words and a doubleword"};
	static const u16 bits[] = {TMR, GBL, PWRBTN, RTC};

	outw(pm, TMR | GBL | PWRBTN | RTC);
	status();
	for (unsigned n = 0; n < 16; n++) {
		u16 v = 0;

		for (unsigned k = 0; k < 4; k++)
			v |= n >> k & 1 ? bits[k] : 0;
		outw(pm + 2, v);
		if (table_case(&t, (inw(pm + 2) & (TMR | GBL | PWRBTN | RTC)) == v))
			note(v, inw(pm + 2));
		if (table_case(&widths, (inl(pm) >> 16 & (TMR | GBL | PWRBTN | RTC)) == v && inb(pm + 2) == (u8)v &&
					    (inb(pm + 3) & 5) == v >> 8))
			note(v, inl(pm));
		if (v & TMR)
			continue;
		clear();
		open_briefly();
		if (table_case(&quiet, !seen[VEC]))
			note(v, status());
	}
	outb(pm + 2, 0x20);
	outb(pm + 3, 0x01);
	if (table_case(&widths, inw(pm + 2) == (GBL | PWRBTN)))
		note(0, inw(pm + 2));
	outl(pm, (u32)RTC << 16);
	if (table_case(&widths, inw(pm + 2) == RTC))
		note(0, inw(pm + 2));
	outw(pm + 2, 0);
	table_line("", &t);
	table_line("", &widths);
	table_line("", &quiet);
	claim("PM1 status: nothing pressed, nothing woken", !(status() & (GBL | PWRBTN | RTC)));
}

static void control_register(void)
{
	static struct table t = {.name = "PM1 control: the sleep type reads back"};

	claim("PM1 control: SCI_EN, in ACPI mode", inw(pm + 4) & 1);
	for (unsigned type = 0; type < 8; type++) {
		outw(pm + 4, type << 10 | 1);
		if (table_case(&t, (inw(pm + 4) >> 10 & 7) == type))
			note(type, inw(pm + 4));
	}
	table_line("", &t);
	outw(pm + 4, 1);
	claim("PM1 control: SLP_EN reads as 0", !(inw(pm + 4) & BIT(13)));
	outw(pm + 4, 5);
	claim("PM1 control: GBL_RLS reads as 0", !(inw(pm + 4) & BIT(2)));
	outw(pm + 4, 1);
}

static void sci(void)
{
	/* Status without enable. */
	outw(pm, TMR);
	outw(pm + 2, 0);
	clear();
	claim("PM1: TMR_STS is set when the timer's top bit changes, enabled or not", overflow());
	claim("PM1: without TMR_EN no SCI", !seen[VEC]);
	outw(pm, 0);
	claim("PM1 status: writing 0 leaves it", status() & TMR);
	outw(pm, (u16)~TMR);
	claim("PM1 status: writing 1 to the others leaves it", status() & TMR);
	outb(pm + 1, 0xff);
	claim("PM1 status: so does writing its other byte", status() & TMR);
	keep_eoi = true;
	outw(pm + 2, TMR);
	open_briefly();
	claim("SCI: TMR_EN set while TMR_STS is: at once", seen[VEC] == 1);
	for (unsigned n = 0; n < 100; n++)
		open_briefly();
	bool once = seen[VEC] == 1;
	bool tmr = bit_of(0x180, VEC);
	apic_write(EOI, 0);
	for (unsigned n = 0; n < 100; n++)
		open_briefly();
	claim("SCI: one until the EOI", once);
	claim("SCI: level-triggered in the local APIC", tmr);
	claim("SCI: after the EOI again, as the line is high", seen[VEC] == 2);
	outw(pm + 2, 0);
	apic_write(EOI, 0);
	for (unsigned n = 0; n < 100; n++)
		open_briefly();
	claim("SCI: TMR_EN clear: no more, TMR_STS stays", seen[VEC] == 2 && (status() & TMR));
	outw(pm + 2, TMR);
	open_briefly();
	claim("SCI: set again: again", seen[VEC] == 3);
	outw(pm, TMR);
	bool clear_now = !(status() & TMR);
	apic_write(EOI, 0);
	for (unsigned n = 0; n < 100; n++)
		open_briefly();
	claim("PM1 status: writing 1 clears it", clear_now);
	claim("SCI: and ends the line", seen[VEC] == 3);
	keep_eoi = false;
	/* The next one, by itself. */
	clear();
	trap_hook = hook_once;
	u32 from = pm_timer(pm);
	sleep_for(pm, VEC, 1, ms(2400));
	u32 now = pm_timer(pm);
	claim("SCI: the next change of the top bit wakes from HLT", seen[VEC] == 1 && (status() & TMR));
	claim("PM timer: its top bit has changed then, the others began anew",
	      ((now ^ from) & 1 << 23) && (now & 0x7fffff) < 100000);
	trap_hook = hook;
	outw(pm, TMR);
	outw(pm + 2, 0);
	ioapic_write(0x10 + 2 * 9, BIT(16));
}

/* The same line at the 8259A: IRQ 9, level-triggered. */
static void by_8259(void)
{
	static const u8 icws[][2] = {{0x20, 0x11}, {0x21, 0x20}, {0x21, 4}, {0x21, 1},    {0xa0, 0x11},
				     {0xa1, 0x28}, {0xa1, 2},    {0xa1, 1}, {0x21, 0xfb}, {0xa1, 0xfd}};

	outb(0x4d1, inb(0x4d1) | 2);
	for (unsigned n = 0; n < ARRAY_SIZE(icws); n++)
		outb(icws[n][0], icws[n][1]);
	outw(pm, TMR);
	overflow();
	clear();
	keep_eoi = true;
	apic_write(LVT_LINT0, 7 << 8);
	outw(pm + 2, TMR);
	open_briefly();
	bool came = seen[0x29] == 1;
	outb(0xa0, 0x20);
	outb(0x20, 0x20);
	open_briefly();
	bool again = seen[0x29] == 2;
	outw(pm, TMR);
	outb(0xa0, 0x20);
	outb(0x20, 0x20);
	for (unsigned n = 0; n < 100; n++)
		open_briefly();
	claim("SCI by the 8259A: IRQ 9", came);
	claim("SCI by the 8259A: again after the EOIs until the status is cleared", again && seen[0x29] == 2);
	apic_write(LVT_LINT0, MASKED);
	outw(pm + 2, 0);
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
	keep_eoi = false;
}

void kmain(void)
{
	chip_init();
	pm = pm_base();
	outw(pm + 2, 0);
	ioapic_write(0x11 + 2 * 9, apic(ID));
	ioapic_write(0x10 + 2 * 9, VEC | BIT(15));
	timer();
	enable_register();
	control_register();
	sci();
	by_8259();
}
