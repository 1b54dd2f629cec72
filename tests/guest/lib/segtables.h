/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The body of sys_seg32.c and sys_seg64.c: every descriptor type, DPL and present bit, named with every RPL from every
 * ring, by everything that loads or looks at a descriptor (SDM 3A 5.5 to 5.8; SDM 2A: LAR, LSL, VERR, VERW, MOV, JMP, CALL,
 * RET, IRET). Long mode differs in system descriptors, the L bit and null SS. */
#include "tests/guest/lib/sys.h"

#ifdef __x86_64__
#define LONG_MODE true
#define AX        "%rax"
#define DI        "%rdi"
#define IRET_SIZE "q"
#else
#define LONG_MODE false
#define AX        "%eax"
#define DI        "%edi"
#define IRET_SIZE "l"
#endif

asm(".text\n"
    "s_ds: mov %ax, %ds; int $0x80\n"
    "s_es: mov %ax, %es; int $0x80\n"
    "s_fs: mov %ax, %fs; int $0x80\n"
    "s_gs: mov %ax, %gs; int $0x80\n"
    "s_pop: push " AX "; pop %fs; int $0x80\n"
    "s_ss: mov %ax, %ss; mov %bx, %ss; int $0x80\n"
    "s_lfs: lfs (" DI "), %edx; int $0x80\n"
    "s_lss: lss (" DI "), %edx; mov %bx, %ss; int $0x80\n"
    "s_lar: lar %ax, %ecx; int $0x80\n"
    "s_lsl: lsl %ax, %ecx; int $0x80\n"
    "s_verr: verr %ax; int $0x80\n"
    "s_verw: verw %ax; int $0x80\n"
    "s_jmp: ljmp *(" DI "); ud2\n"
    "s_call: lcall *(" DI "); ud2\n"
    "s_iret: iret" IRET_SIZE "\n"
    "s_lret: lret" IRET_SIZE "\n"
    "s_lldt: lldt %ax; int $0x80\n"
    "s_ltr: ltr %ax; int $0x80\n"
    "s_lldt_m: .byte 0x0f, 0x00, 0x17; int $0x80\n" /* (%edi) or (%rdi) */
    "s_ltr_m: .byte 0x0f, 0x00, 0x1f; int $0x80\n"
    "s_done: int $0x80\n");
extern const u8 s_ds[], s_es[], s_fs[], s_gs[], s_pop[], s_ss[], s_lfs[], s_lss[], s_lar[], s_lsl[], s_verr[], s_verw[],
    s_jmp[], s_call[], s_iret[], s_lret[], s_lldt[], s_ltr[], s_lldt_m[], s_ltr_m[], s_done[];

#define OK VEC_DONE

/* A case: the descriptor's access byte taken apart, and who asks. */
struct seg_case {
	unsigned type, dpl, rpl, cpl;
	bool s, present;
	bool bad_width; /* L and D both set */
	u16 sel;
};

/* What happens: vector and error code; for LAR and the like whether ZF is set. */
struct outcome {
	unsigned vector, error;
};

static struct outcome fault(unsigned vector, unsigned error)
{
	return (struct outcome){vector, error};
}

static const struct outcome fine = {OK, 0};

static bool is_code(const struct seg_case *c)
{
	return c->s && c->type & 8;
}

static bool is_conforming(const struct seg_case *c)
{
	return is_code(c) && c->type & 4;
}

static bool readable(const struct seg_case *c)
{
	return c->s && (!(c->type & 8) || c->type & 2);
}

static bool writable(const struct seg_case *c)
{
	return c->s && !(c->type & 8) && c->type & 2;
}

static bool privileged(const struct seg_case *c)
{
	return c->dpl < c->cpl || c->dpl < c->rpl;
}

static struct outcome rule_data(const struct seg_case *c)
{
	if (!readable(c) || (!is_conforming(c) && privileged(c)))
		return fault(VEC_GP, c->sel & ~3);
	return c->present ? fine : fault(VEC_NP, c->sel & ~3);
}

static struct outcome rule_ss(const struct seg_case *c)
{
	if (c->rpl != c->cpl || !writable(c) || c->dpl != c->cpl)
		return fault(VEC_GP, c->sel & ~3);
	return c->present ? fine : fault(VEC_SS, c->sel & ~3);
}

/* JMP and CALL; a gate or TSS that is let through names a null selector or is left out by the caller. */
static struct outcome rule_transfer(const struct seg_case *c)
{
	u16 error = c->sel & ~3;

	if (is_code(c)) {
		if (is_conforming(c) ? c->dpl > c->cpl : c->rpl > c->cpl || c->dpl != c->cpl)
			return fault(VEC_GP, error);
		if (c->bad_width)
			return fault(VEC_GP, error);
		return c->present ? fine : fault(VEC_NP, error);
	}
	if (c->s || (LONG_MODE && c->type != 12))
		return fault(VEC_GP, error);
	switch (c->type) {
	case 4: /* call gates and the task gate, with a null selector in them */
	case 5:
	case 12:
		if (privileged(c))
			return fault(VEC_GP, error);
		return c->present ? fault(VEC_GP, 0) : fault(VEC_NP, error);
	case 1: /* available TSS */
	case 9:
		if (privileged(c))
			return fault(VEC_GP, error);
		return fault(VEC_NP, error);
	}
	return fault(VEC_GP, error);
}

static struct outcome rule_return(const struct seg_case *c)
{
	u16 error = c->sel & ~3;

	if (c->rpl < c->cpl || !is_code(c) || (is_conforming(c) ? c->dpl > c->rpl : c->dpl != c->rpl))
		return fault(VEC_GP, error);
	if (c->bad_width)
		return fault(VEC_GP, error);
	return c->present ? fine : fault(VEC_NP, error);
}

static struct outcome rule_lldt(const struct seg_case *c)
{
	if (c->cpl)
		return fault(VEC_GP, 0);
	if (c->s || c->type != 2)
		return fault(VEC_GP, c->sel & ~3);
	return c->present ? fine : fault(VEC_NP, c->sel & ~3);
}

static struct outcome rule_ltr(const struct seg_case *c)
{
	if (c->cpl)
		return fault(VEC_GP, 0);
	if (c->s || (c->type != 9 && (LONG_MODE || c->type != 1)))
		return fault(VEC_GP, c->sel & ~3);
	return c->present ? fine : fault(VEC_NP, c->sel & ~3);
}

/* Whether ZF is set. LAR and LSL accept some system types (their tables in SDM 2A). */
static bool rule_visible(const struct seg_case *c, u32 system_types)
{
	if (!c->s && !(system_types >> c->type & 1))
		return false;
	return is_conforming(c) || !privileged(c);
}

#ifdef __x86_64__
#define LAR_TYPES (BIT(2) | BIT(9) | BIT(11) | BIT(12))
#define LSL_TYPES (BIT(2) | BIT(9) | BIT(11))
#else
#define LAR_TYPES (BIT(1) | BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(9) | BIT(11) | BIT(12))
#define LSL_TYPES (BIT(1) | BIT(2) | BIT(3) | BIT(9) | BIT(11))
#endif

static bool zf_rule_lar(const struct seg_case *c)
{
	return rule_visible(c, LAR_TYPES);
}

static bool zf_rule_lsl(const struct seg_case *c)
{
	return rule_visible(c, LSL_TYPES);
}

static bool zf_rule_verr(const struct seg_case *c)
{
	return readable(c) && rule_visible(c, 0);
}

static bool zf_rule_verw(const struct seg_case *c)
{
	return writable(c) && rule_visible(c, 0);
}

/* --- running a case --- */

static u64 descriptor;
static struct {
	u32 offset;
	u16 selector;
} __attribute__((packed)) far;

static void note(const struct seg_case *c, struct outcome want, unsigned vector)
{
	put_value("type", c->type | c->s << 4);
	put_value("dpl", c->dpl);
	put_value("rpl", c->rpl);
	put_value("p", c->present);
	put_value("want", want.vector);
	put_value("error", want.error);
	put_value("vector", vector);
	put_value("error", trap.frame.error);
	put_char('\n');
}

static struct table accessed_table = {.name = "a successful load sets the accessed bit, others leave it"};
static struct table cs_table = {.name = "CS after a transfer has the CPL as its RPL"};

static void judge(struct table *t, const struct seg_case *c, struct outcome want, unsigned vector)
{
	bool good = vector == want.vector && (vector == OK || trap.frame.error == want.error);

	if (table_case(t, good))
		note(c, want, vector);
	if (!good)
		return;
	bool set = vector == OK && c->s;
	u64 after = gdt[SYS_INDEX], before = descriptor;

	if (!c->s) /* LTR makes it busy */
		return;
	if (table_case(&accessed_table, after == (set ? before | BIT(40) : before)))
		note(c, want, vector);
}

typedef struct outcome (*rule)(const struct seg_case *);
typedef bool (*zf_rule)(const struct seg_case *);

/* A load of a segment register, LDTR or TR. */
static void load(struct table *t, const struct seg_case *c, const void *code, rule r)
{
	struct ring_entry e = ring_entry(c->cpl, code, 0, c->sel, (ulong)&far);
	unsigned vector;

	far.selector = c->sel;
	e.bx = RING_SS(c->cpl);
	vector = ring_run(&e);
	judge(t, c, r(c), vector);
}

static void look(struct table *t, const struct seg_case *c, const void *code, zf_rule r, u32 value, u32 mask)
{
	struct ring_entry e = ring_entry(c->cpl, code, 0, c->sel, 0);
	unsigned vector;
	bool zf, want = r(c);

	e.cx = 0x5a5a5a5a;
	vector = ring_run(&e);
	zf = trap.frame.flags & FLAG_ZF;
	bool good = vector == OK && zf == want &&
		    (!mask || (trap.frame.cx & mask) == ((want ? value : 0x5a5a5a5a) & mask));
	if (table_case(t, good)) {
		put_value("zf", zf);
		put_value("ecx", trap.frame.cx);
		note(c, fine, vector);
	}
}

static void transfer(struct table *t, const struct seg_case *c, const void *code)
{
	struct outcome want = rule_transfer(c);
	unsigned vector;

	if (!LONG_MODE && !c->s && (c->type == 1 || c->type == 9) && c->present && !privileged(c))
		return; /* switches tasks: sys_task32 */
	far.offset = (u32)(ulong)s_done;
	far.selector = c->sel;
	vector = ring_call(c->cpl, code, 0, 0, (ulong)&far);
	judge(t, c, want, vector);
	if (vector == OK && want.vector == OK && table_case(&cs_table, trap.frame.cs == ((c->sel & ~3) | c->cpl)))
		note(c, want, vector);
}

static void give_back(struct table *t, const struct seg_case *c, bool iret)
{
	struct ring_entry e = ring_entry(c->cpl, iret ? s_iret : s_lret, 0, 0, 0);
	ulong *p = (ulong *)e.sp;
	unsigned vector;

	*p++ = (ulong)s_done;
	*p++ = c->sel;
	if (iret)
		*p++ = 2;
	*p++ = ring_entry(c->rpl, 0, 0, 0, 0).sp;
	*p++ = RING_SS(c->rpl);
	vector = ring_run(&e);
	judge(t, c, rule_return(c), vector);
	if (vector == OK && rule_return(c).vector == OK && table_case(&cs_table, trap.frame.cs == c->sel))
		note(c, fine, vector);
}

/* The SS that an outer return pops. */
static void give_back_ss(struct table *t, const struct seg_case *c, bool iret)
{
	struct ring_entry e = ring_entry(0, iret ? s_iret : s_lret, 0, 0, 0);
	ulong *p = (ulong *)e.sp;
	unsigned ring = c->cpl, vector; /* the ring returned to */

	*p++ = (ulong)s_done;
	*p++ = RING_CS(ring);
	if (iret)
		*p++ = 2;
	*p++ = ring_entry(ring, 0, 0, 0, 0).sp;
	*p++ = c->sel;
	vector = ring_run(&e);
	judge(t, c, rule_ss(c), vector);
}

enum op {
	DS,
	ES,
	FS,
	GS,
	POP,
	SS,
	LAR,
	LSL,
	VERR,
	VERW,
	JMP,
	CALL,
	IRET,
	LRET,
	LLDT,
	LTR,
	IRET_SS,
	LRET_SS,
	LFS,
	LSS,
	OPS
};
static struct table tables[4][OPS];

static void one(enum op op, const struct seg_case *c)
{
	struct table *t = &tables[c->cpl][op];
	u32 high = descriptor >> 32;
	static const u8 *const loads[] = {s_ds, s_es, s_fs, s_gs, s_pop};

	gdt[SYS_INDEX] = descriptor;
	switch (op) {
	case DS ... POP:
		load(t, c, loads[op], rule_data);
		break;
	case SS:
	case LSS:
		load(t, c, op == SS ? s_ss : s_lss, rule_ss);
		break;
	case LFS:
		load(t, c, s_lfs, rule_data);
		break;
	case LAR:
		look(t, c, s_lar, zf_rule_lar, high, 0xf0ff00);
		break;
	case LSL:
		look(t, c, s_lsl, zf_rule_lsl, 0xffffffff, 0xffffffff);
		break;
	case VERR:
		look(t, c, s_verr, zf_rule_verr, 0, 0);
		break;
	case VERW:
		look(t, c, s_verw, zf_rule_verw, 0, 0);
		break;
	case JMP:
	case CALL:
		transfer(t, c, op == JMP ? s_jmp : s_call);
		break;
	case IRET:
	case LRET:
		give_back(t, c, op == IRET);
		break;
	case LLDT:
		load(t, c, s_lldt, rule_lldt);
		lldt(0);
		break;
	case LTR:
		load(t, c, s_ltr, rule_ltr);
		ltr(SEL_TSS);
		break;
	case IRET_SS:
	case LRET_SS:
		/* IRETQ pops SS from the same ring too. */
		if (c->cpl || (LONG_MODE && op == IRET_SS))
			give_back_ss(t, c, op == IRET_SS);
		break;
	default:
		break;
	}
}

static void every_descriptor(void)
{
	static const char *const names[OPS] = {"MOV to DS",
					       "MOV to ES",
					       "MOV to FS",
					       "MOV to GS",
					       "POP FS",
					       "MOV to SS",
					       "LAR",
					       "LSL",
					       "VERR",
					       "VERW",
					       "far JMP",
					       "far CALL",
					       "IRET",
					       "far RET",
					       "LLDT",
					       "LTR",
					       "SS of an IRET to it",
					       "SS of a far RET to it",
					       "LFS",
					       "LSS"};
	static const char *const rings[] = {"ring 0: ", "ring 1: ", "ring 2: ", "ring 3: "};

	for (unsigned ring = 0; ring < 4; ring++)
		for (unsigned op = 0; op < OPS; op++)
			tables[ring][op].name = names[op];
	for (unsigned access = 0; access < 256; access++) {
		bool code = (access & 0x18) == 0x18;

		for (unsigned width = 0; width < (LONG_MODE && code ? 3 : 1); width++)
			for (unsigned who = 0; who < 16; who++) {
				struct seg_case c = {
				    .type = access & 15,
				    .s = access & 16,
				    .dpl = access >> 5 & 3,
				    .present = access & 0x80,
				    .rpl = who & 3,
				    .cpl = who >> 2,
				    .sel = SEL_SYS | (who & 3),
				};

				/* A base of 0: a null selector where it is taken for a gate. Code in long mode: 64 bits, 32, neither. */
				c.bad_width = width == 2;
				descriptor = DESC(0, 0xfffff, access, LONG_MODE && code ? 0xa + 2 * width : 0xc);
				for (unsigned op = 0; op < OPS; op++)
					one(op, &c);
			}
	}
	for (unsigned ring = 0; ring < 4; ring++)
		for (unsigned op = 0; op < OPS; op++)
			table_line(rings[ring], &tables[ring][op]);
	table_line("", &accessed_table);
	table_line("", &cs_table);
}

/* --- selectors that lead to no descriptor --- */

#ifdef __x86_64__
/* System descriptors of 16 bytes: the upper half's type must be 0, all of it within the table. */
static void upper_halves(void)
{
	static struct table t = {.name =
				     "call gates and TSSs: type bits in the upper half, base, and half a descriptor"};

	for (unsigned bits = 0; bits < 32; bits++)
		for (unsigned ring = 0; ring < 4; ring++) {
			struct outcome gp = fault(VEC_GP, SEL_SYS);
			unsigned vector;

			gdt[SYS_INDEX] = GATE(s_done, RING_CS(0), 0xec, 0);
			gdt[SYS_INDEX + 1] = (u64)bits << 40;
			far.selector = SEL_SYS | ring;
			vector = ring_call(ring, s_call, 0, 0, (ulong)&far);
			if (table_case(&t,
				       bits ? vector == VEC_GP && trap.frame.error == gp.error : vector == VEC_DONE)) {
				put_value("bits", bits);
				put_value("vector", vector);
				put_char('\n');
			}
			if (ring)
				continue;
			gdt[SYS_INDEX] = DESC(&tss, sizeof(tss) - 1, 0x89, 0);
			vector = ring_call(0, s_ltr, 0, SEL_SYS, 0);
			ltr(SEL_TSS);
			if (table_case(&t,
				       bits ? vector == VEC_GP && trap.frame.error == gp.error : vector == VEC_DONE)) {
				put_value("ltr: bits", bits);
				put_value("vector", vector);
				put_char('\n');
			}
		}
	for (unsigned bit = 15; bit < 32; bit++)
		for (unsigned ldt = 0; ldt < 2; ldt++) {
			unsigned vector;

			gdt[SYS_INDEX] = DESC(&tss, sizeof(tss) - 1, ldt ? 0x82 : 0x89, 0);
			gdt[SYS_INDEX + 1] = BIT(bit);
			vector = ring_call(0, ldt ? s_lldt : s_ltr, 0, SEL_SYS, 0);
			ltr(SEL_TSS);
			lldt(0);
			if (table_case(&t, vector == VEC_GP && trap.frame.error == SEL_SYS)) {
				put_value("base bit", bit + 32);
				put_value("vector", vector);
				put_char('\n');
			}
		}
	gdt[SYS_INDEX + 1] = 0;
	struct table_register whole = sgdt(), half = whole;
	for (unsigned n = 0; n < 3; n++) {
		unsigned vector;

		half.limit = SEL_SYS + 7;
		gdt[SYS_INDEX] = n == 0 ? GATE(s_done, RING_CS(0), 0xec, 0)
					: DESC(&tss, sizeof(tss) - 1, n == 1 ? 0x82 : 0x89, 0);
		far.selector = SEL_SYS;
		lgdt(half);
		vector = ring_call(0, n == 0 ? s_call : n == 1 ? s_lldt : s_ltr, 0, SEL_SYS, (ulong)&far);
		lgdt(whole);
		ltr(SEL_TSS);
		lldt(0);
		if (table_case(&t, vector == VEC_GP && trap.frame.error == SEL_SYS)) {
			put_value("half", n);
			put_value("vector", vector);
			put_char('\n');
		}
	}
	table_line("", &t);
}
#endif

static void try_selector(struct table *t, unsigned cpl, u16 sel, const void *code, struct outcome want)
{
	struct ring_entry e = ring_entry(cpl, code, 0, sel, (ulong)&far);
	unsigned vector;

	far.offset = (u32)(ulong)s_done;
	far.selector = sel;
	e.bx = RING_SS(cpl);
	vector = ring_run(&e);
	if (code == s_ltr)
		ltr(SEL_TSS); /* where it was taken */
	if (table_case(t, vector == want.vector && (vector == OK || trap.frame.error == want.error))) {
		put_value("cpl", cpl);
		put_value("selector", sel);
		put_value("vector", vector);
		put_value("error", trap.frame.error);
		put_char('\n');
	}
}

static void selectors(void)
{
	static struct table null = {.name = "null selectors"}, beyond = {.name = "selectors beyond their table"};
	static struct table zf = {.name = "LAR of a null selector clears ZF"};
	u16 limit = sgdt().limit;

	for (unsigned cpl = 0; cpl < 4; cpl++)
		for (u16 sel = 0; sel < 4; sel++) {
			try_selector(&null, cpl, sel, s_ds, fine);
			try_selector(&null, cpl, sel, s_gs, fine);
			try_selector(&null, cpl, sel, s_pop, fine);
			try_selector(&null, cpl, sel, s_ss,
				     LONG_MODE && cpl < 3 && sel == cpl ? fine : fault(VEC_GP, 0));
			try_selector(&null, cpl, sel, s_jmp, fault(VEC_GP, 0));
			try_selector(&null, cpl, sel, s_call, fault(VEC_GP, 0));
			try_selector(&null, cpl, sel, s_ltr, fault(VEC_GP, 0));
			try_selector(&null, cpl, sel, s_lldt, cpl ? fault(VEC_GP, 0) : fine);
			try_selector(&null, cpl, sel, s_lar, fine);
			if (table_case(&zf, !(trap.frame.flags & FLAG_ZF)))
				put_char('\n');
		}
	table_line("", &null);
	table_line("", &zf);
	gdt[SYS_INDEX] = DESC(gdt, 0x2f, 0x82, 0); /* an LDT of 6 entries */
	gdt[SYS_INDEX + 1] = 0;
	lldt(SEL_SYS);
	for (unsigned cpl = 0; cpl < 4; cpl++)
		for (unsigned n = 0; n < 8; n++) {
			u16 sel = (n < 2   ? limit + 1 + 8 * n
				   : n < 4 ? 0xfff8 - 8 * (n & 1)
				   : n < 6 ? 0x34 + 8 * (n & 1)
					   : 0xfffc - 8 * (n & 1)) |
				  cpl;
			struct outcome gp = fault(VEC_GP, sel & ~3);

			try_selector(&beyond, cpl, sel, s_ds, gp);
			try_selector(&beyond, cpl, sel, s_fs, gp);
			try_selector(&beyond, cpl, sel, s_ss, gp);
			try_selector(&beyond, cpl, sel, s_jmp, gp);
			try_selector(&beyond, cpl, sel, s_call, gp);
			try_selector(&beyond, cpl, sel, s_ltr, cpl ? fault(VEC_GP, 0) : gp);
			try_selector(&beyond, cpl, sel, s_lldt, cpl ? fault(VEC_GP, 0) : gp);
			try_selector(&beyond, cpl, sel, s_verr, fine);
			try_selector(&beyond, cpl, sel, s_lsl, fine);
		}
	try_selector(&beyond, 0, 0x14, s_ds, fine);                  /* in the LDT */
	try_selector(&beyond, 0, 0x14, s_lldt, fault(VEC_GP, 0x14)); /* not from the LDT */
	try_selector(&beyond, 0, 0x14, s_ltr, fault(VEC_GP, 0x14));
	lldt(0);
	try_selector(&beyond, 0, 0x14, s_ds, fault(VEC_GP, 0x14)); /* no LDT */
	/* LLDT and LTR from memory: what the register forms see. */
	static u16 operand;
	u16 ldt;
	operand = SEL_SYS;
	unsigned vector = ring_call(0, s_lldt_m, 0, 0, (ulong)&operand);
	asm volatile("sldt %0" : "=r"(ldt));
	claim("LLDT from memory", vector == VEC_DONE && ldt == SEL_SYS);
	lldt(0);
	operand = SEL_SYS | 4;
	claim("LTR from memory: not from the LDT",
	      ring_call(0, s_ltr_m, 0, 0, (ulong)&operand) == VEC_GP && trap.frame.error == (SEL_SYS | 4));
	operand = SEL_TSS;
	gdt[SEL_TSS / 8] &= ~BIT(41);
	claim("LTR from memory: makes the TSS busy",
	      ring_call(0, s_ltr_m, 0, 0, (ulong)&operand) == VEC_DONE && (gdt[SEL_TSS / 8] & BIT(41)));
	table_line("", &beyond);
}

/* --- a return outwards drops what the outer ring may not use --- */

static void dropped(void)
{
	static struct table t = {.name = "a return to an outer ring makes DS, ES, FS, GS null where DPL < CPL"};

	for (unsigned access = 0x80; access < 0x100; access++) {
		bool s = access & 16, code = access & 8, conforming = code && access & 4;
		unsigned dpl = access >> 5 & 3;

		if (!s || (code && !(access & 2)))
			continue;
		gdt[SYS_INDEX] = DESC(0, 0xfffff, access, 0xc);
		for (unsigned ring = 1; ring < 4; ring++) {
			struct ring_entry e = ring_entry(ring, s_done, 0, 0, 0);
			u16 want = conforming || dpl >= ring ? SEL_SYS : 0;
			u16 fs, gs;
			bool restore(struct frame * f)
			{
				asm volatile("mov %%fs, %w0; mov %%gs, %w1" : "=r"(fs), "=r"(gs));
				return false;
			}

			asm volatile("mov %w0, %%fs; mov %w0, %%gs" : : "r"(SEL_SYS));
			trap_hook = restore;
			ring_run(&e);
			trap_hook = NULL;
			if (table_case(&t, fs == want && gs == want)) {
				put_value("access", access);
				put_value("ring", ring);
				put_value("fs", fs);
				put_char('\n');
			}
		}
	}
	table_line("", &t);
}

/* SDM 2A IRET, 2B RET: a null selector that is left becomes 0, whatever its RPL was. */
static void null_rpl(void)
{
	static struct table t = {.name = "a return to an outer ring clears the RPL of null selectors"};

	for (unsigned ring = 0; ring < 4; ring++)
		for (unsigned far_ret = 0; far_ret < (ring ? 2 : 1); far_ret++)
			for (u16 null = 0; null < 4; null++) {
				struct ring_entry outer = ring_entry(ring, s_done, 0, 0, 0), e = outer;
				u16 fs, gs;
				bool look(struct frame * f)
				{
					asm volatile("mov %%fs, %w0; mov %%gs, %w1" : "=r"(fs), "=r"(gs));
					return false;
				}

				if (far_ret) {
					e = ring_entry(0, s_lret, 0, 0, 0);
					ulong *p = (ulong *)e.sp;
					p[0] = outer.ip;
					p[1] = outer.cs;
					p[2] = outer.sp;
					p[3] = outer.ss;
				}
				asm volatile("mov %w0, %%fs; mov %w0, %%gs" : : "r"(null));
				trap_hook = look;
				unsigned vector = ring_run(&e);
				trap_hook = NULL;
				u16 want = ring ? 0 : null; /* the same ring: as it was */
				if (table_case(&t, vector == VEC_DONE && fs == want && gs == want)) {
					put_value("ring", ring);
					put_value("far RET", far_ret);
					put_value("null", null);
					put_value("fs", fs);
					put_value("vector", vector);
					put_char('\n');
				}
			}
	table_line("", &t);
}

#ifdef __x86_64__
/* Ring 3 may run and use all of the image. */
static void open_image(void)
{
	for (u64 at = 0; at < 0x800000; at += 0x200000)
		*pte_of(at, 2) |= PTE_U;
	WRITE_CR(3, READ_CR(3));
}
#endif

void kmain(void)
{
	rings_init();
#ifdef __x86_64__
	open_image();
#endif
	every_descriptor();
#ifdef __x86_64__
	upper_halves();
#endif
	selectors();
	dropped();
	null_rpl();
}
