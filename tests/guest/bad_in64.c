/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads every port in every size, and writes to all but those that end the machine. */
#include "tests/guest/lib/guest.h"

static bool spared(u32 port)
{
	switch (port) {
	case 0x64:  /* i8042: reset */
	case 0x92:  /* fast reset */
	case 0x505: /* pvpanic */
	case 0xcf9: /* reset */
		return true;
	}
	return (port >= 0x3f8 && port < 0x400) || (port >= 0xf4 && port < 0xf8) /* isa-debug-exit */ ||
	       (port >= 0x600 && port < 0x700);
}

void kmain(void)
{
	u32 sum = 0;

	for (u32 port = 0; port < 0x10000; port++) {
		sum += inb(port);
		sum += inw(port);
		sum += inl(port);
	}
	put_string("read\n");
	for (u32 port = 0; port < 0x10000; port++) {
		bool near = false;

		for (u32 p = port; p < port + 4; p++)
			near |= spared(p);
		if (near)
			continue;
		outb(port, port);
		outw(port, sum);
		outl(port, 0xffffffff);
		outl(port, 0);
	}
	console_init();
	put_string("written\n");
	claim("still here", true);
}
