/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Linear memory through the guest's page tables. The page walker of the machine does the work; what it reads is noted
 * on the way. */
#include "gdbstub/monitor_internal.h"

#define LEVELS     4
#define RUNS_MAX   500
#define WALKS_MAX  (1u << 20) /* of one `info mem`; tables that loop map everything */
#define LOW_END    0x800000000000ull
#define HIGH_BEGIN 0xffff800000000000ull

/* The entries that one walk has read, from the top. */
struct trail {
	const struct call *call;
	unsigned count;
	struct trail_entry {
		u64 gpa, value;
		unsigned size;
		bool missing; /* no RAM there */
	} entry[LEVELS];
};

static u64 trail_read(void *opaque, u64 gpa, unsigned size)
{
	struct trail *trail = opaque;
	const struct call *c = trail->call;
	struct trail_entry e = {.gpa = gpa, .size = size};

	e.missing = target_read(c->target, c->vcpu, TARGET_PHYSICAL, gpa, &e.value, size) != size;
	if (e.missing)
		e.value = size == 4 ? ~0u : ~0ull;
	if (trail->count < LEVELS)
		trail->entry[trail->count++] = e;
	return e.value;
}

/* As a supervisor that reads and isn't kept from user pages: all that is mapped. */
static int walk(const struct call *c, u64 la, struct trail *trail, struct paging_page *page)
{
	static const struct paging_ops ops = {.read = trail_read};
	struct paging_context context;

	*trail = (struct trail){.call = c};
	paging_context_set(&context, call_regs(c));
	return paging_walk(&context, &ops, trail, la, PAGING_AC, page);
}

enum paging_mode { PAGING_NONE, PAGING_32, PAGING_PAE, PAGING_4LEVEL };

static enum paging_mode mode_of(const struct x86_state *regs)
{
	if (!(regs->cr0 & CR0_PG))
		return PAGING_NONE;
	if (regs->efer & EFER_LMA)
		return PAGING_4LEVEL;
	return regs->cr4 & CR4_PAE ? PAGING_PAE : PAGING_32;
}

static const char *level_name(enum paging_mode mode, unsigned n)
{
	static const char *const names[][LEVELS] = {
	    [PAGING_32] = {"PDE", "PTE"},
	    [PAGING_PAE] = {"PDE", "PTE"},
	    [PAGING_4LEVEL] = {"PML4E", "PDPTE", "PDE", "PTE"},
	};

	return names[mode][n];
}

/* log2 of what one entry of the n-th table read maps. */
static unsigned level_shift(enum paging_mode mode, unsigned n)
{
	if (mode == PAGING_32)
		return n ? 12 : 22;
	return (mode == PAGING_PAE ? 21 : 39) - 9 * n;
}

static void print_entry(const struct call *c, enum paging_mode mode, unsigned n, const struct trail_entry *e)
{
	static const struct monitor_flag flags[] = {
	    {PTE_P, "P"}, {PTE_W, "RW"}, {PTE_U, "US"}, {PTE_PWT, "PWT"}, {PTE_PCD, "PCD"},
	    {PTE_A, "A"}, {PTE_D, "D"},  {PTE_G, "G"},  {0, NULL},
	};
	bool last = level_shift(mode, n) == 12;

	fprintf(c->out, "%-5s at 0x%llx: ", level_name(mode, n), (unsigned long long)e->gpa);
	if (e->missing) {
		fprintf(c->out, "no RAM\n");
		return;
	}
	fprintf(c->out, "%0*llx", e->size * 2, (unsigned long long)e->value);
	if (!(e->value & PTE_P)) {
		fprintf(c->out, " not present\n");
		return;
	}
	monitor_flags(c->out, e->value, flags);
	if (e->value & PTE_PS)
		fputs(last ? " PAT" : " PS", c->out);
	if (e->size == 8 && e->value & PTE_NX)
		fputs(" XD", c->out);
	fputc('\n', c->out);
}

static const char *page_size_name(unsigned bits)
{
	switch (bits) {
	case 12:
		return "4 KiB";
	case 21:
		return "2 MiB";
	case 22:
		return "4 MiB";
	default:
		return "1 GiB";
	}
}

/* Rights as "user rwx" or "kernel r--". */
static void print_rights(FILE *out, bool user, bool writable, bool nx)
{
	fprintf(out, "%s r%c%c", user ? "user" : "kernel", writable ? 'w' : '-', nx ? '-' : 'x');
}

static void print_mode(const struct call *c, enum paging_mode mode)
{
	static const char *const names[] = {"no paging", "32-bit paging", "PAE paging", "4-level paging"};

	fprintf(c->out, "%s, CR3 0x%llx\n", names[mode], (unsigned long long)call_regs(c)->cr3);
}

/* PAE: the walk begins at a register, not in memory. True: it has an entry. */
static bool print_pdpte(const struct call *c, u64 la)
{
	u64 pdpte = call_regs(c)->pdpte[la >> 30 & 3];

	fprintf(c->out, "PDPTE %llu (a register, loaded with CR3): %016llx%s\n", (unsigned long long)(la >> 30 & 3),
		(unsigned long long)pdpte, pdpte & PTE_P ? " P" : " not present");
	return pdpte & PTE_P;
}

static int print_walk(const struct call *c, enum paging_mode mode, u64 la)
{
	struct paging_page page;
	struct trail trail;
	int ret = walk(c, la, &trail, &page);

	for (unsigned i = 0; i < trail.count; i++)
		print_entry(c, mode, i, &trail.entry[i]);
	if (ret < 0) {
		bool reserved = page.error & PF_RSVD;

		if (trail.count && trail.entry[trail.count - 1].missing)
			return call_fail(c, "Not mapped: a table is outside of RAM.");
		return call_fail(c, reserved ? "Not mapped: a reserved bit is set." : "Not mapped.");
	}
	fprintf(c->out, "Physical 0x%llx, %s page, ", (unsigned long long)page.gpa, page_size_name(page.page_bits));
	print_rights(c->out, page.user, page.writable, page.nx);
	fprintf(c->out, "%s%s\n", page.global ? " global" : "", page.dirty ? " dirty" : "");
	return 0;
}

int monitor_walk(void *opaque, struct target *t, unsigned vcpu, const char *args, FILE *out)
{
	struct call c = call_begin(opaque, t, vcpu, args, out);
	enum paging_mode mode = mode_of(call_regs(&c));
	u64 la;

	if (call_address(&c, "ADDR", &la) < 0 || call_end(&c) < 0)
		return -EINVAL;
	if (mode == PAGING_4LEVEL && !x86_canonical(la))
		return call_fail(&c, "0x%llx is not canonical: bits 63 to 47 must be equal.", (unsigned long long)la);
	if (mode != PAGING_4LEVEL && la >> 32)
		return call_fail(&c, "0x%llx is beyond 4 GiB, and the CPU is not in long mode.",
				 (unsigned long long)la);
	print_mode(&c, mode);
	if (mode == PAGING_NONE) {
		fprintf(out, "Physical 0x%llx: linear addresses are physical ones.\n", (unsigned long long)la);
		return 0;
	}
	if (mode == PAGING_PAE && !print_pdpte(&c, la))
		return call_fail(&c, "Not mapped.");
	return print_walk(&c, mode, la);
}

/* --- info mem --- */

struct mem_run {
	u64 begin, end; /* the last byte */
	bool open, user, writable, nx;
};

static void print_run(const struct call *c, struct mem_run *run)
{
	if (!run->open)
		return;
	fprintf(c->out, "%016llx-%016llx %12llu KiB ", (unsigned long long)run->begin, (unsigned long long)run->end,
		(unsigned long long)((run->end - run->begin) / 1024 + 1));
	print_rights(c->out, run->user, run->writable, run->nx);
	fputc('\n', c->out);
	run->open = false;
}

/* Adds a page; true: a run was closed and printed. */
static bool add_page(const struct call *c, struct mem_run *run, u64 la, u64 last, const struct paging_page *page)
{
	bool closed;

	if (run->open && run->end + 1 == la && run->user == page->user && run->writable == page->writable &&
	    run->nx == page->nx) {
		run->end = last;
		return false;
	}
	closed = run->open;
	print_run(c, run);
	*run = (struct mem_run){la, last, true, page->user, page->writable, page->nx};
	return closed;
}

/* The last byte of what the walk at @la has settled: its page, or all that the entry not present would map. */
static u64 settled(enum paging_mode mode, u64 la, int ret, const struct trail *trail, const struct paging_page *page)
{
	unsigned shift = !ret ? page->page_bits : !trail->count ? 30 : level_shift(mode, trail->count - 1);

	return la | (BIT(shift) - 1);
}

/* Non-canonical addresses are stepped over. False: that was all. */
static bool next_address(enum paging_mode mode, u64 *la, u64 last, u64 end)
{
	*la = last + 1;
	if (mode == PAGING_4LEVEL && *la >= LOW_END && *la < HIGH_BEGIN)
		*la = HIGH_BEGIN;
	return *la && *la <= end;
}

static void list_mem(const struct call *c, enum paging_mode mode, u64 la, u64 end)
{
	struct mem_run run = {0};
	unsigned runs = 0;
	u64 last;

	for (unsigned walks = 0; runs < RUNS_MAX && walks < WALKS_MAX; walks++) {
		struct paging_page page;
		struct trail trail;
		int ret = walk(c, la, &trail, &page);

		last = min64(settled(mode, la, ret, &trail, &page), end);
		if (!ret)
			runs += add_page(c, &run, la, last, &page);
		if (!next_address(mode, &la, last, end)) {
			if (!run.open && !runs)
				fprintf(c->out, "Nothing is mapped there.\n");
			print_run(c, &run);
			return;
		}
	}
	print_run(c, &run);
	fprintf(c->out, "... and so on; `monitor info mem 0x%llx` shows more.\n", (unsigned long long)la);
}

int monitor_info_mem(void *opaque, struct target *t, unsigned vcpu, const char *args, FILE *out)
{
	struct call c = call_begin(opaque, t, vcpu, args, out);
	enum paging_mode mode = mode_of(call_regs(&c));
	u64 begin = 0, most = mode == PAGING_4LEVEL ? ~0ull : 0xffffffff, end = most;

	if ((*c.s && call_address(&c, "START", &begin) < 0) || (*c.s && call_address(&c, "END", &end) < 0) ||
	    call_end(&c) < 0)
		return -EINVAL;
	end = min64(end, most);
	if (begin > end)
		return call_fail(&c, "START is behind END, or behind the last address.");
	if (mode == PAGING_4LEVEL && begin >= LOW_END && begin < HIGH_BEGIN)
		begin = HIGH_BEGIN;
	print_mode(&c, mode);
	if (mode != PAGING_NONE && begin <= end)
		list_mem(&c, mode, begin, end);
	else if (mode != PAGING_NONE)
		fprintf(out, "Nothing is mapped there.\n");
	return 0;
}
