#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Monitor commands on a recording, and share/vmdbg.py in the real gdb: what they say is what GDB itself sees there."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from gdb import GdbError, Mi, Server, batch, case, guest, main, need_gdb, recorded_guest, symbols  # noqa: E402

ELF = guest("irq64")
ROOT = os.path.join(os.path.dirname(__file__), "..", "..")
PYTHON = os.path.join(ROOT, "share", "vmdbg.py")
VECTOR = 0x20  # the 8254, through the 8259A


def trace():
    return recorded_guest("irq64")


def opened(server):
    mi = Mi(server, ELF)
    mi.cli("source " + PYTHON)
    return mi


def found(pattern, text):
    match = re.search(pattern, text, re.M)
    if not match:
        raise GdbError(f"no {pattern} in: {text}")
    return match[1]


def last_write():
    """lastwrite, against a watchpoint of GDB's own and a step over the write."""
    with Server("replay", trace()) as server, opened(server) as mi:
        mi.cli("vmdbg seek end")
        mi.cli("vmdbg seek event:40")
        home = found(r"^(\S+) ", mi.cli("vmdbg when"))
        now = mi.number(f"seen[{VECTOR}]")
        said = mi.cli(f"vmdbg lastwrite seen[{VECTOR}]")
        case("lastwrite: 4 bytes, the size of the variable", "4 bytes, by CPU 0 at " in said, said)
        case("lastwrite: the value after is the present one", int(found(r"^after +(\w+)", said), 16) == now, said)
        case("lastwrite: the value before is GDB's there",
             int(found(r"^before +(\w+)", said), 16) == mi.number(f"seen[{VECTOR}]") == now - 1, said)
        case("lastwrite: the instruction is GDB's, at RIP", int(found(r"^=> (\w+):", said), 16) == mi.number("$rip"),
             said)
        case("lastwrite: backtrace and source line by symbols", "hook (" in said and "irq64.c:" in said and
             "seen[f->vector]++" in said, said)
        case("lastwrite: callers without symbols", re.search(r"^#1  [0-9a-f]{16} (frame pointer|behind a CALL)", said,
                                                             re.M), said)
        place = found(r"^(\S+) ", mi.cli("vmdbg when"))
        mi.resume("-exec-step-instruction")
        case("lastwrite: the next step writes", mi.number(f"seen[{VECTOR}]") == now)
        mi.cli("vmdbg seek " + home)
        mi.cli(f"watch seen[{VECTOR}]")
        stop = mi.resume("-exec-continue --reverse")
        case("lastwrite: where a watchpoint stops too", found(r"^(\S+) ", mi.cli("vmdbg when")) == place, str(stop))
        mi.cli("delete")
        mi.cli("vmdbg seek start")
        said = mi.cli(f"vmdbg lastwrite seen[{VECTOR}]")
        case("lastwrite: never before the beginning", "Nothing has written" in said and "Back at 0 " in said, said)


def watches():
    """watch-phys with filters, forwards and backwards, and its line on GDB's console."""
    with Server("replay", trace()) as server, opened(server) as mi:
        mi.cli("vmdbg seek start")
        said = mi.cli(f"vmdbg watch-phys seen[{VECTOR}] w if value == 3")
        addr = symbols(ELF)["seen"] + 4 * VECTOR
        case("watch-phys: an expression is an address", f"watch-phys 1: {addr:#x},4 w if value == 0x3" in said, said)
        stop = mi.resume("-exec-continue")
        case("watch-phys: stops without a reason of GDB's", stop.get("signal-name") == "SIGTRAP", str(stop))
        case("watch-phys: says why", f"watch-phys 1: write at {addr:#x}; bytes at {addr:#x}: 03 00 00 00" in mi.console,
             mi.console)
        case("watch-phys: behind the write", mi.number(f"seen[{VECTOR}]") == 3)
        behind = found(r"^(\S+) ", mi.cli("vmdbg when"))
        mi.cli("vmdbg seek event:60")
        mi.resume("-exec-continue --reverse")
        case("watch-phys: backwards before the same write", mi.number(f"seen[{VECTOR}]") == 2)
        mi.resume("-exec-step-instruction")
        case("watch-phys: it is the same", found(r"^(\S+) ", mi.cli("vmdbg when")) == behind)
        mi.cli("vmdbg watch-phys delete 1")
        case("watch-phys: none is left", "No watch-phys." in mi.cli("vmdbg watch-phys list"))


def events():
    """break-event: an interrupt stops at the handler that the IDT names."""
    with Server("replay", trace()) as server, opened(server) as mi:
        mi.cli(f"vmdbg break-event interrupt {VECTOR}")
        mi.resume("-exec-continue")
        case("break-event: says why", f"break-event 1: interrupt {VECTOR:#x}" in mi.console, mi.console)
        gate = mi.cli(f"vmdbg info idt {VECTOR}")
        case("break-event: at the handler", int(found(r"\]\s+\w{4}:(\w+) ", gate), 16) == mi.number("$rip"), gate)
        pushed = mi.number("*(unsigned long long *)$rsp")
        said = mi.cli("vmdbg lastwrite $rsp")
        case("lastwrite: a frame that an interrupt pushed",
             "by the delivery of an interrupt" in said and mi.number("$rip") == pushed
             and int(found(r"^after +(\w+)", said), 16) == pushed, said)
        said = mi.cli("vmdbg events 3 3")
        case("events: the interrupt is there", f"interrupt vector {VECTOR:#x}" in said and "-> " in said, said)
        said = mi.cli("vmdbg events 0 1")
        case("events: as many as asked for", len(said.splitlines()) == 2, said)


def places():
    """Checkpoints outlive a client."""
    with Server("replay", trace()) as server:
        with opened(server) as mi:
            mi.cli("vmdbg seek 5000")
            said = mi.cli("vmdbg checkpoint")
            case("checkpoint: the first one", "Checkpoint 1 at 5000;" in said, said)
            mi.cli("vmdbg seek 50%")
            rip = mi.number("$rip")
            mi.cli("vmdbg checkpoint")
            mi.cli("vmdbg break-event cr3")
        with opened(server) as mi:
            case("checkpoints outlive the client", "1 at 5000" in mi.cli("vmdbg checkpoints"), mi.console)
            case("breakpoints do not", "No break-event." in mi.cli("vmdbg break-event list"), mi.console)
            mi.cli("vmdbg restart 1")
            case("restart: there", mi.number("$position") == 5000)
            mi.cli("vmdbg restart 2")
            case("restart: the same place, refreshed", mi.number("$rip") == rip)
            mi.cli("monitor restart 1")
            case("monitor: says that GDB must look again", "flush register-cache" in mi.console, mi.console)


def guest_state():
    """What the monitor says of registers, tables and memory is what GDB reads."""
    with Server("replay", trace()) as server, opened(server) as mi:
        mi.cli("vmdbg seek 50%")
        said = mi.cli("vmdbg info registers")
        wrong = [name for name, value in re.findall(r"\b(r\w\w?) +([0-9a-f]{16})", said)
                 if mi.number("$" + name) != int(value, 16)]
        case("info registers: as GDB's", not wrong and "r15" in said, f"{wrong} {said}")
        said = mi.cli("vmdbg info cr")
        wrong = [name for name, value in re.findall(r"^(cr\d) +([0-9a-f]{16})", said, re.M)
                 if mi.number("$" + name) != int(value, 16)]
        case("info cr: as GDB's", not wrong and "cr4" in said, f"{wrong} {said}")
        said = mi.cli("vmdbg walk seen")
        physical = int(found(r"^Physical (\w+),", said), 16)
        case("walk: four levels", all(f"{name} " in said for name in ("PML4E", "PDPTE", "PDE")), said)
        said = mi.cli(f"vmdbg xp {physical:#x} 256 w")
        words = [int(word, 16) for line in said.splitlines() for word in line.split(":")[1].split()]
        case("xp: physical memory is what GDB sees there",
             len(words) == 256 and words[VECTOR] == mi.number(f"seen[{VECTOR}]") and words[VECTOR], said)
        said = mi.cli("vmdbg info mem")
        case("info mem: has what is mapped", any(int(a, 16) <= symbols(ELF)["seen"] <= int(b, 16) for a, b in
                                                  re.findall(r"^([0-9a-f]{16})-([0-9a-f]{16}) ", said, re.M)), said)
        said = mi.cli("vmdbg disas hook 3")
        case("disas: a function by its name", int(found(r"^ +(\w+):", said), 16) == symbols(ELF)["hook"], said)
        case("info device: a chip's registers", "  master.imr " in mi.cli("vmdbg info device pic"), mi.console)
        case("info devices: the list", re.search(r"^lapic0 ", mi.cli("vmdbg info devices"), re.M), mi.console)


def documented():
    """docs/gdb.md has every command that `monitor help` lists, with the same arguments."""
    with open(os.path.join(ROOT, "docs", "gdb.md"), encoding="utf-8") as f:
        shown = re.findall(r"`([^`]+)`", f.read().replace("\\|", "|"))
    with Server("replay", trace()) as server:
        listed = [line.split("  ")[0] for line in server.remote().monitor("help").splitlines()]
    missing = [line for line in listed if line not in shown and line != "help [COMMAND]"]
    case("docs/gdb.md lists every command", len(listed) > 30 and not missing, f"{len(listed)}, without {missing}")


def python_file():
    """Completion, words for errors, and no connection."""
    with Server("replay", trace()) as server:
        text = batch(server, ["source " + PYTHON, "complete vmdbg la", "complete vmdbg info se",
                              "complete vmdbg break-event e", "complete vmdbg watch-phys del", "complete vmdbg seek sta",
                              "complete vmdbg lastwrite see", "vmdbg", "vmdbg nonsense", "vmdbg lastwrite nonsense",
                              "vmdbg seek nowhere", "vmdbg seek 100", "print $position"], ELF)
        for line in ("vmdbg lastwrite", "vmdbg info segments", "vmdbg break-event exception", "vmdbg watch-phys delete",
                     "vmdbg seek start", "vmdbg lastwrite seen_ip"):
            case(f"completion: {line}", line in text.splitlines(), text)
        case("without a command: the list", "lastwrite ADDR[,LEN]" in text, text)
        case("an unknown command", 'unknown command "nonsense"' in text, text)
        case("an unknown symbol", 'No symbol "nonsense" in current context.' in text, text)
        case("an unknown position", '"nowhere" is no position' in text, text)
        case("GDB looks again after a move", "$1 = 100" in text, text)


need_gdb("the monitor in gdb")
main(last_write, watches, events, places, guest_state, documented, python_file)
