// SPDX-License-Identifier: GPL-2.0-or-later
/* Breakpoints and watchpoints of a debugger. Pages with watchpoints lose the TLB's fast path, so nothing is paid
 * elsewhere; blocks are decoded so that a breakpoint always stands at a block's first instruction, and those blocks are
 * never found by RIP alone. Nothing that the guest can notice may follow from either. */
#include "vmm/soft/system.h"

bool soft_probe_exec(struct soft_cpu *cpu, u64 la)
{
	struct probe *p = &cpu->vcpu.probe;
	u64 gpa;

	if (p->skip_insns == cpu->vcpu.insns && p->skip_deliveries == vcpu_deliveries(&cpu->vcpu))
		return false;
	if (!p->in[PROBE_EXEC + TARGET_PHYSICAL].nr && !probe_covers(p, PROBE_EXEC + TARGET_LINEAR, la, la))
		return false;
	/* An instruction that can't be fetched is a page fault, which will be told by the handler's. */
	if (!soft_peek_exec(cpu, la, &gpa) || !probe_exec(p, la, gpa))
		return false;
	soft_attention(cpu);
	return true;
}

static void unwatch_memory(struct soft_cpu *cpu)
{
	const struct memory *mem = cpu->vcpu.mem;

	for (unsigned i = 0; i < mem->count; i++) {
		const struct memory_slot *slot = &mem->slot[i];
		u64 pages = slot->size >> PAGE_SHIFT;

		for (u64 n = 0; n < pages; n++) {
			/* Eight at a time: writing would make the host commit all flags. */
			if (!(n & 7) && n + 8 <= pages &&
			    !(load64(slot->flags + n) & 0x0101010101010101ull * PAGE_WATCHED)) {
				n += 7;
				continue;
			}
			if (slot->flags[n] & PAGE_WATCHED)
				slot->flags[n] &= (u8)~PAGE_WATCHED;
		}
	}
	cpu->watched = false;
}

static void watch_slot(const struct memory_slot *slot, const struct probe_ranges *in)
{
	u64 next = 0; /* ranges are sorted: pages before this one are done */

	for (unsigned n = 0; n < in->nr; n++) {
		const struct probe_range *r = &in->range[n];
		u64 end = slot->gpa + slot->size - 1;

		if (r->first > end || r->last < slot->gpa)
			continue;
		u64 page = (max64(r->first, slot->gpa) - slot->gpa) >> PAGE_SHIFT;
		u64 last = (min64(r->last, end) - slot->gpa) >> PAGE_SHIFT;

		for (page = max64(page, next); page <= last; page++)
			slot->flags[page] |= PAGE_WATCHED;
		next = max64(next, page);
	}
}

void soft_probe_changed(struct vcpu *vcpu)
{
	struct soft_cpu *cpu = soft_cpu(vcpu);
	const struct probe_ranges *in = vcpu->probe.in;
	bool probed = in[PROBE_EXEC + TARGET_LINEAR].nr || in[PROBE_EXEC + TARGET_PHYSICAL].nr;

	if (cpu->watched)
		unwatch_memory(cpu);
	if (in[PROBE_WATCH + TARGET_PHYSICAL].nr) {
		for (unsigned i = 0; i < vcpu->mem->count; i++)
			watch_slot(&vcpu->mem->slot[i], &in[PROBE_WATCH + TARGET_PHYSICAL]);
		cpu->watched = true;
	}
	soft_tlb_watch(cpu);
	if (probed || cpu->probed) {
		cpu->probe_gen++;
		cpu->exec_gen++; /* blocks are looked at again when they are next looked up */
		soft_update_key(cpu);
	}
	cpu->probed = probed;
}
