/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CPUID of the model "vmdbg-v2".
 *
 * 1. The signature is that of an Intel Atom "Saltwell" (family 6, model 36h). It is an in-order design, so operating
 *    systems know it to be free of every speculation flaw, whatever their age: Linux since 4.15 leaves out all
 *    mitigations (page-table isolation, retpolines, IBRS, the fences after SWAPGS, buffer clearing), which no
 *    set of capability bits achieves on an out-of-order model, and each of its "vulnerabilities" files says
 *    "Not affected". ARCH_CAPABILITIES repeats it for systems that go by bits. Nothing in Linux keys off this model
 *    that the machine lacks: its special cases for Saltwell need MWAIT or the Atom's own chipset.
 * 2. No SPEC_CTRL, PRED_CMD or FLUSH_CMD: there is nothing to control, and every write would be an exit or a
 *    difference between engines.
 * 3. The hypervisor bit is set, with an interface leaf nobody knows. Systems then take the machine for a generic
 *    virtual one: Linux skips microcode loading, errata checks by model and hardware watchdogs, and uses no
 *    paravirtual interface, since KVM's and Hyper-V's signatures are absent.
 * 4. The TSC runs at 1 GHz, told by leaves 15h and 16h, so nothing is calibrated. It is also the local APIC timer's
 *    clock.
 * 5. x86-64-v2 plus what every engine can give without configuration. Not there: AVX, AES, RDRAND, RDSEED, MONITOR,
 *    x2APIC, PKU, performance counters, SGX, VMX. Fast short REP MOVS/STOS are announced since a REP instruction is
 *    the cheapest way to move memory on every engine.
 * 6. What depends on the vCPU: APIC ID and topology, OSXSAVE (CR4), APIC (IA32_APIC_BASE), the XSAVE area's size
 *    (XCR0). The SYSCALL bit is set outside 64-bit mode too, where Intel hides it, so that the answer doesn't depend
 *    on the mode. */
#include "vmm/x86/cpuid.h"
#include "vmm/x86/state.h"

#define MAX_BASIC      0x16
#define MAX_HYPERVISOR 0x40000000
#define MAX_EXTENDED   0x80000008

/* SDM 2A, CPUID, tables 3-10 and 3-11 */
#define CPUID1_ECX_SSE3       BIT(0)
#define CPUID1_ECX_SSSE3      BIT(9)
#define CPUID1_ECX_CX16       BIT(13)
#define CPUID1_ECX_PCID       BIT(17)
#define CPUID1_ECX_SSE41      BIT(19)
#define CPUID1_ECX_SSE42      BIT(20)
#define CPUID1_ECX_MOVBE      BIT(22)
#define CPUID1_ECX_POPCNT     BIT(23)
#define CPUID1_ECX_DEADLINE   BIT(24)
#define CPUID1_ECX_XSAVE      BIT(26)
#define CPUID1_ECX_OSXSAVE    BIT(27)
#define CPUID1_ECX_HYPERVISOR BIT(31)

#define CPUID1_EDX_FPU   BIT(0)
#define CPUID1_EDX_VME   BIT(1)
#define CPUID1_EDX_DE    BIT(2)
#define CPUID1_EDX_PSE   BIT(3)
#define CPUID1_EDX_TSC   BIT(4)
#define CPUID1_EDX_MSR   BIT(5)
#define CPUID1_EDX_PAE   BIT(6)
#define CPUID1_EDX_MCE   BIT(7)
#define CPUID1_EDX_CX8   BIT(8)
#define CPUID1_EDX_APIC  BIT(9)
#define CPUID1_EDX_SEP   BIT(11)
#define CPUID1_EDX_MTRR  BIT(12)
#define CPUID1_EDX_PGE   BIT(13)
#define CPUID1_EDX_MCA   BIT(14)
#define CPUID1_EDX_CMOV  BIT(15)
#define CPUID1_EDX_PAT   BIT(16)
#define CPUID1_EDX_PSE36 BIT(17)
#define CPUID1_EDX_CLFSH BIT(19)
#define CPUID1_EDX_MMX   BIT(23)
#define CPUID1_EDX_FXSR  BIT(24)
#define CPUID1_EDX_SSE   BIT(25)
#define CPUID1_EDX_SSE2  BIT(26)
#define CPUID1_EDX_SS    BIT(27)
#define CPUID1_EDX_HTT   BIT(28)

#define CPUID6_EAX_ARAT BIT(2)

#define CPUID7_EBX_FSGSBASE     BIT(0)
#define CPUID7_EBX_TSC_ADJUST   BIT(1)
#define CPUID7_EBX_SMEP         BIT(7)
#define CPUID7_EBX_ERMS         BIT(9)
#define CPUID7_EBX_INVPCID      BIT(10)
#define CPUID7_EBX_ZERO_FCS_FDS BIT(13) /* FPU CS and DS are deprecated: saved as 0 */
#define CPUID7_EBX_SMAP         BIT(20)
#define CPUID7_ECX_UMIP         BIT(2)
#define CPUID7_EDX_FSRM         BIT(4)
#define CPUID7_EDX_ARCH_CAP     BIT(29)
#define CPUID71_EAX_FZRM        BIT(10)
#define CPUID71_EAX_FSRS        BIT(11)

#define CPUIDD1_EAX_XSAVEOPT BIT(0)
#define CPUIDD1_EAX_XSAVEC   BIT(1)
#define CPUIDD1_EAX_XGETBV1  BIT(2)
#define CPUIDD1_EAX_XSAVES   BIT(3)

#define CPUID81_ECX_LAHF    BIT(0)
#define CPUID81_EDX_SYSCALL BIT(11)
#define CPUID81_EDX_NX      BIT(20)
#define CPUID81_EDX_1GB     BIT(26)
#define CPUID81_EDX_RDTSCP  BIT(27)
#define CPUID81_EDX_LM      BIT(29)
#define CPUID87_EDX_INVTSC  BIT(8)

#define XSAVE_SIZE 576 /* legacy area and header: x87 and SSE need no more */

static const char brand[48] = "vmdbg virtual CPU v2.1";

static struct cpuid_regs leaf_1(const struct x86_state *s, unsigned apic_id, unsigned nr_vcpus, u64 apic_base)
{
	return (struct cpuid_regs){
	    .eax = CPU_SIGNATURE,
	    .ebx = (apic_id & 0xff) << 24 | (nr_vcpus & 0xff) << 16 | 64 / 8 << 8,
	    .ecx = CPUID1_ECX_SSE3 | CPUID1_ECX_SSSE3 | CPUID1_ECX_CX16 | CPUID1_ECX_PCID | CPUID1_ECX_SSE41 |
		   CPUID1_ECX_SSE42 | CPUID1_ECX_MOVBE | CPUID1_ECX_POPCNT | CPUID1_ECX_DEADLINE | CPUID1_ECX_XSAVE |
		   (s->cr4 & CR4_OSXSAVE ? CPUID1_ECX_OSXSAVE : 0) | CPUID1_ECX_HYPERVISOR,
	    .edx = CPUID1_EDX_FPU | CPUID1_EDX_VME | CPUID1_EDX_DE | CPUID1_EDX_PSE | CPUID1_EDX_TSC | CPUID1_EDX_MSR |
		   CPUID1_EDX_PAE | CPUID1_EDX_MCE | CPUID1_EDX_CX8 |
		   (apic_base & APIC_BASE_ENABLE ? CPUID1_EDX_APIC : 0) | CPUID1_EDX_SEP | CPUID1_EDX_MTRR |
		   CPUID1_EDX_PGE | CPUID1_EDX_MCA | CPUID1_EDX_CMOV | CPUID1_EDX_PAT | CPUID1_EDX_PSE36 |
		   CPUID1_EDX_CLFSH | CPUID1_EDX_MMX | CPUID1_EDX_FXSR | CPUID1_EDX_SSE | CPUID1_EDX_SSE2 |
		   CPUID1_EDX_SS | (nr_vcpus > 1 ? CPUID1_EDX_HTT : 0),
	};
}

/* Caches, deterministic parameters: 32 KiB L1 twice and 256 KiB L2 a core, 8 MiB L3 shared. */
static struct cpuid_regs leaf_4(u32 subleaf, unsigned nr_vcpus)
{
	static const struct {
		u32 type, level, ways, sets;
	} cache[] = {{1, 1, 8, 64}, {2, 1, 8, 64}, {3, 2, 4, 1024}, {3, 3, 16, 8192}};
	unsigned sharing;

	if (subleaf >= ARRAY_SIZE(cache))
		return (struct cpuid_regs){0};
	sharing = cache[subleaf].level == 3 ? nr_vcpus : 1;
	return (struct cpuid_regs){
	    .eax = cache[subleaf].type | cache[subleaf].level << 5 | 1u << 8 | (sharing - 1) << 14 |
		   (nr_vcpus - 1) << 26,
	    .ebx = (64 - 1) | (cache[subleaf].ways - 1) << 22,
	    .ecx = cache[subleaf].sets - 1,
	};
}

static struct cpuid_regs leaf_7(u32 subleaf)
{
	if (subleaf == 0)
		return (struct cpuid_regs){
		    .eax = 1,
		    .ebx = CPUID7_EBX_FSGSBASE | CPUID7_EBX_TSC_ADJUST | CPUID7_EBX_SMEP | CPUID7_EBX_ERMS |
			   CPUID7_EBX_INVPCID | CPUID7_EBX_ZERO_FCS_FDS | CPUID7_EBX_SMAP,
		    .ecx = CPUID7_ECX_UMIP,
		    .edx = CPUID7_EDX_FSRM | CPUID7_EDX_ARCH_CAP,
		};
	if (subleaf == 1)
		return (struct cpuid_regs){.eax = CPUID71_EAX_FZRM | CPUID71_EAX_FSRS};
	return (struct cpuid_regs){0};
}

/* Topology: one package of @nr_vcpus cores of one thread. */
static struct cpuid_regs leaf_b(u32 subleaf, unsigned apic_id, unsigned nr_vcpus)
{
	unsigned shift = 0;

	while ((1u << shift) < nr_vcpus)
		shift++;
	if (subleaf == 0)
		return (struct cpuid_regs){.ebx = 1, .ecx = 1u << 8, .edx = apic_id};
	if (subleaf == 1)
		return (struct cpuid_regs){.eax = shift, .ebx = nr_vcpus, .ecx = 2u << 8 | 1, .edx = apic_id};
	return (struct cpuid_regs){.ecx = subleaf & 0xff, .edx = apic_id};
}

static struct cpuid_regs leaf_d(u32 subleaf)
{
	if (subleaf == 0)
		return (struct cpuid_regs){.eax = XCR0_X87 | XCR0_SSE, .ebx = XSAVE_SIZE, .ecx = XSAVE_SIZE};
	if (subleaf == 1)
		return (struct cpuid_regs){
		    .eax = CPUIDD1_EAX_XSAVEOPT | CPUIDD1_EAX_XSAVEC | CPUIDD1_EAX_XGETBV1 | CPUIDD1_EAX_XSAVES,
		    .ebx = XSAVE_SIZE,
		};
	return (struct cpuid_regs){0};
}

static struct cpuid_regs leaf_extended(u32 leaf)
{
	switch (leaf) {
	case 0x80000000:
		return (struct cpuid_regs){.eax = MAX_EXTENDED};
	case 0x80000001:
		return (struct cpuid_regs){
		    .ecx = CPUID81_ECX_LAHF,
		    .edx = CPUID81_EDX_SYSCALL | CPUID81_EDX_NX | CPUID81_EDX_1GB | CPUID81_EDX_RDTSCP | CPUID81_EDX_LM,
		};
	case 0x80000002:
	case 0x80000003:
	case 0x80000004: {
		const char *part = brand + 16 * (leaf - 0x80000002);

		return (struct cpuid_regs){load32(part), load32(part + 4), load32(part + 8), load32(part + 12)};
	}
	case 0x80000006:
		return (struct cpuid_regs){.ecx = 256u << 16 | 4u << 12 | 64};
	case 0x80000007:
		return (struct cpuid_regs){.edx = CPUID87_EDX_INVTSC};
	case 0x80000008:
		return (struct cpuid_regs){.eax = CPU_LINEAR_BITS << 8 | CPU_PHYS_BITS};
	default:
		return (struct cpuid_regs){0};
	}
}

static bool leaf_in_range(u32 leaf)
{
	return leaf <= MAX_BASIC || leaf == MAX_HYPERVISOR || (leaf >= 0x80000000 && leaf <= MAX_EXTENDED);
}

struct cpuid_regs x86_cpuid(const struct x86_state *s, u32 leaf, u32 subleaf, unsigned apic_id, unsigned nr_vcpus,
			    u64 apic_base)
{
	/* Out of range: the last basic leaf's data, as Intel CPUs do. */
	if (!leaf_in_range(leaf))
		leaf = MAX_BASIC;
	if (leaf >= 0x80000000)
		return leaf_extended(leaf);

	switch (leaf) {
	case 0x0: /* "GenuineIntel" in EBX, EDX, ECX */
		return (struct cpuid_regs){.eax = MAX_BASIC, .ebx = 0x756e6547, .edx = 0x49656e69, .ecx = 0x6c65746e};
	case 0x1:
		return leaf_1(s, apic_id, nr_vcpus, apic_base);
	case 0x2: /* FFh: caches are in leaf 4 */
		return (struct cpuid_regs){.eax = 0x0000ff01};
	case 0x4:
		return leaf_4(subleaf, nr_vcpus);
	case 0x6:
		return (struct cpuid_regs){.eax = CPUID6_EAX_ARAT};
	case 0x7:
		return leaf_7(subleaf);
	case 0xb:
		return leaf_b(subleaf, apic_id, nr_vcpus);
	case 0xd:
		return leaf_d(subleaf);
	case 0x15: /* TSC = crystal * EBX / EAX */
		return (struct cpuid_regs){.eax = 1, .ebx = 1, .ecx = CPU_TSC_HZ};
	case 0x16: /* base, maximum and bus MHz */
		return (struct cpuid_regs){.eax = 1000, .ebx = 1000, .ecx = 100};
	case MAX_HYPERVISOR: /* "vmdbg vmdbg " */
		return (struct cpuid_regs){
		    .eax = MAX_HYPERVISOR, .ebx = 0x62646d76, .ecx = 0x6d762067, .edx = 0x20676264};
	default:
		return (struct cpuid_regs){0};
	}
}

const char *cpu_model_name(enum cpu_model model)
{
	static const char *const names[CPU_MODEL_COUNT] = {
	    [CPU_MODEL_V2_2] = CPU_MODEL_NAME, [CPU_MODEL_V2_1] = "vmdbg-v2.1"};

	return names[model];
}
