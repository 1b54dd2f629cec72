/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is not compared, each with its reason. docs/cpu-coverage.md says it in words: keep them alike. */
#include "tests/cpu/gen.h"
#include "vmm/x86/regs.h"

/* --- instructions left out --- */

static bool has_rep(const ZydisDecodedInstruction *i)
{
	for (unsigned k = 0; k < i->raw.prefix_count; k++)
		if (i->raw.prefixes[k].value == 0xf2 || i->raw.prefixes[k].value == 0xf3)
			return true;
	return false;
}

static const char *left_out_by_name(const ZydisDecodedInstruction *i)
{
	switch (i->mnemonic) {
	case ZYDIS_MNEMONIC_SYSCALL:
	case ZYDIS_MNEMONIC_SYSENTER:
		return "enters the host's kernel";
	case ZYDIS_MNEMONIC_SYSEXIT:
		return "AMD has none in long mode";
	case ZYDIS_MNEMONIC_SGDT:
	case ZYDIS_MNEMONIC_SIDT:
	case ZYDIS_MNEMONIC_SLDT:
	case ZYDIS_MNEMONIC_STR:
	case ZYDIS_MNEMONIC_SMSW:
		return "the host's kernel emulates what UMIP traps";
	case ZYDIS_MNEMONIC_CPUID:
	case ZYDIS_MNEMONIC_RDTSC:
	case ZYDIS_MNEMONIC_RDTSCP:
	case ZYDIS_MNEMONIC_RDPMC:
		return "the result is the host's";
	case ZYDIS_MNEMONIC_INT1:
		return "hypervisors deliver it at the instruction, processors behind it";
	default:
		return NULL;
	}
}

/* Does AMD's processor decode or execute it differently, by definition? */
static const char *left_out_on_amd(const ZydisDecodedInstruction *i, const ZydisDecodedOperand *op, unsigned bits)
{
	/* Near branches with a 66 prefix: AMD truncates RIP, Intel ignores the prefix. */
	if (bits == 64 && i->meta.branch_type != ZYDIS_BRANCH_TYPE_NONE &&
	    i->meta.branch_type != ZYDIS_BRANCH_TYPE_FAR && i->attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE)
		return "66 with a near branch in 64-bit code: AMD truncates RIP";
	/* Far pointers of 64 bits are Intel's. */
	if (bits == 64 && i->raw.rex.W && i->operand_count_visible &&
	    (i->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR || i->mnemonic == ZYDIS_MNEMONIC_LSS ||
	     i->mnemonic == ZYDIS_MNEMONIC_LFS || i->mnemonic == ZYDIS_MNEMONIC_LGS) &&
	    op[i->operand_count_visible - 1].type == ZYDIS_OPERAND_TYPE_MEMORY)
		return "far pointers with REX.W: AMD ignores REX.W";
	if ((i->mnemonic == ZYDIS_MNEMONIC_LOOPE || i->mnemonic == ZYDIS_MNEMONIC_LOOPNE) && has_rep(i))
		return "LOOPcc with REP: AMD lets the prefix choose the condition";
	if (i->mnemonic == ZYDIS_MNEMONIC_SYSRET && bits != 64)
		return "AMD has it outside of 64-bit mode";
	if (i->opcode_map == ZYDIS_OPCODE_MAP_0F && i->opcode == 0x0d && i->raw.modrm.mod == 3)
		return "PREFETCHW of a register: AMD has it undefined";
	if (i->mnemonic == ZYDIS_MNEMONIC_UD0 || i->mnemonic == ZYDIS_MNEMONIC_UD1)
		return "AMD takes no ModRM byte";
	return NULL;
}

/* Where user code may not write FS and GS bases, the child's thread-local variables must be left alone. */
static bool touches_fs_gs(const ZydisDecodedInstruction *i, const ZydisDecodedOperand *op)
{
	if (i->attributes & (ZYDIS_ATTRIB_HAS_SEGMENT_FS | ZYDIS_ATTRIB_HAS_SEGMENT_GS))
		return true;
	for (unsigned n = 0; n < i->operand_count; n++)
		if (op[n].type == ZYDIS_OPERAND_TYPE_REGISTER && op[n].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE &&
		    (op[n].reg.value == ZYDIS_REGISTER_FS || op[n].reg.value == ZYDIS_REGISTER_GS))
			return true;
	return i->meta.isa_ext == ZYDIS_ISA_EXT_RDWRFSGS;
}

const char *left_out(const struct diff_host *host, unsigned bits, const ZydisDecodedInstruction *i,
		     const ZydisDecodedOperand *op)
{
	const char *why = left_out_by_name(i);

	if (!why && !host->intel)
		why = left_out_on_amd(i, op, bits);
	if (!why && !host->fsgsbase && touches_fs_gs(i, op))
		why = "the host's kernel doesn't let user code write FS and GS bases";
	if (why)
		return why;
	switch (i->mnemonic) {
	case ZYDIS_MNEMONIC_INT:
		return op[0].imm.value.u == 0x80 ? "enters the host's kernel" : NULL;
	case ZYDIS_MNEMONIC_BSF:
	case ZYDIS_MNEMONIC_BSR:
		return has_rep(i) ? "with F3 the host may have TZCNT and LZCNT" : NULL;
	case ZYDIS_MNEMONIC_SHLD:
	case ZYDIS_MNEMONIC_SHRD:
		return i->operand_width == 16 &&
			       (op[2].type == ZYDIS_OPERAND_TYPE_REGISTER || (op[2].imm.value.u & 31) > 16)
			   ? "16 bits by more than 16: undefined result"
			   : NULL;
	default:
		break;
	}
	return NULL;
}

/* Approximations: each processor has its own last bits. */
bool is_approximate(u16 mnemonic)
{
	switch (mnemonic) {
	case ZYDIS_MNEMONIC_RCPPS:
	case ZYDIS_MNEMONIC_RCPSS:
	case ZYDIS_MNEMONIC_RSQRTPS:
	case ZYDIS_MNEMONIC_RSQRTSS:
	case ZYDIS_MNEMONIC_F2XM1:
	case ZYDIS_MNEMONIC_FYL2X:
	case ZYDIS_MNEMONIC_FYL2XP1:
	case ZYDIS_MNEMONIC_FPTAN:
	case ZYDIS_MNEMONIC_FPATAN:
	case ZYDIS_MNEMONIC_FSIN:
	case ZYDIS_MNEMONIC_FCOS:
	case ZYDIS_MNEMONIC_FSINCOS:
		return true;
	default:
		return false;
	}
}

/* --- flags that are undefined --- */

/* Flags that the manual leaves undefined and AMD's processors leave otherwise than Intel's, which the interpreter follows. */
static u64 amd_flags(ZydisMnemonic m)
{
	switch (m) {
	case ZYDIS_MNEMONIC_SHL:
	case ZYDIS_MNEMONIC_SHR:
	case ZYDIS_MNEMONIC_SAR:
	case ZYDIS_MNEMONIC_SHLD:
	case ZYDIS_MNEMONIC_SHRD:
		return RFLAGS_AF;
	case ZYDIS_MNEMONIC_MUL:
	case ZYDIS_MNEMONIC_IMUL:
	case ZYDIS_MNEMONIC_DIV:
	case ZYDIS_MNEMONIC_IDIV:
		return RFLAGS_SF | RFLAGS_ZF | RFLAGS_AF | RFLAGS_PF;
	case ZYDIS_MNEMONIC_BSF:
	case ZYDIS_MNEMONIC_BSR:
		return RFLAGS_STATUS & ~RFLAGS_ZF;
	case ZYDIS_MNEMONIC_AAA:
	case ZYDIS_MNEMONIC_AAS:
		return RFLAGS_OF | RFLAGS_SF | RFLAGS_ZF | RFLAGS_PF;
	case ZYDIS_MNEMONIC_AAD:
		return RFLAGS_OF | RFLAGS_AF | RFLAGS_CF;
	case ZYDIS_MNEMONIC_DAA:
	case ZYDIS_MNEMONIC_DAS:
		return RFLAGS_OF;
	default:
		return 0;
	}
}

/* Shifts and rotates by 0 change no flags. 1 and 0: known to be, -1: by CL. */
static int shifts(const ZydisDecodedInstruction *i, const ZydisDecodedOperand *op)
{
	const ZydisDecodedOperand *by;

	if (i->meta.category != ZYDIS_CATEGORY_SHIFT && i->meta.category != ZYDIS_CATEGORY_ROTATE)
		return 1;
	by = &op[i->mnemonic == ZYDIS_MNEMONIC_SHLD || i->mnemonic == ZYDIS_MNEMONIC_SHRD ? 2 : 1];
	if (by->type != ZYDIS_OPERAND_TYPE_IMMEDIATE)
		return -1;
	return (by->imm.value.u & (i->operand_width == 64 ? 63 : 31)) != 0;
}

void insn_flags(const ZydisDecodedInstruction *i, const ZydisDecodedOperand *op, u64 *reads, u64 *defined,
		u64 *undefined)
{
	int changes = shifts(i, op);

	*reads = *defined = *undefined = 0;
	if (i->cpu_flags && changes) {
		*reads = i->cpu_flags->tested & RFLAGS_STATUS;
		*undefined = amd_flags(i->mnemonic);
		*defined = (i->cpu_flags->modified | i->cpu_flags->set_0 | i->cpu_flags->set_1) & RFLAGS_STATUS &
			   ~*undefined;
		/* Undefined too, but 0 everywhere. Others may be left as they were. */
		if (i->meta.category == ZYDIS_CATEGORY_LOGICAL)
			*defined |= i->cpu_flags->undefined & RFLAGS_AF;
	}
	if ((i->mnemonic == ZYDIS_MNEMONIC_SHLD || i->mnemonic == ZYDIS_MNEMONIC_SHRD) && i->operand_width == 16)
		*undefined |= RFLAGS_OF; /* when shifted by 16 */
	if (i->mnemonic == ZYDIS_MNEMONIC_PUSHF || i->mnemonic == ZYDIS_MNEMONIC_PUSHFD ||
	    i->mnemonic == ZYDIS_MNEMONIC_PUSHFQ)
		*reads = RFLAGS_STATUS;
	/* A repeated string instruction may execute no iteration. */
	if (changes < 0 || i->attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE))
		*defined = 0;
}

/* --- state images --- */

static void wipe(u8 *data, u64 address, unsigned first, unsigned last)
{
	for (u64 a = address + first; a <= address + last; a++)
		if (a >= DIFF_DATA && a < DIFF_DATA + DIFF_DATA_SIZE)
			data[a - DIFF_DATA] = 0;
}

void diff_wipe_image(const struct diff_case *c, u64 rip, u8 *data)
{
	const struct diff_insn *insn = &c->insn[c->count - 1];
	u64 at = insn->address;

	if (!insn->image)
		return;
	if (rip < c->start[c->count]) { /* how much was written before a fault? */
		wipe(data, at, 0, 575);
		return;
	}
	switch (insn->image) {
	case IMAGE_XSAVEOPT: /* what is left out is the processor's choice */
		wipe(data, at, 0, 512);
		break;
	case IMAGE_ENV16: /* FCS and FDS */
		wipe(data, at, 8, 9);
		wipe(data, at, 12, 13);
		break;
	case IMAGE_ENV32: /* and FOP: Intel's processors keep it after unmasked exceptions only */
		wipe(data, at, 16, 19);
		wipe(data, at, 24, 25);
		break;
	case IMAGE_XSAVE: /* which of x87 and SSE are in use */
		wipe(data, at, 512, 512);
		/* fall through */
	case IMAGE_FXSAVE: /* FOP, FIP, FDP, the mask of MXCSR bits */
		wipe(data, at, 6, 23);
		wipe(data, at, 28, 31);
		break;
	}
}

/* --- results --- */

static u16 mnemonic_of(const struct diff_case *c, u64 rip)
{
	unsigned n = diff_insn_at(c, rip);

	return n < c->count ? c->insn[n].mnemonic : ZYDIS_MNEMONIC_INVALID;
}

static unsigned class_of(const struct diff_case *c, u64 rip)
{
	unsigned n = diff_insn_at(c, rip), count;

	return n < c->count ? forms_all(&count)[c->insn[n].form].class : 0;
}

static bool is_verr_lock(const struct diff_case *c, u64 rip)
{
	unsigned n = diff_insn_at(c, rip), count;
	const struct form *f;

	if (n == c->count || !c->insn[n].lock)
		return false;
	f = &forms_all(&count)[c->insn[n].form];
	return f->map == 1 && f->op == 0x00;
}

static bool has_mnemonic(const struct diff_case *c, u16 mnemonic)
{
	for (unsigned n = 0; n < c->count; n++)
		if (c->insn[n].mnemonic == mnemonic)
			return true;
	return false;
}

static bool is_popa(u16 m)
{
	return m == ZYDIS_MNEMONIC_POPA || m == ZYDIS_MNEMONIC_POPAD;
}

static bool loads_mxcsr(u16 m)
{
	return m == ZYDIS_MNEMONIC_LDMXCSR || m == ZYDIS_MNEMONIC_FXRSTOR || m == ZYDIS_MNEMONIC_FXRSTOR64 ||
	       m == ZYDIS_MNEMONIC_XRSTOR || m == ZYDIS_MNEMONIC_XRSTOR64;
}

static bool is_x87_store(u16 m)
{
	return m == ZYDIS_MNEMONIC_FST || m == ZYDIS_MNEMONIC_FSTP || m == ZYDIS_MNEMONIC_FIST ||
	       m == ZYDIS_MNEMONIC_FISTP || m == ZYDIS_MNEMONIC_FISTTP || m == ZYDIS_MNEMONIC_FBSTP;
}

/* Which of several faults of an instruction comes first, and how far one of several accesses gets, is the processor's
 * choice (SDM 3A 6.9). @a is the host's result. */
static bool fault_order_free(const struct diff_case *c, const struct diff_result *a, const struct diff_result *b)
{
	bool limit = b->vector == X86_GP || b->vector == X86_SS;

	/* Alignment, limit or page fault first? */
	if (a->vector == X86_AC && (limit || b->vector == X86_PF))
		return true;
	/* A segment's end within an operand: the limit, or the alignment or page of what lies before? */
	if (c->bits != 64 && ((a->vector == X86_GP && b->vector == X86_SS) || (a->vector == X86_PF && limit)))
		return true;
	/* How much of a state image is looked at first? */
	if (c->insn[c->count - 1].image && a->vector == b->vector)
		return true;
	switch (mnemonic_of(c, a->regs.rip)) {
	case ZYDIS_MNEMONIC_CMPSB:
	case ZYDIS_MNEMONIC_CMPSW:
	case ZYDIS_MNEMONIC_CMPSD:
	case ZYDIS_MNEMONIC_CMPSQ:
	case ZYDIS_MNEMONIC_ENTER:
	case ZYDIS_MNEMONIC_PUSHA:
	case ZYDIS_MNEMONIC_PUSHAD:
	/* Far transfers: selector, stack, frame or target first? Near CALL: the stack, or a target not canonical? CALL to
	 * beyond a limit has written its frame. */
	case ZYDIS_MNEMONIC_CALL:
	case ZYDIS_MNEMONIC_IRET:
	case ZYDIS_MNEMONIC_IRETD:
	case ZYDIS_MNEMONIC_IRETQ:
		return true;
	case ZYDIS_MNEMONIC_JMP:
	case ZYDIS_MNEMONIC_RET:
		return a->vector != b->vector || a->vector == X86_PF;
	case ZYDIS_MNEMONIC_FLDENV: /* the last byte first? */
	case ZYDIS_MNEMONIC_FRSTOR:
	case ZYDIS_MNEMONIC_FXRSTOR:
	case ZYDIS_MNEMONIC_FXRSTOR64:
	case ZYDIS_MNEMONIC_XRSTOR:
	case ZYDIS_MNEMONIC_XRSTOR64:
		return a->vector == X86_PF && b->vector == X86_PF;
	default:
		return false;
	}
}

bool diff_fault_free(const struct diff_case *c, const struct diff_result *a, const struct diff_result *b)
{
	return a->vector != X86_BP && b->vector != X86_BP && a->regs.rip == b->regs.rip && fault_order_free(c, a, b);
}

/* An instruction between MMX and XMM registers that faults: has it entered MMX state? */
static bool mmx_state_free(const struct diff_case *c, const struct diff_result *a, const struct diff_result *b)
{
	if (a->vector != b->vector || a->regs.rip != b->regs.rip)
		return false;
	switch (mnemonic_of(c, a->regs.rip)) {
	case ZYDIS_MNEMONIC_MASKMOVQ:
		return true;
	case ZYDIS_MNEMONIC_CVTPS2PI:
	case ZYDIS_MNEMONIC_CVTTPS2PI:
	case ZYDIS_MNEMONIC_CVTPD2PI:
	case ZYDIS_MNEMONIC_CVTTPD2PI:
	case ZYDIS_MNEMONIC_CVTPI2PS:
		return a->vector == X86_XM;
	default:
		return false;
	}
}

/* Differences of the host from Intel processors, where the interpreter follows the latter. */
bool diff_known(const struct diff_case *c, const struct diff_result *a, const struct diff_result *b)
{
	/* Are SSE operands checked that need no alignment otherwise, and state images? The manual leaves it open. */
	if (a->vector == X86_AC && class_of(c, a->regs.rip) & (CLASS_SSE | CLASS_STATE))
		return true;
	if (c->intel_host)
		return false;
	/* POPA that faults has loaded the registers before. */
	if (a->vector != X86_BP && b->vector != X86_BP && is_popa(mnemonic_of(c, a->regs.rip)))
		return true;
	/* VERR and VERW: the operand is read before LOCK is refused. */
	if (b->vector == X86_UD && is_verr_lock(c, b->regs.rip))
		return true;
	/* CALL far to code of another size pushes as that code does: with or without the stack segment's base, with ESP or
	 * RSP. */
	if (mnemonic_of(c, c->start[c->count - 1]) == ZYDIS_MNEMONIC_CALL &&
	    (a->regs.seg[SEG_CS] != c->in.seg[SEG_CS] || b->regs.seg[SEG_CS] != c->in.seg[SEG_CS]) &&
	    (a->regs.seg[SEG_CS] == USER64_CS || b->regs.seg[SEG_CS] == USER64_CS))
		return true;
	/* CVTPI2PS from memory doesn't wait for x87 exceptions. */
	if (b->vector == X86_MF && mnemonic_of(c, b->regs.rip) == ZYDIS_MNEMONIC_CVTPI2PS)
		return true;
	/* ENTER of 32 bits on a stack of 16: all of ESP goes to EBP, and to the stack as a display pointer. */
	if (c->bits != 64 && has_mnemonic(c, ZYDIS_MNEMONIC_ENTER) && (u16)a->regs.gpr[RBP] == (u16)b->regs.gpr[RBP] &&
	    a->regs.gpr[RBP] != b->regs.gpr[RBP])
		return true;
	/* RET far takes its immediate off all of ESP, though the stack has 16 bits. */
	if (c->bits != 64 && mnemonic_of(c, c->start[c->count - 1]) == ZYDIS_MNEMONIC_RET &&
	    (u16)a->regs.gpr[RSP] == (u16)b->regs.gpr[RSP] && a->regs.gpr[RSP] != b->regs.gpr[RSP])
		return true;
	/* AMD has a bit more in MXCSR (misaligned operands allowed), so LDMXCSR takes it. */
	if (a->regs.fpu.mxcsr & BIT(17) || (b->vector == X86_GP && loads_mxcsr(mnemonic_of(c, b->regs.rip))))
		return true;
	/* ARPL asks for write access even if it will not write. */
	if (b->vector != X86_BP && mnemonic_of(c, b->regs.rip) == ZYDIS_MNEMONIC_ARPL)
		return true;
	/* A store that an unmasked x87 exception suppresses is checked all the same. */
	if (a->vector != X86_BP && is_x87_store(mnemonic_of(c, a->regs.rip)) && b->regs.rip != a->regs.rip)
		return true;
	return mmx_state_free(c, a, b);
}

static bool is_estimate(u16 mnemonic)
{
	return mnemonic == ZYDIS_MNEMONIC_RCPPS || mnemonic == ZYDIS_MNEMONIC_RCPSS ||
	       mnemonic == ZYDIS_MNEMONIC_RSQRTPS || mnemonic == ZYDIS_MNEMONIC_RSQRTSS;
}

/* Both may be wrong by 1.5 * 2^-12 (SDM 2B, RCPPS): twice that, in units of the last place. */
#define ESTIMATE_ULPS 12288

static bool estimates_agree(const struct diff_fpu *x, const struct diff_fpu *y)
{
	for (unsigned n = 0; n < 64; n++) {
		s64 a = (s32)load32(x->xmm[n / 4] + 4 * (n % 4)), b = (s32)load32(y->xmm[n / 4] + 4 * (n % 4));

		if ((a ^ b) < 0 || a - b > ESTIMATE_ULPS || b - a > ESTIMATE_ULPS)
			return false;
	}
	return true;
}

/* Transcendental results: within one unit of the last place of the exact one (SDM 1, 8.3.10), so two apart. */
#define TRANSCENDENTAL_ULPS 2

static bool registers_agree(const struct diff_fpu *x, const struct diff_fpu *y)
{
	for (unsigned n = 0; n < 8; n++) {
		__int128 a = (__int128)(x->st[n].se & 0x7fff) << 63 | (x->st[n].mant & ~BIT(63));
		__int128 b = (__int128)(y->st[n].se & 0x7fff) << 63 | (y->st[n].mant & ~BIT(63));

		if ((x->st[n].se ^ y->st[n].se) & 0x8000 || a - b > TRANSCENDENTAL_ULPS || b - a > TRANSCENDENTAL_ULPS)
			return false;
	}
	return true;
}

bool diff_approximate(const struct diff_case *c, const struct diff_result *a, const struct diff_result *b)
{
	const struct diff_fpu *x = &a->regs.fpu, *y = &b->regs.fpu;
	u16 m = c->insn[c->count - 1].mnemonic;

	/* AMD's processors leave x87 state alone when CVTPI2PS takes its operand from memory. */
	if (m == ZYDIS_MNEMONIC_CVTPI2PS && !c->intel_host)
		return x->mxcsr == y->mxcsr && !memcmp(x->xmm, y->xmm, sizeof(x->xmm));
	if (!is_approximate(m) || x->fcw != y->fcw || x->ftw != y->ftw || x->mxcsr != y->mxcsr)
		return false;
	if (is_estimate(m))
		return !((x->fsw ^ y->fsw) & ~(1 << 9)) && !memcmp(x->st, y->st, sizeof(x->st)) &&
		       estimates_agree(x, y);
	/* Whether the result is exact, and which way it was rounded. */
	return !((x->fsw ^ y->fsw) & ~(1 << 5 | 1 << 9)) && registers_agree(x, y);
}
