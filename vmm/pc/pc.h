/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The PC around the vCPUs: which chips there are, where they answer and whom they interrupt (pc.c has the one wiring
 * table), and what firmware would have left in memory: the memory map, ACPI and MP tables, the BIOS data area.
 * The chips themselves are in vmm/pc/chips.h; who only boots or runs the machine needs this file alone. */
#ifndef VMM_PC_PC_H
#define VMM_PC_PC_H

#include "vmm/error.h"
#include "vmm/nondet.h"
#include "vmm/types.h"

struct block;
struct machine;
struct machine_config;
struct pc;

/* --- wiring (pc.c) --- */

#define PC_IOAPIC_BASE  0xfec00000ull
#define PC_ISA_IRQS     16
#define PC_TIMER_GSI    2 /* ISA IRQ 0 arrives at this pin of the IO-APIC; the other ISA IRQs at their own number */
#define PC_SCI_IRQ      9
#define PC_PVPANIC_PORT 0x505
#define PC_HPET_BASE    0xfed00000ull
#define PC_HPET_ROUTES  0x00f00800u /* what its timers can be routed to: ISA IRQ 11, and pins without another device */
#define PC_VECTOR_NONE  (-1)

/* Makes and wires the chips of @m (whose clock, buses and vCPUs exist) in reset state: m->pc.
 * On error everything made so far is released. */
int pc_create(struct machine *m, struct error *err);
void pc_free(struct machine *m);

/* Puts every chip in the state in which PC firmware hands over, since none runs: power-up, then the BSP's LINT0 passing
 * on the 8259A (virtual wire mode, MultiProcessor Specification 1.4, section 3.6.2.2) and LINT1 as NMI, the 8259As at
 * vectors 08h and 70h with IRQ 0, 1 and 2 open, the 8254 at 18.2 Hz, memory sizes in CMOS. */
void pc_reset(struct machine *m);

/* What vCPU @id would take at this boundary if it accepted interrupts. */
struct pc_pending {
	bool init, sipi, nmi;
	u8 sipi_vector;
	bool external; /* pc_ack() will give a vector */
};
struct pc_pending pc_pending(const struct pc *pc, unsigned id);

/* The same as a question about external interrupts only: the vector, PC_VECTOR_NONE when there is none, or
 * LAPIC_EXTINT (lapic.h) when the 8259A will say at the acknowledge cycle. */
int pc_pending_vector(const struct pc *pc, unsigned id);

/* The interrupt acknowledge cycle: the vector that the vCPU takes now. Only when something is pending. */
int pc_ack(struct pc *pc, unsigned id);

/* Takes back a pending NMI, INIT or SIPI which is being delivered. */
void pc_take(struct pc *pc, unsigned id, enum irq_kind kind);

/* Whether anything could deliver an NMI, INIT or SIPI to a vCPU that has interrupts off: if not, HLT is for ever. */
bool pc_can_wake_masked(const struct pc *pc, unsigned id);

/* MMIO of vCPU @id's own local APIC: whether it claims @addr, whether the access depends on the clock, the access. */
bool pc_lapic_claims(const struct pc *pc, unsigned id, u64 addr);
bool pc_lapic_timed(const struct pc *pc, unsigned id, u64 addr);
u64 pc_lapic_read(struct pc *pc, unsigned id, u64 addr, unsigned size);
void pc_lapic_write(struct pc *pc, unsigned id, u64 addr, unsigned size, u64 value);

/* CR8 and the MSRs that belong to the local APIC. -1: #GP(0). */
u64 pc_cr8(const struct pc *pc, unsigned id);
void pc_set_cr8(struct pc *pc, unsigned id, u64 value);
bool pc_msr_timed(u32 msr);
int pc_rdmsr(struct pc *pc, unsigned id, u32 msr, u64 *value);
int pc_wrmsr(struct pc *pc, unsigned id, u32 msr, u64 value);

/* TSC offset of vCPU @id was changed: its TSC deadline is another moment now. */
void pc_tsc_changed(struct pc *pc, unsigned id);

/* An NMI button: LINT1 of the BSP, unless port 70h masks NMIs. */
void pc_nmi_button(struct pc *pc);

/* Host input (machine_input() and machine_input_room() come here). */
size_t pc_input(struct pc *pc, enum input_source source, const u8 *buf, size_t len);
size_t pc_input_room(const struct pc *pc, enum input_source source);

/* What was written to the ATA disk; only with a disk. */
struct block *pc_disk(struct pc *pc);

/* The screen as text: 25 lines of 80 characters, each ending in a newline, and a final NUL. */
#define PC_SCREEN_SIZE (25 * 81 + 1)
void pc_screen(const struct machine *m, char out[PC_SCREEN_SIZE]);

/* --- what firmware leaves in memory (acpi_tables.c, mp_table.c, memory_map.c) --- */

#define PC_EBDA      0x9fc00u
#define PC_LOW_END   0xa0000u
#define PC_ROM_START 0xe0000u /* ACPI tables from here */
#define PC_BIOS_AREA 0xf0000u /* the RSDP, then the MP tables */
#define PC_RSDP      PC_BIOS_AREA
#define PC_MP_TABLE  (PC_BIOS_AREA + 0x100)
#define PC_HIGH_RAM  0x100000u

enum e820_type { E820_RAM = 1, E820_RESERVED = 2, E820_ACPI = 3, E820_NVS = 4 };

struct e820_entry {
	u64 addr;
	u64 size;
	u32 type; /* enum e820_type */
};

#define PC_E820_MAX 8

/* The memory map, in ascending order; the number of entries. */
unsigned pc_e820(const struct machine *m, struct e820_entry out[PC_E820_MAX]);

/* Writes BIOS data area, EBDA, RSDP (at PC_RSDP), ACPI tables and MP tables into guest RAM; called by boot_load().
 * The same machine size gives the same bytes. */
int pc_write_tables(struct machine *m, struct error *err);

/* The parts of it, also for tests: each returns the bytes it needs, having written as many into @out
 * (PC_TABLES_MAX bytes, zeroed by the caller) as if at guest-physical @base. */
#define PC_TABLES_MAX 0x10000u
#define PC_RSDP_SIZE  36
size_t pc_build_acpi(u8 *out, u32 base, const struct machine_config *config, u8 rsdp[PC_RSDP_SIZE]);
size_t pc_build_mp(u8 *out, u32 base, unsigned nr_vcpus);

/* ID of the IO-APIC: different from every local APIC's while 4 bits allow. */
static inline u8 pc_ioapic_id(unsigned nr_vcpus)
{
	return nr_vcpus < 15 ? nr_vcpus : 15;
}

#endif
