// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The VMCS: which controls are set and why, what of the host an exit brings back, and the guest's registers in and out
 * (SDM 3C chapter 25; the order of the tables here is that of 25.6 to 25.8).
 */
#include <linux/percpu.h>
#include <linux/slab.h>

#include <asm/debugreg.h>
#include <asm/desc.h>
#include <asm/msr.h>
#include <asm/tlbflush.h>
#include <asm/trapnr.h>
#include <asm/vmx.h>

#include "shadow.h"

struct control {
	u32 bit;
	bool needed; /* otherwise used where there */
	const char *why;
};

static const struct control pin_controls[] = {
    {PIN_BASED_EXT_INTR_MASK, true, "host interrupts end the guest's time at once"},
    {PIN_BASED_NMI_EXITING, true, "host NMIs are the host's"},
    {PIN_BASED_VIRTUAL_NMIS, true, "blocking by NMI is the guest's own, and IRET ends it"},
    {PIN_BASED_VMX_PREEMPTION_TIMER, true, "a watchdog; 0 stops right after an injection"},
};

static const struct control primary_controls[] = {
    {CPU_BASED_HLT_EXITING, true, "time passes in the machine, not on the host's CPU"},
    {CPU_BASED_INVLPG_EXITING, false, NULL},
    {CPU_BASED_MWAIT_EXITING, true, "not in the CPU model: #UD"},
    {CPU_BASED_RDPMC_EXITING, true, "host counters are no input of the guest"},
    {CPU_BASED_RDTSC_EXITING, true, "the one nondeterminism that no other monitor lets out"},
    {CPU_BASED_CR3_LOAD_EXITING, true, "PDPTEs and reserved bits as the CPU model has them"},
    {CPU_BASED_CR8_LOAD_EXITING, true, "the local APIC is a model in user space"},
    {CPU_BASED_CR8_STORE_EXITING, true, "the same"},
    {CPU_BASED_MOV_DR_EXITING, true, "debug registers are shared with stepping"},
    {CPU_BASED_UNCOND_IO_EXITING, false, NULL},
    {CPU_BASED_USE_IO_BITMAPS, true, "every port exits: all bits are set"},
    {CPU_BASED_USE_MSR_BITMAPS, true, "FS, GS and kernel GS bases are the guest's own, all else exits"},
    {CPU_BASED_MONITOR_EXITING, true, "not in the CPU model: #UD"},
    {CPU_BASED_ACTIVATE_SECONDARY_CONTROLS, true, "EPT stands there"},
};

static const struct control secondary_controls[] = {
    {SECONDARY_EXEC_ENABLE_EPT, true, "guest-physical memory is what the process gave"},
    {SECONDARY_EXEC_ENABLE_RDTSCP, true, "RDTSCP exits as RDTSC does, instead of #UD"},
    {SECONDARY_EXEC_ENABLE_VPID, false, "TLB entries survive exits"},
    {SECONDARY_EXEC_WBINVD_EXITING, true, "the host's caches aren't the guest's to empty"},
    {SECONDARY_EXEC_UNRESTRICTED_GUEST, true, "real mode and paging off, natively"},
    {SECONDARY_EXEC_RDRAND_EXITING, false, "not in the CPU model: #UD"},
    {SECONDARY_EXEC_ENABLE_INVPCID, false, "in the CPU model"},
    {SECONDARY_EXEC_RDSEED_EXITING, false, "not in the CPU model: #UD"},
    {SECONDARY_EXEC_XSAVES, false, "in the CPU model"},
};

static const struct control exit_controls[] = {
    {VM_EXIT_SAVE_DEBUG_CONTROLS, false, NULL},
    {VM_EXIT_HOST_ADDR_SPACE_SIZE, true, "the host is a 64-bit kernel"},
    {VM_EXIT_SAVE_IA32_PAT, true, "so that the host's PAT is back at once"},
    {VM_EXIT_LOAD_IA32_PAT, true, "the same"},
    {VM_EXIT_SAVE_IA32_EFER, true, "LMA follows the guest's CR0.PG"},
    {VM_EXIT_LOAD_IA32_EFER, true, "the host's EFER is back before its first instruction"},
};

static const struct control entry_controls[] = {
    {VM_ENTRY_LOAD_DEBUG_CONTROLS, true, "DR7 with the breakpoints of stepping"},
    {VM_ENTRY_LOAD_IA32_PAT, true, "the guest's PAT"},
    {VM_ENTRY_LOAD_IA32_EFER, true, "the guest's EFER"},
};

/* Bits that must be 1 are in the low half of a capability MSR, those that may be 1 in the high one (A.3.1). */
static u32 choose(struct vmx_caps *caps, u32 msr, const struct control *c, unsigned int n, u32 also)
{
	u32 must, may, bits = 0;

	rdmsr(msr, must, may);
	for (; n--; c++) {
		if (c->why && (may & c->bit))
			bits |= c->bit;
		if (c->needed && !(may & c->bit)) {
			caps->status = VMDBG_MISSING_CONTROL;
			caps->detail = (u64)msr << 32 | c->bit;
		}
		/* Without a reason it is cleared where the processor allows that: the TRUE MSRs say so. */
		if (!c->why && (must & c->bit))
			bits |= c->bit;
	}
	return bits | must | (also & may);
}

void vmcs_set_caps(struct vmx_caps *caps)
{
	bool true_msrs;
	u64 basic;

	rdmsrl(MSR_IA32_VMX_BASIC, basic);
	true_msrs = basic & VMX_BASIC_TRUE_CTLS;
#define CHOOSE(plain, exact, table) choose(caps, true_msrs ? (exact) : (plain), table, ARRAY_SIZE(table), 0)
	caps->pin = CHOOSE(MSR_IA32_VMX_PINBASED_CTLS, MSR_IA32_VMX_TRUE_PINBASED_CTLS, pin_controls);
	caps->primary = CHOOSE(MSR_IA32_VMX_PROCBASED_CTLS, MSR_IA32_VMX_TRUE_PROCBASED_CTLS, primary_controls);
	caps->exit = CHOOSE(MSR_IA32_VMX_EXIT_CTLS, MSR_IA32_VMX_TRUE_EXIT_CTLS, exit_controls);
	caps->entry = CHOOSE(MSR_IA32_VMX_ENTRY_CTLS, MSR_IA32_VMX_TRUE_ENTRY_CTLS, entry_controls);
	if (!caps->status)
		caps->secondary =
		    CHOOSE(MSR_IA32_VMX_PROCBASED_CTLS2, MSR_IA32_VMX_PROCBASED_CTLS2, secondary_controls);
#undef CHOOSE
	rdmsrl(true_msrs ? MSR_IA32_VMX_TRUE_PROCBASED_CTLS : MSR_IA32_VMX_PROCBASED_CTLS, basic);
	if (!caps->status && !(basic >> 32 & CPU_BASED_INTR_WINDOW_EXITING)) {
		caps->status = VMDBG_MISSING_CONTROL;
		caps->detail = (u64)MSR_IA32_VMX_PROCBASED_CTLS << 32 | CPU_BASED_INTR_WINDOW_EXITING;
	}
	if (basic >> 32 & CPU_BASED_MONITOR_TRAP_FLAG)
		caps->features |= VMDBG_FEATURE_MTF;
}

#define MSR_BITMAP_READ_HIGH  1024 /* C0000000h to C0001FFFh */
#define MSR_BITMAP_WRITE_HIGH 3072

static void pass_msr(u8 *bitmap, u32 msr, bool pass)
{
	u32 n = msr & 0x1fff;
	unsigned int half;

	for (half = MSR_BITMAP_READ_HIGH; half <= MSR_BITMAP_WRITE_HIGH; half += 2048)
		if (pass)
			bitmap[half + n / 8] &= ~BIT(n % 8);
		else
			bitmap[half + n / 8] |= BIT(n % 8);
}

static void pass_bases(struct vcpu *v, bool pass)
{
	pass_msr(v->msr_bitmap, MSR_FS_BASE, pass);
	pass_msr(v->msr_bitmap, MSR_GS_BASE, pass);
	pass_msr(v->msr_bitmap, MSR_KERNEL_GS_BASE, pass);
}

int vmcs_create(struct vcpu *v)
{
	v->vmcs = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	/* Three pages used of four: MSR bitmap, I/O bitmaps. */
	v->msr_bitmap = (void *)__get_free_pages(GFP_KERNEL_ACCOUNT, 2);
	if (!v->vmcs || !v->msr_bitmap)
		return -ENOMEM;
	*(u32 *)v->vmcs = vmx_caps.revision;
	memset(v->msr_bitmap, 0xff, 4 * PAGE_SIZE);
	return 0;
}

void vmcs_control(struct vcpu *v, unsigned long field, u32 bits, bool on)
{
	u32 old = vmread(field), new = on ? old | bits : old & ~bits;

	if (old != new)
		vmwrite(v, field, new);
}

extern const char vmdbg_exit_here[];

/* Everything that may differ by CPU, or since the last slice. */
void vmcs_load_host(struct vcpu *v)
{
	struct desc_ptr dt;
	u64 msr;

	vmwrite(v, HOST_CR0, read_cr0() & ~X86_CR0_TS);
	vmwrite(v, HOST_CR3, __read_cr3());
	vmwrite(v, HOST_CR4, __read_cr4());
	vmwrite(v, HOST_CS_SELECTOR, __KERNEL_CS);
	vmwrite(v, HOST_SS_SELECTOR, __KERNEL_DS);
	/* run.c has made sure that they are 0. */
	vmwrite(v, HOST_DS_SELECTOR, 0);
	vmwrite(v, HOST_ES_SELECTOR, 0);
	vmwrite(v, HOST_FS_SELECTOR, 0);
	vmwrite(v, HOST_GS_SELECTOR, 0);
	vmwrite(v, HOST_TR_SELECTOR, GDT_ENTRY_TSS * 8);
	rdmsrl(MSR_FS_BASE, msr);
	vmwrite(v, HOST_FS_BASE, msr);
	rdmsrl(MSR_GS_BASE, msr);
	vmwrite(v, HOST_GS_BASE, msr);
	vmwrite(v, HOST_TR_BASE, (unsigned long)&get_cpu_entry_area(smp_processor_id())->tss.x86_tss);
	native_store_gdt(&dt);
	vmwrite(v, HOST_GDTR_BASE, dt.address);
	store_idt(&dt);
	vmwrite(v, HOST_IDTR_BASE, dt.address);
	rdmsrl(MSR_IA32_SYSENTER_CS, msr);
	vmwrite(v, HOST_IA32_SYSENTER_CS, msr);
	rdmsrl(MSR_IA32_SYSENTER_ESP, msr);
	vmwrite(v, HOST_IA32_SYSENTER_ESP, msr);
	rdmsrl(MSR_IA32_SYSENTER_EIP, msr);
	vmwrite(v, HOST_IA32_SYSENTER_EIP, msr);
	rdmsrl(MSR_IA32_CR_PAT, msr);
	vmwrite(v, HOST_IA32_PAT, msr);
	rdmsrl(MSR_EFER, msr);
	vmwrite(v, HOST_IA32_EFER, msr);
	vmwrite(v, HOST_RIP, (unsigned long)vmdbg_exit_here);
}

/* Running freely: our debug registers, hidden breakpoints, machine checks, which are the host's, and alignment checks: one
 * that comes up in delivering one would keep the processor busy for ever, deaf to interrupts. */
#define FREE_EXCEPTIONS ((u32)(BIT(X86_TRAP_DB) | BIT(X86_TRAP_BP) | BIT(X86_TRAP_AC) | BIT(X86_TRAP_MC)))

static void load_controls(struct vcpu *v)
{
	const struct vmdbg_regs *r = v->regs;
	u32 flags = v->run.flags, primary = vmx_caps.primary, secondary = vmx_caps.secondary;

	if (!v->step && !(flags & VMDBG_RUN_CR3))
		primary &= ~CPU_BASED_CR3_LOAD_EXITING;
	if (flags & VMDBG_RUN_TABLES)
		secondary |= SECONDARY_EXEC_DESC;
	/* Stepping looks at the window itself. */
	if (!v->step && (flags & VMDBG_RUN_WINDOW))
		primary |= CPU_BASED_INTR_WINDOW_EXITING;
	pass_bases(v, !(flags & VMDBG_RUN_ALL_MSRS));
	vmwrite(v, PIN_BASED_VM_EXEC_CONTROL, vmx_caps.pin);
	vmwrite(v, CPU_BASED_VM_EXEC_CONTROL, primary);
	vmwrite(v, SECONDARY_VM_EXEC_CONTROL, secondary);
	vmwrite(v, VM_EXIT_CONTROLS, vmx_caps.exit);
	vmwrite(v, VM_ENTRY_CONTROLS, vmx_caps.entry | (r->efer & EFER_LMA ? VM_ENTRY_IA32E_MODE : 0));
	/* Stepping tells of every exception before it is delivered; running freely only of those that are ours. */
	vmwrite(v, EXCEPTION_BITMAP, v->step ? ~0u : FREE_EXCEPTIONS);
	vmwrite(v, PAGE_FAULT_ERROR_CODE_MASK, 0);
	vmwrite(v, PAGE_FAULT_ERROR_CODE_MATCH, 0);
	vmwrite(v, CR3_TARGET_COUNT, 0);
	vmwrite(v, VM_EXIT_MSR_STORE_COUNT, 0);
	vmwrite(v, VM_EXIT_MSR_LOAD_COUNT, 0);
	vmwrite(v, VM_ENTRY_MSR_LOAD_COUNT, 0);
	vmwrite(v, MSR_BITMAP, __pa(v->msr_bitmap));
	vmwrite(v, IO_BITMAP_A, __pa(v->msr_bitmap) + PAGE_SIZE);
	vmwrite(v, IO_BITMAP_B, __pa(v->msr_bitmap) + 2 * PAGE_SIZE);
	vmwrite(v, TSC_OFFSET, 0);
	vmwrite(v, VMCS_LINK_POINTER, ~0ull);
	vmwrite(v, EPT_POINTER, v->ept.eptp);
	if (secondary & SECONDARY_EXEC_ENABLE_VPID)
		vmwrite(v, VIRTUAL_PROCESSOR_ID, v->vpid);
	if (secondary & SECONDARY_EXEC_XSAVES)
		vmwrite(v, XSS_EXIT_BITMAP, ~0ull);
	/* The guest sees its own CR0 and CR4 whole; every change that it makes exits. */
	vmwrite(v, CR0_GUEST_HOST_MASK, ~0ull);
	vmwrite(v, CR4_GUEST_HOST_MASK, ~0ull);
	vmwrite(v, CR0_READ_SHADOW, r->cr0);
	vmwrite(v, CR4_READ_SHADOW, r->cr4);
}

#define SEGMENT_FIELD(field, n) (GUEST_ES_##field + 2 * (n))

static void load_segments(struct vcpu *v)
{
	const struct vmdbg_regs *r = v->regs;
	unsigned int n;

	for (n = 0; n < 8; n++) {
		vmwrite(v, SEGMENT_FIELD(SELECTOR, n), r->seg[n].selector);
		vmwrite(v, SEGMENT_FIELD(BASE, n), r->seg[n].base);
		vmwrite(v, SEGMENT_FIELD(LIMIT, n), r->seg[n].limit);
		vmwrite(v, SEGMENT_FIELD(AR_BYTES, n), r->seg[n].ar);
	}
	vmwrite(v, GUEST_GDTR_BASE, r->gdtr.base);
	vmwrite(v, GUEST_GDTR_LIMIT, r->gdtr.limit);
	vmwrite(v, GUEST_IDTR_BASE, r->idtr.base);
	vmwrite(v, GUEST_IDTR_LIMIT, r->idtr.limit);
}

void vmcs_load_guest(struct vcpu *v)
{
	const struct vmdbg_regs *r = v->regs;
	/* Bits that VMX fixes at 1, but PE and PG, which an unrestricted guest may clear (A.7, 24.8). */
	u64 cr0_must = vmx_caps.cr0_fixed0 & ~(u64)(X86_CR0_PE | X86_CR0_PG);
	/* A machine check must never be the end of the host because the guest has MCE clear. */
	u64 cr4_must = vmx_caps.cr4_fixed0 | (__read_cr4() & X86_CR4_MCE);
	unsigned int n;

	load_controls(v);
	load_segments(v);
	vmwrite(v, GUEST_CR0, (r->cr0 | cr0_must) & vmx_caps.cr0_fixed1);
	vmwrite(v, GUEST_CR4, ((r->cr4 | cr4_must) & vmx_caps.cr4_fixed1));
	vmwrite(v, GUEST_CR3, r->cr3);
	for (n = 0; n < 4; n++)
		vmwrite(v, GUEST_PDPTR0 + 2 * n, r->pdpte[n]);
	vmwrite(v, GUEST_RIP, r->rip);
	vmwrite(v, GUEST_RSP, r->gpr[4]);
	vmwrite(v, GUEST_RFLAGS, r->rflags);
	vmwrite(v, GUEST_DR7, 0x400);
	vmwrite(v, GUEST_IA32_DEBUGCTL, 0);
	vmwrite(v, GUEST_IA32_PAT, r->pat);
	vmwrite(v, GUEST_IA32_EFER, r->efer);
	vmwrite(v, GUEST_SYSENTER_CS, r->sysenter_cs);
	vmwrite(v, GUEST_SYSENTER_ESP, r->sysenter_esp);
	vmwrite(v, GUEST_SYSENTER_EIP, r->sysenter_eip);
	vmwrite(v, GUEST_ACTIVITY_STATE, GUEST_ACTIVITY_ACTIVE);
	/* Stepping knows of STI and MOV SS itself; a VM entry with both a shadow and TF would be refused (27.3.1.5). */
	vmwrite(v, GUEST_INTERRUPTIBILITY_INFO,
		r->interruptibility & (v->step ? GUEST_INTR_STATE_NMI : GUEST_INTR_STATE_NMI | 3));
	vmwrite(v, GUEST_PENDING_DBG_EXCEPTIONS, 0);
	v->guest_tf = r->rflags & X86_EFLAGS_TF;
	v->shadow = r->interruptibility & (GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS);
}

static void store_segments(struct vcpu *v)
{
	struct vmdbg_regs *r = v->regs;
	unsigned int n;

	for (n = 0; n < 8; n++) {
		r->seg[n].selector = vmread(SEGMENT_FIELD(SELECTOR, n));
		r->seg[n].base = vmread(SEGMENT_FIELD(BASE, n));
		r->seg[n].limit = vmread(SEGMENT_FIELD(LIMIT, n));
		r->seg[n].ar = vmread(SEGMENT_FIELD(AR_BYTES, n));
	}
	r->gdtr.base = vmread(GUEST_GDTR_BASE);
	r->gdtr.limit = vmread(GUEST_GDTR_LIMIT);
	r->idtr.base = vmread(GUEST_IDTR_BASE);
	r->idtr.limit = vmread(GUEST_IDTR_LIMIT);
}

void vmcs_store_guest(struct vcpu *v)
{
	struct vmdbg_regs *r = v->regs;
	unsigned int n;

	store_segments(v);
	r->rip = vmread(GUEST_RIP);
	r->gpr[4] = vmread(GUEST_RSP);
	r->rflags = vmread(GUEST_RFLAGS);
	if (v->step)
		r->rflags = (r->rflags & ~(u64)X86_EFLAGS_TF) | (v->guest_tf ? X86_EFLAGS_TF : 0);
	/* With shadow tables these are the hardware's, and the guest's change by exits only. */
	if (!shadow_active(v)) {
		r->cr3 = vmread(GUEST_CR3);
		for (n = 0; n < 4; n++)
			r->pdpte[n] = vmread(GUEST_PDPTR0 + 2 * n);
		r->efer = vmread(GUEST_IA32_EFER);
	}
	r->pat = vmread(GUEST_IA32_PAT);
	r->sysenter_cs = vmread(GUEST_SYSENTER_CS);
	r->sysenter_esp = vmread(GUEST_SYSENTER_ESP);
	r->sysenter_eip = vmread(GUEST_SYSENTER_EIP);
	r->interruptibility = vmread(GUEST_INTERRUPTIBILITY_INFO);
	if (v->step)
		r->interruptibility = (r->interruptibility & GUEST_INTR_STATE_NMI) | v->shadow;
	else
		r->interruptibility &= GUEST_INTR_STATE_NMI | GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS;
}
