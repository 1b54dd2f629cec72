/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

#include "traces/chunk.h"
#include "traces/wire.h"

static const struct {
	u32 type;
	const char *name;
} type_names[] = {
    {TRACE_MACHINE, "machine"}, {TRACE_BLOB, "blob"},       {TRACE_EVENTS, "events"},
    {TRACE_CONSOLE, "console"}, {TRACE_DIGESTS, "digests"}, {TRACE_CHECKPOINT, "checkpoint"},
    {TRACE_NOTE, "note"},       {TRACE_END, "end"},         {TRACE_INDEX, "index"},
    {TRACE_DISK, "disk"},       {TRACE_PAGES, "pages"},
};

const char *trace_type_name(u32 type)
{
	for (size_t i = 0; i < ARRAY_SIZE(type_names); i++)
		if (type_names[i].type == type)
			return type_names[i].name;
	return "unknown";
}

bool trace_type_known(u32 type)
{
	for (size_t i = 0; i < ARRAY_SIZE(type_names); i++)
		if (type_names[i].type == type)
			return true;
	return false;
}

int trace_buf_reserve(struct trace_buf *buf, size_t extra)
{
	size_t cap = buf->cap ? buf->cap : 256;
	u8 *data;

	if (extra > SIZE_MAX / 4 - buf->len)
		return -ENOMEM;
	if (buf->data && buf->len + extra <= buf->cap)
		return 0;
	while (cap < buf->len + extra)
		cap *= 2;
	data = realloc(buf->data, cap);
	if (!data)
		return -ENOMEM;
	buf->data = data;
	buf->cap = cap;
	return 0;
}

int trace_buf_add(struct trace_buf *buf, const void *data, size_t len)
{
	int ret = trace_buf_reserve(buf, len);

	if (ret)
		return ret;
	if (len)
		memcpy(buf->data + buf->len, data, len);
	buf->len += len;
	return 0;
}

void trace_buf_free(struct trace_buf *buf)
{
	free(buf->data);
	memset(buf, 0, sizeof(*buf));
}

struct trace_digest trace_digest_of(const void *data, size_t len)
{
	XXH128_canonical_t canonical;
	struct trace_digest digest;

	XXH128_canonicalFromHash(&canonical, XXH3_128bits(data, len));
	memcpy(digest.byte, canonical.digest, sizeof(digest.byte));
	return digest;
}

u64 trace_digest_key(const struct trace_digest *digest)
{
	return __builtin_bswap64(load64(digest->byte + 8));
}

void trace_digest_format(const struct trace_digest *digest, char out[33])
{
	static const char hex[] = "0123456789abcdef";

	for (unsigned i = 0; i < 16; i++) {
		out[2 * i] = hex[digest->byte[i] >> 4];
		out[2 * i + 1] = hex[digest->byte[i] & 15];
	}
	out[32] = 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

int trace_digest_parse(struct trace_digest *digest, const char *hex)
{
	if (strlen(hex) != 32)
		return -EINVAL;
	for (unsigned i = 0; i < 16; i++) {
		int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);

		if (high < 0 || low < 0)
			return -EINVAL;
		digest->byte[i] = (u8)(high << 4 | low);
	}
	return 0;
}

void file_header_encode(u8 out[TRACE_HEADER_SIZE], u16 version, u16 min_reader)
{
	memset(out, 0, TRACE_HEADER_SIZE);
	memcpy(out, TRACE_MAGIC, 8);
	store16(out + 8, version);
	store16(out + 10, min_reader);
	store64(out + 24, XXH3_64bits(out, 24));
}

u64 chunk_payload_sum(const u8 *payload, size_t len)
{
	return XXH3_64bits(payload, len);
}

void chunk_header_encode(u8 out[TRACE_CHUNK_SIZE], const struct trace_chunk *chunk, const u8 *payload)
{
	store32(out, chunk->type);
	store32(out + 4, chunk->flags);
	store64(out + 8, chunk->position);
	store64(out + 16, chunk->key);
	store32(out + 24, chunk->stored);
	store32(out + 28, chunk->raw);
	store64(out + 32, chunk_payload_sum(payload, chunk->stored));
	store64(out + 40, XXH3_64bits_withSeed(out, 40, chunk->offset));
}

bool chunk_header_decode(struct trace_chunk *chunk, const u8 in[TRACE_CHUNK_SIZE], u64 offset, u64 *sum)
{
	if (load64(in + 40) != XXH3_64bits_withSeed(in, 40, offset))
		return false;
	chunk->type = load32(in);
	chunk->flags = load32(in + 4);
	chunk->position = load64(in + 8);
	chunk->key = load64(in + 16);
	chunk->offset = offset;
	chunk->stored = load32(in + 24);
	chunk->raw = load32(in + 28);
	*sum = load64(in + 32);
	if (chunk->raw > TRACE_RAW_MAX || chunk->stored > chunk->raw)
		return false;
	/* zstd only where it wins: an empty or incompressible payload is stored raw. */
	return chunk->flags & TRACE_ZSTD ? chunk->stored < chunk->raw : chunk->stored == chunk->raw;
}

void trailer_encode(u8 out[TRACE_TRAILER_SIZE], const struct trailer *t, u64 offset)
{
	memcpy(out, TRACE_TRAILER, 8);
	store64(out + 8, t->index);
	store64(out + 16, t->chunks);
	store64(out + 24, XXH3_64bits_withSeed(out, 24, offset));
}

bool trailer_decode(struct trailer *t, const u8 in[TRACE_TRAILER_SIZE], u64 offset)
{
	if (memcmp(in, TRACE_TRAILER, 8) || load64(in + 24) != XXH3_64bits_withSeed(in, 24, offset))
		return false;
	t->index = load64(in + 8);
	t->chunks = load64(in + 16);
	return true;
}

int index_encode(struct trace_buf *out, const struct trace_chunk *chunk, size_t count)
{
	u64 position = 0;

	for (size_t i = 0; i < count; i++) {
		u8 entry[4 + 8 + 5 * VARINT_MAX], *p = entry + 4;

		store32(entry, chunk[i].type);
		p = put_varint(p, chunk[i].flags);
		p = put_varint(p, zigzag(chunk[i].position - position));
		p = put_varint(p, chunk[i].stored);
		p = put_varint(p, chunk[i].raw);
		store64(p, chunk[i].key);
		p += 8;
		position = chunk[i].position;
		if (out->len + (size_t)(p - entry) > TRACE_RAW_MAX)
			return -EFBIG;
		if (trace_buf_add(out, entry, (size_t)(p - entry)))
			return -ENOMEM;
	}
	return 0;
}

int index_decode(struct trace_chunk **chunk, size_t *count, const u8 *data, size_t len, u64 limit)
{
	struct wire w = {data, data + len, false};
	u64 position = 0, offset = TRACE_HEADER_SIZE;
	size_t n = 0, most = len / 16; /* an entry takes at least 16 bytes */
	struct trace_chunk *table = calloc(most + 1, sizeof(*table));

	if (!table)
		return -ENOMEM;
	while (!w.bad && w.p < w.end && n < most) {
		struct trace_chunk *c = &table[n++];
		u64 flags, stored, raw;

		c->type = wire_u32(&w);
		flags = wire_varint(&w);
		position += unzigzag(wire_varint(&w));
		stored = wire_varint(&w);
		raw = wire_varint(&w);
		c->key = wire_u64(&w);
		if (w.bad || flags > UINT32_MAX || raw > TRACE_RAW_MAX || stored > raw)
			goto bad;
		c->flags = (u32)flags;
		c->position = position;
		c->stored = (u32)stored;
		c->raw = (u32)raw;
		c->offset = offset;
		offset += TRACE_CHUNK_SIZE + stored;
		if (offset > limit)
			goto bad;
	}
	if (w.bad || w.p != w.end || offset != limit)
		goto bad;
	*chunk = table;
	*count = n;
	return 0;
bad:
	free(table);
	return -EBADMSG;
}
