#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""make bench-gdb: how long a debugger waits on the recording of a Debian boot, beside QEMU's record/replay of the same
kernel, in the same run. With --json the figures as one object.

QEMU records with -icount shift=0 (a nanosecond an instruction, as vmdbg's virtual clock) and a snapshot at the start; it
goes back by loading the snapshot before the place and replaying from there (QEMU's documentation, "Record/replay",
"Reverse debugging"). With a snapshot near the place, taken by savevm while recording or while replaying, QEMU 7.2 stands
still when it should go on from it, so there is no row for that. BENCH_QEMU=0 leaves QEMU out."""
import atexit
import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from gdb import DEBIAN, DEBIAN_KERNEL, Server, guest, recorded_debian, recorded_guest, stopwatch, symbols  # noqa: E402
from remote import Remote, frame, stop_of  # noqa: E402
from vmdbg import run, scratch  # noqa: E402

STEPS = 100
SEEKS = 20
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
KERNEL_DATA = 0x2000000
VMLINUZ, INITRD, APPEND = DEBIAN_KERNEL[0], DEBIAN_KERNEL[2], DEBIAN_KERNEL[4]

figures = {}


def note(name, seconds, words=""):
    """A figure, told at once."""
    figures[name] = seconds
    if "--json" not in sys.argv:
        print(f"  {name:<58} {shown(seconds):>12}  {words}", flush=True)


def shown(seconds):
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1e3:.2f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3f} us"


def timed(function, *args):
    watch = stopwatch()
    function(*args)
    return watch()


def spread(name, values):
    note(name + ": median", statistics.median(values))
    note(name + ": longest", max(values))


def must(result, what):
    if result.status != 0:
        sys.exit(f"bench: {what}: {result.describe()}")


def plain_replay(trace):
    times = [timed(lambda: must(run("replay", "--quiet", trace, timeout=600), "replay")) for _ in range(ROUNDS)]
    note("plain replay of the whole boot", statistics.median(times), f"median of {ROUNDS}")
    return statistics.median(times)


def opening(trace, title):
    """From the command to the answer of the first reverse step; then the next hundred."""
    watch = stopwatch()
    with Server("replay", "--at", "end", trace) as server:
        remote = server.remote()
        remote.ask("bs")
        note(f"{title}: start at the end, first reverse-stepi", watch())
        spread(f"{title}: next {STEPS} reverse-stepi", [timed(remote.ask, "bs") for _ in range(STEPS)])


def seeks(remote, rng):
    end = int(remote.when().split("+")[0])
    note("seek to 50%", timed(remote.seek, "50%"))
    spread(f"{SEEKS} random seeks", [timed(remote.seek, rng.randrange(end)) for _ in range(SEEKS)])
    steps = []
    for _ in range(5):
        remote.seek(rng.randrange(end))
        steps.append(timed(remote.ask, "bs"))
    spread("first reverse-stepi after a random seek", steps)


def early_variable(remote):
    """The physical address of eight bytes of the kernel's data last written within the first tenth of the boot."""
    seen = []
    for place in ("1%", "8%", "50%", "end"):
        remote.seek(place)
        seen.append(b"".join(remote.memory(KERNEL_DATA + i * 0x10000, 0x10000) for i in range(64)))
    for i in range(0, len(seen[0]), 8):
        a, b, c, d = (s[i : i + 8] for s in seen)
        if a != b and b == c == d and any(b):
            return KERNEL_DATA + i
    sys.exit("bench: no variable that is written early and never again")


def last_write(remote, replay):
    remote.monitor("address physical")
    addr = early_variable(remote)
    remote.set(2, addr, 8)
    remote.seek("end")
    stop = {}

    def back():
        stop.update(stop_of(remote.ask("bc")))

    seconds = timed(back)
    if "watch" not in stop:
        sys.exit(f"bench: the last write of {addr:#x} was not found: {stop}")
    where = int(remote.when().split("+")[0])
    note("reverse-continue to the last write of a variable", seconds,
         f"{seconds / replay:.2f} times a plain replay; from the end back to instruction {where:,}")
    figures["last write, in plain replays"] = seconds / replay
    remote.clear(2, addr, 8)
    remote.monitor("address linear")
    return addr


def lastwrite_command(remote):
    """`monitor lastwrite` of what the kernel's stack held near the end."""
    remote.seek("end")
    addr = remote.reg("rsp") - 64
    note("monitor lastwrite of a word on the stack", timed(remote.monitor, f"lastwrite {addr:#x}"))


def conditions():
    """A million hits of a breakpoint whose condition is false, beside none."""
    at = symbols(guest("gdb_watch64"))["million_at"]
    with Server("replay", recorded_guest("gdb_watch64")) as server:
        remote = server.remote()

        def through():
            remote.seek("start")
            return timed(remote.ask, "c")

        through()
        without = statistics.median(through() for _ in range(ROUNDS))
        remote.set(0, at, 1, ";Xa,26000024ffffffff1327")  # $rax == 0xffffffff
        with_ = statistics.median(through() for _ in range(ROUNDS))
        note("a conditional breakpoint's miss, in the stub", (with_ - without) / 1e6, "of a million")


def interruptions(remote):
    """Ctrl-C half a second into a run that nothing else would stop."""
    remote.monitor("address physical")
    remote.set(2, 0xfff0000, 1)
    for name, place, packet in (("continue", "1%", "c"), ("reverse-continue", "end", "bc")):
        remote.seek(place)
        remote.send(frame(packet))
        time.sleep(0.5)
        note(f"Ctrl-C during a {name}", timed(lambda: (remote.send(b"\x03"), remote.answer())))
    remote.clear(2, 0xfff0000, 1)
    remote.monitor("address linear")


class Qmp:
    """QEMU's monitor, in JSON."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(1800)
        self.sock.connect(path)
        self.file = self.sock.makefile("r")
        self.file.readline()
        self.events = []
        self.command("qmp_capabilities")

    def _read(self):
        line = self.file.readline()
        if not line:
            sys.exit("bench: QEMU is gone")
        return json.loads(line)

    def command(self, name, **arguments):
        self.sock.sendall((json.dumps({"execute": name, "arguments": arguments}) + "\n").encode())
        while True:
            answer = self._read()
            if "event" not in answer:
                if "error" in answer:
                    sys.exit(f"bench: QEMU: {name}: {answer['error']['desc']}")
                return answer["return"]
            self.events.append(answer["event"])

    def wait(self, event):
        while event not in self.events:
            self.events.append(self._read().get("event"))
        self.events.clear()

    def go_to(self, icount):
        self.command("replay-break", icount=icount)
        self.command("cont")
        self.wait("STOP")


class Qemu:
    def __init__(self, folder, mode, *options):
        argv = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "Nehalem-v1", "-m", "256", "-nodefaults", "-net", "none",
                "-display", "none", "-kernel", VMLINUZ, "-initrd", INITRD, "-append", APPEND,
                "-serial", f"file:{folder}/{mode}.txt", "-no-reboot", "-no-shutdown",
                "-icount", f"shift=0,rr={mode},rrfile={folder}/log.rr,rrsnapshot=init",
                "-drive", f"file={folder}/snapshots.qcow2,if=none,id=snapshots",
                "-qmp", f"unix:{folder}/qmp,server=on,wait=off", *options]
        self.child = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
        atexit.register(self.child.kill)
        watch = stopwatch()
        while True:
            try:
                self.qmp = Qmp(f"{folder}/qmp")
                return
            except OSError:
                if watch() > 60 or self.child.poll() is not None:
                    sys.exit("bench: QEMU doesn't start")
                time.sleep(0.1)

    def end(self):
        self.qmp.sock.sendall(b'{"execute": "quit"}\n')
        self.child.wait(60)


def qemu():
    folder = scratch("bench-gdb-qemu")
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", f"{folder}/snapshots.qcow2", "4G"], check=True)
    watch = stopwatch()
    vm = Qemu(folder, "record")
    vm.qmp.wait("SHUTDOWN")
    note("QEMU: record", watch())
    total = vm.qmp.command("query-replay")["icount"]
    vm.end()
    place = total * 95 // 100
    watch = stopwatch()
    vm = Qemu(folder, "replay", "-S", "-gdb", f"unix:{folder}/gdb,server=on,wait=off")
    vm.qmp.go_to(place)
    note("QEMU: replay to 95%", watch())
    remote = Remote(f"{folder}/gdb", patience=1800)
    note("QEMU: reverse-stepi there", timed(remote.ask, "bs"))
    vm.end()


def main():
    script = os.path.join(os.path.dirname(__file__), "..", "replay", "debian-kernel.sh")
    fetch = subprocess.run([script, DEBIAN], stdout=subprocess.PIPE, text=True)
    if fetch.returncode:
        print(f"bench: no Debian kernel: {fetch.stdout.strip()}", file=sys.stderr)
        return 1
    trace = recorded_debian()
    rng = random.Random(1)
    replay = plain_replay(trace)
    opening(trace, "the trace as recorded")
    indexed = os.path.join(scratch("bench-gdb"), "indexed.vmt")
    shutil.copy(trace, indexed)
    note("trace index", timed(lambda: must(run("trace", "index", indexed, timeout=600), "trace index")),
         "a checkpoint each 500 M instructions")
    figures["bytes of the trace"], figures["bytes of the indexed trace"] = map(os.path.getsize, (trace, indexed))
    opening(indexed, "the indexed trace")
    with Server("replay", "--at", "end", trace) as server:
        remote = server.remote()
        seeks(remote, rng)
        last_write(remote, replay)
        lastwrite_command(remote)
        interruptions(remote)
    conditions()
    if not shutil.which("qemu-system-x86_64") or os.environ.get("BENCH_QEMU") == "0":
        print("bench: QEMU's rows are left out (Debian: qemu-system-x86)", file=sys.stderr)
    else:
        qemu()
    figures["processors"], figures["load"] = os.cpu_count(), os.getloadavg()[0]
    if "--json" in sys.argv:
        print(json.dumps(figures, indent=1))
    else:
        print(f"\n{figures['processors']} processors, load {figures['load']:.1f}; {figures['bytes of the trace']:,} bytes of "
              f"trace, {figures['bytes of the indexed trace']:,} indexed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
