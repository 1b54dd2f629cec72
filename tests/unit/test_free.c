/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Machines that run freely, by host time: no two runs are the same, every replay is. */
#include <check.h>
#include <errno.h>
#include <pthread.h>

#include "replay/settle.h"
#include "timeline_rig.h"
#include "traces/record.h"

/* The 8259A and the 8254 at about 2 kHz. The handler counts at 20000h and leaves at the count in 20008h. What was
 * interrupted goes into a sum that all registers at the end depend on. */
#define TIMER                                                                                                        \
	"mov al, 0x11; out 0x20, al; mov al, 0x20; out 0x21, al; mov al, 4; out 0x21, al; mov al, 1; out 0x21, al\n" \
	"mov al, 0xfe; out 0x21, al; mov al, 0x34; out 0x43, al; mov al, 0x55; out 0x40, al; mov al, 2; out 0x40, "  \
	"al\n"
#define HANDLER(name)                                                                                                 \
	name ": push rax; imul r15, r15, 31; add r15, [rsp + 8]; add r15, rcx; mov al, 0x20; out 0x20, al\n"          \
	     "inc qword ptr [0x20000]; mov rax, [0x20008]; cmp [0x20000], rax; jb 9f; mov al, 5; out 0xf4, al; hlt\n" \
	     "9: pop rax; iretq\n"

GUEST(regs, 64,
      TIMER
      "sti; xor eax, eax; 1: imul rax, rax, 12345; inc rax; mov ecx, 1000; 2: loop 2b; jmp 1b\n" HANDLER("regs_irq"));
GUEST(mem, 64, TIMER "sti; 1: inc qword ptr [0x20018]; jmp 1b\n" HANDLER("mem_irq"));
GUEST(sse, 64,
      TIMER "sti; mov eax, 1; movq xmm1, rax; pxor xmm0, xmm0; 1: paddq xmm0, xmm1; movntdq [0x20100], xmm0; "
	    "jmp 1b\n" HANDLER("sse_irq"));
GUEST(idle, 64, TIMER "sti; 1: hlt; inc r14; jmp 1b\n" HANDLER("idle_irq"));
GUEST(tsc, 64, TIMER "sti; 1: rdtsc; add r14, rax; in al, 0x40; add r14, rax; jmp 1b\n" HANDLER("tsc_irq"));
GUEST(copy, 64,
      TIMER "sti; cld; 1: mov esi, 0x100000; mov edi, 0x200000; mov ecx, 0x20000; rep movsq\n"
	    "inc qword ptr [0x100000]; mov edi, 0x100008; mov ecx, 0x100000; mov al, cl; rep stosb; jmp 1b\n" HANDLER(
		"copy_irq"));
GUEST(ports, 64,
      TIMER "sti; cld; 1: mov edi, 0x21000; mov ecx, 300; mov edx, 0x3fd; rep insb; mov esi, 0x21000\n"
	    "mov ecx, 20; mov edx, 0x80; rep outsb; jmp 1b\n" HANDLER("ports_irq"));
GUEST(faults, 64,
      TIMER "sti; 1: mov rax, [0x3ff000]; inc r14; ud2; jmp 1b\n"
	    "faults_pf: add rsp, 8; add qword ptr [rsp], 8; iretq\n"
	    "faults_ud: add qword ptr [rsp], 2; iretq\n" HANDLER("faults_irq"));
GUEST(shadows, 64,
      TIMER "1: cli; nop; sti; nop; mov eax, ss; mov ss, eax; inc r14; pushfq; or qword ptr [rsp], 0x100\n"
	    "popfq; nop; inc r13; pushfq; and qword ptr [rsp], ~0x100; popfq; jmp 1b\n"
	    "shadows_db: inc r12; iretq\n" HANDLER("shadows_irq"));
GUEST(hang, 64, TIMER "sti; hang_pf: jmp hang_pf\n" HANDLER("hang_irq"));
GUEST(spin, 64, "mov al, 0x80; out 0x80, al; cli; 1: inc rax; jmp 1b\n");

extern const u8 regs_irq[], mem_irq[], sse_irq[], idle_irq[], tsc_irq[], copy_irq[], ports_irq[], faults_irq[],
    faults_pf[], faults_ud[], shadows_irq[], shadows_db[], hang_irq[], hang_pf[];

static const struct kind {
	const char *name;
	const u8 *code, *end, *irq, *pf, *ud, *db;
	unsigned ticks;
} kinds[] = {
    {"a loop in registers", regs, regs_end, regs_irq, NULL, NULL, NULL, 30},
    {"a loop that changes memory", mem, mem_end, mem_irq, NULL, NULL, NULL, 4},
    {"a loop that changes SSE registers", sse, sse_end, sse_irq, NULL, NULL, NULL, 4},
    {"HLT", idle, idle_end, idle_irq, NULL, NULL, NULL, 30},
    {"reading the time", tsc, tsc_end, tsc_irq, NULL, NULL, NULL, 30},
    {"long string instructions", copy, copy_end, copy_irq, NULL, NULL, NULL, 30},
    {"string instructions on ports", ports, ports_end, ports_irq, NULL, NULL, NULL, 30},
    {"faults", faults, faults_end, faults_irq, faults_pf, faults_ud, NULL, 30},
    {"shadows and single steps", shadows, shadows_end, shadows_irq, NULL, NULL, shadows_db, 30},
    {"waiting at an exception's handler", hang, hang_end, hang_irq, hang_pf, NULL, NULL, 30},
};
static const struct kind *kind;

static void kind_init(struct machine *m)
{
	const struct {
		unsigned vector;
		const u8 *handler;
	} gates[] = {{0x20, kind->irq}, {X86_PF, kind->pf}, {X86_UD, kind->ud}, {X86_DB, kind->db}};

	for (unsigned i = 0; i < ARRAY_SIZE(gates); i++)
		if (gates[i].handler)
			gate(m, gates[i].vector, CODE + (gates[i].handler - kind->code), 0);
	*pte(m, 0x3ff000) = 0;
	store64(ram(m, 0x20008), kind->ticks);
}

static void choose(const struct kind *k)
{
	kind = k;
	guest.code = k->code;
	guest.end = k->end;
	guest.init = kind_init;
	guest.clock = CLOCK_HOST;
	guest.free = true;
	guest.config = (struct recorder_config){.input_fd = -1, .digest_every = 5000000, .chunk_every = 3000000};
}

static void setup(void)
{
	rig_setup();
	choose(&kinds[0]);
}

/* --- replays --- */

static char report[8192];

static enum replay_result replay(void)
{
	enum replay_result result;
	struct world w;
	FILE *f;

	open_replay(&w);
	machine_run(w.m, CLOCK_NEVER);
	result = replayer_finish(w.replayer);
	report[0] = 0;
	if (result == REPLAY_DIVERGED) {
		f = fmemopen(report, sizeof(report), "w");
		divergence_print(replayer_divergence(w.replayer), f, NULL, NULL);
		fclose(f);
	} else if (result == REPLAY_CUT) {
		snprintf(report, sizeof(report), "%s", replayer_damage(w.replayer)->text);
	}
	world_free(&w);
	return result;
}

/* The trace with counts, in its place. */
static int settle(void)
{
	struct settle *s;
	struct world w;
	int ret;

	open_replay(&w);
	ck_assert(w.m->config.free);
	ck_assert_msg(!trace_writer_create(&w.writer, path, TRACE_FORCE, &err), "%s", err.text);
	ck_assert_msg(!settle_begin(&s, w.reader, w.replayer, w.m, w.writer, &err), "%s", err.text);
	machine_run(w.m, CLOCK_NEVER);
	ret = settle_finish(s, &err);
	settle_free(s);
	if (!ret || ret == -EBADMSG)
		ck_assert_int_eq(trace_writer_close(w.writer, &err), 0);
	else
		trace_writer_abandon(w.writer);
	w.writer = NULL;
	world_free(&w);
	return ret;
}

static void expect_equal(const char *what)
{
	ck_assert_msg(replay() == REPLAY_EQUAL, "%s: %s\n%s", kind->name, what, report);
}

START_TEST(every_round_replays)
{
	choose(&kinds[_i]);
	for (unsigned round = 0; round < 4; round++) {
		record_run(~0ull);
		expect_equal("replayed");
		if (round % 2)
			continue;
		ck_assert_msg(!settle(), "%s: %s", kind->name, err.text);
		expect_equal("with counts");
	}
}
END_TEST

/* --- ends that the host chooses, and runs that are cut --- */

struct cutter {
	struct machine *m;
	volatile bool over;
};

static void *cut_again_and_again(void *opaque)
{
	struct cutter *c = opaque;

	while (!c->over) {
		usleep(300);
		machine_interrupt(c->m);
	}
	return NULL;
}

START_TEST(cutting_a_run_changes_nothing)
{
	struct cutter c = {.over = false};
	pthread_t thread;
	struct world w;

	choose(&kinds[_i]);
	begin_recording(&w, path);
	c.m = w.m;
	ck_assert_int_eq(pthread_create(&thread, NULL, cut_again_and_again, &c), 0);
	while (!w.m->end)
		ck_assert_int_eq(machine_run(w.m, machine_position(w.m) + 1 + machine_position(w.m) % 100), 0);
	c.over = true;
	pthread_join(thread, NULL);
	end_recording(&w, END_USER);
	world_free(&w);
	expect_equal("cut while recording");
	open_replay(&w);
	c = (struct cutter){.m = w.m};
	ck_assert_int_eq(pthread_create(&thread, NULL, cut_again_and_again, &c), 0);
	while (!w.m->end)
		ck_assert_int_eq(machine_run(w.m, machine_position(w.m) + 10), 0);
	c.over = true;
	pthread_join(thread, NULL);
	ck_assert_int_eq(replayer_finish(w.replayer), REPLAY_EQUAL);
	world_free(&w);
}
END_TEST

/* Stopped after some ms, or at an access. */
static void record_part(enum machine_end end, bool by_time)
{
	struct cutter c = {.over = false};
	pthread_t thread;
	struct world w;

	begin_recording(&w, path);
	c.m = w.m;
	if (by_time)
		ck_assert_int_eq(pthread_create(&thread, NULL, cut_again_and_again, &c), 0);
	for (unsigned n = 0; n < 12 && !w.m->end; n++)
		ck_assert_int_eq(machine_run(w.m, by_time ? ~0ull : 20), 0);
	c.over = true;
	if (by_time)
		pthread_join(thread, NULL);
	end_recording(&w, end);
	world_free(&w);
}

START_TEST(ends_of_the_hosts_choice)
{
	static const enum machine_end ends[] = {END_USER, END_UNTIL, END_PANIC};

	for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++) {
		choose(&kinds[k]);
		record_part(ends[_i], k % 2);
		expect_equal("ended early");
		ck_assert_msg(!settle(), "%s: %s", kind->name, err.text);
		expect_equal("ended early, with counts");
	}
}
END_TEST

/* --- traces that aren't right --- */

struct change {
	unsigned nth; /* of the events with a place's state, from 0 */
	void (*make)(struct event *ev);
	unsigned seen;
};

static void put_event(struct event_encoder *enc, const struct event *ev)
{
	switch (ev->type) {
	case EVENT_IO_READ:
		for (u64 i = 0; i < ev->count; i++)
			event_put_read(enc, ev->vcpu, ev->space, ev->addr, ev->size, i & 1 ? ev->other : ev->value);
		break;
	case EVENT_CLOCK:
		event_put_clock(enc, ev->vcpu, ev->ns);
		break;
	case EVENT_INTERRUPT:
		event_put_interrupt(enc, ev->vcpu, &ev->mark, ev->kind, ev->vector, ev->writes);
		break;
	case EVENT_ADVANCE:
		if (ev->flags & EVENT_STATE)
			event_put_advance_at(enc, ev);
		else
			event_put_advance(enc, ev->vcpu, &ev->mark, ev->flags, ev->ns);
		break;
	default:
		ck_abort_msg("no such event is recorded here");
	}
}

static void change_events(struct change *c, struct trace_reader *r, size_t i, const struct trace_buf *buf,
			  struct trace_writer *w)
{
	struct event_decoder *dec = malloc(sizeof(*dec));
	struct event_encoder *enc = malloc(sizeof(*enc));
	struct event ev;

	ck_assert_int_eq(event_encoder_init(enc), 0);
	event_encoder_begin(enc, r->chunk[i].position);
	event_decoder_init(dec, buf->data, buf->len, r->chunk[i].position);
	while (event_next(dec, &ev) == 1) {
		if (ev.type == EVENT_ADVANCE && (ev.flags & EVENT_STATE) && c->seen++ == c->nth)
			c->make(&ev);
		put_event(enc, &ev);
	}
	event_encoder_end(enc);
	ck_assert_int_eq(trace_write(w, TRACE_EVENTS, r->chunk[i].position, enc->buf, enc->len), 0);
	event_encoder_free(enc);
	free(enc);
	free(dec);
}

/* Writes the trace anew with that change, and only @chunks of it (~0: all). Returns how many it has. */
static size_t change_trace(struct change *c, size_t chunks)
{
	struct trace_buf buf = {0};
	struct trace_reader *r;
	struct trace_writer *w;
	size_t count;

	ck_assert_int_eq(trace_open(&r, path, 0, &err), 0);
	ck_assert_uint_eq(r->version, 3);
	ck_assert_uint_eq(r->min_reader, 3);
	ck_assert_int_eq(trace_writer_create(&w, path, TRACE_FORCE, &err), 0);
	ck_assert_int_eq(trace_writer_require(w, TRACE_VERSION), 0);
	for (size_t i = 0; i < r->count && i < chunks; i++) {
		if (r->chunk[i].type != TRACE_EVENTS || !c) {
			ck_assert_int_eq(trace_copy(w, r, i, &err), 0);
			continue;
		}
		ck_assert_int_eq(trace_read(r, i, &buf, &err), 0);
		change_events(c, r, i, &buf, w);
	}
	count = r->count;
	trace_buf_free(&buf);
	trace_close(r);
	ck_assert_int_eq(trace_writer_close(w, &err), 0);
	return count;
}

static void other_memory(struct event *ev)
{
	ev->memory++;
}

static void other_state(struct event *ev)
{
	ev->state++;
}

static void other_registers(struct event *ev)
{
	ev->mark.digest++;
}

static void other_rip(struct event *ev)
{
	ev->mark.rip = 0x10fff;
}

static void other_base(struct event *ev)
{
	ev->base = 0x1234;
}

static void other_position(struct event *ev)
{
	ev->mark.insns++;
}

/* Guests that soon make another access: the search is over there. */
START_TEST(places_that_are_not_there)
{
	static const unsigned polling[] = {4, 6};
	static const struct {
		void (*make)(struct event *ev);
		const char *words; /* of the report; NULL: any */
	} changes[] = {
	    {other_memory, "but memory differed"},
	    {other_state, "with the registers of the recording 0 times"},
	    {other_registers, "with the registers of the recording 0 times"},
	    {other_rip, "it was 0 times at RIP 0x10fff"},
	    {other_base, NULL},
	    {other_position, NULL},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(changes); i++) {
		struct change c = {.nth = 5, .make = changes[i].make};

		choose(&kinds[polling[_i]]);
		record_run(~0ull);
		change_trace(&c, ~0ull);
		ck_assert_uint_gt(c.seen, 5);
		ck_assert_msg(replay() == REPLAY_DIVERGED, "%s, change %u", kind->name, i);
		ck_assert_msg(!changes[i].words || strstr(report, changes[i].words), "%s, change %u: %s", kind->name, i,
			      report);
		ck_assert_int_eq(settle(), -EBADMSG);
	}
}
END_TEST

/* A guest that does nothing that could be compared, and a place to which it never comes. */
START_TEST(a_search_has_an_end)
{
	static const struct kind spinning = {"spinning", spin, spin_end, NULL, NULL, NULL, NULL, 0};
	struct change c = {.nth = 1, .make = other_rip};

	choose(&spinning);
	record_part(END_USER, true);
	expect_equal("as recorded");
	change_trace(&c, ~0ull);
	ck_assert_int_eq(replay(), REPLAY_DIVERGED);
	ck_assert_msg(strstr(report, "run for long"), "%s", report);
}
END_TEST

START_TEST(traces_that_are_cut_off)
{
	size_t count;

	for (size_t chunks = 3; chunks < 9; chunks++) {
		record_run(~0ull);
		count = change_trace(NULL, chunks);
		if (count <= chunks)
			break;
		ck_assert_msg(replay() == REPLAY_CUT, "%zu chunks of %zu: %s", chunks, count, report);
		ck_assert_int_eq(settle(), -EBADMSG);
		ck_assert_msg(replay() == REPLAY_CUT, "%zu chunks of %zu, with counts: %s", chunks, count, report);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("free");
	TCase *tc = tcase_create("free");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, rig_teardown);
	tcase_set_timeout(tc, 600);
	tcase_add_loop_test(tc, every_round_replays, 0, ARRAY_SIZE(kinds));
	tcase_add_loop_test(tc, cutting_a_run_changes_nothing, 0, ARRAY_SIZE(kinds));
	tcase_add_loop_test(tc, ends_of_the_hosts_choice, 0, 3);
	tcase_add_loop_test(tc, places_that_are_not_there, 0, 2);
	tcase_add_test(tc, a_search_has_an_end);
	tcase_add_test(tc, traces_that_are_cut_off);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
