// SPDX-License-Identifier: GPL-2.0-or-later
/* image OUT BOOTSECTOR VMLINUX INITRD MIB CMDLINE: a raw disk that starts a kernel by its PVH entry (boot.S), on a
 * machine of MIB of memory. VMLINUX may be a bzImage. */
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "vmm/pc/unpack.h"

#define SECTOR     512u
#define TABLE      0x100u /* in the boot sector, which is at 7c00h */
#define MAX_PIECES 20u
#define INFO       0x6000u /* where start_info goes */
#define INITRD_AT  0x8000000u
#define CYLINDER   (16 * 63 * SECTOR)
#define PHYS32     18       /* XEN_ELFNOTE_PHYS32_ENTRY */
#define ACPI_BYTES 0x10000u /* Bochs' BIOS has its tables at the end of memory */

struct image {
	FILE *f;
	u32 sectors;
	u8 boot[SECTOR];
	u32 pieces;
};

static void die(const char *what)
{
	fprintf(stderr, "image: %s\n", what);
	exit(1);
}

static u8 *slurp(const char *path, size_t *len)
{
	FILE *f = fopen(path, "rb");
	u8 *buf;
	long n = 0;

	if (!f || fseek(f, 0, SEEK_END) || (n = ftell(f)) < 0 || fseek(f, 0, SEEK_SET))
		die(path);
	buf = calloc(1, (size_t)n + SECTOR);
	if (!buf || fread(buf, 1, (size_t)n, f) != (size_t)n)
		die(path);
	fclose(f);
	*len = (size_t)n;
	return buf;
}

static void piece(struct image *im, const void *data, size_t len, u64 at)
{
	static const u8 zero[SECTOR];
	u32 n = (u32)((len + SECTOR - 1) / SECTOR);
	u8 *entry = im->boot + TABLE + 12 + 12 * im->pieces;

	if (im->pieces == MAX_PIECES || at >> 32)
		die("too many pieces");
	store32(entry, im->sectors);
	store32(entry + 4, n);
	store32(entry + 8, (u32)at);
	store32(im->boot + TABLE, ++im->pieces);
	fwrite(data, 1, len, im->f);
	fwrite(zero, 1, (size_t)n * SECTOR - len, im->f);
	im->sectors += n;
}

/* The ELF file within a bzImage (Documentation/arch/x86/boot.rst: payload_offset, payload_length). */
static u8 *vmlinux(u8 *file, size_t *len)
{
	struct error err;
	u8 *out = NULL;

	if (!memcmp(file, ELFMAG, SELFMAG))
		return file;
	if (*len < 0x300 || load32(file + 0x202) != 0x53726448)
		die("no kernel");
	u64 setup = (file[0x1f1] + 1) * SECTOR + load32(file + 0x248);
	u32 size = load32(file + 0x24c);

	if (setup + size > *len || unpack(file + setup, size, 512u << 20, &out, len, &err))
		die("the kernel cannot be unpacked");
	return out;
}

static u32 find_entry(const u8 *note, size_t len)
{
	while (len >= 12) {
		u32 name = (load32(note) + 3) & ~3u, desc = (load32(note + 4) + 3) & ~3u;

		if (12 + name + desc > len)
			break;
		if (load32(note + 8) == PHYS32 && !memcmp(note + 12, "Xen", 4))
			return load32(note + 12 + name);
		note += 12 + name + desc;
		len -= 12 + name + desc;
	}
	return 0;
}

static void kernel(struct image *im, const u8 *elf, size_t len)
{
	const Elf64_Ehdr *eh = (const void *)elf;
	u32 entry = 0;

	for (unsigned i = 0; i < eh->e_phnum; i++) {
		const Elf64_Phdr *ph = (const void *)(elf + eh->e_phoff + i * sizeof(*ph));

		if (ph->p_offset + ph->p_filesz > len)
			die("the kernel is cut short");
		if (ph->p_type == PT_LOAD && ph->p_filesz)
			piece(im, elf + ph->p_offset, ph->p_filesz, ph->p_paddr);
		else if (ph->p_type == PT_NOTE && !entry)
			entry = find_entry(elf + ph->p_offset, ph->p_filesz);
	}
	if (!entry)
		die("the kernel has no PVH entry");
	store32(im->boot + TABLE + 4, entry);
}

static void start_info(struct image *im, const char *cmdline, u64 initrd, u64 initrd_len, u64 memory)
{
	u8 page[4096] = {0};
	u64 map[][3] = {{0, 0x9fc00, 1},
			{0x9fc00, 0x60400, 2},
			{0x100000, memory - ACPI_BYTES - 0x100000, 1},
			{memory - ACPI_BYTES, ACPI_BYTES, 3}};

	store32(page, 0x336ec578);
	store32(page + 4, 1);
	store32(page + 12, 1);
	store64(page + 16, INFO + 0x80);
	store64(page + 24, INFO + 0x200);
	store64(page + 40, INFO + 0x100);
	store32(page + 48, ARRAY_SIZE(map));
	store64(page + 0x80, initrd);
	store64(page + 0x88, initrd_len);
	for (unsigned i = 0; i < ARRAY_SIZE(map); i++)
		memcpy(page + 0x100 + 24 * i, map[i], 24);
	snprintf((char *)page + 0x200, sizeof(page) - 0x200, "%s", cmdline);
	piece(im, page, sizeof(page), INFO);
	store32(im->boot + TABLE + 8, INFO);
}

int main(int argc, char **argv)
{
	struct image im = {.sectors = 1};
	size_t len, boot_len;
	u8 *boot, *elf, *initrd;
	u64 memory;

	if (argc != 7)
		die("usage: image OUT BOOTSECTOR VMLINUX INITRD MIB CMDLINE");
	memory = strtoull(argv[5], NULL, 10) << 20;
	im.f = fopen(argv[1], "wb");
	if (!im.f)
		die(argv[1]);
	boot = slurp(argv[2], &boot_len);
	if (boot_len > TABLE)
		die("the boot sector is too large");
	memcpy(im.boot, boot, boot_len);
	store16(im.boot + 510, 0xaa55);
	fwrite(im.boot, 1, SECTOR, im.f);
	elf = slurp(argv[3], &len);
	elf = vmlinux(elf, &len);
	kernel(&im, elf, len);
	initrd = slurp(argv[4], &len);
	if (INITRD_AT + len > memory)
		die("the initramfs doesn't fit into memory");
	piece(&im, initrd, len, INITRD_AT);
	start_info(&im, argv[6], INITRD_AT, len, memory);
	/* Bochs wants whole cylinders. */
	if (fseek(im.f, (long)(((u64)im.sectors * SECTOR + CYLINDER - 1) / CYLINDER * CYLINDER) - 1, SEEK_SET) ||
	    fputc(0, im.f) == EOF || fseek(im.f, 0, SEEK_SET) || fwrite(im.boot, 1, SECTOR, im.f) != SECTOR ||
	    fclose(im.f))
		die(argv[1]);
	return 0;
}
