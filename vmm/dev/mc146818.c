/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/dev/mc146818.h"

#define INDEX_MASK 0x7f
#define NMI_MASK   0x80

#define A_DIVIDER       0x70
#define A_DIVIDER_32KHZ 0x20 /* the crystal on the PC; anything else holds the divider */
#define A_RATE          0x0f
#define B_INTERRUPTS    (RTC_B_PIE | RTC_B_AIE | RTC_B_UIE)
#define C_FLAGS         (RTC_C_PF | RTC_C_AF | RTC_C_UF)
#define HOURS_PM        0x80
#define ALARM_ANY       0xc0 /* an alarm byte with both bits set matches everything */

#define CRYSTAL_HZ    32768ull
#define UIP_NS        244000ull /* UIP is high for this long before an update */
#define HALF_SECOND   (CLOCK_HZ / 2)
#define SECONDS_A_DAY 86400

static const u8 registers_reset[4] = {
    A_DIVIDER_32KHZ | 6, /* 1024 Hz */
    RTC_B_24H,
    0,
    RTC_D_VRT,
};

/* --- calendar: days since 1970-01-01, proleptic Gregorian --- */

static s64 floor_div(s64 a, s64 b)
{
	return a / b - (a % b < 0);
}

/* Counts in years that begin in March, so that a leap day comes last. */
static s64 days_from_date(s64 year, unsigned month, unsigned day)
{
	s64 y = month > 2 ? year : year - 1;
	unsigned shifted = (month + 9) % 12;
	s64 days = 365 * y + floor_div(y, 4) - floor_div(y, 100) + floor_div(y, 400);

	/* months from March on have 31, 30, 31, 30, 31 days, over and over: 153 in five */
	return days + (153 * shifted + 2) / 5 + ((s64)day - 1) - 719468;
}

struct date {
	s64 year;
	unsigned month, day; /* from 1 */
};

static struct date date_from_days(s64 days)
{
	struct date d;

	/* 146097 days make 400 years; the guess is never late by more than a year */
	d.year = 1970 + floor_div(days * 400, 146097) - 1;
	while (days >= days_from_date(d.year + 1, 1, 1))
		d.year++;
	d.month = 1;
	while (d.month < 12 && days >= days_from_date(d.year, d.month + 1, 1))
		d.month++;
	d.day = days - days_from_date(d.year, d.month, 1) + 1;
	return d;
}

/* --- how values are written in the registers --- */

static u8 encode(const struct mc146818 *rtc, unsigned v)
{
	return rtc->ram[RTC_B] & RTC_B_DM ? v : v % 10 | (v / 10 % 10) << 4;
}

static unsigned decode(const struct mc146818 *rtc, u8 v)
{
	return rtc->ram[RTC_B] & RTC_B_DM ? v : (v & 15) + (v >> 4) * 10;
}

static u8 encode_hours(const struct mc146818 *rtc, unsigned hours)
{
	if (rtc->ram[RTC_B] & RTC_B_24H)
		return encode(rtc, hours);
	return encode(rtc, hours % 12 ? hours % 12 : 12) | (hours >= 12 ? HOURS_PM : 0);
}

static unsigned decode_hours(const struct mc146818 *rtc, u8 v)
{
	if (rtc->ram[RTC_B] & RTC_B_24H)
		return decode(rtc, v);
	return decode(rtc, v & ~HOURS_PM) % 12 + (v & HOURS_PM ? 12 : 0);
}

/* --- time --- */

/* Seconds from 1970 that no setting of the registers reaches (year 16,599). */
#define TIME_MAX (1ll << 40)

/* Updates happened since power-on, counting from the one at or before guest time 0. */
static u64 update_number(const struct mc146818 *rtc)
{
	return (clock_now(rtc->clock) + CLOCK_HZ - rtc->phase) / CLOCK_HZ;
}

/* The guest time of update @n, in ns. */
static u64 update_ns(const struct mc146818 *rtc, u64 n)
{
	u64 ns;

	if (__builtin_mul_overflow(n, CLOCK_HZ, &ns) || __builtin_add_overflow(ns, rtc->phase, &ns))
		return CLOCK_NEVER;
	return ns < CLOCK_HZ ? 0 : ns - CLOCK_HZ;
}

static bool divider_runs(const struct mc146818 *rtc)
{
	return (rtc->ram[RTC_A] & A_DIVIDER) == A_DIVIDER_32KHZ;
}

static bool time_runs(const struct mc146818 *rtc)
{
	return divider_runs(rtc) && !(rtc->ram[RTC_B] & RTC_B_SET);
}

static s64 unix_time(const struct mc146818 *rtc)
{
	s64 time = (s64)(rtc->base_time + (rtc->seen_update - rtc->base_update));

	return time < -TIME_MAX ? -TIME_MAX : time > TIME_MAX ? TIME_MAX : time; /* loaded state may be anything */
}

static unsigned calendar_weekday(s64 days)
{
	return ((days + 4) % 7 + 7) % 7; /* 1970-01-01 was a Thursday; Sunday is 0 */
}

/* Writes the time at seen_update into the registers. */
static void show_time(struct mc146818 *rtc)
{
	s64 time = unix_time(rtc);
	s64 days = floor_div(time, SECONDS_A_DAY);
	unsigned second = time - days * SECONDS_A_DAY;
	struct date d = date_from_days(days);

	rtc->ram[RTC_SECONDS] = encode(rtc, second % 60);
	rtc->ram[RTC_MINUTES] = encode(rtc, second / 60 % 60);
	rtc->ram[RTC_HOURS] = encode_hours(rtc, second / 3600);
	rtc->ram[RTC_WEEKDAY] = encode(rtc, (calendar_weekday(days) + rtc->weekday_skew) % 7 + 1);
	rtc->ram[RTC_DAY] = encode(rtc, d.day);
	rtc->ram[RTC_MONTH] = encode(rtc, d.month);
	rtc->ram[RTC_YEAR] = encode(rtc, d.year % 100);
	rtc->ram[RTC_CENTURY] = encode(rtc, d.year / 100 % 100);
}

/* Takes the time that the registers hold as that of the present update. Nonsense is brought into range. */
static void take_time(struct mc146818 *rtc)
{
	s64 year = (s64)decode(rtc, rtc->ram[RTC_CENTURY]) * 100 + decode(rtc, rtc->ram[RTC_YEAR]) % 100;
	unsigned month = (decode(rtc, rtc->ram[RTC_MONTH]) + 11) % 12 + 1;
	s64 days = days_from_date(year, month, decode(rtc, rtc->ram[RTC_DAY]));
	unsigned weekday = decode(rtc, rtc->ram[RTC_WEEKDAY]) + 6;

	rtc->weekday_skew = (weekday + 7 - calendar_weekday(days)) % 7;
	rtc->base_time = days * SECONDS_A_DAY + decode_hours(rtc, rtc->ram[RTC_HOURS]) * 3600 +
			 decode(rtc, rtc->ram[RTC_MINUTES]) * 60 + decode(rtc, rtc->ram[RTC_SECONDS]);
	rtc->base_update = rtc->seen_update;
}

/* --- alarm --- */

struct alarm {
	int hour, minute, second; /* -1: any */
};

static struct alarm read_alarm(const struct mc146818 *rtc)
{
	u8 h = rtc->ram[RTC_HOURS_ALARM], m = rtc->ram[RTC_MINUTES_ALARM], s = rtc->ram[RTC_SECONDS_ALARM];

	return (struct alarm){
	    .hour = (h & ALARM_ANY) == ALARM_ANY ? -1 : (int)decode_hours(rtc, h),
	    .minute = (m & ALARM_ANY) == ALARM_ANY ? -1 : (int)decode(rtc, m),
	    .second = (s & ALARM_ANY) == ALARM_ANY ? -1 : (int)decode(rtc, s),
	};
}

/* Seconds from @now (second of the day) to the next match, 1 to a whole day; 0 when nothing ever matches. */
static unsigned alarm_distance(struct alarm a, unsigned now)
{
	if (a.hour > 23 || a.minute > 59 || a.second > 59)
		return 0;
	for (unsigned t = now + 1; t <= now + SECONDS_A_DAY;) {
		unsigned hour = t / 3600 % 24, minute = t / 60 % 60, second = t % 60;

		if (a.hour >= 0 && hour != (unsigned)a.hour)
			t += 3600 - t % 3600;
		else if (a.minute >= 0 && minute != (unsigned)a.minute)
			t += 60 - second;
		else if (a.second >= 0 && second != (unsigned)a.second)
			t++;
		else
			return t - now;
	}
	return 0;
}

static void plan_alarm(struct mc146818 *rtc)
{
	s64 time = unix_time(rtc);
	unsigned distance = alarm_distance(read_alarm(rtc), time - floor_div(time, SECONDS_A_DAY) * SECONDS_A_DAY);

	rtc->alarm_update = distance ? rtc->seen_update + distance : CLOCK_NEVER;
}

/* --- flags and interrupts --- */

/* Length of the periodic interrupt's period in crystal cycles; 0 for none. */
static u64 period_cycles(const struct mc146818 *rtc)
{
	unsigned rate = rtc->ram[RTC_A] & A_RATE;

	if (!rate || !divider_runs(rtc))
		return 0;
	/* With this crystal the two fastest rates are 256 and 128 Hz. */
	return rate <= 2 ? 64ull << rate : 1ull << (rate - 1);
}

static u64 period_number(const struct mc146818 *rtc)
{
	u64 cycles = period_cycles(rtc);

	return cycles ? clock_muldiv(clock_now(rtc->clock), CRYSTAL_HZ, CLOCK_HZ * cycles) : 0;
}

static u64 period_ns(const struct mc146818 *rtc, u64 n)
{
	unsigned __int128 cycles = (unsigned __int128)n * period_cycles(rtc);

	return (u64)((cycles * CLOCK_HZ + CRYSTAL_HZ - 1) / CRYSTAL_HZ);
}

static void drive(struct mc146818 *rtc)
{
	if (rtc->ram[RTC_B] & rtc->ram[RTC_C] & C_FLAGS)
		rtc->ram[RTC_C] |= RTC_C_IRQ;
	else
		rtc->ram[RTC_C] &= ~RTC_C_IRQ;
	irq_set(&rtc->irq, rtc->ram[RTC_C] & RTC_C_IRQ);
}

/* A flag that is set already interrupts no more before register C is read, so it needs no timer. */
static void arm(struct mc146818 *rtc)
{
	u8 waiting = rtc->ram[RTC_B] & ~rtc->ram[RTC_C] & B_INTERRUPTS;
	u64 deadline = CLOCK_NEVER;

	if ((waiting & RTC_B_PIE) && period_cycles(rtc))
		deadline = period_ns(rtc, rtc->seen_period + 1);
	if ((waiting & RTC_B_UIE) && time_runs(rtc))
		deadline = min64(deadline, update_ns(rtc, rtc->seen_update + 1));
	if ((waiting & RTC_B_AIE) && time_runs(rtc))
		deadline = min64(deadline, update_ns(rtc, max64(rtc->alarm_update, rtc->seen_update + 1)));
	if (deadline == CLOCK_NEVER)
		clock_timer_cancel(&rtc->timer);
	else
		clock_timer_arm(&rtc->timer, deadline);
}

/* Brings flags and time up to now. */
static void settle(struct mc146818 *rtc)
{
	u64 update = update_number(rtc), period = period_number(rtc);

	if (period > rtc->seen_period)
		rtc->ram[RTC_C] |= RTC_C_PF;
	rtc->seen_period = period;
	if (update <= rtc->seen_update)
		return;
	if (!time_runs(rtc)) {
		/* Frozen: the time stays what it is while update numbers go by. */
		rtc->base_update += update - rtc->seen_update;
		rtc->seen_update = update;
		return;
	}
	rtc->ram[RTC_C] |= RTC_C_UF;
	rtc->seen_update = update;
	if (update >= rtc->alarm_update) {
		rtc->ram[RTC_C] |= RTC_C_AF;
		plan_alarm(rtc);
	}
}

static void timer_fired(void *opaque)
{
	struct mc146818 *rtc = opaque;

	settle(rtc);
	drive(rtc);
	arm(rtc);
}

/* --- registers --- */

static u8 read_a(const struct mc146818 *rtc)
{
	u64 next = update_ns(rtc, rtc->seen_update + 1);
	bool uip = time_runs(rtc) && next - clock_now(rtc->clock) <= UIP_NS;

	return rtc->ram[RTC_A] | (uip ? RTC_A_UIP : 0);
}

static u8 read_c(struct mc146818 *rtc)
{
	u8 flags;

	drive(rtc);
	flags = rtc->ram[RTC_C];
	rtc->ram[RTC_C] = 0;
	return flags;
}

static bool is_time(unsigned index)
{
	return index == RTC_CENTURY || (index <= RTC_YEAR && index != RTC_SECONDS_ALARM && index != RTC_MINUTES_ALARM &&
					index != RTC_HOURS_ALARM);
}

static u8 read_byte(struct mc146818 *rtc, unsigned index)
{
	if (is_time(index) && time_runs(rtc))
		show_time(rtc);
	switch (index) {
	case RTC_A:
		return read_a(rtc);
	case RTC_C:
		return read_c(rtc);
	default:
		return rtc->ram[index];
	}
}

static void write_a(struct mc146818 *rtc, u8 value)
{
	bool ran = divider_runs(rtc);

	if (time_runs(rtc))
		show_time(rtc);
	rtc->ram[RTC_A] = value & ~RTC_A_UIP;
	if (ran || !divider_runs(rtc)) {
		rtc->seen_period = period_number(rtc);
		return;
	}
	/* The first update comes half a second after the divider is let go. */
	rtc->phase = (clock_now(rtc->clock) + HALF_SECOND) % CLOCK_HZ;
	rtc->seen_update = update_number(rtc);
	rtc->seen_period = period_number(rtc);
	if (time_runs(rtc))
		take_time(rtc);
	plan_alarm(rtc);
}

static void write_b(struct mc146818 *rtc, u8 value)
{
	bool ran = time_runs(rtc);

	if (ran)
		show_time(rtc);
	if (value & RTC_B_SET)
		value &= ~RTC_B_UIE;
	rtc->ram[RTC_B] = value;
	if (!ran && time_runs(rtc))
		take_time(rtc);
	plan_alarm(rtc);
}

static void write_byte(struct mc146818 *rtc, unsigned index, u8 value)
{
	switch (index) {
	case RTC_A:
		write_a(rtc, value);
		return;
	case RTC_B:
		write_b(rtc, value);
		return;
	case RTC_C:
	case RTC_D:
		return;
	}
	if (is_time(index) && time_runs(rtc))
		show_time(rtc);
	rtc->ram[index] = value;
	if (is_time(index) && time_runs(rtc))
		take_time(rtc);
	if (index <= RTC_YEAR || index == RTC_CENTURY)
		plan_alarm(rtc);
}

static u64 mc146818_read(void *dev, u64 offset, unsigned size)
{
	struct mc146818 *rtc = dev;
	u8 value;

	/* The index register is write-only. */
	if (!offset)
		return 0xff;
	settle(rtc);
	value = read_byte(rtc, rtc->index);
	drive(rtc);
	arm(rtc);
	return value;
}

static void mc146818_write(void *dev, u64 offset, unsigned size, u64 value)
{
	struct mc146818 *rtc = dev;

	if (!offset) {
		rtc->index = value & INDEX_MASK;
		rtc->nmi_masked = !!(value & NMI_MASK);
		return;
	}
	settle(rtc);
	write_byte(rtc, rtc->index, value);
	drive(rtc);
	arm(rtc);
}

const struct bus_region mc146818_regions[] = {
    {.base = 0x70, .len = 2, .name = "rtc", .read = mc146818_read, .write = mc146818_write, .timed = true, .width = 1},
    {.len = 0},
};

void mc146818_set(struct mc146818 *rtc, u8 index, u8 value)
{
	if (index > RTC_D && index < sizeof(rtc->ram))
		rtc->ram[index] = value;
}

static void set16(struct mc146818 *rtc, u8 index, u64 value)
{
	value = min64(value, 0xffff);
	mc146818_set(rtc, index, value);
	mc146818_set(rtc, index + 1, value >> 8);
}

void mc146818_set_memory(struct mc146818 *rtc, u64 ram)
{
	const u64 hole = 3ull << 30;
	u64 low = min64(ram, hole);
	u64 above_4g = (ram - low) >> 16;

	set16(rtc, CMOS_BASE_LOW, 640);
	set16(rtc, CMOS_EXT_LOW, low > 1 << 20 ? (low >> 10) - 1024 : 0);
	set16(rtc, CMOS_EXT2_LOW, low > 1 << 20 ? (low >> 10) - 1024 : 0);
	set16(rtc, CMOS_HIGH_LOW, low > 16 << 20 ? (low - (16 << 20)) >> 16 : 0);
	for (unsigned i = 0; i < 3; i++)
		mc146818_set(rtc, CMOS_ABOVE_4G + i, above_4g >> (8 * i));
}

void mc146818_set_checksum(struct mc146818 *rtc)
{
	unsigned sum = 0;

	for (unsigned i = CMOS_SUMMED; i < CMOS_SUM_HIGH; i++)
		sum += rtc->ram[i];
	mc146818_set(rtc, CMOS_SUM_HIGH, sum >> 8);
	mc146818_set(rtc, CMOS_SUM_LOW, sum);
}

/* The memory keeps its contents: it has a battery. */
static void mc146818_reset(struct device *dev)
{
	struct mc146818 *rtc = container_of(dev, struct mc146818, dev);

	rtc->index = 0;
	rtc->nmi_masked = 0;
	memcpy(rtc->ram + RTC_A, registers_reset, sizeof(registers_reset));
	rtc->weekday_skew = 0;
	rtc->phase = 0;
	rtc->seen_update = update_number(rtc);
	rtc->seen_period = period_number(rtc);
	rtc->base_update = rtc->seen_update;
	rtc->base_time = rtc->clock->wall_start + clock_now(rtc->clock) / CLOCK_HZ;
	show_time(rtc);
	plan_alarm(rtc);
	clock_timer_cancel(&rtc->timer);
	irq_set(&rtc->irq, false);
}

/* A hostile checkpoint may hold any value. */
static void mc146818_loaded(struct device *dev)
{
	struct mc146818 *rtc = container_of(dev, struct mc146818, dev);
	rtc->index &= INDEX_MASK;
	rtc->phase %= CLOCK_HZ;
	rtc->weekday_skew %= 7;
	rtc->seen_update = min64(rtc->seen_update, CLOCK_NEVER / CLOCK_HZ);
	rtc->ram[RTC_A] &= ~RTC_A_UIP;
}

static const struct field mc146818_fields[] = {
    FIELD(struct mc146818, index),
    FIELD(struct mc146818, nmi_masked),
    FIELD_BLOB(struct mc146818, ram),
    FIELD(struct mc146818, weekday_skew),
    FIELD(struct mc146818, base_time),
    FIELD(struct mc146818, base_update),
    FIELD(struct mc146818, phase),
    FIELD(struct mc146818, seen_update),
    FIELD(struct mc146818, seen_period),
    FIELD(struct mc146818, alarm_update),
    FIELD_CLOCK_TIMER(struct mc146818, timer),
    FIELD_END,
};

static const struct device_class mc146818_class = {
    .name = "mc146818",
    .fields = mc146818_fields,
    .reset = mc146818_reset,
    .loaded = mc146818_loaded,
};

void mc146818_init(struct mc146818 *rtc, const char *id, struct clock *clock, struct irq_line irq)
{
	*rtc = (struct mc146818){.dev = {&mc146818_class, id}, .clock = clock, .irq = irq};
	clock_timer_init(clock, &rtc->timer, "rtc", timer_fired, rtc);
	mc146818_reset(&rtc->dev);
}
