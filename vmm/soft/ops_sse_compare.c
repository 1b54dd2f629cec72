/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SSE floating-point compares: CMPxx into masks, COMISx and UCOMISx into the flags. */
#include "vmm/soft/sse.h"
#include "vmm/soft/sse_list.h"

#define CMP_CASE(name, n)                                                     \
	case n:                                                               \
		__asm__ volatile(name " $" #n ", %1, %0" : "+x"(d) : "x"(s)); \
		break;
/* Legacy encodings have eight predicates; the immediate's other bits are not looked at. */
#define CMP_OP(name, load)                                                            \
	static void sem_##name(struct soft_cpu *cpu, const struct insn *i, __m128i s) \
	{                                                                             \
		__m128i d = xmm_get(cpu, i->reg);                                     \
                                                                                      \
		sse_fp_enter(cpu);                                                    \
		switch (i->imm & 7) {                                                 \
			CMP_CASE(#name, 0)                                            \
			CMP_CASE(#name, 1)                                            \
			CMP_CASE(#name, 2)                                            \
			CMP_CASE(#name, 3)                                            \
			CMP_CASE(#name, 4)                                            \
			CMP_CASE(#name, 5)                                            \
			CMP_CASE(#name, 6)                                            \
			CMP_CASE(#name, 7)                                            \
		}                                                                     \
		sse_fp_leave_none(cpu);                                               \
		xmm_set(cpu, i->reg, d);                                              \
	}                                                                             \
	SSE_PAIR(name, sem_##name, load)

CMP_OP(cmpps, sse_ld128a)
CMP_OP(cmppd, sse_ld128a)
CMP_OP(cmpss, sse_ld32)
CMP_OP(cmpsd, sse_ld64)

#define COMI_OP(name, load)                                                                                 \
	static inline void sem_##name(struct soft_cpu *cpu, const struct insn *i, __m128i s)                \
	{                                                                                                   \
		__m128i d = xmm_get(cpu, i->reg);                                                           \
		bool zf, pf, cf;                                                                            \
                                                                                                            \
		sse_fp_enter(cpu);                                                                          \
		__asm__ volatile(#name " %4, %3" : "=@ccz"(zf), "=@ccp"(pf), "=@ccc"(cf) : "x"(d), "x"(s)); \
		sse_fp_leave_none(cpu);                                                                     \
		flags_set(&cpu->flags, (zf ? RFLAGS_ZF : 0) | (pf ? RFLAGS_PF : 0) | (cf ? RFLAGS_CF : 0)); \
	}                                                                                                   \
	SSE_PAIR(name, sem_##name, load)

COMI_OP(comiss, sse_ld32)
COMI_OP(comisd, sse_ld64)
COMI_OP(ucomiss, sse_ld32)
COMI_OP(ucomisd, sse_ld64)
