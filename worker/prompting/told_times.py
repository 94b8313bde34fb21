"""Moments in her person's time zone, and how they are told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

SECOND: Final = 1_000_000_000
"""Nanoseconds."""


def moment(at: int, like: datetime) -> datetime:
    """Return ``at``, in epoch nanoseconds, in the zone of another moment."""
    return datetime.fromtimestamp(at // SECOND, like.tzinfo)


def later(start: datetime, span: timedelta) -> datetime:
    """Return the moment when so much time has passed. Hours that the clocks skip or repeat count as they pass."""
    return (start.astimezone(UTC) + span).astimezone(start.tzinfo)


def local(naive: datetime, like: datetime) -> datetime:
    """Return the moment at which a clock on the wall shows ``naive``, in the zone of another moment.

    An hour that the clocks skip is told by those that were not put forward yet; of one that comes twice the first is
    meant (https://peps.python.org/pep-0495/).
    """
    return naive.replace(tzinfo=like.tzinfo).astimezone(UTC).astimezone(like.tzinfo)


def zone_name(one: datetime) -> str:
    """Return the name of a moment's zone as people can look it up, or else its short form."""
    return one.tzinfo.key if isinstance(one.tzinfo, ZoneInfo) else one.strftime("%Z").strip()


def in_words(one: datetime) -> str:
    """Return a moment with its date, time and zone: "Friday, 27 November 2026 at 19:20 (Europe/Oslo)"."""
    return f"{day_and_time(one)} ({zone_name(one)})"


def day_and_time(one: datetime) -> str:
    """Return a moment with its date and time."""
    return f"{one:%A}, {one.day} {one:%B %Y} at {one:%H:%M}" + (f":{one:%S}" if one.second else "")
