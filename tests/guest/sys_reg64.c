/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Control registers and MSRs bit by bit (SDM 3A 2.5, SDM 4): what may be set, what is #GP(0); what CPUID says of them;
 * who may use them: privileged instructions from every ring, UMIP, TSD. */
#include "tests/guest/lib/sys.h"

#define EFER 0xc0000080

#define STUB(name, text)                                                                      \
	asm(".pushsection .text.stubs, \"ax\"; " #name ": " text "; int $0x80; .popsection"); \
	extern const u8 name[]

/* Writes RAX, reads back into RCX, puts RBX back. */
STUB(r_cr0, "mov %rax, %cr0; mov %cr0, %rcx; mov %rbx, %cr0");
STUB(r_cr3, "mov %rax, %cr3; mov %cr3, %rcx; mov %rbx, %cr3");
STUB(r_cr4, "mov %rax, %cr4; mov %cr4, %rcx; mov %rbx, %cr4");
STUB(r_cr8, "mov %rax, %cr8; mov %cr8, %rcx; mov %rbx, %cr8");
/* ECX = MSR: writes RAX, reads back into RDI, puts RBX back. */
STUB(r_msr, "mov %rax, %rdx; shr $32, %rdx; wrmsr; rdmsr; shl $32, %rdx; mov %eax, %edi; or %rdx, %rdi;"
	    "mov %ebx, %eax; mov %rbx, %rdx; shr $32, %rdx; wrmsr");
STUB(r_rdmsr, "rdmsr");
STUB(r_xcr0, "mov %rax, %rdx; shr $32, %rdx; xsetbv; mov %ebx, %eax; xor %edx, %edx; xor %ecx, %ecx; xsetbv");

static void note(const char *what, u64 v, unsigned vector)
{
	put_value(what, v);
	put_value("vector", vector);
	put_value("error", trap.frame.error);
	put_value("rcx", trap.frame.cx);
	put_value("rdi", trap.frame.di);
	put_char('\n');
}

static unsigned write_cr(const u8 *code, u64 value, u64 old)
{
	struct ring_entry e = ring_entry(0, code, 0, value, 0);

	e.bx = old;
	return ring_run(&e);
}

/* --- control registers --- */

static void cr0(void)
{
	static struct table t = {.name = "CR0, every bit and pair turned round: taken, ignored or #GP(0)"};
	static struct table leave = {.name = "CR0.PE and PG can't be cleared in 64-bit mode: #GP(0)"};
	u64 old = READ_CR(0) & ~(BIT(29) | BIT(30)), defined = 0xe005003f;

	WRITE_CR(0, old);
	for (unsigned a = 0; a < 64; a++)
		for (unsigned b = a; b < 64; b++) {
			u64 value = old ^ BIT(a) ^ (a == b ? 0 : BIT(b));
			bool gp = value >> 32 || !(value & BIT(31)) || !(value & 1) ||
				  ((value & BIT(29)) && !(value & BIT(30)));
			bool leaves = !(value & BIT(31)) || !(value & 1);
			unsigned vector;

			if (leaves && under_tcg())
				continue; /* it does leave */
			vector = write_cr(r_cr0, value, old);
			bool good = gp ? vector == VEC_GP && trap.frame.error == 0
				       : vector == VEC_DONE && trap.frame.cx == ((value & defined) | BIT(4));

			if (table_case(leaves ? &leave : &t, good))
				note("value", value, vector);
		}
	table_line("", &t);
	table_line("", &leave);
	if (under_tcg())
		skip(leave.name, "TCG leaves 64-bit mode");
}

static u64 cr4_bits(void)
{
	u64 bits = 0x7ff; /* VME to OSXMMEXCPT: every processor of this century */

	bits |= has_feature(7, 2, 2) ? BIT(11) : 0;
	bits |= has_feature(1, 2, 5) ? BIT(13) : 0;
	bits |= has_feature(1, 2, 6) ? BIT(14) : 0;
	bits |= has_feature(7, 1, 0) ? BIT(16) : 0;
	bits |= has_feature(1, 2, 17) ? BIT(17) : 0;
	bits |= has_feature(1, 2, 26) ? BIT(18) : 0;
	bits |= has_feature(7, 2, 23) ? BIT(19) : 0;
	bits |= has_feature(7, 1, 7) ? BIT(20) : 0;
	bits |= has_feature(7, 1, 20) ? BIT(21) : 0;
	bits |= has_feature(7, 2, 3) ? BIT(22) : 0;
	bits |= has_feature(7, 2, 7) || has_feature(7, 3, 20) ? BIT(23) : 0;
	bits |= has_feature(7, 2, 31) ? BIT(24) : 0;
	return bits;
}

static void cr4(void)
{
	static struct table t = {.name = "CR4, every bit and pair turned round: #GP(0) where CPUID hasn't the feature"};
	u64 old = READ_CR(4), known = cr4_bits();

	for (unsigned a = 0; a < 64; a++)
		for (unsigned b = a; b < 64; b++) {
			u64 value = old ^ BIT(a) ^ (a == b ? 0 : BIT(b));
			/* PAE can't go, LA57 can't come in long mode; CET asks for CR0.WP, which is set. */
			bool gp = (value & ~known) || !(value & BIT(5));
			unsigned vector;

			if (under_tcg() && gp)
				continue; /* takes them, and hangs */
			vector = write_cr(r_cr4, value, old);
			bool good = gp ? vector == VEC_GP && trap.frame.error == 0
				       : vector == VEC_DONE && trap.frame.cx == value;

			if (table_case(&t, good))
				note("value", value, vector);
		}
	table_line("", &t);
	if (under_tcg())
		skip("CR4: what is #GP(0)", "TCG takes it, and hangs");

	/* OSXSAVE shows in CPUID. */
	if (known & BIT(18)) {
		WRITE_CR(4, old | BIT(18));
		bool with = has_feature(1, 2, 27);
		WRITE_CR(4, old & ~BIT(18));
		claim("CPUID.OSXSAVE is CR4's", with && !has_feature(1, 2, 27));
	}
	if (known & BIT(17)) {
		WRITE_CR(3, READ_CR(3) | 8);
		claim("PCIDE with CR3 bits 11:0 set: #GP(0)", write_cr(r_cr4, old | BIT(17), old) == VEC_GP);
		WRITE_CR(3, READ_CR(3) & ~8ull);
		WRITE_CR(4, old | BIT(17));
		u64 cr3 = READ_CR(3);
		claim("PCIDE: CR3 bit 63 is taken, and not kept",
		      write_cr(r_cr3, cr3 | BIT(63), cr3) == VEC_DONE && trap.frame.cx == cr3);
		claim("PCIDE: a PCID is kept",
		      write_cr(r_cr3, cr3 | 0xabc, cr3) == VEC_DONE && trap.frame.cx == (cr3 | 0xabc));
		claim("PCIDE: CR0.PG can't be cleared: #GP(0)",
		      write_cr(r_cr0, READ_CR(0) & ~BIT(31), READ_CR(0)) == VEC_GP);
		WRITE_CR(4, old);
	} else {
		skip("PCIDE", "not in CPUID");
	}
}

static void cr3_cr8(void)
{
	static struct table t3 = {.name = "CR3: bits from MAXPHYADDR on are #GP(0)"};
	static struct table t8 = {.name = "CR8: bits 63:4 are #GP(0)"};
	u64 old = READ_CR(3);

	for (unsigned bit = 0; bit < 64; bit++) {
		unsigned vector;

		if (bit < 12 || (bit >= phys_bits() && !under_tcg())) {
			vector = write_cr(r_cr3, old ^ BIT(bit), old);
			if (table_case(&t3, vector == (bit < 12 ? VEC_DONE : VEC_GP)))
				note("bit", bit, vector);
		}
		vector = write_cr(r_cr8, BIT(bit), 0);
		if (table_case(&t8, bit < 4 ? vector == VEC_DONE && trap.frame.cx == BIT(bit) : vector == VEC_GP))
			note("bit", bit, vector);
	}
	table_line("", &t3);
	if (under_tcg())
		skip("CR3: what is #GP(0)", "TCG takes it, and hangs");
	table_line("", &t8);
}

/* Numbers that aren't there, in both directions. */
static void numbers(void)
{
	static struct table t = {.name = "MOV to and from CRn and DRn: #UD for those that aren't there"};
	static u8 code[16] __attribute__((aligned(16)));

	for (unsigned dr = 0; dr < 2; dr++)
		for (unsigned n = 0; n < 16; n++)
			for (unsigned write = 0; write < 2; write++) {
				bool there = dr ? n < 8 : n == 0 || n == 2 || n == 3 || n == 4 || n == 8;
				u8 rex = n & 8 ? 0x44 : 0x40;
				unsigned vector;

				if (there && write)
					continue;
				memcpy(code, (u8[]){rex, 0x0f, 0x20 + dr + 2 * write, 0xc0 | (n & 7) << 3, 0xcd, 0x80},
				       6);
				vector = ring_call(0, code, 0, 0, 0);
				if (table_case(&t, vector == (there ? VEC_DONE : VEC_UD))) {
					put_value(dr ? "dr" : "cr", n);
					note("write", write, vector);
				}
			}
	table_line("", &t);
	/* mod is ignored: always registers. */
	memcpy(code, (u8[]){0x0f, 0x20, 0x00, 0xcd, 0x80}, 5);
	claim("MOV from CR0 with mod 0 is the register form",
	      ring_call(0, code, 0, 0, 0) == VEC_DONE && trap.frame.ax == READ_CR(0));
	STUB(r_lmsw, "mov %cr0, %rbx; mov $0xe, %eax; lmsw %ax; mov %cr0, %rcx; mov %rbx, %cr0");
	ring_call(0, r_lmsw, 0, 0, 0);
	claim("LMSW sets MP, EM, TS and can't clear PE", (trap.frame.cx & 15) == 15);
	STUB(r_smsw, "mov $-1, %rax; smsw %rax; mov %cr0, %rbx");
	ring_call(0, r_smsw, 0, 0, 0);
	claim("SMSW to 64 bits gives CR0", trap.frame.ax == trap.frame.bx);
}

/* --- MSRs --- */

static unsigned write_msr(u32 msr, u64 value, u64 old)
{
	struct ring_entry e = ring_entry(0, r_msr, 0, value, 0);

	e.bx = old;
	e.cx = msr;
	return ring_run(&e);
}

static void efer(void)
{
	static struct table t = {.name =
				     "EFER: SCE and NXE are taken, LME can't change under paging, the rest is #GP(0)"};
	u64 old = rdmsr(EFER);

	for (unsigned bit = 0; bit < 64; bit++) {
		u64 value = old ^ BIT(bit);
		unsigned vector;
		bool good;

		if (bit == 10 || (bit == 12 && has_feature(0x80000001, 2, 2)) ||
		    (bit == 14 && has_feature(0x80000001, 3, 25)) || bit == 13 || bit == 15 || bit == 18 || bit == 20 ||
		    bit == 21)
			continue; /* LMA is left to each; AMD's */
		vector = write_msr(EFER, value, old);
		good = bit == 0 || bit == 11 ? vector == VEC_DONE && trap.frame.di == value : vector == VEC_GP;
		if (table_case(&t, good))
			note("bit", bit, vector);
	}
	table_line("", &t);
}

static bool canonical(u64 v)
{
	return (u64)((s64)(v << 16) >> 16) == v;
}

static void addresses(void)
{
	static const struct {
		u32 msr;
		const char *name;
	} list[] = {
	    {0x175, "SYSENTER_ESP: #GP(0) unless canonical"},       {0x176, "SYSENTER_EIP: #GP(0) unless canonical"},
	    {0xc0000082, "LSTAR: #GP(0) unless canonical"},         {0xc0000083, "CSTAR: #GP(0) unless canonical"},
	    {0xc0000100, "FS_BASE: #GP(0) unless canonical"},       {0xc0000101, "GS_BASE: #GP(0) unless canonical"},
	    {0xc0000102, "KERNEL_GS_BASE: #GP(0) unless canonical"}};

	for (unsigned n = 0; n < ARRAY_SIZE(list); n++) {
		struct table t = {.name = list[n].name};
		u64 old = rdmsr(list[n].msr);

		for (unsigned k = 0; k < 256; k++) {
			u64 value = k < 64    ? BIT(k)
				    : k < 128 ? ~0ull << (k - 64)
				    : k < 192 ? BIT(k - 128) - 1
					      : ~BIT(k - 192);
			unsigned vector = write_msr(list[n].msr, value, old);
			bool good = canonical(value) ? vector == VEC_DONE && trap.frame.di == value : vector == VEC_GP;

			if (table_case(&t, good))
				note("value", value, vector);
		}
		table_line("", &t);
	}
}

static void plain(void)
{
	static struct table star = {.name = "STAR takes every bit"}, aux = {.name = "TSC_AUX: bits 63:32 are #GP(0)"};
	static struct table base = {.name = "APIC_BASE: reserved bits are #GP(0)"};
	u64 old_star = rdmsr(0xc0000081), old_aux = rdmsr(0xc0000103), old_base = rdmsr(0x1b);

	for (unsigned bit = 0; bit < 64; bit++) {
		unsigned vector = write_msr(0xc0000081, BIT(bit), old_star);

		if (table_case(&star, vector == VEC_DONE && trap.frame.di == BIT(bit)))
			note("bit", bit, vector);
		vector = write_msr(0xc0000103, BIT(bit), old_aux);
		if (table_case(&aux, bit < 32 ? vector == VEC_DONE && trap.frame.di == BIT(bit) : vector == VEC_GP))
			note("bit", bit, vector);
		if (bit < 8 || bit == 9 || bit >= phys_bits()) {
			vector = write_msr(0x1b, old_base | BIT(bit), old_base);
			if (table_case(&base, vector == VEC_GP))
				note("bit", bit, vector);
		}
	}
	table_line("", &star);
	table_line("", &aux);
	table_line("", &base);
}

static bool memory_type(unsigned v)
{
	return v == 0 || v == 1 || v == 4 || v == 5 || v == 6;
}

static void types(void)
{
	static struct table pat = {.name = "PAT: every type in every entry"};
	static struct table fixed = {.name = "fixed-range MTRRs: every type in every byte"};
	static struct table def = {.name = "MTRR_DEF_TYPE: every type and bit"};
	static struct table range = {.name = "variable-range MTRRs: every type and bit"};
	static const u16 list[] = {0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f};
	u64 old = rdmsr(0x277), old_def;
	unsigned vector;

	for (unsigned byte = 0; byte < 8; byte++)
		for (unsigned type = 0; type < 256; type++) {
			u64 value = (old & ~(0xffull << 8 * byte)) | (u64)type << 8 * byte;

			vector = write_msr(0x277, value, old);
			if (table_case(&pat, vector == (memory_type(type) || type == 7 ? VEC_DONE : VEC_GP)))
				note("value", value, vector);
			for (unsigned n = 0; n < ARRAY_SIZE(list); n++) {
				u64 was = rdmsr(list[n]);

				value = (was & ~(0xffull << 8 * byte)) | (u64)type << 8 * byte;
				vector = write_msr(list[n], value, was);
				if (table_case(&fixed, memory_type(type) ? vector == VEC_DONE && trap.frame.di == value
									 : vector == VEC_GP))
					note("value", value, vector);
			}
		}
	table_line("", &pat);
	table_line("", &fixed);

	old_def = rdmsr(0x2ff);
	for (unsigned type = 0; type < 256; type++) {
		u64 value = (old_def & ~0xffull) | type;

		vector = write_msr(0x2ff, value, old_def);
		if (table_case(&def, vector == (memory_type(type) ? VEC_DONE : VEC_GP)))
			note("value", value, vector);
	}
	for (unsigned bit = 8; bit < 64; bit++) {
		vector = write_msr(0x2ff, old_def ^ BIT(bit), old_def);
		if (table_case(&def, vector == (bit == 10 || bit == 11 ? VEC_DONE : VEC_GP)))
			note("bit", bit, vector);
	}
	table_line("", &def);

	for (u32 msr = 0x200; msr < 0x200 + 2 * (rdmsr(0xfe) & 0xff); msr += 2) {
		u64 was = rdmsr(msr), mask = rdmsr(msr + 1);

		for (unsigned type = 0; type < 256; type++) {
			vector = write_msr(msr, type, was);
			if (table_case(&range, vector == (memory_type(type) ? VEC_DONE : VEC_GP)))
				note("type", type, vector);
		}
		for (unsigned bit = 8; bit < 64; bit++) {
			bool reserved = bit < 12 || bit >= phys_bits();

			vector = write_msr(msr, BIT(bit), was);
			if (table_case(&range, vector == (reserved ? VEC_GP : VEC_DONE)))
				note("base bit", bit, vector);
			reserved = bit < 11 || bit >= phys_bits();
			vector = write_msr(msr + 1, BIT(bit), mask);
			if (table_case(&range, vector == (reserved ? VEC_GP : VEC_DONE)))
				note("mask bit", bit, vector);
		}
	}
	table_line("", &range);
}

static void unknown(void)
{
	static struct table t = {.name = "MSRs 40000000h to 400000FFh, which no processor has: #GP(0)"};

	for (u32 n = 0; n < 256; n++) {
		struct ring_entry e = ring_entry(0, r_rdmsr, 0, 0, 0);
		unsigned vector;

		e.cx = 0x40000000 + n;
		vector = ring_run(&e);
		if (table_case(&t, vector == VEC_GP))
			note("rdmsr", n, vector);
		e.ip = (u64)r_msr;
		vector = ring_run(&e);
		if (table_case(&t, vector == VEC_GP))
			note("wrmsr", n, vector);
	}
	table_line("", &t);
	claim("MTRRCAP is read-only", write_msr(0xfe, rdmsr(0xfe), 0) == VEC_GP);
}

static void xcr0(void)
{
	static struct table t = {.name = "XCR0: bits that CPUID hasn't are #GP(0), bit 0 can't be cleared"};
	u32 r[4];
	u64 known;

	if (!has_feature(1, 2, 26)) {
		skip("XCR0", "not in CPUID");
		return;
	}
	WRITE_CR(4, READ_CR(4) & ~BIT(18));
	claim("XSETBV without CR4.OSXSAVE: #UD", ring_call(0, r_xcr0, 0, 1, 0) == VEC_UD);
	WRITE_CR(4, READ_CR(4) | BIT(18));
	cpuid(13, 0, r);
	known = (u64)r[3] << 32 | r[0];
	for (unsigned bit = 0; bit < 64; bit++) {
		struct ring_entry e = ring_entry(0, r_xcr0, 0, 1 | BIT(bit), 0);
		unsigned vector;

		if (bit > 1 && known >> bit & 1)
			continue; /* AVX and later have rules between them */
		e.ax = bit ? 1 | BIT(bit) : 0;
		e.bx = 1;
		e.cx = 0;
		vector = ring_run(&e);
		if (table_case(&t, vector == (bit == 1 ? VEC_DONE : VEC_GP)))
			note("bit", bit, vector);
		e.ax = 1;
		e.cx = bit + 1;
		vector = ring_run(&e);
		if (table_case(&t, vector == VEC_GP))
			note("index", bit + 1, vector);
	}
	table_line("", &t);
	WRITE_CR(4, READ_CR(4) & ~BIT(18));
}

/* --- who may --- */

static u8 *user_page;

static unsigned in_ring(unsigned ring, const u8 *code, unsigned len)
{
	struct ring_entry e = ring_entry(ring, user_page, 0, 0, 0);

	memcpy(user_page, code, len);
	memcpy(user_page + len, (u8[]){0xcd, 0x80}, 2);
	e.cx = 0x10;
	e.di = (u64)(ring == 3 ? (u8 *)USER_CODE : user_page) + 2048;
	if (ring == 3) {
		e.ip = USER_CODE;
		e.sp = USER_CODE + 4096;
	}
	return ring_run(&e);
}

static void privileged(void)
{
	static const struct {
		const char *name;
		u8 len, code[8];
	} list[] = {
	    {"HLT", 1, {0xf4}},
	    {"CLTS", 2, {0x0f, 0x06}},
	    {"INVD", 2, {0x0f, 0x08}},
	    {"WBINVD", 2, {0x0f, 0x09}},
	    {"RDMSR", 2, {0x0f, 0x32}},
	    {"WRMSR", 2, {0x0f, 0x30}},
	    {"MOV from CR0", 3, {0x0f, 0x20, 0xc0}},
	    {"MOV from CR2", 3, {0x0f, 0x20, 0xd0}},
	    {"MOV from CR3", 3, {0x0f, 0x20, 0xd8}},
	    {"MOV from CR4", 3, {0x0f, 0x20, 0xe0}},
	    {"MOV from CR8", 4, {0x44, 0x0f, 0x20, 0xc0}},
	    {"MOV to CR0", 3, {0x0f, 0x22, 0xc0}},
	    {"MOV to CR2", 3, {0x0f, 0x22, 0xd0}},
	    {"MOV to CR3", 3, {0x0f, 0x22, 0xd8}},
	    {"MOV to CR4", 3, {0x0f, 0x22, 0xe0}},
	    {"MOV to CR8", 4, {0x44, 0x0f, 0x22, 0xc0}},
	    {"MOV from DR0", 3, {0x0f, 0x21, 0xc0}},
	    {"MOV from DR7", 3, {0x0f, 0x21, 0xf8}},
	    {"MOV to DR0", 3, {0x0f, 0x23, 0xc0}},
	    {"MOV to DR7", 3, {0x0f, 0x23, 0xf8}},
	    {"LGDT", 3, {0x0f, 0x01, 0x17}},
	    {"LIDT", 3, {0x0f, 0x01, 0x1f}},
	    {"LMSW", 3, {0x0f, 0x01, 0xf0}},
	    {"LLDT", 3, {0x0f, 0x00, 0xd0}},
	    {"LTR", 3, {0x0f, 0x00, 0xd8}},
	    {"INVLPG", 3, {0x0f, 0x01, 0x3f}},
	    {"SWAPGS", 3, {0x0f, 0x01, 0xf8}},
	    {"SYSRET", 2, {0x0f, 0x07}},
	    {"SYSEXIT", 2, {0x0f, 0x35}},
	    {"IN", 2, {0xe4, 0x80}},
	    {"OUT", 2, {0xe6, 0x80}},
	    {"CLI", 1, {0xfa}},
	    {"STI", 1, {0xfb}},
	};
	static struct table t = {.name = "privileged and IOPL-sensitive instructions in rings 1, 2 and 3: #GP(0)"};

	wrmsr(0x174, 8);
	for (unsigned ring = 1; ring < 4; ring++)
		for (unsigned n = 0; n < ARRAY_SIZE(list); n++) {
			unsigned vector = in_ring(ring, list[n].code, list[n].len);

			if (table_case(&t, vector == VEC_GP && trap.frame.error == 0)) {
				put_string(list[n].name);
				note("ring", ring, vector);
			}
		}
	table_line("", &t);
}

static void umip_and_tsd(void)
{
	static const struct {
		const char *name;
		u8 len, code[4];
	} list[] = {
	    {"SGDT", 3, {0x0f, 0x01, 0x07}}, {"SIDT", 3, {0x0f, 0x01, 0x0f}},
	    {"SLDT", 3, {0x0f, 0x00, 0xc0}}, {"SLDT mem", 3, {0x0f, 0x00, 0x07}},
	    {"STR", 3, {0x0f, 0x00, 0xc8}},  {"STR mem", 3, {0x0f, 0x00, 0x0f}},
	    {"SMSW", 3, {0x0f, 0x01, 0xe0}}, {"SMSW mem", 3, {0x0f, 0x01, 0x27}},
	};
	static struct table t = {.name = "UMIP: SGDT, SIDT, SLDT, STR, SMSW outside of ring 0"};
	static struct table tsd = {.name = "TSD: RDTSC and RDTSCP outside of ring 0"};

	for (unsigned on = 0; on < 2; on++) {
		if (on && !HAS_UMIP) {
			skip("UMIP", "not in CPUID");
			break;
		}
		WRITE_CR(4, (READ_CR(4) & ~BIT(11)) | on << 11);
		for (unsigned ring = 0; ring < 4; ring++)
			for (unsigned n = 0; n < ARRAY_SIZE(list); n++) {
				unsigned vector = in_ring(ring, list[n].code, list[n].len);

				if (table_case(&t, on && ring ? vector == VEC_GP && !trap.frame.error
							      : vector == VEC_DONE)) {
					put_string(list[n].name);
					note("ring", ring, vector);
				}
			}
	}
	WRITE_CR(4, READ_CR(4) & ~BIT(11));
	table_line("", &t);
	for (unsigned on = 0; on < 2; on++) {
		WRITE_CR(4, (READ_CR(4) & ~BIT(2)) | on << 2);
		for (unsigned ring = 0; ring < 4; ring++)
			for (unsigned p = 0; p < 2; p++) {
				unsigned vector =
				    in_ring(ring, p ? (u8[]){0x0f, 0x01, 0xf9} : (u8[]){0x0f, 0x31}, 2 + p);

				if (table_case(&tsd,
					       on && ring ? vector == VEC_GP && !trap.frame.error : vector == VEC_DONE))
					note("ring", ring, vector);
			}
	}
	WRITE_CR(4, READ_CR(4) & ~BIT(2));
	table_line("", &tsd);

	static struct table ac = {.name = "CLAC and STAC: ring 0 with SMAP in CPUID, else #UD"};
	for (unsigned ring = 0; ring < 4; ring++)
		for (unsigned set = 0; set < 2; set++) {
			unsigned vector = in_ring(ring, (u8[]){0x0f, 0x01, 0xca + set}, 3);
			bool good = ring || !HAS_SMAP ? vector == VEC_UD
						      : vector == VEC_DONE && !!(trap.frame.flags & FLAG_AC) == set;

			if (table_case(&ac, good))
				note("ring", ring, vector);
		}
	table_line("", &ac);
	static struct table xgetbv = {.name = "XGETBV: #UD without CR4.OSXSAVE, every ring"};
	for (unsigned on = 0; on < (has_feature(1, 2, 26) ? 2 : 1); on++) {
		WRITE_CR(4, (READ_CR(4) & ~BIT(18)) | on << 18);
		for (unsigned ring = 0; ring < 4; ring++) {
			unsigned vector = in_ring(ring, (u8[]){0x31, 0xc9, 0x0f, 0x01, 0xd0}, 5);

			if (table_case(&xgetbv, on ? vector == VEC_DONE && (trap.frame.ax & 1) : vector == VEC_UD))
				note("ring", ring, vector);
		}
	}
	WRITE_CR(4, READ_CR(4) & ~BIT(18));
	table_line("", &xgetbv);
	static u64 keep;
	keep = 0xe;
	STUB(r_lmsw_m, "mov %cr0, %rbx; lmsw (%rdi); mov %cr0, %rcx; mov %rbx, %cr0");
	ring_call(0, r_lmsw_m, 0, 0, (u64)&keep);
	claim("LMSW from memory", (trap.frame.cx & 15) == 15);
	STUB(r_cr2, "mov %rax, %cr2; xor %eax, %eax; mov %cr2, %rax");
	claim("CR2 takes any value",
	      ring_call(0, r_cr2, 0, 0x123456789abcdef0, 0) == VEC_DONE && trap.frame.ax == 0x123456789abcdef0);
}

static bool cpuid_whole(u32 leaf, u32 sub, u64 r[4])
{
	r[0] = 0xdead000000000000 | leaf;
	r[1] = r[3] = ~0ull;
	r[2] = 0xbeef000000000000 | sub;
	asm volatile("cpuid" : "+a"(r[0]), "+b"(r[1]), "+c"(r[2]), "+d"(r[3]));
	return !((r[0] | r[1] | r[2] | r[3]) >> 32);
}

static void identification(void)
{
	static struct table t = {.name =
				     "CPUID: upper halves of its registers are 0, the same answer twice, every leaf"};
	static struct table beyond = {.name = "CPUID: a leaf above the highest basic one answers as that"};
	u32 max[4];

	for (unsigned extended = 0; extended < 2; extended++) {
		cpuid(extended << 31, 0, max);
		for (u32 leaf = extended << 31; leaf <= max[0]; leaf++)
			for (u32 sub = 0; sub < 5; sub++) {
				u64 a[4], b[4];
				bool whole = cpuid_whole(leaf, sub, a) && cpuid_whole(leaf, sub, b);

				if (table_case(&t, whole && !memcmp(a, b, sizeof(a))))
					note("leaf", leaf, sub);
			}
	}
	cpuid(0, 0, max);
	for (u32 n = 1; n < 64; n++) {
		u64 a[4], b[4];

		cpuid_whole(max[0], 0, a);
		cpuid_whole(max[0] + n, 0, b);
		if (table_case(&beyond, !memcmp(a, b, sizeof(a))))
			note("leaf", max[0] + n, b[0]);
	}
	table_line("", &t);
	table_line("", &beyond);
	static struct table bases = {.name = "LGDT and LIDT: a base that isn't canonical is #GP(0)"};
	STUB(r_lgdt, "lgdt (%rdi)");
	STUB(r_lidt, "lidt (%rdi)");
	/* Who takes it has no tables any more. */
	for (unsigned bit = 47; !under_tcg() && bit < 64; bit++)
		for (unsigned idt = 0; idt < 2; idt++) {
			static struct table_register wrong;

			wrong = (struct table_register){0xffff, BIT(bit)};
			unsigned vector = ring_call(0, idt ? r_lidt : r_lgdt, 0, 0, (u64)&wrong);
			if (table_case(&bases, vector == VEC_GP && !trap.frame.error))
				note("bit", bit, vector);
		}
	table_line("", &bases);
	STUB(r_rdpmc, "mov $0x7fff, %ecx; rdpmc");
	claim("RDPMC of a counter that isn't there: #GP(0)",
	      ring_call(0, r_rdpmc, 0, 0, 0) == VEC_GP && !trap.frame.error);
	STUB(r_wbinvd, "wbinvd; clflush (%rdi)");
	static u64 line;
	claim("WBINVD and CLFLUSH change nothing", ({
		      line = 0x55aa;
		      ring_call(0, r_wbinvd, 0, 0, (u64)&line) == VEC_DONE &&line == 0x55aa;
	      }));
	if (has_feature(1, 2, 26)) {
		u32 r[4];

		WRITE_CR(4, READ_CR(4) | BIT(18));
		cpuid(13, 1, r);
		STUB(r_xgetbv, "xgetbv");
		struct ring_entry e = ring_entry(0, r_xgetbv, 0, 0, 0);
		e.cx = 2;
		claim("XGETBV of a register that isn't there: #GP(0)", ring_run(&e) == VEC_GP && !trap.frame.error);
		e.cx = 1;
		if (r[0] & BIT(2))
			claim("XGETBV with ECX 1: what of XCR0 is in use",
			      ring_run(&e) == VEC_DONE && !(trap.frame.ax >> 32));
		WRITE_CR(4, READ_CR(4) & ~BIT(18));
	}
}

void kmain(void)
{
	rings_init();
	user_page = (u8 *)page_alloc();
	*pte_of(USER_CODE, 1) = (u64)user_page | PTE_P | PTE_U | PTE_W;
	cr0();
	cr4();
	cr3_cr8();
	numbers();
	efer();
	addresses();
	plain();
	types();
	unknown();
	xcr0();
	privileged();
	umip_and_tsd();
	identification();
}
