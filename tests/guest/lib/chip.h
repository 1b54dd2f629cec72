/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the guests that look at interrupt controllers share: APIC registers, a handler that counts, and waiting. */
#ifndef TESTS_GUEST_LIB_CHIP_H
#define TESTS_GUEST_LIB_CHIP_H

#include "tests/guest/lib/sys.h"

#define LAPIC  0xfee00000ull
#define IOAPIC 0xfec00000ull

enum {
	ID = 0x20,
	VERSION = 0x30,
	TPR = 0x80,
	PPR = 0xa0,
	EOI = 0xb0,
	LDR = 0xd0,
	DFR = 0xe0,
	SVR = 0xf0,
	ISR = 0x100,
	IRR = 0x200,
	ESR = 0x280,
	ICR = 0x300,
	ICR2 = 0x310,
	LVT_TIMER = 0x320,
	LVT_LINT0 = 0x350,
	LVT_LINT1 = 0x360,
	LVT_ERROR = 0x370,
	TMICT = 0x380,
	TMCCT = 0x390,
	TDCR = 0x3e0
};
#define MASKED BIT(16)
#define SELF   (1 << 18)

static volatile unsigned seen[256];
static volatile unsigned order[16], nr_order;
static bool keep_eoi __attribute__((unused)); /* the handler leaves the EOI to the claim */

static inline u32 apic(u32 reg)
{
	return *(volatile u32 *)(LAPIC + reg);
}

static inline void apic_write(u32 reg, u32 v)
{
	*(volatile u32 *)(LAPIC + reg) = v;
}

static inline u32 ioapic(u32 reg)
{
	*(volatile u32 *)IOAPIC = reg;
	return *(volatile u32 *)(IOAPIC + 0x10);
}

static inline void ioapic_write(u32 reg, u32 v)
{
	*(volatile u32 *)IOAPIC = reg;
	*(volatile u32 *)(IOAPIC + 0x10) = v;
}

static bool hook(struct frame *f)
{
	if (f->vector == 5)
		return true; /* an emulator took an IPI that it should have refused */
	if (f->vector < 32 || f->vector == VEC_DONE)
		return false;
	seen[f->vector]++;
	if (nr_order < ARRAY_SIZE(order))
		order[nr_order++] = f->vector;
	if (f->vector != 0xff && !keep_eoi)
		apic_write(EOI, 0);
	return true;
}

static inline void open_briefly(void)
{
	asm volatile("sti; nop; nop; nop; nop; nop; nop; nop; nop; cli" : : : "memory");
}

static inline void clear(void)
{
	for (unsigned n = 0; n < 256; n++)
		seen[n] = 0;
	nr_order = 0;
}

static inline bool bit_of(u32 base, unsigned vector)
{
	return apic(base + vector / 32 * 16) >> (vector & 31) & 1;
}

/* Until seen[vector] is @n or long has gone by. */
static inline bool wait_for(unsigned vector, unsigned n)
{
	for (unsigned i = 0; i < 2000000 && seen[vector] < n; i++)
		open_briefly();
	return seen[vector] >= n;
}

static inline void self_ipi(unsigned vector)
{
	apic_write(ICR, SELF | vector);
	while (apic(ICR) & BIT(12))
		;
}

static inline void note(u64 a, u64 b)
{
	put_value("a", a);
	put_value("b", b);
	put_char('\n');
}

#define COM1 0x3f8

/* What is printed moves COM1's interrupt line: claims that rest on it are printed afterwards, their cases have no notes. */
static struct {
	const char *name;
	bool good;
} put_off[48] __attribute__((unused));
static unsigned nr_later __attribute__((unused));

static inline void later(const char *name, bool good)
{
	put_off[nr_later].name = name;
	put_off[nr_later++].good = good;
}

static inline void print_later(void)
{
	for (unsigned n = 0; n < nr_later; n++)
		claim(put_off[n].name, put_off[n].good);
	nr_later = 0;
}

static inline void quiet_case(struct table *t, bool good)
{
	t->cases++;
	t->bad += !good;
}

/* ACPI's fixed hardware: where the 82371AB's power management function says, which QEMU and Bochs have. */
static inline u16 pm_base(void)
{
	const u32 function = 0x80000000 | 1 << 11 | 3 << 8; /* 00:01.3 */

	outl(0xcf8, function);
	if (inl(0xcfc) != 0x71138086)
		return 0x600;
	outb(0xb2, 0xf1); /* SMI command: ACPI mode */
	outl(0xcf8, function | 0x40);
	return inl(0xcfc) & 0xffc0;
}

static inline u32 pm_timer(u16 base)
{
	return inl(base + 8) & 0xffffff;
}
#define PM_HZ 3579545u

/* Ticks of the PM timer since @from. */
static inline u32 pm_since(u16 base, u32 from)
{
	return (pm_timer(base) - from) & 0xffffff;
}

/* Sleeps until seen[vector] is @n or @ticks of the PM timer (below 2^24) have gone by. Uses the APIC timer, vector 5Fh. */
static inline bool sleep_for(u16 base, unsigned vector, unsigned n, u32 ticks)
{
	u32 from = pm_timer(base);

	apic_write(TDCR, 11);
	apic_write(LVT_TIMER, 0x5f | BIT(17));
	apic_write(TMICT, 1000000);
	while (seen[vector] < n && pm_since(base, from) < ticks)
		asm volatile("sti; hlt; cli" : : : "memory");
	apic_write(LVT_TIMER, MASKED);
	apic_write(TMICT, 0);
	open_briefly();
	return seen[vector] >= n;
}

/* Everything masked, the local APIC on, the handler in place. */
static inline void chip_init(void)
{
	rings_init();
	wrmsr(0x1b, rdmsr(0x1b) | BIT(11));
	apic_write(SVR, 0x1ff);
	apic_write(TPR, 0);
	for (unsigned pin = 0; pin < 24; pin++)
		ioapic_write(0x10 + 2 * pin, BIT(16));
	apic_write(LVT_LINT0, MASKED);
	apic_write(LVT_LINT1, MASKED);
	trap_hook = hook;
}

#endif
