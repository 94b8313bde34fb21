"""Consolidation turns conversations into memory: after ``idle_timeout`` without a new message, and at ``sleep``.

The embedded mind folds facts by code and shows its history to no model, so what she is told is folded at once.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from functools import partial
from typing import Final

import msgspec

from daemon.conversations.worker import Worker
from daemon.ledger import Ledger, LedgerError, Why
from daemon.logging.log import Log
from daemon.personas.instructions import Instructions
from daemon.personas.memories import Memories
from daemon.personas.personas import MemoryChanged, Personas, PersonasError
from daemon.runtime.clock import Clock, Timer, within
from daemon.runtime.tasks import PersonaTasks
from proto.messages import Consolidate, Consolidated, ConsolidationFailed, Line
from proto.records import EMBEDDED

MAX_LINES: Final = 400
MAX_CHARS: Final = 200_000
"""Lines and characters of one consolidation; a longer conversation takes several."""

MARGIN: Final = 30.0
"""Seconds that a consolidation may take beyond the mind's own time limit."""

RETRY_MIN: Final = 60.0
RETRY_MAX: Final = 3600.0


class SleepFailed(RuntimeError):
    """The conversation could not be consolidated; nothing is lost. The text says why."""


class Consolidation:
    """One timer and at most one consolidation per persona."""

    def __init__(
        self,
        ledger: Ledger,
        personas: Personas,
        memories: Memories,
        instructions: Instructions,
        mind_timeout: float,
        tasks: PersonaTasks,
        clock: Clock,
        log: Log,
    ) -> None:
        self._ledger = ledger
        self._personas = personas
        self._memories = memories
        self._instructions = instructions
        self._timeout = mind_timeout + MARGIN
        self._clock = clock
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._numbers = itertools.count(1)
        self._tasks = tasks
        self._running: dict[str, Worker] = {}
        self._waiting: dict[tuple[str, int], asyncio.Future[Consolidated]] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._due: dict[str, float] = {}
        self._timers: dict[str, Timer] = {}
        self._idle: dict[str, asyncio.Task[None]] = {}
        self._told: set[str] = set()
        """The personas who were told something that no consolidation has looked for yet."""

    def attach(self, persona_id: str, worker: Worker) -> None:
        """Her process runs: what an earlier one left unconsolidated is due after a quiet time."""
        self._running[persona_id] = worker
        self.touched(persona_id)
        persona = self._personas.get(persona_id)
        if persona and persona.thinking.provider == EMBEDDED:
            self.told(persona_id)

    async def detach(self, persona_id: str, *, crashed: bool) -> None:  # noqa: ARG002 (every attendant gets it)
        """Her process is gone: nothing can be consolidated."""
        self._interrupt(persona_id)

    def _interrupt(self, persona_id: str) -> None:
        self._running.pop(persona_id, None)
        if timer := self._timers.pop(persona_id, None):
            timer.cancel()
        for (owner, _), answer in self._waiting.items():
            if owner == persona_id and not answer.done():
                answer.set_exception(SleepFailed("she stopped meanwhile"))

    def touched(self, persona_id: str) -> None:
        """A message came in or went out: the quiet time starts again."""
        persona = self._personas.get(persona_id)
        if persona and persona_id in self._running:
            self._due[persona_id] = self._clock.monotonic() + persona.idle_timeout
            if persona_id not in self._timers:
                self._arm(persona_id)

    def told(self, persona_id: str) -> None:
        """There are facts in the conversation that her mind folds without any cost: it is consolidated at once."""
        if persona_id in self._running:
            self._told.add(persona_id)
            self._begin(persona_id)

    def received(self, persona_id: str, message: Consolidated | ConsolidationFailed) -> None:
        """Take the answer of her mind."""
        answer = self._waiting.get((persona_id, message.task))
        if answer is None or answer.done():
            return
        if isinstance(message, Consolidated):
            answer.set_result(message)
        else:
            answer.set_exception(SleepFailed(message.reason))

    async def sleep(self, persona_id: str) -> None:
        """Consolidate everything that is not consolidated yet. Raises SleepFailed."""
        async with self.folding(persona_id):
            try:
                await self._memories.settle(persona_id)
                while await self._consolidate(persona_id):
                    continue
            except (LedgerError, PersonasError) as error:
                raise SleepFailed(str(error)) from error
            except TimeoutError:
                raise SleepFailed(f"her mind took longer than {self._timeout:g} s") from None

    def folding(self, persona_id: str) -> asyncio.Lock:
        """The lock for changing her memory, held from reading it until it is written."""
        return self._locks.setdefault(persona_id, asyncio.Lock())

    def forget(self, persona_id: str) -> None:
        """Forget a deleted persona."""
        self._interrupt(persona_id)
        self._locks.pop(persona_id, None)
        self._told.discard(persona_id)
        self._due.pop(persona_id, None)
        self._memories.forget(persona_id)

    def close(self) -> None:
        """Stop the timers: nothing more is consolidated after a quiet time."""
        for timer in self._timers.values():
            timer.cancel()

    def _arm(self, persona_id: str) -> None:
        # One timer that checks again when it fires: a lively conversation would otherwise cancel thousands.
        self._timers[persona_id] = self._tasks.of(persona_id).call_later(
            self._due[persona_id] - self._clock.monotonic(), partial(self._ring, persona_id)
        )

    def _ring(self, persona_id: str) -> None:
        del self._timers[persona_id]
        if self._due[persona_id] > self._clock.monotonic():
            self._arm(persona_id)
            return
        self._begin(persona_id)

    def _begin(self, persona_id: str) -> None:
        # A task that is still retrying because her mind is down also takes the new lines.
        if persona_id not in self._idle:
            task = self._idle[persona_id] = self._tasks.of(persona_id).start(self._sleep_idle(persona_id))
            task.add_done_callback(partial(self._ended, persona_id))

    def _ended(self, persona_id: str, task: asyncio.Task[None]) -> None:
        self._idle.pop(persona_id, None)
        is_whole = not task.cancelled() and task.exception() is None
        if is_whole and persona_id in self._told and persona_id in self._running:
            # She was told more while this one came to its end.
            self._begin(persona_id)

    async def _sleep_idle(self, persona_id: str) -> None:
        delay = RETRY_MIN
        while persona_id in self._running:
            self._told.discard(persona_id)
            try:
                await self.sleep(persona_id)
            except SleepFailed as failure:
                self._log.warning("consolidation.failed", persona=persona_id, reason=str(failure))
            else:
                return
            await self._clock.sleep(random.uniform(delay / 2, delay))
            delay = min(delay * 2, RETRY_MAX)

    async def _consolidate(self, persona_id: str) -> bool:
        """Consolidate the oldest lines that are not consolidated yet; False when there are none."""
        last, lines = await self._ledger.unconsolidated(persona_id, MAX_LINES)
        if not lines:
            return False
        worker = self._running.get(persona_id)
        if worker is None:
            raise SleepFailed("she is not running")
        answer: asyncio.Future[Consolidated] = self._loop.create_future()
        key = (persona_id, next(self._numbers))
        self._waiting[key] = answer
        try:
            memory = self._personas.memory(persona_id)
            orders = self._instructions.orders(persona_id)
            worker.send(Consolidate(key[1], _within_limits(lines), memory, orders))
            done = await within(self._clock, self._timeout, answer)
        finally:
            del self._waiting[key]
        try:
            why = Why("talk", last=last, said_from=lines[0].at, said_to=lines[-1].at)
            await self._memories.change(persona_id, memory, done.memory, why)
        except MemoryChanged:
            # A file was edited in the meantime: her mind is asked again, with the edited version.
            self._log.info("consolidation.again", persona=persona_id)
            return True
        self._log.info("consolidation.done", persona=persona_id, lines=len(lines), files=",".join(done.memory))
        return True


def _within_limits(lines: list[Line]) -> list[Line]:
    """Cut long lines, so that no conversation is too long to be consolidated."""
    room = MAX_CHARS // len(lines)
    return [
        msgspec.structs.replace(
            line, content=line.content[:room], perceived=line.perceived[: max(0, room - len(line.content))]
        )
        if len(line.content) + len(line.perceived) > room
        else line
        for line in lines
    ]
