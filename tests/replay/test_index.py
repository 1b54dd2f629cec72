#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""vmdbg trace index, and record --checkpoint-every: checkpoints in a trace change nothing of what it is."""
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import gdb  # noqa: E402
from vmdbg import SLOW, VMDBG, case, finish, guest, one_line, run, scratch  # noqa: E402

DIR = scratch("index")
GOLDEN = sorted(glob.glob(os.path.join(os.path.dirname(__file__), "..", "..", "traces", "golden", "*.vmt")))


def path(name):
    return os.path.join(DIR, name + ".vmt")


def read(name):
    with open(name, "rb") as f:
        return f.read()


def dump(trace):
    return run("trace", "dump", trace).text().splitlines()


def checkpoints(trace):
    return [line for line in dump(trace) if "  checkpoint " in line]


def rest(trace):
    return [line for line in dump(trace) if not re.search(r"  (checkpoint|pages) ", line)]


def index(trace, *options, timeout=60):
    return run("trace", "index", *options, trace, timeout=timeout)


def as_before(title, trace, source):
    result = run("trace", "verify", trace)
    case(f"{title}: whole", result.status == 0, result.describe())
    case(f"{title}: beside checkpoints it is the same", rest(trace) == rest(source))
    result = run("replay", "--serial", "null", trace)
    case(f"{title}: replays, equal", result.status == 0, result.describe())
    bytes_of = [int(re.search(r"(\d+) console bytes", line)[1]) for line in checkpoints(trace)]
    printed = [int(line.split()[0]) for line in dump(trace) if "  serial0  " in line]
    positions = [int(line.split()[0]) for line in checkpoints(trace)]
    case(f"{title}: checkpoints know what was printed", bytes_of == sorted(bytes_of) and
         all(b > 0 for b, p in zip(bytes_of, positions) if printed and p > printed[0] + 1000), str(bytes_of))


def makes():
    source = path("source")
    result = run("record", "--serial", "null", "-m", "8M", "-o", source, guest("irq64"))
    case("a recording", result.status == 33, result.describe())
    plain = read(source)

    result = index(source, "--checkpoint-every", "4M", "-o", path("other"))
    case("-o: done, and said", result.status == 0 and "checkpoints" in result.errors(), result.describe())
    case("-o: the source is as it was", read(source) == plain)
    case("-o: as many as asked for", len(checkpoints(path("other"))) in (7, 8), "\n".join(checkpoints(path("other"))))
    as_before("-o", path("other"), source)

    result = index(source, "-o", path("other"))
    case("-o over another trace: refused", result.status == 2 and one_line(result.errors()) and
         "--force" in result.errors(), result.errors())
    result = index(source, "--force", "-o", path("other"))
    case("--force replaces it", result.status == 0, result.describe())

    shutil.copy(source, path("place"))
    result = index(path("place"), "--checkpoint-every", "4M")
    case("in place", result.status == 0 and checkpoints(path("place")), result.describe())
    as_before("in place", path("place"), source)
    first = read(path("place"))
    result = index(path("place"), "--checkpoint-every", "4M")
    case("once more: the same file", result.status == 0 and read(path("place")) == first)
    result = index(path("place"), "--checkpoint-every", "10M")
    case("with another interval: only those", result.status == 0 and
         0 < len(checkpoints(path("place"))) < 5, "\n".join(checkpoints(path("place"))))
    case("nothing else is left", sorted(os.listdir(DIR)) == ["other.vmt", "place.vmt", "source.vmt"], os.listdir(DIR))
    return source


def seeks(source):
    """What the debugger shows with them is what it shows without."""
    places = ["end", "13%", "97%", "20000001", "event:900", "checkpoint:2"]
    shown = []
    for trace in (source, path("place")):
        with gdb.Server("replay", "--at", "end", trace) as server:
            remote = server.remote()
            remote.monitor("address physical")
            seen = []
            for place in places:
                if place == "checkpoint:2":
                    place = checkpoints(path("place"))[1].split()[0] if trace == source else place
                remote.seek(place)
                seen.append(gdb.look(remote, [(0, 8 << 20)]))
                remote.ask("bs")
                seen.append(gdb.look(remote, [(0, 8 << 20)]))
            shown.append(seen)
    for n, place in enumerate(places):
        case(f"seek {place}: the same with and without", shown[0][2 * n:2 * n + 2] == shown[1][2 * n:2 * n + 2])


def recorded(source):
    trace = path("recorded")
    result = run("record", "--checkpoint-every", "4M", "--serial", "null", "-m", "8M", "-o", trace, guest("irq64"))
    case("record --checkpoint-every", result.status == 33 and len(checkpoints(trace)) == 7, result.describe())
    case("the same run", [l for l in rest(trace) if "  digest " in l or "  end " in l] ==
         [l for l in rest(source) if "  digest " in l or "  end " in l])
    result = run("replay", "--serial", "null", trace)
    case("it replays, equal", result.status == 0, result.describe())
    index(source, "--force", "--checkpoint-every", "4M", "-o", path("other"))

    def what(line):
        return re.sub(r", at chunk.*done \d+|, after chunk \d+", "", line)

    both = [[what(line) for line in checkpoints(t) if int(line.split()[0]) % 4000000 == 0]
            for t in (trace, path("other"))]
    # Those of an index may have one more between them, which differs from fewer pages.
    strip = [[re.sub(r"\d+ pages", "", line) for line in lines] for lines in both]
    case("its checkpoints are those of an index", strip[0] == strip[1], "\n".join(strip[0] + strip[1]))


def interrupted():
    source = path("loop")
    run("record", "--until", "insns:60M", "--serial", "null", "-m", "2M", "-o", source, guest("bad_loop64"))
    before = read(source)
    for sig in (signal.SIGINT, signal.SIGTERM):
        child = subprocess.Popen([VMDBG, "trace", "index", "--checkpoint-every", "1M", source], stderr=subprocess.PIPE,
                                 stdin=subprocess.DEVNULL, text=True)
        time.sleep(0.3)
        child.send_signal(sig)
        errors = child.communicate(timeout=60 * SLOW)[1]
        done = child.returncode == 0
        case(f"{sig.name}: said, or it was done before", done or (child.returncode == 130 and "as it was" in errors),
             f"{child.returncode} {errors}")
        case(f"{sig.name}: the trace is as it was", done or read(source) == before)
        case(f"{sig.name}: nothing is left", not [f for f in os.listdir(DIR) if "partial" in f], os.listdir(DIR))


def refused():
    with open(path("cut"), "wb") as f:
        f.write(read(path("source"))[:-600])
    before = read(path("cut"))
    result = index(path("cut"))
    case("a cut-off trace: refused, and left alone", result.status == 8 and one_line(result.errors()) and
         read(path("cut")) == before, f"{result.describe()} {result.errors()}")
    result = index(path("none"))
    case("no such trace", result.status == 2 and one_line(result.errors()), result.errors())
    for every in ("0", "10", "x", "-5M", ""):
        result = index(path("source"), "--checkpoint-every", every)
        case(f"--checkpoint-every '{every}'", result.status == 2 and one_line(result.errors()), result.errors())


def golden():
    for trace in GOLDEN:
        name = os.path.basename(trace)[:-4]
        if run("replay", "--quiet", trace).status:
            continue  # test_golden says so
        result = index(trace, "--checkpoint-every", "1M", "-o", path(name))
        if case(f"{name}: indexed", result.status == 0, result.describe()):
            counted = path(name + "-counted")  # a trace that has landmarks in place of counts gets them first
            settled = run("trace", "settle", "--force", "-o", counted, trace).status == 0
            as_before(name, path(name), counted if settled else trace)
    case("there are golden traces", GOLDEN)


def main():
    source = makes()
    seeks(source)
    recorded(source)
    interrupted()
    refused()
    golden()
    finish()


if __name__ == "__main__":
    main()
