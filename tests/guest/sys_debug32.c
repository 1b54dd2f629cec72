/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Debug exceptions of 32-bit code: POP SS and LSS, INTO, INT3 and BOUND under TF, far transfers and returns to outer rings,
 * breakpoints by linear address (SDM 3B chapter 17, SDM 3A 6.8.3). */
#include "tests/guest/lib/sys.h"

#define DR6_INIT 0xffff0ff0
#define DR7_INIT 0x400
#define BS       BIT(14)
#define DR6_BITS 0xe00f

#define STUB(name, text)                                                                      \
	asm(".pushsection .text.stubs, \"ax\"; " #name ": " text "; int $0x80; .popsection"); \
	extern const u8 name[]
STUB(s_pop_ss, "push %ss; pop %ss; nop; nop");
STUB(s_mov_ss, "mov %ss, %eax; mov %eax, %ss; nop; nop");
STUB(s_lss, "push %ss; push %esp; addl $8, (%esp); lss (%esp), %esp; nop; nop");
STUB(s_pop_ds, "push %ds; pop %ds; nop; nop");
STUB(s_into, "mov $0x7f, %al; add $1, %al; into; nop");
STUB(s_into_not, "xor %eax, %eax; into; nop");
STUB(s_int3, "nop; int3; nop");
STUB(s_bound, "bound %eax, (%edi); nop");
STUB(s_ljmp, "ljmp *(%edi); nop; s_ljmp_to: nop");
STUB(s_loop, "mov $2, %ecx; 1: loop 1b; nop");
STUB(s_enter, "enter $8, $0; leave; nop");
STUB(s_pusha, "pusha; popa; nop");
STUB(s_read, "mov %fs:(%edi), %eax; nop");
STUB(s_done, "nop; nop");
extern const u8 s_ljmp_to[];

static unsigned steps;
static u32 step_ip[16];

static bool note_step(struct frame *f)
{
	if (f->vector != VEC_DB || steps == ARRAY_SIZE(step_ip))
		return false;
	step_ip[steps++] = f->ip;
	WRITE_DR(6, DR6_INIT);
	return true;
}

static unsigned stepped(const u8 *code, const void *di)
{
	steps = 0;
	WRITE_DR(6, DR6_INIT);
	trap_hook = note_step;
	unsigned vector = ring_call(0, code, FLAG_TF, 0, (ulong)di);
	trap_hook = NULL;
	return vector;
}

static bool steps_are(const u8 *code, unsigned n, const u8 *offsets)
{
	bool good = steps == n;

	for (unsigned k = 0; k < n && good; k++)
		good = step_ip[k] == (u32)code + offsets[k];
	if (!good) {
		put_string("# steps");
		for (unsigned k = 0; k < steps; k++)
			put_value("", step_ip[k] - (u32)code);
		put_char('\n');
	}
	return good;
}

static unsigned with_breakpoint(const u8 *code, const u8 *at)
{
	WRITE_DR(6, DR6_INIT);
	WRITE_DR(0, at);
	WRITE_DR(7, DR7_INIT | 2);
	unsigned vector = ring_call(0, code, 0, 0, 0);
	WRITE_DR(7, DR7_INIT);
	return vector;
}

static void steps_32(void)
{
	static const s32 bounds[] = {-1, 1}, outside[] = {1, 2};
	static struct {
		u32 offset;
		u16 selector;
	} far;

	stepped(s_pop_ss, NULL);
	claim("TF: none after POP SS", steps_are(s_pop_ss, 3, (u8[]){1, 3, 4}));
	stepped(s_mov_ss, NULL);
	claim("TF: none after MOV SS", steps_are(s_mov_ss, 3, (u8[]){2, 5, 6}));
	stepped(s_lss, NULL);
	claim("TF: one after LSS", steps_are(s_lss, 6, (u8[]){1, 2, 6, 10, 11, 12}));
	stepped(s_pop_ds, NULL);
	claim("TF: one after POP DS", steps_are(s_pop_ds, 4, (u8[]){1, 2, 3, 4}));
	claim("TF: INTO that traps goes without",
	      stepped(s_into, NULL) == VEC_OF && steps_are(s_into, 2, (u8[]){2, 4}));
	stepped(s_into_not, NULL);
	claim("TF: INTO that doesn't is stepped", steps_are(s_into_not, 3, (u8[]){2, 3, 4}));
	claim("TF: INT3 goes without", stepped(s_int3, NULL) == VEC_BP && steps_are(s_int3, 1, (u8[]){1}));
	claim("TF is clear in its handler, set in what it pushed",
	      !(trap.handler_flags & FLAG_TF) && (trap.frame.flags & FLAG_TF));
	stepped(s_bound, bounds);
	claim("TF: BOUND within its bounds", steps_are(s_bound, 2, (u8[]){2, 3}));
	claim("TF: BOUND outside: #BR instead", stepped(s_bound, outside) == VEC_BR && steps == 0);
	far.offset = (u32)s_ljmp_to;
	far.selector = SEL_KCODE;
	stepped(s_ljmp, &far);
	claim("TF: a far JMP", steps_are(s_ljmp, 2, (u8[]){s_ljmp_to - s_ljmp, s_ljmp_to - s_ljmp + 1}));
	stepped(s_loop, NULL);
	claim("TF: LOOP, taken and not", steps_are(s_loop, 4, (u8[]){5, 5, 7, 8}));
	stepped(s_enter, NULL);
	claim("TF: ENTER and LEAVE are one step each", steps_are(s_enter, 3, (u8[]){4, 5, 6}));
	stepped(s_pusha, NULL);
	claim("TF: so are PUSHA and POPA", steps_are(s_pusha, 3, (u8[]){1, 2, 3}));
}

static void breakpoints(void)
{
	static struct table rings = {.name = "breakpoints in every ring: an instruction's, a datum's, a step"};
	static u32 datum __attribute__((aligned(4)));

	claim("an instruction breakpoint behind POP SS isn't taken",
	      with_breakpoint(s_pop_ss, s_pop_ss + 2) == VEC_DONE);
	claim("behind LSS it is", with_breakpoint(s_lss, s_lss + 10) == VEC_DB && trap.frame.ip == (u32)s_lss + 10);
	for (unsigned ring = 0; ring < 4; ring++)
		for (unsigned kind = 0; kind < 3; kind++) {
			struct ring_entry e =
			    ring_entry(ring, kind == 1 ? s_read : s_done, kind == 2 ? FLAG_TF : 0, 0, (ulong)&datum);

			asm volatile("mov %w0, %%fs" : : "r"(SEL_RING_DATA + 24 + 3)); /* ring 3's, for all */
			WRITE_DR(6, DR6_INIT);
			WRITE_DR(3, kind == 2 ? 0 : kind == 1 ? (u32)&datum : (u32)s_done + 1);
			WRITE_DR(7, DR7_INIT | (kind < 2 ? 0x80 : 0) | (kind == 1 ? 0xf0000000 : 0));
			unsigned vector = ring_run(&e);
			WRITE_DR(7, DR7_INIT);
			u32 want = kind == 2 ? BS : 8;
			u32 ip = kind == 1 ? (u32)s_read + 3 : (u32)s_done + 1;
			if (table_case(&rings, vector == VEC_DB && (trap.dr6 & DR6_BITS) == want &&
						   trap.frame.ip == ip && (trap.frame.cs & 3) == ring)) {
				put_value("ring", ring);
				put_value("kind", kind);
				put_value("vector", vector);
				put_value("dr6", trap.dr6);
				put_char('\n');
			}
		}
	table_line("", &rings);
	/* Addresses are linear: through a segment with a base. */
	gdt[SYS_INDEX] = DESC((u32)&datum - 0x1000, 0xfffff, 0x93, 0xc);
	asm volatile("mov %w0, %%fs" : : "r"(SEL_SYS));
	WRITE_DR(6, DR6_INIT);
	WRITE_DR(2, &datum);
	WRITE_DR(7, DR7_INIT | 0x20 | 0x0f000000);
	claim("a data breakpoint is a linear address",
	      ring_call(0, s_read, 0, 0, 0x1000) == VEC_DB && (trap.dr6 & DR6_BITS) == 4);
	WRITE_DR(7, DR7_INIT);
	asm volatile("mov %w0, %%fs" : : "r"(SEL_KDATA));
	if (under_tcg()) {
		skip("so is an instruction breakpoint", "the emulator crashes");
		return;
	}
	gdt[SYS_INDEX] = DESC((u32)s_done - 0x2000, 0xfffff, 0x9b, 0xc);
	WRITE_DR(6, DR6_INIT);
	WRITE_DR(2, s_done + 1);
	WRITE_DR(7, DR7_INIT | 0x20);
	struct ring_entry e = ring_entry(0, (void *)0x2000, 0, 0, 0);
	e.cs = SEL_SYS;
	claim("so is an instruction breakpoint",
	      ring_run(&e) == VEC_DB && trap.frame.ip == 0x2001 && trap.frame.cs == SEL_SYS);
	WRITE_DR(7, DR7_INIT);
}

void kmain(void)
{
	rings_init();
	WRITE_DR(7, DR7_INIT);
	WRITE_DR(6, DR6_INIT);
	steps_32();
	breakpoints();
}
