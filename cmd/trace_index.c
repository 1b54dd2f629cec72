/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vmdbg trace index: replays a trace and writes it anew with checkpoints. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/playback.h"
#include "cmd/status.h"
#include "cmd/trace_view.h"
#include "replay/cut.h"
#include "replay/stored.h"

#define INDEX_EVERY 500000000ull
#define SLICE       8000000ull /* instructions between looks at signals and status; also how near the end the last one is */

struct indexing {
	const struct options *o;
	struct playback p;
	struct trace_writer *w;
	struct checkpoints points;
	struct checkpoint_put put;
	struct checkpoint *last;
	unsigned stored;
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

/* Everything but checkpoints, which are made anew. */
static int copy_trace(struct indexing *x)
{
	struct trace_reader *r = x->p.reader;
	int rc = trace_writer_create(&x->w, x->o->output ? x->o->output : x->o->file,
				     (x->o->output && !x->o->force ? 0 : TRACE_FORCE) | trace_cut_flags(r), x->err);

	for (size_t i = 0; !rc && i < r->count; i++) {
		u32 type = r->chunk[i].type;

		if (type != TRACE_PAGES && type != TRACE_CHECKPOINT)
			rc = trace_copy(x->w, r, i, x->err);
		if (rc && !x->err->text[0])
			*x->err = *trace_writer_error(x->w);
	}
	return rc;
}

static int store(struct indexing *x)
{
	struct replayer_place place;
	struct checkpoint *cp;
	int rc;

	replayer_save(x->p.replayer, &place);
	rc = checkpoint_make(&x->points, &place, &cp);
	if (rc)
		return error_set(x->err, rc, "no memory for a checkpoint");
	rc = checkpoint_store(&x->points, cp, x->last, &x->put, x->err);
	checkpoint_free(&x->points, x->last);
	x->last = cp;
	x->stored += !rc;
	return rc;
}

static void draw(struct indexing *x)
{
	struct replayer_progress now = replayer_progress(x->p.replayer);

	x->figures.insns = now.position;
	x->figures.last = now.last;
	x->figures.events = now.events;
	x->figures.guest_ns = clock_now(&x->p.m->clock);
	status_draw(&x->status, &x->figures);
}

/* To @position; what ends the run before it is in the replayer's result. */
static int run_to(struct indexing *x, u64 position)
{
	struct machine *m = x->p.m;
	int rc = 0;

	while (!rc && !m->end && machine_position(m) < position) {
		rc = machine_run(m, min64(position, machine_position(m) + SLICE));
		if (signalled)
			return error_set(x->err, -EINTR, "%s: interrupted; the trace is as it was", x->o->file);
		draw(x);
	}
	return 0;
}

static int run_all(struct indexing *x)
{
	u64 every = x->o->checkpoint_every ? x->o->checkpoint_every : INDEX_EVERY;
	u64 last = replayer_progress(x->p.replayer).last, near_end = last > SLICE ? last - SLICE : 0;
	struct machine *m = x->p.m;
	int rc = x->p.session.mid ? store(x) : 0;

	while (!rc && !m->end) {
		u64 at = machine_position(m), next = at - at % every + every;

		if (at < near_end && next > near_end)
			next = near_end;
		if (next >= last)
			next = ~0ull;
		rc = run_to(x, next);
		if (rc || machine_position(m) != next || replayer_result(x->p.replayer) != REPLAY_RUNNING)
			break;
		rc = store(x);
	}
	if (rc)
		return rc;
	switch (replayer_finish(x->p.replayer)) {
	case REPLAY_EQUAL:
		return 0;
	case REPLAY_CUT:
		return error_set(x->err, -EBADMSG, "%s: %s", x->o->file, replayer_damage(x->p.replayer)->text);
	default:
		return error_set(x->err, -EBADMSG, "%s: the replay differs from the recording; vmdbg replay says where",
				 x->o->file);
	}
}

static int finish(struct indexing *x, int rc)
{
	struct trace_writer *w = x->w;
	char path[4096];

	x->w = NULL;
	if (!w)
		return rc;
	if (!rc)
		return trace_writer_close(w, x->err);
	snprintf(path, sizeof(path), "%s", trace_writer_path(w));
	trace_writer_abandon(w);
	unlink(path);
	return rc;
}

/* What the trace was, what it is. */
static void say(const struct indexing *x, u64 before)
{
	const char *path = x->o->output ? x->o->output : x->o->file;
	char a[FORMAT_MAX], b[FORMAT_MAX];
	struct stat st;

	if (x->o->quiet || stat(path, &st))
		return;
	fprintf(stderr, "vmdbg: %s: %u checkpoint%s; %s before, %s now%s\n", path, x->stored, x->stored == 1 ? "" : "s",
		format_bytes(a, before), format_bytes(b, (u64)st.st_size),
		x->stored ? "" : "; --checkpoint-every makes some in a short trace");
}

int trace_index(const struct options *o, struct error *err)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction sa = {.sa_handler = on_signal};
	struct indexing x = {.o = o, .err = err};
	u64 before = 0;
	int rc = playback_open(&x.p, o, true, err);

	if (!rc)
		x.figures.first = machine_position(x.p.m);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &sa, NULL);
	running = x.p.m;
	if (!rc)
		rc = copy_trace(&x);
	if (!rc && (rc = checkpoints_init(&x.points, x.p.m, ~0ull)))
		error_set(err, rc, "no memory for checkpoints");
	if (!rc) {
		checkpoint_put_init(&x.put, x.w);
		status_init(&x.status, !o->quiet, NULL);
		rc = run_all(&x);
		status_clear(&x.status);
		checkpoint_put_free(&x.put);
		checkpoint_free(&x.points, x.last);
		checkpoints_free(&x.points);
		before = x.p.reader->size;
	}
	running = NULL;
	rc = finish(&x, rc);
	if (!rc)
		say(&x, before);
	playback_close(&x.p);
	return rc;
}
