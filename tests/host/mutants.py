#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Modules with one thing broken each: every one of them must fail the tests of the module. `make check-vtx-mutants`;
names of mutants as arguments: only those."""
import os
import shutil
import subprocess
import sys
import time

import check_vtx as host

HOST_KDIR = os.environ["HOST_KDIR"]
SOURCES = os.path.join(host.HERE, "..", "..", "vmm", "vtx", "module")

# name: (file, what stands there, what stands there instead)
MUTANTS = {
    "none": None,
    "no-rdtsc-exiting": ("vmcs.c", "{CPU_BASED_RDTSC_EXITING, true,", "{CPU_BASED_RDTSC_EXITING, false, NULL}, {0, false,"),
    "no-invept": ("run.c", "if (v->ept.stale) {", "if (v->ept.stale && !v->vmcs) {"),
    "no-ept-permission": ("exit.c", "allowed = limit->allowed & VMDBG_RWX;", "allowed = VMDBG_RWX;"),
    "no-flush-after-split": ("ept.c", "\t\tept->stale = true;\n\t\tept->splits++;", "\t\tept->splits++;"),
    "large-page-writable": ("ept.c", "VMDBG_R | VMDBG_X | LARGE | LEAF", "VMDBG_RWX | LARGE | LEAF"),
    "limit-without-split": ("main.c", "ret = ept_split(&v->ept, gpa);", "ret = 0;"),
    "page-stays-open": ("step.c", "ept_clear(&v->ept, v->opened_entry[--v->nr_opened]);", "--v->nr_opened;"),
    "rep-counts-iterations": ("step.c", "if (v->insn != INSN_REP || rip != v->insn_rip)", "if (v->insn != INSN_X87)"),
    "tf-shows": ("step.c", "case INSN_PUSHF:\n\t\tbreak;", "case INSN_PUSHF:\n\t\treturn false;"),
    "shadow-entries-stay": ("shadow.c", "if (!follows(v, t, i, e))", "if (!v->vmcs)"),
    "shadow-tables-unwatched": ("exit.c", "if (shadow_tracks(v, gfn)) {", "if (!v->vmcs) {"),
    "shadow-dirty-early": ("shadow.c", "if ((rights & RIGHT_W) && dirty)", "if (rights & RIGHT_W)"),
    "shadow-unflushed": ("run.c", "if (shadow_take_stale(v) &&", "if (!v->vmcs &&"),
    "stops-half-begun": ("run.c", "(v->step || v->settled)", "(v->step || v->moved)"),
    "breakpoint-not-passed": ("free.c", "v->gave_rf = v->pass &&", "v->gave_rf = !v->vmcs &&"),
    "tsc-out-of-order": ("exit.c", "ring[v->run.nr_tsc].value = tsc;", "ring[v->run.nr_tsc ^ 1].value = tsc;"),
    "no-window": ("vmcs.c", "primary |= CPU_BASED_INTR_WINDOW_EXITING;", "primary |= 0;"),
    "writes-stay-told": ("exit.c", "ept_note_written(&v->ept, entry);", ";"),
    "a20m-keeps-entries": ("run.c", "ept_clear_all(&v->ept);", ";"),
    "a20m-limit-missed": ("main.c", "entry = v->held ? ept_entry(&v->ept, gpa | v->held) : NULL;", "entry = NULL;"),
    "writes-untold": ("exit.c", "!note_dirty(v, gfn)", "!v->vmcs"),
}


def build(name, mutation):
    folder = os.path.join(host.HOSTDIR, "mutant-" + name)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(SOURCES, folder)
    if mutation:
        path = os.path.join(folder, mutation[0])
        with open(path, encoding="utf-8") as f:
            text = f.read()
        if text.count(mutation[1]) != 1:
            host.fail(f"mutant {name}: {mutation[0]} has what is to be changed {text.count(mutation[1])} times")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text.replace(mutation[1], mutation[2]))
    got = subprocess.run(["make", "-C", HOST_KDIR, f"M={folder}", "modules"], stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True)
    module = os.path.join(folder, "vmdbg.ko")
    if got.returncode or not os.path.exists(module):
        print(got.stdout)
        host.fail(f"mutant {name} does not compile")
    host.run("strip", "-g", module)
    return module


def main():
    begin = time.monotonic()
    root = host.base_root("root-mutants", ("abi", "unstepped", "shadow"))
    tests = []
    only = sys.argv[1:] or list(MUTANTS)
    for name, mutation in MUTANTS.items():
        if name not in only:
            continue
        root.put(build(name, mutation), f"{name}.ko")
        tests.append(f"""say "@mutant {name}"
insmod /{name}.ko
{{ timeout -s KILL 30 abi; timeout -s KILL 30 unstepped; timeout -s KILL 30 shadow; }} 2>&1 </dev/null | grep '^not ok' | e9
rmmod vmdbg""")
    root.write("init", host.init("\n".join(tests)))
    bochs = host.Bochs("run-mutants")
    found, current = {}, [None]

    def line(text):
        if text.startswith("@mutant "):
            current[0] = text[8:]
            found[current[0]] = []
        elif text.startswith("not ok") and current[0]:
            found[current[0]].append(text[7:])

    bochs.boot(root, 900, line)
    results = host.Results()
    for name in only:
        failed = found.get(name)
        if name == "none":
            results.case(failed == [], "the module as it is passes", failed)
        else:
            results.case(failed, f"mutant {name} is noticed" + (f": {failed[0]}" if failed else ""), "no test failed")
    results.case(bochs.done, "the batch ran to its end")
    sys.exit(results.finish(time.monotonic() - begin))


if __name__ == "__main__":
    main()
