/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The transcendental instructions (SDM volume 1, 8.3.6 and 8.3.7).
 *
 * Hardware differs here between vendors and generations in the last bit; these give the correctly rounded result of
 * the function (of the argument reduced with Intel's 66-bit pi for the trigonometric ones) by FCW.RC, to 64 bits
 * whatever FCW.PC. Special operands follow the tables of SDM volume 2. Environment and results as in x87_float.h. */
#ifndef VMM_SOFT_X87_MATH_H
#define VMM_SOFT_X87_MATH_H

#include "vmm/soft/x87_float.h"

/* Sine and cosine or tangent; NULL for what is not wanted. False: |a| >= 2^63, nothing computed (C2). */
bool f80_sincos(struct f80_env *env, const struct f80_num *a, struct x87_reg *sin, struct x87_reg *cos);
bool f80_tan(struct f80_env *env, const struct f80_num *a, struct x87_reg *tan);
/* The angle of the point (x, y). */
struct x87_reg f80_atan2(struct f80_env *env, const struct f80_num *y, const struct f80_num *x);
/* 2^a - 1; |a| > 1 is undefined and gives a. */
struct x87_reg f80_exp2m1(struct f80_env *env, const struct f80_num *a);
/* y * log2(x). */
struct x87_reg f80_ylog2(struct f80_env *env, const struct f80_num *y, const struct f80_num *x);
/* y * log2(x + 1); x <= -1 is undefined and gives x. */
struct x87_reg f80_ylog2p1(struct f80_env *env, const struct f80_num *y, const struct f80_num *x);

#endif
