/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --gdb: GDB on a recording, or on a machine that is being recorded. */
#ifndef CMD_DEBUG_H
#define CMD_DEBUG_H

#include "cmd/options.h"
#include "replay/timeline.h"

/* Serves one client after the other until one kills the machine or a signal comes. @run_detached: when a client detaches
 * the machine runs on. Negative: the host fails, with a sentence. */
int debug_serve(struct timeline *tl, const struct options *o, bool run_detached, struct error *err);

#endif
