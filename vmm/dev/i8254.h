/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 8254 programmable interval timer. Source: Intel 8254 data sheet (231164).
 *
 * Its input clock of 1193182 Hz is derived from guest time by exact integer arithmetic: tick T begins at
 * ceil(T * 10^9 / 1193182) ns, so nothing drifts. Counters are not stepped: their value and output are functions of the
 * ticks since they were loaded. */
#ifndef VMM_DEV_I8254_H
#define VMM_DEV_I8254_H

#include "vmm/bus.h"
#include "vmm/clock.h"
#include "vmm/device.h"
#include "vmm/irq.h"

#define I8254_HZ 1193182ull

struct i8254_counter {
	u8 control;      /* [S] the last control word's bits 5-0: access, mode, BCD */
	u8 gate;         /* [S] */
	u8 loaded;       /* [S] a count was written since the control word */
	u8 counting;     /* [S] elapsed = ticks since start; otherwise elapsed = held */
	u8 triggered;    /* [S] modes 1 and 5: gate has risen since the control word */
	u8 write_high;   /* [S] access 3: the next byte written is the high one */
	u8 write_low;    /* [S] access 3: the low byte written already */
	u8 read_high;    /* [S] access 3: the next byte read is the high one */
	u8 latched;      /* [S] a count is latched */
	u16 latch;       /* [S] */
	u8 status_ready; /* [S] a status byte is latched */
	u8 status;       /* [S] */
	u32 reload;      /* [S] count register: 1 to 65536 */
	u32 count;       /* [S] the count in use */
	u32 pending; /* [S] the count that takes over at switch_at (modes 2, 3) or the next trigger (1, 5); 0 if none */
	u64 switch_at; /* [S] tick */
	u64 start;     /* [S] tick at which elapsed was 0 (wraps below zero) */
	u64 held;      /* [S] elapsed ticks while not counting */
};

struct i8254 {
	struct device dev;
	struct i8254_counter counter[3]; /* [S] */
	struct clock_timer timer;        /* [S] the next edge of counter 0's output */
	u8 out0;                         /* [S] what the line was last driven to */
	struct clock *clock;             /* [H] */
	struct irq_line irq;             /* [H] counter 0's output */
};

void i8254_init(struct i8254 *pit, const char *id, struct clock *clock, struct irq_line irq);

/* Drives counter 2's GATE input (the other two are tied high). */
void i8254_set_gate2(struct i8254 *pit, bool level);

/* The output of counter @n now. */
bool i8254_out(struct i8254 *pit, unsigned n);

/* 40h-43h; ends with an entry of length 0. */
extern const struct bus_region i8254_regions[];

#endif
