"""The inbox: accepted messages become turns of a persona, and her answers go to the ledger and to listeners.

Each perception is committed before it is accepted, and answered in one transaction. The state in memory can be lost at
any moment: the ledger holds what was accepted, and the lanes are read back from it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Final

from daemon.conversations.agenda import Agenda
from daemon.conversations.endings import Endings
from daemon.conversations.hushing import hush
from daemon.conversations.lane import Lane, Turn
from daemon.conversations.lanes import Lanes, MindTrouble
from daemon.conversations.notices import Notices, trouble_of
from daemon.conversations.publisher import WEB, Publisher
from daemon.conversations.recaller import Recaller
from daemon.conversations.requests import Failed
from daemon.conversations.terms import ChannelTerms
from daemon.conversations.turn_context import TurnContext, perceptions_of
from daemon.conversations.worker import Worker
from daemon.ledger import Ledger, LedgerError, Waiting
from daemon.logging.log import Log
from daemon.personas.instructions import Instructions
from daemon.personas.personas import Personas
from daemon.runtime.clock import Clock
from daemon.runtime.tasks import PersonaTasks
from daemon.settings.settings import Settings
from proto.messages import (
    Address,
    Conversation,
    Deferred,
    FromWorker,
    Join,
    MindDown,
    Perception,
    Refused,
    Reply,
    Typing,
)
from proto.perception import PerceptionKind
from proto.streaming import Delta, Spoken

__all__ = ["WEB", "Inbox", "InboxFull"]

RECALL_RETRY_MIN: Final = 1.0
RECALL_RETRY_MAX: Final = 60.0
"""Seconds until a conversation that could not be read is read again."""


class InboxFull(RuntimeError):
    """Too many messages wait for her answer already."""


class Inbox:
    """All personas' lanes.

    Calls ``touched`` with a persona's id when a message to or from her owner is committed, and ``told`` when it has
    facts that are to be folded into her memory at once.
    """

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        personas: Personas,
        instructions: Instructions,
        terms: ChannelTerms,
        publisher: Publisher,
        recaller: Recaller,
        touched: Callable[[str], None],
        told: Callable[[str], None],
        tasks: PersonaTasks,
        clock: Clock,
        log: Log,
        agenda: Agenda,
    ) -> None:
        self.accepted = 0
        self._mind = settings.mind
        self._limit = settings.limits.inbox
        self._at_once = settings.channels.beats_at_once
        self._ledger = ledger
        self._personas = personas
        self._terms = terms
        self._publisher = publisher
        self._recaller = recaller
        self._requests = publisher.requests
        self._touched = touched
        self._clock = clock
        self._log = log
        self._agenda = agenda
        self.context = TurnContext(personas, instructions, terms, agenda)
        self._lanes: dict[str, Lanes] = {}
        self._running: dict[str, Worker] = {}
        self._dropped: set[str] = set()
        """The personas whose lanes were read back after a fault: what is admitted may be among that already."""
        fallback_after = settings.channels.fallback_after
        self._notices = Notices(publisher, terms, self._running, fallback_after, tasks, log)
        deaths = settings.supervisor.poison_deaths
        self._endings = Endings(ledger, personas, terms, publisher, deaths, touched, told, self.pump, clock, log)
        self._tasks = tasks

    @property
    def answered(self) -> int:
        """How many perceptions were answered."""
        return self._endings.answered

    async def load(self, persona_id: str) -> None:
        """Replace her lanes with what the ledger has waiting. Her process must not be running. Raises LedgerError."""
        await self._agenda.refresh(persona_id)
        waiting = await self._ledger.waiting(persona_id)
        meanwhile = self._lanes.pop(persona_id, None)
        self._put(persona_id, waiting)
        if meanwhile:
            # Accepted while the ledger was being read: it may or may not be among the rows that were read.
            known = {item.perception.id for item in waiting}
            self._put(
                persona_id, [item for lane in meanwhile for item in lane.waiting if item.perception.id not in known]
            )

    async def accept(
        self,
        persona_id: str,
        conversation: Conversation,
        kind: PerceptionKind,
        content: str,
        media: str | None = None,
        key: str | None = None,
        title: str = "",
    ) -> bool:
        """Commit a message and queue it for her. Returns False, and stores nothing, for a repeated ``key``.

        ``key`` is the idempotency key of the message in its conversation.

        Raises InboxFull, LedgerFull, LedgerBusy.
        """
        self.require_room(persona_id, 1)
        lane = self._all(persona_id).own
        lane.accepting += 1
        try:
            # After a fault here it may be committed and not queued: it is read back.
            with self._tasks.of(persona_id).reported(LedgerError):
                at = self._clock.time_ns()
                number = await self._ledger.accept(persona_id, conversation, kind, content, media, at, key, title)
        finally:
            lane.accepting -= 1
        if number is None:
            return False
        self.admit(persona_id, [Waiting(Perception(number, kind, content, at, media, title), conversation, 0)])
        return True

    async def take_up(self, persona_id: str, perception: int | None) -> list[int]:
        """Let her messages that were set aside wait again, one or all; returns their ids. Raises LedgerError."""
        # After a fault here they may wait in the ledger and not in a lane: they are read back.
        with self._tasks.of(persona_id).reported(LedgerError):
            items = await self._ledger.take_up(persona_id, perception)
        for item in items:
            self.admit(persona_id, [item], self._terms.is_open(item.conversation))
        return [item.perception.id for item in items]

    def require_room(self, persona_id: str, count: int, channel: str = "") -> None:
        """Raise InboxFull unless there is room for ``count`` more perceptions from her owner, or from an open channel.

        The owner and each open channel have their own limits: a paused channel that is full does not block another.
        """
        lanes = self._all(persona_id)
        if (lanes.depth_of(channel) if channel else lanes.own.depth) + count > self._limit:
            raise InboxFull(f"{self._limit} messages wait for her answer already")

    def admit(self, persona_id: str, items: list[Waiting], visitors: bool = False) -> None:
        """Queue committed perceptions for her, from her owner or from an open channel's visitors. Never raises."""
        if items:
            self._tasks.of(persona_id).call(partial(self._admit, persona_id, items, visitors))

    def _admit(self, persona_id: str, items: list[Waiting], visitors: bool) -> None:
        lanes = self._all(persona_id)
        if persona_id in self._dropped:
            known = {item.perception.id for lane in lanes for item in lane.unanswered}
            items = [item for item in items if item.perception.id not in known]
        lanes.admit(items, visitors)
        self.accepted += len(items)
        if not visitors:
            if any(item.perception.kind == "document" for item in items):
                self.context.has_document(persona_id)
            self._touched(persona_id)
        for conversation in {item.conversation for item in items}:
            self._notices.admitted(persona_id, lanes, conversation, visitors)
        self.pump(persona_id)

    def depth(self, persona_id: str) -> int:
        """How many perceptions wait for her answer."""
        lanes = self._all(persona_id)
        return lanes.own.depth + lanes.depth

    def mind_down(self, persona_id: str) -> str:
        """Why her mind cannot be reached, or an empty string."""
        lanes = self._lanes.get(persona_id)
        if lanes is None:
            return ""
        return lanes.own.mind_down or ("Visitors cannot be answered." if "" in lanes.down else "")

    def own_trouble(self, persona_id: str) -> Failed | None:
        """Return what keeps her from answering her owner, None while nothing does."""
        return trouble_of(self._all(persona_id).own)

    def minds_down(self, persona_id: str) -> dict[str, MindTrouble]:
        """Return her minds that cannot be reached, by the model's name; "" is her own."""
        lanes = self._lanes.get(persona_id)
        return lanes.troubles() if lanes else {}

    def attach(self, persona_id: str, worker: Worker) -> None:
        """Give this worker what waits."""
        self._running[persona_id] = worker
        self.pump(persona_id)

    async def drop(self, persona_id: str) -> None:
        """Drop her lanes, which a fault may have left in any state; ``load`` reads them back.

        A crash is counted for what was in hand, since it may have caused the fault.
        """
        self._running.pop(persona_id, None)
        if lanes := self._lanes.pop(persona_id, None):
            self._dropped.add(persona_id)
            for lane in lanes:
                lane.cancel_timer()
            turns = [lane.in_hand for lane in lanes if lane.in_hand]
            await self._endings.count_deaths(persona_id, [item for turn in turns for item in turn.items])

    async def detach(self, persona_id: str, *, crashed: bool) -> None:
        """Her process is gone. What it had in hand waits again; after too many crashes it is set aside.

        Answers that are still being committed are kept.
        """
        self._running.pop(persona_id, None)
        lanes = self._all(persona_id)
        turn = lanes.own.in_hand
        if turn and not turn.replied:
            self._publisher.end_draft(persona_id, turn.conversation, turn.number, said=False)
        in_hand = [(lane, lane.drop_turn()) for lane in lanes]
        items = [item for _, dropped in in_hand for item in dropped]
        counted = {item.perception.id: item for item in items}
        if crashed and items:
            counted = {item.perception.id: item for item in await self._endings.count_deaths(persona_id, items)}
        lanes.down.clear()
        for lane, dropped in in_hand:
            lane.mind_down = ""
            lane.put_back([counted[item.perception.id] for item in dropped if item.perception.id in counted])
            lanes.rotate(lane)

    def forget(self, persona_id: str) -> None:
        """Forget a deleted persona."""
        if lanes := self._lanes.pop(persona_id, None):
            for lane in lanes:
                lane.cancel_timer()
        self._dropped.discard(persona_id)
        self._terms.forget(persona_id)
        self.context.forget(persona_id)
        self._requests.forget(persona_id)

    def drop_channel(self, persona_id: str, channel: str) -> None:
        """Drop a removed channel and what waits on it."""
        self._terms.drop(channel)
        self._all(persona_id).drop_channel(channel)

    def erased(self, persona_id: str, address: Address, perceptions: list[int]) -> None:
        """Drop a visitor's erased perceptions, and what was said in that conversation."""
        self._all(persona_id).erased(address, set(perceptions))
        self.pump(persona_id)

    def owners_turn(self, persona_id: str, turn: int) -> Turn | None:
        """Return her owner's turn with this number, if it is in hand and not answered: only such a turn may ask."""
        in_hand = self._all(persona_id).own.in_hand
        return in_hand if in_hand and in_hand.number == turn and not in_hand.replied else None

    def stepped(self, persona_id: str, conversation: Conversation) -> None:
        """Read this conversation's history again: a line of it was replaced."""
        for lane in self._all(persona_id):
            lane.forget_history(conversation)

    def received(self, persona_id: str, message: FromWorker) -> None:
        """Take a message from her worker about a turn."""
        lanes = self._all(persona_id)
        match message:
            case Reply():
                if lane := lanes.holding(message.turn):
                    self._tasks.of(persona_id).start(self._endings.answer(persona_id, lanes, lane, message))
            case Refused():
                if lane := lanes.holding(message.turn):
                    self._tasks.of(persona_id).start(self._endings.refuse(persona_id, lanes, lane, message))
            case Deferred():
                if lane := lanes.holding(message.turn):
                    if message.unaffordable:
                        self._hold(persona_id, lanes, lane, message)
                    self._endings.defer(persona_id, lanes, lane)
            case Delta():
                if turn := self.owners_turn(persona_id, message.turn):
                    self._publisher.draft(persona_id, turn.conversation, message)
            case Spoken():
                if turn := self.owners_turn(persona_id, message.turn):
                    self._publisher.speak(persona_id, turn.conversation, message)
            case Typing():
                self._publisher.signal("Command", "Persona wants to type", persona_id, message.conversation)
            case MindDown():
                if lane := lanes.holding(message.turn):
                    lanes.trouble(lane, f"{message.reason} {message.hint}".strip(), self._clock.time_ns())
                    self._notices.mind_down(persona_id, lanes, lane, message)

    def afford(self, persona_id: str) -> None:
        """A budget of hers may have room again. Never raises."""
        if lanes := self._lanes.get(persona_id):
            lanes.afford()
            self.pump(persona_id)

    def _hold(self, persona_id: str, lanes: Lanes, lane: Lane, message: Deferred) -> None:
        """Keep what waits for a mind that no budget has room for; while calls in progress hold it, nobody is told."""
        if not message.passing:
            lanes.trouble(lane, message.unaffordable, self._clock.time_ns())
            self._notices.unaffordable(persona_id, lanes, lane, message.unaffordable)
        lanes.hold(lane)

    async def hush(self, persona_id: str) -> bool:
        """Stop the answer to her owner that is in hand; False when there is none. Raises HushFailed."""
        return await hush(self._all(persona_id).own, self._running.get(persona_id), self._clock)

    def pump(self, persona_id: str) -> None:
        """Start the next turns, and join new messages to the turns in hand. Never raises."""
        self._tasks.of(persona_id).call(partial(self._pump, persona_id))

    def _pump(self, persona_id: str) -> None:
        lanes, worker = self._all(persona_id), self._running.get(persona_id)
        if worker is None:
            return
        now = self._clock.monotonic()
        for lane in lanes:
            if lane.in_hand and (joining := lane.join(now, self._mind.burst_window)):
                worker.send(Join(lane.in_hand.number, joining))
        for lane in lanes.startable():
            self._start(persona_id, lanes, lane, worker, now)
        self._notices.remind(persona_id, lanes)

    def _put(self, persona_id: str, items: list[Waiting]) -> None:
        for item in items:
            self._all(persona_id).admit([item], self._terms.is_open(item.conversation))

    def _all(self, persona_id: str) -> Lanes:
        lanes = self._lanes.get(persona_id)
        if lanes is None:
            lanes = Lanes(self._mind.history_lines, self._at_once, self._terms.is_paused, self._terms.model)
            self._lanes[persona_id] = lanes
        return lanes

    def _start(self, persona_id: str, lanes: Lanes, lane: Lane, worker: Worker, now: float) -> None:
        """Start a lane's next turn, once the conversation's history is in memory."""
        following = lane.next()
        assert following is not None
        conversation = following.conversation
        history, instructions = lane.history(conversation), self._requests.instructions(persona_id, conversation)
        if history is None or instructions is None:
            lane.recalling = True
            self._tasks.of(persona_id).start(self._recall(persona_id, lane, conversation))
            return
        if lane.recalled.first != following.perception.id:
            looking = self._recaller.look_up(
                persona_id, lane, following, len(history), self.pump, visitor=lane is not lanes.own
            )
            self._tasks.of(persona_id).start(looking)
            return
        turn = lane.take(now)
        if lane is lanes.own:
            items = perceptions_of(turn)
            perceive = self.context.owned(persona_id, turn.number, conversation, items, history, instructions)
        else:
            perceive = self.context.visited(persona_id, turn, history)
        perceive.recalled, perceive.beyond = lane.recalled.passages, lane.recalled.beyond
        worker.send(perceive)
        content = "\n".join(item.perception.content for item in turn.items)
        self._publisher.signal("Event", "Heard", persona_id, conversation, content=content)

    async def _recall(self, persona_id: str, lane: Lane, conversation: Conversation) -> None:
        try:
            forgotten = lane.forgotten
            await self._requests.read(persona_id, conversation)
            lines = await self._ledger.history(persona_id, conversation, self._mind.history_lines)
            if lane.history(conversation) is None and lane.forgotten == forgotten:
                lane.remember(conversation, lines)
            lane.recalls_failed = 0
        except LedgerError as error:
            if not lane.recalls_failed:
                self._log.error("inbox.history_unreadable", persona=persona_id, reason=str(error))
            delay = min(RECALL_RETRY_MAX, RECALL_RETRY_MIN * 2 ** min(lane.recalls_failed, 10))
            lane.recalls_failed += 1
            await self._clock.sleep(random.uniform(delay / 2, delay))
        finally:
            lane.recalling = False
        self.pump(persona_id)
