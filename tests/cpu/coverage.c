/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>

#include "tests/cpu/coverage.h"
#include "vmm/soft/decode.h"
#include "vmm/x86/regs.h"

size_t cover_size(const struct generator *g)
{
	return g->forms_count * sizeof(struct cover);
}

struct cover *cover_alloc(const struct generator *g)
{
	return shared_alloc(cover_size(g));
}

static enum outcome outcome_of(u32 vector)
{
	switch (vector) {
	case X86_DE:
		return OUT_DE;
	case X86_DB:
		return OUT_DB;
	case X86_BP:
		return OUT_BP;
	case X86_OF:
		return OUT_OF;
	case X86_BR:
		return OUT_BR;
	case X86_UD:
		return OUT_UD;
	case X86_NP:
		return OUT_NP;
	case X86_SS:
		return OUT_SS;
	case X86_GP:
		return OUT_GP;
	case X86_PF:
		return OUT_PF;
	case X86_MF:
		return OUT_MF;
	case X86_AC:
		return OUT_AC;
	case X86_XM:
		return OUT_XM;
	default:
		return OUT_OTHER;
	}
}

static void note(struct cover *cov, const struct diff_case *c, unsigned n, enum outcome out)
{
	const struct diff_insn *insn = &c->insn[n];
	unsigned bits = c->bits == 16 ? 0 : c->bits == 32 ? 1 : 2;

	if (out == OUT_OK && insn->lock)
		out = OUT_LOCK;
	__atomic_fetch_add(&cov[insn->form].times[bits][insn->osize][insn->asize][out], 1, __ATOMIC_RELAXED);
}

void cover_case(struct cover *cov, const struct diff_case *c, const struct diff_result *r)
{
	unsigned end = diff_insn_at(c, r->regs.rip);
	u64 landing = r->regs.rip - (c->segmented ? 0 : DIFF_CODE) - DIFF_LANDING;
	/* Where did it end, if not in one of the units? */
	bool astray = end == c->count && landing > DIFF_LANDING_END && r->regs.rip != c->start[c->count] &&
		      r->regs.rip != c->start[c->count] + 1;
	bool trap = r->vector == X86_BP || r->vector == X86_OF || r->vector == X86_DB;

	/* Traps point behind their instruction. */
	for (unsigned n = 0; trap && n < c->count; n++)
		if (r->regs.rip == c->start[n + 1])
			end = n;
	if (end < c->count)
		note(cov, c, end, outcome_of(r->vector));
	for (unsigned n = 0; n < end; n++) {
		note(cov, c, n, OUT_OK);
		if (c->insn[n].target > (int)n + 1 ||
		    (astray && c->insn[n].target >= 0)) /* may have skipped the next ones */
			break;
	}
}

/* --- the table --- */

/* All outcomes of the chosen sizes; -1: any. */
static u64 times(const struct cover *cov, int bits, int osize, int asize, int out)
{
	u64 sum = 0;

	for (int b = 0; b < 3; b++)
		for (int o = 0; o < 3; o++)
			for (int a = 0; a < 3; a++)
				for (int n = 0; n < OUT_COUNT; n++)
					if ((bits < 0 || b == bits) && (osize < 0 || o == osize) &&
					    (asize < 0 || a == asize) && (out < 0 || n == out))
						sum += cov->times[b][o][a][n];
	return sum;
}

static u64 done(const struct cover *cov, int bits, int osize, int asize)
{
	return times(cov, bits, osize, asize, OUT_OK) + times(cov, bits, osize, asize, OUT_LOCK);
}

static const char *const size_name[3] = {"16", "32", "64"};
static const char *const out_name[OUT_COUNT] = {"",   "LOCK", "DE", "DB", "BP", "OF", "BR", "UD",
						"NP", "SS",   "GP", "PF", "MF", "AC", "XM", "other"};

struct row {
	char code[24], name[24], form[8], modes[3][16], addresses[16], outcomes[64], why[96];
};

static void append(char *to, unsigned size, const char *what)
{
	unsigned n = strlen(to);

	snprintf(to + n, size - n, "%s%s", n ? " " : "", what);
}

static void make_row(struct row *r, const struct cover *cov, const struct form *f, const struct form_note *note)
{
	static const char *const kinds[] = {"-", "reg", "mem"};

	memset(r, 0, sizeof(*r));
	form_code(f, r->code, sizeof(r->code));
	snprintf(r->name, sizeof(r->name), "%s", note->name);
	snprintf(r->form, sizeof(r->form), "%s", kinds[f->kind]);
	if (note->why)
		snprintf(r->why, sizeof(r->why), "%s", note->why);
	for (int b = 0; b < 3; b++)
		for (int o = 0; o < 3; o++)
			if (done(cov, b, o, -1))
				append(r->modes[b], sizeof(r->modes[b]), size_name[o]);
	for (int a = 0; a < 3; a++)
		if (f->kind == FORM_MEM && done(cov, -1, -1, a))
			append(r->addresses, sizeof(r->addresses), size_name[a]);
	for (int n = OUT_LOCK; n < OUT_COUNT; n++)
		if (times(cov, -1, -1, -1, n))
			append(r->outcomes, sizeof(r->outcomes), out_name[n]);
}

static bool same_row(const struct row *a, const struct row *b)
{
	return !strcmp(a->name, b->name) && !strcmp(a->form, b->form) &&
	       !memcmp(a->modes, b->modes, sizeof(a->modes)) && !strcmp(a->addresses, b->addresses) &&
	       !strcmp(a->outcomes, b->outcomes) && !strcmp(a->why, b->why);
}

static void print_row(const struct row *r, const char *last)
{
	printf("| %s%s%s | %s | %s | %s | %s | %s | %s | %s | %s |\n", r->code, last ? " to " : "", last ? last : "",
	       r->name, r->form, r->modes[0], r->modes[1], r->modes[2], r->addresses, r->outcomes, r->why);
}

static const char *reason(const struct form *f, const struct form_note *note, bool faults)
{
	if (note->why)
		return note->why;
	if (f->map == 0 && f->op == 0x8d)
		return "LEA accesses no memory";
	if (f->map == 1 && (f->op == 0x0d || (f->op & 0xf8) == 0x18))
		return "a hint: accesses no memory";
	if (f->kind == FORM_MEM && faults)
		return "privileged: #GP comes first";
	return NULL;
}

/* A form that must have been seen doing something, and wasn't. */
static void hole(const struct form *f, const struct form_note *note, bool faults, const char *what, unsigned *holes)
{
	const char *why = reason(f, note, faults);
	char code[24];

	form_code(f, code, sizeof(code));
	printf("| %s | %s | %s | %s | %s |\n", code, note->name, f->kind == FORM_MEM ? "mem" : "reg", what,
	       why ? why : "");
	*holes += !why;
}

static void check_form(const struct cover *cov, const struct form *f, const struct form_note *note, unsigned *holes)
{
	static const char *const in_mode[3] = {"16-bit code", "32-bit code", "64-bit code"};
	bool ends = times(cov, -1, -1, -1, OUT_OK) + times(cov, -1, -1, -1, OUT_LOCK) == 0;

	if (!f->defined) {
		if (!times(cov, -1, -1, -1, OUT_UD) && !note->name[0])
			hole(f, note, ends, "undefined, not tried", holes);
		return;
	}
	if (ends && note->why) {
		hole(f, note, ends, "never completed", holes);
		return;
	}
	for (int b = 0; b < 3; b++) {
		if (b == 2 ? f->only32 : f->only64)
			continue;
		if (ends ? !times(cov, b, -1, -1, -1) : !done(cov, b, -1, -1))
			hole(f, note, ends, in_mode[b], holes);
		for (int o = 0; o < (b == 2 ? 3 : 2) && f->class == CLASS_INT && f->prefix < 0 && !ends; o++)
			if (!done(cov, b, o, -1) && done(cov, b, -1, -1) && !(b == 2 && o < 2 && f->flags & OP_F64) &&
			    !(b == 2 && o == 1 && f->flags & OP_D64))
				hole(f, note, ends,
				     o == 0   ? "16-bit operands"
				     : o == 1 ? "32-bit operands"
					      : "64-bit operands",
				     holes);
	}
	if (f->kind == FORM_MEM && !times(cov, -1, -1, -1, OUT_PF))
		hole(f, note, ends, "no #PF", holes);
	if (f->lock && f->kind == FORM_MEM && !times(cov, -1, -1, -1, OUT_LOCK))
		hole(f, note, ends, "no LOCK", holes);
	if (note->xm && !times(cov, -1, -1, -1, OUT_XM))
		hole(f, note, ends, "no #XM", holes);
}

unsigned cover_print(const struct cover *cov, const struct generator *g)
{
	unsigned holes = 0, undefined = 0;
	struct row first, row, last = {0};
	u64 refused = 0;

	printf("## Opcodes\n\n| opcode | | form | 16-bit code | 32-bit code | 64-bit code | addresses | exceptions and "
	       "LOCK | "
	       "left out |\n|---|---|---|---|---|---|---|---|---|\n");
	for (unsigned n = 0; n <= g->forms_count; n++) {
		const struct form *f = &g->forms[n];

		if (n < g->forms_count && !f->defined) {
			undefined++;
			refused += times(&cov[n], -1, -1, -1, OUT_UD);
			continue;
		}
		if (n < g->forms_count)
			make_row(&row, &cov[n], f, &g->notes[n]);
		if (n && n < g->forms_count && last.code[0] && same_row(&row, &last)) {
			last = row;
			continue;
		}
		if (last.code[0])
			print_row(&first, strcmp(first.code, last.code) ? last.code : NULL);
		first = last = row;
	}
	printf("\n%u encodings of the maps are undefined; #UD %lu times.\n", undefined, refused);
	printf("\n## Holes\n\n| opcode | | form | not seen | because |\n|---|---|---|---|---|\n");
	for (unsigned n = 0; n < g->forms_count; n++)
		check_form(&cov[n], &g->forms[n], &g->notes[n], &holes);
	printf("\n%u without a reason.\n", holes);
	return holes;
}
