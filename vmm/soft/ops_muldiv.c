// SPDX-License-Identifier: GPL-2.0-or-later
/* Multiplication, division and decimal adjustment. Undefined flags: MUL and IMUL set SF, ZF and PF from the low half
 * of the product; DIV and IDIV leave the flags alone. */
#include "vmm/soft/alu.h"
#include "vmm/soft/cpu.h"
#include "vmm/soft/ops.h"

typedef unsigned __int128 u128;
typedef __int128 s128;

static void mul_flags(struct soft_cpu *cpu, u64 low, bool overflow, unsigned bits)
{
	alu_logic(&cpu->flags, low, bits);
	alu_set_cf_of(&cpu->flags, overflow, overflow);
}

/* One-operand forms: double-width accumulator rDX:rAX, or AX for bytes. */
static void mul8(struct soft_cpu *cpu, u8 v)
{
	u16 r = (u16)((u8)reg64(cpu, RAX) * v);

	set_reg16(cpu, RAX, r);
	mul_flags(cpu, (u8)r, r >> 8, 8);
}

static void imul8(struct soft_cpu *cpu, u8 v)
{
	s16 r = (s16)((s8)reg64(cpu, RAX) * (s8)v);

	set_reg16(cpu, RAX, (u16)r);
	mul_flags(cpu, (u8)r, r != (s8)r, 8);
}

static void div8(struct soft_cpu *cpu, u8 v)
{
	u16 n = reg16(cpu, RAX);

	if (!v || n / v > 0xff)
		soft_fault(cpu, X86_DE);
	set_reg16(cpu, RAX, (u16)((n % v) << 8 | n / v));
}

static void idiv8(struct soft_cpu *cpu, u8 v)
{
	s16 n = (s16)reg16(cpu, RAX);
	s8 d = (s8)v;

	if (!d || n / d != (s8)(n / d))
		soft_fault(cpu, X86_DE);
	set_reg16(cpu, RAX, (u16)((u8)(n % d) << 8 | (u8)(n / d)));
}

#define MULDIV(bits, utype, stype, uwide, swide)                                                              \
	static void mul##bits(struct soft_cpu *cpu, utype v)                                                  \
	{                                                                                                     \
		uwide r = (uwide)reg##bits(cpu, RAX) * v;                                                     \
                                                                                                              \
		set_reg##bits(cpu, RAX, (utype)r);                                                            \
		set_reg##bits(cpu, RDX, (utype)(r >> bits));                                                  \
		mul_flags(cpu, (utype)r, (utype)(r >> bits) != 0, bits);                                      \
	}                                                                                                     \
	static void imul##bits(struct soft_cpu *cpu, utype v)                                                 \
	{                                                                                                     \
		swide r = (swide)(stype)reg##bits(cpu, RAX) * (stype)v;                                       \
                                                                                                              \
		set_reg##bits(cpu, RAX, (utype)r);                                                            \
		set_reg##bits(cpu, RDX, (utype)((uwide)r >> bits));                                           \
		mul_flags(cpu, (utype)r, r != (stype)r, bits);                                                \
	}                                                                                                     \
	static void div##bits(struct soft_cpu *cpu, utype v)                                                  \
	{                                                                                                     \
		uwide n = (uwide)reg##bits(cpu, RDX) << bits | reg##bits(cpu, RAX), q;                        \
                                                                                                              \
		if (reg##bits(cpu, RDX) >= v) /* also v == 0 */                                               \
			soft_fault(cpu, X86_DE);                                                              \
		q = n / v;                                                                                    \
		set_reg##bits(cpu, RAX, (utype)q);                                                            \
		set_reg##bits(cpu, RDX, (utype)(n % v));                                                      \
	}                                                                                                     \
	static void idiv##bits(struct soft_cpu *cpu, utype v)                                                 \
	{                                                                                                     \
		swide n = (swide)((uwide)reg##bits(cpu, RDX) << bits | reg##bits(cpu, RAX));                  \
		stype d = (stype)v;                                                                           \
		swide q;                                                                                      \
                                                                                                              \
		/* The one quotient that overflows the wide type itself. */                                   \
		if (!d || (d == -1 && n == (swide)((uwide)1 << (2 * bits - 1))))                              \
			soft_fault(cpu, X86_DE);                                                              \
		q = n / d;                                                                                    \
		if (q != (stype)q)                                                                            \
			soft_fault(cpu, X86_DE);                                                              \
		set_reg##bits(cpu, RAX, (utype)q);                                                            \
		set_reg##bits(cpu, RDX, (utype)(n % d));                                                      \
	}                                                                                                     \
	static utype imul2_##bits(struct soft_cpu *cpu, utype a, utype b)                                     \
	{                                                                                                     \
		swide r = (swide)(stype)a * (stype)b;                                                         \
                                                                                                              \
		mul_flags(cpu, (utype)r, r != (stype)r, bits);                                                \
		return (utype)r;                                                                              \
	}                                                                                                     \
	void op_imul##bits##_gr(struct soft_cpu *cpu, const struct insn *i)                                   \
	{                                                                                                     \
		set_reg##bits(cpu, i->reg, imul2_##bits(cpu, reg##bits(cpu, i->reg), reg##bits(cpu, i->rm))); \
	}                                                                                                     \
	void op_imul##bits##_gm(struct soft_cpu *cpu, const struct insn *i)                                   \
	{                                                                                                     \
		utype v = mem_ld##bits(cpu, i);                                                               \
                                                                                                              \
		set_reg##bits(cpu, i->reg, imul2_##bits(cpu, reg##bits(cpu, i->reg), v));                     \
	}                                                                                                     \
	void op_imul##bits##_gri(struct soft_cpu *cpu, const struct insn *i)                                  \
	{                                                                                                     \
		set_reg##bits(cpu, i->reg, imul2_##bits(cpu, reg##bits(cpu, i->rm), (utype)i->imm));          \
	}                                                                                                     \
	void op_imul##bits##_gmi(struct soft_cpu *cpu, const struct insn *i)                                  \
	{                                                                                                     \
		utype v = mem_ld##bits(cpu, i);                                                               \
                                                                                                              \
		set_reg##bits(cpu, i->reg, imul2_##bits(cpu, v, (utype)i->imm));                              \
	}

MULDIV(16, u16, s16, u32, s32)
MULDIV(32, u32, s32, u64, s64)
MULDIV(64, u64, s64, u128, s128)

#define ONE_OPERAND(name, bits)                                              \
	void op_##name##bits##_r(struct soft_cpu *cpu, const struct insn *i) \
	{                                                                    \
		name##bits(cpu, reg##bits(cpu, i->rm));                      \
	}                                                                    \
	void op_##name##bits##_m(struct soft_cpu *cpu, const struct insn *i) \
	{                                                                    \
		name##bits(cpu, mem_ld##bits(cpu, i));                       \
	}

#define ONE_OPERAND_SIZES(name) ONE_OPERAND(name, 8) ONE_OPERAND(name, 16) ONE_OPERAND(name, 32) ONE_OPERAND(name, 64)

ONE_OPERAND_SIZES(mul)
ONE_OPERAND_SIZES(imul)
ONE_OPERAND_SIZES(div)
ONE_OPERAND_SIZES(idiv)

/* Decimal adjustment (SDM volume 2, DAA and DAS). OF is undefined: cleared. */
static void decimal_adjust(struct soft_cpu *cpu, bool subtract)
{
	u8 al = reg8(cpu, 0), old = al;
	bool cf = flag_cf(&cpu->flags), af = flag_af(&cpu->flags), new_cf = false;

	if ((al & 15) > 9 || af) {
		new_cf = cf || (subtract ? al < 6 : al > 0xf9);
		al = subtract ? al - 6 : al + 6;
		af = true;
	} else {
		af = false;
	}
	if (old > 0x99 || cf) {
		al = subtract ? al - 0x60 : al + 0x60;
		new_cf = true;
	}
	set_reg8(cpu, 0, al);
	alu_logic(&cpu->flags, al, 8);
	cpu->flags.aux = af ? 0x10 : 0;
	alu_set_cf_of(&cpu->flags, new_cf, false);
}

void op_daa(struct soft_cpu *cpu, const struct insn *i)
{
	decimal_adjust(cpu, false);
}

void op_das(struct soft_cpu *cpu, const struct insn *i)
{
	decimal_adjust(cpu, true);
}

static void ascii_adjust(struct soft_cpu *cpu, int sign)
{
	u16 ax = reg16(cpu, RAX);
	bool adjust = (ax & 15) > 9 || flag_af(&cpu->flags);

	if (adjust)
		ax = (u16)(ax + sign * 0x106);
	ax &= 0xff0f;
	set_reg16(cpu, RAX, ax);
	alu_logic(&cpu->flags, (u8)ax, 8);
	cpu->flags.aux = adjust ? 0x10 : 0;
	alu_set_cf_of(&cpu->flags, adjust, false);
}

void op_aaa(struct soft_cpu *cpu, const struct insn *i)
{
	ascii_adjust(cpu, 1);
}

void op_aas(struct soft_cpu *cpu, const struct insn *i)
{
	ascii_adjust(cpu, -1);
}

/* SALC, undocumented but in every processor: AL from CF. */
void op_salc(struct soft_cpu *cpu, const struct insn *i)
{
	set_reg8(cpu, 0, flag_cf(&cpu->flags) ? 0xff : 0);
}

void op_aam(struct soft_cpu *cpu, const struct insn *i)
{
	u8 al = reg8(cpu, 0), base = (u8)i->imm;

	if (!base)
		soft_fault(cpu, X86_DE);
	set_reg16(cpu, RAX, (u16)((al / base) << 8 | al % base));
	alu_logic(&cpu->flags, al % base, 8);
}

void op_aad(struct soft_cpu *cpu, const struct insn *i)
{
	u8 al = (u8)(reg8(cpu, 0) + reg8(cpu, 1) * (u8)i->imm);

	set_reg16(cpu, RAX, al);
	alu_logic(&cpu->flags, al, 8);
}
