/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The regular MMX and SSE instructions by shape: one line each with its semantics, from which the handlers
 * (ops_mmx_*.c, ops_sse_*.c) and their declarations (at the end) are generated. d is the destination as first
 * source, s the second source. */
#ifndef VMM_SOFT_SSE_LIST_H
#define VMM_SOFT_SSE_LIST_H

#include "vmm/soft/decode.h"

/* Integer, one expression for both widths: the MMX form is the low half of the XMM form. X(name, expression) */
#define INT_LIST(X)                           \
	X(paddb, _mm_add_epi8(d, s))          \
	X(paddw, _mm_add_epi16(d, s))         \
	X(paddd, _mm_add_epi32(d, s))         \
	X(paddq, _mm_add_epi64(d, s))         \
	X(psubb, _mm_sub_epi8(d, s))          \
	X(psubw, _mm_sub_epi16(d, s))         \
	X(psubd, _mm_sub_epi32(d, s))         \
	X(psubq, _mm_sub_epi64(d, s))         \
	X(paddsb, _mm_adds_epi8(d, s))        \
	X(paddsw, _mm_adds_epi16(d, s))       \
	X(paddusb, _mm_adds_epu8(d, s))       \
	X(paddusw, _mm_adds_epu16(d, s))      \
	X(psubsb, _mm_subs_epi8(d, s))        \
	X(psubsw, _mm_subs_epi16(d, s))       \
	X(psubusb, _mm_subs_epu8(d, s))       \
	X(psubusw, _mm_subs_epu16(d, s))      \
	X(pmullw, _mm_mullo_epi16(d, s))      \
	X(pmulhw, _mm_mulhi_epi16(d, s))      \
	X(pmulhuw, _mm_mulhi_epu16(d, s))     \
	X(pmuludq, _mm_mul_epu32(d, s))       \
	X(pmaddwd, _mm_madd_epi16(d, s))      \
	X(pmaddubsw, _mm_maddubs_epi16(d, s)) \
	X(pmulhrsw, _mm_mulhrs_epi16(d, s))   \
	X(psadbw, _mm_sad_epu8(d, s))         \
	X(pavgb, _mm_avg_epu8(d, s))          \
	X(pavgw, _mm_avg_epu16(d, s))         \
	X(pminub, _mm_min_epu8(d, s))         \
	X(pmaxub, _mm_max_epu8(d, s))         \
	X(pminsw, _mm_min_epi16(d, s))        \
	X(pmaxsw, _mm_max_epi16(d, s))        \
	X(pcmpeqb, _mm_cmpeq_epi8(d, s))      \
	X(pcmpeqw, _mm_cmpeq_epi16(d, s))     \
	X(pcmpeqd, _mm_cmpeq_epi32(d, s))     \
	X(pcmpgtb, _mm_cmpgt_epi8(d, s))      \
	X(pcmpgtw, _mm_cmpgt_epi16(d, s))     \
	X(pcmpgtd, _mm_cmpgt_epi32(d, s))     \
	X(pand, _mm_and_si128(d, s))          \
	X(pandn, _mm_andnot_si128(d, s))      \
	X(por, _mm_or_si128(d, s))            \
	X(pxor, _mm_xor_si128(d, s))          \
	X(psllw, _mm_sll_epi16(d, s))         \
	X(pslld, _mm_sll_epi32(d, s))         \
	X(psllq, _mm_sll_epi64(d, s))         \
	X(psrlw, _mm_srl_epi16(d, s))         \
	X(psrld, _mm_srl_epi32(d, s))         \
	X(psrlq, _mm_srl_epi64(d, s))         \
	X(psraw, _mm_sra_epi16(d, s))         \
	X(psrad, _mm_sra_epi32(d, s))         \
	X(pabsb, _mm_abs_epi8(s))             \
	X(pabsw, _mm_abs_epi16(s))            \
	X(pabsd, _mm_abs_epi32(s))            \
	X(psignb, _mm_sign_epi8(d, s))        \
	X(psignw, _mm_sign_epi16(d, s))       \
	X(psignd, _mm_sign_epi32(d, s))

/* Both operands' MMX halves side by side, for the operations that gather from all of both. */
#define MMX_BOTH _mm_unpacklo_epi64(d, s)
/* Integer, where the MMX form needs an expression of its own. X(name, XMM expression, MMX expression) */
#define INT_SPLIT_LIST(X)                                                                   \
	X(packsswb, _mm_packs_epi16(d, s), _mm_packs_epi16(MMX_BOTH, s))                    \
	X(packuswb, _mm_packus_epi16(d, s), _mm_packus_epi16(MMX_BOTH, s))                  \
	X(packssdw, _mm_packs_epi32(d, s), _mm_packs_epi32(MMX_BOTH, s))                    \
	X(punpckhbw, _mm_unpackhi_epi8(d, s), _mm_srli_si128(_mm_unpacklo_epi8(d, s), 8))   \
	X(punpckhwd, _mm_unpackhi_epi16(d, s), _mm_srli_si128(_mm_unpacklo_epi16(d, s), 8)) \
	X(punpckhdq, _mm_unpackhi_epi32(d, s), _mm_srli_si128(_mm_unpacklo_epi32(d, s), 8)) \
	X(phaddw, _mm_hadd_epi16(d, s), _mm_hadd_epi16(MMX_BOTH, s))                        \
	X(phaddd, _mm_hadd_epi32(d, s), _mm_hadd_epi32(MMX_BOTH, s))                        \
	X(phaddsw, _mm_hadds_epi16(d, s), _mm_hadds_epi16(MMX_BOTH, s))                     \
	X(phsubw, _mm_hsub_epi16(d, s), _mm_hsub_epi16(MMX_BOTH, s))                        \
	X(phsubd, _mm_hsub_epi32(d, s), _mm_hsub_epi32(MMX_BOTH, s))                        \
	X(phsubsw, _mm_hsubs_epi16(d, s), _mm_hsubs_epi16(MMX_BOTH, s))                     \
	X(pshufb, _mm_shuffle_epi8(d, s), _mm_shuffle_epi8(d, _mm_and_si128(s, _mm_set1_epi8((char)0x87))))

/* As INT_LIST, but the MMX form reads only 32 bits of memory. */
#define INT_UNPACK_LOW_LIST(X)                 \
	X(punpcklbw, _mm_unpacklo_epi8(d, s))  \
	X(punpcklwd, _mm_unpacklo_epi16(d, s)) \
	X(punpckldq, _mm_unpacklo_epi32(d, s))

/* Integer and shuffles, XMM only. The float forms of unpacking are here too: they look at no value. */
#define INT_XMM_LIST(X)                         \
	X(punpcklqdq, _mm_unpacklo_epi64(d, s)) \
	X(punpckhqdq, _mm_unpackhi_epi64(d, s)) \
	X(packusdw, _mm_packus_epi32(d, s))     \
	X(pmuldq, _mm_mul_epi32(d, s))          \
	X(pmulld, _mm_mullo_epi32(d, s))        \
	X(pcmpeqq, _mm_cmpeq_epi64(d, s))       \
	X(pcmpgtq, _mm_cmpgt_epi64(d, s))       \
	X(pminsb, _mm_min_epi8(d, s))           \
	X(pminsd, _mm_min_epi32(d, s))          \
	X(pminuw, _mm_min_epu16(d, s))          \
	X(pminud, _mm_min_epu32(d, s))          \
	X(pmaxsb, _mm_max_epi8(d, s))           \
	X(pmaxsd, _mm_max_epi32(d, s))          \
	X(pmaxuw, _mm_max_epu16(d, s))          \
	X(pmaxud, _mm_max_epu32(d, s))          \
	X(phminposuw, _mm_minpos_epu16(s))

/* Widening moves. X(name, loader of the memory form, expression) */
#define INT_WIDEN_LIST(X)                            \
	X(pmovsxbw, sse_ld64, _mm_cvtepi8_epi16(s))  \
	X(pmovsxbd, sse_ld32, _mm_cvtepi8_epi32(s))  \
	X(pmovsxbq, sse_ld16, _mm_cvtepi8_epi64(s))  \
	X(pmovsxwd, sse_ld64, _mm_cvtepi16_epi32(s)) \
	X(pmovsxwq, sse_ld32, _mm_cvtepi16_epi64(s)) \
	X(pmovsxdq, sse_ld64, _mm_cvtepi32_epi64(s)) \
	X(pmovzxbw, sse_ld64, _mm_cvtepu8_epi16(s))  \
	X(pmovzxbd, sse_ld32, _mm_cvtepu8_epi32(s))  \
	X(pmovzxbq, sse_ld16, _mm_cvtepu8_epi64(s))  \
	X(pmovzxwd, sse_ld64, _mm_cvtepu16_epi32(s)) \
	X(pmovzxwq, sse_ld32, _mm_cvtepu16_epi64(s)) \
	X(pmovzxdq, sse_ld64, _mm_cvtepu32_epi64(s))

/* Floating point, XMM to XMM. X(name, loader of the memory form, enum fp_kind) */
#define FP_BY_WIDTH(X, name, op)            \
	X(name##ss, sse_ld32, FP_SS | op)   \
	X(name##ps, sse_ld128a, FP_PS | op) \
	X(name##sd, sse_ld64, FP_SD | op)   \
	X(name##pd, sse_ld128a, FP_PD | op)
#define FP_ARITH_LIST(X)                           \
	FP_BY_WIDTH(X, add, FP_ADD)                \
	FP_BY_WIDTH(X, sub, FP_SUB)                \
	FP_BY_WIDTH(X, mul, FP_MUL)                \
	FP_BY_WIDTH(X, div, FP_DIV)                \
	FP_BY_WIDTH(X, min, FP_NONE)               \
	FP_BY_WIDTH(X, max, FP_NONE)               \
	FP_BY_WIDTH(X, sqrt, FP_NONE)              \
	X(addsubps, sse_ld128a, FP_PS | FP_ADDSUB) \
	X(addsubpd, sse_ld128a, FP_PD | FP_ADDSUB) \
	X(haddps, sse_ld128a, FP_PS | FP_HADD)     \
	X(haddpd, sse_ld128a, FP_PD | FP_HADD)     \
	X(hsubps, sse_ld128a, FP_PS | FP_HSUB)     \
	X(hsubpd, sse_ld128a, FP_PD | FP_HSUB)
#define FP_CONVERT_LIST(X)                         \
	X(cvtps2pd, sse_ld64, FP_NONE)             \
	X(cvtpd2ps, sse_ld128a, FP_PS | FP_NARROW) \
	X(cvtss2sd, sse_ld32, FP_NONE)             \
	X(cvtsd2ss, sse_ld64, FP_SS | FP_NARROW)   \
	X(cvtdq2ps, sse_ld128a, FP_NONE)           \
	X(cvtps2dq, sse_ld128a, FP_NONE)           \
	X(cvttps2dq, sse_ld128a, FP_NONE)          \
	X(cvtdq2pd, sse_ld64, FP_NONE)             \
	X(cvtpd2dq, sse_ld128a, FP_NONE)           \
	X(cvttpd2dq, sse_ld128a, FP_NONE)

/* --- declarations --- */

#define DECL_SSE_PAIR(name)    insn_fn sse_##name##_r, sse_##name##_m;
#define DECL_MMX_PAIR(name)    insn_fn mmx_##name##_r, mmx_##name##_m;
#define DECL_SSE2(name, a)     DECL_SSE_PAIR(name)
#define DECL_SSE3(name, a, b)  DECL_SSE_PAIR(name)
#define DECL_BOTH2(name, a)    DECL_SSE_PAIR(name) DECL_MMX_PAIR(name)
#define DECL_BOTH3(name, a, b) DECL_SSE_PAIR(name) DECL_MMX_PAIR(name)

INT_LIST(DECL_BOTH2)
INT_SPLIT_LIST(DECL_BOTH3)
INT_UNPACK_LOW_LIST(DECL_BOTH2)
INT_XMM_LIST(DECL_SSE2)
INT_WIDEN_LIST(DECL_SSE3)
FP_ARITH_LIST(DECL_SSE3)
FP_CONVERT_LIST(DECL_SSE3)

/* Irregular ones: register and memory form, */
#define SSE_RM(name) sse_##name##_r, sse_##name##_m
#define MMX_RM(name) mmx_##name##_r, mmx_##name##_m
insn_fn SSE_RM(movss), SSE_RM(movsd), SSE_RM(movddup), SSE_RM(movshdup), SSE_RM(movsldup), SSE_RM(movq), SSE_RM(movd),
    SSE_RM(movd_st), SSE_RM(shufps), SSE_RM(shufpd), SSE_RM(pshufd), SSE_RM(pshufhw), SSE_RM(pshuflw), SSE_RM(palignr),
    SSE_RM(insertps), SSE_RM(extractps), SSE_RM(blendps), SSE_RM(blendpd), SSE_RM(pblendw), SSE_RM(blendvps),
    SSE_RM(blendvpd), SSE_RM(pblendvb), SSE_RM(mpsadbw), SSE_RM(ptest), SSE_RM(pinsrb), SSE_RM(pinsrw), SSE_RM(pinsrd),
    SSE_RM(pextrb), SSE_RM(pextrw), SSE_RM(pextrd), SSE_RM(cmpps), SSE_RM(cmppd), SSE_RM(cmpss), SSE_RM(cmpsd),
    SSE_RM(comiss), SSE_RM(comisd), SSE_RM(ucomiss), SSE_RM(ucomisd), SSE_RM(roundps), SSE_RM(roundpd), SSE_RM(roundss),
    SSE_RM(roundsd), SSE_RM(dpps), SSE_RM(dppd), SSE_RM(cvtsi2ss), SSE_RM(cvtsi2sd), SSE_RM(cvtss2si),
    SSE_RM(cvttss2si), SSE_RM(cvtsd2si), SSE_RM(cvttsd2si), SSE_RM(cvtpi2ps), SSE_RM(cvtpi2pd), SSE_RM(cvtps2pi),
    SSE_RM(cvttps2pi), SSE_RM(cvtpd2pi), SSE_RM(cvttpd2pi), SSE_RM(rcpps), SSE_RM(rcpss), SSE_RM(rsqrtps),
    SSE_RM(rsqrtss), SSE_RM(pcmpestrm), SSE_RM(pcmpestri), SSE_RM(pcmpistrm), SSE_RM(pcmpistri);
insn_fn MMX_RM(movd), MMX_RM(movd_st), MMX_RM(movq), MMX_RM(movq_st), MMX_RM(pshufw), MMX_RM(pinsrw), MMX_RM(palignr);
/* one form only, */
insn_fn sse_mov_r, sse_mova_ld, sse_movu_ld, sse_mov_st_r, sse_mova_st, sse_movu_st, sse_movhlps, sse_movlhps,
    sse_movlp_ld, sse_movhp_ld, sse_movlp_st, sse_movhp_st, sse_movss_st_r, sse_movss_st, sse_movsd_st_r, sse_movq_st_r,
    sse_movnti, sse_maskmovdqu, sse_movmskps, sse_movmskpd, sse_pmovmskb, sse_pextrw_reg, sse_pslldq_imm,
    sse_psrldq_imm, sse_movq2dq, sse_movdq2q;
insn_fn mmx_pmovmskb, mmx_pextrw_reg, mmx_maskmovq, mmx_movntq, mmx_emms;
/* shifts by an immediate. */
insn_fn sse_psllw_imm, sse_pslld_imm, sse_psllq_imm, sse_psrlw_imm, sse_psrld_imm, sse_psrlq_imm, sse_psraw_imm,
    sse_psrad_imm;
insn_fn mmx_psllw_imm, mmx_pslld_imm, mmx_psllq_imm, mmx_psrlw_imm, mmx_psrld_imm, mmx_psrlq_imm, mmx_psraw_imm,
    mmx_psrad_imm;

#endif
