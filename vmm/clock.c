/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/clock.h"

/* A timer that keeps arming itself in the past is fired this often before the guest gets to run again. */
#define MAX_FIRED_AT_ONCE 1024

u64 clock_now(const struct clock *clock)
{
	if (clock->mode == CLOCK_HOST)
		return clock->sampled;
	return (clock->insns ? *clock->insns : 0) + clock->skew;
}

void clock_advance(struct clock *clock, u64 ns)
{
	u64 now = clock_now(clock);

	if (ns <= now)
		return;
	if (clock->mode == CLOCK_HOST)
		clock->sampled = ns;
	else
		clock->skew += ns - now;
}

/* The armed timer with the earliest deadline; of equals the one registered first. */
static struct clock_timer *earliest(const struct clock *clock)
{
	struct clock_timer *best = NULL;

	for (struct clock_timer *t = clock->timers; t; t = t->next)
		if (t->armed && (!best || t->deadline < best->deadline))
			best = t;
	return best;
}

static void update_deadline(struct clock *clock)
{
	const struct clock_timer *first = earliest(clock);
	u64 old = clock->next_deadline;

	clock->next_deadline = first ? first->deadline : CLOCK_NEVER;
	if (clock->next_deadline < old && clock->rearmed)
		clock->rearmed(clock->rearmed_opaque);
}

void clock_timer_init(struct clock *clock, struct clock_timer *timer, const char *name, void (*fire)(void *opaque),
		      void *opaque)
{
	struct clock_timer **end = &clock->timers;

	/* An empty clock may be all zeroes; without a timer the deadline has no other meaning than never. */
	if (!clock->timers)
		clock->next_deadline = CLOCK_NEVER;
	while (*end)
		end = &(*end)->next;
	*timer = (struct clock_timer){
	    .clock = clock,
	    .name = name,
	    .fire = fire,
	    .opaque = opaque,
	    .deadline = CLOCK_NEVER,
	};
	*end = timer;
}

void clock_timer_arm(struct clock_timer *timer, u64 deadline)
{
	timer->deadline = deadline;
	timer->armed = true;
	update_deadline(timer->clock);
}

/* A timer that isn't armed always has the same deadline, so that equal states are saved as equal bytes. */
void clock_timer_cancel(struct clock_timer *timer)
{
	timer->deadline = CLOCK_NEVER;
	if (!timer->armed)
		return;
	timer->armed = false;
	update_deadline(timer->clock);
}

void clock_run_timers(struct clock *clock)
{
	for (unsigned i = 0; i < MAX_FIRED_AT_ONCE; i++) {
		struct clock_timer *t = earliest(clock);

		if (!t || t->deadline > clock_now(clock))
			return;
		clock_timer_cancel(t);
		t->fire(t->opaque);
	}
}
