/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest's console on the user's side: output to stdout or a file, lines watched for patterns and panics. */
#ifndef CMD_CONSOLE_H
#define CMD_CONSOLE_H

#include "cmd/condition.h"
#include "vmm/error.h"
#include "vmm/machine.h"

#define CONSOLE_PORTS 3
#define CONSOLE_LINE  4096 /* longer lines are watched in pieces of this length */
#define CONSOLE_BUF   4096

/* What a watched console calls, at the guest's instruction that wrote the byte. */
struct console_watcher {
	void (*pattern)(void *ctx, struct condition *c); /* a line matches: at its end, and once before (see below) */
	void (*panic)(void *ctx);                        /* "Kernel panic - not syncing" */
	void (*panic_over)(void *ctx);                   /* "---[ end Kernel panic", at the line's end */
	void *ctx;
};

struct console_line {
	char text[CONSOLE_LINE + 1];
	size_t len;
};

struct console {
	int fd;      /* -1: shown nowhere */
	bool owned;  /* close fd */
	bool tty;    /* fd is a terminal: every byte goes out at once */
	bool broken; /* the reader went away: nothing more is written */
	int code;    /* why: a negative errno */
	bool column; /* the terminal's cursor is not at a line's beginning */
	u64 bytes;   /* from the guest */
	u8 buf[CONSOLE_BUF];
	size_t len;
	struct console_line line[CONSOLE_PORTS];
	struct condition *watch[2]; /* lists of conditions; those of kind CONDITION_PATTERN are looked at */
	unsigned nr_watch[2];
	struct console_watcher watcher;
	void (*before_output)(void *ctx); /* to clear a status line from the terminal; may be NULL */
	void *before_ctx;
};

/* @fd: where output goes; -1: nowhere. */
void console_init(struct console *c, int fd);
/* Output to a new file. -EIO and the like with a sentence. */
int console_open(struct console *c, const char *path, struct error *err);
/* Writes out what is held back. Returns 0, or a negative errno when the output went away (-EPIPE, -ENOSPC). */
int console_flush(struct console *c);
int console_close(struct console *c);

/* Guest output. A pattern that an unfinished line matches already is reported at once through @pattern with the
 * condition's `met` still false, and again with `met` set when the line ends and matches. */
void console_put(struct console *c, enum console_port port, const u8 *buf, size_t len);

/* Nothing more comes: tries the patterns on unfinished lines. Calls no watcher. */
void console_end_lines(struct console *c);

#endif
