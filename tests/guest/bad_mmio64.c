/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads and writes physical addresses that are no RAM, in every size, chip registers among them. */
#include "tests/guest/lib/guest.h"

static void poke(u64 at)
{
	volatile u8 *p = (u8 *)at;
	u64 v = 0;

	v += p[0];
	v += p[3];
	v += *(volatile u16 *)p;
	v += *(volatile u32 *)p;
	v += *(volatile u64 *)p;
	v += *(volatile u64 *)(p + 5);
	p[0] = v;
	p[2] = 0xff;
	*(volatile u16 *)(p + 1) = v;
	*(volatile u32 *)p = ~v;
	*(volatile u64 *)p = v;
	*(volatile u64 *)(p + 7) = ~0ull;
	asm volatile("lock addl $1, (%0); xchgb %%al, 1(%0); lock cmpxchg16b (%0)"
		     :
		     : "r"(at & ~15ull)
		     : "rax", "rdx", "memory", "cc");
	asm volatile("movups (%0), %%xmm0; movups %%xmm0, 3(%0)" : : "r"(at) : "memory");
}

void kmain(void)
{
	for (u64 at = 0xa0000; at < 0x100000; at += 0x400)
		poke(at);
	put_string("low\n");
	for (u64 at = 0xc0000000; at < 0xffff0000; at += 0x20000)
		poke(at);
	put_string("hole\n");
	for (u64 at = 0xfee00000; at < 0xfee00800; at += 4)
		poke(at);
	for (u64 at = 0xfec00000; at < 0xfec00100; at += 4)
		poke(at);
	put_string("chips\n");
	/* Above 4 GiB, through a page of its own. */
	volatile u64 *pte = pte_of(0x20000000000, 1);
	for (int bit = 32; bit < 39; bit++) {
		*pte = BIT(bit) | PTE_P | PTE_W;
		invlpg(0x20000000000);
		poke(0x20000000100);
		poke(0x20000000ff0 - 64);
	}
	claim("still here", true);
}
