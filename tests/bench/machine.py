"""The machine that the figures were measured on, without which they say little."""

from __future__ import annotations

import os
import platform
import tempfile
import time
from pathlib import Path

from tests.bench.figures import milliseconds, percentile

FSYNCS = 50


class Machine:
    """The machine, and its load when the run began."""

    def __init__(self) -> None:
        self._load = os.getloadavg()[0]
        self._begun = time.monotonic()

    def line(self) -> str:
        """Return one line; the load averages are those of the last minute, at the beginning and now."""
        return (
            f"{_processor()}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}; "
            f"4 KiB write + fsync p50 {milliseconds(_fsync())}; "
            f"load average {self._load:.1f} at the start, {os.getloadavg()[0]:.1f} at the end; "
            f"{time.monotonic() - self._begun:.0f} s in all"
        )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _fsync() -> float:
    """Return the seconds of one write to the disk under the temporary directory, where all rows keep their state."""
    taken = []
    with tempfile.NamedTemporaryFile() as file:
        for _ in range(FSYNCS):
            begun = time.perf_counter()
            os.pwrite(file.fileno(), bytes(4096), 0)
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - begun)
    return percentile(taken, 50)
