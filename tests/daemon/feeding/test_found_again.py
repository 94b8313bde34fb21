"""What was fed is found again by her owner's words, and so is what was said: over HTTP, in the prompt of her mind."""

from __future__ import annotations

from tests.daemon.api.archives import exported, restored
from tests.daemon.feeding.feeding import LearningMind, export, feed
from tests.daemon_process import DaemonProcess
from tests.listener import Listener


def prompt(daemon: DaemonProcess, mind: LearningMind, persona_id: str, words: str) -> str:
    """Say this to her and wait for her answer; returns the system prompt that her mind got for it."""
    with Listener(daemon, persona_id) as listener:
        assert daemon.read(persona_id, words).status_code == 200
        listener.hears(words)
    messages = next(
        entry.body["messages"] for entry in mind.asked("completions") if entry.body["messages"][-1]["content"] == words
    )
    return str(messages[0]["content"])


def test_what_was_fed_is_found_again(kitchen: DaemonProcess, eve: str, mind: LearningMind) -> None:
    """With the product and its date; also by a persona that is restored from her archive, and not by another one."""
    feed(kitchen, eve, export(["fact-1", "fact-2"]))
    told = prompt(kitchen, mind, eve, "Which fact-2 did I mention?")
    assert "2023" in told.partition('(chatgpt, "fact-2"), the person:\n  > remember fact-2')[0].rpartition("- ")[2]
    twin = restored(kitchen, exported(kitchen, eve), new_id="true").json()["persona"]["id"]
    assert "> remember fact-2" in prompt(kitchen, mind, twin, "And which fact-2 is that?")
    kitchen.http.post(f"/api/persona/{twin}/delete")


def test_nothing_found_is_told_to_her_mind(kitchen: DaemonProcess, eve: str, mind: LearningMind) -> None:
    """A question about what was never said: she is to say so."""
    assert "nothing was found" in prompt(kitchen, mind, eve, "What did I tell you about the zeppelin?")
