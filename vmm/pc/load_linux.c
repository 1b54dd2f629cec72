/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Linux: bzImage and vmlinux, by the 64-bit boot protocol, and bzImages of 32-bit kernels by the 32-bit one (Documentation/arch/x86/boot.rst and zero-page.rst in the
 * kernel's tree; offsets below are from there). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "vmm/pc/load.h"
#include "vmm/pc/unpack.h"

/* The setup header: the same offsets in the file and in the zero page. */
#define HDR_START           0x1f1
#define HDR_SETUP_SECTS     0x1f1
#define HDR_SYSSIZE         0x1f4 /* of the protected-mode part, in 16-byte units */
#define HDR_BOOT_FLAG       0x1fe
#define HDR_JUMP_OFFSET     0x201 /* the header ends that many bytes after 202h */
#define HDR_MAGIC           0x202
#define HDR_VERSION         0x206
#define HDR_KERNEL_VERSION  0x20e /* offset of a string, less 200h */
#define HDR_TYPE_OF_LOADER  0x210
#define HDR_LOADFLAGS       0x211
#define HDR_CODE32_START    0x214
#define HDR_RAMDISK_IMAGE   0x218
#define HDR_RAMDISK_SIZE    0x21c
#define HDR_CMD_LINE_PTR    0x228
#define HDR_INITRD_ADDR_MAX 0x22c
#define HDR_KERNEL_ALIGN    0x230
#define HDR_XLOADFLAGS      0x236
#define HDR_CMDLINE_SIZE    0x238
#define HDR_PAYLOAD_OFFSET  0x248 /* from the protected-mode part's start */
#define HDR_PAYLOAD_LENGTH  0x24c
#define HDR_PREF_ADDRESS    0x258
#define HDR_INIT_SIZE       0x260
#define HDR_MIN_END         0x264
#define HDR_MAX_END         0x290 /* the zero page has other things there */

#define BOOT_FLAG           0xaa55
#define MAGIC               0x53726448u /* "HdrS" */
#define VERSION_64BIT       0x020c      /* the first with xloadflags */
#define XLF_KERNEL_64       BIT(0)
#define LOADFLAGS_HIGH      BIT(0)
#define LOADFLAGS_KASLR     BIT(1)
#define LOADER_OTHER        0xff
#define ENTRY_64            0x200 /* of the 64-bit entry, from the protected-mode part's start */
#define PROTECTED_MODE_PART 0x100000ull

/* The zero page beyond the header. */
#define ZERO_VIDEO_MODE   0x06
#define ZERO_VIDEO_COLS   0x07
#define ZERO_VIDEO_LINES  0x0e
#define ZERO_VIDEO_ISVGA  0x0f
#define ZERO_VIDEO_POINTS 0x10
#define ZERO_ACPI_RSDP    0x70
#define ZERO_E820_ENTRIES 0x1e8
#define ZERO_E820         0x2d0
#define E820_ENTRY        20

#define INITRD_LIMIT 0x80000000ull
#define CMDLINE_SIZE 2047 /* x86's COMMAND_LINE_SIZE less one, for a vmlinux, which can't say */

#define NOTE_GUEST_OS 6 /* XEN_ELFNOTE_GUEST_OS */

/* A bzImage taken apart. */
struct bzimage {
	const u8 *file;
	const u8 *code; /* the protected-mode part */
	size_t code_len;
	const u8 *payload;
	size_t payload_len;
	u64 pref_address, init_size;
	u64 initrd_max, cmdline_max;
	bool is64;
	char version[80];
};

bool linux_is_bzimage(const u8 *data, size_t len)
{
	return len >= HDR_VERSION + 2 && load16(data + HDR_BOOT_FLAG) == BOOT_FLAG && load32(data + HDR_MAGIC) == MAGIC;
}

/* Copies the first word of a string of the file, e.g. "6.1.0-18-cloud-amd64", if printable. */
static void copy_version(char *out, size_t size, const u8 *in, size_t len)
{
	size_t n = 0;

	while (n < len && n + 1 < size && in[n] > ' ' && in[n] < 0x7f) {
		out[n] = in[n];
		n++;
	}
	out[n] = 0;
}

static int check_header(struct load *l, const u8 *h, size_t len)
{
	const unsigned version = load16(h + HDR_VERSION);

	if (version < VERSION_64BIT)
		return error_set(l->err, -EINVAL,
				 "a Linux bzImage of boot protocol %u.%02u: 2.12 or later is needed (Linux 3.8)",
				 version >> 8, version & 0xff);
	if (len < HDR_MIN_END)
		return error_set(l->err, -EINVAL, "a Linux bzImage cut short in its setup header, after %zu bytes",
				 len);
	return 0;
}

static int bzimage_open(struct load *l, struct bzimage *bz)
{
	const u8 *h = l->spec->kernel.data;
	const size_t len = l->spec->kernel.len;
	u64 setup, code_len, payload, version;
	int rc = check_header(l, h, len);

	if (rc)
		return rc;
	setup = ((h[HDR_SETUP_SECTS] ? h[HDR_SETUP_SECTS] : 4) + 1) * 512;
	code_len = (u64)load32(h + HDR_SYSSIZE) * 16;
	if (setup >= len || len - setup + 15 < code_len) /* the size is rounded up */
		return error_set(l->err, -EINVAL, "a Linux bzImage cut short: %llu bytes are needed, the file has %zu",
				 (unsigned long long)(setup + code_len), len);
	bz->file = h;
	bz->is64 = load16(h + HDR_XLOADFLAGS) & XLF_KERNEL_64;
	bz->code = h + setup;
	bz->code_len = min64(code_len, len - setup);
	payload = load32(h + HDR_PAYLOAD_OFFSET);
	bz->payload_len = load32(h + HDR_PAYLOAD_LENGTH);
	if (payload > bz->code_len || bz->payload_len > bz->code_len - payload || bz->code_len <= ENTRY_64)
		return error_set(l->err, -EINVAL,
				 "a damaged Linux bzImage: its payload of %zu bytes at %llu lies outside of it",
				 bz->payload_len, (unsigned long long)payload);
	bz->payload = bz->code + payload;
	bz->pref_address = load64(h + HDR_PREF_ADDRESS);
	bz->init_size = load32(h + HDR_INIT_SIZE);
	bz->initrd_max = (u64)load32(h + HDR_INITRD_ADDR_MAX) + 1;
	bz->cmdline_max = load32(h + HDR_CMDLINE_SIZE);
	version = (u64)load16(h + HDR_KERNEL_VERSION) + 0x200;
	if (version > 0x200 && version < setup)
		copy_version(bz->version, sizeof(bz->version), h + version, setup - version);
	return 0;
}

static void zero_page_screen(u8 *page)
{
	page[ZERO_VIDEO_MODE] = 3; /* 80x25 text, colour */
	page[ZERO_VIDEO_COLS] = 80;
	page[ZERO_VIDEO_LINES] = 25;
	page[ZERO_VIDEO_ISVGA] = 1;
	page[ZERO_VIDEO_POINTS] = 16;
}

/* @bz NULL: a vmlinux, which brings no setup header. @start: where the kernel was put. */
static void write_zero_page(struct load *l, const struct bzimage *bz, u64 start)
{
	u8 page[PAGE_SIZE] = {0};

	if (bz) {
		u64 end = min64(HDR_MAGIC + (u64)bz->file[HDR_JUMP_OFFSET], HDR_MAX_END);

		end = max64(end, HDR_MIN_END);
		memcpy(page + HDR_START, bz->file + HDR_START, min64(end, l->spec->kernel.len) - HDR_START);
	} else {
		store16(page + HDR_BOOT_FLAG, BOOT_FLAG);
		store32(page + HDR_MAGIC, MAGIC);
		store16(page + HDR_VERSION, VERSION_64BIT);
		page[HDR_LOADFLAGS] = LOADFLAGS_HIGH;
		store32(page + HDR_KERNEL_ALIGN, 0x200000);
		store32(page + HDR_CMDLINE_SIZE, CMDLINE_SIZE);
		store32(page + HDR_INITRD_ADDR_MAX, INITRD_LIMIT - 1);
	}
	zero_page_screen(page);
	page[HDR_TYPE_OF_LOADER] = LOADER_OTHER;
	page[HDR_LOADFLAGS] &= ~LOADFLAGS_KASLR; /* set by the code that unpacks, once it has moved the kernel */
	store32(page + HDR_CODE32_START, start);
	store32(page + HDR_CMD_LINE_PTR, BOOT_CMDLINE);
	store32(page + HDR_RAMDISK_IMAGE, l->initrd);
	store32(page + HDR_RAMDISK_SIZE, l->initrd ? l->spec->initrd.len : 0);
	store64(page + ZERO_ACPI_RSDP, l->rsdp);
	page[ZERO_E820_ENTRIES] = l->map_entries;
	for (unsigned i = 0; i < l->map_entries; i++) {
		u8 *entry = page + ZERO_E820 + i * E820_ENTRY;

		store64(entry, l->map[i].addr);
		store64(entry + 8, l->map[i].size);
		store32(entry + 16, l->map[i].type);
	}
	load_write(l, BOOT_PARAMS, page, sizeof(page));
}

static int linux_finish(struct load *l, const struct bzimage *bz, u64 start, u64 entry)
{
	u64 limit = bz ? min64(bz->initrd_max, INITRD_LIMIT) : INITRD_LIMIT;
	int rc = load_initrd(l, LOAD_HIGH, limit);

	if (!rc)
		rc = load_cmdline(l, bz && bz->cmdline_max ? bz->cmdline_max : CMDLINE_SIZE);
	if (rc)
		return rc;
	write_zero_page(l, bz, start);
	if (!bz || bz->is64)
		entry_long(l, entry);
	else
		entry_linux32(l, entry);
	l->m->vcpu[0]->regs.gpr[RSI] = BOOT_PARAMS;
	return 0;
}

/* The segments of a vmlinux at their addresses. Its entry is physical already, and in 64-bit kernels some segments
 * have virtual addresses that mean nothing (the per-CPU one is at 0), so it isn't translated. */
static int load_vmlinux(struct load *l, const struct elf_image *elf)
{
	struct elf_segment seg;

	if (!elf->is64 || elf->machine != 62 /* EM_X86_64 */)
		return error_set(l->err, -EINVAL, "a 32-bit Linux kernel: only x86-64 ones can be booted");
	for (unsigned i = 0; i < elf->phnum; i++) {
		elf_segment(elf, i, &seg);
		if (seg.type == 1 /* PT_LOAD */ && elf->entry - seg.paddr < seg.filesz && elf->entry < 1ull << 32)
			return elf_load(l, elf);
	}
	return error_set(l->err, -EINVAL, "its entry point %#llx lies in none of its segments",
			 (unsigned long long)elf->entry);
}

static int load_payload(struct load *l, const struct bzimage *bz)
{
	const char *format = unpack_format(bz->payload, bz->payload_len);
	struct elf_image elf;
	size_t len;
	u8 *data;
	int rc;

	rc = unpack(bz->payload, bz->payload_len, l->m->mem.size, &data, &len, l->err);
	if (rc)
		return error_prefix(l->err, rc, "the packed kernel in the bzImage");
	rc = elf_open(&elf, data, len, l->err);
	if (!rc)
		rc = load_vmlinux(l, &elf);
	if (rc)
		error_prefix(l->err, rc, "the kernel unpacked from the bzImage");
	else
		rc = load_claim(l, bz->pref_address, bz->init_size, "kernel");
	if (!rc)
		rc = linux_finish(l, bz, bz->pref_address, elf.entry);
	free(data);
	snprintf(l->what, sizeof(l->what), "Linux %s, bzImage, %s payload unpacked on the host", bz->version, format);
	return rc;
}

/* The protected-mode part as it is: it unpacks itself to its preferred address. */
static int load_inguest(struct load *l, const struct bzimage *bz)
{
	const char *format = unpack_format(bz->payload, bz->payload_len);
	int rc = load_claim(l, PROTECTED_MODE_PART, bz->code_len, "packed kernel");

	if (!rc)
		rc = load_claim(l, bz->pref_address, bz->init_size, "kernel");
	if (rc)
		return rc;
	load_write(l, PROTECTED_MODE_PART, bz->code, bz->code_len);
	if (bz->payload_len)
		snprintf(l->what, sizeof(l->what), "Linux %s, bzImage, %s payload left to the guest", bz->version,
			 format ? format : "unknown");
	else
		snprintf(l->what, sizeof(l->what), "%s, bzImage without a payload", bz->version);
	return linux_finish(l, bz, PROTECTED_MODE_PART, PROTECTED_MODE_PART + (bz->is64 ? ENTRY_64 : 0));
}

int linux_load_bzimage(struct load *l)
{
	struct bzimage bz = {0};
	int rc = bzimage_open(l, &bz);

	if (rc)
		return rc;
	/* Programs that only borrow the boot protocol have no payload. */
	return l->spec->inguest || !bz.is64 || !bz.payload_len ? load_inguest(l, &bz) : load_payload(l, &bz);
}

bool linux_is_vmlinux(const struct elf_image *elf)
{
	const u8 *desc;
	u32 len;

	if (!elf->is64)
		return false;
	if (elf_note(elf, "Linux", ELF_ANY_NOTE, &desc, &len))
		return true;
	if (elf_note(elf, "Xen", NOTE_GUEST_OS, &desc, &len) && len >= 5 && !memcmp(desc, "linux", 5))
		return true;
	return elf_has_section(elf, "__ksymtab") && elf_has_section(elf, ".init.text");
}

int linux_load_vmlinux(struct load *l, const struct elf_image *elf)
{
	static const char banner[] = "Linux version ";
	const u8 *at = memmem(elf->data, elf->len, banner, sizeof(banner) - 1);
	char version[80] = "";
	int rc = load_vmlinux(l, elf);

	if (!rc)
		rc = linux_finish(l, NULL, l->low, elf->entry);
	if (at)
		copy_version(version, sizeof(version), at + sizeof(banner) - 1,
			     elf->data + elf->len - at - (sizeof(banner) - 1));
	snprintf(l->what, sizeof(l->what), "Linux %s, vmlinux", version);
	return rc;
}
