/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Only RAM: target_read() never reaches a device. */
#include "gdbstub/stub_internal.h"

#define CHUNK 0x10000 /* searched or summed at a time */

static enum target_space space(const struct stub *s)
{
	return s->physical ? TARGET_PHYSICAL : TARGET_LINEAR;
}

static size_t read_memory(struct stub *s, u64 addr, void *buf, size_t len)
{
	return target_read(s->target, s->vcpu, space(s), addr, buf, len);
}

/* ADDR,LEN */
static bool args_range(struct args *a, u64 *addr, u64 *len)
{
	return args_hex(a, addr) && args_char(a, ',') && args_hex(a, len);
}

/* A range may end with the last address. */
static bool range_wraps(u64 addr, u64 len)
{
	return len && addr + (len - 1) < addr;
}

static size_t read_for_reply(struct stub *s, struct args *a, size_t max)
{
	u64 addr, len;
	size_t n;

	if (!args_range(a, &addr, &len) || !args_done(a) || !len) {
		reply_error(s, -EINVAL);
		return 0;
	}
	n = read_memory(s, addr, s->scratch, min64(len, max));
	if (!n)
		reply_error(s, -EFAULT);
	return n;
}

/* m: fewer bytes than asked where memory ends. */
void stub_read_hex(struct stub *s, struct args *a)
{
	packet_put_hex(&s->reply, s->scratch, read_for_reply(s, a, PACKET_MAX / 2));
}

/* x: the same in binary behind a 'b' (GDB 16, `binary-upload`). */
void stub_read_binary(struct stub *s, struct args *a)
{
	struct args probe = *a;
	u64 addr, len;
	size_t n;

	if (args_range(&probe, &addr, &len) && args_done(&probe) && !len) {
		packet_puts(&s->reply, "b");
		return;
	}
	n = read_for_reply(s, a, PACKET_MAX);
	if (!n)
		return;
	packet_puts(&s->reply, "b");
	packet_put_binary(&s->reply, s->scratch, n);
}

static void write_memory(struct stub *s, u64 addr, const void *data, size_t len)
{
	int ret = len ? s->target->ops->write(s->target, s->vcpu, space(s), addr, data, len) : 0;

	if (ret < 0)
		reply_error(s, ret);
	else
		reply_ok(s);
}

void stub_write_hex(struct stub *s, struct args *a)
{
	u64 addr, len;

	if (!args_range(a, &addr, &len) || !args_char(a, ':') || len > sizeof(s->scratch) ||
	    !packet_get_bytes(&a->s, a->end, s->scratch, len) || !args_done(a))
		reply_error(s, -EINVAL);
	else
		write_memory(s, addr, s->scratch, len);
}

/* X: GDB finds out with an empty one whether it is known. */
void stub_write_binary(struct stub *s, struct args *a)
{
	u64 addr, len;

	if (!args_range(a, &addr, &len) || !args_char(a, ':') || args_left(a) != len)
		reply_error(s, -EINVAL);
	else
		write_memory(s, addr, a->s, len);
}

/* Looks for @pattern in [addr, addr + len). 1: found at *@at; 0; -EFAULT where memory ends; -EINTR. */
static int search(struct stub *s, u64 addr, u64 len, const void *pattern, size_t plen, u64 *at)
{
	while (len >= plen) {
		size_t want = min64(len, CHUNK + plen - 1), n = read_memory(s, addr, s->scratch, want);
		const u8 *hit = memmem(s->scratch, n, pattern, plen);

		if (hit) {
			*at = addr + (hit - s->scratch);
			return 1;
		}
		if (n < want)
			return -EFAULT;
		if (atomic_load(&s->interrupted))
			return -EINTR;
		n = want - (plen - 1); /* a match may begin in the last bytes */
		addr += n;
		len -= n;
	}
	return 0;
}

/* qSearch:memory:ADDR;LEN;PATTERN */
void stub_search(struct stub *s, struct args *a)
{
	u64 addr, len, at = 0;
	int ret;

	if (!args_hex(a, &addr) || !args_char(a, ';') || !args_hex(a, &len) || !args_char(a, ';') || args_done(a) ||
	    args_left(a) > CHUNK || range_wraps(addr, len)) {
		reply_error(s, -EINVAL);
		return;
	}
	stub_begin_busy(s);
	ret = search(s, addr, len, a->s, args_left(a), &at);
	stub_end_busy(s);
	if (ret < 0)
		reply_error(s, ret);
	else if (ret)
		packet_printf(&s->reply, "1,%llx", (unsigned long long)at);
	else
		packet_puts(&s->reply, "0");
}

/* CRC-32 as GDB's manual gives it for qCRC: most significant bit first, all ones to begin with, nothing at the end. */
static u32 crc_add(u32 crc, const u8 *p, size_t len)
{
	u32 table[256];

	for (u32 i = 0; i < 256; i++) {
		u32 c = i << 24;

		for (unsigned bit = 0; bit < 8; bit++)
			c = c << 1 ^ (c >> 31 ? 0x04c11db7 : 0);
		table[i] = c;
	}
	for (size_t i = 0; i < len; i++)
		crc = crc << 8 ^ table[crc >> 24 ^ p[i]];
	return crc;
}

static int crc_range(struct stub *s, u64 addr, u64 len, u32 *crc)
{
	*crc = 0xffffffff;
	while (len) {
		size_t want = min64(len, CHUNK);

		if (read_memory(s, addr, s->scratch, want) < want)
			return -EFAULT;
		if (atomic_load(&s->interrupted))
			return -EINTR;
		*crc = crc_add(*crc, s->scratch, want);
		addr += want;
		len -= want;
	}
	return 0;
}

/* qCRC:ADDR,LEN */
void stub_crc(struct stub *s, struct args *a)
{
	u64 addr, len;
	u32 crc;
	int ret;

	if (!args_range(a, &addr, &len) || !args_done(a) || range_wraps(addr, len)) {
		reply_error(s, -EINVAL);
		return;
	}
	stub_begin_busy(s);
	ret = crc_range(s, addr, len, &crc);
	stub_end_busy(s);
	if (ret < 0)
		reply_error(s, ret);
	else
		packet_printf(&s->reply, "C%x", crc);
}
