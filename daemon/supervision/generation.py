"""One generation of a persona: one worker process, from its start until it is reaped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from daemon.logging.log import Log
from daemon.runtime.tasks import Tasks
from daemon.settings.settings import Supervision
from daemon.supervision.lifecycle import GenerationFailed
from daemon.supervision.linked_process import Ended, LinkedProcess, ProcessContext, ProcessFailed, Unkillable
from daemon.supervision.zygote import SpawnFailed
from proto import exits
from proto.framing import Codec, FrameError
from proto.gateways import GatewayState
from proto.messages import Fault, FromWorker, Heartbeat, Hello, Open, Prepare, Prepared, Ready
from proto.wire import WireError

_codec: Codec[FromWorker] = Codec(FromWorker)  # type: ignore[arg-type]  # mypy takes no union where a type is asked for


class Generation:
    """The worker process that is generation ``number``. ``receive`` gets all messages but those of its life cycle."""

    def __init__(
        self,
        number: int,
        context: ProcessContext,
        limits: Supervision,
        tasks: Tasks,
        log: Log,
        receive: Callable[[Generation, FromWorker], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        self.number = number
        self.gateways: list[GatewayState] = []
        self.lag = 0.0
        self.end: asyncio.Future[GenerationFailed] = loop.create_future()
        self._limits = limits
        self._enclosures = context.enclosures
        self._log = log
        self._receive = receive
        self._unreachable = False
        self._process = LinkedProcess("persona", _codec, self._take, context, tasks, log)
        self._process.end.add_done_callback(self._ended)
        self._prepared: asyncio.Future[None] = loop.create_future()
        self._ready: asyncio.Future[None] = loop.create_future()

    @property
    def pid(self) -> int | None:
        """The process's pid while it is alive."""
        return self._process.pid

    def send(self, message: msgspec.Struct) -> None:
        """Queue one message to it. Never raises: a process that takes no messages will be found hung."""
        try:
            self._process.send(message)
        except (WireError, FrameError) as error:
            # An organ's answer may come after the process has ended; that is not worth a warning.
            if not self.end.done() and not self._unreachable:
                self._log.warning("worker.unreachable", reason=str(error))
            self._unreachable = True
        else:
            self._unreachable = False

    async def prepare(self, prepare: Prepare, kinds: frozenset[str]) -> None:
        """Start the process and prepare everything except its gateways. Raises GenerationFailed.

        ``kinds`` are the kinds of minds whose libraries it needs.
        """
        try:
            walls = self._enclosures.persona(prepare)
            await self._process.start(prepare.persona.name, kinds, walls, self._limits.ready_timeout)
        except SpawnFailed as error:
            raise GenerationFailed(str(error)) from error
        except ProcessFailed as error:
            raise _failure(error.ended) from error
        self.send(prepare)
        await self._reach(self._prepared, "prepare itself")

    async def open(self) -> None:
        """Let it open its gateways; no earlier process may be alive. Raises GenerationFailed."""
        self.send(Open())
        await self._reach(self._ready, "become ready")
        self._process.watch_heart(self._limits.hang_after)

    async def stop(self) -> None:
        """Send a stop frame, then SIGTERM, then SIGKILL to its group, until it is reaped. Raises GenerationFailed."""
        try:
            await self._process.stop(self._limits.stop_timeout)
        except Unkillable as error:
            raise GenerationFailed(str(error)) from error

    async def kill(self) -> None:
        """Send SIGKILL to its group; returns when it is reaped. Raises GenerationFailed."""
        try:
            await self._process.killed()
        except Unkillable as error:
            raise GenerationFailed(str(error)) from error

    async def _reach(self, state: asyncio.Future[None], what: str) -> None:
        try:
            await self._process.reach(state, what, self._limits.ready_timeout)
        except ProcessFailed as error:
            raise _failure(error.ended) from error

    def _take(self, message: FromWorker) -> None:
        match message:
            case Heartbeat():
                self.lag, self.gateways = message.lag, message.gateways
            case Hello() | Fault():
                return
            case Prepared():
                _reached(self._prepared)
            case Ready():
                self.gateways = message.gateways
                _reached(self._ready)
            case _ if self._ready.done():
                self._receive(self, message)
            case _:
                self._log.warning("worker.out_of_turn", message=type(message).__name__)

    def _ended(self, ended: asyncio.Future[Ended]) -> None:
        self.end.set_result(_failure(ended.result()))


def _reached(state: asyncio.Future[None]) -> None:
    if not state.done():
        state.set_result(None)


def _failure(ended: Ended) -> GenerationFailed:
    return GenerationFailed(str(ended), permanent=ended.exit.code == exits.CONFIG)
