/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "replay/cut.h"

#include <errno.h>

#include "replay/stream.h"
#include "traces/checkpoint.h"

struct cutter {
	struct trace_reader *from;
	struct trace_writer *to;
	const struct cut *at;
	struct stream_place place; /* names an item, or what follows the last chunk that is copied */
	u64 stream;                /* chunks of it passed */
	u64 console;               /* bytes copied */
	size_t last_checkpoint;    /* chunk up to which checkpoints and pages are copied */
	struct trace_buf in, out;
};

static int fail(const struct cutter *c, int ret, struct error *err)
{
	if (ret == -EBADMSG)
		return error_set(err, ret, "the recording is damaged where it is to be cut");
	return error_set(err, ret, "%s", ret == -ENOMEM ? "out of memory" : trace_writer_error(c->to)->text);
}

/* The part of a chunk that comes before the place. */
static int cut_chunk(struct cutter *c, size_t i, struct error *err)
{
	const struct trace_chunk *chunk = &c->from->chunk[i];
	struct digest_decoder dec;
	struct digest_record rec;
	int ret = trace_read(c->from, i, &c->in, err);

	if (ret)
		return ret;
	c->out.len = 0;
	if (chunk->type == TRACE_EVENTS) {
		ret =
		    event_chunk_cut(&c->out, c->in.data, c->in.len, chunk->position, c->place.item - 1, c->place.done);
	} else if (chunk->type == TRACE_DIGESTS) {
		digest_decoder_init(&dec, c->in.data, c->in.len, chunk->position);
		for (u64 n = 1; !ret && n < c->place.item; n++)
			ret = digest_next(&dec, &rec) == 1 ? 0 : -EBADMSG;
		if (!ret)
			ret = trace_buf_add(&c->out, c->in.data, (size_t)(dec.p - c->in.data));
		digest_decoder_free(&dec);
	}
	if (!ret && c->out.len)
		ret = trace_write(c->to, chunk->type, chunk->position, c->out.data, c->out.len);
	return ret ? fail(c, ret, err) : 0;
}

static int copy_stream(struct cutter *c, size_t i, struct error *err)
{
	u64 number = ++c->stream;

	if (number > c->place.chunk)
		return 0;
	if (number == c->place.chunk && c->place.item != STREAM_AFTER)
		return cut_chunk(c, i, err);
	if (c->from->chunk[i].type == TRACE_END)
		return error_set(err, -EINVAL, "the recorded run is over there");
	return trace_copy(c->to, c->from, i, err);
}

static int copy_console(struct cutter *c, size_t i, struct error *err)
{
	const struct trace_chunk *chunk = &c->from->chunk[i];
	u64 base = chunk->position;
	struct console_decoder dec;
	struct console_record rec;
	int ret;

	if (chunk->position >= c->at->position || c->console == c->at->console)
		return 0;
	ret = trace_read(c->from, i, &c->in, err);
	if (ret)
		return ret;
	c->out.len = 0;
	console_decoder_init(&dec, c->in.data, c->in.len, chunk->position);
	while ((ret = console_next(&dec, &rec)) == 1 && rec.position < c->at->position) {
		rec.len = (u32)min64(rec.len, c->at->console - c->console);
		if (!rec.len)
			break;
		c->console += rec.len;
		ret = console_encode(&c->out, &rec, base);
		if (ret)
			break;
		base = rec.position;
	}
	if (ret >= 0)
		ret = c->out.len ? trace_write(c->to, TRACE_CONSOLE, chunk->position, c->out.data, c->out.len) : 0;
	return ret ? fail(c, ret, err) : 0;
}

static int copy_chunk(struct cutter *c, size_t i, struct error *err)
{
	switch (c->from->chunk[i].type) {
	case TRACE_MACHINE:
	case TRACE_BLOB:
	case TRACE_NOTE:
	case TRACE_DISK:
		return trace_copy(c->to, c->from, i, err);
	case TRACE_EVENTS:
	case TRACE_DIGESTS:
	case TRACE_END:
		return copy_stream(c, i, err);
	case TRACE_CONSOLE:
		return copy_console(c, i, err);
	case TRACE_PAGES:
	case TRACE_CHECKPOINT:
		return i < c->last_checkpoint ? trace_copy(c->to, c->from, i, err) : 0;
	default:
		return 0;
	}
}

/* Checks the place, and makes one of the forms that a place can have of it. */
static int find_place(struct cutter *c, struct error *err)
{
	struct stream s;
	int ret;

	stream_init(&s, c->from);
	ret = stream_restore(&s, &c->at->place);
	if (ret)
		error_set(err, ret, "%s", s.err.text);
	else
		stream_save(&s, &c->place);
	stream_free(&s);
	return ret;
}

/* Checkpoints that make no sense are left out. */
static int find_checkpoint(struct cutter *c, struct error *err)
{
	struct checkpoint_file f;
	int ret = checkpoint_file_init(&f, c->from, err);
	size_t last;

	if (ret == -EBADMSG)
		ret = 0;
	last = ret ? CHECKPOINT_NONE : checkpoint_file_find(&f, c->at->position);
	if (last != CHECKPOINT_NONE)
		c->last_checkpoint = f.entry[last].chunk + f.entry[last].parts;
	checkpoint_file_free(&f);
	return ret;
}

int trace_cut(struct trace_reader *from, struct trace_writer *to, const struct cut *at, struct error *err)
{
	struct cutter c = {.from = from, .to = to, .at = at};
	int ret = find_place(&c, err);

	if (!ret)
		ret = find_checkpoint(&c, err);
	for (size_t i = 0; !ret && i < from->count; i++)
		ret = copy_chunk(&c, i, err);
	trace_buf_free(&c.in);
	trace_buf_free(&c.out);
	return ret;
}

unsigned trace_cut_flags(const struct trace_reader *from)
{
	if (checkpoint_file_begins(from))
		return TRACE_BEGINS_MID;
	return from->min_reader > 1 ? TRACE_REQUIRE : 0;
}
