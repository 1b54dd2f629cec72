/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PCI configuration space and VGA registers: any access, any width. What identifies a function can't be changed. */
#include <stdlib.h>

#include "vmm/dev/pci.h"
#include "vmm/dev/vga_text.h"

static struct pci pci;
static struct vga_text vga;
static struct memory mem;

static void check(void)
{
	char screen[VGA_SCREEN_SIZE];

	if (load32(pci.host.config) != 0x12378086 || load32(pci.isa.config) != 0x70008086 || pci.address & 0x7f000003)
		abort();
	vga_text_screen(&vga, screen);
	if (strlen(screen) != VGA_SCREEN_SIZE - 1)
		abort();
}

static void step(const u8 *p)
{
	unsigned size = 1u << (p[1] & 3);

	switch (p[0] % 5) {
	case 0:
		pci_read(&pci, p[2] % 16, size);
		break;
	case 1:
		pci_write(&pci, p[2] % 16, size, load64(p + 4));
		break;
	case 2:
		pci_write(&pci, 0, 4, 0x80000000u | (load16(p + 4) & 0x1ffc));
		pci_write(&pci, 4 + (p[2] & 3), size, load64(p + 4));
		break;
	case 3:
		vga_text_read(&vga, p[2] % 64, size);
		break;
	case 4:
		vga_text_write(&vga, p[2] % 64, size, load64(p + 4));
		break;
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t len);
int LLVMFuzzerTestOneInput(const u8 *data, size_t len)
{
	u8 state[2048] = {0};
	size_t size;

	if (!mem.count && memory_init(&mem, 1 << 20, NULL))
		abort();
	pci_init(&pci, "pci");
	vga_text_init(&vga, &mem, "vga");
	if (len && data[0] & 1) {
		size = state_size(vga.dev.class->fields);
		memcpy(state, data + 1, len - 1 < size ? len - 1 : size);
		if (size > sizeof(state) || state_load(vga.dev.class->fields, &vga, state, size))
			abort();
		vga.dev.class->loaded(&vga.dev);
	}
	for (size_t i = 1; i + 12 <= len; i += 12)
		step(data + i);
	check();
	return 0;
}
