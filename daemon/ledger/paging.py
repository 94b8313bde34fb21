"""Pages of what was said to a persona and by her, as her owner sees it.

Lines stand in the order in which they were written, whatever the clock showed. A message that she has not answered is
no line yet: it stands where it came in, by its time.
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

LAST: Final = 2**63 - 1

_WORD: Final = re.compile(r'"([^"]*)"|(\S+)')
"""A phrase in quotes, or a word; a quote without its partner belongs to its word."""

_COLUMNS: Final = "content, at, media, type, name, channel, chat, title"
_FOUND: Final = "AND (?4 = '' OR says(CAST(content AS BLOB), CAST(title AS BLOB), CAST(perceived AS BLOB), ?4))"
_LINES: Final = (
    f"SELECT id, role, perceived, 0, '', {_COLUMNS} FROM conversation"  # noqa: S608 (constants)
    f" WHERE persona = ?1 AND open = 0 AND id > ?2 AND id < ?3 {_FOUND}"
)
_BACKWARD: Final = f"{_LINES} ORDER BY id DESC"
_FORWARD: Final = f"{_LINES} ORDER BY id"
_UNANSWERED: Final = (
    f"SELECT 0, 'person', '', iif(state = 'poison', id, 0), reason, {_COLUMNS} FROM inbox"  # noqa: S608 (constants)
    " WHERE persona = ?1 AND state <> 'done' AND at >= ?2 AND at < ?3 AND NOT EXISTS"
    " (SELECT 1 FROM channel WHERE channel.channel = inbox.channel AND channel.open = 1)"
    f" {_FOUND.replace('CAST(perceived AS BLOB)', 'NULL')} ORDER BY id"
)


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


class Wanted(msgspec.Struct, frozen=True):
    """Which lines: at most ``limit`` of those behind ``after`` and before ``before`` that contain all ``words``.

    The first ones when ``after`` is given, else the last ones. With one of the two, messages that are not answered come
    on top of the limit, and only together with lines.
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
    lower = 0 if wanted.after is None else wanted.after
    upper = LAST if wanted.before is None else wanted.before
    words = _words(wanted.words)
    forward = wanted.after is not None
    # Both tables are read in one transaction, or a message that is answered meanwhile would come twice or not at all.
    connection.execute("BEGIN")
    try:
        cursor = connection.execute(_FORWARD if forward else _BACKWARD, (persona, lower, upper, words))
        lines, complete = _taken(cursor, wanted.limit)
        if not forward:
            lines.reverse()
        since = _time_of(connection, persona, lower) if forward else 0 if complete or not lines else lines[0].at
        until = _time_of(connection, persona, upper) if not forward else LAST if complete else lines[-1].at
        unanswered, _ = _taken(connection.execute(_UNANSWERED, (persona, since, until, words)), wanted.limit)
    finally:
        connection.execute("COMMIT")
    merged = list(_merged(lines, unanswered))
    if wanted.before is None and wanted.after is None:
        return merged[max(0, len(merged) - wanted.limit) :]
    # Only lines lead on to the next page: one without any is the end.
    return merged if lines else []


def _taken(cursor: sqlite3.Cursor, limit: int) -> tuple[list[StoredLine], bool]:
    """Read at most ``limit`` lines and ``PAGE_TEXT`` characters; the second value is True when there are no more."""
    lines: list[StoredLine] = []
    size = 0
    for id_, role, perceived, aside, reason, content, at, media, type_, name, channel, chat, title in cursor:
        size += len(content) + len(perceived)
        if len(lines) == limit or (lines and size > PAGE_TEXT):
            return lines, False
        where = Conversation(type_, name, channel, chat)
        lines.append(StoredLine(role, content, at, media, where, title, perceived, id_, aside, reason))
    return lines, True


def _time_of(connection: sqlite3.Connection, persona: str, line: int) -> int:
    """Return the time of a line, or one beyond all for a line that is not there."""
    if line in (0, LAST):
        return line
    found = connection.execute("SELECT at FROM conversation WHERE id = ? AND persona = ?", (line, persona)).fetchone()
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
