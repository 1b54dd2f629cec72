/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A recording that can be asked to be anywhere: a struct target (vmm/target.h) that steps, runs and seeks in both
 * directions, by checkpoints and by running forwards from them. A live machine that is being recorded has one too: its
 * history is what was recorded so far, and going forwards beyond that goes on recording.
 *
 *	... as for a replay: session_load(), machine_create(), boot_load(), replayer_create(), m->listener = ...
 *	timeline_create(&tl, &config, err);
 *	t = timeline_target(tl);
 *	t->ops->seek(t, "50%", err);
 *
 * Guest output reaches the listener once, when the guest first comes there.
 *
 * Cost. Forwards: that of a replay, and a checkpoint (a copy of the pages written since the last one) each
 * TIMELINE_SPACING instructions or quarter of a second. Seeking: what lies between the place and the checkpoint before it.
 * Backwards: the same to search one stretch between two checkpoints, from the last to the first. */
#ifndef REPLAY_TIMELINE_H
#define REPLAY_TIMELINE_H

#include "replay/recorder.h"
#include "replay/replayer.h"
#include "vmm/target.h"

#define TIMELINE_SPACING (64ull << 20)

struct timeline;

struct timeline_config {
	struct machine *m;
	struct replayer *replayer;   /* of @reader, on @m */
	struct trace_reader *reader; /* must stay open */
	struct recorder *recorder;   /* of a live machine, writing what @reader reads; else NULL */
	/* The timeline of the replay that the machine came here by, on the trace that the present one is a copy of: its
	 * checkpoints are taken over, and nothing is left to do with it but to free it. Or NULL. */
	struct timeline *past;
	u64 memory; /* bytes that checkpoints may take; 0: a quarter of the host's RAM */
};

/* The machine stands at the beginning of its run. Takes over its listener; neither machine, replayer, reader nor recorder. */
int timeline_create(struct timeline **tl, const struct timeline_config *config, struct error *err);
void timeline_free(struct timeline *tl);

struct target *timeline_target(struct timeline *tl);

/* Live: back to where recording goes on. -EINTR, or an error of the host. */
int timeline_go_live(struct timeline *tl, struct error *err);

struct checkpoints *timeline_checkpoints(struct timeline *tl);

#endif
