/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What depends on IOPL in virtual-8086 mode, and the virtual interrupt flag of CR4.VME and CR4.PVI (SDM 3B 20.3, 20.4). */
#include "vmm/soft/stack.h"
#include "vmm/soft/system.h"

enum iopl_right soft_iopl_right(const struct soft_cpu *cpu)
{
	u64 rflags = cpu->vcpu.regs.rflags, cr4 = cpu->vcpu.regs.cr4;

	if (cpu->cpl <= (rflags & RFLAGS_IOPL) >> 12)
		return IOPL_FULL;
	if (rflags & RFLAGS_VM ? cr4 & CR4_VME : cpu->cpl == 3 && cr4 & CR4_PVI)
		return IOPL_VIRTUAL;
	return IOPL_NONE;
}

bool soft_virtual_pending(const struct soft_cpu *cpu)
{
	return (cpu->vcpu.regs.rflags & (RFLAGS_VIF | RFLAGS_VIP)) == (RFLAGS_VIF | RFLAGS_VIP) &&
	       soft_iopl_right(cpu) == IOPL_VIRTUAL;
}

u64 soft_virtual_flags(u64 rflags)
{
	return (rflags & ~RFLAGS_IF) | RFLAGS_IOPL | (rflags & RFLAGS_VIF ? RFLAGS_IF : 0);
}

u64 soft_load_virtual_flags(struct soft_cpu *cpu, u64 old, u64 image)
{
	if ((image & RFLAGS_TF) || ((image & RFLAGS_IF) && (old & RFLAGS_VIP)))
		soft_fault_code(cpu, X86_GP, 0);
	return (old & ~RFLAGS_VIF) | (image & RFLAGS_IF ? RFLAGS_VIF : 0);
}

/* The bit of the TSS's interrupt redirection bitmap: whether INT @vector goes through the IDT. */
static bool redirected_to_idt(struct soft_cpu *cpu, u8 vector)
{
	const struct x86_segment *tr = &cpu->vcpu.regs.seg[SEG_TR];
	u32 at;

	if (!(tr->ar & 8) || tr->limit < 0x67)
		soft_fault_code(cpu, X86_GP, 0);
	at = (u32)soft_system_load(cpu, tr->base + 0x66, 2) - 32 + vector / 8u;
	if (at > tr->limit)
		soft_fault_code(cpu, X86_GP, 0);
	return soft_system_load(cpu, tr->base + at, 1) >> (vector & 7) & 1;
}

bool soft_vm86_int(struct soft_cpu *cpu, u8 vector, u64 return_rip)
{
	struct x86_state *s = &cpu->vcpu.regs;
	u64 rflags = soft_rflags(cpu);
	bool full = (rflags & RFLAGS_IOPL) == RFLAGS_IOPL;
	u16 sp = reg16(cpu, RSP), frame[3];
	u32 entry;

	if (!(s->cr4 & CR4_VME) || redirected_to_idt(cpu, vector)) {
		if (!full)
			soft_fault_code(cpu, X86_GP, 0);
		return false;
	}
	entry = (u32)soft_system_load(cpu, vector * 4u, 4);
	frame[0] = (u16)return_rip;
	frame[1] = s->seg[SEG_CS].selector;
	frame[2] = (u16)(full ? rflags : soft_virtual_flags(rflags));
	stack_frame_check(cpu, &s->seg[SEG_SS], sp, 2, 6, 0);
	stack_frame_store(cpu, &s->seg[SEG_SS], sp, 3, frame, 6);
	set_reg16(cpu, RSP, (u16)(sp - 6));
	s->rflags &= ~(RFLAGS_TF | (full ? RFLAGS_IF : RFLAGS_VIF));
	s->seg[SEG_CS].selector = (u16)(entry >> 16);
	s->seg[SEG_CS].base = entry >> 16 << 4;
	s->rip = (u16)entry;
	cpu->no_step_trap = true;
	soft_mode_changed(cpu);
	return true;
}
