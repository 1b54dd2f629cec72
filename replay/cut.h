/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The first part of a recording as a trace of its own, for a recorder to go on from there. */
#ifndef REPLAY_CUT_H
#define REPLAY_CUT_H

#include "traces/trace.h"

struct cut {
	u64 position;              /* instructions; nothing of what is due there has happened */
	struct stream_place place; /* of the first item that is left out (stream_save() of a replayer there) */
	u64 console; /* bytes printed so far; ~0: not known, whole records from before the position are kept */
};

/* Copies to @to, which is new (and made with trace_cut_flags()): machine description, blobs and notes; events, digests and
 * console up to the place; checkpoints up to the position; and all disk blocks, since a run that goes on may read what the
 * recording read later. Places of the recording are the same places in the copy. The end can't be copied: -EINVAL.
 * -EBADMSG: the recording is damaged, or has no such place; -ENOMEM; or the writer's error. */
int trace_cut(struct trace_reader *from, struct trace_writer *to, const struct cut *at, struct error *err);

/* What trace_writer_create() is to be told for a copy of @from, beside TRACE_FORCE. */
unsigned trace_cut_flags(const struct trace_reader *from);

#endif
