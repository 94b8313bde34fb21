"""When a reminder is due: points in time, rules of cron in a time zone, quiet hours.

A rule has cron's five fields. At daylight saving it follows Debian's cron (https://manpages.debian.org/cron(8)), as
``cronsim`` does: a rule for certain hours comes at the end of the hour that is missing, and once, the first time, in
the hour that comes twice. A rule for every hour, or for every few minutes, goes by time that passes.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from proto.zones import quiet_span

SECOND: Final = 1_000_000_000
MAX_RULE: Final = 200
"""Characters of a rule."""

MAX_AHEAD: Final = 100 * 366 * 24 * 3600 * SECOND
"""Nanoseconds: what is meant for later than in a hundred years is a slip of the pen."""

COUNTED: Final = 1000
"""Missed repetitions that are counted; more are told as "more than" that."""

LATE: Final = 120 * SECOND
"""Nanoseconds after which what is told says when it was meant."""


class BadRule(ValueError):
    """A time, rule or span that cannot be taken; the text says what to send instead."""


def moment(text: str, zone: ZoneInfo) -> int:
    """Return the epoch nanoseconds of an ISO 8601 time; one without an offset is the time on the clock in ``zone``.

    A time in the hour that is missing is as long after its beginning as the clock would have shown, one in the hour
    that comes twice is the first (https://peps.python.org/pep-0495/). Raises BadRule.
    """
    try:
        found = datetime.fromisoformat(text)
        whole = found if found.tzinfo else found.replace(tzinfo=zone)
        return nanoseconds(whole)
    except (ValueError, OverflowError) as error:
        raise BadRule(
            f"at is no point in time that can be read: {text[:40]!r}. Send ISO 8601, such as 2026-12-01T08:00:00+01:00."
        ) from error


def nanoseconds(when: datetime) -> int:
    """Return a point in time in epoch nanoseconds, exact to the microsecond."""
    passed = when - datetime(1970, 1, 1, tzinfo=UTC)
    return (passed.days * 86_400 + passed.seconds) * SECOND + passed.microseconds * 1000


def local(at: int, zone: ZoneInfo) -> datetime:
    """Return the time on the clock in ``zone`` at epoch nanoseconds."""
    return datetime.fromtimestamp(at // SECOND, zone).replace(microsecond=at % SECOND // 1000)


def check_rule(rule: str) -> str:
    """Return the rule in its plain form. Raises BadRule unless it has five fields that cron understands."""
    plain = " ".join(rule.split())
    if len(plain) > MAX_RULE or len(plain.split()) != 5:
        raise BadRule(
            "cron needs five fields, minute, hour, day of month, month and day of week, such as 0 8 * * 1-5 for"
            f" every weekday at 8:00, in at most {MAX_RULE} characters."
        )
    try:
        CronSim(plain, datetime(2000, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        reason = str(error)
        raise BadRule(f"cron cannot be taken: {reason[:1].lower()}{reason[1:]}. Correct that field.") from error
    return plain


def coming(rule: str, zone: ZoneInfo, after: int) -> Iterator[int]:
    """Yield the times of a rule that are later than ``after``, in epoch nanoseconds, each later than the one before.

    It ends with a rule that never comes: cronsim looks fifty years ahead.
    """
    latest = after
    # The fields of a rule are whole seconds, so the fraction of one counts for nothing.
    for when in CronSim(rule, datetime.fromtimestamp(after // SECOND, zone)):
        # In the second of two equal hours cronsim names a time of the first once more.
        if (at := nanoseconds(when)) > latest:
            latest = at
            yield at


def next_after(rule: str, zone: ZoneInfo, after: int) -> int | None:
    """Return the first time of the rule after ``after``; None when it never comes."""
    return next(coming(rule, zone, after), None)


def missed(rule: str, zone: ZoneInfo, due: int, now: int) -> int:
    """Return how often a rule came from ``due``, which is one of its times, until ``now``; at most ``COUNTED`` + 1."""
    return 1 + sum(1 for at in islice(_until(coming(rule, zone, due), now), COUNTED))


def _until(times: Iterator[int], now: int) -> Iterator[int]:
    for at in times:
        if at > now:
            return
        yield at


def quiet_until(quiet: str, zone: ZoneInfo, at: int) -> int | None:
    """Return the end of the quiet hours in which ``at`` lies; None when it lies in none. Raises BadHours."""
    span = quiet_span(quiet)
    if span is None:
        return None
    now, (begin, end) = local(at, zone), span
    clock, over_midnight = f"{now:%H:%M}", begin > end
    if not (clock >= begin or clock < end if over_midnight else begin <= clock < end):
        return None
    day = now.date() + timedelta(days=1 if over_midnight and clock >= begin else 0)
    ends = datetime(day.year, day.month, day.day, int(end[:2]), int(end[3:]), tzinfo=zone)
    # In the second of two equal hours the end may be over already by the first.
    return max(nanoseconds(ends), at + 60 * SECOND)


def shown(at: int, zone: ZoneInfo) -> str:
    """Return a point in time as people read it."""
    return f"{local(at, zone):%A, %d %B %Y, %H:%M}"


def lateness(due: int, now: int, zone: ZoneInfo, times: int) -> str:
    """Return what is said of something that is told late, or that came several ``times`` meanwhile; "" otherwise."""
    if times > 1:
        how_often = f"more than {COUNTED}" if times > COUNTED else str(times)
        return f"(This was due {how_often} times since {shown(due, zone)}.)"
    return f"(This was due on {shown(due, zone)}.)" if now - due > LATE else ""
