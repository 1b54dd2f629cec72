/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The registers stand at ports of the same number; inputs are 64-bit accesses and the lines of the replaced timers. */
#include "tests/fuzz/chip.h"
#include "vmm/dev/hpet.h"

/* Interrupts 0, 8 and these, so that all fit the rig. */
#define ROUTES 0x0800fc02u

static const u16 ports[] = {0x000, 0x010, 0x020, 0x0f0, 0x0f4, 0x100, 0x104, 0x108, 0x10c, 0x120,
			    0x128, 0x12c, 0x140, 0x148, 0x14c, 0x150, 0x012, 0x3fe, 0x10a};

struct chips {
	struct hpet hpet;
};

static const struct bus_region regions[] = {
    {.len = HPET_LEN, .name = "hpet", .read = hpet_read, .write = hpet_write},
    {.len = 0},
};

static void set_irq(void *opaque, unsigned n, bool level)
{
	rig_set_irq(opaque, n % 16, level);
}

static void make(struct fuzz_bench *bench)
{
	struct chips *chips = bench->chips;

	hpet_init(&chips->hpet, "hpet", &bench->rig.clock, ROUTES,
		  (struct irq_line){.set = set_irq, .opaque = &bench->rig});
	rig_add(&bench->rig, regions, &chips->hpet, 0);
	bench->dev[bench->nr_devices++] = &chips->hpet.dev;
}

static u64 input(struct fuzz_bench *bench, u8 what, const u8 *buf, size_t len)
{
	struct chips *chips = bench->chips;
	u16 reg = ports[what % ARRAY_SIZE(ports)] & ~7u;

	if (len & 1)
		hpet_set_input(&chips->hpet, what & 1, what & 2);
	else if (len >= 8)
		hpet_write(&chips->hpet, reg, 8, load64(buf));
	return hpet_read(&chips->hpet, reg, 8);
}

static void check(struct fuzz_bench *bench)
{
	struct chips *chips = bench->chips;
	const struct hpet *h = &chips->hpet;

	FUZZ_ASSERT(!(h->lines & ~(ROUTES | BIT(0) | BIT(8))));
	FUZZ_ASSERT(h->status < 1u << HPET_TIMERS);
	for (unsigned n = 0; n < HPET_TIMERS; n++)
		if (h->timer[n].config & HPET_32)
			FUZZ_ASSERT(!(h->timer[n].comparator >> 32) && !(h->timer[n].period >> 32));
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
