/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The codec of event chunks, digests, console and end records. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <zstd.h>

#include "traces/event.h"
#include "traces/record.h"
#include "traces/wire.h"

static struct event_encoder enc;
static struct event_decoder dec;

static void setup(void)
{
	ck_assert_int_eq(event_encoder_init(&enc), 0);
	event_encoder_begin(&enc, 1000);
}

static void teardown(void)
{
	event_encoder_free(&enc);
}

static void decode(void)
{
	event_encoder_end(&enc);
	event_decoder_init(&dec, enc.buf, enc.len, 1000);
}

static struct event next(void)
{
	struct event ev;

	ck_assert_int_eq(event_next(&dec, &ev), 1);
	return ev;
}

static void expect_end(void)
{
	struct event ev;

	ck_assert_int_eq(event_next(&dec, &ev), 0);
}

START_TEST(varint_is_leb128)
{
	static const u64 value[] = {0, 1, 127, 128, 300, 0xffffffff, 1ull << 63, ~0ull};
	u8 buf[VARINT_MAX];

	ck_assert_ptr_eq(put_varint(buf, 300), buf + 2);
	ck_assert_uint_eq(buf[0], 0xac);
	ck_assert_uint_eq(buf[1], 0x02);
	for (size_t i = 0; i < ARRAY_SIZE(value); i++) {
		u8 *end = put_varint(buf, value[i]);
		struct wire w = {buf, end, false};

		ck_assert_uint_eq(wire_varint(&w), value[i]);
		ck_assert(!w.bad && w.p == end);
		w = (struct wire){buf, end - 1, false};
		wire_varint(&w);
		ck_assert(w.bad);
		ck_assert_uint_eq(unzigzag(zigzag(value[i])), value[i]);
	}
	ck_assert_uint_eq(zigzag((u64)-1), 1);
	ck_assert_uint_eq(zigzag(1), 2);
}
END_TEST

START_TEST(varint_longer_than_64_bits_is_bad)
{
	u8 buf[11] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0};
	struct wire w = {buf, buf + 11, false};

	wire_varint(&w);
	ck_assert(w.bad);
	buf[9] = 0x81;
	w = (struct wire){buf, buf + 11, false};
	wire_varint(&w);
	ck_assert(w.bad);
}
END_TEST

START_TEST(all_kinds_come_back)
{
	struct event_mark mark = {2000, 300, 0xffffffff81000000ull, 5, 0x1122334455667788ull}, later = mark;
	struct event ev;

	later.insns += 17;
	later.rip -= 4;
	later.rcx = ~0ull;
	event_put_read(&enc, 0, 0, 0x3fd, 1, 0x60);
	event_put_read(&enc, 3, 1, 0xfee00390, 4, 0xfedcba98);
	event_put_clock(&enc, 1, 123456789);
	event_put_interrupt(&enc, 0, &mark, 0, 0x30, 0xabcdef);
	event_put_interrupt(&enc, 0, &later, 1, 2, 0xabcdef);
	event_put_input(&enc, 0, &later, EVENT_IDLE, 123456790, 0, (const u8 *)"hello", 5);
	event_put_advance(&enc, 0, &later, 0, 223456790);
	event_put_poke(&enc, 0, &later, POKE_MEMORY, 0x123456000, (const u8 *)"poke", 4);
	event_put_poke(&enc, 1, &mark, POKE_REGISTERS, 0, (const u8 *)"rax", 3);
	ck_assert(enc.pokes);
	decode();

	ev = next();
	ck_assert(ev.type == EVENT_IO_READ && ev.vcpu == 0 && ev.space == 0 && ev.addr == 0x3fd && ev.size == 1);
	ck_assert(ev.value == 0x60 && ev.count == 1);
	ev = next();
	ck_assert(ev.type == EVENT_IO_READ && ev.vcpu == 3 && ev.space == 1 && ev.addr == 0xfee00390 && ev.size == 4);
	ck_assert(ev.value == 0xfedcba98);
	ev = next();
	ck_assert(ev.type == EVENT_CLOCK && ev.ns == 123456789 && ev.vcpu == 1);
	ev = next();
	ck_assert(ev.type == EVENT_INTERRUPT && ev.kind == 0 && ev.vector == 0x30 && ev.writes == 0xabcdef);
	ck_assert_int_eq(memcmp(&ev.mark, &mark, sizeof(mark)), 0);
	ck_assert(event_is_async(&ev));
	ev = next();
	ck_assert(ev.type == EVENT_INTERRUPT && ev.kind == 1 && ev.vector == 2 && ev.writes == 0xabcdef);
	ck_assert_int_eq(memcmp(&ev.mark, &later, sizeof(mark)), 0);
	ev = next();
	ck_assert(ev.type == EVENT_INPUT && ev.flags == EVENT_IDLE && ev.len == 5 && !memcmp(ev.bytes, "hello", 5));
	ck_assert(ev.ns == 123456790 && ev.source == 0);
	ev = next();
	ck_assert(ev.type == EVENT_ADVANCE && ev.ns == 223456790);
	ev = next();
	ck_assert(ev.type == EVENT_POKE && ev.what == POKE_MEMORY && ev.addr == 0x123456000 && ev.len == 4);
	ck_assert(!memcmp(ev.bytes, "poke", 4) && event_is_async(&ev));
	ev = next();
	ck_assert(ev.type == EVENT_POKE && ev.vcpu == 1 && ev.what == POKE_REGISTERS && ev.len == 3);
	expect_end();
}
END_TEST

/* An ADVANCE with a place's state, and the flags that one may have. */
START_TEST(places_come_back)
{
	static const u8 flags[] = {EVENT_STATE, EVENT_STATE | EVENT_STOPS};
	struct event want = {.type = EVENT_ADVANCE,
			     .vcpu = 2,
			     .ns = 777,
			     .base = 0xf0000,
			     .state = ~1ull,
			     .memory = 0x0123456789abcdefull};
	struct event ev;

	want.mark = (struct event_mark){2000, 0, 0xfff0, 5, 42};
	for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
		want.flags = flags[i];
		event_put_advance_at(&enc, &want);
	}
	decode();
	for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
		ev = next();
		ck_assert(ev.type == EVENT_ADVANCE && ev.vcpu == 2 && ev.flags == flags[i] && ev.ns == 777);
		ck_assert(ev.base == want.base && ev.state == want.state && ev.memory == want.memory);
		ck_assert_int_eq(memcmp(&ev.mark, &want.mark, sizeof(ev.mark)), 0);
	}
	expect_end();
	for (unsigned bad = 0; bad < 256; bad++) {
		struct event_decoder dec;
		u8 chunk[64] = {0x06, (u8)bad};

		event_decoder_init(&dec, chunk, sizeof(chunk), 0);
		ck_assert_int_eq(event_next(&dec, &ev), bad <= 2 || bad == 6 ? 1 : -EBADMSG);
	}
}
END_TEST

/* What a run of reads decodes to, one by one. */
static void expect_reads(const u64 *value, size_t count)
{
	struct event ev = {0};
	u64 done = 0;

	for (size_t i = 0; i < count; i++) {
		if (done == ev.count) {
			ev = next();
			done = 0;
		}
		ck_assert_uint_eq(done++ & 1 ? ev.other : ev.value, value[i]);
	}
	ck_assert_uint_eq(done, ev.count);
	expect_end();
}

START_TEST(reads_of_every_pattern_come_back)
{
	u64 value[4000];
	u32 seed = 12345;

	for (size_t i = 0; i < ARRAY_SIZE(value); i++) {
		seed = seed * 1664525 + 1013904223;
		if (i < 100)
			value[i] = 0x60;
		else if (i < 300)
			value[i] = i & 1;
		else if (i < 1000)
			value[i] = seed >> 30;
		else if (i < 2000)
			value[i] = i / 7;
		else
			value[i] = (u64)seed << 32 | seed;
		event_put_read(&enc, 0, 0, 0x40, 8, value[i]);
	}
	decode();
	expect_reads(value, ARRAY_SIZE(value));
}
END_TEST

START_TEST(many_sites_come_back)
{
	struct event ev;

	for (unsigned round = 0; round < 3; round++)
		for (unsigned i = 0; i < 500; i++)
			event_put_read(&enc, i & 3, i & 1, i * 0x1001, 4, i * round);
	decode();
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 500; i++) {
			ev = next();
			ck_assert(ev.count == 1 && ev.vcpu == (i & 3) && ev.space == (i & 1));
			ck_assert(ev.addr == i * 0x1001 && ev.value == i * round);
		}
	}
	expect_end();
}
END_TEST

START_TEST(runs_cost_nothing)
{
	for (unsigned i = 0; i < 1000000; i++)
		event_put_read(&enc, 0, 0, 0x3fd, 1, 0x60);
	for (unsigned i = 0; i < 1000000; i++)
		event_put_read(&enc, 0, 0, 0x42, 1, i & 1 ? 0x12 : 0xfe);
	event_encoder_end(&enc);
	ck_assert_uint_le(enc.len, 32);
	ck_assert_uint_eq(enc.events, 2000000);
}
END_TEST

START_TEST(full_chunk_stays_in_its_buffer)
{
	u8 bytes[EVENT_INPUT_MAX] = {1, 2, 3};
	struct event_mark mark = {~0ull, ~0ull, ~0ull / 2, ~0ull / 3, ~0ull};
	unsigned n = 0;

	while (!event_encoder_full(&enc)) {
		event_put_input(&enc, 0, &mark, 0, ~0ull, 0, bytes, sizeof(bytes));
		n++;
	}
	decode();
	while (n--)
		ck_assert_uint_eq(next().len, EVENT_INPUT_MAX);
	expect_end();
}
END_TEST

static int decode_all(const u8 *data, size_t len)
{
	struct event ev;
	int ret;

	event_decoder_init(&dec, data, len, 1000);
	while ((ret = event_next(&dec, &ev)) > 0)
		;
	return ret;
}

START_TEST(bad_bytes_are_refused)
{
	static const struct {
		u8 byte[16];
		size_t len;
	} bad[] = {
	    {{0x00}, 1},                 /* no operation */
	    {{0x07}, 1},                 /* unknown operation */
	    {{0x02, 0x01}, 2},           /* repeat of nothing */
	    {{0x45}, 1},                 /* empty site */
	    {{0x01, 0, 0x04, 1, 1}, 5},  /* log2 size 4 */
	    {{0x01, 64, 0x00, 1, 1}, 5}, /* vCPU 64 */
	    {{0x01, 0, 0x00, 1}, 4},     /* cut off */
	    {{0x03, 0}, 2},              /* cut off */
	    {{0x04, 0x08, 0x30}, 3},     /* unknown flag */
	    {{0x03, 0, 1, 0x03, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, 15}, /* time runs over */
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_msg(decode_all(bad[i].byte, bad[i].len) == -EBADMSG, "case %zu", i);
}
END_TEST

START_TEST(hostile_input_length_is_refused)
{
	struct event_mark mark = {0};
	u8 one = 1;

	event_put_input(&enc, 0, &mark, 0, 0, 0, &one, 1);
	event_encoder_end(&enc);
	/* ... source, length 1, byte: a length beyond the chunk, one beyond the limit, and none */
	enc.buf[enc.len - 2] = 2;
	ck_assert_int_eq(decode_all(enc.buf, enc.len), -EBADMSG);
	enc.buf[enc.len - 2] = 0;
	ck_assert_int_eq(decode_all(enc.buf, enc.len), -EBADMSG);
}
END_TEST

START_TEST(description_never_overflows)
{
	struct event ev;
	char text[20];

	memset(&ev, 0xff, sizeof(ev));
	for (unsigned type = 0; type < 8; type++) {
		ev.type = (u8)type;
		memset(text, 'x', sizeof(text));
		event_describe(&ev, text, 10);
		ck_assert_uint_lt(strlen(text), 10);
	}
}
END_TEST

START_TEST(read_is_fast)
{
	struct timespec a, b;
	u64 ns;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	for (unsigned i = 0; i < 2000000; i++) {
		event_put_read(&enc, 0, 0, 0x3f8 + (i % 3), 1, i % 16 == 0);
		if (event_encoder_full(&enc)) {
			event_encoder_end(&enc);
			event_encoder_begin(&enc, 1000);
		}
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	ns = (u64)(b.tv_sec - a.tv_sec) * 1000000000 + (u64)b.tv_nsec - (u64)a.tv_nsec;
	/* Generous: instrumented builds run this too. */
	ck_assert_uint_lt(ns / 2000000, 1000);
}
END_TEST

START_TEST(digest_records_come_back)
{
	u8 image[1000];
	struct trace_buf buf = {0};
	struct digest_record a = {.position = 5000, .branches = 77, .ns = 9, .state = 1, .memory = 2, .writes = 3}, b,
			     c;
	struct digest_decoder d;

	for (size_t i = 0; i < sizeof(image); i++)
		image[i] = (u8)(i * 7);
	a.image = image;
	a.image_len = sizeof(image);
	b = a;
	b.position = 6000;
	b.flags = DIGEST_FINAL;
	ck_assert_int_eq(digest_encode(&buf, &a, NULL), 0);
	ck_assert_int_eq(digest_encode(&buf, &b, &a), 0);
	digest_decoder_init(&d, buf.data, buf.len, 5000);
	ck_assert_int_eq(digest_next(&d, &c), 1);
	ck_assert(c.position == 5000 && c.branches == 77 && c.state == 1 && c.memory == 2 && c.writes == 3);
	ck_assert(c.image_len == sizeof(image) && !memcmp(c.image, image, sizeof(image)));
	ck_assert_int_eq(digest_next(&d, &c), 1);
	ck_assert(c.position == 6000 && c.flags == DIGEST_FINAL && !memcmp(c.image, image, sizeof(image)));
	ck_assert_int_eq(digest_next(&d, &c), 0);
	digest_decoder_free(&d);
	for (size_t len = 1; len < buf.len; len++) {
		int ret;

		digest_decoder_init(&d, buf.data, len, 5000);
		do
			ret = digest_next(&d, &c);
		while (ret > 0);
		digest_decoder_free(&d);
		/* Only the end of the first record is a clean end. */
		ck_assert(ret == -EBADMSG || len > sizeof(image));
	}
	trace_buf_free(&buf);
}
END_TEST

START_TEST(console_and_end_records_come_back)
{
	struct trace_buf buf = {0};
	struct console_record r = {.position = 500, .port = 1, .len = 3, .bytes = (const u8 *)"abc"};
	struct console_decoder d;
	struct end_record end = {.reason = 3,
				 .code = 0x12345678,
				 .mark = {9, 8, 7, 6, 5},
				 .ns = 4,
				 .writes = 3,
				 .events = 2,
				 .console = 1},
			  back;

	ck_assert_int_eq(console_encode(&buf, &r, 400), 0);
	ck_assert_int_eq(console_encode(&buf, &r, 500), 0);
	console_decoder_init(&d, buf.data, buf.len, 400);
	for (unsigned i = 0; i < 2; i++) {
		memset(&r, 0, sizeof(r));
		ck_assert_int_eq(console_next(&d, &r), 1);
		ck_assert(r.position == 500 && r.port == 1 && r.len == 3 && !memcmp(r.bytes, "abc", 3));
	}
	ck_assert_int_eq(console_next(&d, &r), 0);
	console_decoder_init(&d, buf.data, 5, 400);
	ck_assert_int_eq(console_next(&d, &r), -EBADMSG);

	buf.len = 0;
	ck_assert_int_eq(end_encode(&buf, &end), 0);
	ck_assert_int_eq(end_decode(&back, buf.data, buf.len), 0);
	ck_assert_int_eq(memcmp(&back, &end, sizeof(end)), 0);
	for (size_t len = 0; len < buf.len; len++)
		ck_assert_int_eq(end_decode(&back, buf.data, len), -EBADMSG);
	trace_buf_free(&buf);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("event");
	TCase *tc = tcase_create("codec");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, varint_is_leb128);
	tcase_add_test(tc, varint_longer_than_64_bits_is_bad);
	tcase_add_test(tc, all_kinds_come_back);
	tcase_add_test(tc, places_come_back);
	tcase_add_test(tc, reads_of_every_pattern_come_back);
	tcase_add_test(tc, many_sites_come_back);
	tcase_add_test(tc, runs_cost_nothing);
	tcase_add_test(tc, full_chunk_stays_in_its_buffer);
	tcase_add_test(tc, bad_bytes_are_refused);
	tcase_add_test(tc, hostile_input_length_is_refused);
	tcase_add_test(tc, description_never_overflows);
	tcase_add_test(tc, read_is_fast);
	tcase_add_test(tc, digest_records_come_back);
	tcase_add_test(tc, console_and_end_records_come_back);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
