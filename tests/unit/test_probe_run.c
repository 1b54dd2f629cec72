/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Debugging that the guest never notices: the same end, registers and
 * memory, however a run is cut, watched, saved and continued. */
#include <check.h>
#include <errno.h>

#include "zoo.h"

static struct machine *new_zoo(void)
{
	struct machine *m = rig64(zoo, zoo_end);

	zoo_init(m);
	return m;
}

/* --- the whole guest --- */

static u8 *image(const struct machine *m)
{
	u8 *p = malloc(machine_state_size(m));

	ck_assert_ptr_nonnull(p);
	machine_state_save(m, p);
	return p;
}

static void ck_assert_same(struct machine *a, struct machine *b, const char *what)
{
	u8 *x = image(a), *y = image(b);
	const u8 *m = ram(a, 0), *n = ram(b, 0);

	ck_assert_msg(machine_position(a) == machine_position(b), "%s: %llu and %llu", what,
		      (unsigned long long)machine_position(a), (unsigned long long)machine_position(b));
	for (u64 at = 0; at < RAM; at += 8)
		if (memcmp(m + at, n + at, 8))
			ck_abort_msg("%s: memory at %#llx", what, (unsigned long long)at);
	for (unsigned r = 0; r < GPR_COUNT; r++)
		ck_assert_msg(a->vcpu[0]->regs.gpr[r] == b->vcpu[0]->regs.gpr[r], "%s: register %u", what, r);
	ck_assert_msg(!memcmp(x, y, machine_state_size(a)), "%s: state", what);
	ck_assert_int_eq(a->end, b->end);
	free(x);
	free(y);
}

/* A run without anything. */
static struct machine *straight(void)
{
	struct machine *m = new_zoo();

	ck_assert_int_eq(machine_run(m, ~0ull), 0);
	ck_assert_int_eq(m->end, END_HALTED);
	return m;
}

START_TEST(the_guest_does_what_it_is_for)
{
	struct machine *m = straight();
	const struct x86_state *s = &m->vcpu[0]->regs;

	ck_assert_uint_gt(machine_position(m), 10000);
	ck_assert_uint_eq(s->gpr[R15], 0);
	ck_assert_uint_eq(s->gpr[R13], 100 * 4);
	ck_assert_uint_gt(s->gpr[R14], 100 * 8);
	ck_assert_uint_gt(load64(ram(m, DATA + 0x700)), 10);
	machine_free(m);
}
END_TEST

static u32 seed;

static u32 rnd(u32 below)
{
	seed = seed * 1664525 + 1013904223;
	return (u32)((u64)(seed >> 4) * below >> 28);
}

/* Every place, one after the other. */
START_TEST(stepping_makes_no_difference)
{
	struct machine *a = straight(), *m = new_zoo();
	struct vcpu *v = m->vcpu[0];
	unsigned deliveries = 0, second = 0;

	v->stop_at_delivery = true;
	while (!m->end) {
		u64 insns = v->insns;
		u32 delivered = vcpu_deliveries(v);

		ck_assert_int_eq(machine_run(m, insns + 1), 0);
		if (m->end)
			break;
		if (v->insns == insns) {
			ck_assert_uint_eq(vcpu_deliveries(v), delivered + 1);
			deliveries++;
			second += delivered == 1;
		} else {
			ck_assert_uint_eq(v->insns, insns + 1);
			ck_assert_uint_eq(vcpu_deliveries(v), 0);
		}
	}
	/* #UD, #DE, #PF of each round, the steps, and every timer interrupt with the #PF of its handler */
	ck_assert_uint_eq(deliveries,
			  v->regs.gpr[R13] - 200 + v->regs.gpr[R14] + load64(ram(m, DATA + 0x700)) + 100 + second);
	ck_assert_uint_gt(second, 10);
	ck_assert_same(a, m, "stepped");
	machine_free(a);
	machine_free(m);
}
END_TEST

/* Traps and interrupts at the same positions: the trap is first, and what comes next doesn't depend on cuts. */
GUEST(traps, 64,
      "mov al, 0x11; out 0x20, al; mov al, 0x20; out 0x21, al; mov al, 4; out 0x21, al; mov al, 1; out 0x21, al\n"
      "mov al, 0xfe; out 0x21, al; mov al, 0x34; out 0x43, al; mov al, 2; out 0x40, al; xor eax, eax; out 0x40, al\n"
      "sti; pushfq; or qword ptr [rsp], 0x100; popfq; mov ecx, 5000; 1: nop; loop 1b\n"
      "pushfq; and qword ptr [rsp], -0x101; popfq; cli; hlt\n"
      "traps_db: add r12, [rsp]; rol r12, 3; iretq\n"
      "traps_irq: push rax; add r12, [rsp + 8]; rol r12, 5; inc ebx; mov al, 0x20; out 0x20, al; pop rax; iretq\n");
extern const u8 traps_db[], traps_irq[];

static struct machine *new_traps(void)
{
	struct machine *m = rig64(traps, traps_end);

	gate(m, X86_DB, AT(traps, traps_db), 0);
	gate(m, 0x20, AT(traps, traps_irq), 0);
	ram(m, IDT + X86_DB * 16)[5] |= 1;
	return m;
}

START_TEST(interrupts_behind_traps)
{
	struct machine *a = new_traps(), *m = new_traps();
	struct vcpu *v = m->vcpu[0];
	unsigned behind = 0;

	ck_assert_int_eq(machine_run(a, ~0ull), 0);
	v->stop_at_delivery = true;
	while (!m->end) {
		ck_assert_int_eq(machine_run(m, v->insns + 1), 0);
		behind += vcpu_deliveries(v) == 2 && v->regs.rip == AT(traps, traps_irq);
	}
	ck_assert_same(a, m, "traps");
	ck_assert_uint_gt(behind, 2);
	ck_assert_uint_gt(v->regs.gpr[RBX], behind);
	machine_free(a);
	machine_free(m);
}
END_TEST

/* --- what passes the gate of nondet --- */

struct call {
	u64 position, now;
	u32 what;
};

static struct gate_log {
	struct machine *m;
	struct call call[20000];
	unsigned nr;
	u64 stop, host;
} logs[2];

static void log_call(struct gate_log *log, u32 what)
{
	if (log->nr < ARRAY_SIZE(log->call))
		log->call[log->nr++] = (struct call){machine_position(log->m), clock_now(&log->m->clock), what};
}

static u64 log_sample(void *ctx, struct vcpu *v)
{
	struct gate_log *log = ctx;

	log_call(log, 1);
	return log->host += 700;
}

static void log_interrupt(void *ctx, struct vcpu *v, enum irq_kind kind, u8 vector)
{
	log_call(ctx, 0x100 + vector);
}

static u64 log_next_stop(void *ctx)
{
	return ((struct gate_log *)ctx)->stop;
}

static int log_boundary(void *ctx, struct machine *m)
{
	struct gate_log *log = ctx;

	log_call(log, 2);
	while (log->stop <= machine_position(m))
		log->stop += 777;
	return 0;
}

static int log_idle(void *ctx, struct machine *m, u64 deadline)
{
	struct gate_log *log = ctx;

	log_call(log, 3);
	if (deadline == CLOCK_NEVER || m->clock.mode == CLOCK_VIRTUAL)
		return 1;
	clock_advance(&m->clock, log->host = deadline);
	return 0;
}

static struct machine *gated_zoo(struct gate_log *log, enum clock_mode mode)
{
	static struct nondet_ops ops;
	struct machine *m = new_zoo();

	ops = (struct nondet_ops){
	    .io_read = nondet_live.io_read,
	    .io_write = nondet_live.io_write,
	    .clock_sample = log_sample,
	    .interrupt = log_interrupt,
	    .next_stop = log_next_stop,
	    .boundary = log_boundary,
	    .idle = log_idle,
	};
	memset(log, 0, sizeof(*log));
	log->m = m;
	m->clock.mode = mode;
	m->nondet = (struct nondet){&ops, log};
	return m;
}

START_TEST(nondet_is_asked_the_same)
{
	for (unsigned n = 0; n < 4; n++) {
		enum clock_mode mode = n & 1 ? CLOCK_HOST : CLOCK_VIRTUAL;
		struct machine *a = gated_zoo(&logs[0], mode), *b = gated_zoo(&logs[1], mode);
		struct target_break br[3] = {EXEC_AT(AT(zoo, zoo_db)), WATCH(WRITE, DATA, 0x1000),
					     EVENT(IO, TARGET_ANY)};

		ck_assert_int_eq(machine_run(a, ~0ull), 0);
		if (n & 2)
			set_breaks(b, br, 3);
		b->vcpu[0]->stop_at_delivery = true;
		while (!b->end) {
			skip_here(b->vcpu[0]);
			ck_assert_int_eq(machine_run(b, b->vcpu[0]->insns + (n & 2 ? 1000 : 1)), 0);
		}
		ck_assert_same(a, b, "gated");
		ck_assert_uint_gt(logs[0].nr, 50);
		ck_assert_uint_lt(logs[0].nr, ARRAY_SIZE(logs[0].call));
		for (unsigned k = 0; k < logs[0].nr; k++) {
			const struct call *x = &logs[0].call[k], *y = &logs[1].call[k];

			if (x->position != y->position || x->now != y->now || x->what != y->what)
				ck_abort_msg("%u: call %u: %#x at %llu, %#x at %llu", n, k, x->what,
					     (unsigned long long)x->position, y->what, (unsigned long long)y->position);
		}
		ck_assert_uint_eq(logs[0].nr, logs[1].nr);
		machine_free(a);
		machine_free(b);
	}
}
END_TEST

/* Stopping at deliveries only: the same places as by stepping. */
START_TEST(deliveries_are_where_steps_find_them)
{
	struct machine *a = new_zoo(), *b = new_zoo();

	a->vcpu[0]->stop_at_delivery = b->vcpu[0]->stop_at_delivery = true;
	while (!a->end) {
		ck_assert_int_eq(machine_run(a, ~0ull), 0);
		if (a->end)
			break;
		do
			ck_assert_int_eq(machine_run(b, b->vcpu[0]->insns + 1), 0);
		while (!vcpu_deliveries(b->vcpu[0]));
		ck_assert_uint_eq(a->vcpu[0]->insns, b->vcpu[0]->insns);
		ck_assert_uint_eq(vcpu_deliveries(a->vcpu[0]), vcpu_deliveries(b->vcpu[0]));
		ck_assert_uint_eq(a->vcpu[0]->regs.rip, b->vcpu[0]->regs.rip);
		ck_assert_uint_eq(a->vcpu[0]->regs.gpr[RSP], b->vcpu[0]->regs.gpr[RSP]);
	}
	machine_free(a);
	machine_free(b);
}
END_TEST

/* A breakpoint or watchpoint anywhere in what the guest uses. */
static struct target_break random_break(void)
{
	static const u32 areas[] = {CODE, CODE,        CODE, DATA, DATA + 0x1000, DATA + 0x3000,  STACK - 0x1000,
				    PT,   PT + 0x1800, IDT,  GDT,  TSS,           INNER - 0x1000, ALIAS,
				    IRQ,  PML4,        PD};
	struct target_break b = {.kind = (enum target_break_kind)rnd(5), .space = (enum target_space)rnd(2)};

	b.addr = areas[rnd(ARRAY_SIZE(areas))] + rnd(rnd(2) ? 0x1000 : 0x280);
	b.len = rnd(4) ? 1 + rnd(16) : rnd(20000);
	if (b.kind == TARGET_BREAK_EXEC && rnd(2))
		b.addr = CODE + rnd((u32)(zoo_end - zoo));
	if (b.kind == TARGET_BREAK_EVENT) {
		b.addr = rnd(TARGET_EVENT_COUNT);
		b.len = rnd(3) ? TARGET_ANY : rnd(0x100);
	}
	return b;
}

static void put_random_breaks(struct machine *m, struct target_break *b, unsigned max)
{
	unsigned n = rnd(max + 1);

	for (unsigned i = 0; i < n; i++)
		b[i] = random_break();
	set_breaks(m, b, n);
}

START_TEST(probes_make_no_difference)
{
	struct machine *a = straight();
	u64 stops = 0;

	for (seed = 1; seed <= 100; seed++) {
		struct machine *m = new_zoo();
		struct vcpu *v = m->vcpu[0];
		struct target_break b[40];
		u32 keep = seed;

		put_random_breaks(m, b, seed % 3 ? 4 : ARRAY_SIZE(b));
		while (!m->end) {
			skip_here(v);
			v->stop_at_delivery = !rnd(8);
			ck_assert_int_eq(machine_run(m, v->insns + 1 + rnd(5000)), 0);
			stops += v->probe.nr;
			if (!rnd(50))
				put_random_breaks(m, b, 4);
			if (!rnd(20))
				soft_engine.dirty_reset(v);
		}
		seed = keep;
		ck_assert_same(a, m, "probed");
		machine_free(m);
	}
	ck_assert_uint_gt(stops, 1000);
	machine_free(a);
}
END_TEST

/* Another machine in the state of @m, as a checkpoint makes it. */
static struct machine *copy(struct machine *m)
{
	struct machine *c = new_zoo();
	struct vcpu *v = m->vcpu[0], *w = c->vcpu[0];
	size_t size = soft_engine.cache_size(v);
	u8 *state = image(m), *cache = malloc(size + 1), *again = malloc(size + 1), *to = ram(c, 0);
	const u8 *from = ram(m, 0);

	/* What was written, by the flags. */
	for (u64 n = 0; n < RAM >> PAGE_SHIFT; n++)
		if (m->mem.slot[0].flags[n] & PAGE_TOUCHED) {
			memcpy(to + (n << PAGE_SHIFT), from + (n << PAGE_SHIFT), PAGE_SIZE);
			c->mem.slot[0].flags[n] |= PAGE_WRITTEN;
		}
	ck_assert_int_eq(machine_state_load(c, state, machine_state_size(m)), 0);
	c->progress = m->progress;
	w->delivered_at = v->delivered_at;
	w->delivered = v->delivered;
	ck_assert_uint_eq(soft_engine.cache_save(v, cache), size);
	ck_assert_int_eq(soft_engine.cache_load(w, cache, size), 0);
	ck_assert_uint_eq(soft_engine.cache_size(w), size);
	ck_assert_uint_eq(soft_engine.cache_save(w, again), size);
	ck_assert(!memcmp(cache, again, size));
	free(state);
	free(cache);
	free(again);
	return c;
}

START_TEST(saving_and_loading_makes_no_difference)
{
	struct machine *a = straight();

	for (seed = 1; seed <= 10; seed++) {
		struct machine *m = new_zoo();
		u32 keep = seed, most = seed < 3 ? 8 : 400;

		while (!m->end) {
			struct machine *next;

			m->vcpu[0]->stop_at_delivery = rnd(2);
			ck_assert_int_eq(machine_run(m, m->vcpu[0]->insns + 1 + rnd(most)), 0);
			if (m->end)
				break;
			next = copy(m);
			machine_free(m);
			m = next;
		}
		seed = keep;
		ck_assert_same(a, m, "saved and loaded");
		machine_free(m);
	}
	machine_free(a);
}
END_TEST

/* Page flags that are cleared between runs name every page that changed. */
START_TEST(written_pages_are_flagged)
{
	struct machine *m = new_zoo();
	u8 *old = malloc(RAM), *now = ram(m, 0), *flags = m->mem.slot[0].flags;
	unsigned clean = 0;

	for (unsigned round = 0; !m->end; round++) {
		u8 bit = round & 1 ? PAGE_TOUCHED : PAGE_DIRTY;

		soft_engine.dirty_reset(m->vcpu[0]);
		for (u64 n = 0; n < RAM >> PAGE_SHIFT; n++)
			flags[n] &= (u8)~bit;
		memcpy(old, now, RAM);
		ck_assert_int_eq(machine_run(m, m->vcpu[0]->insns + 500), 0);
		for (u64 n = 0; n < RAM; n += PAGE_SIZE) {
			bool flagged = flags[n >> PAGE_SHIFT] & bit;

			if (!flagged && memcmp(old + n, now + n, PAGE_SIZE))
				ck_abort_msg("page %#llx", (unsigned long long)n);
			clean += !flagged;
		}
	}
	ck_assert_uint_gt(clean, 10000);
	free(old);
	machine_free(m);
}
END_TEST

/* The guest of these tests would notice a TLB that was lost. */
START_TEST(without_the_tlb_the_guest_would_notice)
{
	struct machine *a = straight(), *m = new_zoo();

	while (!m->end) {
		ck_assert_int_eq(machine_run(m, m->vcpu[0]->insns + 50), 0);
		ck_assert_int_eq(soft_engine.cache_load(m->vcpu[0], NULL, 0), 0);
	}
	ck_assert_uint_ne(a->vcpu[0]->regs.gpr[R12], m->vcpu[0]->regs.gpr[R12]);
	machine_free(a);
	machine_free(m);
}
END_TEST

START_TEST(a_broken_tlb_is_refused_or_harmless)
{
	struct machine *m = new_zoo();
	struct vcpu *v = m->vcpu[0];
	unsigned refused = 0, taken = 0;
	size_t size;
	u8 *cache;

	ck_assert_int_eq(machine_run(m, 5000), 0);
	size = soft_engine.cache_size(v);
	ck_assert_uint_ge(size, 16 * 8);
	cache = malloc(size + 32);
	for (seed = 1; seed < 1000; seed++) {
		u32 keep = seed;

		soft_engine.cache_save(v, cache);
		for (unsigned n = 1 + rnd(3); n--;)
			cache[rnd((u32)size)] ^= 1 << rnd(8);
		struct machine *c = copy(m);
		int ret = soft_engine.cache_load(c->vcpu[0], cache, size);

		if (ret) {
			ck_assert_int_eq(ret, -EINVAL);
			ck_assert_uint_eq(soft_engine.cache_size(c->vcpu[0]), 0);
			refused++;
		} else {
			taken++;
		}
		ck_assert_int_eq(machine_run(c, 8000), 0);
		machine_free(c);
		seed = keep;
	}
	ck_assert_uint_gt(refused, 100);
	ck_assert_uint_gt(taken, 100);
	soft_engine.cache_save(v, cache);
	ck_assert_int_eq(soft_engine.cache_load(v, cache, size - 1), -EINVAL);
	memcpy(cache + 16, cache, 16);
	ck_assert_int_eq(soft_engine.cache_load(v, cache, 32), -EINVAL); /* twice the same */
	free(cache);
	machine_free(m);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("probe_run");
	TCase *tc = tcase_create("probe_run");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, the_guest_does_what_it_is_for);
	tcase_add_test(tc, stepping_makes_no_difference);
	tcase_add_test(tc, interrupts_behind_traps);
	tcase_add_test(tc, nondet_is_asked_the_same);
	tcase_add_test(tc, deliveries_are_where_steps_find_them);
	tcase_add_test(tc, probes_make_no_difference);
	tcase_add_test(tc, saving_and_loading_makes_no_difference);
	tcase_add_test(tc, written_pages_are_flagged);
	tcase_add_test(tc, without_the_tlb_the_guest_would_notice);
	tcase_add_test(tc, a_broken_tlb_is_refused_or_harmless);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
