/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Images of guest memory that share their pages: what checkpoints hold of RAM.
 *
 * RAM is compared with the image last taken or restored (the base) through PAGE_TOUCHED, so taking one costs a copy of
 * each page written since, and restoring one a copy of each page in which it differs from now. Pages of zeros cost
 * nothing. One pass over the page flags (a byte a page) comes with both. */
#ifndef REPLAY_PAGES_H
#define REPLAY_PAGES_H

#include "vmm/types.h"

struct machine;
struct page_image;

struct pages {
	struct machine *m;
	struct page_image *base; /* RAM is this, but for pages flagged PAGE_TOUCHED */
	u64 total;               /* guest pages, slot after slot */
	u64 bytes;               /* held by all images */
};

/* Everything written before counts as touched. -ENOMEM. */
int pages_init(struct pages *p, struct machine *m);
/* After all images were let go, with the machine still there: somebody else may begin anew. One at a time has its machine's
 * PAGE_TOUCHED. */
void pages_free(struct pages *p);

/* An image of RAM as it is now; page_image_put() lets it go. -ENOMEM: nothing has changed. */
int pages_take(struct pages *p, struct page_image **out);
/* RAM becomes that of the image. Tells the engine of changed code; digests see changed pages as dirty. */
void pages_restore(struct pages *p, struct page_image *image);
void page_image_put(struct pages *p, struct page_image *image);

/* An image made page by page: as @from (NULL: all zeros), but for what page_image_set() sets. */
int page_image_begin(struct pages *p, struct page_image *from, struct page_image **out);
/* @data: PAGE_SIZE; NULL: zeros. -ENOMEM. Only while nobody else has the image. */
int page_image_set(struct pages *p, struct page_image *image, u64 n, const u8 *data);

/* Page @n (in slot order) of an image, or NULL when it is all zeros. */
const u8 *page_image_get(const struct page_image *image, u64 n);
/* Its guest-physical address, and back; p->total: that is no RAM. */
u64 pages_gpa(const struct pages *p, u64 n);
u64 pages_number(const struct pages *p, u64 gpa);

#endif
