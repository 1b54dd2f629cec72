/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Instructions of the guest in words (Zydis, AT&T syntax as GDB has it). Pure: bytes in, text out. */
#ifndef GDBSTUB_DISASM_H
#define GDBSTUB_DISASM_H

#include <stdio.h>

#include "vmm/types.h"
#include "vmm/x86/state.h"

#define DISASM_BYTES 15 /* of the longest instruction */

/* The mode that the vCPU decodes in: 16, 32 or 64. */
unsigned disasm_bits(const struct x86_state *regs);

/* What branch targets are relative to: the offset in CS of the linear address @la. */
u64 disasm_offset(const struct x86_state *regs, u64 la);

/* One line about the instruction that @bytes begins with: "ADDRESS: BYTES  TEXT", with its length for an answer. 0: it
 * is none, or not whole, which the line then says. @offset: its address as the program knows it, without CS's base. */
unsigned disasm_line(FILE *f, unsigned bits, u64 address, u64 offset, const u8 *bytes, size_t len);

/* Whether the last bytes of @before, which end with it, are a CALL: the next byte may be what one returns to. */
bool disasm_is_call(unsigned bits, const u8 *before, size_t len);

#endif
