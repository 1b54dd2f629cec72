/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ATA disk and the overlay under it, by ATA/ATAPI-6. */
#include <check.h>
#include <errno.h>

#include "tests/unit/rig.h"
#include "vmm/dev/ata.h"

#define SECTORS 5003 /* not a multiple of a chunk */
#define BAD     77   /* a sector the host can't read */

static struct rig rig;
static struct ata ata;

/* Every sector holds its number, over and over. */
static int base_read(void *opaque, u64 offset, void *buf, size_t len)
{
	ck_assert_uint_le(offset + len, (u64)SECTORS * BLOCK_SECTOR);
	for (size_t i = 0; i < len; i += 2)
		store16((u8 *)buf + i, (offset + i) / BLOCK_SECTOR);
	return offset <= BAD * BLOCK_SECTOR && offset + len > BAD * BLOCK_SECTOR ? -EIO : 0;
}

static const struct block_backend base = {.read = base_read, .sectors = SECTORS};

static void setup(void)
{
	rig_init(&rig);
	ata_init(&ata, "ata", &base, rig_irq(&rig, 14));
	rig_add(&rig, ata_regions, &ata, 0);
}

static void teardown(void)
{
	ata.dev.class->free(&ata.dev);
}

static void command28(u8 c, u32 lba, u8 count)
{
	rig_out(&rig, 0x1f6, 0xe0 | lba >> 24);
	rig_out(&rig, 0x1f2, count);
	rig_out(&rig, 0x1f3, lba);
	rig_out(&rig, 0x1f4, lba >> 8);
	rig_out(&rig, 0x1f5, lba >> 16);
	rig_out(&rig, 0x1f7, c);
}

static void command48(u8 c, u64 lba, u16 count)
{
	rig_out(&rig, 0x1f6, 0x40);
	rig_out(&rig, 0x1f2, count >> 8);
	rig_out(&rig, 0x1f3, lba >> 24);
	rig_out(&rig, 0x1f4, lba >> 32);
	rig_out(&rig, 0x1f5, lba >> 40);
	rig_out(&rig, 0x1f2, count);
	rig_out(&rig, 0x1f3, lba);
	rig_out(&rig, 0x1f4, lba >> 8);
	rig_out(&rig, 0x1f5, lba >> 16);
	rig_out(&rig, 0x1f7, c);
}

static u8 status(void)
{
	return rig_in(&rig, 0x1f7);
}

/* Reads a sector and expects @number in all of its words. */
static void assert_sector(u16 number)
{
	for (unsigned i = 0; i < 256; i++)
		ck_assert_uint_eq(bus_read(&rig.pio, 0x1f0, 2), number);
}

static void write_sector(u16 number)
{
	for (unsigned i = 0; i < 128; i++)
		bus_write(&rig.pio, 0x1f0, 4, (u32)number << 16 | number);
}

START_TEST(signature_after_reset)
{
	setup();
	ck_assert_uint_eq(rig_in(&rig, 0x1f2), 1);
	ck_assert_uint_eq(rig_in(&rig, 0x1f3), 1);
	ck_assert_uint_eq(rig_in(&rig, 0x1f4), 0);
	ck_assert_uint_eq(rig_in(&rig, 0x1f5), 0);
	ck_assert_uint_eq(rig_in(&rig, 0x1f1), 1);
	ck_assert_uint_eq(status(), 0x50);
	rig_out(&rig, 0x1f2, 0x55);
	rig_out(&rig, 0x1f3, 0xaa);
	ck_assert_uint_eq(rig_in(&rig, 0x1f2), 0x55);
	ck_assert_uint_eq(rig_in(&rig, 0x1f3), 0xaa);
	rig_out(&rig, 0x3f6, 0x04);
	rig_out(&rig, 0x3f6, 0x00);
	ck_assert_uint_eq(rig_in(&rig, 0x1f2), 1);
	ck_assert_uint_eq(rig.edges[14], 0);
	teardown();
}
END_TEST

START_TEST(device_1_is_absent)
{
	setup();
	rig_out(&rig, 0x1f6, 0xb0);
	ck_assert_uint_eq(status(), 0);
	ck_assert_uint_eq(rig_in(&rig, 0x3f6), 0);
	rig_out(&rig, 0x1f2, 0x55);
	ck_assert_uint_eq(rig_in(&rig, 0x1f2), 0);
	rig_out(&rig, 0x1f7, 0xec);
	ck_assert_uint_eq(status(), 0);
	ck_assert_uint_eq(rig.edges[14], 0);
	rig_out(&rig, 0x1f6, 0xa0);
	ck_assert_uint_eq(status(), 0x50);
	teardown();
}
END_TEST

START_TEST(identify_device)
{
	u16 id[256];
	u8 sum = 0;

	setup();
	rig_out(&rig, 0x1f7, 0xec);
	ck_assert_uint_eq(rig.level[14], 1);
	ck_assert_uint_eq(rig_in(&rig, 0x3f6), 0x58);
	ck_assert_uint_eq(rig.level[14], 1); /* alternate status leaves the interrupt */
	ck_assert_uint_eq(status(), 0x58);
	ck_assert_uint_eq(rig.level[14], 0);
	for (unsigned i = 0; i < 256; i++)
		id[i] = bus_read(&rig.pio, 0x1f0, 2);
	ck_assert_uint_eq(status(), 0x50);
	ck_assert_uint_eq(id[0] & 0x8000, 0);
	ck_assert_uint_eq(id[49] & 0x0200, 0x0200);
	ck_assert_uint_eq(id[49] & 0x0100, 0); /* no DMA */
	ck_assert_uint_eq(id[60] | id[61] << 16, SECTORS);
	ck_assert_uint_eq(id[83] & 0x0400, 0x0400);
	ck_assert_uint_eq(id[100], SECTORS);
	ck_assert_uint_eq(id[1], SECTORS / (16 * 63));
	ck_assert_uint_eq(id[27], 'V' << 8 | 'M');
	for (unsigned i = 0; i < 512; i++)
		sum += ((u8 *)id)[i];
	ck_assert_uint_eq(sum, 0);
	teardown();
}
END_TEST

START_TEST(reads_sectors_with_an_interrupt_each)
{
	setup();
	command28(0x20, 0x123, 3);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_uint_eq(rig.edges[14], i + 1);
		ck_assert_uint_eq(status(), 0x58);
		assert_sector(0x123 + i);
	}
	ck_assert_uint_eq(status(), 0x50);
	ck_assert_uint_eq(rig.edges[14], 3);
	ck_assert_uint_eq(bus_read(&rig.pio, 0x1f0, 2), 0);
	/* a count of 0 is 256 */
	command28(0x20, 1000, 0);
	for (unsigned i = 0; i < 256; i++)
		assert_sector(1000 + i);
	ck_assert_uint_eq(status(), 0x50);
	teardown();
}
END_TEST

START_TEST(reads_by_48_bits_and_chs)
{
	setup();
	command48(0x24, 4000, 0x0101);
	for (unsigned i = 0; i < 0x101; i++)
		assert_sector(4000 + i);
	ck_assert_uint_eq(status(), 0x50);
	rig_out(&rig, 0x3f6, 0x80);
	ck_assert_uint_eq(rig_in(&rig, 0x1f2), 0x01);
	command48(0x24, 1ull << 40, 1);
	ck_assert_uint_eq(status(), 0x51);
	ck_assert_uint_eq(rig_in(&rig, 0x1f1), ATA_ERROR_IDNF);
	/* cylinder 2, head 3, sector 5 */
	rig_out(&rig, 0x1f6, 0xa3);
	rig_out(&rig, 0x1f2, 1);
	rig_out(&rig, 0x1f3, 5);
	rig_out(&rig, 0x1f4, 2);
	rig_out(&rig, 0x1f5, 0);
	rig_out(&rig, 0x1f7, 0x20);
	assert_sector((2 * 16 + 3) * 63 + 4);
	rig_out(&rig, 0x1f3, 0);
	rig_out(&rig, 0x1f7, 0x20);
	ck_assert_uint_eq(rig_in(&rig, 0x1f1), ATA_ERROR_IDNF);
	/* another translation: 4 heads, 10 sectors */
	rig_out(&rig, 0x1f6, 0xa3);
	rig_out(&rig, 0x1f2, 10);
	rig_out(&rig, 0x1f7, 0x91);
	rig_out(&rig, 0x1f2, 1);
	rig_out(&rig, 0x1f3, 5);
	rig_out(&rig, 0x1f7, 0x20);
	assert_sector((2 * 4 + 3) * 10 + 4);
	teardown();
}
END_TEST

START_TEST(writes_go_to_the_overlay)
{
	setup();
	command28(0x30, 9, 2);
	ck_assert_uint_eq(rig.edges[14], 0); /* the first block is asked for without interrupt */
	ck_assert_uint_eq(status(), 0x58);
	write_sector(0xaaaa);
	ck_assert_uint_eq(rig.edges[14], 1);
	ck_assert_uint_eq(status(), 0x58);
	write_sector(0xbbbb);
	ck_assert_uint_eq(rig.edges[14], 2);
	ck_assert_uint_eq(status(), 0x50);
	command28(0xe7, 0, 0);
	ck_assert_uint_eq(status(), 0x50);
	command28(0x20, 8, 4);
	assert_sector(8);
	assert_sector(0xaaaa);
	assert_sector(0xbbbb);
	assert_sector(11);
	/* the last chunk is cut short by the end of the disk */
	command48(0x34, SECTORS - 1, 1);
	write_sector(0xcccc);
	ck_assert_uint_eq(status(), 0x50);
	command48(0x24, SECTORS - 2, 2);
	assert_sector(SECTORS - 2);
	assert_sector(0xcccc);
	teardown();
}
END_TEST

START_TEST(multiple_moves_blocks)
{
	setup();
	command28(0xc4, 0, 8);
	ck_assert_uint_eq(status(), 0x51); /* not set up yet */
	ck_assert_uint_eq(rig_in(&rig, 0x1f1), ATA_ERROR_ABRT);
	command28(0xc6, 0, 3);
	ck_assert_uint_eq(status(), 0x51);
	command28(0xc6, 0, 4);
	ck_assert_uint_eq(status(), 0x50);
	rig.edges[14] = 0;
	command28(0xc4, 100, 10);
	for (unsigned i = 0; i < 10; i++) {
		if (i % 4 == 0)
			status();
		assert_sector(100 + i);
	}
	ck_assert_uint_eq(rig.edges[14], 3);
	ck_assert_uint_eq(status(), 0x50);
	command48(0x39, 200, 5);
	for (unsigned i = 0; i < 5; i++)
		write_sector(0x1000 + i);
	ck_assert_uint_eq(status(), 0x50);
	command48(0x29, 200, 5);
	for (unsigned i = 0; i < 5; i++)
		assert_sector(0x1000 + i);
	teardown();
}
END_TEST

START_TEST(ends_and_errors)
{
	setup();
	command28(0x20, SECTORS - 1, 2);
	assert_sector(SECTORS - 1);
	ck_assert_uint_eq(status(), 0x51);
	ck_assert_uint_eq(rig_in(&rig, 0x1f1), ATA_ERROR_IDNF);
	command28(0x30, SECTORS - 1, 2);
	ck_assert_uint_eq(status(), 0x51);
	command28(0x20, BAD, 1);
	ck_assert_uint_eq(status(), 0x51);
	ck_assert_uint_eq(rig_in(&rig, 0x1f1), ATA_ERROR_UNC);
	command28(0x08, 0, 0);
	ck_assert_uint_eq(rig_in(&rig, 0x1f1), ATA_ERROR_ABRT);
	command28(0xa1, 0, 0);
	ck_assert_uint_eq(rig_in(&rig, 0x1f1), ATA_ERROR_ABRT);
	command28(0x40, 0, 5);
	ck_assert_uint_eq(status(), 0x50);
	command28(0x90, 0, 0);
	ck_assert_uint_eq(rig_in(&rig, 0x1f1), 1);
	ck_assert_uint_eq(rig_in(&rig, 0x1f2), 1);
	/* PIO mode 4 yes, multiword DMA no */
	rig_out(&rig, 0x1f1, 3);
	command28(0xef, 0, 0x0c);
	ck_assert_uint_eq(status(), 0x50);
	command28(0xef, 0, 0x22);
	ck_assert_uint_eq(status(), 0x51);
	teardown();
}
END_TEST

START_TEST(nien_holds_the_line_low)
{
	setup();
	rig_out(&rig, 0x3f6, 0x02);
	command28(0x20, 1, 1);
	ck_assert_uint_eq(rig.level[14], 0);
	rig_out(&rig, 0x3f6, 0x00);
	ck_assert_uint_eq(rig.level[14], 1);
	teardown();
}
END_TEST

START_TEST(transfer_survives_saving)
{
	static u8 image[16384];
	size_t len;

	setup();
	command28(0x20, 50, 2);
	bus_read(&rig.pio, 0x1f0, 2);
	len = state_save(ata.dev.class->fields, &ata, image);
	ck_assert_uint_le(len, sizeof(image));
	teardown();
	setup();
	ck_assert_int_eq(state_load(ata.dev.class->fields, &ata, image, len), 0);
	ata.dev.class->loaded(&ata.dev);
	for (unsigned i = 1; i < 256; i++)
		ck_assert_uint_eq(bus_read(&rig.pio, 0x1f0, 2), 50);
	assert_sector(51);
	ck_assert_uint_eq(status(), 0x50);
	teardown();
}
END_TEST

START_TEST(overlay_copies_and_grows)
{
	struct block a, b;
	u8 sector[BLOCK_SECTOR];

	block_init(&a, &base);
	block_init(&b, &base);
	for (unsigned i = 0; i < 600; i++) {
		memset(sector, i, sizeof(sector));
		ck_assert_int_eq(block_write(&a, i * 8 + 100, 1, sector), 0);
	}
	ck_assert_int_eq(block_copy(&b, &a), 0);
	block_free(&a);
	ck_assert_int_eq(block_read(&a, 100, 1, sector), 0);
	ck_assert_uint_eq(sector[0], 100);
	for (unsigned i = 0; i < 600; i++) {
		ck_assert_int_eq(block_read(&b, i * 8 + 100, 1, sector), 0);
		ck_assert_uint_eq(sector[511], (u8)i);
	}
	ck_assert_int_eq(block_read(&b, SECTORS, 1, sector), -ERANGE);
	ck_assert_int_eq(block_read(&b, ~0ull, 2, sector), -ERANGE);
	ck_assert_int_eq(block_write(&b, SECTORS - 1, 2, sector), -ERANGE);
	/* writing a part of a chunk that can't be read fails and leaves nothing behind */
	ck_assert_int_eq(block_write(&a, BAD + 1, 1, sector), -EIO);
	ck_assert_uint_eq(a.nr_chunks, 0);
	block_free(&a);
	block_free(&b);
}
END_TEST

RIG_MAIN("ata", signature_after_reset, device_1_is_absent, identify_device, reads_sectors_with_an_interrupt_each,
	 reads_by_48_bits_and_chs, writes_go_to_the_overlay, multiple_moves_blocks, ends_and_errors,
	 nien_holds_the_line_low, transfer_survives_saving, overlay_copies_and_grows)
