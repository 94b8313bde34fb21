"""Recall: what fits new words out of everything that was said before, within a bounded time."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from daemon.ledger import Asked, Ledger, LedgerError
from daemon.logging.log import Log
from daemon.recall.dates import Times, times
from daemon.recall.meaning import Meaning
from daemon.runtime.clock import Clock, deadline
from proto.messages import Conversation
from proto.recalling import Passage

MOST: Final = 8
"""Passages for her owner's words, and for one question of her mind."""

MOST_VISITED: Final = 4
"""Passages for a visitor's words."""

QUERY_CHARS: Final = 2_000
"""Characters of a query that are looked at: the last ones, where the question usually is."""

PATIENCE: Final = 1.0
"""Seconds that a turn waits for what was said before. Without it she answers from what she has."""


class RecallRefused(ValueError):
    """A search that makes no sense; the text says what to ask instead."""


class Recall:
    """Searches for all personas."""

    def __init__(self, ledger: Ledger, meaning: Meaning, clock: Clock, log: Log) -> None:
        self._ledger = ledger
        self._meaning = meaning
        self._clock = clock
        self._log = log
        self._beyond: set[str] = set()
        """The personas who were told more than a history holds."""

    async def passages(
        self, persona_id: str, conversation: Conversation, words: str, *, seen: int, zone: ZoneInfo, visitor: bool
    ) -> list[Passage]:
        """Return what fits a turn's new words; nothing when that takes too long or the ledger cannot be read.

        The last ``seen`` lines of the conversation are known already. A visitor's search reaches only this one.
        A time in the words comes first, and what was said at other times fills up the rest.
        """
        words = words[-QUERY_CHARS:]
        if not words.strip():
            return []
        asked = Asked(words, conversation, self._clock.time_ns(), seen=seen, limit=MOST_VISITED if visitor else MOST)
        try:
            async with deadline(self._clock, PATIENCE):
                if visitor:
                    return await self._ledger.recall_visited(persona_id, asked)
                vector = await self._meaning.of_question(persona_id, words)
                asked = msgspec.structs.replace(asked, vector=vector)
                return await self._in_time_first(persona_id, asked, zone)
        except TimeoutError:
            self._log.warning("recall.slow", persona=persona_id, seconds=PATIENCE)
        except LedgerError as error:
            self._log.error("recall.failed", persona=persona_id, reason=str(error))
        return []

    async def is_beyond(self, persona_id: str, seen: int) -> bool:
        """Return whether she was told more than so many lines. Never raises: it is asked before each turn."""
        if persona_id in self._beyond:
            return True
        with suppress(LedgerError):
            if await self._ledger.has_lines(persona_id, seen + 1):
                self._beyond.add(persona_id)
                return True
        return False

    async def search(
        self, persona_id: str, conversation: Conversation, words: str, since: str, until: str, zone: ZoneInfo
    ) -> list[Passage]:
        """Return what her mind asks for. Raises RecallRefused, LedgerError, TimeoutError."""
        words, now = words[-QUERY_CHARS:], self._clock.time_ns()
        local = datetime.fromtimestamp(now / 1e9, UTC).astimezone(zone)
        low, high = _bound(since, local), _bound(until, local)
        asked = Asked(words, conversation, now)
        if low or high:
            first, end = low.since if low else asked.since, high.until if high else asked.until
            if first >= end:
                raise RecallRefused(
                    "The search ends before it begins: give `from` the earlier time, `to` the later one."
                )
            asked = msgspec.structs.replace(asked, since=first, until=end)
        elif found := times(words, local):
            asked = msgspec.structs.replace(asked, since=found.since, until=found.until)
        async with deadline(self._clock, PATIENCE):
            vector = await self._meaning.of_question(persona_id, words)
            return await self._ledger.recall(persona_id, msgspec.structs.replace(asked, vector=vector))

    async def _in_time_first(self, persona_id: str, asked: Asked, zone: ZoneInfo) -> list[Passage]:
        now = datetime.fromtimestamp(asked.now / 1e9, UTC).astimezone(zone)
        named = times(asked.words, now)
        if named is None:
            return await self._ledger.recall(persona_id, asked)
        dated = msgspec.structs.replace(asked, since=named.since, until=named.until)
        found = await self._ledger.recall(persona_id, dated)
        others = await self._ledger.recall(persona_id, asked) if len(found) < asked.limit else []
        return [*found, *(one for one in others if one not in found)][: asked.limit]


def _bound(words: str, now: datetime) -> Times | None:
    """Return the time that a mind named as the beginning or the end. Raises RecallRefused."""
    if not words.strip():
        return None
    # A bare month, year or weekday is read as after "in" or "on".
    for said in (words, f"in {words}", f"on {words}"):
        if found := times(said, now):
            return found
    raise RecallRefused(
        f"{words.strip()[:60]!r} is no time in the past: give a date such as 2026-05-03, or words such as 'last May'."
    )
