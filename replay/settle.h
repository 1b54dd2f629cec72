/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Gives the recording of a machine that ran freely the counts that it hasn't: a replay of it on an engine that counts
 * exactly is written down as it goes, so that debuggers, checkpoints and engines that go by counts can use it.
 *
 *	replayer_create(&rp, reader, machine, ...); the machine is about to start
 *	settle_begin(&s, reader, rp, machine, writer, err);
 *	machine->listener = ... (its console() calls recorder_console(settle_recorder(s)))
 *	machine_run(machine, CLOCK_NEVER);
 *	settle_finish(s, err);
 *	settle_free(s);
 *	trace_writer_close(writer, err); */
#ifndef REPLAY_SETTLE_H
#define REPLAY_SETTLE_H

#include "replay/recorder.h"
#include "replay/replayer.h"

struct settle;

/* Writes what isn't the recording itself: machine description, files, notes, disk blocks. Takes over m->nondet. @w is new.
 * The replayer must not be used by others, nor freed before settle_free(). Errors have a sentence. */
int settle_begin(struct settle **s, struct trace_reader *r, struct replayer *rp, struct machine *m,
		 struct trace_writer *w, struct error *err);
void settle_free(struct settle *s);

struct recorder *settle_recorder(struct settle *s);

/* After machine_run() returned, at the recording's end or where it is cut off. -EBADMSG: it is cut off or damaged, and all
 * of it that is whole was written; or the replay differs (replayer_result()). The writer's errors. */
int settle_finish(struct settle *s, struct error *err);

#endif
