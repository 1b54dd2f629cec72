/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/fuzz/chip.h"
#include "vmm/dev/mc146818.h"

static const u16 ports[] = {0x70, 0x71, 0x71, 0x71};

static void make(struct fuzz_bench *bench)
{
	struct mc146818 *rtc = bench->chips;

	bench->rig.clock.wall_start = 1700000000;
	mc146818_init(rtc, "rtc", &bench->rig.clock, rig_irq(&bench->rig, 8));
	rig_add(&bench->rig, mc146818_regions, rtc, 0);
	bench->dev[bench->nr_devices++] = &rtc->dev;
}

static u64 input(struct fuzz_bench *bench, u8 what, const u8 *buf, size_t len)
{
	static const u8 useful[8] = {RTC_A, RTC_B, RTC_C, RTC_SECONDS_ALARM, RTC_HOURS_ALARM, RTC_MONTH, RTC_HOURS, 1};

	/* Helps to get at the registers that do something. */
	bus_write(&bench->rig.pio, 0x70, 1, useful[what & 7]);
	return 0;
}

static void check(struct fuzz_bench *bench)
{
	struct mc146818 *rtc = bench->chips;

	FUZZ_ASSERT(rtc->index < sizeof(rtc->ram));
	FUZZ_ASSERT(rtc->phase < CLOCK_HZ);
	FUZZ_ASSERT(rtc->weekday_skew < 7);
	FUZZ_ASSERT(!(rtc->ram[RTC_A] & RTC_A_UIP));
}

static const struct fuzz_target target = {
    .size = sizeof(struct mc146818),
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
