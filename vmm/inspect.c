/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/inspect.h"

#include <errno.h>

#include "vmm/x86/paging.h"

static u64 read_entry(void *opaque, u64 gpa, unsigned size)
{
	const struct memory *mem = opaque;
	u64 entry = 0;

	if (memory_read(mem, gpa, &entry, size))
		return size == 4 ? 0xffffffff : ~0ull;
	return entry;
}

int inspect_translate(const struct memory *mem, const struct x86_state *regs, u64 la, u64 *gpa)
{
	static const struct paging_ops ops = {.read = read_entry};
	struct paging_context context;
	struct paging_page page;

	if (x86_long_mode(regs) ? !x86_canonical(la) : la >> 32)
		return -EFAULT;
	paging_context_set(&context, regs);
	if (paging_walk(&context, &ops, (void *)mem, la, 0, &page))
		return -EFAULT;
	*gpa = page.gpa;
	return 0;
}

size_t inspect_read(const struct memory *mem, const struct x86_state *regs, u64 la, void *buf, size_t len)
{
	size_t done = 0;
	u64 gpa;

	while (done < len) {
		u64 at = la + done;
		size_t n = min64(len - done, PAGE_SIZE - (at & PAGE_MASK));

		if (inspect_translate(mem, regs, at, &gpa) || memory_read(mem, gpa, (u8 *)buf + done, n))
			break;
		done += n;
	}
	return done;
}

size_t inspect_read_physical(const struct memory *mem, u64 gpa, void *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		size_t n = min64(len - done, PAGE_SIZE - ((gpa + done) & PAGE_MASK));

		if (memory_read(mem, gpa + done, (u8 *)buf + done, n))
			break;
		done += n;
	}
	return done;
}
