"""Feed: reading a large export, with its conversations parsed and hashed, against json.load of the whole file."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Final

import msgspec

from proto.feeds import Fed, Offered, Wanted
from proto.messages import MindLimits
from proto.records import EMBEDDED, EMBEDDED_MIND, Organ
from tests.bench.exports import write_export
from tests.bench.figures import median, megabytes
from tests.bench.table import Line
from tests.daemon_process import ROOT
from tests.worker.history.feeder_process import FeederProcess

SIZE: Final = 200_000_000
ROUNDS: Final = 3
GOAL_TIME: Final = 1.0
GOAL_MEMORY: Final = 0.1
GOAL_RSS: Final = 512_000_000
"""The bytes that a file of 1 GB may take; the peak does not depend on the size of the file."""


class Reading(msgspec.Struct):
    """A process's report of its reading."""

    count: int
    seconds: float
    memory: int


def measure() -> list[Line]:
    """Read one export of 200 MB repeatedly in both ways, then let a feeder offer and digest all of it."""
    with tempfile.TemporaryDirectory(prefix="personad-bench-") as folder:
        path, packed = Path(folder) / "conversations.json", Path(folder) / "export.zip"
        conversations = write_export(path, SIZE)
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(path, path.name)
        naive: list[Reading] = []
        ours: list[Reading] = []
        for _ in range(ROUNDS):
            naive.append(_read("naive", path))
            ours.append(_read("personad", path))
        zipped = _read("personad", packed)
        assert {one.count for one in (*naive, *ours, zipped)} == {conversations}
        fed, peak = _feed(path, Path(folder))
    baseline, seconds = (median([one.seconds for one in some]) for some in (naive, ours))
    memory = max(one.memory for one in ours)
    return [
        Line(
            f"an export of {megabytes(SIZE)} read into conversations (baseline: json.load); its zip",
            f"{baseline:.2f} s",
            f"{seconds:.2f} s; {zipped.seconds:.2f} s",
            seconds / baseline,
            "at least as fast",
            seconds / baseline <= GOAL_TIME,
            {"naive": baseline, "seconds": seconds, "zipped": zipped.seconds},
        ),
        Line(
            "memory that this takes at its peak",
            megabytes(naive[0].memory),
            megabytes(memory),
            memory / naive[0].memory,
            "<= a tenth of the file",
            memory <= SIZE * GOAL_MEMORY,
            {"naive": naive[0].memory, "memory": memory},
        ),
        Line(
            f"all {conversations:,} conversations of it fed to the embedded mind; the feeder's peak RSS",
            "",
            f"{fed:.1f} s; {megabytes(peak)}",
            None,
            "< 512 MB",
            peak < GOAL_RSS,
            {"seconds": fed, "rss": peak},
        ),
    ]


def _read(way: str, path: Path) -> Reading:
    command = [sys.executable, "-m", "tests.bench.baselines.reading", way, str(path)]
    output = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    return msgspec.json.decode(output, type=Reading)


def _feed(path: Path, folder: Path) -> tuple[float, int]:
    """Ask for every conversation, as the daemon does; return seconds, and bytes of the feeder's peak."""
    with FeederProcess(folder) as feeder:
        begun = time.perf_counter()
        feeder.feed(path, "chatgpt", Organ(EMBEDDED_MIND, EMBEDDED), MindLimits(5.0, 10.0, 0))
        while not isinstance(told := feeder.next(), Fed):
            if isinstance(told, Offered):
                feeder.send(Wanted(told.number, {}))
        seconds = time.perf_counter() - begun
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{feeder.pid}/status").read_text())
        assert found
        return seconds, int(found[1]) * 1024
