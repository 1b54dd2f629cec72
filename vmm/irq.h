/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An interrupt line: what a device holds instead of a pointer to its interrupt controller. */
#ifndef VMM_IRQ_H
#define VMM_IRQ_H

#include "vmm/types.h"

struct irq_line {
	void (*set)(void *opaque, unsigned n, bool level);
	void *opaque;
	unsigned n;
};

/* Drives the line; a line without a controller (set == NULL) goes nowhere. */
static inline void irq_set(const struct irq_line *line, bool level)
{
	if (line->set)
		line->set(line->opaque, line->n, level);
}

/* A low-high-low edge. */
static inline void irq_pulse(const struct irq_line *line)
{
	irq_set(line, true);
	irq_set(line, false);
}

#endif
