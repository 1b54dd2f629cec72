#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Traces that earlier versions wrote replay equal, and their guests' claims hold."""
import glob
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from vmdbg import case, finish, run  # noqa: E402


def main():
    traces = sorted(glob.glob("traces/golden/*.vmt"))
    case("there are golden traces", traces)
    for trace in traces:
        name = os.path.basename(trace)
        rep = run("replay", trace)
        case(f"{name}: replays equal", rep.status == 0, rep.describe())
        claims = [line for line in rep.text().splitlines() if line.startswith(("ok ", "not ok "))]
        case(f"{name}: its claims hold", claims and not any(line.startswith("not") for line in claims), len(claims))
        verify = run("trace", "verify", trace)
        case(f"{name}: whole", verify.status == 0, verify.describe())
    finish()


if __name__ == "__main__":
    main()
