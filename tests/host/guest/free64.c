/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For machines that run freely. Timer interrupts come in loops that compute, that read the TSC, that change memory only, and
 * within strings of megabytes; ports are read and written, and what was interrupted goes into a sum that later stops
 * must find again. The interrupts are slow enough for a processor that is emulated. */
#include "tests/guest/lib/guest.h"

#define BIG 0x1000000ull /* 2 MiB from there, and 2 MiB more */

static volatile unsigned ticks;
static volatile u64 sum;

static bool hook(struct frame *f)
{
	if (f->vector != 0x20)
		return false;
	ticks++;
	sum = sum * 31 + f->ip + f->ax + f->cx;
	outb(0x20, 0x20);
	return true;
}

/* 8254 channel 0 every 500 us, through the 8259A as vector 20h. */
static void timer_init(void)
{
	outb(0x20, 0x11);
	outb(0x21, 0x20);
	outb(0x21, 0x04);
	outb(0x21, 0x01);
	outb(0x21, 0xfe);
	outb(0xa1, 0xff);
	outb(0x43, 0x34);
	outb(0x40, 596 & 0xff);
	outb(0x40, 596 >> 8);
}

static void compute(unsigned until)
{
	u32 x = 12345;

	while (ticks < until) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		if (x % 7 == 3)
			sum += x;
	}
}

static void read_tsc(unsigned until)
{
	u64 last = rdtsc();
	unsigned backwards = 0;

	while (ticks < until) {
		u64 now = rdtsc();

		backwards += now < last;
		sum = sum * 7 + now;
		last = now;
	}
	claim("the TSC never runs backwards", !backwards);
}

static void read_ports(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		outb(0x43, 0); /* latch counter 0 */
		sum = sum * 5 + inb(0x40);
		sum += (u32)inb(0x40) << 8;
		outb(0x70, 0);
		sum ^= inb(0x71);
	}
}

/* Registers are the same at each turn: only memory tells one from another. Not too many turns: a replay looks at all. */
static void memory_only(unsigned until)
{
	static volatile u64 cell;

	asm volatile("1: incq %0; mov $2000, %%eax; 2: dec %%eax; jnz 2b; cmpl %2, %1; jb 1b"
		     : "+m"(cell)
		     : "m"(ticks), "r"(until)
		     : "eax", "cc");
	sum += cell;
}

static void strings(unsigned until)
{
	while (ticks < until) {
		u64 from = BIG, to = BIG + (2 << 20), n = (2 << 20) / 8;

		*(volatile u64 *)BIG += sum;
		asm volatile("rep movsq" : "+S"(from), "+D"(to), "+c"(n) : : "memory");
	}
	sum += *(volatile u64 *)(BIG + (2 << 20));
}

void kmain(void)
{
	trap_hook = hook;
	timer_init();
	asm volatile("sti");
	compute(3);
	read_tsc(6);
	read_ports(20);
	memory_only(ticks + 3);
	strings(ticks + 3);
	while (ticks < 18)
		asm volatile("sti; hlt");
	asm volatile("cli");
	put_string("# ticks ");
	put_dec(ticks);
	put_string(", sum ");
	put_hex(sum);
	put_string("\n");
	finish();
}
