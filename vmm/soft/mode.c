// SPDX-License-Identifier: GPL-2.0-or-later
/* Control registers, and all that is derived from them, from CS, SS and RFLAGS. */
#include "vmm/soft/system.h"
#include "vmm/x86/cpuid.h"

#define CR0_VALID (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG)
#define CR4_VALID                                                                                              \
	(CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE | CR4_OSFXSR | \
	 CR4_OSXMMEXCPT | CR4_UMIP | CR4_FSGSBASE | CR4_PCIDE | CR4_OSXSAVE | CR4_SMEP | CR4_SMAP)

void soft_mode_changed(struct soft_cpu *cpu)
{
	const struct x86_state *s = &cpu->vcpu.regs;
	unsigned mode = 0;

	if (x86_64bit(s)) {
		mode = MODE_64;
	} else {
		if (s->seg[SEG_CS].ar & AR_DB)
			mode |= MODE_32;
		if (s->seg[SEG_SS].ar & AR_DB)
			mode |= MODE_SS32;
		if (!(s->cr0 & CR0_PE) || (s->rflags & RFLAGS_VM))
			mode |= MODE_REAL;
	}
	if (!(mode & MODE_64) && (cpu->code_base != s->seg[SEG_CS].base || cpu->code_limit != s->seg[SEG_CS].limit)) {
		cpu->code_base = s->seg[SEG_CS].base;
		cpu->code_limit = s->seg[SEG_CS].limit;
		cpu->exec_gen++;
	}
	cpu->mode = mode;
	cpu->cpl = s->rflags & RFLAGS_VM ? 3 : s->cr0 & CR0_PE ? x86_cpl(s) : 0;
	cpu->x87_ok = !(s->cr0 & (CR0_EM | CR0_TS));
	cpu->sse_ok = cpu->x87_ok && (s->cr4 & CR4_OSFXSR);
	soft_select_tlb(cpu);
	soft_update_key(cpu);
	if (unlikely(soft_virtual_pending(cpu)))
		cpu->attention = true;
	soft_end_block(cpu);
}

static void paging_changed(struct soft_cpu *cpu)
{
	paging_context_set(&cpu->paging, &cpu->vcpu.regs);
	soft_tlb_flush(cpu, true);
	soft_mode_changed(cpu);
}

/* PAE outside long mode: the four PDPTEs are loaded and checked now (SDM 3A 4.4.1). */
static void load_pdptes(struct soft_cpu *cpu, u64 cr3)
{
	u64 pdpte[4];

	for (unsigned n = 0; n < 4; n++) {
		const u8 *p = memory_host(cpu->vcpu.mem, (paging_pdpt(cr3) & ~cpu->paging.held_low) + 8 * n, 8);

		pdpte[n] = p ? load64(p) : ~0ull;
		if (!paging_pdpte_valid(pdpte[n], CPU_PHYS_BITS))
			soft_fault_code(cpu, X86_GP, 0);
	}
	memcpy(cpu->vcpu.regs.pdpte, pdpte, sizeof(pdpte));
}

static bool uses_pae(const struct x86_state *s, u64 cr0, u64 cr4)
{
	return (cr0 & CR0_PG) && (cr4 & CR4_PAE) && !(s->efer & EFER_LME);
}

void soft_set_cr0(struct soft_cpu *cpu, u64 value)
{
	struct x86_state *s = &cpu->vcpu.regs;
	u64 changed;

	if (value >> 32)
		soft_fault_code(cpu, X86_GP, 0);
	value = (value & CR0_VALID) | CR0_ET;
	if (((value & CR0_PG) && !(value & CR0_PE)) || ((value & CR0_NW) && !(value & CR0_CD)))
		soft_fault_code(cpu, X86_GP, 0);
	if (!(value & CR0_PG) && (s->cr4 & CR4_PCIDE))
		soft_fault_code(cpu, X86_GP, 0);
	changed = s->cr0 ^ value;
	if ((changed & CR0_PG) && (value & CR0_PG) && (s->efer & EFER_LME) &&
	    (!(s->cr4 & CR4_PAE) || (s->seg[SEG_CS].ar & AR_L)))
		soft_fault_code(cpu, X86_GP, 0);
	if ((changed & CR0_PG) && !(value & CR0_PG) && (cpu->mode & MODE_64))
		soft_fault_code(cpu, X86_GP, 0);
	if (uses_pae(s, value, s->cr4) && (changed & (CR0_PG | CR0_CD | CR0_NW)))
		load_pdptes(cpu, s->cr3);
	s->cr0 = value;
	if (changed & CR0_PG)
		s->efer = value & CR0_PG && (s->efer & EFER_LME) ? s->efer | EFER_LMA : s->efer & ~EFER_LMA;
	if (changed & (CR0_PG | CR0_WP | CR0_PE | CR0_CD | CR0_NW)) /* CD and NW: PDPTEs */
		paging_changed(cpu);
	else
		soft_mode_changed(cpu);
}

void soft_set_cr3(struct soft_cpu *cpu, u64 value)
{
	struct x86_state *s = &cpu->vcpu.regs;

	if (x86_long_mode(s)) {
		/* Bit 63 with PCIDs asks not to flush; flushing is always allowed (SDM 3A 4.10.4.1). */
		if (s->cr4 & CR4_PCIDE)
			value &= ~BIT(63);
		if (value >> CPU_PHYS_BITS)
			soft_fault_code(cpu, X86_GP, 0);
	} else {
		value = (u32)value;
		if (uses_pae(s, s->cr0, s->cr4))
			load_pdptes(cpu, value);
	}
	s->cr3 = value;
	paging_context_set(&cpu->paging, s);
	soft_tlb_flush(cpu, false);
	soft_end_block(cpu);
}

void soft_set_cr4(struct soft_cpu *cpu, u64 value)
{
	struct x86_state *s = &cpu->vcpu.regs;
	u64 changed = s->cr4 ^ value;

	if (value & ~CR4_VALID)
		soft_fault_code(cpu, X86_GP, 0);
	if (x86_long_mode(s) && !(value & CR4_PAE))
		soft_fault_code(cpu, X86_GP, 0);
	if ((changed & value & CR4_PCIDE) && (!x86_long_mode(s) || (s->cr3 & 0xfff)))
		soft_fault_code(cpu, X86_GP, 0);
	if (uses_pae(s, s->cr0, value) && (changed & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)))
		load_pdptes(cpu, s->cr3);
	s->cr4 = value;
	paging_changed(cpu);
}

void soft_load_rflags(struct soft_cpu *cpu, u64 rflags)
{
	u64 changed = cpu->vcpu.regs.rflags ^ rflags;

	soft_set_rflags(cpu, rflags);
	if (changed & (RFLAGS_AC | RFLAGS_VM))
		soft_select_tlb(cpu);
	if ((changed & (RFLAGS_IF | RFLAGS_TF | RFLAGS_RF)) || (rflags & RFLAGS_TF))
		soft_attention(cpu);
}
