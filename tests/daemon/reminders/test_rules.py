"""When rules and times come: in zones, at both changes of daylight saving, and never."""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import Final

import pytest

from daemon.reminders.rules import (
    COUNTED,
    LATE,
    SECOND,
    BadRule,
    check_rule,
    coming,
    lateness,
    local,
    missed,
    moment,
    nanoseconds,
    next_after,
    quiet_until,
)
from proto.zones import BadHours, UnknownZone, quiet_span, zone_of

OSLO: Final = zone_of("Europe/Oslo")
NEW_YORK: Final = zone_of("America/New_York")


def times(rule: str, zone: str, after: str, count: int = 4) -> list[str]:
    """The next times of a rule, as the clock shows them."""
    where = zone_of(zone)
    return [local(at, where).isoformat() for at in islice(coming(rule, where, moment(after, where)), count)]


@pytest.mark.parametrize(
    ("zone", "night", "before", "after"),
    [
        ("Europe/Oslo", "2026-03-29", "+01:00", "+02:00"),
        ("America/New_York", "2026-03-08", "-05:00", "-04:00"),
    ],
)
def test_spring(zone: str, night: str, before: str, after: str) -> None:
    """A rule for the hour that is missing comes once, at its end; a rule for every half hour goes by passing time."""
    assert times("30 2 * * *", zone, f"{night}T01:00", 1) == [f"{night}T03:00:00{after}"]
    assert times("0,20,40 2 * * *", zone, f"{night}T01:00", 2)[0] == f"{night}T03:00:00{after}"
    assert times("0,20,40 2 * * *", zone, f"{night}T01:00", 2)[1] > f"{night}T23"
    assert times("*/30 * * * *", zone, f"{night}T00:59", 4) == [
        f"{night}T01:00:00{before}",
        f"{night}T01:30:00{before}",
        f"{night}T03:00:00{after}",
        f"{night}T03:30:00{after}",
    ]
    assert times("0 8 * * *", zone, f"{night}T01:00", 1) == [f"{night}T08:00:00{after}"]


@pytest.mark.parametrize(
    ("zone", "night", "hour", "before", "after"),
    [
        ("Europe/Oslo", "2026-10-25", "02", "+02:00", "+01:00"),
        ("America/New_York", "2026-11-01", "01", "-04:00", "-05:00"),
    ],
)
def test_autumn(zone: str, night: str, hour: str, before: str, after: str) -> None:
    """A rule for the hour that comes twice comes once, the first time; also when it is looked for in the second."""
    rule = f"30 {int(hour)} * * *"
    assert times(rule, zone, f"{night}T00:30", 1) == [f"{night}T{hour}:30:00{before}"]
    assert times(rule, zone, f"{night}T{hour}:30:00{before}", 1)[0] > f"{night}T23"
    assert times(rule, zone, f"{night}T{hour}:10:00{after}", 1)[0] > f"{night}T23"
    assert times("*/30 * * * *", zone, f"{night}T{hour}:29:00{before}", 4) == [
        f"{night}T{hour}:30:00{before}",
        f"{night}T{hour}:00:00{after}",
        f"{night}T{hour}:30:00{after}",
        f"{night}T{int(hour) + 1:02}:00:00{after}",
    ]


def test_times_without_an_offset_are_those_on_the_clock() -> None:
    """In the missing hour it is as late as the clock would have been, in the hour that comes twice the first."""
    assert local(moment("2026-03-29T02:30", OSLO), OSLO).isoformat() == "2026-03-29T03:30:00+02:00"
    assert local(moment("2026-10-25T02:30", OSLO), OSLO).isoformat() == "2026-10-25T02:30:00+02:00"
    assert moment("2026-12-01T08:00:00+01:00", NEW_YORK) == moment("2026-12-01T08:00", OSLO)
    assert moment("2026-12-01", OSLO) == nanoseconds(datetime.fromisoformat("2026-11-30T23:00:00+00:00"))


@pytest.mark.parametrize("text", ["", "soon", "2026-13-01", "9" * 400, "12:00"])
def test_what_is_no_time(text: str) -> None:
    """The answer says what a time looks like."""
    with pytest.raises(BadRule, match="Send ISO 8601"):
        moment(text, OSLO)


@pytest.mark.parametrize(
    "rule", ["", "* * * *", "* * * * * *", "61 * * * *", "0 24 * * *", "@daily", "a b c d e", "0 0 30 2 *", "*" * 300]
)
def test_what_is_no_rule(rule: str) -> None:
    """It is refused with what to do."""
    with pytest.raises(BadRule, match=r"cron (needs five fields|cannot be taken)"):
        check_rule(rule)


def test_a_rule_that_never_comes() -> None:
    """The second Sunday is never the 1st or the 31st; the search ends."""
    assert next_after(check_rule("0 0 */30 * 0#2"), OSLO, moment("2026-01-01", OSLO)) is None
    assert next_after(check_rule(" 0  0 29 2 * "), OSLO, moment("2026-03-01", OSLO)) == moment("2028-02-29", OSLO)


def test_missed_repetitions_are_counted_up_to_a_bound() -> None:
    """A year of minutes is counted no further than anybody wants to know."""
    due = moment("2026-01-01", OSLO)
    assert missed("0 8 * * *", OSLO, moment("2026-01-01T08:00", OSLO), moment("2026-01-03T09:00", OSLO)) == 3
    assert missed("0 8 * * *", OSLO, moment("2026-01-01T08:00", OSLO), moment("2026-01-01T08:00", OSLO)) == 1
    assert missed("* * * * *", OSLO, due, moment("2027-01-01", OSLO)) == COUNTED + 1


def test_what_is_told_late_says_when_it_was_meant() -> None:
    """Not for seconds; with the number of times for a routine."""
    due = moment("2026-11-27T08:00", OSLO)
    assert lateness(due, due + LATE, OSLO, 1) == ""
    assert lateness(due, due + LATE + 1, OSLO, 1) == "(This was due on Friday, 27 November 2026, 08:00.)"
    assert lateness(due, due + SECOND, OSLO, 3) == "(This was due 3 times since Friday, 27 November 2026, 08:00.)"
    assert "more than 1000 times" in lateness(due, due, OSLO, COUNTED + 1)


@pytest.mark.parametrize(
    ("quiet", "at", "end"),
    [
        ("22:00-07:00", "2026-11-27T22:00", "2026-11-28T07:00"),
        ("22:00-07:00", "2026-11-28T06:59", "2026-11-28T07:00"),
        ("22:00-07:00", "2026-11-28T07:00", None),
        ("22:00-07:00", "2026-11-27T21:59", None),
        ("13:00-14:30", "2026-11-27T13:00", "2026-11-27T14:30"),
        ("13:00-14:30", "2026-11-27T12:59", None),
        ("", "2026-11-27T03:00", None),
        ("22:00-02:30", "2026-10-25T02:10:00+01:00", "2026-10-25T02:11:00+01:00"),
    ],
)
def test_quiet_hours(quiet: str, at: str, end: str | None) -> None:
    """They may go over midnight; their end is always later."""
    found = quiet_until(quiet, OSLO, moment(at, OSLO))
    assert found == (moment(end, OSLO) if end else None)


@pytest.mark.parametrize("quiet", ["22-7", "22:00-22:00", "24:00-07:00", "22:00-07:00 ", "²2:00-07:00", "\n"])
def test_what_are_no_quiet_hours(quiet: str) -> None:
    """The answer says what they look like."""
    with pytest.raises(BadHours, match="22:00-07:00"):
        quiet_span(quiet)


@pytest.mark.parametrize(
    "name", ["Mars/One", "Europe", "../../etc/passwd", "/etc/localtime", "x" * 5000, "Østlandet", "\x00"]
)
def test_what_is_no_zone(name: str) -> None:
    """The answer says what a name looks like."""
    with pytest.raises(UnknownZone, match="IANA name such as Europe/Oslo"):
        zone_of(name)
