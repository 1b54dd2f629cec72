/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How an error travels from a library folder to the command that words it for a person: library
 * code returns a negative errno and leaves one sentence here (what, where, what to do). */
#ifndef VMM_ERROR_H
#define VMM_ERROR_H

#include "vmm/types.h"

struct error {
	char text[512]; /* one sentence without a final newline; empty when nothing went wrong */
};

/* Writes the sentence and returns @code, so that callers can `return error_set(err, -EINVAL, ...)`.
 * @err may be NULL (the sentence is dropped). */
int error_set(struct error *err, int code, const char *fmt, ...) PRINTF(3, 4);

/* Puts "PREFIX: " before the sentence already there; returns @code. */
int error_prefix(struct error *err, int code, const char *fmt, ...) PRINTF(3, 4);

#endif
