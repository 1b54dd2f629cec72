/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Recordings cut off at a place: what is kept is what was there, and with the rest put behind it the run is whole again. */
#include <check.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "replay/cut.h"
#include "replay/replayer.h"
#include "traces/blocks.h"
#include "traces/checkpoint.h"
#include "traces/record.h"
#include "vmm/pc/boot.h"

static char dir[64], path[96], part[96];
static struct error err;
static u32 seed;

static void setup(void)
{
	strcpy(dir, "/tmp/test_cut.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/a.vmt", dir);
	snprintf(part, sizeof(part), "%s/b.vmt", dir);
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

static struct trace_writer *create(const char *name, unsigned flags)
{
	struct trace_writer *w;

	ck_assert_msg(!trace_writer_create(&w, name, TRACE_FORCE | flags, &err), "%s", err.text);
	return w;
}

static struct trace_reader *open_trace(const char *name)
{
	struct trace_reader *r;

	ck_assert_msg(!trace_open(&r, name, 0, &err), "%s", err.text);
	return r;
}

static void must_write(struct trace_writer *w, u32 type, u64 at, const struct trace_buf *buf)
{
	ck_assert_int_eq(trace_write(w, type, at, buf->data, buf->len), 0);
}

/* --- a made-up recording --- */

#define CHUNKS     5u
#define CHUNK_AT   1000u
#define EVERY      10u /* checkpoints and console records, in instructions */
#define LINE_BYTES 7u

static void put_events(struct trace_writer *w, u64 at)
{
	struct event_encoder enc;

	ck_assert_int_eq(event_encoder_init(&enc), 0);
	event_encoder_begin(&enc, at);
	for (unsigned i = 0; i < 40; i++) {
		struct event_mark mark = {at + i, i, 0x1000 + i, i * 3, i * 0x9e3779b97f4a7c15ull};

		for (unsigned k = 0; k < 1 + i % 7; k++)
			event_put_read(&enc, 0, 0, 0x3f8 + i % 3, 1, k & 1 ? 0x20 : i % 5);
		for (unsigned k = 0; k < 10; k++) /* two values in turn */
			event_put_read(&enc, 0, 1, 0xfee00000, 4, k & 1);
		for (unsigned k = 0; k < 200; k++)
			event_put_read(&enc, 0, 0, 0x60, 1, 1);
		if (i % 3 == 0)
			event_put_clock(&enc, 0, at + i);
		if (i % 4 == 0)
			event_put_interrupt(&enc, 0, &mark, 0, (u8)(0x20 + i), at + i);
		if (i % 5 == 0)
			event_put_input(&enc, 0, &mark, 0, at + i, 0, (const u8 *)"hello", 1 + i % 5);
	}
	event_encoder_end(&enc);
	ck_assert_int_eq(trace_write(w, TRACE_EVENTS, at, enc.buf, enc.len), 0);
	event_encoder_free(&enc);
}

static void put_small(struct trace_writer *w, u64 at)
{
	struct trace_buf buf = {0};
	struct digest_record dig = {.position = at, .image = (const u8 *)"abcdefgh", .image_len = 8}, last;
	struct trace_block block = {.block = at, .len = 512, .bytes = (const u8[512]){1, 2, 3}};
	struct console_record line = {.bytes = (const u8 *)"console", .len = LINE_BYTES};
	u64 base = at;

	for (unsigned i = 0; i < 3; i++) {
		last = dig;
		dig.position = at + i;
		ck_assert_int_eq(digest_encode(&buf, &dig, i ? &last : NULL), 0);
	}
	must_write(w, TRACE_DIGESTS, at, &buf);
	buf.len = 0;
	ck_assert_int_eq(trace_block_encode(&buf, &block), 0);
	must_write(w, TRACE_DISK, at, &buf);
	buf.len = 0;
	for (unsigned i = 0; i < 4; i++) {
		line.position = at + i * EVERY;
		ck_assert_int_eq(console_encode(&buf, &line, base), 0);
		base = line.position;
	}
	must_write(w, TRACE_CONSOLE, at, &buf);
	trace_buf_free(&buf);
}

static void put_checkpoint(struct trace_writer *w, u64 at, bool full)
{
	struct checkpoint_record rec = {.position = at, .full = full};
	struct checkpoint_put p;

	checkpoint_put_init(&p, w);
	checkpoint_put_begin(&p, &rec);
	checkpoint_put_page(&p, at, (const u8[TRACE_PAGE_SIZE]){1, 2, 3});
	ck_assert_int_eq(checkpoint_put_end(&p), 0);
	checkpoint_put_free(&p);
}

static void make_recording(unsigned flags)
{
	struct trace_writer *w = create(path, flags);
	struct end_record end = {.reason = 1};
	struct trace_buf buf = {0};

	ck_assert_int_eq(trace_write(w, TRACE_MACHINE, 0, "machine test\n", 13), 0);
	ck_assert_int_eq(trace_write_blob(w, "kernel", "a kernel", 8, NULL), 0);
	if (flags)
		put_checkpoint(w, 1, true);
	for (unsigned i = 0; i < CHUNKS; i++) {
		put_events(w, CHUNK_AT * (i + 1));
		put_small(w, CHUNK_AT * (i + 1) + 500);
		put_checkpoint(w, CHUNK_AT * (i + 1) + 700, !i && !flags);
	}
	end.mark.insns = CHUNK_AT * 10;
	ck_assert_int_eq(end_encode(&buf, &end), 0);
	must_write(w, TRACE_END, CHUNK_AT * 10, &buf);
	trace_buf_free(&buf);
	ck_assert_int_eq(trace_writer_close(w, &err), 0);
}

static int cut(struct trace_reader *r, const struct cut *at)
{
	struct trace_writer *w = create(part, trace_cut_flags(r));
	int ret = trace_cut(r, w, at, &err);

	ck_assert_int_eq(trace_writer_close(w, NULL), 0);
	return ret;
}

static u64 count(const struct trace_reader *r, u32 type)
{
	u64 n = 0;

	for (size_t i = 0; i < r->count; i++)
		n += r->chunk[i].type == type;
	return n;
}

/* Bytes of console output, and that they are what was printed. */
static u64 console_bytes(struct trace_reader *r)
{
	struct trace_buf buf = {0};
	u64 n = 0;

	for (size_t i = 0; i < r->count; i++) {
		struct console_decoder dec;
		struct console_record rec;

		if (r->chunk[i].type != TRACE_CONSOLE)
			continue;
		ck_assert_int_eq(trace_read(r, i, &buf, &err), 0);
		console_decoder_init(&dec, buf.data, buf.len, r->chunk[i].position);
		while (console_next(&dec, &rec) == 1)
			for (u32 k = 0; k < rec.len; k++)
				ck_assert_int_eq(rec.bytes[k], "console"[n++ % LINE_BYTES]);
	}
	trace_buf_free(&buf);
	return n;
}

/* The copy's stream is the first part of the recording's. Returns how many reads and other items it has. */
static u64 same_up_to(struct trace_reader *r, struct trace_reader *copy, const struct stream_place *until)
{
	struct stream a, b;
	struct stream_place at, there;
	u64 n = 0;

	stream_init(&a, r);
	stream_init(&b, copy);
	for (;;) {
		stream_next(&a);
		stream_next(&b);
		stream_save(&a, &at);
		if (at.chunk == until->chunk && at.item == until->item)
			break;
		ck_assert_int_eq(a.item, b.item);
		stream_save(&b, &there);
		ck_assert_int_eq(memcmp(&at, &there, sizeof(at)), 0);
		if (a.item == STREAM_OVER)
			break;
		n += a.item == STREAM_EVENT ? a.event.count : 1;
		a.event.bytes = b.event.bytes = NULL;
		if (a.item == STREAM_EVENT)
			ck_assert_int_eq(memcmp(&a.event, &b.event, sizeof(a.event)), 0);
		if (a.item == STREAM_DIGEST)
			ck_assert(a.digest.position == b.digest.position &&
				  !memcmp(a.digest.image, b.digest.image, a.digest.image_len));
	}
	if (until->done) {
		ck_assert_int_eq(b.item, STREAM_EVENT);
		ck_assert_uint_eq(b.event.count, until->done);
		ck_assert(b.event.addr == a.event.addr && b.event.value == a.event.value);
		if (b.event.count > 1)
			ck_assert_uint_eq(b.event.other, a.event.other);
		n += until->done;
		stream_next(&b);
	}
	ck_assert_int_eq(b.item, STREAM_OVER);
	stream_free(&a);
	stream_free(&b);
	return n;
}

/* Places: the @nth item, or nearly the end. Somewhere in it when it is a run. */
static struct stream_place nth_place(struct trace_reader *r, unsigned nth, enum stream_item *item)
{
	struct stream_place place;
	struct stream s;

	stream_init(&s, r);
	do
		stream_next(&s);
	while (nth-- && s.item != STREAM_OVER);
	if (s.item == STREAM_EVENT && s.event.count > 1 && random_below(3))
		s.done = random_below((u32)s.event.count);
	stream_save(&s, &place);
	*item = s.item;
	stream_free(&s);
	return place;
}

START_TEST(first_parts_are_what_was_recorded)
{
	for (unsigned flags = 0; flags <= TRACE_BEGINS_MID; flags += TRACE_BEGINS_MID) {
		struct trace_reader *r;
		enum stream_item item = STREAM_EVENT;
		u64 longest = 0;

		make_recording(flags);
		r = open_trace(path);
		ck_assert_uint_eq(trace_cut_flags(r), flags);
		for (unsigned nth = 0; item != STREAM_OVER; nth += 1 + random_below(9)) {
			struct cut at = {.place = nth_place(r, nth, &item)};
			struct trace_reader *copy;
			u64 n;

			at.position = 100 + random_below(6 * CHUNK_AT);
			at.console = random_below(3) ? random_below(200) : ~0ull;
			if (item == STREAM_OVER) {
				ck_assert_int_eq(cut(r, &at), -EINVAL);
				ck_assert_ptr_nonnull(strstr(err.text, "over"));
				break;
			}
			ck_assert_msg(!cut(r, &at), "%s", err.text);
			copy = open_trace(part);
			ck_assert_msg(!trace_verify(copy, &err), "%s", err.text);
			n = same_up_to(r, copy, &at.place);
			ck_assert_uint_ge(n, nth);
			longest = max64(longest, n);
			ck_assert_uint_eq(count(copy, TRACE_BLOB), 1);
			ck_assert_uint_eq(count(copy, TRACE_DISK), CHUNKS);
			ck_assert_uint_eq(count(copy, TRACE_END), 0);
			/* Checkpoints up to the position. */
			n = !!flags + (at.position >= CHUNK_AT + 700 ? (at.position - 700) / CHUNK_AT : 0);
			ck_assert_uint_eq(count(copy, TRACE_CHECKPOINT), min64(n, CHUNKS + !!flags));
			ck_assert_uint_eq(checkpoint_file_begins(copy), !!flags);
			/* Console up to the position and the number of bytes. */
			n = 0;
			for (unsigned i = 0; i < CHUNKS; i++)
				for (unsigned k = 0; k < 4; k++)
					if (CHUNK_AT * (i + 1) + 500 + k * EVERY < at.position)
						n += LINE_BYTES;
			ck_assert_uint_eq(console_bytes(copy), min64(n, at.console));
			trace_close(copy);
		}
		ck_assert_uint_gt(longest, CHUNKS * 40 * 200);
		trace_close(r);
	}
}
END_TEST

START_TEST(places_and_damage_are_checked)
{
	struct cut none = {.place = {.chunk = 3, .item = 500}}, good = {.place = {.chunk = 3, .item = 5}},
		   beginning = {.position = 0}, after = {.position = 1, .place = {.chunk = 2, .item = STREAM_AFTER}};
	struct stream_place third = {.chunk = 3, .item = 1};
	struct trace_reader *r, *copy;
	struct trace_writer *w;
	FILE *f;

	make_recording(0);
	r = open_trace(path);
	ck_assert_int_eq(cut(r, &none), -EBADMSG);
	none.place = (struct stream_place){.chunk = 1, .item = 1, .done = 1};
	ck_assert_int_eq(cut(r, &none), -EBADMSG);
	/* The two ends of a chunk. */
	ck_assert_int_eq(cut(r, &beginning), 0);
	copy = open_trace(part);
	ck_assert(!count(copy, TRACE_EVENTS) && !count(copy, TRACE_DIGESTS) && !count(copy, TRACE_CONSOLE));
	ck_assert_uint_eq(count(copy, TRACE_MACHINE), 1);
	trace_close(copy);
	ck_assert_int_eq(cut(r, &after), 0);
	copy = open_trace(part);
	ck_assert(count(copy, TRACE_EVENTS) == 1 && count(copy, TRACE_DIGESTS) == 1);
	same_up_to(r, copy, &third);
	trace_close(copy);
	/* Events that don't decode, or can't be read. */
	ck_assert_int_eq(cut(r, &good), 0);
	for (size_t i = 0, nth = 0; i < r->count; i++) {
		if (!trace_in_stream(r->chunk[i].type) || ++nth != 2)
			continue;
		f = fopen(path, "r+");
		fseek(f, (long)r->chunk[i].offset + TRACE_CHUNK_SIZE + 1, SEEK_SET);
		fputc(0x99, f);
		fclose(f);
	}
	ck_assert_int_eq(cut(r, &good), -EBADMSG);
	ck_assert_ptr_nonnull(strstr(err.text, "damaged"));
	trace_close(r);
	/* The writer's errors come through. */
	make_recording(0);
	r = open_trace(path);
	w = create(part, 0);
	ck_assert_int_ne(trace_write(w, TRACE_NOTE, 0, path, TRACE_RAW_MAX + 1ul), 0);
	ck_assert_int_ne(trace_cut(r, w, &good, &err), 0);
	trace_writer_abandon(w);
	trace_close(r);
}
END_TEST

/* --- the golden traces --- */

struct rig {
	struct trace_reader *r;
	struct session s;
	struct machine *m;
	struct replayer *rp;
	u64 printed;
};

static void listen(void *ctx, enum console_port port, const u8 *buf, size_t len)
{
	struct rig *rig = ctx;

	rig->printed += len;
}

static void rig_up(struct rig *rig, const char *name)
{
	memset(rig, 0, sizeof(*rig));
	rig->r = open_trace(name);
	ck_assert_msg(!session_load(&rig->s, rig->r, NULL, NULL, NULL, &err), "%s", err.text);
	rig->s.config.engine = &soft_engine;
	ck_assert_msg(!machine_create(&rig->m, &rig->s.config, &err), "%s", err.text);
	rig->m->listener.console = listen;
	rig->m->listener.ctx = rig;
	ck_assert_msg(!boot_load(rig->m, &rig->s.boot, NULL, &err), "%s", err.text);
	ck_assert_msg(!replayer_create(&rig->rp, rig->r, rig->m, &rig->s, &err), "%s", err.text);
}

static void rig_down(struct rig *rig)
{
	replayer_free(rig->rp);
	machine_free(rig->m);
	session_free(&rig->s);
	trace_close(rig->r);
}

static void put_event(struct event_encoder *enc, const struct event *ev, u64 from)
{
	switch (ev->type) {
	case EVENT_IO_READ:
		for (u64 k = from; k < ev->count; k++)
			event_put_read(enc, ev->vcpu, ev->space, ev->addr, ev->size, k & 1 ? ev->other : ev->value);
		break;
	case EVENT_INTERRUPT:
		event_put_interrupt(enc, ev->vcpu, &ev->mark, ev->kind, ev->vector, ev->writes);
		break;
	case EVENT_POKE:
		event_put_poke(enc, ev->vcpu, &ev->mark, ev->what, ev->addr, ev->bytes, ev->len);
		break;
	default:
		ck_abort_msg("an event that no golden trace has");
	}
}

/* What trace_cut() left out. */
static void put_rest(struct trace_reader *r, const struct cut *at, struct trace_writer *w)
{
	struct event_decoder dec;
	struct event_encoder enc;
	struct trace_buf buf = {0};
	struct event ev;
	u64 chunk = 0, item = 0;

	ck_assert_int_eq(event_encoder_init(&enc), 0);
	for (size_t i = 0; i < r->count; i++) {
		if (!trace_in_stream(r->chunk[i].type) || ++chunk < at->place.chunk)
			continue;
		if (chunk > at->place.chunk || r->chunk[i].type != TRACE_EVENTS) {
			ck_assert_int_eq(trace_copy(w, r, i, &err), 0);
			continue;
		}
		ck_assert_int_eq(trace_read(r, i, &buf, &err), 0);
		event_decoder_init(&dec, buf.data, buf.len, r->chunk[i].position);
		event_encoder_begin(&enc, r->chunk[i].position);
		while (event_next(&dec, &ev) == 1)
			if (++item >= at->place.item)
				put_event(&enc, &ev, item == at->place.item ? at->place.done : 0);
		event_encoder_end(&enc);
		ck_assert_int_eq(trace_write(w, TRACE_EVENTS, r->chunk[i].position, enc.buf, enc.len), 0);
	}
	trace_buf_free(&buf);
	event_encoder_free(&enc);
}

static enum replay_result replay_all(const char *name, u64 *position, u64 *events)
{
	enum replay_result result;
	struct rig rig;

	rig_up(&rig, name);
	machine_run(rig.m, CLOCK_NEVER);
	result = replayer_finish(rig.rp);
	*position = replayer_progress(rig.rp).position;
	*events = replayer_progress(rig.rp).events;
	rig_down(&rig);
	return result;
}

static void cut_golden(const char *name, u64 position)
{
	struct cut at = {.position = position};
	struct replayer_place here;
	struct trace_reader *copy;
	struct trace_writer *w;
	u64 reached, events;
	struct rig rig;

	rig_up(&rig, name);
	ck_assert_int_eq(machine_run(rig.m, position), 0);
	ck_assert_uint_eq(machine_position(rig.m), position);
	ck_assert_int_eq(replayer_result(rig.rp), REPLAY_RUNNING);
	replayer_save(rig.rp, &here);
	at.place = here.stream;
	at.console = rig.printed;
	ck_assert_msg(!cut(rig.r, &at), "%s", err.text);
	copy = open_trace(part);
	ck_assert_msg(!trace_verify(copy, &err), "%s", err.text);
	trace_close(copy);
	/* As far as it goes it is the same run. */
	ck_assert_int_eq(replay_all(part, &reached, &events), REPLAY_CUT);
	ck_assert_uint_le(reached, position);
	ck_assert_uint_eq(events, here.events);
	/* And nothing is missing between the two parts. */
	w = create(part, 0);
	ck_assert_int_eq(trace_cut(rig.r, w, &at, &err), 0);
	put_rest(rig.r, &at, w);
	ck_assert_int_eq(trace_writer_close(w, &err), 0);
	ck_assert_int_eq(replay_all(part, &reached, &events), REPLAY_EQUAL);
	ck_assert_uint_ge(events, here.events);
	rig_down(&rig);
}

/* Its places have no counts: vmdbg branch settles it first. */
static bool ran_freely(const char *name)
{
	struct trace_reader *r = open_trace(name);
	struct session session;
	bool free;

	ck_assert_msg(!session_load(&session, r, NULL, NULL, NULL, &err), "%s", err.text);
	free = session.config.free;
	session_free(&session);
	trace_close(r);
	return free;
}

START_TEST(golden_traces_are_cut)
{
	glob_t found;

	ck_assert_int_eq(glob("traces/golden/*.vmt", 0, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		u64 last, events;

		ck_assert_int_eq(replay_all(found.gl_pathv[i], &last, &events), REPLAY_EQUAL);
		ck_assert_uint_gt(last, 100);
		if (ran_freely(found.gl_pathv[i]))
			continue;
		cut_golden(found.gl_pathv[i], 0);
		cut_golden(found.gl_pathv[i], 1);
		cut_golden(found.gl_pathv[i], last - 1);
		for (unsigned k = 0; k < 4; k++)
			cut_golden(found.gl_pathv[i], 2 + (u64)random_below(32768) * (last - 2) / 32768);
	}
	globfree(&found);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cut");
	TCase *tc = tcase_create("cut");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 240);
	tcase_add_test(tc, first_parts_are_what_was_recorded);
	tcase_add_test(tc, places_and_damage_are_checked);
	tcase_add_test(tc, golden_traces_are_cut);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
