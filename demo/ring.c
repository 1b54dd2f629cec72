/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "demo/kernel.h"

struct ring *ring_create(void)
{
	struct ring *ring = heap_alloc(sizeof(*ring));

	ring->head = 0;
	ring->total = 0;
	return ring;
}

void ring_put(struct ring *ring, u32 when, u16 who, u16 kind)
{
	if (ring->head > RING_SLOTS)
		ring->head = 0;
	ring->slot[ring->head++] = (struct event){when, who, kind};
	ring->total++;
}
