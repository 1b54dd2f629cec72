/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SSE conversions: between formats, with general registers, with MMX registers. */
#include "vmm/soft/sse.h"
#include "vmm/soft/sse_list.h"

#define CONVERT_OP(name, load, kind)                                                         \
	static inline void sem_##name(struct soft_cpu *cpu, const struct insn *i, __m128i s) \
	{                                                                                    \
		__m128i d = xmm_get(cpu, i->reg);                                            \
                                                                                             \
		FP_RUN(cpu, #name, d, s, kind);                                              \
		xmm_set(cpu, i->reg, d);                                                     \
	}                                                                                    \
	SSE_PAIR(name, sem_##name, load)

FP_CONVERT_LIST(CONVERT_OP)

/* --- general register or integer in memory to scalar; 64-bit integers with REX.W --- */

#define FROM_GPR(name)                                                              \
	static void name(struct soft_cpu *cpu, const struct insn *i, u64 v)         \
	{                                                                           \
		__m128i d = xmm_get(cpu, i->reg);                                   \
                                                                                    \
		sse_fp_enter(cpu);                                                  \
		if (i->osize == 8)                                                  \
			__asm__ volatile(#name "q %1, %0" : "+x"(d) : "r"(v));      \
		else                                                                \
			__asm__ volatile(#name "l %1, %0" : "+x"(d) : "r"((u32)v)); \
		sse_fp_leave_none(cpu);                                             \
		xmm_set(cpu, i->reg, d);                                            \
	}                                                                           \
	void sse_##name##_r(struct soft_cpu *cpu, const struct insn *i)             \
	{                                                                           \
		sse_check(cpu);                                                     \
		name(cpu, i, reg64(cpu, i->rm));                                    \
	}                                                                           \
	void sse_##name##_m(struct soft_cpu *cpu, const struct insn *i)             \
	{                                                                           \
		sse_check(cpu);                                                     \
		name(cpu, i, i->osize == 8 ? mem_ld64(cpu, i) : mem_ld32(cpu, i));  \
	}

FROM_GPR(cvtsi2ss)
FROM_GPR(cvtsi2sd)

/* --- scalar to general register --- */

#define TO_GPR(name, load)                                                      \
	static void name(struct soft_cpu *cpu, const struct insn *i, __m128i s) \
	{                                                                       \
		u64 v;                                                          \
                                                                                \
		sse_fp_enter(cpu);                                              \
		if (i->osize == 8)                                              \
			__asm__ volatile(#name "q %1, %0" : "=r"(v) : "x"(s));  \
		else                                                            \
			__asm__ volatile(#name "l %1, %k0" : "=r"(v) : "x"(s)); \
		sse_fp_leave_none(cpu);                                         \
		set_reg64(cpu, i->reg, v);                                      \
	}                                                                       \
	SSE_PAIR(name, name, load)

TO_GPR(cvtss2si, sse_ld32)
TO_GPR(cvttss2si, sse_ld32)
TO_GPR(cvtsd2si, sse_ld64)
TO_GPR(cvttsd2si, sse_ld64)

/* --- MMX register to XMM: the corresponding XMM conversions see the same two integers --- */

static void cvtpi2ps(struct soft_cpu *cpu, const struct insn *i, u64 v)
{
	__m128i d = _mm_setzero_si128(), s = mmx_vec(v);

	FP_RUN(cpu, "cvtdq2ps", d, s, FP_NONE);
	store64(cpu->vcpu.regs.fpu.xmm[i->reg], mmx_low(d));
}

static void cvtpi2pd(struct soft_cpu *cpu, const struct insn *i, u64 v)
{
	xmm_set(cpu, i->reg, _mm_castpd_si128(_mm_cvtepi32_pd(mmx_vec(v))));
}

void sse_cvtpi2ps_r(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	mmx_check(cpu);
	cvtpi2ps(cpu, i, mmx_get(cpu, i->rm));
	x87_enter_mmx(cpu);
}

/* Enters MMX state though it reads no MMX register; CVTPI2PD from memory has nothing to do with the x87 (SDM 2A). */
void sse_cvtpi2ps_m(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	mmx_check(cpu);
	cvtpi2ps(cpu, i, mem_ld64(cpu, i));
	x87_enter_mmx(cpu);
}

void sse_cvtpi2pd_r(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	mmx_check(cpu);
	cvtpi2pd(cpu, i, mmx_get(cpu, i->rm));
	x87_enter_mmx(cpu);
}

void sse_cvtpi2pd_m(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	cvtpi2pd(cpu, i, mem_ld64(cpu, i));
}

/* --- XMM or memory to MMX register --- */

/* A single-precision source is only 64 bits: what lies above must not raise flags. */
#define TO_MMX(name, opcode, load, source)                                      \
	static void name(struct soft_cpu *cpu, const struct insn *i, __m128i s) \
	{                                                                       \
		__m128i d = _mm_setzero_si128();                                \
                                                                                \
		s = source;                                                     \
		FP_RUN(cpu, opcode, d, s, FP_NONE);                             \
		mmx_result(cpu, i, mmx_low(d));                                 \
	}                                                                       \
	void sse_##name##_r(struct soft_cpu *cpu, const struct insn *i)         \
	{                                                                       \
		sse_check(cpu);                                                 \
		mmx_check(cpu);                                                 \
		name(cpu, i, xmm_get(cpu, i->rm));                              \
	}                                                                       \
	void sse_##name##_m(struct soft_cpu *cpu, const struct insn *i)         \
	{                                                                       \
		sse_check(cpu);                                                 \
		mmx_check(cpu);                                                 \
		name(cpu, i, load(cpu, i));                                     \
	}

TO_MMX(cvtps2pi, "cvtps2dq", sse_ld64, _mm_move_epi64(s))
TO_MMX(cvttps2pi, "cvttps2dq", sse_ld64, _mm_move_epi64(s))
TO_MMX(cvtpd2pi, "cvtpd2dq", sse_ld128a, s)
TO_MMX(cvttpd2pi, "cvttpd2dq", sse_ld128a, s)
