/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages between APICs: destinations (SDM 3A 10.6.2), the interrupt command register (10.6.1), arbitration for
 * lowest-priority delivery (10.6.2.4). */
#include "vmm/dev/lapic.h"

#define DFR_FLAT 0xfu

#define ICR_LOGICAL   BIT(11)
#define ICR_ASSERT    BIT(14)
#define ICR_LEVEL     BIT(15)
#define ICR_SHORTHAND 18

enum shorthand { TO_DEST, TO_SELF, TO_ALL, TO_OTHERS };

static bool logical_match(const struct lapic *l, u32 dest)
{
	u32 ldr = l->ldr >> 24;

	if (lapic_x2(l)) {
		u32 own = ((l->id >> 4) << 16) | (1u << (l->id & 15));

		return (own >> 16) == (dest >> 16) && (own & dest & 0xffff);
	}
	if (l->dfr >> 28 == DFR_FLAT)
		return ldr & dest;
	/* Cluster model: cluster 15 is all clusters. */
	return ((dest >> 4) == 0xf || (dest >> 4) == ldr >> 4) && (ldr & dest & 0xf);
}

static bool addressed(const struct lapic *l, const struct apic_message *msg)
{
	if (!lapic_enabled(l))
		return false;
	if (msg->broadcast)
		return true;
	return msg->logical ? logical_match(l, msg->dest) : l->id == msg->dest;
}

static bool holds(const struct lapic *l, u8 vector)
{
	return ((l->irr[vector / 32] | l->isr[vector / 32]) >> (vector % 32)) & 1;
}

/* Reserved modes and ExtINT messages are dropped; there is no system management mode to enter. */
static bool receive(struct lapic *l, const struct apic_message *msg)
{
	switch (msg->delivery) {
	case APIC_FIXED:
	case APIC_LOWEST:
		return lapic_accept(l, msg->vector, msg->level);
	case APIC_NMI:
		l->nmi_pending = 1;
		break;
	case APIC_INIT:
		l->init_pending = 1;
		break;
	case APIC_STARTUP:
		l->sipi_pending = 1;
		l->sipi_vector = msg->vector;
		break;
	default:
		return false;
	}
	lapic_changed(l);
	return true;
}

/* Who already holds the vector is in focus and takes it; otherwise the lowest arbitration priority, and of equals the
 * lowest number. */
static struct lapic *arbitrate(struct apic_bus *bus, const struct apic_message *msg)
{
	struct lapic *best = NULL;

	for (unsigned i = 0; i < bus->count; i++) {
		struct lapic *l = bus->lapic[i];

		if (!addressed(l, msg) || !(l->svr & SVR_ENABLE))
			continue;
		if (!(l->svr & BIT(9)) && holds(l, msg->vector))
			return l;
		if (!best || lapic_apr(l) < lapic_apr(best))
			best = l;
	}
	return best;
}

bool apic_bus_deliver(struct apic_bus *bus, const struct apic_message *msg)
{
	bool taken = false;

	if (msg->delivery == APIC_LOWEST) {
		struct lapic *l = arbitrate(bus, msg);

		return l && receive(l, msg);
	}
	for (unsigned i = 0; i < bus->count; i++)
		if (addressed(bus->lapic[i], msg))
			taken |= receive(bus->lapic[i], msg);
	return taken;
}

static void send_to_others(struct lapic *l, const struct apic_message *msg)
{
	for (unsigned i = 0; i < l->bus->count; i++)
		if (l->bus->lapic[i] != l && addressed(l->bus->lapic[i], msg))
			receive(l->bus->lapic[i], msg);
}

void lapic_send_ipi(struct lapic *l, u32 icr_low, u32 dest)
{
	struct apic_message msg = {
	    .vector = icr_low,
	    .delivery = (icr_low >> 8) & 7,
	    .logical = icr_low & ICR_LOGICAL,
	    .broadcast = dest == (lapic_x2(l) ? 0xffffffffu : 0xffu) && !(icr_low & ICR_LOGICAL),
	    .dest = dest,
	};

	/* INIT level de-assert only synchronised arbitration IDs once; it starts nothing. */
	if (msg.delivery == APIC_INIT && (icr_low & ICR_LEVEL) && !(icr_low & ICR_ASSERT))
		return;
	if ((msg.delivery == APIC_FIXED || msg.delivery == APIC_LOWEST) && msg.vector < 16) {
		lapic_error(l, ESR_SEND_ILLEGAL);
		return;
	}
	switch ((icr_low >> ICR_SHORTHAND) & 3) {
	case TO_DEST:
		apic_bus_deliver(l->bus, &msg);
		break;
	case TO_SELF:
		receive(l, &msg);
		break;
	case TO_ALL:
		msg.broadcast = true;
		apic_bus_deliver(l->bus, &msg);
		break;
	case TO_OTHERS:
		msg.broadcast = true;
		send_to_others(l, &msg);
		break;
	}
}
