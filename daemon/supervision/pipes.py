"""The log pipes of child processes: the daemon owns them and always drains them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Final

from daemon.runtime.clock import Clock
from daemon.supervision.budget import LOG_BYTES, LOG_LINES, Bucket

CHUNK: Final = 65_536
CALM: Final = 60.0
"""Seconds after which a process that still writes too much is logged again."""


class LogPipe:
    """A pipe whose write end becomes a process's standard error. Each line is given to ``take``.

    A line longer than ``limit`` bytes is cut, and its rest is dropped. A process that writes more than its budget waits
    while its pipe is not read; ``held`` is called once for as long as that goes on. Leaving the context closes the
    daemon's copy of the write end; the read end is closed when the last writer is gone. ``clock`` times the budget.
    """

    def __init__(
        self, take: Callable[[bytes], None], limit: int, clock: Clock, held: Callable[[], None] = lambda: None
    ) -> None:
        self._take = take
        self._held = held
        self._clock = clock
        self._told = clock.monotonic() - CALM
        self._limit = limit
        self._partial = b""
        self._skipping = False
        self._loop = asyncio.get_running_loop()
        self._lines = Bucket(LOG_LINES, clock.monotonic)
        self._bytes = Bucket(LOG_BYTES, clock.monotonic)
        self._read_end, self.write_end = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._read_end, False)
        self._loop.add_reader(self._read_end, self._drain)

    def __enter__(self) -> LogPipe:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.write_end)

    def _drain(self) -> None:
        try:
            chunk = os.read(self._read_end, CHUNK)
        except BlockingIOError:
            return
        if chunk:
            self._split(chunk)
            if wait := max(self._lines.take(chunk.count(b"\n")), self._bytes.take(len(chunk))):
                self._pause(wait)
            return
        if self._partial:
            self._take(self._partial)
        self._loop.remove_reader(self._read_end)
        os.close(self._read_end)

    def _pause(self, seconds: float) -> None:
        """Read nothing for this many seconds."""
        self._loop.remove_reader(self._read_end)
        self._clock.call_later(seconds, lambda: self._loop.add_reader(self._read_end, self._drain))
        now = self._clock.monotonic()
        if now - self._told >= CALM:
            self._told = now
            self._held()

    def _split(self, chunk: bytes) -> None:
        *lines, self._partial = (self._partial + chunk).split(b"\n")
        for line in lines:
            if not self._skipping and line:
                self._take(line[: self._limit])
            self._skipping = False
        if len(self._partial) > self._limit:
            if not self._skipping:
                self._take(self._partial[: self._limit])
            self._partial, self._skipping = b"", True
