/* SPDX-License-Identifier: GPL-2.0-or-later */
/* More of the local APIC and the I/O APIC (SDM 3A chapter 10, 82093AA data sheet): every vector, destinations, priorities,
 * errors, software disable, timer modes, delivery modes of pins. */
#include "tests/guest/lib/chip.h"

static u16 pm;

/* --- vectors --- */

static volatile unsigned expected;
static volatile bool in_service, still_requested;

static bool look_hook(struct frame *f)
{
	if (f->vector == expected) {
		in_service = bit_of(ISR, expected);
		still_requested = bit_of(IRR, expected);
	}
	return hook(f);
}

static void vectors(void)
{
	static struct table t = {.name = "every vector: IRR until taken, ISR until EOI, TMR clear"};
	static struct table twice = {.name = "every vector: one more waits in IRR while one is in service, not two"};

	for (unsigned v = 32; v < 256; v++) {
		if (v == VEC_DONE || v == 0xff)
			continue;
		clear();
		expected = v;
		in_service = still_requested = false;
		trap_hook = look_hook;
		self_ipi(v);
		bool good = bit_of(IRR, v) && !bit_of(ISR, v) && !bit_of(0x180, v) && !seen[v];
		open_briefly();
		good = good && seen[v] == 1 && in_service && !still_requested && !bit_of(ISR, v) && !bit_of(IRR, v);
		if (table_case(&t, good))
			note(v, seen[v]);
		trap_hook = hook;
		clear();
		keep_eoi = true;
		self_ipi(v);
		open_briefly();
		for (unsigned n = 0; n < 3; n++)
			self_ipi(v);
		good = bit_of(IRR, v) && bit_of(ISR, v);
		open_briefly();
		good = good && seen[v] == 1;
		for (unsigned n = 0; n < 3; n++) {
			apic_write(EOI, 0);
			open_briefly();
		}
		if (table_case(&twice, good && seen[v] == 2 && !bit_of(ISR, v)))
			note(v, seen[v]);
		keep_eoi = false;
	}
	table_line("", &t);
	table_line("", &twice);
}

static void processor_priority(void)
{
	static struct table t = {.name = "PPR: the higher class of TPR and of what is in service"};
	static struct table eoi = {.name = "EOI ends the highest in service, with nothing there it does nothing"};

	for (unsigned class = 2; class < 16; class ++)
		for (unsigned tpr = 0; tpr < 256; tpr += 5) {
			unsigned v = class << 4 | 6;

			clear();
			keep_eoi = true;
			apic_write(TPR, 0);
			self_ipi(v);
			open_briefly();
			apic_write(TPR, tpr);
			u32 want = tpr >> 4 >= class ? tpr : class << 4;
			if (table_case(&t, apic(PPR) == want))
				note(class << 8 | tpr, apic(PPR));
			apic_write(TPR, 0);
			apic_write(EOI, 0);
		}
	for (unsigned n = 2; n < 15; n++) {
		unsigned low = n << 4 | 1, high = (n + 1) << 4 | 2;

		self_ipi(low);
		open_briefly();
		self_ipi(high);
		open_briefly();
		bool good = bit_of(ISR, low) && bit_of(ISR, high);
		apic_write(EOI, 0);
		good = good && bit_of(ISR, low) && !bit_of(ISR, high);
		apic_write(EOI, 0);
		good = good && !bit_of(ISR, low);
		apic_write(EOI, 0);
		if (table_case(&eoi, good && apic(PPR) == 0))
			note(low, high);
	}
	keep_eoi = false;
	table_line("", &t);
	table_line("", &eoi);
	apic_write(TPR, 0x5a);
	u64 cr8 = 6;
	asm volatile("mov %0, %%cr8" : : "r"(cr8));
	claim_eq("CR8: a write clears TPR bits 3:0", apic(TPR), 0x60);
	apic_write(TPR, 0);
}

/* --- registers --- */

static void registers(void)
{
	static struct table svr = {.name = "SVR: every vector, bits 8 and 9, the rest 0"};
	static struct table dest = {.name = "LDR and DFR: the bits that can be written"};
	static struct table ro = {.name = "read-only registers stay"};
	static struct table icr = {.name = "ICR: vector, modes and shorthand read back, delivery status is 0"};
	static const u16 read_only[] = {VERSION, PPR, ISR, ISR + 0x70, 0x180, IRR, IRR + 0x30, TMCCT};

	for (unsigned v = 0; v < 256; v++) {
		apic_write(SVR, 0xfffffc00 | 1 << 8 | v);
		if (table_case(&svr, (apic(SVR) & ~0x1000u) == (1 << 8 | v)))
			note(v, apic(SVR));
	}
	apic_write(SVR, 0x3ff);
	if (table_case(&svr, apic(SVR) == 0x3ff))
		note(0x3ff, apic(SVR));
	apic_write(SVR, 0x1ff);
	for (unsigned bit = 0; bit < 32; bit++) {
		u32 v = BIT(bit);

		apic_write(LDR, v);
		if (table_case(&dest, apic(LDR) == (v & 0xff000000)))
			note(bit, apic(LDR));
		apic_write(DFR, v);
		if (table_case(&dest, apic(DFR) == (v | 0x0fffffff)))
			note(bit, apic(DFR));
	}
	apic_write(LDR, 0);
	apic_write(DFR, 0xffffffff);
	for (unsigned n = 0; n < ARRAY_SIZE(read_only); n++) {
		u32 before = apic(read_only[n]);

		apic_write(read_only[n], ~before);
		if (table_case(&ro, apic(read_only[n]) == before))
			note(read_only[n], apic(read_only[n]));
	}
	apic_write(ESR, 0);
	/* To all but self: nobody. Fixed, lowest priority, NMI, INIT; start-up. */
	static const u8 modes[] = {0, 1, 4, 5, 6};
	for (unsigned n = 0; n < ARRAY_SIZE(modes); n++)
		for (unsigned bits = 0; bits < 8; bits++) {
			u32 v = 3 << 18 | modes[n] << 8 | 0x40 | (bits & 1) << 11 | (bits & 2) << 13 | (bits & 4) << 13;

			apic_write(ICR2, 0x5a000000);
			apic_write(ICR, v);
			if (table_case(&icr, apic(ICR) == v && apic(ICR2) == 0x5a000000))
				note(v, apic(ICR));
		}
	table_line("", &svr);
	table_line("", &dest);
	table_line("", &ro);
	table_line("", &icr);
}

/* --- destinations --- */

static bool arrives(u32 icr, u32 dest)
{
	clear();
	apic_write(ICR2, dest << 24);
	apic_write(ICR, icr | 0x62);
	open_briefly();
	return seen[0x62] == 1;
}

static void destinations(void)
{
	static struct table flat = {.name = "logical destination, flat: every LDR bit against every destination"};
	static struct table cluster = {.name = "logical destination, cluster: cluster and member must fit, FFh is all"};
	static struct table physical = {.name = "physical destination: the APIC ID, or FFh for all"};
	static struct table hand = {.name = "shorthands: self and all including self, whatever the destination"};
	static const u8 members[] = {0x01, 0x12, 0x24, 0x48, 0xe1, 0x3f};
	u8 own = apic(ID) >> 24;

	for (unsigned lowest = 0; lowest < 2; lowest++) {
		u32 mode = lowest << 8 | 1 << 11;

		for (unsigned bit = 0; bit < 8; bit++)
			for (unsigned dest = 0; dest < 256; dest++) {
				apic_write(LDR, BIT(bit) << 24);
				if (table_case(&flat, arrives(mode, dest) == (dest >> bit & 1)))
					note(bit, dest);
			}
		apic_write(DFR, 0x0fffffff);
		for (unsigned n = 0; n < ARRAY_SIZE(members); n++)
			for (unsigned dest = 0; dest < 256; dest++) {
				bool fits = dest >> 4 == members[n] >> 4 && (dest & members[n] & 15);

				if (dest >= 0xf0 && dest != 0xff)
					continue; /* cluster 15 is left for the broadcast */
				apic_write(LDR, members[n] << 24);
				if (table_case(&cluster, arrives(mode, dest) == (dest == 0xff || fits)))
					note(members[n], dest);
			}
		apic_write(DFR, 0xffffffff);
	}
	for (unsigned dest = 0; dest < 256; dest++)
		if (table_case(&physical, arrives(0, dest) == (dest == own || dest == 0xff)))
			note(own, dest);
	apic_write(LDR, 0x01000000);
	for (unsigned logical = 0; logical < 2; logical++)
		for (unsigned dest = 0; dest < 256; dest += 15)
			for (unsigned shorthand = 1; shorthand < 4; shorthand++) {
				bool good = arrives(shorthand << 18 | logical << 11, dest) == (shorthand != 3);

				if (table_case(&hand, good))
					note(shorthand << 8 | logical, dest);
			}
	table_line("", &flat);
	table_line("", &cluster);
	table_line("", &physical);
	table_line("", &hand);
}

/* --- errors --- */

static void errors(void)
{
	static struct table sent = {.name = "ESR: an IPI with vector 0 to 15: bit 5, behind the next write"};
	static struct table lvt = {.name = "ESR: the timer's entry with vector 0 to 15: bit 6, and nothing arrives"};
	static struct table reg = {.name = "ESR: registers that aren't there: bit 7"};
	static const u16 absent[] = {0x00, 0x10, 0x40, 0x50, 0x60, 0x70};

	apic_write(LVT_ERROR, MASKED | 0x51);
	for (unsigned v = 0; v < 16; v++) {
		apic_write(ESR, 0);
		apic_write(ESR, 0);
		apic_write(ICR, 3 << 18 | v); /* to nobody: an emulator may deliver it */
		open_briefly();
		u32 before = apic(ESR);
		apic_write(ESR, 0);
		if (table_case(&sent, before == 0 && (apic(ESR) & BIT(5))))
			note(v, apic(ESR));
	}
	table_line("", &sent);
	if (!under_tcg()) {
		for (unsigned v = 0; v < 16; v++) {
			apic_write(ESR, 0);
			apic_write(ESR, 0);
			apic_write(TDCR, 11);
			apic_write(LVT_TIMER, v);
			apic_write(TMICT, 100);
			for (unsigned n = 0; n < 1000; n++)
				asm volatile("pause");
			apic_write(LVT_TIMER, MASKED);
			apic_write(ESR, 0);
			if (table_case(&lvt, (apic(ESR) & BIT(6)) && !bit_of(IRR, v)))
				note(v, apic(ESR));
		}
		table_line("", &lvt);
	} else {
		skip("ESR for the timer's entry", "the emulator delivers it as an exception");
	}
	apic_write(ESR, 0);
	apic_write(ESR, 0);
	for (unsigned n = 0; n < ARRAY_SIZE(absent); n++)
		for (unsigned write = 0; write < 2; write++) {
			if (write)
				apic_write(absent[n], 0);
			else
				apic(absent[n]);
			apic_write(ESR, 0);
			if (table_case(&reg, apic(ESR) == BIT(7)))
				note(absent[n], apic(ESR));
		}
	table_line("", &reg);
	apic_write(ESR, 0);
	apic_write(ESR, 0);
	clear();
	apic_write(LVT_ERROR, MASKED | 0x51);
	apic(0x40);
	open_briefly();
	claim("LVT error entry masked: no interrupt", !seen[0x51]);
	apic_write(LVT_ERROR, 0x51);
	apic(0x40);
	open_briefly();
	claim("LVT error entry: an error interrupts", seen[0x51] == 1);
	apic_write(LVT_ERROR, MASKED);
	apic_write(ESR, 0);
	apic_write(ESR, 0);
}

/* --- software disable, and off --- */

static volatile unsigned nmis;

static bool nmi_hook(struct frame *f)
{
	if (f->vector != VEC_NMI)
		return hook(f);
	nmis++;
	return true;
}

static void disabled(void)
{
	extern char trap_stubs[];

	idt_set(VEC_NMI, trap_stubs + 16 * VEC_NMI, SEL_KCODE, 0xe, 0, 0);
	clear();
	self_ipi(0x63);
	apic_write(SVR, 0xff);
	claim("software disable: what is requested stays", bit_of(IRR, 0x63));
	self_ipi(0x64);
	claim("software disable: fixed interrupts aren't accepted", !bit_of(IRR, 0x64));
	trap_hook = nmi_hook;
	apic_write(ICR2, apic(ID));
	apic_write(ICR, 4 << 8 | 1 << 14);
	for (unsigned n = 0; n < 1000 && !nmis; n++)
		asm volatile("nop");
	claim("software disable: an NMI is", nmis == 1);
	trap_hook = hook;
	apic_write(SVR, 0x1ff);
	open_briefly();
	claim("enabled again: what was requested comes", seen[0x63] == 1 && !seen[0x64]);
}

static void switched_off(void)
{
	u64 base = rdmsr(0x1b);

	claim("APIC_BASE: the boot processor's bit", base & BIT(8));
	apic_write(TPR, 0x50);
	apic_write(LDR, 0x01000000);
	apic_write(LVT_ERROR, 0x51);
	wrmsr(0x1b, base & ~BIT(11));
	claim("APIC_BASE disable: CPUID's APIC bit is clear", !has_feature(1, 3, 9));
	wrmsr(0x1b, base | BIT(11));
	claim("and set again", has_feature(1, 3, 9));
	claim("it is as after power-up: SVR FFh, TPR 0, LDR 0, DFR all ones, LVT masked",
	      apic(SVR) == 0xff && apic(TPR) == 0 && apic(LDR) == 0 && apic(DFR) == 0xffffffff &&
		  apic(LVT_ERROR) == MASKED);
	apic_write(SVR, 0x1ff);
}

/* --- timer --- */

static u32 counted(u32 divide, u32 pm_ticks)
{
	apic_write(TDCR, divide);
	apic_write(TMICT, 0xffffffff);
	u32 from = pm_timer(pm);
	u32 first = apic(TMCCT);
	while (pm_since(pm, from) < pm_ticks)
		;
	return first - apic(TMCCT);
}

static void timer(void)
{
	static const u8 codes[] = {11, 0, 1, 2, 3, 8, 9, 10}; /* by 1, 2, 4 ... 128 */
	static struct table rate = {.name = "timer: divides by 1 to 128"};
	static struct table values = {.name = "timer: the divide register has bits 3, 1 and 0"};

	apic_write(LVT_TIMER, MASKED);
	u32 by_1 = counted(codes[0], PM_HZ / 100);
	for (unsigned n = 0; n < ARRAY_SIZE(codes); n++) {
		u32 got = counted(codes[n], PM_HZ / 100), want = by_1 >> n;

		if (table_case(&rate, got > want - want / 8 - 2 && got < want + want / 8 + 2))
			note(codes[n], got);
	}
	table_line("", &rate);
	for (unsigned v = 0; v < 16; v++) {
		apic_write(TDCR, 0xfffffff0 | v);
		if (table_case(&values, apic(TDCR) == (v & 11)))
			note(v, apic(TDCR));
	}
	table_line("", &values);
	apic_write(TDCR, 11);
	apic_write(TMICT, 0);
	clear();
	apic_write(LVT_TIMER, 0x50 | MASKED);
	apic_write(TMICT, 1000);
	while (apic(TMCCT))
		;
	apic_write(LVT_TIMER, 0x50);
	for (unsigned n = 0; n < 1000; n++)
		open_briefly();
	claim("timer: what ran out while masked doesn't come when it is unmasked", !seen[0x50]);
	apic_write(TMICT, 0xffffff);
	apic_write(TMICT, 1000);
	claim("timer: a new initial count begins anew", apic(TMCCT) <= 1000 && wait_for(0x50, 1));
	for (unsigned n = 0; n < 1000; n++)
		open_briefly();
	claim("timer: one shot", seen[0x50] == 1 && apic(TMCCT) == 0 && apic(TMICT) == 1000);
	clear();
	apic_write(LVT_TIMER, 0x50 | BIT(17));
	apic_write(TMICT, 50000);
	wait_for(0x50, 2);
	u32 high = 0;
	for (unsigned n = 0; n < 2000; n++) {
		u32 now = apic(TMCCT);

		high = now > high ? now : high;
	}
	claim("timer: periodic, the count starts again below the initial one", high > 0 && high <= 50000);
	apic_write(LVT_TIMER, MASKED);
	apic_write(TMICT, 0);
	open_briefly();
}

static void deadline(void)
{
	if (!has_feature(1, 2, 24)) {
		skip("TSC deadline", "not in CPUID");
		return;
	}
	apic_write(LVT_TIMER, MASKED);
	wrmsr(0x6e0, rdtsc() + 1000);
	claim("TSC deadline: outside of its mode the MSR takes nothing", rdmsr(0x6e0) == 0);
	apic_write(LVT_TIMER, 0x50 | 2 << 17);
	clear();
	wrmsr(0x6e0, rdtsc() + 20000000);
	wrmsr(0x6e0, 0);
	sleep_for(pm, 0x50, 1, PM_HZ / 20);
	claim("TSC deadline: 0 disarms", !seen[0x50]);
	apic_write(LVT_TIMER, 0x50 | 2 << 17);
	u64 at = rdtsc() + 3000000;
	wrmsr(0x6e0, at + 100000000000ull);
	wrmsr(0x6e0, at);
	while (!seen[0x50] && rdtsc() < at + 100000000)
		open_briefly();
	u64 now = rdtsc();
	claim("TSC deadline: an earlier one replaces it, not before its time", seen[0x50] == 1 && now >= at);
	apic_write(LVT_TIMER, 0x50 | 2 << 17 | MASKED);
	wrmsr(0x6e0, rdtsc() + 100000);
	at = rdtsc() + 1000000;
	while (rdtsc() < at)
		;
	apic_write(LVT_TIMER, 0x50 | 2 << 17);
	open_briefly();
	claim("TSC deadline: what passed while masked is lost", seen[0x50] == 1 && rdmsr(0x6e0) == 0);
	wrmsr(0x6e0, rdtsc() + 100000000000ull);
	apic_write(LVT_TIMER, 0x50);
	apic_write(LVT_TIMER, 0x50 | 2 << 17);
	claim("TSC deadline: leaving the mode disarms", rdmsr(0x6e0) == 0);
	apic_write(LVT_TIMER, 0x50);
	apic_write(TMICT, 0xffffff);
	apic_write(LVT_TIMER, 0x50 | 2 << 17);
	claim("TSC deadline: entering it stops the count", apic(TMCCT) == 0);
	apic_write(LVT_TIMER, MASKED);
}

/* --- I/O APIC: pin 1, moved by the 8042's output buffer --- */

static void kbd_wait(void)
{
	for (unsigned n = 0; n < 100000 && (inb(0x64) & 2); n++)
		;
}

static void pin_1(bool high)
{
	if (high) {
		kbd_wait();
		outb(0x64, 0xd2);
		kbd_wait();
		outb(0x60, 0x5a);
	} else {
		inb(0x60);
	}
	for (unsigned n = 0; n < 20000; n++)
		asm volatile("pause");
}

static void route(u32 low, u32 high)
{
	ioapic_write(0x10 + 2, BIT(16));
	ioapic_write(0x11 + 2, high);
	ioapic_write(0x10 + 2, low);
}

static void io_apic(void)
{
	static struct table redir = {.name = "I/O APIC: every pin's entry, what can be written"};
	static struct table vectors_t = {.name = "I/O APIC: every vector"};
	static struct table modes = {.name = "I/O APIC: fixed and lowest priority, physical and logical destination"};
	u32 own = apic(ID), old_id = ioapic(0);

	for (unsigned pin = 0; pin < 24; pin++) {
		for (unsigned bit = 0; bit < 64; bit++) {
			u32 low = BIT(16) | (bit < 32 ? BIT(bit) : 0), high = bit < 32 ? 0 : BIT(bit - 32);

			if (bit >= 17 && bit < 56)
				continue; /* reserved */
			ioapic_write(0x10 + 2 * pin, low);
			ioapic_write(0x11 + 2 * pin, high);
			if (table_case(&redir,
				       (ioapic(0x10 + 2 * pin) & 0x1ffff) == (low & ~(u32)(BIT(12) | BIT(14))) &&
					   (ioapic(0x11 + 2 * pin) & 0xff000000) == high))
				note(pin, bit);
		}
		ioapic_write(0x10 + 2 * pin, BIT(16));
		ioapic_write(0x11 + 2 * pin, 0);
	}
	table_line("", &redir);
	ioapic_write(0, 0x05000000);
	claim("I/O APIC: its ID can be written, four bits", (ioapic(0) & 0x0f000000) == 0x05000000);
	ioapic_write(0, old_id);
	u32 version = ioapic(1);
	ioapic_write(1, 0);
	claim("I/O APIC: its version can't", ioapic(1) == version);

	while (inb(0x64) & 1)
		inb(0x60);
	outb(0x64, 0x60);
	kbd_wait();
	outb(0x60, 0x61); /* IRQ 1 on */
	kbd_wait();
	for (unsigned v = 32; v < 256; v++) {
		if (v == VEC_DONE || v == 0xff)
			continue;
		clear();
		route(v, own);
		pin_1(true);
		open_briefly();
		if (table_case(&vectors_t, seen[v] == 1))
			note(v, seen[v]);
		pin_1(false);
	}
	table_line("", &vectors_t);
	apic_write(LDR, 0x01000000);
	for (unsigned n = 0; n < 4; n++)
		for (unsigned fits = 0; fits < 2; fits++) {
			bool logical = n & 1, lowest = n & 2;

			clear();
			route(0x72 | lowest << 8 | logical << 11,
			      fits ? (logical ? 0x01000000 : own) : (logical ? 0x02000000 : own + 0x01000000));
			pin_1(true);
			open_briefly();
			if (table_case(&modes, seen[0x72] == fits))
				note(n, fits);
			pin_1(false);
		}
	table_line("", &modes);
	clear();
	route(0x73 | BIT(16), own);
	pin_1(true);
	ioapic_write(0x10 + 2, 0x73);
	open_briefly();
	claim("I/O APIC: an edge while masked is lost", !seen[0x73]);
	pin_1(false);
	route(0x74 | BIT(15) | BIT(16), own);
	pin_1(true);
	open_briefly();
	bool held = !seen[0x74];
	keep_eoi = true;
	ioapic_write(0x10 + 2, 0x74 | BIT(15));
	open_briefly();
	claim("I/O APIC: a level while masked comes when it is unmasked", held && seen[0x74] == 1);
	pin_1(false);
	apic_write(EOI, 0);
	keep_eoi = false;
	nmis = 0;
	trap_hook = nmi_hook;
	route(4 << 8, own);
	pin_1(true);
	for (unsigned n = 0; n < 1000 && !nmis; n++)
		asm volatile("nop");
	claim("I/O APIC: a pin that delivers an NMI", nmis == 1);
	trap_hook = hook;
	route(BIT(16), 0);
	pin_1(false);
	clear();
	keep_eoi = true;
	route(0x75 | BIT(15), own);
	pin_1(true);
	open_briefly();
	bool first = seen[0x75] == 1;
	pin_1(false);
	apic_write(EOI, 0);
	open_briefly();
	bool quiet = seen[0x75] == 1;
	pin_1(true);
	open_briefly();
	claim("I/O APIC: a level that fell before the EOI doesn't come again, its next rise does",
	      first && quiet && seen[0x75] == 2);
	pin_1(false);
	apic_write(EOI, 0);
	keep_eoi = false;
	route(BIT(16), 0);
}

void kmain(void)
{
	chip_init();
	pm = pm_base();
	vectors();
	processor_priority();
	registers();
	destinations();
	errors();
	disabled();
	timer();
	deadline();
	io_apic();
	switched_off();
}
