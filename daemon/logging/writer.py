"""The thread that writes log lines, so that logging never waits for the descriptor.

A pipe without a reader, a full disk or a closed terminal loses lines. They are counted and reported once writing works
again. The event loop never blocks on it.
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
"""Bytes that may wait for a slow descriptor; further lines are dropped."""

RETRY_SECONDS: Final = 1.0
"""How long to wait for a non-blocking descriptor before the next look."""


class LogWriter:
    """Writes lines to a descriptor, in order, from its own thread."""

    def __init__(self, descriptor: int, dropped_line: Callable[[int], bytes]) -> None:
        self._descriptor = descriptor
        self._dropped_line = dropped_line
        self._changed = threading.Condition()
        self._lines: deque[bytes] = deque()
        self._queued = 0
        self._writing = False
        self._torn = False
        self._broken = False
        self._unreported = 0
        self.dropped = 0
        """Lines lost since the start."""
        threading.Thread(target=self._run, name="log-writer", daemon=True).start()

    def put(self, line: bytes) -> None:
        """Queue one line that ends in a newline. Never blocks on the descriptor and never raises."""
        with self._changed:
            if self._queued + len(line) > MAX_QUEUED:
                self._drop(1)
                return
            self._lines.append(line)
            self._queued += len(line)
            self._changed.notify_all()

    def flush(self, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds for everything queued to be written or lost; return whether it was."""
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
                self._changed.wait_for(self._has_work)
                batch = list(self._lines)
                self._lines.clear()
                reported = self._unreported
                self._writing = True
            # A full disk may have cut a line in half. End it before the next line begins.
            head = (b"\n" if self._torn else b"") + (self._dropped_line(reported) if reported else b"")
            data = head + b"".join(batch)
            written = self._write(data)
            with self._changed:
                # Until here the batch counted as queued, so the bound covers both when the descriptor stalls.
                self._queued -= len(data) - len(head)
                self._broken = written < len(data)
                if written >= len(head):
                    self._unreported -= reported
                self._drop(data.count(b"\n", max(written, len(head))))

    def _has_work(self) -> bool:
        return bool(self._lines) or (self._unreported > 0 and not self._broken)

    def _write(self, data: bytes) -> int:
        """Return how many bytes of ``data`` were written: fewer than all when the descriptor is broken."""
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._descriptor, view) :]
            except BlockingIOError:
                select.select([], [self._descriptor], [], RETRY_SECONDS)
            except OSError:
                break
        written = len(data) - len(view)
        if written:
            self._torn = not data[:written].endswith(b"\n")
        return written
