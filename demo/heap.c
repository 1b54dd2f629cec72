/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "demo/kernel.h"

static u8 heap[64 * 1024] __attribute__((aligned(16)));
static size_t used;

void *heap_alloc(size_t size)
{
	void *p = heap + used;

	used += (size + 7) & ~(size_t)7;
	if (used > sizeof(heap)) {
		print("heap: out of memory\n");
		for (;;)
			asm volatile("cli; hlt");
	}
	return p;
}
