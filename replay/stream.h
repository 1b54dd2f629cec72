/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A place in a trace's stream of events, digests and end, in the order in which they were recorded. Holds one chunk. */
#ifndef REPLAY_STREAM_H
#define REPLAY_STREAM_H

#include "traces/event.h"
#include "traces/record.h"
#include "traces/trace.h"

enum stream_item {
	STREAM_EVENT,
	STREAM_DIGEST,
	STREAM_END,
	STREAM_OVER, /* the trace holds no more */
	STREAM_BAD,  /* damage: err */
};

struct stream {
	struct trace_reader *r;
	size_t next_chunk; /* in r->chunk, after the one being read */
	u64 chunk;         /* chunks of the stream read so far, the present one included */
	u64 taken;         /* items taken from it, the present one included */
	u32 type;          /* of the chunk being read; 0: none */
	struct trace_buf buf;
	struct event_decoder events;
	struct digest_decoder digests;
	enum stream_item item;
	struct event event;
	struct digest_record digest; /* image valid until the next stream_next() */
	struct end_record end;
	u64 done;  /* of event.count */
	u64 stops; /* items passed or reached that a machine must stop for: all but reads and clock samples */
	u64 bytes; /* of the file, read so far */
	struct error err;
};

/* Stands before the first item: call stream_next(). */
void stream_init(struct stream *s, struct trace_reader *r);
void stream_free(struct stream *s);

/* Goes to the next item. At STREAM_BAD it stays, and at STREAM_OVER too unless trace_refresh() has found more. */
void stream_next(struct stream *s);

/* At STREAM_OVER the place is STREAM_AFTER the last chunk: once the trace has grown, it is that of what came then. */
void stream_save(const struct stream *s, struct stream_place *place);

/* Goes to a place, forwards or back; the stream is then as it was when it was saved. Cost: forwards within the chunk being
 * read, the items between; otherwise at most reading and decoding one chunk. -EBADMSG: the trace has no such place, and
 * the stream is then at STREAM_BAD. @place->stops is believed (for STREAM_AFTER: those before what follows). */
int stream_restore(struct stream *s, const struct stream_place *place);

/* Whether the present item is one to stop for (or the trace is over). */
static inline bool stream_is_stop(const struct stream *s)
{
	return s->item != STREAM_EVENT || event_is_async(&s->event);
}

/* The position of a present item that has one. */
u64 stream_position(const struct stream *s);

/* The present item in words. */
void stream_describe(const struct stream *s, char *out, size_t len);

#endif
