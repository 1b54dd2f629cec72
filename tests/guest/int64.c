/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Integer instructions and their flags, from the operation sections of SDM volume 2. Flags the manual leaves
 * undefined are not looked at. */
#include "tests/guest/lib/guest.h"

#define C   FLAG_CF
#define P   FLAG_PF
#define A   FLAG_AF
#define Z   FLAG_ZF
#define S   FLAG_SF
#define O   FLAG_OF
#define ALL STATUS_FLAGS

static void check(const char *name, u64 got, u64 flags, u64 want, u64 want_flags, u64 mask)
{
	if (got != want || (flags & mask) != want_flags) {
		put_string("# got ");
		put_hex(got);
		put_string(" flags ");
		put_hex(flags & mask);
		put_string(", want ");
		put_hex(want);
		put_string(" flags ");
		put_hex(want_flags);
		put_char('\n');
	}
	claim(name, got == want && (flags & mask) == want_flags);
}

/* dst OP src with flags in @in before. */
#define OP2(name, insn, type, a, b, in, want, wantf, mask)                     \
	({                                                                     \
		type r_ = (type)(a), s_ = (type)(b);                           \
		u64 f_;                                                        \
		asm volatile("push %3; popfq; " insn " %2, %0; pushfq; pop %1" \
			     : "+&r"(r_), "=&r"(f_)                            \
			     : "r"(s_), "r"((u64)((in) | 2))                   \
			     : "cc", "memory");                                \
		check(name, r_, f_, (type)(want), wantf, mask);                \
	})
/* OP dst */
#define OP1(name, insn, type, a, in, want, wantf, mask)                    \
	({                                                                 \
		type r_ = (type)(a);                                       \
		u64 f_;                                                    \
		asm volatile("push %2; popfq; " insn " %0; pushfq; pop %1" \
			     : "+&r"(r_), "=&r"(f_)                        \
			     : "r"((u64)((in) | 2))                        \
			     : "cc", "memory");                            \
		check(name, r_, f_, (type)(want), wantf, mask);            \
	})
/* dst OP CL */
#define SHIFT(name, insn, type, a, n, in, want, wantf, mask)                     \
	({                                                                       \
		type r_ = (type)(a);                                             \
		u64 f_;                                                          \
		asm volatile("push %3; popfq; " insn " %%cl, %0; pushfq; pop %1" \
			     : "+&r"(r_), "=&r"(f_)                              \
			     : "c"(n), "r"((u64)((in) | 2))                      \
			     : "cc", "memory");                                  \
		check(name, r_, f_, (type)(want), wantf, mask);                  \
	})

static void arithmetic(void)
{
	OP2("add8 7f+1", "addb", u8, 0x7f, 1, 0, 0x80, A | S | O, ALL);
	OP2("add16 ffff+1", "addw", u16, 0xffff, 1, 0, 0, C | P | A | Z, ALL);
	OP2("add32 80000000 twice", "addl", u32, 0x80000000, 0x80000000, 0, 0, C | P | Z | O, ALL);
	OP2("add64 max+1", "addq", u64, -1, 1, 0, 0, C | P | A | Z, ALL);
	OP2("adc8 ff+ff+1", "adcb", u8, 0xff, 0xff, C, 0xff, C | P | A | S, ALL);
	OP2("adc64 7f..f+0+1", "adcq", u64, 0x7fffffffffffffff, 0, C, 0x8000000000000000, P | A | S | O, ALL);
	OP2("adc32 without carry", "adcl", u32, 5, 6, 0, 11, 0, ALL);
	OP2("sub8 0-1", "subb", u8, 0, 1, 0, 0xff, C | P | A | S, ALL);
	OP2("sub32 min-1", "subl", u32, 0x80000000, 1, 0, 0x7fffffff, P | A | O, ALL);
	OP2("sub64 equal", "subq", u64, 0x123456789abcdef0, 0x123456789abcdef0, 0, 0, P | Z, ALL);
	OP2("sbb8 0-ff-1", "sbbb", u8, 0, 0xff, C, 0, C | P | A | Z, ALL);
	OP2("sbb64 min-0-1", "sbbq", u64, 0x8000000000000000, 0, C, 0x7fffffffffffffff, P | A | O, ALL);
	OP2("cmp16 leaves its operand", "cmpw", u16, 0x1234, 0x1235, 0, 0x1234, C | P | A | S, ALL);
	OP2("and64 clears CF and OF", "andq", u64, 0xf0f0, 0x0ff0, C | O, 0x00f0, P, ALL & ~A);
	OP2("or8 sign", "orb", u8, 0x80, 1, C | O, 0x81, P | S, ALL & ~A);
	OP2("xor32 itself", "xorl", u32, 0xdeadbeef, 0xdeadbeef, C, 0, P | Z, ALL & ~A);
	OP2("test64 sign", "testq", u64, 0x8000000000000000, 0xffff000000000000, 0, 0x8000000000000000, P | S,
	    ALL & ~A);
	OP1("inc8 keeps CF", "incb", u8, 0x7f, C, 0x80, C | A | S | O, ALL);
	OP1("inc64 wraps without CF", "incq", u64, -1, 0, 0, P | A | Z, ALL);
	OP1("dec16 keeps CF", "decw", u16, 0, C, 0xffff, C | P | A | S, ALL);
	OP1("dec32 min", "decl", u32, 0x80000000, 0, 0x7fffffff, P | A | O, ALL);
	OP1("neg8 80", "negb", u8, 0x80, 0, 0x80, C | S | O, ALL);
	OP1("neg64 0", "negq", u64, 0, C, 0, P | Z, ALL);
	OP1("not32 leaves flags", "notl", u32, 0x0f0f0f0f, C | O | Z, 0xf0f0f0f0, C | O | Z, ALL);
	OP2("xadd sum and flags", "xaddb", u8, 0xff, 0x01, 0, 0, C | P | A | Z, ALL);
}

static void shifts(void)
{
	SHIFT("shl8 by 1: CF, OF", "shlb", u8, 0xc1, 1, 0, 0x82, C | P | S, ALL & ~A);
	SHIFT("shl64 by 1: OF", "shlq", u64, 0x4000000000000000, 1, 0, 0x8000000000000000, P | S | O, ALL & ~A);
	SHIFT("shl32 by 33 is by 1", "shll", u32, 1, 33, 0, 2, 0, ALL & ~A);
	SHIFT("shl64 by 64 is by 0: flags stay", "shlq", u64, 7, 64, C | Z | O, 7, C | Z | O, ALL);
	SHIFT("shl32 by 0 zero-extends and keeps flags", "shll", u32, 9, 0, C | S, 9, C | S, ALL);
	SHIFT("shr8 by 1: OF is the old sign", "shrb", u8, 0x81, 1, 0, 0x40, C | O, ALL & ~A);
	SHIFT("shr64 by 63", "shrq", u64, 0xc000000000000000, 63, 0, 1, C, C | P | Z | S);
	SHIFT("shr16 by 20: nothing left", "shrw", u16, 0xffff, 20, 0, 0, P | Z, P | Z | S);
	SHIFT("sar8 by 7", "sarb", u8, 0x80, 7, 0, 0xff, P | S, P | Z | S | C);
	SHIFT("sar8 by 31: all sign", "sarb", u8, 0x80, 31, 0, 0xff, C | P | S, P | Z | S | C);
	SHIFT("sar32 by 1 clears OF", "sarl", u32, 0x80000001, 1, O, 0xc0000000, C | P | S, ALL & ~A);
	SHIFT("rol8 by 1", "rolb", u8, 0x81, 1, Z | S, 0x03, C | Z | S | O, ALL);
	SHIFT("rol16 by 16: result stays, CF is bit 0", "rolw", u16, 0x8001, 16, 0, 0x8001, C, C);
	SHIFT("ror64 by 4", "rorq", u64, 0xf, 4, 0, 0xf000000000000000, C, C);
	SHIFT("ror8 by 1: OF is xor of the top bits", "rorb", u8, 0x01, 1, 0, 0x80, C | O, C | O);
	SHIFT("rcl8 by 9 is by 0", "rclb", u8, 0x5a, 9, C, 0x5a, C, C);
	SHIFT("rcl32 by 1", "rcll", u32, 0x80000000, 1, C, 1, C | O, C | O);
	SHIFT("rcr64 by 1", "rcrq", u64, 1, 1, C, 0x8000000000000000, C | O, C | O);
	SHIFT("rcr16 by 17 is by 0", "rcrw", u16, 0x1234, 17, 0, 0x1234, 0, C);

	u64 a = 0x8000000000000001, f;
	asm volatile("shld $4, %2, %0; pushfq; pop %1" : "+r"(a), "=r"(f) : "r"(0xf000000000000000ull) : "cc");
	check("shld64 by 4", a, f, 0x1f, 0, C | Z | S);
	u32 b = 0x12345678;
	asm volatile("shrd $8, %2, %0; pushfq; pop %1" : "+r"(b), "=r"(f) : "r"(0xabu) : "cc");
	check("shrd32 by 8", b, f, 0xab123456, S, C | Z | S);
}

static void multiply(void)
{
	u64 lo, hi, f;

	asm volatile("mulq %3; pushfq; pop %2" : "=a"(lo), "=d"(hi), "=r"(f) : "r"(-1ull), "a"(-1ull) : "cc");
	check("mul64 low", lo, f, 1, C | O, C | O);
	claim_eq("mul64 high", hi, -2ull);
	asm volatile("imulq %3; pushfq; pop %2" : "=a"(lo), "=d"(hi), "=r"(f) : "r"(-1ull), "a"(5ull) : "cc");
	check("imul64 fits", lo, f, -5ull, 0, C | O);
	claim_eq("imul64 high is sign", hi, -1ull);
	asm volatile("imulq %2, %0; pushfq; pop %1" : "=r"(lo), "=r"(f) : "r"(1ull << 40), "0"(1ull << 40) : "cc");
	check("imul two-operand overflow", lo, f, 0, C | O, C | O);
	u16 w;
	asm volatile("imulw $-3, %2, %0; pushfq; pop %1" : "=r"(w), "=r"(f) : "r"((u16)7) : "cc");
	check("imul16 by immediate", w, f, (u16)-21, 0, C | O);
	u16 ax;
	asm volatile("mulb %b2; pushfq; pop %1" : "=a"(ax), "=r"(f) : "c"(16), "a"(0x0010) : "cc");
	check("mul8 to AX", ax, f, 0x100, C | O, C | O);
	asm volatile("divq %4" : "=a"(lo), "=d"(hi) : "a"(5ull), "d"(1ull), "r"(16ull));
	claim("div128 by 64", lo == 0x1000000000000000 && hi == 5);
	asm volatile("cqo; idivq %3" : "=a"(lo), "=&d"(hi) : "a"(-7ull), "r"(2ull));
	claim("idiv truncates to zero", lo == -3ull && hi == -1ull);
	u32 q, r;
	asm volatile("divl %4" : "=a"(q), "=d"(r) : "a"(0), "d"(1), "r"(3));
	claim("div64 by 32", q == 0x55555555 && r == 1);
	asm volatile("idivb %b1" : "=a"(ax) : "c"(7), "a"(0xff9c)); /* -100 / 7 */
	claim_eq("idiv8: AH remainder, AL quotient", ax, 0xfef2);
}

static void bits(void)
{
	u64 r, f;
	static u64 mem[8];

	asm volatile("bsf %2, %0; pushfq; pop %1" : "=&r"(r), "=r"(f) : "r"(0x8000000000ull) : "cc");
	check("bsf64", r, f, 39, 0, Z);
	asm volatile("bsr %2, %0; pushfq; pop %1" : "=&r"(r), "=r"(f) : "r"(0x8000000001ull) : "cc");
	check("bsr64", r, f, 39, 0, Z);
	r = 0x55;
	asm volatile("bsf %2, %0; pushfq; pop %1" : "+r"(r), "=r"(f) : "r"(0ull) : "cc");
	check("bsf of 0 leaves its destination", r, f, 0x55, Z, Z);
	asm volatile("popcntq %2, %0; pushfq; pop %1" : "=r"(r), "=r"(f) : "r"(0xf0f0f0f0f0f0f0f1ull) : "cc");
	check("popcnt64", r, f, 33, 0, ALL);
	asm volatile("popcntq %2, %0; pushfq; pop %1" : "=r"(r), "=r"(f) : "r"(0ull) : "cc");
	check("popcnt of 0", r, f, 0, Z, ALL);
	r = 0;
	asm volatile("btsq %2, %0; pushfq; pop %1" : "+r"(r), "=r"(f) : "r"(65ull) : "cc");
	check("bts64 register: offset modulo 64", r, f, 2, 0, C);
	r = 0xff;
	asm volatile("btrl $3, %k0; pushfq; pop %1" : "+r"(r), "=r"(f) : : "cc");
	check("btr32 immediate", r, f, 0xf7, C, C);
	asm volatile("btcq %2, %0; pushfq; pop %1" : "+m"(mem[4]), "=&r"(f) : "r"((u64)-129) : "cc", "memory");
	claim("btc64 in memory reaches below", mem[1] == BIT(63) && !mem[4]);
	asm volatile("btsl %k1, %0" : "+m"(mem[4]) : "r"(70) : "cc", "memory");
	claim("bts32 in memory reaches above", mem[5] == BIT(6));
	r = 0x0102030405060708;
	asm volatile("bswapq %0" : "+r"(r));
	claim_eq("bswap64", r, 0x0807060504030201);
	r = 0xffffffff05060708;
	asm volatile("bswapl %k0" : "+r"(r));
	claim_eq("bswap32 zero-extends", r, 0x08070605);
	mem[0] = 0x1122334455667788;
	asm volatile("movbeq %1, %0" : "=r"(r) : "m"(mem[0]));
	claim_eq("movbe load", r, 0x8877665544332211);
	asm volatile("movbew %w1, %0" : "=m"(mem[0]) : "r"(0xabcd));
	claim_eq("movbe16 store", mem[0], 0x112233445566cdab);
	r = 0;
	asm volatile("crc32q %1, %0" : "+r"(r) : "r"(0x0123456789abcdefull));
	asm volatile("crc32b %b1, %k0" : "+r"(r) : "r"(0x5a));
	/* CRC-32C (reflected polynomial 82F63B78h), bit by bit, over the same nine bytes. */
	u32 crc = 0;
	for (int i = 0; i < 9; i++) {
		crc ^= i < 8 ? (u8)(0x0123456789abcdefull >> 8 * i) : 0x5a;
		for (int k = 0; k < 8; k++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	claim_eq("crc32", r, crc);
}

static void registers(void)
{
	u64 r, x;

	r = -1ull;
	asm volatile("movl $5, %k0" : "+r"(r));
	claim_eq("32-bit write zero-extends", r, 5);
	r = -1ull;
	asm volatile("movw $5, %w0" : "+r"(r));
	claim_eq("16-bit write keeps the rest", r, 0xffffffffffff0005);
	asm volatile("mov $-1, %%rax; movb $0x12, %%ah; mov %%rax, %0" : "=r"(r) : : "rax");
	claim_eq("AH is bits 15:8", r, 0xffffffffffff12ff);
	asm volatile("xor %%esi, %%esi; movb $0x34, %%sil; mov %%rsi, %0" : "=r"(r) : : "rsi");
	claim_eq("SIL with REX", r, 0x34);
	asm volatile("mov $0x8877, %%ebx; movzbl %%bh, %%eax; mov %%rax, %0" : "=r"(r) : : "rax", "rbx");
	claim_eq("movzx from BH", r, 0x88);
	asm volatile("movsbq %b1, %0" : "=r"(r) : "r"(0x80));
	claim_eq("movsx 8 to 64", r, 0xffffffffffffff80);
	asm volatile("movslq %k1, %0" : "=r"(r) : "r"(0x80000000));
	claim_eq("movsxd", r, 0xffffffff80000000);
	asm volatile("mov $0x80, %%eax; cbw; cwde; cdqe" : "=a"(r));
	claim_eq("cbw, cwde, cdqe", r, 0xffffffffffffff80);
	asm volatile("mov $0x8000, %%eax; cwd; movzwl %%dx, %%edx" : "=d"(r) : : "rax");
	claim_eq("cwd", r, 0xffff);
	asm volatile("mov $0x80000000, %%eax; cdq" : "=d"(r) : : "rax");
	claim_eq("cdq zero-extends RDX", r, 0xffffffff);
	r = -1ull;
	asm volatile("xor %%eax, %%eax; cmovnzl %%ecx, %k0" : "+r"(r) : : "rax", "cc");
	claim_eq("cmov32 not taken still zero-extends", r, 0xffffffff);
	asm volatile("lea 16(%1,%2,8), %0" : "=r"(r) : "r"(0x1000ull), "r"(-1ull));
	claim_eq("lea with a negative index", r, 0x1008);
	asm volatile("leal 1(%q1), %k0" : "=r"(r) : "r"(-1ull));
	claim_eq("lea32 truncates", r, 0);
	asm volatile("addr32 lea 16(%k1), %0" : "=r"(r) : "r"(0xfffffff8ull));
	claim_eq("67h address wraps at 4 GiB", r, 8);
	asm volatile("lea 1f(%%rip), %0; 1: lea 1b, %1" : "=r"(r), "=r"(x));
	claim_eq("RIP-relative", r, x);
	static u8 table[256];
	table[0x21] = 0x99;
	asm volatile("xlat" : "=a"(r) : "a"(0x21ull), "b"(table));
	claim_eq("xlat", (u8)r, 0x99);
	asm volatile("mov $0xd7, %%eax; shl $8, %%eax; sahf; pushfq; pop %0" : "=r"(r) : : "rax", "cc");
	claim_eq("sahf", r & 0xff, 0xd7);
	asm volatile("stc; lahf; movzbl %%ah, %%eax" : "=a"(r) : : "cc");
	claim("lahf: CF and bit 1", (r & 3) == 3);
	asm volatile("push $-5; pop %0" : "=r"(r));
	claim_eq("push imm8 sign-extends to 64", r, -5ull);
	asm volatile("mov %%rsp, %1; push %%rsp; pop %0" : "=r"(r), "=r"(x));
	claim_eq("push rsp pushes the old value", r, x);
	asm volatile("mov %%rsp, %%rcx; push $0x1234; mov %%rsp, %%rbx; pop %%rsp; mov %%rsp, %0; mov %%rcx, %%rsp"
		     : "=r"(r)
		     :
		     : "rcx", "rbx");
	claim_eq("pop rsp", r, 0x1234);
	asm volatile("mov %%rsp, %0; pushw $7; mov %%rsp, %1; popw %%ax" : "=&r"(r), "=&r"(x) : : "rax");
	claim_eq("push16 moves RSP by 2", r - x, 2);
	asm volatile("mov %%rsp, %%rcx; mov $0x77, %%ebp; enter $32, $0; mov %%rbp, %0; mov (%%rbp), %1; sub %%rsp, %0;"
		     "leave; sub %%rcx, %%rsp; add %%rcx, %%rsp"
		     : "=&r"(r), "=&r"(x)
		     :
		     : "rcx", "rbp", "cc", "memory");
	claim("enter 32,0 and leave", r == 32 && x == 0x77);
}

static bool condition(unsigned cc, u64 f)
{
	bool c = f & C, z = f & Z, s = f & S, o = f & O, p = f & P, v;

	switch (cc >> 1) {
	case 0:
		v = o;
		break;
	case 1:
		v = c;
		break;
	case 2:
		v = z;
		break;
	case 3:
		v = c || z;
		break;
	case 4:
		v = s;
		break;
	case 5:
		v = p;
		break;
	case 6:
		v = s != o;
		break;
	default:
		v = z || s != o;
	}
	return v != (cc & 1);
}

#define CC(n, name)                                                                                               \
	case n:                                                                                                   \
		asm volatile("push %3; popfq; set" name " %0; mov $0, %k1; cmov" name " %4, %1; push %3; popfq; " \
			     "mov $1, %k2; j" name " 1f; mov $0, %k2; 1:"                                         \
			     : "=&q"(set), "=&r"(moved), "=&r"(jumped)                                            \
			     : "r"(flags), "r"(1ull)                                                              \
			     : "cc");                                                                             \
		break;

static void conditions(void)
{
	bool good = true;

	for (unsigned cc = 0; cc < 16; cc++) {
		for (unsigned i = 0; i < 32; i++) {
			u64 flags = 2 | (i & 1 ? C : 0) | (i & 2 ? Z : 0) | (i & 4 ? S : 0) | (i & 8 ? O : 0) |
				    (i & 16 ? P : 0);
			u8 set = 0;
			u64 moved = 0, jumped = 0;

			switch (cc) {
				/* clang-format off */
				CC(0, "o") CC(1, "no") CC(2, "b") CC(3, "ae")
				CC(4, "e") CC(5, "ne") CC(6, "be") CC(7, "a")
				CC(8, "s") CC(9, "ns") CC(10, "p") CC(11, "np")
				CC(12, "l") CC(13, "ge") CC(14, "le") CC(15, "g")
				/* clang-format on */
			}
			bool want = condition(cc, flags);
			good &= set == want && moved == want && jumped == want;
		}
	}
	claim("16 conditions by 32 flag sets: SETcc, CMOVcc, Jcc", good);
}

static void exchange(void)
{
	static u64 m[2] __attribute__((aligned(16)));
	u64 a, d, f;

	m[0] = 5;
	asm volatile("lock cmpxchgq %3, %1; pushfq; pop %2"
		     : "=a"(a), "+m"(m[0]), "=r"(f)
		     : "r"(9ull), "0"(5ull)
		     : "cc");
	check("cmpxchg64 equal", m[0], f, 9, Z | P, ALL);
	asm volatile("lock cmpxchgl %k3, %1; pushfq; pop %2"
		     : "=a"(a), "+m"(*(u32 *)m), "=r"(f)
		     : "r"(1), "0"(8ull)
		     : "cc");
	check("cmpxchg32 differs: EAX loaded", a, f, 9, C | P | A | S, ALL);
	m[0] = 0x1111111122222222;
	asm volatile("cmpxchg8b %1; pushfq; pop %2"
		     : "=a"(a), "+m"(m[0]), "=r"(f), "=d"(d)
		     : "b"(3), "c"(4), "0"(0x22222222ull), "3"(0x11111111ull)
		     : "cc");
	check("cmpxchg8b equal", m[0], f, 0x400000003, Z, Z);
	m[0] = 1;
	m[1] = 2;
	asm volatile("lock cmpxchg16b (%5); pushfq; pop %1"
		     : "=a"(a), "=r"(f), "=d"(d)
		     : "b"(3ull), "c"(4ull), "r"(m), "0"(7ull), "2"(2ull)
		     : "cc", "memory");
	claim("cmpxchg16b differs: loads RDX:RAX", a == 1 && d == 2 && m[0] == 1 && m[1] == 2 && !(f & Z));
	asm volatile("lock cmpxchg16b (%5); pushfq; pop %1"
		     : "=a"(a), "=r"(f), "=d"(d)
		     : "b"(3ull), "c"(4ull), "r"(m), "0"(1ull), "2"(2ull)
		     : "cc", "memory");
	claim("cmpxchg16b equal: stores RCX:RBX", m[0] == 3 && m[1] == 4 && (f & Z));
	void misaligned(void)
	{
		asm volatile("lea 8(%0), %%rsi; xor %%eax, %%eax; cmpxchg16b (%%rsi)" : : "r"(m) : "rax", "rsi");
	}
	claim_trap("cmpxchg16b not aligned: #GP(0)", VEC_GP, 0, misaligned);
	a = 3;
	m[0] = 10;
	asm volatile("lock xaddq %0, %1" : "+r"(a), "+m"(m[0]) : : "cc");
	claim("xadd in memory", a == 10 && m[0] == 13);
	asm volatile("xchgq %0, %1" : "+r"(a), "+m"(m[0]));
	claim("xchg in memory", a == 13 && m[0] == 10);
}

static void strings(void)
{
	static u8 a[64], b[64];
	u64 c, si, di, f;

	for (int i = 0; i < 64; i++)
		a[i] = i;
	asm volatile("rep movsb" : "=c"(c), "=S"(si), "=D"(di) : "0"(64ull), "1"(a), "2"(b) : "memory");
	claim("rep movsb", !memcmp(a, b, 64) && c == 0 && si == (u64)a + 64 && di == (u64)b + 64);
	asm volatile("rep movsb" : "=c"(c), "=S"(si), "=D"(di) : "0"(63ull), "1"(b), "2"(b + 1) : "memory");
	bool all = true;
	for (int i = 0; i < 64; i++)
		all &= b[i] == 0;
	claim("rep movsb overlapping by one repeats the first byte", all);
	memcpy(b, a, 64);
	asm volatile("std; rep movsq; cld"
		     : "=c"(c), "=S"(si), "=D"(di)
		     : "0"(4ull), "1"(b + 24), "2"(b + 32)
		     : "memory");
	claim("std rep movsq moves up an overlap", !memcmp(b + 8, a, 32) && si == (u64)b - 8);
	asm volatile("rep stosl" : "=c"(c), "=D"(di) : "0"(16ull), "1"(b), "a"(0xa5a5a5a5) : "memory");
	claim("rep stosd", b[0] == 0xa5 && b[63] == 0xa5 && di == (u64)b + 64);
	asm volatile("rep stosb" : "=c"(c), "=D"(di) : "0"(0ull), "1"(b), "a"(0) : "memory");
	claim("rep with RCX 0 does nothing", b[0] == 0xa5 && di == (u64)b);
	asm volatile("repne scasb; pushfq; pop %2"
		     : "=c"(c), "=D"(di), "=r"(f)
		     : "0"(64ull), "1"(a), "a"(17)
		     : "cc", "memory");
	claim("repne scasb finds", di == (u64)a + 18 && c == 46 && (f & Z));
	asm volatile("repne scasw; pushfq; pop %2"
		     : "=c"(c), "=D"(di), "=r"(f)
		     : "0"(8ull), "1"(a), "a"(0x9999)
		     : "cc", "memory");
	claim("repne scasw ends with RCX 0 and ZF clear", di == (u64)a + 16 && c == 0 && !(f & Z));
	memcpy(b, a, 64);
	b[40] = 0xff;
	asm volatile("repe cmpsb; pushfq; pop %3"
		     : "=c"(c), "=S"(si), "=D"(di), "=r"(f)
		     : "0"(64ull), "1"(a), "2"(b)
		     : "cc", "memory");
	claim("repe cmpsb stops at the difference", si == (u64)a + 41 && c == 23 && !(f & Z) && (f & C));
	asm volatile("xor %%eax, %%eax; cmp %%eax, %%eax; repe cmpsb; pushfq; pop %3"
		     : "=c"(c), "=S"(si), "=D"(di), "=r"(f)
		     : "0"(0ull), "1"(a), "2"(b)
		     : "rax", "cc", "memory");
	claim("repe cmpsb with RCX 0 leaves flags", f & Z);
	u64 ax;
	asm volatile("lodsq" : "=a"(ax), "=S"(si) : "1"(a) : "memory");
	claim("lodsq", ax == 0x0706050403020100 && si == (u64)a + 8);
	asm volatile("addr32 rep stosb" : "=c"(c), "=D"(di) : "0"(0x700000002ull), "1"(b), "a"(0x11) : "memory");
	claim("67h rep counts ECX, writes it zero-extended", b[1] == 0x11 && b[2] == 2 && c == 0);
	/* Twice a page boundary, by eights, from an odd address. */
	static u8 big[12288], big2[12288];
	for (unsigned i = 0; i < sizeof(big); i++)
		big[i] = i * 7 + (i >> 8);
	asm volatile("rep movsq" : "=c"(c), "=S"(si), "=D"(di) : "0"(1500ull), "1"(big + 3), "2"(big2 + 5) : "memory");
	claim("rep movsq across pages, unaligned", !memcmp(big + 3, big2 + 5, 12000) && !big2[4] && !big2[12005]);
	asm volatile("outsb" : "=S"(si) : "d"(0x80), "0"(a) : "memory");
	claim("outsb moves RSI", si == (u64)a + 1);
	asm volatile("rep insb" : "=c"(c), "=D"(di) : "0"(3ull), "1"(b), "d"(0x21) : "memory");
	claim("rep insb from a port", c == 0 && di == (u64)b + 3 && b[0] == 0xff && b[2] == 0xff);
}

static void transfers(void)
{
	u64 r, c;

	asm volatile("mov $5, %%ecx; xor %k0, %k0; 1: inc %0; loop 1b" : "=&r"(r) : : "rcx", "cc");
	claim_eq("loop", r, 5);
	asm volatile("mov $0x100000003, %%rcx; xor %k0, %k0; 1: inc %0; addr32 loop 1b; mov %%rcx, %1"
		     : "=&r"(r), "=r"(c)
		     :
		     : "rcx", "cc");
	claim("67h loop counts ECX", r == 3 && c == 0);
	asm volatile("mov $9, %%ecx; xor %k0, %k0; 1: inc %0; cmp $4, %0; loopne 1b" : "=&r"(r) : : "rcx", "cc");
	claim_eq("loopne", r, 4);
	asm volatile("mov $0x100000000, %%rcx; xor %k0, %k0; jrcxz 1f; jecxz 2f; jmp 1f; 2: inc %0; 1:"
		     : "=&r"(r)
		     :
		     : "rcx");
	claim_eq("jecxz looks at ECX only", r, 1);
	asm volatile("mov %%rsp, %0; pushq $3; pushq $3; call 1f; jmp 2f; 1: ret $16; 2: sub %%rsp, %0" : "=&r"(r));
	claim_eq("ret imm16", r, 0);
	asm volatile("lea 1f(%%rip), %0; pushq %1; push %0; lretq; ud2; 1: mov $7, %k0" : "=&r"(r) : "i"(SEL_KCODE));
	claim_eq("far return, same privilege", r, 7);
	static struct {
		u64 offset;
		u16 selector;
	} __attribute__((packed)) far;
	asm volatile("lea 1f(%%rip), %0; mov %0, %1; movw %2, 8+%1; rex.w ljmp *%1; ud2; 1: mov $8, %k0"
		     : "=&r"(r), "+m"(far)
		     : "i"(SEL_KCODE)
		     : "memory");
	claim_eq("far jump through memory, 64-bit offset", r, 8);
	asm volatile("lea 1f(%%rip), %0; jmp *%0; ud2; 1: mov $9, %k0" : "=&r"(r));
	claim_eq("indirect jump", r, 9);
	asm volatile("call 1f; 1: pop %0; lea 1b(%%rip), %1" : "=&r"(r), "=r"(c));
	claim_eq("call pushes the next address", r, c);
}

static void bases(void)
{
	static u64 cell[2] = {0x1111, 0x2222};
	u64 r;

	wrmsr(0xc0000100, (u64)&cell[0]);
	wrmsr(0xc0000101, (u64)&cell[1]);
	asm volatile("mov %%fs:0, %0" : "=r"(r));
	claim_eq("FS base MSR", r, 0x1111);
	asm volatile("mov %%gs:0, %0" : "=r"(r));
	claim_eq("GS base MSR", r, 0x2222);
	wrmsr(0xc0000102, (u64)&cell[0]);
	asm volatile("swapgs; mov %%gs:0, %0; swapgs" : "=r"(r));
	claim_eq("swapgs", r, 0x1111);
	asm volatile(".byte 0x64, 0x48, 0x8d, 0x04, 0x25, 8, 0, 0, 0" : "=a"(r)); /* lea fs:8, %rax */
	claim_eq("lea ignores the segment base", r, 8);
	u32 c[4];
	cpuid(7, 0, c);
	if (c[1] & 1) {
		WRITE_CR(4, READ_CR(4) | BIT(16));
		asm volatile("wrfsbase %0" : : "r"(&cell[1]));
		asm volatile("mov %%fs:0, %0" : "=r"(r));
		claim("wrfsbase", r == 0x2222 && rdmsr(0xc0000100) == (u64)&cell[1]);
		asm volatile("rdgsbase %0" : "=r"(r));
		claim_eq("rdgsbase", r, (u64)&cell[1]);
		asm volatile("wrgsbase %k0" : : "r"(0x12345678));
		claim_eq("wrgsbase 32-bit zero-extends", rdmsr(0xc0000101), 0x12345678);
		EXPECT("wrfsbase of a non-canonical address: #GP(0)", VEC_GP, 0,
		       "mov $0x8000000000000000, %%rax; wrfsbase %%rax"
		       :
		       :
		       : "rax");
		WRITE_CR(4, READ_CR(4) & ~BIT(16));
		EXPECT("rdfsbase without CR4.FSGSBASE: #UD", VEC_UD, 0, "rdfsbase %%rax" : : : "rax");
	} else {
		skip("wrfsbase", "no FSGSBASE");
	}
	asm volatile("mov %0, %%fs; mov %0, %%gs" : : "r"(0));
}

void kmain(void)
{
	arithmetic();
	shifts();
	multiply();
	bits();
	registers();
	conditions();
	exchange();
	strings();
	transfers();
	bases();
}
