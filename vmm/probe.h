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
 * don't count, its updates of accessed and dirty flags do, what device DMA writes does; fetching code does not.
 * A linear watchpoint is met by accesses of that linear address, whatever it is mapped to, and by DMA and page-table
 * updates of the bytes that it is mapped to now. A physical one is met by all accesses of those bytes.
 * What an instruction that faults has read isn't told; what it wrote before is. A read-modify-write is both.
 * What a device does at (P, 0), when time is up or between instructions, is told at the next place. */
#ifndef VMM_PROBE_H
#define VMM_PROBE_H

#include "vmm/target.h"

struct vcpu;

/* Breakpoints are kept in classes, each a tree of ranges: of addresses, or of an event's numbers. */
enum probe_class {
	PROBE_EXEC,                    /* + enum target_space */
	PROBE_WATCH = PROBE_EXEC + 2,  /* + enum target_space */
	PROBE_EVENT = PROBE_WATCH + 2, /* + enum target_event */
	PROBE_CLASSES = PROBE_EVENT + TARGET_EVENT_COUNT,
};

struct probe_range {
	u64 first, last;
	u64 reach; /* the highest @last of the subtree */
	const struct target_break *hit;
};

struct probe_ranges {
	struct probe_range *range; /* by @first */
	unsigned nr;
};

struct probe_hit {
	const struct target_break *hit;
	u64 addr;   /* watchpoints: first watched byte that was accessed, as a number in the breakpoint's space */
	bool write; /* watchpoints. Of a read and a write by one instruction the write is told */
};

struct probe {
	const struct target_break *breaks; /* what to tell of; vcpu->engine->probe_changed() after every change */
	/* An execution breakpoint at this place isn't told: where the debugger starts from. ~0: none (at first). */
	u64 skip_insns;
	u32 skip_deliveries;
	/* Room for one hit of each breakpoint: kept by probe_set(). Emptied (nr = 0) by whoever has looked at them, always
	 * before the machine runs on. */
	struct probe_hit *hit;
	unsigned nr, cap;
	/* For engines. */
	unsigned made; /* hits that stay whatever becomes of the present instruction: probe_settle() */
	bool fresh;    /* a hit was noted: the engine is to stop at the next boundary */
	struct probe_ranges in[PROBE_CLASSES];
};

/* Sets the list, without hits, and tells the engine. -ENOMEM: as before. @breaks NULL: nothing is watched. */
int probe_set(struct vcpu *vcpu, const struct target_break *breaks);
void probe_free(struct probe *p);

/* --- for engines and the machine --- */

/* Notes a hit, once for each breakpoint. */
void probe_note(struct probe *p, const struct target_break *b, u64 addr, bool write);

/* Something of @event with @number (vector, port, MSR) has happened. */
void probe_event(struct vcpu *vcpu, enum target_event event, u64 number);

/* Whether a breakpoint of the class meets [first, last]. Cost: the logarithm of how many there are. */
bool probe_covers(const struct probe *p, enum probe_class class, u64 first, u64 last);

/* Notes the execution breakpoints at an instruction. False: there are none. */
bool probe_exec(struct probe *p, u64 la, u64 gpa);

/* Notes the watchpoints that an access of @len bytes meets, none of it beyond a page; by its linear address @la, and by
 * its guest-physical one. */
void probe_access(struct probe *p, u64 la, u64 gpa, u64 len, bool write);

/* Somebody else than an instruction writes guest-physical memory: a device, the page walk. Linear watchpoints are looked
 * up in the page tables as they are now; only in the first PROBE_MAPPED_PAGES pages of them all. */
#define PROBE_MAPPED_PAGES 4096
void probe_written(struct vcpu *vcpu, u64 gpa, u64 len);

/* The accesses noted so far have been made. */
static inline void probe_settle(struct probe *p)
{
	p->made = p->nr;
}

/* The instruction failed: forgets what it read since probe_settle(). What it wrote is written. */
void probe_forget_reads(struct probe *p);

static inline bool probe_watching(const struct probe *p)
{
	return p->in[PROBE_WATCH + TARGET_LINEAR].nr || p->in[PROBE_WATCH + TARGET_PHYSICAL].nr;
}

#endif
