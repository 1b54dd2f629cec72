/* SPDX-License-Identifier: GPL-2.0-or-later */
/* I/O APIC with two local APICs behind it: registers, lines, EOI. */
#include <stdlib.h>

#include "vmm/dev/ioapic.h"

static struct clock clock;
static u64 insns, tsc_offset;
static struct apic_bus bus;
static struct lapic cpu[2];
static struct ioapic io;

static bool deliver(void *opaque, const struct apic_message *msg)
{
	return apic_bus_deliver(&bus, msg);
}

static void eoi(void *opaque, u8 vector)
{
	ioapic_eoi(&io, vector);
}

static void setup(void)
{
	clock = (struct clock){.insns = &insns, .next_deadline = CLOCK_NEVER};
	bus = (struct apic_bus){.eoi = eoi};
	for (unsigned i = 0; i < 2; i++) {
		lapic_init(&cpu[i], &bus, &clock, &tsc_offset, i, "lapic");
		lapic_virtual_wire(&cpu[i]);
	}
	ioapic_init(&io, deliver, NULL, "ioapic");
}

static void step(const u8 *p)
{
	struct lapic *l = &cpu[p[1] & 1];
	unsigned size = 1u << (p[1] >> 4 & 3);

	switch (p[0] % 6) {
	case 0:
		ioapic_read(&io, load16(p + 2) & 0xfff, size);
		break;
	case 1:
		ioapic_write(&io, IOAPIC_REGSEL, 4, p[2] % 0x42);
		ioapic_write(&io, IOAPIC_WIN, 4, load32(p + 4));
		break;
	case 2:
		ioapic_write(&io, load16(p + 2) & 0xfff, size, load32(p + 4));
		break;
	case 3:
		ioapic_set_irq(&io, p[2], p[3] & 1);
		break;
	case 4:
		if (lapic_pending(l) >= 0)
			lapic_ack(l);
		break;
	case 5:
		lapic_write(l, LAPIC_EOI, 4, 0);
		break;
	}
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		if ((io.rte[pin] & RTE_REMOTE_IRR) && !(io.rte[pin] & RTE_LEVEL))
			abort();
	ioapic_has_nmi(&io);
}

static void load(const u8 *data, size_t len)
{
	u8 state[512] = {0};
	size_t size = state_size(io.dev.class->fields);

	memcpy(state, data, len < size ? len : size);
	if (state_load(io.dev.class->fields, &io, state, size))
		abort();
	io.dev.class->loaded(&io.dev);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t len);
int LLVMFuzzerTestOneInput(const u8 *data, size_t len)
{
	setup();
	if (len && data[0] & 1) {
		load(data + 1, len - 1);
		for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
			if (!(io.rte[pin] & RTE_LEVEL))
				io.rte[pin] &= ~RTE_REMOTE_IRR;
	}
	for (size_t i = 1; i + 8 <= len; i += 8)
		step(data + i);
	return 0;
}
