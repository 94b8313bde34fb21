"""Spans of time and times of the day in plain English: "in an hour and a half", "at half past 8", "6 pm"."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta
from typing import Final

from worker.organs.english_parts import Clock, Reading, Unclear, months_on
from worker.organs.english_words import DAYS, MONTHS_IN, NUMBER, NUMBERS, PART, SECONDS, any_of, number

TOO_FAR: Final = "That is too far away for me."
NO_CLOCK: Final = "There is no such time of the day."

_MOST_DAYS: Final = 40_000
_UNIT: Final = r"(?:seconds?|secs?|minutes?|mins?|hours?|hrs?|days?|weeks?|fortnights?|months?|years?|[hms]\b)"
_SPAN: Final = (
    r"(?:(?P<half>half an? hour)|(?P<quarters>(?:a|three) quarters? of an hour)"
    rf"|(?P<count>{NUMBER})(?P<half_before> and a half)?[ -]?(?P<unit>{_UNIT})(?P<half_after> and a half)?)"
)
_SPANS: Final = re.compile(_SPAN)
_PLAIN_SPAN: Final = re.sub(r"\?P<\w+>", "?:", _SPAN)
_ROW: Final = rf"(?P<span>{_PLAIN_SPAN}(?:(?:,? and|,)? {_PLAIN_SPAN}){{0,3}})"

_HOURS: Final = any_of(word for word, value in NUMBERS.items() if value <= 12 and not word.startswith("a"))
_HOUR: Final = rf"(?P<hour>\d{{1,2}}|{_HOURS})"
_HALF: Final = r"(?: ?(?P<half>am|pm))"
_AT: Final = r"(?:at |around |about |by |from )"
_MINUTES: Final = rf"half|a quarter|quarter|{NUMBER}"


def _span(match: re.Match[str], today: date) -> Reading:
    seconds, days, months = 0.0, 0.0, 0.0
    for part in _SPANS.finditer(match["span"]):
        if part["half"] or part["quarters"]:
            seconds += 2700 if (part["quarters"] or "").startswith("three") else 1800 if part["half"] else 900
            continue
        count = number(part["count"]) + (0.5 if part["half_before"] or part["half_after"] else 0)
        unit = part["unit"] if part["unit"] in SECONDS else part["unit"].rstrip("s")
        seconds += count * SECONDS.get(unit, 0)
        days += count * DAYS.get(unit, 0)
        months += count * MONTHS_IN.get(unit, 0)
    if days > _MOST_DAYS or months * 30 > _MOST_DAYS or seconds > _MOST_DAYS * 86_400:
        raise Unclear(TOO_FAR)
    if seconds or days % 1 or months % 1:
        return Reading(span=timedelta(days=days + 30 * months, seconds=seconds))
    return Reading(day=months_on(today, int(months)) + timedelta(days=days), span=timedelta())


def _word(match: re.Match[str], _today: date) -> Reading:
    return Reading(clocks=(Clock(24 if match["word"] == "midnight" else 12, 0, is_exact=True),))


def _beside(match: re.Match[str], _today: date) -> Reading:
    """A time beside the full hour: "half past 8", "ten to nine"."""
    hour, word = int(number(match["hour"])), match["past"]
    minutes = {"half": 30, "quarter": 15, "a quarter": 15}.get(word) or int(number(word))
    if not 0 < minutes < 60:
        raise Unclear(NO_CLOCK)
    before = match["side"] in ("to", "before")
    return _clocked((hour - 1) % 24 if before else hour, 60 - minutes if before else minutes, match["half"])


def read_clock(match: re.Match[str], _today: date) -> Reading:
    """Return the time of the day that a match with the groups hour, minute and half means. Raises Unclear."""
    named = match.groupdict()
    return _clocked(int(number(named["hour"])), int(named.get("minute") or 0), named.get("half"), named["hour"])


def _clocked(hour: int, minute: int, half: str | None, written: str = "") -> Reading:
    if hour > 24 or minute > 59 or (half and not 1 <= hour <= 12) or (hour == 24 and minute):
        raise Unclear(NO_CLOCK)
    if half:
        hour = hour % 12 + (12 if half == "pm" else 0)
    is_exact = bool(half) or hour > 12 or hour == 0 or written.startswith("0")
    return Reading(clocks=(Clock(hour, minute, is_exact),))


def _part(match: re.Match[str], _today: date) -> Reading:
    return Reading(part=match["part"])


BARE: Final = re.compile(rf"{_HOUR}(?::(?P<minute>\d\d))?{_HALF}?(?![\w:])")
"""A time of the day that follows another one: "at 8 and 18"."""

PATTERNS: Final[tuple[tuple[str, Callable[[re.Match[str], date], Reading]], ...]] = (
    (rf"in (?:about |exactly |just )?{_ROW}(?:'?s? time)?", _span),
    (rf"{_ROW} from now", _span),
    (rf"{_AT}?(?P<word>noon|midday|midnight)", _word),
    (rf"{_AT}?(?P<past>{_MINUTES})(?: minutes?)? (?P<side>past|after|to|before) {_HOUR}{_HALF}?", _beside),
    (rf"{_AT}{_HOUR}(?:[:.h](?P<minute>\d\d))?{_HALF}?(?: ?(?:o'clock|hours|h))?", read_clock),
    (rf"{_AT}(?P<hour>[012]\d)(?P<minute>[0-5]\d)(?: hours)?", read_clock),
    (rf"{_HOUR}:(?P<minute>\d\d){_HALF}?", read_clock),
    (rf"{_HOUR}(?:\.(?P<minute>\d\d))?{_HALF}", read_clock),
    (rf"{_HOUR} o'clock", read_clock),
    (rf"(?:in the|this|during the|at) {PART}", _part),
)
