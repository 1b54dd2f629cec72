/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Blobs: files in the trace, found by digest, put together from parts. */
#include <errno.h>
#include <stdlib.h>

#include "traces/trace.h"
#include "traces/wire.h"

int trace_blob_part_decode(struct trace_blob_part *part, const u8 *data, size_t len)
{
	struct wire w = {data, data + len, false};
	const u8 *digest = wire_bytes(&w, sizeof(part->digest.byte)), *name;
	u8 flags, name_len;

	memset(part, 0, sizeof(*part));
	if (digest)
		memcpy(part->digest.byte, digest, sizeof(part->digest.byte));
	part->total = wire_varint(&w);
	part->offset = wire_varint(&w);
	flags = wire_u8(&w);
	name_len = wire_u8(&w);
	name = wire_bytes(&w, name_len);
	if (w.bad || flags > 1 || memchr(name, 0, name_len))
		return -EBADMSG;
	memcpy(part->name, name, name_len);
	part->name_only = flags & 1;
	part->len = wire_left(&w);
	part->data = w.p;
	if (part->name_only)
		return part->len || part->offset ? -EBADMSG : 0;
	if (part->offset > part->total || part->len > part->total - part->offset || (!part->len && part->total))
		return -EBADMSG;
	return 0;
}

static int blob_damaged(const struct trace_digest *digest, struct error *err)
{
	char hex[33];

	trace_digest_format(digest, hex);
	return error_set(err, -EBADMSG, "blob %s in the trace is damaged", hex);
}

/* The raw bytes of all parts that may belong to the blob: bounds what its length may claim. */
static u64 blob_bound(const struct trace_reader *r, u64 key)
{
	u64 sum = 0;

	for (size_t i = 0; i < r->count; i++)
		if (r->chunk[i].type == TRACE_BLOB && r->chunk[i].key == key)
			sum += r->chunk[i].raw;
	return sum;
}

/* Takes a part of the blob in: parts come in order. */
static int blob_take(struct trace_reader *r, struct trace_blob *blob, const struct trace_blob_part *part, bool first,
		     u64 *have)
{
	if (first) {
		blob->digest = part->digest;
		blob->len = part->total;
		blob->name_only = part->name_only;
		memcpy(blob->name, part->name, sizeof(blob->name));
		if (part->name_only) {
			*have = part->total;
			return 0;
		}
		if (part->total > TRACE_BLOB_MAX || part->total > blob_bound(r, trace_digest_key(&part->digest)))
			return -EBADMSG;
		blob->data = malloc(part->total ? part->total : 1);
		if (!blob->data)
			return -ENOMEM;
	}
	if (part->name_only || part->total != blob->len || part->offset != *have)
		return -EBADMSG;
	memcpy(blob->data + *have, part->data, part->len);
	*have += part->len;
	return 0;
}

int trace_read_blob(struct trace_reader *r, const struct trace_digest *digest, struct trace_blob *blob,
		    struct error *err)
{
	u64 key = trace_digest_key(digest), have = 0;
	struct trace_buf buf = {0};
	bool first = true;
	int ret = 0;

	memset(blob, 0, sizeof(*blob));
	for (size_t i = 0; !ret && i < r->count; i++) {
		struct trace_blob_part part;

		if (r->chunk[i].type != TRACE_BLOB || r->chunk[i].key != key)
			continue;
		ret = trace_read(r, i, &buf, err);
		if (ret)
			break;
		if (trace_blob_part_decode(&part, buf.data, buf.len)) {
			ret = blob_damaged(digest, err);
			break;
		}
		if (memcmp(part.digest.byte, digest->byte, sizeof(digest->byte))) {
			ret = blob_damaged(digest, err);
			break;
		}
		ret = blob_take(r, blob, &part, first, &have);
		if (ret == -EBADMSG)
			blob_damaged(digest, err);
		else if (ret)
			error_set(err, ret, "out of memory");
		first = false;
		if (have == blob->len)
			break;
	}
	trace_buf_free(&buf);
	if (!ret && first) {
		char hex[33];

		trace_digest_format(digest, hex);
		ret = error_set(err, -ENOENT, "the trace does not hold blob %s", hex);
	}
	if (!ret && !blob->name_only) {
		struct trace_digest found = {{0}};

		if (have == blob->len)
			found = trace_digest_of(blob->data, blob->len);
		if (have != blob->len || memcmp(found.byte, digest->byte, sizeof(found.byte)))
			ret = blob_damaged(digest, err);
	}
	if (ret) {
		free(blob->data);
		memset(blob, 0, sizeof(*blob));
	}
	return ret;
}
