/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Descriptors in protected mode. */
#include "tests/guest/lib/segtables.h"
