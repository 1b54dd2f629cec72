// SPDX-License-Identifier: GPL-2.0-or-later
/* lockstep KERNEL [EVERY [MAX]]: the same guest on soft and on vtx, side by side. Every EVERY instructions all registers,
 * all devices' state and all memory written since are compared; the first difference is narrowed down to an instruction. */
#include <stdio.h>
#include <stdlib.h>

#include "vmm/machine.h"
#include "vmm/pc/boot.h"

#define RAM (64ull << 20)

struct pair {
	struct machine *soft, *vtx;
};

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
	long n;

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
	struct machine_config config = {.ram = RAM, .vcpus = 1, .engine = engine, .wall_start = 1000000000};
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

int main(int argc, char **argv)
{
	u64 every = argc > 2 ? strtoull(argv[2], NULL, 0) : 1000, max = argc > 3 ? strtoull(argv[3], NULL, 0) : ~0ull;
	const char *name;
	struct pair p;
	u64 at = 0;

	if (argc < 2)
		die("usage: lockstep KERNEL [EVERY [MAX]]");
	name = strrchr(argv[1], '/') ? strrchr(argv[1], '/') + 1 : argv[1];
	slurp(argv[1]);
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
