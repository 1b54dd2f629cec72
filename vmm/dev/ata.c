/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/dev/ata.h"

#include <errno.h>

enum ata_register {
	REG_DATA,
	REG_ERROR, /* written: features */
	REG_COUNT,
	REG_LBA_LOW,
	REG_LBA_MID,
	REG_LBA_HIGH,
	REG_DEVICE,
	REG_STATUS, /* written: command */
};

enum ata_command {
	CMD_RECALIBRATE = 0x10, /* to 1Fh */
	CMD_READ = 0x20,
	CMD_READ_NO_RETRY = 0x21,
	CMD_READ_EXT = 0x24,
	CMD_READ_MULTIPLE_EXT = 0x29,
	CMD_WRITE = 0x30,
	CMD_WRITE_NO_RETRY = 0x31,
	CMD_WRITE_EXT = 0x34,
	CMD_WRITE_MULTIPLE_EXT = 0x39,
	CMD_VERIFY = 0x40,
	CMD_VERIFY_NO_RETRY = 0x41,
	CMD_VERIFY_EXT = 0x42,
	CMD_DIAGNOSTIC = 0x90,
	CMD_INIT_PARAMETERS = 0x91,
	CMD_READ_MULTIPLE = 0xc4,
	CMD_WRITE_MULTIPLE = 0xc5,
	CMD_SET_MULTIPLE = 0xc6,
	CMD_STANDBY_NOW = 0xe0,
	CMD_IDLE_NOW = 0xe1,
	CMD_STANDBY = 0xe2,
	CMD_IDLE = 0xe3,
	CMD_CHECK_POWER = 0xe5,
	CMD_SLEEP = 0xe6,
	CMD_FLUSH = 0xe7,
	CMD_FLUSH_EXT = 0xea,
	CMD_IDENTIFY = 0xec,
	CMD_SET_FEATURES = 0xef,
};

enum ata_feature {
	FEATURE_WRITE_CACHE = 0x02,
	FEATURE_TRANSFER_MODE = 0x03,
	FEATURE_NO_LOOK_AHEAD = 0x55,
	FEATURE_KEEP_DEFAULTS = 0x66,
	FEATURE_NO_WRITE_CACHE = 0x82,
	FEATURE_LOOK_AHEAD = 0xaa,
	FEATURE_RESTORE_DEFAULTS = 0xcc,
};

#define STATUS_READY    (ATA_STATUS_DRDY | ATA_STATUS_DSC)
#define DEVICE_OBSOLETE 0xa0 /* bits that read as written since they once had to be 1 */
#define DEVICE_HEAD     0x0f
#define DIAGNOSTIC_OK   0x01
#define POWER_ACTIVE    0xff
#define PIO_MODE_MAX    4

static bool selected(const struct ata *ata)
{
	return !(ata->device & ATA_DEVICE_DEV1);
}

static void drive(struct ata *ata)
{
	irq_set(&ata->irq, ata->intrq && selected(ata) && !(ata->control & ATA_CONTROL_NIEN));
}

/* --- how commands end --- */

static void stop_transfer(struct ata *ata)
{
	ata->command = 0;
	ata->left = 0;
	ata->pos = 0;
	ata->len = 0;
}

static void complete(struct ata *ata)
{
	stop_transfer(ata);
	ata->status = STATUS_READY;
	ata->intrq = 1;
}

static void fail(struct ata *ata, u8 error)
{
	stop_transfer(ata);
	ata->error = error;
	ata->status = STATUS_READY | ATA_STATUS_ERR;
	ata->intrq = 1;
}

static u8 error_of(int ret)
{
	return ret == -ERANGE ? ATA_ERROR_IDNF : ATA_ERROR_UNC;
}

/* --- addresses --- */

static bool is_ext(u8 command)
{
	switch (command) {
	case CMD_READ_EXT:
	case CMD_READ_MULTIPLE_EXT:
	case CMD_WRITE_EXT:
	case CMD_WRITE_MULTIPLE_EXT:
	case CMD_VERIFY_EXT:
		return true;
	default:
		return false;
	}
}

static bool is_multiple(u8 command)
{
	return command == CMD_READ_MULTIPLE || command == CMD_WRITE_MULTIPLE || command == CMD_READ_MULTIPLE_EXT ||
	       command == CMD_WRITE_MULTIPLE_EXT;
}

static u64 address_ext(const struct ata *ata)
{
	return ata->lba_low[0] | (u64)ata->lba_mid[0] << 8 | (u64)ata->lba_high[0] << 16 | (u64)ata->lba_low[1] << 24 |
	       (u64)ata->lba_mid[1] << 32 | (u64)ata->lba_high[1] << 40;
}

/* Sectors count from 1 within a track; the address of sector 0 is one that no disk has. */
static u64 address_chs(const struct ata *ata)
{
	u64 cylinder = ata->lba_mid[0] | ata->lba_high[0] << 8;
	unsigned head = ata->device & DEVICE_HEAD;
	unsigned sector = ata->lba_low[0];

	if (!sector || sector > ata->sectors || head >= ata->heads)
		return ~0ull;
	return (cylinder * ata->heads + head) * ata->sectors + sector - 1;
}

static u64 address(const struct ata *ata, u8 command)
{
	if (is_ext(command))
		return address_ext(ata);
	if (!(ata->device & ATA_DEVICE_LBA))
		return address_chs(ata);
	return ata->lba_low[0] | ata->lba_mid[0] << 8 | ata->lba_high[0] << 16 | (u64)(ata->device & DEVICE_HEAD) << 24;
}

static u32 sector_count(const struct ata *ata, u8 command)
{
	u32 n = ata->count[0];

	if (!is_ext(command))
		return n ? n : 256;
	n |= ata->count[1] << 8;
	return n ? n : 65536;
}

/* --- data transfer --- */

/* Sectors of the next block. */
static u32 block_sectors(const struct ata *ata)
{
	return min64(ata->left, is_multiple(ata->command) ? ata->multiple : 1);
}

/* Offers the next block: filled from the disk, or to be filled by the host. */
static void begin_block(struct ata *ata)
{
	u32 n = block_sectors(ata);
	int ret = ata->writing ? 0 : block_read(&ata->block, ata->sector, n, ata->buf);

	if (ret < 0) {
		fail(ata, error_of(ret));
		return;
	}
	ata->pos = 0;
	ata->len = n * BLOCK_SECTOR;
	ata->status = STATUS_READY | ATA_STATUS_DRQ;
}

static void next_block(struct ata *ata)
{
	u32 n = ata->len / BLOCK_SECTOR;

	ata->sector += n;
	ata->left -= n;
	if (!ata->left && ata->writing) {
		complete(ata);
	} else if (!ata->left) {
		stop_transfer(ata);
		ata->status = STATUS_READY;
	} else {
		begin_block(ata);
		ata->intrq = 1;
	}
}

/* The host has moved the last byte of a block. */
static void end_block(struct ata *ata)
{
	int ret = 0;

	if (ata->writing)
		ret = block_write(&ata->block, ata->sector, ata->len / BLOCK_SECTOR, ata->buf);
	if (ret < 0)
		fail(ata, error_of(ret));
	else
		next_block(ata);
}

static u16 read_data(struct ata *ata)
{
	u16 word;

	if (!(ata->status & ATA_STATUS_DRQ) || ata->writing)
		return 0;
	word = load16(ata->buf + ata->pos);
	ata->pos += 2;
	if (ata->pos == ata->len)
		end_block(ata);
	return word;
}

static void write_data(struct ata *ata, u16 word)
{
	if (!(ata->status & ATA_STATUS_DRQ) || !ata->writing)
		return;
	store16(ata->buf + ata->pos, word);
	ata->pos += 2;
	if (ata->pos == ata->len)
		end_block(ata);
}

/* --- commands --- */

static void transfer(struct ata *ata, u8 command, bool writing)
{
	u64 sector = address(ata, command);
	u32 count = sector_count(ata, command);

	if (is_multiple(command) && !ata->multiple) {
		fail(ata, ATA_ERROR_ABRT);
		return;
	}
	/* A read gives the sectors before the end of the disk and then fails; a write doesn't begin. */
	if (sector >= ata->block.base.sectors || (writing && count > ata->block.base.sectors - sector)) {
		fail(ata, ATA_ERROR_IDNF);
		return;
	}
	ata->command = command;
	ata->sector = sector;
	ata->left = count;
	ata->writing = writing;
	begin_block(ata);
	/* The first block of a write is asked for by DRQ alone. */
	if (!writing)
		ata->intrq = 1;
}

static void verify(struct ata *ata, u8 command)
{
	u64 sector = address(ata, command), total = ata->block.base.sectors;

	if (sector >= total || sector_count(ata, command) > total - sector)
		fail(ata, ATA_ERROR_IDNF);
	else
		complete(ata);
}

static void identify(struct ata *ata)
{
	ata_identify(ata, ata->buf);
	ata->command = CMD_IDENTIFY;
	ata->writing = 0;
	ata->left = 1;
	ata->pos = 0;
	ata->len = BLOCK_SECTOR;
	ata->status = STATUS_READY | ATA_STATUS_DRQ;
	ata->intrq = 1;
}

static void set_multiple(struct ata *ata)
{
	u8 n = ata->count[0];

	if (n > ATA_MAX_MULTIPLE || (n & (n - 1))) {
		fail(ata, ATA_ERROR_ABRT);
		return;
	}
	ata->multiple = n;
	complete(ata);
}

static void init_parameters(struct ata *ata)
{
	if (!ata->count[0]) {
		fail(ata, ATA_ERROR_ABRT);
		return;
	}
	ata->heads = (ata->device & DEVICE_HEAD) + 1;
	ata->sectors = ata->count[0];
	complete(ata);
}

static void set_features(struct ata *ata)
{
	u8 mode = ata->count[0];

	switch (ata->features) {
	case FEATURE_TRANSFER_MODE:
		/* 00h and 01h: the default PIO mode; 08h on: PIO mode with flow control */
		if (mode > 1 && (mode < 8 || mode > 8 + PIO_MODE_MAX))
			break;
		complete(ata);
		return;
	case FEATURE_WRITE_CACHE:
	case FEATURE_NO_WRITE_CACHE:
	case FEATURE_LOOK_AHEAD:
	case FEATURE_NO_LOOK_AHEAD:
	case FEATURE_KEEP_DEFAULTS:
	case FEATURE_RESTORE_DEFAULTS:
		complete(ata);
		return;
	}
	fail(ata, ATA_ERROR_ABRT);
}

/* What tells an ATA from an ATAPI device after reset and diagnostics (9.12). */
static void put_signature(struct ata *ata)
{
	ata->count[0] = 1;
	ata->lba_low[0] = 1;
	ata->lba_mid[0] = 0;
	ata->lba_high[0] = 0;
	ata->device = DEVICE_OBSOLETE;
	ata->error = DIAGNOSTIC_OK;
}

static void diagnostic(struct ata *ata)
{
	complete(ata);
	put_signature(ata);
}

static void execute(struct ata *ata, u8 command)
{
	switch (command) {
	case CMD_READ:
	case CMD_READ_NO_RETRY:
	case CMD_READ_EXT:
	case CMD_READ_MULTIPLE:
	case CMD_READ_MULTIPLE_EXT:
		transfer(ata, command, false);
		break;
	case CMD_WRITE:
	case CMD_WRITE_NO_RETRY:
	case CMD_WRITE_EXT:
	case CMD_WRITE_MULTIPLE:
	case CMD_WRITE_MULTIPLE_EXT:
		transfer(ata, command, true);
		break;
	case CMD_VERIFY:
	case CMD_VERIFY_NO_RETRY:
	case CMD_VERIFY_EXT:
		verify(ata, command);
		break;
	case CMD_IDENTIFY:
		identify(ata);
		break;
	case CMD_SET_MULTIPLE:
		set_multiple(ata);
		break;
	case CMD_INIT_PARAMETERS:
		init_parameters(ata);
		break;
	case CMD_SET_FEATURES:
		set_features(ata);
		break;
	case CMD_CHECK_POWER:
		ata->count[0] = POWER_ACTIVE;
		complete(ata);
		break;
	case CMD_RECALIBRATE ... CMD_RECALIBRATE + 15:
	case CMD_STANDBY_NOW ... CMD_IDLE:
	case CMD_SLEEP:
	case CMD_FLUSH:
	case CMD_FLUSH_EXT:
		complete(ata);
		break;
	default:
		/* Among them NOP, DEVICE RESET and IDENTIFY PACKET DEVICE, which a disk must refuse. */
		fail(ata, ATA_ERROR_ABRT);
		break;
	}
}

static void write_command(struct ata *ata, u8 command)
{
	/* Diagnostics are for both devices, whichever is selected. */
	if (command == CMD_DIAGNOSTIC) {
		diagnostic(ata);
		return;
	}
	if (!selected(ata))
		return;
	ata->intrq = 0;
	ata->error = 0;
	stop_transfer(ata);
	execute(ata, command);
}

/* --- registers --- */

static void software_reset(struct ata *ata)
{
	stop_transfer(ata);
	put_signature(ata);
	ata->multiple = 0;
	ata->intrq = 0;
	ata->status = STATUS_READY;
}

static void write_control(struct ata *ata, u8 value)
{
	if (value & ~ata->control & ATA_CONTROL_SRST)
		software_reset(ata);
	ata->control = value;
}

static void push(u8 *reg, u8 value)
{
	reg[1] = reg[0];
	reg[0] = value;
}

static void write_register(struct ata *ata, u64 offset, u8 value)
{
	/* Any write to the command block takes HOB back. */
	ata->control &= ~ATA_CONTROL_HOB;
	switch (offset) {
	case REG_DATA:
		write_data(ata, value);
		break;
	case REG_ERROR:
		ata->features = value;
		break;
	case REG_COUNT:
		push(ata->count, value);
		break;
	case REG_LBA_LOW:
		push(ata->lba_low, value);
		break;
	case REG_LBA_MID:
		push(ata->lba_mid, value);
		break;
	case REG_LBA_HIGH:
		push(ata->lba_high, value);
		break;
	case REG_DEVICE:
		ata->device = value | DEVICE_OBSOLETE;
		break;
	case REG_STATUS:
		write_command(ata, value);
		break;
	}
}

static u8 read_status(struct ata *ata)
{
	ata->intrq = 0;
	return ata->status;
}

static u8 read_register(struct ata *ata, u64 offset)
{
	unsigned hob = !!(ata->control & ATA_CONTROL_HOB);

	if (offset == REG_DEVICE)
		return ata->device;
	/* Device 0 answers for the missing device 1: nothing there. */
	if (!selected(ata))
		return 0;
	switch (offset) {
	case REG_DATA:
		return read_data(ata);
	case REG_ERROR:
		return ata->error;
	case REG_COUNT:
		return ata->count[hob];
	case REG_LBA_LOW:
		return ata->lba_low[hob];
	case REG_LBA_MID:
		return ata->lba_mid[hob];
	case REG_LBA_HIGH:
		return ata->lba_high[hob];
	default:
		return read_status(ata);
	}
}

/* The data register is 16 bits wide; a 32-bit access is two. Wider accesses elsewhere are bytes at successive ports. */
static u64 ata_read(void *dev, u64 offset, unsigned size)
{
	struct ata *ata = dev;
	u64 value = 0;

	if (offset == REG_DATA && size > 1 && selected(ata)) {
		for (unsigned i = 0; i < size; i += 2)
			value |= (u64)read_data(ata) << (8 * i);
	} else {
		for (unsigned i = 0; i < size; i++)
			value |= (u64)read_register(ata, offset + i) << (8 * i);
	}
	drive(ata);
	return value;
}

static void ata_write(void *dev, u64 offset, unsigned size, u64 value)
{
	struct ata *ata = dev;

	if (offset == REG_DATA && size > 1) {
		for (unsigned i = 0; i < size && selected(ata); i += 2)
			write_data(ata, value >> (8 * i));
	} else {
		for (unsigned i = 0; i < size; i++)
			write_register(ata, offset + i, value >> (8 * i));
	}
	drive(ata);
}

static u64 control_read(void *dev, u64 offset, unsigned size)
{
	const struct ata *ata = dev;

	return selected(ata) ? ata->status : 0;
}

static void control_write(void *dev, u64 offset, unsigned size, u64 value)
{
	struct ata *ata = dev;

	write_control(ata, value);
	drive(ata);
}

const struct bus_region ata_regions[] = {
    {.base = 0x1f0, .len = 8, .name = "ata", .read = ata_read, .write = ata_write},
    {.base = 0x3f6, .len = 1, .name = "ata-control", .read = control_read, .write = control_write, .width = 1},
    {.len = 0},
};

static void ata_reset(struct device *dev)
{
	struct ata *ata = container_of(dev, struct ata, dev);

	memset(ata->buf, 0, sizeof(ata->buf));
	for (unsigned i = 0; i < 2; i++)
		ata->count[i] = ata->lba_low[i] = ata->lba_mid[i] = ata->lba_high[i] = 0;
	ata->features = 0;
	ata->control = 0;
	ata->writing = 0;
	ata->sector = 0;
	ata->heads = ATA_HEADS;
	ata->sectors = ATA_SECTORS;
	software_reset(ata);
	drive(ata);
}

/* A hostile checkpoint may hold any value. */
static void ata_loaded(struct device *dev)
{
	struct ata *ata = container_of(dev, struct ata, dev);
	u8 m = ata->multiple;

	if (m > ATA_MAX_MULTIPLE || (m & (m - 1)))
		ata->multiple = 0;
	if (!ata->heads || ata->heads > ATA_HEADS)
		ata->heads = ATA_HEADS;
	if (!ata->sectors)
		ata->sectors = ATA_SECTORS;
	ata->device |= DEVICE_OBSOLETE;
	/* A transfer that can't be is none. */
	if (ata->len > sizeof(ata->buf) || ata->len % BLOCK_SECTOR || ata->pos % 2 || ata->pos >= ata->len ||
	    ata->left < ata->len / BLOCK_SECTOR || (is_multiple(ata->command) && !ata->multiple)) {
		stop_transfer(ata);
		ata->status &= ~ATA_STATUS_DRQ;
	}
}

static void ata_free(struct device *dev)
{
	block_free(&container_of(dev, struct ata, dev)->block);
}

static const struct field ata_fields[] = {
    FIELD_ARRAY(struct ata, count),
    FIELD_ARRAY(struct ata, lba_low),
    FIELD_ARRAY(struct ata, lba_mid),
    FIELD_ARRAY(struct ata, lba_high),
    FIELD(struct ata, features),
    FIELD(struct ata, error),
    FIELD(struct ata, device),
    FIELD(struct ata, status),
    FIELD(struct ata, control),
    FIELD(struct ata, command),
    FIELD(struct ata, multiple),
    FIELD(struct ata, heads),
    FIELD(struct ata, sectors),
    FIELD(struct ata, intrq),
    FIELD(struct ata, writing),
    FIELD(struct ata, sector),
    FIELD(struct ata, left),
    FIELD(struct ata, pos),
    FIELD(struct ata, len),
    FIELD_BLOB(struct ata, buf),
    FIELD_END,
};

static const struct device_class ata_class = {
    .name = "ata",
    .fields = ata_fields,
    .reset = ata_reset,
    .loaded = ata_loaded,
    .free = ata_free,
};

void ata_init(struct ata *ata, const char *id, const struct block_backend *backend, struct irq_line irq)
{
	*ata = (struct ata){.dev = {&ata_class, id}, .irq = irq};
	block_init(&ata->block, backend);
	ata_reset(&ata->dev);
}
