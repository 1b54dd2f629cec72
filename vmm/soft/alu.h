/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Integer operations as pure functions of operands and flags: what an instruction computes, apart from how it was
 * dispatched, so that every engine tier uses the same. @bits is a constant at each call and folds away. Operands may
 * carry garbage above @bits unless said otherwise; results too. Where the SDM leaves a flag undefined, the value is
 * what Intel processors are known to give, else 0 for AF and the natural extension of the defined case. */
#ifndef VMM_SOFT_ALU_H
#define VMM_SOFT_ALU_H

#include "vmm/soft/flags.h"

static inline u64 alu_sext(u64 v, unsigned bits)
{
	return (u64)((s64)(v << (64 - bits)) >> (64 - bits));
}

static inline u64 alu_zext(u64 v, unsigned bits)
{
	return v << (64 - bits) >> (64 - bits);
}

/* CF and OF alone, the other four kept. */
static inline void alu_set_cf_of(struct soft_flags *f, bool cf, bool of)
{
	f->carry = (u64)cf << 63 | (u64)(cf ^ of) << 62;
}

static inline void alu_set_zf(struct soft_flags *f, bool zf)
{
	flags_set(f, (flags_get(f) & ~RFLAGS_ZF) | (zf ? RFLAGS_ZF : 0));
}

static inline u64 alu_add_carry(struct soft_flags *f, u64 a, u64 b, bool cin, unsigned bits)
{
	u64 r = a + b + cin;

	f->res = alu_sext(r, bits);
	f->carry = ((a & b) | ((a | b) & ~r)) << (64 - bits);
	f->aux = (a ^ b ^ r) & 0x10;
	return r;
}

static inline u64 alu_sub_borrow(struct soft_flags *f, u64 a, u64 b, bool cin, unsigned bits)
{
	u64 r = a - b - cin;

	f->res = alu_sext(r, bits);
	f->carry = ((~a & b) | ((~a | b) & r)) << (64 - bits);
	f->aux = (a ^ b ^ r) & 0x10;
	return r;
}

static inline u64 alu_logic(struct soft_flags *f, u64 r, unsigned bits)
{
	f->res = alu_sext(r, bits);
	f->carry = 0;
	f->aux = 0;
	return r;
}

static inline u64 alu_add(struct soft_flags *f, u64 a, u64 b, unsigned bits)
{
	return alu_add_carry(f, a, b, false, bits);
}

static inline u64 alu_adc(struct soft_flags *f, u64 a, u64 b, unsigned bits)
{
	return alu_add_carry(f, a, b, flag_cf(f), bits);
}

static inline u64 alu_sub(struct soft_flags *f, u64 a, u64 b, unsigned bits)
{
	return alu_sub_borrow(f, a, b, false, bits);
}

static inline u64 alu_sbb(struct soft_flags *f, u64 a, u64 b, unsigned bits)
{
	return alu_sub_borrow(f, a, b, flag_cf(f), bits);
}

static inline u64 alu_cmp(struct soft_flags *f, u64 a, u64 b, unsigned bits)
{
	return alu_sub(f, a, b, bits);
}

static inline u64 alu_and(struct soft_flags *f, u64 a, u64 b, unsigned bits)
{
	return alu_logic(f, a & b, bits);
}

static inline u64 alu_or(struct soft_flags *f, u64 a, u64 b, unsigned bits)
{
	return alu_logic(f, a | b, bits);
}

static inline u64 alu_xor(struct soft_flags *f, u64 a, u64 b, unsigned bits)
{
	return alu_logic(f, a ^ b, bits);
}

static inline u64 alu_test(struct soft_flags *f, u64 a, u64 b, unsigned bits)
{
	return alu_logic(f, a & b, bits);
}

/* INC and DEC keep CF. */
static inline u64 alu_inc(struct soft_flags *f, u64 a, unsigned bits)
{
	bool cf = flag_cf(f);
	u64 r = alu_add(f, a, 1, bits);

	alu_set_cf_of(f, cf, flag_of(f));
	return r;
}

static inline u64 alu_dec(struct soft_flags *f, u64 a, unsigned bits)
{
	bool cf = flag_cf(f);
	u64 r = alu_sub(f, a, 1, bits);

	alu_set_cf_of(f, cf, flag_of(f));
	return r;
}

static inline u64 alu_neg(struct soft_flags *f, u64 a, unsigned bits)
{
	return alu_sub(f, 0, a, bits);
}

static inline u64 alu_not(struct soft_flags *f, u64 a, unsigned bits)
{
	(void)f;
	(void)bits;
	return ~a;
}

/* Shifts and rotates: @count as the instruction gives it; a masked count of 0 changes nothing. */
static inline unsigned alu_count(unsigned count, unsigned bits)
{
	return count & (bits == 64 ? 63 : 31);
}

static inline u64 alu_shl(struct soft_flags *f, u64 a, unsigned count, unsigned bits)
{
	unsigned n = alu_count(count, bits);
	u64 r;
	bool cf;

	if (!n)
		return a;
	r = n < 64 ? a << n : 0;
	cf = n <= bits && (a >> (bits - n)) & 1;
	alu_logic(f, r, bits);
	alu_set_cf_of(f, cf, cf ^ ((r >> (bits - 1)) & 1));
	return r;
}

static inline u64 alu_shr(struct soft_flags *f, u64 a, unsigned count, unsigned bits)
{
	unsigned n = alu_count(count, bits);
	u64 r;
	bool cf;

	if (!n)
		return a;
	a = alu_zext(a, bits);
	r = a >> n;
	cf = (a >> (n - 1)) & 1;
	alu_logic(f, r, bits);
	alu_set_cf_of(f, cf, ((r << 1 ^ r) >> (bits - 1)) & 1);
	return r;
}

static inline u64 alu_sar(struct soft_flags *f, u64 a, unsigned count, unsigned bits)
{
	unsigned n = alu_count(count, bits);
	s64 v = (s64)alu_sext(a, bits);
	u64 r;

	if (!n)
		return a;
	r = (u64)(v >> n);
	alu_logic(f, r, bits);
	alu_set_cf_of(f, (v >> (n - 1)) & 1, false);
	return r;
}

static inline u64 alu_rol(struct soft_flags *f, u64 a, unsigned count, unsigned bits)
{
	unsigned n = alu_count(count, bits), m = n & (bits - 1);
	u64 v = alu_zext(a, bits), r = m ? v << m | v >> (bits - m) : v;

	if (!n)
		return a;
	alu_set_cf_of(f, r & 1, (r ^ (r >> (bits - 1))) & 1);
	return r;
}

static inline u64 alu_ror(struct soft_flags *f, u64 a, unsigned count, unsigned bits)
{
	unsigned n = alu_count(count, bits), m = n & (bits - 1);
	u64 v = alu_zext(a, bits), r = m ? v >> m | v << (bits - m) : v;

	if (!n)
		return a;
	alu_set_cf_of(f, (r >> (bits - 1)) & 1, ((r >> (bits - 1)) ^ (r >> (bits - 2))) & 1);
	return r;
}

static inline u64 alu_rcl(struct soft_flags *f, u64 a, unsigned count, unsigned bits)
{
	unsigned n = alu_count(count, bits) % (bits + 1);
	u64 v = alu_zext(a, bits), r, c = flag_cf(f);
	bool cf;

	if (!alu_count(count, bits))
		return a;
	if (!n) { /* a whole turn: OF is recomputed from what stands there */
		alu_set_cf_of(f, c, c ^ ((v >> (bits - 1)) & 1));
		return v;
	}
	r = (n < 64 ? v << n : 0) | c << (n - 1) | (n > 1 ? v >> (bits + 1 - n) : 0);
	cf = (v >> (bits - n)) & 1;
	alu_set_cf_of(f, cf, cf ^ ((r >> (bits - 1)) & 1));
	return r;
}

static inline u64 alu_rcr(struct soft_flags *f, u64 a, unsigned count, unsigned bits)
{
	unsigned n = alu_count(count, bits) % (bits + 1);
	u64 v = alu_zext(a, bits), r, c = flag_cf(f);
	bool cf;

	if (!alu_count(count, bits))
		return a;
	if (!n) {
		alu_set_cf_of(f, c, ((v >> (bits - 1)) ^ (v >> (bits - 2))) & 1);
		return v;
	}
	r = (n < 64 ? v >> n : 0) | c << (bits - n) | (n > 1 ? v << (bits + 1 - n) : 0);
	cf = (v >> (n - 1)) & 1;
	alu_set_cf_of(f, cf, ((r >> (bits - 1)) ^ (r >> (bits - 2))) & 1);
	return r;
}

/* Double shifts; with 16-bit operands a count above 16 is undefined: Intel takes the bits from dest:src:dest. */
static inline u64 alu_shld(struct soft_flags *f, u64 a, u64 b, unsigned count, unsigned bits)
{
	unsigned n = alu_count(count, bits);
	u64 r;
	bool cf;

	if (!n)
		return a;
	a = alu_zext(a, bits);
	b = alu_zext(b, bits);
	if (bits == 16) {
		u64 wide = a << 32 | b << 16 | a;

		r = wide << n >> 32;
		cf = (wide >> (48 - n)) & 1;
	} else {
		r = a << n | b >> (bits - n);
		cf = (a >> (bits - n)) & 1;
	}
	alu_logic(f, r, bits);
	alu_set_cf_of(f, cf, cf ^ ((r >> (bits - 1)) & 1));
	return r;
}

static inline u64 alu_shrd(struct soft_flags *f, u64 a, u64 b, unsigned count, unsigned bits)
{
	unsigned n = alu_count(count, bits);
	u64 r;
	bool cf;

	if (!n)
		return a;
	a = alu_zext(a, bits);
	b = alu_zext(b, bits);
	if (bits == 16) {
		u64 wide = a << 32 | b << 16 | a;

		r = wide >> n;
		cf = (wide >> (n - 1)) & 1;
	} else {
		r = a >> n | b << (bits - n);
		cf = (a >> (n - 1)) & 1;
	}
	alu_logic(f, r, bits);
	alu_set_cf_of(f, cf, ((r ^ (r << 1)) >> (bits - 1)) & 1);
	return r;
}

/* The sixteen conditions, in opcode order (SDM volume 1, appendix B). */
static inline bool alu_cond(const struct soft_flags *f, unsigned cc)
{
	bool r;

	switch (cc >> 1) {
	case 0:
		r = flag_of(f);
		break;
	case 1:
		r = flag_cf(f);
		break;
	case 2:
		r = flag_zf(f);
		break;
	case 3:
		r = (int)flag_cf(f) | flag_zf(f);
		break;
	case 4:
		r = flag_sf(f);
		break;
	case 5:
		r = flag_pf(f);
		break;
	case 6:
		r = flag_sf(f) ^ flag_of(f);
		break;
	default:
		r = (int)flag_zf(f) | (flag_sf(f) ^ flag_of(f));
		break;
	}
	return r ^ (cc & 1);
}

#endif
