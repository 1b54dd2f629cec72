/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

#include "replay/digest.h"
#include "vmm/machine.h"

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

static void update_page(struct memory_digest *md, const struct memory_slot *slot, u64 *shares, u64 n)
{
	const u8 *page = slot->host + (n << PAGE_SHIFT);
	u64 pfn = (slot->gpa >> PAGE_SHIFT) + n;
	u64 share = all_zero(page) ? 0 : XXH3_64bits_withSeed(page, PAGE_SIZE, pfn);

	md->sum += share - shares[n];
	if (share != shares[n])
		shares[n] = share;
}

u64 memory_digest_update(struct memory_digest *md, struct machine *m)
{
	for (unsigned i = 0; i < m->config.vcpus; i++)
		if (m->vcpu[i]->engine && m->vcpu[i]->engine->dirty_reset)
			m->vcpu[i]->engine->dirty_reset(m->vcpu[i]);
	for (unsigned i = 0; i < m->mem.count; i++) {
		struct memory_slot *slot = &m->mem.slot[i];
		u64 pages = slot->size >> PAGE_SHIFT;

		for (u64 n = 0; n < pages; n++) {
			/* Eight flags at a time: most pages are clean. */
			if (!(n & 7) && n + 8 <= pages &&
			    !(load64(slot->flags + n) & 0x0101010101010101ull * PAGE_DIRTY)) {
				n += 7;
				continue;
			}
			if (!(slot->flags[n] & PAGE_DIRTY))
				continue;
			slot->flags[n] &= (u8)~PAGE_DIRTY;
			update_page(md, slot, md->page[i], n);
		}
	}
	return md->sum;
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

u64 place_digest(struct memory_digest *md, struct machine *m)
{
	size_t size = register_image_size(m);
	u8 *image = malloc(size + 1);
	u64 digest;

	if (!image)
		return 0;
	register_image_save(m, image);
	digest = XXH3_64bits_withSeed(image, size, memory_digest_update(md, m));
	free(image);
	return digest;
}
