"""Reading an export: the naive way, ``json.load`` of the whole file, and personad's; each in a separate process.

Run as ``python -m tests.bench.baselines.reading naive|personad FILE``; prints the seconds, and the bytes of memory on
top of what the process had before.
"""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

from worker.history.reading import History


def naive(path: Path) -> int:
    with path.open("rb") as file:
        return len(json.load(file))


def personad(path: Path) -> int:
    return sum(len(found.talk.key()) // 64 for found in History(path, "chatgpt").talks())


def peak() -> int:
    """Return the peak memory of this process in bytes (VmHWM).

    https://man7.org/linux/man-pages/man5/proc_pid_status.5.html
    """
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


if __name__ == "__main__":
    way = {"naive": naive, "personad": personad}[sys.argv[1]]
    before, begun = peak(), time.perf_counter()
    count = way(Path(sys.argv[2]))
    print(json.dumps({"count": count, "seconds": time.perf_counter() - begun, "memory": peak() - before}))
