/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The gate through which everything not determined by the guest's own instructions enters the machine.
 * The recorder, the replayer and the plain runner (nondet_live) implement it; the machine never knows which.
 *
 * Sync events (reads) carry no position: program order is their position. Async events (interrupts, input,
 * clock advances) carry a landmark (replay/landmark.h). */
#ifndef VMM_NONDET_H
#define VMM_NONDET_H

#include "vmm/types.h"

struct vcpu;
struct machine;

enum io_space { IO_PORT, IO_MMIO, IO_MSR }; /* IO_MSR: MSRs whose value comes from the machine (APIC, TSC) */

enum irq_kind { IRQ_EXTERNAL, IRQ_NMI, IRQ_INIT, IRQ_SIPI };

/* Input sources, also the numbers in a trace. */
enum input_source { INPUT_SERIAL0, INPUT_SERIAL1, INPUT_KEYBOARD, INPUT_SOURCES };

struct nondet_ops {
	/* A device read: @modelled is what the device model answered. Returns what the guest gets. */
	u64 (*io_read)(void *ctx, struct vcpu *vcpu, enum io_space space, u64 addr, unsigned size, u64 modelled);
	/* A device write, called before the device sees it. */
	void (*io_write)(void *ctx, struct vcpu *vcpu, enum io_space space, u64 addr, unsigned size, u64 value);
	/* CLOCK_HOST only: a fresh sample of host time since machine start, ns, at a guest read of time. */
	u64 (*clock_sample)(void *ctx, struct vcpu *vcpu);
	/* Machines that run freely: called before every run of the engine. CLOCK_MONOTONIC (ns) at which boundary() is to be
	 * called at the latest; ~0: at no time; 0: behind the next instruction. */
	u64 (*alarm)(void *ctx, struct machine *m);
	/* Whether the engine may answer reads of time by itself, as CLOCK_MONOTONIC - *base ns, each told by clock_taken() in
	 * place of clock_sample(). NULL: no. */
	bool (*clock_direct)(void *ctx, u64 *base);
	void (*clock_taken)(void *ctx, struct vcpu *vcpu, u64 ns);
	/* An interrupt is about to be injected at the present position. */
	void (*interrupt)(void *ctx, struct vcpu *vcpu, enum irq_kind kind, u8 vector);
	/* The position (machine_position()) at which boundary() wants to be called next. */
	u64 (*next_stop)(void *ctx);
	/* Called between engine runs with the machine at a clean boundary: polls or applies input, takes or checks
	 * digests. A negative errno ends the run (the error is kept by the implementer). */
	int (*boundary)(void *ctx, struct machine *m);
	/* The vCPU is halted and no timer is armed before @deadline (guest ns, CLOCK_NEVER if none).
	 * Host clock or live input: waits. Returns 0 when something may have changed, 1 when nothing can ever
	 * happen any more, or a negative errno. */
	int (*idle)(void *ctx, struct machine *m, u64 deadline);
};

struct nondet {
	const struct nondet_ops *ops;
	void *ctx;
};

#endif
