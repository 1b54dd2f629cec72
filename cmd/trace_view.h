/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What vmdbg trace shows of a trace. Its text is not to be trusted: nothing of it reaches a terminal unescaped. */
#ifndef CMD_TRACE_VIEW_H
#define CMD_TRACE_VIEW_H

#include <stdio.h>

#include "cmd/options.h"
#include "traces/trace.h"

/* Both print to stdout; @r may be cut off or damaged. 0, or a negative errno with a sentence when a chunk that is
 * listed can't be read. */
int trace_info(struct trace_reader *r, const char *path, bool json, struct error *err);
int trace_dump(struct trace_reader *r, bool json, struct error *err);

/* Writes the trace of @o anew with checkpoints. -EINTR after a signal, with the trace as it was; others have a sentence. */
int trace_index(const struct options *o, struct error *err);

/* Writes the trace of @o, which has landmarks in place of counts, anew with counts: to @path, with flags of
 * trace_writer_create(). -EINTR after a signal; -EBADMSG: all of it that is whole was written. Others: nothing is left. */
int trace_settle_to(const struct options *o, const char *path, unsigned flags, struct error *err);
/* To o->output, or in its place. */
int trace_settle(const struct options *o, struct error *err);

/* Bytes of a trace as printable text: others as \xNN (newline: \n). */
void print_escaped(FILE *f, const void *bytes, size_t len);
/* The same in memory that the caller frees; NULL: no memory. */
char *escaped(const void *bytes, size_t len);

const char *trace_state_name(enum trace_state state);

#endif
