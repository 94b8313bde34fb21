"""What one process may send, so that a greedy one costs the others nothing. Each rate has room for a burst."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from proto.birth import Role

MIB: Final = 1024 * 1024


class Rate(NamedTuple):
    """How much may be sent in a second, and how much at once."""

    second: float
    at_once: float


class Bucket:
    """A token bucket. It may be overdrawn once, and then says how long it stays overdrawn."""

    def __init__(self, rate: Rate, now: Callable[[], float]) -> None:
        self._rate = rate
        self._now = now
        self._left = rate.at_once
        self._at = now()

    def take(self, amount: float) -> float:
        """Take this amount. Return 0, or the seconds until the bucket is no longer overdrawn."""
        now = self._now()
        self._left = min(self._rate.at_once, self._left + (now - self._at) * self._rate.second) - amount
        self._at = now
        return max(0.0, -self._left / self._rate.second)


class Budget(NamedTuple):
    """The frames of a process on the link, and their bytes."""

    frames: Rate
    bytes: Rate


FRAMES: Final = Budget(Rate(1000, 2000), Rate(8 * MIB, 64 * MIB))
"""An owner's and a thousand visitors' messages make a few hundred small frames in a second."""
FEEDERS_FRAMES: Final = Budget(Rate(10_000, 10_000), Rate(8 * MIB, 64 * MIB))
"""A feed of what she already knows is one frame for each conversation, as fast as they are read."""

LOG_LINES: Final = Rate(50, 2000)
LOG_BYTES: Final = Rate(64 * 1024, MIB)
"""The log of one process. Above this the daemon stops reading for a while, and the process waits in its next write."""


def budget_of(role: Role) -> Budget:
    """The budget of processes in this role."""
    return FEEDERS_FRAMES if role == "feeder" else FRAMES
