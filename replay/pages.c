/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An image is a table of leaves, a leaf one of pages; leaves and pages are shared and counted. */
#include "replay/pages.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "vmm/machine.h"

#define LEAF_PAGES 512

struct page {
	u32 refs;
	u8 data[PAGE_SIZE];
};

struct leaf {
	u32 refs;
	struct page *page[LEAF_PAGES]; /* NULL: zeros */
};

struct page_image {
	u32 refs;
	u64 nr_leaves;
	struct leaf *leaf[]; /* NULL: all zeros */
};

static const u8 zeros[PAGE_SIZE];

static void *account(struct pages *p, void *object, size_t size)
{
	if (object)
		p->bytes += size;
	return object;
}

static void page_put(struct pages *p, struct page *page)
{
	if (!page || --page->refs)
		return;
	p->bytes -= sizeof(*page);
	free(page);
}

static void leaf_put(struct pages *p, struct leaf *leaf)
{
	if (!leaf || --leaf->refs)
		return;
	for (unsigned i = 0; i < LEAF_PAGES; i++)
		page_put(p, leaf->page[i]);
	p->bytes -= sizeof(*leaf);
	free(leaf);
}

static size_t image_size(u64 nr_leaves)
{
	return sizeof(struct page_image) + nr_leaves * sizeof(struct leaf *);
}

void page_image_put(struct pages *p, struct page_image *image)
{
	if (!image || --image->refs)
		return;
	for (u64 i = 0; i < image->nr_leaves; i++)
		leaf_put(p, image->leaf[i]);
	p->bytes -= image_size(image->nr_leaves);
	free(image);
}

static struct page_image *image_new(struct pages *p)
{
	u64 n = (p->total + LEAF_PAGES - 1) / LEAF_PAGES;
	struct page_image *image = account(p, calloc(1, image_size(n)), image_size(n));

	if (image) {
		image->refs = 1;
		image->nr_leaves = n;
	}
	return image;
}

const u8 *page_image_get(const struct page_image *image, u64 n)
{
	const struct leaf *leaf = image->leaf[n / LEAF_PAGES];
	const struct page *page = leaf ? leaf->page[n % LEAF_PAGES] : NULL;

	return page ? page->data : NULL;
}

int pages_init(struct pages *p, struct machine *m)
{
	*p = (struct pages){.m = m};
	for (unsigned i = 0; i < m->mem.count; i++)
		p->total += m->mem.slot[i].size >> PAGE_SHIFT;
	p->base = image_new(p);
	if (!p->base)
		return -ENOMEM;
	/* What was written before anyone looked is dirty for all. */
	for (unsigned i = 0; i < m->mem.count; i++)
		for (u64 n = 0; n < m->mem.slot[i].size >> PAGE_SHIFT; n++)
			if (m->mem.slot[i].flags[n] & PAGE_DIRTY)
				m->mem.slot[i].flags[n] |= PAGE_TOUCHED;
	return 0;
}

/* For whoever comes next, to whom the base isn't known. */
static void touch_base(const struct pages *p)
{
	u64 first = 0;

	for (unsigned i = 0; i < p->m->mem.count; i++) {
		const struct memory_slot *slot = &p->m->mem.slot[i];

		for (u64 n = 0; n < slot->size >> PAGE_SHIFT; n++)
			if (page_image_get(p->base, first + n))
				slot->flags[n] |= PAGE_TOUCHED;
		first += slot->size >> PAGE_SHIFT;
	}
}

void pages_free(struct pages *p)
{
	if (p->base)
		touch_base(p);
	page_image_put(p, p->base);
	p->base = NULL;
	assert(!p->bytes);
}

u64 pages_gpa(const struct pages *p, u64 n)
{
	const struct memory *mem = &p->m->mem;
	unsigned i = 0;

	while (n >= mem->slot[i].size >> PAGE_SHIFT)
		n -= mem->slot[i++].size >> PAGE_SHIFT;
	return mem->slot[i].gpa + (n << PAGE_SHIFT);
}

u64 pages_number(const struct pages *p, u64 gpa)
{
	const struct memory *mem = &p->m->mem;
	u64 first = 0;

	for (unsigned i = 0; i < mem->count; i++) {
		if (gpa - mem->slot[i].gpa < mem->slot[i].size)
			return first + ((gpa - mem->slot[i].gpa) >> PAGE_SHIFT);
		first += mem->slot[i].size >> PAGE_SHIFT;
	}
	return p->total;
}

/* The first touched page of @slot from @n on and before @end; @end when there is none. */
static u64 next_touched(const struct memory_slot *slot, u64 n, u64 end)
{
	while (n < end) {
		if (!(n & 7) && n + 8 <= end && !(load64(slot->flags + n) & 0x0101010101010101ull * PAGE_TOUCHED)) {
			n += 8;
			continue;
		}
		if (slot->flags[n] & PAGE_TOUCHED)
			return n;
		n++;
	}
	return end;
}

/* Nothing is touched any more; the engine will say again what is. */
static void untouch(struct pages *p)
{
	struct machine *m = p->m;

	for (unsigned i = 0; i < m->mem.count; i++) {
		struct memory_slot *slot = &m->mem.slot[i];
		u64 end = slot->size >> PAGE_SHIFT;

		for (u64 n = next_touched(slot, 0, end); n < end; n = next_touched(slot, n + 1, end))
			slot->flags[n] &= (u8)~PAGE_TOUCHED;
	}
	for (unsigned i = 0; i < m->config.vcpus; i++)
		if (m->vcpu[i]->engine->dirty_reset)
			m->vcpu[i]->engine->dirty_reset(m->vcpu[i]);
}

/* --- taking --- */

/* A leaf of @image that may be changed. */
static struct leaf *own_leaf(struct pages *p, struct page_image *image, u64 n)
{
	struct leaf *old = image->leaf[n], *leaf;

	if (old && old->refs == 1)
		return old;
	leaf = account(p, calloc(1, sizeof(*leaf)), sizeof(*leaf));
	if (!leaf)
		return NULL;
	leaf->refs = 1;
	if (old) {
		for (unsigned i = 0; i < LEAF_PAGES; i++) {
			leaf->page[i] = old->page[i];
			if (leaf->page[i])
				leaf->page[i]->refs++;
		}
		leaf_put(p, old);
	}
	image->leaf[n] = leaf;
	return leaf;
}

int page_image_set(struct pages *p, struct page_image *image, u64 n, const u8 *data)
{
	const u8 *old = page_image_get(image, n);
	struct page *page = NULL;
	struct leaf *leaf;

	if (!data)
		data = zeros;
	if (!memcmp(data, old ? old : zeros, PAGE_SIZE))
		return 0;
	leaf = own_leaf(p, image, n / LEAF_PAGES);
	if (!leaf)
		return -ENOMEM;
	if (memcmp(data, zeros, PAGE_SIZE)) {
		page = account(p, malloc(sizeof(*page)), sizeof(*page));
		if (!page)
			return -ENOMEM;
		page->refs = 1;
		memcpy(page->data, data, PAGE_SIZE);
	}
	page_put(p, leaf->page[n % LEAF_PAGES]);
	leaf->page[n % LEAF_PAGES] = page;
	return 0;
}

int page_image_begin(struct pages *p, struct page_image *from, struct page_image **out)
{
	struct page_image *image = image_new(p);

	if (!image)
		return -ENOMEM;
	for (u64 i = 0; from && i < image->nr_leaves; i++) {
		image->leaf[i] = from->leaf[i];
		if (image->leaf[i])
			image->leaf[i]->refs++;
	}
	*out = image;
	return 0;
}

int pages_take(struct pages *p, struct page_image **out)
{
	const struct memory *mem = &p->m->mem;
	struct page_image *image;
	u64 first = 0;

	if (page_image_begin(p, p->base, &image))
		return -ENOMEM;
	for (unsigned i = 0; i < mem->count; i++) {
		const struct memory_slot *slot = &mem->slot[i];
		u64 pages = slot->size >> PAGE_SHIFT;

		for (u64 n = next_touched(slot, 0, pages); n < pages; n = next_touched(slot, n + 1, pages)) {
			if (page_image_set(p, image, first + n, slot->host + (n << PAGE_SHIFT))) {
				page_image_put(p, image);
				return -ENOMEM;
			}
		}
		first += pages;
	}
	untouch(p);
	page_image_put(p, p->base);
	p->base = image;
	image->refs++;
	*out = image;
	return 0;
}

/* --- restoring --- */

static void restore_page(struct pages *p, struct memory_slot *slot, u64 n, const u8 *data)
{
	u8 *host = slot->host + (n << PAGE_SHIFT);

	if (!data)
		data = zeros;
	if (!memcmp(host, data, PAGE_SIZE))
		return;
	if (slot->flags[n] & PAGE_CODE)
		for (unsigned i = 0; i < p->m->config.vcpus; i++)
			p->m->vcpu[i]->engine->memory_changed(p->m->vcpu[i], slot->gpa + (n << PAGE_SHIFT), PAGE_SIZE);
	memcpy(host, data, PAGE_SIZE);
	slot->flags[n] |= PAGE_DIRTY;
}

void pages_restore(struct pages *p, struct page_image *image)
{
	struct memory *mem = &p->m->mem;
	u64 first = 0;

	for (unsigned i = 0; i < mem->count; i++) {
		struct memory_slot *slot = &mem->slot[i];
		u64 pages = slot->size >> PAGE_SHIFT;

		for (u64 n = 0; n < pages; n++) {
			u64 leaf = (first + n) / LEAF_PAGES;

			/* From one touched page to the next while both images share the leaf. */
			if (image->leaf[leaf] == p->base->leaf[leaf]) {
				u64 end = min64((leaf + 1) * LEAF_PAGES - first, pages);

				n = next_touched(slot, n, end);
				if (n == end) {
					n = end - 1;
					continue;
				}
			} else if (!(slot->flags[n] & PAGE_TOUCHED) &&
				   page_image_get(image, first + n) == page_image_get(p->base, first + n)) {
				continue;
			}
			restore_page(p, slot, n, page_image_get(image, first + n));
		}
		first += pages;
	}
	untouch(p);
	image->refs++;
	page_image_put(p, p->base);
	p->base = image;
}
