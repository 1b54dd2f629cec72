/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All that makes a guest nondeterministic, mixed: the TSC read in a loop, timer interrupts in a compute loop, ports read
 * and written, sleep. Says what it counted, so that a difference shows on the console too. */
#include "tests/guest/lib/guest.h"

static volatile unsigned ticks;
static volatile u64 sum;

static bool hook(struct frame *f)
{
	if (f->vector != 0x20)
		return false;
	ticks++;
	/* What was interrupted, and when. */
	sum = sum * 31 + f->ip + f->ax + rdtsc();
	outb(0x20, 0x20);
	return true;
}

/* 8254 channel 0 every @count of 1.193182 MHz, through the 8259A as vector 20h. */
static void timer_init(unsigned count)
{
	outb(0x20, 0x11);
	outb(0x21, 0x20);
	outb(0x21, 0x04);
	outb(0x21, 0x01);
	outb(0x21, 0xfe);
	outb(0xa1, 0xff);
	outb(0x43, 0x34);
	outb(0x40, count & 0xff);
	outb(0x40, count >> 8);
}

static u64 read_tsc_often(unsigned n)
{
	u64 last = rdtsc(), total = 0;
	unsigned backwards = 0;

	for (unsigned i = 0; i < n; i++) {
		u64 now = rdtsc();

		backwards += now < last;
		total = total * 7 + now;
		last = now;
	}
	claim("the TSC never runs backwards", !backwards);
	return total;
}

static u32 compute(unsigned n)
{
	u32 x = 12345, primes = 0;

	for (unsigned i = 0; i < n; i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		if (x % 7 == 3)
			primes++;
	}
	return x + primes;
}

static u32 read_ports(unsigned n)
{
	u32 v = 0;

	for (unsigned i = 0; i < n; i++) {
		outb(0x43, 0); /* latch counter 0 */
		v = v * 5 + inb(0x40);
		v += (u32)inb(0x40) << 8;
		outb(0x70, 0);
		v ^= inb(0x71);
		v += inb(0x61);
	}
	return v;
}

static void sleep(unsigned n)
{
	for (unsigned end = ticks + n; ticks < end;)
		asm volatile("sti; hlt; cli" : : : "memory");
}

void kmain(void)
{
	u64 total;

	trap_hook = hook;
	timer_init(20); /* 17 us: 17,000 instructions of the virtual clock */
	total = read_tsc_often(300);
	asm volatile("sti");
	total += compute(5000);
	total += read_ports(40);
	total += read_tsc_often(100);
	total += compute(2000);
	asm volatile("cli");
	claim("timer interrupts came in the loops", ticks > 2);
	sleep(3);
	put_string("# ticks ");
	put_dec(ticks);
	put_string(", sum ");
	put_hex(sum);
	put_string(", total ");
	put_hex(total);
	put_string("\n");
	finish();
}
