"""The daemon's side of a feeder, the short-lived process that reads and digests an export."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from daemon.logging.log import Log
from daemon.runtime.tasks import Tasks
from daemon.settings.settings import Supervision
from daemon.supervision.linked_process import Ended, LinkedProcess, ProcessFailed, Unkillable, Workshop
from daemon.supervision.zygote import BirthFailed
from proto.feeds import Digested, Fed, Feed, FeedFailed, FromFeeder, Offered, Undigested
from proto.framing import Codec, FrameError
from proto.messages import Fault, Heartbeat, Hello
from proto.wire import WireError

STOP_TIMEOUT: Final = 1.0
UNREAD: Final = 0.1
"""Seconds after the process's end in which its last frames are read."""
MAX_UNREAD: Final = 4
"""Messages that may wait; a feeder that waits for answers sends one at a time."""

_codec: Codec[FromFeeder] = Codec(FromFeeder)  # type: ignore[arg-type]  # mypy takes no union where a type is asked for

Told = Offered | Digested | Undigested | Fed | FeedFailed


class FeederDied(RuntimeError):
    """The feeder ended, hung, or broke the protocol; the text says which. Another feeder may succeed."""


class Feeder:
    """One feeder process, from its start to its end."""

    def __init__(self, workshop: Workshop, limits: Supervision, tasks: Tasks, log: Log) -> None:
        self._limits = limits
        self._enclosures = workshop.enclosures
        self._told: asyncio.Queue[Told | FeederDied] = asyncio.Queue()
        self._process = LinkedProcess("feeder", _codec, self._take, workshop, tasks, log, unread=UNREAD)
        self._process.end.add_done_callback(self._ended)

    async def begin(self, feed: Feed, kinds: frozenset[str]) -> None:
        """Start the process and tell it what to read. Raises FeederDied."""
        try:
            await self._process.born("feeder", kinds, self._enclosures.feeder(feed), self._limits.ready_timeout)
        except (BirthFailed, ProcessFailed) as error:
            raise FeederDied(str(error)) from error
        self._process.watch_heart(self._limits.hang_after)
        self.send(feed)

    def send(self, message: msgspec.Struct) -> None:
        """Queue one message to it. Raises FeederDied."""
        try:
            self._process.send(message)
        except (WireError, FrameError) as error:
            raise FeederDied(f"it takes no messages: {error}") from error

    async def told(self) -> Told:
        """Wait for its next message. Raises FeederDied."""
        told = await self._told.get()
        if isinstance(told, FeederDied):
            raise told
        return told

    async def close(self) -> None:
        """End it. It owns no state: the next feeder starts again with what this one had in hand. Raises FeederDied."""
        try:
            await self._process.stop(STOP_TIMEOUT)
        except Unkillable as error:
            raise FeederDied(str(error)) from error

    def _take(self, message: FromFeeder) -> None:
        match message:
            case Hello() | Heartbeat() | Fault():
                return
            case _ if self._told.qsize() < MAX_UNREAD:
                self._told.put_nowait(message)
            case _:
                self._process.kill("it does not wait for answers")

    def _ended(self, end: asyncio.Future[Ended]) -> None:
        self._told.put_nowait(FeederDied(str(end.result())))
