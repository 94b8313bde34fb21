"""Dates in words, as people name times in the past: "last May", "two days ago", "in 2024". English, and ISO dates."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Final, NamedTuple, TypeAlias

Match: TypeAlias = "re.Match[str]"

FIRST: Final = date(1970, 1, 1)
FAR: Final = date(2200, 1, 1)

_MONTHS: Final = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_COUNTED: Final = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_NUMBERS: Final = {
    **{word: number for number, word in enumerate(_COUNTED, start=1)},
    "a": 1,
    "an": 1,
    "couple of": 2,
    "few": 3,
    "several": 4,
}

_MONTH: Final = (
    "(?P<month>january|february|march|april|may|june|july|august|september|october|november|december"
    r"|(?:jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)(?:\.|\b))"
)
_DAY: Final = r"(?P<day>[0-3]?\d)(?:st|nd|rd|th)?"
_YEAR: Final = r"(?P<year>(?:19|20)\d\d)"
_COUNT: Final = rf"(?:a )?(?P<count>\d{{1,3}}|{'|'.join(sorted(_NUMBERS, key=len, reverse=True))})"
_UNIT: Final = r"(?P<unit>day|week|month|year)s?"
_AT: Final = r"\b(?:in|of|during|last|this|since|until|till|before|after|by|from|early|late)"


class Span(NamedTuple):
    """Days from ``first`` to before ``end``."""

    first: date
    end: date


class Times(NamedTuple):
    """Epoch nanoseconds from ``since`` to before ``until``."""

    since: int
    until: int


def times(words: str, now: datetime) -> Times | None:
    """Return the time in the past that these words name, or None. ``now`` is aware: days begin in its zone.

    "Since", "after", "before" and "until" open the span at one side. Of several times the first one counts.
    """
    text = " ".join(words.casefold().split())
    found = min(_named(text, now.date()), default=None, key=lambda one: one[0])
    if found is None:
        return None
    place, span = found
    span = _opened(text[max(0, place - 12) : place + 7], span)
    span = Span(max(span.first, FIRST), min(span.end, FAR))
    zone = now.tzinfo
    assert zone is not None
    if span.first > now.date() or span.end <= span.first:
        return None
    return Times(_nanoseconds(span.first, zone), _nanoseconds(span.end, zone))


def _named(text: str, today: date) -> Iterator[tuple[int, Span]]:
    """Yield the times that a text names, and where it names them."""
    taken: list[tuple[int, int]] = []
    for pattern, meaning in _TIMES:
        for match in pattern.finditer(text):
            start, end = match.span()
            if any(start < other_end and other_start < end for other_start, other_end in taken):
                continue
            try:
                span = meaning(match, today)
            except (ValueError, OverflowError):
                continue
            if span:
                taken.append((start, end))
                yield start, span


def _opened(around: str, span: Span) -> Span:
    """Take "since", "before" and their like in front of a time into account."""
    match re.findall(r"\b(since|after|from|before|until|till)\b", around)[-1:]:
        case ["since" | "from"]:
            return Span(span.first, FAR)
        case ["after"]:
            return Span(span.end, FAR)
        case ["before"]:
            return Span(FIRST, span.first)
        case ["until" | "till"]:
            return Span(FIRST, span.end)
    return span


def _nanoseconds(day: date, zone: tzinfo) -> int:
    """Return when a day begins. Where the clock skips midnight, that is the first moment after it."""
    if day <= FIRST:
        return 0
    return int(datetime.combine(day, time(), zone).timestamp()) * 1_000_000_000


def _iso(match: Match, _today: date) -> Span:
    day = date.fromisoformat(match["iso"])
    return Span(day, day + timedelta(1))


def _dotted(match: Match, _today: date) -> Span:
    day = date(int(match["year"]), int(match["number"]), int(match["day"]))
    return Span(day, day + timedelta(1))


def _day_of_month(match: Match, today: date) -> Span:
    month, year = _month(match["month"]), match["year"]
    day = date(int(year) if year else today.year, month, int(match["day"]))
    if not year and day > today:
        day = day.replace(year=day.year - 1)
    return Span(day, day + timedelta(1))


def _month_of(match: Match, today: date) -> Span:
    """A month without a year is its latest one; "last May" in May is a year ago, and "May" alone is this one."""
    month, year = _month(match["month"]), match.groupdict().get("year")
    if year:
        return _whole_month(int(year), month)
    is_over = month < today.month or (month == today.month and not match[0].startswith("last"))
    return _whole_month(today.year if is_over else today.year - 1, month)


def _year_of(match: Match, _today: date) -> Span:
    year = int(match["year"])
    return Span(date(year, 1, 1), date(year + 1, 1, 1))


def _ago(match: Match, today: date) -> Span:
    """A number of days is exact. "Two weeks ago" means some day around then, and so do months and years."""
    count, unit = _count(match["count"]), match["unit"]
    if unit == "day":
        day = today - timedelta(count)
        return Span(day, day + timedelta(1))
    if unit == "week":
        day = today - timedelta(weeks=count)
        return Span(day - timedelta(3), day + timedelta(4))
    if unit == "month":
        day = _months_before(today, count)
        return Span(day - timedelta(15), day + timedelta(16))
    day = _months_before(today, 12 * count)
    return Span(day - timedelta(183), day + timedelta(183))


def _within(match: Match, today: date) -> Span:
    """ "The last two weeks": from then until now."""
    count, unit = _count(match["count"]), match["unit"]
    if unit in ("day", "week"):
        first = today - timedelta(count * (7 if unit == "week" else 1))
    else:
        first = _months_before(today, count * (12 if unit == "year" else 1))
    return Span(first, today + timedelta(1))


def _last_unit(match: Match, today: date) -> Span:
    monday = today - timedelta(today.weekday())
    is_this = match["which"] == "this"
    if match["unit"] == "week":
        first = monday if is_this else monday - timedelta(7)
        return Span(first, first + timedelta(7))
    if match["unit"] == "weekend":
        saturday = monday + timedelta(5 if is_this and today.weekday() >= 5 else -2)
        return Span(saturday, saturday + timedelta(2))
    if match["unit"] == "month":
        first = today.replace(day=1) if is_this else _months_before(today.replace(day=1), 1)
        return _whole_month(first.year, first.month)
    year = today.year if is_this else today.year - 1
    return Span(date(year, 1, 1), date(year + 1, 1, 1))


def _weekday(match: Match, today: date) -> Span:
    """The latest one before today."""
    day = today - timedelta((today.weekday() - _DAYS.index(match["weekday"]) - 1) % 7 + 1)
    return Span(day, day + timedelta(1))


def _days_back(count: int) -> Callable[[Match, date], Span]:
    return lambda _match, today: Span(today - timedelta(count), today - timedelta(count - 1))


def _month(name: str) -> int:
    return next(number for number, month in enumerate(_MONTHS, start=1) if month.startswith(name.rstrip(".")[:3]))


def _count(text: str) -> int:
    return int(text) if text.isdigit() else _NUMBERS[text]


def _whole_month(year: int, month: int) -> Span:
    return Span(date(year, month, 1), date(year + month // 12, month % 12 + 1, 1))


def _months_before(day: date, count: int) -> date:
    """Return the same day so many months earlier, or the last one of a month that is shorter."""
    whole = day.year * 12 + day.month - 1 - count
    span = _whole_month(whole // 12, whole % 12 + 1)
    return min(span.first.replace(day=1) + timedelta(day.day - 1), span.end - timedelta(1))


_TIMES: Final[tuple[tuple[re.Pattern[str], Callable[[Match, date], Span | None]], ...]] = tuple(
    (re.compile(pattern), meaning)
    for pattern, meaning in (
        (r"\b(?P<iso>(?:19|20)\d\d-\d\d-\d\d)(?!\d)", _iso),
        (rf"\b(?P<day>[0-3]?\d)\.(?P<number>[01]?\d)\.{_YEAR}\b", _dotted),
        (rf"\b{_DAY} (?:of )?{_MONTH}(?:,? {_YEAR})?(?!\w)", _day_of_month),
        (rf"\b{_MONTH} (?:the )?{_DAY}(?:,? {_YEAR})?(?![\w:])", _day_of_month),
        (rf"\b{_MONTH},? (?:of )?{_YEAR}\b", _month_of),
        (rf"\b{_COUNT} {_UNIT} (?:ago|back|earlier)\b", _ago),
        (rf"\b(?:last|past|previous) {_COUNT} {_UNIT}\b", _within),
        (r"\b(?:the )?day before yesterday\b", _days_back(2)),
        (r"\b(?:yesterday|last night)\b", _days_back(1)),
        (r"\b(?:earlier today|today|this (?:morning|afternoon|evening))\b", _days_back(0)),
        (r"\b(?P<which>last|past|previous|this) (?P<unit>weekend|week|month|year)\b", _last_unit),
        (rf"(?:{_AT} ){{1,2}}{_MONTH}(?!\w)", _month_of),
        (rf"\b(?:(?:on|last|this|since|until|before|after) ){{1,2}}(?P<weekday>{'|'.join(_DAYS)})\b", _weekday),
        (rf"\b(?:in|during|of|since|before|after|until|from|year) {_YEAR}\b(?![-.:]\d)", _year_of),
    )
)
"""What a time looks like and what it means, the more exact forms first: what one has matched is not read again."""
