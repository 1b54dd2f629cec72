/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/dev/vga_text.h"

/* Offsets from 3C0h. CRTC, feature control and status 1 are at 3Dxh in colour modes and at 3Bxh in monochrome ones,
 * which aren't decoded. */
enum vga_port {
	ATTR = 0x0,
	ATTR_READ = 0x1,
	MISC_WRITE = 0x2, /* read: input status 0 */
	SEQ_INDEX = 0x4,
	SEQ_DATA = 0x5,
	DAC_MASK = 0x6,
	DAC_READ_INDEX = 0x7, /* read: state */
	DAC_WRITE_INDEX = 0x8,
	DAC_DATA = 0x9,
	FEATURE_READ = 0xa,
	MISC_READ = 0xc,
	GFX_INDEX = 0xe,
	GFX_DATA = 0xf,
	CRTC_INDEX = 0x14,
	CRTC_DATA = 0x15,
	STATUS1 = 0x1a, /* write: feature control */
};

#define CRTC_START_HIGH 0x0c
#define CRTC_PROTECT    0x11
#define RETRACE_BITS    0x09 /* display disabled, vertical retrace */

static const struct field vga_fields[] = {
    FIELD(struct vga_text, attr_index),   FIELD(struct vga_text, attr_data),
    FIELD(struct vga_text, seq_index),    FIELD(struct vga_text, gfx_index),
    FIELD(struct vga_text, crtc_index),   FIELD(struct vga_text, misc),
    FIELD(struct vga_text, feature),      FIELD(struct vga_text, status1),
    FIELD_BLOB(struct vga_text, attr),    FIELD_BLOB(struct vga_text, seq),
    FIELD_BLOB(struct vga_text, gfx),     FIELD_BLOB(struct vga_text, crtc),
    FIELD(struct vga_text, dac_mask),     FIELD(struct vga_text, dac_state),
    FIELD(struct vga_text, dac_read),     FIELD(struct vga_text, dac_write),
    FIELD(struct vga_text, dac_part_r),   FIELD(struct vga_text, dac_part_w),
    FIELD_BLOB(struct vga_text, palette), FIELD_END,
};

/* Register values of mode 3 (IBM VGA technical reference, standard mode table). */
static const u8 mode3_seq[] = {0x03, 0x00, 0x03, 0x00, 0x02};
static const u8 mode3_crtc[] = {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00,
				0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff};
static const u8 mode3_gfx[] = {0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x00, 0xff};
static const u8 mode3_attr[] = {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3a,
				0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x0c, 0x00, 0x0f, 0x08, 0x00};

static u8 dac_next_read(struct vga_text *vga)
{
	u8 value = vga->palette[vga->dac_read * 3 + vga->dac_part_r];

	if (++vga->dac_part_r == 3) {
		vga->dac_part_r = 0;
		vga->dac_read++;
	}
	return value;
}

static void dac_next_write(struct vga_text *vga, u8 value)
{
	vga->palette[vga->dac_write * 3 + vga->dac_part_w] = value & 0x3f;
	if (++vga->dac_part_w == 3) {
		vga->dac_part_w = 0;
		vga->dac_write++;
	}
}

/* Retrace comes and goes from read to read: loops that wait for either edge end, and no clock is needed. */
static u8 read_status1(struct vga_text *vga)
{
	u8 value = vga->status1;

	vga->attr_data = 0;
	vga->status1 ^= RETRACE_BITS;
	return value;
}

static u8 port_read(struct vga_text *vga, unsigned port)
{
	switch (port) {
	case ATTR:
		return vga->attr_index;
	case ATTR_READ:
		return vga->attr[vga->attr_index & 31];
	case MISC_WRITE:
		return 0x10; /* switch sense: a colour monitor is there */
	case SEQ_INDEX:
		return vga->seq_index;
	case SEQ_DATA:
		return vga->seq[vga->seq_index & 7];
	case DAC_MASK:
		return vga->dac_mask;
	case DAC_READ_INDEX:
		return vga->dac_state;
	case DAC_WRITE_INDEX:
		return vga->dac_write;
	case DAC_DATA:
		return dac_next_read(vga);
	case FEATURE_READ:
		return vga->feature;
	case MISC_READ:
		return vga->misc;
	case GFX_INDEX:
		return vga->gfx_index;
	case GFX_DATA:
		return vga->gfx[vga->gfx_index & 15];
	case CRTC_INDEX:
		return vga->crtc_index;
	case CRTC_DATA:
		return vga->crtc[vga->crtc_index & 31];
	case STATUS1:
		return read_status1(vga);
	default:
		return 0xff;
	}
}

/* Registers 0 to 7 can be locked, but for bit 4 of the overflow register. */
static void crtc_write(struct vga_text *vga, u8 value)
{
	unsigned reg = vga->crtc_index & 31;

	if (reg < 8 && (vga->crtc[CRTC_PROTECT] & 0x80)) {
		if (reg == 7)
			vga->crtc[7] = (vga->crtc[7] & ~0x10) | (value & 0x10);
		return;
	}
	vga->crtc[reg] = value;
}

static void attr_write(struct vga_text *vga, u8 value)
{
	if (vga->attr_data)
		vga->attr[vga->attr_index & 31] = value & 0x3f;
	else
		vga->attr_index = value & 0x3f;
	vga->attr_data = !vga->attr_data;
}

static void port_write(struct vga_text *vga, unsigned port, u8 value)
{
	switch (port) {
	case ATTR:
		attr_write(vga, value);
		break;
	case MISC_WRITE:
		vga->misc = value;
		break;
	case SEQ_INDEX:
		vga->seq_index = value & 7;
		break;
	case SEQ_DATA:
		vga->seq[vga->seq_index & 7] = value;
		break;
	case DAC_MASK:
		vga->dac_mask = value;
		break;
	case DAC_READ_INDEX:
		vga->dac_read = value;
		vga->dac_part_r = 0;
		vga->dac_state = 3;
		break;
	case DAC_WRITE_INDEX:
		vga->dac_write = value;
		vga->dac_part_w = 0;
		vga->dac_state = 0;
		break;
	case DAC_DATA:
		dac_next_write(vga, value);
		break;
	case GFX_INDEX:
		vga->gfx_index = value & 15;
		break;
	case GFX_DATA:
		vga->gfx[vga->gfx_index & 15] = value;
		break;
	case CRTC_INDEX:
		vga->crtc_index = value & 31;
		break;
	case CRTC_DATA:
		crtc_write(vga, value);
		break;
	case STATUS1:
		vga->feature = value & 3;
		break;
	}
}

/* A wider access is one to each port in turn: index and data are often written as a word. */
u64 vga_text_read(void *dev, u64 offset, unsigned size)
{
	u64 value = 0;

	for (unsigned i = 0; i < size; i++)
		value |= (u64)port_read(dev, offset + i) << (8 * i);
	return value;
}

void vga_text_write(void *dev, u64 offset, unsigned size, u64 value)
{
	for (unsigned i = 0; i < size; i++)
		port_write(dev, offset + i, value >> (8 * i));
}

void vga_text_screen(const struct vga_text *vga, char out[VGA_SCREEN_SIZE])
{
	unsigned start = vga->crtc[CRTC_START_HIGH] << 8 | vga->crtc[CRTC_START_HIGH + 1];
	const u8 *text = memory_host(vga->mem, VGA_TEXT, 0x8000);

	for (unsigned row = 0; row < VGA_ROWS; row++) {
		for (unsigned col = 0; col < VGA_COLUMNS; col++) {
			u8 c = text ? text[(start + row * VGA_COLUMNS + col) % 0x4000 * 2] : 0;

			*out++ = c >= ' ' && c < 0x7f ? c : c ? '.' : ' ';
		}
		*out++ = '\n';
	}
	*out = 0;
}

void vga_text_reset(struct vga_text *vga)
{
	struct vga_text fresh = {
	    .dev = vga->dev,
	    .mem = vga->mem,
	    .misc = 0x67,
	    .attr_index = 0x20, /* video on */
	    .dac_mask = 0xff,
	};

	memcpy(fresh.seq, mode3_seq, sizeof(mode3_seq));
	memcpy(fresh.crtc, mode3_crtc, sizeof(mode3_crtc));
	memcpy(fresh.gfx, mode3_gfx, sizeof(mode3_gfx));
	memcpy(fresh.attr, mode3_attr, sizeof(mode3_attr));
	*vga = fresh;
}

static void device_reset(struct device *dev)
{
	vga_text_reset(container_of(dev, struct vga_text, dev));
}

static void device_loaded(struct device *dev)
{
	struct vga_text *vga = container_of(dev, struct vga_text, dev);

	vga->dac_part_r %= 3;
	vga->dac_part_w %= 3;
}

static const struct device_class vga_class = {
    .name = "vga",
    .fields = vga_fields,
    .reset = device_reset,
    .loaded = device_loaded,
};

void vga_text_init(struct vga_text *vga, const struct memory *mem, const char *device_id)
{
	*vga = (struct vga_text){.dev = {.class = &vga_class, .id = device_id}, .mem = mem};
	vga_text_reset(vga);
}
