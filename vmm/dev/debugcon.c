/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/dev/debugcon.h"

#define DEBUGCON_PRESENT 0xe9

static u64 debugcon_read(void *dev, u64 offset, unsigned size)
{
	return DEBUGCON_PRESENT;
}

static void debugcon_write(void *dev, u64 offset, unsigned size, u64 value)
{
	struct debugcon *con = dev;
	u8 byte = value;

	if (con->tx)
		con->tx(con->opaque, &byte, 1);
}

const struct bus_region debugcon_regions[] = {
    {.base = 0xe9, .len = 1, .name = "debugcon", .read = debugcon_read, .write = debugcon_write, .width = 1},
    {.base = 0x402, .len = 1, .name = "debugcon", .read = debugcon_read, .write = debugcon_write, .width = 1},
    {.len = 0},
};

static void debugcon_reset(struct device *dev)
{
}

static const struct field debugcon_fields[] = {FIELD_END};

static const struct device_class debugcon_class = {
    .name = "debugcon",
    .fields = debugcon_fields,
    .reset = debugcon_reset,
};

void debugcon_init(struct debugcon *con, const char *id, void (*tx)(void *opaque, const u8 *buf, size_t len),
		   void *opaque)
{
	*con = (struct debugcon){.dev = {&debugcon_class, id}, .tx = tx, .opaque = opaque};
}
