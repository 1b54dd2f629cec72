#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# check-vtx as a part of `make check`: where Bochs, the kernel's headers or the kernel can't be had it is skipped, with the
# reason. What they build failing is a failure.
set -eu
BUILD=${BUILD:-build}
log=$BUILD/host/try.log
mkdir -p "$BUILD/host"
reason() {
	echo "skip the VT-x module inside Bochs: $1"
	exit 0
}
mk/deps.sh deps.txt install vtx >"$log" 2>&1 || reason "$(tail -n 1 "$log")"
command -v bochs >/dev/null || reason "no bochs here"
ls -d /usr/src/linux-headers-*-cloud-amd64 >/dev/null 2>&1 || reason "no headers of Debian's cloud kernel here"
status=0
why=$(tests/replay/debian-kernel.sh "$BUILD/debian") || status=$?
[ $status != 77 ] || reason "$why"
# A make of its own: the jobs of the one that runs this script are not handed on.
unset MAKEFLAGS MAKELEVEL MFLAGS
exec "${MAKE:-make}" --no-print-directory BUILD="$BUILD" MODE=rel CC=gcc check-vtx
