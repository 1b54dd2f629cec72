/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The socket that a server listens on. */
#ifndef GDBSTUB_LISTEN_H
#define GDBSTUB_LISTEN_H

#include "vmm/error.h"
#include "vmm/types.h"

struct listener {
	int fd;
	bool is_unix;
	char address[256]; /* as clients write it */
};

/* @address as in struct gdb_server_options. A socket file left by a server that is no more is replaced. */
int listener_open(struct listener *l, const char *address, struct error *err);
void listener_close(struct listener *l);

/* A non-blocking accept; -EAGAIN: nobody waits. */
int listener_accept(struct listener *l);

#endif
