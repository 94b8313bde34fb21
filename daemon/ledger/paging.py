"""Pages of what was said to a persona and by her, as her owner sees it.

Lines stand in the order in which they were written, whatever the clock showed. A message that she has not answered is
no line yet and has no number to go on from. It stands behind the last line that is not younger, and a page shows those
that stand among its lines, so each is on one page, also after the clock was set.
"""

from __future__ import annotations

import re
import sqlite3
import unicodedata
from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from proto.messages import Conversation

PAGE_LINES: Final = 100
"""Lines in a page unless somebody asks for another number."""

PAGE_TEXT: Final = 1_000_000
"""Characters after which a page ends, however many lines it may have: lines can be 64 KiB each."""

MOST_UNANSWERED: Final = 1000
"""Unanswered messages that a page has beside its lines: the newest of them."""

LAST: Final = 2**63 - 1

_WORD: Final = re.compile(r'"([^"]*)"|(\S+)')
"""A phrase in quotes, or a word; a quote without its partner belongs to its word."""

_COLUMNS: Final = "content, at, media, type, name, channel, chat, title"
_FOUND: Final = "AND (?4 = '' OR says(CAST(content AS BLOB), CAST(title AS BLOB), CAST(perceived AS BLOB), ?4))"
_LINES: Final = (
    f"SELECT id, role, perceived, 0, '', hushed, {_COLUMNS} FROM conversation"  # noqa: S608 (constants)
    f" WHERE persona = ?1 AND open = 0 AND id > ?2 AND id < ?3 {_FOUND}"
)
_BACKWARD: Final = f"{_LINES} ORDER BY id DESC"
_FORWARD: Final = f"{_LINES} ORDER BY id"
_UNANSWERED: Final = (
    f"SELECT 0, 'person', '', iif(state = 'poison', id, 0), reason, 0, {_COLUMNS} FROM inbox"  # noqa: S608 (constants)
    " WHERE persona = ?1 AND state <> 'done' AND at >= ?2 AND at < ?3 AND NOT EXISTS"
    " (SELECT 1 FROM channel WHERE channel.channel = inbox.channel AND channel.open = 1)"
    f" {_FOUND.replace('CAST(perceived AS BLOB)', 'NULL')} ORDER BY id DESC"
)
_ANY_UNANSWERED: Final = "SELECT EXISTS (SELECT 1 FROM inbox WHERE persona = ? AND state <> 'done')"
_EARLIEST: Final = (
    "SELECT at FROM conversation INDEXED BY conversation_time WHERE persona = ? AND open = 0 AND id >= ?"
    " ORDER BY at LIMIT 1"
)
_LINE_UP_TO: Final = "SELECT id FROM conversation WHERE persona = ? AND open = 0 AND id <= ? ORDER BY id DESC LIMIT 1"


class StoredLine(msgspec.Struct, frozen=True):
    """A line as a person sees it; ``at`` is in epoch nanoseconds, ``id`` is 0 for an unanswered message."""

    role: Literal["person", "assistant"]
    content: str
    at: int
    media: str | None
    conversation: Conversation
    title: str = ""
    perceived: str = ""
    id: int = 0
    set_aside: int = 0
    """The message's number while it is set aside, else 0."""
    reason: str = ""
    """Why it is."""
    hushed: bool = False
    """She was told to stop there."""


class Wanted(msgspec.Struct, frozen=True):
    """Which lines: at most ``limit`` of those behind ``after`` and before ``before`` that contain all ``words``.

    The first ones when ``after`` is given, else the last ones. Messages that are not answered come on top of the limit.
    With ``after`` or ``before`` they come only together with lines.
    """

    limit: int
    before: int | None = None
    after: int | None = None
    words: str = ""


LATEST: Final = Wanted(PAGE_LINES)
"""The page that is shown first."""


def says(content: bytes, title: bytes, perceived: bytes | None, words: str) -> bool:
    """Return whether each of these words, one a line, stands anywhere in one of these texts: for SQLite."""
    texts = [_folded(text.decode(errors="replace")) for text in (content, title, perceived) if text]
    return all(any(word in text for text in texts) for word in words.split("\n"))


def _words(asked: str) -> str:
    """Return the words and quoted phrases of a search, one a line, each once; "" when there are none."""
    found = (" ".join((phrase or word).split()) for phrase, word in _WORD.findall(asked))
    return "\n".join(dict.fromkeys(_folded(one) for one in found if one))


def _folded(text: str) -> str:
    """Return the text without the differences of case and composition.

    Normalized before and after folding, as the canonical caseless match of the Unicode Standard, section 3.13, D145:
    https://www.unicode.org/versions/latest/core-spec/chapter-3/
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def page(connection: sqlite3.Connection, persona: str, wanted: Wanted) -> list[StoredLine]:
    """Return a page, oldest first. Conversations with visitors are left out."""
    if wanted.limit == 0:
        return []
    forward = wanted.after is not None
    span = (wanted.after or 0, LAST if wanted.before is None else wanted.before)
    words = _words(wanted.words)
    # Both tables are read in one transaction, or a message that is answered meanwhile would come twice or not at all.
    connection.execute("BEGIN")
    try:
        cursor = connection.execute(_FORWARD if forward else _BACKWARD, (persona, *span, words))
        lines, complete = _taken(cursor, wanted.limit)
        if not forward:
            lines.reverse()
        unanswered: list[StoredLine] = []
        # Only lines lead on to the next page: one without any is the end.
        if (lines or span == (0, LAST)) and connection.execute(_ANY_UNANSWERED, (persona,)).fetchone()[0]:
            times = _times(connection, persona, wanted, lines, complete)
            unanswered, _ = _taken(connection.execute(_UNANSWERED, (persona, *times, words)), MOST_UNANSWERED)
    finally:
        connection.execute("COMMIT")
    return list(_merged(lines, unanswered[::-1]))


def _taken(cursor: sqlite3.Cursor, limit: int) -> tuple[list[StoredLine], bool]:
    """Read at most ``limit`` lines and ``PAGE_TEXT`` characters; the second value is True when there are no more."""
    lines: list[StoredLine] = []
    size = 0
    for id_, role, perceived, aside, reason, hushed, content, at, media, type_, name, channel, chat, title in cursor:
        size += len(content) + len(perceived)
        if len(lines) == limit or (lines and size > PAGE_TEXT):
            return lines, False
        where = Conversation(type_, name, channel, chat)
        lines.append(StoredLine(role, content, at, media, where, title, perceived, id_, aside, reason, bool(hushed)))
    return lines, True


def _times(
    connection: sqlite3.Connection, persona: str, wanted: Wanted, lines: list[StoredLine], complete: bool
) -> tuple[int, int]:
    """Return from which time on, and before which, messages stand among these lines.

    A message stands behind a line when that one is not younger and all lines behind it are. The earliest time from a
    line on never falls from line to line, so the spans of two pages have nothing in common.
    """
    if wanted.after is not None:
        behind = connection.execute(_LINE_UP_TO, (persona, wanted.after)).fetchone()
        since = _earliest(connection, persona, behind[0]) if behind else 0
        return since, LAST if complete else _earliest(connection, persona, lines[-1].id)
    until = LAST if wanted.before is None else _earliest(connection, persona, wanted.before)
    if complete:
        return 0, until
    if wanted.words:
        return _earliest(connection, persona, lines[0].id), until
    # All lines from the first one on are at hand.
    return min(until, *(line.at for line in lines)), until


def _earliest(connection: sqlite3.Connection, persona: str, line: int) -> int:
    """Return the earliest time of this line and those behind it, or one beyond all when there are none."""
    found = connection.execute(_EARLIEST, (persona, line)).fetchone()
    return int(found[0]) if found else LAST


def _merged(lines: list[StoredLine], unanswered: list[StoredLine]) -> Iterator[StoredLine]:
    """Put each unanswered message before the lines at the end that are younger; lines keep their order."""
    places: dict[int, list[StoredLine]] = {}
    for message in unanswered:
        place = len(lines)
        while place and lines[place - 1].at > message.at:
            place -= 1
        places.setdefault(place, []).append(message)
    for place, line in enumerate(lines):
        yield from places.get(place, ())
        yield line
    yield from places.get(len(lines), ())
