/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What to boot, and how: the loaders' common entry. Files are given as bytes, so that record (from disk) and replay
 * (from the trace) take the same way.
 *
 * A file is taken for the first of these that it is:
 *
 * 1. Linux bzImage (boot protocol 2.12 or later). Its payload is unpacked here and the vmlinux in
 *    it entered as below, so the guest neither spends its first second on it nor moves itself (no KASLR: that is done
 *    by the code that unpacks). With @inguest, the protected-mode part goes to 1 MiB and is entered at its 64-bit
 *    entry, 200h from there. So are an image without a payload, and always a 32-bit kernel, which is entered at the
 *    part's start by the 32-bit boot protocol.
 * 2. Multiboot 1 (a header in the first 8 KiB): ELF32, ELF64 or by the header's addresses; entered as the
 *    specification says. The command line is @append alone; @initrd is the first module, its string the file's name
 *    without folders.
 * 3. Linux vmlinux (ELF64 with a "Linux" note, Linux's Xen note, or Linux's export tables): its physical entry,
 *    startup_64, by the 64-bit boot protocol. Its PVH entry is not used, since both lead to the same code and the
 *    64-bit way has fewer steps.
 * 4. ELF32 or ELF64 with a PVH entry (Xen note 18): 32-bit protected mode, EBX = hvm_start_info.
 * 5. Any other x86-64 ELF64, and a flat binary (only when asked for by @kind): 64-bit mode, at the ELF entry or the
 *    flat address:
 *
 *    RDI = physical address of struct boot_info below; RSP = 8FFF8h, a zero return address there, and RAM below;
 *    other general registers 0; RFLAGS = 2 (interrupts off); CR0 = PG NE ET MP PE; CR4 = PAE OSFXSR OSXMMEXCPT (SSE
 *    is usable); CS = 10h, DS ES SS = 18h, FS GS null; IDT empty; physical memory below 4 GiB mapped at the same
 *    linear addresses in 2 MiB pages, writable.
 * 6. Firmware (only when asked for by @kind): the image ends at 1 MiB, in RAM that the host bridge's PAM registers call
 *    shadowed, and the vCPU is as after RESET but for CS's base, F0000h: F000:FFF0 is the same byte below 1 MiB and below
 *    4 GiB on a PC, and here there is nothing below 4 GiB. No tables, no boot data; memory is zero.
 *
 * ELF files go to their segments' physical addresses; an entry point within a segment's virtual addresses is moved
 * along with it. Boot data lies at BOOT_DATA_START, which no kernel may cover. RAM is taken to be zero: load once. */
#ifndef VMM_PC_BOOT_H
#define VMM_PC_BOOT_H

#include "vmm/error.h"
#include "vmm/types.h"

struct machine;

struct boot_file {
	const char *name; /* for messages, and (without folders) the string of a Multiboot module */
	const u8 *data;
	size_t len;
};

enum boot_kind { BOOT_AUTO, BOOT_LINUX, BOOT_MULTIBOOT, BOOT_ELF, BOOT_FLAT, BOOT_BIOS };

struct boot_spec {
	enum boot_kind kind; /* BOOT_AUTO: found out from the kernel file */
	bool inguest;        /* --boot inguest: leave decompression of a bzImage to the guest */
	u64 flat_address;    /* BOOT_FLAT: where the file goes and starts (page aligned) */
	struct boot_file kernel;
	struct boot_file initrd; /* data NULL: none. Multiboot: the first module */
	const char *append;      /* kernel command line, or NULL */
};

#define BOOT_MODEL "vmdbg-boot.1" /* names the loaders' behaviour in a trace; a change of it is a new name */

/* Where boot data lies in guest memory: a page of boot parameters (zero page, Multiboot information, PVH start info,
 * boot_info), the page tables, the GDT, the command line. */
#define BOOT_DATA_START   0x90000ull
#define BOOT_PARAMS       0x90000ull
#define BOOT_PAGE_TABLES  0x91000ull /* PML4, PDPT, 4 page directories */
#define BOOT_GDT          0x97000ull
#define BOOT_CMDLINE      0x98000ull
#define BOOT_CMDLINE_SIZE 0x5000ull
#define BOOT_DATA_END     0x9d000ull
#define BOOT_STACK        0x8fff8ull

/* What a plain ELF64 or flat kernel gets in RDI. All little-endian, no padding. */
#define BOOT_INFO_MAGIC 0x4f464e4967626476ull /* "vdbgINFO" */
#define BOOT_INFO_MAP   64
struct boot_info {
	u64 magic;
	u32 size;        /* of this structure, in bytes */
	u32 map_entries; /* of map[] */
	u64 cmdline;     /* physical address of the NUL-terminated command line */
	u64 initrd;      /* physical address, page aligned; 0: none */
	u64 initrd_size; /* bytes */
	u64 acpi_rsdp;   /* physical address of the ACPI RSDP; 0: none */
	u64 reserved[2]; /* 0 */
	struct boot_info_range {
		u64 start, size;
		u32 type; /* as E820: 1 RAM, 2 reserved, 3 ACPI tables, 4 ACPI NVS */
		u32 reserved;
	} map[BOOT_INFO_MAP];
};

/* Puts kernel, initrd, boot parameters and firmware tables into guest RAM and sets vCPU 0's registers to the entry
 * state. The same spec and machine size give the same bytes, always. Errors: -EINVAL (not a kernel, damaged),
 * -ENOMEM (does not fit the guest's RAM), each with a sentence. *@what (may be NULL): what the file was found to be,
 * e.g. "Linux 6.1.0-18-cloud-amd64, bzImage, xz payload unpacked on the host" in memory that the caller frees. */
int boot_load(struct machine *m, const struct boot_spec *spec, char **what, struct error *err);

#endif
