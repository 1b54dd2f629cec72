/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 4-level paging (SDM 3A chapter 4): page sizes, error codes, A and D, NX, WP, SMEP, SMAP, global pages, PCID.
 * What a stale TLB entry gives is not asked, only what must hold after the invalidation. */
#include "tests/guest/lib/guest.h"

#define V  0x10000000000ull /* PML4 entry 2: nothing else is there */
#define V2 (V + 0x40000000) /* another PDPT entry */

#define PF_P  1
#define PF_W  2
#define PF_U  4
#define PF_RS 8
#define PF_I  16

static u64 at; /* what the accesses below touch */

static void load(void)
{
	asm volatile("mov (%0), %%rax" : : "r"(at) : "rax", "memory");
}

static void store(void)
{
	asm volatile("movb $0x5a, (%0)" : : "r"(at) : "memory");
}

static void fetch(void)
{
	asm volatile("call *%0" : : "r"(at) : "memory");
}

static void claim_fault(const char *name, void (*access)(void), u64 va, long error)
{
	at = va;
	claim_trap(name, VEC_PF, error, access);
	if (trap.cr2 != va)
		claim_eq("CR2 of that", trap.cr2, va);
}

static void claim_works(const char *name, void (*access)(void), u64 va)
{
	at = va;
	traps_reset();
	unsigned n = try_call(access);
	if (n) {
		put_string("# vector ");
		put_dec(trap.frame.vector);
		put_string(" error ");
		put_hex(trap.frame.error);
		put_char('\n');
	}
	claim(name, n == 0);
}

static void set(u64 va, u64 entry)
{
	*pte_of(va, 1) = entry;
	invlpg(va);
}

static volatile u64 *parent(u64 va, int level)
{
	return pte_of(va, level);
}

static void basics(void)
{
	u64 page = page_alloc(), other = page_alloc();
	volatile u64 *pte = pte_of(V, 1);

	*(volatile u64 *)page = 0x1111;
	*(volatile u64 *)other = 0x2222;
	claim_fault("load, not present: #PF(0)", load, V, 0);
	claim_fault("store, not present: #PF(2)", store, V + 7, PF_W);
	claim_fault("fetch, not present: #PF(10h)", fetch, V + 0x10, PF_I);
	claim("a fault sets no A bit", !(*pte & PTE_A));
	*pte = page | PTE_P | PTE_W;
	claim_eq("present now, without invlpg", *(volatile u64 *)V, 0x1111);
	claim("load sets A, not D", (*pte & (PTE_A | PTE_D)) == PTE_A);
	claim("A in the entries above", (*parent(V, 2) & PTE_A) && (*parent(V, 3) & PTE_A) && (*parent(V, 4) & PTE_A));
	*(volatile u64 *)V = 0x3333;
	claim("store sets D", *pte & PTE_D);
	claim("D only in the entry that maps", !(*parent(V, 2) & PTE_D));
	claim_eq("the store is in the frame", *(volatile u64 *)page, 0x3333);
	*pte = other | PTE_P | PTE_W;
	invlpg(V);
	claim_eq("invlpg: the new frame", *(volatile u64 *)V, 0x2222);
	claim("A set anew", *pte & PTE_A);
	*pte = page | PTE_P | PTE_W;
	WRITE_CR(3, READ_CR(3));
	claim_eq("CR3 written: the new frame", *(volatile u64 *)V, 0x3333);
	*pte &= ~(PTE_A | PTE_D);
	invlpg(V);
	asm volatile("lock cmpxchgq %0, (%1)" : : "r"(1ull), "r"(V), "a"(0x9999ull) : "memory", "cc");
	claim("cmpxchg that differs sets D", *pte & PTE_D);
	*pte = 0;
	invlpg(V);
	claim_fault("not present again", load, V, 0);

	/* Beside the canonical boundary. */
	at = 0x800000000000;
	claim_trap("load just above the lower half: #GP(0)", VEC_GP, 0, load);
	at = 0xffff7fffffffffff;
	claim_trap("store just below the upper half: #GP(0)", VEC_GP, 0, store);
	set(0xffffffff80000000, page | PTE_P | PTE_W);
	claim_eq("upper half", *(volatile u64 *)0xffffffff80000000, 0x3333);
	set(0xfffffffffffff000, other | PTE_P | PTE_W);
	claim_eq("last page", *(volatile u64 *)0xfffffffffffff000, 0x2222);
}

static void crossing(void)
{
	u64 a = page_alloc(), b = page_alloc();

	set(V, a | PTE_P | PTE_W);
	set(V + 4096, 0);
	memset((void *)a, 0x11, 4096);
	memset((void *)b, 0x22, 4096);
	void cross_store(void)
	{
		asm volatile("mov %0, (%1)" : : "r"(-1ull), "r"(V + 4092) : "memory");
	}
	claim_trap("store across into a page not present: #PF(2)", VEC_PF, PF_W, cross_store);
	claim_eq("CR2 is the second page", trap.cr2, V + 4096);
	claim_eq("nothing of it was written", *(volatile u32 *)(a + 4092), 0x11111111);
	set(V + 4096, b | PTE_P | PTE_W);
	claim_eq("load across two frames", *(volatile u64 *)(V + 4092), 0x2222222211111111);
	set(V, b | PTE_P | PTE_W);
	set(V + 4096, a | PTE_P | PTE_W);
	*(volatile u64 *)(V + 4093) = 0x0102030405060708;
	claim("store across two frames",
	      *(volatile u8 *)(b + 4095) == 6 && *(volatile u8 *)a == 5 && *(volatile u8 *)(a + 4) == 1);
	/* mov $0x12345678, %eax; ret: its last bytes on a page not present */
	static const u8 code[] = {0xb8, 0x78, 0x56, 0x34, 0x12, 0xc3};
	memcpy((void *)(b + 4093), code, 3);
	memcpy((void *)a, code + 3, 3);
	set(V + 4096, 0);
	at = V + 4093;
	claim_trap("fetch across into a page not present: #PF(10h)", VEC_PF, PF_I, fetch);
	claim("CR2 is the second page, RIP the instruction's first byte",
	      trap.cr2 == V + 4096 && trap.frame.ip == V + 4093);
	set(V + 4096, a | PTE_P);
	claim_works("instruction across two pages", fetch, V + 4093);
	set(V, 0);
	set(V + 4096, 0);
}

static void protection(void)
{
	u64 page = page_alloc();

	*(volatile u8 *)page = 0xc3; /* ret */
	set(V, page | PTE_P);
	claim_works("read-only: load", load, V);
	claim_fault("read-only, CR0.WP: #PF(3)", store, V, PF_P | PF_W);
	void failing_cmpxchg(void)
	{
		asm volatile("lock cmpxchgq %0, (%1)" : : "r"(1ull), "r"(V), "a"(0x9999ull) : "memory", "cc");
	}
	claim_trap("read-only: cmpxchg that differs: #PF(3)", VEC_PF, PF_P | PF_W, failing_cmpxchg);
	WRITE_CR(0, READ_CR(0) & ~BIT(16));
	claim_works("read-only, no WP: ring 0 stores", store, V);
	WRITE_CR(0, READ_CR(0) | BIT(16));
	*(volatile u8 *)page = 0xc3;
	set(V, page | PTE_P | PTE_W);
	*parent(V, 2) &= ~PTE_W;
	invlpg(V);
	claim_fault("read-only at the PDE: #PF(3)", store, V, PF_P | PF_W);
	*parent(V, 2) |= PTE_W;
	invlpg(V);

	claim_works("fetch", fetch, V);
	set(V, page | PTE_P | PTE_W | PTE_NX);
	claim_works("NX: load", load, V);
	claim_fault("NX: fetch: #PF(11h)", fetch, V, PF_P | PF_I);
	set(V, page | PTE_P | PTE_W);
	*parent(V, 3) |= PTE_NX;
	invlpg(V);
	claim_fault("NX at the PDPTE: #PF(11h)", fetch, V, PF_P | PF_I);
	*parent(V, 3) &= ~PTE_NX;
	set(V, page | PTE_P | PTE_W | PTE_NX);
	wrmsr(0xc0000080, rdmsr(0xc0000080) & ~BIT(11));
	invlpg(V);
	claim_fault("NX without EFER.NXE is reserved: #PF(9)", load, V, PF_P | PF_RS);
	wrmsr(0xc0000080, rdmsr(0xc0000080) | BIT(11));

	set(V, page | PTE_P | PTE_W | BIT(51));
	claim_fault("reserved physical address bit: #PF(9)", load, V, PF_P | PF_RS);
	claim_fault("reserved physical address bit: #PF(0Bh)", store, V, PF_P | PF_W | PF_RS);
	set(V, BIT(51));
	claim_fault("reserved bits are not looked at when not present", load, V, 0);
	set(V, page | PTE_P | PTE_W);
	*parent(V, 4) |= PTE_PS;
	invlpg(V);
	claim_fault("PS in a PML4E is reserved: #PF(9)", load, V, PF_P | PF_RS);
	*parent(V, 4) &= ~PTE_PS;
	invlpg(V);
	claim_works("mended", load, V);
	set(V, page | PTE_P | PTE_W | 0x07f0000000000e00); /* 58:52 and 11:9 */
	claim_works("ignored bits are ignored", load, V);
	set(V, 0);
}

static void sizes(void)
{
	u32 r[4];
	volatile u64 *pde = pte_of(V2, 2);

	/* 2 MiB page at physical 16 MiB. */
	*(volatile u64 *)0x1112348 = 0x77;
	*pde = 0x1000000 | PTE_P | PTE_W | PTE_PS;
	claim_eq("2 MiB page", *(volatile u64 *)(V2 + 0x112348), 0x77);
	claim("2 MiB page: A, not D", (*pde & (PTE_A | PTE_D)) == PTE_A);
	*(volatile u64 *)(V2 + 0x1ffff8) = 0x88;
	claim("2 MiB page: D and the last bytes", (*pde & PTE_D) && *(volatile u64 *)0x11ffff8 == 0x88);
	*pde = 0x1000000 | PTE_P | PTE_W | PTE_PS | BIT(13);
	invlpg(V2);
	claim_fault("2 MiB page: bit 13 is reserved: #PF(9)", load, V2, PF_P | PF_RS);
	*pde = 0x1000000 | PTE_P | PTE_W | PTE_PS | BIT(12);
	invlpg(V2);
	claim_works("2 MiB page: bit 12 is PAT", load, V2);
	*pde = 0x1000000 | PTE_P | PTE_PS;
	invlpg(V2 + 0x100000);
	claim_fault("2 MiB page, read-only: #PF(3)", store, V2 + 0x123456, PF_P | PF_W);
	u64 page = page_alloc(), table = page_alloc();
	((volatile u64 *)table)[5] = page | PTE_P | PTE_W;
	*(volatile u64 *)(page + 8) = 0x99;
	*pde = table | PTE_P | PTE_W;
	invlpg(V2);
	invlpg(V2 + 0x5008);
	WRITE_CR(3, READ_CR(3));
	claim_eq("2 MiB page split into 4 KiB pages", *(volatile u64 *)(V2 + 0x5008), 0x99);

	cpuid(0x80000001, 0, r);
	if (r[3] >> 26 & 1) {
		u64 va = V + 0x80000000;
		volatile u64 *pdpte = pte_of(va, 3);

		*pdpte = 0 | PTE_P | PTE_W | PTE_PS;
		claim_eq("1 GiB page", *(volatile u64 *)(va + 0x1112348), 0x77);
		*pdpte = 0 | PTE_P | PTE_W | PTE_PS | BIT(20);
		invlpg(va);
		claim_fault("1 GiB page: bit 20 is reserved: #PF(9)", load, va, PF_P | PF_RS);
		*pdpte = 0;
		invlpg(va);
	} else {
		skip("1 GiB page", "no Page1GB");
	}
}

USER_BEGIN(p_load) "mov (%rdi), %rax; ud2" USER_END(p_load);
USER_BEGIN(p_store) "movb $1, (%rdi); ud2" USER_END(p_store);
USER_BEGIN(p_jump) "jmp *%rdi" USER_END(p_jump);

static void claim_user_fault(const char *name, long error)
{
	if (error < 0) {
		claim(name, trap.count == 1 && trap.frame.vector == VEC_UD);
	} else {
		bool good = trap.count == 1 && trap.frame.vector == VEC_PF && trap.frame.error == (u64)error;

		if (!good) {
			put_string("# vector ");
			put_dec(trap.frame.vector);
			put_string(" error ");
			put_hex(trap.frame.error);
			put_char('\n');
		}
		claim(name, good);
	}
}

static void user(void)
{
	u64 page = page_alloc();

	memcpy((void *)page, "\x0f\x0b", 2); /* ud2 */
	set(V, page | PTE_P | PTE_W | PTE_U);
	USER(p_load, V);
	claim_user_fault("user page: ring 3 loads", -1);
	USER(p_jump, V);
	claim_user_fault("user page: ring 3 fetches", -1);
	USER(p_store, V + 100);
	claim_user_fault("user page: ring 3 stores", -1);
	set(V, page | PTE_P | PTE_U);
	USER(p_store, V);
	claim_user_fault("read-only user page: #PF(7)", 7);
	WRITE_CR(0, READ_CR(0) & ~BIT(16));
	USER(p_store, V);
	claim_user_fault("read-only user page, no WP: ring 3 still faults: #PF(7)", 7);
	WRITE_CR(0, READ_CR(0) | BIT(16));
	set(V, page | PTE_P | PTE_W);
	USER(p_load, V);
	claim_user_fault("supervisor page: #PF(5)", 5);
	set(V, page | PTE_P | PTE_W | PTE_U);
	*parent(V, 3) &= ~PTE_U;
	invlpg(V);
	USER(p_load, V);
	claim_user_fault("supervisor at the PDPTE: #PF(5)", 5);
	pte_of(V, 1);
	set(V, page | PTE_P | PTE_W | PTE_U | PTE_NX);
	USER(p_jump, V);
	claim_user_fault("NX user page: #PF(15h)", 0x15);
	set(V, 0);
	USER(p_jump, V);
	claim_user_fault("fetch, not present: #PF(14h)", 0x14);
}

/* An instruction that runs from one page into the next, when both are the same one in memory. */
static void code_across(void)
{
	u64 page = page_alloc();
	static const u8 head[] = {0xb8, 0x11, 0x22}, tail[] = {0x33, 0x44, 0xc3}; /* mov $0x44332211, %eax; ret */
	u32 first, second;

	memcpy((u8 *)page + 4093, head, sizeof(head));
	memcpy((u8 *)page, tail, sizeof(tail));
	set(V2, page | PTE_P | PTE_W);
	set(V2 + 4096, page | PTE_P | PTE_W);
	asm volatile("call *%1" : "=a"(first) : "r"(V2 + 4093) : "memory");
	*(volatile u8 *)page = 0x55;
	asm volatile("call *%1" : "=a"(second) : "r"(V2 + 4093) : "memory");
	claim("a page mapped twice in a row: code across its end is changed",
	      first == 0x44332211 && second == 0x44552211);
	set(V2, 0);
	set(V2 + 4096, 0);
}

static void smep_smap(void)
{
	u32 r[4];
	u64 page = page_alloc();

	cpuid(7, 0, r);
	memcpy((void *)page, "\xc3", 1);
	set(V, page | PTE_P | PTE_W | PTE_U);
	if (r[1] >> 7 & 1) {
		claim_works("no SMEP: ring 0 fetches from a user page", fetch, V);
		WRITE_CR(4, READ_CR(4) | BIT(20));
		claim_fault("SMEP: #PF(11h)", fetch, V, PF_P | PF_I);
		claim_works("SMEP: load", load, V);
		WRITE_CR(4, READ_CR(4) & ~BIT(20));
	} else {
		skip("SMEP", "not in CPUID");
	}
	if (!(r[1] >> 20 & 1)) {
		skip("SMAP", "not in CPUID");
		set(V, 0);
		return;
	}
	EXPECT_NONE("stac and clac in ring 0 with SMAP in CPUID", "stac; clac");
	WRITE_CR(4, READ_CR(4) | BIT(21));
	claim_fault("SMAP: load: #PF(1)", load, V, PF_P);
	claim_fault("SMAP: store: #PF(3)", store, V, PF_P | PF_W);
	void with_ac(void)
	{
		asm volatile("stac; mov (%0), %%rax; clac" : : "r"(V) : "rax");
	}
	claim("stac: load", try_call(with_ac) == 0);
	void after_clac(void)
	{
		asm volatile("stac; clac; mov (%0), %%rax" : : "r"(V) : "rax");
	}
	claim_trap("clac: #PF(1)", VEC_PF, PF_P, after_clac);
	void by_popf(void)
	{
		asm volatile("pushfq; orl $0x40000, (%%rsp); popfq; mov (%0), %%rax; clac" : : "r"(V) : "rax", "cc");
	}
	claim("AC by popf: load", try_call(by_popf) == 0);
	WRITE_CR(4, READ_CR(4) & ~BIT(21));
	claim_works("without SMAP again", load, V);
	set(V, 0);
}

static void global_pages(void)
{
	u64 a = page_alloc(), b = page_alloc();

	*(volatile u64 *)a = 1;
	*(volatile u64 *)b = 2;
	WRITE_CR(4, READ_CR(4) | BIT(7));
	set(V, a | PTE_P | PTE_W | PTE_G);
	claim_eq("global page", *(volatile u64 *)V, 1);
	WRITE_CR(3, READ_CR(3));
	claim_eq("global page after CR3", *(volatile u64 *)V, 1);
	*pte_of(V, 1) = b | PTE_P | PTE_W | PTE_G;
	invlpg(V);
	claim_eq("invlpg takes global pages", *(volatile u64 *)V, 2);
	*pte_of(V, 1) = a | PTE_P | PTE_W | PTE_G;
	WRITE_CR(4, READ_CR(4) & ~BIT(7));
	claim_eq("CR4.PGE toggled: all gone", *(volatile u64 *)V, 1);
	set(V, 0);
}

static void invpcid(u64 type, u64 pcid, u64 va)
{
	u64 d[2] = {pcid, va};

	asm volatile("invpcid %0, %1" : : "m"(d), "r"(type) : "memory");
}

static void pcid(void)
{
	u32 r[4], r7[4];
	u64 a = page_alloc(), b = page_alloc(), cr3 = READ_CR(3);

	cpuid(1, 0, r);
	cpuid(7, 0, r7);
	if (!(r[2] >> 17 & 1) || !(r7[1] >> 10 & 1)) {
		skip("PCID", "PCID or INVPCID not in CPUID");
		return;
	}
	*(volatile u64 *)a = 1;
	*(volatile u64 *)b = 2;
	void pcide(void)
	{
		WRITE_CR(4, READ_CR(4) | BIT(17));
	}
	WRITE_CR(3, cr3 | 8);
	claim_trap("CR4.PCIDE with CR3[11:0] not 0: #GP(0)", VEC_GP, 0, pcide);
	WRITE_CR(3, cr3);
	claim("CR4.PCIDE", try_call(pcide) == 0 && (READ_CR(4) >> 17 & 1));
	void no_paging(void)
	{
		WRITE_CR(0, READ_CR(0) & ~BIT(31));
	}
	claim_trap("CR0.PG cleared under PCIDE: #GP(0)", VEC_GP, 0, no_paging);
	WRITE_CR(3, cr3 | 5);
	claim_eq("CR3 reads back its PCID", READ_CR(3), cr3 | 5);
	set(V, a | PTE_P | PTE_W);
	claim_eq("PCID 5", *(volatile u64 *)V, 1);
	WRITE_CR(3, cr3 | 6);
	*pte_of(V, 1) = b | PTE_P | PTE_W;
	claim_eq("PCID 6 sees the new entry", *(volatile u64 *)V, 2);
	WRITE_CR(3, cr3 | 5);
	claim_eq("PCID 5 flushed by its CR3", *(volatile u64 *)V, 2);
	*pte_of(V, 1) = a | PTE_P | PTE_W;
	invpcid(0, 5, V);
	claim_eq("invpcid 0: one address", *(volatile u64 *)V, 1);
	*pte_of(V, 1) = b | PTE_P | PTE_W;
	invpcid(1, 5, 0);
	claim_eq("invpcid 1: one PCID", *(volatile u64 *)V, 2);
	*pte_of(V, 1) = a | PTE_P | PTE_W;
	invpcid(2, 0, 0);
	claim_eq("invpcid 2: all with globals", *(volatile u64 *)V, 1);
	*pte_of(V, 1) = b | PTE_P | PTE_W;
	invpcid(3, 0, 0);
	claim_eq("invpcid 3: all but globals", *(volatile u64 *)V, 2);
	void bad_type(void)
	{
		invpcid(4, 0, 0);
	}
	claim_trap("invpcid 4: #GP(0)", VEC_GP, 0, bad_type);
	void bad_pcid(void)
	{
		invpcid(0, 0x1000, 0);
	}
	claim_trap("invpcid with reserved descriptor bits: #GP(0)", VEC_GP, 0, bad_pcid);
	void bad_address(void)
	{
		invpcid(0, 0, 0x800000000000);
	}
	claim_trap("invpcid 0 with a non-canonical address: #GP(0)", VEC_GP, 0, bad_address);
	asm volatile("mov %0, %%cr3" : : "r"(cr3 | 5 | BIT(63)) : "memory");
	claim_eq("CR3 bit 63 does not stick", READ_CR(3), cr3 | 5);
	WRITE_CR(3, cr3);
	WRITE_CR(4, READ_CR(4) & ~BIT(17));
	claim_eq("without PCID again", *(volatile u64 *)V, 2);
	set(V, 0);
}

static void control_registers(void)
{
	if (under_tcg()) {
		skip("reserved bits of CR3", "QEMU TCG does not check");
		return;
	}
	EXPECT("CR3 beyond the physical address width: #GP(0)", VEC_GP, 0, "mov %0, %%cr3"
	       :
	       : "r"(READ_CR(3) | BIT(51)));
	EXPECT("CR3 bit 63 without PCIDE: #GP(0)", VEC_GP, 0, "mov %0, %%cr3" : : "r"(READ_CR(3) | BIT(63)));
}

void kmain(void)
{
	basics();
	crossing();
	protection();
	sizes();
	user();
	code_across();
	smep_smap();
	global_pages();
	pcid();
	control_registers();
}
