/* SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note */
/*
 * The interface between vmdbg.ko and its user: one file descriptor of /dev/vmdbg is a machine, with its memory
 * regions and vCPUs. Everything a vCPU's run needs and gives stands in pages that both sides map.
 *
 * 1. All fields have fixed widths, natural alignment and no hidden padding. Fields named "reserved" must be zero.
 * 2. VMDBG_ABI_VERSION rises with every change; VMDBG_IOC_PROBE tells the module's, the user refuses any other.
 * 3. The module reads a run page once, at the start of VMDBG_IOC_RUN, and believes nothing in it.
 */
#ifndef VMDBG_ABI_H
#define VMDBG_ABI_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define VMDBG_ABI_VERSION 5

#define VMDBG_MAX_REGIONS 8
#define VMDBG_MAX_VCPUS   16
#define VMDBG_MAX_CPUID   128
#define VMDBG_MAX_BREAKS  512
#define VMDBG_MAX_OPEN    8
#define VMDBG_MAX_BOUNCE  4 /* two operands, each across a page's end */
#define VMDBG_MAX_DIRTY   512
#define VMDBG_MAX_REASONS 80

/* --- VMDBG_IOC_PROBE: can this host serve? --- */

enum vmdbg_status {
	VMDBG_OK,
	VMDBG_NO_VMX,          /* the processor has no VT-x, or a hypervisor hides it */
	VMDBG_LOCKED_OFF,      /* IA32_FEATURE_CONTROL: locked with VMX off */
	VMDBG_BUSY,            /* CR4.VMXE is set and not by us: KVM or another monitor */
	VMDBG_MISSING_CONTROL, /* detail: VMX capability MSR << 32 | the bits of it that are wanting */
	VMDBG_MISSING_EPT,     /* detail: the bits of IA32_VMX_EPT_VPID_CAP that are wanting */
	VMDBG_NO_XSAVE,        /* the host's kernel has CR4.OSXSAVE clear */
};

#define VMDBG_FEATURE_MTF       (1ull << 0) /* monitor trap flag */
#define VMDBG_FEATURE_EXEC_ONLY (1ull << 1) /* EPT: execute-only pages */
#define VMDBG_FEATURE_VPID      (1ull << 2)

struct vmdbg_probe {
	__u32 size;     /* in: sizeof */
	__u32 version;  /* out, also with -EINVAL for a wrong size */
	__u32 status;   /* enum vmdbg_status */
	__u32 run_size; /* sizeof(struct vmdbg_run) */
	__u64 detail;
	__u64 features;
};

/* --- VMDBG_IOC_REGION: guest RAM from the caller's memory. Only before the first vCPU is made. --- */

struct vmdbg_region {
	__u32 size; /* sizeof */
	__u32 reserved;
	__u64 gpa;   /* page aligned */
	__u64 bytes; /* page aligned */
	__u64 uaddr; /* page aligned, in the caller's address space */
};

/* --- VMDBG_IOC_VCPU: makes vCPU id; its pages are then at VMDBG_MMAP(id, page) of the file --- */

/* Shadow page tables: accessed and dirty flags in the guest's page tables are set by the accesses that it makes, and by no
 * others. -EINVAL: there is RAM at the end of physical address space (4 MiB of 1 TiB, or of less if the host has less). */
#define VMDBG_VCPU_SHADOW (1u << 0)
#define VMDBG_VCPU_FLAGS  1u

struct vmdbg_vcpu_create {
	__u32 size;
	__u32 id;
	__u32 flags;
	__u32 reserved;
};

#define VMDBG_PAGE_RUN       0 /* struct vmdbg_run, two pages */
#define VMDBG_PAGE_BOUNCE    2 /* VMDBG_MAX_BOUNCE pages: what the guest finds at run.bounce_gpa[] */
#define VMDBG_PAGE_STATS     6 /* struct vmdbg_stats */
#define VMDBG_VCPU_PAGES     7
#define VMDBG_MMAP(id, page) (((__u64)(id)*16 + (page)) << 12)

/* --- VMDBG_IOC_CPUID: answers given without leaving the kernel --- */

struct vmdbg_cpuid_entry {
	__u32 leaf;
	__u32 subleaf;
	__u32 any_subleaf; /* 0 or 1 */
	__u32 eax, ebx, ecx, edx;
	__u32 reserved;
};

struct vmdbg_cpuid {
	__u32 size;
	__u32 vcpu;
	__u32 count;
	__u32 reserved;
	__u64 entries; /* user address of struct vmdbg_cpuid_entry[count] */
};

/* --- VMDBG_IOC_BREAKS: linear addresses before whose instructions a run leaves. Running freely, they stand in debug registers
 * that the guest has no breakpoints in: there can be no more of them than that. --- */

struct vmdbg_breaks {
	__u32 size;
	__u32 vcpu;
	__u32 count; /* up to VMDBG_MAX_BREAKS */
	__u32 reserved;
	__u64 entries; /* user address of __u64[count], ascending */
};

/* --- VMDBG_IOC_ACCESS: what a vCPU may do to pages without an exit, whatever else EPT would allow --- */

#define VMDBG_R   1u
#define VMDBG_W   2u
#define VMDBG_X   4u
#define VMDBG_RWX 7u
/* The guest's page walks may update the page's entries without an exit, though it isn't writable otherwise. */
#define VMDBG_WALK 8u

struct vmdbg_access {
	__u32 size;
	__u32 vcpu;
	__u64 gpa;
	__u64 pages;
	__u32 allowed; /* VMDBG_RWX: no restriction any more. W without R can't be. X alone: VMDBG_FEATURE_EXEC_ONLY */
	/* The page that instructions are fetched from, a copy made now of a page of the caller's: with it "allowed" must be
	 * VMDBG_X, one page, and reads and writes reach the guest's own page, with an exit (VMDBG_EXIT_EPT) for each.
	 * That is a hidden breakpoint's: the copy has INT3 where the guest's page has its own bytes. 0: none. */
	__u32 reserved;
	__u64 twin;
};

/* --- VMDBG_IOC_DIRTY_RESET: makes the next write to every page be told again in run.dirty --- */

struct vmdbg_vcpu_arg {
	__u32 size;
	__u32 vcpu;
};

/* --- registers --- */

/* Access rights in the VMCS layout. */
struct vmdbg_segment {
	__u64 base;
	__u32 limit;
	__u32 ar;
	__u16 selector;
	__u16 reserved[3];
};

struct vmdbg_table {
	__u64 base;
	__u16 limit;
	__u16 reserved[3];
};

/* As the guest sees them: what the module needs otherwise in CR0, CR4 or RFLAGS.TF is its own business. */
struct vmdbg_regs {
	__u64 gpr[16]; /* RAX RCX RDX RBX RSP RBP RSI RDI R8..R15 */
	__u64 rip;
	__u64 rflags;
	struct vmdbg_segment seg[8]; /* ES CS SS DS FS GS LDTR TR */
	struct vmdbg_table gdtr;
	struct vmdbg_table idtr;
	__u64 cr0, cr2, cr3, cr4;
	__u64 efer, xcr0;
	__u64 pdpte[4];
	__u64 dr[4], dr7;
	__u64 star, lstar, sfmask, kernel_gs_base;
	__u64 sysenter_cs, sysenter_esp, sysenter_eip;
	__u64 pat;
	__u32 interruptibility; /* STI, MOV SS; bit 3: blocking by NMI */
	__u32 reserved;
	__u8 fxsave[512] __attribute__((aligned(16))); /* FXSAVE64 image; the reserved bytes are ignored */
};

/* --- VMDBG_IOC_RUN --- */

/* run.flags */
#define VMDBG_RUN_STEP      (1u << 0)  /* count every instruction, intercept every exception, stop at run.until */
#define VMDBG_RUN_WINDOW    (1u << 1)  /* leave when an interrupt can be taken: IF set, no shadow */
#define VMDBG_RUN_DELIVER   (1u << 2)  /* only deliver run.inject_info, then leave with VMDBG_EXIT_DELIVERED */
#define VMDBG_RUN_ALL_MSRS  (1u << 3)  /* no MSR is passed through: FS, GS and kernel GS bases exit too */
#define VMDBG_RUN_TABLES    (1u << 4)  /* descriptor-table accesses exit */
#define VMDBG_RUN_TSC_HERE  (1u << 5)  /* RDTSC and RDTSCP are answered in the kernel and put into run.tsc */
#define VMDBG_RUN_TSC_INSNS (1u << 6)  /* ... with tsc_base + insns. Otherwise tsc_base + CLOCK_MONOTONIC in ns */
#define VMDBG_RUN_FLUSH     (1u << 7)  /* guest memory, page tables perhaps, was written by others than this vCPU */
#define VMDBG_RUN_CR3       (1u << 9)  /* free running: MOV to CR3 exits (stepping: always) */
#define VMDBG_RUN_PASS      (1u << 10) /* VMDBG_EXIT_BREAK not for the first instruction */
#define VMDBG_RUN_X87       (1u << 11) /* an x87 instruction may be run: exactly that one, until is insns + 1 */
#define VMDBG_RUN_TF        (1u << 12) /* step by RFLAGS.TF, though there is VMDBG_FEATURE_MTF */
/* A20M#: bit 20 of guest-physical addresses is 0 wherever they lead. They are told so, and are given so: limits, open_gfn,
 * bounce_gpa, dirty. */
#define VMDBG_RUN_A20M  (1u << 13)
#define VMDBG_RUN_FLAGS 0x3effu

enum vmdbg_exit {
	VMDBG_EXIT_HARDWARE, /* run.hw_reason and what belongs to it; the instruction has not been completed */
	VMDBG_EXIT_POSITION, /* insns reached until */
	VMDBG_EXIT_WINDOW,
	VMDBG_EXIT_KICK,      /* a signal, the alarm, or time to look around: at a boundary, or amid a REP */
	VMDBG_EXIT_DELIVERED, /* VMDBG_RUN_DELIVER is done: RIP is the handler's */
	VMDBG_EXIT_EXCEPTION, /* intr_info, intr_error; page fault: qualification is the address; not delivered */
	VMDBG_EXIT_DEBUG,     /* debug_bits for the guest's DR6; retired says whether after an instruction or before */
	VMDBG_EXIT_SPECIAL,   /* the instruction at RIP must be carried out by the user (insn_class) */
	VMDBG_EXIT_EPT,       /* gpa, qualification: no RAM there, or not allowed */
	VMDBG_EXIT_OPENED,    /* the instruction with open_gfn or bounce pages has retired (or one REP iteration) */
	VMDBG_EXIT_DIRTY,     /* run.dirty is full */
	VMDBG_EXIT_TSC,       /* run.tsc is full */
	VMDBG_EXIT_BAD_ENTRY, /* VM entry failed: vm_error, or hw_reason with bit 31 and qualification */
	VMDBG_EXIT_SHUTDOWN,  /* triple fault (free running) */
	VMDBG_EXIT_BREAK,     /* an address of VMDBG_IOC_BREAKS; the instruction has not run */
	VMDBG_EXIT_TABLE,     /* running freely, shadow page tables: the next instruction has to be stepped */
};

struct vmdbg_tsc_read {
	__u64 insns;
	__u64 value;
};

struct vmdbg_run {
	/* in */
	__u64 until;
	__u32 flags;
	__u32 nr_open;
	__u64 open_gfn[VMDBG_MAX_OPEN]; /* pages whose restrictions are lifted for one instruction */
	__u64 bounce_gpa
	    [VMDBG_MAX_BOUNCE]; /* in place of these pages, not RAM, are the bounce pages for one instruction */
	__u64 tsc_base;
	/* The TSC is CLOCK_MONOTONIC (ns) + tsc_base, but at least tsc_floor and the last one. From tsc_limit on it isn't given,
	 * nor more often than tsc_room: such reads leave, VMDBG_EXIT_HARDWARE. */
	__u64 tsc_floor, tsc_limit;
	__u32 tsc_room, tsc_aux;
	/* CLOCK_MONOTONIC (ns) at which to leave (VMDBG_EXIT_KICK), if the guest has moved by then and nothing is half
	 * delivered; else soon after that. ~0: at some time. */
	__u64 alarm;
	__u32 inject_info; /* VM-entry interruption information; bit 31 clear: nothing */
	__u32 inject_error;
	__u32 inject_len;
	__u32 nr_bounce;
	/* in and out */
	__u64 insns;    /* instructions retired; a REP string instruction once, at its end */
	__u64 branches; /* conditional branches retired */
	__u32 nr_dirty; /* the user sets both to 0 when it has looked */
	__u32 nr_tsc;
	/* out */
	__u32 exit; /* enum vmdbg_exit */
	__u32 hw_reason;
	__u64 qualification;
	__u64 gpa;
	__u64 gla; /* guest-linear address */
	__u32 intr_info;
	__u32 intr_error;
	__u32 vectoring_info; /* what was being delivered when the exit came */
	__u32 vectoring_error;
	__u32 insn_len;
	__u32 insn_info;
	__u32 insn_class;
	__u32 retired;
	__u64 debug_bits;
	__u32 vm_error;
	__u32 moved;                  /* running freely: the guest may stand elsewhere than at the beginning */
	__u64 pending_debug;          /* running freely: bits for the guest's DR6 that MOV SS holds off */
	struct vmdbg_regs regs;       /* in and out */
	__u64 dirty[VMDBG_MAX_DIRTY]; /* guest page numbers written for the first time */
};

/* The RDTSC ring stands in the statistics page's second half. */
struct vmdbg_stats {
	struct {
		__u32 count;
		__u32 reserved;
		__u64 cycles; /* host TSC from this exit to the next entry or return to the user */
	} reason[VMDBG_MAX_REASONS];
	__u64 entries;
	__u64 user_exits;
	__u64 steps;
	__u64 pages;        /* mapped by EPT violations */
	__u64 inveps;       /* INVEPT executed */
	__u64 guest_cycles; /* host TSC from entry to exit */
	__u64 table_fills;  /* VMDBG_VCPU_SHADOW: page faults that only made shadow entries */
	__u64 table_writes; /* ... writes of the guest's to page tables in use */
	__u64 invvpids;     /* ... INVVPID executed because entries were dropped */
	__u64 table_drops;  /* ... all shadow tables dropped: none was free, or paging's rules changed */
	__u64 large_pages;  /* 2 MiB mapped by one EPT entry */
	__u64 splits;       /* of those, made 512 entries: a first write, a limit */
};

#define VMDBG_TSC_RING_OFFSET 2048 /* in the statistics page: struct vmdbg_tsc_read[VMDBG_TSC_RING] */
#define VMDBG_TSC_RING        128

#define VMDBG_IOC             0xb7
#define VMDBG_IOC_PROBE       _IOWR(VMDBG_IOC, 0, struct vmdbg_probe)
#define VMDBG_IOC_REGION      _IOW(VMDBG_IOC, 1, struct vmdbg_region)
#define VMDBG_IOC_VCPU        _IOW(VMDBG_IOC, 2, struct vmdbg_vcpu_create)
#define VMDBG_IOC_CPUID       _IOW(VMDBG_IOC, 3, struct vmdbg_cpuid)
#define VMDBG_IOC_ACCESS      _IOW(VMDBG_IOC, 4, struct vmdbg_access)
#define VMDBG_IOC_DIRTY_RESET _IOW(VMDBG_IOC, 5, struct vmdbg_vcpu_arg)
#define VMDBG_IOC_RUN         _IOW(VMDBG_IOC, 6, struct vmdbg_vcpu_arg)
#define VMDBG_IOC_BREAKS      _IOW(VMDBG_IOC, 7, struct vmdbg_breaks)

#endif
