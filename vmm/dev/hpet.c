/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Nothing counts here: the counter and the comparators of periodic timers are brought up to now whenever they are looked
 * at, and the clock's timer is armed only for the next match that interrupts. */
#include "vmm/dev/hpet.h"

#define NS_TO_FS     1000000ull
#define CAPABILITIES (HPET_PERIOD_NS * NS_TO_FS << 32 | HPET_ID)
#define WRITABLE     (HPET_LEVEL | HPET_INTERRUPTS | HPET_PERIODIC | HPET_32 | HPET_ROUTE)
#define RTC_IRQ      8
/* Ticks of the clock's whole range. */
#define LAST_TICK (CLOCK_NEVER / HPET_PERIOD_NS - 1)

static u64 width(const struct hpet_timer *t)
{
	return t->config & HPET_32 ? ~0u : ~0ull;
}

static bool is_replaced(const struct hpet *h, unsigned n)
{
	return (h->config & HPET_LEGACY) && n < 2;
}

/* The interrupt of timer @n as a bit; 0: it has none. */
static u32 route(const struct hpet *h, unsigned n)
{
	if (is_replaced(h, n))
		return BIT(n ? RTC_IRQ : 0);
	return BIT((h->timer[n].config & HPET_ROUTE) >> HPET_ROUTE_SHIFT) & h->routes;
}

/* --- interrupts --- */

static void set_line(const struct hpet *h, unsigned irq, bool level)
{
	struct irq_line line = {.set = h->out.set, .opaque = h->out.opaque, .n = irq};

	irq_set(&line, level);
}

static void drive(struct hpet *h)
{
	u32 lines = 0, changed;

	if (!(h->config & HPET_LEGACY))
		lines = (h->inputs & 1) | (u32)(h->inputs >> 1) << RTC_IRQ;
	for (unsigned n = 0; n < HPET_TIMERS; n++)
		if ((h->status & BIT(n)) && (h->timer[n].config & HPET_INTERRUPTS))
			lines |= route(h, n);
	changed = lines ^ h->lines;
	h->lines = lines;
	for (; changed; changed &= changed - 1)
		set_line(h, __builtin_ctz(changed), lines & changed & -changed);
}

/* Comparator @n has matched. Status bits are those of level-triggered timers. */
static void match(struct hpet *h, unsigned n)
{
	u32 line = route(h, n);

	if (h->timer[n].config & HPET_LEVEL) {
		h->status |= BIT(n);
	} else if ((h->timer[n].config & HPET_INTERRUPTS) && line && !(h->lines & line)) {
		set_line(h, __builtin_ctz(line), true);
		set_line(h, __builtin_ctz(line), false);
	}
}

void hpet_set_input(void *hpet, unsigned n, bool level)
{
	struct hpet *h = hpet;

	h->inputs = level ? h->inputs | BIT(n) : h->inputs & ~BIT(n);
	drive(h);
}

/* --- counting --- */

/* Ticks that go by from @counter before the one that matches. In 32-bit mode a one-shot timer also interrupts when the
 * counter's lower half wraps (2.3.9.2.1). */
static u64 before_match(const struct hpet_timer *t, u64 counter)
{
	u64 before = (t->comparator - counter - 1) & width(t);

	return (t->config & (HPET_32 | HPET_PERIODIC)) == HPET_32 ? min64(before, (u32)~counter) : before;
}

/* @passed ticks went by from @counter. Whether it matched; a periodic comparator goes on to its next match. */
static bool pass(struct hpet_timer *t, u64 counter, u64 passed)
{
	u64 before = before_match(t, counter);

	if (passed <= before)
		return false;
	if ((t->config & HPET_PERIODIC) && t->period)
		t->comparator += ((passed - 1 - before) / t->period + 1) * t->period;
	t->comparator &= width(t);
	return true;
}

static void settle(struct hpet *h)
{
	u64 tick = clock_now(h->clock) / HPET_PERIOD_NS;
	u64 from = h->counter, passed = tick - h->seen;

	h->seen = tick;
	if (!(h->config & HPET_ENABLE))
		return;
	h->counter += passed;
	for (unsigned n = 0; n < HPET_TIMERS; n++)
		if (pass(&h->timer[n], from, passed))
			match(h, n);
}

/* A level-triggered timer whose status bit is set has nothing more to tell. */
static bool waits(const struct hpet *h, unsigned n)
{
	return (h->config & HPET_ENABLE) && (h->timer[n].config & HPET_INTERRUPTS) && !(h->status & BIT(n));
}

static void arm(struct hpet *h)
{
	u64 first = LAST_TICK;

	for (unsigned n = 0; n < HPET_TIMERS; n++) {
		u64 before = before_match(&h->timer[n], h->counter);

		if (waits(h, n) && h->seen < first && before < first - h->seen)
			first = h->seen + before + 1;
	}
	if (first == LAST_TICK)
		clock_timer_cancel(&h->next);
	else
		clock_timer_arm(&h->next, first * HPET_PERIOD_NS);
}

static void timer_fired(void *opaque)
{
	struct hpet *h = opaque;

	settle(h);
	drive(h);
	arm(h);
}

/* --- registers --- */

static u64 timer_read(const struct hpet *h, unsigned n, unsigned reg)
{
	const struct hpet_timer *t = &h->timer[n];

	if (reg == HPET_TIMER(0))
		return (u64)h->routes << 32 | HPET_CAN_64 | HPET_CAN_PERIODIC | t->config;
	return reg == HPET_COMPARATOR(0) ? t->comparator : 0;
}

static u64 reg_read(const struct hpet *h, unsigned reg)
{
	unsigned n = (reg - HPET_TIMER(0)) / 0x20;

	switch (reg) {
	case HPET_CAPABILITIES:
		return CAPABILITIES;
	case HPET_CONFIG:
		return h->config;
	case HPET_STATUS:
		return h->status;
	case HPET_COUNTER:
		return h->counter;
	}
	return reg >= HPET_TIMER(0) && n < HPET_TIMERS ? timer_read(h, n, reg - 0x20 * n) : 0;
}

static void write_config(struct hpet *h, unsigned n, u64 value)
{
	struct hpet_timer *t = &h->timer[n];

	/* What can't be had reads back as something else. */
	if (!(h->routes >> ((value & HPET_ROUTE) >> HPET_ROUTE_SHIFT) & 1))
		value = (value & ~(u64)HPET_ROUTE) | (t->config & HPET_ROUTE);
	t->config = value & WRITABLE;
	if ((value & HPET_VALUE_SET) && (value & HPET_PERIODIC))
		t->value_set = 1;
	t->comparator &= width(t);
	t->period &= width(t);
	if (!(value & HPET_LEVEL))
		h->status &= ~BIT(n);
}

static void write_comparator(struct hpet_timer *t, u64 value, u64 mask)
{
	t->period = ((t->period & ~mask) | value) & width(t);
	if (!(t->config & HPET_PERIODIC) || t->value_set)
		t->comparator = ((t->comparator & ~mask) | value) & width(t);
	t->value_set = 0;
}

/* @value: within @mask, the bits that are written. */
static void reg_write(struct hpet *h, unsigned reg, u64 value, u64 mask)
{
	unsigned n = (reg - HPET_TIMER(0)) / 0x20;
	u64 merged = (reg_read(h, reg) & ~mask) | value;

	switch (reg) {
	case HPET_CONFIG:
		h->config = merged & (HPET_ENABLE | HPET_LEGACY);
		return;
	case HPET_STATUS:
		h->status &= ~value;
		return;
	case HPET_COUNTER:
		if (!(h->config & HPET_ENABLE))
			h->counter = merged;
		return;
	}
	if (reg < HPET_TIMER(0) || n >= HPET_TIMERS)
		return;
	if (reg == HPET_TIMER(n))
		write_config(h, n, merged);
	else if (reg == HPET_COMPARATOR(n))
		write_comparator(&h->timer[n], value, mask);
}

u64 hpet_read(void *dev, u64 offset, unsigned size)
{
	struct hpet *h = dev;
	unsigned byte = offset & 7;

	if (byte + size > 8)
		return ~0ull;
	settle(h);
	drive(h);
	arm(h);
	return reg_read(h, offset & ~7u) >> (8 * byte);
}

void hpet_write(void *dev, u64 offset, unsigned size, u64 value)
{
	struct hpet *h = dev;
	unsigned byte = offset & 7;
	u64 mask = ~0ull >> (64 - 8 * size) << (8 * byte);

	if (byte + size > 8)
		return;
	settle(h);
	reg_write(h, offset & ~7u, value << (8 * byte) & mask, mask);
	drive(h);
	arm(h);
}

/* --- state --- */

static const struct hpet_timer timer_reset = {.comparator = ~0ull, .period = ~0ull};

static void hpet_reset(struct device *dev)
{
	struct hpet *h = container_of(dev, struct hpet, dev);

	for (unsigned n = 0; n < HPET_TIMERS; n++)
		h->timer[n] = timer_reset;
	h->config = 0;
	h->status = 0;
	h->counter = 0;
	h->seen = clock_now(h->clock) / HPET_PERIOD_NS;
	clock_timer_cancel(&h->next);
	drive(h);
}

/* A hostile checkpoint may hold any value. */
static void hpet_loaded(struct device *dev)
{
	struct hpet *h = container_of(dev, struct hpet, dev);

	h->config &= HPET_ENABLE | HPET_LEGACY;
	h->status &= BIT(HPET_TIMERS) - 1;
	h->inputs &= 3;
	h->lines &= h->routes | BIT(0) | BIT(RTC_IRQ);
	for (unsigned n = 0; n < HPET_TIMERS; n++) {
		struct hpet_timer *t = &h->timer[n];

		t->config &= WRITABLE;
		t->value_set = !!t->value_set;
		t->comparator &= width(t);
		t->period &= width(t);
	}
}

#define TIMER_FIELDS(n)                                                              \
	FIELD(struct hpet, timer[n].config), FIELD(struct hpet, timer[n].value_set), \
	    FIELD(struct hpet, timer[n].comparator), FIELD(struct hpet, timer[n].period)

static const struct field hpet_fields[] = {
    TIMER_FIELDS(0),
    TIMER_FIELDS(1),
    TIMER_FIELDS(2),
    FIELD(struct hpet, config),
    FIELD(struct hpet, status),
    FIELD(struct hpet, counter),
    FIELD(struct hpet, seen),
    FIELD(struct hpet, inputs),
    FIELD(struct hpet, lines),
    FIELD_CLOCK_TIMER(struct hpet, next),
    FIELD_END,
};

static const struct device_class hpet_class = {
    .name = "hpet",
    .fields = hpet_fields,
    .reset = hpet_reset,
    .loaded = hpet_loaded,
};

void hpet_init(struct hpet *h, const char *id, struct clock *clock, u32 routes, struct irq_line out)
{
	*h = (struct hpet){.dev = {&hpet_class, id}, .clock = clock, .routes = routes, .out = out};
	clock_timer_init(clock, &h->next, id, timer_fired, h);
	hpet_reset(&h->dev);
}
