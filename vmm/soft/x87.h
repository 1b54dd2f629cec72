/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The x87 register stack and its exceptions, for the handlers in ops_x87_*.c and for MMX.
 *
 * Course of a handler: x87_begin() (#NM, then a pending #MF); load the memory operand; compute with the functions of
 * x87_float.h and x87_math.h into locals; store to memory; x87_note*(); x87_raise() and the register changes. All
 * that can fault comes before the first change. */
#ifndef VMM_SOFT_X87_H
#define VMM_SOFT_X87_H

#include "vmm/soft/cpu.h"
#include "vmm/soft/ops.h"
#include "vmm/soft/x87_float.h"

#define X87_FCW_INIT 0x037fu
#define X87_FCW_BITS 0x1f7fu /* what can be loaded; bit 6 always reads 1 */
#define MXCSR_INIT   0x1f80u
#define MXCSR_MASK   0xffffu /* with DAZ */

static inline struct x86_fpu *x87_fpu(struct soft_cpu *cpu)
{
	return &cpu->vcpu.regs.fpu;
}

/* #MF when an unmasked exception is pending: for every waiting x87 instruction and every MMX instruction, after the
 * check for #UD and #NM and before any memory access. */
static inline void x87_check_pending(struct soft_cpu *cpu)
{
	if (unlikely(x87_fpu(cpu)->fsw & X87_ES))
		soft_fault(cpu, X86_MF);
}

static inline void x87_begin_nowait(struct soft_cpu *cpu)
{
	if (unlikely(!cpu->x87_ok))
		soft_no_x87(cpu);
}

static inline void x87_begin(struct soft_cpu *cpu)
{
	x87_begin_nowait(cpu);
	x87_check_pending(cpu);
}

/* --- the stack --- */

static inline unsigned x87_top(const struct x86_fpu *fpu)
{
	return fpu->fsw >> 11 & 7;
}

static inline void x87_set_top(struct x86_fpu *fpu, unsigned top)
{
	fpu->fsw = (fpu->fsw & ~X87_TOP) | (top & 7) << 11;
}

static inline unsigned x87_phys(const struct x86_fpu *fpu, unsigned n)
{
	return (x87_top(fpu) + n) & 7;
}

static inline bool x87_empty(const struct x86_fpu *fpu, unsigned n)
{
	return !(fpu->ftw >> x87_phys(fpu, n) & 1);
}

static inline struct x87_reg x87_get(const struct x86_fpu *fpu, unsigned n)
{
	return fpu->st[x87_phys(fpu, n)];
}

static inline void x87_set(struct x86_fpu *fpu, unsigned n, struct x87_reg r)
{
	unsigned p = x87_phys(fpu, n);

	fpu->st[p].mant = r.mant;
	fpu->st[p].se = r.se;
	fpu->ftw |= 1u << p;
}

static inline void x87_free(struct x86_fpu *fpu, unsigned n)
{
	fpu->ftw &= ~(1u << x87_phys(fpu, n));
}

static inline void x87_pop(struct x86_fpu *fpu)
{
	x87_free(fpu, 0);
	x87_set_top(fpu, x87_top(fpu) + 1);
}

static inline void x87_push(struct x86_fpu *fpu, struct x87_reg r)
{
	x87_set_top(fpu, x87_top(fpu) - 1);
	x87_set(fpu, 0, r);
}

static inline struct f80_num x87_num(const struct x86_fpu *fpu, unsigned n)
{
	return f80_unpack(x87_get(fpu, n));
}

static inline struct f80_env x87_env(const struct x86_fpu *fpu)
{
	return (struct f80_env){.fcw = fpu->fcw};
}

/* --- exceptions --- */

/* ES and B follow from flags and masks. */
static inline void x87_update_summary(struct x86_fpu *fpu)
{
	if (fpu->fsw & ~fpu->fcw & X87_EXC)
		fpu->fsw |= X87_ES | X87_B;
	else
		fpu->fsw &= ~(X87_ES | X87_B);
}

/* The last instruction pointers of a non-control instruction. FCS and FDS stay 0 (CPUID.7.EBX bit 13), and FOP is
 * entered by unmasked exceptions only (SDM volume 1, 8.1.9.1). */
static inline void x87_note(struct soft_cpu *cpu, const struct insn *i)
{
	x87_fpu(cpu)->fip = insn_rip(cpu, i);
}

static inline void x87_note_mem(struct soft_cpu *cpu, const struct insn *i)
{
	x87_note(cpu, i);
	x87_fpu(cpu)->fdp = mem_offset(cpu, i);
}

/* Enters @raised (exceptions, SF, C1) into the status word, C1 cleared when not in it. True: an exception of those in
 * @stop is unmasked and the instruction's result must not appear. */
static inline bool x87_raise_stop(struct soft_cpu *cpu, const struct insn *i, u16 raised, u16 stop)
{
	struct x86_fpu *fpu = x87_fpu(cpu);
	u16 unmasked = raised & ~fpu->fcw & X87_EXC;

	fpu->fsw = (fpu->fsw & ~X87_C1) | raised;
	if (likely(!unmasked))
		return false;
	fpu->fsw |= X87_ES | X87_B;
	fpu->fop = i->aux & 0x7ff;
	return unmasked & stop;
}

static inline bool x87_raise(struct soft_cpu *cpu, const struct insn *i, u16 raised)
{
	return x87_raise_stop(cpu, i, raised, X87_PRE_EXC);
}

#define X87_UNDERFLOW (X87_IE | X87_SF)          /* of the stack */
#define X87_OVERFLOW  (X87_IE | X87_SF | X87_C1) /* of the stack */

/* Whether @raised has an unmasked exception that suppresses a store to memory. */
static inline bool x87_store_stops(const struct x86_fpu *fpu, u16 raised)
{
	return raised & ~fpu->fcw & (X87_PRE_EXC | X87_OE | X87_UE);
}

/* Power-up of FNINIT: control, status, tags and pointers; the registers keep their bits. */
static inline void x87_init(struct x86_fpu *fpu)
{
	fpu->fcw = X87_FCW_INIT;
	fpu->fsw = 0;
	fpu->ftw = 0;
	fpu->fop = 0;
	fpu->fip = fpu->fdp = 0;
	fpu->fcs = fpu->fds = 0;
}

/* XINUSE for the components of XCR0: those that differ from their initial state (SDM volume 1, 13.6). */
u64 soft_xinuse(const struct soft_cpu *cpu);

/* --- MMX --- */

/* Every MMX instruction but EMMS, once nothing can fault any more: TOP = 0 and all tags valid. Call
 * x87_check_pending() before its memory access. */
static inline void x87_enter_mmx(struct soft_cpu *cpu)
{
	struct x86_fpu *fpu = x87_fpu(cpu);

	fpu->fsw &= ~X87_TOP;
	fpu->ftw = 0xff;
}

/* Writing an MMX register sets sign and exponent of the x87 register it is. */
static inline void x87_set_mmx(struct soft_cpu *cpu, unsigned n, u64 v)
{
	struct x86_fpu *fpu = x87_fpu(cpu);

	fpu->st[n & 7].mant = v;
	fpu->st[n & 7].se = 0xffff;
}

/* EMMS: all tags empty. TOP becomes 0 as after every MMX instruction. */
static inline void x87_leave_mmx(struct soft_cpu *cpu)
{
	struct x86_fpu *fpu = x87_fpu(cpu);

	fpu->fsw &= ~X87_TOP;
	fpu->ftw = 0;
}

/* --- between the ops_x87_*.c files and the tables in ops_x87_table.c --- */

insn_fn op_fld_sti, op_fld_f32, op_fld_f64, op_fld_f80, op_fild_16, op_fild_32, op_fild_64, op_fbld;
insn_fn op_fst_sti, op_fstp_sti, op_fstp_nocheck, op_fst_f32, op_fstp_f32, op_fst_f64, op_fstp_f64, op_fstp_f80;
insn_fn op_fist_16, op_fistp_16, op_fist_32, op_fistp_32, op_fistp_64;
insn_fn op_fisttp_16, op_fisttp_32, op_fisttp_64, op_fbstp;
insn_fn op_fxch, op_ffree, op_ffreep, op_fcmov, op_fld_constant;
insn_fn op_farith_st0, op_farith_sti, op_farith_sti_pop;
insn_fn op_farith_f32, op_farith_f64, op_farith_i32, op_farith_i16;
insn_fn op_fchs, op_fabs, op_fsqrt, op_frndint, op_fscale, op_fprem, op_fprem1, op_fxtract;
insn_fn op_fcom_sti, op_fcomp_sti, op_fcompp, op_fucom_sti, op_fucomp_sti, op_fucompp;
insn_fn op_fcomi, op_fcomip, op_fucomi, op_fucomip;
insn_fn op_fcom_f32, op_fcomp_f32, op_fcom_f64, op_fcomp_f64;
insn_fn op_fcom_i32, op_fcomp_i32, op_fcom_i16, op_fcomp_i16, op_ftst, op_fxam;
insn_fn op_f2xm1, op_fyl2x, op_fyl2xp1, op_fptan, op_fpatan, op_fsin, op_fcos, op_fsincos;
insn_fn op_fldcw, op_fnstcw, op_fnstsw, op_fnstsw_ax, op_fldenv, op_fnstenv, op_frstor, op_fnsave;
insn_fn op_fninit, op_fnclex, op_fnop, op_fnop_nowait, op_fincstp, op_fdecstp;

#endif
