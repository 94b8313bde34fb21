"""The daemon's side of a feeder, the short-lived process that reads and digests an export."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import msgspec

from daemon.costs.costs import ProcessMeter
from daemon.logging.log import Log
from daemon.runtime.tasks import Tasks
from daemon.settings.settings import Supervision
from daemon.supervision.linked_process import Ended, LinkedProcess, ProcessContext, ProcessFailed, Unkillable
from daemon.supervision.zygote import SpawnFailed
from proto.costs import Reserve, Spent
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

FeederReport = Offered | Digested | Undigested | Fed | FeedFailed


class FeederDied(RuntimeError):
    """The feeder ended, hung, or broke the protocol; the text says which. Another feeder may succeed."""


class Feeder:
    """One feeder process, from its start to its end."""

    def __init__(
        self,
        context: ProcessContext,
        limits: Supervision,
        meter: Callable[[Callable[[msgspec.Struct], None]], ProcessMeter],
        tasks: Tasks,
        log: Log,
    ) -> None:
        """``meter`` makes what counts its calls, and answers them by the function that it is given."""
        self._limits = limits
        self._enclosures = context.enclosures
        self._reports: asyncio.Queue[FeederReport | FeederDied] = asyncio.Queue()
        self._process = LinkedProcess("feeder", _codec, self._take, context, tasks, log, unread=UNREAD)
        self._process.end.add_done_callback(self._ended)
        self._meter = meter(self._answer)

    async def begin(self, feed: Feed, kinds: frozenset[str]) -> None:
        """Start the process and tell it what to read. Raises FeederDied."""
        try:
            await self._process.start("feeder", kinds, self._enclosures.feeder(feed), self._limits.ready_timeout)
        except (SpawnFailed, ProcessFailed) as error:
            raise FeederDied(str(error)) from error
        self._process.watch_heart(self._limits.hang_after)
        self.send(feed)

    def send(self, message: msgspec.Struct) -> None:
        """Queue one message to it. Raises FeederDied."""
        try:
            self._process.send(message)
        except (WireError, FrameError) as error:
            raise FeederDied(f"it takes no messages: {error}") from error

    async def next_report(self) -> FeederReport:
        """Wait for its next message. Raises FeederDied."""
        report = await self._reports.get()
        if isinstance(report, FeederDied):
            raise report
        return report

    async def close(self) -> None:
        """End it. It owns no state: the next feeder starts again with what this one had in hand. Raises FeederDied."""
        try:
            await self._process.stop(STOP_TIMEOUT)
        except Unkillable as error:
            raise FeederDied(str(error)) from error
        finally:
            await self._meter.close()

    def _take(self, message: FromFeeder) -> None:
        match message:
            case Hello() | Heartbeat() | Fault():
                return
            case Reserve() | Spent():
                self._meter.received(message)
            case _ if self._reports.qsize() < MAX_UNREAD:
                self._reports.put_nowait(message)
            case _:
                self._process.kill("it does not wait for answers")

    def _answer(self, message: msgspec.Struct) -> None:
        with suppress(FeederDied):
            self.send(message)

    def _ended(self, end: asyncio.Future[Ended]) -> None:
        self._reports.put_nowait(FeederDied(str(end.result())))
