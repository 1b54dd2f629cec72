// SPDX-License-Identifier: GPL-2.0-or-later
/* Bit test and modify, bit scans, POPCNT, CRC32. */
#include "vmm/soft/alu.h"
#include "vmm/soft/cpu.h"
#include "vmm/soft/ops.h"

/* BT leaves all flags but CF as they were (OF, SF, AF and PF undefined, kept on Intel). */
static void set_cf(struct soft_cpu *cpu, bool cf)
{
	alu_set_cf_of(&cpu->flags, cf, flag_of(&cpu->flags));
}

#define BIT_KEEP(v, mask)  (v)
#define BIT_SET(v, mask)   ((v) | (mask))
#define BIT_CLEAR(v, mask) ((v) & ~(mask))
#define BIT_FLIP(v, mask)  ((v) ^ (mask))

/* A bit offset in a register reaches beyond the operand: the address moves by whole operands. */
static u64 bit_linear(struct soft_cpu *cpu, const struct insn *i, s64 bit, unsigned bits, enum access access)
{
	u64 offset = mem_offset(cpu, i) + (u64)(bit >> (bits == 16 ? 4 : bits == 32 ? 5 : 6)) * (bits / 8);

	offset = i->asize == 8 ? offset : i->asize == 4 ? (u32)offset : (u16)offset;
	return soft_linear(cpu, i->seg, offset, bits / 8, access);
}

#define BIT_REG(name, bits, change)                                                                            \
	void op_##name##bits##_rr(struct soft_cpu *cpu, const struct insn *i)                                  \
	{                                                                                                      \
		u##bits v = reg##bits(cpu, i->rm), mask = (u##bits)1 << (reg##bits(cpu, i->reg) & (bits - 1)); \
                                                                                                               \
		set_cf(cpu, v &mask);                                                                          \
		set_reg##bits(cpu, i->rm, change(v, mask));                                                    \
	}                                                                                                      \
	void op_##name##bits##_ri(struct soft_cpu *cpu, const struct insn *i)                                  \
	{                                                                                                      \
		u##bits v = reg##bits(cpu, i->rm), mask = (u##bits)1 << (i->imm & (bits - 1));                 \
                                                                                                               \
		set_cf(cpu, v &mask);                                                                          \
		set_reg##bits(cpu, i->rm, change(v, mask));                                                    \
	}

#define BIT_MEM(name, bits, change)                                                                             \
	void op_##name##bits##_mr(struct soft_cpu *cpu, const struct insn *i)                                   \
	{                                                                                                       \
		s64 bit = (s64)alu_sext(reg##bits(cpu, i->reg), bits);                                          \
		u64 la = bit_linear(cpu, i, bit, bits, ACCESS_WRITE);                                           \
		u##bits v = (u##bits)soft_rmw_load(cpu, la, bits / 8), mask = (u##bits)1 << (bit & (bits - 1)); \
                                                                                                                \
		soft_store(cpu, la, bits / 8, change(v, mask));                                                 \
		set_cf(cpu, v &mask);                                                                           \
	}                                                                                                       \
	void op_##name##bits##_mi(struct soft_cpu *cpu, const struct insn *i)                                   \
	{                                                                                                       \
		u##bits v, mask = (u##bits)1 << (i->imm & (bits - 1));                                          \
		u8 *p = mem_rmw##bits(cpu, i, &v);                                                              \
                                                                                                                \
		mem_rmw_st##bits(cpu, p, change(v, mask));                                                      \
		set_cf(cpu, v &mask);                                                                           \
	}

#define BIT_TEST_MEM(bits)                                                                \
	void op_bt##bits##_mr(struct soft_cpu *cpu, const struct insn *i)                 \
	{                                                                                 \
		s64 bit = (s64)alu_sext(reg##bits(cpu, i->reg), bits);                    \
		u##bits v = la_ld##bits(cpu, bit_linear(cpu, i, bit, bits, ACCESS_READ)); \
                                                                                          \
		set_cf(cpu, v >> (bit & (bits - 1)) & 1);                                 \
	}                                                                                 \
	void op_bt##bits##_mi(struct soft_cpu *cpu, const struct insn *i)                 \
	{                                                                                 \
		set_cf(cpu, mem_ld##bits(cpu, i) >> (i->imm & (bits - 1)) & 1);           \
	}

#define BIT_SIZES(name, change)   \
	BIT_REG(name, 16, change) \
	BIT_REG(name, 32, change) \
	BIT_REG(name, 64, change)
#define BIT_MEM_SIZES(name, change) \
	BIT_MEM(name, 16, change)   \
	BIT_MEM(name, 32, change)   \
	BIT_MEM(name, 64, change)

/* BT to a 32-bit register must not zero-extend it: it writes nothing. */
#define BIT_TEST_REG(bits)                                                                       \
	void op_bt##bits##_rr(struct soft_cpu *cpu, const struct insn *i)                        \
	{                                                                                        \
		set_cf(cpu, reg##bits(cpu, i->rm) >> (reg##bits(cpu, i->reg) & (bits - 1)) & 1); \
	}                                                                                        \
	void op_bt##bits##_ri(struct soft_cpu *cpu, const struct insn *i)                        \
	{                                                                                        \
		set_cf(cpu, reg##bits(cpu, i->rm) >> (i->imm & (bits - 1)) & 1);                 \
	}

BIT_TEST_REG(16)
BIT_TEST_REG(32)
BIT_TEST_REG(64)
BIT_TEST_MEM(16)
BIT_TEST_MEM(32)
BIT_TEST_MEM(64)
BIT_SIZES(bts, BIT_SET)
BIT_SIZES(btr, BIT_CLEAR)
BIT_SIZES(btc, BIT_FLIP)
BIT_MEM_SIZES(bts, BIT_SET)
BIT_MEM_SIZES(btr, BIT_CLEAR)
BIT_MEM_SIZES(btc, BIT_FLIP)

/* Scans of zero set ZF and leave the destination unchanged, upper half included. */
static void scan(struct soft_cpu *cpu, const struct insn *i, u64 v, unsigned size, bool reverse)
{
	if (v)
		reg_set(cpu, i->reg, size, reverse ? 63 - (unsigned)__builtin_clzll(v) : (unsigned)__builtin_ctzll(v));
	alu_set_zf(&cpu->flags, !v);
}

static void popcnt(struct soft_cpu *cpu, const struct insn *i, u64 v, unsigned size)
{
	reg_set(cpu, i->reg, size, (unsigned)__builtin_popcountll(v));
	flags_set(&cpu->flags, v ? 0 : RFLAGS_ZF);
}

#define SCANS(bits)                                                           \
	void op_bsf##bits##_gr(struct soft_cpu *cpu, const struct insn *i)    \
	{                                                                     \
		scan(cpu, i, reg##bits(cpu, i->rm), bits / 8, false);         \
	}                                                                     \
	void op_bsf##bits##_gm(struct soft_cpu *cpu, const struct insn *i)    \
	{                                                                     \
		scan(cpu, i, mem_ld##bits(cpu, i), bits / 8, false);          \
	}                                                                     \
	void op_bsr##bits##_gr(struct soft_cpu *cpu, const struct insn *i)    \
	{                                                                     \
		scan(cpu, i, reg##bits(cpu, i->rm), bits / 8, true);          \
	}                                                                     \
	void op_bsr##bits##_gm(struct soft_cpu *cpu, const struct insn *i)    \
	{                                                                     \
		scan(cpu, i, mem_ld##bits(cpu, i), bits / 8, true);           \
	}                                                                     \
	void op_popcnt##bits##_gr(struct soft_cpu *cpu, const struct insn *i) \
	{                                                                     \
		popcnt(cpu, i, reg##bits(cpu, i->rm), bits / 8);              \
	}                                                                     \
	void op_popcnt##bits##_gm(struct soft_cpu *cpu, const struct insn *i) \
	{                                                                     \
		popcnt(cpu, i, mem_ld##bits(cpu, i), bits / 8);               \
	}

SCANS(16)
SCANS(32)
SCANS(64)

/* CRC-32C (polynomial 1EDC6F41h, reflected 82F63B78h), bit by bit per byte. */
static void crc32(struct soft_cpu *cpu, const struct insn *i, u64 v, unsigned bytes)
{
	u32 crc = reg32(cpu, i->reg);

	for (; bytes--; v >>= 8) {
		crc ^= (u8)v;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	set_reg32(cpu, i->reg, crc);
}

#define CRC32(bits)                                                          \
	void op_crc32_##bits##_r(struct soft_cpu *cpu, const struct insn *i) \
	{                                                                    \
		crc32(cpu, i, reg##bits(cpu, i->rm), bits / 8);              \
	}                                                                    \
	void op_crc32_##bits##_m(struct soft_cpu *cpu, const struct insn *i) \
	{                                                                    \
		crc32(cpu, i, mem_ld##bits(cpu, i), bits / 8);               \
	}

CRC32(8)
CRC32(16)
CRC32(32)
CRC32(64)
