/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/guest/lib/guest.h"

void kmain(void)
{
	u32 r[4];

	put_string("hello from 64 bits\n");
	cpuid(0, 0, r);
	claim("CPUID has leaf 1", r[0] >= 1);
	cpuid(1, 0, r);
	claim("CPUID has SSE2", r[3] >> 26 & 1);
}
