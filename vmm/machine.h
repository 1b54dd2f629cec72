/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The machine: memory, vCPUs, buses, clock, devices, and the loop that drives them. */
#ifndef VMM_MACHINE_H
#define VMM_MACHINE_H

#include "vmm/bus.h"
#include "vmm/clock.h"
#include "vmm/device.h"
#include "vmm/engine.h"
#include "vmm/error.h"
#include "vmm/memory.h"
#include "vmm/nondet.h"
#include "vmm/x86/cpuid.h"

#define MACHINE_MAX_VCPUS   16
#define MACHINE_MAX_DEVICES 32

/* Why a run ended; also the numbers in a trace. */
enum machine_end {
	END_NONE,
	END_POWEROFF,     /* ACPI S5 */
	END_RESET,        /* i8042, port CF9h or 92h, ACPI reset register */
	END_DEBUG_EXIT,   /* isa-debug-exit; end_code is the value written */
	END_PANIC,        /* the guest said so: pvpanic or its console */
	END_TRIPLE_FAULT, /* shutdown */
	END_HALTED,       /* HLT with nothing left that could wake it */
	END_UNTIL,        /* the --until condition was met */
	END_USER,         /* Ctrl-C */
	END_ERROR,        /* a fault of the host: disk full, ... */
	END_COUNT,
};

const char *machine_end_name(enum machine_end end);

/* Revisions of wiring and chips, which traces name: a change that a guest could notice is a new one, and a trace is
 * replayed on the one that it names. */
enum machine_model {
	MACHINE_PC_2, /* the present one */
	MACHINE_PC_1, /* no HPET, no way to close address line 20, no checksum in CMOS memory */
	MACHINE_MODEL_COUNT,
};
#define MACHINE_MODEL "vmdbg-pc.2"
/* "vmdbg-pc.2", ... */
const char *machine_model_name(enum machine_model model);

struct machine_config {
	u64 ram; /* bytes */
	unsigned vcpus;
	enum clock_mode clock;
	u64 wall_start; /* Unix seconds at power-on */
	enum cpu_model cpu;
	enum machine_model model;
	const struct engine_ops *engine;
	/* The guest runs freely: instructions aren't counted, a position is the number of accesses to devices, to the machine's
	 * MSRs and to the clock so far. Host clock only. No checkpoints. */
	bool free;
	bool shadow;                      /* vtx: shadow page tables, for exact accessed flags */
	bool firmware;                    /* it runs a firmware of its own, which finds the disk through PCI only */
	const struct block_backend *disk; /* base image of the ATA disk; NULL: no disk. Stays the caller's */
};

enum console_port { CONSOLE_SERIAL0, CONSOLE_SERIAL1, CONSOLE_DEBUG };
/* Who is told of what happens. Guest output comes at the guest's instruction, in order. */
struct machine_listener {
	void (*console)(void *ctx, enum console_port port, const u8 *buf, size_t len);
	/* May be NULL. An interrupt or NMI is about to be delivered at the present place. */
	void (*interrupt)(void *ctx, const struct vcpu *vcpu);
	void *ctx;
};

struct pc;
struct block_backend;

/* How far machine_run() has come at the present position. Where runs are cut makes no difference because this stays; so
 * checkpoints save it, apart from the field tables, whose digests are in traces. */
struct machine_progress {
	u32 injections; /* since the last instruction */
	u32 idle_jumps; /* since the last interrupt */
	bool
	    kicked; /* a kick ended the last run at a new position (running freely: it ended at a new place): boundary() */
	u64 console; /* bytes that the guest has printed since its start */
};

struct machine {
	struct machine_config config;
	struct memory mem;
	struct bus pio, mmio;
	struct clock clock;
	struct nondet nondet;
	struct machine_listener listener;
	struct vcpu *vcpu[MACHINE_MAX_VCPUS];
	struct device *device[MACHINE_MAX_DEVICES]; /* wiring order */
	unsigned nr_devices;
	struct pc *pc;                     /* the chips, vmm/pc/pc.h */
	u64 accesses;                      /* what the guest has asked of the machine so far (machine_io.c) */
	u64 stop_at;                       /* [H] running freely: the position at which the present run is to end */
	bool access_kicked;                /* [H] running freely: an access has ended the present run */
	u64 tsc_offset[MACHINE_MAX_VCPUS]; /* [S] guest TSC - clock; also what IA32_TSC_ADJUST reads as */
	enum machine_end end;
	u32 end_code;
	struct error fault; /* [H] with END_ERROR: what the engine has to say of it, or nothing */
	struct machine_progress progress;
	volatile bool interrupted; /* [H] machine_interrupt() was called */
	u64 live_start, live_next; /* [H] nondet_live: host ns at guest time 0; next position to sample at */
};

/* Makes a machine with its chips wired (vmm/pc) in reset state; nothing is loaded yet. */
int machine_create(struct machine **m, const struct machine_config *config, struct error *err);
void machine_free(struct machine *m);

/* Runs until the guest ends (m->end), @until is reached (position in instructions; END_NONE stays), or the
 * nondet's boundary() or idle() fails (its negative errno is returned). 0 otherwise, also after machine_interrupt(),
 * when vcpu->probe has hits (vmm/probe.h; the guest may have ended with them), and with vcpu->stop_at_delivery after
 * each exception and interrupt. A run that goes on from there is the same run, for the guest and for nondet.
 *
 * What happens at a position P, in this order (machine_run.c): @until is compared, so a run stopped at P has seen
 * nothing of P yet; boundary(), if P has reached next_stop() or a kick ended the last run and P is new; due timers;
 * pending interrupts are injected (interrupt()); if halted, time is idled away (idle()), which can fire timers at the
 * same P; then the engine runs. So input given by boundary() always comes before the timers and interrupts of P, and
 * input given by idle() always after them: a replayer must apply each in the call in which it was recorded.
 *
 * With config.free many places have the same position: boundary() is called at each at which a run of the engine ended,
 * once, and whenever next_stop() is 0; the order of the rest is the same. A run ends at an instruction boundary behind
 * the access at which @until or next_stop() is reached, at nondet's alarm(), and before an execution breakpoint of
 * vcpu->probe; there 0 isn't returned for hits, which boundary() is to look at: it has the probe to itself. Amid a REP it
 * ends behind the access that asked for it only (vcpu->amid is set then): that is the same place every time. */
int machine_run(struct machine *m, u64 until);

/* Asks machine_run() to return soon; safe from a signal handler. */
void machine_interrupt(struct machine *m);

/* The guest is over: machine_run() returns after the present instruction. The first reason stays. */
void machine_set_end(struct machine *m, enum machine_end end, u32 code);

/* Host input for a device, at a boundary; called by the recorder or replayer only. Returns bytes taken. */
size_t machine_input(struct machine *m, enum input_source source, const u8 *buf, size_t len);
/* How many bytes that source could take now. */
size_t machine_input_room(struct machine *m, enum input_source source);

/* Where the position is counted: instructions retired by all vCPUs, or accesses (machine_config.free). */
static inline const u64 *machine_counter(const struct machine *m)
{
	return m->config.free ? &m->accesses : &m->vcpu[0]->insns;
}

static inline u64 machine_position(const struct machine *m)
{
	return *machine_counter(m);
}

int machine_add_device(struct machine *m, struct device *dev);

/* What the guest has written to its disk; NULL: there is none. */
struct block *machine_disk(struct machine *m);

/* All saved state beyond RAM and disk (vCPUs, devices, clock), through the field tables: for digests and checkpoints. */
size_t machine_state_size(const struct machine *m);
size_t machine_state_save(const struct machine *m, u8 *out);
int machine_state_load(struct machine *m, const u8 *in, size_t len);
/* The position of a saved state, of machine_state_size(). */
u64 machine_state_position(const u8 *state);

/* The plain runner: nothing logged, input from nowhere, host or virtual clock. Its ctx is the machine;
 * machine_create() installs it. */
extern const struct nondet_ops nondet_live;

#endif
