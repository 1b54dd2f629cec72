/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The six status flags, kept unevaluated.
 *
 * An ALU operation leaves its result and the vector of carries out of each bit; a flag is computed only when asked
 * for, without a branch on the kind of operation:
 *   res    the result, sign-extended to 64 bits               ZF = (res == 0), SF and PF from it
 *   carry  carries, shifted so that the operand's top bit is bit 63   CF = bit 63, OF = bit 63 ^ bit 62
 *   aux    bit 4: AF; bits 15:8: xor'ed into the byte whose parity is PF; bit 63: xor'ed into SF
 * The corrections in aux exist so that any combination of the six (POPF, SAHF, COMISD) can be represented. */
#ifndef VMM_SOFT_FLAGS_H
#define VMM_SOFT_FLAGS_H

#include "vmm/types.h"
#include "vmm/x86/regs.h"

struct soft_flags {
	u64 res;
	u64 carry;
	u64 aux;
};

static inline bool flag_cf(const struct soft_flags *f)
{
	return f->carry >> 63;
}

static inline bool flag_of(const struct soft_flags *f)
{
	return (f->carry ^ (f->carry << 1)) >> 63;
}

static inline bool flag_zf(const struct soft_flags *f)
{
	return f->res == 0;
}

static inline bool flag_sf(const struct soft_flags *f)
{
	return (f->res ^ f->aux) >> 63;
}

static inline bool flag_af(const struct soft_flags *f)
{
	return f->aux & 0x10;
}

static inline bool flag_pf(const struct soft_flags *f)
{
	return !__builtin_parity((u8)(f->res ^ (f->aux >> 8)));
}

/* The flags as bits of RFLAGS. */
static inline u64 flags_get(const struct soft_flags *f)
{
	return (u64)flag_cf(f) << 0 | (u64)flag_pf(f) << 2 | (u64)flag_af(f) << 4 | (u64)flag_zf(f) << 6 |
	       (u64)flag_sf(f) << 7 | (u64)flag_of(f) << 11;
}

/* Any combination of the six. */
static inline void flags_set(struct soft_flags *f, u64 rflags)
{
	bool cf = rflags & RFLAGS_CF, of = rflags & RFLAGS_OF, sf = rflags & RFLAGS_SF, pf = rflags & RFLAGS_PF;

	f->res = rflags & RFLAGS_ZF ? 0 : 1;
	f->carry = (u64)cf << 63 | (u64)(cf ^ of) << 62;
	/* res is 0 (even parity) or 1 (odd parity): flip the parity where PF differs. */
	f->aux = (u64)sf << 63 | (rflags & RFLAGS_AF) | ((pf != (f->res == 0)) ? 0x100 : 0);
}

#endif
