/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The memory map, and what firmware leaves in low memory: BIOS data area, EBDA, the tables. */
#include <errno.h>

#include "vmm/machine.h"
#include "vmm/pc/pc.h"
#include "vmm/x86/regs.h"

/* BIOS data area (IBM PS/2 and PC BIOS Interface Technical Reference, section 3). */
#define BDA            0x400u
#define BDA_SIZE       0x100u
#define BDA_COM        0x00
#define BDA_EBDA       0x0e
#define BDA_EQUIPMENT  0x10
#define BDA_MEMORY     0x13
#define BDA_VIDEO_MODE 0x49
#define BDA_COLUMNS    0x4a
#define BDA_PAGE_SIZE  0x4c
#define BDA_CRTC       0x63
#define BDA_ROWS       0x84
#define BDA_CHAR_LINES 0x85

static void add(struct e820_entry *out, unsigned *n, u64 addr, u64 end, enum e820_type type)
{
	if (end > addr)
		out[(*n)++] = (struct e820_entry){.addr = addr, .size = end - addr, .type = type};
}

unsigned pc_e820(const struct machine *m, struct e820_entry out[PC_E820_MAX])
{
	u64 ram = m->mem.size;
	u64 low = min64(ram, MEMORY_HOLE_START);
	unsigned n = 0;

	add(out, &n, 0, PC_EBDA, E820_RAM);
	add(out, &n, PC_EBDA, PC_LOW_END, E820_RESERVED);
	add(out, &n, PC_ROM_START, PC_HIGH_RAM, E820_RESERVED);
	add(out, &n, PC_HIGH_RAM, low, E820_RAM);
	add(out, &n, PC_IOAPIC_BASE, PC_IOAPIC_BASE + PAGE_SIZE, E820_RESERVED);
	add(out, &n, APIC_BASE_ADDR, APIC_BASE_ADDR + PAGE_SIZE, E820_RESERVED);
	add(out, &n, MEMORY_HOLE_END, MEMORY_HOLE_END + (ram - low), E820_RAM);
	return n;
}

static void build_bda(u8 bda[BDA_SIZE])
{
	memset(bda, 0, BDA_SIZE);
	store16(bda + BDA_COM, 0x3f8);
	store16(bda + BDA_COM + 2, 0x2f8);
	store16(bda + BDA_EBDA, PC_EBDA >> 4);
	store16(bda + BDA_EQUIPMENT, 0x0422); /* two serial ports, 80x25 colour, FPU */
	store16(bda + BDA_MEMORY, PC_EBDA >> 10);
	bda[BDA_VIDEO_MODE] = 3;
	store16(bda + BDA_COLUMNS, 80);
	store16(bda + BDA_PAGE_SIZE, 0x1000);
	store16(bda + BDA_CRTC, 0x3d4);
	bda[BDA_ROWS] = 24;
	bda[BDA_CHAR_LINES] = 16;
}

int pc_write_tables(struct machine *m, struct error *err)
{
	static const u8 ebda_kib = 1;
	u8 bda[BDA_SIZE], rsdp[PC_RSDP_SIZE];
	u8 acpi[PC_TABLES_MAX] = {0}, mp[0x800] = {0};
	size_t acpi_len = pc_build_acpi(acpi, PC_ROM_START, &m->config, rsdp);
	size_t mp_len = pc_build_mp(mp, PC_MP_TABLE, m->config.vcpus);

	build_bda(bda);
	if (memory_write(&m->mem, BDA, bda, sizeof(bda)) < 0 ||
	    memory_write(&m->mem, PC_EBDA, &ebda_kib, sizeof(ebda_kib)) < 0 ||
	    memory_write(&m->mem, PC_ROM_START, acpi, acpi_len) < 0 ||
	    memory_write(&m->mem, PC_RSDP, rsdp, sizeof(rsdp)) < 0 ||
	    memory_write(&m->mem, PC_MP_TABLE, mp, mp_len) < 0)
		return error_set(err, -ENOMEM, "no memory below 1 MiB for the firmware tables");
	return 0;
}
