/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An ATA disk as device 0 of the primary channel, PIO only; there is no device 1.
 * Source: ATA/ATAPI-6 (T13/1410D revision 3), sections 7 (registers), 8 (commands) and 9.5 to 9.7 (protocols).
 *
 * Commands take no time: BSY is never seen. What the guest wrote is in the block overlay, which field tables don't
 * cover; block_copy() takes it along in a checkpoint. */
#ifndef VMM_DEV_ATA_H
#define VMM_DEV_ATA_H

#include "vmm/bus.h"
#include "vmm/block.h"
#include "vmm/device.h"
#include "vmm/irq.h"

#define ATA_MAX_MULTIPLE 16 /* sectors in a block of READ and WRITE MULTIPLE */
#define ATA_HEADS        16
#define ATA_SECTORS      63 /* per track */

#define ATA_STATUS_ERR  0x01
#define ATA_STATUS_DRQ  0x08
#define ATA_STATUS_DSC  0x10
#define ATA_STATUS_DF   0x20
#define ATA_STATUS_DRDY 0x40

#define ATA_ERROR_ABRT 0x04
#define ATA_ERROR_IDNF 0x10
#define ATA_ERROR_UNC  0x40

#define ATA_DEVICE_DEV1 0x10
#define ATA_DEVICE_LBA  0x40

#define ATA_CONTROL_NIEN 0x02
#define ATA_CONTROL_SRST 0x04
#define ATA_CONTROL_HOB  0x80

struct ata {
	struct device dev;
	/* Two-deep registers: [0] is the value written last, [1] the one before. */
	u8 count[2], lba_low[2], lba_mid[2], lba_high[2]; /* [S] */
	u8 features, error, device, status, control;      /* [S] */
	u8 command;                                       /* [S] the command that is transferring data */
	u8 multiple;                                      /* [S] sectors in a block; 0: SET MULTIPLE MODE not done */
	u8 heads, sectors;                                /* [S] present translation of CHS addresses */
	u8 intrq;                                         /* [S] */
	u8 writing;                                       /* [S] data goes to the disk */
	u64 sector;                                       /* [S] of the block in the buffer */
	u32 left;                                         /* [S] sectors not done, the buffer's included */
	u32 pos, len;                                     /* [S] bytes of the buffer transferred, to transfer */
	u8 buf[ATA_MAX_MULTIPLE * BLOCK_SECTOR];          /* [S] */
	struct block block;                               /* [H] */
	struct irq_line irq;                              /* [H] IRQ14 */
};

void ata_init(struct ata *ata, const char *id, const struct block_backend *backend, struct irq_line irq);

/* 1F0h-1F7h and 3F6h; ends with an entry of length 0. */
extern const struct bus_region ata_regions[];

/* ata_identify.c: the 512 bytes of IDENTIFY DEVICE. */
void ata_identify(const struct ata *ata, u8 *out);

#endif
