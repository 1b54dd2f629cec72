/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a debugger asks a vCPU's engine to tell of, and what the engine told. Nothing here is seen by the guest: code is
 * never patched, and with a probe or without one the same instructions give the same results.
 *
 * A place is finer than a position: several exceptions and interrupts can be delivered between two instructions.
 * (insns, deliveries) names every boundary of the execution at which a debugger can stand:
 *	(P, 0)  the P-th instruction has retired and nothing of what is due at P has happened (vmm/machine.h)
 *	(P, n)  and n exceptions or interrupts have been delivered since
 *
 * Breakpoints: the engine returns EXIT_PROBE before an instruction at which a TARGET_BREAK_EXEC of the list stands
 * (by linear address, or by the guest-physical address of its first byte), with the regs exact and one hit for each.
 * Watchpoints and events: the engine notes hits while an instruction or a delivery makes them, and returns EXIT_PROBE at
 * the next boundary: accesses by instructions (each watchpoint told once an instruction, with the first byte of it
 * that was accessed), by delivery of exceptions and interrupts, by descriptor loads and stores, the page walk's reads
 * don't count, its updates of accessed and dirty flags do, device DMA does; fetching code does not.
 * A linear watchpoint is met by accesses of that linear address, whatever it is mapped to, and by DMA and page-table
 * updates of the bytes that it is mapped to now. A physical one is met by all accesses of those bytes. */
#ifndef VMM_PROBE_H
#define VMM_PROBE_H

#include "vmm/target.h"

struct vcpu;

struct probe_hit {
	const struct target_break *hit;
	u64 addr;   /* watchpoints: first watched byte that was accessed, as a number in the breakpoint's space */
	bool write; /* watchpoints. Of a read and a write by one instruction the write is told */
};

struct probe {
	const struct target_break *breaks; /* what to tell of; vcpu->engine->probe_changed() after every change */
	/* An execution breakpoint at this place isn't told: where the debugger starts from. */
	u64 skip_insns;
	u32 skip_deliveries;
	/* Room for one hit of each breakpoint: kept by probe_set(). Emptied by whoever has looked at them. */
	struct probe_hit *hit;
	unsigned nr, cap;
};

/* Sets the list and tells the engine. -ENOMEM: as before. @breaks NULL: nothing is watched. */
int probe_set(struct vcpu *vcpu, const struct target_break *breaks);
void probe_free(struct probe *p);

/* --- for engines and the machine --- */

/* Notes a hit, once for each breakpoint. */
void probe_note(struct probe *p, const struct target_break *b, u64 addr, bool write);

/* Something of @event with @number (vector, port, MSR) has happened. */
void probe_event(struct vcpu *vcpu, enum target_event event, u64 number);

#endif
