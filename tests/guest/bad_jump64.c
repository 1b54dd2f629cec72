/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Runs code where none can be: a device, beyond RAM, the last bytes of memory. Each try may end in any exception. */
#include "tests/guest/lib/guest.h"

static u64 target;

static void jump(void)
{
	asm volatile("call *%0" : : "r"(target) : "memory");
}

void kmain(void)
{
	static const u64 where[] = {0xfee00000, 0xfee00020, 0xfec00000, 0xb8000, 0xa0000,   0xc0000000,
				    0xfff00000, 0xfffffff0, 0xfffffffe, 0xf0000, 0xe0000000};

	for (unsigned i = 0; i < ARRAY_SIZE(where); i++) {
		target = where[i];
		put_string("jumping to ");
		put_hex(target);
		put_char('\n');
		try_call(jump);
	}
	claim("still here", true);
}
