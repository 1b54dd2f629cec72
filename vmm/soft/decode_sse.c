/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The opcode maps of MMX and SSE to SSE4.2 (SDM 2D, appendix A). What isn't named raises #UD.
 * The hints among them (PREFETCHx) are in decode_0f.c. */
#include "vmm/soft/decode.h"
#include "vmm/soft/sse_list.h"

/* One entry by mandatory prefix. */
#define BY_PREFIX(none, p66, pf3, pf2)                                         \
	{                                                                      \
		.flags = OP_PREFIX | OP_MODRM, .sub = (const struct opcode[4]) \
		{                                                              \
			none, p66, pf3, pf2                                    \
		}                                                              \
	}

/* Register and memory form, SSE (X_) and MMX (M_); only one form; with an immediate byte. */
#define NONE      OPCODE(OP_MODRM, NULL, NULL)
#define X_(n)     OPCODE(OP_MODRM, sse_##n##_r, sse_##n##_m)
#define M_(n)     OPCODE(OP_MODRM, mmx_##n##_r, mmx_##n##_m)
#define X_I(n)    OPCODE(OP_MODRM | OP_IMM8U, sse_##n##_r, sse_##n##_m)
#define M_I(n)    OPCODE(OP_MODRM | OP_IMM8U, mmx_##n##_r, mmx_##n##_m)
#define RM_(r, m) OPCODE(OP_MODRM, r, m)
#define R_(f)     OPCODE(OP_MODRM, f, NULL)
#define R_I(f)    OPCODE(OP_MODRM | OP_IMM8U, f, NULL)
#define MEM_(f)   OPCODE(OP_MODRM, NULL, f)
#define SHIFTS(subs)                                                 \
	{                                                            \
		.flags = OP_GROUP | OP_MODRM | OP_IMM8U, .sub = subs \
	}

/* The forms most rows have. */
#define MMX_SSE(n) BY_PREFIX(M_(n), X_(n), NONE, NONE)
#define SSE_66(n)  BY_PREFIX(NONE, X_(n), NONE, NONE)
#define SSE_66I(n) BY_PREFIX(NONE, X_I(n), NONE, NONE)
#define FLOAT4(n)  BY_PREFIX(X_(n##ps), X_(n##pd), X_(n##ss), X_(n##sd))

/* 0F 71, 72, 73 by ModRM.reg */
static const struct opcode mmx_shift_w[8] = {
    [2] = R_I(mmx_psrlw_imm),
    [4] = R_I(mmx_psraw_imm),
    [6] = R_I(mmx_psllw_imm),
};
static const struct opcode sse_shift_w[8] = {
    [2] = R_I(sse_psrlw_imm),
    [4] = R_I(sse_psraw_imm),
    [6] = R_I(sse_psllw_imm),
};
static const struct opcode mmx_shift_d[8] = {
    [2] = R_I(mmx_psrld_imm),
    [4] = R_I(mmx_psrad_imm),
    [6] = R_I(mmx_pslld_imm),
};
static const struct opcode sse_shift_d[8] = {
    [2] = R_I(sse_psrld_imm),
    [4] = R_I(sse_psrad_imm),
    [6] = R_I(sse_pslld_imm),
};
static const struct opcode mmx_shift_q[8] = {
    [2] = R_I(mmx_psrlq_imm),
    [6] = R_I(mmx_psllq_imm),
};
static const struct opcode sse_shift_q[8] = {
    [2] = R_I(sse_psrlq_imm),
    [3] = R_I(sse_psrldq_imm),
    [6] = R_I(sse_psllq_imm),
    [7] = R_I(sse_pslldq_imm),
};

const struct opcode sse_0f[256] = {
    [0x10] = BY_PREFIX(RM_(sse_mov_r, sse_movu_ld), RM_(sse_mov_r, sse_movu_ld), X_(movss), X_(movsd)),
    [0x11] = BY_PREFIX(RM_(sse_mov_st_r, sse_movu_st), RM_(sse_mov_st_r, sse_movu_st),
		       RM_(sse_movss_st_r, sse_movss_st), RM_(sse_movsd_st_r, sse_movlp_st)),
    [0x12] = BY_PREFIX(RM_(sse_movhlps, sse_movlp_ld), MEM_(sse_movlp_ld), X_(movsldup), X_(movddup)),
    [0x13] = BY_PREFIX(MEM_(sse_movlp_st), MEM_(sse_movlp_st), NONE, NONE),
    [0x14] = BY_PREFIX(X_(punpckldq), X_(punpcklqdq), NONE, NONE),
    [0x15] = BY_PREFIX(X_(punpckhdq), X_(punpckhqdq), NONE, NONE),
    [0x16] = BY_PREFIX(RM_(sse_movlhps, sse_movhp_ld), MEM_(sse_movhp_ld), X_(movshdup), NONE),
    [0x17] = BY_PREFIX(MEM_(sse_movhp_st), MEM_(sse_movhp_st), NONE, NONE),
    [0x28] = BY_PREFIX(RM_(sse_mov_r, sse_mova_ld), RM_(sse_mov_r, sse_mova_ld), NONE, NONE),
    [0x29] = BY_PREFIX(RM_(sse_mov_st_r, sse_mova_st), RM_(sse_mov_st_r, sse_mova_st), NONE, NONE),
    [0x2a] = BY_PREFIX(X_(cvtpi2ps), X_(cvtpi2pd), X_(cvtsi2ss), X_(cvtsi2sd)),
    [0x2b] = BY_PREFIX(MEM_(sse_mova_st), MEM_(sse_mova_st), NONE, NONE),
    [0x2c] = BY_PREFIX(X_(cvttps2pi), X_(cvttpd2pi), X_(cvttss2si), X_(cvttsd2si)),
    [0x2d] = BY_PREFIX(X_(cvtps2pi), X_(cvtpd2pi), X_(cvtss2si), X_(cvtsd2si)),
    [0x2e] = BY_PREFIX(X_(ucomiss), X_(ucomisd), NONE, NONE),
    [0x2f] = BY_PREFIX(X_(comiss), X_(comisd), NONE, NONE),
    [0x50] = BY_PREFIX(R_(sse_movmskps), R_(sse_movmskpd), NONE, NONE),
    [0x51] = FLOAT4(sqrt),
    [0x52] = BY_PREFIX(X_(rsqrtps), NONE, X_(rsqrtss), NONE),
    [0x53] = BY_PREFIX(X_(rcpps), NONE, X_(rcpss), NONE),
    [0x54] = BY_PREFIX(X_(pand), X_(pand), NONE, NONE),
    [0x55] = BY_PREFIX(X_(pandn), X_(pandn), NONE, NONE),
    [0x56] = BY_PREFIX(X_(por), X_(por), NONE, NONE),
    [0x57] = BY_PREFIX(X_(pxor), X_(pxor), NONE, NONE),
    [0x58] = FLOAT4(add),
    [0x59] = FLOAT4(mul),
    [0x5a] = BY_PREFIX(X_(cvtps2pd), X_(cvtpd2ps), X_(cvtss2sd), X_(cvtsd2ss)),
    [0x5b] = BY_PREFIX(X_(cvtdq2ps), X_(cvtps2dq), X_(cvttps2dq), NONE),
    [0x5c] = FLOAT4(sub),
    [0x5d] = FLOAT4(min),
    [0x5e] = FLOAT4(div),
    [0x5f] = FLOAT4(max),
    [0x60] = MMX_SSE(punpcklbw),
    [0x61] = MMX_SSE(punpcklwd),
    [0x62] = MMX_SSE(punpckldq),
    [0x63] = MMX_SSE(packsswb),
    [0x64] = MMX_SSE(pcmpgtb),
    [0x65] = MMX_SSE(pcmpgtw),
    [0x66] = MMX_SSE(pcmpgtd),
    [0x67] = MMX_SSE(packuswb),
    [0x68] = MMX_SSE(punpckhbw),
    [0x69] = MMX_SSE(punpckhwd),
    [0x6a] = MMX_SSE(punpckhdq),
    [0x6b] = MMX_SSE(packssdw),
    [0x6c] = SSE_66(punpcklqdq),
    [0x6d] = SSE_66(punpckhqdq),
    [0x6e] = BY_PREFIX(M_(movd), X_(movd), NONE, NONE),
    [0x6f] = BY_PREFIX(M_(movq), RM_(sse_mov_r, sse_mova_ld), RM_(sse_mov_r, sse_movu_ld), NONE),
    [0x70] = BY_PREFIX(M_I(pshufw), X_I(pshufd), X_I(pshufhw), X_I(pshuflw)),
    [0x71] = BY_PREFIX(SHIFTS(mmx_shift_w), SHIFTS(sse_shift_w), NONE, NONE),
    [0x72] = BY_PREFIX(SHIFTS(mmx_shift_d), SHIFTS(sse_shift_d), NONE, NONE),
    [0x73] = BY_PREFIX(SHIFTS(mmx_shift_q), SHIFTS(sse_shift_q), NONE, NONE),
    [0x74] = MMX_SSE(pcmpeqb),
    [0x75] = MMX_SSE(pcmpeqw),
    [0x76] = MMX_SSE(pcmpeqd),
    [0x77] = {.flags = OP_PREFIX, .sub = (const struct opcode[4]){OPCODE(0, mmx_emms, NULL)}},
    [0x7c] = BY_PREFIX(NONE, X_(haddpd), NONE, X_(haddps)),
    [0x7d] = BY_PREFIX(NONE, X_(hsubpd), NONE, X_(hsubps)),
    [0x7e] = BY_PREFIX(M_(movd_st), X_(movd_st), X_(movq), NONE),
    [0x7f] = BY_PREFIX(M_(movq_st), RM_(sse_mov_st_r, sse_mova_st), RM_(sse_mov_st_r, sse_movu_st), NONE),
    [0xc2] = BY_PREFIX(X_I(cmpps), X_I(cmppd), X_I(cmpss), X_I(cmpsd)),
    [0xc3] = BY_PREFIX(MEM_(sse_movnti), NONE, NONE, NONE),
    [0xc4] = BY_PREFIX(M_I(pinsrw), X_I(pinsrw), NONE, NONE),
    [0xc5] = BY_PREFIX(R_I(mmx_pextrw_reg), R_I(sse_pextrw_reg), NONE, NONE),
    [0xc6] = BY_PREFIX(X_I(shufps), X_I(shufpd), NONE, NONE),
    [0xd0] = BY_PREFIX(NONE, X_(addsubpd), NONE, X_(addsubps)),
    [0xd1] = MMX_SSE(psrlw),
    [0xd2] = MMX_SSE(psrld),
    [0xd3] = MMX_SSE(psrlq),
    [0xd4] = MMX_SSE(paddq),
    [0xd5] = MMX_SSE(pmullw),
    [0xd6] = BY_PREFIX(NONE, RM_(sse_movq_st_r, sse_movlp_st), R_(sse_movq2dq), R_(sse_movdq2q)),
    [0xd7] = BY_PREFIX(R_(mmx_pmovmskb), R_(sse_pmovmskb), NONE, NONE),
    [0xd8] = MMX_SSE(psubusb),
    [0xd9] = MMX_SSE(psubusw),
    [0xda] = MMX_SSE(pminub),
    [0xdb] = MMX_SSE(pand),
    [0xdc] = MMX_SSE(paddusb),
    [0xdd] = MMX_SSE(paddusw),
    [0xde] = MMX_SSE(pmaxub),
    [0xdf] = MMX_SSE(pandn),
    [0xe0] = MMX_SSE(pavgb),
    [0xe1] = MMX_SSE(psraw),
    [0xe2] = MMX_SSE(psrad),
    [0xe3] = MMX_SSE(pavgw),
    [0xe4] = MMX_SSE(pmulhuw),
    [0xe5] = MMX_SSE(pmulhw),
    [0xe6] = BY_PREFIX(NONE, X_(cvttpd2dq), X_(cvtdq2pd), X_(cvtpd2dq)),
    [0xe7] = BY_PREFIX(MEM_(mmx_movntq), MEM_(sse_mova_st), NONE, NONE),
    [0xe8] = MMX_SSE(psubsb),
    [0xe9] = MMX_SSE(psubsw),
    [0xea] = MMX_SSE(pminsw),
    [0xeb] = MMX_SSE(por),
    [0xec] = MMX_SSE(paddsb),
    [0xed] = MMX_SSE(paddsw),
    [0xee] = MMX_SSE(pmaxsw),
    [0xef] = MMX_SSE(pxor),
    [0xf0] = BY_PREFIX(NONE, NONE, NONE, MEM_(sse_movu_ld)),
    [0xf1] = MMX_SSE(psllw),
    [0xf2] = MMX_SSE(pslld),
    [0xf3] = MMX_SSE(psllq),
    [0xf4] = MMX_SSE(pmuludq),
    [0xf5] = MMX_SSE(pmaddwd),
    [0xf6] = MMX_SSE(psadbw),
    [0xf7] = BY_PREFIX(R_(mmx_maskmovq), R_(sse_maskmovdqu), NONE, NONE),
    [0xf8] = MMX_SSE(psubb),
    [0xf9] = MMX_SSE(psubw),
    [0xfa] = MMX_SSE(psubd),
    [0xfb] = MMX_SSE(psubq),
    [0xfc] = MMX_SSE(paddb),
    [0xfd] = MMX_SSE(paddw),
    [0xfe] = MMX_SSE(paddd),
};

const struct opcode sse_0f38[256] = {
    [0x00] = MMX_SSE(pshufb),    [0x01] = MMX_SSE(phaddw),
    [0x02] = MMX_SSE(phaddd),    [0x03] = MMX_SSE(phaddsw),
    [0x04] = MMX_SSE(pmaddubsw), [0x05] = MMX_SSE(phsubw),
    [0x06] = MMX_SSE(phsubd),    [0x07] = MMX_SSE(phsubsw),
    [0x08] = MMX_SSE(psignb),    [0x09] = MMX_SSE(psignw),
    [0x0a] = MMX_SSE(psignd),    [0x0b] = MMX_SSE(pmulhrsw),
    [0x10] = SSE_66(pblendvb),   [0x14] = SSE_66(blendvps),
    [0x15] = SSE_66(blendvpd),   [0x17] = SSE_66(ptest),
    [0x1c] = MMX_SSE(pabsb),     [0x1d] = MMX_SSE(pabsw),
    [0x1e] = MMX_SSE(pabsd),     [0x20] = SSE_66(pmovsxbw),
    [0x21] = SSE_66(pmovsxbd),   [0x22] = SSE_66(pmovsxbq),
    [0x23] = SSE_66(pmovsxwd),   [0x24] = SSE_66(pmovsxwq),
    [0x25] = SSE_66(pmovsxdq),   [0x28] = SSE_66(pmuldq),
    [0x29] = SSE_66(pcmpeqq),    [0x2a] = BY_PREFIX(NONE, MEM_(sse_mova_ld), NONE, NONE),
    [0x2b] = SSE_66(packusdw),   [0x30] = SSE_66(pmovzxbw),
    [0x31] = SSE_66(pmovzxbd),   [0x32] = SSE_66(pmovzxbq),
    [0x33] = SSE_66(pmovzxwd),   [0x34] = SSE_66(pmovzxwq),
    [0x35] = SSE_66(pmovzxdq),   [0x37] = SSE_66(pcmpgtq),
    [0x38] = SSE_66(pminsb),     [0x39] = SSE_66(pminsd),
    [0x3a] = SSE_66(pminuw),     [0x3b] = SSE_66(pminud),
    [0x3c] = SSE_66(pmaxsb),     [0x3d] = SSE_66(pmaxsd),
    [0x3e] = SSE_66(pmaxuw),     [0x3f] = SSE_66(pmaxud),
    [0x40] = SSE_66(pmulld),     [0x41] = SSE_66(phminposuw),
};

const struct opcode sse_0f3a[256] = {
    [0x08] = SSE_66I(roundps),   [0x09] = SSE_66I(roundpd),
    [0x0a] = SSE_66I(roundss),   [0x0b] = SSE_66I(roundsd),
    [0x0c] = SSE_66I(blendps),   [0x0d] = SSE_66I(blendpd),
    [0x0e] = SSE_66I(pblendw),   [0x0f] = BY_PREFIX(M_I(palignr), X_I(palignr), NONE, NONE),
    [0x14] = SSE_66I(pextrb),    [0x15] = SSE_66I(pextrw),
    [0x16] = SSE_66I(pextrd),    [0x17] = SSE_66I(extractps),
    [0x20] = SSE_66I(pinsrb),    [0x21] = SSE_66I(insertps),
    [0x22] = SSE_66I(pinsrd),    [0x40] = SSE_66I(dpps),
    [0x41] = SSE_66I(dppd),      [0x42] = SSE_66I(mpsadbw),
    [0x60] = SSE_66I(pcmpestrm), [0x61] = SSE_66I(pcmpestri),
    [0x62] = SSE_66I(pcmpistrm), [0x63] = SSE_66I(pcmpistri),
};
