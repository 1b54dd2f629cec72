/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/dev/i8254.h"

#define PORT_CONTROL 3
#define NO_TICK      (~0ull)

/* Control word */
#define CONTROL_BCD    0x01
#define CONTROL_ACCESS 0x30
#define CONTROL_SELECT 0xc0
#define ACCESS_LATCH   0
#define ACCESS_LOW     1
#define ACCESS_HIGH    2
#define ACCESS_BOTH    3
/* Read-back command: bits that are 0 ask */
#define READBACK           0xc0
#define READBACK_NO_COUNT  0x20
#define READBACK_NO_STATUS 0x10
/* Status byte */
#define STATUS_OUT  0x80
#define STATUS_NULL 0x40

static const struct i8254_counter counter_reset = {
    .control = ACCESS_BOTH << 4,
    .gate = 1,
    .reload = 65536,
    .count = 65536,
};

static u64 tick_now(const struct i8254 *pit)
{
	return clock_muldiv(clock_now(pit->clock), I8254_HZ, CLOCK_HZ);
}

/* The first nanosecond of @tick. */
static u64 tick_ns(u64 tick)
{
	return (u64)(((unsigned __int128)tick * CLOCK_HZ + I8254_HZ - 1) / I8254_HZ);
}

/* Mode bits 110 and 111 mean 2 and 3. */
static unsigned mode_of(const struct i8254_counter *c)
{
	unsigned mode = (c->control >> 1) & 7;

	return mode > 5 ? mode - 4 : mode;
}

static unsigned access_of(const struct i8254_counter *c)
{
	return (c->control >> 4) & 3;
}

static u32 modulus(const struct i8254_counter *c)
{
	return c->control & CONTROL_BCD ? 10000 : 65536;
}

/* Modes that reload by themselves; a count of 1 is illegal there. */
static bool is_periodic(const struct i8254_counter *c)
{
	return mode_of(c) == 2 || mode_of(c) == 3;
}

static bool is_triggered_mode(const struct i8254_counter *c)
{
	return mode_of(c) == 1 || mode_of(c) == 5;
}

/* The count is transferred at the tick after it was written. */
static bool not_yet_started(const struct i8254_counter *c, u64 now)
{
	return c->counting && (s64)(now - c->start) < 0;
}

static u64 elapsed(const struct i8254_counter *c, u64 now)
{
	if (!c->counting)
		return c->held;
	return not_yet_started(c, now) ? 0 : now - c->start;
}

/* Mode 3: ticks of the high half; it is the longer one when the count is odd. */
static u32 high_half(u32 count)
{
	return (count + 1) / 2;
}

/* The elapsed ticks at which the output changes next; mode 2: at which its low pulse ends. */
static u64 next_change(const struct i8254_counter *c, u64 e)
{
	u64 begin = e - e % c->count;

	switch (mode_of(c)) {
	case 0:
	case 1:
		return e < c->count ? c->count : NO_TICK;
	case 2:
		return begin + c->count;
	case 3:
		return e - begin < high_half(c->count) ? begin + high_half(c->count) : begin + c->count;
	default:
		return e < c->count ? c->count : e == c->count ? c->count + 1ull : NO_TICK;
	}
}

/* Makes a count written during a period of mode 2 or 3 take over once that (half) period is over. */
static void settle(struct i8254_counter *c, u64 now)
{
	bool at_middle;

	if (!c->pending || !is_periodic(c) || (s64)(now - c->switch_at) < 0)
		return;
	at_middle = mode_of(c) == 3 && (c->switch_at - c->start) % c->count;
	c->start = c->switch_at - (at_middle ? high_half(c->pending) : 0);
	c->count = c->pending;
	c->pending = 0;
}

static bool counter_out(const struct i8254_counter *c, u64 now)
{
	u64 e = elapsed(c, now);

	if (!c->loaded || (is_triggered_mode(c) && !c->triggered))
		return mode_of(c) != 0;
	switch (mode_of(c)) {
	case 0:
	case 1:
		return e >= c->count;
	case 2:
		return !c->counting || e % c->count != c->count - 1;
	case 3:
		return !c->counting || e % c->count < high_half(c->count);
	default:
		return e != c->count;
	}
}

/* The counting element, 0 to 65535 (or 9999). */
static u32 counter_value(const struct i8254_counter *c, u64 now)
{
	u64 e = elapsed(c, now);
	u32 m = modulus(c), r;

	if (!c->loaded)
		return 0;
	r = e % c->count;
	switch (mode_of(c)) {
	case 2:
		return (c->count - r) % m;
	case 3:
		/* counts down by two, twice a period, from the count made even */
		if (r >= high_half(c->count))
			r -= high_half(c->count);
		return ((c->count & ~1u) - 2 * r) % m;
	default:
		return (c->count + m - e % m) % m;
	}
}

static u16 to_bcd(u32 v)
{
	return v % 10 | (v / 10 % 10) << 4 | (v / 100 % 10) << 8 | (v / 1000 % 10) << 12;
}

static u32 from_bcd(u16 v)
{
	return (v & 15) + (v >> 4 & 15) * 10 + (v >> 8 & 15) * 100 + (v >> 12) * 1000;
}

/* What the data port shows. */
static u16 counter_code(const struct i8254_counter *c, u64 now)
{
	u32 v = counter_value(c, now);

	return c->control & CONTROL_BCD ? to_bcd(v) : v;
}

static u8 counter_status(const struct i8254_counter *c, u64 now)
{
	bool null = !c->loaded || not_yet_started(c, now) || c->pending || (is_triggered_mode(c) && !c->triggered);

	return (counter_out(c, now) ? STATUS_OUT : 0) | (null ? STATUS_NULL : 0) | c->control;
}

static void latch_count(struct i8254_counter *c, u64 now)
{
	if (c->latched)
		return;
	c->latch = counter_code(c, now);
	c->latched = 1;
}

static void latch_status(struct i8254_counter *c, u64 now)
{
	if (c->status_ready)
		return;
	c->status = counter_status(c, now);
	c->status_ready = 1;
}

static u8 counter_read(struct i8254_counter *c, u64 now)
{
	bool high = access_of(c) == ACCESS_HIGH || (access_of(c) == ACCESS_BOTH && c->read_high);
	u16 code = c->latched ? c->latch : counter_code(c, now);

	if (c->status_ready) {
		c->status_ready = 0;
		return c->status;
	}
	if (access_of(c) == ACCESS_BOTH)
		c->read_high = !c->read_high;
	if (!c->read_high)
		c->latched = 0;
	return high ? code >> 8 : code;
}

static void start_counting(struct i8254_counter *c, u64 now)
{
	c->held = 0;
	c->start = now + 1;
	c->counting = c->gate;
	c->pending = 0;
}

static void counter_load(struct i8254_counter *c, u64 now, u16 code)
{
	u32 n = (c->control & CONTROL_BCD ? from_bcd(code) : code) % modulus(c);

	if (!n)
		n = modulus(c);
	if (n == 1 && is_periodic(c))
		n = 2;
	c->reload = n;
	if (is_periodic(c) && c->loaded && c->counting && !not_yet_started(c, now)) {
		c->pending = n;
		c->switch_at = c->start + next_change(c, now - c->start);
		return;
	}
	if (is_triggered_mode(c)) {
		/* takes effect at the next trigger */
		if (c->triggered)
			c->pending = n;
		else
			c->count = n;
	} else {
		c->count = n;
		start_counting(c, now);
	}
	c->loaded = 1;
}

static void counter_write(struct i8254_counter *c, u64 now, u8 value)
{
	switch (access_of(c)) {
	case ACCESS_LOW:
		counter_load(c, now, value);
		break;
	case ACCESS_HIGH:
		counter_load(c, now, value << 8);
		break;
	case ACCESS_BOTH:
		if (c->write_high) {
			c->write_high = 0;
			counter_load(c, now, value << 8 | c->write_low);
			break;
		}
		c->write_low = value;
		c->write_high = 1;
		/* The first byte stops the count and takes OUT low. */
		if (mode_of(c) == 0) {
			c->loaded = 0;
			c->counting = 0;
			c->held = 0;
		}
		break;
	}
}

static void counter_set_gate(struct i8254_counter *c, u64 now, bool level)
{
	if (level == c->gate)
		return;
	c->gate = level;
	if (!c->loaded)
		return;
	if (is_triggered_mode(c)) {
		if (!level)
			return;
		c->triggered = 1;
		c->count = c->reload;
		start_counting(c, now);
	} else if (!level) {
		c->held = elapsed(c, now);
		c->counting = 0;
		c->pending = 0;
	} else if (is_periodic(c)) {
		c->count = c->reload;
		start_counting(c, now);
	} else {
		c->start = now - c->held;
		c->counting = 1;
	}
}

/* The level for IRQ0. Mode 2's low pulse of one tick is made when it ends, so that a period costs one timer event. */
static bool line_level(const struct i8254_counter *c, u64 now)
{
	return mode_of(c) == 2 || counter_out(c, now);
}

static void drive(struct i8254 *pit, u64 now)
{
	bool level = line_level(&pit->counter[0], now);

	if (level == pit->out0)
		return;
	pit->out0 = level;
	irq_set(&pit->irq, level);
}

static void arm(struct i8254 *pit, u64 now)
{
	const struct i8254_counter *c = &pit->counter[0];
	u64 change = c->loaded && c->counting ? next_change(c, elapsed(c, now)) : NO_TICK;

	if (change == NO_TICK) {
		clock_timer_cancel(&pit->timer);
		return;
	}
	change += c->start;
	/* Only a made-up checkpoint has its next edge in the past. */
	if ((s64)(change - now) <= 0)
		change = now + 1;
	clock_timer_arm(&pit->timer, tick_ns(change));
}

static void edge(void *opaque)
{
	struct i8254 *pit = opaque;
	u64 now = tick_now(pit);

	settle(&pit->counter[0], now);
	if (mode_of(&pit->counter[0]) == 2 && pit->out0) {
		pit->out0 = 0;
		irq_set(&pit->irq, false);
	}
	drive(pit, now);
	arm(pit, now);
}

static u64 i8254_read(void *dev, u64 offset, unsigned size)
{
	struct i8254 *pit = dev;
	u64 now = tick_now(pit);

	if (offset == PORT_CONTROL)
		return 0xff;
	settle(&pit->counter[offset], now);
	return counter_read(&pit->counter[offset], now);
}

static void read_back(struct i8254 *pit, u64 now, u8 value)
{
	for (unsigned i = 0; i < 3; i++) {
		if (!(value & (2u << i)))
			continue;
		if (!(value & READBACK_NO_COUNT))
			latch_count(&pit->counter[i], now);
		if (!(value & READBACK_NO_STATUS))
			latch_status(&pit->counter[i], now);
	}
}

static void write_control(struct i8254 *pit, u64 now, u8 value)
{
	struct i8254_counter *c = &pit->counter[(value >> 6) % 3];
	struct i8254_counter fresh = counter_reset;

	if ((value & CONTROL_SELECT) == READBACK) {
		read_back(pit, now, value);
		return;
	}
	if ((value & CONTROL_ACCESS) >> 4 == ACCESS_LATCH) {
		latch_count(c, now);
		return;
	}
	fresh.control = value & 0x3f;
	fresh.gate = c->gate;
	*c = fresh;
}

static void i8254_write(void *dev, u64 offset, unsigned size, u64 value)
{
	struct i8254 *pit = dev;
	u64 now = tick_now(pit);

	for (unsigned i = 0; i < 3; i++)
		settle(&pit->counter[i], now);
	if (offset == PORT_CONTROL)
		write_control(pit, now, value);
	else
		counter_write(&pit->counter[offset], now, value);
	drive(pit, now);
	arm(pit, now);
}

void i8254_set_gate2(struct i8254 *pit, bool level)
{
	u64 now = tick_now(pit);

	settle(&pit->counter[2], now);
	counter_set_gate(&pit->counter[2], now, level);
}

bool i8254_out(struct i8254 *pit, unsigned n)
{
	u64 now = tick_now(pit);

	settle(&pit->counter[n], now);
	return counter_out(&pit->counter[n], now);
}

const struct bus_region i8254_regions[] = {
    {.base = 0x40, .len = 4, .name = "pit", .read = i8254_read, .write = i8254_write, .timed = true, .width = 1},
    {.len = 0},
};

static void i8254_reset(struct device *dev)
{
	struct i8254 *pit = container_of(dev, struct i8254, dev);

	for (unsigned i = 0; i < 3; i++)
		pit->counter[i] = counter_reset;
	pit->counter[2].gate = 0;
	clock_timer_cancel(&pit->timer);
	pit->out0 = 0;
	irq_set(&pit->irq, false);
}

/* A hostile checkpoint may hold any value; a count is never 0, and never 1 where it repeats. */
static void i8254_loaded(struct device *dev)
{
	struct i8254 *pit = container_of(dev, struct i8254, dev);

	for (unsigned i = 0; i < 3; i++) {
		struct i8254_counter *c = &pit->counter[i];
		u32 least = is_periodic(c) ? 2 : 1;

		c->control &= 0x3f;
		c->gate = !!c->gate;
		c->reload = max64(min64(c->reload, 65536), least);
		c->count = max64(min64(c->count, 65536), least);
		if (c->pending)
			c->pending = max64(min64(c->pending, 65536), least);
	}
	pit->out0 = !!pit->out0;
}

#define COUNTER_FIELDS(n)                                                                          \
	FIELD(struct i8254, counter[n].control), FIELD(struct i8254, counter[n].gate),             \
	    FIELD(struct i8254, counter[n].loaded), FIELD(struct i8254, counter[n].counting),      \
	    FIELD(struct i8254, counter[n].triggered), FIELD(struct i8254, counter[n].write_high), \
	    FIELD(struct i8254, counter[n].write_low), FIELD(struct i8254, counter[n].read_high),  \
	    FIELD(struct i8254, counter[n].latched), FIELD(struct i8254, counter[n].latch),        \
	    FIELD(struct i8254, counter[n].status_ready), FIELD(struct i8254, counter[n].status),  \
	    FIELD(struct i8254, counter[n].reload), FIELD(struct i8254, counter[n].count),         \
	    FIELD(struct i8254, counter[n].pending), FIELD(struct i8254, counter[n].switch_at),    \
	    FIELD(struct i8254, counter[n].start), FIELD(struct i8254, counter[n].held)

static const struct field i8254_fields[] = {
    COUNTER_FIELDS(0),         COUNTER_FIELDS(1), COUNTER_FIELDS(2), FIELD_CLOCK_TIMER(struct i8254, timer),
    FIELD(struct i8254, out0), FIELD_END,
};

static const struct device_class i8254_class = {
    .name = "8254",
    .fields = i8254_fields,
    .reset = i8254_reset,
    .loaded = i8254_loaded,
};

void i8254_init(struct i8254 *pit, const char *id, struct clock *clock, struct irq_line irq)
{
	*pit = (struct i8254){.dev = {&i8254_class, id}, .clock = clock, .irq = irq};
	clock_timer_init(clock, &pit->timer, "pit", edge, pit);
	i8254_reset(&pit->dev);
}
