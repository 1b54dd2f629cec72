/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checkpoints in a trace: what memory, disk and state were comes back; what makes no sense is refused. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "traces/checkpoint.h"
#include "traces/chunk.h"
#include "traces/record.h"
#include "traces/wire.h"

#define FRAMES 5000u
#define BLOCKS 300u
#define COUNT  9u

static char dir[64], path[96], other[96];
static struct error err;
static u32 seed;

static void setup(void)
{
	strcpy(dir, "/tmp/test_checkpoint.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/a.vmt", dir);
	snprintf(other, sizeof(other), "%s/b.vmt", dir);
	seed = 1;
}

static void teardown(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	ck_assert_int_eq(system(command), 0);
}

static u32 random_below(u32 n)
{
	seed = seed * 1103515245 + 12345;
	return seed / 65536 % n;
}

/* --- a machine --- */

/* A page's content is made from a number; 0: zeroes. Blocks: 0: never written. */
struct model {
	u32 page[FRAMES], block[BLOCKS];
};

static void content(u8 bytes[TRACE_PAGE_SIZE], u32 number)
{
	memset(bytes, 0, TRACE_PAGE_SIZE);
	if (!number)
		return;
	bytes[number % 3 ? 4095 : 0] = 1; /* nearly zero at either end */
	store32(bytes + 1000, number);
}

static void change(struct model *m)
{
	for (unsigned i = 0; i < 60; i++)
		m->page[random_below(FRAMES)] = random_below(4) ? 1 + random_below(1000000) : 0;
	for (unsigned i = 0; i < 5; i++)
		m->block[random_below(BLOCKS)] = 1 + random_below(1000000);
}

static u8 state[777], cache[300];

static struct checkpoint_record record_of(unsigned i, bool full)
{
	struct checkpoint_record rec = {
	    .position = 1000 + 17 * i,
	    .full = full,
	    .place = {.chunk = i, .item = i ? 1 + i : STREAM_AFTER, .done = i * 3, .stops = 1ull << 40},
	    .writes = 0x123456789abcdef0ull + i,
	    .events = ~0ull - i,
	    .console = i,
	    .nr_progress = i % 5,
	    .state = state,
	    .state_len = sizeof(state) - i,
	    .cache = cache,
	    .cache_len = i % 2 ? sizeof(cache) - i : 0,
	};

	for (unsigned k = 0; k < rec.nr_progress; k++)
		rec.progress[k] = (u64)k << 60 | i;
	if (i % 2)
		strcpy(rec.engine, i == 1 ? "abcdefghijklmnopqrstuvwxyz012345" : "soft");
	memset(state, (int)i, sizeof(state));
	memset(cache, (int)i + 100, sizeof(cache));
	return rec;
}

/* @before: NULL for a full one. */
static int put(struct checkpoint_put *p, unsigned i, const struct model *now, const struct model *before)
{
	static const struct model none;
	struct checkpoint_record rec = record_of(i, !before);
	const struct model *was = before ? before : &none;
	u8 bytes[TRACE_PAGE_SIZE];

	checkpoint_put_begin(p, &rec);
	for (unsigned f = 0; f < FRAMES; f++) {
		if (now->page[f] == was->page[f] && before)
			continue;
		content(bytes, now->page[f]);
		checkpoint_put_page(p, f, now->page[f] || f % 2 ? bytes : NULL);
	}
	for (unsigned b = 0; b < BLOCKS; b++) {
		if (now->block[b] == was->block[b])
			continue;
		content(bytes, now->block[b]);
		checkpoint_put_block(p, b, bytes);
	}
	return checkpoint_put_end(p);
}

static void put_events(struct trace_writer *w, u64 at)
{
	struct event_encoder enc;

	ck_assert_int_eq(event_encoder_init(&enc), 0);
	event_encoder_begin(&enc, at);
	event_put_read(&enc, 0, 0, 0x60, 1, 1);
	event_encoder_end(&enc);
	ck_assert_int_eq(trace_write(w, TRACE_EVENTS, at, enc.buf, enc.len), 0);
	event_encoder_free(&enc);
}

static struct trace_writer *create(const char *name, unsigned flags)
{
	struct trace_writer *w;

	ck_assert_msg(!trace_writer_create(&w, name, TRACE_FORCE | flags, &err), "%s", err.text);
	ck_assert_int_eq(trace_write(w, TRACE_MACHINE, 0, "machine test\n", 13), 0);
	return w;
}

static struct model history[COUNT];

/* COUNT checkpoints, of which the first and @full are full. */
static void write_history(unsigned full, unsigned flags)
{
	struct trace_writer *w = create(path, flags);
	struct checkpoint_put p;

	checkpoint_put_init(&p, w);
	memset(history, 0, sizeof(history));
	for (unsigned i = 0; i < COUNT; i++) {
		if (i)
			history[i] = history[i - 1];
		change(&history[i]);
		if (i == 3) /* more than one chunk of pages, and of list */
			for (unsigned f = 0; f < 2500; f++)
				history[i].page[f * 2] = 7 * f + 1;
		ck_assert_int_eq(put(&p, i, &history[i], i && i != full ? &history[i - 1] : NULL), 0);
		for (unsigned k = 0; k < 3; k++)
			put_events(w, 1001 + 17 * i);
	}
	checkpoint_put_free(&p);
	ck_assert_int_eq(trace_writer_close(w, &err), 0);
}

/* --- reading --- */

static struct model loaded;
static unsigned told_pages, told_blocks;
static u8 told[FRAMES], told_block[BLOCKS];

static u32 number_of(const u8 *bytes)
{
	u8 want[TRACE_PAGE_SIZE];
	u32 number = bytes ? load32(bytes + 1000) : 0;

	content(want, number);
	ck_assert(!bytes || !memcmp(bytes, want, sizeof(want)));
	return number;
}

static int take_page(void *ctx, u64 frame, const u8 *bytes)
{
	ck_assert_uint_lt(frame, FRAMES);
	ck_assert_msg(!told[frame]++, "page %llu told twice", (unsigned long long)frame);
	loaded.page[frame] = number_of(bytes);
	told_pages++;
	return 0;
}

static int take_block(void *ctx, u64 block, const u8 *bytes)
{
	if (block >= BLOCKS)
		return -EDOM;
	ck_assert_msg(!told_block[block]++, "block %llu told twice", (unsigned long long)block);
	loaded.block[block] = number_of(bytes);
	told_blocks++;
	return 0;
}

static const struct checkpoint_loader loader = {take_page, take_block, NULL};

static int load(struct checkpoint_file *f, size_t i, size_t since, bool *all)
{
	memset(told, 0, sizeof(told));
	memset(told_block, 0, sizeof(told_block));
	told_pages = told_blocks = 0;
	return checkpoint_file_load(f, i, since, FRAMES, &loader, all, &err);
}

static struct trace_reader *open_trace(const char *name, unsigned flags)
{
	struct trace_reader *r;

	ck_assert_msg(!trace_open(&r, name, flags, &err), "%s", err.text);
	return r;
}

static void check_record(struct checkpoint_file *f, unsigned i, bool full, u64 chunks)
{
	struct checkpoint_record want = record_of(i, full), got;

	memset(&got, 0x55, sizeof(got));
	ck_assert_msg(!checkpoint_file_read(f, i, &got, NULL, NULL, &err), "%s", err.text);
	ck_assert_uint_eq(got.position, want.position);
	ck_assert_int_eq(got.full, want.full);
	want.place.chunk += chunks;
	ck_assert_int_eq(memcmp(&got.place, &want.place, sizeof(got.place)), 0);
	ck_assert(got.writes == want.writes && got.events == want.events && got.console == want.console);
	ck_assert_uint_eq(got.nr_progress, want.nr_progress);
	ck_assert_int_eq(memcmp(got.progress, want.progress, 8 * got.nr_progress), 0);
	ck_assert_uint_eq(got.state_len, want.state_len);
	ck_assert_int_eq(memcmp(got.state, want.state, want.state_len), 0);
	ck_assert_str_eq(got.engine, want.engine);
	ck_assert_uint_eq(got.cache_len, want.cache_len);
	ck_assert_int_eq(memcmp(got.cache, want.cache, want.cache_len), 0);
}

START_TEST(memory_and_disk_come_back)
{
	for (unsigned turn = 0; turn < 4; turn++) {
		unsigned full = turn & 1 ? 4 : 0;
		struct checkpoint_file f;
		struct trace_reader *r;
		bool all;

		write_history(full, 0);
		r = open_trace(path, turn & 2 ? TRACE_QUICK : 0);
		ck_assert_int_eq(r->state, TRACE_WHOLE);
		ck_assert(r->version == 2 && r->min_reader == 1);
		ck_assert(!checkpoint_file_begins(r));
		ck_assert_msg(!trace_verify(r, &err), "%s", err.text);
		ck_assert_int_eq(checkpoint_file_init(&f, r, &err), 0);
		ck_assert_uint_eq(f.count, COUNT);
		for (unsigned i = COUNT; i-- > 0;) {
			ck_assert_uint_eq(f.entry[i].position, 1000 + 17 * i);
			check_record(&f, i, i == 0 || i == full, 0);
			memset(&loaded, 0, sizeof(loaded));
			ck_assert_msg(!load(&f, i, CHECKPOINT_NONE, &all), "%s", err.text);
			ck_assert(all);
			ck_assert_int_eq(memcmp(&loaded, &history[i], sizeof(loaded)), 0);
			/* From one that is there already. */
			for (unsigned since = 0; since < i; since++) {
				bool reset = full && since < full && i >= full;

				loaded = history[since];
				if (reset)
					memset(&loaded, 0, sizeof(loaded));
				ck_assert_int_eq(load(&f, i, since, &all), 0);
				ck_assert_int_eq(all, reset);
				ck_assert_int_eq(memcmp(&loaded, &history[i], sizeof(loaded)), 0);
				if (!all && since == i - 1)
					ck_assert_uint_le(told_pages, i == 3 ? 2560 : 60);
			}
		}
		ck_assert_int_eq(load(&f, COUNT, CHECKPOINT_NONE, &all), -EINVAL);
		ck_assert_int_eq(load(&f, 3, 3, &all), 0);
		ck_assert(!all && !told_pages && !told_blocks);
		checkpoint_file_free(&f);
		trace_close(r);
	}
}
END_TEST

START_TEST(checkpoints_are_found_by_position)
{
	struct checkpoint_file f;
	struct trace_reader *r;

	write_history(0, 0);
	r = open_trace(path, 0);
	ck_assert_int_eq(checkpoint_file_init(&f, r, &err), 0);
	ck_assert_uint_eq(checkpoint_file_find(&f, 0), CHECKPOINT_NONE);
	ck_assert_uint_eq(checkpoint_file_find(&f, 999), CHECKPOINT_NONE);
	for (unsigned i = 0; i < COUNT; i++) {
		ck_assert_uint_eq(checkpoint_file_find(&f, 1000 + 17 * i), i);
		ck_assert_uint_eq(checkpoint_file_find(&f, 1000 + 17 * i + 16), i);
	}
	ck_assert_uint_eq(checkpoint_file_find(&f, ~0ull), COUNT - 1);
	checkpoint_file_free(&f);
	trace_close(r);
}
END_TEST

START_TEST(a_large_record_is_in_parts)
{
	size_t len = 3 * TRACE_BLOB_PART + 5;
	struct checkpoint_record rec = {.position = 5, .full = true}, got;
	struct trace_writer *w = create(path, 0);
	struct checkpoint_put p;
	struct checkpoint_file f;
	struct trace_reader *r;
	u8 *big = malloc(CHECKPOINT_RECORD_MAX + 1);

	for (size_t i = 0; i < len; i++)
		big[i] = (u8)(i * i >> 7);
	rec.state = big;
	rec.state_len = len;
	checkpoint_put_init(&p, w);
	checkpoint_put_begin(&p, &rec);
	ck_assert_int_eq(checkpoint_put_end(&p), 0);
	rec.position = 6;
	rec.state_len = CHECKPOINT_RECORD_MAX + 1;
	checkpoint_put_begin(&p, &rec);
	ck_assert_int_eq(checkpoint_put_end(&p), -EINVAL);
	/* After what was refused the next is well. */
	rec.position = 7;
	rec.state_len = 1;
	checkpoint_put_begin(&p, &rec);
	ck_assert_int_eq(checkpoint_put_end(&p), 0);
	checkpoint_put_free(&p);
	ck_assert_int_eq(trace_writer_close(w, &err), 0);
	r = open_trace(path, 0);
	ck_assert_uint_eq(r->count, 1 + 4 + 1);
	ck_assert_int_eq(checkpoint_file_init(&f, r, &err), 0);
	ck_assert_uint_eq(f.count, 2);
	ck_assert_uint_eq(f.entry[0].parts, 4);
	ck_assert_int_eq(checkpoint_file_read(&f, 0, &got, NULL, NULL, &err), 0);
	ck_assert_uint_eq(got.state_len, len);
	ck_assert_int_eq(memcmp(got.state, big, len), 0);
	ck_assert_int_eq(checkpoint_file_read(&f, 1, &got, NULL, NULL, &err), 0);
	ck_assert_uint_eq(got.state_len, 1);
	checkpoint_file_free(&f);
	trace_close(r);
	free(big);
}
END_TEST

START_TEST(what_is_not_in_order_is_not_written)
{
	struct checkpoint_record rec = {.position = 5};
	struct trace_writer *w = create(path, 0);
	u64 size = trace_writer_size(w);
	struct checkpoint_put p;
	u8 bytes[TRACE_PAGE_SIZE] = {1};

	checkpoint_put_init(&p, w);
	for (unsigned kind = 0; kind < 6; kind++) {
		checkpoint_put_begin(&p, &rec);
		checkpoint_put_page(&p, 7, NULL);
		if (kind == 0)
			checkpoint_put_page(&p, 7, bytes);
		if (kind == 1)
			checkpoint_put_page(&p, 6, NULL);
		if (kind == 2)
			checkpoint_put_page(&p, CHECKPOINT_NUMBER_MAX, NULL);
		checkpoint_put_block(&p, 3, bytes);
		if (kind == 3)
			checkpoint_put_block(&p, 3, bytes);
		if (kind == 4)
			checkpoint_put_page(&p, 8, bytes);
		ck_assert_int_eq(checkpoint_put_end(&p), kind < 5 ? -EINVAL : 0);
		if (kind < 5)
			ck_assert_uint_eq(trace_writer_size(w), size);
	}
	checkpoint_put_free(&p);
	ck_assert_int_eq(trace_writer_close(w, &err), 0);
}
END_TEST

START_TEST(a_trace_without_checkpoints_is_of_format_1)
{
	struct trace_writer *w = create(path, 0);
	struct checkpoint_put p;
	struct trace_reader *r;

	put_events(w, 5);
	ck_assert_int_eq(trace_open(&r, trace_writer_path(w), 0, &err), 0);
	ck_assert(r->version == 1 && r->min_reader == 1);
	trace_close(r);
	checkpoint_put_init(&p, w);
	ck_assert_int_eq(put(&p, 1, &history[0], NULL), 0);
	checkpoint_put_free(&p);
	ck_assert_int_eq(trace_open(&r, trace_writer_path(w), 0, &err), 0);
	ck_assert(r->version == 2 && r->min_reader == 1);
	ck_assert(!(r->chunk[r->count - 1].flags & TRACE_MUST));
	ck_assert_uint_eq(trace_writer_stream(w), 1);
	trace_close(r);
	ck_assert_int_eq(trace_writer_close(w, &err), 0);
}
END_TEST

START_TEST(a_trace_that_begins_mid_must_be_understood)
{
	struct trace_reader *r;

	write_history(4, TRACE_BEGINS_MID);
	r = open_trace(path, 0);
	ck_assert(r->version == 2 && r->min_reader == 2);
	ck_assert(checkpoint_file_begins(r));
	ck_assert_msg(!trace_verify(r, &err), "%s", err.text);
	for (size_t i = 0; i < r->count; i++) {
		bool must = r->chunk[i].type == TRACE_PAGES || r->chunk[i].type == TRACE_CHECKPOINT;

		ck_assert_int_eq(!!(r->chunk[i].flags & TRACE_MUST), must);
	}
	trace_close(r);
}
END_TEST

START_TEST(a_growing_list_is_seen)
{
	struct trace_writer *w = create(path, 0);
	struct checkpoint_put p;
	struct checkpoint_file f;
	struct trace_reader *r;
	bool all;

	memset(history, 0, sizeof(history));
	checkpoint_put_init(&p, w);
	ck_assert_int_eq(trace_open(&r, trace_writer_path(w), 0, &err), 0);
	ck_assert_int_eq(checkpoint_file_init(&f, r, &err), 0);
	for (unsigned i = 0; i < 4; i++) {
		if (i)
			history[i] = history[i - 1];
		change(&history[i]);
		ck_assert_int_eq(put(&p, i, &history[i], i ? &history[i - 1] : NULL), 0);
		ck_assert_uint_eq(f.count, i);
		ck_assert_int_eq(trace_refresh(r), 0);
		ck_assert_int_eq(checkpoint_file_refresh(&f, &err), 0);
		ck_assert_uint_eq(f.count, i + 1);
		memset(&loaded, 0, sizeof(loaded));
		ck_assert_int_eq(load(&f, i, CHECKPOINT_NONE, &all), 0);
		ck_assert_int_eq(memcmp(&loaded, &history[i], sizeof(loaded)), 0);
	}
	checkpoint_put_free(&p);
	checkpoint_file_free(&f);
	trace_close(r);
	ck_assert_int_eq(trace_writer_close(w, &err), 0);
}
END_TEST

/* Into a trace that has pages and events of its own in front. */
START_TEST(checkpoints_are_copied)
{
	struct trace_writer *w = create(other, TRACE_BEGINS_MID);
	struct checkpoint_put p;
	struct checkpoint_file f, g;
	struct trace_reader *r, *copy;
	size_t nr = 0;
	bool all;

	checkpoint_put_init(&p, w);
	{
		struct checkpoint_record rec = {.position = 1, .full = true};
		u8 bytes[TRACE_PAGE_SIZE] = {9};

		checkpoint_put_begin(&p, &rec);
		for (unsigned i = 0; i < 1500; i++)
			checkpoint_put_page(&p, 2 * i, bytes);
		ck_assert_int_eq(checkpoint_put_end(&p), 0);
	}
	checkpoint_put_free(&p);
	put_events(w, 2);
	put_events(w, 3);
	write_history(0, 0);
	r = open_trace(path, 0);
	ck_assert_int_eq(checkpoint_file_init(&f, r, &err), 0);
	for (size_t i = 1; i < r->count; i++) {
		if (r->chunk[i].type != TRACE_CHECKPOINT)
			ck_assert_msg(!trace_copy(w, r, i, &err), "%s", err.text);
		else
			ck_assert_msg(!checkpoint_file_copy(&f, nr++, w, 1500, 2, &err), "%s", err.text);
	}
	ck_assert_int_eq(trace_writer_close(w, &err), 0);
	copy = open_trace(other, 0);
	ck_assert_msg(!trace_verify(copy, &err), "%s", err.text);
	ck_assert_int_eq(checkpoint_file_init(&g, copy, &err), 0);
	ck_assert_uint_eq(g.count, 1 + COUNT);
	for (unsigned i = 0; i < COUNT; i++) {
		struct checkpoint_record rec;

		memset(&loaded, 0, sizeof(loaded));
		ck_assert_int_eq(load(&g, i + 1, CHECKPOINT_NONE, &all), 0);
		ck_assert_int_eq(memcmp(&loaded, &history[i], sizeof(loaded)), 0);
		ck_assert_int_eq(checkpoint_file_read(&g, i + 1, &rec, NULL, NULL, &err), 0);
		ck_assert_uint_eq(rec.place.chunk, i + 2);
	}
	checkpoint_file_free(&f);
	checkpoint_file_free(&g);
	trace_close(r);
	trace_close(copy);
}
END_TEST

/* --- damage and lies --- */

START_TEST(damage_is_noticed)
{
	struct checkpoint_file f;
	struct trace_reader *r;
	bool all;

	write_history(0, 0);
	r = open_trace(path, TRACE_QUICK);
	for (size_t i = 0; i < r->count; i++) {
		u64 offset = r->chunk[i].offset + TRACE_CHUNK_SIZE + r->chunk[i].stored / 2;
		FILE *file = fopen(path, "r+");
		int byte, ret = 0;

		if (r->chunk[i].type != TRACE_PAGES && r->chunk[i].type != TRACE_CHECKPOINT) {
			fclose(file);
			continue;
		}
		fseek(file, (long)offset, SEEK_SET);
		byte = fgetc(file);
		fseek(file, (long)offset, SEEK_SET);
		fputc(byte ^ 4, file);
		fflush(file);
		ck_assert_int_eq(checkpoint_file_init(&f, r, &err), 0);
		/* The last one needs them all, but for pages that were overwritten since. */
		ret = load(&f, COUNT - 1, CHECKPOINT_NONE, &all);
		ck_assert_int_eq(ret, -EBADMSG);
		ck_assert_ptr_nonnull(strstr(err.text, "damaged"));
		ck_assert_int_eq(trace_verify(r, &err), -EBADMSG);
		checkpoint_file_free(&f);
		fseek(file, (long)offset, SEEK_SET);
		fputc(byte, file);
		fclose(file);
	}
	ck_assert_msg(!trace_verify(r, &err), "%s", err.text);
	trace_close(r);
}
END_TEST

/* Records by hand: fields of the head, then the two lists. */
static size_t lie(u8 *out, u64 chunk, u64 first_page, const char *pages, size_t pages_len, u64 first_block,
		  const char *blocks, size_t blocks_len)
{
	u8 *p = put_varint(out, chunk);

	p = put_varint(p, 1);
	memset(p, 0, 10 + 8 + 8);
	p += 2 + 8 + 2 + 4; /* done, stops; writes; events, console; progress, state, engine, cache */
	p = put_varint(p, first_page);
	p = put_varint(p, pages_len);
	memcpy(p, pages, pages_len);
	p = put_varint(p + pages_len, first_block);
	p = put_varint(p, blocks_len);
	memcpy(p, blocks, blocks_len);
	return (size_t)(p + blocks_len - out);
}

#define LIST(s) s, sizeof(s) - 1

static const u8 zeroes[8 * TRACE_PAGE_SIZE];

START_TEST(lists_that_lie_are_refused)
{
	/* Eight pages were stored before, and the stream has one chunk. */
	static const struct {
		u64 chunk, page;
		const char *pages;
		size_t pages_len;
		u64 block;
		const char *blocks;
		size_t blocks_len;
		bool good, loads;
	} c[] = {
	    {1, 0, LIST("\0\0\0"), 3, LIST("\0\2"), true, true},
	    {1, 0, LIST("\0\0\0\0\0\0\0"), 7, LIST("\6"), true, true},
	    {0, 8, LIST("\1\1"), 8, LIST(""), true, true},                 /* zeroes only */
	    {2, 0, LIST(""), 0, LIST(""), false, true},                    /* a place beyond the stream */
	    {1, 0, LIST("\0\0\0"), 2, LIST("\0"), false, false},           /* the block's is a page's */
	    {1, 0, LIST("\0\0\0\0\0\0\0"), 7, LIST("\0\0"), false, false}, /* more than there are */
	    {1, 9, LIST("\0"), 9, LIST(""), false, false},
	    {1, ~0ull, LIST("\0"), 0, LIST(""), false, false},
	    {1, ~0ull, LIST("\0\0"), 1, LIST(""), false, false},
	    {1, 0, LIST(""), 0, LIST("\1"), false, false},   /* a block of zeroes */
	    {1, 0, LIST("\x80"), 0, LIST(""), false, false}, /* cut off */
	    {1, 0, LIST("\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"), 0, LIST(""), false, false},
	    {1, 0, LIST("\xff\xff\xff\xff\xff\xff\xff\xff\xff\3"), 0, LIST(""), false, false},
	    {1, 0, LIST("\x91\x4e"), 0, LIST(""), true, false}, /* no frame of this machine: 5000 */
	    {1, 0, LIST("\x8e\x4e\0"), 2, LIST(""), true, false},
	    {1, 0, LIST(""), 0, LIST("\xd8\4"), true, false}, /* no block of it: 300 */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(c); i++) {
		struct trace_writer *w = create(path, 0);
		struct checkpoint_file f;
		struct trace_reader *r;
		u8 record[256];
		size_t len = lie(record, c[i].chunk, c[i].page, c[i].pages, c[i].pages_len, c[i].block, c[i].blocks,
				 c[i].blocks_len);
		bool all;
		int ret;

		ck_assert_int_eq(trace_write(w, TRACE_PAGES, 5, zeroes, sizeof(zeroes)), 0);
		ck_assert_int_eq(trace_write_keyed(w, TRACE_CHECKPOINT, 5, 1ull << 63 | 1ull << 32, record, len), 0);
		ck_assert_int_eq(trace_write(w, TRACE_PAGES, 5, zeroes, sizeof(zeroes)), 0);
		put_events(w, 6);
		ck_assert_int_eq(trace_writer_close(w, &err), 0);
		r = open_trace(path, 0);
		ck_assert_msg(trace_verify(r, &err) == (c[i].good ? 0 : -EBADMSG), "case %u: %s", i, err.text);
		ck_assert_int_eq(checkpoint_file_init(&f, r, &err), 0);
		ck_assert_uint_eq(f.count, 1);
		ret = load(&f, 0, CHECKPOINT_NONE, &all);
		ck_assert_msg(ret == (c[i].loads ? 0 : i == 15 ? -EDOM : -EBADMSG), "case %u: %d %s", i, ret, err.text);
		checkpoint_file_free(&f);
		trace_close(r);
		/* Every shorter one is refused. */
		for (size_t cut = 0; i == 0 && cut < len; cut++) {
			struct checkpoint_record rec;
			struct checkpoint_list pages, blocks;

			ck_assert_int_eq(checkpoint_decode(&rec, &pages, &blocks, record, cut), -EBADMSG);
		}
	}
}
END_TEST

#define PART(k, n, full) ((u64)(full) << 63 | (u64)(n) << 32 | (k))

START_TEST(chunks_that_do_not_fit_end_the_list)
{
	static const struct {
		u64 position, key;
		unsigned listed; /* that many are good, all written so far */
	} c[][4] = {
	    {{10, PART(0, 1, 1), 1}, {20, PART(0, 1, 0), 2}, {30, PART(0, 1, 1), 3}, {31, PART(0, 1, 0), 4}},
	    {{10, PART(0, 1, 0), 0}, {20, PART(0, 1, 1), 0}}, /* the first isn't full */
	    {{10, PART(0, 1, 1), 1}, {10, PART(0, 1, 0), 1}}, /* the same position */
	    {{10, PART(0, 1, 1), 1}, {9, PART(0, 1, 1), 1}},
	    {{10, PART(1, 1, 1), 0}},
	    {{10, PART(0, 0, 1), 0}},
	    {{10, PART(0, 33, 1), 0}},
	    {{10, PART(0, 0x7fffffff, 1), 0}},
	    {{10, PART(0, 2, 1), 0}, {10, PART(1, 2, 1), 1}, {11, PART(0, 1, 0), 2}},
	    {{10, PART(0, 2, 1), 0}, {11, PART(1, 2, 1), 0}},
	    {{10, PART(0, 2, 1), 0}, {10, PART(1, 2, 0), 0}},
	    {{10, PART(0, 2, 1), 0}, {10, PART(1, 3, 1), 0}},
	    {{10, PART(0, 3, 1), 0}, {10, PART(2, 3, 1), 0}},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(c); i++) {
		struct trace_writer *w = create(path, 0);
		struct checkpoint_file f;
		struct trace_reader *r;
		unsigned n = 0, listed = 0;
		bool good, whole = true;
		int ret;

		for (; n < 4 && c[i][n].key; n++) {
			u8 record[64];
			size_t len = lie(record, 0, 0, "", 0, 0, "", 0);

			ck_assert_int_eq(
			    trace_write_keyed(w, TRACE_CHECKPOINT, c[i][n].position, c[i][n].key, record, len), 0);
			listed = c[i][n].listed;
		}
		ck_assert_int_eq(trace_writer_close(w, &err), 0);
		r = open_trace(path, 0);
		ret = checkpoint_file_init(&f, r, &err);
		good = i == 0 || i == 8;
		ck_assert_msg(ret == (good ? 0 : -EBADMSG), "case %u: %d", i, ret);
		ck_assert_uint_eq(f.count, listed);
		/* What stopped it still does. */
		ck_assert_int_eq(checkpoint_file_refresh(&f, &err), ret);
		for (unsigned k = 0; k < listed; k++) {
			struct checkpoint_record rec;

			/* A record of two parts is whole in its first; what follows its lists is for later versions. */
			whole = whole && !checkpoint_file_read(&f, k, &rec, NULL, NULL, &err);
		}
		ck_assert(whole);
		ck_assert_msg(trace_verify(r, &err) == ret, "case %u: %s", i, err.text);
		checkpoint_file_free(&f);
		trace_close(r);
	}
}
END_TEST

/* A file of chunks with keys that the writer would not give. */
START_TEST(pages_that_do_not_fit_end_the_list)
{
	static const struct {
		u64 key;
		u32 len;
	} c[] = {{1, 4096}, {0, 0}, {0, 4095}, {0, 4097}, {0, 100}};

	for (unsigned i = 0; i < ARRAY_SIZE(c); i++) {
		struct trace_chunk chunk = {.type = TRACE_PAGES,
					    .key = c[i].key,
					    .offset = TRACE_HEADER_SIZE,
					    .stored = c[i].len,
					    .raw = c[i].len};
		u8 head[TRACE_HEADER_SIZE + TRACE_CHUNK_SIZE];
		struct checkpoint_file f;
		struct trace_reader *r;
		FILE *file = fopen(path, "w");

		file_header_encode(head, 2, 1);
		chunk_header_encode(head + TRACE_HEADER_SIZE, &chunk, zeroes);
		fwrite(head, 1, sizeof(head), file);
		fwrite(zeroes, 1, c[i].len, file);
		fclose(file);
		r = open_trace(path, 0);
		ck_assert_uint_eq(r->count, 1);
		ck_assert_int_eq(checkpoint_file_init(&f, r, &err), -EBADMSG);
		ck_assert_uint_eq(f.pages, 0);
		checkpoint_file_free(&f);
		trace_close(r);
	}
}
END_TEST

/* A last record whose other part was never written. */
START_TEST(half_a_record_is_none)
{
	struct trace_writer *w = create(path, 0);
	struct checkpoint_file f;
	struct trace_reader *r;
	u8 record[64];
	size_t len = lie(record, 0, 0, "", 0, 0, "", 0);

	ck_assert_int_eq(trace_write_keyed(w, TRACE_CHECKPOINT, 10, PART(0, 2, 1), record, len), 0);
	ck_assert_int_eq(trace_writer_close(w, &err), 0);
	r = open_trace(path, 0);
	ck_assert_int_eq(checkpoint_file_init(&f, r, &err), 0);
	ck_assert_uint_eq(f.count, 0);
	ck_assert_uint_eq(checkpoint_file_find(&f, 10), CHECKPOINT_NONE);
	ck_assert_int_eq(trace_verify(r, &err), -EBADMSG);
	checkpoint_file_free(&f);
	trace_close(r);
}
END_TEST

START_TEST(nothing_comes_after_the_end)
{
	static const struct {
		u8 flags;
		bool event_after, note_after;
		int ret;
	} c[] = {{0, false, false, 0},           {3, false, false, 0}, {4, false, false, -EBADMSG},
		 {0x80, false, false, -EBADMSG}, {0, false, true, 0},  {0, true, false, -EBADMSG}};

	for (unsigned i = 0; i < ARRAY_SIZE(c); i++) {
		struct end_record end = {.reason = 1, .flags = c[i].flags, .mark.insns = 9};
		struct trace_writer *w = create(path, 0);
		struct trace_buf buf = {0};
		struct trace_reader *r;

		put_events(w, 5);
		ck_assert_int_eq(end_encode(&buf, &end), 0);
		ck_assert_int_eq(trace_write(w, TRACE_END, 9, buf.data, buf.len), 0);
		trace_buf_free(&buf);
		if (c[i].event_after)
			put_events(w, 10);
		if (c[i].note_after)
			ck_assert_int_eq(trace_write(w, TRACE_NOTE, 0, "a b\n", 4), 0);
		ck_assert_int_eq(trace_writer_close(w, &err), 0);
		r = open_trace(path, 0);
		ck_assert_msg(trace_verify(r, &err) == c[i].ret, "case %u: %s", i, err.text);
		trace_close(r);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("checkpoint file");
	TCase *tc = tcase_create("file");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, memory_and_disk_come_back);
	tcase_add_test(tc, checkpoints_are_found_by_position);
	tcase_add_test(tc, a_large_record_is_in_parts);
	tcase_add_test(tc, what_is_not_in_order_is_not_written);
	tcase_add_test(tc, a_trace_without_checkpoints_is_of_format_1);
	tcase_add_test(tc, a_trace_that_begins_mid_must_be_understood);
	tcase_add_test(tc, a_growing_list_is_seen);
	tcase_add_test(tc, checkpoints_are_copied);
	tcase_add_test(tc, damage_is_noticed);
	tcase_add_test(tc, lists_that_lie_are_refused);
	tcase_add_test(tc, chunks_that_do_not_fit_end_the_list);
	tcase_add_test(tc, pages_that_do_not_fit_end_the_list);
	tcase_add_test(tc, half_a_record_is_none);
	tcase_add_test(tc, nothing_comes_after_the_end);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
