/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Address line 20 on a machine: both gates, what the CPU sees behind them, and a line that is closed in a saved state. */
#include <check.h>
#include <stdlib.h>

#include "tests/unit/rig.h"
#include "vmm/inspect.h"
#include "vmm/machine.h"

static struct machine *make(enum machine_model model)
{
	struct machine_config config = {.ram = 2 << 20, .vcpus = 1, .engine = &soft_engine, .model = model};
	struct error err = {""};
	struct machine *m;

	ck_assert_msg(machine_create(&m, &config, &err) == 0, "%s", err.text);
	return m;
}

static void out(struct machine *m, u16 port, u8 value)
{
	bus_write(&m->pio, port, 1, value);
}

static bool closed(const struct machine *m)
{
	u64 gpa;

	ck_assert_int_eq(inspect_translate(&m->mem, &m->vcpu[0]->regs, 0x100123, &gpa), 0);
	ck_assert_uint_eq(gpa, m->vcpu[0]->regs.a20m ? 0x123 : 0x100123);
	return m->vcpu[0]->regs.a20m;
}

START_TEST(either_gate_opens_it)
{
	struct machine *m = make(MACHINE_PC_2);

	ck_assert(!closed(m));
	out(m, 0x92, 0);
	ck_assert(!closed(m));
	out(m, 0x64, 0xdd);
	ck_assert(closed(m));
	out(m, 0x92, 2);
	ck_assert(!closed(m));
	out(m, 0x92, 0);
	ck_assert(closed(m));
	out(m, 0x64, 0xd1);
	out(m, 0x60, 0xdf);
	ck_assert(!closed(m));
	machine_free(m);
}
END_TEST

START_TEST(older_machines_have_no_gate)
{
	struct machine *m = make(MACHINE_PC_1);

	out(m, 0x92, 0);
	out(m, 0x64, 0xdd);
	ck_assert(!closed(m));
	ck_assert_uint_eq(bus_read(&m->pio, 0x92, 1), 0);
	machine_free(m);
}
END_TEST

/* mov $0xffff, %ax; mov %ax, %ds; mov 0x10, %bl; mov $0xdf, %al; out %al, $0x64; mov 0x10, %bh; hlt */
static const u8 code[] = {0xb8, 0xff, 0xff, 0x8e, 0xd8, 0x8a, 0x1e, 0x10, 0x00,
			  0xb0, 0xdf, 0xe6, 0x64, 0x8a, 0x3e, 0x10, 0x00, 0xf4};

static struct machine *make_program(void)
{
	struct machine *m = make(MACHINE_PC_2);
	struct vcpu *vcpu = m->vcpu[0];
	u8 low = 0x11, high = 0x22;

	memory_write(&m->mem, 0x1000, code, sizeof(code));
	memory_write(&m->mem, 0, &low, 1);
	memory_write(&m->mem, 0x100000, &high, 1);
	vcpu->regs.seg[SEG_CS].selector = 0x100;
	vcpu->regs.seg[SEG_CS].base = 0x1000;
	vcpu->regs.rip = 0;
	soft_engine.regs_changed(vcpu);
	out(m, 0x92, 0);
	out(m, 0x64, 0xdd);
	return m;
}

START_TEST(program_sees_the_line)
{
	struct machine *m = make_program();

	ck_assert_int_eq(machine_run(m, 1000), 0);
	ck_assert_int_eq(m->end, END_HALTED);
	ck_assert_uint_eq(m->vcpu[0]->regs.gpr[RBX] & 0xffff, 0x2211);
	ck_assert(!closed(m));
	machine_free(m);
}
END_TEST

/* Saved with the line closed and its translation in the TLB, loaded where it was open. */
START_TEST(saved_state_has_it)
{
	struct machine *a = make_program(), *b = make_program();
	size_t size = machine_state_size(a), cache;
	u8 *state = malloc(size), *tlb;

	ck_assert_int_eq(machine_run(a, 3), 0);
	machine_state_save(a, state);
	cache = soft_engine.cache_size(a->vcpu[0]);
	tlb = malloc(cache);
	soft_engine.cache_save(a->vcpu[0], tlb);
	ck_assert_int_eq(machine_run(b, 1000), 0);
	ck_assert(!closed(b));
	ck_assert_int_eq(machine_state_load(b, state, size), 0);
	ck_assert(closed(b));
	ck_assert_int_eq(soft_engine.cache_load(b->vcpu[0], tlb, cache), 0);
	ck_assert_uint_eq(soft_engine.cache_size(b->vcpu[0]), cache);
	b->vcpu[0]->regs.gpr[RBX] = 0;
	ck_assert_int_eq(machine_run(b, 1000), 0);
	ck_assert_uint_eq(b->vcpu[0]->regs.gpr[RBX] & 0xffff, 0x2200);
	machine_free(a);
	machine_free(b);
	free(state);
	free(tlb);
}
END_TEST

RIG_MAIN("a20", either_gate_opens_it, older_machines_have_no_gate, program_sees_the_line, saved_state_has_it)
