/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ACPI tables (ACPI 6.4, chapter 5): RSDP, RSDT, XSDT, FADT, FACS, DSDT, MADT; HPET (IA-PC HPET specification 3.2.4). */
#include "vmm/dev/acpi_pm.h"
#include "vmm/dev/hpet.h"
#include "vmm/dev/lapic.h"
#include "vmm/machine.h"
#include "vmm/memory.h"
#include "vmm/pc/aml.h"
#include "vmm/pc/pc.h"
#include "vmm/x86/regs.h"

#define HEADER      36
#define FACS_SIZE   64
#define FADT_SIZE   268
#define OEM_ID      "VMDBG "
#define TABLE_ALIGN 16

/* Where the next table goes. */
struct builder {
	u8 *out;
	u32 base; /* guest-physical address of out[0] */
	u32 used;
};

static u32 here(const struct builder *b)
{
	return b->base + b->used;
}

static u8 checksum(const u8 *p, size_t len)
{
	u8 sum = 0;

	while (len--)
		sum += *p++;
	return -sum;
}

static u8 *table_begin(struct builder *b, const char *signature, u8 revision)
{
	u8 *t;

	b->used = (b->used + TABLE_ALIGN - 1) & ~(TABLE_ALIGN - 1u);
	t = b->out + b->used;
	memcpy(t, signature, 4);
	t[8] = revision;
	memcpy(t + 10, OEM_ID, 6);
	memcpy(t + 16, "VMDBGPC ", 8);
	store32(t + 24, 1);
	memcpy(t + 28, "VMDB", 4);
	store32(t + 32, 1);
	return t;
}

/* The table's address; @len with the header. */
static u32 table_end(struct builder *b, u8 *t, u32 len)
{
	u32 addr = here(b);

	store32(t + 4, len);
	t[9] = checksum(t, len);
	b->used += len;
	return addr;
}

/* --- DSDT --- */

static void isa_device(struct aml *a, const char *name, const char *hid, unsigned uid, u16 port, u8 len, int irq)
{
	size_t dev = aml_device(a, name);
	size_t crs;

	aml_name(a, "_HID");
	aml_eisaid(a, hid);
	aml_name(a, "_UID");
	aml_integer(a, uid);
	crs = aml_crs(a);
	aml_io(a, port, len);
	if (!strcmp(hid, "PNP0303")) /* data and command ports are apart */
		aml_io(a, port + 4, len);
	if (irq >= 0)
		aml_irq(a, irq);
	aml_crs_close(a, crs);
	aml_close(a, dev);
}

/* The name by which guests' drivers find the panic port. */
static void panic_device(struct aml *a)
{
	size_t dev = aml_device(a, "PEVT");
	size_t crs;

	aml_name(a, "_HID");
	aml_string(a, "QEMU0001");
	crs = aml_crs(a);
	aml_io(a, PC_PVPANIC_PORT, 1);
	aml_crs_close(a, crs);
	aml_close(a, dev);
}

static void hpet_device(struct aml *a)
{
	size_t dev = aml_device(a, "HPET");
	size_t crs;

	aml_name(a, "_HID");
	aml_eisaid(a, "PNP0103");
	aml_name(a, "_UID");
	aml_integer(a, 0);
	crs = aml_crs(a);
	aml_memory_fixed(a, PC_HPET_BASE, HPET_LEN);
	aml_crs_close(a, crs);
	aml_close(a, dev);
}

static void root_bridge_resources(struct aml *a)
{
	size_t crs = aml_crs(a);

	aml_bus_range(a, 0, 0xff);
	aml_io(a, 0xcf8, 8);
	aml_io_range(a, 0x0000, 0x0cf7);
	aml_io_range(a, 0x0d00, 0xffff);
	aml_memory_range(a, 0xa0000, 0xbffff, true);
	aml_memory_range(a, MEMORY_HOLE_START, PC_IOAPIC_BASE - 1, false);
	aml_crs_close(a, crs);
}

static void isa_bridge(struct aml *a)
{
	size_t isa = aml_device(a, "ISA_");

	aml_name(a, "_ADR");
	aml_integer(a, 0x00010000);
	isa_device(a, "COM1", "PNP0501", 1, 0x3f8, 8, 4);
	isa_device(a, "COM2", "PNP0501", 2, 0x2f8, 8, 3);
	isa_device(a, "RTC_", "PNP0B00", 0, 0x70, 2, 8);
	isa_device(a, "KBD_", "PNP0303", 0, 0x60, 1, 1);
	panic_device(a);
	aml_close(a, isa);
}

static u32 build_dsdt(struct builder *b, bool hpet)
{
	u8 *t = table_begin(b, "DSDT", 2);
	struct aml a = {.buf = t + HEADER, .cap = PC_TABLES_MAX - b->used - HEADER};
	size_t s5, scope, pci;

	aml_name(&a, "\\_S5_");
	s5 = aml_package(&a, 4);
	aml_integer(&a, ACPI_S5_TYPE);
	aml_integer(&a, ACPI_S5_TYPE);
	aml_integer(&a, 0);
	aml_integer(&a, 0);
	aml_close(&a, s5);

	scope = aml_scope(&a, "\\_SB_");
	pci = aml_device(&a, "PCI0");
	aml_name(&a, "_HID");
	aml_eisaid(&a, "PNP0A03");
	aml_name(&a, "_UID");
	aml_integer(&a, 0);
	aml_name(&a, "_BBN");
	aml_integer(&a, 0);
	root_bridge_resources(&a);
	isa_bridge(&a);
	aml_close(&a, pci);
	if (hpet)
		hpet_device(&a);
	aml_close(&a, scope);
	return table_end(b, t, HEADER + a.len);
}

/* --- FACS, FADT --- */

/* Has no header of the common form and no checksum. */
static u32 build_facs(struct builder *b)
{
	u8 *t;
	u32 addr;

	b->used = (b->used + FACS_SIZE - 1) & ~(FACS_SIZE - 1u);
	addr = here(b);
	t = b->out + b->used;
	memcpy(t, "FACS", 4);
	store32(t + 4, FACS_SIZE);
	t[32] = 2; /* version */
	b->used += FACS_SIZE;
	return addr;
}

/* Generic address structure of an I/O port. */
static void io_gas(u8 *p, u16 port, u8 bits, u8 access)
{
	p[0] = 1;
	p[1] = bits;
	p[3] = access;
	store64(p + 4, port);
}

static u32 build_fadt(struct builder *b, u32 facs, u32 dsdt)
{
	u8 *t = table_begin(b, "FACP", 5);

	store32(t + 36, facs);
	store32(t + 40, dsdt);
	t[45] = 1; /* preferred profile: desktop */
	store16(t + 46, PC_SCI_IRQ);
	/* SMI_CMD at 48 stays 0: always in ACPI mode. */
	store32(t + 56, ACPI_PM_BASE + ACPI_PM1_EVT);
	store32(t + 64, ACPI_PM_BASE + ACPI_PM1_CNT);
	store32(t + 76, ACPI_PM_BASE + ACPI_PM_TIMER);
	t[88] = 4;              /* PM1_EVT_LEN */
	t[89] = 2;              /* PM1_CNT_LEN */
	t[91] = 4;              /* PM_TMR_LEN */
	store16(t + 96, 0xfff); /* P_LVL2_LAT, P_LVL3_LAT: no C2, no C3 */
	store16(t + 98, 0xfff);
	t[108] = 0x32;                              /* CMOS byte of the century */
	store16(t + 109, BIT(0) | BIT(1) | BIT(3)); /* ISA devices, 8042; no MSI */
	/* WBINVD, C1, no sleep button, RTC wake not in PM1, reset register. */
	store32(t + 112, BIT(0) | BIT(2) | BIT(5) | BIT(6) | BIT(10));
	io_gas(t + 116, ACPI_RESET, 8, 1);
	t[128] = ACPI_RESET_VAL;
	t[131] = 1; /* minor version: 5.1 */
	store64(t + 140, dsdt);
	io_gas(t + 148, ACPI_PM_BASE + ACPI_PM1_EVT, 32, 2);
	io_gas(t + 172, ACPI_PM_BASE + ACPI_PM1_CNT, 16, 2);
	io_gas(t + 208, ACPI_PM_BASE + ACPI_PM_TIMER, 32, 3);
	return table_end(b, t, FADT_SIZE);
}

/* --- MADT --- */

static u8 *madt_entry(u8 **p, u8 type, u8 len)
{
	u8 *e = *p;

	e[0] = type;
	e[1] = len;
	*p += len;
	return e;
}

static void madt_override(u8 **p, u8 irq, u32 gsi, u16 flags)
{
	u8 *e = madt_entry(p, 2, 10);

	e[3] = irq;
	store32(e + 4, gsi);
	store16(e + 8, flags);
}

static u32 build_madt(struct builder *b, unsigned nr_vcpus)
{
	u8 *t = table_begin(b, "APIC", 3);
	u8 *p = t + HEADER + 8;
	u8 *e;

	store32(t + HEADER, APIC_BASE_ADDR);
	store32(t + HEADER + 4, 1); /* there are 8259As too */
	for (unsigned i = 0; i < nr_vcpus; i++) {
		e = madt_entry(&p, 0, 8);
		e[2] = i; /* processor UID */
		e[3] = i; /* APIC ID */
		store32(e + 4, 1);
	}
	e = madt_entry(&p, 1, 12);
	e[2] = pc_ioapic_id(nr_vcpus);
	store32(e + 4, PC_IOAPIC_BASE);
	madt_override(&p, 0, PC_TIMER_GSI, 0);
	madt_override(&p, PC_SCI_IRQ, PC_SCI_IRQ, 0xd); /* active high, level */
	e = madt_entry(&p, 4, 6);
	e[2] = 0xff; /* LINT1 of every processor is NMI */
	e[5] = 1;
	return table_end(b, t, p - t);
}

/* --- HPET --- */

#define HPET_SIZE 56

static u32 build_hpet(struct builder *b)
{
	u8 *t = table_begin(b, "HPET", 1);

	store32(t + 36, HPET_ID);
	t[41] = 64; /* a generic address in memory */
	store64(t + 44, PC_HPET_BASE);
	store16(t + 53, 128); /* ticks: the shortest period, 1.28 us */
	return table_end(b, t, HPET_SIZE);
}

/* --- roots --- */

static u32 build_root(struct builder *b, const char *signature, unsigned width, const u32 *tables, unsigned n)
{
	u8 *t = table_begin(b, signature, 1);

	for (unsigned i = 0; i < n; i++)
		store32(t + HEADER + i * width, tables[i]);
	return table_end(b, t, HEADER + n * width);
}

static void build_rsdp(u8 rsdp[PC_RSDP_SIZE], u32 rsdt, u32 xsdt)
{
	memset(rsdp, 0, PC_RSDP_SIZE);
	memcpy(rsdp, "RSD PTR ", 8);
	memcpy(rsdp + 9, OEM_ID, 6);
	rsdp[15] = 2;
	store32(rsdp + 16, rsdt);
	store32(rsdp + 20, PC_RSDP_SIZE);
	store64(rsdp + 24, xsdt);
	rsdp[8] = checksum(rsdp, 20);
	rsdp[32] = checksum(rsdp, PC_RSDP_SIZE);
}

size_t pc_build_acpi(u8 *out, u32 base, const struct machine_config *config, u8 rsdp[PC_RSDP_SIZE])
{
	struct builder b = {.out = out, .base = base};
	bool hpet = config->model != MACHINE_PC_1;
	u32 facs = build_facs(&b);
	u32 dsdt = build_dsdt(&b, hpet);
	u32 tables[3];
	unsigned n = 0;
	u32 rsdt, xsdt;

	tables[n++] = build_fadt(&b, facs, dsdt);
	tables[n++] = build_madt(&b, config->vcpus);
	if (hpet)
		tables[n++] = build_hpet(&b);
	rsdt = build_root(&b, "RSDT", 4, tables, n);
	xsdt = build_root(&b, "XSDT", 8, tables, n);
	build_rsdp(rsdp, rsdt, xsdt);
	return b.used;
}
