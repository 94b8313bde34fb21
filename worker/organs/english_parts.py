"""What a phrase about time may say, part by part."""

from __future__ import annotations

import calendar
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, NamedTuple, TypeAlias

UNDATED: Final = "There is no such day."


class Unclear(ValueError):
    """The phrase is about time, but has no meaning here. The text is for the person."""


class Clock(NamedTuple):
    """A time of the day. Unless it ``is_exact``, the hour may be before or after noon. Midnight is hour 24."""

    hour: int
    minute: int
    is_exact: bool


class Cron(NamedTuple):
    """The days of a cron rule, or with ``whole`` all of it."""

    day: str = "*"
    month: str = "*"
    weekday: str = "*"
    whole: str = ""


Again: TypeAlias = Callable[[date], date]
"""Returns the next day of which the same was said: the same weekday a week later."""


@dataclass(frozen=True)
class Reading:
    """The parts of a phrase. ``again``: ``day`` is the next of several that the words may mean.

    ``span`` is from now on. With a ``day`` beside it the span was one of days, which keeps the time of the day.
    """

    span: timedelta | None = None
    day: date | None = None
    again: Again | None = None
    clocks: tuple[Clock, ...] = ()
    part: str = ""
    rule: Cron | None = None

    @property
    def is_clock_only(self) -> bool:
        """Whether only a time of the day is said."""
        return bool(self.clocks) and self.span is None and not (self.day or self.rule or self.part)

    @property
    def lacks_clock(self) -> bool:
        """Whether a day or a repetition is said without a time of the day."""
        has_days = self.day is not None or (self.rule is not None and not self.rule.whole)
        return has_days and not self.clocks


def joined(one: Reading, other: Reading) -> Reading | None:
    """Return both together, or None when they say the same thing twice. Only times of the day may be several."""
    days = [reading for reading in (one, other) if reading.day or reading.span is not None or reading.rule]
    if len(days) > 1 or (one.part and other.part):
        return None
    return Reading(
        other.span if one.span is None else one.span,
        one.day or other.day,
        one.again or other.again,
        one.clocks + other.clocks,
        one.part or other.part,
        one.rule or other.rule,
    )


def months_on(day: date, months: int) -> date:
    """Return the same day so many months later, or that month's last one. Raises Unclear."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    if year > 9000:
        raise Unclear(UNDATED)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def day_of(year: int, month: int, day: int) -> date:
    """Return that day. Raises Unclear."""
    if found := maybe(year, month, day):
        return found
    raise Unclear(UNDATED)


def maybe(year: int, month: int, day: int) -> date | None:
    """Return that day, or None when there is none."""
    try:
        return date(year, month, day)
    except ValueError:
        return None
