/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Decoders of chunk payloads: events, digests, console, end, blob parts, text. What decodes as events is encoded again
 * and must decode to the same. */
#include <stdlib.h>

#include "traces/event.h"
#include "traces/record.h"
#include "traces/text.h"

static void put(struct event_encoder *enc, const struct event *ev)
{
	switch (ev->type) {
	case EVENT_IO_READ:
		for (u64 i = 0; i < ev->count && i < 100; i++)
			event_put_read(enc, ev->vcpu, ev->space, ev->addr, ev->size, i & 1 ? ev->other : ev->value);
		break;
	case EVENT_CLOCK:
		event_put_clock(enc, ev->vcpu, ev->ns);
		break;
	case EVENT_INTERRUPT:
		event_put_interrupt(enc, ev->vcpu, &ev->mark, ev->kind, ev->vector, ev->writes);
		break;
	case EVENT_INPUT:
		event_put_input(enc, ev->vcpu, &ev->mark, ev->flags, ev->ns, ev->source, ev->bytes, ev->len);
		break;
	case EVENT_ADVANCE:
		if (ev->flags & EVENT_STATE)
			event_put_advance_at(enc, ev);
		else
			event_put_advance(enc, ev->vcpu, &ev->mark, ev->flags, ev->ns);
		break;
	case EVENT_POKE:
		event_put_poke(enc, ev->vcpu, &ev->mark, ev->what, ev->addr, ev->bytes, ev->len);
		break;
	}
}

static bool same(const struct event *a, const struct event *b)
{
	return a->type == b->type && a->vcpu == b->vcpu && a->addr == b->addr && a->ns == b->ns && a->what == b->what &&
	       a->vector == b->vector && a->kind == b->kind && a->writes == b->writes && a->len == b->len &&
	       !memcmp(&a->mark, &b->mark, sizeof(a->mark)) && (!a->len || !memcmp(a->bytes, b->bytes, a->len));
}

/* Decodes both side by side; runs may be cut differently, so reads are compared one at a time. */
static void compare(const u8 *data, size_t len, const u8 *again, size_t again_len)
{
	static struct event_decoder a, b;
	struct event x = {0}, y = {0};
	u64 in_x = 0, in_y = 0;

	event_decoder_init(&a, data, len, 0);
	event_decoder_init(&b, again, again_len, 0);
	for (;;) {
		if (in_x == (x.count < 100 ? x.count : 100)) {
			in_x = 0;
			if (event_next(&a, &x) != 1)
				break;
		}
		if (in_y == y.count) {
			in_y = 0;
			if (event_next(&b, &y) != 1)
				break;
		}
		if (!same(&x, &y))
			abort();
		if (x.type == EVENT_IO_READ && (in_x & 1 ? x.other : x.value) != (in_y & 1 ? y.other : y.value))
			abort();
		in_x++;
		in_y++;
	}
}

static void events(const u8 *data, size_t len)
{
	static struct event_decoder dec;
	struct event_encoder enc;
	struct event ev;
	char text[64];
	bool runs_whole = true;

	if (event_encoder_init(&enc))
		return;
	event_encoder_begin(&enc, 0);
	event_decoder_init(&dec, data, len, 0);
	while (event_next(&dec, &ev) == 1 && !event_encoder_full(&enc)) {
		event_describe(&ev, text, sizeof(text));
		put(&enc, &ev);
		/* A run cut short leaves the encoder with another history. */
		if (ev.count > 100)
			runs_whole = false;
	}
	event_encoder_end(&enc);
	if (runs_whole)
		compare(data, len, enc.buf, enc.len);
	event_encoder_free(&enc);
}

static void records(const u8 *data, size_t len)
{
	struct digest_decoder digests;
	struct console_decoder console;
	struct digest_record digest;
	struct console_record line;
	struct trace_blob_part part;
	struct end_record end;
	u64 number;

	digest_decoder_init(&digests, data, len, 0);
	while (digest_next(&digests, &digest) == 1)
		;
	digest_decoder_free(&digests);
	console_decoder_init(&console, data, len, 0);
	while (console_next(&console, &line) == 1)
		;
	end_decode(&end, data, len);
	trace_blob_part_decode(&part, data, len);
	free(trace_text_get(data, len, "a", 0));
	trace_text_number(data, len, "a", &number);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t len);
int LLVMFuzzerTestOneInput(const u8 *data, size_t len)
{
	events(data, len);
	records(data, len);
	return 0;
}
