/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The flight recorder: what is kept is the last stretch of the run, all of it, and begins with a checkpoint. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "replay/disk.h"
#include "replay/ring.h"
#include "replay/stream.h"
#include "traces/checkpoint.h"
#include "traces/record.h"

#define FRAMES 64u
#define STEP   100u /* instructions between boundaries */

static char dir[64], path[96], older[104], partial[104];
static struct error err;
static unsigned heads[3];
static bool fail_head;

static void setup(void)
{
	strcpy(dir, "/tmp/test_ring.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/a.vmt", dir);
	snprintf(older, sizeof(older), "%s.older", path);
	snprintf(partial, sizeof(partial), "%s.partial", path);
	memset(heads, 0, sizeof(heads));
	fail_head = false;
}

static void teardown(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	ck_assert_int_eq(system(command), 0);
}

/* --- a recorder of sorts --- */

static const char kernel[] = "a kernel";

static int write_head(void *ctx, struct trace_writer *w, enum ring_head kind, struct error *e)
{
	const char *text = kind == RING_START ? "machine test\n" : "machine test\nbegin checkpoint\n";
	struct trace_digest digest = trace_digest_of(kernel, sizeof(kernel));
	int ret;

	heads[kind]++;
	if (fail_head)
		return error_set(e, -EDOM, "no head today");
	ret = trace_write(w, TRACE_MACHINE, 0, text, strlen(text));
	if (!ret)
		ret = kind == RING_MID_NAMES ? trace_write_blob_name(w, "kernel", sizeof(kernel), &digest)
					     : trace_write_blob(w, "kernel", kernel, sizeof(kernel), NULL);
	return ret ? error_set(e, ret, "%s", trace_writer_error(w)->text) : 0;
}

struct run {
	struct ring *ring;
	u64 step, rolls;
};

/* Memory at a step: a page is written in each, in turn. */
static u32 page_at(u64 step, u64 frame)
{
	return (u32)(step > frame ? step - 1 - (step - 1 - frame) % FRAMES + 1 : 0);
}

static void fill(u8 bytes[TRACE_PAGE_SIZE], u32 number)
{
	u32 x = number;

	for (unsigned i = 0; i < TRACE_PAGE_SIZE; i += 4) {
		x = x * 1103515245 + 12345;
		store32(bytes + i, number ? x : 0);
	}
}

static void put_checkpoint(const struct run *run, bool full)
{
	struct checkpoint_record rec = {.position = run->step * STEP,
					.full = full,
					.place = {.item = STREAM_AFTER},
					.events = run->step,
					.state = (const u8 *)&run->step,
					.state_len = 8};
	struct trace_writer *w = ring_writer(run->ring);
	struct checkpoint_put p;
	u8 bytes[TRACE_PAGE_SIZE];

	rec.place.chunk = trace_writer_stream(w);
	checkpoint_put_init(&p, w);
	checkpoint_put_begin(&p, &rec);
	for (u64 f = 0; full && f < FRAMES; f++) {
		fill(bytes, page_at(run->step, f));
		checkpoint_put_page(&p, f, bytes);
	}
	ck_assert_int_eq(checkpoint_put_end(&p), 0);
	checkpoint_put_free(&p);
}

static void put_step(struct run *run)
{
	struct trace_writer *w = ring_writer(run->ring);
	u64 at = run->step * STEP;
	struct console_record con = {.position = at, .len = 5, .bytes = (const u8 *)"line\n"};
	struct trace_buf buf = {0};
	struct event_encoder enc;

	ck_assert_int_eq(event_encoder_init(&enc), 0);
	event_encoder_begin(&enc, at);
	event_put_read(&enc, 0, 1, 0xfee00000, 4, run->step);
	event_encoder_end(&enc);
	ck_assert_int_eq(trace_write(w, TRACE_EVENTS, at, enc.buf, enc.len), 0);
	event_encoder_free(&enc);
	ck_assert_int_eq(console_encode(&buf, &con, at), 0);
	ck_assert_int_eq(trace_write(w, TRACE_CONSOLE, at, buf.data, buf.len), 0);
	trace_buf_free(&buf);
	run->step++;
}

static void put_end(const struct run *run)
{
	struct end_record end = {.reason = 1, .mark.insns = run->step * STEP};
	struct trace_buf buf = {0};

	ck_assert_int_eq(end_encode(&buf, &end), 0);
	ck_assert_int_eq(trace_write(ring_writer(run->ring), TRACE_END, end.mark.insns, buf.data, buf.len), 0);
	trace_buf_free(&buf);
}

static int start(struct run *run, u64 size, bool force)
{
	struct ring_config config = {.path = path, .size = size, .force = force, .head = write_head};

	*run = (struct run){0};
	return ring_create(&run->ring, &config, &err);
}

static void go_on(struct run *run, u64 steps)
{
	while (steps--) {
		put_step(run);
		if (!ring_full(run->ring))
			continue;
		ck_assert_msg(!ring_roll(run->ring, &err), "%s", err.text);
		run->rolls++;
		put_checkpoint(run, true);
		ck_assert(!ring_full(run->ring));
	}
}

/* --- what is kept --- */

struct kept {
	u64 first, last; /* steps */
	u64 checkpoints, console, size;
	bool mid, ended;
};

static int take_page(void *ctx, u64 frame, const u8 *bytes)
{
	const u64 *step = ctx;
	u8 want[TRACE_PAGE_SIZE];

	fill(want, page_at(*step, frame));
	ck_assert(bytes && !memcmp(bytes, want, sizeof(want)));
	return 0;
}

/* Each checkpoint's memory, and the event that its place leads to. */
static void check_points(struct trace_reader *r, struct kept *kept)
{
	struct checkpoint_file f;
	struct stream s;

	stream_init(&s, r);
	ck_assert_msg(!checkpoint_file_init(&f, r, &err), "%s", err.text);
	for (size_t i = 0; i < f.count; i++) {
		struct checkpoint_loader to = {.page = take_page};
		struct checkpoint_record rec;
		u64 step;
		bool all;

		ck_assert_int_eq(checkpoint_file_read(&f, i, &rec, NULL, NULL, &err), 0);
		step = load64(rec.state);
		ck_assert_uint_eq(rec.position, step * STEP);
		ck_assert_uint_eq(rec.events, step);
		to.ctx = &step;
		ck_assert_int_eq(checkpoint_file_load(&f, i, CHECKPOINT_NONE, FRAMES, &to, &all, &err), 0);
		ck_assert(all);
		ck_assert_int_eq(stream_restore(&s, &rec.place), 0);
		if (s.item == STREAM_EVENT)
			ck_assert_uint_eq(s.event.value, step);
		else
			ck_assert_uint_eq(step, kept->last + 1);
	}
	kept->checkpoints = f.count;
	checkpoint_file_free(&f);
	stream_free(&s);
}

/* Steps follow each other without a gap. */
static struct kept look(const char *name)
{
	struct kept kept = {0};
	struct trace_reader *r;
	struct trace_blob blob;
	struct trace_digest digest = trace_digest_of(kernel, sizeof(kernel));
	struct stream s;

	ck_assert_msg(!trace_open(&r, name, 0, &err), "%s", err.text);
	kept.size = r->size;
	kept.mid = checkpoint_file_begins(r);
	ck_assert_int_eq(r->min_reader, kept.mid ? 2 : 1);
	if (r->state == TRACE_WHOLE)
		ck_assert_msg(!trace_verify(r, &err), "%s", err.text);
	ck_assert_int_eq(r->chunk[0].type, TRACE_MACHINE);
	ck_assert_int_eq(trace_read_blob(r, &digest, &blob, &err), 0);
	free(blob.data);
	stream_init(&s, r);
	stream_next(&s);
	ck_assert_int_eq(s.item, STREAM_EVENT);
	kept.first = kept.last = s.event.value;
	for (stream_next(&s); s.item == STREAM_EVENT; stream_next(&s))
		ck_assert_uint_eq(s.event.value, ++kept.last);
	kept.ended = s.item == STREAM_END;
	if (kept.ended) {
		stream_next(&s);
		ck_assert_int_eq(s.item, STREAM_OVER);
	}
	stream_free(&s);
	for (size_t i = 0; i < r->count; i++)
		kept.console += r->chunk[i].type == TRACE_CONSOLE;
	check_points(r, &kept);
	trace_close(r);
	return kept;
}

#define SIZE (1u << 20) /* a full checkpoint is a quarter of it */

START_TEST(a_short_run_is_kept_whole)
{
	struct run run;
	struct kept kept;

	ck_assert_int_eq(start(&run, SIZE, false), 0);
	go_on(&run, 100);
	ck_assert_uint_eq(run.rolls, 0);
	put_end(&run);
	ck_assert_int_eq(ring_close(run.ring, &err), 0);
	kept = look(path);
	ck_assert(!kept.mid && kept.ended && !kept.checkpoints);
	ck_assert(kept.first == 0 && kept.last == 99 && kept.console == 100);
	ck_assert_int_ne(access(older, F_OK), 0);
	ck_assert(heads[RING_START] == 1 && !heads[RING_MID] && !heads[RING_MID_NAMES]);
}
END_TEST

START_TEST(the_last_stretch_is_kept)
{
	/* One that ends with the first file still there, and others. */
	for (unsigned rolls = 1; rolls < 5; rolls++) {
		struct run run;
		struct kept kept;

		memset(heads, 0, sizeof(heads));
		ck_assert_int_eq(start(&run, SIZE, false), 0);
		while (run.rolls < rolls)
			go_on(&run, 1);
		go_on(&run, 300 * (rolls % 3));
		ck_assert_uint_eq(run.rolls, rolls);
		put_end(&run);
		ck_assert_msg(!ring_close(run.ring, &err), "%s", err.text);
		kept = look(path);
		ck_assert(kept.ended);
		ck_assert_uint_eq(kept.last, run.step - 1);
		ck_assert_uint_eq(kept.console, kept.last - kept.first + 1);
		ck_assert_int_eq(kept.mid, rolls > 1);
		ck_assert_int_eq(kept.first == 0, rolls == 1);
		ck_assert_uint_eq(kept.checkpoints, rolls > 1 ? 2 : 1);
		ck_assert_uint_le(kept.size, SIZE + SIZE / 10);
		ck_assert_uint_ge(kept.size, SIZE / 2);
		ck_assert_int_ne(access(older, F_OK), 0);
		ck_assert_int_ne(access(partial, F_OK), 0);
		ck_assert_uint_eq(heads[RING_MID_NAMES], rolls);
		ck_assert_uint_eq(heads[RING_MID], rolls > 1);
		unlink(path);
	}
}
END_TEST

START_TEST(a_checkpoint_larger_than_the_ring_still_rolls)
{
	struct run run;
	struct kept kept;

	ck_assert_int_eq(start(&run, 40000, false), 0);
	go_on(&run, 3000);
	/* Not at each boundary. */
	ck_assert_uint_ge(run.rolls, 5);
	ck_assert_uint_le(run.rolls, 150);
	put_end(&run);
	ck_assert_int_eq(ring_close(run.ring, &err), 0);
	kept = look(path);
	ck_assert(kept.mid && kept.ended && kept.last == 2999);
	ck_assert_uint_le(kept.size, 2 * (FRAMES * TRACE_PAGE_SIZE + 40000));
}
END_TEST

START_TEST(a_killed_recorder_leaves_two_traces)
{
	for (unsigned force = 0; force < 2; force++) {
		const char *present = force ? partial : path;
		struct kept last, before;
		struct run run;
		FILE *f;

		if (force) {
			f = fopen(path, "w");
			fputs("precious", f);
			fclose(f);
		}
		ck_assert_int_eq(start(&run, SIZE, force), 0);
		while (run.rolls < 3)
			go_on(&run, 1);
		go_on(&run, 50);
		/* As they are on the disk at this moment. */
		before = look(older);
		last = look(present);
		ck_assert(before.mid && last.mid && !before.ended && !last.ended);
		ck_assert_uint_eq(before.last + 1, last.first);
		ck_assert_uint_eq(last.last, run.step - 1);
		ck_assert(before.checkpoints == 1 && last.checkpoints == 1);
		ck_assert(ring_abandon(run.ring));
		before = look(older);
		last = look(present);
		ck_assert_uint_eq(last.last, run.step - 1);
		if (force) {
			char text[16] = "";

			f = fopen(path, "r");
			ck_assert_ptr_nonnull(fgets(text, sizeof(text), f));
			fclose(f);
			ck_assert_str_eq(text, "precious");
		}
		/* They are in the way of a new one, unless it may replace them. */
		if (!force)
			ck_assert_int_eq(start(&run, SIZE, false), -EEXIST);
		ck_assert_int_eq(start(&run, SIZE, true), 0);
		while (run.rolls < 2)
			go_on(&run, 1);
		put_end(&run);
		ck_assert_int_eq(ring_close(run.ring, &err), 0);
		last = look(path);
		ck_assert(last.ended && last.last == run.step - 1);
		ck_assert_int_ne(access(older, F_OK), 0);
		ck_assert_int_ne(access(partial, F_OK), 0);
		unlink(path);
	}
}
END_TEST

START_TEST(errors_leave_what_is_there)
{
	struct run run;
	struct kept kept;
	FILE *f;

	fail_head = true;
	ck_assert_int_eq(start(&run, SIZE, false), -EDOM);
	ck_assert_int_ne(access(path, F_OK), 0);
	fail_head = false;
	/* An older file that nobody gave up. */
	f = fopen(older, "w");
	fclose(f);
	ck_assert_int_eq(start(&run, SIZE, false), -EEXIST);
	ck_assert_ptr_nonnull(strstr(err.text, ".older"));
	ck_assert_int_ne(access(path, F_OK), 0);
	unlink(older);
	/* No new file can be begun. */
	ck_assert_int_eq(start(&run, SIZE, false), 0);
	while (!ring_full(run.ring))
		put_step(&run);
	fail_head = true;
	ck_assert_int_eq(ring_roll(run.ring, &err), -EDOM);
	ck_assert(ring_abandon(run.ring));
	kept = look(older);
	ck_assert_uint_eq(kept.last, run.step - 1);
	ck_assert_int_ne(access(path, F_OK), 0);
	unlink(older);
	fail_head = false;
	/* The older file is lost before the end: the newer one stays. */
	ck_assert_int_eq(start(&run, SIZE, false), 0);
	while (run.rolls < 2)
		go_on(&run, 1);
	go_on(&run, 20);
	put_end(&run);
	ck_assert_int_eq(truncate(older, 5000), 0);
	ck_assert_int_eq(ring_close(run.ring, &err), -EBADMSG);
	kept = look(path);
	ck_assert(kept.mid && kept.ended && kept.last == run.step - 1);
	ck_assert_int_eq(access(older, F_OK), 0);
	ck_assert_int_ne(access(partial, F_OK), 0);
}
END_TEST

/* --- the disk --- */

#define BLOCKS 40u

static u64 position;

static void make_image(const char *name)
{
	FILE *f = fopen(name, "w");
	u8 bytes[TRACE_PAGE_SIZE];

	for (unsigned i = 0; i < BLOCKS; i++) {
		fill(bytes, i + 1);
		/* The last block isn't whole. */
		ck_assert_uint_eq(fwrite(bytes, 1, i + 1 < BLOCKS ? sizeof(bytes) : 512, f),
				  i + 1 < BLOCKS ? sizeof(bytes) : 512);
	}
	fclose(f);
}

/* Reads blocks from the machine's disk: all of @first to @last. 0: as in the image. */
static int read_blocks(const struct disk *disk, unsigned first, unsigned last)
{
	const struct block_backend *b = disk_backend(disk);

	for (unsigned i = first; i <= last; i++) {
		size_t len = i + 1 < BLOCKS ? TRACE_PAGE_SIZE : 512;
		u8 bytes[TRACE_PAGE_SIZE], want[TRACE_PAGE_SIZE];
		int ret = b->read(b->opaque, (u64)i * TRACE_PAGE_SIZE, bytes, len);

		if (ret)
			return ret;
		fill(want, i + 1);
		ck_assert_int_eq(memcmp(bytes, want, len), 0);
	}
	return 0;
}

static struct disk *disk_of(const char *name, struct trace_reader **r)
{
	struct disk *disk;

	ck_assert_int_eq(trace_open(r, name, 0, &err), 0);
	ck_assert_int_eq(disk_from_trace(&disk, *r, (BLOCKS - 1) * 8 + 1, &err), 0);
	return disk;
}

static void roll_with_disk(struct run *run, struct disk *disk)
{
	ck_assert_int_eq(disk_flush(disk), 0);
	ck_assert_int_eq(ring_roll(run->ring, &err), 0);
	ck_assert_int_eq(disk_record(disk, ring_writer(run->ring), &position), 0);
	put_checkpoint(run, true);
}

START_TEST(each_file_has_the_blocks_that_it_needs)
{
	struct disk *disk, *replayed;
	struct trace_reader *r;
	struct run run;
	char image[96];

	snprintf(image, sizeof(image), "%s/disk.img", dir);
	make_image(image);
	ck_assert_int_eq(disk_open(&disk, image, &err), 0);
	ck_assert_int_eq(start(&run, SIZE, false), 0);
	ck_assert_int_eq(disk_record(disk, ring_writer(run.ring), &position), 0);
	ck_assert_int_eq(read_blocks(disk, 0, 9), 0);
	put_step(&run);
	roll_with_disk(&run, disk);
	ck_assert_int_eq(read_blocks(disk, 5, 19), 0);
	put_step(&run);
	roll_with_disk(&run, disk);
	ck_assert_int_eq(read_blocks(disk, 8, 12), 0);
	ck_assert_int_eq(read_blocks(disk, BLOCKS - 1, BLOCKS - 1), 0);
	put_step(&run);
	ck_assert_int_eq(disk_flush(disk), 0);
	replayed = disk_of(older, &r);
	ck_assert_int_eq(read_blocks(replayed, 5, 19), 0);
	ck_assert_int_eq(read_blocks(replayed, 4, 4), -EIO);
	disk_free(replayed);
	trace_close(r);
	replayed = disk_of(path, &r);
	ck_assert_int_eq(read_blocks(replayed, 8, 12), 0);
	ck_assert_int_eq(read_blocks(replayed, BLOCKS - 1, BLOCKS - 1), 0);
	ck_assert_int_eq(read_blocks(replayed, 7, 7), -EIO);
	disk_free(replayed);
	trace_close(r);
	put_end(&run);
	ck_assert_int_eq(ring_close(run.ring, &err), 0);
	replayed = disk_of(path, &r);
	ck_assert_int_eq(read_blocks(replayed, 5, 19), 0);
	ck_assert_int_eq(read_blocks(replayed, BLOCKS - 1, BLOCKS - 1), 0);
	ck_assert_int_eq(read_blocks(replayed, 4, 4), -EIO);
	ck_assert_int_eq(read_blocks(replayed, 20, 20), -EIO);
	disk_free(replayed);
	trace_close(r);
	disk_free(disk);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ring");
	TCase *tc = tcase_create("ring");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, a_short_run_is_kept_whole);
	tcase_add_test(tc, the_last_stretch_is_kept);
	tcase_add_test(tc, a_checkpoint_larger_than_the_ring_still_rolls);
	tcase_add_test(tc, a_killed_recorder_leaves_two_traces);
	tcase_add_test(tc, errors_leave_what_is_there);
	tcase_add_test(tc, each_file_has_the_blocks_that_it_needs);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
