/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside the VT-x engine: what its files share. vtx.c has the run loop; what an instruction or event needs that hardware
 * leaves to us is in the others, one concept a file. */
#ifndef VMM_VTX_VTX_H
#define VMM_VTX_VTX_H

#include "vmm/engine.h"
#include "vmm/vtx/module/vmdbg_abi.h"
#include "vmm/x86/paging.h"

/* Pages that are open for the next instruction alone, and what is told of it when it has run. */
struct vtx_open {
	u64 bounce_gpa[VMDBG_MAX_BOUNCE]; /* pages of devices, each with a bounce page in its place */
	unsigned nr_bounce;
	bool incomplete;         /* some of what the instruction accesses isn't mapped: it will fault */
	u64 gfn[VMDBG_MAX_OPEN]; /* watched pages */
	unsigned nr;
	struct vtx_touch {
		u64 la, gpa;
		unsigned len; /* none of it beyond a page */
		bool read, write;
		bool bounced; /* a device's, and its answer is in the bounce page */
	} touch[8];
	unsigned nr_touch;
	u64 entry, old; /* a paging-structure entry that the walk may update; entry ~0: none */
};

struct vtx_cpu {
	struct vcpu vcpu;
	int fd;                /* /dev/vmdbg: the machine */
	struct vmdbg_run *run; /* shared with the module */
	u8 *bounce;            /* pages: what the guest finds in place of devices, for one instruction */
	struct vmdbg_stats *stats;
	u64 features; /* VMDBG_FEATURE_* */
	struct paging_context paging;
	/* A fault met by vtx_load(), vtx_store() or an instruction carried out here. */
	struct {
		u8 vector;
		bool has_error;
		u32 error;
		u64 cr2;
	} fault;
	bool changed;  /* the guest's memory, by others than the guest, since it ran last: VMDBG_RUN_FLUSH */
	bool delivery; /* an exception was delivered since stop() looked */
	bool alarmed;  /* vcpu.alarm has come */
	bool alone;    /* the next instruction is stepped, whatever may be done otherwise */
	bool cut;      /* the last exit came between two iterations of a REP, or may have */
	struct vtx_open open;
	/* An x87 instruction that is run alone: special.c. */
	struct {
		bool pending, memory, es;
		u64 insns, rip, offset;
		u16 opcode, fop;
		u64 fdp;
	} x87;
	bool stuck;              /* the module failed: the machine is over, and machine->fault says why */
	struct vtx_watch *watch; /* watch.c */
	struct vmdbg_cpuid_entry cpuid[VMDBG_MAX_CPUID];
	unsigned nr_cpuid;
};

static inline struct vtx_cpu *vtx_cpu(struct vcpu *vcpu)
{
	return container_of(vcpu, struct vtx_cpu, vcpu);
}

/* --- sync.c: struct x86_state to and from the module's registers. Pure. --- */
void vtx_regs_out(struct vmdbg_regs *r, const struct x86_state *s);
void vtx_regs_in(struct x86_state *s, const struct vmdbg_regs *r);

/* --- vtx.c --- */
/* One VMDBG_IOC_RUN with @flags (VMDBG_RUN_STEP, or the guest runs freely) on top of the usual: registers out and in, written pages noted. What the run page's
 * other inputs say must be set before. Returns enum vmdbg_exit, or -1 when the module failed (cpu->stuck). */
int vtx_enter(struct vtx_cpu *cpu, u32 flags, u64 until);
/* The instruction at RIP, of @len bytes, is done: counts it. vtx_retired(): RIP stands where it should already. */
void vtx_retire(struct vtx_cpu *cpu, unsigned len);
void vtx_retired(struct vtx_cpu *cpu);
/* Gives the module cpu->cpuid. */
void vtx_cpuid_table(struct vtx_cpu *cpu);
/* Something happened that cannot be: the machine ends with END_ERROR, its fault is the sentence. */
void vtx_break(struct vtx_cpu *cpu, const char *fmt, ...) PRINTF(2, 3);

/* --- access.c: guest memory as an instruction sees it. 0, or -1 with cpu->fault. --- */
#define VTX_WRITE  BIT(0)
#define VTX_SYSTEM BIT(1) /* descriptor tables: CPL doesn't matter */
#define VTX_EXEC   BIT(2) /* vtx_translate() only */
int vtx_translate(struct vtx_cpu *cpu, u64 la, unsigned access, u64 *gpa);
int vtx_load(struct vtx_cpu *cpu, u64 la, void *buf, unsigned len, unsigned access);
int vtx_store(struct vtx_cpu *cpu, u64 la, const void *buf, unsigned len, unsigned access);
/* Linear address of @offset in @seg; checks limit, type and canonicality. */
int vtx_address(struct vtx_cpu *cpu, unsigned seg, u64 offset, unsigned size, unsigned access, u64 *la);
/* Bytes at RIP, without any effect; how many. */
unsigned vtx_code(struct vtx_cpu *cpu, u8 out[15]);
/* Sets cpu->fault; -1. */
int vtx_fault(struct vtx_cpu *cpu, enum vector vector);
int vtx_fault_code(struct vtx_cpu *cpu, enum vector vector, u32 error);
u64 vtx_mmio_read(struct vtx_cpu *cpu, u64 gpa, void *buf, unsigned len);
void vtx_mmio_write(struct vtx_cpu *cpu, u64 gpa, const void *buf, unsigned len);

/* --- deliver.c --- */
#define INFO_VALID      ((u32)BIT(31))
#define INFO_ERROR      ((u32)BIT(11))
#define INFO_TYPE(info) ((enum event_type)((info) >> 8 & 7))
enum event_type {
	EVENT_EXTERNAL = 0,
	EVENT_NMI = 2,
	EVENT_EXCEPTION = 3,
	EVENT_INT_N = 4,
	EVENT_ICEBP = 5,
	EVENT_SOFT = 6
};
/* Delivers through the IDT, with all faults that come up on the way. False: triple fault, activity is SHUTDOWN. */
bool vtx_deliver(struct vtx_cpu *cpu, enum event_type type, u8 vector, bool has_error, u32 error, unsigned insn_len);
/* Whether RIP is where an exception would begin its handler. Running freely it may have: then this is a place between two
 * instructions that retire, which has no count. */
bool vtx_at_handler(const struct vtx_cpu *cpu);
/* Delivers cpu->fault. */
void vtx_deliver_fault(struct vtx_cpu *cpu);
/* What a second exception during delivery of a first makes (SDM 3A table 6-5). Pure. */
enum combined { COMBINED_SECOND, COMBINED_DOUBLE, COMBINED_TRIPLE };
enum combined vtx_combine(bool first_is_exception, u8 first, u8 second);

/* --- control.c: CR, DR, MSR, CPUID, XSETBV, TSC; io.c: ports. Each carries out the exit in cpu->run: 0, or -1: a fault. */
int vtx_exit_cr(struct vtx_cpu *cpu);
int vtx_exit_dr(struct vtx_cpu *cpu);
int vtx_exit_rdmsr(struct vtx_cpu *cpu);
int vtx_exit_wrmsr(struct vtx_cpu *cpu);
int vtx_exit_cpuid(struct vtx_cpu *cpu);
int vtx_exit_xsetbv(struct vtx_cpu *cpu);
int vtx_exit_tsc(struct vtx_cpu *cpu, bool with_aux);
int vtx_exit_io(struct vtx_cpu *cpu);

/* --- decode.c: instructions, by Zydis --- */
struct vtx_operand {
	u64 la, offset; /* linear address; the same without the segment's base */
	unsigned size;  /* bytes */
	bool read, write;
};

struct vtx_insn {
	unsigned len;
	unsigned nr; /* memory operands, explicit and implied; faults of segmentation aren't looked for */
	struct vtx_operand mem[4];
	bool loads_ss, pop; /* MOV SS, POP SS */
	int source_reg;     /* MOV SS from a general register, else -1 */
};

/* -1: not an instruction, or its bytes can't be had. */
int vtx_decode(struct vtx_cpu *cpu, struct vtx_insn *insn);

/* --- special.c: what stepping leaves to us; 0, or -1: a fault --- */
int vtx_special(struct vtx_cpu *cpu);
/* The x87 instruction that vtx_special() left to the processor is over, run or not. */
void vtx_x87_done(struct vtx_cpu *cpu);

/* --- open.c: accesses that EPT doesn't let through: devices, and watched pages --- */
/* The exit VMDBG_EXIT_EPT: prepares cpu->open for running the instruction again; 0, or -1: a fault. */
int vtx_exit_ept(struct vtx_cpu *cpu);
/* The instruction has run: device writes are made, watchpoints noted. To be called before it is counted. */
void vtx_opened(struct vtx_cpu *cpu);
void vtx_open_reset(struct vtx_cpu *cpu);
/* The bounce page in place of @gpa's, one more if need be, which is all ones. NULL: there are no more. */
u8 *vtx_bounce(struct vtx_cpu *cpu, u64 gpa);

/* --- watch.c: breakpoints and watchpoints (vmm/probe.h) --- */
void vtx_probe_changed(struct vcpu *vcpu);
void vtx_watch_free(struct vtx_cpu *cpu);
/* Translations may have changed: linear watchpoints are looked up anew. */
void vtx_watch_remap(struct vtx_cpu *cpu);
/* Whether accesses to the page exit. */
bool vtx_watches(const struct vtx_cpu *cpu, u64 gpa);
/* Notes the execution breakpoints at RIP that are to be told here. False: none. */
bool vtx_watch_exec(struct vtx_cpu *cpu);
/* Whether every instruction is to be looked at: the module knows of linear breakpoints only, and of so many. */
bool vtx_watch_each(const struct vtx_cpu *cpu);
/* Whether the list asks for what only stepping finds, in a machine that runs freely. */
bool vtx_watch_steps(const struct vtx_cpu *cpu);
/* Whether an execution breakpoint stands at RIP, told or not. */
bool vtx_watch_here(const struct vtx_cpu *cpu);

/* --- doctor.c, guest_check.c --- */
int vtx_probe(struct error *why);
/* Opens /dev/vmdbg and asks it; the file, or a negative errno with a sentence. */
int vtx_open(u64 *features, struct error *why);
/* Which of VM entry's rules for the guest's state (SDM 3C 27.3.1) @r breaks; into @out, "" when none is found. Pure. */
void vtx_guest_check(const struct vmdbg_regs *r, char *out, size_t size);

#endif
