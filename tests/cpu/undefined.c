/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Laying a sequence out, and which flags it leaves undefined before each instruction. */
#include "tests/cpu/gen.h"
#include "vmm/x86/regs.h"

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

static bool loads_state(ZydisMnemonic m)
{
	return m == ZYDIS_MNEMONIC_FXRSTOR || m == ZYDIS_MNEMONIC_FXRSTOR64 || m == ZYDIS_MNEMONIC_XRSTOR ||
	       m == ZYDIS_MNEMONIC_XRSTOR64;
}

static void fcomi_undefined(struct diff_case *c, unsigned n, u64 *undefined, u16 *fsw)
{
	bool unmasked = !(c->in.fpu.fcw & 1);

	for (unsigned k = 0; k < n; k++)
		unmasked |= c->insn[k].mnemonic == ZYDIS_MNEMONIC_FLDCW ||
			    c->insn[k].mnemonic == ZYDIS_MNEMONIC_FLDENV ||
			    c->insn[k].mnemonic == ZYDIS_MNEMONIC_FRSTOR || loads_state(c->insn[k].mnemonic);
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
	bool loaded = false;
	u16 fsw = 0;

	for (unsigned n = 0; n < c->count; n++) {
		u64 reads, defined, undefined;

		c->undefined[n] = u;
		c->undefined_fsw[n] = fsw;
		if (g->host.strict)
			continue;
		if (c->insn[n].undefined)
			continue;
		if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&g->decoder[bits_index(c->bits)],
							 c->insn[n].bytes + c->insn[n].pre,
							 c->insn[n].len - c->insn[n].pre, &i, operands)))
			return false;
		insn_flags(&i, operands, &reads, &defined, &undefined);
		if (reads & u || (fsw && (i.mnemonic == ZYDIS_MNEMONIC_FNSTSW || c->insn[n].image)))
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
		/* What XSAVEC leaves out depends on which components are in use: by their contents, or history? */
		if (loaded && c->insn[n].image == IMAGE_XSAVE)
			return false;
		loaded |= loads_state(i.mnemonic);
	}
	c->undefined[c->count] = u;
	c->undefined_fsw[c->count] = fsw;
	return true;
}

/* The code of unit @n, with the fields that depend on addresses filled in. False when one doesn't fit. */
static bool patch(struct diff_case *c, unsigned n)
{
	const struct diff_insn *insn = &c->insn[n];
	u64 to = insn->address, value;

	if (!insn->patch_size)
		return true;
	if (insn->modifies >= 0)
		to = c->start[(unsigned)insn->modifies + 1] - 1;
	else if (insn->target >= 0)
		to = c->start[(unsigned)insn->target];
	value = insn->absolute ? to : to - c->start[n + 1];
	if (insn->patch_size == 1 && value + 0x80 > 0xff)
		return false;
	memcpy(c->code + (c->start[n] - c->start[0]) + insn->patch, &value, insn->patch_size);
	return true;
}

bool diff_assemble(struct generator *g, struct diff_case *c)
{
	unsigned len = 0;
	u64 at;

	for (unsigned n = 0; n < c->count; n++)
		len += c->insn[n].len;
	c->code_len = c->cut ? len : len + 1;
	at = c->cut ? DIFF_CODE_SIZE - len : c->cross ? DIFF_PAGE - 1 - (c->in.gpr[RSI] >> 3) % len : DIFF_CODE_START;
	c->in.rip = at + (c->segmented ? 0 : DIFF_CODE);
	at = c->in.rip;
	for (unsigned n = 0; n <= c->count; n++) {
		c->start[n] = at;
		if (n < c->count) {
			memcpy(c->code + (at - c->in.rip), c->insn[n].bytes, c->insn[n].len);
			at += c->insn[n].len;
		}
	}
	if (!c->cut)
		c->code[len] = 0xcc;
	for (unsigned n = 0; n < c->count; n++)
		if (!patch(c, n))
			return false;
	return track_undefined(g, c);
}
