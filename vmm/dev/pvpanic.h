/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pvpanic at 505h: the guest says that it panicked. Reads give the events supported.
 * Source: QEMU docs/specs/pvpanic. */
#ifndef VMM_DEV_PVPANIC_H
#define VMM_DEV_PVPANIC_H

#include "vmm/bus.h"
#include "vmm/device.h"

#define PVPANIC_PANICKED     0x01
#define PVPANIC_CRASH_LOADED 0x02 /* panicked, and a crash kernel takes over */

struct pvpanic {
	struct device dev;
	void (*event)(void *opaque, u8 events); /* [H] called with the supported bits that were written, if any */
	void *opaque;                           /* [H] */
};

void pvpanic_init(struct pvpanic *port, const char *id, void (*event)(void *opaque, u8 events), void *opaque);

/* 505h; ends with an entry of length 0. */
extern const struct bus_region pvpanic_regions[];

#endif
