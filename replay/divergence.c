/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The report of a divergence. */
#include <stdlib.h>

#include "replay/replayer.h"

#define FIELD_NAME 40

static void print_event(FILE *f, const struct divergence_event *e, const char *mark)
{
	char text[200];

	event_describe(&e->event, text, sizeof(text));
	fprintf(f, "  %s %s", mark, text);
	if (e->event.count > 1 && e->done < e->event.count)
		fprintf(f, " (%llu of them done)", (unsigned long long)e->done);
	fputc('\n', f);
}

static void print_mark(FILE *f, const char *name, u64 want, u64 got, int width)
{
	if (width)
		fprintf(f, "%s %-14s expected 0x%016llx  found 0x%016llx\n", want == got ? " " : "*", name,
			(unsigned long long)want, (unsigned long long)got);
	else
		fprintf(f, "%s %-14s expected %-18llu  found %llu\n", want == got ? " " : "*", name,
			(unsigned long long)want, (unsigned long long)got);
}

static void print_marks(const struct divergence *d, FILE *f)
{
	const struct event_mark *want = &d->expected, *got = &d->found;

	fprintf(f, "Landmark (* differs):\n");
	print_mark(f, "instructions", want->insns, got->insns, 0);
	print_mark(f, "branches", want->branches, got->branches, 0);
	print_mark(f, "rip", want->rip, got->rip, 1);
	print_mark(f, "rcx", want->rcx, got->rcx, 1);
	print_mark(f, "registers", want->digest, got->digest, 1);
}

static void print_registers(const struct x86_state *s, FILE *f)
{
	static const char *const name[GPR_COUNT] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
						    "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

	fprintf(f, "Registers found:\n");
	for (unsigned i = 0; i < GPR_COUNT; i++)
		fprintf(f, "  %-6s %016llx%s", name[i], (unsigned long long)s->gpr[i], i % 3 == 2 ? "\n" : "");
	fprintf(f, "  %-6s %016llx  %-6s %016llx\n", "rip", (unsigned long long)s->rip, "rflags",
		(unsigned long long)s->rflags);
	fprintf(f, "  %-6s %016llx  %-6s %016llx  %-6s %016llx\n", "cr0", (unsigned long long)s->cr0, "cr3",
		(unsigned long long)s->cr3, "cr4", (unsigned long long)s->cr4);
	fprintf(f, "  cs %04x  ss %04x  cpl %u  %s\n", s->seg[SEG_CS].selector, s->seg[SEG_SS].selector, x86_cpl(s),
		x86_64bit(s)                  ? "64-bit"
		: (s->seg[SEG_CS].ar & AR_DB) ? "32-bit"
					      : "16-bit");
}

/* One entry of a layout: "name:size" or "name:sizexcount". Returns what follows, or NULL at the end. */
static const char *layout_next(const char *p, char name[FIELD_NAME], unsigned *size, unsigned *count)
{
	int used = 0;

	if (!p || sscanf(p, " %39[^: ]:%u%n", name, size, &used) < 2 || !used)
		return NULL;
	p += used;
	*count = 1;
	if (*p == 'x' && sscanf(p, "x%u%n", count, &used) == 1)
		p += used;
	/* Numbers from a trace: nothing is larger than an image. */
	return !*size || !*count || *size > DIGEST_IMAGE_MAX || *count > DIGEST_IMAGE_MAX ? NULL : p;
}

static void print_bytes(FILE *f, const u8 *p, unsigned len)
{
	/* Numbers as written, most significant digit first; long fields likewise. */
	for (unsigned i = len; i-- > 0;)
		fprintf(f, "%02x", p[i]);
}

/* Lists the fields that differ, by the recording's own layout. The layout is the same in both, as both were made by the
 * same CPU model; where it isn't, names still belong to the recording's bytes. */
static void print_images(const struct divergence *d, FILE *f)
{
	size_t at = 0, most = d->image_len < d->found_len ? d->image_len : d->found_len;
	const char *p = d->layout;
	char name[FIELD_NAME];
	unsigned size, count, shown = 0;

	while ((p = layout_next(p, name, &size, &count))) {
		for (unsigned i = 0; i < count; i++, at += size) {
			bool whole = size == 1 && count > 1; /* a string of bytes, e.g. xmm0 */
			unsigned len = whole ? count : size;

			if (at + len > most)
				return;
			if (memcmp(d->expected_image + at, d->found_image + at, len)) {
				if (!shown++)
					fprintf(f, "Registers that differ:\n");
				fprintf(f, "* %s", name);
				if (count > 1 && !whole)
					fprintf(f, "[%u]", i);
				fprintf(f, " expected ");
				print_bytes(f, d->expected_image + at, len);
				fprintf(f, " found ");
				print_bytes(f, d->found_image + at, len);
				fputc('\n', f);
			}
			if (whole) {
				at += len - 1;
				i = count - 1;
			}
		}
	}
}

void divergence_print(const struct divergence *d, FILE *f, divergence_disasm_fn *disasm, void *ctx)
{
	fprintf(f, "The replay differs from the recording at position %llu, vCPU %u:\n  %s\n",
		(unsigned long long)d->position, d->vcpu, d->what);
	if (d->have_mark)
		print_marks(d, f);
	if (d->expected_image && d->found_image)
		print_images(d, f);
	print_registers(&d->regs, f);
	if (disasm)
		disasm(ctx, f, &d->regs);
	if (d->nr_before)
		fprintf(f, "Last events that were equal:\n");
	for (unsigned i = 0; i < d->nr_before; i++)
		print_event(f, &d->before[i], " ");
	if (d->nr_after)
		fprintf(f, "Next in the recording:\n");
	for (unsigned i = 0; i < d->nr_after; i++)
		print_event(f, &d->after[i], ">");
}
