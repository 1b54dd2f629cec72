/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Virtual-8086 mode with and without CR4.VME, and CR4.PVI (SDM 3B chapter 20): CLI, STI, PUSHF, POPF, IRET and INT under every
 * IOPL, VIF and VIP; ports; what traps; frames of interrupts. */
#include "tests/guest/lib/sys.h"

#define FLAG_IOPL 0x3000
#define FLAG_VM   BIT(17)
#define FLAG_VIF  BIT(19)
#define FLAG_VIP  BIT(20)

#define CODE_SEG  0x800 /* code at 8000h */
#define STACK_SEG 0x700
#define STACK_SP  0x800
#define STACK     ((u16 *)(STACK_SEG * 16 + STACK_SP))

struct vm_entry {
	u32 ip, cs, flags, sp, ss, es, ds, fs, gs, ax, bx, cx, dx;
};
void vm_enter(struct vm_entry *e);
asm(".text\n"
    "vm_enter: mov 4(%esp), %esi\n"
    "  push 32(%esi); push 28(%esi); push 24(%esi); push 20(%esi); push 16(%esi); push 12(%esi); push 8(%esi)\n"
    "  push 4(%esi); push (%esi); mov 36(%esi), %eax; mov 40(%esi), %ebx; mov 44(%esi), %ecx; mov 48(%esi), %edx; "
    "iret\n");

static struct {
	struct tss t;
	u8 redirect[32];
	u8 ports[0x100];
	u8 end;
} __attribute__((packed)) big_tss;

static struct vm_entry entry;

static void body(void)
{
	vm_enter(&entry);
}

/* Runs @code in virtual-8086 mode until it traps; ends by HLT, which is #GP(0). The vector. */
static unsigned vm_run(const void *code, unsigned len, u32 flags)
{
	static const u8 hlt = 0xf4;

	memcpy((void *)(CODE_SEG * 16), code, len);
	memcpy((void *)(CODE_SEG * 16 + len), &hlt, 1);
	entry = (struct vm_entry){
	    .cs = CODE_SEG,
	    .flags = flags | FLAG_VM | 2,
	    .sp = STACK_SP,
	    .ss = STACK_SEG,
	    .es = 0x1111,
	    .ds = 0x2222,
	    .fs = 0x3333,
	    .gs = 0x4444,
	    .ax = entry.ax,
	    .bx = entry.bx,
	    .cx = entry.cx,
	    .dx = entry.dx,
	};
	return try_call(body) ? trap.frame.vector : 0;
}

/* Whether the run ended at the HLT behind @len bytes. */
static bool at_hlt(unsigned len)
{
	return trap.frame.vector == VEC_GP && trap.frame.error == 0 && trap.frame.ip == len &&
	       trap.frame.cs == CODE_SEG;
}

/* Whether it ended with #GP(0) at the instruction at @at. */
static bool gp_at(unsigned at)
{
	return trap.frame.vector == VEC_GP && trap.frame.error == 0 && trap.frame.ip == at && trap.frame.cs == CODE_SEG;
}

static void note(u32 flags, u32 image)
{
	put_value("flags", flags);
	put_value("image", image);
	put_value("vme", READ_CR(4) & 3);
	put_value("vector", trap.frame.vector);
	put_value("ip", trap.frame.ip);
	put_value("then", trap.frame.flags);
	put_value("sp", trap.frame.sp);
	put_value("top", *(u32 *)(STACK - 2));
	put_char('\n');
}

#define WATCHED (FLAG_IF | FLAG_IOPL | FLAG_VIF | FLAG_VIP | FLAG_VM | FLAG_CF | FLAG_NT | FLAG_TF)

/* What the flags are after each, and whether it is refused; the manual's tables for CLI, STI, PUSHF, POPF, IRET. */
struct result {
	bool gp;
	u32 flags, pushed;
};

static struct result rule_cli(u32 f, bool vme)
{
	bool full = (f & FLAG_IOPL) == FLAG_IOPL;

	return (struct result){.gp = !full && !vme, .flags = f & ~(full ? FLAG_IF : FLAG_VIF)};
}

static struct result rule_sti(u32 f, bool vme)
{
	bool full = (f & FLAG_IOPL) == FLAG_IOPL;

	return (struct result){.gp = !full && (!vme || f & FLAG_VIP), .flags = f | (full ? FLAG_IF : FLAG_VIF)};
}

static struct result rule_pushf(u32 f, bool vme, bool wide)
{
	bool full = (f & FLAG_IOPL) == FLAG_IOPL;
	u32 pushed = f & ~FLAG_VM;

	if (!full)
		pushed = (f & ~FLAG_IF) | FLAG_IOPL | (f & FLAG_VIF ? FLAG_IF : 0);
	return (struct result){.gp = !full && (!vme || wide), .flags = f, .pushed = wide ? pushed : (u16)pushed};
}

static struct result rule_popf(u32 f, u32 image, bool vme, bool wide)
{
	bool full = (f & FLAG_IOPL) == FLAG_IOPL;
	u32 keep = FLAG_IOPL | FLAG_VM | FLAG_VIF | FLAG_VIP, got;

	if (!full && (!vme || wide || (image & FLAG_IF && f & FLAG_VIP) || image & FLAG_TF))
		return (struct result){.gp = true};
	if (!full)
		keep |= FLAG_IF;
	if (!wide)
		keep |= 0xffff0000;
	got = (f & keep) | (image & ~keep);
	if (!full)
		got = (got & ~FLAG_VIF) | (image & FLAG_IF ? FLAG_VIF : 0);
	return (struct result){.flags = got};
}

static bool flags_are(u32 want)
{
	return !((trap.frame.flags ^ want) & WATCHED);
}

/* VIF and VIP both set are #GP(0) at the beginning of any instruction, where they count (20.3.2). */
static bool pending(u32 f, bool vme)
{
	return vme && (f & FLAG_IOPL) != FLAG_IOPL && (f & FLAG_VIF) && (f & FLAG_VIP);
}

static void set_vme(bool vme)
{
	WRITE_CR(4, (READ_CR(4) & ~BIT(0)) | vme);
}

static void simple(struct table *t, u8 opcode, struct result want, u32 f)
{
	want.gp |= pending(f, READ_CR(4) & 1);
	vm_run(&opcode, 1, f);
	if (table_case(t, want.gp ? gp_at(0) && flags_are(f | FLAG_VM) : at_hlt(1) && flags_are(want.flags)))
		note(f, 0);
}

static void pushf(struct table *t, struct result want, u32 f, bool wide)
{
	static const u8 code[] = {0x66, 0x9c};
	const u8 *at = wide ? code : code + 1;
	unsigned len = wide ? 2 : 1, size = wide ? 4 : 2;
	u32 mask = wide ? ~0u : 0xffff;
	bool good;

	want.gp |= pending(f, READ_CR(4) & 1);
	*(u32 *)(STACK - 2) = 0;
	vm_run(at, len, f);
	if (want.gp)
		good = gp_at(0) && trap.frame.sp == STACK_SP;
	else
		good = at_hlt(len) && trap.frame.sp == STACK_SP - size &&
		       ((wide ? *(u32 *)(STACK - 2) : STACK[-1]) & mask & (WATCHED | BIT(16))) ==
			   (want.pushed & WATCHED);
	if (table_case(t, good))
		note(f, 0);
}

static void popf(struct table *t, struct result want, u32 f, u32 image, bool wide, bool iret)
{
	static const u8 popf32[] = {0x66, 0x9d}, popf16[] = {0x9d}, iret32[] = {0x66, 0xcf}, iret16[] = {0xcf};
	const u8 *at = iret ? (wide ? iret32 : iret16) : wide ? popf32 : popf16;
	unsigned len = wide ? 2 : 1, size = (iret ? 3 : 1) * (wide ? 4 : 2), back = iret ? 0x40 : len;
	bool good;

	want.gp |= pending(f, READ_CR(4) & 1);
	((u8 *)(CODE_SEG * 16))[0x40] = 0xf4;
	if (wide) {
		u32 *top = (u32 *)STACK;

		top[0] = iret ? 0x40 : image;
		top[1] = CODE_SEG;
		top[2] = image;
	} else {
		STACK[0] = iret ? 0x40 : image;
		STACK[1] = CODE_SEG;
		STACK[2] = image;
	}
	vm_run(at, len, f);
	if (want.gp)
		good = gp_at(0) && trap.frame.sp == STACK_SP && flags_are(f | FLAG_VM);
	else if (image & FLAG_TF) /* the instruction behind it is the HLT, a fault: no single step */
		good = at_hlt(back) && (trap.frame.flags & FLAG_TF);
	else
		good = at_hlt(back) && trap.frame.sp == STACK_SP + size && flags_are(want.flags);
	if (table_case(t, good))
		note(f, image);
}

static u32 flags_of(unsigned n)
{
	return (n & 3) << 12 | (n & 4 ? FLAG_IF : 0) | (n & 8 ? FLAG_VIF : 0) | (n & 16 ? FLAG_VIP : 0) |
	       (n & 32 ? FLAG_CF : 0) | FLAG_VM | 2;
}

static u32 image_of(unsigned n)
{
	return (n & 1 ? FLAG_IF : 0) | (n & 2 ? FLAG_TF : 0) | (n & 4 ? FLAG_CF | FLAG_NT : 0) |
	       (n & 8 ? FLAG_IOPL : 0) | (n & 16 ? FLAG_VIF | FLAG_VIP | FLAG_VM : 0) | 2;
}

static void flag_instructions(bool vme)
{
	struct table cli = {.name = "CLI"}, sti = {.name = "STI"}, push16 = {.name = "PUSHF"},
		     push32 = {.name = "PUSHFD"}, pop16 = {.name = "POPF"}, pop32 = {.name = "POPFD"},
		     iret16 = {.name = "IRET"}, iret32 = {.name = "IRETD"};
	const char *prefix = vme ? "VME: " : "without VME: ";

	set_vme(vme);
	for (unsigned n = 0; n < 64; n++) {
		u32 f = flags_of(n);

		simple(&cli, 0xfa, rule_cli(f, vme), f);
		simple(&sti, 0xfb, rule_sti(f, vme), f);
		pushf(&push16, rule_pushf(f, vme, false), f, false);
		pushf(&push32, rule_pushf(f, vme, true), f, true);
		for (unsigned k = 0; k < 32; k++) {
			u32 image = image_of(k);

			if (k < 16) {
				popf(&pop16, rule_popf(f, image, vme, false), f, image, false, false);
				popf(&iret16, rule_popf(f, image, vme, false), f, image, false, true);
			}
			popf(&pop32, rule_popf(f, image, vme, true), f, image, true, false);
			popf(&iret32, rule_popf(f, image, vme, true), f, image, true, true);
		}
	}
	table_line(prefix, &cli);
	table_line(prefix, &sti);
	table_line(prefix, &push16);
	table_line(prefix, &push32);
	table_line(prefix, &pop16);
	table_line(prefix, &pop32);
	table_line(prefix, &iret16);
	table_line(prefix, &iret32);
}

/* INT n by IOPL, VME and the redirection bitmap. The 8086 handler for 85h is at 900h:20h. */
static void interrupts(bool vme)
{
	struct table t = {.name = "INT n by IOPL and redirection bitmap"}, dpl = {.name = "INT n, DPL of the gate"};
	static const u8 code[] = {0xcd, 0x85};

	set_vme(vme);
	*(u32 *)(0x85 * 4) = 0x09000020;
	*(u8 *)0x9020 = 0xf4;
	for (unsigned n = 0; n < 64; n++)
		for (unsigned bit = 0; bit < 2; bit++) {
			u32 f = flags_of(n);
			bool full = (f & FLAG_IOPL) == FLAG_IOPL, good;
			u32 pushed = full ? (u16)f : (u16)((f & ~FLAG_IF) | FLAG_IOPL | (f & FLAG_VIF ? FLAG_IF : 0));

			memset(big_tss.redirect, bit ? 0 : 0xff, 32);
			big_tss.redirect[0x85 / 8] = bit << (0x85 % 8) | (bit ? 0 : 0xff & ~(1 << (0x85 % 8)));
			idt_dpl(0x85, 3);
			vm_run(code, 2, f);
			if (pending(f, vme))
				good = gp_at(0) && trap.frame.sp == STACK_SP;
			else if (vme && !bit)
				good = trap.frame.vector == VEC_GP && trap.frame.cs == 0x900 && trap.frame.ip == 0x20 &&
				       trap.frame.sp == STACK_SP - 6 && STACK[-1] == pushed && STACK[-2] == CODE_SEG &&
				       STACK[-3] == 2 && flags_are(f & ~(full ? FLAG_IF : FLAG_VIF));
			else if (full)
				good = trap.frame.vector == 0x85 && trap.frame.cs == CODE_SEG && trap.frame.ip == 2 &&
				       flags_are(f);
			else
				good = gp_at(0) && trap.frame.sp == STACK_SP;
			if (table_case(&t, good))
				note(f, bit);
		}
	memset(big_tss.redirect, 0xff, 32);
	for (unsigned d = 0; d < 4; d++) {
		idt_dpl(0x85, d);
		vm_run(code, 2, FLAG_IOPL);
		if (table_case(&dpl, d == 3 ? trap.frame.vector == 0x85
					    : trap.frame.vector == VEC_GP && trap.frame.error == 0x85 * 8 + 2))
			note(FLAG_IOPL, d);
	}
	table_line(vme ? "VME: " : "without VME: ", &t);
	table_line(vme ? "VME: " : "without VME: ", &dpl);
}

/* INT3 and INTO go through the IDT whatever IOPL and VME. */
static void breakpoints(void)
{
	static struct table t = {.name = "INT3 and INTO: through the IDT under every IOPL"};
	static const u8 int3[] = {0xcc}, into[] = {0xb0, 0x7f, 0x04, 0x7f, 0xce};

	memset(big_tss.redirect, 0, 32);
	for (unsigned vme = 0; vme < 2; vme++)
		for (unsigned iopl = 0; iopl < 4; iopl++)
			for (unsigned d = 0; d < 4; d += 3) {
				set_vme(vme);
				idt_dpl(VEC_BP, d);
				idt_dpl(VEC_OF, d);
				vm_run(int3, 1, iopl << 12);
				if (table_case(&t, d ? trap.frame.vector == VEC_BP && trap.frame.ip == 1
						     : trap.frame.vector == VEC_GP && trap.frame.error == 3 * 8 + 2))
					note(iopl << 12, d);
				vm_run(into, 5, iopl << 12);
				if (table_case(&t, d ? trap.frame.vector == VEC_OF && trap.frame.ip == 5
						     : trap.frame.vector == VEC_GP && trap.frame.error == 4 * 8 + 2))
					note(iopl << 12, d);
			}
	idt_dpl(VEC_BP, 0);
	idt_dpl(VEC_OF, 0);
	table_line("", &t);
}

static void instructions(void)
{
	static const struct {
		const char *name;
		u8 len, code[6], vector;
	} list[] = {
	    {"HLT", 1, {0xf4}, VEC_GP},
	    {"CLTS", 2, {0x0f, 0x06}, VEC_GP},
	    {"MOV from CR0", 3, {0x0f, 0x20, 0xc0}, VEC_GP},
	    {"MOV to CR0", 3, {0x0f, 0x22, 0xc0}, VEC_GP},
	    {"MOV from DR7", 3, {0x0f, 0x21, 0xf8}, VEC_GP},
	    {"MOV to DR7", 3, {0x0f, 0x23, 0xf8}, VEC_GP},
	    {"LGDT", 4, {0x0f, 0x01, 0x17}, VEC_GP},
	    {"LIDT", 4, {0x0f, 0x01, 0x1f}, VEC_GP},
	    {"LMSW", 3, {0x0f, 0x01, 0xf0}, VEC_GP},
	    {"INVLPG", 3, {0x0f, 0x01, 0x3f}, VEC_GP},
	    {"WBINVD", 2, {0x0f, 0x09}, VEC_GP},
	    {"RDMSR", 2, {0x0f, 0x32}, VEC_GP},
	    {"WRMSR", 2, {0x0f, 0x30}, VEC_GP},
	    {"SYSEXIT", 2, {0x0f, 0x35}, VEC_GP},
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
	};
	static struct table t = {.name = "privileged instructions: #GP(0); those of protected mode alone: #UD"};

	wrmsr(0x174, 8);
	for (unsigned iopl = 0; iopl < 4; iopl += 3)
		for (unsigned n = 0; n < ARRAY_SIZE(list); n++) {
			vm_run(list[n].code, list[n].len, iopl << 12);
			if (table_case(&t, trap.frame.vector == list[n].vector && trap.frame.ip == 0 &&
					       trap.frame.error == 0)) {
				put_string(list[n].name);
				note(iopl << 12, 0);
			}
		}
	table_line("", &t);
	claim("SMSW is allowed", vm_run((const u8[]){0x0f, 0x01, 0xe0}, 3, 0) == VEC_GP && at_hlt(3));
	claim("MOV to segment registers: base is 16 times the selector",
	      vm_run((const u8[]){0xb8, 0x00, 0x08, 0x8e, 0xd8, 0xa0, 0x00, 0x00}, 8, 0) == VEC_GP && at_hlt(8) &&
		  (trap.frame.ax & 0xff) == 0xb8);
	claim("offsets beyond FFFFh: #GP(0)",
	      vm_run((const u8[]){0x67, 0x66, 0xa1, 0xfd, 0xff, 0, 0}, 7, 0) == VEC_GP && gp_at(0));
	/* SYSENTER works from here (SDM 2B: PE = 1 is enough). */
	void vm_sysenter(void);
	asm(".pushsection .text.stubs, \"ax\"; vm_sysenter: int $0x80; .popsection");
	wrmsr(0x175, (u32)stack_ist[0] + 4096);
	wrmsr(0x176, (u32)vm_sysenter);
	claim("SYSENTER leaves virtual-8086 mode", vm_run((const u8[]){0x0f, 0x34}, 2, 0) == VEC_DONE &&
						       trap.frame.cs == 8 && !(trap.frame.flags & FLAG_VM));
}

static void frames(void)
{
	const u32 *above;
	static struct table t = {.name = "the handler's code must be of ring 0: #GP(selector)"};

	entry.ax = 0x12345678;
	vm_run((const u8[]){0x90}, 1, FLAG_CF);
	above = (const u32 *)((u32)trap.handler_sp + sizeof(struct frame));
	claim("the frame: ES, DS, FS, GS above SS",
	      above[0] == 0x1111 && above[1] == 0x2222 && above[2] == 0x3333 && above[3] == 0x4444);
	claim("the frame: SS, ESP, EFLAGS with VM",
	      trap.frame.ss == STACK_SEG && trap.frame.sp == STACK_SP &&
		  (trap.frame.flags & (FLAG_VM | FLAG_CF)) == (FLAG_VM | FLAG_CF));
	claim("the stack is ring 0's, VM is clear in the handler",
	      (u32)above + 16 == tss.esp0 && !(trap.handler_flags & FLAG_VM));
	for (unsigned dpl = 0; dpl < 4; dpl++)
		for (unsigned type = 10; type < 16; type += 4) {
			unsigned want = dpl ? VEC_GP : 0x85;

			gdt[SEL_SYS / 8 + 2] = DESC(0, 0xfffff, 0x91 | dpl << 5 | type, 0xc);
			/* In conforming code the CPL would stay 3. */
			if (type == 14)
				want = VEC_GP;
			extern char trap_stubs[];
			idt_set(0x85, trap_stubs + 16 * 0x85, SEL_SYS + 16, 14, 3, 0);
			set_vme(false);
			vm_run((const u8[]){0xcd, 0x85}, 2, FLAG_IOPL);
			if (table_case(&t, trap.frame.vector == want &&
					       (want != VEC_GP || trap.frame.error == SEL_SYS + 16)))
				note(dpl, type);
		}
	table_line("", &t);
	/* IRET to an EIP beyond FFFFh. */
	entry.ip = 0x10000;
	void far_entry(void)
	{
		entry.ip = 0x10000;
		vm_enter(&entry);
	}
	claim_trap("IRET to it with EIP above FFFFh: #GP(0)", VEC_GP, 0, far_entry);
	claim("before it is entered", !(trap.frame.flags & FLAG_VM) && trap.frame.cs == SEL_KCODE);
}

/* The permission bitmap counts whatever IOPL. */
static void ports(void)
{
	static struct table t = {.name = "IN and OUT: the bitmap alone decides, under every IOPL"};
	static const u8 in8[] = {0xec}, in16[] = {0xed}, in32[] = {0x66, 0xed}, out8[] = {0xee};
	static const struct {
		const u8 *code;
		u8 len, size;
	} list[] = {{in8, 1, 1}, {in16, 1, 2}, {in32, 2, 4}, {out8, 1, 1}};

	for (unsigned iopl = 0; iopl < 4; iopl++)
		for (unsigned n = 0; n < ARRAY_SIZE(list); n++)
			for (unsigned port = 0x84; port < 0x8c; port++)
				for (unsigned bit = 0x80; bit < 0x90; bit++) {
					bool good = bit < port || bit >= port + list[n].size;

					memset(big_tss.ports, 0, sizeof(big_tss.ports));
					big_tss.ports[bit / 8] |= 1 << bit % 8;
					entry.dx = port;
					vm_run(list[n].code, list[n].len, iopl << 12);
					if (table_case(&t, good ? at_hlt(list[n].len) : gp_at(0)))
						note(port, bit);
				}
	table_line("", &t);
}

/* CR4.PVI: CLI and STI in ring 3 of protected mode. */
static void pvi(void)
{
	static struct table t = {.name = "PVI: CLI and STI in every ring, under every IOPL, VIF, VIP"};
	static const u8 cli[] = {0xfa, 0xcd, VEC_DONE}, sti[] = {0xfb, 0xcd, VEC_DONE};

	for (unsigned on = 0; on < 2; on++) {
		WRITE_CR(4, (READ_CR(4) & ~BIT(1)) | on << 1);
		for (unsigned ring = 0; ring < 4; ring++)
			for (unsigned n = 0; n < 64; n++)
				for (unsigned set = 0; set < 2; set++) {
					u32 f = flags_of(n) & ~FLAG_VM;
					bool full = ring <= (f >> 12 & 3), virtual = !full && on && ring == 3, good;
					u32 bit = full ? FLAG_IF : FLAG_VIF, want = set ? f | bit : f & ~bit;
					bool gp = !full && (!virtual || (f & FLAG_VIP && (set || f & FLAG_VIF)));
					unsigned vector = ring_call(ring, set ? sti : cli, f, 0, 0);

					good = gp ? vector == VEC_GP && trap.frame.error == 0
						  : vector == VEC_DONE && flags_are(want);
					if (table_case(&t, good)) {
						put_value("ring", ring);
						put_value("set", set);
						note(f, want);
					}
				}
	}
	WRITE_CR(4, READ_CR(4) & ~BIT(1));
	table_line("", &t);
}

void kmain(void)
{
	rings_init();
	big_tss.t = tss;
	big_tss.t.iomap = __builtin_offsetof(typeof(big_tss), ports);
	big_tss.end = 0xff;
	gdt[SEL_SYS / 8] = DESC(&big_tss, sizeof(big_tss) - 1, 0x89, 0);
	ltr(SEL_SYS);
	idt_dpl(VEC_DONE, 3);
	flag_instructions(false);
	interrupts(false);
	if (HAS_VME) {
		flag_instructions(true);
		interrupts(true);
		set_vme(false);
		pvi();
	} else {
		skip("VME and PVI", "not in CPUID");
	}
	breakpoints();
	set_vme(false);
	instructions();
	frames();
	ports();
}
