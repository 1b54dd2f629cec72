/* SPDX-License-Identifier: GPL-2.0-or-later */
/* MMX moves and shuffles, and EMMS. */
#include "vmm/soft/sse.h"
#include "vmm/soft/sse_list.h"

void mmx_emms(struct soft_cpu *cpu, const struct insn *i)
{
	mmx_check(cpu);
	x87_leave_mmx(cpu);
}

/* --- MOVD, MOVQ; REX.W makes the general-register and memory operand of MOVD 64 bits --- */

void mmx_movd_r(struct soft_cpu *cpu, const struct insn *i)
{
	mmx_check(cpu);
	mmx_result(cpu, i, i->osize == 8 ? reg64(cpu, i->rm) : reg32(cpu, i->rm));
}

void mmx_movd_m(struct soft_cpu *cpu, const struct insn *i)
{
	mmx_check(cpu);
	mmx_result(cpu, i, i->osize == 8 ? mem_ld64(cpu, i) : mem_ld32(cpu, i));
}

void mmx_movd_st_r(struct soft_cpu *cpu, const struct insn *i)
{
	u64 v = mmx_get(cpu, i->reg);

	mmx_check(cpu);
	x87_enter_mmx(cpu);
	set_reg64(cpu, i->rm, i->osize == 8 ? v : (u32)v);
}

void mmx_movd_st_m(struct soft_cpu *cpu, const struct insn *i)
{
	u64 v = mmx_get(cpu, i->reg);

	mmx_check(cpu);
	if (i->osize == 8)
		mem_st64(cpu, i, v);
	else
		mem_st32(cpu, i, v);
	x87_enter_mmx(cpu);
}

static inline void movq(struct soft_cpu *cpu, const struct insn *i, u64 v)
{
	mmx_result(cpu, i, v);
}
MMX_PAIR(movq, movq, mem_ld64)

void mmx_movq_st_r(struct soft_cpu *cpu, const struct insn *i)
{
	mmx_check(cpu);
	x87_enter_mmx(cpu);
	x87_set_mmx(cpu, i->rm, mmx_get(cpu, i->reg));
}

void mmx_movq_st_m(struct soft_cpu *cpu, const struct insn *i)
{
	mmx_check(cpu);
	mem_st64(cpu, i, mmx_get(cpu, i->reg));
	x87_enter_mmx(cpu);
}

void mmx_movntq(struct soft_cpu *cpu, const struct insn *i)
{
	mmx_movq_st_m(cpu, i);
}

void mmx_maskmovq(struct soft_cpu *cpu, const struct insn *i)
{
	u64 value = mmx_get(cpu, i->reg), mask = mmx_get(cpu, i->rm);

	mmx_check(cpu);
	sse_masked_store(cpu, i, (const u8 *)&value, (const u8 *)&mask, 8);
	x87_enter_mmx(cpu);
}

/* --- shuffles and single words --- */

static void pshufw(struct soft_cpu *cpu, const struct insn *i, u64 s)
{
	u64 v = 0;

	for (unsigned n = 0; n < 4; n++)
		v |= (s >> (i->imm >> 2 * n & 3) * 16 & 0xffff) << n * 16;
	mmx_result(cpu, i, v);
}
MMX_PAIR(pshufw, pshufw, mem_ld64)

static void palignr(struct soft_cpu *cpu, const struct insn *i, u64 s)
{
	unsigned __int128 both = (unsigned __int128)mmx_get(cpu, i->reg) << 64 | s;
	unsigned bytes = i->imm & 0xff;

	mmx_result(cpu, i, bytes > 15 ? 0 : (u64)(both >> bytes * 8));
}
MMX_PAIR(palignr, palignr, mem_ld64)

static void pinsrw(struct soft_cpu *cpu, const struct insn *i, u16 word)
{
	unsigned shift = (i->imm & 3) * 16;

	mmx_result(cpu, i, (mmx_get(cpu, i->reg) & ~(0xffffull << shift)) | (u64)word << shift);
}

void mmx_pinsrw_r(struct soft_cpu *cpu, const struct insn *i)
{
	mmx_check(cpu);
	pinsrw(cpu, i, reg16(cpu, i->rm));
}

void mmx_pinsrw_m(struct soft_cpu *cpu, const struct insn *i)
{
	mmx_check(cpu);
	pinsrw(cpu, i, mem_ld16(cpu, i));
}

void mmx_pextrw_reg(struct soft_cpu *cpu, const struct insn *i)
{
	mmx_check(cpu);
	x87_enter_mmx(cpu);
	set_reg32(cpu, i->reg, mmx_get(cpu, i->rm) >> (i->imm & 3) * 16 & 0xffff);
}

void mmx_pmovmskb(struct soft_cpu *cpu, const struct insn *i)
{
	mmx_check(cpu);
	x87_enter_mmx(cpu);
	set_reg32(cpu, i->reg, _mm_movemask_epi8(mmx_vec(mmx_get(cpu, i->rm))));
}
