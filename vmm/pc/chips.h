/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All chips of one machine. Only the wiring (pc.c) and tests look inside. */
#ifndef VMM_PC_CHIPS_H
#define VMM_PC_CHIPS_H

#include "vmm/dev/acpi_pm.h"
#include "vmm/dev/ata.h"
#include "vmm/dev/debugcon.h"
#include "vmm/dev/debugexit.h"
#include "vmm/dev/hpet.h"
#include "vmm/dev/i8042.h"
#include "vmm/dev/i8254.h"
#include "vmm/dev/i8259.h"
#include "vmm/dev/ioapic.h"
#include "vmm/dev/lapic.h"
#include "vmm/dev/mc146818.h"
#include "vmm/dev/ns16550.h"
#include "vmm/dev/pci.h"
#include "vmm/dev/port61.h"
#include "vmm/dev/port92.h"
#include "vmm/dev/pvpanic.h"
#include "vmm/dev/vga_text.h"
#include "vmm/machine.h"
#include "vmm/pc/pc.h"

/* A console output: what its chip holds as opaque. */
struct pc_console {
	struct machine *m;
	enum console_port port;
};

/* What a local APIC holds as opaque. */
struct pc_cpu_pin {
	struct pc *pc;
	unsigned id;
};

/* The gates of address line 20. */
enum pc_a20_gate { PC_A20_PORT92, PC_A20_I8042 };

struct pc {
	struct machine *m;
	struct apic_bus apic_bus;
	struct lapic lapic[MACHINE_MAX_VCPUS];
	char lapic_name[MACHINE_MAX_VCPUS][8];
	struct pc_cpu_pin cpu_pin[MACHINE_MAX_VCPUS];
	struct pc_console console[3];
	u8 a20; /* [D] which gates hold address line 20 open: a bit for each of enum pc_a20_gate */
	struct i8259 pic;
	struct ioapic ioapic;
	struct i8254 pit;
	struct port61 port61;
	struct port92 port92;
	struct mc146818 rtc;
	struct ns16550 serial[2];
	struct i8042 kbc;
	struct acpi_pm pm;
	struct pci pci;
	struct vga_text vga;
	struct debugcon debugcon;
	struct debugexit debugexit;
	struct pvpanic pvpanic;
	struct hpet hpet; /* from pc.2 on */
	struct ata ata;   /* only with a disk */
};

#endif
