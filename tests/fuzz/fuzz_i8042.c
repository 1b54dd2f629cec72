/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/fuzz/chip.h"
#include "vmm/dev/i8042.h"

static const u16 ports[] = {0x60, 0x64};

static void reset(void *opaque)
{
}

static void make(struct fuzz_bench *bench)
{
	struct i8042 *kbc = bench->chips;

	i8042_init(kbc, "kbc", rig_irq(&bench->rig, 1), rig_irq(&bench->rig, 12), reset, NULL);
	rig_add(&bench->rig, i8042_regions, kbc, 0);
	bench->dev[bench->nr_devices++] = &kbc->dev;
}

static u64 input(struct fuzz_bench *bench, u8 what, const u8 *buf, size_t len)
{
	size_t room = i8042_room(bench->chips);
	size_t taken = i8042_key(bench->chips, buf, len);

	FUZZ_ASSERT(taken == min64(room, len));
	return taken;
}

static void check(struct fuzz_bench *bench)
{
	struct i8042 *kbc = bench->chips;

	FUZZ_ASSERT(kbc->keys.count <= I8042_QUEUE && kbc->keys.head < I8042_QUEUE);
	FUZZ_ASSERT(kbc->replies.count <= I8042_QUEUE && kbc->replies.head < I8042_QUEUE);
	/* Never both lines at once: there is one output buffer. */
	FUZZ_ASSERT(kbc->irq_levels < 4);
}

static const struct fuzz_target target = {
    .size = sizeof(struct i8042),
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
