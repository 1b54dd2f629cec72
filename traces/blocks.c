/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "traces/blocks.h"

#include <errno.h>

#define HEAD 12

int trace_block_encode(struct trace_buf *buf, const struct trace_block *rec)
{
	u8 head[HEAD];

	store64(head, rec->block);
	store32(head + 8, rec->len);
	if (trace_buf_reserve(buf, HEAD + rec->len))
		return -ENOMEM;
	trace_buf_add(buf, head, HEAD);
	return trace_buf_add(buf, rec->bytes, rec->len);
}

int trace_block_decode(struct trace_block *rec, const u8 *data, size_t len, size_t *at)
{
	size_t left = len - *at;

	if (left < HEAD)
		return -EBADMSG;
	rec->block = load64(data + *at);
	rec->len = load32(data + *at + 8);
	rec->bytes = data + *at + HEAD;
	if (!rec->len || rec->len > TRACE_BLOCK || rec->len > left - HEAD || rec->block >> 51)
		return -EBADMSG;
	*at += HEAD + rec->len;
	return 0;
}
