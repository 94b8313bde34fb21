"""Erasing what visitors said: a conversation, everything of a channel, and what is older than its time to be kept.

The lines of a paired channel are her owner's and stay. Deleted content is overwritten (``secure_delete``). The files of
erased words are noted in the same transaction and deleted afterwards, so that a kill in between leaves none behind.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final

import msgspec

from daemon.ledger import revisions

BATCH: Final = 200
"""Conversations or lines of one transaction, so that others do not wait for long."""

_HERE: Final = "channel = ?1 AND channel <> '' AND chat = ?2"


class Erased(msgspec.Struct, frozen=True):
    """A conversation that is gone, and the messages in it that nobody had answered yet."""

    persona: str
    channel: str
    chat: str
    waiting: list[int]


def conversation(connection: sqlite3.Connection, channel: str, chat: str) -> Erased | None:
    """Erase one conversation of an open channel. Return None when there is no such conversation."""
    owner: tuple[str] | None = connection.execute(
        "SELECT persona FROM channel WHERE channel = ? AND open = 1", (channel,)
    ).fetchone()
    if owner is None:
        return None
    place = (channel, chat)
    gone = connection.execute(f"DELETE FROM channel_conversation WHERE {_HERE}", place).rowcount  # noqa: S608 - a constant
    files = [
        *connection.execute(f"DELETE FROM conversation WHERE {_HERE} AND open = 1 RETURNING media", place),  # noqa: S608 - a constant
        *connection.execute(f"DELETE FROM outbox WHERE {_HERE} RETURNING media", place),  # noqa: S608 - a constant
    ]
    heard = connection.execute(f"DELETE FROM inbox WHERE {_HERE} RETURNING id, media, state", place).fetchall()  # noqa: S608 - a constant
    if not (gone or files or heard):
        return None
    connection.execute(
        "DELETE FROM visitor WHERE channel = ?1 AND (account = ?2 OR account IN"
        " (SELECT account FROM participant WHERE channel = ?1 AND chat = ?2"
        " EXCEPT SELECT account FROM participant WHERE channel = ?1 AND chat <> ?2))",
        place,
    )
    connection.execute("DELETE FROM alias WHERE channel = ?1 AND account = ?2", place)
    for table in ("outage", "revision", "participant"):
        connection.execute(f"DELETE FROM {table} WHERE {_HERE}", place)  # noqa: S608 - a constant
    _drop_files(connection, *owner, [media for (media,) in files] + [media for _, media, _ in heard])
    connection.execute(
        "UPDATE channel SET (conversations, messages) = (SELECT count(*), coalesce(sum(messages), 0)"
        " FROM channel_conversation WHERE channel_conversation.channel = channel.channel) WHERE channel = ?",
        (channel,),
    )
    return Erased(*owner, channel, chat, [id_ for id_, _, state in heard if state != "done"])


def whole_channel(connection: sqlite3.Connection, persona: str, channel: str) -> None:
    """Erase everything that was said on an open channel that is being removed; nothing of a paired one."""
    is_open = connection.execute("SELECT 1 FROM channel WHERE channel = ? AND open = 1", (channel,)).fetchone()
    connection.execute("DELETE FROM participant WHERE channel = ?", (channel,))
    revisions.remove(connection, channel)
    if not is_open:
        return
    files: list[str | None] = []
    for table in ("conversation", "inbox", "outbox"):
        only = " AND open = 1" if table == "conversation" else ""
        rows = connection.execute(
            f"DELETE FROM {table} WHERE channel = ? AND channel <> '' AND persona = ?{only} RETURNING media",  # noqa: S608 - constants
            (channel, persona),
        )
        files += [media for (media,) in rows]
    _drop_files(connection, persona, files)


def conversations_of(connection: sqlite3.Connection, account: str) -> list[tuple[str, str]]:
    """Return the channel and chat of every conversation in which this account wrote."""
    return connection.execute("SELECT channel, chat FROM participant WHERE account = ?", (account,)).fetchall()


def forget_sender(connection: sqlite3.Connection, account: str) -> None:
    """Delete what is counted for this account. An opt-out from text messages is kept: the person asked for it."""
    for table in ("sender", "visitor"):
        connection.execute(f"DELETE FROM {table} WHERE account = ?", (account,))  # noqa: S608 - a constant


def take_part(connection: sqlite3.Connection, persona: str, channel: str, chat: str, account: str) -> None:
    """Record that this account wrote in this conversation."""
    connection.execute(
        "INSERT OR IGNORE INTO participant (channel, chat, account, persona) VALUES (?, ?, ?, ?)",
        (channel, chat, account, persona),
    )


def idle_conversations(connection: sqlite3.Connection, before: int) -> list[tuple[str, str]]:
    """Return conversations of open channels in which nothing was said since ``before``, at most ``BATCH``."""
    return connection.execute(
        "SELECT channel, chat FROM channel_conversation WHERE last_at < ?"
        " AND channel IN (SELECT channel FROM channel WHERE open = 1) LIMIT ?",
        (before, BATCH),
    ).fetchall()


def old_lines(connection: sqlite3.Connection, persona: str, before: int) -> int:
    """Erase her oldest lines from before ``before`` on open channels; return how many, at most ``BATCH``.

    Requests of that age that nobody could read hold words, too.
    """
    connection.execute(
        "DELETE FROM webhook WHERE persona = ? AND unread IS NOT NULL AND done = 0 AND at < ?", (persona, before)
    )
    rows = connection.execute(
        "DELETE FROM conversation WHERE id IN (SELECT id FROM conversation"
        " WHERE persona = ?1 AND open = 1 AND at < ?2 ORDER BY at LIMIT ?3) RETURNING media",
        (persona, before, BATCH),
    ).fetchall()
    _drop_files(connection, persona, [media for (media,) in rows])
    return len(rows)


def unneeded_files(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """Return the persona and name of each file that is to be deleted."""
    return connection.execute("SELECT persona, media FROM unneeded_file").fetchall()


def file_gone(connection: sqlite3.Connection, persona: str, media: str) -> None:
    """Record that this file is deleted."""
    connection.execute("DELETE FROM unneeded_file WHERE persona = ? AND media = ?", (persona, media))


def forget(connection: sqlite3.Connection, persona: str) -> None:
    """Delete what is noted of her visitors."""
    for table in ("participant", "unneeded_file"):
        connection.execute(f"DELETE FROM {table} WHERE persona = ?", (persona,))  # noqa: S608 - a constant


def _drop_files(connection: sqlite3.Connection, persona: str, files: Iterable[str | None]) -> None:
    connection.executemany(
        "INSERT OR IGNORE INTO unneeded_file (persona, media) VALUES (?, ?)",
        [(persona, media) for media in files if media],
    )
