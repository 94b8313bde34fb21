"""Plain English about time: what each phrase means on a Friday evening in Oslo, and what is no time at all."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest

from worker.organs.english_days import BOTH_ORDERS
from worker.organs.english_parts import UNDATED, Unclear
from worker.organs.english_rules import NOT_REPEATED
from worker.organs.english_times import moment_of, read, rule_of
from worker.prompting.rules import rule_in_words

OSLO = ZoneInfo("Europe/Oslo")
NOW = datetime(2026, 11, 27, 19, 20, tzinfo=OSLO)
"""A Friday."""


def meant(phrase: str, now: datetime = NOW, *, wakes: bool = False) -> str:
    """The local time that a phrase means, or "" when it is none."""
    said = read(phrase, now.date())
    return moment_of(said, now, wakes=wakes).isoformat(" ", "minutes")[:16] if said else ""


def repeated(phrase: str) -> str:
    """The cron rule that a phrase means."""
    said = read(phrase, NOW.date())
    assert said
    assert said.rule
    return rule_of(said)


@pytest.mark.parametrize(
    ("phrase", "moment"),
    [
        ("in 20 minutes", "2026-11-27 19:40"),
        ("in an hour", "2026-11-27 20:20"),
        ("in half an hour", "2026-11-27 19:50"),
        ("in three quarters of an hour", "2026-11-27 20:05"),
        ("in an hour and a half", "2026-11-27 20:50"),
        ("in one and a half hours", "2026-11-27 20:50"),
        ("in two hours and 15 minutes", "2026-11-27 21:35"),
        ("in 1.5 hours", "2026-11-27 20:50"),
        ("in 2h", "2026-11-27 21:20"),
        ("20 minutes from now", "2026-11-27 19:40"),
        ("in 3 hours time", "2026-11-27 22:20"),
        ("in three days at 8", "2026-11-30 08:00"),
        ("in a week", "2026-12-04 19:20"),
        ("in 3 months", "2027-02-27 19:20"),
        ("tomorrow", "2026-11-28 09:00"),
        ("tomorrow at 8", "2026-11-28 08:00"),
        ("at 8 tomorrow", "2026-11-28 08:00"),
        ("tomorrow morning", "2026-11-28 08:00"),
        ("tomorrow at midnight", "2026-11-29 00:00"),
        ("the day after tomorrow in the evening", "2026-11-29 19:00"),
        ("tonight", "2026-11-27 20:00"),
        ("tonight at 8", "2026-11-27 20:00"),
        ("tonight at one", "2026-11-28 01:00"),
        ("today", "2026-11-27 21:00"),
        ("at noon", "2026-11-28 12:00"),
        ("at midnight", "2026-11-28 00:00"),
        ("at half past 8", "2026-11-27 20:30"),
        ("at a quarter to nine", "2026-11-27 20:45"),
        ("at 18:30", "2026-11-28 18:30"),
        ("at 1830", "2026-11-28 18:30"),
        ("8 pm tomorrow", "2026-11-28 20:00"),
        ("on friday at noon", "2026-12-04 12:00"),
        ("on friday at 21:00", "2026-11-27 21:00"),
        ("next friday", "2026-12-04 09:00"),
        ("on sunday morning", "2026-11-29 08:00"),
        ("at the weekend", "2026-11-28 09:00"),
        ("next week", "2026-11-30 09:00"),
        ("next month", "2026-12-01 09:00"),
        ("on the 1st", "2026-12-01 09:00"),
        ("on the 31st at 10", "2026-12-31 10:00"),
        ("on 3 december", "2026-12-03 09:00"),
        ("december 3rd, 2027 at 9 am", "2027-12-03 09:00"),
        ("on the 3rd of december at 10", "2026-12-03 10:00"),
        ("2026-12-01 at 8", "2026-12-01 08:00"),
        ("24.12. at 18:00", "2026-12-24 18:00"),
        ("24/12", "2026-12-24 09:00"),
        ("12/24", "2026-12-24 09:00"),
        ("12/12", "2026-12-12 09:00"),
        ("29 february", "2028-02-29 09:00"),
        ("1 may at 8", "2027-05-01 08:00"),
    ],
)
def test_a_moment_in_plain_english(phrase: str, moment: str) -> None:
    """Spans, days and times of the day, in any order, mean what a person means by them."""
    assert meant(phrase) == moment


@pytest.mark.parametrize(
    ("now", "moment"),
    [("14:00", "2026-11-27 15:00"), ("16:00", "2026-11-28 03:00"), ("02:00", "2026-11-27 03:00")],
)
def test_an_hour_alone_is_the_next_one(now: str, moment: str) -> None:
    """ "At 3" is before or after noon, whichever comes first."""
    assert meant("at 3", datetime.fromisoformat(f"2026-11-27 {now}").replace(tzinfo=OSLO)) == moment


def test_an_hour_of_another_day_is_in_the_daytime() -> None:
    """Tomorrow at 3 is in the afternoon, at 8 in the morning; who wants to be woken means the morning."""
    assert meant("tomorrow at 3") == "2026-11-28 15:00"
    assert meant("tomorrow at 8") == "2026-11-28 08:00"
    assert meant("at 5", wakes=True) == "2026-11-28 05:00"


def test_spans_pass_where_the_clocks_change() -> None:
    """In the night in which summer time ends, an hour is an hour, and tomorrow at 8 is what the clock shows."""
    night = datetime(2026, 10, 25, 1, 30, tzinfo=OSLO)
    said = read("in 2 hours", night.date())
    assert said
    assert moment_of(said, night).isoformat() == "2026-10-25T02:30:00+01:00"
    said = read("tomorrow at 8", date(2026, 3, 28))
    assert said
    assert moment_of(said, datetime(2026, 3, 28, 12, tzinfo=OSLO)).isoformat() == "2026-03-29T08:00:00+02:00"


def test_an_hour_that_is_missing_is_told_after_it() -> None:
    """02:30 does not exist in the night in which summer time begins: it is told as long after 2 as was meant."""
    before = datetime(2026, 3, 28, 12, tzinfo=OSLO)
    said = read("tomorrow at 02:30", before.date())
    assert said
    assert moment_of(said, before).isoformat() == "2026-03-29T03:30:00+02:00"


@pytest.mark.parametrize(
    ("phrase", "cron", "words"),
    [
        ("every day at 8", "0 8 * * *", "every day at 08:00"),
        ("at 8 every day", "0 8 * * *", "every day at 08:00"),
        ("daily at 7 pm", "0 19 * * *", "every day at 19:00"),
        ("every weekday at 8", "0 8 * * 1-5", "every weekday at 08:00"),
        ("on weekdays at 7", "0 7 * * 1-5", "every weekday at 07:00"),
        ("every weekend", "0 9 * * 0,6", "every weekend at 09:00"),
        ("every morning", "0 8 * * *", "every day at 08:00"),
        ("every evening at 9", "0 21 * * *", "every day at 21:00"),
        ("every day at 8 and 20", "0 8,20 * * *", "every day at 08:00 and 20:00"),
        ("every monday and thursday at 18:30", "30 18 * * 1,4", "every Monday and Thursday at 18:30"),
        ("every mon, wed and fri at 6:30", "30 6 * * 1,3,5", "every Monday, Wednesday and Friday at 06:30"),
        ("on mondays at 10", "0 10 * * 1", "every Monday at 10:00"),
        ("every sunday evening", "0 19 * * 0", "every Sunday at 19:00"),
        ("every week on tuesday at 3", "0 15 * * 2", "every Tuesday at 15:00"),
        ("every week", "0 9 * * 5", "every Friday at 09:00"),
        ("on the 1st of each month", "0 9 1 * *", "on the 1st of each month at 09:00"),
        ("on the 1st and 15th of every month at 10", "0 10 1,15 * *", "on the 1st and 15th of each month at 10:00"),
        ("every month on the 15th", "0 9 15 * *", "on the 15th of each month at 09:00"),
        ("on the last day of each month at 18:00", "0 18 L * *", "on the last day of each month at 18:00"),
        ("on the first monday of every month at 9", "0 9 * * 1#1", "on the first Monday of each month at 09:00"),
        ("every year on 24 december at 8", "0 8 24 12 *", "every year on 24 December at 08:00"),
        ("every hour", "0 * * * *", "every hour"),
        ("every 2 hours", "0 */2 * * *", "every 2 hours"),
        ("every half hour", "*/30 * * * *", "every 30 minutes"),
    ],
)
def test_a_repetition_in_plain_english(phrase: str, cron: str, words: str) -> None:
    """A repetition becomes a cron rule, and the rule is told in words again."""
    assert repeated(phrase) == cron
    assert rule_in_words(cron) == words


@pytest.mark.parametrize("cron", ["0 8 1 * 1", "0 8 * 3 *", "1-5 8 * * *", "nonsense", "0 8 * * MON"])
def test_a_rule_without_plain_words_is_quoted(cron: str) -> None:
    """A rule that somebody wrote by hand is shown as it is."""
    assert rule_in_words(cron) == f"by the rule {cron}"


@pytest.mark.parametrize(
    ("phrase", "reason"),
    [
        ("on 3/4", BOTH_ORDERS),
        ("on 31 february", UNDATED),
        ("on 2027-02-29", UNDATED),
        ("on the 32nd", UNDATED),
        ("at 25", "There is no such time of the day."),
        ("at 13 pm", "There is no such time of the day."),
        ("every other day", NOT_REPEATED),
        ("every two weeks", NOT_REPEATED),
        ("every 7 minutes", NOT_REPEATED),
        ("in 9999 years", "That is too far away for me."),
    ],
)
def test_what_has_no_meaning_is_refused_with_the_reason(phrase: str, reason: str) -> None:
    """A phrase about time that means nothing, or two things, is not guessed."""
    with pytest.raises(Unclear, match=reason.split(":", maxsplit=1)[0].split("(", maxsplit=1)[0]):
        read(phrase, NOW.date())


@pytest.mark.parametrize("phrase", ["at 8 and at 9", "tomorrow at 8 and 20"])
def test_several_times_of_one_day_are_refused(phrase: str) -> None:
    """A reminder has one time."""
    said = read(phrase, NOW.date())
    assert said
    with pytest.raises(Unclear):
        moment_of(said, NOW)


def test_times_with_different_minutes_are_refused() -> None:
    """No single cron rule says 8:00 and 18:30."""
    with pytest.raises(Unclear):
        repeated("every day at 8 and at 18:30")


@pytest.mark.parametrize(
    "phrase",
    ["", "blue", "tomorrow blue", "every blue moon", "at", "and", "tomorrow and", "in", "tomorrow friday", "x" * 5000],
)
def test_what_is_not_about_time_is_nothing(phrase: str) -> None:
    """Only a phrase that is about time from its beginning to its end is read."""
    assert read(phrase, NOW.date()) is None
