#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Every C file is as clang-format would have it, and begins with the licence line.
set -u
status=0
files=$(find . -name build -prune -o -name .git -prune -o \( -name '*.c' -o -name '*.h' \) -print | sort)
for f in $files; do
	clang-format --dry-run -Werror "$f" >/dev/null 2>&1 || { echo "# $f: run 'make format'"; status=1; }
done
[ $status = 0 ] && echo "ok formatting" || echo "not ok formatting"
bad=0
for f in $files $(find . -name build -prune -o -name .git -prune -o \( -name '*.S' -o -name '*.sh' -o -name '*.py' \) -print); do
	head -n 2 "$f" | grep -q 'SPDX-License-Identifier: GPL-2.0-or-later' || { echo "# $f: no licence line"; bad=1; }
done
[ $bad = 0 ] && echo "ok licence lines" || echo "not ok licence lines"
[ $status = 0 ] && [ $bad = 0 ]
