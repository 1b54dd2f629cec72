/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A line for each event and record. Lines begin with the position; reads have none but their order, so theirs is the
 * last one known. As JSON: one object a line. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

#include "cmd/trace_view.h"
#include "cmd/figures.h"
#include "traces/checkpoint.h"
#include "traces/record.h"
#include "vmm/machine.h"

struct dump {
	struct checkpoint_file points;
	size_t next_point; /* of those not told yet */
	bool json;
	u64 position; /* the last one known */
};

static void put(struct dump *d, u64 position, const char *kind, const char *text)
{
	json_t *j;

	d->position = position;
	if (!d->json) {
		printf("%14llu  %-8s %s\n", (unsigned long long)position, kind, text);
		return;
	}
	j = json_object();
	json_object_set_new(j, "position", json_integer(position));
	json_object_set_new(j, "kind", json_string(kind));
	json_object_set_new(j, "text", figures_json_text(text));
	json_dumpf(j, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
	json_decref(j);
	putchar('\n');
}

static int dump_events(struct dump *d, const struct trace_chunk *c, const struct trace_buf *buf)
{
	struct event_decoder *dec = malloc(sizeof(*dec));
	struct event ev;
	char text[200];
	int rc;

	if (!dec)
		return -ENOMEM;
	event_decoder_init(dec, buf->data, buf->len, c->position);
	d->position = max64(d->position, c->position);
	while ((rc = event_next(dec, &ev)) > 0) {
		event_describe(&ev, text, sizeof(text));
		put(d, event_is_async(&ev) ? ev.mark.insns : d->position, "event", text);
		if (ev.type == EVENT_INPUT || ev.type == EVENT_POKE) {
			char *bytes = escaped(ev.bytes, ev.len);

			if (bytes)
				put(d, ev.mark.insns, event_type_name(ev.type), bytes);
			free(bytes);
		}
	}
	free(dec);
	return rc;
}

static int dump_console(struct dump *d, const struct trace_chunk *c, const struct trace_buf *buf)
{
	static const char *const port[] = {"serial0", "serial1", "debug"};
	struct console_decoder dec;
	struct console_record rec;
	int rc;

	console_decoder_init(&dec, buf->data, buf->len, c->position);
	while ((rc = console_next(&dec, &rec)) > 0) {
		char *text = escaped(rec.bytes, rec.len);

		if (!text)
			return -ENOMEM;
		put(d, rec.position, rec.port < ARRAY_SIZE(port) ? port[rec.port] : "console", text);
		free(text);
	}
	return rc;
}

static int dump_digests(struct dump *d, const struct trace_chunk *c, const struct trace_buf *buf)
{
	struct digest_decoder dec;
	struct digest_record rec;
	char text[200];
	int rc;

	digest_decoder_init(&dec, buf->data, buf->len, c->position);
	while ((rc = digest_next(&dec, &rec)) > 0) {
		snprintf(text, sizeof(text), "state %016llx memory %016llx writes %016llx at %llu branches, %llu ns%s",
			 (unsigned long long)rec.state, (unsigned long long)rec.memory, (unsigned long long)rec.writes,
			 (unsigned long long)rec.branches, (unsigned long long)rec.ns,
			 rec.flags & DIGEST_FINAL ? ", final" : "");
		put(d, rec.position, "digest", text);
	}
	digest_decoder_free(&dec);
	return rc;
}

static int dump_blob(struct dump *d, const struct trace_chunk *c, const struct trace_buf *buf)
{
	struct trace_blob_part part;
	char digest[33], text[512], *name;
	int rc = trace_blob_part_decode(&part, buf->data, buf->len);

	if (rc)
		return rc;
	name = escaped(part.name, strlen(part.name));
	if (!name)
		return -ENOMEM;
	trace_digest_format(&part.digest, digest);
	if (part.name_only)
		snprintf(text, sizeof(text), "%s %s, %llu bytes, not in the trace", digest, name,
			 (unsigned long long)part.total);
	else
		snprintf(text, sizeof(text), "%s %s, bytes %llu to %llu of %llu", digest, name,
			 (unsigned long long)part.offset, (unsigned long long)(part.offset + part.len),
			 (unsigned long long)part.total);
	free(name);
	put(d, c->position, "blob", text);
	return 0;
}

static int dump_text(struct dump *d, const struct trace_chunk *c, const struct trace_buf *buf)
{
	const u8 *p = buf->data, *end = p + buf->len;

	while (p < end) {
		const u8 *stop = memchr(p, '\n', end - p);
		char *line;

		stop = stop ? stop : end;
		line = escaped(p, stop - p);
		if (!line)
			return -ENOMEM;
		put(d, c->position, c->type == TRACE_MACHINE ? "machine" : "note", line);
		free(line);
		p = stop + (stop < end);
	}
	return 0;
}

static int dump_end(struct dump *d, const struct trace_buf *buf)
{
	struct end_record end;
	char text[200];
	int rc = end_decode(&end, buf->data, buf->len);

	if (rc)
		return rc;
	snprintf(text, sizeof(text), "%s, code %u, RIP 0x%llx, %llu branches, %llu ns, %llu events, %llu console bytes",
		 machine_end_name(end.reason), end.code, (unsigned long long)end.mark.rip,
		 (unsigned long long)end.mark.branches, (unsigned long long)end.ns, (unsigned long long)end.events,
		 (unsigned long long)end.console);
	put(d, end.mark.insns, "end", text);
	return 0;
}

static int dump_checkpoint(struct dump *d, size_t chunk, const struct trace_chunk *c, struct error *err)
{
	struct checkpoint_file *f = &d->points;
	struct checkpoint_list list[2];
	struct checkpoint_record rec;
	u64 count[2] = {0}, number, page;
	char text[500], place[100], *engine;
	bool zero;
	int rc;

	if (d->next_point == f->count || f->entry[d->next_point].chunk != chunk) {
		put(d, c->position, "checkpoint", "a further part");
		return 0;
	}
	rc = checkpoint_file_read(f, d->next_point++, &rec, &list[0], &list[1], err);
	for (unsigned i = 0; !rc && i < 2; i++)
		while ((rc = checkpoint_list_next(&list[i], &number, &page, &zero)) > 0)
			count[i]++;
	if (rc)
		return rc;
	engine = escaped(rec.engine, strlen(rec.engine));
	if (!engine)
		return -ENOMEM;
	if (rec.place.item == STREAM_AFTER)
		snprintf(place, sizeof(place), "after chunk %llu", (unsigned long long)rec.place.chunk);
	else
		snprintf(place, sizeof(place), "at chunk %llu item %llu done %llu", (unsigned long long)rec.place.chunk,
			 (unsigned long long)rec.place.item, (unsigned long long)rec.place.done);
	snprintf(text, sizeof(text),
		 "%s, %llu pages, %llu disk blocks, %zu bytes of state, %zu of engine '%s', %s, writes %016llx, "
		 "%llu events, %llu console bytes",
		 rec.full ? "full" : "difference", (unsigned long long)count[0], (unsigned long long)count[1],
		 rec.state_len, rec.cache_len, engine, place, (unsigned long long)rec.writes,
		 (unsigned long long)rec.events, (unsigned long long)rec.console);
	free(engine);
	put(d, rec.position, "checkpoint", text);
	return 0;
}

static int dump_pages(struct dump *d, const struct trace_chunk *c, const struct trace_buf *buf)
{
	char text[64];

	snprintf(text, sizeof(text), "%llu to %llu", (unsigned long long)c->key,
		 (unsigned long long)(c->key + buf->len / TRACE_PAGE_SIZE - 1));
	put(d, c->position, "pages", text);
	return 0;
}

static int dump_chunk(struct dump *d, struct trace_reader *r, size_t i, const struct trace_buf *buf, struct error *err)
{
	const struct trace_chunk *c = &r->chunk[i];
	char text[64];

	switch (c->type) {
	case TRACE_EVENTS:
		return dump_events(d, c, buf);
	case TRACE_CONSOLE:
		return dump_console(d, c, buf);
	case TRACE_DIGESTS:
		return dump_digests(d, c, buf);
	case TRACE_BLOB:
		return dump_blob(d, c, buf);
	case TRACE_MACHINE:
	case TRACE_NOTE:
		return dump_text(d, c, buf);
	case TRACE_END:
		return dump_end(d, buf);
	case TRACE_PAGES:
		return dump_pages(d, c, buf);
	case TRACE_CHECKPOINT:
		return dump_checkpoint(d, i, c, err);
	default:
		snprintf(text, sizeof(text), "of %zu bytes", buf->len);
		put(d, c->position, trace_type_name(c->type), text);
		return 0;
	}
}

int trace_dump(struct trace_reader *r, bool json, struct error *err)
{
	struct dump d = {.json = json};
	struct trace_buf buf = {0};
	int rc = checkpoint_file_init(&d.points, r, NULL) == -ENOMEM ? -ENOMEM : 0;

	for (size_t i = 0; i < r->count && !rc && !ferror(stdout); i++) {
		rc = trace_read(r, i, &buf, err);
		if (rc)
			break;
		rc = dump_chunk(&d, r, i, &buf, err);
		if (rc)
			error_set(err, rc, "the %s chunk at offset %llu does not make sense",
				  trace_type_name(r->chunk[i].type), (unsigned long long)r->chunk[i].offset);
	}
	checkpoint_file_free(&d.points);
	trace_buf_free(&buf);
	return rc;
}
