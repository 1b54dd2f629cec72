#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Who may include whom. One case a folder; the first matching rule of RULES holds for a file."""
import glob
import os
import re
import sys

X86 = ["vmm/x86/*", "vmm/types.h", "vmm/state.h", "vmm/error.h"]
INTROSPECT = ["vmm/target.h", "vmm/types.h", "vmm/error.h", "vmm/x86/*", "vmm/state.h"]

# folder: (what it may include of ours, what of that it may not)
RULES = [
    ("traces/", ["traces/*", "vmm/types.h", "vmm/error.h", "vmm/state.h", "vmm/x86/state.h", "vmm/x86/regs.h",
                 "replay/landmark.h"], []),
    ("vmm/x86/", X86, []),
    ("vmm/dev/", ["vmm/*"], ["vmm/soft/*", "vmm/kvm/*", "vmm/vtx/*", "vmm/pc/*", "vmm/machine.h", "vmm/engine.h"]),
    ("vmm/soft/", ["vmm/*"], ["vmm/dev/*", "vmm/pc/*", "vmm/kvm/*", "vmm/vtx/*"]),
    ("vmm/kvm/", ["vmm/*"], ["vmm/dev/*", "vmm/pc/*", "vmm/soft/*", "vmm/vtx/*"]),
    ("vmm/vtx/module/", ["vmm/vtx/module/*", "vmm/types.h"], []),
    ("vmm/vtx/", ["vmm/*"], ["vmm/dev/*", "vmm/pc/*", "vmm/soft/*", "vmm/kvm/*"]),
    ("vmm/", ["vmm/*"], []),
    ("replay/", ["vmm/*", "traces/*", "replay/*"], ["vmm/soft/*", "vmm/kvm/*", "vmm/vtx/*"]),
    ("introspect/", INTROSPECT + ["introspect/*"], []),
    ("gdbstub/", INTROSPECT + ["gdbstub/*"], []),
    ("cmd/", ["*"], []),
    ("vmdbg.c", ["*"], []),
    ("tests/", ["*"], []),
]
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def matches(path, patterns):
    return any(path == p or (p.endswith("*") and path.startswith(p[:-1])) for p in patterns)


def rule_of(path):
    for folder, may, not_these in RULES:
        if path.startswith(folder):
            return folder, may, not_these
    return None


def main():
    files = sorted(p for p in glob.glob("**/*.[ch]", recursive=True) if not p.startswith("build"))
    bad = {folder: [] for folder, _, _ in RULES}
    strays = []
    for path in files:
        rule = rule_of(path)
        if not rule:
            if not path.startswith(("demo/", "module/")):
                strays.append(path)
            continue
        folder, may, not_these = rule
        with open(path, encoding="utf-8") as f:
            text = f.read()
        for wanted in INCLUDE.findall(text):
            if "/" not in wanted:  # the module is built by the kernel's rules, in a folder of its own
                wanted = os.path.join(os.path.dirname(path), wanted)
            if wanted.startswith("cmd/") and folder not in ("cmd/", "vmdbg.c", "tests/"):
                bad[folder].append(f"{path} includes {wanted}: nobody includes cmd")
            elif not matches(wanted, may) or matches(wanted, not_these):
                bad[folder].append(f"{path} includes {wanted}")
    status = 0
    for folder in bad:
        for line in bad[folder]:
            print("#", line)
            status = 1
        print("ok" if not bad[folder] else "not ok", f"dependencies of {folder}")
    for path in strays:
        print(f"# {path}: in no folder the rules know")
    print("ok" if not strays else "not ok", "every source file is in a folder with rules")
    return 1 if status or strays else 0


if __name__ == "__main__":
    sys.exit(main())
