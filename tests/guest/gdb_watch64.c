/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What watchpoints and breakpoints are hit by; functions are run in the order in which they stand here. */
#include "tests/guest/lib/guest.h"

#define ALIAS 0x6000000000ull

u64 counter, other, read_me = 0x1234, locked;
u8 pages[3][4096] __attribute__((aligned(4096))) = {[2] = {[8 ... 17] = 0x33}};
u8 big[1 << 20] __attribute__((aligned(4096)));
u64 table[1000];
volatile u64 sink;

/* Writes 1 to 100, one a call of bump(). */
__attribute__((noinline)) void bump(u64 i)
{
	counter = i;
	other += i;
}

__attribute__((noinline)) void count(void)
{
	for (u64 i = 1; i <= 100; i++)
		bump(i);
}

/* The same value again: GDB's `watch` passes over it. */
__attribute__((noinline)) void same(void)
{
	*(volatile u64 *)&counter = 100;
}

__attribute__((noinline)) void reads(void)
{
	sink = *(volatile u64 *)&read_me;
	*(volatile u64 *)&read_me = 0x5678;
}

/* Eight bytes, four in each page. */
__attribute__((noinline)) void crosses(void)
{
	*(volatile u64 *)(pages[1] - 4) = 0x8877665544332211;
}

__attribute__((noinline)) void strings(void)
{
	u8 *to = pages[1] + 100;
	const u8 *from = pages[2] + 8;
	u64 n = 200;

	asm volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(0x5a) : "memory");
	n = 10;
	to = pages[2] + 1000;
	asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
}

__attribute__((noinline)) void locks(void)
{
	u64 v = 5;

	asm volatile("lock xadd %0, %1" : "+r"(v), "+m"(locked) : : "memory");
}

/* By another linear address. */
__attribute__((noinline)) void aliases(void)
{
	*pte_of(ALIAS, 1) = (u64)pages[0] | PTE_P | PTE_W;
	*(volatile u32 *)(ALIAS + 0x10) = 0xa11a5;
}

__attribute__((noinline)) void scatter(void)
{
	for (u64 i = 0; i < 1000; i++)
		table[i * 7 % 1000] = i + 1;
}

__attribute__((noinline)) void fill(void)
{
	big[0] = 1;
	big[0x7ffff] = 2;
	big[sizeof(big) - 1] = 3;
}

/* Ring 3: two stores at its own page, then a breakpoint that ends it. */
extern const u8 user_code[], user_code_end[];
asm("	.pushsection .text\n"
    "	.globl user_code, user_code_end\n"
    "user_code:\n"
    "	movl $1, -16(%rsp)\n"
    "	movl $2, -16(%rsp)\n"
    "	int3\n"
    "user_code_end:\n"
    "	.popsection\n");

/* A million times round; RAX counts. */
void million(void);
asm("	.pushsection .text\n"
    "	.globl million, million_at\n"
    "million:\n"
    "	xor %eax, %eax\n"
    "million_at:\n"
    "	inc %rax\n"
    "	cmp $1000000, %rax\n"
    "	jb million_at\n"
    "	ret\n"
    "	.popsection\n");

__attribute__((noinline)) void last(void)
{
	asm volatile("nop");
}

void kmain(void)
{
	count();
	same();
	reads();
	crosses();
	strings();
	locks();
	aliases();
	scatter();
	fill();
	run_user(user_code, user_code_end - user_code, SEL_UCODE, 0, 2);
	million();
	last();
	claim("the counts", counter == 100 && other == 5050 && locked == 5);
	finish();
}
