#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""All that gdb sends in a session with `set debug remote 1` stands in docs/gdb.md, and is answered as it says there."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from gdb import Server, batch, case, guest, main, need_gdb, recorded_guest  # noqa: E402

ELF = guest("gdb_watch64")
DOC = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "gdb.md")
SILENT = {"k", "R"}  # have no reply

SESSION = """
set breakpoint condition-evaluation target
set dprintf-style agent
break bump if i == 3
hbreak same
dprintf locks,"counter %d\\n", counter
continue
info registers
watch counter
continue
reverse-continue
delete 4
continue
rwatch read_me
continue
delete 5
reverse-continue
awatch read_me
continue
delete 6
stepi
reverse-stepi
break *bump
reverse-continue
step
next
reverse-next
finish
info threads
thread 1
thread apply all print $rip
find /w &table[0], +8000, 0x12345678
compare-sections
info mem
info auxv
info os
info proc
tstatus
info sharedlibrary
set var counter = 1
set var $rax = 5
print $_siginfo
print $_tlb
catch syscall
handle SIGUSR1 nostop
info inferiors
monitor info version
record btrace
remote get nothing /nonexistent/nothing
remote delete nothing
tsave -r nothing
info static-tracepoint-markers
trace bump
tstart
tstop
tfind none
info tvariables
set scheduler-locking on
stepi
set scheduler-locking off
set non-stop on
delete
maintenance packet qC
maintenance packet vMustReplyEmpty
maintenance packet jThreadsInfo
symbol-file
kill
attach 1
kill
run
stepi
show remote
detach
""".strip().splitlines()


def tables():
    """{packet: whether it is answered} of the tables, and {state: packets} of the list of `show remote`."""
    with open(DOC, encoding="utf-8") as f:
        text = f.read()
    section = re.search(r"^## Packets$(.*?)(?=^## |\Z)", text, re.S | re.M)[1]
    parts = dict(re.findall(r"^### (.*?)$(.*?)(?=^### |\Z)", section, re.S | re.M))
    known = {}
    for title, answered in (("Answered", True), ("Not offered, on purpose", False)):
        for row in re.findall(r"^\| (.*?) \|", parts[title], re.M):
            known.update((name, answered) for name in re.findall(r"`(.*?)`", row))
    shown = {}
    for state, names in re.findall(r"^- (\w+).*?: (`.*)$", parts["How GDB 13 shows it"], re.M):
        shown[state] = set(re.findall(r"`(.*?)`", names))
    return known, shown


def name_of(packet, known):
    """The longest name that @packet begins with, not within a word."""
    for end in range(len(packet), 0, -1):
        name = packet[:end]
        if name in known and (len(name) < 3 or not packet[end : end + 1].isalnum()):
            return name
    return None


def packets():
    known, shown = tables()
    case("docs/gdb.md has its tables", len(known) > 80 and set(shown) == {"enabled", "disabled", "unknown"}, str(shown))
    with Server("replay", recorded_guest("gdb_watch64")) as server:
        log = batch(server, SESSION, ELF, kind="extended-remote", first=["set debug remote 1"])
    sent = re.findall(r"Sending packet: \$(.*?)#[0-9a-f]{2}\n(.*?)(?=\[remote\] Sending|\Z)", log, re.S)
    case("the session was logged", len(sent) > 200 and log.count("killed]") == 2, log[-800:])
    strange, wrong, counts = set(), set(), {}
    for packet, rest in sent:
        name = name_of(packet, known)
        replies = re.findall(r"Packet received: ?(.*)", rest)
        if name is None:
            strange.add(packet[:60])
            continue
        counts[name] = counts.get(name, 0) + 1
        if name not in SILENT and (not replies or bool(replies[-1]) != known[name]):
            wrong.add(f"{packet[:60]}: {replies[-1:]}")
    print("#", " ".join(f"{name}:{n}" for name, n in sorted(counts.items())))
    case(f"all {len(sent)} packets of {len(counts)} kinds stand in docs/gdb.md", not strange, "\n".join(sorted(strange)))
    case("and are answered as it says", not wrong, "\n".join(sorted(wrong)))
    refused = {p[:40] for p, rest in sent if re.search(r"Packet received: E(22|\.)", rest)}
    case("none was malformed to the server", not refused, "\n".join(refused))
    seen = {}
    for name, state in re.findall(r"Support for the `(.*?)' packet is auto-detected, currently (\w+)", log):
        seen.setdefault(state, set()).add(name)
    for state in ("enabled", "disabled", "unknown"):
        case(f"`show remote`: the {state} ones are those of docs/gdb.md", seen.get(state) == shown[state],
             f"in gdb only: {sorted(seen.get(state, set()) - shown[state])}\n"
             f"in docs only: {sorted(shown[state] - seen.get(state, set()))}")
    features(sent, log)


def features(sent, log):
    """What was negotiated is used."""
    offer = next(rest for packet, rest in sent if packet.startswith("qSupported"))
    for feature in ("PacketSize=", "QStartNoAckMode+", "qXfer:features:read+", "qXfer:threads:read+", "vContSupported+",
                    "ConditionalBreakpoints+", "BreakpointCommands+", "ReverseStep+", "ReverseContinue+",
                    "multiprocess+", "swbreak+", "hwbreak+"):
        case(f"qSupported: {feature}", feature in offer, offer[:300])
    for absent in ("memory-map", "QNonStop", "Tracepoint", "btrace", "vFile", "fork-events", "error-message"):
        case(f"qSupported: no {absent}", absent not in offer, offer[:300])
    case("no acknowledgement after QStartNoAckMode", "Packet received: OK" in
         next(rest for packet, rest in sent if packet == "QStartNoAckMode") and "Received Ack" not in
         log.split("QStartNoAckMode", 2)[-1].split("Packet received: OK", 1)[1])
    texts = [packet for packet, _ in sent]
    case("a condition went to the stub", any(re.match(r"Z0,.*;X", p) for p in texts))
    case("a command went to the stub", any(re.match(r"Z0,.*;cmds:", p) for p in texts))
    case("threads are p1.N", any(p.startswith("vCont;c:p1") for p in texts) and "thread:p1.1" in log)
    case("a line of source is one range step", any(re.match(r"vCont;r", p) for p in texts))
    for reply in ("swbreak:", "hwbreak:", "watch:", "rwatch:", "awatch:", "replaylog:"):
        case(f"stop replies: {reply}", re.search(rf"Packet received: T05.*;{reply}", log))


if __name__ == "__main__":
    need_gdb("packets")
    main(packets)
