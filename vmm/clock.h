/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guest time. The one source of time for every device and for the TSC: nanoseconds since the machine
 * was switched on. The TSC runs at 1 GHz, so a TSC tick is a nanosecond.
 *
 * CLOCK_VIRTUAL: now = instructions retired + skew; idle time (HLT) adds to the skew. A pure function of
 * position, so recordings with equal inputs are equal.
 * CLOCK_HOST: now = the last sample taken through nondet.h; it moves only at clock_sample() and
 * clock_advance(), which the recorder logs and the replayer answers. */
#ifndef VMM_CLOCK_H
#define VMM_CLOCK_H

#include "vmm/types.h"

#define CLOCK_HZ    1000000000ull
#define CLOCK_NEVER (~0ull)

enum clock_mode { CLOCK_VIRTUAL, CLOCK_HOST };

struct clock_timer {
	struct clock *clock;
	struct clock_timer *next; /* [H] registration order: equal deadlines fire in this order */
	const char *name;
	void (*fire)(void *opaque);
	void *opaque;
	u64 deadline; /* [S] ns of guest time */
	bool armed;   /* [S] */
};

struct clock {
	enum clock_mode mode;
	u64 skew;         /* [S] virtual: ns added by idling; ns */
	u64 sampled;      /* [S] host: the last sample, ns */
	u64 wall_start;   /* Unix seconds at guest time 0, an input logged at the start */
	const u64 *insns; /* [H] where the engine keeps the machine's position, exact at every device access */
	struct clock_timer *timers;    /* [H] all registered timers */
	u64 next_deadline;             /* [D] the earliest armed deadline, or CLOCK_NEVER */
	void (*rearmed)(void *opaque); /* [H] the earliest deadline moved forward: engines must stop earlier */
	void *rearmed_opaque;
};

/* Guest time now, in ns. Never runs backwards. */
u64 clock_now(const struct clock *clock);

/* Moves time forward to @ns (idling in virtual mode; a sample in host mode). Earlier values are ignored. */
void clock_advance(struct clock *clock, u64 ns);

/* Registers a timer (once, at device creation; never unregistered while the machine lives). */
void clock_timer_init(struct clock *clock, struct clock_timer *timer, const char *name, void (*fire)(void *opaque),
		      void *opaque);

/* Arms for @deadline (ns of guest time; in the past means at the next chance), replacing any earlier arming. */
void clock_timer_arm(struct clock_timer *timer, u64 deadline);
void clock_timer_cancel(struct clock_timer *timer);

/* Fires every timer whose deadline is at or before now, earliest first; a timer may arm itself again. */
void clock_run_timers(struct clock *clock);

/* a * b / c without overflow in between (c != 0); the result must fit 64 bits. Converts between tick rates. */
static inline u64 clock_muldiv(u64 a, u64 b, u64 c)
{
	return (u64)((unsigned __int128)a * b / c);
}

#endif
