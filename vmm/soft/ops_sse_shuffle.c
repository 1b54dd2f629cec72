/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SSE shuffles, blends and the insertion and extraction of elements. Immediates choose at run time, so these work on
 * arrays instead of the host's instructions, which want constants. */
#include "vmm/soft/sse.h"
#include "vmm/soft/sse_list.h"

union vec {
	__m128i v;
	u8 b[16];
	u16 w[8];
	u32 d[4];
	u64 q[2];
};

static inline union vec vec(__m128i v)
{
	return (union vec){.v = v};
}

/* --- shuffles --- */

static void shufps(struct soft_cpu *cpu, const struct insn *i, __m128i source)
{
	union vec d = vec(xmm_get(cpu, i->reg)), s = vec(source), r;
	unsigned imm = i->imm;

	r.d[0] = d.d[imm & 3];
	r.d[1] = d.d[imm >> 2 & 3];
	r.d[2] = s.d[imm >> 4 & 3];
	r.d[3] = s.d[imm >> 6 & 3];
	xmm_set(cpu, i->reg, r.v);
}
SSE_PAIR(shufps, shufps, sse_ld128a)

static void shufpd(struct soft_cpu *cpu, const struct insn *i, __m128i source)
{
	union vec d = vec(xmm_get(cpu, i->reg)), s = vec(source), r;

	r.q[0] = d.q[i->imm & 1];
	r.q[1] = s.q[i->imm >> 1 & 1];
	xmm_set(cpu, i->reg, r.v);
}
SSE_PAIR(shufpd, shufpd, sse_ld128a)

static void pshufd(struct soft_cpu *cpu, const struct insn *i, __m128i source)
{
	union vec s = vec(source), r;
	unsigned imm = i->imm;

	r.d[0] = s.d[imm & 3];
	r.d[1] = s.d[imm >> 2 & 3];
	r.d[2] = s.d[imm >> 4 & 3];
	r.d[3] = s.d[imm >> 6 & 3];
	xmm_set(cpu, i->reg, r.v);
}
SSE_PAIR(pshufd, pshufd, sse_ld128a)

/* Four words of one half; the other half is copied. */
static inline void shuffle_words(struct soft_cpu *cpu, const struct insn *i, __m128i source, unsigned half)
{
	union vec s = vec(source), r = s;

	for (unsigned n = 0; n < 4; n++)
		r.w[half + n] = s.w[half + (i->imm >> 2 * n & 3)];
	xmm_set(cpu, i->reg, r.v);
}

static void pshuflw(struct soft_cpu *cpu, const struct insn *i, __m128i s)
{
	shuffle_words(cpu, i, s, 0);
}
SSE_PAIR(pshuflw, pshuflw, sse_ld128a)

static void pshufhw(struct soft_cpu *cpu, const struct insn *i, __m128i s)
{
	shuffle_words(cpu, i, s, 4);
}
SSE_PAIR(pshufhw, pshufhw, sse_ld128a)

static void palignr(struct soft_cpu *cpu, const struct insn *i, __m128i s)
{
	unsigned bytes = i->imm & 0xff;
	u8 window[48] = {0};

	_mm_storeu_si128((__m128i *)window, s);
	_mm_storeu_si128((__m128i *)(window + 16), xmm_get(cpu, i->reg));
	xmm_set(cpu, i->reg, _mm_loadu_si128((const __m128i *)(window + (bytes > 32 ? 32 : bytes))));
}
SSE_PAIR(palignr, palignr, sse_ld128a)

/* --- blends: by immediate, and by the sign bits of XMM0 --- */

static void blendps(struct soft_cpu *cpu, const struct insn *i, __m128i source)
{
	union vec d = vec(xmm_get(cpu, i->reg)), s = vec(source);

	for (unsigned n = 0; n < 4; n++)
		if (i->imm >> n & 1)
			d.d[n] = s.d[n];
	xmm_set(cpu, i->reg, d.v);
}
SSE_PAIR(blendps, blendps, sse_ld128a)

static void blendpd(struct soft_cpu *cpu, const struct insn *i, __m128i source)
{
	union vec d = vec(xmm_get(cpu, i->reg)), s = vec(source);

	for (unsigned n = 0; n < 2; n++)
		if (i->imm >> n & 1)
			d.q[n] = s.q[n];
	xmm_set(cpu, i->reg, d.v);
}
SSE_PAIR(blendpd, blendpd, sse_ld128a)

static void pblendw(struct soft_cpu *cpu, const struct insn *i, __m128i source)
{
	union vec d = vec(xmm_get(cpu, i->reg)), s = vec(source);

	for (unsigned n = 0; n < 8; n++)
		if (i->imm >> n & 1)
			d.w[n] = s.w[n];
	xmm_set(cpu, i->reg, d.v);
}
SSE_PAIR(pblendw, pblendw, sse_ld128a)

static void blendvps(struct soft_cpu *cpu, const struct insn *i, __m128i s)
{
	__m128 d = _mm_castsi128_ps(xmm_get(cpu, i->reg)), mask = _mm_castsi128_ps(xmm_get(cpu, 0));

	xmm_set(cpu, i->reg, _mm_castps_si128(_mm_blendv_ps(d, _mm_castsi128_ps(s), mask)));
}
SSE_PAIR(blendvps, blendvps, sse_ld128a)

static void blendvpd(struct soft_cpu *cpu, const struct insn *i, __m128i s)
{
	__m128d d = _mm_castsi128_pd(xmm_get(cpu, i->reg)), mask = _mm_castsi128_pd(xmm_get(cpu, 0));

	xmm_set(cpu, i->reg, _mm_castpd_si128(_mm_blendv_pd(d, _mm_castsi128_pd(s), mask)));
}
SSE_PAIR(blendvpd, blendvpd, sse_ld128a)

static void pblendvb(struct soft_cpu *cpu, const struct insn *i, __m128i s)
{
	xmm_set(cpu, i->reg, _mm_blendv_epi8(xmm_get(cpu, i->reg), s, xmm_get(cpu, 0)));
}
SSE_PAIR(pblendvb, pblendvb, sse_ld128a)

/* --- insertion --- */

static void insertps(struct soft_cpu *cpu, const struct insn *i, u32 element)
{
	union vec d = vec(xmm_get(cpu, i->reg));

	d.d[i->imm >> 4 & 3] = element;
	for (unsigned n = 0; n < 4; n++)
		if (i->imm >> n & 1)
			d.d[n] = 0;
	xmm_set(cpu, i->reg, d.v);
}

void sse_insertps_r(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	insertps(cpu, i, load32(cpu->vcpu.regs.fpu.xmm[i->rm] + 4 * (i->imm >> 6 & 3)));
}

void sse_insertps_m(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	insertps(cpu, i, mem_ld32(cpu, i));
}

void sse_pinsrb_r(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	cpu->vcpu.regs.fpu.xmm[i->reg][i->imm & 15] = reg32(cpu, i->rm);
}

void sse_pinsrb_m(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	cpu->vcpu.regs.fpu.xmm[i->reg][i->imm & 15] = mem_ld8(cpu, i);
}

void sse_pinsrw_r(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	store16(cpu->vcpu.regs.fpu.xmm[i->reg] + 2 * (i->imm & 7), reg16(cpu, i->rm));
}

void sse_pinsrw_m(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	store16(cpu->vcpu.regs.fpu.xmm[i->reg] + 2 * (i->imm & 7), mem_ld16(cpu, i));
}

/* PINSRD, with REX.W PINSRQ */
void sse_pinsrd_r(struct soft_cpu *cpu, const struct insn *i)
{
	u8 *d = cpu->vcpu.regs.fpu.xmm[i->reg];

	sse_check(cpu);
	if (i->osize == 8)
		store64(d + 8 * (i->imm & 1), reg64(cpu, i->rm));
	else
		store32(d + 4 * (i->imm & 3), reg32(cpu, i->rm));
}

void sse_pinsrd_m(struct soft_cpu *cpu, const struct insn *i)
{
	u8 *d = cpu->vcpu.regs.fpu.xmm[i->reg];

	sse_check(cpu);
	if (i->osize == 8)
		store64(d + 8 * (i->imm & 1), mem_ld64(cpu, i));
	else
		store32(d + 4 * (i->imm & 3), mem_ld32(cpu, i));
}

/* --- extraction; a general register is written whole --- */

void sse_pextrb_r(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	set_reg64(cpu, i->rm, cpu->vcpu.regs.fpu.xmm[i->reg][i->imm & 15]);
}

void sse_pextrb_m(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	mem_st8(cpu, i, cpu->vcpu.regs.fpu.xmm[i->reg][i->imm & 15]);
}

void sse_pextrw_r(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	set_reg64(cpu, i->rm, load16(cpu->vcpu.regs.fpu.xmm[i->reg] + 2 * (i->imm & 7)));
}

void sse_pextrw_m(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	mem_st16(cpu, i, load16(cpu->vcpu.regs.fpu.xmm[i->reg] + 2 * (i->imm & 7)));
}

/* The older encoding has its operands the other way round. */
void sse_pextrw_reg(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	set_reg64(cpu, i->reg, load16(cpu->vcpu.regs.fpu.xmm[i->rm] + 2 * (i->imm & 7)));
}

/* PEXTRD, with REX.W PEXTRQ */
void sse_pextrd_r(struct soft_cpu *cpu, const struct insn *i)
{
	const u8 *s = cpu->vcpu.regs.fpu.xmm[i->reg];

	sse_check(cpu);
	set_reg64(cpu, i->rm, i->osize == 8 ? load64(s + 8 * (i->imm & 1)) : load32(s + 4 * (i->imm & 3)));
}

void sse_pextrd_m(struct soft_cpu *cpu, const struct insn *i)
{
	const u8 *s = cpu->vcpu.regs.fpu.xmm[i->reg];

	sse_check(cpu);
	if (i->osize == 8)
		mem_st64(cpu, i, load64(s + 8 * (i->imm & 1)));
	else
		mem_st32(cpu, i, load32(s + 4 * (i->imm & 3)));
}

void sse_extractps_r(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	set_reg64(cpu, i->rm, load32(cpu->vcpu.regs.fpu.xmm[i->reg] + 4 * (i->imm & 3)));
}

void sse_extractps_m(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	mem_st32(cpu, i, load32(cpu->vcpu.regs.fpu.xmm[i->reg] + 4 * (i->imm & 3)));
}
