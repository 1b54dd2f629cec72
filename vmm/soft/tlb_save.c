// SPDX-License-Identifier: GPL-2.0-or-later
/* What the TLBs hold, for checkpoints. A guest that changes its page tables and doesn't flush sees old translations, and
 * accessed and dirty flags are set when an entry is made: both go on as they were.
 *
 * 16 bytes an entry, in the order of the tables: the linear page with struct saved's bits, and the guest-physical page
 * with the log2 of its page's size. What is slow and where the host has it is worked out anew. */
#include <errno.h>

#include "vmm/soft/system.h"
#include "vmm/x86/cpuid.h"

#define ENTRY_SIZE 16

/* Low bits of the linear page. */
#define SAVED_KIND   7ull /* enum mmu_index, or: */
#define SAVED_FETCH  4ull /* pages that code was fetched from; + 1: at CPL 3 */
#define SAVED_WRITE  8ull
#define SAVED_GLOBAL 16ull

static bool itlb_valid(const struct soft_cpu *cpu, unsigned n)
{
	return cpu->itlb[n].key >> 1 == cpu->fetch_gen;
}

size_t soft_tlb_size(const struct vcpu *vcpu)
{
	const struct soft_cpu *cpu = (const struct soft_cpu *)vcpu;
	size_t count = 0;

	for (unsigned t = 0; t < MMU_COUNT; t++)
		count += cpu->tlbs[t].nr_used;
	for (unsigned n = 0; n < ITLB_SIZE; n++)
		count += itlb_valid(cpu, n);
	return count * ENTRY_SIZE;
}

static u8 *save(u8 *out, u64 la, u64 gpa)
{
	store64(out, la);
	store64(out + 8, gpa);
	return out + ENTRY_SIZE;
}

size_t soft_tlb_save(const struct vcpu *vcpu, u8 *out)
{
	const struct soft_cpu *cpu = (const struct soft_cpu *)vcpu;
	u8 *p = out;

	for (unsigned t = 0; t < MMU_COUNT; t++)
		for (unsigned n = 0; n < TLB_SIZE; n++) {
			const struct tlb_entry *e = &cpu->tlbs[t].entry[n];
			u64 bits = t;

			if (e->tag[ACCESS_READ] == TLB_EMPTY)
				continue;
			bits |= e->tag[ACCESS_WRITE] == TLB_EMPTY ? 0 : SAVED_WRITE;
			bits |= e->gpa & GPA_GLOBAL ? SAVED_GLOBAL : 0;
			p = save(p, (e->tag[ACCESS_READ] & ~PAGE_MASK) | bits, (e->gpa & ~PAGE_MASK) | GPA_BITS(e));
		}
	for (unsigned n = 0; n < ITLB_SIZE; n++)
		if (itlb_valid(cpu, n))
			p = save(p, cpu->itlb[n].la | SAVED_FETCH | (cpu->itlb[n].key & 1), cpu->itlb[n].gpa);
	return p - out;
}

static bool la_valid(const struct soft_cpu *cpu, u64 la)
{
	return x86_long_mode(&cpu->vcpu.regs) ? x86_canonical(la) : !(la >> 32);
}

static bool load_fetch(struct soft_cpu *cpu, u64 la, u64 gpa, bool user)
{
	unsigned n = (la >> PAGE_SHIFT) % ITLB_SIZE;

	if ((gpa & PAGE_MASK) || itlb_valid(cpu, n))
		return false;
	cpu->itlb[n].la = la;
	cpu->itlb[n].key = cpu->fetch_gen << 1 | user;
	cpu->itlb[n].gpa = gpa;
	cpu->itlb[n].host = memory_host(cpu->vcpu.mem, gpa, PAGE_SIZE);
	return true;
}

static bool load_entry(struct soft_cpu *cpu, const u8 *in)
{
	u64 word = load64(in), gpa = load64(in + 8), la = word & ~PAGE_MASK;
	unsigned kind = word & SAVED_KIND, size = gpa & PAGE_MASK;

	if ((word & PAGE_MASK & ~(SAVED_KIND | SAVED_WRITE | SAVED_GLOBAL)) || !la_valid(cpu, la) ||
	    gpa >> CPU_PHYS_BITS || kind > SAVED_FETCH + 1)
		return false;
	if (kind >= SAVED_FETCH)
		return !(word & (SAVED_WRITE | SAVED_GLOBAL)) && load_fetch(cpu, la, gpa, kind & 1);
	if (size < PAGE_SHIFT || size > 32 ||
	    cpu->tlbs[kind].entry[(la >> PAGE_SHIFT) & (TLB_SIZE - 1)].tag[ACCESS_READ] != TLB_EMPTY)
		return false;
	gpa = (gpa & ~PAGE_MASK) | size << 1 | (word & SAVED_GLOBAL ? GPA_GLOBAL : 0);
	soft_tlb_enter(cpu, kind, la, gpa, word & SAVED_WRITE);
	return true;
}

int soft_tlb_load(struct vcpu *vcpu, const u8 *in, size_t len)
{
	struct soft_cpu *cpu = soft_cpu(vcpu);
	bool good = !(len % ENTRY_SIZE);

	soft_tlb_flush(cpu, true);
	for (size_t at = 0; good && at < len; at += ENTRY_SIZE)
		good = load_entry(cpu, in + at);
	if (good)
		return 0;
	soft_tlb_flush(cpu, true);
	return -EINVAL;
}
