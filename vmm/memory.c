/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/memory.h"

#include <errno.h>
#include <sys/mman.h>

#define HUGE (2ull << 20)

/* Untouched pages cost nothing: the host commits a page when it is first written. Begins where a huge page can. */
static u8 *map_lazily(u64 size)
{
	u8 *p = mmap(NULL, size + HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	u64 before = -(uintptr_t)p % HUGE, pages = (size + PAGE_MASK) & ~PAGE_MASK;

	if (p == MAP_FAILED)
		return NULL;
	if (before)
		munmap(p, before);
	munmap(p + before + pages, HUGE - before);
	return p + before;
}

static int slot_add(struct memory *mem, u64 gpa, u64 size)
{
	struct memory_slot *slot = &mem->slot[mem->count];

	*slot = (struct memory_slot){.gpa = gpa, .size = size};
	slot->host = map_lazily(size);
	if (!slot->host)
		return -ENOMEM;
	slot->flags = map_lazily(size >> PAGE_SHIFT);
	if (!slot->flags) {
		munmap(slot->host, size);
		return -ENOMEM;
	}
	mem->count++;
	return 0;
}

int memory_init(struct memory *mem, u64 size, struct error *err)
{
	u64 low = min64(size, MEMORY_HOLE_START);

	*mem = (struct memory){.size = size};
	if (size < MEMORY_MIN || size > MEMORY_MAX)
		return error_set(err, -EINVAL, "memory of %llu bytes: must be from 1 MiB to 64 GiB",
				 (unsigned long long)size);
	if (size & PAGE_MASK)
		return error_set(err, -EINVAL, "memory of %llu bytes: must be a multiple of 4096",
				 (unsigned long long)size);
	if (slot_add(mem, 0, low) < 0 || (size > low && slot_add(mem, MEMORY_HOLE_END, size - low) < 0)) {
		memory_free(mem);
		return error_set(err, -ENOMEM, "the host has no address space for %llu MiB of guest memory",
				 (unsigned long long)(size >> 20));
	}
	return 0;
}

void memory_free(struct memory *mem)
{
	for (unsigned i = 0; i < mem->count; i++) {
		munmap(mem->slot[i].host, mem->slot[i].size);
		munmap(mem->slot[i].flags, mem->slot[i].size >> PAGE_SHIFT);
	}
	mem->count = 0;
	mem->size = 0;
}

u8 *memory_host(const struct memory *mem, u64 gpa, u64 len)
{
	const struct memory_slot *slot = memory_slot(mem, gpa);

	if (!slot || len > slot->size - (gpa - slot->gpa))
		return NULL;
	return slot->host + (gpa - slot->gpa);
}

/* How much of [gpa, gpa + len) lies in @slot. */
static u64 part(const struct memory_slot *slot, u64 gpa, u64 len)
{
	return min64(len, slot->size - (gpa - slot->gpa));
}

static bool all_ram(const struct memory *mem, u64 gpa, u64 len)
{
	while (len) {
		const struct memory_slot *slot = memory_slot(mem, gpa);
		u64 n;

		if (!slot)
			return false;
		n = part(slot, gpa, len);
		gpa += n;
		len -= n;
	}
	return true;
}

int memory_read(const struct memory *mem, u64 gpa, void *buf, u64 len)
{
	u8 *out = buf;

	if (!all_ram(mem, gpa, len))
		return -EFAULT;
	while (len) {
		const struct memory_slot *slot = memory_slot(mem, gpa);
		u64 n = part(slot, gpa, len);

		memcpy(out, slot->host + (gpa - slot->gpa), n);
		out += n;
		gpa += n;
		len -= n;
	}
	return 0;
}

static void write_part(const struct memory_slot *slot, u64 gpa, const u8 *in, u64 n)
{
	u64 offset = gpa - slot->gpa;

	for (u64 page = offset >> PAGE_SHIFT; page <= (offset + n - 1) >> PAGE_SHIFT; page++)
		slot->flags[page] |= PAGE_WRITTEN;
	memcpy(slot->host + offset, in, n);
}

int memory_write(struct memory *mem, u64 gpa, const void *buf, u64 len)
{
	const u8 *in = buf;

	if (!all_ram(mem, gpa, len))
		return -EFAULT;
	if (len && mem->changed)
		mem->changed(mem->changed_opaque, gpa, len);
	while (len) {
		const struct memory_slot *slot = memory_slot(mem, gpa);
		u64 n = part(slot, gpa, len);

		write_part(slot, gpa, in, n);
		in += n;
		gpa += n;
		len -= n;
	}
	return 0;
}
