#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""SeaBIOS (Debian's package) runs its power-on self test to the end; recorded and replayed."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from vmdbg import case, figures, finish, run, same, scratch, skip  # noqa: E402

IMAGES = ["bios.bin", "bios-256k.bin"]
# What its parts found, in their words.
CLAIMS = [
    ("it is moved to the end of memory", "Relocating init from 0x000"),
    ("memory size from CMOS", "RamSize: 0x10000000 [cmos]"),
    ("host bridge", "PCI: init bdf=00:00.0 id=8086:1237"),
    ("ISA bridge", "PCI: init bdf=00:01.0 id=8086:7000"),
    ("one processor", "Found 1 cpu(s) max supported 1 cpu(s)"),
    ("TSC against the 8254", "CPU Mhz=1000"),
    ("serial ports", "Found 2 serial ports"),
    ("keyboard", "PS2 keyboard initialized"),
    ("its memory map", "3: 0000000000100000 - 0000000010000000 = 1 RAM"),
    ("INT 19h and INT 18h", "enter handle_18:"),
    ("the end", "No bootable device.  Retrying in 60 seconds."),
]


def post(dir_, image):
    name = os.path.basename(image)
    until = ["--until", "pattern:No bootable device", "--until", "time:60"]
    rec = run("record", "-q", "--json", "--bios", *until, "--serial", f"file:{dir_}/rec.txt", "-o", f"{dir_}/{name}.vmt", image)
    if not case(f"{name}: record", rec.status == 0, rec.describe()):
        return
    with open(f"{dir_}/rec.txt", encoding="latin-1") as f:
        console = f.read()
    for what, text in CLAIMS:
        case(f"{name}: {what}", text in console, console[-800:])
    case(f"{name}: ended by its last line, not by time", figures(rec)["guest_ns"] < 10e9, rec.text())
    again = run("record", "-q", "--json", "--bios", *until, "--serial", "null", "-o", f"{dir_}/again-{name}.vmt", image)
    case(f"{name}: recorded twice: the same file",
         again.status == 0 and same(f"{dir_}/{name}.vmt", f"{dir_}/again-{name}.vmt"), again.describe())
    rep = run("replay", "-q", "--json", "--serial", f"file:{dir_}/rep.txt", f"{dir_}/{name}.vmt")
    case(f"{name}: replay is equal", rep.status == 0, rep.describe())
    case(f"{name}: same console bytes", same(f"{dir_}/rec.txt", f"{dir_}/rep.txt"))
    case(f"{name}: same instructions", figures(rec)["instructions"] == figures(rep)["instructions"])


def refused(dir_):
    path = os.path.join(dir_, "odd")
    with open(path, "wb") as f:
        f.write(bytes(5000))
    result = run("run", "--bios", path)
    case("an image that isn't whole pages is refused", result.status == 2 and "5000 bytes" in result.errors(), result.describe())
    result = run("run", "--bios", "--initrd", path, path)
    case("firmware with an initrd is refused", result.status == 2, result.describe())


def main():
    dir_ = scratch("seabios")
    refused(dir_)
    for image in IMAGES:
        path = os.path.join("/usr/share/seabios", image)
        if os.path.exists(path):
            post(dir_, path)
        else:
            skip(image, f"no {path}: Debian's package seabios isn't installed")
    finish()


if __name__ == "__main__":
    main()
