/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ACPI fixed hardware, and the firmware tables read the way an operating system reads them. */
#include <check.h>

#include "tests/unit/rig.h"
#include "vmm/dev/acpi_pm.h"
#include "vmm/machine.h"
#include "vmm/pc/aml.h"
#include "vmm/pc/pc.h"

static struct rig rig;
static struct acpi_pm pm;
static unsigned offs, resets;

static void power_off(void *opaque)
{
	offs++;
}

static void reset(void *opaque)
{
	resets++;
}

static void setup(void)
{
	rig_init(&rig);
	offs = resets = 0;
	acpi_pm_init(&pm, &rig.clock, "acpi-pm");
	pm.sci = rig_irq(&rig, 9);
	pm.power_off = power_off;
	pm.reset = reset;
}

static u32 in(unsigned offset, unsigned size)
{
	return acpi_pm_read(&pm, offset, size);
}

static void out(unsigned offset, unsigned size, u32 value)
{
	acpi_pm_write(&pm, offset, size, value);
}

START_TEST(pm_timer_is_exact)
{
	setup();
	ck_assert_uint_eq(in(ACPI_PM_TIMER, 4), 0);
	rig_pass(&rig, 1000000000);
	ck_assert_uint_eq(in(ACPI_PM_TIMER, 4), 3579545);
	rig_pass(&rig, 9ull * 1000000000);
	ck_assert_uint_eq(in(ACPI_PM_TIMER, 4), 35795450 & 0xffffff);
	/* A tick begins at ceil(n * 10^9 / 3579545) ns: the first at 280 ns. */
	setup();
	rig_pass(&rig, 279);
	ck_assert_uint_eq(in(ACPI_PM_TIMER, 4), 0);
	rig_pass(&rig, 1);
	ck_assert_uint_eq(in(ACPI_PM_TIMER, 4), 1);
	ck_assert_uint_eq(in(ACPI_PM_TIMER, 1), 1);
	ck_assert_uint_eq(in(ACPI_PM_TIMER + 1, 2), 0);
}
END_TEST

START_TEST(outside_of_its_ports)
{
	setup();
	ck_assert_uint_eq(in(ACPI_PM_LEN, 4), 0xffffffff);
	ck_assert_uint_eq(in(ACPI_PM_LEN, 1), 0xff);
	out(2, 2, PM1_TMR);
	out(ACPI_PM_LEN, 4, 0);
	ck_assert_uint_eq(in(2, 2), PM1_TMR);
}
END_TEST

START_TEST(timer_status_and_sci)
{
	/* Bit 23 changes first after 2^23 ticks: 2.343484437... s. */
	const u64 first = 2343484437ull;

	setup();
	rig_pass(&rig, first);
	ck_assert_uint_eq(in(0, 2) & PM1_TMR, 0);
	rig_pass(&rig, 1);
	ck_assert_uint_eq(in(0, 2) & PM1_TMR, 1);
	ck_assert_uint_eq(rig.level[9], 0);
	out(2, 2, PM1_TMR);
	ck_assert_uint_eq(rig.level[9], 1);
	out(0, 2, PM1_TMR);
	ck_assert_uint_eq(in(0, 2) & PM1_TMR, 0);
	ck_assert_uint_eq(rig.level[9], 0);
	rig_pass(&rig, first - 2);
	ck_assert_uint_eq(rig.level[9], 0);
	rig_pass(&rig, 4);
	ck_assert_uint_eq(rig.level[9], 1);
	out(2, 2, 0);
	ck_assert_uint_eq(rig.clock.next_deadline, CLOCK_NEVER);
}
END_TEST

START_TEST(power_button)
{
	setup();
	out(2, 2, PM1_PWRBTN);
	acpi_pm_power_button(&pm);
	ck_assert_uint_eq(rig.level[9], 1);
	ck_assert_uint_eq(in(0, 2), PM1_PWRBTN);
	ck_assert_uint_eq(in(0, 4), PM1_PWRBTN | PM1_PWRBTN << 16);
	out(0, 2, 0);
	ck_assert_uint_eq(in(0, 2), PM1_PWRBTN);
	out(1, 1, 1); /* the high byte alone */
	ck_assert_uint_eq(in(0, 2), 0);
	ck_assert_uint_eq(rig.level[9], 0);
}
END_TEST

START_TEST(sleep_states)
{
	setup();
	ck_assert_uint_eq(in(4, 2), PM1_SCI_EN);
	out(4, 2, 0);
	ck_assert_uint_eq(in(4, 2), PM1_SCI_EN);
	out(4, 2, ACPI_S5_TYPE << 10);
	ck_assert_uint_eq(offs, 0);
	out(4, 2, 1 << 10 | PM1_SLP_EN);
	ck_assert_uint_eq(offs, 0);
	out(4, 2, ACPI_S5_TYPE << 10 | PM1_SLP_EN);
	ck_assert_uint_eq(offs, 1);
	ck_assert_uint_eq(in(4, 2) & PM1_SLP_EN, 0);
	out(5, 1, (ACPI_S5_TYPE << 10 | PM1_SLP_EN) >> 8);
	ck_assert_uint_eq(offs, 2);
}
END_TEST

START_TEST(reset_register)
{
	setup();
	acpi_reset_write(&pm, 0x02);
	ck_assert_uint_eq(resets, 0);
	ck_assert_uint_eq(acpi_reset_read(&pm), 0x02);
	acpi_reset_write(&pm, 0x06);
	ck_assert_uint_eq(resets, 1);
	setup();
	acpi_reset_write(&pm, 0x0e);
	ck_assert_uint_eq(resets, 1);
	acpi_reset_write(&pm, 0x0e); /* a level, not an edge */
	ck_assert_uint_eq(resets, 1);
}
END_TEST

/* --- tables --- */

static u8 rom[PC_TABLES_MAX];

static bool sums_to_zero(const u8 *p, size_t len)
{
	u8 sum = 0;

	while (len--)
		sum += *p++;
	return !sum;
}

static const u8 *table(u64 addr, const char *signature)
{
	const u8 *t = rom + (addr - PC_ROM_START);

	ck_assert_uint_ge(addr, PC_ROM_START);
	ck_assert_uint_lt(addr, PC_BIOS_AREA);
	ck_assert_int_eq(memcmp(t, signature, 4), 0);
	ck_assert_uint_le(addr + load32(t + 4), PC_BIOS_AREA);
	if (strcmp(signature, "FACS"))
		ck_assert(sums_to_zero(t, load32(t + 4)));
	return t;
}

static unsigned madt_count(const u8 *madt, u8 type)
{
	unsigned n = 0;

	for (u32 at = 44; at < load32(madt + 4); at += madt[at + 1]) {
		ck_assert_uint_ge(madt[at + 1], 2);
		n += madt[at] == type;
	}
	return n;
}

START_TEST(acpi_tables)
{
	u8 rsdp[PC_RSDP_SIZE];
	const u8 *xsdt, *rsdt, *fadt, *madt, *hpet;

	for (unsigned cpus = 1; cpus <= MACHINE_MAX_VCPUS; cpus++) {
		struct machine_config config = {.vcpus = cpus};

		memset(rom, 0, sizeof(rom));
		ck_assert_uint_lt(pc_build_acpi(rom, PC_ROM_START, &config, rsdp), sizeof(rom));
		ck_assert_int_eq(memcmp(rsdp, "RSD PTR ", 8), 0);
		ck_assert(sums_to_zero(rsdp, 20));
		ck_assert(sums_to_zero(rsdp, 36));
		rsdt = table(load32(rsdp + 16), "RSDT");
		xsdt = table(load64(rsdp + 24), "XSDT");
		ck_assert_uint_eq(load32(xsdt + 4), 36 + 3 * 8);
		ck_assert_uint_eq(load32(rsdt + 36), load64(xsdt + 36));
		fadt = table(load64(xsdt + 36), "FACP");
		madt = table(load64(xsdt + 44), "APIC");
		ck_assert_uint_eq(madt_count(madt, 0), cpus);
		ck_assert_uint_eq(madt_count(madt, 1), 1);
		ck_assert_uint_eq(madt_count(madt, 2), 2);
		ck_assert_uint_eq(load32(madt + 36), 0xfee00000);
		hpet = table(load64(xsdt + 52), "HPET");
		ck_assert_uint_eq(load32(hpet + 4), 56);
		ck_assert_uint_eq(load32(hpet + 36), 0x8086a201);
		ck_assert_uint_eq(load32(hpet + 40), 64 << 8);
		ck_assert_uint_eq(load64(hpet + 44), 0xfed00000);
	}
	table(load32(fadt + 40), "DSDT");
	ck_assert_uint_eq(load64(fadt + 140), load32(fadt + 40));
	ck_assert_uint_eq((uintptr_t)(table(load32(fadt + 36), "FACS") - rom) % 64, 0);
	ck_assert_uint_eq(load32(fadt + 48), 0); /* no SMI command port */
	ck_assert_uint_eq(load32(fadt + 56), 0x600);
	ck_assert_uint_eq(load32(fadt + 64), 0x604);
	ck_assert_uint_eq(load32(fadt + 76), 0x608);
	ck_assert(load32(fadt + 112) & BIT(10));
	ck_assert_uint_eq(load64(fadt + 120), 0xcf9);
}
END_TEST

START_TEST(dsdt_has_s5_and_hpet)
{
	/* Name (\_S5_, Package (4) {5, 5, 0, 0}) */
	static const u8 s5[] = {0x08, '\\', '_', 'S', '5', '_', 0x12, 0x08, 4, 0x0a, 5, 0x0a, 5, 0, 0};
	/* Name (_HID, EisaId ("PNP0103")); Memory32Fixed (ReadWrite, 0xFED00000, 0x400) */
	static const u8 hid[] = {0x08, '_', 'H', 'I', 'D', 0x0c, 0x41, 0xd0, 0x01, 0x03};
	static const u8 memory[] = {0x86, 9, 0, 1, 0, 0, 0xd0, 0xfe, 0, 4, 0, 0};
	struct machine_config config = {.vcpus = 1};
	u8 rsdp[PC_RSDP_SIZE];

	memset(rom, 0, sizeof(rom));
	pc_build_acpi(rom, PC_ROM_START, &config, rsdp);
	ck_assert_ptr_nonnull(memmem(rom, sizeof(rom), s5, sizeof(s5)));
	ck_assert_ptr_nonnull(memmem(rom, sizeof(rom), hid, sizeof(hid)));
	ck_assert_ptr_nonnull(memmem(rom, sizeof(rom), memory, sizeof(memory)));
}
END_TEST

/* Traces name the machine: its tables must stay what they were. */
START_TEST(older_machines_have_no_hpet)
{
	struct machine_config config = {.vcpus = 1, .model = MACHINE_PC_1};
	u8 rsdp[PC_RSDP_SIZE];
	const u8 *xsdt;

	memset(rom, 0, sizeof(rom));
	ck_assert_uint_eq(pc_build_acpi(rom, PC_ROM_START, &config, rsdp), 0x3e4);
	xsdt = table(load64(rsdp + 24), "XSDT");
	ck_assert_uint_eq(load32(xsdt + 4), 36 + 2 * 8);
	ck_assert_uint_eq(load32(table(load32(table(load64(xsdt + 36), "FACP") + 40), "DSDT") + 4), 0x1cf);
	ck_assert_ptr_null(memmem(rom, sizeof(rom), "HPET", 4));
}
END_TEST

START_TEST(aml_encodings)
{
	static const u8 pnp[] = {0x0c, 0x41, 0xd0, 0x0a, 0x03}; /* PNP0A03 as ASL compilers encode it */
	u8 buf[5000];
	struct aml a = {.buf = buf, .cap = sizeof(buf)};
	size_t place;

	aml_eisaid(&a, "PNP0A03");
	ck_assert_uint_eq(a.len, sizeof(pnp));
	ck_assert_mem_eq(buf, pnp, sizeof(pnp));
	/* PkgLength at the limits of its one- and two-byte forms: it counts itself. */
	for (unsigned body = 60; body < 66; body++) {
		a.len = 0;
		place = aml_package(&a, 0);
		for (unsigned i = 1; i < body; i++)
			aml_byte(&a, 0);
		aml_close(&a, place);
		ck_assert_uint_eq(a.len, 1 + body + (body < 63 ? 1 : 2));
		ck_assert_uint_eq(body < 63 ? buf[1] : (buf[1] & 15u) | (unsigned)buf[2] << 4, a.len - 1);
		ck_assert_uint_eq(buf[1] >> 6, body < 63 ? 0 : 1);
	}
	a.len = 0;
	place = aml_package(&a, 0);
	for (unsigned i = 1; i < 4094; i++)
		aml_byte(&a, 0);
	aml_close(&a, place);
	ck_assert_uint_eq(buf[1] >> 6, 2);
	ck_assert_uint_eq((buf[1] & 15u) | (unsigned)buf[2] << 4 | (unsigned)buf[3] << 12, a.len - 1);
	/* Too small a buffer: counted, not written. */
	a = (struct aml){.buf = buf, .cap = 4};
	buf[4] = 0xaa;
	place = aml_device(&a, "TEST");
	aml_string(&a, "longer than four");
	aml_close(&a, place);
	ck_assert_uint_eq(buf[4], 0xaa);
	ck_assert_uint_gt(a.len, 20);
}
END_TEST

START_TEST(mp_tables)
{
	u8 mp[0x800];
	unsigned count = 0, interrupts = 0;
	const u8 *config = mp + 16;

	for (unsigned cpus = 1; cpus <= MACHINE_MAX_VCPUS; cpus++) {
		u32 at = 44;

		memset(mp, 0, sizeof(mp));
		ck_assert_uint_le(pc_build_mp(mp, PC_MP_TABLE, cpus), sizeof(mp));
		ck_assert_int_eq(memcmp(mp, "_MP_", 4), 0);
		ck_assert(sums_to_zero(mp, 16));
		ck_assert_uint_eq(load32(mp + 4), PC_MP_TABLE + 16);
		ck_assert_int_eq(memcmp(config, "PCMP", 4), 0);
		ck_assert(sums_to_zero(config, load16(config + 4)));
		count = interrupts = 0;
		while (at < load16(config + 4)) {
			ck_assert_uint_le(config[at], 4);
			if (config[at] == 0)
				ck_assert_uint_eq(config[at + 3], at == 44 ? 3 : 1);
			interrupts += config[at] == 3;
			at += config[at] ? 8 : 20;
			count++;
		}
		ck_assert_uint_eq(at, load16(config + 4));
		ck_assert_uint_eq(count, load16(config + 34));
		ck_assert_uint_eq(interrupts, 15);
	}
	ck_assert_uint_eq(PC_MP_TABLE % 16, 0);
}
END_TEST

static void check_map(u64 ram, u64 usable)
{
	static struct machine m;
	struct e820_entry map[PC_E820_MAX];
	u64 end = 0, total = 0;
	unsigned n;

	m.mem.size = ram;
	n = pc_e820(&m, map);
	ck_assert_uint_le(n, PC_E820_MAX);
	for (unsigned i = 0; i < n; i++) {
		ck_assert_uint_ge(map[i].addr, end);
		ck_assert_uint_gt(map[i].size, 0);
		end = map[i].addr + map[i].size;
		if (map[i].type == E820_RAM)
			total += map[i].size;
	}
	ck_assert_uint_eq(total, usable);
}

START_TEST(memory_maps)
{
	const u64 lost = 0x100000 - 0x9fc00; /* from the EBDA to 1 MiB */

	check_map(1ull << 20, 0x9fc00);
	check_map(256ull << 20, (256ull << 20) - lost);
	check_map(3ull << 30, (3ull << 30) - lost);
	check_map(8ull << 30, (8ull << 30) - lost);
}
END_TEST

RIG_MAIN("acpi", pm_timer_is_exact, timer_status_and_sci, outside_of_its_ports, power_button, sleep_states,
	 reset_register, acpi_tables, dsdt_has_s5_and_hpet, older_machines_have_no_hpet, aml_encodings, mp_tables,
	 memory_maps)
