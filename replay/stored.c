/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "replay/stored.h"

#include <errno.h>
#include <stdlib.h>

#include "vmm/machine.h"

/* Of checkpoint_record.progress, in this order; another list is another machine model. */
enum {
	PROGRESS_NS,
	PROGRESS_INJECTIONS,
	PROGRESS_IDLE_JUMPS,
	PROGRESS_KICKED,
	PROGRESS_DELIVERED_AT,
	PROGRESS_DELIVERED,
	PROGRESS_COUNT
};

static void put_pages(const struct checkpoints *c, const struct checkpoint *cp, const struct checkpoint *since,
		      struct checkpoint_put *put)
{
	for (u64 n = 0; n < c->pages.total; n++) {
		const u8 *page = page_image_get(cp->ram, n), *before = since ? page_image_get(since->ram, n) : NULL;

		if (page != before)
			checkpoint_put_page(put, pages_gpa(&c->pages, n) >> PAGE_SHIFT, page);
	}
}

static int put_blocks(const struct checkpoint *cp, const struct checkpoint *since, struct checkpoint_put *put)
{
	u64 *list = malloc((cp->disk.nr_chunks + 1) * sizeof(*list));

	if (!list)
		return -ENOMEM;
	block_list(&cp->disk, list);
	for (u64 i = 0; i < cp->disk.nr_chunks; i++) {
		const u8 *bytes = block_chunk(&cp->disk, list[i]);

		if (!since || bytes != block_chunk(&since->disk, list[i]))
			checkpoint_put_block(put, list[i], bytes);
	}
	free(list);
	return 0;
}

/* A place at a chunk's first item is also the place after the chunk before, which is there in every first part of the trace. */
static struct stream_place stored_place(const struct stream_place *place)
{
	if (place->item != 1 || place->done || !place->chunk)
		return *place;
	return (struct stream_place){.chunk = place->chunk - 1, .item = STREAM_AFTER, .stops = place->stops};
}

int checkpoint_store(const struct checkpoints *c, const struct checkpoint *cp, const struct checkpoint *since,
		     struct checkpoint_put *put, struct error *err)
{
	struct checkpoint_record rec = {
	    .position = cp->position,
	    .full = !since,
	    .place = stored_place(&cp->replay.stream),
	    .writes = cp->replay.writes,
	    .events = cp->replay.events,
	    .console = cp->progress.console,
	    .nr_progress = PROGRESS_COUNT,
	    .progress =
		{
		    [PROGRESS_NS] = cp->ns,
		    [PROGRESS_INJECTIONS] = cp->progress.injections,
		    [PROGRESS_IDLE_JUMPS] = cp->progress.idle_jumps,
		    [PROGRESS_KICKED] = cp->progress.kicked,
		    [PROGRESS_DELIVERED_AT] = cp->delivered_at,
		    [PROGRESS_DELIVERED] = cp->delivered,
		},
	    .state = cp->state,
	    .state_len = cp->state_len,
	    .cache = cp->cache,
	    .cache_len = cp->cache_len,
	};
	int ret, end;

	snprintf(rec.engine, sizeof(rec.engine), "%s", cp->cache ? c->m->config.engine->name : "");
	checkpoint_put_begin(put, &rec);
	put_pages(c, cp, since, put);
	ret = put_blocks(cp, since, put);
	end = checkpoint_put_end(put);
	if (!ret)
		ret = end;
	if (ret)
		error_set(err, ret, "%s",
			  ret == -ENOMEM ? "no memory for a checkpoint" : trace_writer_error(put->w)->text);
	return ret;
}

/* --- reading --- */

struct fetching {
	struct checkpoints *c;
	struct checkpoint *cp;
};

static int fetch_page(void *ctx, u64 frame, const u8 *bytes)
{
	struct fetching *f = ctx;
	u64 n = pages_number(&f->c->pages, frame << PAGE_SHIFT);

	return n == f->c->pages.total ? -EBADMSG : page_image_set(&f->c->pages, f->cp->ram, n, bytes);
}

static int fetch_block(void *ctx, u64 block, const u8 *bytes)
{
	static const u8 zeros[BLOCK_CHUNK];
	struct fetching *f = ctx;
	const struct block *disk = machine_disk(f->c->m);
	const u64 sectors = BLOCK_CHUNK / BLOCK_SECTOR;

	if (!disk || block >= (disk->base.sectors + sectors - 1) / sectors)
		return -EBADMSG;
	return block_set_chunk(&f->cp->disk, block, bytes ? bytes : zeros);
}

static u8 *copy(const u8 *bytes, size_t len)
{
	u8 *p = malloc(len + 1);

	if (p)
		memcpy(p, bytes, len);
	return p;
}

static int take_record(struct fetching *f, const struct checkpoint_record *rec)
{
	struct checkpoint *cp = f->cp;
	const u64 *progress = rec->progress;

	if (rec->nr_progress != PROGRESS_COUNT || rec->state_len != machine_state_size(f->c->m) ||
	    machine_state_position(rec->state) != rec->position ||
	    (progress[PROGRESS_DELIVERED_AT] == rec->position && progress[PROGRESS_DELIVERED]))
		return -EBADMSG;
	cp->position = rec->position;
	cp->replay = (struct replayer_place){
	    .stream = rec->place, .writes = rec->writes, .events = rec->events, .settled_at = ~0ull};
	cp->ns = progress[PROGRESS_NS];
	cp->progress = (struct machine_progress){
	    .injections = (u32)progress[PROGRESS_INJECTIONS],
	    .idle_jumps = (u32)progress[PROGRESS_IDLE_JUMPS],
	    .kicked = progress[PROGRESS_KICKED],
	    .console = rec->console,
	};
	cp->delivered_at = progress[PROGRESS_DELIVERED_AT];
	cp->delivered = (u32)progress[PROGRESS_DELIVERED];
	cp->state_len = rec->state_len;
	cp->state = copy(rec->state, rec->state_len);
	/* What another engine's TLB held is lost; that is as far as engines can be told apart. */
	if (!strcmp(rec->engine, f->c->m->config.engine->name)) {
		cp->cache_len = rec->cache_len;
		cp->cache = copy(rec->cache, rec->cache_len);
		if (!cp->cache)
			return -ENOMEM;
	}
	return cp->state ? 0 : -ENOMEM;
}

int checkpoint_fetch(struct checkpoints *c, struct checkpoint_file *file, size_t i, struct error *err)
{
	struct fetching f = {c, calloc(1, sizeof(*f.cp))};
	const struct checkpoint_loader loader = {fetch_page, fetch_block, &f};
	struct checkpoint_record rec;
	struct error why = {""};
	bool all = false;
	int ret;

	if (!f.cp)
		return error_set(err, -ENOMEM, "no memory for a checkpoint");
	ret = checkpoint_file_read(file, i, &rec, NULL, NULL, &why);
	if (!ret)
		ret = take_record(&f, &rec);
	if (!ret)
		ret = page_image_begin(&c->pages, NULL, &f.cp->ram);
	if (!ret)
		ret = checkpoint_file_load(file, i, CHECKPOINT_NONE,
					   (pages_gpa(&c->pages, c->pages.total - 1) >> PAGE_SHIFT) + 1, &loader, &all,
					   &why);
	if (!ret && !all)
		ret = -EBADMSG;
	if (!ret)
		ret = checkpoints_add(c, f.cp);
	if (!ret)
		return 0;
	checkpoint_free(c, f.cp);
	if (ret == -EBADMSG && !why.text[0])
		error_set(&why, ret, "the trace's checkpoint at position %llu isn't of this machine",
			  (unsigned long long)file->entry[i].position);
	return error_set(err, ret, "%s", why.text[0] ? why.text : strerror(-ret));
}

int checkpoint_begin(struct machine *m, struct replayer *rp, struct trace_reader *r, struct error *err)
{
	struct checkpoint_file file;
	struct checkpoints c;
	int ret = checkpoints_init(&c, m, ~0ull);

	if (ret)
		return error_set(err, ret, "no memory for a checkpoint");
	ret = checkpoint_file_init(&file, r, err);
	if (!ret && !file.count)
		ret = error_set(err, -EBADMSG, "the trace has no checkpoint to begin at");
	if (!ret)
		ret = checkpoint_fetch(&c, &file, 0, err);
	if (!ret && (ret = checkpoint_restore(&c, c.list[0])))
		error_set(err, ret, "the trace's first checkpoint can't be restored");
	if (!ret)
		ret = replayer_restore(rp, &c.list[0]->replay, err);
	checkpoint_file_free(&file);
	checkpoints_free(&c);
	return ret;
}
