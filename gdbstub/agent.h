/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The bytecode in which GDB sends conditions and printf commands of breakpoints (GDB manual, appendix F "The GDB Agent
 * Expression Mechanism"). The complete opcode set; programs come from the client and are not trusted.
 * Cost: a few nanoseconds an opcode, plus what the callbacks take. */
#ifndef GDBSTUB_AGENT_H
#define GDBSTUB_AGENT_H

#include "vmm/types.h"

#define AGENT_CODE_MAX  0x10000 /* bytes; jump targets have 16 bits */
#define AGENT_STACK_MAX 256     /* values */
#define AGENT_STEP_MAX  10000   /* opcodes of one evaluation */
#define AGENT_VARIABLES 256     /* trace state variables */

/* What the expression can see. Callbacks return 0 or a negative errno, which ends the evaluation. */
struct agent_host {
	int (*reg)(void *opaque, unsigned n, u64 *value);
	int (*mem)(void *opaque, u64 addr, void *buf, size_t len); /* all @len bytes, or an error */
	void (*text)(void *opaque, const char *text, size_t len);  /* output of the printf opcode; may be NULL */
	void (*trace)(void *opaque, u64 addr, u64 len);            /* memory to record; may be NULL */
	u64 *variables;                                            /* AGENT_VARIABLES of them, or NULL */
	void *opaque;
};

struct agent_expr {
	u8 *code;
	size_t len;
};

/* -EINVAL: an unknown or cut-off opcode, a jump that is not to an opcode, a printf without a proper format. An
 * evaluated expression must have passed this. Linear in @len. */
int agent_check(const u8 *code, size_t len);

/* The value on top of the stack at the end, or 0 where nothing is left there. -EDOM: division by zero; -EOVERFLOW:
 * stack; -ELOOP: AGENT_STEP_MAX reached; or what a callback returned. */
int agent_eval(const struct agent_expr *e, const struct agent_host *host, u64 *result);

/* The printf opcode: @format as in C, with C's backslash escapes still in it; one value an argument (%s: the address
 * of a string in target memory; floating point: the bits of a double). Missing arguments print as 0. */
int agent_printf(const struct agent_host *host, const char *format, size_t len, const u64 *args, unsigned nargs);

#endif
