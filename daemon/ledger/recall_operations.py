"""What the ledger does to find again what was said."""

from __future__ import annotations

from collections.abc import Sequence

from daemon.ledger import feeds, meaning, recall, recall_index
from daemon.ledger.feeds import FedConversation
from daemon.ledger.meaning import Batch
from daemon.ledger.recall import Asked
from daemon.ledger.threads import Reader
from daemon.ledger.writer import Writer
from proto.recalling import Passage


class RecallOperations:
    """A part of ``Ledger``, with the same promises."""

    _writer: Writer
    _reader: Reader

    async def recall(self, persona_id: str, asked: Asked) -> list[Passage]:
        """Return the best passages of her owner's conversations and of what she was fed, the best one first."""
        return await self._reader.submit(recall.search, persona_id, asked)

    async def recall_visited(self, persona_id: str, asked: Asked) -> list[Passage]:
        """Return the best passages of a visitor's own conversation, the best one first."""
        return await self._reader.submit(recall.visited, persona_id, asked)

    async def has_lines(self, persona_id: str, count: int) -> bool:
        """Return whether so many lines of hers can be found."""
        return await self._reader.submit(recall_index.has_lines, persona_id, count)

    async def index_step(self, persona_id: str) -> bool:
        """Make some of her older lines searchable, the latest first; False when there are none left."""
        return await self._writer.submit(recall_index.step, persona_id)

    async def meaning_wanted(self, persona_id: str, model: str) -> Batch | None:
        """Return the next lines without a vector by this model, None while there are too few to be worth it."""
        return await self._reader.submit(meaning.wanted, persona_id, model)

    async def put_meaning(self, persona_id: str, model: str, entries: Sequence[tuple[int, bytes]], of: Batch) -> None:
        """Keep the vectors of a batch; those of another model are dropped."""
        await self._writer.submit(meaning.put, persona_id, model, entries, of)

    async def has_meaning(self, persona_id: str) -> bool:
        """Return whether she has vectors that a question can be compared with."""
        return await self._reader.submit(meaning.has_any, persona_id)

    async def fed_lines(self, persona_id: str, one: FedConversation) -> FedConversation:
        """Return this imported conversation with the lines that are kept of it."""
        return await self._reader.submit(feeds.with_lines, persona_id, one)
