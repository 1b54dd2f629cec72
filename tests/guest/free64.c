/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A timer that interrupts everything that can be going on. What the interrupts met is printed, so no two runs by host
 * time print the same, and a replay does only if each interrupt came where it had come. */
#include "tests/guest/lib/guest.h"

#define TICKS 40
#define COM1  0x3f8

static volatile unsigned ticks;
static volatile u64 met, counter;
static u64 buffer[2][1 << 18]; /* 2 MiB each */

static bool hook(struct frame *f)
{
	if (f->vector == VEC_PF || f->vector == VEC_UD) {
		f->ip += 2; /* mov (%rbx), %al; ud2 */
		return true;
	}
	if (f->vector != 0x20)
		return false;
	ticks++;
	met = (met ^ f->ip) * 0x100000001b3ull;
	met = (met ^ f->cx) * 0x100000001b3ull + f->ax + f->di + counter;
	outb(0x20, 0x20);
	/* In user mode the last one ends it. */
	return !((f->cs & 3) && ticks >= TICKS);
}

static void timer_start(void)
{
	outb(0x20, 0x11);
	outb(0x21, 0x20);
	outb(0x21, 4);
	outb(0x21, 1);
	outb(0x21, 0xfe);
	outb(0x43, 0x34);
	outb(0x40, 1193182 / 1000 & 0xff);
	outb(0x40, 1193182 / 1000 >> 8);
}

static void phase(const char *name, void (*fn)(void))
{
	u64 before = met;

	ticks = 0;
	asm volatile("sti");
	fn();
	asm volatile("cli");
	claim(name, ticks >= TICKS && met != before);
	put_string("met ");
	put_hex(met);
	put_char('\n');
}

static void compute(void)
{
	u64 n = 1;

	while (ticks < TICKS) {
		ulong turns = 5000;

		asm volatile("1: imul $12345, %0, %0; inc %0; dec %1; jnz 1b" : "+r"(n), "+r"(turns) : : "cc");
	}
	counter = n;
}

/* Only memory tells one turn from the other. */
static void count_in_memory(void)
{
	asm volatile("1: incq %0; cmpl %2, %1; jb 1b" : "+m"(counter) : "m"(ticks), "i"(TICKS) : "cc", "memory");
}

/* Only a register beyond the general ones does. */
static void count_in_sse(void)
{
	asm volatile("movq %0, %%xmm1; pxor %%xmm0, %%xmm0" : : "r"(1ul));
	asm volatile("1: paddq %%xmm1, %%xmm0; cmpl %1, %0; jb 1b" : : "m"(ticks), "i"(TICKS) : "cc", "memory");
	asm volatile("movq %%xmm0, %0" : "=m"(counter));
}

static void nothing(void)
{
	asm volatile("1: cmpl %1, %0; jb 1b" : : "m"(ticks), "i"(TICKS) : "cc", "memory");
}

static void copy(void)
{
	while (ticks < TICKS) {
		void *to = buffer[1], *from = buffer[0];
		ulong n = 1 << 18;

		buffer[0][ticks]++;
		asm volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
		to = buffer[0];
		n = 1 << 18;
		asm volatile("rep stosq" : "+D"(to), "+c"(n) : "a"(rdtsc()) : "memory");
	}
}

static void read_time(void)
{
	while (ticks < TICKS)
		counter += rdtsc();
}

static void halt(void)
{
	while (ticks < TICKS) {
		asm volatile("hlt");
		counter++;
	}
}

static void halt_shadow(void)
{
	while (ticks < TICKS)
		asm volatile("cli; incq %0; sti; hlt" : "+m"(counter));
}

static void fault(void)
{
	while (ticks < TICKS) {
		asm volatile("movb (%0), %%al" : : "b"(0x100000000ul) : "rax");
		asm volatile("ud2");
		counter++;
	}
}

static void trace_steps(void)
{
	while (ticks < TICKS)
		asm volatile("mov %%ss, %%eax; mov %%eax, %%ss; nop; sti; nop" : : : "rax");
}

static void user(void)
{
	static const u8 code[] = {0x48, 0xff, 0xc0, 0xeb, 0xfb}; /* 1: inc %rax; jmp 1b */

	run_user(code, sizeof(code), SEL_UCODE, 0, FLAG_IF | 2);
	claim_eq("the timer ends it", trap.frame.vector, 0x20);
}

static void devices(void)
{
	static u8 bytes[512];

	while (ticks < TICKS) {
		void *to = bytes;
		ulong n = sizeof(bytes);

		asm volatile("rep insb" : "+D"(to), "+c"(n) : "d"(COM1 + 5) : "memory");
		counter += bytes[ticks];
	}
}

static void input(void)
{
	char c = 0;

	while (ticks < TICKS || (inb(COM1 + 5) & 1))
		if (inb(COM1 + 5) & 1) {
			c = inb(COM1);
			met = met * 31 + c;
			put_char(c);
		}
}

void kmain(void)
{
	trap_hook = hook;
	WRITE_CR(4, READ_CR(4) | BIT(9));
	timer_start();
	phase("a loop in registers", compute);
	phase("a loop that changes memory only", count_in_memory);
	phase("a loop that changes SSE registers only", count_in_sse);
	phase("a loop that changes nothing", nothing);
	phase("string instructions of 2 MiB", copy);
	phase("reading the time", read_time);
	phase("HLT", halt);
	phase("STI and HLT", halt_shadow);
	phase("page faults and undefined instructions", fault);
	phase("interrupt shadows", trace_steps);
	phase("user mode", user);
	phase("string instructions on a port", devices);
	phase("input", input);
	finish();
}
