/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The slow halves of the SSE floating-point environment, and the exceptions it raises (SDM 1 section 11.5). */
#include "vmm/soft/sse.h"

static bool tiny32(u32 v)
{
	return !(v & 0x7f800000u) && (v & 0x007fffffu);
}

static bool tiny64(u64 v)
{
	return !(v & 0x7ff0000000000000ull) && (v & 0x000fffffffffffffull);
}

static bool result_tiny(__m128i result, enum fp_kind kind)
{
	u64 q[2];

	_mm_storeu_si128((__m128i *)q, result);
	if (!(kind & FP_OP))
		return false;
	switch (kind & FP_KIND) {
	case FP_SS:
		return tiny32(q[0]);
	case FP_PS:
		return tiny32(q[0]) || tiny32(q[0] >> 32) || tiny32(q[1]) || tiny32(q[1] >> 32);
	case FP_SD:
		return tiny64(q[0]);
	case FP_PD:
		return tiny64(q[0]) || tiny64(q[1]);
	}
	return false;
}

void sse_fp_enter_slow(struct soft_cpu *cpu)
{
	/* The upper half is reserved and would fault on the host, were it ever set. */
	u32 guest = cpu->vcpu.regs.fpu.mxcsr & 0xffff;

	if ((guest & MXCSR_CONTROL) == MXCSR_DEFAULT) {
		host_set_mxcsr(guest);
		return;
	}
	/* Flushing to zero is the masked response to underflow only. */
	if (!(guest & (MXCSR_UE << MXCSR_MASK_SHIFT)))
		guest &= ~MXCSR_FTZ;
	host_set_mxcsr((guest | MXCSR_MASKS) & ~MXCSR_FLAGS);
}

void sse_fp_leave_slow(struct soft_cpu *cpu, u32 host, __m128i result, __m128i d, __m128i s, enum fp_kind kind)
{
	u32 guest = cpu->vcpu.regs.fpu.mxcsr & 0xffff;
	u32 masks = guest >> MXCSR_MASK_SHIFT & MXCSR_FLAGS;
	u32 flags = host & MXCSR_FLAGS;

	if ((guest & MXCSR_CONTROL) == MXCSR_DEFAULT) {
		cpu->vcpu.regs.fpu.mxcsr = guest | flags;
		return;
	}
	host_set_mxcsr(MXCSR_DEFAULT);
	if (!(masks & MXCSR_UE) && result_tiny(result, kind))
		flags |= MXCSR_UE;
	/* An unmasked exception found before computing keeps the rest of the operation from happening. */
	if (flags & ~masks & MXCSR_PRE)
		flags &= MXCSR_PRE;
	else if ((flags & MXCSR_PE) && (flags & ~masks & (MXCSR_OE | MXCSR_UE)))
		if (!sse_fp_inexact(guest, ~masks & (MXCSR_OE | MXCSR_UE), d, s, kind))
			flags &= ~MXCSR_PE;
	cpu->vcpu.regs.fpu.mxcsr = guest | flags;
	if (flags & ~masks)
		soft_fault(cpu, cpu->vcpu.regs.cr4 & CR4_OSXMMEXCPT ? X86_XM : X86_UD);
}
