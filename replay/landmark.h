/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A landmark: where in the execution an asynchronous event happened, in every way an engine could find it again. */
#ifndef REPLAY_LANDMARK_H
#define REPLAY_LANDMARK_H

#include "vmm/types.h"

struct vcpu;

struct landmark {
	u64 insns;    /* instructions retired by the vCPU */
	u64 branches; /* conditional branches retired */
	u64 rip;
	u64 rcx;    /* tells iterations of an interrupted REP apart */
	u64 digest; /* XXH3-64 over the 16 general registers, RIP and RFLAGS, little-endian, in SDM order */
};

void landmark_take(struct landmark *mark, const struct vcpu *vcpu);

#endif
