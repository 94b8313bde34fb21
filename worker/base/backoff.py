"""Full-jitter exponential backoff: how long to wait before the next try."""

from __future__ import annotations

import random


class Backoff:
    """Waits drawn evenly from nothing up to a ceiling that doubles with each of them.

    The jitter spreads many personas that lost the same provider at the same moment (AWS, "Exponential Backoff and
    Jitter").
    """

    def __init__(self, shortest: float, longest: float) -> None:
        """``shortest`` is the first ceiling and ``longest`` the last one, in seconds."""
        self._ceiling = shortest
        self._longest = longest

    def next(self) -> float:
        """Return the next wait in seconds, and double the ceiling."""
        wait = random.uniform(0.0, self._ceiling)
        self._ceiling = min(self._ceiling * 2, self._longest)
        return wait
