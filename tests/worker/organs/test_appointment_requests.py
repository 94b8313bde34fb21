"""Which sentences ask for an appointment, and what they ask for."""

from __future__ import annotations

from datetime import date

import pytest

from worker.organs.appointment_requests import ASKS_WHEN, Cancelled, Listed, Unread, Wanted, completed, request_of

FRIDAY = date(2026, 11, 27)


@pytest.mark.parametrize(
    ("sentence", "body", "wording"),
    [
        ("Remind me in 20 minutes to water the fern.", "water the fern", "in 20 minutes"),
        ("remind me tomorrow at 8 to call Eva", "call Eva", "tomorrow at 8"),
        ("Remind me at 5 p.m. to leave", "leave", "at 5 pm"),
        ("Hey Adam, could you please remind me on Friday at noon that the bins go out?", "the bins go out", None),
        ("remind me to stretch in an hour and a half", "stretch", "in an hour and a half"),
        ("remind me about the dentist tomorrow at 9 a.m.", "the dentist", "tomorrow at 9 am"),
        ("remind me to buy 3 apples tomorrow", "buy 3 apples", "tomorrow"),
        ("remind me tomorrow to call Eva at 8", "call Eva", "tomorrow at 8"),
        ("remind me: dentist, tomorrow at 10", "dentist", "tomorrow at 10"),
        ("Tomorrow, remind me to pay", "pay", "Tomorrow"),
        ("tonight remind me to lock the door", "lock the door", "tonight"),
        ("Don't forget to remind me at 8 to call Eva", "call Eva", "at 8"),
        ("set a reminder for 8 to call Eva", "call Eva", None),
        ("set a timer for 10 minutes", "your timer is up", None),
        ("set an alarm for 7", "your alarm", None),
        ("wake me up at 6:30", "wake up", "at 6:30"),
        ("tell me to go home at 5", "go home", "at 5"),
        ("every Monday and Thursday at 18:30 remind me to take my pills", "take my pills", None),
        ("remind me to water the fern every Sunday at 10", "water the fern", "every Sunday at 10"),
        ("on the 1st of each month remind me to pay the rent", "pay the rent", "on the 1st of each month"),
        ("tell me every Friday at 17:00 to fill in the time sheet", "fill in the time sheet", None),
    ],
)
def test_a_reminder_is_asked_for(sentence: str, body: str, wording: str | None) -> None:
    """What is to be told, and the words of its time, wherever they stand."""
    wanted = request_of(sentence, FRIDAY)
    assert isinstance(wanted, Wanted)
    assert (wanted.body, wanted.task) == (body, False)
    assert wording is None or wanted.wording == wording


@pytest.mark.parametrize(
    ("sentence", "body"),
    [
        ("every weekday at 8 tell me the news", "tell me the news"),
        ("every morning wish me a good day", "wish me a good day"),
        ("ask me tomorrow at 9 how it went", "ask me how it went"),
    ],
)
def test_what_she_is_to_do_herself_is_a_task(sentence: str, body: str) -> None:
    """Only "to" and "that" hand her the words; everything else is for her mind."""
    wanted = request_of(sentence, FRIDAY)
    assert isinstance(wanted, Wanted)
    assert (wanted.body, wanted.task) == (body, True)


@pytest.mark.parametrize(
    "sentence",
    [
        "She reminded me of Rome",
        "You remind me of my sister.",
        "remind me who Eva is",
        "Can you remind me how to cook rice?",
        "Could you remind me what we planned for tomorrow?",
        "remind me what I said about Rome",
        "remind me of Eva's birthday",
        "Every time I see you, you remind me of her",
        "every morning I drink coffee",
        "I wake up every day at 7",
        "tell me a joke",
        "tell me at what time the train leaves",
        "On Friday I will see Eva",
        "What is planned obsolescence?",
        "delete my file",
        "forget the fern",
        "Did you remind me yesterday?",
        "My alarm rang at 7",
        "",
        "?",
    ],
)
def test_what_asks_for_no_appointment(sentence: str) -> None:
    """Recall, stories and statements are left to the rest of her."""
    assert request_of(sentence, FRIDAY) is None


@pytest.mark.parametrize(
    ("sentence", "says"),
    [
        ("remind me to call Eva", f"{ASKS_WHEN} Say, for example: remind me tomorrow at 8 to call Eva."),
        ("remind me", "What shall I remind you of? Say, for example: remind me tomorrow at 8 to water the fern."),
        ("remind me tomorrow", "What shall I remind you of? Say, for example: remind me tomorrow to water the fern."),
        (
            "remind me soonish to dance",
            "I cannot read when that is. Say, for example: remind me tomorrow at 8 to dance.",
        ),
    ],
)
def test_a_request_that_cannot_be_read_is_answered_with_an_example(sentence: str, says: str) -> None:
    """The example is one that she reads."""
    unread = request_of(sentence, FRIDAY)
    assert unread == Unread(says)
    assert isinstance(request_of(says.partition(": ")[2], FRIDAY), Wanted)


@pytest.mark.parametrize("sentence", ["remind me on 3/4 to pay", "remind me every other day to run"])
def test_a_time_without_meaning_is_answered_with_the_reason_and_an_example(sentence: str) -> None:
    """The person learns what to say instead."""
    unread = request_of(sentence, FRIDAY)
    assert isinstance(unread, Unread)
    assert isinstance(request_of(unread.answer.partition("for example: ")[2], FRIDAY), Wanted)


@pytest.mark.parametrize(
    ("before", "words", "wording"),
    [
        ("remind me to call Eva", "tomorrow at 8", "tomorrow at 8"),
        ("Remind me to call Eva.", "8", "at 8"),
        ("remind me to call Eva", "20 minutes", "in 20 minutes"),
    ],
)
def test_the_time_may_follow(before: str, words: str, wording: str) -> None:
    """Asked when, the person may say the time alone."""
    wanted = completed(before, words, FRIDAY)
    assert isinstance(wanted, Wanted)
    assert (wanted.body, wanted.wording) == ("call Eva", wording)


def test_what_follows_may_be_something_else() -> None:
    """Who changes the subject is not held to it."""
    assert completed("remind me to call Eva", "never mind", FRIDAY) is None


@pytest.mark.parametrize(
    ("sentence", "about"),
    [
        ("What have you planned?", ""),
        ("what reminders do I have", ""),
        ("What's planned for tomorrow?", "tomorrow"),
        ("do I have any reminders", ""),
        ("list my appointments", ""),
        ("My reminders, please", ""),
        ("When will you remind me about the fern?", "the fern"),
        ("anything planned on Friday?", "on Friday"),
    ],
)
def test_the_question_what_is_planned(sentence: str, about: str) -> None:
    """All of it, a day's, or what is about something."""
    assert request_of(sentence, FRIDAY) == Listed(about)


@pytest.mark.parametrize(
    ("sentence", "about"),
    [
        ("cancel the fern", "the fern"),
        ("Please cancel the reminder about the fern.", "the reminder about the fern"),
        ("delete the reminder about the fern", "the reminder about the fern"),
        ("don't remind me about the fern any more", "the fern"),
        ("stop reminding me to call Eva", "call Eva"),
    ],
)
def test_the_wish_to_cancel(sentence: str, about: str) -> None:
    """ "Cancel" is enough; "delete" may be about anything, so it has to name a reminder."""
    assert request_of(sentence, FRIDAY) == Cancelled(about)
