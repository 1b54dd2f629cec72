/* SPDX-License-Identifier: GPL-2.0-or-later */
/* High precision event timers: one block of three comparators on a 64-bit main counter of 100 MHz. Source: IA-PC HPET
 * specification 1.0a.
 *
 * Left open there, and here so: all three are 64 bits wide and have the periodic mode; there are no FSB messages. A
 * match happens when the counter comes to the comparator's value, not where it already stands. The counter can be
 * written while it is halted only. A level-triggered interrupt stays up until its status bit is cleared, even with the
 * block turned off. */
#ifndef VMM_DEV_HPET_H
#define VMM_DEV_HPET_H

#include "vmm/clock.h"
#include "vmm/device.h"
#include "vmm/irq.h"

#define HPET_TIMERS    3
#define HPET_LEN       0x400
#define HPET_PERIOD_NS 10
/* Capabilities, bits 31:0, as in the ACPI table: vendor, legacy replacement, 64-bit counter, last timer, revision. */
#define HPET_ID (0x8086u << 16 | 1u << 15 | 1u << 13 | (HPET_TIMERS - 1) << 8 | 1)

/* Registers, 64 bits each. */
#define HPET_CAPABILITIES  0x000
#define HPET_CONFIG        0x010
#define HPET_STATUS        0x020
#define HPET_COUNTER       0x0f0
#define HPET_TIMER(n)      (0x100 + 0x20 * (n)) /* configuration and capabilities */
#define HPET_COMPARATOR(n) (0x108 + 0x20 * (n))
#define HPET_FSB(n)        (0x110 + 0x20 * (n))

#define HPET_ENABLE 0x1 /* HPET_CONFIG: ENABLE_CNF */
#define HPET_LEGACY 0x2 /* LEG_RT_CNF */

/* HPET_TIMER() */
#define HPET_LEVEL        0x0002 /* INT_TYPE_CNF */
#define HPET_INTERRUPTS   0x0004 /* INT_ENB_CNF */
#define HPET_PERIODIC     0x0008 /* TYPE_CNF */
#define HPET_CAN_PERIODIC 0x0010
#define HPET_CAN_64       0x0020
#define HPET_VALUE_SET    0x0040 /* VAL_SET_CNF, reads as 0 */
#define HPET_32           0x0100 /* 32MODE_CNF */
#define HPET_ROUTE        0x3e00 /* INT_ROUTE_CNF */
#define HPET_ROUTE_SHIFT  9

struct hpet_timer {
	u16 config;     /* [S] HPET_LEVEL, _INTERRUPTS, _PERIODIC, _32 and _ROUTE */
	u8 value_set;   /* [S] the next write of the comparator also sets where it stands in periodic mode */
	u64 comparator; /* [S] */
	u64 period;     /* [S] what was last written to the comparator */
};

struct hpet {
	struct device dev;
	struct hpet_timer timer[HPET_TIMERS];
	u8 config;               /* [S] */
	u8 status;               /* [S] */
	u64 counter;             /* [S] the main counter at @seen */
	u64 seen;                /* [S] ticks of guest time up to which matches are settled */
	u8 inputs;               /* [S] levels of the replaced timers' lines */
	u32 lines;               /* [S] interrupts that are driven high */
	struct clock_timer next; /* [S] the next match that interrupts */
	struct clock *clock;     /* [H] */
	u32 routes;              /* [H] interrupts that a timer can be routed to, a bit each */
	struct irq_line out;     /* [H] its set() gets the interrupt's number; 0 and 8 by legacy replacement */
};

/* @out: n is ignored. */
void hpet_init(struct hpet *hpet, const char *id, struct clock *clock, u32 routes, struct irq_line out);

/* The outputs of the 8254 (@n 0) and of the RTC (1), which reach interrupts 0 and 8 through here unless they are
 * replaced. Of the form of irq_line.set. */
void hpet_set_input(void *hpet, unsigned n, bool level);

/* Registers; every access depends on the clock. Accesses that cross from one register into another read as ones and
 * write nothing. */
u64 hpet_read(void *dev, u64 offset, unsigned size);
void hpet_write(void *dev, u64 offset, unsigned size, u64 value);

#endif
