// SPDX-License-Identifier: GPL-2.0-or-later
/* What an instruction accesses, by Zydis: for device memory, watchpoints and the few instructions carried out here. */
#include <Zydis/Zydis.h>

#include "vmm/inspect.h"
#include "vmm/vtx/vtx.h"

unsigned vtx_code(struct vtx_cpu *cpu, u8 out[15])
{
	const struct x86_state *s = &cpu->vcpu.regs;
	u64 la = x86_64bit(s) ? s->rip : (u32)(s->seg[SEG_CS].base + s->rip);

	return (unsigned)inspect_read(cpu->vcpu.mem, s, la, out, 15);
}

static u64 register_value(const struct x86_state *s, ZydisRegister reg, const ZydisDecodedInstruction *insn)
{
	ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);

	if (reg == ZYDIS_REGISTER_RIP || reg == ZYDIS_REGISTER_EIP)
		return s->rip + insn->length;
	if (whole >= ZYDIS_REGISTER_RAX && whole <= ZYDIS_REGISTER_R15)
		return s->gpr[whole - ZYDIS_REGISTER_RAX];
	return 0;
}

static unsigned segment_of(ZydisRegister reg)
{
	static const u8 seg[] = {SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS};

	return reg >= ZYDIS_REGISTER_ES && reg <= ZYDIS_REGISTER_GS ? seg[reg - ZYDIS_REGISTER_ES] : SEG_DS;
}

/* BT, BTS, BTR and BTC with a register address memory beyond their operand. */
static u64 bit_offset(const struct x86_state *s, const ZydisDecodedInstruction *insn, const ZydisDecodedOperand *op)
{
	unsigned bytes = insn->operand_width / 8;
	s64 bit;

	switch (insn->mnemonic) {
	case ZYDIS_MNEMONIC_BT:
	case ZYDIS_MNEMONIC_BTS:
	case ZYDIS_MNEMONIC_BTR:
	case ZYDIS_MNEMONIC_BTC:
		break;
	default:
		return 0;
	}
	if (op[1].type != ZYDIS_OPERAND_TYPE_REGISTER)
		return 0;
	bit = (s64)register_value(s, op[1].reg.value, insn);
	bit = bytes == 2 ? (s16)bit : bytes == 4 ? (s32)bit : bit;
	return (u64)(bit >> (bytes == 2 ? 4 : bytes == 4 ? 5 : 6)) * bytes;
}

static u64 linear(const struct x86_state *s, const ZydisDecodedInstruction *insn, const ZydisDecodedOperand *op,
		  const ZydisDecodedOperand *all, u64 *offset)
{
	unsigned seg = segment_of(op->mem.segment);
	u64 at = op->mem.disp.has_displacement ? (u64)op->mem.disp.value : 0;
	/* What a push writes is below the pointer. */
	bool push = op->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN &&
		    (op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) &&
		    (op->mem.base == ZYDIS_REGISTER_RSP || op->mem.base == ZYDIS_REGISTER_ESP ||
		     op->mem.base == ZYDIS_REGISTER_SP);

	if (op->mem.base != ZYDIS_REGISTER_NONE)
		at += register_value(s, op->mem.base, insn);
	if (op->mem.index != ZYDIS_REGISTER_NONE)
		at += register_value(s, op->mem.index, insn) * op->mem.scale;
	if (op == all)
		at += bit_offset(s, insn, all);
	if (push)
		at -= op->size / 8;
	if (insn->address_width == 16)
		at = (u16)at;
	else if (insn->address_width == 32)
		at = (u32)at;
	*offset = at;
	if (x86_64bit(s))
		return seg >= SEG_FS ? s->seg[seg].base + at : at;
	return (u32)(s->seg[seg].base + at);
}

static ZydisDecoder decoder_of(const struct x86_state *s)
{
	ZydisDecoder decoder;

	if (x86_64bit(s))
		ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	else if (s->seg[SEG_CS].ar & AR_DB)
		ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_32,
				 s->seg[SEG_SS].ar & AR_DB ? ZYDIS_STACK_WIDTH_32 : ZYDIS_STACK_WIDTH_16);
	else
		ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_16,
				 s->seg[SEG_SS].ar & AR_DB ? ZYDIS_STACK_WIDTH_32 : ZYDIS_STACK_WIDTH_16);
	return decoder;
}

int vtx_decode(struct vtx_cpu *cpu, struct vtx_insn *insn)
{
	const struct x86_state *s = &cpu->vcpu.regs;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecoder decoder = decoder_of(s);
	ZydisDecodedInstruction z;
	struct vtx_operand *m;
	u8 code[15];
	unsigned n = vtx_code(cpu, code);

	*insn = (struct vtx_insn){.source_reg = -1};
	if (ZYAN_FAILED(ZydisDecoderDecodeFull(&decoder, code, n, &z, op)))
		return -1;
	insn->len = z.length;
	for (unsigned i = 0; i < z.operand_count; i++) {
		bool reads = op[i].actions & ZYDIS_OPERAND_ACTION_MASK_READ;
		bool writes = op[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;

		if (op[i].type != ZYDIS_OPERAND_TYPE_MEMORY || op[i].mem.type == ZYDIS_MEMOP_TYPE_AGEN || !op[i].size ||
		    insn->nr == ARRAY_SIZE(insn->mem))
			continue;
		m = &insn->mem[insn->nr++];
		*m = (struct vtx_operand){.size = op[i].size / 8, .read = reads, .write = writes};
		m->la = linear(s, &z, &op[i], op, &m->offset);
	}
	insn->pop = z.mnemonic == ZYDIS_MNEMONIC_POP;
	insn->loads_ss = (insn->pop || z.mnemonic == ZYDIS_MNEMONIC_MOV) && op[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
			 op[0].reg.value == ZYDIS_REGISTER_SS;
	if (insn->loads_ss && !insn->pop && op[1].type == ZYDIS_OPERAND_TYPE_REGISTER)
		insn->source_reg = (int)(ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, op[1].reg.value) -
					 ZYDIS_REGISTER_RAX);
	return 0;
}
