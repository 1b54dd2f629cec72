/* SPDX-License-Identifier: GPL-2.0-or-later */
/* boot_load(): finds out what the kernel file is, and what all loaders share. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "vmm/pc/boot.h"
#include "vmm/pc/load.h"

static bool overlap(u64 a, u64 a_end, u64 b, u64 b_end)
{
	return a < b_end && b < a_end;
}

/* The end of the RAM that goes on without a gap from @start, or 0 when @start is no RAM. */
static u64 ram_end(const struct load *l, u64 start)
{
	u64 end = 0, at = start;
	bool more = true;

	while (more) {
		more = false;
		for (unsigned i = 0; i < l->map_entries; i++) {
			const struct e820_entry *r = &l->map[i];

			if (r->type == E820_RAM && at >= r->addr && at - r->addr < r->size) {
				end = at = r->addr + r->size;
				more = true;
			}
		}
	}
	return end;
}

int load_claim(struct load *l, u64 gpa, u64 size, const char *part)
{
	u64 end;

	if (!size)
		return 0;
	end = ram_end(l, gpa);
	if (!end || size > end - gpa)
		return error_set(
		    l->err, -ENOMEM,
		    "the %s needs %llu bytes at %#llx, which is not all memory: the guest has %llu MiB (-m)", part,
		    (unsigned long long)size, (unsigned long long)gpa, (unsigned long long)(l->m->mem.size >> 20));
	if (overlap(gpa, gpa + size, BOOT_DATA_START, BOOT_DATA_END))
		return error_set(l->err, -EINVAL, "the %s wants %#llx to %#llx, but the boot data is at %#llx to %#llx",
				 part, (unsigned long long)gpa, (unsigned long long)(gpa + size - 1), BOOT_DATA_START,
				 BOOT_DATA_END - 1);
	l->low = min64(l->low, gpa);
	l->high = max64(l->high, gpa + size);
	return 0;
}

void load_write(struct load *l, u64 gpa, const void *data, u64 len)
{
	if (len)
		memory_write(&l->m->mem, gpa, data, len);
}

/* The best page-aligned place for @size bytes in [start, end), free of the kernel; 0: none. */
static u64 find_place(const struct load *l, enum load_where where, u64 start, u64 end, u64 size)
{
	u64 kernel_end = (l->high + PAGE_MASK) & ~PAGE_MASK;
	u64 place;

	start = (start + PAGE_MASK) & ~PAGE_MASK;
	if (where == LOAD_LOW) {
		place = overlap(start, start + size, l->low, kernel_end) ? kernel_end : start;
	} else {
		if (end < size)
			return 0;
		place = (end - size) & ~PAGE_MASK;
		if (overlap(place, place + size, l->low, kernel_end)) {
			if (l->low < size)
				return 0;
			place = (l->low - size) & ~PAGE_MASK;
		}
	}
	return place >= start && place < end && size <= end - place ? place : 0;
}

int load_initrd(struct load *l, enum load_where where, u64 limit)
{
	const struct boot_file *f = &l->spec->initrd;
	const u64 lowest = where == LOAD_LOW ? max64(1 << 20, l->high) : 1 << 20;
	u64 best = 0;

	if (!f->data)
		return 0;
	for (unsigned i = 0; i < l->map_entries; i++) {
		const struct e820_entry *r = &l->map[i];
		u64 start = max64(r->addr, lowest), end = min64(r->addr + r->size, limit), place;

		if (r->type != E820_RAM || start >= end)
			continue;
		place = find_place(l, where, start, end, max64(f->len, 1));
		if (place && (!best || (where == LOAD_LOW ? place < best : place > best)))
			best = place;
	}
	if (!best)
		return error_set(
		    l->err, -ENOMEM,
		    "the initrd %s of %zu bytes does not fit beside the kernel in the guest's %llu MiB of memory (-m)",
		    f->name, f->len, (unsigned long long)(l->m->mem.size >> 20));
	load_write(l, best, f->data, f->len);
	l->initrd = best;
	return 0;
}

int load_cmdline(struct load *l, u64 max)
{
	const char *line = l->spec->append ? l->spec->append : "";
	size_t len = strlen(line);

	max = min64(max, BOOT_CMDLINE_SIZE - 1);
	if (len > max)
		return error_set(l->err, -EINVAL, "the command line of %zu bytes is longer than this kernel's %llu",
				 len, (unsigned long long)max);
	load_write(l, BOOT_CMDLINE, line, len + 1);
	return 0;
}

static int boot_elf_file(struct load *l)
{
	const struct boot_spec *spec = l->spec;
	struct elf_image elf;
	u32 pvh;
	int rc = elf_open(&elf, spec->kernel.data, spec->kernel.len, l->err);

	if (rc)
		return rc;
	if (spec->kind == BOOT_LINUX || (spec->kind == BOOT_AUTO && linux_is_vmlinux(&elf)))
		return linux_load_vmlinux(l, &elf);
	if (spec->kind == BOOT_AUTO && pvh_is(&elf, &pvh))
		return pvh_load(l, &elf, pvh);
	return elf_boot(l, &elf);
}

static int boot_file(struct load *l)
{
	const struct boot_spec *spec = l->spec;
	const u8 *data = spec->kernel.data;
	size_t len = spec->kernel.len, header;

	if (!len)
		return error_set(l->err, -EINVAL, "the file is empty");
	if (spec->kind == BOOT_FLAT)
		return flat_boot(l);
	if (spec->kind == BOOT_BIOS)
		return bios_boot(l);
	if ((spec->kind == BOOT_AUTO || spec->kind == BOOT_LINUX) && linux_is_bzimage(data, len))
		return linux_load_bzimage(l);
	if ((spec->kind == BOOT_AUTO || spec->kind == BOOT_MULTIBOOT) && multiboot_find(data, len, &header))
		return multiboot_load(l, header);
	if (spec->kind != BOOT_MULTIBOOT && elf_is(data, len))
		return boot_elf_file(l);
	if (multiboot2_find(data, len))
		return error_set(l->err, -EINVAL, "not a kernel that can be loaded: it has a Multiboot 2 header only");
	return error_set(l->err, -EINVAL,
			 "not a kernel: neither a Linux bzImage, nor Multiboot, nor ELF (--flat takes a raw binary)");
}

/* The memory map as the firmware tells it, and the tables it left. */
static int boot_firmware(struct load *l)
{
	l->map_entries = pc_e820(l->m, l->map);
	l->rsdp = PC_RSDP;
	return pc_write_tables(l->m, l->err);
}

int boot_load(struct machine *m, const struct boot_spec *spec, char **what, struct error *err)
{
	struct load l = {.m = m, .spec = spec, .err = err, .low = ~0ull};
	struct vcpu *vcpu = m->vcpu[0];
	int rc;

	if (what)
		*what = NULL;
	rc = spec->kind == BOOT_BIOS ? 0 : boot_firmware(&l);
	if (rc)
		return rc;
	rc = boot_file(&l);
	if (rc)
		return error_prefix(err, rc, "%s", spec->kernel.name);
	if (vcpu->engine->regs_changed)
		vcpu->engine->regs_changed(vcpu);
	if (!what)
		return 0;
	*what = strdup(l.what);
	return *what ? 0 : error_set(err, -ENOMEM, "no memory");
}
