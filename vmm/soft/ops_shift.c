// SPDX-License-Identifier: GPL-2.0-or-later
/* Shifts and rotates, by an immediate (i) or by CL (c), of a register (r) or memory (m). A memory operand is written
 * even when the masked count is zero, as hardware does; only the flags stay. */
#include "vmm/soft/alu.h"
#include "vmm/soft/cpu.h"
#include "vmm/soft/ops.h"

#define SHIFT_BY(name, bits, suffix, count)                                                             \
	void op_##name##bits##_r##suffix(struct soft_cpu *cpu, const struct insn *i)                    \
	{                                                                                               \
		set_reg##bits(cpu, i->rm, alu_##name(&cpu->flags, reg##bits(cpu, i->rm), count, bits)); \
	}                                                                                               \
	void op_##name##bits##_m##suffix(struct soft_cpu *cpu, const struct insn *i)                    \
	{                                                                                               \
		u##bits v;                                                                              \
		u8 *p = mem_rmw##bits(cpu, i, &v);                                                      \
                                                                                                        \
		mem_rmw_st##bits(cpu, p, alu_##name(&cpu->flags, v, count, bits));                      \
	}

#define SHIFT(name, bits)                   \
	SHIFT_BY(name, bits, i, (u8)i->imm) \
	SHIFT_BY(name, bits, c, (u8)reg64(cpu, RCX))

#define SHIFT_SIZES(name) SHIFT(name, 8) SHIFT(name, 16) SHIFT(name, 32) SHIFT(name, 64)

SHIFT_SIZES(rol)
SHIFT_SIZES(ror)
SHIFT_SIZES(rcl)
SHIFT_SIZES(rcr)
SHIFT_SIZES(shl)
SHIFT_SIZES(shr)
SHIFT_SIZES(sar)

#define DOUBLE_BY(name, bits, suffix, count)                                                                        \
	void op_##name##bits##_r##suffix(struct soft_cpu *cpu, const struct insn *i)                                \
	{                                                                                                           \
		set_reg##bits(cpu, i->rm,                                                                           \
			      alu_##name(&cpu->flags, reg##bits(cpu, i->rm), reg##bits(cpu, i->reg), count, bits)); \
	}                                                                                                           \
	void op_##name##bits##_m##suffix(struct soft_cpu *cpu, const struct insn *i)                                \
	{                                                                                                           \
		u##bits v;                                                                                          \
		u8 *p = mem_rmw##bits(cpu, i, &v);                                                                  \
                                                                                                                    \
		mem_rmw_st##bits(cpu, p, alu_##name(&cpu->flags, v, reg##bits(cpu, i->reg), count, bits));          \
	}

#define DOUBLE(name, bits)                   \
	DOUBLE_BY(name, bits, i, (u8)i->imm) \
	DOUBLE_BY(name, bits, c, (u8)reg64(cpu, RCX))

DOUBLE(shld, 16)
DOUBLE(shld, 32)
DOUBLE(shld, 64)
DOUBLE(shrd, 16)
DOUBLE(shrd, 32)
DOUBLE(shrd, 64)
