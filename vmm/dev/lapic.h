/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Local APIC, one per vCPU (SDM 3A chapter 10), and the bus on which local APICs and the IO-APIC exchange messages.
 *
 * xAPIC by default: 32-bit registers at 16-byte steps in the page that IA32_APIC_BASE names. Registers must be accessed
 * by aligned 32-bit loads and stores; narrower reads inside the low four bytes give those bytes, 64-bit accesses act
 * on the low half, anything else reads as zero and is dropped when written. x2APIC register access is complete but can
 * be switched on by the guest only when x2apic_allowed is set.
 *
 * The timer counts at LAPIC_TIMER_HZ before the divider: the crystal clock that CPUID leaf 15h names. */
#ifndef VMM_DEV_LAPIC_H
#define VMM_DEV_LAPIC_H

#include "vmm/clock.h"
#include "vmm/device.h"
#include "vmm/types.h"

#define LAPIC_TIMER_HZ CLOCK_HZ
#define LAPIC_MAX      16
#define LAPIC_EXTINT   256     /* lapic_pending(): the 8259A has the vector */
#define LAPIC_VERSION  0x50014 /* integrated APIC, 6 LVT entries, no EOI-broadcast suppression */

/* Register offsets in the MMIO page; an x2APIC MSR is 800h + offset / 16. */
enum lapic_reg {
	LAPIC_ID = 0x20,
	LAPIC_VER = 0x30,
	LAPIC_TPR = 0x80,
	LAPIC_APR = 0x90,
	LAPIC_PPR = 0xa0,
	LAPIC_EOI = 0xb0,
	LAPIC_RRD = 0xc0,
	LAPIC_LDR = 0xd0,
	LAPIC_DFR = 0xe0,
	LAPIC_SVR = 0xf0,
	LAPIC_ISR = 0x100,
	LAPIC_TMR = 0x180,
	LAPIC_IRR = 0x200,
	LAPIC_ESR = 0x280,
	LAPIC_ICR_LOW = 0x300,
	LAPIC_ICR_HIGH = 0x310,
	LAPIC_LVT_TIMER = 0x320,
	LAPIC_LVT_THERMAL = 0x330,
	LAPIC_LVT_PERF = 0x340,
	LAPIC_LVT_LINT0 = 0x350,
	LAPIC_LVT_LINT1 = 0x360,
	LAPIC_LVT_ERROR = 0x370,
	LAPIC_TIMER_INIT = 0x380,
	LAPIC_TIMER_CURRENT = 0x390,
	LAPIC_TIMER_DIVIDE = 0x3e0,
	LAPIC_SELF_IPI = 0x3f0, /* x2APIC only */
};

enum lapic_lvt { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };

#define LVT_MASKED     BIT(16)
#define LVT_LEVEL      BIT(15)
#define LVT_REMOTE_IRR BIT(14)
#define LVT_TIMER_MODE (3u << 17)
#define LVT_ONESHOT    (0u << 17)
#define LVT_PERIODIC   (1u << 17)
#define LVT_DEADLINE   (2u << 17)
#define SVR_ENABLE     BIT(8)

/* Delivery modes of ICR, LVT and redirection entries (bits 10:8). */
enum apic_delivery {
	APIC_FIXED = 0,
	APIC_LOWEST = 1,
	APIC_SMI = 2,
	APIC_NMI = 4,
	APIC_INIT = 5,
	APIC_STARTUP = 6,
	APIC_EXTINT = 7,
};

/* Error status register. */
#define ESR_SEND_ILLEGAL BIT(5)
#define ESR_RECV_ILLEGAL BIT(6)
#define ESR_REGISTER     BIT(7)

struct apic_message {
	u8 vector;
	u8 delivery; /* enum apic_delivery */
	bool logical;
	bool level;     /* trigger mode */
	bool broadcast; /* to all: @dest has no meaning */
	u32 dest;       /* APIC ID or logical destination; xAPIC: 8 bits */
};

struct lapic;

/* All APICs of one machine. [H] */
struct apic_bus {
	struct lapic *lapic[LAPIC_MAX];
	unsigned count;
	void (*eoi)(void *opaque, u8 vector); /* EOI of a level-triggered interrupt, to the IO-APICs */
	void *eoi_opaque;
};

struct lapic {
	struct device dev;
	struct apic_bus *bus;          /* [H] */
	struct clock *clock;           /* [H] */
	const u64 *tsc_offset;         /* [H] guest TSC - clock */
	void (*changed)(void *opaque); /* [H] something may be pending now: look again at the next boundary */
	void *changed_opaque;          /* [H] */
	bool bsp;                      /* [H] the bootstrap processor's */
	bool x2apic_allowed;           /* [H] the CPU model offers x2APIC */
	u8 initial_id;                 /* [H] */
	u64 base;                      /* [S] IA32_APIC_BASE */
	u32 id;                        /* [S] */
	u32 tpr, ldr, dfr, svr;        /* [S] ldr: bits 31:24; dfr: as read */
	u32 isr[8], tmr[8], irr[8];    /* [S] */
	u32 esr, esr_pending;          /* [S] as read; gathered since the last write */
	u32 icr_low, icr_high;         /* [S] */
	u32 lvt[LVT_COUNT];            /* [S] */
	u32 timer_init, timer_divide;  /* [S] */
	u32 timer_from;                /* [S] the count at timer_start */
	u64 timer_start;               /* [S] ns of guest time at which the count was timer_from */
	u64 tsc_deadline;              /* [S] IA32_TSC_DEADLINE, 0: disarmed */
	u8 lint[2];                    /* [S] levels of the pins */
	u8 nmi_pending, init_pending;  /* [S] */
	u8 sipi_pending, sipi_vector;  /* [S] */
	struct clock_timer timer;      /* [S] */
};

/* Makes a local APIC in reset state and puts it on @bus. */
void lapic_init(struct lapic *l, struct apic_bus *bus, struct clock *clock, const u64 *tsc_offset, u8 id,
		const char *device_id);
/* Power-up (SDM 3A 10.4.7.1). */
void lapic_reset(struct lapic *l);
/* The same as INIT leaves it: APIC ID and IA32_APIC_BASE are kept (10.4.7.3). */
void lapic_init_ipi(struct lapic *l);
/* What firmware does to the BSP: enables the APIC, LINT0 = ExtINT, LINT1 = NMI. */
void lapic_virtual_wire(struct lapic *l);

/* The vector that could be delivered now, whatever RFLAGS.IF says; LAPIC_EXTINT; or -1. */
int lapic_pending(const struct lapic *l);
/* Takes the interrupt (not LAPIC_EXTINT): moves it from IRR to ISR. The spurious vector when there is none. */
int lapic_ack(struct lapic *l);
/* Whether the 8259A's output reaches the processor through LINT0 (always, when the APIC is disabled by its MSR). */
bool lapic_accepts_extint(const struct lapic *l);

/* The LINT0 and LINT1 pins. */
void lapic_set_lint(struct lapic *l, unsigned pin, bool level);

/* Sends to all addressed local APICs; whether any took it. */
bool apic_bus_deliver(struct apic_bus *bus, const struct apic_message *msg);

/* MMIO, @offset in the page. */
u64 lapic_read(struct lapic *l, u64 offset, unsigned size);
void lapic_write(struct lapic *l, u64 offset, unsigned size, u64 value);
/* Whether an access at @offset depends on the clock. */
bool lapic_timed(u64 offset);

/* CR8 is TPR bits 7:4. */
u64 lapic_cr8(const struct lapic *l);
void lapic_set_cr8(struct lapic *l, u64 value);

/* MSRs: IA32_APIC_BASE, IA32_TSC_DEADLINE and the x2APIC range. -1: #GP(0). */
int lapic_rdmsr(struct lapic *l, u32 msr, u64 *value);
int lapic_wrmsr(struct lapic *l, u32 msr, u64 value);
/* After *tsc_offset was changed. */
void lapic_tsc_changed(struct lapic *l);

/* --- between lapic.c, lapic_bus.c and lapic_timer.c --- */

void lapic_changed(struct lapic *l);
void lapic_error(struct lapic *l, u32 esr_bit);
/* A fixed or lowest-priority interrupt arrives; false when the APIC doesn't take it. */
bool lapic_accept(struct lapic *l, u8 vector, bool level);
void lapic_lvt_deliver(struct lapic *l, enum lapic_lvt which);
u32 lapic_apr(const struct lapic *l);
/* Carries out the ICR. @dest as the mode has it. */
void lapic_send_ipi(struct lapic *l, u32 icr_low, u32 dest);
u32 lapic_timer_current(const struct lapic *l);
void lapic_timer_write_init(struct lapic *l, u32 value);
void lapic_timer_write_divide(struct lapic *l, u32 value);
void lapic_timer_write_lvt(struct lapic *l, u32 value);
void lapic_timer_write_deadline(struct lapic *l, u64 value);
/* Fires a due timer that has not fired yet: before anything that would rearm it. */
void lapic_timer_sync(struct lapic *l);
void lapic_timer_rearm(struct lapic *l);
void lapic_timer_fire(void *opaque);

static inline bool lapic_x2(const struct lapic *l)
{
	return l->base & BIT(10);
}

static inline bool lapic_enabled(const struct lapic *l)
{
	return l->base & BIT(11);
}

static inline u64 lapic_page(const struct lapic *l)
{
	return l->base & ~0xfffull;
}

#endif
