"""One generation of a persona: one process, from its birth to its reaping."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Final

import msgspec

from daemon.logging.log import Log
from daemon.settings.settings import Supervision
from daemon.supervision.link import Link, Peer
from daemon.supervision.processes import Exit, Process
from daemon.supervision.spawner import Spawner
from daemon.supervision.zygote import BirthFailed
from proto import exits
from proto.framing import Codec, FrameError
from proto.gateways import GatewayState
from proto.messages import VERSION, Fault, FromWorker, Heartbeat, Hello, Open, Prepare, Prepared, Ready, Stop
from proto.wire import WireError

TERM_TIMEOUT: Final = 1.0
KILL_TIMEOUT: Final = 5.0
UNREAD: Final = 0.3
"""Seconds in which the daemon reads what lay in its queue before it calls a process hung."""
DUMP_TIMEOUT: Final = 0.5
"""Seconds that a hung process gets to write its stacks before it is killed."""

_codec: Codec[FromWorker] = Codec(FromWorker)  # type: ignore[arg-type]  # mypy takes no union where a type is asked for


class GenerationFailed(RuntimeError):
    """It did not come up, or it died. ``permanent`` when another try would end the same way."""

    def __init__(self, reason: str, permanent: bool = False) -> None:
        super().__init__(reason)
        self.permanent = permanent


class Generation:
    """A worker process in its role as generation ``number``. ``receive`` gets what is not about its own life."""

    def __init__(
        self,
        number: int,
        spawner: Spawner,
        link: Link,
        limits: Supervision,
        log: Log,
        receive: Callable[[Generation, FromWorker], None],
    ) -> None:
        self.number = number
        self.gateways: list[GatewayState] = []
        self.lag = 0.0
        self._spawner = spawner
        self._limits = limits
        self._log = log
        self._receive = receive
        self._loop = asyncio.get_running_loop()
        self._peer: Peer[FromWorker] = link.expect(_codec, self._take)
        self._process: Process | None = None
        self._fault = ""
        self._hello: asyncio.Future[None] = self._loop.create_future()
        self._prepared: asyncio.Future[None] = self._loop.create_future()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[GenerationFailed] = self._loop.create_future()
        self._last_beat = 0.0
        self._suspected = False
        self._watch: asyncio.TimerHandle | None = None
        self._reaping: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process's pid, once it is born."""
        return self._process.pid if self._process else None

    def send(self, message: msgspec.Struct) -> None:
        """Queue one message to it; a process that takes none will be found hung, so this never raises."""
        try:
            self._peer.send(message)
        except (WireError, FrameError) as error:
            # What she asked an organ may be answered when she is gone.
            if not self._ended.done():
                self._log.warning("worker.unreachable", reason=str(error))

    async def prepare(self, prepare: Prepare, kinds: frozenset[str]) -> None:
        """Fork it and bring it to the point where only its gateways are missing; raises GenerationFailed.

        ``kinds`` are the kinds of minds that it needs libraries for.
        """
        try:
            self._process = await self._spawner.spawn(
                "persona", prepare.persona.name, self._peer.routing_id, kinds, self._log
            )
        except BaseException as error:
            self._peer.forget()
            if isinstance(error, BirthFailed):
                raise GenerationFailed(str(error)) from error
            raise
        self._reaping = asyncio.create_task(self._reap(self._process))
        await self._reach(self._hello, "greet")
        self.send(prepare)
        await self._reach(self._prepared, "prepare itself")

    async def open(self) -> None:
        """Let it open its gateways, since no process before it lives; raises GenerationFailed."""
        self.send(Open())
        await self._reach(self._ready, "become ready")
        self._last_beat = self._loop.time()
        self._watch_heart()

    async def ended(self) -> GenerationFailed:
        """Wait until it is dead and reaped, and tell why."""
        return await asyncio.shield(self._ended)

    async def stop(self) -> None:
        """A polite frame, then SIGTERM, then SIGKILL to its group; returns when it is reaped."""
        if self._process is None or self._ended.done():
            return
        self._stop_watching()
        self.send(Stop())
        if await self._gone_within(self._limits.stop_timeout):
            return
        self._log.warning("worker.stop_ignored", pid=self._process.pid)
        self._process.send_signal(signal.SIGTERM)
        if await self._gone_within(TERM_TIMEOUT):
            return
        self._process.kill()
        if not await self._gone_within(KILL_TIMEOUT):
            raise GenerationFailed(f"process {self._process.pid} does not die")

    async def _gone_within(self, seconds: float) -> bool:
        done, _ = await asyncio.wait([self._ended], timeout=seconds)
        return bool(done)

    async def _reach(self, state: asyncio.Future[None], what: str) -> None:
        either: list[asyncio.Future[None] | asyncio.Future[GenerationFailed]] = [state, self._ended]
        await asyncio.wait(either, timeout=self._limits.ready_timeout, return_when="FIRST_COMPLETED")
        if state.done():
            return
        if not self._ended.done():
            self._dump_and_kill(f"it did not {what} within {self._limits.ready_timeout:g} s")
        raise await self.ended()

    def _take(self, message: FromWorker) -> None:
        match message:
            case Heartbeat():
                self._last_beat = self._loop.time()
                self.lag, self.gateways = message.lag, message.gateways
            case Hello():
                self._greeted(message)
            case Prepared():
                _reached(self._prepared)
            case Ready():
                self.gateways = message.gateways
                _reached(self._ready)
            case Fault():
                self._fault = message.reason
            case _ if self._ready.done():
                self._receive(self, message)
            case _:
                self._log.warning("worker.out_of_turn", message=type(message).__name__)

    def _greeted(self, hello: Hello) -> None:
        if hello.version == VERSION:
            _reached(self._hello)
        elif self._process:
            self._fault = f"it speaks version {hello.version} of the protocol, the daemon {VERSION}"
            self._process.kill()

    def _watch_heart(self) -> None:
        silent = self._loop.time() - self._last_beat
        if silent < self._limits.hang_after:
            self._suspected = False
            self._watch = self._loop.call_later(self._limits.hang_after - silent, self._watch_heart)
        elif not self._suspected:
            # Perhaps it was the daemon that stood still, and the heartbeats of that time lie unread.
            self._suspected = True
            self._watch = self._loop.call_later(UNREAD, self._watch_heart)
        else:
            self._dump_and_kill(f"it hung: no heartbeat for {silent:.0f} s")

    def _stop_watching(self) -> None:
        if self._watch:
            self._watch.cancel()

    def _dump_and_kill(self, reason: str) -> None:
        """Its stacks go to its log first: they are all that will be left of the fault."""
        self._fault = reason
        if self._process:
            self._log.error("worker.hung", pid=self._process.pid, reason=reason)
            self._process.send_signal(signal.SIGUSR2)
            self._loop.call_later(DUMP_TIMEOUT, self._process.kill)

    async def _reap(self, process: Process) -> None:
        exit_ = await process.wait()
        self._stop_watching()
        self._peer.forget()
        self._ended.set_result(_why(exit_, self._fault))
        self._spawner.reaped(process)


def _reached(state: asyncio.Future[None]) -> None:
    if not state.done():
        state.set_result(None)


def _why(exit_: Exit, fault: str) -> GenerationFailed:
    reason = f"{fault} ({exit_})" if fault else f"the process ended: {exit_}"
    return GenerationFailed(reason, permanent=exit_.code == exits.CONFIG)
