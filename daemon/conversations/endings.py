"""How turns end: her answer is committed and published, what her mind refuses is set aside, or the turn waits again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from daemon.conversations import refusal_texts
from daemon.conversations.frames import NO_ENDING, Ending
from daemon.conversations.hubs import Slot
from daemon.conversations.lane import Lane, Turn, lines_of
from daemon.conversations.lanes import Lanes
from daemon.conversations.publisher import Publisher
from daemon.conversations.terms import ChannelTerms
from daemon.ledger import DIED, Ledger, LedgerError, Notice, Waiting
from daemon.logging.log import Log
from daemon.personas.media import FOLDER as MEDIA
from daemon.personas.media import unmark
from daemon.personas.personas import Personas
from daemon.runtime.clock import Clock
from proto.messages import Outgoing, Refused, Reply

COMMIT_RETRY_MAX: Final = 10.0
"""Seconds at most between two tries to commit an answer while the disk refuses it."""


class Endings:
    """Ends the turns of all personas.

    Calls ``touched`` with a persona's id after an answer to her owner, ``told`` if there are facts to be folded into
    her memory at once, and ``pump`` when her next turn may start.
    """

    def __init__(
        self,
        ledger: Ledger,
        personas: Personas,
        terms: ChannelTerms,
        publisher: Publisher,
        poison_deaths: int,
        touched: Callable[[str], None],
        told: Callable[[str], None],
        pump: Callable[[str], None],
        clock: Clock,
        log: Log,
    ) -> None:
        self.answered = 0
        self._ledger = ledger
        self._personas = personas
        self._terms = terms
        self._publisher = publisher
        self._poison_deaths = poison_deaths
        self._touched = touched
        self._told = told
        self._pump = pump
        self._clock = clock
        self._log = log

    async def answer(self, persona_id: str, lanes: Lanes, lane: Lane, reply: Reply) -> None:
        """Commit a reply, publish it, and go on to what waits."""
        turn = self._ending(persona_id, lane, reply)
        if turn is None:
            return
        if not reply.perceived.keys() <= {*reply.perceptions}:
            self._log.warning("inbox.reply_refused", persona=persona_id, reason="it tells of what is not in hand")
            return
        turn.replied = True
        lane.committing += 1
        slots = self._publisher.reserve(persona_id, len(reply.messages))
        at = self._clock.time_ns()
        seqs = [slot.seq for slot in slots]
        try:
            committed = await self._commit(
                persona_id,
                lambda: self._ledger.answer(
                    persona_id,
                    reply.perceptions,
                    turn.conversation,
                    reply.messages,
                    seqs,
                    at,
                    reply.perceived,
                    hushed=reply.hushed,
                ),
            )
            self._end_draft(persona_id, lanes, lane, turn, said=committed and bool(reply.messages))
            if committed:
                ending = Ending(turn.number, hushed=reply.hushed)
                self._publisher.publish(persona_id, turn.conversation, reply.messages, slots, ending=ending)
                self._publisher.requests.answered(persona_id, turn.conversation, reply)
        finally:
            lane.committing -= 1
            for slot in slots:
                slot.drop()
        answered = turn.answered(reply.perceptions)
        if committed:
            self.answered += len(answered)
            if lane.history(turn.conversation) is not None:
                # Else it was forgotten meanwhile, and is read back whole.
                lane.remember(turn.conversation, lines_of(answered, reply, at))
            if lane is lanes.own:
                self._touched(persona_id)
                if reply.told:
                    self._told(persona_id)
        self._go_on(persona_id, lanes, lane, turn, answered, works=committed)
        if made := [message.media for message in reply.messages if message.media]:
            # Files with a mark are deleted at the next start unless the ledger names them; now it does.
            await asyncio.to_thread(unmark, self._personas.folder(persona_id) / MEDIA, made)

    async def refuse(self, persona_id: str, lanes: Lanes, lane: Lane, refused: Refused) -> None:
        """Set aside what her mind refuses to answer, tell its sender once, and go on to what waits."""
        turn = self._ending(persona_id, lane, refused)
        if turn is None:
            return
        turn.replied = True
        lane.committing += 1
        items = turn.answered(refused.perceptions)
        text = refusal_texts.refused(refused.kind, items[0], refused.reason, visitor=lane is not lanes.own)
        (slot,) = self._publisher.reserve(persona_id, 1)
        notice = Notice(items[0].perception.id, turn.conversation, text, slot.seq)
        at = self._clock.time_ns()
        try:
            committed = await self._commit(
                persona_id,
                lambda: self._ledger.refuse(persona_id, refused.perceptions, refused.reason, notice, at),
            )
            self._end_draft(persona_id, lanes, lane, turn, said=committed)
            if committed:
                self._tell(persona_id, notice, refused.reason, slot, Ending(turn.number))
                self._publisher.requests.failed(persona_id, notice.conversation, refused.kind, notice.content)
        finally:
            lane.committing -= 1
            slot.drop()
        if committed:
            self._log.warning(
                "inbox.refused",
                persona=persona_id,
                perceptions=refused.perceptions,
                kind=refused.kind,
                reason=refused.reason,
            )
        self._go_on(persona_id, lanes, lane, turn, items, works=committed)

    def defer(self, persona_id: str, lanes: Lanes, lane: Lane) -> None:
        """End a turn whose mind is down: its messages wait again, and the next conversation tries that mind."""
        turn = lane.in_hand
        if turn is not None and not turn.replied:
            self._end_draft(persona_id, lanes, lane, turn, said=False)
            lane.put_back(lane.drop_turn())
            lanes.rotate(lane)
            self._pump(persona_id)

    async def count_deaths(self, persona_id: str, items: list[Waiting]) -> list[Waiting]:
        """Count a crash for the perceptions in hand; returns those that may be tried again."""
        notices, slots = list[Notice](), list[Slot]()
        for item in items:
            last = item.deaths + 1 >= self._poison_deaths
            reserved = self._publisher.reserve(persona_id, 1 if last else 0)
            text = refusal_texts.failed(item, visitor=self._terms.is_open(item.conversation))
            notices.append(Notice(item.perception.id, item.conversation, text, reserved[0].seq if last else 0))
            slots += reserved
        try:
            aside = await self._ledger.died(persona_id, notices, self._poison_deaths, self._clock.time_ns())
            by_seq = {slot.seq: slot for slot in slots}
            for notice in notices:
                if notice.perception in aside:
                    self._log.error("inbox.poison", persona=persona_id, perception=notice.perception)
                    self._tell(persona_id, notice, DIED, by_seq.get(notice.seq))
                    self._publisher.requests.failed(persona_id, notice.conversation, "died", notice.content)
        except LedgerError as error:
            self._log.error("inbox.deaths_not_counted", persona=persona_id, reason=str(error))
            aside = []
        finally:
            for slot in slots:
                slot.drop()
        left = [item for item in items if item.perception.id not in aside]
        return [msgspec.structs.replace(item, deaths=item.deaths + 1) for item in left]

    def _ending(self, persona_id: str, lane: Lane, end: Reply | Refused) -> Turn | None:
        """The turn that this message ends; None, with an event, if it names anything that is not in hand."""
        turn = lane.in_hand
        if turn is None or turn.number != end.turn or turn.replied:
            return None
        if not end.perceptions or len(turn.answered(end.perceptions)) != len(end.perceptions):
            self._log.warning("inbox.reply_refused", persona=persona_id, reason="it answers what is not in hand")
            return None
        return turn

    def _go_on(
        self, persona_id: str, lanes: Lanes, lane: Lane, turn: Turn, ended: list[Waiting], *, works: bool
    ) -> None:
        """Let what the turn has not ended wait again, and start the next one; ``works``: its mind does."""
        if lane.in_hand is turn:
            lane.in_hand = None
        turn.end(kept=works)
        lane.put_back([item for item in turn.items if item not in ended])
        if works:
            lane.mind_down = ""
            if lane is not lanes.own:
                lanes.down.discard(self._terms.model(turn.conversation))
        lane.cancel_timer()
        lanes.rotate(lane)
        self._pump(persona_id)

    def _end_draft(self, persona_id: str, lanes: Lanes, lane: Lane, turn: Turn, *, said: bool) -> None:
        if lane is lanes.own:
            self._publisher.end_draft(persona_id, turn.conversation, turn.number, said=said)

    async def _commit(self, persona_id: str, commit: Callable[[], Awaitable[bool]]) -> bool:
        """Commit the end of a turn. A full disk is retried until it has room: the mind has done its work already."""
        delay = 0.1
        while True:
            try:
                return await commit()
            except LedgerError as error:
                self._log.error("inbox.answer_not_committed", persona=persona_id, reason=str(error))
            await self._clock.sleep(random.uniform(delay / 2, delay))
            delay = min(delay * 2, COMMIT_RETRY_MAX)

    def _tell(
        self, persona_id: str, notice: Notice, reason: str, slot: Slot | None, ending: Ending = NO_ENDING
    ) -> None:
        about = {"message": notice.perception, "reason": reason}
        self._publisher.signal("Event", "Perception set aside", persona_id, notice.conversation, **about)
        if slot:
            said = [Outgoing(notice.content)]
            self._publisher.publish(persona_id, notice.conversation, said, [slot], "Notified", ending)
