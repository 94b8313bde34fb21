"""A conversation of an export in our own form, whoever it was held with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

from proto.messages import Line
from worker.prompting.memory import CHUNK_CHARS

LINE_CHARS: Final = CHUNK_CHARS - 200
"""What one mind call takes, less room to say where it is from; more in one message is a document rather than talk."""

EXTRACT_CHARS: Final = 4000
"""How much of a file's text, or of what a tool put out, is taken into the talk."""

TITLE_CHARS: Final = 255

IMAGE: Final = "(an image)"
AUDIO: Final = "(a recording)"
VIDEO: Final = "(a video)"

_LAST_SECOND: Final = 9_000_000_000
"""In the year 2255; nanoseconds beyond 2262 do not fit into 64 bits."""

Role: TypeAlias = Literal["person", "assistant"]

Stamp: TypeAlias = float | str | None
"""A time in an export: epoch seconds, or ISO 8601."""


class HistoryError(ValueError):
    """The file is no export that can be read; the text says what is wrong with it, to a person."""


class ForeignError(HistoryError):
    """It is well-formed, and something else than an export of the source that it is said to be of."""


class Said(NamedTuple):
    """One message; ``at`` is 0 where the export does not tell."""

    role: Role
    words: str
    at: int = 0


class Imported(msgspec.Struct, frozen=True):
    """One conversation with words in it; ``at`` is when it began, in epoch nanoseconds, or 0."""

    title: str
    at: int
    lines: list[Line]

    def key(self) -> str:
        """Return the SHA-256 of who said what: the same in every export that the conversation comes with."""
        digest = hashlib.sha256()
        for line in self.lines:
            words = line.content.encode()
            digest.update(b"%s %d\n" % (line.role.encode(), len(words)))
            digest.update(words)
        return digest.hexdigest()


def conversation(title: str | None, at: int, said: Iterable[Said]) -> Imported | None:
    """Put a conversation together, or return None when nobody said a word in it."""
    lines: list[Line] = []
    latest = at
    for role, words, moment in said:
        if words := words.replace("\0", "").strip()[:LINE_CHARS]:
            latest = moment or latest
            lines.append(Line(role, words, latest))
    if not lines:
        return None
    began = at or next((line.at for line in lines if line.at), 0)
    return Imported(" ".join((title or "").split())[:TITLE_CHARS], began, lines)


def joined(parts: Iterable[str | None]) -> str:
    """Put the parts of a message under each other."""
    return "\n".join(part.strip() for part in parts if part and part.strip())


def attached(name: str, text: str = "") -> str:
    """Tell of a file that somebody sent, and how it begins."""
    named = f"(a file: {' '.join(name.split())[:TITLE_CHARS]})" if name.strip() else "(a file)"
    return joined((named, text[:EXTRACT_CHARS]))


def from_stamp(stamp: Stamp) -> int:
    """Return epoch seconds or an ISO 8601 time (UTC where it names no zone) as epoch nanoseconds, to the millisecond.

    None, a text that is no time, and a time that no clock shows are 0.
    """
    try:
        seconds = _seconds(stamp) if isinstance(stamp, str) else stamp or 0.0
    except (ValueError, OverflowError):
        return 0
    return round(seconds * 1000) * 1_000_000 if 0 < seconds < _LAST_SECOND else 0


def _seconds(stamp: str) -> float:
    moment = datetime.fromisoformat(stamp)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
