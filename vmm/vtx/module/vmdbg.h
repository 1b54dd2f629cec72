/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The module's inside: a machine is a file, vCPUs belong to it, each has a VMCS and EPT tables of its own.
 *
 * Locks, outermost first: vmx_lock (vmx.c), machine->lock, vcpu->lock. A vCPU runs under its lock in slices with
 * preemption off; a VMCS is loaded only within a slice, so nothing of it is left on a CPU that goes away.
 */
#ifndef VMDBG_H
#define VMDBG_H

#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/xarray.h>

#include "insn.h"
#include "vmdbg_abi.h"

/* --- vmx.c: capabilities, and root mode on every CPU --- */

struct vmx_caps {
	u32 status; /* enum vmdbg_status */
	u64 detail;
	u64 features;
	u32 revision;
	u32 pin, primary, secondary, exit, entry; /* the controls, as vmcs.c's tables and the processor have them */
	u64 cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
	unsigned int timer_shift;
	bool ept_ad, ept_large;
};

extern struct vmx_caps vmx_caps;

void vmx_caps_read(struct vmx_caps *caps);
int vmx_init(void);
void vmx_exit(void);
/* One more, or one fewer, vCPU that needs root mode. */
int vmx_get(void);
void vmx_put(void);
/* Whether this CPU is in root mode by us; preemption is off. */
bool vmx_here(void);

/* --- memory.c: the guest's RAM --- */

struct machine {
	struct mutex lock; /* regions, vcpu[], making of vCPUs */
	struct mm_struct *mm;
	struct vmdbg_region region[VMDBG_MAX_REGIONS];
	unsigned int nr_regions;
	struct xarray pages; /* guest page number -> struct page, pinned */
	struct xarray large; /* guest page number >> 9: all of those 2 MiB are pinned, and one run of physical memory */
	struct vcpu *vcpu[VMDBG_MAX_VCPUS];
};

int machine_add_region(struct machine *m, const struct vmdbg_region *r);
bool machine_is_ram(const struct machine *m, u64 gpa);
/* Pins the page of @gpa if it isn't yet. May sleep. -EFAULT: no memory behind it (any more). */
int machine_pin(struct machine *m, u64 gpa);
/* The pinned page, or NULL. */
struct page *machine_page(struct machine *m, u64 gpa);
void machine_unpin_all(struct machine *m);
/* Whether the 2 MiB around @gpa can be mapped whole. */
bool machine_is_large(struct machine *m, u64 gpa);

/* --- ept.c --- */

struct ept {
	u64 *root;
	u64 eptp;
	struct xarray limits; /* guest page number -> struct limit: what ACCESS has restricted */
	bool stale;           /* INVEPT is due before the next entry */
	bool exec_only;
	u64 nr_limits;
	u64 large_pages, splits;
	/* Entries with W that were without at the last ept_write_protect(); above EPT_WRITTEN not all of them are known. */
	u64 **written;
	unsigned int nr_written;
};

struct limit {
	u32 allowed;
	struct page *twin;
};

int ept_init(struct ept *ept);
void ept_free(struct ept *ept);
/* The tables above @gpa's entry; what is mapped whole there is split. May sleep. */
int ept_reserve(struct ept *ept, u64 gpa);
/* Maps the 2 MiB around @gpa to those around @hpa, to be read and executed. False: there are limits, or entries already.
 * May sleep. */
bool ept_map_large(struct ept *ept, u64 gpa, u64 hpa);
/* Gives @gpa an entry of its own if it is mapped as a part of 2 MiB. May sleep. */
int ept_split(struct ept *ept, u64 gpa);
/* The entry of @gpa, or NULL when its tables aren't there, or it is mapped as a part of 2 MiB. */
u64 *ept_entry(struct ept *ept, u64 gpa);
void ept_set(struct ept *ept, u64 *entry, u64 hpa, u32 access);
void ept_clear(struct ept *ept, u64 *entry);
/* The entry has got W. */
#define EPT_WRITTEN 4096
void ept_note_written(struct ept *ept, u64 *entry);
/* Takes W from all pages. Cost: some ns for each that was written since the last time, up to EPT_WRITTEN of them. */
void ept_write_protect(struct ept *ept);
/* All that is mapped; the tables stay. */
void ept_clear_all(struct ept *ept);
void ept_flush(struct ept *ept, bool single);
void vpid_flush(u16 vpid);

/* --- vCPU --- */

struct shadow;

struct vcpu {
	struct mutex lock;
	struct machine *machine;
	unsigned int id;
	u16 vpid;
	void *vmcs;
	bool launched;
	int cpu; /* of the last slice */
	struct ept ept;
	/* A20M#: bits that guest-physical addresses have as 0 where they lead. EPT has entries for both, all else knows only
	 * the address with them cleared. */
	u64 held;
	struct shadow *shadow_tables; /* VMDBG_VCPU_SHADOW; or NULL */
	struct vmdbg_cpuid_entry *cpuid;
	unsigned int nr_cpuid;
	u64 *breaks; /* ascending */
	unsigned int nr_breaks;
	void *shared; /* VMDBG_VCPU_PAGES, mapped by the user */
	struct vmdbg_stats *stats;
	void *msr_bitmap;

	/* the present run: copies of struct vmdbg_run, and what goes back into it */
	struct vmdbg_run run;
	struct vmdbg_regs *regs;                /* &run.regs */
	u32 entry_info, entry_error, entry_len; /* what the next entry delivers */
	bool pass;                              /* no execution breakpoint is told for the first instruction */
	bool delivering;                        /* run.inject_info isn't delivered yet */
	bool guest_tf;
	u32 shadow; /* STI, MOV SS: lasts to the next instruction's end */
	/* EPT entries that are to be taken back: open_gfn, bounce, and those a page walk of one instruction may need. */
	u64 *opened_entry[VMDBG_MAX_OPEN + 32];
	unsigned int nr_opened;
	u64 need_gpa; /* a page to be pinned outside of the slice */
	bool need_write;

	/* stepping */
	bool step;
	enum insn_class insn;
	u64 insn_rip, insn_next; /* insn_next: where the execution breakpoint stands, when over is set */
	bool over;
	bool mtf; /* the monitor trap flag is used in place of TF */
	bool armed_tf;
	bool if_before; /* RFLAGS.IF before the instruction */
	u32 armed_dr;   /* number of the debug register with our breakpoint; 4: none */
	u64 hw_dr7;     /* as in the VMCS */
	bool hw_mtf;
	u32 hw_timer;
	u64 code_la; /* page whose bytes are at code; ~0: none */
	const u8 *code;

	/* of the host, within a slice */
	u64 host_msr[4], host_tsc_aux;
	u64 host_xcr0, guest_xcr0;
	u64 entries;            /* so far */
	unsigned int unsettled; /* how often the present instruction was begun anew (free.c) */
	u64 exit_tsc;
	u32 last_reason;
	u32 vmwrite_errors;
	u64 deadline; /* host TSC at which the run is to end */

	/* running freely */
	u64 start_rip, start_rflags, start_gpr[16]; /* at the run's beginning, or when it was last unsettled */
	bool moved;
	bool settled; /* what an EPT violation cut short has been done */
	u32 our_drs;  /* debug registers with the user's breakpoints */
	bool gave_rf; /* RFLAGS.RF is ours: it passes the breakpoint at break_rip */
	u64 break_rip;
	u64 pending_dbg;
};

/* vmcs.c */
int vmcs_create(struct vcpu *v);
void vmcs_load_host(struct vcpu *v);
void vmcs_load_guest(struct vcpu *v);
void vmcs_store_guest(struct vcpu *v);
void vmcs_set_caps(struct vmx_caps *caps);
/* Sets or clears bits of a control field. */
void vmcs_control(struct vcpu *v, unsigned long field, u32 bits, bool on);

/* walk.c: bytes of the instruction at the guest's RIP; how many could be had without a fault */
unsigned int code_bytes(struct vcpu *v, u8 *out);

/* run.c */
int vcpu_run(struct vcpu *v);

/* exit.c */
enum after { AGAIN, LEAVE, PIN };
enum after vcpu_exit(struct vcpu *v, u32 reason);
/* For walks of the guest's tables made here: whether flags may be set in the page without telling; tells that they are,
 * unless the list is full. */
bool page_may_be_marked(const struct vcpu *v, u64 gpa);
bool page_note_marked(struct vcpu *v, u64 gpa);
/* step.c */
void debug_begin(struct vcpu *v);
bool step_prepare(struct vcpu *v, enum after *after);
enum after step_retire(struct vcpu *v);
enum after step_debug(struct vcpu *v, u64 bits);
/* The monitor trap flag's exit. */
enum after step_trap(struct vcpu *v);
bool step_done_by_pending(struct vcpu *v);
enum after leave(struct vcpu *v, enum vmdbg_exit exit);
void pages_close(struct vcpu *v);

/* Debug registers. The guest's own breakpoints among the conditions of a #DB: those that trap, or those that fault. */
#define DR_NONE   4
#define DR7_FIXED 0x400ull
#define DR7_GUEST 0xffff03ffull /* enables, types and lengths */
bool guest_dr_enabled(const struct vcpu *v, unsigned int n);
u64 guest_hits(const struct vcpu *v, u64 qual, bool executes);
void set_dr(unsigned int n, unsigned long la);

#define WATCHDOG 2000000 /* TSC ticks that a guest has at most until the host looks around */
void arm_timer(struct vcpu *v, u32 ticks);

/* free.c */
int free_check(const struct vcpu *v);
void free_begin_run(struct vcpu *v);
void free_begin_slice(struct vcpu *v);
void free_end_slice(struct vcpu *v);
void free_prepare(struct vcpu *v);
void free_note_progress(struct vcpu *v, bool timer);
void free_unsettle(struct vcpu *v);
bool free_needs_user(void);
void free_advance(struct vcpu *v);
enum after free_debug(struct vcpu *v, u64 qual);

/* entry.S: 0, or 1 when VM entry failed without an exit */
int vmdbg_enter(u64 *gpr, int launched);

/* --- the VMX instructions --- */

static inline void vmwrite(struct vcpu *v, unsigned long field, u64 value)
{
	bool failed;

	asm volatile("vmwrite %2, %1" : "=@ccna"(failed) : "r"(field), "rm"(value) : "cc");
	if (unlikely(failed))
		v->vmwrite_errors++;
}

static inline u64 vmread(unsigned long field)
{
	u64 value;

	asm volatile("vmread %1, %0" : "=rm"(value) : "r"(field) : "cc");
	return value;
}

#endif
