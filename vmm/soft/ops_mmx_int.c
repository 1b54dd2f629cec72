/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Integer arithmetic on MMX registers, computed in the low halves of XMM values: the host's own MMX registers are
 * never touched, since they alias its x87 stack. */
#include "vmm/soft/sse.h"
#include "vmm/soft/sse_list.h"

#define MMX_SEM(name, expr)                                                              \
	static inline void sem_##name(struct soft_cpu *cpu, const struct insn *i, u64 v) \
	{                                                                                \
		__m128i d = mmx_vec(mmx_get(cpu, i->reg)), s = mmx_vec(v);               \
                                                                                         \
		(void)d;                                                                 \
		mmx_result(cpu, i, mmx_low(expr));                                       \
	}
#define MMX_OP(name, expr)  \
	MMX_SEM(name, expr) \
	MMX_PAIR(name, sem_##name, mem_ld64)
#define MMX_SPLIT(name, xmm_expr, expr) MMX_OP(name, expr)
#define MMX_UNPACK_LOW(name, expr) \
	MMX_SEM(name, expr)        \
	MMX_PAIR(name, sem_##name, mem_ld32)

INT_LIST(MMX_OP)
INT_SPLIT_LIST(MMX_SPLIT)
INT_UNPACK_LOW_LIST(MMX_UNPACK_LOW)

/* --- shifts by an immediate; the destination is ModRM.rm --- */

#define SHIFT(name, expr)                                                 \
	void mmx_##name##_imm(struct soft_cpu *cpu, const struct insn *i) \
	{                                                                 \
		__m128i d = mmx_vec(mmx_get(cpu, i->rm));                 \
		__m128i s = _mm_cvtsi32_si128(i->imm & 0xff);             \
                                                                          \
		mmx_check(cpu);                                           \
		x87_enter_mmx(cpu);                                       \
		x87_set_mmx(cpu, i->rm, mmx_low(expr));                   \
	}
SHIFT(psllw, _mm_sll_epi16(d, s))
SHIFT(pslld, _mm_sll_epi32(d, s))
SHIFT(psllq, _mm_sll_epi64(d, s))
SHIFT(psrlw, _mm_srl_epi16(d, s))
SHIFT(psrld, _mm_srl_epi32(d, s))
SHIFT(psrlq, _mm_srl_epi64(d, s))
SHIFT(psraw, _mm_sra_epi16(d, s))
SHIFT(psrad, _mm_sra_epi32(d, s))
