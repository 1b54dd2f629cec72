// SPDX-License-Identifier: GPL-2.0-or-later
/* Control, debug and model-specific registers, CPUID and time: what the instructions check and change (SDM 2, and 3A
 * chapter 2 for the bits). Hardware has checked the privilege before the exit. */
#include "vmm/machine.h"
#include "vmm/vtx/vtx.h"
#include "vmm/x86/cpuid.h"

#define CR0_VALID (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG)
#define CR4_VALID                                                                                              \
	(CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE | CR4_OSFXSR | \
	 CR4_OSXMMEXCPT | CR4_UMIP | CR4_FSGSBASE | CR4_PCIDE | CR4_OSXSAVE | CR4_SMEP | CR4_SMAP)

static u64 operand(const struct vtx_cpu *cpu, unsigned reg)
{
	u64 v = cpu->vcpu.regs.gpr[reg];

	return x86_64bit(&cpu->vcpu.regs) ? v : (u32)v;
}

static void set_edx_eax(struct x86_state *s, u64 v)
{
	s->gpr[RAX] = (u32)v;
	s->gpr[RDX] = v >> 32;
}

static u64 edx_eax(const struct x86_state *s)
{
	return s->gpr[RDX] << 32 | (u32)s->gpr[RAX];
}

/* --- control registers --- */

static int load_pdptes(struct vtx_cpu *cpu, u64 cr3)
{
	u64 pdpte[4];

	paging_context_set(&cpu->paging, &cpu->vcpu.regs);
	for (unsigned n = 0; n < 4; n++) {
		if (memory_read(cpu->vcpu.mem, (paging_pdpt(cr3) & ~cpu->paging.held_low) + 8 * n, &pdpte[n], 8))
			pdpte[n] = ~0ull;
		if (!paging_pdpte_valid(pdpte[n], CPU_PHYS_BITS))
			return vtx_fault_code(cpu, X86_GP, 0);
	}
	memcpy(cpu->vcpu.regs.pdpte, pdpte, sizeof(pdpte));
	return 0;
}

static bool uses_pae(const struct x86_state *s, u64 cr0, u64 cr4)
{
	return (cr0 & CR0_PG) && (cr4 & CR4_PAE) && !(s->efer & EFER_LME);
}

static bool cr0_valid(const struct x86_state *s, u64 value)
{
	bool pg = value & CR0_PG, enables = pg && !(s->cr0 & CR0_PG);

	if ((pg && !(value & CR0_PE)) || ((value & CR0_NW) && !(value & CR0_CD)))
		return false;
	if (!pg && (s->cr4 & CR4_PCIDE))
		return false;
	if (enables && (s->efer & EFER_LME) && (!(s->cr4 & CR4_PAE) || (s->seg[SEG_CS].ar & AR_L)))
		return false;
	return pg || !(s->cr0 & CR0_PG) || !x86_64bit(s);
}

static int set_cr0(struct vtx_cpu *cpu, u64 value)
{
	struct x86_state *s = &cpu->vcpu.regs;
	u64 changed;

	if (value >> 32)
		return vtx_fault_code(cpu, X86_GP, 0);
	value = (value & CR0_VALID) | CR0_ET;
	changed = s->cr0 ^ value;
	if (!cr0_valid(s, value))
		return vtx_fault_code(cpu, X86_GP, 0);
	if (uses_pae(s, value, s->cr4) && (changed & (CR0_PG | CR0_CD | CR0_NW)) && load_pdptes(cpu, s->cr3))
		return -1;
	s->cr0 = value;
	if (changed & CR0_PG)
		s->efer = (value & CR0_PG) && (s->efer & EFER_LME) ? s->efer | EFER_LMA : s->efer & ~EFER_LMA;
	return 0;
}

static int set_cr3(struct vtx_cpu *cpu, u64 value)
{
	struct x86_state *s = &cpu->vcpu.regs;

	if (x86_long_mode(s)) {
		if (s->cr4 & CR4_PCIDE)
			value &= ~BIT(63);
		if (value >> CPU_PHYS_BITS)
			return vtx_fault_code(cpu, X86_GP, 0);
	} else {
		value = (u32)value;
		if (uses_pae(s, s->cr0, s->cr4) && load_pdptes(cpu, value))
			return -1;
	}
	s->cr3 = value;
	probe_event(&cpu->vcpu, TARGET_EVENT_CR3, value);
	return 0;
}

static int set_cr4(struct vtx_cpu *cpu, u64 value)
{
	struct x86_state *s = &cpu->vcpu.regs;
	u64 changed = s->cr4 ^ value;

	if (value & ~CR4_VALID)
		return vtx_fault_code(cpu, X86_GP, 0);
	if (x86_long_mode(s) && !(value & CR4_PAE))
		return vtx_fault_code(cpu, X86_GP, 0);
	if ((changed & value & CR4_PCIDE) && (!x86_long_mode(s) || (s->cr3 & 0xfff)))
		return vtx_fault_code(cpu, X86_GP, 0);
	if (uses_pae(s, s->cr0, value) && (changed & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)) &&
	    load_pdptes(cpu, s->cr3))
		return -1;
	s->cr4 = value;
	return 0;
}

static int write_cr(struct vtx_cpu *cpu, unsigned cr, u64 value)
{
	switch (cr) {
	case 0:
		return set_cr0(cpu, value);
	case 3:
		return set_cr3(cpu, value);
	case 4:
		return set_cr4(cpu, value);
	default:
		if (value >> 4)
			return vtx_fault_code(cpu, X86_GP, 0);
		cpu->vcpu.ops->set_cr8(&cpu->vcpu, value);
		return 0;
	}
}

/* Exit qualification: SDM 3C table 28-3. */
int vtx_exit_cr(struct vtx_cpu *cpu)
{
	u64 qual = cpu->run->qualification, cr0 = cpu->vcpu.regs.cr0;
	unsigned cr = qual & 15, reg = qual >> 8 & 15;

	switch (qual >> 4 & 3) {
	case 0:
		return write_cr(cpu, cr, operand(cpu, reg));
	case 1: /* only of CR8 */
		cpu->vcpu.regs.gpr[reg] = cpu->vcpu.ops->cr8(&cpu->vcpu);
		return 0;
	case 2: /* CLTS */
		return set_cr0(cpu, cr0 & ~CR0_TS);
	default: /* LMSW can set PE but not clear it */
		return set_cr0(cpu, (cr0 & ~(CR0_MP | CR0_EM | CR0_TS)) | (qual >> 16 & 15));
	}
}

/* --- debug registers --- */

int vtx_exit_dr(struct vtx_cpu *cpu)
{
	struct x86_state *s = &cpu->vcpu.regs;
	u64 qual = cpu->run->qualification, v;
	unsigned n = qual & 7, reg = qual >> 8 & 15;

	/* Privilege comes first in the manual (28.1.1); Bochs exits before it looks. */
	if ((s->cr0 & CR0_PE) && (x86_cpl(s) || s->rflags & RFLAGS_VM))
		return vtx_fault_code(cpu, X86_GP, 0);
	if ((n == 4 || n == 5) && (s->cr4 & CR4_DE))
		return vtx_fault(cpu, X86_UD);
	if (s->dr7 & BIT(13)) { /* GD: the access itself is a #DB */
		s->dr7 &= ~BIT(13);
		s->dr6 |= BIT(13);
		return vtx_fault(cpu, X86_DB);
	}
	n = n == 4 ? 6 : n == 5 ? 7 : n;
	if (qual & BIT(4)) {
		v = n < 4 ? s->dr[n] : n == 6 ? s->dr6 : s->dr7;
		s->gpr[reg] = x86_64bit(s) ? v : (u32)v;
		return 0;
	}
	v = operand(cpu, reg);
	if (n >= 6 && v >> 32)
		return vtx_fault_code(cpu, X86_GP, 0);
	if (n < 4)
		s->dr[n] = v;
	else if (n == 6)
		s->dr6 = (v & 0xe00f) | 0xffff0ff0;
	else
		s->dr7 = (v & 0xffff2fff) | 0x400;
	return 0;
}

/* --- MSRs, CPUID, time --- */

int vtx_exit_rdmsr(struct vtx_cpu *cpu)
{
	struct vcpu *vcpu = &cpu->vcpu;
	u32 msr = (u32)vcpu->regs.gpr[RCX];
	u64 v = 0;
	int err = x86_msr_is_machine(msr) ? vcpu->ops->rdmsr(vcpu, msr, &v) : x86_rdmsr(&vcpu->regs, msr, &v);

	if (err)
		return vtx_fault_code(cpu, X86_GP, 0);
	set_edx_eax(&vcpu->regs, v);
	probe_event(vcpu, TARGET_EVENT_MSR, msr);
	return 0;
}

int vtx_exit_wrmsr(struct vtx_cpu *cpu)
{
	struct vcpu *vcpu = &cpu->vcpu;
	u32 msr = (u32)vcpu->regs.gpr[RCX];
	u64 v = edx_eax(&vcpu->regs);
	int err = x86_msr_is_machine(msr) ? vcpu->ops->wrmsr(vcpu, msr, v) : x86_wrmsr(&vcpu->regs, msr, v);

	if (err)
		return vtx_fault_code(cpu, X86_GP, 0);
	probe_event(vcpu, TARGET_EVENT_MSR, msr);
	return 0;
}

/* Answers that depend on no register are left with the module, which gives them from then on; unless what they take from
 * the machine counts as an access. */
static void remember_cpuid(struct vtx_cpu *cpu, u32 leaf, u32 subleaf, const struct cpuid_regs *r)
{
	if (leaf == 1 || cpu->nr_cpuid == VMDBG_MAX_CPUID || cpu->vcpu.machine->config.free)
		return;
	cpu->cpuid[cpu->nr_cpuid++] = (struct vmdbg_cpuid_entry){
	    .leaf = leaf,
	    .subleaf = subleaf,
	    .eax = r->eax,
	    .ebx = r->ebx,
	    .ecx = r->ecx,
	    .edx = r->edx,
	};
	vtx_cpuid_table(cpu);
}

int vtx_exit_cpuid(struct vtx_cpu *cpu)
{
	struct vcpu *vcpu = &cpu->vcpu;
	struct x86_state *s = &vcpu->regs;
	u32 leaf = (u32)s->gpr[RAX], subleaf = (u32)s->gpr[RCX];
	u64 apic_base = 0;
	struct cpuid_regs r;

	vcpu->ops->rdmsr(vcpu, MSR_APIC_BASE, &apic_base);
	r = x86_cpuid(s, leaf, subleaf, vcpu->id, vcpu->count, apic_base);
	s->gpr[RAX] = r.eax;
	s->gpr[RBX] = r.ebx;
	s->gpr[RCX] = r.ecx;
	s->gpr[RDX] = r.edx;
	remember_cpuid(cpu, leaf, subleaf, &r);
	return 0;
}

int vtx_exit_tsc(struct vtx_cpu *cpu, bool with_aux)
{
	struct x86_state *s = &cpu->vcpu.regs;

	set_edx_eax(s, cpu->vcpu.ops->tsc(&cpu->vcpu));
	if (with_aux)
		s->gpr[RCX] = (u32)s->tsc_aux;
	return 0;
}

int vtx_exit_xsetbv(struct vtx_cpu *cpu)
{
	struct x86_state *s = &cpu->vcpu.regs;
	u64 v = edx_eax(s);

	if ((u32)s->gpr[RCX] || !(v & XCR0_X87) || (v & ~(XCR0_X87 | XCR0_SSE)))
		return vtx_fault_code(cpu, X86_GP, 0);
	s->xcr0 = v;
	return 0;
}
