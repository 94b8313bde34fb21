"""The agent: a running persona's turns, several at a time, and her consolidation."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Final

from proto.asking import DaemonAnswer
from proto.costs import Budgeted, Reserved
from proto.messages import (
    Consolidate,
    Consolidated,
    ConsolidationFailed,
    FromWorker,
    Join,
    OrganResult,
    Perceive,
    Prepare,
    Reply,
)
from proto.records import Organ, to_json
from proto.streaming import DeltaTaken, Hush
from worker.agent.daemon_calls import DaemonCalls
from worker.agent.outages import Outages
from worker.agent.pace import PACE, Pace
from worker.agent.senses import Understood
from worker.agent.turn import Means, Turn
from worker.base.log import WorkerLog
from worker.base.organ_errors import OrganConfigError, OrganUnreachable
from worker.organs import made
from worker.organs.body import Body
from worker.organs.choice import mind_for
from worker.organs.host_calls import HostCalls
from worker.organs.metering import Meter
from worker.organs.mind import Mind
from worker.prompting.memory import ConsolidationError

MAX_TURNS: Final = 9
"""The daemon decides how many turns are in hand: 8, and one that is not kept. More than this means that the two
disagree about the protocol."""

MAX_MINDS: Final = 16
"""Minds of open channels that are kept, more than twice as many as the turns in hand can use."""


class Agent:
    """Handles the daemon's messages and answers them. It owns nothing that must survive."""

    def __init__(
        self,
        prepare: Prepare,
        send: Callable[[FromWorker], None],
        log: WorkerLog,
        failed: Callable[[BaseException], None],
        pace: Pace = PACE,
    ) -> None:
        """``send`` never blocks. ``failed`` gets any unexpected error and must end the process.

        Call it inside the running loop. Raises OrganConfigError when her record names a mind that does not exist.
        """
        self._persona = prepare.persona
        self._limits = prepare.limits
        self._urls = prepare.urls
        self._media = Path(prepare.media)
        self._send = send
        self._failed = failed
        self._host_calls = HostCalls(send, prepare.limits.total)
        self._daemon_calls = DaemonCalls(send)
        self._meter = Meter(send, waits=prepare.is_budgeted)
        self._mind = mind_for(self._persona.thinking, prepare.limits, prepare.urls, self._host_calls.think)
        self._body = Body(self._persona, prepare.limits, prepare.urls, self._media, self._host_calls)
        self._means = Means(
            self._persona,
            self._mind_of,
            Outages(pace, log),
            Understood(),
            self._body,
            self._host_calls,
            self._daemon_calls,
            send,
            self._run,
            self._drop,
            log,
            pace,
            self._media,
        )
        self._minds: OrderedDict[bytes, Mind] = OrderedDict()
        self._turns: dict[int, Turn] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._consolidating: asyncio.Task[None] | None = None

    def receive(
        self,
        message: Perceive | Join | Hush | DeltaTaken | Consolidate | OrganResult | DaemonAnswer | Reserved | Budgeted,
    ) -> None:
        """Take one message. The work happens in tasks."""
        match message:
            case Perceive():
                self._perceive(message)
            case Join():
                if turn := self._turns.get(message.turn):
                    turn.join(message.perceptions)
            case Hush():
                if turn := self._turns.get(message.turn):
                    turn.hush()
            case DeltaTaken():
                if turn := self._turns.get(message.turn):
                    turn.told()
            case Consolidate():
                self._consolidate(message)
            case OrganResult():
                self._host_calls.receive(message)
            case DaemonAnswer():
                self._daemon_calls.receive(message)
            case Reserved():
                self._meter.receive(message)
            case Budgeted():
                self._meter.waits = message.is_set

    async def close(self) -> None:
        """Cancel all tasks. The messages in hand stay in the daemon's inbox."""
        running = [*self._tasks]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await asyncio.gather(self._mind.close(), self._body.close(), *(mind.close() for mind in self._minds.values()))

    # Turns

    def _perceive(self, message: Perceive) -> None:
        if len(self._turns) >= MAX_TURNS or message.turn in self._turns:
            raise RuntimeError(f"the daemon sent turn {message.turn} while {len(self._turns)} others are in hand")
        self._turns[message.turn] = Turn(message, self._means)
        self._run(self._answer(self._turns[message.turn]))

    async def _answer(self, turn: Turn) -> None:
        try:
            with self._meter.charged(turn.purpose) as account:
                reply = await turn.run()
            if isinstance(reply, Reply):
                reply.used = account.thought
        finally:
            # Removed before the reply is sent, because the reply would not answer a message that joins now.
            del self._turns[turn.number]
        self._send(reply)

    def _mind_of(self, organ: Organ | None) -> Mind:
        """Return her own mind, or the one that a turn asks for. Raises OrganUnreachable when that does not exist."""
        if organ is None:
            return self._mind
        key = to_json(organ)
        if key not in self._minds:
            try:
                self._minds[key] = mind_for(organ, self._limits, self._urls, self._host_calls.think)
            except OrganConfigError as error:
                raise OrganUnreachable(str(error), "Correct the channel's model.", permanent=True) from error
        self._minds.move_to_end(key)
        if len(self._minds) > MAX_MINDS:
            self._run(self._minds.popitem(last=False)[1].close())
        return self._minds[key]

    async def _drop(self, media: list[str]) -> None:
        for name in media:
            await asyncio.to_thread(made.drop, self._media, name)

    # Consolidation

    def _consolidate(self, message: Consolidate) -> None:
        if self._consolidating and not self._consolidating.done():
            self._send(ConsolidationFailed(message.task, "Another consolidation is still running."))
            return
        self._consolidating = self._run(self._fold(message))

    async def _fold(self, message: Consolidate) -> None:
        try:
            name, orders = self._persona.name, message.orders
            with self._meter.charged("consolidation"):
                changed = await self._mind.consolidate(name, message.lines, message.memory, orders)
        except OrganUnreachable as error:
            self._send(ConsolidationFailed(message.task, f"{error.reason} {error.hint}"))
        except ConsolidationError as error:
            self._send(ConsolidationFailed(message.task, f"Her mind's answer could not be used: {error}."))
        else:
            self._send(Consolidated(message.task, changed))

    # Tasks

    def _run(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Start a task. Its unexpected errors are reported, never swallowed."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._failed(error)
