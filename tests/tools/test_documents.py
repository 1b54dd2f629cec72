#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The manual page, the shell completion and docs/gdb.md name what the tables in the source have, and nothing else."""
import re
import subprocess
import sys

# As in cmd/options.c; the key is what follows "vmdbg" on a command line.
COMMANDS = {"record": "OPT_RECORD", "run": "OPT_RUN", "replay": "OPT_REPLAY", "branch": "OPT_BRANCH",
            "trace info": "OPT_TRACE", "trace dump": "OPT_TRACE", "trace verify": "OPT_TRACE",
            "trace index": "OPT_INDEX", "trace settle": "OPT_SETTLE", "doctor": "OPT_DOCTOR"}
ROW = re.compile(r'\{"([a-z-]+)", (0|\'.\'), ([^,]+), (NULL|"[^"]*"),')

failed = 0


def case(name, good, why=""):
    global failed
    if not good:
        failed += 1
        print(f"# {why}")
    print(("ok " if good else "not ok ") + name)


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def table():
    """For each command the words of its options, from the rows of cmd/options.c."""
    text = read("cmd/options.c")
    groups = dict(re.findall(r"^#define (\w+) +\((.*)\)$", text, re.M))
    options = {c: set() for c in COMMANDS}
    rows = ROW.findall(text[text.index("rows[] = {"):])
    for name, letter, mask, _ in rows:
        flags = set()
        for word in mask.split(" | "):
            flags |= set(groups.get(word, word).split(" | "))
        for command, flag in COMMANDS.items():
            if flag in flags or mask == "~0u":
                options[command] |= {"--" + name} | ({"-" + letter[1]} if letter != "0" else set())
    return options


def help_is_common(options):
    """-h stands for --help everywhere and is offered nowhere."""
    return {c: {o for o in words if o != "-h"} for c, words in options.items()}


def completes(line):
    """What bash would offer for the last word of the line."""
    script = ('source completion/vmdbg.bash; compopt() { :; }; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _vmdbg;'
              'printf "%s\\n" "${COMPREPLY[@]}"')
    out = subprocess.run(["bash", "-c", script, "bash", *line], stdout=subprocess.PIPE, check=True, text=True).stdout
    return set(out.split())


def check_completion(options):
    for command, words in help_is_common(options).items():
        offered = completes(["vmdbg", *command.split(), "-"])
        case(f"completion: options of {command}", offered == words, f"not the same: {sorted(offered ^ words)}")
    names = {c.split()[0] for c in COMMANDS}
    offered = completes(["vmdbg", ""])
    case("completion: commands", offered == names | {"help", "--version"}, f"offered: {sorted(offered)}")
    offered = completes(["vmdbg", "trace", ""])
    case("completion: trace", offered == {c.split()[1] for c in COMMANDS if " " in c}, f"offered: {sorted(offered)}")


def check_commands():
    listed = re.search(r"commands\[\] = \{(.*?)\}", read("vmdbg.c"), re.S)[1]
    names = set(re.findall(r"&cmd_(\w+)", listed))
    case("every command is known here", names == {c.split()[0] for c in COMMANDS}, f"vmdbg.c has {sorted(names)}")
    return names


def check_page(options, names):
    text = read("docs/vmdbg.1").replace("\\-", "-").replace('"', "")
    for command in COMMANDS:
        case(f"vmdbg.1: command {command}", f"\n.B {command}\n" in text, "not under COMMANDS")
    known = {o for words in options.values() for o in words} | {"--version"}
    body = text[text.index(".SH OPTIONS"):text.index(".SH HOW A RUN ENDS")]
    heads = "\n".join(re.findall(r"^\.TP\n(.*)$", body, re.M))
    said = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", heads))
    wanted = known - {"--help", "-h", "--version"}
    case("vmdbg.1: every option", wanted <= said, f"missing: {sorted(wanted - said)}")
    case("vmdbg.1: no other option", said <= known, f"unknown: {sorted(said - known)}")
    mentioned = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))
    case("vmdbg.1: mentions no option that isn't there", mentioned <= known, f"unknown: {sorted(mentioned - known)}")


def check_readme(options):
    known = {o for words in options.values() for o in words} | {"--version"}
    for line in re.findall(r"^ +(?:- )?(?:\./)?vmdbg (.*)$", read("README.md").replace("\\\n", " "), re.M):
        used = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", line))
        command = next((c for c in COMMANDS if line.startswith(c)), None)
        case(f"README.md: vmdbg {line.split('#')[0].strip()}", command and used <= options[command] & known,
             f"unknown: {sorted(used - known)}")


def check_monitor():
    text = read("gdbstub/monitor.c") + read("gdbstub/stub_monitor.c")
    names = set(re.findall(r'^    \{"([a-z -]+)", ', text, re.M))
    page = read("docs/gdb.md")
    page = page[page.index("## Monitor commands"):page.index("### In GDB's own terms")]
    said = set()
    for first in re.findall(r"^\| (`.*?) \| ", page, re.M):
        said |= {re.match(r"[a-z-]+(?: [a-z]+)*", words)[0] for words in re.findall(r"`([^`]+)`", first)}
    said.add("help")
    case("docs/gdb.md: monitor commands", names and names == said, f"not the same: {sorted(names ^ said)}")


def main():
    options = table()
    case("options are found", len({o for words in options.values() for o in words}) > 25, str(options))
    names = check_commands()
    check_completion(options)
    check_page(options, names)
    check_readme(options)
    check_monitor()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
