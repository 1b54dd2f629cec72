/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A disk's contents: a base image that is only ever read, and what the guest wrote, kept in memory. */
#ifndef VMM_BLOCK_H
#define VMM_BLOCK_H

#include "vmm/types.h"

#define BLOCK_SECTOR 512u
#define BLOCK_CHUNK  4096u /* bytes copied from the base image at the first write to any of them */

struct block_backend {
	/* Reads @len bytes at @offset, all within the image. 0 or a negative errno. */
	int (*read)(void *opaque, u64 offset, void *buf, size_t len);
	void *opaque;
	u64 sectors; /* size of the image */
};

struct block_chunk;

struct block {
	struct block_backend base;
	struct block_chunk **bucket; /* [H] the overlay, hashed by chunk number */
	u64 nr_buckets;              /* a power of two, or 0 before the first write */
	u64 nr_chunks;
};

void block_init(struct block *block, const struct block_backend *base);

/* Forgets everything written. */
void block_free(struct block *block);

/* @count sectors from @sector on. -ERANGE beyond the end (nothing done), -ENOMEM, or the backend's error. */
int block_read(struct block *block, u64 sector, u64 count, void *buf);
int block_write(struct block *block, u64 sector, u64 count, const void *buf);

/* What was written, chunk by chunk: the numbers in ascending order (@out has room for nr_chunks), the BLOCK_CHUNK bytes of
 * one (NULL: not written), and writing one as a whole. */
void block_list(const struct block *block, u64 *out);
const u8 *block_chunk(const struct block *block, u64 number);
int block_set_chunk(struct block *block, u64 number, const u8 *bytes);

/* Makes @to, over the same base, hold what was written to @from: for checkpoints. Contents are shared until one of the
 * two is written to. Cost: an allocation for each chunk written. -ENOMEM leaves @to with a part. */
int block_copy(struct block *to, const struct block *from);

#endif
