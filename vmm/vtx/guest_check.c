// SPDX-License-Identifier: GPL-2.0-or-later
/* After a VM entry that failed for the guest's state: which rule it breaks (SDM 3C 27.3.1), as a sentence. The rules stand
 * in the manual's order; only those that our VMCS setup leaves to the guest's registers are here. */
#include <stdarg.h>
#include <stdio.h>

#include "vmm/vtx/vtx.h"
#include "vmm/x86/cpuid.h"

struct report {
	char *out;
	size_t size;
	bool found;
};

static void PRINTF(3, 4) rule(struct report *r, bool broken, const char *fmt, ...)
{
	va_list ap;

	if (!broken || r->found)
		return;
	r->found = true;
	va_start(ap, fmt);
	vsnprintf(r->out, r->size, fmt, ap);
	va_end(ap);
}

static void control_registers(struct report *r, const struct vmdbg_regs *s)
{
	bool lma = s->efer & EFER_LMA;

	rule(r, (s->cr0 & CR0_PG) && !(s->cr0 & CR0_PE), "CR0 has PG without PE (27.3.1.1)");
	rule(r, lma && !(s->cr0 & CR0_PG), "EFER.LMA is set with paging off (27.3.1.1)");
	rule(r, lma && !(s->cr4 & CR4_PAE), "EFER.LMA is set without CR4.PAE (27.3.1.1)");
	rule(r, !lma && (s->cr4 & CR4_PCIDE), "CR4.PCIDE is set outside of IA-32e mode (27.3.1.1)");
	rule(r, s->cr3 >> CPU_PHYS_BITS, "CR3 has bits beyond the physical-address width (27.3.1.1)");
	rule(r, (s->cr0 & CR0_PG) && lma != !!(s->efer & EFER_LME), "EFER.LMA differs from EFER.LME (27.3.1.1)");
	rule(r, !x86_canonical(s->sysenter_esp) || !x86_canonical(s->sysenter_eip),
	     "a SYSENTER address isn't canonical (27.3.1.1)");
}

static const char *const seg_name[] = {"ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR"};

static void limit(struct report *r, unsigned n, const struct vmdbg_segment *seg)
{
	rule(r, (seg->limit & 0xfff) != 0xfff && (seg->ar & AR_G),
	     "%s: G is set, but limit %#x doesn't end in fff (27.3.1.2)", seg_name[n], seg->limit);
	rule(r, seg->limit >> 20 && !(seg->ar & AR_G), "%s: G is clear, but limit %#x is over 1 MiB (27.3.1.2)",
	     seg_name[n], seg->limit);
}

static void virtual_8086(struct report *r, const struct vmdbg_regs *s)
{
	for (unsigned n = 0; n < SEG_COUNT; n++) {
		rule(r, s->seg[n].base != (u64)s->seg[n].selector << 4,
		     "%s: base isn't selector times 16 in virtual-8086 mode", seg_name[n]);
		rule(r, s->seg[n].limit != 0xffff, "%s: limit isn't ffffh in virtual-8086 mode", seg_name[n]);
		rule(r, s->seg[n].ar != 0xf3, "%s: access rights aren't f3h in virtual-8086 mode", seg_name[n]);
	}
}

static void code_segment(struct report *r, const struct vmdbg_regs *s)
{
	const struct vmdbg_segment *cs = &s->seg[SEG_CS], *ss = &s->seg[SEG_SS];
	unsigned type = cs->ar & AR_TYPE, dpl = cs->ar >> 5 & 3, cpl = ss->ar >> 5 & 3;

	rule(r, type != 3 && (type & 9) != 9, "CS: type %u is neither accessed code nor 3 (27.3.1.2)", type);
	rule(r, !(cs->ar & AR_S) || !(cs->ar & AR_P), "CS: not present, or a system segment (27.3.1.2)");
	rule(r, type == 3 && dpl, "CS: type 3 with DPL %u (27.3.1.2)", dpl);
	rule(r, (type == 9 || type == 11) && dpl != cpl, "CS: DPL %u isn't the CPL, %u (27.3.1.2)", dpl, cpl);
	rule(r, (type == 13 || type == 15) && dpl > cpl, "CS: conforming, DPL %u above the CPL, %u (27.3.1.2)", dpl,
	     cpl);
	rule(r, (s->efer & EFER_LMA) && (cs->ar & AR_L) && (cs->ar & AR_DB), "CS: both L and D are set (27.3.1.2)");
	limit(r, SEG_CS, cs);
}

static void data_segment(struct report *r, const struct vmdbg_regs *s, unsigned n)
{
	const struct vmdbg_segment *seg = &s->seg[n];
	unsigned type = seg->ar & AR_TYPE;

	if (seg->ar & AR_UNUSABLE)
		return;
	rule(r, !(type & 1), "%s: type %u isn't accessed (27.3.1.2)", seg_name[n], type);
	rule(r, (type & 8) && !(type & 2), "%s: type %u is code that cannot be read (27.3.1.2)", seg_name[n], type);
	rule(r, !(seg->ar & AR_S) || !(seg->ar & AR_P), "%s: not present, or a system segment (27.3.1.2)", seg_name[n]);
	rule(r, n == SEG_SS && type != 3 && type != 7, "SS: type %u isn't writable data (27.3.1.2)", type);
	limit(r, n, seg);
}

static void system_segments(struct report *r, const struct vmdbg_regs *s)
{
	const struct vmdbg_segment *tr = &s->seg[SEG_TR], *ldtr = &s->seg[SEG_LDTR];
	unsigned type = tr->ar & AR_TYPE;

	rule(r, tr->ar & AR_UNUSABLE, "TR: unusable (27.3.1.2)");
	rule(r, type != 11 && (type != 3 || s->efer & EFER_LMA), "TR: type %u isn't a busy TSS (27.3.1.2)", type);
	rule(r, tr->ar & AR_S || !(tr->ar & AR_P), "TR: not present, or not a system segment (27.3.1.2)");
	rule(r, tr->selector & 4, "TR: the selector names the LDT (27.3.1.2)");
	limit(r, SEG_TR, tr);
	if (ldtr->ar & AR_UNUSABLE)
		return;
	rule(r, (ldtr->ar & (AR_TYPE | AR_S | AR_P)) != (2 | AR_P),
	     "LDTR: access rights %#x aren't an LDT's (27.3.1.2)", ldtr->ar);
	rule(r, ldtr->selector & 4, "LDTR: the selector names the LDT (27.3.1.2)");
	limit(r, SEG_LDTR, ldtr);
}

static void rest(struct report *r, const struct vmdbg_regs *s)
{
	bool is64 = (s->efer & EFER_LMA) && (s->seg[SEG_CS].ar & AR_L);

	rule(r, !x86_canonical(s->gdtr.base) || !x86_canonical(s->idtr.base),
	     "the base of GDTR or IDTR isn't canonical (27.3.1.3)");
	rule(r, !is64 && s->rip >> 32, "RIP %#llx has more than 32 bits outside of 64-bit mode (27.3.1.4)",
	     (unsigned long long)s->rip);
	rule(r, is64 && !x86_canonical(s->rip), "RIP %#llx isn't canonical (27.3.1.4)", (unsigned long long)s->rip);
	rule(r, !(s->rflags & RFLAGS_1) || s->rflags >> 22 || s->rflags & 0x8028,
	     "RFLAGS %#llx has reserved bits wrong (27.3.1.4)", (unsigned long long)s->rflags);
	rule(r, (s->rflags & RFLAGS_VM) && ((s->efer & EFER_LMA) || !(s->cr0 & CR0_PE)),
	     "RFLAGS.VM is set in IA-32e or real mode (27.3.1.4)");
}

void vtx_guest_check(const struct vmdbg_regs *s, char *out, size_t size)
{
	struct report r = {out, size, false};

	*out = 0;
	control_registers(&r, s);
	if (s->rflags & RFLAGS_VM) {
		virtual_8086(&r, s);
	} else {
		code_segment(&r, s);
		for (unsigned n = 0; n < SEG_COUNT; n++)
			if (n != SEG_CS)
				data_segment(&r, s, n);
	}
	system_segments(&r, s);
	rest(&r, s);
}
