/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The handler of #UD is itself undefined, on a stack that each delivery begins anew: no instruction ever retires. */
#include "tests/guest/lib/guest.h"

void undefined_handler(void);
asm(".text; undefined_handler: ud2");

void kmain(void)
{
	put_string("faults without end\n");
	idt_set(VEC_UD, undefined_handler, SEL_KCODE, 0xe, 0, 1);
	asm volatile("ud2");
}
