/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/dev/port61.h"

#define PORT61_WRITABLE (PORT61_GATE2 | PORT61_SPEAKER | PORT61_NO_SERR | PORT61_NO_IOCK)

/* Counter 1 used to divide the timer clock by this to pace memory refresh. */
#define REFRESH_TICKS 18

static u64 port61_read(void *dev, u64 offset, unsigned size)
{
	struct port61 *port = dev;
	u8 value = port->value;

	if (clock_muldiv(clock_now(port->clock), I8254_HZ, REFRESH_TICKS * CLOCK_HZ) & 1)
		value |= PORT61_REFRESH;
	if (i8254_out(port->pit, 2))
		value |= PORT61_OUT2;
	return value;
}

static void port61_write(void *dev, u64 offset, unsigned size, u64 value)
{
	struct port61 *port = dev;

	port->value = value & PORT61_WRITABLE;
	i8254_set_gate2(port->pit, value & PORT61_GATE2);
}

const struct bus_region port61_regions[] = {
    {.base = 0x61, .len = 1, .name = "port61", .read = port61_read, .write = port61_write, .timed = true, .width = 1},
    {.len = 0},
};

static void port61_reset(struct device *dev)
{
	struct port61 *port = container_of(dev, struct port61, dev);

	port->value = 0;
	i8254_set_gate2(port->pit, false);
}

static const struct field port61_fields[] = {
    FIELD(struct port61, value),
    FIELD_END,
};

static const struct device_class port61_class = {
    .name = "port61",
    .fields = port61_fields,
    .reset = port61_reset,
};

void port61_init(struct port61 *port, const char *id, struct clock *clock, struct i8254 *pit)
{
	*port = (struct port61){.dev = {&port61_class, id}, .clock = clock, .pit = pit};
	port61_reset(&port->dev);
}
