"""Keeps one persona as somebody wants her: running or not, one generation after another."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from typing import Literal

import msgspec

from daemon.conversations.worker import StartFailed
from daemon.logging.log import Log
from daemon.settings.settings import Supervision
from daemon.supervision.dispatch import PersonaDispatch
from daemon.supervision.generation import Generation, GenerationFailed
from proto.gateways import GatewayState

State = Literal["stopped", "starting", "running", "restarting", "stopping", "backoff", "failed"]


class KeeperView(msgspec.Struct):
    """A keeper as status shows it; ``since`` in epoch seconds."""

    state: State
    generation: int
    pid: int | None
    restarts: int
    reason: str
    since: float


class Keeper:
    """Commands take turns under one lock; between them, ``_tending`` answers to her deaths."""

    def __init__(self, dispatch: PersonaDispatch, limits: Supervision, log: Log) -> None:
        self.desired = False
        self._dispatch = dispatch
        self._limits = limits
        self._log = log
        self._lock = asyncio.Lock()
        self._current: Generation | None = None
        self._tending: asyncio.Task[None] | None = None
        self._rising: asyncio.Timeout | None = None
        self._failures: deque[float] = deque(maxlen=limits.failures)
        self._attempt = 0
        self._number = 0
        self._risen_at = 0.0
        self._restarts = 0
        self._decided = asyncio.Event()
        self._state: State = "stopped"
        self._reason = ""
        self._since = time.time()

    def view(self) -> KeeperView:
        """How she is."""
        pid = self._current.pid if self._current else None
        return KeeperView(self._state, self._number, pid, self._restarts, self._reason, self._since)

    def send(self, message: msgspec.Struct) -> None:
        """Send a message to her process, if there is one."""
        if self._current:
            self._current.send(message)

    def gateways(self) -> list[GatewayState]:
        """Her gateways as her process last told; none while there is no process."""
        return self._current.gateways if self._current else []

    def boot(self) -> None:
        """Bring her up in the background, with as many tries as it takes."""
        self.desired = True
        self._tend(None)

    async def start(self) -> bool:
        """Bring her up; False when she was wanted already. Raises StartFailed, and leaves her stopped then."""
        async with self._lock:
            if self.desired:
                return False
            self._forgive()
            self.desired = True
            try:
                await self._rise(None)
            except GenerationFailed as failure:
                self.desired = False
                self._enter("failed", str(failure))
                raise StartFailed(str(failure)) from failure
            return True

    async def restart(self, *, if_wanted: bool = False) -> None:
        """Replace her process by one that reads her record anew; starts her if she was stopped, unless ``if_wanted``.

        The replacement is prepared first and opens its gateways only when the old process is reaped. Raises
        StartFailed; she stays wanted then, and is tried again in the background.
        """
        async with self._lock:
            if if_wanted and not self.desired:
                return
            self._stop_tending()
            self._forgive()
            self.desired = True
            try:
                await self._rise(self._current)
            except GenerationFailed as failure:
                await self._failed(failure)
                raise StartFailed(str(failure)) from failure

    async def stop(self) -> None:
        """Have her process end; what she had in hand stays in the inbox.

        Earlier commands have their turn first, but a rise that hangs is broken off.
        """
        hurry = asyncio.get_running_loop().call_later(self._limits.stop_timeout, self._break_off)
        async with self._lock:
            hurry.cancel()
            self.desired = False
            self._stop_tending()
            self._enter("stopping")
            await self._retire(self._current)
            self._enter("stopped")

    async def decided(self) -> None:
        """Wait until the first attempt to bring her up has ended, one way or the other."""
        await self._decided.wait()

    async def _rise(self, old: Generation | None) -> None:
        """One attempt: prepare the next generation, retire the old one, open the next."""
        self._number += 1
        self._enter("restarting" if old else "starting", self._reason)
        generation = self._dispatch.generation(self._number, self._dispatch.received)
        try:
            async with asyncio.timeout(None) as self._rising:
                await generation.prepare(*await self._dispatch.prepare())
                await self._retire(old)
                await generation.open()
        except BaseException as error:
            # A replacement that cannot take over leaves no process behind, and no gateway of an old record open.
            await self._retire(old)
            await generation.stop()
            if isinstance(error, TimeoutError):
                raise GenerationFailed("she was stopped before she came up") from error
            raise
        finally:
            self._rising = None
        self._current = generation
        self._risen_at = time.monotonic()
        self._restarts += self._number > 1
        self._enter("running")
        self._dispatch.risen(generation)
        self._tend(generation)

    def _break_off(self) -> None:
        if self._rising and not self._rising.expired():
            self._rising.reschedule(0)

    async def _retire(self, generation: Generation | None) -> None:
        if generation is None or self._current is not generation:
            return
        await generation.stop()
        self._current = None
        await self._dispatch.fallen(crashed=False)

    def _tend(self, generation: Generation | None) -> None:
        self._tending = asyncio.create_task(self._revive(generation))

    def _stop_tending(self) -> None:
        if self._tending:
            self._tending.cancel()

    async def _revive(self, generation: Generation | None) -> None:
        """Wait for the end of ``generation``, then bring her up again, until she runs or has failed for good.

        Commands cancel this under the lock, so it is never cancelled while it holds it.
        """
        if generation:
            failure = await generation.ended()
            async with self._lock:
                self._current = None
                await self._dispatch.fallen(crashed=True)
                if time.monotonic() - self._risen_at >= self._limits.stable_after:
                    self._attempt = 0
                await self._failed(failure, tend=False)
        while self._wanted():
            if self._state == "backoff":
                await asyncio.sleep(self._delay())
            async with self._lock:
                if not self._wanted():
                    return
                try:
                    await self._rise(None)
                except GenerationFailed as failure:
                    await self._failed(failure, tend=False)
                else:
                    return

    def _wanted(self) -> bool:
        return self.desired

    async def _failed(self, failure: GenerationFailed, tend: bool = True) -> None:
        """Count a failure; the one too many ends the tries."""
        now = time.monotonic()
        self._failures.append(now)
        self._attempt += 1
        reason = str(failure)
        self._log.warning("worker.failed", reason=reason, attempt=self._attempt)
        too_many = len(self._failures) == self._limits.failures
        if failure.permanent or (too_many and now - self._failures[0] <= self._limits.failure_window):
            self.desired = False
            self._enter("failed", reason)
            await self._dispatch.gave_up(reason)
            return
        self._enter("backoff", reason)
        if tend:
            self._tend(None)

    def _delay(self) -> float:
        """Full jitter between the smallest delay and an exponentially growing ceiling, seconds."""
        ceiling = min(self._limits.backoff_max, self._limits.backoff_min * 2 ** min(self._attempt - 1, 30))
        return random.uniform(self._limits.backoff_min / 2, ceiling)

    def _forgive(self) -> None:
        """Somebody acted: what failed before does not count any more."""
        self._failures.clear()
        self._attempt = 0

    def _enter(self, state: State, reason: str = "") -> None:
        self._state, self._reason, self._since = state, reason, time.time()
        if state in ("running", "failed", "backoff", "stopped"):
            self._decided.set()
        self._log.debug("persona.state", state=state)
