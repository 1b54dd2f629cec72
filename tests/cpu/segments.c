/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The LDT of the segmented cases: what modify_ldt() of Linux lets user code have. */
#include "tests/cpu/diff.h"
#include "vmm/x86/regs.h"

const struct diff_segment diff_ldt[DIFF_LDT_COUNT] = {
    [LDT_CODE16] = {DIFF_CODE, DIFF_CODE_SIZE - 1, 5, .present = true},
    [LDT_CODE32] = {DIFF_CODE, DIFF_CODE_SIZE - 1, 5, .big = true, .present = true},
    [LDT_DATA] = {DIFF_DATA, 0xfff, 1, .big = true, .present = true},
    [LDT_DATA16] = {DIFF_DATA, DIFF_DATA_SIZE - 1, 1, .present = true},
    [LDT_SHIFTED] = {DIFF_DATA + 0x13, 0x17ff, 1, .big = true, .present = true},
    [LDT_SHORT] = {DIFF_DATA - DIFF_PAGE, 2, 0, .big = true, .pages = true, .present = true},
    [LDT_FLAT_CODE] = {0, 0xfffff, 4, .big = true, .pages = true, .present = true},
    [LDT_DOWN] = {DIFF_DATA, 0x7ff, 3, .big = true, .present = true},
    {DIFF_DATA, 0x3ff, 3, .present = true}, /* expand-down to 64 KiB */
    {DIFF_DATA, 0xfff, 1, .big = true},     /* not present */
    {DIFF_CODE, 0xfff, 5, .big = true},     /* code that isn't */
    {DIFF_DATA, 0xfff, 2, .present = true}, /* expand-down, read-only */
};

/* SDM 3A 3.4.5, figure 3-8: accessed, for user mode, available to software. */
u64 diff_descriptor(const struct diff_segment *s)
{
	u64 type = 1 | s->type << 1, high = type | 1 << 4 | 3 << 5 | (u64)s->present << 7 | (s->limit >> 16 & 15) << 8;

	high |= 1u << 12 | (u64)s->big << 14 | (u64)s->pages << 15;
	return (s->limit & 0xffff) | (u64)(s->base & 0xffffff) << 16 | high << 40 | (u64)(s->base >> 24) << 56;
}
