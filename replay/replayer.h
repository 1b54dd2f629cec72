/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Replays a trace on a machine made and loaded from the same trace (session.h): implements nondet.h, answers device
 * reads from the log, applies input at its landmark, and compares everything that can be compared. The trace is read
 * chunk by chunk.
 *
 *	session_load(&session, reader, NULL, NULL, NULL, err); session.config.engine = ...
 *	machine_create(); boot_load();
 *	replayer_create(&rp, reader, machine, &session, err);
 *	machine_run(machine, CLOCK_NEVER);
 *	result = replayer_finish(rp);
 *
 * A difference is a report, never an abort: machine_run() comes back (with -ECANCELED) soon after the first one. */
#ifndef REPLAY_REPLAYER_H
#define REPLAY_REPLAYER_H

#include <stdio.h>

#include "replay/digest.h"
#include "replay/session.h"
#include "replay/stream.h"
#include "traces/record.h"
#include "traces/trace.h"
#include "vmm/machine.h"

struct replayer;

enum replay_result {
	REPLAY_RUNNING,
	REPLAY_EQUAL,    /* every event, digest and the end are as recorded */
	REPLAY_DIVERGED, /* replayer_divergence() */
	REPLAY_CUT,      /* equal as far as the trace is whole: replayer_damage() says where it stops */
	REPLAY_STOPPED,  /* the caller stopped before the recording's end; equal so far */
};

/* Takes over m->nondet. @r must stay open. -EBADMSG when the end record is damaged; -ENOTSUP. */
int replayer_create(struct replayer **rp, struct trace_reader *r, struct machine *m, const struct session *s,
		    struct error *err);
void replayer_free(struct replayer *rp);

/* After machine_run() returned: compares the end, and says how it went. */
enum replay_result replayer_finish(struct replayer *rp);

/* The recording's end: reason, code, position; NULL when the trace has none (cut off). */
const struct end_record *replayer_end(const struct replayer *rp);

/* For REPLAY_CUT: a sentence with the trace's damage and the position reached. */
const struct error *replayer_damage(const struct replayer *rp);

struct replayer_progress {
	u64 position; /* now */
	u64 last;     /* the recording's last position; for a cut-off trace the last one known */
	u64 events;   /* replayed so far */
	u64 bytes;    /* of the trace, read so far */
	u64 size;     /* of the trace */
};

struct replayer_progress replayer_progress(const struct replayer *rp);

/* Tells of each item of the trace when all of it has been met and compared, with the machine where it was met. */
typedef void replayer_observer(void *ctx, const struct stream *item);
void replayer_observe(struct replayer *rp, replayer_observer *observer, void *ctx);

/* --- going back --- */

/* How far a replay is, for a checkpoint: to be restored with the machine's state, memory and position of the moment. */
struct replayer_place {
	struct stream_place stream;
	u64 writes; /* running digest of device writes */
	u64 events;
	u64 settled_at, settled_stops; /* the last boundary; ~0: none at the present position */
};

/* Only while the result is REPLAY_RUNNING. */
void replayer_save(const struct replayer *rp, struct replayer_place *place);

/* Takes over m->nondet again; whatever was found out since is forgotten. -EBADMSG: no such place. */
int replayer_restore(struct replayer *rp, const struct replayer_place *place, struct error *err);

enum replay_result replayer_result(const struct replayer *rp);

/* Whether the last event that was met is part of an instruction or an interrupt: then it lies before the present place,
 * else (input) at it. */
bool replayer_event_was_before(const struct replayer *rp);

/* machine_interrupt() as soon as that many events have been met; 0: never. */
void replayer_stop_at_event(struct replayer *rp, u64 events);

/* Gives away what is known of the digest of memory, to who goes on with the machine; the replay is over then. */
void replayer_take_digest(struct replayer *rp, struct memory_digest *out);

/* The trace is still being recorded, on the same machine: it is whole up to position @edge, and nothing may be replayed
 * beyond. @digest: the recorder's, which both keep up to date. Once; later calls move the edge. */
void replayer_follow(struct replayer *rp, u64 edge, struct memory_digest *digest);

/* What is known of the digest of memory is somebody else's, who keeps it up to date too. NULL: the replay is over. */
void replayer_use_digest(struct replayer *rp, struct memory_digest *digest);

/* --- divergence --- */

#define DIVERGENCE_BEFORE 10
#define DIVERGENCE_AFTER  3

struct divergence_event {
	struct event event;
	u64 done; /* of event.count */
};

struct divergence {
	char what[512]; /* the first difference, a sentence */
	u64 position;
	unsigned vcpu;
	struct x86_state regs; /* found, at the first instruction boundary after the difference */
	bool have_mark;        /* the recording had a landmark here */
	struct event_mark expected, found;
	u8 *expected_image; /* the recording's registers, when a digest differs; or NULL */
	u8 *found_image;
	size_t image_len, found_len;
	char *layout; /* of expected_image */
	struct divergence_event before[DIVERGENCE_BEFORE];
	unsigned nr_before;
	struct divergence_event after[DIVERGENCE_AFTER]; /* what the recording has next */
	unsigned nr_after;
};

/* NULL when there is none. Lives as long as the replayer. */
const struct divergence *replayer_divergence(const struct replayer *rp);

/* Called in a report where the instruction at regs->rip should stand; writes whole lines. */
typedef void divergence_disasm_fn(void *ctx, FILE *f, const struct x86_state *regs);

/* The report for a person, many lines. @disasm may be NULL. */
void divergence_print(const struct divergence *d, FILE *f, divergence_disasm_fn *disasm, void *ctx);

#endif
