/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/fuzz/chip.h"
#include "vmm/dev/port61.h"

static const u16 ports[] = {0x40, 0x41, 0x42, 0x43, 0x61};

struct chips {
	struct i8254 pit;
	struct port61 port61;
};

static void make(struct fuzz_bench *bench)
{
	struct chips *chips = bench->chips;

	i8254_init(&chips->pit, "pit", &bench->rig.clock, rig_irq(&bench->rig, 0));
	port61_init(&chips->port61, "port61", &bench->rig.clock, &chips->pit);
	rig_add(&bench->rig, i8254_regions, &chips->pit, 0);
	rig_add(&bench->rig, port61_regions, &chips->port61, 0);
	bench->dev[bench->nr_devices++] = &chips->pit.dev;
	bench->dev[bench->nr_devices++] = &chips->port61.dev;
}

static u64 input(struct fuzz_bench *bench, u8 what, const u8 *buf, size_t len)
{
	struct chips *chips = bench->chips;

	return i8254_out(&chips->pit, what % 3);
}

static void check(struct fuzz_bench *bench)
{
	struct chips *chips = bench->chips;

	for (unsigned i = 0; i < 3; i++) {
		const struct i8254_counter *c = &chips->pit.counter[i];

		FUZZ_ASSERT(c->count >= 1 && c->count <= 65536);
		FUZZ_ASSERT(c->reload >= 1 && c->reload <= 65536);
		FUZZ_ASSERT(c->pending <= 65536);
	}
}

static const struct fuzz_target target = {
    .size = sizeof(struct chips),
    .ports = ports,
    .nr_ports = ARRAY_SIZE(ports),
    .make = make,
    .input = input,
    .check = check,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_run(&target, data, size);
	return 0;
}
