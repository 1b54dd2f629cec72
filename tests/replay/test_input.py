#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Bad input: each gets its exit status, one clear line, and leaves nothing half-written."""
import os
import resource
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from vmdbg import VMDBG, SLOW, case, finish, guest, one_line, run, scratch  # noqa: E402

HELLO = guest("hello64")


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)
    return path


def read(path):
    with open(path, "rb") as f:
        return f.read()


def refused(name, result, status=2, mentions=()):
    text = result.errors()
    good = result.status == status and one_line(text) and all(m in text for m in mentions)
    case(name, good, f"{result.describe()}; exit status {status} and one line{' naming ' if mentions else ''}"
         f"{', '.join(mentions)} expected; got:\n{text}")


def kernels(d):
    out = os.path.join(d, "out.vmt")

    def record(*args):
        return run("record", "-o", out, *args)

    refused("no such kernel", record(f"{d}/none"), mentions=["none"])
    refused("an empty kernel", record(write(f"{d}/empty", b"")), mentions=["empty"])
    refused("a kernel that is a folder", record(d))
    refused("a kernel that is text", record(write(f"{d}/text", b"hello\n" * 1000)), mentions=["text"])
    refused("a kernel that is zeros", record(write(f"{d}/zeros", bytes(100000))), mentions=["zeros"])
    elf = read(HELLO)
    refused("a kernel cut off in its header", record(write(f"{d}/cut1", elf[:40])), mentions=["cut1"])
    refused("a kernel cut off in its segments", record(write(f"{d}/cut2", elf[:4200])), mentions=["cut2"])
    refused("a kernel larger than memory", record("-m", "1M", HELLO))
    refused("an initrd that is not there", record("--initrd", f"{d}/none", HELLO), mentions=["none"])
    with open(f"{d}/big", "wb") as f:
        f.truncate(300 << 20)
    refused("an initrd larger than memory", record("--initrd", f"{d}/big", "-m", "256M", HELLO))
    case("none of these left a trace", not [n for n in os.listdir(d) if ".vmt" in n], os.listdir(d))


def options(d):
    out = os.path.join(d, "out.vmt")
    for size in ("0", "banana", "-5M", "1T", "99999999999999999999", "1.5.2G", ""):
        refused(f"-m '{size}'", run("record", "-o", out, "-m", size, HELLO))
    refused("an output folder that is not there", run("record", "-o", f"{d}/no/such/t.vmt", HELLO), mentions=["no/such"])
    refused("an output that is a folder", run("record", "-o", d, HELLO))
    refused("an unknown option", run("record", "--frobnicate", HELLO), mentions=["frobnicate"])
    refused("no kernel named", run("record"))
    refused("two kernels", run("record", "-o", out, HELLO, HELLO))
    refused("an unknown command", run("frobnicate"), mentions=["frobnicate"])
    refused("an unknown engine", run("record", "--engine", "steam", "-o", out, HELLO), mentions=["steam"])
    refused("an unknown --mmu", run("record", "--mmu", "tlb", "-o", out, HELLO), mentions=["tlb", "shadow"])
    refused("--mmu for soft", run("record", "--engine", "soft", "--mmu", "shadow", "-o", out, HELLO), mentions=["exact"])
    refused("--until nonsense", run("record", "--until", "tomorrow", "-o", out, HELLO), mentions=["tomorrow"])
    refused("--until pattern: of a bad expression", run("record", "--until", "pattern:[", "-o", out, HELLO))
    refused("--serial nonsense", run("record", "--serial", "pigeon", "-o", out, HELLO))
    refused("--serial to a folder that is not there", run("record", "--serial", "file:/no/such/file", "-o", out, HELLO))
    for engine in ("kvm", "vtx"):
        result = run("record", "--engine", engine, "--serial", "null", "-o", out, HELLO)
        if result.status != 33:
            refused(f"--engine {engine}, which cannot serve here", result)
    case("none of these left a trace", not [n for n in os.listdir(d) if ".vmt" in n], os.listdir(d))
    result = run("record", "--help")
    case("--help", result.status == 0 and "--until" in result.text(), result.describe())
    result = run()
    case("no command: usage, exit status 2", result.status == 2 and "record" in result.errors() + result.text(),
         result.describe())
    result = run("doctor")
    case("doctor", result.status in (0, 2) and "soft" in result.text(), result.describe())


def traces(d):
    good = os.path.join(d, "good.vmt")
    rec = run("record", "--serial", "null", "-o", good, HELLO)
    if not case("a good trace", rec.status == 33, rec.describe()):
        return
    refused("an existing trace is not overwritten", run("record", "-o", good, HELLO), mentions=["--force"])
    before = read(good)
    case("and is as it was", run("replay", "--quiet", good).status == 0 and read(good) == before)
    result = run("record", "--force", "-o", good, f"{d}/none")
    case("--force with a bad kernel leaves the old trace", result.status == 2 and read(good) == before, result.describe())
    result = run("record", "--serial", "null", "--force", "-o", good, HELLO)
    case("--force replaces it", result.status == 33, result.describe())

    for command in (["replay"], ["trace", "info"], ["trace", "dump"], ["trace", "verify"]):
        name = " ".join(command)
        refused(f"{name}: no such trace", run(*command, f"{d}/none.vmt"), mentions=["none.vmt"])
        for what, data in (("an empty trace", b""), ("no trace at all", b"what is this?\n" * 50), ("zeros", bytes(5000))):
            result = run(*command, write(f"{d}/odd.vmt", data))
            good_status = result.status in (2, 8)
            case(f"{name}: {what}", good_status and one_line(result.errors()), result.describe() + "\n" + result.errors())
    for cut in (4, 10, 30, 64, 100, 1000, len(before) // 2, len(before) - 1):
        result = run("replay", "--serial", "null", write(f"{d}/cut.vmt", before[:cut]))
        case(f"replay of a trace cut off after {cut} bytes", result.status in (8, 2) and result.err, result.describe())
    newer = bytearray(before)
    # FORMAT.md: the version follows the magic bytes.
    changed = 0
    for at in range(4, 16):
        data = bytearray(newer)
        data[at] = 0xee
        result = run("replay", "--serial", "null", write(f"{d}/newer.vmt", data))
        changed += result.status in (2, 8) and bool(result.err)
    case("a trace of another version or magic", changed == 12, f"{changed} of 12 refused")
    missed = []
    for place in range(0, len(before), max(1, len(before) // 150)):
        data = bytearray(before)
        data[place] ^= 0x10
        result = run("replay", "--serial", "null", write(f"{d}/flip.vmt", data))
        if result.status not in (2, 8) or not result.err:
            missed.append(f"byte {place}: {result.describe()}")
    case("replay with any byte changed: exit status 8 (2 in the header)", not missed, "\n".join(missed[:6]))


def full_disk(d):
    """A file size limit stands for a full disk: EFBIG instead of ENOSPC, the same path. And /dev/full, where it fits."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    out = f"{d}/full.vmt"
    child = subprocess.run([VMDBG, "record", "--serial", "null", "-o", out, guest("cpu64")], stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=limit, timeout=60 * SLOW)
    text = child.stderr.decode("utf-8", "replace")
    case("a full disk while recording: exit status 2 or 70, and said", child.returncode in (2, 70) and "full.vmt" in text,
         f"exit status {child.returncode}: {text}")
    case("a full disk: no trace under the name asked for", not os.path.exists(out), os.listdir(d))


def standard_files(d):
    """Nothing of the console may get into the trace, and what could not be written is said."""
    want, got = f"{d}/want.vmt", f"{d}/got.vmt"
    run("record", "-o", want, HELLO)
    subprocess.run(["sh", "-c", '"$@" <&- >&- 2>&-', "sh", VMDBG, "record", "-o", got, HELLO], timeout=60 * SLOW)
    case("stdin, stdout and stderr closed: the same trace", read(want) == read(got))
    for args in (["run", HELLO], ["record", "-o", f"{d}/console.vmt", HELLO], ["replay", want]):
        child = subprocess.run(["sh", "-c", '"$@" >/dev/full', "sh", VMDBG, *args], stdin=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, timeout=60 * SLOW)
        text = child.stderr.decode("utf-8", "replace")
        case(f"{args[0]} with stdout full: exit status 2, and said", child.returncode == 2 and "No space left" in text,
             f"exit status {child.returncode}: {text}")


def report_over_input(d):
    trace = f"{d}/kept.vmt"
    run("record", "-o", trace, HELLO)
    before = read(trace)
    refused("--junit names the trace", run("replay", "--junit", trace, trace), mentions=("kept.vmt",))
    case("and the trace is left alone", read(trace) == before)


def hangup(d):
    out = f"{d}/nohup.vmt"
    child = subprocess.Popen([VMDBG, "record", "--serial", "null", "-o", out, guest("bad_loop64")],
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                             preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    time.sleep(1 * SLOW)
    child.send_signal(signal.SIGHUP)
    time.sleep(0.5 * SLOW)
    case("under nohup a recording goes on after SIGHUP", child.poll() is None, child.returncode)
    child.terminate()
    child.wait(timeout=20 * SLOW)


def interruption(d):
    out = f"{d}/int.vmt"
    child = subprocess.Popen([VMDBG, "record", "--serial", "null", "-o", out, guest("bad_loop64")],
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    time.sleep(1 * SLOW)
    child.send_signal(signal.SIGINT)
    try:
        child.communicate(timeout=20 * SLOW)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
    case("Ctrl-C while recording: exit status 0", child.returncode == 0, child.returncode)
    rep = run("replay", "--quiet", out)
    case("and the trace replays", rep.status == 0, rep.describe())
    info = run("trace", "info", out)
    case("and says it was interrupted", info.status == 0 and ("interrupt" in info.text().lower() or "user" in info.text().lower()),
         info.text())


def main():
    d = scratch("input")
    kernels(d)
    options(d)
    full_disk(scratch("full"))
    traces(scratch("traces"))
    standard_files(scratch("files"))
    interruption(scratch("interrupt"))
    hangup(scratch("hangup"))
    report_over_input(scratch("report"))
    finish()


if __name__ == "__main__":
    main()
