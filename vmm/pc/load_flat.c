/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Flat binaries, and what they share with plain ELF64 files: 64-bit mode with struct boot_info. */
#include <errno.h>
#include <stdio.h>

#include "vmm/pc/load.h"

#define LIMIT_4G (1ull << 32) /* the identity map reaches that far */

void flat_write_info(struct load *l)
{
	struct boot_info info = {
	    .magic = BOOT_INFO_MAGIC,
	    .size = sizeof(info),
	    .map_entries = l->map_entries,
	    .cmdline = BOOT_CMDLINE,
	    .initrd = l->initrd,
	    .initrd_size = l->initrd ? l->spec->initrd.len : 0,
	    .acpi_rsdp = l->rsdp,
	};

	_Static_assert(PC_E820_MAX <= BOOT_INFO_MAP && sizeof(info) <= PAGE_SIZE, "boot_info is one page");
	for (unsigned i = 0; i < l->map_entries; i++)
		info.map[i] = (struct boot_info_range){l->map[i].addr, l->map[i].size, l->map[i].type, 0};
	load_write(l, BOOT_PARAMS, &info, sizeof(info));
}

int flat_boot(struct load *l)
{
	const struct boot_spec *spec = l->spec;
	const u64 at = spec->flat_address;
	int rc;

	if (at & PAGE_MASK)
		return error_set(l->err, -EINVAL, "the flat address %#llx is not a multiple of 4096",
				 (unsigned long long)at);
	if (at >= LIMIT_4G)
		return error_set(l->err, -EINVAL, "the flat address %#llx is above 4 GiB", (unsigned long long)at);
	rc = load_claim(l, at, spec->kernel.len, "flat binary");
	if (!rc)
		rc = load_initrd(l, LOAD_LOW, LIMIT_4G);
	if (!rc)
		rc = load_cmdline(l, BOOT_CMDLINE_SIZE);
	if (rc)
		return rc;
	load_write(l, at, spec->kernel.data, spec->kernel.len);
	flat_write_info(l);
	entry_long(l, at);
	l->m->vcpu[0]->regs.gpr[RDI] = BOOT_PARAMS;
	snprintf(l->what, sizeof(l->what), "flat binary at %#llx", (unsigned long long)at);
	return 0;
}
