/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Limits and types of segments at every access (SDM 3A 5.3, 5.5): expand-up and expand-down, granularity, B flag, operand
 * sizes around the edges, through FS, SS and CS, from ring 3; instructions that run beyond the limit of CS. */
#include "tests/guest/lib/sys.h"

asm(".text\n"
    "l_fs_r1: mov %fs:(%edi), %al; int $0x80\n"
    "l_fs_r2: mov %fs:(%edi), %ax; int $0x80\n"
    "l_fs_r4: mov %fs:(%edi), %eax; int $0x80\n"
    "l_fs_w1: mov %al, %fs:(%edi); int $0x80\n"
    "l_fs_w2: mov %ax, %fs:(%edi); int $0x80\n"
    "l_fs_w4: mov %eax, %fs:(%edi); int $0x80\n"
    "l_fs_rmw: addb $0, %fs:(%edi); int $0x80\n"
    "l_fs_r6: lgdtl %fs:(%edi)\n" /* #GP(0) in ring 3 anyway */
    "l_fs_r8: bound %eax, %fs:(%edi); int $0x80\n"
    "l_ss_r1: mov %ss:(%edi), %al; int $0x80\n"
    "l_ss_r4: mov %ss:(%edi), %eax; int $0x80\n"
    "l_ss_w1: mov %al, %ss:(%edi); int $0x80\n"
    "l_ss_w4: mov %eax, %ss:(%edi); int $0x80\n"
    "l_push: push %eax; int $0x80\n"
    "l_pushw: pushw %ax; int $0x80\n"
    "l_pop: pop %eax; int $0x80\n"
    "l_popw: popw %ax; int $0x80\n"
    "l_pusha: pusha; int $0x80\n"
    "l_call: call 1f; 1: int $0x80\n"
    "l_jmp: ljmp *(%edi)\n"
    "l_esp: mov %ebx, %esp; jmp *%ecx\n"); /* IRET to a 16-bit stack leaves ESP's upper half */
extern const u8 l_fs_r1[], l_fs_r2[], l_fs_r4[], l_fs_w1[], l_fs_w2[], l_fs_w4[], l_fs_rmw[], l_fs_r8[], l_ss_r1[],
    l_ss_r4[], l_ss_w1[], l_ss_w4[], l_push[], l_pushw[], l_pop[], l_popw[], l_pusha[], l_call[], l_jmp[], l_esp[];

struct op {
	const char *name;
	const u8 *code;
	u8 size;
	bool write, stack; /* the stack's own: offset in ESP, below it for @down */
	s8 down;
	u8 vector;
};

static const struct op ops[] = {
    {"FS: read 1", l_fs_r1, 1, false, false, 0, VEC_GP},         {"FS: read 2", l_fs_r2, 2, false, false, 0, VEC_GP},
    {"FS: read 4", l_fs_r4, 4, false, false, 0, VEC_GP},         {"FS: write 1", l_fs_w1, 1, true, false, 0, VEC_GP},
    {"FS: write 2", l_fs_w2, 2, true, false, 0, VEC_GP},         {"FS: write 4", l_fs_w4, 4, true, false, 0, VEC_GP},
    {"FS: read and write", l_fs_rmw, 1, true, false, 0, VEC_GP}, {"SS: read 1", l_ss_r1, 1, false, false, 0, VEC_SS},
    {"SS: read 4", l_ss_r4, 4, false, false, 0, VEC_SS},         {"SS: write 1", l_ss_w1, 1, true, false, 0, VEC_SS},
    {"SS: write 4", l_ss_w4, 4, true, false, 0, VEC_SS},         {"PUSH", l_push, 4, true, true, 4, VEC_SS},
    {"16-bit PUSH", l_pushw, 2, true, true, 2, VEC_SS},          {"POP", l_pop, 4, false, true, 0, VEC_SS},
    {"16-bit POP", l_popw, 2, false, true, 0, VEC_SS},           {"CALL", l_call, 4, true, true, 4, VEC_SS},
};
static struct table tables[ARRAY_SIZE(ops)];
static u8 window[4096] __attribute__((aligned(4096)));

struct shape {
	u32 limit; /* in the descriptor */
	bool g, b;
	u8 type;
};

static bool allowed(const struct shape *s, const struct op *op, u32 offset)
{
	u32 limit = s->g ? s->limit << 12 | 0xfff : s->limit;
	u64 last = (u64)offset + op->size - 1;

	if (op->write && (s->type & 8 || !(s->type & 2)))
		return false;
	if (!op->write && (s->type & 10) == 8)
		return false;
	if ((s->type & 12) == 4)
		return offset > limit && last <= (s->b ? 0xffffffffu : 0xffffu);
	return last <= limit;
}

/* Some accesses are nobody's business: beyond 4 GiB under a limit of 4 GiB (SDM 3A 5.3). */
static bool open_question(const struct shape *s, const struct op *op, u32 offset)
{
	u32 limit = s->g ? s->limit << 12 | 0xfff : s->limit;

	return (s->type & 12) != 4 && limit == 0xffffffff && (u64)offset + op->size - 1 > 0xffffffff;
}

static void one(unsigned n, const struct shape *s, u32 offset)
{
	const struct op *op = &ops[n];
	/* The access falls on the window's middle, whatever the offset. */
	u32 base = (u32)window + 2048 - offset, sp = offset + op->down;
	struct ring_entry e = ring_entry(3, op->code, 0, 0, offset);
	unsigned vector, want;

	if (open_question(s, op, offset))
		return;
	/* Stacks of 16 bits wrap: only offsets in their range. */
	if (op->stack && !s->b && (offset > 0xffff || sp > 0xffff))
		return;
	gdt[SYS_INDEX] = DESC(base, s->limit, 0xf1 | s->type, s->g << 3 | s->b << 2);
	if (op->vector == VEC_SS) {
		if ((s->type & 10) != 2)
			return;
		e.ss = SEL_SYS | 3;
		if (op->stack)
			e.sp = sp;
	} else {
		if ((s->type & 10) == 8)
			return; /* can't be loaded */
		asm volatile("mov %w0, %%fs" : : "r"(SEL_SYS | 3));
	}
	want = allowed(s, op, offset) ? VEC_DONE : op->vector;
	vector = ring_run(&e);
	if (table_case(&tables[n], vector == want && (vector == VEC_DONE || trap.frame.error == 0))) {
		put_value("type", s->type);
		put_value("limit", s->limit);
		put_value("g", s->g);
		put_value("b", s->b);
		put_value("offset", offset);
		put_value("vector", vector);
		put_value("error", trap.frame.error);
		put_char('\n');
	}
}

static void data(void)
{
	static const u32 limits[] = {0, 1, 2, 3, 4, 0xffe, 0xfff, 0x1000, 0xfffe, 0xffff, 0x10000, 0xffffe, 0xfffff};

	for (unsigned n = 0; n < ARRAY_SIZE(ops); n++)
		tables[n].name = ops[n].name;
	for (unsigned type = 0; type < 16; type += 2)
		for (unsigned gb = 0; gb < 4; gb++)
			for (unsigned l = 0; l < ARRAY_SIZE(limits); l++) {
				struct shape s = {limits[l], gb & 1, gb & 2, type};
				u32 limit = s.g ? s.limit << 12 | 0xfff : s.limit;
				u32 at[] = {0,          1,          limit - 4, limit - 3,  limit - 2,  limit - 1,
					    limit,      limit + 1,  limit + 2, limit + 5,  0xfffc,     0xfffd,
					    0xfffe,     0xffff,     0x10000,   0x7fffffff, 0xfffffffb, 0xfffffffc,
					    0xfffffffd, 0xfffffffe, 0xffffffff};

				for (unsigned n = 0; n < ARRAY_SIZE(ops); n++)
					for (unsigned k = 0; k < ARRAY_SIZE(at); k++)
						one(n, &s, at[k]);
			}
	for (unsigned n = 0; n < ARRAY_SIZE(ops); n++)
		table_line("limit and type: ", &tables[n]);
}

/* --- instructions across the limit of CS --- */

static struct {
	u32 offset;
	u16 selector;
} __attribute__((packed)) far;

/* NOPs, one instruction of @len bytes, INT 80h; entered at the beginning, or, by a jump, at the instruction. */
static void code_case(struct table *t, const u8 *insn, unsigned len, int beyond, unsigned nops, bool paged)
{
	unsigned at = paged ? 4096 - nops - len / 2 : 1024;
	u32 limit = nops + len + 2 - 1 - beyond, fault_at;
	static u8 code[8192] __attribute__((aligned(4096)));
	struct ring_entry e = ring_entry(3, l_jmp, 0, 0, (u32)&far);
	unsigned vector;
	bool good;

	memset(code + at, 0x90, nops);
	memcpy(code + at + nops, insn, len);
	code[at + nops + len] = 0xcd;
	code[at + nops + len + 1] = VEC_DONE;
	gdt[SYS_INDEX] = DESC(code + at, limit, 0xfb, 4);
	far.offset = 0;
	far.selector = SEL_SYS | 3;
	vector = ring_run(&e);
	if (beyond <= 0) {
		good = vector == VEC_DONE && trap.frame.ip == nops + len + 2;
	} else {
		/* The first instruction that isn't wholly inside. */
		fault_at = beyond <= 2 ? nops + len : beyond < 2 + (int)len + 1 ? nops : limit + 1;
		good = vector == VEC_GP && trap.frame.error == 0 && trap.frame.ip == fault_at &&
		       trap.frame.cs == (SEL_SYS | 3);
	}
	if (table_case(t, good)) {
		put_value("len", len);
		put_value("beyond", beyond);
		put_value("nops", nops);
		put_value("vector", vector);
		put_value("ip", trap.frame.ip);
		put_char('\n');
	}
}

static void code(void)
{
	static const u8 insns[][8] = {{0x90},
				      {0x89, 0xc0},
				      {0x8d, 0x40, 0x00},
				      {0x8d, 0x44, 0x20, 0x00},
				      {0xb8, 1, 2, 3, 4},
				      {0x8d, 0x80, 0, 0, 0, 0},
				      {0x8d, 0x84, 0x20, 0, 0, 0, 0},
				      {0x2e, 0x8d, 0x84, 0x20, 0, 0, 0, 0}};
	static struct table inside = {.name =
					  "an instruction across the limit of CS: #GP(0) at it, after those before"};
	static struct table crossing = {.name = "the same where pages meet"};
	static struct table targets = {.name = "near jumps beyond the limit of CS: #GP(0) at the jump"};

	for (unsigned len = 1; len <= 8; len++)
		for (int beyond = -1; beyond <= (int)len + 4; beyond++)
			for (unsigned nops = 3; nops <= 9; nops += 3) {
				code_case(&inside, insns[len - 1], len, beyond, nops, false);
				code_case(&crossing, insns[len - 1], len, beyond, nops, true);
			}
	table_line("", &inside);
	table_line("", &crossing);

	/* jmp rel8, jmp rel32, call, jcc, ret, jmp reg to offset 100h, with limits around. */
	static const u8 jumps[][8] = {{0xeb, 0x7e},       {0xe9, 0x7b}, {0xe8, 0x7b}, {0x73, 0x7e},
				      {0x0f, 0x83, 0x7a}, {0xff, 0xe0}, {0xff, 0xd0}, {0x50, 0xc3}};
	static u8 room[256];

	for (unsigned n = 0; n < ARRAY_SIZE(jumps); n++)
		for (u32 limit = 0x7d; limit < 0x84; limit++) {
			struct ring_entry e = ring_entry(3, l_jmp, 0, 0x80, (u32)&far);
			unsigned vector, start = n == 7;
			bool good;

			memset(room, 0x90, sizeof(room));
			memcpy(room, jumps[n], 8);
			room[0x80] = 0xcd;
			room[0x81] = VEC_DONE;
			gdt[SYS_INDEX] = DESC(room, limit, 0xfb, 4);
			far.offset = 0;
			far.selector = SEL_SYS | 3;
			vector = ring_run(&e);
			/* Only the first byte of the target counts for the jump. */
			if (limit >= 0x81)
				good = vector == VEC_DONE;
			else
				good = vector == VEC_GP && trap.frame.error == 0 &&
				       trap.frame.ip == (limit == 0x80 ? 0x80 : start);
			if (table_case(&targets, good)) {
				put_value("jump", n);
				put_value("limit", limit);
				put_value("vector", vector);
				put_value("ip", trap.frame.ip);
				put_char('\n');
			}
		}
	table_line("", &targets);

	static struct table entries = {.name = "far transfers beyond the limit of the new CS: #GP(0) at them"};
	for (u32 offset = 0x7e; offset < 0x84; offset++) {
		unsigned vector;

		memset(room, 0x90, sizeof(room));
		room[0x80] = 0xcd;
		room[0x81] = VEC_DONE;
		gdt[SYS_INDEX] = DESC(room, 0x81, 0xfb, 4);
		far.offset = offset;
		far.selector = SEL_SYS | 3;
		vector = ring_call(3, l_jmp, 0, 0, (u32)&far);
		if (table_case(&entries, offset <= 0x80   ? vector == VEC_DONE
					 : offset == 0x81 ? vector == VEC_GP && trap.frame.cs == (SEL_SYS | 3)
							  : vector == VEC_GP && trap.frame.ip == (u32)l_jmp)) {
			put_value("offset", offset);
			put_value("vector", vector);
			put_char('\n');
		}
		struct ring_entry e = ring_entry(3, (void *)offset, 0, 0, 0);
		e.cs = SEL_SYS | 3;
		vector = ring_run(&e);
		/* At IRET, in ring 0, or at the target. */
		if (table_case(&entries, offset <= 0x80   ? vector == VEC_DONE
					 : offset == 0x81 ? vector == VEC_GP && trap.frame.cs == (SEL_SYS | 3)
							  : vector == VEC_GP && trap.frame.cs == SEL_KCODE)) {
			put_value("iret to", offset);
			put_value("vector", vector);
			put_char('\n');
		}
	}
	table_line("", &entries);
}

/* Stacks of 16 bits: SP wraps, ESP's upper half stays. */
static void stack16(void)
{
	static u8 stack[65536 + 16] __attribute__((aligned(16)));
	struct ring_entry e = ring_entry(3, l_esp, 0, 0x11223344, 0);

	gdt[SYS_INDEX] = DESC(stack, 0xffff, 0xf3, 0);
	e.ss = SEL_SYS | 3;
	e.cx = (u32)l_push;
	e.bx = 0xabcd0004;
	claim("16-bit stack: PUSH to offset 0",
	      ring_run(&e) == VEC_DONE && trap.frame.sp == 0xabcd0000 && *(u32 *)stack == 0x11223344);
	e.bx = 0xabcd0000;
	claim("16-bit stack: SP wraps to FFFCh",
	      ring_run(&e) == VEC_DONE && trap.frame.sp == 0xabcdfffc && *(u32 *)(stack + 0xfffc) == 0x11223344);
	e.bx = 0xabcd0002;
	claim("16-bit stack: PUSH across the wrap: #SS(0)", ring_run(&e) == VEC_SS && trap.frame.sp == 0xabcd0002);
	e.cx = (u32)l_pop;
	e.bx = 0x1234fffc;
	claim("16-bit stack: POP wraps SP to 0",
	      ring_run(&e) == VEC_DONE && trap.frame.sp == 0x12340000 && trap.frame.ax == 0x11223344);
	e.bx = 0x1234fffe;
	claim("16-bit stack: POP across the wrap: #SS(0)", ring_run(&e) == VEC_SS);
	e.cx = (u32)l_pusha;
	e.bx = 0x12340020;
	claim("16-bit stack: PUSHA down to 0", ring_run(&e) == VEC_DONE && trap.frame.sp == 0x12340000);
	e.bx = 0x1234001e;
	claim("16-bit stack: PUSHA across the wrap: #SS(0)", ring_run(&e) == VEC_SS && trap.frame.sp == 0x1234001e);
}

/* Nothing can be reached through a null segment register. */
static void null_segments(void)
{
	static struct table t = {.name = "through a null segment register: #GP(0)"};
	static const u8 *const codes[] = {l_fs_r1, l_fs_r2, l_fs_r4, l_fs_w1, l_fs_w2, l_fs_w4, l_fs_rmw};

	for (unsigned ring = 0; ring < 4; ring++)
		for (u16 sel = 0; sel < 4; sel++)
			for (unsigned n = 0; n < ARRAY_SIZE(codes); n++) {
				asm volatile("mov %w0, %%fs" : : "r"(sel));
				unsigned vector = ring_call(ring, codes[n], 0, 0, (u32)window);

				if (table_case(&t, vector == VEC_GP && trap.frame.error == 0)) {
					put_value("ring", ring);
					put_value("vector", vector);
					put_char('\n');
				}
			}
	table_line("", &t);
}

/* PUSH of a segment register with 32-bit operands moves 16 bits (SDM 2B, PUSH); with 16 bits as any. */
static void push_segments(void)
{
	u32 below = 0, size;

	asm volatile("mov %%esp, %1; push $0x5a5a5a5a; add $4, %%esp; push %%ds; sub %%esp, %1; pop %0"
		     : "=&r"(below), "=&r"(size));
	claim("PUSH DS leaves the upper word of its slot", below == (0x5a5a0000 | SEL_KDATA) && size == 4);
	asm volatile("mov %%esp, %1; push $0x5a5a5a5a; add $4, %%esp; push %%fs; sub %%esp, %1; pop %0"
		     : "=&r"(below), "=&r"(size));
	claim("PUSH FS too", below == 0x5a5a0000 && size == 4);
	asm volatile("mov %%esp, %1; pushw %%ds; sub %%esp, %1; popw %w0" : "=&r"(below), "=&r"(size));
	claim("16-bit PUSH DS", (u16)below == SEL_KDATA && size == 2);
}

void kmain(void)
{
	rings_init();
	data();
	code();
	stack16();
	push_segments();
	null_segments();
}
