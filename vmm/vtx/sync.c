// SPDX-License-Identifier: GPL-2.0-or-later
/* Registers between struct x86_state and the module's layout. What only the engine changes (control registers but CR2 and
 * CR3, debug registers, most MSRs) goes out and isn't read back. */
#include "vmm/vtx/vtx.h"

/* FXSAVE64 image (SDM 1, table 10-2). */
#define FX_FOP   6
#define FX_FIP   8
#define FX_FDP   16
#define FX_MXCSR 24
#define FX_ST    32
#define FX_XMM   160

static unsigned top(const struct x86_fpu *fpu)
{
	return fpu->fsw >> 11 & 7;
}

static void fpu_out(u8 *fx, const struct x86_fpu *fpu)
{
	memset(fx, 0, 512);
	store16(fx, fpu->fcw);
	store16(fx + 2, fpu->fsw);
	fx[4] = fpu->ftw;
	store16(fx + FX_FOP, fpu->fop);
	store64(fx + FX_FIP, fpu->fip);
	store64(fx + FX_FDP, fpu->fdp);
	store32(fx + FX_MXCSR, fpu->mxcsr);
	for (unsigned n = 0; n < 8; n++) {
		const struct x87_reg *st = &fpu->st[(top(fpu) + n) & 7];

		store64(fx + FX_ST + 16 * n, st->mant);
		store16(fx + FX_ST + 16 * n + 8, st->se);
	}
	memcpy(fx + FX_XMM, fpu->xmm, sizeof(fpu->xmm));
}

static void fpu_in(struct x86_fpu *fpu, const u8 *fx)
{
	fpu->fcw = load16(fx);
	fpu->fsw = load16(fx + 2);
	fpu->ftw = fx[4];
	fpu->fop = load16(fx + FX_FOP) & 0x7ff;
	fpu->fip = load64(fx + FX_FIP);
	fpu->fdp = load64(fx + FX_FDP);
	fpu->mxcsr = load32(fx + FX_MXCSR);
	for (unsigned n = 0; n < 8; n++) {
		struct x87_reg *st = &fpu->st[(top(fpu) + n) & 7];

		st->mant = load64(fx + FX_ST + 16 * n);
		st->se = load16(fx + FX_ST + 16 * n + 8);
	}
	memcpy(fpu->xmm, fx + FX_XMM, sizeof(fpu->xmm));
}

static struct vmdbg_table table_out(const struct x86_table *t)
{
	return (struct vmdbg_table){.base = t->base, .limit = t->limit};
}

void vtx_regs_out(struct vmdbg_regs *r, const struct x86_state *s)
{
	memcpy(r->gpr, s->gpr, sizeof(r->gpr));
	r->rip = s->rip;
	r->rflags = s->rflags;
	for (unsigned n = 0; n < SEG_ALL; n++)
		r->seg[n] = (struct vmdbg_segment){
		    .base = s->seg[n].base,
		    .limit = s->seg[n].limit,
		    .ar = s->seg[n].ar,
		    .selector = s->seg[n].selector,
		};
	r->gdtr = table_out(&s->gdtr);
	r->idtr = table_out(&s->idtr);
	r->cr0 = s->cr0;
	r->cr2 = s->cr2;
	r->cr3 = s->cr3;
	r->cr4 = s->cr4;
	r->efer = s->efer;
	r->xcr0 = s->xcr0;
	memcpy(r->pdpte, s->pdpte, sizeof(r->pdpte));
	memcpy(r->dr, s->dr, sizeof(r->dr));
	r->dr7 = s->dr7;
	r->star = s->star;
	r->lstar = s->lstar;
	r->sfmask = s->sfmask;
	r->kernel_gs_base = s->kernel_gs_base;
	r->sysenter_cs = s->sysenter_cs;
	r->sysenter_esp = s->sysenter_esp;
	r->sysenter_eip = s->sysenter_eip;
	r->pat = s->pat;
	r->interruptibility = s->interruptibility;
	fpu_out(r->fxsave, &s->fpu);
}

void vtx_regs_in(struct x86_state *s, const struct vmdbg_regs *r)
{
	memcpy(s->gpr, r->gpr, sizeof(r->gpr));
	s->rip = r->rip;
	s->rflags = r->rflags;
	for (unsigned n = 0; n < SEG_ALL; n++) {
		u32 ar = r->seg[n].ar;

		/* In real mode loading CS leaves its rights alone; processors differ in what they show (Bochs: data). */
		if (n == SEG_CS && !(s->cr0 & CR0_PE))
			ar = s->seg[SEG_CS].ar;

		/* Of a segment that can't be used only this means something; SS keeps the CPL. */
		if (ar & AR_UNUSABLE)
			ar &= AR_UNUSABLE | (n == SEG_SS ? AR_DPL : 0);
		s->seg[n] = (struct x86_segment){
		    .base = r->seg[n].base,
		    .limit = r->seg[n].limit,
		    .ar = ar,
		    .selector = r->seg[n].selector,
		};
	}
	/* A null LDTR has nothing else, wherever hardware leaves what it had. */
	if (s->seg[SEG_LDTR].ar & AR_UNUSABLE)
		s->seg[SEG_LDTR].base = s->seg[SEG_LDTR].limit = 0;
	s->gdtr = (struct x86_table){.base = r->gdtr.base, .limit = r->gdtr.limit};
	s->idtr = (struct x86_table){.base = r->idtr.base, .limit = r->idtr.limit};
	s->cr2 = r->cr2;
	s->cr3 = r->cr3;
	if ((s->cr0 & CR0_PG) && (s->cr4 & CR4_PAE) && !(s->efer & EFER_LMA))
		memcpy(s->pdpte, r->pdpte, sizeof(s->pdpte));
	s->kernel_gs_base = r->kernel_gs_base;
	s->interruptibility = r->interruptibility;
	fpu_in(&s->fpu, r->fxsave);
}
