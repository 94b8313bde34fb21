"""The thread that writes log lines, so that nobody who logs ever waits for the descriptor they go to.

A pipe that nobody reads, a full disk or a closed terminal costs lines, which are counted and reported once writing
works again. It never costs the event loop a moment.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

MAX_QUEUED: Final = 1_048_576
"""Bytes that wait for a slow descriptor; what comes on top of them is dropped."""

RETRY_SECONDS: Final = 1.0
"""How long to wait for a non-blocking descriptor before looking again."""


class LogWriter:
    """Writes lines to a descriptor, in order, from a thread of its own."""

    def __init__(self, descriptor: int, dropped_line: Callable[[int], bytes]) -> None:
        self._descriptor = descriptor
        self._dropped_line = dropped_line
        self._changed = threading.Condition()
        self._lines: deque[bytes] = deque()
        self._queued = 0
        self._writing = False
        self._torn = False
        self._unreported = 0
        self.dropped = 0
        """Lines lost since the start."""
        threading.Thread(target=self._run, name="log-writer", daemon=True).start()

    def put(self, line: bytes) -> None:
        """Queue one line that ends in a newline; never blocks on the descriptor and never raises."""
        with self._changed:
            if self._queued + len(line) > MAX_QUEUED:
                self._drop(1)
                return
            self._lines.append(line)
            self._queued += len(line)
            self._changed.notify_all()

    def flush(self, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds until everything queued was written or lost; return whether it was."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while self._lines or self._writing:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(left)
        return True

    def _drop(self, count: int) -> None:
        self.dropped += count
        self._unreported += count

    def _run(self) -> None:
        while True:
            with self._changed:
                self._writing = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: bool(self._lines))
                batch = list(self._lines)
                self._lines.clear()
                self._writing = True
            # The batch counts as queued until it is written: a stalled descriptor bounds both together.
            self._write(batch)
            with self._changed:
                self._queued -= sum(map(len, batch))

    def _write(self, batch: list[bytes]) -> None:
        for index, line in enumerate(batch):
            with self._changed:
                unreported = self._unreported
            report = self._dropped_line(unreported) if unreported else b""
            try:
                self._write_all((b"\n" if self._torn else b"") + report + line)
            except OSError:
                with self._changed:
                    self._drop(len(batch) - index)
                return
            with self._changed:
                self._unreported -= unreported

    def _write_all(self, data: bytes) -> None:
        """Raise OSError when the descriptor takes no more; half a line is ended before the next one begins."""
        view = memoryview(data)
        while view:
            try:
                written = os.write(self._descriptor, view)
            except BlockingIOError:
                select.select([], [self._descriptor], [], RETRY_SECONDS)
                continue
            view = view[written:]
            self._torn = bool(view)
