#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""record --ring, the flight recorder: the last stretch of a long run, beginning at a checkpoint."""
import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import gdb  # noqa: E402
from vmdbg import SLOW, VMDBG, case, figures, finish, guest, one_line, run, scratch  # noqa: E402

DIR = scratch("ring")
# RDTSC, IN AL,40h, JMP back: with the host's clock three events, and nothing that would compress.
SPIN = bytes.fromhex("0f31e440ebfa")
KEPT = 1 << 20


def path(name):
    return os.path.join(DIR, name + ".vmt")


def record(name, *options, until="12M", program=None):
    kernel = os.path.join(DIR, "spin.bin")
    with open(kernel, "wb") as f:
        f.write(SPIN)
    return ["record", "--ring", "1M", "--clock", "host", "-m", "1M", "--serial", "null", "-o", path(name), *options,
            "--flat", "0x10000", "--until", f"insns:{until}", kernel]



def checkpoints(trace):
    return [int(line.split()[0]) for line in dump_quick(trace) if "  checkpoint " in line]


def dump_quick(trace):
    """Without the millions of events."""
    child = subprocess.Popen([VMDBG, "trace", "dump", trace], stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, text=True)
    grep = [line.rstrip("\n") for line in child.stdout if "  event " not in line]
    child.wait()
    return grep


def left():
    return sorted(f for f in os.listdir(DIR) if ".vmt" in f)


def replays(title, trace, status=0):
    result = run("replay", "--serial", "null", "--json", trace)
    case(f"{title}: replays from its first checkpoint", result.status == status, result.describe())
    return figures(result)


def keeps_the_last():
    result = run(*record("kept"), timeout=120)
    case("recorded", result.status == 0, result.describe())
    size = os.path.getsize(path("kept"))
    case("about as much as asked for is kept", KEPT / 2 < size < KEPT * 3 / 2, size)
    case("in one file", left() == ["kept.vmt"], left())
    kept = checkpoints(path("kept"))
    case("it begins at a checkpoint amid the run", kept and kept[0] > 1000000, kept)
    f = replays("the whole", path("kept"))
    case("figures: instructions are counted from the machine's start, speed is of those that were run",
         f["instructions"] == 12000000 and f["mips"] * f["seconds"] < (12.1e6 - kept[0]) / 1e6, f)
    result = run("trace", "verify", path("kept"))
    case("nothing is wrong with it", result.status == 0, result.describe())
    return kept


def debugged(kept):
    with gdb.Server("replay", path("kept")) as server:
        remote = server.remote()
        case("gdb: the beginning is the first checkpoint", int(remote.when()) == kept[0], remote.when())
        remote.ask("bs")
        case("gdb: nothing is before it", int(remote.when()) == kept[0], remote.when())
        remote.seek("end")
        case("gdb: the end is the run's", int(remote.when()) == 12000000, remote.when())
        remote.ask("bs")
        case("gdb: back from the end", int(remote.when()) == 11999999, remote.when())
        remote.monitor("address physical")
        seen = {}
        for place in (kept[0] + 5, 11000000, kept[0] + 5, 11999990, 11000000, "checkpoint:1"):
            remote.seek(place)
            look = gdb.look(remote, [(0, 1 << 20)])
            case(f"gdb: {place}: as before", seen.setdefault(remote.when(), look) == look)
        said = remote.monitor("seek 100")
        case("gdb: what is gone can't be gone to", str(kept[0]) in said, said)
    out = path("branch")
    result = run("branch", "--serial", "null", "--at", str(kept[0] + 1000000), "--until", f"insns:{kept[0] + 1500000}",
                 "-o", out, path("kept"))
    case("a branch of it", result.status == 0, result.describe())
    replays("the branch", out)
    out = path("indexed")
    result = run("trace", "index", "--checkpoint-every", "1M", "-o", out, path("kept"))
    case("an index of it", result.status == 0, result.describe())
    replays("the indexed one", out)
    for f in ("branch", "indexed"):
        os.unlink(path(f))


def short():
    result = run("record", "--ring", "1M", "--serial", "null", "-o", path("short"), guest("hello64"))
    case("a short run is kept whole", result.status == 33 and not checkpoints(path("short")), result.describe())
    replays("a short run", path("short"))
    os.unlink(path("short"))


def killed():
    for name, options in (("killed", []), ("kept", ["--force"])):
        child = subprocess.Popen([VMDBG, *record(name, *options, until="4G")], stderr=subprocess.DEVNULL,
                                 stdin=subprocess.DEVNULL)
        end = time.monotonic() + 60 * SLOW
        older = path(name) + ".older"
        present = path(name) + (".partial" if options else "")
        while time.monotonic() < end and not (os.path.exists(older) and os.path.exists(present) and
                                              os.path.getsize(present) > 200000):
            time.sleep(0.05)
        child.kill()
        child.wait()
        title = "killed" + (" with --force" if options else "")
        case(f"{title}: two files are left", os.path.exists(older) and os.path.exists(present), left())
        # The older one is whole but for an end; the present one may be cut off anywhere.
        result = run("replay", "--serial", "null", "--json", older)
        case(f"{title}: the older one replays", result.status == 8, result.describe())
        first = figures(result)["instructions"]
        result = run("replay", "--serial", "null", "--json", present)
        case(f"{title}: the present one replays", result.status == 8, result.describe())
        case(f"{title}: it goes on from the older one", first <= checkpoints(present)[0] < figures(result)["instructions"],
             f"{first} {checkpoints(present)}")
        if options:
            replays("what --force would have replaced", path("kept"))
            os.unlink(present)
        os.unlink(older)
    result = run(*record("killed", until="1M"))
    case("what is left is not overwritten", result.status == 2 and one_line(result.errors()), result.errors())


def interrupted():
    child = subprocess.Popen([VMDBG, *record("int", until="4G")], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                             text=True)
    end = time.monotonic() + 60 * SLOW
    while time.monotonic() < end and not os.path.exists(path("int") + ".older"):
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    errors = child.communicate(timeout=60 * SLOW)[1]
    case("Ctrl-C: one trace", child.returncode == 0 and "int.vmt" in left() and "int.vmt.older" not in left(),
         f"{child.returncode} {errors} {left()}")
    replays("Ctrl-C", path("int"))


def refused():
    for size in ("0", "1000K", "x", "-1M", ""):
        result = run("record", "--ring", size, "-o", path("no"), guest("hello64"))
        case(f"--ring '{size}'", result.status == 2 and one_line(result.errors()) and not os.path.exists(path("no")),
             result.errors())
    result = run("record", "--ring", "1M", "--gdb", "-o", path("no"), guest("hello64"))
    case("--ring with --gdb", result.status == 2 and one_line(result.errors()), result.errors())
    with open(path("old") + ".older", "w", encoding="ascii") as f:
        f.write("precious")
    result = run("record", "--ring", "1M", "-o", path("old"), guest("hello64"))
    case("an older file in the way", result.status == 2 and ".older" in result.errors() and
         re.search("--force", result.errors()) and not os.path.exists(path("old")), result.errors())


def main():
    kept = keeps_the_last()
    debugged(kept)
    short()
    killed()
    interrupted()
    refused()
    finish()


if __name__ == "__main__":
    main()
