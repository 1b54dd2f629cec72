// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Running freely: the guest goes on by itself between exits. Hardware delivers its exceptions; #DB and #BP alone are told,
 * because breakpoints that aren't the guest's share the debug registers with its own.
 *
 * A run ends where user space is wanted, or when its time is up (run.alarm). Time is looked at after the preemption timer
 * and the host's interrupts, and never ends a run before the guest has got somewhere, nor while an event is half
 * delivered: run.c.
 */
#include <asm/msr.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/vmx.h>

#include "vmdbg.h"

#define QUAL_BS      BIT_ULL(14)
#define SHADOW       (GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS)
#define ENOUGH       4096 /* TSC ticks in which a guest moves for certain */
#define PENDING_HITS 0xfull

/* Breakpoints of the user's that the guest's own leave room for. */
static bool room_for_breaks(const struct vcpu *v)
{
	unsigned int n, free = 0;

	for (n = 0; n < 4; n++)
		free += !guest_dr_enabled(v, n);
	return v->nr_breaks <= free;
}

int free_check(const struct vcpu *v)
{
	return room_for_breaks(v) ? 0 : -EINVAL;
}

static bool at_break(const struct vcpu *v)
{
	const struct vmdbg_regs *r = v->regs;
	bool is64 = (r->efer & EFER_LMA) && (r->seg[1].ar & BIT(13));
	u64 la = is64 ? r->rip : (u32)(r->seg[1].base + r->rip);
	unsigned int n;

	for (n = 0; n < v->nr_breaks; n++)
		if (v->breaks[n] == la)
			return true;
	return false;
}

void free_begin_run(struct vcpu *v)
{
	const struct vmdbg_regs *r = v->regs;

	v->gave_rf = v->pass && !(r->rflags & X86_EFLAGS_RF) && at_break(v);
	v->break_rip = r->rip;
	v->moved = v->settled = false;
	v->unsettled = 0;
	v->pending_dbg = 0;
	v->start_rip = r->rip;
	v->start_rflags = r->rflags;
	memcpy(v->start_gpr, r->gpr, sizeof(v->start_gpr));
}

void free_begin_slice(struct vcpu *v)
{
	u64 dr7 = v->regs->dr7 & DR7_GUEST;
	unsigned int n, i = 0;

	v->armed_dr = DR_NONE;
	v->our_drs = 0;
	for (n = 0; n < 4 && i < v->nr_breaks; n++) {
		if (guest_dr_enabled(v, n))
			continue;
		set_dr(n, v->breaks[i++]);
		dr7 = (dr7 & ~(0xfull << (16 + 4 * n))) | 2ull << (2 * n);
		v->our_drs |= BIT(n);
	}
	vmwrite(v, GUEST_DR7, dr7 & 0xff ? dr7 | DR7_FIXED : DR7_FIXED);
	vmwrite(v, GUEST_PENDING_DBG_EXCEPTIONS, v->pending_dbg);
	if (v->gave_rf)
		vmwrite(v, GUEST_RFLAGS, vmread(GUEST_RFLAGS) | X86_EFLAGS_RF);
}

void free_end_slice(struct vcpu *v)
{
	/* Held off by MOV SS; at all other exits there is nothing, or what Bochs 2.7 leaves behind a fault. */
	v->pending_dbg =
	    vmread(GUEST_INTERRUPTIBILITY_INFO) & GUEST_INTR_STATE_MOV_SS ? vmread(GUEST_PENDING_DBG_EXCEPTIONS) : 0;
	v->run.pending_debug = v->pending_dbg ? guest_hits(v, v->pending_dbg & PENDING_HITS, false) : 0;
	v->run.moved = v->moved;
	if (v->gave_rf)
		vmwrite(v, GUEST_RFLAGS, vmread(GUEST_RFLAGS) & ~(u64)X86_EFLAGS_RF);
}

/* A guest gets on at each entry, even where its alarms are always over by the time that it is entered. */
void free_prepare(struct vcpu *v)
{
	arm_timer(v, clamp_t(s64, v->deadline - rdtsc(), ENOUGH, WATCHDOG) >> vmx_caps.timer_shift);
}

/* Whether the guest stands elsewhere than at the beginning. One that comes back to the same registers has moved when the
 * timer says so: it had time to. */
void free_note_progress(struct vcpu *v, bool timer)
{
	u64 rflags = vmread(GUEST_RFLAGS);

	if (v->gave_rf && vmread(GUEST_RIP) != v->break_rip)
		v->gave_rf = false;
	if (v->settled)
		return;
	v->settled = timer || vmread(GUEST_RIP) != v->start_rip || ((rflags ^ v->start_rflags) & ~(u64)X86_EFLAGS_RF) ||
		     vmread(GUEST_RSP) != v->start_gpr[4] || memcmp(v->start_gpr, v->regs->gpr, 4 * sizeof(u64)) ||
		     memcmp(v->start_gpr + 5, v->regs->gpr + 5, 11 * sizeof(u64));
	v->moved |= v->settled;
	if (v->settled)
		v->unsettled = 0;
}

/* An instruction, or a delivery, has met an EPT violation and will be tried again. Its page walks have set flags in the
 * guest's tables already: the state between is none that the guest could be stopped in otherwise. */
void free_unsettle(struct vcpu *v)
{
	v->settled = false;
	v->unsettled++;
	v->start_rip = vmread(GUEST_RIP);
	v->start_rflags = vmread(GUEST_RFLAGS);
	memcpy(v->start_gpr, v->regs->gpr, sizeof(v->start_gpr));
	v->start_gpr[4] = vmread(GUEST_RSP);
}

/* What the instruction at RIP is carried out without has consequences that only user space knows of. */
bool free_needs_user(void)
{
	return vmread(GUEST_RFLAGS) & X86_EFLAGS_TF || vmread(GUEST_INTERRUPTIBILITY_INFO) & GUEST_INTR_STATE_MOV_SS;
}

void free_advance(struct vcpu *v)
{
	u32 interruptibility = vmread(GUEST_INTERRUPTIBILITY_INFO);
	u64 rflags = vmread(GUEST_RFLAGS);

	if (interruptibility & SHADOW)
		vmwrite(v, GUEST_INTERRUPTIBILITY_INFO, interruptibility & GUEST_INTR_STATE_NMI);
	if (rflags & X86_EFLAGS_RF)
		vmwrite(v, GUEST_RFLAGS, rflags & ~(u64)X86_EFLAGS_RF);
}

/* Traps of the last instruction come before breakpoints of the next, ours before the guest's. */
enum after free_debug(struct vcpu *v, u64 qual)
{
	u64 traps = guest_hits(v, qual, false) | (qual & QUAL_BS);

	v->run.retired = 1;
	v->run.debug_bits = traps;
	if (traps)
		return leave(v, VMDBG_EXIT_DEBUG);
	v->run.retired = 0;
	if (qual & v->our_drs)
		return leave(v, VMDBG_EXIT_BREAK);
	v->run.debug_bits = guest_hits(v, qual, true);
	return v->run.debug_bits ? leave(v, VMDBG_EXIT_DEBUG) : AGAIN;
}
