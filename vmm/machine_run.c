/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The loop that drives the machine.
 *
 * 1. With the virtual clock all that the guest sees is a function of position: where @until, next_stop() or a signal
 *    cut a run must make no difference. So the engine is never run past a deadline, a kick ends it at the very next
 *    boundary, and what is due at a boundary depends on machine state alone.
 * 2. A run that was cut at P has done nothing of what is due at P (machine.h has the order). One that was cut for a
 *    debugger after a delivery, or before the instruction at P, settles P again: what has been done isn't due any more,
 *    and m->progress has the rest.
 * 3. Nothing a guest does makes this loop spin: a halted guest whose timers never wake it is given up after
 *    MAX_IDLE_JUMPS of them, and after MAX_INJECTIONS at one boundary an instruction is run. */
#include "vmm/machine_internal.h"
#include "vmm/pc/pc.h"

#define MAX_IDLE_JUMPS (1u << 22) /* more than half an hour of guest time at 2 kHz, under a second of the host's */
#define MAX_INJECTIONS 32

enum step { STEP_RUN, STEP_AGAIN, STEP_RETURN };

struct run {
	struct machine *m;
	struct vcpu *vcpu;
	u64 until;
	bool single; /* something is pending that only the next instruction or exception can let in */
	int result;
};

static u64 next_stop(const struct machine *m)
{
	return m->nondet.ops->next_stop(m->nondet.ctx);
}

static void inject(struct run *r, enum irq_kind kind, u8 vector)
{
	struct machine *m = r->m;

	m->nondet.ops->interrupt(m->nondet.ctx, r->vcpu, kind, vector);
	if (m->listener.interrupt)
		m->listener.interrupt(m->listener.ctx, r->vcpu);
	m->config.engine->inject(r->vcpu, kind, vector);
	probe_event(r->vcpu, TARGET_EVENT_INTERRUPT, vector);
	m->progress.injections++;
	m->progress.idle_jumps = 0;
}

/* After an injection: whether somebody wants to look. */
static enum step injected(const struct run *r)
{
	return r->vcpu->stop_at_delivery || r->vcpu->probe.nr ? STEP_RETURN : STEP_AGAIN;
}

static bool nmi_blocked(const struct vcpu *vcpu)
{
	return vcpu->regs.interruptibility & (BLOCK_NMI | BLOCK_STI | BLOCK_MOV_SS);
}

/* Delivers one event if the vCPU accepts any. Traps of the last instruction (pending_db) go first (SDM 3A table 6-2). */
static enum step deliver(struct run *r)
{
	struct machine *m = r->m;
	struct vcpu *vcpu = r->vcpu;
	struct pc_pending pending = pc_pending(m->pc, vcpu->id);
	bool trap = vcpu->regs.pending_db && vcpu->regs.activity == ACTIVITY_ACTIVE;
	bool held = m->progress.injections >= MAX_INJECTIONS || trap;

	vcpu->want_window = false;
	r->single = false;
	if (pending.init) {
		/* INIT sends the BSP to the reset vector, where there is no firmware: the machine resets. */
		pc_take(m->pc, vcpu->id, IRQ_INIT);
		m->nondet.ops->interrupt(m->nondet.ctx, vcpu, IRQ_INIT, 0);
		machine_set_end(m, END_RESET, 0);
		return STEP_RETURN;
	}
	if (pending.sipi) /* the BSP doesn't wait for one */
		pc_take(m->pc, vcpu->id, IRQ_SIPI);
	if (pending.nmi) {
		if (!held && !nmi_blocked(vcpu)) {
			pc_take(m->pc, vcpu->id, IRQ_NMI);
			inject(r, IRQ_NMI, X86_NMI);
			return injected(r);
		}
		r->single = true;
	}
	if (!pending.external)
		return STEP_RUN;
	if (!held && vcpu_can_inject(vcpu)) {
		inject(r, IRQ_EXTERNAL, pc_ack(m->pc, vcpu->id));
		return injected(r);
	}
	if (held)
		r->single = true;
	else
		vcpu->want_window = true;
	return STEP_RUN;
}

/* HLT with nothing to take: time passes. */
static enum step idle(struct run *r)
{
	struct machine *m = r->m;
	u64 deadline = m->clock.next_deadline;
	bool deaf = !(r->vcpu->regs.rflags & RFLAGS_IF) && !pc_can_wake_masked(m->pc, r->vcpu->id);

	if (deaf || m->progress.idle_jumps++ >= MAX_IDLE_JUMPS) {
		machine_set_end(m, END_HALTED, 0);
		return STEP_RETURN;
	}
	if (m->clock.mode == CLOCK_VIRTUAL && deadline != CLOCK_NEVER) {
		clock_advance(&m->clock, deadline);
		return STEP_AGAIN;
	}
	r->result = m->nondet.ops->idle(m->nondet.ctx, m, deadline);
	if (r->result == 1) {
		r->result = 0;
		machine_set_end(m, END_HALTED, 0);
	}
	return r->result || m->end ? STEP_RETURN : STEP_AGAIN;
}

/* Running freely, places at which nobody has stopped can't be told from their position. */
static bool must_stop(const struct machine *m)
{
	u64 stop = next_stop(m);

	return m->config.free ? !stop : machine_position(m) >= stop;
}

/* Everything due at the present boundary. */
static enum step settle(struct run *r)
{
	struct machine *m = r->m;
	enum step step;

	if (m->progress.kicked || must_stop(m)) {
		m->progress.kicked = false;
		r->result = m->nondet.ops->boundary(m->nondet.ctx, m);
		if (r->result || m->end)
			return STEP_RETURN;
	}
	if (m->clock.next_deadline <= clock_now(&m->clock))
		clock_run_timers(&m->clock);
	step = deliver(r);
	if (step != STEP_RUN)
		return step;
	if (r->vcpu->regs.activity == ACTIVITY_HLT)
		return idle(r);
	return STEP_RUN;
}

/* How far the engine may go before something is due. */
static u64 budget(const struct run *r)
{
	const struct machine *m = r->m;
	u64 position = machine_position(m);
	u64 stop = next_stop(m);
	u64 limit = r->until;

	if (stop > position)
		limit = min64(limit, stop);
	if (m->clock.mode == CLOCK_VIRTUAL && m->clock.next_deadline != CLOCK_NEVER) {
		u64 now = clock_now(&m->clock);
		u64 left = m->clock.next_deadline > now ? m->clock.next_deadline - now : 1;

		if (left < limit - position)
			limit = position + left;
	}
	return limit;
}

/* A machine that runs freely: to the next access at which something is due, or the alarm. */
static enum exit_reason run_freely(struct run *r)
{
	struct machine *m = r->m;
	struct vcpu *vcpu = r->vcpu;
	u64 stop = next_stop(m);
	enum exit_reason reason;

	m->stop_at = stop > m->accesses ? min64(r->until, stop) : r->until;
	vcpu->alarm = m->nondet.ops->alarm(m->nondet.ctx, m);
	m->access_kicked = false;
	reason = m->config.engine->run(vcpu, r->single || !vcpu->alarm ? vcpu->insns + 1 : VCPU_FREE);
	/* A REP that an access of its own has stopped stands where it would on every engine, and again. What else came
	 * amid one is settled behind it. */
	while (vcpu->amid && !m->access_kicked) {
		vcpu->kick = false;
		if (m->interrupted)
			break;
		reason = m->config.engine->run(vcpu, vcpu->insns + 1);
	}
	vcpu->probe.nr = 0;
	return reason == EXIT_PROBE ? EXIT_KICKED : reason;
}

/* Whether a kick is to be told to nondet: it ended the run, or would have if a probe hadn't. Once something has happened
 * at a position, it's too late for input there. */
static bool was_kicked(const struct vcpu *vcpu, enum exit_reason reason, u64 before)
{
	bool kicked = reason == EXIT_KICKED || ((reason == EXIT_PROBE || reason == EXIT_DELIVERY) && vcpu->kick);

	return kicked && vcpu->insns != before && !vcpu_deliveries(vcpu);
}

/* Returns STEP_AGAIN, or STEP_RETURN when a debugger wants to look. */
static enum step execute(struct run *r)
{
	struct machine *m = r->m;
	struct vcpu *vcpu = r->vcpu;
	u64 before = vcpu->insns;
	u32 delivered = vcpu_deliveries(vcpu);
	bool stop_at_delivery = vcpu->stop_at_delivery;
	/* What devices did at this boundary is told at the next place. */
	bool hits = vcpu->probe.nr, moved;
	enum exit_reason reason;

	/* Kicks so far were about this boundary, which is settled; machine_interrupt() says so apart. */
	vcpu->kick = false;
	if (m->interrupted)
		return STEP_AGAIN;
	vcpu->stop_at_delivery |= r->single | hits;
	if (m->config.free)
		reason = run_freely(r);
	else
		reason = m->config.engine->run(vcpu, r->single || hits ? before + 1 : budget(r));
	vcpu->stop_at_delivery = stop_at_delivery;
	moved = vcpu->insns != before || vcpu_deliveries(vcpu) != delivered;
	m->progress.kicked = m->config.free ? moved : was_kicked(vcpu, reason, before);
	if (vcpu->insns != before)
		m->progress.injections = 0;
	if (reason == EXIT_SHUTDOWN)
		machine_set_end(m, END_TRIPLE_FAULT, 0);
	if (reason == EXIT_PROBE || (reason == EXIT_DELIVERY && stop_at_delivery))
		return STEP_RETURN;
	return hits && moved ? STEP_RETURN : STEP_AGAIN;
}

int machine_run(struct machine *m, u64 until)
{
	struct run r = {.m = m, .vcpu = m->vcpu[0], .until = until};

	if (r.vcpu->regs.activity == ACTIVITY_SHUTDOWN)
		machine_set_end(m, END_TRIPLE_FAULT, 0);
	while (!m->end && machine_position(m) < until) {
		enum step step;

		/* Cleared only where it is obeyed: a signal that comes as the run ends is for the next one. */
		if (m->interrupted) {
			m->interrupted = false;
			break;
		}
		step = settle(&r);
		if (step == STEP_RUN)
			step = execute(&r);
		if (step == STEP_RETURN)
			break;
	}
	return r.result;
}
