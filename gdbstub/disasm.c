/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "gdbstub/disasm.h"

#include <Zydis/Zydis.h>

#define CALL_MIN 2
#define CALL_MAX 9 /* prefix, REX, opcode, ModRM, SIB, 32-bit displacement */

unsigned disasm_bits(const struct x86_state *regs)
{
	return x86_64bit(regs) ? 64 : regs->seg[SEG_CS].ar & AR_DB ? 32 : 16;
}

u64 disasm_offset(const struct x86_state *regs, u64 la)
{
	return x86_64bit(regs) ? la : (u32)(la - regs->seg[SEG_CS].base);
}

static void decoder_init(ZydisDecoder *decoder, unsigned bits)
{
	if (bits == 64)
		ZydisDecoderInit(decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	else if (bits == 32)
		ZydisDecoderInit(decoder, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
	else
		ZydisDecoderInit(decoder, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
}

/* Numbers as GDB writes them. */
static void formatter_init(ZydisFormatter *formatter)
{
	static const ZydisFormatterProperty paddings[] = {ZYDIS_FORMATTER_PROP_ADDR_PADDING_ABSOLUTE,
							  ZYDIS_FORMATTER_PROP_DISP_PADDING,
							  ZYDIS_FORMATTER_PROP_IMM_PADDING};

	ZydisFormatterInit(formatter, ZYDIS_FORMATTER_STYLE_ATT);
	ZydisFormatterSetProperty(formatter, ZYDIS_FORMATTER_PROP_HEX_UPPERCASE, ZYAN_FALSE);
	for (size_t i = 0; i < ARRAY_SIZE(paddings); i++)
		ZydisFormatterSetProperty(formatter, paddings[i], ZYDIS_PADDING_DISABLED);
}

unsigned disasm_line(FILE *f, unsigned bits, u64 address, u64 offset, const u8 *bytes, size_t len)
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction insn;
	ZydisFormatter formatter;
	ZydisDecoder decoder;
	char text[200] = "";

	fprintf(f, "%016llx:", (unsigned long long)address);
	if (!len) {
		fprintf(f, " not mapped\n");
		return 0;
	}
	decoder_init(&decoder, bits);
	formatter_init(&formatter);
	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, len, &insn, operands))) {
		fprintf(f, " %02x ... no instruction\n", bytes[0]);
		return 0;
	}
	ZydisFormatterFormatInstruction(&formatter, &insn, operands, insn.operand_count_visible, text, sizeof(text),
					offset, NULL);
	for (unsigned i = 0; i < insn.length; i++)
		fprintf(f, " %02x", bytes[i]);
	fprintf(f, "  %s\n", text);
	return insn.length;
}

bool disasm_is_call(unsigned bits, const u8 *before, size_t len)
{
	ZydisDecodedInstruction insn;
	ZydisDecoder decoder;

	decoder_init(&decoder, bits);
	for (size_t n = CALL_MIN; n <= len && n <= CALL_MAX; n++) {
		if (ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, before + len - n, n, &insn)) &&
		    insn.length == n && insn.mnemonic == ZYDIS_MNEMONIC_CALL)
			return true;
	}
	return false;
}
