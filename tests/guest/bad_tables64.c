/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Page tables that lie where no RAM is. */
#include "tests/guest/lib/guest.h"

static void touch(void)
{
	asm volatile("mov (%0), %%rax; mov %%rax, (%0)" : : "r"(0x30000000000ull) : "rax", "memory");
}

void kmain(void)
{
	/* A page, a table, then a whole tree in the void, in a device, at the end of the physical addresses. */
	static const u64 where[] = {0xc0000000, 0xfee00000, 0xfec00000, 0xa0000, 0x7ffffff000, 0xfffff000};

	for (unsigned i = 0; i < ARRAY_SIZE(where); i++) {
		for (int level = 1; level <= 3; level++) {
			volatile u64 *e = pte_of(0x30000000000, level);
			u64 old = *e;

			*e = where[i] | PTE_P | PTE_W;
			WRITE_CR(3, READ_CR(3));
			try_call(touch);
			*e = old;
			WRITE_CR(3, READ_CR(3));
		}
	}
	claim("still here", true);
	put_string("and now CR3\n");
	WRITE_CR(3, 0xc0000000);
	put_string("not reached\n");
}
