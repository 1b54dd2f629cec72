/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Gates of protected mode (SDM 3A 5.8.3 to 5.8.6, 6.11 to 6.13): interrupt, trap and call gates of both widths from every
 * ring, the code segments they name, the stacks they switch to, parameters, frames, error codes with their EXT bit. */
#include "tests/guest/lib/sys.h"

#define VEC      0x81
#define VEC_CODE (VEC * 8 + 2)
#define LOW      0x9000 /* a target that 16-bit gates can name */
#define SEL_CODE SEL_SYS
#define SEL_GATE (SEL_SYS + 8)
#define SEL_SS   (SEL_SYS + 16)
#define SEL_TR   (SEL_SYS + 24)
#define SEL_OUT  0xfff8

void g_int(void), g_ud(void), g_call(void), g_jmp(void), g_done(void), g_params(void), g_ret(void), g_ret16(void);
asm(".text\n"
    "g_int: int $0x81; int $0x80\n"
    "g_ud: ud2; int $0x80\n"
    "g_call: lcall $0x90, $0; int $0x80\n"
    "g_jmp: ljmp $0x90, $0\n"
    "g_done: int $0x80\n"
    /* Pushes 31 numbers, calls through the gate. */
    "g_params: mov $31, %ecx; 1: push %ecx; loop 1b; lcall $0x90, $0; mov %esp, %esi; int $0x80\n"
    "g_ret: lret\n"
    "g_ret16: lretw\n");

static struct table t_ext = {.name = "EXT is set for an exception, clear for INT"};

struct outcome {
	unsigned vector, error;
};

static struct outcome fault(unsigned vector, unsigned error)
{
	return (struct outcome){vector, error};
}

static const struct outcome fine = {VEC_DONE, 0};

static bool check(struct table *t, struct outcome want, unsigned vector)
{
	bool good = vector == want.vector && (vector == VEC_DONE || trap.frame.error == want.error);

	if (!table_case(t, good))
		return false;
	put_value("want", want.vector);
	put_value("error", want.error);
	put_value("vector", vector);
	put_value("error", trap.frame.error);
	put_value("ip", trap.frame.ip);
	return true;
}

static void idt_write(unsigned vector, u64 gate)
{
	((u64 *)sidt().base)[vector] = gate;
}

static u64 idt_read(unsigned vector)
{
	return ((u64 *)sidt().base)[vector];
}

/* --- interrupt and trap gates --- */

static void gate_types(void)
{
	static struct table t = {.name = "IDT gates by INT: type, DPL, present bit, ring"};
	static struct table by_ud = {.name = "IDT gates by #UD: the same, DPL not looked at"};
	u64 saved = idt_read(VEC_UD);

	for (unsigned access = 0; access < 256; access++) {
		unsigned type = access & 31, dpl = access >> 5 & 3;
		bool known = type == 6 || type == 7 || type == 14 || type == 15;
		u64 gate = GATE(LOW, SEL_KCODE, access, 0);

		if (type == 5)
			continue; /* a task gate */
		for (unsigned ring = 0; ring < 4; ring++) {
			struct outcome want = !known || dpl < ring ? fault(VEC_GP, VEC_CODE)
					      : access & 0x80      ? fine
								   : fault(VEC_NP, VEC_CODE);

			idt_write(VEC, gate);
			if (check(&t, want, ring_call(ring, g_int, 0, 0, 0))) {
				put_value("access", access);
				put_value("ring", ring);
				put_char('\n');
			}
			want = !known          ? fault(VEC_GP, VEC_UD * 8 + 3)
			       : access & 0x80 ? fine
					       : fault(VEC_NP, VEC_UD * 8 + 3);
			idt_write(VEC_UD, gate);
			unsigned vector = ring_call(ring, g_ud, 0, 0, 0);
			idt_write(VEC_UD, saved);
			if (check(&by_ud, want, vector)) {
				put_value("access", access);
				put_value("ring", ring);
				put_char('\n');
			}
		}
	}
	table_line("", &t);
	table_line("", &by_ud);

	static struct table limit = {.name = "the IDT's limit: #GP(vector * 8 + 2 + EXT)"};
	struct table_register idt = sidt(), cut = idt;
	for (cut.limit = VEC * 8 - 2; cut.limit < VEC * 8 + 10; cut.limit++) {
		lidt(cut);
		idt_set(VEC, g_done, SEL_KCODE, 14, 3, 0);
		if (check(&limit, cut.limit < VEC * 8 + 7 ? fault(VEC_GP, VEC_CODE) : fine,
			  ring_call(3, g_int, 0, 0, 0)))
			put_char('\n');
	}
	lidt(idt);
	table_line("", &limit);
}

/* The code segment a gate names. */
static struct outcome rule_code(u16 sel, unsigned access, unsigned ring, unsigned ext)
{
	bool code = (access & 0x18) == 0x18;

	if (!code || (access >> 5 & 3) > ring)
		return fault(VEC_GP, (sel & ~3) | ext);
	return access & 0x80 ? fine : fault(VEC_NP, (sel & ~3) | ext);
}

static void gate_targets(void)
{
	static struct table t = {.name = "code segments of IDT gates by INT: type, DPL, present bit, RPL, ring"};
	static struct table by_ud = {.name = "code segments of IDT gates by #UD"};
	static struct table cs = {.name = "CS after it: RPL is the new CPL"};
	u64 saved = idt_read(VEC_UD);

	for (unsigned access = 0; access < 256; access++)
		for (unsigned who = 0; who < 16; who++) {
			unsigned ring = who >> 2, rpl = who & 3, dpl = access >> 5 & 3;
			u16 sel = SEL_CODE | rpl;
			unsigned vector;

			gdt[SEL_CODE / 8] = DESC(0, 0xfffff, access, 0xc);
			idt_write(VEC, GATE(g_done, sel, 0xee, 0));
			vector = ring_call(ring, g_int, 0, 0, 0);
			if (check(&t, rule_code(sel, access, ring, 0), vector)) {
				put_value("access", access);
				put_value("ring", ring);
				put_char('\n');
			}
			if (vector == VEC_DONE) {
				u16 want = SEL_CODE | ((access & 4) ? ring : dpl);

				if (table_case(&cs, trap.frame.cs == want)) {
					put_value("cs", trap.frame.cs);
					put_value("access", access);
					put_char('\n');
				}
			}
			idt_write(VEC_UD, GATE(g_done, sel, 0x8f, 0));
			vector = ring_call(ring, g_ud, 0, 0, 0);
			idt_write(VEC_UD, saved);
			if (check(&by_ud, rule_code(sel, access, ring, 1), vector)) {
				put_value("access", access);
				put_value("ring", ring);
				put_char('\n');
			}
		}
	for (unsigned rpl = 0; rpl < 4; rpl++) {
		unsigned vector;

		idt_write(VEC, GATE(g_done, rpl, 0xee, 0));
		if (check(&t, fault(VEC_GP, 0), ring_call(3, g_int, 0, 0, 0)))
			put_char('\n');
		idt_write(VEC, GATE(g_done, SEL_OUT | rpl, 0xee, 0));
		if (check(&t, fault(VEC_GP, SEL_OUT), ring_call(3, g_int, 0, 0, 0)))
			put_char('\n');
		idt_write(VEC_UD, GATE(g_done, rpl, 0xee, 0));
		vector = ring_call(3, g_ud, 0, 0, 0);
		idt_write(VEC_UD, saved);
		if (check(&by_ud, fault(VEC_GP, 1), vector))
			put_char('\n');
	}
	/* Its offset beyond the segment's limit. */
	gdt[SEL_CODE / 8] = DESC(0, 0xfff, 0x9b, 4);
	idt_write(VEC, GATE(g_done, SEL_CODE, 0xee, 0));
	if (check(&t_ext, fault(VEC_GP, 0), ring_call(3, g_int, 0, 0, 0)))
		put_char('\n');
	idt_write(VEC_UD, GATE(g_done, SEL_CODE, 0xee, 0));
	unsigned vector = ring_call(3, g_ud, 0, 0, 0);
	idt_write(VEC_UD, saved);
	if (check(&t_ext, fault(VEC_GP, 1), vector))
		put_char('\n');
	table_line("", &t);
	table_line("", &by_ud);
	table_line("", &cs);
	table_line("offset beyond the code segment: ", &t_ext);
}

/* --- the stack of the inner ring; ring 1, so that ring 0 can take the fault --- */

static struct outcome rule_stack(u16 sel, unsigned access, unsigned ext)
{
	bool writable = (access & 0x1a) == 0x12;

	if ((sel & 3) != 1 || !writable || (access >> 5 & 3) != 1)
		return fault(VEC_TS, (sel & ~3) | ext);
	return access & 0x80 ? fine : fault(VEC_SS, (sel & ~3) | ext);
}

static unsigned by_int(unsigned how)
{
	static const struct {
		void (*code)(void);
	} ways[] = {{g_int}, {g_ud}, {g_call}};
	u64 saved = idt_read(VEC_UD);
	unsigned vector;

	idt_write(VEC, GATE(g_done, RING_CS(1), 0xee, 0));
	if (how == 1)
		idt_write(VEC_UD, GATE(g_done, RING_CS(1), 0xee, 0));
	gdt[SEL_GATE / 8] = GATE(g_done, RING_CS(1), 0xec, 0);
	vector = ring_call(3, ways[how].code, 0, 0, 0);
	idt_write(VEC_UD, saved);
	return vector;
}

static void stacks(void)
{
	static struct table t[3] = {
	    {.name = "the new SS, by INT"}, {.name = "the new SS, by #UD"}, {.name = "the new SS, by CALL"}};
	static struct table room = {.name = "room on the new stack: #SS(new SS + EXT)"};
	static struct table small = {.name = "a TSS too small for the stack: #TS(TSS + EXT)"};
	u32 ss1 = tss.ss1, esp1 = tss.esp1;

	for (unsigned how = 0; how < 3; how++) {
		unsigned ext = how == 1;

		for (unsigned access = 0; access < 256; access++)
			for (unsigned rpl = 0; rpl < 4; rpl++) {
				gdt[SEL_SS / 8] = DESC(0, 0xfffff, access, 0xc);
				if ((access & 0x1c) == 0x14)
					gdt[SEL_SS / 8] = DESC(0, 0, access, 0xc); /* expand-down */
				tss.ss1 = SEL_SS | rpl;
				if (check(&t[how], rule_stack(SEL_SS | rpl, access, ext), by_int(how))) {
					put_value("access", access);
					put_value("rpl", rpl);
					put_char('\n');
				}
			}
		for (unsigned rpl = 0; rpl < 4; rpl++) {
			tss.ss1 = rpl;
			if (check(&t[how], fault(VEC_TS, ext), by_int(how)))
				put_char('\n');
			tss.ss1 = SEL_OUT | rpl;
			if (check(&t[how], fault(VEC_TS, SEL_OUT | ext), by_int(how)))
				put_char('\n');
		}
		/* INT and #UD push 20 bytes, CALL 16; g_done then takes no more of it. */
		tss.ss1 = SEL_SS | 1;
		static u8 stack[64] __attribute__((aligned(16)));
		for (unsigned big = 0; big < 2; big++)
			for (unsigned sp = 1; sp < 40; sp++) {
				unsigned need = how == 2 ? 16 : 20;
				struct outcome want = sp >= need ? fine : fault(VEC_SS, SEL_SS | ext);

				/* Below 0 the offset wraps to the top of 4 GiB or 64 KiB. */
				gdt[SEL_SS / 8] = DESC(stack, 63, 0xb3, big ? 4 : 0);
				tss.esp1 = sp;
				if (check(&room, want, by_int(how))) {
					put_value("esp", sp);
					put_value("big", big);
					put_value("how", how);
					put_char('\n');
				}
			}
		for (unsigned sp = 60; sp < 80; sp++) {
			tss.esp1 = sp;
			gdt[SEL_SS / 8] = DESC(stack, 63, 0xb3, 4);
			if (check(&room, sp <= 64 ? fine : fault(VEC_SS, SEL_SS | ext), by_int(how))) {
				put_value("esp", sp);
				put_char('\n');
			}
		}
		tss.ss1 = ss1;
		tss.esp1 = esp1;
		for (unsigned limit = 11; limit < 24; limit++) { /* ring 0's must be there */
			struct outcome want = limit >= 17 ? fine : fault(VEC_TS, SEL_TR | ext);

			gdt[SEL_TR / 8] = DESC(&tss, limit, 0x89, 0);
			ltr(SEL_TR);
			if (check(&small, want, by_int(how))) {
				put_value("limit", limit);
				put_char('\n');
			}
		}
		/* A 16-bit TSS: SP0 at 2, SS0 at 4, SP1 at 6, SS1 at 8. Stacks in low memory. */
		static u16 tss16[22];
		tss16[1] = 0x6ff0;
		tss16[2] = SEL_KDATA;
		tss16[3] = 0x6000;
		tss16[4] = RING_SS(1);
		for (unsigned limit = 5; limit < 16; limit++) {
			struct outcome want = limit >= 9 ? fine : fault(VEC_TS, SEL_TR | ext);

			gdt[SEL_TR / 8] = DESC(tss16, limit, 0x81, 0);
			ltr(SEL_TR);
			if (check(&small, want, by_int(how))) {
				put_value("16-bit, limit", limit);
				put_char('\n');
			}
		}
		ltr(SEL_TSS);
		table_line("", &t[how]);
	}
	table_line("", &room);
	table_line("", &small);
}

/* --- call gates --- */

static void call_gates(void)
{
	static struct table t[2] = {{.name = "call gates by CALL: DPL, RPL, ring, present bits, code segment"},
				    {.name = "call gates by JMP"}};
	static struct table cs_t = {.name = "CPL after them"};

	for (unsigned gate = 0; gate < 16; gate++)         /* DPL, P, width */
		for (unsigned code = 0; code < 32; code++) /* DPL, P, type */
			for (unsigned who = 0; who < 16; who++) {
				unsigned gdpl = gate & 3, ring = who >> 2, rpl = who & 3, dpl = code & 3;
				static const u8 types[] = {0x12, 0x1a, 0x1e, 0x0c};
				unsigned type = types[code >> 3];
				bool conforming = type == 0x1e, gp = gate & 4, cp = code & 4,
				     is_code = type & 8 && type & 16;
				u16 gate_sel = SEL_GATE | rpl;

				gdt[SEL_CODE / 8] = DESC(0, 0xfffff, type | dpl << 5 | cp << 7, 0xc);
				gdt[SEL_GATE / 8] =
				    GATE(LOW, SEL_CODE | 3, (gate & 8 ? 4 : 12) | gdpl << 5 | gp << 7, 0);
				for (unsigned jmp = 0; jmp < 2; jmp++) {
					struct outcome want = fine;
					struct {
						u32 offset;
						u16 sel;
					} __attribute__((packed)) far = {0, gate_sel};
					static const u8 call_m[] = {0xff, 0x1f, 0x0f, 0x0b}, jmp_m[] = {0xff, 0x2f};
					unsigned vector, cpl = conforming || jmp ? ring : dpl;

					if (gdpl < ring || gdpl < rpl)
						want = fault(VEC_GP, SEL_GATE);
					else if (!gp)
						want = fault(VEC_NP, SEL_GATE);
					else if (!is_code || dpl > ring || (jmp && !conforming && dpl != ring))
						want = fault(VEC_GP, SEL_CODE);
					else if (!cp)
						want = fault(VEC_NP, SEL_CODE);
					vector = ring_call(ring, jmp ? jmp_m : call_m, 0, 0, (u32)&far);
					if (check(&t[jmp], want, vector)) {
						put_value("gate", gdt[SEL_GATE / 8]);
						put_value("code", gdt[SEL_CODE / 8]);
						put_value("rpl", rpl);
						put_value("ring", ring);
						put_char('\n');
					}
					if (vector == VEC_DONE && want.vector == VEC_DONE &&
					    table_case(&cs_t, trap.frame.cs == (SEL_CODE | cpl))) {
						put_value("cs", trap.frame.cs);
						put_char('\n');
					}
				}
			}
	table_line("", &t[0]);
	table_line("", &t[1]);
	table_line("", &cs_t);
}

/* Every parameter count, both widths: the inner frame. The target is INT 80h from ring 1. */
static void parameters(void)
{
	static struct table t = {.name = "parameters: the inner stack's frame for every count, 32 and 16 bits"};
	static struct table back = {.name = "RET n releases them on both stacks"};

	memcpy((void *)LOW, (u8[]){0xcd, VEC_DONE}, 2);
	for (unsigned wide = 0; wide < 2; wide++)
		for (unsigned count = 0; count < 32; count++) {
			struct ring_entry e = ring_entry(3, g_params, 0, 0, 0);
			u32 sp = e.sp - 31 * 4, got, size = wide ? 4 : 2;
			const u8 *inner;
			bool good;

			gdt[SEL_GATE / 8] = GATE(LOW, RING_CS(1), wide ? 0xec : 0xe4, count);
			good = ring_run(&e) == VEC_DONE && trap.frame.cs == RING_CS(1);
			got = trap.frame.sp;
			inner = (const u8 *)got;
			good = good && got == tss.esp1 - size * (4 + count);
			for (unsigned n = 0; good && n < 4 + count; n++) {
				u32 v = wide ? ((const u32 *)inner)[n] : ((const u16 *)inner)[n], want;
				u32 ret = (u32)g_params + 15;

				want = n == 0           ? ret
				       : n == 1         ? RING_CS(3)
				       : n == count + 2 ? sp
				       : n == count + 3 ? RING_SS(3)
							: 0;
				if (n >= 2 && n < 2 + count) /* words of the numbers 1, 2, 3... */
					want = wide ? n - 1 : (n & 1) ? 0 : n / 2;
				if (v != (wide ? want : (u16)want)) {
					put_string("# slot");
					put_value("n", n);
					put_value("got", v);
					put_value("want", want);
					put_char('\n');
					good = false;
				}
			}
			if (table_case(&t, good)) {
				put_value("wide", wide);
				put_value("count", count);
				put_value("sp", got);
				put_value("vector", trap.frame.vector);
				put_char('\n');
			}
			if (!wide)
				continue;
			/* The same with a target that returns. */
			memcpy((void *)LOW, (u8[]){0xca, count * 4, 0}, 3);
			good = ring_run(&e) == VEC_DONE && trap.frame.cs == RING_CS(3) &&
			       trap.frame.si == sp + 4 * count && trap.frame.sp == sp + 4 * count;
			memcpy((void *)LOW, (u8[]){0xcd, VEC_DONE}, 2);
			if (table_case(&back, good)) {
				put_value("count", count);
				put_value("si", trap.frame.si);
				put_value("vector", trap.frame.vector);
				put_char('\n');
			}
		}
	table_line("", &t);
	table_line("", &back);
}

/* --- frames and flags --- */

static void frames(void)
{
	static struct table flags_t = {.name = "interrupt gates clear IF, TF, NT, RF; trap gates leave IF"};
	static struct table frame16 = {.name = "16-bit gates push words, from every ring"};

	for (unsigned type = 14; type < 16; type++)
		for (unsigned f = 0; f < 8; f++) {
			ulong set = (f & 1 ? FLAG_IF : 0) | (f & 2 ? FLAG_NT : 0) |
				    (f & 4 ? FLAG_AC | FLAG_ID | FLAG_DF : 0);
			ulong mask = FLAG_IF | FLAG_NT | FLAG_TF | FLAG_RF;

			/* IF is set only for the length of an INT: interrupts are masked in the controllers. */
			idt_type(VEC_DONE, type);
			ring_call(3, g_done, set, 0, 0);
			if (table_case(&flags_t,
				       (trap.handler_flags & mask) == (type == 15 ? set & FLAG_IF : 0) &&
					   (trap.frame.flags & (mask | FLAG_AC | FLAG_ID | FLAG_DF)) == set)) {
				put_value("set", set);
				put_value("handler", trap.handler_flags);
				put_char('\n');
			}
		}
	idt_type(VEC_DONE, 14);
	table_line("", &flags_t);
	for (unsigned ring = 0; ring < 4; ring++) {
		bool outer = ring != 0;
		const u16 *w;
		struct ring_entry e = ring_entry(ring, g_int, FLAG_CF | FLAG_DF, 0, 0);

		idt_write(VEC, GATE(LOW, SEL_KCODE, 0xe6, 0));
		ring_run(&e);
		/* INT 80h in ring 0 put vector, error, IP, CS, flags above it. */
		w = (const u16 *)(trap.handler_sp + __builtin_offsetof(struct frame, sp));
		if (table_case(&frame16, w[0] == (u16)((u32)g_int + 2) && w[1] == e.cs &&
					     (w[2] & ~FLAG_IF) == (2 | FLAG_CF | FLAG_DF) &&
					     (!outer || (w[3] == (u16)e.sp && w[4] == e.ss)))) {
			put_value("ring", ring);
			put_value("ip", w[0]);
			put_value("cs", w[1]);
			put_value("flags", w[2]);
			put_value("sp", w[3]);
			put_value("ss", w[4]);
			put_char('\n');
		}
	}
	table_line("", &frame16);
}

void kmain(void)
{
	rings_init();
	memcpy((void *)LOW, (u8[]){0xcd, VEC_DONE}, 2);
	gate_types();
	gate_targets();
	stacks();
	call_gates();
	parameters();
	frames();
}
