/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guest-physical memory: a few memory slots of RAM, lazily committed by the host, with a byte of flags per page.
 * RAM of more than 3 GiB continues at 4 GiB; between 3 and 4 GiB is the hole for devices. */
#ifndef VMM_MEMORY_H
#define VMM_MEMORY_H

#include "vmm/error.h"
#include "vmm/types.h"

#define PAGE_SHIFT 12
#define PAGE_SIZE  4096ull
#define PAGE_MASK  (PAGE_SIZE - 1)

#define MEMORY_HOLE_START 0xc0000000ull
#define MEMORY_HOLE_END   0x100000000ull
#define MEMORY_MIN        (1ull << 20)
#define MEMORY_MAX        (64ull << 30)

/* Page flags. */
#define PAGE_DIRTY   1                           /* written since the last digest */
#define PAGE_CODE    2                           /* the soft engine holds decoded instructions of it */
#define PAGE_TOUCHED 4                           /* written since the last checkpoint */
#define PAGE_WATCHED 8                           /* the soft engine tells of accesses to it */
#define PAGE_WRITTEN (PAGE_DIRTY | PAGE_TOUCHED) /* whoever writes sets both */

struct memory_slot {
	u64 gpa; /* page aligned */
	u64 size;
	u8 *host;
	u8 *flags; /* one byte a page */
};

struct memory {
	struct memory_slot slot[4];
	unsigned count;
	u64 size; /* RAM in bytes */
	/* Called before RAM changes other than by the engine itself (DMA, loaders, a debugger). */
	void (*changed)(void *opaque, u64 gpa, u64 len);
	void *changed_opaque;
};

/* @size: bytes of RAM, a multiple of a page, MEMORY_MIN to MEMORY_MAX. */
int memory_init(struct memory *mem, u64 size, struct error *err);
void memory_free(struct memory *mem);

/* The slot that holds @gpa, or NULL: device space or nothing. */
static inline const struct memory_slot *memory_slot(const struct memory *mem, u64 gpa)
{
	for (unsigned i = 0; i < mem->count; i++)
		if (gpa - mem->slot[i].gpa < mem->slot[i].size)
			return &mem->slot[i];
	return NULL;
}

/* The host address of guest-physical @gpa, valid for @len bytes in the same slot; NULL when not all RAM. */
u8 *memory_host(const struct memory *mem, u64 gpa, u64 len);

/* Copies from and to guest RAM; may cross pages and slots. -EFAULT when part of it is no RAM (nothing copied).
 * Writing marks pages PAGE_WRITTEN and tells the engine. */
int memory_read(const struct memory *mem, u64 gpa, void *buf, u64 len);
int memory_write(struct memory *mem, u64 gpa, const void *buf, u64 len);

#endif
