/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PCI configuration mechanism 1, and VGA's registers and screen. */
#include <check.h>
#include <errno.h>

#include "tests/unit/rig.h"
#include "vmm/dev/pci.h"
#include "vmm/dev/vga_text.h"

static struct pci pci;

static void address(unsigned bus, unsigned devfn, unsigned reg)
{
	pci_write(&pci, 0, 4, 0x80000000u | bus << 16 | devfn << 8 | reg);
}

START_TEST(finds_mechanism_1)
{
	pci_init(&pci, "pci");
	/* How kernels probe: a byte at CFBh isn't the address register, a long word at CF8h is. */
	pci_write(&pci, 3, 1, 1);
	pci_write(&pci, 0, 4, 0x80000000);
	ck_assert_uint_eq(pci_read(&pci, 0, 4), 0x80000000);
	ck_assert_uint_eq(pci_read(&pci, 0, 1), 0xff);
	ck_assert_uint_eq(pci_read(&pci, 0, 2), 0xffff);
	pci_write(&pci, 0, 4, 0xffffffff);
	ck_assert_uint_eq(pci_read(&pci, 0, 4), 0x80fffffc);
}
END_TEST

START_TEST(bridges)
{
	pci_init(&pci, "pci");
	address(0, PCI_DEVFN(0, 0), 0);
	ck_assert_uint_eq(pci_read(&pci, 4, 4), 0x12378086);
	ck_assert_uint_eq(pci_read(&pci, 4, 2), 0x8086);
	ck_assert_uint_eq(pci_read(&pci, 6, 2), 0x1237);
	ck_assert_uint_eq(pci_read(&pci, 7, 1), 0x12);
	address(0, PCI_DEVFN(0, 0), 8);
	ck_assert_uint_eq(pci_read(&pci, 6, 2), 0x0600); /* host bridge */
	address(0, PCI_DEVFN(1, 0), 0);
	ck_assert_uint_eq(pci_read(&pci, 4, 4), 0x70008086);
	address(0, PCI_DEVFN(1, 0), 8);
	ck_assert_uint_eq(pci_read(&pci, 6, 2), 0x0601); /* ISA bridge */
	address(0, PCI_DEVFN(1, 0), 0x0c);
	ck_assert_uint_eq(pci_read(&pci, 6, 1), 0); /* header type */
}
END_TEST

/* Identity of the 82371SB's function 1; nothing in it can be changed, and it stays over a reset. */
START_TEST(ide)
{
	pci_init(&pci, "pci");
	pci_add_ide(&pci);
	pci_reset(&pci);
	address(0, PCI_DEVFN(1, 0), 0x0c);
	ck_assert_uint_eq(pci_read(&pci, 6, 1), 0x80); /* header type: more than one function */
	for (unsigned offset = 0; offset < PCI_CONFIG_SIZE; offset += 4) {
		u64 before;

		address(0, PCI_DEVFN(1, 1), offset);
		before = pci_read(&pci, 4, 4);
		pci_write(&pci, 4, 4, 0xffffffff);
		ck_assert_uint_eq(pci_read(&pci, 4, 4), before);
		pci_write(&pci, 4, 4, 0);
		ck_assert_uint_eq(pci_read(&pci, 4, 4), before);
	}
	address(0, PCI_DEVFN(1, 1), 0);
	ck_assert_uint_eq(pci_read(&pci, 4, 4), 0x70108086);
	address(0, PCI_DEVFN(1, 1), 8);
	ck_assert_uint_eq(pci_read(&pci, 4, 4), 0x01010000); /* IDE, both channels compatible, no bus master */
}
END_TEST

START_TEST(absent_reads_ones)
{
	pci_init(&pci, "pci");
	for (unsigned devfn = 0; devfn < 256; devfn++) {
		if (devfn == PCI_DEVFN(0, 0) || devfn == PCI_DEVFN(1, 0))
			continue;
		address(0, devfn, 0);
		ck_assert_uint_eq(pci_read(&pci, 4, 4), 0xffffffff);
		pci_write(&pci, 4, 4, 0);
	}
	address(1, 0, 0);
	ck_assert_uint_eq(pci_read(&pci, 4, 4), 0xffffffff);
	pci_write(&pci, 0, 4, 0); /* not enabled */
	ck_assert_uint_eq(pci_read(&pci, 4, 2), 0xffff);
}
END_TEST

static unsigned written_at;

static void written(void *opaque, unsigned offset, unsigned size)
{
	written_at = offset;
}

START_TEST(write_masks)
{
	struct pci_function fn;

	pci_init(&pci, "pci");
	pci_function_init(&fn, 0x1af4, 0x1042, 0x01000001, 0x0007);
	store32(fn.wmask + 0x10, 0xfffff000);
	store16(fn.config + 6, 0xf900);
	store16(fn.w1c + 6, 0xf900);
	fn.written = written;
	ck_assert_int_eq(pci_add_function(&pci, PCI_DEVFN(0, 0), &fn), -EEXIST);
	ck_assert_int_eq(pci_add_function(&pci, PCI_DEVFN(3, 0), &fn), 0);
	address(0, PCI_DEVFN(3, 0), 0);
	pci_write(&pci, 4, 4, 0);
	ck_assert_uint_eq(pci_read(&pci, 4, 4), 0x10421af4);
	address(0, PCI_DEVFN(3, 0), 4);
	pci_write(&pci, 4, 2, 0xffff);
	ck_assert_uint_eq(pci_read(&pci, 4, 4), 0xf9000007);
	pci_write(&pci, 7, 1, 0x80);
	ck_assert_uint_eq(written_at, 7);
	ck_assert_uint_eq(pci_read(&pci, 6, 2), 0x7900);
	address(0, PCI_DEVFN(3, 0), 0x10);
	pci_write(&pci, 4, 4, 0xffffffff); /* sizing a BAR */
	ck_assert_uint_eq(pci_read(&pci, 4, 4), 0xfffff000);
	address(0, PCI_DEVFN(3, 0), 0xfc);
	pci_write(&pci, 7, 1, 0xff);
	ck_assert_uint_eq(pci_read(&pci, 7, 1), 0);
}
END_TEST

START_TEST(reset_restores_config)
{
	pci_init(&pci, "pci");
	address(0, PCI_DEVFN(1, 0), 0x60);
	ck_assert_uint_eq(pci_read(&pci, 4, 4), 0x80808080);
	pci_write(&pci, 4, 4, 0x0b0a0905);
	ck_assert_uint_eq(pci_read(&pci, 4, 4), 0x0b0a0905);
	pci.dev.class->reset(&pci.dev);
	address(0, PCI_DEVFN(1, 0), 0x60);
	ck_assert_uint_eq(pci_read(&pci, 4, 4), 0x80808080);
}
END_TEST

static struct memory mem;
static struct vga_text vga;

START_TEST(vga_registers)
{
	ck_assert_int_eq(memory_init(&mem, 1 << 20, NULL), 0);
	vga_text_init(&vga, &mem, "vga");
	/* Cursor through the CRTC, index and data as one word. */
	vga_text_write(&vga, 0x14, 2, 0x120e);
	vga_text_write(&vga, 0x14, 2, 0x340f);
	vga_text_write(&vga, 0x14, 1, 0x0e);
	ck_assert_uint_eq(vga_text_read(&vga, 0x15, 1), 0x12);
	vga_text_write(&vga, 0x14, 1, 0x0f);
	ck_assert_uint_eq(vga_text_read(&vga, 0x15, 1), 0x34);
	/* Registers 0-7 are locked by bit 7 of 11h, which mode 3 sets. */
	vga_text_write(&vga, 0x14, 2, 0x0001);
	ck_assert_uint_eq(vga_text_read(&vga, 0x15, 1), 0x4f);
	vga_text_write(&vga, 0x14, 2, 0x0e11);
	vga_text_write(&vga, 0x14, 2, 0x0001);
	ck_assert_uint_eq(vga_text_read(&vga, 0x15, 1), 0x00);
	/* Attribute flip-flop, set back by reading status 1. */
	vga_text_read(&vga, 0x1a, 1);
	vga_text_write(&vga, 0, 1, 0x10);
	vga_text_write(&vga, 0, 1, 0x08);
	vga_text_read(&vga, 0x1a, 1);
	vga_text_write(&vga, 0, 1, 0x30);
	ck_assert_uint_eq(vga_text_read(&vga, 1, 1), 0x08);
	/* Both edges of retrace come. */
	ck_assert_uint_ne(vga_text_read(&vga, 0x1a, 1) & 8, vga_text_read(&vga, 0x1a, 1) & 8);
	/* Palette. */
	vga_text_write(&vga, 8, 1, 255);
	for (unsigned i = 0; i < 6; i++)
		vga_text_write(&vga, 9, 1, 0xf0 + i);
	vga_text_write(&vga, 7, 1, 255);
	ck_assert_uint_eq(vga_text_read(&vga, 7, 1), 3);
	for (unsigned i = 0; i < 6; i++)
		ck_assert_uint_eq(vga_text_read(&vga, 9, 1), 0x30 + i);
	ck_assert_uint_eq(vga_text_read(&vga, 0x0c, 1) & 1, 1); /* colour addresses */
	memory_free(&mem);
}
END_TEST

START_TEST(vga_screen)
{
	char screen[VGA_SCREEN_SIZE];

	ck_assert_int_eq(memory_init(&mem, 1 << 20, NULL), 0);
	vga_text_init(&vga, &mem, "vga");
	memory_write(&mem, VGA_TEXT, "H\x07i\x07", 4);
	memory_write(&mem, VGA_TEXT + 160 * 24 + 158, "\x80\x07", 2);
	vga_text_screen(&vga, screen);
	ck_assert_uint_eq(strlen(screen), 25 * 81);
	ck_assert_int_eq(memcmp(screen, "Hi  ", 4), 0);
	ck_assert_int_eq(screen[80], '\n');
	ck_assert_int_eq(screen[24 * 81 + 79], '.');
	/* Scrolled by one line through the start address. */
	vga_text_write(&vga, 0x14, 2, 80 << 8 | 0x0d);
	vga_text_screen(&vga, screen);
	ck_assert_int_eq(screen[0], ' ');
	ck_assert_int_eq(screen[23 * 81 + 79], '.');
	memory_free(&mem);
}
END_TEST

RIG_MAIN("pci", finds_mechanism_1, bridges, ide, absent_reads_ones, write_masks, reset_restores_config, vga_registers,
	 vga_screen)
