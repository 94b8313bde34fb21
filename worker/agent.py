"""The agent: a running persona's beats, one at a time, and her consolidation beside them."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from proto.messages import (
    Consolidate,
    Consolidated,
    ConsolidationFailed,
    FromWorker,
    Join,
    MindDown,
    OrganResult,
    Outgoing,
    Perceive,
    Perception,
    Prepare,
    Reply,
    Typing,
)
from worker.backoff import Backoff
from worker.log import WorkerLog
from worker.memory import ConsolidationError
from worker.organs.host_calls import HostCalls
from worker.organs.mind import MindUnreachable, mind_for
from worker.prompt import Prompt, take

MAX_JOINS: Final = 8
"""How often words that arrive restart a mind call; later ones wait for the next beat."""

MAX_BEATS: Final = 4
"""The daemon sends one beat at a time; more than a few mean that the two disagree about the protocol."""


@dataclass(frozen=True)
class Pace:
    """How she waits, in seconds: before and between signs of typing, and between tries at a mind that is down."""

    at_once: float = 0.05
    typing: float = 4.0
    shortest: float = 0.5
    longest: float = 60.0
    permanent: float = 60.0
    """For an error that lasts until somebody changes something."""


@dataclass
class Beat:
    """One beat in hand or waiting; ``thinking`` is the mind call that a Join cancels."""

    message: Perceive
    perceptions: list[Perception]
    joins: int = 0
    thinking: asyncio.Task[str] | None = field(default=None, repr=False)

    def join(self, perceptions: list[Perception]) -> None:
        """Take more words; a mind call that runs without them is cancelled, up to a limit."""
        self.perceptions.extend(perceptions)
        if self.thinking and self.joins < MAX_JOINS:
            self.joins += 1
            self.thinking.cancel()


class Agent:
    """Receives the daemon's messages and answers them; owns nothing that must survive."""

    def __init__(
        self,
        prepare: Prepare,
        send: Callable[[FromWorker], None],
        log: WorkerLog,
        failed: Callable[[BaseException], None],
        pace: Pace = Pace(),
    ) -> None:
        """``send`` never blocks; ``failed`` gets an error that nobody expected, and the process shall end by it.

        Raise MindConfigError when her record names no mind there is. Make it inside the running loop.
        """
        self._persona = prepare.persona
        self._send = send
        self._log = log
        self._failed = failed
        self._pace = pace
        self._host_calls = HostCalls(send, prepare.limits.total)
        self._mind = mind_for(self._persona.thinking, prepare.limits, prepare.urls, self._host_calls.think)
        self._waiting: deque[Beat] = deque()
        self._beat: Beat | None = None
        self._beating: asyncio.Task[None] | None = None
        self._consolidating: asyncio.Task[None] | None = None

    def receive(self, message: Perceive | Join | Consolidate | OrganResult) -> None:
        """Take one message; what it asks for happens in tasks."""
        match message:
            case Perceive():
                self._perceive(message)
            case Join():
                self._join(message)
            case Consolidate():
                self._consolidate(message)
            case OrganResult():
                self._host_calls.receive(message)

    async def close(self) -> None:
        """Cancel what runs; its words stay in the daemon's inbox."""
        running = [task for task in (self._beating, self._consolidating) if task]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._mind.close()

    # Beats

    def _perceive(self, message: Perceive) -> None:
        if len(self._waiting) >= MAX_BEATS:
            raise RuntimeError(f"the daemon sent beat {message.beat} while {MAX_BEATS} others wait")
        self._waiting.append(Beat(message, list(message.perceptions)))
        if self._beating is None or self._beating.done():
            self._beating = self._run(self._beats())

    def _join(self, message: Join) -> None:
        for beat in filter(None, (self._beat, *self._waiting)):
            if beat.message.beat == message.beat:
                beat.join(message.perceptions)

    async def _beats(self) -> None:
        while self._waiting:
            self._beat = self._waiting.popleft()
            try:
                self._send(await self._answer(self._beat))
            finally:
                self._beat = None

    async def _answer(self, beat: Beat) -> Reply:
        """Ask her mind until it answers; what joined meanwhile is in the next question."""
        conversation = beat.message.conversation
        typing = self._run(self._type(Typing(conversation)))
        backoff = Backoff(self._pace.shortest, self._pace.longest)
        told = ("", "")
        try:
            while True:
                perceptions = take(beat.perceptions)
                try:
                    words = await self._ask(beat, perceptions)
                except MindUnreachable as error:
                    typing.cancel()
                    if told != (error.reason, error.hint):
                        told = (error.reason, error.hint)
                        self._send(MindDown(beat.message.beat, error.reason, error.hint))
                    await self._wait_out(error, backoff)
                    continue
                if words is not None:
                    answered = [perception.id for perception in perceptions]
                    return Reply(beat.message.beat, answered, [Outgoing(words)])
        finally:
            typing.cancel()

    async def _ask(self, beat: Beat, perceptions: list[Perception]) -> str | None:
        """Return her words, or None when a Join cancelled the call."""
        now = datetime.now().astimezone()
        prompt = Prompt(self._persona, beat.message.memory, beat.message.history, perceptions, now)
        beat.thinking = asyncio.get_running_loop().create_task(self._mind.answer(prompt))
        try:
            await asyncio.wait({beat.thinking})
            return None if beat.thinking.cancelled() else beat.thinking.result()
        finally:
            beat.thinking.cancel()
            beat.thinking = None

    async def _wait_out(self, error: MindUnreachable, backoff: Backoff) -> None:
        wait = random.uniform(0.8, 1.0) * self._pace.permanent if error.permanent else backoff.next()
        wait = max(wait, min(error.retry_after or 0.0, self._pace.longest))
        self._log.warning("mind.unreachable", reason=error.reason, hint=error.hint, retry_in=round(wait, 1))
        await asyncio.sleep(wait)

    async def _type(self, sign: Typing) -> None:
        # An answer that comes at once needs no sign before it.
        await asyncio.sleep(self._pace.at_once)
        while True:
            self._send(sign)
            await asyncio.sleep(self._pace.typing)

    # Consolidation

    def _consolidate(self, message: Consolidate) -> None:
        if self._consolidating and not self._consolidating.done():
            self._send(ConsolidationFailed(message.task, "Another consolidation is still running."))
            return
        self._consolidating = self._run(self._fold(message))

    async def _fold(self, message: Consolidate) -> None:
        try:
            changed = await self._mind.consolidate(self._persona.name, message.lines, message.memory)
        except MindUnreachable as error:
            self._send(ConsolidationFailed(message.task, f"{error.reason} {error.hint}"))
        except ConsolidationError as error:
            self._send(ConsolidationFailed(message.task, f"Her mind's answer could not be used: {error}."))
        else:
            self._send(Consolidated(message.task, changed))

    # Tasks

    def _run(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Start a task whose unexpected failure is reported, never swallowed."""
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            self._failed(error)
