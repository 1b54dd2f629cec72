/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ports: IOPL and the I/O permission bitmap from every ring, by IN, OUT and their string forms (SDM 1 chapter 19);
 * alignment checks (SDM 3A 6.15, vector 17). */
#include "tests/guest/lib/sys.h"

static struct {
	struct tss t;
	u8 ports[0x40];
	u8 end;
} __attribute__((packed)) big_tss;

#define STUB(name, text)                                                                      \
	asm(".pushsection .text.stubs, \"ax\"; " #name ": " text "; int $0x80; .popsection"); \
	extern const u8 name[]

/* Port in BX; memory at EDI. */
STUB(p_in8, "mov %bx, %dx; in %dx, %al");
STUB(p_in16, "mov %bx, %dx; in %dx, %ax");
STUB(p_in32, "mov %bx, %dx; in %dx, %eax");
STUB(p_out8, "mov %bx, %dx; out %al, %dx");
STUB(p_out16, "mov %bx, %dx; out %ax, %dx");
STUB(p_out32, "mov %bx, %dx; out %eax, %dx");
STUB(p_ins8, "mov %bx, %dx; insb");
STUB(p_ins16, "mov %bx, %dx; insw");
STUB(p_outs32, "mov %bx, %dx; mov %edi, %esi; outsl");
STUB(p_rep, "mov %bx, %dx; mov $2, %ecx; rep insb");

static const struct {
	const u8 *code;
	u8 size;
} list[] = {{p_in8, 1},   {p_in16, 2}, {p_in32, 4},  {p_out8, 1},   {p_out16, 2},
	    {p_out32, 4}, {p_ins8, 1}, {p_ins16, 2}, {p_outs32, 4}, {p_rep, 1}};

static u8 buffer[64];

static unsigned try_port(unsigned ring, unsigned op, unsigned port, unsigned iopl)
{
	struct ring_entry e = ring_entry(ring, list[op].code, iopl << 12, 0, (u32)buffer);

	e.bx = port;
	return ring_run(&e);
}

static void note(unsigned op, unsigned port, unsigned what)
{
	put_value("op", op);
	put_value("port", port);
	put_value("what", what);
	put_value("vector", trap.frame.vector);
	put_value("error", trap.frame.error);
	put_char('\n');
}

static bool good(unsigned vector, bool allowed)
{
	return allowed ? vector == VEC_DONE : vector == VEC_GP && trap.frame.error == 0;
}

/* Ports 200h to 21Fh: nothing is there. */
static void permissions(void)
{
	static struct table t = {.name = "IOPL: every ring, every IOPL, bitmap all set and all clear"};
	static struct table bits = {.name = "the bitmap: each bit against each port and size"};

	for (unsigned ring = 0; ring < 4; ring++)
		for (unsigned iopl = 0; iopl < 4; iopl++)
			for (unsigned open = 0; open < 2; open++)
				for (unsigned op = 0; op < ARRAY_SIZE(list); op++) {
					memset(big_tss.ports, open ? 0 : 0xff, sizeof(big_tss.ports));
					if (table_case(&t, good(try_port(ring, op, 0x150, iopl), ring <= iopl || open)))
						note(op, 0x150, ring << 4 | iopl);
				}
	table_line("", &t);
	for (unsigned op = 0; op < ARRAY_SIZE(list); op++)
		for (unsigned port = 0x150; port < 0x160; port++)
			for (unsigned bit = 0x14c; bit < 0x168; bit++) {
				memset(big_tss.ports, 0, sizeof(big_tss.ports));
				big_tss.ports[bit / 8] |= 1 << bit % 8;
				if (table_case(&bits, good(try_port(3, op, port, 0),
							   bit < port || bit >= port + list[op].size)))
					note(op, port, bit);
			}
	table_line("", &bits);
}

static void limits(void)
{
	static struct table t = {.name = "the bitmap and the limit of the TSS: two bytes are always read"};
	static struct table base = {.name = "a bitmap base at or beyond the limit: every port is #GP(0)"};
	u32 start = __builtin_offsetof(typeof(big_tss), ports);

	memset(big_tss.ports, 0, sizeof(big_tss.ports));
	for (unsigned limit = 0x67; limit < start + 0x30; limit++)
		for (unsigned op = 0; op < 3; op++)
			for (unsigned port = 0x100; port < 0x140; port += 5) {
				bool allowed = start + port / 8 + 1 <= limit;

				gdt[SYS_INDEX] = DESC(&big_tss, limit, 0x89, 0);
				ltr(SEL_SYS);
				if (table_case(&t, good(try_port(3, op, port, 0), allowed)))
					note(op, port, limit);
			}
	table_line("", &t);
	gdt[SYS_INDEX] = DESC(&big_tss, sizeof(big_tss) - 1, 0x89, 0);
	ltr(SEL_SYS);
	for (unsigned at = sizeof(big_tss) - 4; at < sizeof(big_tss) + 4; at++) {
		big_tss.t.iomap = at;
		big_tss.end = 0;
		if (table_case(&base, good(try_port(3, 0, 0, 0), at + 1 <= sizeof(big_tss) - 1)))
			note(0, 0, at);
	}
	big_tss.t.iomap = 0xffff;
	if (table_case(&base, good(try_port(3, 0, 0x150, 0), false)))
		note(0, 0x150, 0xffff);
	/* A 16-bit TSS has no bitmap. */
	static u16 small[0x80];
	small[1] = 0x6ff0;
	small[2] = SEL_KDATA;
	gdt[SYS_INDEX] = DESC(small, sizeof(small) - 1, 0x81, 0);
	ltr(SEL_SYS);
	if (table_case(&base, good(try_port(3, 0, 0, 0), false)))
		note(0, 0, 16);
	table_line("", &base);
	ltr(SEL_TSS);
}

/* --- alignment --- */

STUB(a_r1, "mov (%edi), %al");
STUB(a_r2, "mov (%edi), %ax");
STUB(a_r4, "mov (%edi), %eax");
STUB(a_w2, "mov %ax, (%edi)");
STUB(a_w4, "mov %eax, (%edi)");
STUB(a_rmw, "incl (%edi)");
STUB(a_cmpxchg, "lock cmpxchg %eax, (%edi)");
STUB(a_cx8, "cmpxchg8b (%edi)");
STUB(a_movs, "mov %edi, %esi; movsl");
STUB(a_push, "lea 4(%edi), %esp; push %eax");
STUB(a_pop, "mov %edi, %esp; pop %eax");
STUB(a_call, "lea 4(%edi), %esp; call 1f; 1:");
STUB(a_xadd, "xadd %eax, (%edi)");

static void alignment(void)
{
	static const struct {
		const u8 *code;
		u8 align;
	} ops[] = {{a_r1, 1},  {a_r2, 2},   {a_r4, 4},   {a_w2, 2},  {a_w4, 4},   {a_rmw, 4}, {a_cmpxchg, 4},
		   {a_cx8, 8}, {a_movs, 4}, {a_push, 4}, {a_pop, 4}, {a_call, 4}, {a_xadd, 4}};
	static struct table t = {.name = "alignment: AC, AM, ring, size and place: #AC(0)"};
	static u8 place[64] __attribute__((aligned(64)));

	for (unsigned am = 0; am < 2; am++)
		for (unsigned ac = 0; ac < 2; ac++) {
			WRITE_CR(0, (READ_CR(0) & ~BIT(18)) | am << 18);
			for (unsigned ring = 0; ring < 4; ring++)
				for (unsigned n = 0; n < ARRAY_SIZE(ops); n++)
					for (unsigned at = 16; at < 32; at++) {
						u32 address = (u32)place + at;
						bool stack = ops[n].code == a_push || ops[n].code == a_pop ||
							     ops[n].code == a_call;
						bool fault = am && ac && ring == 3 && address % ops[n].align;
						unsigned vector;

						if (stack && ring != 3)
							continue; /* the interrupt would use that stack */
						vector = ring_call(ring, ops[n].code, ac ? FLAG_AC : 0, 0, address);
						if (table_case(&t, fault ? vector == VEC_AC && trap.frame.error == 0
									 : vector == VEC_DONE)) {
							put_value("am", am);
							put_value("ac", ac);
							note(n, address, ring);
						}
					}
		}
	WRITE_CR(0, READ_CR(0) & ~BIT(18));
	table_line("", &t);
}

void kmain(void)
{
	rings_init();
	big_tss.t = tss;
	big_tss.t.iomap = __builtin_offsetof(typeof(big_tss), ports);
	big_tss.end = 0xff;
	gdt[SYS_INDEX] = DESC(&big_tss, sizeof(big_tss) - 1, 0x89, 0);
	ltr(SEL_SYS);
	permissions();
	limits();
	alignment();
}
