"""Turns a question into a query for the index, and the index's results into quotations."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

from worker.embedded.index import Found

WORD: Final = re.compile(r"[^\W_]+")
MOST_WORDS: Final = 32
MOST_QUESTION: Final = 10_000

SHORTEST_BEGINNING: Final = 4
"""The least length of a word that also matches all words that begin with it."""

STOP_WORDS: Final = frozenset(
    WORD.findall("""
    a about above after again all also am an and any are aren as at be because been before being below between both
    but by can could couldn did didn do does doesn doing don down during each few for from further get give had hadn
    has hasn have haven having he hello her here hers herself hey hi him himself his how however i if in into is isn
    it its itself just let ll look me might mine more most much must my myself no nor not now of off ok okay on once
    one only or other our ours out over own please re said same say says she should shouldn show so some such tell
    than thank thanks that the their theirs them then there these they this those through to too under until up upon
    us ve very want was wasn we were weren what when where whether which while who whom whose why will with won
    would wouldn you your yours yourself
    """)
)

ROUND: Final = str.maketrans("[]", "()")
EMPTY_LINES: Final = re.compile(r"\n(?:[^\S\n]*\n)+")

MOST_QUOTED: Final = 4_000
"""Characters of all quoted passages together."""

MOST_PASSAGES: Final = 8
POOR: Final = 0.25
"""The share of the best score below which a passage is not relevant enough."""

AGAIN: Final = 0.75
"""The factor by which each chosen passage of a document lowers the score of its next one."""

NAMED: Final = 1.5
"""The factor for a document if the question has a word of its title."""


def words(text: str) -> list[str]:
    """Return the significant words of a text, each once."""
    found = WORD.findall(text[:MOST_QUESTION].casefold())
    telling = [
        word for word in found if word not in STOP_WORDS and (len(word) > 1 or not word.isascii() or word.isdigit())
    ]
    return list(dict.fromkeys(telling))[:MOST_WORDS]


def expression(asked: Sequence[str]) -> str:
    """Return an FTS5 expression (https://sqlite.org/fts5.html) for passages with any of these words, "" for none.

    The words consist of letters and digits only.
    """
    terms = [f'"{word}"' for word in asked]
    # A whole word matches twice: as itself and as a prefix.
    terms += [f'"{word}"*' for word in asked if len(word) >= SHORTEST_BEGINNING]
    return " OR ".join(terms)


def choose(found: Sequence[Found], asked: Sequence[str]) -> list[Found]:
    """Choose the best of the passages that were found, but not all from the same document."""
    left = [one._replace(score=one.score * _gain(one.title, asked)) for one in found]
    floor = POOR * max((one.score for one in left), default=0.0)
    left = [one for one in left if one.score >= floor]
    chosen: list[Found] = []
    taken: Counter[int] = Counter()
    room = MOST_QUOTED
    while left and len(chosen) < MOST_PASSAGES:
        best = max(left, key=lambda one: one.score * AGAIN ** taken[one.document])
        left = [one for one in left if one.text != best.text]
        if len(best.text) > room:
            break
        chosen.append(best)
        taken[best.document] += 1
        room -= len(best.text)
    return chosen


def quote(found: Found) -> str:
    """Return ``[title, place] text``. No title, heading or text in it can look like the beginning of another one."""
    source = " ".join(f"{found.title}, {found.place}".split()).translate(ROUND)
    text = EMPTY_LINES.sub("\n", found.text)
    return f"[{source}] {text}"


def _gain(title: str, asked: Sequence[str]) -> float:
    return NAMED if set(words(title)) & set(asked) else 1.0
