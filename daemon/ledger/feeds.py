"""Feeds: the imported conversations that are digested, and the digests not yet written to the memory files."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Annotated

import msgspec

from proto.feeds import ConversationKey


class FedConversation(msgspec.Struct, frozen=True):
    """An imported conversation that is in her memory, in the form of her export; ``at`` is in epoch nanoseconds."""

    key: ConversationKey
    source: Annotated[str, msgspec.Meta(max_length=64)]
    at: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


def digested(connection: sqlite3.Connection, persona: str, key: str, source: str, at: int) -> None:
    """Keep that a conversation is digested, before the memory files are written (``memory_history.begin``)."""
    connection.execute(
        "INSERT INTO feed (persona, key, source, at, before, after) VALUES (?, ?, ?, ?, '', '')"
        " ON CONFLICT (persona, key) DO NOTHING",
        (persona, key, source, at),
    )


def applied(connection: sqlite3.Connection, persona: str, key: str) -> None:
    """Record that the memory files are written."""
    connection.execute(
        "UPDATE feed SET state = 'applied', before = '', after = '' WHERE persona = ? AND key = ?", (persona, key)
    )


def undo(connection: sqlite3.Connection, persona: str, key: str) -> None:
    """Drop a digest whose memory files could not be written, so that the conversation may be fed again."""
    connection.execute("DELETE FROM feed WHERE persona = ? AND key = ? AND state = 'digested'", (persona, key))


def is_known(connection: sqlite3.Connection, persona: str, key: str) -> bool:
    """Return whether this conversation was fed to her before."""
    found: int = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM feed WHERE persona = ? AND key = ?)", (persona, key)
    ).fetchone()[0]
    return bool(found)


def known(connection: sqlite3.Connection, persona: str) -> list[FedConversation]:
    """Return what was fed to her, oldest first."""
    rows = connection.execute(
        "SELECT key, source, at FROM feed WHERE persona = ? AND state = 'applied' ORDER BY id", (persona,)
    )
    return [FedConversation(*row) for row in rows]


def put_back(connection: sqlite3.Connection, persona: str, fed: Iterable[FedConversation]) -> None:
    """Restore the fed conversations from an export."""
    connection.executemany(
        "INSERT INTO feed (persona, key, source, at, state, before, after) VALUES (?, ?, ?, ?, 'applied', '', '')"
        " ON CONFLICT DO NOTHING",
        [(persona, one.key, one.source, one.at) for one in fed],
    )


def forget(connection: sqlite3.Connection, persona: str) -> None:
    """Delete all her feeds."""
    connection.execute("DELETE FROM feed WHERE persona = ?", (persona,))
