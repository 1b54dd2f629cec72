/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/fuzz/chip.h"
#include "vmm/dev/ata.h"

#define SECTORS 70 /* not a multiple of a chunk */

static const u16 ports[] = {0x1f0, 0x1f0, 0x1f1, 0x1f2, 0x1f3, 0x1f4, 0x1f5, 0x1f6, 0x1f7, 0x1f7, 0x3f6};

static int base_read(void *opaque, u64 offset, void *buf, size_t len)
{
	FUZZ_ASSERT(offset + len <= SECTORS * BLOCK_SECTOR);
	for (size_t i = 0; i < len; i++)
		((u8 *)buf)[i] = (offset + i) / BLOCK_SECTOR + i;
	return offset / BLOCK_SECTOR == 40 ? -5 : 0;
}

static void make(struct fuzz_bench *bench)
{
	const struct block_backend base = {.read = base_read, .sectors = SECTORS};
	struct ata *ata = bench->chips;

	ata_init(ata, "ata", &base, rig_irq(&bench->rig, 14));
	rig_add(&bench->rig, ata_regions, ata, 0);
	bench->dev[bench->nr_devices++] = &ata->dev;
}

static void destroy(struct fuzz_bench *bench)
{
	bench->dev[0]->class->free(bench->dev[0]);
}

static void forked(struct fuzz_bench *from, struct fuzz_bench *to)
{
	struct ata *a = from->chips, *b = to->chips;

	FUZZ_ASSERT(block_copy(&b->block, &a->block) == 0);
}

/* Moves a lot of data at once, as REP INSW and REP OUTSW do, or issues a command that is meant to work. */
static u64 input(struct fuzz_bench *bench, u8 what, const u8 *buf, size_t len)
{
	static const u8 commands[8] = {0x20, 0x24, 0x30, 0x34, 0xc4, 0xc5, 0xc6, 0xec};
	struct bus *pio = &bench->rig.pio;
	u64 sum = 0;

	for (size_t i = 0; i < 64 * len && (what & 16); i++) {
		if (what & 1)
			sum = sum * 31 + bus_read(pio, 0x1f0, 2);
		else
			bus_write(pio, 0x1f0, 4, i * 0x01010101);
	}
	if (what & 16)
		return sum;
	bus_write(pio, 0x1f6, 1, 0xe0);
	for (unsigned i = 0; i < 4; i++)
		bus_write(pio, 0x1f2 + i, 1, i < len && i < 2 ? buf[i] : 0);
	bus_write(pio, 0x1f7, 1, commands[what & 7]);
	return 0;
}

static void check(struct fuzz_bench *bench)
{
	struct ata *ata = bench->chips;

	FUZZ_ASSERT(ata->len <= sizeof(ata->buf));
	FUZZ_ASSERT(ata->pos <= ata->len);
	if (ata->status & ATA_STATUS_DRQ)
		FUZZ_ASSERT(ata->pos < ata->len && ata->left >= ata->len / BLOCK_SECTOR);
	FUZZ_ASSERT(ata->block.nr_chunks <= (SECTORS + 7) / 8);
}

static const struct fuzz_target target = {
    .size = sizeof(struct ata),
    .ports = ports,
    .nr_ports = ARRAY_SIZE(ports),
    .make = make,
    .free = destroy,
    .forked = forked,
    .input = input,
    .check = check,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_run(&target, data, size);
	return 0;
}
