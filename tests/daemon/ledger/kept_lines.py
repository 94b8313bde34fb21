"""How many lines of a conversation a ledger keeps."""

from __future__ import annotations

from daemon.ledger import Ledger


async def kept_lines(ledger: Ledger, persona: str) -> int:
    """Count them. No operation of the ledger does: it would read a whole index."""
    count: int = await ledger._reader.submit(
        lambda connection: connection.execute(
            "SELECT count(*) FROM conversation WHERE persona = ?", (persona,)
        ).fetchone()[0]
    )
    return count
