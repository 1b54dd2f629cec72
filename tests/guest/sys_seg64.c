/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Descriptors in 64-bit mode, transfers to compatibility mode among them. */
#include "tests/guest/lib/segtables.h"
