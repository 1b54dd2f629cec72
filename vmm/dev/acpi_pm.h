/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ACPI fixed hardware (ACPI 6.4, section 4.8): PM1a event and control block, 24-bit PM timer, reset register.
 * There is no SMI command port: the machine is always in ACPI mode and SCI_EN always reads as set. */
#ifndef VMM_DEV_ACPI_PM_H
#define VMM_DEV_ACPI_PM_H

#include "vmm/clock.h"
#include "vmm/device.h"
#include "vmm/irq.h"
#include "vmm/types.h"

#define ACPI_PM_BASE   0x600
#define ACPI_PM_LEN    0x0c
#define ACPI_PM1_EVT   0x00 /* status, enable */
#define ACPI_PM1_CNT   0x04
#define ACPI_PM_TIMER  0x08
#define ACPI_TIMER_HZ  3579545ull
#define ACPI_S5_TYPE   5 /* SLP_TYP of \_S5 */
#define ACPI_RESET     0xcf9
#define ACPI_RESET_VAL 0x06

#define PM1_TMR    BIT(0)
#define PM1_GBL    BIT(5)
#define PM1_PWRBTN BIT(8)
#define PM1_SLPBTN BIT(9)
#define PM1_RTC    BIT(10)
#define PM1_WAK    BIT(15)

#define PM1_SCI_EN  BIT(0)
#define PM1_SLP_TYP (7u << 10)
#define PM1_SLP_EN  BIT(13)

struct acpi_pm {
	struct device dev;
	struct clock *clock;             /* [H] */
	struct irq_line sci;             /* [H] level */
	void (*power_off)(void *opaque); /* [H] S5 entered */
	void (*reset)(void *opaque);     /* [H] reset register */
	void *opaque;                    /* [H] of both */
	u16 status, enable, control;     /* [S] */
	u64 timer_epoch;                 /* [S] periods of 2^23 ticks up to which TMR_STS is settled */
	u8 reset_control;                /* [S] */
	struct clock_timer timer;        /* [S] the next change of the timer's top bit, while TMR_EN is set */
};

void acpi_pm_init(struct acpi_pm *pm, struct clock *clock, const char *device_id);
void acpi_pm_reset(struct acpi_pm *pm);
/* Ports from ACPI_PM_BASE. Every access depends on the clock. */
u64 acpi_pm_read(void *dev, u64 offset, unsigned size);
void acpi_pm_write(void *dev, u64 offset, unsigned size, u64 value);
/* The one-byte register at ACPI_RESET: bit 2 going from 0 to 1 resets (as in Intel's PCHs). */
u8 acpi_reset_read(struct acpi_pm *pm);
void acpi_reset_write(struct acpi_pm *pm, u8 value);
/* The user presses the power button. */
void acpi_pm_power_button(struct acpi_pm *pm);

#endif
