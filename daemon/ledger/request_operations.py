"""The ledger's operations on requests for a chat completion, part of ``Ledger``."""

from __future__ import annotations

from collections.abc import Sequence

from daemon.ledger import requests
from daemon.ledger.requests import New, Standing
from daemon.ledger.threads import Reader
from daemon.ledger.writer import Writer
from proto.messages import Line


class RequestOperations:
    """Operations on requests. ``Ledger`` says what holds for all operations."""

    _writer: Writer
    _reader: Reader

    async def take_request(
        self,
        persona_id: str,
        messages: Sequence[New],
        history: Sequence[Line],
        instructions: str,
        at: int,
        fresh: int,
    ) -> Standing:
        """Keep a request, or return what became of it if it is known. An answer counts if it came since ``fresh``."""
        return await self._writer.submit(requests.take, persona_id, messages, history, instructions, at, fresh)

    async def request_instructions(self, persona_id: str, key: str) -> str:
        """Return the instructions that came with a request that is not answered yet."""
        return await self._reader.submit(requests.instructions, persona_id, key)

    async def request_taken(self, persona_id: str, key: str) -> None:
        """Record that a client has the answer to this request."""
        await self._writer.submit(requests.taken, persona_id, key)
