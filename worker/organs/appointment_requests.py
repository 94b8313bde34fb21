"""What a person asks about appointments in plain English, sentence by sentence.

"She reminded me of Rome" and "remind me who Eva is" ask for none: the first tells something, the second is for her
memory. A request whose time cannot be read is answered with an example that works.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Final, TypeAlias

from worker.organs.english_parts import Reading, Unclear, joined
from worker.organs.english_times import read
from worker.organs.english_words import MONTHS, WEEKDAY, any_of
from worker.organs.statements import CURLY

WORDS_OF_TIME: Final = 16
"""Words that a phrase about time has at most."""

ASKS_WHEN: Final = "When shall I remind you?"
ASKS_WHAT: Final = "What shall I remind you of?"
EXAMPLE: Final = "Say, for example: remind me tomorrow at 8 to {body}."


@dataclass(frozen=True)
class Wanted:
    """A reminder or routine that is asked for; ``wording`` is its time as it was said.

    ``task``: she is to do something then, not only to tell it. ``wakes``: the person wants to get up.
    """

    body: str
    said: Reading
    wording: str
    task: bool = False
    wakes: bool = False


@dataclass(frozen=True)
class Listed:
    """The question what is planned; ``about`` is a day or a subject in the person's words, "" for everything."""

    about: str = ""


@dataclass(frozen=True)
class Cancelled:
    """The wish to cancel what the person calls ``about``."""

    about: str


@dataclass(frozen=True)
class Unread:
    """A request that lacks something; ``answer`` says what."""

    answer: str


Request: TypeAlias = Wanted | Listed | Cancelled | Unread


@dataclass(frozen=True)
class _Timed:
    """A phrase about time at one end of a text, and the rest."""

    said: Reading
    wording: str
    rest: str


def request_of(sentence: str, today: date) -> Request | None:
    """Return what a sentence asks about appointments, or None."""
    text = plain(sentence)
    if cancelled := _CANCEL.fullmatch(_ended(text)):
        return Cancelled(cancelled["about"] or cancelled["reminding"] or cancelled["noted"] or "")
    if listed := _LIST.fullmatch(_ended(text)):
        named = listed.groupdict()
        return Listed(named["day"] or named["what"] or "")
    try:
        return _wanted(text, today)
    except Unclear as unclear:
        return Unread(f"{unclear} {EXAMPLE.format(body='water the fern')}")


def completed(before: str, words: str, today: date) -> Request | None:
    """Return the request of an earlier sentence with the time that the person says now, if they do."""
    phrase = _ended(plain(words))
    try:
        for when in (phrase, f"at {phrase}", f"in {phrase}"):
            if _read(when, today):
                request = request_of(f"{_ended(before)} {when}", today)
                return request if isinstance(request, Wanted) else None
    except Unclear as unclear:
        return Unread(str(unclear))
    return None


def plain(text: str) -> str:
    """Return a text as one line without the words that only open a request."""
    line = " ".join(text.replace(CURLY, "'").split())
    line = re.sub(r"(?i)(\d) ?([ap])\.? ?m\b\.?", r"\1 \2m", line)
    return _OPENING.sub("", line, count=1)


def _wanted(text: str, today: date) -> Request | None:
    if match := _REMIND.match(text):
        return _reminder(text[match.end() :], today)
    if match := _SET.match(text):
        return _set(match["thing"].lower(), text[match.end() :].strip(), today)
    if match := _TELL.match(text):
        return _told(match["verb"].lower(), text[match.end() :].strip(), today)
    if match := _WAKE.match(text):
        found = _prefix(text[match.end() :].strip(), today)
        return Wanted("wake up", found.said, found.wording, wakes=True) if found and not _ended(found.rest) else None
    return _time_first(text, today)


def _time_first(text: str, today: date) -> Request | None:
    """ "Every weekday at 8 tell me ..." """
    found = _prefix(text, today)
    if found is None:
        return None
    rest = _POLITE.sub("", found.rest, count=1)
    if match := _REMIND.match(rest):
        return _body_of(found, rest[match.end() :], today)
    if match := _WAKE.match(rest):
        return Wanted("wake up", found.said, found.wording, wakes=True)
    if match := _SAY.match(rest):
        return _joined_with(found, _ended(rest[match.end() :]), today)
    if match := _TELL.match(rest):
        told = rest[match.end() :].strip()
        if match["verb"].lower() == "tell" and (text_only := _TO_THAT.match(told)):
            return _joined_with(found, _ended(told[text_only.end() :]), today)
        return _joined_with(found, _ended(rest), today, task=True) if told else None
    return None


def _reminder(rest: str, today: date) -> Request | None:
    """What follows on "remind me"."""
    rest = _AGAIN.sub("", rest.strip(), count=1)
    if not _ended(rest):
        return Unread(f"{ASKS_WHAT} {EXAMPLE.format(body='water the fern')}")
    if found := _prefix(rest, today):
        return _body_of(found, found.rest, today)
    if _QUESTION.match(rest):
        return None
    link = _LINK.match(rest)
    body = _ended(rest[link.end() :] if link else rest)
    if found := _suffix(body, today):
        return Wanted(found.rest, found.said, found.wording)
    if link and link["link"].lower() in ("to", "that"):
        return Unread(f"{ASKS_WHEN} {EXAMPLE.format(body=_sample(body))}")
    if odd := _ODD_TIME.match(rest):
        return Unread(f"I cannot read when that is. {EXAMPLE.format(body=_sample(_ended(rest[odd.end() :])))}")
    return None


def _body_of(found: _Timed, rest: str, today: date) -> Request:
    rest = rest.strip(" ,:")
    link = _LINK.match(rest)
    body = _ended(rest[link.end() :] if link else rest)
    if not body:
        return Unread(f"{ASKS_WHAT} Say, for example: remind me {found.wording} to water the fern.")
    return _joined_with(found, body, today)


def _joined_with(found: _Timed, body: str, today: date, *, task: bool = False) -> Request:
    """A day may come first and the time of the day last: "remind me tomorrow to call Eva at 8"."""
    if found.said.lacks_clock and (later := _suffix(body, today)) and later.said.is_clock_only:
        both = joined(found.said, later.said)
        if both:
            return Wanted(later.rest, both, f"{found.wording} {later.wording}", task)
    if not body:
        return Unread(f"{ASKS_WHAT} {EXAMPLE.format(body='water the fern')}")
    return Wanted(body, found.said, found.wording, task)


def _set(thing: str, rest: str, today: date) -> Request | None:
    """What follows on "set an alarm"."""
    body = {"alarm": "your alarm", "timer": "your timer is up"}.get(thing, "")
    phrases = ("for", "in", "at") if thing == "timer" else ("for", "at", "in")
    for_time = re.sub(r"(?i)\Afor ", "", rest)
    for opening in phrases:
        found = _prefix(for_time if opening == "for" else f"{opening} {for_time}", today)
        if found and (not _ended(found.rest) and body):
            return Wanted(body, found.said, found.wording, wakes=thing == "alarm")
        if found and _ended(found.rest):
            return _body_of(found, found.rest, today)
    if link := _LINK.match(rest):
        named = _ended(rest[link.end() :])
        if found := _suffix(named, today):
            return Wanted(found.rest, found.said, found.wording)
        return Unread(f"{ASKS_WHEN} {EXAMPLE.format(body=_sample(named))}")
    if thing in ("alarm", "timer", "reminder") and not _ended(rest):
        return Unread(f"{ASKS_WHEN} {EXAMPLE.format(body='water the fern')}")
    return None


def _told(verb: str, rest: str, today: date) -> Request | None:
    """What follows on "tell me": a time must come first, or "tell me to go home" end with one."""
    if found := _prefix(rest, today):
        words = found.rest.strip(" ,:")
        if not _ended(words):
            return None
        if verb == "tell" and (link := _TO_THAT.match(words)):
            return _joined_with(found, _ended(words[link.end() :]), today)
        return _joined_with(found, f"{verb} me {_ended(words)}", today, task=True)
    link = re.match(r"(?i)to ", rest)
    found = _suffix(_ended(rest[link.end() :]), today) if verb == "tell" and link else None
    return Wanted(found.rest, found.said, found.wording) if found else None


# A phrase about time at one end of a text


def _prefix(text: str, today: date) -> _Timed | None:
    """Return the longest phrase about time at the beginning of a text. Raises Unclear."""
    ends = [match.end() for match in re.finditer(r"\S+", text)][:WORDS_OF_TIME]
    return _first([(text[:end], text[end:]) for end in reversed(ends)], today)


def _suffix(text: str, today: date) -> _Timed | None:
    """Return the longest phrase about time at the end of a text, if anything stands before it. Raises Unclear."""
    starts = [match.start() for match in re.finditer(r"\S+", text)][1:][-WORDS_OF_TIME:]
    return _first([(text[start:], text[:start]) for start in starts], today)


def _first(cuts: list[tuple[str, str]], today: date) -> _Timed | None:
    unclear: Unclear | None = None
    for phrase, rest in cuts:
        try:
            said = _read(phrase, today)
        except Unclear as error:
            # A shorter phrase may be clear: "on the 31st of February" is not, and neither is what is left of it.
            unclear = unclear or error
            continue
        if said and unclear is None:
            return _Timed(said, phrase.strip(" ,:"), rest.strip(" ,:"))
    if unclear:
        raise unclear
    return None


def _read(phrase: str, today: date) -> Reading | None:
    return read(re.sub(r"\A(?:starting|exactly) ", "", phrase.lower().strip(" ,:.!?")), today)


def _ended(text: str) -> str:
    return _CLOSING.sub("", text.strip(" ,.!?;:")).strip(" ,.!?;:")


def _sample(body: str) -> str:
    return body if body and len(body) <= 60 else "water the fern"


MONTH_NAMES: Final = any_of(MONTHS)
_OPENING: Final = re.compile(
    r"(?i)\A(?:(?:hello|hi|hey|ok|okay|so|and|also|well|oh|yes|then|now|good (?:morning|afternoon|evening))"
    rf"(?: there)?[,.!:]? |(?!(?:{WEEKDAY}|{MONTH_NAMES}|today|tonight|tomorrow|daily|weekly)\b)(?-i:[A-Z][\w'-]*)[,:] "
    r"|(?:please|kindly|just|can you|could you|will you|would you|i (?:need|want|would like) you to|i'd like you to"
    r"|do not forget to|don't forget to|remember to|make sure (?:to|you|that you)|be sure to|you (?:should|must)),? )*"
)
_POLITE: Final = re.compile(r"(?i)\A(?:(?:please|can you|could you|will you|would you|you (?:should|must)),? )*")
_CLOSING: Final = re.compile(r"(?i),? (?:please|for me|thanks|thank you)\Z")
_AGAIN: Final = re.compile(r"(?i)\A(?:again|please|also)\b,? ?")
_REMIND: Final = re.compile(r"(?i)remind me\b")
_SET: Final = re.compile(
    r"(?i)(?:set|make|create|add|schedule|put)(?: me| up| in)? (?:an? |another |the )?(?:new )?"
    r"(?P<thing>reminder|alarm|timer|appointment)(?: for me)?\b"
)
_TELL: Final = re.compile(r"(?i)(?P<verb>tell|ask|send|give|wish|message|text|write) me\b")
_SAY: Final = re.compile(r"(?i)say:? ")
_WAKE: Final = re.compile(r"(?i)wake me(?: up)?\b")
_LINK: Final = re.compile(r"(?i),? ?(?P<link>to|that|about|of|for|:)(?: |\Z)")
_TO_THAT: Final = re.compile(r"(?i)(?:to|that) ")
_QUESTION: Final = re.compile(r"(?i)(?:who|whom|whose|what|when|where|which|why|how|if|whether)\b")
_ODD_TIME: Final = re.compile(r"(?i)(?:[\w':.,/-]+ ){1,8}?(?:to|that) ")

_THINGS: Final = r"(?:reminders?|appointments?|routines?|alarms?|timers?)"
_PLANNED: Final = r"(?:planned|scheduled|coming up|set(?: up)?|pending|lined up)"
_FOR: Final = (
    r"(?: (?:for )?me)?(?: (?:for )?(?P<day>today|tonight|tomorrow|(?:on )?\w+day|(?:on )?the [\w ]{3,20}|next week"
    r"|this week))?(?: please)?"
)


def _list_pattern() -> re.Pattern[str]:
    forms = (
        rf"what (?:do|did|have) (?:you|i|we) (?:have |got |have got )?{_PLANNED}",
        rf"what (?:have you|have i|do you have|do i have) (?:got )?{_PLANNED}",
        rf"what(?:'s| is| are|s) (?:{_PLANNED}|next|on (?:my|the|your) (?:calendar|agenda|schedule|list))",
        (
            rf"(?:what|which|how many)(?: are)?(?: my| the| your)? {_THINGS}(?: do i have| do you have| have i"
            rf"| have you| are there| are {_PLANNED})?(?: got)?(?: {_PLANNED})?"
        ),
        rf"(?:do i have|do you have|have i got|have you got|are there)(?: any)? {_THINGS}(?: {_PLANNED})?",
        rf"(?:is|do i have|do you have|have you got|have i got) (?:there )?(?:anything|something) {_PLANNED}",
        rf"anything {_PLANNED}",
        rf"(?:show|list|tell|read|give)(?: me)?(?: all)?(?: of)?(?: my| the| your)? {_THINGS}",
        rf"(?:show|tell)(?: me)? what(?:'s| is| you have| i have) {_PLANNED}",
        rf"(?:my|all my|all) {_THINGS}",
        r"when (?:will|do|are|would) you (?:going to )?remind me(?: (?:of|about|to|that) (?P<what>.{2,60}))?",
    )
    return re.compile(rf"(?i)(?:{'|'.join(forms)}){_FOR}")


_LIST: Final = _list_pattern()
_CANCEL: Final = re.compile(
    r"(?i)(?:cancel|call off) (?P<about>.{1,200})"
    r"|(?:do not|don't|stop|no need to|never) (?:remind|reminding) me(?: any ?more| again)?"
    r"(?: (?:about|of|to|that|for) )?(?P<reminding>.{0,200}?)(?: any ?more| again)?"
    rf"|(?:delete|remove|drop|clear|stop|forget|turn off|switch off) (?P<noted>(?:.{{1,120}} )?{_THINGS}\b.{{0,120}})"
)
