#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A hundred random seeks on each of our guests' recordings and on that of Debian's boot: all registers, and memory's
digests, are those of another server that only ever went forwards."""
import os
import random
import sys
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from gdb import Mi, Server, case, debian_files, guest, main, need_gdb, recorded_debian, recorded_guest  # noqa: E402

SEEKS = 100
PART = 256 << 10


def look(remote, areas):
    return remote.when(), remote.state(), remote.ask_many([f"qCRC:{addr:x},{length:x}" for addr, length in areas])


def straight(trace, places, areas):
    """What a server that only goes forwards sees at these places."""
    with Server("replay", trace) as server:
        remote = server.remote()
        remote.monitor("address physical")
        seen = {}
        for place in sorted(places):
            remote.seek(place)
            seen[place] = look(remote, areas[place])
        return seen


def at_random(remote, places, areas):
    """The same in any order, with a few steps in between: what is kept for a place must not be what is shown."""
    seen = []
    for place in places:
        said = remote.seek(place)
        seen.append((look(remote, areas[place]), said))
        for step in ("bs", "bs", "s"):
            remote.ask(step)
    return seen


def compare(title, trace, areas_of, rng):
    with Server("replay", "--at", "end", trace) as server, ThreadPoolExecutor(1) as beside:
        remote = server.remote()
        places = [rng.randrange(1, int(remote.when().split("+")[0])) for _ in range(SEEKS)]
        areas = {p: areas_of(n) for n, p in enumerate(places)}
        expected = beside.submit(straight, trace, places, areas)
        remote.monitor("address physical")
        found = at_random(remote, places, areas)
        wrong = []
        for n, (place, (seen, said)) in enumerate(zip(places, found)):
            wanted = expected.result()[place]
            if seen != wanted:
                wrong.append(f"seek {n} to {place}: at {seen[0]}: {remote.explain(seen[1], wanted[1])}; memory "
                             f"{'as' if seen[2] == wanted[2] else 'not as'} expected {said}")
        case(f"{title}: {SEEKS} random seeks, registers and memory as in a straight replay", not wrong,
             f"{len(wrong)} differ\n" + "\n".join(wrong[:5]))


def end_of(trace):
    with Server("replay", "--at", "end", trace) as server:
        return int(server.remote().when().split("+")[0])


def guests():
    for number, (name, memory) in enumerate((("gdb_step64", 2), ("gdb_watch64", 8), ("irq64", 2), ("pm32", 8))):
        trace = recorded_guest(name, memory=f"{memory}M")
        compare(name, trace, lambda n, ram=memory << 20: [(0, ram)], random.Random(number))


def debian():
    """At each place parts of memory, everywhere; at every twentieth all of it."""
    if not debian_files():
        return
    trace = recorded_debian()
    rng = random.Random(1)

    def areas(n):
        if n % 20 == 7:
            return [(0, 256 << 20)]
        return [(rng.randrange(0, (256 << 20) // PART) * PART, PART) for _ in range(16)] + [(0x1000000, 8 << 20)]

    compare("Debian's boot", trace, areas, rng)


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
    main(guests, by_gdb, debian)
