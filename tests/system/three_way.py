#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The system-level guests (tests/guest/sys_*.c) under vmdbg, QEMU TCG and Bochs.

three_way.py [--doc FILE] [--under NAME,...] [GUEST...]

Prints a table of claims that hold under each; fails when one doesn't hold under vmdbg, or when a disagreement isn't
explained in tests/system/disagreements.txt. --doc writes the table with the explanations.
"""
import argparse
import fnmatch
import glob
import os
import re
import shutil
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from vmdbg import BUILD, VMDBG, case, finish, skip  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
WORK = os.path.abspath(os.path.join(BUILD, "system"))
EXPLAINED = os.path.join(HERE, "disagreements.txt")
LOAD = 0x100000
TIMEOUT = 60
GROUPS = {
    "page": "Paging", "seg": "Segmentation", "gate": "Gates, interrupts", "task": "Task switches",
    "vm86": "Virtual-8086 mode", "real": "Real mode", "debug": "Debugging", "reg": "Registers and MSRs",
    "call": "Fast system calls, privilege", "io": "I/O permission, alignment", "chip": "Interrupt controllers, timers", "hpet": "Interrupt controllers, timers",
}


def elf_image(path):
    """(bytes from LOAD on, entry address) of the one segment of a guest kernel, BSS included."""
    with open(path, "rb") as f:
        elf = f.read()
    wide = elf[4] == 2
    if wide:
        entry, phoff = struct.unpack_from("<QQ", elf, 24)
        offset, vaddr, _, filesz, memsz = struct.unpack_from("<8xQQQQQ", elf, phoff)
    else:
        entry, phoff = struct.unpack_from("<II", elf, 24)
        offset, vaddr, _, filesz, memsz = struct.unpack_from("<4xIIIII", elf, phoff)
    assert vaddr == LOAD, path
    return elf[offset:offset + filesz] + bytes(memsz - filesz), entry


def output(argv, path, cwd=None, text=None):
    """Runs a program; what it left in the file @path, and why it ended."""
    try:
        status = subprocess.run(argv, cwd=cwd, input=text, timeout=TIMEOUT, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL).returncode
        end = f"exit status {status}"
    except subprocess.TimeoutExpired:
        end = f"no end within {TIMEOUT} s"
    try:
        with open(path, "rb") as f:
            return f.read().decode("utf-8", "replace"), end
    except OSError:
        return "", end


def under_vmdbg(elf, folder):
    log = os.path.join(folder, "serial")
    return output([VMDBG, "run", "--quiet", "--engine", "soft", "--serial", f"file:{log}", elf], log)


def under_qemu(elf, folder):
    """QEMU takes Multiboot kernels as ELF32 only; a 64-bit one is the same bytes in another container. For the chips its time
    follows the instructions (1 ns each) and skips idling, so that a loaded host changes nothing."""
    kernel, log = os.path.join(folder, "kernel"), os.path.join(folder, "serial")
    counted = ["-icount", "shift=0,sleep=off", "-rtc", "clock=vm"] if "sys_chip" in elf else []
    subprocess.run(["objcopy", "-g", "-O", "elf32-i386", elf, kernel], check=True, stderr=subprocess.DEVNULL)
    return output(["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max,vendor=GenuineIntel", "-m", "128", "-kernel", kernel,
                   *counted, "-serial", f"file:{log}", "-display", "none", "-no-reboot", "-device",
                   "isa-debug-exit,iobase=0xf4,iosize=4"], log)


def under_bochs(elf, folder):
    """A raw disk: boot sector, image. Bochs of Debian has the debugger and waits for its `c`; the log of its port E9h is
    its standard output."""
    log, image = os.path.join(folder, "e9"), os.path.join(folder, "disk.img")
    with open(os.path.join(WORK, "bootsector.bin"), "rb") as f:
        boot = bytearray(f.read())
    data, entry = elf_image(elf)
    sectors = (len(data) + 511) // 512
    struct.pack_into("<III", boot, 0x1e0, sectors, LOAD, entry)
    cylinder = 16 * 63 * 512
    cylinders = -(-(512 + len(data)) // cylinder)
    with open(image, "wb") as f:
        f.write((bytes(boot) + data).ljust(cylinders * cylinder, b"\0"))
    with open(os.path.join(HERE, "bochsrc")) as f:
        config = f.read().replace("cylinders=0", f"cylinders={cylinders}")
    with open(os.path.join(folder, "bochsrc"), "w") as f:
        f.write(config)
    for stale in glob.glob(os.path.join(folder, "*.lock")):
        os.unlink(stale)
    with open(log, "wb") as out:
        child = subprocess.Popen(["bochs", "-q", "-f", "bochsrc"], cwd=folder, stdin=subprocess.PIPE, stdout=out,
                                 stderr=subprocess.DEVNULL, env={**os.environ, "DISPLAY": ""})
        try:
            child.communicate(b"c\n", TIMEOUT)
            end = f"exit status {child.returncode}"
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            end = f"no end within {TIMEOUT} s"
    with open(log, "rb") as f:
        return f.read().decode("utf-8", "replace"), end


EMULATORS = {"vmdbg": under_vmdbg, "QEMU": under_qemu, "Bochs": under_bochs}
CLAIM = re.compile(r"^(?:<bochs:\d+> )?(ok|not ok|skip) (.*)")
CASES = re.compile(r"(.*?)(?: \((?:(\d+) of )?(\d+) cases\))?$")


class Claim:
    """One line of a guest: a single claim, or a table of cases."""

    def __init__(self, verdict, text, notes):
        if verdict == "skip":
            text, _, self.why = text.partition(": ")
        match = CASES.match(re.sub(r" \(got 0x.*\)$", "", text))
        self.name, self.verdict, self.notes = match[1], verdict, notes
        self.cases = int(match[3] or 1)
        self.bad = 0 if verdict != "not ok" else int(match[2] or 1)


def parse(text):
    claims, notes, done = {}, [], False
    for line in text.replace("\r", "").splitlines():
        line = re.sub(r"^<bochs:\d+> ", "", line)
        match = CLAIM.match(line)
        if line.startswith("#"):
            notes.append(line[1:].strip())
        elif match:
            claim = Claim(match[1], match[2], notes)
            claims[claim.name] = claim
            notes = []
        elif line.startswith("done: "):
            done = True
    return claims, done


def run_guest(elf, under):
    """{emulator: ({name: Claim}, end or None)}"""
    name = os.path.basename(elf)[:-4]
    results = {}
    for emulator in under:
        folder = os.path.join(WORK, name, emulator)
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        text, end = EMULATORS[emulator](elf, folder)
        with open(os.path.join(folder, "output"), "w") as f:
            f.write(text)
        claims, done = parse(text)
        results[emulator] = claims, None if done else end
    return results


def explanations():
    """[(pattern, text)] from paragraphs of "guest: claim" lines, * allowed, then indented text."""
    known, heads, text = [], [], []

    def flush():
        known.extend((head, " ".join(text)) for head in heads)
        heads.clear()
        text.clear()

    with open(EXPLAINED) as f:
        for line in f:
            if line.startswith("#") or not line.strip():
                continue
            if line[0].isspace():
                text.append(line.strip())
            else:
                if text:
                    flush()
                heads.append(line.strip())
    flush()
    return known


def explanation(known, guest, claim):
    """The text for a claim, or None."""
    full = f"{guest}: {claim}"
    return next((text for head, text in known if full == head or fnmatch.fnmatchcase(full, head)), None)


def word(claim, end):
    if claim is None:
        return "not reached" if end else "absent"
    if claim.verdict == "ok":
        return "ok"
    if claim.verdict == "skip":
        return "absent"
    return f"{claim.bad} of {claim.cases} differ" if claim.cases > 1 else "differs"


def disagreements(results, under):
    """[(guest, claim, {emulator: word})] where one that has the feature differs."""
    found = []
    for guest, by in results.items():
        names = {}
        for emulator in under:
            names.update(dict.fromkeys(by[emulator][0]))
        for name in names:
            words = {e: word(by[e][0].get(name), by[e][1]) for e in under}
            if any(w not in ("ok", "absent") for w in words.values()):
                found.append((guest, name, words))
    return found


def group_of(guest):
    match = re.match(r"sys_([a-z]+?(?:86)?)(?:_.*|32|64)", guest)
    return GROUPS.get(match and match[1], guest)


def totals(results, under):
    """Rows [group, lines, cases, ok cases by emulator...]."""
    rows = {}
    for guest, by in results.items():
        row = rows.setdefault(group_of(guest), [0, 0] + [0] * len(under))
        claims = by[under[0]][0].values()
        row[0] += len(claims)
        row[1] += sum(c.cases for c in claims)
        for n, emulator in enumerate(under):
            row[2 + n] += sum(c.cases - c.bad for c in by[emulator][0].values() if c.verdict != "skip")
    return [[group, *row] for group, row in rows.items()] + \
           [["**Together**", *(sum(row[n] for row in rows.values()) for n in range(2 + len(under)))]]


def write_doc(path, results, under):
    known = explanations()
    with open(os.path.join(HERE, "cpu-system.head.md")) as f:
        text = f.read()
    heads = ["Group", "Claims", "Cases", *under]
    text += "\n## Cases that hold\n\n| " + " | ".join(heads) + " |\n|" + "---|" * len(heads) + "\n"
    for row in totals(results, under):
        text += "| " + " | ".join(map(str, row)) + " |\n"
    text += "\n## Disagreements\n"
    by_text = {}
    for guest, name, words in disagreements(results, under):
        by_text.setdefault((group_of(guest), explanation(known, guest, name) or "Not explained."), []).append((guest, name, words))
    last = None
    for (group, why), items in by_text.items():
        if group != last:
            text += f"\n### {group}\n"
            last = group
        text += f"\n{why}\n\n| Claim | " + " | ".join(under) + " |\n|---|" + "---|" * len(under) + "\n"
        for guest, name, words in items:
            text += f"| {guest}: {name} | " + " | ".join(words[e] for e in under) + " |\n"
    with open(path, "w") as f:
        f.write(text)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--doc")
    parser.add_argument("--under", default=",".join(EMULATORS))
    parser.add_argument("--verbose", "-v", action="store_true")
    parser.add_argument("guest", nargs="*")
    args = parser.parse_args()
    under = args.under.split(",")
    for program, emulator in (("qemu-system-x86_64", "QEMU"), ("bochs", "Bochs")):
        if emulator in under and not shutil.which(program):
            skip(f"guests under {emulator}", "not installed")
            under.remove(emulator)
    elves = [os.path.join(BUILD, "guest", name + ".elf") for name in args.guest] or \
        sorted(glob.glob(os.path.join(BUILD, "guest", "sys_*.elf")))
    results = {os.path.basename(elf)[:-4]: run_guest(elf, under) for elf in elves}
    known = explanations()
    for guest, by in results.items():
        for emulator in under:
            claims, end = by[emulator]
            print(f"# {guest} under {emulator}: {sum(c.cases - c.bad for c in claims.values() if c.verdict != 'skip')}"
                  f" of {sum(c.cases for c in claims.values())} cases" + (f"; {end}" if end else ""), flush=True)
        if "vmdbg" in under:
            for claim in by["vmdbg"][0].values():
                case(f"{guest}: {claim.name}", claim.verdict != "not ok", "\n".join(claim.notes))
            case(f"{guest}: ran to its end", by["vmdbg"][1] is None, by["vmdbg"][1])
    if len(under) > 1:
        for guest, name, words in disagreements(results, under):
            notes = [f"{e}: {n}" for e in under if name in results[guest][e][0]
                     for n in results[guest][e][0][name].notes[:30 if args.verbose else 3]]
            case(f"explained: {guest}: {name}", explanation(known, guest, name),
                 ", ".join(f"{e}: {w}" for e, w in words.items()) + "\n" + "\n".join(notes))
        for row in totals(results, under):
            print("# " + " ".join(f"{cell!s:>28}" if n == 0 else f"{cell:>8}" for n, cell in enumerate(row)))
    if args.doc and under == list(EMULATORS) and not args.guest:
        write_doc(args.doc, results, under)
    finish()


if __name__ == "__main__":
    main()
