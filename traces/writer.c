/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "traces/chunk.h"
#include "traces/wire.h"

#define BLOB_HEAD_MAX (16 + 2 * VARINT_MAX + 1 + 2 + 255)

struct trace_writer {
	int fd;
	char *path;    /* final place */
	char *partial; /* where it is being written when an older file is to be replaced, or NULL */
	u64 offset;    /* end of the last whole chunk */
	bool usable;   /* something worth keeping was written */
	bool mid;      /* TRACE_BEGINS_MID */
	u16 version;   /* in the header */
	u16 required;  /* trace_writer_require(); TRACE_PLAIN: nothing */
	u64 stream, pages;
	ZSTD_CCtx *zstd;
	struct trace_buf out; /* one chunk: header and payload */
	struct trace_buf raw; /* a blob part being put together */
	struct trace_chunk *chunk;
	size_t count, cap;
	struct trace_digest *blob; /* written so far */
	size_t blobs;
	int code; /* sticky */
	struct error err;
};

static void writer_free(struct trace_writer *w)
{
	if (!w)
		return;
	if (w->fd >= 0)
		close(w->fd);
	ZSTD_freeCCtx(w->zstd);
	trace_buf_free(&w->out);
	trace_buf_free(&w->raw);
	free(w->chunk);
	free(w->blob);
	free(w->path);
	free(w->partial);
	free(w);
}

const char *trace_writer_path(const struct trace_writer *w)
{
	return w->partial ? w->partial : w->path;
}

const struct error *trace_writer_error(const struct trace_writer *w)
{
	return &w->err;
}

u64 trace_writer_size(const struct trace_writer *w)
{
	return w->offset;
}

u64 trace_writer_stream(const struct trace_writer *w)
{
	return w->stream;
}

u64 trace_writer_pages(const struct trace_writer *w)
{
	return w->pages;
}

static int writer_fail(struct trace_writer *w, int code)
{
	const char *path = trace_writer_path(w);

	if (!w->code) {
		w->code = code;
		if (code == -ENOSPC)
			error_set(&w->err, code, "%s: the disk is full", path);
		else if (code == -EFBIG)
			error_set(&w->err, code, "%s: the file reached the limit of its size", path);
		else
			error_set(&w->err, code, "%s: cannot write: %s", path, strerror(-code));
	}
	return w->code;
}

static int write_at(int fd, u64 offset, const u8 *data, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = pwrite(fd, data + done, len - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	return 0;
}

/* All or nothing: what a failed write left is cut off again. */
static int writer_append(struct trace_writer *w, const u8 *data, size_t len)
{
	int ret = write_at(w->fd, w->offset, data, len);

	if (ret) {
		/* The bytes beyond are no whole chunk; if they stay, a reader will say so. */
		if (ftruncate(w->fd, (off_t)w->offset))
			(void)0;
		return writer_fail(w, ret);
	}
	w->offset += len;
	return 0;
}

static int write_header(struct trace_writer *w, u16 version)
{
	u8 header[TRACE_HEADER_SIZE];
	int ret;

	file_header_encode(header, version, w->required);
	ret = write_at(w->fd, 0, header, sizeof(header));
	if (ret)
		return writer_fail(w, ret);
	w->version = version;
	return 0;
}

int trace_writer_require(struct trace_writer *w, u16 version)
{
	if (w->required >= version)
		return 0;
	w->required = version;
	return write_header(w, version > w->version ? version : w->version);
}

static int directory_error(const char *path, struct error *err)
{
	const char *slash = strrchr(path, '/');
	int len = slash == path ? 1 : slash ? (int)(slash - path) : 1;

	return error_set(err, -ENOENT, "cannot create %s: the directory %.*s does not exist", path, len,
			 slash ? path : ".");
}

static int writer_open_new(struct trace_writer *w, struct error *err)
{
	w->fd = open(w->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (w->fd >= 0)
		return 0;
	if (errno == EEXIST)
		return error_set(err, -EEXIST, "%s exists already; --force replaces it", w->path);
	if (errno == ENOENT)
		return directory_error(w->path, err);
	return error_set(err, -errno, "cannot create %s: %s", w->path, strerror(errno));
}

static int writer_open_over(struct trace_writer *w, struct error *err)
{
	struct stat st, now;
	char *real;

	if (!stat(w->path, &st)) {
		if (!S_ISREG(st.st_mode))
			return error_set(err, -EINVAL, "%s is not a regular file", w->path);
		/* A link stays a link: the file that it names is replaced. */
		real = realpath(w->path, NULL);
		if (real) {
			free(w->path);
			w->path = real;
		}
	}
	if (asprintf(&w->partial, "%s.partial", w->path) < 0) {
		w->partial = NULL;
		return error_set(err, -ENOMEM, "out of memory");
	}
	w->fd = open(w->partial, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
	if (w->fd < 0 && errno == ENOENT)
		return directory_error(w->path, err);
	if (w->fd < 0)
		return error_set(err, -errno, "cannot create %s: %s", w->partial, strerror(errno));
	/* Another recorder may have ended, and moved what was opened into place, before the lock was taken. */
	if (flock(w->fd, LOCK_EX | LOCK_NB) || fstat(w->fd, &st) || stat(w->partial, &now) || st.st_ino != now.st_ino ||
	    st.st_dev != now.st_dev)
		return error_set(err, -EBUSY, "%s is being written by another recorder", w->partial);
	if (ftruncate(w->fd, 0))
		return error_set(err, -errno, "cannot write %s: %s", w->partial, strerror(errno));
	return 0;
}

int trace_writer_create(struct trace_writer **out, const char *path, unsigned flags, struct error *err)
{
	struct trace_writer *w = calloc(1, sizeof(*w));
	int ret;

	if (!w)
		return error_set(err, -ENOMEM, "out of memory");
	w->fd = -1;
	w->path = strdup(path);
	w->zstd = ZSTD_createCCtx();
	if (!w->path || !w->zstd) {
		ret = error_set(err, -ENOMEM, "out of memory");
		goto fail;
	}
	ret = flags & TRACE_FORCE ? writer_open_over(w, err) : writer_open_new(w, err);
	if (ret)
		goto fail;
	w->mid = flags & TRACE_BEGINS_MID;
	w->required = flags & (TRACE_REQUIRE | TRACE_BEGINS_MID) ? TRACE_MORE : TRACE_PLAIN;
	w->offset = TRACE_HEADER_SIZE;
	ret = write_header(w, w->required);
	if (ret) {
		error_set(err, ret, "%s", w->err.text);
		unlink(trace_writer_path(w));
		goto fail;
	}
	*out = w;
	return 0;
fail:
	writer_free(w);
	return ret;
}

static int writer_list(struct trace_writer *w, const struct trace_chunk *chunk)
{
	if (w->count == w->cap) {
		size_t cap = w->cap ? 2 * w->cap : 64;
		struct trace_chunk *table = realloc(w->chunk, cap * sizeof(*table));

		if (!table)
			return writer_fail(w, -ENOMEM);
		w->chunk = table;
		w->cap = cap;
	}
	w->chunk[w->count++] = *chunk;
	return 0;
}

/* Events and digests are small beside the time it takes to make them; blobs and pages are large. */
static int level_of(u32 type)
{
	return type == TRACE_BLOB || type == TRACE_PAGES ? 3 : 9;
}

static bool for_checkpoints(u32 type)
{
	return type == TRACE_PAGES || type == TRACE_CHECKPOINT;
}

/* Appends a chunk whose payload stands in w->out behind the room for its header. */
static int put_chunk(struct trace_writer *w, struct trace_chunk *chunk)
{
	u32 type = chunk->type;
	int ret = 0;

	if (for_checkpoints(type) && w->version < TRACE_MORE)
		ret = write_header(w, TRACE_MORE);
	if (for_checkpoints(type) && w->mid)
		chunk->flags |= TRACE_MUST;
	if (type == TRACE_PAGES)
		chunk->key = w->pages;
	chunk->offset = w->offset;
	chunk_header_encode(w->out.data, chunk, w->out.data + TRACE_CHUNK_SIZE);
	if (!ret && type != TRACE_INDEX)
		ret = writer_list(w, chunk);
	if (ret)
		return ret;
	ret = writer_append(w, w->out.data, TRACE_CHUNK_SIZE + chunk->stored);
	if (ret) {
		w->count -= type != TRACE_INDEX;
		return ret;
	}
	w->stream += trace_in_stream(type);
	if (type == TRACE_PAGES)
		w->pages += chunk->raw / TRACE_PAGE_SIZE;
	if (type == TRACE_EVENTS || type == TRACE_CONSOLE || type == TRACE_END ||
	    (chunk->position && type != TRACE_PAGES))
		w->usable = true;
	return 0;
}

int trace_write_keyed(struct trace_writer *w, u32 type, u64 position, u64 key, const void *data, size_t len)
{
	struct trace_chunk chunk = {.type = type, .position = position, .key = key, .raw = (u32)len};
	size_t bound = ZSTD_compressBound(len), packed;
	u8 *payload;
	int ret;

	if (w->code)
		return w->code;
	if (len > TRACE_RAW_MAX)
		return writer_fail(w, -EINVAL);
	w->out.len = 0;
	ret = trace_buf_reserve(&w->out, TRACE_CHUNK_SIZE + bound);
	if (ret)
		return writer_fail(w, ret);
	payload = w->out.data + TRACE_CHUNK_SIZE;
	packed = ZSTD_compressCCtx(w->zstd, payload, bound, data, len, level_of(type));
	if (!ZSTD_isError(packed) && packed < len) {
		chunk.flags |= TRACE_ZSTD;
		chunk.stored = (u32)packed;
	} else {
		if (len)
			memcpy(payload, data, len);
		chunk.stored = (u32)len;
	}
	return put_chunk(w, &chunk);
}

int trace_write(struct trace_writer *w, u32 type, u64 position, const void *data, size_t len)
{
	return trace_write_keyed(w, type, position, 0, data, len);
}

int trace_copy(struct trace_writer *w, struct trace_reader *r, size_t i, struct error *err)
{
	struct trace_chunk chunk = {0};
	int ret;

	if (w->code)
		return error_set(err, w->code, "%s", w->err.text);
	ret = chunk_load(r, i, err);
	if (ret)
		return ret;
	chunk = r->chunk[i];
	chunk.flags &= ~TRACE_MUST;
	w->out.len = 0;
	ret = trace_buf_reserve(&w->out, TRACE_CHUNK_SIZE + chunk.stored);
	if (ret)
		ret = writer_fail(w, ret);
	else {
		if (chunk.stored)
			memcpy(w->out.data + TRACE_CHUNK_SIZE, r->in.data, chunk.stored);
		ret = put_chunk(w, &chunk);
	}
	return ret ? error_set(err, ret, "%s", w->err.text) : 0;
}

static int write_part(struct trace_writer *w, const char *name, const struct trace_digest *digest, u64 total,
		      u64 offset, const u8 *data, size_t len)
{
	size_t name_len = strnlen(name, 255);
	u8 *p;

	w->raw.len = 0;
	if (trace_buf_reserve(&w->raw, BLOB_HEAD_MAX + len))
		return writer_fail(w, -ENOMEM);
	p = w->raw.data;
	memcpy(p, digest->byte, 16);
	p = put_varint(p + 16, total);
	p = put_varint(p, offset);
	*p++ = data ? 0 : 1;
	*p++ = (u8)name_len;
	memcpy(p, name, name_len);
	p += name_len;
	if (len)
		memcpy(p, data, len);
	p += len;
	return trace_write_keyed(w, TRACE_BLOB, 0, trace_digest_key(digest), w->raw.data, (size_t)(p - w->raw.data));
}

/* 1: already there. 0: now listed. */
static int blob_seen(struct trace_writer *w, const struct trace_digest *digest)
{
	struct trace_digest *table;

	for (size_t i = 0; i < w->blobs; i++)
		if (!memcmp(&w->blob[i], digest, sizeof(*digest)))
			return 1;
	table = realloc(w->blob, (w->blobs + 1) * sizeof(*table));
	if (!table)
		return writer_fail(w, -ENOMEM);
	w->blob = table;
	table[w->blobs++] = *digest;
	return 0;
}

int trace_write_blob(struct trace_writer *w, const char *name, const void *data, size_t len,
		     struct trace_digest *digest)
{
	static const u8 nothing[1];
	struct trace_digest d = trace_digest_of(data, len);
	size_t offset = 0;
	int ret;

	if (digest)
		*digest = d;
	ret = blob_seen(w, &d);
	if (ret)
		return ret < 0 ? ret : 0;
	do {
		size_t part = len - offset < TRACE_BLOB_PART ? len - offset : TRACE_BLOB_PART;

		ret = write_part(w, name, &d, len, offset, len ? (const u8 *)data + offset : nothing, part);
		offset += part;
	} while (!ret && offset < len);
	return ret;
}

int trace_write_blob_name(struct trace_writer *w, const char *name, u64 len, const struct trace_digest *digest)
{
	int ret = blob_seen(w, digest);

	if (ret)
		return ret < 0 ? ret : 0;
	return write_part(w, name, digest, len, 0, NULL, 0);
}

static int writer_finish(struct trace_writer *w)
{
	struct trailer trailer = {.index = w->offset, .chunks = w->count};
	struct trace_buf index = {0};
	u8 out[TRACE_TRAILER_SIZE];
	int ret = index_encode(&index, w->chunk, w->count);

	if (ret == -EFBIG)
		trailer.index = ret = 0;
	else if (!ret)
		ret = trace_write(w, TRACE_INDEX, 0, index.data, index.len);
	else
		ret = writer_fail(w, ret);
	trace_buf_free(&index);
	if (ret)
		return ret;
	trailer_encode(out, &trailer, w->offset);
	return writer_append(w, out, sizeof(out));
}

int trace_writer_move(struct trace_writer *w, const char *path)
{
	char *to = strdup(path);

	if (!to)
		return -ENOMEM;
	if (w->partial)
		free(w->path);
	else
		w->partial = w->path;
	w->path = to;
	return 0;
}

int trace_writer_close(struct trace_writer *w, struct error *err)
{
	int ret = w->code ? w->code : writer_finish(w);

	if (!ret && fdatasync(w->fd) && errno != EINVAL && errno != EROFS)
		ret = writer_fail(w, -errno);
	if (!ret && w->partial && rename(w->partial, w->path))
		ret = writer_fail(w, -errno);
	if (ret)
		error_set(err, ret, "%s", w->err.text);
	writer_free(w);
	return ret;
}

int trace_writer_abandon(struct trace_writer *w)
{
	int kept = w->usable;

	if (!kept)
		unlink(trace_writer_path(w));
	writer_free(w);
	return kept;
}
