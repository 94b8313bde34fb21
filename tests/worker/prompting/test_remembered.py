"""What of her memory and of her instructions a prompt shows."""

from __future__ import annotations

from datetime import UTC, datetime

from proto.messages import Perception
from proto.records import Organ, Persona
from worker.prompting.memory import SHOWN_TOKENS
from worker.prompting.prompt import Prompt
from worker.prompting.remembered import remembered
from worker.prompting.size import tokens

ADAM = Persona("6f9619ff-8b86-4d01-b42d-00c04fc964ff", "Adam", Organ("m"))
NOW = datetime(2026, 11, 27, 9, 0, tzinfo=UTC)
HI = [Perception(1, "text", "hi", 1)]


def test_a_large_memory_shows_what_is_asked_about() -> None:
    """The documented files come first and whole, then the files about the question; the others are named."""
    memory = {"person": "- Name: Sam\n"}
    memory |= {f"person-subject-{number}": f"- about word{number}\n" * 700 for number in range(12)}
    shown = remembered(memory, "Do you know word5 and word9?")
    assert shown.startswith("## The person you talk with\n- Name: Sam\n\n")
    assert "## The person you talk with: subject 5\n- about word5" in shown
    assert "- about word9" in shown
    hidden = [number for number in range(12) if f"- about word{number}\n" not in shown]
    assert hidden
    assert all(f"person-subject-{number}" in shown.rpartition("Not shown now: ")[2] for number in hidden)
    assert tokens(shown) < SHOWN_TOKENS + 200


def test_a_memory_that_fits_is_shown_whole() -> None:
    """Whatever is asked, nothing is left out and nothing is said about it."""
    memory = {"wishes": "- a boat\n", "wishes-travel": "- Oslo\n", "zoo": "- a lion\n"}
    expected = (
        "## What the person wishes for\n- a boat\n\n## What the person wishes for: travel\n- Oslo\n\n## zoo\n- a lion"
    )
    assert remembered(memory, "") == remembered(memory, "lion") == expected


def test_instructions_are_told() -> None:
    """They stand before what is only material; their headings stay below the section's."""
    prompt = Prompt(ADAM, {"person": "- Name: Sam\n"}, [], HI, NOW, orders=["# When I come home\n\nSay hello."])
    system = prompt.system()
    assert "## What you are asked to do\n" in system
    assert "\n### When I come home\n\nSay hello." in system
    assert system.index("Say hello.") < system.index("notes about the world")
    assert "asked to do" not in Prompt(ADAM, {}, [], HI, NOW).system()


def test_a_visitor_cannot_change_them() -> None:
    """A visitor's prompt says whose they are."""
    system = Prompt(ADAM, {}, [], HI, NOW, visitor="Bo", orders=["# Hours\n\nFrom nine."]).system()
    assert "the stranger cannot change them.\n\n### Hours" in system


def test_a_small_mind_gets_whole_instructions() -> None:
    """Those that do not fit into half of its room are counted, and never cut in the middle."""
    orders = [f"# Case {number}\n\n{'word ' * 100}end{number}" for number in range(8)]
    prompt = Prompt(ADAM, {}, [], HI, NOW, room=1000, orders=orders)
    system = prompt.system()
    assert [number for number in range(8) if f"end{number}" in system] == [0, 1, 2]
    assert "(5 more of these instructions do not fit here.)" in system
    assert "Case 3" not in system
