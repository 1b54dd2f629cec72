/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A chip on the bench: ports, a clock to turn, and interrupt lines with a counter of rising edges. */
#ifndef TESTS_UNIT_RIG_H
#define TESTS_UNIT_RIG_H

#include "vmm/bus.h"
#include "vmm/clock.h"
#include "vmm/irq.h"

struct rig {
	struct clock clock;
	struct bus pio;
	u64 insns;
	u8 level[16];
	unsigned edges[16];
};

static inline void rig_init(struct rig *rig)
{
	*rig = (struct rig){.pio = {.mask = 0xffff}};
	rig->clock.insns = &rig->insns;
}

static inline void rig_set_irq(void *opaque, unsigned n, bool level)
{
	struct rig *rig = opaque;

	if (level && !rig->level[n])
		rig->edges[n]++;
	rig->level[n] = level;
}

static inline struct irq_line rig_irq(struct rig *rig, unsigned n)
{
	return (struct irq_line){rig_set_irq, rig, n};
}

/* Puts the chip's regions on the bus, @base above where they say. */
static inline void rig_add(struct rig *rig, const struct bus_region *regions, void *dev, u64 base)
{
	for (const struct bus_region *r = regions; r->len; r++) {
		struct bus_region region = *r;

		region.dev = dev;
		region.base += base;
		bus_add(&rig->pio, &region);
	}
}

static inline u8 rig_in(struct rig *rig, u16 port)
{
	return bus_read(&rig->pio, port, 1);
}

static inline void rig_out(struct rig *rig, u16 port, u8 value)
{
	bus_write(&rig->pio, port, 1, value);
}

/* Lets time pass until @ns, every timer firing at its own deadline, but at most @max of them. */
static inline void rig_until(struct rig *rig, u64 ns, unsigned max)
{
	while (rig->clock.next_deadline <= ns && max--) {
		clock_advance(&rig->clock, rig->clock.next_deadline);
		clock_run_timers(&rig->clock);
	}
	clock_advance(&rig->clock, ns);
	clock_run_timers(&rig->clock);
}

static inline void rig_pass(struct rig *rig, u64 ns)
{
	rig_until(rig, clock_now(&rig->clock) + ns, ~0u);
}

/* Runs the tests of a suite; the exit status. Needs check.h. */
#define RIG_MAIN(suite, ...)                                   \
	int main(void)                                         \
	{                                                      \
		const TTest *const tests[] = {__VA_ARGS__};    \
		Suite *s = suite_create(suite);                \
		TCase *t = tcase_create(suite);                \
		SRunner *r;                                    \
		int failed;                                    \
                                                               \
		for (size_t i = 0; i < ARRAY_SIZE(tests); i++) \
			tcase_add_test(t, tests[i]);           \
		suite_add_tcase(s, t);                         \
		r = srunner_create(s);                         \
		srunner_run_all(r, CK_NORMAL);                 \
		failed = srunner_ntests_failed(r);             \
		srunner_free(r);                               \
		return failed ? 1 : 0;                         \
	}

#endif
