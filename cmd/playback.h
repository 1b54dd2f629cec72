/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A trace made ready to be run again: what replay, branch and trace index begin with. */
#ifndef CMD_PLAYBACK_H
#define CMD_PLAYBACK_H

#include "cmd/options.h"
#include "replay/replayer.h"
#include "replay/session.h"

struct playback {
	struct trace_reader *reader;
	struct session session;
	struct machine *m;
	struct replayer *replayer;
	char *what; /* the kernel in words; NULL: the trace begins amid its run */
};

/* Of o->file, on o->engine, with the files that o names for those that the trace names only. The machine stands where the
 * trace begins. @counted: a trace without counts is given some first (-EINTR after a signal). playback_close() in any
 * case. */
int playback_open(struct playback *p, const struct options *o, bool counted, struct error *err);
void playback_close(struct playback *p);

/* A new folder for what nobody is to see. */
int hidden_folder(char **folder, struct error *err);

#endif
