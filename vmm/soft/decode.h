/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Decoded instructions and the opcode tables that lead to them. */
#ifndef VMM_SOFT_DECODE_H
#define VMM_SOFT_DECODE_H

#include "vmm/types.h"

struct soft_cpu;
struct insn;

/* Executes one decoded instruction. May not return: a fault leaves by longjmp, so everything that can fault comes
 * before the first change of guest state. */
typedef void insn_fn(struct soft_cpu *cpu, const struct insn *i);

enum insn_flags {
	INSN_FLAT = 1,  /* memory operand: 64-bit mode without FS/GS, linear = offset */
	INSN_LOCK = 2,  /* LOCK prefix */
	INSN_REP = 4,   /* F3 */
	INSN_REPNE = 8, /* F2 */
	INSN_MEM = 16,  /* ModRM names memory */
	INSN_OP66 = 32, /* 66 prefix seen */
};

struct insn {
	insn_fn *fn;
	u64 imm;  /* immediate, sign-extended; for direct branches the target RIP, for far pointers the offset */
	u64 disp; /* displacement, sign-extended; RIP-relative: the absolute offset */
	u8 reg;   /* ModRM.reg: a GPR number, or for byte operands the byte's offset in gpr[] (AH is 1) */
	u8 rm;    /* ModRM.rm or opcode register, likewise */
	u8 base;  /* memory operand: GPR numbers, GPR_NONE where absent */
	u8 index;
	u8 scale;   /* shift count */
	u8 seg;     /* segment of the memory operand (also of string sources), overrides applied */
	u8 flags;   /* enum insn_flags */
	u8 len;     /* bytes */
	u16 offset; /* bytes from the block's first instruction */
	u8 osize;   /* operand size in bytes: 2, 4, 8 (byte operands: that of the mode, unused) */
	u8 asize;   /* address size in bytes: 2, 4, 8 */
	u16 aux;    /* second immediate: ENTER's level, a far pointer's selector; x87: the 11-bit opcode (FOP) */
	u8 op;      /* the last opcode byte */
	u8 modrm;   /* the raw ModRM byte */
};

enum opcode_flags {
	OP_MODRM = 1u << 0,
	/* immediates; at most one */
	OP_IMM8 = 1u << 1,  /* sign-extended */
	OP_IMM8U = 1u << 2, /* zero-extended */
	OP_IMM16 = 1u << 3, /* zero-extended */
	OP_IMMZ = 1u << 4,  /* 16 or 32 bits by operand size, sign-extended */
	OP_IMMV = 1u << 5,  /* 16, 32 or 64 bits by operand size */
	OP_REL8 = 1u << 6,  /* insn.imm becomes the target RIP */
	OP_RELZ = 1u << 7,
	OP_MOFFS = 1u << 8,  /* address of address size in disp: a memory operand without ModRM */
	OP_FAR = 1u << 9,    /* offset by operand size, then a selector in aux */
	OP_ENTER = 1u << 10, /* imm16, then imm8 in aux */
	/* operands */
	OP_BYTE = 1u << 11,    /* reg and rm are byte registers */
	OP_BYTE_RM = 1u << 12, /* only rm is (MOVZX, SETcc) */
	OP_REGOP = 1u << 13,   /* register in the opcode's low three bits, to rm */
	/* operand size in 64-bit mode */
	OP_D64 = 1u << 14, /* defaults to 64; 66 makes it 16 */
	OP_F64 = 1u << 15, /* always 64 (near branches on Intel ignore 66) */
	/* validity */
	OP_I64 = 1u << 16,  /* #UD in 64-bit mode */
	OP_O64 = 1u << 17,  /* #UD outside 64-bit mode */
	OP_LOCK = 1u << 18, /* LOCK allowed with a memory operand */
	OP_END = 1u << 19,  /* ends a decoded block: it may change RIP, mode or interruptibility */
	/* tables below this one */
	OP_GROUP = 1u << 20,    /* sub[8] by ModRM.reg (implies OP_MODRM); sub entries may add flags */
	OP_PREFIX = 1u << 21,   /* sub[4] by mandatory prefix: none, 66, F3, F2 (F3 and F2 beat 66) */
	OP_PROT = 1u << 22,     /* #UD in real and virtual-8086 mode */
	OP_ONE = 1u << 23,      /* the immediate is 1, without a byte of its own */
	OP_CR = 1u << 24,       /* ModRM names registers whatever its mod field says (MOV CR, MOV DR) */
	OP_SREG = 1u << 25,     /* ModRM.reg is a segment register */
	OP_GROUP_RM = 1u << 26, /* the register form goes on to sub[8] by ModRM.rm */
};

struct opcode {
	u32 flags;
	insn_fn *reg[3];          /* register form, or no ModRM; by operand size 16, 32, 64. NULL: #UD */
	insn_fn *mem[3];          /* memory form */
	const struct opcode *sub; /* OP_GROUP, OP_PREFIX */
};

#define FN3(f)          \
	{               \
		f, f, f \
	}
/* One function whatever the operand size; the handler may look at insn.osize. */
#define OPCODE(fl, regfn, memfn)                                    \
	{                                                           \
		.flags = (fl), .reg = FN3(regfn), .mem = FN3(memfn) \
	}

/* The maps. 0F entries that are empty in opcodes_0f are looked up in sse_0f. */
extern const struct opcode opcodes_1[256];  /* decode_1.c */
extern const struct opcode opcodes_0f[256]; /* decode_0f.c: integer and system */
extern const struct opcode sse_0f[256];     /* MMX and SSE: every entry OP_PREFIX | OP_MODRM with sub[4] */
extern const struct opcode sse_0f38[256];   /* likewise */
extern const struct opcode sse_0f3a[256];   /* likewise, with OP_IMM8U in the sub entries */
extern const struct opcode int_0f38[256];   /* MOVBE, CRC32, INVPCID: OP_PREFIX; looked at before sse_0f38 */
extern insn_fn *const x87_mem[8][8];        /* D8-DF by ModRM.reg, memory forms; NULL: #UD */
extern insn_fn *const x87_reg[8][64];       /* D8-DF by ModRM & 3fh, register forms; rm = ST index */

/* The entry of @op in a map: 0 one byte, 1 0F, 2 0F 38, 3 0F 3A. */
const struct opcode *opcode_entry(unsigned map, u8 op);

/* How code is decoded here: what besides its bytes decides the meaning. */
enum decode_mode {
	MODE_64 = 1,   /* 64-bit code */
	MODE_32 = 2,   /* CS.D: 32-bit default sizes */
	MODE_SS32 = 4, /* SS.B: 32-bit stack outside 64-bit mode */
	MODE_REAL = 8, /* real or virtual-8086: OP_PROT opcodes are #UD */
};

#define INSN_MAX_LEN 15

/* Decodes one instruction from @bytes (at least INSN_MAX_LEN readable, of which @avail belong to mapped memory).
 * @rip: its offset in CS. Returns its length; 0 when it needs more than @avail bytes. Undefined encodings decode to a
 * handler that raises #UD; more than 15 bytes to one that raises #GP. *@end: the instruction ends a block. */
unsigned decode_insn(const u8 *bytes, unsigned avail, u64 rip, unsigned mode, struct insn *i, bool *end);

/* Handlers for undefined and overlong encodings. */
insn_fn op_ud, op_too_long;

#endif
