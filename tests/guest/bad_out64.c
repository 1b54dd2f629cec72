/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writes all values to every port, whatever may come of it. Announces each block of ports first. */
#include "tests/guest/lib/guest.h"

void kmain(void)
{
	u32 seed = 1;

	put_string("writing\n");
	for (u32 port = 0xffff; port < 0x10000; port--) {
		seed = seed * 1664525 + 1013904223;
		if (port == 0xf4)
			continue;
		outl(port, seed);
		outw(port, seed >> 8);
		outb(port, seed >> 16);
		outb(port, 0xff);
		outb(port, 0);
	}
}
