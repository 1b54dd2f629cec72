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

/* Loads the next chunk of the stream. False: over, or bad. */
static bool load_chunk(struct stream *s)
{
	const struct trace_chunk *c;

	s->type = 0;
	do {
		if (s->next_chunk == s->r->count) {
			s->item = STREAM_OVER;
			return false;
		}
		c = &s->r->chunk[s->next_chunk++];
	} while (c->type != TRACE_EVENTS && c->type != TRACE_DIGESTS && c->type != TRACE_END);
	if (trace_read(s->r, s->next_chunk - 1, &s->buf, &s->err)) {
		s->item = STREAM_BAD;
		return false;
	}
	s->bytes = c->offset + TRACE_CHUNK_SIZE + c->stored;
	s->type = c->type;
	if (c->type == TRACE_EVENTS) {
		event_decoder_init(&s->events, s->buf.data, s->buf.len, c->position);
	} else if (c->type == TRACE_DIGESTS) {
		digest_decoder_free(&s->digests);
		digest_decoder_init(&s->digests, s->buf.data, s->buf.len, c->position);
	}
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
		s->item = STREAM_END;
		ret = end_decode(&s->end, s->buf.data, s->buf.len);
		s->type = 0;
		return ret ? ret : 1;
	default:
		return 0;
	}
}

void stream_next(struct stream *s)
{
	int ret = 0;

	s->done = 0;
	if (s->item == STREAM_OVER || s->item == STREAM_BAD)
		return;
	while ((ret = take_item(s)) == 0)
		if (!load_chunk(s))
			return;
	if (ret < 0)
		stream_bad(s);
	else if (stream_is_stop(s))
		s->stops++;
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
