/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One instruction: a form, prefixes and operand bytes. Zydis tells its length and whether the CPU model has it. Memory
 * operands and the registers some instructions rest on are shaped, so that not everything faults. */
#include <stdio.h>

#include "tests/cpu/gen.h"
#include "vmm/soft/decode.h"
#include "vmm/x86/regs.h"

/* What an instruction needs to do more than fault. */
enum shape {
	SHAPE_NONE,
	SHAPE_LOAD,     /* an image at SLOT_FXSAVE, ... */
	SHAPE_SAVE,     /* an image anywhere, the address known */
	SHAPE_FAR,      /* a far pointer in memory, or a near one */
	SHAPE_TARGET,   /* a code address in the register */
	SHAPE_FRAME,    /* a return frame on the stack */
	SHAPE_SELECTOR, /* a selector in register or memory */
	SHAPE_POP_SEG,  /* on the stack */
	SHAPE_FAR_IMM,  /* an immediate far pointer */
	SHAPE_COMPARE,  /* CMPXCHG: something equal */
	SHAPE_BASE,     /* WRFSBASE: an address */
	SHAPE_XGETBV,   /* ECX that names no register */
	SHAPE_COUNT,    /* CL below the operand's size: SHLD and SHRD */
	SHAPE_PUSH_SEG, /* zeros where PUSH Sreg may leave half of a slot */
};

struct build {
	struct making *mk;
	const struct form *f;
	enum shape shape;
	u8 b[64];
	unsigned n;   /* bytes */
	unsigned pre; /* of them MOVs */
	unsigned rex;
	bool op66, op67, lock;
	unsigned asize; /* 2, 4, 8 */
	bool fixed;     /* the memory operand is at @address */
	u64 address;
};

static enum shape shape_one_byte(const struct form *f)
{
	switch (f->op) {
	case 0xd9:
	case 0xdd:
		if (f->kind != FORM_MEM)
			return SHAPE_NONE;
		return f->reg == 4 ? SHAPE_LOAD : f->reg == 6 ? SHAPE_SAVE : SHAPE_NONE;
	case 0xff:
		if (f->reg < 2 || f->reg > 5)
			return SHAPE_NONE;
		return f->kind == FORM_MEM ? SHAPE_FAR : SHAPE_TARGET;
	case 0xc4:
	case 0xc5:
		return SHAPE_FAR;
	case 0xc2:
	case 0xc3:
	case 0xca:
	case 0xcb:
	case 0xcf:
		return SHAPE_FRAME;
	case 0x8e:
	case 0x63:
		return SHAPE_SELECTOR;
	case 0x06:
	case 0x0e:
	case 0x16:
	case 0x1e:
		return SHAPE_PUSH_SEG;
	case 0x07:
	case 0x17:
	case 0x1f:
		return SHAPE_POP_SEG;
	case 0x9a:
	case 0xea:
		return SHAPE_FAR_IMM;
	default:
		return SHAPE_NONE;
	}
}

static enum shape shape_two_byte(const struct form *f)
{
	switch (f->op) {
	case 0x00:
		return f->reg == 4 || f->reg == 5 ? SHAPE_SELECTOR : SHAPE_NONE;
	case 0x01:
		return f->reg == 2 && f->rm == 0 ? SHAPE_XGETBV : SHAPE_NONE;
	case 0x02:
	case 0x03:
		return SHAPE_SELECTOR;
	case 0xa0:
	case 0xa8:
		return SHAPE_PUSH_SEG;
	case 0xa1:
	case 0xa9:
		return SHAPE_POP_SEG;
	case 0xa5:
	case 0xad:
		return SHAPE_COUNT;
	case 0xae:
		if (f->kind == FORM_REG)
			return f->prefix == 2 && (f->reg == 2 || f->reg == 3) ? SHAPE_BASE : SHAPE_NONE;
		if (f->prefix)
			return SHAPE_NONE;
		return f->reg == 1 || f->reg == 5                  ? SHAPE_LOAD
		       : f->reg == 0 || f->reg == 4 || f->reg == 6 ? SHAPE_SAVE
								   : SHAPE_NONE;
	case 0xb0:
	case 0xb1:
		return SHAPE_COMPARE;
	case 0xb2:
	case 0xb4:
	case 0xb5:
		return SHAPE_FAR;
	case 0xc7:
		if (f->kind == FORM_REG)
			return SHAPE_NONE;
		return f->reg == 1                  ? SHAPE_COMPARE
		       : f->reg == 3                ? SHAPE_LOAD
		       : f->reg == 4 || f->reg == 5 ? SHAPE_SAVE
						    : SHAPE_NONE;
	default:
		return SHAPE_NONE;
	}
}

static enum shape shape_of(const struct form *f)
{
	if (!f->defined)
		return SHAPE_NONE;
	return f->map == 0 ? shape_one_byte(f) : f->map == 1 ? shape_two_byte(f) : SHAPE_NONE;
}

/* --- registers loaded beforehand --- */

static void emit_mov(struct build *b, unsigned reg, u32 value)
{
	if (b->mk->c->bits == 16)
		b->b[b->n++] = 0x66;
	if (reg >= 8)
		b->b[b->n++] = 0x41;
	b->b[b->n++] = 0xb8 + (reg & 7);
	store32(b->b + b->n, value);
	b->n += 4;
}

static u64 slot_address(const struct build *b, unsigned slot)
{
	return b->mk->c->segmented ? slot : DIFF_DATA + slot;
}

static u32 landing(const struct build *b)
{
	u32 pad = DIFF_LANDING + rng_below(b->mk->rng, DIFF_LANDING_END - DIFF_LANDING);

	return b->mk->c->segmented ? pad : DIFF_CODE + pad;
}

static unsigned osize_index(const struct build *b)
{
	if (b->mk->c->bits == 64)
		return b->rex & 8 || b->f->flags & OP_F64 ? 2 : b->op66 ? 0 : b->f->flags & OP_D64 ? 2 : 1;
	return (b->mk->c->bits == 32) != b->op66;
}

/* XSAVE and its kin: components that the model has, or none. */
static void load_components(struct build *b)
{
	struct rng *rng = b->mk->rng;
	u64 mask = ~b->mk->g->host.xcr0 | XCR0_X87 | XCR0_SSE, rfbm = rng_next(rng);

	if (rng_percent(rng, 60))
		rfbm |= 3;
	emit_mov(b, RAX, rfbm & mask);
	emit_mov(b, RDX, (rfbm & mask) >> 32);
}

static void shape_load(struct build *b)
{
	static const unsigned slots[] = {SLOT_FXSAVE, SLOT_XSAVE, SLOT_COMPACT, SLOT_ENV};
	struct rng *rng = b->mk->rng;

	if (b->f->map == 1 && (b->f->op == 0xc7 || b->f->reg >= 4))
		load_components(b);
	b->fixed = true;
	b->address = slot_address(b, slots[rng_below(rng, 4)]);
	if (rng_percent(rng, 75))
		b->address = slot_address(b, b->f->map == 0   ? SLOT_ENV
					     : b->f->reg == 1 ? SLOT_FXSAVE
							      : (rng_percent(rng, 60) ? SLOT_XSAVE : SLOT_COMPACT));
	if (rng_percent(rng, 12))
		b->address = pick_data_address(b->mk);
}

static void shape_save(struct build *b)
{
	struct rng *rng = b->mk->rng;

	if (b->f->map == 1 && (b->f->op == 0xc7 || b->f->reg >= 4))
		load_components(b);
	b->fixed = true;
	b->address = pick_data_address(b->mk);
	if (rng_percent(rng, 85))
		b->address &= ~63ull;
}

static void shape_selector(struct build *b)
{
	struct rng *rng = b->mk->rng;
	unsigned rm = rng_below(rng, 8) | (b->rex & 1 ? 8 : 0);

	if (b->f->kind == FORM_MEM) {
		b->fixed = rng_percent(rng, 70);
		b->address = slot_address(b, SLOT_SELECTOR + 8 * rng_below(rng, SLOT_SELECT_N));
	} else if (rng_percent(rng, 85)) {
		if (rm == RSP)
			rm = RAX;
		b->address = 0xc0 | (rm & 7);
		b->fixed = true;
		b->rex = (b->rex & ~1u) | rm >> 3;
		emit_mov(b, rm, pick_selector(&b->mk->g->host, rng) | (rng_next(rng) & 0xffff0000));
	}
}

static void shape_target(struct build *b, u32 value, unsigned percent)
{
	unsigned rm = rng_below(b->mk->rng, 8);

	if (rm == RSP || !rng_percent(b->mk->rng, percent))
		return;
	b->fixed = true;
	b->rex &= ~1u;
	b->address = 0xc0 | rm;
	emit_mov(b, rm, value);
}

static void shape_compare(struct build *b)
{
	struct rng *rng = b->mk->rng;

	if (rng_percent(rng, 50))
		return;
	emit_mov(b, RAX, 0);
	if (b->f->op == 0xc7)
		emit_mov(b, RDX, 0);
	if (b->f->kind == FORM_MEM) {
		b->fixed = true;
		b->address = slot_address(b, SLOT_ZERO + 16 * rng_below(rng, 3) + (rng_percent(rng, 20) ? 8 : 0));
	}
}

/* MOV dword [ESP - 4], 0: AMD writes 32 bits, Intel 16. */
static void shape_push_seg(struct build *b)
{
	static const u8 mov[] = {0x66, 0x67, 0xc7, 0x44, 0x24, 0xfc, 0, 0, 0, 0};
	unsigned skip = b->mk->c->bits == 16 ? 0 : 2;

	if (b->mk->c->bits == 64 || osize_index(b) != 1)
		return;
	memcpy(b->b, mov + skip, sizeof(mov) - skip);
	b->n = sizeof(mov) - skip;
}

/* Emits the MOVs. */
static void prepare(struct build *b)
{
	struct rng *rng = b->mk->rng;
	unsigned os = osize_index(b);

	switch (b->shape) {
	case SHAPE_NONE:
	case SHAPE_FAR_IMM:
		break;
	case SHAPE_LOAD:
		shape_load(b);
		break;
	case SHAPE_SAVE:
		shape_save(b);
		break;
	case SHAPE_FAR:
		b->fixed = rng_percent(rng, 80);
		b->address = slot_address(b, SLOT_FAR + 16 * (os * SLOT_FAR_N + rng_below(rng, SLOT_FAR_N)));
		break;
	case SHAPE_TARGET:
		shape_target(b, landing(b), 70);
		break;
	case SHAPE_BASE:
		shape_target(b, rng_percent(rng, 50) ? pick_data_address(b->mk) : rng_below(rng, 256), 70);
		break;
	case SHAPE_FRAME:
		if (rng_percent(rng, 85))
			emit_mov(b, RSP, slot_address(b, SLOT_FRAME + 64 * os));
		break;
	case SHAPE_POP_SEG:
		if (rng_percent(rng, 85))
			emit_mov(b, RSP, slot_address(b, SLOT_SELECTOR + 8 * rng_below(rng, SLOT_SELECT_N)));
		break;
	case SHAPE_COUNT:
		if (os == 0)
			emit_mov(b, RCX, rng_below(rng, 17) | (rng_next(rng) & 0xffffffe0));
		break;
	case SHAPE_PUSH_SEG:
		shape_push_seg(b);
		break;
	case SHAPE_SELECTOR:
		shape_selector(b);
		break;
	case SHAPE_COMPARE:
		shape_compare(b);
		break;
	case SHAPE_XGETBV:
		emit_mov(b, RCX, 2 + (rng_next(rng) & 0x7fffffff));
		break;
	}
	b->pre = b->n;
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

static void mem_absolute(struct build *b, unsigned reg, u64 address)
{
	if (b->asize == 2) {
		b->b[b->n++] = reg << 3 | 6;
		store16(b->b + b->n, address);
		b->n += 2;
		return;
	}
	b->b[b->n++] = reg << 3 | 5; /* in 64-bit code relative to RIP: filled in later */
	store32(b->b + b->n, address);
	b->n += 4;
	b->address = address;
}

static void mem16(struct build *b, unsigned reg)
{
	struct rng *rng = b->mk->rng;
	unsigned mod = rng_below(rng, 3), rm = rng_below(rng, 8);

	if (mod == 0 && rm == 6)
		return mem_absolute(b, reg, pick_data_address(b->mk));
	b->b[b->n++] = mod << 6 | reg << 3 | rm;
	if (mod == 1)
		b->b[b->n++] = pick_disp(rng);
	if (mod != 2)
		return;
	store16(b->b + b->n, rng_percent(rng, 50) ? pick_disp(rng) : -rng_below(rng, DIFF_DATA_SIZE));
	b->n += 2;
}

/* ModRM, SIB and displacement. */
static void emit_mem(struct build *b, unsigned reg)
{
	struct making *mk = b->mk;
	struct rng *rng = mk->rng;
	unsigned mod = rng_below(rng, 3), base = pick_reg(mk, REG_POINTER, b->rex & 1);
	u8 *p = b->b;

	if (b->fixed || rng_percent(rng, 8))
		return mem_absolute(b, reg, b->fixed ? b->address : pick_data_address(mk));
	if (b->asize == 2)
		return mem16(b, reg);
	if (rng_percent(rng, 4)) { /* absolute by SIB */
		p[b->n++] = reg << 3 | 4;
		p[b->n++] = 0x25;
		store32(p + b->n, pick_data_address(mk));
		b->n += 4;
		return;
	}
	if (base == 5 && mod == 0)
		mod = 1;
	if (base == 4 || rng_percent(rng, 30)) {
		unsigned index = rng_percent(rng, 20) ? 4 : pick_reg(mk, REG_SMALL, b->rex >> 1 & 1);

		p[b->n++] = mod << 6 | reg << 3 | 4;
		p[b->n++] = rng_below(rng, 4) << 6 | index << 3 | base;
	} else {
		p[b->n++] = mod << 6 | reg << 3 | base;
	}
	if (mod == 1) {
		p[b->n++] = pick_disp(rng);
	} else if (mod == 2) {
		store32(p + b->n, pick_disp(rng));
		b->n += 4;
	}
}

/* --- prefixes and opcode --- */

static bool is_string(const struct form *f)
{
	return f->map == 0 && ((f->op >= 0xa4 && f->op <= 0xa7) || (f->op >= 0xaa && f->op <= 0xaf));
}

/* Chooses the prefixes that change sizes; the bytes come later, since MOVs may come before. */
static unsigned choose_prefixes(struct build *b, u8 *prefix)
{
	static const u8 segments[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};
	const struct form *f = b->f;
	struct making *mk = b->mk;
	struct rng *rng = mk->rng;
	bool placed = b->shape == SHAPE_LOAD || b->shape == SHAPE_SAVE;
	unsigned n = 0, bits = mk->c->bits;

	if (f->prefix == 2 || f->prefix == 3)
		prefix[n++] = f->prefix == 2 ? 0xf3 : 0xf2;
	else if (f->prefix < 0 && rng_percent(rng, is_string(f) ? 50 : 5))
		prefix[n++] = rng_percent(rng, 50) ? 0xf3 : 0xf2;
	if (f->prefix == 1 || (f->prefix < 0 && rng_percent(rng, 25)) || (f->prefix > 1 && rng_percent(rng, 15)))
		prefix[n++] = 0x66;
	b->op66 = n && prefix[n - 1] == 0x66;
	/* A place that is known is known in the flat address space. */
	b->op67 = !(placed && bits == 32 && !mk->c->segmented) && rng_percent(rng, mk->c->segmented ? 20 : 5);
	if (b->op67)
		prefix[n++] = 0x67;
	b->lock = rng_percent(rng, f->lock && f->kind == FORM_MEM ? 30 : 2);
	if (b->lock)
		prefix[n++] = 0xf0;
	if (!placed && rng_percent(rng, mk->c->segmented ? 15 : 5))
		prefix[n++] = segments[rng_below(rng, 6)];
	if (!placed && rng_percent(rng, 1))
		while (n < 14 && rng_percent(rng, 95))
			prefix[n++] = segments[rng_below(rng, 4)];
	for (unsigned i = 0; i < n; i++) { /* in any order */
		unsigned k = rng_below(rng, n);
		u8 t = prefix[i];

		prefix[i] = prefix[k];
		prefix[k] = t;
	}
	if (bits == 64 && rng_percent(rng, 60))
		b->rex = 0x40 | rng_below(rng, 16);
	b->asize = bits == 64 ? (b->op67 ? 4 : 8) : (bits == 32) != b->op67 ? 4 : 2;
	return n;
}

static void emit_opcode(struct build *b)
{
	static const u8 escape[4] = {0, 0, 0x38, 0x3a};

	if (b->f->map)
		b->b[b->n++] = 0x0f;
	if (b->f->map > 1)
		b->b[b->n++] = escape[b->f->map];
	b->b[b->n++] = b->f->op;
}

static void emit_operands(struct build *b)
{
	const struct form *f = b->f;
	struct rng *rng = b->mk->rng;
	unsigned reg = f->reg >= 0 ? (unsigned)f->reg : rng_below(rng, 8);

	if (f->kind == FORM_MEM && !(f->flags & OP_MOFFS))
		emit_mem(b, reg);
	else if (f->kind == FORM_REG && f->rm >= 0)
		b->b[b->n++] = 0xc0 | reg << 3 | f->rm;
	else if (f->kind == FORM_REG && f->any_mod)
		b->b[b->n++] = rng_next(rng);
	else if (f->kind == FORM_REG)
		b->b[b->n++] = (b->fixed ? b->address : 0xc0 | rng_below(rng, 8)) | reg << 3;
}

/* --- after decoding --- */

static void fill_immediate(struct rng *rng, u8 *p, unsigned n)
{
	u64 value = pick_value(rng);

	for (unsigned i = 0; i < n; i++)
		p[i] = value >> (8 * (i & 7));
}

static void make_far_immediate(struct build *b, struct diff_insn *insn, const ZydisDecodedInstruction *i)
{
	unsigned offset_size = i->raw.imm[0].size / 8;

	if (rng_percent(b->mk->rng, 10))
		return;
	for (unsigned k = 0; k < offset_size; k++)
		insn->bytes[insn->pre + i->raw.imm[0].offset + k] = 0;
	store16(insn->bytes + insn->pre + i->raw.imm[0].offset, landing(b));
	if (offset_size > 2)
		store32(insn->bytes + insn->pre + i->raw.imm[0].offset, landing(b));
	store16(insn->bytes + insn->len - 2, pick_selector(&b->mk->g->host, b->mk->rng));
}

/* Fields that depend on where the instruction will be, and absolute addresses without ModRM. */
static void make_patch(struct build *b, struct diff_insn *insn, const ZydisDecodedInstruction *i, unsigned number)
{
	struct making *mk = b->mk;

	insn->target = insn->modifies = -1;
	insn->address = b->fixed && b->f->kind == FORM_MEM ? b->address : 0;
	if (mk->c->segmented)
		insn->address += diff_ldt[mk->c->in.seg[SEG_DS] >> 3].base;
	if (i->raw.imm[0].is_relative && i->raw.imm[0].size) {
		insn->patch = insn->pre + i->raw.imm[0].offset;
		insn->patch_size = i->raw.imm[0].size / 8;
		insn->target = number + 1 + rng_below(mk->rng, mk->c->count - number);
	} else if (mk->c->bits == 64 && b->f->kind == FORM_MEM && i->attributes & ZYDIS_ATTRIB_HAS_MODRM &&
		   i->raw.modrm.mod == 0 && i->raw.modrm.rm == 5) {
		insn->patch = insn->pre + i->raw.disp.offset;
		insn->patch_size = 4;
		insn->address = load32(insn->bytes + insn->patch);
	} else if (b->f->flags & OP_MOFFS) {
		u64 address = pick_data_address(mk);

		memcpy(insn->bytes + insn->pre + i->raw.disp.offset, &address, i->raw.disp.size / 8);
	} else if (b->shape == SHAPE_FAR_IMM) {
		make_far_immediate(b, insn, i);
	}
}

static u8 image_of(const struct build *b, unsigned osize)
{
	if (b->shape != SHAPE_SAVE)
		return IMAGE_NONE;
	if (b->f->map == 0)
		return osize == 2 ? IMAGE_ENV16 : IMAGE_ENV32;
	if (b->f->op == 0xae && b->f->reg == 6)
		return IMAGE_XSAVEOPT;
	return b->f->op == 0xae && b->f->reg == 0 ? IMAGE_FXSAVE : IMAGE_XSAVE;
}

/* Nothing follows what always faults, jumps anywhere, or leaves something open. */
static bool is_last(const struct build *b, const ZydisDecodedInstruction *i)
{
	switch (i->mnemonic) {
	case ZYDIS_MNEMONIC_INT:
	case ZYDIS_MNEMONIC_INT3:
	case ZYDIS_MNEMONIC_INT1:
	case ZYDIS_MNEMONIC_UD0:
	case ZYDIS_MNEMONIC_UD1:
	case ZYDIS_MNEMONIC_UD2:
	case ZYDIS_MNEMONIC_IRET:
	case ZYDIS_MNEMONIC_IRETD:
	case ZYDIS_MNEMONIC_IRETQ:
	case ZYDIS_MNEMONIC_IN:
	case ZYDIS_MNEMONIC_OUT:
	case ZYDIS_MNEMONIC_XGETBV:
		return true;
	default:
		break;
	}
	/* MMX state, or not (exceptions.c). */
	if (i->mnemonic == ZYDIS_MNEMONIC_CVTPI2PS && b->f->kind == FORM_MEM)
		return true;
	if (i->attributes & ZYDIS_ATTRIB_IS_PRIVILEGED || b->shape == SHAPE_SAVE || is_approximate(i->mnemonic))
		return true;
	return i->meta.branch_type != ZYDIS_BRANCH_TYPE_NONE && !i->raw.imm[0].is_relative;
}

static void describe(struct build *b, struct diff_insn *insn, const ZydisDecodedInstruction *i)
{
	static const unsigned modes[] = {0, MODE_32 | MODE_SS32, MODE_64 | MODE_32 | MODE_SS32};
	struct insn decoded;
	bool end;

	memset(insn, 0, sizeof(*insn));
	insn->target = insn->modifies = -1;
	insn->pre = b->pre;
	insn->len = b->pre + i->length;
	memcpy(insn->bytes, b->b, insn->len);
	insn->mnemonic = i->mnemonic;
	insn->form = b->f - b->mk->g->forms;
	insn->lock = b->lock;
	decode_insn(b->b + b->pre, INSN_MAX_LEN, 0, modes[bits_index(b->mk->c->bits)], &decoded, &end);
	insn->osize = decoded.osize == 2 ? 0 : decoded.osize == 4 ? 1 : 2;
	insn->asize = decoded.asize == 2 ? 0 : decoded.asize == 4 ? 1 : 2;
	insn->image = image_of(b, decoded.osize);
}

/* Instructions of virtual machines, with whatever prefix: the hypervisor below the host answers. */
static bool is_virtual(const struct form *f)
{
	return f->map == 1 && f->op == 0x01 && f->kind == FORM_REG;
}

/* A near branch with 66 in 64-bit code has a shorter displacement on AMD. */
static bool is_near_branch(const struct form *f)
{
	return f->flags & OP_RELZ;
}

/* Zydis can't decode it, as a part of the CPU model. An instruction that the host may have isn't tried. */
static bool make_undefined(struct build *b, struct diff_insn *insn)
{
	unsigned bits = bits_index(b->mk->c->bits);
	ZydisDecodedInstruction i;
	ZyanStatus status;

	memset(b->b + b->n, 0xcc, 15); /* what will follow */
	status = ZydisDecoderDecodeInstruction(&b->mk->g->decoder[bits], NULL, b->b + b->pre, 32, &i);
	if (ZYAN_SUCCESS(status) && isa_in_model(&i))
		return false;
	/* AMD's other way to name CR8. */
	if ((b->lock && b->f->any_mod) || (b->op66 && is_near_branch(b->f)))
		return false;
	if (is_virtual(b->f)) {
		b->mk->g->notes[b->f - b->mk->g->forms].why = "virtual machines: the hypervisor may answer";
		return false;
	}
	if (b->f->map == 0 && (b->f->op == 0x62 || b->f->op == 0xc4 || b->f->op == 0xc5)) {
		if (!b->f->defined)
			b->mk->g->notes[b->f - b->mk->g->forms].why = "VEX and EVEX: the host may have it";
		return false;
	}
	if (ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&b->mk->g->full[bits], NULL, b->b + b->pre, 32, &i))) {
		if (!b->f->defined)
			b->mk->g->notes[b->f - b->mk->g->forms].why = "the host may have it";
		return false;
	}
	memset(&i, 0, sizeof(i));
	i.length = b->n - b->pre;
	/* What would follow if it were defined might make it too long. */
	if (i.length > 8 && !(status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG && b->f->defined))
		return false;
	if (status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG)
		i.length = 16;
	describe(b, insn, &i);
	insn->undefined = insn->last = true;
	return true;
}

static const struct form *pick_form(struct making *mk)
{
	unsigned class = 0, percent = rng_below(mk->rng, 100);
	struct generator *g = mk->g;
	const struct form_list *list;

	if (mk->classes & CLASS_STATE)
		class = percent < 40 ? 3 : percent < 65 ? 2 : percent < 90 ? 1 : 0;
	else if (percent < 75)
		class = mk->classes & CLASS_X87 ? 2 : mk->classes & CLASS_SSE ? 1 : 0;
	if (rng_percent(mk->rng, 3)) {
		list = &g->undefined[class];
	} else if (class == 2) { /* there are eight times more register forms */
		list = &g->defined[class][rng_percent(mk->rng, 50) ? FORM_REG : FORM_MEM];
		if (rng_percent(mk->rng, 2))
			list = &g->defined[class][FORM_PLAIN];
	} else {
		const struct form_list *kinds = g->defined[class];
		unsigned n = rng_below(mk->rng, kinds[0].count + kinds[1].count + kinds[2].count);

		for (list = kinds; n >= list->count; list++)
			n -= list->count;
		return &g->forms[list->index[n]];
	}
	return list->count ? &g->forms[list->index[rng_below(mk->rng, list->count)]] : NULL;
}

static void take_note(struct form_note *note, const ZydisDecodedInstruction *i)
{
	if (note->name[0])
		return;
	snprintf(note->name, sizeof(note->name), "%s", ZydisMnemonicGetString(i->mnemonic));
	note->xm = i->meta.exception_class == ZYDIS_EXCEPTION_CLASS_SSE2 ||
		   i->meta.exception_class == ZYDIS_EXCEPTION_CLASS_SSE3;
}

bool insn_make(struct making *mk, struct diff_insn *insn, unsigned number)
{
	struct build b = {.mk = mk, .f = pick_form(mk)};
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	unsigned bits = bits_index(mk->c->bits), n;
	ZydisDecodedInstruction i;
	const char *why;
	u8 prefix[24];
	ZyanStatus status;

	if (!b.f || (mk->c->bits == 64 && b.f->map == 0 && (b.f->op & 0xf0) == 0x40)) /* REX */
		return false;
	if ((mk->c->bits == 64 ? b.f->only32 : b.f->only64) && !rng_percent(mk->rng, 5))
		return false;
	b.shape = shape_of(b.f);
	n = choose_prefixes(&b, prefix);
	prepare(&b);
	memcpy(b.b + b.n, prefix, n);
	b.n += n;
	if (b.rex)
		b.b[b.n++] = b.rex | 0x40;
	emit_opcode(&b);
	emit_operands(&b);
	fill_immediate(mk->rng, b.b + b.n, 15);
	status = ZydisDecoderDecodeFull(&mk->g->decoder[bits], b.b + b.pre, 32, &i, operands);
	if (!ZYAN_SUCCESS(status) || !isa_in_model(&i))
		return make_undefined(&b, insn);
	take_note(&mk->g->notes[b.f - mk->g->forms], &i);
	why = left_out(&mk->g->host, mk->c->bits, &i, operands);
	if (why && b.shape != SHAPE_COUNT) {
		mk->g->notes[b.f - mk->g->forms].why = why;
		return false;
	}
	/* The state image's place must be known, so DS must be what it was at first. */
	if (b.shape == SHAPE_SAVE && mk->c->segmented && number)
		return false;
	describe(&b, insn, &i);
	insn->last = is_last(&b, &i);
	make_patch(&b, insn, &i, number);
	return true;
}
