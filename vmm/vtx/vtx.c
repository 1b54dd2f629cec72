// SPDX-License-Identifier: GPL-2.0-or-later
/* The VT-x engine: guest code runs in VMX non-root mode, under vmdbg.ko (module/). The module steps from instruction to
 * instruction and counts, or lets a machine that runs freely go on by itself; whatever needs more than that comes back as an
 * exit and is carried out here. Running freely, what is awkward is stepped: one instruction, and on. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/host_time.h"
#include "vmm/machine.h"
#include "vmm/vtx/module/insn.h"
#include "vmm/vtx/vtx.h"

#define SHADOW   (BLOCK_STI | BLOCK_MOV_SS)
#define DEBUG_BS BIT(14)

#define LOOK_NS 20000000 /* a run of the module is over by then */

/* Basic exit reasons (SDM 3C appendix C). */
enum hw_reason {
	HW_EXCEPTION = 0,
	HW_TASK_SWITCH = 9,
	HW_CPUID = 10,
	HW_HLT = 12,
	HW_INVD = 13,
	HW_RDPMC = 15,
	HW_RDTSC = 16,
	HW_CR = 28,
	HW_DR = 29,
	HW_IO = 30,
	HW_RDMSR = 31,
	HW_WRMSR = 32,
	HW_TABLES = 46,
	HW_LDT_TR = 47,
	HW_RDTSCP = 51,
	HW_WBINVD = 54,
	HW_XSETBV = 55,
};

void vtx_break(struct vtx_cpu *cpu, const char *fmt, ...)
{
	struct machine *m = cpu->vcpu.machine;
	va_list ap;

	if (cpu->stuck)
		return;
	cpu->stuck = true;
	va_start(ap, fmt);
	vsnprintf(m->fault.text, sizeof(m->fault.text), fmt, ap);
	va_end(ap);
	machine_set_end(m, END_ERROR, 0);
}

void vtx_cpuid_table(struct vtx_cpu *cpu)
{
	struct vmdbg_cpuid table = {
	    .size = sizeof(table),
	    .vcpu = cpu->vcpu.id,
	    .count = cpu->nr_cpuid,
	    .entries = (u64)(uintptr_t)cpu->cpuid,
	};

	if (ioctl(cpu->fd, VMDBG_IOC_CPUID, &table))
		vtx_break(cpu, "the module refuses the CPUID table");
}

/* --- entering --- */

static void note_written(struct vtx_cpu *cpu)
{
	for (u32 n = 0; n < cpu->run->nr_dirty && n < VMDBG_MAX_DIRTY; n++) {
		u64 gpa = cpu->run->dirty[n] << PAGE_SHIFT;
		const struct memory_slot *slot = memory_slot(cpu->vcpu.mem, gpa);

		if (slot)
			slot->flags[(gpa - slot->gpa) >> PAGE_SHIFT] |= PAGE_WRITTEN;
	}
	cpu->run->nr_dirty = 0;
}

/* With the virtual clock the TSC is a function of position, and the module can tell it. With the host's it can where the
 * machine lets it, up to the access at which the run is to end: that one is made here. */
static u32 tsc_flags(struct vtx_cpu *cpu)
{
	const struct machine *m = cpu->vcpu.machine;
	struct vmdbg_run *run = cpu->run;
	u64 base, floor, limit;

	if (m->config.clock == CLOCK_VIRTUAL) {
		run->tsc_base = cpu->vcpu.ops->tsc(&cpu->vcpu) - cpu->vcpu.insns;
		return VMDBG_RUN_TSC_HERE | VMDBG_RUN_TSC_INSNS;
	}
	if (m->accesses + 1 >= m->stop_at || !cpu->vcpu.ops->tsc_direct(&cpu->vcpu, &base, &floor, &limit))
		return 0;
	run->tsc_base = base;
	run->tsc_floor = floor;
	run->tsc_limit = limit;
	run->tsc_room = (u32)min64(m->stop_at - m->accesses - 1, VMDBG_TSC_RING);
	return VMDBG_RUN_TSC_HERE;
}

static void tell_tsc(struct vtx_cpu *cpu)
{
	const struct vmdbg_tsc_read *ring = (const void *)((const u8 *)cpu->stats + VMDBG_TSC_RING_OFFSET);

	if (cpu->vcpu.machine->config.clock == CLOCK_VIRTUAL)
		return;
	for (u32 n = 0; n < cpu->run->nr_tsc && n < VMDBG_TSC_RING; n++)
		cpu->vcpu.ops->tsc_taken(&cpu->vcpu, ring[n].value);
}

static void bad_entry(struct vtx_cpu *cpu)
{
	char why[200];

	vtx_guest_check(&cpu->run->regs, why, sizeof(why));
	vtx_break(cpu, "VM entry failed at RIP %#llx (error %u, reason %#x, qualification %llu): %s",
		  (unsigned long long)cpu->vcpu.regs.rip, cpu->run->vm_error, cpu->run->hw_reason,
		  (unsigned long long)cpu->run->qualification, *why ? why : "no rule for the guest's state is broken");
}

int vtx_enter(struct vtx_cpu *cpu, u32 flags, u64 until)
{
	struct vmdbg_vcpu_arg arg = {.size = sizeof(arg), .vcpu = cpu->vcpu.id};
	struct vmdbg_run *run = cpu->run;
	const struct probe *p = &cpu->vcpu.probe;

	flags |= tsc_flags(cpu);
	if (cpu->changed)
		flags |= VMDBG_RUN_FLUSH;
	cpu->changed = false;
	if (cpu->vcpu.regs.a20m)
		flags |= VMDBG_RUN_A20M;
	if (p->in[PROBE_EVENT + TARGET_EVENT_MSR].nr)
		flags |= VMDBG_RUN_ALL_MSRS;
	run->nr_bounce = cpu->open.nr_bounce;
	memcpy(run->bounce_gpa, cpu->open.bounce_gpa, sizeof(run->bounce_gpa));
	run->nr_open = cpu->open.nr;
	memcpy(run->open_gfn, cpu->open.gfn, sizeof(run->open_gfn));
	run->flags = flags;
	run->until = until;
	run->insns = cpu->vcpu.insns;
	run->branches = cpu->vcpu.branches;
	/* Others than signals may have kicked. */
	run->alarm = monotonic_ns() + LOOK_NS;
	if (!(flags & VMDBG_RUN_STEP))
		run->alarm = min64(run->alarm, cpu->vcpu.alarm);
	run->tsc_aux = (u32)cpu->vcpu.regs.tsc_aux;
	run->nr_dirty = run->nr_tsc = 0;
	vtx_regs_out(&run->regs, &cpu->vcpu.regs);
	if (ioctl(cpu->fd, VMDBG_IOC_RUN, &arg)) {
		vtx_break(cpu, "vmdbg.ko cannot run the vCPU: %s%s", strerror(errno),
			  errno == ENOMEM ? " (the guest's memory counts against RLIMIT_MEMLOCK: ulimit -l)" : "");
		return -1;
	}
	note_written(cpu);
	vtx_regs_in(&cpu->vcpu.regs, &run->regs);
	if (run->exit == VMDBG_EXIT_BAD_ENTRY) {
		bad_entry(cpu);
		return -1;
	}
	cpu->vcpu.branches = run->branches;
	tell_tsc(cpu);
	/* The device's part of the instruction comes before it is counted. */
	if (run->exit == VMDBG_EXIT_OPENED)
		vtx_opened(cpu);
	cpu->vcpu.insns = run->insns + run->moved;
	cpu->vcpu.regs.pending_db |= run->pending_debug;
	return (int)run->exit;
}

/* --- what has happened --- */

void vtx_retired(struct vtx_cpu *cpu)
{
	struct x86_state *s = &cpu->vcpu.regs;

	cpu->vcpu.insns++;
	s->interruptibility &= ~(u32)SHADOW;
	if (s->rflags & RFLAGS_TF)
		s->pending_db |= DEBUG_BS;
	s->rflags &= ~RFLAGS_RF;
	if (s->pending_db && s->activity == ACTIVITY_HLT)
		s->activity = ACTIVITY_ACTIVE;
}

void vtx_retire(struct vtx_cpu *cpu, unsigned len)
{
	struct x86_state *s = &cpu->vcpu.regs;

	s->rip += len;
	if (!x86_64bit(s))
		s->rip = s->seg[SEG_CS].ar & AR_DB ? (u32)s->rip : (u16)s->rip;
	vtx_retired(cpu);
}

static int task_switch(struct vtx_cpu *cpu)
{
	u64 qual = cpu->run->qualification;
	bool gate = qual >> 30 == 3; /* through the IDT */

	if (gate)
		return vtx_fault_code(cpu, X86_GP,
				      (cpu->run->vectoring_info & 0xff) * 8 + 2 +
					  ((cpu->run->vectoring_info >> 8 & 7) != EVENT_INT_N));
	return vtx_fault_code(cpu, X86_GP, (u32)qual & 0xfffc);
}

/* An instruction that exits by itself: 0, or -1: a fault. */
static int carry_out(struct vtx_cpu *cpu)
{
	switch (cpu->run->hw_reason & 0xffff) {
	case HW_TASK_SWITCH:
		return task_switch(cpu);
	case HW_CPUID:
		return vtx_exit_cpuid(cpu);
	case HW_HLT:
		cpu->vcpu.regs.activity = ACTIVITY_HLT;
		return 0;
	case HW_INVD:
	case HW_WBINVD:
		return 0;
	case HW_RDPMC: /* no counters in this model */
		return vtx_fault_code(cpu, X86_GP, 0);
	case HW_RDTSC:
		return vtx_exit_tsc(cpu, false);
	case HW_RDTSCP:
		return vtx_exit_tsc(cpu, true);
	case HW_CR:
		return vtx_exit_cr(cpu);
	case HW_DR:
		return vtx_exit_dr(cpu);
	case HW_IO:
		return vtx_exit_io(cpu);
	case HW_RDMSR:
		return vtx_exit_rdmsr(cpu);
	case HW_WRMSR:
		return vtx_exit_wrmsr(cpu);
	case HW_XSETBV:
		return vtx_exit_xsetbv(cpu);
	default: /* VMX, MWAIT, MONITOR, RDRAND, RDSEED, GETSEC, RSM: not in the CPU model */
		return vtx_fault(cpu, X86_UD);
	}
}

static bool changes_translations(const struct vtx_cpu *cpu)
{
	u32 reason = cpu->run->hw_reason & 0xffff;

	return reason == HW_CR || reason == HW_WRMSR;
}

static void hardware_exit(struct vtx_cpu *cpu)
{
	u32 reason = cpu->run->hw_reason & 0xffff;
	unsigned len = cpu->run->insn_len;

	/* A processor without UMIP: stepping knows what is forbidden. */
	if (reason == HW_TABLES || reason == HW_LDT_TR) {
		cpu->alone = true;
		return;
	}

	if (carry_out(cpu)) {
		vtx_deliver_fault(cpu);
		return;
	}
	vtx_retire(cpu, len);
	if (changes_translations(cpu))
		vtx_watch_remap(cpu);
}

/* The guest's own exception: delivered as it came. */
static void exception_exit(struct vtx_cpu *cpu)
{
	const struct vmdbg_run *run = cpu->run;
	u8 vector = run->intr_info & 0xff;
	enum event_type type = INFO_TYPE(run->intr_info);

	cpu->vcpu.regs.pending_db = 0;
	probe_forget_reads(&cpu->vcpu.probe);
	if (vector == X86_PF)
		cpu->vcpu.regs.cr2 = run->qualification;
	vtx_deliver(cpu, type, vector, run->intr_info & INFO_ERROR, run->intr_error, run->insn_len);
}

/* The guest's breakpoints on execution, as bits of DR6. */
static u64 executes(const struct x86_state *s)
{
	u64 bits = 0;

	for (unsigned n = 0; n < 4; n++)
		if (!(s->dr7 >> (16 + 4 * n) & 3))
			bits |= BIT(n);
	return bits;
}

static void debug_exit(struct vtx_cpu *cpu)
{
	struct x86_state *s = &cpu->vcpu.regs;
	u64 bits = cpu->run->debug_bits;

	s->pending_db |= bits;
	/* Between two iterations of a REP: going on is no new beginning (SDM 3B 18.3.1.1). A trap is it, a breakpoint on
	 * the instruction itself isn't. */
	if (!cpu->run->retired && cpu->run->insn_class == INSN_REP && (bits & ~executes(s)))
		s->rflags |= RFLAGS_RF;
}

static void deliver_debug(struct vtx_cpu *cpu)
{
	struct x86_state *s = &cpu->vcpu.regs;

	s->dr6 |= s->pending_db;
	s->pending_db = 0;
	vtx_deliver(cpu, EVENT_EXCEPTION, X86_DB, false, 0, 0);
}

/* Running freely: an exit that cut short what hardware was delivering. It is delivered here, with all that it meets. */
static bool delivery_cut(struct vtx_cpu *cpu, int exit)
{
	const struct vmdbg_run *run = cpu->run;
	u32 info = run->vectoring_info;

	if (run->flags & VMDBG_RUN_STEP || !(info & INFO_VALID) ||
	    (exit != VMDBG_EXIT_EPT && exit != VMDBG_EXIT_DIRTY && exit != VMDBG_EXIT_TABLE))
		return false;
	vtx_deliver(cpu, INFO_TYPE(info), info & 0xff, info & INFO_ERROR, run->vectoring_error, run->insn_len);
	return true;
}

static void handle(struct vtx_cpu *cpu, int exit)
{
	bool fault = false;

	cpu->cut = exit == VMDBG_EXIT_KICK || (exit == VMDBG_EXIT_OPENED && !cpu->run->retired);
	if (delivery_cut(cpu, exit))
		return;
	switch (exit) {
	case VMDBG_EXIT_POSITION:
	case VMDBG_EXIT_BREAK:
		break;
	case VMDBG_EXIT_WINDOW: /* SDM 3C 28.3.3: RF is set between two iterations */
		cpu->cut = cpu->vcpu.regs.rflags & RFLAGS_RF;
		break;
	case VMDBG_EXIT_DIRTY:
	case VMDBG_EXIT_TABLE:
		cpu->alone = true;
		return;
	case VMDBG_EXIT_KICK:
	case VMDBG_EXIT_TSC:
		return; /* the instruction hasn't run: what is open stays so */
	case VMDBG_EXIT_SHUTDOWN:
		cpu->vcpu.regs.activity = ACTIVITY_SHUTDOWN;
		cpu->vcpu.regs.rflags &= ~RFLAGS_RF;
		break;
	case VMDBG_EXIT_OPENED:
		debug_exit(cpu);
		break;
	case VMDBG_EXIT_DEBUG:
		debug_exit(cpu);
		break;
	case VMDBG_EXIT_EPT:
		if (!vtx_exit_ept(cpu))
			return;
		fault = true;
		break;
	case VMDBG_EXIT_EXCEPTION:
		exception_exit(cpu);
		break;
	case VMDBG_EXIT_SPECIAL:
		fault = vtx_special(cpu);
		break;
	case VMDBG_EXIT_HARDWARE:
		hardware_exit(cpu);
		break;
	default:
		vtx_break(cpu, "exit %d, hardware's reason %#x, at RIP %#llx", exit, cpu->run->hw_reason,
			  (unsigned long long)cpu->vcpu.regs.rip);
		break;
	}
	vtx_open_reset(cpu);
	if (exit != VMDBG_EXIT_SPECIAL)
		vtx_x87_done(cpu);
	if (fault)
		vtx_deliver_fault(cpu);
}

/* --- the run --- */

static bool stop(struct vtx_cpu *cpu, u64 until, enum exit_reason *reason)
{
	bool delivered = cpu->delivery;

	cpu->delivery = false;
	return vcpu_run_ends(&cpu->vcpu, until, delivered, cpu->stuck || cpu->alarmed, reason);
}

static bool at_rep(struct vtx_cpu *cpu)
{
	const struct x86_state *s = &cpu->vcpu.regs;
	unsigned bits = x86_64bit(s) ? 64 : s->seg[SEG_CS].ar & AR_DB ? 32 : 16, len;
	u8 code[15];

	return insn_classify(code, vtx_code(cpu, code), bits, &len) == INSN_REP;
}

/* Whether the next instruction must be run alone: something is open or held for it, or is to be told behind it; a REP that
 * goes on is no new arrival at the breakpoint before it. */
static bool runs_alone(struct vtx_cpu *cpu, bool free)
{
	const struct x86_state *s = &cpu->vcpu.regs;

	if (cpu->x87.pending || vtx_watch_each(cpu))
		return true;
	return free && (cpu->alone || cpu->open.nr_bounce || cpu->open.nr || s->pending_db || (s->rflags & RFLAGS_TF) ||
			(s->interruptibility & SHADOW) || (vtx_watch_here(cpu) && (at_rep(cpu) || s->dr7 & 0xff)));
}

static void run_on(struct vtx_cpu *cpu, u64 until)
{
	struct vcpu *vcpu = &cpu->vcpu;
	bool free = vcpu->machine->config.free && until == VCPU_FREE;
	bool alone = runs_alone(cpu, free);
	u32 flags = VMDBG_RUN_PASS | (vcpu->want_window ? VMDBG_RUN_WINDOW : 0);

	if (!free || alone || vtx_watch_steps(cpu))
		flags |= VMDBG_RUN_STEP;
	if (cpu->x87.pending)
		flags |= VMDBG_RUN_X87;
	if (vcpu->probe.in[PROBE_EVENT + TARGET_EVENT_CR3].nr)
		flags |= VMDBG_RUN_CR3;
	if (!(flags & VMDBG_RUN_STEP) && (vcpu->regs.cr4 & CR4_UMIP)) /* the processor may not have it */
		flags |= VMDBG_RUN_TABLES;
	cpu->alone = false;
	handle(cpu, vtx_enter(cpu, flags, alone ? vcpu->insns + 1 : until));
	cpu->alarmed = free && cpu->run->exit == VMDBG_EXIT_KICK && monotonic_ns() >= vcpu->alarm;
}

/* Whether the run was cut where a breakpoint can't find the place again: amid a REP, behind MOV SS, with a trap to come, behind
 * an exception. */
static bool no_place(struct vtx_cpu *cpu)
{
	const struct x86_state *s = &cpu->vcpu.regs;

	return cpu->cut && (s->interruptibility & SHADOW || s->pending_db || at_rep(cpu) || vtx_at_handler(cpu));
}

/* Running freely: whether the next instruction has begun, as flags in the guest's tables show. No place to stop. */
static bool midway(const struct vtx_cpu *cpu)
{
	return cpu->vcpu.machine->config.free && !cpu->stuck && (cpu->alone || cpu->open.nr_bounce || cpu->open.nr);
}

static enum exit_reason vtx_run(struct vcpu *vcpu, u64 until)
{
	struct vtx_cpu *cpu = vtx_cpu(vcpu);
	enum exit_reason reason;

	vcpu->probe.fresh = cpu->delivery = cpu->alarmed = cpu->alone = cpu->cut = false;
	cpu->changed |= vcpu->count > 1;
	probe_settle(&vcpu->probe);
	vtx_open_reset(cpu);
	cpu->x87.pending = false;
	while (midway(cpu) || !stop(cpu, until, &reason)) {
		if (!midway(cpu)) {
			if (vcpu->regs.pending_db && !(vcpu->regs.interruptibility & BLOCK_MOV_SS)) {
				deliver_debug(cpu);
				continue;
			}
			if (vtx_watch_exec(cpu))
				continue;
		}
		run_on(cpu, until);
	}
	vcpu->amid = vcpu->machine->config.free && no_place(cpu);
	return reason;
}

static void vtx_inject(struct vcpu *vcpu, enum irq_kind kind, u8 vector)
{
	struct vtx_cpu *cpu = vtx_cpu(vcpu);

	probe_settle(&vcpu->probe);
	vtx_deliver(cpu, kind == IRQ_NMI ? EVENT_NMI : EVENT_EXTERNAL, vector, false, 0, 0);
	if (kind == IRQ_NMI)
		vcpu->regs.interruptibility |= BLOCK_NMI;
}

static void vtx_regs_changed(struct vcpu *vcpu)
{
	vtx_watch_remap(vtx_cpu(vcpu));
}

/* The module is told with the next entry. */
static void vtx_a20_changed(struct vcpu *vcpu)
{
	vtx_watch_remap(vtx_cpu(vcpu));
}

static void vtx_memory_changed(struct vcpu *vcpu, u64 gpa, u64 len)
{
	(void)gpa;
	(void)len;
	vtx_cpu(vcpu)->changed = true;
}

static void vtx_dirty_reset(struct vcpu *vcpu)
{
	struct vmdbg_vcpu_arg arg = {.size = sizeof(arg), .vcpu = vcpu->id};

	if (ioctl(vtx_cpu(vcpu)->fd, VMDBG_IOC_DIRTY_RESET, &arg))
		vtx_break(vtx_cpu(vcpu), "the module cannot write-protect the guest's pages");
}

/* --- life --- */

static void vtx_vcpu_free(struct vcpu *vcpu)
{
	struct vtx_cpu *cpu = vtx_cpu(vcpu);

	vtx_watch_free(cpu);
	if (cpu->run)
		munmap(cpu->run, VMDBG_VCPU_PAGES * PAGE_SIZE);
	if (cpu->fd >= 0)
		close(cpu->fd);
	free(cpu);
}

static int make(struct vtx_cpu *cpu, const struct machine *m, unsigned id, struct error *err)
{
	struct vmdbg_vcpu_create create = {
	    .size = sizeof(create), .id = id, .flags = m->config.shadow ? VMDBG_VCPU_SHADOW : 0};

	cpu->fd = vtx_open(&cpu->features, err);
	if (cpu->fd < 0)
		return cpu->fd;
	for (unsigned i = 0; i < m->mem.count; i++) {
		struct vmdbg_region region = {
		    .size = sizeof(region),
		    .gpa = m->mem.slot[i].gpa,
		    .bytes = m->mem.slot[i].size,
		    .uaddr = (u64)(uintptr_t)m->mem.slot[i].host,
		};

		/* What is in a huge page of the host's is mapped by one entry. Where that can't be, pages do. */
		madvise(m->mem.slot[i].host, m->mem.slot[i].size, MADV_HUGEPAGE);
		if (ioctl(cpu->fd, VMDBG_IOC_REGION, &region))
			return error_set(err, -errno, "vmdbg.ko refuses the guest's memory: %s", strerror(errno));
	}
	if (ioctl(cpu->fd, VMDBG_IOC_VCPU, &create))
		return error_set(err, -errno, "vmdbg.ko cannot make a virtual CPU: %s", strerror(errno));
	cpu->run = mmap(NULL, VMDBG_VCPU_PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, cpu->fd,
			VMDBG_MMAP(id, VMDBG_PAGE_RUN));
	if (cpu->run == MAP_FAILED) {
		cpu->run = NULL;
		return error_set(err, -errno, "vmdbg.ko cannot share a virtual CPU's pages: %s", strerror(errno));
	}
	cpu->bounce = (u8 *)cpu->run + VMDBG_PAGE_BOUNCE * PAGE_SIZE;
	cpu->stats = (void *)((u8 *)cpu->run + VMDBG_PAGE_STATS * PAGE_SIZE);
	return 0;
}

static int vtx_vcpu_create(struct machine *m, unsigned id, struct vcpu **vcpu, struct error *err)
{
	struct vtx_cpu *cpu = aligned_alloc(64, (sizeof(*cpu) + 63) & ~(size_t)63);
	int ret;

	if (!cpu)
		return error_set(err, -ENOMEM, "no memory for a virtual CPU");
	memset(cpu, 0, sizeof(*cpu));
	cpu->vcpu.id = id;
	cpu->changed = true;
	cpu->vcpu.count = m->config.vcpus;
	cpu->vcpu.machine = m;
	cpu->vcpu.mem = &m->mem;
	cpu->vcpu.engine = &vtx_engine;
	x86_state_reset(&cpu->vcpu.regs);
	ret = make(cpu, m, id, err);
	if (ret) {
		vtx_vcpu_free(&cpu->vcpu);
		return ret;
	}
	*vcpu = &cpu->vcpu;
	return 0;
}

const struct engine_ops vtx_engine = {
    .name = "vtx",
    .free_running = true,
    .prefers_free = true,
    .exact_insns = true,
    .exact_branches = true,
    .probe = vtx_probe,
    .vcpu_create = vtx_vcpu_create,
    .vcpu_free = vtx_vcpu_free,
    .run = vtx_run,
    .regs_changed = vtx_regs_changed,
    .a20_changed = vtx_a20_changed,
    .inject = vtx_inject,
    .memory_changed = vtx_memory_changed,
    .dirty_reset = vtx_dirty_reset,
    .probe_changed = vtx_probe_changed,
};
