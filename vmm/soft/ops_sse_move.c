/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SSE moves that leave the values as they are. */
#include "vmm/soft/sse.h"
#include "vmm/soft/sse_list.h"

/* --- 16 bytes: MOVAPS, MOVUPS, MOVDQA, MOVNTPS, LDDQU and their kin --- */

void sse_mov_r(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	xmm_set(cpu, i->reg, xmm_get(cpu, i->rm));
}

void sse_mova_ld(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	xmm_set(cpu, i->reg, sse_ld128a(cpu, i));
}

void sse_movu_ld(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	xmm_set(cpu, i->reg, sse_ld128u(cpu, i));
}

void sse_mov_st_r(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	xmm_set(cpu, i->rm, xmm_get(cpu, i->reg));
}

void sse_mova_st(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	sse_st128a(cpu, i, xmm_get(cpu, i->reg));
}

void sse_movu_st(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	sse_st128u(cpu, i, xmm_get(cpu, i->reg));
}

/* --- scalars: a register source is merged, a memory source zero-extended --- */

static inline void merge32(struct soft_cpu *cpu, unsigned to, unsigned from)
{
	memmove(cpu->vcpu.regs.fpu.xmm[to], cpu->vcpu.regs.fpu.xmm[from], 4);
}

static inline void merge64(struct soft_cpu *cpu, unsigned to, unsigned from)
{
	memmove(cpu->vcpu.regs.fpu.xmm[to], cpu->vcpu.regs.fpu.xmm[from], 8);
}

void sse_movss_r(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	merge32(cpu, i->reg, i->rm);
}

void sse_movss_m(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	xmm_set(cpu, i->reg, sse_ld32(cpu, i));
}

void sse_movss_st_r(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	merge32(cpu, i->rm, i->reg);
}

void sse_movss_st(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	mem_st32(cpu, i, xmm_get32(cpu, i->reg));
}

void sse_movsd_r(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	merge64(cpu, i->reg, i->rm);
}

void sse_movsd_m(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	xmm_set(cpu, i->reg, sse_ld64(cpu, i));
}

void sse_movsd_st_r(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	merge64(cpu, i->rm, i->reg);
}

/* MOVQ xmm, xmm/m64 */
static inline void movq(struct soft_cpu *cpu, const struct insn *i, __m128i s)
{
	xmm_set(cpu, i->reg, _mm_move_epi64(s));
}
SSE_PAIR(movq, movq, sse_ld64)

void sse_movq_st_r(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	xmm_set(cpu, i->rm, _mm_move_epi64(xmm_get(cpu, i->reg)));
}

/* --- MOVD, MOVQ with general registers; the memory forms serve REX.W too --- */

void sse_movd_r(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	xmm_set(cpu, i->reg, _mm_cvtsi64_si128(i->osize == 8 ? reg64(cpu, i->rm) : reg32(cpu, i->rm)));
}

void sse_movd_m(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	xmm_set(cpu, i->reg, i->osize == 8 ? sse_ld64(cpu, i) : sse_ld32(cpu, i));
}

void sse_movd_st_r(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	set_reg64(cpu, i->rm, i->osize == 8 ? xmm_get64(cpu, i->reg) : xmm_get32(cpu, i->reg));
}

void sse_movd_st_m(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	if (i->osize == 8)
		mem_st64(cpu, i, xmm_get64(cpu, i->reg));
	else
		mem_st32(cpu, i, xmm_get32(cpu, i->reg));
}

/* --- halves --- */

void sse_movhlps(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	memmove(cpu->vcpu.regs.fpu.xmm[i->reg], cpu->vcpu.regs.fpu.xmm[i->rm] + 8, 8);
}

void sse_movlhps(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	memmove(cpu->vcpu.regs.fpu.xmm[i->reg] + 8, cpu->vcpu.regs.fpu.xmm[i->rm], 8);
}

void sse_movlp_ld(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	store64(cpu->vcpu.regs.fpu.xmm[i->reg], mem_ld64(cpu, i));
}

void sse_movhp_ld(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	store64(cpu->vcpu.regs.fpu.xmm[i->reg] + 8, mem_ld64(cpu, i));
}

/* MOVLPS, MOVLPD, MOVSD and MOVQ to memory */
void sse_movlp_st(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	mem_st64(cpu, i, xmm_get64(cpu, i->reg));
}

void sse_movhp_st(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	mem_st64(cpu, i, load64(cpu->vcpu.regs.fpu.xmm[i->reg] + 8));
}

/* --- duplicating moves (SSE3) --- */

static inline void movddup(struct soft_cpu *cpu, const struct insn *i, __m128i s)
{
	xmm_set(cpu, i->reg, _mm_unpacklo_epi64(s, s));
}
SSE_PAIR(movddup, movddup, sse_ld64)

static inline void movshdup(struct soft_cpu *cpu, const struct insn *i, __m128i s)
{
	xmm_set(cpu, i->reg, _mm_shuffle_epi32(s, 0xf5));
}
SSE_PAIR(movshdup, movshdup, sse_ld128a)

static inline void movsldup(struct soft_cpu *cpu, const struct insn *i, __m128i s)
{
	xmm_set(cpu, i->reg, _mm_shuffle_epi32(s, 0xa0));
}
SSE_PAIR(movsldup, movsldup, sse_ld128a)

/* --- widening moves (SSE4.1) --- */

#define WIDEN(name, load, expr)                                                              \
	static inline void sem_##name(struct soft_cpu *cpu, const struct insn *i, __m128i s) \
	{                                                                                    \
		xmm_set(cpu, i->reg, expr);                                                  \
	}                                                                                    \
	SSE_PAIR(name, sem_##name, load)
INT_WIDEN_LIST(WIDEN)

/* --- masks of sign bits --- */

void sse_movmskps(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	set_reg32(cpu, i->reg, _mm_movemask_ps(_mm_castsi128_ps(xmm_get(cpu, i->rm))));
}

void sse_movmskpd(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	set_reg32(cpu, i->reg, _mm_movemask_pd(_mm_castsi128_pd(xmm_get(cpu, i->rm))));
}

void sse_pmovmskb(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	set_reg32(cpu, i->reg, _mm_movemask_epi8(xmm_get(cpu, i->rm)));
}

/* --- stores with hints and masks --- */

/* Works without SSE being enabled: it touches no XMM register. */
void sse_movnti(struct soft_cpu *cpu, const struct insn *i)
{
	if (i->osize == 8)
		mem_st64(cpu, i, reg64(cpu, i->reg));
	else
		mem_st32(cpu, i, reg32(cpu, i->reg));
}

void sse_maskmovdqu(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	sse_masked_store(cpu, i, cpu->vcpu.regs.fpu.xmm[i->reg], cpu->vcpu.regs.fpu.xmm[i->rm], 16);
}

void sse_masked_store(struct soft_cpu *cpu, const struct insn *i, const u8 *value, const u8 *mask, unsigned size)
{
	u64 la = soft_linear(cpu, i->seg, reg_get(cpu, RDI, i->asize), size, ACCESS_WRITE);

	/* All bytes must be writable, selected or not: it is left to the implementation, and this choice keeps the
	 * store whole. */
	if (!tlb_host(cpu, la, size, ACCESS_WRITE))
		soft_probe_write(cpu, la, size);
	for (unsigned n = 0; n < size; n++)
		if (mask[n] & 0x80)
			la_st8(cpu, la + n, value[n]);
}

/* --- between MMX and XMM registers --- */

void sse_movq2dq(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	mmx_check(cpu);
	x87_enter_mmx(cpu);
	xmm_set(cpu, i->reg, mmx_vec(mmx_get(cpu, i->rm)));
}

void sse_movdq2q(struct soft_cpu *cpu, const struct insn *i)
{
	sse_check(cpu);
	mmx_check(cpu);
	x87_enter_mmx(cpu);
	x87_set_mmx(cpu, i->reg, xmm_get64(cpu, i->rm));
}
