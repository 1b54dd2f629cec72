/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzzing of chips through their ports. The input is a program of reads, writes, passing time, inputs from outside,
 * saving and loading. Two benches run it: at a fork the second gets the saved state of the first, and from then on
 * whatever both answer must be equal, so state that isn't saved shows. Loading arbitrary bytes must do no harm. */
#ifndef TESTS_FUZZ_CHIP_H
#define TESTS_FUZZ_CHIP_H

#include <stdlib.h>

#include "tests/unit/rig.h"
#include "vmm/device.h"

#define FUZZ_ASSERT(condition)            \
	do {                              \
		if (!(condition))         \
			__builtin_trap(); \
	} while (0)

/* Timers fired at most in one step of time. */
#define FUZZ_MAX_FIRED 200

struct fuzz_input {
	const u8 *p;
	size_t left;
};

struct fuzz_bench {
	struct rig rig;
	void *chips;           /* struct of the target, zeroed */
	struct device *dev[8]; /* filled in by the target's make() */
	unsigned nr_devices;
};

struct fuzz_target {
	size_t size; /* of the struct with the chips */
	const u16 *ports;
	unsigned nr_ports;
	void (*make)(struct fuzz_bench *bench);
	void (*free)(struct fuzz_bench *bench); /* may be NULL */
	/* Carries over what field tables don't hold. May be NULL. */
	void (*forked)(struct fuzz_bench *from, struct fuzz_bench *to);
	/* Something happens outside; what it observed. May be NULL. */
	u64 (*input)(struct fuzz_bench *bench, u8 what, const u8 *buf, size_t len);
	/* Asserts what must hold after every step. May be NULL. */
	void (*check)(struct fuzz_bench *bench);
};

static inline u8 fuzz_byte(struct fuzz_input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->p++;
}

static inline void fuzz_make(const struct fuzz_target *target, struct fuzz_bench *bench)
{
	*bench = (struct fuzz_bench){.chips = calloc(1, target->size)};
	FUZZ_ASSERT(bench->chips);
	rig_init(&bench->rig);
	target->make(bench);
}

static inline size_t fuzz_state_size(const struct fuzz_bench *bench)
{
	size_t size = 0;

	for (unsigned i = 0; i < bench->nr_devices; i++)
		size += state_size(bench->dev[i]->class->fields);
	return size;
}

static inline u8 *fuzz_save(const struct fuzz_bench *bench)
{
	u8 *image = malloc(fuzz_state_size(bench) + 1), *p = image;

	FUZZ_ASSERT(image);
	for (unsigned i = 0; i < bench->nr_devices; i++)
		p += state_save(bench->dev[i]->class->fields, bench->dev[i], p);
	return image;
}

static inline void fuzz_load(struct fuzz_bench *bench, const u8 *image)
{
	for (unsigned i = 0; i < bench->nr_devices; i++) {
		const struct device_class *class = bench->dev[i]->class;
		size_t size = state_size(class->fields);

		FUZZ_ASSERT(state_load(class->fields, bench->dev[i], image, size) == 0);
		image += size;
	}
	for (unsigned i = 0; i < bench->nr_devices; i++)
		if (bench->dev[i]->class->loaded)
			bench->dev[i]->class->loaded(bench->dev[i]);
}

/* The second bench becomes what the first is, and saves to the same bytes. */
static inline void fuzz_fork(struct fuzz_bench *from, struct fuzz_bench *to)
{
	u8 *image = fuzz_save(from), *again;

	clock_advance(&to->rig.clock, clock_now(&from->rig.clock));
	memcpy(to->rig.level, from->rig.level, sizeof(to->rig.level));
	fuzz_load(to, image);
	again = fuzz_save(to);
	FUZZ_ASSERT(memcmp(image, again, fuzz_state_size(from)) == 0);
	free(image);
	free(again);
}

static inline void fuzz_load_garbage(struct fuzz_bench *bench, struct fuzz_input in)
{
	size_t size = fuzz_state_size(bench);
	u8 *image = malloc(size + 1);

	FUZZ_ASSERT(image);
	for (size_t i = 0; i < size; i++)
		image[i] = fuzz_byte(&in);
	fuzz_load(bench, image);
	free(image);
}

/* One step on one bench. What it observed: a value read. */
static inline u64 fuzz_step(const struct fuzz_target *target, struct fuzz_bench *bench, u8 op, struct fuzz_input *in)
{
	static const u8 sizes[4] = {1, 1, 2, 4};
	u16 port = target->ports[fuzz_byte(in) % target->nr_ports];
	unsigned size = sizes[op >> 6];
	u64 value = fuzz_byte(in);

	if (size > 1)
		value |= (u64)fuzz_byte(in) << 8 | (u64)fuzz_byte(in) << 16;
	switch (op & 7) {
	case 0:
	case 1:
		return bus_read(&bench->rig.pio, port, size);
	case 2:
	case 3:
	case 4:
		bus_write(&bench->rig.pio, port, size, value);
		return 0;
	case 5:
		rig_until(&bench->rig, clock_now(&bench->rig.clock) + (value << (op >> 3 & 31)), FUZZ_MAX_FIRED);
		return 0;
	case 6:
		return target->input ? target->input(bench, op >> 3, in->p, min64(in->left, value % 64)) : 0;
	default:
		if ((op >> 3 & 7) == 0)
			fuzz_load_garbage(bench, *in);
		else if ((op >> 3 & 7) == 1)
			for (unsigned i = 0; i < bench->nr_devices; i++)
				bench->dev[i]->class->reset(bench->dev[i]);
		return 0;
	}
}

static inline void fuzz_free(const struct fuzz_target *target, struct fuzz_bench *bench)
{
	if (target->free)
		target->free(bench);
	free(bench->chips);
}

static inline void fuzz_run(const struct fuzz_target *target, const u8 *data, size_t size)
{
	struct fuzz_input in = {data, size};
	struct fuzz_bench a, b;
	bool forked = false;

	fuzz_make(target, &a);
	fuzz_make(target, &b);
	while (in.left) {
		u8 op = fuzz_byte(&in);
		struct fuzz_input same = in;
		u64 seen = fuzz_step(target, &a, op, &in);

		if (target->check)
			target->check(&a);
		if ((op & 7) == 7 && (op >> 3 & 7) > 1) {
			fuzz_fork(&a, &b);
			if (target->forked)
				target->forked(&a, &b);
			forked = true;
		} else if (forked) {
			FUZZ_ASSERT(fuzz_step(target, &b, op, &same) == seen);
			FUZZ_ASSERT(a.rig.clock.next_deadline == b.rig.clock.next_deadline);
			FUZZ_ASSERT(!memcmp(a.rig.level, b.rig.level, sizeof(a.rig.level)));
		}
	}
	fuzz_free(target, &a);
	fuzz_free(target, &b);
}

#endif
