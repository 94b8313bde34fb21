"""Splits long messages into parts that a provider accepts: at a paragraph, else a line, else a word, else
between two visible characters.

Offsets are in characters, as in Python; a provider's unit only decides how much fits. The same text is always split in
the same way, because an interrupted delivery continues after the last part that was sent.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeAlias

from worker.gateways.common.graphemes import border

Measure: TypeAlias = Callable[[str], int]

_BOUNDARIES: Final = ("\n\n", "\n", " ")
_ENOUGH: Final = 4
"""A better place to cut is used if it leaves the part at least a quarter full."""

_FENCE: Final = re.compile(r"^ {0,3}(?P<mark>`{3,}|~{3,})(?P<info>[^`\n]*)$", re.MULTILINE)


class Entity(NamedTuple):
    """A formatted stretch of text. ``type`` is Telegram's name: ``bold``, ``pre``, ``text_link``...

    https://core.telegram.org/bots/api#messageentity
    """

    type: str
    offset: int
    length: int
    url: str | None = None
    language: str | None = None


class Rich(NamedTuple):
    """A plain text with its formatting."""

    text: str
    entities: tuple[Entity, ...] = ()


class Span(NamedTuple):
    """A stretch of a text; ``end`` is exclusive."""

    start: int
    end: int


def characters(text: str) -> int:
    """Measure a text as Discord does."""
    return len(text)


def utf16_units(text: str) -> int:
    """Measure a text as Telegram does: characters outside the Basic Multilingual Plane count twice."""
    return len(text) + sum(1 for character in text if character > "\uffff")


def split_rich(rich: Rich, limit: int, measure: Measure = utf16_units) -> list[Rich]:
    """Split a text with entities into parts of at most ``limit``; each part keeps its share of the entities.

    A code block stays whole if it fits into one part. Parts without visible text are left out.
    """
    whole = [Span(e.offset, e.offset + e.length) for e in rich.entities if e.type == "pre"]
    return [_part(rich, span) for span in spans(rich.text, limit, measure, whole)]


def split_markdown(text: str, limit: int, measure: Measure = characters) -> list[str]:
    """Split Markdown into parts of at most ``limit``. A fenced code block that must be cut is closed and reopened."""
    fences = _fences(text)
    room = limit - max((measure(fence.opening) + len(fence.mark) + 2 for fence in fences), default=0)
    if measure(text) <= limit or room < limit // 2:
        room = limit
        fences = []
    parts = [_fenced(text, span, fences) for span in spans(text, room, measure, [fence.span for fence in fences])]
    return [part for part in parts if part]


def spans(text: str, limit: int, measure: Measure, whole: Sequence[Span] = ()) -> list[Span]:
    """Find the parts of a text. ``whole`` lists stretches, in order, that should each stay in one part."""
    found = []
    start = _skip_lines(text, 0)
    while start < len(text):
        reach = _reach(text, start, limit, measure)
        end = reach if reach == len(text) else _cut(text, start, reach, limit, measure, whole)
        kept = end - (len(text[start:end]) - len(text[start:end].rstrip()))
        if kept > start:
            found.append(Span(start, kept))
        start = _skip_lines(text, end)
    return found


def _reach(text: str, start: int, limit: int, measure: Measure) -> int:
    """Return the furthest end that still fits, at least one character after ``start``."""
    end = min(len(text), start + limit)
    while end - 1 > start and (over := measure(text[start:end]) - limit) > 0:
        end = max(start + 1, end - (over + 1) // 2)
    return end


def _cut(text: str, start: int, reach: int, limit: int, measure: Measure, whole: Sequence[Span]) -> int:
    """Return the best place to cut, at or before ``reach``."""
    least = start + max(1, (reach - start) // _ENOUGH)
    span = _around(whole, reach)
    if span and start < span.start and (span.start >= least or measure(text[span.start : span.end]) <= limit):
        return span.start
    for boundary in _BOUNDARIES:
        at = text.rfind(boundary, least, reach + 1)
        if at != -1:
            inside = _around(whole, at)
            return inside.end if inside and inside.end <= reach else at + (boundary == " ")
    return border(text, start, reach)


def _around(whole: Sequence[Span], at: int) -> Span | None:
    """Return the stretch that begins before ``at`` and ends after it. Stretches stand in order and never overlap."""
    number = bisect_left(whole, at, key=lambda span: span.start) - 1
    return whole[number] if number >= 0 and at < whole[number].end else None


def _skip_lines(text: str, at: int) -> int:
    """Return the start of the next line that is not blank; its indentation stays."""
    while at < len(text) and (end := text.find("\n", at)) != -1 and not text[at:end].strip():
        at = end + 1
    return at if text[at:].strip() else len(text)


def _part(rich: Rich, span: Span) -> Rich:
    entities = []
    for entity in rich.entities:
        start = max(entity.offset, span.start)
        end = min(entity.offset + entity.length, span.end)
        if start < end:
            entities.append(entity._replace(offset=start - span.start, length=end - start))
    return Rich(rich.text[span.start : span.end], tuple(entities))


class _Fence(NamedTuple):
    span: Span
    closed_at: int
    """Where the closing line begins; the end of the text if the fence is never closed."""
    opening: str
    mark: str


def _fenced(text: str, span: Span, fences: Sequence[_Fence]) -> str:
    """Return a part of a Markdown text; a code block that is cut at its edges is reopened and closed."""
    opened, left = _fence_around(fences, span.start), _fence_around(fences, span.end)
    if opened and span.start >= opened.closed_at:
        return text[opened.span.end : span.end].strip("\n")
    head = f"{opened.opening}\n" if opened else ""
    tail = f"\n{left.mark}" if left else ""
    return f"{head}{text[span.start : span.end]}{tail}"


def _fence_around(fences: Sequence[_Fence], at: int) -> _Fence | None:
    number = bisect_left(fences, at, key=lambda fence: fence.span.start) - 1
    return fences[number] if number >= 0 and at < fences[number].span.end else None


def _fences(text: str) -> list[_Fence]:
    """Find the fenced code blocks of a Markdown text (https://spec.commonmark.org/0.31.2/#fenced-code-blocks)."""
    found: list[_Fence] = []
    opening: re.Match[str] | None = None
    for line in _FENCE.finditer(text):
        if opening is None:
            opening = line
        elif line["mark"].startswith(opening["mark"]) and not line["info"].strip():
            span = Span(opening.start(), line.end())
            found.append(_Fence(span, line.start(), opening[0].strip(), opening["mark"]))
            opening = None
    if opening is not None:
        found.append(_Fence(Span(opening.start(), len(text)), len(text), opening[0].strip(), opening["mark"]))
    return found
