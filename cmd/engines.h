/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The engines there are, and --engine. */
#ifndef CMD_ENGINES_H
#define CMD_ENGINES_H

#include "vmm/machine.h"

#define ENGINES 3
extern const struct engine_ops *const engines[ENGINES]; /* in the order in which auto tries them */

/* The engine called @name; "auto": the first whose probe succeeds. -ENOTSUP with the probe's sentence. */
int engine_choose(const char *name, const struct engine_ops **engine, struct error *err);
/* --mmu HOW (NULL: not given) for config->engine. -ENOTSUP with a sentence for all but vtx. */
int engine_set_mmu(struct machine_config *config, const char *how, struct error *err);

#endif
