/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A replay as one JUnit XML test case. */
#ifndef CMD_JUNIT_H
#define CMD_JUNIT_H

#include "vmm/error.h"

struct junit_case {
	const char *name; /* the trace's file name */
	double seconds;
	const char *failure; /* one sentence: diverged, --expect not met; NULL: none */
	const char *error;   /* damaged trace and the like; NULL: none */
	const char *details; /* text of any length for the failure or error; may be NULL */
	const char *output;  /* system-out; may be NULL */
};

/* Writes @path anew. Text is escaped, bytes that XML can't hold are shown as '?'. */
int junit_write(const char *path, const struct junit_case *c, struct error *err);

#endif
