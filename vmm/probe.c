/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Breakpoints as engines look them up: sorted ranges that are read as a balanced tree, whose root is the middle. */
#include "vmm/probe.h"

#include <errno.h>
#include <stdlib.h>

#include "vmm/engine.h"
#include "vmm/memory.h"
#include "vmm/x86/paging.h"

/* --- the trees --- */

static int compare(const void *a, const void *b)
{
	const struct probe_range *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

static u64 set_reach(struct probe_range *r, unsigned lo, unsigned hi)
{
	unsigned mid = lo + (hi - lo) / 2;
	u64 reach = r[mid].last;

	if (lo < mid)
		reach = max64(reach, set_reach(r, lo, mid));
	if (mid + 1 < hi)
		reach = max64(reach, set_reach(r, mid + 1, hi));
	return r[mid].reach = reach;
}

/* The first range of [lo, hi), a subtree, that meets [first, last], @from or later. */
static const struct probe_range *find(const struct probe_range *r, unsigned lo, unsigned hi, unsigned from, u64 first,
				      u64 last)
{
	while (lo < hi && hi > from) {
		unsigned mid = lo + (hi - lo) / 2;
		const struct probe_range *found;

		if (r[mid].reach < first)
			return NULL;
		found = find(r, lo, mid, from, first, last);
		if (found)
			return found;
		if (r[mid].first > last)
			return NULL;
		if (mid >= from && r[mid].last >= first)
			return &r[mid];
		lo = mid + 1;
	}
	return NULL;
}

/* The range after @prev (NULL: the first) that meets [first, last]. */
static const struct probe_range *next(const struct probe_ranges *in, const struct probe_range *prev, u64 first,
				      u64 last)
{
	return find(in->range, 0, in->nr, prev ? (unsigned)(prev - in->range) + 1 : 0, first, last);
}

/* The class of a breakpoint and what it covers; PROBE_CLASSES: nothing. */
static enum probe_class classify(const struct target_break *b, struct probe_range *r)
{
	u64 last = b->addr + b->len - 1;

	*r = (struct probe_range){b->addr, last < b->addr ? ~0ull : last, 0, b};
	switch (b->kind) {
	case TARGET_BREAK_EXEC:
		r->last = b->addr;
		break;
	case TARGET_BREAK_EVENT:
		r->first = b->len == TARGET_ANY ? 0 : b->len;
		r->last = b->len;
		return b->addr < TARGET_EVENT_COUNT ? PROBE_EVENT + (enum probe_class)b->addr : PROBE_CLASSES;
	default:
		if (!b->len)
			return PROBE_CLASSES;
	}
	if (b->space != TARGET_LINEAR && b->space != TARGET_PHYSICAL)
		return PROBE_CLASSES;
	return (b->kind == TARGET_BREAK_EXEC ? PROBE_EXEC : PROBE_WATCH) + (enum probe_class)b->space;
}

/* --- the list --- */

static void fill(struct probe *p, struct probe_range *room, const struct target_break *breaks)
{
	struct probe_range r;

	memset(p->in, 0, sizeof(p->in));
	for (const struct target_break *b = breaks; b; b = b->next) {
		enum probe_class class = classify(b, &r);

		if (class != PROBE_CLASSES)
			p->in[class].nr++;
	}
	for (unsigned c = 0; c < PROBE_CLASSES; c++) {
		p->in[c].range = room;
		room += p->in[c].nr;
		p->in[c].nr = 0;
	}
	for (const struct target_break *b = breaks; b; b = b->next) {
		enum probe_class class = classify(b, &r);

		if (class != PROBE_CLASSES)
			p->in[class].range[p->in[class].nr++] = r;
	}
	for (unsigned c = 0; c < PROBE_CLASSES; c++)
		if (p->in[c].nr) {
			qsort(p->in[c].range, p->in[c].nr, sizeof(r), compare);
			set_reach(p->in[c].range, 0, p->in[c].nr);
		}
}

void probe_free(struct probe *p)
{
	free(p->in[0].range); /* of all classes */
	free(p->hit);
	memset(p->in, 0, sizeof(p->in));
	p->hit = NULL;
	p->nr = p->cap = p->made = 0;
	p->fresh = false;
	p->breaks = NULL;
}

int probe_set(struct vcpu *vcpu, const struct target_break *breaks)
{
	struct probe *p = &vcpu->probe;
	struct probe_range *room = NULL;
	struct probe_hit *hit = NULL;
	unsigned n = 0;

	for (const struct target_break *b = breaks; b; b = b->next)
		n++;
	if (n) {
		room = calloc(n, sizeof(*room));
		hit = calloc(n, sizeof(*hit));
		if (!room || !hit) {
			free(room);
			free(hit);
			return -ENOMEM;
		}
	}
	probe_free(p);
	fill(p, room, breaks);
	p->breaks = breaks;
	p->hit = hit;
	p->cap = n;
	if (vcpu->engine && vcpu->engine->probe_changed)
		vcpu->engine->probe_changed(vcpu);
	return 0;
}

/* --- hits --- */

void probe_note(struct probe *p, const struct target_break *b, u64 addr, bool write)
{
	p->fresh = true;
	if (!p->nr)
		p->made = 0;
	for (unsigned n = 0; n < p->nr; n++) {
		if (p->hit[n].hit != b)
			continue;
		if (write && !p->hit[n].write)
			p->hit[n] = (struct probe_hit){b, addr, true};
		return;
	}
	if (p->nr < p->cap)
		p->hit[p->nr++] = (struct probe_hit){b, addr, write};
}

void probe_forget_reads(struct probe *p)
{
	unsigned kept;

	if (likely(!p->nr))
		return;
	kept = p->made < p->nr ? p->made : p->nr;
	for (unsigned n = kept; n < p->nr; n++) {
		const struct probe_hit *h = &p->hit[n];
		bool read = !h->write && (h->hit->kind == TARGET_BREAK_READ || h->hit->kind == TARGET_BREAK_ACCESS);

		if (!read)
			p->hit[kept++] = *h;
	}
	p->nr = kept;
}

bool probe_covers(const struct probe *p, enum probe_class class, u64 first, u64 last)
{
	return p->in[class].nr && next(&p->in[class], NULL, first, last);
}

void probe_event(struct vcpu *vcpu, enum target_event event, u64 number)
{
	struct probe *p = &vcpu->probe;
	const struct probe_ranges *in = &p->in[PROBE_EVENT + (enum probe_class)event];

	if (likely(!in->nr))
		return;
	for (const struct probe_range *r = NULL; (r = next(in, r, number, number));)
		probe_note(p, r->hit, number, false);
}

static bool exec(struct probe *p, enum target_space space, u64 addr)
{
	const struct probe_ranges *in = &p->in[PROBE_EXEC + (enum probe_class)space];
	bool any = false;

	for (const struct probe_range *r = NULL; (r = next(in, r, addr, addr)); any = true)
		probe_note(p, r->hit, addr, false);
	return any;
}

bool probe_exec(struct probe *p, u64 la, u64 gpa)
{
	bool linear = exec(p, TARGET_LINEAR, la);

	return exec(p, TARGET_PHYSICAL, gpa) || linear;
}

static void access_in(struct probe *p, enum target_space space, u64 first, u64 last, bool write)
{
	const struct probe_ranges *in = &p->in[PROBE_WATCH + (enum probe_class)space];

	for (const struct probe_range *r = NULL; (r = next(in, r, first, last));)
		if (r->hit->kind != (write ? TARGET_BREAK_READ : TARGET_BREAK_WRITE))
			probe_note(p, r->hit, max64(first, r->first), write);
}

void probe_access(struct probe *p, u64 la, u64 gpa, u64 len, bool write)
{
	access_in(p, TARGET_LINEAR, la, la + len - 1, write);
	access_in(p, TARGET_PHYSICAL, gpa, gpa + len - 1, write);
}

/* --- linear watchpoints by what they are mapped to --- */

static u64 read_entry(void *opaque, u64 gpa, unsigned size)
{
	const u8 *p = memory_host(opaque, gpa, size);

	return !p ? ~0ull : size == 8 ? load64(p) : load32(p);
}

static const struct paging_ops look = {.read = read_entry};

/* A write of [gpa, gpa + len): looks at the page of @r that holds @la. Returns the page's last byte. */
static u64 written_through(struct vcpu *vcpu, const struct paging_context *paging, const struct probe_range *r, u64 la,
			   u64 gpa, u64 len)
{
	u64 last = min64(la | PAGE_MASK, r->last), at, offset;
	struct paging_page page;

	/* As a supervisor who may do everything: whether it's mapped, not whether anybody may use it. */
	if (paging_walk(paging, &look, vcpu->mem, la, PAGING_AC, &page))
		return last;
	at = max64(page.gpa, gpa);
	offset = at - page.gpa;
	if (offset <= last - la && at - gpa < len)
		probe_note(&vcpu->probe, r->hit, la + offset, true);
	return last;
}

static void written_linear(struct vcpu *vcpu, u64 gpa, u64 len)
{
	const struct probe_ranges *in = &vcpu->probe.in[PROBE_WATCH + TARGET_LINEAR];
	u64 end = x86_long_mode(&vcpu->regs) ? ~0ull : ~0u;
	unsigned budget = PROBE_MAPPED_PAGES;
	struct paging_context paging;

	paging_context_set(&paging, &vcpu->regs);
	for (const struct probe_range *r = in->range; r < in->range + in->nr; r++) {
		if (r->hit->kind == TARGET_BREAK_READ)
			continue;
		for (u64 la = r->first; la <= min64(r->last, end) && budget--;) {
			u64 last = x86_canonical(la) || end == ~0u
				       ? written_through(vcpu, &paging, r, la, gpa, len)
				       : min64(~(BIT(47) - 1) - 1, r->last); /* past the hole */

			if (last >= r->last)
				break;
			la = last + 1;
		}
		if (budget > PROBE_MAPPED_PAGES)
			return;
	}
}

void probe_written(struct vcpu *vcpu, u64 gpa, u64 len)
{
	struct probe *p = &vcpu->probe;

	if (likely(!probe_watching(p)) || !len)
		return;
	access_in(p, TARGET_PHYSICAL, gpa, gpa + len - 1, true);
	if (p->in[PROBE_WATCH + TARGET_LINEAR].nr)
		written_linear(vcpu, gpa, len);
}
