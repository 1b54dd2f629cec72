/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ends in a triple fault: an exception with no IDT. */
#include "tests/guest/lib/guest.h"

void kmain(void)
{
	static struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) none;

	put_string("no IDT\n");
	asm volatile("lidt %0; ud2" : : "m"(none));
}
