/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Comparing, shrinking and printing. */
#include <stdio.h>

#include "tests/cpu/diff.h"
#include "tests/cpu/isa.h"
#include "vmm/x86/regs.h"

static const char *const gpr_name[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
					 "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

static const char *const seg_name[6] = {"es", "cs", "ss", "ds", "fs", "gs"};

/* What is undefined where the case ended. */
static void undefined_at(const struct diff_case *c, u64 rip, u64 *flags, u16 *fsw)
{
	unsigned n = diff_insn_at(c, rip);

	*flags = c->undefined[n];
	*fsw = c->undefined_fsw[n];
	if (n < c->count ? !c->insn[c->count - 1].last : rip == c->start[n] || rip == c->start[n] + 1)
		return;
	for (n = c->count; n--;) { /* somewhere else, or again in the sequence, from anywhere */
		*flags |= c->undefined[n];
		*fsw |= c->undefined_fsw[n];
	}
}

#define FLAGS_COMPARED \
	(RFLAGS_RF | RFLAGS_STATUS | RFLAGS_DF | RFLAGS_TF | RFLAGS_NT | RFLAGS_AC | RFLAGS_ID | RFLAGS_IF)

static u64 flags_compared(const struct diff_case *c, const struct diff_result *r)
{
	u64 undefined;
	u16 fsw;

	undefined_at(c, r->regs.rip, &undefined, &fsw);
	/* AMD clears RF for the single step between two iterations of a string instruction, Intel sets it. */
	if (r->vector == X86_DB && !c->intel_host)
		undefined |= RFLAGS_RF;
	return r->regs.rflags & FLAGS_COMPARED & ~undefined;
}

static u16 fsw_compared(const struct diff_case *c, const struct diff_result *r)
{
	u64 undefined;
	u16 fsw;

	undefined_at(c, r->regs.rip, &undefined, &fsw);
	return r->regs.fpu.fsw & ~fsw;
}

/* The error code, with what Linux changes undone: it reports faults at kernel addresses as protection faults, and
 * tells no code of the exceptions where it is always 0. */
static u32 error_compared(const struct diff_result *r)
{
	if (r->vector == X86_PF && r->cr2 >= 0x7ffffffff000)
		return r->error | PF_P;
	return r->error;
}

/* IRET to user mode makes every null selector 0 (SDM 2A, IRET): so does the kernel's on the way into the handler. */
static u16 selector_compared(const struct diff_result *r, unsigned n)
{
	return r->regs.seg[n] & ~3 ? r->regs.seg[n] : 0;
}

static bool segments_equal(const struct diff_result *a, const struct diff_result *b)
{
	for (unsigned n = 0; n < 6; n++)
		if (selector_compared(a, n) != selector_compared(b, n))
			return false;
	return a->regs.fs_base == b->regs.fs_base && a->regs.gs_base == b->regs.gs_base;
}

static u64 gpr_mask(const struct diff_case *c, const struct diff_result *a, unsigned r)
{
	/* The upper halves are undefined after 32-bit code. */
	return (c->bits != 64 || a->regs.seg[SEG_CS] != USER64_CS) && r < 8 ? 0xffffffff : ~0ull;
}

/* The unit that @rip is in or behind, when it is the last; count when it isn't in the sequence. */
unsigned diff_insn_at(const struct diff_case *c, u64 rip)
{
	for (unsigned n = 0; n < c->count; n++)
		if (rip >= c->start[n] && rip < c->start[n + 1])
			return n;
	return c->count;
}

static bool fpu_equal(const struct diff_case *c, const struct diff_result *a, const struct diff_result *b)
{
	const struct diff_fpu *x = &a->regs.fpu, *y = &b->regs.fpu;

	if (diff_approximate(c, a, b))
		return true;
	for (unsigned i = 0; i < 8; i++)
		if (x->st[i].mant != y->st[i].mant || x->st[i].se != y->st[i].se)
			return false;
	return x->fcw == y->fcw && x->ftw == y->ftw && x->mxcsr == y->mxcsr &&
	       fsw_compared(c, a) == fsw_compared(c, b) && !memcmp(x->xmm, y->xmm, sizeof(x->xmm));
}

bool diff_equal(const struct diff_case *c, const struct diff_result *a, const struct diff_result *b)
{
	if (diff_known(c, a, b))
		return true;
	for (unsigned r = 0; r < 16; r++)
		if ((a->regs.gpr[r] ^ b->regs.gpr[r]) & gpr_mask(c, a, r))
			return false;
	if (a->regs.rip != b->regs.rip || flags_compared(c, a) != flags_compared(c, b) || !segments_equal(a, b) ||
	    !fpu_equal(c, a, b))
		return false;
	return diff_fault_free(c, a, b) || (a->vector == b->vector && error_compared(a) == error_compared(b) &&
					    (a->vector != X86_PF || a->cr2 == b->cr2) && a->memory == b->memory);
}

bool differ_run(struct differ *d, struct diff_case *c, struct diff_result *native, struct diff_result *soft)
{
	native_run(d->native, c, 1, native);
	interp_run(d->interp, c, soft);
	return native->vector == DIFF_HANG || soft->vector == DIFF_HANG || diff_equal(c, native, soft);
}

/* The case with the units of @keep only: false if that makes no case. */
static bool subset(struct differ *d, const struct diff_case *c, unsigned keep, struct diff_case *out)
{
	int place[DIFF_MAX_INSNS + 1];

	*out = *c;
	out->count = 0;
	for (unsigned n = 0; n <= c->count; n++)
		place[n] = __builtin_popcount(keep & ((1u << n) - 1));
	for (unsigned n = 0; n < c->count; n++) {
		struct diff_insn *insn = &out->insn[out->count];

		if (!(keep >> n & 1))
			continue;
		*insn = c->insn[n];
		if (insn->target >= 0)
			insn->target = place[(unsigned)insn->target];
		if (insn->modifies >= 0 && !(keep >> insn->modifies & 1))
			return false;
		if (insn->modifies >= 0)
			insn->modifies = place[(unsigned)insn->modifies];
		out->count++;
	}
	return diff_assemble(d->gen, out);
}

/* Registers to 0 where the difference stays. */
static void shrink_registers(struct differ *d, struct diff_case *c)
{
	struct diff_result native, soft;
	struct diff_case smaller;

	for (unsigned r = 0; r < 16; r++) {
		smaller = *c;
		smaller.in.gpr[r] = 0;
		if (r != RSI && c->in.gpr[r] && !differ_run(d, &smaller, &native, &soft))
			*c = smaller;
	}
}

void differ_shrink(struct differ *d, struct diff_case *c)
{
	struct diff_result native, soft;
	struct diff_case smaller;

	for (unsigned size = 1; size <= c->count; size++) {
		for (unsigned keep = 1; keep < 1u << c->count; keep++) {
			if ((unsigned)__builtin_popcount(keep) != size || !subset(d, c, keep, &smaller))
				continue;
			if (!differ_run(d, &smaller, &native, &soft)) {
				*c = smaller;
				shrink_registers(d, c);
				return;
			}
		}
	}
}

/* The sequence as it is laid out; MOVs that belong to an instruction too. */
static void print_code(const struct diff_case *c)
{
	unsigned at = 0, end = c->start[c->count] - c->start[0];
	ZydisFormatter formatter;
	ZydisDecoder decoder;

	isa_decoder_init(&decoder, c->bits);
	ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
	while (at < end) {
		ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
		ZydisDecodedInstruction i = {.length = end - at};
		char text[128] = "?";

		if (ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, c->code + at, end - at, &i, operands)))
			ZydisFormatterFormatInstruction(&formatter, &i, operands, i.operand_count_visible, text,
							sizeof(text), c->start[0] + at, NULL);
		else
			i.length = end - at;
		printf("  %08lx  ", c->start[0] + at);
		for (unsigned k = 0; k < 16; k++)
			printf(k < i.length ? "%02x" : "  ", c->code[at + k]);
		printf("  %s\n", text);
		at += i.length;
	}
}

static void print_difference(const char *name, u64 native, u64 soft)
{
	if (native != soft)
		printf("  %-9s native %016lx  soft %016lx\n", name, native, soft);
}

static void print_inputs(const struct diff_case *c, bool fpu)
{
	for (unsigned r = 0; r < 16; r++)
		printf("  %-3s %016lx%s", gpr_name[r], c->in.gpr[r], (r & 3) == 3 ? "\n" : "");
	printf("  rflags %lx  es %x cs %x ss %x ds %x fs %x gs %x  fs base %lx gs base %lx", c->in.rflags, c->in.seg[0],
	       c->in.seg[1], c->in.seg[2], c->in.seg[3], c->in.seg[4], c->in.seg[5], c->in.fs_base, c->in.gs_base);
	if (!fpu) {
		printf("\n");
		return;
	}
	printf("  fcw %x  fsw %x  ftw %x  mxcsr %x\n", c->in.fpu.fcw, c->in.fpu.fsw, c->in.fpu.ftw, c->in.fpu.mxcsr);
	for (unsigned i = 0; i < 16; i++)
		printf("  xmm%-2u %016lx %016lx%s", i, load64(c->in.fpu.xmm[i] + 8), load64(c->in.fpu.xmm[i]),
		       (i & 1) ? "\n" : "");
	for (unsigned i = 0; i < 8; i++)
		printf("  st%u %04x.%016lx%s", i, c->in.fpu.st[i].se, c->in.fpu.st[i].mant, (i & 3) == 3 ? "\n" : "");
}

static void print_fpu(const struct diff_case *c, const struct diff_result *native, const struct diff_result *soft)
{
	const struct diff_fpu *x = &native->regs.fpu, *y = &soft->regs.fpu;
	char name[16];

	print_difference("fcw", x->fcw, y->fcw);
	print_difference("fsw", fsw_compared(c, native), fsw_compared(c, soft));
	print_difference("ftw", x->ftw, y->ftw);
	print_difference("mxcsr", x->mxcsr, y->mxcsr);
	for (unsigned i = 0; i < 8; i++) {
		if (x->st[i].mant == y->st[i].mant && x->st[i].se == y->st[i].se)
			continue;
		printf("  st%u       native %04x.%016lx  soft %04x.%016lx\n", i, x->st[i].se, x->st[i].mant,
		       y->st[i].se, y->st[i].mant);
	}
	for (unsigned i = 0; i < 16; i++) {
		snprintf(name, sizeof(name), "xmm%u high", i);
		print_difference(name, load64(x->xmm[i] + 8), load64(y->xmm[i] + 8));
		snprintf(name, sizeof(name), "xmm%u low", i);
		print_difference(name, load64(x->xmm[i]), load64(y->xmm[i]));
	}
}

static void print_memory(struct differ *d)
{
	const u8 *native = native_data(d->native), *soft = interp_data(d->interp);
	unsigned shown = 0;

	for (unsigned i = 0; i < DIFF_DATA_SIZE && shown < 16; i++) {
		if (native[i] == soft[i])
			continue;
		printf("  [%08lx] %02x  native %02x  soft %02x\n", (u64)DIFF_DATA + i, d->data[i], native[i], soft[i]);
		shown++;
	}
}

void differ_print(struct differ *d, struct diff_case *c)
{
	struct diff_result native, soft;

	differ_run(d, c, &native, &soft);
	printf("%u-bit code%s:\n", c->bits, c->segmented ? ", segments of the LDT" : "");
	print_code(c);
	printf(" from\n");
	print_inputs(c, !fpu_equal(c, &native, &soft) || c->in.fpu.ftw || load64(c->in.fpu.xmm[0]));
	printf(" to (vector %u and %u, cs %x ss %x)\n", native.vector, soft.vector, native.regs.seg[1],
	       native.regs.seg[2]);
	for (unsigned r = 0; r < 16; r++)
		print_difference(gpr_name[r], native.regs.gpr[r] & gpr_mask(c, &native, r),
				 soft.regs.gpr[r] & gpr_mask(c, &native, r));
	print_difference("rip", native.regs.rip, soft.regs.rip);
	print_difference("rflags", flags_compared(c, &native), flags_compared(c, &soft));
	print_difference("vector", native.vector, soft.vector);
	print_difference("error", error_compared(&native), error_compared(&soft));
	if (native.vector == X86_PF || soft.vector == X86_PF)
		print_difference("cr2", native.cr2, soft.cr2);
	for (unsigned n = 0; n < 6; n++)
		print_difference(seg_name[n], selector_compared(&native, n), selector_compared(&soft, n));
	print_difference("fs base", native.regs.fs_base, soft.regs.fs_base);
	print_difference("gs base", native.regs.gs_base, soft.regs.gs_base);
	print_fpu(c, &native, &soft);
	print_memory(d);
	printf("\n");
}
