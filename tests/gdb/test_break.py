#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Conditions and commands that the stub evaluates: breakpoints hit a million times, dprintf, conditions on system
registers, breakpoints before paging, in user code and by physical address; a thousand at once."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from gdb import Mi, Server, batch, case, guest, main, need_gdb, recorded_guest, symbols  # noqa: E402
from remote import stop_of  # noqa: E402

ELF = guest("gdb_watch64")
SYM = symbols(ELF)
USER = 0x8000000000
MILLION = 1000000


def trace():
    return recorded_guest("gdb_watch64")


def stops(log):
    """Stop replies of a run in `set debug remote 1`'s log."""
    return len(re.findall(r"Packet received: T", log))


def million():
    """One stop reported, at the last of a million hits; backwards at the first."""
    with Server("replay", trace()) as server:
        out = batch(server, ["set breakpoint condition-evaluation target", "tbreak million", "continue",
                             f"break *million_at if $rax == {MILLION - 1}", "set debug remote 1", "continue",
                             "set debug remote 0", "print $rax", "delete",
                             "break *million_at if $rax == 0", "set debug remote 1", "reverse-continue",
                             "set debug remote 0", "print $rax"], ELF)
        case("a condition true at the last of a million hits", f"$1 = {MILLION - 1}" in out, out[-400:])
        case("and backwards at the first of them", "$2 = 0" in out, out[-400:])
        case("two runs, two stops told", stops(out) == 2, f"{stops(out)} stop replies")


def by_packets():
    """The same without gdb, so that it is the stub alone that counts; the bytecode is `reg 0; const; equal; end`."""
    with Server("replay", trace()) as server:
        remote = server.remote()
        at = SYM["million_at"]

        def rax_is(n):
            code = "260000" + (f"24{n:08x}" if n > 255 else f"22{n:02x}") + "1327"
            return f";X{len(code) // 2:x},{code}"

        case("a breakpoint with a condition", remote.set(0, at, 1, rax_is(MILLION - 1)))
        stop = stop_of(remote.ask("c"))
        case("one stop, at the last hit", "swbreak" in stop and remote.reg("rax") == MILLION - 1, str(stop))
        case("the condition is replaced", remote.set(0, at, 1, rax_is(7)))
        stop = stop_of(remote.ask("bc"))
        case("backwards to the eighth hit", "swbreak" in stop and remote.reg("rax") == 7, str(stop))
        case("and not again", "replaylog" in stop_of(remote.ask("bc")))
        case("never true: to the end", remote.set(0, at, 1, rax_is(2 * MILLION))
             and "replaylog" in stop_of(remote.ask("c")))
        remote.clear(0, at)
        for i in range(1000):
            if not remote.set(0, SYM["image_end"] + i):
                case("a thousand breakpoints", False, f"the {i}th was refused")
                return
        remote.set(1, SYM["last"])
        remote.seek("start")
        stop = stop_of(remote.ask("c"))
        case("a thousand breakpoints and one that is hit", "hwbreak" in stop and remote.reg("rip") == SYM["last"],
             f"{stop} {remote.reg('rip'):#x}")


def dprintf():
    with Server("replay", trace()) as server:
        out = batch(server, ["set dprintf-style agent", 'dprintf *bump,"bump %d counter %d\\n", (int)$rdi, counter',
                             "tbreak same", "set debug remote 1", "continue", "set debug remote 0", "print counter"],
                    ELF)
        text = "".join(bytes.fromhex(h).decode() for h in re.findall(r"Packet received: O([0-9a-f]{2,})", out))
        wanted = [f"bump {i} counter {i - 1}" for i in range(1, 101)]
        case("dprintf in the stub's style: a hundred lines", text.splitlines() == wanted, out[-300:] + text[-300:])
        case("and one stop", stops(out) == 1 and "$1 = 100" in out, f"{stops(out)} stop replies")
        out = batch(server, ["set dprintf-style agent", 'dprintf bump,"never %d\\n", counter', "reverse-continue"], ELF)
        case("backwards it is silent", "never" not in out.replace('never %d', ''), out[-300:])
        out = batch(server, ["set dprintf-style gdb", 'dprintf *bump,"from gdb %d\\n", (int)$rdi', "tbreak same",
                             "continue"], ELF)
        case("dprintf by gdb itself", len(re.findall(r"^from gdb \d+$", out, re.M)) == 100, out[-300:])


def conditions():
    """Conditions that only a stub with all registers can evaluate, and that gdb can."""
    with Server("replay", trace()) as server, Mi(server, ELF) as gdb:
        for style in ("target", "host"):
            gdb.cli(f"set breakpoint condition-evaluation {style}")
            for condition, i in (("i == 30 && counter == 29", 30), ("$cr3 != 0 && $rdi >= 60", 60),
                                 ("*(unsigned long *)&other > 300", 26), ("$cpl == 0 && i % 33 == 0", 33)):
                gdb.cli("monitor seek start")
                gdb.cli("maintenance flush register-cache")
                gdb.command(f'-break-insert -c "{condition}" *bump')
                stop = gdb.resume("-exec-continue")
                case(f"if {condition}, by {style}", stop.get("reason") == "breakpoint-hit"
                     and gdb.number("$rdi") == i, f"{stop} {gdb.value('$rdi')}")
                gdb.command("-break-delete")
        gdb.cli("monitor seek start")
        gdb.cli("maintenance flush register-cache")
        gdb.cli("set breakpoint condition-evaluation target")
        gdb.command('-break-insert -c "*(int *)0x7000000000 == 1" *bump')
        stop = gdb.resume("-exec-continue")
        case("a condition that can't be evaluated stops", gdb.number("$rdi") == 1, str(stop))
        gdb.command("-break-delete")
        gdb.command("-break-insert *bump")
        number = gdb.command("-break-list")["BreakpointTable"]["body"][0][1]["number"]
        gdb.command(f"-break-after {number} 9")
        gdb.resume("-exec-continue")
        case("ignore counts", gdb.number("$rdi") == 11, gdb.value("$rdi"))


def everywhere():
    """Before paging is on, in code that isn't there yet, in ring 3, by physical address. Guest memory stays as it is."""
    with Server("replay", trace()) as server:
        remote = server.remote()
        start = SYM["start"]
        text = remote.memory(start, 64)
        case("before paging is on: a breakpoint", remote.set(0, start + 0x1) and remote.set(0, SYM["long_mode"])
             and remote.set(0, USER))
        stop = stop_of(remote.ask("c"))
        case("in 32-bit code without paging", "swbreak" in stop and remote.reg("rip") == start + 1
             and not remote.reg("cr0") >> 31, f"{stop} {remote.reg('rip'):#x}")
        case("breakpoints are not in memory", remote.memory(start, 64) == text)
        stop = stop_of(remote.ask("c"))
        case("the first instruction of long mode", remote.reg("rip") == SYM["long_mode"]
             and remote.reg("efer") & 0x400, f"{stop} {remote.reg('rip'):#x}")
        stop = stop_of(remote.ask("c"))
        case("in ring 3, set before its page was mapped", remote.reg("rip") == USER and remote.reg("cpl") == 3,
             f"{stop} {remote.reg('rip'):#x}")
        code = remote.memory(USER, 8)
        for addr in (start + 1, SYM["long_mode"], USER):
            remote.clear(0, addr)
        remote.monitor("address physical")
        frame = None
        for addr in range(0x100000, SYM["image_end"], 4096):  # the frame is one of the guest's own pages
            if remote.memory(addr, 8) == code:
                frame = addr
        case("the user page's frame", frame is not None)
        case("a breakpoint by physical address", frame and remote.set(1, frame))
        remote.seek("start")
        stop = stop_of(remote.ask("c"))
        remote.clear(1, frame)
        case("it is hit by the linear address it is mapped at", remote.reg("rip") == USER and "hwbreak" in stop,
             f"{stop} {remote.reg('rip'):#x}")
        remote.monitor("address linear")


if __name__ == "__main__":
    need_gdb("breakpoints")
    main(million, by_packets, dprintf, conditions, everywhere)
