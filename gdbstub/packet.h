/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Packets of GDB's remote serial protocol (GDB manual, appendix E.1 "Overview"): framing, checksums, escapes and
 * run-length encoding. Pure: bytes in, events and bytes out; no I/O, no allocation. */
#ifndef GDBSTUB_PACKET_H
#define GDBSTUB_PACKET_H

#include "vmm/types.h"

#define PACKET_MAX   0x40000              /* bytes of a packet's data after unescaping, either way; our PacketSize */
#define PACKET_FRAME (2 * PACKET_MAX + 8) /* room that packet_frame() needs */

enum packet_event {
	PACKET_NONE,      /* more bytes are needed */
	PACKET_DATA,      /* data[0..len) is a packet; a NUL follows it */
	PACKET_BAD,       /* wrong checksum or too long; dropped */
	PACKET_INTERRUPT, /* 0x03 between packets */
	PACKET_ACK,       /* '+' */
	PACKET_NACK,      /* '-' */
};

struct packet_parser {
	enum { PARSE_IDLE, PARSE_DATA, PARSE_ESCAPE, PARSE_SUM1, PARSE_SUM2 } state;
	bool no_ack; /* checksums are not looked at: a client that gets no acknowledgement could not repeat anyway */
	bool overflow;
	u8 sum, given;
	size_t len;
	char data[PACKET_MAX + 1];
};

void packet_parser_init(struct packet_parser *p);

/* One byte from the client. */
enum packet_event packet_feed(struct packet_parser *p, u8 byte);

/* A reply under construction. What does not fit is dropped and noted in @overflow. */
struct packet_out {
	char *buf;
	size_t size, len;
	bool overflow;
};

void packet_out_init(struct packet_out *o, char *buf, size_t size);
void packet_put(struct packet_out *o, const void *data, size_t len);
void packet_puts(struct packet_out *o, const char *s);
void packet_printf(struct packet_out *o, const char *fmt, ...) PRINTF(2, 3);
/* Two lower-case hex digits a byte. */
void packet_put_hex(struct packet_out *o, const void *data, size_t len);
/* Binary data with '#', '$', '}' and '*' escaped; returns how many of @len bytes fitted (never half an escape). */
size_t packet_put_binary(struct packet_out *o, const void *data, size_t len);

/* Writes "$DATA#SUM" with runs encoded where that is shorter; returns its length. @len is at most PACKET_MAX, @frame
 * holds PACKET_FRAME bytes. */
size_t packet_frame(char *frame, const char *data, size_t len);

/* Parsing of a packet's text; each moves *@s behind what it took. */

/* A hex number of at most 16 digits; false (and *@s unmoved) when there is none or it is longer. */
bool packet_get_hex(const char **s, const char *end, u64 *value);
/* The character @c. */
bool packet_get_char(const char **s, const char *end, char c);
/* Exactly @len bytes from 2 * @len hex digits. */
bool packet_get_bytes(const char **s, const char *end, void *out, size_t len);

int packet_hex_digit(char c); /* -1: not one */

#endif
