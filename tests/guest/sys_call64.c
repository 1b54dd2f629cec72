/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Long mode's ways between rings and widths: SYSCALL, SYSRET, SYSENTER, SYSEXIT, SWAPGS from 64-bit and compatibility code
 * (SDM 2B, 3A 5.8.7, 5.8.8); IRET; interrupt gates, their code segments, stack table, frames (SDM 3A 6.14). */
#include "tests/guest/lib/sys.h"

#define EFER     0xc0000080
#define STAR     0xc0000081
#define LSTAR    0xc0000082
#define SFMASK   0xc0000084
#define GS_BASE  0xc0000101
#define KGS_BASE 0xc0000102

/* STAR: kernel code and data; user code of 32 bits, data, code of 64 bits. */
#define SEL_K         0x90
#define SEL_U         0xa0
#define SEL_CODE      0xc8
#define RING_CS32     0xd3
#define KERNEL_CS32   0xd8
#define SEL_SMALL_TSS 0x118
#define SEL_SE        0xe0 /* SYSENTER: kernel code, data, user code 32, data, code 64, data */

#define STUB(name, text)                                                                      \
	asm(".pushsection .text.stubs, \"ax\"; " #name ": " text "; int $0x80; .popsection"); \
	extern const u8 name[]
STUB(c_syscall, "syscall");
STUB(c_sysret, "sysret");
STUB(c_sysretq, "sysretq");
STUB(c_sysenter, "sysenter");
STUB(c_sysexit, "sysexit");
STUB(c_sysexitq, ".byte 0x48; sysexit");
STUB(c_swapgs, "swapgs");
STUB(c_int, "int $0x81");
STUB(c_iretq, "iretq");
STUB(c_iretl, "iretl");
STUB(c_done, "");
STUB(c_target, "mov %ss, %ebx; mov %rsp, %rdi");
STUB(c_rdfs, "rdfsbase %rax");
STUB(c_wrgs, "wrgsbase %rax");

static void note(const char *what, u64 v, unsigned vector)
{
	put_value(what, v);
	put_value("vector", vector);
	put_value("error", trap.frame.error);
	put_value("ip", trap.frame.ip);
	put_value("cs", trap.frame.cs);
	put_value("flags", trap.frame.flags);
	put_char('\n');
}

/* Code in ring 0 or 3, of 64 or 32 bits; RDX can't be given, so SYSEXIT's target comes by SYSENTER_EIP's stub. */
static unsigned enter(unsigned ring, bool compat, const u8 *code, ulong flags, u64 cx)
{
	struct ring_entry e = ring_entry(ring, code, flags, 0, 0);

	if (compat)
		e.cs = ring ? RING_CS32 : KERNEL_CS32;
	e.cx = cx;
	return ring_run(&e);
}

static void modes(void)
{
	static struct table t = {.name = "SYSCALL, SYSRET, SYSENTER, SYSEXIT, SWAPGS by ring, width and EFER.SCE"};

	for (unsigned sce = 0; sce < 2; sce++)
		for (unsigned ring = 0; ring < 4; ring += 3)
			for (unsigned compat = 0; compat < 2; compat++)
				for (unsigned op = 0; op < 7; op++) {
					static const u8 *const code[] = {c_syscall, c_sysret,   c_sysretq, c_sysenter,
									 c_sysexit, c_sysexitq, c_swapgs};
					unsigned want = VEC_DONE, vector;

					if (compat && (op == 2 || op == 5))
						continue; /* 48h is DEC there */
					wrmsr(EFER, (rdmsr(EFER) & ~1ull) | sce);
					if (op == 0 && (compat || !sce))
						want = VEC_UD;
					if (op == 1 || op == 2)
						want = compat || !sce ? VEC_UD : ring ? VEC_GP : VEC_DONE;
					if (op >= 4)
						want = ring ? VEC_GP : VEC_DONE;
					if (op == 6 && compat)
						want = VEC_UD;
					if (want == VEC_DONE && (op == 1 || op == 2 || op == 4 || op == 5))
						continue; /* see below */
					vector = enter(ring, compat, code[op], 0, (u64)c_done);
					if (table_case(&t, vector == want && (vector != VEC_GP || !trap.frame.error))) {
						put_value("op", op);
						put_value("ring", ring);
						put_value("sce", sce);
						note("compat", compat, vector);
					}
				}
	wrmsr(EFER, rdmsr(EFER) | 1);
	table_line("", &t);
}

static void syscall(void)
{
	static struct table mask = {.name = "SYSCALL: RFLAGS AND NOT FMASK, every bit"};
	static struct table sel = {.name = "SYSCALL: CS and SS from STAR, RPL bits ignored"};
	static const u8 bits[] = {0, 2, 4, 6, 7, 10, 11, 12, 13, 14, 18, 21};

	for (unsigned n = 0; n < ARRAY_SIZE(bits); n++)
		for (unsigned set = 0; set < 2; set++) {
			u64 flags = set ? BIT(bits[n]) : 0, m;

			for (unsigned k = 0; k < ARRAY_SIZE(bits) + 1; k++) {
				m = k < ARRAY_SIZE(bits) ? BIT(bits[k]) : 0;
				wrmsr(SFMASK, m);
				unsigned vector = enter(3, false, c_syscall, flags, 0);
				bool good = vector == VEC_DONE && trap.frame.cx == (u64)c_syscall + 2 &&
					    trap.frame.r11 == (flags | 2) && trap.frame.flags == ((flags & ~m) | 2) &&
					    trap.frame.cs == SEL_K;
				if (table_case(&mask, good))
					note("mask", m, vector);
			}
		}
	table_line("", &mask);
	wrmsr(SFMASK, 0);
	for (unsigned rpl = 0; rpl < 4; rpl++) {
		unsigned vector;

		wrmsr(STAR, (u64)(SEL_U | 3) << 48 | (u64)(SEL_K | rpl) << 32);
		vector = enter(3, false, c_syscall, 0, 0);
		if (table_case(&sel, vector == VEC_DONE && trap.frame.cs == SEL_K && trap.frame.ss == SEL_K + 8 &&
					 (trap.frame.bx & 0xffff) == SEL_K + 8))
			note("rpl", rpl, vector);
	}
	table_line("", &sel);
}

asm(".pushsection .text.stubs, \"ax\"; c_ret_r11: mov %rbx, %r11; sysretq; c_ret_r11l: mov %rbx, %r11; sysretl; "
    ".popsection");
extern const u8 c_ret_r11[], c_ret_r11l[];

static void sysret(void)
{
	static struct table t = {.name = "SYSRET: RFLAGS from R11 by 3C7FD7h, CS and SS, both widths"};
	static struct table canonical = {.name = "SYSRETQ: RCX must be canonical: #GP(0) in ring 0"};

	for (unsigned wide = 0; wide < 2; wide++)
		for (unsigned bit = 0; bit < 64; bit++) {
			struct ring_entry e = ring_entry(0, wide ? c_ret_r11 : c_ret_r11l, 0, 0, 0);
			unsigned vector;

			if (bit == 8 || bit == 9)
				continue; /* TF would trap, IF is open */
			e.bx = BIT(bit);
			e.cx = (u64)c_done;
			vector = ring_run(&e);
			bool good = vector == VEC_DONE && trap.frame.cs == (wide ? SEL_U + 16 + 3 : SEL_U + 3) &&
				    trap.frame.ss == SEL_U + 8 + 3 && trap.frame.flags == ((BIT(bit) & 0x3c7fd7) | 2) &&
				    trap.frame.ip == (u64)c_done + 2;
			if (table_case(&t, good))
				note("bit", bit, vector);
		}
	table_line("", &t);
	for (unsigned bit = 47; bit < 64; bit++) {
		unsigned vector = enter(0, false, c_sysretq, 0, BIT(bit));

		if (table_case(&canonical,
			       vector == VEC_GP && trap.frame.error == 0 && trap.frame.ip == (u64)c_sysretq))
			note("bit", bit, vector);
	}
	table_line("", &canonical);
}

static void sysenter(void)
{
	struct ring_entry e;
	static struct table null = {.name = "SYSENTER and SYSEXIT with a null SYSENTER_CS: #GP(0)"};

	wrmsr(0x174, SEL_SE);
	wrmsr(0x175, (u64)stack_rsp0 + 2048);
	wrmsr(0x176, (u64)c_target);
	for (unsigned compat = 0; compat < 2; compat++) {
		bool good = enter(3, compat, c_sysenter, 0, 0) == VEC_DONE && trap.frame.cs == SEL_SE &&
			    (trap.frame.bx & 0xffff) == SEL_SE + 8 && trap.frame.di == (u64)stack_rsp0 + 2048;

		claim(compat ? "SYSENTER from compatibility mode: 64-bit code in ring 0" : "SYSENTER from 64-bit mode",
		      good);
	}
	for (unsigned rpl = 0; rpl < 4; rpl++) {
		wrmsr(0x174, rpl);
		for (unsigned op = 0; op < 2; op++) {
			unsigned vector = enter(0, false, op ? c_sysexit : c_sysenter, 0, 0);

			if (table_case(&null, vector == VEC_GP && trap.frame.error == 0))
				note("cs", rpl, vector);
		}
	}
	table_line("", &null);
	wrmsr(0x174, SEL_SE);
	STUB(c_exit, "mov %rbx, %rdx; sysexit");
	STUB(c_exitq, "mov %rbx, %rdx; .byte 0x48; sysexit");
	for (unsigned wide = 0; wide < 2; wide++) {
		e = ring_entry(0, wide ? c_exitq : c_exit, 0, 0, 0);
		e.bx = (u64)c_done;
		e.cx = e.sp;
		bool good = ring_run(&e) == VEC_DONE && trap.frame.cs == (wide ? SEL_SE + 32 + 3 : SEL_SE + 16 + 3) &&
			    trap.frame.ss == (wide ? SEL_SE + 40 + 3 : SEL_SE + 24 + 3) && trap.frame.sp == e.sp;
		claim(wide ? "SYSEXIT to 64-bit mode" : "SYSEXIT to compatibility mode", good);
	}
	static struct table canonical = {.name = "SYSEXIT with REX.W: RCX and RDX must be canonical: #GP(0)"};
	for (unsigned bit = 47; bit < 64; bit++)
		for (unsigned which = 0; which < 2; which++) {
			e = ring_entry(0, c_exitq, 0, 0, 0);
			e.bx = which ? BIT(bit) : (u64)c_done;
			e.cx = which ? e.sp : BIT(bit);
			unsigned vector = ring_run(&e);
			if (table_case(&canonical, vector == VEC_GP && trap.frame.cs != (SEL_SE + 32 + 3)))
				note("bit", bit, vector);
		}
	table_line("", &canonical);
}

static void bases(void)
{
	wrmsr(GS_BASE, 0x1234);
	wrmsr(KGS_BASE, 0xffff800000005678);
	ring_call(0, c_swapgs, 0, 0, 0);
	claim("SWAPGS exchanges the bases", rdmsr(GS_BASE) == 0xffff800000005678 && rdmsr(KGS_BASE) == 0x1234);
	wrmsr(GS_BASE, 0);
	wrmsr(KGS_BASE, 0);
	if (!HAS_FSGSBASE) {
		skip("FSGSBASE", "not in CPUID");
		return;
	}
	static struct table t = {.name = "RDFSBASE, WRGSBASE: CR4.FSGSBASE, canonical values, every ring"};
	for (unsigned on = 0; on < 2; on++) {
		WRITE_CR(4, (READ_CR(4) & ~BIT(16)) | on << 16);
		for (unsigned ring = 0; ring < 4; ring++) {
			unsigned vector = ring_call(ring, c_rdfs, 0, 0, 0);

			if (table_case(&t, vector == (on ? VEC_DONE : VEC_UD)))
				note("ring", ring, vector);
			for (unsigned bit = 0; bit < 64; bit++) {
				vector = ring_call(ring, c_wrgs, 0, BIT(bit), 0);
				bool good = !on        ? vector == VEC_UD
					    : bit < 47 ? vector == VEC_DONE && rdmsr(GS_BASE) == BIT(bit)
						       : vector == VEC_GP;
				wrmsr(GS_BASE, 0);
				if (table_case(&t, good))
					note("bit", bit, vector);
			}
		}
	}
	WRITE_CR(4, READ_CR(4) & ~BIT(16));
	table_line("", &t);
}

/* --- IRET --- */

static unsigned iret(unsigned ring, const u8 *code, u64 ip, u64 cs, u64 flags, u64 sp, u64 ss)
{
	struct ring_entry e = ring_entry(ring, code, 0, 0, 0);

	if (code == c_iretq) {
		u64 *p = (u64 *)e.sp;

		p[0] = ip;
		p[1] = cs;
		p[2] = flags;
		p[3] = sp;
		p[4] = ss;
	} else {
		u32 *p = (u32 *)e.sp;

		p[0] = ip;
		p[1] = cs;
		p[2] = flags;
		p[3] = sp;
		p[4] = ss;
	}
	return ring_run(&e);
}

static void returns(void)
{
	static struct table null = {.name = "IRET to a null SS: only to 64-bit code of rings 0 to 2 with RPL = CPL"};
	static struct table flags_t = {.name = "IRET: RFLAGS bit by bit, from rings 0 and 3, 64 and 32 bits"};
	static struct table canonical = {.name = "IRETQ: RIP must be canonical: #GP(0)"};
	u64 sp;

	for (unsigned ring = 0; ring < 4; ring++)
		for (unsigned compat = 0; compat < 2; compat++)
			for (unsigned ss = 0; ss < 4; ss++) {
				u64 cs = compat ? (0xf8ull + 8 * ring) | ring : (u64)RING_CS(ring);
				bool allowed = !compat && ring < 3 && ss == ring;
				unsigned vector;

				sp = ring_entry(ring, 0, 0, 0, 0).sp;
				vector = iret(0, c_iretq, (u64)c_done, cs, 2, sp, ss);
				if (table_case(&null, allowed ? vector == VEC_DONE && trap.frame.cs == cs
							      : vector == VEC_GP && trap.frame.error == 0))
					note("ss", ss | ring << 4 | compat << 8, vector);
			}
	table_line("", &null);
	for (unsigned code = 0; code < 2; code++)
		for (unsigned ring = 0; ring < 4; ring += 3)
			for (unsigned bit = 0; bit < (code ? 64 : 32); bit++) {
				u64 allowed = 0x254dd5 | (ring ? 0 : 0x183200);
				unsigned vector;

				if (bit == 8 || bit == 9)
					continue; /* TF; IF opens interrupts in ring 0 */
				sp = ring_entry(ring, 0, 0, 0, 0).sp;
				vector = iret(ring, code ? c_iretq : c_iretl, (u64)c_done, RING_CS(ring), BIT(bit), sp,
					      RING_SS(ring));
				/* RF is spent on the INT. */
				if (table_case(&flags_t, vector == VEC_DONE &&
							     trap.frame.flags == ((BIT(bit) & allowed & ~FLAG_RF) | 2)))
					note("bit", bit, vector);
			}
	table_line("", &flags_t);
	sp = ring_entry(0, 0, 0, 0, 0).sp;
	for (unsigned bit = 47; bit < 64; bit++) {
		unsigned vector = iret(0, c_iretq, BIT(bit), RING_CS(0), 2, sp, RING_SS(0));

		if (table_case(&canonical, vector == VEC_GP && trap.frame.error == 0))
			note("bit", bit, vector);
	}
	table_line("", &canonical);
	STUB(c_nt, "pushf; orl $0x4000, (%rsp); popf; iretq");
	claim("IRET with NT: #GP(0)", ring_call(0, c_nt, 0, 0, 0) == VEC_GP && trap.frame.error == 0);
	sp = ring_entry(3, 0, 0, 0, 0).sp;
	claim("IRET can't set VM in long mode",
	      iret(0, c_iretl, (u64)c_done, RING_CS(3), BIT(17) | 2, sp, RING_SS(3)) == VEC_DONE &&
		  trap.frame.cs == RING_CS(3) && !(trap.frame.flags & BIT(17)));
}

/* --- interrupt gates --- */

struct gate64 {
	u16 offset0, selector;
	u8 ist, access;
	u16 offset1;
	u32 offset2, reserved;
};

static struct gate64 *gate_of(unsigned vector)
{
	return (struct gate64 *)sidt().base + vector;
}

static void set_gate(unsigned vector, const void *to, u16 sel, u8 access, u8 ist)
{
	u64 at = (u64)to;

	*gate_of(vector) = (struct gate64){at, sel, ist, access, at >> 16, at >> 32, 0};
}

static void gates(void)
{
	static struct table types = {.name = "IDT gates: type, DPL, present bit, ring"};
	static struct table code = {.name = "code segments of IDT gates: type, DPL, present bit, L and D, ring"};
	static struct table offsets = {.name = "a gate's offset must be canonical: #GP(0)"};

	for (unsigned access = 0; access < 256; access++)
		for (unsigned ring = 0; ring < 4; ring++) {
			unsigned type = access & 31, dpl = access >> 5 & 3, want = VEC_DONE, vector;

			if ((type != 14 && type != 15) || dpl < ring)
				want = VEC_GP;
			else if (!(access & 0x80))
				want = VEC_NP;
			set_gate(0x81, c_done, SEL_KCODE, access, 0);
			vector = ring_call(ring, c_int, 0, 0, 0);
			if (table_case(&types,
				       vector == want && (want == VEC_DONE || trap.frame.error == 0x81 * 8 + 2)))
				note("access", access | ring << 8, vector);
		}
	table_line("", &types);
	for (unsigned access = 0; access < 256; access++)
		for (unsigned width = 0; width < 4; width++)
			for (unsigned ring = 0; ring < 4; ring++) {
				unsigned dpl = access >> 5 & 3, want = VEC_DONE, vector;
				bool is_code = (access & 0x18) == 0x18;

				gdt[SEL_CODE / 8] = DESC(0, 0xfffff, access, 8 | width << 1);
				if (!is_code || dpl > ring || width != 1)
					want = VEC_GP;
				else if (!(access & 0x80))
					want = VEC_NP;
				set_gate(0x81, c_done, SEL_CODE, 0xee, 0);
				vector = ring_call(ring, c_int, 0, 0, 0);
				if (table_case(&code,
					       vector == want && (want == VEC_DONE || trap.frame.error == SEL_CODE)))
					note("access", access | ring << 8 | width << 12, vector);
			}
	table_line("", &code);
	for (unsigned bit = 47; bit < 64; bit++) {
		unsigned vector;

		set_gate(0x81, (void *)BIT(bit), SEL_KCODE, 0xee, 0);
		vector = ring_call(3, c_int, 0, 0, 0);
		if (table_case(&offsets, vector == VEC_GP && trap.frame.error == 0 && trap.frame.cs == RING_CS(3)))
			note("bit", bit, vector);
	}
	table_line("", &offsets);
}

static void stacks(void)
{
	static struct table t = {.name = "where the frame goes: IST, ring, alignment to 16 bytes"};
	static struct table bad = {.name = "stacks that aren't canonical: #SS(0), RSP0 and IST"};
	static u8 other[7][1024] __attribute__((aligned(64)));
	extern char trap_stubs[];
	u64 rsp0 = tss.rsp[0];

	for (unsigned ist = 3; ist < 7; ist++)
		tss.ist[ist] = (u64)other[ist] + 1024;
	for (unsigned ring = 0; ring < 4; ring++)
		for (unsigned ist = 0; ist < 8; ist++)
			for (unsigned skew = 0; skew < 16; skew++) {
				struct ring_entry e = ring_entry(ring, c_int, FLAG_CF, 0, 0);
				u64 top, save = ist ? tss.ist[ist - 1] : 0;
				unsigned vector;

				e.sp += skew;
				set_gate(0x81, trap_stubs + 16 * 0x81, SEL_KCODE, 0xee, ist);
				if (ist)
					tss.ist[ist - 1] += (u64)skew - 16;
				else if (ring)
					tss.rsp[0] = rsp0 + (u64)skew - 16;
				top = (ist ? tss.ist[ist - 1] : ring ? tss.rsp[0] : e.sp) & ~15ull;
				vector = ring_run(&e);
				bool good = vector == 0x81 && trap.frame.ip == (u64)c_int + 2 &&
					    trap.frame.cs == e.cs && trap.frame.flags == (2 | FLAG_CF) &&
					    trap.frame.sp == e.sp && trap.frame.ss == e.ss &&
					    trap.handler_sp == top - sizeof(struct frame);
				if (ist)
					tss.ist[ist - 1] = save;
				tss.rsp[0] = rsp0;
				if (table_case(&t, good))
					note("ist", ist | ring << 4 | skew << 8, vector);
			}
	table_line("", &t);
	for (unsigned ist = 0; ist < 8; ist++)
		for (unsigned bit = 47; bit < 64; bit++) {
			u64 *at = ist ? (u64 *)((u8 *)&tss + 0x24 + 8 * (ist - 1)) : (u64 *)((u8 *)&tss + 4),
			    save = *at;
			unsigned vector;

			if (ist == 2)
				continue; /* #SS itself uses it */
			set_gate(0x81, trap_stubs + 16 * 0x81, SEL_KCODE, 0xee, ist);
			*at = BIT(bit);
			vector = ring_call(3, c_int, 0, 0, 0);
			*at = save;
			if (table_case(&bad, vector == VEC_SS && trap.frame.error == 0 && trap.frame.cs == RING_CS(3)))
				note("ist", ist | bit << 8, vector);
		}
	table_line("", &bad);
}

/* --- an exception while another is delivered (SDM 3A 6.15, table 6-5) --- */

STUB(f_ud, "ud2");
STUB(f_de, "xor %ecx, %ecx; xor %edx, %edx; div %ecx");
STUB(f_gp, "mov (%rdi), %al");
STUB(f_np, "mov %di, %fs");
STUB(f_ss, "mov %rdi, %rbp; mov (%rbp), %al");
STUB(f_pf, "mov (%rdi), %al");

static void double_faults(void)
{
	enum { BENIGN, CONTRIBUTORY, PAGE };
	static const struct {
		const u8 *code;
		u64 di;
		u8 vector, class;
	} first[] = {{f_ud, 0, VEC_UD, BENIGN},
		     {f_de, 0, VEC_DE, CONTRIBUTORY},
		     {f_gp, 0x8000000000000000, VEC_GP, CONTRIBUTORY},
		     {f_np, SEL_CODE, VEC_NP, CONTRIBUTORY},
		     {f_ss, 0x8000000000000000, VEC_SS, CONTRIBUTORY},
		     {f_pf, 0x7000000000, VEC_PF, PAGE}};
	static const struct {
		u8 vector, class;
		u16 error; /* but for the gate's number */
		bool gate; /* the error names it */
	} second[] = {{VEC_NP, CONTRIBUTORY, 3, true},
		      {VEC_GP, CONTRIBUTORY, 3, true},
		      {VEC_GP, CONTRIBUTORY, 1, false},
		      {VEC_SS, CONTRIBUTORY, 1, false},
		      {VEC_TS, CONTRIBUTORY, SEL_SMALL_TSS | 1, false},
		      {VEC_PF, PAGE, 2, false}};
	static struct table t = {.name = "an exception within a delivery: double fault, or the second one"};
	u64 ist7 = tss.ist[6];

	gdt[SEL_CODE / 8] = DESC(0, 0xfffff, 0x13, 0xc);
	gdt[SEL_SMALL_TSS / 8] = DESC(&tss, 0x53, 0x89, 0); /* without IST7 */
	gdt[SEL_SMALL_TSS / 8 + 1] = 0;
	for (unsigned a = 0; a < ARRAY_SIZE(first); a++)
		for (unsigned b = 0; b < ARRAY_SIZE(second); b++) {
			struct gate64 *g = gate_of(first[a].vector), saved = *g;
			bool df = (first[a].class == CONTRIBUTORY && second[b].class == CONTRIBUTORY) ||
				  first[a].class == PAGE;
			unsigned error = second[b].error + (second[b].gate ? first[a].vector * 8 : 0), vector;

			if (b == 0)
				g->access &= 0x7f;
			if (b == 1)
				g->access &= 0xf0;
			if (b == 2)
				g->selector = 0;
			if (b >= 3)
				g->ist = 7;
			tss.ist[6] = b == 3 ? 0x8000000000000000 : b == 5 ? 0x7000001000 : ist7;
			if (b == 4)
				ltr(SEL_SMALL_TSS);
			vector = ring_call(0, first[a].code, 0, 0, first[a].di);
			*g = saved;
			tss.ist[6] = ist7;
			if (b == 4)
				ltr(SEL_TSS);
			if (table_case(&t, vector == (df ? VEC_DF : second[b].vector) &&
					       trap.frame.error == (df ? 0 : error)))
				note("pair", first[a].vector << 8 | second[b].vector, vector);
		}
	table_line("", &t);
}

static void prepare(void)
{
	static const u8 code64 = 0xa, code32 = 0xc;

	for (u64 at = 0; at < 0x800000; at += 0x200000)
		*pte_of(at, 2) |= PTE_U;
	WRITE_CR(3, READ_CR(3));
	gdt[SEL_K / 8] = DESC(0, 0xfffff, 0x9b, code64);
	gdt[SEL_K / 8 + 1] = DESC(0, 0xfffff, 0x93, code32);
	gdt[SEL_U / 8] = DESC(0, 0xfffff, 0xfb, code32);
	gdt[SEL_U / 8 + 1] = DESC(0, 0xfffff, 0xf3, code32);
	gdt[SEL_U / 8 + 2] = DESC(0, 0xfffff, 0xfb, code64);
	gdt[RING_CS32 / 8] = DESC(0, 0xfffff, 0xfb, code32);
	gdt[KERNEL_CS32 / 8] = DESC(0, 0xfffff, 0x9b, code32);
	for (unsigned n = 0; n < 6; n++)
		gdt[SEL_SE / 8 + n] = DESC(0, 0xfffff,
					   n & 1 ? (n == 1 ? 0x93 : 0xf3)
					   : n   ? 0xfb
						 : 0x9b,
					   n == 0 || n == 4 ? code64 : code32);
	wrmsr(STAR, (u64)(SEL_U | 3) << 48 | (u64)SEL_K << 32);
	wrmsr(LSTAR, (u64)c_target);
	wrmsr(SFMASK, 0);
	wrmsr(0x174, SEL_SE);
	wrmsr(0x175, (u64)stack_rsp0 + 2048);
	wrmsr(0x176, (u64)c_target);
}

void kmain(void)
{
	rings_init();
	prepare();
	modes();
	syscall();
	sysret();
	sysenter();
	bases();
	/* Compatibility-mode code of every ring. */
	for (unsigned ring = 0; ring < 4; ring++)
		gdt[0xf8 / 8 + ring] = DESC(0, 0xfffff, 0x9b | ring << 5, 0xc);
	returns();
	gates();
	stacks();
	double_faults();
}
