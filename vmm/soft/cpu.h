/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The software vCPU: what instruction handlers work with.
 *
 * Rules for handlers (every ops_*.c):
 *  1. A fault (soft_fault, or any memory access) leaves by longjmp and nothing may have changed before it: read all
 *     operands and check all that can fail, then write.
 *  2. regs.rip is not valid inside a block; use insn_rip() and insn_next_rip(). A branch sets regs.rip.
 *  3. The status flags live in cpu->flags; regs.rflags holds the rest (with the six bits zero).
 *     soft_rflags() composes, soft_set_rflags() splits.
 *  4. 32-bit results in 64-bit registers are zero-extended by set_reg32().
 */
#ifndef VMM_SOFT_CPU_H
#define VMM_SOFT_CPU_H

#include <setjmp.h>

#include "vmm/engine.h"
#include "vmm/memory.h"
#include "vmm/soft/decode.h"
#include "vmm/soft/flags.h"
#include "vmm/x86/paging.h"

/* Software TLBs: one for each way memory may be looked at. */
enum mmu_index {
	MMU_KERNEL,      /* CPL 0-2; user pages refused (SMAP) */
	MMU_KERNEL_USER, /* CPL 0-2; user pages allowed (no SMAP, or AC set) */
	MMU_USER,        /* CPL 3 */
	MMU_USER_ALIGN,  /* CPL 3 with alignment checks: every access takes the slow path */
	MMU_COUNT,
};

enum access { ACCESS_READ, ACCESS_WRITE, ACCESS_EXEC };

#define ITLB_SIZE 1024
#define TLB_BITS  10
#define TLB_SIZE  (1u << TLB_BITS)
/* Low bits of a tag: the page is known, but accesses take the slow path. */
#define TLB_SLOW  1ull
#define TLB_EMPTY (~0ull)

/* Parts of tlb_entry.gpa. */
#define GPA_GLOBAL  1ull
#define GPA_RAM     0x80ull
#define GPA_BITS(e) (((e)->gpa >> 1) & 63)

struct tlb_entry {
	u64 tag[2]; /* by ACCESS_READ and ACCESS_WRITE: linear page, or with TLB_SLOW, or TLB_EMPTY */
	u64 addend; /* host address = linear + addend (RAM only) */
	u64 gpa;    /* guest-physical page; bit 0: global; bits 6:1: log2 of its page's size; bit 7: RAM */
};

struct tlb {
	struct tlb_entry entry[TLB_SIZE];
	u16 used[TLB_SIZE]; /* filled entries, so that a flush costs what was filled */
	u32 nr_used;
};

struct block;
struct block_cache;

struct soft_cpu {
	struct vcpu vcpu;         /* first: vcpu.regs.gpr at offset 0 */
	struct soft_flags flags;  /* status flags while running */
	struct tlb *tlb;          /* the one for the present CPL and AC */
	const struct insn *cur;   /* the instruction being executed */
	const struct insn *end;   /* one past the last of this run; lowered to end the block early */
	u64 block_rip;            /* RIP of the block's first instruction */
	const struct insn *first; /* the block's first instruction */
	u64 insns_base;           /* vcpu.insns at the block's beginning */
	unsigned mode;            /* enum decode_mode bits */
	unsigned cpl;
	bool sse_ok;       /* SSE usable: CR4.OSFXSR, !CR0.EM, !CR0.TS */
	bool x87_ok;       /* x87 usable: !CR0.EM, !CR0.TS */
	bool attention;    /* the run loop must look at flags, halt and breakpoints before the next block */
	bool debug_data;   /* data breakpoints armed */
	bool debug_exec;   /* instruction breakpoints armed */
	bool debug_port;   /* I/O breakpoints armed */
	bool rep_single;   /* single-stepping: a REP instruction stops after each iteration */
	bool no_step_trap; /* the instruction went through a gate or SYSCALL: no single-step trap after it */
	bool delivery;     /* an exception was delivered since the run loop last looked */
	bool delivering;   /* an exception or external interrupt is on its way through the IDT: EXT in error codes */
	bool push_whole;   /* CPU_MODEL_V2_1: PUSH Sreg */
	bool retired_not;  /* the present instruction will be continued (interrupted REP): don't count it */
	u64 rmw_la;        /* linear address of a read-modify-write on the slow path */
	jmp_buf fault;
	struct {
		u8 vector;
		bool has_error;
		u32 error;
		u64 cr2;
	} exception; /* what longjmp carries */
	struct tlb tlbs[MMU_COUNT];
	struct paging_context paging; /* [D] from control registers */
	struct {
		u64 la, key, gpa;
		const u8 *host; /* NULL: no RAM */
	} itlb[ITLB_SIZE];      /* pages code was fetched from; valid while key is fetch_gen with privilege */
	u64 fetch_gen;          /* raised by every TLB flush */
	u64 code_base;          /* of CS outside 64-bit mode, and its limit: what RIP look-ups were made with */
	u32 code_limit;
	struct block_cache *blocks;
	u32 probe_gen; /* raised whenever other instructions have breakpoints of a debugger */
	bool probed;   /* some have */
	bool watched;  /* some pages of RAM have PAGE_WATCHED */
	u64 exec_key;  /* exec_gen with mode and privilege: what a cached RIP look-up is valid for */
	u64 exec_gen;  /* raised whenever a linear-to-physical or mode change may make cached RIP look-ups stale */
};

static inline struct soft_cpu *soft_cpu(struct vcpu *vcpu)
{
	return container_of(vcpu, struct soft_cpu, vcpu);
}

/* --- faults (exception.c) --- */

/* Raises a fault or (for #DB as trap) nothing else: leaves the instruction. Never returns. */
_Noreturn void soft_fault(struct soft_cpu *cpu, enum vector vector);
_Noreturn void soft_fault_code(struct soft_cpu *cpu, enum vector vector, u32 error);

/* --- registers --- */

static inline u64 insn_rip(const struct soft_cpu *cpu, const struct insn *i)
{
	return cpu->block_rip + i->offset;
}

static inline u64 insn_next_rip(const struct soft_cpu *cpu, const struct insn *i)
{
	u64 rip = insn_rip(cpu, i) + i->len;

	return cpu->mode & MODE_64 ? rip : cpu->mode & MODE_32 ? (u32)rip : (u16)rip;
}

static inline u8 reg8(const struct soft_cpu *cpu, unsigned byte_offset)
{
	return ((const u8 *)cpu->vcpu.regs.gpr)[byte_offset];
}

static inline u16 reg16(const struct soft_cpu *cpu, unsigned r)
{
	return cpu->vcpu.regs.gpr[r];
}

static inline u32 reg32(const struct soft_cpu *cpu, unsigned r)
{
	return cpu->vcpu.regs.gpr[r];
}

static inline u64 reg64(const struct soft_cpu *cpu, unsigned r)
{
	return cpu->vcpu.regs.gpr[r];
}

static inline void set_reg8(struct soft_cpu *cpu, unsigned byte_offset, u8 v)
{
	((u8 *)cpu->vcpu.regs.gpr)[byte_offset] = v;
}

static inline void set_reg16(struct soft_cpu *cpu, unsigned r, u16 v)
{
	memcpy(&cpu->vcpu.regs.gpr[r], &v, 2);
}

static inline void set_reg32(struct soft_cpu *cpu, unsigned r, u32 v)
{
	cpu->vcpu.regs.gpr[r] = v;
}

static inline void set_reg64(struct soft_cpu *cpu, unsigned r, u64 v)
{
	cpu->vcpu.regs.gpr[r] = v;
}

/* By operand size 2, 4 or 8. */
static inline u64 reg_get(const struct soft_cpu *cpu, unsigned r, unsigned size)
{
	u64 v = cpu->vcpu.regs.gpr[r];

	return size == 8 ? v : size == 4 ? (u32)v : (u16)v;
}

static inline void reg_set(struct soft_cpu *cpu, unsigned r, unsigned size, u64 v)
{
	if (size == 2)
		set_reg16(cpu, r, v);
	else
		cpu->vcpu.regs.gpr[r] = size == 4 ? (u32)v : v;
}

static inline u64 soft_rflags(const struct soft_cpu *cpu)
{
	return cpu->vcpu.regs.rflags | flags_get(&cpu->flags);
}

static inline void soft_set_rflags(struct soft_cpu *cpu, u64 rflags)
{
	cpu->vcpu.regs.rflags = (rflags & ~RFLAGS_STATUS) | RFLAGS_1;
	flags_set(&cpu->flags, rflags);
}

/* Ends the decoded block after the present instruction. */
static inline void soft_end_block(struct soft_cpu *cpu)
{
	cpu->end = cpu->cur;
}

/* --- memory (mmu.c, segment.c) --- */

/* Slow paths by linear address: page walk, page crossing, MMIO, pages with code. */
u64 soft_load(struct soft_cpu *cpu, u64 la, unsigned size);
void soft_store(struct soft_cpu *cpu, u64 la, unsigned size, u64 value);
void soft_load_bytes(struct soft_cpu *cpu, u64 la, void *buf, unsigned len);
/* All pages are checked before the first byte is written. */
void soft_store_bytes(struct soft_cpu *cpu, u64 la, const void *buf, unsigned len);
/* Faults as a write of @len bytes would, without writing. */
void soft_probe_write(struct soft_cpu *cpu, u64 la, unsigned len);
u64 soft_rmw_load(struct soft_cpu *cpu, u64 la, unsigned size);

/* Segment base, limit and type checks outside the flat case, canonical check inside 64-bit mode; the linear address. */
u64 soft_linear(struct soft_cpu *cpu, unsigned seg, u64 offset, unsigned size, enum access access);

/* The offset that the memory operand names, in its address size. */
static inline u64 mem_offset(const struct soft_cpu *cpu, const struct insn *i)
{
	const u64 *g = cpu->vcpu.regs.gpr;
	u64 ea = g[i->base] + (g[i->index] << i->scale) + i->disp;

	if (likely(i->asize == 8))
		return ea;
	return i->asize == 4 ? (u32)ea : (u16)ea;
}

/* The linear address of the memory operand, @size bytes of which will be accessed. */
static inline u64 mem_linear(struct soft_cpu *cpu, const struct insn *i, unsigned size, enum access access)
{
	if (likely(i->flags & INSN_FLAT)) {
		const u64 *g = cpu->vcpu.regs.gpr;

		return g[i->base] + (g[i->index] << i->scale) + i->disp;
	}
	return soft_linear(cpu, i->seg, mem_offset(cpu, i), size, access);
}

/* The host address of [la, la + size) when the TLB allows @access on the fast path, else NULL. An access that crosses
 * its page never matches, since the last byte's page is compared with the first byte's entry. */
static inline u8 *tlb_host(struct soft_cpu *cpu, u64 la, unsigned size, enum access access)
{
	struct tlb_entry *e = &cpu->tlb->entry[(la >> PAGE_SHIFT) & (TLB_SIZE - 1)];

	if (unlikely(e->tag[access] != ((la + size - 1) & ~PAGE_MASK)))
		return NULL;
	return (u8 *)(uintptr_t)(la + e->addend);
}

#define DEFINE_LINEAR_ACCESS(bits)                                                                \
	static inline u##bits la_ld##bits(struct soft_cpu *cpu, u64 la)                           \
	{                                                                                         \
		const u8 *p = tlb_host(cpu, la, bits / 8, ACCESS_READ);                           \
		u##bits v;                                                                        \
                                                                                                  \
		if (unlikely(!p))                                                                 \
			return soft_load(cpu, la, bits / 8);                                      \
		memcpy(&v, p, bits / 8);                                                          \
		return v;                                                                         \
	}                                                                                         \
	static inline void la_st##bits(struct soft_cpu *cpu, u64 la, u##bits v)                   \
	{                                                                                         \
		u8 *p = tlb_host(cpu, la, bits / 8, ACCESS_WRITE);                                \
                                                                                                  \
		if (unlikely(!p))                                                                 \
			soft_store(cpu, la, bits / 8, v);                                         \
		else                                                                              \
			memcpy(p, &v, bits / 8);                                                  \
	}                                                                                         \
	/* The memory operand of an instruction. */                                               \
	static inline u##bits mem_ld##bits(struct soft_cpu *cpu, const struct insn *i)            \
	{                                                                                         \
		return la_ld##bits(cpu, mem_linear(cpu, i, bits / 8, ACCESS_READ));               \
	}                                                                                         \
	static inline void mem_st##bits(struct soft_cpu *cpu, const struct insn *i, u##bits v)    \
	{                                                                                         \
		la_st##bits(cpu, mem_linear(cpu, i, bits / 8, ACCESS_WRITE), v);                  \
	}                                                                                         \
	/* Read-modify-write: load for writing, then rmw_st with the pointer it gave. */          \
	static inline u8 *mem_rmw##bits(struct soft_cpu *cpu, const struct insn *i, u##bits *old) \
	{                                                                                         \
		u64 la = mem_linear(cpu, i, bits / 8, ACCESS_WRITE);                              \
		u8 *p = tlb_host(cpu, la, bits / 8, ACCESS_WRITE);                                \
                                                                                                  \
		if (unlikely(!p))                                                                 \
			*old = soft_rmw_load(cpu, la, bits / 8);                                  \
		else                                                                              \
			memcpy(old, p, bits / 8);                                                 \
		return p;                                                                         \
	}                                                                                         \
	static inline void mem_rmw_st##bits(struct soft_cpu *cpu, u8 *p, u##bits v)               \
	{                                                                                         \
		if (unlikely(!p))                                                                 \
			soft_store(cpu, cpu->rmw_la, bits / 8, v);                                \
		else                                                                              \
			memcpy(p, &v, bits / 8);                                                  \
	}

DEFINE_LINEAR_ACCESS(8)
DEFINE_LINEAR_ACCESS(16)
DEFINE_LINEAR_ACCESS(32)
DEFINE_LINEAR_ACCESS(64)

/* Operands of any length up to 512 bytes: x87 80-bit, SSE, state images. */
static inline void mem_ld_bytes(struct soft_cpu *cpu, const struct insn *i, void *buf, unsigned len)
{
	u64 la = mem_linear(cpu, i, len, ACCESS_READ);
	const u8 *p = tlb_host(cpu, la, len, ACCESS_READ);

	if (likely(p))
		memcpy(buf, p, len);
	else
		soft_load_bytes(cpu, la, buf, len);
}

static inline void mem_st_bytes(struct soft_cpu *cpu, const struct insn *i, const void *buf, unsigned len)
{
	u64 la = mem_linear(cpu, i, len, ACCESS_WRITE);
	u8 *p = tlb_host(cpu, la, len, ACCESS_WRITE);

	if (likely(p))
		memcpy(p, buf, len);
	else
		soft_store_bytes(cpu, la, buf, len);
}

/* 16-byte operands that must be aligned: #GP(0) otherwise. */
static inline void mem_check_aligned(struct soft_cpu *cpu, const struct insn *i, unsigned align)
{
	if (unlikely(mem_linear(cpu, i, align, ACCESS_READ) & (align - 1)))
		soft_fault_code(cpu, X86_GP, 0);
}

static inline void mem_ld128a(struct soft_cpu *cpu, const struct insn *i, void *buf)
{
	mem_check_aligned(cpu, i, 16);
	mem_ld_bytes(cpu, i, buf, 16);
}

static inline void mem_st128a(struct soft_cpu *cpu, const struct insn *i, const void *buf)
{
	mem_check_aligned(cpu, i, 16);
	mem_st_bytes(cpu, i, buf, 16);
}

/* --- checks before x87, MMX and SSE instructions (exception.c) --- */

_Noreturn void soft_no_sse(struct soft_cpu *cpu); /* #UD or #NM as CR0 and CR4 say */
_Noreturn void soft_no_x87(struct soft_cpu *cpu); /* #NM */
_Noreturn void soft_no_mmx(struct soft_cpu *cpu); /* #UD (EM) or #NM (TS) */

#endif
