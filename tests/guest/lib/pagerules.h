/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The manual's rules for accesses through paging structures (SDM 3A 4.6, 4.7, 4.8), as a function of the entries. */
#ifndef TESTS_GUEST_LIB_PAGERULES_H
#define TESTS_GUEST_LIB_PAGERULES_H

#include "tests/guest/lib/sys.h"

#define E_P  BIT(0)
#define E_W  BIT(1)
#define E_U  BIT(2)
#define E_A  BIT(5)
#define E_D  BIT(6)
#define E_PS BIT(7)
#define E_G  BIT(8)
#define E_NX BIT(63)

enum access_kind { READ, WRITE, FETCH, IMPLICIT_READ, IMPLICIT_WRITE, KINDS };

struct page_case {
	unsigned levels; /* entries used, the first is the highest */
	u64 entry[4];    /* as written, accessed and dirty flags clear */
	u64 reserved[4]; /* bits that must be 0 in each, whatever EFER.NXE */
	bool wide;       /* 8-byte entries: XD exists */
	bool nxe, smep, smap, wp, ac;
	enum access_kind kind;
	unsigned cpl;
};

#define NO_FAULT (-1)

/* The error code, or NO_FAULT. */
static inline int page_access_rule(const struct page_case *c)
{
	bool write = c->kind == WRITE || c->kind == IMPLICIT_WRITE, fetch = c->kind == FETCH;
	bool implicit = c->kind >= IMPLICIT_READ, user_mode = c->cpl == 3 && !implicit;
	bool can_write = true, user_page = true, nx = false, bad = false;
	int error = write << 1 | user_mode << 2;

	/* 4.7: I/D is 1 for a fetch if CR4.SMEP = 1, or CR4.PAE = 1 and EFER.NXE = 1. */
	if (fetch && (c->smep || (c->wide && c->nxe)))
		error |= 0x10;
	for (unsigned n = 0; n < c->levels; n++) {
		u64 reserved = c->reserved[n] | (c->wide && !c->nxe ? E_NX : 0);

		if (!(c->entry[n] & E_P))
			return error;
		if (c->entry[n] & reserved)
			return error | 1 | 8;
		can_write &= !!(c->entry[n] & E_W);
		user_page &= !!(c->entry[n] & E_U);
		nx |= c->wide && c->entry[n] & E_NX;
	}
	if (user_mode) {
		bad = !user_page || (write && !can_write) || (fetch && nx);
	} else if (fetch) {
		bad = nx || (user_page && c->smep);
	} else {
		bad = (user_page && c->smap && (implicit || !c->ac)) || (write && !can_write && c->wp);
	}
	return bad ? error | 1 : NO_FAULT;
}

/* A descriptor is read before it is marked accessed. */
static inline int page_rule(const struct page_case *c)
{
	struct page_case first = *c;
	int error;

	first.kind = IMPLICIT_READ;
	error = c->kind == IMPLICIT_WRITE ? page_access_rule(&first) : NO_FAULT;
	return error == NO_FAULT ? page_access_rule(c) : error;
}

/* Whether the flags of the entries are right after the access. @entry: as read back. */
static inline bool page_flags_rule(const struct page_case *c, const u64 *entry, bool faulted)
{
	bool write = c->kind == WRITE || c->kind == IMPLICIT_WRITE;

	for (unsigned n = 0; n < c->levels; n++) {
		bool leaf = n == c->levels - 1, dirty = leaf && write;

		/* A fault may leave accessed flags set, where an entry was used; never the page's dirty flag. */
		if (faulted) {
			if ((entry[n] & ~E_A) != c->entry[n] || (!(c->entry[n] & E_P) && entry[n] != c->entry[n]))
				return false;
			if (!(c->entry[n] & E_P))
				return true;
		} else if (entry[n] != (c->entry[n] | E_A | (dirty ? E_D : 0))) {
			return false;
		}
	}
	return true;
}

/* An LDT descriptor that is read or marked accessed by a segment load makes the implicit accesses. */
#define IMPLICIT_LDT 0x0f

/* Code for each kind: AX = selector for the implicit ones, DI = address. */
extern const u8 access_code[], access_read[], access_write[], access_fs[], access_code_end[];

#endif
