"""The inbox: accepted messages that a persona has not answered yet."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable

import msgspec

from proto.messages import Conversation, Perception
from proto.perception import PerceptionKind


class Waiting(msgspec.Struct, frozen=True):
    """A pending perception, its conversation, and the number of workers that died with it in hand."""

    perception: Perception
    conversation: Conversation
    deaths: int


def accept(
    connection: sqlite3.Connection,
    persona: str,
    conversation: Conversation,
    kind: PerceptionKind,
    content: str,
    media: str | None,
    at: int,
    key: str | None,
    title: str = "",
) -> int | None:
    """Add a row and return its id, or None when the conversation already has a row with this key."""
    row = connection.execute(
        "INSERT INTO inbox (persona, type, name, channel, chat, kind, content, media, at, key, title)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (persona, type, name, channel, chat, key) WHERE key IS NOT NULL DO NOTHING",
        (persona, *msgspec.structs.astuple(conversation), kind, content, media, at, key, title),
    )
    return row.lastrowid if row.rowcount else None


def is_known(connection: sqlite3.Connection, persona: str, conversation: Conversation, key: str) -> bool:
    """Return whether the conversation already has a row with this key."""
    row = connection.execute(
        "SELECT 1 FROM inbox WHERE persona = ? AND type = ? AND name = ? AND channel = ? AND chat = ? AND key = ?",
        (persona, *msgspec.structs.astuple(conversation), key),
    )
    return row.fetchone() is not None


def waiting(connection: sqlite3.Connection, persona: str) -> list[Waiting]:
    """Return her pending rows, oldest first."""
    rows = connection.execute(
        "SELECT id, kind, content, at, media, title, type, name, channel, chat, deaths FROM inbox"
        " WHERE persona = ? AND state = 'pending' AND state <> 'done' ORDER BY id",
        (persona,),
    )
    return [
        Waiting(Perception(id_, kind, content, at, media, title), Conversation(type_, name, channel, chat), deaths)
        for id_, kind, content, at, media, title, type_, name, channel, chat, deaths in rows
    ]


def all_pending(connection: sqlite3.Connection, persona: str, perceptions: Iterable[int]) -> bool:
    """Return whether all these rows are pending and belong to the persona."""
    ids = set(perceptions)
    found: int = connection.execute(
        "SELECT count(*) FROM inbox WHERE id IN (SELECT value FROM json_each(?)) AND persona = ? AND state = 'pending'",
        (json.dumps(list(ids)), persona),
    ).fetchone()[0]
    return found == len(ids)


def finish(connection: sqlite3.Connection, perceptions: Iterable[int]) -> None:
    """Drop rows that are now lines of the conversation. A row with a key is emptied and kept, to know the key again."""
    ids = [(id_,) for id_ in perceptions]
    connection.executemany("DELETE FROM inbox WHERE id = ? AND key IS NULL", ids)
    connection.executemany("UPDATE inbox SET state = 'done', content = '' WHERE id = ?", ids)


def prune(connection: sqlite3.Connection, before: int) -> None:
    """Delete finished rows, and with them their keys, that were accepted before ``before``."""
    connection.execute("DELETE FROM inbox WHERE state = 'done' AND at < ?", (before,))


def died(connection: sqlite3.Connection, perceptions: Iterable[int], limit: int) -> list[int]:
    """Count a death for each pending row. Those that reach ``limit`` become poison and are returned."""
    poisoned = []
    for id_ in perceptions:
        row: tuple[str] | None = connection.execute(
            "UPDATE inbox SET deaths = deaths + 1, state = iif(deaths + 1 >= ?, 'poison', state)"
            " WHERE id = ? AND state = 'pending' RETURNING state",
            (limit, id_),
        ).fetchone()
        if row == ("poison",):
            poisoned.append(id_)
    return poisoned


def counts(connection: sqlite3.Connection) -> list[tuple[str, str, int]]:
    """Count the pending and poison rows: (persona, state, count)."""
    return connection.execute(
        "SELECT persona, state, count(*) FROM inbox WHERE state <> 'done' GROUP BY persona, state"
    ).fetchall()


def forget(connection: sqlite3.Connection, persona: str) -> None:
    """Delete all her rows."""
    connection.execute("DELETE FROM inbox WHERE persona = ?", (persona,))
