/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The same code in 64-bit and in compatibility mode: limits, bases and types that count in the one and not in the other, address
 * and operand sizes, opcodes that are gone, and the way out of long mode (SDM 3A 3.2.4, 5.2.1, 5.3.1, 9.8.5, SDM 2 tables of
 * opcodes). */
#include "tests/guest/lib/sys.h"

#define STUB(name, text)                                                                      \
	asm(".pushsection .text.stubs, \"ax\"; " #name ": " text "; int $0x80; .popsection"); \
	extern const u8 name[]
/* The same bytes mean the same with RDI or EDI. */
STUB(e_r1, ".byte 0x26, 0x8a, 0x07");
STUB(e_r2, ".byte 0x26, 0x66, 0x8b, 0x07");
STUB(e_r4, ".byte 0x26, 0x8b, 0x07");
STUB(e_w1, ".byte 0x26, 0x88, 0x07");
STUB(e_w2, ".byte 0x26, 0x66, 0x89, 0x07");
STUB(e_w4, ".byte 0x26, 0x89, 0x07");
STUB(e_fs, ".byte 0x64, 0x8b, 0x07");
STUB(e_fs_w, ".byte 0x64, 0x89, 0x07");
STUB(e_done, "nop");
STUB(e_push, "push %rax");
STUB(e_pop, "pop %rax");
STUB(e_ss, ".byte 0x36, 0x8b, 0x07");
STUB(e_a32, ".byte 0x67, 0x8b, 0x07");
STUB(e_rip32, ".byte 0x67; mov e_mark(%rip), %eax");
STUB(e_int, "int $0x81");
STUB(e_calc, ".byte 0x48"); /* DEC EAX, or REX.W before INT */
STUB(e_out,
     ".code32; mov %cr0, %eax; mov %eax, %ebx; and $0x7fffffff, %eax; mov %eax, %cr0; jmp 1f; 1: mov $0xc0000080, "
     "%ecx; rdmsr; mov %eax, %edi; mov %ebx, %cr0; jmp 1f; 1: rdmsr; mov %eax, %esi; mov %edi, %ebx; .code64");

static u32 mark __attribute__((used, aligned(64))) = 0x5a17c0de;
asm(".globl e_mark; .set e_mark, mark");

#define DATA (SEL_SYS)      /* what a case makes it */
#define CS32 (SEL_SYS + 16) /* ring 0, flat, 32 bits */
#define CS16 (SEL_SYS + 24) /* 16 bits */
#define CSL  (SEL_SYS + 32) /* 32 bits with a limit */
#define SS16 (SEL_SYS + 40)

static unsigned run(const u8 *code, u16 cs, u64 di)
{
	struct ring_entry e = ring_entry(0, code, 0, 0x11223344, di);

	e.cs = cs;
	return ring_run(&e);
}

static void set_es(u16 sel)
{
	asm volatile("mov %w0, %%es" : : "r"(sel));
}

static void note(const char *what, u64 a, unsigned vector)
{
	put_value(what, a);
	put_value("vector", vector);
	put_value("error", trap.frame.error);
	put_value("ip", trap.frame.ip);
	put_char('\n');
}

static u8 area[0x3000] __attribute__((aligned(4096)));

/* --- limits and types --- */

static void limits(void)
{
	static struct table compat = {
	    .name = "compatibility mode: limit, expand-down and type of a data segment are checked"};
	static struct table wide = {.name = "64-bit mode: they aren't"};
	static const u32 limit[] = {0, 1, 3, 0xff, 0xfff, 0x1000};
	static const u32 offset[] = {0, 1, 2, 3, 4, 0xfc, 0xfd, 0xfe, 0xff, 0x100, 0xffc, 0xffd, 0xfff, 0x1000, 0x1001};
	static const struct {
		const u8 *code;
		unsigned size;
		bool write;
	} ops[] = {{e_r1, 1, 0}, {e_r2, 2, 0}, {e_r4, 4, 0}, {e_w1, 1, 1}, {e_w2, 2, 1}, {e_w4, 4, 1}};

	for (unsigned type = 0; type < 4; type++) /* bit 0: writable, bit 1: expand-down */
		for (unsigned l = 0; l < ARRAY_SIZE(limit); l++) {
			bool down = type & 2;

			gdt[DATA / 8] = DESC(area, limit[l], 0x91 | (type & 1) << 1 | (down ? 4 : 0), 4);
			for (unsigned o = 0; o < ARRAY_SIZE(offset); o++)
				for (unsigned n = 0; n < ARRAY_SIZE(ops); n++) {
					u32 last = offset[o] + ops[n].size - 1;
					bool in = down ? offset[o] > limit[l] : last <= limit[l];
					bool good = in && (!ops[n].write || (type & 1));

					set_es(DATA);
					unsigned vector = run(ops[n].code, CS32, offset[o]);
					if (table_case(&compat, good ? vector == VEC_DONE
								     : vector == VEC_GP && trap.frame.error == 0))
						note("offset", offset[o], vector);
					set_es(DATA);
					vector = run(ops[n].code, SEL_KCODE, (u64)area + offset[o]);
					if (table_case(&wide, vector == VEC_DONE))
						note("offset", offset[o], vector);
				}
		}
	set_es(SEL_KDATA);
	table_line("", &compat);
	table_line("", &wide);
}

/* --- bases --- */

static void bases(void)
{
	static struct table add = {.name = "compatibility mode: base and offset add up to 32 bits"};
	static struct table none = {.name = "64-bit mode: no base for ES and SS, that of FS"};
	static const u32 base[] = {0, 0x1000, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff};
	u32 at = (u32)(u64)&mark;

	for (unsigned n = 0; n < ARRAY_SIZE(base); n++) {
		gdt[DATA / 8] = DESC(base[n], 0xfffff, 0x93, 0xc);
		set_es(DATA);
		unsigned vector = run(e_r4, CS32, at - base[n]);
		if (table_case(&add, vector == VEC_DONE && (u32)trap.frame.ax == mark))
			note("base", base[n], vector);
		/* What is above bit 31 of the register doesn't count. */
		set_es(DATA);
		vector = run(e_r4, CS32, (u64)(at - base[n]) | 0xdead00000000);
		if (table_case(&add, vector == VEC_DONE && (u32)trap.frame.ax == mark))
			note("base", base[n], vector);
		set_es(DATA);
		vector = run(e_r4, SEL_KCODE, at);
		if (table_case(&none, vector == VEC_DONE && (u32)trap.frame.ax == mark))
			note("base", base[n], vector);
		asm volatile("mov %w0, %%fs" : : "r"(DATA));
		vector = run(e_fs, SEL_KCODE, (u64)at - base[n]);
		if (table_case(&none, vector == VEC_DONE && (u32)trap.frame.ax == mark))
			note("fs base", base[n], vector);
		vector = run(e_fs, CS32, at - base[n]);
		if (table_case(&add, vector == VEC_DONE && (u32)trap.frame.ax == mark))
			note("fs base", base[n], vector);
	}
	table_line("", &add);
	/* An FS that is read-only, or too short: not looked at in 64-bit mode. */
	gdt[DATA / 8] = DESC(0, 0, 0x91, 0x4);
	asm volatile("mov %w0, %%fs" : : "r"(DATA));
	if (table_case(&none, run(e_fs, SEL_KCODE, at) == VEC_DONE))
		note("limit", 0, 0);
	if (table_case(&none, run(e_fs_w, SEL_KCODE, (u64)area) == VEC_DONE))
		note("write", 0, 0);
	table_line("", &none);
	claim("compatibility mode: both count", run(e_fs, CS32, 0) == VEC_GP && run(e_fs_w, CS32, 0) == VEC_GP);
	asm volatile("mov %w0, %%fs" : : "r"(0));
	set_es(0);
	claim("64-bit mode: a null ES can be used", run(e_r4, SEL_KCODE, at) == VEC_DONE && (u32)trap.frame.ax == mark);
	set_es(0);
	claim("compatibility mode: it is #GP(0)", run(e_r4, CS32, at) == VEC_GP && trap.frame.error == 0);
	set_es(SEL_KDATA);
}

/* --- code and stack --- */

static void code_and_stack(void)
{
	static struct table limit = {
	    .name = "compatibility mode: code beyond the limit of CS is #GP(0), 64-bit code has none"};
	struct ring_entry e;
	u64 at = (u64)e_done;

	/* NOP, then the two bytes of INT 80h. */
	for (unsigned n = 0; n < 4; n++) {
		gdt[CSL / 8] = DESC(at & ~0xfffull, (at & 0xfff) - 1 + n, 0x9b, 4);
		e = ring_entry(0, (void *)(at & 0xfff), 0, 0, 0);
		e.cs = CSL;
		unsigned vector = ring_run(&e);
		bool fits = n >= 3;
		u64 stop = n == 0 ? at & 0xfff : (at & 0xfff) + 1;
		if (table_case(&limit, fits ? vector == VEC_DONE
					    : vector == VEC_GP && trap.frame.error == 0 &&
						  (trap.frame.ip == stop || (n == 0 && trap.frame.cs == SEL_KCODE))))
			note("short by", 3 - n, vector);
		gdt[CSL / 8] = DESC(0xff000000, 0, 0x9b, 0xa);
		vector = run(e_done, CSL, 0);
		if (table_case(&limit, vector == VEC_DONE))
			note("wide", n, vector);
	}
	table_line("", &limit);
	e = ring_entry(0, e_push, 0, 0x11223344, 0);
	u64 top = e.sp;
	e.cs = CS32;
	e.sp |= 0x7ead00000000;
	claim("compatibility mode: PUSH takes four bytes at ESP",
	      ring_run(&e) == VEC_DONE && (u32)trap.frame.sp == (u32)top - 4 && *(u32 *)(top - 4) == 0x11223344);
	e = ring_entry(0, e_push, 0, 0x11223344, 0);
	e.cs = SEL_KCODE;
	e.ss = SS16;
	claim("64-bit mode: the stack is of 64 bits, whatever SS says",
	      ring_run(&e) == VEC_DONE && trap.frame.sp == top - 8);
	e.cs = CS32;
	/* IRET to a 16-bit stack loads SP alone, too: above it RSP is the kernel's, and so is where the frame of INT 80h goes. */
	gdt[SS16 / 8] = DESC((u64)area + 0x1000 - 0x8000, 0xffff, 0x93, 0);
	e.sp = 0x408000;
	claim("compatibility mode: a 16-bit stack moves SP alone, so does IRET to it",
	      ring_run(&e) == VEC_DONE && (u16)trap.frame.sp == 0x7ffc && trap.frame.sp >> 16 != 0x40 &&
		  *(u32 *)(area + 0x1000 - 4) == 0x11223344);
	e.sp = 0x400002;
	gdt[SS16 / 8] = DESC(area, 0xffff, 0x93, 0);
	claim("compatibility mode: and PUSH across its wrap is #SS(0)",
	      ring_run(&e) == VEC_SS && trap.frame.error == 0);
	gdt[SS16 / 8] = DESC(area, 0xfff, 0x93, 4);
	e.sp = 0x1002;
	claim("compatibility mode: a limit of SS counts: #SS(0)", ring_run(&e) == VEC_SS && trap.frame.error == 0);
	claim("compatibility mode: by an override too: #SS(0)", ({
		      e.ip = (u64)e_ss;
		      e.di = 0x1000;
		      ring_run(&e) == VEC_SS;
	      }));
	gdt[SS16 / 8] = DESC(0, 0xfffff, 0x93, 8);
	/* Frames. */
	e = ring_entry(0, e_int, 0, 0, 0);
	e.cs = CS32;
	e.sp -= 4; /* not even a multiple of 8 */
	top = e.sp;
	claim("compatibility mode: an interrupt pushes SS, RSP, RFLAGS, CS, RIP of 8 bytes at a multiple of 16",
	      ring_run(&e) == 0x81 && trap.frame.cs == CS32 && trap.frame.sp == top && trap.frame.ss == e.ss &&
		  trap.frame.ip == (u64)e_int + 2);
}

/* --- sizes --- */

static void sizes(void)
{
	u64 at = (u64)&mark;

	claim("67h in 64-bit mode: addresses of 32 bits",
	      run(e_a32, SEL_KCODE, at | 0xbad00000000) == VEC_DONE && (u32)trap.frame.ax == mark);
	claim("67h with RIP-relative addressing", run(e_rip32, SEL_KCODE, 0) == VEC_DONE && (u32)trap.frame.ax == mark);
	/* 67h in 32-bit code: (%bx), and 66h: AX. */
	gdt[DATA / 8] = DESC(at & ~0xffffull, 0xffff, 0x93, 4);
	set_es(DATA);
	STUB(e_a16, ".byte 0x26, 0x67, 0x8b, 0x05"); /* MOV EAX, ES:[DI] */
	claim("67h in compatibility mode: addresses of 16 bits",
	      run(e_a16, CS32, 0xabcd0000 | (at & 0xffff)) == VEC_DONE && (u32)trap.frame.ax == mark);
	STUB(e_16, ".byte 0x26, 0x8b, 0x05"); /* 16-bit code: MOV AX, ES:[DI] */
	set_es(DATA);
	gdt[CS16 / 8] = DESC((u64)e_16 & ~0xffffull, 0xffff, 0x9b, 0);
	struct ring_entry e = ring_entry(0, (void *)((u64)e_16 & 0xffff), 0, 0x11223344, at & 0xffff);
	e.cs = CS16;
	claim("a 16-bit code segment: operands and addresses of 16 bits",
	      ring_run(&e) == VEC_DONE && (u32)trap.frame.ax == (0x11220000 | (mark & 0xffff)));
	set_es(SEL_KDATA);
	claim("48h: DEC EAX in compatibility mode",
	      run(e_calc, CS32, 0) == VEC_DONE && (u32)trap.frame.ax == 0x11223343);
	claim("48h: a prefix in 64-bit mode", run(e_calc, SEL_KCODE, 0) == VEC_DONE && trap.frame.ax == 0x11223344);
}

/* --- opcodes that 64-bit mode doesn't have --- */

static void gone(void)
{
	static struct table t = {.name = "opcodes that 64-bit mode hasn't: #UD there, not in compatibility mode"};
	static u8 code[16] __attribute__((aligned(16)));
	static const struct {
		u8 bytes[8];
		unsigned len;
	} list[] = {
	    {{0x06, 0x07}, 2},       /* PUSH ES, POP ES */
	    {{0x0e, 0x58}, 2},       /* PUSH CS, POP EAX */
	    {{0x16, 0x17}, 2},       /* PUSH SS, POP SS */
	    {{0x1e, 0x1f}, 2},       /* PUSH DS, POP DS */
	    {{0x27}, 1},             /* DAA */
	    {{0x2f}, 1},             /* DAS */
	    {{0x37}, 1},             /* AAA */
	    {{0x3f}, 1},             /* AAS */
	    {{0x60, 0x61}, 2},       /* PUSHA, POPA */
	    {{0x82, 0xc0, 0x01}, 3}, /* ADD AL, 1 */
	    {{0xce}, 1},             /* INTO */
	    {{0xd4, 0x0a}, 2},       /* AAM */
	    {{0xd5, 0x0a}, 2},       /* AAD */
	    {{0xd6}, 1},             /* SALC */
	};

	for (unsigned n = 0; n < ARRAY_SIZE(list); n++) {
		memcpy(code, list[n].bytes, list[n].len);
		memcpy(code + list[n].len, (u8[]){0xcd, 0x80}, 2);
		unsigned vector = run(code, CS32, 0);
		if (table_case(&t, vector == VEC_DONE))
			note("in compatibility mode", list[n].bytes[0], vector);
		vector = run(code, SEL_KCODE, 0);
		if (table_case(&t, vector == VEC_UD && trap.frame.ip == (u64)code))
			note("in 64-bit mode", list[n].bytes[0], vector);
	}
	/* Far CALL and JMP with an immediate pointer. */
	for (unsigned call = 0; call < 2; call++) {
		u32 at = (u32)(u64)e_done;

		code[0] = call ? 0x9a : 0xea;
		memcpy(code + 1, &at, 4);
		memcpy(code + 5, (u16[]){CS32}, 2);
		unsigned vector = run(code, CS32, 0);
		if (table_case(&t, vector == VEC_DONE))
			note("far", call, vector);
		vector = run(code, SEL_KCODE, 0);
		if (table_case(&t, vector == VEC_UD))
			note("far", call, vector);
	}
	table_line("", &t);
	memcpy(code, (u8[]){0x63, 0xc8, 0xcd, 0x80}, 4); /* ARPL AX, CX; MOVSXD ECX, EAX */
	struct ring_entry e = ring_entry(0, code, 0, 0x10, 0);
	e.cx = 3;
	e.cs = CS32;
	claim("63h: ARPL in compatibility mode",
	      ring_run(&e) == VEC_DONE && (u16)trap.frame.ax == 0x13 && (trap.frame.flags & FLAG_ZF));
	e.cs = SEL_KCODE;
	claim("63h: MOVSXD in 64-bit mode", ring_run(&e) == VEC_DONE && trap.frame.ax == 0x10 && trap.frame.cx == 0x10);
}

void kmain(void)
{
	rings_init();
	gdt[CS32 / 8] = DESC(0, 0xfffff, 0x9b, 0xc);
	gdt[SS16 / 8] = DESC(0, 0xfffff, 0x93, 8);
	limits();
	bases();
	code_and_stack();
	sizes();
	gone();
	claim("compatibility mode: CR0.PG clear ends long mode, EFER.LMA follows it; set again, it is back",
	      run(e_out, CS32, 0) == VEC_DONE && !(trap.frame.bx & BIT(10)) && (trap.frame.bx & BIT(8)) &&
		  (trap.frame.si & BIT(10)));
}
