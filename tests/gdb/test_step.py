#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Single steps forwards and backwards across all that can happen at an instruction: each place seen on the way forward
is seen again on the way back, registers and memory alike. By packets, and by gdb's stepi and reverse-stepi."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from gdb import Mi, Server, case, guarded, guest, main, need_gdb, recorded_guest, symbols  # noqa: E402
from remote import stop_of  # noqa: E402

STEP = symbols(guest("gdb_step64"))
MODES = symbols(guest("gdb_modes64"))
# All that the guests write to.
MEMORY = ["qCRC:7000,1000", f"qCRC:100000,{STEP['image_end'] - 0x100000:x}", "qCRC:200000,3000"]
TIMER_STUB = STEP["trap_stubs"] + 16 * 0x20
FAULT_STUB = STEP["trap_stubs"] + 16 * 14
SYSCALL_STUB = STEP["trap_stubs"] + 16 * 0x80
USER = 0x8000000000

# name: (where to go first, steps back from there, steps across, the addresses of which one must be seen)
EVENTS = {
    "an interrupt": (TIMER_STUB, 4, 60, [STEP["step_interrupt"] + 9]),
    "a HLT and the interrupt that ends it": (STEP["halt_at"], 2, 60, [STEP["halt_at"] + 1]),
    "a page fault": (STEP["fault_at"], 2, 12, [FAULT_STUB]),
    "the end of a page fault's handler": (STEP["fault_done"], 30, 32, [STEP["fault_at"]]),
    "a REP that faults half-way": (STEP["rep_at"], 2, 8, [FAULT_STUB]),
    "a REP that goes on after a fault": (STEP["rep_done"], 25, 28, [STEP["rep_at"]]),
    "a rewritten instruction": (STEP["rewritten"], 3, 6, [STEP["rewritten"]]),
    "IRET to ring 3": (USER, 6, 8, [USER]),
    "INT 80h and the handler": (SYSCALL_STUB, 4, 90, [USER + 5, USER + 7]),
    "a fault in ring 3": (STEP["trap_stubs"] + 16 * 13, 4, 10, [USER + 10]),
}


def go(remote, addr, kind=1):
    """To the first time that @addr is reached."""
    remote.seek("start")
    remote.set(kind, addr)
    stop = stop_of(remote.ask("c"))
    remote.clear(kind, addr)
    return remote.reg("rip") == addr and "replaylog" not in stop


def place(remote):
    return remote.when(), remote.state(), remote.ask_many(MEMORY)


def walk(remote, packet, count):
    """The places after each step, and the last stop reply."""
    seen, stop = [], b""
    for _ in range(count):
        stop = remote.ask(packet)
        seen.append(place(remote))
    return seen, stop


def differences(remote, forward, back):
    lines = []
    for n, (a, b) in enumerate(zip(forward, back)):
        if a != b:
            rip = remote.values(a[1])["rip"]
            memory = "" if a[2] == b[2] else "; memory differs"
            lines.append(f"place {n} of {len(forward)}, rip {rip:#x}, {a[0]} and {b[0]}: "
                         f"{remote.explain(a[1], b[1])}{memory}")
    return "\n".join(lines[:4])


def across(remote, name, irqs):
    addr, before, count, wanted = EVENTS[name]
    title = f"{name}, step-irqs {irqs}"
    if not case(f"{title}: it is reached", go(remote, addr), f"rip {remote.reg('rip'):#x}, {addr:#x} expected"):
        return
    remote.seek(remote.when().split("+")[0])
    for _ in range(before):
        remote.ask("bs")
    forward = [place(remote)]
    forward += walk(remote, "s", count)[0]
    back = walk(remote, "bs", count)[0][::-1] + forward[-1:]
    case(f"{title}: {count} places, back the same as forward", forward == back, differences(remote, forward, back))
    case(f"{title}: every place is another one", len({p[0] for p in forward}) == len(forward),
         " ".join(p[0] for p in forward))
    rips = [remote.values(p[1])["rip"] for p in forward]
    missing = [hex(a) for a in wanted if a not in rips]
    case(f"{title}: it was stepped across", not missing, f"{missing} not among {[hex(r) for r in rips]}")
    if irqs == "off":
        case(f"{title}: no interrupt handler was shown", TIMER_STUB not in rips)
    elif "interrupt" in name:
        case(f"{title}: the handler was shown", TIMER_STUB in rips, str([hex(r) for r in rips]))


def events():
    with Server("replay", recorded_guest("gdb_step64", memory="4M")) as server:
        remote = server.remote()
        for irqs in ("off", "on"):
            remote.monitor(f"step-irqs {irqs}")
            for name in EVENTS:
                guarded(across, remote, name, irqs)


def mode_of(values):
    if values["efer"] & 0x400:
        return "64-bit" if values["cs_rights"] & 0x2000 else "compatibility"
    if not values["cr0"] & 1:
        return "real"
    return "protected, 32-bit" if values["cs_rights"] & 0x4000 else "protected, 16-bit"


def modes():
    """The whole guest: each switch of modes, forwards to the end, then backwards to the beginning."""
    with Server("replay", recorded_guest("gdb_modes64", memory="4M")) as server:
        remote = server.remote()
        forward = [place(remote)]
        stop = b""
        while b"replaylog:end" not in stop and len(forward) < 200:
            seen, stop = walk(remote, "s", 1)
            forward += seen
        case("modes: stepped to the end", b"replaylog:end" in stop, str(stop))
        back, stop = walk(remote, "bs", len(forward) - 1)
        back = back[::-1] + forward[-1:]
        case(f"modes: {len(forward)} places, back the same as forward", forward == back,
             differences(remote, forward, back))
        case("modes: at the beginning again", remote.when() == forward[0][0], remote.when())
        case("modes: another step back: replaylog:begin", "replaylog" in stop_of(remote.ask("bs")))
        seen = [mode_of(remote.values(p[1])) for p in forward]
        for mode in ("64-bit", "compatibility", "protected, 32-bit", "protected, 16-bit", "real"):
            case(f"modes: {mode} was seen", mode in seen, str(seen))
        values = [remote.values(p[1]) for p in forward]
        real = [v for v in values if not v["cr0"] & 1]
        case("modes: rip is linear in real mode", real and all(0x7000 <= v["rip"] < 0x7100 for v in real),
             str([hex(v["rip"]) for v in real]))


def same_10000():
    """Ten thousand instructions with interrupts among them, forwards and backwards."""
    with Server("replay", recorded_guest("gdb_step64", memory="4M")) as server:
        remote = server.remote()
        for irqs in ("on", "off"):
            remote.monitor(f"step-irqs {irqs}")
            go(remote, STEP["long_run"])
            first, memory = remote.state(), remote.ask_many(MEMORY)
            forward = [first] + remote.walk("s", 10000)
            end_memory = remote.ask_many(MEMORY)
            back = remote.walk("bs", 10000)[::-1] + forward[-1:]
            wrong = [n for n, (a, b) in enumerate(zip(forward, back)) if a != b]
            case(f"10,000 instructions and back, step-irqs {irqs}: the same registers at each", not wrong,
                 f"{len(wrong)} differ; " + "".join(f"{n}: {remote.explain(forward[n], back[n])}" for n in wrong[-1:]))
            case(f"10,000 instructions and back, step-irqs {irqs}: the same memory",
                 remote.ask_many(MEMORY) == memory and memory != end_memory)
            rips = {remote.values(s)["rip"] for s in forward[::3]} | {remote.values(s)["rip"] for s in forward[1::3]}
            inside = any(STEP["trap_stubs"] <= r < STEP["trap_stubs"] + 16 * 256 for r in rips)
            case(f"10,000 instructions, step-irqs {irqs}: handlers were {'' if irqs == 'on' else 'not '}shown",
                 inside == (irqs == "on"))


def by_gdb():
    """The same through gdb itself, which keeps registers of its own."""
    with Server("replay", recorded_guest("gdb_step64", memory="4M")) as server, Mi(server, guest("gdb_step64")) as gdb:
        for irqs in ("off", "on"):
            gdb.cli(f"monitor step-irqs {irqs}")
            for name, (addr, before, _, _) in EVENTS.items():
                guarded(gdb_across, gdb, f"gdb: {name}, step-irqs {irqs}", addr, before)
    with Server("replay", recorded_guest("gdb_modes64", memory="4M")) as server, Mi(server, guest("gdb_modes64")) as gdb:
        guarded(gdb_walk, gdb, "gdb: through all modes", 70)


def gdb_across(gdb, title, addr, before):
    gdb.cli("monitor seek start")
    gdb.cli("maintenance flush register-cache")
    gdb.cli(f"tbreak *{addr:#x}")
    gdb.resume("-exec-continue")
    case(f"{title}: it is reached", gdb.number("$rip") == addr, gdb.value("$rip"))
    for _ in range(before):
        gdb.resume("-exec-step-instruction --reverse")
    gdb_walk(gdb, title, before + 8)


def gdb_walk(gdb, title, count):
    forward = [gdb.registers()]
    for _ in range(count):
        gdb.resume("-exec-step-instruction")
        forward.append(gdb.registers())
    back = forward[-1:]
    for _ in range(count):
        gdb.resume("-exec-step-instruction --reverse")
        back.insert(0, gdb.registers())
    wrong = [n for n, (a, b) in enumerate(zip(forward, back)) if a != b]
    case(f"{title}: stepi and reverse-stepi over the same {count} places", not wrong,
         f"{len(wrong)} differ: " + "; ".join(
             f"place {n}: registers {[k for k in forward[n] if forward[n][k] != back[n].get(k)]}" for n in wrong[:3]))


if __name__ == "__main__":
    need_gdb("stepping")
    main(events, modes, same_10000, by_gdb)
