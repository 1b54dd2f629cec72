/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

#include "replay/digest.h"
#include "vmm/machine.h"

#define PEEK_PAGES 8

int memory_digest_init(struct memory_digest *md, const struct machine *m)
{
	memset(md, 0, sizeof(*md));
	for (unsigned i = 0; i < m->mem.count; i++) {
		/* Large callocs are zero pages of the host until written. */
		md->page[i] = calloc(m->mem.slot[i].size >> PAGE_SHIFT, sizeof(u64));
		if (!md->page[i]) {
			memory_digest_free(md);
			return -ENOMEM;
		}
	}
	return 0;
}

void memory_digest_free(struct memory_digest *md)
{
	for (unsigned i = 0; i < ARRAY_SIZE(md->page); i++)
		free(md->page[i]);
	memset(md, 0, sizeof(*md));
}

static bool all_zero(const u8 *page)
{
	/* Every byte equals the one before it, and the first is 0. */
	return !page[0] && !memcmp(page, page + 1, PAGE_SIZE - 1);
}

static u64 page_share(const struct memory_slot *slot, u64 n)
{
	const u8 *page = slot->host + (n << PAGE_SHIFT);
	u64 pfn = (slot->gpa >> PAGE_SHIFT) + n;

	return all_zero(page) ? 0 : XXH3_64bits_withSeed(page, PAGE_SIZE, pfn);
}

static void update_page(struct memory_digest *md, const struct memory_slot *slot, u64 *shares, u64 n)
{
	u64 share = page_share(slot, n);

	md->sum += share - shares[n];
	if (share != shares[n])
		shares[n] = share;
}

/* Flags looked at at once: most pages are clean. */
#define STRIDE 256
typedef u64 flag_vector __attribute__((vector_size(16), aligned(1), may_alias));

static bool stride_is_clean(const u8 *flags)
{
	flag_vector any = {0};

	for (unsigned i = 0; i < STRIDE; i += sizeof(any))
		any |= *(const flag_vector *)(flags + i);
	return !((any[0] | any[1]) & 0x0101010101010101ull * PAGE_DIRTY);
}

/* The first dirty page of @slot from @n on; its number of pages: there is none. */
static u64 next_dirty(const struct memory_slot *slot, u64 n)
{
	const u64 pages = slot->size >> PAGE_SHIFT;

	while (n < pages && !(slot->flags[n] & PAGE_DIRTY))
		if (n % STRIDE || n + STRIDE > pages || !stride_is_clean(slot->flags + n))
			n++;
		else
			n += STRIDE;
	return n;
}

u64 memory_digest_update(struct memory_digest *md, struct machine *m)
{
	for (unsigned i = 0; i < m->config.vcpus; i++)
		if (m->vcpu[i]->engine && m->vcpu[i]->engine->dirty_reset)
			m->vcpu[i]->engine->dirty_reset(m->vcpu[i]);
	for (unsigned i = 0; i < m->mem.count; i++) {
		struct memory_slot *slot = &m->mem.slot[i];
		u64 pages = slot->size >> PAGE_SHIFT;

		for (u64 n = next_dirty(slot, 0); n < pages; n = next_dirty(slot, n + 1)) {
			slot->flags[n] &= (u8)~PAGE_DIRTY;
			update_page(md, slot, md->page[i], n);
		}
	}
	return md->sum;
}

/* The sum with pages that stay dirty. False: there are too many of them. */
static bool peek(const struct memory_digest *md, const struct machine *m, u64 *sum)
{
	unsigned budget = PEEK_PAGES;

	*sum = md->sum;
	for (unsigned i = 0; i < m->mem.count; i++) {
		const struct memory_slot *slot = &m->mem.slot[i];
		u64 pages = slot->size >> PAGE_SHIFT;

		for (u64 n = next_dirty(slot, 0); n < pages; n = next_dirty(slot, n + 1)) {
			if (!budget--)
				return false;
			*sum += page_share(slot, n) - md->page[i][n];
		}
	}
	return true;
}

u64 memory_digest_peek(struct memory_digest *md, struct machine *m)
{
	u64 sum;

	return peek(md, m, &sum) ? sum : memory_digest_update(md, m);
}

u64 state_digest(const struct machine *m)
{
	size_t size = machine_state_size(m);
	u8 *buf = malloc(size + 1);
	u64 digest;

	if (!buf)
		return 0;
	digest = XXH3_64bits(buf, machine_state_save(m, buf));
	free(buf);
	return digest;
}

size_t register_image_size(const struct machine *m)
{
	return m->config.vcpus * state_size(x86_state_fields);
}

void register_image_save(const struct machine *m, u8 *out)
{
	for (unsigned i = 0; i < m->config.vcpus; i++)
		out += state_save(x86_state_fields, &m->vcpu[i]->regs, out);
}

u64 register_digest(const struct machine *m)
{
	size_t size = register_image_size(m);
	u8 *image = malloc(size + 1);
	u64 digest;

	if (!image)
		return 0;
	register_image_save(m, image);
	digest = XXH3_64bits(image, size);
	free(image);
	return digest;
}
