/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/dev/pvpanic.h"

#define PVPANIC_SUPPORTED (PVPANIC_PANICKED | PVPANIC_CRASH_LOADED)

static u64 pvpanic_read(void *dev, u64 offset, unsigned size)
{
	return PVPANIC_SUPPORTED;
}

static void pvpanic_write(void *dev, u64 offset, unsigned size, u64 value)
{
	struct pvpanic *port = dev;
	u8 events = value & PVPANIC_SUPPORTED;

	if (events && port->event)
		port->event(port->opaque, events);
}

const struct bus_region pvpanic_regions[] = {
    {.base = 0x505, .len = 1, .name = "pvpanic", .read = pvpanic_read, .write = pvpanic_write, .width = 1},
    {.len = 0},
};

static void pvpanic_reset(struct device *dev)
{
}

static const struct field pvpanic_fields[] = {FIELD_END};

static const struct device_class pvpanic_class = {
    .name = "pvpanic",
    .fields = pvpanic_fields,
    .reset = pvpanic_reset,
};

void pvpanic_init(struct pvpanic *port, const char *id, void (*event)(void *opaque, u8 events), void *opaque)
{
	*port = (struct pvpanic){.dev = {&pvpanic_class, id}, .event = event, .opaque = opaque};
}
