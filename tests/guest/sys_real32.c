/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Real mode (SDM 3B chapter 20, 9.9): segments, limits, the interrupt table, what is #UD there; big real mode; A20. The kernel is
 * a 32-bit one that goes to real mode for each case, with its own table of interrupts in low memory, and comes back. */
#include "tests/guest/lib/sys.h"

#define BLOB   0x9000 /* the 16-bit part stands there */
#define STATE  0x7000
#define CODE   0x8000 /* a case's code */
#define SEL16  SEL_SYS
#define DSEL16 (SEL_SYS + 8)

struct state {
	u32 ax, bx, cx, dx, si, di, bp, sp;
	u16 ds, es, ss, cs, ip, flags, fs, gs;
	u32 vector, esp;
	u16 frame[3]; /* IP, CS, FLAGS */
};
#define S ((volatile struct state *)STATE)

void real_enter(void);
extern u8 blob[], blob_end[], blob_stubs[];
asm(".text\n"
    "real_enter: pusha; mov %esp, real_sp\n"
    "  ljmp $0x88, $(blob_pm16 - blob)\n"
    "real_back: mov $0x10, %eax; mov %eax, %ds; mov %eax, %es; mov %eax, %ss; xor %eax, %eax; mov %eax, %fs; mov %eax, "
    "%gs\n"
    "  mov real_sp, %esp; popa; ret\n"
    ".data; real_sp: .long 0; .text\n"
    /* --- 16 bits, runs at BLOB --- */
    "blob: .code16\n"
    "blob_pm16: mov $0x90, %ax; mov %ax, %ds; mov %ax, %es; mov %ax, %ss; mov %ax, %fs; mov %ax, %gs\n"
    "  mov %cr0, %eax; and $0xfe, %al; mov %eax, %cr0; ljmp $0x900, $(blob_rm - blob)\n"
    "blob_rm: xor %ax, %ax; mov %ax, %ds; mov 0x7024, %ss; mov 0x701c, %sp\n"
    "  pushw 0x702a; pushw 0x7026; pushw 0x7028\n"
    "  mov 0x7000, %eax; mov 0x7004, %ebx; mov 0x7008, %ecx; mov 0x700c, %edx; mov 0x7010, %esi; mov 0x7014, %edi\n"
    "  mov 0x7018, %ebp; mov 0x702c, %fs; mov 0x702e, %gs; mov 0x7022, %es; mov 0x7020, %ds; iret\n"
    /* 256 entries of 8 bytes: the vector below IP, CS, FLAGS. */
    ".balign 8, 0x90; blob_stubs: .set n, 0; .rept 256; push $(n - 256 * (n > 127)); jmp blob_trap; .balign 8, 0x90; "
    ".set n, n + 1; .endr\n"
    "blob_trap: cli; push %ds; push $0; pop %ds; mov %eax, 0x7000; mov %ebx, 0x7004; mov %ecx, 0x7008; mov %edx, "
    "0x700c\n"
    "  mov %esi, 0x7010; mov %edi, 0x7014; mov %ebp, 0x7018; mov %es, 0x7022; mov %fs, 0x702c; mov %gs, 0x702e; pop "
    "0x7020\n"
    "  mov %ss, 0x7024; mov %esp, 0x7034; pop %ax; mov %ax, 0x7030; pop 0x7038; pop 0x703a; pop 0x703c\n"
    "  in $0x92, %al; or $2, %al; and $0xfe, %al; out %al, $0x92\n" /* A20 on again */
    "  lidtl %cs:(blob_idt - blob); mov %cr0, %eax; or $1, %al; mov %eax, %cr0; ljmpl $8, $real_back\n"
    "blob_idt: .word 0x3ff; .long 0\n"
    "blob_end: .code32\n");

static struct table_register kernel_idt, real_idt = {0x3ff, 0};

/* Runs @len bytes of @code, ended by INT 80h, as S says. The vector. */
static unsigned real(const void *code, unsigned len)
{
	volatile struct state *s = S;

	memcpy((void *)CODE, code, len);
	memcpy((void *)(CODE + len), (u8[]){0xcd, 0x80}, 2);
	lidt(real_idt);
	real_enter();
	lidt(kernel_idt);
	s->vector &= 0xff;
	return s->vector;
}

/* Registers before a case. */
static void fresh(void)
{
	*S = (struct state){
	    .sp = 0x6ff0, .cs = CODE >> 4, .flags = 2, .ds = 0x1000, .es = 0x2000, .fs = 0x3000, .gs = 0x3000};
}

static unsigned run(const void *code, unsigned len)
{
	fresh();
	return real(code, len);
}

#define RUN(...)   run((const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))
#define REAL(...)  real((const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))
#define ENDED(...) (RUN(__VA_ARGS__) == 0x80)

static void note(void)
{
	put_value("vector", S->vector);
	put_value("ip", S->frame[0]);
	put_value("ax", S->ax);
	put_value("esp", S->esp);
	put_char('\n');
}

static void setup(void)
{
	memcpy((void *)BLOB, blob, blob_end - blob);
	for (unsigned n = 0; n < 256; n++)
		((u32 *)0)[n] = (BLOB >> 4) << 16 | (blob_stubs - blob + 8 * n);
	gdt[SEL16 / 8] = DESC(BLOB, 0xffff, 0x9b, 0);
	gdt[DSEL16 / 8] = DESC(0, 0xffff, 0x93, 0);
	kernel_idt = sidt();
}

static void basics(void)
{
	*(u32 *)0x10010 = 0x12345678;
	claim("MOV through DS: 16 times the selector", RUN(0xa1, 0x10, 0x00) == 0x80 && (u16)S->ax == 0x5678);
	claim("an exception pushes three words and no error code", RUN(0x0f, 0x0b) == VEC_UD &&
								       (u16)S->esp == 0x6ff0 - 6 - 2 &&
								       S->frame[0] == 0 && S->frame[1] == CODE >> 4);
	fresh();
	S->flags = 0x3202 | 0x4000;
	claim("INT clears IF and TF, pushes FLAGS", REAL(0x90) == 0x80 && S->frame[2] == 0x7202);
	fresh();
	S->flags = 0x7202;
	claim("IRET restores FLAGS with IF, IOPL, NT", REAL(0x9c, 0x58) == 0x80 && (u16)S->ax == 0x7202);
	claim("16-bit addressing wraps",
	      RUN(0xbb, 0xff, 0xff, 0xbe, 0x11, 0x00, 0x8b, 0x00) == 0x80 && (u16)S->ax == 0x5678);
	claim("CS can be written", RUN(0x2e, 0xc6, 0x06, 0x40, 0x00, 0x77) == 0x80 && *(u8 *)(CODE + 0x40) == 0x77);
	claim("MOV to a segment register",
	      RUN(0xb8, 0x01, 0x10, 0x8e, 0xd8, 0xa1, 0x00, 0x00) == 0x80 && (u16)S->ax == 0x5678 && S->ds == 0x1001);
	claim("#DE: IP of the division", RUN(0x31, 0xc9, 0xf7, 0xf1) == VEC_DE && S->frame[0] == 2);
	claim("INT3: IP behind it", RUN(0xcc) == VEC_BP && S->frame[0] == 1);
	claim("INTO", RUN(0xb0, 0x7f, 0x04, 0x01, 0xce) == VEC_OF && S->frame[0] == 5);
	*(u32 *)0x10020 = 0x00050001;
	claim("BOUND: #BR", RUN(0xb8, 0x06, 0x00, 0x62, 0x06, 0x20, 0x00) == VEC_BR && S->frame[0] == 3);
	fresh();
	S->flags = 0x102;
	claim("TF: vector 1 behind the instruction", REAL(0x90, 0x90) == VEC_DB && S->frame[0] == 1);
	memcpy((void *)(CODE + 0x40), (u8[]){0xcd, 0x81}, 2);
	claim("far JMP", RUN(0xea, 0x20, 0x00, 0x02, 0x08) == 0x81 && S->frame[0] == 0x22 && S->frame[1] == 0x802);
	((u8 *)CODE)[0x20] = 0xcb;
	claim("far CALL and RET", RUN(0x9a, 0x20, 0x00, 0x00, 0x08, 0x90) == 0x80 && S->frame[0] == 8);
	claim("PUSHFD and POPFD: ID can change", RUN(0x66, 0x9c, 0x66, 0x58, 0x66, 0x35, 0, 0, 0x20, 0, 0x66, 0x50,
						     0x66, 0x9d, 0x66, 0x9c, 0x66, 0x59, 0x66, 0x31, 0xc1) == 0x80 &&
						     !(S->cx & BIT(21)));
	claim("16 bytes of instruction: #GP", RUN(0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
						  0x66, 0x66, 0x66, 0x66, 0x90) == VEC_GP);
	fresh();
	S->ss = 0x4000;
	claim("SP wraps from 0 to FFFEh",
	      REAL(0x31, 0xe4, 0x50) == 0x80 && (u16)S->esp == 0xfffe - 6 - 2 && S->ss == 0x4000);
	fresh();
	S->ss = 0x4000;
	claim("and within the frame of an interrupt",
	      REAL(0xbc, 0x04, 0x00) == 0x80 && (u16)S->esp == 0xfffc && *(u16 *)0x40002 == 2 && *(u16 *)0x4fffe == 5);
	static struct table far = {.name = "far transfers beyond FFFFh: #GP at them"};
	static const struct {
		u8 code[20], len, at;
	} beyond[] = {
	    {{0x66, 0xea, 0, 0, 1, 0, 0, 8}, 8, 0},
	    {{0x66, 0x9a, 0, 0, 1, 0, 0, 8}, 8, 0},
	    {{0x66, 0x68, 0, 8, 0, 0, 0x66, 0x68, 0, 0, 1, 0, 0x66, 0xcb}, 14, 12},
	    {{0x66, 0x6a, 2, 0x66, 0x68, 0, 8, 0, 0, 0x66, 0x68, 0, 0, 1, 0, 0x66, 0xcf}, 17, 15},
	};
	if (under_tcg())
		skip("far transfers beyond FFFFh", "the emulator goes there");
	for (unsigned n = 0; !under_tcg() && n < ARRAY_SIZE(beyond); n++)
		if (table_case(&far, run(beyond[n].code, beyond[n].len) == VEC_GP && S->frame[0] == beyond[n].at))
			note();
	table_line("", &far);
	static const u32 env[7] = {0x027f, 0x1800, 0xffff, 0x2345, 0x0001a000 | 0x5d9, 0x6789, 0x0002b000};
	static const u32 defined[7] = {0xffff, 0xffff, 0xffff, 0xffff, 0x0ffff7ff, 0xffff, 0x0ffff000};
	memcpy((void *)0x10050, env, sizeof(env));
	bool same = RUN(0xdb, 0xe3, 0x66, 0xd9, 0x26, 0x50, 0x00, 0x66, 0xd9, 0x36, 0x80, 0x00, 0xdb, 0xe3) == 0x80;
	for (unsigned n = 0; n < 7; n++)
		same = same && ((((u32 *)0x10080)[n] ^ env[n]) & defined[n]) == 0;
	claim("FLDENV and FNSTENV of 28 bytes: 32-bit pointers in two parts, the opcode", same);
	claim("LGDT with 16-bit operands takes 24 bits of base", ({
		      *(u16 *)0x10030 = 0xffff;
		      *(u32 *)0x10032 = 0xff000000 | (u32)gdt;
		      struct table_register now;
		      bool good = RUN(0x0f, 0x01, 0x16, 0x30, 0x00) == 0x80;
		      now = sgdt();
		      good &&now.base == (u32)gdt &&now.limit == 0xffff;
	      }));
}

static void undefined(void)
{
	static const struct {
		const char *name;
		u8 len, code[6], vector;
	} list[] = {
	    {"SLDT", 3, {0x0f, 0x00, 0xc0}, VEC_UD},
	    {"STR", 3, {0x0f, 0x00, 0xc8}, VEC_UD},
	    {"LLDT", 3, {0x0f, 0x00, 0xd0}, VEC_UD},
	    {"LTR", 3, {0x0f, 0x00, 0xd8}, VEC_UD},
	    {"VERR", 3, {0x0f, 0x00, 0xe0}, VEC_UD},
	    {"VERW", 3, {0x0f, 0x00, 0xe8}, VEC_UD},
	    {"LAR", 3, {0x0f, 0x02, 0xc0}, VEC_UD},
	    {"LSL", 3, {0x0f, 0x03, 0xc0}, VEC_UD},
	    {"ARPL", 2, {0x63, 0xc0}, VEC_UD},
	    {"SYSCALL", 2, {0x0f, 0x05}, VEC_UD},
	    {"SYSRET", 2, {0x0f, 0x07}, VEC_UD},
	    {"SYSENTER", 2, {0x0f, 0x34}, VEC_GP},
	    {"SYSEXIT", 2, {0x0f, 0x35}, VEC_GP},
	    {"LOCK NOP", 2, {0xf0, 0x90}, VEC_UD},
	    {"LOCK MOV", 3, {0xf0, 0x89, 0x07}, VEC_UD},
	    {"MOV CS, AX", 2, {0x8e, 0xc8}, VEC_UD},
	    {"LEA of a register", 2, {0x8d, 0xc0}, VEC_UD},
	    {"LES of registers", 2, {0xc4, 0xc0}, VEC_UD},
	    {"MOV CR1", 3, {0x0f, 0x20, 0xc8}, VEC_UD},
	    {"POP to a register form 1", 2, {0x8f, 0xc8}, VEC_UD},
	    {"SWAPGS", 3, {0x0f, 0x01, 0xf8}, VEC_UD},
	    {"group 5 /7", 2, {0xff, 0xf8}, VEC_UD},
	    {"CALL far of a register", 2, {0xff, 0xd8}, VEC_UD},
	};
	static struct table t = {.name = "what real mode doesn't have: #UD, SYSENTER and SYSEXIT #GP"};

	wrmsr(0x174, 8);
	for (unsigned n = 0; n < ARRAY_SIZE(list); n++)
		if (table_case(&t, run(list[n].code, list[n].len) == list[n].vector && S->frame[0] == 0)) {
			put_string(list[n].name);
			note();
		}
	table_line("", &t);
	static struct table fine = {.name = "system instructions that it has"};
	static const struct {
		u8 len, code[6];
	} allowed[] = {
	    {3, {0x0f, 0x20, 0xc0}},       {3, {0x0f, 0x20, 0xe0}}, {2, {0x0f, 0x06}},       {3, {0x0f, 0x01, 0xe0}},
	    {4, {0x0f, 0x01, 0x06, 0x40}}, {2, {0x0f, 0x09}},       {3, {0x0f, 0x21, 0xf8}}, {1, {0xfa}}};
	for (unsigned n = 0; n < ARRAY_SIZE(allowed); n++) {
		if (n == 4)
			continue;
		if (table_case(&fine, run(allowed[n].code, allowed[n].len) == 0x80))
			note();
	}
	table_line("", &fine);
	if (under_tcg())
		skip("CR0.PG without PE: #GP", "TCG takes it, and dies");
	else
		claim("CR0.PG without PE: #GP",
		      RUN(0x0f, 0x20, 0xc0, 0x66, 0x0d, 0, 0, 0, 0x80, 0x0f, 0x22, 0xc0) == VEC_GP && S->frame[0] == 9);
}

/* Offsets around FFFFh, through every segment register. */
static void limits(bool big)
{
	static const u8 prefix[] = {0x3e, 0x26, 0x36, 0x64, 0x65};
	static const u32 offsets[] = {0, 1, 0xfffb, 0xfffc, 0xfffd, 0xfffe, 0xffff, 0x10000, 0x10001, 0x20000};
	struct table t = {.name = big ? "big real mode: a limit that protected mode gave stays"
				      : "limits: 64 KiB through every segment register, #GP or #SS"};

	gdt[DSEL16 / 8] = big ? DESC(0, 0xfffff, 0x93, 0x8) : DESC(0, 0xffff, 0x93, 0);
	for (unsigned p = 0; p < ARRAY_SIZE(prefix); p++)
		for (unsigned o = 0; o < ARRAY_SIZE(offsets); o++)
			for (unsigned size = 1; size <= 4; size *= 2)
				for (unsigned write = 0; write < 2; write++) {
					u8 code[8], *c = code;
					bool fault = !big && offsets[o] + size - 1 > 0xffff;
					unsigned want = !fault ? 0x80 : prefix[p] == 0x36 ? VEC_SS : VEC_GP;

					fresh();
					S->ss = 0;
					S->bx = offsets[o];
					*c++ = prefix[p];
					*c++ = 0x67;
					if (size == 4)
						*c++ = 0x66;
					*c++ = (size == 1 ? 0x8a : 0x8b) - 2 * write;
					*c++ = 0x03; /* (%ebx) */
					/* Stack and state aren't to be overwritten: SS writes go elsewhere. */
					if (write && prefix[p] == 0x36)
						S->ss = 0x4000;
					if (table_case(&t, real(code, c - code) == want)) {
						put_value("prefix", prefix[p]);
						put_value("offset", offsets[o]);
						put_value("size", size);
						put_value("write", write);
						note();
					}
				}
	gdt[DSEL16 / 8] = DESC(0, 0xffff, 0x93, 0);
	table_line("", &t);
}

static void interrupt_table(void)
{
	static struct table t = {.name = "the limit of the interrupt table: #GP for INT beyond it"};

	for (unsigned limit = 0x81 * 4 - 2; limit < 0x81 * 4 + 8; limit++) {
		real_idt.limit = limit;
		unsigned vector = RUN(0xcd, 0x81);

		if (table_case(&t, limit >= 0x81 * 4 + 3 ? vector == 0x81 && S->frame[0] == 2
							 : vector == VEC_GP && S->frame[0] == 0))
			note();
	}
	real_idt.limit = 0x3ff;
	table_line("", &t);
	memcpy((void *)0x5000, 0, 0x400);
	((u32 *)0x5000)[0x81] = ((u32 *)0x5000)[0x82];
	real_idt.base = 0x5000;
	claim("the interrupt table stands where IDTR says", RUN(0xcd, 0x81) == 0x82);
	real_idt.base = 0;
}

/* A variable above 1 MiB and its alias with address line 20 held low, through DS = FFFFh. */
static void a20(void)
{
	static volatile u32 high = 0x22222222;
	volatile u32 *low = (u32 *)((u32)&high - 0x100000);
	u16 offset = (u32)&high - 0xffff0;

	*low = 0x11111111;
	fresh();
	S->ds = 0xffff;
	claim("A20 open: FFFFh * 16 + offset is above 1 MiB",
	      REAL(0x66, 0xa1, offset & 0xff, offset >> 8) == 0x80 && S->ax == 0x22222222);
	fresh();
	S->ds = 0xffff;
	/* in $0x92, %al; and $0xfc, %al; out %al, $0x92; mov offset, %eax */
	/* The processor may be without A20M# (SDM 3A 8.7.13.4): then nothing changes. */
	claim("A20 closed: it is the address 1 MiB below, or the same",
	      REAL(0xe4, 0x92, 0x24, 0xfc, 0xe6, 0x92, 0x66, 0xa1, offset & 0xff, offset >> 8) == 0x80 &&
		  (S->ax == 0x11111111 || S->ax == 0x22222222));
}

void kmain(void)
{
	setup();
	basics();
	undefined();
	limits(false);
	limits(true);
	interrupt_table();
	a20();
}
