"""The memory and processor time of processes, from /proc."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final, NamedTuple

import psutil

_FIELD: Final = re.compile(r"^(\w+):\s+(\d+) kB$", re.MULTILINE)
_TICK: Final = 1 / os.sysconf("SC_CLK_TCK")


class Memory(NamedTuple):
    """Bytes: resident; proportional (shared pages divided among their users); unique (freed when the process ends)."""

    rss: int
    pss: int
    uss: int


def memory(pid: int) -> Memory:
    """Read a process's memory from smaps_rollup.

    https://man7.org/linux/man-pages/man5/proc_pid_smaps.5.html
    """
    fields = {name: int(kb) * 1024 for name, kb in _FIELD.findall(Path(f"/proc/{pid}/smaps_rollup").read_text())}
    return Memory(fields["Rss"], fields["Pss"], fields["Private_Clean"] + fields["Private_Dirty"])


def tree(pid: int) -> list[int]:
    """List a process and all its descendants."""
    root = psutil.Process(pid)
    return [pid, *(child.pid for child in root.children(recursive=True))]


def pss(pid: int) -> int:
    """Return the proportional bytes of a process and its descendants together."""
    return sum(memory(one).pss for one in tree(pid))


def processor_seconds(pid: int) -> float:
    """Return the user and system time of a process and its descendants so far, in seconds."""
    ticks = 0
    for one in tree(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks * _TICK
