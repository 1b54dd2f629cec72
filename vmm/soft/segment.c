// SPDX-License-Identifier: GPL-2.0-or-later
/* Segmentation: descriptors, segment loads, limit and type checks, the TSS (SDM 3A chapters 3, 5, 7). */
#include "vmm/soft/stack.h"
#include "vmm/soft/system.h"

#define SELECTOR_ERROR(sel) ((u32)(sel)&0xfffcu)

/* --- addresses --- */

static void segment_check(struct soft_cpu *cpu, unsigned seg, u64 offset, unsigned size, enum access access)
{
	const struct x86_segment *s = &cpu->vcpu.regs.seg[seg];
	enum vector vector = seg == SEG_SS ? X86_SS : X86_GP;
	u64 last = offset + size - 1;

	if (unlikely(s->ar & AR_UNUSABLE))
		soft_fault_code(cpu, vector, 0);
	if (!(cpu->mode & MODE_REAL)) {
		bool code = s->ar & AR_CODE, rw = s->ar & AR_RW;

		if (access == ACCESS_WRITE ? code || !rw : code && !rw)
			soft_fault_code(cpu, vector, 0);
	}
	if ((s->ar & (AR_CODE | AR_DC)) == AR_DC) { /* expand-down data */
		if (offset <= s->limit || last > (s->ar & AR_DB ? 0xffffffff : 0xffff))
			soft_fault_code(cpu, vector, 0);
	} else if (last > s->limit) {
		soft_fault_code(cpu, vector, 0);
	}
}

u64 soft_linear(struct soft_cpu *cpu, unsigned seg, u64 offset, unsigned size, enum access access)
{
	const struct x86_segment *s = &cpu->vcpu.regs.seg[seg];

	if (cpu->mode & MODE_64) {
		u64 la = seg >= SEG_FS ? s->base + offset : offset;

		if (unlikely(!x86_canonical(la) || !x86_canonical(la + size - 1)))
			soft_fault_code(cpu, seg == SEG_SS ? X86_SS : X86_GP, 0);
		return la;
	}
	segment_check(cpu, seg, offset, size, access);
	return (u32)(s->base + offset);
}

/* --- stack --- */

static u64 stack_offset(const struct soft_cpu *cpu, s64 delta)
{
	u64 sp = reg64(cpu, RSP) + (u64)delta;

	return cpu->mode & MODE_64 ? sp : cpu->mode & MODE_SS32 ? (u32)sp : (u16)sp;
}

void soft_stack_adjust(struct soft_cpu *cpu, s64 delta)
{
	u64 sp = stack_offset(cpu, delta);

	if (cpu->mode & (MODE_64 | MODE_SS32))
		set_reg64(cpu, RSP, sp);
	else
		set_reg16(cpu, RSP, (u16)sp);
}

void soft_push(struct soft_cpu *cpu, unsigned size, u64 value)
{
	u64 la = soft_linear(cpu, SEG_SS, stack_offset(cpu, -(s64)size), size, ACCESS_WRITE);

	soft_store(cpu, la, size, value);
	soft_stack_adjust(cpu, -(s64)size);
}

u64 soft_stack_peek(struct soft_cpu *cpu, unsigned skip, unsigned size)
{
	return soft_load(cpu, soft_linear(cpu, SEG_SS, stack_offset(cpu, skip), size, ACCESS_READ), size);
}

u64 soft_pop(struct soft_cpu *cpu, unsigned size)
{
	u64 v = soft_stack_peek(cpu, 0, size);

	soft_stack_adjust(cpu, size);
	return v;
}

/* --- descriptors --- */

bool descriptor_read(struct soft_cpu *cpu, u16 selector, struct descriptor *d)
{
	const struct x86_state *s = &cpu->vcpu.regs;
	u64 base = s->gdtr.base, limit = s->gdtr.limit;
	unsigned offset = selector & 0xfff8u;

	if (!(selector & 0xfffc))
		return false;
	if (selector & 4) {
		if (s->seg[SEG_LDTR].ar & AR_UNUSABLE)
			return false;
		base = s->seg[SEG_LDTR].base;
		limit = s->seg[SEG_LDTR].limit;
	}
	if (offset + 7 > limit)
		return false;
	d->selector = selector;
	d->la = base + offset;
	d->raw = soft_system_load(cpu, d->la, 8);
	d->high = 0;
	if (x86_long_mode(s) && !DESC_S(d) && offset + 15 <= limit)
		d->high = soft_system_load(cpu, d->la + 8, 8);
	return true;
}

bool descriptor_whole(const struct soft_cpu *cpu, const struct descriptor *d)
{
	const struct x86_state *s = &cpu->vcpu.regs;

	return (d->selector & 0xfff8u) + 15 <= (d->selector & 4 ? s->seg[SEG_LDTR].limit : s->gdtr.limit);
}

void descriptor_fetch(struct soft_cpu *cpu, u16 selector, struct descriptor *d, enum vector vector)
{
	if (!descriptor_read(cpu, selector, d))
		soft_fault_code(cpu, vector, SELECTOR_ERROR(selector));
}

u64 descriptor_base(const struct descriptor *d)
{
	u64 base = (d->raw >> 16 & 0xffffff) | (d->raw >> 56) << 24;

	return DESC_S(d) ? base : base | d->high << 32;
}

u32 descriptor_limit(const struct descriptor *d)
{
	u32 limit = (u32)((d->raw & 0xffff) | (d->raw >> 32 & 0xf0000));

	return d->raw & BIT(55) ? limit << 12 | 0xfff : limit;
}

struct x86_segment descriptor_segment(const struct descriptor *d)
{
	return (struct x86_segment){
	    .base = descriptor_base(d),
	    .limit = descriptor_limit(d),
	    .ar = (u32)(d->raw >> 40) & 0xf0ff,
	    .selector = d->selector,
	};
}

void descriptor_set_accessed(struct soft_cpu *cpu, struct descriptor *d)
{
	if (DESC_TYPE(d) & 1)
		return;
	d->raw |= BIT(40);
	soft_system_store(cpu, d->la + 5, 1, d->raw >> 40 & 0xff);
}

static void segment_set_real(struct soft_cpu *cpu, unsigned seg, u16 selector)
{
	struct x86_segment *s = &cpu->vcpu.regs.seg[seg];

	s->selector = selector;
	s->base = (u64)selector << 4;
	if (cpu->vcpu.regs.rflags & RFLAGS_VM) {
		s->limit = 0xffff;
		s->ar = 0xf3;
	} else {
		s->ar &= ~AR_UNUSABLE;
		if (seg != SEG_CS) /* limits stay (big real mode) */
			s->ar = AR_P | AR_S | AR_RW | AR_ACCESSED | (s->ar & (AR_DB | AR_G));
	}
}

static void segment_set_null(struct soft_cpu *cpu, unsigned seg, u16 selector)
{
	struct x86_segment *s = &cpu->vcpu.regs.seg[seg];

	/* In 64-bit mode a null SS keeps its DPL, which is the CPL. */
	s->ar = AR_UNUSABLE | (seg == SEG_SS ? cpu->cpl << AR_DPL_SHIFT : 0);
	s->selector = selector;
	s->base = 0;
	s->limit = 0;
}

void stack_segment_fetch(struct soft_cpu *cpu, u16 selector, unsigned cpl, enum vector vector, struct descriptor *d)
{
	if (!(selector & 0xfffc))
		soft_fault_code(cpu, vector, 0);
	descriptor_fetch(cpu, selector, d, vector);
	if ((selector & 3) != cpl || !DESC_S(d) || DESC_CODE(d) || !(DESC_TYPE(d) & AR_RW) || DESC_DPL(d) != cpl)
		soft_fault_code(cpu, vector, SELECTOR_ERROR(selector));
	if (!DESC_P(d))
		soft_fault_code(cpu, X86_SS, SELECTOR_ERROR(selector));
}

void stack_frame_check(struct soft_cpu *cpu, const struct x86_segment *ss, u32 sp, unsigned width, unsigned len,
		       u32 error)
{
	u32 top = ss->ar & AR_DB ? 0xffffffff : 0xffff;
	bool down = (ss->ar & (AR_CODE | AR_DC)) == AR_DC;

	for (unsigned n = width; n <= len; n += width) {
		u32 at = (sp - n) & top;
		u64 last = (u64)at + width - 1;

		if (down ? at <= ss->limit || last > top : last > ss->limit)
			soft_fault_code(cpu, X86_SS, error);
	}
}

void stack_frame_store(struct soft_cpu *cpu, const struct x86_segment *ss, u32 sp, unsigned cpl, const void *frame,
		       unsigned len)
{
	u32 top = ss->ar & AR_DB ? 0xffffffff : 0xffff, first = (sp - len) & top;
	unsigned head = len - 1 > top - first ? top - first + 1 : len;
	struct tlb *tlb = cpu->tlb;

	cpu->tlb = &cpu->tlbs[cpl == 3 ? MMU_USER : MMU_KERNEL];
	if (unlikely(head < len)) {
		soft_probe_write(cpu, (u32)(ss->base + first), head);
		soft_store_bytes(cpu, (u32)ss->base, (const u8 *)frame + head, len - head);
	}
	soft_store_bytes(cpu, (u32)(ss->base + first), frame, head);
	cpu->tlb = tlb;
}

void segment_load(struct soft_cpu *cpu, unsigned seg, u16 selector)
{
	struct x86_state *s = &cpu->vcpu.regs;
	struct descriptor d;

	if (cpu->mode & MODE_REAL) {
		segment_set_real(cpu, seg, selector);
	} else if (seg == SEG_SS) {
		if (!(selector & 0xfffc) && (cpu->mode & MODE_64) && cpu->cpl < 3 && (selector & 3) == cpu->cpl) {
			segment_set_null(cpu, seg, selector);
		} else {
			stack_segment_fetch(cpu, selector, cpu->cpl, X86_GP, &d);
			descriptor_set_accessed(cpu, &d);
			s->seg[seg] = descriptor_segment(&d);
		}
	} else if (!(selector & 0xfffc)) {
		segment_set_null(cpu, seg, selector);
	} else {
		descriptor_fetch(cpu, selector, &d, X86_GP);
		if (!DESC_S(&d) || (DESC_TYPE(&d) & (AR_CODE | AR_RW)) == AR_CODE)
			soft_fault_code(cpu, X86_GP, SELECTOR_ERROR(selector));
		if (!DESC_CONFORMING(&d) && ((unsigned)(selector & 3) > DESC_DPL(&d) || cpu->cpl > DESC_DPL(&d)))
			soft_fault_code(cpu, X86_GP, SELECTOR_ERROR(selector));
		if (!DESC_P(&d))
			soft_fault_code(cpu, X86_NP, SELECTOR_ERROR(selector));
		descriptor_set_accessed(cpu, &d);
		s->seg[seg] = descriptor_segment(&d);
	}
	if (seg == SEG_SS)
		soft_mode_changed(cpu);
}

void code_segment_set(struct soft_cpu *cpu, struct descriptor *d, unsigned cpl)
{
	struct x86_segment *cs = &cpu->vcpu.regs.seg[SEG_CS];

	descriptor_set_accessed(cpu, d);
	*cs = descriptor_segment(d);
	cs->selector = (u16)((d->selector & ~3u) | cpl);
}

void segments_drop_privileged(struct soft_cpu *cpu, unsigned cpl)
{
	static const u8 data[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};

	for (unsigned n = 0; n < ARRAY_SIZE(data); n++) {
		struct x86_segment *s = &cpu->vcpu.regs.seg[data[n]];
		bool conforming = (s->ar & (AR_CODE | AR_DC)) == (AR_CODE | AR_DC);

		if (!(s->ar & AR_UNUSABLE) && !conforming && (s->ar & AR_DPL) >> AR_DPL_SHIFT < cpl) {
			/* FS and GS bases stay, as on Intel, outside of what this clears. */
			s->ar = AR_UNUSABLE;
			s->selector = 0;
		}
		/* A null selector loses its RPL (SDM 2A, IRET: RETURN-TO-OUTER-PRIVILEGE-LEVEL). */
		if (!(s->selector & ~3u))
			s->selector = 0;
	}
}

/* --- TSS --- */

static u64 tss_load(struct soft_cpu *cpu, u32 offset, unsigned size)
{
	const struct x86_segment *tr = &cpu->vcpu.regs.seg[SEG_TR];

	if (offset + size - 1 > tr->limit)
		soft_fault_code(cpu, X86_TS, SELECTOR_ERROR(tr->selector));
	return soft_system_load(cpu, tr->base + offset, size);
}

void tss_stack(struct soft_cpu *cpu, unsigned cpl, u16 *ss, u64 *sp)
{
	unsigned type = cpu->vcpu.regs.seg[SEG_TR].ar & AR_TYPE;

	if (x86_long_mode(&cpu->vcpu.regs)) {
		*ss = (u16)cpl;
		*sp = tss_load(cpu, 4 + 8 * cpl, 8);
	} else if (type & 8) { /* 32-bit TSS */
		*sp = tss_load(cpu, 4 + 8 * cpl, 4);
		*ss = (u16)tss_load(cpu, 8 + 8 * cpl, 2);
	} else {
		*sp = tss_load(cpu, 2 + 4 * cpl, 2);
		*ss = (u16)tss_load(cpu, 4 + 4 * cpl, 2);
	}
}

u64 tss_ist(struct soft_cpu *cpu, unsigned ist)
{
	return tss_load(cpu, 0x24 + 8 * (ist - 1), 8);
}

bool tss_io_allowed(struct soft_cpu *cpu, u16 port, unsigned size)
{
	const struct x86_segment *tr = &cpu->vcpu.regs.seg[SEG_TR];
	u32 offset, bits;

	if (!(tr->ar & AR_P) || !(tr->ar & 8) || tr->limit < 0x67)
		return false;
	offset = (u32)soft_system_load(cpu, tr->base + 0x66, 2) + port / 8u;
	if (offset + 1 > tr->limit)
		return false;
	bits = (u32)soft_system_load(cpu, tr->base + offset, 2);
	return !(bits >> (port & 7) & ((1u << size) - 1));
}

void soft_check_io(struct soft_cpu *cpu, u16 port, unsigned size)
{
	u64 rflags = cpu->vcpu.regs.rflags;
	bool vm = rflags & RFLAGS_VM;

	if (!(cpu->vcpu.regs.cr0 & CR0_PE))
		return;
	if ((vm || cpu->cpl > (rflags & RFLAGS_IOPL) >> 12) && !tss_io_allowed(cpu, port, size))
		soft_fault_code(cpu, X86_GP, 0);
}
