/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The types that registers of each feature are shown with. Bits are named as in the SDM (volume 3, chapters 2, 17 and
 * 25; volume 1, chapter 3 and 10). */
#ifndef GDBSTUB_TDESC_TYPES_H
#define GDBSTUB_TDESC_TYPES_H

extern const char tdesc_types_core[];
extern const char tdesc_types_sse[];
extern const char tdesc_types_system[];

#endif
