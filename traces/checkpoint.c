/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Records of checkpoints, and writing them. A record is one string of bytes, cut into parts of a chunk each. */
#include "traces/checkpoint.h"

#include <errno.h>
#include <stdlib.h>

#include "traces/wire.h"

enum { PAGES, BLOCKS };

/* --- records --- */

static int put_bytes(struct trace_buf *out, const void *data, size_t len)
{
	u8 head[VARINT_MAX];
	int ret = trace_buf_add(out, head, (size_t)(put_varint(head, len) - head));

	return ret ? ret : trace_buf_add(out, data, len);
}

/* The record up to its lists. */
static int encode_head(struct trace_buf *out, const struct checkpoint_record *rec)
{
	size_t engine = strnlen(rec->engine, CHECKPOINT_ENGINE_MAX);
	u8 *p;
	int ret;

	if (rec->nr_progress > CHECKPOINT_PROGRESS_MAX || rec->state_len > CHECKPOINT_RECORD_MAX ||
	    rec->cache_len > CHECKPOINT_RECORD_MAX)
		return -EINVAL;
	ret = trace_buf_reserve(out, (7 + rec->nr_progress) * VARINT_MAX + 8);
	if (ret)
		return ret;
	p = out->data + out->len;
	p = put_varint(p, rec->place.chunk);
	p = put_varint(p, rec->place.item);
	p = put_varint(p, rec->place.done);
	p = put_varint(p, rec->place.stops);
	store64(p, rec->writes);
	p = put_varint(p + 8, rec->events);
	p = put_varint(p, rec->console);
	p = put_varint(p, rec->nr_progress);
	for (u32 i = 0; i < rec->nr_progress; i++)
		p = put_varint(p, rec->progress[i]);
	out->len = (size_t)(p - out->data);
	ret = put_bytes(out, rec->state, rec->state_len);
	if (!ret)
		ret = put_bytes(out, rec->engine, engine);
	if (!ret)
		ret = put_bytes(out, rec->cache, engine ? rec->cache_len : 0);
	return ret;
}

static void decode_list(struct wire *w, struct checkpoint_list *list)
{
	u64 page = wire_varint(w), len = wire_varint(w);
	const u8 *p = wire_bytes(w, len);

	*list = (struct checkpoint_list){.page = page};
	if (p) {
		list->p = p;
		list->end = p + len;
	}
}

int checkpoint_decode(struct checkpoint_record *rec, struct checkpoint_list *pages, struct checkpoint_list *blocks,
		      const u8 *data, size_t len)
{
	struct wire w = {data, data + len, false};
	const u8 *engine;
	u64 n;

	rec->place.chunk = wire_varint(&w);
	rec->place.item = wire_varint(&w);
	rec->place.done = wire_varint(&w);
	rec->place.stops = wire_varint(&w);
	rec->writes = wire_u64(&w);
	rec->events = wire_varint(&w);
	rec->console = wire_varint(&w);
	n = wire_varint(&w);
	if (n > CHECKPOINT_PROGRESS_MAX)
		return -EBADMSG;
	rec->nr_progress = (u32)n;
	for (u64 i = 0; i < n; i++)
		rec->progress[i] = wire_varint(&w);
	n = wire_varint(&w);
	rec->state = wire_bytes(&w, n);
	rec->state_len = n;
	n = wire_varint(&w);
	engine = wire_bytes(&w, n);
	if (w.bad || n > CHECKPOINT_ENGINE_MAX || memchr(engine, 0, n))
		return -EBADMSG;
	memset(rec->engine, 0, sizeof(rec->engine));
	memcpy(rec->engine, engine, n);
	n = wire_varint(&w);
	rec->cache = wire_bytes(&w, n);
	rec->cache_len = n;
	decode_list(&w, pages);
	decode_list(&w, blocks);
	if (pages->page >= CHECKPOINT_NUMBER_MAX || blocks->page >= CHECKPOINT_NUMBER_MAX)
		return -EBADMSG;
	return w.bad ? -EBADMSG : 0;
}

int checkpoint_list_next(struct checkpoint_list *list, u64 *number, u64 *page, bool *zero)
{
	struct wire w = {list->p, list->end, false};
	u64 v;

	if (w.p == w.end)
		return 0;
	v = wire_varint(&w);
	if (w.bad || v >> 1 >= CHECKPOINT_NUMBER_MAX - list->next)
		return -EBADMSG;
	*number = list->next + (v >> 1);
	*zero = v & 1;
	*page = list->page;
	list->page += !*zero;
	list->next = *number + 1;
	list->p = w.p;
	return 1;
}

static int encode_list(struct trace_buf *out, const struct checkpoint_list *list)
{
	u8 head[VARINT_MAX];
	int ret = trace_buf_add(out, head, (size_t)(put_varint(head, list->page) - head));

	return ret ? ret : put_bytes(out, list->p, (size_t)(list->end - list->p));
}

int checkpoint_write(struct trace_writer *w, const struct checkpoint_record *rec, const struct checkpoint_list *pages,
		     const struct checkpoint_list *blocks)
{
	struct trace_buf out = {0};
	int ret = encode_head(&out, rec);
	u64 parts;

	if (!ret)
		ret = encode_list(&out, pages);
	if (!ret)
		ret = encode_list(&out, blocks);
	if (!ret && out.len > CHECKPOINT_RECORD_MAX)
		ret = -EINVAL;
	parts = (out.len + TRACE_BLOB_PART - 1) / TRACE_BLOB_PART;
	for (u64 i = 0; !ret && i < parts; i++)
		ret = trace_write_keyed(w, TRACE_CHECKPOINT, rec->position, (u64)rec->full << 63 | parts << 32 | i,
					out.data + i * TRACE_BLOB_PART,
					min64(TRACE_BLOB_PART, out.len - i * TRACE_BLOB_PART));
	trace_buf_free(&out);
	return ret;
}

/* --- writing --- */

void checkpoint_put_init(struct checkpoint_put *p, struct trace_writer *w)
{
	memset(p, 0, sizeof(*p));
	p->w = w;
}

void checkpoint_put_free(struct checkpoint_put *p)
{
	trace_buf_free(&p->content);
	trace_buf_free(&p->list[PAGES]);
	trace_buf_free(&p->list[BLOCKS]);
}

void checkpoint_put_begin(struct checkpoint_put *p, const struct checkpoint_record *rec)
{
	p->rec = *rec;
	p->ret = 0;
	p->content.len = 0;
	for (unsigned i = PAGES; i <= BLOCKS; i++)
		p->list[i].len = p->next[i] = p->count[i] = 0;
}

static void flush_content(struct checkpoint_put *p)
{
	if (!p->ret && p->content.len)
		p->ret = trace_write(p->w, TRACE_PAGES, p->rec.position, p->content.data, p->content.len);
	p->content.len = 0;
}

static void put_number(struct checkpoint_put *p, unsigned which, u64 number, const u8 *bytes)
{
	u8 entry[VARINT_MAX], *end;

	if (!p->ret && (number < p->next[which] || number >= CHECKPOINT_NUMBER_MAX))
		p->ret = -EINVAL;
	if (p->ret)
		return;
	end = put_varint(entry, (number - p->next[which]) << 1 | !bytes);
	p->next[which] = number + 1;
	p->ret = trace_buf_add(&p->list[which], entry, (size_t)(end - entry));
	if (!bytes || p->ret)
		return;
	p->count[which]++;
	p->ret = trace_buf_add(&p->content, bytes, TRACE_PAGE_SIZE);
	if (p->content.len == TRACE_PAGES_MAX * TRACE_PAGE_SIZE)
		flush_content(p);
}

void checkpoint_put_page(struct checkpoint_put *p, u64 frame, const u8 *bytes)
{
	/* The blocks' contents come after those of the pages. */
	if (!p->ret && p->list[BLOCKS].len)
		p->ret = -EINVAL;
	if (bytes && !bytes[0] && !memcmp(bytes, bytes + 1, TRACE_PAGE_SIZE - 1))
		bytes = NULL;
	if (bytes || !p->rec.full)
		put_number(p, PAGES, frame, bytes);
}

void checkpoint_put_block(struct checkpoint_put *p, u64 block, const u8 *bytes)
{
	put_number(p, BLOCKS, block, bytes);
}

int checkpoint_put_end(struct checkpoint_put *p)
{
	struct checkpoint_list list[2];
	u64 page;

	flush_content(p);
	page = trace_writer_pages(p->w) - p->count[PAGES] - p->count[BLOCKS];
	for (unsigned i = PAGES; i <= BLOCKS; i++) {
		list[i] = (struct checkpoint_list){page, 0, p->list[i].data, p->list[i].data + p->list[i].len};
		page += p->count[i];
	}
	if (!p->ret)
		p->ret = checkpoint_write(p->w, &p->rec, &list[PAGES], &list[BLOCKS]);
	return p->ret;
}
