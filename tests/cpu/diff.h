/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The differential CPU test: random user-mode instruction sequences run on the host's CPU and in the interpreter,
 * from the same registers and memory; everything must come out the same.
 *
 *   forms.c     lists every form of every opcode, from the decoder's tables
 *   insn.c      makes an instruction of a form
 *   gen.c       makes sequences, and the memory they find
 *   undefined.c lays a sequence out and tells which flags it leaves undefined
 *   exceptions.c is the list of what is not compared, each with its reason
 *   native.c    runs sequences on the host, in a child process
 *   interp.c    runs them in the soft engine, in a machine of page tables and exception handlers
 *   report.c    compares, shrinks and prints
 *   coverage.c  counts what each form was seen to do
 *   diff.c      options, workers, the state of a long run
 *
 * Both sides see this memory: two pages of code, which can be written; two pages of data; a hole; a page that can only
 * be read; nothing else. And the same descriptors: those of Linux for user mode, and an LDT (segments.c). */
#ifndef TESTS_CPU_DIFF_H
#define TESTS_CPU_DIFF_H

#include "vmm/types.h"

#define DIFF_CODE      0x10000000ull
#define DIFF_CODE_SIZE 0x2000
#define DIFF_DATA      0x20000000ull
#define DIFF_DATA_SIZE 0x2000
#define DIFF_RO        0x20003000ull
#define DIFF_PAGE      0x1000
#define DIFF_IMAGE     (DIFF_DATA_SIZE + DIFF_PAGE) /* bytes of the data pages and the read-only page together */
#define DIFF_MAX_INSNS 8
#define DIFF_MAX_UNIT  40
#define DIFF_MAX_CODE  (DIFF_MAX_UNIT * DIFF_MAX_INSNS + 1)

/* Where sequences begin: normally here. Far transfers go to the landing pad, which is all INT3. */
#define DIFF_CODE_START  0x100
#define DIFF_LANDING     0x40
#define DIFF_LANDING_END 0x80

/* Places in the data pages that hold something meaningful: for instructions that fault on random bytes. */
#define SLOT_FXSAVE   0x1400 /* an image for FXRSTOR */
#define SLOT_XSAVE    0x1600 /* for XRSTOR, standard and compacted */
#define SLOT_COMPACT  0x1840
#define SLOT_ENV      0x1a80 /* for FLDENV, and FRSTOR */
#define SLOT_FAR      0x1b40 /* three times five far pointers, by operand size; 16 bytes each */
#define SLOT_FAR_N    5
#define SLOT_SELECTOR 0x1c40 /* selectors, 8 bytes each */
#define SLOT_SELECT_N 16
#define SLOT_FRAME    0x1d00 /* three frames for RET far and IRET, by operand size; 64 bytes each */
#define SLOT_ZERO     0x1e00 /* 64 zero bytes */

enum diff_class { CLASS_INT = 1, CLASS_SSE = 2, CLASS_X87 = 4, CLASS_STATE = 8 };

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
	u64 rip;     /* an offset in CS */
	u64 rflags;
	u16 seg[6]; /* ES, CS, SS, DS, FS, GS */
	u64 fs_base, gs_base;
	struct diff_fpu fpu;
};

/* What a state image in memory leaves open (exceptions.c). */
enum diff_image { IMAGE_NONE, IMAGE_ENV16, IMAGE_ENV32, IMAGE_FXSAVE, IMAGE_XSAVE, IMAGE_XSAVEOPT };

/* A unit of a sequence: an instruction, preceded by MOVs that load registers it needs. */
struct diff_insn {
	u8 bytes[DIFF_MAX_UNIT];
	u8 len;
	u8 pre;        /* bytes of the MOVs */
	u8 patch_size; /* a field that depends on where the instruction is: 0 none, 1, 2 or 4 bytes */
	u8 patch;      /* its offset */
	s8 target;     /* of a branch: the unit's number (one past the last: the end); -1: @address */
	s8 modifies;   /* changes the last byte of this unit, whose address goes into the patched field; -1 */
	bool absolute; /* the patched field is the address itself, not relative */
	u64 address;   /* what a RIP-relative operand names */
	bool last;     /* ends the sequence: faults always, goes elsewhere, or isn't comparable behind it */
	bool undefined;
	u8 image; /* enum diff_image, at @address */
	u8 osize; /* 0, 1, 2: 16, 32, 64 bits; likewise the address size */
	u8 asize;
	bool lock;
	u16 form;     /* index (forms.c) */
	u16 mnemonic; /* ZydisMnemonic */
};

struct diff_case {
	bool intel_host; /* which the interpreter follows */
	u8 bits;         /* of the code segment: 16, 32, 64 */
	bool segmented;  /* segments of the LDT: code at DIFF_CODE, data at DIFF_DATA or thereabouts */
	bool cut;        /* the code's last byte is the last of the second page: the end marker is not there */
	bool cross;      /* the code lies across the end of the first page */
	unsigned count;
	struct diff_insn insn[DIFF_MAX_INSNS];
	struct diff_regs in; /* rip is filled in by diff_assemble() */
	u8 code[DIFF_MAX_CODE];
	unsigned code_len;
	u64 start[DIFF_MAX_INSNS + 1]; /* RIP of each unit, and of the end */
	/* Status flags, and condition codes of the FPU status word, that are undefined before each instruction. */
	u64 undefined[DIFF_MAX_INSNS + 1];
	u16 undefined_fsw[DIFF_MAX_INSNS + 1];
};

static inline u64 diff_code_base(const struct diff_case *c)
{
	return c->segmented ? DIFF_CODE : 0;
}

#define DIFF_HANG 255 /* vector: no end within the time or the instructions allowed */

struct diff_result {
	struct diff_regs regs;
	u32 vector; /* that ended the sequence: #BP at the end marker, or a fault */
	u32 error;
	u64 cr2;    /* #PF only */
	u64 memory; /* digest of the two data pages, without what an image leaves open */
};

/* What of the host the interpreter's machine copies, and what it can be asked. */
struct diff_host {
	bool intel;
	bool strict;     /* compare what the manual calls undefined, too */
	bool fsgsbase;   /* user code may write FS and GS bases */
	bool ldt;        /* it may have an LDT */
	u64 xcr0;        /* components that XSAVE knows there */
	u32 cpunode_lsl; /* limit and rights of Linux's last GDT entry */
	u32 cpunode_lar;
	int cpu; /* where the host's side runs */
};

/* segments.c: the LDT. */
#define DIFF_LDT_COUNT 12
struct diff_segment {
	u32 base, limit; /* limit in bytes or pages */
	u8 type;         /* 0 read-only data, 1 data, 2 and 3 expand-down, 4 execute-only, 5 code, 6, 7 conforming */
	bool big;        /* D/B */
	bool pages;
	bool present;
};
extern const struct diff_segment diff_ldt[DIFF_LDT_COUNT];
#define DIFF_LDT_SELECTOR(n) ((n) << 3 | 7)
enum { LDT_CODE16, LDT_CODE32, LDT_DATA, LDT_DATA16, LDT_SHIFTED, LDT_SHORT, LDT_FLAT_CODE, LDT_DOWN };
u64 diff_descriptor(const struct diff_segment *s);
#define USER32_CS 0x23
#define USER_DS   0x2b
#define USER64_CS 0x33

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
struct coverage;
struct generator *gen_create(const struct diff_host *host);
void gen_free(struct generator *g);
void gen_case(struct generator *g, struct rng *rng, unsigned classes, struct diff_case *c);
/* What the data pages and the read-only page (DIFF_IMAGE bytes) hold. */
void gen_data(const struct diff_host *host, struct rng *rng, u8 *data);

/* undefined.c: lays the instructions out: code, addresses, undefined flags; to be called after a change of insn[]. False
 * when an instruction reads an undefined flag, or something is amiss: the case says nothing. */
bool diff_assemble(struct generator *g, struct diff_case *c);

/* native.c */
#define NATIVE_BATCH 256
struct native;
struct native *native_create(void);
/* What DIFF_DATA holds at first, then the read-only page. */
void native_set_data(struct native *n, const u8 *data);
const struct diff_host *native_host(const struct native *n);
void native_free(struct native *n);
/* Runs up to NATIVE_BATCH cases. */
void native_run(struct native *n, const struct diff_case *cases, unsigned count, struct diff_result *results);
/* The data pages as the last case of the last run left them. */
const u8 *native_data(struct native *n);

/* interp.c */
struct interp;
struct interp *interp_create(const struct diff_host *host);
void interp_set_data(struct interp *in, const u8 *data);
void interp_free(struct interp *in);
void interp_run(struct interp *in, const struct diff_case *c, struct diff_result *result);
const u8 *interp_data(struct interp *in);
/* The last case wrote over its own code. */
bool interp_changed_code(struct interp *in, const struct diff_case *c);

/* exceptions.c */
/* Wipes from the data pages (at @data) what the case's last instruction leaves open there. */
void diff_wipe_image(const struct diff_case *c, u64 rip, u8 *data);

/* Which exception came, with what code and address, and what was written before it, may differ. @a is the host's result. */
bool diff_fault_free(const struct diff_case *c, const struct diff_result *a, const struct diff_result *b);
/* The results may differ altogether. */
bool diff_known(const struct diff_case *c, const struct diff_result *a, const struct diff_result *b);
/* The last instruction approximates, and x87 and SSE state agree as closely as they must. */
bool diff_approximate(const struct diff_case *c, const struct diff_result *a, const struct diff_result *b);

/* report.c */
bool diff_equal(const struct diff_case *c, const struct diff_result *native, const struct diff_result *soft);
/* The unit that holds @rip, or count. */
unsigned diff_insn_at(const struct diff_case *c, u64 rip);
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
