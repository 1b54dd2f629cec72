/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checkpoints of hostile traces. The input's first byte: even, the rest is a file as it is; otherwise a trace is built from
 * the rest with right checksums: pages, events and records of checkpoints, whose bytes are the input's. Each checkpoint is
 * loaded, the stream goes to its place, and it is copied. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "replay/cut.h"
#include "replay/stream.h"
#include "traces/checkpoint.h"
#include "traces/chunk.h"

#define FRAMES 1000

static void add_chunk(struct trace_buf *file, struct trace_chunk *c, const u8 *payload)
{
	u8 head[TRACE_CHUNK_SIZE];

	c->offset = file->len;
	c->stored = c->raw;
	chunk_header_encode(head, c, payload);
	trace_buf_add(file, head, sizeof(head));
	trace_buf_add(file, payload, c->raw);
}

/* One chunk: kind, position, key, length, payload. Returns what was used; 0: no more. */
static size_t build_chunk(struct trace_buf *file, const u8 *data, size_t len, u64 *pages)
{
	static const u8 zeroes[16 * TRACE_PAGE_SIZE];
	struct trace_chunk c = {0};
	size_t n;

	if (len < 4)
		return 0;
	c.position = data[1];
	n = data[3] < len - 4 ? data[3] : len - 4;
	switch (data[0] & 3) {
	case 0:
		c.type = TRACE_PAGES;
		c.key = data[0] & 0x80 ? data[2] : *pages;
		c.raw = (1 + data[2] % 16) * TRACE_PAGE_SIZE;
		*pages += c.raw / TRACE_PAGE_SIZE;
		add_chunk(file, &c, zeroes);
		return 4;
	case 1:
		c.type = TRACE_EVENTS;
		break;
	case 2:
		c.type = data[2] & 1 ? TRACE_END : TRACE_DIGESTS;
		break;
	default:
		c.type = TRACE_CHECKPOINT;
		c.flags = data[0] & 0x40 ? TRACE_MUST : 0;
		c.key = (u64)(data[0] & 0x80) << 56 | (1ull + (data[2] >> 4)) << 32 | (data[2] & 15);
	}
	c.raw = (u32)n;
	add_chunk(file, &c, data + 4);
	return 4 + n;
}

static void build(struct trace_buf *file, const u8 *data, size_t len)
{
	u8 head[TRACE_HEADER_SIZE];
	u64 pages = 0;
	size_t used;

	file_header_encode(head, 2, 1);
	trace_buf_add(file, head, sizeof(head));
	while ((used = build_chunk(file, data, len, &pages))) {
		data += used;
		len -= used;
	}
}

struct sum {
	u64 frames[FRAMES / 64 + 1];
	u64 value;
};

static int take_page(void *ctx, u64 frame, const u8 *bytes)
{
	struct sum *sum = ctx;

	if (frame >= FRAMES || sum->frames[frame / 64] >> frame % 64 & 1)
		abort();
	sum->frames[frame / 64] |= 1ull << frame % 64;
	if (bytes)
		sum->value += load64(bytes) + load64(bytes + TRACE_PAGE_SIZE - 8);
	return 0;
}

static int take_block(void *ctx, u64 block, const u8 *bytes)
{
	struct sum *sum = ctx;

	sum->value += block + load64(bytes) + load64(bytes + TRACE_PAGE_SIZE - 8);
	return 0;
}

static void look_at(struct checkpoint_file *f, size_t i, struct stream *s, struct trace_writer *w)
{
	struct checkpoint_loader loader = {.page = take_page, .block = take_block};
	struct checkpoint_record rec;
	struct sum sum = {0};
	struct stream_place place;
	struct error err;
	bool all;

	loader.ctx = &sum;
	if (checkpoint_file_read(f, i, &rec, NULL, NULL, &err))
		return;
	checkpoint_file_load(f, i, CHECKPOINT_NONE, FRAMES, &loader, &all, &err);
	if (i) {
		sum = (struct sum){0};
		checkpoint_file_load(f, i, i - 1, FRAMES, &loader, &all, &err);
	}
	checkpoint_file_read(f, i, &rec, NULL, NULL, &err);
	if (!stream_restore(s, &rec.place)) {
		stream_save(s, &place);
		/* A place names one item only, however it was named. */
		stream_next(s);
		if (stream_restore(s, &place))
			abort();
	}
	checkpoint_file_copy(f, i, w, rec.place.chunk & 7, 3, &err);
	trace_cut(f->r, w, &(struct cut){.position = rec.position, .place = rec.place, .console = rec.console}, &err);
}

static void look(const char *path)
{
	struct checkpoint_file f;
	struct trace_reader *r;
	struct trace_writer *w;
	struct stream s;
	struct error err = {""};
	char out[64];

	if (trace_open(&r, path, 0, &err))
		return;
	stream_init(&s, r);
	checkpoint_file_init(&f, r, &err);
	snprintf(out, sizeof(out), "/dev/shm/fuzz_checkpoint.%d", getpid());
	if (f.count && !trace_writer_create(&w, out, 0, &err)) {
		for (size_t i = f.count; i-- > 0;)
			look_at(&f, i, &s, w);
		trace_writer_abandon(w);
		unlink(out);
	}
	checkpoint_file_free(&f);
	stream_free(&s);
	trace_verify(r, &err);
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
		look(path);
	}
	close(fd);
	trace_buf_free(&file);
	return 0;
}
