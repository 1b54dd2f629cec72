// SPDX-License-Identifier: GPL-2.0-or-later
/* String instructions.
 *
 * A REP form runs all its iterations in one go and retires once, at its end. Every iteration leaves rCX, rSI and rDI
 * as hardware would, so a fault in the middle restarts where it stopped. When the machine is kicked, the instruction
 * stops between iterations without retiring: the position is told apart by rCX. MOVS and STOS go page by page when
 * both sides are plain RAM, the direction is up, and a copy doesn't read what it has just written. */
#include "vmm/soft/alu.h"
#include "vmm/soft/ops.h"
#include "vmm/soft/system.h"

static u64 masked(const struct insn *i, u64 v)
{
	return i->asize == 8 ? v : i->asize == 4 ? (u32)v : (u16)v;
}

static void advance(struct soft_cpu *cpu, const struct insn *i, unsigned r, s64 delta)
{
	reg_set(cpu, r, i->asize, reg64(cpu, r) + (u64)delta);
}

static u64 source(struct soft_cpu *cpu, const struct insn *i, unsigned size)
{
	u64 offset = masked(i, reg64(cpu, RSI));

	return i->flags & INSN_FLAT ? offset : soft_linear(cpu, i->seg, offset, size, ACCESS_READ);
}

/* The destination is always ES:rDI. */
static u64 destination(struct soft_cpu *cpu, const struct insn *i, unsigned size, enum access access)
{
	u64 offset = masked(i, reg64(cpu, RDI));

	return (cpu->mode & MODE_64) && i->asize == 8 ? offset : soft_linear(cpu, SEG_ES, offset, size, access);
}

static s64 step(const struct soft_cpu *cpu, unsigned size)
{
	return cpu->vcpu.regs.rflags & RFLAGS_DF ? -(s64)size : (s64)size;
}

/* Whether a REP must not go on to its next iteration. The last one is done, even if that one faults. */
static inline bool rep_held(struct soft_cpu *cpu)
{
	probe_settle(&cpu->vcpu.probe);
	return unlikely(cpu->vcpu.kick || cpu->rep_single || cpu->vcpu.regs.pending_db);
}

/* Stops a REP between iterations: the instruction isn't retired and runs on when the vCPU does. */
static void rep_interrupt(struct soft_cpu *cpu)
{
	cpu->retired_not = true;
	soft_end_block(cpu);
}

/* Runs @once until rCX is 0 (or @more says no). */
static void repeat(struct soft_cpu *cpu, const struct insn *i, void (*once)(struct soft_cpu *, const struct insn *),
		   bool compare)
{
	if (!(i->flags & (INSN_REP | INSN_REPNE))) {
		once(cpu, i);
		return;
	}
	while (reg_get(cpu, RCX, i->asize)) {
		once(cpu, i);
		reg_set(cpu, RCX, i->asize, reg_get(cpu, RCX, i->asize) - 1);
		if (compare && flag_zf(&cpu->flags) != !!(i->flags & INSN_REP))
			return;
		if (rep_held(cpu) && reg_get(cpu, RCX, i->asize)) {
			rep_interrupt(cpu);
			return;
		}
	}
}

/* How many whole elements of [la, ...) lie in its page, at most @count. */
static u64 in_page(u64 la, u64 count, unsigned size)
{
	return min64(count, (PAGE_SIZE - (la & PAGE_MASK)) / size);
}

/* Bulk REP MOVS and STOS: whole runs inside a page, by address and count kept in 64-bit registers. Returns when an
 * element is not eligible (page crossing, MMIO, TLB miss, code page) and leaves the rest to repeat(). */
static bool bulk_allowed(const struct soft_cpu *cpu, const struct insn *i)
{
	return (i->flags & INSN_REP) && (i->flags & INSN_FLAT) && !(cpu->vcpu.regs.rflags & RFLAGS_DF) &&
	       !cpu->rep_single;
}

static void bulk_advance(struct soft_cpu *cpu, u64 n, unsigned size, bool source_too)
{
	u64 *g = cpu->vcpu.regs.gpr;

	g[RDI] += n * size;
	if (source_too)
		g[RSI] += n * size;
	g[RCX] -= n;
}

static void bulk_movs(struct soft_cpu *cpu, unsigned size)
{
	u64 *g = cpu->vcpu.regs.gpr;

	while (g[RCX] && !cpu->vcpu.kick) {
		u64 n = in_page(g[RDI], in_page(g[RSI], g[RCX], size), size);
		const u8 *from;
		u8 *to;

		if (!n || !(from = tlb_host(cpu, g[RSI], size, ACCESS_READ)) ||
		    !(to = tlb_host(cpu, g[RDI], size, ACCESS_WRITE)))
			return;
		if (to > from && to < from + n * size) /* overlapping upwards: the pattern repeats */
			return;
		memmove(to, from, n * size);
		bulk_advance(cpu, n, size, true);
	}
}

#define BULK_STOS(bits)                                                                  \
	static void bulk_stos##bits(struct soft_cpu *cpu)                                \
	{                                                                                \
		u64 *g = cpu->vcpu.regs.gpr;                                             \
		u##bits v = (u##bits)g[RAX];                                             \
                                                                                         \
		while (g[RCX] && !cpu->vcpu.kick) {                                      \
			u64 n = in_page(g[RDI], g[RCX], bits / 8);                       \
			u8 *to;                                                          \
                                                                                         \
			if (!n || !(to = tlb_host(cpu, g[RDI], bits / 8, ACCESS_WRITE))) \
				return;                                                  \
			for (u64 k = 0; k < n; k++)                                      \
				memcpy(to + k * (bits / 8), &v, bits / 8);               \
			bulk_advance(cpu, n, bits / 8, false);                           \
		}                                                                        \
	}

BULK_STOS(8)
BULK_STOS(16)
BULK_STOS(32)
BULK_STOS(64)

#define STRINGS(bits)                                                                                    \
	static void movs##bits(struct soft_cpu *cpu, const struct insn *i)                               \
	{                                                                                                \
		u##bits v = la_ld##bits(cpu, source(cpu, i, bits / 8));                                  \
                                                                                                         \
		la_st##bits(cpu, destination(cpu, i, bits / 8, ACCESS_WRITE), v);                        \
		advance(cpu, i, RSI, step(cpu, bits / 8));                                               \
		advance(cpu, i, RDI, step(cpu, bits / 8));                                               \
	}                                                                                                \
	void op_movs##bits(struct soft_cpu *cpu, const struct insn *i)                                   \
	{                                                                                                \
		if (!bulk_allowed(cpu, i)) {                                                             \
			repeat(cpu, i, movs##bits, false);                                               \
			return;                                                                          \
		}                                                                                        \
		bulk_movs(cpu, bits / 8);                                                                \
		while (reg64(cpu, RCX)) {                                                                \
			movs##bits(cpu, i);                                                              \
			set_reg64(cpu, RCX, reg64(cpu, RCX) - 1);                                        \
			if (rep_held(cpu) && reg64(cpu, RCX)) {                                          \
				rep_interrupt(cpu);                                                      \
				return;                                                                  \
			}                                                                                \
			bulk_movs(cpu, bits / 8);                                                        \
		}                                                                                        \
	}                                                                                                \
	static void stos##bits(struct soft_cpu *cpu, const struct insn *i)                               \
	{                                                                                                \
		la_st##bits(cpu, destination(cpu, i, bits / 8, ACCESS_WRITE), (u##bits)reg64(cpu, RAX)); \
		advance(cpu, i, RDI, step(cpu, bits / 8));                                               \
	}                                                                                                \
	void op_stos##bits(struct soft_cpu *cpu, const struct insn *i)                                   \
	{                                                                                                \
		if (!bulk_allowed(cpu, i)) {                                                             \
			repeat(cpu, i, stos##bits, false);                                               \
			return;                                                                          \
		}                                                                                        \
		bulk_stos##bits(cpu);                                                                    \
		while (reg64(cpu, RCX)) {                                                                \
			stos##bits(cpu, i);                                                              \
			set_reg64(cpu, RCX, reg64(cpu, RCX) - 1);                                        \
			if (rep_held(cpu) && reg64(cpu, RCX)) {                                          \
				rep_interrupt(cpu);                                                      \
				return;                                                                  \
			}                                                                                \
			bulk_stos##bits(cpu);                                                            \
		}                                                                                        \
	}                                                                                                \
	static void lods##bits(struct soft_cpu *cpu, const struct insn *i)                               \
	{                                                                                                \
		u##bits v = la_ld##bits(cpu, source(cpu, i, bits / 8));                                  \
                                                                                                         \
		set_reg##bits(cpu, RAX, v);                                                              \
		advance(cpu, i, RSI, step(cpu, bits / 8));                                               \
	}                                                                                                \
	void op_lods##bits(struct soft_cpu *cpu, const struct insn *i)                                   \
	{                                                                                                \
		repeat(cpu, i, lods##bits, false);                                                       \
	}                                                                                                \
	static void cmps##bits(struct soft_cpu *cpu, const struct insn *i)                               \
	{                                                                                                \
		u##bits a = la_ld##bits(cpu, source(cpu, i, bits / 8));                                  \
		u##bits b = la_ld##bits(cpu, destination(cpu, i, bits / 8, ACCESS_READ));                \
                                                                                                         \
		alu_cmp(&cpu->flags, a, b, bits);                                                        \
		advance(cpu, i, RSI, step(cpu, bits / 8));                                               \
		advance(cpu, i, RDI, step(cpu, bits / 8));                                               \
	}                                                                                                \
	void op_cmps##bits(struct soft_cpu *cpu, const struct insn *i)                                   \
	{                                                                                                \
		repeat(cpu, i, cmps##bits, true);                                                        \
	}                                                                                                \
	static void scas##bits(struct soft_cpu *cpu, const struct insn *i)                               \
	{                                                                                                \
		u##bits v = la_ld##bits(cpu, destination(cpu, i, bits / 8, ACCESS_READ));                \
                                                                                                         \
		alu_cmp(&cpu->flags, (u##bits)reg64(cpu, RAX), v, bits);                                 \
		advance(cpu, i, RDI, step(cpu, bits / 8));                                               \
	}                                                                                                \
	void op_scas##bits(struct soft_cpu *cpu, const struct insn *i)                                   \
	{                                                                                                \
		repeat(cpu, i, scas##bits, true);                                                        \
	}

STRINGS(8)
STRINGS(16)
STRINGS(32)
STRINGS(64)

static void ins_once(struct soft_cpu *cpu, const struct insn *i)
{
	unsigned size = io_size(i);
	u64 la = destination(cpu, i, size, ACCESS_WRITE);

	soft_probe_write(cpu, la, size); /* before the device sees the read */
	soft_store(cpu, la, size, soft_port_read(cpu, reg16(cpu, RDX), size));
	advance(cpu, i, RDI, step(cpu, size));
}

static void outs_once(struct soft_cpu *cpu, const struct insn *i)
{
	unsigned size = io_size(i);

	soft_port_write(cpu, reg16(cpu, RDX), size, soft_load(cpu, source(cpu, i, size), size));
	advance(cpu, i, RSI, step(cpu, size));
}

void op_ins(struct soft_cpu *cpu, const struct insn *i)
{
	soft_check_io(cpu, reg16(cpu, RDX), io_size(i));
	repeat(cpu, i, ins_once, false);
}

void op_outs(struct soft_cpu *cpu, const struct insn *i)
{
	soft_check_io(cpu, reg16(cpu, RDX), io_size(i));
	repeat(cpu, i, outs_once, false);
}
