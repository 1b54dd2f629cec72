/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SSE4.2 string compares. The host aggregates the comparisons (its instruction wants the immediate as a constant, hence
 * one case each); lengths, index, mask and flags follow from that here (SDM 1 section 12.3). */
#include "vmm/soft/sse.h"
#include "vmm/soft/sse_list.h"

#define STR_WORDS 0x01 /* elements are words, else bytes */
#define STR_MSB   0x40 /* index of the last set bit instead of the first; element mask instead of bit mask */
#define STR_MODE  0x3f /* format, aggregation, polarity */

struct operands {
	__m128i a, b; /* reg, r/m */
	int len_a, len_b;
};

#define STR_1(n)                                                       \
	case n:                                                        \
		r = _mm_cmpestrm(o->a, o->len_a, o->b, o->len_b, (n)); \
		break;
#define STR_4(n)  STR_1(n) STR_1((n) + 1) STR_1((n) + 2) STR_1((n) + 3)
#define STR_16(n) STR_4(n) STR_4((n) + 4) STR_4((n) + 8) STR_4((n) + 12)

/* A bit for each element of the second operand. */
static u32 aggregate(const struct operands *o, unsigned imm)
{
	__m128i r = _mm_setzero_si128();

	switch (imm & STR_MODE) {
		STR_16(0)
		STR_16(16)
		STR_16(32)
		STR_16(48)
	}
	return _mm_cvtsi128_si32(r) & 0xffff;
}

static inline int str_elements(unsigned imm)
{
	return imm & STR_WORDS ? 8 : 16;
}

/* Up to the first zero element. */
static int implicit_length(__m128i v, unsigned imm)
{
	__m128i zero = _mm_setzero_si128();

	if (imm & STR_WORDS)
		return __builtin_ctz(_mm_movemask_epi8(_mm_cmpeq_epi16(v, zero)) | 0x10000) / 2;
	return __builtin_ctz(_mm_movemask_epi8(_mm_cmpeq_epi8(v, zero)) | 0x10000);
}

/* The absolute value of a register, saturated. */
static int explicit_length(const struct soft_cpu *cpu, const struct insn *i, unsigned r)
{
	s64 v = i->osize == 8 ? (s64)reg64(cpu, r) : (s32)reg32(cpu, r);
	int n = str_elements(i->imm);

	return v > n || v < -n ? n : (int)(v < 0 ? -v : v);
}

static struct operands implicit(struct soft_cpu *cpu, const struct insn *i, __m128i s)
{
	__m128i d = xmm_get(cpu, i->reg);

	return (struct operands){d, s, implicit_length(d, i->imm), implicit_length(s, i->imm)};
}

static struct operands explicit(struct soft_cpu *cpu, const struct insn *i, __m128i s)
{
	return (struct operands){xmm_get(cpu, i->reg), s, explicit_length(cpu, i, RAX), explicit_length(cpu, i, RDX)};
}

static void set_flags(struct soft_cpu *cpu, const struct insn *i, const struct operands *o, u32 bits)
{
	int n = str_elements(i->imm);

	flags_set(&cpu->flags, (bits ? RFLAGS_CF : 0) | (o->len_b < n ? RFLAGS_ZF : 0) |
				   (o->len_a < n ? RFLAGS_SF : 0) | (bits & 1 ? RFLAGS_OF : 0));
}

static void result_index(struct soft_cpu *cpu, const struct insn *i, struct operands o)
{
	u32 bits = aggregate(&o, i->imm);
	u32 index = str_elements(i->imm);

	if (bits)
		index = i->imm & STR_MSB ? 31 - __builtin_clz(bits) : __builtin_ctz(bits);
	set_reg32(cpu, RCX, index);
	set_flags(cpu, i, &o, bits);
}

static void result_mask(struct soft_cpu *cpu, const struct insn *i, struct operands o)
{
	u32 bits = aggregate(&o, i->imm);
	__m128i v, bit;

	if (!(i->imm & STR_MSB)) {
		v = _mm_cvtsi32_si128(bits);
	} else if (i->imm & STR_WORDS) {
		bit = _mm_set_epi16(128, 64, 32, 16, 8, 4, 2, 1);
		v = _mm_cmpeq_epi16(_mm_and_si128(_mm_set1_epi16(bits), bit), bit);
	} else {
		bit = _mm_set1_epi64x((s64)0x8040201008040201ull);
		v = _mm_unpacklo_epi64(_mm_set1_epi8(bits), _mm_set1_epi8(bits >> 8));
		v = _mm_cmpeq_epi8(_mm_and_si128(v, bit), bit);
	}
	xmm_set(cpu, 0, v);
	set_flags(cpu, i, &o, bits);
}

#define STRING_OP(name, lengths, result)                                              \
	static void sem_##name(struct soft_cpu *cpu, const struct insn *i, __m128i s) \
	{                                                                             \
		result(cpu, i, lengths(cpu, i, s));                                   \
	}                                                                             \
	SSE_PAIR(name, sem_##name, sse_ld128u)

STRING_OP(pcmpestrm, explicit, result_mask)
STRING_OP(pcmpestri, explicit, result_index)
STRING_OP(pcmpistrm, implicit, result_mask)
STRING_OP(pcmpistri, implicit, result_index)
