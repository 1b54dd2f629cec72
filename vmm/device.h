/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What every chip has in common: a name, a table of saved fields, a reset. A chip's struct begins with
 * struct device; the machine keeps the list in wiring order (also the order in checkpoints and digests). */
#ifndef VMM_DEVICE_H
#define VMM_DEVICE_H

#include "vmm/state.h"
#include "vmm/types.h"

struct device;

struct device_class {
	const char *name;           /* part number, e.g. "8259a" */
	const struct field *fields; /* [S] fields of the chip's struct */
	void (*reset)(struct device *dev);
	void (*loaded)(struct device *dev); /* after state_load: rebuild [D] fields; may be NULL */
	void (*free)(struct device *dev);   /* releases what the chip allocated beyond itself; may be NULL */
};

struct device {
	const struct device_class *class;
	const char *id; /* unique in the machine, e.g. "serial0" */
};

#endif
