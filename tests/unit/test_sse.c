/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every instruction of the MMX and SSE opcode maps against the host CPU: the same bytes run natively and through the
 * decoder and handlers, from the same registers, memory and MXCSR; then all of it must be equal. */
#include <check.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "vmm/soft/cpu.h"

#define ROUNDS 400

/* --- random values, the same in every run --- */

static u64 seed = 88172645463325252ull;

static u64 rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * 0x2545f4914f6cdd1dull;
}

static unsigned pick(unsigned n)
{
	return (u32)(rnd() >> 32) % n;
}

static u32 value32(void)
{
	static const u32 special[] = {
	    0,          0x80000000, 1,          0x80000001, 0x007fffff, 0x807fffff, 0x00800000, 0x80800000, 0x3f800000,
	    0xbf800000, 0x3f000000, 0x3fc00000, 0x40200000, 0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000,
	    0xffc00000, 0x7fa00001, 0xff812345, 0x7fc12345, 0x4f000000, 0xcf000000, 0x4effffff, 0xcf000001, 0x5f000000,
	    0xdf000000, 0x34000000, 0x3f7fffff, 0x3f800001, 0x4b000001, 0x4b7fffff, 0x00400000, 0x01000000, 0x7f000000,
	};

	switch (pick(4)) {
	case 0:
		return special[pick(ARRAY_SIZE(special))];
	case 1: /* near 1: sums and products that round */
		return (u32)(rnd() & 0x80ffffff) | 0x3f000000;
	case 2: /* exponents near the ends of the range */
		return (u32)(rnd() & 0x80ffffff) | (pick(2) ? 0x00000000 : 0x7e000000);
	default:
		return rnd() >> 16;
	}
}

static u64 value64(void)
{
	static const u64 special[] = {
	    0,
	    1ull << 63,
	    1,
	    0x8000000000000001,
	    0x000fffffffffffff,
	    0x0010000000000000,
	    0x8010000000000000,
	    0x3ff0000000000000,
	    0xbff0000000000000,
	    0x3fe0000000000000,
	    0x3ff8000000000000,
	    0x4004000000000000,
	    0x7fefffffffffffff,
	    0xffefffffffffffff,
	    0x7ff0000000000000,
	    0xfff0000000000000,
	    0x7ff8000000000000,
	    0xfff8000000000000,
	    0x7ff4000000000001,
	    0xfff0123456789abc,
	    0x41e0000000000000,
	    0xc1e0000000000000,
	    0x41dfffffffc00000,
	    0xc1e0000000200000,
	    0x43e0000000000000,
	    0xc3e0000000000000,
	    0x36a0000000000000,
	    0x380fffffffffffff,
	    0x47efffffffffffff,
	    0x0008000000000000,
	    0x0020000000000000,
	    0x7fe0000000000000,
	};

	switch (pick(5)) {
	case 0:
		return special[pick(ARRAY_SIZE(special))];
	case 1:
		return (rnd() & 0x801fffffffffffff) | 0x3fe0000000000000;
	case 2:
		return (rnd() & 0x801fffffffffffff) | (pick(2) ? 0 : 0x7fc0000000000000);
	case 3: /* near the ends of single precision */
		return (rnd() & 0x803fffffe0ffffff) | (pick(2) ? 0x3800000000000000 : 0x47c0000000000000);
	default:
		return rnd();
	}
}

/* Bytes with zeros and repetitions, as string compares want them. */
static u64 value_bytes(void)
{
	u64 v = 0;

	for (unsigned n = 0; n < 8; n++)
		v = v << 8 | (pick(8) ? "aAbz\x80\xff\x01m"[pick(8)] & 0xff : 0);
	return v;
}

static void fill_vector(u8 *v)
{
	unsigned kind = pick(4);

	for (unsigned n = 0; n < 2; n++)
		store64(v + 8 * n, kind == 0   ? value64()
				   : kind == 1 ? (u64)value32() << 32 | value32()
				   : kind == 2 ? value_bytes()
				   : pick(4)   ? (u64)value32() << 32 | value32()
					       : rnd() & 0x7f);
}

/* --- one run's state, and the native side --- */

struct fxsave {
	u16 fcw, fsw;
	u8 ftw, zero;
	u16 fop;
	u64 fip, fdp;
	u32 mxcsr, mxcsr_mask;
	u8 st[8][16]; /* relative to TOP */
	u8 xmm[16][16];
	u8 rest[96];
} __attribute__((aligned(16)));

struct state {
	struct fxsave fx; /* offset 0 */
	u64 gpr[16];      /* 512; RSP and R15 are not loaded */
	u64 rflags;       /* 640 */
	u64 code;         /* 648 */
	u64 rsp;          /* 656: the caller's */
	unsigned vector;  /* raised; 255: none */
};

#define NO_VECTOR 255

/* Loads all of *@s, calls s->code, stores all back. */
void native_call(struct state *s);
__asm__(".text\n.globl native_call\n.type native_call, @function\nnative_call:\n"
	"	push %rbx\n	push %rbp\n	push %r12\n	push %r13\n	push %r14\n	push %r15\n"
	"	mov %rdi, %r15\n	mov %rsp, 656(%r15)\n	fxrstor64 (%r15)\n"
	"	pushq 640(%r15)\n	popfq\n"
	"	mov 512(%r15), %rax\n	mov 520(%r15), %rcx\n	mov 528(%r15), %rdx\n	mov 536(%r15), %rbx\n"
	"	mov 552(%r15), %rbp\n	mov 560(%r15), %rsi\n	mov 568(%r15), %rdi\n	mov 576(%r15), %r8\n"
	"	mov 584(%r15), %r9\n	mov 592(%r15), %r10\n	mov 600(%r15), %r11\n	mov 608(%r15), %r12\n"
	"	mov 616(%r15), %r13\n	mov 624(%r15), %r14\n"
	"	call *648(%r15)\n"
	"	mov %rax, 512(%r15)\n	mov %rcx, 520(%r15)\n	mov %rdx, 528(%r15)\n	mov %rbx, 536(%r15)\n"
	"	mov %rbp, 552(%r15)\n	mov %rsi, 560(%r15)\n	mov %rdi, 568(%r15)\n	mov %r8, 576(%r15)\n"
	"	mov %r9, 584(%r15)\n	mov %r10, 592(%r15)\n	mov %r11, 600(%r15)\n	mov %r12, 608(%r15)\n"
	"	mov %r13, 616(%r15)\n	mov %r14, 624(%r15)\n"
	"	pushfq\n	popq 640(%r15)\n	fxsave64 (%r15)\n	fninit\n"
	"	pop %r15\n	pop %r14\n	pop %r13\n	pop %r12\n	pop %rbp\n	pop %rbx\n	ret\n"
	".size native_call, .-native_call\n");

static sigjmp_buf native_fault;
static struct state *native_state;

static void on_signal(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	native_state->vector = uc->uc_mcontext.gregs[REG_TRAPNO];
	native_state->fx.mxcsr = uc->uc_mcontext.fpregs->mxcsr;
	siglongjmp(native_fault, 1);
}

static void native_run(struct state *s)
{
	u32 mxcsr = 0x1f80;

	s->vector = NO_VECTOR;
	native_state = s;
	if (!sigsetjmp(native_fault, 1))
		native_call(s);
	__asm__ volatile("fninit; ldmxcsr %0" : : "m"(mxcsr));
}

/* --- the soft side --- */

static struct soft_cpu *cpu;
static u8 *code, *data; /* a page each; data is mapped in the TLB at its host address */

static char code_text[160];

static const char *code_bytes(void)
{
	char *p = code_text;

	for (unsigned n = 0; n < 12; n++)
		p += sprintf(p, "%02x ", code[n]);
	return code_text;
}

static void soft_run(struct state *s)
{
	struct x86_state *r = &cpu->vcpu.regs;
	unsigned top = s->fx.fsw >> 11 & 7;
	u32 host_mxcsr;
	struct insn insn;
	bool end = false;

	memcpy(r->gpr, s->gpr, sizeof(s->gpr));
	soft_set_rflags(cpu, s->rflags);
	for (unsigned n = 0; n < 8; n++) {
		r->fpu.st[(n + top) & 7].mant = load64(s->fx.st[n]);
		r->fpu.st[(n + top) & 7].se = load16(s->fx.st[n] + 8);
	}
	r->fpu.fcw = s->fx.fcw;
	r->fpu.fsw = s->fx.fsw;
	r->fpu.ftw = s->fx.ftw;
	r->fpu.mxcsr = s->fx.mxcsr;
	memcpy(r->fpu.xmm, s->fx.xmm, sizeof(r->fpu.xmm));
	s->vector = NO_VECTOR;
	decode_insn(code, 64, 0x1000, MODE_64, &insn, &end);
	insn.offset = 0;
	cpu->block_rip = 0x1000;
	cpu->first = cpu->cur = &insn;
	cpu->end = &insn + 1;
	/* Flags that other host code has left behind must not show in the guest. */
	host_mxcsr = 0x1f80 | pick(64);
	__asm__ volatile("ldmxcsr %0" : : "m"(host_mxcsr));
	if (setjmp(cpu->fault) == 0)
		insn.fn(cpu, cpu->cur);
	else
		s->vector = cpu->exception.vector;
	__asm__ volatile("stmxcsr %0" : "=m"(host_mxcsr));
	ck_assert_msg((host_mxcsr & ~63u) == 0x1f80, "%s leaves mxcsr %x", code_bytes(), host_mxcsr);
	memcpy(s->gpr, r->gpr, sizeof(s->gpr));
	s->rflags = soft_rflags(cpu);
	top = r->fpu.fsw >> 11 & 7;
	for (unsigned n = 0; n < 8; n++) {
		store64(s->fx.st[n], r->fpu.st[(n + top) & 7].mant);
		store16(s->fx.st[n] + 8, r->fpu.st[(n + top) & 7].se);
	}
	s->fx.fsw = r->fpu.fsw;
	s->fx.ftw = r->fpu.ftw;
	s->fx.mxcsr = r->fpu.mxcsr;
	memcpy(s->fx.xmm, r->fpu.xmm, sizeof(r->fpu.xmm));
}

/* --- instructions --- */

struct form {
	unsigned map; /* 0x0f, 0x38, 0x3a */
	unsigned op;
	unsigned prefix; /* 0 none, 1 66, 2 F3, 3 F2 */
	int ext;         /* ModRM.reg of a group, else -1 */
	bool mem, imm, modrm;
};

/* General registers that the test itself doesn't need; also used as numbers of MMX and XMM registers. */
static unsigned any_reg(void)
{
	static const u8 reg[] = {0, 1, 2, 3, 5, 8, 9, 10, 11, 12, 13, 14};

	return reg[pick(ARRAY_SIZE(reg))];
}

/* Memory operands are [RSI] or [RSI + 10h]. */
static void form_encode(const struct form *f)
{
	unsigned reg = f->ext >= 0 ? (unsigned)f->ext : any_reg(), rm = f->mem ? RSI : any_reg();
	unsigned rex = (reg & 8) >> 1 | (rm & 8) >> 3 | (pick(3) ? 0 : 8);
	u8 *p = code;

	if (f->prefix == 1 || (f->prefix && !pick(8)))
		*p++ = 0x66;
	if (f->prefix > 1)
		*p++ = f->prefix == 2 ? 0xf3 : 0xf2;
	if (rex || !pick(4))
		*p++ = 0x40 | rex;
	*p++ = 0x0f;
	if (f->map != 0x0f)
		*p++ = f->map;
	*p++ = f->op;
	if (f->modrm) {
		bool disp = f->mem && pick(2);

		*p++ = (f->mem ? disp ? 0x40 : 0 : 0xc0) | (reg & 7) << 3 | (rm & 7);
		if (disp)
			*p++ = 0x10;
	}
	if (f->imm)
		*p++ = pick(2) ? rnd() : pick(16);
	*p++ = 0xc3;
	memset(p, 0xcc, 16);
}

static u32 random_mxcsr(void)
{
	u32 v = 0x1f80;

	if (!pick(3))
		return v | pick(64);
	v |= pick(4) << 13 | (pick(3) ? 0 : 0x8000) | (pick(3) ? 0 : 0x40) | pick(64);
	if (!pick(3))
		v &= ~0x1f80u | pick(64) << 7;
	return v;
}

/* RDI for the masked stores is the data too. */
static void random_state(struct state *s)
{
	memset(s, 0, sizeof(*s));
	s->fx.fcw = 0x37f;
	s->fx.fsw = pick(3) ? 0 : pick(8) << 11;
	s->fx.ftw = rnd();
	if (!pick(32)) { /* an x87 exception is pending */
		s->fx.fcw = 0x37e;
		s->fx.fsw |= 0x8081;
	}
	s->fx.mxcsr = random_mxcsr();
	for (unsigned n = 0; n < 8; n++) {
		fill_vector(s->fx.st[n]);
		memset(s->fx.st[n] + 10, 0, 6);
	}
	for (unsigned n = 0; n < 16; n++)
		fill_vector(s->fx.xmm[n]);
	for (unsigned n = 0; n < 16; n++)
		s->gpr[n] = pick(2) ? rnd() : pick(2) ? value64() : (u64)pick(40) - 20;
	s->gpr[RSI] = s->gpr[RDI] = (u64)data + 64 + (pick(16) ? 0 : pick(16));
	s->gpr[RSP] = s->gpr[R15] = 0;
	s->rflags = 0x202 | (rnd() & RFLAGS_STATUS);
	s->code = (u64)code;
}

static void report(const char *what, const struct state *in, const struct state *native, const struct state *soft)
{
	printf("%s: %s differs; mxcsr %x -> native %x soft %x; vector native %u soft %u; fsw %x -> %x %x\n",
	       code_bytes(), what, in->fx.mxcsr, native->fx.mxcsr, soft->fx.mxcsr, native->vector, soft->vector,
	       in->fx.fsw, native->fx.fsw, soft->fx.fsw);
	for (unsigned n = 0; n < 16; n++)
		if (memcmp(native->fx.xmm[n], soft->fx.xmm[n], 16))
			printf("  xmm%u %016lx%016lx native %016lx%016lx soft %016lx%016lx\n", n,
			       load64(in->fx.xmm[n] + 8), load64(in->fx.xmm[n]), load64(native->fx.xmm[n] + 8),
			       load64(native->fx.xmm[n]), load64(soft->fx.xmm[n] + 8), load64(soft->fx.xmm[n]));
	for (unsigned n = 0; n < 16; n++)
		if (native->gpr[n] != soft->gpr[n])
			printf("  gpr%u %lx native %lx soft %lx\n", n, in->gpr[n], native->gpr[n], soft->gpr[n]);
}

/* What differs, or NULL. After a fault only vector and MXCSR are known natively, and soft must have changed nothing. */
static const char *compare(const struct state *in, const struct state *native, const struct state *soft)
{
	const struct state *want = native->vector == NO_VECTOR ? native : in;

	if (native->vector != soft->vector)
		return "vector";
	if (native->fx.mxcsr != soft->fx.mxcsr)
		return "mxcsr";
	if (memcmp(want->gpr, soft->gpr, sizeof(soft->gpr)))
		return "general registers";
	if ((want->rflags ^ soft->rflags) & RFLAGS_STATUS)
		return "flags";
	if (memcmp(want->fx.xmm, soft->fx.xmm, sizeof(soft->fx.xmm)))
		return "xmm";
	if (memcmp(want->fx.st, soft->fx.st, sizeof(soft->fx.st)))
		return "mmx";
	if (want->fx.fsw != soft->fx.fsw || want->fx.ftw != soft->fx.ftw)
		return "x87 state";
	return NULL;
}

static unsigned nr_forms, nr_runs, nr_faults, nr_undefined, nr_host_only;

/* The reciprocal estimates differ between vendors and have a test of their own. */
static bool is_estimate(const struct form *f)
{
	return f->map == 0x0f && (f->op == 0x52 || f->op == 0x53);
}

/* An entry without a handler: #UD here whatever the host takes it for (AMD's MOVNTSS, for one). */
static unsigned undefined_check(const struct form *f)
{
	struct state in, native, soft;

	form_encode(f);
	random_state(&in);
	native = soft = in;
	native_run(&native);
	soft_run(&soft);
	nr_undefined++;
	nr_host_only += native.vector != X86_UD;
	if (soft.vector != X86_UD)
		report("not undefined: vector", &in, &native, &soft);
	return soft.vector != X86_UD;
}

/* CVTPI2PS from memory enters MMX state as the SDM has it; not so on AMD. */
static bool is_cvtpi2ps_mem(const struct form *f)
{
	return f->map == 0x0f && f->op == 0x2a && !f->prefix && f->mem;
}

static unsigned form_check(const struct form *f)
{
	static u8 before[PAGE_SIZE], after[PAGE_SIZE];
	unsigned bad = 0;

	nr_forms++;
	for (unsigned round = 0; round < ROUNDS && bad < 3; round++) {
		struct state in, native, soft;
		const char *what;

		form_encode(f);
		random_state(&in);
		if (is_cvtpi2ps_mem(f)) {
			in.fx.fsw = 0;
			in.fx.fcw = 0x37f;
			in.fx.ftw = 0xff;
		}
		for (unsigned n = 0; n < 256; n += 16)
			fill_vector(data + n);
		memcpy(before, data, PAGE_SIZE);
		native = soft = in;
		native_run(&native);
		memcpy(after, data, PAGE_SIZE);
		memcpy(data, before, PAGE_SIZE);
		soft_run(&soft);
		what = compare(&in, &native, &soft);
		if (!what && memcmp(after, data, PAGE_SIZE))
			what = "memory";
		if (what) {
			report(what, &in, &native, &soft);
			bad++;
		}
		nr_runs++;
		nr_faults += native.vector != NO_VECTOR;
	}
	return bad;
}

/* Both forms of an entry without sub-entries. */
static unsigned entry_check(struct form f, const struct opcode *o)
{
	unsigned bad = 0;

	f.imm = o->flags & OP_IMM8U;
	for (unsigned mem = 0; mem < (f.modrm ? 2 : 1); mem++) {
		f.mem = mem;
		if (!(mem ? o->mem : o->reg)[1])
			bad += undefined_check(&f);
		else if (!is_estimate(&f))
			bad += form_check(&f);
	}
	return bad;
}

static unsigned map_check(const struct opcode *map, unsigned number)
{
	unsigned bad = 0;

	for (unsigned op = 0; op < 256; op++) {
		if (!map[op].sub)
			continue;
		for (unsigned prefix = 0; prefix < 4; prefix++) {
			const struct opcode *o = &map[op].sub[prefix];
			struct form f = {number, op, prefix, -1, .modrm = map[op].flags & OP_MODRM};

			if (!(o->flags & OP_GROUP)) {
				bad += entry_check(f, o);
				continue;
			}
			for (f.ext = 0; f.ext < 8; f.ext++) {
				struct opcode sub = o->sub[f.ext];

				sub.flags |= o->flags;
				bad += entry_check(f, &sub);
			}
		}
	}
	return bad;
}

START_TEST(test_map_0f)
{
	ck_assert_uint_eq(map_check(sse_0f, 0x0f), 0);
}
END_TEST

START_TEST(test_map_0f38)
{
	ck_assert_uint_eq(map_check(sse_0f38, 0x38), 0);
}
END_TEST

START_TEST(test_map_0f3a)
{
	ck_assert_uint_eq(map_check(sse_0f3a, 0x3a), 0);
}
END_TEST

/* --- what the host can't tell --- */

/* Runs the bytes in @text (hexadecimal) from a plain state; what it changed is in the state returned. */
static struct state *soft_hex(const char *text)
{
	static struct state s;
	u8 *p = code;

	memset(code, 0xcc, 64);
	for (; *text; text += 2) {
		char digits[3] = {text[0], text[1]};

		*p++ = strtoul(digits, NULL, 16);
	}
	memset(&s, 0, sizeof(s));
	s.fx.fcw = 0x37f;
	s.fx.mxcsr = 0x1f80;
	s.gpr[RSI] = s.gpr[RDI] = (u64)data;
	soft_run(&s);
	return &s;
}

static float estimate(unsigned op, u32 x)
{
	struct state s = {.fx.mxcsr = 0x1f80, .gpr[RSI] = (u64)data};
	float f;

	memcpy(code, (const u8[]){0xf3, 0x0f, op, 0x06}, 4);
	store32(data, x);
	soft_run(&s);
	ck_assert_uint_eq(s.fx.mxcsr, 0x1f80);
	memcpy(&f, s.fx.xmm[0], 4);
	return f;
}

/* The manual's bound on the relative error of RCPSS and RSQRTSS, over every interval and some exponents. */
START_TEST(test_estimates)
{
	double worst_rcp = 0, worst_root = 0;

	for (unsigned n = 0; n < 16384; n++) {
		/* both ends of every interval, both parities of the exponent, then other exponents */
		u32 exp = n < 8192 ? 127 + (n & 1) : 1 + pick(252);
		u32 bits = exp << 23 | (n >> 2 & 0x7ff) << 12 | (n & 2 ? 0xfff : 0);
		float x;

		memcpy(&x, &bits, 4);
		worst_rcp = fmax(worst_rcp, fabs(estimate(0x53, bits) * (double)x - 1));
		worst_root = fmax(worst_root, fabs(estimate(0x52, bits) * sqrt((double)x) - 1));
	}
	printf("worst relative errors: RCP %.3f, RSQRT %.3f of 2^-12\n", worst_rcp * 4096, worst_root * 4096);
	ck_assert_double_le(worst_rcp, 1.5 / 4096);
	ck_assert_double_le(worst_root, 1.5 / 4096);
}
END_TEST

START_TEST(test_estimates_special)
{
	static const struct {
		u32 x, rcp, root;
	} table[] = {
	    {0x00000000, 0x7f800000, 0x7f800000}, {0x80000000, 0xff800000, 0xff800000}, /* zeros */
	    {0x007fffff, 0x7f800000, 0x7f800000}, {0x80000001, 0xff800000, 0xff800000}, /* denormals */
	    {0x7f800000, 0x00000000, 0x00000000}, {0xff800000, 0x80000000, 0xffc00000}, /* infinities */
	    {0x7fa00001, 0x7fe00001, 0x7fe00001}, {0xffc12345, 0xffc12345, 0xffc12345}, /* NaNs */
	    {0x7f7fffff, 0x00000000, 0x1f800000}, {0xff000000, 0x80000000, 0xffc00000}, /* tiny results; negative */
	};

	for (unsigned n = 0; n < ARRAY_SIZE(table); n++) {
		float rcp = estimate(0x53, table[n].x), root = estimate(0x52, table[n].x);

		ck_assert_uint_eq(load32(&rcp), table[n].rcp);
		if (table[n].x == 0x7f7fffff)
			ck_assert_uint_eq(load32(&root) >> 16, table[n].root >> 16);
		else
			ck_assert_uint_eq(load32(&root), table[n].root);
	}
}
END_TEST

/* What the CPU model lacks, and encodings that name nothing: #UD whatever the host has. */
START_TEST(test_undefined)
{
	static const char *const text[] = {
	    "660f38dcc1",   "660f38dbc1", "660f3adfc100", /* AES */
	    "660f3a44c100",                               /* PCLMULQDQ */
	    "0f38c8c1",     "0f3accc100",                 /* SHA */
	    "660f38cfc1",                                 /* GFNI */
	    "660f78c00000", "f20f79c1",   "f30f2b06",     /* SSE4a */
	    "f30f54c1",     "660f12c1",   "0f13c1",       "0f5006",   "660fc306",
	    "660fe7c1",     "f20ff0c1",   "0f71c100",     "0f73d900",
	};

	for (unsigned n = 0; n < ARRAY_SIZE(text); n++)
		ck_assert_msg(soft_hex(text[n])->vector == X86_UD, "%s", text[n]);
}
END_TEST

/* #XM is #UD while the system hasn't said that it handles #XM (SDM 3A, CR4.OSXMMEXCPT). */
START_TEST(test_osxmmexcpt)
{
	struct state s = {.fx.mxcsr = 0x1d80};

	memcpy(code, "\x0f\x5e\xc1", 3); /* DIVPS of zeros and ones: 0 / 0 is masked, 1 / 0 not */
	store32(s.fx.xmm[0], 0x3f800000);
	soft_run(&s);
	ck_assert_uint_eq(s.vector, X86_XM);
	ck_assert_uint_eq(s.fx.mxcsr, 0x1d85);
	s.fx.mxcsr = 0x1d80;
	cpu->vcpu.regs.cr4 &= ~CR4_OSXMMEXCPT;
	soft_run(&s);
	ck_assert_uint_eq(s.vector, X86_UD);
	ck_assert_uint_eq(load32(s.fx.xmm[0]), 0x3f800000);
}
END_TEST

/* Availability: SSE needs CR4.OSFXSR, not CR0.EM and not CR0.TS; MMX and MOVNTI don't look at OSFXSR. */
START_TEST(test_availability)
{
	cpu->sse_ok = false;
	cpu->vcpu.regs.cr4 &= ~CR4_OSFXSR;
	ck_assert_uint_eq(soft_hex("0f58c1")->vector, X86_UD);
	ck_assert_uint_eq(soft_hex("660f6fc1")->vector, X86_UD);
	ck_assert_uint_eq(soft_hex("0f2ac1")->vector, X86_UD);
	ck_assert_uint_eq(soft_hex("0ffcc1")->vector, NO_VECTOR);
	ck_assert_uint_eq(soft_hex("0fc306")->vector, NO_VECTOR);
	cpu->vcpu.regs.cr4 |= CR4_OSFXSR;
	cpu->vcpu.regs.cr0 |= CR0_TS;
	cpu->x87_ok = false;
	ck_assert_uint_eq(soft_hex("0f58c1")->vector, X86_NM);
	ck_assert_uint_eq(soft_hex("0ffcc1")->vector, X86_NM);
	ck_assert_uint_eq(soft_hex("0f77")->vector, X86_NM);
	ck_assert_uint_eq(soft_hex("0fc306")->vector, NO_VECTOR);
	cpu->vcpu.regs.cr0 |= CR0_EM;
	ck_assert_uint_eq(soft_hex("0f58c1")->vector, X86_UD);
	ck_assert_uint_eq(soft_hex("0ffcc1")->vector, X86_UD);
}
END_TEST

static void setup(void)
{
	struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_NODEFER};
	struct tlb_entry *e;

	sigaction(SIGILL, &sa, NULL);
	sigaction(SIGFPE, &sa, NULL);
	sigaction(SIGSEGV, &sa, NULL);
	code = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	data = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert(code != MAP_FAILED && data != MAP_FAILED);
	cpu = calloc(1, sizeof(*cpu));
	ck_assert_ptr_nonnull(cpu);
	cpu->tlb = &cpu->tlbs[MMU_KERNEL];
	memset(cpu->tlb->entry, 0xff, sizeof(cpu->tlb->entry));
	e = &cpu->tlb->entry[((u64)data >> PAGE_SHIFT) & (TLB_SIZE - 1)];
	e->tag[ACCESS_READ] = e->tag[ACCESS_WRITE] = (u64)data;
	e->addend = 0;
	cpu->mode = MODE_64;
	cpu->sse_ok = cpu->x87_ok = true;
	cpu->vcpu.regs.cr0 = CR0_PE | CR0_PG | CR0_NE | CR0_ET | CR0_MP;
	cpu->vcpu.regs.cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
	cpu->vcpu.regs.efer = EFER_LME | EFER_LMA;
	cpu->vcpu.regs.seg[SEG_CS].ar = AR_P | AR_S | AR_CODE | AR_L;
}

static void teardown(void)
{
	if (nr_forms)
		printf("%u forms, %u runs compared with the host, %u of them faults; %u undefined, %u of them not on "
		       "the host\n",
		       nr_forms, nr_runs, nr_faults, nr_undefined, nr_host_only);
	fflush(stdout);
	free(cpu);
	munmap(code, PAGE_SIZE);
	munmap(data, PAGE_SIZE);
}

int main(void)
{
	Suite *suite = suite_create("sse");
	TCase *tc = tcase_create("native");
	SRunner *runner;
	int failed;

	setvbuf(stdout, NULL, _IOLBF, 0);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, test_map_0f);
	tcase_add_test(tc, test_map_0f38);
	tcase_add_test(tc, test_map_0f3a);
	tcase_add_test(tc, test_estimates);
	tcase_add_test(tc, test_estimates_special);
	tcase_add_test(tc, test_undefined);
	tcase_add_test(tc, test_osxmmexcpt);
	tcase_add_test(tc, test_availability);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
