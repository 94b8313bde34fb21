"""The way through: accepted words to her beats, her answers to the ledger and to those who listen.

Each perception is committed before it is accepted, and answered in one transaction. Everything here can be lost at
any moment: the ledger holds what was accepted, and the lanes are read back from it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from typing import Final

import msgspec

from daemon.generation import Generation
from daemon.hubs import Hubs, SignalType, Slot, chat_frame
from daemon.lane import Lane
from daemon.ledger import Ledger, LedgerError, Waiting
from daemon.logs import Log
from daemon.media import FOLDER as MEDIA
from daemon.media import holds_documents, settle
from daemon.personas import Personas
from daemon.settings import Settings
from proto.messages import Conversation, FromWorker, Join, Line, MindDown, Outgoing, Perceive, Perception, Reply, Typing
from proto.perception import PerceptionKind

WEB: Final = "web"
COMMIT_RETRY_MAX: Final = 10.0
"""Seconds between two tries to commit an answer that the disk does not take."""

RECALL_RETRY: Final = 1.0


class InboxFull(RuntimeError):
    """She has too much unanswered already."""


class Inbox:
    """The lanes of all personas.

    ``touched`` is called with a persona's id when a talk of hers goes on, ``said`` when the outbox has something new
    for a gateway.
    """

    def __init__(self, settings: Settings, ledger: Ledger, hubs: Hubs, personas: Personas, log: Log) -> None:
        self.accepted = 0
        self.answered = 0
        self.touched: Callable[[str], None] = lambda _: None
        self.said: Callable[[str], None] = lambda _: None
        self._mind = settings.mind
        self._limit = settings.limits.inbox
        self._poison_deaths = settings.supervisor.poison_deaths
        self._ledger = ledger
        self._hubs = hubs
        self._personas = personas
        self._log = log
        self._lanes: dict[str, Lane] = {}
        self._running: dict[str, Generation] = {}
        self._readers: set[str] = set()
        """The personas that have documents to look things up in."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def load(self, persona_id: str) -> None:
        """Read back what waits for her."""
        self._lane(persona_id).waiting.extend(await self._ledger.waiting(persona_id))

    async def find_documents(self, persona_id: str) -> None:
        """Look whether she has documents."""
        if await asyncio.to_thread(holds_documents, self._personas.folder(persona_id) / MEDIA):
            self._readers.add(persona_id)

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
        """Commit words and let her have them; a ``key`` that this conversation had before is accepted again, once.

        False when it was such a key, and nothing was kept.

        Raises InboxFull, LedgerFull, LedgerBusy.
        """
        self.require_room(persona_id, 1)
        lane = self._lane(persona_id)
        lane.accepting += 1
        try:
            at = time.time_ns()
            number = await self._ledger.accept(persona_id, conversation, kind, content, media, at, key, title)
        finally:
            lane.accepting -= 1
        if number is None:
            return False
        self.admit(persona_id, [Waiting(Perception(number, kind, content, at, media, title), conversation, 0)])
        return True

    def require_room(self, persona_id: str, count: int) -> None:
        """Raise InboxFull unless ``count`` more perceptions may wait for her."""
        if self._lane(persona_id).depth + count > self._limit:
            raise InboxFull(f"{self._limit} messages wait for her answer already")

    def admit(self, persona_id: str, items: list[Waiting]) -> None:
        """Let her have what is committed already."""
        if not items:
            return
        lane = self._lane(persona_id)
        lane.waiting.extend(items)
        if any(item.perception.kind == "document" for item in items):
            self._readers.add(persona_id)
        self.accepted += len(items)
        self.touched(persona_id)
        if lane.mind_down:
            for conversation in {item.conversation for item in items}:
                self._go(self._tell(persona_id, lane, conversation))
        self._pump(persona_id)

    async def say(self, persona_id: str, conversation: Conversation, content: str) -> int:
        """Say something in her name that is not of her mind; returns its seq. Raises LedgerError."""
        slot = self._hubs.reserve(persona_id)
        try:
            await self._ledger.say(persona_id, conversation, content, slot.seq, time.time_ns())
            self._publish(persona_id, conversation, [Outgoing(content)], [slot], title="Notified")
        finally:
            slot.drop()
        return slot.seq

    def depth(self, persona_id: str) -> int:
        """How many perceptions wait for her answer."""
        return self._lane(persona_id).depth

    def mind_down(self, persona_id: str) -> str:
        """Why her mind cannot be reached, or an empty text."""
        return self._lane(persona_id).mind_down

    def attach(self, persona_id: str, generation: Generation) -> None:
        """She runs: give her what waits."""
        self._running[persona_id] = generation
        self._pump(persona_id)

    async def detach(self, persona_id: str, crashed: bool) -> None:
        """Her process is gone. What it had in hand waits again; after one crash too many it is set aside.

        What it had answered waits for the disk, not for another answer.
        """
        self._running.pop(persona_id, None)
        lane = self._lane(persona_id)
        lane.mind_down = ""
        items = lane.drop_beat()
        if crashed and items:
            items = await self._count_deaths(persona_id, items)
        lane.put_back(items)

    def forget(self, persona_id: str) -> None:
        """She is deleted."""
        self._lanes.pop(persona_id, None)
        self._readers.discard(persona_id)

    def received(self, persona_id: str, message: FromWorker) -> None:
        """A message of her beat."""
        lane = self._lane(persona_id)
        match message:
            case Reply():
                self._go(self._answer(persona_id, lane, message))
            case Typing():
                self._signal("Command", "Persona wants to type", persona_id, message.conversation)
            case MindDown():
                self._mind_down(persona_id, lane, message)

    async def close(self) -> None:
        """Cancel what still waits for the disk: it is in the inbox."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _lane(self, persona_id: str) -> Lane:
        lane = self._lanes.get(persona_id)
        if lane is None:
            lane = self._lanes[persona_id] = Lane(self._mind.history_lines)
        return lane

    def _go(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _pump(self, persona_id: str) -> None:
        """Give her the next beat, or join new words to the one in hand."""
        lane, generation = self._lane(persona_id), self._running.get(persona_id)
        if generation is None:
            return
        now = time.monotonic()
        if lane.in_hand:
            if joining := lane.join(now, self._mind.burst_window):
                generation.send(Join(lane.in_hand.number, joining))
            return
        conversation = lane.next_conversation()
        if conversation is None:
            return
        history = lane.history(conversation)
        if history is None:
            if not lane.recalling:
                lane.recalling = True
                self._go(self._recall(persona_id, lane, conversation))
            return
        beat = lane.take(now)
        perceptions = [item.perception for item in beat.items]
        memory = self._personas.memory(persona_id)
        has_documents = persona_id in self._readers
        generation.send(Perceive(beat.number, conversation, perceptions, history, memory, has_documents))
        content = "\n".join(perception.content for perception in perceptions)
        self._signal("Event", "Heard", persona_id, conversation, content=content)

    async def _recall(self, persona_id: str, lane: Lane, conversation: Conversation) -> None:
        try:
            lines = await self._ledger.history(persona_id, conversation, self._mind.history_lines)
            if lane.history(conversation) is None:
                lane.remember(conversation, lines)
        except LedgerError as error:
            self._log.error("inbox.history_unreadable", persona=persona_id, reason=str(error))
            await asyncio.sleep(RECALL_RETRY)
        finally:
            lane.recalling = False
        self._pump(persona_id)

    async def _answer(self, persona_id: str, lane: Lane, reply: Reply) -> None:
        """Commit a reply, let the listeners have it, and go on to what waits."""
        beat = lane.in_hand
        if beat is None or beat.number != reply.beat or beat.replied:
            return
        answered = beat.answered(reply.perceptions)
        if (
            len(answered) != len(reply.perceptions)
            or not answered
            or not reply.perceived.keys() <= {*reply.perceptions}
        ):
            self._log.warning("inbox.reply_refused", persona=persona_id, reason="it answers what is not in hand")
            return
        beat.replied = True
        slots = [self._hubs.reserve(persona_id) for _ in reply.messages]
        at = time.time_ns()
        try:
            committed = await self._commit(persona_id, reply, beat.conversation, slots, at)
            if committed:
                self._publish(persona_id, beat.conversation, reply.messages, slots)
        finally:
            for slot in slots:
                slot.drop()
        if lane.in_hand is beat:
            lane.in_hand = None
        lane.put_back([item for item in beat.items if item not in answered])
        if committed:
            self.answered += len(answered)
            lane.mind_down = ""
            lane.remember(beat.conversation, _lines(answered, reply, at))
            self.touched(persona_id)
        self._pump(persona_id)
        if made := [message.media for message in reply.messages if message.media]:
            # Its mark was there in case nobody would ever speak of it.
            await asyncio.to_thread(settle, self._personas.folder(persona_id) / MEDIA, made)

    async def _commit(
        self, persona_id: str, reply: Reply, conversation: Conversation, slots: list[Slot], at: int
    ) -> bool:
        """Commit the answer; a disk that takes nothing is tried until it does, since the answer is already thought."""
        delay = 0.1
        while True:
            try:
                seqs = [slot.seq for slot in slots]
                return await self._ledger.answer(
                    persona_id, reply.perceptions, conversation, reply.messages, seqs, at, reply.perceived
                )
            except LedgerError as error:
                self._log.error("inbox.answer_not_committed", persona=persona_id, reason=str(error))
            await asyncio.sleep(random.uniform(delay / 2, delay))
            delay = min(delay * 2, COMMIT_RETRY_MAX)

    def _publish(
        self,
        persona_id: str,
        conversation: Conversation,
        messages: list[Outgoing],
        slots: list[Slot],
        title: str = "Said",
    ) -> None:
        for message, slot in zip(messages, slots, strict=True):
            if conversation.type == WEB:
                slot.publish(chat_frame(persona_id, slot.seq, message.kind, message.content, message.media))
            self._signal("Event", title, persona_id, conversation, content=message.content)
        if conversation.type != WEB:
            self.said(persona_id)

    def _mind_down(self, persona_id: str, lane: Lane, message: MindDown) -> None:
        if lane.in_hand is None or lane.in_hand.number != message.beat:
            return
        words = f"I cannot reach my mind right now: {message.reason} {message.hint}".strip()
        lane.mind_down = f"{words} I keep what you say, and answer when it is back."
        self._log.warning("mind.unreachable", persona=persona_id, reason=message.reason, hint=message.hint)
        waiting = {item.conversation for item in [*lane.in_hand.items, *lane.waiting]}
        for conversation in waiting:
            self._go(self._tell(persona_id, lane, conversation))

    async def _tell(self, persona_id: str, lane: Lane, conversation: Conversation) -> None:
        """Tell the person of the outage, once."""
        notice, slot = Outgoing(lane.mind_down), self._hubs.reserve(persona_id)
        told = False
        try:
            told = await self._ledger.tell(persona_id, conversation, notice.content, slot.seq, time.time_ns())
        except LedgerError as error:
            self._log.error("inbox.notice_not_committed", persona=persona_id, reason=str(error))
        if told:
            self._publish(persona_id, conversation, [notice], [slot], title="Notified")
        slot.drop()

    async def _count_deaths(self, persona_id: str, items: list[Waiting]) -> list[Waiting]:
        """Count a crash against what was in hand; returns what may be tried again."""
        poison: list[int] = []
        try:
            poison = await self._ledger.died([item.perception.id for item in items], self._poison_deaths)
        except LedgerError as error:
            self._log.error("inbox.deaths_not_counted", persona=persona_id, reason=str(error))
        for item in items:
            if item.perception.id in poison:
                self._log.error("inbox.poison", persona=persona_id, perception=item.perception.id)
                self._signal("Event", "Perception set aside", persona_id, item.conversation)
        left = [item for item in items if item.perception.id not in poison]
        return [msgspec.structs.replace(item, deaths=item.deaths + 1) for item in left]

    def _signal(
        self, kind: SignalType, title: str, persona_id: str, conversation: Conversation, **details: object
    ) -> None:
        if persona := self._personas.get(persona_id):
            channel = {"type": conversation.type, "name": conversation.name}
            self._hubs.signal(kind, title, persona, {"channel": channel, **details})


def _lines(items: list[Waiting], reply: Reply, at: int) -> list[Line]:
    heard = [
        Line("person", one.content, one.at, one.media, one.title, reply.perceived.get(one.id, ""))
        for one in (item.perception for item in items)
    ]
    return heard + [Line("assistant", message.content, at, message.media) for message in reply.messages]
