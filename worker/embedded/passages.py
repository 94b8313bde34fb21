"""Cuts documents into passages short enough to quote, each with its place in the document."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, Literal, NamedTuple

SIZE: Final = 1_000
"""The maximum number of characters in a passage."""

_BREAKS: Final = (re.compile(r"\n\s*\n"), re.compile(r"[.!?…][\"')\]]*\s"), re.compile(r"\n"), re.compile(r"\s"))
"""Where to cut a long text, the best places first."""

_HYPHENATION: Final = re.compile(r"(?<=\w)[\x02\xad\ufffe]\s*\n?")
"""The hyphen of a word that is split over two lines, as PDFium reports it."""

_CONTROLS: Final = dict.fromkeys((*range(9), *range(11, 32), *range(127, 160), 173, 65279, 65534, 65535))

_PLURALS: Final = {"row": "rows", "line": "lines", "entry": "entries"}
"""Places that have numbers and are quoted as a range."""


class Piece(NamedTuple):
    """The text at one place of a document, as a reader yields it."""

    noun: Literal["page", "section", "row", "line", "entry"]
    label: int | str
    text: str


class Passage(NamedTuple):
    """Text of at most SIZE characters. ``place`` is quoted as its source: "page 12", "rows 40-60", "section Rent"."""

    place: str
    text: str


def cut(pieces: Iterable[Piece]) -> Iterator[Passage]:
    """Join adjacent short texts and cut long ones. Never holds more than one piece and one passage in memory."""
    held: list[Piece] = []
    length = 0
    for piece in pieces:
        for text in _parts(clean(piece.text)):
            full = length + len(text) > SIZE or (not text and length > SIZE // 2)
            if held and (full or not _neighbours(held[-1], piece)):
                yield from _passage(held)
                held, length = [], 0
            held.append(piece._replace(text=text))
            length += len(text) + 1
    yield from _passage(held)


def clean(text: str) -> str:
    """Remove unreadable characters: control characters, halves of surrogate pairs, soft hyphens."""
    whole = text.encode("utf-8", "replace").decode()
    return _HYPHENATION.sub("", whole.replace("\r\n", "\n").replace("\r", "\n")).translate(_CONTROLS).rstrip()


def _neighbours(one: Piece, other: Piece) -> bool:
    return one.noun == other.noun and (one.label == other.label or one.noun in _PLURALS)


def _passage(held: list[Piece]) -> Iterator[Passage]:
    while held and not held[0].text:
        del held[0]
    while held and not held[-1].text:
        del held[-1]
    if held:
        yield Passage(_place(held[0], held[-1]), "\n".join(piece.text for piece in held))


def _place(first: Piece, last: Piece) -> str:
    if first.label == last.label:
        return f"{first.noun} {first.label}"
    return f"{_PLURALS[first.noun]} {first.label}-{last.label}"


def _parts(text: str) -> Iterator[str]:
    begin = 0
    while len(text) - begin > SIZE:
        end = _break(text, begin)
        if part := text[begin:end].strip():
            yield part
        begin = end
    yield text[begin:].rstrip() if begin == 0 else text[begin:].strip()


def _break(text: str, begin: int) -> int:
    """Return the last of the best places to cut in the second half of the next SIZE characters."""
    for pattern in _BREAKS:
        ends = [found.end() for found in pattern.finditer(text, begin + SIZE // 2, begin + SIZE)]
        if ends:
            return ends[-1]
    return begin + SIZE
