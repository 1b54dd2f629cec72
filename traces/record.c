/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>

#include "traces/record.h"
#include "traces/wire.h"

int digest_encode(struct trace_buf *out, const struct digest_record *rec, const struct digest_record *prev)
{
	u8 *p;

	if (rec->image_len > DIGEST_IMAGE_MAX || (prev && prev->image_len != rec->image_len))
		return -EINVAL;
	if (trace_buf_reserve(out, 4 * VARINT_MAX + 1 + 24 + rec->image_len))
		return -ENOMEM;
	p = out->data + out->len;
	p = put_varint(p, prev ? rec->position - prev->position : 0);
	p = put_varint(p, rec->branches);
	p = put_varint(p, rec->ns);
	*p++ = rec->flags;
	store64(p, rec->state);
	store64(p + 8, rec->memory);
	store64(p + 16, rec->writes);
	p = put_varint(p + 24, rec->image_len);
	for (u32 i = 0; i < rec->image_len; i++)
		*p++ = rec->image[i] ^ (prev ? prev->image[i] : 0);
	out->len = (size_t)(p - out->data);
	return 0;
}

void digest_decoder_init(struct digest_decoder *dec, const u8 *data, size_t len, u64 position)
{
	memset(dec, 0, sizeof(*dec));
	dec->p = data;
	dec->end = data + len;
	dec->position = position;
}

int digest_next(struct digest_decoder *dec, struct digest_record *rec)
{
	struct wire w = {dec->p, dec->end, false};
	const u8 *delta;
	u64 len;

	if (w.p == w.end)
		return 0;
	memset(rec, 0, sizeof(*rec));
	rec->position = dec->position + wire_varint(&w);
	rec->branches = wire_varint(&w);
	rec->ns = wire_varint(&w);
	rec->flags = wire_u8(&w);
	rec->state = wire_u64(&w);
	rec->memory = wire_u64(&w);
	rec->writes = wire_u64(&w);
	len = wire_varint(&w);
	delta = wire_bytes(&w, len);
	if (w.bad || rec->position < dec->position || len > DIGEST_IMAGE_MAX || (dec->image && len != dec->image_len))
		return -EBADMSG;
	if (!dec->image) {
		dec->image = calloc(1, len + 1);
		if (!dec->image)
			return -ENOMEM;
		dec->image_len = (u32)len;
	}
	for (u32 i = 0; i < dec->image_len; i++)
		dec->image[i] ^= delta[i];
	rec->image = dec->image;
	rec->image_len = dec->image_len;
	dec->position = rec->position;
	dec->p = w.p;
	return 1;
}

void digest_decoder_free(struct digest_decoder *dec)
{
	free(dec->image);
	dec->image = NULL;
}

int console_encode(struct trace_buf *out, const struct console_record *rec, u64 base)
{
	u8 *p;

	if (trace_buf_reserve(out, 2 * VARINT_MAX + 1 + rec->len))
		return -ENOMEM;
	p = put_varint(out->data + out->len, rec->position - base);
	*p++ = rec->port;
	p = put_varint(p, rec->len);
	memcpy(p, rec->bytes, rec->len);
	out->len = (size_t)(p + rec->len - out->data);
	return 0;
}

void console_decoder_init(struct console_decoder *dec, const u8 *data, size_t len, u64 position)
{
	dec->p = data;
	dec->end = data + len;
	dec->position = position;
}

int console_next(struct console_decoder *dec, struct console_record *rec)
{
	struct wire w = {dec->p, dec->end, false};
	u64 len;

	if (w.p == w.end)
		return 0;
	rec->position = dec->position + wire_varint(&w);
	rec->port = wire_u8(&w);
	len = wire_varint(&w);
	rec->bytes = wire_bytes(&w, len);
	rec->len = (u32)len;
	if (w.bad || rec->position < dec->position)
		return -EBADMSG;
	dec->position = rec->position;
	dec->p = w.p;
	return 1;
}

int end_encode(struct trace_buf *out, const struct end_record *rec)
{
	u8 *p;

	if (trace_buf_reserve(out, 16 * VARINT_MAX))
		return -ENOMEM;
	p = out->data + out->len;
	*p++ = rec->reason;
	*p++ = rec->flags;
	p = put_varint(p, rec->code);
	*p++ = rec->vcpu;
	p = put_varint(p, rec->mark.insns);
	p = put_varint(p, rec->mark.branches);
	p = put_varint(p, rec->mark.rip);
	p = put_varint(p, rec->mark.rcx);
	store64(p, rec->mark.digest);
	p = put_varint(p + 8, rec->ns);
	store64(p, rec->writes);
	p = put_varint(p + 8, rec->events);
	p = put_varint(p, rec->console);
	out->len = (size_t)(p - out->data);
	return 0;
}

int end_decode(struct end_record *rec, const u8 *data, size_t len)
{
	struct wire w = {data, data + len, false};
	u64 code;

	memset(rec, 0, sizeof(*rec));
	rec->reason = wire_u8(&w);
	rec->flags = wire_u8(&w);
	code = wire_varint(&w);
	rec->vcpu = wire_u8(&w);
	rec->mark.insns = wire_varint(&w);
	rec->mark.branches = wire_varint(&w);
	rec->mark.rip = wire_varint(&w);
	rec->mark.rcx = wire_varint(&w);
	rec->mark.digest = wire_u64(&w);
	rec->ns = wire_varint(&w);
	rec->writes = wire_u64(&w);
	rec->events = wire_varint(&w);
	rec->console = wire_varint(&w);
	rec->code = (u32)code;
	return w.bad || code > UINT32_MAX || rec->vcpu >= EVENT_VCPUS ? -EBADMSG : 0;
}
