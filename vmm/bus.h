/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Port and MMIO buses: address ranges with a read and a write function.
 *
 * Sizes are 1, 2, 4 (ports) or 1, 2, 4, 8 (MMIO) bytes; an access may not be aligned. A region sees
 * offsets from its base. An access that no region claims reads as all ones and is dropped when written;
 * one that straddles a region's edge is split into bytes, lowest address first. */
#ifndef VMM_BUS_H
#define VMM_BUS_H

#include "vmm/types.h"

struct bus_region {
	u64 base;
	u64 len;
	const char *name; /* for traces and `device` dumps, e.g. "serial0" */
	u64 (*read)(void *dev, u64 offset, unsigned size);
	void (*write)(void *dev, u64 offset, unsigned size, u64 value);
	void *dev;
	bool timed;     /* the access depends on the clock: it is sampled first (clock.h) */
	unsigned width; /* bytes the device takes at once; wider accesses are split into pieces; 0: any */
};

#define BUS_MAX_REGIONS 64

struct bus {
	struct bus_region region[BUS_MAX_REGIONS]; /* [H] sorted by base, never overlapping */
	unsigned count;
	unsigned last; /* [D] the region found last, looked at first */
	u64 mask;      /* address bits the bus decodes (0xffff for ports) */
};

/* Adds a region. -EINVAL when it is empty or outside what the bus decodes, -EEXIST when it overlaps one,
 * -ENOSPC when the table is full. */
int bus_add(struct bus *bus, const struct bus_region *region);

/* The region that claims @addr, or NULL. Cost: one comparison when it is the last one used,
 * otherwise a binary search. */
const struct bus_region *bus_find(struct bus *bus, u64 addr);

u64 bus_read(struct bus *bus, u64 addr, unsigned size);
void bus_write(struct bus *bus, u64 addr, unsigned size, u64 value);

/* Whether an access depends on the clock. */
bool bus_timed(struct bus *bus, u64 addr);

#endif
