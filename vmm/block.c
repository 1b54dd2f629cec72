/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/block.h"

#include <errno.h>
#include <stdlib.h>

#define SECTORS_A_CHUNK (BLOCK_CHUNK / BLOCK_SECTOR)
#define FIRST_BUCKETS   64

/* What chunks of copies share. */
struct block_data {
	u32 refs;
	u8 bytes[BLOCK_CHUNK];
};

struct block_chunk {
	u64 number;
	struct block_chunk *next;
	struct block_data *data;
};

static void data_put(struct block_data *data)
{
	if (!--data->refs)
		free(data);
}

void block_init(struct block *block, const struct block_backend *base)
{
	*block = (struct block){.base = *base};
}

void block_free(struct block *block)
{
	for (u64 i = 0; i < block->nr_buckets; i++) {
		while (block->bucket[i]) {
			struct block_chunk *c = block->bucket[i];

			block->bucket[i] = c->next;
			data_put(c->data);
			free(c);
		}
	}
	free(block->bucket);
	block->bucket = NULL;
	block->nr_buckets = 0;
	block->nr_chunks = 0;
}

static u64 bucket_of(u64 number, u64 nr_buckets)
{
	return (number * 0x9e3779b97f4a7c15ull >> 20) & (nr_buckets - 1);
}

static struct block_chunk *find(const struct block *block, u64 number)
{
	struct block_chunk *c;

	if (!block->nr_buckets)
		return NULL;
	c = block->bucket[bucket_of(number, block->nr_buckets)];
	while (c && c->number != number)
		c = c->next;
	return c;
}

static int grow(struct block *block)
{
	u64 n = block->nr_buckets ? 2 * block->nr_buckets : FIRST_BUCKETS;
	struct block_chunk **bucket = calloc(n, sizeof(*bucket));

	if (!bucket)
		return -ENOMEM;
	for (u64 i = 0; i < block->nr_buckets; i++) {
		while (block->bucket[i]) {
			struct block_chunk *c = block->bucket[i];
			struct block_chunk **to = &bucket[bucket_of(c->number, n)];

			block->bucket[i] = c->next;
			c->next = *to;
			*to = c;
		}
	}
	free(block->bucket);
	block->bucket = bucket;
	block->nr_buckets = n;
	return 0;
}

static void insert(struct block *block, struct block_chunk *c)
{
	struct block_chunk **bucket = &block->bucket[bucket_of(c->number, block->nr_buckets)];

	c->next = *bucket;
	*bucket = c;
	block->nr_chunks++;
}

/* A chunk with @data, whose reference it takes over also on failure. */
static struct block_chunk *add_chunk(struct block *block, u64 number, struct block_data *data)
{
	struct block_chunk *c = NULL;

	if (data && (block->nr_chunks < block->nr_buckets || !grow(block)))
		c = malloc(sizeof(*c));
	if (c) {
		*c = (struct block_chunk){.number = number, .data = data};
		insert(block, c);
	} else if (data) {
		data_put(data);
	}
	return c;
}

static struct block_data *new_data(const struct block_data *from)
{
	struct block_data *data = from ? malloc(sizeof(*data)) : calloc(1, sizeof(*data));

	if (data && from)
		memcpy(data->bytes, from->bytes, sizeof(data->bytes));
	if (data)
		data->refs = 1;
	return data;
}

/* Where to write in a chunk; its contents come from the base image unless all of it is about to be replaced. */
static int own_chunk(struct block *block, u64 number, bool whole, u8 **bytes)
{
	u64 first = number * SECTORS_A_CHUNK;
	u64 sectors = min64(SECTORS_A_CHUNK, block->base.sectors - first);
	struct block_chunk *c = find(block, number);
	struct block_data *data;
	int ret;

	if (c && c->data->refs == 1) {
		*bytes = c->data->bytes;
		return 0;
	}
	data = new_data(c ? c->data : NULL);
	if (!data)
		return -ENOMEM;
	if (c) {
		data_put(c->data);
		c->data = data;
	} else {
		ret = whole ? 0
			    : block->base.read(block->base.opaque, first * BLOCK_SECTOR, data->bytes,
					       sectors * BLOCK_SECTOR);
		if (ret < 0) {
			data_put(data);
			return ret;
		}
		if (!add_chunk(block, number, data))
			return -ENOMEM;
	}
	*bytes = data->bytes;
	return 0;
}

static bool in_range(const struct block *block, u64 sector, u64 count)
{
	return sector <= block->base.sectors && count <= block->base.sectors - sector;
}

/* How many of @count sectors from @sector on lie in the same chunk. */
static u64 run(u64 sector, u64 count)
{
	return min64(count, SECTORS_A_CHUNK - sector % SECTORS_A_CHUNK);
}

int block_read(struct block *block, u64 sector, u64 count, void *buf)
{
	u8 *out = buf;

	if (!in_range(block, sector, count))
		return -ERANGE;
	while (count) {
		const struct block_chunk *c = find(block, sector / SECTORS_A_CHUNK);
		u64 n = run(sector, count);
		int ret = 0;

		if (c)
			memcpy(out, c->data->bytes + sector % SECTORS_A_CHUNK * BLOCK_SECTOR, n * BLOCK_SECTOR);
		else
			ret = block->base.read(block->base.opaque, sector * BLOCK_SECTOR, out, n * BLOCK_SECTOR);
		if (ret < 0)
			return ret;
		out += n * BLOCK_SECTOR;
		sector += n;
		count -= n;
	}
	return 0;
}

int block_write(struct block *block, u64 sector, u64 count, const void *buf)
{
	const u8 *in = buf;

	if (!in_range(block, sector, count))
		return -ERANGE;
	while (count) {
		u64 n = run(sector, count);
		u8 *bytes;
		int ret = own_chunk(block, sector / SECTORS_A_CHUNK, n == SECTORS_A_CHUNK, &bytes);

		if (ret < 0)
			return ret;
		memcpy(bytes + sector % SECTORS_A_CHUNK * BLOCK_SECTOR, in, n * BLOCK_SECTOR);
		in += n * BLOCK_SECTOR;
		sector += n;
		count -= n;
	}
	return 0;
}

static int compare_numbers(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

void block_list(const struct block *block, u64 *out)
{
	size_t n = 0;

	for (u64 i = 0; i < block->nr_buckets; i++)
		for (const struct block_chunk *c = block->bucket[i]; c; c = c->next)
			out[n++] = c->number;
	if (n)
		qsort(out, n, sizeof(*out), compare_numbers);
}

const u8 *block_chunk(const struct block *block, u64 number)
{
	const struct block_chunk *c = find(block, number);

	return c ? c->data->bytes : NULL;
}

int block_set_chunk(struct block *block, u64 number, const u8 *bytes)
{
	struct block_chunk *c = find(block, number);
	struct block_data *data = new_data(NULL);

	if (!data)
		return -ENOMEM;
	memcpy(data->bytes, bytes, sizeof(data->bytes));
	if (c) {
		data_put(c->data);
		c->data = data;
		return 0;
	}
	return add_chunk(block, number, data) ? 0 : -ENOMEM;
}

int block_copy(struct block *to, const struct block *from)
{
	block_free(to);
	for (u64 i = 0; i < from->nr_buckets; i++) {
		for (const struct block_chunk *c = from->bucket[i]; c; c = c->next) {
			c->data->refs++;
			if (!add_chunk(to, c->number, c->data))
				return -ENOMEM;
		}
	}
	return 0;
}
