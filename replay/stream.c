/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "replay/stream.h"

#include <errno.h>
#include <stdio.h>

#include "vmm/machine.h"

void stream_init(struct stream *s, struct trace_reader *r)
{
	memset(s, 0, sizeof(*s));
	s->r = r;
}

void stream_free(struct stream *s)
{
	digest_decoder_free(&s->digests);
	trace_buf_free(&s->buf);
}

static void stream_bad(struct stream *s)
{
	const struct trace_chunk *c = &s->r->chunk[s->next_chunk - 1];

	s->item = STREAM_BAD;
	error_set(&s->err, -EBADMSG, "the %s chunk at offset %llu is not well-formed", trace_type_name(c->type),
		  (unsigned long long)c->offset);
}

static u64 end_offset(const struct trace_chunk *c)
{
	return c->offset + TRACE_CHUNK_SIZE + c->stored;
}

/* Goes before the first item of the chunk in buf. */
static void begin_chunk(struct stream *s)
{
	const struct trace_chunk *c = &s->r->chunk[s->next_chunk - 1];

	s->taken = 0;
	s->type = c->type;
	if (c->type == TRACE_EVENTS) {
		event_decoder_init(&s->events, s->buf.data, s->buf.len, c->position);
	} else if (c->type == TRACE_DIGESTS) {
		digest_decoder_free(&s->digests);
		digest_decoder_init(&s->digests, s->buf.data, s->buf.len, c->position);
	}
}

/* Loads the next chunk of the stream. False: over, or bad. */
static bool load_chunk(struct stream *s)
{
	size_t next = s->next_chunk;
	const struct trace_chunk *c;

	while (next < s->r->count && !trace_in_stream(s->r->chunk[next].type))
		next++;
	if (next == s->r->count) {
		s->item = STREAM_OVER;
		s->type = 0;
		s->taken = STREAM_AFTER;
		return false;
	}
	c = &s->r->chunk[next];
	s->next_chunk = next + 1;
	s->chunk++;
	if (trace_read(s->r, next, &s->buf, &s->err)) {
		s->type = 0;
		s->taken = 1;
		s->item = STREAM_BAD;
		return false;
	}
	s->bytes = end_offset(c);
	begin_chunk(s);
	return true;
}

/* The next item of the present chunk: 1, 0 (none left), or negative. */
static int take_item(struct stream *s)
{
	int ret;

	switch (s->type) {
	case TRACE_EVENTS:
		s->item = STREAM_EVENT;
		return event_next(&s->events, &s->event);
	case TRACE_DIGESTS:
		s->item = STREAM_DIGEST;
		return digest_next(&s->digests, &s->digest);
	case TRACE_END:
		if (s->taken > 1)
			return 0;
		s->item = STREAM_END;
		ret = end_decode(&s->end, s->buf.data, s->buf.len);
		return ret ? ret : 1;
	default:
		return 0;
	}
}

void stream_next(struct stream *s)
{
	int ret = 0;

	s->done = 0;
	if (s->item == STREAM_BAD)
		return;
	while (s->taken++, (ret = take_item(s)) == 0)
		if (!load_chunk(s))
			return;
	if (ret < 0)
		stream_bad(s);
	else if (stream_is_stop(s))
		s->stops++;
}

void stream_save(const struct stream *s, struct stream_place *place)
{
	*place = (struct stream_place){.chunk = s->chunk, .item = s->taken, .done = s->done, .stops = s->stops};
}

/* Stands after that many chunks of the stream. False: there are fewer. */
static bool go_after(struct stream *s, u64 chunk)
{
	size_t i = s->next_chunk;
	u64 at = s->chunk;

	while (i > 0 && at > chunk)
		at -= trace_in_stream(s->r->chunk[--i].type);
	while (i < s->r->count && at < chunk)
		at += trace_in_stream(s->r->chunk[i++].type);
	while (i > 0 && !trace_in_stream(s->r->chunk[i - 1].type))
		i--;
	s->bytes = i ? end_offset(&s->r->chunk[i - 1]) : 0;
	s->next_chunk = i;
	s->chunk = at;
	s->taken = 0;
	s->type = 0;
	s->item = STREAM_EVENT;
	s->event = (struct event){0};
	return at == chunk;
}

/* Takes items of the present chunk up to the one with this number. */
static bool go_to_item(struct stream *s, u64 item)
{
	while (s->taken < item) {
		int ret;

		if (s->item == STREAM_BAD)
			return false;
		s->taken++;
		ret = take_item(s);
		if (ret < 0)
			stream_bad(s);
		if (ret == 0)
			return false;
	}
	return true;
}

static bool go_to_place(struct stream *s, const struct stream_place *place)
{
	if (place->item == STREAM_AFTER) {
		if (!go_after(s, place->chunk))
			return false;
		stream_next(s);
		return true;
	}
	if (!place->chunk)
		return go_after(s, 0) && !place->item;
	if (!place->item)
		return false;
	if (s->chunk == place->chunk && s->type) {
		if (s->taken > place->item) {
			begin_chunk(s);
			s->item = STREAM_EVENT;
		}
	} else if (!go_after(s, place->chunk - 1) || (!load_chunk(s) && s->item == STREAM_OVER)) {
		return false;
	}
	return go_to_item(s, place->item);
}

int stream_restore(struct stream *s, const struct stream_place *place)
{
	bool ok;

	s->stops = place->stops;
	ok = go_to_place(s, place);
	if (ok && place->done)
		ok = s->item == STREAM_EVENT && place->done < s->event.count;
	s->done = place->done;
	if (ok)
		return 0;
	s->item = STREAM_BAD;
	s->type = 0;
	return error_set(&s->err, -EBADMSG, "the trace has no such place in its events");
}

u64 stream_position(const struct stream *s)
{
	switch (s->item) {
	case STREAM_EVENT:
		return event_is_async(&s->event) ? s->event.mark.insns : 0;
	case STREAM_DIGEST:
		return s->digest.position;
	case STREAM_END:
		return s->end.mark.insns;
	default:
		return 0;
	}
}

void stream_describe(const struct stream *s, char *out, size_t len)
{
	switch (s->item) {
	case STREAM_EVENT:
		event_describe(&s->event, out, len);
		break;
	case STREAM_DIGEST:
		snprintf(out, len, "digest at position %llu", (unsigned long long)s->digest.position);
		break;
	case STREAM_END:
		snprintf(out, len, "end of the run (%s) at position %llu", machine_end_name(s->end.reason),
			 (unsigned long long)s->end.mark.insns);
		break;
	default:
		snprintf(out, len, "nothing more");
	}
}
