/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Looking at a machine that doesn't run, by linear address: changes nothing, no accessed flags, no device reads. */
#ifndef VMM_INSPECT_H
#define VMM_INSPECT_H

#include "vmm/memory.h"
#include "vmm/x86/state.h"

/* Guest-physical address of linear @la through the page tables that @regs names. -EFAULT: not mapped. */
int inspect_translate(const struct memory *mem, const struct x86_state *regs, u64 la, u64 *gpa);

/* Bytes copied from @la on; fewer than @len where a page isn't mapped or isn't RAM. */
size_t inspect_read(const struct memory *mem, const struct x86_state *regs, u64 la, void *buf, size_t len);

/* The same from guest-physical @gpa on. */
size_t inspect_read_physical(const struct memory *mem, u64 gpa, void *buf, size_t len);

#endif
