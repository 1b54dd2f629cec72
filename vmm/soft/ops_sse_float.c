/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SSE floating-point arithmetic, XMM to XMM. The host's own instruction computes: asm, because a compiler may commute
 * operands, which shows in the choice between two NaNs, and because MXCSR is an operand it doesn't know of. */
#include "vmm/soft/sse.h"
#include "vmm/soft/sse_list.h"

#define FP_OP(name, load, kind)                                                              \
	static inline void sem_##name(struct soft_cpu *cpu, const struct insn *i, __m128i s) \
	{                                                                                    \
		__m128i d = xmm_get(cpu, i->reg);                                            \
                                                                                             \
		FP_RUN(cpu, #name, d, s, kind);                                              \
		xmm_set(cpu, i->reg, d);                                                     \
	}                                                                                    \
	SSE_PAIR(name, sem_##name, load)

FP_ARITH_LIST(FP_OP)

/* --- ROUNDxx: the low four bits of the immediate --- */

#define ROUND_CASE(name, n)                                                   \
	case n:                                                               \
		__asm__ volatile(name " $" #n ", %1, %0" : "+x"(d) : "x"(s)); \
		break;
#define ROUND_OP(name, load)                                                              \
	static void sem_##name(struct soft_cpu *cpu, const struct insn *i, __m128i s)     \
	{                                                                                 \
		__m128i d = xmm_get(cpu, i->reg);                                         \
                                                                                          \
		sse_fp_enter(cpu);                                                        \
		switch (i->imm & 15) {                                                    \
			ROUND_CASE(#name, 0)                                              \
			ROUND_CASE(#name, 1)                                              \
			ROUND_CASE(#name, 2)                                              \
			ROUND_CASE(#name, 3)                                              \
			ROUND_CASE(#name, 4)                                              \
			ROUND_CASE(#name, 8)                                              \
			ROUND_CASE(#name, 9)                                              \
			ROUND_CASE(#name, 10)                                             \
			ROUND_CASE(#name, 11)                                             \
			ROUND_CASE(#name, 12)                                             \
			/* with bit 2 (rounding by MXCSR) the low two bits say nothing */ \
		case 5:                                                                   \
		case 6:                                                                   \
		case 7:                                                                   \
			__asm__ volatile(#name " $4, %1, %0" : "+x"(d) : "x"(s));         \
			break;                                                            \
		case 13:                                                                  \
		case 14:                                                                  \
		case 15:                                                                  \
			__asm__ volatile(#name " $12, %1, %0" : "+x"(d) : "x"(s));        \
			break;                                                            \
		}                                                                         \
		sse_fp_leave_none(cpu);                                                   \
		xmm_set(cpu, i->reg, d);                                                  \
	}                                                                                 \
	SSE_PAIR(name, sem_##name, load)

ROUND_OP(roundps, sse_ld128a)
ROUND_OP(roundpd, sse_ld128a)
ROUND_OP(roundss, sse_ld32)
ROUND_OP(roundsd, sse_ld64)

/* --- dot products: a multiplication and sums, each with its own exceptions (SDM 2A, DPPS, operation) --- */

/* Elements not selected become 0 * 0, which raises nothing and gives +0. */
static inline __m128i select_elements(__m128i v, unsigned bits, bool pd)
{
	__m128i bit = pd ? _mm_set_epi64x(2, 1) : _mm_set_epi32(8, 4, 2, 1);
	__m128i set = pd ? _mm_set1_epi64x(bits) : _mm_set1_epi32(bits);

	set = _mm_and_si128(set, bit);
	return _mm_and_si128(v, pd ? _mm_cmpeq_epi64(set, bit) : _mm_cmpeq_epi32(set, bit));
}

static void dpps(struct soft_cpu *cpu, const struct insn *i, __m128i s)
{
	unsigned from = i->imm >> 4 & 15, to = i->imm & 15;
	__m128i low = select_elements(xmm_get(cpu, i->reg), from, false), high;

	s = select_elements(s, from, false);
	FP_RUN(cpu, "mulps", low, s, FP_PS | FP_MUL);
	high = _mm_srli_si128(low, 8);
	s = _mm_srli_epi64(low, 32);
	FP_RUN(cpu, "addss", low, s, FP_SS | FP_ADD);
	s = _mm_srli_epi64(high, 32);
	FP_RUN(cpu, "addss", high, s, FP_SS | FP_ADD);
	FP_RUN(cpu, "addss", low, high, FP_SS | FP_ADD);
	xmm_set(cpu, i->reg, select_elements(_mm_shuffle_epi32(low, 0), to, false));
}
SSE_PAIR(dpps, dpps, sse_ld128a)

static void dppd(struct soft_cpu *cpu, const struct insn *i, __m128i s)
{
	unsigned from = i->imm >> 4 & 3, to = i->imm & 3;
	__m128i d = select_elements(xmm_get(cpu, i->reg), from, true);

	s = select_elements(s, from, true);
	FP_RUN(cpu, "mulpd", d, s, FP_PD | FP_MUL);
	s = _mm_srli_si128(d, 8);
	FP_RUN(cpu, "addsd", d, s, FP_SD | FP_ADD);
	xmm_set(cpu, i->reg, select_elements(_mm_unpacklo_epi64(d, d), to, true));
}
SSE_PAIR(dppd, dppd, sse_ld128a)
