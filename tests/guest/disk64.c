/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ATA disk, by PIO with polling: 8 MiB and 512 bytes, each sector filled with its number. */
#include "tests/guest/lib/guest.h"

#define ATA 0x1f0

static u16 sector[256];

static u8 command(u32 lba, u8 count, u8 cmd)
{
	u8 status;

	outb(ATA + 6, 0xe0 | (lba >> 24 & 15));
	outb(ATA + 2, count);
	outb(ATA + 3, lba);
	outb(ATA + 4, lba >> 8);
	outb(ATA + 5, lba >> 16);
	outb(ATA + 7, cmd);
	while ((status = inb(ATA + 7)) & 0x80)
		;
	return status;
}

static void take(void)
{
	void *to = sector;
	u64 n = 256;

	asm volatile("cld; rep insw" : "+D"(to), "+c"(n) : "d"(ATA) : "memory");
}

static void give(void)
{
	const void *from = sector;
	u64 n = 256;

	asm volatile("cld; rep outsw" : "+S"(from), "+c"(n) : "d"(ATA) : "memory");
}

static bool filled_with(u16 v)
{
	for (int i = 0; i < 256; i++)
		if (sector[i] != v)
			return false;
	return true;
}

void kmain(void)
{
	u8 status = command(0, 0, 0xec);

	claim("IDENTIFY DEVICE has data", status & 8);
	take();
	claim_eq("its sectors", sector[60] | (u64)sector[61] << 16, 16385);
	command(5, 2, 0x20);
	take();
	claim("sector 5", filled_with(5));
	take();
	claim("sector 6 of the same command", filled_with(6));
	command(16384, 1, 0x20);
	take();
	claim("the last sector, beyond the last whole 4 KiB", filled_with(16384));
	claim("a sector beyond the end: an error", command(16385, 1, 0x20) & 1);
	command(5, 1, 0x30);
	for (int i = 0; i < 256; i++)
		sector[i] = 0xbeef;
	give();
	claim("WRITE SECTORS without an error", !(inb(ATA + 7) & 0x89));
	command(4, 3, 0x20);
	take();
	claim("its neighbour before is as it was", filled_with(4));
	take();
	claim("what was written reads back", filled_with(0xbeef));
	take();
	claim("its neighbour behind is as it was", filled_with(6));
}
