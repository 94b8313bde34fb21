"""Repetitions in plain English, as the days of a cron rule: "every weekday", "on the 1st of each month"."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Final

from worker.organs.english_parts import UNDATED, Cron, Reading, Unclear, day_of
from worker.organs.english_words import EACH, MONTH, MONTHS, NUMBER, ORDINAL, PART, WEEKDAY, WEEKDAYS, number, ordinal

NOT_REPEATED: Final = (
    "I can repeat something on days of the week, of the month or of the year, or every few minutes or hours that "
    "divide the day evenly, but not every second week or every few days."
)
_KINDS: Final = {"weekday": "1-5", "workday": "1-5", "working day": "1-5", "weekend": "0,6"}
_NAMES: Final = re.compile(WEEKDAY)
_ORDINALS: Final = re.compile(ORDINAL)


def _daily(match: re.Match[str], _today: date) -> Reading:
    named = match.groupdict()
    return Reading(rule=Cron(weekday=_KINDS.get(named.get("kind") or "", "*")), part=named.get("part") or "")


def _on_days(match: re.Match[str], _today: date) -> Reading:
    days = sorted({_of_cron(name) for name in _NAMES.findall(match["days"])})
    return Reading(rule=Cron(weekday=",".join(map(str, days))), part=match["part"] or "")


def _weekly(_match: re.Match[str], today: date) -> Reading:
    return Reading(rule=Cron(weekday=str((today.weekday() + 1) % 7)))


def _monthly(match: re.Match[str], _today: date) -> Reading:
    days = sorted({ordinal(one) for one in _ORDINALS.findall(match["days"])})
    if not all(1 <= day <= 31 for day in days):
        raise Unclear(UNDATED)
    return Reading(rule=Cron(day=",".join(map(str, days))))


def _last_day(_match: re.Match[str], _today: date) -> Reading:
    return Reading(rule=Cron(day="L"))


def _nth_weekday(match: re.Match[str], _today: date) -> Reading:
    which = "L" if match["which"] == "last" else f"#{ordinal(match['which'])}"
    return Reading(rule=Cron(weekday=f"{_of_cron(match['weekday'])}{which}"))


def _yearly(match: re.Match[str], _today: date) -> Reading:
    month, day = MONTHS[match["month"]], ordinal(match["day"])
    # In a leap year every day is there.
    day_of(2024, month, day)
    return Reading(rule=Cron(day=str(day), month=str(month)))


def _often(match: re.Match[str], _today: date) -> Reading:
    """A cron rule counts from the full hour, or from midnight: other steps would limp there."""
    count, is_hours = number(match["count"] or "one"), match["unit"].startswith("h")
    if count < 1 or (24 if is_hours else 60) % count:
        raise Unclear(NOT_REPEATED)
    step = "*" if count == 1 else f"*/{int(count)}"
    if is_hours:
        return Reading(rule=Cron(whole=f"0 {step} * * *"))
    return Reading(rule=Cron(whole="0 * * * *" if count == 60 else f"{step} * * * *"))


def _half_hourly(match: re.Match[str], _today: date) -> Reading:
    return Reading(rule=Cron(whole="*/30 * * * *" if match["half"] == "half" else "*/15 * * * *"))


def _not(_match: re.Match[str], _today: date) -> Reading:
    raise Unclear(NOT_REPEATED)


def _of_cron(name: str) -> int:
    """Return the number of a day of the week in a cron rule, where Sunday is 0."""
    return (WEEKDAYS[name] + 1) % 7


_ROW: Final = rf"{WEEKDAY}s?(?:(?:, and|,| and| &)? (?:on )?(?:{EACH} )?{WEEKDAY}s?){{0,6}}"
_MONTHLY: Final = rf"(?:{EACH} month|monthly)"

PATTERNS: Final[tuple[tuple[str, Callable[[re.Match[str], date], Reading]], ...]] = (
    (
        rf"{EACH} (?:single )?day|daily|everyday|{EACH} {PART}|{EACH} (?P<kind>weekday|workday|working day|weekend)",
        _daily,
    ),
    (r"(?:on |at )?(?:the )?(?P<kind>weekday|workday|working day|weekend)s", _daily),
    (rf"(?:on )?{EACH} (?P<days>{_ROW})(?: {PART})?", _on_days),
    (rf"(?:{EACH} week|weekly) on (?P<days>{_ROW})(?: {PART})?", _on_days),
    (rf"on (?P<days>(?:{WEEKDAY}s(?:, and|,| and| &)? )*{WEEKDAY}s)(?: (?:in the )?{PART}s?)?", _on_days),
    (rf"{EACH} week|weekly", _weekly),
    (
        rf"(?:on )?(?:the )?(?P<days>{ORDINAL}(?:(?:,| and|, and) (?:the )?{ORDINAL}){{0,5}}) (?:day )?of {EACH} month",
        _monthly,
    ),
    (rf"{_MONTHLY} on the (?P<days>{ORDINAL}(?:(?:,| and|, and) (?:the )?{ORDINAL}){{0,5}})", _monthly),
    (rf"{EACH} (?P<days>{ORDINAL})(?: day)? of the month", _monthly),
    (rf"(?:on )?the last day of {EACH} month|{_MONTHLY} on the last day", _last_day),
    (
        (
            rf"(?:on )?(?:the |{EACH} )(?P<which>first|second|third|fourth|last) (?P<weekday>{WEEKDAY}) of "
            rf"(?:{EACH}|the) month"
        ),
        _nth_weekday,
    ),
    (rf"(?:{EACH} year|yearly|annually) on (?:the )?(?P<day>{ORDINAL}|\d{{1,2}}) (?:of )?{MONTH}", _yearly),
    (rf"(?:on )?(?:{EACH} |the )?(?P<day>{ORDINAL}|\d{{1,2}}) (?:of )?{MONTH} {EACH} year", _yearly),
    (rf"(?:{EACH} year|yearly|annually) on {MONTH} (?:the )?(?P<day>{ORDINAL}|\d{{1,2}})", _yearly),
    (rf"{EACH} (?P<day>{ORDINAL}|\d{{1,2}}) (?:of )?{MONTH}", _yearly),
    (rf"{EACH} (?P<half>half|quarter)(?: of)?(?: an)? hour", _half_hourly),
    (rf"{EACH} (?:(?P<count>{NUMBER}) )?(?P<unit>minutes?|mins?|hours?)", _often),
    (rf"{EACH} (?:other|second|third|few|couple of|{NUMBER}) (?:days?|weeks?|weekdays?|months?|{WEEKDAY}s?)", _not),
)
