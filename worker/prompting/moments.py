"""When things were said, as a prompt shows it: a short mark where the day changes or hours have passed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from proto.messages import Line
from proto.zones import UnknownZone, zone_of

PAUSE: Final = timedelta(hours=3)
"""So much later a line is marked with its time, although the day is the same."""

MARK_TOKENS: Final = 14
"""Estimated tokens of a mark, at most."""


def now_in(zone: str) -> datetime:
    """Return the time now in the person's zone, or on the machine's clock if that has no such zone."""
    try:
        return datetime.now(zone_of(zone))
    except UnknownZone:
        return datetime.now().astimezone()


def marks(lines: Sequence[Line], now: datetime) -> list[str]:
    """Return for each line the mark that stands before it, "" for none. ``now`` gives the time zone."""
    found: list[str] = []
    before: datetime | None = None
    for line in lines:
        at = _when(line.at, now)
        if before is None:
            # Without a mark at its beginning, a conversation is of today.
            found.append(_day(at) if at.date() != now.date() else _clock(at) if now - at >= PAUSE else "")
        elif at.date() != before.date():
            found.append(_day(at))
        else:
            found.append(_clock(at) if at - before >= PAUSE else "")
        before = at
    return found


def silence(lines: Sequence[Line], now: datetime) -> str:
    """Return a sentence that says how long nothing was said, "" if that is not long."""
    if not lines or now - (last := _when(lines[-1].at, now)) < PAUSE:
        return ""
    when = f"{last:%H:%M} today" if last.date() == now.date() else f"{last:%A, %d %B %Y, %H:%M}"
    return f" Before the new message, the last words here were said at {when}."


def _when(at: int, now: datetime) -> datetime:
    return datetime.fromtimestamp(at // 1_000_000_000, now.tzinfo)


def _day(at: datetime) -> str:
    return f"({at:%A, %d %B %Y, %H:%M})"


def _clock(at: datetime) -> str:
    return f"({at:%H:%M})"
