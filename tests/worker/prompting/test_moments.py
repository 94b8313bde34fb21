"""A prompt shows when things were said, in her person's zone, with few words."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from proto.messages import Line, Perception
from proto.records import Organ, Persona
from proto.zones import zone_of
from worker.prompting.moments import MARK_TOKENS, marks, now_in, silence
from worker.prompting.prompt import HISTORY_TOKENS, Prompt
from worker.prompting.size import tokens

OSLO: Final = zone_of("Europe/Oslo")
NOW: Final = datetime(2026, 11, 27, 9, 5, tzinfo=OSLO)
ADAM: Final = Persona("6c17c83c-3158-450d-8e43-0e7efea717c1", "Adam", Organ("m"))


def line(role: str, when: str) -> Line:
    """Something that was said at a time in Oslo."""
    at = datetime.fromisoformat(when).replace(tzinfo=OSLO)
    return Line("person" if role == "person" else "assistant", f"{role} at {when}", int(at.timestamp()) * 10**9)


def test_a_mark_stands_where_the_day_changes_or_hours_pass() -> None:
    """The first line has one unless it is of just now; the offset of its own day counts."""
    talk = [
        line("person", "2026-10-24T23:59"),
        line("assistant", "2026-10-25T00:00"),
        line("person", "2026-10-25T01:00"),
        line("person", "2026-10-25T12:00"),
        line("assistant", "2026-11-27T09:00"),
    ]
    assert marks(talk, NOW) == [
        "(Saturday, 24 October 2026, 23:59)",
        "(Sunday, 25 October 2026, 00:00)",
        "",
        "(12:00)",
        "(Friday, 27 November 2026, 09:00)",
    ]
    assert marks(talk[-1:], NOW) == [""]
    assert marks([line("person", "2026-11-27T01:00")], NOW) == ["(01:00)"]


def test_marks_are_never_her_own_words() -> None:
    """They stand in turns of the person, or she would begin to write them."""
    talk = [line("assistant", "2026-11-25T09:00"), line("assistant", "2026-11-26T09:00")]
    turns = Prompt(ADAM, {}, talk, [Perception(1, "text", "hi", 1)], NOW).turns()[1:]
    assert [(turn.role, turn.content) for turn in turns] == [
        ("user", "(Wednesday, 25 November 2026, 09:00)"),
        ("assistant", "assistant at 2026-11-25T09:00"),
        ("user", "(Thursday, 26 November 2026, 09:00)"),
        ("assistant", "assistant at 2026-11-26T09:00"),
        ("user", "hi"),
    ]


def test_a_silence_is_told() -> None:
    """In the text about her, so that the new message stays as it is."""
    system = Prompt(ADAM, {}, [line("person", "2026-11-24T08:00")], [Perception(1, "text", "hi", 1)], NOW).system()
    assert "the last words here were said at Tuesday, 24 November 2026, 08:00." in system
    assert silence([line("person", "2026-11-27T03:00")], NOW).endswith("at 03:00 today.")
    assert silence([line("person", "2026-11-27T08:00")], NOW) == silence([], NOW) == ""


def test_marks_are_bounded() -> None:
    """With all marks the history stays within its bound, and a mark within its own."""
    longest = datetime(2026, 9, 30, 23, 59, tzinfo=OSLO)
    [mark] = marks([Line("person", "x", int(longest.timestamp()) * 10**9)], NOW)
    assert tokens(mark) <= MARK_TOKENS
    days = [Line("person", "word " * 20, day * 86_400 * 10**9) for day in range(19_000, 20_000)]
    turns = Prompt(ADAM, {}, days, [Perception(1, "text", "hi", 1)], NOW).turns()[1:]
    assert sum(tokens(turn.content) for turn in turns) <= HISTORY_TOKENS + 200


def test_now_is_in_the_persons_zone() -> None:
    """A zone that the machine does not know falls back to the machine's."""
    assert now_in("Asia/Tokyo").tzinfo == zone_of("Asia/Tokyo")
    assert now_in("Mars/One").tzinfo is not None
