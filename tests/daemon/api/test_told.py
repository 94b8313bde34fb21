"""What the embedded mind is told, it knows for good: no number of lines makes her forget it before she sleeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.daemon_process import DaemonProcess, wait_for
from tests.listener import Listener

WINDOW = 40
"""The lines of the conversation that a turn is given, as ``history_lines`` has it."""


@pytest.fixture
def adam(front: DaemonProcess) -> Iterator[str]:
    """A persona with the embedded mind, whose questions here are all answered by code."""
    persona_id = front.create("Adam")
    yield persona_id
    front.http.post(f"/api/persona/{persona_id}/delete")


def answers(front: DaemonProcess, listener: Listener, persona_id: str, words: str) -> str:
    """Say this to her and return what she answers."""
    before = len(listener.words)
    front.read(persona_id, words)
    wait_for(lambda: len(listener.words) > before, "her answer")
    return listener.words[before]


def test_a_noted_fact_outlives_the_window_of_the_conversation(front: DaemonProcess, adam: str) -> None:
    """A fact is in her memory soon after it was said, and is found when its line is far behind the newest ones."""
    with Listener(front, adam) as listener:
        assert answers(front, listener, adam, "Please remember that the cellar key hangs in the shed") == (
            "I will remember that."
        )
        for _ in range(WINDOW // 2 + 1):
            answers(front, listener, adam, "What is your name?")
        found = answers(front, listener, adam, "Where does the cellar key hang?")

    assert found == "You asked me to remember: the cellar key hangs in the shed."
    assert known(front, adam) == "- Remember: the cellar key hangs in the shed\n"


def test_facts_told_at_once_are_all_kept(front: DaemonProcess, adam: str) -> None:
    """What is told while the facts before it are being folded is not left for later."""
    with Listener(front, adam):
        for number in range(30):
            front.read(adam, f"Remember that door {number} is locked")
        wait_for(lambda: known(front, adam).count(" is locked\n") == 30, "all facts in her memory")


def test_a_new_embedded_mind_folds_what_was_left(front: DaemonProcess, make: Callable[..., str]) -> None:
    """What another mind was told and had not consolidated is in her memory once the embedded mind runs."""
    eve = make()
    with Listener(front, eve) as listener:
        answers(front, listener, eve, "My name is Sam")
    before = known(front, eve)
    embedded = {"thinking": {"model": "smollm2-135m-instruct", "provider": "embedded"}}
    assert front.http.post(f"/api/persona/{eve}/update", json=embedded).status_code == 200

    wait_for(lambda: known(front, eve) == "- Name: Sam\n", "her memory")
    assert before == ""


def known(front: DaemonProcess, persona_id: str) -> str:
    """Return her file about the person."""
    memory: dict[str, str] = front.http.get(f"/api/persona/{persona_id}/knowledge").json()["memory"]
    return memory.get("person", "")
