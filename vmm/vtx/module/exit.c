// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What an exit means (SDM 3C appendix C). What needs no user space is done here: the host's interrupts, pages of RAM met
 * for the first time, CPUID from the table, RDTSC under recording. The rest leaves with what hardware said.
 */
#include <linux/io.h>
#include <linux/ktime.h>
#include <linux/vmalloc.h>

#include <asm/msr.h>
#include <asm/trapnr.h>
#include <asm/vmx.h>

#include "shadow.h"

#define REASON_EXCEPTION 0
#define REASON_EXTERNAL  1
#define REASON_TRIPLE    2
#define REASON_WINDOW    7
#define REASON_CPUID     10
#define REASON_RDTSC     16
#define REASON_CR        28
#define REASON_MTF       37
#define REASON_EPT       48
#define REASON_RDTSCP    51
#define REASON_TIMER     52

#define QUAL_GLA   BIT(7)
#define QUAL_FINAL BIT(8)

#define INFO_VALID       BIT(31)
#define INFO_ERROR_VALID BIT(11)
#define INFO_NMI_IRET    BIT(12) /* the IRET that faulted had ended blocking by NMI */
#define INFO_TYPE        0x700
#define TYPE_NMI         (2 << 8)
#define TYPE_HARD        (3 << 8)

#define CR_READ (1 << 4) /* qualification of a MOV from a control register */

static u64 guest_gpa(void)
{
	return vmread(GUEST_PHYSICAL_ADDRESS);
}

static bool is_open(const struct vcpu *v, u64 gfn)
{
	u32 n;

	for (n = 0; n < v->run.nr_open; n++)
		if (v->run.open_gfn[n] == gfn)
			return true;
	return false;
}

static bool remember_opened(struct vcpu *v, u64 *entry)
{
	unsigned int n;

	for (n = 0; n < v->nr_opened; n++)
		if (v->opened_entry[n] == entry)
			return true;
	if (v->nr_opened == ARRAY_SIZE(v->opened_entry))
		return false;
	v->opened_entry[v->nr_opened++] = entry;
	return true;
}

/* Maps a page that isn't the guest's, for one instruction. */
static enum after open_other(struct vcpu *v, u64 gpa, u64 hpa, u32 access)
{
	u64 *entry = ept_entry(&v->ept, gpa);

	if (!entry) {
		v->need_gpa = gpa;
		return PIN;
	}
	if (!remember_opened(v, entry))
		return leave(v, VMDBG_EXIT_EPT);
	ept_set(&v->ept, entry, hpa, access);
	return AGAIN;
}

/* The bounce page in place of @gfn, or NULL. */
static struct page *bounce_page(const struct vcpu *v, u64 gfn)
{
	u32 n;

	for (n = 0; n < v->run.nr_bounce; n++)
		if (v->run.bounce_gpa[n] >> PAGE_SHIFT == gfn)
			return vmalloc_to_page(v->shared + (VMDBG_PAGE_BOUNCE + n) * PAGE_SIZE);
	return NULL;
}

/* Adds to the pages written. False: the list is full. */
static bool note_dirty(struct vcpu *v, u64 gfn)
{
	if (v->run.nr_dirty == VMDBG_MAX_DIRTY)
		return false;
	v->run.dirty[v->run.nr_dirty++] = gfn;
	return true;
}

/* The access was to a table of the guest's, on the way to a linear address. */
static bool of_the_walk(const struct vcpu *v)
{
	return v->step && (v->run.qualification & (QUAL_GLA | QUAL_FINAL)) == QUAL_GLA;
}

bool page_may_be_marked(const struct vcpu *v, u64 gpa)
{
	const struct limit *limit = xa_load((struct xarray *)&v->ept.limits, gpa >> PAGE_SHIFT);

	return !limit || limit->allowed & (VMDBG_W | VMDBG_WALK) || is_open(v, gpa >> PAGE_SHIFT);
}

bool page_note_marked(struct vcpu *v, u64 gpa)
{
	const u64 *entry = ept_entry(&v->ept, gpa);

	return (entry && *entry & VMDBG_W) || note_dirty(v, gpa >> PAGE_SHIFT);
}

/* @at: as hardware has it, which is where the entry stands. */
static enum after ept_fault(struct vcpu *v, u64 at, u32 access)
{
	u64 gpa = at & ~v->held, gfn = gpa >> PAGE_SHIFT, *entry, hpa;
	struct page *page = machine_page(v->machine, gpa), *bounce = bounce_page(v, gfn);
	struct limit *limit;
	u32 allowed = VMDBG_RWX, give;

	if (bounce)
		return open_other(v, at, page_to_phys(bounce), VMDBG_R | VMDBG_W);
	if (shadow_map(v, at))
		return AGAIN;
	if (!machine_is_ram(v->machine, gpa)) {
		if (shadow_active(v) && !(v->run.qualification & QUAL_GLA))
			return open_other(v, at, shadow_pdpt(v), VMDBG_R);
		return leave(v, VMDBG_EXIT_EPT);
	}
	entry = ept_entry(&v->ept, at);
	if (!page || !entry) {
		v->need_gpa = at;
		v->need_write = access & VMDBG_W;
		return PIN;
	}
	hpa = page_to_phys(page);
	limit = xa_load(&v->ept.limits, gfn);
	if (limit && (is_open(v, gfn) || (limit->allowed & VMDBG_WALK && of_the_walk(v)))) {
		if (!remember_opened(v, entry))
			return leave(v, VMDBG_EXIT_EPT);
	} else if (limit) {
		allowed = limit->allowed & VMDBG_RWX;
		if (access & ~allowed)
			return leave(v, VMDBG_EXIT_EPT);
		if (limit->twin)
			hpa = page_to_phys(limit->twin);
	}
	if (shadow_tracks(v, gfn)) {
		if (!(access & VMDBG_W))
			allowed &= ~VMDBG_W;
		else if (!shadow_write(v, gfn))
			return leave(v, VMDBG_EXIT_TABLE);
		else if (v->step && !remember_opened(v, entry))
			return leave(v, VMDBG_EXIT_EPT);
	}
	give = (VMDBG_R | VMDBG_X | (*entry & VMDBG_W)) & allowed;
	if (access & VMDBG_W) {
		if (!(*entry & VMDBG_W)) {
			if (!note_dirty(v, gfn))
				return leave(v, VMDBG_EXIT_DIRTY);
			ept_note_written(&v->ept, entry);
		}
		give |= VMDBG_W;
	}
	ept_set(&v->ept, entry, hpa, give);
	v->stats->pages++;
	return AGAIN;
}

/* The instruction is done: on to the next. */
static enum after advance(struct vcpu *v)
{
	vmwrite(v, GUEST_RIP, vmread(GUEST_RIP) + vmread(VM_EXIT_INSTRUCTION_LEN));
	if (v->step)
		return step_retire(v);
	free_advance(v);
	return AGAIN;
}

static enum after do_cpuid(struct vcpu *v)
{
	u32 leaf = v->regs->gpr[0], subleaf = v->regs->gpr[1];
	unsigned int n;

	if (!v->step && free_needs_user())
		return leave(v, VMDBG_EXIT_HARDWARE);
	for (n = 0; n < v->nr_cpuid; n++) {
		const struct vmdbg_cpuid_entry *e = &v->cpuid[n];

		if (e->leaf != leaf || (!e->any_subleaf && e->subleaf != subleaf))
			continue;
		v->regs->gpr[0] = e->eax;
		v->regs->gpr[3] = e->ebx;
		v->regs->gpr[1] = e->ecx;
		v->regs->gpr[2] = e->edx;
		return advance(v);
	}
	return leave(v, VMDBG_EXIT_HARDWARE);
}

/* The host's clock as the guest's TSC. False: user space must look at what is due first. */
static bool tsc_now(struct vcpu *v, u64 *tsc)
{
	*tsc = max(ktime_get_ns() + v->run.tsc_base, v->run.tsc_floor);
	if (*tsc >= v->run.tsc_limit || v->run.nr_tsc >= v->run.tsc_room)
		return false;
	v->run.tsc_floor = *tsc;
	return true;
}

static enum after do_rdtsc(struct vcpu *v)
{
	struct vmdbg_tsc_read *ring = (void *)v->stats + VMDBG_TSC_RING_OFFSET;
	u64 tsc;

	if (!(v->run.flags & VMDBG_RUN_TSC_HERE) || (!v->step && free_needs_user()))
		return leave(v, VMDBG_EXIT_HARDWARE);
	if (v->run.nr_tsc == VMDBG_TSC_RING)
		return leave(v, VMDBG_EXIT_TSC);
	if (v->run.flags & VMDBG_RUN_TSC_INSNS)
		tsc = v->run.tsc_base + v->run.insns;
	else if (!tsc_now(v, &tsc))
		return leave(v, VMDBG_EXIT_HARDWARE);
	ring[v->run.nr_tsc].insns = v->run.insns;
	ring[v->run.nr_tsc].value = tsc;
	v->run.nr_tsc++;
	v->regs->gpr[0] = (u32)tsc;
	v->regs->gpr[2] = tsc >> 32;
	if (v->last_reason == REASON_RDTSCP)
		v->regs->gpr[1] = v->run.tsc_aux;
	return advance(v);
}

/* In what faults push (SDM 3B 18.3.1.1); injection pushes RFLAGS as they stand. */
static void set_rf(struct vcpu *v)
{
	vmwrite(v, GUEST_RFLAGS, vmread(GUEST_RFLAGS) | X86_EFLAGS_RF);
}

/* The guest's own page fault: stepping it is told, running freely delivered here (SDM 3A table 6-5). */
static enum after reflect(struct vcpu *v, u64 la)
{
	u32 vectoring = v->run.vectoring_info, first = vectoring & 0xff;

	if (v->step) {
		v->run.qualification = la;
		return leave(v, VMDBG_EXIT_EXCEPTION);
	}
	set_rf(v);
	v->entry_info = INFO_VALID | INFO_ERROR_VALID | TYPE_HARD | X86_TRAP_PF;
	v->entry_error = v->run.intr_error;
	v->regs->cr2 = la;
	if ((vectoring & (INFO_VALID | INFO_TYPE)) != (INFO_VALID | TYPE_HARD))
		return AGAIN;
	if (first == X86_TRAP_DF)
		return leave(v, VMDBG_EXIT_SHUTDOWN);
	if (first == X86_TRAP_PF) {
		v->entry_info = INFO_VALID | INFO_ERROR_VALID | TYPE_HARD | X86_TRAP_DF;
		v->entry_error = 0;
	}
	return AGAIN;
}

static enum after page_fault(struct vcpu *v)
{
	u64 la = vmread(EXIT_QUALIFICATION);
	enum after after;
	bool guest;

	/* What went before has run up to its breakpoint, whose fetch it is that faults. */
	if (v->over && !v->delivering && vmread(GUEST_RIP) != v->insn_rip)
		return step_retire(v);
	if (!v->step)
		free_unsettle(v);
	after = shadow_fault(v, la, &v->run.intr_error, &guest);
	return after == LEAVE && guest ? reflect(v, la) : after;
}

static enum after do_exception(struct vcpu *v)
{
	u32 info = vmread(VM_EXIT_INTR_INFO), vector = info & 0xff;

	v->run.intr_info = info;
	v->run.intr_error = info & INFO_ERROR_VALID ? vmread(VM_EXIT_INTR_ERROR_CODE) : 0;
	if ((info & INFO_NMI_IRET) && !(v->run.vectoring_info & INFO_VALID) && vector != X86_TRAP_DF)
		vmwrite(v, GUEST_INTERRUPTIBILITY_INFO, vmread(GUEST_INTERRUPTIBILITY_INFO) | GUEST_INTR_STATE_NMI);
	if (vector == X86_TRAP_DB && (info & INFO_TYPE) == TYPE_HARD) {
		u64 qual = vmread(EXIT_QUALIFICATION);

		if (v->step && !(v->run.vectoring_info & INFO_VALID))
			return step_debug(v, qual);
		if (!v->step)
			return free_debug(v, qual);
		v->run.debug_bits = qual;
		return leave(v, VMDBG_EXIT_DEBUG);
	}
	if (vector == X86_TRAP_PF && shadow_active(v))
		return page_fault(v);
	v->run.qualification = vmread(EXIT_QUALIFICATION);
	return leave(v, VMDBG_EXIT_EXCEPTION);
}

/* Of the control registers only CR3 is another in hardware than the guest reads: with shadow tables. */
static enum after do_cr(struct vcpu *v)
{
	u64 qual = vmread(EXIT_QUALIFICATION), cr3 = v->regs->cr3;
	unsigned int reg = qual >> 8 & 15;

	if (!shadow_active(v) || (qual & 0x3f) != (3 | CR_READ))
		return leave(v, VMDBG_EXIT_HARDWARE);
	if (!v->step && free_needs_user())
		return leave(v, VMDBG_EXIT_TABLE);
	if (!(v->regs->efer & EFER_LMA) || !(vmread(GUEST_CS_AR_BYTES) & BIT(13)))
		cr3 = (u32)cr3;
	if (reg == 4)
		vmwrite(v, GUEST_RSP, cr3);
	else
		v->regs->gpr[reg] = cr3;
	return advance(v);
}

/* What is the host's is done before anything else. True: there was something. */
static bool of_the_host(struct vcpu *v, u32 reason)
{
	u32 info;

	if (reason == REASON_EXTERNAL || reason == REASON_TIMER)
		return true; /* enabling interrupts takes it: run.c */
	if (reason != REASON_EXCEPTION)
		return false;
	info = vmread(VM_EXIT_INTR_INFO);
	if ((info & INFO_TYPE) == TYPE_NMI) {
		asm volatile("int $2");
		return true;
	}
	if ((info & (INFO_TYPE | 0xff)) == (TYPE_HARD | X86_TRAP_MC)) {
		asm volatile("int $18");
		return true;
	}
	return false;
}

/* An event whose delivery was cut short by an exit that isn't the guest's business is delivered anew. */
static void redeliver(struct vcpu *v, u32 info)
{
	v->entry_info = info & ~INFO_NMI_IRET;
	v->entry_error = info & INFO_ERROR_VALID ? vmread(IDT_VECTORING_ERROR_CODE) : 0;
	v->entry_len = vmread(VM_EXIT_INSTRUCTION_LEN);
	if ((info & INFO_TYPE) == TYPE_HARD && (info & 0xff) != X86_TRAP_DB && !v->step)
		set_rf(v);
	/* Blocking by NMI has begun with the first attempt, and an NMI can't be injected under it (27.3.1.5). */
	if ((info & INFO_TYPE) == TYPE_NMI)
		vmwrite(v, GUEST_INTERRUPTIBILITY_INFO,
			vmread(GUEST_INTERRUPTIBILITY_INFO) & ~(u64)GUEST_INTR_STATE_NMI);
}

static enum after by_reason(struct vcpu *v, u32 reason)
{
	switch (reason) {
	case REASON_EXCEPTION:
		return do_exception(v);
	case REASON_TRIPLE:
		return leave(v, VMDBG_EXIT_SHUTDOWN);
	case REASON_WINDOW:
		return leave(v, VMDBG_EXIT_WINDOW);
	case REASON_CPUID:
		return do_cpuid(v);
	case REASON_CR:
		return do_cr(v);
	case REASON_RDTSC:
	case REASON_RDTSCP:
		return do_rdtsc(v);
	case REASON_MTF:
		return step_trap(v);
	case REASON_EPT:
		v->run.qualification = vmread(EXIT_QUALIFICATION);
		v->run.gpa = guest_gpa() & ~v->held;
		v->run.gla = vmread(GUEST_LINEAR_ADDRESS);
		if ((v->run.qualification & INFO_NMI_IRET) && !(v->run.vectoring_info & INFO_VALID))
			vmwrite(v, GUEST_INTERRUPTIBILITY_INFO,
				vmread(GUEST_INTERRUPTIBILITY_INFO) | GUEST_INTR_STATE_NMI);
		if (!v->step)
			free_unsettle(v);
		return ept_fault(v, guest_gpa(), v->run.qualification & VMDBG_RWX);
	default:
		return leave(v, VMDBG_EXIT_HARDWARE);
	}
}

static enum after after_delivery(struct vcpu *v, u32 info)
{
	v->delivering = false;
	/* A #DB right behind a delivery would be one of ours. */
	vmwrite(v, GUEST_PENDING_DBG_EXCEPTIONS, 0);
	if (v->run.flags & VMDBG_RUN_DELIVER) {
		v->guest_tf = vmread(GUEST_RFLAGS) & X86_EFLAGS_TF;
		v->shadow = 0;
		return leave(v, VMDBG_EXIT_DELIVERED);
	}
	return AGAIN;
}

enum after vcpu_exit(struct vcpu *v, u32 reason)
{
	bool host = of_the_host(v, reason);
	u32 vectoring = vmread(IDT_VECTORING_INFO_FIELD);
	enum after after;

	v->last_reason = reason;
	v->run.hw_reason = reason;
	v->run.vectoring_info = vectoring;
	v->run.vectoring_error =
	    vectoring & INFO_VALID && vectoring & INFO_ERROR_VALID ? vmread(IDT_VECTORING_ERROR_CODE) : 0;
	v->run.debug_bits = 0;
	v->entry_info = 0;
	if (!v->step)
		free_note_progress(v, reason == REASON_TIMER);
	if (v->delivering && !(vectoring & INFO_VALID))
		return after_delivery(v, vectoring);
	if (v->step && !v->delivering && (host || (v->over && reason != REASON_EXCEPTION)) && step_done_by_pending(v))
		return step_retire(v);
	after = host ? AGAIN : by_reason(v, reason);
	if (after != LEAVE && (vectoring & INFO_VALID) && !(v->entry_info & INFO_VALID))
		redeliver(v, vectoring);
	if (after == LEAVE) {
		v->run.insn_len = vmread(VM_EXIT_INSTRUCTION_LEN);
		v->run.insn_info = vmread(VMX_INSTRUCTION_INFO);
		if (reason != REASON_EXCEPTION && reason != REASON_EPT)
			v->run.qualification = vmread(EXIT_QUALIFICATION);
		v->delivering = false;
	}
	/* A fault-like exit can leave a step's trap behind, which the next entry would deliver without progress. */
	if (v->step)
		vmwrite(v, GUEST_PENDING_DBG_EXCEPTIONS, 0);
	return after;
}
