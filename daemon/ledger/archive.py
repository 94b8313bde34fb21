"""The conversation as an export carries it: every line of every channel, read in pages and put back in batches."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec

from proto.texts import MediaName, Title

_FIELDS = "role, content, at, type, name, channel, chat, media, title, perceived, notice, open"


class ArchivedChannel(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a line was said; the web has no ``id``."""

    type: str
    name: str
    id: str = ""


class ArchivedLine(msgspec.Struct, frozen=True):
    """One line; ``at`` in epoch nanoseconds. A notice is the daemon's line in her place, which her mind never sees.

    ``open`` lines are of conversations with visitors: they are shown to no one else and stay out of her memory.
    """

    role: Literal["person", "assistant"]
    content: str
    at: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    channel: ArchivedChannel
    chat: str = ""
    media: MediaName | None = None
    title: Title = ""
    perceived: str = ""
    notice: bool = False
    open: bool = False


class Page(msgspec.Struct, frozen=True):
    """Some lines; ``last`` is the id of the last one and None on the last page, ``up_to`` the last consolidated id."""

    lines: list[ArchivedLine]
    last: int | None
    up_to: int
    consolidated: int
    """How many of these lines are consolidated."""


def page(connection: sqlite3.Connection, persona: str, after: int, limit: int, up_to: int | None) -> Page:
    """The lines after an id in the order of insertion; on the last page, what is not answered yet follows them.

    ``up_to`` is what the first page said, so that all pages count alike.
    """
    # One view of both tables: what is answered between two statements would be on both sides, or on neither.
    connection.execute("BEGIN")
    try:
        rows = connection.execute(
            f"SELECT id, {_FIELDS} FROM conversation WHERE persona = ? AND id > ? ORDER BY id LIMIT ?",  # noqa: S608 (a constant)
            (persona, after, limit),
        ).fetchall()
        if up_to is None:
            known = connection.execute("SELECT up_to FROM consolidation WHERE persona = ?", (persona,)).fetchone()
            up_to = known[0] if known else 0
        is_last = len(rows) < limit
        waiting = connection.execute(
            "SELECT 'person', content, at, type, name, channel, chat, media, title, '', 0,"
            " EXISTS (SELECT 1 FROM channel WHERE channel.channel = inbox.channel AND open = 1) FROM inbox"
            " WHERE persona = ? AND state <> 'done' AND ? ORDER BY id",
            (persona, is_last),
        ).fetchall()
    finally:
        connection.execute("COMMIT")
    lines = [_line(row[1:]) for row in rows] + [_line(row) for row in waiting]
    return Page(lines, None if is_last else rows[-1][0], up_to, sum(row[0] <= up_to for row in rows))


def put_back(connection: sqlite3.Connection, persona: str, lines: Iterable[ArchivedLine]) -> int:
    """Add lines at the end of her conversation and return the id of the last one (0: there was none)."""
    last = 0
    for line in lines:
        last = (
            connection.execute(
                f"INSERT INTO conversation (persona, {_FIELDS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 (a constant)
                (
                    persona,
                    line.role,
                    line.content,
                    line.at,
                    line.channel.type,
                    line.channel.name,
                    line.channel.id,
                    line.chat,
                    line.media,
                    line.title,
                    line.perceived,
                    line.notice,
                    line.open,
                ),
            ).lastrowid
            or 0
        )
    return last


def _line(row: tuple[object, ...]) -> ArchivedLine:
    role, content, at, type_, name, channel, chat, media, title, perceived, notice, open_ = row
    line = {"role": role, "content": content, "at": at, "chat": chat}
    line |= {"channel": {"type": type_, "name": name, "id": channel}}
    line |= {"media": media, "title": title, "perceived": perceived, "notice": bool(notice), "open": bool(open_)}
    return msgspec.convert(line, ArchivedLine)
