/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The stack as instructions see it. RSP changes only after the access, so a fault leaves it as it was. */
#ifndef VMM_SOFT_STACK_H
#define VMM_SOFT_STACK_H

#include "vmm/soft/cpu.h"

/* Any operand and stack size (segment.c). */
void soft_push(struct soft_cpu *cpu, unsigned size, u64 value);
u64 soft_pop(struct soft_cpu *cpu, unsigned size);
/* Reads the stack @skip bytes above the top without popping. */
u64 soft_stack_peek(struct soft_cpu *cpu, unsigned skip, unsigned size);
/* Moves the stack pointer, in the width that the stack has. */
void soft_stack_adjust(struct soft_cpu *cpu, s64 delta);

/* 64-bit mode, 8-byte operands: nearly all pushes and pops of a 64-bit guest. */
static inline void soft_push64(struct soft_cpu *cpu, u64 value)
{
	u64 la = reg64(cpu, RSP) - 8;
	u8 *p = tlb_host(cpu, la, 8, ACCESS_WRITE);

	if (likely(p)) {
		store64(p, value);
		set_reg64(cpu, RSP, la);
	} else {
		soft_push(cpu, 8, value);
	}
}

static inline u64 soft_pop64(struct soft_cpu *cpu)
{
	u64 la = reg64(cpu, RSP), value;
	const u8 *p = tlb_host(cpu, la, 8, ACCESS_READ);

	if (unlikely(!p))
		return soft_pop(cpu, 8);
	value = load64(p);
	set_reg64(cpu, RSP, la + 8);
	return value;
}

#endif
