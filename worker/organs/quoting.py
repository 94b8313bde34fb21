"""Quotations by code: the sentence of a found passage that answers a question best, with its source."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from worker.organs.attributes import attribute_of

QUOTES: Final = 2
QUOTE_CHARS: Final = 320

ENOUGH: Final = 0.6
"""The share of a question's words that a passage must contain to be quoted."""

NEARLY_AS_GOOD: Final = 0.9
"""A second passage is also quoted if its match is at least this share of the best one's."""

_STEM: Final = 5
"""Words with the same first letters, this many, count as equal: budget and budgets, invoice and invoiced."""

_SOURCE: Final = re.compile(
    r"(?:\A|\n\n)\[(?P<source>[^\n]{1,300}?, (?:page|section|rows?|lines?|entry|entries) [^\n\]]{1,200})\] "
)
_NOTE: Final = re.compile(r"\n\n\([^\n]*\)\Z")
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+|(?<!\s)[^\S\n]*+\n\s*+(?![a-z])")
"""A line that continues in lower case was only wrapped at the page's margin."""

_DEFINITE: Final = re.compile(r"\b(?:my|our|the|i|we|me)\b")
_WORD: Final = re.compile(r"[^\W_]+")

# fmt: off
_EVERYDAY: Final = frozenset(
    (
        "a", "about", "am", "an", "and", "any", "are", "as", "at", "be", "by", "can", "could", "did", "do", "does",
        "find", "for", "from", "get", "give", "had", "has", "have", "her", "him", "his", "how", "i", "in", "is", "it",
        "its", "know", "look", "many", "me", "much", "my", "of", "on", "or", "our", "please", "say", "says", "she",
        "should", "so", "some", "tell", "that", "the", "their", "them", "there", "these", "they", "this", "those", "to",
        "up", "us", "was", "we", "were", "what", "when", "where", "which", "who", "whom", "whose", "why", "will",
        "with", "would", "you", "your", "document", "documents", "file", "files", "page", "pages", "pdf", "written",
        "stand", "stands", "according", "remember", "recall", "still",
    )
)
# fmt: on
"""Words that say nothing about the subject of a question."""


class Passage(NamedTuple):
    """A passage and its source: ``budget.pdf, page 12``."""

    source: str
    text: str


def quote(passages: str, question: str) -> str:
    """Quote one or two passages that match the question well, or return "" if none does."""
    asked = _stems(question)
    if not asked or not passages:
        return ""
    rated = sorted(((_match(asked, one.text), one) for one in found(passages)), key=lambda pair: -pair[0])
    best = rated[0][0] if rated else 0.0
    if best < ENOUGH:
        return ""
    chosen = [one for score, one in rated[:QUOTES] if score >= best * NEARLY_AS_GOOD]
    return "\n".join(f'{one.source}: "{_best_sentences(one.text, asked)}"' for one in chosen)


def quote_line(seen: list[Passage], question: str) -> str:
    """Quote the line of ``seen``, whose newest is last, that matches the question best, or return "" if none does.

    A line that says no more than the question is a heading and is quoted with the lines below it.
    """
    asked = _stems(question)
    texts = [(one.source, _lines(one.text)) for one in reversed(seen)]
    places = [(source, lines, at) for source, lines in texts for at in range(len(lines))]
    if not asked or not places:
        return ""
    source, lines, at = max(places, key=lambda place: _match(asked, place[1][place[2]]))
    if _match(asked, lines[at]) < ENOUGH:
        return ""
    told = " / ".join(lines[at:]) if _stems(lines[at]) <= asked else lines[at]
    return f'{source}: "{_shortened(told)}"'


def best_line(lines: list[str], question: str) -> str:
    """Return the line of ``lines``, whose newest is last, that matches the question best, or "" if none does.

    One word is a match only if the question says that it is about something the person knows of: "my", "the".
    """
    asked = _stems(question)
    if not asked or not lines or (len(asked) == 1 and not _DEFINITE.search(question.casefold())):
        return ""
    best = max(reversed(lines), key=lambda line: _match(asked, line))
    return best if _match(asked, best) >= ENOUGH else _line_about(lines, question)


def _line_about(lines: list[str], question: str) -> str:
    """Return the line about what a question asks an attribute of, preferably one that tells the attribute."""
    low = question.casefold()
    attribute = attribute_of(low)
    if attribute is None or not _DEFINITE.search(low):
        return ""
    subject = _stems(attribute.asked.sub(" ", low))
    about = [line for line in reversed(lines) if subject and _match(subject, line) >= ENOUGH]
    return max(about, key=lambda line: (attribute.told.search(line) is not None, _match(subject, line)), default="")


def _lines(text: str) -> list[str]:
    """Return the lines that an eye read, without its note at the end."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[:-1] if lines and lines[-1].startswith("(") and lines[-1].endswith(")") else lines


def found(passages: str) -> list[Passage]:
    """Split the library's result into passages. Each begins with its source; a note may follow the last one."""
    _, *parts = _SOURCE.split(_NOTE.sub("", passages))
    return [Passage(source, text.strip()) for source, text in zip(parts[::2], parts[1::2], strict=True)]


def _best_sentences(text: str, asked: frozenset[str]) -> str:
    """Return the sentence that matches the question best, and the following ones while there is room."""
    sentences = [" ".join(sentence.split()) for sentence in _SENTENCE.split(text) if sentence.strip()]
    best = max(range(len(sentences)), key=lambda at: _match(asked, sentences[at]))
    best_text = sentences[best]
    for sentence in sentences[best + 1 :]:
        if len(best_text) + len(sentence) >= QUOTE_CHARS:
            break
        best_text = f"{best_text} {sentence}"
    return _shortened(best_text)


def _shortened(text: str) -> str:
    return text if len(text) <= QUOTE_CHARS else f"{text[:QUOTE_CHARS].rsplit(maxsplit=1)[0]} ..."


def _match(asked: frozenset[str], text: str) -> float:
    return len(asked & _stems(text)) / len(asked)


def _stems(text: str) -> frozenset[str]:
    words = (word.casefold().replace("colour", "color").replace("favour", "favor") for word in _WORD.findall(text))
    return frozenset(word[:_STEM] for word in words if word not in _EVERYDAY and len(word) > 1)
