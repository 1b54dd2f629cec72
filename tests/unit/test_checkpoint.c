/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Images of memory, checkpoints in memory, and checkpoints in traces. */
#include <check.h>
#include <errno.h>

#include "replay/stored.h"
#include "timeline_rig.h"

static u32 seed;

static u32 rnd(u32 below)
{
	seed = seed * 1664525 + 1013904223;
	return (u32)((u64)seed * below >> 32);
}

static struct machine *machine_of(u64 ram_size)
{
	struct machine_config config = rig_config;
	struct machine *m;

	config.ram = ram_size;
	ck_assert_msg(!machine_create(&m, &config, &err), "%s", err.text);
	return m;
}

/* --- images --- */

#define IMAGES 12u
#define SPOTS  40u /* pages that are written to */

static u64 spot(const struct machine *m, unsigned n)
{
	const struct memory_slot *s = &m->mem.slot[n % m->mem.count];
	u64 pages = s->size >> PAGE_SHIFT;

	/* The first and the last, and others. */
	return s->gpa + ((n / 4 % 2 ? pages - 1 - n % pages : n * 37 % pages) << PAGE_SHIFT);
}

static void write_spot(struct machine *m, unsigned n)
{
	u64 value = rnd(4) ? rnd(1000) : 0;

	ck_assert_int_eq(memory_write(&m->mem, spot(m, n) + 8ull * rnd(512), &value, sizeof(value)), 0);
	if (!value) { /* perhaps a page of zeros again */
		static const u8 zeros[PAGE_SIZE];

		ck_assert_int_eq(memory_write(&m->mem, spot(m, n), zeros, sizeof(zeros)), 0);
	}
}

static void copy_spots(const struct machine *m, u8 (*to)[PAGE_SIZE])
{
	for (unsigned n = 0; n < SPOTS; n++)
		ck_assert_int_eq(memory_read(&m->mem, spot(m, n), to[n], PAGE_SIZE), 0);
}

static void ck_assert_spots(const struct machine *m, u8 (*want)[PAGE_SIZE])
{
	u8 page[PAGE_SIZE];

	for (unsigned n = 0; n < SPOTS; n++) {
		ck_assert_int_eq(memory_read(&m->mem, spot(m, n), page, PAGE_SIZE), 0);
		ck_assert_msg(!memcmp(page, want[n], PAGE_SIZE), "page %u", n);
	}
}

static void random_walk(u64 ram_size, unsigned steps)
{
	struct machine *m = machine_of(ram_size);
	u8(*copy[IMAGES])[PAGE_SIZE];
	struct page_image *image[IMAGES] = {NULL};
	struct pages p;
	u64 least;

	for (unsigned i = 0; i < IMAGES; i++)
		copy[i] = malloc(sizeof(*copy[i]) * SPOTS);
	for (unsigned n = 0; n < SPOTS; n++)
		write_spot(m, n);
	ck_assert_int_eq(pages_init(&p, m), 0);
	least = p.bytes;
	ck_assert_uint_eq(p.total, ram_size >> PAGE_SHIFT);
	for (u64 n = 0; n < p.total; n += 1 + p.total / 1000)
		ck_assert_uint_eq(pages_number(&p, pages_gpa(&p, n)), n);
	ck_assert_uint_eq(pages_number(&p, MEMORY_HOLE_START), p.total);
	while (steps--) {
		unsigned i = rnd(IMAGES);

		for (unsigned k = rnd(12); k--;)
			write_spot(m, rnd(SPOTS));
		if (!image[i]) {
			ck_assert_int_eq(pages_take(&p, &image[i]), 0);
			copy_spots(m, copy[i]);
		} else if (rnd(3)) {
			pages_restore(&p, image[i]);
			ck_assert_spots(m, copy[i]);
		} else {
			page_image_put(&p, image[i]);
			image[i] = NULL;
		}
		ck_assert_uint_ge(p.bytes, least);
	}
	for (unsigned i = 0; i < IMAGES; i++) {
		if (image[i]) {
			pages_restore(&p, image[i]);
			ck_assert_spots(m, copy[i]);
		}
		page_image_put(&p, image[i]);
		free(copy[i]);
	}
	pages_free(&p);
	ck_assert_uint_eq(p.bytes, 0);
	machine_free(m);
}

START_TEST(images_of_memory)
{
	static const u64 sizes[] = {MEMORY_MIN, 3 << 20, 64 << 20, MEMORY_HOLE_START + (5 << 20)};

	seed = (u32)_i;
	random_walk(sizes[_i], _i == 3 ? 40 : 400);
}
END_TEST

/* Equal pages are held once. */
START_TEST(images_share)
{
	struct machine *m = machine_of(MEMORY_MIN);
	struct page_image *a, *b, *c;
	struct pages p;
	u64 value = 5, one, two;

	ck_assert_int_eq(memory_write(&m->mem, 0x5000, &value, 8), 0);
	ck_assert_int_eq(pages_init(&p, m), 0);
	ck_assert_int_eq(pages_take(&p, &a), 0);
	one = p.bytes;
	/* Nothing, and the same again, cost a table. */
	ck_assert_int_eq(memory_write(&m->mem, 0x5000, &value, 8), 0);
	ck_assert_int_eq(pages_take(&p, &b), 0);
	two = p.bytes;
	ck_assert_uint_lt(two - one, 256);
	ck_assert_ptr_eq(page_image_get(a, 5), page_image_get(b, 5));
	ck_assert_ptr_null(page_image_get(a, 6));
	value++;
	ck_assert_int_eq(memory_write(&m->mem, 0x5000, &value, 8), 0);
	ck_assert_int_eq(pages_take(&p, &c), 0);
	ck_assert_uint_lt(p.bytes - two, 2 * PAGE_SIZE + 512 * 8);
	page_image_put(&p, c);
	page_image_put(&p, b);
	page_image_put(&p, a);
	pages_free(&p);
	machine_free(m);
}
END_TEST

/* One after the other: the second knows nothing of what the first has looked at. */
START_TEST(another_owner)
{
	struct machine *m = machine_of(3 << 20);
	struct memory_digest digest;
	struct page_image *image;
	struct pages p;
	u64 value = 5, got = 0;

	ck_assert_int_eq(memory_digest_init(&digest, m), 0);
	ck_assert_int_eq(memory_write(&m->mem, 0x5000, &value, 8), 0);
	ck_assert_int_eq(pages_init(&p, m), 0);
	ck_assert_int_eq(pages_take(&p, &image), 0);
	memory_digest_update(&digest, m);
	page_image_put(&p, image);
	pages_free(&p);
	ck_assert_int_eq(pages_init(&p, m), 0);
	ck_assert_int_eq(pages_take(&p, &image), 0);
	ck_assert_ptr_nonnull(page_image_get(image, 5));
	value = 6;
	ck_assert_int_eq(memory_write(&m->mem, 0x5000, &value, 8), 0);
	pages_restore(&p, image);
	ck_assert_int_eq(memory_read(&m->mem, 0x5000, &got, 8), 0);
	ck_assert_uint_eq(got, 5);
	page_image_put(&p, image);
	pages_free(&p);
	memory_digest_free(&digest);
	machine_free(m);
}
END_TEST

/* --- checkpoints in traces --- */

#define EVERY 3000u /* instructions */

static u64 digest_of(const struct world *w)
{
	size_t size = machine_state_size(w->m);
	u8 *state = malloc(size);
	u64 sum;

	machine_state_save(w->m, state);
	sum = XXH3_64bits(state, size) ^ XXH3_64bits(ram(w->m, 0), RAM);
	free(state);
	return sum;
}

static u64 want[100], printed_then[100];

/* The trace once more with checkpoints, each as @change wants it. Returns how many. */
static unsigned store_all(const char *to, void (*change)(struct checkpoint *cp, unsigned n))
{
	struct checkpoint *last = NULL, *cp;
	struct replayer_place place;
	struct checkpoint_put put;
	struct checkpoints points;
	struct trace_writer *out;
	struct world w;
	unsigned n = 0;

	open_replay(&w);
	ck_assert_int_eq(trace_writer_create(&out, to, 0, &err), 0);
	for (size_t i = 0; i < w.reader->count; i++)
		ck_assert_int_eq(trace_copy(out, w.reader, i, &err), 0);
	ck_assert_int_eq(checkpoints_init(&points, w.m, ~0ull), 0);
	checkpoint_put_init(&put, out);
	for (;;) {
		ck_assert_int_eq(machine_run(w.m, (n + 1) * EVERY), 0);
		if (w.m->end)
			break;
		want[n] = digest_of(&w);
		printed_then[n] = w.printed.len;
		replayer_save(w.replayer, &place);
		ck_assert_int_eq(checkpoint_make(&points, &place, &cp), 0);
		if (change)
			change(cp, n);
		ck_assert_msg(!checkpoint_store(&points, cp, last, &put, &err), "%s", err.text);
		checkpoint_free(&points, last);
		last = cp;
		n++;
	}
	checkpoint_free(&points, last);
	checkpoint_put_free(&put);
	checkpoints_free(&points);
	ck_assert_int_eq(trace_writer_close(out, &err), 0);
	world_free(&w);
	return n;
}

static char indexed[112];

static void open_indexed(struct world *w)
{
	snprintf(indexed, sizeof(indexed), "%s.indexed", path);
	rename(indexed, path);
	open_replay(w);
}

static unsigned index_trace(void (*change)(struct checkpoint *cp, unsigned n))
{
	snprintf(indexed, sizeof(indexed), "%s.indexed", path);
	record_run(~0ull);
	return store_all(indexed, change);
}

START_TEST(stored_and_fetched)
{
	struct checkpoint_file file;
	struct checkpoints points;
	struct world w;
	unsigned count;

	guest.clock = _i ? CLOCK_HOST : CLOCK_VIRTUAL;
	count = index_trace(NULL);
	ck_assert_uint_gt(count, 4);
	ck_assert_uint_le(count, ARRAY_SIZE(want));
	open_indexed(&w);
	ck_assert_int_eq(checkpoint_file_init(&file, w.reader, &err), 0);
	ck_assert_uint_eq(file.count, count);
	ck_assert_int_eq(checkpoint_file_verify(&file, &err), 0);
	ck_assert_int_eq(checkpoints_init(&points, w.m, ~0ull), 0);
	seed = 7;
	for (unsigned k = 0; k < 3 * count; k++) {
		unsigned i = rnd(count);
		const struct checkpoint *cp = checkpoints_before(&points, (i + 1) * EVERY);

		if (!cp || cp->position != (i + 1) * EVERY)
			ck_assert_msg(!checkpoint_fetch(&points, &file, i, &err), "%s", err.text);
		cp = checkpoints_before(&points, (i + 1) * EVERY);
		ck_assert_uint_eq(cp->position, (i + 1) * EVERY);
		ck_assert_uint_eq(cp->progress.console, printed_then[i]);
		ck_assert_int_eq(checkpoint_restore(&points, cp), 0);
		ck_assert_int_eq(replayer_restore(w.replayer, &cp->replay, &err), 0);
		ck_assert_uint_eq(digest_of(&w), want[i]);
		/* And goes on as it did. */
		if (i + 1 < count) {
			ck_assert_int_eq(machine_run(w.m, (i + 2) * EVERY), 0);
			ck_assert_uint_eq(digest_of(&w), want[i + 1]);
		}
	}
	ck_assert_int_eq(machine_run(w.m, CLOCK_NEVER), 0);
	ck_assert_int_eq(replayer_finish(w.replayer), REPLAY_EQUAL);
	checkpoints_free(&points);
	checkpoint_file_free(&file);
	world_free(&w);
}
END_TEST

static void other_position(struct checkpoint *cp, unsigned n)
{
	cp->position += n % 2;
}

static void delivering(struct checkpoint *cp, unsigned n)
{
	cp->delivered_at = cp->position;
	cp->delivered = 3;
}

static void no_such_place(struct checkpoint *cp, unsigned n)
{
	cp->replay.stream.chunk += 1000000 * (n % 2);
}

static void odd_cache(struct checkpoint *cp, unsigned n)
{
	memset(cp->cache, 0xa5, cp->cache_len);
}

static void odd_state(struct checkpoint *cp, unsigned n)
{
	u64 position = machine_state_position(cp->state);

	seed = n;
	for (unsigned i = 0; i < 50; i++)
		cp->state[rnd((u32)cp->state_len)] = (u8)rnd(256);
	store64(cp->state + state_size(x86_state_fields), position);
}

static void odd_progress(struct checkpoint *cp, unsigned n)
{
	cp->ns = ~0ull - n;
	cp->progress = (struct machine_progress){~0u, ~0u, n, ~0ull};
	cp->replay.events = ~0ull;
	cp->replay.stream.stops = ~0ull - n;
	cp->delivered_at = ~0ull;
}

/* Nothing in a checkpoint can do more than make a replay differ. */
START_TEST(checkpoints_that_are_wrong)
{
	static void (*const wrong[])(struct checkpoint * cp, unsigned n) = {other_position, delivering, no_such_place,
									    odd_cache,      odd_state,  odd_progress};
	static const char *const where[] = {"end", "50%", "start", "10001", "event:50", "99%", "0.01ms", "end"};
	struct target_break b = WATCH(WRITE, 0x20700, 8);
	struct world w;

	index_trace(wrong[_i]);
	open_indexed(&w);
	add_timeline(&w, 0);
	w.t->ops->add_break(w.t, &b);
	for (unsigned i = 0; i < ARRAY_SIZE(where); i++) {
		int ret = seek_to(&w, where[i]);

		/* Those that can be told are only left aside. */
		if (_i < 2 || _i == 3)
			ck_assert_msg(!ret, "seek %s: %s", where[i], err.text);
		for (unsigned k = 0; k < 4; k++) {
			step(&w, TARGET_BACKWARD, k % 2);
			step(&w, TARGET_FORWARD, k % 2);
		}
		run_on(&w, TARGET_BACKWARD, NULL);
		run_on(&w, TARGET_FORWARD, NULL);
	}
	must_seek(&w, "start");
	if (_i < 2 || _i == 3) {
		b.condition = NULL;
		w.t->ops->remove_break(w.t, &b);
		ck_assert_int_eq(run_on(&w, TARGET_FORWARD, NULL).reason, TARGET_STOP_END);
		ck_assert_int_eq(run_on(&w, TARGET_BACKWARD, NULL).reason, TARGET_STOP_BEGIN);
	}
	world_free(&w);
}
END_TEST

/* Any byte of the trace may be another. */
START_TEST(damaged_traces)
{
	unsigned fine = 0;
	long size;
	FILE *f;

	index_trace(NULL);
	snprintf(indexed, sizeof(indexed), "%s.indexed", path);
	rename(indexed, path);
	f = fopen(path, "r+");
	fseek(f, 0, SEEK_END);
	size = ftell(f);
	seed = 9;
	for (unsigned i = 0; i < 60; i++) {
		long at = size / 2 + (long)rnd((u32)size / 2);
		struct world w;
		int c;

		fseek(f, at, SEEK_SET);
		c = fgetc(f);
		fseek(f, at, SEEK_SET);
		fputc(c ^ 0x40, f);
		fflush(f);
		open_timeline(&w, 0);
		if (!seek_to(&w, i % 2 ? "9000" : "end")) {
			fine++;
			ck_assert_int_eq(step(&w, TARGET_BACKWARD, true).reason, TARGET_STOP_STEP);
		}
		world_free(&w);
		fseek(f, at, SEEK_SET);
		fputc(c, f);
		fflush(f);
	}
	fclose(f);
	ck_assert_uint_gt(fine, 20);
}
END_TEST

/* What is fetched counts for the memory that checkpoints may take. */
START_TEST(fetched_ones_are_given_up_again)
{
	struct world w;
	unsigned count = index_trace(NULL);
	struct checkpoints *c;

	open_indexed(&w);
	add_timeline(&w, 1 << 20);
	c = timeline_checkpoints(w.tl);
	for (unsigned i = 0; i < 4 * count; i++) {
		char text[40];

		snprintf(text, sizeof(text), "checkpoint:%u", 1 + rnd(count));
		must_seek(&w, text);
		ck_assert(c->nr <= 2 || c->bytes + c->pages.bytes <= c->budget);
	}
	world_free(&w);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("checkpoint");
	TCase *tc = tcase_create("checkpoint");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, rig_setup, rig_teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, images_of_memory, 0, 4);
	tcase_add_test(tc, images_share);
	tcase_add_test(tc, another_owner);
	tcase_add_loop_test(tc, stored_and_fetched, 0, 2);
	tcase_add_loop_test(tc, checkpoints_that_are_wrong, 0, 6);
	tcase_add_test(tc, damaged_traces);
	tcase_add_test(tc, fetched_ones_are_given_up_again);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
