/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Debug registers, single steps, shadows and NMIs (SDM 3B chapter 17, SDM 3A 6.7, 6.8). */
#include "tests/guest/lib/sys.h"

#define DR6_INIT 0xffff0ff0
#define DR7_INIT 0x400
#define BS       BIT(14)
#define BD       BIT(13)
#define DR6_BITS 0xe00f

/* Each ends by INT 80h. */
#define STUB(name, text)                                                                      \
	asm(".pushsection .text.stubs, \"ax\"; " #name ": " text "; int $0x80; .popsection"); \
	extern const u8 name[]
STUB(d_r1, "mov (%rdi), %al");
STUB(d_r2, "mov (%rdi), %ax");
STUB(d_r4, "mov (%rdi), %eax");
STUB(d_r8, "mov (%rdi), %rax");
STUB(d_w1, "mov %al, (%rdi)");
STUB(d_w2, "mov %ax, (%rdi)");
STUB(d_w4, "mov %eax, (%rdi)");
STUB(d_w8, "mov %rax, (%rdi)");
STUB(d_rmw, "addb $0, (%rdi)");
STUB(d_push, "mov %rsp, %rcx; lea 8(%rdi), %rsp; push %rax; mov %rcx, %rsp");
STUB(d_movs, "mov %rdi, %rsi; mov $1, %ecx; lea 16(%rdi), %rdi; rep movsb");
STUB(d_cmp, "cmpb $0, (%rdi)");
STUB(d_in1, "in %dx, %al");
STUB(d_in2, "in %dx, %ax");
STUB(d_in4, "in %dx, %eax");
STUB(d_out1, "out %al, %dx");
STUB(d_out2, "out %ax, %dx");
STUB(d_out4, "out %eax, %dx");
STUB(d_exec, "nop; .byte 0x48, 0x89, 0xc0; nop");
STUB(d_nops, "nop; nop; nop; nop");
STUB(d_ss, "mov %ss, %ax; mov %ax, %ss; nop; nop");
STUB(d_ss_mem, "mov (%rdi), %ss; nop; nop");
STUB(d_jmp, "jmp 1f; nop; 1: nop; nop");
STUB(d_rep, "mov %rdi, %rsi; mov $3, %ecx; rep lodsb; nop");
STUB(d_ud, "ud2");
STUB(d_int, "int $0x81");
STUB(d_icebp, ".byte 0xf1");
STUB(d_pushf, "pushf; pop %rax");
STUB(d_btf, "nop; nop; jmp 1f; nop; 1: nop");
STUB(d_jcc, "xor %eax, %eax; jnz 1f; jz 1f; nop; 1: nop");
STUB(b_jmp8, ".byte 0xeb, 0");
STUB(b_jmp32, ".byte 0xe9, 0, 0, 0, 0");
STUB(b_jz, "xor %eax, %eax; .byte 0x74, 0");
STUB(b_jz32, "xor %eax, %eax; .byte 0x0f, 0x84, 0, 0, 0, 0");
STUB(b_jrcxz, "xor %ecx, %ecx; .byte 0xe3, 0");
STUB(b_loop, "mov $2, %ecx; .byte 0xe2, 0");
STUB(b_loope, "xor %eax, %eax; mov $2, %ecx; .byte 0xe1, 0");
STUB(b_call, ".byte 0xe8, 0, 0, 0, 0");
STUB(b_ret, "lea 1f(%rip), %rax; push %rax; ret; 1:");
STUB(b_jmp_reg, "lea 1f(%rip), %rax; jmp *%rax; 1:");
STUB(b_lret, "mov %cs, %eax; push %rax; lea 1f(%rip), %rax; push %rax; lretq; 1:");
STUB(b_iret, "mov %rsp, %rcx; mov %ss, %eax; push %rax; push %rcx; pushf; mov %cs, %eax; push %rax; lea 1f(%rip), %rax;"
	     "push %rax; iretq; 1:");
STUB(b_jnz, "xor %eax, %eax; .byte 0x75, 0");
STUB(b_jrcxnz, "mov $1, %ecx; .byte 0xe3, 0");
STUB(b_loop1, "mov $1, %ecx; .byte 0xe2, 0");
STUB(b_loopne, "xor %eax, %eax; mov $2, %ecx; .byte 0xe0, 0");
STUB(b_rep, "mov %rdi, %rsi; mov $3, %ecx; rep lodsb; mov %cr0, %rax; mov %rax, %cr0; cpuid");

static u8 area[64] __attribute__((aligned(64)));

static void dr_write(unsigned n, u64 v)
{
	switch (n) {
	case 0:
		WRITE_DR(0, v);
		break;
	case 1:
		WRITE_DR(1, v);
		break;
	case 2:
		WRITE_DR(2, v);
		break;
	case 3:
		WRITE_DR(3, v);
		break;
	}
}

enum { EXEC, WRITE, IO, ACCESS };
static const u8 length_bits[] = {0, 0, 1, 0, 3, 0, 0, 0, 2};

static void arm(unsigned n, u64 address, unsigned kind, unsigned len, unsigned enable)
{
	for (unsigned k = 0; k < 4; k++) /* what isn't enabled may set its bit in DR6 too */
		dr_write(k, k == n ? address : 0);
	WRITE_DR(6, DR6_INIT);
	WRITE_DR(7,
		 DR7_INIT | (u64)enable << (2 * n) | (u64)kind << (16 + 4 * n) | (u64)length_bits[len] << (18 + 4 * n));
}

static unsigned run(const u8 *code, ulong flags, ulong ax, ulong di)
{
	unsigned vector = ring_call(0, code, flags, ax, di);

	WRITE_DR(7, DR7_INIT);
	return vector;
}

static void note(unsigned vector)
{
	put_value("vector", vector);
	put_value("ip", trap.frame.ip);
	put_value("dr6", trap.dr6);
	put_value("flags", trap.frame.flags);
	put_char('\n');
}

/* --- data --- */

static void data(void)
{
	static const u8 *const reads[] = {d_r1, d_r2, d_r4, d_r8}, *const writes[] = {d_w1, d_w2, d_w4, d_w8};
	static struct table t = {.name = "data breakpoints: R/W, LEN, register, against size and place of the access"};
	static struct table ip_t = {.name = "they are traps: RIP behind the instruction"};
	unsigned n = 0;

	for (unsigned kind = WRITE; kind <= ACCESS; kind += 2)
		for (unsigned len = 1; len <= 8; len *= 2)
			for (unsigned at = 16; at < 24; at += len)
				for (unsigned size = 0; size < 4; size++)
					for (unsigned off = 8; off < 32; off++)
						for (unsigned write = 0; write < 2; write++) {
							const u8 *code = write ? writes[size] : reads[size];
							bool hit = off < at + len && at < off + (1u << size) &&
								   (write || kind == ACCESS);
							unsigned vector;

							n = (n + 1) & 3;
							arm(n, (u64)area + at, kind, len, 1);
							vector = run(code, 0, 0, (u64)area + off);
							if (table_case(&t, hit ? vector == VEC_DB &&
										     (trap.dr6 & DR6_BITS) == BIT(n)
									       : vector == VEC_DONE &&
										     !(READ_DR(6) & BS))) {
								put_value("kind", kind);
								put_value("len", len);
								put_value("at", at);
								put_value("off", off);
								put_value("size", 1 << size);
								put_value("write", write);
								note(vector);
							}
							unsigned bytes = size == 0 || size == 2 ? 2 : 3;
							if (hit &&
							    table_case(&ip_t, trap.frame.ip == (u64)code + bytes))
								note(vector);
						}
	table_line("", &t);
	table_line("", &ip_t);
}

static void enables(void)
{
	static struct table t = {.name = "L and G bits of every register"};

	for (unsigned n = 0; n < 4; n++)
		for (unsigned enable = 0; enable < 4; enable++) {
			unsigned vector;

			arm(n, (u64)area, WRITE, 1, enable);
			vector = run(d_w1, 0, 0, (u64)area);
			if (table_case(&t, enable ? vector == VEC_DB : vector == VEC_DONE))
				note(vector);
		}
	table_line("", &t);
	for (unsigned n = 0; n < 4; n++)
		dr_write(n, (u64)area + n);
	WRITE_DR(6, DR6_INIT);
	WRITE_DR(7, DR7_INIT | 0xaa | 0x33330000);
	claim("several at once: a bit in DR6 for each",
	      run(d_w4, 0, 0, (u64)area) == VEC_DB && (trap.dr6 & DR6_BITS) == 15);
	arm(0, (u64)area, ACCESS, 1, 1);
	claim("a read and write", run(d_rmw, 0, 0, (u64)area) == VEC_DB);
	arm(0, (u64)area, WRITE, 8, 1);
	claim("PUSH", run(d_push, 0, 0, (u64)area) == VEC_DB);
	arm(0, (u64)area, WRITE, 1, 1);
	claim("a write breakpoint isn't hit by a compare", run(d_cmp, 0, 0, (u64)area) == VEC_DONE);
	arm(0, (u64)area + 16, WRITE, 1, 1);
	claim("REP MOVSB", run(d_movs, 0, 0, (u64)area) == VEC_DB);
	WRITE_DR(6, DR6_INIT | 8);
	dr_write(0, (u64)area);
	WRITE_DR(7, DR7_INIT | 1 | 0x10000);
	claim("DR6 keeps what it had but for B0 to B3", run(d_w1, 0, 0, (u64)area) == VEC_DB && (trap.dr6 & 1));
	arm(0, (u64)area, WRITE, 1, 1);
	claim("the byte is written before the trap", run(d_w1, 0, 0x5a, (u64)area) == VEC_DB && area[0] == 0x5a);
	arm(0, (u64)area, ACCESS, 1, 1);
	claim("8 bytes across two lines", run(d_r8, 0, 0, (u64)area - 7) == VEC_DB);
}

/* --- instructions --- */

static bool step_over(struct frame *f)
{
	if (f->vector != VEC_DB)
		return false;
	trap.dr6 |= READ_DR(6) & DR6_BITS;
	trap.count++;
	f->flags |= FLAG_RF;
	return true;
}

static void exec(void)
{
	static struct table t = {.name = "instruction breakpoints: every register, before the instruction"};

	for (unsigned n = 0; n < 4; n++)
		for (unsigned at = 0; at < 6; at++) {
			bool start = at == 0 || at == 1 || at == 4 || at == 5;
			unsigned vector;

			arm(n, (u64)d_exec + at, EXEC, 1, 1);
			vector = run(d_exec, 0, 0, 0);
			if (table_case(&t, start ? vector == VEC_DB && trap.frame.ip == (u64)d_exec + at &&
						       (trap.dr6 & DR6_BITS) == BIT(n)
						 : vector == VEC_DONE))
				note(vector);
		}
	table_line("", &t);
	arm(0, (u64)d_nops + 1, EXEC, 1, 1);
	run(d_nops, 0, 0, 0);
	claim("the image of RFLAGS has RF clear", trap.frame.vector == VEC_DB && !(trap.frame.flags & FLAG_RF));
	arm(0, (u64)d_nops, EXEC, 1, 1);
	claim("RF set by IRET: not hit", run(d_nops, FLAG_RF, 0, 0) == VEC_DONE);
	arm(0, (u64)d_nops + 1, EXEC, 1, 1);
	claim("RF counts for one instruction", run(d_nops, FLAG_RF, 0, 0) == VEC_DB);
	trap_hook = step_over;
	trap.count = 0;
	trap.dr6 = 0;
	arm(0, (u64)d_nops + 2, EXEC, 1, 1);
	unsigned vector = ring_call(0, d_nops, 0, 0, 0);
	trap_hook = NULL;
	WRITE_DR(7, DR7_INIT);
	claim("a handler that sets RF goes on", vector == VEC_DONE);
	arm(0, (u64)d_ud, EXEC, 1, 1);
	claim("before the instruction's own fault", run(d_ud, 0, 0, 0) == VEC_DB);
	arm(0, (u64)d_ud, EXEC, 1, 1);
	claim("a fault pushes RF set", run(d_ud, FLAG_RF, 0, 0) == VEC_UD && (trap.frame.flags & FLAG_RF));
	arm(0, (u64)d_jmp, EXEC, 1, 1);
	claim("at a jump", run(d_jmp, 0, 0, 0) == VEC_DB && trap.frame.ip == (u64)d_jmp);
	arm(0, (u64)d_jmp + 3, EXEC, 1, 1);
	claim("at its target", run(d_jmp, 0, 0, 0) == VEC_DB && trap.frame.ip == (u64)d_jmp + 3);
	arm(0, (u64)d_jmp + 2, EXEC, 1, 1);
	claim("not at what it skips", run(d_jmp, 0, 0, 0) == VEC_DONE);
}

/* --- ports --- */

extern const u8 d_load_dx[];
extern u16 d_port;
asm(".pushsection .text.stubs, \"ax\"; d_load_dx: mov d_port, %dx; jmp *%rbx; .popsection\n"
    ".pushsection .data; d_port: .word 0; .popsection");

static void ports(void)
{
	static struct table t = {.name = "I/O breakpoints: LEN and place against size and port, IN and OUT"};
	static const u8 *const io[] = {d_in1, d_in2, d_in4, d_out1, d_out2, d_out4};

	WRITE_CR(4, READ_CR(4) | BIT(3));
	for (unsigned len = 1; len <= 4; len *= 2)
		for (unsigned at = 0x284; at < 0x288; at += len)
			for (unsigned op = 0; op < ARRAY_SIZE(io); op++)
				for (unsigned port = 0x280; port < 0x290; port++) {
					unsigned size = op % 3;
					bool hit = port < at + len && at < port + (1u << size);
					struct ring_entry e = ring_entry(0, d_load_dx, 0, 0, 0);
					unsigned vector;

					d_port = port;
					e.bx = (u64)io[op];
					arm(2, at, IO, len, 1);
					vector = ring_run(&e);
					WRITE_DR(7, DR7_INIT);
					if (table_case(&t, hit ? vector == VEC_DB && (trap.dr6 & DR6_BITS) == 4
							       : vector == VEC_DONE)) {
						put_value("len", len);
						put_value("at", at);
						put_value("size", 1 << size);
						put_value("port", port);
						note(vector);
					}
				}
	table_line("", &t);
	WRITE_CR(4, READ_CR(4) & ~BIT(3));
}
/* --- single steps --- */

static unsigned steps;
static u64 step_ip[32], step_cx[32];
static u32 step_dr6[32];

static bool note_step(struct frame *f)
{
	if (f->vector != VEC_DB || steps == ARRAY_SIZE(step_ip))
		return false;
	step_ip[steps] = f->ip;
	step_cx[steps] = f->cx;
	step_dr6[steps++] = READ_DR(6);
	WRITE_DR(6, DR6_INIT);
	return true;
}

static void stepped(const u8 *code, ulong di)
{
	steps = 0;
	WRITE_DR(6, DR6_INIT);
	trap_hook = note_step;
	ring_call(0, code, FLAG_TF, 0, di);
	trap_hook = NULL;
	WRITE_DR(7, DR7_INIT);
}

static bool steps_are(const u8 *code, unsigned n, const u8 *offsets)
{
	for (unsigned k = 0; k < n; k++)
		if (k >= steps || step_ip[k] != (u64)code + offsets[k] || (step_dr6[k] & DR6_BITS) != BS) {
			put_string("# step");
			put_value("k", k);
			put_value("of", steps);
			put_value("offset", step_ip[k] - (u64)code);
			put_value("dr6", step_dr6[k]);
			put_char('\n');
			return false;
		}
	return steps == n;
}

static void single_steps(void)
{
	stepped(d_nops, 0);
	claim("TF: a trap after each instruction, none after INT", steps_are(d_nops, 4, (u8[]){1, 2, 3, 4}));
	stepped(d_jmp, 0);
	claim("TF: after a jump, at its target", steps_are(d_jmp, 3, (u8[]){3, 4, 5}));
	stepped(d_rep, (u64)area);
	claim("TF: after each iteration of REP", steps_are(d_rep, 6, (u8[]){3, 8, 8, 8, 10, 11}));
	stepped(d_ss, 0);
	claim("TF: none after MOV SS", steps_are(d_ss, 3, (u8[]){3, 6, 7}));
	stepped(d_ud, 0);
	claim("TF: a fault instead", steps == 0 && trap.frame.vector == VEC_UD);
	stepped(d_pushf, 0);
	claim("TF: PUSHF shows it", steps == 2 && (trap.frame.ax & FLAG_TF));
	/* POPF sets TF: the trap comes after the next instruction. */
	STUB(d_popf, "pushf; orl $0x100, (%rsp); popf; nop; nop; nop");
	WRITE_DR(6, DR6_INIT);
	claim("POPF sets TF: the trap is behind the next instruction",
	      ring_call(0, d_popf, 0, 0, 0) == VEC_DB && trap.frame.ip == (u64)d_popf + 10 && (trap.dr6 & BS));
	/* POPF clears it: a last trap behind POPF. */
	STUB(d_unpopf, "pushf; andl $~0x100, (%rsp); popf; nop; nop");
	stepped(d_unpopf, 0);
	claim("POPF clears TF: a last trap behind it", steps_are(d_unpopf, 3, (u8[]){1, 8, 9}));
	arm(0, (u64)area, WRITE, 1, 1);
	claim("TF and a data breakpoint: one #DB with both bits",
	      run(d_w1, FLAG_TF, 0, (u64)area) == VEC_DB && (trap.dr6 & DR6_BITS) == (BS | 1));
	WRITE_DR(6, DR6_INIT);
	stepped(d_int, 0);
	claim("TF: cleared by an interrupt gate, no trap after INT",
	      steps == 0 && trap.frame.vector == 0x81 && !(trap.handler_flags & FLAG_TF));
	claim("TF stays in the pushed image", trap.frame.flags & FLAG_TF);
}

static void branch_steps(void)
{
	wrmsr(0x1d9, 2); /* IA32_DEBUGCTL.BTF */
	WRITE_DR(6, DR6_INIT);
	claim("BTF: a trap at a branch only",
	      ring_call(0, d_btf, FLAG_TF, 0, 0) == VEC_DB && trap.frame.ip == (u64)d_btf + 5);
	claim_eq("BTF is cleared by #DB", rdmsr(0x1d9) & 2, 0);
	wrmsr(0x1d9, 2);
	claim("BTF: not at a branch that isn't taken",
	      ring_call(0, d_jcc, FLAG_TF, 0, 0) == VEC_DB && trap.frame.ip == (u64)d_jcc + 7);
	/* INT 80h behind the stub is where each of these goes in the end. */
	static struct table taken = {.name = "BTF: a taken branch to the very next instruction traps too"};
	static struct table none = {.name = "BTF: no trap where nothing branches, not within REP either"};
	static const u8 *const to_next[] = {b_jmp8,  b_jmp32, b_jz,  b_jz32,    b_jrcxz, b_loop,
					    b_loope, b_call,  b_ret, b_jmp_reg, b_lret,  b_iret};
	static const u8 *const not_taken[] = {b_jnz, b_jrcxnz, b_loop1, b_loopne, b_rep};

	for (unsigned n = 0; n < ARRAY_SIZE(to_next); n++) {
		wrmsr(0x1d9, 2);
		WRITE_DR(6, DR6_INIT);
		if (table_case(&taken, ring_call(0, to_next[n], FLAG_TF, 0, 0) == VEC_DB && (trap.dr6 & BS) &&
					   *(u16 *)trap.frame.ip == 0x80cd))
			note(n);
	}
	table_line("", &taken);
	for (unsigned n = 0; n < ARRAY_SIZE(not_taken); n++) {
		wrmsr(0x1d9, 2);
		WRITE_DR(6, DR6_INIT);
		if (table_case(&none,
			       ring_call(0, not_taken[n], FLAG_TF, 0, (u64)area) == VEC_DONE && !(READ_DR(6) & BS)))
			note(n);
	}
	table_line("", &none);
	wrmsr(0x1d9, 0);
	WRITE_DR(6, DR6_INIT);
}

/* --- shadows --- */

static void shadows(void)
{
	static u16 ss = SEL_KDATA;

	arm(0, (u64)d_ss + 5, EXEC, 1, 1);
	claim("an instruction breakpoint behind MOV SS isn't taken", run(d_ss, 0, 0, 0) == VEC_DONE);
	arm(0, (u64)&ss, ACCESS, 2, 1);
	claim("a data breakpoint of MOV SS waits for the next instruction", run(d_ss_mem, 0, 0, (u64)&ss) == VEC_DB &&
										trap.frame.ip == (u64)d_ss_mem + 3 &&
										(trap.dr6 & DR6_BITS) == 1);
	arm(0, (u64)&ss, ACCESS, 2, 1);
	claim("and is joined by a single step there", run(d_ss_mem, FLAG_TF, 0, (u64)&ss) == VEC_DB &&
							  trap.frame.ip == (u64)d_ss_mem + 3 &&
							  (trap.dr6 & DR6_BITS) == (BS | 1));
}

/* --- priorities (SDM 3A table 6-2) --- */

#define APIC 0xfee00000u

static volatile u32 *apic(u32 reg)
{
	return (u32 *)(ulong)(APIC + reg);
}

static struct {
	unsigned vector;
	u64 ip, dr6;
} came[4];
static unsigned nr_came;

/* Notes up to two events and goes on without TF; what comes third ends the run. */
static bool note_two(struct frame *f)
{
	if (nr_came == 2 || (f->vector != VEC_DB && f->vector != 0x41 && f->vector != VEC_UD))
		return false;
	came[nr_came].vector = f->vector;
	came[nr_came].ip = f->ip;
	came[nr_came++].dr6 = READ_DR(6) & DR6_BITS;
	WRITE_DR(6, DR6_INIT);
	f->flags &= ~FLAG_TF;
	if (f->vector == 0x41)
		*apic(0xb0) = 0;
	return true;
}

static void run_two(const u8 *code, ulong flags, ulong di)
{
	nr_came = 0;
	WRITE_DR(6, DR6_INIT);
	trap_hook = note_two;
	ring_call(0, code, flags, 0, di);
	trap_hook = NULL;
	WRITE_DR(7, DR7_INIT);
}

static void priorities(void)
{
	static struct table t = {
	    .name = "a breakpoint at every instruction beside a single step: the trap of the one before first"};

	for (unsigned at = 1; at < 4; at++) {
		arm(1, (u64)d_nops + at, EXEC, 1, 1);
		/* TF one instruction before it. Whether its DR6 has the other's bit already is left to the processor. */
		run_two(d_nops + at - 1, FLAG_TF, 0);
		if (table_case(&t, nr_came == 2 && came[0].vector == VEC_DB && (came[0].dr6 & BS) &&
				       came[1].vector == VEC_DB && came[1].dr6 == 2 && came[0].ip == came[1].ip &&
				       came[1].ip == (u64)d_nops + at)) {
			put_value("n", nr_came);
			put_value("dr6", came[0].dr6);
			note(came[0].vector);
		}
	}
	table_line("", &t);
	arm(0, (u64)area, WRITE, 1, 1);
	WRITE_DR(1, (u64)d_w1 + 2);
	WRITE_DR(7, DR7_INIT | 1 | 1 << 16 | 1 << 2);
	run_two(d_w1, 0, (u64)area);
	claim("a data breakpoint, then an instruction breakpoint at the next one",
	      nr_came == 2 && (came[0].dr6 & 1) && came[1].dr6 == 2 && came[1].ip == (u64)d_w1 + 2);
	arm(0, (u64)d_ud, EXEC, 1, 1);
	STUB(d_nop_ud, "nop; ud2");
	run_two(d_nop_ud, FLAG_TF, 0);
	claim("a single step before the next instruction's fault",
	      nr_came == 2 && came[0].vector == VEC_DB && (came[0].dr6 & BS) && came[1].vector == VEC_UD);
	/* An interrupt that waits when STI's shadow ends. */
	STUB(d_sti, "sti; nop; nop; cli; nop");
	*apic(0xf0) = 0x1ff;
	*apic(0x300) = 1 << 18 | 0x41;
	run_two(d_sti, FLAG_TF, 0);
	claim("a single step in STI's shadow",
	      nr_came >= 1 && came[0].vector == VEC_DB && came[0].ip == (u64)d_sti + 1);
	STUB(d_popf_if, "pushf; orl $0x200, (%rsp); nop; popf; nop; cli; nop");
	nr_came = 0;
	*apic(0x300) = 1 << 18 | 0x41;
	arm(1, (u64)d_popf_if + 10, EXEC, 1, 1);
	run_two(d_popf_if, 0, 0);
	claim("an interrupt before an instruction breakpoint",
	      nr_came == 2 && came[0].vector == 0x41 && came[1].vector == VEC_DB && came[0].ip == came[1].ip);
	/* Whatever is left. */
	trap_hook = note_two;
	nr_came = 0;
	asm volatile("sti; nop; nop; cli");
	trap_hook = NULL;
}

/* --- general detect, DR4 and DR5, INT1, what is kept --- */

static void registers(void)
{
	static struct table gd = {.name = "DR7.GD: every MOV DR is #DB with BD, GD is clear in the handler"};
	static struct table alias = {.name = "DR4 and DR5: DR6 and DR7, or #UD with CR4.DE"};
	static u8 code[8] __attribute__((aligned(16)));
	static struct table bits6 = {.name = "DR6: bits that can be set"},
			    bits7 = {.name = "DR7: bits that can be set"};

	for (unsigned n = 0; n < 8; n++)
		for (unsigned write = 0; write < 2; write++) {
			unsigned vector;

			memcpy(code, (u8[]){0x0f, write ? 0x23 : 0x21, 0xc0 | n << 3, 0xcd, 0x80}, 5);
			if (n != 4 && n != 5) {
				WRITE_DR(6, DR6_INIT);
				WRITE_DR(7, DR7_INIT | BIT(13));
				vector = ring_call(0, code, 0, 0, 0);
				if (table_case(&gd, vector == VEC_DB && (trap.dr6 & DR6_BITS) == BD &&
							trap.frame.ip == (u64)code && !(READ_DR(7) & BIT(13))))
					note(vector);
				WRITE_DR(7, DR7_INIT);
			}
			for (unsigned de = 0; de < 2; de++) {
				WRITE_CR(4, (READ_CR(4) & ~BIT(3)) | de << 3);
				WRITE_DR(6, DR6_INIT | 3);
				WRITE_DR(7, DR7_INIT | 0x300);
				vector = ring_call(0, code, 0, n == 6 || n == 4 ? DR6_INIT : DR7_INIT, 0);
				bool ud = (n == 4 || n == 5) && de;
				bool good = ud ? vector == VEC_UD : vector == VEC_DONE;

				if (!ud && !write && n >= 4)
					good = good && trap.frame.ax == (n & 1 ? DR7_INIT | 0x300 : DR6_INIT | 3);
				if (n >= 4 && table_case(&alias, good)) {
					put_value("n", n);
					note(vector);
				}
			}
			WRITE_CR(4, READ_CR(4) & ~BIT(3));
		}
	table_line("", &gd);
	table_line("", &alias);
	/* A #DB of another kind clears GD too: the handler may use the registers. */
	WRITE_DR(6, DR6_INIT);
	WRITE_DR(7, DR7_INIT | BIT(13));
	ring_call(0, d_nops, FLAG_TF, 0, 0);
	claim("any #DB clears GD for its handler", trap.frame.vector == VEC_DB && (trap.dr6 & DR6_BITS) == BS);
	WRITE_DR(7, DR7_INIT);

	STUB(d_dr6, "mov %rax, %dr6; mov %dr6, %rax");
	STUB(d_dr7, "mov %rax, %dr7; mov %dr7, %rax");
	for (unsigned bit = 0; bit < 64; bit++) {
		unsigned vector = ring_call(0, d_dr6, 0, BIT(bit), 0);
		u64 want = DR6_INIT | (BIT(bit) & DR6_BITS);

		if (table_case(&bits6, bit >= 32 ? vector == VEC_GP : vector == VEC_DONE && trap.frame.ax == want))
			note(vector);
		if (bit == 11 || bit == 13)
			continue; /* RTM, if there is one; GD */
		vector = ring_call(0, d_dr7, 0, BIT(bit), 0);
		want = DR7_INIT | (BIT(bit) & 0xffff03ff);
		if (table_case(&bits7, bit >= 32 ? vector == VEC_GP : vector == VEC_DONE && trap.frame.ax == want)) {
			put_value("bit", bit);
			put_value("ax", trap.frame.ax);
			note(vector);
		}
		WRITE_DR(7, DR7_INIT);
	}
	WRITE_DR(6, DR6_INIT);
	table_line("", &bits6);
	table_line("", &bits7);
	idt_dpl(VEC_DB, 0);
	u8 *page = (u8 *)page_alloc();
	memcpy(page, d_icebp, 3);
	*pte_of(USER_CODE, 1) = (u64)page | PTE_P | PTE_U | PTE_W;
	*pte_of(USER_STACK - 4096, 1) = page_alloc() | PTE_P | PTE_U | PTE_W;
	struct ring_entry e = ring_entry(3, (void *)USER_CODE, 0, 0, 0);
	e.sp = USER_STACK;
	claim("INT1: vector 1 as a trap, no look at the gate's DPL",
	      ring_run(&e) == VEC_DB && trap.frame.ip == USER_CODE + 1);
	claim_eq("INT1 leaves DR6", trap.dr6, DR6_INIT);
	memcpy(page, (u8[]){0xcd, 1}, 2);
	claim("INT 1 looks at it", ring_run(&e) == VEC_GP && trap.frame.error == 8 + 2);
	for (unsigned n = 0; n < 16; n++) {
		static struct table t = {.name = "MOV DR from ring 3: #GP(0)"};

		memcpy(page, (u8[]){0x0f, n & 1 ? 0x23 : 0x21, 0xc0 | (n >> 1) << 3}, 3);
		if (table_case(&t, ring_run(&e) == VEC_GP && trap.frame.error == 0))
			note(n);
		if (n == 15)
			table_line("", &t);
	}
}

/* --- NMI --- */

static volatile unsigned nmis, nested, depth;

static void send_nmi(void)
{
	*apic(0x310) = *apic(0x20) & 0xff000000;
	*apic(0x300) = 4 << 8 | 1 << 14;
	for (int n = 0; n < 100; n++)
		asm volatile("nop");
}

static bool on_nmi(struct frame *f)
{
	if (f->vector != VEC_NMI)
		return false;
	nmis++;
	nested += depth != 0;
	depth++;
	if (nmis == 1)
		send_nmi();
	depth--;
	return true;
}

static bool on_nmi_fault(struct frame *f)
{
	if (f->vector == VEC_BP)
		return true;
	if (f->vector != VEC_NMI)
		return false;
	nmis++;
	nested += depth != 0;
	depth++;
	if (nmis == 1) {
		asm volatile("int3");
		send_nmi();
	}
	depth--;
	return true;
}

static void nmi(void)
{
	extern char trap_stubs[];
	idt_set(VEC_NMI, trap_stubs + 16 * VEC_NMI, SEL_KCODE, 0xe, 0, 0);
	wrmsr(0x1b, rdmsr(0x1b) | BIT(11));
	*apic(0xf0) = 0x1ff;
	trap_hook = on_nmi;
	send_nmi();
	claim_eq("an NMI in the handler waits for IRET, then comes", nmis, 2);
	claim_eq("it isn't nested", nested, 0);
	nmis = nested = 0;
	trap_hook = on_nmi_fault;
	send_nmi();
	claim("the IRET of an exception in the handler ends the blocking", nmis == 2 && nested == 1);
	trap_hook = NULL;
}

void kmain(void)
{
	rings_init();
	WRITE_DR(7, DR7_INIT);
	WRITE_DR(6, DR6_INIT);
	data();
	enables();
	exec();
	ports();
	single_steps();
	branch_steps();
	shadows();
	priorities();
	registers();
	nmi();
}
