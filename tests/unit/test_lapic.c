/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Local APIC, against SDM 3A chapter 10. */
#include <check.h>
#include <stdlib.h>

#include "vmm/dev/lapic.h"
#include "vmm/x86/regs.h"

#define CPUS 4

static struct clock clock;
static u64 insns;
static u64 tsc_offset;
static struct apic_bus bus;
static struct lapic cpu[CPUS];
static unsigned changes;
static int eoi_vector;

static void changed(void *opaque)
{
	changes++;
}

static void eoi_broadcast(void *opaque, u8 vector)
{
	eoi_vector = vector;
}

static u32 rd(unsigned n, u64 reg)
{
	return lapic_read(&cpu[n], reg, 4);
}

static void wr(unsigned n, u64 reg, u32 value)
{
	lapic_write(&cpu[n], reg, 4, value);
}

static void setup(void)
{
	clock = (struct clock){.insns = &insns, .next_deadline = CLOCK_NEVER};
	bus = (struct apic_bus){.eoi = eoi_broadcast};
	insns = 1000;
	tsc_offset = 0;
	changes = 0;
	eoi_vector = -1;
	for (unsigned i = 0; i < CPUS; i++) {
		lapic_init(&cpu[i], &bus, &clock, &tsc_offset, i, "lapic");
		cpu[i].changed = changed;
		wr(i, LAPIC_SVR, 0x1ff);
	}
}

static void pass(u64 ns)
{
	u64 end = clock_now(&clock) + ns;

	while (clock.next_deadline <= end) {
		clock_advance(&clock, clock.next_deadline);
		clock_run_timers(&clock);
	}
	clock_advance(&clock, end);
}

static void fixed(unsigned n, u8 vector, bool level)
{
	struct apic_message msg = {.vector = vector, .dest = n, .level = level};

	apic_bus_deliver(&bus, &msg);
}

START_TEST(power_up_state)
{
	lapic_reset(&cpu[0]);
	lapic_reset(&cpu[1]);
	ck_assert_uint_eq(rd(1, LAPIC_ID), 1u << 24);
	ck_assert_uint_eq(rd(0, LAPIC_VER) & 0xff, 0x14);
	ck_assert_uint_eq((rd(0, LAPIC_VER) >> 16 & 0xff) + 1, LVT_COUNT);
	ck_assert_uint_eq(rd(0, LAPIC_DFR), 0xffffffff);
	ck_assert_uint_eq(rd(0, LAPIC_LDR), 0);
	ck_assert_uint_eq(rd(0, LAPIC_SVR), 0xff);
	for (u64 reg = LAPIC_LVT_TIMER; reg <= LAPIC_LVT_ERROR; reg += 0x10)
		ck_assert_uint_eq(rd(0, reg), 0x10000);
	ck_assert_uint_eq(cpu[0].base, 0xfee00900);
	ck_assert_uint_eq(cpu[1].base, 0xfee00800);
	ck_assert_int_eq(lapic_pending(&cpu[0]), -1);
}
END_TEST

START_TEST(access_sizes)
{
	wr(0, LAPIC_TPR, 0x5a);
	ck_assert_uint_eq(lapic_read(&cpu[0], LAPIC_TPR, 1), 0x5a);
	ck_assert_uint_eq(lapic_read(&cpu[0], LAPIC_VER + 2, 1), 5);
	ck_assert_uint_eq(lapic_read(&cpu[0], LAPIC_VER, 8), LAPIC_VERSION);
	ck_assert_uint_eq(lapic_read(&cpu[0], LAPIC_TPR + 4, 4), 0);
	lapic_write(&cpu[0], LAPIC_TPR, 1, 0x10);
	lapic_write(&cpu[0], LAPIC_TPR + 4, 4, 0x10);
	ck_assert_uint_eq(rd(0, LAPIC_TPR), 0x5a);
	lapic_write(&cpu[0], LAPIC_TPR, 8, 0x20);
	ck_assert_uint_eq(rd(0, LAPIC_TPR), 0x20);
}
END_TEST

START_TEST(highest_vector_first_and_nesting)
{
	fixed(0, 0x31, false);
	fixed(0, 0x45, false);
	fixed(0, 0x42, false);
	ck_assert_uint_eq(rd(0, LAPIC_IRR + 0x20), (1u << 5) | (1u << 2));
	ck_assert_int_eq(lapic_pending(&cpu[0]), 0x45);
	ck_assert_int_eq(lapic_ack(&cpu[0]), 0x45);
	ck_assert_uint_eq(rd(0, LAPIC_ISR + 0x20), 1u << 5);
	ck_assert_uint_eq(rd(0, LAPIC_PPR), 0x40);
	/* The same class waits, a higher one doesn't. */
	ck_assert_int_eq(lapic_pending(&cpu[0]), -1);
	fixed(0, 0x50, false);
	ck_assert_int_eq(lapic_ack(&cpu[0]), 0x50);
	wr(0, LAPIC_EOI, 0);
	ck_assert_int_eq(lapic_pending(&cpu[0]), -1);
	wr(0, LAPIC_EOI, 0);
	ck_assert_int_eq(lapic_ack(&cpu[0]), 0x42);
	wr(0, LAPIC_EOI, 0);
	ck_assert_int_eq(lapic_ack(&cpu[0]), 0x31);
	wr(0, LAPIC_EOI, 0);
	ck_assert_int_eq(lapic_pending(&cpu[0]), -1);
	ck_assert_int_eq(lapic_ack(&cpu[0]), 0xff); /* spurious */
	ck_assert_uint_eq(rd(0, LAPIC_ISR + 0x70), 0);
}
END_TEST

START_TEST(task_priority)
{
	fixed(0, 0x45, false);
	wr(0, LAPIC_TPR, 0x40);
	ck_assert_int_eq(lapic_pending(&cpu[0]), -1);
	wr(0, LAPIC_TPR, 0x3f);
	ck_assert_int_eq(lapic_pending(&cpu[0]), 0x45);
	lapic_set_cr8(&cpu[0], 15);
	ck_assert_uint_eq(rd(0, LAPIC_TPR), 0xf0);
	ck_assert_uint_eq(rd(0, LAPIC_PPR), 0xf0);
	ck_assert_int_eq(lapic_pending(&cpu[0]), -1);
	changes = 0;
	lapic_set_cr8(&cpu[0], 3);
	ck_assert_uint_gt(changes, 0);
	ck_assert_uint_eq(lapic_cr8(&cpu[0]), 3);
	ck_assert_int_eq(lapic_pending(&cpu[0]), 0x45);
	/* PPR: TPR's low bits count only while TPR rules. */
	wr(0, LAPIC_TPR, 0x23);
	ck_assert_uint_eq(rd(0, LAPIC_PPR), 0x23);
	lapic_ack(&cpu[0]);
	ck_assert_uint_eq(rd(0, LAPIC_PPR), 0x40);
}
END_TEST

START_TEST(eoi_broadcast_for_level_only)
{
	fixed(0, 0x40, false);
	lapic_ack(&cpu[0]);
	wr(0, LAPIC_EOI, 0);
	ck_assert_int_eq(eoi_vector, -1);
	fixed(0, 0x40, true);
	ck_assert_uint_eq(rd(0, LAPIC_TMR + 0x20), 1);
	lapic_ack(&cpu[0]);
	wr(0, LAPIC_EOI, 0);
	ck_assert_int_eq(eoi_vector, 0x40);
}
END_TEST

START_TEST(software_disable)
{
	wr(0, LAPIC_LVT_TIMER, 0x40);
	fixed(0, 0x50, false);
	wr(0, LAPIC_SVR, 0xff);
	ck_assert_uint_eq(rd(0, LAPIC_LVT_TIMER), 0x10040);
	wr(0, LAPIC_LVT_TIMER, 0x41);
	ck_assert_uint_eq(rd(0, LAPIC_LVT_TIMER), 0x10041);
	fixed(0, 0x60, false);
	ck_assert_int_eq(lapic_pending(&cpu[0]), 0x50); /* held; the new one isn't taken */
	apic_bus_deliver(&bus, &(struct apic_message){.delivery = APIC_NMI, .dest = 0});
	ck_assert_uint_eq(cpu[0].nmi_pending, 1);
}
END_TEST

START_TEST(timer_one_shot)
{
	wr(0, LAPIC_TIMER_DIVIDE, 0xb); /* by 1 */
	wr(0, LAPIC_LVT_TIMER, 0x40);
	wr(0, LAPIC_TIMER_INIT, 5000);
	ck_assert_uint_eq(clock.next_deadline, 6000);
	pass(4999);
	ck_assert_uint_eq(rd(0, LAPIC_TIMER_CURRENT), 1);
	ck_assert_int_eq(lapic_pending(&cpu[0]), -1);
	pass(1);
	ck_assert_uint_eq(rd(0, LAPIC_TIMER_CURRENT), 0);
	ck_assert_int_eq(lapic_ack(&cpu[0]), 0x40);
	ck_assert_uint_eq(clock.next_deadline, CLOCK_NEVER);
	wr(0, LAPIC_EOI, 0);
	pass(100000);
	ck_assert_int_eq(lapic_pending(&cpu[0]), -1);
}
END_TEST

START_TEST(timer_divider)
{
	static const u8 code[] = {0xb, 0, 1, 2, 3, 8, 9, 0xa};

	for (unsigned i = 0; i < ARRAY_SIZE(code); i++) {
		wr(0, LAPIC_TIMER_DIVIDE, code[i]);
		ck_assert_uint_eq(rd(0, LAPIC_TIMER_DIVIDE), code[i]);
		wr(0, LAPIC_TIMER_INIT, 1000);
		pass(100ull << i);
		ck_assert_uint_eq(rd(0, LAPIC_TIMER_CURRENT), 900);
	}
	/* A change while it runs goes on from the count reached. */
	wr(0, LAPIC_TIMER_DIVIDE, 0xb);
	ck_assert_uint_eq(rd(0, LAPIC_TIMER_CURRENT), 900);
	pass(50);
	ck_assert_uint_eq(rd(0, LAPIC_TIMER_CURRENT), 850);
}
END_TEST

START_TEST(timer_periodic)
{
	wr(0, LAPIC_TIMER_DIVIDE, 0xb);
	wr(0, LAPIC_LVT_TIMER, LVT_PERIODIC | 0x40);
	wr(0, LAPIC_TIMER_INIT, 100);
	for (unsigned i = 1; i < 5; i++) {
		ck_assert_uint_eq(clock.next_deadline, 1000 + i * 100);
		pass(100);
		ck_assert_int_eq(lapic_ack(&cpu[0]), 0x40);
		wr(0, LAPIC_EOI, 0);
	}
	/* Masked it counts on and needs no clock timer. */
	wr(0, LAPIC_LVT_TIMER, LVT_PERIODIC | LVT_MASKED | 0x40);
	ck_assert_uint_eq(clock.next_deadline, CLOCK_NEVER);
	pass(130);
	ck_assert_uint_eq(rd(0, LAPIC_TIMER_CURRENT), 70);
	wr(0, LAPIC_LVT_TIMER, LVT_PERIODIC | 0x40);
	ck_assert_uint_eq(clock.next_deadline, clock_now(&clock) + 70);
	wr(0, LAPIC_TIMER_INIT, 0);
	ck_assert_uint_eq(clock.next_deadline, CLOCK_NEVER);
}
END_TEST

START_TEST(timer_tsc_deadline)
{
	u64 value;

	tsc_offset = 7000;
	ck_assert_int_eq(lapic_wrmsr(&cpu[0], MSR_TSC_DEADLINE, 9000), 0);
	lapic_rdmsr(&cpu[0], MSR_TSC_DEADLINE, &value);
	ck_assert_uint_eq(value, 0); /* not in that mode */
	wr(0, LAPIC_LVT_TIMER, LVT_DEADLINE | 0x40);
	wr(0, LAPIC_TIMER_INIT, 5);
	ck_assert_uint_eq(clock.next_deadline, CLOCK_NEVER);
	lapic_wrmsr(&cpu[0], MSR_TSC_DEADLINE, 9000);
	ck_assert_uint_eq(clock.next_deadline, 2000);
	lapic_rdmsr(&cpu[0], MSR_TSC_DEADLINE, &value);
	ck_assert_uint_eq(value, 9000);
	tsc_offset = 7500; /* the TSC was written */
	lapic_tsc_changed(&cpu[0]);
	ck_assert_uint_eq(clock.next_deadline, 1500);
	pass(500);
	ck_assert_int_eq(lapic_ack(&cpu[0]), 0x40);
	lapic_rdmsr(&cpu[0], MSR_TSC_DEADLINE, &value);
	ck_assert_uint_eq(value, 0);
	/* In the past: at once. Zero: off. Another mode: off. */
	lapic_wrmsr(&cpu[0], MSR_TSC_DEADLINE, 1);
	ck_assert_uint_le(clock.next_deadline, clock_now(&clock));
	lapic_wrmsr(&cpu[0], MSR_TSC_DEADLINE, 0);
	ck_assert_uint_eq(clock.next_deadline, CLOCK_NEVER);
	lapic_wrmsr(&cpu[0], MSR_TSC_DEADLINE, ~0ull);
	ck_assert_uint_ge(clock.next_deadline, 1ull << 62);
	wr(0, LAPIC_LVT_TIMER, 0x40);
	ck_assert_uint_eq(clock.next_deadline, CLOCK_NEVER);
}
END_TEST

/* Host clock: time has moved past a deadline within the instruction that rewrites the timer. */
START_TEST(due_interrupt_is_not_lost)
{
	wr(0, LAPIC_TIMER_DIVIDE, 0xb);
	wr(0, LAPIC_LVT_TIMER, 0x40);
	wr(0, LAPIC_TIMER_INIT, 100);
	clock_advance(&clock, clock_now(&clock) + 200);
	wr(0, LAPIC_TIMER_INIT, 1000);
	ck_assert_int_eq(lapic_pending(&cpu[0]), 0x40);
}
END_TEST

static void icr(unsigned n, u32 low, u8 dest)
{
	wr(n, LAPIC_ICR_HIGH, (u32)dest << 24);
	wr(n, LAPIC_ICR_LOW, low);
}

static unsigned who_has(u8 vector)
{
	unsigned map = 0;

	for (unsigned i = 0; i < CPUS; i++)
		map |= (cpu[i].irr[vector / 32] >> (vector % 32) & 1) << i;
	return map;
}

START_TEST(physical_destinations_and_shorthands)
{
	icr(0, 0x4041, 2);
	ck_assert_uint_eq(who_has(0x41), 1u << 2);
	icr(0, 0x4042, 0xff);
	ck_assert_uint_eq(who_has(0x42), 0xf);
	icr(1, 0x44043, 0);
	ck_assert_uint_eq(who_has(0x43), 1u << 1);
	icr(1, 0x84044, 0);
	ck_assert_uint_eq(who_has(0x44), 0xf);
	icr(1, 0xc4045, 0);
	ck_assert_uint_eq(who_has(0x45), 0xd);
	ck_assert_uint_eq(rd(1, LAPIC_ICR_LOW), 0xc4045);
	icr(0, 0x4046, 9);
	ck_assert_uint_eq(who_has(0x46), 0);
}
END_TEST

START_TEST(logical_destinations)
{
	for (unsigned i = 0; i < CPUS; i++)
		wr(i, LAPIC_LDR, 1u << (24 + i));
	icr(0, 0x4841, 0x05);
	ck_assert_uint_eq(who_has(0x41), 5);
	icr(0, 0x4842, 0xff);
	ck_assert_uint_eq(who_has(0x42), 0xf);
	for (unsigned i = 0; i < CPUS; i++) {
		wr(i, LAPIC_DFR, 0x0fffffff);
		wr(i, LAPIC_LDR, (i / 2) << 28 | (1u << (24 + i % 2)));
	}
	icr(0, 0x4843, 0x12);
	ck_assert_uint_eq(who_has(0x43), 1u << 3);
	icr(0, 0x4844, 0x03);
	ck_assert_uint_eq(who_has(0x44), 3);
	icr(0, 0x4845, 0xf1);
	ck_assert_uint_eq(who_has(0x45), 5);
}
END_TEST

START_TEST(lowest_priority)
{
	wr(0, LAPIC_TPR, 0x30);
	wr(1, LAPIC_TPR, 0x10);
	wr(2, LAPIC_TPR, 0x20);
	wr(3, LAPIC_SVR, 0xff);
	icr(0, 0x4141, 0xff);
	ck_assert_uint_eq(who_has(0x41), 1u << 1);
	/* CPU 1 has the vector already: in focus, although busier now. */
	wr(1, LAPIC_TPR, 0x90);
	icr(0, 0x4141, 0xff);
	ck_assert_uint_eq(who_has(0x41), 1u << 1);
	for (unsigned i = 0; i < CPUS; i++)
		wr(i, LAPIC_SVR, rd(i, LAPIC_SVR) | 0x200); /* no focus checking */
	icr(0, 0x4141, 0xff);
	ck_assert_uint_eq(who_has(0x41), (1u << 1) | (1u << 2));
}
END_TEST

START_TEST(init_sipi_nmi)
{
	icr(0, 0xc500, 1); /* level assert */
	ck_assert_uint_eq(cpu[1].init_pending, 1);
	icr(0, 0x8500, 2); /* de-assert: nothing */
	ck_assert_uint_eq(cpu[2].init_pending, 0);
	icr(0, 0x0699, 1);
	ck_assert_uint_eq(cpu[1].sipi_pending, 1);
	ck_assert_uint_eq(cpu[1].sipi_vector, 0x99);
	icr(0, 0x4400, 3);
	ck_assert_uint_eq(cpu[3].nmi_pending, 1);
	cpu[1].id = 7;
	lapic_init_ipi(&cpu[1]);
	ck_assert_uint_eq(rd(1, LAPIC_ID), 7u << 24); /* INIT keeps the ID */
	ck_assert_uint_eq(rd(1, LAPIC_SVR), 0xff);
}
END_TEST

START_TEST(errors)
{
	wr(0, LAPIC_LVT_ERROR, 0xfe);
	icr(0, 0x4005, 1);
	ck_assert_uint_eq(rd(0, LAPIC_ESR), 0); /* shows what was gathered up to the last write */
	wr(0, LAPIC_ESR, 0);
	ck_assert_uint_eq(rd(0, LAPIC_ESR), ESR_SEND_ILLEGAL);
	ck_assert_int_eq(lapic_ack(&cpu[0]), 0xfe);
	rd(0, 0x40);
	fixed(0, 3, false);
	wr(0, LAPIC_ESR, 0);
	ck_assert_uint_eq(rd(0, LAPIC_ESR), ESR_REGISTER | ESR_RECV_ILLEGAL);
	wr(0, LAPIC_ESR, 0);
	ck_assert_uint_eq(rd(0, LAPIC_ESR), 0);
	/* An illegal vector in the error entry itself ends there. */
	wr(0, LAPIC_LVT_ERROR, 3);
	wr(0, 0x3d0, 1);
	wr(0, LAPIC_ESR, 0);
	ck_assert_uint_eq(rd(0, LAPIC_ESR), ESR_REGISTER | ESR_RECV_ILLEGAL);
}
END_TEST

START_TEST(virtual_wire)
{
	lapic_reset(&cpu[0]);
	lapic_virtual_wire(&cpu[0]);
	ck_assert(lapic_accepts_extint(&cpu[0]));
	lapic_set_lint(&cpu[0], 0, true);
	ck_assert_int_eq(lapic_pending(&cpu[0]), LAPIC_EXTINT);
	wr(0, LAPIC_TPR, 0xff); /* no priority for it */
	ck_assert_int_eq(lapic_pending(&cpu[0]), LAPIC_EXTINT);
	wr(0, LAPIC_LVT_LINT0, LVT_MASKED | APIC_EXTINT << 8);
	ck_assert_int_eq(lapic_pending(&cpu[0]), -1);
	lapic_wrmsr(&cpu[0], MSR_APIC_BASE, APIC_BASE_ADDR); /* APIC off: LINT0 is the INTR pin */
	ck_assert_int_eq(lapic_pending(&cpu[0]), LAPIC_EXTINT);
	lapic_set_lint(&cpu[0], 0, false);
	ck_assert_int_eq(lapic_pending(&cpu[0]), -1);
}
END_TEST

START_TEST(lint_modes)
{
	wr(0, LAPIC_LVT_LINT1, APIC_NMI << 8);
	lapic_set_lint(&cpu[0], 1, true);
	ck_assert_uint_eq(cpu[0].nmi_pending, 1);
	cpu[0].nmi_pending = 0;
	lapic_set_lint(&cpu[0], 1, true); /* an edge, not a level */
	ck_assert_uint_eq(cpu[0].nmi_pending, 0);

	wr(0, LAPIC_LVT_LINT0, LVT_LEVEL | 0x40);
	lapic_set_lint(&cpu[0], 0, true);
	ck_assert_uint_eq(rd(0, LAPIC_LVT_LINT0), LVT_LEVEL | LVT_REMOTE_IRR | 0x40);
	ck_assert_int_eq(lapic_ack(&cpu[0]), 0x40);
	ck_assert_int_eq(lapic_pending(&cpu[0]), -1);
	wr(0, LAPIC_EOI, 0);
	ck_assert_int_eq(lapic_ack(&cpu[0]), 0x40); /* still asserted */
	lapic_set_lint(&cpu[0], 0, false);
	wr(0, LAPIC_EOI, 0);
	ck_assert_int_eq(lapic_pending(&cpu[0]), -1);
	ck_assert_uint_eq(rd(0, LAPIC_LVT_LINT0), LVT_LEVEL | 0x40);
}
END_TEST

START_TEST(base_msr)
{
	u64 value;

	ck_assert_int_eq(lapic_rdmsr(&cpu[0], MSR_APIC_BASE, &value), 0);
	ck_assert_uint_eq(value, 0xfee00900);
	ck_assert_int_eq(lapic_wrmsr(&cpu[0], MSR_APIC_BASE, 0xfee00d00), -1); /* x2APIC isn't offered */
	ck_assert_int_eq(lapic_wrmsr(&cpu[0], MSR_APIC_BASE, 0xfee00901), -1); /* reserved */
	ck_assert_int_eq(lapic_wrmsr(&cpu[0], MSR_APIC_BASE, BIT(40) | 0x900), -1);
	ck_assert_int_eq(lapic_wrmsr(&cpu[0], MSR_APIC_BASE, 0xd0000800), 0);
	ck_assert_uint_eq(lapic_page(&cpu[0]), 0xd0000000);
	lapic_rdmsr(&cpu[0], MSR_APIC_BASE, &value);
	ck_assert_uint_eq(value, 0xd0000900); /* the BSP stays the BSP */
	wr(0, LAPIC_TPR, 0x50);
	lapic_wrmsr(&cpu[0], MSR_APIC_BASE, 0xd0000000);
	ck_assert(!lapic_enabled(&cpu[0]));
	fixed(0, 0x70, false);
	lapic_wrmsr(&cpu[0], MSR_APIC_BASE, 0xd0000800);
	ck_assert_int_eq(lapic_pending(&cpu[0]), -1);
	ck_assert_uint_eq(rd(0, LAPIC_TPR), 0);
	ck_assert_uint_eq(rd(0, LAPIC_SVR), 0xff);
}
END_TEST

START_TEST(x2apic)
{
	u64 value;

	ck_assert_int_eq(lapic_rdmsr(&cpu[1], 0x802, &value), -1);
	for (unsigned i = 0; i < CPUS; i++) {
		cpu[i].x2apic_allowed = true;
		ck_assert_int_eq(lapic_wrmsr(&cpu[i], MSR_APIC_BASE, 0xfee00c00), 0);
	}
	ck_assert_int_eq(lapic_wrmsr(&cpu[1], MSR_APIC_BASE, 0xfee00800), -1); /* only through disabled */
	ck_assert_int_eq(lapic_rdmsr(&cpu[1], 0x802, &value), 0);
	ck_assert_uint_eq(value, 1);
	lapic_rdmsr(&cpu[2], 0x80d, &value);
	ck_assert_uint_eq(value, 4);                               /* cluster 0, bit 2 */
	ck_assert_int_eq(lapic_rdmsr(&cpu[1], 0x80e, &value), -1); /* no DFR */
	ck_assert_int_eq(lapic_wrmsr(&cpu[1], 0x80b, 1), -1);
	ck_assert_int_eq(lapic_wrmsr(&cpu[1], 0x80b, 0), 0);
	ck_assert_int_eq(lapic_wrmsr(&cpu[1], 0x803, 0), -1); /* version: read-only */
	ck_assert_int_eq(lapic_wrmsr(&cpu[1], 0x808, 0x100), -1);
	ck_assert_int_eq(lapic_wrmsr(&cpu[0], 0x830, 3ull << 32 | 0x41), 0);
	ck_assert_uint_eq(who_has(0x41), 1u << 3);
	lapic_wrmsr(&cpu[0], 0x830, 0xffffffffull << 32 | 0x42);
	ck_assert_uint_eq(who_has(0x42), 0xf);
	lapic_wrmsr(&cpu[0], 0x830, 6ull << 32 | 0x843); /* logical: 1 and 2 */
	ck_assert_uint_eq(who_has(0x43), 6);
	ck_assert_int_eq(lapic_wrmsr(&cpu[2], 0x83f, 0x55), 0);
	ck_assert_uint_eq(who_has(0x55), 4);
	ck_assert_uint_eq(lapic_read(&cpu[0], LAPIC_VER, 4), 0xffffffff); /* no MMIO */
	/* Reserved bits are refused register by register. */
	ck_assert_int_eq(lapic_wrmsr(&cpu[2], 0x80f, 0x3ff), 0);
	ck_assert_int_eq(lapic_wrmsr(&cpu[2], 0x80f, 0x1400), -1);
	ck_assert_int_eq(lapic_wrmsr(&cpu[2], 0x832, 0x70050), 0);
	ck_assert_int_eq(lapic_wrmsr(&cpu[2], 0x832, 0x80050), -1);
	ck_assert_int_eq(lapic_wrmsr(&cpu[2], 0x838, 0xffffffff), 0);
	ck_assert_int_eq(lapic_wrmsr(&cpu[2], 0x838, 1ull << 32), -1);
	ck_assert_int_eq(lapic_wrmsr(&cpu[2], 0x83e, 0xb), 0);
	ck_assert_int_eq(lapic_wrmsr(&cpu[2], 0x83e, 0x4), -1);
	ck_assert_int_eq(lapic_wrmsr(&cpu[2], 0x83f, 5), 0); /* a vector that can't be: an error */
	ck_assert_int_eq(lapic_wrmsr(&cpu[2], 0x828, 0), 0);
	lapic_rdmsr(&cpu[2], 0x828, &value);
	ck_assert_uint_eq(value, ESR_SEND_ILLEGAL);
	ck_assert_int_eq(lapic_rdmsr(&cpu[2], 0x900, &value), -1);
	ck_assert_int_eq(lapic_wrmsr(&cpu[2], 0x900, 0), -1);
}
END_TEST

START_TEST(lint_init)
{
	wr(0, LAPIC_SVR, 0x1ff);
	wr(0, LAPIC_LVT_LINT1, APIC_INIT << 8);
	lapic_set_lint(&cpu[0], 1, true);
	ck_assert_uint_eq(cpu[0].init_pending, 1);
	cpu[0].init_pending = 0;
	lapic_set_lint(&cpu[0], 1, false);
	wr(0, LAPIC_LVT_LINT1, APIC_SMI << 8); /* there is no SMM */
	lapic_set_lint(&cpu[0], 1, true);
	ck_assert_uint_eq(cpu[0].init_pending | cpu[0].nmi_pending, 0);
	/* A level that stands when its entry is opened is delivered. */
	wr(0, LAPIC_LVT_LINT1, LVT_LEVEL | 0x61);
	ck_assert_int_eq(lapic_pending(&cpu[0]), 0x61);
}
END_TEST

START_TEST(state_survives)
{
	u8 buf[1024], again[1024];
	size_t size = state_size(cpu[0].dev.class->fields);

	ck_assert_uint_le(size, sizeof(buf));
	wr(0, LAPIC_TIMER_DIVIDE, 0xb);
	wr(0, LAPIC_LVT_TIMER, LVT_PERIODIC | 0x40);
	wr(0, LAPIC_TIMER_INIT, 100);
	fixed(0, 0x77, true);
	state_save(cpu[0].dev.class->fields, &cpu[0], buf);
	lapic_reset(&cpu[0]);
	ck_assert_int_eq(state_load(cpu[0].dev.class->fields, &cpu[0], buf, size), 0);
	cpu[0].dev.class->loaded(&cpu[0].dev);
	state_save(cpu[0].dev.class->fields, &cpu[0], again);
	ck_assert_mem_eq(buf, again, size);
	ck_assert_int_eq(lapic_pending(&cpu[0]), 0x77);
	ck_assert_uint_eq(clock.next_deadline, 1100);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    power_up_state,
	    access_sizes,
	    highest_vector_first_and_nesting,
	    task_priority,
	    eoi_broadcast_for_level_only,
	    software_disable,
	    timer_one_shot,
	    timer_divider,
	    timer_periodic,
	    timer_tsc_deadline,
	    due_interrupt_is_not_lost,
	    physical_destinations_and_shorthands,
	    logical_destinations,
	    lowest_priority,
	    init_sipi_nmi,
	    errors,
	    virtual_wire,
	    lint_modes,
	    base_msr,
	    x2apic,
	    lint_init,
	    state_survives,
	};
	Suite *s = suite_create("lapic");
	TCase *t = tcase_create("lapic");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(tests); i++)
		tcase_add_test(t, tests[i]);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
