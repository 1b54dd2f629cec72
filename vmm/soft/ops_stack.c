// SPDX-License-Identifier: GPL-2.0-or-later
/* PUSH, POP, ENTER, LEAVE and the flags' ways to and from stack and AH. */
#include "vmm/soft/ops.h"
#include "vmm/soft/stack.h"
#include "vmm/soft/system.h"

#define PUSHES(bits)                                                       \
	void op_push##bits##_m(struct soft_cpu *cpu, const struct insn *i) \
	{                                                                  \
		soft_push(cpu, bits / 8, mem_ld##bits(cpu, i));            \
	}                                                                  \
	void op_pop##bits##_r(struct soft_cpu *cpu, const struct insn *i)  \
	{                                                                  \
		u##bits v = (u##bits)soft_pop(cpu, bits / 8);              \
                                                                           \
		set_reg##bits(cpu, i->rm, v);                              \
	}                                                                  \
	/* The address is computed with RSP already raised. */             \
	void op_pop##bits##_m(struct soft_cpu *cpu, const struct insn *i)  \
	{                                                                  \
		u64 rsp = reg64(cpu, RSP), la;                             \
		u##bits v = (u##bits)soft_stack_peek(cpu, 0, bits / 8);    \
                                                                           \
		soft_stack_adjust(cpu, bits / 8);                          \
		la = mem_offset(cpu, i);                                   \
		set_reg64(cpu, RSP, rsp);                                  \
		la = soft_linear(cpu, i->seg, la, bits / 8, ACCESS_WRITE); \
		la_st##bits(cpu, la, v);                                   \
		soft_stack_adjust(cpu, bits / 8);                          \
	}

PUSHES(16)
PUSHES(32)

void op_push16_r(struct soft_cpu *cpu, const struct insn *i)
{
	soft_push(cpu, 2, reg16(cpu, i->rm));
}

void op_push32_r(struct soft_cpu *cpu, const struct insn *i)
{
	soft_push(cpu, 4, reg32(cpu, i->rm));
}

void op_push64_r(struct soft_cpu *cpu, const struct insn *i)
{
	soft_push64(cpu, reg64(cpu, i->rm));
}

void op_push64_m(struct soft_cpu *cpu, const struct insn *i)
{
	soft_push64(cpu, mem_ld64(cpu, i));
}

void op_push16_i(struct soft_cpu *cpu, const struct insn *i)
{
	soft_push(cpu, 2, i->imm);
}

void op_push32_i(struct soft_cpu *cpu, const struct insn *i)
{
	soft_push(cpu, 4, i->imm);
}

void op_push64_i(struct soft_cpu *cpu, const struct insn *i)
{
	soft_push64(cpu, i->imm);
}

void op_pop64_r(struct soft_cpu *cpu, const struct insn *i)
{
	u64 v = soft_pop64(cpu);

	set_reg64(cpu, i->rm, v);
}

void op_pop64_m(struct soft_cpu *cpu, const struct insn *i)
{
	u64 rsp = reg64(cpu, RSP), la, v = soft_stack_peek(cpu, 0, 8);

	set_reg64(cpu, RSP, rsp + 8);
	la = mem_offset(cpu, i);
	set_reg64(cpu, RSP, rsp);
	la_st64(cpu, soft_linear(cpu, i->seg, la, 8, ACCESS_WRITE), v);
	set_reg64(cpu, RSP, rsp + 8);
}

/* Which segment an opcode of PUSH or POP names: 06 0E 16 1E, 0F A0, 0F A8. */
static unsigned opcode_segment(const struct insn *i)
{
	return i->op == 0xa0 || i->op == 0xa1 ? SEG_FS : i->op == 0xa8 || i->op == 0xa9 ? SEG_GS : (i->op >> 3) & 3;
}

/* With 32-bit operands Intel's processors move 16 bits, and leave the upper half of the stack's slot (SDM 2B, PUSH). */
void op_push_seg(struct soft_cpu *cpu, const struct insn *i)
{
	u16 selector = cpu->vcpu.regs.seg[opcode_segment(i)].selector;
	u32 esp = reg32(cpu, RSP) - 4;

	if (i->osize != 4 || cpu->push_whole) {
		soft_push(cpu, i->osize, selector);
		return;
	}
	la_st16(cpu, soft_linear(cpu, SEG_SS, cpu->mode & MODE_SS32 ? esp : (u16)esp, 2, ACCESS_WRITE), selector);
	soft_stack_adjust(cpu, -4);
}

void op_pop_seg(struct soft_cpu *cpu, const struct insn *i)
{
	unsigned seg = opcode_segment(i), mode = cpu->mode;
	u64 rsp = reg64(cpu, RSP) + i->osize;
	u16 selector = (u16)soft_stack_peek(cpu, 0, i->osize);

	segment_load(cpu, seg, selector);
	/* A new SS may be of another width: the old one counts for this pop. */
	if (mode & MODE_64)
		set_reg64(cpu, RSP, rsp);
	else if (mode & MODE_SS32)
		set_reg32(cpu, RSP, (u32)rsp);
	else
		set_reg16(cpu, RSP, (u16)rsp);
	if (seg == SEG_SS) {
		cpu->vcpu.regs.interruptibility |= BLOCK_MOV_SS;
		soft_attention(cpu);
	}
}

void op_pusha(struct soft_cpu *cpu, const struct insn *i)
{
	unsigned size = i->osize;
	u64 rsp = reg64(cpu, RSP), mask = cpu->mode & MODE_SS32 ? 0xffffffff : 0xffff;

	/* All eight or none. */
	for (unsigned n = 1; n <= 8; n++)
		soft_probe_write(cpu, soft_linear(cpu, SEG_SS, (rsp - n * size) & mask, size, ACCESS_WRITE), size);
	for (unsigned r = RAX; r <= RDI; r++)
		soft_push(cpu, size, r == RSP ? rsp : reg64(cpu, r));
}

void op_popa(struct soft_cpu *cpu, const struct insn *i)
{
	u64 v[8];

	for (unsigned r = 0; r < 8; r++)
		v[r] = soft_stack_peek(cpu, r * i->osize, i->osize);
	for (unsigned r = RAX; r <= RDI; r++)
		if (r != RSP)
			reg_set(cpu, r, i->osize, v[7 - r]);
	soft_stack_adjust(cpu, i->osize * 8);
}

/* In virtual-8086 mode with IOPL < 3: only 16-bit PUSHF, POPF and IRET with CR4.VME. */
static bool virtual_flags(struct soft_cpu *cpu, const struct insn *i)
{
	enum iopl_right right = cpu->vcpu.regs.rflags & RFLAGS_VM ? soft_iopl_right(cpu) : IOPL_FULL;

	if (right == IOPL_NONE || (right == IOPL_VIRTUAL && i->osize > 2))
		soft_fault_code(cpu, X86_GP, 0);
	return right == IOPL_VIRTUAL;
}

void op_pushf(struct soft_cpu *cpu, const struct insn *i)
{
	u64 rflags = soft_rflags(cpu) & ~(RFLAGS_VM | RFLAGS_RF);

	soft_push(cpu, i->osize, virtual_flags(cpu, i) ? soft_virtual_flags(rflags) : rflags);
}

void op_popf(struct soft_cpu *cpu, const struct insn *i)
{
	u64 old = soft_rflags(cpu), value;
	u64 mask = RFLAGS_STATUS | RFLAGS_TF | RFLAGS_DF | RFLAGS_NT | RFLAGS_AC | RFLAGS_ID;
	unsigned iopl = (old & RFLAGS_IOPL) >> 12;
	bool virtual = virtual_flags(cpu, i);

	value = soft_stack_peek(cpu, 0, i->osize);
	if (virtual)
		old = soft_load_virtual_flags(cpu, old, value);
	soft_stack_adjust(cpu, i->osize);
	if (cpu->cpl == 0)
		mask |= RFLAGS_IOPL;
	if (cpu->cpl <= iopl)
		mask |= RFLAGS_IF;
	if (i->osize == 2)
		mask &= 0xffff;
	soft_load_rflags(cpu, ((old & ~mask) | (value & mask)) & ~RFLAGS_RF);
}

void op_lahf(struct soft_cpu *cpu, const struct insn *i)
{
	set_reg8(cpu, 1, (u8)(flags_get(&cpu->flags) | RFLAGS_1));
}

void op_sahf(struct soft_cpu *cpu, const struct insn *i)
{
	flags_set(&cpu->flags, reg8(cpu, 1) | (flag_of(&cpu->flags) ? RFLAGS_OF : 0));
}

void op_leave(struct soft_cpu *cpu, const struct insn *i)
{
	u64 rbp = reg64(cpu, RBP), offset, v;

	offset = cpu->mode & MODE_64 ? rbp : cpu->mode & MODE_SS32 ? (u32)rbp : (u16)rbp;
	v = soft_load(cpu, soft_linear(cpu, SEG_SS, offset, i->osize, ACCESS_READ), i->osize);
	if (cpu->mode & (MODE_64 | MODE_SS32))
		set_reg64(cpu, RSP, offset);
	else
		set_reg16(cpu, RSP, (u16)offset);
	soft_stack_adjust(cpu, i->osize);
	reg_set(cpu, RBP, i->osize, v);
}

/* ENTER imm16, imm8: a frame with up to 31 display pointers, each copied before the next is read. */
void op_enter(struct soft_cpu *cpu, const struct insn *i)
{
	unsigned level = i->aux & 31, size = i->osize, slots = level ? level + 1 : 1;
	u64 rsp = reg64(cpu, RSP), rbp = reg64(cpu, RBP), frame;
	u64 mask = cpu->mode & MODE_64 ? ~0ull : cpu->mode & MODE_SS32 ? 0xffffffff : 0xffff;

	/* All that can fault comes first; the final stack pointer must be writable too. */
	for (unsigned k = 1; k < level; k++)
		soft_load(cpu, soft_linear(cpu, SEG_SS, (rbp - k * size) & mask, size, ACCESS_READ), size);
	for (unsigned k = 1; k <= slots; k++)
		soft_probe_write(cpu, soft_linear(cpu, SEG_SS, (rsp - k * size) & mask, size, ACCESS_WRITE), size);
	soft_probe_write(cpu, soft_linear(cpu, SEG_SS, (rsp - slots * size - (u16)i->imm) & mask, size, ACCESS_WRITE),
			 size);
	frame = (rsp - size) & mask;
	soft_push(cpu, size, rbp);
	for (unsigned k = 1; k < level; k++)
		soft_push(cpu, size,
			  soft_load(cpu, soft_linear(cpu, SEG_SS, (rbp - k * size) & mask, size, ACCESS_READ), size));
	if (level)
		soft_push(cpu, size, frame);
	reg_set(cpu, RBP, size, frame);
	soft_stack_adjust(cpu, -(s64)(u16)i->imm);
}
