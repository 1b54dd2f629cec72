// SPDX-License-Identifier: GPL-2.0-or-later
/* The decoder: prefixes, opcode maps, ModRM and SIB, displacements, immediates (SDM volume 2, chapter 2). */
#include "vmm/soft/decode.h"
#include "vmm/soft/ops.h"
#include "vmm/x86/regs.h"

/* Longest reach beyond INSN_MAX_LEN while parsing: opcode, ModRM, SIB, disp32, imm64. */
#define PARSE_SLACK 24

struct parse {
	u8 bytes[INSN_MAX_LEN + PARSE_SLACK];
	unsigned pos;
	unsigned mode;
	u8 rex;
	u8 rep; /* F3, F2 or 0 */
	bool op66, lock;
	s8 seg; /* override, or -1 */
	bool modrm_mem;
	bool rip_relative;
};

static u64 take(struct parse *p, unsigned n)
{
	u64 v = 0;

	memcpy(&v, p->bytes + p->pos, n);
	p->pos += n;
	return v;
}

static u64 take_signed(struct parse *p, unsigned n)
{
	unsigned shift = 64 - 8 * n;

	return (u64)((s64)(take(p, n) << shift) >> shift);
}

/* Legacy prefixes and REX. A REX counts only directly before the opcode. */
static void parse_prefixes(struct parse *p, struct insn *i)
{
	bool is64 = p->mode & MODE_64, op67 = false;

	for (; p->pos < INSN_MAX_LEN; p->pos++) {
		u8 b = p->bytes[p->pos];

		if (is64 && (b & 0xf0) == 0x40) {
			p->rex = b;
			continue;
		}
		switch (b) {
		case 0x66:
			p->op66 = true;
			break;
		case 0x67:
			op67 = true;
			break;
		case 0xf0:
			p->lock = true;
			break;
		case 0xf2:
		case 0xf3:
			p->rep = b;
			break;
		case 0x26:
		case 0x2e:
		case 0x36:
		case 0x3e:
			if (!is64)
				p->seg = b >> 3 & 3;
			break;
		case 0x64:
		case 0x65:
			p->seg = b == 0x64 ? SEG_FS : SEG_GS;
			break;
		default:
			goto done;
		}
		p->rex = 0;
	}
done:
	if (is64)
		i->asize = op67 ? 4 : 8;
	else
		i->asize = !!(p->mode & MODE_32) != op67 ? 4 : 2;
}

static void set_osize(const struct parse *p, struct insn *i, u32 flags)
{
	if (p->mode & MODE_64) {
		if ((p->rex & 8) || (flags & OP_F64))
			i->osize = 8;
		else if (flags & OP_D64)
			i->osize = p->op66 ? 2 : 8;
		else
			i->osize = p->op66 ? 2 : 4;
	} else {
		i->osize = !!(p->mode & MODE_32) != p->op66 ? 4 : 2;
	}
}

static void parse_sib(struct parse *p, struct insn *i, unsigned mod)
{
	u8 sib = (u8)take(p, 1);
	unsigned index = (sib >> 3 & 7) | (p->rex & 2 ? 8 : 0), base = (sib & 7) | (p->rex & 1 ? 8 : 0);

	i->scale = sib >> 6;
	if (index != RSP)
		i->index = (u8)index;
	if ((sib & 7) == 5 && mod == 0) {
		i->disp = take_signed(p, 4);
	} else {
		i->base = (u8)base;
		if (base == RSP || base == RBP)
			i->seg = SEG_SS;
	}
}

static void parse_address32(struct parse *p, struct insn *i, unsigned mod, unsigned rm)
{
	if (rm == 4) {
		parse_sib(p, i, mod);
	} else if (rm == 5 && mod == 0) {
		i->disp = take_signed(p, 4);
		p->rip_relative = p->mode & MODE_64;
	} else {
		i->base = (u8)(rm | (p->rex & 1 ? 8 : 0));
		if (i->base == RBP)
			i->seg = SEG_SS;
	}
	if (mod == 1)
		i->disp += take_signed(p, 1);
	else if (mod == 2)
		i->disp += take_signed(p, 4);
}

static void parse_address16(struct parse *p, struct insn *i, unsigned mod, unsigned rm)
{
	static const u8 base[8] = {RBX, RBX, RBP, RBP, RSI, RDI, RBP, RBX};
	static const u8 index[8] = {RSI, RDI, RSI, RDI, GPR_NONE, GPR_NONE, GPR_NONE, GPR_NONE};

	if (rm == 6 && mod == 0) {
		i->disp = take(p, 2);
		return;
	}
	i->base = base[rm];
	i->index = index[rm];
	if (i->base == RBP)
		i->seg = SEG_SS;
	if (mod == 1)
		i->disp = take_signed(p, 1);
	else if (mod == 2)
		i->disp = take_signed(p, 2);
}

static u8 byte_register(const struct parse *p, unsigned n)
{
	return (u8)(n >= 4 && n < 8 && !p->rex ? (n - 4) * 8 + 1 : n * 8);
}

static void parse_modrm(struct parse *p, struct insn *i, bool registers)
{
	unsigned mod, rm;

	i->modrm = (u8)take(p, 1);
	mod = i->modrm >> 6;
	rm = i->modrm & 7;
	i->reg = (u8)((i->modrm >> 3 & 7) | (p->rex & 4 ? 8 : 0));
	if (mod == 3 || registers) {
		i->rm = (u8)(rm | (p->rex & 1 ? 8 : 0));
		return;
	}
	p->modrm_mem = true;
	if (i->asize == 2)
		parse_address16(p, i, mod, rm);
	else
		parse_address32(p, i, mod, rm);
}

static u64 mask_rip(const struct parse *p, const struct insn *i, u64 rip)
{
	if (p->mode & MODE_64)
		return rip;
	return i->osize == 2 ? (u16)rip : (u32)rip;
}

static void parse_immediate(struct parse *p, struct insn *i, u32 flags)
{
	if (flags & OP_IMM8) {
		i->imm = take_signed(p, 1);
	} else if (flags & OP_ONE) {
		i->imm = 1;
	} else if (flags & OP_IMM8U) {
		i->imm = take(p, 1);
	} else if (flags & OP_IMM16) {
		i->imm = take(p, 2);
	} else if (flags & OP_IMMZ) {
		i->imm = take_signed(p, i->osize == 2 ? 2 : 4);
	} else if (flags & OP_IMMV) {
		i->imm = take_signed(p, i->osize);
	} else if (flags & OP_REL8) {
		i->imm = take_signed(p, 1);
	} else if (flags & OP_RELZ) {
		i->imm = take_signed(p, i->osize == 2 ? 2 : 4);
	} else if (flags & OP_MOFFS) {
		i->disp = take(p, i->asize);
		p->modrm_mem = true;
	} else if (flags & OP_FAR) {
		i->imm = take(p, i->osize == 2 ? 2 : 4);
		i->aux = (u16)take(p, 2);
	} else if (flags & OP_ENTER) {
		i->imm = take(p, 2);
		i->aux = (u16)take(p, 1);
	}
}

const struct opcode *opcode_entry(unsigned map, u8 op)
{
	const struct opcode *o;

	switch (map) {
	case 0:
		return &opcodes_1[op];
	case 1:
		o = &opcodes_0f[op];
		return o->flags || o->reg[1] || o->mem[1] ? o : &sse_0f[op];
	case 2:
		o = &int_0f38[op];
		return o->flags ? o : &sse_0f38[op];
	default:
		return &sse_0f3a[op];
	}
}

static const struct opcode *first_opcode(struct parse *p, struct insn *i)
{
	unsigned map = 0;

	i->op = (u8)take(p, 1);
	if (i->op == 0x0f) {
		i->op = (u8)take(p, 1);
		map = i->op == 0x38 ? 2 : i->op == 0x3a ? 3 : 1;
		if (map > 1)
			i->op = (u8)take(p, 1);
	}
	return opcode_entry(map, i->op);
}

static const struct opcode *below(const struct parse *p, const struct opcode *op, const struct insn *i)
{
	if (op->flags & OP_GROUP)
		return &op->sub[i->modrm >> 3 & 7];
	if (op->flags & OP_GROUP_RM)
		return &op->sub[i->modrm & 7];
	return &op->sub[p->rep == 0xf3 ? 2 : p->rep == 0xf2 ? 3 : p->op66 ? 1 : 0];
}

/* LES, LDS and BOUND share their opcodes with VEX and EVEX, which this CPU model doesn't have. */
static bool vex_like(const struct parse *p, const struct insn *i)
{
	return i->op == 0xc4 || i->op == 0xc5 || i->op == 0x62 ? p->bytes[p->pos] >= 0xc0 : false;
}

static insn_fn *pick_x87(struct insn *i, bool mem)
{
	unsigned row = i->op - 0xd8u;

	i->aux = (u16)((row << 8) | i->modrm);
	return mem ? x87_mem[row][i->modrm >> 3 & 7] : x87_reg[row][i->modrm & 63];
}

static void operand_registers(const struct parse *p, struct insn *i, u32 flags)
{
	if (flags & OP_REGOP)
		i->rm = (u8)((i->op & 7) | (p->rex & 1 ? 8 : 0));
	if (flags & OP_BYTE)
		i->reg = byte_register(p, i->reg);
	if ((flags & (OP_BYTE | OP_BYTE_RM)) && !p->modrm_mem)
		i->rm = byte_register(p, i->rm);
}

/* Register numbers that don't exist: segment registers above GS, control registers other than 0, 2, 3, 4 and 8. */
static bool register_exists(const struct insn *i, u32 flags)
{
	if (flags & OP_SREG)
		return i->reg <= SEG_GS && !(i->op == 0x8e && i->reg == SEG_CS);
	if (flags & OP_CR)
		return i->op & 1 ? i->reg < 8 : i->reg == 0 || (i->reg >= 2 && i->reg <= 4) || i->reg == 8;
	return true;
}

unsigned decode_insn(const u8 *bytes, unsigned avail, u64 rip, unsigned mode, struct insn *i, bool *end)
{
	struct parse p = {.mode = mode, .seg = -1};
	const struct opcode *op;
	bool valid = true, one_byte;
	insn_fn *fn = NULL;
	u32 flags;

	memcpy(p.bytes, bytes, avail < INSN_MAX_LEN ? avail : INSN_MAX_LEN);
	*i = (struct insn){.base = GPR_NONE, .index = GPR_NONE, .seg = SEG_DS};
	parse_prefixes(&p, i);
	one_byte = p.bytes[p.pos] != 0x0f;
	op = first_opcode(&p, i);
	flags = op->flags;
	if (one_byte && vex_like(&p, i))
		valid = false;
	if (flags & (OP_MODRM | OP_GROUP))
		parse_modrm(&p, i, flags & OP_CR);
	while (op->sub && !((op->flags & OP_GROUP_RM) && p.modrm_mem)) {
		op = below(&p, op, i);
		flags |= op->flags;
	}
	set_osize(&p, i, flags);
	parse_immediate(&p, i, flags);
	if (p.seg >= 0)
		i->seg = (u8)p.seg;
	if (one_byte && i->op >= 0xd8 && i->op <= 0xdf)
		fn = pick_x87(i, p.modrm_mem);
	else
		fn = (p.modrm_mem && (flags & OP_MODRM) ? op->mem : op->reg)[i->osize == 2 ? 0 : i->osize == 4 ? 1 : 2];
	operand_registers(&p, i, flags);
	if (p.lock && !((flags & OP_LOCK) && p.modrm_mem))
		valid = false;
	if (flags & OP_SREG)
		i->reg &= 7; /* REX.R doesn't reach segment registers */
	if (!register_exists(i, flags))
		valid = false;
	if ((mode & MODE_64) ? flags & OP_I64 : flags & OP_O64)
		valid = false;
	if ((flags & OP_PROT) && (mode & MODE_REAL))
		valid = false;
	i->flags = (p.modrm_mem ? INSN_MEM : 0) | (p.lock ? INSN_LOCK : 0) | (p.op66 ? INSN_OP66 : 0) |
		   (p.rep == 0xf3   ? INSN_REP
		    : p.rep == 0xf2 ? INSN_REPNE
				    : 0);
	if ((mode & MODE_64) && i->asize == 8 && i->seg < SEG_FS)
		i->flags |= INSN_FLAT;
	i->len = (u8)(p.pos > 255 ? 255 : p.pos);
	if (p.rip_relative)
		i->disp += rip + i->len;
	if (flags & (OP_REL8 | OP_RELZ))
		i->imm = mask_rip(&p, i, rip + i->len + i->imm);
	*end = flags & OP_END;
	if (p.pos > avail && avail < INSN_MAX_LEN)
		return 0;
	if (p.pos > INSN_MAX_LEN) {
		i->len = INSN_MAX_LEN;
		fn = op_too_long;
	} else if (!valid || !fn) {
		fn = op_ud;
	}
	if (fn == op_ud || fn == op_too_long)
		*end = true;
	i->fn = fn;
	return i->len;
}
