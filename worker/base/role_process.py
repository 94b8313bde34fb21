"""What every process of the daemon has: a link, a heartbeat from its event loop, and an exit code."""

from __future__ import annotations

import asyncio
import os
import traceback
from collections.abc import Coroutine
from contextlib import suppress
from typing import Final, Generic, TypeVar

from proto import exits
from proto.birth import Birth
from proto.framing import Codec
from proto.gateways import GatewayState
from proto.messages import VERSION, Fault, Heartbeat, Hello
from proto.secrets import redact
from proto.wire import WireError
from worker.base.link import Link
from worker.base.log import WorkerLog
from worker.walls.raising import close_local_sockets

T = TypeVar("T")

LAST_FRAME_TIME: Final = 0.05
"""Seconds allowed for the last frame to be sent."""

MAX_TRACE: Final = 3500
"""Characters of a traceback that are logged."""


class RoleProcess(Generic[T]):
    """One process from its greeting to its exit code. Each role is a subclass that handles the messages."""

    def __init__(self, birth: Birth, codec: Codec[T]) -> None:
        self.log = WorkerLog(role=birth.role)
        self.link = Link(birth.endpoint, birth.routing_id, codec, self._heard)
        self._walls = birth.walls
        self._linked = False
        self._heartbeat = birth.heartbeat
        self._loop = asyncio.get_running_loop()
        self._end: asyncio.Future[int] = self._loop.create_future()
        self._fault = ""

    async def run(self) -> int:
        """Greet, send heartbeats until the end, and return the exit code."""
        self.link.send(Hello(VERSION, os.getpid()))
        beating = self.start(self._beat())
        code = await self._end
        beating.cancel()
        await self.close()
        if self._fault:
            # Perhaps the fault is that the daemon takes no frames. The log has it in any case.
            with suppress(WireError):
                self.link.send(Fault(self._fault[:2000]))
                await asyncio.sleep(LAST_FRAME_TIME)
        self.link.close()
        return code

    def start(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Start a task. An unexpected error in it ends the process at once.

        asyncio reports such an error only when the task is collected, and a task that is kept is never collected
        (https://docs.python.org/3/library/asyncio-dev.html#detect-never-retrieved-exceptions).
        """
        task = self._loop.create_task(work)
        task.add_done_callback(self._task_ended)
        return task

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            self.unhandled(self._loop, {"exception": error})

    def receive(self, message: T) -> None:
        """Handle one message from the daemon."""
        raise NotImplementedError

    async def close(self) -> None:
        """Cancel the tasks that still run."""

    def gateways(self) -> list[GatewayState]:
        """Return the gateways' states for a heartbeat."""
        return []

    def leave(self) -> None:
        """End because the process was asked to stop."""
        self.end(exits.OK)

    def end(self, code: int, fault: str = "") -> None:
        """End with ``code``. Only the first call counts."""
        if not self._end.done():
            self._fault = redact(fault)
            self._end.set_result(code)

    def unhandled(self, _: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        """The loop's exception handler: an unexpected error ends the process, and the daemon decides what follows."""
        error = context.get("exception")
        if isinstance(error, BaseException):
            self.log.error("worker.fault", trace="".join(traceback.format_exception(error))[-MAX_TRACE:])
            out_of_memory = "killed for memory: it asked for more than it may hold. " * isinstance(error, MemoryError)
            self.end(exits.FAULT, f"{out_of_memory}{type(error).__name__}: {error}")
        else:
            self.log.warning("worker.loop", text=str(context.get("message", "")))

    def _heard(self, message: T) -> None:
        if not self._linked:
            self._linked = True
            close_local_sockets(self._walls)
        self.receive(message)

    async def _beat(self) -> None:
        due = self._loop.time() + self._heartbeat
        while True:
            await asyncio.sleep(due - self._loop.time())
            lag = self._loop.time() - due
            self.link.send(Heartbeat(lag, self.gateways()))
            due = self._loop.time() + self._heartbeat
