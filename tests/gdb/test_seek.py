#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A hundred random seeks on each of our guests' recordings: all registers, and memory's digests, are those of another
server that only ever went forwards."""
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from gdb import Mi, Server, case, compare_seeks, guest, main, need_gdb, recorded_guest  # noqa: E402

def end_of(trace):
    with Server("replay", "--at", "end", trace) as server:
        return int(server.remote().when().split("+")[0])


def guests():
    for number, (name, memory) in enumerate((("gdb_step64", 2), ("gdb_watch64", 8), ("irq64", 2), ("pm32", 8))):
        trace = recorded_guest(name, memory=f"{memory}M")
        with Server("replay", "--at", "end", trace) as server:
            compare_seeks(name, server.remote(), trace, lambda n, ram=memory << 20: [(0, ram)], random.Random(number))


def by_gdb():
    """What gdb shows after `monitor seek`."""
    trace = recorded_guest("gdb_step64", memory="2M")
    rng = random.Random(3)
    end = end_of(trace)
    with Server("replay", trace) as server, Mi(server, guest("gdb_step64")) as gdb:
        wrong = []
        seen = {}
        places = [rng.randrange(1, end) for _ in range(20)]
        for place in sorted(places) + rng.sample(places, 20):
            gdb.cli(f"monitor seek {place}")
            gdb.cli("maintenance flush register-cache")
            registers = gdb.registers()
            if gdb.number("$position") != place or seen.setdefault(place, registers) != registers:
                wrong.append(str(place))
        case("gdb: registers after seeks forwards and at random", not wrong, " ".join(wrong))


if __name__ == "__main__":
    need_gdb("seeking")
    main(guests, by_gdb)
