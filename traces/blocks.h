/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The payload of TRACE_DISK chunks: blocks of the disk's base image, as they were read for the first time. */
#ifndef TRACES_BLOCKS_H
#define TRACES_BLOCKS_H

#include "traces/trace.h"

#define TRACE_BLOCK 4096u

struct trace_block {
	u64 block;       /* number: byte offset in the image / TRACE_BLOCK */
	u32 len;         /* 1 to TRACE_BLOCK: only the image's last block may be short */
	const u8 *bytes; /* decoded: points into the payload */
};

/* Appends one record. -ENOMEM. */
int trace_block_encode(struct trace_buf *buf, const struct trace_block *rec);
/* The record at *@at, which moves behind it. -EBADMSG. */
int trace_block_decode(struct trace_block *rec, const u8 *data, size_t len, size_t *at);

#endif
