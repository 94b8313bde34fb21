"""Keeps one persona in the state that was asked for: running or stopped, one generation after another."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal

import msgspec

from daemon.conversations.worker import StartFailed
from daemon.logging.log import Log
from daemon.runtime.clock import Clock
from daemon.runtime.tasks import Tasks, describe
from daemon.settings.settings import Supervision
from daemon.supervision.lifecycle import GenerationFailed, GenerationProcess, Lifecycle
from proto.gateways import GatewayState

State = Literal["stopped", "starting", "running", "restarting", "stopping", "backoff", "failed"]

SECOND: Final = 1_000_000_000


class KeeperView(msgspec.Struct):
    """A keeper in the status; ``since`` is in epoch seconds. ``sick``: she failed too often and stays stopped."""

    state: State
    generation: int
    pid: int | None
    restarts: int
    reason: str
    since: float
    sick: bool


class Keeper:
    """Commands take turns under one lock. Between them ``_keep`` handles crashes and faults of ``tasks``.

    ``tasks`` owns what the daemon does for her. A fault there is treated like a crash of her process: the process is
    killed, her state in the daemon's memory is dropped and read back, and the next process follows after the usual
    backoff. ``daemon`` owns the keeper itself, because the keeper cannot repair its own faults.
    """

    def __init__(
        self, lifecycle: Lifecycle, limits: Supervision, tasks: Tasks, daemon: Tasks, clock: Clock, log: Log
    ) -> None:
        self.desired = False
        self._lifecycle = lifecycle
        self._limits = limits
        self._tasks = tasks
        self._daemon = daemon
        self._clock = clock
        self._log = log
        self._lock = asyncio.Lock()
        self._current: GenerationProcess | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._start_timeout: asyncio.Timeout | None = None
        self._failures: deque[float] = deque(maxlen=limits.failures)
        self._attempt = 0
        self._number = 0
        self._running_since = 0.0
        self._restarts = 0
        self._cleared = False
        self._gave_up = False
        self._closed = False
        self._decided = asyncio.Event()
        self._state: State = "stopped"
        self._reason = ""
        self._since = clock.time_ns() / SECOND

    def view(self) -> KeeperView:
        """Her state; never ``running`` without a process."""
        pid = self._current.pid if self._current else None
        state = "restarting" if self._state == "running" and pid is None else self._state
        return KeeperView(state, self._number, pid, self._restarts, self._reason, self._since, self._gave_up)

    def send(self, message: msgspec.Struct) -> None:
        """Send a message to her process, if there is one."""
        if self._current:
            self._current.send(message)

    def gateways(self) -> list[GatewayState]:
        """The states of her gateways that her process reported last; none without a process."""
        return self._current.gateways if self._current else []

    def boot(self) -> None:
        """Start her in the background, with the usual tries; does nothing while the daemon is stopping."""
        if not self._closed and not self.desired:
            self._reset_failures()
            self.desired = True
            self._watch()

    async def start(self) -> bool:
        """Start her; False when she was wanted already. Raises StartFailed, and then leaves her stopped."""
        async with self._lock:
            self._refuse_closed()
            if self.desired:
                return False
            self._reset_failures()
            self.desired = True
            try:
                await self._start_generation()
            except GenerationFailed as failure:
                self.desired = False
                self._enter("failed", str(failure))
                raise StartFailed(str(failure)) from failure
            except asyncio.CancelledError:
                self.desired = False
                self._enter("stopped")
                raise
            self._watch()
            return True

    async def restart(self, *, if_wanted: bool = False) -> None:
        """Replace her process with one that reads her record again. A stopped persona is started, unless ``if_wanted``.

        The replacement is prepared first and opens its gateways only when the old process is reaped. Raises
        StartFailed; she then stays wanted, and another try follows in the background.
        """
        async with self._lock:
            if if_wanted and not self.desired:
                return
            self._refuse_closed()
            self._stop_watching()
            self._reset_failures()
            self.desired = True
            try:
                await self._start_generation()
            except GenerationFailed as failure:
                await self._failed(failure)
                raise StartFailed(str(failure)) from failure
            finally:
                self._watch()

    async def stop(self) -> None:
        """End her process; what it had in hand stays in the inbox. Raises GenerationFailed.

        Earlier commands come first, but a start that hangs is cancelled.
        """
        abort_timer = self._clock.call_later(self._limits.stop_timeout, self._abort_start)
        async with self._lock:
            abort_timer.cancel()
            self.desired = False
            self._gave_up = False
            self._stop_watching()
            self._enter("stopping")
            await self._retire()
            self._enter("stopped")

    async def close(self) -> None:
        """Stop her for good, because the daemon is stopping. Raises GenerationFailed."""
        self._closed = True
        await self.stop()

    async def decided(self) -> None:
        """Wait until the first attempt to start her has succeeded or failed."""
        await self._decided.wait()

    async def _keep(self) -> None:
        """Restart her process whenever it ends, until she has failed for good or is no longer wanted.

        Commands cancel this task while they hold the lock, so it is never cancelled while it holds the lock itself.
        """
        while self._wanted():
            if self._state == "running" and (generation := self._current):
                await self._exit_or_fault(generation)
                async with self._lock:
                    await self._handle_exit(generation)
                continue
            if self._state == "backoff":
                await self._clock.sleep(self._delay())
            async with self._lock:
                if self._wanted():
                    try:
                        await self._start_generation()
                    except GenerationFailed as failure:
                        await self._failed(failure)

    async def _exit_or_fault(self, generation: GenerationProcess) -> None:
        """Wait until the process ends or one of her tasks in the daemon fails."""
        either: list[asyncio.Future[GenerationFailed] | asyncio.Future[Exception]] = [generation.end, self._tasks.fault]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)

    async def _handle_exit(self, generation: GenerationProcess) -> None:
        if self._clock.monotonic() - self._running_since >= self._limits.stable_after:
            self._attempt = 0
        if self._tasks.fault.done():
            failure = GenerationFailed(describe(self._tasks.fault.result()))
            try:
                await self._clear()
            except GenerationFailed as worse:
                # The next start begins by clearing again.
                failure = worse
        else:
            failure = generation.end.result()
            self._current = None
            with self._tasks.contained():
                await self._lifecycle.exited(crashed=True)
        await self._failed(failure)

    async def _start_generation(self) -> None:
        """Try once: prepare the next generation, retire the old one, open the next. Raises GenerationFailed."""
        self._number += 1
        self._enter("restarting" if self._current else "starting", self._reason)
        self._start_timeout = asyncio.timeout(None)
        try:
            with self._failing():
                async with self._start_timeout:
                    await self._recover()
                    await self._replace_by(self._lifecycle.generation(self._number))
        finally:
            self._start_timeout = None
        self._running_since = self._clock.monotonic()
        self._restarts += self._number > 1
        self._enter("running")

    async def _replace_by(self, generation: GenerationProcess) -> None:
        try:
            await generation.prepare(*await self._lifecycle.prepare())
            await self._retire()
            await generation.open()
            self._current = generation
            self._lifecycle.started(generation)
        except BaseException:
            # If the replacement cannot take over, no process may remain, and no gateway of an old record stay open.
            try:
                await self._retire()
            finally:
                await self._withdraw(generation)
            raise

    async def _withdraw(self, generation: GenerationProcess) -> None:
        try:
            await generation.stop()
        except GenerationFailed:
            # It may have gateways open: the next generation must not start beside it.
            self._current = self._current or generation
            raise

    async def _recover(self) -> None:
        """Repair the state after a fault: read back what waits for her. Raises GenerationFailed."""
        if self._tasks.fault.done():
            await self._clear()
        if self._cleared:
            await self._lifecycle.reload()
            self._cleared = False

    async def _clear(self) -> None:
        """After a fault: kill her process, and drop her state in the daemon's memory. Raises GenerationFailed."""
        with self._failing():
            if self._current:
                await self._current.kill()
                self._current = None
            await self._lifecycle.discard_state()
        self._cleared = True
        self._tasks.clear_fault()

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Report an unexpected exception inside as a fault of ``tasks``, and raise it as GenerationFailed."""
        try:
            yield
        except GenerationFailed:
            raise
        except Exception as error:
            if isinstance(error, TimeoutError) and self._start_timeout and self._start_timeout.expired():
                raise GenerationFailed("she was stopped before she came up") from error
            self._tasks.failed(error)
            raise GenerationFailed(describe(error)) from error

    def _abort_start(self) -> None:
        if self._start_timeout and not self._start_timeout.expired():
            self._start_timeout.reschedule(0)

    async def _retire(self) -> None:
        if generation := self._current:
            await generation.stop()
            self._current = None
            with self._tasks.contained():
                await self._lifecycle.exited(crashed=False)

    def _watch(self) -> None:
        self._keeping = self._daemon.start(self._keep())

    def _stop_watching(self) -> None:
        if self._keeping:
            self._keeping.cancel()

    def _wanted(self) -> bool:
        return self.desired

    async def _failed(self, failure: GenerationFailed) -> None:
        """Count a failure; after too many of them, give up."""
        now = self._clock.monotonic()
        self._failures.append(now)
        self._attempt += 1
        reason = str(failure)
        self._log.warning("worker.failed", reason=reason, attempt=self._attempt)
        too_many = len(self._failures) == self._limits.failures
        if not failure.permanent and not (too_many and now - self._failures[0] <= self._limits.failure_window):
            self._enter("backoff", reason)
            return
        self.desired = False
        self._gave_up = True
        self._enter("failed", reason)
        with self._tasks.contained():
            await self._lifecycle.gave_up(reason)

    def _delay(self) -> float:
        """Seconds of backoff: random between half the smallest delay and an exponentially growing ceiling.

        Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
        """
        ceiling = min(self._limits.backoff_max, self._limits.backoff_min * 2 ** min(self._attempt - 1, 30))
        return random.uniform(self._limits.backoff_min / 2, ceiling)

    def _reset_failures(self) -> None:
        """Reset the failure counts, because somebody acted."""
        self._failures.clear()
        self._attempt = 0
        self._gave_up = False

    def _refuse_closed(self) -> None:
        if self._closed:
            raise StartFailed("personad is stopping")

    def _enter(self, state: State, reason: str = "") -> None:
        self._state, self._reason, self._since = state, reason, self._clock.time_ns() / SECOND
        if state in ("running", "failed", "backoff", "stopped"):
            self._decided.set()
        self._log.debug("persona.state", state=state)
