// SPDX-License-Identifier: GPL-2.0-or-later
/* Exceptions and interrupts on their way into the guest. Hardware does the delivery (VM-entry event injection); every
 * exception is intercepted, so one that comes up during delivery is told to us, and what the two make is decided here. */
#include "vmm/inspect.h"
#include "vmm/memory.h"
#include "vmm/vtx/vtx.h"

#define VECTORS 32 /* of exceptions */

static bool contributory(u8 vector)
{
	return vector == X86_DE || (vector >= X86_TS && vector <= X86_GP);
}

enum combined vtx_combine(bool first_is_exception, u8 first, u8 second)
{
	if (!first_is_exception)
		return COMBINED_SECOND;
	if (first == X86_DF)
		return COMBINED_TRIPLE;
	if ((contributory(first) && contributory(second)) ||
	    (first == X86_PF && (contributory(second) || second == X86_PF)))
		return COMBINED_DOUBLE;
	return COMBINED_SECOND;
}

struct event {
	enum event_type type;
	u8 vector;
	bool has_error;
	u32 error;
	unsigned len;
};

static bool is_exception(const struct event *e)
{
	return e->type == EVENT_EXCEPTION || e->type == EVENT_SOFT || e->type == EVENT_ICEBP;
}

/* A watched page is opened: what delivery does to it isn't decoded. Where there is no RAM all ones are read, as from a bus
 * that nobody answers, and writes are lost. */
static bool open_for_delivery(struct vtx_cpu *cpu)
{
	struct vtx_open *o = &cpu->open;
	u64 gpa = cpu->run->gpa;

	if (vtx_watches(cpu, gpa)) {
		if (o->nr == VMDBG_MAX_OPEN)
			return false;
		o->gfn[o->nr++] = gpa >> PAGE_SHIFT;
		if (cpu->run->qualification & BIT(7))
			probe_access(&cpu->vcpu.probe, cpu->run->gla, gpa, 1, cpu->run->qualification & VMDBG_W);
		return true;
	}
	return vtx_bounce(cpu, gpa);
}

/* One attempt. True: delivered. Else the exception that came up is in the run page, or the module failed. */
static bool attempt(struct vtx_cpu *cpu, const struct event *e)
{
	struct vmdbg_run *run = cpu->run;
	/* Real mode pushes no error codes. */
	bool error = e->has_error && (cpu->vcpu.regs.cr0 & CR0_PE);
	int exit;

	vtx_open_reset(cpu);
	for (;;) {
		run->inject_info = INFO_VALID | (u32)e->type << 8 | e->vector | (error ? INFO_ERROR : 0);
		run->inject_error = e->error;
		run->inject_len = e->len;
		exit = vtx_enter(cpu, VMDBG_RUN_STEP | VMDBG_RUN_DELIVER, ~0ull);
		run->inject_info = 0;
		if (exit == VMDBG_EXIT_DELIVERED)
			return true;
		if (exit == VMDBG_EXIT_EXCEPTION || exit < 0)
			return false;
		if (exit == VMDBG_EXIT_DIRTY)
			continue;
		if (exit != VMDBG_EXIT_EPT || !open_for_delivery(cpu)) {
			vtx_break(cpu, "exit %d, hardware's reason %u, while delivering vector %u", exit,
				  run->hw_reason, e->vector);
			return false;
		}
	}
}

/* What delivery met becomes what is to be delivered. False: triple fault. */
static bool next_event(struct vtx_cpu *cpu, struct event *e)
{
	u8 second = cpu->run->intr_info & 0xff;

	switch (vtx_combine(is_exception(e), e->vector, second)) {
	case COMBINED_TRIPLE:
		return false;
	case COMBINED_DOUBLE:
		*e = (struct event){EVENT_EXCEPTION, X86_DF, true, 0, 0};
		break;
	case COMBINED_SECOND:
		if (second == X86_PF)
			cpu->vcpu.regs.cr2 = cpu->run->qualification;
		*e = (struct event){EVENT_EXCEPTION, second, cpu->run->intr_info & INFO_ERROR, cpu->run->intr_error, 0};
		break;
	}
	return true;
}

bool vtx_deliver(struct vtx_cpu *cpu, enum event_type type, u8 vector, bool has_error, u32 error, unsigned insn_len)
{
	struct event e = {type, vector, has_error, error, insn_len};
	struct x86_state *s = &cpu->vcpu.regs;
	bool software = type == EVENT_INT_N || type == EVENT_SOFT || type == EVENT_ICEBP;
	unsigned rounds = 0;

	s->activity = ACTIVITY_ACTIVE;
	for (;; rounds++) {
		/* Faults are restarted: RF is set in what they push (SDM 3B 18.3.1.1). */
		if (e.type == EVENT_EXCEPTION && e.vector != X86_DB)
			s->rflags |= RFLAGS_RF;
		if (attempt(cpu, &e))
			break;
		vtx_open_reset(cpu);
		if (rounds == VCPU_MAX_ROUNDS) {
			s->activity = ACTIVITY_HLT;
			s->rflags &= ~RFLAGS_RF;
			return true;
		}
		if (cpu->stuck || !next_event(cpu, &e)) {
			s->activity = ACTIVITY_SHUTDOWN;
			s->rflags &= ~RFLAGS_RF;
			return false;
		}
	}
	vtx_open_reset(cpu);
	s->rflags &= ~(RFLAGS_TF | RFLAGS_RF);
	s->interruptibility &= ~(u32)(BLOCK_STI | BLOCK_MOV_SS);
	if (software && !rounds) {
		cpu->vcpu.insns++;
		return true;
	}
	vcpu_count_delivery(&cpu->vcpu);
	if (is_exception(&e)) {
		probe_event(&cpu->vcpu, TARGET_EVENT_EXCEPTION, e.vector);
		cpu->delivery = true;
	}
	return true;
}

void vtx_deliver_fault(struct vtx_cpu *cpu)
{
	probe_forget_reads(&cpu->vcpu.probe);
	if (cpu->fault.vector == X86_PF)
		cpu->vcpu.regs.cr2 = cpu->fault.cr2;
	vtx_deliver(cpu, EVENT_EXCEPTION, cpu->fault.vector, cpu->fault.has_error, cpu->fault.error, 0);
}

bool vtx_at_handler(const struct vtx_cpu *cpu)
{
	const struct x86_state *s = &cpu->vcpu.regs;
	const bool wide = x86_long_mode(s), protected = s->cr0 & CR0_PE;
	const size_t size = wide ? 16 : protected ? 8 : 4;
	u8 table[VECTORS * 16];
	size_t len = inspect_read(cpu->vcpu.mem, s, s->idtr.base, table, min64(s->idtr.limit + 1ull, VECTORS * size));

	for (size_t at = 0; at + size <= len; at += size) {
		u64 rip = load16(table + at);

		if (protected)
			rip |= (u64)load16(table + at + 6) << 16;
		if (wide)
			rip |= (u64)load32(table + at + 8) << 32;
		if (rip == s->rip)
			return true;
	}
	return false;
}
