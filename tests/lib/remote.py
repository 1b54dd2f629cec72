# SPDX-License-Identifier: GPL-2.0-or-later
"""A small client of GDB's remote protocol, for tests at the level of packets. Replies stay bytes; a reply with a '#' or
'}' in its data is only ever one of binary data, which unescape() decodes."""
import re
import socket
import xml.etree.ElementTree as ET

RUN = re.compile(rb"(.)\*(.)", re.S)
PATIENCE = 600  # seconds: a server that is silent for so long hangs


class Silent(Exception):
    """No whole answer came in time, or the connection was closed."""


def frame(data):
    if isinstance(data, str):
        data = data.encode("latin-1")
    return b"$%s#%02x" % (data, sum(data) & 255)


def unrun(data):
    """Run-length encoding undone: 'x*N' stands for x and N - 29 more of it."""
    return RUN.sub(lambda m: m[1] * (m[2][0] - 28), data) if b"*" in data else data


def unescape(data):
    return re.sub(rb"}(.)", lambda m: bytes([m[1][0] ^ 0x20]), data, flags=re.S)


def connect(address):
    if "/" in address:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(address)
    else:
        host, _, port = address.rpartition(":")
        sock = socket.create_connection((host.strip("[]") or "127.0.0.1", int(port)))
    return sock


class Remote:
    def __init__(self, address, features="multiprocess+;swbreak+;hwbreak+", patience=PATIENCE):
        self.sock = connect(address)
        self.sock.settimeout(patience)
        self.buffer = b""
        self.console = ""  # output of the last ask()
        self.acknowledge = True
        self._registers = None
        self.features = self.ask("qSupported:" + features).decode()
        self.acknowledge = self.ask("QStartNoAckMode") != b"OK"  # QEMU's stub doesn't know it

    def close(self):
        self.sock.close()

    def send(self, raw):
        self.sock.sendall(raw)

    def more(self):
        got = self.sock.recv(1 << 20)
        if not got:
            raise Silent("the server closed the connection")
        self.buffer += got

    def packet(self):
        """The next packet's data, acknowledgements skipped."""
        try:
            while True:
                begin = self.buffer.find(b"$")
                end = self.buffer.find(b"#", begin) if begin >= 0 else -1
                if 0 <= end < len(self.buffer) - 2:
                    data = self.buffer[begin + 1 : end]
                    self.buffer = self.buffer[end + 3 :]
                    if self.acknowledge:
                        self.send(b"+")
                    return unrun(data)
                self.more()
        except TimeoutError:
            raise Silent(f"no answer within {self.sock.gettimeout():.0f} s") from None

    def answer(self):
        """The next packet that isn't console output, which is kept."""
        self.console = ""
        while True:
            data = self.packet()
            if data[:1] != b"O" or data == b"OK":
                return data
            self.console += bytes.fromhex(data[1:].decode()).decode("utf-8", "replace")

    def ask(self, packet):
        self.send(frame(packet))
        return self.answer()

    def ask_many(self, packets):
        """All at once, for speed; the replies as they are on the wire, without console output."""
        self.send(b"".join(map(frame, packets)))
        replies = []
        try:
            while len(replies) < len(packets):
                end = self.buffer.rfind(b"#", 0, len(self.buffer) - 2)
                if end < 0:
                    self.more()
                    continue
                whole, self.buffer = self.buffer[: end + 3], self.buffer[end + 3 :]
                found = re.findall(rb"\$([^#]*)#..", whole, re.S)
                replies += [r for r in found if r[:1] != b"O" or r == b"OK"]
        except TimeoutError:
            raise Silent(f"{len(replies)} of {len(packets)} answers came") from None
        return replies

    def document(self, object_, annex=""):
        """A whole document of qXfer."""
        text = b""
        while True:
            data = self.ask(f"qXfer:{object_}:read:{annex}:{len(text):x},3fff0")
            if data[:1] not in (b"m", b"l"):
                raise ValueError(f"qXfer:{object_}: {data[:40]}")
            text += unescape(data[1:])
            if data[:1] == b"l":
                return text.decode()

    def registers(self):
        """[(name, bytes)] in the order of their numbers, from the target description."""
        if self._registers is None:
            found, number = {}, 0
            for reg in ET.fromstring(self.document("features", "target.xml")).iter("reg"):
                number = int(reg.get("regnum", number))
                found[number] = (reg.get("name"), int(reg.get("bitsize")) // 8)
                number += 1
            self._registers = [found[n] for n in range(len(found))]
            self.number = {name: n for n, (name, _) in enumerate(self._registers)}
            whole, self.in_g = len(self.ask("g")) // 2, 0
            while whole > 0:
                whole -= self._registers[self.in_g][1]
                self.in_g += 1
        return self._registers

    def state_packets(self):
        self.registers()
        return ["g"] + [f"p{n:x}" for n in range(self.in_g, len(self._registers))]

    def state(self):
        """All registers, to be compared with another state and taken apart by explain()."""
        return tuple(self.ask_many(self.state_packets()))

    def walk(self, packet, count):
        """After each of @count of @packet ('s' or 'bs') all registers."""
        each = [packet] + self.state_packets()
        states = []
        while count:
            some = min(count, 50)
            replies = self.ask_many(each * some)
            states += [tuple(replies[i + 1 : i + len(each)]) for i in range(0, len(replies), len(each))]
            count -= some
        return states

    def values(self, state):
        """{name: number} of a state(); None for one without a value."""
        self.registers()
        whole = unrun(state[0]).decode()
        fields = []
        for _, size in self._registers[: self.in_g]:
            fields.append(whole[: 2 * size])
            whole = whole[2 * size :]
        fields += [unrun(r).decode() for r in state[1:]]
        return {name: None if "x" in f else int.from_bytes(bytes.fromhex(f), "little")
                for (name, _), f in zip(self._registers, fields)}

    def explain(self, a, b):
        """The registers in which two states differ."""
        x, y = self.values(a), self.values(b)
        return ", ".join(f"{n} {x[n]:#x} and {y[n]:#x}" for n in x
                         if x[n] != y[n] and None not in (x[n], y[n])) or "no register"

    def reg(self, name):
        self.registers()
        return int.from_bytes(bytes.fromhex(self.ask(f"p{self.number[name]:x}").decode()), "little")

    def memory(self, addr, length):
        data = self.ask(f"m{addr:x},{length:x}").decode()
        return bytes.fromhex(data) if data[:1] != "E" else None

    def crc(self, addr, length):
        return self.ask(f"qCRC:{addr:x},{length:x}")

    def monitor(self, line):
        """What `monitor LINE` prints."""
        reply = self.ask("qRcmd," + line.encode().hex())
        return self.console if reply == b"OK" else f"{self.console}[{reply.decode()}]"

    def when(self):
        """The position as `monitor seek` takes it."""
        return self.monitor("when").split()[0]

    def seek(self, position):
        """What `monitor seek` said but that the position has changed."""
        lines = self.monitor(f"seek {position}").splitlines()
        return [line for line in lines if not line.startswith("The position has changed")]

    def set(self, kind, addr, length=1, tail=""):
        return self.ask(f"Z{kind},{addr:x},{length:x}{tail}") == b"OK"

    def clear(self, kind, addr, length=1):
        return self.ask(f"z{kind},{addr:x},{length:x}") == b"OK"


def stop_of(reply):
    """{'signal': 5, 'watch': '2004', ...} of a stop reply."""
    text = reply.decode()
    if text[:1] != "T":
        return {"signal": None, "reply": text}
    fields = dict(f.split(":", 1) for f in text[3:].split(";") if f)
    return {"signal": int(text[1:3], 16), **fields}
