/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Interrupts: 8259A and 8254, local APIC timer, I/O APIC, RTC; STI shadow, HLT, TPR, self-modifying code, TSC. */
#include "tests/guest/lib/guest.h"

#define LAPIC  0xfee00000ull
#define IOAPIC 0xfec00000ull

static volatile unsigned seen[256];
static volatile u64 seen_ip;
static bool legacy; /* the 8259s want their EOI */

static u32 lapic_read(u32 reg)
{
	return *(volatile u32 *)(LAPIC + reg);
}

static void lapic_write(u32 reg, u32 v)
{
	*(volatile u32 *)(LAPIC + reg) = v;
}

static u32 ioapic_read(u32 reg)
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
	if (f->vector < 32)
		return false;
	seen[f->vector]++;
	seen_ip = f->ip;
	if (f->vector == 0x28) { /* RTC: register C must be read */
		outb(0x70, 0x0c);
		inb(0x71);
	}
	if (f->vector == 0x41) /* COM1: reading IIR ends the THRE interrupt */
		inb(0x3fa);
	if (legacy) {
		if (f->vector >= 0x28)
			outb(0xa0, 0x20);
		outb(0x20, 0x20);
	} else if (f->vector != 0xff) {
		lapic_write(0xb0, 0);
	}
	return true;
}

/* Waits, interrupts on, until @n of @vector came or a long time went by. */
static bool wait_for(unsigned vector, unsigned n)
{
	for (unsigned i = 0; i < 100000000 && seen[vector] < n; i++)
		asm volatile("sti; nop; nop; nop; cli" : : : "memory");
	return seen[vector] >= n;
}

static void pic_setup(void)
{
	outb(0x20, 0x11);
	outb(0xa0, 0x11);
	outb(0x21, 0x20);
	outb(0xa1, 0x28);
	outb(0x21, 4);
	outb(0xa1, 2);
	outb(0x21, 1);
	outb(0xa1, 1);
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
}

static void pit(u8 mode, u16 count)
{
	outb(0x43, 0x30 | mode << 1);
	outb(0x40, count);
	outb(0x40, count >> 8);
}

static void pic_and_pit(void)
{
	legacy = true;
	pic_setup();
	claim("8259A: mask reads back", inb(0x21) == 0xff && inb(0xa1) == 0xff);
	outb(0x21, 0xfe);
	pit(2, 1193); /* 1 kHz */
	claim("8254 channel 0 through the 8259A: five ticks", wait_for(0x20, 5));
	outb(0x21, 0xff);
	unsigned n = seen[0x20];
	for (volatile int i = 0; i < 100000; i++)
		;
	asm volatile("sti; nop; nop; cli");
	claim("masked: no more ticks", seen[0x20] <= n + 1);
	/* A tick may have been latched while masked: let it in first. */
	pit(0, 0);
	outb(0x21, 0xfe);
	asm volatile("sti; nop; nop; nop; cli" : : : "memory");
	n = seen[0x20];
	pit(0, 2000);
	asm volatile("sti; hlt; cli" : : : "memory");
	claim_eq("mode 0: HLT sleeps until its one interrupt", seen[0x20], n + 1);
	outb(0x43, 0xe2); /* read back: status of channel 0 */
	claim_eq("mode 0: OUT is high at the end", inb(0x40) >> 7, 1);

	/* STI shadow: the instruction after STI runs first. */
	pit(0, 100);
	for (volatile int i = 0; i < 300000; i++)
		;
	u64 here;
	n = seen[0x20];
	asm volatile("lea 1f(%%rip), %0; sti; nop; 1: nop; nop; cli" : "=r"(here) : : "memory");
	claim("STI shadow: one instruction, then the interrupt", seen[0x20] == n + 1 && seen_ip == here);
	pit(0, 100);
	for (volatile int i = 0; i < 300000; i++)
		;
	n = seen[0x20];
	asm volatile("sti; cli; nop; nop" : : : "memory");
	claim_eq("sti; cli lets nothing in", seen[0x20], n);
	asm volatile("mov %%ss, %%ecx; lea 1f(%%rip), %0; pushfq; orl $0x200, (%%rsp); sti; mov %%ecx, %%ss; 1: nop; "
		     "add $8, %%rsp; cli"
		     : "=&r"(here)
		     :
		     : "rcx", "memory", "cc");
	claim("the interrupt that waited comes", seen[0x20] == n + 1);
	outb(0x21, 0xff);

	/* Slave: RTC periodic, 1024 Hz. */
	outb(0x70, 0x0a);
	outb(0x71, 0x26);
	outb(0x70, 0x0b);
	u8 b = inb(0x71);
	outb(0x70, 0x0b);
	outb(0x71, b | 0x40);
	outb(0x70, 0x0c);
	inb(0x71);
	outb(0x21, 0xfb);
	outb(0xa1, 0xfe);
	claim("RTC periodic through the slave 8259A: three ticks", wait_for(0x28, 3));
	outb(0x70, 0x0b);
	outb(0x71, b & ~0x40);
	outb(0xa1, 0xff);
	outb(0x21, 0xff);
	legacy = false;
}

static void lapic(void)
{
	u32 r[4];

	claim("APIC base: enabled, BSP, at FEE00000h", (rdmsr(0x1b) & 0xffffff900) == 0xfee00900);
	claim("APIC version", (lapic_read(0x30) & 0xff) >= 0x10);
	lapic_write(0xf0, 0x1ff);
	lapic_write(0x80, 0);
	lapic_write(0x350, 0x10000); /* LINT0: no ExtINT from the 8259A */
	lapic_write(0x3e0, 0xb);     /* divide by 1 */
	lapic_write(0x320, 0x40);
	lapic_write(0x380, 100000);
	claim("LAPIC timer one-shot", wait_for(0x40, 1));
	claim_eq("one-shot: count is 0", lapic_read(0x390), 0);
	for (volatile int i = 0; i < 100000; i++)
		;
	asm volatile("sti; nop; nop; cli");
	claim_eq("one-shot: one interrupt", seen[0x40], 1);
	lapic_write(0x320, 0x20040);
	lapic_write(0x380, 50000);
	claim("LAPIC timer periodic: four", wait_for(0x40, 5));
	lapic_write(0x320, 0x30040 & ~0x20000);
	lapic_write(0x380, 0);
	asm volatile("sti; nop; nop; cli");

	/* Masked while it expires: nothing; IRR and TPR. */
	unsigned n = seen[0x40];
	lapic_write(0x320, 0x40);
	lapic_write(0x80, 0x50);
	lapic_write(0x380, 1000);
	for (volatile int i = 0; i < 300000; i++)
		;
	asm volatile("sti; nop; nop; cli");
	claim("TPR holds the vector back: IRR is set", seen[0x40] == n && (lapic_read(0x200 + 0x20) & 1));
	u64 cr8;
	asm volatile("mov %%cr8, %0" : "=r"(cr8));
	claim_eq("CR8 is TPR[7:4]", cr8, 5);
	asm volatile("mov %0, %%cr8" : : "r"(0ull));
	asm volatile("sti; nop; nop; cli" : : : "memory");
	claim_eq("CR8 lowered: it comes", seen[0x40], n + 1);

	/* Self IPI and priority: two pending, the higher first. */
	lapic_write(0x300, 0x40000 | 0x51);
	lapic_write(0x300, 0x40000 | 0x71);
	asm volatile("sti; nop; nop; nop; cli" : : : "memory");
	claim("self IPIs", seen[0x51] == 1 && seen[0x71] == 1);

	cpuid(1, 0, r);
	if (r[2] >> 24 & 1) {
		lapic_write(0x320, 0x40040);
		n = seen[0x40];
		u64 deadline = rdtsc() + 200000;
		wrmsr(0x6e0, deadline);
		claim("TSC deadline reads back", rdmsr(0x6e0) == deadline || seen[0x40] > n);
		claim("TSC deadline: interrupt, not before its time", wait_for(0x40, n + 1) && rdtsc() >= deadline);
		claim_eq("TSC deadline disarms", rdmsr(0x6e0), 0);
		wrmsr(0x6e0, rdtsc() + 300000);
		asm volatile("sti; hlt; cli" : : : "memory");
		claim_eq("TSC deadline wakes HLT", seen[0x40], n + 2);
	} else {
		skip("TSC deadline", "not in CPUID");
	}
	lapic_write(0x320, 0x10000);
}

static void ioapic(void)
{
	claim("I/O APIC: 24 entries", (ioapic_read(1) >> 16 & 0xff) == 23);
	ioapic_write(0x10 + 2 * 4 + 1, 0);
	ioapic_write(0x10 + 2 * 4, 0x41);
	while (!(inb(0x3fd) & 0x40))
		;
	outb(0x3fc, 0x0b); /* OUT2 */
	outb(0x3f9, 2);    /* THRE interrupt: the transmitter is empty now */
	claim("COM1 through the I/O APIC", wait_for(0x41, 1));
	outb(0x3f9, 0);
	ioapic_write(0x10 + 2 * 4, 0x10041);
	claim_eq("redirection entry reads back", ioapic_read(0x10 + 2 * 4) & 0x10fff, 0x10041);
	/* The 8254 is at pin 2 (MADT override). */
	ioapic_write(0x10 + 2 * 2 + 1, 0);
	ioapic_write(0x10 + 2 * 2, 0x42);
	pit(2, 5965);
	claim("8254 through the I/O APIC: three ticks", wait_for(0x42, 3));
	ioapic_write(0x10 + 2 * 2, 0x10042);
}

static void code_and_time(void)
{
	static u8 code[64] __attribute__((aligned(64))) = {0xb8, 1, 0, 0, 0, 0xc3}; /* mov $1, %eax; ret */
	u32 (*f)(void) = (void *)code;
	bool good = true;

	for (u32 i = 1; i < 200; i++) {
		good &= f() == (i == 1 ? 1 : i - 1);
		*(volatile u32 *)(code + 1) = i;
		asm volatile("" : : : "memory");
		good &= f() == i;
	}
	claim("self-modifying code: a call sees the last store", good);
	u32 r;
	/* A store into the very next instruction. */
	asm volatile(
	    "mov $5, %%ecx; xor %0, %0; 1: movb $0xc0, 2f+1(%%rip); jmp 2f; 2: .byte 0xff, 0xc8; dec %%ecx; jnz 1b"
	    : "=a"(r)
	    :
	    : "ecx", "memory", "cc");
	claim_eq("a store into the next instruction (dec becomes inc)", r, 5);
	u64 last = rdtsc();
	good = true;
	for (int i = 0; i < 1000; i++) {
		u64 now = rdtsc();

		good &= now > last;
		last = now;
	}
	claim("TSC rises", good);
	u32 aux, lo, hi;
	wrmsr(0xc0000103, 0x77);
	asm volatile("rdtscp" : "=a"(lo), "=d"(hi), "=c"(aux));
	claim("rdtscp: TSC_AUX", aux == 0x77 && ((u64)hi << 32 | lo) > last);
	wrmsr(0x10, 0x1000);
	claim("TSC can be written", rdtsc() < 0x1000000000);
}

void kmain(void)
{
	extern char trap_stubs[];

	trap_hook = hook;
	idt_set(0xff, trap_stubs + 16 * 0xff, SEL_KCODE, 0xe, 0, 0);
	pic_and_pit();
	lapic();
	ioapic();
	code_and_time();
}
