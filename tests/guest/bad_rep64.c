/* SPDX-License-Identifier: GPL-2.0-or-later */
/* String instructions of absurd lengths, over pages that end, devices and themselves. */
#include "tests/guest/lib/guest.h"

void kmain(void)
{
	u64 c;

	EXPECT("rep stosb into the unmapped", VEC_PF, 2, "cld; rep stosb" : : "c"(-1ull), "D"(0xfffffff0ull), "a"(0));
	claim("it stops at the page that is not there", trap.cr2 == 0x100000000 && trap.frame.di == 0x100000000);
	EXPECT("rep movsq downwards to the canonical boundary", VEC_PF, -1, "std; rep movsq"
	       :
	       : "c"(-1ull), "D"(0x1f00000ull), "S"(-8ull));
	asm volatile("rep movsl" : "=c"(c) : "0"(0x4000), "S"(0xfee00000ull), "D"(0xa0000ull) : "memory");
	claim_eq("rep movsd from a device to a device", c, 0);
	asm volatile("rep insb" : "=c"(c) : "0"(0x2000), "D"(0xb8000ull), "d"(0x3fd) : "memory");
	claim_eq("rep insb to a device", c, 0);
	asm volatile("rep outsl" : "=c"(c) : "0"(0x2000), "S"(0xfec00000ull), "d"(0x80) : "memory");
	claim_eq("rep outsd from a device", c, 0);
	asm volatile("rep stosq" : "=c"(c) : "0"(0x40000), "D"(0x4000000ull), "a"(-1ull) : "memory");
	claim_eq("2 MiB at once", *(volatile u64 *)0x41ffff8, -1ull);
	asm volatile("rep stosq" : "=c"(c) : "0"(0x8000), "D"(0xd0000000ull), "a"(0) : "memory");
	claim_eq("beyond RAM", c, 0);
	put_string("and now without end\n");
	asm volatile("rep lodsb" : : "c"(-1ull), "S"(0x100000ull) : "memory");
}
