"""The vectors of lines and of questions, made by the organ host: in the background, and never in the way of an answer.

They are a cache. Without the model, and for lines that have none yet, the words alone are searched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from daemon.ledger import Ledger, LedgerError
from daemon.logging.log import Log
from daemon.personas.personas import Personas
from daemon.runtime.clock import Clock, deadline
from proto.host import VECTOR

MODEL: Final = "all-MiniLM-L6-v2-int8"
"""Vectors of another model are dropped and made again."""

PATIENCE: Final = 0.25
"""Seconds that a question waits for its vector. A host that has to start first takes longer: it serves the next one."""

LOOK_EVERY: Final = 30.0
"""Seconds between two looks for lines without vectors."""

QUIET: Final = 1.0
BUSY: Final = 4
"""More commits than this in so many seconds before a batch mean that people wait for answers: the lines can wait."""

QUESTION_CHARS: Final = 1_000


class Vectors(NamedTuple):
    """The vectors of some texts, one behind the other, or why there are none; ``passing``: the next try may succeed."""

    data: bytes
    reason: str = ""
    passing: bool = True


Embed: TypeAlias = Callable[[list[str], Path], "asyncio.Task[Vectors]"]
"""Starts making the vectors of texts for the persona with this folder. The task raises nothing."""


class Meaning:
    """Makes vectors for all personas. Once the model turns out to be missing it is not asked again."""

    def __init__(
        self, ledger: Ledger, embed: Embed, personas: Personas, clock: Clock, log: Log, *, is_wanted: bool
    ) -> None:
        self._ledger = ledger
        self._embed = embed
        self._personas = personas
        self._clock = clock
        self._log = log
        self._is_there = is_wanted
        self._comparable: set[str] = set()
        """The personas that have vectors to compare a question with."""

    async def of_question(self, persona_id: str, words: str) -> bytes:
        """Return a question's vector, b"" when there is nothing to compare it with or it does not come at once."""
        if not self._is_there or persona_id not in self._comparable:
            return b""
        task = self._embed([words[-QUESTION_CHARS:]], self._personas.folder(persona_id))
        try:
            async with deadline(self._clock, PATIENCE):
                made = await asyncio.shield(task)
        except TimeoutError:
            return b""
        self._heed(made)
        return made.data if len(made.data) == VECTOR else b""

    async def fill(self) -> None:
        """Make the vectors that are missing, for as long as the daemon lives."""
        while self._is_there:
            for persona_id in [one.id for one in self._personas.all()]:
                try:
                    await self._fill(persona_id)
                except LedgerError as error:
                    self._log.error("recall.not_meant", persona=persona_id, reason=str(error))
            await self._clock.sleep(LOOK_EVERY)

    async def _fill(self, persona_id: str) -> None:
        if persona_id not in self._comparable and await self._ledger.has_meaning(persona_id):
            self._comparable.add(persona_id)
        while self._is_there:
            batch = await self._ledger.meaning_wanted(persona_id, MODEL)
            if batch is None or not await self._is_quiet():
                return
            made = Vectors(b"")
            if batch.lines:
                made = await self._embed([text for _, text in batch.lines], self._personas.folder(persona_id))
                self._heed(made)
                if len(made.data) != VECTOR * len(batch.lines):
                    return
            vectors = [made.data[place : place + VECTOR] for place in range(0, len(made.data), VECTOR)]
            entries = [(line, vector) for (line, _), vector in zip(batch.lines, vectors, strict=True)]
            await self._ledger.put_meaning(persona_id, MODEL, entries, batch)
            self._comparable.add(persona_id)

    async def _is_quiet(self) -> bool:
        """Return whether few people wait for answers now, after a pause that leaves the machine to others."""
        before = self._ledger.commits
        await self._clock.sleep(QUIET)
        return self._ledger.commits - before <= BUSY

    def _heed(self, made: Vectors) -> None:
        """Stop asking for vectors when there can be none."""
        if made.reason and not made.passing and self._is_there:
            self._is_there = False
            self._log.warning("recall.words_only", reason=made.reason)
