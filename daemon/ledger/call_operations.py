"""What the ledger does for costs: calls of remote minds and organs."""

from __future__ import annotations

from collections.abc import Sequence

from daemon.ledger import calls
from daemon.ledger.calls import Call, Crossed, Room, UsageRow
from daemon.ledger.threads import Reader
from daemon.ledger.writer import Writer
from proto.costs import Source, Used


class CallOperations:
    """A part of ``Ledger``, with the same promises. Days are ``YYYY-MM-DD``."""

    _writer: Writer
    _reader: Reader

    async def reserve_call(self, call: Call, rooms: Sequence[Room]) -> int | Crossed:
        """Keep a call that begins and return its id, or the first limit that it would cross, and keep nothing."""
        return await self._writer.submit(calls.reserve, call, rooms)

    async def book_call(self, call: int, used: Used, source: Source, cost: int | None) -> None:
        """Replace what was reserved for a call by what it used. One that is booked already stays as it is."""
        await self._writer.submit(calls.book, call, used, source, cost)

    async def release_call(self, call: int) -> None:
        """Delete a call that cost nothing."""
        await self._writer.submit(calls.release, call)

    async def settle_calls(self, open_calls: Sequence[int] | None) -> int:
        """Book these calls, or all that are open, at what was reserved for them; return how many."""
        return await self._writer.submit(calls.settle, open_calls)

    async def usage(self, persona_id: str, first: str, last: str) -> list[UsageRow]:
        """Return what she used from one day to another, by day, model, purpose and source."""
        return await self._reader.submit(calls.usage, persona_id, first, last)

    async def roll_up_calls(self, before: str, forgotten: str) -> int:
        """Fold the calls of each day before ``before`` together, and delete those before ``forgotten``."""
        return await self._writer.submit(calls.roll_up, before, forgotten)
