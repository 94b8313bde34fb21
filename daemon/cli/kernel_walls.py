"""What the kernel's walls around the processes lack, as ``personad doctor`` finds out by asking a worker's own code."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

import msgspec

ASK: Final = (sys.executable, "-m", "worker.walls")
SECONDS: Final = 20.0


class Report(msgspec.Struct):
    """The Landlock ABI (0: none), and a sentence for each thing that the walls cannot hold."""

    landlock: int
    lacking: list[str]


def report() -> Report | None:
    """Ask in a process of its own: the daemon's program does not import the workers'. None without an answer."""
    try:
        answer = subprocess.run(ASK, capture_output=True, timeout=SECONDS, check=True)
        return msgspec.json.decode(answer.stdout, type=Report)
    except (OSError, subprocess.SubprocessError, msgspec.DecodeError):
        return None


def in_words(found: Report | None) -> tuple[bool, str]:
    """Whether all walls stand, and the words for people."""
    if found is None:
        return False, "the kernel could not be asked; install personad again"
    if found.lacking:
        return False, ". ".join(found.lacking)
    return True, f"Landlock {found.landlock} and seccomp close in every worker"
