"""One process on the link, from its start until it is reaped: greeting, heartbeat, stack dump, stop and kill.

Worker, feeder, organ host and probe differ in their messages; their life cycle is the same and is here. The split
between what a process does and how it is kept alive follows jupyter_client's provisioners
(https://jupyter-client.readthedocs.io/en/stable/provisioning.html). The steps of a stop follow systemd's KillMode=mixed
(https://www.freedesktop.org/software/systemd/man/latest/systemd.kill.html).
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec

from daemon.logging.log import Log
from daemon.runtime.clock import Clock, Timer, deadline
from daemon.runtime.tasks import Tasks
from daemon.supervision.budget import budget_of
from daemon.supervision.enclosures import Enclosures
from daemon.supervision.link import Link
from daemon.supervision.oom_kills import REASON, OomKills
from daemon.supervision.processes import Exit, Process, anonymous
from proto.birth import Role
from proto.framing import Codec
from proto.messages import VERSION, Fault, Heartbeat, Hello, Stop
from proto.walls import Walls
from proto.wire import WireError

T = TypeVar("T")

MIB: Final = 1_048_576
TERM_TIMEOUT: Final = 1.0
KILL_TIMEOUT: Final = 5.0
UNREAD: Final = 0.3
"""Seconds in which the daemon reads its own queue before it declares a process hung."""
DUMP_TIMEOUT: Final = 0.5
"""Seconds that a hung process gets to write its stacks before it is killed. SIGUSR2 makes faulthandler write them
(https://docs.python.org/3/library/faulthandler.html#faulthandler.register)."""


class ProcessStarter(Protocol):
    """Starts processes; the spawner implements this."""

    async def spawn(
        self, role: Role, title: str, routing_id: bytes, kinds: frozenset[str], walls: Walls, log: Log
    ) -> Process:
        """Start a process that greets on the link as ``routing_id`` from behind ``walls``. Raises SpawnFailed."""

    def reaped(self, process: Process) -> None:
        """Report that the process is gone, so that its stray descendants can be ended."""


@dataclass(frozen=True, slots=True)
class ProcessContext:
    """What every linked process needs.

    ``starter`` starts it, ``link`` carries its messages, ``enclosures`` draws its walls, ``clock`` times it, and
    ``oom_kills`` tells whether the kernel took its memory.
    """

    starter: ProcessStarter
    link: Link
    enclosures: Enclosures
    clock: Clock
    oom_kills: OomKills


class Ended(msgspec.Struct, frozen=True):
    """How a process ended; ``fault`` is the cause that the process or the daemon named, or empty."""

    exit: Exit
    fault: str = ""

    def __str__(self) -> str:
        return f"{self.fault} ({self.exit})" if self.fault else f"the process ended: {self.exit}"


class ProcessFailed(RuntimeError):
    """The process ended before it reached the wanted state."""

    def __init__(self, ended: Ended) -> None:
        super().__init__(str(ended))
        self.ended = ended


class Unkillable(RuntimeError):
    """The process does not end even after SIGKILL: the kernel holds it."""


class LinkedProcess(Generic[T]):
    """A process in one role. ``receive`` gets each of its messages; an exception there is a fault of ``tasks``.

    ``unread`` is for how many seconds after the process's end its last frames are still read.
    """

    def __init__(
        self,
        role: Role,
        codec: Codec[T],
        receive: Callable[[T], None],
        context: ProcessContext,
        tasks: Tasks,
        log: Log,
        unread: float = 0.0,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.end: asyncio.Future[Ended] = loop.create_future()
        """Done when the process is dead and reaped; until then its messages are handled."""
        self._role = role
        self._receive = receive
        self._starter = context.starter
        self._clock = context.clock
        self._oom_kills = context.oom_kills
        self._tasks = tasks
        self._log = log
        self._unread = unread
        self._peer = context.link.expect(codec, self._take, budget_of(role), self._overrun)
        self._process: Process | None = None
        self._fault = ""
        self._killed = False
        """Whether we killed it."""
        self._hello: asyncio.Future[None] = loop.create_future()
        self._heard_at = 0.0
        self._hang_after = 0.0
        self._suspected = False
        self._ceiling = 0
        self._watch: Timer | None = None

    @property
    def pid(self) -> int | None:
        """Its pid while it is alive."""
        return self._process.pid if self._process and not self.end.done() else None

    async def start(self, title: str, kinds: frozenset[str], walls: Walls, greet_within: float) -> None:
        """Start it behind ``walls`` and wait for its greeting; ``kinds`` are the minds whose libraries it needs.

        A process that greets with another version of the protocol is killed. Raises SpawnFailed, ProcessFailed.
        """
        try:
            self._ceiling = walls.memory
            process = await self._starter.spawn(self._role, title, self._peer.routing_id, kinds, walls, self._log)
        except BaseException:
            self._peer.forget()
            raise
        self._process = process
        process.exited.add_done_callback(self._exited)
        if self._fault:
            # Its greeting was wrong, and it came before the spawner reported the process.
            self.kill()
        await self.reach(self._hello, "greet", greet_within)

    async def reach(self, state: asyncio.Future[None], what: str, seconds: float) -> None:
        """Wait until it reaches this state, and kill it when it does not in time. Raises ProcessFailed."""
        either: list[asyncio.Future[None] | asyncio.Future[Ended]] = [state, self.end]
        try:
            async with deadline(self._clock, seconds):
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            self.hung(f"it did not {what} within {seconds:g} s")
        if not state.done() or self.end.done():
            raise ProcessFailed(await asyncio.shield(self.end))

    def send(self, message: msgspec.Struct) -> None:
        """Queue one message to it. Raises WireError, FrameError."""
        self._peer.send(message)

    def watch_heart(self, hang_after: float) -> None:
        """From now on, kill it after ``hang_after`` seconds without a heartbeat."""
        self._hang_after = hang_after
        self._heard_at = self._clock.monotonic()
        self._look()

    def hung(self, reason: str) -> None:
        """Kill it, but first have it write its stacks to its log: they are the only trace of the cause."""
        self._fault = self._fault or reason
        if self._process and self._process.alive:
            self._log.error("worker.hung", pid=self._process.pid, reason=reason)
            self._process.send_signal(signal.SIGUSR2)
            self._clock.call_later(DUMP_TIMEOUT, self.kill)

    def kill(self, reason: str = "") -> None:
        """Kill it and its group now."""
        self._fault = self._fault or reason
        self._stop_watching()
        self._killed = True
        if self._process:
            self._process.kill()

    async def killed(self, reason: str = "") -> None:
        """Kill it and wait until it is reaped. Raises Unkillable."""
        self.kill(reason)
        if self._process and not await self._ends_within(KILL_TIMEOUT):
            raise Unkillable(f"process {self._process.pid} does not die")

    async def stop(self, seconds: float) -> None:
        """Ask it to exit; after ``seconds`` send SIGTERM, then SIGKILL to its group. Returns when it is reaped.

        Raises Unkillable.
        """
        if self._process is None or self.end.done():
            return
        self._stop_watching()
        try:
            self._peer.send(Stop())
        except WireError as error:
            self._log.warning("worker.unreachable", reason=str(error))
        else:
            if await self._ends_within(seconds):
                return
            self._log.warning("worker.stop_ignored", pid=self._process.pid)
        self._process.send_signal(signal.SIGTERM)
        if not await self._ends_within(TERM_TIMEOUT):
            await self.killed()

    async def _ends_within(self, seconds: float) -> bool:
        try:
            async with deadline(self._clock, seconds):
                await asyncio.wait([self.end])
        except TimeoutError:
            return False
        return True

    # Any: every role's union of messages has the life-cycle messages, but a type variable cannot express that.
    def _take(self, message: Any) -> None:
        match message:
            case Hello(version) if version == VERSION:
                if not self._hello.done():
                    self._hello.set_result(None)
                return
            case Hello(version):
                self.kill(f"it speaks version {version} of the protocol, the daemon {VERSION}")
                return
            case Fault(reason):
                self._fault = self._fault or reason
            case Heartbeat():
                self._heard_at = self._clock.monotonic()
                self._weigh()
                self._oom_kills.look()
        self._tasks.call(lambda: self._receive(message))

    def _overrun(self, reason: str) -> None:
        """It went over its budget: end it before it costs the others anything."""
        self._log.error("worker.greedy", pid=self.pid, reason=reason)
        self.kill(reason)

    def _weigh(self) -> None:
        """Kill it when it holds more memory than it may."""
        held = anonymous(self._process.pid) if self._ceiling and self._process else None
        if held is not None and held > self._ceiling:
            self.kill(f"killed for memory: it held {held / MIB:,.0f} MiB and may hold {self._ceiling / MIB:,.0f} MiB")

    def _look(self) -> None:
        silent = self._clock.monotonic() - self._heard_at
        if silent < self._hang_after:
            self._suspected = False
            self._watch = self._tasks.call_later(self._hang_after - silent, self._look)
        elif not self._suspected:
            # Perhaps the daemon itself was blocked, and heartbeats from that time are still unread.
            self._suspected = True
            self._watch = self._tasks.call_later(UNREAD, self._look)
        else:
            self.hung(f"it hung: no heartbeat for {silent:.0f} s")

    def _stop_watching(self) -> None:
        if self._watch:
            self._watch.cancel()

    def _exited(self, exited: asyncio.Future[Exit]) -> None:
        self._stop_watching()
        if exited.result().signal == signal.SIGKILL and not self._killed and self._oom_kills.claim():
            self._fault = self._fault or REASON
        if self._process:
            self._starter.reaped(self._process)
        if self._unread:
            self._clock.call_later(self._unread, self._finish)
        else:
            self._finish()

    def _finish(self) -> None:
        self._peer.forget()
        if self._process and not self.end.done():
            self.end.set_result(Ended(self._process.exited.result(), self._fault))
