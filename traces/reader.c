/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>

#include "traces/chunk.h"
#include "traces/wire.h"

/* Reads exactly @len bytes. -EBADMSG when the file ends before. */
static int read_at(int fd, u64 offset, void *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, (u8 *)buf + done, len - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EBADMSG;
		done += (size_t)n;
	}
	return 0;
}

static const char *printable_type(u32 type, char out[5])
{
	for (unsigned i = 0; i < 4; i++) {
		char c = (char)(type >> 8 * i);

		out[i] = c >= ' ' && c < 0x7f ? c : '.';
	}
	out[4] = 0;
	return out;
}

static void PRINTF(4, 5) reader_mark(struct trace_reader *r, enum trace_state state, u64 offset, const char *fmt, ...)
{
	va_list ap;

	r->state = state;
	r->damage_offset = offset;
	va_start(ap, fmt);
	vsnprintf(r->damage.text, sizeof(r->damage.text), fmt, ap);
	va_end(ap);
}

static int reader_header(struct trace_reader *r, const char *path, struct error *err)
{
	u8 h[TRACE_HEADER_SIZE];
	unsigned same = 0;
	u64 len = min64(r->size, sizeof(h));
	int ret;

	if (!r->size)
		return error_set(err, -EINVAL, "%s is empty", path);
	memset(h, 0, sizeof(h));
	ret = read_at(r->fd, 0, h, len);
	if (ret)
		return error_set(err, ret, "cannot read %s: %s", path, strerror(-ret));
	for (unsigned i = 0; i < 8 && i < len; i++)
		same += h[i] == (u8)TRACE_MAGIC[i];
	if (same + 2 < min64(len, 8))
		return error_set(err, -EINVAL, "%s is not a vmdbg trace", path);
	if (len < sizeof(h))
		return error_set(err, -EBADMSG, "%s: the trace is cut off within its header", path);
	if (same < 8 || load64(h + 24) != XXH3_64bits(h, 24))
		return error_set(err, -EBADMSG, "%s: the trace's header (offset 0) is damaged", path);
	r->version = load16(h + 8);
	r->min_reader = load16(h + 10);
	if (r->min_reader > TRACE_VERSION)
		return error_set(err, -ENOTSUP,
				 "%s: trace format %u needs a vmdbg that reads format %u; this one reads up to %u",
				 path, r->version, r->min_reader, TRACE_VERSION);
	return 0;
}

static int reader_add(struct trace_reader *r, const struct trace_chunk *chunk)
{
	if (r->count == r->cap) {
		size_t cap = r->cap ? 2 * r->cap : 64;
		struct trace_chunk *table = realloc(r->chunk, cap * sizeof(*table));

		if (!table)
			return -ENOMEM;
		r->chunk = table;
		r->cap = cap;
	}
	r->chunk[r->count++] = *chunk;
	return 0;
}

/* The index as read must say what the scan found. */
static bool index_agrees(struct trace_reader *r, const u8 *data, size_t len, u64 offset)
{
	struct trace_chunk *table;
	size_t count;
	bool same;

	if (index_decode(&table, &count, data, len, offset))
		return false;
	same = count == r->count;
	for (size_t i = 0; same && i < count; i++)
		same = table[i].type == r->chunk[i].type && table[i].flags == r->chunk[i].flags &&
		       table[i].position == r->chunk[i].position && table[i].key == r->chunk[i].key &&
		       table[i].stored == r->chunk[i].stored && table[i].raw == r->chunk[i].raw;
	free(table);
	return same;
}

/* Unpacks @stored payload bytes at @in to exactly chunk->raw bytes. */
static int unpack(struct trace_reader *r, const struct trace_chunk *chunk, const u8 *in, struct trace_buf *out)
{
	size_t n;

	out->len = 0;
	if (trace_buf_reserve(out, chunk->raw))
		return -ENOMEM;
	if (!(chunk->flags & TRACE_ZSTD)) {
		if (chunk->stored)
			memcpy(out->data, in, chunk->stored);
		out->len = chunk->stored;
		return 0;
	}
	if (ZSTD_getFrameContentSize(in, chunk->stored) != chunk->raw ||
	    ZSTD_findFrameCompressedSize(in, chunk->stored) != chunk->stored)
		return -EBADMSG;
	n = ZSTD_decompressDCtx(r->zstd, out->data, chunk->raw, in, chunk->stored);
	if (ZSTD_isError(n) || n != chunk->raw)
		return -EBADMSG;
	out->len = n;
	return 0;
}

static int chunk_damaged(const struct trace_chunk *chunk, struct error *err)
{
	char name[5];

	return error_set(err, -EBADMSG, "the %s chunk ('%s') at offset %llu is damaged", trace_type_name(chunk->type),
			 printable_type(chunk->type, name), (unsigned long long)chunk->offset);
}

/* The trailer, after an index at @index or (0) without one. */
static void scan_trailer(struct trace_reader *r, u64 offset, u64 index)
{
	u8 in[TRACE_TRAILER_SIZE];
	struct trailer t;

	if (r->size - offset < sizeof(in))
		reader_mark(r, TRACE_CUT, offset, "the trace is cut off within its trailer at offset %llu",
			    (unsigned long long)offset);
	else if (read_at(r->fd, offset, in, sizeof(in)) || !trailer_decode(&t, in, offset) || t.index != index ||
		 t.chunks != r->count)
		reader_mark(r, TRACE_DAMAGED, offset, "the trailer at offset %llu is damaged",
			    (unsigned long long)offset);
	else if (r->size - offset > sizeof(in))
		reader_mark(r, TRACE_DAMAGED, offset + sizeof(in),
			    "there are bytes after the trailer, from offset %llu on",
			    (unsigned long long)(offset + sizeof(in)));
}

/* The chunk header at @offset into *@chunk. False: the scan ends here and the reason is marked. */
static bool scan_header(struct trace_reader *r, u64 offset, struct trace_chunk *chunk, u64 *sum)
{
	u8 in[TRACE_CHUNK_SIZE];
	u64 left = r->size - offset, len = min64(left, sizeof(in));

	if (!left) {
		reader_mark(r, TRACE_CUT, offset, "the trace is cut off at offset %llu: its end is missing",
			    (unsigned long long)offset);
		return false;
	}
	if (read_at(r->fd, offset, in, len)) {
		reader_mark(r, TRACE_DAMAGED, offset, "cannot read the trace at offset %llu",
			    (unsigned long long)offset);
		return false;
	}
	if (left == TRACE_TRAILER_SIZE && !memcmp(in, TRACE_TRAILER, 8)) {
		scan_trailer(r, offset, 0);
		return false;
	}
	if (left < sizeof(in)) {
		reader_mark(r, TRACE_CUT, offset, "the trace is cut off within a chunk's header at offset %llu",
			    (unsigned long long)offset);
		return false;
	}
	if (!chunk_header_decode(chunk, in, offset, sum)) {
		reader_mark(r, TRACE_DAMAGED, offset, "the chunk header at offset %llu is damaged",
			    (unsigned long long)offset);
		return false;
	}
	return true;
}

/* Payload of @chunk into r->in. */
static bool scan_payload(struct trace_reader *r, const struct trace_chunk *chunk, u64 sum)
{
	char name[5];

	if (chunk->stored > r->size - chunk->offset - TRACE_CHUNK_SIZE) {
		reader_mark(
		    r, TRACE_CUT, chunk->offset, "the trace is cut off within the %s chunk ('%s') at offset %llu",
		    trace_type_name(chunk->type), printable_type(chunk->type, name), (unsigned long long)chunk->offset);
		return false;
	}
	if (trace_buf_reserve(&r->in, chunk->stored)) {
		reader_mark(r, TRACE_DAMAGED, chunk->offset, "no memory to read the chunk at offset %llu",
			    (unsigned long long)chunk->offset);
		return false;
	}
	if (read_at(r->fd, chunk->offset + TRACE_CHUNK_SIZE, r->in.data, chunk->stored) ||
	    chunk_payload_sum(r->in.data, chunk->stored) != sum) {
		r->state = TRACE_DAMAGED;
		r->damage_offset = chunk->offset;
		chunk_damaged(chunk, &r->damage);
		return false;
	}
	return true;
}

/* Lists chunks from @offset on. */
static int reader_scan(struct trace_reader *r, u64 offset)
{
	struct trace_buf index = {0};
	struct trace_chunk chunk;
	int ret = 0;
	u64 sum;

	r->state = TRACE_WHOLE;
	while (scan_header(r, offset, &chunk, &sum) && scan_payload(r, &chunk, sum)) {
		offset += TRACE_CHUNK_SIZE + chunk.stored;
		if (chunk.type == TRACE_INDEX) {
			ret = unpack(r, &chunk, r->in.data, &index);
			if (ret == -EBADMSG || (!ret && !index_agrees(r, index.data, index.len, chunk.offset))) {
				r->state = TRACE_DAMAGED;
				r->damage_offset = chunk.offset;
				chunk_damaged(&chunk, &r->damage);
				ret = 0;
			} else if (!ret) {
				scan_trailer(r, offset, chunk.offset);
			}
			break;
		}
		if (!trace_type_known(chunk.type) && (chunk.flags & TRACE_MUST)) {
			char name[5];

			reader_mark(
			    r, TRACE_DAMAGED, chunk.offset,
			    "the chunk at offset %llu is of a kind ('%s') that this vmdbg does not know and must",
			    (unsigned long long)chunk.offset, printable_type(chunk.type, name));
			break;
		}
		ret = reader_add(r, &chunk);
		if (ret)
			break;
	}
	trace_buf_free(&index);
	return ret;
}

/* The chunk list from a whole index; anything odd returns false and the file is scanned instead. */
static bool reader_quick(struct trace_reader *r)
{
	u8 in[TRACE_TRAILER_SIZE], head[TRACE_CHUNK_SIZE];
	struct trace_buf index = {0};
	struct trace_chunk chunk;
	bool ok = false;
	struct trailer t;
	u64 at, sum;

	if (r->size < TRACE_HEADER_SIZE + sizeof(head) + sizeof(in))
		return false;
	at = r->size - sizeof(in);
	if (read_at(r->fd, at, in, sizeof(in)) || !trailer_decode(&t, in, at) || t.index < TRACE_HEADER_SIZE ||
	    t.index > at - sizeof(head) || read_at(r->fd, t.index, head, sizeof(head)) ||
	    !chunk_header_decode(&chunk, head, t.index, &sum) || chunk.type != TRACE_INDEX ||
	    chunk.stored != at - t.index - sizeof(head) || !scan_payload(r, &chunk, sum))
		return false;
	if (!unpack(r, &chunk, r->in.data, &index) &&
	    !index_decode(&r->chunk, &r->count, index.data, index.len, t.index)) {
		r->cap = r->count;
		ok = r->count == t.chunks;
		for (size_t i = 0; ok && i < r->count; i++)
			ok = trace_type_known(r->chunk[i].type) || !(r->chunk[i].flags & TRACE_MUST);
	}
	trace_buf_free(&index);
	return ok;
}

int trace_open(struct trace_reader **out, const char *path, unsigned flags, struct error *err)
{
	struct trace_reader *r = calloc(1, sizeof(*r));
	struct stat st;
	int ret;

	if (!r)
		return error_set(err, -ENOMEM, "out of memory");
	r->zstd = ZSTD_createDCtx();
	r->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (r->fd < 0) {
		ret = error_set(err, -errno, "cannot open %s: %s", path, strerror(errno));
		goto fail;
	}
	if (!r->zstd) {
		ret = error_set(err, -ENOMEM, "out of memory");
		goto fail;
	}
	if (fstat(r->fd, &st) || !S_ISREG(st.st_mode)) {
		ret = error_set(err, -EINVAL, "%s is not a regular file", path);
		goto fail;
	}
	r->size = (u64)st.st_size;
	ret = reader_header(r, path, err);
	if (ret)
		goto fail;
	if (!(flags & TRACE_QUICK) || !reader_quick(r)) {
		r->count = 0;
		ret = reader_scan(r, TRACE_HEADER_SIZE);
		if (ret) {
			error_set(err, ret, "out of memory");
			goto fail;
		}
	}
	*out = r;
	return 0;
fail:
	trace_close(r);
	return ret;
}

int trace_refresh(struct trace_reader *r)
{
	const struct trace_chunk *last = r->count ? &r->chunk[r->count - 1] : NULL;
	struct stat st;
	int ret;

	if (r->state != TRACE_CUT || fstat(r->fd, &st) || (u64)st.st_size <= r->size)
		return 0;
	r->size = (u64)st.st_size;
	ret = reader_scan(r, last ? last->offset + TRACE_CHUNK_SIZE + last->stored : TRACE_HEADER_SIZE);
	if (ret)
		r->state = TRACE_CUT;
	return ret;
}

void trace_close(struct trace_reader *r)
{
	if (!r)
		return;
	if (r->fd >= 0)
		close(r->fd);
	ZSTD_freeDCtx(r->zstd);
	trace_buf_free(&r->in);
	free(r->chunk);
	free(r);
}

static int read_error(const struct trace_chunk *c, int ret, struct error *err)
{
	if (ret == -EBADMSG)
		return chunk_damaged(c, err);
	return error_set(err, ret, "cannot read the trace at offset %llu: %s", (unsigned long long)c->offset,
			 strerror(-ret));
}

int chunk_load(struct trace_reader *r, size_t i, struct error *err)
{
	u8 head[TRACE_CHUNK_SIZE];
	struct trace_chunk found;
	const struct trace_chunk *c;
	int ret;
	u64 sum;

	if (i >= r->count)
		return error_set(err, -EINVAL, "the trace has no chunk %zu", i);
	c = &r->chunk[i];
	ret = read_at(r->fd, c->offset, head, sizeof(head));
	if (!ret &&
	    (!chunk_header_decode(&found, head, c->offset, &sum) || found.type != c->type || found.flags != c->flags ||
	     found.position != c->position || found.key != c->key || found.stored != c->stored || found.raw != c->raw))
		ret = -EBADMSG;
	if (!ret)
		ret = trace_buf_reserve(&r->in, c->stored);
	if (!ret)
		ret = read_at(r->fd, c->offset + sizeof(head), r->in.data, c->stored);
	if (!ret && chunk_payload_sum(r->in.data, c->stored) != sum)
		ret = -EBADMSG;
	return ret ? read_error(c, ret, err) : 0;
}

int trace_read(struct trace_reader *r, size_t i, struct trace_buf *out, struct error *err)
{
	int ret = chunk_load(r, i, err);

	if (ret)
		return ret;
	ret = unpack(r, &r->chunk[i], r->in.data, out);
	return ret ? read_error(&r->chunk[i], ret, err) : 0;
}
