#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's own kernel: record to power-off, replay, compare; twice the same file; a killed recorder; flipped bytes."""
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from vmdbg import BUILD, VMDBG, SLOW, case, figures, finish, run, same, scratch, skip  # noqa: E402

DEBIAN = os.path.abspath(os.path.join(BUILD, "debian"))
APPEND = "console=ttyS0 panic=-1"
KERNEL = [os.path.join(DEBIAN, "vmlinuz"), "--initrd", os.path.join(DEBIAN, "initrd.gz"), "--append", APPEND]


def read(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except OSError:
        return b""


def boot(dir_):
    trace = os.path.join(dir_, "boot.vmt")
    rec = run("record", "--json", "--serial", f"file:{dir_}/rec.txt", "-o", trace, *KERNEL, timeout=300)
    if not case("record to power-off", rec.status == 0, rec.describe()):
        return None
    console = read(f"{dir_}/rec.txt").decode("utf-8", "replace")
    for what, pattern in [("the kernel's banner", r"Linux version 6\."), ("init runs", r"init: Linux .* x86_64"),
                          ("sha256", r"sha256 e5ccdf751830cc768b903b138f05376babfed3f97b4bb6cf67f7ced159681d8c"),
                          ("init ends", r"init: done"), ("power-off", r"reboot: Power down")]:
        case(f"console: {what}", re.search(pattern, console), console[-600:])
    case("console: no complaint of the kernel", not re.search(r"BUG:|WARNING:|Oops|Call Trace|Kernel panic", console))

    rep = run("replay", "--json", "--serial", f"file:{dir_}/rep.txt", trace, timeout=300)
    case("replay is equal", rep.status == 0, rep.describe())
    case("same console bytes", same(f"{dir_}/rec.txt", f"{dir_}/rep.txt"))
    try:
        a, b = figures(rec), figures(rep)
        insns = [v for k, v in a.items() if k.startswith("ins")]
        again = [v for k, v in b.items() if k.startswith("ins")]
        case("ends at the same instruction", insns and insns == again, f"{insns} {again}")
    except ValueError:
        case("--json gives JSON", False, rec.text()[-300:])
    quiet = run("replay", "--quiet", "--until", "insns:50M", trace, timeout=300)
    case("replay --quiet prints nothing", quiet.status == 0 and not quiet.out and not quiet.err, quiet.describe())
    return trace


def sizes(trace):
    info = run("trace", "info", trace)
    case("trace info", info.status == 0, info.describe())
    print("".join(f"# {line}\n" for line in info.text().splitlines()), end="")
    verify = run("trace", "verify", trace, timeout=120)
    case("trace verify: whole", verify.status == 0, verify.describe())
    info = run("trace", "info", "--json", trace)
    try:
        data = figures(info)
        total = event_bytes(data)
        case("events and digests take at most 256 KiB", total is not None and total <= 256 * 1024, f"{total} bytes")
    except ValueError:
        case("trace info --json gives JSON", False, info.text()[-300:])


def event_bytes(data):
    """Bytes of all chunks but blobs, whatever way the JSON lists them."""
    chunks = data.get("chunks")
    if isinstance(chunks, dict):
        rows = [dict(v, type=k) if isinstance(v, dict) else {"type": k, "bytes": v} for k, v in chunks.items()]
    elif isinstance(chunks, list):
        rows = chunks
    else:
        return None
    total = 0
    for row in rows:
        name = str(row.get("type", row.get("name", "")))
        if name.lower() in ("events", "event", "digests", "digest"):
            total += row.get("stored", row.get("bytes", row.get("file_bytes", row.get("compressed", 0))))
    return total


def twice(dir_, trace):
    again = os.path.join(dir_, "again.vmt")
    rec = run("record", "--serial", "null", "-o", again, *KERNEL, timeout=300)
    case("recorded twice: the same file", rec.status == 0 and same(trace, again), rec.describe())
    if os.path.exists(again):
        os.unlink(again)


def killed(dir_):
    """kill -9 in the midst of it."""
    trace = os.path.join(dir_, "killed.vmt")
    child = subprocess.Popen([VMDBG, "record", "--serial", f"file:{dir_}/killed.txt", "-o", trace, *KERNEL],
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 120 * SLOW
    while b"Run /init" not in read(f"{dir_}/killed.txt") and child.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(1.2)
    if child.poll() is not None:
        # The rest of the boot took no second: kill earlier.
        os.unlink(trace)
        child = subprocess.Popen([VMDBG, "record", "--serial", "null", "-o", trace, *KERNEL],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(3.5)
    child.kill()
    child.wait()
    left = trace if os.path.exists(trace) else trace + ".partial"
    if not case("kill -9 leaves a trace", os.path.exists(left), os.listdir(dir_)):
        return
    rep = run("replay", "--serial", f"file:{dir_}/left.txt", left, timeout=300)
    case("killed recorder: replayed as far as it is whole, exit status 8", rep.status == 8, rep.describe())
    console = read(f"{dir_}/left.txt")
    case("killed recorder: its console is there", len(console) > 4000 and read(f"{dir_}/rec.txt").startswith(console),
         f"{len(console)} bytes")


def flips(dir_, trace):
    """One flipped bit anywhere is reported."""
    whole = read(trace)
    path = os.path.join(dir_, "flip.vmt")
    step = max(1, len(whole) // 60)
    places = list(range(0, 64, 5)) + list(range(64, len(whole), step)) + [len(whole) - n for n in (1, 2, 9, 17, 40)]
    missed = []
    for n, place in enumerate(places):
        data = bytearray(whole)
        data[place] ^= 1 << n % 8
        with open(path, "wb") as f:
            f.write(data)
        result = run("trace", "verify", path, timeout=120)
        # A flip in the version or in the magic bytes makes it another kind of file: bad input.
        if result.status not in (8, 2) or not result.err + result.out:
            missed.append(f"byte {place}: {result.describe()}")
    case(f"{len(places)} flipped bits, each reported by trace verify", not missed, "\n".join(missed[:8]))
    for place in (len(whole) * 98 // 100, len(whole) // 2, len(whole) - 30):
        data = bytearray(whole)
        data[place] ^= 4
        with open(path, "wb") as f:
            f.write(data)
        result = run("replay", "--serial", "null", path, timeout=300)
        case(f"replay with byte {place * 100 // len(whole)}% flipped: exit status 8", result.status == 8, result.describe())
    os.unlink(path)


def conditions(dir_):
    panic = os.path.join(dir_, "panic.vmt")
    rec = run("record", "--serial", "null", "-o", panic, KERNEL[0], "--append", APPEND, timeout=300)
    case("without an initrd: the kernel panics, exit status 4", rec.status == 4, rec.describe())
    rep = run("replay", "--quiet", "--expect", "panic", "--junit", f"{dir_}/r.xml", panic, timeout=300)
    case("--expect panic: met", rep.status == 0, rep.describe())
    xml = read(f"{dir_}/r.xml")
    case("--junit: a pass", b"<failure" not in xml and b"<testcase" in xml, xml[:300])
    named = os.path.join(dir_, "named.vmt")
    rec = run("record", "--serial", "null", "--embed", "none", "--until", "pattern:Memory:", "-o", named, *KERNEL, timeout=300)
    case("--embed none: a small trace", rec.status == 0 and os.path.getsize(named) < 1 << 20, rec.describe())
    rep = run("replay", "--quiet", "--kernel", KERNEL[0], "--initrd", KERNEL[2], named, timeout=300)
    case("--embed none: replay with the files named", rep.status == 0, rep.describe())
    files = ["--kernel", KERNEL[0], "--initrd", KERNEL[2]]
    rep = run("replay", "--quiet", *files, "--expect", "pattern:^.*Linux version 6", named, timeout=300)
    case("--expect pattern: met", rep.status == 0, rep.describe())
    rep = run("replay", "--quiet", *files, "--expect", "panic", "--junit", f"{dir_}/r.xml", named, timeout=300)
    case("--expect panic: not met, exit status 10", rep.status == 10, rep.describe())
    xml = read(f"{dir_}/r.xml")
    case("--junit: a failure", b"<failure" in xml and b"<testcase" in xml, xml[:300])
    rep = run("replay", "--quiet", "--kernel", KERNEL[2], "--initrd", KERNEL[2], named)
    case("--embed none: another kernel is refused, exit status 2", rep.status == 2, rep.describe())
    ingest = run("run", "--boot", "inguest", "--serial", f"file:{dir_}/inguest.txt", "--until", "pattern:Linux version", *KERNEL,
                 timeout=300)
    case("--boot inguest", ingest.status == 0 and b"Linux version" in read(f"{dir_}/inguest.txt"), ingest.describe())


def main():
    fetch = subprocess.run([os.path.join(os.path.dirname(__file__), "debian-kernel.sh"), DEBIAN], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True)
    if fetch.returncode == 77:
        skip("Debian's kernel", fetch.stdout.strip())
        finish()
    if not case("Debian's kernel and an initramfs", fetch.returncode == 0, fetch.stdout):
        finish()
    dir_ = scratch("linux")
    trace = boot(dir_)
    if trace:
        sizes(trace)
        twice(dir_, trace)
        killed(dir_)
        flips(dir_, trace)
        conditions(dir_)
    finish()


if __name__ == "__main__":
    main()
