"""A feeder: the short-lived process that reads an export and digests it, as the daemon sees it."""

from __future__ import annotations

import asyncio
import signal
from typing import Final

import msgspec

from daemon.logging.log import Log
from daemon.settings.settings import Supervision
from daemon.supervision.link import Link
from daemon.supervision.processes import Process
from daemon.supervision.spawner import Spawner
from daemon.supervision.zygote import BirthFailed
from proto.feeds import Digested, Fed, Feed, FeedFailed, FromFeeder, Offered, Undigested
from proto.framing import Codec, FrameError
from proto.messages import VERSION, Fault, Heartbeat, Hello, Stop
from proto.wire import WireError

STOP_TIMEOUT: Final = 1.0
DUMP_TIMEOUT: Final = 0.5
"""Seconds that a hung process gets to write its stacks before it is killed."""
UNREAD: Final = 0.1
"""Seconds after its end in which its last frames are read."""
MAX_UNREAD: Final = 4
"""Messages that may wait; one that waits for answers sends one at a time."""

_codec: Codec[FromFeeder] = Codec(FromFeeder)  # type: ignore[arg-type]  # mypy takes no union where a type is asked for

Told = Offered | Digested | Undigested | Fed | FeedFailed


class FeederDied(RuntimeError):
    """It ended, hung, or spoke out of turn; the text says which. Another one may fare better."""


class Feeder:
    """One feeder from its birth to its end."""

    def __init__(self, spawner: Spawner, link: Link, limits: Supervision, log: Log) -> None:
        self._spawner = spawner
        self._limits = limits
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._peer = link.expect(_codec, self._take)
        self._process: Process | None = None
        self._reaping: asyncio.Task[None] | None = None
        self._greeted: asyncio.Future[None] = self._loop.create_future()
        self._told: asyncio.Queue[Told | FeederDied] = asyncio.Queue()
        self._fault = ""
        self._last_beat = 0.0
        self._watch: asyncio.TimerHandle | None = None

    async def begin(self, feed: Feed, kinds: frozenset[str]) -> None:
        """Make the process and tell it what to read. Raises FeederDied."""
        try:
            self._process = await self._spawner.spawn("feeder", "feeder", self._peer.routing_id, kinds, self._log)
        except BirthFailed as error:
            raise FeederDied(str(error)) from error
        self._reaping = self._loop.create_task(self._reap(self._process))
        await asyncio.wait(
            [self._greeted, self._reaping], timeout=self._limits.ready_timeout, return_when="FIRST_COMPLETED"
        )
        if not self._greeted.done():
            raise FeederDied(self._fault or f"it did not greet within {self._limits.ready_timeout:g} s")
        self._last_beat = self._loop.time()
        self._watch_heart()
        self.send(feed)

    def send(self, message: msgspec.Struct) -> None:
        """Queue one message to it. Raises FeederDied."""
        try:
            self._peer.send(message)
        except (WireError, FrameError) as error:
            raise FeederDied(f"it cannot be told anything: {error}") from error

    async def told(self) -> Told:
        """Wait for its next message. Raises FeederDied."""
        told = await self._told.get()
        if isinstance(told, FeederDied):
            raise told
        return told

    async def close(self) -> None:
        """End it: it owns nothing, and what it has in hand is begun anew by the next one."""
        if self._process and self._process.alive:
            try:
                self._peer.send(Stop())
                await asyncio.wait_for(self._process.wait(), STOP_TIMEOUT)
            except (WireError, TimeoutError):
                self._process.kill()
        self._peer.forget()
        if self._reaping:
            await self._reaping

    def _take(self, message: FromFeeder) -> None:
        match message:
            case Hello(version):
                if version == VERSION and not self._greeted.done():
                    self._greeted.set_result(None)
            case Heartbeat():
                self._last_beat = self._loop.time()
            case Fault(reason):
                self._fault = reason
            case _ if self._told.qsize() < MAX_UNREAD:
                self._told.put_nowait(message)
            case _:
                self._kill("it does not wait for answers")

    def _watch_heart(self) -> None:
        silent = self._loop.time() - self._last_beat
        if silent < self._limits.hang_after:
            self._watch = self._loop.call_later(self._limits.hang_after - silent, self._watch_heart)
        elif self._process:
            # Its stacks go to its log first.
            self._process.send_signal(signal.SIGUSR2)
            self._watch = self._loop.call_later(DUMP_TIMEOUT, self._kill_silent)

    def _kill_silent(self) -> None:
        silent = self._loop.time() - self._last_beat
        if silent < self._limits.hang_after:
            # It was the daemon that stood still, and its heartbeats lay unread.
            self._watch_heart()
        else:
            self._kill(f"it hung: no heartbeat for {silent:.0f} s")

    def _kill(self, reason: str) -> None:
        self._fault = self._fault or reason
        if self._process:
            self._process.kill()

    async def _reap(self, process: Process) -> None:
        exit_ = await process.wait()
        if self._watch:
            self._watch.cancel()
        self._spawner.reaped(process)
        await asyncio.sleep(UNREAD)
        self._told.put_nowait(FeederDied(f"{self._fault} ({exit_})" if self._fault else f"it ended: {exit_}"))
