// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * VMDBG_IOC_RUN: slices of guest time with preemption off, and what must be done between them.
 *
 * Within a slice the guest's FPU registers and system-call MSRs stand in the processor, and its VMCS is the current one.
 * A slice ends when the user is wanted, a page must be pinned, the scheduler wants the CPU, or a signal came; after it
 * nothing of the guest is left on the CPU. Interrupts are off but for a moment after an exit that one caused.
 */
#include <linux/io.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include <asm/debugreg.h>
#include <asm/desc.h>
#include <asm/fpu/api.h>
#include <asm/fpu/xcr.h>
#include <asm/msr.h>
#include <asm/tlbflush.h>
#include <asm/tsc.h>
#include <asm/vmx.h>

#include "shadow.h"

#define REASON_EXTERNAL  1
#define REASON_TIMER     52
#define REASON_FAILED    BIT(31)
#define INFO_VALID       BIT(31)
#define INFO_ERROR_VALID BIT(11)
#define LOOK_EVERY       64 /* exits with interrupts off at most, for guests with IF clear under Bochs too */
#define LONGEST_NS       (20 * NSEC_PER_MSEC) /* that a run lasts at most */
#define UNSETTLED_MAX \
	65536 /* page faults and EPT violations on the way through one instruction: more is a guest's trick */
#define XCR0_MODEL   3ull /* x87, SSE */
#define MXCSR_MASK   0xffffu
#define FXSAVE_MXCSR 24

static const u32 swapped_msrs[4] = {MSR_STAR, MSR_LSTAR, MSR_SYSCALL_MASK, MSR_KERNEL_GS_BASE};

static void set_deadline(struct vcpu *v)
{
	u64 now = ktime_get_ns(), left = v->run.alarm > now ? min_t(u64, v->run.alarm - now, LONGEST_NS) : 0;

	v->deadline = rdtsc() + mul_u64_u32_div(left, tsc_khz, USEC_PER_SEC);
}

static bool time_is_up(const struct vcpu *v)
{
	return (s64)(rdtsc() - v->deadline) >= 0;
}

static bool canonical(u64 la)
{
	return (u64)((s64)(la << 16) >> 16) == la;
}

/* Values that would fault in the host's hands; all else is checked by VM entry itself. */
static int check_run(const struct vcpu *v)
{
	const struct vmdbg_run *run = &v->run;
	const struct vmdbg_regs *r = v->regs;
	u32 n;

	if (run->flags & ~VMDBG_RUN_FLAGS || run->nr_open > VMDBG_MAX_OPEN || run->nr_bounce > VMDBG_MAX_BOUNCE)
		return -EINVAL;
	if (run->nr_dirty > VMDBG_MAX_DIRTY || run->nr_tsc > VMDBG_TSC_RING)
		return -EINVAL;
	if ((run->flags & VMDBG_RUN_DELIVER) && !(run->inject_info & INFO_VALID))
		return -EINVAL;
	if (!canonical(r->lstar) || !canonical(r->kernel_gs_base) || r->sfmask >> 32)
		return -EINVAL;
	/* VM entry refuses it; Bochs 2.7 doesn't, and dies of it. */
	if ((r->efer & EFER_LMA) && (~r->cr0 & (X86_CR0_PE | X86_CR0_PG) || !(r->cr4 & X86_CR4_PAE)))
		return -EINVAL;
	if (r->xcr0 & ~XCR0_MODEL || !(r->xcr0 & 1))
		return -EINVAL;
	for (n = 0; n < run->nr_bounce; n++)
		if (machine_is_ram(v->machine, run->bounce_gpa[n]))
			return -EINVAL;
	if (run->flags & VMDBG_RUN_STEP)
		return 0;
	if (run->nr_open || run->nr_bounce || run->flags & VMDBG_RUN_DELIVER)
		return -EINVAL;
	return free_check(v);
}

static void take_in(struct vcpu *v)
{
	const struct vmdbg_run *shared = v->shared;

	memcpy(&v->run, shared, offsetof(struct vmdbg_run, dirty));
}

static void give_out(struct vcpu *v)
{
	struct vmdbg_run *shared = v->shared;

	memcpy(shared, &v->run, offsetof(struct vmdbg_run, dirty) + v->run.nr_dirty * sizeof(v->run.dirty[0]));
}

static void guest_xcr0(struct vcpu *v, bool in)
{
	if (v->host_xcr0 != v->guest_xcr0)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, in ? v->guest_xcr0 : v->host_xcr0);
}

/* RDPID, which nothing stops, reads it; the kernel doesn't before it returns to user mode. */
static void swap_tsc_aux(struct vcpu *v, bool in)
{
	if (!boot_cpu_has(X86_FEATURE_RDPID))
		return;
	if (in)
		rdmsrl(MSR_TSC_AUX, v->host_tsc_aux);
	wrmsrl(MSR_TSC_AUX, in ? v->run.tsc_aux : v->host_tsc_aux);
}

static void load_rest(struct vcpu *v)
{
	struct vmdbg_regs *r = v->regs;
	const u64 msr[4] = {r->star, r->lstar, r->sfmask, r->kernel_gs_base};
	unsigned int n;

	for (n = 0; n < ARRAY_SIZE(msr); n++) {
		rdmsrl(swapped_msrs[n], v->host_msr[n]);
		wrmsrl(swapped_msrs[n], msr[n]);
	}
	swap_tsc_aux(v, true);
	*(u32 *)(r->fxsave + FXSAVE_MXCSR) &= MXCSR_MASK;
	asm volatile("fxrstor64 %0" : : "m"(r->fxsave));
	v->host_xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK);
	v->guest_xcr0 = r->xcr0;
	guest_xcr0(v, true);
}

static void store_rest(struct vcpu *v)
{
	struct vmdbg_regs *r = v->regs;
	unsigned int n;

	guest_xcr0(v, false);
	asm volatile("fxsave64 %0" : "=m"(r->fxsave));
	rdmsrl(MSR_STAR, r->star);
	rdmsrl(MSR_LSTAR, r->lstar);
	rdmsrl(MSR_SYSCALL_MASK, r->sfmask);
	rdmsrl(MSR_KERNEL_GS_BASE, r->kernel_gs_base);
	for (n = 0; n < ARRAY_SIZE(swapped_msrs); n++)
		wrmsrl(swapped_msrs[n], v->host_msr[n]);
	swap_tsc_aux(v, false);
}

/* Pending interrupts of the host are taken here, with nothing of the guest's that they could meet. */
static void let_host_in(struct vcpu *v)
{
	guest_xcr0(v, false);
	local_irq_enable();
	asm volatile("nop");
	local_irq_disable();
	guest_xcr0(v, true);
	/* One of them was a restart's: there is no VMCS to write to (slice()). */
	if (!vmx_here())
		return;
	/* An interrupt may have changed them. */
	vmwrite(v, HOST_CR3, __read_cr3());
	vmwrite(v, HOST_CR4, __read_cr4());
}

static void count_exit(struct vcpu *v, u32 reason)
{
	u32 n = reason & 0xffff;

	v->last_reason = n < VMDBG_MAX_REASONS ? n : VMDBG_MAX_REASONS - 1;
	v->stats->reason[v->last_reason].count++;
}

static enum after bad_entry(struct vcpu *v, bool failed)
{
	v->run.vm_error = failed ? vmread(VM_INSTRUCTION_ERROR) : 0;
	v->run.hw_reason = failed ? 0 : vmread(VM_EXIT_REASON);
	v->run.qualification = failed ? 0 : vmread(EXIT_QUALIFICATION);
	return leave(v, VMDBG_EXIT_BAD_ENTRY);
}

static enum after enter(struct vcpu *v)
{
	u64 start, end;
	bool failed;
	u32 reason;

	vmwrite(v, VM_ENTRY_INTR_INFO_FIELD, v->entry_info);
	if (v->entry_info & INFO_VALID) {
		vmwrite(v, VM_ENTRY_EXCEPTION_ERROR_CODE, v->entry_error);
		vmwrite(v, VM_ENTRY_INSTRUCTION_LEN, v->entry_len);
	}
	if (v->ept.stale) {
		ept_flush(&v->ept, true);
		v->stats->inveps++;
	}
	if (shadow_take_stale(v) && vmx_caps.features & VMDBG_FEATURE_VPID) {
		vpid_flush(v->vpid);
		v->stats->invvpids++;
	}
	if (read_cr2() != v->regs->cr2)
		write_cr2(v->regs->cr2);
	start = rdtsc();
	if (v->exit_tsc)
		v->stats->reason[v->last_reason].cycles += start - v->exit_tsc;
	failed = vmdbg_enter(v->regs->gpr, v->launched);
	end = rdtsc();
	v->exit_tsc = end;
	v->stats->guest_cycles += end - start;
	v->stats->entries = ++v->entries;
	v->regs->cr2 = read_cr2();
	if (unlikely(failed))
		return bad_entry(v, true);
	v->launched = true;
	reason = vmread(VM_EXIT_REASON);
	count_exit(v, reason);
	if (unlikely(reason & REASON_FAILED))
		return bad_entry(v, false);
	return vcpu_exit(v, reason & 0xffff);
}

/* Until something is wanted outside of the slice. AGAIN: only time to breathe. */
static enum after slice_loop(struct vcpu *v)
{
	enum after after = AGAIN;
	unsigned int n = 0;

	while (after == AGAIN) {
		if (v->step) {
			if (!step_prepare(v, &after))
				break;
		} else {
			free_prepare(v);
		}
		after = enter(v);
		if (v->last_reason == REASON_EXTERNAL || (v->last_reason == REASON_TIMER && !v->step) ||
		    ++n % LOOK_EVERY == 0) {
			let_host_in(v);
			/* Breakpoints of the host's have taken the debug registers. */
			if (!vmx_here() || hw_breakpoint_active() || need_resched() || signal_pending(current) ||
			    time_is_up(v))
				break;
		}
	}
	return after;
}

/* VMCLEAR and VMPTRLD fail only for addresses that aren't ours to give. */
static void vmcs_clear(struct vcpu *v)
{
	u64 pa = __pa(v->vmcs);

	asm volatile("vmclear %0" : : "m"(pa) : "cc", "memory");
	v->launched = false;
}

static void vmcs_make_current(struct vcpu *v)
{
	u64 pa = __pa(v->vmcs);

	asm volatile("vmptrld %0" : : "m"(pa) : "cc", "memory");
}

static enum after slice(struct vcpu *v, int *error)
{
	struct desc_ptr gdt, idt;
	enum after after;
	bool here;

	kernel_fpu_begin();
	local_irq_disable();
	if (!vmx_here()) {
		local_irq_enable();
		kernel_fpu_end();
		*error = -EIO;
		return LEAVE;
	}
	/* INVEPT reaches this CPU only: what another one did to the tables meanwhile is unknown here. */
	if (v->cpu != smp_processor_id())
		v->ept.stale = true;
	v->cpu = smp_processor_id();
	native_store_gdt(&gdt);
	store_idt(&idt);
	vmcs_clear(v);
	vmcs_make_current(v);
	vmcs_load_host(v);
	vmcs_load_guest(v);
	shadow_load(v);
	if (vmx_caps.features & VMDBG_FEATURE_VPID)
		vpid_flush(v->vpid);
	load_rest(v);
	/* The guest's addresses are none of the host's breakpoints. */
	if (hw_breakpoint_active())
		set_debugreg(0, 7);
	debug_begin(v);
	if (!v->step)
		free_begin_slice(v);
	after = slice_loop(v);
	here = vmx_here();
	if (here && !v->step)
		free_end_slice(v);
	if (here)
		vmcs_store_guest(v);
	store_rest(v);
	if (here) {
		vmcs_clear(v);
	} else {
		/* The host restarts and has ended root mode while interrupts were let in. */
		*error = -EIO;
		after = LEAVE;
	}
	/* A VM exit leaves the limits at their largest (28.5.2). */
	native_load_gdt(&gdt);
	native_load_idt(&idt);
	invalidate_tss_limit();
	if (hw_breakpoint_active())
		hw_breakpoint_restore();
	if (v->vmwrite_errors)
		*error = -EIO;
	local_irq_enable();
	kernel_fpu_end();
	return after;
}

/* A VM exit loads null into the data segments; a process that uses others would lose them. */
static bool plain_segments(void)
{
	u16 ds, es, fs, gs;

	savesegment(ds, ds);
	savesegment(es, es);
	savesegment(fs, fs);
	savesegment(gs, gs);
	return !(ds | es | fs | gs);
}

/* Not with an event half delivered, whose other half would be lost, nor an instruction half begun; not where the guest
 * already stood. */
static bool may_leave(const struct vcpu *v)
{
	if (fatal_signal_pending(current) || v->unsettled > UNSETTLED_MAX)
		return true;
	return !v->delivering && !(v->entry_info & INFO_VALID) && (v->step || v->settled);
}

/* The page that a slice has asked for: pinned, and with room for its entry; or with all of the 2 MiB around it. */
static int provide(struct vcpu *v)
{
	u64 at = v->need_gpa, gpa = at & ~v->held;
	bool write = v->need_write;
	int error;

	v->need_write = false;
	if (machine_is_ram(v->machine, gpa)) {
		error = machine_pin(v->machine, gpa);
		if (error)
			return error;
		/* To be written it is split at once, and the rest needs no exit to be read. */
		if (!v->held && machine_is_large(v->machine, gpa) &&
		    ept_map_large(&v->ept, gpa, page_to_phys(machine_page(v->machine, gpa))) && !write)
			return 0;
	}
	return ept_reserve(&v->ept, at);
}

static int run_slices(struct vcpu *v)
{
	int error = 0;

	for (;;) {
		switch (slice(v, &error)) {
		case LEAVE:
			return error;
		case PIN:
			error = shadow_wants(v) ? shadow_grow(v) : provide(v);
			break;
		case AGAIN:
			break;
		}
		if (error)
			return error;
		if ((signal_pending(current) || time_is_up(v)) && may_leave(v)) {
			leave(v, VMDBG_EXIT_KICK);
			return 0;
		}
		cond_resched();
	}
}

static void take_a20m(struct vcpu *v)
{
	u64 held = v->run.flags & VMDBG_RUN_A20M ? BIT_ULL(20) : 0;

	if (v->held == held)
		return;
	v->held = held;
	v->code_la = ~0ull;
	ept_clear_all(&v->ept);
	shadow_drop(v);
}

int vcpu_run(struct vcpu *v)
{
	int ret;

	if (current->mm != v->machine->mm)
		return -EIO;
	if (!plain_segments())
		return -EOPNOTSUPP;
	take_in(v);
	ret = check_run(v);
	if (ret)
		return ret;
	take_a20m(v);
	ret = shadow_begin(v);
	if (ret)
		return ret;
	v->step = v->run.flags & VMDBG_RUN_STEP;
	set_deadline(v);
	v->entry_info = v->run.inject_info & INFO_VALID ? v->run.inject_info : 0;
	v->entry_error = v->run.inject_error;
	v->entry_len = v->run.inject_len;
	v->delivering = v->entry_info && (v->run.flags & VMDBG_RUN_DELIVER);
	v->nr_opened = 0;
	v->pass = v->run.flags & VMDBG_RUN_PASS;
	v->vmwrite_errors = 0;
	v->run.moved = v->run.pending_debug = 0;
	if (!v->step)
		free_begin_run(v);
	v->stats->user_exits++;
	ret = run_slices(v);
	pages_close(v);
	v->stats->large_pages = v->ept.large_pages;
	v->stats->splits = v->ept.splits;
	if (ret)
		return ret;
	give_out(v);
	return 0;
}
