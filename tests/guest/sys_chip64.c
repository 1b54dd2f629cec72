/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Interrupts as the machine gives them: local APIC (SDM 3A chapter 10), I/O APIC, 8259A, 8254, MC146818, 16550, 8042. */
#include "tests/guest/lib/sys.h"

#define LAPIC  0xfee00000ull
#define IOAPIC 0xfec00000ull

enum {
	ID = 0x20,
	VERSION = 0x30,
	TPR = 0x80,
	PPR = 0xa0,
	EOI = 0xb0,
	LDR = 0xd0,
	DFR = 0xe0,
	SVR = 0xf0,
	ISR = 0x100,
	IRR = 0x200,
	ESR = 0x280,
	ICR = 0x300,
	ICR2 = 0x310,
	LVT_TIMER = 0x320,
	LVT_LINT0 = 0x350,
	LVT_LINT1 = 0x360,
	LVT_ERROR = 0x370,
	TMICT = 0x380,
	TMCCT = 0x390,
	TDCR = 0x3e0
};
#define MASKED BIT(16)
#define SELF   (1 << 18)

static volatile unsigned seen[256];
static volatile unsigned order[16], nr_order;
static bool keep_eoi; /* the handler leaves the EOI to the claim */

static u32 apic(u32 reg)
{
	return *(volatile u32 *)(LAPIC + reg);
}

static void apic_write(u32 reg, u32 v)
{
	*(volatile u32 *)(LAPIC + reg) = v;
}

static u32 ioapic(u32 reg)
{
	*(volatile u32 *)IOAPIC = reg;
	return *(volatile u32 *)(IOAPIC + 0x10);
}

static void ioapic_write(u32 reg, u32 v)
{
	*(volatile u32 *)IOAPIC = reg;
	*(volatile u32 *)(IOAPIC + 0x10) = v;
}

static bool hook(struct frame *f)
{
	if (f->vector == 5)
		return true; /* an emulator took an IPI that it should have refused */
	if (f->vector < 32 || f->vector == VEC_DONE)
		return false;
	seen[f->vector]++;
	if (nr_order < ARRAY_SIZE(order))
		order[nr_order++] = f->vector;
	if (f->vector != 0xff && !keep_eoi)
		apic_write(EOI, 0);
	return true;
}

static void open_briefly(void)
{
	asm volatile("sti; nop; nop; nop; nop; nop; nop; nop; nop; cli" : : : "memory");
}

static void clear(void)
{
	for (unsigned n = 0; n < 256; n++)
		seen[n] = 0;
	nr_order = 0;
}

static bool bit_of(u32 base, unsigned vector)
{
	return apic(base + vector / 32 * 16) >> (vector & 31) & 1;
}

/* Until seen[vector] is @n or long has gone by. */
static bool wait_for(unsigned vector, unsigned n)
{
	for (unsigned i = 0; i < 2000000 && seen[vector] < n; i++)
		open_briefly();
	return seen[vector] >= n;
}

static void self_ipi(unsigned vector)
{
	apic_write(ICR, SELF | vector);
	while (apic(ICR) & BIT(12))
		;
}

static void note(u64 a, u64 b)
{
	put_value("a", a);
	put_value("b", b);
	put_char('\n');
}

/* --- local APIC --- */

static void priorities(void)
{
	static struct table t = {.name = "TPR against the class of a vector, by MMIO and CR8"};
	static struct table irr = {.name = "an interrupt that waits stands in IRR, in service in ISR"};
	static struct table nested = {.name = "an interrupt in service holds back its class and below until EOI"};

	for (unsigned by_cr8 = 0; by_cr8 < 2; by_cr8++)
		for (unsigned tpr = 0; tpr < 16; tpr++)
			for (unsigned class = 2; class < 16; class ++) {
				unsigned v = class << 4 | 3;
				bool now = class > tpr;

				clear();
				if (by_cr8)
					asm volatile("mov %0, %%cr8" : : "r"((u64)tpr));
				else
					apic_write(TPR, tpr << 4 | 5);
				self_ipi(v);
				open_briefly();
				if (table_case(&t, seen[v] == now))
					note(tpr, class);
				if (!now && table_case(&irr, bit_of(IRR, v) && !bit_of(ISR, v)))
					note(tpr, class);
				if (table_case(&irr, apic(PPR) >> 4 == tpr))
					note(tpr, apic(PPR));
				apic_write(TPR, 0);
				open_briefly();
				if (table_case(&irr, seen[v] == 1 && !bit_of(IRR, v) && !bit_of(ISR, v)))
					note(tpr, class);
			}
	table_line("", &t);
	table_line("", &irr);
	for (unsigned first = 2; first < 16; first++)
		for (unsigned second = 2; second < 16; second++) {
			unsigned v = first << 4 | 1, w = second << 4 | 2;

			clear();
			keep_eoi = true;
			self_ipi(v);
			open_briefly();
			self_ipi(w);
			open_briefly();
			bool good = seen[v] == 1 && seen[w] == (second > first) && bit_of(ISR, v);
			if (seen[w])
				apic_write(EOI, 0);
			apic_write(EOI, 0);
			keep_eoi = false;
			open_briefly();
			good = good && seen[w] == 1;
			if (table_case(&nested, good))
				note(first, second);
		}
	table_line("", &nested);
	clear();
	asm volatile("cli");
	self_ipi(0x41);
	self_ipi(0x91);
	self_ipi(0x61);
	open_briefly();
	open_briefly();
	open_briefly();
	claim("several that wait come by priority",
	      nr_order == 3 && order[0] == 0x91 && order[1] == 0x61 && order[2] == 0x41);
	apic_write(TPR, 0x50);
	u64 cr8;
	asm volatile("mov %%cr8, %0" : "=r"(cr8));
	claim_eq("CR8 shows TPR's class", cr8, 5);
	apic_write(TPR, 0);
}

static void timer(void)
{
	static const u8 divides[] = {0, 1, 2, 3, 8, 9, 10, 11};
	static struct table div = {.name = "timer: one shot under every divide value"};
	u32 r[4];

	for (unsigned n = 0; n < ARRAY_SIZE(divides); n++) {
		clear();
		apic_write(TDCR, divides[n]);
		apic_write(LVT_TIMER, 0x50);
		apic_write(TMICT, 1000);
		bool good = wait_for(0x50, 1);
		for (unsigned k = 0; k < 1000; k++)
			open_briefly();
		for (unsigned k = 0; k < 100000 && apic(TMCCT); k++)
			;
		if (table_case(&div, good && apic(TMCCT) == 0 && seen[0x50] == 1 && apic(TDCR) == divides[n]))
			note(n, seen[0x50]);
	}
	table_line("", &div);
	apic_write(TDCR, 11);
	clear();
	apic_write(LVT_TIMER, 0x50 | BIT(17));
	apic_write(TMICT, 20000);
	claim("timer: periodic", wait_for(0x50, 3));
	apic_write(TMICT, 0);
	open_briefly();
	clear();
	for (unsigned k = 0; k < 20000; k++)
		open_briefly();
	claim("timer: an initial count of 0 stops it", !seen[0x50] && apic(TMCCT) == 0);
	apic_write(LVT_TIMER, 0x50 | MASKED);
	apic_write(TMICT, 1000);
	for (unsigned k = 0; k < 20000; k++)
		open_briefly();
	claim("timer: masked, it runs and doesn't interrupt", !seen[0x50] && apic(TMCCT) == 0);
	apic_write(TMICT, 0xffffffff);
	u32 before = apic(TMCCT);
	for (unsigned k = 0; k < 20000; k++)
		asm volatile("nop");
	claim("timer: the current count falls", apic(TMCCT) < before);
	apic_write(TMICT, 0);
	cpuid(1, 0, r);
	if (!(r[2] >> 24 & 1)) {
		skip("TSC deadline", "not in CPUID");
		return;
	}
	apic_write(LVT_TIMER, 0x50 | 2 << 17);
	clear();
	wrmsr(0x6e0, rdtsc() + 100000);
	claim("TSC deadline: once, and the MSR is 0 then", wait_for(0x50, 1) && rdmsr(0x6e0) == 0);
	wrmsr(0x6e0, rdtsc() + 10000000000ull);
	claim("TSC deadline: the MSR reads back", rdmsr(0x6e0) != 0);
	wrmsr(0x6e0, 0);
	apic_write(TMICT, 1000);
	claim_eq("TSC deadline: the initial count isn't taken", apic(TMICT), 0);
	clear();
	wrmsr(0x6e0, 1);
	claim("TSC deadline: one in the past fires at once", wait_for(0x50, 1));
	apic_write(LVT_TIMER, MASKED);
}

static void local(void)
{
	static struct table lvt = {.name = "LVT registers: what can be written"};
	static const struct {
		u32 reg, mask;
	} list[] = {{LVT_LINT0, 0x1a7ff & ~BIT(11)}, {LVT_LINT1, 0x1a7ff & ~BIT(11)}, {LVT_ERROR, 0x100ff}};

	for (unsigned n = 0; n < ARRAY_SIZE(list); n++) {
		u32 old = apic(list[n].reg);

		for (unsigned bit = 0; bit < 32; bit++) {
			u32 base = MASKED | 0x40, v = base | BIT(bit), want = base | (BIT(bit) & list[n].mask);

			if (bit == 12 || bit == 14)
				continue; /* delivery status, remote IRR */
			apic_write(list[n].reg, v);
			u32 got = apic(list[n].reg) & ~(BIT(12) | BIT(14));
			if (table_case(&lvt, got == want))
				note(bit | list[n].reg << 8, got);
		}
		apic_write(list[n].reg, old);
	}
	table_line("", &lvt);

	apic_write(LVT_ERROR, 0x51);
	apic_write(ESR, 0);
	apic_write(ESR, 0);
	clear();
	apic_write(ICR, SELF | 5);
	open_briefly();
	apic_write(ESR, 0);
	claim("an IPI with a vector below 16: the error interrupt", seen[0x51] == 1);
	claim("ESR: illegal vector sent", apic(ESR) & BIT(5));
	apic_write(ESR, 0);
	apic_write(ESR, 0);
	claim_eq("ESR: cleared by the next writes", apic(ESR), 0);
	apic_write(LVT_ERROR, MASKED);

	apic_write(LVT_LINT1, 0x60);
	apic_write(SVR, 0xff);
	claim("software disable masks the LVT", apic(LVT_LINT1) & MASKED);
	apic_write(LVT_LINT1, 0x60);
	claim("and keeps it masked", apic(LVT_LINT1) & MASKED);
	apic_write(SVR, 0x1ff);
	apic_write(LVT_LINT1, MASKED);
	clear();
	apic_write(LDR, 0x02000000);
	apic_write(DFR, 0xffffffff);
	apic_write(ICR2, 0x02000000);
	apic_write(ICR, 0x62 | 1 << 11);
	open_briefly();
	claim("logical destination, flat: a bit that is set", seen[0x62] == 1);
	apic_write(ICR2, 0x04000000);
	apic_write(ICR, 0x63 | 1 << 11);
	open_briefly();
	claim("logical destination, flat: a bit that isn't", seen[0x63] == 0);
	apic_write(ICR2, apic(ID));
	apic_write(ICR, 0x64);
	open_briefly();
	claim("physical destination", seen[0x64] == 1);
	apic_write(ICR, 0x65 | 2 << 18);
	open_briefly();
	claim("all including self", seen[0x65] == 1);
	apic_write(ICR, 0x66 | 3 << 18);
	open_briefly();
	claim("all but self", seen[0x66] == 0);
	claim("version: at least six LVT entries", (apic(VERSION) >> 16 & 0xff) >= 5);
}

/* --- I/O APIC, with COM1's line --- */

#define COM1 0x3f8

static void io_apic(void)
{
	static struct table redir = {.name = "I/O APIC: redirection entries, what can be written"};

	for (unsigned pin = 16; pin < 20; pin++) {
		for (unsigned bit = 0; bit < 64; bit++) {
			u32 low = BIT(16) | (bit < 32 ? BIT(bit) : 0), high = bit < 32 ? 0 : BIT(bit - 32);
			u32 want_low = low & ~(u32)(BIT(12) | BIT(14)) & 0x1ffff;

			ioapic_write(0x10 + 2 * pin, low);
			ioapic_write(0x11 + 2 * pin, high);
			if (bit >= 32 && bit < 56)
				continue; /* reserved */
			if (table_case(&redir, (ioapic(0x10 + 2 * pin) & 0x1ffff) == want_low &&
						   (ioapic(0x11 + 2 * pin) & 0xff000000) == high))
				note(pin, bit);
		}
		ioapic_write(0x10 + 2 * pin, BIT(16));
		ioapic_write(0x11 + 2 * pin, 0);
	}
	table_line("", &redir);
	claim("I/O APIC: 24 entries", (ioapic(1) >> 16 & 0xff) == 23);

	/* THRE interrupt: the line is high until IIR is read. */
	u32 dest = apic(ID);
	ioapic_write(0x11 + 2 * 4, dest);
	outb(COM1 + 4, 0x0b); /* OUT2 */
	clear();
	keep_eoi = true;
	ioapic_write(0x10 + 2 * 4, 0x70 | BIT(15));
	outb(COM1 + 1, 2);
	bool came = wait_for(0x70, 1);
	bool remote = ioapic(0x10 + 2 * 4) & BIT(14);
	for (unsigned n = 0; n < 100; n++)
		open_briefly();
	bool once = came && seen[0x70] == 1;
	apic_write(EOI, 0);
	bool again = wait_for(0x70, 2);
	inb(COM1 + 2);
	apic_write(EOI, 0);
	for (unsigned n = 0; n < 100; n++)
		open_briefly();
	bool ended = seen[0x70] == 2 && !(ioapic(0x10 + 2 * 4) & BIT(14));
	keep_eoi = false;
	ioapic_write(0x10 + 2 * 4, BIT(16));
	outb(COM1 + 1, 0);
	inb(COM1 + 2);
	claim("level: one interrupt until its EOI", once);
	claim("level: remote IRR is set", remote);
	claim("level: the line still high, it comes again after the EOI", again);
	claim("level: the line low, no more; remote IRR clear", ended);
	clear();
	ioapic_write(0x10 + 2 * 4, 0x71);
	outb(COM1 + 1, 2);
	came = wait_for(0x71, 1);
	for (unsigned n = 0; n < 100; n++)
		open_briefly();
	remote = ioapic(0x10 + 2 * 4) & BIT(14);
	ioapic_write(0x10 + 2 * 4, BIT(16));
	outb(COM1 + 1, 0); /* before anything is printed */
	inb(COM1 + 2);
	claim("edge: one interrupt for one edge, remote IRR clear", came && seen[0x71] == 1 && !remote);
}

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

/* What is printed moves COM1's line: claims on it are printed afterwards. */
static struct {
	const char *name;
	bool good;
} put_off[16];
static unsigned nr_later;

static void later(const char *name, bool good)
{
	put_off[nr_later].name = name;
	put_off[nr_later++].good = good;
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
	pic_init(1);
	later("8259A: ICW1 clears the service register", (pic_read(0x20, 0x0b)) == (0));
	outb(0x21, 0xff);
	apic_write(LVT_LINT0, MASKED);
	keep_eoi = false;
	while (nr_later) {
		nr_later--;
		claim(put_off[nr_later].name, put_off[nr_later].good);
	}
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

/* --- MC146818 --- */

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
	rings_init();
	wrmsr(0x1b, rdmsr(0x1b) | BIT(11));
	apic_write(SVR, 0x1ff);
	apic_write(TPR, 0);
	for (unsigned pin = 0; pin < 24; pin++)
		ioapic_write(0x10 + 2 * pin, BIT(16));
	apic_write(LVT_LINT0, MASKED);
	apic_write(LVT_LINT1, MASKED);
	trap_hook = hook;
	priorities();
	timer();
	local();
	io_apic();
	pic();
	pit();
	rtc();
	uart();
	keyboard();
}
