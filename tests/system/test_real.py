#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels and a memory tester nobody here wrote: Debian's 32-bit and generic 64-bit kernels to a shell, memtest86+ for a
minute, and SeaBIOS starting GRUB starting a kernel from a disk. Each is recorded and replayed. docs/real-code.md has the results."""
import os
import re
import struct
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from vmdbg import BUILD, SLOW, VMDBG, case, figures, finish, run, same, scratch, skip  # noqa: E402

REAL = os.path.abspath(os.path.join(BUILD, "real"))
FLAVOURS = ["686", "686-pae", "amd64"]
SECTORS = 16384
LIMIT = 1500 * SLOW

# Warnings (level 4 and worse) that are expected, each with its reason in docs/real-code.md.
KNOWN_WARNINGS = [
    r"acpi PNP0A03:00: fail to add MMCONFIG information",
    r"i8042: PNP: PS/2 appears to have AUX port disabled",
]
KNOWN_WARNINGS_BIOS = [
    r"ACPI BIOS Error \(bug\): A valid RSDP was not found",
    r"PnPBIOS: dev_node_info: function not supported on this system",
    r"PnPBIOS: Unable to get node info\.  Aborting\.",
    r"ata_piix 0000:00:01\.1: BMDMA: BAR4 is zero, falling back to PIO",
]

# What the drivers say of each chip; SHELL_COMMANDS come after.
CLAIMS = [
    ("CPU model", r"^chip cpu: vmdbg virtual CPU v2\.1$"),
    ("IO-APIC: timer, keyboard, serial port, RTC, ACPI and disk have interrupts",
     r"^chip interrupts: 0=timer\(IO-APIC\) 1=i8042\(IO-APIC\) 4=ttyS0\(IO-APIC\) 8=rtc0\(IO-APIC\) 9=acpi\(IO-APIC\) 14=.*pata_legacy"),
    ("TSC, HPET and ACPI timer", r"^chip clock: tsc of tsc hpet acpi_pm *$"),
    ("local APIC timer", r"^chip timer: lapic-deadline$"),
    ("RTC with the date", r"^chip rtc: rtc_cmos .*Mon Jan +1 00:00"),
    ("both serial ports", r"^chip serial: 0=16550A@3F8,4 1=16550A@2F8,3$"),
    ("keyboard and speaker", r"^chip input: AT Translated Set 2 keyboard,PC Speaker$"),
    ("PCI bridges", r"^chip pci: 0000:00:00\.0=8086:1237 0000:00:01\.0=8086:7000$"),
    ("ACPI tables", r"^chip acpi: APIC DSDT FACP FACS HPET"),
    ("8259A, 8254, i8042, RTC, FPU, VGA, panic port and ACPI ports",
     r"^chip ports: .*0020-0021=pic1 .*0040-0043=timer0 .*0060-0060=keyboard .*0070-0071=rtc0 .*00f0-00ff=fpu "
     r".*03c0-03df=vga\+ .*0505-0505=QEMU0001:00 .*ACPI_PM_TMR"),
    ("init is through", r"^init: done$"),
    ("the shell computes", r"^answer 42$"),
    ("power-off", r"reboot: Power down"),
]
SHELL_COMMANDS = b"echo answer $((6*7)); poweroff -f\n"


def record_shell(trace, argv):
    """Records until the shell's prompt, types into it, and waits for the end. (status, JSON, console)"""
    child = subprocess.Popen([VMDBG, "record", "-q", "--json", "--serial", "stdio", "-o", trace, *argv], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    console = bytearray()
    alarm = threading.Timer(LIMIT, child.kill)
    alarm.start()
    typed = False
    while chunk := os.read(child.stderr.fileno(), 65536):
        console += chunk
        if not typed and b"\n/ # " in console:
            child.stdin.write(SHELL_COMMANDS)
            child.stdin.flush()
            typed = True
    out = child.stdout.read()
    status = child.wait()
    alarm.cancel()
    child.stdin.close()
    return status, out, bytes(console)


def replay(name, trace, figures_of_recording, dir_, *more):
    rep = run("replay", "-q", "--json", "--serial", f"file:{dir_}/{name}.rep", *more, trace, timeout=LIMIT)
    if case(f"{name}: replay is equal", rep.status == 0, rep.describe()):
        case(f"{name}: same instructions", figures(rep)["instructions"] == figures_of_recording["instructions"], rep.text())
    return rep


def show(name, numbers, trace):
    print(f"# {name}: {numbers['kernel']}: {numbers['instructions']:,} instructions, {numbers['guest_ns'] / 1e9:.3f} s of "
          f"guest time, {numbers['events']:,} events, trace of {os.path.getsize(trace):,} bytes", flush=True)


def complaints(name, text, known):
    warnings = re.findall(r"^warning: (.*)$", text, re.M)
    for warning in warnings:
        print(f"# {name}: warning: {warning}")
    case(f"{name}: no warning without a known reason", all(any(re.match(k, w) for k in known) for w in warnings),
         "\n".join(warnings))
    case(f"{name}: no complaint of the kernel", not re.search(r"BUG:|WARNING:|Oops|Call Trace|Kernel panic", text))


def linux(dir_, flavour, image):
    trace = os.path.join(dir_, f"{flavour}.vmt")
    status, out, console = record_shell(trace, ["--disk", image, "--initrd", f"{REAL}/{flavour}/initrd.gz", "--append",
                                                "console=ttyS0 panic=-1", f"{REAL}/{flavour}/vmlinuz"])
    text = console.decode("utf-8", "replace").replace("\r", "")
    if not case(f"{flavour}: record to power-off", status == 0, f"exit status {status}\n{text[-1500:]}"):
        return
    numbers = figures_of(out)
    show(flavour, numbers, trace)
    machine = "x86_64" if flavour == "amd64" else "i686"
    case(f"{flavour}: this kernel", re.search(rf"^init: Linux 6\.[0-9.-]*-{flavour} {machine}$", text, re.M), text[-1500:])
    case(f"{flavour}: disk", re.search(rf"^chip disk: {SECTORS} sectors, VMDBG DISK, b6d81b360a5672d80c27430f39153e2c$", text, re.M))
    for what, pattern in CLAIMS:
        case(f"{flavour}: {what}", re.search(pattern, text, re.M), text[-1500:])
    complaints(flavour, text, KNOWN_WARNINGS)
    replay(flavour, trace, numbers, dir_)
    with open(f"{dir_}/{flavour}.rep", "rb") as f:
        case(f"{flavour}: same console bytes", f.read() == console)


def figures_of(out):
    class Out:
        @staticmethod
        def text():
            return out.decode()
    return figures(Out)


GRUB_CONFIG = """serial --unit=0
terminal_output serial
terminal_input serial
echo "GRUB $grub_platform"
ls
linux (hd0){kernel} console=ttyS0 panic=-1
initrd (hd0){initrd}
boot
"""
KERNEL_AT, INITRD_AT = 4096, 24576


def sectors_of(path):
    with open(path, "rb") as f:
        data = f.read()
    return data + bytes(-len(data) % 512)


def grub_disk(dir_, flavour):
    """A disk that GRUB starts from: boot sector, core image, kernel and initrd at fixed sectors. None: no GRUB here."""
    kernel, initrd = (sectors_of(f"{REAL}/{flavour}/{name}") for name in ("vmlinuz", "initrd.gz"))
    with open(f"{dir_}/grub.cfg", "w", encoding="ascii") as f:
        f.write(GRUB_CONFIG.format(kernel=f"{KERNEL_AT}+{len(kernel) // 512}", initrd=f"{INITRD_AT}+{len(initrd) // 512}"))
    try:
        made = subprocess.run([f"{REAL}/grub/grub-mkimage", "-O", "i386-pc", "-d", f"{REAL}/grub/modules", "-p", "/boot", "-c",
                               f"{dir_}/grub.cfg", "-o", f"{dir_}/core.img", "biosdisk", "serial", "terminal", "echo", "ls",
                               "linux"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        why = made.stdout.strip() if made.returncode else None
    except OSError as e:
        why = str(e)
    if why is not None:
        skip("GRUB", f"grub-mkimage: {why}")
        return None
    boot = bytearray(sectors_of(f"{REAL}/grub/modules/boot.img"))
    core = bytearray(sectors_of(f"{dir_}/core.img"))
    boot[510:512] = b"\x55\xaa"
    # The core image's first sector loads the rest: from which sector of the disk, and how many.
    struct.pack_into("<QH", core, 0x1f4, 2, len(core) // 512 - 1)
    image = os.path.join(dir_, "grub.img")
    with open(image, "wb") as f:
        f.write(boot + core)
        f.seek(KERNEL_AT * 512)
        f.write(kernel)
        f.seek(INITRD_AT * 512)
        f.write(initrd)
        f.truncate(16 << 20)
    return image


def grub(dir_, bios, flavour):
    if not os.path.exists(bios):
        skip("GRUB", f"no {bios}: Debian's package seabios isn't installed")
        return
    image = grub_disk(dir_, flavour)
    if not image:
        return
    trace = os.path.join(dir_, "grub.vmt")
    rec = run("record", "-q", "--json", "--bios", "--disk", image, "--serial", f"file:{dir_}/grub.txt", "--until",
              "pattern:^init: done", "--until", "time:60", "-o", trace, bios, timeout=LIMIT)
    if not case("GRUB: record", rec.status == 0, rec.describe()):
        return
    numbers = figures(rec)
    show("GRUB", numbers, trace)
    with open(f"{dir_}/grub.txt", encoding="latin-1") as f:
        text = f.read().replace("\r", "")
    for what, pattern in [("SeaBIOS finds the disk", r"^ata0-0: VMDBG DISK ATA-6 Hard-Disk \(16 MiBytes\)$"),
                          ("SeaBIOS starts it", r"^Booting from 0000:7c00$"), ("GRUB runs", r"GRUB pc$"),
                          ("GRUB finds the disk", r"^\(hd0\) *$"),
                          ("the kernel has SeaBIOS's memory map",
                           r"BIOS-e820: \[mem 0x0000000000100000-0x000000000fffffff\] usable"),
                          ("the kernel reads the MP table", r"Intel MultiProcessor Specification v1\.4"),
                          ("the kernel's init runs", rf"^init: Linux 6\.[0-9.-]*-{flavour} "), ("the kernel finds the disk", r"^chip disk: 32768 sectors, VMDBG DISK,"),
                          ("init is through", r"^init: done$")]:
        case(f"GRUB: {what}", re.search(pattern, text, re.M), text[-1000:])
    complaints("GRUB", text, KNOWN_WARNINGS_BIOS)
    replay("GRUB", trace, numbers, dir_)
    case("GRUB: same console bytes", same(f"{dir_}/grub.txt", f"{dir_}/GRUB.rep"))


def memtest(dir_, which, seconds):
    """On the host's clock: on the virtual one a minute is 60,000,000,000 instructions."""
    name = f"memtest86+{which}"
    trace = os.path.join(dir_, f"{which}.vmt")
    rec = run("record", "-q", "--json", "--serial", "null", "--clock", "host", "-m", "16M", "--screen", "--until",
              f"time:{seconds}", "-o", trace, f"{REAL}/{name}.bin", timeout=LIMIT)
    if not case(f"{name}: record", rec.status == 0, rec.describe()):
        return
    numbers = figures(rec)
    show(name, numbers, trace)
    screen = rec.errors()
    print("".join(f"# |{line}\n" for line in screen.splitlines()), end="")
    for what, pattern in [("its name", r"^ +Memtest86\+ v6"), ("the CPU's", r"vmdbg virtual CPU v2\.1"),
                          ("caches", r"L1 Cache: +32KB"), ("memory", r"Memory  : +16MB"),
                          ("a test runs", r"Test #\d+ +\[.+\]"), ("no errors", r"Errors: 0 ")]:
        case(f"{name}: screen: {what}", re.search(pattern, screen, re.M), screen)
    case(f"{name}: {seconds} seconds of guest time", numbers["guest_ns"] >= seconds * 1e9, numbers["guest_ns"])
    rep = replay(name, trace, numbers, dir_, "--screen")
    case(f"{name}: same screen", rep.errors() == screen, rep.errors())


def main():
    fetch = subprocess.run([os.path.join(os.path.dirname(__file__), "fetch-real.sh"), REAL], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True)
    if fetch.returncode == 77:
        skip("Debian's kernels and memtest86+", fetch.stdout.strip())
        finish()
    if not case("Debian's kernels and memtest86+", fetch.returncode == 0, fetch.stdout):
        finish()
    with open(f"{REAL}/versions") as f:
        print("".join(f"# {line}" for line in f), end="")
    dir_ = scratch("real")
    image = os.path.join(dir_, "disk.img")
    with open(image, "wb") as f:
        f.truncate(SECTORS * 512)
    for flavour in FLAVOURS:
        linux(dir_, flavour, image)
    grub(dir_, "/usr/share/seabios/bios.bin", "686")
    memtest(dir_, "x64", 90)  # it measures caches and memory, and waits, before its first test
    memtest(dir_, "ia32", 20)
    finish()


if __name__ == "__main__":
    main()
