// SPDX-License-Identifier: GPL-2.0-or-later
/* Near branches. A direct target is computed when the instruction is decoded and stands in insn.imm. */
#include "vmm/soft/alu.h"
#include "vmm/soft/ops.h"
#include "vmm/soft/stack.h"

/* #GP(0) for a target outside the code segment or not canonical; nothing has changed yet. */
static inline void branch_check(struct soft_cpu *cpu, u64 rip)
{
	if (likely(cpu->mode & MODE_64)) {
		if (unlikely(!x86_canonical(rip)))
			soft_fault_code(cpu, X86_GP, 0);
	} else if (unlikely(rip > cpu->vcpu.regs.seg[SEG_CS].limit)) {
		soft_fault_code(cpu, X86_GP, 0);
	}
}

static inline void branch_to(struct soft_cpu *cpu, u64 rip)
{
	branch_check(cpu, rip);
	cpu->vcpu.regs.rip = rip;
}

void op_jmp_rel(struct soft_cpu *cpu, const struct insn *i)
{
	branch_to(cpu, i->imm);
}

#define INDIRECT(bits)                                                     \
	void op_jmp##bits##_r(struct soft_cpu *cpu, const struct insn *i)  \
	{                                                                  \
		branch_to(cpu, reg##bits(cpu, i->rm));                     \
	}                                                                  \
	void op_jmp##bits##_m(struct soft_cpu *cpu, const struct insn *i)  \
	{                                                                  \
		branch_to(cpu, mem_ld##bits(cpu, i));                      \
	}                                                                  \
	void op_call##bits##_r(struct soft_cpu *cpu, const struct insn *i) \
	{                                                                  \
		u64 target = reg##bits(cpu, i->rm);                        \
                                                                           \
		branch_check(cpu, target);                                 \
		soft_push(cpu, bits / 8, insn_next_rip(cpu, i));           \
		cpu->vcpu.regs.rip = target;                               \
	}                                                                  \
	void op_call##bits##_m(struct soft_cpu *cpu, const struct insn *i) \
	{                                                                  \
		u64 target = mem_ld##bits(cpu, i);                         \
                                                                           \
		branch_check(cpu, target);                                 \
		soft_push(cpu, bits / 8, insn_next_rip(cpu, i));           \
		cpu->vcpu.regs.rip = target;                               \
	}

INDIRECT(16)
INDIRECT(32)
INDIRECT(64)

void op_call_rel(struct soft_cpu *cpu, const struct insn *i)
{
	branch_check(cpu, i->imm);
	soft_push(cpu, i->osize, insn_next_rip(cpu, i));
	cpu->vcpu.regs.rip = i->imm;
}

void op_call64_rel(struct soft_cpu *cpu, const struct insn *i)
{
	branch_check(cpu, i->imm);
	soft_push64(cpu, insn_next_rip(cpu, i));
	cpu->vcpu.regs.rip = i->imm;
}

void op_ret64(struct soft_cpu *cpu, const struct insn *i)
{
	u64 rsp = reg64(cpu, RSP), target = soft_pop64(cpu);

	if (unlikely(!x86_canonical(target))) {
		set_reg64(cpu, RSP, rsp);
		soft_fault_code(cpu, X86_GP, 0);
	}
	cpu->vcpu.regs.rip = target;
}

void op_ret_i(struct soft_cpu *cpu, const struct insn *i)
{
	u64 target = soft_stack_peek(cpu, 0, i->osize);

	branch_check(cpu, target);
	soft_stack_adjust(cpu, i->osize + (s64)(u16)i->imm);
	cpu->vcpu.regs.rip = target;
}

void op_ret(struct soft_cpu *cpu, const struct insn *i)
{
	op_ret_i(cpu, i); /* insn.imm is 0 */
}

/* A conditional branch counts as retired whether or not it is taken. */
static inline void branch_if(struct soft_cpu *cpu, const struct insn *i, bool taken)
{
	if (taken)
		branch_to(cpu, i->imm);
	cpu->vcpu.branches++;
}

#define JCC(cc)                                                      \
	void op_jcc_##cc(struct soft_cpu *cpu, const struct insn *i) \
	{                                                            \
		branch_if(cpu, i, alu_cond(&cpu->flags, cc));        \
	}

JCC(0)
JCC(1)
JCC(2)
JCC(3)
JCC(4)
JCC(5)
JCC(6)
JCC(7)
JCC(8)
JCC(9)
JCC(10)
JCC(11)
JCC(12)
JCC(13)
JCC(14)
JCC(15)

/* LOOPcc and JrCXZ count in the address size. */
void op_jcxz(struct soft_cpu *cpu, const struct insn *i)
{
	branch_if(cpu, i, reg_get(cpu, RCX, i->asize) == 0);
}

static void loop_if(struct soft_cpu *cpu, const struct insn *i, bool also)
{
	u64 count = reg_get(cpu, RCX, i->asize) - 1;
	bool taken = reg_get(cpu, RCX, i->asize) != 1 && also;

	if (taken)
		branch_check(cpu, i->imm);
	reg_set(cpu, RCX, i->asize, count);
	branch_if(cpu, i, taken);
}

void op_loop(struct soft_cpu *cpu, const struct insn *i)
{
	loop_if(cpu, i, true);
}

void op_loope(struct soft_cpu *cpu, const struct insn *i)
{
	loop_if(cpu, i, flag_zf(&cpu->flags));
}

void op_loopne(struct soft_cpu *cpu, const struct insn *i)
{
	loop_if(cpu, i, !flag_zf(&cpu->flags));
}
