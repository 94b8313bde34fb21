"""What processes cost: memory and processor time, from /proc."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final, NamedTuple

import psutil

_FIELD: Final = re.compile(r"^(\w+):\s+(\d+) kB$", re.MULTILINE)
_TICK: Final = 1 / os.sysconf("SC_CLK_TCK")


class Memory(NamedTuple):
    """Bytes: resident; proportional (shared pages divided among their users); unique (what ends with the process)."""

    rss: int
    pss: int
    uss: int


def memory(pid: int) -> Memory:
    """Read a process's memory (proc(5), smaps_rollup)."""
    fields = {name: int(kb) * 1024 for name, kb in _FIELD.findall(Path(f"/proc/{pid}/smaps_rollup").read_text())}
    return Memory(fields["Rss"], fields["Pss"], fields["Private_Clean"] + fields["Private_Dirty"])


def tree(pid: int) -> list[int]:
    """List a process and all its descendants."""
    root = psutil.Process(pid)
    return [pid, *(child.pid for child in root.children(recursive=True))]


def pss(pid: int) -> int:
    """Bytes that a process and its descendants take together."""
    return sum(memory(one).pss for one in tree(pid))


def processor_seconds(pid: int) -> float:
    """User and system time of a process and its descendants so far."""
    ticks = 0
    for one in tree(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks * _TICK
