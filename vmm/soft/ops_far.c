// SPDX-License-Identifier: GPL-2.0-or-later
/* Far transfers, software interrupts, fast system calls, segment register loads (SDM 3A 5.8). */
#include "vmm/soft/ops.h"
#include "vmm/soft/stack.h"
#include "vmm/soft/system.h"

static void far_real(struct soft_cpu *cpu, u16 selector, u64 offset)
{
	struct x86_state *s = &cpu->vcpu.regs;

	if (offset > s->seg[SEG_CS].limit)
		soft_fault_code(cpu, X86_GP, 0);
	s->seg[SEG_CS].selector = selector;
	s->seg[SEG_CS].base = (u64)selector << 4;
	if (s->rflags & RFLAGS_VM)
		s->seg[SEG_CS].ar = 0xf3;
	s->rip = offset;
	soft_mode_changed(cpu);
}

/* #GP unless @offset lies in the code segment @d. */
static void check_target(struct soft_cpu *cpu, const struct descriptor *d, u64 offset)
{
	bool is64 = x86_long_mode(&cpu->vcpu.regs) && DESC_L(d);

	if (is64 ? !x86_canonical(offset) : offset > descriptor_limit(d))
		soft_fault_code(cpu, X86_GP, 0);
}

/* Checks of a code descriptor that a JMP or CALL names directly. */
static void check_direct(struct soft_cpu *cpu, const struct descriptor *d)
{
	u32 error = d->selector & 0xfffcu;
	unsigned rpl = d->selector & 3;

	if (DESC_CONFORMING(d) ? DESC_DPL(d) > cpu->cpl : rpl > cpu->cpl || DESC_DPL(d) != cpu->cpl)
		soft_fault_code(cpu, X86_GP, error);
	if (x86_long_mode(&cpu->vcpu.regs) && DESC_L(d) && DESC_DB(d))
		soft_fault_code(cpu, X86_GP, error);
	if (!DESC_P(d))
		soft_fault_code(cpu, X86_NP, error);
}

/* Reads what a call gate leads to: its code descriptor, offset and parameter count. @jump: by JMP, which can't change
 * privilege. */
static u64 gate_fetch(struct soft_cpu *cpu, const struct descriptor *gate, bool jump, struct descriptor *code,
		      unsigned *params)
{
	bool lm = x86_long_mode(&cpu->vcpu.regs), wide = DESC_TYPE(gate) & 8;
	u16 selector = gate->raw >> 16 & 0xffff;
	u32 error = gate->selector & 0xfffcu;

	if (DESC_DPL(gate) < cpu->cpl || DESC_DPL(gate) < (unsigned)(gate->selector & 3))
		soft_fault_code(cpu, X86_GP, error);
	if (lm && (!descriptor_whole(cpu, gate) || (gate->high >> 40 & 31)))
		soft_fault_code(cpu, X86_GP, error);
	if (!DESC_P(gate))
		soft_fault_code(cpu, X86_NP, error);
	if (!(selector & 0xfffc))
		soft_fault_code(cpu, X86_GP, 0);
	descriptor_fetch(cpu, selector, code, X86_GP);
	if (!DESC_S(code) || !DESC_CODE(code) || DESC_DPL(code) > cpu->cpl || (lm && (!DESC_L(code) || DESC_DB(code))))
		soft_fault_code(cpu, X86_GP, selector & 0xfffcu);
	if (jump && !DESC_CONFORMING(code) && DESC_DPL(code) != cpu->cpl)
		soft_fault_code(cpu, X86_GP, selector & 0xfffcu);
	if (!DESC_P(code))
		soft_fault_code(cpu, X86_NP, selector & 0xfffcu);
	*params = lm ? 0 : gate->raw >> 32 & 31;
	return (gate->raw & 0xffff) | (wide ? gate->raw >> 32 & 0xffff0000 : 0) |
	       (lm ? (gate->high & 0xffffffff) << 32 : 0);
}

/* JMP or CALL to a system descriptor. True: it is a call gate, for the caller to go through; false: the task was switched. */
static bool far_system(struct soft_cpu *cpu, struct descriptor *d, enum task_source source, u64 return_rip)
{
	unsigned type = DESC_TYPE(d);
	u32 error = d->selector & 0xfffcu;
	bool lm = x86_long_mode(&cpu->vcpu.regs);
	struct descriptor tss = *d;

	if (type == SYS_CALL || (type == SYS_CALL16 && !lm))
		return true;
	if (lm || (type != SYS_TASK && type != SYS_TSS && type != SYS_TSS16))
		soft_fault_code(cpu, X86_GP, error);
	if (DESC_DPL(d) < cpu->cpl || DESC_DPL(d) < (unsigned)(d->selector & 3))
		soft_fault_code(cpu, X86_GP, error);
	if (type == SYS_TASK && !DESC_P(d))
		soft_fault_code(cpu, X86_NP, error);
	soft_task_fetch(cpu, type == SYS_TASK ? d->raw >> 16 & 0xffff : d->selector, false, X86_GP, &tss);
	soft_task_switch(cpu, &tss, source, return_rip, soft_rflags(cpu), NULL);
	return false;
}

static void far_jump(struct soft_cpu *cpu, u16 selector, u64 offset, u64 return_rip)
{
	struct descriptor d, code;
	unsigned params;

	if (cpu->mode & MODE_REAL) {
		far_real(cpu, selector, offset);
		return;
	}
	if (!(selector & 0xfffc))
		soft_fault_code(cpu, X86_GP, 0);
	descriptor_fetch(cpu, selector, &d, X86_GP);
	if (!DESC_S(&d)) {
		if (!far_system(cpu, &d, TASK_JMP, return_rip))
			return;
		offset = gate_fetch(cpu, &d, true, &code, &params);
		d = code;
	} else {
		if (!DESC_CODE(&d))
			soft_fault_code(cpu, X86_GP, selector & 0xfffcu);
		check_direct(cpu, &d);
	}
	check_target(cpu, &d, offset);
	code_segment_set(cpu, &d, cpu->cpl);
	cpu->vcpu.regs.rip = offset;
	soft_mode_changed(cpu);
}

/* CALL through a gate to an inner ring: new stack, parameters copied, old SS:RSP first. */
static void call_inner(struct soft_cpu *cpu, struct descriptor *code, u64 offset, unsigned params, unsigned size,
		       u64 return_rip)
{
	struct x86_state *s = &cpu->vcpu.regs;
	unsigned cpl = DESC_DPL(code), n = 0;
	struct descriptor ss;
	u64 sp, values[36];
	u8 frame[36 * 8];
	u16 selector;

	tss_stack(cpu, cpl, &selector, &sp);
	if (!x86_long_mode(s))
		stack_segment_fetch(cpu, selector, cpl, X86_TS, &ss);
	else if (!x86_canonical(sp))
		soft_fault_code(cpu, X86_SS, 0);
	check_target(cpu, code, offset);
	values[n++] = return_rip;
	values[n++] = s->seg[SEG_CS].selector;
	for (unsigned k = 0; k < params; k++)
		values[n++] = soft_stack_peek(cpu, k * size, size);
	values[n++] = reg64(cpu, RSP);
	values[n++] = s->seg[SEG_SS].selector;
	for (unsigned k = 0; k < n; k++)
		memcpy(frame + k * size, &values[k], size);
	if (!x86_long_mode(s)) {
		struct x86_segment stack = descriptor_segment(&ss);

		stack_frame_check(cpu, &stack, (u32)sp, size, n * size, selector & 0xfffcu);
		descriptor_set_accessed(cpu, &ss);
		stack_frame_store(cpu, &stack, (u32)sp, cpl, frame, n * size);
	} else {
		struct tlb *tlb = cpu->tlb;

		cpu->tlb = &cpu->tlbs[MMU_KERNEL];
		soft_store_bytes(cpu, sp - n * size, frame, n * size);
		cpu->tlb = tlb;
	}
	sp -= n * size;
	code_segment_set(cpu, code, cpl);
	if (x86_long_mode(s)) {
		s->seg[SEG_SS] = (struct x86_segment){.selector = (u16)cpl, .ar = AR_UNUSABLE | cpl << AR_DPL_SHIFT};
		set_reg64(cpu, RSP, sp);
	} else {
		s->seg[SEG_SS] = descriptor_segment(&ss);
		if (DESC_DB(&ss))
			set_reg32(cpu, RSP, (u32)sp);
		else
			set_reg16(cpu, RSP, (u16)sp);
	}
	s->rip = offset;
	soft_mode_changed(cpu);
}

static void far_call(struct soft_cpu *cpu, u16 selector, u64 offset, unsigned size, u64 return_rip)
{
	struct x86_state *s = &cpu->vcpu.regs;
	u64 rsp = reg64(cpu, RSP);
	struct descriptor d, code;
	unsigned params = 0;

	if (cpu->mode & MODE_REAL) {
		if (offset > s->seg[SEG_CS].limit)
			soft_fault_code(cpu, X86_GP, 0);
		soft_probe_write(cpu, soft_linear(cpu, SEG_SS, (u16)(rsp - 2 * size), size, ACCESS_WRITE), size);
		soft_push(cpu, size, s->seg[SEG_CS].selector);
		soft_push(cpu, size, return_rip);
		far_real(cpu, selector, offset);
		return;
	}
	if (!(selector & 0xfffc))
		soft_fault_code(cpu, X86_GP, 0);
	descriptor_fetch(cpu, selector, &d, X86_GP);
	if (!DESC_S(&d)) {
		if (!far_system(cpu, &d, TASK_CALL, return_rip))
			return;
		offset = gate_fetch(cpu, &d, false, &code, &params);
		size = x86_long_mode(s) ? 8 : DESC_TYPE(&d) & 8 ? 4 : 2;
		d = code;
		if (!DESC_CONFORMING(&code) && DESC_DPL(&code) < cpu->cpl) {
			call_inner(cpu, &code, offset, params, size, return_rip);
			return;
		}
	} else {
		if (!DESC_CODE(&d))
			soft_fault_code(cpu, X86_GP, selector & 0xfffcu);
		check_direct(cpu, &d);
	}
	check_target(cpu, &d, offset);
	/* Both slots and the descriptor must be writable before the first is written. */
	descriptor_set_accessed(cpu, &d);
	soft_stack_adjust(cpu, -(s64)size);
	u64 second = (cpu->mode & MODE_64     ? reg64(cpu, RSP)
		      : cpu->mode & MODE_SS32 ? reg32(cpu, RSP)
					      : reg16(cpu, RSP));

	set_reg64(cpu, RSP, rsp);
	soft_probe_write(cpu, soft_linear(cpu, SEG_SS, second - size, size, ACCESS_WRITE), size);
	soft_push(cpu, size, s->seg[SEG_CS].selector);
	soft_push(cpu, size, return_rip);
	code_segment_set(cpu, &d, cpu->cpl);
	s->rip = offset;
	soft_mode_changed(cpu);
}

void op_jmp_far_i(struct soft_cpu *cpu, const struct insn *i)
{
	far_jump(cpu, i->aux, i->imm, insn_next_rip(cpu, i));
}

void op_call_far_i(struct soft_cpu *cpu, const struct insn *i)
{
	far_call(cpu, i->aux, i->imm, i->osize, insn_next_rip(cpu, i));
}

static u64 far_pointer(struct soft_cpu *cpu, const struct insn *i, u16 *selector)
{
	u64 la = mem_linear(cpu, i, i->osize + 2u, ACCESS_READ), at = la + i->osize;
	/* Two operands, each aligned as such; SDM 3A table 6-7. */
	u64 offset = i->osize == 2 ? la_ld16(cpu, la) : i->osize == 4 ? la_ld32(cpu, la) : la_ld64(cpu, la);

	*selector = la_ld16(cpu, cpu->mode & MODE_64 ? at : (u32)at);
	return offset;
}

void op_jmp_far_m(struct soft_cpu *cpu, const struct insn *i)
{
	u16 selector;
	u64 offset = far_pointer(cpu, i, &selector);

	far_jump(cpu, selector, offset, insn_next_rip(cpu, i));
}

void op_call_far_m(struct soft_cpu *cpu, const struct insn *i)
{
	u16 selector;
	u64 offset = far_pointer(cpu, i, &selector);

	far_call(cpu, selector, offset, i->osize, insn_next_rip(cpu, i));
}

/* LES, LDS, LSS, LFS, LGS. */
void op_load_far_ptr(struct soft_cpu *cpu, const struct insn *i)
{
	unsigned seg = i->op == 0xc4   ? SEG_ES
		       : i->op == 0xc5 ? SEG_DS
		       : i->op == 0xb2 ? SEG_SS
		       : i->op == 0xb4 ? SEG_FS
				       : SEG_GS;
	u16 selector;
	u64 offset = far_pointer(cpu, i, &selector);

	segment_load(cpu, seg, selector);
	reg_set(cpu, i->reg, i->osize, offset);
}

/* What RETF and IRET take from the stack. */
struct far_return {
	u64 rip, rsp, rflags;
	u16 cs, ss;
};

/* The common tail of RETF and IRET in protected and long mode. @above: bytes from the top of stack to the slots of the
 * outer RSP and SS; @extra: bytes that RETF imm16 releases; @always_stack: long mode's IRET, which always pops SS:RSP. */
static void far_return(struct soft_cpu *cpu, struct far_return *r, unsigned size, unsigned above, unsigned extra,
		       bool always_stack, void (*flags)(struct soft_cpu *, const struct far_return *, unsigned))
{
	struct x86_state *s = &cpu->vcpu.regs;
	unsigned rpl = r->cs & 3, cpl = cpu->cpl;
	struct descriptor code, stack = {0};
	bool outer = rpl > cpl, null_ss = false;

	if (!(r->cs & 0xfffc))
		soft_fault_code(cpu, X86_GP, 0);
	descriptor_fetch(cpu, r->cs, &code, X86_GP);
	if (!DESC_S(&code) || !DESC_CODE(&code) || rpl < cpl ||
	    (DESC_CONFORMING(&code) ? DESC_DPL(&code) > rpl : DESC_DPL(&code) != rpl) ||
	    (x86_long_mode(s) && DESC_L(&code) && DESC_DB(&code)))
		soft_fault_code(cpu, X86_GP, r->cs & 0xfffcu);
	if (!DESC_P(&code))
		soft_fault_code(cpu, X86_NP, r->cs & 0xfffcu);
	if (outer || always_stack) {
		r->rsp = soft_stack_peek(cpu, above, size);
		r->ss = (u16)soft_stack_peek(cpu, above + size, size < 8 ? size : 8);
		null_ss = !(r->ss & 0xfffc);
		if (null_ss && (!x86_long_mode(s) || !DESC_L(&code) || rpl == 3 || (r->ss & 3) != rpl))
			soft_fault_code(cpu, X86_GP, 0);
		if (!null_ss)
			stack_segment_fetch(cpu, r->ss, rpl, X86_GP, &stack);
	}
	check_target(cpu, &code, r->rip);
	descriptor_set_accessed(cpu, &code);
	if (!outer && !always_stack)
		soft_stack_adjust(cpu, above + extra);
	if (!null_ss && (outer || always_stack))
		descriptor_set_accessed(cpu, &stack);
	code_segment_set(cpu, &code, rpl);
	s->rip = r->rip;
	if (outer || always_stack) {
		if (null_ss)
			s->seg[SEG_SS] =
			    (struct x86_segment){.selector = r->ss, .ar = AR_UNUSABLE | rpl << AR_DPL_SHIFT};
		else
			s->seg[SEG_SS] = descriptor_segment(&stack);
		/* What was popped is zero-extended; how much of RSP takes it is up to the new stack's size. */
		if (null_ss || (x86_long_mode(s) && DESC_L(&code)))
			set_reg64(cpu, RSP, r->rsp + extra);
		else if (DESC_DB(&stack))
			set_reg32(cpu, RSP, (u32)(r->rsp + extra));
		else
			set_reg16(cpu, RSP, (u16)(r->rsp + extra));
	}
	if (flags)
		flags(cpu, r, cpl);
	if (outer)
		segments_drop_privileged(cpu, rpl);
	soft_mode_changed(cpu);
}

void op_ret_far(struct soft_cpu *cpu, const struct insn *i)
{
	unsigned size = i->osize, extra = i->op == 0xca ? (u16)i->imm : 0;
	struct far_return r = {0};

	r.rip = soft_stack_peek(cpu, 0, size);
	r.cs = (u16)soft_stack_peek(cpu, size, size);
	if (cpu->mode & MODE_REAL) {
		if (r.rip > cpu->vcpu.regs.seg[SEG_CS].limit)
			soft_fault_code(cpu, X86_GP, 0);
		soft_stack_adjust(cpu, 2 * size + extra);
		far_real(cpu, r.cs, r.rip);
		return;
	}
	/* To an outer ring, the parameters stand between CS and the outer RSP, and are released on both stacks. */
	if ((r.cs & 3u) > cpu->cpl)
		far_return(cpu, &r, size, 2 * size + extra, extra, false, NULL);
	else
		far_return(cpu, &r, size, 2 * size, extra, false, NULL);
}

/* RFLAGS as IRET loads them: IOPL only from CPL 0, IF when CPL <= IOPL, by operand size. */
static void iret_flags(struct soft_cpu *cpu, const struct far_return *r, unsigned cpl)
{
	u64 old = soft_rflags(cpu);
	u64 mask = RFLAGS_STATUS | RFLAGS_TF | RFLAGS_DF | RFLAGS_NT;

	if (cpu->cur->osize > 2)
		mask |= RFLAGS_RF | RFLAGS_AC | RFLAGS_ID;
	if (cpl <= (old & RFLAGS_IOPL) >> 12)
		mask |= RFLAGS_IF;
	else if (old & RFLAGS_VM)
		old = soft_load_virtual_flags(cpu, old, r->rflags);
	if (cpl == 0)
		mask |= RFLAGS_IOPL | (cpu->cur->osize > 2 ? RFLAGS_VIF | RFLAGS_VIP : 0);
	soft_load_rflags(cpu, (old & ~mask) | (r->rflags & mask));
}

static void iret_to_vm86(struct soft_cpu *cpu, const struct far_return *r)
{
	static const u8 order[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};
	struct x86_state *s = &cpu->vcpu.regs;
	u32 esp = (u32)soft_stack_peek(cpu, 12, 4);
	u16 selectors[SEG_COUNT];

	if (r->rip > 0xffff)
		soft_fault_code(cpu, X86_GP, 0);
	selectors[SEG_CS] = r->cs;
	selectors[SEG_SS] = (u16)soft_stack_peek(cpu, 16, 4);
	for (unsigned n = 0; n < ARRAY_SIZE(order); n++)
		selectors[order[n]] = (u16)soft_stack_peek(cpu, 20 + 4 * n, 4);
	for (unsigned seg = 0; seg < SEG_COUNT; seg++)
		s->seg[seg] = (struct x86_segment){
		    .selector = selectors[seg], .base = (u64)selectors[seg] << 4, .limit = 0xffff, .ar = 0xf3};
	set_reg32(cpu, RSP, esp);
	s->rip = (u16)r->rip;
	soft_load_rflags(cpu, r->rflags & 0x3f7fd7);
	soft_mode_changed(cpu);
	soft_attention(cpu);
}

void op_iret(struct soft_cpu *cpu, const struct insn *i)
{
	struct x86_state *s = &cpu->vcpu.regs;
	unsigned size = i->osize;
	struct far_return r = {0};

	if (s->rflags & RFLAGS_VM) {
		enum iopl_right right = soft_iopl_right(cpu);

		if (right == IOPL_NONE || (right == IOPL_VIRTUAL && size > 2))
			soft_fault_code(cpu, X86_GP, 0);
	} else if (!(cpu->mode & MODE_REAL) && (s->rflags & RFLAGS_NT)) {
		if (x86_long_mode(s))
			soft_fault_code(cpu, X86_GP, 0);
		soft_task_return(cpu, insn_next_rip(cpu, i));
		s->interruptibility &= ~(u32)BLOCK_NMI;
		return;
	}
	r.rip = soft_stack_peek(cpu, 0, size);
	r.cs = (u16)soft_stack_peek(cpu, size, size);
	r.rflags = soft_stack_peek(cpu, 2 * size, size);
	if (cpu->mode & MODE_REAL) {
		if (r.rip > s->seg[SEG_CS].limit)
			soft_fault_code(cpu, X86_GP, 0);
		iret_flags(cpu, &r, cpu->cpl);
		soft_stack_adjust(cpu, 3 * size);
		far_real(cpu, r.cs, r.rip);
	} else if ((r.rflags & RFLAGS_VM) && size == 4 && cpu->cpl == 0 && !x86_long_mode(s)) {
		iret_to_vm86(cpu, &r);
	} else {
		far_return(cpu, &r, size, 3 * size, 0, cpu->mode & MODE_64, iret_flags);
	}
	s->interruptibility &= ~(u32)BLOCK_NMI;
	soft_attention(cpu);
}

/* --- software interrupts --- */

static void software_interrupt(struct soft_cpu *cpu, const struct insn *i, u8 vector, enum event_source source)
{
	soft_interrupt(cpu, vector, source, false, 0, insn_next_rip(cpu, i));
	soft_event(cpu, TARGET_EVENT_EXCEPTION, vector);
}

void op_int3(struct soft_cpu *cpu, const struct insn *i)
{
	software_interrupt(cpu, i, X86_BP, EVENT_SOFTWARE);
}

void op_int_n(struct soft_cpu *cpu, const struct insn *i)
{
	if (!(cpu->vcpu.regs.rflags & RFLAGS_VM) || !soft_vm86_int(cpu, (u8)i->imm, insn_next_rip(cpu, i)))
		software_interrupt(cpu, i, (u8)i->imm, EVENT_SOFTWARE);
}

void op_into(struct soft_cpu *cpu, const struct insn *i)
{
	if (flag_of(&cpu->flags))
		software_interrupt(cpu, i, X86_OF, EVENT_SOFTWARE);
}

void op_int1(struct soft_cpu *cpu, const struct insn *i)
{
	software_interrupt(cpu, i, X86_DB, EVENT_ICEBP);
}

/* --- SYSCALL, SYSRET, SYSENTER, SYSEXIT --- */

static void flat_segment(struct x86_segment *s, u16 selector, unsigned dpl, bool code, bool is64)
{
	s->selector = selector;
	s->base = 0;
	s->limit = 0xffffffff;
	s->ar = AR_P | AR_S | AR_G | AR_RW | AR_ACCESSED | dpl << AR_DPL_SHIFT | (code ? AR_CODE : 0) |
		(code && is64 ? AR_L : AR_DB);
}

void op_syscall(struct soft_cpu *cpu, const struct insn *i)
{
	struct x86_state *s = &cpu->vcpu.regs;
	u16 selector = s->star >> 32 & 0xfffc;

	if (!(s->efer & EFER_SCE) || !(cpu->mode & MODE_64)) /* Intel: 64-bit mode only */
		soft_fault(cpu, X86_UD);
	set_reg64(cpu, RCX, insn_next_rip(cpu, i));
	set_reg64(cpu, R11, soft_rflags(cpu) & ~RFLAGS_RF);
	flat_segment(&s->seg[SEG_CS], selector, 0, true, true);
	flat_segment(&s->seg[SEG_SS], (u16)(selector + 8), 0, false, false);
	s->rip = s->lstar;
	soft_set_rflags(cpu, soft_rflags(cpu) & ~(s->sfmask | RFLAGS_RF));
	cpu->no_step_trap = !(s->rflags & RFLAGS_TF);
	soft_mode_changed(cpu);
}

void op_sysret(struct soft_cpu *cpu, const struct insn *i)
{
	struct x86_state *s = &cpu->vcpu.regs;
	u16 selector = (u16)(s->star >> 48);
	bool is64 = i->osize == 8;

	if (!(s->efer & EFER_SCE) || !(cpu->mode & MODE_64))
		soft_fault(cpu, X86_UD);
	soft_require_cpl0(cpu);
	if (is64 && !x86_canonical(reg64(cpu, RCX)))
		soft_fault_code(cpu, X86_GP, 0);
	flat_segment(&s->seg[SEG_CS], (u16)((selector + (is64 ? 16 : 0)) | 3), 3, true, is64);
	flat_segment(&s->seg[SEG_SS], (u16)((selector + 8) | 3), 3, false, false);
	s->rip = is64 ? reg64(cpu, RCX) : reg32(cpu, RCX);
	soft_load_rflags(cpu, (reg64(cpu, R11) & 0x3c7fd7) | RFLAGS_1);
	soft_mode_changed(cpu);
}

void op_sysenter(struct soft_cpu *cpu, const struct insn *i)
{
	struct x86_state *s = &cpu->vcpu.regs;
	u16 selector = s->sysenter_cs & 0xfffc;
	bool lm = x86_long_mode(s);

	if (!(s->cr0 & CR0_PE) || !selector)
		soft_fault_code(cpu, X86_GP, 0);
	soft_set_rflags(cpu, soft_rflags(cpu) & ~(RFLAGS_VM | RFLAGS_IF | RFLAGS_RF));
	flat_segment(&s->seg[SEG_CS], selector, 0, true, lm);
	flat_segment(&s->seg[SEG_SS], (u16)(selector + 8), 0, false, false);
	set_reg64(cpu, RSP, lm ? s->sysenter_esp : (u32)s->sysenter_esp);
	s->rip = lm ? s->sysenter_eip : (u32)s->sysenter_eip;
	soft_mode_changed(cpu);
}

void op_sysexit(struct soft_cpu *cpu, const struct insn *i)
{
	struct x86_state *s = &cpu->vcpu.regs;
	u16 selector = s->sysenter_cs & 0xfffc;
	bool is64 = i->osize == 8;

	if (!(s->cr0 & CR0_PE) || !selector)
		soft_fault_code(cpu, X86_GP, 0);
	soft_require_cpl0(cpu);
	if (is64 && (!x86_canonical(reg64(cpu, RCX)) || !x86_canonical(reg64(cpu, RDX))))
		soft_fault_code(cpu, X86_GP, 0);
	flat_segment(&s->seg[SEG_CS], (u16)((selector + (is64 ? 32 : 16)) | 3), 3, true, is64);
	flat_segment(&s->seg[SEG_SS], (u16)((selector + (is64 ? 40 : 24)) | 3), 3, false, false);
	s->rip = is64 ? reg64(cpu, RDX) : reg32(cpu, RDX);
	set_reg64(cpu, RSP, is64 ? reg64(cpu, RCX) : reg32(cpu, RCX));
	soft_mode_changed(cpu);
}

/* --- MOV to and from segment registers --- */

static void mov_to_segment(struct soft_cpu *cpu, const struct insn *i, u16 selector)
{
	segment_load(cpu, i->reg, selector);
	if (i->reg == SEG_SS) {
		cpu->vcpu.regs.interruptibility |= BLOCK_MOV_SS;
		soft_attention(cpu);
	}
}

void op_mov_seg_r(struct soft_cpu *cpu, const struct insn *i)
{
	mov_to_segment(cpu, i, reg16(cpu, i->rm));
}

void op_mov_seg_m(struct soft_cpu *cpu, const struct insn *i)
{
	mov_to_segment(cpu, i, mem_ld16(cpu, i));
}

void op_mov_r_seg(struct soft_cpu *cpu, const struct insn *i)
{
	reg_set(cpu, i->rm, i->osize, cpu->vcpu.regs.seg[i->reg].selector);
}

void op_mov_m_seg(struct soft_cpu *cpu, const struct insn *i)
{
	mem_st16(cpu, i, cpu->vcpu.regs.seg[i->reg].selector);
}
