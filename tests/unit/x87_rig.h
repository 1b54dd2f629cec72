/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A software CPU for calling x87 handlers one at a time: one page of memory, no decoder, no MMU. */
#ifndef TESTS_UNIT_X87_RIG_H
#define TESTS_UNIT_X87_RIG_H

#include <stdlib.h>

#include "vmm/soft/x87.h"

#define RIG_LA  0x10000ull
#define RIG_RIP 0x401000ull

struct x87_rig {
	struct soft_cpu *cpu;
	u8 *page; /* at RIG_LA */
};

static inline void x87_rig_init(struct x87_rig *rig)
{
	struct soft_cpu *cpu = aligned_alloc(64, (sizeof(*cpu) + 63) & ~63ull);
	struct tlb_entry *e;

	memset(cpu, 0, sizeof(*cpu));
	rig->cpu = cpu;
	rig->page = aligned_alloc(PAGE_SIZE, PAGE_SIZE);
	memset(rig->page, 0, PAGE_SIZE);
	cpu->tlb = &cpu->tlbs[0];
	cpu->x87_ok = cpu->sse_ok = true;
	cpu->mode = MODE_64;
	cpu->block_rip = RIG_RIP;
	cpu->vcpu.regs.cr4 = CR4_OSFXSR | CR4_OSXSAVE;
	cpu->vcpu.regs.xcr0 = XCR0_X87 | XCR0_SSE;
	cpu->vcpu.regs.fpu.mxcsr = MXCSR_INIT;
	x87_init(x87_fpu(cpu));
	for (unsigned n = 0; n < TLB_SIZE; n++)
		cpu->tlb->entry[n].tag[0] = cpu->tlb->entry[n].tag[1] = TLB_EMPTY;
	e = &cpu->tlb->entry[RIG_LA >> PAGE_SHIFT & (TLB_SIZE - 1)];
	e->tag[0] = e->tag[1] = RIG_LA;
	e->addend = (u64)(uintptr_t)rig->page - RIG_LA;
}

static inline void x87_rig_free(struct x87_rig *rig)
{
	free(rig->cpu);
	free(rig->page);
}

static inline struct insn x87_rig_insn(u8 op, u8 modrm, unsigned disp)
{
	return (struct insn){
	    .op = op,
	    .modrm = modrm,
	    .reg = modrm >> 3 & 7,
	    .rm = modrm & 7,
	    .aux = (op & 7) << 8 | modrm,
	    .base = GPR_NONE,
	    .index = GPR_NONE,
	    .osize = 4,
	    .asize = 8,
	    .len = 2,
	    .flags = modrm < 0xc0 ? INSN_MEM | INSN_FLAT : 0,
	    .disp = modrm < 0xc0 ? RIG_LA + disp : 0,
	};
}

/* The vector of the fault that @fn raised, -1: none. */
static inline int x87_rig_call(struct x87_rig *rig, insn_fn *fn, const struct insn *i)
{
	if (setjmp(rig->cpu->fault))
		return rig->cpu->exception.vector;
	fn(rig->cpu, i);
	return -1;
}

/* One x87 instruction; memory operands at @disp in the page. */
static inline int x87_rig_op(struct x87_rig *rig, u8 op, u8 modrm, unsigned disp)
{
	struct insn i = x87_rig_insn(op, modrm, disp);

	return x87_rig_call(rig, modrm < 0xc0 ? x87_mem[op & 7][i.reg] : x87_reg[op & 7][modrm & 0x3f], &i);
}

#endif
