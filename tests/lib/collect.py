#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs test programs of all kinds, counts their cases and closes with 'N passed, N failed, N skipped'.

collect.py [--fuzz-total S | --fuzz-each S] PROGRAM...

Kinds, told apart by path:
  .../tests/unit/...  a Check binary: its 'NN%: Checks: N, Failures: N, Errors: N' lines are read
  .../tests/fuzz/...  a libFuzzer binary: one case, passed when it finds nothing in its time
  anything else       prints a line a case: 'ok NAME', 'not ok NAME', 'skip NAME: REASON'
Any of them may print 'skip NAME: REASON'. Other output is shown only when something failed.
"""
import concurrent.futures
import os
import re
import subprocess
import sys
import time

# Instrumented programs are slower.
SLOW = 1 if os.environ.get("MODE", "rel") == "rel" else 4
TIMEOUT = {"unit": 180 * SLOW, "script": 1200 * SLOW}
CHECK_LINE = re.compile(r"^\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)", re.M)


class Result:
    def __init__(self, name):
        self.name = name
        self.passed = 0
        self.failed = []
        self.skipped = []
        self.output = ""
        self.seconds = 0.0


def kind_of(path):
    if "/tests/unit/" in path:
        return "unit"
    if "/tests/fuzz/" in path:
        return "fuzz"
    return "script"


def stem(path):
    base = os.path.basename(path)
    return re.sub(r"\.(py|sh)$", "", base)


def run(argv, timeout):
    """Output and exit status; status None after a timeout. The child's process group dies with it."""
    try:
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                 start_new_session=True)
    except OSError as e:
        return str(e), 127
    try:
        out, _ = child.communicate(timeout=timeout)
        return out.decode("utf-8", "replace"), child.returncode
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, 9)
        out, _ = child.communicate()
        return out.decode("utf-8", "replace"), None


def judge(result, status, timeout):
    """What the exit status adds to what the output said."""
    if status is None:
        result.failed.append(f"{result.name}: no end within {timeout} s")
    elif status != 0 and not result.failed:
        result.failed.append(f"{result.name}: exit status {status}")
    elif not (result.passed or result.failed or result.skipped):
        result.failed.append(f"{result.name}: reported no cases")


def skips(result, text):
    for line in text.splitlines():
        if line.startswith("skip "):
            result.skipped.append(line[5:])


def run_unit(path):
    result = Result(stem(path))
    text, status = run([path], TIMEOUT["unit"])
    result.output = text
    for checks, failures, errors in CHECK_LINE.findall(text):
        bad = int(failures) + int(errors)
        result.passed += int(checks) - bad
    for line in text.splitlines():
        if re.match(r"^\S+:\d+:[FE]:", line):
            result.failed.append(f"{result.name}: {line}")
    skips(result, text)
    judge(result, status, TIMEOUT["unit"])
    return result


def run_script(path):
    result = Result(stem(path))
    argv = [sys.executable, path] if path.endswith(".py") else ["sh", path] if path.endswith(".sh") else [path]
    text, status = run(argv, TIMEOUT["script"])
    result.output = text
    for line in text.splitlines():
        if line.startswith("ok "):
            result.passed += 1
        elif line.startswith("not ok "):
            result.failed.append(f"{result.name}: {line[7:]}")
    skips(result, text)
    judge(result, status, TIMEOUT["script"])
    return result


def run_fuzz(path, seconds, keep):
    name = stem(path)
    result = Result(name)
    seeds = os.path.join("tests/fuzz/corpus", name.replace("fuzz_", "", 1))
    found = os.path.join(os.path.dirname(path), "found")
    os.makedirs(found, exist_ok=True)
    argv = [path, f"-max_total_time={seconds}", "-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=0",
            f"-artifact_prefix={found}/{name}-"]
    if keep:
        corpus = os.path.join(os.path.dirname(path), "corpus", name)
        os.makedirs(corpus, exist_ok=True)
        argv.append(corpus)
    if os.path.isdir(seeds):
        # Without a folder of ours first, libFuzzer would write into the seeds.
        if not keep:
            scratch = os.path.join(os.path.dirname(path), "scratch", name)
            os.makedirs(scratch, exist_ok=True)
            argv.append(scratch)
        argv.append(seeds)
    text, status = run(argv, seconds + 120)
    result.output = text[-6000:]
    if status == 0:
        result.passed = 1
    else:
        result.failed.append(f"{name}: found something (status {status}), see {found}/")
    return result


def timed(function, *args):
    begin = time.monotonic()
    result = function(*args)
    result.seconds = time.monotonic() - begin
    return result


def show(result):
    words = [f"{result.passed} passed"]
    if result.failed:
        words.append(f"{len(result.failed)} FAILED")
    if result.skipped:
        words.append(f"{len(result.skipped)} skipped")
    print(f"  TEST    {result.name:<28} {', '.join(words)}  ({result.seconds:.1f} s)", flush=True)
    if result.failed:
        print(result.output.rstrip())
        print(f"  ^^^^    {result.name}", flush=True)


def main():
    args = sys.argv[1:]
    fuzz_total = fuzz_each = None
    paths = []
    while args:
        arg = args.pop(0)
        if arg == "--fuzz-total":
            fuzz_total = int(args.pop(0))
        elif arg == "--fuzz-each":
            fuzz_each = int(args.pop(0))
        else:
            paths.append(arg)

    groups = {"unit": [], "script": [], "fuzz": []}
    for path in paths:
        groups[kind_of(path)].append(path)

    results = []
    jobs = min(2, os.cpu_count() or 1)
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for result in pool.map(lambda p: timed(run_unit, p), groups["unit"]):
            show(result)
            results.append(result)
    # Scripts use the processors themselves, and some measure time.
    for path in groups["script"]:
        result = timed(run_script, path)
        show(result)
        results.append(result)
    if groups["fuzz"]:
        seconds = fuzz_each or max(2, min(6, (fuzz_total or 60) * jobs // len(groups["fuzz"])))
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            for result in pool.map(lambda p: timed(run_fuzz, p, seconds, bool(fuzz_each)), groups["fuzz"]):
                show(result)
                results.append(result)

    passed = sum(r.passed for r in results)
    failed = [f for r in results for f in r.failed]
    skipped = [s for r in results for s in r.skipped]
    for reason in skipped:
        print(f"  SKIP    {reason}")
    for what in failed:
        print(f"  FAIL    {what}")
    print(f"{passed} passed, {len(failed)} failed, {len(skipped)} skipped", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
