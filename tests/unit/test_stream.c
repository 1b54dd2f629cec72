/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Places in a trace's stream: saved and restored they give the same items, wherever the stream was in between. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "replay/stream.h"
#include "traces/text.h"

#define DONE_STEPS 3 /* places amid a run of reads that are tried */
#define MAX_PLACES 4096

static char dir[64], path[96];
static struct error err;
static struct trace_writer *w;
static struct event_encoder enc;
static struct trace_buf buf;

static void setup(void)
{
	strcpy(dir, "/tmp/test_stream.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/a.vmt", dir);
	ck_assert_int_eq(event_encoder_init(&enc), 0);
}

static void teardown(void)
{
	char command[128];

	event_encoder_free(&enc);
	trace_buf_free(&buf);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	ck_assert_int_eq(system(command), 0);
}

static void create(void)
{
	ck_assert_msg(!trace_writer_create(&w, path, TRACE_FORCE, &err), "%s", err.text);
	ck_assert_int_eq(trace_write(w, TRACE_MACHINE, 0, "machine test\n", 13), 0);
}

static void put_events(u64 at, unsigned n)
{
	event_encoder_begin(&enc, at);
	for (unsigned i = 0; i < n; i++) {
		struct event_mark mark = {at + i, i, 0x1000 + i, i * 3, i * 0x9e3779b97f4a7c15ull};

		for (unsigned k = 0; k < 1 + i % 7; k++)
			event_put_read(&enc, 0, 0, 0x3f8 + i % 3, 1, k & 1 ? 0x20 : i % 5);
		for (unsigned k = 0; k < 10; k++)
			event_put_read(&enc, 0, 0, 0x60, 1, 1);
		if (i % 4 == 0)
			event_put_interrupt(&enc, 0, &mark, 0, (u8)(0x20 + i), at + i);
		if (i % 5 == 0)
			event_put_input(&enc, 0, &mark, 0, at + i, 0, (const u8 *)"hello", 1 + i % 5);
	}
	event_encoder_end(&enc);
	ck_assert_int_eq(trace_write(w, TRACE_EVENTS, at, enc.buf, enc.len), 0);
}

static void put_digests(u64 at, unsigned n)
{
	struct digest_record rec = {.image_len = 8}, prev;
	u8 image[2][8] = {{0}};

	buf.len = 0;
	for (unsigned i = 0; i < n; i++) {
		prev = rec;
		rec.position = at + i;
		rec.image = image[i & 1];
		memset(image[i & 1], (int)(at + i * 17), 8);
		ck_assert_int_eq(digest_encode(&buf, &rec, i ? &prev : NULL), 0);
	}
	ck_assert_int_eq(trace_write(w, TRACE_DIGESTS, at, buf.data, buf.len), 0);
}

static void put_end(u64 at)
{
	struct end_record end = {.reason = 1, .mark.insns = at};

	buf.len = 0;
	ck_assert_int_eq(end_encode(&buf, &end), 0);
	ck_assert_int_eq(trace_write(w, TRACE_END, at, buf.data, buf.len), 0);
}

/* @between: chunks that aren't of the stream among those that are. */
static void write_stream(unsigned between)
{
	create();
	for (unsigned i = 0; i < 6; i++) {
		for (unsigned k = 0; k < between; k++)
			ck_assert_int_eq(trace_write(w, TRACE_NOTE, 0, "a note\n", 7), 0);
		put_events(1000 * (i + 1), 3 + i * 11);
		if (i == 2)
			ck_assert_int_eq(trace_write(w, TRACE_EVENTS, 3900, NULL, 0), 0); /* nothing in it */
		put_digests(1000 * (i + 1) + 500, 1 + i % 3);
	}
	put_end(9000);
}

static struct trace_reader *open_trace(unsigned flags)
{
	struct trace_reader *r;

	ck_assert_msg(!trace_open(&r, path, flags, &err), "%s", err.text);
	return r;
}

/* All that a replayer can see of a stream. */
struct seen {
	struct stream_place place;
	enum stream_item item;
	struct event event;
	u8 bytes[8];
	u64 position, file_bytes, end;
	u8 image[8];
	char text[200];
};

static void look(const struct stream *s, struct seen *seen)
{
	memset(seen, 0, sizeof(*seen));
	stream_save(s, &seen->place);
	seen->item = s->item;
	seen->file_bytes = s->bytes;
	if (s->item == STREAM_EVENT) {
		seen->event = s->event;
		seen->event.bytes = NULL;
		if (s->event.len)
			memcpy(seen->bytes, s->event.bytes, s->event.len);
	}
	if (s->item == STREAM_DIGEST)
		memcpy(seen->image, s->digest.image, 8);
	if (s->item == STREAM_BAD)
		snprintf(seen->text, sizeof(seen->text), "%.199s", s->err.text);
	else
		stream_describe(s, seen->text, sizeof(seen->text));
	seen->position = stream_position(s);
}

/* Every item from the beginning on, some of them with reads done. Returns how many. */
static unsigned walk(struct stream *s, struct seen *seen)
{
	unsigned n = 0;

	look(s, &seen[n++]);
	do {
		stream_next(s);
		ck_assert_uint_lt(n + DONE_STEPS, MAX_PLACES);
		look(s, &seen[n++]);
		while (s->item == STREAM_EVENT && s->done + 1 < s->event.count && s->done < DONE_STEPS) {
			s->done++;
			look(s, &seen[n++]);
		}
	} while (s->item != STREAM_OVER && s->item != STREAM_BAD);
	return n;
}

static void same(const struct seen *want, const struct seen *got, bool bytes)
{
	struct seen a = *want, b = *got;

	if (!bytes)
		a.file_bytes = b.file_bytes = 0;
	ck_assert_msg(!memcmp(&a, &b, sizeof(a)), "chunk %llu item %llu: %s, not %s",
		      (unsigned long long)want->place.chunk, (unsigned long long)want->place.item, got->text,
		      want->text);
}

/* Goes to places at random, and from there on for some items; all must be as in the walk. */
static void wander(struct stream *s, const struct seen *seen, unsigned n, bool bytes)
{
	unsigned seed = 1;
	struct seen now;

	for (unsigned turn = 0; turn < 3000; turn++) {
		unsigned i = (seed = seed * 1103515245 + 12345) / 65536 % n, steps = turn % 9;

		ck_assert_msg(!stream_restore(s, &seen[i].place), "%s", s->err.text);
		look(s, &now);
		same(&seen[i], &now, bytes);
		while (steps-- && i + 1 < n) {
			/* The next item, beyond the places amid this one's reads. */
			do
				i++;
			while (i + 1 < n && seen[i].place.done);
			if (seen[i].place.done)
				break;
			stream_next(s);
			look(s, &now);
			same(&seen[i], &now, bytes);
		}
	}
}

START_TEST(places_are_found_again)
{
	struct seen *seen = calloc(MAX_PLACES, sizeof(*seen));
	struct trace_reader *r;
	struct stream s;
	unsigned n;

	write_stream(2);
	ck_assert_int_eq(trace_writer_close(w, &err), 0);
	r = open_trace(0);
	stream_init(&s, r);
	n = walk(&s, seen);
	ck_assert_uint_gt(n, 500);
	ck_assert_int_eq(seen[n - 1].item, STREAM_OVER);
	ck_assert_int_eq(seen[n - 2].item, STREAM_END);
	wander(&s, seen, n, true);
	stream_free(&s);
	/* A stream that was nowhere yet. */
	for (unsigned i = 0; i < n; i += 17) {
		struct seen now;

		stream_init(&s, r);
		ck_assert_int_eq(stream_restore(&s, &seen[i].place), 0);
		look(&s, &now);
		same(&seen[i], &now, true);
		stream_free(&s);
	}
	trace_close(r);
	/* The same places in a copy with other chunks in between. */
	write_stream(5);
	ck_assert_int_eq(trace_writer_close(w, &err), 0);
	r = open_trace(TRACE_QUICK);
	stream_init(&s, r);
	wander(&s, seen, n, false);
	stream_free(&s);
	trace_close(r);
	free(seen);
}
END_TEST

/* Traces that end within their stream, or with what can't be decoded or read. */
START_TEST(places_at_the_end_of_broken_traces_are_found_again)
{
	struct seen *seen = calloc(MAX_PLACES, sizeof(*seen));

	for (unsigned kind = 0; kind < 4; kind++) {
		struct trace_reader *r;
		struct stream s;
		unsigned n;
		u64 size;

		create();
		if (kind)
			put_events(1000, 20);
		if (kind == 2) {
			event_encoder_begin(&enc, 5000);
			event_put_read(&enc, 0, 0, 0x60, 1, 5);
			event_put_read(&enc, 0, 0, 0x61, 1, 5);
			enc.buf[enc.len++] = 0x3f; /* no operation */
			ck_assert_int_eq(trace_write(w, TRACE_EVENTS, 5000, enc.buf, enc.len), 0);
		}
		size = trace_writer_size(w);
		if (kind == 3)
			put_events(7000, 20);
		ck_assert_int_eq(trace_writer_close(w, &err), 0);
		if (kind == 3) {
			FILE *f = fopen(path, "r+");

			fseek(f, (long)size + TRACE_CHUNK_SIZE, SEEK_SET);
			fputs("damage", f);
			fclose(f);
		}
		r = open_trace(TRACE_QUICK);
		stream_init(&s, r);
		n = walk(&s, seen);
		ck_assert_int_eq(seen[n - 1].item, kind < 2 ? STREAM_OVER : STREAM_BAD);
		wander(&s, seen, n, true);
		/* It stays there. */
		ck_assert_int_eq(stream_restore(&s, &seen[n - 1].place), 0);
		stream_next(&s);
		stream_save(&s, &seen[n].place);
		ck_assert_int_eq(memcmp(&seen[n].place, &seen[n - 1].place, sizeof(seen[n].place)), 0);
		stream_free(&s);
		trace_close(r);
	}
	free(seen);
}
END_TEST

START_TEST(places_that_are_not_there_are_refused)
{
	static const struct stream_place bad[] = {
	    {.chunk = 0, .item = 2},
	    {.chunk = 0, .item = 0, .done = 1},
	    {.chunk = 1, .item = 0},
	    {.chunk = 1, .item = 10000},
	    {.chunk = 1, .item = ~0ull - 1},
	    {.chunk = 1, .item = 1, .done = 1000},
	    {.chunk = 1, .item = 1, .done = ~0ull},
	    {.chunk = 2, .item = 1, .done = 1}, /* a digest */
	    {.chunk = 14, .item = 2},
	    {.chunk = 15, .item = 1},
	    {.chunk = ~0ull, .item = 1},
	    {.chunk = ~0ull, .item = STREAM_AFTER},
	    {.chunk = 15, .item = STREAM_AFTER},
	};
	struct stream_place good = {.chunk = 3, .item = 2}, now;
	struct trace_reader *r;
	struct stream s;

	write_stream(1);
	ck_assert_int_eq(trace_writer_close(w, &err), 0);
	r = open_trace(0);
	stream_init(&s, r);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		ck_assert_msg(stream_restore(&s, &bad[i]) == -EBADMSG, "place %u", i);
		ck_assert_int_eq(s.item, STREAM_BAD);
		ck_assert_uint_ne(strlen(s.err.text), 0);
		stream_next(&s);
		ck_assert_int_eq(s.item, STREAM_BAD);
		/* It can be used again. */
		ck_assert_int_eq(stream_restore(&s, &good), 0);
		stream_save(&s, &now);
		ck_assert_int_eq(memcmp(&now, &good, sizeof(now)), 0);
	}
	stream_free(&s);
	trace_close(r);
}
END_TEST

START_TEST(after_a_chunk_comes_the_next)
{
	struct stream_place place, after;
	struct trace_reader *r;
	struct stream s;

	write_stream(1);
	ck_assert_int_eq(trace_writer_close(w, &err), 0);
	r = open_trace(0);
	stream_init(&s, r);
	stream_next(&s);
	do {
		stream_save(&s, &place);
		if (place.item == 1) {
			after =
			    (struct stream_place){place.chunk - 1, STREAM_AFTER, 0, place.stops - stream_is_stop(&s)};
			/* That of the chunk without items is met on the way. */
			ck_assert_int_eq(stream_restore(&s, &after), 0);
			stream_save(&s, &after);
			ck_assert_int_eq(memcmp(&place, &after, sizeof(place)), 0);
		}
		stream_next(&s);
	} while (s.item != STREAM_OVER);
	stream_free(&s);
	trace_close(r);
}
END_TEST

START_TEST(a_trace_being_written_grows)
{
	struct trace_reader *r;
	struct stream_place over, now;
	struct stream s;
	size_t count;

	create();
	put_events(1000, 10);
	ck_assert_int_eq(trace_open(&r, trace_writer_path(w), 0, &err), 0);
	ck_assert_int_eq(r->state, TRACE_CUT);
	ck_assert_int_eq(trace_refresh(r), 0);
	count = r->count;
	stream_init(&s, r);
	do
		stream_next(&s);
	while (s.item == STREAM_EVENT);
	ck_assert_int_eq(s.item, STREAM_OVER);
	stream_save(&s, &over);
	put_digests(2000, 2);
	/* Nothing is new before it is looked for. */
	stream_next(&s);
	ck_assert_int_eq(s.item, STREAM_OVER);
	ck_assert_int_eq(trace_refresh(r), 0);
	ck_assert_uint_eq(r->count, count + 1);
	ck_assert_int_eq(r->state, TRACE_CUT);
	stream_next(&s);
	ck_assert_int_eq(s.item, STREAM_DIGEST);
	ck_assert_uint_eq(s.digest.position, 2000);
	stream_save(&s, &now);
	ck_assert_uint_eq(over.item, STREAM_AFTER);
	ck_assert_uint_eq(now.chunk, over.chunk + 1);
	ck_assert_uint_eq(now.item, 1);
	ck_assert_uint_eq(now.stops, over.stops + 1);
	/* What was the end when it was saved is where it goes on now. */
	stream_next(&s);
	ck_assert_int_eq(stream_restore(&s, &over), 0);
	ck_assert_int_eq(s.item, STREAM_DIGEST);
	stream_save(&s, &over);
	ck_assert_int_eq(memcmp(&now, &over, sizeof(now)), 0);
	for (unsigned i = 0; i < 200; i++)
		put_events(3000 + 100 * i, 1);
	put_end(90000);
	ck_assert_int_eq(trace_writer_close(w, &err), 0);
	ck_assert_int_eq(trace_refresh(r), 0);
	ck_assert_int_eq(r->state, TRACE_WHOLE);
	ck_assert_uint_eq(r->count, count + 1 + 201);
	ck_assert_int_eq(trace_refresh(r), 0);
	do
		stream_next(&s);
	while (s.item == STREAM_EVENT || s.item == STREAM_DIGEST);
	ck_assert_int_eq(s.item, STREAM_END);
	stream_next(&s);
	ck_assert_int_eq(s.item, STREAM_OVER);
	stream_free(&s);
	trace_close(r);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stream");
	TCase *tc = tcase_create("place");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, places_are_found_again);
	tcase_add_test(tc, places_at_the_end_of_broken_traces_are_found_again);
	tcase_add_test(tc, places_that_are_not_there_are_refused);
	tcase_add_test(tc, after_a_chunk_comes_the_next);
	tcase_add_test(tc, a_trace_being_written_grows);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
