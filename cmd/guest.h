/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A machine that runs under a command: its console, --until, Ctrl-C, the status line, and what a panic means.
 *
 * Everything that ends a recording does so at a position that follows from the guest alone (Ctrl-C apart), and at a
 * clean one: nothing of what is due at that position has happened (vmm/machine.h, machine_run()). */
#ifndef CMD_GUEST_H
#define CMD_GUEST_H

#include "cmd/console.h"
#include "cmd/options.h"
#include "cmd/status.h"
#include "replay/recorder.h"
#include "replay/replayer.h"
#include "vmm/machine.h"

/* After its panic message a guest runs on until it says that it is over, ends, or has retired so many instructions (or
 * ns have passed, when it runs freely). */
#define PANIC_GRACE 200000000ull
/* A pattern that matches an unfinished line (a prompt) counts when the line isn't finished after that much time. */
#define PATTERN_GRACE_NS 10000000ull

struct guest {
	struct machine *m;
	struct options *o;
	struct console console;
	struct status status;
	struct recorder *recorder; /* NULL: not recording */
	struct replayer *replayer; /* NULL: not replaying */
	u64 trace_bytes;           /* replay: the file's size */
	u64 limit;                 /* --until insns:N */
	struct clock_timer time;   /* --until time:S */
	struct clock_timer grace;  /* of an unfinished line that matches */
	bool panicked;
	u64 panic_at;
	bool until_panic;    /* --until panic: it is no crash then */
	bool through_panics; /* --until exit: a panic message doesn't end the run */
	bool stop;           /* --until was met: stop at the next clean position */
	bool cancelled;      /* the user ended it */
	struct figures figures;
};

/* Takes the machine, which is loaded and about to start. @o must stay. Opens the console's output as @o says. */
int guest_init(struct guest *g, struct machine *m, struct options *o, bool replay, struct error *err);
/* Writes out the console, prints the screen if asked to, and lets go of terminal and signals; the machine stays. -ENOSPC and the like. */
int guest_finish(struct guest *g, struct error *err);

/* Runs to the end, with SIGINT, SIGTERM and SIGHUP ending it cleanly, a second one at once. Recording and plain runs: on
 * 0, m->end is set. Replay: also returns when --until is met or the user ended it (g->stop, g->cancelled).
 * Negative: what machine_run() returned. */
int guest_run(struct guest *g);

/* A guest that panicked and then reset, powered off or stopped has ended in its panic. guest_run() has done it. */
void guest_name_end(struct guest *g);

/* The figures up to now. */
const struct figures *guest_figures(struct guest *g);

/* The exit status of record and run. */
int guest_status(const struct guest *g);
int end_status(enum machine_end end, u32 code);
/* "the guest powered off", for summaries. */
const char *end_sentence(enum machine_end end);

/* Whether stdin may be read for the guest's serial port: open, and not a terminal of another job. */
int guest_input_fd(const struct options *o);

#endif
