/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The contract between the machine and whatever executes guest instructions.
 *
 * An engine runs one vCPU until something it can't settle itself. Accesses that need an answer at once
 * (ports, MMIO, TSC, machine MSRs, CR8) go through struct vcpu_ops and the instruction completes; everything
 * else ends vcpu_run() with an exit. An engine knows nothing of devices, traces or GDB. */
#ifndef VMM_ENGINE_H
#define VMM_ENGINE_H

#include "vmm/error.h"
#include "vmm/nondet.h"
#include "vmm/probe.h"
#include "vmm/types.h"
#include "vmm/x86/state.h"

struct machine;
struct memory;
struct vcpu;

enum exit_reason {
	EXIT_POSITION, /* vcpu->insns reached the position asked for */
	EXIT_KICKED,   /* vcpu_kick(): timers, interrupts or the user want attention */
	EXIT_HLT,      /* HLT retired; activity is ACTIVITY_HLT */
	EXIT_WINDOW,   /* an interrupt can be injected now (asked for by want_window) */
	EXIT_SHUTDOWN, /* triple fault */
	EXIT_PROBE,    /* vcpu->probe has hits (vmm/probe.h); not made again for the same hits */
	EXIT_DELIVERY, /* an exception was delivered, and stop_at_delivery is set */
};

/* What a vCPU asks of the machine in the middle of an instruction. All are called with vcpu->insns exact. */
struct vcpu_ops {
	u64 (*io_read)(struct vcpu *vcpu, enum io_space space, u64 addr, unsigned size);
	void (*io_write)(struct vcpu *vcpu, enum io_space space, u64 addr, unsigned size, u64 value);
	u64 (*tsc)(struct vcpu *vcpu); /* the TSC as the guest sees it */
	/* For an engine that can answer RDTSC without leaving the guest for long, when the vCPU runs freely. True: the TSC is
	 * CLOCK_MONOTONIC (ns) + @base, but at least @floor, as long as it is below @limit (at which a timer is due). Each
	 * value given is told by tsc_taken(), in order, before any other call. */
	bool (*tsc_direct)(struct vcpu *vcpu, u64 *base, u64 *floor, u64 *limit);
	void (*tsc_taken)(struct vcpu *vcpu, u64 tsc);
	/* MSRs that belong to the machine (x86_msr_is_machine()). -1: #GP(0). */
	int (*rdmsr)(struct vcpu *vcpu, u32 msr, u64 *value);
	int (*wrmsr)(struct vcpu *vcpu, u32 msr, u64 value);
	u64 (*cr8)(struct vcpu *vcpu);
	void (*set_cr8)(struct vcpu *vcpu, u64 value);
};

struct vcpu {
	struct x86_state regs; /* exact whenever vcpu_run() isn't running; engines with state elsewhere sync it */
	u64 insns;             /* instructions retired; a REP string instruction once, at its end */
	u64 branches;          /* conditional branches retired (Jcc, LOOPcc, JrCXZ), taken or not */
	unsigned id;           /* also the initial APIC ID */
	unsigned count;        /* vCPUs in the machine */
	struct machine *machine;
	struct memory *mem; /* the machine's */
	const struct vcpu_ops *ops;
	const struct engine_ops *engine;
	volatile bool kick; /* makes vcpu_run() return at the next instruction boundary */
	bool want_window;   /* makes vcpu_run() return EXIT_WINDOW once interrupts can be taken */
	/* Running freely (VCPU_FREE): run() returns EXIT_KICKED soon after CLOCK_MONOTONIC has come to this (ns; ~0: never). */
	u64 alarm;
	bool
	    amid; /* the run that ended was cut between two iterations of a REP, or may have been: not a place to be found again */
	/* Exceptions and interrupts delivered since the last instruction retired (vmm/probe.h); vcpu_deliveries(). */
	u64 delivered_at;
	u32 delivered;
	bool stop_at_delivery; /* makes vcpu_run() return EXIT_DELIVERY after each */
	struct probe probe;    /* [H] */
};

/* run() to no position: with machine_config.free the engine needn't count, only insns must grow whenever the guest has
 * moved. All other values of @until are exact there too, counted from insns as it is. */
#define VCPU_FREE (~0ull)

struct engine_ops {
	const char *name;
	bool free_running;   /* serves machines with machine_config.free */
	bool prefers_free;   /* counting makes it so much slower that recordings don't by default */
	bool exact_insns;    /* counts retired instructions exactly */
	bool exact_branches; /* counts retired conditional branches exactly */
	/* 0, or a negative errno with a sentence saying why this engine can't serve on this host. */
	int (*probe)(struct error *why);
	/* Makes vCPU @id of @m, in reset state. The engine may embed struct vcpu in its own. */
	int (*vcpu_create)(struct machine *m, unsigned id, struct vcpu **vcpu, struct error *err);
	void (*vcpu_free)(struct vcpu *vcpu);
	/* Runs until vcpu->insns == @until (never beyond), or another exit. Entering at @until returns at once. */
	enum exit_reason (*run)(struct vcpu *vcpu, u64 until);
	/* Tells the engine that vcpu->regs was changed from outside. */
	void (*regs_changed)(struct vcpu *vcpu);
	/* vcpu->regs.a20m is another, from the next instruction on; also in the middle of an access to a port, and together
	 * with other changes before regs_changed(). NULL: not obeyed. */
	void (*a20_changed)(struct vcpu *vcpu);
	/* Delivers an external interrupt or NMI at the present boundary; vcpu_can_inject() holds.
	 * Leaves HLT. A fault met during delivery is delivered to the guest; EXIT_SHUTDOWN then comes from run(). */
	void (*inject)(struct vcpu *vcpu, enum irq_kind kind, u8 vector);
	/* Guest RAM changed by somebody else: drop what was derived from it. */
	void (*memory_changed)(struct vcpu *vcpu, u64 gpa, u64 len);
	/* Page flags of PAGE_WRITTEN are about to be cleared: make the next write to every page set them again. */
	void (*dirty_reset)(struct vcpu *vcpu);
	/* vcpu->probe has another list. */
	void (*probe_changed)(struct vcpu *vcpu);
	/* What the engine keeps of a guest beyond vcpu->regs and RAM that the guest can notice: translations that the
	 * TLB still holds. To be loaded into a vCPU whose regs and RAM are those of the same moment, after
	 * regs_changed(). NULL: nothing, or nothing that can be had (hardware). save() writes at most cache_size()
	 * bytes, little-endian, and returns how many; load() takes bytes of any origin: -EINVAL, with an empty TLB. */
	size_t (*cache_size)(const struct vcpu *vcpu);
	size_t (*cache_save)(const struct vcpu *vcpu, u8 *out);
	int (*cache_load)(struct vcpu *vcpu, const u8 *in, size_t len);
};

/* So many exceptions, each met in delivering the one before (two benign ones can take turns so: SDM 3A table 6-5), and the
 * vCPU halts: only an interrupt can get it out. A processor would hang. */
#define VCPU_MAX_ROUNDS 1024

extern const struct engine_ops soft_engine;
extern const struct engine_ops kvm_engine;
extern const struct engine_ops vtx_engine;

/* Whether an external interrupt can be injected at this boundary: IF set, no STI or MOV SS shadow. */
static inline bool vcpu_can_inject(const struct vcpu *vcpu)
{
	return (vcpu->regs.rflags & RFLAGS_IF) && !(vcpu->regs.interruptibility & (BLOCK_STI | BLOCK_MOV_SS));
}

/* To be called when an exception or interrupt has been delivered, with vcpu->insns exact. */
static inline void vcpu_count_delivery(struct vcpu *vcpu)
{
	if (vcpu->delivered_at != vcpu->insns) {
		vcpu->delivered_at = vcpu->insns;
		vcpu->delivered = 0;
	}
	vcpu->delivered++;
}

static inline u32 vcpu_deliveries(const struct vcpu *vcpu)
{
	return vcpu->delivered_at == vcpu->insns ? vcpu->delivered : 0;
}

/* For engines, at every boundary: whether the run ends, and why. What a debugger is told of comes first; a kick that would
 * have ended the run stays up then. @delivered: an exception was delivered since the last boundary; @stuck: the engine
 * can't go on. */
static inline bool vcpu_run_ends(struct vcpu *vcpu, u64 until, bool delivered, bool stuck, enum exit_reason *reason)
{
	bool ends = true;

	if (vcpu->regs.activity == ACTIVITY_SHUTDOWN)
		*reason = EXIT_SHUTDOWN;
	else if (vcpu->regs.activity == ACTIVITY_HLT)
		*reason = EXIT_HLT;
	else if (vcpu->want_window && vcpu_can_inject(vcpu))
		*reason = EXIT_WINDOW;
	else if (vcpu->kick || stuck)
		*reason = EXIT_KICKED;
	else if (vcpu->insns >= until)
		*reason = EXIT_POSITION;
	else
		ends = false;
	if (unlikely(vcpu->probe.fresh || (delivered && vcpu->stop_at_delivery))) {
		if (ends && *reason != EXIT_KICKED)
			vcpu->kick = false;
		*reason = vcpu->probe.fresh ? EXIT_PROBE : EXIT_DELIVERY;
		vcpu->probe.fresh = false;
		probe_settle(&vcpu->probe);
		return true;
	}
	if (ends && *reason == EXIT_KICKED)
		vcpu->kick = false;
	return ends;
}

static inline void vcpu_kick(struct vcpu *vcpu)
{
	vcpu->kick = true;
}

#endif
