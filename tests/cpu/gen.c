/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Random sequences. An instruction is made by throwing prefixes, an opcode and operand bytes together and keeping
 * what Zydis decodes as an instruction of the CPU model that user code can run; only memory operands are shaped, so
 * that most of them hit the data pages. What differs between processors is left out here, each with its reason. */
#include <stdlib.h>

#include "tests/cpu/diff.h"
#include "tests/cpu/isa.h"
#include "vmm/x86/regs.h"

struct generator {
	ZydisDecoder decoder[2]; /* 32-bit, 64-bit */
	bool intel_host;
};

/* What a register holds at first: decides what it is good for in addresses. */
enum reg_kind { REG_POINTER, REG_SMALL, REG_WILD };

struct making {
	struct rng *rng;
	struct generator *g;
	struct diff_case *c;
	unsigned classes;
	enum reg_kind kind[16];
};

static u64 pick_data_address(struct rng *rng)
{
	u64 offset = rng_below(rng, DIFF_DATA_SIZE);

	if (rng_percent(rng, 50))
		offset &= ~15u;
	switch (rng_below(rng, 20)) {
	case 0: /* around the middle and the ends */
		return DIFF_DATA + 0x1000 - 16 + rng_below(rng, 32);
	case 1:
		return DIFF_DATA + DIFF_DATA_SIZE - rng_below(rng, 20);
	case 2:
		return DIFF_RO + rng_below(rng, 0x1000);
	default:
		return DIFF_DATA + 0x100 + offset % (DIFF_DATA_SIZE - 0x200);
	}
}

static u64 pick_value(struct rng *rng)
{
	static const u64 special[] = {
	    0,
	    1,
	    2,
	    0x7f,
	    0x80,
	    0xff,
	    0x7fff,
	    0x8000,
	    0xffff,
	    0x7fffffff,
	    0x80000000,
	    0xffffffff,
	    0x100000000,
	    0x7fffffffffffffff,
	    0x8000000000000000,
	    ~0ull,
	    ~1ull,
	    0xffffffff80000000,
	};

	switch (rng_below(rng, 4)) {
	case 0:
		return special[rng_below(rng, ARRAY_SIZE(special))];
	case 1:
		return rng_next(rng) >> rng_below(rng, 64);
	default:
		return rng_next(rng);
	}
}

/* --- memory operands --- */

/* A register of @kind for a 4-bit number whose top bit is @high; any if there is none. */
static unsigned pick_reg(struct making *mk, enum reg_kind kind, unsigned high)
{
	unsigned first = rng_below(mk->rng, 8);

	if (rng_percent(mk->rng, 4))
		return first;
	for (unsigned i = 0; i < 8; i++) {
		unsigned r = (first + i) & 7;

		if (mk->kind[high * 8 + r] == kind)
			return r;
	}
	return first;
}

static u32 pick_disp(struct rng *rng)
{
	if (rng_percent(rng, 3))
		return rng_next(rng);
	return (int)rng_below(rng, 512) - 256;
}

/* ModRM, SIB and displacement of a memory operand. */
static unsigned make_mem(struct making *mk, unsigned rex, u8 *p)
{
	struct rng *rng = mk->rng;
	unsigned n = 0, mod = rng_below(rng, 3), reg = rng_below(rng, 8), base = pick_reg(mk, REG_POINTER, rex & 1);

	if (rng_percent(rng, 8)) { /* RIP-relative, or absolute in 32-bit code: filled in later */
		p[n++] = reg << 3 | 5;
		store32(p + n, pick_data_address(rng));
		return n + 4;
	}
	if (rng_percent(rng, 4)) { /* absolute by SIB */
		p[n++] = reg << 3 | 4;
		p[n++] = 0x25;
		store32(p + n, pick_data_address(rng));
		return n + 4;
	}
	if (base == 5 && mod == 0)
		mod = 1;
	if (base == 4 || rng_percent(rng, 30)) {
		unsigned index = rng_percent(rng, 20) ? 4 : pick_reg(mk, REG_SMALL, rex >> 1 & 1);

		p[n++] = mod << 6 | reg << 3 | 4;
		p[n++] = rng_below(rng, 4) << 6 | index << 3 | base;
	} else {
		p[n++] = mod << 6 | reg << 3 | base;
	}
	if (mod == 1) {
		p[n++] = pick_disp(rng);
	} else if (mod == 2) {
		store32(p + n, pick_disp(rng));
		n += 4;
	}
	return n;
}

/* --- opcodes --- */

static unsigned pick_int_opcode(struct making *mk, u8 *p)
{
	static const u8 of[] = {0x1f, 0xa3, 0xa4, 0xa5, 0xab, 0xac, 0xad, 0xaf, 0xb0, 0xb1,
				0xb3, 0xb6, 0xb7, 0xb8, 0xb8, 0xba, 0xbb, 0xbc, 0xbd, 0xbe,
				0xbf, 0xc0, 0xc1, 0xc3, 0xc7, 0xc7, 0xc7, 0xc8, 0xcb};
	/* those that would otherwise be rare among 256 */
	static const u8 often[] = {0x69, 0x6b, 0x80, 0x81, 0x83, 0xc0, 0xc1, 0xd0, 0xd1, 0xd2, 0xd3, 0xf6, 0xf7, 0xfe,
				   0xff, 0x8d, 0x8d, 0x63, 0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xae, 0xaf};
	struct rng *rng = mk->rng;
	unsigned kind = rng_below(rng, 100);

	if (kind < 40) {
		p[0] = rng_next(rng);
		return 1;
	}
	if (kind < 62) {
		p[0] = often[rng_below(rng, sizeof(often))];
		return 1;
	}
	p[0] = 0x0f;
	if (kind < 94) {
		if (rng_percent(rng, 70))
			p[1] = of[rng_below(rng, sizeof(of))];
		else
			p[1] = (rng_percent(rng, 40) ? 0x40 : rng_percent(rng, 50) ? 0x80 : 0x90) + rng_below(rng, 16);
		return 2;
	}
	p[1] = 0x38;
	p[2] = 0xf0 + rng_below(rng, 2);
	return 3;
}

static unsigned pick_sse_opcode(struct making *mk, u8 *p)
{
	static const u8 of[] = {0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x28, 0x29, 0x2a, 0x2b,
				0x2c, 0x2d, 0x2e, 0x2f, 0xc2, 0xc4, 0xc5, 0xc6, 0xae, 0xc3, 0xe7, 0xf7};
	struct rng *rng = mk->rng;
	unsigned kind = rng_below(rng, 100);

	p[0] = 0x0f;
	if (kind < 70) {
		switch (rng_below(rng, 3)) {
		case 0:
			p[1] = of[rng_below(rng, sizeof(of))];
			break;
		case 1:
			p[1] = 0x50 + rng_below(rng, 0x30);
			break;
		default:
			p[1] = 0xd0 + rng_below(rng, 0x30);
			break;
		}
		return 2;
	}
	p[1] = kind < 88 ? 0x38 : 0x3a;
	p[2] = rng_below(rng, p[1] == 0x38 ? 0x42 : 0x64);
	return 3;
}

static unsigned pick_opcode(struct making *mk, u8 *p)
{
	unsigned classes = mk->classes;

	if (classes & CLASS_X87 && rng_percent(mk->rng, 75)) {
		p[0] = 0xd8 + rng_below(mk->rng, 8);
		return 1;
	}
	if (classes & CLASS_SSE && rng_percent(mk->rng, 75))
		return pick_sse_opcode(mk, p);
	return pick_int_opcode(mk, p);
}

/* --- what is left out --- */

static bool denied(const ZydisDecodedInstruction *i, const ZydisDecodedOperand *op)
{
	switch (i->mnemonic) {
	/* The kernel's business, or the host kernel answers differently. */
	case ZYDIS_MNEMONIC_SYSCALL:
	case ZYDIS_MNEMONIC_SYSENTER:
	case ZYDIS_MNEMONIC_SYSEXIT:
	case ZYDIS_MNEMONIC_SYSRET:
	case ZYDIS_MNEMONIC_INT:
	case ZYDIS_MNEMONIC_INT1:
	case ZYDIS_MNEMONIC_INTO:
	case ZYDIS_MNEMONIC_IRET:
	case ZYDIS_MNEMONIC_IRETD:
	case ZYDIS_MNEMONIC_IRETQ:
	case ZYDIS_MNEMONIC_RDPMC:
	case ZYDIS_MNEMONIC_SGDT:
	case ZYDIS_MNEMONIC_SIDT:
	case ZYDIS_MNEMONIC_SLDT:
	case ZYDIS_MNEMONIC_STR:
	case ZYDIS_MNEMONIC_SMSW:
	/* Their results are the host's. */
	case ZYDIS_MNEMONIC_CPUID:
	case ZYDIS_MNEMONIC_RDTSC:
	case ZYDIS_MNEMONIC_RDTSCP:
	case ZYDIS_MNEMONIC_LAR:
	case ZYDIS_MNEMONIC_LSL:
	case ZYDIS_MNEMONIC_VERR:
	case ZYDIS_MNEMONIC_VERW:
	case ZYDIS_MNEMONIC_XGETBV:
	/* Segment loads, and bases: the child lives on its FS. */
	case ZYDIS_MNEMONIC_LDS:
	case ZYDIS_MNEMONIC_LES:
	case ZYDIS_MNEMONIC_LFS:
	case ZYDIS_MNEMONIC_LGS:
	case ZYDIS_MNEMONIC_LSS:
	/* State images hold the FPU's instruction pointers, which AMD and Intel keep differently. */
	case ZYDIS_MNEMONIC_FNSAVE:
	case ZYDIS_MNEMONIC_FNSTENV:
	case ZYDIS_MNEMONIC_FXSAVE:
	case ZYDIS_MNEMONIC_FXSAVE64:
	case ZYDIS_MNEMONIC_FXRSTOR:
	case ZYDIS_MNEMONIC_FXRSTOR64:
	/* The length of UD0 and UD1 differs. */
	case ZYDIS_MNEMONIC_UD0:
	case ZYDIS_MNEMONIC_UD1:
	/* Approximations: each processor has its own. */
	case ZYDIS_MNEMONIC_RCPPS:
	case ZYDIS_MNEMONIC_RCPSS:
	case ZYDIS_MNEMONIC_RSQRTPS:
	case ZYDIS_MNEMONIC_RSQRTSS:
	case ZYDIS_MNEMONIC_F2XM1:
	case ZYDIS_MNEMONIC_FYL2X:
	case ZYDIS_MNEMONIC_FYL2XP1:
	case ZYDIS_MNEMONIC_FPTAN:
	case ZYDIS_MNEMONIC_FPATAN:
	case ZYDIS_MNEMONIC_FSIN:
	case ZYDIS_MNEMONIC_FCOS:
	case ZYDIS_MNEMONIC_FSINCOS:
		return true;
	case ZYDIS_MNEMONIC_BSWAP: /* undefined result */
		return i->operand_width == 16;
	case ZYDIS_MNEMONIC_CVTPI2PS: /* does it enter MMX state when it touches no MMX register? */
		return op[1].type == ZYDIS_OPERAND_TYPE_MEMORY;
	case ZYDIS_MNEMONIC_SHLD: /* undefined result when the count exceeds 16 */
	case ZYDIS_MNEMONIC_SHRD:
		return i->operand_width == 16 &&
		       (op[2].type == ZYDIS_OPERAND_TYPE_REGISTER || (op[2].imm.value.u & 31) > 16);
	case ZYDIS_MNEMONIC_MOV:
		return op[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		       ZydisRegisterGetClass(op[0].reg.value) == ZYDIS_REGCLASS_SEGMENT;
	case ZYDIS_MNEMONIC_POP:
		return op[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		       ZydisRegisterGetClass(op[0].reg.value) == ZYDIS_REGCLASS_SEGMENT;
	default:
		return false;
	}
}

static bool has_rep(const ZydisDecodedInstruction *i)
{
	for (unsigned k = 0; k < i->raw.prefix_count; k++)
		if (i->raw.prefixes[k].value == 0xf2 || i->raw.prefixes[k].value == 0xf3)
			return true;
	return false;
}

static bool has_call(const struct diff_case *c, unsigned count)
{
	for (unsigned n = 0; n < count; n++)
		if (c->insn[n].mnemonic == ZYDIS_MNEMONIC_CALL)
			return true;
	return false;
}

static bool usable(const struct making *mk, unsigned number, const ZydisDecodedInstruction *i,
		   const ZydisDecodedOperand *op)
{
	if (!isa_in_model(i) || denied(i, op))
		return false;
	switch (i->meta.isa_ext) {
	case ZYDIS_ISA_EXT_RDWRFSGS:
	case ZYDIS_ISA_EXT_INVPCID:
	case ZYDIS_ISA_EXT_SMAP:
	case ZYDIS_ISA_EXT_XSAVE:
	case ZYDIS_ISA_EXT_XSAVEOPT:
	case ZYDIS_ISA_EXT_XSAVEC:
	case ZYDIS_ISA_EXT_XSAVES:
		return false;
	default:
		break;
	}
	if (i->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && (i->opcode & 0xf8) == 0xd8 && !(mk->classes & CLASS_X87))
		return false;
	if (i->opcode_map == ZYDIS_OPCODE_MAP_0F && i->opcode == 0x01)
		return false;
	/* PREFETCHW with a register: a NOP or undefined. */
	if (i->opcode_map == ZYDIS_OPCODE_MAP_0F && i->opcode == 0x0d && i->raw.modrm.mod == 3)
		return false;
	if (i->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
		return false;
	/* FS and GS have bases on the host. */
	if (i->attributes & (ZYDIS_ATTRIB_HAS_SEGMENT_FS | ZYDIS_ATTRIB_HAS_SEGMENT_GS))
		return false;
	/* Near branches with a 66 prefix: AMD truncates RIP, Intel ignores the prefix. */
	if (i->meta.branch_type != ZYDIS_BRANCH_TYPE_NONE && i->attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE)
		return false;
	/* LOOPcc with REP prefixes: AMD lets the prefix choose the condition. */
	/* BSF and BSR with F3 are TZCNT and LZCNT on the host. */
	if ((i->mnemonic == ZYDIS_MNEMONIC_BSF || i->mnemonic == ZYDIS_MNEMONIC_BSR) && has_rep(i))
		return false;
	if ((i->mnemonic == ZYDIS_MNEMONIC_LOOPE || i->mnemonic == ZYDIS_MNEMONIC_LOOPNE) && has_rep(i))
		return false;
	/* Privileged instructions only end the sequence: a few will do. */
	if (i->attributes & ZYDIS_ATTRIB_IS_PRIVILEGED)
		return rng_percent(mk->rng, 3);
	/* So do branches to a random place. After a CALL it might be one of ours, and a loop. */
	if (i->meta.branch_type != ZYDIS_BRANCH_TYPE_NONE && !i->raw.imm[0].is_relative)
		return !has_call(mk->c, number) && rng_percent(mk->rng, 5);
	return true;
}

/* --- one instruction --- */

static unsigned make_prefixes(struct making *mk, u8 *p)
{
	static const struct {
		u8 byte, percent;
	} prefix[] = {{0x66, 22}, {0xf2, 8}, {0xf3, 12}, {0xf0, 4}, {0x67, 4},
		      {0x2e, 1},  {0x3e, 1}, {0x26, 1},  {0x36, 1}};
	unsigned n = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(prefix); i++)
		if (rng_percent(mk->rng, prefix[i].percent))
			p[n++] = prefix[i].byte;
	return n;
}

static void fill_immediate(struct rng *rng, u8 *p, unsigned n)
{
	u64 value = pick_value(rng);

	for (unsigned i = 0; i < n; i++)
		p[i] = value >> (8 * (i & 7));
}

/* Fields that depend on where the instruction will be. */
static void make_patch(struct making *mk, struct diff_insn *insn, const ZydisDecodedInstruction *i, unsigned number)
{
	insn->target = -1;
	if (i->raw.imm[0].is_relative && i->raw.imm[0].size) {
		insn->patch = i->raw.imm[0].offset;
		insn->patch_size = i->raw.imm[0].size / 8;
		insn->target = number + 1 + rng_below(mk->rng, mk->c->count - number);
	} else if (!mk->c->bits32 && i->attributes & ZYDIS_ATTRIB_HAS_MODRM && i->raw.modrm.mod == 0 &&
		   i->raw.modrm.rm == 5) {
		insn->patch = i->raw.disp.offset;
		insn->patch_size = 4;
		insn->address = load32(insn->bytes + insn->patch);
	}
	/* Absolute addresses without ModRM. */
	if (i->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && i->opcode >= 0xa0 && i->opcode <= 0xa3)
		for (unsigned k = 0; k < i->raw.disp.size / 8u; k++)
			insn->bytes[i->raw.disp.offset + k] = pick_data_address(mk->rng) >> 8 * k & (k < 4 ? 0xff : 0);
}

static bool try_insn(struct making *mk, struct diff_insn *insn, unsigned number)
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction i;
	struct rng *rng = mk->rng;
	unsigned rex = 0, n;
	u8 b[40];

	n = make_prefixes(mk, b);
	if (!mk->c->bits32 && rng_percent(rng, 60)) {
		rex = 0x40 | rng_below(rng, 16);
		b[n++] = rex;
	}
	n += pick_opcode(mk, b + n);
	if (rng_percent(rng, 50))
		b[n++] = 0xc0 | rng_next(rng);
	else
		n += make_mem(mk, rex, b + n);
	fill_immediate(rng, b + n, 15);
	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&mk->g->decoder[!mk->c->bits32], b, 15, &i, operands)))
		return false;
	if (!usable(mk, number, &i, operands))
		return false;
	memset(insn, 0, sizeof(*insn));
	memcpy(insn->bytes, b, i.length);
	insn->len = i.length;
	insn->mnemonic = i.mnemonic;
	insn->wide = i.meta.isa_ext != ZYDIS_ISA_EXT_BASE && i.meta.isa_ext != ZYDIS_ISA_EXT_LONGMODE;
	make_patch(mk, insn, &i, number);
	return true;
}

/* --- flags that are undefined --- */

static bool is_shift(ZydisMnemonic m)
{
	return m == ZYDIS_MNEMONIC_SHL || m == ZYDIS_MNEMONIC_SHR || m == ZYDIS_MNEMONIC_SAR ||
	       m == ZYDIS_MNEMONIC_ROL || m == ZYDIS_MNEMONIC_ROR || m == ZYDIS_MNEMONIC_RCL ||
	       m == ZYDIS_MNEMONIC_RCR || m == ZYDIS_MNEMONIC_SHLD || m == ZYDIS_MNEMONIC_SHRD;
}

/* Shifts: what is undefined depends on the count (SDM 2B, "SAL/SAR/SHL/SHR", "RCL/RCR/ROL/ROR", "SHLD"). */
static void shift_flags(const ZydisDecodedInstruction *i, const ZydisDecodedOperand *op, u64 *defined, u64 *undefined)
{
	ZydisMnemonic m = i->mnemonic;
	bool rotate = m == ZYDIS_MNEMONIC_ROL || m == ZYDIS_MNEMONIC_ROR || m == ZYDIS_MNEMONIC_RCL ||
		      m == ZYDIS_MNEMONIC_RCR;
	const ZydisDecodedOperand *by = &op[m == ZYDIS_MNEMONIC_SHLD || m == ZYDIS_MNEMONIC_SHRD ? 2 : 1];
	bool known = by->type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
	unsigned count = known ? by->imm.value.u & (i->operand_width == 64 ? 63 : 31) : 0;

	*defined = *undefined = 0;
	if (known && count == 0)
		return;
	*defined = RFLAGS_CF | RFLAGS_OF;
	if (!rotate) {
		*defined = RFLAGS_STATUS;
		*undefined |= RFLAGS_AF;
	}
	if (!known || count > 1)
		*undefined |= RFLAGS_OF;
	if (!rotate && m != ZYDIS_MNEMONIC_SAR && (!known || count >= i->operand_width))
		*undefined |= RFLAGS_CF;
	if (!known)
		*defined = 0;
}

static void insn_flags(const ZydisDecodedInstruction *i, const ZydisDecodedOperand *op, u64 *reads, u64 *defined,
		       u64 *undefined)
{
	*reads = *defined = *undefined = 0;
	if (i->cpu_flags) {
		*reads = i->cpu_flags->tested & RFLAGS_STATUS;
		*undefined = i->cpu_flags->undefined & RFLAGS_STATUS;
		*defined = (i->cpu_flags->modified | i->cpu_flags->set_0 | i->cpu_flags->set_1) & RFLAGS_STATUS;
	}
	if (is_shift(i->mnemonic))
		shift_flags(i, op, defined, undefined);
	if (i->mnemonic == ZYDIS_MNEMONIC_PUSHF || i->mnemonic == ZYDIS_MNEMONIC_PUSHFD ||
	    i->mnemonic == ZYDIS_MNEMONIC_PUSHFQ)
		*reads = RFLAGS_STATUS;
	/* A repeated string instruction may execute no iteration. */
	if (i->attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE))
		*defined = 0;
	*defined &= ~*undefined;
}

/* C0, C2 and C3 (and C1, where Zydis says so) as bits of the status word. */
static u16 fsw_bits(u32 flags)
{
	return (flags & ZYDIS_FPUFLAG_C0 ? 1 << 8 : 0) | (flags & ZYDIS_FPUFLAG_C1 ? 1 << 9 : 0) |
	       (flags & ZYDIS_FPUFLAG_C2 ? 1 << 10 : 0) | (flags & ZYDIS_FPUFLAG_C3 ? 1 << 14 : 0);
}

/* FCOMI and its kin: AMD leaves C1 alone, and sets the flags even if the exception is unmasked. */
static bool is_fcomi(ZydisMnemonic m)
{
	return m == ZYDIS_MNEMONIC_FCOMI || m == ZYDIS_MNEMONIC_FCOMIP || m == ZYDIS_MNEMONIC_FUCOMI ||
	       m == ZYDIS_MNEMONIC_FUCOMIP;
}

static void fcomi_undefined(struct diff_case *c, unsigned n, u64 *undefined, u16 *fsw)
{
	bool unmasked = !(c->in.fpu.fcw & 1);

	for (unsigned k = 0; k < n; k++)
		unmasked |= c->insn[k].mnemonic == ZYDIS_MNEMONIC_FLDCW ||
			    c->insn[k].mnemonic == ZYDIS_MNEMONIC_FLDENV ||
			    c->insn[k].mnemonic == ZYDIS_MNEMONIC_FRSTOR;
	*fsw |= 1 << 9;
	if (unmasked)
		*undefined |= RFLAGS_STATUS;
}

/* The undefined flags before each instruction. Code that a branch may skip can make flags undefined, not defined. */
static bool track_undefined(struct generator *g, struct diff_case *c)
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction i;
	unsigned joined = 0; /* the instruction where all branches so far have come together */
	u64 u = 0;
	u16 fsw = 0;

	for (unsigned n = 0; n < c->count; n++) {
		u64 reads, defined, undefined;

		c->undefined[n] = u;
		c->undefined_fsw[n] = fsw;
		if (g->intel_host)
			continue;
		if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&g->decoder[!c->bits32], c->insn[n].bytes, c->insn[n].len, &i,
							 operands)))
			return false;
		insn_flags(&i, operands, &reads, &defined, &undefined);
		if (reads & u || (i.mnemonic == ZYDIS_MNEMONIC_FNSTSW && fsw))
			return false;
		if (n >= joined)
			u &= ~defined;
		u |= undefined;
		if (i.fpu_flags) {
			if (n >= joined && i.meta.isa_set != ZYDIS_ISA_SET_FCMOV) /* which may leave C1 alone */
				fsw &= ~fsw_bits(i.fpu_flags->modified | i.fpu_flags->set_0 | i.fpu_flags->set_1);
			fsw |= fsw_bits(i.fpu_flags->undefined);
		}
		if (is_fcomi(i.mnemonic))
			fcomi_undefined(c, n, &u, &fsw);
		if (c->insn[n].target > (int)joined)
			joined = c->insn[n].target;
	}
	c->undefined[c->count] = u;
	c->undefined_fsw[c->count] = fsw;
	return true;
}

bool diff_assemble(struct generator *g, struct diff_case *c)
{
	unsigned len = 0;
	u64 base;

	for (unsigned n = 0; n < c->count; n++)
		len += c->insn[n].len;
	c->code_len = c->cut ? len : len + 1;
	base = c->cut ? DIFF_CODE + DIFF_PAGE - len : DIFF_CODE + DIFF_CODE_START;
	c->in.rip = base;
	for (unsigned n = 0, at = 0; n <= c->count; n++) {
		c->start[n] = base + at;
		if (n < c->count) {
			memcpy(c->code + at, c->insn[n].bytes, c->insn[n].len);
			at += c->insn[n].len;
		}
	}
	if (!c->cut)
		c->code[len] = 0xcc;
	for (unsigned n = 0; n < c->count; n++) {
		const struct diff_insn *insn = &c->insn[n];
		u64 to = insn->target >= 0 ? c->start[(unsigned)insn->target] : insn->address;
		u64 rel = to - c->start[n + 1];

		if (insn->patch_size)
			memcpy(c->code + (c->start[n] - base) + insn->patch, &rel, insn->patch_size);
	}
	return track_undefined(g, c);
}

/* --- registers --- */

static void make_gprs(struct making *mk)
{
	struct rng *rng = mk->rng;

	for (unsigned r = 0; r < 16; r++) {
		unsigned k = rng_below(rng, 100);

		if (r == RSP || ((r == RSI || r == RDI) && k < 85))
			k = 0;
		if (r == RCX && k < 70)
			k = 50;
		mk->kind[r] = k < 40 ? REG_POINTER : k < 65 ? REG_SMALL : REG_WILD;
		switch (mk->kind[r]) {
		case REG_POINTER:
			mk->c->in.gpr[r] = pick_data_address(rng);
			break;
		case REG_SMALL:
			mk->c->in.gpr[r] = rng_below(rng, rng_percent(rng, 80) ? 24 : 256);
			break;
		default:
			mk->c->in.gpr[r] = pick_value(rng);
			break;
		}
	}
	if (rng_percent(rng, 80))
		mk->c->in.gpr[RSP] &= ~7ull;
	for (unsigned r = 0; mk->c->bits32 && r < 8; r++)
		mk->c->in.gpr[r] = (u32)mk->c->in.gpr[r];
}

/* Floating-point numbers of every kind, in single, double or extended format. */
static u64 pick_double(struct rng *rng)
{
	static const u64 special[] = {0x0000000000000000, 0x8000000000000000, 0x3ff0000000000000, 0xbff0000000000000,
				      0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000, 0x7ff0000000000001,
				      0x0000000000000001, 0x000fffffffffffff, 0x0010000000000000, 0x7fefffffffffffff,
				      0x41dfffffffc00000, 0xc1e0000000000000, 0x43e0000000000000, 0x3fe0000000000000};

	switch (rng_below(rng, 4)) {
	case 0:
		return special[rng_below(rng, ARRAY_SIZE(special))];
	case 1: /* near one */
		return (rng_next(rng) & 0x800fffffffffffff) | (u64)(0x3ff - 40 + rng_below(rng, 80)) << 52;
	default:
		return rng_next(rng);
	}
}

static u32 pick_single(struct rng *rng)
{
	static const u32 special[] = {0x00000000, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000,
				      0xff800000, 0x7fc00000, 0x7f800001, 0x00000001, 0x007fffff,
				      0x00800000, 0x7f7fffff, 0x4effffff, 0xcf000000};

	switch (rng_below(rng, 4)) {
	case 0:
		return special[rng_below(rng, ARRAY_SIZE(special))];
	case 1:
		return (rng_next(rng) & 0x807fffff) | (127 - 20 + rng_below(rng, 40)) << 23;
	default:
		return rng_next(rng);
	}
}

static void make_st(struct rng *rng, u64 *mant, u16 *se)
{
	static const u16 exponents[] = {0, 1, 0x3fff, 0x7ffe, 0x7fff, 0x3fff + 63, 0x3fff - 64};

	*mant = rng_percent(rng, 80) ? rng_next(rng) | BIT(63) : pick_value(rng);
	if (rng_percent(rng, 20))
		*mant = BIT(63);
	*se = rng_next(rng) & 0x8000;
	if (rng_percent(rng, 30))
		*se |= exponents[rng_below(rng, ARRAY_SIZE(exponents))];
	else
		*se |= 0x3fff - 40 + rng_below(rng, 80);
	if (rng_percent(rng, 10))
		*se = *mant = 0;
}

static void make_fpu(struct making *mk)
{
	struct diff_fpu *fpu = &mk->c->in.fpu;
	struct rng *rng = mk->rng;

	memset(fpu, 0, sizeof(*fpu));
	fpu->fcw = 0x37f;
	fpu->mxcsr = 0x1f80;
	if (mk->classes & CLASS_SSE) {
		for (unsigned i = 0; i < 16; i++) {
			bool single = rng_percent(rng, 50);

			for (unsigned k = 0; k < 4; k++)
				store32(fpu->xmm[i] + 4 * k, pick_single(rng));
			for (unsigned k = 0; k < 2 && !single; k++)
				store64(fpu->xmm[i] + 8 * k, pick_double(rng));
		}
		if (rng_percent(rng, 40)) /* rounding, flush to zero, denormals are zero */
			fpu->mxcsr ^= (rng_next(rng) & 0xe000) | (rng_percent(rng, 50) ? 0x40 : 0);
		if (rng_percent(rng, 5)) /* some exceptions unmasked */
			fpu->mxcsr &= ~(rng_next(rng) & 0x1f80);
	}
	if (mk->classes & CLASS_X87) {
		fpu->ftw = rng_percent(rng, 60) ? 0xff : rng_next(rng);
		fpu->fsw = rng_below(rng, 8) << 11 | (rng_next(rng) & 0x4700);
		if (rng_percent(rng, 50)) /* rounding and precision */
			fpu->fcw = 0x7f | (rng_next(rng) & 0xc00) |
				   (rng_percent(rng, 50)   ? 0x300
				    : rng_percent(rng, 50) ? 0x200
							   : 0);
		if (rng_percent(rng, 5))
			fpu->fcw &= ~(rng_next(rng) & 0x3f);
	}
	for (unsigned i = 0; i < 8 && mk->classes & (CLASS_X87 | CLASS_SSE); i++)
		make_st(rng, &fpu->st[i].mant, &fpu->st[i].se);
}

void gen_case(struct generator *g, struct rng *rng, unsigned classes, struct diff_case *c)
{
	struct making mk = {.rng = rng, .g = g, .c = c, .classes = classes};

	do {
		memset(c, 0, sizeof(*c));
		c->intel_host = g->intel_host;
		c->bits32 = rng_percent(rng, 20);
		c->cut = rng_percent(rng, 2);
		c->count = 1 + rng_below(rng, DIFF_MAX_INSNS);
		make_gprs(&mk);
		make_fpu(&mk);
		c->in.rflags = RFLAGS_1 | RFLAGS_IF | (rng_next(rng) & RFLAGS_STATUS) |
			       (rng_percent(rng, 15) ? RFLAGS_DF : 0);
		for (unsigned n = 0; n < c->count; n++)
			while (!try_insn(&mk, &c->insn[n], n))
				;
	} while (!diff_assemble(g, c));
}

struct generator *gen_create(bool intel_host)
{
	struct generator *g = calloc(1, sizeof(*g));

	isa_decoder_init(&g->decoder[0], 32);
	isa_decoder_init(&g->decoder[1], 64);
	g->intel_host = intel_host;
	return g;
}

void gen_free(struct generator *g)
{
	free(g);
}
