// SPDX-License-Identifier: GPL-2.0-or-later
/* Instructions that single-stepping can't show truly and that are carried out here: loads of SS, after which hardware
 * holds the step's trap off for one instruction, and INT n, which would push the step's TF. */
#include "vmm/machine.h"
#include "vmm/memory.h"
#include "vmm/vtx/module/insn.h"
#include "vmm/vtx/vtx.h"

#define SELECTOR_ERROR(sel) ((u32)(sel)&0xfffcu)
#define DESC_DPL(d)         ((unsigned)((d) >> 45 & 3))
#define DESC_TYPE(d)        ((unsigned)((d) >> 40 & 15))
#define DESC_S              BIT(44)
#define DESC_P              BIT(47)
#define DESC_G              BIT(55)

static bool real_or_v86(const struct x86_state *s)
{
	return !(s->cr0 & CR0_PE) || (s->rflags & RFLAGS_VM);
}

static int read_descriptor(struct vtx_cpu *cpu, u16 selector, u64 *la, u64 *desc)
{
	const struct x86_state *s = &cpu->vcpu.regs;
	u64 base = s->gdtr.base, limit = s->gdtr.limit;

	if (selector & 4) {
		if (s->seg[SEG_LDTR].ar & AR_UNUSABLE)
			return vtx_fault_code(cpu, X86_GP, SELECTOR_ERROR(selector));
		base = s->seg[SEG_LDTR].base;
		limit = s->seg[SEG_LDTR].limit;
	}
	if ((selector & 0xfff8u) + 7 > limit)
		return vtx_fault_code(cpu, X86_GP, SELECTOR_ERROR(selector));
	*la = base + (selector & 0xfff8u);
	return vtx_load(cpu, *la, desc, 8, VTX_SYSTEM);
}

static void set_real(struct x86_state *s, u16 selector)
{
	struct x86_segment *ss = &s->seg[SEG_SS];

	ss->selector = selector;
	ss->base = (u64)selector << 4;
	if (s->rflags & RFLAGS_VM) {
		ss->limit = 0xffff;
		ss->ar = 0xf3;
	} else {
		ss->ar = AR_P | AR_S | AR_RW | AR_ACCESSED | (ss->ar & (AR_DB | AR_G));
	}
}

/* SDM 2B, MOV: loading SS in protected mode. */
static int load_ss(struct vtx_cpu *cpu, u16 selector)
{
	struct x86_state *s = &cpu->vcpu.regs;
	unsigned cpl = x86_cpl(s);
	u64 la = 0, d = 0;
	u8 access;

	if (real_or_v86(s)) {
		set_real(s, selector);
		return 0;
	}
	if (!(selector & 0xfffc)) {
		if (!x86_64bit(s) || cpl == 3 || (selector & 3u) != cpl)
			return vtx_fault_code(cpu, X86_GP, 0);
		s->seg[SEG_SS] = (struct x86_segment){.selector = selector, .ar = AR_UNUSABLE | cpl << AR_DPL_SHIFT};
		return 0;
	}
	if (read_descriptor(cpu, selector, &la, &d))
		return -1;
	if ((selector & 3u) != cpl || !(d & DESC_S) || (DESC_TYPE(d) & (AR_CODE | AR_RW)) != AR_RW ||
	    DESC_DPL(d) != cpl)
		return vtx_fault_code(cpu, X86_GP, SELECTOR_ERROR(selector));
	if (!(d & DESC_P))
		return vtx_fault_code(cpu, X86_SS, SELECTOR_ERROR(selector));
	if (!(DESC_TYPE(d) & AR_ACCESSED)) {
		d |= BIT(40);
		access = (u8)(d >> 40);
		if (vtx_store(cpu, la + 5, &access, 1, VTX_SYSTEM))
			return -1;
	}
	u32 limit = (u32)((d & 0xffff) | (d >> 32 & 0xf0000));

	s->seg[SEG_SS] = (struct x86_segment){
	    .base = (d >> 16 & 0xffffff) | (d >> 56) << 24,
	    .limit = d & DESC_G ? limit << 12 | 0xfff : limit,
	    .ar = (u32)(d >> 40) & 0xf0ff,
	    .selector = selector,
	};
	return 0;
}

static int source(struct vtx_cpu *cpu, const struct vtx_insn *insn, u16 *selector)
{
	if (insn->source_reg >= 0) {
		*selector = (u16)cpu->vcpu.regs.gpr[insn->source_reg];
		return 0;
	}
	return insn->nr ? vtx_load(cpu, insn->mem[0].la, selector, 2, 0) : vtx_fault(cpu, X86_UD);
}

/* The stack pointer moves by the operand's size, in the width of the stack. */
static void pop(struct x86_state *s, unsigned size, bool wide)
{
	u64 sp = s->gpr[RSP] + size;

	s->gpr[RSP] = wide ? (u32)sp : (s->gpr[RSP] & ~0xffffull) | (u16)sp;
}

static int exit_loads_ss(struct vtx_cpu *cpu)
{
	struct x86_state *s = &cpu->vcpu.regs;
	bool wide = s->seg[SEG_SS].ar & AR_DB;
	struct vtx_insn insn;
	u16 selector = 0;

	if (vtx_decode(cpu, &insn) || !insn.loads_ss)
		return vtx_fault(cpu, X86_UD);
	if (source(cpu, &insn, &selector) || load_ss(cpu, selector))
		return -1;
	if (insn.pop)
		pop(s, insn.nr ? insn.mem[0].size : 2, wide);
	vtx_retire(cpu, insn.len);
	s->interruptibility |= BLOCK_MOV_SS;
	return 0;
}

/* Sixteen bits are written and the upper half stays, or zeroes go there (SDM 2B, PUSH): by the CPU model, not the host. */
static int exit_push_seg(struct vtx_cpu *cpu)
{
	struct x86_state *s = &cpu->vcpu.regs;
	bool wide = s->seg[SEG_SS].ar & AR_DB;
	unsigned bytes = cpu->vcpu.machine->config.cpu == CPU_MODEL_V2_1 ? 4 : 2;
	unsigned len = cpu->run->insn_len, seg;
	u64 sp = s->gpr[RSP] - 4, la;
	u8 code[15];
	u32 value;

	if (vtx_code(cpu, code) < len)
		return vtx_fault(cpu, X86_UD);
	seg = code[len - 1] == 0xa0 ? SEG_FS : code[len - 1] == 0xa8 ? SEG_GS : code[len - 1] >> 3 & 3;
	value = s->seg[seg].selector;
	sp = wide ? (u32)sp : (u16)sp;
	if (vtx_address(cpu, SEG_SS, sp, bytes, VTX_WRITE, &la) || vtx_store(cpu, la, &value, bytes, 0))
		return -1;
	s->gpr[RSP] = wide ? sp : (s->gpr[RSP] & ~0xffffull) | sp;
	vtx_retire(cpu, len);
	return 0;
}

static int exit_int(struct vtx_cpu *cpu)
{
	const struct x86_state *s = &cpu->vcpu.regs;
	unsigned len = cpu->run->insn_len;
	u8 code[15];

	if ((s->rflags & RFLAGS_VM) && (s->rflags & RFLAGS_IOPL) != RFLAGS_IOPL)
		return vtx_fault_code(cpu, X86_GP, 0);
	if (vtx_code(cpu, code) < len)
		return vtx_fault(cpu, X86_UD);
	vtx_deliver(cpu, EVENT_INT_N, code[len - 1], false, 0, len);
	return 0;
}

/* FIP and FDP follow the instruction, FOP only one that raises an unmasked exception, FCS and FDS are 0: as the CPU model
 * has it (SDM 1, 8.1.8), which leaves all of that open. So the processor runs the instruction alone, and what it left in
 * the pointers is replaced. */
static int exit_x87(struct vtx_cpu *cpu)
{
	const struct x86_state *s = &cpu->vcpu.regs;
	struct vtx_insn insn;
	u8 code[15];
	unsigned n = vtx_code(cpu, code), i = 0;

	if (vtx_decode(cpu, &insn))
		return vtx_fault(cpu, X86_UD);
	while (i + 1 < n && (code[i] & 0xf8) != 0xd8)
		i++;
	cpu->x87.pending = true;
	cpu->x87.insns = cpu->vcpu.insns;
	cpu->x87.rip = s->rip;
	cpu->x87.opcode = (u16)((code[i] & 7) << 8 | code[i + 1]);
	cpu->x87.memory = insn.nr;
	cpu->x87.offset = insn.nr ? insn.mem[0].offset : 0;
	cpu->x87.es = s->fpu.fsw & BIT(7);
	cpu->x87.fop = s->fpu.fop;
	cpu->x87.fdp = s->fpu.fdp;
	return 0;
}

void vtx_x87_done(struct vtx_cpu *cpu)
{
	struct x86_fpu *fpu = &cpu->vcpu.regs.fpu;

	if (!cpu->x87.pending)
		return;
	cpu->x87.pending = false;
	if (cpu->vcpu.insns != cpu->x87.insns + 1)
		return;
	fpu->fip = cpu->x87.rip;
	fpu->fdp = cpu->x87.memory ? cpu->x87.offset : cpu->x87.fdp;
	fpu->fop = (fpu->fsw & BIT(7)) && !cpu->x87.es ? cpu->x87.opcode : cpu->x87.fop;
}

/* The module has read the instruction without asking whether it may be fetched, and no processor has fetched it. */
static int fetch(struct vtx_cpu *cpu)
{
	const struct x86_state *s = &cpu->vcpu.regs;
	u64 la = x86_64bit(s) ? s->rip : (u32)(s->seg[SEG_CS].base + s->rip), last, gpa;
	struct vtx_insn insn;

	if (vtx_translate(cpu, la, VTX_EXEC, &gpa))
		return -1;
	if (vtx_decode(cpu, &insn))
		return 0;
	last = la + insn.len - 1;
	if (!x86_64bit(s))
		last = (u32)last;
	return (la ^ last) & ~PAGE_MASK ? vtx_translate(cpu, last, VTX_EXEC, &gpa) : 0;
}

int vtx_special(struct vtx_cpu *cpu)
{
	if (fetch(cpu))
		return -1;
	switch (cpu->run->insn_class) {
	case INSN_LOADS_SS:
		return exit_loads_ss(cpu);
	case INSN_INT:
		return exit_int(cpu);
	case INSN_PUSH_SEG:
		return exit_push_seg(cpu);
	case INSN_X87:
		return exit_x87(cpu);
	case INSN_SYSTEM: /* UMIP */
		return vtx_fault_code(cpu, X86_GP, 0);
	default:
		return vtx_fault(cpu, X86_UD);
	}
}
