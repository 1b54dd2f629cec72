/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 8042 keyboard controller with an AT keyboard and no auxiliary device.
 * Sources: IBM PS/2 Hardware Interface Technical Reference (keyboard and auxiliary device controller; keyboards).
 *
 * Reset state is what firmware leaves behind: translation on, keyboard interrupt on, auxiliary port disabled. */
#ifndef VMM_DEV_I8042_H
#define VMM_DEV_I8042_H

#include "vmm/bus.h"
#include "vmm/device.h"
#include "vmm/irq.h"

#define I8042_QUEUE 32

#define I8042_STATUS_OBF     0x01
#define I8042_STATUS_SYSTEM  0x04
#define I8042_STATUS_COMMAND 0x08 /* the last write went to 64h */
#define I8042_STATUS_NO_LOCK 0x10
#define I8042_STATUS_AUX     0x20

#define I8042_CTR_KBD_INT 0x01
#define I8042_CTR_AUX_INT 0x02
#define I8042_CTR_SYSTEM  0x04
#define I8042_CTR_KBD_OFF 0x10
#define I8042_CTR_AUX_OFF 0x20
#define I8042_CTR_XLATE   0x40

#define I8042_OUT_RESET 0x01 /* low resets the processor */
#define I8042_OUT_A20   0x02

struct i8042_queue {
	u8 byte[I8042_QUEUE];
	u8 head, count;
};

struct i8042 {
	struct device dev;
	u8 ctr;        /* [S] command byte */
	u8 status;     /* [S] OBF, AUX and COMMAND bits */
	u8 data;       /* [S] output buffer */
	u8 command;    /* [S] controller command waiting for its data byte, or 0 */
	u8 outport;    /* [S] */
	u8 ram[32];    /* [S] controller memory but byte 0, which is ctr */
	u8 irq_levels; /* [S] bit 0: keyboard line, bit 1: auxiliary line */

	struct i8042_queue replies; /* [S] from keyboard and controller: the keyboard's answers to commands */
	struct i8042_queue keys;    /* [S] scan codes typed, set 2 */
	u8 kbd_command;             /* [S] keyboard command waiting for its parameter, or 0 */
	u8 kbd_scanning;            /* [S] */
	u8 kbd_set;                 /* [S] scan code set the guest chose; what is sent is always set 2 */
	u8 kbd_leds;                /* [S] */
	u8 kbd_last;                /* [S] last byte sent, for RESEND */
	u8 xlate_break;             /* [S] translation has seen F0h */

	struct irq_line kbd_irq;     /* [H] IRQ1 */
	struct irq_line aux_irq;     /* [H] IRQ12 */
	struct irq_line a20;         /* [H] the output port's A20 bit */
	void (*reset)(void *opaque); /* [H] the processor's reset line was pulsed; may be NULL */
	void *opaque;                /* [H] */
};

void i8042_init(struct i8042 *kbc, const char *id, struct irq_line kbd_irq, struct irq_line aux_irq,
		void (*reset)(void *opaque), void *opaque);

/* Scan code bytes (set 2, as the keyboard sends them) that can be queued now. */
size_t i8042_room(const struct i8042 *kbc);

/* Keys pressed and released: scan codes of set 2. Takes up to i8042_room() bytes; returns how many. */
size_t i8042_key(struct i8042 *kbc, const u8 *codes, size_t len);

/* 60h and 64h; ends with an entry of length 0. */
extern const struct bus_region i8042_regions[];

#endif
