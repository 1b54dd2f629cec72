/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Looks at every byte of a trace. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "traces/blocks.h"
#include "traces/checkpoint.h"
#include "traces/record.h"
#include "traces/trace.h"

static int verify_events(const struct trace_chunk *chunk, const u8 *data, size_t len)
{
	struct event_decoder *dec = malloc(sizeof(*dec));
	struct event ev;
	int ret;

	if (!dec)
		return -ENOMEM;
	event_decoder_init(dec, data, len, chunk->position);
	do
		ret = event_next(dec, &ev);
	while (ret > 0);
	free(dec);
	return ret;
}

static int verify_digests(const struct trace_chunk *chunk, const u8 *data, size_t len)
{
	struct digest_decoder dec;
	struct digest_record rec;
	int ret;

	digest_decoder_init(&dec, data, len, chunk->position);
	do
		ret = digest_next(&dec, &rec);
	while (ret > 0);
	digest_decoder_free(&dec);
	return ret;
}

static int verify_console(const struct trace_chunk *chunk, const u8 *data, size_t len)
{
	struct console_decoder dec;
	struct console_record rec;
	int ret;

	console_decoder_init(&dec, data, len, chunk->position);
	do
		ret = console_next(&dec, &rec);
	while (ret > 0);
	return ret;
}

/* A blob whose parts are being read: they follow each other without another blob in between. */
struct blob_check {
	XXH3_state_t *hash;
	struct trace_digest digest;
	u64 total, have; /* have < total: more parts must come */
};

static int verify_blob(struct blob_check *check, const struct trace_chunk *chunk, const u8 *data, size_t len)
{
	struct trace_blob_part part;
	XXH128_canonical_t found;

	if (trace_blob_part_decode(&part, data, len) || trace_digest_key(&part.digest) != chunk->key)
		return -EBADMSG;
	if (check->have < check->total) {
		if (memcmp(&part.digest, &check->digest, sizeof(part.digest)) || part.total != check->total)
			return -EBADMSG;
	} else {
		XXH3_128bits_reset(check->hash);
		check->digest = part.digest;
		check->total = part.total;
		check->have = 0;
	}
	if (part.offset != check->have)
		return -EBADMSG;
	if (part.name_only) {
		check->have = check->total;
		return 0;
	}
	XXH3_128bits_update(check->hash, part.data, part.len);
	check->have += part.len;
	if (check->have < check->total)
		return 0;
	XXH128_canonicalFromHash(&found, XXH3_128bits_digest(check->hash));
	return memcmp(found.digest, check->digest.byte, sizeof(found.digest)) ? -EBADMSG : 0;
}

static int verify_disk(const u8 *data, size_t len)
{
	struct trace_block rec;
	size_t at = 0;
	int ret = 0;

	while (!ret && at < len)
		ret = trace_block_decode(&rec, data, len, &at);
	return ret;
}

static int verify_end(const u8 *data, size_t len)
{
	struct end_record end;
	int ret = end_decode(&end, data, len);

	return !ret && (end.flags & ~(END_IDLE | END_AMID)) ? -EBADMSG : ret;
}

static int verify_chunk(struct blob_check *check, const struct trace_chunk *chunk, const u8 *data, size_t len)
{
	switch (chunk->type) {
	case TRACE_EVENTS:
		return verify_events(chunk, data, len);
	case TRACE_DIGESTS:
		return verify_digests(chunk, data, len);
	case TRACE_CONSOLE:
		return verify_console(chunk, data, len);
	case TRACE_END:
		return verify_end(data, len);
	case TRACE_DISK:
		return verify_disk(data, len);
	case TRACE_BLOB:
		return verify_blob(check, chunk, data, len);
	default:
		return 0;
	}
}

static int verify_checkpoints(struct trace_reader *r, struct error *err)
{
	struct checkpoint_file f;
	int ret = checkpoint_file_init(&f, r, err);

	if (!ret)
		ret = checkpoint_file_verify(&f, err);
	checkpoint_file_free(&f);
	return ret;
}

static int verify_all(struct trace_reader *r, struct blob_check *check, struct error *err)
{
	struct trace_buf buf = {0};
	bool ended = false;
	int ret = 0;

	for (size_t i = 0; !ret && i < r->count; i++) {
		const struct trace_chunk *c = &r->chunk[i];

		if (ended && trace_in_stream(c->type)) {
			ret = error_set(err, -EBADMSG, "the %s chunk at offset %llu comes after the end of the run",
					trace_type_name(c->type), (unsigned long long)c->offset);
			break;
		}
		ended = ended || c->type == TRACE_END;

		ret = trace_read(r, i, &buf, err);
		if (ret)
			break;
		ret = verify_chunk(check, c, buf.data, buf.len);
		if (ret)
			error_set(err, ret, "the %s chunk at offset %llu is not well-formed", trace_type_name(c->type),
				  (unsigned long long)c->offset);
	}
	if (!ret)
		ret = verify_checkpoints(r, err);
	if (!ret && r->state != TRACE_WHOLE)
		ret = error_set(err, -EBADMSG, "%s", r->damage.text);
	if (!ret && check->have < check->total)
		ret = error_set(err, -EBADMSG, "the last blob in the trace is not whole");
	trace_buf_free(&buf);
	return ret;
}

int trace_verify(struct trace_reader *r, struct error *err)
{
	struct blob_check check = {.hash = XXH3_createState()};
	struct trace_reader *scan;
	char path[64];
	int ret;

	if (!check.hash)
		return error_set(err, -ENOMEM, "out of memory");
	/* A second look at the same open file, reading all of it whatever @r trusted. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", r->fd);
	ret = trace_open(&scan, path, 0, err);
	if (!ret) {
		ret = verify_all(scan, &check, err);
		trace_close(scan);
	}
	XXH3_freeState(check.hash);
	return ret;
}
