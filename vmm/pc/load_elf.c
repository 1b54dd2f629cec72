/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ELF files as kernels (System V ABI, chapters 4 and 5). The file is hostile: every offset is checked before use, and
 * the work done is bounded by the size of file and memory, whatever the tables say. */
#include <elf.h>
#undef PF_W /* also a page-fault error code bit */
#include <errno.h>
#include <stdio.h>

#include "vmm/pc/load.h"

static bool within(const struct elf_image *elf, u64 offset, u64 size)
{
	return offset <= elf->len && size <= elf->len - offset;
}

static void read_header(struct elf_image *elf)
{
	if (elf->is64) {
		Elf64_Ehdr h;

		memcpy(&h, elf->data, sizeof(h));
		elf->type = h.e_type;
		elf->machine = h.e_machine;
		elf->entry = h.e_entry;
		elf->phoff = h.e_phoff;
		elf->phnum = h.e_phnum;
		elf->phentsize = h.e_phentsize;
		elf->shoff = h.e_shoff;
		elf->shnum = h.e_shnum;
		elf->shentsize = h.e_shentsize;
		elf->shstrndx = h.e_shstrndx;
	} else {
		Elf32_Ehdr h;

		memcpy(&h, elf->data, sizeof(h));
		elf->type = h.e_type;
		elf->machine = h.e_machine;
		elf->entry = h.e_entry;
		elf->phoff = h.e_phoff;
		elf->phnum = h.e_phnum;
		elf->phentsize = h.e_phentsize;
		elf->shoff = h.e_shoff;
		elf->shnum = h.e_shnum;
		elf->shentsize = h.e_shentsize;
		elf->shstrndx = h.e_shstrndx;
	}
}

void elf_segment(const struct elf_image *elf, unsigned i, struct elf_segment *seg)
{
	const u8 *at = elf->data + elf->phoff + (u64)i * elf->phentsize;

	if (elf->is64) {
		Elf64_Phdr p;

		memcpy(&p, at, sizeof(p));
		*seg = (struct elf_segment){p.p_type, p.p_offset, p.p_vaddr, p.p_paddr, p.p_filesz, p.p_memsz};
	} else {
		Elf32_Phdr p;

		memcpy(&p, at, sizeof(p));
		*seg = (struct elf_segment){p.p_type, p.p_offset, p.p_vaddr, p.p_paddr, p.p_filesz, p.p_memsz};
	}
}

static int check_segments(const struct elf_image *elf, struct error *err)
{
	const size_t entry = elf->is64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
	struct elf_segment seg;

	if (!elf->phnum || elf->phnum == PN_XNUM)
		return error_set(err, -EINVAL, "an ELF file without program headers: not something to load");
	if (elf->phentsize < entry || !within(elf, elf->phoff, (u64)elf->phnum * elf->phentsize))
		return error_set(err, -EINVAL,
				 "damaged or cut short: its %u program headers do not lie in the file's %zu bytes",
				 elf->phnum, elf->len);
	for (unsigned i = 0; i < elf->phnum; i++) {
		elf_segment(elf, i, &seg);
		if (seg.type != PT_LOAD)
			continue;
		if (!within(elf, seg.offset, seg.filesz))
			return error_set(
			    err, -EINVAL, "damaged or cut short: segment %u is at %llu to %llu, the file has %zu bytes",
			    i, (unsigned long long)seg.offset, (unsigned long long)(seg.offset + seg.filesz), elf->len);
		if (seg.filesz > seg.memsz)
			return error_set(err, -EINVAL, "damaged: segment %u has more bytes in the file than in memory",
					 i);
	}
	return 0;
}

int elf_open(struct elf_image *elf, const u8 *data, size_t len, struct error *err)
{
	*elf = (struct elf_image){.data = data, .len = len};
	if (!elf_is(data, len) || len < EI_NIDENT)
		return error_set(err, -EINVAL, "not an ELF file");
	if (data[EI_DATA] != ELFDATA2LSB || (data[EI_CLASS] != ELFCLASS32 && data[EI_CLASS] != ELFCLASS64))
		return error_set(err, -EINVAL, "an ELF file for another kind of processor");
	elf->is64 = data[EI_CLASS] == ELFCLASS64;
	if (len < (elf->is64 ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr)))
		return error_set(err, -EINVAL, "an ELF file cut short after %zu bytes", len);
	read_header(elf);
	if (elf->machine != EM_X86_64 && elf->machine != EM_386)
		return error_set(err, -EINVAL, "an ELF file for another kind of processor (machine %u, not x86)",
				 elf->machine);
	if (elf->type != ET_EXEC && elf->type != ET_DYN)
		return error_set(err, -EINVAL, "an ELF file that is not linked (type %u): not a kernel", elf->type);
	return check_segments(elf, err);
}

/* One run of notes. *@budget bounds what is read in all, however often a file points at the same bytes. */
static bool search_notes(const struct elf_image *elf, u64 offset, u64 size, u64 *budget, const char *owner, u32 type,
			 const u8 **desc, u32 *len)
{
	const u32 owner_len = strlen(owner) + 1;
	const u8 *p;

	if (!within(elf, offset, size))
		return false;
	p = elf->data + offset;
	while (size >= sizeof(Elf32_Nhdr) && *budget >= sizeof(Elf32_Nhdr)) {
		u64 name = load32(p), bytes = load32(p + 4), total;

		total = sizeof(Elf32_Nhdr) + ((name + 3) & ~3ull) + ((bytes + 3) & ~3ull);
		if (total > size)
			return false;
		if (name == owner_len && !memcmp(p + 12, owner, owner_len) &&
		    (type == ELF_ANY_NOTE || load32(p + 8) == type)) {
			*desc = p + 12 + ((name + 3) & ~3ull);
			*len = bytes;
			return true;
		}
		p += total;
		size -= total;
		*budget -= min64(*budget, total);
	}
	return false;
}

static bool read_section(const struct elf_image *elf, unsigned i, Elf64_Shdr *s)
{
	const size_t entry = elf->is64 ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr);
	const u8 *at;

	if (elf->shentsize < entry || !within(elf, elf->shoff, (u64)elf->shnum * elf->shentsize) || i >= elf->shnum)
		return false;
	at = elf->data + elf->shoff + (u64)i * elf->shentsize;
	if (elf->is64) {
		memcpy(s, at, sizeof(*s));
	} else {
		Elf32_Shdr h;

		memcpy(&h, at, sizeof(h));
		*s = (Elf64_Shdr){
		    .sh_name = h.sh_name, .sh_type = h.sh_type, .sh_offset = h.sh_offset, .sh_size = h.sh_size};
	}
	return true;
}

bool elf_note(const struct elf_image *elf, const char *owner, u32 type, const u8 **desc, u32 *len)
{
	u64 budget = elf->len;
	struct elf_segment seg;
	Elf64_Shdr section;

	for (unsigned i = 0; i < elf->phnum; i++) {
		elf_segment(elf, i, &seg);
		if (seg.type == PT_NOTE && search_notes(elf, seg.offset, seg.filesz, &budget, owner, type, desc, len))
			return true;
	}
	for (unsigned i = 0; read_section(elf, i, &section); i++)
		if (section.sh_type == SHT_NOTE &&
		    search_notes(elf, section.sh_offset, section.sh_size, &budget, owner, type, desc, len))
			return true;
	return false;
}

bool elf_has_section(const struct elf_image *elf, const char *name)
{
	const size_t size = strlen(name) + 1;
	Elf64_Shdr strings, section;

	if (!read_section(elf, elf->shstrndx, &strings) || !within(elf, strings.sh_offset, strings.sh_size))
		return false;
	for (unsigned i = 0; read_section(elf, i, &section); i++)
		if (section.sh_name <= strings.sh_size && size <= strings.sh_size - section.sh_name &&
		    !memcmp(elf->data + strings.sh_offset + section.sh_name, name, size))
			return true;
	return false;
}

int elf_load(struct load *l, const struct elf_image *elf)
{
	struct elf_segment seg;
	u64 total = 0;
	int rc;

	for (unsigned i = 0; i < elf->phnum; i++) {
		elf_segment(elf, i, &seg);
		if (seg.type != PT_LOAD)
			continue;
		rc = load_claim(l, seg.paddr, seg.memsz, "kernel");
		if (rc)
			return rc;
		total += seg.memsz; /* each at most the RAM there is, 65534 of them: no overflow */
		if (total > l->m->mem.size)
			return error_set(l->err, -ENOMEM,
					 "its segments are larger than the guest's %llu MiB of memory (-m)",
					 (unsigned long long)(l->m->mem.size >> 20));
	}
	if (!total)
		return error_set(l->err, -EINVAL, "an ELF file without anything to load");
	for (unsigned i = 0; i < elf->phnum; i++) {
		elf_segment(elf, i, &seg);
		if (seg.type == PT_LOAD)
			load_write(l, seg.paddr, elf->data + seg.offset, seg.filesz);
	}
	return 0;
}

int elf_entry(struct load *l, const struct elf_image *elf, u64 *entry)
{
	struct elf_segment seg;

	for (unsigned i = 0; i < elf->phnum; i++) {
		elf_segment(elf, i, &seg);
		if (seg.type == PT_LOAD && elf->entry - seg.vaddr < seg.memsz) {
			*entry = elf->entry - seg.vaddr + seg.paddr;
			return 0;
		}
	}
	for (unsigned i = 0; i < elf->phnum; i++) {
		elf_segment(elf, i, &seg);
		if (seg.type == PT_LOAD && elf->entry - seg.paddr < seg.memsz) {
			*entry = elf->entry;
			return 0;
		}
	}
	return error_set(l->err, -EINVAL, "its entry point %#llx lies in none of its segments",
			 (unsigned long long)elf->entry);
}

/* Whether the file is made for an operating system's user space: it names a dynamic linker or an ABI. */
static bool is_program(const struct elf_image *elf)
{
	struct elf_segment seg;
	const u8 *desc;
	u32 len;

	for (unsigned i = 0; i < elf->phnum; i++) {
		elf_segment(elf, i, &seg);
		if (seg.type == PT_INTERP)
			return true;
	}
	return elf_note(elf, "GNU", NT_GNU_ABI_TAG, &desc, &len);
}

int elf_boot(struct load *l, const struct elf_image *elf)
{
	const u64 limit = 1ull << 32;
	u64 entry;
	int rc;

	if (is_program(elf))
		return error_set(l->err, -EINVAL, "not a kernel: an ELF program for an operating system");
	if (!elf->is64 || elf->machine != EM_X86_64)
		return error_set(
		    l->err, -EINVAL,
		    "a 32-bit ELF file with neither a Multiboot header nor a PVH note: no way to enter it");
	rc = elf_load(l, elf);
	if (!rc)
		rc = elf_entry(l, elf, &entry);
	if (!rc && entry >= limit)
		rc = error_set(l->err, -EINVAL, "its entry point %#llx is above 4 GiB", (unsigned long long)entry);
	if (!rc)
		rc = load_initrd(l, LOAD_LOW, limit);
	if (!rc)
		rc = load_cmdline(l, BOOT_CMDLINE_SIZE);
	if (rc)
		return rc;
	flat_write_info(l);
	entry_long(l, entry);
	l->m->vcpu[0]->regs.gpr[RDI] = BOOT_PARAMS;
	snprintf(l->what, sizeof(l->what), "ELF64, entry %#llx", (unsigned long long)entry);
	return 0;
}
