// SPDX-License-Identifier: GPL-2.0-or-later
/* Accesses that EPT doesn't let through. Whatever the instruction is, the processor carries it out: it runs once more,
 * alone, with the page open.
 *
 * A device: in place of its page is a bounce page, which holds what the device answered where the instruction reads, and from
 * which what it wrote is taken afterwards. Decoding only has to say where and how much, never what is computed. All devices
 * that the instruction accesses are asked at once, in its own order, whichever page the processor came upon first.
 * A watched page: the page itself, and what the instruction touches there is noted when it has run. */
#include "vmm/inspect.h"
#include "vmm/vtx/vtx.h"

#define QUAL_WRITE BIT(1)
#define QUAL_FETCH BIT(2)
#define QUAL_GLA   BIT(7)
#define QUAL_FINAL BIT(8) /* the access itself, not the walk to it */
#define NO_ENTRY   (~0ull)

void vtx_open_reset(struct vtx_cpu *cpu)
{
	cpu->open.incomplete = false;
	cpu->open.nr = cpu->open.nr_touch = cpu->open.nr_bounce = 0;
	cpu->open.entry = NO_ENTRY;
}

static u8 *find_bounce(struct vtx_cpu *cpu, u64 gpa)
{
	for (unsigned n = 0; n < cpu->open.nr_bounce; n++)
		if (!((cpu->open.bounce_gpa[n] ^ gpa) & ~PAGE_MASK))
			return cpu->bounce + n * PAGE_SIZE;
	return NULL;
}

u8 *vtx_bounce(struct vtx_cpu *cpu, u64 gpa)
{
	struct vtx_open *o = &cpu->open;
	u8 *page = find_bounce(cpu, gpa);

	if (page || o->nr_bounce == VMDBG_MAX_BOUNCE)
		return page;
	page = cpu->bounce + o->nr_bounce * PAGE_SIZE;
	memset(page, 0xff, PAGE_SIZE);
	o->bounce_gpa[o->nr_bounce++] = gpa & ~PAGE_MASK;
	return page;
}

static void add_touch(struct vtx_cpu *cpu, u64 la, unsigned len, bool read, bool write)
{
	struct vtx_open *o = &cpu->open;
	u64 gpa;

	while (len && o->nr_touch < ARRAY_SIZE(o->touch)) {
		unsigned n = (unsigned)min64(len, PAGE_SIZE - (la & PAGE_MASK));

		if (!inspect_translate(cpu->vcpu.mem, &cpu->vcpu.regs, la, &gpa))
			o->touch[o->nr_touch++] = (struct vtx_touch){la, gpa, n, read, write, false};
		else
			o->incomplete = true;
		la += n;
		if (!x86_64bit(&cpu->vcpu.regs))
			la = (u32)la;
		len -= n;
	}
}

static bool touches(const struct vtx_open *o, u64 gpa)
{
	for (unsigned n = 0; n < o->nr_touch; n++)
		if (!((o->touch[n].gpa ^ gpa) & ~PAGE_MASK))
			return true;
	return false;
}

/* What the instruction touches; what it is seen to touch here and now even when decoding doesn't know of it (descriptor
 * tables, mostly). */
static void look(struct vtx_cpu *cpu)
{
	const struct vmdbg_run *run = cpu->run;
	bool write = run->qualification & QUAL_WRITE;
	struct vtx_insn insn;

	if (!cpu->open.nr_touch && !vtx_decode(cpu, &insn))
		for (unsigned n = 0; n < insn.nr; n++)
			add_touch(cpu, insn.mem[n].la, insn.mem[n].size, insn.mem[n].read, insn.mem[n].write);
	if (run->qualification & QUAL_GLA && run->qualification & QUAL_FINAL && !touches(&cpu->open, run->gpa))
		add_touch(cpu, run->gla, write ? 1 : 8, !write, write);
}

static int too_many(struct vtx_cpu *cpu, const char *what)
{
	vtx_break(cpu, "an instruction at %#llx accesses too many pages %s", (unsigned long long)cpu->vcpu.regs.rip,
		  what);
	return 0;
}

static int open_device(struct vtx_cpu *cpu)
{
	struct vtx_open *o = &cpu->open;
	u8 *page;

	/* Nothing answers a fetch: FF FF, which is no instruction. */
	if (cpu->run->qualification & QUAL_FETCH)
		return vtx_fault(cpu, X86_UD);
	if (!vtx_bounce(cpu, cpu->run->gpa))
		return too_many(cpu, "of devices");
	if (!(cpu->run->qualification & QUAL_FINAL))
		return 0; /* page tables where there is no RAM */
	look(cpu);
	for (unsigned n = 0; n < o->nr_touch; n++) {
		struct vtx_touch *t = &o->touch[n];

		if (t->bounced || memory_slot(cpu->vcpu.mem, t->gpa))
			continue;
		page = vtx_bounce(cpu, t->gpa);
		if (!page)
			return too_many(cpu, "of devices");
		t->bounced = true;
		if (t->read && !o->incomplete)
			vtx_mmio_read(cpu, t->gpa, page + (t->gpa & PAGE_MASK), t->len);
	}
	return 0;
}

static int open_watched(struct vtx_cpu *cpu)
{
	struct vtx_open *o = &cpu->open;

	if (o->nr == VMDBG_MAX_OPEN)
		return too_many(cpu, "that are watched");
	o->gfn[o->nr++] = cpu->run->gpa >> PAGE_SHIFT;
	if (cpu->run->qualification & QUAL_GLA && !(cpu->run->qualification & QUAL_FINAL)) {
		o->entry = cpu->run->gpa & ~7ull;
		memory_read(cpu->vcpu.mem, o->entry, &o->old, 8);
	}
	look(cpu);
	return 0;
}

int vtx_exit_ept(struct vtx_cpu *cpu)
{
	return vtx_watches(cpu, cpu->run->gpa) ? open_watched(cpu) : open_device(cpu);
}

void vtx_opened(struct vtx_cpu *cpu)
{
	struct vtx_open *o = &cpu->open;
	u64 now;

	for (unsigned pass = 0; pass < 2; pass++)
		for (unsigned n = 0; n < o->nr_touch; n++) {
			const struct vtx_touch *t = &o->touch[n];

			if (!(pass ? t->write : t->read))
				continue;
			if (memory_slot(cpu->vcpu.mem, t->gpa))
				probe_access(&cpu->vcpu.probe, t->la, t->gpa, t->len, pass);
			else if (pass && t->bounced)
				vtx_mmio_write(cpu, t->gpa, find_bounce(cpu, t->gpa) + (t->gpa & PAGE_MASK), t->len);
		}
	if (o->entry != NO_ENTRY && !memory_read(cpu->vcpu.mem, o->entry, &now, 8) && now != o->old)
		probe_written(&cpu->vcpu, o->entry, 8);
	vtx_open_reset(cpu);
	vtx_watch_remap(cpu);
}
