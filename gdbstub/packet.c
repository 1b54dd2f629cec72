/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "gdbstub/packet.h"

#include <stdarg.h>
#include <stdio.h>

#define ESCAPE     '}'
#define ESCAPE_XOR 0x20
#define RUN        '*'
#define RUN_BIAS   29 /* the count's character is the number of further copies plus this */
#define RUN_MIN    3  /* further copies; fewer gain nothing */
#define RUN_MAX    ('~' - RUN_BIAS)
#define INTERRUPT  0x03

int packet_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

void packet_parser_init(struct packet_parser *p)
{
	p->state = PARSE_IDLE;
	p->no_ack = false;
	p->overflow = false;
	p->sum = 0;
	p->given = 0;
	p->len = 0;
	p->data[0] = 0;
}

static void packet_begin(struct packet_parser *p)
{
	p->state = PARSE_DATA;
	p->overflow = false;
	p->sum = 0;
	p->len = 0;
}

static void packet_add(struct packet_parser *p, u8 byte)
{
	if (p->len < PACKET_MAX)
		p->data[p->len++] = byte;
	else
		p->overflow = true;
}

static enum packet_event feed_idle(struct packet_parser *p, u8 byte)
{
	switch (byte) {
	case '$':
		packet_begin(p);
		return PACKET_NONE;
	case INTERRUPT:
		return PACKET_INTERRUPT;
	case '+':
		return PACKET_ACK;
	case '-':
		return PACKET_NACK;
	}
	return PACKET_NONE; /* noise on the line */
}

static enum packet_event feed_data(struct packet_parser *p, u8 byte)
{
	/* An unescaped '$' never stands inside a packet: the client has begun a new one. */
	if (byte == '$') {
		packet_begin(p);
		return PACKET_NONE;
	}
	if (byte == '#') {
		p->overflow |= p->state == PARSE_ESCAPE;
		p->state = PARSE_SUM1;
		return PACKET_NONE;
	}
	p->sum += byte;
	if (p->state == PARSE_ESCAPE) {
		packet_add(p, byte ^ ESCAPE_XOR);
		p->state = PARSE_DATA;
	} else if (byte == ESCAPE) {
		p->state = PARSE_ESCAPE;
	} else {
		packet_add(p, byte);
	}
	return PACKET_NONE;
}

enum packet_event packet_feed(struct packet_parser *p, u8 byte)
{
	int digit = packet_hex_digit(byte);

	switch (p->state) {
	case PARSE_IDLE:
		return feed_idle(p, byte);
	case PARSE_DATA:
	case PARSE_ESCAPE:
		return feed_data(p, byte);
	case PARSE_SUM1:
		p->given = (unsigned)digit << 4;
		p->overflow |= digit < 0;
		p->state = PARSE_SUM2;
		return PACKET_NONE;
	case PARSE_SUM2:
		p->state = PARSE_IDLE;
		p->data[p->len] = 0;
		if (p->overflow || digit < 0 || (!p->no_ack && (p->given | digit) != p->sum))
			return PACKET_BAD;
		return PACKET_DATA;
	}
	return PACKET_NONE;
}

void packet_out_init(struct packet_out *o, char *buf, size_t size)
{
	*o = (struct packet_out){.buf = buf, .size = size};
}

void packet_put(struct packet_out *o, const void *data, size_t len)
{
	if (len > o->size - o->len) {
		o->overflow = true;
		return;
	}
	memcpy(o->buf + o->len, data, len);
	o->len += len;
}

void packet_puts(struct packet_out *o, const char *s)
{
	packet_put(o, s, strlen(s));
}

void packet_printf(struct packet_out *o, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(text))
		o->overflow = true;
	else
		packet_put(o, text, n);
}

void packet_put_hex(struct packet_out *o, const void *data, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const u8 *p = data;

	if (len > (o->size - o->len) / 2) {
		o->overflow = true;
		return;
	}
	for (size_t i = 0; i < len; i++) {
		o->buf[o->len++] = digits[p[i] >> 4];
		o->buf[o->len++] = digits[p[i] & 15];
	}
}

size_t packet_put_binary(struct packet_out *o, const void *data, size_t len)
{
	const u8 *p = data;

	for (size_t i = 0; i < len; i++) {
		bool escape = p[i] == '#' || p[i] == '$' || p[i] == ESCAPE || p[i] == RUN;

		if (o->size - o->len < 1u + escape)
			return i;
		if (escape)
			o->buf[o->len++] = ESCAPE;
		o->buf[o->len++] = escape ? p[i] ^ ESCAPE_XOR : p[i];
	}
	return len;
}

/* How many further copies of @data[0] may be encoded as one run. The count's character may not be one that means
 * something on the line. */
static size_t run_length(const char *data, size_t len)
{
	size_t n = 0;

	while (n + 1 < len && n < RUN_MAX && data[n + 1] == data[0])
		n++;
	while (n >= RUN_MIN && strchr("#$+-", n + RUN_BIAS))
		n--;
	return n;
}

size_t packet_frame(char *frame, const char *data, size_t len)
{
	bool escaped = false;
	size_t at = 0;
	u8 sum = 0;

	frame[at++] = '$';
	for (size_t i = 0; i < len; i++) {
		/* A run of an escape's second byte would be read differently by clients that unescape first. */
		size_t n = escaped || data[i] == ESCAPE ? 0 : run_length(data + i, len - i);

		escaped = !escaped && data[i] == ESCAPE;
		frame[at++] = data[i];
		if (n >= RUN_MIN) {
			frame[at++] = RUN;
			frame[at++] = n + RUN_BIAS;
			i += n;
		}
	}
	for (size_t i = 1; i < at; i++)
		sum += frame[i];
	return at + sprintf(frame + at, "#%02x", sum);
}

bool packet_get_hex(const char **s, const char *end, u64 *value)
{
	const char *p = *s;
	u64 v = 0;

	for (; p < end && packet_hex_digit(*p) >= 0; p++) {
		if (v >> 60)
			return false;
		v = v << 4 | packet_hex_digit(*p);
	}
	if (p == *s)
		return false;
	*s = p;
	*value = v;
	return true;
}

bool packet_get_char(const char **s, const char *end, char c)
{
	if (*s >= end || **s != c)
		return false;
	++*s;
	return true;
}

bool packet_get_bytes(const char **s, const char *end, void *out, size_t len)
{
	u8 *p = out;

	if (len > (size_t)(end - *s) / 2)
		return false;
	for (size_t i = 0; i < len; i++) {
		int hi = packet_hex_digit((*s)[2 * i]), lo = packet_hex_digit((*s)[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		p[i] = hi << 4 | lo;
	}
	*s += 2 * len;
	return true;
}
