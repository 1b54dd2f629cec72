/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What single-stepping must know of an instruction before it runs. Pure: the unit tests compile it in user space.
 */
#ifndef VMDBG_INSN_H
#define VMDBG_INSN_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include "vmm/types.h"
#endif

enum insn_class {
	INSN_PLAIN,       /* a step under TF shows nothing of it to the guest */
	INSN_BRANCH,      /* plain, and a conditional branch: Jcc, LOOPcc, JrCXZ */
	INSN_LOADS_FLAGS, /* POPF, IRET, SYSRET: RFLAGS.TF is the guest's own afterwards */
	INSN_PUSHF,       /* stores RFLAGS: run without TF up to the next instruction */
	INSN_REP,         /* REP MOVS, STOS, CMPS, LODS, SCAS: one instruction, many iterations */
	INSN_SYSCALL,     /* stores RFLAGS, goes to LSTAR */
	INSN_SYSTEM,      /* 0F 00, 0F 01, INVPCID: may change translations; descriptor tables */
	INSN_INT,         /* INT n: pushes RFLAGS */
	INSN_LOADS_SS,    /* MOV SS, POP SS: hold traps off until after the next instruction */
	INSN_PUSH_SEG,    /* PUSH of a segment register, 32 bits wide: the upper half differs by processor */
	INSN_STI,         /* plain, and interrupts stay shut for one more instruction when it opens them */
	INSN_ABSENT,      /* not in the guest's CPU model, but nothing makes it exit or fault: RDPID */
	INSN_X87,         /* leaves its own address and its operand's in the FPU, in ways that differ by processor */
};

/*
 * Classifies the instruction at @bytes, of which @n are known (up to 15); fewer than it needs: INSN_PLAIN, since it will
 * fault. @bits: 16, 32 or 64. *@len: its length, for INSN_PUSHF, INSN_REP, INSN_SYSCALL, INSN_PUSH_SEG and INSN_INT.
 */
enum insn_class insn_classify(const u8 *bytes, unsigned int n, unsigned int bits, unsigned int *len);

#endif
