/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The plain runner: what the models say is what the guest gets, host time comes from the monotonic clock, there is no
 * input. */
#include "vmm/machine.h"

#include <time.h>

#include "vmm/host_time.h"

#define SAMPLE_INSNS 50000        /* between looks at host time while the guest runs: about a millisecond */
#define IDLE_MAX     100000000ull /* ns asleep at most before signals are looked at again */
#define ALARM_MAX    10000000ull  /* ns that a guest runs freely at most */

static u64 host_ns(struct machine *m)
{
	u64 now = monotonic_ns();

	if (!m->live_start)
		m->live_start = now - clock_now(&m->clock);
	return now - m->live_start;
}

static u64 live_io_read(void *ctx, struct vcpu *vcpu, enum io_space space, u64 addr, unsigned size, u64 modelled)
{
	return modelled;
}

static void live_io_write(void *ctx, struct vcpu *vcpu, enum io_space space, u64 addr, unsigned size, u64 value)
{
}

static u64 live_clock_sample(void *ctx, struct vcpu *vcpu)
{
	return host_ns(ctx);
}

static u64 live_alarm(void *ctx, struct machine *m)
{
	u64 now = host_ns(m), left = m->clock.next_deadline > now ? m->clock.next_deadline - now : 0;

	return m->live_start + now + min64(left, ALARM_MAX);
}

static bool live_clock_direct(void *ctx, u64 *base)
{
	struct machine *m = ctx;

	host_ns(m);
	*base = m->live_start;
	return true;
}

static void live_clock_taken(void *ctx, struct vcpu *vcpu, u64 ns)
{
}

static void live_interrupt(void *ctx, struct vcpu *vcpu, enum irq_kind kind, u8 vector)
{
}

static u64 live_next_stop(void *ctx)
{
	const struct machine *m = ctx;

	return m->clock.mode == CLOCK_HOST && !m->config.free ? m->live_next : ~0ull;
}

static int live_boundary(void *ctx, struct machine *m)
{
	if (m->clock.mode == CLOCK_HOST) {
		clock_advance(&m->clock, host_ns(m));
		m->live_next = machine_position(m) + SAMPLE_INSNS;
	}
	return 0;
}

static int live_idle(void *ctx, struct machine *m, u64 deadline)
{
	u64 now;

	if (m->clock.mode != CLOCK_HOST || deadline == CLOCK_NEVER)
		return 1;
	now = host_ns(m);
	if (now < deadline) {
		struct timespec ts = {.tv_nsec = min64(deadline - now, IDLE_MAX)};

		/* A signal may end the sleep: the loop looks at what it was. */
		nanosleep(&ts, NULL);
	}
	clock_advance(&m->clock, host_ns(m));
	return 0;
}

const struct nondet_ops nondet_live = {
    .io_read = live_io_read,
    .io_write = live_io_write,
    .clock_sample = live_clock_sample,
    .alarm = live_alarm,
    .clock_direct = live_clock_direct,
    .clock_taken = live_clock_taken,
    .interrupt = live_interrupt,
    .next_stop = live_next_stop,
    .boundary = live_boundary,
    .idle = live_idle,
};
