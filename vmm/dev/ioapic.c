/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/dev/ioapic.h"

#define IOAPIC_VERSION (((IOAPIC_PINS - 1) << 16) | 0x20)
#define RTE_WRITABLE   0xff0000000001afffull

static const struct field ioapic_fields[] = {
    FIELD(struct ioapic, select),
    FIELD(struct ioapic, id),
    FIELD(struct ioapic, lines),
    FIELD_ARRAY(struct ioapic, rte),
    FIELD_END,
};

static unsigned delivery_mode(u64 rte)
{
	return (rte >> 8) & 7;
}

/* Remote IRR exists for level-triggered fixed and lowest-priority interrupts. */
static bool tracks_level(u64 rte)
{
	return (rte & RTE_LEVEL) && delivery_mode(rte) <= APIC_LOWEST;
}

static bool send(struct ioapic *io, unsigned pin)
{
	u64 rte = io->rte[pin];
	u32 dest = rte >> 56;
	struct apic_message msg = {
	    .vector = rte & RTE_VECTOR,
	    .delivery = delivery_mode(rte),
	    .logical = rte & RTE_LOGICAL,
	    .level = tracks_level(rte),
	    .broadcast = dest == 0xff && !(rte & RTE_LOGICAL),
	    .dest = dest,
	};

	/* A start-up message can't come from an I/O APIC (reserved encoding). */
	return msg.delivery != APIC_STARTUP && io->deliver(io->opaque, &msg);
}

/* Sends a level that is asserted and not yet being handled. */
static void service_level(struct ioapic *io, unsigned pin)
{
	u64 rte = io->rte[pin];

	if (!tracks_level(rte) || (rte & (RTE_MASKED | RTE_REMOTE_IRR)) || !(io->lines & (1u << pin)))
		return;
	/* Set first: the message may come back as an EOI at once. */
	io->rte[pin] |= RTE_REMOTE_IRR;
	if (!send(io, pin))
		io->rte[pin] &= ~RTE_REMOTE_IRR;
}

void ioapic_set_irq(struct ioapic *io, unsigned pin, bool level)
{
	bool rose;

	if (pin >= IOAPIC_PINS)
		return;
	rose = level && !(io->lines & (1u << pin));
	io->lines = level ? io->lines | (1u << pin) : io->lines & ~(1u << pin);
	if (tracks_level(io->rte[pin]))
		service_level(io, pin);
	else if (rose && !(io->rte[pin] & RTE_MASKED))
		send(io, pin);
}

static void end_entry(struct ioapic *io, unsigned pin, u8 vector)
{
	if (!(io->rte[pin] & RTE_REMOTE_IRR) || (io->rte[pin] & RTE_VECTOR) != vector)
		return;
	io->rte[pin] &= ~RTE_REMOTE_IRR;
	service_level(io, pin);
}

void ioapic_eoi(struct ioapic *io, u8 vector)
{
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		end_entry(io, pin, vector);
}

bool ioapic_has_nmi(const struct ioapic *io)
{
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		unsigned mode = delivery_mode(io->rte[pin]);

		if (!(io->rte[pin] & RTE_MASKED) && (mode == APIC_NMI || mode == APIC_INIT))
			return true;
	}
	return false;
}

static void write_rte(struct ioapic *io, unsigned pin, bool high, u32 value)
{
	u64 old = io->rte[pin];
	u64 rte = high ? (old & 0xffffffff) | (u64)value << 32 : (old & ~0xffffffffull) | value;

	rte = (rte & RTE_WRITABLE) | (old & RTE_REMOTE_IRR);
	/* Turning an entry to edge drops remote IRR: how it's cleared where there is no EOI register. */
	if (!tracks_level(rte))
		rte &= ~RTE_REMOTE_IRR;
	io->rte[pin] = rte;
	service_level(io, pin);
}

static u32 reg_read(const struct ioapic *io)
{
	unsigned n = io->select - IOAPIC_REDTBL;

	switch (io->select) {
	case IOAPIC_ID:
	case IOAPIC_ARB:
		return io->id;
	case IOAPIC_VER:
		return IOAPIC_VERSION;
	}
	if (n >= 2 * IOAPIC_PINS)
		return 0;
	return n & 1 ? io->rte[n / 2] >> 32 : io->rte[n / 2];
}

static void reg_write(struct ioapic *io, u32 value)
{
	unsigned n = io->select - IOAPIC_REDTBL;

	if (io->select == IOAPIC_ID)
		io->id = value & 0x0f000000;
	else if (n < 2 * IOAPIC_PINS)
		write_rte(io, n / 2, n & 1, value);
}

/* Registers are 32 bits wide; narrower reads see the bytes they name, narrower writes are dropped but for the select
 * register, which has eight bits. */
u64 ioapic_read(void *dev, u64 offset, unsigned size)
{
	struct ioapic *io = dev;
	unsigned byte = offset & 15;
	u32 value = 0;

	if (byte >= 4)
		return 0;
	if ((offset & ~15ull) == IOAPIC_REGSEL)
		value = io->select;
	else if ((offset & ~15ull) == IOAPIC_WIN)
		value = reg_read(io);
	value >>= 8 * byte;
	return size < 4 ? value & ((1u << (8 * size)) - 1) : value;
}

void ioapic_write(void *dev, u64 offset, unsigned size, u64 value)
{
	struct ioapic *io = dev;

	if (offset == IOAPIC_REGSEL)
		io->select = value & 0xff;
	else if (offset == IOAPIC_WIN && size >= 4)
		reg_write(io, value);
	else if (offset == IOAPIC_EOIR && size >= 4)
		ioapic_eoi(io, value);
}

void ioapic_reset(struct ioapic *io)
{
	io->select = 0;
	io->id = 0;
	io->lines = 0;
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		io->rte[pin] = RTE_MASKED;
}

static void device_reset(struct device *dev)
{
	ioapic_reset(container_of(dev, struct ioapic, dev));
}

static void device_loaded(struct device *dev)
{
	struct ioapic *io = container_of(dev, struct ioapic, dev);

	io->select &= 0xff;
	io->lines &= (1u << IOAPIC_PINS) - 1;
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		io->rte[pin] &= RTE_WRITABLE | RTE_REMOTE_IRR;
}

static const struct device_class ioapic_class = {
    .name = "82093aa",
    .fields = ioapic_fields,
    .reset = device_reset,
    .loaded = device_loaded,
};

void ioapic_init(struct ioapic *io, bool (*deliver)(void *opaque, const struct apic_message *msg), void *opaque,
		 const char *device_id)
{
	*io = (struct ioapic){
	    .dev = {.class = &ioapic_class, .id = device_id},
	    .deliver = deliver,
	    .opaque = opaque,
	};
	ioapic_reset(io);
}
