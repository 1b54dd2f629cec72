// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Guest RAM: pages of the process that opened the machine, pinned when the guest first touches them and until the
 * file is closed. A pinned page stays ours whatever the process unmaps, so EPT can never reach one that somebody else
 * has got meanwhile. They count against RLIMIT_MEMLOCK. Where the page is a part of a huge one, all of that is pinned.
 */
#include <linux/mm.h>
#include <linux/sched/mm.h>

#include "vmdbg.h"

#define GPA_LIMIT BIT_ULL(40) /* the guest's physical address width */
#define LARGE     512u        /* pages of 2 MiB */

int machine_add_region(struct machine *m, const struct vmdbg_region *r)
{
	unsigned int i;

	if (r->reserved || !r->bytes || !PAGE_ALIGNED(r->gpa | r->bytes | r->uaddr))
		return -EINVAL;
	if (r->gpa >= GPA_LIMIT || r->bytes > GPA_LIMIT - r->gpa)
		return -EINVAL;
	if (r->uaddr + r->bytes < r->uaddr || r->uaddr + r->bytes > TASK_SIZE_MAX)
		return -EFAULT;
	for (i = 0; i < m->nr_regions; i++)
		if (r->gpa < m->region[i].gpa + m->region[i].bytes && m->region[i].gpa < r->gpa + r->bytes)
			return -EEXIST;
	if (m->nr_regions == VMDBG_MAX_REGIONS)
		return -ENOSPC;
	m->region[m->nr_regions++] = *r;
	return 0;
}

static const struct vmdbg_region *region_of(const struct machine *m, u64 gpa)
{
	unsigned int i;

	for (i = 0; i < m->nr_regions; i++)
		if (gpa - m->region[i].gpa < m->region[i].bytes)
			return &m->region[i];
	return NULL;
}

bool machine_is_ram(const struct machine *m, u64 gpa)
{
	return region_of(m, gpa);
}

struct page *machine_page(struct machine *m, u64 gpa)
{
	return xa_load(&m->pages, gpa >> PAGE_SHIFT);
}

bool machine_is_large(struct machine *m, u64 gpa)
{
	return xa_load(&m->large, gpa >> PAGE_SHIFT >> ilog2(LARGE));
}

/* Keeps what isn't kept yet of a run of pinned pages. Whether all of it is ours now. */
static bool keep_pages(struct machine *m, unsigned long gfn, struct page **pages, unsigned int n)
{
	unsigned int i, kept = 0;
	bool all = true;

	for (i = 0; i < n; i++) {
		void *old = xa_cmpxchg(&m->pages, gfn + i, NULL, pages[i], GFP_KERNEL_ACCOUNT);

		if (!old) {
			kept++;
			continue;
		}
		/* The page that was met first, mostly; or there is no memory for the array. */
		all &= old == pages[i];
		unpin_user_page(pages[i]);
	}
	account_locked_vm(m->mm, LARGE - kept, false);
	return all && n == LARGE;
}

static bool one_run(struct page **pages)
{
	unsigned long pfn = page_to_pfn(pages[0]);
	unsigned int i;

	for (i = 0; i < LARGE; i++)
		if (page_to_pfn(pages[i]) != pfn + i)
			return false;
	return !(pfn % LARGE);
}

/* The 2 MiB around @gpa, whose page is @page. An attempt: a limit on locked memory, say, leaves it at the one page. */
static void pin_large(struct machine *m, const struct vmdbg_region *r, u64 gpa, struct page *page)
{
	u64 base = gpa & ~((u64)LARGE * PAGE_SIZE - 1);
	unsigned long gfn = base >> PAGE_SHIFT;
	struct page **pages;
	int n;

	if (!vmx_caps.ept_large || folio_order(page_folio(page)) < ilog2(LARGE) ||
	    page_to_pfn(page) % LARGE != (gpa >> PAGE_SHIFT) % LARGE)
		return;
	if (base < r->gpa || base + (u64)LARGE * PAGE_SIZE > r->gpa + r->bytes)
		return;
	pages = kmalloc_array(LARGE, sizeof(*pages), GFP_KERNEL_ACCOUNT);
	if (!pages)
		return;
	if (!account_locked_vm(m->mm, LARGE, true)) {
		n = pin_user_pages_fast(r->uaddr + (base - r->gpa), LARGE, FOLL_WRITE | FOLL_LONGTERM, pages);
		if (keep_pages(m, gfn, pages, max(n, 0)) && one_run(pages))
			xa_store(&m->large, gfn / LARGE, xa_mk_value(1), GFP_KERNEL_ACCOUNT);
	}
	kfree(pages);
}

int machine_pin(struct machine *m, u64 gpa)
{
	const struct vmdbg_region *r = region_of(m, gpa);
	struct page *page;
	void *old;
	int ret;

	if (!r || current->mm != m->mm)
		return -EFAULT;
	if (machine_page(m, gpa))
		return 0;
	ret = account_locked_vm(m->mm, 1, true);
	if (ret)
		return ret;
	ret = pin_user_pages_fast(r->uaddr + ((gpa - r->gpa) & PAGE_MASK), 1, FOLL_WRITE | FOLL_LONGTERM, &page);
	if (ret != 1) {
		account_locked_vm(m->mm, 1, false);
		return ret < 0 ? ret : -EFAULT;
	}
	old = xa_cmpxchg(&m->pages, gpa >> PAGE_SHIFT, NULL, page, GFP_KERNEL_ACCOUNT);
	if (old) {
		/* Another vCPU was first, or there is no memory for the array. */
		unpin_user_page(page);
		account_locked_vm(m->mm, 1, false);
		return xa_err(old);
	}
	pin_large(m, r, gpa, page);
	return 0;
}

void machine_unpin_all(struct machine *m)
{
	unsigned long gfn, n = 0;
	struct page *page;

	xa_for_each(&m->pages, gfn, page)
	{
		unpin_user_pages_dirty_lock(&page, 1, true);
		n++;
		cond_resched();
	}
	xa_destroy(&m->pages);
	xa_destroy(&m->large);
	account_locked_vm(m->mm, n, false);
}
