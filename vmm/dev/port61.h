/* SPDX-License-Identifier: GPL-2.0-or-later */
/* System control port B (61h): counter 2's gate, the speaker bit, the refresh toggle and counter 2's output.
 * Source: IBM PS/2 and PC BIOS Interface Technical Reference; Intel 82371AB (PIIX4) data sheet, NMISC. */
#ifndef VMM_DEV_PORT61_H
#define VMM_DEV_PORT61_H

#include "vmm/bus.h"
#include "vmm/clock.h"
#include "vmm/dev/i8254.h"
#include "vmm/device.h"

#define PORT61_GATE2   0x01
#define PORT61_SPEAKER 0x02
#define PORT61_NO_SERR 0x04 /* system error NMI off */
#define PORT61_NO_IOCK 0x08 /* I/O channel check NMI off */
#define PORT61_REFRESH 0x10 /* toggles at each memory refresh: every 18 ticks of the timer clock, 15.085 us */
#define PORT61_OUT2    0x20

struct port61 {
	struct device dev;
	u8 value;            /* [S] the four writable bits */
	struct clock *clock; /* [H] */
	struct i8254 *pit;   /* [H] */
};

void port61_init(struct port61 *port, const char *id, struct clock *clock, struct i8254 *pit);

/* 61h; ends with an entry of length 0. */
extern const struct bus_region port61_regions[];

#endif
