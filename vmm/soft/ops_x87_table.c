/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The opcode tables of D8 to DF (SDM volume 2, appendix A.5). The aliases that the manual leaves out do on hardware
 * what their neighbours of the 8087 do. */
#include "vmm/soft/x87.h"

insn_fn *const x87_mem[8][8] = {
    [0] = {op_farith_f32, op_farith_f32, op_fcom_f32, op_fcomp_f32, op_farith_f32, op_farith_f32, op_farith_f32,
	   op_farith_f32},
    [1] = {op_fld_f32, NULL, op_fst_f32, op_fstp_f32, op_fldenv, op_fldcw, op_fnstenv, op_fnstcw},
    [2] = {op_farith_i32, op_farith_i32, op_fcom_i32, op_fcomp_i32, op_farith_i32, op_farith_i32, op_farith_i32,
	   op_farith_i32},
    [3] = {op_fild_32, op_fisttp_32, op_fist_32, op_fistp_32, NULL, op_fld_f80, NULL, op_fstp_f80},
    [4] = {op_farith_f64, op_farith_f64, op_fcom_f64, op_fcomp_f64, op_farith_f64, op_farith_f64, op_farith_f64,
	   op_farith_f64},
    [5] = {op_fld_f64, op_fisttp_64, op_fst_f64, op_fstp_f64, op_frstor, NULL, op_fnsave, op_fnstsw},
    [6] = {op_farith_i16, op_farith_i16, op_fcom_i16, op_fcomp_i16, op_farith_i16, op_farith_i16, op_farith_i16,
	   op_farith_i16},
    [7] = {op_fild_16, op_fisttp_16, op_fist_16, op_fistp_16, op_fbld, op_fild_64, op_fbstp, op_fistp_64},
};

/* Eight encodings, C0 + 8 * row. */
#define ROW(row, fn) [8 * (row)... 8 * (row) + 7] = (fn)

insn_fn *const x87_reg[8][64] = {
    [0] = {ROW(0, op_farith_st0), ROW(1, op_farith_st0), ROW(2, op_fcom_sti), ROW(3, op_fcomp_sti),
	   ROW(4, op_farith_st0), ROW(5, op_farith_st0), ROW(6, op_farith_st0), ROW(7, op_farith_st0)},
    [1] = {ROW(0, op_fld_sti), ROW(1, op_fxch), [0x10] = op_fnop, ROW(3, op_fstp_nocheck),
	   [0x20] = op_fchs,   op_fabs,         NULL, NULL,        op_ftst,    op_fxam,    NULL,      NULL,
	   [0x28] = op_fld_constant, op_fld_constant, op_fld_constant, op_fld_constant, op_fld_constant,
	   op_fld_constant,          op_fld_constant, NULL,
	   [0x30] = op_f2xm1,  op_fyl2x,        op_fptan, op_fpatan,   op_fxtract, op_fprem1,  op_fdecstp, op_fincstp,
	   [0x38] = op_fprem,  op_fyl2xp1,      op_fsqrt, op_fsincos,  op_frndint, op_fscale,  op_fsin,    op_fcos},
    [2] = {ROW(0, op_fcmov), ROW(1, op_fcmov), ROW(2, op_fcmov), ROW(3, op_fcmov), [0x29] = op_fucompp},
    [3] = {ROW(0, op_fcmov), ROW(1, op_fcmov), ROW(2, op_fcmov), ROW(3, op_fcmov),
	   [0x20] = op_fnop_nowait, op_fnop_nowait, op_fnclex, op_fninit, op_fnop_nowait,
	   ROW(5, op_fucomi), ROW(6, op_fcomi)},
    [4] = {ROW(0, op_farith_sti), ROW(1, op_farith_sti), ROW(2, op_fcom_sti), ROW(3, op_fcomp_sti),
	   ROW(4, op_farith_sti), ROW(5, op_farith_sti), ROW(6, op_farith_sti), ROW(7, op_farith_sti)},
    [5] = {ROW(0, op_ffree), ROW(1, op_fxch), ROW(2, op_fst_sti), ROW(3, op_fstp_sti),
	   ROW(4, op_fucom_sti), ROW(5, op_fucomp_sti)},
    [6] = {ROW(0, op_farith_sti_pop), ROW(1, op_farith_sti_pop), ROW(2, op_fcomp_sti), [0x19] = op_fcompp,
	   ROW(4, op_farith_sti_pop), ROW(5, op_farith_sti_pop), ROW(6, op_farith_sti_pop),
	   ROW(7, op_farith_sti_pop)},
    [7] = {ROW(0, op_ffreep), ROW(1, op_fxch), ROW(2, op_fstp_sti), ROW(3, op_fstp_sti), [0x20] = op_fnstsw_ax,
	   ROW(5, op_fucomip), ROW(6, op_fcomip)},
};
