/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Task switches (SDM 3A 7.3): by JMP, CALL, IRET and through task gates. What can fail in the old task is checked first;
 * then all is saved and loaded, and segments of the new task are checked in its context. */
#include "vmm/soft/stack.h"
#include "vmm/soft/system.h"

/* What stands where in a TSS of either width. */
struct layout {
	u8 width; /* of general registers */
	u8 ip, flags, gpr, seg, ldt;
	u8 segs;  /* ES, CS, SS, DS and with 32 bits FS, GS */
	u8 limit; /* the smallest a TSS may have */
};

static const struct layout tss16 = {2, 14, 16, 18, 34, 42, 4, 0x2b};
static const struct layout tss32 = {4, 0x20, 0x24, 0x28, 0x48, 0x60, 6, 0x67};

#define TSS_CR3  0x1c
#define TSS_TRAP 0x64

#define EFLAGS_TASK 0x3f7fd7u /* the bits that a TSS can give */
#define DR7_LOCAL   0x155u    /* L0 to L3, LE */

static const struct layout *layout_of(unsigned type)
{
	return type & 8 ? &tss32 : &tss16;
}

/* What the new TSS holds. */
struct task {
	u32 cr3, ip, flags, gpr[8];
	u16 seg[SEG_COUNT], ldt;
	bool trap;
};

static void read_task(struct soft_cpu *cpu, u64 base, const struct layout *l, struct task *t)
{
	/* 16 bits: nothing says what the upper halves become. */
	u32 upper = l->width == 2 ? 0xffff0000 : 0;

	*t = (struct task){0};
	t->ip = (u32)soft_system_load(cpu, base + l->ip, l->width);
	t->flags = (u32)soft_system_load(cpu, base + l->flags, l->width);
	for (unsigned r = 0; r < 8; r++)
		t->gpr[r] = (u32)soft_system_load(cpu, base + l->gpr + r * l->width, l->width) | upper;
	for (unsigned seg = 0; seg < l->segs; seg++)
		t->seg[seg] = (u16)soft_system_load(cpu, base + l->seg + seg * l->width, 2);
	t->ldt = (u16)soft_system_load(cpu, base + l->ldt, 2);
	if (l->width == 4) {
		t->cr3 = (u32)soft_system_load(cpu, base + TSS_CR3, 4);
		t->trap = soft_system_load(cpu, base + TSS_TRAP, 2) & 1;
	}
}

static void save_task(struct soft_cpu *cpu, u64 base, const struct layout *l, u32 ip, u32 flags)
{
	soft_system_store(cpu, base + l->ip, l->width, ip);
	soft_system_store(cpu, base + l->flags, l->width, flags);
	for (unsigned r = 0; r < 8; r++)
		soft_system_store(cpu, base + l->gpr + r * l->width, l->width, reg32(cpu, r));
	for (unsigned seg = 0; seg < l->segs; seg++)
		soft_system_store(cpu, base + l->seg + seg * l->width, 2, cpu->vcpu.regs.seg[seg].selector);
}

static void probe(struct soft_cpu *cpu, u64 la, unsigned len)
{
	struct tlb *tlb = cpu->tlb;

	cpu->tlb = &cpu->tlbs[MMU_KERNEL];
	soft_probe_write(cpu, la, len);
	cpu->tlb = tlb;
}

/* Sets or clears the busy bit in the descriptor of a TSS. */
static void set_busy(struct soft_cpu *cpu, u16 selector, bool busy)
{
	u64 la = cpu->vcpu.regs.gdtr.base + (selector & 0xfff8u) + 5;
	u8 type = (u8)soft_system_load(cpu, la, 1);

	soft_system_store(cpu, la, 1, busy ? type | 2u : type & ~2u);
}

/* --- in the new task --- */

static void load_ldt(struct soft_cpu *cpu, u16 selector)
{
	struct descriptor d;

	if (!(selector & 0xfffc))
		return;
	if ((selector & 4) || !descriptor_read(cpu, selector, &d) || DESC_S(&d) || DESC_TYPE(&d) != SYS_LDT ||
	    !DESC_P(&d))
		soft_fault_code(cpu, X86_TS, selector & 0xfffcu);
	cpu->vcpu.regs.seg[SEG_LDTR] = descriptor_segment(&d);
}

static void load_code(struct soft_cpu *cpu, u16 selector)
{
	unsigned rpl = selector & 3;
	struct descriptor d;

	if (!descriptor_read(cpu, selector, &d) || !DESC_S(&d) || !DESC_CODE(&d) ||
	    (DESC_CONFORMING(&d) ? DESC_DPL(&d) > rpl : DESC_DPL(&d) != rpl))
		soft_fault_code(cpu, X86_TS, selector & 0xfffcu);
	if (!DESC_P(&d))
		soft_fault_code(cpu, X86_NP, selector & 0xfffcu);
	code_segment_set(cpu, &d, rpl);
}

/* In the order of table 7-1, which isn't that of MOV to SS. */
static void load_stack(struct soft_cpu *cpu, u16 selector)
{
	struct descriptor d;

	if (!descriptor_read(cpu, selector, &d) || !DESC_S(&d) || DESC_CODE(&d) || !(DESC_TYPE(&d) & AR_RW))
		soft_fault_code(cpu, X86_TS, selector & 0xfffcu);
	if (!DESC_P(&d))
		soft_fault_code(cpu, X86_SS, selector & 0xfffcu);
	if (DESC_DPL(&d) != cpu->cpl || (selector & 3u) != cpu->cpl)
		soft_fault_code(cpu, X86_TS, selector & 0xfffcu);
	descriptor_set_accessed(cpu, &d);
	cpu->vcpu.regs.seg[SEG_SS] = descriptor_segment(&d);
	soft_mode_changed(cpu);
}

static void load_data(struct soft_cpu *cpu, unsigned seg, u16 selector)
{
	unsigned rpl = selector & 3;
	struct descriptor d;

	if (!(selector & 0xfffc))
		return;
	if (!descriptor_read(cpu, selector, &d) || !DESC_S(&d) || (DESC_TYPE(&d) & (AR_CODE | AR_RW)) == AR_CODE ||
	    (!DESC_CONFORMING(&d) && (rpl > DESC_DPL(&d) || cpu->cpl > DESC_DPL(&d))))
		soft_fault_code(cpu, X86_TS, selector & 0xfffcu);
	if (!DESC_P(&d))
		soft_fault_code(cpu, X86_NP, selector & 0xfffcu);
	descriptor_set_accessed(cpu, &d);
	cpu->vcpu.regs.seg[seg] = descriptor_segment(&d);
}

/* Registers and selectors; the segments themselves stay unusable until they have been checked. */
static void load_registers(struct soft_cpu *cpu, const struct task *t)
{
	struct x86_state *s = &cpu->vcpu.regs;
	unsigned cpl = t->seg[SEG_CS] & 3;

	for (unsigned r = 0; r < 8; r++)
		set_reg32(cpu, r, t->gpr[r]);
	for (unsigned seg = 0; seg < SEG_COUNT; seg++) {
		if (t->flags & RFLAGS_VM)
			s->seg[seg] = (struct x86_segment){
			    .selector = t->seg[seg], .base = (u64)t->seg[seg] << 4, .limit = 0xffff, .ar = 0xf3};
		else
			s->seg[seg] = (struct x86_segment){.selector = t->seg[seg], .ar = AR_UNUSABLE};
	}
	if (!(t->flags & RFLAGS_VM))
		s->seg[SEG_SS].ar |= cpl << AR_DPL_SHIFT;
	s->seg[SEG_LDTR] = (struct x86_segment){.selector = t->ldt, .ar = AR_UNUSABLE};
	s->rip = t->ip;
	soft_set_rflags(cpu, t->flags & EFLAGS_TASK);
	soft_mode_changed(cpu);
}

static void load_segments(struct soft_cpu *cpu, const struct task *t)
{
	load_ldt(cpu, t->ldt);
	if (t->flags & RFLAGS_VM)
		return;
	load_code(cpu, t->seg[SEG_CS]);
	load_stack(cpu, t->seg[SEG_SS]);
	load_data(cpu, SEG_DS, t->seg[SEG_DS]);
	load_data(cpu, SEG_ES, t->seg[SEG_ES]);
	load_data(cpu, SEG_FS, t->seg[SEG_FS]);
	load_data(cpu, SEG_GS, t->seg[SEG_GS]);
}

static void enter_task(struct soft_cpu *cpu, const struct task *t, const struct layout *l, const u32 *error)
{
	struct x86_state *s = &cpu->vcpu.regs;

	if (l->width == 4 && (s->cr0 & CR0_PG))
		soft_set_cr3(cpu, t->cr3);
	load_segments(cpu, t);
	s->dr7 &= ~(u64)DR7_LOCAL;
	soft_debug_changed(cpu);
	if (error)
		soft_push(cpu, l->width, *error);
	if (s->rip > s->seg[SEG_CS].limit)
		soft_fault_code(cpu, X86_GP, 0);
	if (t->trap)
		s->pending_db |= BIT(15); /* BT */
}

void soft_task_switch(struct soft_cpu *cpu, const struct descriptor *tss, enum task_source source, u64 return_rip,
		      u64 rflags, const u32 *error)
{
	struct x86_state *s = &cpu->vcpu.regs;
	const struct layout *l = layout_of(DESC_TYPE(tss)), *old = layout_of(s->seg[SEG_TR].ar & AR_TYPE);
	u64 base = descriptor_base(tss), old_base = s->seg[SEG_TR].base;
	bool nested = source == TASK_CALL;
	u16 old_selector = s->seg[SEG_TR].selector;
	struct task t;

	if (descriptor_limit(tss) < l->limit)
		soft_fault_code(cpu, X86_TS, tss->selector & 0xfffcu);
	if (s->seg[SEG_TR].limit < old->limit)
		soft_fault_code(cpu, X86_TS, old_selector & 0xfffcu);
	/* Nothing may fault between the first write and the last. */
	probe(cpu, old_base, old->limit + 1u);
	if (nested)
		probe(cpu, base, 2);
	probe(cpu, s->gdtr.base + (old_selector & 0xfff8u) + 5, 1);
	probe(cpu, tss->la + 5, 1);
	read_task(cpu, base, l, &t);

	if (source == TASK_IRET)
		rflags &= ~RFLAGS_NT;
	save_task(cpu, old_base, old, (u32)return_rip, (u32)rflags);
	if (!nested)
		set_busy(cpu, old_selector, false);
	if (source != TASK_IRET)
		set_busy(cpu, tss->selector, true);
	if (nested) {
		soft_system_store(cpu, base, 2, old_selector);
		t.flags |= RFLAGS_NT;
	}
	s->seg[SEG_TR] = descriptor_segment(tss);
	s->seg[SEG_TR].ar |= 2; /* busy */
	s->cr0 |= CR0_TS;

	/* From here on faults belong to the new task's first instruction. */
	const struct insn *cur = cpu->cur, *first = cpu->first;
	u64 block_rip = cpu->block_rip, insns_base = cpu->insns_base;

	load_registers(cpu, &t);
	soft_sync_position(cpu);
	soft_stand_between(cpu);
	enter_task(cpu, &t, l, error);
	cpu->cur = cur;
	cpu->first = first;
	cpu->block_rip = block_rip;
	cpu->insns_base = insns_base;
	cpu->no_step_trap = true;
	s->interruptibility &= ~(u32)(BLOCK_STI | BLOCK_MOV_SS);
	soft_attention(cpu);
}

void soft_task_fetch(struct soft_cpu *cpu, u16 selector, bool busy, enum vector vector, struct descriptor *tss)
{
	u32 error = selector & 0xfffcu;

	if ((selector & 4) || !descriptor_read(cpu, selector, tss) || DESC_S(tss) ||
	    (DESC_TYPE(tss) & ~8u) != (busy ? SYS_TSS16_BUSY : SYS_TSS16))
		soft_fault_code(cpu, vector, error);
	if (!DESC_P(tss))
		soft_fault_code(cpu, X86_NP, error);
}

void soft_task_return(struct soft_cpu *cpu, u64 return_rip)
{
	struct x86_state *s = &cpu->vcpu.regs;
	u16 link = (u16)soft_system_load(cpu, s->seg[SEG_TR].base, 2);
	struct descriptor tss;

	soft_task_fetch(cpu, link, true, X86_TS, &tss);
	soft_task_switch(cpu, &tss, TASK_IRET, return_rip, soft_rflags(cpu), NULL);
}
