#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What `vmdbg trace` shows of checkpoints and of chunks that it doesn't know."""
import base64
import json
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from vmdbg import case, finish, run  # noqa: E402

# Six chunks of unknown types (four of characters, two not), a full checkpoint at position 1000 with two pages and a
# disk block, and one at 2000000 in which one of the pages is zeroes.
TRACE = (
    "j1ZNVA0KGgoCAAEAAAAAAAAAAAAAAAAAPfGldHdVcTJNQUNIAAAAAAAAAAAAAAAAAAAAAAAAAAANAAAADQAAAHwkNglTN/7c+8AY"
    "3otdtqBtYWNoaW5lIHRlc3QKWFlaMAAAAAAAAAAAAAAAAAAAAAAAAAAAAwAAAAMAAABQOS+JlF+veEM5QnwFyphNYWJjWFlaMQAA"
    "AAAAAAAAAAAAAAAAAAAAAAAAAwAAAAMAAABQOS+JlF+veJvuyEp6ci+iYWJjWFlaMgAAAAAAAAAAAAAAAAAAAAAAAAAAAwAAAAMA"
    "AABQOS+JlF+veLFQWHMPonQ+YWJjWFlaMwAAAAAAAAAAAAAAAAAAAAAAAAAAAwAAAAMAAABQOS+JlF+veKOhWO/c6exnYWJjBAMC"
    "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAwAAAAMAAABQOS+JlF+veFAX0L+l7shZYWJjBQMCAQAAAAAAAAAAAAAAAAAAAAAAAAAAAwAA"
    "AAMAAABQOS+JlF+vePyOAc91tG6hYWJjUEFHRQEAAADoAwAAAAAAAAAAAAAAAAAAHAAAAAAwAABL7P+LsGBP9vZDJjJ7ER/RKLUv"
    "/WAAL5UAACABAAEAAwQv/R+AA/YP8P4BFkNIS1ABAAAA6AMAAAAAAAAAAAAAAQAAgCkAAACTAAAAbnKeXo4CM83+LhwxbhHUNCi1"
    "L/0gkwUBAJgA/wEAZAEABHNvZnQJAgYKAgECBABt2MqDaQCOCYAFQ0hLUAEAAACAhB4AAAAAAAAAAAABAAAAKAAAAJEAAADVPuU/"
    "SEMwAdgQ3iDXcOCTKLUv/SCR/QAAkAD/AQBkAQAEc29mdAkDAQcDAAQAbSjKg2kAjgmABUlORFgBAAAAAAAAAAAAAAAAAAAAAAAA"
    "AFsAAACnAAAADCy2mh0vtofwkV6/tk3poSi1L/0gp5UCAJQDTUFDSAAADQ0AWFlaMAAAAwMxMjMEAwIBBVBBR0UB0A8cgGAAAENI"
    "S1ABACmTAQEAAICwgvQBKJEACyCw4wEHFTrC+gG7iyPuOtYuxvCMHQFWTVRSQUlMCowCAAAAAAAACgAAAAAAAAAkTvg4qvkhCw=="
)
UNKNOWN = ["unknown XYZ0", "unknown XYZ1", "unknown XYZ2", "unknown XYZ3", "unknown 01020304", "unknown 01020305"]


def main():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a.vmt")
        with open(path, "wb") as f:
            f.write(base64.b64decode(TRACE))
        info = run("trace", "info", "--json", path)
        shown = json.loads(info.text()) if info.status == 0 else {}
        chunks = shown.get("chunks", {})
        case("info: each unknown type has its row", [k for k in chunks if k.startswith("unknown")] == UNKNOWN, chunks)
        case("info: and its own number", all(chunks.get(k, {}).get("chunks") == 1 for k in UNKNOWN), chunks)
        points = {"positions": [1000, 2000000], "pages": 3, "trace_begins_there": False}
        case("info: checkpoints", shown.get("checkpoints") == points, shown.get("checkpoints"))
        case("info: format 2", shown.get("format") == 2, shown.get("format"))
        text = run("trace", "info", path).text()
        case("info: checkpoints in words", "2, from position 1,000 to 2,000,000" in text, text)
        dump = run("trace", "dump", path)
        lines = [line.split(None, 2) for line in dump.text().splitlines()]
        told = [rest for _, kind, rest in lines if kind == "checkpoint"]
        case("dump: two checkpoints", dump.status == 0 and len(told) == 2, dump.describe())
        case("dump: the first is full", told and told[0].startswith("full, 2 pages, 1 disk blocks,"), told)
        case("dump: the second is not", told and told[-1].startswith("difference, 1 pages, 0 disk blocks,"), told)
        case("dump: pages", [rest for _, kind, rest in lines if kind == "pages"] == ["0 to 2"], lines)
        verify = run("trace", "verify", path)
        case("verify: whole", verify.status == 0, verify.describe())
    finish()


if __name__ == "__main__":
    main()
