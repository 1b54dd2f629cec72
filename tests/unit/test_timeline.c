/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Being anywhere in a recording: the same registers and memory at each place, however one came there. */
#include <check.h>
#include <errno.h>
#include <pthread.h>

#include "replay/stored.h"
#include "timeline_rig.h"

#define PLACES 60000u
static struct seen seen[PLACES];

static u32 seed;

static u32 rnd(u32 below)
{
	seed = seed * 1664525 + 1013904223;
	return (u32)((u64)seed * below >> 32);
}

/* Steps from here on and notes each place, the present one first; to the end, or @max of them. Returns how many. */
static unsigned steps_from(const struct world *w, struct seen *out, unsigned max, bool into)
{
	unsigned n = 0;

	out[n++] = look_at(w);
	while (n < max) {
		struct target_stop stop = step(w, TARGET_FORWARD, into);

		if (stop.reason == TARGET_STOP_END) {
			if (strcmp(look_at(w).when, out[n - 1].when))
				out[n++] = look_at(w);
			break;
		}
		ck_assert_int_eq(stop.reason, TARGET_STOP_STEP);
		out[n++] = look_at(w);
	}
	return n;
}

/* --- steps --- */

static void there_and_back(struct world *w, unsigned places, unsigned back, bool into)
{
	unsigned n = steps_from(w, seen, places, into);

	ck_assert_uint_gt(n, 100);
	for (unsigned i = n - 1; i-- > 0 && back--;) {
		struct target_stop stop = step(w, TARGET_BACKWARD, into);

		ck_assert_int_eq(stop.reason, TARGET_STOP_STEP);
		ck_assert_seen(w, &seen[i], "a step back");
	}
}

START_TEST(steps_are_the_same_places_both_ways)
{
	const bool into = _i;
	struct world w;

	record_run(~0ull);
	open_timeline(&w, 0);
	there_and_back(&w, 2500, 2500, into);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_int_eq(step(&w, TARGET_BACKWARD, into).reason, TARGET_STOP_BEGIN);
		ck_assert_seen(&w, &seen[0], "the beginning");
		ck_assert_int_eq(run_on(&w, TARGET_BACKWARD, NULL).reason, TARGET_STOP_BEGIN);
		ck_assert_seen(&w, &seen[0], "the beginning");
	}
	/* To the end, and some of the way back. */
	there_and_back(&w, PLACES, 1000, into);
	world_free(&w);
}
END_TEST

/* The one place that stepping over interrupts leaves out is within handlers. */
START_TEST(steps_over_interrupts_are_some_of_all_steps)
{
	struct world w;
	struct seen *over = calloc(PLACES, sizeof(*over));
	unsigned all, some, found = 0;

	record_run(~0ull);
	open_timeline(&w, 0);
	all = steps_from(&w, seen, PLACES, true);
	must_seek(&w, "start");
	some = steps_from(&w, over, PLACES, false);
	ck_assert_uint_lt(some, all);
	for (unsigned i = 0; i < all && found < some; i++)
		if (!strcmp(seen[i].when, over[found].when)) {
			ck_assert(seen[i].regs == over[found].regs && seen[i].memory == over[found].memory);
			found++;
		}
	ck_assert_uint_eq(found, some);
	/* Each one backwards, from random places and in short walks. */
	seed = 1;
	for (unsigned round = 0; round < 60; round++) {
		unsigned at = 20 + rnd(some - 20);

		must_seek(&w, over[at].when);
		for (unsigned back = rnd(20); back--;) {
			ck_assert_int_eq(step(&w, TARGET_BACKWARD, false).reason, TARGET_STOP_STEP);
			ck_assert_seen(&w, &over[--at], "back over interrupts");
		}
	}
	free(over);
	world_free(&w);
}
END_TEST

/* An exception at an instruction that an interrupt came upon too, with the same stack: its handler isn't left out. */
GUEST(twice, 64,
      "mov al, 0x11; out 0x20, al; mov al, 0x20; out 0x21, al; mov al, 4; out 0x21, al; mov al, 1; out 0x21, al\n"
      "mov al, 0xfe; out 0x21, al; mov al, 0x34; out 0x43, al; mov al, 2; out 0x40, al; xor eax, eax; out 0x40, al\n"
      /* First without, then with a trap at each instruction, which goes on where interrupts did. */
      "sti; mov ecx, 9000; xor ebx, ebx; xor edx, edx\n"
      "twice_one: loop twice_one\n"
      "test ebx, ebx; jnz 2f; inc ebx; mov ecx, 400; pushfq; or qword ptr [rsp], 0x100; popfq; jmp twice_one\n"
      "2: mov al, 5; out 0xf4, al; hlt\n"
      "twice_db: inc edx; iretq\n"
      "twice_irq: push rax; inc qword ptr [0x20000]; mov al, 0x20; out 0x20, al; pop rax; iretq\n");

extern const u8 twice_db[], twice_irq[], twice_one[];

static void twice_init(struct machine *m)
{
	gate(m, X86_DB, AT(twice, twice_db), 0);
	gate(m, 0x20, AT(twice, twice_irq), 0);
}

START_TEST(exception_handlers_are_stepped_into)
{
	struct world w;
	u64 interrupts = 0;

	guest.code = twice;
	guest.end = twice_end;
	guest.init = twice_init;
	record_run(~0ull);
	open_timeline(&w, 0);
	there_and_back(&w, PLACES, 1500, false);
	must_seek(&w, "end");
	target_read(w.t, 0, TARGET_LINEAR, 0x20000, &interrupts, 8);
	ck_assert_uint_gt(interrupts, 3);
	ck_assert_uint_gt(target_regs(w.t, 0)->gpr[RDX], 400);
	world_free(&w);
}
END_TEST

START_TEST(a_step_stops_only_for_what_was_asked)
{
	struct target_break nowhere = WATCH(WRITE, 0x3e0000, 1), often = EXEC_AT(AT(twice, twice_irq));
	struct world w;
	unsigned n;

	guest.code = twice;
	guest.end = twice_end;
	guest.init = twice_init;
	record_run(~0ull);
	open_timeline(&w, 0);
	n = steps_from(&w, seen, PLACES, false);
	must_seek(&w, "start");
	w.t->ops->add_break(w.t, &nowhere);
	w.t->ops->add_break(w.t, &often);
	for (unsigned i = 1; i < n; i++) {
		struct target_stop stop = resume_with(
		    &w, (struct target_resume){.direction = TARGET_FORWARD, .kind = TARGET_STEP, .only = &nowhere});

		ck_assert_int_eq(stop.reason, i + 1 < n ? TARGET_STOP_STEP : TARGET_STOP_END);
		ck_assert_seen(&w, &seen[i], "with a breakpoint in the handler");
	}
	world_free(&w);
}
END_TEST

START_TEST(a_range_is_left)
{
	struct target_resume how = {.direction = TARGET_FORWARD, .kind = TARGET_RANGE};
	struct world w;
	struct target_stop stop;

	record_run(~0ull);
	open_timeline(&w, 0);
	how.start = CODE;
	how.end = AT(zoo, zoo_round);
	stop = resume_with(&w, how);
	ck_assert_int_eq(stop.reason, TARGET_STOP_STEP);
	ck_assert_uint_eq(target_regs(w.t, 0)->rip, how.end);
	how.end = ~0ull;
	how.start = 0;
	stop = resume_with(&w, how);
	ck_assert_int_eq(stop.reason, TARGET_STOP_END);
	world_free(&w);
}
END_TEST

/* Memory doesn't grow with steps back. */
START_TEST(ten_thousand_steps_back)
{
	struct checkpoints *c;
	struct world w;

	record_run(~0ull);
	open_timeline(&w, 0);
	c = timeline_checkpoints(w.tl);
	must_seek(&w, "80%");
	for (unsigned i = 0; i < 10000; i++)
		ck_assert_int_eq(step(&w, TARGET_BACKWARD, true).reason, TARGET_STOP_STEP);
	ck_assert_uint_le(c->nr, 64);
	ck_assert_uint_le(c->bytes + c->pages.bytes, 2 << 20);
	world_free(&w);
}
END_TEST

/* --- seeking --- */

START_TEST(seeks_to_all_kinds_of_positions)
{
	static const char *const bad[] = {"",
					  " ",
					  "x",
					  "-1",
					  "5 ",
					  "12+",
					  "12+0x",
					  "12+99",
					  "1+1",
					  "101%",
					  "-1%",
					  "nan%",
					  "event:",
					  "event:0",
					  "event:1x",
					  "event:-1",
					  "event:9999999",
					  "checkpoint:1",
					  "checkpoint:0",
					  "checkpoint:",
					  "999999999",
					  "~0",
					  "99s",
					  "nanms",
					  "-1ms",
					  "18446744073709551615",
					  "18446744073709551616",
					  "5m",
					  "start ",
					  "END"};
	struct world w;
	u64 last = record_run(~0ull);
	unsigned n;
	char text[40];

	open_timeline(&w, 0);
	n = steps_from(&w, seen, PLACES, true);
	ck_assert_uint_lt(n, PLACES);
	must_seek(&w, "end");
	ck_assert_seen(&w, &seen[n - 1], "end");
	must_seek(&w, "end");
	ck_assert_seen(&w, &seen[n - 1], "end again");
	must_seek(&w, "start");
	ck_assert_seen(&w, &seen[0], "start");
	must_seek(&w, "0%");
	ck_assert_seen(&w, &seen[0], "0%");
	must_seek(&w, "100%");
	ck_assert_uint_eq(w.t->ops->position(w.t), last);
	must_seek(&w, "50%");
	ck_assert_uint_eq(w.t->ops->position(w.t), last / 2);
	seed = 2;
	for (unsigned i = 0; i < 250; i++) {
		const struct seen *s = &seen[rnd(n)];

		must_seek(&w, s->when);
		ck_assert_seen(&w, s, "a seek");
	}
	snprintf(text, sizeof(text), "0x%llx", (unsigned long long)last / 3);
	must_seek(&w, text);
	ck_assert_uint_eq(w.t->ops->position(w.t), last / 3);
	/* What can't be gone to leaves everything as it is, at any place. */
	for (unsigned k = 0; k < 4; k++) {
		struct seen here;

		must_seek(&w, k == 0 ? "start" : k == 1 ? "end" : seen[rnd(n)].when);
		here = look_at(&w);
		for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
			err = (struct error){""};
			ck_assert_msg(seek_to(&w, bad[i]) < 0, "seek %s", bad[i]);
			ck_assert_msg(err.text[0], "a sentence for %s", bad[i]);
			ck_assert_seen(&w, &here, bad[i]);
		}
	}
	world_free(&w);
}
END_TEST

START_TEST(seeks_to_times_and_events)
{
	struct world w;
	u64 last = record_run(~0ull), before = 0, events;
	char text[40];

	open_timeline(&w, 0);
	must_seek(&w, "end");
	events = replayer_progress(w.replayer).events;
	ck_assert_uint_gt(events, 50);
	for (u64 n = 1; n <= events; n += 1 + events / 60) {
		struct seen there;
		u64 at;

		snprintf(text, sizeof(text), "event:%llu", (unsigned long long)n);
		must_seek(&w, text);
		at = w.t->ops->position(w.t);
		ck_assert_msg(at >= before && at <= last, "%s: %llu", text, (unsigned long long)at);
		ck_assert_msg(replayer_progress(w.replayer).events < n, "%s lies behind", text);
		before = at;
		there = look_at(&w);
		/* The next place is behind it. */
		step(&w, TARGET_FORWARD, true);
		ck_assert_uint_ge(replayer_progress(w.replayer).events, n);
		must_seek(&w, "start");
		must_seek(&w, text);
		ck_assert_seen(&w, &there, text);
	}
	must_seek(&w, "end");
	for (u64 ns = 1, end = clock_now(&w.m->clock); ns < end; ns += end / 25) {
		snprintf(text, sizeof(text), "%lluns", (unsigned long long)ns);
		must_seek(&w, text);
		ck_assert_uint_ge(clock_now(&w.m->clock), ns);
		if (w.t->ops->position(w.t)) {
			u64 at = w.t->ops->position(w.t) - 1;

			snprintf(text, sizeof(text), "%llu", (unsigned long long)at);
			must_seek(&w, text);
			ck_assert_uint_lt(clock_now(&w.m->clock), ns);
		}
	}
	world_free(&w);
}
END_TEST

/* --- breakpoints --- */

struct found {
	struct seen at;
	struct target_stop stop;
};

static struct found list[2][8192];

static unsigned run_all(const struct world *w, enum target_direction direction, const struct target_break *only,
			struct found *out)
{
	unsigned n = 0;

	for (;;) {
		struct target_stop stop = run_on(w, direction, only);

		if (stop.reason == TARGET_STOP_END || stop.reason == TARGET_STOP_BEGIN) {
			ck_assert_int_eq(stop.reason,
					 direction == TARGET_FORWARD ? TARGET_STOP_END : TARGET_STOP_BEGIN);
			return n;
		}
		ck_assert_msg(stop.reason == TARGET_STOP_BREAK || stop.reason == TARGET_STOP_WATCH ||
				  stop.reason == TARGET_STOP_EVENT,
			      "reason %d", stop.reason);
		ck_assert_uint_lt(n, 8192);
		out[n].stop = stop;
		out[n++].at = look_at(w);
	}
}

static unsigned index_of(const char *when, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (!strcmp(seen[i].when, when))
			return i;
	ck_abort_msg("no place %s", when);
}

/* All stops forwards, and the same ones backwards: those of execution at the same places, others one place before. */
static unsigned both_ways(const struct world *w, const struct target_break *only, unsigned places, const char *what)
{
	unsigned n, back;

	must_seek(w, "start");
	n = run_all(w, TARGET_FORWARD, only, list[0]);
	back = run_all(w, TARGET_BACKWARD, only, list[1]);
	/* One at the very beginning isn't told where it is started from. */
	if (back > n && !strcmp(list[1][back - 1].at.when, seen[0].when))
		back--;
	ck_assert_msg(n == back, "%s: %u stops, %u backwards", what, n, back);
	for (unsigned i = 0; i < n; i++) {
		const struct found *f = &list[0][i], *b = &list[1][n - 1 - i];
		unsigned at = index_of(f->at.when, places);

		ck_assert_msg(f->at.regs == seen[at].regs && f->at.memory == seen[at].memory, "%s: state at %s", what,
			      f->at.when);
		at -= f->stop.reason != TARGET_STOP_BREAK;
		ck_assert_msg(!strcmp(b->at.when, seen[at].when), "%s: %s backwards, not %s", what, b->at.when,
			      seen[at].when);
		ck_assert_msg(b->at.regs == seen[at].regs && b->at.memory == seen[at].memory, "%s: state at %s back",
			      what, b->at.when);
		ck_assert_msg(f->stop.hit == b->stop.hit && f->stop.reason == b->stop.reason &&
				  f->stop.addr == b->stop.addr && f->stop.write == b->stop.write,
			      "%s: another stop at %s", what, f->at.when);
	}
	return n;
}

static bool every_third(void *opaque, struct target *t, unsigned vcpu)
{
	u64 round = 0;

	ck_assert_ptr_eq(opaque, &seed);
	target_read(t, vcpu, TARGET_LINEAR, 0x20700, &round, 8);
	return round % 3 == 0;
}

static bool never(void *opaque, struct target *t, unsigned vcpu)
{
	return false;
}

START_TEST(stops_are_the_same_both_ways)
{
	struct target_break one[] = {
	    EXEC_AT(AT(zoo, zoo_round)),
	    EXEC_PHYS(AT(zoo, zoo_db)),
	    WATCH(WRITE, 0x20700, 8),
	    WATCH(READ, 0x20040, 4),
	    WATCH(ACCESS, 0x20ff8, 16),
	    WATCHP(WRITE, 0x21000, 0x100),
	    EVENT(INTERRUPT, TARGET_ANY),
	    EVENT(EXCEPTION, X86_UD),
	    EVENT(IO, 0x20),
	    EVENT(MSR, TARGET_ANY),
	    EVENT(CR3, TARGET_ANY),
	    EXEC_AT(CODE),
	    EXEC_AT(0x123),
	};
	struct world w;
	unsigned n, sum = 0;
	char what[20];

	record_run(~0ull);
	open_timeline(&w, 0);
	n = steps_from(&w, seen, PLACES, true);
	for (unsigned i = 0; i < ARRAY_SIZE(one); i++) {
		unsigned count;

		snprintf(what, sizeof(what), "break %u", i);
		ck_assert_int_eq(w.t->ops->add_break(w.t, &one[i]), 0);
		count = both_ways(&w, NULL, n, what);
		sum += count;
		if (i < 9)
			ck_assert_msg(count, "%s is never hit", what);
		one[i].condition = every_third;
		one[i].opaque = &seed;
		ck_assert_uint_le(both_ways(&w, NULL, n, what), count);
		one[i].condition = never;
		ck_assert_uint_eq(both_ways(&w, NULL, n, what), 0);
		w.t->ops->remove_break(w.t, &one[i]);
		one[i].condition = NULL;
	}
	ck_assert_uint_gt(sum, 500);
	/* All at once, and then one of them. */
	for (unsigned i = 0; i < ARRAY_SIZE(one); i++)
		ck_assert_int_eq(w.t->ops->add_break(w.t, &one[i]), 0);
	ck_assert_uint_gt(both_ways(&w, NULL, n, "all"), 500);
	ck_assert_uint_gt(both_ways(&w, &one[2], n, "only"), 0);
	must_seek(&w, "end");
	for (unsigned i = 0; i < ARRAY_SIZE(one); i++) {
		w.t->ops->remove_break(w.t, &one[i]);
		/* Nothing of it is looked at any more. */
		memset(&one[i], 0xa5, sizeof(one[i]));
	}
	ck_assert_int_eq(step(&w, TARGET_BACKWARD, true).reason, TARGET_STOP_STEP);
	ck_assert_int_eq(run_on(&w, TARGET_BACKWARD, NULL).reason, TARGET_STOP_BEGIN);
	ck_assert_int_eq(run_on(&w, TARGET_FORWARD, NULL).reason, TARGET_STOP_END);
	world_free(&w);
}
END_TEST

/* Checkpoints wherever a hit may be: at it, before it, behind it. */
START_TEST(hits_at_checkpoints)
{
	struct target_break b[] = {EXEC_AT(AT(zoo, zoo_db)), WATCH(WRITE, 0x20700, 8), EVENT(EXCEPTION, TARGET_ANY)};
	struct world w;
	unsigned n, count = 0;

	record_run(5000);
	open_timeline(&w, 0);
	n = steps_from(&w, seen, PLACES, true);
	must_seek(&w, "start");
	for (unsigned i = 0; i < n; i++)
		if (!strchr(seen[i].when, '+') && i % 3) {
			struct replayer_place place;

			must_seek(&w, seen[i].when);
			replayer_save(w.replayer, &place);
			ck_assert_int_eq(checkpoints_take(timeline_checkpoints(w.tl), &place, false), 0);
			count++;
		}
	ck_assert_uint_ge(timeline_checkpoints(w.tl)->nr, count);
	for (unsigned i = 0; i < ARRAY_SIZE(b); i++) {
		ck_assert_int_eq(w.t->ops->add_break(w.t, &b[i]), 0);
		ck_assert_uint_gt(both_ways(&w, NULL, n, "at checkpoints"), 0);
		w.t->ops->remove_break(w.t, &b[i]);
	}
	world_free(&w);
}
END_TEST

START_TEST(little_memory_makes_no_difference)
{
	struct target_break b = WATCH(WRITE, 0x20700, 8);
	struct world w;
	unsigned n;

	record_run(~0ull);
	open_timeline(&w, _i ? 1 : 3 << 20);
	n = steps_from(&w, seen, PLACES, true);
	seed = 3;
	for (unsigned i = 0; i < 60; i++) {
		const struct seen *s = &seen[rnd(n)];
		struct checkpoints *c = timeline_checkpoints(w.tl);

		must_seek(&w, s->when);
		ck_assert_seen(&w, s, "a seek");
		ck_assert_uint_eq(c->list[0]->position, 0);
		ck_assert(c->nr <= 2 || c->bytes + c->pages.bytes <= c->budget);
		step(&w, TARGET_BACKWARD, true);
	}
	w.t->ops->add_break(w.t, &b);
	ck_assert_uint_gt(both_ways(&w, NULL, n, "with little memory"), 10);
	world_free(&w);
}
END_TEST

/* --- interruptions --- */

struct poker {
	struct target *t;
	pthread_t thread;
	volatile bool stop;
};

static void *poke(void *arg)
{
	struct poker *p = arg;

	while (!p->stop) {
		target_interrupt(p->t);
		usleep(300);
	}
	return NULL;
}

/* Whatever is interrupted, the place is one of the run's and goes on from there. */
START_TEST(interruptions_leave_a_place)
{
	static const char *const where[] = {"start", "end", "50%", "event:100", "0.01ms", "10000"};
	struct target_break b = WATCH(WRITE, 0x20708, 8);
	unsigned n, interrupted = 0;
	struct world w;

	record_run(~0ull);
	open_timeline(&w, 0);
	n = steps_from(&w, seen, PLACES, true);
	w.t->ops->add_break(w.t, &b);
	seed = 4;
	for (unsigned i = 0; i < 150; i++) {
		struct poker p = {.t = w.t};
		struct seen here;
		int ret = 0;
		u8 code;

		ck_assert_int_eq(pthread_create(&p.thread, NULL, poke, &p), 0);
		if (i % 5 == 0)
			interrupted += (ret = seek_to(&w, where[rnd(ARRAY_SIZE(where))])) == -EINTR;
		else if (i % 5 == 1)
			interrupted += run_on(&w, TARGET_BACKWARD, NULL).reason == TARGET_STOP_INTERRUPT;
		else if (i % 5 == 2)
			interrupted += run_on(&w, TARGET_FORWARD, NULL).reason == TARGET_STOP_INTERRUPT;
		else
			interrupted += step(&w, i % 2 ? TARGET_BACKWARD : TARGET_FORWARD, i % 3).reason ==
				       TARGET_STOP_INTERRUPT;
		p.stop = true;
		pthread_join(p.thread, NULL);
		ck_assert_msg(!ret || ret == -EINTR, "%d: %s", ret, err.text);
		here = look_at(&w);
		/* Amid a REP instruction the registers are on their way. */
		if (target_read(w.t, 0, TARGET_LINEAR, target_regs(w.t, 0)->rip, &code, 1) != 1 ||
		    (code & 0xfe) != 0xf2)
			ck_assert_seen(&w, &seen[index_of(here.when, n)], "interrupted");
	}
	ck_assert_uint_gt(interrupted, 0);
	must_seek(&w, "start");
	ck_assert_int_eq(run_on(&w, TARGET_FORWARD, NULL).reason, TARGET_STOP_END);
	ck_assert_seen(&w, &seen[n - 1], "the end after all");
	world_free(&w);
}
END_TEST

/* --- ends --- */

#define LOOP "mov ecx, 500; 1: inc qword ptr [0x20000]; in al, 0x40; mov [0x20008], al; out 0xe9, al; loop 1b\n"

GUEST(end_exit, 64, LOOP "mov al, 0x31; out 0xf4, al; hlt\n");
GUEST(end_off, 64, LOOP "mov dx, 0x604; mov ax, 0x3400; out dx, ax; hlt\n");
GUEST(end_halt, 64, LOOP "cli; hlt\n");
GUEST(end_triple, 64, LOOP "push 0; push 0; lidt [rsp]; ud2\n");
GUEST(end_never, 64, LOOP "2: inc qword ptr [0x20010]; jmp 2b\n");

static const struct {
	const u8 *code, *end;
	enum machine_end how;
} ends[] = {
    {end_exit, end_exit_end, END_DEBUG_EXIT}, {end_off, end_off_end, END_POWEROFF},
    {end_halt, end_halt_end, END_HALTED},     {end_triple, end_triple_end, END_TRIPLE_FAULT},
    {end_never, end_never_end, END_UNTIL},
};

static void choose_end(unsigned i)
{
	guest.code = ends[i].code;
	guest.end = ends[i].end;
	guest.init = NULL;
}

START_TEST(all_kinds_of_ends)
{
	struct world w;
	struct trace_buf printed;
	unsigned n;

	choose_end(_i);
	record_run(4000);
	ck_assert_int_eq(plain_replay(), REPLAY_EQUAL);
	open_timeline(&w, 0);
	n = steps_from(&w, seen, PLACES, true);
	ck_assert_int_eq(w.m->end, ends[_i].how);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_int_eq(step(&w, TARGET_FORWARD, true).reason, TARGET_STOP_END);
		ck_assert_int_eq(run_on(&w, TARGET_FORWARD, NULL).reason, TARGET_STOP_END);
		/* A shutdown is at the place of the instruction that brought it about. */
		if (!i && ends[_i].how == END_TRIPLE_FAULT)
			seen[n - 1] = look_at(&w);
		ck_assert_seen(&w, &seen[n - 1], "the end");
		ck_assert_int_lt(seek_to(&w, "nowhere"), 0);
		ck_assert_int_eq(w.m->end, ends[_i].how);
		for (unsigned k = 2; k < 12; k++) {
			ck_assert_int_eq(step(&w, TARGET_BACKWARD, true).reason, TARGET_STOP_STEP);
			ck_assert_seen(&w, &seen[n - k], "back from the end");
		}
		ck_assert_int_eq(run_on(&w, TARGET_FORWARD, NULL).reason, TARGET_STOP_END);
	}
	ck_assert_int_eq(run_on(&w, TARGET_BACKWARD, NULL).reason, TARGET_STOP_BEGIN);
	/* What the guest printed was told once. */
	printed = w.printed;
	w.printed = (struct trace_buf){0};
	ck_assert_uint_eq(printed.len, 500);
	trace_buf_free(&printed);
	world_free(&w);
}
END_TEST

/* --- traces that aren't what they should be --- */

/* A recorder that writes down another value than the guest got, once. */
static const struct nondet_ops *honest;
static unsigned reads;

static u64 lying_read(void *ctx, struct vcpu *vcpu, enum io_space space, u64 addr, unsigned size, u64 modelled)
{
	honest->io_read(ctx, vcpu, space, addr, size, modelled ^ (++reads == 300));
	return modelled;
}

static void record_lying(void)
{
	struct nondet_ops ops;
	struct world w;

	begin_recording(&w, path);
	reads = 0;
	honest = w.m->nondet.ops;
	ops = *honest;
	ops.io_read = lying_read;
	w.m->nondet.ops = &ops;
	ck_assert_int_eq(machine_run(w.m, ~0ull), 0);
	w.m->nondet.ops = honest;
	end_recording(&w, END_UNTIL);
	world_free(&w);
}

START_TEST(the_place_where_a_replay_differs)
{
	struct target_break b = WATCH(WRITE, 0x20000, 8);
	struct target_stop stop;
	struct world w;
	unsigned n;

	choose_end(0);
	record_run(~0ull);
	open_timeline(&w, 0);
	must_seek(&w, "1000");
	n = steps_from(&w, seen, 500, true);
	world_free(&w);
	record_lying();
	open_timeline(&w, 0);
	stop = run_on(&w, TARGET_FORWARD, NULL);
	ck_assert_int_eq(stop.reason, TARGET_STOP_DIVERGED);
	ck_assert_ptr_nonnull(strstr(w.t->ops->error(w.t)->text, "differs"));
	ck_assert_int_eq(step(&w, TARGET_FORWARD, true).reason, TARGET_STOP_DIVERGED);
	for (unsigned i = 0; i < 3; i++) {
		struct seen end = look_at(&w);

		ck_assert_int_eq(step(&w, TARGET_BACKWARD, true).reason, TARGET_STOP_STEP);
		ck_assert_int_eq(step(&w, TARGET_BACKWARD, true).reason, TARGET_STOP_STEP);
		ck_assert_int_eq(run_on(&w, TARGET_FORWARD, NULL).reason, TARGET_STOP_DIVERGED);
		ck_assert_seen(&w, &end, "there again");
		ck_assert_int_lt(seek_to(&w, "event:99999999"), 0);
		ck_assert_seen(&w, &end, "and still there");
		w.t->ops->add_break(w.t, &b);
		stop = run_on(&w, TARGET_BACKWARD, NULL);
		ck_assert_int_eq(stop.reason, TARGET_STOP_WATCH);
		ck_assert_int_eq(run_on(&w, TARGET_BACKWARD, NULL).reason, TARGET_STOP_WATCH);
		w.t->ops->remove_break(w.t, &b);
		ck_assert_int_eq(run_on(&w, TARGET_FORWARD, NULL).reason, TARGET_STOP_DIVERGED);
		ck_assert_seen(&w, &end, "once more");
	}
	must_seek(&w, seen[n / 2].when);
	ck_assert_int_eq(run_on(&w, TARGET_BACKWARD, NULL).reason, TARGET_STOP_BEGIN);
	world_free(&w);
}
END_TEST

START_TEST(traces_that_are_cut_off)
{
	struct world w;
	unsigned n, reached = 0;
	long size;
	FILE *f;

	record_run(~0ull);
	open_timeline(&w, 0);
	n = steps_from(&w, seen, PLACES, true);
	world_free(&w);
	f = fopen(path, "r");
	fseek(f, 0, SEEK_END);
	size = ftell(f);
	fclose(f);
	for (unsigned i = 1; i <= 8; i++) {
		struct target_stop stop;
		struct seen end;
		u64 at;

		record_run(~0ull);
		ck_assert_int_eq(truncate(path, size * (9 - i) / 9), 0);
		memset(&w, 0, sizeof(w));
		ck_assert_int_eq(trace_open(&w.reader, path, 0, &err), 0);
		if (session_load(&w.session, w.reader, NULL, NULL, NULL, &err)) {
			trace_close(w.reader);
			continue;
		}
		trace_close(w.reader);
		session_free(&w.session);
		open_timeline(&w, 0);
		stop = run_on(&w, TARGET_FORWARD, NULL);
		ck_assert_int_eq(stop.reason, TARGET_STOP_END);
		at = w.t->ops->position(w.t);
		end = look_at(&w);
		reached += at > 1000;
		ck_assert_int_eq(step(&w, TARGET_FORWARD, true).reason, TARGET_STOP_END);
		must_seek(&w, "end");
		ck_assert_seen(&w, &end, "the end of what there is");
		if (at < 10) {
			world_free(&w);
			continue;
		}
		for (unsigned k = 0; k < 5; k++)
			ck_assert_int_eq(step(&w, TARGET_BACKWARD, true).reason, TARGET_STOP_STEP);
		end = look_at(&w);
		ck_assert_seen(&w, &seen[index_of(end.when, n)], "in what there is");
		ck_assert_int_eq(run_on(&w, TARGET_BACKWARD, NULL).reason, TARGET_STOP_BEGIN);
		must_seek(&w, "end");
		must_seek(&w, end.when);
		ck_assert_seen(&w, &end, "in what there is");
		world_free(&w);
	}
	ck_assert_uint_gt(reached, 2);
}
END_TEST

/* --- a disk --- */

GUEST(writer, 64,
      "mov ebx, 0\n"
      "1: mov dx, 0x1f6; mov al, 0xe0; out dx, al; mov dx, 0x1f2; mov al, 1; out dx, al; inc edx\n"
      "mov eax, ebx; shr eax, 1; and al, 7; out dx, al; inc edx; xor al, al; out dx, al; inc edx; out dx, al\n"
      "mov al, 0x20; test bl, 1; jnz 2f; mov al, 0x30; 2: mov dx, 0x1f7; out dx, al\n"
      "3: in al, dx; test al, 0x80; jnz 3b\n"
      "mov dx, 0x1f0; mov ecx, 256; test bl, 1; jnz 4f\n"
      "mov [0x20000], ebx; mov esi, 0x20000; rep outsw; jmp 5f\n"
      "4: mov edi, 0x21000; rep insw\n"
      "5: mov dx, 0x1f7; 6: in al, dx; test al, 0x80; jnz 6b\n"
      "inc ebx; cmp ebx, 60; jb 1b; mov al, 1; out 0xf4, al; hlt\n");

static void choose_writer(void)
{
	guest.code = writer;
	guest.end = writer_end;
	guest.init = NULL;
	guest.disk = true;
}

START_TEST(what_is_on_the_disk_goes_back_too)
{
	struct world w;
	unsigned n;

	choose_writer();
	record_run(2000000);
	ck_assert_int_eq(plain_replay(), REPLAY_EQUAL);
	open_timeline(&w, 0);
	n = steps_from(&w, seen, PLACES, true);
	ck_assert_int_eq(w.m->end, END_DEBUG_EXIT);
	ck_assert_uint_gt(machine_disk(w.m)->nr_chunks, 0);
	seed = 5;
	for (unsigned i = 0; i < 200; i++) {
		unsigned at = 1 + rnd(n - 1);

		must_seek(&w, seen[at].when);
		ck_assert_seen(&w, &seen[at], "with a disk");
		ck_assert_int_eq(step(&w, TARGET_BACKWARD, true).reason, TARGET_STOP_STEP);
		ck_assert_seen(&w, &seen[at - 1], "with a disk");
	}
	must_seek(&w, "start");
	ck_assert_uint_eq(machine_disk(w.m)->nr_chunks, 0);
	ck_assert_int_eq(run_on(&w, TARGET_FORWARD, NULL).reason, TARGET_STOP_END);
	ck_assert_seen(&w, &seen[n - 1], "the end");
	world_free(&w);
}
END_TEST

/* --- live --- */

START_TEST(back_and_forth_while_recording)
{
	unsigned n, places = 0;
	struct world w;

	guest.clock = _i == 1 ? CLOCK_HOST : CLOCK_VIRTUAL;
	if (_i == 2)
		choose_writer();
	open_live(&w, 0);
	seed = 6;
	for (unsigned round = 0; round < 12; round++) {
		n = steps_from(&w, seen + places, 300 + rnd(300), true);
		places += n - 1;
		for (unsigned i = 0; i < 10; i++) {
			unsigned at = rnd(places + 1);

			must_seek(&w, seen[at].when);
			ck_assert_seen(&w, &seen[at], "the past");
			if (at) {
				step(&w, TARGET_BACKWARD, true);
				ck_assert_seen(&w, &seen[at - 1], "one back");
				step(&w, TARGET_FORWARD, true);
				ck_assert_seen(&w, &seen[at], "there again");
			}
		}
		ck_assert_int_lt(seek_to(&w, "event:99999999"), 0);
		ck_assert_int_lt(seek_to(&w, "99999999"), 0);
		if (round % 2) {
			must_seek(&w, "end");
		} else if (round) {
			/* Through the past to where it meets the present. */
			must_seek(&w, seen[places - 5].when);
			for (unsigned i = places - 4; i <= places; i++) {
				ck_assert_int_eq(step(&w, TARGET_FORWARD, true).reason, TARGET_STOP_STEP);
				ck_assert_seen(&w, &seen[i], "towards the present");
			}
		} else {
			must_seek(&w, seen[places].when);
		}
		ck_assert_seen(&w, &seen[places], "the present");
	}
	ck_assert_int_eq(run_on(&w, TARGET_BACKWARD, NULL).reason, TARGET_STOP_BEGIN);
	ck_assert_seen(&w, &seen[0], "the beginning");
	ck_assert_int_eq(run_on(&w, TARGET_FORWARD, NULL).reason, TARGET_STOP_END);
	ck_assert_int_eq(step(&w, TARGET_FORWARD, true).reason, TARGET_STOP_END);
	ck_assert_int_eq(step(&w, TARGET_BACKWARD, true).reason, TARGET_STOP_STEP);
	ck_assert_int_eq(run_on(&w, TARGET_FORWARD, NULL).reason, TARGET_STOP_END);
	close_live(&w);
	ck_assert_int_eq(plain_replay(), REPLAY_EQUAL);
	/* The same places in the trace. */
	open_timeline(&w, 0);
	for (unsigned i = 0; i < 60; i++) {
		unsigned at = rnd(places + 1);

		must_seek(&w, seen[at].when);
		ck_assert_seen(&w, &seen[at], "in the trace");
	}
	world_free(&w);
}
END_TEST

GUEST(
    long_rep, 64,
    "1: mov edi, 0x100000; mov ecx, 0x200000; rep stosb; mov ecx, 5000; inc qword ptr [0x20000]; 2: loop 2b; jmp 1b\n");

/* Where an interrupted run has come to stand nothing may be changed that the replay can't change at that place. */
START_TEST(changes_after_an_interruption)
{
	struct world w;
	struct poker p;

	guest.code = long_rep;
	guest.end = long_rep_end;
	guest.init = NULL;
	guest.clock = _i ? CLOCK_HOST : CLOCK_VIRTUAL;
	open_live(&w, 0);
	p = (struct poker){.t = w.t};
	for (u64 value = 1; value < 30; value++) {
		struct target_stop stop;

		p.stop = false;
		ck_assert_int_eq(pthread_create(&p.thread, NULL, poke, &p), 0);
		stop = run_on(&w, TARGET_FORWARD, NULL);
		p.stop = true;
		pthread_join(p.thread, NULL);
		ck_assert_int_eq(stop.reason, TARGET_STOP_INTERRUPT);
		if (value % 3 == 0) {
			must_seek(&w, "start");
			must_seek(&w, "end");
		}
		if (w.t->ops->write(w.t, 0, TARGET_PHYSICAL, 0x21000, &value, 8)) {
			/* It says what to do. */
			ck_assert_ptr_nonnull(strstr(w.t->ops->error(w.t)->text, "step"));
			ck_assert_int_eq(step(&w, TARGET_FORWARD, true).reason, TARGET_STOP_STEP);
			ck_assert_int_eq(w.t->ops->write(w.t, 0, TARGET_PHYSICAL, 0x21000, &value, 8), 0);
		}
	}
	close_live(&w);
	ck_assert_int_eq(plain_replay(), REPLAY_EQUAL);
}
END_TEST

/* Everything but the borders of chunks. */
static u64 stream_of(const char *name, u64 *console)
{
	XXH3_state_t *h = XXH3_createState();
	struct trace_reader *r;
	struct stream s;
	char text[400];
	u64 sum;

	XXH3_64bits_reset(h);
	ck_assert_int_eq(trace_open(&r, name, 0, &err), 0);
	ck_assert_int_eq(r->state, TRACE_WHOLE);
	stream_init(&s, r);
	for (stream_next(&s); s.item != STREAM_OVER; stream_next(&s)) {
		ck_assert_int_ne(s.item, STREAM_BAD);
		if (s.item == STREAM_END) {
			XXH3_64bits_update(h, &s.end, sizeof(s.end));
			*console = s.end.console;
			continue;
		}
		/* Runs of reads may be told in two parts. */
		for (u64 i = 0; i < (s.item == STREAM_EVENT ? s.event.count : 1); i++) {
			struct event one = s.event;

			one.count = 1;
			if (s.item == STREAM_EVENT && s.event.type == EVENT_IO_READ) {
				u64 value = i & 1 ? one.other : one.value;

				XXH3_64bits_update(h, &one.addr, 8);
				XXH3_64bits_update(h, &value, 8);
			} else {
				stream_describe(&s, text, sizeof(text));
				XXH3_64bits_update(h, text, strlen(text));
			}
		}
	}
	sum = XXH3_64bits_digest(h);
	XXH3_freeState(h);
	stream_free(&s);
	trace_close(r);
	return sum;
}

START_TEST(a_timeline_changes_nothing_of_a_recording)
{
	u64 want, got, console[2];
	char name[96];
	struct world w;

	if (_i)
		choose_end(0);
	record_run(~0ull);
	want = stream_of(path, &console[0]);
	snprintf(name, sizeof(name), "%s", path);
	open_live(&w, 0);
	ck_assert_int_eq(run_on(&w, TARGET_FORWARD, NULL).reason, TARGET_STOP_END);
	close_live(&w);
	got = stream_of(path, &console[1]);
	ck_assert_uint_eq(got, want);
	ck_assert_uint_eq(console[0], console[1]);
	/* Nor when somebody looked. */
	open_live(&w, 0);
	for (unsigned i = 0; i < 40; i++) {
		steps_from(&w, seen, 100, true);
		must_seek(&w, "20%");
		ck_assert_int_lt(seek_to(&w, "event:99999999"), 0);
		must_seek(&w, i % 2 || i < 20 ? "start" : "event:3");
		must_seek(&w, "end");
	}
	ck_assert_int_eq(run_on(&w, TARGET_FORWARD, NULL).reason, TARGET_STOP_END);
	close_live(&w);
	got = stream_of(path, &console[1]);
	ck_assert_uint_eq(got, want);
	ck_assert_uint_eq(console[0], console[1]);
	ck_assert_int_eq(plain_replay(), REPLAY_EQUAL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("timeline");
	TCase *tc = tcase_create("timeline");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, rig_setup, rig_teardown);
	tcase_set_timeout(tc, 300);
	tcase_add_loop_test(tc, steps_are_the_same_places_both_ways, 0, 2);
	tcase_add_test(tc, steps_over_interrupts_are_some_of_all_steps);
	tcase_add_test(tc, exception_handlers_are_stepped_into);
	tcase_add_test(tc, a_step_stops_only_for_what_was_asked);
	tcase_add_test(tc, a_range_is_left);
	tcase_add_test(tc, ten_thousand_steps_back);
	tcase_add_test(tc, seeks_to_all_kinds_of_positions);
	tcase_add_test(tc, seeks_to_times_and_events);
	tcase_add_test(tc, stops_are_the_same_both_ways);
	tcase_add_test(tc, hits_at_checkpoints);
	tcase_add_loop_test(tc, little_memory_makes_no_difference, 0, 2);
	tcase_add_test(tc, interruptions_leave_a_place);
	tcase_add_loop_test(tc, all_kinds_of_ends, 0, ARRAY_SIZE(ends));
	tcase_add_test(tc, the_place_where_a_replay_differs);
	tcase_add_test(tc, traces_that_are_cut_off);
	tcase_add_test(tc, what_is_on_the_disk_goes_back_too);
	tcase_add_loop_test(tc, back_and_forth_while_recording, 0, 3);
	tcase_add_loop_test(tc, changes_after_an_interruption, 0, 2);
	tcase_add_loop_test(tc, a_timeline_changes_nothing_of_a_recording, 0, 2);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
