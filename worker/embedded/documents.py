"""Documents as pieces of text with their places. Text and Markdown are read here, other types in their own modules."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from worker.embedded.encodings import encoding
from worker.embedded.passages import Piece

MOST_LINE: Final = 1 << 16
"""Characters of one line that are read at a time."""

HEADING: Final = re.compile(r" {0,3}(#{1,6})[ \t]+(.+?)[ \t#]*$")
FENCE: Final = re.compile(r" {0,3}(```|~~~)")
MOST_HEADING: Final = 60
MOST_LABEL: Final = 150


@dataclass
class Findings:
    """What a reader finds out besides the text. It is complete once all pieces have been read."""

    extent: str = ""
    """The kind and size of the document: "a PDF of 12 pages"."""
    notes: list[str] = field(default_factory=list)
    """Sentences about what could not be read."""


Reader = Callable[[Path, Findings], Iterator[Piece]]


def text_pieces(path: Path, findings: Findings) -> Iterator[Piece]:
    """Read a text file line by line. Raises HostFault when it is not text, and OSError."""
    number = 0
    for number, text in lines(path, findings):
        yield Piece("line", number, text)
    findings.extent = f"a text of {counted(number, 'line')}"


def markdown_pieces(path: Path, findings: Findings) -> Iterator[Piece]:
    """Read Markdown. The place of a text is the path of headings above it ("Usage > Options").

    Only ATX headings count (https://spec.commonmark.org/0.31.2/#atx-headings). Raises HostFault when the file is not
    text, and OSError.
    """
    above: list[tuple[int, str]] = []
    fence = ""
    number = headings = 0
    for number, text in lines(path, findings):
        if mark := FENCE.match(text):
            fence = "" if fence == mark[1] else fence or mark[1]
        elif not fence and (heading := HEADING.match(text)):
            headings += 1
            level = len(heading[1])
            above = [*((depth, name) for depth, name in above if depth < level), (level, heading[2][:MOST_HEADING])]
        if above:
            yield Piece("section", " > ".join(name for _, name in above)[-MOST_LABEL:], text)
        else:
            yield Piece("line", number, text)
    findings.extent = f"a Markdown text of {counted(number, 'line')} and {counted(headings, 'heading')}"


def lines(path: Path, findings: Findings) -> Iterator[tuple[int, str]]:
    """Yield numbered lines. A very long line comes in several parts with the same number.

    What is uncertain about its letters is noted in ``findings``. Raises HostFault when the file is not text, and
    OSError when it cannot be read.
    """
    written = encoding(path)
    findings.notes += [written.note] if written.note else []
    with path.open(encoding=written.name, errors="replace") as file:
        number = 1
        while line := file.readline(MOST_LINE):
            yield number, line.rstrip("\n")
            if line.endswith("\n"):
                number += 1


def counted(number: int, noun: str) -> str:
    """Return "1 line" or "2,000 lines"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
