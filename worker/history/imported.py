"""A conversation from an export in a form common to all sources."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

from proto.feeds import MAX_FED_CHARS, MAX_FED_LINE, MAX_FED_LINES, FedLine
from proto.messages import Line
from proto.unicode_text import valid_text
from worker.prompting.memory import CHUNK_CHARS

LINE_CHARS: Final = CHUNK_CHARS - 200
"""What one mind call takes, minus room for the note of origin. A longer message is rather a document."""

EXTRACT_CHARS: Final = 4000
"""How many characters of a file's text or a tool's output are taken into the conversation."""

TITLE_CHARS: Final = 255

IMAGE: Final = "(an image)"
AUDIO: Final = "(a recording)"
VIDEO: Final = "(a video)"

_LAST_SECOND: Final = 9_000_000_000
"""In the year 2255. Nanoseconds after 2262 do not fit into 64 bits."""

Role: TypeAlias = Literal["person", "assistant"]

Stamp: TypeAlias = float | str | None
"""A time in an export: epoch seconds, or ISO 8601."""


class HistoryError(ValueError):
    """The file is not a readable export. The error text tells a person what is wrong with it."""


class ForeignError(HistoryError):
    """The file is well-formed, but it is not an export of the given source."""


class Said(NamedTuple):
    """One message; ``at`` is 0 if the export does not say."""

    role: Role
    words: str
    at: int = 0


class Imported(msgspec.Struct, frozen=True):
    """One conversation that has text. ``at`` is its beginning in epoch nanoseconds, or 0 if unknown."""

    title: str
    at: int
    lines: list[Line]

    def key(self) -> str:
        """Return the SHA-256 of the roles and texts, which is the same in every export that holds the conversation."""
        digest = hashlib.sha256()
        for line in self.lines:
            words = line.content.encode()
            digest.update(b"%s %d\n" % (line.role.encode(), len(words)))
            digest.update(words)
        return digest.hexdigest()


def conversation(title: str | None, at: int, said: Iterable[Said]) -> Imported | None:
    """Return a conversation, or None when it has no text."""
    lines: list[Line] = []
    latest = at
    for role, words, moment in said:
        if words := valid_text(words).strip()[:LINE_CHARS]:
            latest = moment or latest
            lines.append(Line(role, words, latest))
    if not lines:
        return None
    began = at or next((line.at for line in lines if line.at), 0)
    return Imported(" ".join(valid_text(title or "").split())[:TITLE_CHARS], began, lines)


def kept_lines(talk: Imported) -> list[FedLine]:
    """Return the lines that are kept so that they can be found again: the first ones, up to the protocol's bounds."""
    kept: list[FedLine] = []
    room = MAX_FED_CHARS
    for line in talk.lines[:MAX_FED_LINES]:
        words = line.content[:MAX_FED_LINE]
        room -= len(words)
        if room < 0:
            break
        kept.append(FedLine(line.role, words, max(line.at or talk.at, 0)))
    return kept


def joined(parts: Iterable[str | None]) -> str:
    """Join the non-empty parts of a message with line breaks."""
    return "\n".join(part.strip() for part in parts if part and part.strip())


def attached(name: str, text: str = "") -> str:
    """Return a line that names a file that was sent, followed by the beginning of its text."""
    named = f"(a file: {' '.join(name.split())[:TITLE_CHARS]})" if name.strip() else "(a file)"
    return joined((named, text[:EXTRACT_CHARS]))


def from_stamp(stamp: Stamp) -> int:
    """Return epoch seconds or an ISO 8601 time (UTC if it has no zone) as epoch nanoseconds, to the millisecond.

    Return 0 for None, for text that is not a time, and for a time outside 1970 to 2255.
    """
    try:
        seconds = _seconds(stamp) if isinstance(stamp, str) else stamp or 0.0
    except (ValueError, OverflowError):
        return 0
    return round(seconds * 1000) * 1_000_000 if 0 < seconds < _LAST_SECOND else 0


def _seconds(stamp: str) -> float:
    moment = datetime.fromisoformat(stamp)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
