/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Instructions of a machine in words. */
#ifndef CMD_DISASM_H
#define CMD_DISASM_H

#include <stdio.h>

#include "vmm/machine.h"

/* A divergence_disasm_fn (replay/replayer.h); @machine: struct machine. One line about the instruction at RIP. */
void disasm_print(void *machine, FILE *f, const struct x86_state *regs);

/* Reads guest memory at a linear address, as the guest's paging has it, without touching anything. The bytes read, up
 * to the first that isn't there. */
size_t guest_read_linear(const struct machine *m, const struct x86_state *regs, u64 la, u8 *out, size_t len);

#endif
