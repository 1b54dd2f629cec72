/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <xxhash.h>

#include "replay/landmark.h"
#include "vmm/engine.h"

void landmark_take(struct landmark *mark, const struct vcpu *vcpu)
{
	/* RAX RCX RDX RBX RSP RBP RSI RDI R8-R15 is both enum gpr and the order of the SDM's register numbers. */
	u64 regs[GPR_COUNT + 2];

	memcpy(regs, vcpu->regs.gpr, GPR_COUNT * sizeof(u64));
	regs[GPR_COUNT] = vcpu->regs.rip;
	regs[GPR_COUNT + 1] = vcpu->regs.rflags;
	*mark = (struct landmark){
	    .insns = vcpu->insns,
	    .branches = vcpu->branches,
	    .rip = vcpu->regs.rip,
	    .rcx = vcpu->regs.gpr[RCX],
	    .digest = XXH3_64bits(regs, sizeof(regs)),
	};
}
