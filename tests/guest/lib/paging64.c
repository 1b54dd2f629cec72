/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Page tables beside the identity mapping, and ring 3. */
#include "tests/guest/lib/guest.h"

#define POOL_PAGES 192

static u8 pool[POOL_PAGES][4096] __attribute__((aligned(4096)));
static unsigned pool_used;
extern u64 boot_pml4[];

u64 page_alloc(void)
{
	if (pool_used == POOL_PAGES) {
		put_string("not ok page pool empty\n");
		exit_with(EXIT_FAILED);
	}
	return (u64)pool[pool_used++];
}

volatile u64 *pte_of(u64 va, int level)
{
	volatile u64 *table = boot_pml4;

	for (int l = 4; l > level; l--) {
		volatile u64 *e = &table[va >> (12 + 9 * (l - 1)) & 511];

		if (!(*e & PTE_P))
			*e = page_alloc() | PTE_P | PTE_W | PTE_U;
		*e |= PTE_U;
		table = (u64 *)(*e & 0xffffffffff000);
	}
	return &table[va >> (12 + 9 * (level - 1)) & 511];
}

struct user_entry {
	u64 rip, cs, rflags, rsp, ss, rdi;
};
void enter_user(struct user_entry *e);

static struct user_entry entry;

static void user_body(void)
{
	enter_user(&entry);
}

void run_user(const void *code, size_t len, u16 cs, u64 arg, ulong flags)
{
	static u64 page, stack;

	if (!page) {
		page = page_alloc();
		stack = page_alloc();
		*pte_of(USER_CODE, 1) = page | PTE_P | PTE_U | PTE_W;
		*pte_of(USER_STACK - 4096, 1) = stack | PTE_P | PTE_U | PTE_W;
	}
	memcpy((void *)page, code, len);
	if (cs == SEL_UCODE32) {
		/* 1 GiB up is identity-mapped by 2 MiB pages: take one of them for the two pages. */
		static u64 table;

		if (!table) {
			volatile u64 *pde = pte_of(USER_LOW, 2);

			table = page_alloc();
			((u64 *)table)[0] = page | PTE_P | PTE_U | PTE_W;
			((u64 *)table)[1] = stack | PTE_P | PTE_U | PTE_W;
			*pde = table | PTE_P | PTE_U | PTE_W;
			invlpg(USER_LOW);
			invlpg(USER_LOW + 4096);
		}
		entry = (struct user_entry){USER_LOW, cs, flags, USER_LOW + 8192, SEL_UDATA, arg};
	} else {
		entry = (struct user_entry){USER_CODE, cs, flags, USER_STACK, SEL_UDATA, arg};
	}
	traps_reset();
	try_call(user_body);
}
