/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between machine.c, machine_run.c and machine_io.c. */
#ifndef VMM_MACHINE_INTERNAL_H
#define VMM_MACHINE_INTERNAL_H

#include "vmm/machine.h"

/* What vCPUs ask in the middle of an instruction (machine_io.c). */
extern const struct vcpu_ops machine_vcpu_ops;

#endif
