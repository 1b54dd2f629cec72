/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The differential CPU test: random user-mode instruction sequences run on the host's CPU and in the interpreter,
 * from the same registers and memory; everything must come out the same.
 *
 *   gen.c     makes sequences
 *   native.c  runs them on the host, in a child process
 *   interp.c  runs them in the soft engine, in a machine of page tables and exception handlers
 *   report.c  shrinks and prints a difference
 *
 * Both sides see this memory: a page of code; two pages of data that can be written; a hole; a page that can only be
 * read; nothing else. */
#ifndef TESTS_CPU_DIFF_H
#define TESTS_CPU_DIFF_H

#include "vmm/types.h"

#define DIFF_CODE      0x10000000ull
#define DIFF_DATA      0x20000000ull
#define DIFF_DATA_SIZE 0x2000
#define DIFF_RO        0x20003000ull
#define DIFF_PAGE      0x1000
#define DIFF_MAX_INSNS 8
#define DIFF_MAX_CODE  (15 * DIFF_MAX_INSNS + 1)

/* Where sequences begin: normally here, or at the end of the page, so that the last bytes are cut off. */
#define DIFF_CODE_START 0x100

enum diff_class { CLASS_INT = 1, CLASS_SSE = 2, CLASS_X87 = 4 };

struct diff_fpu {
	u16 fcw, fsw;
	u8 ftw; /* abridged */
	u32 mxcsr;
	struct {
		u64 mant;
		u16 se;
	} st[8]; /* relative to TOP */
	u8 xmm[16][16];
};

struct diff_regs {
	u64 gpr[16]; /* in the encoding's order: RAX, RCX, RDX, RBX, RSP, ... */
	u64 rip;
	u64 rflags;
	struct diff_fpu fpu;
};

struct diff_insn {
	u8 bytes[15];
	u8 len;
	u8 patch_size; /* a field that depends on where the instruction is: 0 none, 1, 2 or 4 bytes, relative */
	u8 patch;      /* its offset */
	s8 target;     /* of a branch: the instruction's number (one past the last: the end); -1: @address */
	u64 address;   /* what a RIP-relative operand names */
	bool wide;     /* x87, MMX or SSE */
	u16 mnemonic;  /* ZydisMnemonic */
};

struct diff_case {
	bool intel_host; /* where the interpreter must agree in what the manual leaves open too */
	bool bits32;
	bool cut; /* the code's last byte is the last of its page: the end marker is not there */
	unsigned count;
	struct diff_insn insn[DIFF_MAX_INSNS];
	struct diff_regs in; /* rip is filled in by diff_assemble() */
	u8 code[DIFF_MAX_CODE];
	unsigned code_len;
	u64 start[DIFF_MAX_INSNS + 1]; /* address of each instruction, and of the end */
	/* Status flags, and condition codes of the FPU status word, that are undefined before each instruction. */
	u64 undefined[DIFF_MAX_INSNS + 1];
	u16 undefined_fsw[DIFF_MAX_INSNS + 1];
};

#define DIFF_HANG 255 /* vector: no end within the time or the instructions allowed */

struct diff_result {
	struct diff_regs regs;
	u32 vector; /* that ended the sequence: #BP at the end marker, or a fault */
	u32 error;
	u64 cr2;    /* #PF only */
	u64 memory; /* digest of the two data pages */
};

/* xoshiro256**: the same numbers everywhere for a seed. */
struct rng {
	u64 s[4];
};

static inline void rng_seed(struct rng *rng, u64 seed)
{
	for (unsigned i = 0; i < 4; i++) { /* splitmix64 */
		u64 z = (seed += 0x9e3779b97f4a7c15);

		z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
		z = (z ^ z >> 27) * 0x94d049bb133111eb;
		rng->s[i] = z ^ z >> 31;
	}
}

static inline u64 rng_next(struct rng *rng)
{
	u64 *s = rng->s, r = s[1] * 5, t = s[1] << 17;

	r = (r << 7 | r >> 57) * 9;
	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = s[3] << 45 | s[3] >> 19;
	return r;
}

static inline unsigned rng_below(struct rng *rng, unsigned n)
{
	return (u32)(rng_next(rng) >> 32) % n;
}

static inline bool rng_percent(struct rng *rng, unsigned percent)
{
	return rng_below(rng, 100) < percent;
}

/* gen.c */
struct generator;
/* @intel_host: undefined flags are compared too. */
struct generator *gen_create(bool intel_host);
void gen_free(struct generator *g);
void gen_case(struct generator *g, struct rng *rng, unsigned classes, struct diff_case *c);
/* Lays the instructions out: code, addresses, undefined flags; to be called after a change of insn[]. False when an
 * instruction reads an undefined flag: the case says nothing. */
bool diff_assemble(struct generator *g, struct diff_case *c);

/* native.c */
#define NATIVE_BATCH 256
struct native;
struct native *native_create(const u8 *data); /* @data: what DIFF_DATA holds at first, then the read-only page */
void native_free(struct native *n);
/* Runs up to NATIVE_BATCH cases. */
void native_run(struct native *n, const struct diff_case *cases, unsigned count, struct diff_result *results);
/* The data pages as the last case of the last run left them. */
const u8 *native_data(struct native *n);

/* interp.c */
struct interp;
struct interp *interp_create(const u8 *data);
void interp_free(struct interp *in);
void interp_run(struct interp *in, const struct diff_case *c, struct diff_result *result);
const u8 *interp_data(struct interp *in);

/* report.c */
bool diff_equal(const struct diff_case *c, const struct diff_result *native, const struct diff_result *soft);
struct differ {
	struct generator *gen;
	struct native *native;
	struct interp *interp;
	const u8 *data;
};
/* Runs one case on both sides. Returns whether they agree. */
bool differ_run(struct differ *d, struct diff_case *c, struct diff_result *native, struct diff_result *soft);
/* Drops instructions while the sides still differ. */
void differ_shrink(struct differ *d, struct diff_case *c);
void differ_print(struct differ *d, struct diff_case *c);

#endif
