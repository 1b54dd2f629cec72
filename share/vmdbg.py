# SPDX-License-Identifier: GPL-2.0-or-later
"""GDB commands for vmdbg: `vmdbg when`, `vmdbg seek POSITION`, `vmdbg lastwrite EXPR`...

    (gdb) source /usr/local/share/vmdbg/vmdbg.py

Every command is `monitor` with completion, and with GDB's view refreshed when the machine has moved. The commands are
those that the server lists, so that this file need not know them.
"""

import re

import gdb

MOVED = "The position has changed;"
POSITIONS = ("start", "end", "event:", "checkpoint:")
# Arguments that are expressions of the guest's program: the server knows no symbols of GDB's.
EXPRESSIONS = ("lastwrite", "page-walk", "watch-phys", "disas", "xp")


def monitor(line):
    """The lines that the server answers, and whether the machine stands elsewhere now."""
    lines = gdb.execute("monitor " + line, to_string=True).splitlines()
    rest = [text for text in lines if not text.startswith(MOVED)]
    return rest, len(rest) != len(lines)


def refresh():
    """GDB keeps registers, frames and memory through a monitor command."""
    gdb.execute("maintenance flush register-cache", to_string=True)
    gdb.execute("maintenance flush dcache", to_string=True)
    try:
        gdb.execute("frame")
    except gdb.error as error:
        print(error)


def connected():
    try:
        return gdb.selected_inferior().connection is not None
    except AttributeError:  # GDB before 11
        return True


def commands():
    """{name: help} as `monitor help` has them; {} without a server."""
    if not connected():
        return {}
    try:
        lines, _ = monitor("help")
    except gdb.error:
        return {}
    found = {}
    for text in lines:
        match = re.match(r"(?P<name>[a-z][\w-]*(?: [a-z][\w-]*)*)(?P<args>.*?)(?:  +(?P<help>\S.*))?$", text)
        if match:
            found[match["name"]] = match["help"] or ""
    return found


def positions():
    names = list(POSITIONS)
    try:
        lines, _ = monitor("checkpoints") if "checkpoints" in commands() else ([], False)
        names += re.findall(r"checkpoint:\d+", "\n".join(lines))
    except gdb.error:
        pass
    return names


def resolve(name, args):
    """An expression of GDB's becomes the address that it names: `lastwrite counter` -> `lastwrite 0xADDR 8`."""
    if name not in EXPRESSIONS or not args or re.fullmatch(r"(0x)?[0-9a-fA-F]+( .*)?", args):
        return args
    try:
        value = gdb.parse_and_eval(args)
    except gdb.error:
        return args
    if value.address is not None:
        return "0x%x %d" % (int(value.address) & (1 << 64) - 1, value.type.sizeof)
    try:
        return "0x%x" % (int(value) & (1 << 64) - 1)
    except (gdb.error, TypeError, ValueError):
        return args


class Vmdbg(gdb.Command):
    """Commands of the vmdbg server: vmdbg COMMAND [ARGUMENTS].

vmdbg help lists them. vmdbg COMMAND is monitor COMMAND, after which GDB looks again if the machine stands elsewhere."""

    def __init__(self):
        super().__init__("vmdbg", gdb.COMMAND_RUNNING)

    def invoke(self, arg, from_tty):
        name, _, args = arg.strip().partition(" ")
        if not connected():
            raise gdb.GdbError("Not connected: target remote ADDR:PORT first.")
        lines, moved = monitor(" ".join(filter(None, (name or "help", resolve(name, args.strip())))))
        for text in lines:
            print(text)
        if moved:
            refresh()

    def complete(self, text, word):
        name, blank, args = text.partition(" ")
        if not blank:
            return sorted({n.split(" ")[0] for n in commands() if n.startswith(text)})
        if name == "seek":
            # GDB asks for the rest of a word that a ':' has broken.
            cut = len(args) - len(word or "")
            return [p[cut:] for p in positions() if p.startswith(args)]
        if name in EXPRESSIONS:
            return gdb.COMPLETE_EXPRESSION
        below = {n[len(name) + 1 :].split(" ")[0] for n in commands() if n.startswith(name + " ")}
        return sorted(n for n in below if n.startswith(args))


Vmdbg()
