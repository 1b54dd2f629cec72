/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The wiring of the PC: regions[] says where each chip answers, make_chips() whom it interrupts.
 *
 * Local APICs aren't on the MMIO bus: each vCPU sees its own at the address its IA32_APIC_BASE names, so the machine
 * asks pc_lapic_claims() first. RAM wins over a local APIC that the guest moved into it. */
#include "vmm/pc/chips.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* --- interrupt lines --- */

/* ISA interrupts reach both controllers; software masks the one it doesn't use. */
static void isa_irq(void *opaque, unsigned irq, bool level)
{
	struct pc *pc = opaque;

	i8259_set_irq(&pc->pic, irq, level);
	ioapic_set_irq(&pc->ioapic, irq ? irq : PC_TIMER_GSI, level);
}

static struct irq_line isa_line(struct pc *pc, unsigned irq)
{
	return (struct irq_line){.set = isa_irq, .opaque = pc, .n = irq};
}

/* The two timers that the HPET can replace reach their interrupts through it. */
static struct irq_line timer_line(struct pc *pc, unsigned irq)
{
	if (pc->m->config.model == MACHINE_PC_1)
		return isa_line(pc, irq);
	return (struct irq_line){.set = hpet_set_input, .opaque = &pc->hpet, .n = irq ? 1 : 0};
}

static void hpet_irq(void *opaque, unsigned irq, bool level)
{
	struct pc *pc = opaque;

	if (irq < PC_ISA_IRQS)
		isa_irq(pc, irq, level);
	else
		ioapic_set_irq(&pc->ioapic, irq, level);
}

/* The 8259A's INTR is LINT0 of every local APIC. */
static void pic_intr(void *opaque, unsigned n, bool level)
{
	struct pc *pc = opaque;

	for (unsigned i = 0; i < pc->m->config.vcpus; i++)
		lapic_set_lint(&pc->lapic[i], 0, level);
}

static bool apic_deliver(void *opaque, const struct apic_message *msg)
{
	struct pc *pc = opaque;

	return apic_bus_deliver(&pc->apic_bus, msg);
}

static void apic_eoi(void *opaque, u8 vector)
{
	struct pc *pc = opaque;

	ioapic_eoi(&pc->ioapic, vector);
}

static void lapic_has_changed(void *opaque)
{
	struct pc_cpu_pin *pin = opaque;
	const struct lapic *l = &pin->pc->lapic[pin->id];

	if (l->nmi_pending || l->init_pending || l->sipi_pending || lapic_pending(l) >= 0)
		vcpu_kick(pin->pc->m->vcpu[pin->id]);
}

/* Either gate opens the line, for the processors: what devices address doesn't pass it (Intel 82801AA data sheet, 290655,
 * PORT92: ALT_A20_GATE is ORed with the keyboard controller's A20GATE to make A20M#). */
static void a20_gate(void *opaque, unsigned gate, bool open)
{
	struct pc *pc = opaque;
	bool closed;

	pc->a20 = open ? pc->a20 | BIT(gate) : pc->a20 & ~BIT(gate);
	closed = !pc->a20;
	for (unsigned i = 0; i < pc->m->config.vcpus; i++) {
		struct vcpu *vcpu = pc->m->vcpu[i];

		if (vcpu->regs.a20m == closed)
			continue;
		vcpu->regs.a20m = closed;
		if (vcpu->engine->a20_changed)
			vcpu->engine->a20_changed(vcpu);
	}
}

/* --- output and ends --- */

static void console_tx(void *opaque, const u8 *buf, size_t len)
{
	struct pc_console *console = opaque;
	const struct machine_listener *listener = &console->m->listener;

	console->m->progress.console += len;
	if (listener->console)
		listener->console(listener->ctx, console->port, buf, len);
}

static void reset_line(void *opaque)
{
	struct pc *pc = opaque;

	machine_set_end(pc->m, END_RESET, 0);
}

static void power_off(void *opaque)
{
	struct pc *pc = opaque;

	machine_set_end(pc->m, END_POWEROFF, 0);
}

static void debug_exit(void *opaque, u32 value)
{
	struct pc *pc = opaque;

	machine_set_end(pc->m, END_DEBUG_EXIT, value);
}

/* A guest that has a crash kernel to start is left to do so. */
static void panic_event(void *opaque, u8 events)
{
	struct pc *pc = opaque;

	if (events & PVPANIC_PANICKED)
		machine_set_end(pc->m, END_PANIC, events);
}

/* --- chips --- */

static void make_chips(struct pc *pc)
{
	struct machine *m = pc->m;
	struct clock *clock = &m->clock;

	for (unsigned i = 0; i < m->config.vcpus; i++) {
		snprintf(pc->lapic_name[i], sizeof(pc->lapic_name[i]), "lapic%u", i % MACHINE_MAX_VCPUS);
		pc->cpu_pin[i] = (struct pc_cpu_pin){.pc = pc, .id = i};
		lapic_init(&pc->lapic[i], &pc->apic_bus, clock, &m->tsc_offset[i], i, pc->lapic_name[i]);
		pc->lapic[i].changed = lapic_has_changed;
		pc->lapic[i].changed_opaque = &pc->cpu_pin[i];
	}
	pc->apic_bus.eoi = apic_eoi;
	pc->apic_bus.eoi_opaque = pc;
	ioapic_init(&pc->ioapic, apic_deliver, pc, "ioapic");
	i8259_init(&pc->pic, "pic");
	pc->pic.intr = (struct irq_line){.set = pic_intr, .opaque = pc};
	if (m->config.model != MACHINE_PC_1)
		hpet_init(&pc->hpet, "hpet", clock, PC_HPET_ROUTES, (struct irq_line){.set = hpet_irq, .opaque = pc});
	i8254_init(&pc->pit, "pit", clock, timer_line(pc, 0));
	i8042_init(&pc->kbc, "i8042", isa_line(pc, 1), isa_line(pc, 12), reset_line, pc);
	mc146818_init(&pc->rtc, "rtc", clock, timer_line(pc, 8));
	for (unsigned i = 0; i < ARRAY_SIZE(pc->console); i++)
		pc->console[i] = (struct pc_console){.m = m, .port = i};
	ns16550_init(&pc->serial[0], "serial0", clock, isa_line(pc, 4), console_tx, &pc->console[CONSOLE_SERIAL0]);
	ns16550_init(&pc->serial[1], "serial1", clock, isa_line(pc, 3), console_tx, &pc->console[CONSOLE_SERIAL1]);
	debugcon_init(&pc->debugcon, "debugcon", console_tx, &pc->console[CONSOLE_DEBUG]);
	port61_init(&pc->port61, "port61", clock, &pc->pit);
	port92_init(&pc->port92, "port92", reset_line, pc);
	acpi_pm_init(&pc->pm, clock, "acpi-pm");
	pc->pm.sci = isa_line(pc, PC_SCI_IRQ);
	pc->pm.power_off = power_off;
	pc->pm.reset = reset_line;
	pc->pm.opaque = pc;
	pci_init(&pc->pci, "pci");
	vga_text_init(&pc->vga, &m->mem, "vga");
	debugexit_init(&pc->debugexit, "debugexit", debug_exit, pc);
	pvpanic_init(&pc->pvpanic, "pvpanic", panic_event, pc);
	if (m->config.model != MACHINE_PC_1) {
		pc->port92.a20 = (struct irq_line){.set = a20_gate, .opaque = pc, .n = PC_A20_PORT92};
		pc->kbc.a20 = (struct irq_line){.set = a20_gate, .opaque = pc, .n = PC_A20_I8042};
	}
	if (m->config.disk && m->config.firmware)
		pci_add_ide(&pc->pci);
	if (m->config.disk)
		ata_init(&pc->ata, "ata0", m->config.disk, isa_line(pc, 14));
}

/* The order in checkpoints and digests. */
static int list_chips(struct pc *pc)
{
	struct device *devices[] = {
	    &pc->ioapic.dev,    &pc->pic.dev,       &pc->pit.dev,      &pc->kbc.dev,       &pc->rtc.dev,
	    &pc->serial[0].dev, &pc->serial[1].dev, &pc->debugcon.dev, &pc->port61.dev,    &pc->port92.dev,
	    &pc->pm.dev,        &pc->pci.dev,       &pc->vga.dev,      &pc->debugexit.dev, &pc->pvpanic.dev,
	};
	int r = 0;

	for (unsigned i = 0; i < pc->m->config.vcpus && !r; i++)
		r = machine_add_device(pc->m, &pc->lapic[i].dev);
	for (unsigned i = 0; i < ARRAY_SIZE(devices) && !r; i++)
		r = machine_add_device(pc->m, devices[i]);
	if (pc->m->config.model != MACHINE_PC_1 && !r)
		r = machine_add_device(pc->m, &pc->hpet.dev);
	if (pc->m->config.disk && !r)
		r = machine_add_device(pc->m, &pc->ata.dev);
	return r;
}

/* --- the wiring table --- */

/* CF9h, the reset register, lies within the address register of PCI's configuration mechanism. */
static u64 config_read(void *dev, u64 offset, unsigned size)
{
	struct pc *pc = dev;

	if (offset == ACPI_RESET - PCI_CONFIG_PORT && size == 1)
		return acpi_reset_read(&pc->pm);
	return pci_read(&pc->pci, offset, size);
}

static void config_write(void *dev, u64 offset, unsigned size, u64 value)
{
	struct pc *pc = dev;

	if (offset == ACPI_RESET - PCI_CONFIG_PORT && size == 1)
		acpi_reset_write(&pc->pm, value);
	else
		pci_write(&pc->pci, offset, size, value);
}

/* Either a chip's own list of regions (base 0: as the chip has it), or one region given here. */
struct wire {
	const char *name;
	u32 chip; /* offset in struct pc of what the functions get */
	u64 base;
	const struct bus_region *chip_regions;
	bool mmio;
	bool timed;
	u64 len;
	u64 (*read)(void *dev, u64 offset, unsigned size);
	void (*write)(void *dev, u64 offset, unsigned size, u64 value);
};

#define CHIP(chip_name, member, at, list)                                                                \
	{                                                                                                \
		.name = chip_name, .chip = offsetof(struct pc, member), .base = at, .chip_regions = list \
	}

static const struct wire wires[] = {
    CHIP("pic", pic, 0, i8259_regions),
    CHIP("pit", pit, 0, i8254_regions),
    CHIP("i8042", kbc, 0, i8042_regions),
    CHIP("port61", port61, 0, port61_regions),
    CHIP("port92", port92, 0, port92_regions),
    CHIP("rtc", rtc, 0, mc146818_regions),
    CHIP("serial0", serial[0], 0x3f8, ns16550_regions),
    CHIP("serial1", serial[1], 0x2f8, ns16550_regions),
    CHIP("debugcon", debugcon, 0, debugcon_regions),
    CHIP("debugexit", debugexit, 0, debugexit_regions),
    CHIP("pvpanic", pvpanic, 0, pvpanic_regions),
    {
	.name = "vga",
	.chip = offsetof(struct pc, vga),
	.base = VGA_PORT,
	.len = VGA_LEN,
	.read = vga_text_read,
	.write = vga_text_write,
    },
    {
	.name = "acpi-pm",
	.chip = offsetof(struct pc, pm),
	.base = ACPI_PM_BASE,
	.len = ACPI_PM_LEN,
	.read = acpi_pm_read,
	.write = acpi_pm_write,
	.timed = true,
    },
    {
	.name = "pci",
	.base = PCI_CONFIG_PORT,
	.len = PCI_CONFIG_LEN,
	.read = config_read,
	.write = config_write,
    },
    {
	.name = "ioapic",
	.chip = offsetof(struct pc, ioapic),
	.base = PC_IOAPIC_BASE,
	.len = IOAPIC_LEN,
	.read = ioapic_read,
	.write = ioapic_write,
	.mmio = true,
    },
};

static const struct wire hpet_wire = {
    .name = "hpet",
    .chip = offsetof(struct pc, hpet),
    .base = PC_HPET_BASE,
    .len = HPET_LEN,
    .read = hpet_read,
    .write = hpet_write,
    .mmio = true,
    .timed = true,
};

/* Without a disk its ports are nobody's. */
static const struct wire disk_wire = CHIP("ata0", ata, 0, ata_regions);

static int connect_wire(struct pc *pc, const struct wire *w)
{
	struct bus *bus = w->mmio ? &pc->m->mmio : &pc->m->pio;
	void *dev = (char *)pc + w->chip;
	struct bus_region region = {
	    .base = w->base,
	    .len = w->len,
	    .name = w->name,
	    .read = w->read,
	    .write = w->write,
	    .dev = dev,
	    .timed = w->timed,
	};
	int r = 0;

	if (!w->chip_regions)
		return bus_add(bus, &region);
	for (const struct bus_region *chip = w->chip_regions; chip->len && !r; chip++) {
		region = *chip;
		region.base += w->base;
		region.name = w->name;
		region.dev = dev;
		r = bus_add(bus, &region);
	}
	return r;
}

int pc_create(struct machine *m, struct error *err)
{
	struct pc *pc = calloc(1, sizeof(*pc));
	int r;

	if (!pc)
		return error_set(err, -ENOMEM, "out of memory for the devices");
	pc->m = m;
	m->pc = pc;
	make_chips(pc);
	r = list_chips(pc);
	for (unsigned i = 0; i < ARRAY_SIZE(wires) && !r; i++)
		r = connect_wire(pc, &wires[i]);
	if (m->config.model != MACHINE_PC_1 && !r)
		r = connect_wire(pc, &hpet_wire);
	if (m->config.disk && !r)
		r = connect_wire(pc, &disk_wire);
	if (r) {
		pc_free(m);
		return error_set(err, r, "the wiring of the PC doesn't fit its buses");
	}
	pc_reset(m);
	return 0;
}

/* Timers and regions point into the chips: a machine goes as a whole. */
void pc_free(struct machine *m)
{
	for (unsigned i = 0; i < m->nr_devices; i++)
		if (m->device[i]->class->free)
			m->device[i]->class->free(m->device[i]);
	m->nr_devices = 0;
	free(m->pc);
	m->pc = NULL;
}

/* --- reset --- */

/* What a PC's firmware would have programmed before it starts a kernel: the 8254 at 18.2 Hz; then, so that no edge of
 * that is left pending, the 8259As at vectors 08h and 70h with timer, keyboard and cascade open; IRQ 9 level-triggered
 * for ACPI. */
static const struct {
	u16 port;
	u8 value;
} firmware_ports[] = {
    {0x43, 0x34},  {0x40, 0x00}, {0x40, 0x00},                             /* counter 0: mode 2, 65536 */
    {0x43, 0x54},  {0x41, 0x12},                                           /* counter 1: refresh */
    {0x20, 0x11},  {0x21, 0x08}, {0x21, 0x04}, {0x21, 0x01}, {0x21, 0xf8}, /* 8259A master */
    {0xa0, 0x11},  {0xa1, 0x70}, {0xa1, 0x02}, {0xa1, 0x01}, {0xa1, 0xff}, /* slave */
    {0x4d1, 0x02},
};

void pc_reset(struct machine *m)
{
	struct pc *pc = m->pc;

	for (unsigned i = 0; i < m->nr_devices; i++)
		m->device[i]->class->reset(m->device[i]);
	mc146818_set_memory(&pc->rtc, m->mem.size);
	if (m->config.model != MACHINE_PC_1)
		mc146818_set_checksum(&pc->rtc);
	lapic_virtual_wire(&pc->lapic[0]);
	pc->ioapic.id = pc_ioapic_id(m->config.vcpus) << 24;
	for (unsigned i = 0; i < ARRAY_SIZE(firmware_ports); i++)
		bus_write(&m->pio, firmware_ports[i].port, 1, firmware_ports[i].value);
}

/* --- what the machine loop asks --- */

struct pc_pending pc_pending(const struct pc *pc, unsigned id)
{
	const struct lapic *l = &pc->lapic[id];

	return (struct pc_pending){
	    .init = l->init_pending,
	    .sipi = l->sipi_pending,
	    .sipi_vector = l->sipi_vector,
	    .nmi = l->nmi_pending,
	    .external = lapic_pending(l) >= 0,
	};
}

int pc_pending_vector(const struct pc *pc, unsigned id)
{
	return lapic_pending(&pc->lapic[id]);
}

int pc_ack(struct pc *pc, unsigned id)
{
	struct lapic *l = &pc->lapic[id];

	if (lapic_pending(l) == LAPIC_EXTINT)
		return i8259_ack(&pc->pic);
	return lapic_ack(l);
}

void pc_take(struct pc *pc, unsigned id, enum irq_kind kind)
{
	struct lapic *l = &pc->lapic[id];

	switch (kind) {
	case IRQ_NMI:
		l->nmi_pending = 0;
		break;
	case IRQ_INIT:
		l->init_pending = 0;
		break;
	case IRQ_SIPI:
		l->sipi_pending = 0;
		break;
	case IRQ_EXTERNAL:
		break;
	}
}

static bool lint0_wakes(const struct lapic *l)
{
	u32 lvt = l->lvt[LVT_LINT0];
	unsigned mode = (lvt >> 8) & 7;

	return !(lvt & LVT_MASKED) && (mode == APIC_NMI || mode == APIC_INIT);
}

bool pc_can_wake_masked(const struct pc *pc, unsigned id)
{
	const struct lapic *l = &pc->lapic[id];

	if (l->nmi_pending || l->init_pending)
		return true;
	return lapic_enabled(l) && (lint0_wakes(l) || ioapic_has_nmi(&pc->ioapic));
}

void pc_nmi_button(struct pc *pc)
{
	if (pc->rtc.nmi_masked)
		return;
	lapic_set_lint(&pc->lapic[0], 1, true);
	lapic_set_lint(&pc->lapic[0], 1, false);
}

bool pc_lapic_claims(const struct pc *pc, unsigned id, u64 addr)
{
	const struct lapic *l = &pc->lapic[id];

	return addr - lapic_page(l) < PAGE_SIZE && lapic_enabled(l);
}

bool pc_lapic_timed(const struct pc *pc, unsigned id, u64 addr)
{
	return lapic_timed(addr - lapic_page(&pc->lapic[id]));
}

u64 pc_lapic_read(struct pc *pc, unsigned id, u64 addr, unsigned size)
{
	struct lapic *l = &pc->lapic[id];

	return lapic_read(l, addr - lapic_page(l), size);
}

void pc_lapic_write(struct pc *pc, unsigned id, u64 addr, unsigned size, u64 value)
{
	struct lapic *l = &pc->lapic[id];

	lapic_write(l, addr - lapic_page(l), size, value);
}

u64 pc_cr8(const struct pc *pc, unsigned id)
{
	return lapic_cr8(&pc->lapic[id]);
}

void pc_set_cr8(struct pc *pc, unsigned id, u64 value)
{
	lapic_set_cr8(&pc->lapic[id], value);
}

/* TSC deadline, and with x2APIC the timer's registers. */
bool pc_msr_timed(u32 msr)
{
	return msr == MSR_TSC_DEADLINE || (msr >= MSR_X2APIC_BASE && lapic_timed((msr - MSR_X2APIC_BASE) << 4));
}

int pc_rdmsr(struct pc *pc, unsigned id, u32 msr, u64 *value)
{
	return lapic_rdmsr(&pc->lapic[id], msr, value);
}

int pc_wrmsr(struct pc *pc, unsigned id, u32 msr, u64 value)
{
	return lapic_wrmsr(&pc->lapic[id], msr, value);
}

void pc_tsc_changed(struct pc *pc, unsigned id)
{
	lapic_tsc_changed(&pc->lapic[id]);
}

size_t pc_input(struct pc *pc, enum input_source source, const u8 *buf, size_t len)
{
	switch (source) {
	case INPUT_SERIAL0:
		return ns16550_receive(&pc->serial[0], buf, len);
	case INPUT_SERIAL1:
		return ns16550_receive(&pc->serial[1], buf, len);
	case INPUT_KEYBOARD:
		return i8042_key(&pc->kbc, buf, len);
	default:
		return 0;
	}
}

size_t pc_input_room(const struct pc *pc, enum input_source source)
{
	switch (source) {
	case INPUT_SERIAL0:
		return ns16550_room(&pc->serial[0]);
	case INPUT_SERIAL1:
		return ns16550_room(&pc->serial[1]);
	case INPUT_KEYBOARD:
		return i8042_room(&pc->kbc);
	default:
		return 0;
	}
}

void pc_screen(const struct machine *m, char out[PC_SCREEN_SIZE])
{
	_Static_assert(PC_SCREEN_SIZE == VGA_SCREEN_SIZE, "one screen");
	vga_text_screen(&m->pc->vga, out);
}

struct block *pc_disk(struct pc *pc)
{
	return &pc->ata.block;
}
