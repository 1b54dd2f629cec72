/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Records a machine: implements nondet.h and writes events, guest console, digests and the end to a trace.
 *
 * With the virtual clock and no live input everything written follows from position alone: two recordings are
 * equal byte for byte. Cost: a few ns per device access, one digest of changed memory each 64 M instructions; of a machine
 * that runs freely one whenever its timers are due, each 10 ms at least.
 *
 *	session_save(&session, writer, 0, err);
 *	recorder_create(&rec, writer, machine, &config, err);
 *	machine->listener = ... (its console() calls recorder_console())
 *	ret = machine_run(machine, until);
 *	if (machine->end == END_NONE) machine_set_end(machine, END_UNTIL or END_USER, 0);
 *	recorder_finish(rec, err);
 *	recorder_free(rec);
 *	trace_writer_close(writer, err); */
#ifndef REPLAY_RECORDER_H
#define REPLAY_RECORDER_H

#include "replay/digest.h"
#include "replay/disk.h"
#include "replay/stream.h"
#include "traces/trace.h"
#include "vmm/machine.h"

struct recorder;
struct recorder_origin;
struct ring;

struct recorder_config {
	int input_fd; /* raw bytes for the guest, e.g. stdin; -1: none. Not closed */
	enum input_source input_source;
	struct disk *disk; /* the machine's, when its blocks are kept in the trace; or NULL */
	/* A recording that goes on from where a replay is: what the trace has by then. NULL: the machine is about to start. */
	const struct recorder_origin *origin;
	/* Keep only the last stretch: @w is ring_writer(ring). NULL: keep all. */
	struct ring *ring;
	u64 checkpoint_every; /* instructions between checkpoints in the trace; 0: none, but for the ring's */
	/* The end of a recording of a machine that runs freely, whose replay is to be recorded with counts: settle.h. */
	const struct end_record *follow;
	/* In instructions; ns of guest time when the machine runs freely. 0: the default. */
	u64 digest_every; /* 64 Mi; 1 s */
	u64 chunk_every;  /* 16 Mi; 1 s: a killed recorder loses no more than this */
	u64 input_every;  /* 1 Mi; 10 ms: how often input is looked for, and a place has a landmark at least */
};

struct recorder_origin {
	u64 writes; /* running digest of device writes */
	u64 events, console;
	struct memory_digest *memory; /* up to date but for pages flagged dirty; emptied, the recorder has it then */
};

/* Takes over m->nondet. The machine is loaded and about to start, or where the replay of its origin is. -ENOMEM. */
int recorder_create(struct recorder **r, struct trace_writer *w, struct machine *m,
		    const struct recorder_config *config, struct error *err);
void recorder_free(struct recorder *r);

/* Guest output, from the machine's listener. */
void recorder_console(struct recorder *r, enum console_port port, const u8 *buf, size_t len);

/* After machine_run() with m->end set: last events, final digest, end record. On error (also one kept from earlier,
 * e.g. a full disk, which made machine_run() return it) the sentence is in @err, and the trace is for
 * trace_writer_abandon(). */
int recorder_finish(struct recorder *r, struct error *err);

/* With config.follow: what the replay meets at this place, an event that isn't a read, or a digest, is written with this
 * place's counts. Reads, time and interrupts come through nondet, the machine's end with recorder_finish(). */
void recorder_copy(struct recorder *r, const struct stream *item);

/* Why boundary() failed. */
const struct error *recorder_error(const struct recorder *r);

/* Writes out all that is recorded so far: the trace is then whole up to here. */
int recorder_flush(struct recorder *r, struct error *err);

/* A debugger's changes, made and written down. At a place (P, 0) only (vmm/probe.h), with the recorder running the machine.
 * -EFAULT: not all of it is RAM, nothing is written. */
int recorder_poke_memory(struct recorder *r, u64 gpa, const void *buf, size_t len);
int recorder_poke_registers(struct recorder *r, unsigned vcpu, const struct x86_state *regs);

/* While somebody looks at the machine, or at its past: host time stands still for the guest. Both may come twice. A
 * machine that was the replayer's is the recorder's again with recorder_resume(), as it was left. */
void recorder_pause(struct recorder *r);
void recorder_resume(struct recorder *r);

/* What is known of the digest of guest memory. */
struct memory_digest *recorder_memory_digest(struct recorder *r);

struct recorder_stats {
	u64 events; /* so far */
	u64 writes; /* running digest of device writes */
	u64 bytes;  /* of the trace file, so far */
};

struct recorder_stats recorder_stats(const struct recorder *r);

#endif
