/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "replay/ring.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "traces/checkpoint.h"

struct ring {
	struct ring_config config;
	char *path, *older;
	struct trace_writer *w; /* NULL after an error */
	bool rolled;            /* there is an older file */
	u64 begun;              /* bytes of the file when it was complete enough to be replayed; 0: not yet asked */
};

static unsigned force_flag(const struct ring *ring)
{
	return ring->config.force ? TRACE_FORCE : 0;
}

static int begin_file(struct ring *ring, enum ring_head kind, struct error *err)
{
	unsigned flags = force_flag(ring) | (kind == RING_START ? 0 : TRACE_BEGINS_MID);
	int ret = trace_writer_create(&ring->w, ring->path, flags, err);

	if (ret) {
		ring->w = NULL;
		return ret;
	}
	ring->begun = 0;
	return ring->config.head(ring->config.ctx, ring->w, kind, err);
}

static void ring_free(struct ring *ring)
{
	free(ring->path);
	free(ring->older);
	free(ring);
}

int ring_create(struct ring **out, const struct ring_config *config, struct error *err)
{
	struct ring *ring = calloc(1, sizeof(*ring));
	int ret = 0;

	if (!ring)
		return error_set(err, -ENOMEM, "out of memory");
	ring->config = *config;
	ring->path = strdup(config->path);
	if (asprintf(&ring->older, "%s.older", config->path) < 0)
		ring->older = NULL;
	if (!ring->path || !ring->older)
		ret = error_set(err, -ENOMEM, "out of memory");
	else if (!config->force && !access(ring->older, F_OK))
		ret = error_set(err, -EEXIST, "%s exists already; --force replaces it", ring->older);
	if (!ret)
		ret = begin_file(ring, RING_START, err);
	if (ret) {
		ring_abandon(ring);
		return ret;
	}
	*out = ring;
	return 0;
}

struct trace_writer *ring_writer(const struct ring *ring)
{
	return ring->w;
}

bool ring_full(struct ring *ring)
{
	u64 size = trace_writer_size(ring->w), share = ring->config.size / 2;

	if (!ring->begun)
		ring->begun = size;
	return size >= share && size - ring->begun >= share / 4;
}

int ring_roll(struct ring *ring, struct error *err)
{
	struct trace_writer *w = ring->w;
	int ret = trace_writer_move(w, ring->older);

	ring->w = NULL;
	if (ret) {
		trace_writer_abandon(w);
		return error_set(err, ret, "out of memory");
	}
	ret = trace_writer_close(w, err);
	if (ret)
		return ret;
	ring->rolled = true;
	return begin_file(ring, RING_MID_NAMES, err);
}

/* --- joining --- */

static bool is_head(u32 type)
{
	return type == TRACE_MACHINE || type == TRACE_BLOB || type == TRACE_NOTE;
}

/* Appends what was recorded in a file, with its head or without. */
static int append_file(struct trace_writer *to, struct trace_reader *from, bool head, struct error *err)
{
	u64 pages = trace_writer_pages(to), chunks = trace_writer_stream(to);
	struct checkpoint_file f;
	size_t next = 0;
	int ret = checkpoint_file_init(&f, from, err);

	for (size_t i = 0; !ret && i < from->count; i++) {
		u32 type = from->chunk[i].type;

		if (type != TRACE_CHECKPOINT)
			ret = is_head(type) && !head ? 0 : trace_copy(to, from, i, err);
		else if (next < f.count && f.entry[next].chunk == i)
			ret = checkpoint_file_copy(&f, next++, to, pages, chunks, err);
	}
	checkpoint_file_free(&f);
	return ret;
}

static int join(struct ring *ring, struct trace_reader *older, struct trace_reader *newer, struct error *err)
{
	bool mid = checkpoint_file_begins(older);
	struct trace_writer *to;
	int ret = trace_writer_create(&to, ring->path, TRACE_FORCE | (mid ? TRACE_BEGINS_MID : 0), err);

	if (ret)
		return ret;
	if (mid)
		ret = ring->config.head(ring->config.ctx, to, RING_MID, err);
	if (!ret)
		ret = append_file(to, older, !mid, err);
	if (!ret)
		ret = append_file(to, newer, false, err);
	if (!ret)
		return trace_writer_close(to, err);
	/* Half a copy is of no use beside the whole files. */
	unlink(trace_writer_path(to));
	trace_writer_abandon(to);
	return ret;
}

static int open_whole(struct trace_reader **r, const char *path, struct error *err)
{
	int ret = trace_open(r, path, 0, err);

	if (!ret && (*r)->state != TRACE_WHOLE)
		ret = error_set(err, -EBADMSG, "%s: %s", path, (*r)->damage.text);
	return ret;
}

int ring_close(struct ring *ring, struct error *err)
{
	struct trace_reader *older = NULL, *newer = NULL;
	int ret = trace_writer_close(ring->w, err);

	ring->w = NULL;
	if (!ret && ring->rolled) {
		ret = open_whole(&older, ring->older, err);
		if (!ret)
			ret = open_whole(&newer, ring->path, err);
		if (!ret)
			ret = join(ring, older, newer, err);
		trace_close(older);
		trace_close(newer);
		if (!ret)
			unlink(ring->older);
	}
	ring_free(ring);
	return ret;
}

bool ring_abandon(struct ring *ring)
{
	bool kept = ring->rolled;

	if (ring->w)
		kept |= trace_writer_abandon(ring->w) == 1;
	ring_free(ring);
	return kept;
}
