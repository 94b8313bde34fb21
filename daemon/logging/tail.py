"""The latest log events in memory, for ``GET /api/logs`` and its followers."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from types import TracebackType
from typing import Final, NamedTuple, Self

MAX_BYTES: Final = 4_194_304
"""Bytes of events kept, whatever their number, so long lines push older events out sooner."""

MAX_WAITING: Final = 1000
"""Events that may wait for one slow follower; older ones are dropped and counted."""

MAX_FOLLOWERS: Final = 32


class Kept(NamedTuple):
    """One event: its persona's id, or "", and its JSON line."""

    persona: str
    line: bytes


class Tail:
    """Keeps the last ``size`` events. Any thread may add events; followers read them in event loops."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.lock = threading.Lock()
        self._kept: deque[Kept] = deque()
        self._bytes = 0
        self._followers: set[Following] = set()
        self._closed = False

    def add(self, persona: str, line: bytes) -> None:
        """Keep one event and hand it to the followers. Never blocks and never raises."""
        kept = Kept(persona, line)
        with self.lock:
            self._kept.append(kept)
            self._bytes += len(line)
            while len(self._kept) > self._size or self._bytes > MAX_BYTES:
                self._bytes -= len(self._kept.popleft().line)
            for follower in self._followers:
                follower.offer(kept)

    def last(self, count: int, persona: str | None = None) -> list[bytes]:
        """Return the last ``count`` events, oldest first; with ``persona``, only hers."""
        with self.lock:
            return self._last(count, persona)

    @property
    def has_room(self) -> bool:
        """Return whether one more follower may subscribe."""
        return len(self._followers) < MAX_FOLLOWERS

    def subscribe(self, count: int, persona: str | None = None) -> Following:
        """Follow the log: the last ``count`` events and all later ones, none twice and none missing. Use in ``with``.

        Call it in the event loop that reads it, and only when ``has_room`` is true.
        """
        with self.lock:
            following = Following(self, self._last(count, persona), persona)
            self._followers.add(following)
        if self._closed:
            following.close()
        return following

    def unsubscribe(self, following: Following) -> None:
        with self.lock:
            self._followers.discard(following)

    def close(self) -> None:
        """End all followers now, and later ones once they have read the backlog. Events are still kept.

        Call it in the followers' event loop.
        """
        self._closed = True
        for following in list(self._followers):
            following.close()

    def _last(self, count: int, persona: str | None) -> list[bytes]:
        found: list[bytes] = []
        for kept in reversed(self._kept):
            if len(found) >= count:
                break
            if persona is None or kept.persona == persona:
                found.append(kept.line)
        return found[::-1]


class Following:
    """One follower's bounded queue; ``dropped`` counts the events that it lost by being slow."""

    def __init__(self, tail: Tail, backlog: list[bytes], persona: str | None) -> None:
        self._tail = tail
        self._persona = persona
        self._waiting: deque[bytes] = deque(backlog)
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._changed.set()
        self._closed = False
        self.dropped = 0

    def offer(self, kept: Kept) -> None:
        """Take an event. The tail calls this in any thread, holding its lock."""
        if self._persona is not None and kept.persona != self._persona:
            return
        while len(self._waiting) >= MAX_WAITING:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(kept.line)
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._changed.set)

    async def read(self) -> list[bytes]:
        """Wait for events and return them, oldest first; return an empty list once closed."""
        while not self._waiting and not self._closed:
            await self._changed.wait()
            self._changed.clear()
        with self._tail.lock:
            arrived = list(self._waiting)
            self._waiting.clear()
        return arrived

    def close(self) -> None:
        """Stop following; waiting events can still be read. Call it in the event loop."""
        self._tail.unsubscribe(self)
        self._closed = True
        self._changed.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
