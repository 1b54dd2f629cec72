/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The registers of chips in words, from the tables that save them. */
#ifndef VMM_DEVICE_PRINT_H
#define VMM_DEVICE_PRINT_H

#include <stdio.h>

#include "vmm/machine.h"

/* The saved fields of the device @id, a line each; bytes as rows of hex, long ones shortened. NULL: a list of all
 * devices. Changes nothing. -ENOENT: no such device. */
int machine_print_device(const struct machine *m, const char *id, FILE *out);

#endif
