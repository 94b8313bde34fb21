"""The order of lines that were found, and how a passage shows one: pure, without SQL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec

from daemon.ledger.recall_words import stems
from proto.messages import Conversation
from proto.recalling import Beside, Passage

RECENCY: Final = 0.3
"""How much more a line of today counts than one of long ago that fits as well."""

HALF_LIFE: Final = 180 * 24 * 3600 * 1_000_000_000
"""Nanoseconds after which half of that is left."""

ALIKE: Final = 0.5
"""The part of their stems that two statements share when one of them may have taken the other's place."""

LEAST: Final = 0.25
"""A line that fits less than this part of the best one is left out."""

QUESTION: Final = 0.7
"""How much a line counts that only asks: it tells less than what was stated."""

LINE_CHARS: Final = 600
NEIGHBOUR_CHARS: Final = 200
"""Characters of a line, and of the lines beside it, that a passage shows."""


class Candidate(msgspec.Struct, frozen=True):
    """A line that was found; ``score`` says how well it fits, more is better. A fed line's id has a minus.

    ``cosine`` says how near its meaning is to that of the question, 0 if nobody knows.
    """

    id: int
    role: Literal["person", "assistant"]
    content: str
    at: int
    where: Conversation
    title: str
    score: float
    cosine: float = 0.0


def ranked(candidates: Sequence[Candidate], words: str, now: int) -> list[Candidate]:
    """Return the candidates, the best one first; of statements that are alike the latest one comes first.

    What only repeats a later line word for word is left out.
    """
    asked = stems(words)
    rarity = _rarity(asked, candidates)
    weighed = sorted(((_weight(one, rarity, now), one) for one in candidates), key=lambda pair: (-pair[0], -pair[1].at))
    if not weighed:
        return []
    floor = LEAST * weighed[0][0]
    groups: list[list[tuple[frozenset[str], Candidate]]] = []
    for weight, one in weighed:
        if weight < floor:
            break
        about = stems(one.content)
        group = next((group for group in groups if _may_replace((about, one), group[0], asked)), None)
        if group is None:
            groups.append([(about, one)])
        elif all(about != other or one.role != said.role for other, said in group):
            group.append((about, one))
        else:
            _keep_later(group, about, one)
    return [one for group in groups for _, one in sorted(group, key=lambda pair: -pair[1].at)]


def shown(one: Candidate, found: Sequence[str], before: Beside | None, after: Beside | None) -> Passage:
    """Return the passage of a line: what stands around the first of the words, and its neighbours shortened."""
    beside = (
        msgspec.structs.replace(line, content=_cut(line.content, 0, NEIGHBOUR_CHARS)) if line else None
        for line in (before, after)
    )
    lowered = one.content.casefold()
    places = [place for place in (lowered.find(word) for word in found) if place >= 0]
    start = max(0, min(places, default=0) - LINE_CHARS // 3)
    return Passage(one.role, _cut(one.content, start, LINE_CHARS), one.at, one.where.type, one.title, *beside)


def _rarity(asked: frozenset[str], candidates: Sequence[Candidate]) -> dict[str, float]:
    """Return how much each word of the question tells: the more, the fewer of the candidates have it."""
    having = Counter(stem for one in candidates for stem in asked & stems(one.content))
    return {stem: 1 / count for stem, count in having.items()}


def _weight(one: Candidate, rarity: Mapping[str, float], now: int) -> float:
    told = sum(rarity[stem] for stem in rarity.keys() & stems(one.content))
    covered = max(told / sum(rarity.values()) if rarity else 0.0, one.cosine)
    recent: float = 0.5 ** (max(0, now - one.at) / HALF_LIFE)
    # What the person said themselves counts more than what was answered to them.
    said = 1.1 if one.role == "person" else 1.0
    said *= QUESTION if one.content.rstrip().endswith("?") else 1.0
    return one.score * (0.5 + covered) * (1 + RECENCY * recent) * said


def _may_replace(
    one: tuple[frozenset[str], Candidate], other: tuple[frozenset[str], Candidate], asked: frozenset[str]
) -> bool:
    """Return whether a line may state anew what a better one states: alike, and about no less that was asked for."""
    (new, said), (old, before) = one, other
    is_alike = said.role == before.role and bool(old) and len(old & new) >= ALIKE * len(old | new)
    return is_alike and asked & old <= asked & new


def _keep_later(group: list[tuple[frozenset[str], Candidate]], about: frozenset[str], one: Candidate) -> None:
    for place, (other, said) in enumerate(group):
        if other == about and said.role == one.role and said.at < one.at:
            group[place] = (about, one)


def _cut(text: str, start: int, most: int) -> str:
    """Return at most ``most`` characters from ``start`` on, in one paragraph, marked where something is left out."""
    whole = " ".join(text.split()) if start == 0 else " ".join(text[start:].split())
    cut = whole if len(whole) <= most else f"{whole[:most].rsplit(maxsplit=1)[0]} ..."
    return f"... {cut}" if start else cut
