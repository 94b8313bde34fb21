"""The conversation in an export: all lines of all channels, read in pages and restored in batches."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Annotated, Final, Literal

import msgspec

from daemon.ledger import recall_index
from proto.texts import MediaName, Title

_FIELDS: Final = "role, content, at, type, name, channel, chat, media, title, perceived, notice, open, hushed"

_PAGE: Final = (
    f"SELECT * FROM (SELECT id, {_FIELDS} FROM conversation WHERE persona = ?1 AND open = 0 AND id > ?2"  # noqa: S608 (constants)
    " ORDER BY id LIMIT ?3)"
    f" UNION ALL SELECT * FROM (SELECT id, {_FIELDS} FROM conversation WHERE persona = ?1 AND open = 1 AND id > ?2"
    " ORDER BY id LIMIT ?3) ORDER BY id LIMIT ?3"
)
"""Two searches of the index, which has ``open`` before the id; one for both would sort all her lines for each page."""


class ArchivedChannel(msgspec.Struct, frozen=True, omit_defaults=True):
    """The channel of a line. The web has no ``id``."""

    type: str
    name: str
    id: str = ""


class ArchivedLine(msgspec.Struct, frozen=True):
    """One line; ``at`` is in epoch nanoseconds.

    A ``notice`` was written by the daemon in her name; her mind never sees it. ``open`` lines belong to conversations
    with visitors: no other person sees them, and they stay out of her memory. A ``hushed`` one is as far as she came
    when she was told to stop.
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
    hushed: bool = False


class Page(msgspec.Struct, frozen=True):
    """A page of lines.

    ``last`` is the id of its last line, or None on the last page. ``up_to`` is the last consolidated id.
    """

    lines: list[ArchivedLine]
    last: int | None
    up_to: int
    consolidated: int
    """How many of these lines are consolidated."""
    left_out: list[int] = []
    """The ids of lines that are damaged so much that nothing of them can be kept."""


def page(connection: sqlite3.Connection, persona: str, after: int, limit: int, up_to: int | None) -> Page:
    """Return the lines after an id in the order of insertion. On the last page, unanswered messages follow them.

    Pass the ``up_to`` of the first page to every later one, so that all pages count against the same id.
    """
    # Both tables are read in one transaction. A message answered between two statements would otherwise appear
    # twice, or not at all.
    connection.execute("BEGIN")
    try:
        rows = connection.execute(_PAGE, (persona, after, limit)).fetchall()
        if up_to is None:
            known = connection.execute("SELECT up_to FROM consolidation WHERE persona = ?", (persona,)).fetchone()
            up_to = known[0] if known else 0
        is_last = len(rows) < limit
        waiting = connection.execute(
            "SELECT 'person', content, at, type, name, channel, chat, media, title, '', 0,"
            " EXISTS (SELECT 1 FROM channel WHERE channel.channel = inbox.channel AND open = 1), 0 FROM inbox"
            " WHERE persona = ? AND state <> 'done' AND ? ORDER BY id",
            (persona, is_last),
        ).fetchall()
    finally:
        connection.execute("COMMIT")
    read = [(row[0], _line(row[1:])) for row in rows]
    lines = [line for _, line in read if line] + [line for row in waiting if (line := _line(row))]
    consolidated = sum(id_ <= up_to for id_, line in read if line)
    left_out = [id_ for id_, line in read if line is None]
    return Page(lines, None if is_last else rows[-1][0], up_to, consolidated, left_out)


def put_back(connection: sqlite3.Connection, persona: str, lines: Iterable[ArchivedLine]) -> int:
    """Add lines at the end of her conversation and return the id of the last one, or 0 when there are none."""
    last = 0
    for line in lines:
        last = (
            connection.execute(
                f"INSERT INTO conversation (persona, {_FIELDS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 (a constant)
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
                    line.hushed,
                ),
            ).lastrowid
            or 0
        )
        recall_index.said(connection, persona, [last])
    return last


def _line(row: tuple[object, ...]) -> ArchivedLine | None:
    """Make a line of a row. A damaged row loses what describes its file; None when even its words cannot be read."""
    role, content, at, type_, name, channel, chat, media, title, perceived, notice, open_, hushed = row
    line = {"role": role, "content": content, "at": at, "chat": chat, "notice": bool(notice), "open": bool(open_)}
    line |= {"channel": {"type": type_, "name": name, "id": channel}, "hushed": bool(hushed)}
    try:
        return msgspec.convert(line | {"media": media, "title": title, "perceived": perceived}, ArchivedLine)
    except msgspec.ValidationError:
        pass
    try:
        return msgspec.convert(line, ArchivedLine)
    except msgspec.ValidationError:
        return None
