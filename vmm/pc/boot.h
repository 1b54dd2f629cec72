/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What to boot, and how: the loaders' common entry. Files are given as bytes, so that record (from disk) and replay
 * (from the trace) take the same way. */
#ifndef VMM_PC_BOOT_H
#define VMM_PC_BOOT_H

#include "vmm/error.h"
#include "vmm/types.h"

struct machine;

struct boot_file {
	const char *name; /* for messages and module command lines, no meaning otherwise */
	const u8 *data;
	size_t len;
};

enum boot_kind { BOOT_AUTO, BOOT_LINUX, BOOT_MULTIBOOT, BOOT_ELF, BOOT_FLAT };

struct boot_spec {
	enum boot_kind kind; /* BOOT_AUTO: found out from the kernel file */
	bool inguest;        /* --boot inguest: leave decompression of a bzImage to the guest */
	u64 flat_address;    /* BOOT_FLAT: where the file goes and starts (page aligned) */
	struct boot_file kernel;
	struct boot_file initrd; /* data NULL: none. Multiboot: the first module */
	const char *append;      /* kernel command line, or NULL */
};

#define BOOT_MODEL "vmdbg-boot.1" /* names the loaders' behaviour in a trace; a change of it is a new name */

/* Puts kernel, initrd, boot parameters and firmware tables into guest RAM and sets vCPU 0's registers to the entry
 * state. The same spec and machine size give the same bytes, always. Errors: -EINVAL (not a kernel, damaged),
 * -ENOMEM (does not fit the guest's RAM), each with a sentence. *@what (may be NULL): what the file was found to be,
 * e.g. "Linux 6.1.0-18-cloud-amd64 bzImage (xz)" in memory that the caller frees. */
int boot_load(struct machine *m, const struct boot_spec *spec, char **what, struct error *err);

#endif
