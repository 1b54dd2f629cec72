# SPDX-License-Identifier: GPL-2.0-or-later
"""vmdbg with --gdb, and the real gdb in front of it: in batch mode, and through MI."""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from remote import Remote
from vmdbg import BUILD, OBJ, SLOW, VMDBG, case, finish, guest, run, skip

GDB = shutil.which("gdb")
DEBIAN = os.path.abspath(os.path.join(BUILD, "debian"))
DEBIAN_KERNEL = [os.path.join(DEBIAN, "vmlinuz"), "--initrd", os.path.join(DEBIAN, "initrd.gz"), "--append",
                 "console=ttyS0 panic=-1"]
HANG = 400 * SLOW  # seconds after which something hangs; nothing is measured by it


def need_gdb(what):
    if GDB:
        return
    skip(what, "no gdb here")
    finish()


class Server:
    """vmdbg COMMAND --gdb=... ARGS, ready for a client."""

    def __init__(self, command, *args, address=None):
        self.dir = tempfile.mkdtemp(prefix="vmdbg-gdb-")
        self.address = address or os.path.join(self.dir, "socket")
        self.errors = ""
        self.ready = threading.Event()
        argv = [VMDBG, command, "--gdb=" + self.address, "--serial", "null", *map(str, args)]
        self.child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                      stderr=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.ready.wait(HANG)
        match = re.search(r"waiting for GDB at (\S+)", self.errors)
        if not match:
            self.stop()
            raise RuntimeError(f"vmdbg {command} --gdb is not ready: {self.errors.strip() or self.child.returncode}")
        self.address = match[1].rstrip(".,;")

    def _read(self):
        for line in self.child.stderr:
            self.errors += line
            if "waiting for GDB at" in line:
                self.ready.set()
        self.ready.set()

    def remote(self, **kw):
        return Remote(self.address, **kw)

    def running(self):
        return self.child.poll() is None

    def wait(self, timeout=HANG):
        """Exit status; None: it still runs."""
        try:
            status = self.child.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
        self.reader.join(timeout)
        return status

    def stop(self):
        """Ctrl-C. The exit status, None for a server that had to be killed."""
        if self.running():
            self.child.send_signal(signal.SIGINT)
        status = self.wait(20 * SLOW)
        if status is None:
            self.child.kill()
            self.child.wait()
        shutil.rmtree(self.dir, ignore_errors=True)
        return status

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()


def gdb_environment():
    """Nothing of the user's: no history, no settings."""
    return {**os.environ, "HOME": "/nonexistent", "DEBUGINFOD_URLS": "", "LC_ALL": "C.UTF-8", "TERM": "dumb"}


SETTINGS = ["set confirm off", "set pagination off", "set width 0", "set height 0", "set debuginfod enabled off",
            "set startup-quietly on", f"set remotetimeout {HANG}"]


def batch(server, commands, elf=None, kind="remote", first=(), timeout=HANG):
    """gdb -batch: @first, `target @kind`, then these commands one after the other. All that it printed."""
    argv = [GDB, "-nx", "-q", "-batch"]
    for line in SETTINGS:
        argv += ["-iex", line]
    for line in [*first, f"target {kind} {server.address}", *commands]:
        argv += ["-ex", line]
    if elf:
        argv.append(elf)
    try:
        result = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                env=gdb_environment(), timeout=timeout, text=True, errors="replace")
        return result.stdout
    except subprocess.TimeoutExpired as e:
        return (e.stdout or b"").decode("utf-8", "replace") + f"\n[no end within {timeout} s]\n"


class GdbError(Exception):
    pass


def parse_value(s, i):
    """A value of MI's output syntax at s[i]: (value, index behind it). Lists of results become lists of (name, value)."""
    if s[i] == '"':
        out, i = [], i + 1
        while s[i] != '"':
            if s[i] == "\\":
                i += 1
                octal = re.match(r"[0-7]{3}", s[i:])
                out.append(chr(int(octal[0], 8)) if octal else {"n": "\n", "t": "\t", "e": "\033"}.get(s[i], s[i]))
                i += 3 if octal else 1
            else:
                out.append(s[i])
                i += 1
        return "".join(out), i + 1
    if s[i] == "{":
        results, i = {}, i + 1
        while s[i] != "}":
            name, value, i = parse_result(s, i)
            results[name] = value
            i += s[i] == ","
        return results, i + 1
    items, i = [], i + 1  # '['
    while s[i] != "]":
        if s[i] in '"{[':
            value, i = parse_value(s, i)
        else:
            name, value, i = parse_result(s, i)
            value = (name, value)
        items.append(value)
        i += s[i] == ","
    return items, i + 1


def parse_result(s, i):
    equals = s.index("=", i)
    value, end = parse_value(s, equals + 1)
    return s[i:equals], value, end


def parse_results(s):
    results, i = {}, 0
    while i < len(s):
        name, value, i = parse_result(s, i)
        results[name] = value
        i += 1  # ','
    return results


class Mi:
    """gdb --interpreter=mi3, connected."""

    def __init__(self, server, elf=None, first=()):
        self.console = ""  # of the last command
        self.child = subprocess.Popen([GDB, "-nx", "-q", "--interpreter=mi3", *([elf] if elf else [])],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                      env=gdb_environment(), text=True, errors="replace", bufsize=1)
        self.guard = threading.Timer(4 * HANG, self.child.kill)
        self.guard.daemon = True
        self.guard.start()
        try:
            for line in [*SETTINGS, *first]:
                self.cli(line)
            self.command(f"-target-select remote {server.address}")
        except GdbError:
            self.close()
            raise

    def close(self):
        self.guard.cancel()
        if self.child.poll() is None:
            try:
                self.child.stdin.write("-gdb-exit\n")
                self.child.stdin.close()
            except OSError:
                pass
            try:
                self.child.wait(20)
            except subprocess.TimeoutExpired:
                self.child.kill()
        self.child.stdout.close()
        self.child.wait()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def _line(self):
        line = self.child.stdout.readline()
        if not line:
            raise GdbError("gdb has gone: " + self.console[-400:])
        return line.rstrip("\n")

    def _until(self, kinds):
        """Reads up to a record of one of these kinds: (class, results)."""
        while True:
            line = self._line()
            if line[:1] in ("~", "@"):
                self.console += parse_value(line, 1)[0]
            elif line[:1] in kinds:
                name, _, rest = line[1:].partition(",")
                return name, parse_results(rest)

    def command(self, text):
        """An MI command's results; GdbError with gdb's words when it fails."""
        self.console = ""
        self.child.stdin.write(text + "\n")
        name, results = self._until("^")
        if name == "error":
            raise GdbError(results.get("msg", "") + self.console)
        return results

    def cli(self, line):
        """A command of gdb's own language; what it printed."""
        escaped = line.replace("\\", "\\\\").replace('"', '\\"')
        self.command(f'-interpreter-exec console "{escaped}"')
        return self.console

    def resume(self, text):
        """An execution command; the *stopped record. What was printed meanwhile is in console."""
        self.command(text)
        return self.stopped()

    def stopped(self):
        while True:
            name, results = self._until("*")
            if name == "stopped":
                return results

    def value(self, expression):
        return self.command(f'-data-evaluate-expression "{expression}"')["value"]

    def number(self, expression):
        """An expression as a number, whatever its type."""
        return int(self.value(f"(unsigned long long)({expression})"))

    def registers(self):
        """All of them, as raw hex."""
        values = self.command("-data-list-register-values --skip-unavailable r")["register-values"]
        return {v["number"]: v["value"] for v in values}


def symbols(elf):
    """{name: address}"""
    text = subprocess.run(["nm", elf], stdout=subprocess.PIPE, text=True, check=True).stdout
    return {name: int(addr, 16) for addr, _, name in (line.split() for line in text.splitlines() if line[:1] != " ")}


def traces():
    path = os.path.abspath(os.path.join(OBJ, "scratch", "gdb-traces"))
    os.makedirs(path, exist_ok=True)
    return path


def recorded(name, *args, sources=(), statuses=(0, 33), timeout=60):
    """The trace NAME, recorded once a build by `record ARGS`; the test ends when that fails."""
    trace = os.path.join(traces(), name + ".vmt")
    newest = max(os.path.getmtime(f) for f in (VMDBG, *sources))
    if os.path.exists(trace) and os.path.getmtime(trace) > newest:
        return trace
    new = f"{trace}.{os.getpid()}"
    result = run("record", "--force", "--serial", "null", "-o", new, *args, timeout=timeout)
    if result.status not in statuses:
        case(f"record {name}", False, result.describe())
        finish()
    os.rename(new, trace)
    return trace


def recorded_guest(name, *args, memory="8M"):
    return recorded(f"{name}-{memory}", "-m", memory, *args, guest(name), sources=[guest(name)])


def debian_files():
    """False, with a skipped case, where Debian's kernel can't be had."""
    script = os.path.join(os.path.dirname(__file__), "..", "replay", "debian-kernel.sh")
    fetch = subprocess.run([script, DEBIAN], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if fetch.returncode == 77:
        skip("Debian's kernel", fetch.stdout.strip())
        return False
    return case("Debian's kernel and an initramfs", fetch.returncode == 0, fetch.stdout)


def recorded_debian():
    return recorded("debian", *DEBIAN_KERNEL, sources=[DEBIAN_KERNEL[0], DEBIAN_KERNEL[2]], statuses=(0,), timeout=300)


SEEKS = 100


def look(remote, areas):
    """Position, registers and digests of memory, to be compared."""
    return remote.when(), remote.state(), remote.ask_many([f"qCRC:{addr:x},{length:x}" for addr, length in areas])


def straight(trace, places, areas):
    """What a server that only goes forwards sees at these places."""
    with Server("replay", trace) as server:
        remote = server.remote()
        remote.monitor("address physical")
        seen = {}
        for place in sorted(places):
            remote.seek(place)
            seen[place] = look(remote, areas[place])
        return seen


def at_random(remote, places, areas):
    """The same in any order, with a few steps in between: what is kept for a place must not be what is shown."""
    seen = []
    for place in places:
        said = remote.seek(place)
        seen.append((look(remote, areas[place]), said))
        for step in ("bs", "bs", "s"):
            remote.ask(step)
    return seen


def compare_seeks(title, remote, trace, areas_of, rng):
    """Random seeks of @remote, which stands at the end of @trace, against a straight replay. @areas_of(n): the
    physical memory, as (address, length), that is compared after the n-th. Returns the places."""
    places = [rng.randrange(1, int(remote.when().split("+")[0])) for _ in range(SEEKS)]
    areas = {p: areas_of(n) for n, p in enumerate(places)}
    with ThreadPoolExecutor(1) as beside:
        expected = beside.submit(straight, trace, places, areas)
        remote.monitor("address physical")
        found = at_random(remote, places, areas)
        remote.monitor("address linear")
        expected = expected.result()
    wrong = []
    for n, (place, (seen, said)) in enumerate(zip(places, found)):
        wanted = expected[place]
        if seen != wanted:
            wrong.append(f"seek {n} to {place}: at {seen[0]}: {remote.explain(seen[1], wanted[1])}; memory "
                         f"{'as' if seen[2] == wanted[2] else 'not as'} expected {said}")
    case(f"{title}: {SEEKS} random seeks, registers and memory as in a straight replay", not wrong,
         f"{len(wrong)} differ\n" + "\n".join(wrong[:5]))
    return places


def guarded(function, *args):
    """A test that breaks down is one failed case, and the next one runs."""
    try:
        function(*args)
    except Exception as e:  # whatever it was, it is told
        where = e.__traceback__
        while where.tb_next:
            where = where.tb_next
        name = getattr(function, "__name__", str(function))
        case(f"{name} ran through", False,
             f"{type(e).__name__}: {e} ({os.path.basename(where.tb_frame.f_code.co_filename)}:{where.tb_lineno})")


def stopwatch():
    begin = time.monotonic()
    return lambda: time.monotonic() - begin


def main(*tests):
    """Runs those named on the command line, or all."""
    for test in tests:
        if len(sys.argv) < 2 or test.__name__ in sys.argv[1:]:
            guarded(test)
    finish()
