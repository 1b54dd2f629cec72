/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of the generator share. */
#ifndef TESTS_CPU_GEN_H
#define TESTS_CPU_GEN_H

#include "tests/cpu/diff.h"
#include "tests/cpu/forms.h"
#include "tests/cpu/isa.h"

enum { CLASS_COUNT = 4 };

struct generator {
	ZydisDecoder decoder[3]; /* 16, 32, 64 bits: the CPU model */
	ZydisDecoder full[3];    /* all that Zydis knows */
	struct diff_host host;
	const struct form *forms;
	unsigned forms_count;
	/* Indices of the defined forms of a class, by kind; of the undefined ones. */
	struct form_list {
		u16 *index;
		unsigned count;
	} defined[CLASS_COUNT][3], undefined[CLASS_COUNT];
	unsigned modifier_form; /* MOV m8, imm8 */
	struct form_note {
		char name[24];   /* once it has been made */
		const char *why; /* it is left out, with some operands at least */
		bool xm;         /* it may raise #XM */
	} * notes;               /* of each form, shared with the workers */
};

/* What a register holds at first: decides what it is good for in addresses. */
enum reg_kind { REG_POINTER, REG_SMALL, REG_WILD };

struct making {
	struct rng *rng;
	struct generator *g;
	struct diff_case *c;
	unsigned classes;
	enum reg_kind kind[16];
};

static inline unsigned bits_index(unsigned bits)
{
	return bits == 16 ? 0 : bits == 32 ? 1 : 2;
}

/* gen.c: an address in the data pages, or an offset in segments that begin there; any value. */
u64 pick_data_address(struct making *mk);
u64 pick_value(struct rng *rng);
u16 pick_selector(const struct diff_host *host, struct rng *rng);

/* gen.c: zeroed memory that stays shared with children. */
void *shared_alloc(size_t size);

/* insn.c: one attempt to make unit @number. */
bool insn_make(struct making *mk, struct diff_insn *insn, unsigned number);

/* exceptions.c: why an instruction isn't compared, NULL when it is. @osize: 2, 4, 8. */
const char *left_out(const struct diff_host *host, unsigned bits, const ZydisDecodedInstruction *i,
		     const ZydisDecodedOperand *op);
/* What a decoded instruction does to the status flags. */
void insn_flags(const ZydisDecodedInstruction *i, const ZydisDecodedOperand *op, u64 *reads, u64 *defined,
		u64 *undefined);
bool is_approximate(u16 mnemonic);

#endif
