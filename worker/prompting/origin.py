"""Notes of origin: code marks each line of memory that was learned from an export, and keeps the mark.

A mind never sees these notes, so it can neither forge nor lose them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

from proto.feeds import Source
from proto.messages import Memory
from worker.prompting.memory import fits

LABELS: Final[dict[Source, str]] = {
    "chatgpt": "ChatGPT",
    "claude": "Claude",
    "gemini": "Gemini",
    "grok": "Grok",
    "personad": "personad",
}
"""The sources' names as people know them."""

_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_NOTE: Final = re.compile(
    rf"\(from (?:{'|'.join(LABELS.values())})(?:, (?P<month>{'|'.join(_MONTHS)}) (?P<year>\d{{4}}))?\)[ \t]*\Z"
)
_BULLET: Final = re.compile(r"\s*[-*+] +")
_KEYED: Final = re.compile(r"\s*[-*+] +(?P<key>[^:\n]{1,60}): *\S")


class Origin(NamedTuple):
    """A conversation elsewhere: the product, and the year and month, (0, 0) if the export does not say."""

    label: str
    month: tuple[int, int]

    @classmethod
    def of(cls, source: Source, at: int) -> Origin:
        """Make an origin; ``at`` is in epoch nanoseconds, 0 if unknown."""
        moment = datetime.fromtimestamp(at // 1_000_000_000, UTC)
        return cls(LABELS[source], (moment.year, moment.month) if at > 0 else (0, 0))

    def when(self) -> str:
        """Return the month and year as text, or "" if unknown."""
        year, month = self.month
        return f"{_MONTHS[month - 1]} {year}" if month else ""

    def note(self) -> str:
        """Return the note that follows a line learned there."""
        return f"(from {self.label}, {self.when()})" if self.when() else f"(from {self.label})"


def without_origins(text: str) -> str:
    """Remove the notes of origin from the ends of lines."""
    return "\n".join(map(_without_origin, text.split("\n")))


def _without_origin(line: str) -> str:
    note = _NOTE.search(line)
    return line[: note.start()].rstrip(" \t") if note else line


def merged(before: Memory, after: Memory, origin: Origin) -> Memory:
    """Return the files that differ between ``before`` and ``after``, with the notes of origin restored.

    ``after`` was made from ``before`` without notes. Old lines keep their notes; each new line gets ``origin``'s note.
    """
    # A line may have been moved into a file of its own subject.
    everywhere = {plain: line for body in before.values() for line in body.splitlines() if (plain := _plain(line))}
    files = {name: _merged(before.get(name, ""), body, origin, everywhere) for name, body in after.items()}
    return {name: body for name, body in files.items() if body.strip() != before.get(name, "").strip()}


def _merged(before: str, after: str, origin: Origin, everywhere: Mapping[str, str]) -> str:
    """Merge one file. New lines that no longer fit with their notes are left out.

    ``everywhere`` holds the lines of all files; those of this one come first.
    """
    own = {plain: line for line in before.splitlines() if (plain := _plain(line))}
    firm = _firm(own, after, origin)
    known = {**everywhere, **own}
    lines: list[str] = []
    new: list[int] = []
    seen: set[str] = set()
    for told in after.splitlines():
        line = firm.get(_key(told), told) if _plain(told) not in known else told
        plain = _plain(line)
        if not plain or line.startswith("#"):
            lines.append(line.rstrip())
        elif plain not in seen:
            seen.add(plain)
            if plain not in known:
                new.append(len(lines))
            lines.append(known.get(plain) or f"{without_origins(line).rstrip()} {origin.note()}")
    while new and not fits(_file(lines)):
        del lines[new.pop()]
    return _file(lines) if fits(_file(lines)) else before


def _firm(known: dict[str, str], after: str, origin: Origin) -> dict[str, str]:
    """Find the facts ``- Key: value`` that an older conversation must not replace: her own and later ones."""
    kept = {_plain(line) for line in after.splitlines()}
    gone = [line for plain, line in known.items() if plain not in kept]
    return {key: line for line in gone if (key := _key(line)) and _learned(line) > origin.month}


def _learned(line: str) -> tuple[int, int]:
    """Return the month of a line's note. A line without one was learned from the person and is the newest."""
    note = _NOTE.search(line)
    if note is None:
        return (9999, 12)
    return (int(note["year"]), _MONTHS.index(note["month"]) + 1) if note["year"] else (0, 0)


def _key(line: str) -> str:
    keyed = _KEYED.match(line)
    return " ".join(keyed["key"].casefold().split()) if keyed else ""


def _plain(line: str) -> str:
    """Return a line without bullet, note, full stop and capitals. Lines with the same result count as equal."""
    words = without_origins(line)
    bullet = _BULLET.match(words)
    words = words[bullet.end() :] if bullet else words
    return " ".join(words.casefold().split()).rstrip(".")


def _file(lines: list[str]) -> str:
    body = "\n".join(lines).strip()
    return body + "\n" if body else ""
