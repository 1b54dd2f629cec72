/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checkpoints of a machine (replay/checkpoint.h) into a trace and out of it (traces/checkpoint.h). */
#ifndef REPLAY_STORED_H
#define REPLAY_STORED_H

#include "replay/checkpoint.h"
#include "traces/checkpoint.h"

/* Writes @cp: what differs from @since, the one stored before it; NULL: all of it. -ENOMEM, or the writer's error. */
int checkpoint_store(const struct checkpoints *c, const struct checkpoint *cp, const struct checkpoint *since,
		     struct checkpoint_put *put, struct error *err);

/* Reads checkpoint @i and enters it into the list. -EBADMSG: damaged, or not of such a machine; -ENOMEM. */
int checkpoint_fetch(struct checkpoints *c, struct checkpoint_file *f, size_t i, struct error *err);

/* For a trace that begins at a checkpoint: machine and replayer are put there, instead of booting. */
int checkpoint_begin(struct machine *m, struct replayer *rp, struct trace_reader *r, struct error *err);

#endif
