/* SPDX-License-Identifier: GPL-2.0-or-later */
/* GDB's remote protocol over a target: bytes in, bytes out. docs/gdb.md lists the packets. gdbstub/server.h puts it on
 * a socket. One client at a time; the client is not trusted.
 *
 * vCPU n is thread n + 1 of process 1. Only all-stop: the target runs inside stub_feed(), all vCPUs together. */
#ifndef GDBSTUB_STUB_H
#define GDBSTUB_STUB_H

#include <stdio.h>

#include "vmm/target.h"

#define STUB_BREAK_MAX    4096      /* breakpoints and watchpoints at a time */
#define STUB_BYTECODE_MAX (4 << 20) /* bytes of all their conditions and commands */

struct stub;

/* `monitor NAME ARGS`. */
struct stub_command {
	const char *name; /* words separated by one blank; the longest name that fits is taken */
	const char *args; /* as the help shows them; may be NULL */
	const char *help; /* one line */
	/* Output is shown as it is flushed. It may move the target; long work must heed target_interrupt(), which is called
	 * when the client is gone. @vcpu is that of the selected thread, @args has no blanks around it. Failures are
	 * words on @out; the returned errno is not shown. */
	int (*run)(void *opaque, struct target *t, unsigned vcpu, const char *args, FILE *out);
};

struct stub_options {
	const struct stub_command *commands; /* beside those of the stub; ends with a NULL name; may be NULL */
	/* Says in a line, newline included, why it has stopped at a breakpoint that a command has set; false: it is none. May be
	 * NULL. */
	bool (*explain)(void *opaque, const struct target_stop *stop, char *out, size_t len);
	/* The client is gone, and with it what commands have set to stop the target. May be NULL. */
	void (*client_gone)(void *opaque);
	void *opaque;        /* of all these */
	const char *version; /* for `monitor info version` */
};

/* The side of the client. */
struct stub_io {
	void (*send)(void *opaque, const void *data, size_t len);
	/* May be NULL. Between on and off something runs that may take long: when the client sends the interrupt character
	 * or goes away, stub_interrupt() is to be called, from another thread or a signal handler. */
	void (*busy)(void *opaque, bool on);
	void *opaque;
};

enum stub_state {
	STUB_OPEN,
	STUB_DETACHED, /* the client said goodbye; all its breakpoints are gone */
	STUB_KILLED,   /* the client wants the machine to end */
};

/* @t and what @options points to must outlive it. NULL: no memory. */
struct stub *stub_new(struct target *t, const struct stub_options *options);
void stub_free(struct stub *s);

/* A new client: nothing is negotiated, no breakpoint set. */
void stub_attach(struct stub *s, const struct stub_io *io);

/* The client is gone: removes its breakpoints; nothing more is sent. */
void stub_detach(struct stub *s);

/* Bytes from the client. Those behind a detach or kill are dropped. */
enum stub_state stub_feed(struct stub *s, const void *data, size_t len);

/* Stops what runs inside stub_feed(); nothing when nothing runs. Safe from a signal handler and another thread. A
 * target may miss an interrupt that comes just before it runs, so repeat until busy(off). */
void stub_interrupt(struct stub *s);

#endif
