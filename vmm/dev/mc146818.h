/* SPDX-License-Identifier: GPL-2.0-or-later */
/* MC146818 real-time clock with 128 bytes of battery-backed memory, ports 70h and 71h.
 * Source: Motorola MC146818A data sheet; the PC's use of the memory bytes: IBM AT Technical Reference.
 *
 * Time of day follows guest time from clock->wall_start; nothing ticks. Flags are brought up to date when looked at,
 * and a timer is armed only for the next interrupt that is enabled. */
#ifndef VMM_DEV_MC146818_H
#define VMM_DEV_MC146818_H

#include "vmm/bus.h"
#include "vmm/clock.h"
#include "vmm/device.h"
#include "vmm/irq.h"

/* Memory bytes with a meaning on the PC. */
enum mc146818_byte {
	RTC_SECONDS = 0x00,
	RTC_SECONDS_ALARM = 0x01,
	RTC_MINUTES = 0x02,
	RTC_MINUTES_ALARM = 0x03,
	RTC_HOURS = 0x04,
	RTC_HOURS_ALARM = 0x05,
	RTC_WEEKDAY = 0x06, /* 1 is Sunday */
	RTC_DAY = 0x07,
	RTC_MONTH = 0x08,
	RTC_YEAR = 0x09,
	RTC_A = 0x0a,
	RTC_B = 0x0b,
	RTC_C = 0x0c,
	RTC_D = 0x0d,
	CMOS_BASE_LOW = 0x15, /* KiB below 640 KiB */
	CMOS_BASE_HIGH = 0x16,
	CMOS_EXT_LOW = 0x17, /* KiB above 1 MiB, at most 65535 */
	CMOS_EXT_HIGH = 0x18,
	CMOS_SUMMED = 0x10,   /* from here on up to the sum the bytes are summed up */
	CMOS_SUM_HIGH = 0x2e, /* 16 bits, the high byte first */
	CMOS_SUM_LOW = 0x2f,
	CMOS_EXT2_LOW = 0x30, /* the same again */
	CMOS_EXT2_HIGH = 0x31,
	RTC_CENTURY = 0x32,
	CMOS_HIGH_LOW = 0x34, /* 64 KiB units above 16 MiB and below 4 GiB */
	CMOS_HIGH_HIGH = 0x35,
	CMOS_ABOVE_4G = 0x5b, /* 64 KiB units above 4 GiB, 3 bytes */
};

#define RTC_A_UIP 0x80
#define RTC_B_SET 0x80
#define RTC_B_PIE 0x40
#define RTC_B_AIE 0x20
#define RTC_B_UIE 0x10
#define RTC_B_DM  0x04 /* binary, not BCD */
#define RTC_B_24H 0x02
#define RTC_C_IRQ 0x80
#define RTC_C_PF  0x40
#define RTC_C_AF  0x20
#define RTC_C_UF  0x10
#define RTC_D_VRT 0x80

struct mc146818 {
	struct device dev;
	u8 index;                 /* [S] port 70h, bits 6-0 */
	u8 nmi_masked;            /* [S] port 70h, bit 7 */
	u8 ram[128];              /* [S] the time bytes hold what was current when last looked at */
	u8 weekday_skew;          /* [S] days by which the guest's weekday is ahead of the calendar's, 0-6 */
	u64 base_time;            /* [S] Unix seconds (two's complement) at update number base_update */
	u64 base_update;          /* [S] */
	u32 phase;                /* [S] updates happen at phase + n * 10^9 ns of guest time; 0 to 10^9 - 1 */
	u64 seen_update;          /* [S] the update number up to which UF and AF were settled */
	u64 seen_period;          /* [S] likewise the periodic interrupt's count for PF */
	u64 alarm_update;         /* [S] the update at which the alarm next matches, CLOCK_NEVER if it can't */
	struct clock_timer timer; /* [S] the next enabled interrupt */
	struct clock *clock;      /* [H] */
	struct irq_line irq;      /* [H] high until register C is read */
};

/* clock->wall_start must be set already. */
void mc146818_init(struct mc146818 *rtc, const char *id, struct clock *clock, struct irq_line irq);

/* Sets a memory byte (0Eh to 7Fh). */
void mc146818_set(struct mc146818 *rtc, u8 index, u8 value);

/* Sets the bytes by which firmware reports @ram bytes of memory with a hole from 3 to 4 GiB. */
void mc146818_set_memory(struct mc146818 *rtc, u64 ram);

/* Makes the checksum right, as firmware leaves it. */
void mc146818_set_checksum(struct mc146818 *rtc);

/* 70h-71h; ends with an entry of length 0. */
extern const struct bus_region mc146818_regions[];

#endif
