"""Years of talk between a person and a persona, invented from a seed, and questions about them.

The questions are of the kinds that LongMemEval asks (https://arxiv.org/abs/2410.10813): what the person said, what she
said, what the person prefers, what stands in several talks, when something was, what has changed since, and what was
never said. Names are invented, so that each is said in one place only; the words around them are everyday ones and
stand in many talks.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from typing import Final, Literal, NamedTuple

from daemon.ledger import ArchivedLine
from daemon.ledger.archive import ArchivedChannel

Kind = Literal["said by the person", "said by her", "preference", "across talks", "when", "changed since", "never said"]

KINDS: Final[tuple[Kind, ...]] = (
    *("said by the person", "said by her", "preference", "across talks"),
    *("when", "changed since", "never said"),
)

DAY: Final = 24 * 3600 * 1_000_000_000
HOUR: Final = 3600 * 1_000_000_000
SPREAD: Final = 2
"""Days between two talks: 500 of them take nearly three years."""

LATEST: Final = 5
"""Talks at the end that nobody asks about: their lines stand in every prompt as the conversation so far."""

SMALL_TALK: Final = 8
"""Exchanges of a talk that nobody asks about."""

_SYLLABLES: Final = [
    "ba",
    "do",
    "fen",
    "gri",
    "hol",
    "jun",
    "kap",
    "lor",
    "mun",
    "nel",
    "pra",
    "qui",
    "rus",
    "sil",
    "tov",
    "ul",
    "vek",
    "wim",
    "yar",
    "zed",
]
_THINGS: Final = ("bicycle", "kettle", "lamp", "jacket", "guitar", "camera", "tent", "chair", "rug", "printer")
_PLACES: Final = ("market", "harbour", "library", "station", "garden", "office", "kitchen", "cinema", "park", "bakery")
_COLOURS: Final = ("red", "green", "blue", "yellow", "grey", "white", "brown", "purple")
_FOODS: Final = ("soup", "bread", "cheese", "curry", "salad", "pasta", "cake", "tea", "coffee", "porridge")
_PEOPLE: Final = ("sister", "brother", "neighbour", "colleague", "uncle", "cousin", "teacher", "doctor")

_CHATTER: Final = (
    "I went to the {place} with my {person} today.",
    "The {thing} in the {place} is {colour}, I looked at it for a while.",
    "We had {food} for dinner and talked about the {place}.",
    "My {person} called and wanted to borrow the {thing}.",
    "It rained all day, so I stayed in the {place} and drank {food}.",
    "I think about buying a {colour} {thing} some day.",
)
_REPLIES: Final = (
    "That sounds nice. How was the {food}?",
    "I see. And what did your {person} say?",
    "A {colour} {thing} would suit you.",
    "Tell me more about the {place}.",
)


class Said(NamedTuple):
    """A line; ``at`` is in epoch nanoseconds."""

    role: Literal["person", "assistant"]
    words: str
    at: int


class Question(NamedTuple):
    """What is asked long after, the words that mark a line about it, and what the answer has to hold.

    Of several pieces of evidence the first one that is said counts; () means that it was never said.
    """

    kind: Kind
    words: str
    about: tuple[str, ...]
    evidence: tuple[str, ...]


class Years(NamedTuple):
    """Everything that was said, in order, and what is asked afterwards."""

    lines: list[Said]
    questions: list[Question]


class _Fact(NamedTuple):
    """Lines that belong into talks of their own, in this order, and the question about them."""

    lines: tuple[tuple[Literal["person", "assistant"], str], ...]
    question: Question


def years(talks: int, questions: int, seed: int, begin: int) -> Years:
    """Invent so many talks from ``begin`` on, and so many questions of each kind."""
    dice = random.Random(seed)
    names = _names(dice)
    facts = [_fact(kind, dice, names) for kind in KINDS for _ in range(questions)]
    planned: dict[int, list[tuple[Literal["person", "assistant"], str]]] = {}
    when: dict[str, int] = {}
    for fact in facts:
        places = sorted(dice.sample(range(talks - LATEST), len(fact.lines)))
        for place, (role, words) in zip(places, fact.lines, strict=True):
            planned.setdefault(place, []).append((role, words))
            when[words] = begin + place * SPREAD * DAY
    lines = [line for talk in range(talks) for line in _talk(dice, begin + talk * SPREAD * DAY, planned.get(talk, []))]
    return Years(lines, [_dated(fact, when) for fact in facts])


def _talk(dice: random.Random, at: int, facts: list[tuple[Literal["person", "assistant"], str]]) -> Iterator[Said]:
    exchanges: list[tuple[str, str]] = [(_filled(dice, _CHATTER), _filled(dice, _REPLIES)) for _ in range(SMALL_TALK)]
    for role, words in facts:
        told = (words, _filled(dice, _REPLIES)) if role == "person" else ("What do you suggest?", words)
        exchanges.insert(dice.randrange(len(exchanges) + 1), told)
    for number, (words, reply) in enumerate(exchanges):
        moment = at + number * HOUR // 30
        yield Said("person", words, moment)
        yield Said("assistant", reply, moment + HOUR // 120)


def _filled(dice: random.Random, templates: tuple[str, ...]) -> str:
    return dice.choice(templates).format(
        place=dice.choice(_PLACES),
        thing=dice.choice(_THINGS),
        colour=dice.choice(_COLOURS),
        food=dice.choice(_FOODS),
        person=dice.choice(_PEOPLE),
    )


def _names(dice: random.Random) -> Iterator[str]:
    """Yield names that no other word looks like, each once."""
    seen: set[str] = set()
    while True:
        name = "".join(dice.sample(_SYLLABLES, 3)).capitalize()
        if name not in seen:
            seen.add(name)
            yield name


def _fact(kind: Kind, dice: random.Random, names: Iterator[str]) -> _Fact:
    one, other, third = next(names), next(names), next(names)
    thing, place, person = dice.choice(_THINGS), dice.choice(_PLACES), dice.choice(_PEOPLE)
    colour = dice.choice(_COLOURS)
    match kind:
        case "said by the person":
            words = f"I bought a {colour} {thing} from a man called {one} at the {place}."
            return _person(kind, f"What did I buy from {one}?", (one,), (f"{colour} {thing}",), words)
        case "said by her":
            words = f"For your trip to {one} I suggest the guesthouse {other}."
            question = Question(kind, f"Which guesthouse did you suggest for {one}?", (one,), (other,))
            return _Fact((("assistant", words),), question)
        case "preference":
            words = f"Of all the cafes in town I like {one} most, because of their {dice.choice(_FOODS)} and {other}."
            return _person(kind, f"Which cafe with {other} do I like most?", (other,), (one,), words)
        case "across talks":
            told = [f"For the {one} project I need a {thing} from {name}." for name in (other, third)]
            asked = f"From whom do I need something for the {one} project?"
            return _person(kind, asked, (one,), (other, third), *told)
        case "when":
            words = f"Today I swam across the lake {one} with my {person}."
            return _person(kind, f"When did I swim across {one}?", (one,), ("DATE",), words)
        case "changed since":
            told = [f"My {person} {one} lives in {name} now." for name in (other, third)]
            return _person(kind, f"Where does my {person} {one} live?", (one,), (third,), *told)
        case "never said":
            return _Fact((), Question(kind, f"What did I tell you about the {place} in {one}?", (one,), ()))


def _person(kind: Kind, asked: str, about: tuple[str, ...], evidence: tuple[str, ...], *told: str) -> _Fact:
    return _Fact(tuple(("person", words) for words in told), Question(kind, asked, about, evidence))


def _dated(fact: _Fact, when: dict[str, int]) -> Question:
    """Put the day on which it was said in place of the word that stands for it."""
    if fact.question.evidence != ("DATE",):
        return fact.question
    return fact.question._replace(evidence=(f"DATE {when[fact.lines[0][1]]}",))


def archived(lines: Iterable[Said], persona_id: str) -> list[ArchivedLine]:
    """Return these lines as they come back from an export: said on the web."""
    channel = ArchivedChannel("web", persona_id)
    return [ArchivedLine(line.role, line.words, line.at, channel) for line in lines]
