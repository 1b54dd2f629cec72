/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The status line on a terminal, and numbers for people. */
#ifndef CMD_STATUS_H
#define CMD_STATUS_H

#include "cmd/console.h"
#include "vmm/types.h"

/* What a line or summary says. */
struct figures {
	u64 guest_ns;
	u64 first; /* position at which the run began */
	u64 insns; /* position */
	u64 branches;
	bool accesses; /* positions are accesses: nobody counts instructions */
	u64 events;
	u64 trace_bytes; /* record: written; replay: the file's size */
	u64 last;        /* replay: the recording's last position; 0: unknown or not a replay */
	double seconds;  /* of host time */
};

struct status {
	bool on;                       /* stderr is a terminal, and it's wanted */
	bool shown;                    /* a status line stands there now */
	const struct console *console; /* shares the terminal: nothing is drawn amid its lines. NULL: none */
	double started, drawn;         /* host seconds */
	double rate_at;                /* MIPS since then */
	u64 rate_insns;
	double mips;
};

double host_seconds(void);

void status_init(struct status *s, bool wanted, const struct console *console);
/* Draws when it is time to (5 times a second). Fills in f->seconds. */
void status_draw(struct status *s, struct figures *f);
/* Takes the line away, before anything else is written to the terminal. Signature of console.before_output. */
void status_clear(void *status);

/* "1,234,567"; "3.4 MB"; "2.500 s". Each into @out, which is returned. */
#define FORMAT_MAX 32
char *format_count(char out[FORMAT_MAX], u64 n);
char *format_bytes(char out[FORMAT_MAX], u64 bytes);
char *format_ns(char out[FORMAT_MAX], u64 ns);

/* "1,234,567 instructions", or accesses; " (114.3 MIPS)", or nothing where none are counted. */
char *format_ran(char out[2 * FORMAT_MAX], const struct figures *f);
char *format_rate(char out[FORMAT_MAX], const struct figures *f);

/* Millions of instructions a second, of those that were run; 0 when no time has passed. */
double figures_mips(const struct figures *f);

#endif
