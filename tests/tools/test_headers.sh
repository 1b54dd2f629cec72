#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Every header of ours compiles alone. vmdbg.h and shadow.h of vmm/vtx/module need the kernel's headers: make module compiles them.
set -u
find vmm traces replay introspect gdbstub cmd -name '*.h' ! -path vmm/vtx/module/vmdbg.h ! -path vmm/vtx/module/shadow.h 2>/dev/null | sort | xargs -P 2 -I{} sh -c '
	if printf "#include \"%s\"\n" "$1" |
		${CC:-gcc} -std=gnu11 -Wall -Wextra -Werror -Wno-unused-parameter -Wno-unused-function -I. -msse4.2 \
			-fsyntax-only -x c - >/tmp/header.$$ 2>&1; then
		echo "ok $1 alone"
	else
		sed "s/^/# /" /tmp/header.$$
		echo "not ok $1 alone"
	fi
	rm -f /tmp/header.$$' sh {}
