"""Exponential backoff with full jitter: how long to wait before the next attempt."""

from __future__ import annotations

import random


class Backoff:
    """Random waits between zero and a ceiling that doubles after each wait.

    The jitter spreads the retries of many personas that lost the same provider at the same moment
    (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
    """

    def __init__(self, shortest: float, longest: float) -> None:
        """``shortest`` is the first ceiling and ``longest`` the last, in seconds."""
        self._ceiling = shortest
        self._longest = longest

    def next(self) -> float:
        """Return the next wait in seconds, and double the ceiling."""
        wait = random.uniform(0.0, self._ceiling)
        self._ceiling = min(self._ceiling * 2, self._longest)
        return wait
