#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# clang for building a module against a kernel that was configured for gcc: without the options that only gcc knows.
for arg; do
	shift
	case $arg in
	-mfunction-return=* | -fconserve-stack | -mrecord-mcount | -ftrivial-auto-var-init=* | -fzero-call-used-regs=* | \
		-mindirect-branch* | -fno-allow-store-data-races | -fplugin* | -mpreferred-stack-boundary=* | -femit-struct-debug* | \
		-fno-var-tracking* | -mskip-rax-setup) ;;
	*) set -- "$@" "$arg" ;;
	esac
done
exec clang "$@" -Wno-unknown-warning-option -Wno-gnu -Wno-unused-command-line-argument
