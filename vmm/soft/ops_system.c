// SPDX-License-Identifier: GPL-2.0-or-later
/* System instructions: control, debug and model-specific registers, time, halts, flags. */
#include "vmm/soft/ops.h"
#include "vmm/soft/system.h"
#include "vmm/x86/cpuid.h"

/* --- flags --- */

void op_clc(struct soft_cpu *cpu, const struct insn *i)
{
	flags_set(&cpu->flags, flags_get(&cpu->flags) & ~RFLAGS_CF);
}

void op_stc(struct soft_cpu *cpu, const struct insn *i)
{
	flags_set(&cpu->flags, flags_get(&cpu->flags) | RFLAGS_CF);
}

void op_cmc(struct soft_cpu *cpu, const struct insn *i)
{
	flags_set(&cpu->flags, flags_get(&cpu->flags) ^ RFLAGS_CF);
}

void op_cld(struct soft_cpu *cpu, const struct insn *i)
{
	cpu->vcpu.regs.rflags &= ~RFLAGS_DF;
}

void op_std(struct soft_cpu *cpu, const struct insn *i)
{
	cpu->vcpu.regs.rflags |= RFLAGS_DF;
}

void op_cli(struct soft_cpu *cpu, const struct insn *i)
{
	enum iopl_right right = soft_iopl_right(cpu);

	if (right == IOPL_NONE)
		soft_fault_code(cpu, X86_GP, 0);
	cpu->vcpu.regs.rflags &= right == IOPL_FULL ? ~RFLAGS_IF : ~RFLAGS_VIF;
}

/* Interrupts stay closed for one more instruction when STI opens them. */
void op_sti(struct soft_cpu *cpu, const struct insn *i)
{
	enum iopl_right right = soft_iopl_right(cpu);
	u64 *rflags = &cpu->vcpu.regs.rflags;

	if (right == IOPL_NONE || (right == IOPL_VIRTUAL && (*rflags & RFLAGS_VIP)))
		soft_fault_code(cpu, X86_GP, 0);
	if (right == IOPL_VIRTUAL) {
		*rflags |= RFLAGS_VIF;
	} else if (!(*rflags & RFLAGS_IF)) {
		*rflags |= RFLAGS_IF;
		cpu->vcpu.regs.interruptibility |= BLOCK_STI;
		soft_attention(cpu);
	}
}

static void set_ac(struct soft_cpu *cpu, bool ac)
{
	if (cpu->cpl)
		soft_fault(cpu, X86_UD);
	cpu->vcpu.regs.rflags = (cpu->vcpu.regs.rflags & ~RFLAGS_AC) | (ac ? RFLAGS_AC : 0);
	soft_select_tlb(cpu);
}

void op_clac(struct soft_cpu *cpu, const struct insn *i)
{
	set_ac(cpu, false);
}

void op_stac(struct soft_cpu *cpu, const struct insn *i)
{
	set_ac(cpu, true);
}

/* --- identification and time --- */

void op_cpuid(struct soft_cpu *cpu, const struct insn *i)
{
	u64 apic_base = 0;
	struct cpuid_regs r;

	soft_sync_position(cpu);
	cpu->vcpu.ops->rdmsr(&cpu->vcpu, MSR_APIC_BASE, &apic_base);
	r = x86_cpuid(&cpu->vcpu.regs, reg32(cpu, RAX), reg32(cpu, RCX), cpu->vcpu.id, cpu->vcpu.count, apic_base);
	set_reg32(cpu, RAX, r.eax);
	set_reg32(cpu, RBX, r.ebx);
	set_reg32(cpu, RCX, r.ecx);
	set_reg32(cpu, RDX, r.edx);
}

static void read_tsc(struct soft_cpu *cpu)
{
	u64 tsc;

	if (cpu->cpl && (cpu->vcpu.regs.cr4 & CR4_TSD))
		soft_fault_code(cpu, X86_GP, 0);
	soft_sync_position(cpu);
	tsc = cpu->vcpu.ops->tsc(&cpu->vcpu);
	soft_after_machine(cpu);
	set_reg32(cpu, RAX, (u32)tsc);
	set_reg32(cpu, RDX, (u32)(tsc >> 32));
}

void op_rdtsc(struct soft_cpu *cpu, const struct insn *i)
{
	read_tsc(cpu);
}

void op_rdtscp(struct soft_cpu *cpu, const struct insn *i)
{
	read_tsc(cpu);
	set_reg32(cpu, RCX, (u32)cpu->vcpu.regs.tsc_aux);
}

/* No performance counters in this model. */
void op_rdpmc(struct soft_cpu *cpu, const struct insn *i)
{
	soft_fault_code(cpu, X86_GP, 0);
}

/* --- model-specific registers --- */

void op_rdmsr(struct soft_cpu *cpu, const struct insn *i)
{
	u32 msr = reg32(cpu, RCX);
	u64 v = 0;
	int err;

	soft_require_cpl0(cpu);
	if (x86_msr_is_machine(msr)) {
		soft_sync_position(cpu);
		err = cpu->vcpu.ops->rdmsr(&cpu->vcpu, msr, &v);
		soft_after_machine(cpu);
	} else {
		err = x86_rdmsr(&cpu->vcpu.regs, msr, &v);
	}
	if (err)
		soft_fault_code(cpu, X86_GP, 0);
	set_reg32(cpu, RAX, (u32)v);
	set_reg32(cpu, RDX, (u32)(v >> 32));
	soft_event(cpu, TARGET_EVENT_MSR, msr);
}

void op_wrmsr(struct soft_cpu *cpu, const struct insn *i)
{
	u32 msr = reg32(cpu, RCX);
	u64 v = (u64)reg32(cpu, RDX) << 32 | reg32(cpu, RAX);
	int err;

	soft_require_cpl0(cpu);
	if (x86_msr_is_machine(msr)) {
		soft_sync_position(cpu);
		err = cpu->vcpu.ops->wrmsr(&cpu->vcpu, msr, v);
		soft_after_machine(cpu);
	} else {
		err = x86_wrmsr(&cpu->vcpu.regs, msr, v);
	}
	if (err)
		soft_fault_code(cpu, X86_GP, 0);
	soft_event(cpu, TARGET_EVENT_MSR, msr);
	if (msr == MSR_EFER) {
		paging_context_set(&cpu->paging, &cpu->vcpu.regs);
		soft_tlb_flush(cpu, true);
		soft_mode_changed(cpu);
	}
}

/* --- control registers --- */

void op_mov_r_cr(struct soft_cpu *cpu, const struct insn *i)
{
	const struct x86_state *s = &cpu->vcpu.regs;
	u64 v;

	soft_require_cpl0(cpu);
	switch (i->reg) {
	case 0:
		v = s->cr0;
		break;
	case 2:
		v = s->cr2;
		break;
	case 3:
		v = s->cr3;
		break;
	case 4:
		v = s->cr4;
		break;
	default:
		soft_sync_position(cpu);
		v = cpu->vcpu.ops->cr8(&cpu->vcpu);
		break;
	}
	set_reg64(cpu, i->rm, cpu->mode & MODE_64 ? v : (u32)v);
}

void op_mov_cr_r(struct soft_cpu *cpu, const struct insn *i)
{
	u64 v = cpu->mode & MODE_64 ? reg64(cpu, i->rm) : reg32(cpu, i->rm);

	soft_require_cpl0(cpu);
	switch (i->reg) {
	case 0:
		soft_set_cr0(cpu, v);
		break;
	case 2:
		cpu->vcpu.regs.cr2 = v;
		break;
	case 3:
		soft_set_cr3(cpu, v);
		soft_event(cpu, TARGET_EVENT_CR3, cpu->vcpu.regs.cr3 & ~0xfffull);
		break;
	case 4:
		soft_set_cr4(cpu, v);
		break;
	default:
		if (v >> 4)
			soft_fault_code(cpu, X86_GP, 0);
		soft_sync_position(cpu);
		cpu->vcpu.ops->set_cr8(&cpu->vcpu, v);
		soft_after_machine(cpu);
		break;
	}
}

void op_smsw_r(struct soft_cpu *cpu, const struct insn *i)
{
	if (cpu->cpl && (cpu->vcpu.regs.cr4 & CR4_UMIP))
		soft_fault_code(cpu, X86_GP, 0);
	reg_set(cpu, i->rm, i->osize, cpu->vcpu.regs.cr0);
}

void op_smsw_m(struct soft_cpu *cpu, const struct insn *i)
{
	if (cpu->cpl && (cpu->vcpu.regs.cr4 & CR4_UMIP))
		soft_fault_code(cpu, X86_GP, 0);
	mem_st16(cpu, i, (u16)cpu->vcpu.regs.cr0);
}

/* LMSW can set PE but not clear it. */
static void lmsw(struct soft_cpu *cpu, u16 v)
{
	u64 cr0 = cpu->vcpu.regs.cr0;

	soft_set_cr0(cpu, (cr0 & ~(CR0_MP | CR0_EM | CR0_TS)) | (v & 15));
}

void op_lmsw_r(struct soft_cpu *cpu, const struct insn *i)
{
	soft_require_cpl0(cpu);
	lmsw(cpu, reg16(cpu, i->rm));
}

void op_lmsw_m(struct soft_cpu *cpu, const struct insn *i)
{
	soft_require_cpl0(cpu);
	lmsw(cpu, mem_ld16(cpu, i));
}

void op_clts(struct soft_cpu *cpu, const struct insn *i)
{
	soft_require_cpl0(cpu);
	cpu->vcpu.regs.cr0 &= ~CR0_TS;
	soft_mode_changed(cpu);
}

void op_xgetbv(struct soft_cpu *cpu, const struct insn *i)
{
	u32 n = reg32(cpu, RCX);
	u64 v = cpu->vcpu.regs.xcr0;

	if (!(cpu->vcpu.regs.cr4 & CR4_OSXSAVE))
		soft_fault(cpu, X86_UD);
	if (n > 1)
		soft_fault_code(cpu, X86_GP, 0);
	if (n == 1) /* XINUSE: components that differ from their initial state */
		v &= soft_xinuse(cpu);
	set_reg32(cpu, RAX, (u32)v);
	set_reg32(cpu, RDX, (u32)(v >> 32));
}

void op_xsetbv(struct soft_cpu *cpu, const struct insn *i)
{
	u64 v = (u64)reg32(cpu, RDX) << 32 | reg32(cpu, RAX);

	if (!(cpu->vcpu.regs.cr4 & CR4_OSXSAVE))
		soft_fault(cpu, X86_UD);
	soft_require_cpl0(cpu);
	if (reg32(cpu, RCX) || !(v & XCR0_X87) || (v & ~(XCR0_X87 | XCR0_SSE)))
		soft_fault_code(cpu, X86_GP, 0);
	cpu->vcpu.regs.xcr0 = v;
}

/* --- debug registers --- */

static unsigned debug_register(struct soft_cpu *cpu, const struct insn *i)
{
	unsigned n = i->reg;

	soft_require_cpl0(cpu); /* before #UD, as processors do */
	if ((n == 4 || n == 5) && (cpu->vcpu.regs.cr4 & CR4_DE))
		soft_fault(cpu, X86_UD);
	if (cpu->vcpu.regs.dr7 & BIT(13)) { /* GD: the access itself is a #DB */
		cpu->vcpu.regs.dr6 |= BIT(13);
		soft_fault(cpu, X86_DB);
	}
	return n == 4 ? 6 : n == 5 ? 7 : n;
}

void op_mov_r_dr(struct soft_cpu *cpu, const struct insn *i)
{
	unsigned n = debug_register(cpu, i);
	const struct x86_state *s = &cpu->vcpu.regs;
	u64 v = n < 4 ? s->dr[n] : n == 6 ? s->dr6 : s->dr7;

	set_reg64(cpu, i->rm, cpu->mode & MODE_64 ? v : (u32)v);
}

void op_mov_dr_r(struct soft_cpu *cpu, const struct insn *i)
{
	unsigned n = debug_register(cpu, i);
	struct x86_state *s = &cpu->vcpu.regs;
	u64 v = cpu->mode & MODE_64 ? reg64(cpu, i->rm) : reg32(cpu, i->rm);

	if (n >= 6 && v >> 32)
		soft_fault_code(cpu, X86_GP, 0);
	if (n < 4) {
		s->dr[n] = v;
	} else if (n == 6) {
		s->dr6 = (v & 0xe00f) | 0xffff0ff0;
	} else {
		s->dr7 = (v & 0xffff2fff) | 0x400;
	}
	soft_debug_changed(cpu);
}

/* --- caches and TLB --- */

void op_invd(struct soft_cpu *cpu, const struct insn *i)
{
	soft_require_cpl0(cpu);
}

void op_wbinvd(struct soft_cpu *cpu, const struct insn *i)
{
	soft_require_cpl0(cpu);
}

/* CLFLUSH and CLFLUSHOPT are loads of a byte, as far as faults go. */
void op_clflush(struct soft_cpu *cpu, const struct insn *i)
{
	mem_ld8(cpu, i);
}

void op_invlpg(struct soft_cpu *cpu, const struct insn *i)
{
	u64 offset = mem_offset(cpu, i), base = cpu->vcpu.regs.seg[i->seg].base;

	soft_require_cpl0(cpu);
	if (cpu->mode & MODE_64) {
		u64 la = i->seg >= SEG_FS ? base + offset : offset;

		if (x86_canonical(la))
			soft_tlb_flush_page(cpu, la);
	} else {
		soft_tlb_flush_page(cpu, (u32)(base + offset));
	}
	soft_end_block(cpu);
}

/* Flushing more than asked for is allowed; only the checks differ by type. */
void op_invpcid(struct soft_cpu *cpu, const struct insn *i)
{
	u64 type = cpu->mode & MODE_64 ? reg64(cpu, i->reg) : reg32(cpu, i->reg), desc[2];

	soft_require_cpl0(cpu);
	mem_ld_bytes(cpu, i, desc, 16);
	if (type > 3 || (type < 2 && (desc[0] >> 12)) || (type == 0 && !x86_canonical(desc[1])) ||
	    (type < 2 && !(cpu->vcpu.regs.cr4 & CR4_PCIDE) && (desc[0] & 0xfff)))
		soft_fault_code(cpu, X86_GP, 0);
	soft_tlb_flush(cpu, type != 3);
	soft_end_block(cpu);
}

/* --- segment bases --- */

void op_swapgs(struct soft_cpu *cpu, const struct insn *i)
{
	struct x86_state *s = &cpu->vcpu.regs;
	u64 base = s->seg[SEG_GS].base;

	soft_require_cpl0(cpu);
	s->seg[SEG_GS].base = s->kernel_gs_base;
	s->kernel_gs_base = base;
}

static void require_fsgsbase(struct soft_cpu *cpu)
{
	if (!(cpu->vcpu.regs.cr4 & CR4_FSGSBASE))
		soft_fault(cpu, X86_UD);
}

/* 32 or 64 bits: a 66 prefix means nothing here. */
static unsigned base_size(const struct insn *i)
{
	return i->osize == 8 ? 8 : 4;
}

static void write_base(struct soft_cpu *cpu, const struct insn *i, unsigned seg)
{
	u64 v = reg_get(cpu, i->rm, base_size(i));

	require_fsgsbase(cpu);
	if (!x86_canonical(v))
		soft_fault_code(cpu, X86_GP, 0);
	cpu->vcpu.regs.seg[seg].base = v;
}

void op_rdfsbase(struct soft_cpu *cpu, const struct insn *i)
{
	require_fsgsbase(cpu);
	reg_set(cpu, i->rm, base_size(i), cpu->vcpu.regs.seg[SEG_FS].base);
}

void op_rdgsbase(struct soft_cpu *cpu, const struct insn *i)
{
	require_fsgsbase(cpu);
	reg_set(cpu, i->rm, base_size(i), cpu->vcpu.regs.seg[SEG_GS].base);
}

void op_wrfsbase(struct soft_cpu *cpu, const struct insn *i)
{
	write_base(cpu, i, SEG_FS);
}

void op_wrgsbase(struct soft_cpu *cpu, const struct insn *i)
{
	write_base(cpu, i, SEG_GS);
}

/* --- halts and undefined opcodes --- */

void op_hlt(struct soft_cpu *cpu, const struct insn *i)
{
	soft_require_cpl0(cpu);
	cpu->vcpu.regs.activity = ACTIVITY_HLT;
	soft_attention(cpu);
}

void op_ud(struct soft_cpu *cpu, const struct insn *i)
{
	soft_fault(cpu, X86_UD);
}

void op_ud2(struct soft_cpu *cpu, const struct insn *i)
{
	soft_fault(cpu, X86_UD);
}

void op_too_long(struct soft_cpu *cpu, const struct insn *i)
{
	soft_fault_code(cpu, X86_GP, 0);
}
