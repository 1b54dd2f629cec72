#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The demo kernel's planted bug is found by demo/find-bug.gdb: from the crash back to the guilty line."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from gdb import BUILD, Mi, Server, batch, case, main, need_gdb, recorded  # noqa: E402

ELF = os.path.abspath(os.path.join(BUILD, "demo", "demo.elf"))
SCRIPT = os.path.join(os.path.dirname(__file__), "..", "..", "demo", "find-bug.gdb")


def trace():
    return recorded("demo", ELF, sources=[ELF], statuses=(4,))


def guilty_line():
    """The line of demo/ring.c that stores an event beyond the ring's end."""
    with open(os.path.join(os.path.dirname(SCRIPT), "ring.c"), encoding="utf-8") as f:
        lines = f.read().splitlines()
    return next(n for n, line in enumerate(lines, 1) if "ring->slot[ring->head++] =" in line)


def script():
    with Server("replay", trace()) as server:
        out = batch(server, [f"source {SCRIPT}"], ELF)
        case("to the end of the recording", "No more reverse-execution history" in out, out[:600])
        case("back to the panic", re.search(r"Temporary breakpoint 1, panic \(r=0x", out), out[:900])
        case("back to the call that failed", re.search(r"Temporary breakpoint 2, .*task_run_due", out), out)
        case("through a pointer that is none", re.search(r"\$1 = \{run = 0x7102[0-9a-f]{12}, .*janitor", out), out)
        case("the store is found", re.search(r"Hardware watchpoint 3: -location task->run\n\nOld value = .*0x7102", out), out)
        line = guilty_line()
        case(f"the guilty line: demo/ring.c:{line}", re.search(rf"#0 .* in ring_put \(.*\) at \S*demo/ring\.c:{line}\n", out), out[-900:])
        case("beyond the ring's end", re.search(r"\$2 = 17\n\$3 = 16\n", out), out[-900:])
        case("the stack is unwound to the kernel's entry", re.search(r"ring_put .*\n#1 .* task_run_due .*\n#2 .* kernel_main", out), out[-900:])


def by_hand():
    """The same through MI, down to the first time that the pointer was overwritten."""
    with Server("replay", "--at", "end", trace()) as server, Mi(server, ELF) as gdb:
        gdb.command("-break-insert panic")
        stop = gdb.resume("-exec-continue --reverse")
        case("from the end: reverse-continue to panic()", stop["frame"]["func"] == "panic", str(stop))
        gdb.command(f"-break-insert *{gdb.number('r->rip'):#x}")
        stop = gdb.resume("-exec-continue --reverse")
        case("to the call", stop["frame"]["func"] == "task_run_due", str(stop))
        gdb.command("-break-delete")
        gdb.cli("watch -location task->run")
        seen = []
        while len(seen) < 100:
            stop = gdb.resume("-exec-continue --reverse")
            if "value" not in stop:
                break
            seen.append((stop["frame"]["func"], stop["value"]["new"]))
        case("all that ever wrote the pointer: ring_put() over and over, before that task_add()",
             len(seen) > 3 and {f for f, _ in seen[:-2]} == {"ring_put"}
             and any(f == "ring_put" and "run_janitor" in v for f, v in seen), str(seen[-4:]))


if __name__ == "__main__":
    need_gdb("the demo's bug")
    main(script, by_hand)
