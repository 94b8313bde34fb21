"""Time, as something that is handed in: what waits for minutes is tested in milliseconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar

T = TypeVar("T")


class Timer(Protocol):
    """A call that is still to come."""

    def cancel(self) -> None:
        """Do not call it; nothing happens when it was called already."""


class Clock(Protocol):
    """Seconds are floats, moments of the epoch are nanoseconds."""

    def monotonic(self) -> float:
        """Seconds that only ever grow."""

    def time_ns(self) -> int:
        """Nanoseconds since the epoch; the clock may be set at any moment."""

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        """Call it from the event loop after so many seconds."""


class SystemClock:
    """The machine's clocks and the running event loop's timers."""

    def monotonic(self) -> float:
        return time.monotonic()

    def time_ns(self) -> int:
        return time.time_ns()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        return asyncio.get_running_loop().call_later(seconds, callback)


@asynccontextmanager
async def deadline(clock: Clock, seconds: float) -> AsyncIterator[None]:
    """Break off what is inside after so many seconds of this clock; raises TimeoutError then."""
    async with asyncio.timeout(None) as limit:
        # A moment that is past: asyncio breaks off at once.
        timer = clock.call_later(seconds, lambda: limit.reschedule(0))
        try:
            yield
        finally:
            timer.cancel()


async def within(clock: Clock, seconds: float, work: Awaitable[T]) -> T:
    """Await it for at most so many seconds of this clock; it is cancelled then. Raises TimeoutError."""
    async with deadline(clock, seconds):
        return await work
