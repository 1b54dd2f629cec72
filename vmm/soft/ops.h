/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Instruction handlers, by the file that defines them; the opcode tables name them. */
#ifndef VMM_SOFT_OPS_H
#define VMM_SOFT_OPS_H

#include "vmm/soft/decode.h"

/* ops_alu.c */
#define DECLARE_ALU2(name)                                                                                            \
	insn_fn op_##name##8_rr, op_##name##8_gr, op_##name##8_gm, op_##name##8_mr, op_##name##8_ri, op_##name##8_mi; \
	insn_fn op_##name##16_rr, op_##name##16_gr, op_##name##16_gm, op_##name##16_mr, op_##name##16_ri,             \
	    op_##name##16_mi;                                                                                         \
	insn_fn op_##name##32_rr, op_##name##32_gr, op_##name##32_gm, op_##name##32_mr, op_##name##32_ri,             \
	    op_##name##32_mi;                                                                                         \
	insn_fn op_##name##64_rr, op_##name##64_gr, op_##name##64_gm, op_##name##64_mr, op_##name##64_ri,             \
	    op_##name##64_mi
#define DECLARE_SIZES(name, form) \
	insn_fn op_##name##8_##form, op_##name##16_##form, op_##name##32_##form, op_##name##64_##form
#define DECLARE_RM(name)        \
	DECLARE_SIZES(name, r); \
	DECLARE_SIZES(name, m)

DECLARE_ALU2(add);
DECLARE_ALU2(or);
DECLARE_ALU2(adc);
DECLARE_ALU2(sbb);
DECLARE_ALU2(and);
DECLARE_ALU2(sub);
DECLARE_ALU2(xor);
DECLARE_ALU2(cmp);
DECLARE_ALU2(test);
DECLARE_ALU2(mov);
DECLARE_RM(inc);
DECLARE_RM(dec);
DECLARE_RM(neg);
DECLARE_RM(not );
DECLARE_SIZES(xchg, rr);
DECLARE_SIZES(xchg, mr);
DECLARE_SIZES(xadd, rr);
DECLARE_SIZES(xadd, mr);
DECLARE_SIZES(cmpxchg, rr);
DECLARE_SIZES(cmpxchg, mr);
#define DECLARE_EXTEND(name, from)                                                            \
	insn_fn op_##name##16_##from##_r, op_##name##16_##from##_m, op_##name##32_##from##_r, \
	    op_##name##32_##from##_m, op_##name##64_##from##_r, op_##name##64_##from##_m
DECLARE_EXTEND(movzx, 8);
DECLARE_EXTEND(movzx, 16);
DECLARE_EXTEND(movsx, 8);
DECLARE_EXTEND(movsx, 16);
DECLARE_EXTEND(movsx, 32);
insn_fn op_lea16, op_lea32, op_lea64;
insn_fn op_cmov16_r, op_cmov16_m, op_cmov32_r, op_cmov32_m, op_cmov64_r, op_cmov64_m;
insn_fn op_setcc_r, op_setcc_m, op_nop, op_xlat;
insn_fn op_cbw16, op_cbw32, op_cbw64, op_cwd16, op_cwd32, op_cwd64;
insn_fn op_bswap16, op_bswap32, op_bswap64;
insn_fn op_movbe16_gm, op_movbe32_gm, op_movbe64_gm, op_movbe16_mr, op_movbe32_mr, op_movbe64_mr;
insn_fn op_cmpxchg8b, op_cmpxchg16b;

/* ops_shift.c: _ri and _mi by immediate (1 included), _rc and _mc by CL */
#define DECLARE_SHIFT(name)      \
	DECLARE_SIZES(name, ri); \
	DECLARE_SIZES(name, mi); \
	DECLARE_SIZES(name, rc); \
	DECLARE_SIZES(name, mc)
DECLARE_SHIFT(rol);
DECLARE_SHIFT(ror);
DECLARE_SHIFT(rcl);
DECLARE_SHIFT(rcr);
DECLARE_SHIFT(shl);
DECLARE_SHIFT(shr);
DECLARE_SHIFT(sar);
#define DECLARE_DOUBLE_SHIFT(name)                                                      \
	insn_fn op_##name##16_ri, op_##name##16_mi, op_##name##16_rc, op_##name##16_mc; \
	insn_fn op_##name##32_ri, op_##name##32_mi, op_##name##32_rc, op_##name##32_mc; \
	insn_fn op_##name##64_ri, op_##name##64_mi, op_##name##64_rc, op_##name##64_mc
DECLARE_DOUBLE_SHIFT(shld);
DECLARE_DOUBLE_SHIFT(shrd);

/* ops_muldiv.c */
DECLARE_RM(mul);
DECLARE_RM(imul);
DECLARE_RM(div);
DECLARE_RM(idiv);
insn_fn op_imul16_gr, op_imul16_gm, op_imul16_gri, op_imul16_gmi;
insn_fn op_imul32_gr, op_imul32_gm, op_imul32_gri, op_imul32_gmi;
insn_fn op_imul64_gr, op_imul64_gm, op_imul64_gri, op_imul64_gmi;
insn_fn op_daa, op_das, op_aaa, op_aas, op_aam, op_aad, op_salc;

/* ops_bit.c */
#define DECLARE_BT(name)                                                                \
	insn_fn op_##name##16_rr, op_##name##16_mr, op_##name##16_ri, op_##name##16_mi; \
	insn_fn op_##name##32_rr, op_##name##32_mr, op_##name##32_ri, op_##name##32_mi; \
	insn_fn op_##name##64_rr, op_##name##64_mr, op_##name##64_ri, op_##name##64_mi
DECLARE_BT(bt);
DECLARE_BT(bts);
DECLARE_BT(btr);
DECLARE_BT(btc);
#define DECLARE_SCAN(name)                                                                                \
	insn_fn op_##name##16_gr, op_##name##16_gm, op_##name##32_gr, op_##name##32_gm, op_##name##64_gr, \
	    op_##name##64_gm
DECLARE_SCAN(bsf);
DECLARE_SCAN(bsr);
DECLARE_SCAN(popcnt);
insn_fn op_crc32_8_r, op_crc32_8_m, op_crc32_16_r, op_crc32_16_m, op_crc32_32_r, op_crc32_32_m, op_crc32_64_r,
    op_crc32_64_m;

/* ops_stack.c: by operand size; _s segment registers */
insn_fn op_push16_r, op_push32_r, op_push64_r, op_push16_m, op_push32_m, op_push64_m, op_push16_i, op_push32_i,
    op_push64_i;
insn_fn op_pop16_r, op_pop32_r, op_pop64_r, op_pop16_m, op_pop32_m, op_pop64_m;
insn_fn op_push_seg, op_pop_seg, op_pusha, op_popa, op_pushf, op_popf, op_enter, op_leave;
insn_fn op_lahf, op_sahf;

/* ops_branch.c */
insn_fn op_jmp_rel, op_jmp16_r, op_jmp32_r, op_jmp64_r, op_jmp16_m, op_jmp32_m, op_jmp64_m;
insn_fn op_call_rel, op_call16_r, op_call32_r, op_call64_r, op_call16_m, op_call32_m, op_call64_m, op_call64_rel;
insn_fn op_ret, op_ret_i, op_ret64, op_jcxz, op_loop, op_loope, op_loopne;
insn_fn op_jcc_0, op_jcc_1, op_jcc_2, op_jcc_3, op_jcc_4, op_jcc_5, op_jcc_6, op_jcc_7;
insn_fn op_jcc_8, op_jcc_9, op_jcc_10, op_jcc_11, op_jcc_12, op_jcc_13, op_jcc_14, op_jcc_15;

/* ops_far.c */
insn_fn op_jmp_far_i, op_jmp_far_m, op_call_far_i, op_call_far_m, op_ret_far, op_iret, op_int3, op_int_n, op_into,
    op_int1;
insn_fn op_syscall, op_sysret, op_sysenter, op_sysexit;
insn_fn op_mov_seg_r, op_mov_seg_m, op_mov_r_seg, op_mov_m_seg, op_load_far_ptr;

/* ops_string.c */
#define DECLARE_STRING(name) insn_fn op_##name##8, op_##name##16, op_##name##32, op_##name##64
DECLARE_STRING(movs);
DECLARE_STRING(stos);
DECLARE_STRING(lods);
DECLARE_STRING(cmps);
DECLARE_STRING(scas);
insn_fn op_ins, op_outs;

/* ops_io.c */
insn_fn op_in_i, op_in_dx, op_out_i, op_out_dx;

/* ops_system.c */
insn_fn op_hlt, op_cli, op_sti, op_cld, op_std, op_clc, op_stc, op_cmc, op_clts, op_cpuid, op_rdtsc, op_rdtscp,
    op_rdpmc;
insn_fn op_rdmsr, op_wrmsr, op_mov_r_cr, op_mov_cr_r, op_mov_r_dr, op_mov_dr_r, op_smsw_r, op_smsw_m, op_lmsw_r,
    op_lmsw_m;
insn_fn op_invd, op_wbinvd, op_invlpg, op_invpcid, op_swapgs, op_clac, op_stac, op_xgetbv, op_xsetbv;
insn_fn op_rdfsbase, op_rdgsbase, op_wrfsbase, op_wrgsbase, op_ud2, op_clflush;

/* ops_table.c: descriptor tables and descriptor tests */
insn_fn op_sgdt, op_sidt, op_lgdt, op_lidt, op_sldt_r, op_sldt_m, op_str_r, op_str_m, op_lldt_r, op_lldt_m, op_ltr_r,
    op_ltr_m;
insn_fn op_verr_r, op_verr_m, op_verw_r, op_verw_m, op_lar_r, op_lar_m, op_lsl_r, op_lsl_m, op_arpl_r, op_arpl_m;
insn_fn op_bound16, op_bound32;
/* 63: MOVSXD in 64-bit mode, ARPL elsewhere */
insn_fn op_movsxd_arpl16_r, op_movsxd_arpl32_r, op_movsxd_arpl16_m, op_movsxd_arpl32_m;
/* 90: XCHG only with REX.B */
insn_fn op_nop_or_xchg16, op_nop_or_xchg32, op_nop_or_xchg64;

/* ops_fxstate.c: memory forms of 0F AE and 0F C7 that move FPU and SSE state */
insn_fn op_fxsave, op_fxrstor, op_ldmxcsr, op_stmxcsr;
insn_fn op_xsave, op_xrstor, op_xsaveopt, op_xsavec, op_xsaves, op_xrstors;
/* ops_x87 files */
insn_fn op_fwait;

#endif
