"""The day and the month of a budget, in her person's zone."""

from __future__ import annotations

from datetime import date, datetime, timedelta, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo

from proto.records import Persona


class Today(NamedTuple):
    """A day and the first day of its month, as ISO dates, and when the next ones begin, in epoch nanoseconds."""

    day: str
    month: str
    next_day: int
    next_month: int


def zone_of(persona: Persona | None) -> tzinfo | None:
    """Return her person's zone; None is the machine's."""
    name = persona.zone if persona else ""
    try:
        return ZoneInfo(name) if name else None
    except (OSError, ValueError):
        return None


def today(zone: tzinfo | None, now: int) -> Today:
    """Return the day in which ``now`` lies, in epoch nanoseconds. A day may have 23 or 25 hours."""
    day = datetime.fromtimestamp(now / 1e9, zone).date()
    first = day.replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    return Today(day.isoformat(), first.isoformat(), _begins(day + timedelta(days=1), zone), _begins(following, zone))


def _begins(day: date, zone: tzinfo | None) -> int:
    return round(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()) * 10**9
