/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/fuzz/chip.h"
#include "vmm/dev/i8259.h"

static const u16 ports[] = {0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1};

static void make(struct fuzz_bench *bench)
{
	struct i8259 *pic = bench->chips;

	i8259_init(pic, "pic");
	pic->intr = rig_irq(&bench->rig, 0);
	rig_add(&bench->rig, i8259_regions, pic, 0);
	bench->dev[bench->nr_devices++] = &pic->dev;
}

static u64 input(struct fuzz_bench *bench, u8 what, const u8 *buf, size_t len)
{
	struct i8259 *pic = bench->chips;
	int vector;

	if (what & 16) {
		i8259_set_irq(pic, what & 15, len & 1);
		return 0;
	}
	vector = i8259_ack(pic);
	FUZZ_ASSERT(vector >= 0 && vector <= 255);
	return vector;
}

static void check_half(const struct i8259_half *h)
{
	FUZZ_ASSERT(h->top < 8);
	FUZZ_ASSERT(!(h->base & 7));
	FUZZ_ASSERT(h->init_step != 1 && h->init_step <= 4);
}

static void check(struct fuzz_bench *bench)
{
	struct i8259 *pic = bench->chips;

	check_half(&pic->master);
	check_half(&pic->slave);
	/* Right after anything was done the output is what was last driven. */
	FUZZ_ASSERT(i8259_pending(pic) == pic->intr_level);
}

static const struct fuzz_target target = {
    .size = sizeof(struct i8259),
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
