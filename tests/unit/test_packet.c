/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "gdbstub/packet.h"

static struct packet_parser parser;

static void setup(void)
{
	packet_parser_init(&parser);
}

static enum packet_event feed(const char *bytes, size_t len)
{
	enum packet_event event = PACKET_NONE;

	for (size_t i = 0; i < len; i++) {
		ck_assert_int_eq(event, PACKET_NONE);
		event = packet_feed(&parser, bytes[i]);
	}
	return event;
}

#define FEED(s) feed(s, sizeof(s) - 1)

START_TEST(plain_packets)
{
	ck_assert_int_eq(FEED("$OK#9a"), PACKET_DATA);
	ck_assert_str_eq(parser.data, "OK");
	ck_assert_int_eq(FEED("$#00"), PACKET_DATA);
	ck_assert_uint_eq(parser.len, 0);
	ck_assert_int_eq(FEED("$m1000,4#8E"), PACKET_DATA);
	ck_assert_str_eq(parser.data, "m1000,4");
	ck_assert_int_eq(FEED("+"), PACKET_ACK);
	ck_assert_int_eq(FEED("-"), PACKET_NACK);
	ck_assert_int_eq(FEED("\x03"), PACKET_INTERRUPT);
	ck_assert_int_eq(FEED("noise\x80"), PACKET_NONE);
}
END_TEST

START_TEST(wrong_checksum)
{
	ck_assert_int_eq(FEED("$OK#9b"), PACKET_BAD);
	ck_assert_int_eq(FEED("$OK#zz"), PACKET_BAD);
	ck_assert_int_eq(FEED("$OK#9z"), PACKET_BAD);
	ck_assert_int_eq(FEED("$OK#9a"), PACKET_DATA);
	parser.no_ack = true;
	ck_assert_int_eq(FEED("$OK#00"), PACKET_DATA);
	ck_assert_int_eq(FEED("$OK#0z"), PACKET_BAD);
}
END_TEST

START_TEST(binary)
{
	/* X1000,4: with '#', '$', '}' and 0x03 in the data */
	static const char bytes[] = "$X1000,4:}\x03}\x04}]\x03#";
	char sum[3];
	u8 total = 0;

	for (size_t i = 1; i + 2 < sizeof(bytes); i++)
		total += bytes[i];
	snprintf(sum, sizeof(sum), "%02x", total);
	ck_assert_int_eq(FEED(bytes), PACKET_NONE);
	ck_assert_int_eq(feed(sum, 2), PACKET_DATA);
	ck_assert_uint_eq(parser.len, 12);
	ck_assert_mem_eq(parser.data, "X1000,4:#$}\x03", 12);
}
END_TEST

START_TEST(begun_again)
{
	ck_assert_int_eq(FEED("$half a pack$OK#9a"), PACKET_DATA);
	ck_assert_str_eq(parser.data, "OK");
	ck_assert_int_eq(FEED("$ab}#1d"), PACKET_BAD); /* an escape with nothing behind it */
}
END_TEST

START_TEST(too_long)
{
	packet_feed(&parser, '$');
	for (size_t i = 0; i < PACKET_MAX; i++)
		packet_feed(&parser, 'a');
	ck_assert_int_eq(FEED("#00"), PACKET_DATA); /* 0x40000 * 'a' sums up to 0 */
	ck_assert_uint_eq(parser.len, PACKET_MAX);
	packet_feed(&parser, '$');
	for (size_t i = 0; i < 3 * PACKET_MAX; i++)
		packet_feed(&parser, 'a');
	ck_assert_int_eq(FEED("#00"), PACKET_BAD);
	ck_assert_int_eq(FEED("$OK#9a"), PACKET_DATA);
}
END_TEST

static char frame[PACKET_FRAME + 1];

static const char *framed(const char *data, size_t len)
{
	frame[packet_frame(frame, data, len)] = 0;
	return frame;
}

START_TEST(runs)
{
	ck_assert_str_eq(framed("", 0), "$#00");
	ck_assert_str_eq(framed("OK", 2), "$OK#9a");
	/* GDB manual E.1: "0* " is "0000" */
	ck_assert_str_eq(framed("0000", 4), "$0* #7a");
	ck_assert_str_eq(framed("000", 3), "$000#90");
	/* seven and eight zeros would need '#' and '$' as counts, 15 '+' and 17 '-' */
	ck_assert_str_eq(framed("0000000", 7), "$0*\"0#ac");
	ck_assert_str_eq(framed("00000000", 8), "$0*\"00#dc");
	for (size_t n = 1; n < 300; n++) {
		char data[300];
		const char *f;

		memset(data, '0', n);
		f = framed(data, n);
		for (const char *p = f + 1; p < strrchr(f, '#'); p++)
			ck_assert_ptr_null(strchr("#$+-", *p));
	}
}
END_TEST

/* As GDB reads it: runs are expanded first, escapes taken away then. */
static size_t unframe(const char *f, char *out)
{
	size_t len = 0, n = 0;
	static char wide[4 * PACKET_MAX];

	ck_assert_int_eq(*f++, '$');
	for (; *f != '#'; f++) {
		if (*f == '*') {
			for (int i = *++f - 29; i > 0; i--, len++)
				wide[len] = wide[len - 1];
		} else {
			wide[len++] = *f;
		}
	}
	for (size_t i = 0; i < len; i++)
		out[n++] = wide[i] == '}' ? wide[++i] ^ 0x20 : wide[i];
	return n;
}

START_TEST(round_trip)
{
	static u8 data[4096];
	static char buf[2 * sizeof(data)], back[2 * sizeof(data)];

	srand(1);
	for (unsigned round = 0; round < 200; round++) {
		size_t len = rand() % sizeof(data);
		struct packet_out o;

		for (size_t i = 0; i < len; i++)
			data[i] = rand() % 3 ? (i ? data[i - 1] : 0) : rand() % 5 ? rand() : "#$}*+-"[rand() % 6];
		packet_out_init(&o, buf, sizeof(buf));
		ck_assert_uint_eq(packet_put_binary(&o, data, len), len);
		frame[packet_frame(frame, o.buf, o.len)] = 0;
		ck_assert_uint_eq(unframe(frame, back), len);
		ck_assert_mem_eq(back, data, len);
	}
}
END_TEST

START_TEST(bounded_output)
{
	char buf[8];
	struct packet_out o;

	packet_out_init(&o, buf, sizeof(buf));
	packet_put_hex(&o, "\x01\xab\xff", 3);
	ck_assert_mem_eq(buf, "01abff", 6);
	packet_put_hex(&o, "ab", 2);
	ck_assert(o.overflow);
	ck_assert_uint_eq(o.len, 6);
	ck_assert_uint_eq(packet_put_binary(&o, "a#", 2), 1); /* no half of an escape */
	ck_assert_uint_eq(o.len, 7);
	packet_puts(&o, "xy");
	ck_assert_uint_eq(o.len, 7);
	packet_printf(&o, "%d", 7);
	ck_assert_mem_eq(buf, "01abffa7", 8);
}
END_TEST

START_TEST(numbers)
{
	const char *s = "ffffffffffffffff,0,12345678912345678g", *end = s + strlen(s);
	u8 bytes[2];
	u64 v;

	ck_assert(packet_get_hex(&s, end, &v));
	ck_assert_uint_eq(v, ~0ull);
	ck_assert(packet_get_char(&s, end, ','));
	ck_assert(packet_get_hex(&s, end, &v));
	ck_assert_uint_eq(v, 0);
	ck_assert(!packet_get_hex(&s, end, &v));
	ck_assert(packet_get_char(&s, end, ','));
	ck_assert(!packet_get_hex(&s, end, &v)); /* 17 digits */
	ck_assert(packet_get_bytes(&s, end, bytes, 2));
	ck_assert_mem_eq(bytes, "\x12\x34", 2);
	s = end - 1;
	ck_assert(!packet_get_bytes(&s, end, bytes, 1));
	s = end - 2;
	ck_assert(!packet_get_bytes(&s, end, bytes, 1));
	ck_assert(!packet_get_char(&end, end, 'x'));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("packet");
	TCase *tc = tcase_create("packet");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, plain_packets);
	tcase_add_test(tc, wrong_checksum);
	tcase_add_test(tc, binary);
	tcase_add_test(tc, begun_again);
	tcase_add_test(tc, too_long);
	tcase_add_test(tc, runs);
	tcase_add_test(tc, round_trip);
	tcase_add_test(tc, bounded_output);
	tcase_add_test(tc, numbers);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
