"""Dates in words: what each form means, in her person's zone, and what is none."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import pytest

from daemon.recall.dates import times

OSLO: Final = ZoneInfo("Europe/Oslo")
FRIDAY: Final = datetime(2026, 11, 27, 12, 0, tzinfo=OSLO)
ALWAYS: Final = "1970-01-01"
FOREVER: Final = "2200-01-01"


def days(words: str, now: datetime = FRIDAY) -> tuple[str, str] | None:
    """The first day, and the day behind the last one, as dates in the zone."""
    found = times(words, now)
    if found is None:
        return None
    first, end = (datetime.fromtimestamp(at / 1e9, now.tzinfo) for at in found)
    assert found.since == 0 or first.time() == end.time() == datetime.min.time()
    return first.date().isoformat(), end.date().isoformat()


@pytest.mark.parametrize(
    ("words", "first", "end"),
    [
        ("yesterday", "2026-11-26", "2026-11-27"),
        ("last night", "2026-11-26", "2026-11-27"),
        ("the day before yesterday", "2026-11-25", "2026-11-26"),
        ("this morning", "2026-11-27", "2026-11-28"),
        ("What did I tell you two days ago?", "2026-11-25", "2026-11-26"),
        ("a week ago", "2026-11-17", "2026-11-24"),
        ("a couple of weeks ago", "2026-11-10", "2026-11-17"),
        ("3 months back", "2026-08-12", "2026-09-12"),
        ("two years ago", "2024-05-28", "2025-05-29"),
        ("in the last two weeks", "2026-11-13", "2026-11-28"),
        ("last week", "2026-11-16", "2026-11-23"),
        ("last weekend", "2026-11-21", "2026-11-23"),
        ("last month", "2026-10-01", "2026-11-01"),
        ("this year", "2026-01-01", "2027-01-01"),
        ("last year", "2025-01-01", "2026-01-01"),
        ("What did I say last May?", "2026-05-01", "2026-06-01"),
        ("last November", "2025-11-01", "2025-12-01"),
        ("in November", "2026-11-01", "2026-12-01"),
        ("in December", "2025-12-01", "2026-01-01"),
        ("in early March", "2026-03-01", "2026-04-01"),
        ("March 2024", "2024-03-01", "2024-04-01"),
        ("in Sept. 2024", "2024-09-01", "2024-10-01"),
        ("in 2024", "2024-01-01", "2025-01-01"),
        ("on Monday", "2026-11-23", "2026-11-24"),
        ("last Friday", "2026-11-20", "2026-11-21"),
        ("3 May 2024", "2024-05-03", "2024-05-04"),
        ("on the 3rd of May", "2026-05-03", "2026-05-04"),
        ("December 24", "2025-12-24", "2025-12-25"),
        ("May 3rd, 2024", "2024-05-03", "2024-05-04"),
        ("2024-05-03", "2024-05-03", "2024-05-04"),
        ("03.05.2024", "2024-05-03", "2024-05-04"),
        ("since March", "2026-03-01", FOREVER),
        ("after last May", "2026-06-01", FOREVER),
        ("before 2024", ALWAYS, "2024-01-01"),
        ("until last June", ALWAYS, "2026-07-01"),
        ("in 2024 or in 2025", "2024-01-01", "2025-01-01"),
    ],
)
def test_what_a_time_means(words: str, first: str, end: str) -> None:
    """Seen from a Friday in November."""
    assert days(words) == (first, end)


@pytest.mark.parametrize(
    "words",
    [
        *("", "What is my name?", "may I ask you something", "you may go", "march on", "tomorrow", "in 2199"),
        *("999 years ago", "2024-13-45", "30 February", "Monday is fine", "I have 3 days", "room 2024", "x" * 10_000),
    ],
)
def test_what_is_no_time(words: str) -> None:
    """Words that look like one, days that do not exist, and the future."""
    assert days(words) is None


def test_a_day_is_a_day_in_her_persons_zone() -> None:
    """The same moment is another day elsewhere."""
    late = datetime(2026, 11, 27, 23, 30, tzinfo=ZoneInfo("America/New_York"))
    assert days("yesterday", late) == ("2026-11-26", "2026-11-27")
    assert days("yesterday", late.astimezone(OSLO)) == ("2026-11-27", "2026-11-28")


def test_days_have_the_length_that_they_have() -> None:
    """When clocks go forward a day has 23 hours, and where they skip midnight it begins at one."""
    spring = datetime(2026, 3, 30, 12, 0, tzinfo=OSLO)
    found = times("yesterday", spring)
    assert found is not None
    assert found.until - found.since == 23 * 3600 * 1_000_000_000
    cairo = datetime(2026, 4, 25, 12, 0, tzinfo=ZoneInfo("Africa/Cairo"))
    skipped = times("yesterday", cairo)
    assert skipped is not None
    assert skipped.until - skipped.since == 23 * 3600 * 1_000_000_000
