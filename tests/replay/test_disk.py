#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest with a disk: recorded, and replayed without the image; with --embed none, replayed with it."""
import hashlib
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from vmdbg import case, finish, guest, one_line, run, same, scratch  # noqa: E402

SECTORS = 16385


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).digest()


def main():
    d = scratch("disk")
    image, trace, named = (os.path.join(d, name) for name in ("disk.img", "t.vmt", "named.vmt"))
    with open(image, "wb") as f:
        for n in range(SECTORS):
            f.write(n.to_bytes(2, "little") * 256)
    before = digest(image)
    rec = run("record", "--serial", f"file:{d}/rec.txt", "--disk", image, "-o", trace, guest("disk64"))
    case("record with a disk", rec.status == 33, rec.describe())
    with open(f"{d}/rec.txt") as f:
        claims = [line.strip() for line in f if line.startswith(("ok ", "not ok "))]
    for line in claims:
        case(f"disk64: {line.split('ok ', 1)[1]}", line.startswith("ok "), line)
    case("disk64 ran to its end", len(claims) == 10, len(claims))
    case("the image is as it was", digest(image) == before)
    again = run("record", "--serial", "null", "--disk", image, "-o", f"{d}/again.vmt", guest("disk64"))
    case("recorded twice: the same file", again.status == 33 and same(trace, f"{d}/again.vmt"), again.describe())
    case("only the blocks that were read are in the trace", os.path.getsize(trace) < 64 * 1024, os.path.getsize(trace))
    verify = run("trace", "verify", trace)
    case("trace verify", verify.status == 0, verify.describe())

    rec = run("record", "--serial", "null", "--embed", "none", "--disk", image, "-o", named, guest("disk64"))
    case("record with --embed none", rec.status == 33, rec.describe())
    os.rename(image, image + ".away")
    rep = run("replay", "--serial", f"file:{d}/rep.txt", trace)
    case("replay without the image", rep.status == 0, rep.describe())
    case("same console bytes", same(f"{d}/rec.txt", f"{d}/rep.txt"))
    kernel = ["--kernel", guest("disk64")]
    rep = run("replay", *kernel, named)
    case("--embed none: the image is asked for", rep.status == 2 and one_line(rep.errors()), rep.describe())
    rep = run("replay", "--serial", "null", *kernel, "--disk", image + ".away", named)
    case("--embed none: replay with it", rep.status == 0, rep.describe())
    with open(image + ".away", "r+b") as f:
        f.seek(12345)
        f.write(b"x")
    rep = run("replay", "--serial", "null", *kernel, "--disk", image + ".away", named)
    case("an image that isn't the recorded one is refused", rep.status == 2 and one_line(rep.errors()), rep.describe())
    for what, path, content in (("an empty image", "empty", b""), ("an image of no whole sectors", "odd", b"x" * 700)):
        with open(os.path.join(d, path), "wb") as f:
            f.write(content)
        rec = run("record", "--disk", os.path.join(d, path), "-o", f"{d}/no.vmt", guest("disk64"))
        case(f"{what}: refused", rec.status == 2 and one_line(rec.errors()), rec.describe())
    rec = run("record", "--disk", f"{d}/missing", "-o", f"{d}/no.vmt", guest("disk64"))
    case("a missing image: refused", rec.status == 2 and one_line(rec.errors()), rec.describe())
    finish()


if __name__ == "__main__":
    main()
