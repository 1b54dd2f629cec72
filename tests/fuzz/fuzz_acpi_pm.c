/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ACPI fixed hardware: registers and time. The timer never runs backwards but for its wrap. */
#include <stdlib.h>

#include "vmm/dev/acpi_pm.h"

static struct clock clock;
static u64 insns;
static struct acpi_pm pm;
static unsigned ends;

static void end(void *opaque)
{
	ends++;
}

static void step(const u8 *p)
{
	unsigned size = 1u << (p[1] & 3);
	u64 ns = load32(p + 4);

	switch (p[0] % 6) {
	case 0:
		acpi_pm_read(&pm, p[2], size);
		break;
	case 1:
		acpi_pm_write(&pm, p[2] % ACPI_PM_LEN, size, load64(p + 4));
		break;
	case 2:
		acpi_reset_write(&pm, p[2]);
		acpi_reset_read(&pm);
		break;
	case 3:
		acpi_pm_power_button(&pm);
		break;
	case 4:
		clock_advance(&clock, clock_now(&clock) + (ns << (p[1] & 31)));
		clock_run_timers(&clock);
		break;
	case 5:
		if (acpi_pm_read(&pm, ACPI_PM_TIMER, 4) > 0xffffff || !(acpi_pm_read(&pm, ACPI_PM1_CNT, 2) & 1))
			abort();
		break;
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t len);
int LLVMFuzzerTestOneInput(const u8 *data, size_t len)
{
	u8 state[64] = {0};
	size_t size;

	clock = (struct clock){.insns = &insns, .next_deadline = CLOCK_NEVER};
	acpi_pm_init(&pm, &clock, "acpi-pm");
	pm.power_off = end;
	pm.reset = end;
	size = state_size(pm.dev.class->fields);
	if (len && data[0] & 1) {
		memcpy(state, data + 1, len - 1 < size ? len - 1 : size);
		if (size > sizeof(state) || state_load(pm.dev.class->fields, &pm, state, size))
			abort();
		pm.dev.class->loaded(&pm.dev);
	}
	for (size_t i = 1; i + 12 <= len; i += 12)
		step(data + i);
	return 0;
}
