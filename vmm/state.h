/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Field tables: the one description of an object's saved state [S]. Saving, loading and digesting
 * walk the same table, so nothing can be saved and not loaded. Encoding: each field in table order,
 * little-endian, arrays element by element, no padding. */
#ifndef VMM_STATE_H
#define VMM_STATE_H

#include "vmm/types.h"

enum field_kind {
	FIELD_UINT,  /* unsigned integer of 1, 2, 4 or 8 bytes, or an array of them */
	FIELD_BYTES, /* raw bytes */
	FIELD_TIMER, /* struct clock_timer: armed (1 byte) and deadline (8 bytes) */
};

struct field {
	const char *name;
	u32 offset;
	u16 size; /* of one element, in bytes */
	u32 count;
	enum field_kind kind;
};

#define FIELD(type, member)                                                                 \
	{                                                                                   \
#member, offsetof(type, member), sizeof(((type *)0)->member), 1, FIELD_UINT \
	}
#define FIELD_ARRAY(type, member)                                                                                 \
	{                                                                                                         \
#member, offsetof(type, member), sizeof(((type *)0)->member[0]), ARRAY_SIZE(((type *)0)->member), \
		    FIELD_UINT                                                                                    \
	}
#define FIELD_BLOB(type, member)                                                             \
	{                                                                                    \
#member, offsetof(type, member), 1, sizeof(((type *)0)->member), FIELD_BYTES \
	}
#define FIELD_CLOCK_TIMER(type, member)                            \
	{                                                          \
#member, offsetof(type, member), 9, 1, FIELD_TIMER \
	}
#define FIELD_END                         \
	{                                 \
		NULL, 0, 0, 0, FIELD_UINT \
	}

/* Bytes that state_save() writes for this table. */
size_t state_size(const struct field *table);

/* Encodes @obj into @out (state_size() bytes). Returns the bytes written. */
size_t state_save(const struct field *table, const void *obj, u8 *out);

/* Decodes; @in must hold at least state_size() bytes, checked against @len.
 * Returns 0, or -EINVAL when @len is not exactly state_size(). */
int state_load(const struct field *table, void *obj, const u8 *in, size_t len);

#endif
