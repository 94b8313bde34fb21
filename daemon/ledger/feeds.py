"""Feeds: the imported conversations that are digested, and the digests not yet written to the memory files."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Annotated, Final

import msgspec

from daemon.ledger import recall_index
from proto.feeds import MAX_FED_LINES, ConversationKey, FedLine
from proto.texts import Title

MOST_LINES: Final = 200_000
"""Lines of fed conversations that are kept for one persona; those of later conversations are in her memory only."""


class FedConversation(msgspec.Struct, frozen=True, omit_defaults=True):
    """An imported conversation that is in her memory, in the form of her export; ``at`` is in epoch nanoseconds."""

    key: ConversationKey
    source: Annotated[str, msgspec.Meta(max_length=64)]
    at: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    title: Title = ""
    lines: Annotated[list[FedLine], msgspec.Meta(max_length=MAX_FED_LINES)] = []


def digested(
    connection: sqlite3.Connection, persona: str, key: str, source: str, title: str, lines: Iterable[FedLine], at: int
) -> None:
    """Keep that a conversation is digested, before the memory files are written (``memory_history.begin``).

    Its lines are kept to be found again.
    """
    added = connection.execute(
        "INSERT INTO feed (persona, key, source, at, before, after) VALUES (?, ?, ?, ?, '', '')"
        " ON CONFLICT (persona, key) DO NOTHING",
        (persona, key, source, at),
    )
    if added.rowcount:
        _keep_lines(connection, persona, key, source, title, lines)


def applied(connection: sqlite3.Connection, persona: str, key: str) -> None:
    """Record that the memory files are written."""
    connection.execute(
        "UPDATE feed SET state = 'applied', before = '', after = '' WHERE persona = ? AND key = ?", (persona, key)
    )


def undo(connection: sqlite3.Connection, persona: str, key: str) -> None:
    """Drop a digest whose memory files could not be written, so that the conversation may be fed again."""
    gone = connection.execute("DELETE FROM feed WHERE persona = ? AND key = ? AND state = 'digested'", (persona, key))
    if gone.rowcount:
        rows = connection.execute(
            "DELETE FROM fed_line WHERE persona = ? AND key = ? RETURNING -id, content, title, ''", (persona, key)
        ).fetchall()
        recall_index.remove(connection, persona, rows)


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


def with_lines(connection: sqlite3.Connection, persona: str, one: FedConversation) -> FedConversation:
    """Return this conversation with the lines that are kept of it."""
    rows = connection.execute(
        "SELECT role, content, at, title FROM fed_line WHERE persona = ? AND key = ? ORDER BY id", (persona, one.key)
    ).fetchall()
    lines = [FedLine(role, content, at) for role, content, at, _ in rows]
    return msgspec.structs.replace(one, title=rows[0][3] if rows else "", lines=lines)


def put_back(connection: sqlite3.Connection, persona: str, fed: Iterable[FedConversation]) -> None:
    """Restore the fed conversations from an export."""
    for one in fed:
        added = connection.execute(
            "INSERT INTO feed (persona, key, source, at, state, before, after) VALUES (?, ?, ?, ?, 'applied', '', '')"
            " ON CONFLICT DO NOTHING",
            (persona, one.key, one.source, one.at),
        )
        if added.rowcount:
            _keep_lines(connection, persona, one.key, one.source, one.title, one.lines)


def forget(connection: sqlite3.Connection, persona: str) -> None:
    """Delete all her feeds."""
    connection.execute("DELETE FROM feed WHERE persona = ?", (persona,))
    connection.execute("DELETE FROM fed_line WHERE persona = ?", (persona,))


def _keep_lines(
    connection: sqlite3.Connection, persona: str, key: str, source: str, title: str, lines: Iterable[FedLine]
) -> None:
    """Keep a conversation's lines, and make them searchable, while there is room for them."""
    kept: int = connection.execute("SELECT count(*) FROM fed_line WHERE persona = ?", (persona,)).fetchone()[0]
    added = [
        (
            connection.execute(
                "INSERT INTO fed_line (persona, key, source, title, role, content, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (persona, key, source, title, line.role, line.content, line.at),
            ).lastrowid
            or 0,
            line.content,
        )
        for line in list(lines)[: max(0, MOST_LINES - kept)]
    ]
    if added:
        recall_index.add(connection, persona, [(-id_, content, title, "") for id_, content in reversed(added)])
