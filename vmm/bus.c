/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/bus.h"

#include <errno.h>

/* The index of the first region whose base is above @addr. */
static unsigned upper_bound(const struct bus *bus, u64 addr)
{
	unsigned low = 0, high = bus->count;

	while (low < high) {
		unsigned mid = (low + high) / 2;

		if (bus->region[mid].base <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool claims(const struct bus_region *r, u64 addr)
{
	return addr - r->base < r->len;
}

int bus_add(struct bus *bus, const struct bus_region *region)
{
	u64 end = region->base + region->len - 1;
	unsigned at;

	if (!region->len || end < region->base || end > bus->mask)
		return -EINVAL;
	if (bus->count == BUS_MAX_REGIONS)
		return -ENOSPC;
	at = upper_bound(bus, region->base);
	if (at > 0 && claims(&bus->region[at - 1], region->base))
		return -EEXIST;
	if (at < bus->count && bus->region[at].base <= end)
		return -EEXIST;
	memmove(&bus->region[at + 1], &bus->region[at], (bus->count - at) * sizeof(bus->region[0]));
	bus->region[at] = *region;
	bus->count++;
	bus->last = at;
	return 0;
}

const struct bus_region *bus_find(struct bus *bus, u64 addr)
{
	unsigned above;

	addr &= bus->mask;
	if (!bus->count)
		return NULL;
	if (claims(&bus->region[bus->last], addr))
		return &bus->region[bus->last];
	above = upper_bound(bus, addr);
	if (!above || !claims(&bus->region[above - 1], addr))
		return NULL;
	bus->last = above - 1;
	return &bus->region[bus->last];
}

/* The size of the pieces in which an access of @size bytes at @addr, claimed by @r or nobody, is made. */
static unsigned piece_size(const struct bus_region *r, u64 addr, unsigned size)
{
	if (!r || addr - r->base + size > r->len)
		return 1;
	return r->width && r->width < size ? r->width : size;
}

static u64 ones(unsigned size)
{
	return ~0ull >> (64 - 8 * size);
}

static u64 read_piece(const struct bus_region *r, u64 addr, unsigned size)
{
	if (!r || !r->read)
		return ones(size);
	return r->read(r->dev, addr - r->base, size) & ones(size);
}

u64 bus_read(struct bus *bus, u64 addr, unsigned size)
{
	const struct bus_region *r = bus_find(bus, addr);
	unsigned piece;
	u64 value = 0;

	addr &= bus->mask;
	piece = piece_size(r, addr, size);
	if (likely(piece == size))
		return read_piece(r, addr, size);
	for (unsigned i = 0; i < size; i += piece) {
		u64 at = (addr + i) & bus->mask;

		value |= read_piece(bus_find(bus, at), at, piece) << (8 * i);
	}
	return value;
}

static void write_piece(const struct bus_region *r, u64 addr, unsigned size, u64 value)
{
	if (r && r->write)
		r->write(r->dev, addr - r->base, size, value & ones(size));
}

void bus_write(struct bus *bus, u64 addr, unsigned size, u64 value)
{
	const struct bus_region *r = bus_find(bus, addr);
	unsigned piece;

	addr &= bus->mask;
	piece = piece_size(r, addr, size);
	for (unsigned i = 0; i < size; i += piece) {
		u64 at = (addr + i) & bus->mask;

		write_piece(bus_find(bus, at), at, piece, value >> (8 * i));
	}
}

bool bus_timed(struct bus *bus, u64 addr)
{
	const struct bus_region *r = bus_find(bus, addr);

	return r && r->timed;
}
