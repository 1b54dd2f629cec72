/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Random sequences: registers, instructions, and the memory they find. */
#include <stdlib.h>
#include <sys/mman.h>

#include "tests/cpu/gen.h"
#include "vmm/x86/regs.h"

u64 pick_data_address(struct making *mk)
{
	u64 base = mk->c->segmented ? 0 : DIFF_DATA;
	struct rng *rng = mk->rng;
	u64 offset = rng_below(rng, DIFF_DATA_SIZE);

	if (rng_percent(rng, 50))
		offset &= ~15u;
	switch (rng_below(rng, 20)) {
	case 0: /* around the middle and the ends */
		return base + 0x1000 - 16 + rng_below(rng, 32);
	case 1:
		return base + DIFF_DATA_SIZE - rng_below(rng, 20);
	case 2:
		return base + (DIFF_RO - DIFF_DATA) + rng_below(rng, 0x1000);
	default:
		return base + 0x100 + offset % (DIFF_DATA_SIZE - 0x200);
	}
}

u64 pick_value(struct rng *rng)
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
			mk->c->in.gpr[r] = pick_data_address(mk);
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
	for (unsigned r = 0; mk->c->bits != 64 && r < 8; r++)
		mk->c->in.gpr[r] = (u32)mk->c->in.gpr[r];
}

u16 pick_selector(const struct diff_host *host, struct rng *rng)
{
	static const u16 fixed[] = {0,    1,    2,    3,    USER32_CS, USER_DS, USER64_CS, 0x28, 0x2a, 0x20,  0x32,
				    0x10, 0x18, 0x40, 0x50, 0x63,      0x78,    0x7b,      0x80, 0x83, 0xfffb};
	unsigned k = rng_below(rng, 100);

	if (k < 25)
		return USER_DS;
	if (k < 40)
		return rng_percent(rng, 50) ? USER64_CS : USER32_CS;
	if (k < 75 && host->ldt) {
		u16 sel = DIFF_LDT_SELECTOR(rng_below(rng, DIFF_LDT_COUNT + 1));

		return rng_percent(rng, 90) ? sel : sel ^ rng_below(rng, 4);
	}
	if (k < 97)
		return fixed[rng_below(rng, ARRAY_SIZE(fixed))];
	k = rng_next(rng);
	return k & 0xffff;
}

/* The selectors each case begins with; these must load without a fault. */
static void make_segments(struct making *mk)
{
	static const u8 data[] = {LDT_DATA, LDT_DATA16, LDT_SHIFTED, LDT_DATA16, LDT_SHORT, LDT_DOWN};
	static const u8 stack[] = {LDT_DATA16, LDT_DATA, LDT_DATA16, LDT_SHIFTED};
	struct rng *rng = mk->rng;
	struct diff_case *c = mk->c;
	u16 *seg = c->in.seg;

	if (c->segmented) {
		for (unsigned n = 0; n < 6; n++)
			seg[n] = DIFF_LDT_SELECTOR(data[rng_below(rng, rng_percent(rng, 85) ? 4 : 6)]);
		seg[SEG_CS] = DIFF_LDT_SELECTOR(c->bits == 16 ? LDT_CODE16 : LDT_CODE32);
		seg[SEG_SS] = DIFF_LDT_SELECTOR(stack[rng_below(rng, 4)]);
		c->in.fs_base = diff_ldt[seg[SEG_FS] >> 3].base;
		c->in.gs_base = diff_ldt[seg[SEG_GS] >> 3].base;
		return;
	}
	for (unsigned n = 0; n < 6; n++)
		seg[n] = USER_DS;
	seg[SEG_CS] = c->bits == 64 ? USER64_CS : USER32_CS;
	if (!mk->g->host.fsgsbase) {
		seg[SEG_FS] = seg[SEG_GS] = 0;
		return;
	}
	if (rng_percent(rng, 30))
		seg[SEG_FS] = 0;
	if (rng_percent(rng, 30))
		seg[SEG_GS] = 0;
	c->in.fs_base = rng_percent(rng, 80) ? rng_below(rng, 256) : (u32)pick_value(rng);
	c->in.gs_base = rng_percent(rng, 80) ? rng_below(rng, 256) : (u32)pick_value(rng);
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
		if (rng_percent(rng, 12)) /* some exceptions unmasked */
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
		if (rng_percent(rng, 12))
			fpu->fcw &= ~(rng_next(rng) & 0x3f);
		if (rng_percent(rng, 5)) { /* some of them pending */
			fpu->fsw |= rng_next(rng) & 0x7f;
			fpu->fsw |= fpu->fsw & ~fpu->fcw & 0x3f ? 0x8080 : 0;
		}
	}
	for (unsigned i = 0; i < 8 && mk->classes & (CLASS_X87 | CLASS_SSE); i++)
		make_st(rng, &fpu->st[i].mant, &fpu->st[i].se);
}

/* --- sequences --- */

/* MOV of a byte over the last byte of a later instruction's immediate, the next one's even. */
static bool make_modifier(struct making *mk, unsigned number, unsigned target)
{
	struct diff_case *c = mk->c;
	struct diff_insn *insn = &c->insn[number];
	const struct diff_insn *to = &c->insn[target];
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction i;

	if (to->last || to->pre || to->patch_size || to->modifies >= 0)
		return false;
	if (!ZYAN_SUCCESS(
		ZydisDecoderDecodeFull(&mk->g->decoder[bits_index(c->bits)], to->bytes, to->len, &i, operands)))
		return false;
	/* Not where the immediate decides which flags are undefined, or where code goes. */
	if (!i.raw.imm[0].size || i.raw.imm[1].size || i.raw.imm[0].offset + i.raw.imm[0].size / 8 != i.length ||
	    i.meta.category == ZYDIS_CATEGORY_SHIFT || i.meta.category == ZYDIS_CATEGORY_ROTATE ||
	    i.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE)
		return false;
	*insn = (struct diff_insn){
	    .bytes = {0xc6, 0x05, 0, 0, 0, 0, rng_next(mk->rng)},
	    .len = 7,
	    .patch = 2,
	    .patch_size = 4,
	    .target = -1,
	    .modifies = target,
	    .absolute = c->bits == 32,
	    .osize = 1,
	    .asize = c->bits == 32 ? 1 : 2,
	    .form = mk->g->modifier_form,
	    .mnemonic = ZYDIS_MNEMONIC_MOV,
	};
	return true;
}

static void make_insns(struct making *mk)
{
	struct diff_case *c = mk->c;

	for (unsigned n = 0; n < c->count; n++) {
		struct diff_insn *insn = &c->insn[n];

		do {
			while (!insn_make(mk, insn, n))
				;
		} while (insn->last && n + 1 < c->count && !rng_percent(mk->rng, 20));
		if (insn->last)
			c->count = n + 1;
	}
	for (unsigned n = 0; n < c->count; n++)
		if (c->insn[n].target > (int)c->count)
			c->insn[n].target = c->count;
	if (c->count > 1 && c->bits != 16 && !c->segmented && rng_percent(mk->rng, 5)) {
		unsigned n = rng_below(mk->rng, c->count - 1);
		struct diff_insn was = c->insn[n];

		if (!make_modifier(mk, n, n + 1 + rng_below(mk->rng, c->count - n - 1)))
			c->insn[n] = was;
	}
}

static void make_place(struct making *mk)
{
	struct diff_case *c = mk->c;
	unsigned k = rng_below(mk->rng, 100);

	c->bits = k < 70 ? 64 : 32;
	if (k >= 82 && mk->g->host.ldt) {
		c->segmented = true;
		c->bits = k < 91 ? 32 : 16;
	}
	c->cut = rng_percent(mk->rng, 2);
	c->cross = rng_percent(mk->rng, 4);
}

void gen_case(struct generator *g, struct rng *rng, unsigned classes, struct diff_case *c)
{
	struct making mk = {.rng = rng, .g = g, .c = c, .classes = classes};

	do {
		memset(c, 0, sizeof(*c));
		c->intel_host = g->host.intel;
		make_place(&mk);
		c->count = 1 + rng_below(rng, DIFF_MAX_INSNS);
		make_segments(&mk);
		make_gprs(&mk);
		make_fpu(&mk);
		c->in.rflags = RFLAGS_1 | RFLAGS_IF | (rng_next(rng) & RFLAGS_STATUS) |
			       (rng_percent(rng, 15) ? RFLAGS_DF : 0) | (rng_percent(rng, 3) ? RFLAGS_TF : 0) |
			       (rng_percent(rng, 5) ? RFLAGS_AC : 0);
		make_insns(&mk);
		/* What lies behind undefined bytes might be part of an instruction. */
		if (c->insn[c->count - 1].undefined)
			c->cut = false;
	} while (!diff_assemble(g, c));
}

/* --- memory --- */

static void make_x87_image(struct rng *rng, u8 *p, unsigned step)
{
	for (unsigned n = 0; n < 8; n++) {
		u64 mant;
		u16 se;

		make_st(rng, &mant, &se);
		store64(p + step * n, mant);
		store16(p + step * n + 8, se);
	}
}

static void make_area(struct rng *rng, u8 *p)
{
	store16(p, 0x37f ^ (rng_percent(rng, 20) ? rng_next(rng) & 0x3f : 0));
	store16(p + 2, rng_next(rng));
	if (rng_percent(rng, 80))
		p[2] &= 0x40;
	store32(p + 24, 0x1f80 ^ (rng_next(rng) & (rng_percent(rng, 20) ? 0xffff : 0x6040)));
	make_x87_image(rng, p + 32, 16);
}

static void make_header(const struct diff_host *host, struct rng *rng, u8 *h, bool compacted)
{
	u64 known = XCR0_X87 | XCR0_SSE, bv = rng_next(rng) & known;

	memset(h, 0, 64);
	store64(h, bv);
	if (compacted)
		store64(h + 8, BIT(63) | bv | (rng_next(rng) & known));
	if (rng_percent(rng, 15)) { /* something that isn't allowed */
		unsigned at = rng_below(rng, 64 * 8);

		if (at >= 64 * 2 || !(host->xcr0 >> (at & 63) & 1))
			h[at / 8] ^= 1 << (at & 7);
	}
}

static void make_frames(struct rng *rng, u8 *data, const struct diff_host *host)
{
	for (unsigned size = 2, n = 0; n < 3; n++, size *= 2) {
		for (unsigned k = 0; k < SLOT_FAR_N; k++) {
			u64 to = DIFF_LANDING + rng_below(rng, DIFF_LANDING_END - DIFF_LANDING);

			to += rng_percent(rng, 60) && size > 2 ? DIFF_CODE : 0;
			memcpy(data + SLOT_FAR + 16 * (n * SLOT_FAR_N + k), &to, 8);
			store16(data + SLOT_FAR + 16 * (n * SLOT_FAR_N + k) + size, pick_selector(host, rng));
		}
		u64 frame[5] = {
		    DIFF_LANDING + (rng_percent(rng, 60) && size > 2 ? DIFF_CODE : 0), pick_selector(host, rng),
		    RFLAGS_1 |
			(rng_next(rng) & (RFLAGS_STATUS | RFLAGS_DF | RFLAGS_IF | RFLAGS_AC | RFLAGS_NT | RFLAGS_TF)),
		    DIFF_DATA + 0x200, pick_selector(host, rng)};
		for (unsigned k = 0; k < 5; k++)
			memcpy(data + SLOT_FRAME + 64 * n + size * k, &frame[k], size);
	}
	for (unsigned k = 0; k < SLOT_SELECT_N; k++)
		store16(data + SLOT_SELECTOR + 8 * k, pick_selector(host, rng));
}

/* 16 bytes: integers, floating-point numbers of every format, decimal digits. */
static void fill(struct rng *rng, u8 *p)
{
	u64 mant;
	u16 se;

	store64(p, rng_next(rng));
	store64(p + 8, rng_below(rng, 2) ? rng_next(rng) : rng_below(rng, 256));
	switch (rng_below(rng, 8)) {
	case 0:
		for (unsigned k = 0; k < 16; k += 4)
			store32(p + k, pick_single(rng));
		break;
	case 1:
		for (unsigned k = 0; k < 16; k += 8)
			store64(p + k, pick_double(rng));
		break;
	case 2:
		make_st(rng, &mant, &se);
		store64(p, mant);
		store16(p + 8, se);
		break;
	case 3:
		for (unsigned k = 0; k < 16; k++)
			p[k] = rng_below(rng, 10) << 4 | rng_below(rng, 10);
		break;
	case 4:
		for (unsigned k = 0; k < 16; k += 4)
			store32(p + k, (int)rng_below(rng, 64) - 32);
		break;
	}
}

void gen_data(const struct diff_host *host, struct rng *rng, u8 *data)
{
	for (unsigned i = 0; i < DIFF_IMAGE; i += 16)
		fill(rng, data + i);
	make_area(rng, data + SLOT_FXSAVE);
	make_area(rng, data + SLOT_XSAVE);
	make_header(host, rng, data + SLOT_XSAVE + 512, false);
	make_area(rng, data + SLOT_COMPACT);
	make_header(host, rng, data + SLOT_COMPACT + 512, true);
	store16(data + SLOT_ENV, 0x37f);
	store16(data + SLOT_ENV + 4, rng_next(rng) & (rng_percent(rng, 70) ? 0x7f40 : 0xffff));
	make_x87_image(rng, data + SLOT_ENV + 28, 10);
	make_frames(rng, data, host);
	memset(data + SLOT_ZERO, 0, 64);
}

/* --- the generator --- */

void *shared_alloc(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		abort();
	return p;
}

static void sort_forms(struct generator *g)
{
	g->forms = forms_all(&g->forms_count);
	for (unsigned n = 0; n < g->forms_count; n++) {
		const struct form *f = &g->forms[n];
		unsigned class = __builtin_ctz(f->class);
		struct form_list *list = f->defined ? &g->defined[class][f->kind] : &g->undefined[class];

		if (!list->index)
			list->index = calloc(g->forms_count, sizeof(*list->index));
		list->index[list->count++] = n;
		if (f->map == 0 && f->op == 0xc6 && f->kind == FORM_MEM && f->reg == 0)
			g->modifier_form = n;
	}
	g->notes = shared_alloc(g->forms_count * sizeof(*g->notes));
}

struct generator *gen_create(const struct diff_host *host)
{
	struct generator *g = calloc(1, sizeof(*g));

	for (unsigned n = 0; n < 3; n++) {
		isa_decoder_init(&g->decoder[n], 16 << n);
		ZydisDecoderInit(&g->full[n],
				 n == 2   ? ZYDIS_MACHINE_MODE_LONG_64
				 : n == 1 ? ZYDIS_MACHINE_MODE_LONG_COMPAT_32
					  : ZYDIS_MACHINE_MODE_LONG_COMPAT_16,
				 n == 2   ? ZYDIS_STACK_WIDTH_64
				 : n == 1 ? ZYDIS_STACK_WIDTH_32
					  : ZYDIS_STACK_WIDTH_16);
	}
	g->host = *host;
	sort_forms(g);
	return g;
}

void gen_free(struct generator *g)
{
	for (unsigned class = 0; class < CLASS_COUNT; class ++) {
		for (unsigned kind = 0; kind < 3; kind++)
			free(g->defined[class][kind].index);
		free(g->undefined[class].index);
	}
	munmap(g->notes, g->forms_count * sizeof(*g->notes));
	free(g);
}
