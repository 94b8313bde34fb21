"""The outbox: what she says, in frames that browsers replay and messages that gateways deliver."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Literal

import msgspec

from proto.messages import Conversation, Outgoing


class StoredFrame(msgspec.Struct, frozen=True):
    """A chat frame of the web channel."""

    seq: int
    kind: Literal["text", "audio", "image"]
    content: str
    media: str | None


def add(
    connection: sqlite3.Connection,
    persona: str,
    conversation: Conversation,
    messages: Iterable[Outgoing],
    seqs: Iterable[int],
    at: int,
) -> None:
    """Add a row for each message under its seq. Raise ValueError unless there are as many of one as of the other."""
    # A browser fetches what it missed by seq, so a web row is delivered by being stored.
    state = "sent" if conversation.type == "web" else "pending"
    connection.executemany(
        "INSERT INTO outbox (seq, persona, type, name, channel, chat, kind, content, media, state, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                seq,
                persona,
                conversation.type,
                conversation.name,
                conversation.channel,
                conversation.chat,
                message.kind,
                message.content,
                message.media,
                state,
                at,
            )
            for seq, message in zip(seqs, messages, strict=True)
        ],
    )


def frames(connection: sqlite3.Connection, persona: str, after: int, limit: int) -> list[StoredFrame]:
    """Her web rows with a larger seq, in order."""
    rows = connection.execute(
        "SELECT seq, kind, content, media FROM outbox WHERE persona = ? AND type = 'web' AND seq > ?"
        " ORDER BY seq LIMIT ?",
        (persona, after, limit),
    )
    return [StoredFrame(*row) for row in rows]


def prune(connection: sqlite3.Connection, before: int) -> None:
    """Delete what was delivered, or given up, and is older than that; the conversation keeps its lines."""
    connection.execute(
        "DELETE FROM outbox WHERE (state = 'sent' OR state = 'dead') AND coalesce(sent_at, created_at) < ?", (before,)
    )


def last_seq(connection: sqlite3.Connection) -> int:
    """The largest seq that ever was in the outbox, also of rows since deleted; 0 when there was none."""
    row: tuple[int] | None = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").fetchone()
    return row[0] if row else 0


def counts(connection: sqlite3.Connection) -> list[tuple[str, str, int]]:
    """How many rows are not sent: (persona, state, count)."""
    return connection.execute(
        "SELECT persona, state, count(*) FROM outbox WHERE state <> 'sent' GROUP BY persona, state"
    ).fetchall()


def forget(connection: sqlite3.Connection, persona: str) -> None:
    """Delete all of hers."""
    connection.execute("DELETE FROM outbox WHERE persona = ?", (persona,))
