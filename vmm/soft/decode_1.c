// SPDX-License-Identifier: GPL-2.0-or-later
/* The one-byte opcode map (SDM volume 2, appendix A, table A-2). */
#include "vmm/soft/ops.h"

/* Three operand sizes of one form; and the same function for bytes. */
#define V(name, form)                                                            \
	{                                                                        \
		op_##name##16_##form, op_##name##32_##form, op_##name##64_##form \
	}
#define B(name, form) FN3(op_##name##8_##form)
#define SIZES(name)                                         \
	{                                                   \
		op_##name##16, op_##name##32, op_##name##64 \
	}

/* The six encodings of ADD and its siblings, from opcode @o on. */
#define ALU_ROW(o, name, lock)                                                                    \
	[o + 0] = {.flags = OP_MODRM | OP_BYTE | (lock), .reg = B(name, rr), .mem = B(name, mr)}, \
	     [o + 1] = {.flags = OP_MODRM | (lock), .reg = V(name, rr), .mem = V(name, mr)},      \
	     [o + 2] = {.flags = OP_MODRM | OP_BYTE, .reg = B(name, gr), .mem = B(name, gm)},     \
	     [o + 3] = {.flags = OP_MODRM, .reg = V(name, gr), .mem = V(name, gm)},               \
	     [o + 4] = {.flags = OP_IMM8 | OP_BYTE, .reg = B(name, ri)},                          \
	     [o + 5] = {.flags = OP_IMMZ, .reg = V(name, ri)}

#define GROUP1(form_r, form_m, M)                                                     \
	{                                                                             \
		{.flags = OP_LOCK, .reg = M(add, form_r), .mem = M(add, form_m)},     \
		    {.flags = OP_LOCK, .reg = M(or, form_r), .mem = M(or, form_m)},   \
		    {.flags = OP_LOCK, .reg = M(adc, form_r), .mem = M(adc, form_m)}, \
		    {.flags = OP_LOCK, .reg = M(sbb, form_r), .mem = M(sbb, form_m)}, \
		    {.flags = OP_LOCK, .reg = M(and, form_r), .mem = M(and, form_m)}, \
		    {.flags = OP_LOCK, .reg = M(sub, form_r), .mem = M(sub, form_m)}, \
		    {.flags = OP_LOCK, .reg = M(xor, form_r), .mem = M(xor, form_m)}, \
		    {.flags = 0, .reg = M(cmp, form_r), .mem = M(cmp, form_m)},       \
	}

#define SHIFT_GROUP(form_r, form_m, M)                                                                              \
	{                                                                                                           \
		{.reg = M(rol, form_r), .mem = M(rol, form_m)}, {.reg = M(ror, form_r), .mem = M(ror, form_m)},     \
		    {.reg = M(rcl, form_r), .mem = M(rcl, form_m)}, {.reg = M(rcr, form_r), .mem = M(rcr, form_m)}, \
		    {.reg = M(shl, form_r), .mem = M(shl, form_m)}, {.reg = M(shr, form_r), .mem = M(shr, form_m)}, \
		    {.reg = M(shl, form_r), .mem = M(shl, form_m)}, /* SAL by its other encoding */                 \
		    {.reg = M(sar, form_r), .mem = M(sar, form_m)},                                                 \
	}

static const struct opcode group1_byte[8] = GROUP1(ri, mi, B);
static const struct opcode group1[8] = GROUP1(ri, mi, V);
static const struct opcode group2_byte_i[8] = SHIFT_GROUP(ri, mi, B);
static const struct opcode group2_i[8] = SHIFT_GROUP(ri, mi, V);
static const struct opcode group2_byte_c[8] = SHIFT_GROUP(rc, mc, B);
static const struct opcode group2_c[8] = SHIFT_GROUP(rc, mc, V);

static const struct opcode group1a[8] = {
    [0] = {.flags = OP_D64, .reg = V(pop, r), .mem = V(pop, m)},
};

static const struct opcode group3_byte[8] = {
    [0] = {.flags = OP_IMM8, .reg = B(test, ri), .mem = B(test, mi)},
    [1] = {.flags = OP_IMM8, .reg = B(test, ri), .mem = B(test, mi)},
    [2] = {.flags = OP_LOCK, .reg = B(not, r), .mem = B(not, m)},
    [3] = {.flags = OP_LOCK, .reg = B(neg, r), .mem = B(neg, m)},
    [4] = {.reg = B(mul, r), .mem = B(mul, m)},
    [5] = {.reg = B(imul, r), .mem = B(imul, m)},
    [6] = {.reg = B(div, r), .mem = B(div, m)},
    [7] = {.reg = B(idiv, r), .mem = B(idiv, m)},
};

static const struct opcode group3[8] = {
    [0] = {.flags = OP_IMMZ, .reg = V(test, ri), .mem = V(test, mi)},
    [1] = {.flags = OP_IMMZ, .reg = V(test, ri), .mem = V(test, mi)},
    [2] = {.flags = OP_LOCK, .reg = V(not, r), .mem = V(not, m)},
    [3] = {.flags = OP_LOCK, .reg = V(neg, r), .mem = V(neg, m)},
    [4] = {.reg = V(mul, r), .mem = V(mul, m)},
    [5] = {.reg = V(imul, r), .mem = V(imul, m)},
    [6] = {.reg = V(div, r), .mem = V(div, m)},
    [7] = {.reg = V(idiv, r), .mem = V(idiv, m)},
};

static const struct opcode group4[8] = {
    [0] = {.flags = OP_LOCK, .reg = B(inc, r), .mem = B(inc, m)},
    [1] = {.flags = OP_LOCK, .reg = B(dec, r), .mem = B(dec, m)},
};

static const struct opcode group5[8] = {
    [0] = {.flags = OP_LOCK, .reg = V(inc, r), .mem = V(inc, m)},
    [1] = {.flags = OP_LOCK, .reg = V(dec, r), .mem = V(dec, m)},
    [2] = {.flags = OP_F64 | OP_END, .reg = V(call, r), .mem = V(call, m)},
    [3] = {.flags = OP_END, .mem = FN3(op_call_far_m)},
    [4] = {.flags = OP_F64 | OP_END, .reg = V(jmp, r), .mem = V(jmp, m)},
    [5] = {.flags = OP_END, .mem = FN3(op_jmp_far_m)},
    [6] = {.flags = OP_D64, .reg = V(push, r), .mem = V(push, m)},
};

static const struct opcode group11_byte[8] = {
    [0] = {.flags = OP_IMM8, .reg = B(mov, ri), .mem = B(mov, mi)},
};

static const struct opcode group11[8] = {
    [0] = {.flags = OP_IMMZ, .reg = V(mov, ri), .mem = V(mov, mi)},
};

#define REG_ROW(o, fl, fns)                                                           \
	[o] = {.flags = (fl), .reg = fns}, [o + 1] = {.flags = (fl), .reg = fns},     \
	[o + 2] = {.flags = (fl), .reg = fns}, [o + 3] = {.flags = (fl), .reg = fns}, \
	[o + 4] = {.flags = (fl), .reg = fns}, [o + 5] = {.flags = (fl), .reg = fns}, \
	[o + 6] = {.flags = (fl), .reg = fns}, [o + 7] = {.flags = (fl), .reg = fns}

/* clang-format off */
#define FN_PUSH { op_push16_r, op_push32_r, op_push64_r }
#define FN_POP { op_pop16_r, op_pop32_r, op_pop64_r }
#define FN_INC { op_inc16_r, op_inc32_r, op_inc64_r }
#define FN_DEC { op_dec16_r, op_dec32_r, op_dec64_r }
#define FN_XCHG { op_xchg16_rr, op_xchg32_rr, op_xchg64_rr }
#define FN_MOVI { op_mov16_ri, op_mov32_ri, op_mov64_ri }
#define FN_MOVI8 FN3(op_mov8_ri)
/* clang-format on */

const struct opcode opcodes_1[256] = {
    ALU_ROW(0x00, add, OP_LOCK),
    [0x06] = OPCODE(OP_I64, op_push_seg, NULL),
    [0x07] = OPCODE(OP_I64, op_pop_seg, NULL),
    ALU_ROW(0x08, or, OP_LOCK),
    [0x0e] = OPCODE(OP_I64, op_push_seg, NULL),
    ALU_ROW(0x10, adc, OP_LOCK),
    [0x16] = OPCODE(OP_I64, op_push_seg, NULL),
    [0x17] = OPCODE(OP_I64 | OP_END, op_pop_seg, NULL),
    ALU_ROW(0x18, sbb, OP_LOCK),
    [0x1e] = OPCODE(OP_I64, op_push_seg, NULL),
    [0x1f] = OPCODE(OP_I64, op_pop_seg, NULL),
    ALU_ROW(0x20, and, OP_LOCK),
    [0x27] = OPCODE(OP_I64, op_daa, NULL),
    ALU_ROW(0x28, sub, OP_LOCK),
    [0x2f] = OPCODE(OP_I64, op_das, NULL),
    ALU_ROW(0x30, xor, OP_LOCK),
    [0x37] = OPCODE(OP_I64, op_aaa, NULL),
    ALU_ROW(0x38, cmp, 0),
    [0x3f] = OPCODE(OP_I64, op_aas, NULL),
    REG_ROW(0x40, OP_I64 | OP_REGOP, FN_INC),
    REG_ROW(0x48, OP_I64 | OP_REGOP, FN_DEC),
    REG_ROW(0x50, OP_D64 | OP_REGOP, FN_PUSH),
    REG_ROW(0x58, OP_D64 | OP_REGOP, FN_POP),
    [0x60] = OPCODE(OP_I64, op_pusha, NULL),
    [0x61] = OPCODE(OP_I64, op_popa, NULL),
    [0x62] = {.flags = OP_I64 | OP_MODRM, .mem = {op_bound16, op_bound32, op_bound32}},
    [0x63] = {.flags = OP_MODRM,
	      .reg = {op_movsxd_arpl16_r, op_movsxd_arpl32_r, op_movsx64_32_r},
	      .mem = {op_movsxd_arpl16_m, op_movsxd_arpl32_m, op_movsx64_32_m}},
    [0x68] = {.flags = OP_D64 | OP_IMMZ, .reg = {op_push16_i, op_push32_i, op_push64_i}},
    [0x69] = {.flags = OP_MODRM | OP_IMMZ, .reg = V(imul, gri), .mem = V(imul, gmi)},
    [0x6a] = {.flags = OP_D64 | OP_IMM8, .reg = {op_push16_i, op_push32_i, op_push64_i}},
    [0x6b] = {.flags = OP_MODRM | OP_IMM8, .reg = V(imul, gri), .mem = V(imul, gmi)},
    [0x6c] = OPCODE(OP_END, op_ins, NULL),
    [0x6d] = OPCODE(OP_END, op_ins, NULL),
    [0x6e] = OPCODE(OP_END, op_outs, NULL),
    [0x6f] = OPCODE(OP_END, op_outs, NULL),
#define JCC8(n) [0x70 + n] = OPCODE(OP_F64 | OP_REL8 | OP_END, op_jcc_##n, NULL)
    JCC8(0),
    JCC8(1),
    JCC8(2),
    JCC8(3),
    JCC8(4),
    JCC8(5),
    JCC8(6),
    JCC8(7),
    JCC8(8),
    JCC8(9),
    JCC8(10),
    JCC8(11),
    JCC8(12),
    JCC8(13),
    JCC8(14),
    JCC8(15),
    [0x80] = {.flags = OP_GROUP | OP_MODRM | OP_BYTE | OP_IMM8, .sub = group1_byte},
    [0x81] = {.flags = OP_GROUP | OP_MODRM | OP_IMMZ, .sub = group1},
    [0x82] = {.flags = OP_GROUP | OP_MODRM | OP_BYTE | OP_IMM8 | OP_I64, .sub = group1_byte},
    [0x83] = {.flags = OP_GROUP | OP_MODRM | OP_IMM8, .sub = group1},
    [0x84] = {.flags = OP_MODRM | OP_BYTE, .reg = B(test, rr), .mem = B(test, mr)},
    [0x85] = {.flags = OP_MODRM, .reg = V(test, rr), .mem = V(test, mr)},
    [0x86] = {.flags = OP_MODRM | OP_BYTE | OP_LOCK, .reg = B(xchg, rr), .mem = B(xchg, mr)},
    [0x87] = {.flags = OP_MODRM | OP_LOCK, .reg = V(xchg, rr), .mem = V(xchg, mr)},
    [0x88] = {.flags = OP_MODRM | OP_BYTE, .reg = B(mov, rr), .mem = B(mov, mr)},
    [0x89] = {.flags = OP_MODRM, .reg = V(mov, rr), .mem = V(mov, mr)},
    [0x8a] = {.flags = OP_MODRM | OP_BYTE, .reg = B(mov, gr), .mem = B(mov, gm)},
    [0x8b] = {.flags = OP_MODRM, .reg = V(mov, gr), .mem = V(mov, gm)},
    [0x8c] = OPCODE(OP_MODRM | OP_SREG, op_mov_r_seg, op_mov_m_seg),
    [0x8d] = {.flags = OP_MODRM, .mem = SIZES(lea)},
    [0x8e] = OPCODE(OP_MODRM | OP_SREG | OP_END, op_mov_seg_r, op_mov_seg_m),
    [0x8f] = {.flags = OP_GROUP | OP_MODRM, .sub = group1a},
    [0x91] = {.flags = OP_REGOP, .reg = FN_XCHG},
    [0x92] = {.flags = OP_REGOP, .reg = FN_XCHG},
    [0x93] = {.flags = OP_REGOP, .reg = FN_XCHG},
    [0x94] = {.flags = OP_REGOP, .reg = FN_XCHG},
    [0x95] = {.flags = OP_REGOP, .reg = FN_XCHG},
    [0x96] = {.flags = OP_REGOP, .reg = FN_XCHG},
    [0x97] = {.flags = OP_REGOP, .reg = FN_XCHG},

    [0x90] = {.flags = OP_REGOP, .reg = {op_nop_or_xchg16, op_nop_or_xchg32, op_nop_or_xchg64}},
    [0x98] = {.reg = SIZES(cbw)},
    [0x99] = {.reg = SIZES(cwd)},
    [0x9a] = OPCODE(OP_I64 | OP_FAR | OP_END, op_call_far_i, NULL),
    [0x9b] = OPCODE(0, op_fwait, NULL),
    [0x9c] = OPCODE(OP_D64, op_pushf, NULL),
    [0x9d] = OPCODE(OP_D64 | OP_END, op_popf, NULL),
    [0x9e] = OPCODE(0, op_sahf, NULL),
    [0x9f] = OPCODE(0, op_lahf, NULL),
    [0xa0] = {.flags = OP_MOFFS | OP_BYTE, .reg = FN3(op_mov8_gm)},
    [0xa1] = {.flags = OP_MOFFS, .reg = V(mov, gm)},
    [0xa2] = {.flags = OP_MOFFS | OP_BYTE, .reg = FN3(op_mov8_mr)},
    [0xa3] = {.flags = OP_MOFFS, .reg = V(mov, mr)},
    [0xa4] = OPCODE(0, op_movs8, NULL),
    [0xa5] = {.reg = SIZES(movs)},
    [0xa6] = OPCODE(0, op_cmps8, NULL),
    [0xa7] = {.reg = SIZES(cmps)},
    [0xa8] = {.flags = OP_IMM8 | OP_BYTE, .reg = B(test, ri)},
    [0xa9] = {.flags = OP_IMMZ, .reg = V(test, ri)},
    [0xaa] = OPCODE(0, op_stos8, NULL),
    [0xab] = {.reg = SIZES(stos)},
    [0xac] = OPCODE(0, op_lods8, NULL),
    [0xad] = {.reg = SIZES(lods)},
    [0xae] = OPCODE(0, op_scas8, NULL),
    [0xaf] = {.reg = SIZES(scas)},
    REG_ROW(0xb0, OP_REGOP | OP_BYTE | OP_IMM8, FN_MOVI8),
    REG_ROW(0xb8, OP_REGOP | OP_IMMV, FN_MOVI),
    [0xc0] = {.flags = OP_GROUP | OP_MODRM | OP_BYTE | OP_IMM8, .sub = group2_byte_i},
    [0xc1] = {.flags = OP_GROUP | OP_MODRM | OP_IMM8, .sub = group2_i},
    [0xc2] = OPCODE(OP_F64 | OP_IMM16 | OP_END, op_ret_i, NULL),
    [0xc3] = {.flags = OP_F64 | OP_END, .reg = {op_ret, op_ret, op_ret64}},
    [0xc4] = OPCODE(OP_I64 | OP_MODRM, NULL, op_load_far_ptr),
    [0xc5] = OPCODE(OP_I64 | OP_MODRM, NULL, op_load_far_ptr),
    [0xc6] = {.flags = OP_GROUP | OP_MODRM | OP_BYTE, .sub = group11_byte},
    [0xc7] = {.flags = OP_GROUP | OP_MODRM, .sub = group11},
    [0xc8] = OPCODE(OP_D64 | OP_ENTER, op_enter, NULL),
    [0xc9] = OPCODE(OP_D64, op_leave, NULL),
    [0xca] = OPCODE(OP_IMM16 | OP_END, op_ret_far, NULL),
    [0xcb] = OPCODE(OP_END, op_ret_far, NULL),
    [0xcc] = OPCODE(OP_END, op_int3, NULL),
    [0xcd] = OPCODE(OP_IMM8U | OP_END, op_int_n, NULL),
    [0xce] = OPCODE(OP_I64 | OP_END, op_into, NULL),
    [0xcf] = OPCODE(OP_END, op_iret, NULL),
    [0xd0] = {.flags = OP_GROUP | OP_MODRM | OP_BYTE | OP_ONE, .sub = group2_byte_i},
    [0xd1] = {.flags = OP_GROUP | OP_MODRM | OP_ONE, .sub = group2_i},
    [0xd2] = {.flags = OP_GROUP | OP_MODRM | OP_BYTE, .sub = group2_byte_c},
    [0xd3] = {.flags = OP_GROUP | OP_MODRM, .sub = group2_c},
    [0xd4] = OPCODE(OP_I64 | OP_IMM8U, op_aam, NULL),
    [0xd5] = OPCODE(OP_I64 | OP_IMM8U, op_aad, NULL),
    [0xd6] = OPCODE(OP_I64, op_salc, NULL),
    [0xd7] = OPCODE(0, op_xlat, NULL),
    [0xd8] = OPCODE(OP_MODRM, NULL, NULL), /* x87_mem, x87_reg */
    [0xd9] = OPCODE(OP_MODRM, NULL, NULL),
    [0xda] = OPCODE(OP_MODRM, NULL, NULL),
    [0xdb] = OPCODE(OP_MODRM, NULL, NULL),
    [0xdc] = OPCODE(OP_MODRM, NULL, NULL),
    [0xdd] = OPCODE(OP_MODRM, NULL, NULL),
    [0xde] = OPCODE(OP_MODRM, NULL, NULL),
    [0xdf] = OPCODE(OP_MODRM, NULL, NULL),
    [0xe0] = OPCODE(OP_F64 | OP_REL8 | OP_END, op_loopne, NULL),
    [0xe1] = OPCODE(OP_F64 | OP_REL8 | OP_END, op_loope, NULL),
    [0xe2] = OPCODE(OP_F64 | OP_REL8 | OP_END, op_loop, NULL),
    [0xe3] = OPCODE(OP_F64 | OP_REL8 | OP_END, op_jcxz, NULL),
    [0xe4] = OPCODE(OP_IMM8U | OP_END, op_in_i, NULL),
    [0xe5] = OPCODE(OP_IMM8U | OP_END, op_in_i, NULL),
    [0xe6] = OPCODE(OP_IMM8U | OP_END, op_out_i, NULL),
    [0xe7] = OPCODE(OP_IMM8U | OP_END, op_out_i, NULL),
    [0xe8] = {.flags = OP_F64 | OP_RELZ | OP_END, .reg = {op_call_rel, op_call_rel, op_call64_rel}},
    [0xe9] = OPCODE(OP_F64 | OP_RELZ | OP_END, op_jmp_rel, NULL),
    [0xea] = OPCODE(OP_I64 | OP_FAR | OP_END, op_jmp_far_i, NULL),
    [0xeb] = OPCODE(OP_F64 | OP_REL8 | OP_END, op_jmp_rel, NULL),
    [0xec] = OPCODE(OP_END, op_in_dx, NULL),
    [0xed] = OPCODE(OP_END, op_in_dx, NULL),
    [0xee] = OPCODE(OP_END, op_out_dx, NULL),
    [0xef] = OPCODE(OP_END, op_out_dx, NULL),
    [0xf1] = OPCODE(OP_END, op_int1, NULL),
    [0xf4] = OPCODE(OP_END, op_hlt, NULL),
    [0xf5] = OPCODE(0, op_cmc, NULL),
    [0xf6] = {.flags = OP_GROUP | OP_MODRM | OP_BYTE, .sub = group3_byte},
    [0xf7] = {.flags = OP_GROUP | OP_MODRM, .sub = group3},
    [0xf8] = OPCODE(0, op_clc, NULL),
    [0xf9] = OPCODE(0, op_stc, NULL),
    [0xfa] = OPCODE(0, op_cli, NULL),
    [0xfb] = OPCODE(OP_END, op_sti, NULL),
    [0xfc] = OPCODE(0, op_cld, NULL),
    [0xfd] = OPCODE(0, op_std, NULL),
    [0xfe] = {.flags = OP_GROUP | OP_MODRM | OP_BYTE, .sub = group4},
    [0xff] = {.flags = OP_GROUP | OP_MODRM, .sub = group5},
};
