/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/dev/port92.h"

static void set(struct port92 *port, u8 value)
{
	port->value = value & (PORT92_RESET | PORT92_A20);
	irq_set(&port->a20, value & PORT92_A20);
}

static u64 port92_read(void *dev, u64 offset, unsigned size)
{
	struct port92 *port = dev;

	return port->value;
}

static void port92_write(void *dev, u64 offset, unsigned size, u64 value)
{
	struct port92 *port = dev;
	u8 old = port->value;

	set(port, value);
	if ((port->value & ~old & PORT92_RESET) && port->reset)
		port->reset(port->opaque);
}

const struct bus_region port92_regions[] = {
    {.base = 0x92, .len = 1, .name = "port92", .read = port92_read, .write = port92_write, .width = 1},
    {.len = 0},
};

static const u8 port92_reset_value = PORT92_A20;

static void port92_reset(struct device *dev)
{
	set(container_of(dev, struct port92, dev), port92_reset_value);
}

static void port92_loaded(struct device *dev)
{
	struct port92 *port = container_of(dev, struct port92, dev);

	set(port, port->value);
}

static const struct field port92_fields[] = {
    FIELD(struct port92, value),
    FIELD_END,
};

static const struct device_class port92_class = {
    .name = "port92",
    .fields = port92_fields,
    .reset = port92_reset,
    .loaded = port92_loaded,
};

void port92_init(struct port92 *port, const char *id, void (*reset)(void *opaque), void *opaque)
{
	*port = (struct port92){.dev = {&port92_class, id}, .reset = reset, .opaque = opaque};
	port92_reset(&port->dev);
}
