/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shadow page tables (shadow.c), and the guest's own rules of paging (walk.c) that they are made by.
 */
#ifndef VMDBG_SHADOW_H
#define VMDBG_SHADOW_H

#include <linux/types.h>

#include "vmdbg.h"

#define GUEST_PHYS_BITS 40 /* MAXPHYADDR of the CPU model */

/* --- walk.c: the guest's page tables (SDM 3A chapter 4) --- */

/* Rights, of an entry or of all entries of a walk together. */
#define RIGHT_W   1u
#define RIGHT_U   2u
#define RIGHT_X   4u
#define RIGHT_ALL 7u

#define PTE_P  1ull
#define PTE_W  BIT_ULL(1)
#define PTE_U  BIT_ULL(2)
#define PTE_A  BIT_ULL(5)
#define PTE_D  BIT_ULL(6)
#define PTE_PS BIT_ULL(7)
#define PTE_NX BIT_ULL(63)

/* Bits of a page fault's error code. */
#define FAULT_P    BIT(0)
#define FAULT_W    BIT(1)
#define FAULT_U    BIT(2)
#define FAULT_RSVD BIT(3)
#define FAULT_I    BIT(4)

enum guest_entry { ENTRY_ABSENT, ENTRY_RESERVED, ENTRY_TABLE, ENTRY_PAGE };

/* What entry @e of a table of @level (1: maps pages of 4 KiB) says: the table's or page's address, and its rights. */
enum guest_entry guest_entry_decode(const struct vmdbg_regs *r, u64 e, unsigned int level, u64 *address, u32 *rights);

struct guest_walk {
	unsigned int nr;   /* entries used, from the top */
	unsigned int size; /* of an entry in bytes */
	u64 gpa[4], entry[4];
	u64 address; /* of the byte asked for */
	u32 rights;
	u32 error; /* of a fault: FAULT_P and FAULT_RSVD */
};

enum guest_walked { WALK_DONE, WALK_FAULT, WALK_UNPINNED /* v->need_gpa isn't there yet */ };

/* Through the tables of a guest with paging on. No rights are looked at, no flags set. */
enum guest_walked guest_walk(struct vcpu *v, u64 la, struct guest_walk *w);

/* --- shadow.c. All but shadow_active() are no-ops for a vCPU without. --- */

int shadow_create(struct vcpu *v);
void shadow_free(struct vcpu *v);
/* More pages for tables were asked for: makes them. May sleep. */
bool shadow_wants(const struct vcpu *v);
int shadow_grow(struct vcpu *v);
/* Drops all that was derived from the guest's tables. */
void shadow_drop(struct vcpu *v);

/* Whether hardware walks the shadow tables in the present slice: the guest has paging on. */
bool shadow_active(const struct vcpu *v);
/* The guest is in the VMCS: puts there what differs with shadow tables. */
void shadow_load(struct vcpu *v);
/* A run begins: with VMDBG_RUN_FLUSH what was derived from the guest's tables is to be compared with them. May sleep. */
int shadow_begin(struct vcpu *v);
/* Before an entry: whether the TLB holds what the shadow tables don't any more. */
bool shadow_take_stale(struct vcpu *v);

/*
 * A page fault of hardware at @la with error code *@error. AGAIN, PIN: the instruction or delivery is tried anew.
 * LEAVE with *@guest: the fault is the guest's, *@error as it sees it; without: an exit is in v->run.
 */
enum after shadow_fault(struct vcpu *v, u64 la, u32 *error, bool *guest);

/* Whether @gpa is that of a shadow table; its page is mapped anew. */
bool shadow_map(struct vcpu *v, u64 gpa);
/* Host's address of the page with the PDPTEs. */
u64 shadow_pdpt(const struct vcpu *v);
/* Whether something was derived from the guest's page, so that it must not be written unnoticed. */
bool shadow_tracks(const struct vcpu *v, u64 gfn);
/*
 * The guest is about to write to a page that is tracked. True: it may, and when stepping pages_close() looks at what it
 * has written. False, only running freely: the instruction needs the page for its own translation, it has to be stepped.
 */
bool shadow_write(struct vcpu *v, u64 gfn);
bool shadow_written(const struct vcpu *v);
/* Pages that were open for one instruction are closed. */
void shadow_settle(struct vcpu *v);

#endif
