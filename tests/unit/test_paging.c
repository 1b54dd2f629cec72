/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The page walker against the rules of SDM 3A chapter 4, worked out again here, over all combinations of rights. */
#include <check.h>
#include <stdlib.h>

#include "vmm/x86/paging.h"
#include "vmm/x86/state.h"

#define RAM_SIZE 0x10000
#define ROOT     0x1000ull
#define PDPT     0x2000ull
#define PD       0x3000ull
#define PT       0x4000ull

static u8 ram[RAM_SIZE];
static unsigned stores;

static u64 ram_read(void *opaque, u64 gpa, unsigned size)
{
	if ((size != 4 && size != 8) || gpa % size)
		ck_abort_msg("read of %u bytes at %lx", size, gpa);
	if (gpa > RAM_SIZE - size)
		return ~0ull >> (64 - 8 * size);
	return size == 4 ? load32(ram + gpa) : load64(ram + gpa);
}

static bool ram_set_bits(void *opaque, u64 gpa, unsigned size, u64 old, u64 bits)
{
	stores++;
	if (gpa > RAM_SIZE - size)
		return true;
	if (ram_read(opaque, gpa, size) != old)
		return false;
	if (size == 4)
		store32(ram + gpa, old | bits);
	else
		store64(ram + gpa, old | bits);
	return true;
}

static const struct paging_ops ops = {ram_read, ram_set_bits};
static const struct paging_ops peek_ops = {ram_read, NULL};

enum paging_mode { PAGING_32, PAGING_PAE, PAGING_4LEVEL };

static struct paging_context context(enum paging_mode mode)
{
	struct paging_context pc = {.cr0 = CR0_PG | CR0_PE | CR0_WP, .cr3 = ROOT, .phys_bits = 40};

	pc.cr4 = CR4_PSE | (mode == PAGING_32 ? 0 : CR4_PAE);
	if (mode == PAGING_4LEVEL)
		pc.efer = EFER_LME | EFER_LMA;
	return pc;
}

/* Entries for a walk of linear address 0 whose directory entry is @pde and table entry @pte. */
static void tables(struct paging_context *pc, enum paging_mode mode, u64 pde, u64 pte)
{
	memset(ram, 0, sizeof(ram));
	stores = 0;
	if (mode == PAGING_32) {
		store32(ram + ROOT, pde);
		store32(ram + PT, pte);
		return;
	}
	store64(ram + ROOT, PDPT | PTE_P | PTE_W | PTE_U);
	store64(ram + PDPT, PD | PTE_P | PTE_W | PTE_U);
	store64(ram + PD, pde);
	store64(ram + PT, pte);
	for (unsigned i = 0; i < 4; i++)
		pc->pdpte[i] = i ? 0 : PD | PTE_P;
}

/* --- the expectation, from the manual --- */

struct rights {
	bool user, writable, xd;
};

/* SDM 3A 4.6.1, sentence by sentence. */
static bool allowed(const struct paging_context *pc, struct rights r, unsigned access)
{
	bool user_access = access & PAGING_USER, nxe = pc->efer & EFER_NXE;
	bool user_address = r.user;

	if (!user_access && !(access & PAGING_EXEC) && !(access & PAGING_WRITE)) {
		/* supervisor reads: any supervisor address; user addresses as CR4.SMAP and AC say */
		return !user_address || !(pc->cr4 & CR4_SMAP) || (access & PAGING_AC);
	}
	if (!user_access && (access & PAGING_WRITE)) {
		if (user_address && (pc->cr4 & CR4_SMAP) && !(access & PAGING_AC))
			return false;
		return pc->cr0 & CR0_WP ? r.writable : true;
	}
	if (!user_access) {
		if (user_address && (pc->cr4 & CR4_SMEP))
			return false;
		return !nxe || !r.xd;
	}
	if (!user_address)
		return false;
	if (access & PAGING_WRITE)
		return r.writable;
	if (access & PAGING_EXEC)
		return !nxe || !r.xd;
	return true;
}

/* The expected result: ~0 no fault, otherwise the error code (4.7). */
static u32 expected(const struct paging_context *pc, enum paging_mode mode, u64 pde, u64 pte, unsigned access)
{
	bool wide = mode != PAGING_32, nxe = wide && (pc->efer & EFER_NXE);
	u64 reserved = wide ? BIT(45) | (nxe ? 0 : PTE_NX) : 0;
	struct rights r;
	u32 code = 0;

	if (access & PAGING_WRITE)
		code |= PF_W;
	if (access & PAGING_USER)
		code |= PF_U;
	if ((access & PAGING_EXEC) && ((pc->cr4 & CR4_SMEP) || nxe))
		code |= PF_I;
	if (!(pde & PTE_P))
		return code;
	if (pde & reserved)
		return code | PF_P | PF_RSVD;
	if (!(pte & PTE_P))
		return code;
	if (pte & reserved)
		return code | PF_P | PF_RSVD;
	r.user = (pde & PTE_U) && (pte & PTE_U);
	r.writable = (pde & PTE_W) && (pte & PTE_W);
	r.xd = (pde & PTE_NX) || (pte & PTE_NX);
	return allowed(pc, r, access) ? ~0u : code | PF_P;
}

/* Rights of one entry by the bits of @n: P, W, U, XD, a reserved address bit. */
static u64 entry_bits(unsigned n, enum paging_mode mode)
{
	u64 entry = (n & 1 ? PTE_P : 0) | (n & 2 ? PTE_W : 0) | (n & 4 ? PTE_U : 0);

	if (mode != PAGING_32)
		entry |= (n & 8 ? PTE_NX : 0) | (n & 16 ? BIT(45) : 0);
	return entry;
}

static bool marks_right(enum paging_mode mode, u64 pde, u64 pte, unsigned access)
{
	unsigned size = mode == PAGING_32 ? 4 : 8;

	return ram_read(NULL, mode == PAGING_32 ? ROOT : PD, size) == (pde | PTE_A) &&
	       ram_read(NULL, PT, size) == (pte | PTE_A | (access & PAGING_WRITE ? PTE_D : 0));
}

/* Check's assertions cost a system call each: only failures may use them here. */
static void check_one(struct paging_context *pc, enum paging_mode mode, u64 pde, u64 pte, unsigned access)
{
	u32 want = expected(pc, mode, pde, pte, access);
	struct paging_page page;
	bool right;
	int err;

	tables(pc, mode, pde, pte);
	err = paging_walk(pc, &ops, NULL, 0x123, access, &page);
	if (want == ~0u)
		right = err == 0 && page.gpa == 0x5123 && page.page_bits == 12 &&
			page.dirty == !!(access & PAGING_WRITE) && !page.untracked &&
			marks_right(mode, pde, pte, access);
	else
		right = err == -1 && page.error == want && stores == 0;
	if (!right)
		ck_abort_msg("mode %d pde %lx pte %lx access %x: %d, error %x, not %x", mode, pde, pte, access, err,
			     err ? page.error : 0, want);
}

static void check_all_entries(struct paging_context *pc, enum paging_mode mode)
{
	static const unsigned accesses[] = {
	    0,
	    PAGING_WRITE,
	    PAGING_EXEC,
	    PAGING_AC,
	    PAGING_WRITE | PAGING_AC,
	    PAGING_EXEC | PAGING_AC,
	    PAGING_USER,
	    PAGING_USER | PAGING_WRITE,
	    PAGING_USER | PAGING_EXEC,
	    PAGING_USER | PAGING_WRITE | PAGING_AC,
	};
	unsigned n = mode == PAGING_32 ? 8 : 32;

	for (unsigned i = 0; i < n; i++)
		for (unsigned j = 0; j < n; j++)
			for (unsigned k = 0; k < ARRAY_SIZE(accesses); k++)
				check_one(pc, mode, PT | entry_bits(i, mode), 0x5000 | entry_bits(j, mode),
					  accesses[k]);
}

START_TEST(test_rights)
{
	enum paging_mode mode = _i / 16;
	struct paging_context pc = context(mode);

	if (_i & 1)
		pc.cr0 &= ~CR0_WP;
	if (_i & 2)
		pc.cr4 |= CR4_SMEP;
	if (_i & 4)
		pc.cr4 |= CR4_SMAP;
	if (_i & 8)
		pc.efer |= EFER_NXE;
	check_all_entries(&pc, mode);
}
END_TEST

/* --- page sizes, addresses, reserved bits of every kind of entry --- */

static u32 walk_error(struct paging_context *pc, u64 la)
{
	struct paging_page page;

	return paging_walk(pc, &ops, NULL, la, 0, &page) ? page.error : ~0u;
}

START_TEST(test_off)
{
	struct paging_context pc = {.phys_bits = 40};
	struct paging_page page;

	ck_assert_int_eq(paging_walk(&pc, &ops, NULL, 0x12345678, PAGING_WRITE, &page), 0);
	ck_assert_uint_eq(page.gpa, 0x12345678);
	ck_assert_uint_eq(page.page_bits, 32);
	ck_assert(page.writable && page.user && page.dirty && !page.nx && !page.global);
}
END_TEST

START_TEST(test_32_big)
{
	struct paging_context pc = context(PAGING_32);
	struct paging_page page;

	memset(ram, 0, sizeof(ram));
	/* entry 3: address 31:22 = 5, PSE-36 bits 39:32 = A5h, global, dirty */
	store32(ram + ROOT + 4 * 3, 5u << 22 | 0xa5u << 13 | PTE_P | PTE_W | PTE_PS | PTE_G | PTE_D);
	pc.cr4 |= CR4_PGE;
	ck_assert_int_eq(paging_walk(&pc, &ops, NULL, 3u << 22 | 0x123456, 0, &page), 0);
	ck_assert_uint_eq(page.gpa, 0xa500000000 | 5u << 22 | 0x123456);
	ck_assert_uint_eq(page.page_bits, 22);
	ck_assert(page.global && page.writable && !page.user && page.dirty);
	pc.cr4 &= ~CR4_PGE;
	ck_assert_int_eq(paging_walk(&pc, &ops, NULL, 3u << 22, 0, &page), 0);
	ck_assert(!page.global);
	/* bit 21 is reserved; with MAXPHYADDR 36, so are 20:17 */
	store32(ram + ROOT + 4 * 3, 5u << 22 | BIT(21) | PTE_P | PTE_PS);
	ck_assert_uint_eq(walk_error(&pc, 3u << 22), PF_P | PF_RSVD);
	store32(ram + ROOT + 4 * 3, 5u << 22 | BIT(17) | PTE_P | PTE_PS);
	ck_assert_uint_eq(walk_error(&pc, 3u << 22), ~0u);
	pc.phys_bits = 36;
	ck_assert_uint_eq(walk_error(&pc, 3u << 22), PF_P | PF_RSVD);
	/* without CR4.PSE bit 7 means nothing */
	pc = context(PAGING_32);
	pc.cr4 &= ~CR4_PSE;
	store32(ram + ROOT + 4 * 3, PT | PTE_P | PTE_PS);
	store32(ram + PT + 4 * 0x3ff, 0x7000 | PTE_P);
	ck_assert_int_eq(paging_walk(&pc, &ops, NULL, 3u << 22 | 0x3ff123, 0, &page), 0);
	ck_assert_uint_eq(page.gpa, 0x7123);
	ck_assert_uint_eq(page.page_bits, 12);
}
END_TEST

START_TEST(test_pae)
{
	struct paging_context pc = context(PAGING_PAE);
	struct paging_page page;

	memset(ram, 0, sizeof(ram));
	pc.pdpte[3] = PD | PTE_P;
	store64(ram + PD + 8 * 0x1ff, 0xff12200000 | PTE_P | PTE_PS | PTE_W | PTE_U | PTE_PAT_BIG);
	ck_assert_int_eq(paging_walk(&pc, &ops, NULL, 0xffffffff, PAGING_USER | PAGING_WRITE, &page), 0);
	ck_assert_uint_eq(page.gpa, 0xff123fffff);
	ck_assert_uint_eq(page.page_bits, 21);
	/* bits 20:13 of a 2 MiB entry, and 62:40 of any, are reserved */
	for (unsigned bit = 13; bit < 63; bit++) {
		bool reserved = bit < 21 || bit >= 40;

		store64(ram + PD + 8 * 0x1ff, 0xff12200000 | PTE_P | PTE_PS | BIT(bit));
		ck_assert_msg(walk_error(&pc, 0xffffffff) == (reserved ? PF_P | PF_RSVD : ~0u), "bit %u", bit);
	}
	/* an absent PDPTE */
	ck_assert_uint_eq(walk_error(&pc, 0x7fffffff), 0);
	/* what MOV to CR3 checks (table 4-8) */
	for (unsigned bit = 1; bit < 64; bit++) {
		bool reserved = bit == 1 || bit == 2 || (bit >= 5 && bit <= 8) || bit >= 40;

		ck_assert_msg(paging_pdpte_valid(PTE_P | BIT(bit), 40) == !reserved, "bit %u", bit);
		ck_assert(paging_pdpte_valid(BIT(bit), 40));
	}
	ck_assert_uint_eq(paging_pdpt(0x123456ff), 0x123456e0);
}
END_TEST

/* Which bits are reserved at each level of 4-level paging: 51:40 everywhere, 63 without NXE, PS in a PML4E, and the
 * address bits below a large page's size. */
START_TEST(test_reserved_4level)
{
	static const u64 table[4] = {PT, PD, PDPT, ROOT};
	struct paging_context pc = context(PAGING_4LEVEL);

	for (unsigned level = 0; level < 4; level++) {
		for (unsigned ps = 0; ps < 2; ps++) {
			for (unsigned bit = 9; bit < 64; bit++) {
				bool big = ps && (level == 1 || level == 2), bad;
				u64 entry;

				if (big && bit < 40 && bit >= (level == 1 ? 21 : 30))
					continue; /* an address bit: anything goes */
				if (!big && bit >= 12 && bit < 40)
					continue;
				tables(&pc, PAGING_4LEVEL, PT | PTE_P, 0x5000 | PTE_P);
				entry = load64(ram + table[level]);
				if (big)
					entry = PTE_P | PTE_PS;
				else if (ps)
					entry |= PTE_PS; /* PAT in a PTE, reserved in a PML4E */
				store64(ram + table[level], entry | BIT(bit));
				bad = (bit >= 40 && bit < 52) || bit == 63 || (big && bit >= 13 && bit < 40) ||
				      (ps && level == 3);
				ck_assert_msg(walk_error(&pc, 0) == (bad ? PF_P | PF_RSVD : ~0u),
					      "level %u ps %u bit %u", level, ps, bit);
			}
		}
	}
}
END_TEST

START_TEST(test_4level_sizes)
{
	struct paging_context pc = context(PAGING_4LEVEL);
	u64 la = 0xffff800000000000 | 5ull << 30 | 6ull << 21 | 7ull << 12 | 0x89a;
	struct paging_page page;

	memset(ram, 0, sizeof(ram));
	pc.cr3 = ROOT | 0xfff; /* a PCID */
	pc.cr4 |= CR4_PCIDE | CR4_PGE;
	store64(ram + ROOT + 8 * 256, PDPT | PTE_P | PTE_W | PTE_U);
	store64(ram + PDPT + 8 * 5, PD | PTE_P | PTE_W);
	store64(ram + PD + 8 * 6, PT | PTE_P | PTE_W | PTE_U | PTE_G);
	store64(ram + PT + 8 * 7, 0xabcdef7000 | PTE_P | PTE_W | PTE_U | PTE_PS);
	ck_assert_int_eq(paging_walk(&pc, &ops, NULL, la, 0, &page), 0);
	ck_assert_uint_eq(page.gpa, 0xabcdef789a);
	ck_assert_uint_eq(page.page_bits, 12);
	ck_assert(!page.user && page.writable && !page.global && !page.dirty);
	/* now marked: nothing more to store */
	ck_assert_uint_eq(stores, 4);
	ck_assert_int_eq(paging_walk(&pc, &ops, NULL, la, 0, &page), 0);
	ck_assert_uint_eq(stores, 4);
	ck_assert_int_eq(paging_walk(&pc, &ops, NULL, la, PAGING_WRITE, &page), 0);
	ck_assert_uint_eq(stores, 5);
	ck_assert(page.dirty);
	ck_assert_int_eq(paging_walk(&pc, &ops, NULL, la, 0, &page), 0);
	ck_assert(page.dirty);

	store64(ram + PD + 8 * 6, 0xabcde00000 | PTE_P | PTE_PS | PTE_G);
	ck_assert_int_eq(paging_walk(&pc, &ops, NULL, la, 0, &page), 0);
	ck_assert_uint_eq(page.gpa, 0xabcde0789a);
	ck_assert_uint_eq(page.page_bits, 21);
	ck_assert(!page.writable && page.global);

	store64(ram + PDPT + 8 * 5, 0xab80000000 | PTE_P | PTE_PS | PTE_PAT_BIG);
	ck_assert_int_eq(paging_walk(&pc, &ops, NULL, la, 0, &page), 0);
	ck_assert_uint_eq(page.gpa, 0xab80000000 | (la & 0x3fffffff));
	ck_assert_uint_eq(page.page_bits, 30);
}
END_TEST

START_TEST(test_peek)
{
	struct paging_context pc = context(PAGING_4LEVEL);
	struct paging_page page;

	tables(&pc, PAGING_4LEVEL, PT | PTE_P | PTE_W, 0x5000 | PTE_P | PTE_W);
	ck_assert_int_eq(paging_walk(&pc, &peek_ops, NULL, 0, PAGING_WRITE, &page), 0);
	ck_assert(page.untracked && !page.dirty);
	ck_assert_uint_eq(load64(ram + PT), 0x5000 | PTE_P | PTE_W);
}
END_TEST

/* A table that maps itself is used at several levels in one walk. */
START_TEST(test_recursive)
{
	struct paging_context pc = context(PAGING_4LEVEL);
	struct paging_page page;

	memset(ram, 0, sizeof(ram));
	store64(ram + ROOT, ROOT | PTE_P | PTE_W);
	ck_assert_int_eq(paging_walk(&pc, &ops, NULL, 0x10, PAGING_WRITE, &page), 0);
	ck_assert_uint_eq(page.gpa, ROOT + 0x10);
	ck_assert_uint_eq(load64(ram + ROOT), ROOT | PTE_P | PTE_W | PTE_A | PTE_D);
}
END_TEST

/* Tables where there is no RAM read as all ones: a reserved-bit fault where there are reserved bits. */
START_TEST(test_no_ram)
{
	struct paging_context pc = context(PAGING_4LEVEL);
	struct paging_page page;

	pc.cr3 = 0xff00000000;
	ck_assert_uint_eq(walk_error(&pc, 0), PF_P | PF_RSVD);
	pc = context(PAGING_32);
	pc.cr3 = 0xf0000000;
	pc.cr4 &= ~CR4_PSE;
	ck_assert_int_eq(paging_walk(&pc, &ops, NULL, 0x1234, PAGING_USER | PAGING_WRITE, &page), 0);
	ck_assert_uint_eq(page.gpa, 0xfffff234);
}
END_TEST

/* A20M#: tables and page are where bit 20 of their addresses is 0. */
START_TEST(test_a20m)
{
	const u64 bit = BIT(20);

	for (enum paging_mode mode = PAGING_32; mode <= PAGING_4LEVEL; mode++) {
		struct paging_context pc = context(mode);
		struct paging_page page;

		tables(&pc, mode, bit | PT | PTE_P | PTE_W, bit | 0x5000 | PTE_P | PTE_W);
		store64(ram + PDPT, bit | PD | PTE_P | PTE_W | PTE_U);
		if (mode == PAGING_4LEVEL)
			store64(ram + ROOT, bit | PDPT | PTE_P | PTE_W | PTE_U);
		pc.pdpte[0] = bit | PD | PTE_P;
		pc.cr3 |= mode == PAGING_PAE ? 0 : bit;
		pc.held_low = bit;
		ck_assert_int_eq(paging_walk(&pc, &ops, NULL, 0x123, PAGING_WRITE, &page), 0);
		ck_assert_uint_eq(page.gpa, 0x5123);
		ck_assert_uint_eq(ram[PT] & (PTE_A | PTE_D), PTE_A | PTE_D);
		if (mode == PAGING_32)
			store32(ram + ROOT, bit << 2 | PTE_P | PTE_PS);
		else
			store64(ram + PD, bit << 2 | PTE_P | PTE_PS);
		ck_assert_int_eq(paging_walk(&pc, &ops, NULL, bit | 0x123, 0, &page), 0);
		ck_assert_uint_eq(page.gpa, bit << 2 | 0x123);
		pc.cr0 &= ~CR0_PG;
		ck_assert_int_eq(paging_walk(&pc, &ops, NULL, bit * 3 | 0x123, PAGING_WRITE, &page), 0);
		ck_assert_uint_eq(page.gpa, bit * 2 | 0x123);
	}
}
END_TEST

START_TEST(test_context)
{
	struct paging_context pc;
	struct x86_state s;

	x86_state_reset(&s);
	s.cr0 |= CR0_PG;
	s.cr3 = 0x1234000;
	s.cr4 = CR4_PAE;
	s.efer = EFER_NXE;
	s.pdpte[2] = 0x77001;
	paging_context_set(&pc, &s);
	ck_assert_uint_eq(pc.cr0, s.cr0);
	ck_assert_uint_eq(pc.cr3, 0x1234000);
	ck_assert_uint_eq(pc.cr4, CR4_PAE);
	ck_assert_uint_eq(pc.efer, EFER_NXE);
	ck_assert_uint_eq(pc.pdpte[2], 0x77001);
	ck_assert_uint_eq(pc.phys_bits, 40);
	ck_assert_uint_eq(pc.held_low, 0);
	s.a20m = true;
	paging_context_set(&pc, &s);
	ck_assert_uint_eq(pc.held_low, BIT(20));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("paging");
	TCase *tc = tcase_create("paging");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, test_rights, 0, 48);
	tcase_add_test(tc, test_off);
	tcase_add_test(tc, test_32_big);
	tcase_add_test(tc, test_pae);
	tcase_add_test(tc, test_reserved_4level);
	tcase_add_test(tc, test_4level_sizes);
	tcase_add_test(tc, test_peek);
	tcase_add_test(tc, test_recursive);
	tcase_add_test(tc, test_no_ram);
	tcase_add_test(tc, test_a20m);
	tcase_add_test(tc, test_context);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
