/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The CPU model "vmdbg-v2.2": x86-64-v2 with xAPIC, the same on every host. A change of any leaf or MSR default
 * is a new model name, since a trace names the model it was recorded with. */
#ifndef VMM_X86_CPUID_H
#define VMM_X86_CPUID_H

#include "vmm/types.h"

/* Revisions of the model, which traces name: what the guest can notice of them differs only as said here. */
enum cpu_model {
	CPU_MODEL_V2_2, /* the present one */
	CPU_MODEL_V2_1, /* PUSH of a segment register with 32-bit operands writes zeroes above the selector */
	CPU_MODEL_COUNT,
};
#define CPU_MODEL_NAME "vmdbg-v2.2"
/* "vmdbg-v2.2", ... */
const char *cpu_model_name(enum cpu_model model);
#define CPU_PHYS_BITS   40
#define CPU_LINEAR_BITS 48

/* Reset values that follow from the model (cpuid.c says why this part). */
#define CPU_TSC_HZ            1000000000u      /* also the local APIC timer's clock */
#define CPU_SIGNATURE         0x00030661u      /* CPUID 1 EAX: family 6, model 36h, stepping 1 */
#define CPU_BIOS_SIGN_ID      (0x10dull << 32) /* microcode revision */
#define CPU_PAT_RESET         0x0007040600070406ull
#define CPU_MISC_ENABLE_RESET 0x1801ull /* fast strings; no branch trace store, no PEBS */
#define CPU_FEATURE_CONTROL   1ull      /* locked, VMX off */
#define CPU_MTRR_CAP          0x508ull  /* 8 variable ranges, fixed ranges, write-combining */

struct x86_state;

struct cpuid_regs {
	u32 eax, ebx, ecx, edx;
};

/* CPUID as the guest sees it (SDM 2A, CPUID). @apic_id, @nr_vcpus: topology. @s gives the few bits that follow
 * registers: OSXSAVE, XCR0, APIC enabled (@apic_base). */
struct cpuid_regs x86_cpuid(const struct x86_state *s, u32 leaf, u32 subleaf, unsigned apic_id, unsigned nr_vcpus,
			    u64 apic_base);

/* MSRs kept in struct x86_state. -1: no such MSR, or a value with reserved bits: #GP(0).
 * x86_msr_is_machine(): the MSR belongs to the machine (TSC, APIC) and goes through struct vcpu_ops. */
bool x86_msr_is_machine(u32 msr);
int x86_rdmsr(const struct x86_state *s, u32 msr, u64 *value);
int x86_wrmsr(struct x86_state *s, u32 msr, u64 value);

#endif
