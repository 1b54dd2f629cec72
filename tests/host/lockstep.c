// SPDX-License-Identifier: GPL-2.0-or-later
/* With --shadow vtx has shadow page tables.
 * lockstep --watch KERNEL STOPS: breakpoints and watchpoints of all kinds are set on both, and their stops compared.
 * lockstep KERNEL [EVERY [MAX]]: the same guest on soft and on vtx, side by side. Every EVERY instructions all registers,
 * all devices' state and all memory written since are compared; the first difference is narrowed down to an instruction. */
#include <stdio.h>
#include <stdlib.h>

#include "vmm/machine.h"
#include "vmm/pc/boot.h"

#define RAM (64ull << 20)

struct pair {
	struct machine *soft, *vtx;
};

static bool shadow;
static u8 *file;
static size_t file_len;

static void die(const char *what)
{
	printf("not ok %s\n", what);
	exit(1);
}

static void slurp(const char *path)
{
	FILE *f = fopen(path, "rb");
	long n = 0;

	if (!f || fseek(f, 0, SEEK_END) || (n = ftell(f)) < 0 || fseek(f, 0, SEEK_SET))
		die(path);
	file = malloc((size_t)n);
	file_len = (size_t)n;
	if (!file || fread(file, 1, file_len, f) != file_len)
		die(path);
	fclose(f);
}

static struct machine *boot(const struct engine_ops *engine)
{
	struct machine_config config = {
	    .ram = RAM, .vcpus = 1, .engine = engine, .shadow = shadow, .wall_start = 1000000000};
	struct boot_spec spec = {.kernel = {.name = "kernel", .data = file, .len = file_len}};
	struct error err = {""};
	struct machine *m;

	if (machine_create(&m, &config, &err) || boot_load(m, &spec, NULL, &err))
		die(err.text);
	m->vcpu[0]->engine->regs_changed(m->vcpu[0]);
	return m;
}

static void start(struct pair *p)
{
	p->soft = boot(&soft_engine);
	p->vtx = boot(&vtx_engine);
}

static void end(struct pair *p)
{
	machine_free(p->soft);
	machine_free(p->vtx);
}

static bool same_fields(const struct x86_state *a, const struct x86_state *b, bool tell)
{
	bool same = true;

	for (const struct field *f = x86_state_fields; f->name; f++) {
		const u8 *x = (const u8 *)a + f->offset, *y = (const u8 *)b + f->offset;
		size_t len = (size_t)f->size * f->count;

		if (!memcmp(x, y, len))
			continue;
		same = false;
		if (!tell)
			continue;
		printf("# %s: soft", f->name);
		for (size_t i = 0; i < len; i++)
			printf(" %02x", x[i]);
		printf(", vtx");
		for (size_t i = 0; i < len; i++)
			printf(" %02x", y[i]);
		printf("\n");
	}
	return same;
}

static bool same_page(struct pair *p, unsigned slot, u64 page, bool tell)
{
	const u8 *a = p->soft->mem.slot[slot].host + (page << PAGE_SHIFT);
	const u8 *b = p->vtx->mem.slot[slot].host + (page << PAGE_SHIFT);

	if (!memcmp(a, b, PAGE_SIZE))
		return true;
	for (unsigned i = 0, told = 0; tell && i < PAGE_SIZE && told < 8; i++)
		if (a[i] != b[i]) {
			printf("# memory %#llx: soft %02x, vtx %02x\n", (unsigned long long)(page << PAGE_SHIFT) + i,
			       a[i], b[i]);
			told++;
		}
	return false;
}

/* All pages that either has written since the last call. */
static bool same_memory(struct pair *p, bool tell)
{
	bool same = true;

	for (unsigned s = 0; s < p->soft->mem.count; s++) {
		u8 *fa = p->soft->mem.slot[s].flags, *fb = p->vtx->mem.slot[s].flags;

		for (u64 page = 0; page < p->soft->mem.slot[s].size >> PAGE_SHIFT; page++) {
			if (!((fa[page] | fb[page]) & PAGE_DIRTY))
				continue;
			same &= same_page(p, s, page, tell);
			fa[page] &= (u8)~PAGE_DIRTY;
			fb[page] &= (u8)~PAGE_DIRTY;
		}
	}
	soft_engine.dirty_reset(p->soft->vcpu[0]);
	vtx_engine.dirty_reset(p->vtx->vcpu[0]);
	return same;
}

static bool same(struct pair *p, bool tell)
{
	static u8 a[1 << 16], b[1 << 16];
	const struct vcpu *x = p->soft->vcpu[0], *y = p->vtx->vcpu[0];
	bool good = same_fields(&x->regs, &y->regs, tell);

	if (x->insns != y->insns || x->branches != y->branches || p->soft->end != p->vtx->end) {
		if (tell)
			printf("# soft: %llu instructions, %llu branches, %s; vtx: %llu, %llu, %s\n",
			       (unsigned long long)x->insns, (unsigned long long)x->branches,
			       machine_end_name(p->soft->end), (unsigned long long)y->insns,
			       (unsigned long long)y->branches, machine_end_name(p->vtx->end));
		good = false;
	}
	good &= same_memory(p, tell);
	if (machine_state_size(p->soft) > sizeof(a))
		die("the state is larger than expected");
	size_t n = machine_state_save(p->soft, a);

	if (good && (machine_state_save(p->vtx, b) != n || memcmp(a, b, n))) {
		if (tell)
			printf("# the devices' state differs\n");
		good = false;
	}
	return good;
}

static void run_to(struct pair *p, u64 position)
{
	machine_run(p->soft, position);
	machine_run(p->vtx, position);
}

/* The first instruction in (good, bad] after which they differ. */
static void narrow(u64 good, u64 bad)
{
	struct pair p;

	start(&p);
	run_to(&p, good);
	for (u64 at = good; at < bad; at++) {
		const struct x86_state *s = &p.soft->vcpu[0]->regs;
		struct x86_state before = *s;

		run_to(&p, at + 1);
		if (same(&p, true))
			continue;
		printf("# they differ after instruction %llu, at RIP %#llx, cs %x, rflags %llx\n",
		       (unsigned long long)at + 1, (unsigned long long)before.rip, before.seg[SEG_CS].selector,
		       (unsigned long long)before.rflags);
		break;
	}
	end(&p);
}

/* --- breakpoints and watchpoints --- */

#define BREAKS 24

static struct target_break breaks[BREAKS];

static void add_break(unsigned n, enum target_break_kind kind, enum target_space space, u64 addr, u64 len)
{
	breaks[n] = (struct target_break){
	    .kind = kind, .space = space, .addr = addr, .len = len, .next = n + 1 < BREAKS ? &breaks[n + 1] : NULL};
}

/* Where the guest is and what its stack holds at places along its way, by soft: in reach of every kind of breakpoint. */
static void choose_breaks(u64 length)
{
	struct machine *m = boot(&soft_engine);

	for (unsigned n = 0; n < BREAKS; n++) {
		const struct x86_state *s = &m->vcpu[0]->regs;
		enum target_space space = n % 4 == 3 ? TARGET_PHYSICAL : TARGET_LINEAR;
		u64 sp = s->seg[SEG_SS].base + s->gpr[RSP];

		machine_run(m, length * (n + 1) / (BREAKS + 1));
		switch (n % 6) {
		case 0:
			add_break(n, TARGET_BREAK_EXEC, n % 12 ? TARGET_LINEAR : TARGET_PHYSICAL,
				  s->seg[SEG_CS].base + s->rip, 1);
			break;
		case 1:
			add_break(n, TARGET_BREAK_WRITE, space, sp - 8, 4);
			break;
		case 2:
			add_break(n, TARGET_BREAK_READ, space, sp - 24, 8);
			break;
		case 3:
			add_break(n, TARGET_BREAK_ACCESS, space, sp - 61, 3);
			break;
		case 4:
			add_break(n, TARGET_BREAK_EVENT, 0, n & 8 ? TARGET_EVENT_EXCEPTION : TARGET_EVENT_INTERRUPT,
				  TARGET_ANY);
			break;
		default:
			add_break(n, TARGET_BREAK_WRITE, space, s->gpr[RDI] & 0x3fffff, 16);
			break;
		}
	}
	machine_free(m);
}

static int by_break(const void *a, const void *b)
{
	const struct probe_hit *x = a, *y = b;

	return x->hit < y->hit ? -1 : x->hit > y->hit;
}

static void describe(const char *who, const struct vcpu *v)
{
	printf("# %s: %llu+%u rip %#llx:", who, (unsigned long long)v->insns, vcpu_deliveries(v),
	       (unsigned long long)v->regs.rip);
	for (unsigned n = 0; n < v->probe.nr; n++)
		printf(" [%d kind %d space %d at %#llx: %#llx %s]", (int)(v->probe.hit[n].hit - breaks),
		       v->probe.hit[n].hit->kind, v->probe.hit[n].hit->space,
		       (unsigned long long)v->probe.hit[n].hit->addr, (unsigned long long)v->probe.hit[n].addr,
		       v->probe.hit[n].write ? "write" : "");
	printf("\n");
}

static bool same_hits(struct pair *p)
{
	struct vcpu *a = p->soft->vcpu[0], *b = p->vtx->vcpu[0];
	bool good = a->insns == b->insns && vcpu_deliveries(a) == vcpu_deliveries(b) && a->probe.nr == b->probe.nr;

	qsort(a->probe.hit, a->probe.nr, sizeof(*a->probe.hit), by_break);
	qsort(b->probe.hit, b->probe.nr, sizeof(*b->probe.hit), by_break);
	for (unsigned n = 0; good && n < a->probe.nr; n++)
		good = a->probe.hit[n].hit == b->probe.hit[n].hit && a->probe.hit[n].addr == b->probe.hit[n].addr &&
		       a->probe.hit[n].write == b->probe.hit[n].write;
	if (!good) {
		describe("soft", a);
		describe("vtx ", b);
	}
	return good;
}

static void go_on(struct machine *m)
{
	struct vcpu *v = m->vcpu[0];

	v->probe.nr = 0;
	v->probe.skip_insns = v->insns;
	v->probe.skip_deliveries = vcpu_deliveries(v);
}

/* Stops of both engines, one by one, are the same: place, breakpoints, first byte, read or write, all registers. */
static int watch(const char *name, u64 stops)
{
	struct machine *m = boot(&soft_engine);
	unsigned done = 0, told = 0;
	struct pair p;

	machine_run(m, 400000);
	choose_breaks(machine_position(m));
	machine_free(m);
	start(&p);
	if (probe_set(p.soft->vcpu[0], breaks) || probe_set(p.vtx->vcpu[0], breaks))
		die("no memory for breakpoints");
	go_on(p.soft);
	go_on(p.vtx);
	while (done < stops && !p.soft->end) {
		run_to(&p, 400000);
		if (!same_hits(&p) || !same_fields(&p.soft->vcpu[0]->regs, &p.vtx->vcpu[0]->regs, true)) {
			printf("not ok watch %s: stop %u differs\n", name, done);
			return 1;
		}
		if (machine_position(p.soft) >= 400000)
			break;
		told += p.soft->vcpu[0]->probe.nr;
		go_on(p.soft);
		go_on(p.vtx);
		done++;
	}
	printf("%s watch %s: %u stops, %u hits, the same on both\n", told > 4 ? "ok" : "not ok", name, done, told);
	end(&p);
	return told <= 4;
}

int main(int argc, char **argv)
{
	bool watching = false;

	for (; argc > 1 && argv[1][0] == '-'; argc--, argv++) {
		watching |= !strcmp(argv[1], "--watch");
		shadow |= !strcmp(argv[1], "--shadow");
	}
	u64 every = argc > 2 ? strtoull(argv[2], NULL, 0) : 1000, max = argc > 3 ? strtoull(argv[3], NULL, 0) : ~0ull;
	const char *name;
	struct pair p;
	u64 at = 0;

	if (argc < 2)
		die("usage: lockstep [--shadow] [--watch] KERNEL [EVERY [MAX]]");
	name = strrchr(argv[1], '/') ? strrchr(argv[1], '/') + 1 : argv[1];
	slurp(argv[1]);
	if (watching)
		return watch(name, every);
	start(&p);
	for (;;) {
		run_to(&p, at + every);
		if (!same(&p, true)) {
			end(&p);
			narrow(at, at + every);
			printf("not ok lockstep %s: soft and vtx differ after %llu\n", name, (unsigned long long)at);
			return 1;
		}
		at += every;
		if (p.soft->end || at >= max)
			break;
	}
	printf("ok lockstep %s: %llu instructions, %s\n", name, (unsigned long long)p.soft->vcpu[0]->insns,
	       p.soft->end ? machine_end_name(p.soft->end) : "as far as asked");
	end(&p);
	return 0;
}
