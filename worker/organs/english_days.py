"""Days in plain English: "tomorrow", "on Friday", "next week", "the 1st", "3 December"."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta
from typing import Final

from worker.organs.english_parts import UNDATED, Reading, Unclear, day_of, maybe, months_on
from worker.organs.english_words import MONTH, MONTHS, ORDINAL, PART, WEEKDAY, WEEKDAYS, ordinal

BOTH_ORDERS: Final = (
    "I cannot tell the day from the month there: write the month as a word, such as 3 December, or the whole date, "
    "such as 2027-12-03."
)
_LEAP_YEARS: Final = 9
"""Years among which a 29 February is for certain."""

_ON: Final = r"(?:on )?"
_DAY: Final = rf"(?P<day>{ORDINAL}|\d{{1,2}})"
_YEAR: Final = r"(?:,? (?P<year>\d{4}))?"


def _named(match: re.Match[str], today: date) -> Reading:
    ahead = {"today": 0, "tonight": 0, "tomorrow": 1, "tmrw": 1}.get(match["named"], 2)
    part = "night" if match["named"] == "tonight" else match["part"] or ""
    return Reading(day=today + timedelta(days=ahead), part=part)


def _weekday(match: re.Match[str], today: date) -> Reading:
    """A "next Friday" is that of next week; a "Friday" is the next that comes, and may be today."""
    ahead = WEEKDAYS[match["weekday"]] - today.weekday()
    if match["next"]:
        return Reading(day=today + timedelta(days=ahead + 7), part=match["part"] or "")
    return Reading(day=today + timedelta(days=ahead % 7), again=_week_later, part=match["part"] or "")


def _week_later(day: date) -> date:
    return day + timedelta(days=7)


def _next(match: re.Match[str], today: date) -> Reading:
    """The next week begins on its Monday, the next month on its first day."""
    match match["unit"]:
        case "week":
            return Reading(day=today + timedelta(days=7 - today.weekday()))
        case "month":
            return Reading(day=months_on(today.replace(day=1), 1))
        case _:
            return Reading(day=date(today.year + 1, 1, 1))


def _weekend(match: re.Match[str], today: date) -> Reading:
    ahead = 5 - today.weekday() + (7 if match["next"] else 0)
    return Reading(day=today + timedelta(days=ahead if match["next"] else ahead % 7), again=_week_later)


def _worded(match: re.Match[str], today: date) -> Reading:
    month = match["month"]
    return _dated(today, ordinal(match["day"]), MONTHS.get(month) or int(month), match["year"])


def _figures(match: re.Match[str], today: date) -> Reading:
    """Two numbers are a date only if they can be one in one order."""
    one, other = int(match["one"]), int(match["other"])
    if one != other and one <= 12 and other <= 12:
        raise Unclear(BOTH_ORDERS)
    day, month = (one, other) if other <= 12 else (other, one)
    return _dated(today, day, month, match["year"])


def _dated(today: date, day: int, month: int, year: str | None) -> Reading:
    if year:
        return Reading(day=day_of(int(year) + (2000 if len(year) == 2 else 0), month, day))
    years = range(today.year, today.year + _LEAP_YEARS)
    found = next((one for each in years if (one := maybe(each, month, day)) and one >= today), None)
    if found is None:
        raise Unclear(UNDATED)
    return Reading(day=found, again=_year_later)


def _year_later(day: date) -> date:
    years = range(day.year + 1, day.year + _LEAP_YEARS)
    return next((one for year in years if (one := maybe(year, day.month, day.day))), day)


def _of_month(match: re.Match[str], today: date) -> Reading:
    return Reading(day=_from(ordinal(match["day"]), today), again=_month_later)


def _from(day: int, start: date) -> date:
    """Return the first day with this number that is not before ``start``."""
    months = (months_on(start.replace(day=1), ahead) for ahead in range(12))
    found = (one for first in months if (one := maybe(first.year, first.month, day)) and one >= start)
    if day_found := next(found, None):
        return day_found
    raise Unclear(UNDATED)


def _month_later(day: date) -> date:
    return _from(day.day, day + timedelta(days=1))


PATTERNS: Final[tuple[tuple[str, Callable[[re.Match[str], date], Reading]], ...]] = (
    (rf"(?P<named>today|tonight|tomorrow|tmrw|the day after tomorrow)(?: {PART})?", _named),
    (rf"{_ON}(?:this |the )?(?:coming )?(?P<next>next )?(?P<weekday>{WEEKDAY})(?: {PART})?", _weekday),
    (r"next (?P<unit>week|month|year)", _next),
    (rf"{_ON}(?:at )?(?:the |this )?(?:coming )?(?P<next>next )?weekend", _weekend),
    (rf"{_ON}(?:the )?{_DAY} (?:of )?{MONTH}{_YEAR}", _worded),
    (rf"{_ON}{MONTH} (?:the )?{_DAY}{_YEAR}", _worded),
    (rf"{_ON}(?P<year>\d{{4}})-(?P<month>\d\d)-(?P<day>\d\d)", _worded),
    (rf"{_ON}(?P<day>\d{{1,2}})\.\s?(?P<month>\d{{1,2}})\.(?:\s?(?P<year>\d{{4}}|\d\d))?", _worded),
    (rf"{_ON}(?P<one>\d{{1,2}})/(?P<other>\d{{1,2}})(?:/(?P<year>\d{{4}}|\d\d))?", _figures),
    (rf"(?:on )?the (?P<day>{ORDINAL})", _of_month),
)
