/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parts of the software vCPU that change how code runs: mode, segments, interrupts. */
#ifndef VMM_SOFT_SYSTEM_H
#define VMM_SOFT_SYSTEM_H

#include "vmm/soft/cpu.h"

/* --- mmu.c --- */
void soft_tlb_flush(struct soft_cpu *cpu, bool global_too);
void soft_tlb_flush_page(struct soft_cpu *cpu, u64 la);
/* Accesses by the CPU itself to descriptor tables and TSS: supervisor rights whatever the CPL. */
u64 soft_system_load(struct soft_cpu *cpu, u64 la, unsigned size);
void soft_system_store(struct soft_cpu *cpu, u64 la, unsigned size, u64 value);
/* Bytes that IN, OUT, INS or OUTS moves. */
static inline unsigned io_size(const struct insn *i)
{
	return !(i->op & 1) ? 1 : i->osize == 2 ? 2 : 4;
}

/* Ports, through the machine. */
u64 soft_port_read(struct soft_cpu *cpu, u16 port, unsigned size);
void soft_port_write(struct soft_cpu *cpu, u16 port, unsigned size, u64 value);
/* Makes vcpu.insns exact in the middle of a block, before the machine is asked anything; and looks after it. */
void soft_sync_position(struct soft_cpu *cpu);
void soft_after_machine(struct soft_cpu *cpu);
/* Guest-physical address of @la for fetching; faults when it can't be executed. *@host: the RAM behind it, or NULL. */
u64 soft_translate_exec(struct soft_cpu *cpu, u64 la, const u8 **host);
/* The same as things stand, without a fault and without changing anything. False: it would fault. */
bool soft_peek_exec(struct soft_cpu *cpu, u64 la, u64 *gpa);
/* Takes the fast path for writes from every entry of that guest-physical page. */
void soft_tlb_protect(struct soft_cpu *cpu, u64 gpa);
/* The same for all pages: PAGE_WRITTEN flags are about to be cleared. */
void soft_tlb_protect_all(struct soft_cpu *cpu);
/* Other pages are watched: works out anew which entries must be slow. */
void soft_tlb_watch(struct soft_cpu *cpu);
/* Makes an entry. @gpa: guest-physical page, with GPA_GLOBAL and GPA_BITS; @write: writes are known to be allowed. */
void soft_tlb_enter(struct soft_cpu *cpu, enum mmu_index index, u64 page_la, u64 gpa, bool write);
/* Recomputes exec_key from exec_gen, mode and privilege. */
static inline void soft_update_key(struct soft_cpu *cpu)
{
	cpu->exec_key = cpu->exec_gen << 8 | (u64)(cpu->cpl == 3) << 7 | cpu->mode;
}
/* Selects the TLB for the present CPL and AC. */
void soft_select_tlb(struct soft_cpu *cpu);

/* --- mode.c: what follows from control registers and CS --- */
/* Recomputes cpl, mode, TLB, sse_ok, x87_ok and the execution key. Ends the decoded block. */
void soft_mode_changed(struct soft_cpu *cpu);
void soft_set_cr0(struct soft_cpu *cpu, u64 value);
void soft_set_cr3(struct soft_cpu *cpu, u64 value);
void soft_set_cr4(struct soft_cpu *cpu, u64 value);
/* Something outside the common path needs the run loop's attention (TF, shadow, halt, window, breakpoints). */
static inline void soft_attention(struct soft_cpu *cpu)
{
	cpu->attention = true;
	soft_end_block(cpu);
}
/* RFLAGS as POPF or IRET give it, already masked to what may change: looks after TF, IF, AC. */
void soft_load_rflags(struct soft_cpu *cpu, u64 rflags);

/* --- watch.c: what a debugger wants to be told of (vmm/probe.h) --- */
/* An access that is made now, or a write by the page walk. Cost without watchpoints: a test. */
static inline void soft_watch_access(struct soft_cpu *cpu, u64 la, u64 gpa, unsigned len, bool write)
{
	if (likely(!probe_watching(&cpu->vcpu.probe)))
		return;
	probe_access(&cpu->vcpu.probe, la, gpa, len, write);
	if (cpu->vcpu.probe.fresh)
		soft_attention(cpu);
}
static inline void soft_watch_written(struct soft_cpu *cpu, u64 gpa, unsigned len)
{
	probe_written(&cpu->vcpu, gpa, len);
	if (unlikely(cpu->vcpu.probe.fresh))
		soft_attention(cpu);
}
static inline void soft_event(struct soft_cpu *cpu, enum target_event event, u64 number)
{
	probe_event(&cpu->vcpu, event, number);
	if (unlikely(cpu->vcpu.probe.fresh))
		soft_attention(cpu);
}
/* Whether the engine must stop before the instruction at @la: notes its breakpoints. */
bool soft_probe_exec(struct soft_cpu *cpu, u64 la);
void soft_probe_changed(struct vcpu *vcpu);

/* --- tlb_save.c --- */
size_t soft_tlb_size(const struct vcpu *vcpu);
size_t soft_tlb_save(const struct vcpu *vcpu, u8 *out);
int soft_tlb_load(struct vcpu *vcpu, const u8 *in, size_t len);

/* --- segment.c --- */
struct descriptor {
	u64 raw;      /* low 8 bytes */
	u64 high;     /* bytes 8 to 15 of system descriptors in long mode */
	u64 la;       /* where it stands */
	u16 selector; /* as loaded */
};

#define DESC_TYPE(d)       ((unsigned)((d)->raw >> 40) & 15)
#define DESC_S(d)          ((unsigned)((d)->raw >> 44) & 1)
#define DESC_DPL(d)        ((unsigned)((d)->raw >> 45) & 3)
#define DESC_P(d)          ((unsigned)((d)->raw >> 47) & 1)
#define DESC_L(d)          ((unsigned)((d)->raw >> 53) & 1)
#define DESC_DB(d)         ((unsigned)((d)->raw >> 54) & 1)
#define DESC_CODE(d)       (DESC_TYPE(d) & 8)
#define DESC_CONFORMING(d) ((DESC_TYPE(d) & 12) == 12)

/* System segment and gate types (SDM 3A table 3-2). */
enum system_type {
	SYS_TSS16 = 1,
	SYS_LDT = 2,
	SYS_TSS16_BUSY = 3,
	SYS_CALL16 = 4,
	SYS_TASK = 5,
	SYS_INT16 = 6,
	SYS_TRAP16 = 7,
	SYS_TSS = 9,
	SYS_TSS_BUSY = 11,
	SYS_CALL = 12,
	SYS_INT = 14,
	SYS_TRAP = 15,
};

/* Reads a descriptor; false when the selector is null or outside its table. */
bool descriptor_read(struct soft_cpu *cpu, u16 selector, struct descriptor *d);
/* The same, with @vector(selector) when it's outside. A null selector is the caller's business. */
void descriptor_fetch(struct soft_cpu *cpu, u16 selector, struct descriptor *d, enum vector vector);
/* Whether all 16 bytes of a system descriptor of long mode stand in its table. */
bool descriptor_whole(const struct soft_cpu *cpu, const struct descriptor *d);
u64 descriptor_base(const struct descriptor *d);
u32 descriptor_limit(const struct descriptor *d);
struct x86_segment descriptor_segment(const struct descriptor *d);
/* Sets the accessed bit in memory where it is clear. */
void descriptor_set_accessed(struct soft_cpu *cpu, struct descriptor *d);

/* MOV, POP, LxS to ES, SS, DS, FS, GS with all checks. */
void segment_load(struct soft_cpu *cpu, unsigned seg, u16 selector);
/* The checks for SS at privilege @cpl, used by returns and gates: @vector for what is wrong with it. */
void stack_segment_fetch(struct soft_cpu *cpu, u16 selector, unsigned cpl, enum vector vector, struct descriptor *d);
/* #SS(@error) unless items of @width bytes, @len bytes in all, can be pushed below @sp of that segment. */
void stack_frame_check(struct soft_cpu *cpu, const struct x86_segment *ss, u32 sp, unsigned width, unsigned len,
		       u32 error);
/* Stores them, as the ring that will own them. Below offset 0 they go on at the top; a fault leaves nothing written. */
void stack_frame_store(struct soft_cpu *cpu, const struct x86_segment *ss, u32 sp, unsigned cpl, const void *frame,
		       unsigned len);
/* Loads CS from a checked code descriptor, with RPL = @cpl. */
void code_segment_set(struct soft_cpu *cpu, struct descriptor *d, unsigned cpl);
/* After a return to an outer ring: data segments that the new CPL may not use become null. */
void segments_drop_privileged(struct soft_cpu *cpu, unsigned cpl);
/* Stack for ring @cpl from the TSS. Long mode: only *@sp. #TS as needed. */
void tss_stack(struct soft_cpu *cpu, unsigned cpl, u16 *ss, u64 *sp);
u64 tss_ist(struct soft_cpu *cpu, unsigned ist);
/* Whether the TSS's I/O permission bitmap allows @size ports from @port. */
bool tss_io_allowed(struct soft_cpu *cpu, u16 port, unsigned size);
/* #GP(0) unless CPL <= IOPL or the bitmap allows it. */
void soft_check_io(struct soft_cpu *cpu, u16 port, unsigned size);
static inline void soft_require_cpl0(struct soft_cpu *cpu)
{
	if (unlikely(cpu->cpl))
		soft_fault_code(cpu, X86_GP, 0);
}

/* --- task.c --- */
enum task_source { TASK_JMP, TASK_CALL, TASK_IRET };
/* The TSS descriptor of @selector, which must be in the GDT, and available, or @busy: @vector or #NP. */
void soft_task_fetch(struct soft_cpu *cpu, u16 selector, bool busy, enum vector vector, struct descriptor *tss);
/* Switches to it (TASK_CALL: through the IDT too). @return_rip, @rflags: what the old task is saved with; @error: pushed on
 * the new task's stack, or NULL. Faults in the new task leave by longjmp as any. */
void soft_task_switch(struct soft_cpu *cpu, const struct descriptor *tss, enum task_source source, u64 return_rip,
		      u64 rflags, const u32 *error);
/* IRET with NT set. */
void soft_task_return(struct soft_cpu *cpu, u64 return_rip);

/* --- vm86.c --- */
/* What CLI, STI, PUSHF, POPF and IRET may do with IF: change it, change VIF instead, or #GP(0). */
enum iopl_right { IOPL_FULL, IOPL_VIRTUAL, IOPL_NONE };
enum iopl_right soft_iopl_right(const struct soft_cpu *cpu);
/* VIF and VIP both set where they count: #GP(0) instead of the next instruction (SDM 3B 20.3.2). */
bool soft_virtual_pending(const struct soft_cpu *cpu);
/* The flags as PUSHF shows them under IOPL_VIRTUAL: VIF in the place of IF, IOPL 3. */
u64 soft_virtual_flags(u64 rflags);
/* @old with VIF from @image, as POPF and IRET load it under IOPL_VIRTUAL; #GP(0) as they do. */
u64 soft_load_virtual_flags(struct soft_cpu *cpu, u64 old, u64 image);
/* INT n in virtual-8086 mode. True: done, through the 8086 program's own table; false: through the IDT. */
bool soft_vm86_int(struct soft_cpu *cpu, u8 vector, u64 return_rip);

/* --- debug.c: breakpoints in DR0-3, single steps --- */
/* DR7 or an address changed: works out which kinds are armed. */
void soft_debug_changed(struct soft_cpu *cpu);
/* Slow-path accesses and ports report here; hits become a #DB after the instruction. */
void soft_debug_data(struct soft_cpu *cpu, u64 la, unsigned len, bool write);
void soft_debug_port(struct soft_cpu *cpu, u16 port, unsigned size);
/* Whether the page holds an armed data breakpoint, so that its accesses must take the slow path. */
bool soft_debug_page(const struct soft_cpu *cpu, u64 la);
/* DR6 bits of armed instruction breakpoints at this linear address. */
u64 soft_debug_exec(const struct soft_cpu *cpu, u64 la);

/* --- ops_fxstate.c --- */
/* XCR0 bits of the state components that differ from their initial state. */
u64 soft_xinuse(const struct soft_cpu *cpu);

/* --- exception.c --- */
enum event_source { EVENT_EXCEPTION, EVENT_EXTERNAL, EVENT_SOFTWARE, EVENT_ICEBP };
/* Delivers through the IDT; faults leave by longjmp (the caller merges them). @return_rip: what is pushed. */
void soft_interrupt(struct soft_cpu *cpu, u8 vector, enum event_source source, bool has_error, u32 error,
		    u64 return_rip);
/* Delivers cpu->exception, with double and triple faults. */
void soft_deliver_exception(struct soft_cpu *cpu);

/* --- soft.c --- */
/* Outside of a block: a fault now belongs to the instruction at regs.rip. */
void soft_stand_between(struct soft_cpu *cpu);

/* --- block.c --- */
struct block {
	u64 rip;      /* offset in CS of the first instruction */
	u64 la;       /* its linear address */
	u64 gpa;      /* where its first byte is */
	u64 gpa2;     /* the page its last instruction runs on into, or ~0 */
	u64 next_rip; /* behind the last instruction */
	u64 limit;    /* of CS outside 64-bit mode */
	struct block *hash_next;
	struct block *page_next[2]; /* in the lists of its one or two pages */
	u32 mode;
	u16 count;
	u16 bytes;
	bool dead;     /* its code was overwritten; not found any more */
	bool probed;   /* a breakpoint stands at its first instruction; found by block_look_up() only */
	bool cut;      /* ends where one stood */
	u32 probe_gen; /* for the breakpoints of when */
	struct insn insn[];
};

int block_cache_create(struct soft_cpu *cpu, struct error *err);
void block_cache_free(struct soft_cpu *cpu);
/* The block at regs.rip, decoded when it isn't cached. Faults as the fetch would. NULL: there is a breakpoint of a
 * debugger to stop at. With cpu->attention raised, no more than one instruction of it may be run. */
struct block *block_get(struct soft_cpu *cpu);
/* Drops decoded code that overlaps [gpa, gpa + len). */
void block_invalidate(struct soft_cpu *cpu, u64 gpa, u64 len);
/* Whether a write there touches decoded code (the page has PAGE_CODE). */
bool block_covers(struct soft_cpu *cpu, u64 gpa, u64 len);

#endif
