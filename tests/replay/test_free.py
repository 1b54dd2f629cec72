#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests that run freely: recorded by accesses and landmarks, replayed, given counts, replayed again."""
import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from vmdbg import BUILD, VMDBG, SLOW, case, figures, finish, guest, one_line, run, same, scratch, skip  # noqa: E402

FREELY = ["--clock", "host", "--positions", "landmark"]
DEBIAN = os.path.abspath(os.path.join(BUILD, "debian"))
KERNEL = [os.path.join(DEBIAN, "vmlinuz"), "--initrd", os.path.join(DEBIAN, "initrd.gz"), "--append", "console=ttyS0 panic=-1"]


def read(path):
    try:
        with open(path, "rb") as f:
            return f.read().decode("utf-8", "replace")
    except OSError:
        return ""


def replayed(name, dir_, trace):
    """Replayed as it is, then with counts; the console is the same each time."""
    counted = os.path.join(dir_, "counted.vmt")
    rep = run("replay", "--serial", f"file:{dir_}/rep.txt", trace, timeout=200)
    case(f"{name}: replay is equal", rep.status == 0, rep.describe())
    case(f"{name}: same console bytes", same(f"{dir_}/rec.txt", f"{dir_}/rep.txt"))
    settle = run("trace", "settle", "--force", "-o", counted, trace, timeout=200)
    if not case(f"{name}: trace settle", settle.status == 0, settle.describe()):
        return None
    rep = run("replay", "--serial", f"file:{dir_}/rep.txt", counted, timeout=200)
    case(f"{name}: replay with counts is equal", rep.status == 0, rep.describe())
    case(f"{name}: same console bytes with counts", same(f"{dir_}/rec.txt", f"{dir_}/rep.txt"))
    verify = run("trace", "verify", counted)
    case(f"{name}: the trace with counts is whole", verify.status == 0, verify.describe())
    return counted


def record(dir_, name, *args, statuses=(0,)):
    trace = os.path.join(dir_, "t.vmt")
    child = subprocess.run([VMDBG, "record", *FREELY, "--force", "--serial", f"file:{dir_}/rec.txt", "-o", trace, *args],
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=200 * SLOW,
                           check=False)
    good = case(f"{name}: record", child.returncode in statuses, child.stderr.decode("utf-8", "replace"))
    return trace if good else None


def panic():
    """A recording ends where the guest says that it panics."""
    dir_ = scratch("free-panic")
    trace = record(dir_, "a panic", os.path.join(BUILD, "demo", "demo.elf"), statuses=(4,))
    if trace:
        replayed("a panic", dir_, trace)


def guests():
    dir_ = scratch("free-guests")
    for name in ("free64", "irq64", "paging64", "pm32", "sys_task32", "sys_debug64", "hello32"):
        trace = record(dir_, name, guest(name), statuses=(33,))
        if not trace:
            continue
        bad = [line for line in read(f"{dir_}/rec.txt").splitlines() if line.startswith("not ok")]
        case(f"{name}: its claims hold", not bad, "\n".join(bad))
        replayed(name, dir_, trace)
    for name, statuses in (("bad_triple64", (4,)), ("bad_halt64", (0,)), ("bad_faults64", (0,))):
        trace = record(dir_, name, guest(name), statuses=statuses)
        if trace:
            replayed(name, dir_, trace)


def rounds():
    """Real time, so each recording is another one."""
    dir_ = scratch("free-rounds")
    wrong, seen = [], set()
    for n in range(15):
        trace = os.path.join(dir_, "t.vmt")
        rec = run("record", *FREELY, "--force", "--serial", "null", "-o", trace, guest("irq64"))
        rep = run("replay", "--quiet", trace)
        if rec.status != 33 or rep.status != 0:
            wrong.append(f"round {n}: {rec.describe()} {rep.describe()}")
        with open(trace, "rb") as f:
            seen.add(f.read())
    case("15 rounds replay equal", not wrong, "\n".join(wrong))
    case("they are different recordings", len(seen) > 1)


def ends(dir_):
    spin = guest("bad_loop64")
    for name, args in (("--until time:", ["--until", "time:0.2", spin]), ("--until pattern:", ["--until", "pattern:^ok", guest("irq64")])):
        trace = record(dir_, name, *args)
        if trace:
            replayed(name, dir_, trace)
    trace = os.path.join(dir_, "t.vmt")
    child = subprocess.Popen([VMDBG, "record", *FREELY, "--force", "--serial", f"file:{dir_}/rec.txt", "-o", trace, spin],
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    time.sleep(1)
    child.send_signal(signal.SIGINT)
    err = child.communicate(timeout=60 * SLOW)[1].decode("utf-8", "replace")
    case("Ctrl-C ends a recording", child.returncode == 0, err)
    case("the summary counts accesses", " accesses, " in err and "MIPS" not in err, err)
    replayed("Ctrl-C", dir_, trace)
    child = subprocess.Popen([VMDBG, "record", *FREELY, "--force", "--serial", f"file:{dir_}/rec.txt", "-o", trace, spin],
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(3)
    child.kill()
    child.wait()
    left = trace + ".partial"
    rep = run("replay", "--quiet", left, timeout=200)
    case("kill -9: replayed as far as it is whole, exit status 8", rep.status == 8, rep.describe())
    settle = run("trace", "settle", "-o", f"{dir_}/left.vmt", left, timeout=200)
    case("kill -9: what is whole gets counts, exit status 8", settle.status == 8, settle.describe())
    rep = run("replay", "--quiet", f"{dir_}/left.vmt", timeout=200)
    case("kill -9: and replays with them", rep.status == 8, rep.describe())


def typed(dir_):
    # --serial file: takes no input; the console is stdout here. The first byte comes before the guest sets up its port.
    trace = os.path.join(dir_, "typed.vmt")
    child = subprocess.run([VMDBG, "record", *FREELY, "--quiet", "-o", trace, guest("free64")], input=b"some words\n" * 20,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=200 * SLOW, check=False)
    case("input: the guest has got it", child.stdout.count(b"ome words\n") == 20, child.stdout[-400:])
    rep = run("replay", trace, timeout=200)
    case("input: replay is equal", rep.status == 0, rep.describe())
    case("input: the same console", rep.out == child.stdout)
    settle = run("trace", "settle", trace, timeout=200)
    case("input: trace settle, in its place", settle.status == 0, settle.describe())
    rep = run("replay", trace, timeout=200)
    case("input: replay with counts is equal", rep.status == 0 and rep.out == child.stdout, rep.describe())
    again = run("trace", "settle", trace)
    case("a trace with counts needs no other", again.status == 2 and one_line(again.errors()), again.describe())


def commands(dir_):
    trace = record(dir_, "commands", guest("irq64"), statuses=(33,))
    if not trace:
        return
    info = run("trace", "info", "--json", trace)
    data = figures(info)
    case("trace info: format 3, accesses", data["format"] == 3 and data["positions"] == "accesses", data)
    rep = figures(run("replay", "--json", trace))
    case("replay --json: accesses", rep["accesses"] == data["last_position"] and "instructions" not in rep, rep)
    dump = run("trace", "dump", trace)
    case("trace dump", dump.status == 0 and "clock advanced" in dump.text(), dump.describe())
    indexed = os.path.join(dir_, "indexed.vmt")
    index = run("trace", "index", "--checkpoint-every", "1M", "-o", indexed, trace)
    case("trace index: with counts", index.status == 0, index.describe())
    case("trace index: it has checkpoints", figures(run("trace", "info", "--json", indexed))["checkpoints"]["positions"])
    rep = run("replay", "--quiet", indexed)
    case("trace index: replay is equal", rep.status == 0, rep.describe())
    branch = os.path.join(dir_, "branch.vmt")
    made = run("branch", "--at", "50%", "--serial", "null", "-o", branch, trace)
    case("branch: with counts", made.status == 33, made.describe())
    rep = run("replay", "--quiet", branch)
    case("branch: replay is equal", rep.status == 0, rep.describe())
    case("no trace is left in a temporary folder", not [n for n in os.listdir(os.environ.get("TMPDIR", "/tmp"))
                                                       if re.fullmatch(r"vmdbg-\w{6}", n)
                                                       and os.path.exists(f"/tmp/{n}/settled.vmt")])


def refusals(dir_):
    out = os.path.join(dir_, "refused.vmt")
    for name, args in (("the virtual clock", ["--clock", "virtual", "--positions", "landmark"]),
                       ("no clock", ["--positions", "landmark"]), ("--until insns:", [*FREELY, "--until", "insns:1M"]),
                       ("--ring", [*FREELY, "--ring", "4M"]), ("--checkpoint-every", [*FREELY, "--checkpoint-every", "5M"]),
                       ("nonsense", ["--positions", "here"])):
        result = run("record", "--engine", "soft", *args, "-o", out, guest("hello64"))
        case(f"refused: landmarks with {name}", result.status == 2 and one_line(result.errors()), result.describe())
    case("nothing is left of these", not os.path.exists(out))


def linux():
    if not all(os.path.exists(f) for f in (KERNEL[0], KERNEL[2])):
        skip("Debian's kernel", f"{KERNEL[0]} is not there: tests/replay/debian-kernel.sh")
        return
    dir_ = scratch("free-linux")
    started = time.monotonic()
    trace = record(dir_, "Debian", *KERNEL)
    if not trace:
        return
    console = read(f"{dir_}/rec.txt")
    case("Debian: boots and powers off", re.search(r"reboot: Power down", console), console[-500:])
    took = time.monotonic() - started
    replayed("Debian", dir_, trace)
    info = figures(run("trace", "info", "--json", trace))
    chunks = info["chunks"]
    print(f"# Debian's boot: {info['last_position']} accesses, {chunks['events']['bytes']} bytes of events, recorded in {took:.0f} s")


def main():
    panic()
    guests()
    rounds()
    dir_ = scratch("free")
    ends(dir_)
    typed(dir_)
    commands(dir_)
    refusals(dir_)
    linux()
    finish()


if __name__ == "__main__":
    main()
