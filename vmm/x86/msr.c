/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Model-specific registers kept in struct x86_state (SDM 4, table 2-2): what may be written to each. */
#include "vmm/x86/cpuid.h"
#include "vmm/x86/state.h"

#define MSR_X2APIC_LAST 0x8ff

/* IA32_ARCH_CAPABILITIES: flaws this CPU does not have. */
#define ARCH_CAP_RDCL_NO        BIT(0)
#define ARCH_CAP_SKIP_L1DFL     BIT(3)
#define ARCH_CAP_SSB_NO         BIT(4)
#define ARCH_CAP_MDS_NO         BIT(5)
#define ARCH_CAP_PSCHANGE_MC_NO BIT(6)
#define ARCH_CAP_TAA_NO         BIT(8)
#define ARCH_CAP_SBDR_SSDP_NO   BIT(13)
#define ARCH_CAP_FBSDP_NO       BIT(14)
#define ARCH_CAP_PSDP_NO        BIT(15)
#define ARCH_CAP_BHI_NO         BIT(20)
#define ARCH_CAP_PBRSB_NO       BIT(24)
#define ARCH_CAP_GDS_NO         BIT(26)
#define ARCH_CAP_RFDS_NO        BIT(27)
#define ARCH_CAP_ITS_NO         BIT(62)
#define ARCH_CAPABILITIES_VALUE                                                                                 \
	(ARCH_CAP_RDCL_NO | ARCH_CAP_SKIP_L1DFL | ARCH_CAP_SSB_NO | ARCH_CAP_MDS_NO | ARCH_CAP_PSCHANGE_MC_NO | \
	 ARCH_CAP_TAA_NO | ARCH_CAP_SBDR_SSDP_NO | ARCH_CAP_FBSDP_NO | ARCH_CAP_PSDP_NO | ARCH_CAP_BHI_NO |     \
	 ARCH_CAP_PBRSB_NO | ARCH_CAP_GDS_NO | ARCH_CAP_RFDS_NO | ARCH_CAP_ITS_NO)

/* Ratios of a 100 MHz bus: maximum non-turbo 15:8, minimum 47:40. */
#define PLATFORM_INFO_VALUE (10ull << 8 | 10ull << 40)

#define MISC_ENABLE_FAST_STRING BIT(0)
#define MISC_ENABLE_READ_ONLY   (BIT(11) | BIT(12))

#define MCG_STATUS_WRITABLE 7ull

#define MTRR_DEF_TYPE_FE BIT(10)
#define MTRR_DEF_TYPE_E  BIT(11)
#define MTRR_MASK_VALID  BIT(11)

#define PHYS_MASK (BIT(CPU_PHYS_BITS) - 1)

bool x86_msr_is_machine(u32 msr)
{
	return msr == MSR_TSC || msr == MSR_TSC_ADJUST || msr == MSR_APIC_BASE || msr == MSR_TSC_DEADLINE ||
	       (msr >= MSR_X2APIC_BASE && msr <= MSR_X2APIC_LAST);
}

/* The index in mtrr_fixed[] of a fixed-range MTRR, or -1. */
static int mtrr_fixed_index(u32 msr)
{
	if (msr == MSR_MTRR_FIX64K)
		return 0;
	if (msr == MSR_MTRR_FIX16K_80000 || msr == MSR_MTRR_FIX16K_A0000)
		return 1 + (msr - MSR_MTRR_FIX16K_80000);
	if (msr >= MSR_MTRR_FIX4K_C0000 && msr < MSR_MTRR_FIX4K_C0000 + 8)
		return 3 + (msr - MSR_MTRR_FIX4K_C0000);
	return -1;
}

static bool mtrr_is_variable(u32 msr)
{
	return msr >= MSR_MTRR_PHYSBASE0 && msr < MSR_MTRR_PHYSBASE0 + 2 * MTRR_VAR_COUNT;
}

/* Where a register that reads as it was written is kept, or NULL. */
static const u64 *msr_plain(const struct x86_state *s, u32 msr)
{
	int fixed = mtrr_fixed_index(msr);

	if (fixed >= 0)
		return &s->mtrr_fixed[fixed];
	if (mtrr_is_variable(msr))
		return &s->mtrr_var[msr - MSR_MTRR_PHYSBASE0];
	switch (msr) {
	case MSR_FEATURE_CONTROL:
		return &s->feature_control;
	case MSR_BIOS_SIGN_ID:
		return &s->bios_sign_id;
	case MSR_SYSENTER_CS:
		return &s->sysenter_cs;
	case MSR_SYSENTER_ESP:
		return &s->sysenter_esp;
	case MSR_SYSENTER_EIP:
		return &s->sysenter_eip;
	case MSR_MCG_STATUS:
		return &s->mcg_status;
	case MSR_MISC_ENABLE:
		return &s->misc_enable;
	case MSR_DEBUGCTL:
		return &s->debugctl;
	case MSR_PAT:
		return &s->pat;
	case MSR_MTRR_DEF_TYPE:
		return &s->mtrr_def_type;
	case MSR_XSS:
		return &s->xss;
	case MSR_EFER:
		return &s->efer;
	case MSR_STAR:
		return &s->star;
	case MSR_LSTAR:
		return &s->lstar;
	case MSR_CSTAR:
		return &s->cstar;
	case MSR_SFMASK:
		return &s->sfmask;
	case MSR_FS_BASE:
		return &s->seg[SEG_FS].base;
	case MSR_GS_BASE:
		return &s->seg[SEG_GS].base;
	case MSR_KERNEL_GS_BASE:
		return &s->kernel_gs_base;
	case MSR_TSC_AUX:
		return &s->tsc_aux;
	default:
		return NULL;
	}
}

int x86_rdmsr(const struct x86_state *s, u32 msr, u64 *value)
{
	const u64 *plain = msr_plain(s, msr);

	if (plain) {
		*value = *plain;
		return 0;
	}
	switch (msr) {
	case MSR_PLATFORM_ID: /* platform 0 */
	case MSR_MCG_CAP:     /* no banks */
		*value = 0;
		return 0;
	case MSR_PLATFORM_INFO:
		*value = PLATFORM_INFO_VALUE;
		return 0;
	case MSR_MTRRCAP:
		*value = CPU_MTRR_CAP;
		return 0;
	case MSR_ARCH_CAPABILITIES:
		*value = ARCH_CAPABILITIES_VALUE;
		return 0;
	default:
		return -1;
	}
}

/* Memory types: UC, WC, WT, WP, WB (SDM 3A table 12-2). */
static bool memory_type_valid(u8 type)
{
	return type <= 6 && type != 2 && type != 3;
}

static bool mtrr_fixed_valid(u64 value)
{
	for (; value; value >>= 8)
		if (!memory_type_valid(value))
			return false;
	return true;
}

static bool mtrr_variable_valid(u32 msr, u64 value)
{
	if (value & ~PHYS_MASK)
		return false;
	if (msr & 1) /* PHYSMASKn */
		return !(value & 0xfff & ~MTRR_MASK_VALID);
	return !(value & 0xf00) && memory_type_valid(value);
}

static bool mtrr_def_type_valid(u64 value)
{
	return !(value & ~(0xffull | MTRR_DEF_TYPE_FE | MTRR_DEF_TYPE_E)) && memory_type_valid(value);
}

/* PAT entries may also be UC- (7). */
static bool pat_valid(u64 value)
{
	for (unsigned i = 0; i < 8; i++, value >>= 8)
		if (!memory_type_valid(value) && (u8)value != 7)
			return false;
	return true;
}

static int write_efer(struct x86_state *s, u64 value)
{
	if (value & ~(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE))
		return -1;
	/* LME may not change while paging is on; LMA is the CPU's own (SDM 3A 2.2.1). */
	if ((value ^ s->efer) & EFER_LME && s->cr0 & CR0_PG)
		return -1;
	s->efer = (value & ~EFER_LMA) | (s->efer & EFER_LMA);
	return 0;
}

static int write_misc_enable(struct x86_state *s, u64 value)
{
	/* The performance-monitoring bits are read-only; what else is defined there, this model doesn't have. */
	if ((value ^ s->misc_enable) & ~(MISC_ENABLE_FAST_STRING | MISC_ENABLE_READ_ONLY))
		return -1;
	s->misc_enable = (value & ~MISC_ENABLE_READ_ONLY) | (s->misc_enable & MISC_ENABLE_READ_ONLY);
	return 0;
}

/* Whether a plain register takes @value; narrows *@value to the bits it keeps. */
static bool msr_value_valid(u32 msr, u64 *value)
{
	switch (msr) {
	case MSR_SYSENTER_ESP:
	case MSR_SYSENTER_EIP:
	case MSR_LSTAR:
	case MSR_CSTAR:
	case MSR_FS_BASE:
	case MSR_GS_BASE:
	case MSR_KERNEL_GS_BASE:
		return x86_canonical(*value);
	case MSR_SYSENTER_CS:
	case MSR_SFMASK:
		*value = (u32)*value;
		return true;
	case MSR_STAR:
		return true;
	case MSR_TSC_AUX:
		return *value >> 32 == 0;
	case MSR_PAT:
		return pat_valid(*value);
	case MSR_MTRR_DEF_TYPE:
		return mtrr_def_type_valid(*value);
	case MSR_DEBUGCTL:
		return !(*value & ~(DEBUGCTL_LBR | DEBUGCTL_BTF));
	case MSR_MCG_STATUS:
		return !(*value & ~MCG_STATUS_WRITABLE);
	case MSR_XSS:
		return *value == 0;
	default:
		return (mtrr_fixed_index(msr) >= 0 && mtrr_fixed_valid(*value)) ||
		       (mtrr_is_variable(msr) && mtrr_variable_valid(msr, *value));
	}
}

int x86_wrmsr(struct x86_state *s, u32 msr, u64 value)
{
	u64 *plain;

	switch (msr) {
	case MSR_EFER:
		return write_efer(s, value);
	case MSR_MISC_ENABLE:
		return write_misc_enable(s, value);
	case MSR_BIOS_SIGN_ID:
		/* Software writes 0, runs CPUID and reads the revision. It reads so without, and nothing else can be
		 * loaded. */
		return 0;
	case MSR_FEATURE_CONTROL: /* locked */
		return -1;
	}
	plain = (u64 *)msr_plain(s, msr);
	if (!plain || !msr_value_valid(msr, &value))
		return -1;
	*plain = value;
	return 0;
}
