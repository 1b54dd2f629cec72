/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The one-register chips. */
#include "tests/fuzz/chip.h"
#include "vmm/dev/debugcon.h"
#include "vmm/dev/debugexit.h"
#include "vmm/dev/port92.h"
#include "vmm/dev/pvpanic.h"

static const u16 ports[] = {0x92, 0xe9, 0x402, 0xf4, 0xf7, 0x505};

struct chips {
	struct port92 port92;
	struct debugcon debugcon;
	struct debugexit debugexit;
	struct pvpanic pvpanic;
};

static void sent(void *opaque, const u8 *buf, size_t len)
{
	FUZZ_ASSERT(len == 1);
}

static void reset(void *opaque)
{
}

static void leave(void *opaque, u32 value)
{
}

static void event(void *opaque, u8 events)
{
	FUZZ_ASSERT(events && events <= 3);
}

static void make(struct fuzz_bench *bench)
{
	struct chips *chips = bench->chips;

	port92_init(&chips->port92, "port92", reset, NULL);
	debugcon_init(&chips->debugcon, "debugcon", sent, NULL);
	debugexit_init(&chips->debugexit, "debugexit", leave, NULL);
	pvpanic_init(&chips->pvpanic, "pvpanic", event, NULL);
	rig_add(&bench->rig, port92_regions, &chips->port92, 0);
	rig_add(&bench->rig, debugcon_regions, &chips->debugcon, 0);
	rig_add(&bench->rig, debugexit_regions, &chips->debugexit, 0);
	rig_add(&bench->rig, pvpanic_regions, &chips->pvpanic, 0);
	bench->dev[bench->nr_devices++] = &chips->port92.dev;
	bench->dev[bench->nr_devices++] = &chips->debugcon.dev;
	bench->dev[bench->nr_devices++] = &chips->debugexit.dev;
	bench->dev[bench->nr_devices++] = &chips->pvpanic.dev;
}

static const struct fuzz_target target = {
    .size = sizeof(struct chips),
    .ports = ports,
    .nr_ports = ARRAY_SIZE(ports),
    .make = make,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_run(&target, data, size);
	return 0;
}
