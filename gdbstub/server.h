/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The stub on a TCP or Unix socket. One client at a time, another one is closed at once; when it leaves, or vanishes
 * (which stops what it had set running), the next is waited for.
 *
 * The target runs on the thread that calls gdb_server_serve(). Beside it a watcher thread reads the socket while
 * something long goes on: at an interrupt character, a hang-up or gdb_server_stop() it calls target_interrupt(), again
 * every 20 ms until the run is over; all else it keeps for later. A thread rather than SIGIO: no signal of the process
 * is taken, no system call of the engine is cut short, and two servers can live in one process. */
#ifndef GDBSTUB_SERVER_H
#define GDBSTUB_SERVER_H

#include "gdbstub/stub.h"

#define GDB_SERVER_ADDRESS "127.0.0.1:1234"

struct gdb_server;

struct gdb_server_options {
	/* ADDR:PORT, [ADDR]:PORT, :PORT or PORT (of 127.0.0.1); with a '/': path of a Unix socket. NULL:
	 * GDB_SERVER_ADDRESS. Port 0: any free one. */
	const char *address;
	struct stub_options stub;
	bool run_first; /* the target runs until the first client comes */
	/* And again after a client has detached; serve() returns if it ends then. When a client vanishes it stays stopped. */
	bool run_detached;
	bool once; /* serve() returns when the first client has gone */
};

enum gdb_server_end {
	GDB_SERVER_STOPPED, /* gdb_server_stop(), the one client is gone, or the machine ended with nobody there */
	GDB_SERVER_KILLED,  /* a client killed the machine */
};

/* Listens. NULL with a sentence in @err. @t and what @options points to must outlive the server. */
struct gdb_server *gdb_server_open(struct target *t, const struct gdb_server_options *options, struct error *err);
void gdb_server_close(struct gdb_server *s);

/* Where it listens, as GDB's `target remote` takes it. */
const char *gdb_server_address(const struct gdb_server *s);

/* enum gdb_server_end, or a negative errno with a sentence. */
int gdb_server_serve(struct gdb_server *s, struct error *err);

/* Makes serve() return soon, and every later call at once. Safe from a signal handler and another thread. */
void gdb_server_stop(struct gdb_server *s);

#endif
