"""Limits how many files of one sender are fetched, since anybody can write to an open channel and fill the disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

MAX_FILES: Final = 20
MAX_BYTES: Final = 100 * 1024 * 1024
WINDOW: Final = 3600.0
"""Seconds in which the two limits apply."""

MAX_SENDERS: Final = 4096
"""Senders to remember; beyond that, a new window begins."""

OVER: Final = "too many files came from this sender within the last hour"


class Allowance:
    """Counts each sender's files in the current window. ``clock`` returns seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began = clock()
        self._used: dict[str, tuple[int, int]] = {}

    def grants(self, account: str, size: int) -> bool:
        """Whether one more file of ``size`` bytes may be fetched for this sender; if so, the file is counted."""
        if self._clock() - self._began > WINDOW or len(self._used) > MAX_SENDERS:
            self._began, self._used = self._clock(), {}
        files, total = self._used.get(account, (0, 0))
        if files >= MAX_FILES or total + size > MAX_BYTES:
            return False
        self._used[account] = files + 1, total + size
        return True
