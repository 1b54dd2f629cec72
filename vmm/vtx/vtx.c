/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The VT-x engine's place in the engine table: its probe says why it can't serve. */
#include <errno.h>

#include "vmm/engine.h"

static int vtx_probe(struct error *why)
{
	return error_set(why, -ENOSYS, "the VT-x engine and its module vmdbg.ko are not part of this version");
}

const struct engine_ops vtx_engine = {
    .name = "vtx",
    .exact_branches = true,
    .probe = vtx_probe,
};
