/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the MMX and SSE instruction handlers share: availability checks, register and memory operands, and the
 * floating-point environment.
 *
 * Files that include this are compiled with -msse4.2 and without any AVX option: the host has what the guest has.
 *
 * Order inside a handler (SDM 3A table 6-8): availability (#UD, #NM, #MF), memory operand (#GP, #SS, #PF), then for
 * floating-point operations #XM; only then is guest state written. */
#ifndef VMM_SOFT_SSE_H
#define VMM_SOFT_SSE_H

#include <nmmintrin.h>

#include "vmm/soft/cpu.h"
#include "vmm/soft/x87.h"

/* --- availability --- */

static inline void sse_check(struct soft_cpu *cpu)
{
	if (unlikely(!cpu->sse_ok))
		soft_no_sse(cpu);
}

/* Before every instruction that names an MMX register: #UD, #NM, #MF. */
static inline void mmx_check(struct soft_cpu *cpu)
{
	if (unlikely(!cpu->x87_ok))
		soft_no_mmx(cpu);
	x87_check_pending(cpu);
}

/* --- registers --- */

static inline __m128i xmm_get(const struct soft_cpu *cpu, unsigned r)
{
	return _mm_load_si128((const __m128i *)cpu->vcpu.regs.fpu.xmm[r]);
}

static inline void xmm_set(struct soft_cpu *cpu, unsigned r, __m128i v)
{
	_mm_store_si128((__m128i *)cpu->vcpu.regs.fpu.xmm[r], v);
}

static inline u32 xmm_get32(const struct soft_cpu *cpu, unsigned r)
{
	return load32(cpu->vcpu.regs.fpu.xmm[r]);
}

static inline u64 xmm_get64(const struct soft_cpu *cpu, unsigned r)
{
	return load64(cpu->vcpu.regs.fpu.xmm[r]);
}

static inline u64 mmx_get(const struct soft_cpu *cpu, unsigned r)
{
	return cpu->vcpu.regs.fpu.st[r & 7].mant;
}

/* --- memory operands; the shorter ones are zero-extended --- */

static inline __m128i sse_ld128u(struct soft_cpu *cpu, const struct insn *i)
{
	__m128i v;

	mem_ld_bytes(cpu, i, &v, 16);
	return v;
}

static inline __m128i sse_ld128a(struct soft_cpu *cpu, const struct insn *i)
{
	u64 la = mem_linear(cpu, i, 16, ACCESS_READ);
	const u8 *p;
	__m128i v;

	if (unlikely(la & 15))
		soft_fault_code(cpu, X86_GP, 0);
	p = tlb_host(cpu, la, 16, ACCESS_READ);
	if (likely(p))
		return _mm_loadu_si128((const __m128i *)p);
	soft_load_bytes(cpu, la, &v, 16);
	return v;
}

static inline __m128i sse_ld64(struct soft_cpu *cpu, const struct insn *i)
{
	return _mm_cvtsi64_si128(mem_ld64(cpu, i));
}

static inline __m128i sse_ld32(struct soft_cpu *cpu, const struct insn *i)
{
	return _mm_cvtsi32_si128(mem_ld32(cpu, i));
}

static inline __m128i sse_ld16(struct soft_cpu *cpu, const struct insn *i)
{
	return _mm_cvtsi32_si128(mem_ld16(cpu, i));
}

static inline void sse_st128u(struct soft_cpu *cpu, const struct insn *i, __m128i v)
{
	mem_st_bytes(cpu, i, &v, 16);
}

static inline void sse_st128a(struct soft_cpu *cpu, const struct insn *i, __m128i v)
{
	u64 la = mem_linear(cpu, i, 16, ACCESS_WRITE);
	u8 *p;

	if (unlikely(la & 15))
		soft_fault_code(cpu, X86_GP, 0);
	p = tlb_host(cpu, la, 16, ACCESS_WRITE);
	if (likely(p))
		_mm_storeu_si128((__m128i *)p, v);
	else
		soft_store_bytes(cpu, la, &v, 16);
}

/* MASKMOVDQU and MASKMOVQ: stores to DS:rDI those of @size bytes whose mask byte has bit 7. */
void sse_masked_store(struct soft_cpu *cpu, const struct insn *i, const u8 *value, const u8 *mask, unsigned size);

static inline __m128i mmx_vec(u64 v)
{
	return _mm_cvtsi64_si128(v);
}

static inline u64 mmx_low(__m128i v)
{
	return _mm_cvtsi128_si64(v);
}

/* --- floating point: the host's unit computes, under the guest's MXCSR with every exception masked ---
 *
 * sse_fp_enter(), the operation as volatile asm, sse_fp_leave(); nothing that can fault in between.
 *
 * While the guest's control bits are those of reset (0x1f80), the host's MXCSR may stay equal to the guest's, sticky
 * flags included: both calls are then a store and a compare, and the host's register is written only when other code
 * has raised flags since. With other control bits it is loaded for the operation and put back to 0x1f80 after it. So
 * host code always runs with the default control bits, and its own flags never reach the guest. */

#define MXCSR_FLAGS      0x003fu
#define MXCSR_PRE        0x0007u /* IE, DE, ZE: found before computing */
#define MXCSR_OE         0x0008u
#define MXCSR_UE         0x0010u
#define MXCSR_PE         0x0020u
#define MXCSR_DAZ        0x0040u
#define MXCSR_MASKS      0x1f80u
#define MXCSR_MASK_SHIFT 7
#define MXCSR_FTZ        0x8000u
#define MXCSR_CONTROL    0xffc0u
#define MXCSR_DEFAULT    0x1f80u

/* What sse_fp_leave() needs to know of the operation: which elements could be tiny (an unmasked underflow is raised for
 * a tiny exact result too, where a masked one is not: SDM 1 section 4.9.1.5), and how to repeat it. */
enum fp_kind {
	FP_NONE, /* without one of the operations below: neither overflows nor underflows */
	FP_SS,
	FP_PS,
	FP_SD,
	FP_PD,
	FP_KIND = 7,
	FP_ADD = 1 << 3,
	FP_SUB = 2 << 3,
	FP_MUL = 3 << 3,
	FP_DIV = 4 << 3,
	FP_NARROW = 5 << 3, /* doubles to the singles of the kind */
	FP_ADDSUB = 6 << 3,
	FP_HADD = 7 << 3,
	FP_HSUB = 8 << 3,
	FP_OP = 15 << 3,
};

static inline u32 host_mxcsr(void)
{
	u32 v;

	__asm__ volatile("stmxcsr %0" : "=m"(v));
	return v;
}

static inline void host_set_mxcsr(u32 v)
{
	__asm__ volatile("ldmxcsr %0" : : "m"(v));
}

void sse_fp_enter_slow(struct soft_cpu *cpu);
/* Collects the flags; faults with #XM (#UD without CR4.OSXMMEXCPT) when one is unmasked. @d, @s: the operands. */
void sse_fp_leave_slow(struct soft_cpu *cpu, u32 host, __m128i result, __m128i d, __m128i s, enum fp_kind kind);
/* ops_sse_exact.c: would the operation be inexact, were the exponents of the elements that @unmasked overflow and
 * underflow (MXCSR_OE, MXCSR_UE) concern unbounded? @mxcsr: the guest's. */
bool sse_fp_inexact(u32 mxcsr, u32 unmasked, __m128i d, __m128i s, enum fp_kind kind);

static inline bool sse_fp_quick(const struct soft_cpu *cpu, u32 host)
{
	u32 guest = cpu->vcpu.regs.fpu.mxcsr;

	return host == guest && (guest & MXCSR_CONTROL) == MXCSR_DEFAULT;
}

static inline void sse_fp_enter(struct soft_cpu *cpu)
{
	if (unlikely(!sse_fp_quick(cpu, host_mxcsr())))
		sse_fp_enter_slow(cpu);
}

static inline void sse_fp_leave(struct soft_cpu *cpu, __m128i result, __m128i d, __m128i s, enum fp_kind kind)
{
	u32 host = host_mxcsr();

	if (unlikely(!sse_fp_quick(cpu, host)))
		sse_fp_leave_slow(cpu, host, result, d, s, kind);
}

/* One two-operand instruction, its operands in the manual's order: NaNs are taken from @d before @s. */
#define FP_RUN(cpu, insn, d, s, kind)                                \
	do {                                                         \
		__m128i old = d;                                     \
                                                                     \
		sse_fp_enter(cpu);                                   \
		__asm__ volatile(insn " %1, %0" : "+x"(d) : "x"(s)); \
		sse_fp_leave(cpu, d, old, s, kind);                  \
	} while (0)

/* The same around instructions that can't overflow or underflow. */
static inline void sse_fp_leave_none(struct soft_cpu *cpu)
{
	__m128i none = _mm_setzero_si128();

	sse_fp_leave(cpu, none, none, none, FP_NONE);
}

/* --- handler pairs around a semantics function sem(cpu, i, source) --- */

/* Register and memory form; @load is one of sse_ld*. */
#define SSE_PAIR(name, sem, load)                                       \
	void sse_##name##_r(struct soft_cpu *cpu, const struct insn *i) \
	{                                                               \
		sse_check(cpu);                                         \
		sem(cpu, i, xmm_get(cpu, i->rm));                       \
	}                                                               \
	void sse_##name##_m(struct soft_cpu *cpu, const struct insn *i) \
	{                                                               \
		sse_check(cpu);                                         \
		sem(cpu, i, load(cpu, i));                              \
	}

/* The same for MMX registers: sem(cpu, i, u64 source). */
#define MMX_PAIR(name, sem, load)                                       \
	void mmx_##name##_r(struct soft_cpu *cpu, const struct insn *i) \
	{                                                               \
		mmx_check(cpu);                                         \
		sem(cpu, i, mmx_get(cpu, i->rm));                       \
	}                                                               \
	void mmx_##name##_m(struct soft_cpu *cpu, const struct insn *i) \
	{                                                               \
		mmx_check(cpu);                                         \
		sem(cpu, i, load(cpu, i));                              \
	}

static inline void mmx_result(struct soft_cpu *cpu, const struct insn *i, u64 v)
{
	x87_enter_mmx(cpu);
	x87_set_mmx(cpu, i->reg, v);
}

#endif
