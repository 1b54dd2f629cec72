/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/pc/aml.h"

enum aml_op {
	OP_NAME = 0x08,
	OP_BYTE = 0x0a,
	OP_WORD = 0x0b,
	OP_DWORD = 0x0c,
	OP_STRING = 0x0d,
	OP_SCOPE = 0x10,
	OP_BUFFER = 0x11,
	OP_PACKAGE = 0x12,
	OP_EXT = 0x5b,
	OP_EXT_DEVICE = 0x82,
};

/* Address space descriptors: what kind, decoding fixed at both ends. */
enum space { SPACE_MEMORY = 0, SPACE_IO = 1, SPACE_BUS = 2 };
#define FIXED        0x0c
#define IO_ENTIRE    0x03
#define MEM_WRITABLE 0x01
#define MEM_CACHED   0x02
#define END_TAG      0x79

void aml_byte(struct aml *a, u8 v)
{
	if (a->len < a->cap)
		a->buf[a->len] = v;
	a->len++;
}

static void put(struct aml *a, u32 v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		aml_byte(a, v >> (8 * i));
}

void aml_integer(struct aml *a, u32 v)
{
	if (v < 2) {
		aml_byte(a, v);
	} else if (v < 0x100) {
		aml_byte(a, OP_BYTE);
		put(a, v, 1);
	} else if (v < 0x10000) {
		aml_byte(a, OP_WORD);
		put(a, v, 2);
	} else {
		aml_byte(a, OP_DWORD);
		put(a, v, 4);
	}
}

static unsigned hex(char c)
{
	return c <= '9' ? c - '0' : c - 'A' + 10;
}

/* Three letters of five bits, four hexadecimal digits; most significant byte first. */
void aml_eisaid(struct aml *a, const char *id)
{
	u32 v = (u32)(id[0] - '@') << 26 | (u32)(id[1] - '@') << 21 | (u32)(id[2] - '@') << 16;

	v |= hex(id[3]) << 12 | hex(id[4]) << 8 | hex(id[5]) << 4 | hex(id[6]);
	aml_byte(a, OP_DWORD);
	put(a, __builtin_bswap32(v), 4);
}

void aml_string(struct aml *a, const char *s)
{
	aml_byte(a, OP_STRING);
	do
		aml_byte(a, *s);
	while (*s++);
}

static void name_string(struct aml *a, const char *name)
{
	while (*name)
		aml_byte(a, *name++);
}

void aml_name(struct aml *a, const char *name)
{
	aml_byte(a, OP_NAME);
	name_string(a, name);
}

size_t aml_scope(struct aml *a, const char *name)
{
	size_t place;

	aml_byte(a, OP_SCOPE);
	place = a->len;
	name_string(a, name);
	return place;
}

size_t aml_device(struct aml *a, const char *name)
{
	size_t place;

	aml_byte(a, OP_EXT);
	aml_byte(a, OP_EXT_DEVICE);
	place = a->len;
	name_string(a, name);
	return place;
}

size_t aml_package(struct aml *a, u8 elements)
{
	size_t place;

	aml_byte(a, OP_PACKAGE);
	place = a->len;
	aml_byte(a, elements);
	return place;
}

/* Makes room for @n bytes at @place. */
static void insert(struct aml *a, size_t place, size_t n)
{
	if (a->len + n <= a->cap)
		memmove(a->buf + place + n, a->buf + place, a->len - place);
	a->len += n;
}

static void poke(struct aml *a, size_t at, u8 v)
{
	if (at < a->cap)
		a->buf[at] = v;
}

/* PkgLength (20.2.4) counts itself: one byte up to 63, else four bits and up to three bytes more. */
void aml_close(struct aml *a, size_t place)
{
	size_t body = a->len - place;
	unsigned more = body + 1 < 0x40 ? 0 : body + 2 < 0x1000 ? 1 : 2;
	size_t total = body + more + 1;

	insert(a, place, more + 1);
	if (!more) {
		poke(a, place, total);
		return;
	}
	poke(a, place, more << 6 | (total & 15));
	for (unsigned i = 0; i < more; i++)
		poke(a, place + 1 + i, total >> (4 + 8 * i));
}

/* The buffer's size comes before its bytes and is known only at the end: always a word, filled in then. */
size_t aml_crs(struct aml *a)
{
	size_t place;

	aml_name(a, "_CRS");
	aml_byte(a, OP_BUFFER);
	place = a->len;
	aml_byte(a, OP_WORD);
	put(a, 0, 2);
	return place;
}

void aml_crs_close(struct aml *a, size_t place)
{
	size_t size;

	aml_byte(a, END_TAG);
	aml_byte(a, 0); /* no checksum */
	size = a->len - place - 3;
	poke(a, place + 1, size);
	poke(a, place + 2, size >> 8);
	aml_close(a, place);
}

void aml_io(struct aml *a, u16 port, u8 len)
{
	aml_byte(a, 0x47);
	aml_byte(a, 1); /* decodes 16 bits */
	put(a, port, 2);
	put(a, port, 2);
	aml_byte(a, 1);
	aml_byte(a, len);
}

void aml_irq(struct aml *a, unsigned irq)
{
	aml_byte(a, 0x22);
	put(a, 1u << irq, 2);
}

static void word_range(struct aml *a, enum space space, u8 flags, u16 first, u16 last)
{
	aml_byte(a, 0x88);
	put(a, 13, 2);
	aml_byte(a, space);
	aml_byte(a, FIXED);
	aml_byte(a, flags);
	put(a, 0, 2);
	put(a, first, 2);
	put(a, last, 2);
	put(a, 0, 2);
	put(a, (u32)last - first + 1, 2);
}

void aml_bus_range(struct aml *a, u16 first, u16 last)
{
	word_range(a, SPACE_BUS, 0, first, last);
}

void aml_io_range(struct aml *a, u16 first, u16 last)
{
	word_range(a, SPACE_IO, IO_ENTIRE, first, last);
}

void aml_memory_fixed(struct aml *a, u32 base, u32 len)
{
	aml_byte(a, 0x86);
	put(a, 9, 2);
	aml_byte(a, MEM_WRITABLE);
	put(a, base, 4);
	put(a, len, 4);
}

void aml_memory_range(struct aml *a, u32 first, u32 last, bool cacheable)
{
	aml_byte(a, 0x87);
	put(a, 23, 2);
	aml_byte(a, SPACE_MEMORY);
	aml_byte(a, FIXED);
	aml_byte(a, MEM_WRITABLE | (cacheable ? MEM_CACHED : 0));
	put(a, 0, 4);
	put(a, first, 4);
	put(a, last, 4);
	put(a, 0, 4);
	put(a, last - first + 1, 4);
}
