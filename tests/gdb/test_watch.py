#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Watchpoints: of reads, writes and both, across pages, on string and locked instructions, a thousand at once, a
megabyte long, by physical address, before paging is on, in ring 3, on page tables. Each forwards and backwards."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from gdb import Mi, Server, case, guarded, guest, main, need_gdb, recorded_guest, symbols  # noqa: E402
from remote import stop_of  # noqa: E402

ELF = guest("gdb_watch64")
SYM = symbols(ELF)
WRITE, READ, ACCESS = 2, 3, 4
NAMES = {WRITE: "watch", READ: "rwatch", ACCESS: "awatch"}
USER_STACK = 0x8000002000

# name: kind, address, length, the function or range in which it is hit first, the address told
PAGES, BIG = SYM["pages"], SYM["big"]
PLACES = {
    "a write": (WRITE, SYM["counter"], 8, "bump", SYM["counter"]),
    "one byte of a write": (WRITE, SYM["sink"] + 1, 1, "reads", SYM["sink"] + 1),
    "a read": (READ, SYM["read_me"], 8, "reads", SYM["read_me"]),
    "an access": (ACCESS, SYM["read_me"] + 2, 1, "reads", SYM["read_me"] + 2),
    "a write that crosses into the page": (WRITE, PAGES + 4096, 2, "crosses", PAGES + 4096),
    "a write that crosses out of the page": (WRITE, PAGES + 4094, 2, "crosses", PAGES + 4094),
    "REP STOSB in its midst": (WRITE, PAGES + 4096 + 150, 3, "strings", PAGES + 4096 + 150),
    "REP MOVSB, the source": (READ, PAGES + 8192 + 12, 2, "strings", PAGES + 8192 + 12),
    "REP MOVSB, the destination": (WRITE, PAGES + 8192 + 1005, 1, "strings", PAGES + 8192 + 1005),
    "a locked instruction": (WRITE, SYM["locked"], 4, "locks", SYM["locked"]),
    "1 MiB, written at its beginning": (WRITE, BIG, 1 << 20, "fill", BIG),
    "the end of 1 MiB": (WRITE, BIG + 0x80000, 0x80000, "fill", BIG + 0xfffff),
    "ring 3": (WRITE, USER_STACK - 16, 4, None, USER_STACK - 16),
}


def trace():
    return recorded_guest("gdb_watch64")


def rip_in(remote, function):
    """Whether RIP is in @function, or just behind its end."""
    if function is None:
        return 0x8000000000 <= remote.reg("rip") <= 0x8000001000
    begin = SYM[function]
    end = min((a for a in SYM.values() if a > begin), default=begin)
    return begin <= remote.reg("rip") <= end


def place(remote, name):
    kind, addr, length, function, told = PLACES[name]
    remote.seek("start")
    case(f"{name}: it is set", remote.set(kind, addr, length))
    stop = stop_of(remote.ask("c"))
    case(f"{name}: it is hit, and told", stop.get(NAMES[kind]) == f"{told:x}" and rip_in(remote, function),
         f"{stop}, rip {remote.reg('rip'):#x}; {told:x} expected")
    position, after, value = remote.when(), remote.state(), remote.memory(addr, min(length, 8))
    stop = stop_of(remote.ask("bc"))
    before = remote.memory(addr, min(length, 8))
    case(f"{name}: backwards it is about to be hit", stop.get(NAMES[kind]) == f"{told:x}"
         and rip_in(remote, function) and remote.when() != position, f"{stop}, {remote.when()} and {position}")
    if kind == WRITE and length <= 8:
        case(f"{name}: the value before", before != value, f"{before} {value}")
    stop = stop_of(remote.ask("s"))
    case(f"{name}: a step makes the access", stop.get(NAMES[kind]) == f"{told:x}" and remote.state() == after,
         f"{stop}; {remote.explain(remote.state(), after)}")
    case(f"{name}: first of its kind", "replaylog" in stop_of(remote.ask("bc")) or
         "replaylog" in stop_of(remote.ask("bc")), remote.when())
    remote.clear(kind, addr, length)


def places():
    with Server("replay", trace()) as server:
        remote = server.remote()
        remote.seek("start")
        for name in PLACES:
            guarded(place, remote, name)


def kinds():
    """A watchpoint of writes isn't hit by reads, nor one of reads by writes."""
    with Server("replay", trace()) as server:
        remote = server.remote()
        counts = {}
        for kind in (WRITE, READ, ACCESS):
            remote.seek("start")
            remote.set(kind, SYM["read_me"], 8)
            counts[kind] = 0
            while "replaylog" not in stop_of(remote.ask("c")):
                counts[kind] += 1
            backward = 0
            while "replaylog" not in stop_of(remote.ask("bc")):
                backward += 1
            remote.clear(kind, SYM["read_me"], 8)
            case(f"{NAMES[kind]}: as many hits backwards", backward == counts[kind], f"{backward} {counts[kind]}")
        case("one write, one read, two accesses", counts == {WRITE: 1, READ: 1, ACCESS: 2}, str(counts))
        remote.seek("start")
        remote.set(WRITE, SYM["counter"], 8)
        hits = 0
        while "replaylog" not in stop_of(remote.ask("c")):
            hits += 1
        case("a hundred and one writes of the counter", hits == 101, str(hits))
        hits = 0
        while "replaylog" not in stop_of(remote.ask("bc")):
            hits += 1
        case("and backwards", hits == 101, str(hits))


def thousand():
    """A watchpoint on each of a thousand words, hit in the order of the stores; backwards in the other."""
    with Server("replay", trace()) as server:
        remote = server.remote()
        table = SYM["table"]
        replies = remote.ask_many([f"Z2,{table + 8 * i:x},8" for i in range(1000)])
        case("a thousand watchpoints are set", replies == [b"OK"] * 1000, str(replies[:3]))
        wanted = [f"{table + 8 * (i * 7 % 1000):x}" for i in range(1000)]
        seen = []
        while len(seen) < 1001:
            stop = stop_of(remote.ask("c"))
            if "replaylog" in stop:
                break
            seen.append(stop.get("watch"))
        case("each is hit, in order", seen == wanted, f"{len(seen)}: {seen[:4]} {wanted[:4]}")
        seen = []
        while len(seen) < 1001:
            stop = stop_of(remote.ask("bc"))
            if "replaylog" in stop:
                break
            seen.append(stop.get("watch"))
        case("and backwards", seen == wanted[::-1], f"{len(seen)}: {seen[:4]}")


def physical():
    """By physical address: a write through another mapping is met; by the linear address it is not."""
    with Server("replay", trace()) as server:
        remote = server.remote()
        remote.monitor("address physical")
        remote.set(WRITE, PAGES + 0x10, 4)
        stop = stop_of(remote.ask("c"))
        case("physical: a write through an alias", stop.get("watch") == f"{PAGES + 0x10:x}"
             and rip_in(remote, "aliases"), f"{stop} {remote.reg('rip'):#x}")
        stop = stop_of(remote.ask("bc"))
        case("physical: and backwards", stop.get("watch") == f"{PAGES + 0x10:x}" and rip_in(remote, "aliases"),
             f"{stop} {remote.reg('rip'):#x}")
        remote.clear(WRITE, PAGES + 0x10, 4)
        remote.monitor("address linear")
        remote.seek("start")
        remote.set(WRITE, PAGES + 0x10, 4)
        case("linear: another address of the same byte isn't met", "replaylog" in stop_of(remote.ask("c")),
             f"{remote.reg('rip'):#x}")
        remote.clear(WRITE, PAGES + 0x10, 4)
        remote.seek("start")
        remote.set(WRITE, 0x6000000010, 4)
        stop = stop_of(remote.ask("c"))
        case("linear: the alias, set before it was mapped", stop.get("watch") == "6000000010"
             and rip_in(remote, "aliases"), f"{stop} {remote.reg('rip'):#x}")


def tables():
    """Before paging is on; and accessed and dirty flags that the page walk sets."""
    with Server("replay", trace()) as server:
        remote = server.remote()
        pml4 = SYM["boot_pml4"]
        remote.set(WRITE, pml4, 8)
        stop = stop_of(remote.ask("c"))
        case("before paging is on: the first page-table entry", stop.get("watch") == f"{pml4:x}"
             and not remote.reg("cr0") >> 31 and remote.memory(pml4, 1) == b"\x03",
             f"{stop} {remote.memory(pml4, 8)}")
        stop = stop_of(remote.ask("c"))
        case("the page walk sets its accessed flag", stop.get("watch") == f"{pml4:x}"
             and remote.memory(pml4, 1)[0] & 0x20, f"{stop} {remote.memory(pml4, 8)}")
        stop = stop_of(remote.ask("bc"))
        case("backwards it isn't set yet", stop.get("watch") == f"{pml4:x}"
             and not remote.memory(pml4, 1)[0] & 0x20, f"{stop} {remote.memory(pml4, 8)}")


def by_gdb():
    """Through gdb, which looks at values and hides what it takes for no change."""
    with Server("replay", trace()) as server, Mi(server, ELF) as gdb:
        gdb.command("-break-watch -r read_me")
        stop = gdb.resume("-exec-continue")
        case("gdb: rwatch", stop.get("reason") == "read-watchpoint-trigger" and stop["value"] == {"value": "4660"},
             str(stop))
        gdb.command("-break-delete")
        gdb.command("-break-watch -a read_me")
        stop = gdb.resume("-exec-continue")
        case("gdb: awatch", stop.get("reason") == "access-watchpoint-trigger"
             and stop["value"] == {"old": "4660", "new": "22136"}, str(stop))
        stop = gdb.resume("-exec-continue --reverse")
        case("gdb: awatch, backwards", stop.get("reason") == "access-watchpoint-trigger"
             and stop["value"].get("new") == "4660", str(stop))
        gdb.command("-break-delete")
        gdb.cli("watch *(char (*)[65536]) &big")  # the longest value that gdb looks at unless told otherwise
        stop = gdb.resume("-exec-continue")
        case("gdb: 64 KiB in one watchpoint", stop.get("reason") == "watchpoint-trigger"
             and stop["frame"]["func"] == "fill" and gdb.value("(int)big[0]") == "1", str(stop)[:300])
        gdb.command("-break-delete")
        gdb.cli("monitor seek start")
        gdb.cli("maintenance flush register-cache")
        gdb.command("-break-watch counter")
        seen = []
        while None not in seen and len(seen) < 110:
            stop = gdb.resume("-exec-continue")
            seen.append(stop.get("value", {}).get("new"))
        case("gdb: a store of the same value is passed over", seen == [str(i) for i in range(1, 101)] + [None],
             str(seen))


if __name__ == "__main__":
    need_gdb("watchpoints")
    main(places, kinds, thousand, physical, tables, by_gdb)
