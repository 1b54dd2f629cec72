/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 1. agent_check() has seen every opcode and operand, so agent_eval() reads operands without looking at the length.
 * 2. The stack starts at an untouched cell below it, so that the top is always readable.
 * 3. Multi-byte operands are big-endian; values in target memory are little-endian (GDB manual F.2). */
#include "gdbstub/agent.h"

#include <errno.h>

enum {
	OP_FLOAT = 0x01,
	OP_ADD,
	OP_SUB,
	OP_MUL,
	OP_DIV_SIGNED,
	OP_DIV_UNSIGNED,
	OP_REM_SIGNED,
	OP_REM_UNSIGNED,
	OP_LSH,
	OP_RSH_SIGNED,
	OP_RSH_UNSIGNED,
	OP_TRACE,
	OP_TRACE_QUICK,
	OP_LOG_NOT,
	OP_BIT_AND,
	OP_BIT_OR,
	OP_BIT_XOR,
	OP_BIT_NOT,
	OP_EQUAL,
	OP_LESS_SIGNED,
	OP_LESS_UNSIGNED,
	OP_EXT,
	OP_REF8,
	OP_REF16,
	OP_REF32,
	OP_REF64,
	OP_REF_FLOAT,
	OP_REF_DOUBLE,
	OP_REF_LONG_DOUBLE,
	OP_L_TO_D,
	OP_D_TO_L,
	OP_IF_GOTO,
	OP_GOTO,
	OP_CONST8,
	OP_CONST16,
	OP_CONST32,
	OP_CONST64,
	OP_REG,
	OP_END,
	OP_DUP,
	OP_POP,
	OP_ZERO_EXT,
	OP_SWAP,
	OP_GETV,
	OP_SETV,
	OP_TRACEV,
	OP_TRACENZ,
	OP_TRACE16,
	OP_PICK = 0x32,
	OP_ROT,
	OP_PRINTF,
	OP_COUNT,
};

/* Operand bytes (printf: before its string), values taken and values left. */
struct op {
	u8 valid, operands, pops, pushes;
};

static const struct op ops[OP_COUNT] = {
    [OP_FLOAT] = {1, 0, 0, 0},    [OP_ADD... OP_RSH_UNSIGNED] = {1, 0, 2, 1},
    [OP_TRACE] = {1, 0, 2, 0},    [OP_TRACE_QUICK] = {1, 1, 1, 1},
    [OP_LOG_NOT] = {1, 0, 1, 1},  [OP_BIT_AND... OP_BIT_XOR] = {1, 0, 2, 1},
    [OP_BIT_NOT] = {1, 0, 1, 1},  [OP_EQUAL... OP_LESS_UNSIGNED] = {1, 0, 2, 1},
    [OP_EXT] = {1, 1, 1, 1},      [OP_REF8... OP_D_TO_L] = {1, 0, 1, 1},
    [OP_IF_GOTO] = {1, 2, 1, 0},  [OP_GOTO] = {1, 2, 0, 0},
    [OP_CONST8] = {1, 1, 0, 1},   [OP_CONST16] = {1, 2, 0, 1},
    [OP_CONST32] = {1, 4, 0, 1},  [OP_CONST64] = {1, 8, 0, 1},
    [OP_REG] = {1, 2, 0, 1},      [OP_END] = {1, 0, 0, 0},
    [OP_DUP] = {1, 0, 1, 2},      [OP_POP] = {1, 0, 1, 0},
    [OP_ZERO_EXT] = {1, 1, 1, 1}, [OP_SWAP] = {1, 0, 2, 2},
    [OP_GETV] = {1, 2, 0, 1},     [OP_SETV] = {1, 2, 1, 1},
    [OP_TRACEV] = {1, 2, 0, 0},   [OP_TRACENZ] = {1, 0, 2, 0},
    [OP_TRACE16] = {1, 2, 1, 1},  [OP_PICK] = {1, 1, 1, 2},   /* what it reaches is looked at when it runs */
    [OP_ROT] = {1, 0, 3, 3},      [OP_PRINTF] = {1, 3, 2, 0}, /* the arguments besides */
};

static u64 operand(const u8 *p, unsigned n)
{
	u64 v = 0;

	for (unsigned i = 0; i < n; i++)
		v = v << 8 | p[i];
	return v;
}

/* Bytes of the opcode at @at with its operands; 0 when it is not a proper one. */
static size_t op_size(const u8 *code, size_t len, size_t at)
{
	u8 op = code[at];
	size_t size, text;

	if (op >= OP_COUNT || !ops[op].valid)
		return 0;
	size = 1 + ops[op].operands;
	if (size > len - at)
		return 0;
	if (op != OP_PRINTF)
		return size;
	text = operand(code + at + 2, 2);
	if (!text || text > len - at - size || code[at + size + text - 1] || code[at + 1] > AGENT_STACK_MAX / 2)
		return 0;
	return size + text;
}

static bool float_operation(u8 op)
{
	return op == OP_ADD || op == OP_SUB || op == OP_MUL || op == OP_DIV_SIGNED || op == OP_EQUAL ||
	       op == OP_LESS_SIGNED || op == OP_LOG_NOT;
}

int agent_check(const u8 *code, size_t len)
{
	u8 start[AGENT_CODE_MAX / 8 + 1] = {0};
	size_t size;

	if (!len || len > AGENT_CODE_MAX)
		return -EINVAL;
	for (size_t at = 0; at < len; at += size) {
		size = op_size(code, len, at);
		if (!size)
			return -EINVAL;
		if (code[at] == OP_FLOAT && (at + 1 >= len || !float_operation(code[at + 1])))
			return -EINVAL;
		start[at / 8] |= 1u << at % 8;
	}
	for (size_t at = 0; at < len; at += op_size(code, len, at)) {
		size_t to = operand(code + at + 1, code[at] == OP_GOTO || code[at] == OP_IF_GOTO ? 2 : 0);

		if (to && (to >= len || !(start[to / 8] & 1u << to % 8)))
			return -EINVAL;
	}
	return 0;
}

static double as_double(u64 v)
{
	double d;

	memcpy(&d, &v, 8);
	return d;
}

static u64 from_double(double d)
{
	u64 v;

	memcpy(&v, &d, 8);
	return v;
}

static u64 double_to_integer(double d)
{
	if (d != d)
		return 0;
	if (d >= 0x1p63)
		return INT64_MAX;
	if (d < -0x1p63)
		return (u64)INT64_MIN;
	return (s64)d;
}

/* @size: 4, 8 or 10 (the x87's format). */
static int ref_float(const struct agent_host *host, u64 addr, unsigned size, u64 *value)
{
	u8 buf[16] = {0};
	long double l;
	float f;
	int ret = host->mem(host->opaque, addr, buf, size);

	if (ret < 0)
		return ret;
	memcpy(&f, buf, sizeof(f));
	memcpy(&l, buf, 10);
	*value = size == 4 ? from_double(f) : size == 8 ? load64(buf) : from_double(l);
	return 0;
}

static int ref_integer(const struct agent_host *host, u64 addr, unsigned size, u64 *value)
{
	u8 buf[8] = {0};
	int ret = host->mem(host->opaque, addr, buf, size);

	*value = load64(buf);
	return ret < 0 ? ret : 0;
}

static u64 sign_extend(u64 v, unsigned bits)
{
	if (!bits || bits >= 64)
		return v;
	return (s64)(v << (64 - bits)) >> (64 - bits);
}

static u64 zero_extend(u64 v, unsigned bits)
{
	return bits >= 64 ? v : v & (BIT(bits) - 1);
}

static int divide(u8 op, u64 a, u64 b, u64 *result)
{
	if (!b)
		return -EDOM;
	if (op == OP_DIV_UNSIGNED)
		*result = a / b;
	else if (op == OP_REM_UNSIGNED)
		*result = a % b;
	else if (b == ~0ull) /* -1, where INT64_MIN has no quotient */
		*result = op == OP_DIV_SIGNED ? -a : 0;
	else if (op == OP_DIV_SIGNED)
		*result = (s64)a / (s64)b;
	else
		*result = (s64)a % (s64)b;
	return 0;
}

static int binary_float(u8 op, u64 a, u64 b, u64 *result)
{
	double x = as_double(a), y = as_double(b);

	switch (op) {
	case OP_ADD:
		*result = from_double(x + y);
		break;
	case OP_SUB:
		*result = from_double(x - y);
		break;
	case OP_MUL:
		*result = from_double(x * y);
		break;
	case OP_DIV_SIGNED:
		*result = from_double(x / y);
		break;
	case OP_EQUAL:
		*result = x == y;
		break;
	case OP_LESS_SIGNED:
		*result = x < y;
		break;
	}
	return 0;
}

static int binary(u8 op, u64 a, u64 b, u64 *result)
{
	switch (op) {
	case OP_ADD:
		*result = a + b;
		break;
	case OP_SUB:
		*result = a - b;
		break;
	case OP_MUL:
		*result = a * b;
		break;
	case OP_DIV_SIGNED ... OP_REM_UNSIGNED:
		return divide(op, a, b, result);
	case OP_LSH:
		*result = b < 64 ? a << b : 0;
		break;
	case OP_RSH_SIGNED:
		*result = (s64)a >> (b < 64 ? b : 63);
		break;
	case OP_RSH_UNSIGNED:
		*result = b < 64 ? a >> b : 0;
		break;
	case OP_BIT_AND:
		*result = a & b;
		break;
	case OP_BIT_OR:
		*result = a | b;
		break;
	case OP_BIT_XOR:
		*result = a ^ b;
		break;
	case OP_EQUAL:
		*result = a == b;
		break;
	case OP_LESS_SIGNED:
		*result = (s64)a < (s64)b;
		break;
	case OP_LESS_UNSIGNED:
		*result = a < b;
		break;
	}
	return 0;
}

/* Opcodes that replace the top value. */
static int unary(const struct agent_host *host, u8 op, u8 n, bool floating, u64 *top)
{
	switch (op) {
	case OP_LOG_NOT:
		*top = floating ? as_double(*top) == 0 : !*top;
		return 0;
	case OP_BIT_NOT:
		*top = ~*top;
		return 0;
	case OP_EXT:
		*top = sign_extend(*top, n);
		return 0;
	case OP_ZERO_EXT:
		*top = zero_extend(*top, n);
		return 0;
	case OP_REF8 ... OP_REF64:
		return ref_integer(host, *top, 1u << (op - OP_REF8), top);
	case OP_REF_FLOAT:
		return ref_float(host, *top, 4, top);
	case OP_REF_DOUBLE:
		return ref_float(host, *top, 8, top);
	case OP_REF_LONG_DOUBLE:
		return ref_float(host, *top, 10, top);
	case OP_L_TO_D:
		*top = from_double((s64)*top);
		return 0;
	case OP_D_TO_L:
		*top = double_to_integer(as_double(*top));
		return 0;
	}
	return 0;
}

static int variable(const struct agent_host *host, u8 op, unsigned n, u64 *value)
{
	if (!host->variables || n >= AGENT_VARIABLES)
		return -ENOENT;
	if (op == OP_SETV)
		host->variables[n] = *value;
	else
		*value = host->variables[n];
	return 0;
}

static void trace(const struct agent_host *host, u64 addr, u64 len)
{
	if (host->trace)
		host->trace(host->opaque, addr, len);
}

/* The rest: opcodes that move values about. @sp points at the top and has room for one more; @used is how many values
 * are on the stack. */
static int shuffle(const struct agent_host *host, u8 op, const u8 *arg, u64 *sp, size_t used)
{
	u64 t = sp[0];

	switch (op) {
	case OP_CONST8 ... OP_CONST64:
		sp[1] = operand(arg, ops[op].operands);
		return 0;
	case OP_REG:
		return host->reg(host->opaque, operand(arg, 2), &sp[1]);
	case OP_DUP:
		sp[1] = t;
		return 0;
	case OP_SWAP:
		sp[0] = sp[-1];
		sp[-1] = t;
		return 0;
	case OP_ROT:
		sp[0] = sp[-1];
		sp[-1] = sp[-2];
		sp[-2] = t;
		return 0;
	case OP_PICK:
		if (arg[0] >= used)
			return -EOVERFLOW;
		sp[1] = sp[-(int)arg[0]];
		return 0;
	case OP_GETV:
		return variable(host, op, operand(arg, 2), &sp[1]);
	case OP_SETV:
		return variable(host, op, operand(arg, 2), &sp[0]);
	case OP_TRACE:
	case OP_TRACENZ:
		trace(host, sp[-1], t);
		return 0;
	case OP_TRACE_QUICK:
	case OP_TRACE16:
		trace(host, t, operand(arg, ops[op].operands));
		return 0;
	}
	return 0; /* pop, tracev */
}

/* The stack holds, from the top: function, channel, first argument, second... @used counts all of them. */
static int print(const struct agent_host *host, const u8 *arg, const u64 *sp, size_t used)
{
	u64 args[AGENT_STACK_MAX / 2];
	unsigned n = arg[0];

	if (used < n + 2u)
		return -EOVERFLOW;
	for (unsigned i = 0; i < n; i++)
		args[i] = sp[-2 - (int)i];
	return agent_printf(host, (const char *)arg + 3, operand(arg + 1, 2) - 1, args, n);
}

int agent_eval(const struct agent_expr *e, const struct agent_host *host, u64 *result)
{
	u64 stack[AGENT_STACK_MAX + 2], *sp = stack; /* stack[0]: below the first value */
	bool floating = false;
	size_t at = 0;
	int ret = 0;

	stack[0] = 0;
	for (unsigned steps = 0; at < e->len; steps++) {
		const u8 *arg = e->code + at + 1;
		u8 op = e->code[at];
		size_t used = sp - stack;

		if (steps == AGENT_STEP_MAX)
			return -ELOOP;
		if (used < ops[op].pops || used + ops[op].pushes - ops[op].pops > AGENT_STACK_MAX)
			return -EOVERFLOW;
		at += 1 + ops[op].operands;
		switch (op) {
		case OP_FLOAT:
			floating = true;
			continue;
		case OP_END:
			at = e->len;
			break;
		case OP_GOTO:
			at = operand(arg, 2);
			break;
		case OP_IF_GOTO:
			if (*sp)
				at = operand(arg, 2);
			break;
		case OP_PRINTF:
			ret = print(host, arg, sp, used);
			at += operand(arg + 1, 2);
			sp -= ret < 0 ? 0 : arg[0];
			break;
		case OP_ADD ... OP_RSH_UNSIGNED:
		case OP_BIT_AND ... OP_BIT_XOR:
		case OP_EQUAL ... OP_LESS_UNSIGNED:
			ret = floating ? binary_float(op, sp[-1], *sp, &sp[-1]) : binary(op, sp[-1], *sp, &sp[-1]);
			break;
		case OP_LOG_NOT:
		case OP_BIT_NOT:
		case OP_EXT ... OP_D_TO_L:
		case OP_ZERO_EXT:
			ret = unary(host, op, ops[op].operands ? *arg : 0, floating, sp);
			break;
		default:
			ret = shuffle(host, op, arg, sp, used);
		}
		if (ret < 0)
			return ret;
		sp += ops[op].pushes - ops[op].pops;
		floating = false;
	}
	*result = sp > stack ? *sp : 0;
	return 0;
}
