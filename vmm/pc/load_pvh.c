/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PVH: the 32-bit entry of Xen's direct boot (xen/include/public/arch-x86/hvm/start_info.h, docs/misc/pvh). The ELF
 * file names it in a note; the kernel gets EBX = struct hvm_start_info. */
#include <errno.h>
#include <stdio.h>

#include "vmm/pc/load.h"

#define NOTE_PHYS32_ENTRY 18 /* XEN_ELFNOTE_PHYS32_ENTRY */
#define START_MAGIC       0x336ec578
#define START_VERSION     1 /* with the memory map */
#define INITRD_LIMIT      0x80000000ull

struct start_info {
	u32 magic, version, flags, nr_modules;
	u64 modules, cmdline, rsdp, map;
	u32 map_entries, reserved;
};

struct start_module {
	u64 start, size, cmdline, reserved;
};

struct start_range {
	u64 start, size;
	u32 type, reserved;
};

/* All in the page of boot parameters. */
#define AT_MODULE (BOOT_PARAMS + 0x80)
#define AT_MAP    (BOOT_PARAMS + 0x100)
_Static_assert(0x100 + PC_E820_MAX * sizeof(struct start_range) <= PAGE_SIZE, "the map fits the page");

bool pvh_is(const struct elf_image *elf, u32 *entry)
{
	const u8 *desc;
	u32 len;

	if (!elf_note(elf, "Xen", NOTE_PHYS32_ENTRY, &desc, &len) || (len != 4 && len != 8))
		return false;
	*entry = load32(desc);
	return len == 4 || !load32(desc + 4);
}

static bool in_segments(const struct elf_image *elf, u64 entry)
{
	struct elf_segment seg;

	for (unsigned i = 0; i < elf->phnum; i++) {
		elf_segment(elf, i, &seg);
		if (seg.type == 1 /* PT_LOAD */ && entry - seg.paddr < seg.memsz)
			return true;
	}
	return false;
}

static void write_start_info(struct load *l)
{
	struct start_info info = {
	    .magic = START_MAGIC,
	    .version = START_VERSION,
	    .nr_modules = l->initrd ? 1 : 0,
	    .modules = l->initrd ? AT_MODULE : 0,
	    .cmdline = BOOT_CMDLINE,
	    .rsdp = l->rsdp,
	    .map = AT_MAP,
	    .map_entries = l->map_entries,
	};
	struct start_module module = {l->initrd, l->spec->initrd.len, 0, 0};

	load_write(l, BOOT_PARAMS, &info, sizeof(info));
	if (l->initrd)
		load_write(l, AT_MODULE, &module, sizeof(module));
	for (unsigned i = 0; i < l->map_entries; i++) {
		struct start_range range = {l->map[i].addr, l->map[i].size, l->map[i].type, 0};

		load_write(l, AT_MAP + i * sizeof(range), &range, sizeof(range));
	}
}

int pvh_load(struct load *l, const struct elf_image *elf, u32 entry)
{
	int rc;

	if (!in_segments(elf, entry))
		return error_set(l->err, -EINVAL, "its PVH entry point %#x lies in none of its segments", entry);
	rc = elf_load(l, elf);
	if (!rc)
		rc = load_initrd(l, LOAD_HIGH, INITRD_LIMIT);
	if (!rc)
		rc = load_cmdline(l, BOOT_CMDLINE_SIZE);
	if (rc)
		return rc;
	write_start_info(l);
	entry_protected(l, entry);
	l->m->vcpu[0]->regs.gpr[RBX] = BOOT_PARAMS;
	snprintf(l->what, sizeof(l->what), "ELF%d, PVH entry %#x", elf->is64 ? 64 : 32, entry);
	return 0;
}
