/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/dev/i8259.h"

#define CASCADE 2 /* the master's input that the slave drives */

/* Even port */
#define ICW1_IC4     0x01
#define ICW1_SNGL    0x02
#define ICW1_LTIM    0x08
#define ICW1         0x10
#define OCW3         0x08
#define OCW3_RIS     0x01
#define OCW3_RR      0x02
#define OCW3_POLL    0x04
#define OCW3_SMM     0x20
#define OCW3_ESMM    0x40
#define OCW2_LEVEL   0x07
#define OCW2_COMMAND 0xe0
/* ICW4 */
#define ICW4_AEOI 0x02
#define ICW4_SFNM 0x10

#define POLL_INTERRUPT 0x80
#define SPURIOUS       7

/* Inputs that may be level-triggered: not the timer, keyboard, cascade; not the RTC, coprocessor. */
#define ELCR_MASTER 0xf8
#define ELCR_SLAVE  0xde

enum ocw2 {
	OCW2_ROTATE_AEOI_CLEAR = 0x00,
	OCW2_EOI = 0x20,
	OCW2_NOP = 0x40,
	OCW2_SPECIFIC_EOI = 0x60,
	OCW2_ROTATE_AEOI_SET = 0x80,
	OCW2_ROTATE_EOI = 0xa0,
	OCW2_SET_PRIORITY = 0xc0,
	OCW2_ROTATE_SPECIFIC_EOI = 0xe0,
};

static const struct i8259_half half_reset = {.icw3 = 0};

/* Of the inputs in @mask, the rank of the one with the highest priority: 0 (highest) to 7; 8 when there is none. */
static unsigned best_rank(const struct i8259_half *h, u8 mask)
{
	unsigned rank = 0;

	while (rank < 8 && !(mask & BIT((h->top + rank) & 7)))
		rank++;
	return rank;
}

/* The input that would be acknowledged now, or -1. @master: special fully nested mode is about its cascade input. */
static int half_pending(const struct i8259_half *h, bool master)
{
	u8 blocking = h->isr;
	unsigned rank = best_rank(h, h->irr & ~h->imr);

	if (rank == 8)
		return -1;
	if (h->special_mask)
		blocking &= ~h->imr;
	/* The slave may interrupt its own service routine with something more urgent; what is below it still waits. */
	if (master && h->fully_nested && ((h->top + rank) & 7) == CASCADE)
		blocking &= ~BIT(CASCADE);
	if (rank >= best_rank(h, blocking))
		return -1;
	return (h->top + rank) & 7;
}

static void update(struct i8259 *pic)
{
	bool level;

	if (half_pending(&pic->slave, false) >= 0)
		pic->master.irr |= BIT(CASCADE);
	else
		pic->master.irr &= ~BIT(CASCADE);
	level = half_pending(&pic->master, true) >= 0;
	if (level == pic->intr_level)
		return;
	pic->intr_level = level;
	irq_set(&pic->intr, level);
}

static bool is_level(const struct i8259_half *h, unsigned n)
{
	return h->ltim || (h->elcr & BIT(n));
}

void i8259_set_irq(void *opaque, unsigned n, bool level)
{
	struct i8259 *pic = opaque;
	struct i8259_half *h = n & 8 ? &pic->slave : &pic->master;
	u8 bit = BIT(n & 7);

	if (n > 15 || n == CASCADE)
		return;
	if (level && !(h->lines & bit))
		h->irr |= bit;
	if (!level && is_level(h, n & 7))
		h->irr &= ~bit;
	h->lines = level ? h->lines | bit : h->lines & ~bit;
	update(pic);
}

bool i8259_pending(const struct i8259 *pic)
{
	return pic->intr_level;
}

static void end_of_interrupt(struct i8259_half *h, unsigned n, bool rotate)
{
	h->isr &= ~BIT(n);
	if (rotate)
		h->top = (n + 1) & 7;
}

/* Both INTA pulses for input @n of one controller. */
static void half_ack(struct i8259_half *h, unsigned n)
{
	h->isr |= BIT(n);
	if (!(is_level(h, n) && (h->lines & BIT(n))))
		h->irr &= ~BIT(n);
	if (h->auto_eoi)
		end_of_interrupt(h, n, h->rotate_aeoi);
}

int i8259_ack(struct i8259 *pic)
{
	int n = half_pending(&pic->master, true);
	int vector;

	if (n < 0)
		return pic->master.base | SPURIOUS;
	vector = pic->master.base | n;
	if (n == CASCADE) {
		int s = half_pending(&pic->slave, false);

		vector = pic->slave.base | (s < 0 ? SPURIOUS : s);
		if (s >= 0)
			half_ack(&pic->slave, s);
	}
	half_ack(&pic->master, n);
	update(pic);
	return vector;
}

static void write_icw1(struct i8259_half *h, u8 value)
{
	struct i8259_half fresh = half_reset;

	fresh.lines = h->lines;
	fresh.elcr = h->elcr;
	fresh.base = h->base;
	fresh.icw3 = h->icw3;
	fresh.ltim = !!(value & ICW1_LTIM);
	fresh.single = !!(value & ICW1_SNGL);
	fresh.need_icw4 = !!(value & ICW1_IC4);
	fresh.init_step = 2;
	/* The edge detectors are cleared: an edge-triggered input that is high already needs another edge. */
	fresh.irr = fresh.lines & (fresh.ltim ? 0xff : fresh.elcr);
	*h = fresh;
}

static void write_ocw2(struct i8259_half *h, u8 value)
{
	unsigned level = value & OCW2_LEVEL;
	/* In special mask mode a non-specific EOI leaves the masked ones alone. */
	unsigned rank = best_rank(h, h->isr & ~(h->special_mask ? h->imr : 0));

	switch (value & OCW2_COMMAND) {
	case OCW2_ROTATE_AEOI_CLEAR:
		h->rotate_aeoi = 0;
		break;
	case OCW2_ROTATE_AEOI_SET:
		h->rotate_aeoi = 1;
		break;
	case OCW2_EOI:
	case OCW2_ROTATE_EOI:
		if (rank < 8)
			end_of_interrupt(h, (h->top + rank) & 7, (value & OCW2_COMMAND) == OCW2_ROTATE_EOI);
		break;
	case OCW2_SPECIFIC_EOI:
	case OCW2_ROTATE_SPECIFIC_EOI:
		end_of_interrupt(h, level, (value & OCW2_COMMAND) == OCW2_ROTATE_SPECIFIC_EOI);
		break;
	case OCW2_SET_PRIORITY:
		h->top = (level + 1) & 7;
		break;
	case OCW2_NOP:
		break;
	}
}

static void write_ocw3(struct i8259_half *h, u8 value)
{
	if (value & OCW3_ESMM)
		h->special_mask = !!(value & OCW3_SMM);
	if (value & OCW3_POLL)
		h->poll = 1;
	else if (value & OCW3_RR)
		h->read_isr = value & OCW3_RIS;
}

/* The odd port while ICWs are expected. */
static void write_icw(struct i8259_half *h, u8 value)
{
	switch (h->init_step) {
	case 2:
		h->base = value & 0xf8;
		h->init_step = !h->single ? 3 : h->need_icw4 ? 4 : 0;
		break;
	case 3:
		h->icw3 = value;
		h->init_step = h->need_icw4 ? 4 : 0;
		break;
	case 4:
		h->auto_eoi = !!(value & ICW4_AEOI);
		h->fully_nested = !!(value & ICW4_SFNM);
		h->init_step = 0;
		break;
	}
}

static void half_write(struct i8259 *pic, struct i8259_half *h, u64 offset, u8 value)
{
	if (offset && h->init_step)
		write_icw(h, value);
	else if (offset)
		h->imr = value;
	else if (value & ICW1)
		write_icw1(h, value);
	else if (value & OCW3)
		write_ocw3(h, value);
	else
		write_ocw2(h, value);
	update(pic);
}

/* A poll takes the place of INTA. */
static u8 half_poll(struct i8259 *pic, struct i8259_half *h)
{
	int n = half_pending(h, h == &pic->master);

	h->poll = 0;
	if (n < 0)
		return 0;
	half_ack(h, n);
	update(pic);
	return POLL_INTERRUPT | n;
}

static u8 half_read(struct i8259 *pic, struct i8259_half *h, u64 offset)
{
	if (h->poll)
		return half_poll(pic, h);
	if (offset)
		return h->imr;
	return h->read_isr ? h->isr : h->irr;
}

static u64 master_read(void *dev, u64 offset, unsigned size)
{
	struct i8259 *pic = dev;

	return half_read(pic, &pic->master, offset);
}

static void master_write(void *dev, u64 offset, unsigned size, u64 value)
{
	struct i8259 *pic = dev;

	half_write(pic, &pic->master, offset, value);
}

static u64 slave_read(void *dev, u64 offset, unsigned size)
{
	struct i8259 *pic = dev;

	return half_read(pic, &pic->slave, offset);
}

static void slave_write(void *dev, u64 offset, unsigned size, u64 value)
{
	struct i8259 *pic = dev;

	half_write(pic, &pic->slave, offset, value);
}

static u64 elcr_read(void *dev, u64 offset, unsigned size)
{
	struct i8259 *pic = dev;

	return offset ? pic->slave.elcr : pic->master.elcr;
}

static void half_set_elcr(struct i8259_half *h, u8 elcr)
{
	u8 to_level = elcr & ~h->elcr;

	h->elcr = elcr;
	/* An input that has become level-triggered requests what its line says, not what an edge left behind. */
	h->irr = (h->irr & ~to_level) | (h->lines & to_level);
}

static void elcr_write(void *dev, u64 offset, unsigned size, u64 value)
{
	struct i8259 *pic = dev;

	if (offset)
		half_set_elcr(&pic->slave, value & ELCR_SLAVE);
	else
		half_set_elcr(&pic->master, value & ELCR_MASTER);
	update(pic);
}

const struct bus_region i8259_regions[] = {
    {.base = 0x20, .len = 2, .name = "pic0", .read = master_read, .write = master_write, .width = 1},
    {.base = 0xa0, .len = 2, .name = "pic1", .read = slave_read, .write = slave_write, .width = 1},
    {.base = 0x4d0, .len = 2, .name = "elcr", .read = elcr_read, .write = elcr_write, .width = 1},
    {.len = 0},
};

static void i8259_reset(struct device *dev)
{
	struct i8259 *pic = container_of(dev, struct i8259, dev);

	pic->master = half_reset;
	pic->slave = half_reset;
	pic->intr_level = 0;
	irq_set(&pic->intr, false);
}

static void half_loaded(struct i8259_half *h, u8 elcr_mask)
{
	h->elcr &= elcr_mask;
	h->base &= 0xf8;
	h->top &= 7;
	if (h->init_step == 1 || h->init_step > 4)
		h->init_step = 0;
}

/* A hostile checkpoint may hold any value. */
static void i8259_loaded(struct device *dev)
{
	struct i8259 *pic = container_of(dev, struct i8259, dev);

	half_loaded(&pic->master, ELCR_MASTER);
	half_loaded(&pic->slave, ELCR_SLAVE);
	pic->intr_level = !!pic->intr_level;
}

#define HALF_FIELDS(half)                                                                                              \
	FIELD(struct i8259, half.irr), FIELD(struct i8259, half.imr), FIELD(struct i8259, half.isr),                   \
	    FIELD(struct i8259, half.lines), FIELD(struct i8259, half.elcr), FIELD(struct i8259, half.ltim),           \
	    FIELD(struct i8259, half.base), FIELD(struct i8259, half.icw3), FIELD(struct i8259, half.init_step),       \
	    FIELD(struct i8259, half.single), FIELD(struct i8259, half.need_icw4), FIELD(struct i8259, half.auto_eoi), \
	    FIELD(struct i8259, half.fully_nested), FIELD(struct i8259, half.rotate_aeoi),                             \
	    FIELD(struct i8259, half.special_mask), FIELD(struct i8259, half.poll),                                    \
	    FIELD(struct i8259, half.read_isr), FIELD(struct i8259, half.top)

static const struct field i8259_fields[] = {
    HALF_FIELDS(master),
    HALF_FIELDS(slave),
    FIELD(struct i8259, intr_level),
    FIELD_END,
};

static const struct device_class i8259_class = {
    .name = "8259a",
    .fields = i8259_fields,
    .reset = i8259_reset,
    .loaded = i8259_loaded,
};

void i8259_init(struct i8259 *pic, const char *id)
{
	*pic = (struct i8259){.dev = {&i8259_class, id}};
	i8259_reset(&pic->dev);
}
