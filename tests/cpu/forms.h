/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every form of every opcode, from the decoder's tables (vmm/soft/decode.h). */
#ifndef TESTS_CPU_FORMS_H
#define TESTS_CPU_FORMS_H

#include "tests/cpu/diff.h"

enum form_kind { FORM_PLAIN, FORM_REG, FORM_MEM };

struct form {
	u8 map; /* 0: one byte, 1: 0F, 2: 0F 38, 3: 0F 3A */
	u8 op;
	u8 kind;    /* enum form_kind: without ModRM, register form, memory form */
	s8 prefix;  /* mandatory: 0 none, 1 66, 2 F3, 3 F2; -1: no matter */
	s8 reg, rm; /* ModRM fields that choose the instruction, or -1 */
	u8 class;   /* enum diff_class */
	bool defined;
	bool any_mod; /* MOV CR and DR */
	bool lock;    /* LOCK allowed */
	bool only32, only64;
	u32 flags; /* enum opcode_flags, of all tables on the way */
	char name[16];
};

/* All of them; *count of them. Made at the first call. */
const struct form *forms_all(unsigned *count);
/* "0F AE /3", "F3 0F 58", "DB E3", ... */
void form_code(const struct form *f, char *buf, unsigned size);

#endif
