#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""make bench: one Debian boot to power-off under vmdbg run, record and replay, and under QEMU TCG, interleaved.

BENCH_ROUNDS (3) rounds; medians of wall seconds. MIPS: guest instructions over wall seconds. QEMU is left out,
with a word, where it is not installed."""
import os
import shutil
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from vmdbg import BUILD, VMDBG, figures, run, scratch  # noqa: E402

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
DEBIAN = os.path.abspath(os.path.join(BUILD, "debian"))
APPEND = "console=ttyS0 panic=-1"
VMLINUZ = os.path.join(DEBIAN, "vmlinuz")
INITRD = os.path.join(DEBIAN, "initrd.gz")
KERNEL = [VMLINUZ, "--initrd", INITRD, "--append", APPEND]


class Row:
    def __init__(self, name, start):
        self.name, self.start = name, start
        self.seconds = []
        self.cpu = []
        self.insns = None


def children_cpu():
    t = os.times()
    return t.children_user + t.children_system


def vmdbg_run(*args):
    result = run(*args, timeout=600)
    if result.status != 0:
        sys.exit(f"bench: vmdbg {args[0]}: {result.describe()}")
    data = figures(result)
    return next((v for k, v in data.items() if k.startswith("ins")), None)


def qemu(cpu):
    child = subprocess.run(["qemu-system-x86_64", "-accel", "tcg", "-cpu", cpu, "-m", "256", "-kernel", VMLINUZ, "-initrd",
                            INITRD, "-append", APPEND, "-serial", "stdio", "-display", "none", "-no-reboot", "-nodefaults"],
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=600)
    if child.returncode or b"init: done" not in child.stdout:
        sys.exit(f"bench: QEMU: exit status {child.returncode}: {child.stderr.decode()[-300:]}")


def main():
    fetch = subprocess.run(["tests/replay/debian-kernel.sh", DEBIAN], stdout=subprocess.PIPE, text=True)
    if fetch.returncode:
        print(f"bench: no Debian kernel: {fetch.stdout.strip()}")
        return 0
    d = scratch("bench")
    trace = os.path.join(d, "boot.vmt")
    rows = [
        Row("vmdbg run", lambda: vmdbg_run("run", "--json", "--serial", "null", *KERNEL)),
        Row("vmdbg record", lambda: vmdbg_run("record", "--json", "--serial", "null", "--force", "-o", trace, *KERNEL)),
        Row("vmdbg replay", lambda: vmdbg_run("replay", "--json", "--serial", "null", trace)),
    ]
    if shutil.which("qemu-system-x86_64"):
        # A CPU of vmdbg's own level, x86-64-v2, so that the kernel takes the same paths.
        rows.append(Row("QEMU TCG", lambda: qemu("Nehalem-v1")))
    else:
        print("bench: no qemu-system-x86_64 here: QEMU's row is left out (Debian: qemu-system-x86)")
    for n in range(ROUNDS):
        for row in rows:
            cpu, begin = children_cpu(), time.monotonic()
            row.insns = row.start()
            row.seconds.append(time.monotonic() - begin)
            row.cpu.append(children_cpu() - cpu)
            print(f"  round {n + 1} of {ROUNDS}: {row.name:<14} {row.seconds[-1]:7.2f} s, {row.cpu[-1]:7.2f} s of CPU",
                  flush=True)
    base = statistics.median(rows[1].seconds)
    print(f"\n{'':<14} {'seconds':>9} {'of CPU':>9} {'instructions':>15} {'MIPS':>7} {'to record':>10}")
    for row in rows:
        seconds = statistics.median(row.seconds)
        insns = f"{row.insns:,}" if row.insns else "-"
        mips = f"{row.insns / seconds / 1e6:.1f}" if row.insns else "-"
        print(f"{row.name:<14} {seconds:9.2f} {statistics.median(row.cpu):9.2f} {insns:>15} {mips:>7} {seconds / base:9.2f}x")
    print(f"\nmedians of {ROUNDS} rounds; {os.path.basename(VMDBG)} {os.path.getsize(trace):,} bytes of trace; "
          f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
