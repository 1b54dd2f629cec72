#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# deps.sh LIST [install|check] [all|build|system|vtx]: installs the Debian packages named in LIST that are missing here.
# With "check": only says, by its exit status, whether any is missing. With "build": without what stands under "# Tests".
# With "system" or "vtx": only what stands under "# System" or "# VT-x", which the others leave out.
set -eu
list=$1
mode=${2:-install}
part=${3:-all}

if ! command -v dpkg-query >/dev/null 2>&1; then
	[ "$mode" = check ] || echo "deps: no dpkg here; install what $list names in this system's way" >&2
	exit 0
fi

section() {
	awk -v head="# $1" '/^#/ { on = index($0, head) == 1 } on && !/^#/' "$list"
}

case $part in
all) wanted=$(sed -e '/^# System/,$d' -e 's/#.*//' "$list") ;;
system) wanted=$(section System) ;;
vtx) wanted=$(section VT-x) ;;
*) wanted=$(sed -e '/^# Tests/,$d' -e 's/#.*//' "$list") ;;
esac
installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $wanted 2>/dev/null | sed -n 's/^installed //p' || true)
missing=
for pkg in $wanted; do
	case "
$installed
" in
	*"
$pkg
"*) ;;
	*) missing="$missing $pkg" ;;
	esac
done
[ -n "$missing" ] || exit 0
[ "$mode" != check ] || exit 1

as_root=
if [ "$(id -u)" != 0 ]; then
	if ! command -v sudo >/dev/null 2>&1; then
		echo "deps: as root, run: apt-get install$missing" >&2
		exit 1
	fi
	as_root=sudo
fi
echo "  DEPS   $missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# The package lists of a fresh machine or container are often absent or stale: fetch them once, then install.
if ! { $as_root apt-get -q update && $as_root apt-get -q install -y --no-install-recommends $missing; } >"$log" 2>&1; then
	tail -n 20 "$log" >&2
	echo "deps: apt-get could not install:$missing" >&2
	exit 1
fi
