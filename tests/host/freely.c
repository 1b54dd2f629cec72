// SPDX-License-Identifier: GPL-2.0-or-later
/* freely [--shadow] [--console] [--but TEXT]... KERNEL: the guest runs freely on soft and on vtx, each to its end. What it printed must be the
 * same, but lines with TEXT, which says what Bochs does differently; all registers and all memory too, unless --console says
 * that the guest looks at the time, or at x87 pointers, of which processors differ. Tells what vtx needed for it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/machine.h"
#include "vmm/pc/boot.h"
#include "vmm/vtx/vtx.h"

#define RAM (64ull << 20)

struct text {
	u8 byte[1 << 16];
	size_t len;
};

static bool shadow; /* vtx has shadow page tables */
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

static void console(void *ctx, enum console_port port, const u8 *buf, size_t len)
{
	struct text *text = ctx;

	for (size_t n = 0; n < len && text->len < sizeof(text->byte); n++)
		text->byte[text->len++] = buf[n];
}

static struct machine *run(const struct engine_ops *engine, struct text *text)
{
	struct machine_config config = {.ram = RAM,
					.vcpus = 1,
					.engine = engine,
					.wall_start = 1000000000,
					.clock = CLOCK_HOST,
					.free = true,
					.shadow = shadow};
	struct boot_spec spec = {.kernel = {.name = "kernel", .data = file, .len = file_len}};
	struct error err = {""};
	struct machine *m;

	if (machine_create(&m, &config, &err) || boot_load(m, &spec, NULL, &err))
		die(err.text);
	m->listener = (struct machine_listener){.console = console, .ctx = text};
	m->vcpu[0]->engine->regs_changed(m->vcpu[0]);
	while (!m->end && !machine_run(m, ~0ull))
		;
	return m;
}

static bool same_fields(const struct x86_state *a, const struct x86_state *b)
{
	bool same = true;

	for (const struct field *f = x86_state_fields; f->name; f++) {
		const u8 *x = (const u8 *)a + f->offset, *y = (const u8 *)b + f->offset;
		size_t len = (size_t)f->size * f->count;

		/* Which x87 instructions leave something in the last two differs by processor (SDM 1, 8.1.8). */
		if (!memcmp(x, y, len) || !strcmp(f->name, "fpu.fdp") || !strcmp(f->name, "fpu.fop"))
			continue;
		same = false;
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

static bool same_memory(const struct memory *a, const struct memory *b)
{
	unsigned told = 0;

	for (unsigned s = 0; s < a->count; s++)
		for (u64 i = 0; i < a->slot[s].size && told < 16; i++)
			if (!(i & PAGE_MASK) && !memcmp(a->slot[s].host + i, b->slot[s].host + i, PAGE_SIZE))
				i += PAGE_SIZE - 1;
			else if (a->slot[s].host[i] != b->slot[s].host[i]) {
				printf("# memory %#llx: soft %02x, vtx %02x\n",
				       (unsigned long long)(a->slot[s].gpa + i), a->slot[s].host[i],
				       b->slot[s].host[i]);
				told++;
			}
	return !told;
}

/* Takes the line that has @but out. */
static void leave_out(struct text *text, const char *but)
{
	u8 *at = but ? memmem(text->byte, text->len, but, strlen(but)) : NULL, *end;
	u8 *stop = text->byte + text->len;

	if (!at)
		return;
	while (at > text->byte && at[-1] != '\n')
		at--;
	end = memchr(at, '\n', (size_t)(stop - at));
	end = end ? end + 1 : stop;
	memmove(at, end, (size_t)(stop - end));
	text->len -= (size_t)(end - at);
}

int main(int argc, char **argv)
{
	bool console_only, good = true;
	static struct text text[2];
	struct machine *soft, *vtx;
	const struct vmdbg_stats *stats;
	const char *name, *but[4] = {NULL};

	shadow = argc > 1 && !strcmp(argv[1], "--shadow");
	argv += shadow;
	argc -= shadow;
	console_only = argc > 1 && !strcmp(argv[1], "--console");
	argv += console_only;
	argc -= console_only;
	for (unsigned n = 0; argc > 3 && n < ARRAY_SIZE(but) && !strcmp(argv[1], "--but"); n++) {
		but[n] = argv[2];
		argv += 2;
		argc -= 2;
	}
	if (argc != 2)
		die("usage: freely [--shadow] [--console] [--but TEXT]... KERNEL");
	name = strrchr(argv[1], '/') ? strrchr(argv[1], '/') + 1 : argv[1];
	slurp(argv[1]);
	soft = run(&soft_engine, &text[0]);
	vtx = run(&vtx_engine, &text[1]);
	stats = vtx_cpu(vtx->vcpu[0])->stats;
	for (unsigned n = 0; n < ARRAY_SIZE(but); n++) {
		leave_out(&text[0], but[n]);
		leave_out(&text[1], but[n]);
	}
	if (text[0].len != text[1].len || memcmp(text[0].byte, text[1].byte, text[0].len) || soft->end != vtx->end ||
	    (!but[0] && soft->end_code != vtx->end_code)) {
		printf("# soft: %s %u\n%.*s\n# vtx: %s %u %s\n%.*s\n", machine_end_name(soft->end), soft->end_code,
		       (int)text[0].len, (const char *)text[0].byte, machine_end_name(vtx->end), vtx->end_code,
		       vtx->fault.text, (int)text[1].len, (const char *)text[1].byte);
		good = false;
	}
	if (!console_only) {
		good &= same_fields(&soft->vcpu[0]->regs, &vtx->vcpu[0]->regs);
		good &= same_memory(&soft->mem, &vtx->mem);
	}
	printf("%s freely %s%s: %s, %llu accesses; %llu instructions, %llu exits, %llu steps, %llu to user space\n",
	       good ? "ok" : "not ok", name, shadow ? ", shadow page tables" : "", machine_end_name(vtx->end),
	       (unsigned long long)vtx->accesses, (unsigned long long)soft->vcpu[0]->insns,
	       (unsigned long long)stats->entries, (unsigned long long)stats->steps,
	       (unsigned long long)stats->user_exits);
	machine_free(soft);
	machine_free(vtx);
	return !good;
}
