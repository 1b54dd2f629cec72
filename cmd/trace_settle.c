/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vmdbg trace settle: replays a trace that has landmarks in place of counts, and writes it anew with counts. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/playback.h"
#include "cmd/status.h"
#include "cmd/trace_view.h"
#include "replay/settle.h"

#define SLICE 100000ull /* accesses between looks at signals and status */

struct settling {
	const struct options *o;
	struct playback p;
	struct trace_writer *w;
	struct settle *settle;
	struct status status;
	struct figures figures;
	struct error *err;
};

static struct machine *volatile running;
static volatile sig_atomic_t signalled;

static void on_signal(int sig)
{
	signalled = sig;
	if (running)
		machine_interrupt(running);
}

static void on_console(void *ctx, enum console_port port, const u8 *buf, size_t len)
{
	struct settling *x = ctx;

	recorder_console(settle_recorder(x->settle), port, buf, len);
}

static void draw(struct settling *x)
{
	struct replayer_progress now = replayer_progress(x->p.replayer);

	x->figures.insns = now.position;
	x->figures.accesses = true;
	x->figures.last = now.last;
	x->figures.events = now.events;
	x->figures.guest_ns = clock_now(&x->p.m->clock);
	status_draw(&x->status, &x->figures);
}

static int run(struct settling *x)
{
	struct machine *m = x->p.m;
	int rc = settle_begin(&x->settle, x->p.reader, x->p.replayer, m, x->w, x->err);

	if (rc)
		return rc;
	m->listener = (struct machine_listener){.console = on_console, .ctx = x};
	status_init(&x->status, !x->o->quiet, NULL);
	/* Why it comes back is in the replayer's result. */
	while (!rc && !m->end && !signalled) {
		rc = machine_run(m, machine_position(m) + SLICE);
		draw(x);
	}
	status_clear(&x->status);
	if (signalled)
		rc = error_set(x->err, -EINTR, "%s: interrupted; the trace is as it was", x->o->file);
	else
		rc = settle_finish(x->settle, x->err);
	m->listener = (struct machine_listener){0};
	settle_free(x->settle);
	return rc;
}

/* A recording that is cut off is written as far as it is whole. */
static int finish(struct settling *x, int rc)
{
	bool whole = !rc || (rc == -EBADMSG && replayer_result(x->p.replayer) == REPLAY_CUT);
	struct error *err = x->err, ignored;
	char path[4096];
	int ret;

	if (whole) {
		ret = trace_writer_close(x->w, rc ? &ignored : err);
		return rc ? rc : ret;
	}
	snprintf(path, sizeof(path), "%s", trace_writer_path(x->w));
	trace_writer_abandon(x->w);
	unlink(path);
	return rc;
}

int trace_settle_to(const struct options *o, const char *path, unsigned flags, struct error *err)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction sa = {.sa_handler = on_signal}, before[ARRAY_SIZE(signals)];
	struct settling x = {.o = o, .err = err};
	struct options on_soft = *o;
	int rc;

	on_soft.engine = "soft";
	rc = playback_open(&x.p, &on_soft, false, err);
	if (!rc && !x.p.session.config.free)
		rc = error_set(err, -EINVAL, "%s: its positions are counted already", o->file);
	signalled = 0;
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &sa, &before[i]);
	running = x.p.m;
	if (!rc)
		rc = trace_writer_create(&x.w, path, flags, err);
	if (!rc)
		rc = finish(&x, run(&x));
	running = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &before[i], NULL);
	playback_close(&x.p);
	return rc;
}

int trace_settle(const struct options *o, struct error *err)
{
	const char *path = o->output ? o->output : o->file;
	int rc = trace_settle_to(o, path, o->output && !o->force ? 0 : TRACE_FORCE, err);
	char a[FORMAT_MAX];
	struct stat st;

	if (!rc && !o->quiet && !stat(path, &st))
		fprintf(stderr, "vmdbg: %s: %s, with the position of everything in instructions\n", path,
			format_bytes(a, (u64)st.st_size));
	return rc;
}
