"""Reminders and routines: when each is due, and what came of those that were.

A due row changes in the same transaction that keeps what is told of it, so it is told exactly once whatever dies.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from typing import Final

import msgspec

from daemon.ledger import conversation as lines
from daemon.ledger import inbox, outbox
from daemon.ledger.inbox import Waiting
from proto.gateways import chat_of
from proto.messages import Conversation, Outgoing, Perception

WEB: Final = "web"
KEPT_TELLINGS: Final = 1_000_000
"""How many tellings of all personas the calendars can show; the oldest go first."""

_FIELDS: Final = (
    "id, persona, body, cron, zone, due, wake, type, name, channel, chat, task, quiet, created_at, told, told_at"
)
_INSERT: Final = (
    "INSERT INTO reminder (persona, body, cron, zone, due, wake, type, name, channel, chat, task, quiet, created_at,"
    " told, told_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


class Reminder(msgspec.Struct, frozen=True):
    """A reminder, or a routine if it has a ``cron`` rule. Times are epoch nanoseconds; ``told`` counts.

    ``conversation`` is where it was asked for, None if nowhere in particular. ``wake`` is when it is looked at next.
    A ``task`` is for her mind, anything else is told as it stands. Quiet hours hold it back if it is ``quiet``.
    """

    id: int
    persona: str
    body: str
    cron: str
    zone: str
    due: int
    wake: int
    conversation: Conversation | None
    task: bool
    quiet: bool
    created_at: int
    told: int = 0
    told_at: int | None = None


class Telling(msgspec.Struct, frozen=True):
    """What was told of a reminder: ``due`` is when it was meant, ``at`` when it was told."""

    reminder: int
    body: str
    cron: str
    due: int
    at: int


class OpenTelling(msgspec.Struct, frozen=True):
    """A telling whose message is not known to have arrived. ``state`` is the message's, "" when it is gone."""

    id: int
    persona: str
    content: str
    due: int
    at: int
    seq: int
    tried: list[str]
    state: str
    channel: str
    type: str


def add(connection: sqlite3.Connection, new: Reminder, limit: int) -> Reminder | None:
    """Add a row and return it with its id; None when she has ``limit`` already."""
    if _count(connection, new.persona) >= limit:
        return None
    row = connection.execute(_INSERT, _values(new))
    assert row.lastrowid is not None
    return msgspec.structs.replace(new, id=row.lastrowid)


def change(connection: sqlite3.Connection, old: Reminder, new: Reminder) -> bool:
    """Replace a row; change nothing and return False unless it is still ``old``."""
    if find(connection, old.persona, old.id) != old:
        return False
    connection.execute(
        "UPDATE reminder SET persona = ?, body = ?, cron = ?, zone = ?, due = ?, wake = ?, type = ?, name = ?,"
        " channel = ?, chat = ?, task = ?, quiet = ?, created_at = ?, told = ?, told_at = ? WHERE id = ?",
        (*_values(new), old.id),
    )
    return True


def remove(connection: sqlite3.Connection, persona: str, reminder: int) -> Reminder | None:
    """Delete a row and return it; None when she has no such row."""
    found = find(connection, persona, reminder)
    if found:
        connection.execute("DELETE FROM reminder WHERE id = ?", (found.id,))
    return found


def find(connection: sqlite3.Connection, persona: str, reminder: int) -> Reminder | None:
    """Return her row, or None."""
    rows = connection.execute(
        f"SELECT {_FIELDS} FROM reminder WHERE id = ? AND persona = ?",  # noqa: S608 (constants)
        (reminder, persona),
    )
    return next(map(_reminder, rows), None)


def of(connection: sqlite3.Connection, persona: str) -> list[Reminder]:
    """Return her rows, the next one that is due first."""
    rows = connection.execute(
        f"SELECT {_FIELDS} FROM reminder WHERE persona = ? ORDER BY due, id",  # noqa: S608 (constants)
        (persona,),
    )
    return [_reminder(row) for row in rows]


def next_to_wake(connection: sqlite3.Connection, personas: list[str], limit: int) -> list[Reminder]:
    """Return the rows of these personas that are to be looked at next, in that order."""
    rows = connection.execute(
        f"SELECT {_FIELDS} FROM reminder INDEXED BY reminder_wake"  # noqa: S608 (constants)
        " WHERE persona IN (SELECT value FROM json_each(?)) ORDER BY wake LIMIT ?",
        (json.dumps(personas), limit),
    )
    return [_reminder(row) for row in rows]


def postpone(connection: sqlite3.Connection, row: Reminder, wake: int) -> None:
    """Look at this row again at ``wake``, unless it has changed."""
    connection.execute(
        "UPDATE reminder SET wake = ? WHERE id = ? AND due = ? AND told = ?", (wake, row.id, row.due, row.told)
    )


def tell(
    connection: sqlite3.Connection,
    row: Reminder,
    following: int | None,
    known: list[Conversation],
    content: str,
    seq: int,
    at: int,
) -> Conversation | None:
    """Tell the person, and give the row its ``following`` time; None ends it.

    Return where it was told: where it was asked for, else where they spoke last, of the ``known`` conversations that
    still lead to them. Return None, and change nothing, when the row has changed meanwhile.
    """
    if not _is_due(connection, row):
        return None
    conversation = _place(connection, row.persona, known, row.conversation)
    _speak(connection, row.persona, conversation, content, seq, at)
    _told(connection, row, following, at, content, seq, is_open=conversation.type != WEB)
    return conversation


def hand_over(
    connection: sqlite3.Connection,
    row: Reminder,
    following: int | None,
    known: list[Conversation],
    content: str,
    at: int,
) -> Waiting | None:
    """Let a task wait for her mind where ``tell`` would tell it. None when the row has changed meanwhile."""
    if not _is_due(connection, row):
        return None
    conversation = _place(connection, row.persona, known, row.conversation)
    perception = inbox.accept(connection, row.persona, conversation, "text", content, None, at, None)
    assert perception is not None
    _told(connection, row, following, at, content, None, is_open=False)
    return Waiting(Perception(perception, "text", content, at), conversation, 0)


def open_tellings(connection: sqlite3.Connection) -> list[OpenTelling]:
    """Return what was told and may still have to go another way, oldest first."""
    rows = connection.execute(
        "SELECT t.id, t.persona, t.content, t.due, t.at, t.seq, t.tried, coalesce(o.state, ''),"
        " coalesce(o.channel, ''), coalesce(o.type, '') FROM telling t LEFT JOIN outbox o ON o.seq = t.seq"
        " WHERE t.open = 1 ORDER BY t.id"
    )
    return [
        OpenTelling(id_, persona, content, due, at, seq, json.loads(tried), state, channel, type_)
        for id_, persona, content, due, at, seq, tried, state, channel, type_ in rows
    ]


def fall_over(
    connection: sqlite3.Connection, telling: OpenTelling, known: list[Conversation], content: str, seq: int, at: int
) -> Conversation | None:
    """Tell it once more on another channel, and return where; None when that was done already."""
    tried = [*telling.tried, telling.channel]
    conversation = _place(connection, telling.persona, [one for one in known if one.channel not in tried], None)
    moved = connection.execute(
        "UPDATE telling SET seq = ?, open = ?, tried = ? WHERE id = ? AND seq = ? AND open = 1",
        (seq, conversation.type != WEB, json.dumps(tried), telling.id, telling.seq),
    )
    if not moved.rowcount:
        return None
    _speak(connection, telling.persona, conversation, content, seq, at)
    return conversation


def settle(connection: sqlite3.Connection, tellings: Iterable[int]) -> None:
    """These have arrived, or can go no other way."""
    connection.executemany("UPDATE telling SET open = 0 WHERE id = ?", [(id_,) for id_ in tellings])


def tellings(connection: sqlite3.Connection, persona: str, start: int, end: int, limit: int) -> list[Telling]:
    """Return what was told of reminders that were due from ``start`` until before ``end``, oldest first."""
    rows = connection.execute(
        "SELECT reminder, body, cron, due, at FROM telling WHERE persona = ? AND due >= ? AND due < ?"
        " ORDER BY due LIMIT ?",
        (persona, start, end, limit),
    )
    return [Telling(*row) for row in rows]


def waiting(connection: sqlite3.Connection) -> dict[str, tuple[int, int]]:
    """Return how many rows each persona has, and when the next one of them is due."""
    rows = connection.execute("SELECT persona, count(*), min(due) FROM reminder GROUP BY persona")
    return {persona: (count, due) for persona, count, due in rows}


def put_back(connection: sqlite3.Connection, rows: Iterable[Reminder]) -> None:
    """Restore the rows of an export."""
    connection.executemany(_INSERT, [_values(row) for row in rows])


def prune(connection: sqlite3.Connection) -> None:
    """Delete what was told long ago."""
    connection.execute("DELETE FROM telling WHERE id <= (SELECT max(id) FROM telling) - ?", (KEPT_TELLINGS,))


def forget(connection: sqlite3.Connection, persona: str) -> None:
    """Delete all that is hers."""
    connection.execute("DELETE FROM reminder WHERE persona = ?", (persona,))
    connection.execute("DELETE FROM telling WHERE persona = ?", (persona,))


def _count(connection: sqlite3.Connection, persona: str) -> int:
    found: int = connection.execute("SELECT count(*) FROM reminder WHERE persona = ?", (persona,)).fetchone()[0]
    return found


def _is_due(connection: sqlite3.Connection, row: Reminder) -> bool:
    return find(connection, row.persona, row.id) == row


def _place(
    connection: sqlite3.Connection, persona: str, known: list[Conversation], asked: Conversation | None
) -> Conversation:
    """Return the conversation in which her owner is told: ``asked``, else the one in which the person spoke last.

    Only those count that lead to the owner. The web always does; a channel does while it is paired with this chat
    and its provider takes its credentials.
    """
    rows = connection.execute(
        "SELECT channel, chat FROM channel WHERE persona = ? AND account IS NOT NULL AND open = 0"
        " AND error_class IS NOT 'credential'",
        (persona,),
    )
    paired = {(channel, chat_of(chat or "")) for channel, chat in rows}
    alive = [one for one in known if one.type == WEB or (one.channel, chat_of(one.chat)) in paired]
    if asked is not None and asked in alive:
        return asked
    return max(alive, key=lambda one: _last_used(connection, persona, one))


def _last_used(connection: sqlite3.Connection, persona: str, conversation: Conversation) -> int:
    """Return the id of the last line that the person said there; 0 when there is none."""
    row: tuple[int] | None = connection.execute(
        "SELECT id FROM conversation WHERE persona = ? AND type = ? AND name = ? AND channel = ? AND chat = ?"
        " AND notice = 0 AND role = 'person' ORDER BY id DESC LIMIT 1",
        (persona, *msgspec.structs.astuple(conversation)),
    ).fetchone()
    return row[0] if row else 0


def _speak(
    connection: sqlite3.Connection, persona: str, conversation: Conversation, content: str, seq: int, at: int
) -> None:
    """Her mind sees this line later: what the person answers may be about it."""
    said = [Outgoing(content)]
    lines.said(connection, persona, conversation, said, at)
    outbox.add(connection, persona, conversation, said, [seq], at)


def _told(
    connection: sqlite3.Connection,
    row: Reminder,
    following: int | None,
    at: int,
    content: str,
    seq: int | None,
    *,
    is_open: bool,
) -> None:
    if following is None:
        connection.execute("DELETE FROM reminder WHERE id = ?", (row.id,))
    else:
        connection.execute(
            "UPDATE reminder SET due = ?1, wake = ?1, told = told + 1, told_at = ?2 WHERE id = ?3",
            (following, at, row.id),
        )
    connection.execute(
        "INSERT INTO telling (persona, reminder, body, cron, due, at, content, seq, open)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (row.persona, row.id, row.body, row.cron, row.due, at, content, seq, is_open),
    )


def _values(row: Reminder) -> tuple[object, ...]:
    where = msgspec.structs.astuple(row.conversation) if row.conversation else ("", "", "", "")
    return (
        row.persona,
        row.body,
        row.cron,
        row.zone,
        row.due,
        row.wake,
        *where,
        row.task,
        row.quiet,
        row.created_at,
        row.told,
        row.told_at,
    )


def _reminder(
    row: tuple[int, str, str, str, str, int, int, str, str, str, str, int, int, int, int, int | None],
) -> Reminder:
    where = Conversation(*row[7:11]) if row[7] else None
    return Reminder(*row[:7], where, bool(row[11]), bool(row[12]), *row[13:])
