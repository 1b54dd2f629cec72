#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# cpu-coverage.sh PAGE PROGRAM...: replaces what follows the mark in PAGE by the table that PROGRAM prints.
set -e
page=$1
shift
out=$("$@") || { echo "$out"; exit 1; }
{
	sed '/^<!-- generated -->$/q' "$page"
	echo
	echo "$out" | sed -n '/^## Opcodes/,$p'
} >"$page.new"
mv "$page.new" "$page"
