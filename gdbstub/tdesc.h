/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The registers as GDB sees them: one table gives numbers, the target description (GDB manual, appendix G "Target
 * Descriptions") and the bytes of the g, G, p and P packets.
 *
 * Features: org.gnu.gdb.i386.core, sse and segments as GDB fixes them, and org.vmdbg.system (group "system"). The
 * description is that of 64-bit mode whatever mode the vCPU is in, because GDB can't change it during a session.
 * Outside 64-bit mode rip is linear (CS base included), which is what GDB needs to read code and set breakpoints;
 * register ip is then the offset in CS. */
#ifndef GDBSTUB_TDESC_H
#define GDBSTUB_TDESC_H

#include "vmm/target.h"
#include "vmm/types.h"

#define TDESC_REG_MAX 16 /* bytes of the widest register */

/* Numbers that GDB's description fixes. */
#define TDESC_RBP 6
#define TDESC_RSP 7
#define TDESC_RIP 16

/* All registers; those below tdesc_g_count() make up the g packet, GDB asks for the others one by one. */
unsigned tdesc_count(void);
unsigned tdesc_g_count(void);

const char *tdesc_name(unsigned n);

/* Bytes that register @n takes in packets; 0 when there is none. */
size_t tdesc_size(unsigned n);

/* Fills @out (tdesc_size() bytes, little-endian); false when there is no such register or no value for it. */
bool tdesc_read(struct target *t, unsigned vcpu, const struct x86_state *regs, unsigned n, u8 out[TDESC_REG_MAX]);

/* Its low 64 bits, for conditions. */
bool tdesc_value(struct target *t, unsigned vcpu, const struct x86_state *regs, unsigned n, u64 *value);

/* Changes @regs; -ENOENT: no such register, -EPERM: it is not one that can be written. */
int tdesc_write(struct x86_state *regs, unsigned n, const u8 *in);
/* Whether the register is another one at every moment, so that nobody can mean to set it: position and TSC. */
bool tdesc_passes(unsigned n);

/* RIP as GDB sees it. */
u64 tdesc_pc(const struct x86_state *regs);

/* target.xml: the same text every time. The caller frees it; NULL without memory. */
char *tdesc_xml(size_t *len);

#endif
