// SPDX-License-Identifier: GPL-2.0-or-later
/* The soft engine: runs decoded blocks until the machine is needed.
 *
 *  1. Inside a block nothing is kept up to date but what instructions change: vcpu.insns and regs.rip follow at its end,
 *     from how far the instruction pointer got. A fault (longjmp) computes them the same way.
 *  2. A block is cut short where the run must stop, so every stop is exact; that a run was cut is invisible to the guest.
 *  3. What is rare (single steps, breakpoints, interrupt shadows, halts) raises cpu->attention and is looked after
 *     between blocks, one instruction at a time where needed. So are hits of a debugger's probes: the run ends at the
 *     boundary behind them (watch.c). */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "vmm/host_time.h"
#include "vmm/machine.h"
#include "vmm/soft/ops.h"
#include "vmm/soft/system.h"

#define SHADOW     (BLOCK_STI | BLOCK_MOV_SS)
#define FREE_SLICE 4096

/* Exceptions in a row without an instruction between them, after which the guest is taken to go round in them for ever: only
 * an interrupt can get it out, so time may pass as in HLT. */
#define MAX_FAULTS (1u << 24)

/* What cpu->cur points to outside of blocks. */
static const struct insn between = {.fn = op_nop, .seg = SEG_DS, .base = GPR_NONE, .index = GPR_NONE};

void soft_stand_between(struct soft_cpu *cpu)
{
	cpu->cur = cpu->first = cpu->end = &between;
	cpu->block_rip = cpu->vcpu.regs.rip;
	cpu->insns_base = cpu->vcpu.insns;
}

/* regs.rflags is whole outside of a run and split inside. */
static void split_flags(struct soft_cpu *cpu)
{
	soft_set_rflags(cpu, cpu->vcpu.regs.rflags);
}

static void whole_flags(struct soft_cpu *cpu)
{
	cpu->vcpu.regs.rflags |= flags_get(&cpu->flags);
}

/* Brings insns and rip to where execution stands after @i was the next to run. */
static inline void settle(struct soft_cpu *cpu, const struct block *b, const struct insn *i)
{
	struct vcpu *vcpu = &cpu->vcpu;

	vcpu->insns = cpu->insns_base + (u64)(i - b->insn);
	if (unlikely(i != b->insn + b->count))
		vcpu->regs.rip = b->rip + i->offset;
	if (unlikely(cpu->retired_not)) {
		cpu->retired_not = false;
		vcpu->insns--;
		vcpu->regs.rip = b->rip + i[-1].offset;
		/* Going on is no new beginning: no instruction breakpoint (SDM 3B 18.3.1.1). */
		vcpu->regs.rflags |= RFLAGS_RF;
		vcpu->amid = true;
	}
}

/* @next_rip: where it stands after the last instruction of the block, unless that branches. */
static inline void run_block(struct soft_cpu *cpu, const struct block *b, u64 limit, u64 next_rip)
{
	const struct insn *i = b->insn;

	cpu->first = i;
	cpu->end = i + (likely(b->count <= limit) ? b->count : limit);
	cpu->block_rip = b->rip;
	cpu->insns_base = cpu->vcpu.insns;
	cpu->vcpu.regs.rip = next_rip;
	do {
		cpu->cur = i;
		i->fn(cpu, i);
	} while (++i < cpu->end);
	settle(cpu, b, i);
}

/* A #DB that came up with the last instruction: a trap, behind it. */
static void deliver_debug(struct soft_cpu *cpu)
{
	struct x86_state *s = &cpu->vcpu.regs;

	s->dr6 |= s->pending_db;
	s->pending_db = 0;
	soft_stand_between(cpu);
	soft_fault(cpu, X86_DB);
}

static bool needs_steps(const struct soft_cpu *cpu)
{
	const struct x86_state *s = &cpu->vcpu.regs;

	return (s->rflags & (RFLAGS_TF | RFLAGS_RF)) || (s->interruptibility & SHADOW) || s->pending_db ||
	       cpu->debug_exec || soft_virtual_pending(cpu);
}

/* Runs the first instruction of @b. True: it branched, be it to the next instruction: it has written RIP. */
static bool run_branch(struct soft_cpu *cpu, const struct block *b)
{
	const u64 nowhere = BIT(63); /* neither canonical nor within 4 GiB */
	u64 *rip = &cpu->vcpu.regs.rip, insns = cpu->vcpu.insns;

	run_block(cpu, b, 1, nowhere);
	if (*rip != nowhere)
		return b->count == 1 && cpu->vcpu.insns != insns; /* REP that will go on hasn't branched */
	*rip = b->next_rip;
	return false;
}

/* One instruction with all that can happen around it. */
static void step(struct soft_cpu *cpu)
{
	struct x86_state *s = &cpu->vcpu.regs;
	bool trap = s->rflags & RFLAGS_TF;

	cpu->vcpu.amid = false;
	if (s->pending_db && !(s->interruptibility & BLOCK_MOV_SS))
		deliver_debug(cpu);
	u64 la = cpu->mode & MODE_64 ? s->rip : (u32)(s->seg[SEG_CS].base + s->rip);

	if (cpu->probed && soft_probe_exec(cpu, la)) /* before the guest's own */
		return;
	if (cpu->debug_exec && !(s->rflags & RFLAGS_RF) && !(s->interruptibility & BLOCK_MOV_SS)) {
		u64 bits = soft_debug_exec(cpu, la);

		if (bits) {
			s->pending_db |= bits;
			deliver_debug(cpu);
		}
	}
	cpu->no_step_trap = false;
	soft_stand_between(cpu);
	if (soft_virtual_pending(cpu))
		soft_fault_code(cpu, X86_GP, 0);
	const struct block *b = block_get(cpu);

	if (!b)
		return;
	s->rflags &= ~RFLAGS_RF;
	s->interruptibility &= ~(u32)SHADOW;
	if (trap && (s->debugctl & DEBUGCTL_BTF)) { /* SDM 3B 17.4.3 */
		trap = run_branch(cpu, b);
	} else {
		cpu->rep_single = trap;
		run_block(cpu, b, 1, b->next_rip);
		cpu->rep_single = false;
	}
	if (cpu->no_step_trap) /* INT n and the like: what a MOV SS just before has held back is gone, too */
		s->pending_db &= ~(u64)BIT(14);
	else if (trap)
		s->pending_db |= BIT(14); /* BS */
	if (s->pending_db && s->activity == ACTIVITY_HLT)
		s->activity = ACTIVITY_ACTIVE;
}

static bool stop(struct soft_cpu *cpu, u64 until, enum exit_reason *reason)
{
	bool delivered = cpu->delivery;

	cpu->delivery = false;
	return vcpu_run_ends(&cpu->vcpu, until, delivered, false, reason);
}

/* Apart from setjmp(), which keeps no variables. */
static __attribute__((noinline)) enum exit_reason run_blocks(struct soft_cpu *cpu, u64 until)
{
	enum exit_reason reason;

	while (!stop(cpu, until, &reason)) {
		if (needs_steps(cpu)) {
			step(cpu);
			continue;
		}
		cpu->attention = false;
		do {
			const struct block *b = block_get(cpu);
			u64 limit = until - cpu->vcpu.insns;

			if (unlikely(cpu->attention)) { /* a breakpoint, or the fetch met a watchpoint */
				if (!b)
					break;
				limit = 1;
			}
			run_block(cpu, b, limit, b->next_rip);
		} while (likely(!cpu->attention && !cpu->vcpu.kick && cpu->vcpu.insns < until));
	}
	return reason;
}

/* After longjmp: the instruction at cpu->cur didn't retire. */
static void unwind(struct soft_cpu *cpu)
{
	cpu->vcpu.insns = cpu->insns_base + (u64)(cpu->cur - cpu->first);
	cpu->vcpu.regs.rip = insn_rip(cpu, cpu->cur);
	cpu->retired_not = cpu->rep_single = false;
	cpu->vcpu.regs.pending_db = 0; /* data breakpoints are reported when the instruction completes */
	probe_forget_reads(&cpu->vcpu.probe);
	soft_select_tlb(cpu);
	soft_stand_between(cpu);
}

static enum exit_reason run_until(struct vcpu *vcpu, u64 until)
{
	struct soft_cpu *cpu = soft_cpu(vcpu);
	enum exit_reason reason;

	split_flags(cpu);
	vcpu->probe.fresh = cpu->delivery = vcpu->amid = false;
	probe_settle(&vcpu->probe);
	for (;;) {
		if (!setjmp(cpu->fault)) {
			reason = run_blocks(cpu, until);
			break;
		}
		unwind(cpu);
		soft_deliver_exception(cpu);
		cpu->delivery = vcpu->regs.activity != ACTIVITY_SHUTDOWN;
		if (unlikely(vcpu_deliveries(vcpu) >= MAX_FAULTS) && cpu->delivery)
			vcpu->regs.activity = ACTIVITY_HLT;
	}
	whole_flags(cpu);
	return reason;
}

/* The time is looked at every so often: between two looks no other thing than the guest's own can end the run. */
static enum exit_reason soft_run(struct vcpu *vcpu, u64 until)
{
	enum exit_reason reason;

	if (until != VCPU_FREE || vcpu->alarm == ~0ull)
		return run_until(vcpu, until);
	do
		reason = run_until(vcpu, vcpu->insns + FREE_SLICE);
	while (reason == EXIT_POSITION && monotonic_ns() < vcpu->alarm);
	return reason == EXIT_POSITION ? EXIT_KICKED : reason;
}

static void soft_inject(struct vcpu *vcpu, enum irq_kind kind, u8 vector)
{
	struct soft_cpu *cpu = soft_cpu(vcpu);

	vcpu->regs.activity = ACTIVITY_ACTIVE;
	split_flags(cpu);
	soft_stand_between(cpu);
	probe_settle(&vcpu->probe);
	if (!setjmp(cpu->fault)) {
		soft_interrupt(cpu, vector, EVENT_EXTERNAL, false, 0, vcpu->regs.rip);
		vcpu_count_delivery(vcpu);
	} else {
		unwind(cpu);
		soft_deliver_exception(cpu);
	}
	if (kind == IRQ_NMI)
		vcpu->regs.interruptibility |= BLOCK_NMI;
	whole_flags(cpu);
}

static void soft_regs_changed(struct vcpu *vcpu)
{
	struct soft_cpu *cpu = soft_cpu(vcpu);

	soft_stand_between(cpu);
	paging_context_set(&cpu->paging, &vcpu->regs);
	soft_debug_changed(cpu);
	soft_mode_changed(cpu);
}

/* The TLBs hold addresses as they leave the processor. */
static void soft_a20_changed(struct vcpu *vcpu)
{
	struct soft_cpu *cpu = soft_cpu(vcpu);

	paging_context_set(&cpu->paging, &vcpu->regs);
	soft_tlb_flush(cpu, true);
	soft_end_block(cpu);
}

static void soft_memory_changed(struct vcpu *vcpu, u64 gpa, u64 len)
{
	block_invalidate(soft_cpu(vcpu), gpa, len);
	soft_end_block(soft_cpu(vcpu));
}

static void soft_dirty_reset(struct vcpu *vcpu)
{
	soft_tlb_protect_all(soft_cpu(vcpu));
}

static int soft_probe(struct error *why)
{
	return 0;
}

static void soft_vcpu_free(struct vcpu *vcpu)
{
	block_cache_free(soft_cpu(vcpu));
	free(soft_cpu(vcpu));
}

static int soft_vcpu_create(struct machine *m, unsigned id, struct vcpu **vcpu, struct error *err)
{
	struct soft_cpu *cpu = aligned_alloc(64, (sizeof(*cpu) + 63) & ~(size_t)63);
	int ret;

	if (!cpu)
		return error_set(err, -ENOMEM, "no memory for a virtual CPU");
	memset(cpu, 0, sizeof(*cpu));
	cpu->vcpu.id = id;
	cpu->vcpu.count = m->config.vcpus;
	cpu->push_whole = m->config.cpu == CPU_MODEL_V2_1;
	cpu->vcpu.machine = m;
	cpu->vcpu.mem = &m->mem;
	cpu->vcpu.engine = &soft_engine;
	for (unsigned t = 0; t < MMU_COUNT; t++)
		memset(cpu->tlbs[t].entry, 0xff, sizeof(cpu->tlbs[t].entry));
	cpu->exec_gen = cpu->fetch_gen = 1;
	x86_state_reset(&cpu->vcpu.regs);
	ret = block_cache_create(cpu, err);
	if (ret) {
		free(cpu);
		return ret;
	}
	soft_regs_changed(&cpu->vcpu);
	*vcpu = &cpu->vcpu;
	return 0;
}

const struct engine_ops soft_engine = {
    .name = "soft",
    .free_running = true,
    .exact_insns = true,
    .exact_branches = true,
    .probe = soft_probe,
    .vcpu_create = soft_vcpu_create,
    .vcpu_free = soft_vcpu_free,
    .run = soft_run,
    .regs_changed = soft_regs_changed,
    .a20_changed = soft_a20_changed,
    .inject = soft_inject,
    .memory_changed = soft_memory_changed,
    .dirty_reset = soft_dirty_reset,
    .probe_changed = soft_probe_changed,
    .cache_size = soft_tlb_size,
    .cache_save = soft_tlb_save,
    .cache_load = soft_tlb_load,
};
