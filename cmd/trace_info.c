/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

#include "cmd/cmd.h"
#include "cmd/figures.h"
#include "cmd/guest.h"
#include "cmd/status.h"
#include "cmd/trace_view.h"
#include "traces/checkpoint.h"
#include "traces/record.h"
#include "traces/text.h"

#define MAX_TYPES 24

struct type_sum {
	u32 type;                /* 0: all others */
	u64 chunks, stored, raw; /* bytes */
};

struct info {
	struct type_sum sum[MAX_TYPES];
	unsigned nr_sums;
	u64 blobs;         /* bytes of all blob chunks in the file */
	u64 point_bytes;   /* the same of checkpoints and their pages */
	u64 last_position; /* the furthest that any chunk begins at */
	bool have_end;
	struct end_record end;
	struct trace_buf machine, note; /* text */
	const char *counted;            /* what positions are */
	struct checkpoint_file points;
};

const char *trace_state_name(enum trace_state state)
{
	static const char *const names[] = {"whole", "cut off", "damaged"};

	return (unsigned)state < ARRAY_SIZE(names) ? names[state] : "unknown";
}

void print_escaped(FILE *f, const void *bytes, size_t len)
{
	const u8 *p = bytes;

	for (size_t i = 0; i < len; i++) {
		if (p[i] == '\n')
			fputs("\\n", f);
		else if (p[i] < 0x20 || p[i] >= 0x7f)
			fprintf(f, "\\x%02x", p[i]);
		else
			fputc(p[i], f);
	}
}

char *escaped(const void *bytes, size_t len)
{
	char *out;
	size_t size;
	FILE *f = open_memstream(&out, &size);

	if (!f)
		return NULL;
	print_escaped(f, bytes, len);
	return fclose(f) ? NULL : out;
}

static void add_chunk(struct info *info, const struct trace_chunk *c)
{
	struct type_sum *s = info->sum;

	while (s < info->sum + info->nr_sums && s->type != c->type)
		s++;
	if (s == info->sum + info->nr_sums) {
		if (info->nr_sums == MAX_TYPES)
			s--; /* hostile: more types than there are */
		else if (++info->nr_sums < MAX_TYPES)
			s->type = c->type;
	}
	if (c->type == TRACE_PAGES || c->type == TRACE_CHECKPOINT)
		info->point_bytes += TRACE_CHUNK_SIZE + c->stored;
	s->chunks++;
	s->stored += TRACE_CHUNK_SIZE + c->stored;
	s->raw += c->raw;
	if (c->type == TRACE_BLOB)
		info->blobs += TRACE_CHUNK_SIZE + c->stored;
	else
		info->last_position = max64(info->last_position, c->position);
}

/* Types that have no name are told apart by their characters. */
static const char *type_label(u32 type, char out[24])
{
	u8 name[4];

	if (!type)
		return "others";
	if (trace_type_known(type))
		return trace_type_name(type);
	store32(name, type);
	strcpy(out, "unknown ");
	for (unsigned i = 0; i < 4; i++)
		if (name[i] <= ' ' || name[i] >= 0x7f) {
			snprintf(out + 8, 16, "%08x", type);
			return out;
		}
	snprintf(out + 8, 16, "%.4s", (const char *)name);
	return out;
}

static bool counts_accesses(const struct info *info)
{
	char *what = trace_text_get(info->machine.data, info->machine.len, "positions", 0);
	bool accesses = what && !strcmp(what, "accesses");

	free(what);
	return accesses;
}

static int gather(struct trace_reader *r, struct info *info, struct error *err)
{
	struct trace_buf buf = {0};
	int rc = 0;

	for (size_t i = 0; i < r->count && !rc; i++) {
		const struct trace_chunk *c = &r->chunk[i];

		add_chunk(info, c);
		if (c->type == TRACE_MACHINE && !info->machine.data) {
			rc = trace_read(r, i, &info->machine, err);
		} else if (c->type == TRACE_NOTE && !info->note.data) {
			rc = trace_read(r, i, &info->note, err);
		} else if (c->type == TRACE_END) {
			rc = trace_read(r, i, &buf, err);
			if (!rc)
				info->have_end = !end_decode(&info->end, buf.data, buf.len);
		}
	}
	trace_buf_free(&buf);
	info->counted = counts_accesses(info) ? "accesses" : "instructions";
	/* Those that make no sense are for `trace verify`. */
	if (!rc && checkpoint_file_init(&info->points, r, NULL) == -ENOMEM)
		rc = error_set(err, -ENOMEM, "out of memory");
	return rc;
}

static u64 last_position(const struct info *info)
{
	return info->have_end ? info->end.mark.insns : info->last_position;
}

/* Bytes of the trace without blobs and checkpoints for each 1000 instructions or accesses. */
static double density(const struct trace_reader *r, const struct info *info)
{
	u64 last = last_position(info);

	return last ? (double)(r->size - info->blobs - info->point_bytes) * 1000 / last : 0;
}

/* Lines of `key value` as columns. */
static void print_text(const struct trace_buf *text, const char *indent)
{
	const u8 *p = text->data, *end = p + text->len;

	while (p < end) {
		const u8 *stop = memchr(p, '\n', end - p), *blank;

		stop = stop ? stop : end;
		blank = memchr(p, ' ', stop - p);
		blank = blank ? blank : stop;
		if (blank - p != 9 || memcmp(p, "registers", 9)) { /* long, and of use to readers only */
			fputs(indent, stdout);
			print_escaped(stdout, p, blank - p);
			printf("%*s", blank - p < 15 ? 15 - (int)(blank - p) : 1, "");
			if (blank < stop)
				print_escaped(stdout, blank + 1, stop - blank - 1);
			putchar('\n');
		}
		p = stop + (stop < end);
	}
}

static void print_end(const struct info *info)
{
	char a[FORMAT_MAX], b[FORMAT_MAX], c[FORMAT_MAX];

	if (!info->have_end) {
		printf("end            not recorded; known up to position %s\n", format_count(a, last_position(info)));
		return;
	}
	printf("end            %s", machine_end_name(info->end.reason));
	if (info->end.reason == END_DEBUG_EXIT)
		printf(" with %u (exit status %d)", info->end.code, end_status(END_DEBUG_EXIT, info->end.code));
	printf(" at position %s, RIP %#llx\n", format_count(a, info->end.mark.insns),
	       (unsigned long long)info->end.mark.rip);
	printf("ran            %s %s, %s of guest time, %s events, %llu console bytes\n",
	       format_count(a, info->end.mark.insns), info->counted, format_ns(b, info->end.ns),
	       format_count(c, info->end.events), (unsigned long long)info->end.console);
}

static void print_info(const struct trace_reader *r, const char *path, const struct info *info)
{
	char a[FORMAT_MAX], b[FORMAT_MAX], label[24];

	printf("trace          %s: format %u, %s, %s\n", path, r->version, format_bytes(a, r->size),
	       trace_state_name(r->state));
	if (r->state != TRACE_WHOLE)
		printf("damage         %s\n", r->damage.text);
	print_text(&info->note, "");
	print_end(info);
	if (info->points.count)
		printf("checkpoints    %zu, from position %s to %s%s\n", info->points.count,
		       format_count(a, info->points.entry[0].position),
		       format_count(b, info->points.entry[info->points.count - 1].position),
		       checkpoint_file_begins(r) ? "; the trace begins at the first" : "");
	printf("density        %.3f bytes for each 1000 %s, without blobs and checkpoints\n", density(r, info),
	       info->counted);
	printf("\n%-14s %8s %12s %12s %6s\n", "chunks", "number", "bytes", "unpacked", "share");
	for (unsigned i = 0; i < info->nr_sums; i++) {
		const struct type_sum *s = &info->sum[i];

		printf("  %-12s %8llu %12llu %12llu %5.1f%%\n", type_label(s->type, label),
		       (unsigned long long)s->chunks, (unsigned long long)s->stored, (unsigned long long)s->raw,
		       100.0 * s->stored / r->size);
	}
	if (info->machine.len) {
		printf("\nmachine\n");
		print_text(&info->machine, "  ");
	}
}

static json_t *text_json(const struct trace_buf *text)
{
	json_t *j = json_object();
	const u8 *p = text->data, *end = p + text->len;

	while (p && p < end) {
		const u8 *stop = memchr(p, '\n', end - p), *blank;
		char *key, *value;

		stop = stop ? stop : end;
		blank = memchr(p, ' ', stop - p);
		if (blank) {
			key = escaped(p, blank - p);
			value = escaped(blank + 1, stop - blank - 1);
			if (key && value && !json_object_get(j, key))
				json_object_set_new(j, key, json_string(value));
			free(key);
			free(value);
		}
		p = stop + (stop < end);
	}
	return j;
}

static json_t *end_json(const struct info *info)
{
	json_t *j = json_object();

	json_object_set_new(j, "reason", json_string(machine_end_name(info->end.reason)));
	json_object_set_new(j, "code", json_integer(info->end.code));
	json_object_set_new(j, "exit_status", json_integer(end_status(info->end.reason, info->end.code)));
	json_object_set_new(j, "position", json_integer(info->end.mark.insns));
	json_object_set_new(j, "conditional_branches", json_integer(info->end.mark.branches));
	json_object_set_new(j, "rip", json_sprintf("0x%llx", (unsigned long long)info->end.mark.rip));
	json_object_set_new(j, "guest_ns", json_integer(info->end.ns));
	json_object_set_new(j, "events", json_integer(info->end.events));
	json_object_set_new(j, "console_bytes", json_integer(info->end.console));
	return j;
}

static json_t *points_json(const struct trace_reader *r, const struct checkpoint_file *f)
{
	json_t *j = json_object(), *positions = json_array();

	for (size_t i = 0; i < f->count; i++)
		json_array_append_new(positions, json_integer(f->entry[i].position));
	json_object_set_new(j, "positions", positions);
	json_object_set_new(j, "pages", json_integer(f->pages));
	json_object_set_new(j, "trace_begins_there", json_boolean(checkpoint_file_begins(r)));
	return j;
}

static int print_info_json(const struct trace_reader *r, const char *path, const struct info *info)
{
	json_t *j = json_object(), *chunks = json_object();
	char label[40];

	json_object_set_new(j, "trace", figures_json_text(path));
	json_object_set_new(j, "format", json_integer(r->version));
	json_object_set_new(j, "bytes", json_integer(r->size));
	json_object_set_new(j, "state", json_string(trace_state_name(r->state)));
	if (r->state != TRACE_WHOLE)
		json_object_set_new(j, "damage", figures_json_text(r->damage.text));
	json_object_set_new(j, "end", info->have_end ? end_json(info) : json_null());
	json_object_set_new(j, "last_position", json_integer(last_position(info)));
	json_object_set_new(j, "blob_bytes", json_integer(info->blobs));
	json_object_set_new(j, "positions", json_string(info->counted));
	snprintf(label, sizeof(label), "bytes_per_1000_%s", info->counted);
	json_object_set_new(j, label, json_real(density(r, info)));
	for (unsigned i = 0; i < info->nr_sums; i++) {
		const struct type_sum *s = &info->sum[i];
		json_t *sum = json_object();

		json_object_set_new(sum, "chunks", json_integer(s->chunks));
		json_object_set_new(sum, "bytes", json_integer(s->stored));
		json_object_set_new(sum, "unpacked_bytes", json_integer(s->raw));
		json_object_set_new(chunks, type_label(s->type, label), sum);
	}
	json_object_set_new(j, "chunks", chunks);
	json_object_set_new(j, "checkpoints", points_json(r, &info->points));
	json_object_set_new(j, "machine", text_json(&info->machine));
	json_object_set_new(j, "note", text_json(&info->note));
	return figures_json_print(j) ? -EIO : 0;
}

int trace_info(struct trace_reader *r, const char *path, bool json, struct error *err)
{
	struct info info = {0};
	int rc = gather(r, &info, err);

	if (!rc && json)
		rc = print_info_json(r, path, &info) ? error_set(err, -EIO, "stdout can't be written") : 0;
	else if (!rc)
		print_info(r, path, &info);
	checkpoint_file_free(&info.points);
	trace_buf_free(&info.machine);
	trace_buf_free(&info.note);
	return rc;
}
