/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Multiboot 1 (Multiboot Specification 0.6.96, chapter 3). */
#include <errno.h>
#include <stdio.h>

#include "vmm/pc/load.h"

#define HEADER_MAGIC  0x1badb002u
#define HEADER2_MAGIC 0xe85250d6u
#define HEADER2_ARCH  0 /* i386 */
#define LOADER_MAGIC  0x2badb002u

#define HEADER_PAGE_ALIGN BIT(0)
#define HEADER_MEMORY     BIT(1)
#define HEADER_VIDEO      BIT(2)
#define HEADER_ADDRESSES  BIT(16)
#define HEADER_MUST       0xffffu /* flags a loader may not ignore */
#define HEADER_KNOWN      (HEADER_PAGE_ALIGN | HEADER_MEMORY | HEADER_VIDEO)

#define INFO_MEMORY      BIT(0)
#define INFO_CMDLINE     BIT(2)
#define INFO_MODULES     BIT(3)
#define INFO_MAP         BIT(6)
#define INFO_LOADER_NAME BIT(9)
#define INFO_FRAMEBUFFER BIT(12)

/* The information structure, section 3.3. */
struct mb_info {
	u32 flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4], mmap_length, mmap_addr;
	u32 drives_length, drives_addr, config_table, boot_loader_name, apm_table;
	u32 vbe_control_info, vbe_mode_info;
	u16 vbe_mode, vbe_interface_seg, vbe_interface_off, vbe_interface_len;
	u64 framebuffer_addr;
	u32 framebuffer_pitch, framebuffer_width, framebuffer_height;
	u8 framebuffer_bpp, framebuffer_type, color_info[6];
} __attribute__((packed));
_Static_assert(offsetof(struct mb_info, framebuffer_addr) == 88 && sizeof(struct mb_info) == 116, "section 3.3");

struct mb_module {
	u32 start, end, string, reserved;
};

struct mb_range {
	u32 size; /* of the rest */
	u64 start, len;
	u32 type;
} __attribute__((packed));

/* All in the page of boot parameters. */
#define AT_MODULE   (BOOT_PARAMS + 0x80)
#define AT_LOADER   (BOOT_PARAMS + 0xa0)
#define AT_STRING   (BOOT_PARAMS + 0xc0)
#define STRING_SIZE 0x140
#define AT_MAP      (BOOT_PARAMS + 0x200)
_Static_assert(0x200 + PC_E820_MAX * sizeof(struct mb_range) <= PAGE_SIZE, "the map fits the page");

bool multiboot_find(const u8 *data, size_t len, size_t *offset)
{
	for (size_t at = 0; at + 12 <= len && at + 12 <= MULTIBOOT_SEARCH; at += 4) {
		if (load32(data + at) == HEADER_MAGIC &&
		    load32(data + at) + load32(data + at + 4) + load32(data + at + 8) == 0) {
			*offset = at;
			return true;
		}
	}
	return false;
}

bool multiboot2_find(const u8 *data, size_t len)
{
	for (size_t at = 0; at + 16 <= len && at + 16 <= 32768; at += 8)
		if (load32(data + at) == HEADER2_MAGIC && load32(data + at + 4) == HEADER2_ARCH &&
		    load32(data + at) + load32(data + at + 8) + load32(data + at + 12) == 0)
			return true;
	return false;
}

/* The header's own addresses (flag 16), section 3.1.3. */
static int load_by_addresses(struct load *l, size_t header, u64 *entry)
{
	const u8 *data = l->spec->kernel.data, *h = data + header;
	const size_t len = l->spec->kernel.len;
	u64 header_addr, load_addr, load_end, bss_end, start, size;
	int rc;

	if (len - header < 32)
		return error_set(l->err, -EINVAL, "the Multiboot header is cut short");
	header_addr = load32(h + 12);
	load_addr = load32(h + 16);
	load_end = load32(h + 20);
	bss_end = load32(h + 24);
	*entry = load32(h + 28);
	if (load_addr > header_addr || header_addr - load_addr > header)
		return error_set(l->err, -EINVAL,
				 "the Multiboot header's load address %#llx does not agree with its own %#llx",
				 (unsigned long long)load_addr, (unsigned long long)header_addr);
	start = header - (header_addr - load_addr);
	if (!load_end)
		load_end = load_addr + (len - start);
	if (load_end < load_addr || load_end - load_addr > len - start)
		return error_set(l->err, -EINVAL,
				 "cut short: the Multiboot header loads %#llx to %#llx, the file has %zu bytes",
				 (unsigned long long)load_addr, (unsigned long long)load_end, len);
	size = load_end - load_addr;
	if (!bss_end)
		bss_end = load_end;
	if (bss_end < load_end)
		return error_set(l->err, -EINVAL, "the Multiboot header's BSS ends before its data");
	if (*entry - load_addr >= bss_end - load_addr)
		return error_set(l->err, -EINVAL, "its entry point %#llx lies outside of what is loaded",
				 (unsigned long long)*entry);
	rc = load_claim(l, load_addr, bss_end - load_addr, "kernel");
	if (!rc)
		load_write(l, load_addr, data + start, size);
	return rc;
}

static int load_by_elf(struct load *l, u64 *entry)
{
	struct elf_image elf;
	int rc;

	if (!elf_is(l->spec->kernel.data, l->spec->kernel.len))
		return error_set(l->err, -EINVAL, "a Multiboot header without addresses in a file that is no ELF");
	rc = elf_open(&elf, l->spec->kernel.data, l->spec->kernel.len, l->err);
	if (!rc)
		rc = elf_load(l, &elf);
	if (!rc)
		rc = elf_entry(l, &elf, entry);
	if (!rc && *entry >= 1ull << 32)
		rc = error_set(l->err, -EINVAL, "its entry point %#llx is above 4 GiB", (unsigned long long)*entry);
	return rc;
}

/* KiB of RAM from @start on without a gap. */
static u32 ram_kib(const struct load *l, u64 start)
{
	for (unsigned i = 0; i < l->map_entries; i++)
		if (l->map[i].type == E820_RAM && start - l->map[i].addr < l->map[i].size)
			return min64((l->map[i].addr + l->map[i].size - start) >> 10, 0xffffffff);
	return 0;
}

static void write_module(struct load *l)
{
	const char *name = l->spec->initrd.name ? l->spec->initrd.name : "", *slash = strrchr(name, '/');
	struct mb_module module = {l->initrd, l->initrd + l->spec->initrd.len, AT_STRING, 0};
	char string[STRING_SIZE];

	snprintf(string, sizeof(string), "%s", slash ? slash + 1 : name);
	load_write(l, AT_MODULE, &module, sizeof(module));
	load_write(l, AT_STRING, string, strlen(string) + 1);
}

static void write_info(struct load *l, u32 header_flags)
{
	static const char loader[] = "vmdbg";
	struct mb_info info = {
	    .flags = INFO_MEMORY | INFO_CMDLINE | INFO_MAP | INFO_LOADER_NAME,
	    .mem_lower = ram_kib(l, 0),
	    .mem_upper = ram_kib(l, 1 << 20),
	    .cmdline = BOOT_CMDLINE,
	    .mmap_length = l->map_entries * sizeof(struct mb_range),
	    .mmap_addr = AT_MAP,
	    .boot_loader_name = AT_LOADER,
	};

	if (l->initrd) {
		info.flags |= INFO_MODULES;
		info.mods_count = 1;
		info.mods_addr = AT_MODULE;
		write_module(l);
	}
	if (header_flags & HEADER_VIDEO) { /* what there is: EGA text */
		info.flags |= INFO_FRAMEBUFFER;
		info.framebuffer_addr = 0xb8000;
		info.framebuffer_pitch = 160;
		info.framebuffer_width = 80;
		info.framebuffer_height = 25;
		info.framebuffer_bpp = 16;
		info.framebuffer_type = 2;
	}
	load_write(l, BOOT_PARAMS, &info, sizeof(info));
	load_write(l, AT_LOADER, loader, sizeof(loader));
	for (unsigned i = 0; i < l->map_entries; i++) {
		struct mb_range range = {20, l->map[i].addr, l->map[i].size, l->map[i].type};

		load_write(l, AT_MAP + i * sizeof(range), &range, sizeof(range));
	}
}

int multiboot_load(struct load *l, size_t header)
{
	const u32 flags = load32(l->spec->kernel.data + header + 4);
	struct x86_state *s = &l->m->vcpu[0]->regs;
	u64 entry;
	int rc;

	if (flags & HEADER_MUST & ~HEADER_KNOWN)
		return error_set(l->err, -EINVAL, "its Multiboot header asks for features not known here (flags %#x)",
				 flags);
	rc = flags & HEADER_ADDRESSES ? load_by_addresses(l, header, &entry) : load_by_elf(l, &entry);
	if (!rc)
		rc = load_initrd(l, LOAD_LOW, 1ull << 32);
	if (!rc)
		rc = load_cmdline(l, BOOT_CMDLINE_SIZE);
	if (rc)
		return rc;
	write_info(l, flags);
	entry_protected(l, entry);
	s->gpr[RAX] = LOADER_MAGIC;
	s->gpr[RBX] = BOOT_PARAMS;
	snprintf(l->what, sizeof(l->what), "Multiboot kernel, entry %#llx", (unsigned long long)entry);
	return 0;
}
