"""The clock as a parameter, so that tests of waits of minutes take milliseconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar

T = TypeVar("T")


class Timer(Protocol):
    """A scheduled call."""

    def cancel(self) -> None:
        """Cancel the call; does nothing if it was made already."""


class Clock(Protocol):
    """Durations are float seconds; points in time are integer nanoseconds since the epoch."""

    def monotonic(self) -> float:
        """Seconds that never decrease."""

    def time_ns(self) -> int:
        """Nanoseconds since the epoch; the clock may be set at any moment."""

    def uptime_ns(self) -> int:
        """Nanoseconds since the machine started, with the time that it slept; nobody can set it."""

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds``."""

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        """Have the event loop call ``callback`` after ``seconds``."""


class SystemClock:
    """The machine's clocks and the running event loop's timers."""

    def monotonic(self) -> float:
        return time.monotonic()

    def time_ns(self) -> int:
        return time.time_ns()

    def uptime_ns(self) -> int:
        # https://man7.org/linux/man-pages/man2/clock_gettime.2.html
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        return asyncio.get_running_loop().call_later(seconds, callback)


@asynccontextmanager
async def deadline(clock: Clock, seconds: float) -> AsyncIterator[None]:
    """Cancel the block after ``seconds`` of this clock. Raises TimeoutError then."""
    async with asyncio.timeout(None) as limit:
        # A time in the past: asyncio cancels the block at once.
        timer = clock.call_later(seconds, lambda: limit.reschedule(0))
        try:
            yield
        finally:
            timer.cancel()


async def within(clock: Clock, seconds: float, work: Awaitable[T]) -> T:
    """Await ``work`` for at most ``seconds`` of this clock, then cancel it. Raises TimeoutError."""
    async with deadline(clock, seconds):
        return await work
