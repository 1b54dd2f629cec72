/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The machine's loop, on an engine made for the test: its "instructions" are entries of a table, its state is in the
 * ordinary registers. What is proved: what a guest sees does not depend on where runs are cut. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "vmm/machine.h"
#include "vmm/pc/chips.h"

/* --- the engine --- */

enum op { NOP, JMP, LOOP, OUT, IN, STORE, LOAD, HLT, STI, CLI, IRET, TSC, WRMSR, RDMSR, CR8, FAULT };

struct insn {
	enum op op;
	u64 addr;  /* port, address, MSR; JMP and LOOP: index */
	u64 value; /* OUT, STORE, WRMSR, CR8 */
	unsigned size;
};

static const struct insn *program;
static u64 handler; /* index of the interrupt handler */

/* The stack is R8 up: depth in RSP. */
static void push(struct vcpu *v, u64 value)
{
	v->regs.gpr[R8 + v->regs.gpr[RSP]++ % 8] = value;
}

static u64 pop(struct vcpu *v)
{
	return v->regs.gpr[R8 + --v->regs.gpr[RSP] % 8];
}

static void mix(struct vcpu *v, u64 value)
{
	v->regs.gpr[RAX] = (v->regs.gpr[RAX] ^ value) * 0x9e3779b97f4a7c15ull;
}

static void device_op(struct vcpu *v, const struct insn *i)
{
	u64 value = 0;

	switch (i->op) {
	case OUT:
	case STORE:
		v->ops->io_write(v, i->op == OUT ? IO_PORT : IO_MMIO, i->addr, i->size, i->value);
		break;
	case IN:
	case LOAD:
		mix(v, v->ops->io_read(v, i->op == IN ? IO_PORT : IO_MMIO, i->addr, i->size));
		break;
	case TSC:
		v->regs.gpr[RBX] = v->ops->tsc(v);
		mix(v, v->regs.gpr[RBX]);
		break;
	case WRMSR:
		v->regs.gpr[RDX] = v->ops->wrmsr(v, i->addr, i->value);
		break;
	case RDMSR:
		v->regs.gpr[RDX] = v->ops->rdmsr(v, i->addr, &value);
		mix(v, value);
		break;
	case CR8:
		v->ops->set_cr8(v, i->value);
		mix(v, v->ops->cr8(v));
		break;
	default:
		break;
	}
}

static void execute(struct vcpu *v)
{
	const struct insn *i = &program[v->regs.rip];
	u64 next = v->regs.rip + 1;

	v->regs.interruptibility &= ~BLOCK_STI;
	switch (i->op) {
	case JMP:
		next = i->addr;
		break;
	case LOOP:
		if (v->regs.gpr[RCX]++ < i->value)
			next = i->addr;
		else
			v->regs.gpr[RCX] = 0;
		break;
	case HLT:
		v->regs.activity = ACTIVITY_HLT;
		break;
	case STI:
		if (!(v->regs.rflags & RFLAGS_IF))
			v->regs.interruptibility |= BLOCK_STI;
		v->regs.rflags |= RFLAGS_IF;
		break;
	case CLI:
		v->regs.rflags &= ~RFLAGS_IF;
		break;
	case IRET:
		v->regs.rflags = pop(v);
		next = pop(v);
		v->regs.interruptibility &= ~BLOCK_NMI;
		break;
	default:
		device_op(v, i);
	}
	v->regs.rip = next;
	v->insns++;
}

static enum exit_reason fake_run(struct vcpu *v, u64 until)
{
	while (v->insns < until) {
		if (v->kick)
			return EXIT_KICKED;
		if (v->regs.activity == ACTIVITY_HLT)
			return EXIT_HLT;
		if (v->want_window && vcpu_can_inject(v))
			return EXIT_WINDOW;
		if (program[v->regs.rip].op == FAULT)
			return EXIT_SHUTDOWN;
		execute(v);
	}
	return EXIT_POSITION;
}

static void fake_inject(struct vcpu *v, enum irq_kind kind, u8 vector)
{
	push(v, v->regs.rip);
	push(v, v->regs.rflags);
	v->regs.rflags &= ~RFLAGS_IF;
	v->regs.activity = ACTIVITY_ACTIVE;
	if (kind == IRQ_NMI)
		v->regs.interruptibility |= BLOCK_NMI;
	v->regs.rip = handler;
	mix(v, vector);
}

static int fake_create(struct machine *m, unsigned id, struct vcpu **out, struct error *err)
{
	struct vcpu *v = calloc(1, sizeof(*v));

	ck_assert_ptr_nonnull(v);
	x86_state_reset(&v->regs);
	memset(v->regs.gpr, 0, sizeof(v->regs.gpr));
	v->regs.rip = 0;
	*out = v;
	return 0;
}

static void fake_free(struct vcpu *v)
{
	free(v);
}

static const struct engine_ops fake_engine = {
    .name = "fake",
    .exact_insns = true,
    .vcpu_create = fake_create,
    .vcpu_free = fake_free,
    .run = fake_run,
    .inject = fake_inject,
};

/* --- a nondet that writes down what passes --- */

#define LOG_MAX 4096

struct log {
	struct machine *m;
	struct {
		u64 position, now, rip;
		u8 kind, vector;
	} irq[LOG_MAX];
	unsigned nr_irqs;
	u64 stop_every; /* next_stop: multiples of it; 0: never */
	u64 stop;
	unsigned boundaries, idles;
	u64 host; /* clock_sample */
	int boundary_result;
};

static struct log logs[2];

static u64 log_io_read(void *ctx, struct vcpu *v, enum io_space space, u64 addr, unsigned size, u64 modelled)
{
	return modelled;
}

static void log_io_write(void *ctx, struct vcpu *v, enum io_space space, u64 addr, unsigned size, u64 value)
{
}

static u64 log_sample(void *ctx, struct vcpu *v)
{
	struct log *log = ctx;

	return log->host += 1000;
}

static void log_interrupt(void *ctx, struct vcpu *v, enum irq_kind kind, u8 vector)
{
	struct log *log = ctx;

	if (log->nr_irqs == LOG_MAX)
		return;
	log->irq[log->nr_irqs].position = v->insns;
	log->irq[log->nr_irqs].now = clock_now(&v->machine->clock);
	log->irq[log->nr_irqs].rip = v->regs.rip;
	log->irq[log->nr_irqs].kind = kind;
	log->irq[log->nr_irqs++].vector = vector;
}

static u64 log_next_stop(void *ctx)
{
	struct log *log = ctx;

	return log->stop_every ? log->stop : ~0ull;
}

static int log_boundary(void *ctx, struct machine *m)
{
	struct log *log = ctx;

	log->boundaries++;
	while (log->stop_every && log->stop <= machine_position(m))
		log->stop += log->stop_every;
	return log->boundary_result;
}

static int log_idle(void *ctx, struct machine *m, u64 deadline)
{
	struct log *log = ctx;

	log->idles++;
	if (m->clock.mode == CLOCK_VIRTUAL || deadline == CLOCK_NEVER)
		return 1;
	clock_advance(&m->clock, deadline);
	return 0;
}

static const struct nondet_ops log_ops = {
    .io_read = log_io_read,
    .io_write = log_io_write,
    .clock_sample = log_sample,
    .interrupt = log_interrupt,
    .next_stop = log_next_stop,
    .boundary = log_boundary,
    .idle = log_idle,
};

/* --- helpers --- */

static struct machine *make(const struct insn *insns, u64 at, enum clock_mode mode, struct log *log)
{
	struct machine_config config = {.ram = 2 << 20, .vcpus = 1, .clock = mode, .engine = &fake_engine};
	struct error err = {""};
	struct machine *m;

	program = insns;
	handler = at;
	ck_assert_msg(machine_create(&m, &config, &err) == 0, "%s", err.text);
	memset(log, 0, sizeof(*log));
	log->m = m;
	m->nondet = (struct nondet){&log_ops, log};
	return m;
}

#define LAPIC(reg) 0xfee00000ull + (reg)
#define MASTER_EOI                 \
	{                          \
		OUT, 0x20, 0x20, 1 \
	}
#define QUIET_PIC                  \
	{                          \
		OUT, 0x21, 0xff, 1 \
	}
#define LAPIC_STORE(reg, value)             \
	{                                   \
		STORE, LAPIC(reg), value, 4 \
	}

/* PIT, LAPIC timer and TSC deadline users, with reads of all clocks, cli/sti windows, and HLT. */
static const struct insn busy[] = {
    {OUT, 0x43, 0x34, 1}, /* PIT: mode 2, 0x400 ticks */
    {OUT, 0x40, 0x00, 1},
    {OUT, 0x40, 0x04, 1},
    {OUT, 0x21, 0xfe, 1},
    LAPIC_STORE(LAPIC_TIMER_DIVIDE, 0xb),
    LAPIC_STORE(LAPIC_LVT_TIMER, LVT_PERIODIC | 0x40),
    LAPIC_STORE(LAPIC_TIMER_INIT, 7777),
    {OUT, 0x602, 1, 2}, /* PM timer SCI, never comes in this run */
    {STI, 0, 0, 0},
    /* 9: loop */
    {NOP, 0, 0, 0},
    {IN, 0x40, 0, 1},
    {LOAD, LAPIC(LAPIC_TIMER_CURRENT), 0, 4},
    {TSC, 0, 0, 0},
    {IN, 0x608, 0, 4},
    {LOOP, 9, 300, 0},
    {CLI, 0, 0, 0},
    {NOP, 0, 0, 0},
    {LOOP, 16, 400, 0},
    {STI, 0, 0, 0},
    {CR8, 0, 5, 0}, /* holds 40h back */
    {NOP, 0, 0, 0},
    {LOOP, 20, 900, 0},
    {CR8, 0, 0, 0},
    {HLT, 0, 0, 0},
    {JMP, 9, 0, 0},
    /* 25: handler */
    {IN, 0x61, 0, 1},
    MASTER_EOI,
    LAPIC_STORE(LAPIC_EOI, 0),
    {IRET, 0, 0, 0},
};
#define BUSY_HANDLER 25

/* Runs @m to @end in slices of @slice. */
static void run_sliced(struct machine *m, u64 end, u64 slice)
{
	while (machine_position(m) < end && !m->end)
		ck_assert_int_eq(machine_run(m, min64(end, machine_position(m) + slice)), 0);
}

static void expect_same(struct machine *a, struct machine *b)
{
	size_t size = machine_state_size(a);
	u8 *sa = malloc(size), *sb = malloc(size);

	ck_assert_uint_eq(size, machine_state_size(b));
	ck_assert_uint_eq(machine_state_save(a, sa), size);
	ck_assert_uint_eq(machine_state_save(b, sb), size);
	ck_assert_mem_eq(sa, sb, size);
	ck_assert_uint_eq(logs[0].nr_irqs, logs[1].nr_irqs);
	ck_assert_mem_eq(logs[0].irq, logs[1].irq, sizeof(logs[0].irq));
	free(sa);
	free(sb);
}

/* --- tests --- */

START_TEST(slices_change_nothing)
{
	static const u64 slices[] = {1, 2, 3, 7, 100, 1023, 7776, 7777, 7778, 50000};
	const u64 end = 400000;
	struct machine *whole = make(busy, BUSY_HANDLER, CLOCK_VIRTUAL, &logs[0]);

	run_sliced(whole, end, end);
	ck_assert_uint_gt(logs[0].nr_irqs, 50);
	for (unsigned i = 0; i < ARRAY_SIZE(slices); i++) {
		struct machine *m = make(busy, BUSY_HANDLER, CLOCK_VIRTUAL, &logs[1]);

		/* Boundaries asked for by the nondet cut runs too. */
		logs[1].stop_every = i & 1 ? 0 : 13 * slices[i];
		run_sliced(m, end, slices[i]);
		expect_same(whole, m);
		machine_free(m);
	}
	machine_free(whole);
}
END_TEST

START_TEST(timer_interrupt_comes_at_its_instruction)
{
	static const struct insn insns[] = {
	    QUIET_PIC,
	    LAPIC_STORE(LAPIC_TIMER_DIVIDE, 0xb),
	    LAPIC_STORE(LAPIC_LVT_TIMER, 0x40),
	    {STI, 0, 0, 0},
	    LAPIC_STORE(LAPIC_TIMER_INIT, 1000), /* executes at position 4, time 4 */
	    {JMP, 5, 0, 0},
	    {IRET, 0, 0, 0},
	};
	struct machine *m = make(insns, 6, CLOCK_VIRTUAL, &logs[0]);

	ck_assert_int_eq(machine_run(m, 5000), 0);
	ck_assert_uint_eq(machine_position(m), 5000);
	ck_assert_uint_eq(logs[0].nr_irqs, 1);
	ck_assert_uint_eq(logs[0].irq[0].position, 1004);
	ck_assert_uint_eq(logs[0].irq[0].now, 1004);
	ck_assert_uint_eq(logs[0].irq[0].vector, 0x40);
	machine_free(m);
}
END_TEST

START_TEST(shadow_and_window)
{
	static const struct insn insns[] = {
	    QUIET_PIC,       LAPIC_STORE(LAPIC_ICR_LOW, 0x44050), /* self IPI at once, interrupts off */
	    {NOP, 0, 0, 0},  {NOP, 0, 0, 0},
	    {STI, 0, 0, 0},  {NOP, 0, 0, 0}, /* in the shadow */
	    {JMP, 6, 0, 0},  LAPIC_STORE(LAPIC_EOI, 0),
	    {IRET, 0, 0, 0},
	};
	struct machine *m = make(insns, 7, CLOCK_VIRTUAL, &logs[0]);

	machine_run(m, 100);
	ck_assert_uint_eq(logs[0].nr_irqs, 1);
	ck_assert_uint_eq(logs[0].irq[0].position, 6);
	machine_free(m);
}
END_TEST

START_TEST(halt_jumps_to_the_next_deadline)
{
	static const struct insn insns[] = {
	    QUIET_PIC,
	    LAPIC_STORE(LAPIC_LVT_TIMER, LVT_DEADLINE | 0x40),
	    {WRMSR, MSR_TSC_DEADLINE, 5000000000ull, 8},
	    {STI, 0, 0, 0},
	    {HLT, 0, 0, 0},
	    {TSC, 0, 0, 0},
	    {CLI, 0, 0, 0},
	    {HLT, 0, 0, 0},
	    LAPIC_STORE(LAPIC_EOI, 0),
	    {IRET, 0, 0, 0},
	};
	struct machine *m = make(insns, 8, CLOCK_VIRTUAL, &logs[0]);

	ck_assert_int_eq(machine_run(m, CLOCK_NEVER), 0);
	ck_assert_uint_eq(logs[0].nr_irqs, 1);
	ck_assert_uint_eq(logs[0].irq[0].position, 5);
	ck_assert_uint_eq(logs[0].irq[0].now, 5000000000ull);
	ck_assert_uint_eq(m->vcpu[0]->regs.gpr[RBX], 5000000002ull); /* two instructions later */
	/* HLT with interrupts off ends it at once, whatever timers tick. */
	ck_assert_int_eq(m->end, END_HALTED);
	ck_assert_uint_eq(machine_position(m), 10);
	machine_free(m);
}
END_TEST

START_TEST(masked_timer_does_not_hang_the_host)
{
	static const struct insn insns[] = {
	    {OUT, 0x43, 0x34, 1},
	    {OUT, 0x40, 0x02, 1},
	    {OUT, 0x40, 0x00, 1}, /* the fastest PIT */
	    QUIET_PIC,
	    {STI, 0, 0, 0},
	    {HLT, 0, 0, 0},
	};
	struct machine *m = make(insns, 0, CLOCK_VIRTUAL, &logs[0]);

	ck_assert_int_eq(machine_run(m, CLOCK_NEVER), 0);
	ck_assert_int_eq(m->end, END_HALTED);
	machine_free(m);
}
END_TEST

START_TEST(firmware_state_passes_irq0_through_the_pic)
{
	static const struct insn insns[] = {
	    {STI, 0, 0, 0}, {HLT, 0, 0, 0}, {CLI, 0, 0, 0}, {HLT, 0, 0, 0}, MASTER_EOI, {IRET, 0, 0, 0},
	};
	struct machine *m = make(insns, 4, CLOCK_VIRTUAL, &logs[0]);

	machine_run(m, CLOCK_NEVER);
	ck_assert_uint_eq(logs[0].nr_irqs, 1);
	ck_assert_uint_eq(logs[0].irq[0].vector, 8);
	/* 65536 ticks of 1193182 Hz, give or take the first edge. */
	ck_assert_uint_gt(logs[0].irq[0].now, 54900000);
	ck_assert_uint_lt(logs[0].irq[0].now, 54930000);
	machine_free(m);
}
END_TEST

START_TEST(isa_irq0_is_ioapic_pin_2)
{
	static const struct insn insns[] = {
	    QUIET_PIC,
	    {STORE, PC_IOAPIC_BASE + IOAPIC_REGSEL, IOAPIC_REDTBL + 2 * 2, 4},
	    {STORE, PC_IOAPIC_BASE + IOAPIC_WIN, 0x33, 4},
	    {STI, 0, 0, 0},
	    {HLT, 0, 0, 0},
	    {CLI, 0, 0, 0},
	    {HLT, 0, 0, 0},
	    LAPIC_STORE(LAPIC_EOI, 0),
	    {IRET, 0, 0, 0},
	};
	struct machine *m = make(insns, 7, CLOCK_VIRTUAL, &logs[0]);

	machine_run(m, CLOCK_NEVER);
	ck_assert_uint_eq(logs[0].nr_irqs, 1);
	ck_assert_uint_eq(logs[0].irq[0].vector, 0x33);
	machine_free(m);
}
END_TEST

START_TEST(nmi_waits_for_iret)
{
	static const struct insn insns[] = {
	    QUIET_PIC,       LAPIC_STORE(LAPIC_ICR_LOW, 0x44400), /* NMI to itself */
	    {NOP, 0, 0, 0},  {CLI, 0, 0, 0},
	    {HLT, 0, 0, 0},  {LOOP, 7, 1, 0}, /* 5: handler: jumps the first time */
	    {IRET, 0, 0, 0}, LAPIC_STORE(LAPIC_ICR_LOW, 0x44400),
	    {NOP, 0, 0, 0},  {IRET, 0, 0, 0},
	};
	struct machine *m = make(insns, 5, CLOCK_VIRTUAL, &logs[0]);

	machine_run(m, 11);
	ck_assert_uint_eq(logs[0].nr_irqs, 2);
	ck_assert_uint_eq(logs[0].irq[0].kind, IRQ_NMI);
	ck_assert_uint_eq(logs[0].irq[0].position, 2);
	ck_assert_uint_eq(logs[0].irq[1].position, 6); /* right after the IRET */
	machine_free(m);
}
END_TEST

static char console[64];
static size_t console_len;

static void console_take(void *ctx, enum console_port port, const u8 *buf, size_t len)
{
	ck_assert_uint_lt(console_len + len + 1, sizeof(console));
	console[console_len++] = '0' + port;
	memcpy(console + console_len, buf, len);
	console_len += len;
}

START_TEST(consoles)
{
	static const struct insn insns[] = {
	    {OUT, 0x3f8, 'a', 1}, {OUT, 0x2f8, 'b', 1}, {OUT, 0xe9, 'c', 1}, {OUT, 0x402, 'd', 1}, {HLT, 0, 0, 0},
	};
	struct machine *m = make(insns, 0, CLOCK_VIRTUAL, &logs[0]);

	console_len = 0;
	m->listener.console = console_take;
	machine_run(m, CLOCK_NEVER);
	ck_assert_uint_eq(console_len, 8);
	ck_assert_mem_eq(console, "0a1b2c2d", 8);
	machine_free(m);
}
END_TEST

static void expect_end(const struct insn *insns, enum machine_end end, u32 code, u64 position)
{
	struct machine *m = make(insns, 0, CLOCK_VIRTUAL, &logs[0]);

	ck_assert_int_eq(machine_run(m, 1000), 0);
	ck_assert_str_eq(machine_end_name(m->end), machine_end_name(end));
	ck_assert_uint_eq(m->end_code, code);
	ck_assert_uint_eq(machine_position(m), position);
	/* Over is over. */
	ck_assert_int_eq(machine_run(m, 1000), 0);
	ck_assert_uint_eq(machine_position(m), position);
	machine_free(m);
}

START_TEST(ends)
{
	static const struct insn off[] = {{OUT, 0x604, 0x3400, 2}, {JMP, 1, 0, 0}};
	static const struct insn cf9[] = {{OUT, 0xcf9, 6, 1}, {JMP, 1, 0, 0}};
	static const struct insn kbc[] = {{OUT, 0x64, 0xfe, 1}, {JMP, 1, 0, 0}};
	static const struct insn p92[] = {{OUT, 0x92, 1, 1}, {JMP, 1, 0, 0}};
	static const struct insn dbg[] = {{NOP, 0, 0, 0}, {OUT, 0xf4, 0x21, 4}, {JMP, 2, 0, 0}};
	static const struct insn panic[] = {{OUT, 0x505, 1, 1}, {JMP, 1, 0, 0}};
	static const struct insn crash[] = {{OUT, 0x505, 2, 1}, {JMP, 1, 0, 0}};
	static const struct insn triple[] = {{NOP, 0, 0, 0}, {FAULT, 0, 0, 0}};
	static const struct insn init[] = {LAPIC_STORE(LAPIC_ICR_LOW, 0x4500), {JMP, 1, 0, 0}};
	static const struct insn first[] = {{OUT, 0xf4, 1, 1}, {OUT, 0x604, 0x3400, 2}};

	expect_end(off, END_POWEROFF, 0, 1);
	expect_end(cf9, END_RESET, 0, 1);
	expect_end(kbc, END_RESET, 0, 1);
	expect_end(p92, END_RESET, 0, 1);
	expect_end(dbg, END_DEBUG_EXIT, 0x21, 2);
	expect_end(panic, END_PANIC, 1, 1);
	expect_end(crash, END_NONE, 0, 1000);
	expect_end(triple, END_TRIPLE_FAULT, 0, 1);
	expect_end(init, END_RESET, 0, 1);
	expect_end(first, END_DEBUG_EXIT, 1, 1);
}
END_TEST

START_TEST(state_loads_in_the_middle)
{
	struct machine *a = make(busy, BUSY_HANDLER, CLOCK_VIRTUAL, &logs[0]);
	struct machine *b;
	size_t size = machine_state_size(a);
	u8 *state = malloc(size);

	run_sliced(a, 123457, 123457);
	machine_state_save(a, state);
	logs[0].nr_irqs = 0;
	memset(logs[0].irq, 0, sizeof(logs[0].irq));
	run_sliced(a, 300000, 300000);

	b = make(busy, BUSY_HANDLER, CLOCK_VIRTUAL, &logs[1]);
	ck_assert_int_eq(machine_state_load(b, state, size - 1), -EINVAL);
	run_sliced(b, 77, 77); /* whatever was there before */
	logs[1].nr_irqs = 0;
	memset(logs[1].irq, 0, sizeof(logs[1].irq));
	ck_assert_int_eq(machine_state_load(b, state, size), 0);
	ck_assert_uint_eq(machine_position(b), 123457);
	run_sliced(b, 300000, 999);
	expect_same(a, b);
	machine_free(a);
	machine_free(b);
	free(state);
}
END_TEST

START_TEST(tsc_and_its_adjust)
{
	static const struct insn insns[] = {
	    {TSC, 0, 0, 0}, {WRMSR, MSR_TSC, 1000000, 8},
	    {TSC, 0, 0, 0}, {WRMSR, MSR_TSC_ADJUST, 50, 8},
	    {TSC, 0, 0, 0}, {JMP, 5, 0, 0},
	};
	struct machine *m = make(insns, 0, CLOCK_VIRTUAL, &logs[0]);
	u64 value;

	machine_run(m, 1);
	ck_assert_uint_eq(m->vcpu[0]->regs.gpr[RBX], 0);
	machine_run(m, 3);
	ck_assert_uint_eq(m->vcpu[0]->regs.gpr[RBX], 1000001);
	ck_assert_int_eq(m->vcpu[0]->ops->rdmsr(m->vcpu[0], MSR_TSC_ADJUST, &value), 0);
	ck_assert_uint_eq(value, 999999);
	machine_run(m, 5);
	ck_assert_uint_eq(m->vcpu[0]->regs.gpr[RBX], 54);
	ck_assert_int_eq(m->vcpu[0]->ops->rdmsr(m->vcpu[0], 0x802, &value), -1);
	ck_assert_int_eq(m->vcpu[0]->ops->wrmsr(m->vcpu[0], MSR_APIC_BASE, 0xfee00d00), -1);
	machine_free(m);
}
END_TEST

START_TEST(lapic_page_moves)
{
	static const struct insn insns[] = {
	    {WRMSR, MSR_APIC_BASE, 0xd0000900, 8},
	    {STORE, 0xd0000080, 0x70, 4},
	    {LOAD, 0xfee00080, 0, 4},
	    {JMP, 3, 0, 0},
	};
	struct machine *m = make(insns, 0, CLOCK_VIRTUAL, &logs[0]);

	machine_run(m, 10);
	ck_assert_uint_eq(m->vcpu[0]->ops->cr8(m->vcpu[0]), 7);
	ck_assert_uint_eq(m->vcpu[0]->ops->io_read(m->vcpu[0], IO_MMIO, 0xfee00080, 4), 0xffffffff);
	ck_assert_uint_eq(m->vcpu[0]->ops->io_read(m->vcpu[0], IO_MMIO, 0xd0000080, 4), 0x70);
	machine_free(m);
}
END_TEST

START_TEST(host_clock_moves_by_samples_only)
{
	static const struct insn insns[] = {
	    QUIET_PIC,
	    LAPIC_STORE(LAPIC_TIMER_DIVIDE, 0xb), /* sampled: 1000 */
	    LAPIC_STORE(LAPIC_LVT_TIMER, 0x40),   /* 2000 */
	    {STI, 0, 0, 0},
	    LAPIC_STORE(LAPIC_TIMER_INIT, 1500), /* 3000: due at 4500 */
	    {NOP, 0, 0, 0},
	    {LOAD, LAPIC(LAPIC_VER), 0, 4}, /* not timed */
	    {TSC, 0, 0, 0},                 /* 4000 */
	    {NOP, 0, 0, 0},
	    {TSC, 0, 0, 0}, /* position 9: 5000: due */
	    {HLT, 0, 0, 0},
	    {IRET, 0, 0, 0},
	};
	struct machine *m = make(insns, 11, CLOCK_HOST, &logs[0]);

	logs[0].host = 0;
	/* QUIET_PIC and port writes are timed or not as their chips say: start counting after them. */
	machine_run(m, 1);
	logs[0].host = 0;
	m->clock.sampled = 0;
	machine_run(m, 11);
	ck_assert_uint_eq(logs[0].nr_irqs, 1);
	ck_assert_uint_eq(logs[0].irq[0].position, 10);
	ck_assert_uint_eq(logs[0].irq[0].now, 5000);
	ck_assert_uint_eq(m->vcpu[0]->regs.gpr[RBX], 5000);
	machine_free(m);
}
END_TEST

START_TEST(interrupt_and_errors_return)
{
	static const struct insn insns[] = {{JMP, 0, 0, 0}};
	struct machine *m = make(insns, 0, CLOCK_VIRTUAL, &logs[0]);

	machine_interrupt(m);
	ck_assert_int_eq(machine_run(m, CLOCK_NEVER), 0);
	ck_assert_uint_eq(machine_position(m), 0);
	ck_assert_int_eq(m->end, END_NONE);
	ck_assert_int_eq(machine_run(m, 100), 0);
	ck_assert_uint_eq(machine_position(m), 100);
	logs[0].stop_every = 50;
	logs[0].stop = 150;
	logs[0].boundary_result = -EIO;
	ck_assert_int_eq(machine_run(m, 1000), -EIO);
	ck_assert_uint_eq(machine_position(m), 150);
	machine_free(m);
}
END_TEST

START_TEST(input_reaches_the_chips)
{
	static const struct insn insns[] = {{IN, 0x3f8, 0, 1}, {JMP, 1, 0, 0}};
	struct machine *m = make(insns, 0, CLOCK_VIRTUAL, &logs[0]);

	ck_assert_uint_gt(machine_input_room(m, INPUT_SERIAL0), 0);
	ck_assert_uint_eq(machine_input(m, INPUT_SERIAL0, (const u8 *)"x", 1), 1);
	ck_assert_uint_eq(bus_read(&m->pio, 0x3f8, 1), 'x');
	ck_assert_uint_eq(machine_input(m, INPUT_SERIAL1, (const u8 *)"y", 1), 1);
	ck_assert_uint_eq(bus_read(&m->pio, 0x2f8, 1), 'y');
	ck_assert_uint_gt(machine_input_room(m, INPUT_KEYBOARD), 0);
	ck_assert_uint_eq(machine_input(m, INPUT_SOURCES, (const u8 *)"z", 1), 0);
	machine_free(m);
}
END_TEST

START_TEST(bad_configurations)
{
	struct machine_config good = {.ram = 2 << 20, .vcpus = 1, .engine = &fake_engine}, bad;
	struct engine_ops inexact = fake_engine;
	struct error err;
	struct machine *m;

	inexact.exact_insns = false;
#define REFUSED(what, words)                                            \
	do {                                                            \
		bad = good;                                             \
		what;                                                   \
		err.text[0] = 0;                                        \
		ck_assert_int_lt(machine_create(&m, &bad, &err), 0);    \
		ck_assert_ptr_null(m);                                  \
		ck_assert_msg(strstr(err.text, words), "%s", err.text); \
	} while (0)
	REFUSED(bad.ram = 0, "memory");
	REFUSED(bad.ram = (1 << 20) - 4096, "1 MiB");
	REFUSED(bad.ram = (2 << 20) + 1, "4096");
	REFUSED(bad.ram = ~0ull & ~4095ull, "memory");
	REFUSED(bad.vcpus = 0, "vCPU");
	REFUSED(bad.vcpus = 17, "vCPU");
	REFUSED(bad.vcpus = 2, "only one vCPU");
	REFUSED(bad.engine = NULL, "engine");
	REFUSED(bad.engine = &inexact, "exactly");
}
END_TEST

START_TEST(live_runner)
{
	static const struct insn insns[] = {
	    QUIET_PIC,
	    LAPIC_STORE(LAPIC_LVT_TIMER, LVT_DEADLINE | 0x40),
	    {WRMSR, MSR_TSC_DEADLINE, 20000000, 8}, /* 20 ms */
	    {STI, 0, 0, 0},
	    {HLT, 0, 0, 0},
	    {CLI, 0, 0, 0},
	    {HLT, 0, 0, 0},
	    {IRET, 0, 0, 0},
	};
	struct machine *m = make(insns, 7, CLOCK_HOST, &logs[0]);

	m->nondet = (struct nondet){&nondet_live, m};
	ck_assert_int_eq(machine_run(m, CLOCK_NEVER), 0);
	ck_assert_int_eq(m->end, END_HALTED);
	ck_assert_uint_eq(machine_position(m), 8);
	ck_assert_uint_ge(clock_now(&m->clock), 20000000);
	machine_free(m);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    slices_change_nothing,
	    timer_interrupt_comes_at_its_instruction,
	    shadow_and_window,
	    halt_jumps_to_the_next_deadline,
	    masked_timer_does_not_hang_the_host,
	    firmware_state_passes_irq0_through_the_pic,
	    isa_irq0_is_ioapic_pin_2,
	    nmi_waits_for_iret,
	    consoles,
	    ends,
	    state_loads_in_the_middle,
	    tsc_and_its_adjust,
	    lapic_page_moves,
	    host_clock_moves_by_samples_only,
	    interrupt_and_errors_return,
	    input_reaches_the_chips,
	    bad_configurations,
	    live_runner,
	};
	Suite *s = suite_create("machine");
	TCase *t = tcase_create("machine");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 60);
	for (size_t i = 0; i < ARRAY_SIZE(tests); i++)
		tcase_add_test(t, tests[i]);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
