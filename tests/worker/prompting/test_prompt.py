"""The prompt of a turn: its bounds and its texts."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from proto.messages import Line, Perception
from proto.records import Organ, Persona
from worker.prompting.prompt import HISTORY_TOKENS, NEW_CHARS, Prompt, age, take
from worker.prompting.remembered import MEMORY_FILE_CHARS
from worker.prompting.size import CHARS_A_TOKEN

NOW = datetime.fromisoformat("2026-11-22T09:05:00+01:00")
ADAM = Persona("6c17c83c-3158-450d-8e43-0e7efea717c1", "Adam", Organ("m"))


def words(identity: int, content: str) -> Perception:
    return Perception(identity, "text", content, identity)


@pytest.mark.parametrize(
    ("birthday", "words"),
    [
        ("2023-11-22", "3 years"),
        ("2023-11-23", "2 years"),
        ("2025-11-22", "1 year"),
        ("2026-11-21", "1 day"),
        ("2026-11-22", "0 days"),
        ("2026-11-23", ""),
        ("", ""),
        ("yesterday", ""),
    ],
)
def test_age(birthday: str, words: str) -> None:
    """Age is in whole years, in days during the first year, and left out without a past birthday."""
    assert age(birthday, date(2026, 11, 22)) == words


def test_old_lines_are_left_out() -> None:
    """History is bounded: the newest lines that fit are kept, in order."""
    today = int(NOW.timestamp()) * 1_000_000_000
    history = [Line("person" if at % 2 else "assistant", f"{at} " + "x" * 9_000, today + at) for at in range(10)]
    talk = Prompt(ADAM, {}, history, [words(1, "now")], NOW).turns()[1:]
    assert [turn.content.split()[0] for turn in talk] == ["7", "8", "9"]
    assert sum(len(turn.content) for turn in talk) <= HISTORY_TOKENS * CHARS_A_TOKEN + 10


def test_new_messages_are_taken_up_to_a_bound() -> None:
    """The oldest new messages that fit are taken, and at least one whatever its length."""
    assert take([words(1, "x" * (NEW_CHARS + 1)), words(2, "y")], {}) == [words(1, "x" * (NEW_CHARS + 1))]
    assert take([words(1, "x"), words(2, "y")], {}) == [words(1, "x"), words(2, "y")]


def test_a_channels_instructions_are_never_left_out() -> None:
    """Where the mind has little room, the history goes first, and fewer messages are taken."""
    asked = "Sell tickets only. " * 40
    history = [Line("person", "long ago " * 50, 1)]
    prompt = Prompt(ADAM, {}, history, [words(1, "hi")], NOW, visitor="Bo", room=400, instructions=asked)
    assert asked.strip() in prompt.system()
    assert [turn.content for turn in prompt.turns()[1:]] == ["hi"]
    new = [words(1, "x" * 400), words(2, "y" * 400)]
    assert take(new, {}, 400) == new
    assert take(new, {}, 400, asked) == new[:1]


def test_memory_comes_in_order_below_its_headings() -> None:
    """Memory files come in the documented order, with their own headings nested, and bounded."""
    memory = {"zoo": "- a lion", "traits": "# Sam\n- calm", "person": "x" * (MEMORY_FILE_CHARS + 1), "wishes": "\n"}
    system = Prompt(ADAM, memory, [], [words(1, "hi")], NOW).system()
    headings = [line for line in system.splitlines() if line.startswith("#")]
    assert headings == ["## The person you talk with", "## How the person is", "### Sam", "## zoo"]
    assert "(The rest is left out.)" in system


def test_the_time_is_known() -> None:
    """She knows the day and the time."""
    assert "Sunday, 22 November 2026, 09:05" in Prompt(ADAM, {}, [], [words(1, "hi")], NOW).system()
