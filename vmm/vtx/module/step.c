// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Counting by single steps. Before each entry the instruction's class says how to get past it so that the guest sees
 * nothing of the stepping:
 *
 *  - The monitor trap flag where the processor has it (26.5.2): an exit behind the instruction, or its iteration.
 *  - Else TF, with #DB intercepted, for most. TF is never in the guest's registers: guest_tf has what the guest put there.
 *    What stores RFLAGS (PUSHF, SYSCALL): without TF, up to an execution breakpoint in a free debug register where the
 *    instruction ends.
 *  - REP strings, for which a step for each iteration would be slow, so with either.
 *  - INT n and MOV SS are left to user space (VMDBG_EXIT_SPECIAL): the first as an injected software interrupt, the
 *    second because hardware holds the trap off for one instruction more.
 *
 * All exceptions are intercepted and delivered by user space: hardware would push RFLAGS with TF and go on without.
 * After a delivery the guest must stop before the handler's first instruction: the preemption timer is 0 then.
 */
#include <linux/percpu.h>

#include <asm/debugreg.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/vmx.h>

#include "shadow.h"

#define QUAL_BS BIT_ULL(14)

enum after leave(struct vcpu *v, enum vmdbg_exit exit)
{
	v->run.exit = exit;
	return LEAVE;
}

void pages_close(struct vcpu *v)
{
	while (v->nr_opened)
		ept_clear(&v->ept, v->opened_entry[--v->nr_opened]);
	shadow_settle(v);
	v->run.nr_open = 0;
	v->run.nr_bounce = 0;
}

/* After an instruction: whether the user had opened something for it. */
static bool close_after(struct vcpu *v)
{
	bool asked = v->run.nr_open || v->run.nr_bounce;

	if (asked || v->nr_opened)
		pages_close(v);
	return asked;
}

bool guest_dr_enabled(const struct vcpu *v, unsigned int n)
{
	return v->regs->dr7 >> (2 * n) & 3;
}

static bool dr_executes(const struct vcpu *v, unsigned int n)
{
	return !(v->regs->dr7 >> (16 + 4 * n) & 3);
}

static unsigned int free_dr(const struct vcpu *v)
{
	unsigned int n = 0;

	while (n < DR_NONE && guest_dr_enabled(v, n))
		n++;
	return n;
}

void set_dr(unsigned int n, unsigned long la)
{
	switch (n) {
	case 0:
		set_debugreg(la, 0);
		break;
	case 1:
		set_debugreg(la, 1);
		break;
	case 2:
		set_debugreg(la, 2);
		break;
	case 3:
		set_debugreg(la, 3);
		break;
	}
}

void debug_begin(struct vcpu *v)
{
	unsigned int n;

	for (n = 0; n < 4; n++)
		if (guest_dr_enabled(v, n))
			set_dr(n, v->regs->dr[n]);
	v->hw_dr7 = ~0ull;
	v->hw_mtf = false;
	v->mtf = (vmx_caps.features & VMDBG_FEATURE_MTF) && !(v->run.flags & VMDBG_RUN_TF);
	v->hw_timer = ~0u;
	v->code_la = ~0ull;
}

void arm_timer(struct vcpu *v, u32 ticks)
{
	if (v->hw_timer == ticks)
		return;
	v->hw_timer = ticks;
	vmwrite(v, VMX_PREEMPTION_TIMER_VALUE, ticks);
}

static void arm_watchdog(struct vcpu *v)
{
	arm_timer(v, WATCHDOG >> vmx_caps.timer_shift);
}

static void arm_dr(struct vcpu *v, unsigned int n, u64 la)
{
	u64 dr7 = DR7_FIXED | (v->regs->dr7 & DR7_GUEST);

	if (!(dr7 & 0xff))
		dr7 = DR7_FIXED;
	if (n != DR_NONE) {
		set_dr(n, la);
		dr7 = (dr7 & ~(0xfull << (16 + 4 * n))) | 2ull << (2 * n);
	}
	v->armed_dr = n;
	if (v->hw_dr7 != dr7) {
		v->hw_dr7 = dr7;
		vmwrite(v, GUEST_DR7, dr7);
	}
}

static void arm_tf(struct vcpu *v, u64 rflags, bool tf)
{
	u64 want = tf ? rflags | X86_EFLAGS_TF : rflags & ~(u64)X86_EFLAGS_TF;

	v->armed_tf = tf;
	if (want != rflags)
		vmwrite(v, GUEST_RFLAGS, want);
}

static void arm_mtf(struct vcpu *v, bool on)
{
	if (v->hw_mtf == on)
		return;
	v->hw_mtf = on;
	vmcs_control(v, CPU_BASED_VM_EXEC_CONTROL, CPU_BASED_MONITOR_TRAP_FLAG, on);
}

static unsigned int code_bits(const struct vcpu *v)
{
	u32 ar = v->regs->seg[1].ar;

	if ((v->regs->efer & EFER_LMA) && (ar & BIT(13)))
		return 64;
	return ar & BIT(14) ? 32 : 16;
}

/* Descriptor-table instructions outside of CPL 0 under UMIP, on a processor without it. */
static bool umip_forbids(struct vcpu *v)
{
	return (v->regs->cr4 & X86_CR4_UMIP) && !(vmx_caps.cr4_fixed1 & X86_CR4_UMIP) &&
	       (vmread(GUEST_SS_AR_BYTES) >> 5 & 3);
}

static bool left_to_user(struct vcpu *v)
{
	switch (v->insn) {
	case INSN_INT:
	case INSN_LOADS_SS:
	case INSN_PUSH_SEG:
	case INSN_ABSENT:
		return true;
	case INSN_X87:
		return !(v->run.flags & VMDBG_RUN_X87);
	case INSN_SYSTEM:
		return umip_forbids(v);
	default:
		return false;
	}
}

static void look(struct vcpu *v, unsigned int *bits, unsigned int *len)
{
	u8 bytes[15];
	unsigned int n;

	v->insn_rip = vmread(GUEST_RIP);
	v->regs->seg[1].ar = vmread(GUEST_CS_AR_BYTES);
	v->regs->seg[1].base = vmread(GUEST_CS_BASE);
	*bits = code_bits(v);
	n = code_bytes(v, bytes);
	v->insn = insn_classify(bytes, n, *bits, len);
	v->run.insn_class = v->insn;
}

/* Where the instruction ends, when an execution breakpoint can stand there; else false: a step has to do. */
static bool end_of(struct vcpu *v, unsigned int bits, unsigned int len, u64 *la)
{
	if (v->mtf && v->insn != INSN_REP)
		return false;
	switch (v->insn) {
	case INSN_PUSHF:
		break;
	case INSN_REP:
		if (v->guest_tf || v->run.nr_open || v->run.nr_bounce || shadow_written(v))
			return false;
		break;
	case INSN_SYSCALL:
		*la = v->regs->lstar;
		return true;
	default:
		return false;
	}
	v->insn_next = v->insn_rip + len;
	*la = bits == 64 ? v->insn_next
			 : (u32)(v->regs->seg[1].base + (bits == 32 ? (u32)v->insn_next : (u16)v->insn_next));
	return true;
}

static bool at_break(const struct vcpu *v, unsigned int bits)
{
	u64 la = bits == 64 ? v->insn_rip : (u32)(v->regs->seg[1].base + v->insn_rip);
	unsigned int lo = 0, hi = v->nr_breaks;

	while (lo < hi) {
		unsigned int mid = lo + (hi - lo) / 2;

		if (v->breaks[mid] == la)
			return true;
		if (v->breaks[mid] < la)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

static void begin_delivery(struct vcpu *v, u64 rflags)
{
	v->insn = INSN_PLAIN;
	v->over = false;
	arm_tf(v, rflags, v->guest_tf);
	arm_mtf(v, false);
	arm_dr(v, DR_NONE, 0);
	arm_timer(v, 0);
}

bool step_prepare(struct vcpu *v, enum after *after)
{
	u64 rflags = vmread(GUEST_RFLAGS), la;
	unsigned int bits, len, dr;

	if (v->delivering) {
		begin_delivery(v, rflags);
		return true;
	}
	if ((v->run.flags & VMDBG_RUN_WINDOW) && (rflags & X86_EFLAGS_IF) && !v->shadow) {
		*after = leave(v, VMDBG_EXIT_WINDOW);
		return false;
	}
	if (v->run.insns >= v->run.until) {
		*after = leave(v, VMDBG_EXIT_POSITION);
		return false;
	}
	arm_watchdog(v);
	look(v, &bits, &len);
	if (v->nr_breaks && !v->pass && at_break(v, bits)) {
		*after = leave(v, VMDBG_EXIT_BREAK);
		return false;
	}
	if (left_to_user(v)) {
		v->run.insn_len = len;
		*after = leave(v, VMDBG_EXIT_SPECIAL);
		return false;
	}
	dr = free_dr(v);
	v->over = dr != DR_NONE && end_of(v, bits, len, &la);
	arm_tf(v, rflags, v->guest_tf || !(v->over || v->mtf));
	arm_mtf(v, v->mtf && !v->over);
	arm_dr(v, v->over ? dr : DR_NONE, v->over ? la : 0);
	v->if_before = rflags & X86_EFLAGS_IF;
	v->stats->steps++;
	return true;
}

enum after step_retire(struct vcpu *v)
{
	u32 interruptibility = vmread(GUEST_INTERRUPTIBILITY_INFO);
	u64 rflags = vmread(GUEST_RFLAGS), bits = v->run.debug_bits;
	bool trap = v->guest_tf;

	v->run.insns++;
	if (v->insn == INSN_BRANCH)
		v->run.branches++;
	/* Not from the VMCS: whether the field still shows it after a #DB differs. */
	v->shadow = v->insn == INSN_STI && !v->if_before && (rflags & X86_EFLAGS_IF) ? GUEST_INTR_STATE_STI : 0;
	if (interruptibility & (GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS))
		vmwrite(v, GUEST_INTERRUPTIBILITY_INFO, interruptibility & GUEST_INTR_STATE_NMI);
	if (v->insn == INSN_LOADS_FLAGS || v->insn == INSN_SYSCALL)
		v->guest_tf = rflags & X86_EFLAGS_TF;
	else if (rflags & X86_EFLAGS_RF)
		vmwrite(v, GUEST_RFLAGS, rflags & ~(u64)X86_EFLAGS_RF);
	if (v->insn == INSN_SYSTEM)
		v->code_la = ~0ull;
	v->over = v->pass = false;
	if (trap)
		bits |= QUAL_BS;
	v->run.retired = 1;
	v->run.debug_bits = bits;
	if (close_after(v))
		return leave(v, VMDBG_EXIT_OPENED);
	return bits ? leave(v, VMDBG_EXIT_DEBUG) : AGAIN;
}

u64 guest_hits(const struct vcpu *v, u64 qual, bool executes)
{
	u64 hits = 0;
	unsigned int n;

	for (n = 0; n < 4; n++)
		if ((qual & BIT(n)) && n != v->armed_dr && guest_dr_enabled(v, n) && dr_executes(v, n) == executes)
			hits |= BIT(n);
	return hits;
}

/* The instruction, or an iteration of it, is over; run.debug_bits has the guest's breakpoints that it met. */
static enum after stepped(struct vcpu *v, u64 rip)
{
	if (v->insn != INSN_REP || rip != v->insn_rip)
		return step_retire(v);
	/* An iteration of a REP that goes on. */
	v->run.retired = 0;
	if (v->guest_tf)
		v->run.debug_bits |= QUAL_BS;
	if (close_after(v))
		return leave(v, VMDBG_EXIT_OPENED);
	return v->run.debug_bits ? leave(v, VMDBG_EXIT_DEBUG) : AGAIN;
}

enum after step_trap(struct vcpu *v)
{
	/* It comes before the debug exceptions of the same instruction, which stay pending (26.5.2). */
	v->run.debug_bits = guest_hits(v, vmread(GUEST_PENDING_DBG_EXCEPTIONS), false);
	return stepped(v, vmread(GUEST_RIP));
}

enum after step_debug(struct vcpu *v, u64 qual)
{
	u64 rip = vmread(GUEST_RIP);

	v->run.debug_bits = guest_hits(v, qual, false);
	if (v->over && rip != v->insn_rip)
		return step_retire(v);
	if (!(qual & QUAL_BS) || !v->armed_tf) {
		v->run.debug_bits |= guest_hits(v, qual, true);
		v->run.retired = 0;
		return v->run.debug_bits ? leave(v, VMDBG_EXIT_DEBUG) : AGAIN;
	}
	return stepped(v, rip);
}

/* After an exit that isn't the instruction's own: whether it has retired nevertheless, its #DB still pending. */
bool step_done_by_pending(struct vcpu *v)
{
	if (v->over)
		return vmread(GUEST_RIP) != v->insn_rip;
	return v->armed_tf && (vmread(GUEST_PENDING_DBG_EXCEPTIONS) & QUAL_BS);
}
