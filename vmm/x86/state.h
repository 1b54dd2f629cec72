/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The architectural registers of one vCPU: all that an engine must load, run and give back.
 * x86_state_fields (state.c) is the table that checkpoints, digests and comparisons walk. */
#ifndef VMM_X86_STATE_H
#define VMM_X86_STATE_H

#include "vmm/state.h"
#include "vmm/types.h"
#include "vmm/x86/regs.h"

/* Access rights in the VMCS layout (SDM 3C table 25-2): type 3:0, S 4, DPL 6:5, P 7, AVL 12, L 13, D/B 14, G 15,
 * unusable 16. */
#define AR_TYPE      0xfu
#define AR_ACCESSED  0x1u
#define AR_RW        0x2u /* writable data, readable code */
#define AR_DC        0x4u /* expand-down data, conforming code */
#define AR_CODE      0x8u
#define AR_S         (1u << 4)
#define AR_DPL_SHIFT 5
#define AR_DPL       (3u << AR_DPL_SHIFT)
#define AR_P         (1u << 7)
#define AR_L         (1u << 13)
#define AR_DB        (1u << 14)
#define AR_G         (1u << 15)
#define AR_UNUSABLE  (1u << 16)

struct x86_segment {
	u64 base;
	u32 limit; /* last valid offset, granularity applied */
	u32 ar;
	u16 selector;
};

struct x86_table {
	u64 base;
	u16 limit;
};

/* x87, MMX and SSE. st[] is indexed by physical register (not relative to TOP); MMX register n is st[n].mant. */
struct x87_reg {
	u64 mant;
	u16 se; /* sign and exponent */
};

struct x86_fpu {
	struct x87_reg st[8];
	u16 fcw;
	u16 fsw; /* TOP in bits 13:11 */
	u8 ftw;  /* abridged as in FXSAVE: bit n set = physical register n not empty */
	u16 fop;
	u64 fip;
	u64 fdp;
	u16 fcs;
	u16 fds;
	u32 mxcsr;
	u8 xmm[16][16] __attribute__((aligned(16)));
};

#define MTRR_VAR_COUNT 8

enum activity { ACTIVITY_ACTIVE, ACTIVITY_HLT, ACTIVITY_SHUTDOWN, ACTIVITY_WAIT_SIPI };

/* Interruptibility (SDM 3C table 25-3). */
#define BLOCK_STI    BIT(0)
#define BLOCK_MOV_SS BIT(1)
#define BLOCK_NMI    BIT(3)

struct x86_state {
	u64 gpr[GPR_COUNT + 1]; /* gpr[GPR_NONE] is always 0: the base or index of an operand that has none */
	u64 rip;
	u64 rflags;
	struct x86_segment seg[SEG_ALL]; /* with LDTR and TR */
	struct x86_table gdtr, idtr;
	u64 cr0, cr2, cr3, cr4;
	u64 xcr0, xss;
	u64 dr[4], dr6, dr7;
	u64 efer;
	u64 star, lstar, cstar, sfmask, kernel_gs_base, tsc_aux;
	u64 sysenter_cs, sysenter_esp, sysenter_eip;
	u64 pat, misc_enable, debugctl, spec_ctrl, feature_control, mcg_status;
	u64 mtrr_def_type, mtrr_fixed[11], mtrr_var[2 * MTRR_VAR_COUNT];
	u64 bios_sign_id;
	u64 pdpte[4]; /* PAE paging: loaded with CR3 */
	struct x86_fpu fpu;
	u32 activity;         /* enum activity */
	u32 interruptibility; /* BLOCK_* */
	u64 pending_db;       /* DR6 bits of a #DB not yet delivered */
	/* [D] The A20M# pin, which the machine drives: true holds bit 20 of all physical addresses at 0. No register, so not
	 * in the table. */
	bool a20m;
};

extern const struct field x86_state_fields[];

/* The state after power-up or RESET (SDM 3A table 10-1). */
void x86_state_reset(struct x86_state *s);

static inline unsigned x86_cpl(const struct x86_state *s)
{
	return (s->seg[SEG_SS].ar & AR_DPL) >> AR_DPL_SHIFT;
}

static inline bool x86_long_mode(const struct x86_state *s)
{
	return s->efer & EFER_LMA;
}

static inline bool x86_64bit(const struct x86_state *s)
{
	return (s->efer & EFER_LMA) && (s->seg[SEG_CS].ar & AR_L);
}

static inline bool x86_canonical(u64 va)
{
	return (u64)((s64)(va << 16) >> 16) == va;
}

#endif
