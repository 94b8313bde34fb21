"""The outbox: her messages, as frames that browsers replay and as messages that gateways deliver."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Literal

import msgspec

from daemon.ledger.hushed import marked
from proto.conversation import OPENAI
from proto.messages import Conversation, Outgoing


class StoredFrame(msgspec.Struct, frozen=True):
    """A chat frame of the web channel."""

    seq: int
    kind: Literal["text", "audio", "image"]
    content: str
    media: str | None
    hushed: bool = False


def add(
    connection: sqlite3.Connection,
    persona: str,
    conversation: Conversation,
    messages: Iterable[Outgoing],
    seqs: Iterable[int],
    at: int,
    *,
    hushed: bool = False,
) -> None:
    """Add a row for each message with its seq. Raise ValueError unless there is one seq per message.

    ``hushed``: she was told to stop there, which a chat sees from a sign.

    The answer to a request for a completion goes to that request alone.
    """
    if conversation.type == OPENAI:
        return
    # A browser fetches missed frames by seq, so a web row counts as delivered once it is stored.
    is_web = conversation.type == "web"
    state = "sent" if is_web else "pending"
    connection.executemany(
        "INSERT INTO outbox (seq, persona, type, name, channel, chat, kind, content, media, state, created_at, hushed)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                seq,
                persona,
                conversation.type,
                conversation.name,
                conversation.channel,
                conversation.chat,
                message.kind,
                message.content if is_web or not hushed or message.kind == "image" else marked(message.content),
                message.media,
                state,
                at,
                hushed,
            )
            for seq, message in zip(seqs, messages, strict=True)
        ],
    )


def frames(connection: sqlite3.Connection, persona: str, after: int, limit: int) -> list[StoredFrame]:
    """Return her web rows with a seq larger than ``after``, in order."""
    rows = connection.execute(
        "SELECT seq, kind, content, media, hushed FROM outbox WHERE persona = ? AND type = 'web' AND seq > ?"
        " ORDER BY seq LIMIT ?",
        (persona, after, limit),
    )
    return [StoredFrame(seq, kind, content, media, bool(hushed)) for seq, kind, content, media, hushed in rows]


def prune(connection: sqlite3.Connection, before: int) -> None:
    """Delete sent and dead rows older than ``before``; the conversation keeps its lines."""
    connection.execute(
        "DELETE FROM outbox WHERE (state = 'sent' OR state = 'dead') AND coalesce(sent_at, created_at) < ?", (before,)
    )


def last_seq(connection: sqlite3.Connection) -> int:
    """Return the largest seq ever stored, even in a deleted row; 0 when there was none."""
    # AUTOINCREMENT keeps it here: https://www.sqlite.org/autoinc.html
    row: tuple[int] | None = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").fetchone()
    return row[0] if row else 0


def counts(connection: sqlite3.Connection) -> list[tuple[str, str, int]]:
    """Count the rows that are not sent: (persona, state, count)."""
    return connection.execute(
        "SELECT persona, state, count(*) FROM outbox WHERE state <> 'sent' GROUP BY persona, state"
    ).fetchall()


def forget(connection: sqlite3.Connection, persona: str) -> None:
    """Delete all her rows."""
    connection.execute("DELETE FROM outbox WHERE persona = ?", (persona,))
