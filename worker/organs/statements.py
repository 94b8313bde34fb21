"""Statements of a person about themselves, found by patterns: this is how the embedded mind consolidates.

A fact is a bullet ``- Key: value`` in person.md. Most keys have one value, which a newer statement replaces; some keys
collect several.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from worker.prompting.memory import FILE_BYTES
from worker.prompting.origin import without_origins

VALUE_CHARS: Final = 120

NOTE_CHARS: Final = 1_000
"""How long a note may be that the person asks her to keep."""

CURLY: Final = "\u2019"
"""The apostrophe that phones type."""

NAME: Final = "Name"
HOME: Final = "Lives in"
LIKES: Final = "Likes"
DISLIKES: Final = "Dislikes"
NOTE: Final = "Remember"

GATHERED: Final = frozenset((LIKES, DISLIKES, NOTE))
"""Keys that collect several values, each in its own bullet."""


class Fact(NamedTuple):
    """One bullet of person.md."""

    key: str
    value: str


_NAME: Final = r"(?P<value>[^\W\d_][\w'-]*(?-i:(?: [^\W\d_a-z][\w'-]*){0,3}))"
_FULL_NAME: Final = r"(?P<value>(?-i:[^\W\d_a-z][\w'.-]*(?: [^\W\d_a-z][\w'-]*){0,3}))"
"""A name that begins with a capital, and may have a title: "Dr. Braun"."""

_VALUE: Final = r"(?P<value>\S.*)"

_BEINGS: Final = (
    "dog|cat|horse|bird|parrot|rabbit|hamster|fish|pet|wife|husband|partner|girlfriend|boyfriend|fiancée?|son|daughter|"
    "child|mother|mum|mom|father|dad|brother|sister|grandmother|grandfather|aunt|uncle|cousin|friend|best friend|boss|"
    "colleague|neighbour|neighbor|teacher|doctor|dentist|vet|lawyer|landlord|landlady|therapist|coach|manager|nephew|"
    "niece|grandma|grandpa|flatmate|roommate|hairdresser|accountant"
)
_THINGS: Final = (
    "birthday|job|profession|hobby|hobbies|hometown|home town|email|email address|phone number|address|car|school|"
    "university|company|employer|religion|nationality|native language|language|star sign|shoe size"
)

_I: Final = "I (?:really |also |still )*"
_NOT_A_THING: Final = r"(?!(?:it|this|that|you|him|her|them)\b)"
_NOT_A_MEMORY: Final = r"(?!(?:me|when|how|what|who|where|why)\b|the time\b|to remind me\b)"
_PLEASE: Final = (
    r"(?:(?:please|kindly|just|also|always|do|can you|could you|will you|would you|i (?:need|want|would like) you to"
    r"|i'd like you to|you (?:should|must|have to|need to)|make sure (?:to|that you|you)|be sure to|try to),? )*"
)
_KEEP: Final = (
    r"(?:remember|(?:keep|bear) (?:this |that |it )?in mind|(?:do not|don't|never|not to) forget"
    r"|(?:note|write|jot) (?:this |that |it )?down(?= that|[:.!?]|\Z)|note(?: down| to self)?"
    r"|(?:make|take) (?:a )?(?:mental )?note(?: of)?|memori[sz]e"
    r"|for the record|for (?:future|later) reference|for your information|fyi|(?:just )?so (?:that )?you know)"
)
_NOTHING: Final = (
    r"(?:(?:this|that|it|these|those|them|something|anything|everything|(?:some |a few |one |a )?(?:things?|facts?)"
    r"|the following|about)(?: for me| please| now| then| too| forever| important)*)"
)
"""What a request says instead of what is to be remembered."""

_PATTERNS: Final[tuple[tuple[str, str], ...]] = (
    (rf"(?-i:[Mm]y) (?:first |full )?name(?:'s| is) {_NAME}", NAME),
    (rf"(?:please )?call me (?-i:(?=[^\W\d_a-z])){_NAME}", NAME),
    (rf"I(?: (?:now )?live|'m living| am living) in {_VALUE}", HOME),
    (rf"{_I}(?:like|love|enjoy|adore) {_NOT_A_THING}{_VALUE}", LIKES),
    (rf"{_I}(?:do not|don't) (?:really )?(?:like|enjoy) {_NOT_A_THING}{_VALUE}", DISLIKES),
    (rf"{_I}(?:hate|dislike) {_NOT_A_THING}{_VALUE}", DISLIKES),
    (
        rf"{_PLEASE}{_KEEP}(?: for me)?(?: this| the following)?(?: that|:|,)? (?!{_NOTHING}\Z){_NOT_A_MEMORY}{_VALUE}",
        NOTE,
    ),
    (rf"my (?P<key>{_BEINGS})(?:'s name is| name is| is called| is named) {_VALUE}", "{}'s name"),
    (rf"I have an? (?P<key>{_BEINGS}) (?:called|named) {_VALUE}", "{}'s name"),
    (
        rf"my (?P<key>{_BEINGS}) is (?P<value>(?-i:[^\W\d_a-z])[\w'.-]*(?-i:(?: [^\W\d_a-z][\w'-]*){{0,3}}))",
        "{}'s name",
    ),
    (rf"my (?P<key>favou?rite [\w -]{{2,30}}?|{_THINGS}) (?:is|are) {_VALUE}", "{}"),
    (rf"I (?:work as|am employed as) (?:an? )?{_VALUE}", "Job"),
    (rf"I was born (?:on|in) {_VALUE}", "Born"),
)
"""Patterns of whole sentences with the keys of their facts; ``{}`` is replaced by the pattern's group ``key``."""

_CALLED: Final = r"(?-i:[^\W\d_a-z][\w'-]*(?: [^\W\d_a-z][\w'-]*){0,2})"
_GREETING: Final = (
    rf"(?:hello|hi|hey|dear|good (?:morning|afternoon|evening)|thanks|thank you)(?: {_CALLED})?(?: there)?"
)
_OPENING: Final = rf"(?:(?:{_GREETING}|and|also|well|oh|by the way|so|yes|no|ok|okay)[,.!:]? )*"
_ADDRESS: Final = rf"(?:{_CALLED}[,:] )?"
"""Her name in front of a request. In front of a statement it could be a place: "In Paris, I love the rain"."""

_COMPILED: Final = tuple(
    (re.compile(rf"\A{_OPENING}{_ADDRESS if key == NOTE else ''}{pattern}\Z", re.IGNORECASE), key)
    for pattern, key in _PATTERNS
)
_CORRECTED: Final = re.compile(r"(?:,? now)?(?:, (?:and )?not [^,]+)?\Z", re.IGNORECASE)
"""What a statement takes back: "I live in Bremen now, not in Hamburg"."""

_REQUEST: Final = re.compile(rf"{_OPENING}{_ADDRESS}{_PLEASE}{_KEEP}\b", re.IGNORECASE)
_BARE: Final = re.compile(
    rf"{_OPENING}{_ADDRESS}{_PLEASE}{_KEEP}(?: for me)?(?: {_NOTHING})?(?: for me)?[ .!,;:?]*\Z", re.IGNORECASE
)
_ASKED: Final = re.compile(rf"{_OPENING}{_ADDRESS}(?:please,? )?(?:can|could|will|would) you\b", re.IGNORECASE)
_TELLS: Final = re.compile(
    r" that |:| (?:is|are|am|was|were|has|have|had|will|can|cannot|do|does|to|likes?|loves?|hates?|lives?|works?|wants?"
    r"|needs?|prefers?)\b|(?:'m|'re|'ve|'ll|n't) ",
    re.IGNORECASE,
)
"""What tells "can you remember that my name is Sam?" from "can you remember my name?"."""

_TITLED: Final = "".join(rf"(?<!\b{title}\.)" for title in ("Dr", "Mr", "Mrs", "Ms", "St", "Prof"))
_SENTENCES: Final = re.compile(rf'(?<=[.!?]){_TITLED}\s+|(?<=[.!?]["\u201d\u00bb])\s+|\n+')
_QUOTE: Final = re.compile('["\u201c\u201d\u201e\u00ab\u00bb]')
_CLAUSES: Final = re.compile(r"(?:, *(?:and )?|; *| and )(?=(?:I|my|please|call me)\b)", re.IGNORECASE)
"""Where another statement may begin within a sentence."""

_BULLET: Final = re.compile(r"[-*] (?P<key>[^:\n]{1,60}): *(?P<value>\S.*)\Z")


def stated(text: str) -> Iterator[Fact]:
    """Yield the facts that a person states in ``text``. Questions and quotations are ignored.

    A request that does not say what is to be remembered means the sentence before it, or the lines below its colon.
    """
    is_list, before = False, ""
    for sentence in _own_sentences(text.replace(CURLY, "'")):
        plain = sentence.strip()
        if is_bare(plain):
            is_list = plain.endswith(":")
            if not is_list and before and not _facts_of(before):
                yield from _note(before)
            continue
        if plain.endswith("?") and not _is_request(plain):
            continue
        before = plain
        yield from (_note(plain.lstrip("-*\u2022 ")) if is_list else _facts_of(plain))


def is_bare(text: str) -> bool:
    """Return whether a text asks to remember something and does not say what: "please remember that"."""
    return _BARE.match(text) is not None


def _is_request(plain: str) -> bool:
    return _REQUEST.match(plain) is not None and (not _ASKED.match(plain) or _TELLS.search(plain) is not None)


def _note(sentence: str) -> list[Fact]:
    """Return a sentence as a note, with the fact that it states."""
    words = sentence.strip().rstrip(".!,; ")
    if not words or len(words) > NOTE_CHARS:
        return []
    within = _fact_in(words)
    return [Fact(NOTE, words), *([within] if within and within.key != NOTE else [])]


def _facts_of(plain: str) -> list[Fact]:
    clauses = [_fact_in(clause) for clause in _CLAUSES.split(plain)]
    facts = list[Fact]()
    # A sentence is split only if every part states a fact: "I love Rome and my wife" is one statement.
    for fact in clauses if all(clauses) else [_fact_in(plain)]:
        if fact:
            # A note that is a statement counts as one too: "remember that my name is Sam".
            facts += _note(fact.value) if fact.key == NOTE else [fact]
    return facts


def too_long_to_note(text: str) -> bool:
    """Return whether the person asks her to remember more than she can keep word for word."""
    return any(_REQUEST.match(line) and len(line) > NOTE_CHARS for line in text.splitlines()) and not any(stated(text))


def _own_sentences(text: str) -> Iterator[str]:
    """Yield the sentences of ``text``, except for those in a quotation that is longer than a sentence."""
    is_quoted = False
    # A single mark is an inch or a slip: it opens nothing.
    may_quote = len(_QUOTE.findall(text)) % 2 == 0
    for sentence in _SENTENCES.split(text):
        turns = may_quote and len(_QUOTE.findall(sentence)) % 2 == 1
        if not is_quoted and not turns:
            yield sentence
        is_quoted ^= turns


def _fact_in(clause: str) -> Fact | None:
    plain = clause.strip().rstrip(".!,;? ")
    corrected = _CORRECTED.sub("", plain, count=1)
    for pattern, key in _COMPILED:
        match = pattern.match(plain if key == NOTE else corrected)
        if match and len(match["value"]) <= (NOTE_CHARS if key == NOTE else VALUE_CHARS):
            about = match.groupdict().get("key") or ""
            return Fact(_titled(key.format(about.lower())), match["value"].strip())
    return None


def written(person: str) -> list[Fact]:
    """Return the ``- Key: value`` bullets of person.md. All other lines were written by a person."""
    return [fact for line in person.splitlines() if (fact := _fact(line))]


def fold(person: str, facts: Iterable[Fact]) -> str:
    """Return person.md with ``facts`` added: no duplicates, single values replaced, every other line unchanged.

    Facts that would make the file larger than ``FILE_BYTES`` are left out.
    """
    lines = person.splitlines()
    for fact in facts:
        changed = _with(lines, fact)
        if len("\n".join(changed).encode()) < FILE_BYTES:
            lines = changed
    return "\n".join(lines) + "\n" if lines else ""


def keeps(person: str, facts: Iterable[Fact]) -> bool:
    """Return whether person.md holds all ``facts``, of several values for one key the last."""
    newest = {(_plain(fact.key), fact.value if fact.key in GATHERED else ""): fact for fact in facts}
    known = written(person)
    return all(
        any(same_key(one.key, fact.key) and one.value.casefold() == fact.value.casefold() for one in known)
        for fact in newest.values()
    )


def same_key(one: str, other: str) -> bool:
    """Compare keys as a person would: ``dog``, ``dog name`` and ``Dog's name`` are the same."""
    return _plain(one) == _plain(other)


def _with(lines: list[str], fact: Fact) -> list[str]:
    bullet = f"- {fact.key}: {fact.value}"
    for at, line in enumerate(lines):
        known = _fact(line)
        if not known or not same_key(known.key, fact.key):
            continue
        if known.value.casefold() == fact.value.casefold():
            return lines
        if fact.key not in GATHERED:
            return [*lines[:at], bullet, *lines[at + 1 :]]
    return [*lines, bullet]


# Cached because a feed folds thousands of facts into the same lines.
@functools.lru_cache(maxsize=1024)
def _fact(line: str) -> Fact | None:
    match = _BULLET.match(without_origins(line).strip())
    return Fact(match["key"].strip(), match["value"]) if match else None


def _titled(key: str) -> str:
    return key[:1].upper() + key[1:]


@functools.lru_cache(maxsize=1024)
def _plain(key: str) -> str:
    key = key.casefold().replace(CURLY, "'").replace("favorite", "favourite").strip()
    return re.sub(r"(?:'s)? name\Z|'s\Z", "", key) or key
