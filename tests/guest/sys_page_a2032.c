/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Address line 20 (SDM 3A 8.7.13.4; A20M#: Intel 82801AA data sheet, PORT92): what closes it, and that every physical address of the
 * processor passes it: data, instructions, page tables of every level, PDPTEs. So that the kernel itself can go on with the
 * line closed, it moves to an address without bit 20: a copy at 2 MiB is mapped where it was linked. */
#include "tests/guest/lib/sys.h"

/* Physical addresses. Bit 20 is what a pair differs in. */
#define LINE     0x100000u
#define PD       0x20000u /* the page directory, and the PDPT in its second half */
#define PDPT     0x20800u /* 32-bit paging takes no notice of CR3 bits 11:5 */
#define PT       0x21000u /* of the first 4 MiB: the kernel */
#define WINDOW   0x22000u /* of the next 4 MiB: physical memory from 0 */
#define TABLE    0x23000u /* of the 4 MiB at CASE */
#define PAE_PD   0x24000u /* PAE: page directory, and the kernel's table */
#define PAE_PT   0x25000u
#define OTHER_PD 0x26000u /* another with another page at CASE */
#define DATA     0x30000u
#define CODE     0x31000u
#define KERNEL   0x200000u /* where the kernel moves to */

#define CASE    0x800000u /* a linear address, mapped in several ways */
#define P(pa)   ((volatile u8 *)0x400000 + (pa))
#define P32(pa) ((volatile u32 *)P(pa))

enum { PTE_P = 1, PTE_W = 2, PTE_A = 0x20, PTE_D = 0x40, PTE_PS = 0x80 };

extern u8 image_end[];

/* --- the gates --- */

static void port92(bool open)
{
	outb(0x92, (inb(0x92) & ~3) | (open ? 2 : 0));
}

static void kbc_wait(void)
{
	while (inb(0x64) & 2)
		;
}

static void kbc_command(u8 command)
{
	kbc_wait();
	outb(0x64, command);
	kbc_wait();
}

static void kbc_short(bool open)
{
	kbc_command(open ? 0xdf : 0xdd);
}

static void kbc_outport(bool open)
{
	kbc_command(0xd1);
	outb(0x60, open ? 0xdf : 0xdd);
	kbc_wait();
}

static u8 kbc_read_outport(void)
{
	kbc_command(0xd0);
	while (!(inb(0x64) & 1))
		;
	return inb(0x60);
}

static void line(bool open)
{
	kbc_short(open);
	port92(open);
}

/* Tells the two apart by bytes that differ. */
static bool is_open(void)
{
	return P32(DATA)[0] != P32(DATA | LINE)[0];
}

static void gates(void)
{
	static void (*const gate[])(bool) = {port92, kbc_short, kbc_outport};
	static struct table t = {.name = "A20: each gate opens and closes it while the other is closed"};
	static struct table both = {.name = "A20: one gate is enough to hold it open"};

	for (unsigned n = 0; n < 3; n++) {
		line(false);
		if (table_case(&t, !is_open()))
			put_value("gate", n), put_char('\n');
		for (unsigned k = 0; k < 4; k++) {
			gate[n](!(k & 1));
			if (table_case(&t, is_open() == !(k & 1)))
				put_value("gate", n), put_char('\n');
		}
	}
	table_line("", &t);
	for (unsigned first = 0; first < 3; first++)
		for (unsigned second = 0; second < 3; second++) {
			if (!first == !second)
				continue; /* two ways to the same gate */
			line(true);
			gate[first](false);
			if (table_case(&both, is_open()))
				put_value("gate", first), put_char('\n');
			gate[second](false);
			if (table_case(&both, !is_open()))
				put_value("gate", second), put_char('\n');
		}
	table_line("", &both);
	line(true);
	claim("A20 open: port 92h and the 8042's output port show it", (inb(0x92) & 2) && (kbc_read_outport() & 2));
	line(false);
	claim("A20 closed: port 92h and the 8042's output port show it", !(inb(0x92) & 2) && !(kbc_read_outport() & 2));
	line(true);
}

/* --- what passes it --- */

static void data(void)
{
	static struct table t = {.name =
				     "A20 closed: reads and writes, addresses from 0 to 4 MiB, other bits untouched"};

	for (unsigned n = 0; n < 32; n++) {
		u32 pa = 0x40000 + 0x1000 * (n >> 2) + 4 * n, upper = (n & 3) == 3 ? KERNEL + 0xc0000 : 0;

		line(true);
		*P32(upper | pa) = 0x1111;
		*P32(upper | LINE | pa) = 0x2222;
		bool good = *P32(upper | pa) == 0x1111 && *P32(upper | LINE | pa) == 0x2222;
		line(false);
		good = good && *P32(upper | LINE | pa) == 0x1111 && *P32(upper | pa) == 0x1111;
		*P32(upper | LINE | pa) = 0x3333;
		good = good && *P32(upper | pa) == 0x3333;
		line(true);
		good = good && *P32(upper | pa) == 0x3333 && *P32(upper | LINE | pa) == 0x2222;
		if (table_case(&t, good))
			put_value("address", upper | pa), put_char('\n');
	}
	table_line("", &t);
	line(true);
	*P32(DATA + 0xffe) = 0x11111111;
	*P32((DATA + 0xffe) | LINE) = 0x22222222;
	line(false);
	u32 across = *P32((DATA + 0xffe) | LINE);
	*P32((DATA + 0xffe) | LINE) = 0x33333333;
	line(true);
	claim("A20 closed: an unaligned access across two pages",
	      across == 0x11111111 && *P32(DATA + 0xffe) == 0x33333333 && *P32((DATA + 0xffe) | LINE) == 0x22222222);
	*P32(LINE | DATA) = 0x22222222;
	*P32(DATA) = 0x11111111;
	line(false);
	u32 cx = 4;
	void *to = (void *)P(DATA + 0x100);
	const void *from = (void *)P(LINE | DATA);
	asm volatile("rep movsb" : "+c"(cx), "+D"(to), "+S"(from) : : "memory");
	claim("A20 closed: string instructions", *P32(DATA + 0x100) == 0x11111111);
	line(true);
}

/* mov $imm, %eax; ret */
static void put_code(u32 pa, u32 value)
{
	volatile u8 *p = P(pa);

	p[0] = 0xb8;
	*(volatile u32 *)(p + 1) = value;
	p[5] = 0xc3;
}

static void instructions(void)
{
	u32 (*call)(void) = (u32(*)(void))P(LINE | CODE);
	u32 a, b, c;

	line(true);
	put_code(CODE, 1);
	put_code(CODE | LINE, 2);
	a = call();
	line(false);
	b = call();
	line(true);
	c = call();
	claim("A20: instructions", a == 2 && b == 1 && c == 2);
	line(false);
	call();
	put_code(CODE | LINE, 3); /* goes to CODE */
	b = call();
	line(true);
	c = call();
	claim("A20 closed: code that is written through its other address", b == 3 && c == 2);
}

/* --- page tables --- */

static void load_cr3(u32 v)
{
	WRITE_CR(3, v);
}

/* Directory and table entries at @pa as the kernel's own, with @table at CASE. */
static void make_directory(u32 pa, u32 table)
{
	memcpy((void *)P(pa), (void *)P(PD), 0x800);
	P32(pa)[CASE >> 22] = table;
}

static volatile u32 *const at_case = (u32 *)CASE;

/* What is read at CASE with the line open and closed. */
static void walk(const char *name, u32 cr3, u32 want_open, u32 want_closed)
{
	u32 open, closed;

	line(true);
	load_cr3(cr3);
	open = *at_case;
	line(false);
	closed = *at_case;
	line(true);
	load_cr3(PD);
	claim(name, open == want_open && closed == want_closed);
}

static void tables(void)
{
	const u32 rw = PTE_P | PTE_W;

	line(true);
	P32(DATA)[0] = 1;
	P32(DATA | LINE)[0] = 2;
	P32(DATA + 0x1000)[0] = 3;
	P32(TABLE)[0] = DATA | rw;
	P32(TABLE | LINE)[0] = (DATA + 0x1000) | rw;
	make_directory(OTHER_PD, TABLE | LINE | rw);
	walk("A20: a page table", OTHER_PD, 3, 1);
	P32(TABLE)[0] = DATA | LINE | rw;
	make_directory(OTHER_PD, TABLE | rw);
	walk("A20: a page", OTHER_PD, 2, 1);
	P32(TABLE)[0] = DATA | rw;
	make_directory(OTHER_PD, TABLE | rw);
	make_directory(OTHER_PD | LINE, TABLE | LINE | rw);
	walk("A20: the page directory", OTHER_PD | LINE, 3, 1);
	WRITE_CR(4, READ_CR(4) | BIT(4)); /* PSE */
	make_directory(OTHER_PD, rw | PTE_PS);
	line(true);
	load_cr3(OTHER_PD);
	u32 open = *(volatile u32 *)(CASE + (DATA | LINE));
	line(false);
	u32 closed = *(volatile u32 *)(CASE + (DATA | LINE));
	line(true);
	load_cr3(PD);
	claim("A20: within a page of 4 MiB", open == 2 && closed == 1);

	/* accessed and dirty flags are set where the tables were read */
	P32(TABLE)[0] = DATA | rw;
	make_directory(OTHER_PD, TABLE | LINE | rw);
	make_directory(OTHER_PD | LINE, TABLE | LINE | rw);
	P32(TABLE | LINE)[0] = (DATA + 0x1000) | rw;
	line(false);
	load_cr3(OTHER_PD | LINE);
	*at_case = 7;
	line(true);
	load_cr3(PD);
	claim("A20 closed: accessed and dirty flags go to the tables in use",
	      P32(TABLE)[0] == (DATA | rw | PTE_A | PTE_D) && (P32(OTHER_PD)[CASE >> 22] & PTE_A) &&
		  !(P32(TABLE | LINE)[0] & (PTE_A | PTE_D)) && !(P32(OTHER_PD | LINE)[CASE >> 22] & PTE_A) &&
		  P32(DATA)[0] == 7);
}

/* --- PAE --- */

static void put64(u32 pa, u64 v)
{
	*(volatile u64 *)P(pa) = v;
}

static void pae(void)
{
	const u32 rw = PTE_P | PTE_W;
	u32 cr4 = READ_CR(4), loaded, again;

	line(true);
	P32(0x50000)[0] = 1;
	P32(KERNEL + 0x150000)[0] = 2; /* 350000h */
	for (unsigned n = 0; n < 512; n++)
		put64(PAE_PT + 8 * n, P32(PT)[n]);
	for (unsigned other = 0; other < 2; other++) {
		u32 pd = other ? OTHER_PD : PAE_PD;

		memset((void *)P(pd), 0, 4096);
		put64(pd, PAE_PT | rw);
		put64(pd + 8 * 1, 0x200000 | rw | PTE_PS);
		put64(pd + 8 * 2, rw | PTE_PS); /* the window */
		put64(pd + 8 * 3, 0x200000 | rw | PTE_PS);
		put64(pd + 8 * (CASE >> 21), (other ? 0x200000 : 0) | rw | PTE_PS);
	}
	memset((void *)P(PDPT), 0, 32);
	memset((void *)P(PDPT | LINE), 0, 32);
	put64(PDPT, PAE_PD | PTE_P);
	put64(PDPT | LINE, OTHER_PD | PTE_P);
	/* the same CR3 serves both kinds of paging while CR4.PAE changes */
	load_cr3(PDPT);
	WRITE_CR(4, cr4 | BIT(5));
	load_cr3(PDPT | LINE);
	loaded = *(volatile u32 *)(CASE + 0x150000);
	line(false);
	load_cr3(PDPT | LINE);
	again = *(volatile u32 *)(CASE + 0x50000);
	line(true);
	load_cr3(PDPT);
	WRITE_CR(4, cr4);
	load_cr3(PD);
	claim("A20: PDPTEs are loaded through it", loaded == 2 && again == 1);
}

/* Copies the kernel and goes on in the copy: at one go, since the stack is in it. */
static void move(void)
{
	u32 *pd = (u32 *)PD, *pt = (u32 *)PT, *window = (u32 *)WINDOW;
	const u32 rw = PTE_P | PTE_W;
	void *from = (void *)LINE, *to = (void *)KERNEL;
	u32 len = 0x80000;

	memset(pd, 0, 4096);
	pd[0] = PT | rw;
	pd[1] = WINDOW | rw;
	for (u32 n = 0; n < 1024; n++) {
		window[n] = n << 12 | rw;
		pt[n] = (n >= 0x100 && n < 0x200 ? (n << 12) - LINE + KERNEL : n << 12) | rw;
	}
	asm volatile("rep movsb; mov %3, %%cr3; mov %%cr0, %%eax; or $0x80000000, %%eax; mov %%eax, %%cr0; jmp 1f; 1:"
		     : "+c"(len), "+S"(from), "+D"(to)
		     : "r"(PD)
		     : "eax", "memory");
}

void kmain(void)
{
	claim("the kernel is small enough to move", (u32)image_end < LINE + 0x80000);
	move();
	P32(DATA)[0] = 1;
	P32(DATA | LINE)[0] = 2;
	claim("A20 open: bit 20 is another address", P32(DATA)[0] == 1 && P32(DATA | LINE)[0] == 2);
	gates();
	data();
	instructions();
	tables();
	pae();
}
