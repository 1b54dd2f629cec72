/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VGA, as far as text mode needs it: the register files at 3C0h-3DFh as storage, and text memory looked at as a screen.
 *
 * The window A0000h-BFFFFh is guest RAM (vmm/memory.c has no hole there), so that text output costs no exits on any
 * engine and text memory is saved with the other pages. Nothing is drawn; registers that would change how memory is
 * addressed are kept and not acted on. */
#ifndef VMM_DEV_VGA_TEXT_H
#define VMM_DEV_VGA_TEXT_H

#include "vmm/device.h"
#include "vmm/memory.h"
#include "vmm/types.h"

#define VGA_PORT    0x3c0
#define VGA_LEN     0x20
#define VGA_TEXT    0xb8000ull
#define VGA_COLUMNS 80
#define VGA_ROWS    25
/* 25 lines, each with a newline, and a final NUL. */
#define VGA_SCREEN_SIZE (VGA_ROWS * (VGA_COLUMNS + 1) + 1)

struct vga_text {
	struct device dev;
	const struct memory *mem;  /* [H] */
	u8 attr_index, attr_data;  /* [S] attr_data: the next write to 3C0h is data */
	u8 seq_index, gfx_index;   /* [S] */
	u8 crtc_index;             /* [S] */
	u8 misc, feature, status1; /* [S] status1: retrace bits as they will be read next */
	u8 attr[32], seq[8];       /* [S] */
	u8 gfx[16], crtc[32];      /* [S] */
	u8 dac_mask, dac_state;    /* [S] dac_state: 3 after the read index was written, 0 after the write index */
	u8 dac_read, dac_write;    /* [S] */
	u8 dac_part_r, dac_part_w; /* [S] which of red, green, blue comes next */
	u8 palette[768];           /* [S] */
};

void vga_text_init(struct vga_text *vga, const struct memory *mem, const char *device_id);
/* 80x25 colour text (mode 3), as a video BIOS leaves it. */
void vga_text_reset(struct vga_text *vga);
u64 vga_text_read(void *dev, u64 offset, unsigned size);
void vga_text_write(void *dev, u64 offset, unsigned size, u64 value);
/* The characters on the screen, from the CRTC's start address; what isn't printable ASCII becomes '.', NUL a space. */
void vga_text_screen(const struct vga_text *vga, char out[VGA_SCREEN_SIZE]);

#endif
