"""Embedded organs: seconds of work per second of sound, cold and warm, and the organ host's memory afterwards."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Final

import av

from proto.host import Answered, Speak, Transcribe
from tests.bench import processes
from tests.bench.figures import median, megabytes
from tests.bench.table import Line
from tests.organ_host_process import OrganHostProcess

ROUNDS: Final = 5
WORDS: Final = (
    "The train to Lisbon leaves at seven thirty in the morning from platform four. Please bring two bottles of water, "
    "something to read, and the keys of the house. My dog Biscuit comes along, too."
)
GOAL_EAR: Final = 0.35
GOAL_MOUTH: Final = 0.1
GOAL_MEMORY: Final = 500_000_000


def measure() -> list[Line]:
    """Say a few sentences and hear them, starting with an empty host."""
    with tempfile.TemporaryDirectory(prefix="personad-bench-") as folder:
        host = OrganHostProcess(Path(folder))
        try:
            empty = processes.memory(host.process.pid).rss
            said = [_timed(host, Speak(1, WORDS, folder)) for _ in range(1 + ROUNDS)]
            spoken = processes.memory(host.process.pid).rss
            clip = str(Path(folder) / (said[0][1].media or ""))
            seconds = _length(clip)
            heard = [_timed(host, Transcribe(2, clip)) for _ in range(1 + ROUNDS)]
            both = processes.memory(host.process.pid).rss
        finally:
            host.close()
    assert "Lisbon" in (heard[0][1].text or "")
    return [
        _speed("mouth", [taken for taken, _ in said], seconds, GOAL_MOUTH),
        _speed("ear", [taken for taken, _ in heard], seconds, GOAL_EAR),
        Line(
            "RSS of the organ host: empty; with the mouth; with mouth and ear",
            "",
            "; ".join(map(megabytes, (empty, spoken, both))),
            None,
            "< 500 MB",
            both < GOAL_MEMORY,
            {"empty": empty, "mouth": spoken, "mouth_and_ear": both},
        ),
    ]


def _speed(organ: str, taken: list[float], seconds: float, goal: float) -> Line:
    cold, warm = taken[0], median(taken[1:]) / seconds
    return Line(
        f"embedded {organ}: first answer, with loading; then work for a second of sound",
        "",
        f"{cold:.1f} s; {warm:.3f} s",
        None,
        f"<= {goal:g} s",
        warm <= goal,
        {"cold": cold, "warm_per_second": warm},
    )


def _timed(host: OrganHostProcess, message: Speak | Transcribe) -> tuple[float, Answered]:
    begun = time.perf_counter()
    answer = host.ask(message)
    assert not answer.error, answer.error
    return time.perf_counter() - begun, answer


def _length(path: str) -> float:
    with av.open(path) as container:
        return sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))
