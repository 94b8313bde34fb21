"""The conversation: what was said to a persona and by her, and how much of it she has consolidated."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from daemon.ledger import recall_index, requests
from daemon.ledger.hushed import SIGN
from proto.conversation import OPENAI
from proto.messages import Conversation, Line, Outgoing
from proto.unicode_text import valid_texts

_MARKED: Final = f"iif(hushed, content || '{SIGN}', content)"
"""Her mind sees where she was told to stop."""

_HEARD: Final = (
    "INSERT INTO conversation (persona, type, name, channel, chat, role, content, media, at, title)"
    " SELECT persona, type, name, channel, chat, 'person', content, media, at, title FROM inbox"
    " WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id RETURNING persona, id"
)
_HEARD_UNSEEN: Final = (
    "INSERT INTO conversation (persona, type, name, channel, chat, role, content, media, at, title, notice)"
    " SELECT persona, type, name, channel, chat, 'person', content, media, at, title, 1 FROM inbox"
    " WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id"
)
_HEARD_WITH_FILES: Final = (
    "INSERT INTO conversation (persona, type, name, channel, chat, role, content, media, at, title, perceived)"
    " SELECT persona, type, name, channel, chat, 'person', content, media, at, title,"
    "  coalesce((SELECT value FROM json_each(?2) WHERE key = CAST(inbox.id AS TEXT)), '') FROM inbox"
    " WHERE id IN (SELECT value FROM json_each(?1)) ORDER BY id"
    " RETURNING persona, id"
)


def heard(
    connection: sqlite3.Connection,
    perceptions: Iterable[int],
    perceived: Mapping[int, str] = MappingProxyType({}),
    notice: bool = False,
) -> None:
    """Add these perceptions as the person's lines, in the order in which they were accepted and with that time.

    ``perceived`` maps a perception's id to what she made of its file. Her mind never sees those with ``notice``.
    """
    ids = json.dumps(list(perceptions))
    if notice:
        connection.execute(_HEARD_UNSEEN, (ids,))
        return
    if perceived:
        added = connection.execute(_HEARD_WITH_FILES, (ids, json.dumps(valid_texts(dict(perceived))))).fetchall()
    else:
        added = connection.execute(_HEARD, (ids,)).fetchall()
    if added:
        recall_index.said(connection, added[0][0], [line for _, line in added])


def said(
    connection: sqlite3.Connection,
    persona: str,
    conversation: Conversation,
    messages: Iterable[Outgoing],
    at: int,
    notice: bool = False,
    hushed: bool = False,
) -> None:
    """Add her lines. A notice is written by the daemon in her name; her mind never sees it.

    ``hushed``: she was told to stop there.
    """
    where = (persona, conversation.type, conversation.name, conversation.channel, conversation.chat)
    added = [
        connection.execute(
            "INSERT INTO conversation (persona, type, name, channel, chat, role, content, media, at, notice, hushed)"
            " VALUES (?, ?, ?, ?, ?, 'assistant', ?, ?, ?, ?, ?)",
            (*where, line.content, line.media, at, notice, hushed),
        ).lastrowid
        or 0
        for line in messages
    ]
    if not notice:
        recall_index.said(connection, persona, added)


def noted(connection: sqlite3.Connection, persona: str, conversation: Conversation, content: str, at: int) -> int:
    """Add a line of the person's that nobody answers, and return its id."""
    row = connection.execute(
        "INSERT INTO conversation (persona, type, name, channel, chat, role, content, at)"
        " VALUES (?, ?, ?, ?, ?, 'person', ?, ?)",
        (persona, *msgspec.structs.astuple(conversation), content, at),
    )
    assert row.lastrowid is not None
    recall_index.said(connection, persona, [row.lastrowid])
    return row.lastrowid


def replaced(connection: sqlite3.Connection, persona: str, line: int | None) -> None:
    """Delete a line whose message the person has edited since."""
    gone = connection.execute(
        "DELETE FROM conversation WHERE id = ? AND persona = ? RETURNING id, content, title, perceived", (line, persona)
    ).fetchall()
    recall_index.remove(connection, persona, gone)


def history(connection: sqlite3.Connection, persona: str, conversation: Conversation, limit: int) -> list[Line]:
    """Return the last lines of one conversation in the order of insertion, oldest first, without notices.

    A request for a completion tells itself what was said before.
    """
    if conversation.type == OPENAI:
        return requests.history(connection, persona, conversation)[-limit:] if limit else []
    rows = connection.execute(
        f"SELECT role, {_MARKED}, at, media, title, perceived FROM conversation"  # noqa: S608 (a constant)
        " WHERE persona = ? AND type = ? AND name = ? AND channel = ? AND chat = ? AND notice = 0"
        " ORDER BY id DESC LIMIT ?",
        (persona, conversation.type, conversation.name, conversation.channel, conversation.chat, limit),
    ).fetchall()
    return [Line(*row) for row in reversed(rows)]


def said_between(connection: sqlite3.Connection, persona: str, start: int, end: int, limit: int) -> list[Line]:
    """Return what was said from ``start`` until before ``end``, oldest first, without visitors' conversations."""
    rows = connection.execute(
        "SELECT role, content, at, media, title, perceived FROM conversation"
        " WHERE persona = ? AND open = 0 AND at >= ? AND at < ? ORDER BY at LIMIT ?",
        (persona, start, end, limit),
    )
    return [Line(*row) for row in rows]


def mentions(connection: sqlite3.Connection, persona: str, media: str) -> bool:
    """Return whether one of her perceptions, lines or held messages refers to this file."""
    found: int = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM inbox WHERE persona = ?1 AND media = ?2)"
        " OR EXISTS (SELECT 1 FROM conversation WHERE persona = ?1 AND media = ?2)"
        " OR EXISTS (SELECT 1 FROM held WHERE persona = ?1 AND media = ?2)",
        (persona, media),
    ).fetchone()[0]
    return bool(found)


def titles(connection: sqlite3.Connection, persona: str, limit: int) -> dict[str, str]:
    """Map the stored names of the latest files to the names their senders gave them. Open channels are left out."""
    rows = connection.execute(
        "SELECT media, title FROM conversation WHERE persona = ? AND title <> '' AND open = 0 AND media IS NOT NULL"
        " ORDER BY id DESC LIMIT ?",
        (persona, limit),
    ).fetchall()
    return dict(rows)


def unconsolidated(connection: sqlite3.Connection, persona: str, limit: int) -> tuple[int, list[Line]]:
    """Return the last id (0: none) and the oldest lines not yet consolidated, without notices and open channels."""
    rows = connection.execute(
        f"SELECT id, role, {_MARKED}, at, media, title, perceived FROM conversation"  # noqa: S608 (a constant)
        " WHERE persona = ?1 AND open = 0 AND notice = 0"
        " AND id > coalesce((SELECT up_to FROM consolidation WHERE persona = ?1), 0) ORDER BY id LIMIT ?2",
        (persona, limit),
    ).fetchall()
    return (rows[-1][0] if rows else 0), [Line(*row[1:]) for row in rows]


def first_unconsolidated(connection: sqlite3.Connection, persona: str) -> int:
    """Return the id of the oldest line that ``unconsolidated`` returns, 0 if there is none."""
    row = connection.execute(
        "SELECT id FROM conversation WHERE persona = ?1 AND open = 0 AND notice = 0"
        " AND id > coalesce((SELECT up_to FROM consolidation WHERE persona = ?1), 0) ORDER BY id LIMIT 1",
        (persona,),
    ).fetchone()
    return row[0] if row else 0


def consolidated(connection: sqlite3.Connection, persona: str, up_to: int) -> None:
    """Record that her lines up to this id are consolidated. A lower id than before changes nothing."""
    connection.execute(
        "INSERT INTO consolidation (persona, up_to) VALUES (?, ?)"
        " ON CONFLICT (persona) DO UPDATE SET up_to = max(up_to, excluded.up_to)",
        (persona, up_to),
    )


def forget(connection: sqlite3.Connection, persona: str) -> None:
    """Delete all her lines, and what finds them."""
    recall_index.forget(connection, persona)
    connection.execute("DELETE FROM conversation WHERE persona = ?", (persona,))
    connection.execute("DELETE FROM consolidation WHERE persona = ?", (persona,))
