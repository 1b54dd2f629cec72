/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the system-level guests (sys_*.c) have beyond guest.h: tables of cases, and code run in any ring.
 * A table is one line, "ok NAME (N cases)" or "not ok NAME (K of N cases)", with a "# ..." line for its first false
 * cases. What a case must give is computed in the guest from the manual's rules. */
#ifndef TESTS_GUEST_LIB_SYS_H
#define TESTS_GUEST_LIB_SYS_H

#include "tests/guest/lib/guest.h"

struct table {
	const char *name;
	unsigned cases, bad;
};

/* Counts a case. True: it is false, and a note is wanted: "# " is printed, the caller ends the line. */
bool table_case(struct table *t, bool good);
/* The table's line, with @prefix before its name; clears the counters. No cases: nothing is printed. */
void table_line(const char *prefix, struct table *t);
/* Prints " name=0xvalue". */
void put_value(const char *name, u64 v);

/* A small generator, the same in every run. */
static inline u32 random32(u32 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/* Segments of every ring beside those of guest.h: ring n's are flat, with the accessed bit set. */
enum {
	SEL_RING_CODE = 0x48, /* + 8 * ring */
	SEL_RING_DATA = 0x68, /* + 8 * ring */
	SEL_SYS = 0x88,       /* from here on free for tests */
};
#define RING_CS(ring) (SEL_RING_CODE + 8 * (ring) + (ring))
#define RING_SS(ring) (SEL_RING_DATA + 8 * (ring) + (ring))
#define SYS_INDEX     (SEL_SYS / 8)

/* Makes those, stacks of rings 0 to 2 in the TSS, and interrupt gate 80h with DPL 3, the usual end of a ring_run(). */
void rings_init(void);

/* How code begins: everything IRET gives, and five registers. DS and ES are loaded with @ds (32 bits). */
struct ring_entry {
	ulong ip, cs, flags, sp, ss; /* SP and SS: in 32 bits only for outer rings */
	ulong ax, bx, cx, di, ds;
};
/* Runs it until it traps; what ended it is in trap. Returns the vector. */
unsigned ring_run(const struct ring_entry *e);
/* The same at @ip in ring @ring with its flat segments and a stack. */
unsigned ring_call(unsigned ring, const void *ip, ulong flags, ulong ax, ulong di);
/* For changing entries on the way. */
struct ring_entry ring_entry(unsigned ring, const void *ip, ulong flags, ulong ax, ulong di);

#define VEC_DONE 0x80

/* Whether CPUID has the bit. @reg: 0 EAX to 3 EDX. */
static inline bool has_feature(u32 leaf, unsigned reg, unsigned bit)
{
	u32 r[4];

	cpuid(leaf & 0x80000000, 0, r);
	if (r[0] < leaf)
		return false;
	cpuid(leaf, 0, r);
	return r[reg] >> bit & 1;
}
#define HAS_UMIP     has_feature(7, 2, 2)
#define HAS_SMEP     has_feature(7, 1, 7)
#define HAS_SMAP     has_feature(7, 1, 20)
#define HAS_FSGSBASE has_feature(7, 1, 0)
#define HAS_PCID     has_feature(1, 2, 17)
#define HAS_VME      has_feature(1, 3, 1)
#define HAS_1GB      has_feature(0x80000001, 3, 26)

static inline unsigned phys_bits(void)
{
	u32 r[4];

	cpuid(0x80000008, 0, r);
	return r[0] & 0xff;
}

/* Descriptors. @access: bits 47:40, @flags: bits 55:52. */
#define DESC(base, limit, access, flags)                                                                  \
	(((limit)&0xffff) | (u64)((limit) >> 16 & 0xf) << 48 | (u64)((u32)(ulong)(base)&0xffffff) << 16 | \
	 (u64)((u32)(ulong)(base) >> 24) << 56 | (u64)(access) << 40 | (u64)(flags) << 52)
#define GATE(offset, selector, access, params)                                                               \
	(((u32)(ulong)(offset)&0xffff) | (u64)(selector) << 16 | (u64)(params) << 32 | (u64)(access) << 40 | \
	 (u64)((u32)(ulong)(offset) >> 16) << 48)

static inline void lldt(u16 sel)
{
	asm volatile("lldt %0" : : "r"(sel) : "memory");
}

/* Loads TR from @sel, whose descriptor is made available first. */
static inline void ltr(u16 sel)
{
	gdt[sel / 8] &= ~BIT(41);
	asm volatile("ltr %0" : : "r"(sel) : "memory");
}

struct table_register {
	u16 limit;
	ulong base;
} __attribute__((packed));

static inline struct table_register sidt(void)
{
	struct table_register r;

	asm volatile("sidt %0" : "=m"(r));
	return r;
}

static inline struct table_register sgdt(void)
{
	struct table_register r;

	asm volatile("sgdt %0" : "=m"(r));
	return r;
}

static inline void lidt(struct table_register r)
{
	asm volatile("lidt %0" : : "m"(r) : "memory");
}

static inline void lgdt(struct table_register r)
{
	asm volatile("lgdt %0" : : "m"(r) : "memory");
}

#endif
