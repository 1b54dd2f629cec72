/* SPDX-License-Identifier: GPL-2.0-or-later */
/* FXSAVE, FXRSTOR, the XSAVE family, LDMXCSR and STMXCSR (SDM volume 1, 10.5 and chapter 13).
 *
 * There are two state components, x87 and SSE, and both lie in the legacy region, so standard and compacted format
 * differ in the header only. Whether a component is in use follows from its contents, never from a history that
 * another engine wouldn't know. */
#include "vmm/soft/x87.h"

/* The legacy region. */
#define AREA_FIP     8
#define AREA_FDP     16
#define AREA_MXCSR   24
#define AREA_ST      32
#define AREA_XMM     160
#define AREA_XMM8    288
#define AREA_XMM_END 416 /* the rest to 512 is never written */
#define FXSAVE_SIZE  512
/* The header. */
#define AREA_XSTATE_BV 512
#define AREA_XCOMP_BV  520
#define AREA_RESERVED  528
#define XSAVE_SIZE     576

#define XCOMP_COMPACTED BIT(63)

static unsigned xmm_count(const struct soft_cpu *cpu)
{
	return cpu->mode & MODE_64 ? 16 : 8;
}

static unsigned xmm_end(const struct soft_cpu *cpu)
{
	return cpu->mode & MODE_64 ? AREA_XMM_END : AREA_XMM8;
}

static void load_area(struct soft_cpu *cpu, u64 la, void *buf, unsigned len)
{
	const u8 *p = tlb_host(cpu, la, len, ACCESS_READ);

	if (likely(p))
		memcpy(buf, p, len);
	else
		soft_load_bytes(cpu, la, buf, len);
}

static void store_area(struct soft_cpu *cpu, u64 la, const void *buf, unsigned len)
{
	u8 *p = tlb_host(cpu, la, len, ACCESS_WRITE);

	if (likely(p))
		memcpy(p, buf, len);
	else
		soft_store_bytes(cpu, la, buf, len);
}

/* --- images --- */

/* With REX.W the pointers have 64 bits, otherwise 32 and a selector, which is 0. */
static void encode_x87(const struct soft_cpu *cpu, u8 *area, bool wide)
{
	const struct x86_fpu *fpu = &cpu->vcpu.regs.fpu;

	memset(area, 0, AREA_MXCSR);
	store16(area, fpu->fcw);
	store16(area + 2, fpu->fsw);
	area[4] = fpu->ftw;
	store16(area + 6, fpu->fop & 0x7ff);
	if (wide) {
		store64(area + AREA_FIP, fpu->fip);
		store64(area + AREA_FDP, fpu->fdp);
	} else {
		store32(area + AREA_FIP, fpu->fip);
		store16(area + AREA_FIP + 4, fpu->fcs);
		store32(area + AREA_FDP, fpu->fdp);
		store16(area + AREA_FDP + 4, fpu->fds);
	}
	for (unsigned n = 0; n < 8; n++) {
		struct x87_reg r = x87_get(fpu, n);

		store64(area + AREA_ST + 16 * n, r.mant);
		store64(area + AREA_ST + 16 * n + 8, r.se);
	}
}

static void encode_mxcsr(const struct soft_cpu *cpu, u8 *area)
{
	store32(area + AREA_MXCSR, cpu->vcpu.regs.fpu.mxcsr);
	store32(area + AREA_MXCSR + 4, MXCSR_MASK);
}

static void encode_xmm(const struct soft_cpu *cpu, u8 *area)
{
	memcpy(area + AREA_XMM, cpu->vcpu.regs.fpu.xmm, 16 * xmm_count(cpu));
}

static void decode_x87(struct soft_cpu *cpu, const u8 *area, bool wide)
{
	struct x86_fpu *fpu = x87_fpu(cpu);

	fpu->fcw = (load16(area) & X87_FCW_BITS) | 0x40;
	fpu->fsw = load16(area + 2);
	fpu->ftw = area[4];
	fpu->fop = load16(area + 6) & 0x7ff;
	fpu->fip = wide ? load64(area + AREA_FIP) : load32(area + AREA_FIP);
	fpu->fdp = wide ? load64(area + AREA_FDP) : load32(area + AREA_FDP);
	fpu->fcs = fpu->fds = 0;
	for (unsigned n = 0; n < 8; n++) {
		struct x87_reg *r = &fpu->st[x87_phys(fpu, n)];

		r->mant = load64(area + AREA_ST + 16 * n);
		r->se = load16(area + AREA_ST + 16 * n + 8);
	}
	x87_update_summary(fpu);
}

static void decode_xmm(struct soft_cpu *cpu, const u8 *area)
{
	memcpy(x87_fpu(cpu)->xmm, area + AREA_XMM, 16 * xmm_count(cpu));
}

static u32 area_mxcsr(struct soft_cpu *cpu, const u8 *area)
{
	u32 mxcsr = load32(area + AREA_MXCSR);

	if (mxcsr & ~MXCSR_MASK)
		soft_fault_code(cpu, X86_GP, 0);
	return mxcsr;
}

/* --- FXSAVE, FXRSTOR --- */

static u64 fx_address(struct soft_cpu *cpu, const struct insn *i, enum access access)
{
	u64 la;

	if (!cpu->x87_ok)
		soft_no_x87(cpu);
	la = mem_linear(cpu, i, FXSAVE_SIZE, access);
	if (la & 15)
		soft_fault_code(cpu, X86_GP, 0);
	return la;
}

/* Doesn't wait for pending exceptions, and saves SSE state whatever CR4.OSFXSR says (left open by the SDM). */
void op_fxsave(struct soft_cpu *cpu, const struct insn *i)
{
	u64 la = fx_address(cpu, i, ACCESS_WRITE);
	u8 area[FXSAVE_SIZE];

	encode_x87(cpu, area, i->osize == 8);
	encode_mxcsr(cpu, area);
	encode_xmm(cpu, area);
	soft_probe_write(cpu, la, FXSAVE_SIZE);
	store_area(cpu, la, area, xmm_end(cpu));
}

void op_fxrstor(struct soft_cpu *cpu, const struct insn *i)
{
	u64 la = fx_address(cpu, i, ACCESS_READ);
	u8 area[FXSAVE_SIZE];
	u32 mxcsr;

	load_area(cpu, la, area, sizeof(area));
	mxcsr = area_mxcsr(cpu, area);
	decode_x87(cpu, area, i->osize == 8);
	x87_fpu(cpu)->mxcsr = mxcsr;
	decode_xmm(cpu, area);
}

void op_ldmxcsr(struct soft_cpu *cpu, const struct insn *i)
{
	u32 mxcsr;

	if (!cpu->sse_ok)
		soft_no_sse(cpu);
	mxcsr = mem_ld32(cpu, i);
	if (mxcsr & ~MXCSR_MASK)
		soft_fault_code(cpu, X86_GP, 0);
	x87_fpu(cpu)->mxcsr = mxcsr;
}

void op_stmxcsr(struct soft_cpu *cpu, const struct insn *i)
{
	if (!cpu->sse_ok)
		soft_no_sse(cpu);
	mem_st32(cpu, i, x87_fpu(cpu)->mxcsr);
}

/* --- the XSAVE family --- */

static bool x87_in_use(const struct x86_fpu *fpu)
{
	if (fpu->fcw != X87_FCW_INIT || fpu->fsw || fpu->ftw || fpu->fop || fpu->fip || fpu->fdp || fpu->fcs ||
	    fpu->fds)
		return true;
	for (unsigned n = 0; n < 8; n++)
		if (fpu->st[n].mant || fpu->st[n].se)
			return true;
	return false;
}

static bool xmm_in_use(const struct soft_cpu *cpu)
{
	u64 any = 0;

	for (unsigned n = 0; n < xmm_count(cpu); n++)
		any |= load64(cpu->vcpu.regs.fpu.xmm[n]) | load64(cpu->vcpu.regs.fpu.xmm[n] + 8);
	return any;
}

u64 soft_xinuse(const struct soft_cpu *cpu)
{
	return (x87_in_use(&cpu->vcpu.regs.fpu) ? XCR0_X87 : 0) | (xmm_in_use(cpu) ? XCR0_SSE : 0);
}

static u64 xsave_address(struct soft_cpu *cpu, const struct insn *i, bool supervisor, enum access access)
{
	const struct x86_state *s = &cpu->vcpu.regs;
	u64 la;

	if (!(s->cr4 & CR4_OSXSAVE))
		soft_fault(cpu, X86_UD);
	if (supervisor && cpu->cpl)
		soft_fault_code(cpu, X86_GP, 0);
	if (s->cr0 & CR0_TS)
		soft_fault(cpu, X86_NM);
	la = mem_linear(cpu, i, XSAVE_SIZE, access);
	if (la & 63)
		soft_fault_code(cpu, X86_GP, 0);
	return la;
}

static u64 requested(const struct soft_cpu *cpu, u64 components)
{
	return components & ((u64)reg32(cpu, RDX) << 32 | reg32(cpu, RAX));
}

/* Writes the components in @save, MXCSR apart since its rules differ, and the header's first @header bytes from
 * @area. Probed as a whole, then written in runs of adjacent bytes. */
static void write_area(struct soft_cpu *cpu, const struct insn *i, u64 la, u8 *area, u64 save, bool mxcsr,
		       unsigned header)
{
	struct {
		unsigned start, end;
		bool wanted;
	} part[] = {
	    {0, AREA_MXCSR, save & XCR0_X87},
	    {AREA_MXCSR, AREA_ST, mxcsr},
	    {AREA_ST, AREA_XMM, save & XCR0_X87},
	    {AREA_XMM, xmm_end(cpu), save & XCR0_SSE},
	    {AREA_XSTATE_BV, AREA_XSTATE_BV + header, true},
	};

	if (save & XCR0_X87)
		encode_x87(cpu, area, i->osize == 8);
	if (mxcsr)
		encode_mxcsr(cpu, area);
	if (save & XCR0_SSE)
		encode_xmm(cpu, area);
	soft_probe_write(cpu, la, XSAVE_SIZE);
	for (unsigned n = 0; n < ARRAY_SIZE(part); n++) {
		unsigned start = part[n].start;

		if (!part[n].wanted)
			continue;
		while (n + 1 < ARRAY_SIZE(part) && part[n + 1].wanted && part[n + 1].start == part[n].end)
			n++;
		store_area(cpu, la + start, area + start, part[n].end - start);
	}
}

/* XSAVE, and with @optimize XSAVEOPT: what is not in use is not written, but MXCSR is. */
static void save_standard(struct soft_cpu *cpu, const struct insn *i, bool optimize)
{
	u64 la = xsave_address(cpu, i, false, ACCESS_WRITE);
	u64 rfbm = requested(cpu, cpu->vcpu.regs.xcr0), in_use = soft_xinuse(cpu);
	u8 area[XSAVE_SIZE];
	u64 xstate_bv;

	load_area(cpu, la + AREA_XSTATE_BV, area + AREA_XSTATE_BV, 8);
	xstate_bv = load64(area + AREA_XSTATE_BV);
	store64(area + AREA_XSTATE_BV, (xstate_bv & ~rfbm) | (in_use & rfbm));
	write_area(cpu, i, la, area, optimize ? rfbm & in_use : rfbm, rfbm & XCR0_SSE, 8);
}

void op_xsave(struct soft_cpu *cpu, const struct insn *i)
{
	save_standard(cpu, i, false);
}

void op_xsaveopt(struct soft_cpu *cpu, const struct insn *i)
{
	save_standard(cpu, i, true);
}

/* XSAVEC and XSAVES: MXCSR belongs to SSE, which counts as in use too when MXCSR is not 1F80h. */
static void save_compacted(struct soft_cpu *cpu, const struct insn *i, bool supervisor)
{
	const struct x86_state *s = &cpu->vcpu.regs;
	u64 la = xsave_address(cpu, i, supervisor, ACCESS_WRITE);
	u64 rfbm = requested(cpu, s->xcr0 | (supervisor ? s->xss : 0));
	u64 in_use = soft_xinuse(cpu) | (s->fpu.mxcsr != MXCSR_INIT ? XCR0_SSE : 0);
	u8 area[XSAVE_SIZE];

	store64(area + AREA_XSTATE_BV, rfbm & in_use);
	store64(area + AREA_XCOMP_BV, rfbm | XCOMP_COMPACTED);
	write_area(cpu, i, la, area, rfbm & in_use, rfbm & in_use & XCR0_SSE, 16);
}

void op_xsavec(struct soft_cpu *cpu, const struct insn *i)
{
	save_compacted(cpu, i, false);
}

void op_xsaves(struct soft_cpu *cpu, const struct insn *i)
{
	save_compacted(cpu, i, true);
}

static bool all_zero(const u8 *p, unsigned len)
{
	u8 any = 0;

	while (len--)
		any |= *p++;
	return !any;
}

/* What XRSTOR and XRSTORS refuse; @available: XCR0, for XRSTORS with XSS. */
static bool header_valid(const u8 *area, u64 available, bool compacted)
{
	u64 xstate_bv = load64(area + AREA_XSTATE_BV), xcomp_bv = load64(area + AREA_XCOMP_BV);

	if (!compacted)
		return !(xstate_bv & ~available) && all_zero(area + AREA_XCOMP_BV, 16);
	return (xcomp_bv & XCOMP_COMPACTED) && !(xcomp_bv & ~XCOMP_COMPACTED & ~available) &&
	       !(xstate_bv & (~xcomp_bv | XCOMP_COMPACTED)) && all_zero(area + AREA_RESERVED, 48);
}

static void init_x87(struct x86_fpu *fpu)
{
	x87_init(fpu);
	for (unsigned n = 0; n < 8; n++) {
		fpu->st[n].mant = 0;
		fpu->st[n].se = 0;
	}
}

static void restore(struct soft_cpu *cpu, const struct insn *i, bool supervisor)
{
	const struct x86_state *s = &cpu->vcpu.regs;
	struct x86_fpu *fpu = x87_fpu(cpu);
	u64 la = xsave_address(cpu, i, supervisor, ACCESS_READ);
	u64 available = s->xcr0 | (supervisor ? s->xss : 0);
	u64 rfbm = requested(cpu, available), xstate_bv;
	u32 mxcsr = fpu->mxcsr;
	u8 area[XSAVE_SIZE];
	bool compacted;

	load_area(cpu, la + AREA_XSTATE_BV, area + AREA_XSTATE_BV, XSAVE_SIZE - AREA_XSTATE_BV);
	compacted = supervisor || load64(area + AREA_XCOMP_BV) & XCOMP_COMPACTED;
	if (!header_valid(area, available, compacted))
		soft_fault_code(cpu, X86_GP, 0);
	xstate_bv = load64(area + AREA_XSTATE_BV);
	load_area(cpu, la, area, FXSAVE_SIZE);
	/* The standard form loads MXCSR even when SSE is to be initialized. */
	if (rfbm & XCR0_SSE)
		mxcsr = compacted && !(xstate_bv & XCR0_SSE) ? MXCSR_INIT : area_mxcsr(cpu, area);

	if (rfbm & xstate_bv & XCR0_X87)
		decode_x87(cpu, area, i->osize == 8);
	else if (rfbm & XCR0_X87)
		init_x87(fpu);
	if (rfbm & xstate_bv & XCR0_SSE)
		decode_xmm(cpu, area);
	else if (rfbm & XCR0_SSE)
		memset(fpu->xmm, 0, 16 * xmm_count(cpu));
	fpu->mxcsr = mxcsr;
}

void op_xrstor(struct soft_cpu *cpu, const struct insn *i)
{
	restore(cpu, i, false);
}

void op_xrstors(struct soft_cpu *cpu, const struct insn *i)
{
	restore(cpu, i, true);
}
