/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/dev/lapic.h"

#include "vmm/x86/cpuid.h"
#include "vmm/x86/regs.h"

#define SVR_WRITABLE 0x3ffu
#define ICR_WRITABLE 0x000ccfffu
#define ICR_LEVEL    BIT(15)

static const u32 lvt_writable[LVT_COUNT] = {
    [LVT_TIMER] = 0x000700ff, [LVT_THERMAL] = 0x000107ff, [LVT_PERF] = 0x000107ff,
    [LVT_LINT0] = 0x0001a7ff, [LVT_LINT1] = 0x0001a7ff,   [LVT_ERROR] = 0x000100ff,
};

static const struct field lapic_fields[] = {
    FIELD(struct lapic, base),
    FIELD(struct lapic, id),
    FIELD(struct lapic, tpr),
    FIELD(struct lapic, ldr),
    FIELD(struct lapic, dfr),
    FIELD(struct lapic, svr),
    FIELD_ARRAY(struct lapic, isr),
    FIELD_ARRAY(struct lapic, tmr),
    FIELD_ARRAY(struct lapic, irr),
    FIELD(struct lapic, esr),
    FIELD(struct lapic, esr_pending),
    FIELD(struct lapic, icr_low),
    FIELD(struct lapic, icr_high),
    FIELD_ARRAY(struct lapic, lvt),
    FIELD(struct lapic, timer_init),
    FIELD(struct lapic, timer_divide),
    FIELD(struct lapic, timer_from),
    FIELD(struct lapic, timer_start),
    FIELD(struct lapic, tsc_deadline),
    FIELD_ARRAY(struct lapic, lint),
    FIELD(struct lapic, nmi_pending),
    FIELD(struct lapic, init_pending),
    FIELD(struct lapic, sipi_pending),
    FIELD(struct lapic, sipi_vector),
    FIELD_CLOCK_TIMER(struct lapic, timer),
    FIELD_END,
};

/* --- priorities (SDM 3A 10.8.3) --- */

static int highest(const u32 map[8])
{
	for (int i = 7; i >= 0; i--)
		if (map[i])
			return i * 32 + 31 - __builtin_clz(map[i]);
	return -1;
}

static bool map_test(const u32 map[8], u8 vector)
{
	return (map[vector / 32] >> (vector % 32)) & 1;
}

static void map_set(u32 map[8], u8 vector)
{
	map[vector / 32] |= 1u << (vector % 32);
}

static void map_clear(u32 map[8], u8 vector)
{
	map[vector / 32] &= ~(1u << (vector % 32));
}

static u32 ppr(const struct lapic *l)
{
	int in_service = highest(l->isr);

	if (in_service < 0 || l->tpr >> 4 >= (u32)in_service >> 4)
		return l->tpr;
	return in_service & 0xf0;
}

/* The highest class of TPR, what is in service and what is requested. */
u32 lapic_apr(const struct lapic *l)
{
	int requested = highest(l->irr);
	u32 apr = ppr(l);

	if (requested >= 0 && (u32)requested >> 4 > apr >> 4)
		apr = requested & 0xf0;
	return apr;
}

static int deliverable(const struct lapic *l)
{
	int vector = highest(l->irr);

	return vector >= 0 && (u32)vector >> 4 > ppr(l) >> 4 ? vector : -1;
}

bool lapic_accepts_extint(const struct lapic *l)
{
	u32 lvt = l->lvt[LVT_LINT0];

	if (!lapic_enabled(l))
		return l->bsp;
	return !(lvt & LVT_MASKED) && ((lvt >> 8) & 7) == APIC_EXTINT;
}

/* An ExtINT isn't subject to priorities: it goes to the processor at once. */
int lapic_pending(const struct lapic *l)
{
	if (l->lint[0] && lapic_accepts_extint(l))
		return LAPIC_EXTINT;
	return lapic_enabled(l) ? deliverable(l) : -1;
}

int lapic_ack(struct lapic *l)
{
	int vector = deliverable(l);

	if (vector < 0)
		return l->svr & 0xff;
	map_clear(l->irr, vector);
	map_set(l->isr, vector);
	return vector;
}

/* --- arrival --- */

void lapic_changed(struct lapic *l)
{
	if (l->changed)
		l->changed(l->changed_opaque);
}

void lapic_error(struct lapic *l, u32 esr_bit)
{
	u32 lvt = l->lvt[LVT_ERROR];

	l->esr_pending |= esr_bit;
	if (lvt & LVT_MASKED)
		return;
	/* An error entry with an illegal vector must not report itself for ever. */
	if ((lvt & 0xff) < 16)
		l->esr_pending |= ESR_RECV_ILLEGAL;
	else
		lapic_accept(l, lvt, false);
}

bool lapic_accept(struct lapic *l, u8 vector, bool level)
{
	if (!lapic_enabled(l) || !(l->svr & SVR_ENABLE))
		return false;
	if (vector < 16) {
		lapic_error(l, ESR_RECV_ILLEGAL);
		return true;
	}
	map_set(l->irr, vector);
	if (level)
		map_set(l->tmr, vector);
	else
		map_clear(l->tmr, vector);
	lapic_changed(l);
	return true;
}

static bool lint_level_triggered(const struct lapic *l, enum lapic_lvt which)
{
	u32 lvt = l->lvt[which];

	return (which == LVT_LINT0 || which == LVT_LINT1) && (lvt & LVT_LEVEL) && ((lvt >> 8) & 7) == APIC_FIXED;
}

void lapic_lvt_deliver(struct lapic *l, enum lapic_lvt which)
{
	u32 lvt = l->lvt[which];
	unsigned mode = which == LVT_TIMER || which == LVT_ERROR ? APIC_FIXED : (lvt >> 8) & 7;

	if (lvt & LVT_MASKED)
		return;
	switch (mode) {
	case APIC_FIXED:
		if (!lint_level_triggered(l, which)) {
			lapic_accept(l, lvt, false);
		} else if (!(lvt & LVT_REMOTE_IRR) && lapic_accept(l, lvt, true)) {
			l->lvt[which] |= LVT_REMOTE_IRR;
		}
		break;
	case APIC_NMI:
		l->nmi_pending = 1;
		lapic_changed(l);
		break;
	case APIC_INIT:
		l->init_pending = 1;
		lapic_changed(l);
		break;
	default: /* ExtINT is a level (lapic_pending()); there is no SMM */
		break;
	}
}

void lapic_set_lint(struct lapic *l, unsigned pin, bool level)
{
	enum lapic_lvt which = pin ? LVT_LINT1 : LVT_LINT0;
	bool rose = level && !l->lint[pin & 1];

	l->lint[pin & 1] = level;
	if (!rose)
		return;
	lapic_lvt_deliver(l, which);
	if (which == LVT_LINT0 && lapic_accepts_extint(l))
		lapic_changed(l);
}

/* A level-triggered pin that is still asserted interrupts again. */
static void eoi_lint(struct lapic *l, u8 vector)
{
	for (enum lapic_lvt which = LVT_LINT0; which <= LVT_LINT1; which++) {
		if (!(l->lvt[which] & LVT_REMOTE_IRR) || (u8)l->lvt[which] != vector)
			continue;
		l->lvt[which] &= ~LVT_REMOTE_IRR;
		if (l->lint[which - LVT_LINT0])
			lapic_lvt_deliver(l, which);
	}
}

static void eoi(struct lapic *l)
{
	int vector = highest(l->isr);

	if (vector < 0)
		return;
	map_clear(l->isr, vector);
	if (map_test(l->tmr, vector)) {
		eoi_lint(l, vector);
		if (l->bus->eoi)
			l->bus->eoi(l->bus->eoi_opaque, vector);
	}
	lapic_changed(l);
}

/* --- registers --- */

static bool read_map(const struct lapic *l, unsigned reg, u32 *value)
{
	const u32 *map = reg < LAPIC_TMR ? l->isr : reg < LAPIC_IRR ? l->tmr : l->irr;

	if (reg < LAPIC_ISR || reg >= LAPIC_ESR)
		return false;
	*value = map[(reg >> 4) & 7];
	return true;
}

static u32 ldr_read(const struct lapic *l)
{
	return lapic_x2(l) ? ((l->id >> 4) << 16) | (1u << (l->id & 15)) : l->ldr;
}

/* False: no such register. */
static bool reg_read(const struct lapic *l, unsigned reg, u32 *value)
{
	switch (reg) {
	case LAPIC_ID:
		*value = lapic_x2(l) ? l->id : l->id << 24;
		return true;
	case LAPIC_VER:
		*value = LAPIC_VERSION;
		return true;
	case LAPIC_TPR:
		*value = l->tpr;
		return true;
	case LAPIC_APR:
		*value = lapic_apr(l);
		return true;
	case LAPIC_PPR:
		*value = ppr(l);
		return true;
	case LAPIC_EOI:
	case LAPIC_RRD:
		*value = 0;
		return true;
	case LAPIC_LDR:
		*value = ldr_read(l);
		return true;
	case LAPIC_DFR:
		*value = l->dfr;
		return true;
	case LAPIC_SVR:
		*value = l->svr;
		return true;
	case LAPIC_ESR:
		*value = l->esr;
		return true;
	case LAPIC_ICR_LOW:
		*value = l->icr_low;
		return true;
	case LAPIC_ICR_HIGH:
		*value = l->icr_high;
		return true;
	case LAPIC_LVT_TIMER:
	case LAPIC_LVT_THERMAL:
	case LAPIC_LVT_PERF:
	case LAPIC_LVT_LINT0:
	case LAPIC_LVT_LINT1:
	case LAPIC_LVT_ERROR:
		*value = l->lvt[(reg - LAPIC_LVT_TIMER) >> 4];
		return true;
	case LAPIC_TIMER_INIT:
		*value = l->timer_init;
		return true;
	case LAPIC_TIMER_CURRENT:
		*value = lapic_timer_current(l);
		return true;
	case LAPIC_TIMER_DIVIDE:
		*value = l->timer_divide;
		return true;
	}
	return read_map(l, reg, value);
}

static void write_lvt(struct lapic *l, enum lapic_lvt which, u32 value)
{
	value = (value & lvt_writable[which]) | (l->lvt[which] & LVT_REMOTE_IRR);
	if (!(l->svr & SVR_ENABLE))
		value |= LVT_MASKED;
	if (which == LVT_TIMER) {
		lapic_timer_write_lvt(l, value);
		return;
	}
	l->lvt[which] = value;
	/* Remote IRR belongs to level-triggered fixed interrupts only. */
	if (!lint_level_triggered(l, which))
		l->lvt[which] &= ~LVT_REMOTE_IRR;
	else if (l->lint[which - LVT_LINT0])
		lapic_lvt_deliver(l, which);
	lapic_changed(l);
}

/* Software disable masks every LVT entry; what is already requested or in service stays (SDM 3A 10.4.7.2). */
static void write_svr(struct lapic *l, u32 value)
{
	l->svr = value & SVR_WRITABLE;
	if (!(l->svr & SVR_ENABLE)) {
		lapic_timer_sync(l);
		for (unsigned i = 0; i < LVT_COUNT; i++)
			l->lvt[i] |= LVT_MASKED;
		lapic_timer_rearm(l);
	}
	lapic_changed(l);
}

/* False: no such register. Writing a read-only register does nothing. */
static bool reg_write(struct lapic *l, unsigned reg, u32 value)
{
	u32 dummy;

	switch (reg) {
	case LAPIC_ID:
		l->id = value >> 24;
		return true;
	case LAPIC_TPR:
		l->tpr = value & 0xff;
		lapic_changed(l);
		return true;
	case LAPIC_EOI:
		eoi(l);
		return true;
	case LAPIC_LDR:
		l->ldr = value & 0xff000000;
		return true;
	case LAPIC_DFR:
		l->dfr = value | 0x0fffffff;
		return true;
	case LAPIC_SVR:
		write_svr(l, value);
		return true;
	case LAPIC_ESR:
		l->esr = l->esr_pending;
		l->esr_pending = 0;
		return true;
	case LAPIC_ICR_LOW:
		l->icr_low = value & ICR_WRITABLE;
		lapic_send_ipi(l, l->icr_low, l->icr_high >> 24);
		return true;
	case LAPIC_ICR_HIGH:
		l->icr_high = value & 0xff000000;
		return true;
	case LAPIC_LVT_TIMER:
	case LAPIC_LVT_THERMAL:
	case LAPIC_LVT_PERF:
	case LAPIC_LVT_LINT0:
	case LAPIC_LVT_LINT1:
	case LAPIC_LVT_ERROR:
		write_lvt(l, (reg - LAPIC_LVT_TIMER) >> 4, value);
		return true;
	case LAPIC_TIMER_INIT:
		lapic_timer_write_init(l, value);
		return true;
	case LAPIC_TIMER_DIVIDE:
		lapic_timer_write_divide(l, value);
		return true;
	}
	return reg_read(l, reg, &dummy);
}

/* --- MMIO --- */

bool lapic_timed(u64 offset)
{
	unsigned reg = offset & 0xff0;

	return reg == LAPIC_TIMER_CURRENT || reg == LAPIC_TIMER_INIT || reg == LAPIC_TIMER_DIVIDE ||
	       reg == LAPIC_LVT_TIMER;
}

u64 lapic_read(struct lapic *l, u64 offset, unsigned size)
{
	unsigned byte = offset & 15;
	u32 value = 0;

	/* In x2APIC mode the page isn't there. */
	if (lapic_x2(l))
		return ~0ull >> (64 - 8 * size);
	if (byte >= 4)
		return 0;
	if (!reg_read(l, offset & 0xff0, &value)) {
		lapic_error(l, ESR_REGISTER);
		return 0;
	}
	value >>= 8 * byte;
	return size < 4 ? value & ((1u << (8 * size)) - 1) : value;
}

void lapic_write(struct lapic *l, u64 offset, unsigned size, u64 value)
{
	if (lapic_x2(l) || (offset & 15) || size < 4)
		return;
	if (!reg_write(l, offset & 0xff0, value))
		lapic_error(l, ESR_REGISTER);
}

u64 lapic_cr8(const struct lapic *l)
{
	return l->tpr >> 4;
}

void lapic_set_cr8(struct lapic *l, u64 value)
{
	l->tpr = (value & 15) << 4;
	lapic_changed(l);
}

/* --- MSRs --- */

/* The transitions between the three modes that the SDM allows (3A figure 10-27). */
static int write_base(struct lapic *l, u64 value)
{
	u64 allowed = APIC_BASE_BSP | APIC_BASE_ENABLE | (l->x2apic_allowed ? APIC_BASE_X2 : 0) |
		      (((1ull << CPU_PHYS_BITS) - 1) & ~0xfffull);
	bool was_enabled = lapic_enabled(l);
	u64 mode = value & (APIC_BASE_ENABLE | APIC_BASE_X2);

	if ((value & ~allowed) || mode == APIC_BASE_X2)
		return -1;
	if (lapic_x2(l) && mode == APIC_BASE_ENABLE)
		return -1;
	if (!was_enabled && mode == (APIC_BASE_ENABLE | APIC_BASE_X2))
		return -1;
	l->base = (value & ~APIC_BASE_BSP) | (l->bsp ? APIC_BASE_BSP : 0);
	/* Switched off and on again, the APIC is as after power-up. */
	if (was_enabled != lapic_enabled(l))
		lapic_init_ipi(l);
	if (lapic_x2(l))
		l->id = l->initial_id;
	lapic_changed(l);
	return 0;
}

static int x2_rdmsr(struct lapic *l, unsigned reg, u64 *value)
{
	u32 low;

	if (!lapic_x2(l) || reg == LAPIC_DFR || reg == LAPIC_ICR_HIGH || reg == LAPIC_EOI || reg == LAPIC_APR ||
	    reg == LAPIC_RRD || !reg_read(l, reg, &low))
		return -1;
	*value = reg == LAPIC_ICR_LOW ? (u64)l->icr_high << 32 | low : low;
	return 0;
}

/* Bits that WRMSR may set; 0: read-only or not there. */
static u64 x2_writable(unsigned reg)
{
	switch (reg) {
	case LAPIC_TPR:
	case LAPIC_SELF_IPI:
		return 0xff;
	case LAPIC_SVR:
		return SVR_WRITABLE;
	case LAPIC_ICR_LOW:
		return 0xffffffff00000000ull | ICR_WRITABLE;
	case LAPIC_LVT_TIMER:
	case LAPIC_LVT_THERMAL:
	case LAPIC_LVT_PERF:
	case LAPIC_LVT_LINT0:
	case LAPIC_LVT_LINT1:
	case LAPIC_LVT_ERROR:
		/* Delivery status and remote IRR may be written, without effect. */
		return lvt_writable[(reg - LAPIC_LVT_TIMER) >> 4] | BIT(12) | LVT_REMOTE_IRR;
	case LAPIC_TIMER_INIT:
		return 0xffffffff;
	case LAPIC_TIMER_DIVIDE:
		return 0xb;
	default:
		return 0;
	}
}

static int x2_wrmsr(struct lapic *l, unsigned reg, u64 value)
{
	u64 writable = x2_writable(reg);

	if (!lapic_x2(l) || (value & ~writable))
		return -1;
	if (!writable && reg != LAPIC_EOI && reg != LAPIC_ESR)
		return -1;
	switch (reg) {
	case LAPIC_ICR_LOW:
		l->icr_low = value;
		l->icr_high = value >> 32;
		lapic_send_ipi(l, l->icr_low, l->icr_high);
		return 0;
	case LAPIC_SELF_IPI:
		if (value < 16)
			lapic_error(l, ESR_SEND_ILLEGAL);
		else
			lapic_accept(l, value, false);
		return 0;
	}
	reg_write(l, reg, value);
	return 0;
}

int lapic_rdmsr(struct lapic *l, u32 msr, u64 *value)
{
	if (msr == MSR_APIC_BASE) {
		*value = l->base;
		return 0;
	}
	if (msr == MSR_TSC_DEADLINE) {
		lapic_timer_sync(l);
		*value = l->tsc_deadline;
		return 0;
	}
	if (msr < MSR_X2APIC_BASE || msr >= MSR_X2APIC_BASE + 0x100)
		return -1;
	return x2_rdmsr(l, (msr - MSR_X2APIC_BASE) << 4, value);
}

int lapic_wrmsr(struct lapic *l, u32 msr, u64 value)
{
	if (msr == MSR_APIC_BASE)
		return write_base(l, value);
	if (msr == MSR_TSC_DEADLINE) {
		lapic_timer_write_deadline(l, value);
		return 0;
	}
	if (msr < MSR_X2APIC_BASE || msr >= MSR_X2APIC_BASE + 0x100)
		return -1;
	return x2_wrmsr(l, (msr - MSR_X2APIC_BASE) << 4, value);
}

/* --- reset --- */

void lapic_init_ipi(struct lapic *l)
{
	l->tpr = 0;
	l->ldr = 0;
	l->dfr = 0xffffffff;
	l->svr = 0xff;
	memset(l->isr, 0, sizeof(l->isr));
	memset(l->tmr, 0, sizeof(l->tmr));
	memset(l->irr, 0, sizeof(l->irr));
	l->esr = 0;
	l->esr_pending = 0;
	l->icr_low = 0;
	l->icr_high = 0;
	for (unsigned i = 0; i < LVT_COUNT; i++)
		l->lvt[i] = LVT_MASKED;
	l->timer_init = 0;
	l->timer_divide = 0;
	l->timer_from = 0;
	l->timer_start = 0;
	l->tsc_deadline = 0;
	l->nmi_pending = 0;
	l->init_pending = 0;
	l->sipi_pending = 0;
	l->sipi_vector = 0;
	clock_timer_cancel(&l->timer);
}

void lapic_reset(struct lapic *l)
{
	l->base = APIC_BASE_ADDR | APIC_BASE_ENABLE | (l->bsp ? APIC_BASE_BSP : 0);
	l->id = l->initial_id;
	memset(l->lint, 0, sizeof(l->lint));
	lapic_init_ipi(l);
}

void lapic_virtual_wire(struct lapic *l)
{
	l->svr |= SVR_ENABLE;
	l->lvt[LVT_LINT0] = APIC_EXTINT << 8;
	l->lvt[LVT_LINT1] = APIC_NMI << 8;
}

static void device_reset(struct device *dev)
{
	lapic_reset(container_of(dev, struct lapic, dev));
}

/* A checkpoint may come from anywhere: keep what later code takes for granted. */
static void device_loaded(struct device *dev)
{
	struct lapic *l = container_of(dev, struct lapic, dev);

	l->tpr &= 0xff;
	l->timer_divide &= 0xb;
	if (!l->x2apic_allowed)
		l->base &= ~APIC_BASE_X2;
	if (!lapic_x2(l))
		l->id &= 0xff;
	l->lint[0] = !!l->lint[0];
	l->lint[1] = !!l->lint[1];
}

static const struct device_class lapic_class = {
    .name = "lapic",
    .fields = lapic_fields,
    .reset = device_reset,
    .loaded = device_loaded,
};

void lapic_init(struct lapic *l, struct apic_bus *bus, struct clock *clock, const u64 *tsc_offset, u8 id,
		const char *device_id)
{
	*l = (struct lapic){
	    .dev = {.class = &lapic_class, .id = device_id},
	    .bus = bus,
	    .clock = clock,
	    .tsc_offset = tsc_offset,
	    .initial_id = id,
	    .bsp = id == 0,
	};
	clock_timer_init(clock, &l->timer, device_id, lapic_timer_fire, l);
	if (bus->count < LAPIC_MAX)
		bus->lapic[bus->count++] = l;
	lapic_reset(l);
}
