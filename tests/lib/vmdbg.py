# SPDX-License-Identifier: GPL-2.0-or-later
"""Running vmdbg from end-to-end tests: one line a case, 'ok NAME', 'not ok NAME' or 'skip NAME: REASON'."""
import json
import os
import shutil
import signal
import subprocess
import sys

VMDBG = os.path.abspath(os.environ.get("VMDBG", "./vmdbg"))
BUILD = os.environ.get("BUILD", "build")
OBJ = os.environ.get("OBJ", os.path.join(BUILD, "rel"))
MODE = os.environ.get("MODE", "rel")
# Instrumented programs are slower.
SLOW = {"asan": 6, "ubsan": 6, "cov": 10, "dbg": 4}.get(MODE, 1)

_failed = 0


class Result:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    def text(self):
        return self.out.decode("utf-8", "replace")

    def errors(self):
        return self.err.decode("utf-8", "replace")

    def describe(self):
        tail = self.err.decode("utf-8", "replace").strip().splitlines()[-3:]
        return f"exit status {self.status}" + "".join(f"\n#   {line}" for line in tail)


def run(*args, timeout=60, cwd=None, env=None, program=None):
    """vmdbg ARGS. A timeout gives status None; death by a signal is negative, as in subprocess."""
    argv = [program or VMDBG, *map(str, args)]
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cwd,
                             env=env)
    try:
        out, err = child.communicate(timeout=timeout * SLOW)
        return Result(child.returncode, out, err)
    except subprocess.TimeoutExpired:
        child.kill()
        out, err = child.communicate()
        return Result(None, out, err)


def case(name, good, why=""):
    global _failed
    if good:
        print(f"ok {name}", flush=True)
    else:
        _failed += 1
        for line in str(why).splitlines():
            print(f"# {line}")
        print(f"not ok {name}", flush=True)
    return bool(good)


def skip(name, reason):
    print(f"skip {name}: {reason}", flush=True)


def scratch(name):
    """An empty folder of this test's own."""
    path = os.path.abspath(os.path.join(OBJ, "scratch", name))
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    return path


def guest(name):
    return os.path.abspath(os.path.join(BUILD, "guest", name + ".elf"))


def one_line(text):
    """True if @text is exactly one line that a person could read."""
    lines = text.strip("\n").split("\n")
    return len(lines) == 1 and len(lines[0]) > 10


def figures(result):
    return json.loads(result.text())


def same(a, b):
    with open(a, "rb") as f, open(b, "rb") as g:
        return f.read() == g.read()


def interrupt(child):
    child.send_signal(signal.SIGINT)


def finish():
    if not os.path.exists(VMDBG):
        print(f"not ok {VMDBG} exists")
        sys.exit(1)
    sys.exit(1 if _failed else 0)
