/* SPDX-License-Identifier: GPL-2.0-or-later */
/* IDENTIFY DEVICE data. Source: ATA/ATAPI-6, section 8.15. */
#include "vmm/dev/ata.h"

#define LBA28_MAX     0x0fffffffull
#define CYLINDERS_MAX 16383

/* Strings are padded with spaces, the first character of a pair in the high byte. */
static void put_string(u8 *out, unsigned word, unsigned words, const char *text)
{
	size_t len = strlen(text);

	for (unsigned i = 0; i < 2 * words; i++)
		out[2 * word + (i ^ 1)] = i < len ? text[i] : ' ';
}

static void put_geometry(const struct ata *ata, u8 *out)
{
	u64 total = ata->block.base.sectors;
	u64 present = ata->heads * ata->sectors;
	u64 cylinders = min64(total / (ATA_HEADS * ATA_SECTORS), CYLINDERS_MAX);
	u64 now_cylinders = min64(total / present, 65535);

	store16(out + 2 * 1, cylinders);
	store16(out + 2 * 3, ATA_HEADS);
	store16(out + 2 * 6, ATA_SECTORS);
	store16(out + 2 * 54, now_cylinders);
	store16(out + 2 * 55, ata->heads);
	store16(out + 2 * 56, ata->sectors);
	store32(out + 2 * 57, now_cylinders * present);
	store32(out + 2 * 60, min64(total, LBA28_MAX));
	store64(out + 2 * 100, total);
}

void ata_identify(const struct ata *ata, u8 *out)
{
	static const struct {
		u8 word;
		u16 value;
	} fixed[] = {
	    {0, 0x0040},                     /* ATA device, not removable */
	    {47, 0x8000 | ATA_MAX_MULTIPLE}, /* READ and WRITE MULTIPLE */
	    {49, 0x0a00},                    /* IORDY, LBA; no DMA */
	    {50, 0x4000},
	    {53, 0x0003}, /* words 54-58 and 64-70 are valid */
	    {64, 0x0003}, /* PIO modes 3 and 4 */
	    {67, 120},    /* ns of a cycle without and with IORDY */
	    {68, 120},
	    {80, 0x007e}, /* ATA-1 to ATA-6 */
	    {82, 0x0020}, /* write cache */
	    {83, 0x7400}, /* FLUSH CACHE, FLUSH CACHE EXT, 48-bit addresses */
	    {84, 0x4000},
	    {85, 0x0020}, /* the same, as enabled */
	    {86, 0x3400},
	    {87, 0x4000},
	};
	u8 sum = 0xa5;

	memset(out, 0, BLOCK_SECTOR);
	for (unsigned i = 0; i < ARRAY_SIZE(fixed); i++)
		store16(out + 2 * fixed[i].word, fixed[i].value);
	put_string(out, 10, 10, "VMDBG0001");
	put_string(out, 23, 4, "1.0");
	put_string(out, 27, 20, "VMDBG DISK");
	put_geometry(ata, out);
	if (ata->multiple)
		store16(out + 2 * 59, 0x0100 | ata->multiple);
	/* Integrity word: all bytes add up to zero. */
	out[510] = 0xa5;
	for (unsigned i = 0; i < 510; i++)
		sum += out[i];
	out[511] = -sum;
}
