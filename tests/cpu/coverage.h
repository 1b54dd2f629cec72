/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What each form of each opcode was seen to do. */
#ifndef TESTS_CPU_COVERAGE_H
#define TESTS_CPU_COVERAGE_H

#include "tests/cpu/gen.h"

enum outcome {
	OUT_OK,
	OUT_LOCK, /* done, with LOCK */
	OUT_DE,
	OUT_DB,
	OUT_BP,
	OUT_OF,
	OUT_BR,
	OUT_UD,
	OUT_NP,
	OUT_SS,
	OUT_GP,
	OUT_PF,
	OUT_MF,
	OUT_AC,
	OUT_XM,
	OUT_OTHER,
	OUT_COUNT
};

/* Times, by code size, operand size and address size (0, 1, 2: 16, 32, 64 bits each). */
struct cover {
	u32 times[3][3][3][OUT_COUNT];
};

struct cover *cover_alloc(const struct generator *g); /* shared between processes; as many as there are forms */
size_t cover_size(const struct generator *g);
/* Counts what the instructions of a case did. */
void cover_case(struct cover *cov, const struct diff_case *c, const struct diff_result *r);
/* The table, in Markdown, and the holes. Returns how many have no reason. */
unsigned cover_print(const struct cover *cov, const struct generator *g);

#endif
