/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checkpoints in a trace: all that is needed to go on replaying from a position, without what came before.
 *
 * Of memory and of what the guest wrote to its disk a checkpoint holds what differs from the checkpoint before it in the
 * file. A full one holds all. Checkpoints stand in the order of their positions, none at the same one; the contents of
 * pages stand before the checkpoint that they belong to. FORMAT.md has the encoding. */
#ifndef TRACES_CHECKPOINT_H
#define TRACES_CHECKPOINT_H

#include "traces/trace.h"

#define CHECKPOINT_PROGRESS_MAX 64u
#define CHECKPOINT_ENGINE_MAX   32u
#define CHECKPOINT_RECORD_MAX   (128u << 20) /* most bytes of one record */
#define CHECKPOINT_NUMBER_MAX   (1ull << 52) /* frames, blocks and pages stored are below */

struct checkpoint_record {
	u64 position; /* instructions; nothing of what is due there has happened */
	bool full;
	struct stream_place place; /* of what comes next */
	u64 writes;                /* running digest of device writes */
	u64 events, console;       /* events met and bytes printed since the machine's start */
	u32 nr_progress;
	u64 progress[CHECKPOINT_PROGRESS_MAX]; /* counters of the machine; their meaning is the machine's */
	const u8 *state;                       /* machine_state_save() */
	size_t state_len;
	char engine[CHECKPOINT_ENGINE_MAX + 1]; /* whose cache it is; "": none */
	const u8 *cache;                        /* what the engine keeps beyond the state */
	size_t cache_len;
};

/* --- writing --- */

/* Makes the checkpoints of one trace, one after the other:
 *
 *	checkpoint_put_begin(&p, &rec);
 *	for pages that differ, by frame: checkpoint_put_page(&p, frame, bytes);
 *	for blocks of the disk that differ, by number: checkpoint_put_block(&p, block, bytes);
 *	ret = checkpoint_put_end(&p);
 *
 * The first error stays until the end: -ENOMEM, -EINVAL (not ascending, too large), or the writer's. */
struct checkpoint_put {
	struct trace_writer *w;
	struct checkpoint_record rec;
	int ret;
	struct trace_buf content; /* of pages, not written yet */
	struct trace_buf list[2]; /* encoded: pages, blocks */
	u64 next[2];              /* least number that may come */
	u64 count[2];             /* of entries with content */
};

void checkpoint_put_init(struct checkpoint_put *p, struct trace_writer *w);
void checkpoint_put_free(struct checkpoint_put *p);

/* What @rec points to must stay until the end. */
void checkpoint_put_begin(struct checkpoint_put *p, const struct checkpoint_record *rec);
/* @bytes: TRACE_PAGE_SIZE; NULL: zeroes. In a full checkpoint pages of zeroes needn't be told. */
void checkpoint_put_page(struct checkpoint_put *p, u64 frame, const u8 *bytes);
/* After all pages. @bytes: TRACE_PAGE_SIZE, of which those beyond the disk's end are 0. */
void checkpoint_put_block(struct checkpoint_put *p, u64 block, const u8 *bytes);
int checkpoint_put_end(struct checkpoint_put *p);

/* --- reading --- */

struct checkpoint_entry {
	u64 position;
	bool full;
	size_t chunk; /* the first of its parts, which follow each other */
	u32 parts;
	u64 pages; /* stored before it */
};

struct checkpoint_pages {
	u64 first; /* number of the chunk's first page */
	size_t chunk;
};

/* The checkpoints of a trace. The list comes from the chunk headers (or the index) alone. */
struct checkpoint_file {
	struct trace_reader *r;
	struct checkpoint_entry *entry;
	size_t count, cap;
	struct checkpoint_pages *page;
	size_t nr_page, page_cap;
	u64 pages;   /* in all page chunks */
	size_t next; /* chunk to be listed next */
	u32 missing; /* parts of entry[count] that aren't there yet; 0: it isn't begun */
	bool bad;    /* what follows makes no sense */
	struct trace_buf record, part;
};

/* Lists. @r must stay open. -ENOMEM; -EBADMSG with a sentence when what is there makes no sense: the checkpoints before it
 * are listed and can be used. checkpoint_file_free() in any case. */
int checkpoint_file_init(struct checkpoint_file *f, struct trace_reader *r, struct error *err);
/* The same again for what trace_refresh() has found since. */
int checkpoint_file_refresh(struct checkpoint_file *f, struct error *err);
void checkpoint_file_free(struct checkpoint_file *f);

/* Whether the trace begins at its first checkpoint: nothing of what came before is in it. */
bool checkpoint_file_begins(const struct trace_reader *r);

#define CHECKPOINT_NONE SIZE_MAX

/* The last one at or before @position, or CHECKPOINT_NONE. */
size_t checkpoint_file_find(const struct checkpoint_file *f, u64 position);

/* Numbers of a record's pages or blocks, ascending, each with the page that holds its content. */
struct checkpoint_list {
	u64 page; /* the next one with content has this page */
	u64 next; /* least number that may come */
	const u8 *p, *end;
};

/* Reads the record of checkpoint @i. Its pointers, and the lists (each may be NULL), are valid until the next call for this
 * file. -EBADMSG, -ENOMEM. */
int checkpoint_file_read(struct checkpoint_file *f, size_t i, struct checkpoint_record *rec,
			 struct checkpoint_list *pages, struct checkpoint_list *blocks, struct error *err);

struct checkpoint_loader {
	/* @bytes: TRACE_PAGE_SIZE, valid during the call; NULL: zeroes. Anything but 0 ends the loading and is returned: a
	 * trace may name frames and blocks that the machine doesn't have. */
	int (*page)(void *ctx, u64 frame, const u8 *bytes);
	int (*block)(void *ctx, u64 block, const u8 *bytes);
	void *ctx;
};

/* Tells memory and disk at checkpoint @i: each page and block once, in no order. @frames: frames are below it. @since: a
 * checkpoint before @i whose memory and disk the caller has, or CHECKPOINT_NONE. True in *@all: pages not told are zeroes,
 * and blocks not told were never written; otherwise they are as at @since. Memory: a bit for each of @frames and 24 bytes
 * for each page stored. Cost: the records since, and each page chunk needed is read once. -EBADMSG, -ENOMEM. */
int checkpoint_file_load(struct checkpoint_file *f, size_t i, size_t since, u64 frames,
			 const struct checkpoint_loader *to, bool *all, struct error *err);

/* Reads all records and checks what can be checked without the machine. -EBADMSG, -ENOMEM. */
int checkpoint_file_verify(struct checkpoint_file *f, struct error *err);

/* Writes checkpoint @i to @w, to which its pages were copied before: as trace_writer_pages() and trace_writer_stream() there
 * were greater by @pages and @chunks than in this file. -EBADMSG, -ENOMEM, or the writer's error. */
int checkpoint_file_copy(struct checkpoint_file *f, size_t i, struct trace_writer *w, u64 pages, u64 chunks,
			 struct error *err);

/* --- records, for those who look at the bytes --- */

/* 0 or -EBADMSG. position and full stand in the chunk header and are left alone. Pointers go into @data. */
int checkpoint_decode(struct checkpoint_record *rec, struct checkpoint_list *pages, struct checkpoint_list *blocks,
		      const u8 *data, size_t len);

/* Writes a record as decoded, lists at their beginnings. -ENOMEM, -EINVAL (too large), or the writer's error. */
int checkpoint_write(struct trace_writer *w, const struct checkpoint_record *rec, const struct checkpoint_list *pages,
		     const struct checkpoint_list *blocks);

/* 1: the next entry; *@page holds its content, unless *@zero. 0: none left. -EBADMSG. */
int checkpoint_list_next(struct checkpoint_list *list, u64 *number, u64 *page, bool *zero);

#endif
