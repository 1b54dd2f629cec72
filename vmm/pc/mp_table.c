/* SPDX-License-Identifier: GPL-2.0-or-later */
/* MP floating pointer and configuration table (MultiProcessor Specification 1.4, chapter 4). */
#include "vmm/dev/lapic.h"
#include "vmm/pc/pc.h"
#include "vmm/x86/cpuid.h"
#include "vmm/x86/state.h"

#define FLOATING_SIZE 16
#define HEADER_SIZE   44

enum mp_entry { MP_PROCESSOR, MP_BUS, MP_IOAPIC, MP_IO_INT, MP_LOCAL_INT };
enum mp_int { MP_INT, MP_NMI, MP_SMI, MP_EXTINT };
enum mp_bus { BUS_PCI, BUS_ISA };

#define ACTIVE_HIGH_LEVEL 0xd
#define ALL_APICS         0xff

/* Appends entries and counts them. */
struct mp_writer {
	u8 *p;
	u16 count;
};

static u8 checksum(const u8 *p, size_t len)
{
	u8 sum = 0;

	while (len--)
		sum += *p++;
	return -sum;
}

static u8 *entry(struct mp_writer *w, enum mp_entry type, unsigned len)
{
	u8 *e = w->p;

	e[0] = type;
	w->p += len;
	w->count++;
	return e;
}

/* CPUID leaf 1 of a processor that was just reset. */
static struct cpuid_regs identity(unsigned id, unsigned nr_vcpus)
{
	struct x86_state s;

	x86_state_reset(&s);
	return x86_cpuid(&s, 1, 0, id, nr_vcpus, APIC_BASE_ADDR | APIC_BASE_ENABLE);
}

static void processor(struct mp_writer *w, unsigned id, unsigned nr_vcpus)
{
	struct cpuid_regs r = identity(id, nr_vcpus);
	u8 *e = entry(w, MP_PROCESSOR, 20);

	e[1] = id;
	e[2] = LAPIC_VERSION & 0xff;
	e[3] = id ? 1 : 3; /* enabled; the first is the BSP */
	store32(e + 4, r.eax);
	store32(e + 8, r.edx);
}

static void bus(struct mp_writer *w, enum mp_bus id, const char *type)
{
	u8 *e = entry(w, MP_BUS, 8);

	e[1] = id;
	memcpy(e + 2, type, 6);
}

static void interrupt(struct mp_writer *w, enum mp_entry where, enum mp_int type, u16 flags, u8 irq, u8 apic, u8 pin)
{
	u8 *e = entry(w, where, 8);

	e[1] = type;
	store16(e + 2, flags);
	e[4] = BUS_ISA;
	e[5] = irq;
	e[6] = apic;
	e[7] = pin;
}

size_t pc_build_mp(u8 *out, u32 base, unsigned nr_vcpus)
{
	u8 *header = out + FLOATING_SIZE;
	struct mp_writer w = {.p = header + HEADER_SIZE};
	u8 ioapic = pc_ioapic_id(nr_vcpus);
	u8 *e;

	for (unsigned i = 0; i < nr_vcpus; i++)
		processor(&w, i, nr_vcpus);
	bus(&w, BUS_PCI, "PCI   ");
	bus(&w, BUS_ISA, "ISA   ");
	e = entry(&w, MP_IOAPIC, 8);
	e[1] = ioapic;
	e[2] = 0x20;
	e[3] = 1;
	store32(e + 4, PC_IOAPIC_BASE);
	for (unsigned irq = 0; irq < PC_ISA_IRQS; irq++)
		if (irq != 2) /* the cascade */
			interrupt(&w, MP_IO_INT, MP_INT, irq == PC_SCI_IRQ ? ACTIVE_HIGH_LEVEL : 0, irq, ioapic,
				  irq ? irq : PC_TIMER_GSI);
	interrupt(&w, MP_LOCAL_INT, MP_EXTINT, 0, 0, ALL_APICS, 0);
	interrupt(&w, MP_LOCAL_INT, MP_NMI, 0, 0, ALL_APICS, 1);

	memcpy(header, "PCMP", 4);
	store16(header + 4, w.p - header);
	header[6] = 4; /* specification 1.4 */
	memcpy(header + 8, "VMDBG   ", 8);
	memcpy(header + 16, "PC          ", 12);
	store16(header + 34, w.count);
	store32(header + 36, APIC_BASE_ADDR);
	header[7] = checksum(header, w.p - header);

	memcpy(out, "_MP_", 4);
	store32(out + 4, base + FLOATING_SIZE);
	out[8] = 1;
	out[9] = 4;
	out[10] = checksum(out, FLOATING_SIZE);
	return w.p - out;
}
