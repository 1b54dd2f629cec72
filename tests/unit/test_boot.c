/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The loaders, on kernel files made here: what lands where, in which state, and what is refused.
 * The machine is memory and one vCPU's registers; no engine is needed. */
#include <check.h>
#include <elf.h>
#undef PF_W /* also a page-fault error code bit */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include "vmm/machine.h"
#include "vmm/pc/boot.h"
#include "vmm/pc/pc.h"

#define MIB        (1ull << 20)
#define FILE_SPACE (64 << 10)

static struct machine machine;
static struct vcpu vcpu;
static const struct engine_ops no_engine = {.name = "none"};
static u8 file[FILE_SPACE];
static size_t file_len;
static char *what;
static struct error err;

static void start(u64 ram)
{
	memset(&machine, 0, sizeof(machine));
	memset(&vcpu, 0xcc, sizeof(vcpu)); /* the loader has to set everything it promises */
	vcpu.engine = &no_engine;
	machine.vcpu[0] = &vcpu;
	machine.config.ram = ram;
	machine.config.vcpus = 1;
	ck_assert_int_eq(memory_init(&machine.mem, ram, &err), 0);
	memset(file, 0, sizeof(file));
	file_len = 0;
	what = NULL;
	err.text[0] = 0;
}

static void stop(void)
{
	free(what);
	what = NULL;
	memory_free(&machine.mem);
}

static struct boot_spec spec_of_file(void)
{
	return (struct boot_spec){.kernel = {"kernel", file, file_len}};
}

static int boot(const struct boot_spec *spec)
{
	return boot_load(&machine, spec, &what, &err);
}

/* Boots and expects @rc and a sentence that begins with the file's name and has @words. */
static void refuse(const struct boot_spec *spec, int rc, const char *words)
{
	int got = boot(spec);

	ck_assert_msg(got == rc, "%d: %s", got, err.text);
	ck_assert_msg(!strncmp(err.text, "kernel: ", 8) && strstr(err.text, words), "%s", err.text);
	ck_assert_ptr_null(what);
}

static u32 ram32(u64 gpa)
{
	u32 v = 0;

	ck_assert_int_eq(memory_read(&machine.mem, gpa, &v, 4), 0);
	return v;
}

static u64 ram64(u64 gpa)
{
	return ram32(gpa) | (u64)ram32(gpa + 4) << 32;
}

static void check_string(u64 gpa, const char *s)
{
	char buf[256];

	ck_assert_int_eq(memory_read(&machine.mem, gpa, buf, strlen(s) + 1), 0);
	ck_assert_str_eq(buf, s);
}

/* The entry state of 64-bit kernels: boot.rst, "64-bit Boot Protocol". */
static void check_long_mode(u64 rip)
{
	const struct x86_state *s = &vcpu.regs;

	ck_assert_uint_eq(s->rip, rip);
	ck_assert_uint_eq(s->rflags, RFLAGS_1);
	ck_assert_uint_eq(s->cr0 & (CR0_PE | CR0_PG | CR0_TS | CR0_EM), CR0_PE | CR0_PG);
	ck_assert_uint_eq(s->cr4 & CR4_PAE, CR4_PAE);
	ck_assert_uint_eq(s->efer, EFER_LME | EFER_LMA);
	ck_assert_uint_eq(s->seg[SEG_CS].selector, 0x10);
	ck_assert_uint_eq(s->seg[SEG_CS].ar & (AR_L | AR_DB), AR_L);
	for (int i = 0; i < 3; i++) {
		const int seg = (const int[]){SEG_DS, SEG_ES, SEG_SS}[i];

		ck_assert_uint_eq(s->seg[seg].selector, 0x18);
		ck_assert_uint_eq(s->seg[seg].base, 0);
		ck_assert_uint_eq(s->seg[seg].limit, 0xffffffff);
	}
	/* The descriptors in memory say the same. */
	ck_assert_uint_ge(s->gdtr.limit, 0x1f);
	ck_assert_uint_eq(ram64(s->gdtr.base + 0x10), 0x00af9b000000ffff);
	ck_assert_uint_eq(ram64(s->gdtr.base + 0x18), 0x00cf93000000ffff);
	ck_assert_uint_eq(s->idtr.limit, 0);
	/* Walks the page tables for addresses in each GiB. */
	for (u64 va = 0x12345; va < 1ull << 32; va += 0x10000000) {
		u64 pml4e = ram64(s->cr3 + (va >> 39) * 8), pdpte, pde;

		ck_assert_uint_eq(pml4e & 3, 3);
		pdpte = ram64((pml4e & ~0xfffull) + (va >> 30 & 511) * 8);
		ck_assert_uint_eq(pdpte & 0x83, 3);
		pde = ram64((pdpte & ~0xfffull) + (va >> 21 & 511) * 8);
		ck_assert_uint_eq(pde & 0x83, 0x83);
		ck_assert_uint_eq((pde & ~0x1fffffull) | (va & 0x1fffff), va);
	}
}

static void check_protected_mode(u32 eip)
{
	const struct x86_state *s = &vcpu.regs;

	ck_assert_uint_eq(s->rip, eip);
	ck_assert_uint_eq(s->rflags, RFLAGS_1);
	ck_assert_uint_eq(s->cr0 & (CR0_PE | CR0_PG), CR0_PE);
	ck_assert_uint_eq(s->cr4, 0);
	ck_assert_uint_eq(s->efer, 0);
	ck_assert_uint_eq(s->seg[SEG_CS].ar, 0xb | AR_S | AR_P | AR_DB | AR_G);
	for (int seg = 0; seg < SEG_COUNT; seg++) {
		ck_assert_uint_eq(s->seg[seg].base, 0);
		ck_assert_uint_eq(s->seg[seg].limit, 0xffffffff);
		if (seg != SEG_CS)
			ck_assert_uint_eq(s->seg[seg].ar, 0x3 | AR_S | AR_P | AR_DB | AR_G);
	}
}

/* --- making files --- */

static const u8 note_linux[] = {6, 0, 0, 0, 4, 0, 0, 0, 1, 1, 0, 0, 'L', 'i', 'n', 'u', 'x', 0, 0, 0, 7, 7, 7, 7};
/* Xen's PHYS32_ENTRY: 100080h. */
static const u8 note_pvh[] = {4, 0, 0, 0, 4, 0, 0, 0, 18, 0, 0, 0, 'X', 'e', 'n', 0, 0x80, 0, 0x10, 0};
static const u8 note_gnu[] = {4, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 'G', 'N', 'U', 0, 0, 0, 0, 0};

struct elf_spec {
	u64 entry, vaddr, paddr, memsz, filesz;
	const u8 *note;
	size_t note_len;
};

#define TEXT_OFFSET 0x1000

static void fill_text(size_t filesz)
{
	for (size_t i = 0; i < filesz; i++)
		file[TEXT_OFFSET + i] = i * 7 + (i >> 8);
	file_len = TEXT_OFFSET + filesz;
}

static void make_elf64(const struct elf_spec *e)
{
	Elf64_Ehdr h = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
			.e_type = ET_EXEC,
			.e_machine = EM_X86_64,
			.e_version = 1,
			.e_entry = e->entry,
			.e_phoff = 64,
			.e_ehsize = 64,
			.e_phentsize = 56,
			.e_phnum = e->note ? 2 : 1};
	Elf64_Phdr load = {.p_type = PT_LOAD,
			   .p_offset = TEXT_OFFSET,
			   .p_vaddr = e->vaddr,
			   .p_paddr = e->paddr,
			   .p_filesz = e->filesz,
			   .p_memsz = e->memsz};
	Elf64_Phdr note = {.p_type = PT_NOTE, .p_offset = 0x400, .p_filesz = e->note_len};

	memcpy(file, &h, sizeof(h));
	memcpy(file + 64, &load, sizeof(load));
	memcpy(file + 64 + 56, &note, sizeof(note));
	if (e->note)
		memcpy(file + 0x400, e->note, e->note_len);
	fill_text(e->filesz);
}

static void make_elf32(const struct elf_spec *e)
{
	Elf32_Ehdr h = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT},
			.e_type = ET_EXEC,
			.e_machine = EM_386,
			.e_version = 1,
			.e_entry = e->entry,
			.e_phoff = 52,
			.e_ehsize = 52,
			.e_phentsize = 32,
			.e_phnum = e->note ? 2 : 1};
	Elf32_Phdr load = {.p_type = PT_LOAD,
			   .p_offset = TEXT_OFFSET,
			   .p_vaddr = e->vaddr,
			   .p_paddr = e->paddr,
			   .p_filesz = e->filesz,
			   .p_memsz = e->memsz};
	Elf32_Phdr note = {.p_type = PT_NOTE, .p_offset = 0x400, .p_filesz = e->note_len};

	memcpy(file, &h, sizeof(h));
	memcpy(file + 52, &load, sizeof(load));
	memcpy(file + 52 + 32, &note, sizeof(note));
	if (e->note)
		memcpy(file + 0x400, e->note, e->note_len);
	fill_text(e->filesz);
}

static void put_multiboot(size_t at, u32 flags)
{
	store32(file + at, 0x1badb002);
	store32(file + at + 4, flags);
	store32(file + at + 8, -(0x1badb002 + flags));
}

static const struct elf_spec low_kernel = {0x100080, 0x100000, 0x100000, 0x3000, 0x1234, NULL, 0};
static const struct elf_spec linux_kernel = {0x1000000, 0xffffffff81000000, 0x1000000,         0x8000,
					     0x1234,    note_linux,         sizeof(note_linux)};

#define SETUP_SECTS 4
#define CODE_OFFSET ((SETUP_SECTS + 1) * 512)
#define PAYLOAD     0x300

/* A bzImage whose payload is @len bytes at @payload. */
static void make_bzimage(const u8 *payload, size_t len)
{
	const char *version = "6.1.0-test (somebody) #1";

	memset(file, 0, sizeof(file));
	file[0x1f1] = SETUP_SECTS;
	store32(file + 0x1f4, (PAYLOAD + len + 15) / 16); /* syssize */
	store16(file + 0x1fe, 0xaa55);
	file[0x200] = 0xeb;
	file[0x201] = 0x6a;
	store32(file + 0x202, 0x53726448);
	store16(file + 0x206, 0x20f);
	store16(file + 0x20e, 0x400); /* version string at 600h */
	strcpy((char *)file + 0x600, version);
	file[0x211] = 3;                   /* loaded high, and KASLR, which has to be cleared */
	store32(file + 0x22c, 0x7fffffff); /* initrd_addr_max */
	store16(file + 0x236, 1);          /* 64-bit entry */
	store32(file + 0x238, 100);        /* cmdline_size */
	store32(file + 0x248, PAYLOAD);
	store32(file + 0x24c, len);
	store64(file + 0x258, 0x1000000); /* pref_address */
	store32(file + 0x260, 0x100000);  /* init_size */
	memcpy(file + CODE_OFFSET + PAYLOAD, payload, len);
	file_len = CODE_OFFSET + (PAYLOAD + len + 15) / 16 * 16;
}

static void make_linux(void)
{
	static u8 packed[FILE_SPACE / 2];
	z_stream z = {.next_out = packed, .avail_out = sizeof(packed) - 4};

	memset(file, 0, sizeof(file));
	make_elf64(&linux_kernel);
	z.next_in = file;
	z.avail_in = file_len;
	ck_assert_int_eq(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	make_bzimage(packed, sizeof(packed) - 4 - z.avail_out);
}

static void check_text(u64 gpa, size_t filesz)
{
	u8 b;

	for (size_t i = 0; i < filesz; i += 97) {
		ck_assert_int_eq(memory_read(&machine.mem, gpa + i, &b, 1), 0);
		ck_assert_uint_eq(b, (u8)(i * 7 + (i >> 8)));
	}
}

static void check_zero_page(u64 page, u64 initrd_size)
{
	struct e820_entry map[PC_E820_MAX];
	unsigned n = pc_e820(&machine, map);

	ck_assert_uint_eq(ram32(page + 0x202), 0x53726448);
	ck_assert_uint_eq(ram32(page + 0x210) & 0xff, 0xff); /* type_of_loader */
	ck_assert_uint_eq(ram32(page + 0x211) & 3, 1);       /* high, KASLR flag cleared */
	ck_assert_uint_eq(ram32(page + 0x1e8) & 0xff, n);    /* e820_entries */
	ck_assert_uint_eq(ram32(page + 0x1ec) >> 24, 0);     /* sentinel */
	ck_assert_uint_eq(ram64(page + 0x70), PC_RSDP);      /* acpi_rsdp_addr */
	ck_assert_uint_eq(ram32(page + 0x7) & 0xff, 80);     /* screen_info: columns */
	ck_assert_uint_eq(ram32(page + 0xe) & 0xff, 25);     /* lines */
	ck_assert_uint_eq(ram32(page + 0x21c), initrd_size);
	for (unsigned i = 0; i < n; i++) {
		ck_assert_uint_eq(ram64(page + 0x2d0 + 20 * i), map[i].addr);
		ck_assert_uint_eq(ram64(page + 0x2d0 + 20 * i + 8), map[i].size);
		ck_assert_uint_eq(ram32(page + 0x2d0 + 20 * i + 16), map[i].type);
	}
}

/* --- Linux --- */

START_TEST(bzimage_unpacked)
{
	u8 initrd[10000];
	struct boot_spec spec;
	u64 at;

	start(64 * MIB);
	make_linux();
	memset(initrd, 0x5a, sizeof(initrd));
	spec = spec_of_file();
	spec.initrd = (struct boot_file){"initrd", initrd, sizeof(initrd)};
	spec.append = "console=ttyS0";
	ck_assert_msg(boot(&spec) == 0, "%s", err.text);
	ck_assert_str_eq(what, "Linux 6.1.0-test, bzImage, gzip payload unpacked on the host");
	check_long_mode(0x1000000);
	check_text(0x1000000, 0x1234);
	ck_assert_uint_eq(vcpu.regs.gpr[RSI], BOOT_PARAMS);
	ck_assert_uint_eq(vcpu.regs.gpr[RDI], 0);
	check_zero_page(BOOT_PARAMS, sizeof(initrd));
	check_string(ram32(BOOT_PARAMS + 0x228), "console=ttyS0");
	at = ram32(BOOT_PARAMS + 0x218);
	ck_assert_uint_eq(at, 64 * MIB - 0x3000); /* as high as it goes, page aligned */
	ck_assert_uint_eq(ram32(at), 0x5a5a5a5a);
	ck_assert_uint_eq(ram32(at + sizeof(initrd) - 4), 0x5a5a5a5a);
	stop();
}
END_TEST

/* The same spec gives the same memory and registers. */
START_TEST(deterministic)
{
	struct x86_state first;
	static u8 low[2][2 * MIB];
	struct boot_spec spec;

	for (int i = 0; i < 2; i++) {
		start(64 * MIB);
		make_linux();
		spec = spec_of_file();
		ck_assert_int_eq(boot(&spec), 0);
		memory_read(&machine.mem, 0, low[i], 2 * MIB);
		if (!i)
			first = vcpu.regs;
		else
			ck_assert_mem_eq(&first, &vcpu.regs, sizeof(first));
		stop();
	}
	ck_assert_mem_eq(low[0], low[1], 2 * MIB);
}
END_TEST

START_TEST(bzimage_inguest)
{
	struct boot_spec spec;

	start(64 * MIB);
	make_linux();
	spec = spec_of_file();
	spec.inguest = true;
	ck_assert_msg(boot(&spec) == 0, "%s", err.text);
	check_long_mode(0x100200);
	ck_assert_uint_eq(vcpu.regs.gpr[RSI], BOOT_PARAMS);
	ck_assert_uint_eq(ram32(0x100000 + PAYLOAD) & 0xffff, 0x8b1f);
	ck_assert_uint_eq(ram32(BOOT_PARAMS + 0x214), 0x100000); /* code32_start */
	check_zero_page(BOOT_PARAMS, 0);
	stop();
}
END_TEST

/* The 32-bit boot protocol's entry state: boot.rst. */
START_TEST(bzimage_32bit)
{
	const struct x86_state *s = &vcpu.regs;
	struct boot_spec spec;

	start(64 * MIB);
	make_linux();
	store16(file + 0x236, 0); /* no 64-bit entry */
	spec = spec_of_file();
	spec.append = "quiet";
	ck_assert_msg(boot(&spec) == 0, "%s", err.text);
	ck_assert_str_eq(what, "Linux 6.1.0-test, bzImage, gzip payload left to the guest");
	ck_assert_uint_eq(s->rip, 0x100000);
	ck_assert_uint_eq(s->gpr[RSI], BOOT_PARAMS);
	ck_assert_uint_eq(s->gpr[RBP] | s->gpr[RDI] | s->gpr[RBX], 0);
	ck_assert_uint_eq(s->rflags, RFLAGS_1);
	ck_assert_uint_eq(s->cr0 & (CR0_PE | CR0_PG), CR0_PE);
	ck_assert_uint_eq(s->efer, 0);
	ck_assert_uint_eq(s->seg[SEG_CS].selector, 0x10);
	ck_assert_uint_eq(s->seg[SEG_CS].ar & (AR_L | AR_DB), AR_DB);
	ck_assert_uint_eq(s->seg[SEG_DS].selector, 0x18);
	ck_assert_uint_eq(ram64(s->gdtr.base + 0x10), 0x00cf9b000000ffff);
	ck_assert_uint_eq(ram64(s->gdtr.base + 0x18), 0x00cf93000000ffff);
	ck_assert_uint_eq(ram32(0x100000 + PAYLOAD) & 0xffff, 0x8b1f);
	check_zero_page(BOOT_PARAMS, 0);
	check_string(ram32(BOOT_PARAMS + 0x228), "quiet");
	stop();
}
END_TEST

START_TEST(bzimage_without_payload)
{
	struct boot_spec spec;

	start(64 * MIB);
	make_linux();
	store32(file + 0x24c, 0);
	spec = spec_of_file();
	ck_assert_msg(boot(&spec) == 0, "%s", err.text);
	ck_assert_str_eq(what, "6.1.0-test, bzImage without a payload");
	check_long_mode(0x100200);
	stop();
}
END_TEST

START_TEST(initrd_stays_below_2g)
{
	static const u8 initrd[5000] = {1, 2, 3};
	struct boot_spec spec;

	start(5ull << 30);
	make_linux();
	spec = spec_of_file();
	spec.initrd = (struct boot_file){"initrd", initrd, sizeof(initrd)};
	ck_assert_int_eq(boot(&spec), 0);
	ck_assert_uint_eq(ram32(BOOT_PARAMS + 0x218), 0x80000000 - 0x2000);
	stop();
	start(5ull << 30);
	make_linux();
	store32(file + 0x22c, 0x37ffffff); /* initrd_addr_max, as old kernels have it */
	ck_assert_int_eq(boot(&spec), 0);
	ck_assert_uint_eq(ram32(BOOT_PARAMS + 0x218), 0x38000000 - 0x2000);
	stop();
}
END_TEST

START_TEST(vmlinux)
{
	struct boot_spec spec;

	start(64 * MIB);
	make_elf64(&linux_kernel);
	strcpy((char *)file + TEXT_OFFSET + 0x200, "Linux version 6.9.1-x (b@h)");
	spec = spec_of_file();
	spec.append = "quiet";
	ck_assert_msg(boot(&spec) == 0, "%s", err.text);
	ck_assert_str_eq(what, "Linux 6.9.1-x, vmlinux");
	check_long_mode(0x1000000);
	ck_assert_uint_eq(vcpu.regs.gpr[RSI], BOOT_PARAMS);
	check_zero_page(BOOT_PARAMS, 0);
	check_string(ram32(BOOT_PARAMS + 0x228), "quiet");
	stop();
}
END_TEST

START_TEST(linux_refused)
{
	static const u8 big[60 * MIB];
	char line[200];
	struct boot_spec spec;

	start(64 * MIB);
	make_linux();
	spec = spec_of_file();
	spec.kernel.len = file_len - 16;
	refuse(&spec, -EINVAL, "cut short");
	spec.kernel.len = 0x230;
	refuse(&spec, -EINVAL, "cut short");
	spec.kernel.len = file_len;
	store16(file + 0x206, 0x204);
	refuse(&spec, -EINVAL, "2.04");
	store16(file + 0x206, 0x20f);
	file[CODE_OFFSET + PAYLOAD + 40] ^= 0xff;
	refuse(&spec, -EINVAL, "damaged");
	file[CODE_OFFSET + PAYLOAD + 40] ^= 0xff;
	store32(file + 0x24c, 0x7fffffff);
	refuse(&spec, -EINVAL, "payload");
	make_linux();
	spec.initrd = (struct boot_file){"initrd", big, sizeof(big)};
	refuse(&spec, -ENOMEM, "62914560 bytes");
	ck_assert_ptr_nonnull(strstr(err.text, "64 MiB"));
	spec.initrd.data = NULL;
	memset(line, 'x', sizeof(line));
	line[101] = 0;
	spec.append = line;
	refuse(&spec, -EINVAL, "101 bytes");
	spec.append = NULL;
	ck_assert_int_eq(boot(&spec), 0); /* all that was wrong has been put right */
	stop();
	start(8 * MIB);
	make_linux();
	refuse(&spec, -ENOMEM, "8 MiB");
	stop();
}
END_TEST

/* --- Multiboot --- */

static u64 mb_info(u32 flag)
{
	ck_assert_uint_eq(vcpu.regs.gpr[RAX], 0x2badb002);
	ck_assert_uint_eq(vcpu.regs.gpr[RBX], BOOT_PARAMS);
	ck_assert_uint_eq(ram32(BOOT_PARAMS) & flag, flag);
	return BOOT_PARAMS;
}

/* mmap: each entry's size field counts what follows it. */
static void check_multiboot_map(u64 info)
{
	struct e820_entry map[PC_E820_MAX];
	unsigned n = pc_e820(&machine, map);
	u64 at = ram32(info + 48), end = at + ram32(info + 44);

	for (unsigned i = 0; i < n; i++) {
		ck_assert_uint_eq(ram64(at + 4), map[i].addr);
		ck_assert_uint_eq(ram64(at + 12), map[i].size);
		ck_assert_uint_eq(ram32(at + 20), map[i].type);
		at += ram32(at) + 4;
	}
	ck_assert_uint_eq(at, end);
}

static void check_multiboot(const struct boot_spec *spec, size_t filesz, size_t module)
{
	u64 info, mods;

	ck_assert_msg(boot(spec) == 0, "%s", err.text);
	check_protected_mode(0x100080);
	check_text(0x100000, filesz);
	info = mb_info(1 | 4 | 8 | 64 | 512);
	ck_assert_uint_eq(ram32(info + 4), 639);       /* mem_lower, KiB */
	ck_assert_uint_eq(ram32(info + 8), 31 * 1024); /* mem_upper */
	check_string(ram32(info + 16), "root=disk");
	ck_assert_uint_eq(ram32(info + 20), 1);
	mods = ram32(info + 24);
	ck_assert_uint_eq(ram32(mods), 0x103000); /* directly after the kernel, page aligned */
	ck_assert_uint_eq(ram32(mods + 4) - ram32(mods), module);
	check_string(ram32(mods + 8), "ramdisk.img");
	ck_assert_uint_eq(ram32(ram32(mods)), 0x64636261);
	check_multiboot_map(info);
	check_string(ram32(info + 64), "vmdbg");
}

START_TEST(multiboot_elf)
{
	struct elf_spec e = low_kernel;
	struct boot_spec spec;

	start(32 * MIB);
	if (_i) {
		e.vaddr += 0xffffffff80000000; /* linked high: the entry moves with its segment */
		e.entry += 0xffffffff80000000;
		make_elf64(&e);
	} else {
		e.vaddr += 0xc0000000;
		e.entry += 0xc0000000;
		make_elf32(&e);
	}
	put_multiboot(0x800, 3);
	spec = spec_of_file();
	spec.append = "root=disk";
	spec.initrd = (struct boot_file){"/some/where/ramdisk.img", (const u8 *)"abcdefgh", 8};
	check_multiboot(&spec, 0x1234, 8);
	stop();
}
END_TEST

START_TEST(multiboot_addresses)
{
	struct boot_spec spec;

	start(32 * MIB);
	fill_text(0x1234);
	put_multiboot(0xf00, 0x10003);
	store32(file + 0xf0c, 0x100000 - 0x100); /* header_addr */
	store32(file + 0xf10, 0x100000 - 0x100); /* load_addr: from the header on */
	store32(file + 0xf14, 0);                /* to the end of the file */
	store32(file + 0xf18, 0x103000);         /* bss_end_addr */
	store32(file + 0xf1c, 0x100080);         /* entry_addr */
	spec = spec_of_file();
	/* Starts in the video and ROM area, where there is no RAM for it. */
	refuse(&spec, -ENOMEM, "0xfff00");
	put_multiboot(0xff0, 0x10003);
	memset(file + 0xf00, 0, 32);
	store32(file + 0xffc, 0x200000 - 0x10);
	store32(file + 0x1000, 0x200000 - 0x10);
	store32(file + 0x1004, 0x200100);
	store32(file + 0x1008, 0x200200);
	store32(file + 0x100c, 0x200000);
	ck_assert_msg(boot(&spec) == 0, "%s", err.text);
	check_protected_mode(0x200000);
	ck_assert_uint_eq(ram32(0x200000 - 0x10), 0x1badb002);
	ck_assert_uint_eq(ram32(0x2000fc), load32(file + 0x10fc));
	ck_assert_uint_eq(ram32(0x200100), 0); /* beyond load_end_addr */
	ck_assert_uint_eq(ram32(mb_info(1) + 20), 0);
	stop();
}
END_TEST

START_TEST(multiboot_refused)
{
	struct boot_spec spec;

	start(32 * MIB);
	fill_text(0x100);
	put_multiboot(0x10, 3);
	spec = spec_of_file();
	refuse(&spec, -EINVAL, "no ELF");
	put_multiboot(0x10, 0x8003);
	refuse(&spec, -EINVAL, "features");
	put_multiboot(0x10, 0x10003);
	store32(file + 0x1c, 0x100000);
	store32(file + 0x20, 0x200000);
	refuse(&spec, -EINVAL, "does not agree");
	store32(file + 0x20, 0x100000);
	store32(file + 0x24, 0x200000);
	refuse(&spec, -EINVAL, "cut short");
	store32(file + 0x24, 0x100100);
	store32(file + 0x28, 0x7fffffff);
	store32(file + 0x2c, 0x100000);
	refuse(&spec, -ENOMEM, "32 MiB");
	spec.kernel.len = 0x28; /* within the address fields */
	refuse(&spec, -EINVAL, "cut short");
	stop();
}
END_TEST

START_TEST(multiboot_text_mode)
{
	struct elf_spec e = low_kernel;
	struct boot_spec spec;
	u64 info;

	start(32 * MIB);
	make_elf32(&e);
	put_multiboot(0x800, 7);
	spec = spec_of_file();
	ck_assert_int_eq(boot(&spec), 0);
	info = mb_info(1 << 12);
	ck_assert_uint_eq(ram64(info + 88), 0xb8000);
	ck_assert_uint_eq(ram32(info + 96), 160);
	ck_assert_uint_eq(ram32(info + 100), 80);
	ck_assert_uint_eq(ram32(info + 104), 25);
	ck_assert_uint_eq(ram32(info + 108) & 0xffff, 0x0210); /* 16 bits a cell, EGA text */
	stop();
}
END_TEST

/* --- PVH, ELF64, flat --- */

START_TEST(pvh)
{
	struct elf_spec e = low_kernel;
	struct e820_entry map[PC_E820_MAX];
	struct boot_spec spec;
	u64 at;

	start(32 * MIB);
	e.note = note_pvh;
	e.note_len = sizeof(note_pvh);
	e.entry = 0x100000;
	if (_i)
		make_elf64(&e);
	else
		make_elf32(&e);
	spec = spec_of_file();
	spec.append = "a b";
	spec.initrd = (struct boot_file){"initrd", (const u8 *)"abcd", 4};
	ck_assert_msg(boot(&spec) == 0, "%s", err.text);
	check_protected_mode(0x100080); /* the note's, not the ELF header's */
	at = vcpu.regs.gpr[RBX];
	ck_assert_uint_eq(ram32(at), 0x336ec578);
	ck_assert_uint_eq(ram32(at + 4), 1);
	ck_assert_uint_eq(ram32(at + 12), 1);
	ck_assert_uint_eq(ram32(ram64(ram64(at + 16))), 0x64636261);
	ck_assert_uint_eq(ram64(ram64(at + 16) + 8), 4);
	check_string(ram64(at + 24), "a b");
	ck_assert_uint_eq(ram64(at + 32), PC_RSDP);
	ck_assert_uint_eq(ram32(at + 48), pc_e820(&machine, map));
	ck_assert_uint_eq(ram64(ram64(at + 40) + 8), map[0].size);
	stop();
}
END_TEST

START_TEST(elf64)
{
	struct elf_spec e = low_kernel;
	struct boot_spec spec;
	u64 info;

	start(32 * MIB);
	e.vaddr = 0xffffffff80000000;
	e.entry = 0xffffffff80000080;
	make_elf64(&e);
	spec = spec_of_file();
	spec.append = "hello";
	ck_assert_msg(boot(&spec) == 0, "%s", err.text);
	check_long_mode(0x100080);
	check_text(0x100000, 0x1234);
	info = vcpu.regs.gpr[RDI];
	ck_assert_uint_eq(info, BOOT_PARAMS);
	ck_assert_uint_eq(ram64(info), BOOT_INFO_MAGIC);
	ck_assert_uint_eq(ram32(info + 8), sizeof(struct boot_info));
	check_string(ram64(info + 16), "hello");
	ck_assert_uint_eq(ram64(info + 24), 0);
	ck_assert_uint_eq(vcpu.regs.gpr[RSP], BOOT_STACK);
	ck_assert_uint_eq(vcpu.regs.gpr[RAX], 0);
	ck_assert_uint_eq(vcpu.regs.gpr[GPR_NONE], 0);
	stop();
}
END_TEST

START_TEST(elf_refused)
{
	struct elf_spec e = low_kernel;
	struct boot_spec spec;

	start(32 * MIB);
	make_elf64(&e);
	spec = spec_of_file();
	spec.kernel.len = file_len - 1;
	refuse(&spec, -EINVAL, "cut short");
	spec.kernel.len = 70;
	refuse(&spec, -EINVAL, "program headers");
	spec.kernel.len = 20;
	refuse(&spec, -EINVAL, "cut short");
	spec.kernel.len = file_len;
	store16(file + 18, EM_AARCH64);
	refuse(&spec, -EINVAL, "another kind of processor");
	e.memsz = 1ull << 40;
	make_elf64(&e);
	refuse(&spec, -ENOMEM, "32 MiB");
	e.memsz = 0x3000;
	e.entry = 0x5000;
	make_elf64(&e);
	refuse(&spec, -EINVAL, "0x5000");
	e.paddr = ~0ull - 0x100; /* wraps */
	make_elf64(&e);
	refuse(&spec, -ENOMEM, "32 MiB");
	e.paddr = BOOT_DATA_START - 0x1000;
	make_elf64(&e);
	refuse(&spec, -EINVAL, "boot data");
	e = low_kernel;
	e.note = note_gnu;
	e.note_len = sizeof(note_gnu);
	make_elf64(&e);
	refuse(&spec, -EINVAL, "program");
	make_elf32(&low_kernel);
	refuse(&spec, -EINVAL, "32-bit");
	stop();
}
END_TEST

/* Many segments that all cover the same memory: refused by their sum, not worked through. */
START_TEST(elf_overlapping_segments)
{
	struct elf_spec e = low_kernel;
	struct boot_spec spec;

	start(2 * MIB);
	make_elf64(&e);
	store16(file + 56, 1000);
	for (int i = 1; i < 1000; i++)
		memcpy(file + 64 + i * 56, file + 64, 56);
	file_len = FILE_SPACE;
	spec = spec_of_file();
	refuse(&spec, -ENOMEM, "larger than");
	stop();
}
END_TEST

START_TEST(flat)
{
	struct boot_spec spec;

	start(2 * MIB);
	fill_text(100);
	memcpy(file, "\xf4\xeb\xfd", 3);
	spec = spec_of_file();
	refuse(&spec, -EINVAL, "not a kernel"); /* never guessed */
	spec.kind = BOOT_FLAT;
	spec.flat_address = 0x8000;
	ck_assert_msg(boot(&spec) == 0, "%s", err.text);
	check_long_mode(0x8000);
	ck_assert_uint_eq(ram32(0x8000) & 0xffffff, 0xfdebf4);
	ck_assert_uint_eq(vcpu.regs.gpr[RDI], BOOT_PARAMS);
	free(what);
	what = NULL;
	spec.flat_address = 0x8001;
	refuse(&spec, -EINVAL, "multiple");
	spec.flat_address = 1ull << 32;
	refuse(&spec, -EINVAL, "4 GiB");
	spec.flat_address = 0xff000;
	refuse(&spec, -ENOMEM, "0xff000");
	spec.flat_address = 2 * MIB - 0x1000;
	refuse(&spec, -ENOMEM, "2 MiB");
	stop();
}
END_TEST

START_TEST(bios)
{
	const struct x86_state *s = &vcpu.regs;
	struct boot_spec spec;

	start(1 * MIB);
	file_len = 0x2000;
	memcpy(file + 0x1ff0, "\xea\x5b\xe0\x00\xf0", 5);
	spec = spec_of_file();
	spec.kind = BOOT_BIOS;
	ck_assert_msg(boot(&spec) == 0, "%s", err.text);
	ck_assert_str_eq(what, "firmware of 8 KiB");
	ck_assert_uint_eq(s->seg[SEG_CS].selector, 0xf000);
	ck_assert_uint_eq(s->seg[SEG_CS].base, 0xf0000);
	ck_assert_uint_eq(s->rip, 0xfff0);
	ck_assert_uint_eq(s->cr0 & (CR0_PE | CR0_PG), 0);
	ck_assert_uint_eq(ram32(0xffff0), 0x00e05bea);
	ck_assert_uint_eq(ram32(0x40e), 0); /* no BIOS data area */
	free(what);
	what = NULL;
	spec.kernel.len = 0x1fff;
	refuse(&spec, -EINVAL, "8191 bytes");
	spec.kernel.len = 0x41000; /* refused before it is looked at */
	refuse(&spec, -EINVAL, "firmware");
	spec.kernel.len = file_len;
	spec.append = "quiet";
	refuse(&spec, -EINVAL, "command line");
	spec.kind = BOOT_AUTO;
	refuse(&spec, -EINVAL, "not a kernel"); /* never guessed */
	stop();
}
END_TEST

START_TEST(not_a_kernel)
{
	struct boot_spec spec;

	start(2 * MIB);
	spec = spec_of_file();
	refuse(&spec, -EINVAL, "empty");
	memset(file, 'a', 5000);
	spec.kernel.len = 5000;
	refuse(&spec, -EINVAL, "not a kernel");
	spec.kernel.len = 1;
	refuse(&spec, -EINVAL, "not a kernel");
	store32(file + 64, 0xe85250d6);
	store32(file + 68, 0);
	store32(file + 72, 24);
	store32(file + 76, -(0xe85250d6 + 24));
	spec.kernel.len = 5000;
	refuse(&spec, -EINVAL, "Multiboot 2");
	stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("boot");
	TCase *tc = tcase_create("boot");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, bzimage_unpacked);
	tcase_add_test(tc, deterministic);
	tcase_add_test(tc, bzimage_inguest);
	tcase_add_test(tc, bzimage_32bit);
	tcase_add_test(tc, bzimage_without_payload);
	tcase_add_test(tc, initrd_stays_below_2g);
	tcase_add_test(tc, vmlinux);
	tcase_add_test(tc, linux_refused);
	tcase_add_loop_test(tc, multiboot_elf, 0, 2);
	tcase_add_test(tc, multiboot_addresses);
	tcase_add_test(tc, multiboot_refused);
	tcase_add_test(tc, multiboot_text_mode);
	tcase_add_loop_test(tc, pvh, 0, 2);
	tcase_add_test(tc, elf64);
	tcase_add_test(tc, elf_refused);
	tcase_add_test(tc, elf_overlapping_segments);
	tcase_add_test(tc, flat);
	tcase_add_test(tc, bios);
	tcase_add_test(tc, not_a_kernel);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
