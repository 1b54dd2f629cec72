/* SPDX-License-Identifier: GPL-2.0-or-later */
/* System control port A (92h): fast A20 and fast reset. Source: IBM PS/2 Hardware Interface Technical Reference. */
#ifndef VMM_DEV_PORT92_H
#define VMM_DEV_PORT92_H

#include "vmm/bus.h"
#include "vmm/device.h"
#include "vmm/irq.h"

#define PORT92_RESET 0x01
#define PORT92_A20   0x02

struct port92 {
	struct device dev;
	u8 value;                    /* [S] */
	struct irq_line a20;         /* [H] the A20 bit */
	void (*reset)(void *opaque); /* [H] the reset bit rose */
	void *opaque;                /* [H] */
};

void port92_init(struct port92 *port, const char *id, void (*reset)(void *opaque), void *opaque);

/* 92h; ends with an entry of length 0. */
extern const struct bus_region port92_regions[];

#endif
