#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""gdb on a machine that is being recorded, and on one that only runs: forwards is recording, backwards is its history;
the trace replays, equal to one that nobody debugged."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from gdb import GdbError, Mi, Server, batch, case, guest, main, need_gdb, recorded_guest, symbols  # noqa: E402
from remote import stop_of  # noqa: E402
from vmdbg import SLOW, run, scratch  # noqa: E402

ELF = guest("gdb_watch64")
SYM = symbols(ELF)
STEP = symbols(guest("gdb_step64"))
DIR = scratch("gdb-live")


def record(name):
    return os.path.join(DIR, name + ".vmt")


def replays(title, trace, status=0):
    rep = run("replay", "--serial", "null", trace, timeout=60)
    case(f"{title}: the trace replays, equal", rep.status == status, rep.describe())


def ending(trace):
    """The last digest, of all registers, memory, chips and device writes, and the end."""
    lines = run("trace", "dump", trace).text().strip().splitlines()
    return [line for line in lines if re.match(r" *\d+  (digest .*final|end )", line)]


def as_without(title, trace, plain):
    case(f"{title}: the same run as without a debugger", len(ending(trace)) == 2 and ending(trace) == ending(plain),
         "\n".join(ending(trace) + ending(plain)))


def gdb_session():
    """Break, look back, go on to the end: an ordinary recording comes out."""
    trace = record("session")
    with Server("record", "-m", "8M", "-o", trace, ELF) as server:
        with Mi(server, ELF) as gdb:
            case("it stands before the first instruction", gdb.number("$rip") == SYM["start"], gdb.value("$rip"))
            gdb.command('-break-insert -c "i == 50" bump')
            stop = gdb.resume("-exec-continue")
            case("a breakpoint while recording", stop.get("reason") == "breakpoint-hit" and gdb.value("i") == "50", str(stop))
            before = gdb.registers()
            seen = []
            for _ in range(20):
                gdb.resume("-exec-step-instruction --reverse")
                seen.append(gdb.registers())
            again = []
            for _ in range(20):
                again.insert(0, gdb.registers())
                gdb.resume("-exec-step-instruction")
            case("reverse-stepi while recording: the same registers forward again",
                 seen == again and gdb.registers() == before, f"{gdb.value('$rip')}")
            gdb.command("-break-watch counter")
            stop = gdb.resume("-exec-continue --reverse")
            case("reverse-continue to a watchpoint while recording",
                 stop.get("value") == {"old": "49", "new": "48"}, str(stop))
            gdb.command("-break-delete")
            stop = gdb.resume("-exec-continue --reverse")
            case("back to the beginning of the recording so far", "No more reverse-execution history" in gdb.console
                 and gdb.number("$rip") == SYM["start"], gdb.console)
            gdb.command("-break-insert same")
            stop = gdb.resume("-exec-continue")
            case("through the past and on into the present", gdb.value("counter") == "100", str(stop))
            gdb.command("-break-delete")
            gdb.resume("-exec-continue")
            case("to the guest's end", "No more reverse-execution history" in gdb.console, gdb.console)
            gdb.resume("-exec-step-instruction --reverse")
            gdb.cli("kill")
        case("killed at its end: record's exit status is the guest's", server.wait(20 * SLOW) == 33,
             f"{server.child.returncode} {server.errors}")
    replays("gdb's session", trace)
    as_without("gdb's session", trace, recorded_guest("gdb_watch64"))


def back_and_forth():
    """A machine with interrupts: turning round often changes nothing in what is recorded."""
    trace = record("turns")
    with Server("record", "-m", "2M", "-o", trace, guest("gdb_step64")) as server:
        remote = server.remote()
        remote.monitor("step-irqs on")
        seen = {}
        wrong = []
        for _ in range(30):
            for packet, count in (("s", 60), ("bs", 25), ("s", 10)):
                for state in remote.walk(packet, count):
                    position = remote.values(state)["position"], remote.values(state)["rip"]
                    if seen.setdefault(position, state) != state:
                        wrong.append(f"{position}: {remote.explain(seen[position], state)}")
        case("back and forth thirty times while recording: the same registers at each place", not wrong,
             "\n".join(wrong[:3]))
        remote.set(1, STEP["long_run"])
        remote.ask("c")
        case("on to a breakpoint", remote.reg("rip") == STEP["long_run"], f"{remote.reg('rip'):#x}")
        here = remote.when()
        for where in ("start", "50%", "1000", here):
            remote.seek(where)
        case("seeks in the past and back", remote.when() == here, f"{remote.when()} {here}")
        stop = stop_of(remote.ask("bc"))
        case("back to the beginning", "begin" in stop.get("replaylog", ""), str(stop))
        remote.clear(1, STEP["long_run"])
        stop = stop_of(remote.ask("c"))
        case("and to the guest's end", "end" in stop.get("replaylog", ""), str(stop))
        remote.send(b"$k#6b")
        server.wait(20 * SLOW)
    replays("back and forth", trace)
    as_without("back and forth", trace, recorded_guest("gdb_step64", memory="2M"))


def leaving():
    """Detach lets a live machine go on to its end; a killed one leaves a trace up to there; so does Ctrl-C."""
    trace = record("detached")
    with Server("record", "-m", "8M", "-o", trace, ELF) as server:
        batch(server, ["break same", "continue", "reverse-stepi", "detach"], ELF)
        status = server.wait(5)
        if status is None:  # it waits for the next client at the end
            remote = server.remote()
            case("after a detach it runs on", remote.reg("rip") != SYM["same"], f"{remote.reg('rip'):#x}")
            remote.send(b"$k#6b")
            status = server.wait(20 * SLOW)
        case("detached: it went on to the guest's end", status == 33, f"{status} {server.errors}")
    replays("detached", trace)
    for what in ("killed", "interrupted"):
        trace = record(what)
        with Server("record", "-m", "8M", "-o", trace, ELF) as server:
            remote = server.remote()
            remote.set(0, SYM["same"])
            remote.ask("c")
            remote.ask("bs")
            position = remote.when()
            if what == "killed":
                remote.send(b"$k#6b")
                server.wait(20 * SLOW)
            else:
                server.stop()
        if case(f"{what} in the midst: a trace is left", os.path.exists(trace), server.errors):
            replays(f"{what} in the midst", trace)
            with Server("replay", "--at", "end", trace) as server:
                end = server.remote().when()
                case(f"{what} in the midst: it ends where recording had come to, or an instruction later",
                     0 < int(end.split("+")[0]) - int(position.split("+")[0]) <= 2, f"{end} {position}")


def run_live():
    """run --gdb: the same without a trace."""
    with Server("run", "-m", "8M", ELF) as server:
        out = batch(server, ["break same", "continue", "watch counter", "reverse-continue", "print counter", "delete",
                             "continue", "kill"], ELF)
        case("run --gdb: forwards and backwards", "Old value = 100" in out and "$1 = 99" in out
             and "No more reverse-execution history" in out, out[-600:])
        case("run --gdb: killed: ends", server.wait(20 * SLOW) is not None, server.errors)
    case("run --gdb leaves no trace", not [f for f in os.listdir(".") if f.endswith(".vmt")])
    hidden = scratch("gdb-hidden")
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = hidden
    with Server("run", "-m", "8M", ELF) as server:
        if before is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = before
        remote = server.remote()
        remote.ask("s")
        remote.ask("s")
        case("run --gdb: its past is there", stop_of(remote.ask("bs")), "")
        server.child.kill()
        server.wait()
    case("run --gdb, killed at once: nothing is left of it", not os.listdir(hidden), os.listdir(hidden))


def writes():
    """A live machine can be changed, at its present and not in its past; the change is part of the recording."""
    trace = record("changed")
    with Server("record", "-m", "8M", "-o", trace, ELF) as server:
        with Mi(server, ELF) as gdb:
            gdb.command("-break-insert reads")
            gdb.resume("-exec-continue")
            gdb.cli("set var read_me = 0x4321")
            gdb.cli("set var $rdx = 77")
            case("memory and registers are changed", gdb.number("read_me") == 0x4321 and gdb.number("$rdx") == 77)
            gdb.resume("-exec-step-instruction --reverse")
            case("a step back: before the change", gdb.number("read_me") == 0x1234 and gdb.number("$rdx") != 77,
                 gdb.value("read_me"))
            try:
                gdb.cli("set var read_me = 5")
                refused = False
            except GdbError:
                refused = True
            case("the past can't be changed", refused and gdb.number("read_me") == 0x1234, gdb.value("read_me"))
            gdb.command("-break-insert crosses")
            stop = gdb.resume("-exec-continue")
            if stop["frame"]["func"] == "reads":
                stop = gdb.resume("-exec-continue")
            case("the guest goes on with the changed value", gdb.number("sink") == 0x4321, gdb.value("sink"))
            gdb.command("-break-delete")
            gdb.resume("-exec-continue")
            gdb.cli("kill")
        server.wait(20 * SLOW)
    replays("changed by the debugger", trace)
    with Server("replay", trace) as server:
        out = batch(server, ["break crosses", "continue", "print/x sink", "print/x read_me"], ELF)
        case("the recording has the change", "$1 = 0x4321" in out and "$2 = 0x5678" in out, out[-300:])


if __name__ == "__main__":
    need_gdb("live machines")
    main(gdb_session, back_and_forth, leaving, run_live, writes)
