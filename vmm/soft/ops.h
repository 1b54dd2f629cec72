/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Instruction handlers that one file defines and another file's table names. */
#ifndef VMM_SOFT_OPS_H
#define VMM_SOFT_OPS_H

#include "vmm/soft/decode.h"

/* ops_fxstate.c: memory forms of 0F AE and 0F C7 that move FPU and SSE state */
insn_fn op_fxsave, op_fxrstor, op_ldmxcsr, op_stmxcsr;
insn_fn op_xsave, op_xrstor, op_xsaveopt, op_xsavec, op_xsaves, op_xrstors;
/* ops_x87.c */
insn_fn op_fwait;

#endif
