/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text chunks (machine description, notes): lines of `key value`, UTF-8. In a value a newline is written \n and a
 * backslash \\. Unknown keys are ignored by readers; a key may come more than once. */
#ifndef TRACES_TEXT_H
#define TRACES_TEXT_H

#include "traces/trace.h"

/* Appends a line. @key: no blanks. -ENOMEM. */
int trace_text_add(struct trace_buf *text, const char *key, const char *value);
int trace_text_addf(struct trace_buf *text, const char *key, const char *fmt, ...) PRINTF(3, 4);

/* The @nth (from 0) value of @key, unescaped, in memory that the caller frees; NULL when there is none (or no memory). */
char *trace_text_get(const u8 *text, size_t len, const char *key, unsigned nth);

/* The value of @key as a number (decimal or 0x). -ENOENT: no such key. -EINVAL: not a number. */
int trace_text_number(const u8 *text, size_t len, const char *key, u64 *value);

#endif
