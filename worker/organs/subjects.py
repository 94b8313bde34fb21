"""Which appointments a person means: by what they are about, by their time, or by their number in a list."""

from __future__ import annotations

import re
from typing import Final

from proto.messages import Line
from proto.reminding import Planned
from worker.organs.english_words import ORDINALS
from worker.prompting.planner import Planner
from worker.prompting.rules import rule_in_words
from worker.prompting.told_times import moment

ENOUGH: Final = 0.6
"""The share of the words that must be in an appointment."""

_STEM: Final = 5
"""Words with the same first letters, this many, count as equal."""

_WORD: Final = re.compile(r"[^\W_]+(?::\d\d)?")
_LISTED: Final = re.compile(r"(?m)^(?P<number>\d{1,2})\. (?P<told>.+)$")
_NUMBER: Final = re.compile(
    r"(?i)\A(?:(?:the )?(?:number |no\.? |#)?(?P<figure>\d{1,2})(?:st|nd|rd|th)?|the (?P<word>\w+))"
    r"(?: one)?(?:,? please)?[.!]?\Z"
)
# fmt: off
_EMPTY: Final = frozenset(
    (
        "the", "my", "your", "that", "this", "it", "a", "an", "all", "one", "ones", "about", "of", "for", "to", "at",
        "on", "in", "and", "reminder", "reminders", "appointment", "appointments", "routine", "routines", "alarm",
        "alarms", "timer", "timers", "please", "me", "with", "o", "clock", "reminding", "everything",
    )
)
# fmt: on


def about_alike(planned: list[Planned], about: str, planner: Planner) -> list[Planned]:
    """Return those that match the words best; all of them when the words say nothing in particular."""
    asked = {word for word in _stems(about) if word not in _EMPTY}
    if not asked:
        return planned
    rated = [(len(asked & _described(one, planner)) / len(asked), one) for one in planned]
    best = max((share for share, _ in rated), default=0.0)
    return [one for share, one in rated if share == best] if best >= ENOUGH else []


def numbered(planned: list[Planned], about: str, history: list[Line], planner: Planner) -> list[Planned]:
    """Return the one with this number in the list that she gave last."""
    match = _NUMBER.match(about.strip())
    said = next((line.content for line in reversed(history) if line.role == "assistant"), "")
    listed = {int(one["number"]): one["told"] for one in _LISTED.finditer(said)}
    if match is None or not listed:
        return []
    word = (match["word"] or "").lower()
    number = int(match["figure"]) if match["figure"] else max(listed) if word == "last" else ORDINALS.get(word, 0)
    return [one for one in planned if planner.told(one) == listed.get(number)]


def _described(one: Planned, planner: Planner) -> set[str]:
    at = moment(one.due, planner.begun)
    times = (
        f"{at:%A %d %B %H:%M} {at.day} {at.hour} {at.hour % 12 or 12} {at.hour}:{at:%M} {at.hour % 12 or 12}:{at:%M}"
    )
    return _stems(f"{one.body} {times} {rule_in_words(one.cron) if one.cron else ''}")


def _stems(text: str) -> set[str]:
    words = (word.casefold() for word in _WORD.findall(text))
    return {word if word in _EMPTY else word[:_STEM] for word in words}
