/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The fixed structures of a trace file as bytes: shared by writer and reader. */
#ifndef TRACES_CHUNK_H
#define TRACES_CHUNK_H

#include "traces/trace.h"

/* @version: of the format; @min_reader: the oldest version whose readers understand the file. */
void file_header_encode(u8 out[TRACE_HEADER_SIZE], u16 version, u16 min_reader);

/* @stored payload bytes at @payload; fills both checksums. chunk->offset is where the header will stand. */
void chunk_header_encode(u8 out[TRACE_CHUNK_SIZE], const struct trace_chunk *chunk, const u8 *payload);

/* Checks the header's own checksum and limits. False: these bytes are no chunk header of a file at @offset.
 * *@sum: checksum of the payload. */
bool chunk_header_decode(struct trace_chunk *chunk, const u8 in[TRACE_CHUNK_SIZE], u64 offset, u64 *sum);

u64 chunk_payload_sum(const u8 *payload, size_t len);

/* The payload of chunk @i as stored, checked, into r->in. Errors as trace_read(). */
int chunk_load(struct trace_reader *r, size_t i, struct error *err);

struct trailer {
	u64 index;  /* offset of the index chunk, or 0: too many chunks for one, scan */
	u64 chunks; /* in the file, without the index */
};

void trailer_encode(u8 out[TRACE_TRAILER_SIZE], const struct trailer *t, u64 offset);
bool trailer_decode(struct trailer *t, const u8 in[TRACE_TRAILER_SIZE], u64 offset);

/* The index chunk's payload. Returns -EFBIG when it would exceed TRACE_RAW_MAX. */
int index_encode(struct trace_buf *out, const struct trace_chunk *chunk, size_t count);

/* Decodes into a table that the caller frees. @limit: the file offset where all listed chunks must end. */
int index_decode(struct trace_chunk **chunk, size_t *count, const u8 *data, size_t len, u64 limit);

#endif
