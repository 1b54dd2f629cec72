/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Digests of a machine: what a recording stores at intervals and a replay compares.
 *
 * Memory: the sum (mod 2^64) over all pages of XXH3-64(page, seed = page frame number), where a page of zeros counts 0.
 * So untouched memory costs nothing, and only pages written since the last digest are looked at. */
#ifndef REPLAY_DIGEST_H
#define REPLAY_DIGEST_H

#include "vmm/error.h"
#include "vmm/types.h"

struct machine;

struct memory_digest {
	u64 *page[4]; /* [D] by slot: the share of each page in the sum; 8 bytes a page, committed as pages are used */
	u64 sum;
};

/* Everything written before counts as dirty once. -ENOMEM. */
int memory_digest_init(struct memory_digest *md, const struct machine *m);
void memory_digest_free(struct memory_digest *md);

/* Brings the sum up to date: reads pages flagged PAGE_DIRTY, clears the flag, tells the engine. Cost: one pass over the
 * flags (a byte a page), 0.4 us a dirty page. */
u64 memory_digest_update(struct memory_digest *md, struct machine *m);

/* The same sum, for somebody who asks again and again while little is written: pages may stay flagged. Cost: one pass over
 * the flags, 0.4 us for each of a few pages, or that of an update. */
u64 memory_digest_peek(struct memory_digest *md, struct machine *m);

/* XXH3-64 of machine_state_save(). 0 when there is no memory for it. */
u64 state_digest(const struct machine *m);

/* All vCPUs' registers, x86_state_fields one after the other. */
size_t register_image_size(const struct machine *m);
void register_image_save(const struct machine *m, u8 *out);

/* XXH3-64 of the register image; 0 when there is no memory for it. Cost: a microsecond. */
u64 register_digest(const struct machine *m);

/* One device write taken into the running digest. Cost: about 2 ns. */
static inline u64 write_digest(u64 digest, unsigned vcpu, unsigned space, u64 addr, unsigned size, u64 value)
{
	u64 where = (addr << 16 | vcpu << 8 | space << 4 | size) * 0x9e3779b97f4a7c15ull;

	digest = (digest ^ value) * 0xff51afd7ed558ccdull;
	digest = (digest ^ digest >> 32 ^ where) * 0xc4ceb9fe1a85ec53ull;
	return digest ^ digest >> 29;
}

#endif
