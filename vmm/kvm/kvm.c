/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The KVM engine's place in the engine table: its probe says why it can't serve. */
#include <errno.h>

#include "vmm/engine.h"

static int kvm_probe(struct error *why)
{
	return error_set(why, -ENOSYS, "the engine that runs guests on KVM is not part of this version");
}

const struct engine_ops kvm_engine = {
    .name = "kvm",
    .exact_branches = true,
    .probe = kvm_probe,
};
