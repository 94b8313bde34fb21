"""From a question to what the index is asked, and from what it finds to what is quoted."""

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
"""Characters that a word must have to stand for all words that begin with it."""

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
EMPTY_LINES: Final = re.compile(r"\n\s*\n")

MOST_QUOTED: Final = 4_000
"""Characters of passages together."""

MOST_PASSAGES: Final = 8
POOR: Final = 0.25
"""The share of the best score under which a passage says too little about the question."""

AGAIN: Final = 0.75
"""What each passage of a document takes from the chances of its next one."""

NAMED: Final = 1.5
"""What a document gains that the question names by a word of its title."""


def words(text: str) -> list[str]:
    """Return the words that a text is about, each once."""
    found = WORD.findall(text[:MOST_QUESTION].casefold())
    telling = [
        word for word in found if word not in STOP_WORDS and (len(word) > 1 or not word.isascii() or word.isdigit())
    ]
    return list(dict.fromkeys(telling))[:MOST_WORDS]


def expression(asked: Sequence[str]) -> str:
    """Write an FTS5 expression for passages with any of these words, of letters and digits only, "" for none."""
    terms = [f'"{word}"' for word in asked]
    # A whole word counts twice: once as itself.
    terms += [f'"{word}"*' for word in asked if len(word) >= SHORTEST_BEGINNING]
    return " OR ".join(terms)


def choose(found: Sequence[Found], asked: Sequence[str]) -> list[Found]:
    """Choose what to quote: the best of everything found, but not all of it out of one document."""
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
    """Write ``[title, place] text``, in which no title, heading or text can look like the beginning of another."""
    source = " ".join(f"{found.title}, {found.place}".split()).translate(ROUND)
    text = EMPTY_LINES.sub("\n", found.text)
    return f"[{source}] {text}"


def _gain(title: str, asked: Sequence[str]) -> float:
    return NAMED if set(words(title)) & set(asked) else 1.0
