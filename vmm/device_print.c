/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/device_print.h"

#include <errno.h>

#define ROW      16 /* bytes in a row of hex */
#define ROWS_MAX 32 /* of one field; equal ones that follow each other are one */
#define ELEMENTS 4  /* of an array in a row */
#define NAME     24 /* columns */

static u64 load_uint(const u8 *p, unsigned size)
{
	switch (size) {
	case 1:
		return *p;
	case 2:
		return load16(p);
	case 4:
		return load32(p);
	default:
		return load64(p);
	}
}

static void print_uint(FILE *out, u64 value, unsigned size)
{
	fprintf(out, "%0*llx", size * 2, (unsigned long long)value);
}

static void print_array(FILE *out, const struct field *f, const u8 *p)
{
	for (u32 i = 0; i < f->count; i++) {
		if (i % ELEMENTS == 0)
			fprintf(out, i ? "\n%*s[%2u] " : "%*s[%2u] ", i ? NAME + 2 : 0, "", i);
		else
			fputc(' ', out);
		print_uint(out, load_uint(p + (size_t)i * f->size, f->size), f->size);
	}
	fputc('\n', out);
}

static void print_row(FILE *out, const u8 *p, u32 at, u32 len)
{
	fprintf(out, "%04x ", at);
	for (u32 i = 0; i < len; i++)
		fprintf(out, " %02x", p[at + i]);
	fputc('\n', out);
}

static void print_bytes(FILE *out, const struct field *f, const u8 *p)
{
	unsigned rows = 0;
	bool same = false;

	for (u32 at = 0; at < f->count; at += ROW) {
		u32 len = min64(ROW, f->count - at);

		if (at && len == ROW && !memcmp(p + at, p + at - ROW, ROW)) {
			if (!same)
				fprintf(out, "%*s*\n", NAME + 2, "");
			same = true;
			continue;
		}
		same = false;
		if (at)
			fprintf(out, "%*s", NAME + 2, "");
		if (rows++ == ROWS_MAX) {
			fprintf(out, "... and %u bytes more\n", f->count - at);
			return;
		}
		print_row(out, p, at, len);
	}
	if (same)
		fprintf(out, "%*s%04x\n", NAME + 2, "", f->count);
}

static void print_timer(FILE *out, const struct clock_timer *timer)
{
	if (timer->armed)
		fprintf(out, "due at %llu ns, now %llu ns\n", (unsigned long long)timer->deadline,
			(unsigned long long)clock_now(timer->clock));
	else
		fprintf(out, "off\n");
}

static void print_field(FILE *out, const struct field *f, const struct device *dev)
{
	const u8 *p = (const u8 *)dev + f->offset;

	fprintf(out, "  %-*s", NAME, f->name);
	if (strlen(f->name) >= NAME)
		fputc(' ', out);
	if (f->kind == FIELD_TIMER) {
		print_timer(out, (const struct clock_timer *)p);
	} else if (f->kind == FIELD_BYTES) {
		print_bytes(out, f, p);
	} else if (f->count > 1) {
		print_array(out, f, p);
	} else {
		print_uint(out, load_uint(p, f->size), f->size);
		fputc('\n', out);
	}
}

static void print_fields(FILE *out, const struct device *dev)
{
	const struct field *f = dev->class->fields;

	fprintf(out, "%s: %s\n", dev->id, dev->class->name);
	if (!f || !f->name)
		fprintf(out, "  no registers\n");
	for (; f && f->name; f++)
		print_field(out, f, dev);
}

static void print_list(const struct machine *m, FILE *out)
{
	for (unsigned i = 0; i < m->nr_devices; i++)
		fprintf(out, "%-12s %s\n", m->device[i]->id, m->device[i]->class->name);
}

int machine_print_device(const struct machine *m, const char *id, FILE *out)
{
	if (!id) {
		print_list(m, out);
		return 0;
	}
	for (unsigned i = 0; i < m->nr_devices; i++) {
		const struct device *dev = m->device[i];

		if (strcmp(dev->id, id))
			continue;
		print_fields(out, dev);
		return 0;
	}
	return -ENOENT;
}
