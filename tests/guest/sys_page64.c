/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 4-level paging: every combination of the entries' bits at every level, for 4 KiB, 2 MiB and 1 GiB pages, under every
 * setting of CR0.WP, CR4.SMEP, CR4.SMAP, RFLAGS.AC and EFER.NXE, for every kind of access from rings 0 and 3. */
#include "tests/guest/lib/pagerules.h"

#define AREA 0x10000000000ull /* PML4 entry 2; the page is mapped there at its own physical address */
#define EFER 0xc0000080

extern u64 boot_pml4[];
static u64 pdpt[512] __attribute__((aligned(4096))), pd[512] __attribute__((aligned(4096)));
static u64 pt[512] __attribute__((aligned(4096)));
/* What is accessed: INT 80h for fetches, a read-and-write data descriptor for each implicit access. */
static u8 frame[4096] __attribute__((aligned(4096)));
static volatile u64 *slot[4];
static u64 address, reserved_table[4], reserved_leaf[4];

enum { FULL, NOT_P, NOT_W, NOT_U, NX, RESERVED, STATES };

static u64 state_bits(unsigned state, u64 reserved, unsigned nth)
{
	u64 bits = E_P | E_W | E_U;
	unsigned n;

	switch (state) {
	case NOT_P:
		return bits & ~E_P;
	case NOT_W:
		return bits & ~E_W;
	case NOT_U:
		return bits & ~E_U;
	case NX:
		return bits | E_NX;
	case RESERVED:
		n = nth % 40;
		do
			n = (n + 1) & 63;
		while (!(reserved >> n & 1));
		return bits | BIT(n);
	}
	return bits;
}

static const char *const kind_name[2][KINDS] = {
    {"ring 0 read", "ring 0 write", "ring 0 fetch", "ring 0 implicit read", "ring 0 implicit write"},
    {"ring 3 read", "ring 3 write", "ring 3 fetch", "ring 3 implicit read", "ring 3 implicit write"},
};
static struct table tables[2][KINDS], flag_tables[2][KINDS], cr2_table = {.name = "CR2 of every fault"};

static const void *code_for(enum access_kind kind, unsigned cpl)
{
	const u8 *at = kind == READ ? access_read : kind == WRITE ? access_write : access_fs;

	if (kind == FETCH)
		return (void *)address;
	return cpl ? (void *)(USER_CODE + (at - access_code)) : at;
}

static void note(const struct page_case *c, int want, unsigned vector)
{
	for (unsigned n = 0; n < c->levels; n++)
		put_value("entry", c->entry[n]);
	put_value("cr0", READ_CR(0));
	put_value("cr4", READ_CR(4));
	put_value("nxe", c->nxe);
	put_value("ac", c->ac);
	put_value("want", (u64)(s64)want);
	put_value("vector", vector);
	put_value("error", trap.frame.error);
	put_char('\n');
}

static void one(struct page_case *c)
{
	int want = page_rule(c), got;
	u64 after[4];
	unsigned vector;

	for (unsigned n = 0; n < c->levels; n++)
		*slot[n] = c->entry[n];
	frame[8 + 5] = frame[16 + 5] = 0xf3;
	if (c->kind == IMPLICIT_WRITE)
		frame[8 + 5] = 0xf2;
	asm volatile("invlpg (%0)" : : "r"(address) : "memory");
	vector = ring_call(c->cpl, code_for(c->kind, c->cpl), c->ac ? FLAG_AC : 0,
			   c->kind >= IMPLICIT_READ ? IMPLICIT_LDT : 0xcd, address);
	for (unsigned n = 0; n < c->levels; n++)
		after[n] = *slot[n];
	got = vector == VEC_DONE ? NO_FAULT : vector == VEC_PF ? (int)trap.frame.error : -2;
	if (table_case(&tables[c->cpl == 3][c->kind], got == want))
		note(c, want, vector);
	if (got >= 0) {
		u64 at = address + (c->kind >= IMPLICIT_READ ? 8 : 0);

		/* A descriptor's byte 5 may be what is written. */
		if (table_case(&cr2_table, trap.cr2 >= at && trap.cr2 < at + 8)) {
			put_value("cr2", trap.cr2);
			note(c, want, vector);
		}
	}
	if (got == want && table_case(&flag_tables[c->cpl == 3][c->kind], page_flags_rule(c, after, got >= 0))) {
		for (unsigned n = 0; n < c->levels; n++)
			put_value("after", after[n]);
		note(c, want, vector);
	}
}

static void all_kinds(struct page_case *c)
{
	for (c->cpl = 0; c->cpl <= 3; c->cpl += 3)
		for (unsigned kind = 0; kind < KINDS; kind++)
			for (c->ac = false;; c->ac = true) {
				c->kind = kind;
				one(c);
				/* AC counts under SMAP only; for ring 3 it would mean nothing without CR0.AM. */
				if (c->ac || !c->smap || c->kind == FETCH)
					break;
			}
}

static void control(struct page_case *c, unsigned setting)
{
	c->wp = setting & 1;
	c->smep = setting & 2;
	c->smap = setting & 4;
	c->nxe = setting & 8;
	WRITE_CR(0, (READ_CR(0) & ~BIT(16)) | (c->wp ? BIT(16) : 0));
	WRITE_CR(4, (READ_CR(4) & ~(BIT(20) | BIT(21))) | (c->smep ? BIT(20) : 0) | (c->smap ? BIT(21) : 0));
	wrmsr(EFER, (rdmsr(EFER) & ~BIT(11)) | (c->nxe ? BIT(11) : 0));
}

/* What an entry holds beside the bits under test: the next table, or the page. */
static u64 pointer(unsigned n, unsigned levels)
{
	static u64 *const next[] = {pdpt, pd, pt};
	unsigned shift = 12 + 9 * (4 - levels);

	if (n < levels - 1)
		return (u64)next[n];
	return ((u64)frame & ~(BIT(shift) - 1)) | (levels < 4 ? E_PS : 0);
}

static void set_reserved(struct page_case *c)
{
	for (unsigned n = 0; n < c->levels; n++)
		c->reserved[n] = n == c->levels - 1 ? reserved_leaf[n] : reserved_table[n];
}

static void every_state(struct page_case *c)
{
	unsigned combinations = 1;

	for (unsigned n = 0; n < c->levels; n++)
		combinations *= STATES;
	for (unsigned k = 0; k < combinations; k++) {
		unsigned rest = k;

		for (unsigned n = 0; n < c->levels; n++, rest /= STATES)
			c->entry[n] = state_bits(rest % STATES, c->reserved[n], k + 7 * n) | pointer(n, c->levels);
		all_kinds(c);
	}
}

/* Several bits at once, ignored ones too: PWT, PCD, PAT, G, 11:9, 58:52. */
static void random_entries(struct page_case *c, u32 *seed)
{
	for (unsigned k = 0; k < 150; k++) {
		for (unsigned n = 0; n < c->levels; n++) {
			u64 ignored = (u64)(random32(seed) & 0x7f) << 52 | (random32(seed) & 0xf18);
			u32 r = random32(seed);
			u64 bits = E_P | E_W | E_U;

			if (n < c->levels - 1)
				ignored &= ~0x100ull;
			bits &= ~((r & 15) == 0 ? E_P : 0) & ~((r >> 4 & 3) == 0 ? E_W : 0) &
				~((r >> 6 & 3) == 0 ? E_U : 0);
			if ((r >> 8 & 7) == 0)
				bits |= E_NX;
			if ((r >> 11 & 15) == 0)
				bits |= state_bits(RESERVED, c->reserved[n], r >> 16);
			c->entry[n] = bits | ignored | pointer(n, c->levels);
		}
		all_kinds(c);
	}
}

static void print_tables(const char *size)
{
	for (unsigned ring = 0; ring < 2; ring++)
		for (unsigned kind = 0; kind < KINDS; kind++) {
			table_line(size, &tables[ring][kind]);
			table_line(size, &flag_tables[ring][kind]);
		}
	table_line(size, &cr2_table);
}

static void sizes(void)
{
	static const char *const name[] = {0, 0, "1 GiB pages: ", "2 MiB pages: ", "4 KiB pages: "};
	struct page_case c = {.wide = true};
	u32 seed = 0x2545f491;

	for (c.levels = 4; c.levels >= 2; c.levels--) {
		if (c.levels == 2 && !HAS_1GB) {
			skip("1 GiB pages", "not in CPUID");
			break;
		}
		set_reserved(&c);
		for (unsigned setting = 0; setting < 16; setting++) {
			if (((setting & 2) && !HAS_SMEP) || ((setting & 4) && !HAS_SMAP))
				continue;
			control(&c, setting);
			every_state(&c);
			random_entries(&c, &seed);
		}
		control(&c, 9);
		print_tables(name[c.levels]);
	}
}

static void prepare(void)
{
	u64 high = 0, code = page_alloc();

	for (unsigned n = phys_bits(); n < 52; n++)
		high |= BIT(n);
	for (unsigned n = 0; n < 4; n++)
		reserved_table[n] = reserved_leaf[n] = high;
	reserved_table[0] |= E_PS;
	reserved_leaf[1] |= 0x3fffe000;
	reserved_leaf[2] |= 0x1fe000;

	address = AREA + (u64)frame;
	slot[0] = &boot_pml4[2];
	slot[1] = &pdpt[address >> 30 & 511];
	slot[2] = &pd[address >> 21 & 511];
	slot[3] = &pt[address >> 12 & 511];
	frame[0] = 0xcd;
	frame[1] = VEC_DONE;
	*(u64 *)(frame + 8) = DESC(0, 0xfffff, 0xf3, 0xc);

	memcpy((void *)code, access_code, access_code_end - access_code);
	*pte_of(USER_CODE, 1) = code | PTE_P | PTE_U;
	*pte_of(USER_CODE, 4) |= PTE_U;

	gdt[SYS_INDEX] = DESC(address, 15, 0x82, 0);
	gdt[SYS_INDEX + 1] = address >> 32;
	lldt(SEL_SYS);
	for (unsigned ring = 0; ring < 2; ring++)
		for (unsigned kind = 0; kind < KINDS; kind++) {
			static char names[2][KINDS][40];
			char *at = names[ring][kind];

			tables[ring][kind].name = kind_name[ring][kind];
			for (const char *s = kind_name[ring][kind]; *s; s++)
				*at++ = *s;
			memcpy(at, ", A and D", 10);
			flag_tables[ring][kind].name = names[ring][kind];
		}
}

/* Addresses whose bits 63:47 differ: no walk, #GP or #SS. */
static void canonical(void)
{
	static const u64 bad[] = {0x800000000000, 0xffff7fffffffffff, 0x8000000000000000, 0x7fffffffffffffff};
	static struct table t = {.name = "a non-canonical address: #GP(0)"};

	for (unsigned n = 0; n < ARRAY_SIZE(bad); n++)
		for (unsigned kind = READ; kind <= WRITE; kind++) {
			unsigned vector = ring_call(0, kind == READ ? access_read : access_write, 0, 0, bad[n]);

			if (table_case(&t, vector == VEC_GP && trap.frame.error == 0)) {
				put_value("address", bad[n]);
				put_value("vector", vector);
				put_char('\n');
			}
		}
	table_line("", &t);
	EXPECT("RBP-based, not canonical: #SS(0)", VEC_SS, 0, "push %%rbp; mov %0, %%rbp; mov (%%rbp), %%rax"
	       :
	       : "r"(0x800000000000)
	       : "rax");
	EXPECT("an access that ends beyond the canonical half: #GP(0)", VEC_GP, 0, "mov (%0), %%rax"
	       :
	       : "r"(0x7ffffffffffc)
	       : "rax");
}

/* Changes that need INVLPG or a CR3 load are seen after it; global pages outlive a CR3 load. */
static void invalidation(void)
{
	static u8 other[4096] __attribute__((aligned(4096)));
	volatile u8 *page = (u8 *)address;
	u64 e = (u64)frame | E_P | E_W;

	for (unsigned n = 0; n < 3; n++)
		*slot[n] = pointer(n, 4) | E_P | E_W;
	*slot[3] = e;
	invlpg(address);
	other[0] = 0x77;
	claim("the page as mapped", *page == 0xcd);
	*slot[3] = (u64)other | E_P | E_W;
	invlpg(address);
	claim("INVLPG: another page", *page == 0x77);
	*slot[3] = e;
	WRITE_CR(3, READ_CR(3));
	claim("MOV to CR3 drops it", *page == 0xcd);
	WRITE_CR(4, READ_CR(4) | BIT(7));
	*slot[3] = (u64)other | E_P | E_W | E_G;
	invlpg(address);
	claim("a global page", *page == 0x77);
	*slot[3] = e | E_G;
	invlpg(address);
	claim("INVLPG drops a global page", *page == 0xcd);
	*slot[3] = (u64)other | E_P | E_W | E_G;
	WRITE_CR(4, READ_CR(4) & ~BIT(7));
	claim("a change of CR4.PGE drops global pages", *page == 0x77);
	*slot[2] = pointer(2, 3) | E_P | E_W;
	*slot[2] &= ~E_PS;
	*slot[2] = ((u64)frame & ~0x1fffffull) | E_PS | E_P | E_W;
	invlpg(address);
	claim("INVLPG: a large page instead of the table", *page == 0xcd);
	*slot[2] = 0;
	invlpg(address + 0x5000);
	claim("INVLPG of any address in a large page drops all of it",
	      ring_call(0, access_read, 0, 0, address) == VEC_PF);
}

void kmain(void)
{
	rings_init();
	prepare();
	sizes();
	canonical();
	invalidation();
}
