/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Trace files. An input whose first byte is even is a file as it is; otherwise chunks are built from it with right
 * checksums, so that what lies behind them is reached too. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>

#include "traces/chunk.h"
#include "traces/trace.h"

static const u32 types[] = {TRACE_MACHINE, TRACE_BLOB, TRACE_EVENTS, TRACE_CONSOLE,
			    TRACE_DIGESTS, TRACE_END,  TRACE_INDEX,  TRACE_TYPE('?', '?', '?', '?')};

/* One chunk from the input: type, flags, length, payload. Returns what was used. */
static size_t build_chunk(struct trace_buf *file, const u8 *data, size_t len)
{
	static u8 packed[0x20000];
	struct trace_chunk chunk = {.offset = file->len};
	u8 head[TRACE_CHUNK_SIZE];
	size_t n;

	if (len < 6)
		return 0;
	chunk.type = types[data[0] % ARRAY_SIZE(types)];
	chunk.flags = data[1] & 7;
	chunk.key = load16(data + 2);
	n = load16(data + 4);
	if (n > len - 6)
		n = len - 6;
	data += 6;
	chunk.raw = chunk.stored = (u32)n;
	if (chunk.type == TRACE_BLOB && n >= 16)
		chunk.key = trace_digest_key((const struct trace_digest *)data);
	if (chunk.flags & TRACE_ZSTD) {
		size_t got = ZSTD_compress(packed, sizeof(packed), data, n, 1);

		if (ZSTD_isError(got) || got >= n) {
			chunk.raw = (u32)n * 3; /* the payload itself is taken for a frame */
		} else {
			chunk.stored = (u32)got;
			data = packed;
		}
	}
	chunk_header_encode(head, &chunk, data);
	trace_buf_add(file, head, sizeof(head));
	trace_buf_add(file, data, chunk.stored);
	return n + 6;
}

static void build(struct trace_buf *file, const u8 *data, size_t len)
{
	u8 head[TRACE_HEADER_SIZE], tail[TRACE_TRAILER_SIZE];
	struct trailer trailer = {0};
	size_t used;

	file_header_encode(head, 1, 1);
	trace_buf_add(file, head, sizeof(head));
	while ((used = build_chunk(file, data, len))) {
		data += used;
		len -= used;
		trailer.chunks++;
	}
	trailer_encode(tail, &trailer, file->len);
	trace_buf_add(file, tail, sizeof(tail));
}

static void look(const char *path, unsigned flags)
{
	struct trace_reader *r;
	struct trace_buf buf = {0};
	struct error err = {""};

	if (trace_open(&r, path, flags, &err))
		return;
	for (size_t i = 0; i < r->count; i++) {
		struct trace_blob_part part;
		struct trace_blob blob;

		if (trace_read(r, i, &buf, &err) || r->chunk[i].type != TRACE_BLOB ||
		    trace_blob_part_decode(&part, buf.data, buf.len))
			continue;
		if (!trace_read_blob(r, &part.digest, &blob, &err))
			free(blob.data);
	}
	trace_verify(r, &err);
	trace_buf_free(&buf);
	trace_close(r);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t len);
int LLVMFuzzerTestOneInput(const u8 *data, size_t len)
{
	struct trace_buf file = {0};
	char path[64];
	int fd;

	if (!len)
		return 0;
	fd = memfd_create("trace", MFD_CLOEXEC);
	if (fd < 0)
		return 0;
	if (data[0] & 1)
		build(&file, data + 1, len - 1);
	else
		trace_buf_add(&file, data + 1, len - 1);
	if (write(fd, file.data, file.len) == (ssize_t)file.len) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		look(path, 0);
		look(path, TRACE_QUICK);
	}
	close(fd);
	trace_buf_free(&file);
	return 0;
}
