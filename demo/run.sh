#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# run.sh VMDBG FOLDER: records FOLDER/demo.elf, which crashes, replays the recording and says what to do with it.
set -eu
vmdbg=$1
dir=$2
bold=
plain=
if [ -t 1 ]; then
	bold=$(printf '\033[1m')
	plain=$(printf '\033[0m')
fi

say() {
	printf '\n%s%s%s\n' "$bold" "$1" "$plain"
}

run() {
	printf '%s$ %s%s\n' "$bold" "$*" "$plain"
	status=0
	"$@" || status=$?
	printf '(exit status %s)\n' "$status"
}

expect() {
	if [ "$status" != "$1" ]; then
		echo "demo: exit status $1 was expected" >&2
		exit 1
	fi
}

say "1. Record a small kernel that runs for three seconds and then crashes:"
run "$vmdbg" record --force -o "$dir/demo.vmt" "$dir/demo.elf"
expect 4

say "2. What the trace holds:"
run "$vmdbg" trace info "$dir/demo.vmt"
expect 0

say "3. Replay it: the same instructions, the same output, the same crash:"
run "$vmdbg" replay --expect panic "$dir/demo.vmt"
expect 0

# The faulting instruction, as the panic message names it.
rip=$("$vmdbg" replay --quiet --serial stdio "$dir/demo.vmt" | tr -d '\r' | sed -n 's/^RIP \([0-9a-f]*\).*/\1/p')
say "The crash, by source line:"
addr2line -f -p -e "$dir/demo.elf" "${rip:-0}" || true
cat <<EOF

A task's function pointer was overwritten, long before it was called. The replay is the same every time, so the
search can be as slow and as thorough as it likes. What to type next:

  $vmdbg replay --gdb $dir/demo.vmt
                                                 and, in another terminal, GDB, which walks back from the crash:
  gdb -ex 'target remote :1234' -x demo/find-bug.gdb $dir/demo.elf
  $vmdbg trace dump $dir/demo.vmt | less        every event of the recording
  $vmdbg replay --until insns:100000 $dir/demo.vmt
                                                 replay and stop anywhere
  $vmdbg replay --expect panic --junit r.xml $dir/demo.vmt
                                                 this crash as a CI test
  objdump -dS $dir/demo.elf | less         the kernel; the bug is in demo/ring.c

And with a kernel of your own:

  $vmdbg record my-kernel                       writes my-kernel.vmt
  $vmdbg replay my-kernel.vmt
EOF
