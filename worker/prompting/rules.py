"""What a cron rule says, in words."""

from __future__ import annotations

import re
from typing import Final

DAYS: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
"""The days of the week by their number in a cron rule."""

MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_PLACES: Final = ("first", "second", "third", "fourth", "fifth")
_NUMBERS: Final = re.compile(r"\d{1,2}(?:,\d{1,2})*\Z")
_STEP: Final = re.compile(r"\*/(\d{1,2})\Z")
_NTH: Final = re.compile(r"([0-7])#([1-5])\Z")
_LAST: Final = re.compile(r"([0-7])L\Z")


def rule_in_words(cron: str) -> str:
    """Return what a rule says: "every weekday at 08:00". One that has no plain words is quoted."""
    fields = cron.split()
    if len(fields) != 5:
        return f"by the rule {cron}"
    minute, hour, day, month, weekday = fields
    if (often := _often(minute, hour)) and (day, month, weekday) == ("*", "*", "*"):
        return often
    days, times = _days(day, month, weekday), _times(minute, hour)
    return f"{days} at {times}" if days and times else f"by the rule {cron}"


def listed(parts: list[str]) -> str:
    """Return parts as a list in a sentence."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def ordinal(number: int) -> str:
    """Return a number as an ordinal: 1st, 2nd, 11th."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _often(minute: str, hour: str) -> str:
    step = _STEP.match(minute)
    if step and hour == "*":
        return "every minute" if step[1] == "1" else f"every {int(step[1])} minutes"
    if minute.isdigit() and (hour == "*" or _STEP.match(hour)):
        hours = _STEP.match(hour)
        often = f"every {int(hours[1])} hours" if hours and hours[1] != "1" else "every hour"
        return often if int(minute) == 0 else f"{often}, {int(minute)} minutes past"
    return ""


def _times(minute: str, hour: str) -> str:
    if not (_NUMBERS.match(minute) and _NUMBERS.match(hour)):
        return ""
    return listed([f"{int(h):02}:{int(m):02}" for h in hour.split(",") for m in minute.split(",")])


def _days(day: str, month: str, weekday: str) -> str:
    if day == "*" and month == "*":
        return _weekdays(weekday)
    if weekday != "*":
        return ""
    if day == "L" and month == "*":
        return "on the last day of each month"
    if not _NUMBERS.match(day):
        return ""
    if month == "*":
        return f"on the {listed([ordinal(int(one)) for one in day.split(',')])} of each month"
    if day.isdigit() and month.isdigit() and 1 <= int(month) <= 12:
        return f"every year on {int(day)} {MONTHS[int(month) - 1]}"
    return ""


def _weekdays(weekday: str) -> str:
    if weekday == "*":
        return "every day"
    if nth := _NTH.match(weekday):
        return f"on the {_PLACES[int(nth[2]) - 1]} {DAYS[int(nth[1]) % 7]} of each month"
    if last := _LAST.match(weekday):
        return f"on the last {DAYS[int(last[1]) % 7]} of each month"
    if weekday == "1-5":
        return "every weekday"
    if not _NUMBERS.match(weekday):
        return ""
    days = sorted({int(one) % 7 for one in weekday.split(",")}, key=lambda one: (one - 1) % 7)
    if days == [6, 0]:
        return "every weekend"
    return f"every {listed([DAYS[one] for one in days])}"
