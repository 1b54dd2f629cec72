/* SPDX-License-Identifier: GPL-2.0-or-later */
/* I/O APIC: 82093AA with the EOI register of later parts (version 20h), 24 inputs.
 *
 * Inputs carry "asserted", so the polarity bit of a redirection entry has no effect. An edge on a masked entry is
 * lost, as the data sheet says; a level is looked at again when the mask goes. */
#ifndef VMM_DEV_IOAPIC_H
#define VMM_DEV_IOAPIC_H

#include "vmm/dev/lapic.h"
#include "vmm/device.h"
#include "vmm/types.h"

#define IOAPIC_PINS 24
#define IOAPIC_LEN  0x1000

/* MMIO offsets and indirect registers. */
#define IOAPIC_REGSEL 0x00
#define IOAPIC_WIN    0x10
#define IOAPIC_EOIR   0x40
#define IOAPIC_ID     0x00
#define IOAPIC_VER    0x01
#define IOAPIC_ARB    0x02
#define IOAPIC_REDTBL 0x10

/* Redirection entry. */
#define RTE_VECTOR     0xffull
#define RTE_LOGICAL    BIT(11)
#define RTE_REMOTE_IRR BIT(14)
#define RTE_LEVEL      BIT(15)
#define RTE_MASKED     BIT(16)

struct ioapic {
	struct device dev;
	bool (*deliver)(void *opaque, const struct apic_message *msg); /* [H] to the local APICs */
	void *opaque;                                                  /* [H] */
	u32 select;                                                    /* [S] */
	u32 id;                                                        /* [S] bits 27:24 as in the register */
	u32 lines;                                                     /* [S] which inputs are asserted */
	u64 rte[IOAPIC_PINS];                                          /* [S] */
};

void ioapic_init(struct ioapic *io, bool (*deliver)(void *opaque, const struct apic_message *msg), void *opaque,
		 const char *device_id);
void ioapic_reset(struct ioapic *io);
void ioapic_set_irq(struct ioapic *io, unsigned pin, bool level);
/* A local APIC ended a level-triggered interrupt. */
void ioapic_eoi(struct ioapic *io, u8 vector);
/* Whether an unmasked entry sends what a processor with interrupts off would notice: NMI or INIT. */
bool ioapic_has_nmi(const struct ioapic *io);

u64 ioapic_read(void *dev, u64 offset, unsigned size);
void ioapic_write(void *dev, u64 offset, unsigned size, u64 value);

#endif
