/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/dev/debugexit.h"

static u64 debugexit_read(void *dev, u64 offset, unsigned size)
{
	return 0;
}

static void debugexit_write(void *dev, u64 offset, unsigned size, u64 value)
{
	struct debugexit *port = dev;

	if (port->exit)
		port->exit(port->opaque, value);
}

const struct bus_region debugexit_regions[] = {
    {.base = 0xf4, .len = 4, .name = "debugexit", .read = debugexit_read, .write = debugexit_write},
    {.len = 0},
};

static void debugexit_reset(struct device *dev)
{
}

static const struct field debugexit_fields[] = {FIELD_END};

static const struct device_class debugexit_class = {
    .name = "isa-debug-exit",
    .fields = debugexit_fields,
    .reset = debugexit_reset,
};

void debugexit_init(struct debugexit *port, const char *id, void (*exit)(void *opaque, u32 value), void *opaque)
{
	*port = (struct debugexit){.dev = {&debugexit_class, id}, .exit = exit, .opaque = opaque};
}
