/* SPDX-License-Identifier: GPL-2.0-or-later */
/* `monitor` commands over a target: time travel, watchpoints beyond GDB's, and what a kernel developer looks at that
 * GDB has no word for. docs/gdb.md lists them. In struct stub_options:
 *
 *	.commands = monitor_commands, .opaque = monitor_new(target),
 *	.explain = monitor_explain, .client_gone = monitor_client_gone,
 *
 * Guest state is hostile: every walk through guest tables is bounded. Memory is only reached through target_read(). */
#ifndef GDBSTUB_MONITOR_H
#define GDBSTUB_MONITOR_H

#include "gdbstub/stub.h"

/* What the commands remember: checkpoints, breakpoints of their own. One for each target. */
struct monitor;

/* @t must outlive it. NULL: no memory. */
struct monitor *monitor_new(struct target *t);
/* Takes its breakpoints away from the target. NULL is fine. */
void monitor_free(struct monitor *m);

/* Their opaque is a struct monitor. */
extern const struct stub_command monitor_commands[];

/* stub_options.explain and .client_gone, for the same opaque. Checkpoints outlive a client. */
bool monitor_explain(void *opaque, const struct target_stop *stop, char *out, size_t len);
void monitor_client_gone(void *opaque);

#endif
