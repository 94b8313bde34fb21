"""Plain English about time: "tomorrow at 8", "in an hour and a half", "every weekday at 8".

``read`` takes a phrase apart, ``moment_of`` and ``rule_of`` say what its parts mean together. They guess as people do,
and what she answers names the full date and time, so that a wrong guess is seen.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from typing import Final

from worker.organs import english_clocks, english_days, english_rules
from worker.organs.english_parts import Clock, Cron, Reading, Unclear, joined
from worker.organs.english_words import DAYTIME, PARTS
from worker.prompting.told_times import later, local

PHRASE_CHARS: Final = 120
"""A longer phrase is not about time alone."""

MOST_CLOCKS: Final = 6

LATE: Final = (time(20), time(22), time(23, 30))
TODAY: Final = (*PARTS.values(), *LATE)
"""When "tonight" and "today" are, if no time is said: the next of these."""

SMALL_HOURS: Final = 5
"""Of a night, the hours before this one are after midnight."""

EARLY_HOURS: Final = range(6, 12)
"""Of a day to come, "at 8" is in the morning and "at 3" in the afternoon."""

_PATTERNS: Final = tuple(
    (re.compile(rf"(?:{pattern})(?![\w:/])"), make)
    for patterns in (english_rules.PATTERNS, english_days.PATTERNS, english_clocks.PATTERNS)
    for pattern, make in patterns
)
_GAP: Final = re.compile(r"[ ,]*(?P<and>and )?")


def read(phrase: str, today: date) -> Reading | None:
    """Return the parts of a phrase in lower case; None when it is not about time from its beginning to its end.

    Raises Unclear.
    """
    if not phrase or len(phrase) > PHRASE_CHARS:
        return None
    said, at, follows = Reading(), 0, False
    while at < len(phrase):
        found = [(match, make) for pattern, make in _PATTERNS if (match := pattern.match(phrase, at))]
        if follows and said.clocks and (bare := english_clocks.BARE.match(phrase, at)):
            found.append((bare, english_clocks.read_clock))
        if not found:
            return None
        match, make = max(found, key=lambda pair: pair[0].end())
        both = joined(said, make(match, today))
        gap = _GAP.match(phrase, match.end())
        assert gap is not None
        if both is None or (gap["and"] and gap.end() == len(phrase)):
            return None
        said, at, follows = both, gap.end(), bool(gap["and"])
    return said


def moment_of(said: Reading, now: datetime, *, wakes: bool = False) -> datetime:
    """Return the moment that is meant, in the zone of ``now``. It may be past. ``wakes``: in doubt, in the morning.

    Raises Unclear.
    """
    if len(said.clocks) > 1:
        raise Unclear("That is more than one time. Ask me for each of them.")
    clock = said.clocks[0] if said.clocks else None
    if said.span is not None and said.day is None:
        return later(now, said.span)
    if said.day is None:
        return _next_at(clock, said.part, now, wakes=wakes)
    if said.span is not None and clock is None and not said.part:
        return local(datetime.combine(said.day, now.time()), now)
    if said.again is None:
        return _on(said.day, clock, said.part, now, wakes=wakes)
    found = _on_named(said.day, clock, said.part, now, wakes=wakes)
    return _on_named(said.again(said.day), clock, said.part, now, wakes=wakes) if found <= now else found


def rule_of(said: Reading) -> str:
    """Return the cron rule that is meant. Raises Unclear."""
    rule = said.rule or Cron()
    if rule.whole:
        if said.clocks or said.part:
            raise Unclear("Every few hours, and at a time of the day: say one of the two.")
        return rule.whole
    clocks = said.clocks or (_clock_of(PARTS.get(said.part, DAYTIME)),)
    hours = [(_hour(one, said.part, wakes=False) % 24, one.minute) for one in clocks[:MOST_CLOCKS]]
    minutes = {minute for _, minute in hours}
    if len(minutes) > 1:
        raise Unclear("Those times have different minutes. Ask me for each of them.")
    told = ",".join(map(str, sorted({hour for hour, _ in hours})))
    return f"{minutes.pop()} {told} {rule.day} {rule.month} {rule.weekday}"


def _next_at(clock: Clock | None, part: str, now: datetime, *, wakes: bool) -> datetime:
    """Return the next time that a clock shows this. Before or after noon, whichever comes first."""
    if clock is None:
        found = _on(now.date(), None, part, now, wakes=wakes)
        return found if found > now else _on(now.date() + timedelta(days=1), None, part, now, wakes=wakes)
    hours = _both_hours(clock) if not (part or wakes) else [_hour(clock, part, wakes=wakes)]
    days = [now.date() + timedelta(days=ahead) for ahead in (0, 1)]
    moments = [_at(day, hour, clock.minute, now) for day in days for hour in hours]
    return min((one for one in moments if one > now), default=max(moments))


def _on_named(day: date, clock: Clock | None, part: str, now: datetime, *, wakes: bool) -> datetime:
    """Return the moment on a day that was named, and may happen to be today."""
    if clock is None:
        return local(datetime.combine(day, PARTS.get(part, DAYTIME)), now)
    hour = _hour(clock, part, wakes=wakes)
    # "Tonight at one" is after midnight.
    is_after = part == "night" and not clock.is_exact and clock.hour < SMALL_HOURS
    return _at(day, hour + (24 if is_after else 0), clock.minute, now)


def _on(day: date, clock: Clock | None, part: str, now: datetime, *, wakes: bool) -> datetime:
    """Return the moment on that day; of today, the next one that is meant."""
    is_today = day == now.date()
    moments = [_on_named(day, clock, part, now, wakes=wakes)]
    if is_today and clock is None and part in ("", "night"):
        moments = [local(datetime.combine(day, one), now) for one in (LATE if part else TODAY)]
    elif is_today and clock and not part:
        moments = [_at(day, hour, clock.minute, now) for hour in _both_hours(clock)]
    return next((one for one in moments if one > now), moments[-1])


def _hour(clock: Clock, part: str, *, wakes: bool) -> int:
    if clock.is_exact:
        return clock.hour
    if part == "night" and (clock.hour < SMALL_HOURS or clock.hour == 12):
        return 24 if clock.hour == 12 else clock.hour
    if part == "morning" or wakes:
        return clock.hour % 12
    if part:
        return clock.hour % 12 + 12
    return clock.hour if clock.hour in EARLY_HOURS else clock.hour % 12 + 12


def _both_hours(clock: Clock) -> list[int]:
    return [clock.hour] if clock.is_exact else sorted((clock.hour % 12, clock.hour % 12 + 12))


def _at(day: date, hour: int, minute: int, now: datetime) -> datetime:
    """Return that time; the hours after 23 are of the next day."""
    return local(datetime.combine(day + timedelta(days=hour // 24), time(hour % 24, minute)), now)


def _clock_of(usual: time) -> Clock:
    return Clock(usual.hour, usual.minute, is_exact=True)
