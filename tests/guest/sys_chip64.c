/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Local APIC and I/O APIC (SDM 3A chapter 10, 82093AA data sheet), and when an interrupt is taken. */
#include "tests/guest/lib/chip.h"

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

/* --- when an interrupt that waits is taken: the instruction it comes before --- */

static volatile u64 taken_at;

static bool note_place(struct frame *f)
{
	if (f->vector < 32 || f->vector == VEC_DONE)
		return false;
	taken_at = f->ip;
	apic_write(EOI, 0);
	return true;
}

#define SHADOW(name, text, where)                                                                    \
	({                                                                                           \
		extern const u8 name[], name##_at[];                                                 \
		asm(".pushsection .text.stubs, \"ax\"; " #name ": " text "; cli; ret; .popsection"); \
		taken_at = 0;                                                                        \
		self_ipi(0x55);                                                                      \
		asm volatile("call *%0" : : "r"(name) : "rax", "rcx", "memory");                     \
		claim(where, taken_at == (u64)name##_at);                                            \
	})

static void shadows(void)
{
	trap_hook = note_place;
	SHADOW(h_sti, "sti; nop; h_sti_at: nop; nop", "STI: taken after one more instruction");
	SHADOW(h_sti2, "sti; sti; h_sti2_at: nop; nop", "STI twice: the second has no shadow");
	SHADOW(h_ss2, "mov %ss, %eax; sti; nop; h_ss2_at: mov %eax, %ss; nop", "not between STI's shadow and MOV SS");
	SHADOW(h_popf, "pushf; orl $0x200, (%rsp); popf; h_popf_at: nop; nop", "POPF that sets IF: at once");
	SHADOW(h_hlt, "sti; hlt; h_hlt_at: nop", "STI and HLT: wakes, behind HLT");
	SHADOW(h_rep, "cli; mov $2, %ecx; sti; cld; h_rep_at: nop; cli", "the instruction of the shadow may be any");
	taken_at = 0;
	self_ipi(0x55);
	asm volatile("sti; cli" : : : "memory");
	claim("STI and CLI: not taken", !taken_at);
	asm volatile("sti; nop; cli" : : : "memory");
	claim("but later", taken_at);
	trap_hook = hook;
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

void kmain(void)
{
	chip_init();
	priorities();
	shadows();
	timer();
	local();
	io_apic();
}
