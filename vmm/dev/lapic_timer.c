/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The local APIC's timer: one-shot, periodic, TSC-deadline (SDM 3A 10.5.4).
 *
 * The count is never stored while it runs: it follows from when it was started. A masked timer needs no clock timer,
 * so a guest that lets one run with a tiny period costs nothing. */
#include "vmm/dev/lapic.h"

static unsigned divide_shift(const struct lapic *l)
{
	unsigned code = (l->timer_divide & 3) | ((l->timer_divide >> 1) & 4);

	return (code + 1) & 7;
}

static u32 timer_mode(const struct lapic *l)
{
	return l->lvt[LVT_TIMER] & LVT_TIMER_MODE;
}

static bool deadline_mode(const struct lapic *l)
{
	return timer_mode(l) == LVT_DEADLINE;
}

static u32 count_at(const struct lapic *l, u64 now)
{
	u64 ticks = (now - l->timer_start) >> divide_shift(l);

	if (ticks < l->timer_from)
		return l->timer_from - ticks;
	if (!l->timer_from || timer_mode(l) != LVT_PERIODIC || !l->timer_init)
		return 0;
	return l->timer_init - (ticks - l->timer_from) % l->timer_init;
}

u32 lapic_timer_current(const struct lapic *l)
{
	return deadline_mode(l) ? 0 : count_at(l, clock_now(l->clock));
}

/* The first moment after @now at which the count reaches zero. */
static u64 next_expiry(const struct lapic *l, u64 now)
{
	unsigned shift = divide_shift(l);
	u64 first = l->timer_start + ((u64)l->timer_from << shift);
	u64 period = (u64)l->timer_init << shift;

	if (!l->timer_from)
		return CLOCK_NEVER;
	if (first > now)
		return first;
	if (timer_mode(l) != LVT_PERIODIC || !period)
		return CLOCK_NEVER;
	return first + ((now - first) / period + 1) * period;
}

/* When the guest's TSC reaches the deadline. */
static u64 deadline_ns(const struct lapic *l, u64 now)
{
	u64 tsc = now + *l->tsc_offset;

	if (l->tsc_deadline <= tsc)
		return now;
	if (l->tsc_deadline - tsc >= CLOCK_NEVER - now)
		return CLOCK_NEVER;
	return now + (l->tsc_deadline - tsc);
}

void lapic_timer_rearm(struct lapic *l)
{
	u64 now = clock_now(l->clock);
	u64 when = CLOCK_NEVER;

	if (deadline_mode(l)) {
		/* Masked or not: the MSR reads as zero once the deadline has passed. */
		if (l->tsc_deadline)
			when = deadline_ns(l, now);
	} else if (!(l->lvt[LVT_TIMER] & LVT_MASKED)) {
		when = next_expiry(l, now);
	}
	if (when == CLOCK_NEVER)
		clock_timer_cancel(&l->timer);
	else
		clock_timer_arm(&l->timer, when);
}

void lapic_timer_fire(void *opaque)
{
	struct lapic *l = opaque;

	if (deadline_mode(l))
		l->tsc_deadline = 0;
	lapic_lvt_deliver(l, LVT_TIMER);
	lapic_timer_rearm(l);
}

void lapic_timer_sync(struct lapic *l)
{
	if (!l->timer.armed || l->timer.deadline > clock_now(l->clock))
		return;
	clock_timer_cancel(&l->timer);
	lapic_timer_fire(l);
}

void lapic_timer_write_init(struct lapic *l, u32 value)
{
	lapic_timer_sync(l);
	if (deadline_mode(l))
		return;
	l->timer_init = value;
	l->timer_from = value;
	l->timer_start = clock_now(l->clock);
	lapic_timer_rearm(l);
}

/* A running count goes on from where it is, at the new rate. */
void lapic_timer_write_divide(struct lapic *l, u32 value)
{
	u64 now = clock_now(l->clock);
	u32 count;

	lapic_timer_sync(l);
	count = count_at(l, now);
	l->timer_divide = value & 0xb;
	l->timer_from = count;
	l->timer_start = now;
	lapic_timer_rearm(l);
}

/* Going to or from TSC-deadline mode disarms the timer. One-shot and periodic share the count, which goes on. */
void lapic_timer_write_lvt(struct lapic *l, u32 value)
{
	u64 now = clock_now(l->clock);
	bool was_deadline = deadline_mode(l);

	lapic_timer_sync(l);
	if (!was_deadline && ((value ^ l->lvt[LVT_TIMER]) & LVT_TIMER_MODE)) {
		l->timer_from = count_at(l, now);
		l->timer_start = now;
	}
	l->lvt[LVT_TIMER] = value;
	if (deadline_mode(l) != was_deadline) {
		l->timer_init = 0;
		l->timer_from = 0;
		l->tsc_deadline = 0;
	}
	lapic_timer_rearm(l);
}

/* Outside TSC-deadline mode the MSR can't be set. */
void lapic_timer_write_deadline(struct lapic *l, u64 value)
{
	if (!deadline_mode(l))
		return;
	lapic_timer_sync(l);
	l->tsc_deadline = value;
	lapic_timer_rearm(l);
}

void lapic_tsc_changed(struct lapic *l)
{
	if (deadline_mode(l))
		lapic_timer_rearm(l);
}
