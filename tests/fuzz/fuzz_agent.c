/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bytecode that agent_check() lets through: no access outside the program and its stack, and an end. */
#include <stdlib.h>

#include "gdbstub/agent.h"

static size_t printed;

static int host_reg(void *opaque, unsigned n, u64 *value)
{
	*value = n * 0x0101010101010101ull;
	return n < 200 ? 0 : -1;
}

static int host_mem(void *opaque, u64 addr, void *buf, size_t len)
{
	if (addr > 0x1000)
		return -1;
	memset(buf, 'a' + addr % 26, len);
	return 0;
}

static void host_text(void *opaque, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		printed += text[i];
}

static void host_trace(void *opaque, u64 addr, u64 len)
{
	printed += addr + len;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t len);
int LLVMFuzzerTestOneInput(const u8 *data, size_t len)
{
	static u64 variables[AGENT_VARIABLES];
	const struct agent_host host = {
	    .reg = host_reg, .mem = host_mem, .text = host_text, .trace = host_trace, .variables = variables};
	struct agent_expr e = {NULL, len};
	u64 value;

	if (agent_check(data, len) < 0)
		return 0;
	e.code = malloc(len); /* of just that size, for the sanitizer */
	if (!e.code)
		return 0;
	memcpy(e.code, data, len);
	memset(variables, 0, sizeof(variables));
	agent_eval(&e, &host, &value);
	free(e.code);
	return 0;
}
