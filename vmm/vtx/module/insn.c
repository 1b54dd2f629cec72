// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Opcodes that single-stepping treats apart (SDM 2D, opcode maps). Everything not named here is plain.
 */
#include "insn.h"

static bool is_prefix(u8 b)
{
	switch (b) {
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
	case 0x64:
	case 0x65: /* segments */
	case 0x66:
	case 0x67:
	case 0xf0:
	case 0xf2:
	case 0xf3:
		return true;
	default:
		return false;
	}
}

static enum insn_class two_bytes(const u8 *op, unsigned int left, unsigned int bits, bool rep, bool wide)
{
	if (!left)
		return INSN_PLAIN;
	switch (op[0]) {
	case 0x80 ... 0x8f:
		return INSN_BRANCH;
	case 0x00:
	case 0x01:
		return INSN_SYSTEM;
	case 0x05:
		return bits == 64 ? INSN_SYSCALL : INSN_PLAIN;
	case 0x07:
		return INSN_LOADS_FLAGS;
	case 0xa0:
	case 0xa8:
		return wide ? INSN_PUSH_SEG : INSN_PLAIN;
	case 0x38:
		return left > 1 && op[1] == 0x82 ? INSN_SYSTEM : INSN_PLAIN;
	case 0xc7: /* F3 0F C7 /7 with a register */
		return rep && left > 1 && op[1] >= 0xf8 ? INSN_ABSENT : INSN_PLAIN;
	default:
		return INSN_PLAIN;
	}
}

/* Those that only control the FPU leave the pointers alone, or load them (SDM 1, 8.1.8). */
static bool is_x87_control(u8 opcode, u8 modrm)
{
	unsigned int reg = modrm >> 3 & 7;

	if (modrm >= 0xc0)
		return (opcode == 0xdb && modrm >= 0xe0 && modrm <= 0xe4) || (opcode == 0xdf && modrm == 0xe0);
	return (opcode == 0xd9 && reg >= 4) || (opcode == 0xdd && reg >= 4 && reg != 5);
}

enum insn_class insn_classify(const u8 *bytes, unsigned int n, unsigned int bits, unsigned int *len)
{
	unsigned int i = 0;
	bool rep = false, repeats = false, other = false, wide;

	while (i < n && is_prefix(bytes[i])) {
		other |= bytes[i] == 0x66;
		rep |= bytes[i] == 0xf3;
		repeats |= bytes[i] == 0xf2 || bytes[i] == 0xf3;
		i++;
	}
	if (bits == 64)
		while (i < n && (bytes[i] & 0xf0) == 0x40) {
			/* A REX prefix that a legacy prefix follows has no effect, but is there. */
			i++;
			while (i < n && is_prefix(bytes[i])) {
				rep |= bytes[i] == 0xf3;
				repeats |= bytes[i] == 0xf2 || bytes[i] == 0xf3;
				i++;
			}
		}
	wide = bits != 64 && (bits == 32) != other;
	*len = i + 1;
	if (i >= n)
		return INSN_PLAIN;
	switch (bytes[i]) {
	case 0x70 ... 0x7f:
	case 0xe0 ... 0xe3:
		return INSN_BRANCH;
	case 0x9c:
		return INSN_PUSHF;
	case 0xfb:
		return INSN_STI;
	case 0x9d:
	case 0xcf:
		return INSN_LOADS_FLAGS;
	case 0xa4 ... 0xa7:
	case 0xaa ... 0xaf:
		return repeats ? INSN_REP : INSN_PLAIN;
	case 0xd8 ... 0xdf:
		return i + 1 < n && !is_x87_control(bytes[i], bytes[i + 1]) ? INSN_X87 : INSN_PLAIN;
	case 0xcd:
		*len = i + 2;
		return i + 1 < n ? INSN_INT : INSN_PLAIN;
	case 0x8e:
		return i + 1 < n && (bytes[i + 1] >> 3 & 7) == 2 ? INSN_LOADS_SS : INSN_PLAIN;
	case 0x06:
	case 0x0e:
	case 0x16:
	case 0x1e:
		return wide ? INSN_PUSH_SEG : INSN_PLAIN;
	case 0x17:
		return bits == 64 ? INSN_PLAIN : INSN_LOADS_SS;
	case 0x0f:
		*len = i + 2;
		return two_bytes(bytes + i + 1, n - i - 1, bits, rep, wide);
	default:
		return INSN_PLAIN;
	}
}
