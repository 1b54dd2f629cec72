// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Extended page tables: four levels, one set for each vCPU, so that a page can be opened to one vCPU alone (SDM 3C 29.3). Leaves are write-back whatever the guest's PAT says (IPAT): it is the host's RAM, and no device of its
 * own looks at it.
 *
 * Permissions of a leaf: R and X when the page is touched, W at the first write, and never more than its limit. Writes
 * are found by write protection, which shows each page once. Accessed and dirty flags are on for their side effect: the
 * guest's page walks then count as writes to its page tables (29.3.5), so no update of a guest's accessed flag goes
 * unseen, not even in Bochs 2.7, which doesn't check W for those.
 *
 * Leaves are of 4 KiB. What the process has in one huge page is mapped by one of 2 MiB at first, which is never writable and
 * has no limits in it: a write or a limit splits it into 512, and they aren't put together again.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include <asm/vmx.h>

#include "vmdbg.h"

#define LEVELS    4
#define ENTRIES   512
#define ADDR_MASK 0x000ffffffffff000ull
#define LARGE     BIT_ULL(7) /* of an entry of the second level: it maps 2 MiB */
#define LEAF      (VMX_EPTP_MT_WB << VMX_EPT_MT_EPTE_SHIFT | VMX_EPT_IPAT_BIT)

struct invept_desc {
	u64 eptp, reserved;
};

struct invvpid_desc {
	u64 vpid, la;
};

int ept_init(struct ept *ept)
{
	ept->root = (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	ept->written = kvmalloc_array(EPT_WRITTEN, sizeof(*ept->written), GFP_KERNEL_ACCOUNT);
	if (!ept->root || !ept->written)
		return -ENOMEM;
	ept->eptp = __pa(ept->root) | VMX_EPTP_PWL_4 | VMX_EPTP_MT_WB;
	if (vmx_caps.ept_ad)
		ept->eptp |= VMX_EPTP_AD_ENABLE_BIT;
	ept->stale = true;
	ept->exec_only = vmx_caps.features & VMDBG_FEATURE_EXEC_ONLY;
	xa_init(&ept->limits);
	return 0;
}

static void free_level(u64 *table, unsigned int level)
{
	unsigned int i;

	for (i = 0; level > 1 && i < ENTRIES; i++)
		if (table[i] && !(table[i] & LARGE))
			free_level(__va(table[i] & ADDR_MASK), level - 1);
	free_page((unsigned long)table);
}

void ept_free(struct ept *ept)
{
	struct limit *limit;
	unsigned long gfn;

	kvfree(ept->written);
	ept->written = NULL;
	if (!ept->root)
		return;
	xa_for_each(&ept->limits, gfn, limit)
	{
		if (limit->twin)
			__free_page(limit->twin);
		kfree(limit);
	}
	xa_destroy(&ept->limits);
	free_level(ept->root, LEVELS);
	ept->root = NULL;
}

static u64 *entry_at(u64 *table, u64 gpa, unsigned int level)
{
	return &table[gpa >> (PAGE_SHIFT + 9 * (level - 1)) & (ENTRIES - 1)];
}

/* A new table in @e's place, which maps what @e has mapped. */
static int add_table(struct ept *ept, u64 *e)
{
	u64 *next = (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	unsigned int i;

	if (!next)
		return -ENOMEM;
	if (*e & LARGE) {
		for (i = 0; i < ENTRIES; i++)
			next[i] = (*e & ~LARGE) + (u64)i * PAGE_SIZE;
		ept->stale = true;
		ept->splits++;
	}
	*e = __pa(next) | VMX_EPT_RWX_MASK;
	return 0;
}

/* The table of @level on the way to @gpa, or NULL: no memory. */
static u64 *reserve(struct ept *ept, u64 gpa, unsigned int to)
{
	u64 *table = ept->root;
	unsigned int level;

	for (level = LEVELS; level > to; level--) {
		u64 *e = entry_at(table, gpa, level);

		if ((!*e || *e & LARGE) && add_table(ept, e))
			return NULL;
		table = __va(*e & ADDR_MASK);
	}
	return table;
}

int ept_reserve(struct ept *ept, u64 gpa)
{
	return reserve(ept, gpa, 1) ? 0 : -ENOMEM;
}

bool ept_map_large(struct ept *ept, u64 gpa, u64 hpa)
{
	unsigned long first = gpa >> PAGE_SHIFT & ~(ENTRIES - 1ul);
	u64 *table, *e;

	if (xa_find(&ept->limits, &first, first + ENTRIES - 1, XA_PRESENT))
		return false;
	table = reserve(ept, gpa, 2);
	if (!table)
		return false;
	e = entry_at(table, gpa, 2);
	if (*e)
		return false;
	*e = (hpa & ~((u64)ENTRIES * PAGE_SIZE - 1)) | VMDBG_R | VMDBG_X | LARGE | LEAF;
	ept->large_pages++;
	return true;
}

int ept_split(struct ept *ept, u64 gpa)
{
	u64 *table = ept->root;
	unsigned int level;

	for (level = LEVELS; level > 1; level--) {
		u64 *e = entry_at(table, gpa, level);

		if (!*e)
			return 0;
		if (*e & LARGE)
			return add_table(ept, e);
		table = __va(*e & ADDR_MASK);
	}
	return 0;
}

u64 *ept_entry(struct ept *ept, u64 gpa)
{
	u64 *table = ept->root;
	unsigned int level;

	for (level = LEVELS; level > 1; level--) {
		u64 e = *entry_at(table, gpa, level);

		if (!e || e & LARGE)
			return NULL;
		table = __va(e & ADDR_MASK);
	}
	return entry_at(table, gpa, 1);
}

/* VMDBG_R, W and X are the bits of an entry. A writable page that isn't readable is a misconfiguration. */
void ept_set(struct ept *ept, u64 *entry, u64 hpa, u32 access)
{
	if (!(access & VMDBG_R))
		access &= ept->exec_only ? VMDBG_X : 0;
	/* Only what takes rights away, or changes the page, can be in a TLB wrongly (29.4.3.1). */
	if (*entry & VMX_EPT_RWX_MASK && ((*entry ^ hpa) & ADDR_MASK || *entry & VMX_EPT_RWX_MASK & ~access))
		ept->stale = true;
	*entry = access ? hpa | access | LEAF : 0;
}

void ept_clear(struct ept *ept, u64 *entry)
{
	if (*entry)
		ept->stale = true;
	*entry = 0;
}

static void protect_level(u64 *table, unsigned int level)
{
	unsigned int i;

	for (i = 0; i < ENTRIES; i++) {
		if (!table[i] || table[i] & LARGE)
			continue;
		if (level > 1)
			protect_level(__va(table[i] & ADDR_MASK), level - 1);
		else
			table[i] &= ~(u64)VMX_EPT_WRITABLE_MASK;
	}
}

void ept_note_written(struct ept *ept, u64 *entry)
{
	if (ept->nr_written < EPT_WRITTEN)
		ept->written[ept->nr_written] = entry;
	if (ept->nr_written <= EPT_WRITTEN)
		ept->nr_written++;
}

void ept_write_protect(struct ept *ept)
{
	unsigned int i;

	if (!ept->nr_written)
		return;
	if (ept->nr_written > EPT_WRITTEN)
		protect_level(ept->root, LEVELS);
	else
		for (i = 0; i < ept->nr_written; i++)
			*ept->written[i] &= ~(u64)VMX_EPT_WRITABLE_MASK;
	ept->nr_written = 0;
	ept->stale = true;
}

static void clear_level(u64 *table, unsigned int level)
{
	unsigned int i;

	for (i = 0; i < ENTRIES; i++)
		if (level > 1 && table[i] && !(table[i] & LARGE))
			clear_level(__va(table[i] & ADDR_MASK), level - 1);
		else
			table[i] = 0;
}

void ept_clear_all(struct ept *ept)
{
	clear_level(ept->root, LEVELS);
	ept->stale = true;
}

void ept_flush(struct ept *ept, bool single)
{
	struct invept_desc desc = {.eptp = single ? ept->eptp : 0};
	u64 type = single ? VMX_EPT_EXTENT_CONTEXT : VMX_EPT_EXTENT_GLOBAL;

	asm volatile("invept %0, %1" : : "m"(desc), "r"(type) : "cc", "memory");
	if (ept)
		ept->stale = false;
}

void vpid_flush(u16 vpid)
{
	struct invvpid_desc desc = {.vpid = vpid};

	asm volatile("invvpid %0, %1" : : "m"(desc), "r"(1ull) : "cc", "memory");
}
