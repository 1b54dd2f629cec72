#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's boot, opened at its end: backwards by steps, a hundred random seeks, back and forth at random places, to the
last write of a variable of the kernel's, Ctrl-C in the midst of a search."""
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from gdb import (SLOW, Server, case, compare_seeks, debian_files, guarded, main, need_gdb, recorded_debian,  # noqa: E402
                 stopwatch)
from remote import frame, stop_of  # noqa: E402

RAM = 256 << 20
PART = 256 << 10
KERNEL = 0x1000000  # where the kernel is loaded
ANSWERED = 10 * SLOW


def back_from_the_end(remote):
    """A session's first moments: `reverse-stepi` from where it all ended."""
    end = remote.state()
    back = remote.walk("bs", 100)
    forward = remote.walk("s", 100)
    wrong = [n for n, (a, b) in enumerate(zip(back[::-1] + [end], [back[-1]] + forward)) if a != b]
    case("from the end a hundred steps back and forward again: the same registers", not wrong,
         f"{len(wrong)} differ, {remote.explain(end, forward[-1])}")


def back_and_forth(remote, places):
    for irqs in ("off", "on"):
        remote.monitor(f"step-irqs {irqs}")
        wrong = []
        for place in places:
            remote.seek(place)
            forward = [remote.state()] + remote.walk("s", 40)
            back = remote.walk("bs", 40)[::-1] + forward[-1:]
            wrong += [f"{place}, step {n}: {remote.explain(a, b)}" for n, (a, b) in enumerate(zip(forward, back)) if a != b]
        case(f"forty steps forward and back at {len(places)} places, step-irqs {irqs}: the same registers", not wrong,
             "\n".join(wrong[:4]))
    remote.monitor("step-irqs off")


def written_between(remote, early, late, end):
    """The physical address of eight bytes that changed between two places and, it seems, never again."""
    seen = []
    for place in (early, late, end):
        remote.seek(place)
        seen.append(b"".join(remote.memory(KERNEL + 0x1000000 + i * 0x10000, 0x10000) for i in range(64)))
    for i in range(0, len(seen[0]), 8):
        a, b, c = (s[i : i + 8] for s in seen)
        if a != b and b == c and any(b):
            return KERNEL + 0x1000000 + i
    return None


def last_write(remote, end):
    """Backwards to the last write of a variable; forwards from there it is the next hit and the only one."""
    remote.monitor("address physical")
    limit = end // 4
    addr = written_between(remote, end // 40, end // 16, limit)
    if not case("a variable of the kernel's that is written early", addr):
        return
    value = remote.memory(addr, 8)
    remote.set(2, addr, 8)
    stop = stop_of(remote.ask("bc"))
    place, before = remote.when(), remote.memory(addr, 8)
    case(f"reverse-continue to the last write of {addr:#x}", "watch" in stop and before != value, f"{stop} {before} {value}")
    stop = stop_of(remote.ask("c"))
    case("forward again: the value is there", "watch" in stop and remote.memory(addr, 8) == value, f"{stop}")
    behind = int(remote.when().split("+")[0])
    case("an instruction further", behind - int(place.split("+")[0]) <= 1, f"{place} {behind}")
    at = remote.reg("rip")
    remote.monitor("address linear")
    remote.set(1, at)
    remote.seek(limit)
    stop = stop_of(remote.ask("bc"))
    case("with a breakpoint right behind it that comes first",
         "hwbreak" in stop and int(remote.when().split("+")[0]) >= behind, f"{stop} {remote.when()} {behind}")
    remote.clear(1, at)
    remote.clear(2, addr, 8)


def interrupted(remote):
    remote.monitor("address physical")
    remote.set(2, RAM - 64, 8)
    remote.seek("end")
    slowest = 0.0
    for delay in (0.05, 0.3, 1.0):
        remote.send(frame("bc"))
        time.sleep(delay)
        watch = stopwatch()
        remote.sock.settimeout(ANSWERED)
        remote.send(b"\x03")
        stop = stop_of(remote.answer())
        slowest = max(slowest, watch())
        case(f"Ctrl-C {delay} s after a reverse-continue is answered", stop["signal"] in (2, 5), str(stop))
    print(f"# Ctrl-C was answered within {slowest * 1000:.0f} ms")
    remote.clear(2, RAM - 64, 8)
    remote.monitor("address linear")


def debian():
    if not debian_files():
        return
    trace = recorded_debian()
    rng = random.Random(1)

    def areas(n):
        if n % 20 == 7:
            return [(0, RAM)]
        return [(rng.randrange(0, RAM // PART) * PART, PART) for _ in range(16)] + [(KERNEL, 8 << 20)]

    with Server("replay", "--at", "end", trace) as server:
        remote = server.remote()
        end = int(remote.when().split("+")[0])
        guarded(back_from_the_end, remote)
        remote.seek("end")
        places = compare_seeks("Debian's boot", remote, trace, areas, rng)
        guarded(back_and_forth, remote, places[:5])
        guarded(last_write, remote, end)
        guarded(interrupted, remote)


if __name__ == "__main__":
    need_gdb("Debian's boot")
    main(debian)
