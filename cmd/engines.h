/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The engines there are, and --engine. */
#ifndef CMD_ENGINES_H
#define CMD_ENGINES_H

#include "vmm/engine.h"

#define ENGINES 3
extern const struct engine_ops *const engines[ENGINES]; /* in the order in which auto tries them */

/* The engine called @name; "auto": the first whose probe succeeds. -ENOTSUP with the probe's sentence. */
int engine_choose(const char *name, const struct engine_ops **engine, struct error *err);

#endif
