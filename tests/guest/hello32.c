/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a Multiboot loader owes the kernel (Multiboot 1, section 3.2), and a greeting. */
#include "tests/guest/lib/guest.h"

extern u32 multiboot_magic, multiboot_info;

void kmain(void)
{
	const u32 *info = (const u32 *)multiboot_info;

	put_string("hello from 32 bits\n");
	claim_eq("EAX holds the Multiboot magic", multiboot_magic, 0x2badb002);
	claim("memory size and map given", (info[0] & 0x41) == 0x41);
	claim("lower memory plausible", info[1] >= 500 && info[1] <= 640);
	claim("upper memory plausible", info[2] >= 30 * 1024);
	claim("paging is off", !(READ_CR(0) >> 31));
	claim("protection is on", READ_CR(0) & 1);
}
