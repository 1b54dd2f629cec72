/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The checkpoints of a trace, read.
 *
 * Each checkpoint with its predecessors back to a full one tells what memory was. Records are walked from the newest on,
 * and what was told by a newer one isn't looked at again; then the contents are read in the order of the file. The pages
 * that belong to a record lie before it and after those of the records before, so that no page is told twice and what has
 * to be remembered is bounded by what is stored. */
#include <errno.h>
#include <stdlib.h>

#include "traces/checkpoint.h"

#define PARTS_MAX (CHECKPOINT_RECORD_MAX / TRACE_BLOB_PART)

/* --- the list --- */

static void *grow(void *table, size_t count, size_t *cap, size_t size)
{
	if (count < *cap)
		return table;
	table = realloc(table, (2 * *cap + 64) * size);
	if (table)
		*cap = 2 * *cap + 64;
	return table;
}

/* -EBADMSG: the chunk isn't what must come next. */
static int list_pages(struct checkpoint_file *f, size_t i)
{
	const struct trace_chunk *c = &f->r->chunk[i];
	struct checkpoint_pages *table;

	if (c->key != f->pages || !c->raw || c->raw % TRACE_PAGE_SIZE || c->raw / TRACE_PAGE_SIZE > TRACE_PAGES_MAX)
		return -EBADMSG;
	table = grow(f->page, f->nr_page, &f->page_cap, sizeof(*table));
	if (!table)
		return -ENOMEM;
	f->page = table;
	f->page[f->nr_page++] = (struct checkpoint_pages){f->pages, i};
	f->pages += c->raw / TRACE_PAGE_SIZE;
	return 0;
}

static int list_part(struct checkpoint_file *f, size_t i)
{
	const struct trace_chunk *c = &f->r->chunk[i];
	struct checkpoint_entry *table, *e;
	u32 part = (u32)c->key, parts = (u32)(c->key >> 32) & 0x7fffffff;
	bool full = c->key >> 63;

	table = grow(f->entry, f->count, &f->cap, sizeof(*table));
	if (!table)
		return -ENOMEM;
	f->entry = table;
	e = &f->entry[f->count];
	if (!f->missing) {
		if (part || !parts || parts > PARTS_MAX || (f->count ? c->position <= e[-1].position : !full))
			return -EBADMSG;
		*e = (struct checkpoint_entry){c->position, full, i, parts, f->pages};
		f->missing = parts;
	} else if (part != parts - f->missing || parts != e->parts || full != e->full || c->position != e->position ||
		   i != e->chunk + part) {
		return -EBADMSG;
	}
	f->count += !--f->missing;
	return 0;
}

int checkpoint_file_refresh(struct checkpoint_file *f, struct error *err)
{
	int ret = 0;

	for (; !f->bad && f->next < f->r->count; f->next++) {
		const struct trace_chunk *c = &f->r->chunk[f->next];

		if (c->type == TRACE_PAGES)
			ret = list_pages(f, f->next);
		else if (c->type == TRACE_CHECKPOINT)
			ret = list_part(f, f->next);
		if (ret == -EBADMSG)
			f->bad = true;
		if (ret)
			break;
	}
	if (f->bad)
		return error_set(err, -EBADMSG, "the %s chunk at offset %llu does not fit those before it",
				 trace_type_name(f->r->chunk[f->next].type),
				 (unsigned long long)f->r->chunk[f->next].offset);
	return ret ? error_set(err, ret, "out of memory") : 0;
}

int checkpoint_file_init(struct checkpoint_file *f, struct trace_reader *r, struct error *err)
{
	memset(f, 0, sizeof(*f));
	f->r = r;
	return checkpoint_file_refresh(f, err);
}

void checkpoint_file_free(struct checkpoint_file *f)
{
	free(f->entry);
	free(f->page);
	trace_buf_free(&f->record);
	trace_buf_free(&f->part);
	memset(f, 0, sizeof(*f));
}

bool checkpoint_file_begins(const struct trace_reader *r)
{
	for (size_t i = 0; i < r->count && !trace_in_stream(r->chunk[i].type); i++)
		if (r->chunk[i].type == TRACE_CHECKPOINT)
			return r->chunk[i].flags & TRACE_MUST;
	return false;
}

size_t checkpoint_file_find(const struct checkpoint_file *f, u64 position)
{
	size_t low = 0, high = f->count; /* those below low are at or before it, those from high on aren't */

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (f->entry[mid].position <= position)
			low = mid + 1;
		else
			high = mid;
	}
	return low ? low - 1 : CHECKPOINT_NONE;
}

/* --- records --- */

static int damaged(const struct checkpoint_entry *e, struct error *err)
{
	return error_set(err, -EBADMSG, "the checkpoint at position %llu in the trace is damaged",
			 (unsigned long long)e->position);
}

static int no_memory(struct error *err)
{
	return error_set(err, -ENOMEM, "out of memory");
}

int checkpoint_file_read(struct checkpoint_file *f, size_t i, struct checkpoint_record *rec,
			 struct checkpoint_list *pages, struct checkpoint_list *blocks, struct error *err)
{
	struct checkpoint_list no_pages, no_blocks;
	const struct checkpoint_entry *e;
	int ret = 0;

	if (i >= f->count)
		return error_set(err, -EINVAL, "the trace has no checkpoint %zu", i);
	e = &f->entry[i];
	f->record.len = 0;
	if (e->parts == 1)
		ret = trace_read(f->r, e->chunk, &f->record, err);
	for (u32 k = 0; !ret && e->parts > 1 && k < e->parts; k++) {
		ret = trace_read(f->r, e->chunk + k, &f->part, err);
		if (!ret && trace_buf_add(&f->record, f->part.data, f->part.len))
			ret = no_memory(err);
	}
	if (ret)
		return ret;
	rec->position = e->position;
	rec->full = e->full;
	ret = checkpoint_decode(rec, pages ? pages : &no_pages, blocks ? blocks : &no_blocks, f->record.data,
				f->record.len);
	return ret ? damaged(e, err) : 0;
}

int checkpoint_file_copy(struct checkpoint_file *f, size_t i, struct trace_writer *w, u64 pages, u64 chunks,
			 struct error *err)
{
	struct checkpoint_list page_list, block_list;
	struct checkpoint_record rec;
	int ret = checkpoint_file_read(f, i, &rec, &page_list, &block_list, err);

	if (ret)
		return ret;
	rec.place.chunk += chunks;
	page_list.page += pages;
	block_list.page += pages;
	ret = checkpoint_write(w, &rec, &page_list, &block_list);
	if (ret == -ENOMEM)
		return no_memory(err);
	return ret ? error_set(err, ret, "%s", trace_writer_error(w)->text) : 0;
}

/* --- loading --- */

struct wanted {
	u64 page, number;
	bool block;
};

struct load {
	struct checkpoint_file *f;
	const struct checkpoint_loader *to;
	u64 frames, limit; /* pages of the records yet to be walked are below */
	u8 *seen;          /* a bit for each frame */
	struct wanted *wanted;
	size_t count, cap;
};

static int want(struct load *l, u64 page, u64 number, bool block)
{
	struct wanted *table;

	if (page >= l->limit)
		return -EBADMSG;
	table = grow(l->wanted, l->count, &l->cap, sizeof(*table));
	if (!table)
		return -ENOMEM;
	l->wanted = table;
	l->wanted[l->count++] = (struct wanted){page, number, block};
	return 0;
}

static int take_frame(struct load *l, u64 frame, u64 page, bool zero)
{
	u8 bit = (u8)(1u << frame % 8);

	if (frame >= l->frames || (!zero && page >= l->limit))
		return -EBADMSG;
	if (l->seen[frame / 8] & bit)
		return 0;
	l->seen[frame / 8] |= bit;
	return zero ? l->to->page(l->to->ctx, frame, NULL) : want(l, page, frame, false);
}

/* Takes what a record has that none after it had. */
static int take_record(struct load *l, size_t i, struct error *err)
{
	const struct checkpoint_entry *e = &l->f->entry[i];
	struct checkpoint_list pages, blocks;
	struct checkpoint_record rec;
	u64 number, page, first, blocks_first;
	bool zero;
	int ret = checkpoint_file_read(l->f, i, &rec, &pages, &blocks, err);

	if (ret)
		return ret;
	l->limit = min64(l->limit, e->pages);
	first = pages.page;
	blocks_first = blocks.page;
	while ((ret = checkpoint_list_next(&pages, &number, &page, &zero)) > 0) {
		ret = take_frame(l, number, page, zero);
		if (ret)
			break;
	}
	if (!ret && pages.page > blocks_first)
		ret = -EBADMSG;
	while (!ret && (ret = checkpoint_list_next(&blocks, &number, &page, &zero)) > 0)
		ret = zero ? -EBADMSG : want(l, page, number, true);
	l->limit = min64(l->limit, first);
	if (ret == -EBADMSG)
		return damaged(e, err);
	return ret == -ENOMEM ? no_memory(err) : ret;
}

/* The newest first. */
static int by_number(const void *a, const void *b)
{
	const struct wanted *x = a, *y = b;

	if (x->block != y->block)
		return x->block - y->block;
	if (x->number != y->number)
		return x->number < y->number ? -1 : 1;
	return x->page > y->page ? -1 : x->page < y->page;
}

static int by_page(const void *a, const void *b)
{
	const struct wanted *x = a, *y = b;

	return x->page < y->page ? -1 : x->page > y->page;
}

/* Of several contents of a block the newest stays. */
static void drop_old(struct load *l)
{
	size_t n = 0;

	if (!l->count)
		return;
	qsort(l->wanted, l->count, sizeof(*l->wanted), by_number);
	for (size_t i = 0; i < l->count; i++) {
		const struct wanted *w = &l->wanted[i];

		if (!n || w->block != l->wanted[n - 1].block || w->number != l->wanted[n - 1].number)
			l->wanted[n++] = *w;
	}
	l->count = n;
	qsort(l->wanted, l->count, sizeof(*l->wanted), by_page);
}

static int tell_contents(struct load *l, struct error *err)
{
	struct checkpoint_file *f = l->f;
	size_t have = SIZE_MAX, at = 0;
	int ret = 0;

	for (size_t i = 0; !ret && i < l->count; i++) {
		const struct wanted *w = &l->wanted[i];
		const u8 *bytes;

		while (at + 1 < f->nr_page && f->page[at + 1].first <= w->page)
			at++;
		if (have != at)
			ret = trace_read(f->r, f->page[at].chunk, &f->part, err);
		if (ret)
			break;
		have = at;
		bytes = f->part.data + (w->page - f->page[at].first) * TRACE_PAGE_SIZE;
		ret = w->block ? l->to->block(l->to->ctx, w->number, bytes) : l->to->page(l->to->ctx, w->number, bytes);
	}
	return ret;
}

int checkpoint_file_load(struct checkpoint_file *f, size_t i, size_t since, u64 frames,
			 const struct checkpoint_loader *to, bool *all, struct error *err)
{
	struct load l = {.f = f, .to = to, .frames = frames, .limit = f->pages};
	int ret = 0;

	*all = false;
	if (i >= f->count || frames > CHECKPOINT_NUMBER_MAX)
		return error_set(err, -EINVAL, "the trace has no checkpoint %zu", i);
	l.seen = calloc(frames / 8 + 1, 1);
	if (!l.seen)
		return no_memory(err);
	for (size_t k = i + 1; !ret && !*all && k-- > 0 && k != since;) {
		ret = take_record(&l, k, err);
		*all = f->entry[k].full;
	}
	if (!ret) {
		drop_old(&l);
		ret = tell_contents(&l, err);
	}
	free(l.seen);
	free(l.wanted);
	return ret;
}

/* --- verifying --- */

/* Walks a list; *@end: the page after its last one. */
static int verify_list(struct checkpoint_list *list, bool zeroes, u64 *end)
{
	u64 number, page;
	bool zero;
	int ret = list->page < *end ? -EBADMSG : 0;

	while (!ret && (ret = checkpoint_list_next(list, &number, &page, &zero)) > 0)
		ret = zero && !zeroes ? -EBADMSG : 0;
	*end = list->page;
	return ret;
}

int checkpoint_file_verify(struct checkpoint_file *f, struct error *err)
{
	u64 stream = 0, end = 0;
	int ret = 0;

	for (size_t i = 0; i < f->r->count; i++)
		stream += trace_in_stream(f->r->chunk[i].type);
	for (size_t i = 0; !ret && i < f->count; i++) {
		struct checkpoint_list pages, blocks;
		struct checkpoint_record rec;

		ret = checkpoint_file_read(f, i, &rec, &pages, &blocks, err);
		if (ret)
			break;
		ret = verify_list(&pages, true, &end);
		if (!ret)
			ret = verify_list(&blocks, false, &end);
		if (!ret && (end > f->entry[i].pages || rec.place.chunk > stream))
			ret = -EBADMSG;
		if (ret)
			damaged(&f->entry[i], err);
	}
	if (!ret && f->missing)
		ret = error_set(err, -EBADMSG, "the last checkpoint in the trace is not whole");
	return ret;
}
