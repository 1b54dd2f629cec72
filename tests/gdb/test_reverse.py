#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""gdb's reverse-continue: to watchpoints, to a breakpoint hit many times, to both ends of the recording; reverse-next
and its kin."""
import os
import random
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from gdb import GdbError, Mi, Server, batch, case, guest, main, need_gdb, recorded_guest, symbols  # noqa: E402
from remote import stop_of  # noqa: E402

ELF = guest("gdb_watch64")
SYM = symbols(ELF)


def trace():
    return recorded_guest("gdb_watch64")


def watchpoint():
    """`watch counter` has Old and New the way gdb expects them: backwards the new value is the one before the store."""
    with Server("replay", trace()) as server, Mi(server, ELF) as gdb:
        gdb.command("-break-insert same")
        gdb.resume("-exec-continue")
        case("counter is 100 behind the loop", gdb.number("counter") == 100, gdb.value("counter"))
        gdb.command("-break-delete")
        gdb.command("-break-watch counter")
        values = []
        for _ in range(3):
            stop = gdb.resume("-exec-continue --reverse")
            hit = stop.get("value", {})
            values.append((hit.get("old"), hit.get("new"), gdb.value("counter"), stop.get("frame", {}).get("func")))
        case("reverse-continue to a watchpoint: old and new swapped, thrice",
             values == [("100", "99", "99", "bump"), ("99", "98", "98", "bump"), ("98", "97", "97", "bump")], str(values))
        stop = gdb.resume("-exec-continue")
        hit = stop.get("value", {})
        case("and forward again: the store has been made",
             (hit.get("old"), hit.get("new"), gdb.value("counter")) == ("97", "98", "98"), str(stop))
        for value in (98, 97, 96):
            stop = gdb.resume("-exec-continue --reverse")
        case("turning round meets the same store again", stop["value"] == {"old": "96", "new": "95"}, str(stop))


def watch_to_the_beginning():
    with Server("replay", trace()) as server:
        out = batch(server, ["break same", "continue", "delete", "watch counter if counter == 41", "reverse-continue",
                             "print counter", "print i"], ELF)
        case("a conditional watchpoint, backwards: the one value", "$1 = 41" in out and "$2 = 42" in out, out[-600:])


def reason_of(gdb, command):
    """Why it stopped; gdb's MI has no word for the ends of the history, its console has."""
    reason = gdb.resume(command).get("reason")
    return "no-history" if not reason and "No more reverse-execution history" in gdb.console else reason


def many_hits():
    """A breakpoint hit a hundred times: backwards the last one first, down to the first; then the beginning."""
    with Server("replay", trace()) as server, Mi(server, ELF) as gdb:
        gdb.command("-break-insert same")
        gdb.resume("-exec-continue")
        gdb.command("-break-delete")
        gdb.command("-break-insert *bump")
        seen = []
        while "no-history" not in seen and len(seen) < 120:
            reason = reason_of(gdb, "-exec-continue --reverse")
            seen.append(gdb.number("$rdi") if reason == "breakpoint-hit" else reason)
        case("reverse-continue: a hundred hits, the last one first, then the beginning",
             seen == [*range(100, 0, -1), "no-history"], str(seen))
        seen = [gdb.resume("-exec-continue").get("reason") and gdb.number("$rdi") for _ in range(100)]
        case("and forward: the same hundred", seen == [*range(1, 101)], str(seen))
        stop = gdb.resume("-exec-continue --reverse")
        case("turning round at a breakpoint: the hit before it", gdb.number("$rdi") == 99, str(stop))


def ends():
    with Server("replay", trace()) as server:
        remote = server.remote()
        for n in ("once", "again"):
            stop = stop_of(remote.ask("bc"))
            case(f"packets: back at the beginning, {n}: replaylog:begin",
                 "begin" in stop.get("replaylog", "") and stop["signal"] == 5 and remote.when() == "0", str(stop))
        stop = stop_of(remote.ask("c"))
        case("packets: forward: replaylog:end", "end" in stop.get("replaylog", "") and stop["signal"] == 5, str(stop))
        end = remote.when()
        for packet in ("c", "s"):
            stop = stop_of(remote.ask(packet))
            case(f"packets: {packet} at the end: replaylog:end, and not from the place",
                 "end" in stop.get("replaylog", "") and remote.when() == end, f"{stop} {end} {remote.when()}")
        remote.ask("bs")
        case("packets: one step back from the end", remote.when() != end, end)
        remote.seek("start")
        for packet in ("bc", "bs"):
            stop = stop_of(remote.ask(packet))
            case(f"packets: {packet} at the beginning: replaylog:begin", "begin" in stop.get("replaylog", ""), str(stop))
        remote.close()
        with Mi(server, ELF) as gdb:
            reasons = [reason_of(gdb, c) for c in
                       ("-exec-continue --reverse", "-exec-continue --reverse", "-exec-continue", "-exec-continue",
                        "-exec-step-instruction", "-exec-continue --reverse")]
            case("gdb: both ends are no-history, and it can turn round at each", reasons == ["no-history"] * 6,
                 str(reasons))


def lines():
    """By source lines: reverse-next, reverse-step, reverse-finish."""
    with Server("replay", trace()) as server, Mi(server, ELF) as gdb:
        gdb.command("-break-insert -c \"i == 50\" bump")
        gdb.resume("-exec-continue")
        case("a conditional breakpoint in a function", gdb.value("i") == "50", gdb.value("i"))
        gdb.command("-break-delete")
        stop = gdb.resume("-exec-next")
        below = gdb.value("counter")
        back = gdb.resume("-exec-next --reverse")
        case("next and reverse-next over one line",
             below == "50" and gdb.value("counter") == "49" and stop["frame"]["line"] != back["frame"]["line"],
             f"{stop} {back}")
        stop = gdb.resume("-exec-finish --reverse")
        case("reverse-finish: at the call", stop["frame"]["func"] == "count", str(stop))
        stop = gdb.resume("-exec-step --reverse")
        for _ in range(4):
            if stop["frame"]["func"] == "bump":
                break
            stop = gdb.resume("-exec-step --reverse")
        case("reverse-step: into the call before, from its end",
             stop["frame"]["func"] == "bump" and gdb.value("i") == "49" and gdb.value("counter") == "49", str(stop))
        stop = gdb.resume("-exec-finish")
        case("finish: forward again", stop["frame"]["func"] == "count" and gdb.value("counter") == "49", str(stop))


def all_hits(remote, packet, most=400):
    """[(position, what the stop reply names)] of every stop up to the end of the history."""
    seen = []
    while len(seen) < most:
        stop = stop_of(remote.ask(packet))
        if "replaylog" in stop:
            break
        seen.append((remote.when(), {k: v for k, v in stop.items() if not re.match(r"\d\d|signal|thread", k)}))
    return seen


def both_ways():
    """Breakpoints at random instructions, in handlers too, and at such as fault and run again: the same hits at the same
    places backwards as forwards. Then watchpoints of random words: as many, in the other order, each an access earlier."""
    for number, (name, memory) in enumerate((("gdb_step64", 4), ("irq64", 2), ("pm32", 8), ("paging64", 256))):
        rng = random.Random(number)
        with Server("replay", recorded_guest(name, memory=f"{memory}M")) as server:
            remote = server.remote()
            remote.seek("end")
            end = int(remote.when().split("+")[0])
            for _ in range(6):
                remote.seek(rng.randrange(end))
                remote.set(1, remote.reg("rip"))
            for symbol in ("fault_at", "rep_at", "hook", "halt_at", "trap_handle"):
                if symbol in symbols(guest(name)):
                    remote.set(1, symbols(guest(name))[symbol])
            remote.seek("start")
            forward = all_hits(remote, "c", 1000)
            there = remote.when()
            if len(forward) == 1000:  # so many: back from the last one
                forward.pop()
            back = all_hits(remote, "bc", 1002)
            case(f"{name}: {len(forward)} breakpoint hits, the same backwards", back[::-1] == forward and forward,
                 f"{len(back)} and {len(forward)}, up to {there}: " + different(back[::-1], forward))
            watched(remote, name, rng, end)


def different(a, b):
    return next((f"{n}: {x} and {y}" for n, (x, y) in enumerate(zip(a, b)) if x != y), "one is shorter")


def watched(remote, name, rng, end):
    places = []
    for _ in range(4):
        remote.seek(rng.randrange(end))
        places.append(remote.reg("rsp") - 8 * rng.randrange(1, 12) & 0xfffffffffffffff8)
    fresh = [(rng.choice((2, 3, 4)), addr) for addr in dict.fromkeys(places)]
    for kind, addr in fresh:
        remote.set(kind, addr, 8)
    remote.seek("start")
    forward = [hit for _, hit in all_hits(remote, "c", 500)]
    if len(forward) == 500 and "hwbreak" in forward[-1]:  # an access has been made, and is met again
        forward.pop()
    back = [hit for _, hit in all_hits(remote, "bc", 502)]
    case(f"{name}: {len(forward)} hits with watchpoints too, the same backwards", back[::-1] == forward and forward,
         f"{len(back)} and {len(forward)}: {different(back[::-1], forward)}")


def handlers():
    """With step-irqs off an interrupt's handler is run through, but what stands in it stops a step, either way."""
    elf = guest("gdb_step64")
    sym = symbols(elf)
    with Server("replay", recorded_guest("gdb_step64", memory="4M")) as server:
        remote = server.remote()
        stub = sym["trap_stubs"] + 16 * 0x20

        def inside():
            return sym["hook"] <= remote.reg("rip") < sym["long_run"]

        for kind, addr, length, name in ((1, sym["hook"], 1, "a breakpoint"), (2, sym["ticks"], 8, "a watchpoint")):
            remote.seek("start")
            remote.set(1, stub)
            remote.ask("c")
            remote.clear(1, stub)
            remote.seek(remote.when().split("+")[0])
            before = remote.when()
            remote.set(kind, addr, length)
            stop = stop_of(remote.ask("s"))
            case(f"{name} in the handler stops a step over it", ("hwbreak" in stop or "watch" in stop)
                 and inside(), f"{stop} {remote.reg('rip'):#x}")
            remote.clear(kind, addr, length)
            for _ in range(300):
                if remote.reg("rip") == sym["step_interrupt"] + 9:
                    break
                remote.ask("s")
            for _ in range(3):
                remote.ask("s")
            behind = remote.when()
            remote.set(kind, addr, length)
            stop = {}
            for _ in range(6):
                stop = stop_of(remote.ask("bs"))
                if "hwbreak" in stop or "watch" in stop:
                    break
            case(f"{name} in the handler stops a step back over it", ("hwbreak" in stop or "watch" in stop) and inside(),
                 f"{stop} {remote.reg('rip'):#x}, {before} to {behind}, at {remote.when()}")
            remote.clear(kind, addr, length)
        remote.close()
        with_lines(server, elf)


def with_lines(server, elf):
    """gdb's next, which steps and steps, in code that is interrupted all the time."""
    with Mi(server, elf) as gdb:
        gdb.cli("monitor seek start")
        gdb.cli("maintenance flush register-cache")
        gdb.command("-break-insert -t long_run")
        gdb.resume("-exec-continue")
        gdb.resume("-exec-next")
        lines = []
        for _ in range(300):
            frame = gdb.resume("-exec-next")["frame"]
            lines.append((frame["func"], int(frame["line"])))
        case("three hundred `next` stay in the function, whatever interrupts it", {f for f, _ in lines} == {"long_run"},
             str(lines[-3:]))
        back = []
        for _ in range(300):
            frame = gdb.resume("-exec-next --reverse")["frame"]
            back.append((frame["func"], int(frame["line"])))
        case("and so do three hundred reverse-next", {f for f, _ in back} == {"long_run"}, str(back[-3:]))


def history_is_fixed():
    """What gdb would change it can't."""
    with Server("replay", trace()) as server, Mi(server, ELF) as gdb:
        gdb.command("-break-insert same")
        gdb.resume("-exec-continue")
        refused = []
        for line in ("set var counter = 5", "set var $rax = 5", "jump *bump", "call bump(3)"):
            try:
                gdb.cli(line)
                refused.append(False)
            except GdbError:
                refused.append(True)
        case("a recording can't be changed", all(refused), str(refused))
        gdb.cli("maintenance flush register-cache")
        case("and wasn't", gdb.value("counter") == "100" and gdb.number("$rip") == SYM["same"],
             gdb.value("counter") + gdb.value("$rip"))


if __name__ == "__main__":
    need_gdb("running backwards")
    main(watchpoint, watch_to_the_beginning, many_hits, ends, lines, both_ways, handlers, history_is_fixed)
