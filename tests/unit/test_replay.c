/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Recorder and replayer on the real machine with an engine of a few "instructions": a program that sets up the 8259A
 * and the 8254, then computes, polls the UART and the timer, writes memory, prints, halts and takes interrupts. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <xxhash.h>

#include "replay/digest.h"
#include "replay/landmark.h"
#include "replay/recorder.h"
#include "replay/replayer.h"
#include "replay/session.h"
#include "traces/record.h"
#include "traces/text.h"

/* --- the engine --- */

enum finish { FINISH_EXIT, FINISH_TRIPLE, FINISH_HALT, FINISH_WAIT, FINISH_NEVER };

static struct {
	u64 length; /* instructions of the main part */
	enum finish finish;
	u64 perturb;     /* at this RIP ... */
	unsigned kind;   /* ... something is different */
	u64 interrupt;   /* at this RIP somebody presses Ctrl-C */
	u64 stuck;       /* the instruction at this RIP is a REP INS without end */
	unsigned resets; /* dirty_reset calls */
} prog;

static const struct {
	u16 port;
	u8 value;
} setup_writes[] = {
    {0x20, 0x11},  {0x21, 0x20},  {0x21, 0x04},  {0x21, 0x01},  {0x21, 0xee}, /* master: IRQ 0 and 4 */
    {0xa0, 0x11},  {0xa1, 0x28},  {0xa1, 0x02},  {0xa1, 0x01},  {0xa1, 0xff},
    {0x43, 0x34},  {0x40, 0x50},  {0x40, 0x00},                 /* counter 0, mode 2, 80 ticks: about 67 us */
    {0x3fb, 0x03}, {0x3fa, 0x07}, {0x3fc, 0x0b}, {0x3f9, 0x01}, /* UART: FIFO, OUT2, receive interrupts */
};

static void fake_step(struct vcpu *v)
{
	struct x86_state *r = &v->regs;
	u64 n = r->rip++;

	if (r->gpr[R15]) { /* interrupt handler */
		r->rip--;
		r->gpr[RDX] += r->gpr[R15];
		if (r->gpr[R15] == 0x25)
			r->gpr[RBX] = r->gpr[RBX] * 31 + v->ops->io_read(v, IO_PORT, 0x3f8, 1);
		v->ops->io_write(v, IO_PORT, 0x20, 1, 0x20);
		r->gpr[R15] = 0;
		r->rflags |= RFLAGS_IF;
		v->insns++;
		return;
	}
	if (n < ARRAY_SIZE(setup_writes)) {
		v->ops->io_write(v, IO_PORT, setup_writes[n].port, 1, setup_writes[n].value);
		v->insns++;
		return;
	}
	if (n == prog.stuck) {
		r->rip--;
		do {
			r->gpr[RCX]--;
			r->gpr[RSI] += v->ops->io_read(v, IO_PORT, 0x3fd, 1);
		} while (!v->kick);
		return;
	}
	r->rflags |= RFLAGS_IF;
	r->gpr[RAX] = r->gpr[RAX] * 6364136223846793005ull + 1442695040888963407ull;
	if (n % 16 == 0)
		r->gpr[RCX] += v->ops->io_read(v, IO_PORT, 0x3fd, 1);
	if (n % 50 == 0)
		r->gpr[RSI] += v->ops->io_read(v, IO_PORT, 0x40, 1);
	if (n % 300 == 0)
		v->ops->io_write(v, IO_PORT, 0xe9, 1, n % 9000 ? 'a' + n % 26 : '\n');
	if (n % 64 == 0)
		memory_write(v->mem, (r->gpr[RAX] >> 20) % 0xff000, &r->gpr[RAX], 8);
	if (n % 777 == 0)
		r->gpr[RDI] += v->ops->tsc(v);
	if (n % 4 == 0)
		v->branches++;
	if (n == prog.perturb) {
		u64 one = 1;

		if (prog.kind == 0)
			r->gpr[R9] ^= 1;
		else if (prog.kind == 1)
			memory_write(v->mem, 0x1234, &one, 8);
		else if (prog.kind == 2)
			v->ops->io_read(v, IO_PORT, 0x60, 1);
		else if (prog.kind == 3)
			v->ops->io_write(v, IO_PORT, 0x80, 1, 7);
	}
	if (n == prog.interrupt)
		machine_interrupt(v->machine);
	if (n % 1000 == 999)
		r->activity = ACTIVITY_HLT;
	if (n >= prog.length && prog.finish != FINISH_NEVER) {
		if (prog.finish == FINISH_EXIT)
			v->ops->io_write(v, IO_PORT, 0xf4, 1, 0x31);
		if (prog.finish == FINISH_HALT)
			r->rflags &= ~RFLAGS_IF;
		if (prog.finish == FINISH_WAIT) {
			v->ops->io_write(v, IO_PORT, 0x21, 1, 0xef);
			v->ops->io_write(v, IO_PORT, 0x43, 1, 0x30); /* mode 0, no count: the timer is over */
			prog.length += 1000;
		}
		r->activity = prog.finish == FINISH_TRIPLE ? ACTIVITY_SHUTDOWN : ACTIVITY_HLT;
	}
	v->insns++;
}

static enum exit_reason fake_run(struct vcpu *v, u64 until)
{
	while (v->insns < until) {
		if (v->kick)
			return EXIT_KICKED;
		if (v->want_window && vcpu_can_inject(v))
			return EXIT_WINDOW;
		fake_step(v);
		if (v->regs.activity == ACTIVITY_HLT)
			return EXIT_HLT;
		if (v->regs.activity == ACTIVITY_SHUTDOWN)
			return EXIT_SHUTDOWN;
	}
	return EXIT_POSITION;
}

static int fake_create(struct machine *m, unsigned id, struct vcpu **vcpu, struct error *err)
{
	*vcpu = calloc(1, sizeof(**vcpu));
	(*vcpu)->mem = &m->mem;
	x86_state_reset(&(*vcpu)->regs);
	(*vcpu)->regs.rip = 0;
	return 0;
}

static void fake_free(struct vcpu *vcpu)
{
	free(vcpu);
}

static void fake_inject(struct vcpu *v, enum irq_kind kind, u8 vector)
{
	v->regs.rflags &= ~RFLAGS_IF;
	v->regs.activity = ACTIVITY_ACTIVE;
	v->regs.gpr[R15] = vector + 1;
}

static void fake_dirty_reset(struct vcpu *v)
{
	prog.resets++;
}

static const struct engine_ops fake_engine = {
    .name = "fake",
    .exact_insns = true,
    .exact_branches = true,
    .vcpu_create = fake_create,
    .vcpu_free = fake_free,
    .run = fake_run,
    .inject = fake_inject,
    .dirty_reset = fake_dirty_reset,
};

/* --- record and replay --- */

static char dir[64], path[96], kernel_path[96];
static struct error err;
static struct session session;
static struct trace_buf printed;
static struct recorder *listening;

static void setup(void)
{
	FILE *f;

	strcpy(dir, "/tmp/test_replay.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/a.vmt", dir);
	snprintf(kernel_path, sizeof(kernel_path), "%s/kernel.bin", dir);
	f = fopen(kernel_path, "w");
	fputs("not much of a kernel", f);
	fclose(f);
	memset(&prog, 0, sizeof(prog));
	prog.length = 200000;
	prog.perturb = prog.interrupt = prog.stuck = ~0ull;
	session_init(&session);
	session.config.ram = 4 << 20;
	session.config.engine = &fake_engine;
	ck_assert_int_eq(session_set_kernel(&session, kernel_path, &err), 0);
	ck_assert_int_eq(session_set_append(&session, "console=ttyS0 a\\b", &err), 0);
	printed.len = 0;
}

static void teardown(void)
{
	char command[128];

	session_free(&session);
	trace_buf_free(&printed);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	ck_assert_int_eq(system(command), 0);
}

static void listen(void *ctx, enum console_port port, const u8 *buf, size_t len)
{
	trace_buf_add(&printed, buf, len);
	if (listening)
		recorder_console(listening, port, buf, len);
}

static struct machine *new_machine(const struct session *s)
{
	struct machine_config config = s->config;
	struct machine *m;

	config.engine = &fake_engine;
	ck_assert_msg(!machine_create(&m, &config, &err), "%s", err.text);
	m->listener.console = listen;
	return m;
}

/* Records to @path; returns why the run ended. */
static enum machine_end record(int fd, u64 until)
{
	struct recorder_config config = {
	    .input_fd = fd, .digest_every = 50000, .chunk_every = 10000, .input_every = 1000};
	struct machine *m = new_machine(&session);
	struct trace_writer *w;
	enum machine_end end;
	bool interrupted;

	ck_assert_msg(!trace_writer_create(&w, path, 0, &err), "%s", err.text);
	ck_assert_int_eq(session_save(&session, w, 0, &err), 0);
	ck_assert_int_eq(recorder_create(&listening, w, m, &config, &err), 0);
	ck_assert_int_eq(machine_run(m, until), 0);
	interrupted = machine_position(m) < until;
	if (!m->end)
		machine_set_end(m, interrupted ? END_USER : END_UNTIL, 0);
	ck_assert_msg(!recorder_finish(listening, &err), "%s", err.text);
	ck_assert_uint_gt(recorder_stats(listening).events, 0);
	end = m->end;
	recorder_free(listening);
	listening = NULL;
	ck_assert_msg(!trace_writer_close(w, &err), "%s", err.text);
	machine_free(m);
	return end;
}

struct outcome {
	enum replay_result result;
	char text[4096]; /* the report, or the damage */
	u64 position, events;
};

static struct outcome replay(void)
{
	struct outcome out = {.text = ""};
	struct trace_reader *r;
	struct replayer *rp;
	struct session s;
	struct machine *m;

	printed.len = 0;
	ck_assert_msg(!trace_open(&r, path, 0, &err), "%s", err.text);
	if (session_load(&s, r, NULL, NULL, NULL, &err)) {
		out.result = REPLAY_CUT;
		snprintf(out.text, sizeof(out.text), "%s", err.text);
		trace_close(r);
		return out;
	}
	s.config.engine = &fake_engine;
	if (machine_create(&m, &s.config, &err)) {
		out.result = REPLAY_CUT;
		session_free(&s);
		trace_close(r);
		return out;
	}
	m->listener.console = listen;
	if (replayer_create(&rp, r, m, &s, &err)) {
		out.result = REPLAY_CUT;
		snprintf(out.text, sizeof(out.text), "%s", err.text);
	} else {
		machine_run(m, CLOCK_NEVER);
		out.result = replayer_finish(rp);
		out.position = replayer_progress(rp).position;
		out.events = replayer_progress(rp).events;
		if (out.result == REPLAY_DIVERGED) {
			FILE *f = fmemopen(out.text, sizeof(out.text), "w");

			divergence_print(replayer_divergence(rp), f, NULL, NULL);
			fclose(f);
		} else if (out.result == REPLAY_CUT) {
			snprintf(out.text, sizeof(out.text), "%s", replayer_damage(rp)->text);
		}
		replayer_free(rp);
	}
	machine_free(m);
	session_free(&s);
	trace_close(r);
	return out;
}

static void expect_equal(void)
{
	struct trace_buf before = printed;
	struct outcome out;

	memset(&printed, 0, sizeof(printed));
	out = replay();
	ck_assert_msg(out.result == REPLAY_EQUAL, "result %d: %s", out.result, out.text);
	ck_assert_uint_eq(before.len, printed.len);
	ck_assert(!before.len || !memcmp(before.data, printed.data, before.len));
	trace_buf_free(&before);
}

static struct trace_buf slurp(void)
{
	struct trace_buf buf = {0};
	u8 block[4096];
	size_t n;
	FILE *f = fopen(path, "rb");

	ck_assert_ptr_nonnull(f);
	while ((n = fread(block, 1, sizeof(block), f)))
		trace_buf_add(&buf, block, n);
	fclose(f);
	return buf;
}

static void spit(const void *data, size_t len)
{
	FILE *f = fopen(path, "wb");

	ck_assert_uint_eq(fwrite(data, 1, len, f), len);
	fclose(f);
}

static bool trace_has(u8 type, u8 flags)
{
	struct event_decoder dec;
	struct trace_reader *r;
	struct trace_buf buf = {0};
	struct event ev;
	bool found = false;

	ck_assert_int_eq(trace_open(&r, path, 0, &err), 0);
	for (size_t i = 0; i < r->count; i++) {
		if (r->chunk[i].type != TRACE_EVENTS)
			continue;
		ck_assert_int_eq(trace_read(r, i, &buf, &err), 0);
		event_decoder_init(&dec, buf.data, buf.len, r->chunk[i].position);
		while (event_next(&dec, &ev) == 1)
			found |= ev.type == type && ev.flags == flags;
	}
	trace_close(r);
	trace_buf_free(&buf);
	return found;
}

START_TEST(virtual_clock_replays_and_repeats)
{
	struct trace_buf a, b;

	ck_assert_int_eq(record(-1, CLOCK_NEVER), END_DEBUG_EXIT);
	ck_assert_uint_gt(printed.len, 100);
	ck_assert(trace_has(EVENT_INTERRUPT, 0));
	expect_equal();
	a = slurp();
	unlink(path);
	printed.len = 0;
	record(-1, CLOCK_NEVER);
	b = slurp();
	ck_assert(a.len == b.len && !memcmp(a.data, b.data, a.len));
	trace_buf_free(&a);
	trace_buf_free(&b);
}
END_TEST

START_TEST(host_clock_replays)
{
	session.config.clock = CLOCK_HOST;
	ck_assert_int_eq(record(-1, CLOCK_NEVER), END_DEBUG_EXIT);
	ck_assert(trace_has(EVENT_INTERRUPT, 0));
	ck_assert(trace_has(EVENT_CLOCK, 0));
	ck_assert(trace_has(EVENT_ADVANCE, EVENT_IDLE));
	expect_equal();
}
END_TEST

START_TEST(input_replays)
{
	for (unsigned host = 0; host < 2; host++) {
		int fd[2];

		session.config.clock = host ? CLOCK_HOST : CLOCK_VIRTUAL;
		ck_assert_int_eq(pipe(fd), 0);
		ck_assert_int_eq(write(fd[1], "hello, world\n", 13), 13);
		close(fd[1]);
		ck_assert_int_eq(record(fd[0], CLOCK_NEVER), END_DEBUG_EXIT);
		close(fd[0]);
		ck_assert(trace_has(EVENT_INPUT, 0));
		expect_equal();
		unlink(path);
		printed.len = 0;
	}
}
END_TEST

START_TEST(input_while_halted_replays)
{
	for (unsigned host = 0; host < 2; host++) {
		int fd[2];

		prog.length = 50000;
		prog.finish = FINISH_WAIT;
		session.config.clock = host ? CLOCK_HOST : CLOCK_VIRTUAL;
		ck_assert_int_eq(pipe(fd), 0);
		if (!fork()) {
			close(fd[0]);
			for (unsigned i = 0; i < 3; i++) {
				usleep(60000);
				if (write(fd[1], "x", 1) != 1)
					break;
			}
			usleep(60000);
			_exit(0);
		}
		close(fd[1]);
		ck_assert_int_eq(record(fd[0], CLOCK_NEVER), END_HALTED);
		close(fd[0]);
		ck_assert(trace_has(EVENT_INPUT, EVENT_IDLE));
		prog.length = 50000;
		expect_equal();
		unlink(path);
		printed.len = 0;
	}
}
END_TEST

START_TEST(every_end_replays)
{
	static const struct {
		enum finish finish;
		u64 until;
		enum machine_end end;
	} c[] = {
	    {FINISH_EXIT, CLOCK_NEVER, END_DEBUG_EXIT},
	    {FINISH_TRIPLE, CLOCK_NEVER, END_TRIPLE_FAULT},
	    {FINISH_HALT, CLOCK_NEVER, END_HALTED},
	    {FINISH_NEVER, 123457, END_UNTIL},
	    {FINISH_NEVER, 100000, END_UNTIL}, /* with a digest and a chunk's end in the same place */
	    {FINISH_NEVER, 1, END_UNTIL},
	};

	for (unsigned host = 0; host < 2; host++) {
		session.config.clock = host ? CLOCK_HOST : CLOCK_VIRTUAL;
		for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
			if (c[i].until == 1 && !host)
				continue; /* no event yet */
			prog.length = 60000;
			prog.finish = c[i].finish;
			ck_assert_int_eq(record(-1, c[i].until == 1 ? 700 : c[i].until), c[i].end);
			expect_equal();
			unlink(path);
			printed.len = 0;
		}
	}
}
END_TEST

START_TEST(interrupted_run_replays)
{
	prog.finish = FINISH_NEVER;
	for (unsigned host = 0; host < 2; host++) {
		session.config.clock = host ? CLOCK_HOST : CLOCK_VIRTUAL;
		for (u64 at = 77990; at < 78010; at++) {
			prog.interrupt = at;
			ck_assert_int_eq(record(-1, CLOCK_NEVER), END_USER);
			prog.interrupt = ~0ull;
			expect_equal();
			unlink(path);
			printed.len = 0;
		}
	}
}
END_TEST

START_TEST(interrupted_instruction_without_end_replays)
{
	struct trace_reader *r;

	prog.finish = FINISH_NEVER;
	prog.stuck = 77001;
	for (unsigned host = 0; host < 2; host++) {
		session.config.clock = host ? CLOCK_HOST : CLOCK_VIRTUAL;
		prog.interrupt = 77000;
		ck_assert_int_eq(record(-1, CLOCK_NEVER), END_USER);
		prog.interrupt = ~0ull;
		ck_assert_int_eq(trace_open(&r, path, 0, &err), 0);
		ck_assert_int_eq(trace_verify(r, &err), 0);
		trace_close(r);
		expect_equal();
		unlink(path);
		printed.len = 0;
	}
}
END_TEST

START_TEST(caller_may_stop_a_replay)
{
	struct trace_reader *r;
	struct replayer *rp;
	struct session s;
	struct machine *m;

	record(-1, CLOCK_NEVER);
	ck_assert_int_eq(trace_open(&r, path, TRACE_QUICK, &err), 0);
	ck_assert_int_eq(session_load(&s, r, NULL, NULL, NULL, &err), 0);
	m = new_machine(&s);
	ck_assert_int_eq(replayer_create(&rp, r, m, &s, &err), 0);
	ck_assert_int_eq(replayer_end(rp)->reason, END_DEBUG_EXIT);
	for (u64 until = 0; until < 100000; until += 777)
		ck_assert_int_eq(machine_run(m, until), 0);
	ck_assert_uint_gt(replayer_progress(rp).events, 0);
	ck_assert_uint_gt(replayer_progress(rp).last, 100000);
	ck_assert_int_eq(replayer_finish(rp), REPLAY_STOPPED);
	replayer_free(rp);
	machine_free(m);
	session_free(&s);
	trace_close(r);
}
END_TEST

START_TEST(guest_that_ends_too_early_differs)
{
	struct trace_reader *r;
	struct replayer *rp;
	struct session s;
	struct machine *m;

	record(-1, CLOCK_NEVER);
	ck_assert_int_eq(trace_open(&r, path, TRACE_QUICK, &err), 0);
	ck_assert_int_eq(session_load(&s, r, NULL, NULL, NULL, &err), 0);
	m = new_machine(&s);
	ck_assert_int_eq(replayer_create(&rp, r, m, &s, &err), 0);
	ck_assert_int_eq(machine_run(m, 50000), 0);
	machine_set_end(m, END_PANIC, 0); /* as pvpanic does */
	ck_assert_int_eq(replayer_finish(rp), REPLAY_DIVERGED);
	replayer_free(rp);
	machine_free(m);
	session_free(&s);
	trace_close(r);
}
END_TEST

START_TEST(differences_are_reported)
{
	static const struct {
		unsigned kind;
		const char *text;
	} c[] = {
	    {0, "general register"},
	    {1, "memory differs"},
	    {2, "the guest reads port 0x60"},
	    {3, "wrote to devices"},
	};

	record(-1, CLOCK_NEVER);
	for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
		struct outcome out;

		prog.perturb = 120010;
		prog.kind = c[i].kind;
		out = replay();
		ck_assert_int_eq(out.result, REPLAY_DIVERGED);
		ck_assert_msg(strstr(out.text, c[i].text), "%s", out.text);
		ck_assert_ptr_nonnull(strstr(out.text, "Last events that were equal"));
		/* Soon after: the next interrupt or digest. */
		ck_assert_uint_ge(out.position, 120000);
		ck_assert_uint_lt(out.position, 320000);
	}
}
END_TEST

START_TEST(digest_report_names_the_register)
{
	struct outcome out;

	prog.length = 149999; /* the last thing before the final digest */
	record(-1, CLOCK_NEVER);
	prog.perturb = 149998;
	out = replay();
	ck_assert_int_eq(out.result, REPLAY_DIVERGED);
	ck_assert_msg(strstr(out.text, "differs"), "%s", out.text);
	prog.perturb = 0;
	prog.kind = 0;
	unlink(path);
	prog.perturb = 20; /* before the first interrupt is taken */
	record(-1, 60000);
	prog.perturb = ~0ull;
	out = replay();
	ck_assert_int_eq(out.result, REPLAY_DIVERGED);
}
END_TEST

START_TEST(shorter_and_longer_guests_are_differences)
{
	struct outcome out;

	record(-1, CLOCK_NEVER);
	prog.length -= 5000;
	out = replay();
	ck_assert_int_eq(out.result, REPLAY_DIVERGED);
	ck_assert_msg(strstr(out.text, "the run ends (debug-exit)"), "%s", out.text);
	prog.length += 10000;
	out = replay();
	ck_assert_int_eq(out.result, REPLAY_DIVERGED);
}
END_TEST

START_TEST(cut_traces_replay_as_far_as_they_go)
{
	struct trace_buf file;
	struct trace_reader *r;
	u64 offset[256], last = 0;
	size_t n;

	record(-1, CLOCK_NEVER);
	file = slurp();
	ck_assert_int_eq(trace_open(&r, path, 0, &err), 0);
	n = r->count;
	ck_assert_uint_lt(n, 256);
	for (size_t i = 0; i < n; i++)
		offset[i] = r->chunk[i].offset;
	trace_close(r);
	for (size_t i = 0; i < n; i++) {
		struct outcome out;

		spit(file.data, offset[i] + (i & 1 ? 20 : 0));
		out = replay();
		ck_assert_msg(out.result == REPLAY_CUT, "chunk %zu: %d %s", i, out.result, out.text);
		ck_assert_ptr_nonnull(strstr(out.text, "cut off"));
		ck_assert_uint_ge(out.position, last);
		last = out.position;
	}
	ck_assert_uint_gt(last, 190000);
	trace_buf_free(&file);
}
END_TEST

START_TEST(flipped_bytes_are_never_equal)
{
	struct trace_buf file;
	struct trace_reader *r;

	prog.length = 30000;
	record(-1, CLOCK_NEVER);
	file = slurp();
	for (size_t i = TRACE_HEADER_SIZE; i < file.len; i += 37) {
		file.data[i] ^= 0x10;
		spit(file.data, file.len);
		file.data[i] ^= 0x10;
		ck_assert_int_eq(trace_open(&r, path, 0, &err), 0);
		ck_assert_int_eq(r->state, TRACE_DAMAGED);
		trace_close(r);
		ck_assert_int_eq(replay().result, REPLAY_CUT);
	}
	trace_buf_free(&file);
}
END_TEST

/* The trace again with @mutate applied to raw chunks, under right checksums. */
static void rewrite(u32 *seed, u32 only)
{
	struct trace_reader *r;
	struct trace_writer *w;
	struct trace_buf buf = {0};
	char other[128];

	snprintf(other, sizeof(other), "%s/b.vmt", dir);
	unlink(other);
	ck_assert_int_eq(trace_open(&r, path, 0, &err), 0);
	ck_assert_int_eq(trace_writer_create(&w, other, 0, &err), 0);
	for (size_t i = 0; i < r->count; i++) {
		struct trace_blob_part part;

		ck_assert_int_eq(trace_read(r, i, &buf, &err), 0);
		*seed = *seed * 1664525 + 1013904223;
		if (r->chunk[i].type == only && (*seed >> 28) < 6 && buf.len) {
			*seed = *seed * 1664525 + 1013904223;
			buf.data[(*seed >> 8) % buf.len] ^= (u8)(1u << (*seed & 7));
		}
		if (r->chunk[i].type == TRACE_BLOB) {
			ck_assert_int_eq(trace_blob_part_decode(&part, buf.data, buf.len), 0);
			ck_assert_int_eq(trace_write_blob(w, part.name, part.data, part.len, NULL), 0);
		} else {
			ck_assert_int_eq(trace_write(w, r->chunk[i].type, r->chunk[i].position, buf.data, buf.len), 0);
		}
	}
	ck_assert_int_eq(trace_writer_close(w, &err), 0);
	trace_close(r);
	trace_buf_free(&buf);
	ck_assert_int_eq(rename(other, path), 0);
}

START_TEST(hostile_chunks_do_no_harm)
{
	static const u32 type[] = {TRACE_EVENTS, TRACE_DIGESTS, TRACE_END, TRACE_MACHINE};
	struct trace_buf file;
	u32 seed = 99;
	unsigned equal = 0;

	prog.length = 30000;
	session.config.clock = CLOCK_HOST;
	record(-1, CLOCK_NEVER);
	file = slurp();
	for (unsigned i = 0; i < 240; i++) {
		struct outcome out;

		spit(file.data, file.len);
		rewrite(&seed, type[i % ARRAY_SIZE(type)]);
		out = replay();
		equal += out.result == REPLAY_EQUAL;
		ck_assert_int_ne(out.result, REPLAY_RUNNING);
	}
	/* Some rounds change nothing, or only what is for people. */
	ck_assert_uint_lt(equal, 200);
	trace_buf_free(&file);
}
END_TEST

START_TEST(full_disk_ends_the_run)
{
	struct recorder_config config = {.input_fd = -1, .digest_every = 50000, .chunk_every = 10000};
	struct machine *m = new_machine(&session);
	struct trace_writer *w;
	u8 *much = calloc(1, TRACE_RAW_MAX + 1);

	ck_assert_int_eq(trace_writer_create(&w, path, 0, &err), 0);
	ck_assert_int_eq(session_save(&session, w, 0, &err), 0);
	ck_assert_int_eq(recorder_create(&listening, w, m, &config, &err), 0);
	ck_assert_int_eq(machine_run(m, 50005), 0);
	ck_assert_int_eq(trace_write(w, TRACE_NOTE, 0, much, TRACE_RAW_MAX + 1), -EINVAL); /* any write error will do */
	ck_assert_int_eq(machine_run(m, CLOCK_NEVER), -EINVAL);
	ck_assert_uint_lt(machine_position(m), 70000);
	ck_assert_ptr_nonnull(strstr(recorder_error(listening)->text, path));
	machine_set_end(m, END_ERROR, 0);
	ck_assert_int_eq(recorder_finish(listening, &err), -EINVAL);
	recorder_free(listening);
	listening = NULL;
	ck_assert_int_eq(trace_writer_abandon(w), 1);
	machine_free(m);
	ck_assert_int_eq(replay().result, REPLAY_CUT);
	free(much);
}
END_TEST

START_TEST(session_comes_back)
{
	struct trace_writer *w;
	struct trace_reader *r;
	struct session s;
	char other[128];

	session.config.wall_start = 1234567890;
	session.config.clock = CLOCK_HOST;
	session.boot.kind = BOOT_FLAT;
	session.boot.flat_address = 0x100000;
	session.boot.inguest = true;
	ck_assert_int_eq(session_set_initrd(&session, kernel_path, &err), 0);
	ck_assert_str_eq(session.boot.initrd.name, "kernel.bin");
	for (unsigned flags = 0; flags < 2; flags++) {
		unlink(path);
		ck_assert_int_eq(trace_writer_create(&w, path, 0, &err), 0);
		ck_assert_int_eq(session_save(&session, w, flags ? SESSION_EMBED_NONE : 0, &err), 0);
		ck_assert_int_eq(trace_writer_close(w, &err), 0);
		ck_assert_int_eq(trace_open(&r, path, 0, &err), 0);
		if (flags) {
			ck_assert_int_eq(session_load(&s, r, NULL, NULL, NULL, &err), -ENOENT);
			ck_assert_ptr_nonnull(strstr(err.text, "--kernel"));
			snprintf(other, sizeof(other), "%s/other", dir);
			ck_assert_int_eq(symlink("/bin/true", other), 0);
			ck_assert_int_eq(session_load(&s, r, other, kernel_path, NULL, &err), -EINVAL);
			ck_assert_ptr_nonnull(strstr(err.text, "not the one that was recorded"));
		}
		ck_assert_msg(!session_load(&s, r, flags ? kernel_path : NULL, flags ? kernel_path : NULL, NULL, &err),
			      "%s", err.text);
		ck_assert(s.config.ram == 4 << 20 && s.config.vcpus == 1 && s.config.clock == CLOCK_HOST);
		ck_assert(s.config.wall_start == 1234567890 && s.msr_logged);
		ck_assert(s.boot.kind == BOOT_FLAT && s.boot.flat_address == 0x100000 && s.boot.inguest);
		ck_assert_str_eq(s.boot.append, "console=ttyS0 a\\b");
		ck_assert_str_eq(s.boot.kernel.name, "kernel.bin");
		ck_assert_str_eq(s.engine_name, "fake");
		ck_assert(s.boot.kernel.len == 20 && !memcmp(s.boot.kernel.data, "not much of a kernel", 20));
		ck_assert(s.boot.initrd.len == 20);
		ck_assert_ptr_nonnull(strstr(s.registers, "rip:8 "));
		session_free(&s);
		trace_close(r);
	}
}
END_TEST

START_TEST(older_machines_come_back)
{
	struct trace_writer *w;
	struct trace_reader *r;
	struct session s;

	for (enum machine_model model = 0; model < MACHINE_MODEL_COUNT; model++) {
		unlink(path);
		session.config.model = model;
		ck_assert_int_eq(trace_writer_create(&w, path, 0, &err), 0);
		ck_assert_int_eq(session_save(&session, w, 0, &err), 0);
		ck_assert_int_eq(trace_writer_close(w, &err), 0);
		ck_assert_int_eq(trace_open(&r, path, 0, &err), 0);
		ck_assert_int_eq(session_load(&s, r, NULL, NULL, NULL, &err), 0);
		ck_assert_int_eq(s.config.model, model);
		session_free(&s);
		trace_close(r);
	}
	ck_assert_str_eq(machine_model_name(MACHINE_PC_1), "vmdbg-pc.1");
}
END_TEST

START_TEST(unknown_model_is_refused)
{
	struct trace_writer *w;
	struct trace_reader *r;
	struct trace_buf t = {0};
	struct session s;

	trace_text_add(&t, "machine", "vmdbg-pc.99");
	ck_assert_int_eq(trace_writer_create(&w, path, 0, &err), 0);
	ck_assert_int_eq(trace_write(w, TRACE_MACHINE, 0, t.data, t.len), 0);
	ck_assert_int_eq(trace_writer_close(w, &err), 0);
	ck_assert_int_eq(trace_open(&r, path, 0, &err), 0);
	ck_assert_int_eq(session_load(&s, r, NULL, NULL, NULL, &err), -ENOTSUP);
	ck_assert_ptr_nonnull(strstr(err.text, "vmdbg-pc.99"));
	trace_close(r);
	trace_buf_free(&t);
}
END_TEST

START_TEST(memory_digest_is_the_sum_over_pages)
{
	struct machine *m = new_machine(&session);
	struct memory_digest md;
	u8 page[PAGE_SIZE] = {0};
	u64 want, a;

	ck_assert_int_eq(memory_digest_init(&md, m), 0);
	a = memory_digest_update(&md, m); /* whatever firmware left */
	prog.resets = 0;
	page[100] = 5;
	ck_assert_int_eq(memory_write(&m->mem, 0x200000, page, sizeof(page)), 0);
	ck_assert_int_eq(memory_write(&m->mem, 0x300000, page, sizeof(page)), 0);
	want = a + XXH3_64bits_withSeed(page, PAGE_SIZE, 0x200) + XXH3_64bits_withSeed(page, PAGE_SIZE, 0x300);
	ck_assert_uint_eq(memory_digest_update(&md, m), want);
	ck_assert_uint_eq(prog.resets, 1);
	ck_assert_uint_eq(m->mem.slot[0].flags[0x200] & PAGE_DIRTY, 0);
	ck_assert_uint_eq(memory_digest_update(&md, m), want);
	page[100] = 0;
	ck_assert_int_eq(memory_write(&m->mem, 0x200000, page, sizeof(page)), 0);
	ck_assert_int_eq(memory_write(&m->mem, 0x300000, page, sizeof(page)), 0);
	ck_assert_uint_eq(memory_digest_update(&md, m), a);
	memory_digest_free(&md);
	machine_free(m);
}
END_TEST

START_TEST(landmark_covers_registers)
{
	struct vcpu *v = calloc(1, sizeof(*v));
	struct landmark a, b;

	v->insns = 7;
	v->branches = 3;
	v->regs.rip = 0x1000;
	v->regs.gpr[RCX] = 9;
	landmark_take(&a, v, true);
	ck_assert(a.insns == 7 && a.branches == 3 && a.rip == 0x1000 && a.rcx == 9);
	for (unsigned i = 0; i < GPR_COUNT; i++) {
		v->regs.gpr[i] ^= 1;
		landmark_take(&b, v, true);
		ck_assert_uint_ne(a.digest, b.digest);
		v->regs.gpr[i] ^= 1;
	}
	v->regs.rflags ^= RFLAGS_ZF;
	landmark_take(&b, v, true);
	ck_assert_uint_ne(a.digest, b.digest);
	free(v);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("replay");
	TCase *tc = tcase_create("replay");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, virtual_clock_replays_and_repeats);
	tcase_add_test(tc, host_clock_replays);
	tcase_add_test(tc, input_replays);
	tcase_add_test(tc, input_while_halted_replays);
	tcase_add_test(tc, every_end_replays);
	tcase_add_test(tc, interrupted_run_replays);
	tcase_add_test(tc, interrupted_instruction_without_end_replays);
	tcase_add_test(tc, caller_may_stop_a_replay);
	tcase_add_test(tc, guest_that_ends_too_early_differs);
	tcase_add_test(tc, differences_are_reported);
	tcase_add_test(tc, digest_report_names_the_register);
	tcase_add_test(tc, shorter_and_longer_guests_are_differences);
	tcase_add_test(tc, cut_traces_replay_as_far_as_they_go);
	tcase_add_test(tc, flipped_bytes_are_never_equal);
	tcase_add_test(tc, hostile_chunks_do_no_harm);
	tcase_add_test(tc, full_disk_ends_the_run);
	tcase_add_test(tc, session_comes_back);
	tcase_add_test(tc, older_machines_come_back);
	tcase_add_test(tc, unknown_model_is_refused);
	tcase_add_test(tc, memory_digest_is_the_sum_over_pages);
	tcase_add_test(tc, landmark_covers_registers);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
