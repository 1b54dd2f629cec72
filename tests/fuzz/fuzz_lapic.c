/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Local APICs: registers, MSRs, pins, messages, time, and states from a hostile checkpoint. */
#include <stdlib.h>

#include "vmm/dev/lapic.h"

#define CPUS 3

static struct clock clock;
static u64 insns, tsc_offset;
static struct apic_bus bus;
static struct lapic cpu[CPUS];

static void pass(u64 ns)
{
	u64 end = clock_now(&clock) + ns;

	for (unsigned i = 0; i < 16 && clock.next_deadline <= end; i++) {
		clock_advance(&clock, clock.next_deadline);
		clock_run_timers(&clock);
	}
	clock_advance(&clock, end);
	clock_run_timers(&clock);
}

/* What is offered can be taken, and is a legal vector. */
static void take(struct lapic *l)
{
	int vector = lapic_pending(l);

	if (vector < 0 || vector == LAPIC_EXTINT)
		return;
	if (vector < 16 || vector > 255 || lapic_ack(l) != vector)
		abort();
	if (lapic_pending(l) >= 0 && lapic_pending(l) != LAPIC_EXTINT && lapic_pending(l) >> 4 <= vector >> 4)
		abort();
}

/* Loading the rest of the input as state, and saving it again. */
static void load(struct lapic *l, const u8 *data, size_t len)
{
	u8 state[512] = {0};
	size_t size = state_size(l->dev.class->fields);

	if (size > sizeof(state))
		abort();
	memcpy(state, data, len < size ? len : size);
	if (state_load(l->dev.class->fields, l, state, size))
		abort();
	l->dev.class->loaded(&l->dev);
	state_save(l->dev.class->fields, l, state);
}

static void step(struct lapic *l, const u8 *p)
{
	u64 value = load64(p + 4), out;
	unsigned size = 1u << (p[1] >> 4 & 3);

	switch (p[0] % 10) {
	case 0:
		lapic_read(l, load16(p + 2) & 0xfff, size);
		break;
	case 1:
	case 2:
		lapic_write(l, (load16(p + 2) & 0xff) << 4, 4, value);
		break;
	case 3:
		lapic_write(l, load16(p + 2) & 0xfff, size, value);
		break;
	case 4:
		lapic_rdmsr(l, p[2] & 1 ? 0x800 + p[3] : p[3] & 1 ? 0x1b : 0x6e0, &out);
		break;
	case 5:
		lapic_wrmsr(l, p[2] & 1 ? 0x800 + p[3] : p[3] & 1 ? 0x1b : 0x6e0, value);
		break;
	case 6:
		lapic_set_lint(l, p[2] & 1, p[2] & 2);
		break;
	case 7:
		pass(value & 0xffffffff);
		break;
	case 8:
		take(l);
		break;
	case 9:
		tsc_offset = value;
		lapic_tsc_changed(l);
		lapic_set_cr8(l, p[2]);
		break;
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t len);
int LLVMFuzzerTestOneInput(const u8 *data, size_t len)
{
	clock = (struct clock){.insns = &insns, .next_deadline = CLOCK_NEVER};
	bus = (struct apic_bus){0};
	tsc_offset = 0;
	for (unsigned i = 0; i < CPUS; i++) {
		lapic_init(&cpu[i], &bus, &clock, &tsc_offset, i, "lapic");
		cpu[i].x2apic_allowed = len && data[0] & 1;
		lapic_virtual_wire(&cpu[i]);
	}
	if (len && data[0] & 2)
		load(&cpu[1], data + 1, len - 1);
	for (size_t i = 1; i + 12 <= len; i += 12)
		step(&cpu[data[i + 1] % CPUS], data + i);
	return 0;
}
