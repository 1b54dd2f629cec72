#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every kernel of tests/guest, recorded on each engine that runs here and replayed."""
import glob
import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from vmdbg import BUILD, VMDBG, SLOW, case, finish, guest, run, scratch, skip  # noqa: E402

# Kernels whose every claim must hold; they leave with 33.
CHECKING = ["hello32", "hello64", "plain64", "int64", "cpu64", "paging64", "pm32", "fpu64", "irq64"]
# The system-level ones; tests/system runs them under other emulators too.
CHECKING += sorted(os.path.basename(f)[:-4] for f in glob.glob(os.path.join(BUILD, "guest", "sys_*.elf")))
# Features every engine's CPU model has: a claim skipped for want of one is a failure.
MAY_SKIP = ["1 GiB page"]
INSNS = 30_000_000

# Kernels that misbehave: vmdbg's options for them, and the exit statuses that are right.
BAD = {
    "bad_triple64": ([], {4}),
    "bad_loop64": (["--until", f"insns:{INSNS}"], {0}),
    "bad_halt64": ([], {0}),
    "bad_faults64": ([], {0}),
    "bad_in64": (["--until", f"insns:{INSNS}"], {33, 0, 4}),
    "bad_out64": (["--until", f"insns:{INSNS}"], {0, 4, *range(1, 256, 2)}),
    "bad_mmio64": (["--until", f"insns:{INSNS}"], {33, 0, 4, 35}),
    "bad_jump64": (["--until", f"insns:{INSNS}"], {33, 0, 4, 35}),
    "bad_tables64": (["--until", f"insns:{INSNS}"], {4}),
}


def record_and_replay(name, engine, options, statuses):
    """Console of the recording, or None when a case failed."""
    dir_ = scratch(f"guest-{name}-{engine}")
    trace = os.path.join(dir_, "t.vmt")
    rec = run("record", "--engine", engine, "--serial", f"file:{dir_}/rec.txt", "-o", trace, *options, guest(name),
              timeout=120)
    if not case(f"{name}/{engine}: record", rec.status in statuses, f"{rec.describe()}, one of {statuses} expected"):
        return read(f"{dir_}/rec.txt")
    rep = run("replay", "--serial", f"file:{dir_}/rep.txt", trace, timeout=120)
    case(f"{name}/{engine}: replay is equal", rep.status == 0, rep.describe())
    console = read(f"{dir_}/rec.txt")
    case(f"{name}/{engine}: same console bytes", console == read(f"{dir_}/rep.txt"))
    return console


def read(path):
    try:
        with open(path, "rb") as f:
            return f.read().decode("utf-8", "replace")
    except OSError:
        return ""


def claims(name, engine, console):
    lines = console.replace("\r", "").splitlines()
    done = [line for line in lines if line.startswith("done: ")]
    notes = []
    for line in lines:
        if line.startswith("#"):
            notes.append(line)
            continue
        match = re.match(r"(ok|not ok|skip) (.*)", line)
        if match and match[1] == "skip":
            what = match[2].split(":")[0]
            case(f"{name}/{engine}: {what}", what in MAY_SKIP, f"skipped by the guest: {match[2]}")
        elif match:
            case(f"{name}/{engine}: {match[2]}", match[1] == "ok", "\n".join(n.lstrip("# ") for n in notes))
        notes = []
    case(f"{name}/{engine}: ran to its end", len(done) == 1, "the last lines:\n" + "\n".join(lines[-4:]))


def interrupted(name, engine):
    """A guest within an instruction that takes minutes: one Ctrl-C asks for its end, a second one ends it at once. What
    there is of it replays."""
    dir_ = scratch(f"int-{name}-{engine}")
    trace = os.path.join(dir_, "t.vmt")
    child = subprocess.Popen([VMDBG, "record", "--engine", engine, "--serial", f"file:{dir_}/rec.txt", "-o", trace,
                              guest(name)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
    end = time.monotonic() + 30 * SLOW
    while "without end" not in read(f"{dir_}/rec.txt") and child.poll() is None and time.monotonic() < end:
        time.sleep(0.1)
    time.sleep(0.5)
    status = None
    for wait in (3, 10 * SLOW):
        child.send_signal(signal.SIGINT)
        try:
            status = child.wait(wait)
            break
        except subprocess.TimeoutExpired:
            pass
    if status is None:
        child.kill()
        child.wait()
    case(f"{name}/{engine}: two Ctrl-C end it", status is not None and status >= -2, f"exit status {status}")
    left = trace if os.path.exists(trace) else trace + ".partial"
    if case(f"{name}/{engine}: a trace is left", os.path.exists(left), os.listdir(dir_)):
        rep = run("replay", "--serial", "null", left, timeout=120)
        case(f"{name}/{engine}: it replays", rep.status in (0, 8), rep.describe())
    claims_text = read(f"{dir_}/rec.txt")
    for line in claims_text.replace("\r", "").splitlines():
        if line.startswith(("ok ", "not ok ")):
            case(f"{name}/{engine}: {line.split('ok ', 1)[1]}", line.startswith("ok "))


def main():
    only = sys.argv[1:]
    for engine in ("soft", "kvm", "vtx"):
        if engine != "soft":
            probe = run("run", "--engine", engine, "--serial", "null", guest("hello64"))
            if probe.status != 33:
                lines = probe.errors().strip().splitlines()
                skip(f"guests on {engine}", lines[-1] if lines else f"exit status {probe.status}")
                continue
        for name in CHECKING:
            if not only or name in only:
                claims(name, engine, record_and_replay(name, engine, [], {33}) or "")
        for name, (options, statuses) in BAD.items():
            if not only or name in only:
                record_and_replay(name, engine, options, statuses)
        if not only or "bad_rep64" in only:
            interrupted("bad_rep64", engine)
    finish()


if __name__ == "__main__":
    if not os.path.isdir(os.path.join(BUILD, "guest")):
        case("guest kernels are built", False, "make guests")
    main()
