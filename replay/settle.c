/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The replayer has the machine; everything that it lets in is told to a recorder, which counts. */
#include "replay/settle.h"

#include <errno.h>
#include <stdlib.h>

struct settle {
	struct trace_reader *r;
	struct trace_writer *w;
	struct machine *m;
	struct replayer *rp;
	struct nondet replay, record;
	struct recorder *recorder;
};

/* --- nondet: asked of the replay, told to the recorder --- */

/* Before the replay is asked: what it answers then is part of the recording, unless it differs. */
static bool is_on(const struct settle *s)
{
	return replayer_result(s->rp) == REPLAY_RUNNING;
}

static bool differs(const struct settle *s)
{
	return replayer_result(s->rp) == REPLAY_DIVERGED;
}

static u64 settle_io_read(void *ctx, struct vcpu *vcpu, enum io_space space, u64 addr, unsigned size, u64 modelled)
{
	struct settle *s = ctx;
	bool on = is_on(s);
	u64 value = s->replay.ops->io_read(s->replay.ctx, vcpu, space, addr, size, modelled);

	if (on && !differs(s))
		s->record.ops->io_read(s->record.ctx, vcpu, space, addr, size, value);
	return value;
}

static void settle_io_write(void *ctx, struct vcpu *vcpu, enum io_space space, u64 addr, unsigned size, u64 value)
{
	struct settle *s = ctx;
	bool on = is_on(s);

	s->replay.ops->io_write(s->replay.ctx, vcpu, space, addr, size, value);
	if (on && !differs(s))
		s->record.ops->io_write(s->record.ctx, vcpu, space, addr, size, value);
}

static u64 settle_clock_sample(void *ctx, struct vcpu *vcpu)
{
	struct settle *s = ctx;
	bool on = is_on(s);
	u64 ns = s->replay.ops->clock_sample(s->replay.ctx, vcpu);

	if (on && !differs(s))
		s->record.ops->clock_taken(s->record.ctx, vcpu, ns);
	return ns;
}

static u64 settle_alarm(void *ctx, struct machine *m)
{
	struct settle *s = ctx;

	return s->replay.ops->alarm(s->replay.ctx, m);
}

static void settle_interrupt(void *ctx, struct vcpu *vcpu, enum irq_kind kind, u8 vector)
{
	struct settle *s = ctx;
	bool on = is_on(s);

	s->replay.ops->interrupt(s->replay.ctx, vcpu, kind, vector);
	if (on && !differs(s))
		s->record.ops->interrupt(s->record.ctx, vcpu, kind, vector);
}

static u64 settle_next_stop(void *ctx)
{
	struct settle *s = ctx;

	return recorder_error(s->recorder)->text[0] ? 0 : s->replay.ops->next_stop(s->replay.ctx);
}

static int settle_boundary(void *ctx, struct machine *m)
{
	struct settle *s = ctx;
	int ret = s->replay.ops->boundary(s->replay.ctx, m);

	return recorder_error(s->recorder)->text[0] ? -EIO : ret;
}

static int settle_idle(void *ctx, struct machine *m, u64 deadline)
{
	struct settle *s = ctx;

	return s->replay.ops->idle(s->replay.ctx, m, deadline);
}

static const struct nondet_ops settle_ops = {
    .io_read = settle_io_read,
    .io_write = settle_io_write,
    .clock_sample = settle_clock_sample,
    .alarm = settle_alarm,
    .interrupt = settle_interrupt,
    .next_stop = settle_next_stop,
    .boundary = settle_boundary,
    .idle = settle_idle,
};

static void met(void *ctx, const struct stream *item)
{
	struct settle *s = ctx;

	recorder_copy(s->recorder, item);
}

/* --- what isn't the recording itself --- */

/* The machine description without the line that says what is counted. */
static int copy_description(struct settle *s, struct trace_buf *buf)
{
	static const char key[] = "positions ";
	size_t kept = 0;

	for (size_t at = 0, len; at < buf->len; at += len) {
		const u8 *line = buf->data + at, *end = memchr(line, '\n', buf->len - at);

		len = end ? (size_t)(end - line) + 1 : buf->len - at;
		if (len >= sizeof(key) - 1 && !memcmp(line, key, sizeof(key) - 1))
			continue;
		memmove(buf->data + kept, line, len);
		kept += len;
	}
	return trace_write(s->w, TRACE_MACHINE, 0, buf->data, kept);
}

static int copy_chunk(struct settle *s, size_t i, struct trace_buf *buf, struct error *err)
{
	int ret;

	switch (s->r->chunk[i].type) {
	case TRACE_BLOB:
	case TRACE_NOTE:
		return trace_copy(s->w, s->r, i, err);
	case TRACE_MACHINE:
		if (i)
			return 0;
		/* fall through */
	case TRACE_DISK:
		ret = trace_read(s->r, i, buf, err);
		if (ret)
			return ret;
		/* Its position is of the other kind; that it stands before what needs it is enough. */
		ret = i ? trace_write(s->w, TRACE_DISK, 0, buf->data, buf->len) : copy_description(s, buf);
		return ret ? error_set(err, ret, "%s", trace_writer_error(s->w)->text) : 0;
	default:
		return 0;
	}
}

static int copy_rest(struct settle *s, struct error *err)
{
	struct trace_buf buf = {0};
	int ret = 0;

	for (size_t i = 0; !ret && i < s->r->count; i++)
		ret = copy_chunk(s, i, &buf, err);
	trace_buf_free(&buf);
	return ret;
}

/* --- life --- */

int settle_begin(struct settle **out, struct trace_reader *r, struct replayer *rp, struct machine *m,
		 struct trace_writer *w, struct error *err)
{
	static const struct end_record none;
	const struct end_record *end = replayer_end(rp);
	struct recorder_config config = {.input_fd = -1, .follow = end ? end : &none};
	struct settle *s;
	int ret;

	if (!m->config.free)
		return error_set(err, -EINVAL, "the trace has exact positions already");
	if (!m->config.engine->exact_insns || !m->config.engine->exact_branches)
		return error_set(err, -EINVAL,
				 "only an engine that counts can give the trace exact positions: %s doesn't",
				 m->config.engine->name);
	s = calloc(1, sizeof(*s));
	if (!s)
		return error_set(err, -ENOMEM, "out of memory");
	*s = (struct settle){.r = r, .w = w, .m = m, .rp = rp, .replay = m->nondet};
	ret = copy_rest(s, err);
	if (!ret)
		ret = recorder_create(&s->recorder, w, m, &config, err);
	if (ret) {
		free(s);
		return ret;
	}
	s->record = m->nondet;
	m->nondet = (struct nondet){.ops = &settle_ops, .ctx = s};
	replayer_use_digest(rp, recorder_memory_digest(s->recorder));
	replayer_observe(rp, met, s);
	*out = s;
	return 0;
}

void settle_free(struct settle *s)
{
	if (!s)
		return;
	replayer_observe(s->rp, NULL, NULL);
	replayer_use_digest(s->rp, NULL);
	recorder_free(s->recorder);
	s->m->nondet = s->replay;
	free(s);
}

struct recorder *settle_recorder(struct settle *s)
{
	return s->recorder;
}

int settle_finish(struct settle *s, struct error *err)
{
	enum replay_result result = replayer_finish(s->rp);
	const struct divergence *d = replayer_divergence(s->rp);
	int ret;

	switch (result) {
	case REPLAY_EQUAL:
		return recorder_finish(s->recorder, err);
	case REPLAY_CUT:
		ret = recorder_flush(s->recorder, err);
		return ret ? ret : error_set(err, -EBADMSG, "%s", replayer_damage(s->rp)->text);
	case REPLAY_DIVERGED:
		return error_set(err, -EBADMSG, "the replay differs from the recording: %s", d ? d->what : "no memory");
	default:
		if (recorder_error(s->recorder)->text[0])
			return error_set(err, -EIO, "%s", recorder_error(s->recorder)->text);
		return error_set(err, -EINTR, "stopped before the recording's end");
	}
}
