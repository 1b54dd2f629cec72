/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 32-bit paging and PAE paging: every combination of the entries' bits, for 4 KiB, 2 MiB and 4 MiB pages, under every
 * setting of CR0.WP, CR4.PSE, CR4.SMEP, CR4.SMAP, RFLAGS.AC and EFER.NXE, for every kind of access from rings 0 and 3;
 * loads of the PDPTEs. */
#include "tests/guest/lib/pagerules.h"

#define AREA 0x80000000u /* the page is mapped there, at an offset that is its own physical address */
#define CODE 0x40000000u /* ring 3's copy of the accesses */
#define EFER 0xc0000080

enum { MODE_32, MODE_PAE };

static u32 pd32[1024] __attribute__((aligned(4096))), pt32[1024] __attribute__((aligned(4096)));
static u32 code_pt32[1024] __attribute__((aligned(4096)));
static u64 pdpt[4] __attribute__((aligned(32))), pd[4][512] __attribute__((aligned(4096)));
static u64 pt[512] __attribute__((aligned(4096))), code_pt[512] __attribute__((aligned(4096)));
static u8 frame[4096] __attribute__((aligned(4096))), code[4096] __attribute__((aligned(4096)));
static unsigned mode;
static u32 address;

static struct table tables[2][KINDS], flag_table = {.name = "A and D"}, cr2_table = {.name = "CR2 of every fault"};

static void entry_write(unsigned n, u64 e)
{
	if (mode == MODE_32)
		*(volatile u32 *)(n ? &pt32[address >> 12 & 1023] : &pd32[address >> 22]) = e;
	else
		*(volatile u64 *)(n ? &pt[address >> 12 & 511] : &pd[address >> 30][address >> 21 & 511]) = e;
}

static u64 entry_read(unsigned n)
{
	if (mode == MODE_32)
		return *(volatile u32 *)(n ? &pt32[address >> 12 & 1023] : &pd32[address >> 22]);
	return *(volatile u64 *)(n ? &pt[address >> 12 & 511] : &pd[address >> 30][address >> 21 & 511]);
}

static const void *code_for(enum access_kind kind, unsigned cpl)
{
	const u8 *at = kind == READ ? access_read : kind == WRITE ? access_write : access_fs;

	if (kind == FETCH)
		return (void *)address;
	return cpl ? (void *)(CODE + (at - access_code)) : at;
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

static void one(const struct page_case *c)
{
	int want = page_rule(c), got;
	u64 after[2] = {0};
	unsigned vector;

	for (unsigned n = 0; n < c->levels; n++)
		entry_write(n, c->entry[n]);
	frame[8 + 5] = c->kind == IMPLICIT_WRITE ? 0xf2 : 0xf3;
	asm volatile("invlpg (%0)" : : "r"(address) : "memory");
	vector = ring_call(c->cpl, code_for(c->kind, c->cpl), c->ac ? FLAG_AC : 0,
			   c->kind >= IMPLICIT_READ ? IMPLICIT_LDT : 0xcd, address);
	for (unsigned n = 0; n < c->levels; n++)
		after[n] = entry_read(n);
	got = vector == VEC_DONE ? NO_FAULT : vector == VEC_PF ? (int)trap.frame.error : -2;
	if (table_case(&tables[c->cpl == 3][c->kind], got == want))
		note(c, want, vector);
	if (got >= 0) {
		u32 at = address + (c->kind >= IMPLICIT_READ ? 8 : 0);

		if (table_case(&cr2_table, trap.cr2 >= at && trap.cr2 < at + 8)) {
			put_value("cr2", trap.cr2);
			note(c, want, vector);
		}
	}
	if (got == want && table_case(&flag_table, page_flags_rule(c, after, got >= 0))) {
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

/* Flags of P, W, U and, with 8 bytes, XD and a reserved bit (the @nth): all 2^5 or, with 4 bytes, 2^4. */
static u64 flags_of(const struct page_case *c, unsigned n, unsigned choice, unsigned nth)
{
	u64 bits = (choice & 7) | (c->wide && choice & 8 ? E_NX : 0);
	unsigned bit = 12 + nth % 50;

	if (!(choice & (c->wide ? 16 : 8)) || !c->reserved[n])
		return bits;
	while (!(c->reserved[n] >> bit & 1))
		bit = (bit + 1) & 63;
	return bits | BIT(bit);
}

/* @large: one level, PS set. */
static void every_state(struct page_case *c, bool large)
{
	unsigned choices = c->wide ? 32 : 16;
	u64 table = mode == MODE_32 ? (u32)pt32 : (u32)pt;
	u64 page = large ? ((u32)frame & ~(mode == MODE_32 ? 0x3fffffu : 0x1fffffu)) | E_PS : (u32)frame;

	c->levels = large ? 1 : 2;
	for (unsigned k = 0; k < (large ? choices : choices * choices); k++) {
		unsigned leaf = k % choices, top = k / choices;

		if (large) {
			c->entry[0] = page | flags_of(c, 0, leaf, k);
		} else {
			c->entry[0] = table | flags_of(c, 0, top, k + 5);
			c->entry[1] = page | flags_of(c, 1, leaf, k);
		}
		all_kinds(c);
	}
}

static void print_tables(const char *size)
{
	static const char *const names[2][KINDS] = {
	    {"ring 0 read", "ring 0 write", "ring 0 fetch", "ring 0 implicit read", "ring 0 implicit write"},
	    {"ring 3 read", "ring 3 write", "ring 3 fetch", "ring 3 implicit read", "ring 3 implicit write"},
	};

	for (unsigned ring = 0; ring < 2; ring++)
		for (unsigned kind = 0; kind < KINDS; kind++) {
			tables[ring][kind].name = names[ring][kind];
			table_line(size, &tables[ring][kind]);
		}
	table_line(size, &flag_table);
	table_line(size, &cr2_table);
}

static void settings(struct page_case *c, bool large, const char *name)
{
	for (unsigned setting = 0; setting < 16; setting++) {
		if (((setting & 2) && !HAS_SMEP) || ((setting & 4) && !HAS_SMAP))
			continue;
		control(c, setting);
		every_state(c, large);
	}
	control(c, 1);
	print_tables(name);
}

static void mode_32(void)
{
	struct page_case c = {0};

	mode = MODE_32;
	for (u32 n = 0; n < 32; n++)
		pd32[n] = n << 22 | 0x83;
	pd32[CODE >> 22] = (u32)code_pt32 | 7;
	code_pt32[0] = (u32)code | 5;
	WRITE_CR(4, READ_CR(4) | BIT(4));
	WRITE_CR(3, (u32)pd32);
	WRITE_CR(0, READ_CR(0) | BIT(31));
	settings(&c, false, "32-bit, 4 KiB pages: ");
	/* Bit 21 is reserved; bits 20:13 are address bits 39:32, or reserved from MAXPHYADDR on. */
	c.reserved[0] = BIT(21);
	for (unsigned n = phys_bits(); n < 40; n++)
		c.reserved[0] |= BIT(n - 32 + 13);
	settings(&c, true, "32-bit, 4 MiB pages: ");
	/* Without CR4.PSE the PS bit is ignored. Code is at the identity-mapped addresses: by 4 KiB pages then. */
	static u32 low[4][1024] __attribute__((aligned(4096)));
	for (u32 n = 0; n < 4 * 1024; n++)
		low[n / 1024][n % 1024] = n << 12 | 3;
	for (u32 n = 0; n < 4; n++)
		pd32[n] = (u32)low[n] | 3;
	WRITE_CR(3, (u32)pd32);
	WRITE_CR(4, READ_CR(4) & ~BIT(4));
	pd32[address >> 22] = (u32)pt32 | 0x87;
	pt32[address >> 12 & 1023] = (u32)frame | 3;
	WRITE_CR(3, (u32)pd32);
	claim("without CR4.PSE a PDE's bit 7 is ignored", *(volatile u8 *)address == 0xcd);
	WRITE_CR(0, READ_CR(0) & ~BIT(31));
}

static void mode_pae(void)
{
	struct page_case c = {.wide = true};
	u64 high = 0;

	mode = MODE_PAE;
	for (unsigned n = phys_bits(); n < 63; n++)
		high |= BIT(n);
	c.reserved[0] = c.reserved[1] = high;
	for (u32 n = 0; n < 64; n++)
		pd[0][n] = (u64)n << 21 | 0x83;
	for (u32 n = 0; n < 4; n++)
		pdpt[n] = (u32)pd[n] | 1;
	pd[CODE >> 30][0] = (u32)code_pt | 7;
	code_pt[0] = (u32)code | 5;
	WRITE_CR(4, READ_CR(4) | BIT(5));
	WRITE_CR(3, (u32)pdpt);
	WRITE_CR(0, READ_CR(0) | BIT(31));
	settings(&c, false, "PAE, 4 KiB pages: ");
	c.reserved[0] = high | 0x1fe000;
	settings(&c, true, "PAE, 2 MiB pages: ");
}

static void load_cr3(void)
{
	WRITE_CR(3, (u32)pdpt);
}

/* MOV to CR3 checks all four (4.4.1); what is held doesn't change with memory, nor with INVLPG. */
static void pdptes(void)
{
	static struct table t = {.name = "PAE: MOV to CR3 checks the PDPTEs' reserved bits"};

	for (unsigned which = 2; which < 4; which++)
		for (unsigned bit = 0; bit < 64; bit++) {
			u64 saved = pdpt[which];
			bool bad = bit == 1 || bit == 2 || (bit >= 5 && bit <= 8) || bit >= phys_bits();

			for (unsigned present = 0; present < 2; present++) {
				pdpt[which] = BIT(bit) | present;
				bool want = bad && pdpt[which] & 1;
				bool got = try_call(load_cr3) && trap.frame.vector == VEC_GP && !trap.frame.error;

				if (table_case(&t, got == want)) {
					put_value("pdpte", pdpt[which]);
					put_value("got", got);
					put_char('\n');
				}
			}
			pdpt[which] = saved;
		}
	load_cr3();
	table_line("", &t);
	pd[2][0] = (u64)0x200000 | 0x83;
	pdpt[2] = 0;
	asm volatile("invlpg (%0)" : : "r"(0x80000000) : "memory");
	claim("PAE: a PDPTE that memory no longer has, still used",
	      ring_call(0, access_read, 0, 0, 0x80000000) == VEC_DONE);
	load_cr3();
	claim("PAE: until CR3 is loaded", ring_call(0, access_read, 0, 0, 0x80000000) == VEC_PF);
	pdpt[2] = (u32)pd[2] | 1;
	WRITE_CR(4, READ_CR(4) ^ BIT(7));
	claim("PAE: or CR4.PGE changed", ring_call(0, access_read, 0, 0, 0x80000000) == VEC_DONE);
	pdpt[2] = 0;
	WRITE_CR(4, READ_CR(4) ^ BIT(4));
	claim("PAE: or CR4.PSE changed", ring_call(0, access_read, 0, 0, 0x80000000) == VEC_PF);
	pdpt[2] = (u32)pd[2] | 1;
	WRITE_CR(0, READ_CR(0) ^ BIT(30));
	claim("PAE: or CR0.CD changed", ring_call(0, access_read, 0, 0, 0x80000000) == VEC_DONE);
	pdpt[2] = (u32)pd[2] | 1 | E_U;
	void set_pge(void)
	{
		WRITE_CR(4, READ_CR(4) ^ BIT(7));
	}
	claim_trap("PAE: a reserved bit found then: #GP(0)", VEC_GP, 0, set_pge);
	pdpt[2] = (u32)pd[2] | 1;
	load_cr3();
}

void kmain(void)
{
	rings_init();
	WRITE_CR(0, READ_CR(0) & ~(BIT(30) | BIT(29))); /* CD and NW, as after RESET */
	address = AREA + (u32)frame;
	frame[0] = 0xcd;
	frame[1] = VEC_DONE;
	*(u64 *)(frame + 8) = DESC(0, 0xfffff, 0xf3, 0xc);
	memcpy(code, access_code, access_code_end - access_code);
	gdt[SYS_INDEX] = DESC(address, 15, 0x82, 0);
	lldt(SEL_SYS);
	mode_32();
	mode_pae();
	pdptes();
}
