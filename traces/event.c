/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Event codec. One operation byte, then operands; FORMAT.md has the table.
 *
 * A read is predicted by its site, (vcpu, space, address, size): nearly all reads give one of the last two values
 * seen there (status polls; the two halves of a latched counter), so most are one byte and a run of them three.
 * zstd then takes what is periodic beyond that. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "traces/event.h"
#include "traces/trace.h"
#include "traces/wire.h"

enum {
	OP_NEW = 0x01,
	OP_REPEAT = 0x02,
	OP_CLOCK = 0x03,
	OP_INTERRUPT = 0x04,
	OP_INPUT = 0x05,
	OP_ADVANCE = 0x06,
	OP_POKE = 0x07,
	OP_SAME = 0x40, /* + site */
	OP_ALT = 0x80,
	OP_DIFF = 0xc0,
};

/* INTERRUPT flags byte: kind in bits 1:0. */
#define INT_WRITES 4 /* a new write digest follows */

#define EVENT_ROOM (EVENT_INPUT_MAX + 16 * VARINT_MAX)

static inline u32 site_key(u8 vcpu, u8 space, u8 log2)
{
	return 1u << 16 | (u32)vcpu << 8 | (u32)space << 4 | log2;
}

static inline unsigned site_hash(u32 key, u64 addr)
{
	return (unsigned)(((addr ^ (u64)key << 40) * 0x9e3779b97f4a7c15ull) >> 58);
}

int event_encoder_init(struct event_encoder *enc)
{
	memset(enc, 0, sizeof(*enc));
	enc->buf = malloc(EVENT_CHUNK_RAW + EVENT_ROOM);
	return enc->buf ? 0 : -ENOMEM;
}

void event_encoder_free(struct event_encoder *enc)
{
	free(enc->buf);
	enc->buf = NULL;
}

static void state_init(struct event_state *state, u64 position)
{
	memset(state, 0, sizeof(*state));
	for (unsigned i = 0; i < EVENT_VCPUS; i++)
		state->mark[i].insns = position;
}

void event_encoder_begin(struct event_encoder *enc, u64 position)
{
	enc->len = 0;
	enc->run = 0;
	enc->last_op = 0;
	enc->events = 0;
	enc->pokes = false;
	enc->position = position;
	state_init(&enc->state, position);
}

static void flush_run(struct event_encoder *enc)
{
	u8 *p = enc->buf + enc->len;

	if (!enc->run)
		return;
	*p++ = OP_REPEAT;
	p = put_varint(p, enc->run);
	enc->len = (size_t)(p - enc->buf);
	enc->run = 0;
}

void event_encoder_end(struct event_encoder *enc)
{
	flush_run(enc);
}

/* Begins an event other than a predicted read. */
static u8 *put_op(struct event_encoder *enc, u8 op)
{
	flush_run(enc);
	enc->last_op = 0;
	enc->events++;
	enc->buf[enc->len] = op;
	return enc->buf + enc->len + 1;
}

static void put_done(struct event_encoder *enc, u8 *p)
{
	enc->len = (size_t)(p - enc->buf);
}

void event_put_read(struct event_encoder *enc, u8 vcpu, u8 space, u64 addr, u8 size, u64 value)
{
	u8 log2 = (u8)__builtin_ctz(size), op, *p;
	u32 key = site_key(vcpu, space, log2);
	unsigned slot = site_hash(key, addr);
	struct event_site *site = &enc->state.site[slot];

	if (unlikely(site->key != key || site->addr != addr)) {
		site->key = key;
		site->addr = addr;
		site->value[0] = site->value[1] = value;
		p = put_op(enc, OP_NEW);
		*p++ = vcpu;
		*p++ = (u8)(space << 4 | log2);
		p = put_varint(p, addr);
		p = put_varint(p, value);
		put_done(enc, p);
		return;
	}
	if (likely(value == site->value[0])) {
		op = (u8)(OP_SAME + slot);
	} else if (value == site->value[1]) {
		op = (u8)(OP_ALT + slot);
		site->value[1] = site->value[0];
		site->value[0] = value;
	} else {
		p = put_op(enc, (u8)(OP_DIFF + slot));
		p = put_varint(p, zigzag(value - site->value[0]));
		site->value[1] = site->value[0];
		site->value[0] = value;
		put_done(enc, p);
		return;
	}
	if (op == enc->last_op) {
		enc->run++;
		enc->events++;
		return;
	}
	put_done(enc, put_op(enc, op));
	enc->last_op = op;
}

void event_put_clock(struct event_encoder *enc, u8 vcpu, u64 ns)
{
	u8 *p = put_op(enc, OP_CLOCK);

	*p++ = vcpu;
	p = put_varint(p, ns - enc->state.ns);
	enc->state.ns = ns;
	put_done(enc, p);
}

static u8 *put_mark(struct event_encoder *enc, u8 *p, u8 vcpu, const struct event_mark *mark)
{
	struct event_mark *last = &enc->state.mark[vcpu];

	*p++ = vcpu;
	p = put_varint(p, mark->insns - last->insns);
	p = put_varint(p, mark->branches - last->branches);
	p = put_varint(p, zigzag(mark->rip - last->rip));
	p = put_varint(p, zigzag(mark->rcx - last->rcx));
	store64(p, mark->digest);
	*last = *mark;
	return p + 8;
}

void event_put_interrupt(struct event_encoder *enc, u8 vcpu, const struct event_mark *mark, u8 kind, u8 vector,
			 u64 writes)
{
	bool changed = writes != enc->state.writes;
	u8 *p = put_op(enc, OP_INTERRUPT);

	*p++ = (u8)(kind | (changed ? INT_WRITES : 0));
	*p++ = vector;
	p = put_mark(enc, p, vcpu, mark);
	if (changed) {
		store64(p, writes);
		p += 8;
		enc->state.writes = writes;
	}
	put_done(enc, p);
}

void event_put_input(struct event_encoder *enc, u8 vcpu, const struct event_mark *mark, u8 flags, u64 ns, u8 source,
		     const u8 *bytes, u32 len)
{
	u8 *p = put_op(enc, OP_INPUT);

	*p++ = flags;
	p = put_mark(enc, p, vcpu, mark);
	p = put_varint(p, ns - enc->state.ns);
	enc->state.ns = ns;
	*p++ = source;
	p = put_varint(p, len);
	memcpy(p, bytes, len);
	put_done(enc, p + len);
}

void event_put_advance(struct event_encoder *enc, u8 vcpu, const struct event_mark *mark, u8 flags, u64 ns)
{
	u8 *p = put_op(enc, OP_ADVANCE);

	*p++ = flags;
	p = put_mark(enc, p, vcpu, mark);
	p = put_varint(p, ns - enc->state.ns);
	enc->state.ns = ns;
	put_done(enc, p);
}

void event_put_advance_at(struct event_encoder *enc, const struct event *ev)
{
	u8 *p;

	event_put_advance(enc, ev->vcpu, &ev->mark, ev->flags, ev->ns);
	p = put_varint(enc->buf + enc->len, ev->base);
	store64(p, ev->state);
	store64(p + 8, ev->memory);
	put_done(enc, p + 16);
}

void event_put_poke(struct event_encoder *enc, u8 vcpu, const struct event_mark *mark, enum event_poke what, u64 addr,
		    const u8 *bytes, u32 len)
{
	u8 *p = put_op(enc, OP_POKE);

	p = put_mark(enc, p, vcpu, mark);
	*p++ = (u8)what;
	p = put_varint(p, addr);
	p = put_varint(p, len);
	memcpy(p, bytes, len);
	enc->pokes = true;
	put_done(enc, p + len);
}

/* --- decoding --- */

void event_decoder_init(struct event_decoder *dec, const u8 *data, size_t len, u64 position)
{
	dec->p = data;
	dec->end = data + len;
	state_init(&dec->state, position);
}

static void get_new(struct event_decoder *dec, struct wire *w, struct event *ev)
{
	struct event_site *site;
	u32 key;
	u8 kind;

	ev->vcpu = wire_u8(w);
	kind = wire_u8(w);
	ev->space = kind >> 4;
	ev->size = (u8)(1u << (kind & 3));
	ev->addr = wire_varint(w);
	ev->value = ev->other = wire_varint(w);
	if (ev->vcpu >= EVENT_VCPUS || (kind & 0xc)) {
		w->bad = true;
		return;
	}
	key = site_key(ev->vcpu, ev->space, kind & 3);
	site = &dec->state.site[site_hash(key, ev->addr)];
	site->key = key;
	site->addr = ev->addr;
	site->value[0] = site->value[1] = ev->value;
}

/* SAME, ALT, DIFF and the repetitions that follow. */
static void get_predicted(struct event_decoder *dec, struct wire *w, struct event *ev, u8 op)
{
	struct event_site *site = &dec->state.site[op & 63];
	u64 before = site->value[0], repeat;

	if (!site->key) {
		w->bad = true;
		return;
	}
	ev->type = EVENT_IO_READ;
	ev->vcpu = (u8)(site->key >> 8);
	ev->space = (u8)(site->key >> 4) & 15;
	ev->size = (u8)(1u << (site->key & 3));
	ev->addr = site->addr;
	if (op >= OP_DIFF) {
		ev->value = ev->other = site->value[0] = before + unzigzag(wire_varint(w));
		site->value[1] = before;
		return;
	}
	if (w->p < w->end && *w->p == OP_REPEAT) {
		w->p++;
		repeat = wire_varint(w);
		if (!repeat || repeat == ~0ull)
			w->bad = true;
		ev->count += repeat;
	}
	ev->value = op >= OP_ALT ? site->value[1] : before;
	ev->other = before;
	if (op >= OP_ALT && (ev->count & 1)) {
		site->value[0] = site->value[1];
		site->value[1] = before;
	}
}

static void get_mark(struct event_decoder *dec, struct wire *w, struct event *ev)
{
	struct event_mark *last;
	u64 insns;

	ev->vcpu = wire_u8(w);
	if (ev->vcpu >= EVENT_VCPUS) {
		w->bad = true;
		return;
	}
	last = &dec->state.mark[ev->vcpu];
	insns = last->insns + wire_varint(w);
	if (insns < last->insns)
		w->bad = true;
	last->insns = insns;
	last->branches += wire_varint(w);
	last->rip += unzigzag(wire_varint(w));
	last->rcx += unzigzag(wire_varint(w));
	last->digest = wire_u64(w);
	ev->mark = *last;
}

static void get_ns(struct event_decoder *dec, struct wire *w, struct event *ev)
{
	ev->ns = dec->state.ns + wire_varint(w);
	if (ev->ns < dec->state.ns)
		w->bad = true;
	dec->state.ns = ev->ns;
}

static void get_interrupt(struct event_decoder *dec, struct wire *w, struct event *ev)
{
	u8 flags = wire_u8(w);

	ev->kind = flags & 3;
	ev->vector = wire_u8(w);
	get_mark(dec, w, ev);
	if (flags & INT_WRITES)
		dec->state.writes = wire_u64(w);
	ev->writes = dec->state.writes;
	if (flags & ~(3 | INT_WRITES))
		w->bad = true;
}

static void get_input(struct event_decoder *dec, struct wire *w, struct event *ev)
{
	u64 len;

	ev->flags = wire_u8(w);
	get_mark(dec, w, ev);
	get_ns(dec, w, ev);
	ev->source = wire_u8(w);
	len = wire_varint(w);
	if (!len || len > EVENT_INPUT_MAX || (ev->flags & ~EVENT_IDLE))
		w->bad = true;
	ev->bytes = wire_bytes(w, len);
	ev->len = (u32)len;
}

static void get_advance(struct event_decoder *dec, struct wire *w, struct event *ev)
{
	ev->flags = wire_u8(w);
	get_mark(dec, w, ev);
	get_ns(dec, w, ev);
	if ((ev->flags | EVENT_STOPS) == (EVENT_STATE | EVENT_STOPS)) {
		ev->base = wire_varint(w);
		ev->state = wire_u64(w);
		ev->memory = wire_u64(w);
	} else if (ev->flags & ~EVENT_IDLE) {
		w->bad = true;
	}
}

static void get_poke(struct event_decoder *dec, struct wire *w, struct event *ev)
{
	u64 len;

	get_mark(dec, w, ev);
	ev->what = wire_u8(w);
	ev->addr = wire_varint(w);
	len = wire_varint(w);
	if (!len || len > EVENT_INPUT_MAX || ev->what >= POKE_COUNT || (ev->what == POKE_REGISTERS && ev->addr))
		w->bad = true;
	ev->bytes = wire_bytes(w, len);
	ev->len = (u32)len;
}

int event_next(struct event_decoder *dec, struct event *ev)
{
	struct wire w = {dec->p, dec->end, false};
	u8 op;

	if (w.p == w.end)
		return 0;
	memset(ev, 0, sizeof(*ev));
	ev->count = 1;
	op = wire_u8(&w);
	switch (op) {
	case OP_NEW:
		ev->type = EVENT_IO_READ;
		get_new(dec, &w, ev);
		break;
	case OP_CLOCK:
		ev->type = EVENT_CLOCK;
		ev->vcpu = wire_u8(&w);
		get_ns(dec, &w, ev);
		if (ev->vcpu >= EVENT_VCPUS)
			w.bad = true;
		break;
	case OP_INTERRUPT:
		ev->type = EVENT_INTERRUPT;
		get_interrupt(dec, &w, ev);
		break;
	case OP_INPUT:
		ev->type = EVENT_INPUT;
		get_input(dec, &w, ev);
		break;
	case OP_ADVANCE:
		ev->type = EVENT_ADVANCE;
		get_advance(dec, &w, ev);
		break;
	case OP_POKE:
		ev->type = EVENT_POKE;
		get_poke(dec, &w, ev);
		break;
	default:
		if (op < OP_SAME)
			w.bad = true;
		else
			get_predicted(dec, &w, ev, op);
	}
	if (w.bad) {
		dec->p = dec->end;
		return -EBADMSG;
	}
	dec->p = w.p;
	return 1;
}

int event_chunk_cut(struct trace_buf *out, const u8 *data, size_t len, u64 position, u64 items, u64 done)
{
	struct event_decoder *dec = malloc(sizeof(*dec));
	u8 run[2 + VARINT_MAX], *end = run;
	const u8 *stop;
	struct event ev;
	int ret = 1;

	if (!dec)
		return -ENOMEM;
	event_decoder_init(dec, data, len, position);
	while (ret == 1 && items--)
		ret = event_next(dec, &ev);
	stop = dec->p;
	if (ret == 1 && done) {
		ret = event_next(dec, &ev);
		if (ret == 1 && ev.count <= done)
			ret = 0;
	}
	free(dec);
	if (ret != 1)
		return -EBADMSG;
	/* Only SAME and ALT can be repeated, and their operation is all there is of them. */
	if (done)
		*end++ = *stop;
	if (done > 1) {
		*end++ = OP_REPEAT;
		end = put_varint(end, done - 1);
	}
	ret = trace_buf_add(out, data, (size_t)(stop - data));
	return ret ? ret : trace_buf_add(out, run, (size_t)(end - run));
}

/* --- words --- */

const char *event_type_name(u8 type)
{
	static const char *const name[] = {"none", "read", "clock", "interrupt", "input", "advance", "poke"};

	return type < ARRAY_SIZE(name) ? name[type] : "unknown";
}

static const char *space_name(u8 space)
{
	static const char *const name[] = {"port", "mmio", "msr"};

	return space < ARRAY_SIZE(name) ? name[space] : "space?";
}

static void describe_read(const struct event *ev, char *out, size_t len)
{
	unsigned long long addr = ev->addr, value = ev->value, other = ev->other;

	if (ev->count == 1)
		snprintf(out, len, "read %s 0x%llx size %u = 0x%llx", space_name(ev->space), addr, ev->size, value);
	else if (value == other)
		snprintf(out, len, "read %s 0x%llx size %u = 0x%llx, %llu times", space_name(ev->space), addr, ev->size,
			 value, (unsigned long long)ev->count);
	else
		snprintf(out, len, "read %s 0x%llx size %u = 0x%llx and 0x%llx in turn, %llu times",
			 space_name(ev->space), addr, ev->size, value, other, (unsigned long long)ev->count);
}

void event_describe(const struct event *ev, char *out, size_t len)
{
	static const char *const kind[] = {"interrupt", "NMI", "INIT", "SIPI"};
	static const char *const source[] = {"serial0", "serial1", "keyboard"};
	unsigned long long at = ev->mark.insns, rip = ev->mark.rip, ns = ev->ns;
	const char *idle = ev->flags & EVENT_IDLE ? " while halted" : "";

	switch (ev->type) {
	case EVENT_IO_READ:
		describe_read(ev, out, len);
		break;
	case EVENT_CLOCK:
		snprintf(out, len, "clock read %llu ns", ns);
		break;
	case EVENT_INTERRUPT:
		snprintf(out, len, "%s vector 0x%x at position %llu, RIP 0x%llx", kind[ev->kind & 3], ev->vector, at,
			 rip);
		break;
	case EVENT_INPUT:
		snprintf(out, len, "input of %u bytes on %s at position %llu, RIP 0x%llx, %llu ns%s", ev->len,
			 ev->source < ARRAY_SIZE(source) ? source[ev->source] : "an unknown source", at, rip, ns, idle);
		break;
	case EVENT_ADVANCE:
		snprintf(out, len, "clock advanced to %llu ns at position %llu, RIP 0x%llx%s", ns, at, rip, idle);
		break;
	case EVENT_POKE:
		if (ev->what == POKE_MEMORY)
			snprintf(out, len, "a debugger wrote %u bytes at physical 0x%llx, position %llu, RIP 0x%llx",
				 ev->len, (unsigned long long)ev->addr, at, rip);
		else
			snprintf(out, len, "a debugger set registers at position %llu, RIP 0x%llx", at, rip);
		break;
	default:
		snprintf(out, len, "nothing");
	}
}
