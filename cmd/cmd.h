/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The commands of vmdbg: one file each (cmd_*.c), called from the table in vmdbg.c. */
#ifndef CMD_CMD_H
#define CMD_CMD_H

#include "vmm/error.h"
#include "vmm/types.h"

#define VMDBG_VERSION "0.1.0"

/* Exit statuses; docs/vmdbg.1 documents them. */
enum exit_status {
	STATUS_OK = 0,
	STATUS_USAGE = 2,         /* bad usage or input, output that can't be written */
	STATUS_CRASHED = 4,       /* record, run: the guest panicked or shut down in a triple fault */
	STATUS_DIVERGED = 6,      /* replay: not equal to the recording */
	STATUS_DAMAGED = 8,       /* replay, trace verify: damaged or cut-off trace */
	STATUS_UNMET = 10,        /* replay: --expect not met */
	STATUS_FAULT = 70,        /* a fault of our own */
	STATUS_INTERRUPTED = 130, /* replay: a signal ended it before the recording's end */
};

struct command {
	const char *name;
	const char *summary; /* one line for the list of commands */
	const char *usage;   /* what --help prints before the options */
	const char *examples;
	int (*run)(int argc, char **argv); /* argv[0]: the command's name. Returns an exit status */
};

extern const struct command cmd_record, cmd_run, cmd_replay, cmd_trace, cmd_doctor, cmd_branch;

/* "vmdbg: SENTENCE" on stderr. */
void complain(const char *fmt, ...) PRINTF(1, 2);

/* Complains with the error's sentence and returns the exit status that belongs to the errno @code. */
int complain_error(const struct error *err, int code);

#endif
