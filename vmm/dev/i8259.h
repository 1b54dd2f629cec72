/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The PC's two 8259A interrupt controllers, the slave's INT wired to the master's IR2, and the chipset's edge/level
 * control register (ELCR). Source: Intel 8259A data sheet (231468); ELCR: Intel 82371AB (PIIX4) data sheet 4.2.5.
 *
 * Departures from the data sheet, all deliberate: a rising edge stays latched in IRR when its line falls again before
 * INTA (sources here may pulse); the cascade input IR2 follows the slave's INT as a level; only 8086 mode vectors. */
#ifndef VMM_DEV_I8259_H
#define VMM_DEV_I8259_H

#include "vmm/bus.h"
#include "vmm/device.h"
#include "vmm/irq.h"

struct i8259_half {
	u8 irr;          /* [S] requests */
	u8 imr;          /* [S] OCW1: masked inputs */
	u8 isr;          /* [S] in service */
	u8 lines;        /* [S] present levels of the inputs */
	u8 elcr;         /* [S] inputs that are level-triggered */
	u8 ltim;         /* [S] ICW1 LTIM: all inputs are level-triggered */
	u8 base;         /* [S] ICW2: vector of IR0 */
	u8 icw3;         /* [S] kept, not interpreted: the wiring is fixed */
	u8 init_step;    /* [S] the ICW expected next at the odd port: 2, 3, 4; 0 when initialised */
	u8 single;       /* [S] ICW1 SNGL: no ICW3 comes */
	u8 need_icw4;    /* [S] ICW1 IC4 */
	u8 auto_eoi;     /* [S] ICW4 AEOI */
	u8 fully_nested; /* [S] ICW4 SFNM: special fully nested mode */
	u8 rotate_aeoi;  /* [S] rotate at automatic EOI */
	u8 special_mask; /* [S] OCW3 special mask mode */
	u8 poll;         /* [S] OCW3 P: the next read is a poll */
	u8 read_isr;     /* [S] OCW3 RIS: the even port reads ISR */
	u8 top;          /* [S] the input with the highest priority */
};

struct i8259 {
	struct device dev;
	struct i8259_half master; /* [S] IRQ 0-7 */
	struct i8259_half slave;  /* [S] IRQ 8-15 */
	u8 intr_level;            /* [S] what the output line was last driven to */
	struct irq_line intr;     /* [H] INTR towards the processor */
};

void i8259_init(struct i8259 *pic, const char *id);

/* Drives input IRQ @n (0-15; 2 is the cascade and ignored); usable as irq_line.set with the i8259 as opaque. */
void i8259_set_irq(void *pic, unsigned n, bool level);

/* Whether INTR is high. */
bool i8259_pending(const struct i8259 *pic);

/* An INTA cycle: the vector, 0-255. With nothing pending any more that is the spurious IRQ7 (or IRQ15). */
int i8259_ack(struct i8259 *pic);

/* 20h-21h, A0h-A1h, 4D0h-4D1h; ends with an entry of length 0. */
extern const struct bus_region i8259_regions[];

#endif
