/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The decoder on any bytes, in any mode, with any number of bytes available. */
#include <stdlib.h>

#include "vmm/soft/decode.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void check(bool claim)
{
	if (!claim)
		abort();
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct insn a = {0}, b = {0};
	u8 bytes[INSN_MAX_LEN] = {0};
	bool end_a = false, end_b = false;
	unsigned mode, avail, len;

	if (size < 2)
		return 0;
	mode = data[0] & 15;
	if (mode & MODE_64)
		mode = MODE_64;
	data++;
	avail = --size < INSN_MAX_LEN ? size : INSN_MAX_LEN;
	memcpy(bytes, data, avail);

	len = decode_insn(bytes, avail, 0x7ffffffff000, mode, &a, &end_a);
	check(len <= INSN_MAX_LEN);
	if (len == 0)
		return 0;
	check(a.fn && a.len == len);
	check(len <= avail || a.fn == op_ud || a.fn == op_too_long);
	/* The bytes behind an instruction have no say in it. */
	for (unsigned i = len; i < INSN_MAX_LEN; i++)
		bytes[i] ^= 0x5a;
	if (a.fn == op_ud || a.fn == op_too_long)
		return 0;
	check(decode_insn(bytes, len, 0x7ffffffff000, mode, &b, &end_b) == len);
	check(!memcmp(&a, &b, sizeof(a)) && end_a == end_b);
	for (unsigned i = 1; i < len; i++)
		check(decode_insn(bytes, i, 0x7ffffffff000, mode, &b, &end_b) == 0);
	return 0;
}
