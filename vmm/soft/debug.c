// SPDX-License-Identifier: GPL-2.0-or-later
/* The guest's own debug registers (SDM 3B chapter 18). Pages with data breakpoints lose the TLB's fast path, so
 * nothing is paid elsewhere; instruction breakpoints make the run loop go one instruction at a time. */
#include "vmm/soft/system.h"

enum { DR_EXEC = 0, DR_WRITE = 1, DR_IO = 2, DR_ACCESS = 3 };

static bool enabled(const struct x86_state *s, unsigned n)
{
	return s->dr7 >> (2 * n) & 3;
}

static unsigned kind(const struct x86_state *s, unsigned n)
{
	return s->dr7 >> (16 + 4 * n) & 3;
}

static unsigned length(const struct x86_state *s, unsigned n)
{
	static const u8 bytes[] = {1, 2, 8, 4};

	return bytes[s->dr7 >> (18 + 4 * n) & 3];
}

void soft_debug_changed(struct soft_cpu *cpu)
{
	const struct x86_state *s = &cpu->vcpu.regs;

	cpu->debug_data = cpu->debug_exec = cpu->debug_port = false;
	for (unsigned n = 0; n < 4; n++) {
		if (!enabled(s, n))
			continue;
		if (kind(s, n) == DR_EXEC)
			cpu->debug_exec = true;
		else if (kind(s, n) == DR_IO)
			cpu->debug_port |= (s->cr4 & CR4_DE) != 0;
		else
			cpu->debug_data = true;
	}
	soft_tlb_flush(cpu, true);
	soft_attention(cpu);
}

/* The aligned range that breakpoint @n watches. */
static bool overlaps(const struct x86_state *s, unsigned n, u64 at, u64 len)
{
	u64 size = length(s, n), first = s->dr[n] & ~(size - 1);

	return at < first + size && first < at + len;
}

static void hit(struct soft_cpu *cpu, u64 bits)
{
	if (bits) {
		cpu->vcpu.regs.pending_db |= bits;
		soft_attention(cpu);
	}
}

void soft_debug_data(struct soft_cpu *cpu, u64 la, unsigned len, bool write)
{
	const struct x86_state *s = &cpu->vcpu.regs;
	u64 bits = 0;

	for (unsigned n = 0; n < 4; n++)
		if (enabled(s, n) && (kind(s, n) == DR_ACCESS || (kind(s, n) == DR_WRITE && write)) &&
		    overlaps(s, n, la, len))
			bits |= BIT(n);
	hit(cpu, bits);
}

void soft_debug_port(struct soft_cpu *cpu, u16 port, unsigned size)
{
	const struct x86_state *s = &cpu->vcpu.regs;
	u64 bits = 0;

	for (unsigned n = 0; n < 4; n++)
		if (enabled(s, n) && kind(s, n) == DR_IO && overlaps(s, n, port, size))
			bits |= BIT(n);
	hit(cpu, bits);
}

bool soft_debug_page(const struct soft_cpu *cpu, u64 la)
{
	const struct x86_state *s = &cpu->vcpu.regs;

	for (unsigned n = 0; n < 4; n++)
		if (enabled(s, n) && (kind(s, n) & 1) && overlaps(s, n, la & ~PAGE_MASK, PAGE_SIZE))
			return true;
	return false;
}

u64 soft_debug_exec(const struct soft_cpu *cpu, u64 la)
{
	const struct x86_state *s = &cpu->vcpu.regs;
	u64 bits = 0;

	for (unsigned n = 0; n < 4; n++)
		if (enabled(s, n) && kind(s, n) == DR_EXEC && s->dr[n] == la)
			bits |= BIT(n);
	return bits;
}
