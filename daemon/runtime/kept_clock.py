"""A clock that does not believe every jump of the machine's: what is old is decided by time that certainly passed.

A machine without a battery starts in the past, one with a broken battery anywhere, and people set clocks. Until the
machine's clock is known to be synchronized, time counts from the ledger's own last moment, and advances as the
machine's uptime does.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from daemon.runtime.clock import Clock, Timer

SYNCHRONIZED: Final = Path("/run/systemd/timesync/synchronized")
"""systemd's sign that the clock was set by a server.

https://www.freedesktop.org/software/systemd/man/latest/systemd-time-wait-sync.service.html
"""

LOOK_EVERY: Final = 5_000_000_000
"""Nanoseconds between two looks at that sign."""

SETTLING: Final = 120_000_000_000
"""Nanoseconds after the machine's start in which its clock may still be set by a server."""

PLAUSIBLE: Final = 400 * 24 * 3600 * 1_000_000_000
"""Nanoseconds that an unsynchronized clock may be ahead to be believed: a machine may have been off for a year, but a
broken battery makes it decades."""


class KeptClock:
    """A ``Clock`` for everything that stores times; ``last`` is the ledger's last moment, 0 for a new one."""

    def __init__(self, clock: Clock, last: int, synchronized: Callable[[], bool] = SYNCHRONIZED.exists) -> None:
        self._clock = clock
        self._synchronized = synchronized
        self._base = last or clock.time_ns()
        self._base_at = self._looked_at = clock.uptime_ns()
        self._trusted = synchronized()

    def monotonic(self) -> float:
        """Seconds that never decrease."""
        return self._clock.monotonic()

    def uptime_ns(self) -> int:
        """Nanoseconds since the machine started."""
        return self._clock.uptime_ns()

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds``."""
        await self._clock.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        """Have the event loop call ``callback`` after ``seconds``."""
        return self._clock.call_later(seconds, callback)

    def time_ns(self) -> int:
        """Nanoseconds since the epoch, for what is written down: never before what the ledger has already."""
        wall, kept = self._both()
        return max(wall, kept)

    def aged_ns(self) -> int:
        """Nanoseconds since the epoch, to decide what is too old: never ahead of time that certainly passed."""
        wall, kept = self._both()
        return min(wall, kept)

    def present_ns(self) -> int:
        """Nanoseconds since the epoch, to decide what is due now.

        An unsynchronized clock that is ahead is believed once the machine has run for a while, unless it is ahead
        by more than any machine is off: many machines have no server that sets their clock.
        """
        wall, kept = self._both()
        is_settling = not self._trusted and self._clock.uptime_ns() < SETTLING
        return kept if wall - kept > PLAUSIBLE or is_settling else max(wall, kept)

    def ahead(self) -> float:
        """Seconds that the machine's clock is ahead of time that certainly passed; 0 when it is synchronized."""
        wall, kept = self._both()
        return (wall - kept) / 1e9

    def _both(self) -> tuple[int, int]:
        """The machine's time, and the time that the ledger and the uptime give; the same when it is synchronized."""
        wall, elapsed = self._clock.time_ns(), self._clock.uptime_ns()
        if elapsed - self._looked_at >= LOOK_EVERY:
            self._trusted, self._looked_at = self._synchronized(), elapsed
        if self._trusted:
            self._base, self._base_at = wall, elapsed
        return wall, self._base + elapsed - self._base_at
