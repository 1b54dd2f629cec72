/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Comparing, shrinking and printing. */
#include <stdio.h>

#include "tests/cpu/diff.h"
#include "tests/cpu/isa.h"
#include "vmm/x86/regs.h"

static const char *const gpr_name[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
					 "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

/* What is undefined where the case ended. */
static void undefined_at(const struct diff_case *c, u64 rip, u64 *flags, u16 *fsw)
{
	*flags = *fsw = 0;
	for (unsigned n = 0; n <= c->count; n++) {
		if (c->start[n] == rip || (n == c->count && rip == c->start[n] + 1)) {
			*flags = c->undefined[n];
			*fsw = c->undefined_fsw[n];
			return;
		}
		*flags |= c->undefined[n];
		*fsw |= c->undefined_fsw[n];
	}
}

/* RF depends on how the case ended, ID on the kernel's mercy. */
#define FLAGS_COMPARED (RFLAGS_STATUS | RFLAGS_DF | RFLAGS_TF | RFLAGS_NT | RFLAGS_AC | RFLAGS_ID | RFLAGS_IF)

static u64 flags_compared(const struct diff_case *c, const struct diff_result *r)
{
	u64 undefined;
	u16 fsw;

	undefined_at(c, r->regs.rip, &undefined, &fsw);
	return r->regs.rflags & FLAGS_COMPARED & ~undefined;
}

static u16 fsw_compared(const struct diff_case *c, const struct diff_result *r)
{
	u64 undefined;
	u16 fsw;

	undefined_at(c, r->regs.rip, &undefined, &fsw);
	return r->regs.fpu.fsw & ~fsw;
}

/* The error code, with what Linux changes undone: it reports faults at kernel addresses as protection faults. */
static u32 error_compared(const struct diff_result *r)
{
	if (r->vector == X86_PF && r->cr2 >= 0x7ffffffff000)
		return r->error | PF_P;
	return r->vector == X86_PF ? r->error : 0;
}

static u64 gpr_mask(const struct diff_case *c, unsigned r)
{
	/* The upper halves are undefined after 32-bit code. */
	return c->bits32 && r < 8 ? 0xffffffff : ~0ull;
}

static bool fpu_equal(const struct diff_case *c, const struct diff_result *a, const struct diff_result *b)
{
	const struct diff_fpu *x = &a->regs.fpu, *y = &b->regs.fpu;

	for (unsigned i = 0; i < 8; i++)
		if (x->st[i].mant != y->st[i].mant || x->st[i].se != y->st[i].se)
			return false;
	return x->fcw == y->fcw && x->ftw == y->ftw && x->mxcsr == y->mxcsr &&
	       fsw_compared(c, a) == fsw_compared(c, b) && !memcmp(x->xmm, y->xmm, sizeof(x->xmm));
}

/* The instruction at @rip, or count. */
static unsigned insn_at(const struct diff_case *c, u64 rip)
{
	unsigned n = 0;

	while (n < c->count && c->start[n] != rip)
		n++;
	return n;
}

static u16 mnemonic_at(const struct diff_case *c, u64 rip)
{
	unsigned n = insn_at(c, rip);

	return n < c->count ? c->insn[n].mnemonic : ZYDIS_MNEMONIC_INVALID;
}

static bool wide_at(const struct diff_case *c, u64 rip)
{
	unsigned n = insn_at(c, rip);

	return n < c->count && c->insn[n].wide;
}

/* Which of several faults comes first, and how far an instruction of several accesses gets before it faults, is the
 * processor's choice; the interpreter's is that of Intel processors as far as known. On other hosts it is enough that
 * the same instruction faults. @a is the host's result. */
static bool fault_order_free(const struct diff_case *c, const struct diff_result *a, const struct diff_result *b)
{
	/* 16-byte operands across the end of a 32-bit segment: alignment or limit? */
	if (a->vector == X86_GP && b->vector == X86_SS && c->bits32)
		return true;
	switch (mnemonic_at(c, a->regs.rip)) {
	case ZYDIS_MNEMONIC_CMPSB:
	case ZYDIS_MNEMONIC_CMPSW:
	case ZYDIS_MNEMONIC_CMPSD:
	case ZYDIS_MNEMONIC_CMPSQ:
	case ZYDIS_MNEMONIC_ENTER:
	case ZYDIS_MNEMONIC_PUSHA:
	case ZYDIS_MNEMONIC_PUSHAD:
	case ZYDIS_MNEMONIC_POPA:
	case ZYDIS_MNEMONIC_POPAD:
		return true;
	case ZYDIS_MNEMONIC_CALL: /* the stack, or a target that isn't canonical */
		return b->vector == X86_GP;
	case ZYDIS_MNEMONIC_MASKMOVQ: /* MMX state is entered before the fault */
		return a->vector == b->vector;
	case ZYDIS_MNEMONIC_CVTPS2PI:
	case ZYDIS_MNEMONIC_CVTTPS2PI:
	case ZYDIS_MNEMONIC_CVTPD2PI:
	case ZYDIS_MNEMONIC_CVTTPD2PI:
	case ZYDIS_MNEMONIC_CVTPI2PS:
		return a->vector == X86_XM && b->vector == X86_XM;
	case ZYDIS_MNEMONIC_FLDENV: /* the last byte is looked at first */
	case ZYDIS_MNEMONIC_FRSTOR:
		return a->vector == X86_PF && b->vector == X86_PF;
	default:
		return false;
	}
}

static bool is_x87_store(u16 m)
{
	return m == ZYDIS_MNEMONIC_FST || m == ZYDIS_MNEMONIC_FSTP || m == ZYDIS_MNEMONIC_FIST ||
	       m == ZYDIS_MNEMONIC_FISTP || m == ZYDIS_MNEMONIC_FISTTP || m == ZYDIS_MNEMONIC_FBSTP;
}

/* Differences of the host from Intel processors, where the interpreter follows the latter. */
static bool host_differs(const struct diff_case *c, const struct diff_result *a, const struct diff_result *b)
{
	if (c->intel_host)
		return false;
	/* AMD has a bit more in MXCSR (misaligned operands allowed), so LDMXCSR takes it. */
	if (a->regs.fpu.mxcsr & BIT(17))
		return true;
	/* ARPL asks for write access even if it will not write. */
	if (b->vector != X86_BP && mnemonic_at(c, b->regs.rip) == ZYDIS_MNEMONIC_ARPL)
		return true;
	/* Alignment or page fault first? And are SSE operands checked that need no alignment otherwise? */
	if (a->vector == X86_AC && (b->vector == X86_PF || wide_at(c, a->regs.rip)))
		return true;
	/* A store that an unmasked x87 exception suppresses is checked all the same. */
	if (a->vector != X86_BP && is_x87_store(mnemonic_at(c, a->regs.rip)) && b->regs.rip != a->regs.rip)
		return true;
	/* Beyond the last byte of a 4 GiB segment: wraps around, or is a limit violation (SDM 3A 5.3). */
	if (c->bits32 && a->vector == X86_PF && a->cr2 >= 0xfffff000 && (b->vector == X86_GP || b->vector == X86_SS))
		return true;
	return a->vector != X86_BP && b->vector != X86_BP && a->regs.rip == b->regs.rip && fault_order_free(c, a, b);
}

bool diff_equal(const struct diff_case *c, const struct diff_result *a, const struct diff_result *b)
{
	if (host_differs(c, a, b))
		return true;
	for (unsigned r = 0; r < 16; r++)
		if ((a->regs.gpr[r] ^ b->regs.gpr[r]) & gpr_mask(c, r))
			return false;
	return a->vector == b->vector && a->regs.rip == b->regs.rip && error_compared(a) == error_compared(b) &&
	       (a->vector != X86_PF || a->cr2 == b->cr2) && flags_compared(c, a) == flags_compared(c, b) &&
	       a->memory == b->memory && fpu_equal(c, a, b);
}

bool differ_run(struct differ *d, struct diff_case *c, struct diff_result *native, struct diff_result *soft)
{
	native_run(d->native, c, 1, native);
	interp_run(d->interp, c, soft);
	return native->vector == DIFF_HANG || diff_equal(c, native, soft);
}

/* The case without instruction @n: false if that makes no case. */
static bool without(struct differ *d, const struct diff_case *c, unsigned n, struct diff_case *out)
{
	*out = *c;
	out->count--;
	memmove(&out->insn[n], &c->insn[n + 1], (c->count - n - 1) * sizeof(c->insn[0]));
	for (unsigned i = 0; i < out->count; i++)
		if (out->insn[i].target > (int)n)
			out->insn[i].target--;
	return out->count && diff_assemble(d->gen, out);
}

void differ_shrink(struct differ *d, struct diff_case *c)
{
	struct diff_result native, soft;
	struct diff_case smaller;
	unsigned n = 0;

	while (n < c->count) {
		if (without(d, c, n, &smaller) && !differ_run(d, &smaller, &native, &soft)) {
			*c = smaller;
			n = 0;
		} else {
			n++;
		}
	}
}

static void print_code(const struct diff_case *c)
{
	ZydisFormatter formatter;
	ZydisDecoder decoder;

	isa_decoder_init(&decoder, c->bits32 ? 32 : 64);
	ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
	for (unsigned n = 0; n < c->count; n++) {
		ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
		const u8 *bytes = c->code + (c->start[n] - c->start[0]);
		ZydisDecodedInstruction i;
		char text[128] = "?";

		if (ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, c->insn[n].len, &i, operands)))
			ZydisFormatterFormatInstruction(&formatter, &i, operands, i.operand_count_visible, text,
							sizeof(text), c->start[n], NULL);
		printf("  %08lx  ", c->start[n]);
		for (unsigned k = 0; k < 15; k++)
			printf(k < c->insn[n].len ? "%02x" : "  ", bytes[k]);
		printf("  %s\n", text);
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
	printf("  rflags %lx", c->in.rflags);
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
	printf("%u-bit code:\n", c->bits32 ? 32 : 64);
	print_code(c);
	printf(" from\n");
	print_inputs(c, !fpu_equal(c, &native, &soft) || c->in.fpu.ftw || load64(c->in.fpu.xmm[0]));
	printf(" to (vector %u and %u)\n", native.vector, soft.vector);
	for (unsigned r = 0; r < 16; r++)
		print_difference(gpr_name[r], native.regs.gpr[r] & gpr_mask(c, r), soft.regs.gpr[r] & gpr_mask(c, r));
	print_difference("rip", native.regs.rip, soft.regs.rip);
	print_difference("rflags", flags_compared(c, &native), flags_compared(c, &soft));
	print_difference("vector", native.vector, soft.vector);
	print_difference("error", error_compared(&native), error_compared(&soft));
	if (native.vector == X86_PF || soft.vector == X86_PF)
		print_difference("cr2", native.cr2, soft.cr2);
	print_fpu(c, &native, &soft);
	print_memory(d);
	printf("\n");
}
