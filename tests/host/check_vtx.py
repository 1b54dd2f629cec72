#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The VT-x module and engine, tested for real: Debian's cloud kernel boots in Bochs, which has VT-x, loads vmdbg.ko and
runs the batch of tests in one go; traces recorded there are replayed on soft here. `make check-vtx` calls this."""
import argparse
import base64
import glob
import os
import re
import shutil
import subprocess
import sys
import threading
import time

BUILD = os.environ.get("BUILD", "build")
HOSTDIR = os.path.abspath(os.environ.get("HOSTDIR", os.path.join(BUILD, "host")))
VMDBG = os.path.abspath(os.environ.get("VMDBG", "./vmdbg"))
# Another Bochs than the one installed: BOCHS is its command, or a script that sets LTDL_LIBRARY_PATH and BXSHARE and runs it.
BOCHS = os.environ.get("BOCHS", "bochs")
HERE = os.path.dirname(os.path.abspath(__file__))
MEMORY = 512
# A tick of Bochs' TSC is an instruction, of which "ips" says how many make a second: not what its CPUID says.
# Bochs 2.7 tells sizes for XSAVES and XSAVEC that Linux takes for broken, and would then do without XSAVE.
CMDLINE = ("quiet cryptomgr.notests random.trust_cpu=on no_timer_check tsc=reliable nokaslr mitigations=off "
           "clearcpuid=321,323 tsc_early_khz=100000 panic=-1 slub_debug=FZP,kmalloc-*")
# What else Debian's kernel has for finding faults, and makes a panic of whatever it complains about; on the serial console,
# where it outlives the machine. It is built without KASAN, KFENCE, lockdep, page poisoning and DEBUG_VM.
DEBUG = (" console=ttyS0 init_on_alloc=1 init_on_free=1 slub_debug=FZPU,kmalloc-* oops=panic panic_on_warn=1 softlockup_panic=1 "
         "sysctl.kernel.hung_task_timeout_secs=20 sysctl.kernel.hung_task_panic=1")
# int64 isn't among them: it keeps flags that the manual leaves undefined (OF after a shift by several), and Bochs has others
# than soft. Its traces replay, since there they are gone by the next digest.
SAFE = ["plain64", "hello32", "hello64", "pm32", "paging64", "cpu64", "fpu64"]
# The same with shadow page tables: every format of page tables, each flag and right.
SHADOWED = {"sys_page_a2032": "", "paging64": "", "bad_tables64": 100000, "sys_page32": 100000, "sys_page64": 60000}
# Guests that run freely, and what can't be the same on both. Bochs doesn't set RF between two iterations of a REP (SDM 3B
# 18.3.1.1); fpu64 stores x87 pointers, and real16 and free64 look at the time.
FREE = {name: "" for name in SAFE}
FREE.update({"cpu64": "--console --but 'between iterations pushes RF' --but done:", "fpu64": "--console", "real16": "--console",
             "free64": "--console --but sum", "sys_page_a2032": "--console"})
BOCHSRC = """\
cpu: model=corei7_skylake_x, count={cpus}, ips=100000000, reset_on_triple_fault=0
memory: guest={memory}, host={memory}
romimage: file=$BXSHARE/BIOS-bochs-latest
vgaromimage: file=$BXSHARE/VGABIOS-lgpl-latest
ata0: enabled=1
ata0-master: type=disk, path={disk}, mode=flat
boot: disk
display_library: rfb, options="timeout=0"
sound: driver=dummy
plugin_ctrl: es1370=0, sb16=0, speaker=0, gameport=0, e1000=0, ne2k=0, usb_uhci=0
com1: enabled=1, mode=file, dev={serial}
clock: sync=none
port_e9_hack: enabled=1
log: {log}
panic: action=fatal
error: action=ignore
info: action=ignore
"""


def fail(text):
    print(f"not ok {text}")
    sys.exit(1)


def run(*argv, **kw):
    return subprocess.run(argv, check=True, **kw)


def kernel_version(path):
    with open(path, "rb") as f:
        image = f.read()
    at = int.from_bytes(image[0x20e:0x210], "little") + 0x200
    return image[at:at + 80].split(b" ")[0].decode()


def kernel():
    """Debian's cloud kernel, of the version that the module was built for. One fetched long ago is fetched anew, and so is
    one without its KVM modules."""
    folder = os.path.join(BUILD, "debian")
    path = os.path.join(folder, "vmlinuz")
    with open(os.path.join(HOSTDIR, "vmdbg.ko"), "rb") as f:
        magic = re.search(rb"vermagic=(\S*)", f.read())
    wanted = magic[1].decode() if magic else "nothing"
    if os.path.exists(path) and (kernel_version(path) != wanted or not os.path.exists(os.path.join(folder, "kvm", "kvm.ko"))):
        os.unlink(path)
    got = subprocess.run(["sh", "tests/replay/debian-kernel.sh", folder], stdout=subprocess.PIPE, text=True)
    if got.returncode:
        fail(f"Debian's kernel: {got.stdout.strip()}")
    if kernel_version(path) != wanted:
        fail(f"{path} is {kernel_version(path)}, vmdbg.ko was built for {wanted}: upgrade linux-headers-cloud-amd64 and "
             f"remove {HOSTDIR}")
    return path


class Root:
    """The files of the initramfs."""

    def __init__(self, folder):
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        for name in ("bin", "proc", "sys", "dev", "tmp", "lib64", "guest", "trace"):
            os.makedirs(os.path.join(folder, name))

    def put(self, source, name, strip=False):
        to = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(to), exist_ok=True)
        if strip:
            run("strip", "-g", "-o", to, source)
        else:
            shutil.copy(source, to)
        os.chmod(to, 0o755)

    def program(self, source, name):
        self.put(source, name, strip=True)
        text = subprocess.run(["ldd", source], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
        for lib in re.findall(r"(?:=> )?(/\S+) \(0x", text):
            self.put(os.path.realpath(lib), lib.lstrip("/") if lib.startswith("/lib64") else
                     "lib64/" + os.path.basename(lib))

    def write(self, name, text):
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(os.path.join(self.folder, name), 0o755)

    def pack(self, to):
        names = subprocess.run(["find", ".", "-mindepth", "1"], cwd=self.folder, stdout=subprocess.PIPE, check=True)
        with open(to, "wb") as f:
            run("cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0", cwd=self.folder,
                input=b"\n".join(sorted(names.stdout.split())) + b"\n", stdout=f)


INIT = """\
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin LD_LIBRARY_PATH=/lib64
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
# The kernel turns huge pages off where memory is as small as here.
echo madvise >/sys/kernel/mm/transparent_hugepage/enabled
say() { echo "$@" | e9; }
# t SECONDS NAME COMMAND...: its lines, and one of its own if it fails without one or takes too long.
t() {
	limit=$1 name=$2
	shift 2
	{ timeout -s KILL $limit "$@" 2>&1 </dev/null; echo $? >/tmp/status; } | tee /tmp/out | e9
	status=$(cat /tmp/status)
	[ $status = 0 ] || grep -q '^not ok' /tmp/out || say "not ok $name: exit status $status"
}
# give FILE NAME: out of the machine.
give() {
	say "@begin $2"
	base64 $1 | e9
	say "@end $2"
}
# record NAME GUEST OPTIONS...: on vtx; the trace is given out. Left through isa-debug-exit with 33, or cut by --until.
record() {
	name=$1 guest=$2
	shift 2
	timeout -s KILL 100 vmdbg record --engine vtx --serial file:/tmp/$name.txt -o /tmp/$name.vmt "$@" /guest/$guest \\
		>/tmp/out 2>&1 </dev/null
	status=$?
	case $status in
	0|33) say "ok record $name on vtx" ;;
	*) e9 </tmp/out; say "not ok record $name on vtx: exit status $status" ;;
	esac
	give /tmp/$name.vmt $name.vmt
}
# replay NAME OPTIONS... TRACE: on vtx.
replay() {
	name=$1
	shift
	timeout -s KILL 100 vmdbg replay --engine vtx --serial null "$@" >/tmp/out 2>&1 </dev/null
	status=$?
	[ $status = 0 ] && say "ok replay $name on vtx" || { sed 's/^/# /' /tmp/out | e9; say "not ok replay $name on vtx: exit status $status"; }
}
# fails NAME COMMAND...: without the right to lock memory, which the module needs; the user is told.
fails() {
	name=$1
	shift
	mkdir -p /etc
	echo 'nobody:x:65534:65534::/:/bin/sh' >/etc/passwd
	(ulimit -l 8; su nobody -s /bin/sh -c "PATH=/bin LD_LIBRARY_PATH=/lib64 $*" >/tmp/out 2>&1 </dev/null)
	status=$?
	[ $status = 70 ] && grep -q 'vmdbg.ko cannot run the vCPU: .*RLIMIT_MEMLOCK' /tmp/out && say "ok $name says why the engine failed" ||
		{ sed 's/^/# /' /tmp/out | e9; say "not ok $name says why the engine failed: exit status $status"; }
}
@TESTS@
dmesg | grep -E 'BUG|Oops|WARNING|general protection|unable to handle|vmdbg: CPU|INFO: task|Redzone|Poison' >/tmp/bad
if [ -s /tmp/bad ]; then dmesg | tail -n 60 | sed 's/^/# /' | e9; say "not ok the kernel's log is clean"
else say "ok the kernel's log is clean"; fi
say "@done"
@END@
"""


def init(tests, end="e9 quit"):
    return INIT.replace("@TESTS@", tests).replace("@END@", end)


class Bochs:
    """One boot. Lines of the guest's port E9 go to @line as they come."""

    def __init__(self, name, cpus=1, cmdline=CMDLINE):
        self.folder = os.path.join(HOSTDIR, name)
        os.makedirs(self.folder, exist_ok=True)
        self.cpus = cpus
        self.cmdline = cmdline
        self.done = False
        self.files = {}

    def path(self, name):
        return os.path.join(self.folder, name)

    def boot(self, root, seconds, line):
        disk, initrd = self.path("disk.img"), self.path("initrd")
        root.pack(initrd)
        run(os.path.join(HOSTDIR, "image"), disk, os.path.join(HOSTDIR, "boot.bin"), kernel(), initrd, str(MEMORY),
            self.cmdline)
        for lock in glob.glob(disk + "*.lock"):
            os.unlink(lock)
        with open(self.path("bochsrc"), "w", encoding="utf-8") as f:
            f.write(BOCHSRC.format(memory=MEMORY, disk=disk, serial=self.path("serial.txt"), log=self.path("bochs.log"),
                                   cpus=self.cpus))
        child = subprocess.Popen(["timeout", "-s", "KILL", str(seconds), BOCHS, "-q", "-f", self.path("bochsrc")],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        child.stdin.write(b"c\n")
        child.stdin.close()
        name, body = None, []
        with open(self.path("out.txt"), "wb") as log:
            for raw in child.stdout:
                log.write(raw)
                text = re.sub(r"^<bochs:\d+> (c\n?)?", "", raw.decode("utf-8", "replace")).rstrip("\r\n")
                if text.startswith("@begin "):
                    name, body = text[7:], []
                elif text.startswith("@end "):
                    self.keep(name, body)
                    name = None
                elif name is not None:
                    body.append(text)
                elif text == "@done":
                    self.done = True
                elif not text.startswith(("(0).[", "bx_dbg")):  # Bochs' debugger looks at a triple fault, and goes on
                    line(text)
        child.stdout.close()
        child.wait()
        os.unlink(disk)

    def keep(self, name, body):
        path = self.path(os.path.basename(name))
        try:
            with open(path, "wb") as f:
                f.write(base64.b64decode("".join(body)))
            self.files[name] = path
        except ValueError:
            pass


class Results:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.figures = []
        self.notes = []
        self.failures = []
        self.last = time.monotonic()

    def line(self, text):
        match = re.match(r"(ok|not ok|skip) (.*)", text)
        if text.startswith("#"):
            self.notes.append(text)
            return
        if text.startswith("= "):
            self.figures.append(text[2:])
            return
        if not match:
            return
        if match[1] == "ok":
            self.passed += 1
        elif match[1] == "skip":
            self.skipped += 1
        else:
            self.failed += 1
            self.failures.append(match[2])
            for note in self.notes[-40:]:
                print(note)
        self.notes = []
        now = time.monotonic()
        print(f"{match[1]:7}{match[2]:70}{now - self.last:6.1f} s" if now - self.last > 0.5 else f"{match[1]:7}{match[2]}",
              flush=True)
        self.last = now

    def case(self, good, name, why=""):
        for text in str(why).splitlines() if not good else []:
            self.line("# " + text)
        self.line(("ok " if good else "not ok ") + name)

    def finish(self, seconds):
        if self.figures:
            print("\n" + "\n".join(self.figures))
        print(f"\nvtx: {self.passed} passed, {self.failed} failed, {self.skipped} skipped, in {seconds:.0f} s")
        return 1 if self.failed or not self.passed else 0


def base_root(name, programs=("abi", "unstepped", "shadow", "lockstep", "freely", "fuzz", "bench", "beside")):
    root = Root(os.path.join(HOSTDIR, name))
    busybox = shutil.which("busybox")
    if not busybox:
        fail("no busybox here")
    root.put(busybox, "bin/busybox")
    root.put(os.path.join(HOSTDIR, "bin", "e9"), "bin/e9")
    root.put(os.path.join(HOSTDIR, "vmdbg.ko"), "vmdbg.ko")
    root.program(VMDBG, "bin/vmdbg")
    for program in programs:
        root.program(os.path.join(HOSTDIR, "bin", program), "bin/" + program)
    kernel()
    for path in glob.glob(os.path.join(BUILD, "debian", "kvm", "*.ko")):
        root.put(path, os.path.basename(path), strip=True)
    for path in glob.glob(os.path.join(BUILD, "guest", "*.elf")) + glob.glob(os.path.join(HOSTDIR, "guest", "*.elf")):
        root.put(path, "guest/" + os.path.basename(path)[:-4], strip=True)
    return root


def record_soft(root, name, guest, *options):
    """A trace of soft's for the replays on vtx."""
    path = os.path.join(HOSTDIR, f"soft-{name}.vmt")
    options = [] if "--mmu" in options else options
    subprocess.run([VMDBG, "record", "--engine", "soft", "--serial", "null", "-o", path, *options, guest],
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    root.put(path, f"trace/{name}.vmt")


def guest_path(name):
    for folder in (os.path.join(HOSTDIR, "guest"), os.path.join(BUILD, "guest")):
        path = os.path.join(folder, name + ".elf")
        if os.path.exists(path):
            return path
    fail(f"no guest {name}")


# The guests that are recorded on one engine and replayed on the other; "-shadow": with shadow page tables.
TRACED = {
    "mix64": (),
    "real16": (),
    "int64": (),
    "pm32": (),
    "sys_page_a2032": (),
    "irq64": ("--until", "insns:60000"),
    "pm32-shadow": ("--mmu", "shadow"),
}

# Recorded on vtx running freely, replayed freely there and on soft, then settled and replayed with counts. What soft cannot
# give in place of Bochs: in cpu64 the RF of above, in fpu64 the x87 opcode, which Bochs keeps of every instruction.
FREE_TRACED = ["free64", "hello32", "hello64", "paging64", "pm32", "real16", "sys_page_a2032", "pm32-shadow",
               "sys_page_a2032-shadow"]


def gdb_program():
    """gdb-minimal, unpacked and not installed: it needs no Python, which there isn't in the initramfs."""
    folder = os.path.join(HOSTDIR, "gdb")
    path = os.path.join(folder, "usr", "bin", "gdb")
    if not os.path.exists(path):
        os.makedirs(folder, exist_ok=True)
        subprocess.run(["apt-get", "-q", "download", "gdb-minimal"], cwd=folder, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        for deb in glob.glob(os.path.join(folder, "gdb-minimal_*.deb")):
            subprocess.run(["dpkg", "-x", deb, folder])
    return path if os.path.exists(path) else None


GDB_SOCKET = "/tmp/vtx-gdb.sock"
GDB_BATCH = f"""\
vmdbg replay --engine vtx --gdb={GDB_SOCKET} --serial null /trace/mix64.vmt >/tmp/out 2>&1 </dev/null &
while [ ! -S {GDB_SOCKET} ] && kill -0 $! 2>/dev/null; do sleep 0.1; done
LC_ALL=C timeout -s KILL 40 gdb -nx -batch -x /watch.gdb /mix64.elf >/tmp/gdb.txt 2>&1 </dev/null
kill $! 2>/dev/null
give /tmp/gdb.txt gdb.txt"""


def gdb_here(gdb, trace):
    """What the same gdb says of the same trace on soft."""
    if os.path.exists(GDB_SOCKET):
        os.unlink(GDB_SOCKET)
    server = subprocess.Popen([VMDBG, "replay", "--engine", "soft", f"--gdb={GDB_SOCKET}", "--serial", "null", trace],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not os.path.exists(GDB_SOCKET) and server.poll() is None:
        time.sleep(0.05)
    got = subprocess.run([gdb, "-nx", "-batch", "-x", os.path.join(HERE, "watch.gdb"),
                          os.path.join(HOSTDIR, "mix64-names.elf")], env={**os.environ, "LC_ALL": "C"},
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    server.kill()
    server.wait()
    return got.stdout


def compare_gdb(results, gdb, bochs):
    """Values before and after, places, registers: every line that gdb prints."""
    name = "gdb on vtx says what it says on soft: watchpoints, values, breakpoint, steps"
    if not gdb:
        results.line(f"skip {name}: apt-get download gdb-minimal gives nothing here")
        return
    if "gdb.txt" not in bochs.files:
        results.case(False, name, "gdb's output did not come out")
        return
    with open(bochs.files["gdb.txt"], encoding="utf-8", errors="replace") as f:
        there = f.read()
    here = gdb_here(gdb, os.path.join(HOSTDIR, "soft-mix64.vmt"))
    results.case(there == here and "New value = 2" in here, name, f"on vtx:\n{there}\non soft:\n{here}")


def batch(gdb):
    tests = ["insmod /vmdbg.ko 2>/tmp/out && say 'ok vmdbg.ko loads' || say 'not ok vmdbg.ko loads'",
             "t 20 abi abi", "t 20 unstepped unstepped", "t 20 shadow shadow", "t 20 abi-shadow abi --shadow",
             "t 10 doctor sh -c 'vmdbg doctor | grep -q \"vtx *yes\" && echo ok doctor finds vtx'"]
    for name in SAFE + ["real16", "mix64", "edges64"]:
        tests.append(f"t 60 {name} lockstep /guest/{name} 2000")
    for name, options in FREE.items():
        tests.append(f"t 60 {name}-freely freely {options} /guest/{name}")
    for name in ("pm32", "paging64"):
        tests.append(f"t 60 {name}-freely-shadow freely --shadow {FREE[name]} /guest/{name}")
    for name, limit in (("sys_page_a2032", ""), ("irq64", 30000), ("bad_mmio64", 30000), ("bad_jump64", 18000), ("bad_out64", 18000),
                        ("bad_in64", 18000), ("bad_triple64", 100000), ("bad_tables64", 100000)):
        tests.append(f"t 60 {name} lockstep /guest/{name} 2000 {limit}")
    for name, limit in SHADOWED.items():
        tests.append(f"t 60 {name}-shadow lockstep --shadow /guest/{name} 2000 {limit}")
    for name in ("/guest/mix64", "/guest/int64", "/guest/pm32", "/guest/sys_page_a2032", "--shadow /guest/mix64"):
        tests.append(f"t 60 watch lockstep --watch {name} 40")
    for name, options in TRACED.items():
        tests.append(f"record {name} {name.split('-')[0]} --positions counted {' '.join(options)}")
        mmu = "--mmu shadow" if name.endswith("-shadow") else ""
        tests.append(f"replay {name}-of-soft {mmu} /trace/{name}.vmt")
    tests.append("replay mix64-of-vtx /tmp/mix64.vmt")
    for name in FREE_TRACED:
        guest, _, shadow = name.partition("-")
        mmu = f"--mmu {shadow}" if shadow else ""
        tests.append(f"record free-{name} {guest} {mmu}")
        tests.append(f"replay free-{name} {mmu} /tmp/free-{name}.vmt")
    if gdb:
        tests.append(GDB_BATCH.replace("\n", "; ").replace("&;", "&"))
    tests.append("chmod 666 /dev/vmdbg; fails record vmdbg record --engine vtx --serial null -o /tmp/fails.vmt /guest/mix64")
    tests.append("fails replay vmdbg replay --engine vtx --serial null /trace/mix64.vmt")
    tests.append("t 60 fuzz fuzz 1500")
    tests.append("t 30 bench bench")
    tests.append("{ insmod /irqbypass.ko && insmod /kvm.ko && insmod /kvm-intel.ko; } 2>/tmp/out || say 'not ok KVM loads'")
    tests.append("t 60 beside beside")
    tests.append("{ rmmod kvm_intel && rmmod kvm && rmmod irqbypass; } 2>/tmp/out || say 'not ok KVM unloads'")
    tests.append("rmmod vmdbg && say 'ok vmdbg.ko unloads' || say 'not ok vmdbg.ko unloads'")
    return "\n".join(tests)


# Sleep comes first: later, when more than 2^31 ticks have gone, Bochs 2.7 doesn't wake up.
SMP_BATCH = """\
insmod /vmdbg.ko 2>/tmp/out && say 'ok two CPUs: vmdbg.ko loads' || say 'not ok two CPUs: vmdbg.ko loads'
t 60 sleep smp --sleep
t 100 smp smp
cpu1=/sys/devices/system/cpu/cpu1/online
echo 0 >$cpu1; rmmod vmdbg && insmod /vmdbg.ko && echo 1 >$cpu1 && say 'ok loaded with a CPU away, which comes then' || say 'not ok loading with a CPU away'
t 30 abi sh -c 'abi | grep -Ev "^(ok|skip)"; taskset 2 abi | grep -c ^ok >/tmp/n; [ $(cat /tmp/n) -gt 100 ] && echo "ok the module alone, $(cat /tmp/n) cases on that CPU"'
(while [ ! -e /tmp/stop ]; do echo 0 >$cpu1; sleep 0.2; echo 1 >$cpu1; sleep 0.2; done) & toggle=$!
timeout -s KILL 100 fuzz 600 11 >/tmp/f1 & first=$!
timeout -s KILL 100 fuzz 600 12 >/tmp/f2; second=$?
wait $first; first=$?
touch /tmp/stop; wait $toggle; echo 1 >$cpu1
[ $first$second = 00 ] && say 'ok two fuzzers at once, 600 ioctls each, while a CPU comes and goes' || say "not ok two fuzzers at once: $first $second"
"""


class Smp(threading.Thread):
    """The boot with two CPUs, beside the other. Its last test is a restart, after which Bochs ends."""

    def __init__(self):
        super().__init__()
        self.lines = []
        self.root = base_root("root-smp", ("abi", "fuzz", "smp"))
        self.root.write("init", init(SMP_BATCH, "smp --restart"))
        self.bochs = Bochs("run-smp", cpus=2, cmdline=CMDLINE + DEBUG)

    def run(self):
        self.bochs.boot(self.root, 900, self.lines.append)

    def tell(self, results):
        self.join()
        for text in self.lines:
            results.line(text)
        with open(self.bochs.path("serial.txt"), encoding="utf-8", errors="replace") as f:
            log = f.read()
        end = "\n".join(log.splitlines()[-40:])
        results.case(self.bochs.done, "the batch on two CPUs ran to its end", end)
        results.case("Restarting system" in log and not re.search("Oops|BUG:|WARNING|invalid opcode|Kernel panic", log),
                     "the host restarts with two vCPUs that run", end)


def replay_freely(results, name, path):
    settled = path.replace(".vmt", "-settled.vmt")
    for argv, what in (
            (["replay", "--engine", "soft", "--serial", "null", path], "on soft here"),
            (["trace", "settle", "--force", "-o", settled, path], "gets counts"),
            (["replay", "--engine", "soft", "--serial", "null", settled], "with counts, on soft here")):
        got = subprocess.run([VMDBG, *argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        results.case(got.returncode == 0, f"{name}, recorded freely on vtx, {what}", got.stdout)


def check(only):
    begin = time.monotonic()
    results = Results()
    root = base_root("root")
    for name, options in TRACED.items():
        record_soft(root, name, guest_path(name.split("-")[0]), *options)
    gdb = gdb_program()
    if gdb:
        root.program(gdb, "bin/gdb")
        # Names, but no lines: gdb would show the sources, which are here and not there.
        run("objcopy", "--strip-debug", guest_path("mix64"), os.path.join(HOSTDIR, "mix64-names.elf"))
        root.put(os.path.join(HOSTDIR, "mix64-names.elf"), "mix64.elf")
        root.put(os.path.join(HERE, "watch.gdb"), "watch.gdb")
    smp = Smp() if not only or "smp" in only else None
    if smp:
        smp.start()
    lines = [text for text in batch(gdb).splitlines() if "insmod" in text or re.search(only, text)]
    root.write("init", init("\n".join(lines)))
    bochs = Bochs("run")
    bochs.boot(root, 900, results.line)
    if any("gdb" in text for text in lines) or not only:
        compare_gdb(results, gdb, bochs)
    if smp:
        smp.tell(results)
    results.case(bochs.done, "the batch ran to its end", f"see {bochs.path('out.txt')} and {bochs.path('bochs.log')}")
    for name in TRACED:
        path = bochs.files.get(name + ".vmt")
        if not path and not any(text.startswith(f"record {name} ") for text in lines):
            continue
        if not path:
            results.case(False, f"replay {name}, recorded on vtx, on soft here", "the trace did not come out")
            continue
        got = subprocess.run([VMDBG, "replay", "--engine", "soft", "--serial", "null", path], stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True)
        results.case(got.returncode == 0, f"replay {name}, recorded on vtx, on soft here", got.stdout)
    for name in FREE_TRACED:
        if f"free-{name}.vmt" in bochs.files:
            replay_freely(results, name, bochs.files[f"free-{name}.vmt"])
        elif any(text.startswith(f"record free-{name} ") for text in lines):
            results.case(False, f"{name}, recorded freely on vtx", "the trace did not come out")
    return results.finish(time.monotonic() - begin)


def linux():
    """Debian's kernel as the guest on vtx, for some minutes; what it said is what counts."""
    begin = time.monotonic()
    results = Results()
    root = base_root("root-linux", ("lockstep",))
    root.put(kernel(), "guest/vmlinuz")
    root.write("init", init("""\
insmod /vmdbg.ko
timeout -s INT 1500 vmdbg record --engine vtx --memory 96M --serial file:/tmp/linux.txt -o /tmp/linux.vmt \\
	--until pattern:'Linux version' --append 'console=ttyS0 earlyprintk=serial,ttyS0,115200' /guest/vmlinuz >/tmp/out 2>&1 </dev/null
tail -n 3 /tmp/out | sed 's/^/# /' | e9
grep -q 'Linux version' /tmp/linux.txt && say 'ok the guest kernel said its version' || say 'not ok the guest kernel said its version'
give /tmp/linux.txt linux.txt
give /tmp/linux.vmt linux.vmt"""))
    bochs = Bochs("run-linux")
    bochs.boot(root, 3000, results.line)
    results.case(bochs.done, "the run came to its end")
    for name in ("linux.vmt", "linux.vmt.partial"):
        if name in bochs.files:
            got = subprocess.run([VMDBG, "replay", "--engine", "soft", "--serial", "null", bochs.files[name]],
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            results.case(got.returncode == 0, "what was recorded replays on soft here", got.stdout)
    if "linux.txt" in bochs.files:
        with open(bochs.files["linux.txt"], encoding="utf-8", errors="replace") as f:
            print("".join("    " + text for text in f.readlines()[:12]))
    return results.finish(time.monotonic() - begin)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--linux", action="store_true")
    parser.add_argument("--only", default="", help="a regular expression: lines of the batch to run")
    args = parser.parse_args()
    sys.exit(linux() if args.linux else check(args.only))


if __name__ == "__main__":
    main()
