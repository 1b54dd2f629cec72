/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The host's time. Nothing that the guest sees may come from it but through nondet.h. */
#ifndef VMM_HOST_TIME_H
#define VMM_HOST_TIME_H

#include <time.h>

#include "vmm/types.h"

/* CLOCK_MONOTONIC, in ns. */
static inline u64 monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000000 + (u64)ts.tv_nsec;
}

#endif
