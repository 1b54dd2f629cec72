#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Line coverage of vmm/, without vmm/vtx and vmm/kvm, from what gcov has counted.

coverage.py [--doc FILE] OBJECTS

Prints a table by file, and the lines not reached whose reason isn't in tests/tools/uncovered.txt; fails when there are
any. --doc writes the page.
"""
import argparse
import collections
import fnmatch
import glob
import json
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
REASONS = os.path.join(HERE, "uncovered.txt")
OUTSIDE = ("vmm/vtx/", "vmm/kvm/")


def counts(objects):
    """{file: {line: [count, function]}} of vmm/, headers' lines summed over all that include them."""
    found = collections.defaultdict(dict)
    data = sorted(glob.glob(os.path.join(objects, "vmm", "**", "*.gcda"), recursive=True))
    for start in range(0, len(data), 50):
        out = subprocess.run(["gcov", "--json-format", "--stdout", *data[start:start + 50]], check=True,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        for document in out.splitlines():
            for file in json.loads(document)["files"]:
                name = os.path.normpath(file["file"])
                if not name.startswith("vmm/") or name.startswith(OUTSIDE):
                    continue
                for line in file["lines"]:
                    entry = found[name].setdefault(line["line_number"], [0, line.get("function_name", "")])
                    entry[0] += line["count"]
    return found


def reasons():
    """[(file pattern, pattern of the function or text, reason)] from paragraphs as in tests/system/disagreements.txt."""
    known, heads, text = [], [], []
    with open(REASONS) as f:
        for line in [*f, "end: x"]:
            if line.startswith("#") or not line.strip():
                continue
            if line[0].isspace():
                text.append(line.strip())
                continue
            if text:
                known += [(*head, " ".join(text)) for head in heads]
                heads, text = [], []
            heads.append(tuple(part.strip() for part in line.split(": ", 1)))
    return known


def reason(known, file, function, text):
    """Of a line: by its function's name, or by /a regular expression/ for its text."""
    for where, what, why in known:
        if not fnmatch.fnmatchcase(file, where):
            continue
        if re.search(what[1:-1], text) if what.startswith("/") else fnmatch.fnmatchcase(function, what):
            return why
    return None


def ranges(numbers):
    """"3, 5-7" """
    parts = []
    for n in sorted(numbers):
        if parts and parts[-1][1] == n - 1:
            parts[-1][1] = n
        else:
            parts.append([n, n])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)


def percent(part, whole):
    return f"{100 * part / whole:.1f} %"


def page(files, groups, reached, total):
    text = f"""# Line coverage

What the unit tests, the test kernels, the golden traces, SeaBIOS, the disk's tests and 800,000 sequences of the differential
test reach of `vmm/`, without `vmm/vtx` and `vmm/kvm`, which want a processor of their own: **{reached:,} of {total:,} lines,
{percent(reached, total)}**. `make coverage` measures it again and writes this page; a line without a reason fails it.

## Lines not reached

"""
    for why, by_file in sorted(groups.items(), key=lambda item: -sum(map(len, item[1].values()))):
        text += f"{why}\n\n" + "".join(f"- `{file}`: {ranges(lines)}\n" for file, lines in sorted(by_file.items())) + "\n"
    text += "## By file\n\n| File | Lines | Reached | |\n|---|---|---|---|\n"
    for file, lines in sorted(files.items()):
        hit = sum(count > 0 for count, _ in lines.values())
        text += f"| {file} | {len(lines)} | {hit} | {percent(hit, len(lines))} |\n"
    return text


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--doc")
    parser.add_argument("objects")
    args = parser.parse_args()
    files = counts(args.objects)
    known = reasons()
    groups = collections.defaultdict(lambda: collections.defaultdict(list))
    total = reached = unexplained = 0
    for file, lines in sorted(files.items()):
        with open(file) as f:
            source = f.read().splitlines()
        total += len(lines)
        for number, (count, function) in sorted(lines.items()):
            if count:
                reached += 1
                continue
            why = reason(known, file, function, source[number - 1])
            if not why:
                unexplained += 1
                print(f"{file}:{number}: {function}: {source[number - 1].strip()}")
            groups[why or "No reason given."][file].append(number)
    print(f"{reached} of {total} lines of vmm/ reached ({percent(reached, total)}), {unexplained} not reached for no known reason")
    if args.doc:
        with open(args.doc, "w") as f:
            f.write(page(files, groups, reached, total))
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
