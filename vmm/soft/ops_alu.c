// SPDX-License-Identifier: GPL-2.0-or-later
/* Two-operand arithmetic and logic, MOV and its relatives: every operation by width and operand form. Form letters:
 * r register, m memory, i immediate; the destination comes first (rr: to ModRM.rm, gr: to ModRM.reg). */
#include "vmm/soft/alu.h"
#include "vmm/soft/cpu.h"
#include "vmm/soft/ops.h"

#define ALU2(name, bits)                                                                                          \
	void op_##name##bits##_rr(struct soft_cpu *cpu, const struct insn *i)                                     \
	{                                                                                                         \
		set_reg##bits(cpu, i->rm,                                                                         \
			      alu_##name(&cpu->flags, reg##bits(cpu, i->rm), reg##bits(cpu, i->reg), bits));      \
	}                                                                                                         \
	void op_##name##bits##_gr(struct soft_cpu *cpu, const struct insn *i)                                     \
	{                                                                                                         \
		set_reg##bits(cpu, i->reg,                                                                        \
			      alu_##name(&cpu->flags, reg##bits(cpu, i->reg), reg##bits(cpu, i->rm), bits));      \
	}                                                                                                         \
	void op_##name##bits##_gm(struct soft_cpu *cpu, const struct insn *i)                                     \
	{                                                                                                         \
		u##bits v = mem_ld##bits(cpu, i);                                                                 \
                                                                                                                  \
		set_reg##bits(cpu, i->reg, alu_##name(&cpu->flags, reg##bits(cpu, i->reg), v, bits));             \
	}                                                                                                         \
	void op_##name##bits##_ri(struct soft_cpu *cpu, const struct insn *i)                                     \
	{                                                                                                         \
		set_reg##bits(cpu, i->rm, alu_##name(&cpu->flags, reg##bits(cpu, i->rm), (u##bits)i->imm, bits)); \
	}                                                                                                         \
	void op_##name##bits##_mr(struct soft_cpu *cpu, const struct insn *i)                                     \
	{                                                                                                         \
		u##bits v;                                                                                        \
		u8 *p = mem_rmw##bits(cpu, i, &v);                                                                \
                                                                                                                  \
		mem_rmw_st##bits(cpu, p, alu_##name(&cpu->flags, v, reg##bits(cpu, i->reg), bits));               \
	}                                                                                                         \
	void op_##name##bits##_mi(struct soft_cpu *cpu, const struct insn *i)                                     \
	{                                                                                                         \
		u##bits v;                                                                                        \
		u8 *p = mem_rmw##bits(cpu, i, &v);                                                                \
                                                                                                                  \
		mem_rmw_st##bits(cpu, p, alu_##name(&cpu->flags, v, (u##bits)i->imm, bits));                      \
	}

/* CMP and TEST: the same without a result. */
#define ALU2_COMPARE(name, bits)                                                              \
	void op_##name##bits##_rr(struct soft_cpu *cpu, const struct insn *i)                 \
	{                                                                                     \
		alu_##name(&cpu->flags, reg##bits(cpu, i->rm), reg##bits(cpu, i->reg), bits); \
	}                                                                                     \
	void op_##name##bits##_gr(struct soft_cpu *cpu, const struct insn *i)                 \
	{                                                                                     \
		alu_##name(&cpu->flags, reg##bits(cpu, i->reg), reg##bits(cpu, i->rm), bits); \
	}                                                                                     \
	void op_##name##bits##_gm(struct soft_cpu *cpu, const struct insn *i)                 \
	{                                                                                     \
		alu_##name(&cpu->flags, reg##bits(cpu, i->reg), mem_ld##bits(cpu, i), bits);  \
	}                                                                                     \
	void op_##name##bits##_mr(struct soft_cpu *cpu, const struct insn *i)                 \
	{                                                                                     \
		alu_##name(&cpu->flags, mem_ld##bits(cpu, i), reg##bits(cpu, i->reg), bits);  \
	}                                                                                     \
	void op_##name##bits##_ri(struct soft_cpu *cpu, const struct insn *i)                 \
	{                                                                                     \
		alu_##name(&cpu->flags, reg##bits(cpu, i->rm), (u##bits)i->imm, bits);        \
	}                                                                                     \
	void op_##name##bits##_mi(struct soft_cpu *cpu, const struct insn *i)                 \
	{                                                                                     \
		alu_##name(&cpu->flags, mem_ld##bits(cpu, i), (u##bits)i->imm, bits);         \
	}

#define ALU1(name, bits)                                                                         \
	void op_##name##bits##_r(struct soft_cpu *cpu, const struct insn *i)                     \
	{                                                                                        \
		set_reg##bits(cpu, i->rm, alu_##name(&cpu->flags, reg##bits(cpu, i->rm), bits)); \
	}                                                                                        \
	void op_##name##bits##_m(struct soft_cpu *cpu, const struct insn *i)                     \
	{                                                                                        \
		u##bits v;                                                                       \
		u8 *p = mem_rmw##bits(cpu, i, &v);                                               \
                                                                                                 \
		mem_rmw_st##bits(cpu, p, alu_##name(&cpu->flags, v, bits));                      \
	}

#define MOVES(bits)                                                            \
	void op_mov##bits##_rr(struct soft_cpu *cpu, const struct insn *i)     \
	{                                                                      \
		set_reg##bits(cpu, i->rm, reg##bits(cpu, i->reg));             \
	}                                                                      \
	void op_mov##bits##_gr(struct soft_cpu *cpu, const struct insn *i)     \
	{                                                                      \
		set_reg##bits(cpu, i->reg, reg##bits(cpu, i->rm));             \
	}                                                                      \
	void op_mov##bits##_gm(struct soft_cpu *cpu, const struct insn *i)     \
	{                                                                      \
		set_reg##bits(cpu, i->reg, mem_ld##bits(cpu, i));              \
	}                                                                      \
	void op_mov##bits##_mr(struct soft_cpu *cpu, const struct insn *i)     \
	{                                                                      \
		mem_st##bits(cpu, i, reg##bits(cpu, i->reg));                  \
	}                                                                      \
	void op_mov##bits##_ri(struct soft_cpu *cpu, const struct insn *i)     \
	{                                                                      \
		set_reg##bits(cpu, i->rm, i->imm);                             \
	}                                                                      \
	void op_mov##bits##_mi(struct soft_cpu *cpu, const struct insn *i)     \
	{                                                                      \
		mem_st##bits(cpu, i, i->imm);                                  \
	}                                                                      \
	void op_xchg##bits##_rr(struct soft_cpu *cpu, const struct insn *i)    \
	{                                                                      \
		u##bits a = reg##bits(cpu, i->rm), b = reg##bits(cpu, i->reg); \
                                                                               \
		set_reg##bits(cpu, i->rm, b);                                  \
		set_reg##bits(cpu, i->reg, a);                                 \
	}                                                                      \
	void op_xchg##bits##_mr(struct soft_cpu *cpu, const struct insn *i)    \
	{                                                                      \
		u##bits v;                                                     \
		u8 *p = mem_rmw##bits(cpu, i, &v);                             \
                                                                               \
		mem_rmw_st##bits(cpu, p, reg##bits(cpu, i->reg));              \
		set_reg##bits(cpu, i->reg, v);                                 \
	}                                                                      \
	void op_xadd##bits##_rr(struct soft_cpu *cpu, const struct insn *i)    \
	{                                                                      \
		u##bits d = reg##bits(cpu, i->rm), s = reg##bits(cpu, i->reg); \
                                                                               \
		set_reg##bits(cpu, i->reg, d);                                 \
		set_reg##bits(cpu, i->rm, alu_add(&cpu->flags, d, s, bits));   \
	}                                                                      \
	void op_xadd##bits##_mr(struct soft_cpu *cpu, const struct insn *i)    \
	{                                                                      \
		u##bits d, s = reg##bits(cpu, i->reg);                         \
		u8 *p = mem_rmw##bits(cpu, i, &d);                             \
                                                                               \
		mem_rmw_st##bits(cpu, p, alu_add(&cpu->flags, d, s, bits));    \
		set_reg##bits(cpu, i->reg, d);                                 \
	}                                                                      \
	void op_cmpxchg##bits##_rr(struct soft_cpu *cpu, const struct insn *i) \
	{                                                                      \
		u##bits d = reg##bits(cpu, i->rm), a = reg##bits(cpu, RAX);    \
                                                                               \
		alu_cmp(&cpu->flags, a, d, bits);                              \
		if (a == d)                                                    \
			set_reg##bits(cpu, i->rm, reg##bits(cpu, i->reg));     \
		else                                                           \
			set_reg##bits(cpu, RAX, d);                            \
	}                                                                      \
	void op_cmpxchg##bits##_mr(struct soft_cpu *cpu, const struct insn *i) \
	{                                                                      \
		u##bits d, a = reg##bits(cpu, RAX);                            \
		u8 *p = mem_rmw##bits(cpu, i, &d);                             \
                                                                               \
		alu_cmp(&cpu->flags, a, d, bits);                              \
		mem_rmw_st##bits(cpu, p, a == d ? reg##bits(cpu, i->reg) : d); \
		if (a != d)                                                    \
			set_reg##bits(cpu, RAX, d);                            \
	}

#define ALL_OPS(bits)            \
	ALU2(add, bits)          \
	ALU2(or, bits)           \
	ALU2(adc, bits)          \
	ALU2(sbb, bits)          \
	ALU2(and, bits)          \
	ALU2(sub, bits)          \
	ALU2(xor, bits)          \
	ALU2_COMPARE(cmp, bits)  \
	ALU2_COMPARE(test, bits) \
	ALU1(inc, bits)          \
	ALU1(dec, bits)          \
	ALU1(neg, bits)          \
	ALU1(not, bits)          \
	MOVES(bits)

ALL_OPS(8)
ALL_OPS(16)
ALL_OPS(32)
ALL_OPS(64)

/* MOVZX, MOVSX, MOVSXD: name, destination bits, source bits, source type. */
#define EXTEND(name, to, from, type)                                                \
	void op_##name##to##_##from##_r(struct soft_cpu *cpu, const struct insn *i) \
	{                                                                           \
		set_reg##to(cpu, i->reg, (u##to)(type)reg##from(cpu, i->rm));       \
	}                                                                           \
	void op_##name##to##_##from##_m(struct soft_cpu *cpu, const struct insn *i) \
	{                                                                           \
		set_reg##to(cpu, i->reg, (u##to)(type)mem_ld##from(cpu, i));        \
	}

EXTEND(movzx, 16, 8, u8)
EXTEND(movzx, 32, 8, u8)
EXTEND(movzx, 64, 8, u8)
EXTEND(movzx, 16, 16, u16)
EXTEND(movzx, 32, 16, u16)
EXTEND(movzx, 64, 16, u16)
EXTEND(movsx, 16, 8, s8)
EXTEND(movsx, 32, 8, s8)
EXTEND(movsx, 64, 8, s8)
EXTEND(movsx, 16, 16, s16)
EXTEND(movsx, 32, 16, s16)
EXTEND(movsx, 64, 16, s16)
EXTEND(movsx, 16, 32, s32)
EXTEND(movsx, 32, 32, s32)
EXTEND(movsx, 64, 32, s32)

void op_lea16(struct soft_cpu *cpu, const struct insn *i)
{
	set_reg16(cpu, i->reg, mem_offset(cpu, i));
}

void op_lea32(struct soft_cpu *cpu, const struct insn *i)
{
	set_reg32(cpu, i->reg, mem_offset(cpu, i));
}

void op_lea64(struct soft_cpu *cpu, const struct insn *i)
{
	set_reg64(cpu, i->reg, mem_offset(cpu, i));
}

/* CMOVcc reads its source whether or not it moves, and zero-extends a 32-bit destination either way. */
#define CMOV(bits)                                                                                 \
	void op_cmov##bits##_r(struct soft_cpu *cpu, const struct insn *i)                         \
	{                                                                                          \
		bool move = alu_cond(&cpu->flags, i->op & 15);                                     \
                                                                                                   \
		set_reg##bits(cpu, i->reg, move ? reg##bits(cpu, i->rm) : reg##bits(cpu, i->reg)); \
	}                                                                                          \
	void op_cmov##bits##_m(struct soft_cpu *cpu, const struct insn *i)                         \
	{                                                                                          \
		u##bits v = mem_ld##bits(cpu, i);                                                  \
		bool move = alu_cond(&cpu->flags, i->op & 15);                                     \
                                                                                                   \
		set_reg##bits(cpu, i->reg, move ? v : reg##bits(cpu, i->reg));                     \
	}

CMOV(16)
CMOV(32)
CMOV(64)

void op_setcc_r(struct soft_cpu *cpu, const struct insn *i)
{
	set_reg8(cpu, i->rm, alu_cond(&cpu->flags, i->op & 15));
}

void op_setcc_m(struct soft_cpu *cpu, const struct insn *i)
{
	mem_st8(cpu, i, alu_cond(&cpu->flags, i->op & 15));
}

void op_nop(struct soft_cpu *cpu, const struct insn *i)
{
}

/* Sign extensions of the accumulator: CBW/CWDE/CDQE and CWD/CDQ/CQO. */
void op_cbw16(struct soft_cpu *cpu, const struct insn *i)
{
	set_reg16(cpu, RAX, (u16)(s8)reg64(cpu, RAX));
}

void op_cbw32(struct soft_cpu *cpu, const struct insn *i)
{
	set_reg32(cpu, RAX, (u32)(s16)reg64(cpu, RAX));
}

void op_cbw64(struct soft_cpu *cpu, const struct insn *i)
{
	set_reg64(cpu, RAX, (u64)(s32)reg64(cpu, RAX));
}

void op_cwd16(struct soft_cpu *cpu, const struct insn *i)
{
	set_reg16(cpu, RDX, (s16)reg64(cpu, RAX) < 0 ? 0xffff : 0);
}

void op_cwd32(struct soft_cpu *cpu, const struct insn *i)
{
	set_reg32(cpu, RDX, (s32)reg64(cpu, RAX) < 0 ? ~0u : 0);
}

void op_cwd64(struct soft_cpu *cpu, const struct insn *i)
{
	set_reg64(cpu, RDX, (s64)reg64(cpu, RAX) < 0 ? ~0ull : 0);
}

void op_bswap16(struct soft_cpu *cpu, const struct insn *i)
{
	set_reg16(cpu, i->rm, 0); /* undefined; zero is what processors give */
}

void op_bswap32(struct soft_cpu *cpu, const struct insn *i)
{
	set_reg32(cpu, i->rm, __builtin_bswap32(reg32(cpu, i->rm)));
}

void op_bswap64(struct soft_cpu *cpu, const struct insn *i)
{
	set_reg64(cpu, i->rm, __builtin_bswap64(reg64(cpu, i->rm)));
}

#define MOVBE(bits)                                                                      \
	void op_movbe##bits##_gm(struct soft_cpu *cpu, const struct insn *i)             \
	{                                                                                \
		set_reg##bits(cpu, i->reg, __builtin_bswap##bits(mem_ld##bits(cpu, i))); \
	}                                                                                \
	void op_movbe##bits##_mr(struct soft_cpu *cpu, const struct insn *i)             \
	{                                                                                \
		mem_st##bits(cpu, i, __builtin_bswap##bits(reg##bits(cpu, i->reg)));     \
	}

MOVBE(16)
MOVBE(32)
MOVBE(64)

/* XLAT: the byte at seg:[rBX + AL]. */
void op_xlat(struct soft_cpu *cpu, const struct insn *i)
{
	u64 offset = reg64(cpu, RBX) + (u8)reg64(cpu, RAX);

	offset = i->asize == 8 ? offset : i->asize == 4 ? (u32)offset : (u16)offset;
	set_reg8(cpu, 0, la_ld8(cpu, soft_linear(cpu, i->seg, offset, 1, ACCESS_READ)));
}

/* CMPXCHG8B and CMPXCHG16B. */
void op_cmpxchg8b(struct soft_cpu *cpu, const struct insn *i)
{
	u64 old, expected = (u64)reg32(cpu, RDX) << 32 | reg32(cpu, RAX);
	u8 *p = mem_rmw64(cpu, i, &old);
	bool equal = old == expected;

	mem_rmw_st64(cpu, p, equal ? (u64)reg32(cpu, RCX) << 32 | reg32(cpu, RBX) : old);
	if (!equal) {
		set_reg32(cpu, RAX, old);
		set_reg32(cpu, RDX, old >> 32);
	}
	alu_set_zf(&cpu->flags, equal);
}

void op_cmpxchg16b(struct soft_cpu *cpu, const struct insn *i)
{
	u64 old[2], next[2] = {reg64(cpu, RBX), reg64(cpu, RCX)};
	u64 la = mem_linear(cpu, i, 16, ACCESS_WRITE);
	bool equal;

	if (la & 15)
		soft_fault_code(cpu, X86_GP, 0);
	soft_probe_write(cpu, la, 16);
	soft_load_bytes(cpu, la, old, 16);
	equal = old[0] == reg64(cpu, RAX) && old[1] == reg64(cpu, RDX);
	soft_store_bytes(cpu, la, equal ? next : old, 16);
	if (!equal) {
		set_reg64(cpu, RAX, old[0]);
		set_reg64(cpu, RDX, old[1]);
	}
	alu_set_zf(&cpu->flags, equal);
}

/* 90 is NOP (and PAUSE), unless REX.B makes it an exchange with R8. */
#define NOP_OR_XCHG(bits)                                                     \
	void op_nop_or_xchg##bits(struct soft_cpu *cpu, const struct insn *i) \
	{                                                                     \
		if (i->rm)                                                    \
			op_xchg##bits##_rr(cpu, i);                           \
	}

NOP_OR_XCHG(16)
NOP_OR_XCHG(32)
NOP_OR_XCHG(64)
