/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Integers as they stand in a trace: LEB128 varints (7 bits a byte, low bits first, at most 10 bytes) and zigzag. */
#ifndef TRACES_WIRE_H
#define TRACES_WIRE_H

#include "vmm/types.h"

#define VARINT_MAX 10

/* Writes 1 to VARINT_MAX bytes; returns the byte after. */
static inline u8 *put_varint(u8 *p, u64 v)
{
	while (v >= 0x80) {
		*p++ = (u8)v | 0x80;
		v >>= 7;
	}
	*p++ = (u8)v;
	return p;
}

static inline u64 zigzag(u64 v)
{
	return v << 1 ^ (u64)((s64)v >> 63);
}

static inline u64 unzigzag(u64 v)
{
	return v >> 1 ^ (0 - (v & 1));
}

/* A bounded input. Reading past the end sets bad and yields zeros. */
struct wire {
	const u8 *p, *end;
	bool bad;
};

static inline size_t wire_left(const struct wire *w)
{
	return w->bad ? 0 : (size_t)(w->end - w->p);
}

static inline u64 wire_varint(struct wire *w)
{
	u64 v = 0;

	for (unsigned shift = 0; shift < 70; shift += 7) {
		u8 byte;

		if (w->bad || w->p == w->end)
			break;
		byte = *w->p++;
		if (shift == 63 && byte > 1)
			break;
		v |= (u64)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return v;
	}
	w->bad = true;
	return 0;
}

static inline const u8 *wire_bytes(struct wire *w, u64 len)
{
	const u8 *p = w->p;

	if (w->bad || len > (u64)(w->end - w->p)) {
		w->bad = true;
		return NULL;
	}
	w->p += len;
	return p;
}

static inline u8 wire_u8(struct wire *w)
{
	const u8 *p = wire_bytes(w, 1);

	return p ? *p : 0;
}

static inline u32 wire_u32(struct wire *w)
{
	const u8 *p = wire_bytes(w, 4);

	return p ? load32(p) : 0;
}

static inline u64 wire_u64(struct wire *w)
{
	const u8 *p = wire_bytes(w, 8);

	return p ? load64(p) : 0;
}

#endif
