#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""vmdbg branch: a recording that goes on from amid another. Where nothing is different it comes out the same."""
import os
import random
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import gdb  # noqa: E402
from vmdbg import case, figures, finish, guest, one_line, run, scratch  # noqa: E402

DIR = scratch("branch")


def record(name, kernel, *options):
    trace = os.path.join(DIR, name + ".vmt")
    result = run("record", "--serial", "null", "-m", "8M", "-o", trace, *options, guest(kernel))
    case(f"{name} is recorded", result.status in (0, 33), result.describe())
    return trace


def dump(trace):
    return run("trace", "dump", trace).text().splitlines()


def console(trace):
    return "".join(line.split("serial0  ", 1)[1] for line in dump(trace) if " serial0  " in line)


def events(trace):
    """Events, and the end. Reads have no position, and a run of them may be told in parts."""
    out = []
    for line in dump(trace):
        match = re.match(r" +\d+  event +(read .*?)(?:, (\d+) times)?$", line)
        if match and out and out[-1][0] == match[1]:
            out[-1][1] += int(match[2] or 1)
        elif match:
            out.append([match[1], int(match[2] or 1)])
        elif re.match(r" +\d+  (event|end) ", line):
            out.append([line, 1])
    return out


def branch(source, at, name, *options):
    out = os.path.join(DIR, name + ".vmt")
    return out, run("branch", "--serial", "null", "--json", "--at", at, "-o", out, *options, source)


def goes_on_alike(title, source, at, name, *options):
    out, result = branch(source, at, name, *options)
    if not case(f"{title}: recorded, with the guest's own exit status", result.status == 33, result.describe()):
        return out
    replay = run("replay", "--serial", f"file:{out}.txt", out)
    case(f"{title}: replays, equal", replay.status == 0, replay.describe())
    case(f"{title}: the same events and end", len(events(out)) > 1 and events(out) == events(source),
         f"{events(out)[-2:]} {events(source)[-2:]}")
    case(f"{title}: the same console", len(console(out)) > 100 and console(out) == console(source))
    info = run("trace", "verify", out)
    case(f"{title}: nothing is wrong with it", info.status == 0, info.describe())
    return out


def positions():
    source = record("plain", "int64")
    last = int(dump(source)[-1].split()[0])
    rng = random.Random(1)
    places = ["start", "0", "1", str(last - 1), "50%", "99.5%", "event:1", "event:1500", "0.1ms"]
    places += [str(rng.randrange(last)) for _ in range(4)]
    for n, at in enumerate(places):
        goes_on_alike(f"branch at {at}", source, at, f"at{n}")
    once = goes_on_alike("a branch", source, "30%", "once")
    goes_on_alike("a branch of a branch, later", once, "60%", "later")
    goes_on_alike("a branch of a branch, earlier", once, "10%", "earlier")
    out, result = branch(source, "50%", "short", "--until", f"insns:{last * 3 // 4}")
    case("a branch that ends otherwise", result.status == 0 and figures(result)["instructions"] == last * 3 // 4,
         result.describe())
    replay = run("replay", "--serial", "null", out)
    case("and replays so", replay.status == 0, replay.describe())
    return source, last


def between(source):
    """Interrupts were delivered there, and nothing of their handlers has run."""
    at = [line.split()[0] for line in dump(source) if "  interrupt " in line][-1]
    out, result = branch(source, at + "+1", "between")
    case("between an interrupt and its handler: refused, and said where else", result.status == 2 and
         f"take {at} or {int(at) + 1}" in result.errors() and not os.path.exists(out), result.errors())


def speed(source, last):
    _, result = branch(source, str(last - 1000), "speed")
    f = figures(result)
    case("figures: speed is that of the instructions that were run",
         f["instructions"] == last and f["mips"] * f["seconds"] < 0.0011, result.text())


def refused(source, last):
    def no(title, at, *mentions):
        out, result = branch(source, at, "no")
        good = result.status == 2 and one_line(result.errors()) and all(m in result.errors() for m in mentions)
        case(f"{title}: exit status 2, one line, no trace", good and not os.path.exists(out),
             result.describe() + result.errors())

    no("at the end", "end", "end of the recording")
    no("at the last position", str(last), "end of the recording")
    no("beyond the end", str(last + 1), str(last))
    no("at no position", "elsewhere", "elsewhere")
    no("at an event that isn't there", "event:999999", "999999")
    no("at a checkpoint that isn't there", "checkpoint:1", "checkpoint")
    result = run("branch", "--at", "start", source)
    case("without -o", result.status == 2 and "-o" in result.errors() and not os.path.exists("plain.vmt.vmt"),
         result.errors())
    result = run("branch", "-o", f"{DIR}/x.vmt", source)
    case("without --at", result.status == 2 and "--at" in result.errors(), result.errors())
    with open(source, "rb") as f:
        before = f.read()
    for force in ([], ["--force"]):
        result = run("branch", "--at", "50%", *force, "-o", source, source)
        with open(source, "rb") as f:
            same = f.read() == before
        case(f"over its own source {' '.join(force)}", result.status == 2 and same, result.describe())


def memory_at(trace, places):
    with gdb.Server("replay", trace) as server:
        remote = server.remote()
        remote.monitor("address physical")
        return [(remote.seek(p), gdb.look(remote, [(0, 8 << 20)]))[1] for p in places]


def checkpoints():
    """Branches with checkpoints of their own, and of recordings that have some."""
    source = record("long", "irq64")
    indexed = os.path.join(DIR, "indexed.vmt")
    result = run("trace", "index", "--checkpoint-every", "4M", "-o", indexed, source)
    case("a recording is indexed", result.status == 0, result.describe())
    between(source)
    goes_on_alike("a branch of an indexed recording", indexed, "75%", "of-indexed")
    out = goes_on_alike("a branch with checkpoints", source, "20ms", "with", "--checkpoint-every", "2M")
    kept = [line for line in dump(out) if "  checkpoint " in line]
    case("there are some", len(kept) > 2, "\n".join(kept))
    places = ["end", "95%", "80%", "65%"]
    case("memory and registers beside them are the recording's", memory_at(out, places) == memory_at(source, places))


def main():
    source, last = positions()
    speed(source, last)
    refused(source, last)
    checkpoints()
    finish()


if __name__ == "__main__":
    main()
