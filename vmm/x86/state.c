/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/x86/cpuid.h"
#include "vmm/x86/state.h"

#define REG(label, member)                                                                                        \
	{                                                                                                         \
		label, offsetof(struct x86_state, member), sizeof(((struct x86_state *)0)->member), 1, FIELD_UINT \
	}
#define REG_ARRAY(label, member)                                                                       \
	{                                                                                              \
		label, offsetof(struct x86_state, member), sizeof(((struct x86_state *)0)->member[0]), \
		    ARRAY_SIZE(((struct x86_state *)0)->member), FIELD_UINT                            \
	}
#define REG_SEGMENT(label, n)                                                                            \
	REG(label, seg[n].selector), REG(label ".base", seg[n].base), REG(label ".limit", seg[n].limit), \
	    REG(label ".rights", seg[n].ar)
#define REG_TABLE(label, member) REG(label ".base", member.base), REG(label ".limit", member.limit)
#define REG_ST(n)                REG("fpr" #n, fpu.st[n].mant), REG("fpr" #n ".se", fpu.st[n].se)
#define REG_XMM(n)                                                                   \
	{                                                                            \
		"xmm" #n, offsetof(struct x86_state, fpu.xmm[n]), 1, 16, FIELD_BYTES \
	}

/* The order is part of the trace format. gpr[GPR_NONE] is a constant and left out. */
const struct field x86_state_fields[] = {
    REG("rax", gpr[RAX]),
    REG("rcx", gpr[RCX]),
    REG("rdx", gpr[RDX]),
    REG("rbx", gpr[RBX]),
    REG("rsp", gpr[RSP]),
    REG("rbp", gpr[RBP]),
    REG("rsi", gpr[RSI]),
    REG("rdi", gpr[RDI]),
    REG("r8", gpr[R8]),
    REG("r9", gpr[R9]),
    REG("r10", gpr[R10]),
    REG("r11", gpr[R11]),
    REG("r12", gpr[R12]),
    REG("r13", gpr[R13]),
    REG("r14", gpr[R14]),
    REG("r15", gpr[R15]),
    REG("rip", rip),
    REG("rflags", rflags),
    REG_SEGMENT("es", SEG_ES),
    REG_SEGMENT("cs", SEG_CS),
    REG_SEGMENT("ss", SEG_SS),
    REG_SEGMENT("ds", SEG_DS),
    REG_SEGMENT("fs", SEG_FS),
    REG_SEGMENT("gs", SEG_GS),
    REG_SEGMENT("ldtr", SEG_LDTR),
    REG_SEGMENT("tr", SEG_TR),
    REG_TABLE("gdtr", gdtr),
    REG_TABLE("idtr", idtr),
    REG("cr0", cr0),
    REG("cr2", cr2),
    REG("cr3", cr3),
    REG("cr4", cr4),
    REG("xcr0", xcr0),
    REG("xss", xss),
    REG_ARRAY("dr", dr),
    REG("dr6", dr6),
    REG("dr7", dr7),
    REG("efer", efer),
    REG("star", star),
    REG("lstar", lstar),
    REG("cstar", cstar),
    REG("sfmask", sfmask),
    REG("kernel_gs_base", kernel_gs_base),
    REG("tsc_aux", tsc_aux),
    REG("sysenter_cs", sysenter_cs),
    REG("sysenter_esp", sysenter_esp),
    REG("sysenter_eip", sysenter_eip),
    REG("pat", pat),
    REG("misc_enable", misc_enable),
    REG("debugctl", debugctl),
    REG("spec_ctrl", spec_ctrl),
    REG("feature_control", feature_control),
    REG("mcg_status", mcg_status),
    REG("mtrr_def_type", mtrr_def_type),
    REG_ARRAY("mtrr_fixed", mtrr_fixed),
    REG_ARRAY("mtrr_var", mtrr_var),
    REG("bios_sign_id", bios_sign_id),
    REG_ARRAY("pdpte", pdpte),
    REG_ST(0),
    REG_ST(1),
    REG_ST(2),
    REG_ST(3),
    REG_ST(4),
    REG_ST(5),
    REG_ST(6),
    REG_ST(7),
    REG("fcw", fpu.fcw),
    REG("fsw", fpu.fsw),
    REG("ftw", fpu.ftw),
    REG("fop", fpu.fop),
    REG("fip", fpu.fip),
    REG("fdp", fpu.fdp),
    REG("fcs", fpu.fcs),
    REG("fds", fpu.fds),
    REG("mxcsr", fpu.mxcsr),
    REG_XMM(0),
    REG_XMM(1),
    REG_XMM(2),
    REG_XMM(3),
    REG_XMM(4),
    REG_XMM(5),
    REG_XMM(6),
    REG_XMM(7),
    REG_XMM(8),
    REG_XMM(9),
    REG_XMM(10),
    REG_XMM(11),
    REG_XMM(12),
    REG_XMM(13),
    REG_XMM(14),
    REG_XMM(15),
    REG("activity", activity),
    REG("interruptibility", interruptibility),
    REG("pending_db", pending_db),
    FIELD_END,
};

/* Access rights after RESET: present, system or data segments as in SDM 3A table 10-1. CS is a writable data segment
 * in all but name: real mode doesn't look. */
#define AR_RESET_DATA (AR_P | AR_S | AR_RW | AR_ACCESSED)
#define AR_RESET_LDT  (AR_P | 2)
#define AR_RESET_TSS  (AR_P | 11) /* busy, as VM entry requires of TR */

#define RESET_DATA_SEGMENT                           \
	{                                            \
		.limit = 0xffff, .ar = AR_RESET_DATA \
	}

static const struct x86_state reset_state = {
    .gpr = {[RDX] = CPU_SIGNATURE},
    .rip = 0xfff0,
    .rflags = RFLAGS_1,
    .seg =
	{
	    [SEG_ES] = RESET_DATA_SEGMENT,
	    [SEG_CS] = {.selector = 0xf000, .base = 0xffff0000, .limit = 0xffff, .ar = AR_RESET_DATA},
	    [SEG_SS] = RESET_DATA_SEGMENT,
	    [SEG_DS] = RESET_DATA_SEGMENT,
	    [SEG_FS] = RESET_DATA_SEGMENT,
	    [SEG_GS] = RESET_DATA_SEGMENT,
	    [SEG_LDTR] = {.limit = 0xffff, .ar = AR_RESET_LDT},
	    [SEG_TR] = {.limit = 0xffff, .ar = AR_RESET_TSS},
	},
    .gdtr = {.limit = 0xffff},
    .idtr = {.limit = 0xffff},
    .cr0 = CR0_CD | CR0_NW | CR0_ET,
    .xcr0 = XCR0_X87,
    .dr6 = 0xffff0ff0,
    .dr7 = 0x400,
    .pat = CPU_PAT_RESET,
    .misc_enable = CPU_MISC_ENABLE_RESET,
    .feature_control = CPU_FEATURE_CONTROL,
    .bios_sign_id = CPU_BIOS_SIGN_ID,
    .fpu =
	{
	    .fcw = 0x40,
	    .ftw = 0xff, /* tag word 5555h: every register a valid zero */
	    .mxcsr = 0x1f80,
	},
};

void x86_state_reset(struct x86_state *s)
{
	/* Padding too, so that two states in the same condition are the same bytes. */
	memset(s, 0, sizeof(*s));
	memcpy(s, &reset_state, sizeof(*s));
}
