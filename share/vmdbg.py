# SPDX-License-Identifier: GPL-2.0-or-later
"""GDB commands for vmdbg: `vmdbg when`, `vmdbg seek POSITION`, `vmdbg lastwrite EXPR`...

    (gdb) source /usr/local/share/vmdbg/vmdbg.py

Every command is `monitor` with completion, with expressions of the program where the server wants addresses, and with
GDB's view refreshed when the machine has moved. The commands are those that the server lists, so that this file need
not know them.
"""

import re

import gdb

MOVED = "The position has changed;"
POSITIONS = ("start", "end", "event:", "checkpoint:")
EVENTS = ("interrupt", "exception", "cr3", "io", "msr", "panic")
MASK = (1 << 64) - 1


def monitor(line):
    """The lines that the server answers, and whether the machine stands elsewhere now."""
    lines = gdb.execute("monitor " + line, to_string=True).splitlines()
    rest = [text for text in lines if not text.startswith(MOVED)]
    return rest, len(rest) != len(lines)


def refresh(cpu=None):
    """GDB keeps registers, frames and memory through a monitor command. Then shows where the CPU stands."""
    gdb.execute("maintenance flush register-cache", to_string=True)
    gdb.execute("maintenance flush dcache", to_string=True)
    try:
        if cpu is not None and gdb.selected_thread().num != cpu + 1:
            gdb.execute("thread %d" % (cpu + 1), to_string=True)
        gdb.execute("frame")
    except gdb.error as error:
        print(error)


def connected():
    try:
        return gdb.selected_inferior().connection is not None
    except AttributeError:  # GDB before 11
        return True


def commands():
    """The names that `monitor help` lists; none without a server."""
    if not connected():
        return []
    try:
        lines, _ = monitor("help")
    except gdb.error:
        return []
    # "NAME WORDS ARGUMENTS  HELP": names are in small letters, arguments aren't.
    names = (re.match(r"[a-z][\w-]*(?: [a-z][\w-]*)*(?= |$)", text.split("  ")[0]) for text in lines)
    return [name[0] for name in names if name]


def evaluate(text):
    """(address, size) of what an expression names, size None where it has none; None for what GDB can't evaluate.

    An object in memory is itself; a pointer or a number is an address.
    """
    try:
        value = gdb.parse_and_eval(text)
        if value.address is not None:
            return int(value.address) & MASK, value.type.sizeof
        kind = value.type.strip_typedefs()
        if kind.code == gdb.TYPE_CODE_PTR:
            target = kind.target().strip_typedefs()
            known = target.code not in (gdb.TYPE_CODE_VOID, gdb.TYPE_CODE_FUNC)
            return int(value) & MASK, target.sizeof if known else None
        if text[0].isalpha() or text[0] == "_":
            raise gdb.GdbError("%s is not in memory here, and no address either." % text)
        return int(value) & MASK, None
    except gdb.error as error:
        # The server knows registers and numbers too, also without a $ and with an offset; what looks like an
        # expression is GDB's to refuse.
        if re.search(r"->|[.\[*&(]", text) or "No symbol" in str(error) and not re.match(r"[a-z]{2,3}\d?\b|r\d+", text):
            raise gdb.GdbError(str(error))
        return None


def with_length(text):
    """EXPR or EXPR,LEN as ADDR,LEN; unchanged when GDB can't evaluate it: the server knows registers too."""
    match = re.fullmatch(r"(.*\S)\s*,\s*(\w+)", text)
    place = evaluate(match[1] if match else text)
    if not place:
        return text
    length = match[2] if match else place[1]
    return "0x%x,%s" % (place[0], length) if length else "0x%x" % place[0]


def lastwrite_args(args):
    return with_length(args)


def watch_args(args):
    """EXPR [r|w|a] [if FILTER]: numbers are physical addresses, names of the program linear ones."""
    if re.match(r"(\d|list\b|delete\b|linear\b)", args):
        return args
    expr, rest = re.fullmatch(r"(.*?)((?:\s+[rwa])?(?:\s+if\s.*)?)", args).groups()
    place = with_length(expr)
    return ("linear " if place != expr else "") + place + rest


def code_args(args):
    """EXPR and up to two numbers."""
    expr, rest = re.fullmatch(r"(.*?)((?:\s+\d+){0,2})", args).groups()
    place = evaluate(expr)
    return ("0x%x" % place[0] if place else expr) + rest


# Commands whose arguments begin with an expression of the program: the server knows no symbols.
EXPRESSIONS = {"lastwrite": lastwrite_args, "watch-phys": watch_args, "walk": code_args, "disas": code_args}


class Vmdbg(gdb.Command):
    """Commands of the vmdbg server: vmdbg COMMAND [ARGUMENTS].

vmdbg help lists them. vmdbg COMMAND is monitor COMMAND, after which GDB looks again if the machine stands elsewhere.
lastwrite, watch-phys, walk and disas take expressions of the program: vmdbg lastwrite list->head."""

    def __init__(self):
        super().__init__("vmdbg", gdb.COMMAND_RUNNING)

    def invoke(self, arg, from_tty):
        name, _, args = arg.strip().partition(" ")
        args = args.strip()
        if not connected():
            raise gdb.GdbError("Not connected: target remote ADDR:PORT first.")
        if args and name in EXPRESSIONS:
            args = EXPRESSIONS[name](args)
        lines, moved = monitor(" ".join(filter(None, (name or "help", args))))
        for text in lines:
            print(text)
        if not moved:
            return
        by = re.search(r" by CPU (\d+) at ", lines[0]) if name == "lastwrite" and lines else None
        refresh(int(by[1]) if by else None)
        if by and gdb.selected_frame().name():
            gdb.execute("backtrace 20")

    def complete(self, text, word):
        words = text.split(" ")
        if len(words) == 2 and words[0] == "seek":
            # GDB asks for the rest of a word that a ':' has broken.
            cut = len(words[1]) - len(word or "")
            return [p[cut:] for p in POSITIONS if p.startswith(words[1])]
        names = [name.split(" ") for name in commands()]
        below = {n[len(words) - 1] for n in names if len(n) >= len(words) and n[: len(words) - 1] == words[:-1]}
        if words[:-1] == ["break-event"]:
            below |= set(EVENTS)
        below = sorted(n for n in below if n.startswith(words[-1]))
        if below or words[0] not in EXPRESSIONS:
            # ... and of one that a '-' has.
            cut = len(words[-1]) - len(word or "")
            return [n[cut:] for n in below]
        return gdb.COMPLETE_EXPRESSION


Vmdbg()
