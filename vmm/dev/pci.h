/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PCI bus 0 through configuration mechanism 1 (PCI 3.0, section 3.2.2.3.2): an 82441FX host bridge at 00:00.0 and the
 * ISA bridge of an 82371SB at 00:01.0. What isn't there reads as all ones. */
#ifndef VMM_DEV_PCI_H
#define VMM_DEV_PCI_H

#include "vmm/device.h"
#include "vmm/types.h"

#define PCI_CONFIG_PORT 0xcf8 /* eight ports: address, data */
#define PCI_CONFIG_LEN  8
#define PCI_CONFIG_SIZE 256
#define PCI_DEVFN(d, f) ((d) << 3 | (f))

/* One function's configuration space. Its owner saves config[]. */
struct pci_function {
	u8 config[PCI_CONFIG_SIZE]; /* [S] */
	u8 wmask[PCI_CONFIG_SIZE];  /* [H] bits that the guest may set */
	u8 w1c[PCI_CONFIG_SIZE];    /* [H] bits that a one clears */
	/* [H] After the guest wrote [@offset, @offset + @size); may be NULL. */
	void (*written)(void *opaque, unsigned offset, unsigned size);
	void *opaque; /* [H] */
};

struct pci {
	struct device dev;
	struct pci_function *function[256]; /* [H] by device and function number */
	u32 address;                        /* [S] CF8h */
	struct pci_function host, isa;      /* [S] config */
	struct pci_function ide;            /* constant */
};

void pci_init(struct pci *pci, const char *device_id);
void pci_reset(struct pci *pci);
/* -EEXIST when @devfn is taken. The function must outlive the bus. */
int pci_add_function(struct pci *pci, u8 devfn, struct pci_function *fn);

/* The 82371SB's IDE function at 00:01.1, which says that an ATA disk is at the compatible ports. Nothing in it can be
 * written: there is no bus master to be set up, and the ports are always decoded. */
void pci_add_ide(struct pci *pci);

/* Identity registers of a type 0 function; command register writable as far as @command says. */
void pci_function_init(struct pci_function *fn, u16 vendor, u16 device, u32 class_and_revision, u16 command);

/* Ports from PCI_CONFIG_PORT: the address takes 32-bit accesses only, others aren't claimed. */
u64 pci_read(void *dev, u64 offset, unsigned size);
void pci_write(void *dev, u64 offset, unsigned size, u64 value);

#endif
