// SPDX-License-Identifier: GPL-2.0-or-later
/* The two-byte opcode map, integer and system instructions, and the integer part of 0F 38 (SDM volume 2, appendix A,
 * tables ). */
#include "vmm/soft/ops.h"

#define V(name, form)                                                            \
	{                                                                        \
		op_##name##16_##form, op_##name##32_##form, op_##name##64_##form \
	}
#define B(name, form) FN3(op_##name##8_##form)

static const struct opcode group6[8] = {
    [0] = OPCODE(OP_PROT, op_sldt_r, op_sldt_m),          [1] = OPCODE(OP_PROT, op_str_r, op_str_m),
    [2] = OPCODE(OP_PROT | OP_END, op_lldt_r, op_lldt_m), [3] = OPCODE(OP_PROT | OP_END, op_ltr_r, op_ltr_m),
    [4] = OPCODE(OP_PROT, op_verr_r, op_verr_m),          [5] = OPCODE(OP_PROT, op_verw_r, op_verw_m),
};

/* Register forms of 0F 01, by ModRM.rm. VMX, MONITOR and MWAIT are not in the model. */
static const struct opcode clac[4] = {OPCODE(0, op_clac, NULL)}, stac[4] = {OPCODE(0, op_stac, NULL)};
static const struct opcode clac_stac[8] = {
    [2] = {.flags = OP_PREFIX, .sub = clac},
    [3] = {.flags = OP_PREFIX, .sub = stac},
};
static const struct opcode xgetbv[4] = {OPCODE(0, op_xgetbv, NULL)}, xsetbv[4] = {OPCODE(OP_END, op_xsetbv, NULL)};
static const struct opcode xgetbv_xsetbv[8] = {
    [0] = {.flags = OP_PREFIX, .sub = xgetbv},
    [1] = {.flags = OP_PREFIX, .sub = xsetbv},
};
static const struct opcode swapgs_rdtscp[8] = {
    [0] = OPCODE(OP_O64, op_swapgs, NULL),
    [1] = OPCODE(0, op_rdtscp, NULL),
};

static const struct opcode group7[8] = {
    [0] = OPCODE(0, NULL, op_sgdt),
    [1] = {.flags = OP_GROUP_RM, .mem = FN3(op_sidt), .sub = clac_stac},
    [2] = {.flags = OP_GROUP_RM, .mem = FN3(op_lgdt), .sub = xgetbv_xsetbv},
    [3] = OPCODE(0, NULL, op_lidt),
    [4] = OPCODE(0, op_smsw_r, op_smsw_m),
    [6] = OPCODE(OP_END, op_lmsw_r, op_lmsw_m),
    [7] = {.flags = OP_GROUP_RM | OP_END, .mem = FN3(op_invlpg), .sub = swapgs_rdtscp},
};

static const struct opcode group8[8] = {
    [4] = {.reg = V(bt, ri), .mem = V(bt, mi)},
    [5] = {.flags = OP_LOCK, .reg = V(bts, ri), .mem = V(bts, mi)},
    [6] = {.flags = OP_LOCK, .reg = V(btr, ri), .mem = V(btr, mi)},
    [7] = {.flags = OP_LOCK, .reg = V(btc, ri), .mem = V(btc, mi)},
};

/* 66, F3 and F2 before these are other instructions, which the model doesn't have. */
static const struct opcode xrstors[4] = {OPCODE(0, NULL, op_xrstors)};
static const struct opcode xsavec[4] = {OPCODE(0, NULL, op_xsavec)};
static const struct opcode xsaves[4] = {OPCODE(0, NULL, op_xsaves)};

static const struct opcode group9[8] = {
    [1] = {.flags = OP_LOCK, .mem = {op_cmpxchg8b, op_cmpxchg8b, op_cmpxchg16b}},
    [3] = {.flags = OP_PREFIX, .sub = xrstors},
    [4] = {.flags = OP_PREFIX, .sub = xsavec},
    [5] = {.flags = OP_PREFIX, .sub = xsaves},
};

/* 0F AE by prefix, then by ModRM.reg. */
static const struct opcode ae0[4] = {OPCODE(0, NULL, op_fxsave), {0}, OPCODE(OP_O64, op_rdfsbase, NULL), {0}};
static const struct opcode ae1[4] = {OPCODE(0, NULL, op_fxrstor), {0}, OPCODE(OP_O64, op_rdgsbase, NULL), {0}};
static const struct opcode ae2[4] = {OPCODE(0, NULL, op_ldmxcsr), {0}, OPCODE(OP_O64, op_wrfsbase, NULL), {0}};
static const struct opcode ae3[4] = {OPCODE(0, NULL, op_stmxcsr), {0}, OPCODE(OP_O64, op_wrgsbase, NULL), {0}};
static const struct opcode ae4[4] = {OPCODE(0, NULL, op_xsave), {0}, {0}, {0}};
static const struct opcode ae5[4] = {OPCODE(0, op_nop, op_xrstor), {0}, {0}, {0}};   /* LFENCE */
static const struct opcode ae6[4] = {OPCODE(0, op_nop, op_xsaveopt), {0}, {0}, {0}}; /* MFENCE */
static const struct opcode ae7[4] = {OPCODE(0, op_nop, op_clflush), {0}, {0}, {0}};  /* SFENCE */

static const struct opcode group15[8] = {
    [0] = {.flags = OP_PREFIX, .sub = ae0}, [1] = {.flags = OP_PREFIX, .sub = ae1},
    [2] = {.flags = OP_PREFIX, .sub = ae2}, [3] = {.flags = OP_PREFIX, .sub = ae3},
    [4] = {.flags = OP_PREFIX, .sub = ae4}, [5] = {.flags = OP_PREFIX, .sub = ae5},
    [6] = {.flags = OP_PREFIX, .sub = ae6}, [7] = {.flags = OP_PREFIX, .sub = ae7},
};

static const struct opcode popcnt[4] = {
    {0},
    {0},
    {.reg = V(popcnt, gr), .mem = V(popcnt, gm)},
    {0},
};

#define NOP_MODRM  OPCODE(OP_MODRM, op_nop, op_nop)
#define CMOV(n)    [0x40 + n] = {.flags = OP_MODRM, .reg = V(cmov, r), .mem = V(cmov, m)}
#define JCCZ(n)    [0x80 + n] = OPCODE(OP_F64 | OP_RELZ | OP_END, op_jcc_##n, NULL)
#define SETCC(n)   [0x90 + n] = OPCODE(OP_MODRM | OP_BYTE_RM, op_setcc_r, op_setcc_m)
#define SIXTEEN(M) M(0), M(1), M(2), M(3), M(4), M(5), M(6), M(7), M(8), M(9), M(10), M(11), M(12), M(13), M(14), M(15)
#define BSWAP(n)   [0xc8 + n] = {.flags = OP_REGOP, .reg = {op_bswap16, op_bswap32, op_bswap64}}
#define EXTEND(name, from)                                                                     \
	.reg = {op_##name##16_##from##_r, op_##name##32_##from##_r, op_##name##64_##from##_r}, \
	.mem = {op_##name##16_##from##_m, op_##name##32_##from##_m, op_##name##64_##from##_m}

const struct opcode opcodes_0f[256] = {
    [0x00] = {.flags = OP_GROUP | OP_MODRM, .sub = group6},
    [0x01] = {.flags = OP_GROUP | OP_MODRM, .sub = group7},
    [0x02] = OPCODE(OP_MODRM | OP_PROT, op_lar_r, op_lar_m),
    [0x03] = OPCODE(OP_MODRM | OP_PROT, op_lsl_r, op_lsl_m),
    [0x05] = OPCODE(OP_END, op_syscall, NULL),
    [0x06] = OPCODE(OP_END, op_clts, NULL),
    [0x07] = OPCODE(OP_END, op_sysret, NULL),
    [0x08] = OPCODE(0, op_invd, NULL),
    [0x09] = OPCODE(0, op_wbinvd, NULL),
    [0x0b] = OPCODE(OP_END, op_ud2, NULL),
    [0x0d] = NOP_MODRM, /* PREFETCHW: without effect */
    [0x18] = NOP_MODRM,
    [0x19] = NOP_MODRM,
    [0x1a] = NOP_MODRM,
    [0x1b] = NOP_MODRM,
    [0x1c] = NOP_MODRM,
    [0x1d] = NOP_MODRM,
    [0x1e] = NOP_MODRM,
    [0x1f] = NOP_MODRM,
    [0x20] = OPCODE(OP_MODRM | OP_CR, op_mov_r_cr, op_mov_r_cr),
    [0x21] = OPCODE(OP_MODRM | OP_CR, op_mov_r_dr, op_mov_r_dr),
    [0x22] = OPCODE(OP_MODRM | OP_CR | OP_END, op_mov_cr_r, op_mov_cr_r),
    [0x23] = OPCODE(OP_MODRM | OP_CR | OP_END, op_mov_dr_r, op_mov_dr_r),
    [0x30] = OPCODE(OP_END, op_wrmsr, NULL),
    [0x31] = OPCODE(0, op_rdtsc, NULL),
    [0x32] = OPCODE(0, op_rdmsr, NULL),
    [0x33] = OPCODE(0, op_rdpmc, NULL),
    [0x34] = OPCODE(OP_END, op_sysenter, NULL),
    [0x35] = OPCODE(OP_END, op_sysexit, NULL),
    SIXTEEN(CMOV),
    SIXTEEN(JCCZ),
    SIXTEEN(SETCC),
    [0xa0] = OPCODE(OP_D64, op_push_seg, NULL),
    [0xa1] = OPCODE(OP_D64, op_pop_seg, NULL),
    [0xa2] = OPCODE(0, op_cpuid, NULL),
    [0xa3] = {.flags = OP_MODRM, .reg = V(bt, rr), .mem = V(bt, mr)},
    [0xa4] = {.flags = OP_MODRM | OP_IMM8, .reg = V(shld, ri), .mem = V(shld, mi)},
    [0xa5] = {.flags = OP_MODRM, .reg = V(shld, rc), .mem = V(shld, mc)},
    [0xa8] = OPCODE(OP_D64, op_push_seg, NULL),
    [0xa9] = OPCODE(OP_D64, op_pop_seg, NULL),
    [0xab] = {.flags = OP_MODRM | OP_LOCK, .reg = V(bts, rr), .mem = V(bts, mr)},
    [0xac] = {.flags = OP_MODRM | OP_IMM8, .reg = V(shrd, ri), .mem = V(shrd, mi)},
    [0xad] = {.flags = OP_MODRM, .reg = V(shrd, rc), .mem = V(shrd, mc)},
    [0xae] = {.flags = OP_GROUP | OP_MODRM, .sub = group15},
    [0xaf] = {.flags = OP_MODRM, .reg = V(imul, gr), .mem = V(imul, gm)},
    [0xb0] = {.flags = OP_MODRM | OP_BYTE | OP_LOCK, .reg = B(cmpxchg, rr), .mem = B(cmpxchg, mr)},
    [0xb1] = {.flags = OP_MODRM | OP_LOCK, .reg = V(cmpxchg, rr), .mem = V(cmpxchg, mr)},
    [0xb2] = OPCODE(OP_MODRM | OP_END, NULL, op_load_far_ptr),
    [0xb3] = {.flags = OP_MODRM | OP_LOCK, .reg = V(btr, rr), .mem = V(btr, mr)},
    [0xb4] = OPCODE(OP_MODRM, NULL, op_load_far_ptr),
    [0xb5] = OPCODE(OP_MODRM, NULL, op_load_far_ptr),
    [0xb6] = {.flags = OP_MODRM | OP_BYTE_RM, EXTEND(movzx, 8)},
    [0xb7] = {.flags = OP_MODRM, EXTEND(movzx, 16)},
    [0xb8] = {.flags = OP_MODRM | OP_PREFIX, .sub = popcnt},
    [0xba] = {.flags = OP_GROUP | OP_MODRM | OP_IMM8U, .sub = group8},
    [0xbb] = {.flags = OP_MODRM | OP_LOCK, .reg = V(btc, rr), .mem = V(btc, mr)},
    [0xbc] = {.flags = OP_MODRM, .reg = V(bsf, gr), .mem = V(bsf, gm)},
    [0xbd] = {.flags = OP_MODRM, .reg = V(bsr, gr), .mem = V(bsr, gm)},
    [0xbe] = {.flags = OP_MODRM | OP_BYTE_RM, EXTEND(movsx, 8)},
    [0xbf] = {.flags = OP_MODRM, EXTEND(movsx, 16)},
    [0xc0] = {.flags = OP_MODRM | OP_BYTE | OP_LOCK, .reg = B(xadd, rr), .mem = B(xadd, mr)},
    [0xc1] = {.flags = OP_MODRM | OP_LOCK, .reg = V(xadd, rr), .mem = V(xadd, mr)},
    [0xc7] = {.flags = OP_GROUP | OP_MODRM, .sub = group9},
    BSWAP(0),
    BSWAP(1),
    BSWAP(2),
    BSWAP(3),
    BSWAP(4),
    BSWAP(5),
    BSWAP(6),
    BSWAP(7),
    [0xff] = OPCODE(OP_MODRM, NULL, NULL), /* UD0 */
    [0xb9] = OPCODE(OP_MODRM, NULL, NULL), /* UD1 */
};

/* MOVBE and CRC32 share their opcodes: no prefix or 66 is MOVBE, F2 is CRC32. */
static const struct opcode f0[4] = {
    {.mem = V(movbe, gm)},
    {.mem = V(movbe, gm)},
    {0},
    {.flags = OP_BYTE_RM, .reg = FN3(op_crc32_8_r), .mem = FN3(op_crc32_8_m)},
};
static const struct opcode f1[4] = {
    {.mem = V(movbe, mr)},
    {.mem = V(movbe, mr)},
    {0},
    {.reg = {op_crc32_16_r, op_crc32_32_r, op_crc32_64_r}, .mem = {op_crc32_16_m, op_crc32_32_m, op_crc32_64_m}},
};
static const struct opcode invpcid[4] = {{0}, OPCODE(OP_END, NULL, op_invpcid), {0}, {0}};

const struct opcode int_0f38[256] = {
    [0x82] = {.flags = OP_MODRM | OP_PREFIX, .sub = invpcid},
    [0xf0] = {.flags = OP_MODRM | OP_PREFIX, .sub = f0},
    [0xf1] = {.flags = OP_MODRM | OP_PREFIX, .sub = f1},
};
