/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cmd/disasm.h"

#include <Zydis/Zydis.h>

#include "vmm/memory.h"
#include "vmm/x86/paging.h"

static u64 read_entry(void *opaque, u64 gpa, unsigned size)
{
	const struct memory *mem = opaque;
	u64 entry = 0;

	if (memory_read(mem, gpa, &entry, size))
		return size == 4 ? 0xffffffff : ~0ull;
	return entry;
}

size_t guest_read_linear(const struct machine *m, const struct x86_state *regs, u64 la, u8 *out, size_t len)
{
	static const struct paging_ops ops = {.read = read_entry};
	struct paging_context context;
	struct paging_page page;
	size_t done = 0;

	paging_context_set(&context, regs);
	while (done < len) {
		u64 at = la + done;
		size_t n = min64(len - done, PAGE_SIZE - (at & PAGE_MASK));

		if (x86_long_mode(regs) ? !x86_canonical(at) : at >> 32)
			break;
		if (paging_walk(&context, &ops, (void *)&m->mem, at, 0, &page) ||
		    memory_read(&m->mem, page.gpa, out + done, n))
			break;
		done += n;
	}
	return done;
}

static void decoder_init(ZydisDecoder *decoder, const struct x86_state *regs)
{
	const bool big = regs->seg[SEG_CS].ar & AR_DB;

	if (x86_64bit(regs))
		ZydisDecoderInit(decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	else if (big)
		ZydisDecoderInit(decoder, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
	else
		ZydisDecoderInit(decoder, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
}

void disasm_print(void *machine, FILE *f, const struct x86_state *regs)
{
	const struct machine *m = machine;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction insn;
	ZydisFormatter formatter;
	ZydisDecoder decoder;
	char text[200] = "";
	u64 la = x86_64bit(regs) ? regs->rip : (u32)(regs->seg[SEG_CS].base + regs->rip);
	u8 bytes[15];
	size_t len;

	len = guest_read_linear(m, regs, la, bytes, sizeof(bytes));
	if (!len) {
		fprintf(f, "  %016llx: not mapped\n", (unsigned long long)la);
		return;
	}
	decoder_init(&decoder, regs);
	ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_ATT);
	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, len, &insn, operands))) {
		fprintf(f, "  %016llx: %02x ... no instruction\n", (unsigned long long)la, bytes[0]);
		return;
	}
	ZydisFormatterFormatInstruction(&formatter, &insn, operands, insn.operand_count_visible, text, sizeof(text), la,
					NULL);
	fprintf(f, "  %016llx:", (unsigned long long)la);
	for (unsigned i = 0; i < insn.length; i++)
		fprintf(f, " %02x", bytes[i]);
	fprintf(f, "  %s\n", text);
}
