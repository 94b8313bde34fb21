"""What a turn gets to know of what was said before, and what her mind asks for in the middle of one."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine, Sequence
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from daemon.conversations.lane import Lane, Recalled, Turn
from daemon.ledger import LedgerError, Waiting
from daemon.personas.personas import Personas
from daemon.recall.service import Recall, RecallRefused
from proto import recalling
from proto.asking import DaemonAnswer
from proto.messages import Conversation
from proto.recalling import Passage
from proto.zones import zone_of

MOST_ASKED: Final = 32
"""Searches of one turn. A mind may use tools eight times in it; a message that joins lets it begin again."""

UNKNOWN_TURN = "Only the turn of her owner that is in hand may ask what was said."
TOO_OFTEN = "That is too much for one answer: answer with what you have."
SLOW = "Searching what was said took too long: ask again with other words."


class Recaller:
    """Recall for the lanes of all personas."""

    def __init__(self, recall: Recall, personas: Personas) -> None:
        self._recall = recall
        self._personas = personas
        self._asked: dict[str, tuple[int, int]] = {}
        """By persona: her turn in hand, and how often it has asked."""
        self._one: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """One search of a persona at a time: a worker at fault keeps nobody from the ledger."""

    def look_up(
        self, persona_id: str, lane: Lane, following: Waiting, seen: int, pump: Callable[[str], None], *, visitor: bool
    ) -> Coroutine[object, object, None]:
        """Return the work of finding what fits the words that wait, for the turn that begins with ``following``.

        The lane waits until it is done, and ``pump`` starts the turn then.
        """
        lane.recalling = True
        return self._look_up(persona_id, lane, following, seen, pump, visitor=visitor)

    async def _look_up(
        self, persona_id: str, lane: Lane, following: Waiting, seen: int, pump: Callable[[str], None], *, visitor: bool
    ) -> None:
        waiting = [one.perception.content for one in lane.waiting if one.conversation == following.conversation]
        try:
            found = await self.passages(persona_id, following.conversation, waiting, seen, visitor=visitor)
            beyond = not visitor and (bool(found) or await self._recall.is_beyond(persona_id, seen))
            lane.recalled = Recalled(following.perception.id, found, beyond)
        finally:
            lane.recalling = False
        pump(persona_id)

    async def passages(
        self, persona_id: str, conversation: Conversation, texts: Sequence[str], seen: int, *, visitor: bool = False
    ) -> list[Passage]:
        """Return what was said before that fits these new texts, without the last ``seen`` lines. Never raises."""
        zone = self._zone(persona_id)
        words = "\n".join(texts)
        return await self._recall.passages(persona_id, conversation, words, seen=seen, zone=zone, visitor=visitor)

    async def answer(
        self, persona_id: str, asked: recalling.Recall, turn: Turn | None, send: Callable[[msgspec.Struct], None]
    ) -> None:
        """Answer a question of her mind; ``turn`` is the owner's turn in hand that it belongs to."""
        if turn is None:
            send(DaemonAnswer(asked.call, error=UNKNOWN_TURN))
            return
        number, count = self._asked.get(persona_id, (0, 0))
        self._asked[persona_id] = turn.number, count + 1 if number == turn.number else 1
        if self._asked[persona_id][1] > MOST_ASKED:
            send(DaemonAnswer(asked.call, error=TOO_OFTEN))
            return
        try:
            async with self._one[persona_id]:
                found = await self._recall.search(
                    persona_id, turn.conversation, asked.query, asked.since, asked.until, self._zone(persona_id)
                )
        except (RecallRefused, LedgerError) as error:
            send(DaemonAnswer(asked.call, error=str(error)))
        except TimeoutError:
            send(DaemonAnswer(asked.call, error=SLOW))
        else:
            send(DaemonAnswer(asked.call, msgspec.json.encode(found).decode()))

    def _zone(self, persona_id: str) -> ZoneInfo:
        persona = self._personas.get(persona_id)
        return zone_of(persona.zone if persona else "")
