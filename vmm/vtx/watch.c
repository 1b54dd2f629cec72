// SPDX-License-Identifier: GPL-2.0-or-later
/* Breakpoints and watchpoints of a debugger, by EPT permissions. The pages with watched bytes lose the rights in question,
 * every other page costs nothing. For a watchpoint by linear address the pages of the tables that map it lose their
 * writability too, so a new mapping is noticed when it is made, not when it is used. */
#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "vmm/inspect.h"
#include "vmm/vtx/vtx.h"

#define MAX_PAGES 65536 /* of linear watchpoints, looked up in the page tables */

struct limit {
	u64 gfn;
	u32 allowed;
};

struct vtx_watch {
	struct limit *page; /* by gfn */
	unsigned nr, cap;
	bool each; /* breakpoints that the module can't look for */
};

bool vtx_watches(const struct vtx_cpu *cpu, u64 gpa)
{
	const struct vtx_watch *w = cpu->watch;
	unsigned lo = 0, hi = w ? w->nr : 0;
	u64 gfn = gpa >> PAGE_SHIFT;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;

		if (w->page[mid].gfn == gfn)
			return true;
		if (w->page[mid].gfn < gfn)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

bool vtx_watch_each(const struct vtx_cpu *cpu)
{
	return cpu->watch && cpu->watch->each;
}

bool vtx_watch_steps(const struct vtx_cpu *cpu)
{
	const struct vcpu *vcpu = &cpu->vcpu;
	const struct probe *p = &vcpu->probe;
	unsigned room = 0;

	for (unsigned n = 0; n < 4; n++)
		room += !(vcpu->regs.dr7 >> (2 * n) & 3);
	return vcpu->stop_at_delivery || vtx_watch_each(cpu) || p->in[PROBE_EXEC + TARGET_LINEAR].nr > room ||
	       p->in[PROBE_EVENT + TARGET_EVENT_EXCEPTION].nr || probe_watching(p);
}

static u64 linear_rip(const struct x86_state *s)
{
	return x86_64bit(s) ? s->rip : (u32)(s->seg[SEG_CS].base + s->rip);
}

bool vtx_watch_here(const struct vtx_cpu *cpu)
{
	u64 la = linear_rip(&cpu->vcpu.regs);

	return probe_covers(&cpu->vcpu.probe, PROBE_EXEC + TARGET_LINEAR, la, la);
}

bool vtx_watch_exec(struct vtx_cpu *cpu)
{
	const struct x86_state *s = &cpu->vcpu.regs;
	struct probe *p = &cpu->vcpu.probe;
	u64 gpa, la = linear_rip(s);

	if (p->skip_insns == cpu->vcpu.insns && p->skip_deliveries == vcpu_deliveries(&cpu->vcpu))
		return false;
	if (!p->in[PROBE_EXEC + TARGET_PHYSICAL].nr && !probe_covers(p, PROBE_EXEC + TARGET_LINEAR, la, la))
		return false;
	return !inspect_translate(cpu->vcpu.mem, s, la, &gpa) && probe_exec(p, la, gpa);
}

/* --- the pages that are limited --- */

static void add(struct vtx_watch *w, const struct memory *mem, u64 gpa, u32 allowed)
{
	if (!memory_slot(mem, gpa))
		return;
	if (w->nr == w->cap) {
		unsigned cap = w->cap ? 2 * w->cap : 64;
		struct limit *page = realloc(w->page, cap * sizeof(*page));

		if (!page)
			return; /* the watchpoint is missed: better than the guest's end */
		w->page = page;
		w->cap = cap;
	}
	w->page[w->nr++] = (struct limit){gpa >> PAGE_SHIFT, allowed};
}

/* What may go on without an exit on a page with this watchpoint. */
static u32 allowed_by(const struct vtx_cpu *cpu, enum target_break_kind kind)
{
	if (kind == TARGET_BREAK_WRITE)
		return VMDBG_R | VMDBG_X;
	return cpu->features & VMDBG_FEATURE_EXEC_ONLY ? VMDBG_X : 0;
}

struct walk {
	struct vtx_cpu *cpu;
	struct vtx_watch *w;
};

static u64 read_entry(void *opaque, u64 gpa, unsigned size)
{
	struct walk *walk = opaque;
	u64 entry = 0;

	if (memory_read(walk->cpu->vcpu.mem, gpa, &entry, size))
		return size == 4 ? 0xffffffff : ~0ull;
	/* What the walk itself changes there, accessed and dirty flags, changes no mapping. */
	add(walk->w, walk->cpu->vcpu.mem, gpa, VMDBG_R | VMDBG_X | VMDBG_WALK);
	return entry;
}

static void add_linear(struct vtx_cpu *cpu, struct vtx_watch *w, const struct probe_range *r)
{
	static const struct paging_ops ops = {.read = read_entry};
	const struct x86_state *s = &cpu->vcpu.regs;
	struct walk walk = {cpu, w};
	struct paging_page page;
	u64 la = r->first & ~PAGE_MASK;

	paging_context_set(&cpu->paging, s);
	for (unsigned n = 0; n < MAX_PAGES && la <= r->last; n++, la += PAGE_SIZE) {
		if (x86_long_mode(s) ? !x86_canonical(la) : la >> 32)
			break;
		if (!paging_walk(&cpu->paging, &ops, &walk, la, 0, &page))
			add(w, cpu->vcpu.mem, page.gpa, allowed_by(cpu, r->hit->kind));
		if (la + PAGE_SIZE < la)
			break;
	}
}

static int by_gfn(const void *a, const void *b)
{
	const struct limit *x = a, *y = b;

	return x->gfn < y->gfn ? -1 : x->gfn > y->gfn;
}

/* Sorted, each page once, with what all its watchpoints allow. */
static void tidy(struct vtx_watch *w)
{
	unsigned n = 0;

	if (w->nr)
		qsort(w->page, w->nr, sizeof(*w->page), by_gfn);
	for (unsigned i = 0; i < w->nr; i++)
		if (n && w->page[n - 1].gfn == w->page[i].gfn)
			w->page[n - 1].allowed &= w->page[i].allowed;
		else
			w->page[n++] = w->page[i];
	w->nr = n;
}

static void tell_module(struct vtx_cpu *cpu, u64 gfn, u32 allowed)
{
	struct vmdbg_access a = {
	    .size = sizeof(a), .vcpu = cpu->vcpu.id, .gpa = gfn << PAGE_SHIFT, .pages = 1, .allowed = allowed};

	if (ioctl(cpu->fd, VMDBG_IOC_ACCESS, &a))
		vtx_break(cpu, "the module refuses to watch page %#llx", (unsigned long long)gfn);
}

/* From the limits of @old to those of @new, both sorted. */
static void change(struct vtx_cpu *cpu, const struct vtx_watch *old, const struct vtx_watch *new)
{
	unsigned i = 0, j = 0;

	while (i < old->nr || j < new->nr) {
		u64 a = i < old->nr ? old->page[i].gfn : ~0ull, b = j < new->nr ? new->page[j].gfn : ~0ull;

		if (a < b)
			tell_module(cpu, a, VMDBG_RWX);
		else if (b < a || old->page[i].allowed != new->page[j].allowed)
			tell_module(cpu, b, new->page[j].allowed);
		i += a <= b;
		j += b <= a;
	}
}

static void look_up(struct vtx_cpu *cpu)
{
	struct vtx_watch w = {0}, *old = cpu->watch;
	const struct probe *p = &cpu->vcpu.probe;
	const struct probe_ranges *in = &p->in[PROBE_WATCH + TARGET_PHYSICAL];

	for (unsigned n = 0; n < in->nr; n++)
		for (u64 gpa = in->range[n].first & ~PAGE_MASK;
		     gpa <= in->range[n].last && memory_slot(cpu->vcpu.mem, gpa); gpa += PAGE_SIZE)
			add(&w, cpu->vcpu.mem, gpa, allowed_by(cpu, in->range[n].hit->kind));
	in = &p->in[PROBE_WATCH + TARGET_LINEAR];
	for (unsigned n = 0; n < in->nr; n++)
		add_linear(cpu, &w, &in->range[n]);
	tidy(&w);
	change(cpu, old, &w);
	free(old->page);
	w.each = old->each;
	*old = w;
}

void vtx_watch_remap(struct vtx_cpu *cpu)
{
	if (cpu->watch && cpu->vcpu.probe.in[PROBE_WATCH + TARGET_LINEAR].nr)
		look_up(cpu);
}

/* --- execution breakpoints --- */

static void give_breaks(struct vtx_cpu *cpu)
{
	const struct probe_ranges *in = &cpu->vcpu.probe.in[PROBE_EXEC + TARGET_LINEAR];
	u64 la[VMDBG_MAX_BREAKS];
	struct vmdbg_breaks b = {
	    .size = sizeof(b), .vcpu = cpu->vcpu.id, .count = in->nr, .entries = (u64)(uintptr_t)la};

	cpu->watch->each = cpu->vcpu.probe.in[PROBE_EXEC + TARGET_PHYSICAL].nr || in->nr > VMDBG_MAX_BREAKS;
	if (cpu->watch->each)
		b.count = 0;
	for (unsigned n = 0; n < b.count; n++)
		la[n] = in->range[n].first;
	if (ioctl(cpu->fd, VMDBG_IOC_BREAKS, &b))
		cpu->watch->each = true;
}

void vtx_probe_changed(struct vcpu *vcpu)
{
	struct vtx_cpu *cpu = vtx_cpu(vcpu);

	if (!cpu->watch)
		cpu->watch = calloc(1, sizeof(*cpu->watch));
	if (!cpu->watch)
		return;
	look_up(cpu);
	give_breaks(cpu);
}

void vtx_watch_free(struct vtx_cpu *cpu)
{
	if (cpu->watch)
		free(cpu->watch->page);
	free(cpu->watch);
}
