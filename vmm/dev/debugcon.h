/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Debug console: bytes written to E9h (Bochs) or 402h (SeaBIOS) go out at once. Reads say E9h: "here I am". */
#ifndef VMM_DEV_DEBUGCON_H
#define VMM_DEV_DEBUGCON_H

#include "vmm/bus.h"
#include "vmm/device.h"

struct debugcon {
	struct device dev;
	void (*tx)(void *opaque, const u8 *buf, size_t len); /* [H] */
	void *opaque;                                        /* [H] */
};

void debugcon_init(struct debugcon *con, const char *id, void (*tx)(void *opaque, const u8 *buf, size_t len),
		   void *opaque);

/* E9h and 402h; ends with an entry of length 0. */
extern const struct bus_region debugcon_regions[];

#endif
