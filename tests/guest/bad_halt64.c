/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Halts with interrupts off: nothing can wake it. */
#include "tests/guest/lib/guest.h"

void kmain(void)
{
	put_string("halting\n");
	for (;;)
		asm volatile("cli; hlt");
}
