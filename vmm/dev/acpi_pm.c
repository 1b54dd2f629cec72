/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/dev/acpi_pm.h"

#define ENABLE_WRITABLE (PM1_TMR | PM1_GBL | PM1_PWRBTN | PM1_SLPBTN | PM1_RTC)
#define STATUS_BITS     (PM1_TMR | BIT(4) | PM1_GBL | PM1_PWRBTN | PM1_SLPBTN | PM1_RTC | PM1_WAK)
#define EPOCH_SHIFT     23 /* TMR_STS is set whenever bit 23 of the 24-bit timer changes */

static const struct field acpi_pm_fields[] = {
    FIELD(struct acpi_pm, status),
    FIELD(struct acpi_pm, enable),
    FIELD(struct acpi_pm, control),
    FIELD(struct acpi_pm, timer_epoch),
    FIELD(struct acpi_pm, reset_control),
    FIELD_CLOCK_TIMER(struct acpi_pm, timer),
    FIELD_END,
};

static u64 ticks(const struct acpi_pm *pm)
{
	return clock_muldiv(clock_now(pm->clock), ACPI_TIMER_HZ, CLOCK_HZ);
}

/* Sets TMR_STS if the top bit has changed since it was last looked at. */
static void settle_timer(struct acpi_pm *pm)
{
	u64 epoch = ticks(pm) >> EPOCH_SHIFT;

	if (epoch != pm->timer_epoch)
		pm->status |= PM1_TMR;
	pm->timer_epoch = epoch;
}

/* The first nanosecond at which the timer has counted @n ticks. */
static u64 tick_ns(u64 n)
{
	return (u64)(((unsigned __int128)n * CLOCK_HZ + ACPI_TIMER_HZ - 1) / ACPI_TIMER_HZ);
}

static void update(struct acpi_pm *pm)
{
	irq_set(&pm->sci, pm->status & pm->enable);
	if (pm->enable & PM1_TMR)
		clock_timer_arm(&pm->timer, tick_ns(((ticks(pm) >> EPOCH_SHIFT) + 1) << EPOCH_SHIFT));
	else
		clock_timer_cancel(&pm->timer);
}

static void timer_fire(void *opaque)
{
	struct acpi_pm *pm = opaque;

	settle_timer(pm);
	update(pm);
}

static void write_control(struct acpi_pm *pm, u16 value)
{
	pm->control = value & (BIT(1) | PM1_SLP_TYP);
	if (!(value & PM1_SLP_EN))
		return;
	if ((value & PM1_SLP_TYP) >> 10 == ACPI_S5_TYPE && pm->power_off)
		pm->power_off(pm->opaque);
}

/* The registers as the bytes that the ports show. */
static void image(struct acpi_pm *pm, u8 out[16])
{
	settle_timer(pm);
	memset(out, 0, 16);
	store16(out + 0, pm->status);
	store16(out + 2, pm->enable);
	store16(out + ACPI_PM1_CNT, pm->control | PM1_SCI_EN);
	store32(out + ACPI_PM_TIMER, ticks(pm) & 0xffffff);
}

u64 acpi_pm_read(void *dev, u64 offset, unsigned size)
{
	struct acpi_pm *pm = dev;
	u8 regs[16];
	u64 value = 0;

	if (offset >= ACPI_PM_LEN || size > 4)
		return ~0ull >> (64 - 8 * size);
	image(pm, regs);
	memcpy(&value, regs + offset, size);
	return value;
}

/* A write of any width is a write to each byte of it; control acts once, with all its bytes. */
void acpi_pm_write(void *dev, u64 offset, unsigned size, u64 value)
{
	struct acpi_pm *pm = dev;
	u8 regs[16];
	bool control = false;

	if (offset >= ACPI_PM_LEN || size > 4)
		return;
	image(pm, regs);
	memset(regs, 0, 2); /* status: one clears */
	for (unsigned i = 0; i < size; i++) {
		regs[offset + i] = value >> (8 * i);
		control |= offset + i == ACPI_PM1_CNT || offset + i == ACPI_PM1_CNT + 1;
	}
	pm->status &= ~load16(regs);
	pm->enable = load16(regs + 2) & ENABLE_WRITABLE;
	update(pm);
	if (control)
		write_control(pm, load16(regs + ACPI_PM1_CNT));
}

u8 acpi_reset_read(struct acpi_pm *pm)
{
	return pm->reset_control;
}

void acpi_reset_write(struct acpi_pm *pm, u8 value)
{
	bool rose = (value & BIT(2)) && !(pm->reset_control & BIT(2));

	pm->reset_control = value & 0xe;
	if (rose && pm->reset)
		pm->reset(pm->opaque);
}

void acpi_pm_power_button(struct acpi_pm *pm)
{
	pm->status |= PM1_PWRBTN;
	update(pm);
}

void acpi_pm_reset(struct acpi_pm *pm)
{
	pm->status = 0;
	pm->enable = 0;
	pm->control = 0;
	pm->reset_control = 0;
	pm->timer_epoch = ticks(pm) >> EPOCH_SHIFT;
	update(pm);
}

static void device_reset(struct device *dev)
{
	acpi_pm_reset(container_of(dev, struct acpi_pm, dev));
}

static void device_loaded(struct device *dev)
{
	struct acpi_pm *pm = container_of(dev, struct acpi_pm, dev);

	pm->status &= STATUS_BITS;
	pm->enable &= ENABLE_WRITABLE;
	pm->control &= BIT(1) | PM1_SLP_TYP;
	pm->reset_control &= 0xe;
}

static const struct device_class acpi_pm_class = {
    .name = "acpi-pm",
    .fields = acpi_pm_fields,
    .reset = device_reset,
    .loaded = device_loaded,
};

void acpi_pm_init(struct acpi_pm *pm, struct clock *clock, const char *device_id)
{
	*pm = (struct acpi_pm){
	    .dev = {.class = &acpi_pm_class, .id = device_id},
	    .clock = clock,
	};
	clock_timer_init(clock, &pm->timer, device_id, timer_fire, pm);
	acpi_pm_reset(pm);
}
