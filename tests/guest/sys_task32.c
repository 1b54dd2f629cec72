/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Task switches (SDM 3A chapter 7): JMP, CALL, IRET, task gates in GDT and IDT, what is saved and loaded, nesting, and
 * every fault of a switch in the task and with the error code the manual gives (table 7-1). */
#include "tests/guest/lib/sys.h"

enum {
	SEL_B = SEL_SYS,       /* TSS B */
	SEL_C = SEL_SYS + 8,   /* TSS C */
	SEL_16 = SEL_SYS + 16, /* a 16-bit TSS */
	SEL_GATE = SEL_SYS + 24,
	SEL_TEST = SEL_SYS + 32, /* the descriptor under test */
	SEL_LDT = SEL_SYS + 40,
};

struct tssmall {
	u16 link, sp0, ss0, sp1, ss1, sp2, ss2, ip, flags, ax, cx, dx, bx, sp, bp, si, di, es, cs, ss, ds, ldt;
};

static struct tss b, c;
static struct tssmall small;
static u8 stack_b[3][2048] __attribute__((aligned(16)));
static u64 ldt[4];

#define BUSY(sel) (gdt[(sel) / 8] >> 41 & 1)
#define TOP(s)    ((u32)(s) + sizeof(s))

void t_done(void), t_back(void), t_iret(void), t_state(void), t_two(void), t_call_c(void);
extern u32 t_cr0, t_flags, t_tr, t_esp, t_regs[8], t_error_code, t_passes;
asm(".text\n"
    "t_done: int $0x80\n"
    /* Notes its state, goes back by a jump; a second jump to it goes on behind the first. */
    "t_back: mov %esp, t_esp; pusha; mov %cr0, %eax; mov %eax, t_cr0; pushf; pop t_flags; str t_tr; popa\n"
    "  mov %eax, t_regs; mov %ecx, t_regs+4; mov %edx, t_regs+8; mov %ebx, t_regs+12; mov %ebp, t_regs+20\n"
    "  mov %esi, t_regs+24; mov %edi, t_regs+28; incl t_passes; ljmp $0x38, $0; jmp t_back\n"
    "t_iret: mov %esp, t_esp; pushf; pop t_flags; str t_tr; mov %cr0, %eax; mov %eax, t_cr0; incl t_passes; iret; jmp "
    "t_iret\n"
    "t_call_c: lcall $0x90, $0; incl t_passes; iret; jmp t_call_c\n"
    ".data; t_cr0: .long 0; t_flags: .long 0; t_tr: .long 0; t_esp: .long 0; t_regs: .skip 32; t_error_code: .long 0\n"
    "t_passes: .long 0; .text\n");

static struct tss task(unsigned ring, void *ip, unsigned which)
{
	return (struct tss){
	    .ss0 = SEL_KDATA,
	    .esp0 = TOP(stack_rsp0),
	    .eip = (u32)ip,
	    .eflags = 2,
	    .esp = TOP(stack_b[which]),
	    .cs = RING_CS(ring),
	    .ss = RING_SS(ring),
	    .ds = RING_SS(ring),
	    .es = RING_SS(ring),
	    .iomap = sizeof(struct tss),
	};
}

static u64 tss_descriptor(const void *base, u32 limit, unsigned type)
{
	return DESC(base, limit, 0x80 | type, 0);
}

/* Back on the kernel's own TSS after a test that ended elsewhere. */
static void home(void)
{
	ltr(SEL_TSS);
	gdt[SEL_B / 8] = tss_descriptor(&b, sizeof(b) - 1, 9);
	gdt[SEL_C / 8] = tss_descriptor(&c, sizeof(c) - 1, 9);
	gdt[SEL_16 / 8] = tss_descriptor(&small, sizeof(small) - 1, 1);
	asm volatile("clts");
	t_passes = 0;
}

static void jmp_b(void)
{
	asm volatile("ljmp %0, $0" : : "i"(SEL_B) : "memory");
}

static void call_b(void)
{
	asm volatile("lcall %0, $0" : : "i"(SEL_B) : "memory");
}

static void call_gate(void)
{
	asm volatile("lcall %0, $0" : : "i"(SEL_GATE) : "memory");
}

static void jmp_gate(void)
{
	asm volatile("ljmp %0, $0" : : "i"(SEL_GATE) : "memory");
}

static void int_81(void)
{
	asm volatile("int $0x81" : : : "memory");
}

static void jumps(void)
{
	u32 ax, bx, cx, dx, si, di;

	b = task(0, t_back, 0);
	b.eax = 0x11111111;
	b.ecx = 0x22222222;
	b.edx = 0x33333333;
	b.ebx = 0x44444444;
	b.ebp = 0x55555555;
	b.esi = 0x66666666;
	b.edi = 0x77777777;
	b.eflags = 2 | FLAG_CF | FLAG_DF | FLAG_ZF;
	home();
	asm volatile("stc; ljmp %6, $0"
		     : "=a"(ax), "=b"(bx), "=c"(cx), "=d"(dx), "=S"(si), "=D"(di)
		     : "i"(SEL_B), "a"(1), "b"(2), "c"(3), "d"(4), "S"(5), "D"(6)
		     : "memory", "cc");
	claim("JMP to a TSS and back: its code ran once", t_passes == 1);
	claim("general registers come from the TSS", t_regs[0] == 0x11111111 && t_regs[1] == 0x22222222 &&
							 t_regs[2] == 0x33333333 && t_regs[3] == 0x44444444 &&
							 t_regs[5] == 0x55555555 && t_regs[6] == 0x66666666 &&
							 t_regs[7] == 0x77777777);
	claim_eq("ESP too", t_esp, TOP(stack_b[0]));
	claim_eq("EFLAGS too", t_flags, 2 | FLAG_CF | FLAG_DF | FLAG_ZF);
	claim_eq("TR names the new TSS", t_tr & 0xffff, SEL_B);
	claim("CR0.TS is set", t_cr0 & 8);
	claim("the old task's registers come back", ax == 1 && bx == 2 && cx == 3 && dx == 4 && si == 5 && di == 6);
	claim("JMP: the old TSS becomes available, the new one busy", !BUSY(SEL_B) && BUSY(SEL_TSS));
	claim("JMP writes no link and sets no NT", b.link == 0 && !(t_flags & FLAG_NT));
	claim("EIP is saved behind the JMP", ((u8 *)b.eip)[-7] == 0xea);
	claim("segments are saved", b.cs == RING_CS(0) && b.ss == RING_SS(0) && b.ds == RING_SS(0));
	claim("what a switch doesn't save stays: ESP0, CR3, LDT",
	      b.esp0 == TOP(stack_rsp0) && b.cr3 == 0 && b.ldt == 0);
	b.ebx = 0x88888888;
	jmp_b();
	claim("a second JMP goes on behind the first", t_passes == 2 && t_regs[3] == 0x88888888);
	claim("the saved EFLAGS of the old task", tss.eflags & 2);
}

static void calls(void)
{
	b = task(0, t_iret, 0);
	home();
	call_b();
	claim("CALL to a TSS and IRET", t_passes == 1);
	claim("CALL sets NT in the new task", t_flags & FLAG_NT);
	claim_eq("CALL writes the link", b.link, SEL_TSS);
	claim("IRET: B is available, the old task still busy", !BUSY(SEL_B) && BUSY(SEL_TSS));
	claim("IRET saves NT clear", !(b.eflags & FLAG_NT));
	claim("NT is clear again", !(read_flags() & FLAG_NT));
	call_b();
	claim("CALL again: it goes on behind its IRET", t_passes == 2);

	gdt[SEL_GATE / 8] = (u64)SEL_B << 16 | 0x85ull << 40;
	call_gate();
	claim("CALL through a task gate", t_passes == 3 && t_tr == SEL_B);
	b = task(0, t_back, 0);
	jmp_gate();
	claim("JMP through a task gate", t_passes == 4 && t_tr == SEL_B && !(t_flags & FLAG_NT));

	c = task(0, t_iret, 1);
	b = task(0, t_call_c, 0);
	home();
	call_b();
	claim("nested CALLs return in turn",
	      t_passes == 2 && c.link == SEL_B && b.link == SEL_TSS && !BUSY(SEL_B) && !BUSY(SEL_C) && BUSY(SEL_TSS));
}

static void interrupts(void)
{
	b = task(0, t_iret, 0);
	home();
	idt_set(0x81, 0, SEL_B, 5, 0, 0);
	int_81();
	claim("INT through a task gate and IRET", t_passes == 1 && (t_flags & FLAG_NT) && b.link == SEL_TSS);
	claim("saved EIP is behind the INT", ((u8 *)tss.eip)[-1] == 0x81);

	/* #GP with its error code, on a 32-bit stack. */
	b = task(0, 0, 0);
	home();
	idt_set(VEC_GP, 0, SEL_B, 5, 0, 0);
	void gp(void)
	{
		asm volatile("mov %0, %%fs" : : "a"(0xfff8));
	}
	extern char trap_stubs[];
	unsigned n;
	/* It ends itself by INT 80h. */
	void t_end(void);
	asm(".pushsection .text.stubs, \"ax\"; t_end: pop t_error_code; mov %esp, t_esp; str t_tr; pushf; pop t_flags; "
	    "incl t_passes;"
	    "int $0x80; .popsection");
	b.eip = (u32)t_end;
	n = try_call(gp);
	claim("#GP through a task gate", n == 1 && trap.frame.vector == VEC_DONE && t_passes == 1 && t_tr == SEL_B);
	claim_eq("its error code is on the new task's stack", t_error_code, 0xfff8);
	claim_eq("as 4 bytes", t_esp, TOP(stack_b[0]));
	claim("the saved EIP is the faulting instruction's", *(u16 *)tss.eip == 0xe08e);
	claim("the saved EFLAGS have RF", tss.eflags & FLAG_RF);
	claim("the selector of the old task is linked", b.link == SEL_TSS && BUSY(SEL_TSS) && BUSY(SEL_B));
	idt_set(VEC_GP, trap_stubs + 16 * VEC_GP, SEL_KCODE, 0xe, 0, 0);

	/* A double fault: the gate of #GP isn't present, nor that of #NP. */
	b = task(0, t_end, 0);
	home();
	idt_set(VEC_DF, 0, SEL_B, 5, 0, 0);
	idt_present(VEC_NP, false);
	idt_present(VEC_GP, false);
	n = try_call(gp);
	claim("a double fault through a task gate", n == 1 && trap.frame.vector == VEC_DONE && t_error_code == 0);
	idt_present(VEC_NP, true);
	idt_present(VEC_GP, true);
	idt_set(VEC_DF, trap_stubs + 16 * VEC_DF, SEL_KCODE, 0xe, 0, 0);
	home();
}

/* --- faults in the new task --- */

enum field { CS, SS, DS, ES, FS, GS, LDT, FIELDS };
static const char *const field_names[] = {"CS", "SS", "DS", "ES", "FS", "GS", "LDT"};

static u32 *field_of(struct tss *t, enum field f)
{
	static const u8 at[] = {0x4c, 0x50, 0x54, 0x48, 0x58, 0x5c, 0x60};

	return (u32 *)((u8 *)t + at[f]);
}

/* What loading @sel into the field gives in a task of ring 3 (table 7-1, in its order). */
static unsigned field_rule(enum field f, unsigned access, unsigned rpl)
{
	unsigned type = access & 15, dpl = access >> 5 & 3;
	bool s = access & 16, present = access & 0x80, code = s && type & 8, conforming = code && type & 4;

	switch (f) {
	case LDT:
		return !s && type == 2 && present ? VEC_DONE : VEC_TS;
	case CS:
		if (!code || (conforming ? dpl > rpl : dpl != rpl))
			return VEC_TS;
		return present ? VEC_DONE : VEC_NP;
	case SS:
		if (!s || code || !(type & 2))
			return VEC_TS;
		return !present ? VEC_SS : rpl == 3 && dpl == 3 ? VEC_DONE : VEC_TS;
	default:
		if (!s || (code && !(type & 2)) || (!conforming && dpl < 3))
			return VEC_TS;
		return present ? VEC_DONE : VEC_NP;
	}
}

static void try_field(struct table *t, enum field f, u16 sel, unsigned want, unsigned error)
{
	unsigned vector;

	b = task(3, t_done, 0);
	*field_of(&b, f) = sel;
	home();
	try_call(jmp_b);
	vector = trap.frame.vector;
	if (table_case(t, vector == want && (vector == VEC_DONE || trap.frame.error == error) &&
			      trap.frame.ip == (u32)t_done + (vector == VEC_DONE ? 2 : 0))) {
		put_value("selector", sel);
		put_value("descriptor", gdt[SEL_TEST / 8]);
		put_value("want", want);
		put_value("vector", vector);
		put_value("error", trap.frame.error);
		put_value("ip", trap.frame.ip);
		put_char('\n');
	}
}

static void fields(void)
{
	for (enum field f = CS; f < FIELDS; f++) {
		struct table t = {.name = field_names[f]};

		for (unsigned access = 0; access < 256; access++)
			for (unsigned rpl = f == CS ? 3 : 0; rpl < 4; rpl++) {
				unsigned want = field_rule(f, access, rpl);

				gdt[SEL_TEST / 8] = DESC(0, 0xfffff, access, 0xc);
				try_field(&t, f, SEL_TEST | rpl, want, SEL_TEST);
			}
		for (unsigned rpl = f == CS ? 3 : 0; rpl < 4; rpl++) {
			try_field(&t, f, 0xfff8 | rpl, VEC_TS, 0xfff8); /* beyond the GDT */
			try_field(&t, f, 0x24 | rpl, VEC_TS, 0x24);     /* in an LDT that isn't */
			if (f != CS)
				try_field(&t, f, rpl, f == SS ? VEC_TS : VEC_DONE, 0); /* null */
			else
				try_field(&t, f, rpl, VEC_TS, 0);
		}
		table_line("faults in the new task: ", &t);
	}
	/* From the new task's own LDT. */
	gdt[SEL_LDT / 8] = DESC(ldt, sizeof(ldt) - 1, 0x82, 0);
	ldt[1] = DESC(0, 0xfffff, 0xfb, 0xc);
	ldt[2] = DESC(0, 0xfffff, 0xf3, 0xc);
	b = task(3, t_done, 0);
	b.ldt = SEL_LDT;
	b.cs = 0xf;
	b.ss = b.ds = 0x17;
	home();
	try_call(jmp_b);
	claim("segments from the new task's LDT", trap.frame.vector == VEC_DONE && trap.frame.cs == 0xf);
	lldt(0);
	/* EIP beyond CS. */
	gdt[SEL_TEST / 8] = DESC(0, 0xff, 0xfb, 4);
	b = task(3, t_done, 0);
	b.cs = SEL_TEST | 3;
	home();
	try_call(jmp_b);
	claim("EIP beyond the new CS: #GP(0) in the new task",
	      trap.frame.vector == VEC_GP && trap.frame.error == 0 && trap.frame.cs == (SEL_TEST | 3));
	home();
}

/* --- faults in the old task --- */

static void try_switch(struct table *t, void (*fn)(void), unsigned want, unsigned error)
{
	unsigned n = try_call(fn), vector = n ? trap.frame.vector : 0;

	if (table_case(t, want ? vector == want && trap.frame.error == error && trap.frame.cs == SEL_KCODE : !n)) {
		put_value("want", want);
		put_value("vector", vector);
		put_value("error", trap.frame.error);
		put_value("cs", trap.frame.cs);
		put_char('\n');
	}
}

static void tss_checks(void)
{
	static struct table t = {.name = "TSS descriptors by JMP, CALL, task gate, INT: type and present bit"};
	static struct table limits = {.name = "limits of a TSS: 67h, 2Bh with 16 bits: #TS(TSS)"};
	static struct table gates = {.name = "task gates: DPL and present bit, from rings 0 and 3, by CALL and INT"};

	for (unsigned access = 0; access < 256; access++) {
		unsigned type = access & 31;
		bool available = type == 9 || type == 1;
		unsigned want = !available ? VEC_GP : access & 0x80 ? 0 : VEC_NP;
		void (*const by[])(void) = {jmp_b, call_b, call_gate, int_81};

		for (unsigned k = 0; k < 4; k++) {
			/* Other descriptors than a TSS aren't task switches when named directly. */
			if ((k < 2 && ((type & 16) || type == 4 || type == 5 || type == 12)) || (type == 1 && !want))
				continue;
			b = task(0, k == 0 ? t_back : t_iret, 0);
			home();
			gdt[SEL_GATE / 8] = (u64)SEL_B << 16 | 0x85ull << 40;
			gdt[SEL_B / 8] = DESC(&b, sizeof(b) - 1, access, 0);
			try_switch(&t, by[k], want, SEL_B);
		}
	}
	table_line("", &t);

	for (unsigned wide = 0; wide < 2; wide++)
		for (unsigned limit = 0; limit < 0x100; limit++) {
			bool good = limit >= (wide ? 0x67 : 0x2b);

			b = task(0, t_iret, 0);
			small = (struct tssmall){.ip = 0, .cs = 0};
			if (!wide && good)
				continue;
			home();
			gdt[SEL_B / 8] = tss_descriptor(wide ? (void *)&b : &small, limit, wide ? 9 : 1);
			try_switch(&limits, call_b, good ? 0 : VEC_TS, SEL_B);
		}
	table_line("", &limits);

	void u_int(void), u_call(void);
	asm(".pushsection .text.stubs, \"ax\"; u_int: int $0x81; int $0x80; u_call: lcall $0xa0, $0; int $0x80; "
	    ".popsection");
	for (unsigned dpl = 0; dpl < 4; dpl++)
		for (unsigned present = 0; present < 2; present++)
			for (unsigned ring = 0; ring < 4; ring++)
				for (unsigned by_int = 0; by_int < 2; by_int++) {
					u32 error = by_int ? 0x81 * 8 + 2 : SEL_GATE;
					unsigned want = dpl < ring ? VEC_GP : present ? VEC_DONE : VEC_NP, vector;

					b = task(0, t_iret, 0);
					home();
					gdt[SEL_GATE / 8] = (u64)SEL_B << 16 | (u64)(present << 7 | dpl << 5 | 5) << 40;
					idt_set(0x81, 0, SEL_B, 5, dpl, 0);
					idt_present(0x81, present);
					vector = ring_call(ring, by_int ? (void *)u_int : u_call, 0, 0, 0);
					if (table_case(&gates, vector == want &&
								   (vector == VEC_DONE || trap.frame.error == error) &&
								   t_passes == (want == VEC_DONE))) {
						put_value("dpl", dpl);
						put_value("p", present);
						put_value("ring", ring);
						put_value("vector", vector);
						put_value("error", trap.frame.error);
						put_char('\n');
					}
				}
	table_line("", &gates);
	idt_present(0x81, true);
}

static void do_iret(void)
{
	asm volatile("pushf; orl $0x4000, (%%esp); popf; iret" : : : "memory", "cc");
}

static void returns(void)
{
	static struct table t = {.name = "IRET with NT: the link must name a busy, present TSS in the GDT: #TS, #NP"};

	for (unsigned access = 0; access < 256; access++) {
		unsigned type = access & 31;
		bool busy = type == 11 || type == 3;

		if (type == 3 && access & 0x80)
			continue;
		b = task(3, t_done, 0);
		home();
		gdt[SEL_B / 8] = DESC(&b, sizeof(b) - 1, access, 0);
		tss.link = SEL_B;
		unsigned n = try_call(do_iret), want = !busy ? VEC_TS : access & 0x80 ? VEC_DONE : VEC_NP;
		bool good = n == 1 && trap.frame.vector == want && (want == VEC_DONE || trap.frame.error == SEL_B);

		if (table_case(&t, good)) {
			put_value("access", access);
			put_value("vector", trap.frame.vector);
			put_value("error", trap.frame.error);
			put_char('\n');
		}
	}
	home();
	static const u16 bad[] = {0, 0xfff8, 0x2c, 0xfffc};
	for (unsigned k = 0; k < ARRAY_SIZE(bad); k++) {
		tss.link = bad[k];
		unsigned n = try_call(do_iret);

		if (table_case(&t, n == 1 && trap.frame.vector == VEC_TS && trap.frame.error == (bad[k] & ~3u))) {
			put_value("link", bad[k]);
			put_value("vector", trap.frame.vector);
			put_char('\n');
		}
	}
	table_line("", &t);
	home();
}

/* --- the rest --- */

static void tss_16(void)
{
	small = (struct tssmall){
	    .ip = 0x8000,
	    .flags = 2 | FLAG_CF,
	    .ax = 0x1234,
	    .bx = 0x5678,
	    .sp = 0x7f00,
	    .cs = SEL_TEST,
	    .ss = SEL_KDATA,
	    .ds = SEL_KDATA,
	    .es = SEL_KDATA,
	};
	gdt[SEL_TEST / 8] = DESC(0, 0xffff, 0x9b, 0);
	/* mov %ax, 0x7000; mov %bx, 0x7002; mov %sp, 0x7004; iret */
	static const u8 code[] = {0xa3, 0, 0x70, 0x89, 0x1e, 2, 0x70, 0x89, 0x26, 4, 0x70, 0xcf};

	memcpy((void *)0x8000, code, sizeof(code));
	home();
	asm volatile("lcall %0, $0" : : "i"(SEL_16) : "memory");
	claim("a 16-bit TSS: registers", *(volatile u16 *)0x7000 == 0x1234 && *(volatile u16 *)0x7002 == 0x5678 &&
					     *(volatile u16 *)0x7004 == 0x7f00);
	claim("a 16-bit TSS: link and saved state", small.link == SEL_TSS && small.ip == 0x8000 + sizeof(code) &&
							small.ax == 0x1234 && !(small.flags & FLAG_NT));
	claim("a 16-bit TSS: available again", !BUSY(SEL_16));
}

static void debugging(void)
{
	b = task(3, t_done, 0);
	b.trap = 1;
	home();
	WRITE_DR(6, 0);
	try_call(jmp_b);
	claim("T bit: #DB before the first instruction", trap.frame.vector == VEC_DB && trap.frame.ip == (u32)t_done);
	claim("T bit: DR6.BT", (trap.dr6 & 0xf00f) == 0x8000);
	b = task(3, t_done, 0);
	home();
	WRITE_DR(0, (u32)&c);
	WRITE_DR(1, (u32)&c);
	WRITE_DR(7, 0x400 | 0x3ff);
	try_call(jmp_b);
	claim_eq("local breakpoints and LE are off after a switch", READ_DR(7) & 0x3ff, 0x2aa);
	WRITE_DR(7, 0x400);
	/* One instruction in the new task with TF. */
	static const u8 nops[] = {0x90, 0x90, 0xcd, 0x80};
	b = task(3, (void *)nops, 0);
	b.eflags |= FLAG_TF;
	home();
	WRITE_DR(6, 0);
	try_call(jmp_b);
	claim("TF in the TSS: #DB behind the first instruction",
	      trap.frame.vector == VEC_DB && trap.frame.ip == (u32)nops + 1 && (trap.dr6 & 0xf00f) == 0x4000);
	WRITE_DR(6, 0);
	home();
}

static u32 pd[2][1024] __attribute__((aligned(4096)));

static void paging(void)
{
	for (unsigned k = 0; k < 2; k++)
		for (u32 n = 0; n < 16; n++)
			pd[k][n] = n << 22 | 0x87;
	pd[0][0x200] = 0x87;
	pd[1][0x200] = 0x400087;
	*(u32 *)0x400000 = 0x12121212;
	*(u32 *)0x7000 = 0;
	void t_look(void);
	asm(".pushsection .text.stubs, \"ax\"; t_look: mov 0x80000000, %eax; mov %eax, 0x7000; mov %cr3, %eax; mov "
	    "%eax, 0x7004; iret;"
	    ".popsection");
	b = task(0, t_look, 0);
	b.cr3 = (u32)pd[1];
	home();
	tss.cr3 = (u32)pd[0];
	WRITE_CR(4, READ_CR(4) | BIT(4));
	WRITE_CR(3, (u32)pd[0]);
	WRITE_CR(0, READ_CR(0) | BIT(31));
	call_b();
	claim("CR3 comes from the TSS under paging", *(volatile u32 *)0x7004 == (u32)pd[1]);
	claim("and translations with it", *(volatile u32 *)0x7000 == 0x12121212);
	claim("and back", READ_CR(3) == (u32)pd[0]);
	/* The new TSS isn't mapped: #PF in the old task, nothing changed. */
	static u32 pt[1024] __attribute__((aligned(4096)));
	static struct tss far_tss __attribute__((aligned(4096)));
	for (u32 n = 0; n < 1024; n++)
		pt[n] = n << 12 | 7;
	pd[0][0x201] = (u32)pt | 7;
	pt[(u32)&far_tss >> 12] &= ~1u;
	gdt[SEL_B / 8] = tss_descriptor((u8 *)&far_tss + 0x80400000, sizeof(far_tss) - 1, 9);
	WRITE_CR(3, (u32)pd[0]);
	claim_trap("the new TSS not mapped: #PF in the old task", VEC_PF, -1, jmp_b);
	claim("no busy bit, TR unchanged", !BUSY(SEL_B) && BUSY(SEL_TSS) && trap.frame.cs == SEL_KCODE);
	WRITE_CR(0, READ_CR(0) & ~BIT(31));
	tss.cr3 = 0;
	home();
}

static void vm86(void)
{
	static const u8 code[] = {0x8c, 0xc8, 0xcd, 0x80}; /* mov %cs, %ax; int $0x80 */

	memcpy((void *)0x8000, code, sizeof(code));
	b = task(0, 0, 0);
	b.eflags = 0x23002; /* VM, IOPL 3 */
	b.cs = 0x800;
	b.eip = 0;
	b.ss = 0x700;
	b.esp = 0x800;
	b.ds = 0x111;
	b.es = 0x222;
	b.fs = 0x333;
	b.gs = 0x444;
	home();
	try_call(jmp_b);
	claim("a TSS with VM set: virtual-8086 mode", trap.frame.vector == VEC_DONE && (trap.frame.flags & BIT(17)) &&
							  trap.frame.cs == 0x800 && trap.frame.ip == 4 &&
							  (trap.frame.ax & 0xffff) == 0x800);
	const u32 *above = (const u32 *)((ulong)trap.handler_sp + sizeof(struct frame));
	claim("its data segments", above[0] == 0x222 && above[1] == 0x111 && above[2] == 0x333 && above[3] == 0x444);
	home();
}

void kmain(void)
{
	rings_init();
	jumps();
	calls();
	interrupts();
	fields();
	tss_checks();
	returns();
	tss_16();
	debugging();
	paging();
	vm86();
}
