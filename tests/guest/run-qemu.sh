#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# run-qemu.sh KERNEL.elf...: runs guest kernels under QEMU TCG, to see what another implementation says. Needs
# qemu-system-x86 (make check-system installs it). Prints each kernel's lines and QEMU's exit status (33: every claim held).
# CPU: QEMU's -cpu argument, "max" unless set.
for elf in "$@"; do
	tmp=$(mktemp)
	# QEMU takes Multiboot kernels as ELF32 only; a 64-bit one is the same bytes in another container.
	objcopy -g -O elf32-i386 "$elf" "$tmp"
	echo "# $elf"
	timeout "${SECONDS_MAX:-20}" qemu-system-x86_64 -accel tcg -cpu "${CPU:-max}" -m 256 -kernel "$tmp" -serial stdio \
		-display none -no-reboot -device isa-debug-exit,iobase=0xf4,iosize=4 ${QEMU_ARGS:-} </dev/null
	echo "# exit status $?"
	rm -f "$tmp"
done
