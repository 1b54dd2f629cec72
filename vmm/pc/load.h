/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the loaders share; used by vmm/pc/boot.c and load_*.c only. */
#ifndef VMM_PC_LOAD_H
#define VMM_PC_LOAD_H

#include "vmm/error.h"
#include "vmm/machine.h"
#include "vmm/pc/boot.h"
#include "vmm/pc/pc.h"

/* One boot_load() on its way. */
struct load {
	struct machine *m;
	const struct boot_spec *spec;
	struct error *err;
	struct e820_entry map[PC_E820_MAX];
	unsigned map_entries;
	u64 low, high; /* the memory kernel parts were put into, or will use: [low, high) */
	u64 initrd;    /* where load_initrd() put it; 0: none */
	u64 rsdp;
	char what[192];
};

/* Marks [gpa, gpa + size) as the kernel's. -ENOMEM when it is not all RAM, -EINVAL when it lies over the boot data.
 * @part names it in the sentence. */
int load_claim(struct load *l, u64 gpa, u64 size, const char *part);

/* Puts bytes there; claimed before, so it cannot fail. */
void load_write(struct load *l, u64 gpa, const void *data, u64 len);

/* Puts the initrd, if there is one, beside the kernel: as high as possible below @limit, or as low as possible above
 * the kernel. Page aligned. */
enum load_where { LOAD_LOW, LOAD_HIGH };
int load_initrd(struct load *l, enum load_where where, u64 limit);

/* Puts the command line at BOOT_CMDLINE, NUL-terminated; @max: the longest this kernel takes. */
int load_cmdline(struct load *l, u64 max);

/* Entry states. Both write the GDT: 08h 32-bit code, 10h 64-bit code, 18h data, all flat. Other registers are 0. */
void entry_long(struct load *l, u64 rip); /* as boot.h, item 5, without RDI */
void entry_protected(struct load *l,
		     u32 eip);               /* 32-bit, paging off, CS = 08h, DS ES FS GS SS = 18h, ESP = BOOT_STACK */
void entry_linux32(struct load *l, u32 eip); /* the same with 32-bit code at 10h, and CS = 10h */

/* ELF files, 32 or 64 bits, little-endian. Everything read is within the file. */
struct elf_image {
	const u8 *data;
	size_t len;
	bool is64;
	u16 type, machine;
	u64 entry;
	u64 phoff, shoff;
	u16 phnum, phentsize, shnum, shentsize, shstrndx;
};

struct elf_segment {
	u32 type;
	u64 offset, vaddr, paddr, filesz, memsz;
};

static inline bool elf_is(const u8 *data, size_t len)
{
	return len >= 4 && !memcmp(data,
				   "\x7f"
				   "ELF",
				   4);
}

/* Checks the header and that the tables and all segments lie within the file: -EINVAL with a sentence. */
int elf_open(struct elf_image *elf, const u8 *data, size_t len, struct error *err);
void elf_segment(const struct elf_image *elf, unsigned i, struct elf_segment *seg);
/* The first note of that owner and type (ELF_ANY_NOTE: any). */
#define ELF_ANY_NOTE 0xffffffffu
bool elf_note(const struct elf_image *elf, const char *owner, u32 type, const u8 **desc, u32 *len);
bool elf_has_section(const struct elf_image *elf, const char *name);
/* Puts the segments at their physical addresses. */
int elf_load(struct load *l, const struct elf_image *elf);
/* The physical address of the entry point; -EINVAL when it lies in no segment. */
int elf_entry(struct load *l, const struct elf_image *elf, u64 *entry);

/* The loaders. Each takes a file its _is() accepted. */
bool linux_is_bzimage(const u8 *data, size_t len);
int linux_load_bzimage(struct load *l);
bool linux_is_vmlinux(const struct elf_image *elf);
int linux_load_vmlinux(struct load *l, const struct elf_image *elf);

#define MULTIBOOT_SEARCH 8192
bool multiboot_find(const u8 *data, size_t len, size_t *offset);
bool multiboot2_find(const u8 *data, size_t len);
int multiboot_load(struct load *l, size_t header);

bool pvh_is(const struct elf_image *elf, u32 *entry);
int pvh_load(struct load *l, const struct elf_image *elf, u32 entry);

int elf_boot(struct load *l, const struct elf_image *elf);
int flat_boot(struct load *l);
int bios_boot(struct load *l);
/* Writes struct boot_info at BOOT_PARAMS, after command line and initrd. */
void flat_write_info(struct load *l);

#endif
