"""An event loop whose time jumps to the next timer as soon as nothing else can run."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Final

EPOCH: Final = 1_700_000_000_000_000_000
"""Nanoseconds: the moment at which a loop's time is 0."""

THREADS: Final = 0.05
"""Seconds after which a loop that waits for a thread looks again; the thread's call wakes it at once."""


class JumpingLoop(asyncio.SelectorEventLoop):
    """Its ``time`` stands still while code or a thread works. ``busy`` is what else to ask whether a thread works."""

    def __init__(self) -> None:
        self.busy: list[Callable[[], bool]] = []
        self._now = 0.0
        self._calls = 0
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self._now

    def jump(self, seconds: float) -> None:
        """Let time pass."""
        # A timer that is due in less than the clock's resolution must come due.
        self._now += max(seconds, 1e-6)

    def is_busy(self) -> bool:
        """Whether a thread works for it."""
        return self._calls > 0 or any(busy() for busy in self.busy)

    # Any: as in asyncio, whose signature this has.
    def run_in_executor(self, executor: Executor | None, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        self._calls += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._returned)
        return future

    def _returned(self, _: asyncio.Future[Any]) -> None:
        self._calls -= 1

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Wait for the threads themselves: since Python 3.12 asyncio waits by the loop's time, which jumps here."""
        self._executor_shutdown_called = True
        executor: Executor | None = getattr(self, "_default_executor", None)
        if executor:
            executor.shutdown(wait=True)


class _Selector(selectors.SelectSelector):
    def __init__(self, loop: JumpingLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            return super().select(0)
        if timeout is None or self._loop.is_busy():
            return super().select(THREADS)
        if not (events := super().select(0)):
            self._loop.jump(timeout)
        return events


class LoopClock:
    """A clock that goes by the running event loop's time."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def time_ns(self) -> int:
        return EPOCH + int(self.monotonic() * 1e9)

    def uptime_ns(self) -> int:
        return int(self.monotonic() * 1e9)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, callback)
