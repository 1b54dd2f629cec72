/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <xxhash.h>

#include "replay/landmark.h"
#include "vmm/machine.h"

void landmark_take(struct landmark *mark, const struct vcpu *vcpu, bool counted)
{
	/* RAX RCX RDX RBX RSP RBP RSI RDI R8-R15 is both enum gpr and the order of the SDM's register numbers. */
	u64 regs[GPR_COUNT + 2];

	memcpy(regs, vcpu->regs.gpr, GPR_COUNT * sizeof(u64));
	regs[GPR_COUNT] = vcpu->regs.rip;
	regs[GPR_COUNT + 1] = vcpu->regs.rflags;
	*mark = (struct landmark){
	    .insns = counted ? vcpu->insns : vcpu->machine->accesses,
	    .branches = counted ? vcpu->branches : 0,
	    .rip = vcpu->regs.rip,
	    .rcx = vcpu->regs.gpr[RCX],
	    .digest = XXH3_64bits(regs, sizeof(regs)),
	};
}

u64 landmark_base(const struct x86_state *regs)
{
	return x86_64bit(regs) ? 0 : regs->seg[SEG_CS].base;
}

bool landmark_is_plain(const struct vcpu *vcpu)
{
	const struct x86_state *s = &vcpu->regs;

	if (vcpu_deliveries(vcpu))
		return false;
	/* A halted vCPU stops by itself. */
	if (s->activity == ACTIVITY_HLT)
		return true;
	return !vcpu->amid && !s->pending_db && !(s->interruptibility & (BLOCK_STI | BLOCK_MOV_SS)) &&
	       !(s->rflags & RFLAGS_RF);
}
