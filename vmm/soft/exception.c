// SPDX-License-Identifier: GPL-2.0-or-later
/* Faults on their way out of an instruction, and delivery of exceptions and interrupts through the IDT
 * (SDM 3A chapter 6). */
#include "vmm/soft/system.h"

_Noreturn void soft_fault(struct soft_cpu *cpu, enum vector vector)
{
	cpu->delivering = false;
	cpu->exception.vector = vector;
	cpu->exception.has_error = false;
	cpu->exception.error = 0;
	longjmp(cpu->fault, 1);
}

_Noreturn void soft_fault_code(struct soft_cpu *cpu, enum vector vector, u32 error)
{
	cpu->exception.vector = vector;
	cpu->exception.has_error = true;
	/* EXT: met while an event was delivered that isn't a software interrupt (SDM 3A 6.13). */
	cpu->exception.error = error | (cpu->delivering && vector >= X86_TS && vector <= X86_GP);
	cpu->delivering = false;
	longjmp(cpu->fault, 1);
}

_Noreturn void soft_no_sse(struct soft_cpu *cpu)
{
	const struct x86_state *s = &cpu->vcpu.regs;

	soft_fault(cpu, (s->cr0 & CR0_EM) || !(s->cr4 & CR4_OSFXSR) ? X86_UD : X86_NM);
}

_Noreturn void soft_no_x87(struct soft_cpu *cpu)
{
	soft_fault(cpu, X86_NM);
}

_Noreturn void soft_no_mmx(struct soft_cpu *cpu)
{
	soft_fault(cpu, cpu->vcpu.regs.cr0 & CR0_EM ? X86_UD : X86_NM);
}

/* Everything that delivery works out before it changes anything. */
struct delivery {
	u8 vector;
	bool has_error;
	u32 error;
	u64 return_rip;
	u64 rflags; /* as pushed */
	bool trap;  /* trap gate: IF stays */
	bool wide;  /* 32-bit gate (64-bit in long mode) */
	struct descriptor cs;
	unsigned cpl; /* after delivery */
	u64 target;
};

static u32 vector_error(const struct delivery *d)
{
	return d->vector * 8u + 2;
}

/* Faults are restarted and push RF set, instruction breakpoints excepted (SDM 3B 18.3.1.1). */
static u64 pushed_rflags(struct soft_cpu *cpu, u8 vector, enum event_source source)
{
	u64 rflags = soft_rflags(cpu);

	if (source == EVENT_EXCEPTION && vector != X86_DB && vector != X86_BP && vector != X86_OF)
		rflags |= RFLAGS_RF;
	return rflags;
}

/* Reads and checks the gate. True: it is a task gate, and d->cs.selector names the TSS. */
static bool gate_read(struct soft_cpu *cpu, struct delivery *d, enum event_source source, unsigned *ist)
{
	const struct x86_state *s = &cpu->vcpu.regs;
	bool lm = x86_long_mode(s);
	unsigned size = lm ? 16 : 8;
	u64 la = s->idtr.base + d->vector * size, low, high = 0;
	unsigned type;

	if (d->vector * size + size - 1 > s->idtr.limit)
		soft_fault_code(cpu, X86_GP, vector_error(d));
	low = soft_system_load(cpu, la, 8);
	if (lm)
		high = soft_system_load(cpu, la + 8, 8);
	type = low >> 40 & 31; /* with S */
	if (type != SYS_INT && type != SYS_TRAP &&
	    (lm || (type != SYS_INT16 && type != SYS_TRAP16 && type != SYS_TASK)))
		soft_fault_code(cpu, X86_GP, vector_error(d));
	if (source == EVENT_SOFTWARE && (low >> 45 & 3) < cpu->cpl)
		soft_fault_code(cpu, X86_GP, vector_error(d));
	if (!(low & BIT(47)))
		soft_fault_code(cpu, X86_NP, vector_error(d));
	d->wide = type & 8;
	d->trap = type & 1;
	d->target = (low & 0xffff) | (d->wide ? low >> 32 & 0xffff0000 : 0) | high << 32;
	*ist = lm ? low >> 32 & 7 : 0;
	d->cs.selector = low >> 16 & 0xffff;
	return type == SYS_TASK;
}

static void gate_code_segment(struct soft_cpu *cpu, struct delivery *d)
{
	u16 selector = d->cs.selector;
	u32 error = selector & 0xfffcu;

	if (!(selector & 0xfffc))
		soft_fault_code(cpu, X86_GP, 0);
	if (!descriptor_read(cpu, selector, &d->cs) || !DESC_S(&d->cs) || !DESC_CODE(&d->cs) ||
	    DESC_DPL(&d->cs) > cpu->cpl)
		soft_fault_code(cpu, X86_GP, error);
	if (x86_long_mode(&cpu->vcpu.regs) && (!DESC_L(&d->cs) || DESC_DB(&d->cs)))
		soft_fault_code(cpu, X86_GP, error);
	if (!DESC_P(&d->cs))
		soft_fault_code(cpu, X86_NP, error);
	d->cpl = DESC_CONFORMING(&d->cs) ? cpu->cpl : DESC_DPL(&d->cs);
	if ((cpu->vcpu.regs.rflags & RFLAGS_VM) && d->cpl != 0)
		soft_fault_code(cpu, X86_GP, error);
}

/* The last step: nothing below can fault. */
static void enter_handler(struct soft_cpu *cpu, const struct delivery *d)
{
	struct x86_state *s = &cpu->vcpu.regs;

	s->rflags &= ~(RFLAGS_TF | RFLAGS_NT | RFLAGS_RF | RFLAGS_VM | (d->trap ? 0 : RFLAGS_IF));
	s->rip = d->target;
	cpu->no_step_trap = true;
	s->interruptibility &= ~(u32)(BLOCK_STI | BLOCK_MOV_SS);
	soft_mode_changed(cpu);
}

static void deliver_long(struct soft_cpu *cpu, struct delivery *d, unsigned ist)
{
	struct x86_state *s = &cpu->vcpu.regs;
	u64 frame[6], sp = reg64(cpu, RSP);
	unsigned n = 0;
	u16 ss = s->seg[SEG_SS].selector;
	bool inner = d->cpl < cpu->cpl;

	if (ist)
		sp = tss_ist(cpu, ist);
	else if (inner)
		tss_stack(cpu, d->cpl, &ss, &sp);
	if (!x86_canonical(sp))
		soft_fault_code(cpu, X86_SS, 0);
	if (!x86_canonical(d->target))
		soft_fault_code(cpu, X86_GP, 0);
	sp &= ~15ull;
	if (d->has_error)
		frame[n++] = d->error;
	frame[n++] = d->return_rip;
	frame[n++] = s->seg[SEG_CS].selector;
	frame[n++] = d->rflags;
	frame[n++] = reg64(cpu, RSP);
	frame[n++] = s->seg[SEG_SS].selector;
	sp -= n * 8;
	struct tlb *tlb = cpu->tlb;

	cpu->tlb = &cpu->tlbs[d->cpl == 3 ? MMU_USER : MMU_KERNEL];
	soft_store_bytes(cpu, sp, frame, n * 8);
	cpu->tlb = tlb;
	code_segment_set(cpu, &d->cs, d->cpl);
	if (inner)
		s->seg[SEG_SS] =
		    (struct x86_segment){.selector = (u16)d->cpl, .ar = AR_UNUSABLE | d->cpl << AR_DPL_SHIFT};
	set_reg64(cpu, RSP, sp);
	enter_handler(cpu, d);
}

static void deliver_protected(struct soft_cpu *cpu, struct delivery *d)
{
	struct x86_state *s = &cpu->vcpu.regs;
	bool inner = d->cpl < cpu->cpl, vm = s->rflags & RFLAGS_VM;
	struct x86_segment ss = s->seg[SEG_SS];
	struct descriptor desc = {0};
	u32 values[10], sp = reg32(cpu, RSP);
	unsigned n = 0, width = d->wide ? 4 : 2;
	u8 frame[40];
	u64 wide_sp = sp;
	u16 selector;

	if (d->has_error)
		values[n++] = d->error;
	values[n++] = (u32)d->return_rip;
	values[n++] = s->seg[SEG_CS].selector;
	values[n++] = (u32)d->rflags;
	if (inner) {
		values[n++] = sp;
		values[n++] = ss.selector;
		if (vm) {
			values[n++] = s->seg[SEG_ES].selector;
			values[n++] = s->seg[SEG_DS].selector;
			values[n++] = s->seg[SEG_FS].selector;
			values[n++] = s->seg[SEG_GS].selector;
		}
		tss_stack(cpu, d->cpl, &selector, &wide_sp);
		stack_segment_fetch(cpu, selector, d->cpl, X86_TS, &desc);
		ss = descriptor_segment(&desc);
		sp = (u32)wide_sp;
	}
	for (unsigned k = 0; k < n; k++)
		memcpy(frame + k * width, &values[k], width);
	stack_frame_check(cpu, &ss, sp, width, n * width, inner ? ss.selector & 0xfffcu : 0);
	if (d->target > descriptor_limit(&d->cs))
		soft_fault_code(cpu, X86_GP, 0);
	if (inner)
		descriptor_set_accessed(cpu, &desc);
	stack_frame_store(cpu, &ss, sp, d->cpl, frame, n * width);
	sp -= n * width;
	code_segment_set(cpu, &d->cs, d->cpl);
	if (inner) {
		s->seg[SEG_SS] = descriptor_segment(&desc);
		if (vm)
			for (unsigned seg = SEG_ES; seg <= SEG_GS; seg++)
				if (seg != SEG_CS && seg != SEG_SS)
					s->seg[seg] = (struct x86_segment){.ar = AR_UNUSABLE};
	}
	if (ss.ar & AR_DB)
		set_reg32(cpu, RSP, sp);
	else
		set_reg16(cpu, RSP, (u16)sp);
	enter_handler(cpu, d);
}

static void deliver_real(struct soft_cpu *cpu, struct delivery *d)
{
	struct x86_state *s = &cpu->vcpu.regs;
	u16 frame[3] = {(u16)d->return_rip, s->seg[SEG_CS].selector, (u16)d->rflags}, sp = reg16(cpu, RSP);
	u32 entry;

	if (d->vector * 4u + 3 > s->idtr.limit)
		soft_fault_code(cpu, X86_GP, 0);
	entry = (u32)soft_system_load(cpu, s->idtr.base + d->vector * 4u, 4);
	stack_frame_check(cpu, &s->seg[SEG_SS], sp, 2, 6, 0);
	stack_frame_store(cpu, &s->seg[SEG_SS], sp, 0, frame, 6);
	set_reg16(cpu, RSP, (u16)(sp - 6));
	s->seg[SEG_CS].selector = (u16)(entry >> 16);
	s->seg[SEG_CS].base = entry >> 16 << 4;
	d->target = (u16)entry;
	s->rflags &= ~RFLAGS_AC;
	enter_handler(cpu, d);
}

static void deliver_task(struct soft_cpu *cpu, struct delivery *d)
{
	struct descriptor tss;

	soft_task_fetch(cpu, d->cs.selector, false, X86_GP, &tss);
	soft_task_switch(cpu, &tss, TASK_CALL, d->return_rip, d->rflags, d->has_error ? &d->error : NULL);
}

void soft_interrupt(struct soft_cpu *cpu, u8 vector, enum event_source source, bool has_error, u32 error,
		    u64 return_rip)
{
	struct delivery d = {
	    .vector = vector,
	    .has_error = has_error,
	    .error = error,
	    .return_rip = return_rip,
	    .rflags = pushed_rflags(cpu, vector, source),
	};
	unsigned ist = 0;

	cpu->delivering = source != EVENT_SOFTWARE;
	if (!(cpu->vcpu.regs.cr0 & CR0_PE)) {
		deliver_real(cpu, &d);
	} else if (gate_read(cpu, &d, source, &ist)) {
		deliver_task(cpu, &d);
	} else {
		gate_code_segment(cpu, &d);
		if (x86_long_mode(&cpu->vcpu.regs))
			deliver_long(cpu, &d, ist);
		else
			deliver_protected(cpu, &d);
	}
	cpu->delivering = false;
}

/* SDM 3A table 6-4. */
static bool contributory(u8 vector)
{
	return vector == X86_DE || (vector >= X86_TS && vector <= X86_GP);
}

static bool has_error_code(u8 vector)
{
	return vector == X86_DF || (vector >= X86_TS && vector <= X86_PF) || vector == X86_AC;
}

void soft_deliver_exception(struct soft_cpu *cpu)
{
	struct x86_state *s = &cpu->vcpu.regs;
	/* Changed between setjmp and longjmp. */
	volatile u8 vector = cpu->exception.vector;
	volatile u32 error = cpu->exception.error;
	volatile unsigned rounds = 0;

	for (;; rounds++) {
		u8 first = vector, second;

		if (vector == X86_PF)
			s->cr2 = cpu->exception.cr2;
		if (vector == X86_DB) { /* the handler may use the debug registers (SDM 3B 17.2.4, 17.4.3) */
			s->dr7 &= ~BIT(13);
			s->debugctl &= ~DEBUGCTL_BTF;
		}
		if (!setjmp(cpu->fault)) {
			/* Real mode pushes no error codes. */
			soft_interrupt(cpu, vector, EVENT_EXCEPTION, has_error_code(vector), error, s->rip);
			vcpu_count_delivery(&cpu->vcpu);
			soft_event(cpu, TARGET_EVENT_EXCEPTION, vector);
			return;
		}
		soft_select_tlb(cpu);
		probe_forget_reads(&cpu->vcpu.probe);
		second = cpu->exception.vector;
		if (first == X86_DF) {
			s->activity = ACTIVITY_SHUTDOWN;
			return;
		}
		if (rounds == VCPU_MAX_ROUNDS) {
			s->activity = ACTIVITY_HLT;
			return;
		}
		if ((contributory(first) && contributory(second)) ||
		    (first == X86_PF && (contributory(second) || second == X86_PF))) {
			vector = X86_DF;
			error = 0;
		} else {
			vector = second;
			error = cpu->exception.error;
		}
	}
}
