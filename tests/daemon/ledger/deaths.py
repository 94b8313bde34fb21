"""Deaths of workers with messages in hand."""

from __future__ import annotations

from daemon.ledger import Ledger, Notice
from proto.messages import Conversation


async def die(ledger: Ledger, persona: str, perceptions: list[int], limit: int) -> list[int]:
    """Count a death for these perceptions; returns those that are set aside, whose sender is not told."""
    notices = [Notice(id_, Conversation("web", "web"), "", 0) for id_ in perceptions]
    return await ledger.died(persona, notices, limit, 9_000)
