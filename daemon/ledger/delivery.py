"""Delivery: the outbox rows for gateways, how far each message got, and which were given up.

A row is open while it is ``pending``, ``sending`` or ``ambiguous``; ``sent`` and ``dead`` are final. Rows of the web
are never open.
"""

from __future__ import annotations

import sqlite3
from typing import Literal, TypeAlias

import msgspec

from daemon.ledger import opt_outs
from daemon.ledger.open_channels import mark_conversation

Sending: TypeAlias = Literal["open", "closed", "opted out"]


class OutgoingRow(msgspec.Struct):
    """An open message; ``ambiguous`` when its next part may have been sent without confirmation."""

    seq: int
    key: str
    type: str
    name: str
    channel: str
    chat: str
    kind: Literal["text", "audio", "image"]
    content: str
    media: str | None
    parts_sent: int
    attempts: int
    not_before: int
    ambiguous: bool
    created_at: int


class DeadLetter(msgspec.Struct, frozen=True):
    """A message that was given up, and why."""

    seq: int
    type: str
    name: str
    content: str
    reason: str
    created_at: int


def outgoing(connection: sqlite3.Connection, persona: str) -> list[OutgoingRow]:
    """Return her open rows in order. A row still marked ``sending`` is read back as ambiguous."""
    rows = connection.execute(
        "SELECT seq, key, type, name, channel, chat, kind, content, media, parts_sent, attempts, not_before,"
        " state <> 'pending', created_at FROM outbox"
        " WHERE persona = ? AND state <> 'sent' AND state <> 'dead' ORDER BY seq",
        (persona,),
    )
    return [OutgoingRow(*(*row[:12], bool(row[12]), row[13])) for row in rows]


def pending_by_channel(connection: sqlite3.Connection, persona: str) -> dict[str, int]:
    """Count her open rows by channel id."""
    rows = connection.execute(
        "SELECT channel, count(*) FROM outbox"
        " WHERE persona = ? AND state <> 'sent' AND state <> 'dead' GROUP BY channel",
        (persona,),
    )
    return dict(rows.fetchall())


def sending(connection: sqlite3.Connection, seq: int) -> Sending:
    """Mark a row before it goes to the provider, unless it is no longer open or its person opted out."""
    if opt_outs.is_out(connection, seq):
        return "opted out"
    marked = connection.execute(
        "UPDATE outbox SET state = 'sending' WHERE seq = ? AND state <> 'sent' AND state <> 'dead'", (seq,)
    )
    return "open" if marked.rowcount else "closed"


def part_sent(connection: sqlite3.Connection, seq: int, parts: int) -> None:
    """Record that the provider has this many parts and nothing of the next one."""
    connection.execute(
        "UPDATE outbox SET state = 'sending', parts_sent = max(parts_sent, ?)"
        " WHERE seq = ? AND state <> 'sent' AND state <> 'dead'",
        (parts, seq),
    )


def sent(connection: sqlite3.Connection, seq: int, at: int, provider_id: str) -> None:
    """Record that the provider has the whole message, with the provider's id. Count it once on its channel."""
    rows = connection.execute(
        "UPDATE outbox SET state = 'sent', sent_at = ?, provider_id = nullif(?, '')"
        " WHERE seq = ? AND state <> 'sent' AND state <> 'dead' RETURNING persona, channel, chat",
        (at, provider_id, seq),
    ).fetchall()
    for persona, channel, chat in rows:
        connection.execute("UPDATE channel SET sent = sent + 1 WHERE persona = ? AND channel = ?", (persona, channel))
        mark_conversation(connection, channel, chat, None, at)


def retry_later(connection: sqlite3.Connection, seq: int, not_before: int, reason: str, ambiguous: bool) -> None:
    """Count a failed attempt. The next one comes no earlier than ``not_before``."""
    connection.execute(
        "UPDATE outbox SET attempts = attempts + 1, state = ?, not_before = ?, last_error = ?"
        " WHERE seq = ? AND state <> 'sent' AND state <> 'dead'",
        ("ambiguous" if ambiguous else "pending", not_before, reason, seq),
    )


def dead(connection: sqlite3.Connection, seq: int, reason: str, at: int) -> None:
    """Give up a row, and show why on its conversation. Count it once on its channel."""
    rows = connection.execute(
        "UPDATE outbox SET state = 'dead', last_error = ?"
        " WHERE seq = ? AND state <> 'sent' AND state <> 'dead' RETURNING persona, channel, chat",
        (reason, seq),
    ).fetchall()
    for persona, channel, chat in rows:
        _count_dead(connection, persona, channel, 1)
        mark_conversation(connection, channel, chat, reason, at)


def receipt(
    connection: sqlite3.Connection, persona: str, channel: str, provider_id: str, reason: str, at: int
) -> DeadLetter | None:
    """Give up a sent message that did not reach its person after all; None when no sent message has this id."""
    row = connection.execute(
        "UPDATE outbox SET state = 'dead', last_error = ? WHERE provider_id = ? AND state = 'sent'"
        " AND channel = ? AND persona = ?"
        " RETURNING chat, seq, type, name, content, last_error, created_at",
        (reason, provider_id, channel, persona),
    ).fetchone()
    if row is None:
        return None
    chat, *letter = row
    _count_dead(connection, persona, channel, 1)
    mark_conversation(connection, channel, chat, reason, at)
    return DeadLetter(*letter)


def blocked(connection: sqlite3.Connection, persona: str, channel: str, chat: str, reason: str, at: int) -> list[int]:
    """Give up all open rows of a chat and return their seqs in order."""
    rows = connection.execute(
        "UPDATE outbox SET state = 'dead', last_error = ?"
        " WHERE persona = ? AND state <> 'sent' AND state <> 'dead' AND channel = ? AND chat = ? RETURNING seq",
        (reason, persona, channel, chat),
    ).fetchall()
    _count_dead(connection, persona, channel, len(rows))
    mark_conversation(connection, channel, chat, reason, at)
    return sorted(seq for (seq,) in rows)


def remove(connection: sqlite3.Connection, persona: str, channel: str, reason: str) -> None:
    """Give up all open rows of a channel."""
    connection.execute(
        "UPDATE outbox SET state = 'dead', last_error = ?"
        " WHERE persona = ? AND state <> 'sent' AND state <> 'dead' AND channel = ?",
        (reason, persona, channel),
    )


def dead_letters(connection: sqlite3.Connection, persona: str, limit: int) -> list[DeadLetter]:
    """Return her latest dead letters, newest first."""
    rows = connection.execute(
        "SELECT seq, type, name, content, coalesce(last_error, ''), created_at FROM outbox"
        " WHERE persona = ? AND state = 'dead' AND state <> 'sent' ORDER BY seq DESC LIMIT ?",
        (persona, limit),
    )
    return [DeadLetter(*row) for row in rows]


def reopen_sending(connection: sqlite3.Connection) -> int:
    """Mark rows that were being sent as ambiguous and return their number. Call it while no worker runs."""
    return connection.execute(
        "UPDATE outbox SET state = 'ambiguous' WHERE state = 'sending' AND state <> 'sent'"
    ).rowcount


def _count_dead(connection: sqlite3.Connection, persona: str, channel: str, count: int) -> None:
    connection.execute(
        "UPDATE channel SET dead = dead + ? WHERE persona = ? AND channel = ?", (count, persona, channel)
    )
