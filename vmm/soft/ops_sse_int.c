/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Integer arithmetic on XMM registers: the instructions that are one line each in sse_list.h. */
#include "vmm/soft/sse.h"
#include "vmm/soft/sse_list.h"

#define XMM_OP(name, expr)                                                                   \
	static inline void sem_##name(struct soft_cpu *cpu, const struct insn *i, __m128i s) \
	{                                                                                    \
		__m128i d = xmm_get(cpu, i->reg);                                            \
                                                                                             \
		(void)d;                                                                     \
		xmm_set(cpu, i->reg, expr);                                                  \
	}                                                                                    \
	SSE_PAIR(name, sem_##name, sse_ld128a)

#define XMM_SPLIT(name, expr, mmx_expr) XMM_OP(name, expr)

INT_LIST(XMM_OP)
INT_SPLIT_LIST(XMM_SPLIT)
INT_UNPACK_LOW_LIST(XMM_OP)
INT_XMM_LIST(XMM_OP)

/* --- shifts by an immediate; the destination is ModRM.rm --- */

#define SHIFT(name, expr)                                                 \
	void sse_##name##_imm(struct soft_cpu *cpu, const struct insn *i) \
	{                                                                 \
		__m128i d = xmm_get(cpu, i->rm);                          \
		__m128i s = _mm_cvtsi32_si128(i->imm & 0xff);             \
                                                                          \
		sse_check(cpu);                                           \
		xmm_set(cpu, i->rm, expr);                                \
	}
SHIFT(psllw, _mm_sll_epi16(d, s))
SHIFT(pslld, _mm_sll_epi32(d, s))
SHIFT(psllq, _mm_sll_epi64(d, s))
SHIFT(psrlw, _mm_srl_epi16(d, s))
SHIFT(psrld, _mm_srl_epi32(d, s))
SHIFT(psrlq, _mm_srl_epi64(d, s))
SHIFT(psraw, _mm_sra_epi16(d, s))
SHIFT(psrad, _mm_sra_epi32(d, s))

/* By bytes: a window of 16 over the register between zeros. */
static void shift_bytes(struct soft_cpu *cpu, const struct insn *i, int by)
{
	u8 window[48] = {0};

	sse_check(cpu);
	memcpy(window + 16, cpu->vcpu.regs.fpu.xmm[i->rm], 16);
	memcpy(cpu->vcpu.regs.fpu.xmm[i->rm], window + 16 + by, 16);
}

static int byte_count(const struct insn *i)
{
	unsigned n = i->imm & 0xff;

	return n > 16 ? 16 : n;
}

void sse_pslldq_imm(struct soft_cpu *cpu, const struct insn *i)
{
	shift_bytes(cpu, i, -byte_count(i));
}

void sse_psrldq_imm(struct soft_cpu *cpu, const struct insn *i)
{
	shift_bytes(cpu, i, byte_count(i));
}

/* --- sums of absolute differences: eight windows of @d against four bytes of @s --- */

static void mpsadbw(struct soft_cpu *cpu, const struct insn *i, __m128i s)
{
	__m128i d = xmm_get(cpu, i->reg);

	switch (i->imm & 7) {
	case 0:
		d = _mm_mpsadbw_epu8(d, s, 0);
		break;
	case 1:
		d = _mm_mpsadbw_epu8(d, s, 1);
		break;
	case 2:
		d = _mm_mpsadbw_epu8(d, s, 2);
		break;
	case 3:
		d = _mm_mpsadbw_epu8(d, s, 3);
		break;
	case 4:
		d = _mm_mpsadbw_epu8(d, s, 4);
		break;
	case 5:
		d = _mm_mpsadbw_epu8(d, s, 5);
		break;
	case 6:
		d = _mm_mpsadbw_epu8(d, s, 6);
		break;
	case 7:
		d = _mm_mpsadbw_epu8(d, s, 7);
		break;
	}
	xmm_set(cpu, i->reg, d);
}
SSE_PAIR(mpsadbw, mpsadbw, sse_ld128a)

static void ptest(struct soft_cpu *cpu, const struct insn *i, __m128i s)
{
	__m128i d = xmm_get(cpu, i->reg);
	u64 zf = _mm_testz_si128(d, s) ? RFLAGS_ZF : 0, cf = _mm_testc_si128(d, s) ? RFLAGS_CF : 0;

	flags_set(&cpu->flags, zf | cf);
}
SSE_PAIR(ptest, ptest, sse_ld128a)
