/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A landmark: where in the execution an asynchronous event happened, in every way an engine could find it again. */
#ifndef REPLAY_LANDMARK_H
#define REPLAY_LANDMARK_H

#include "vmm/types.h"

struct vcpu;
struct x86_state;

struct landmark {
	u64 insns;    /* instructions retired by the vCPU, or accesses */
	u64 branches; /* conditional branches retired; with accesses 0 */
	u64 rip;
	u64 rcx;    /* tells iterations of an interrupted REP apart */
	u64 digest; /* XXH3-64 over the 16 general registers, RIP and RFLAGS, little-endian, in SDM order */
};

/* @counted: by instructions; otherwise by accesses (machine_config.free). */
void landmark_take(struct landmark *mark, const struct vcpu *vcpu, bool counted);

/* What is to be added to RIP for a linear address. */
u64 landmark_base(const struct x86_state *regs);

/* Whether an execution breakpoint at RIP meets this place when the guest comes here again, on any engine: nothing is
 * pending or held back, and no exception is what has brought it here. */
bool landmark_is_plain(const struct vcpu *vcpu);

#endif
