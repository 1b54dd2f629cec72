/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Never ends. */
#include "tests/guest/lib/guest.h"

void kmain(void)
{
	put_string("for ever\n");
	for (;;)
		asm volatile("");
}
