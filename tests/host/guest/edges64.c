/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Accesses across the ends of pages that aren't all RAM: two devices, RAM and a device, a device and nothing; and between two
 * devices. What they should give is what accesses to each page alone give. */
#include "tests/guest/lib/guest.h"

#define WINDOW  0x8000000000ull /* linear: eight pages */
#define AT(n)   (WINDOW + 4096ull * (n))
#define LAPIC   0xfee00000ull
#define IOAPIC  0xfec00000ull
#define VERSION 0x30 /* of the LAPIC */

static u64 ram;
static unsigned faults;

static void map(unsigned n, u64 gpa)
{
	*pte_of(AT(n), 1) = gpa ? gpa | PTE_P | PTE_W : 0;
	invlpg(AT(n));
}

static bool hook(struct frame *f)
{
	if (f->vector != 14)
		return false;
	faults++;
	map(7, ram);
	return true;
}

static u32 load32(u64 la)
{
	return *(volatile u32 *)la;
}

static u64 load64(u64 la)
{
	return *(volatile u64 *)la;
}

static void store64(u64 la, u64 v)
{
	*(volatile u64 *)la = v;
}

/* The last four bytes of page @n and the first four of the next. */
static u64 apart(unsigned n)
{
	return load32(AT(n) + 0xffc) | (u64)load32(AT(n + 1)) << 32;
}

static void select(u32 index)
{
	*(volatile u32 *)AT(1) = index;
}

static void copy(u64 to, u64 from, u64 n)
{
	asm volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
}

void kmain(void)
{
	u64 v;

	trap_hook = hook;
	ram = page_alloc();
	map(0, LAPIC);
	map(1, IOAPIC);
	map(2, LAPIC);
	map(3, ram);
	map(4, IOAPIC);
	map(5, ram);
	map(6, IOAPIC);
	select(0x11);
	claim("LAPIC to I/O APIC: read", load64(AT(0) + 0xffc) == apart(0));
	claim("I/O APIC to LAPIC: read", load64(AT(1) + 0xffc) == apart(1));
	store64(AT(0) + 0xffc, 0x12ull << 32 | 0xffffffff);
	claim("LAPIC to I/O APIC: written", load32(AT(1)) == 0x12);
	store64(AT(3) + 0xffc, 0x13ull << 32 | 0xcafe);
	claim("RAM to I/O APIC: written", load32(AT(3) + 0xffc) == 0xcafe && load32(AT(1)) == 0x13);
	claim("RAM to I/O APIC: read", load64(AT(3) + 0xffc) == apart(3));
	v = load64(AT(4) + 0xffc);
	claim("I/O APIC to RAM: read", v == apart(4));
	store64(AT(4) + 0xffc, 0xbeefull << 32);
	claim("I/O APIC to RAM: written", load32(AT(5)) == 0xbeef);
	asm volatile("addq %1, %0" : "+m"(*(volatile u64 *)(AT(3) + 0xffc)) : "r"(1ull << 32 | 2) : "memory");
	claim("RAM to I/O APIC: added to", load32(AT(3) + 0xffc) == 0xcb00 && load32(AT(1)) == 0x14);
	asm volatile("movups %0, %%xmm0" : : "m"(*(volatile u64 *)(AT(0) + 0xff8)));
	copy(AT(1), AT(0) + VERSION, 1);
	claim("from the LAPIC to the I/O APIC", load32(AT(1)) == (load32(AT(0) + VERSION) & 0xff));
	copy(AT(0) + 0xffe, AT(1) + 0xffe, 1);
	copy(AT(3) + 0xffe, AT(0) + 0xffe, 2);
	claim("RAM lies where it was", load32(AT(5) + 4) == load32(AT(3) + 4));
	v = load64(AT(6) + 0xffc);
	claim("I/O APIC to a page that isn't there: a fault, and again", faults == 1 && v == apart(6));
	finish();
}
