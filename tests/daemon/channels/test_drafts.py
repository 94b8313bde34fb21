"""Her words in a person's chat while her mind is still speaking, through the whole daemon."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from tests.daemon.channels.stage import Stage
from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.scripted import ScriptedMind
from tests.emulators.server import Step
from tests.observed import worker
from tests.providers import Telegram, TelegramChat

ANSWER: Final = "Ferns like shade, and water in the evening."
HALF: Final = "Ferns like shade,"
"""What her mind says before it waits."""


@pytest.fixture
def stage(shared_daemon: DaemonProcess, brain: ScriptedMind, telegram: Telegram) -> Iterator[Stage]:
    """A persona with a Telegram bot, whose mind stops in the middle of what it says about ferns, until released."""
    said = iter((Step(text=ANSWER, failure="hang_mid"),))
    brain.answer = lambda text: next(said, Step(text=ANSWER)) if "ferns" in text else None
    try:
        with Stage(shared_daemon, brain, telegram) as stage:
            yield stage
    finally:
        brain.answer = lambda _: None
        brain.release()


def asks(stage: Stage, telegram: Telegram) -> TelegramChat:
    """Let a person ask about ferns, and return their chat once it shows the first words of the answer."""
    chat = stage.paired()
    assert isinstance(chat, TelegramChat)
    chat.write("what do ferns like?")
    wait_for(lambda: telegram.emulator.draft(chat.person.id) == HALF, "her first words in the chat")
    return chat


def test_words_appear_before_the_answer(stage: Stage, telegram: Telegram) -> None:
    """A person reads her first words while her mind still speaks; the answer comes once and takes the draft away."""
    chat = asks(stage, telegram)
    assert chat.count("Ferns") == 0
    stage.brain.release()
    chat.hears(ANSWER)
    assert (chat.count("Ferns"), telegram.emulator.draft(chat.person.id)) == (1, None)
    assert [line["content"] for line in stage.lines() if "Ferns" in line["content"]] == [ANSWER]


def test_a_worker_that_dies_in_the_middle_answers_once(stage: Stage, telegram: Telegram) -> None:
    """The next process says the whole answer, once; of the first half nothing is left."""
    chat = asks(stage, telegram)
    worker(stage.daemon, stage.id).kill()
    chat.hears(ANSWER)
    chat.write("thank you")
    chat.hears("thank you")
    assert (chat.count("Ferns"), telegram.emulator.draft(chat.person.id)) == (1, None)
    assert [line["content"] for line in stage.lines() if "Ferns" in line["content"]] == [ANSWER]


@pytest.mark.parametrize("way", ["/hush", "button"])
def test_hush(stage: Stage, telegram: Telegram, way: str) -> None:
    """By command or by Telegram's own button: the person keeps what she said so far, as one message."""
    chat = asks(stage, telegram)
    if way == "button":
        chat.person.stop_draft()
    else:
        chat.write(way)
    chat.hears(HALF)
    chat.write("thank you")
    chat.hears("thank you")
    assert (chat.count("Ferns"), chat.count("evening")) == (1, 0)
    assert telegram.emulator.draft(chat.person.id) is None
