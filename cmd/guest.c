/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <unistd.h>

#include "cmd/terminal.h"
#include "vmm/pc/pc.h"

#define SLICE_INSNS  8000000ull /* between looks at status and signals */
#define SLICE_US     200000     /* the same for a guest that runs freely */
#define SIGNAL_TWICE 0.2        /* seconds: signals closer together are one */

/* --- signals: the one machine that this process runs --- */

static struct machine *volatile running;
static volatile sig_atomic_t signalled;
static double signalled_at;

static void on_signal(int sig)
{
	struct machine *m = running;
	double now = host_seconds(); /* clock_gettime() is async-signal-safe */

	if (signalled) {
		/* One request may come twice: timeout(1) signals the process and its group, a closing terminal too. */
		if (now - signalled_at < SIGNAL_TWICE)
			return;
		/* The second one: at once. */
		terminal_restore();
		signal(sig, SIG_DFL);
		raise(sig);
		return;
	}
	signalled_at = now;
	signalled = sig;
	if (m)
		machine_interrupt(m);
}

static void on_tick(int sig)
{
	struct machine *m = running;

	if (m)
		machine_interrupt(m);
}

/* Nobody counts what a guest that runs freely does: time brings it back. */
static void tick(suseconds_t us)
{
	const struct itimerval every = {{0, us}, {0, us}};
	struct sigaction sa = {.sa_handler = on_tick, .sa_flags = SA_RESTART};

	if (us)
		sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
}

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
static struct sigaction before[ARRAY_SIZE(signals)];

static void signals_take(struct machine *m)
{
	struct sigaction sa = {.sa_handler = on_signal};

	signalled = 0;
	running = m;
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		sigaction(signals[i], &sa, &before[i]);
		if (signals[i] == SIGHUP && before[i].sa_handler == SIG_IGN) /* nohup */
			sigaction(signals[i], &before[i], NULL);
	}
	signal(SIGPIPE, SIG_IGN);
	if (m->config.free)
		tick(SLICE_US);
}

static void signals_release(void)
{
	running = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &before[i], NULL);
}

/* --- what the console and the clock tell --- */

static void until_met(struct guest *g)
{
	if (g->recorder || !g->replayer)
		machine_set_end(g->m, END_UNTIL, 0);
	g->stop = true;
	if (g->replayer)
		machine_interrupt(g->m);
}

static bool is_until(const struct guest *g, const struct condition *c)
{
	return c >= g->o->until && c < g->o->until + g->o->nr_until;
}

static void on_pattern(void *ctx, struct condition *c)
{
	struct guest *g = ctx;

	if (!is_until(g, c))
		return; /* --expect is asked at the end */
	if (c->met)
		until_met(g);
	else if (!g->grace.armed)
		clock_timer_arm(&g->grace, clock_now(&g->m->clock) + PATTERN_GRACE_NS);
}

/* Where a guest that has panicked is, by what its grace is measured in. */
static u64 grace_now(const struct guest *g)
{
	return g->m->config.free ? clock_now(&g->m->clock) : machine_position(g->m);
}

static void on_panic(void *ctx)
{
	struct guest *g = ctx;

	if (g->panicked)
		return;
	g->panicked = true;
	g->panic_at = grace_now(g);
}

static void on_panic_over(void *ctx)
{
	struct guest *g = ctx;

	if (!g->panicked || g->through_panics)
		return;
	if (g->replayer && g->until_panic)
		until_met(g);
	else if (!g->replayer)
		machine_set_end(g->m, END_PANIC, 0);
}

/* Timers fire amid what is due at a position; the run loop goes on to the next clean one. */
static void on_time(void *opaque)
{
	struct guest *g = opaque;

	g->stop = true;
	machine_interrupt(g->m);
}

static void on_console(void *ctx, enum console_port port, const u8 *buf, size_t len)
{
	struct guest *g = ctx;

	if (g->recorder)
		recorder_console(g->recorder, port, buf, len);
	console_put(&g->console, port, buf, len);
}

/* --- setting up --- */

static int open_console(struct guest *g, bool replay, struct error *err)
{
	const struct options *o = g->o;
	enum serial_kind where = o->serial;

	if (where == SERIAL_FILE)
		return console_open(&g->console, o->serial_path, err);
	if (where == SERIAL_DEFAULT)
		where = o->json || (replay && o->quiet) ? SERIAL_NULL : SERIAL_STDIO;
	/* With --json, stdout is for the figures. */
	console_init(&g->console, where == SERIAL_NULL ? -1 : o->json ? STDERR_FILENO : STDOUT_FILENO);
	return 0;
}

static void take_conditions(struct guest *g)
{
	struct options *o = g->o;

	g->limit = ~0ull;
	for (unsigned i = 0; i < o->nr_until; i++) {
		const struct condition *c = &o->until[i];

		if (c->kind == CONDITION_INSNS)
			g->limit = min64(g->limit, c->value);
		else if (c->kind == CONDITION_TIME && (!g->time.armed || c->value < g->time.deadline))
			clock_timer_arm(&g->time, c->value);
		else if (c->kind == CONDITION_PANIC)
			g->until_panic = true;
		else if (c->kind == CONDITION_EXIT)
			g->through_panics = true;
	}
	if (g->until_panic)
		g->through_panics = false;
	g->console.watch[0] = o->until;
	g->console.nr_watch[0] = o->nr_until;
	g->console.watch[1] = o->expect;
	g->console.nr_watch[1] = o->nr_expect;
}

int guest_init(struct guest *g, struct machine *m, struct options *o, bool replay, struct error *err)
{
	int rc;

	memset(g, 0, sizeof(*g));
	g->m = m;
	g->o = o;
	g->figures.first = machine_position(m);
	rc = open_console(g, replay, err);
	if (rc)
		return rc;
	clock_timer_init(&m->clock, &g->time, "until", on_time, g);
	clock_timer_init(&m->clock, &g->grace, "until-pattern", on_time, g);
	take_conditions(g);
	g->console.watcher = (struct console_watcher){on_pattern, on_panic, on_panic_over, g};
	m->listener = (struct machine_listener){.console = on_console, .ctx = g};
	return 0;
}

static void print_screen(const struct guest *g)
{
	char screen[PC_SCREEN_SIZE];

	pc_screen(g->m, screen);
	fputs(screen, g->o->json ? stderr : stdout);
}

int guest_finish(struct guest *g, struct error *err)
{
	int rc = console_close(&g->console);

	signals_release();
	status_clear(&g->status);
	if (g->o->screen)
		print_screen(g);
	if (rc && rc != -EPIPE)
		return error_set(err, rc, "the guest's console could not be written: %s", strerror(-rc));
	return 0;
}

int guest_input_fd(const struct options *o)
{
	if (o->serial == SERIAL_NULL || o->serial == SERIAL_FILE || fcntl(STDIN_FILENO, F_GETFD) < 0)
		return -1;
	if (isatty(STDIN_FILENO) && tcgetpgrp(STDIN_FILENO) != getpgrp())
		return -1;
	return STDIN_FILENO;
}

/* --- running --- */

const struct figures *guest_figures(struct guest *g)
{
	struct figures *f = &g->figures;

	f->insns = machine_position(g->m);
	f->accesses = g->m->config.free;
	f->branches = g->m->vcpu[0]->branches;
	f->guest_ns = clock_now(&g->m->clock);
	f->seconds = host_seconds() - g->status.started;
	if (g->recorder) {
		struct recorder_stats stats = recorder_stats(g->recorder);

		f->events = stats.events;
		f->trace_bytes = stats.bytes;
	}
	if (g->replayer) {
		struct replayer_progress progress = replayer_progress(g->replayer);

		f->events = progress.events;
		f->trace_bytes = progress.size;
		f->last = progress.last;
	}
	return f;
}

/* From amid what is due at a position to the next clean one. A machine that waits for the host (host clock, input) may
 * be there for long; a signal then ends it where it is. */
static int to_clean_position(struct guest *g)
{
	struct machine *m = g->m;
	int rc = 0;

	/* Running freely, the recorder looks for one. */
	if (!m->end && !g->replayer && !m->config.free)
		rc = machine_run(m, machine_position(m) + 1);
	return rc;
}

/* Whether the run is over for a reason of ours; sets m->end unless replaying. */
static int check_ends(struct guest *g, bool *over)
{
	struct machine *m = g->m;
	enum machine_end end = END_NONE;
	int rc = 0;

	if (signalled || g->console.broken) {
		g->cancelled = true;
		end = END_USER; /* the recorder brings it to a clean position */
	} else if (g->stop) {
		rc = to_clean_position(g);
		end = END_UNTIL;
	} else if (machine_position(m) >= g->limit) {
		g->stop = true;
		end = END_UNTIL;
	} else if (g->panicked && !g->through_panics && !g->replayer && grace_now(g) - g->panic_at >= PANIC_GRACE) {
		end = END_PANIC;
	}
	*over = end != END_NONE;
	if (end && !rc && !g->replayer)
		machine_set_end(m, end, 0);
	return rc;
}

static u64 next_stop(const struct guest *g)
{
	u64 until = min64(machine_position(g->m) + SLICE_INSNS, g->limit);

	if (g->panicked && !g->through_panics && !g->replayer && !g->m->config.free)
		until = min64(until, g->panic_at + PANIC_GRACE);
	return until;
}

void guest_name_end(struct guest *g)
{
	enum machine_end end = g->m->end;

	if (!g->panicked || g->through_panics || g->replayer)
		return;
	if (end == END_RESET || end == END_POWEROFF || end == END_HALTED || end == END_TRIPLE_FAULT) {
		g->m->end = END_PANIC;
		g->m->end_code = 0;
	}
}

static int run_loop(struct guest *g)
{
	bool over = false;
	int rc = 0;

	while (!g->m->end && !over && !rc) {
		rc = machine_run(g->m, next_stop(g));
		console_flush(&g->console);
		if (rc || g->m->end)
			break;
		rc = check_ends(g, &over);
		guest_figures(g);
		status_draw(&g->status, &g->figures);
	}
	return rc;
}

int guest_run(struct guest *g)
{
	int rc;

	status_init(&g->status, !g->o->quiet, &g->console);
	g->console.before_output = status_clear;
	g->console.before_ctx = &g->status;
	signals_take(g->m);
	if (g->recorder && guest_input_fd(g->o) >= 0)
		terminal_raw();
	rc = run_loop(g);
	if (g->m->config.free)
		tick(0);
	terminal_restore();
	guest_figures(g);
	guest_name_end(g);
	status_clear(&g->status);
	return rc;
}

/* --- the end --- */

int end_status(enum machine_end end, u32 code)
{
	switch (end) {
	case END_DEBUG_EXIT:
		return ((code << 1) | 1) & 0xff;
	case END_PANIC:
	case END_TRIPLE_FAULT:
		return STATUS_CRASHED;
	case END_ERROR:
		return STATUS_FAULT;
	default:
		return STATUS_OK;
	}
}

int guest_status(const struct guest *g)
{
	if (g->m->end == END_PANIC && g->until_panic)
		return STATUS_OK;
	return end_status(g->m->end, g->m->end_code);
}

const char *end_sentence(enum machine_end end)
{
	switch (end) {
	case END_POWEROFF:
		return "the guest powered off";
	case END_RESET:
		return "the guest reset the machine";
	case END_DEBUG_EXIT:
		return "the guest left through isa-debug-exit";
	case END_PANIC:
		return "the guest panicked";
	case END_TRIPLE_FAULT:
		return "the guest crashed in a triple fault";
	case END_HALTED:
		return "the guest halted for good";
	case END_UNTIL:
		return "--until was met";
	case END_USER:
		return "interrupted";
	default:
		return "an error ended it";
	}
}
