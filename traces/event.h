/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The codec of event chunks. A chunk decodes on its own: all state begins anew with it.
 *
 * Cost: recording a read whose value is like one of the last two at that address takes a few ns and, in a run, no
 * byte; others take 2 to 20 bytes. Numbers of spaces, kinds and sources are those of vmm/nondet.h. */
#ifndef TRACES_EVENT_H
#define TRACES_EVENT_H

#include "vmm/types.h"

#define EVENT_SITES     64
#define EVENT_VCPUS     64
#define EVENT_CHUNK_RAW 0x10000u /* an event chunk is closed once it is this long */
#define EVENT_INPUT_MAX 4096u    /* most bytes of one input event */

enum event_type {
	EVENT_IO_READ = 1, /* sync: the guest read a device */
	EVENT_CLOCK,       /* sync: the guest read the time (host clock) */
	EVENT_INTERRUPT,   /* async */
	EVENT_INPUT,       /* async */
	EVENT_ADVANCE,     /* async: the clock was moved (host clock) */
	EVENT_POKE,        /* async: a debugger changed memory or registers (format 2) */
};

/* What a debugger changed. */
enum event_poke { POKE_MEMORY, POKE_REGISTERS, POKE_COUNT };

/* Event flags. */
#define EVENT_IDLE  1 /* input, advance: while the vCPU was halted, not at a boundary of running code */
#define EVENT_STATE 2 /* advance: base, state and memory are there: a place to be searched for (format 3) */
#define EVENT_STOPS 4 /* ... where the guest stops by itself: it is halted */

/* Same fields as struct landmark (replay/landmark.h). */
struct event_mark {
	u64 insns; /* or accesses: the position, whatever is counted */
	u64 branches;
	u64 rip;
	u64 rcx;
	u64 digest;
};

struct event {
	u8 type; /* enum event_type */
	u8 vcpu;
	u8 flags;
	u8 space;               /* IO_READ */
	u8 size;                /* IO_READ: 1, 2, 4, 8 */
	u8 kind;                /* INTERRUPT */
	u8 vector;              /* INTERRUPT */
	u8 source;              /* INPUT */
	u8 what;                /* POKE: enum event_poke */
	u32 len;                /* INPUT, POKE */
	u64 count;              /* IO_READ: this many reads in a row, at least 1; all others: 1 */
	u64 addr;               /* IO_READ; POKE_MEMORY: guest-physical */
	u64 value;              /* IO_READ: of the 1st, 3rd, 5th ... read of the run */
	u64 other;              /* IO_READ: of the 2nd, 4th ... */
	u64 ns;                 /* CLOCK, INPUT, ADVANCE: guest time */
	u64 base;               /* ADVANCE with EVENT_STATE: of CS, 0 in 64-bit mode */
	u64 state;              /* ADVANCE with EVENT_STATE: of the register image, replay/digest.h */
	u64 memory;             /* ADVANCE with EVENT_STATE: digest of memory */
	u64 writes;             /* INTERRUPT: running digest of all device writes so far */
	struct event_mark mark; /* async events */
	const u8 *bytes;        /* INPUT, POKE: points into the chunk */
};

struct event_site {
	u64 addr;
	u64 value[2]; /* the last value, and the one before that differed */
	u32 key;      /* 1 << 16 | vcpu << 8 | space << 4 | log2 size; 0: empty */
};

struct event_state {
	struct event_site site[EVENT_SITES];
	struct event_mark mark[EVENT_VCPUS]; /* the last landmark of each vCPU */
	u64 ns;                              /* the last guest time */
	u64 writes;                          /* the last write digest */
};

struct event_encoder {
	u8 *buf; /* EVENT_CHUNK_RAW + room for one event */
	size_t len;
	u64 run;    /* repetitions of last_op not yet written */
	u8 last_op; /* 0: the last event can't be repeated */
	u64 position;
	u64 events; /* in this chunk */
	bool pokes; /* some of them are, which readers of format 1 don't know */
	struct event_state state;
};

/* -ENOMEM. */
int event_encoder_init(struct event_encoder *enc);
void event_encoder_free(struct event_encoder *enc);

/* Begins a chunk at @position (also the first landmark's base). */
void event_encoder_begin(struct event_encoder *enc, u64 position);

/* Time to close: call event_encoder_end(), write buf[0..len), begin the next. No event may be put while full. */
static inline bool event_encoder_full(const struct event_encoder *enc)
{
	return enc->len >= EVENT_CHUNK_RAW;
}

/* Completes the chunk; buf and len are then the payload. */
void event_encoder_end(struct event_encoder *enc);

void event_put_read(struct event_encoder *enc, u8 vcpu, u8 space, u64 addr, u8 size, u64 value);
void event_put_clock(struct event_encoder *enc, u8 vcpu, u64 ns);
void event_put_interrupt(struct event_encoder *enc, u8 vcpu, const struct event_mark *mark, u8 kind, u8 vector,
			 u64 writes);
/* @len at most EVENT_INPUT_MAX. */
void event_put_input(struct event_encoder *enc, u8 vcpu, const struct event_mark *mark, u8 flags, u64 ns, u8 source,
		     const u8 *bytes, u32 len);
void event_put_advance(struct event_encoder *enc, u8 vcpu, const struct event_mark *mark, u8 flags, u64 ns);
/* An ADVANCE with EVENT_STATE, from @ev: vcpu, flags, mark, ns, base, state, memory. */
void event_put_advance_at(struct event_encoder *enc, const struct event *ev);

/* @len at most EVENT_INPUT_MAX. */
void event_put_poke(struct event_encoder *enc, u8 vcpu, const struct event_mark *mark, enum event_poke what, u64 addr,
		    const u8 *bytes, u32 len);

struct event_decoder {
	const u8 *p, *end;
	struct event_state state;
};

/* @data must stay while the decoder and its events are in use. */
void event_decoder_init(struct event_decoder *dec, const u8 *data, size_t len, u64 position);

/* 1: *@ev is the next event; 0: the chunk is over; -EBADMSG: not well-formed. */
int event_next(struct event_decoder *dec, struct event *ev);

/* Makes the chunk (@data, @len, @position) one of its first @items events (each run of reads counting as one) and @done
 * reads of the next, which must be a run of more than that: appends to *@out. Places in it stay as they were. -EBADMSG: it
 * isn't well-formed or has fewer; -ENOMEM. */
struct trace_buf;
int event_chunk_cut(struct trace_buf *out, const u8 *data, size_t len, u64 position, u64 items, u64 done);

static inline bool event_is_async(const struct event *ev)
{
	return ev->type >= EVENT_INTERRUPT;
}

const char *event_type_name(u8 type);

/* The event in words, one line, for dumps and reports, e.g. "read port 0x3fd size 1 = 0x60, 12 times". */
void event_describe(const struct event *ev, char *out, size_t len);

#endif
