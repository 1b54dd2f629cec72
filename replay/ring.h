/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The flight recorder: a recording of which only the last stretch is kept, in two files that take turns.
 *
 * The recorder writes to the present file, PATH (PATH.partial when it is to replace another trace). When that has got long
 * enough it becomes PATH.older, in place of the one before, and a new one begins, with a full checkpoint. So at any time
 * there are between a half and all of what is to be kept, and a killed recorder leaves two traces that can be replayed, each on
 * its own. ring_close() makes one of them.
 *
 *	ring_create(&ring, &config, err);
 *	at a boundary, with all events flushed: if (ring_full(ring)) {
 *		ring_roll(ring, err);
 *		the recorder's writer = ring_writer(ring); disk_record(disk, ring_writer(ring), position);
 *		a full checkpoint to the new writer, with place {.item = STREAM_AFTER};
 *	}
 *	recorder_finish(); ring_close(ring, err);
 *
 * disk_record() makes the disk store again what is read again, so each file has the blocks that it needs. */
#ifndef REPLAY_RING_H
#define REPLAY_RING_H

#include "traces/trace.h"

struct ring;

enum ring_head {
	RING_START,     /* of a recording from the machine's start: description, files as the user wants them, notes */
	RING_MID,       /* the same, of one that begins at a checkpoint (session_save(): SESSION_BEGIN_CHECKPOINT) */
	RING_MID_NAMES, /* like RING_MID, with files by name only: the replay doesn't need them */
};

struct ring_config {
	const char *path;
	u64 size;   /* bytes to be kept, about; without the files */
	bool force; /* replace what is at @path and @path.older */
	/* Writes the first chunks of a file. 0, or a negative errno with a sentence. */
	int (*head)(void *ctx, struct trace_writer *w, enum ring_head kind, struct error *err);
	void *ctx;
};

/* Creates the first file. -EEXIST without force; every error has a sentence. */
int ring_create(struct ring **ring, const struct ring_config *config, struct error *err);

/* What to write to; another one after ring_roll(). */
struct trace_writer *ring_writer(const struct ring *ring);

/* Whether it is time for the next file: this one has its share, and since its checkpoint a good part of it. To be asked
 * once a file's checkpoint is written. */
bool ring_full(struct ring *ring);

/* The present file becomes the older one, and a new one begins. On error the writer is gone: ring_abandon(). */
int ring_roll(struct ring *ring, struct error *err);

/* Makes one trace at the path of what both files have, and frees. On error both are kept. */
int ring_close(struct ring *ring, struct error *err);

/* Ends without that and frees: both files are kept as they are. Returns whether there is anything to replay. */
bool ring_abandon(struct ring *ring);

#endif
