/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/dev/pci.h"

#include <errno.h>

#define ADDRESS_ENABLE   BIT(31)
#define ADDRESS_WRITABLE 0x80fffffcu
#define DATA             4

static const struct field pci_fields[] = {
    FIELD(struct pci, address),
    FIELD_BLOB(struct pci, host.config),
    FIELD_BLOB(struct pci, isa.config),
    FIELD_END,
};

void pci_function_init(struct pci_function *fn, u16 vendor, u16 device, u32 class_and_revision, u16 command)
{
	*fn = (struct pci_function){0};
	store16(fn->config + 0x00, vendor);
	store16(fn->config + 0x02, device);
	store16(fn->wmask + 0x04, command);
	store32(fn->config + 0x08, class_and_revision);
	fn->wmask[0x0c] = 0xff; /* cache line size, latency timer, interrupt line: plain storage */
	fn->wmask[0x0d] = 0xff;
	fn->wmask[0x3c] = 0xff;
}

int pci_add_function(struct pci *pci, u8 devfn, struct pci_function *fn)
{
	if (pci->function[devfn])
		return -EEXIST;
	pci->function[devfn] = fn;
	return 0;
}

/* The function that the address register names, if it selects one. */
static struct pci_function *selected(const struct pci *pci)
{
	if (!(pci->address & ADDRESS_ENABLE) || (pci->address >> 16 & 0xff))
		return NULL;
	return pci->function[pci->address >> 8 & 0xff];
}

static u64 ones(unsigned size)
{
	return ~0ull >> (64 - 8 * size);
}

static u64 config_read(const struct pci_function *fn, unsigned offset, unsigned size)
{
	u64 value = 0;

	for (unsigned i = 0; i < size && offset + i < PCI_CONFIG_SIZE; i++)
		value |= (u64)fn->config[offset + i] << (8 * i);
	return value;
}

static void config_write(struct pci_function *fn, unsigned offset, unsigned size, u64 value)
{
	for (unsigned i = 0; i < size && offset + i < PCI_CONFIG_SIZE; i++) {
		u8 *reg = &fn->config[offset + i];
		u8 wmask = fn->wmask[offset + i];
		u8 byte = value >> (8 * i);

		*reg = (*reg & ~wmask) | (byte & wmask);
		*reg &= ~(byte & fn->w1c[offset + i]);
	}
	if (fn->written)
		fn->written(fn->opaque, offset, size);
}

u64 pci_read(void *dev, u64 offset, unsigned size)
{
	struct pci *pci = dev;
	struct pci_function *fn;

	if (offset == 0 && size == 4)
		return pci->address;
	if (offset < DATA || offset + size > PCI_CONFIG_LEN)
		return ones(size);
	fn = selected(pci);
	return fn ? config_read(fn, (pci->address & 0xfc) + offset - DATA, size) : ones(size);
}

void pci_write(void *dev, u64 offset, unsigned size, u64 value)
{
	struct pci *pci = dev;
	struct pci_function *fn;

	if (offset == 0 && size == 4)
		pci->address = value & ADDRESS_WRITABLE;
	if (offset < DATA || offset + size > PCI_CONFIG_LEN)
		return;
	fn = selected(pci);
	if (fn)
		config_write(fn, (pci->address & 0xfc) + offset - DATA, size, value);
}

/* 82441FX (PMC) and 82371SB (PIIX3) data sheets: identity, and the registers that software looks at. */
static void bridges_reset(struct pci *pci)
{
	pci_function_init(&pci->host, 0x8086, 0x1237, 0x06000002, 0x0100);
	store16(pci->host.config + 0x04, 0x0006); /* memory and bus master, fixed */
	store16(pci->host.config + 0x06, 0x0280);
	memset(pci->host.wmask + 0x59, 0xff, 7); /* PAM0-6: storage without effect, all is RAM */
	pci->host.wmask[0x72] = 0x7f;            /* SMRAM */

	pci_function_init(&pci->isa, 0x8086, 0x7000, 0x06010000, 0x0008);
	store16(pci->isa.config + 0x04, 0x0007); /* I/O, memory and bus master, fixed */
	store16(pci->isa.config + 0x06, 0x0200);
	if (pci->function[PCI_DEVFN(1, 1)]) /* more than one function */
		pci->isa.config[0x0e] = 0x80;
	for (unsigned pirq = 0x60; pirq < 0x64; pirq++) { /* PIRQA-D route control: not routed */
		pci->isa.config[pirq] = 0x80;
		pci->isa.wmask[pirq] = 0x8f;
	}
}

void pci_reset(struct pci *pci)
{
	pci->address = 0;
	bridges_reset(pci);
}

void pci_add_ide(struct pci *pci)
{
	pci_function_init(&pci->ide, 0x8086, 0x7010, 0x01010000, 0);
	memset(pci->ide.wmask, 0, sizeof(pci->ide.wmask));
	store16(pci->ide.config + 0x04, 0x0001); /* I/O */
	store16(pci->ide.config + 0x06, 0x0280);
	store16(pci->ide.config + 0x40, 0x8000); /* IDETIM: the primary channel is decoded */
	pci_add_function(pci, PCI_DEVFN(1, 1), &pci->ide);
}

static void device_reset(struct device *dev)
{
	pci_reset(container_of(dev, struct pci, dev));
}

static void device_loaded(struct device *dev)
{
	container_of(dev, struct pci, dev)->address &= ADDRESS_WRITABLE;
}

static const struct device_class pci_class = {
    .name = "pci",
    .fields = pci_fields,
    .reset = device_reset,
    .loaded = device_loaded,
};

void pci_init(struct pci *pci, const char *device_id)
{
	*pci = (struct pci){.dev = {.class = &pci_class, .id = device_id}};
	pci_reset(pci);
	pci_add_function(pci, PCI_DEVFN(0, 0), &pci->host);
	pci_add_function(pci, PCI_DEVFN(1, 0), &pci->isa);
}
