/* SPDX-License-Identifier: GPL-2.0-or-later */
/* isa-debug-exit at F4h: a guest ends the run by writing a value. Reads as zero. */
#ifndef VMM_DEV_DEBUGEXIT_H
#define VMM_DEV_DEBUGEXIT_H

#include "vmm/bus.h"
#include "vmm/device.h"

struct debugexit {
	struct device dev;
	void (*exit)(void *opaque, u32 value); /* [H] */
	void *opaque;                          /* [H] */
};

void debugexit_init(struct debugexit *port, const char *id, void (*exit)(void *opaque, u32 value), void *opaque);

/* F4h-F7h; ends with an entry of length 0. */
extern const struct bus_region debugexit_regions[];

#endif
