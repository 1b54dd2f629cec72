/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Firmware: the reset state, at the image's reset vector. */
#include <errno.h>
#include <stdio.h>

#include "vmm/dev/pci.h"
#include "vmm/pc/load.h"
#include "vmm/x86/state.h"

#define ROM_END 0x100000ull
#define ROM_MAX 0x40000ull

/* 82441FX data sheet, section 3.2.17: PAM0's high half is F0000h-FFFFFh, PAM1-6 are C0000h-EFFFFh; 3: RAM that is read
 * and written. */
#define CONFIG_PAM 0x58 /* of the word that begins one before PAM0 */
#define PAM_FIRST  0x33333000u
#define PAM_SECOND 0x33333333u

static void write_config(struct load *l, unsigned offset, u32 value)
{
	bus_write(&l->m->pio, PCI_CONFIG_PORT, 4, 0x80000000u | offset);
	bus_write(&l->m->pio, PCI_CONFIG_PORT + 4, 4, value);
	bus_write(&l->m->pio, PCI_CONFIG_PORT, 4, 0);
}

int bios_boot(struct load *l)
{
	const struct boot_file *file = &l->spec->kernel;
	struct x86_state *s = &l->m->vcpu[0]->regs;

	if (!file->len || file->len & PAGE_MASK || file->len > ROM_MAX)
		return error_set(l->err, -EINVAL,
				 "not a firmware image: %zu bytes, which is not a multiple of 4096 up to %llu",
				 file->len, ROM_MAX);
	if (l->spec->initrd.data || l->spec->append)
		return error_set(l->err, -EINVAL, "firmware takes neither an initrd nor a command line");
	load_write(l, ROM_END - file->len, file->data, file->len);
	write_config(l, CONFIG_PAM, PAM_FIRST);
	write_config(l, CONFIG_PAM + 4, PAM_SECOND);
	x86_state_reset(s);
	s->seg[SEG_CS].base = (u64)s->seg[SEG_CS].selector << 4;
	snprintf(l->what, sizeof(l->what), "firmware of %zu KiB", file->len >> 10);
	return 0;
}
