/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Results as JSON on stdout. */
#ifndef CMD_FIGURES_H
#define CMD_FIGURES_H

#include <jansson.h>

#include "cmd/status.h"

/* An object with the figures; the caller adds to it. */
json_t *figures_json(const char *command, const struct figures *f);
/* A string from bytes that may not be UTF-8: those are shown as '?'. */
json_t *figures_json_text(const char *text);
/* Writes it to stdout with a final newline and lets go of it. Not 0: stdout can't be written (said on stderr). */
int figures_json_print(json_t *j);

#endif
