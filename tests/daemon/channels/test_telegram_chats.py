"""What is peculiar to Telegram's chats, from the person's message to the answer: edits, live locations, topics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.daemon.channels.stage import Stage
from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.scripted import ScriptedMind
from tests.providers import Telegram, TelegramChat


@pytest.fixture
def stage(shared_daemon: DaemonProcess, brain: ScriptedMind, telegram: Telegram) -> Iterator[Stage]:
    """A persona with a Telegram bot."""
    with Stage(shared_daemon, brain, telegram) as stage:
        yield stage


class Chat:
    """A paired person's chat, in which any update can arrive. Any: fields of the Bot API."""

    def __init__(self, stage: Stage, telegram: Telegram) -> None:
        paired = stage.paired()
        assert isinstance(paired, TelegramChat)
        self.paired = paired
        self._world = telegram.emulator.world
        self._bot = self._world.bots[stage.token]

    def push(self, kind: str, **fields: Any) -> None:
        """Let an update with this message arrive."""
        person = self.paired.person
        sender = {"id": person.id, "is_bot": False, "first_name": "A"}
        message = {"message_id": 9001, "date": 1_700_000_000, "chat": person.chat.as_json(), "from": sender, **fields}
        self._world.push(self._bot, kind, message)


def test_edits_and_steps_are_not_answered(stage: Stage, telegram: Telegram) -> None:
    """An edit that changed nothing and the steps of a live location get no answer; a correction does."""
    chat = Chat(stage, telegram)
    chat.push("message", text="tea at 5")
    chat.paired.hears("tea at 5")
    chat.push("edited_message", text="tea at 5", edit_date=1_700_000_009)
    place = {"latitude": 1.0, "longitude": 2.0, "live_period": 900}
    chat.push("message", message_id=9002, location=place)
    chat.paired.hears("latitude 1.0")
    for latitude in (2.0, 3.0):
        moved = {**place, "latitude": latitude}
        chat.push("edited_message", message_id=9002, location=moved, edit_date=1_700_000_010)
    before = len(chat.paired.texts())
    chat.push("edited_message", text="tea at 6", edit_date=1_700_000_011)
    chat.paired.hears("tea at 6")
    assert len(chat.paired.texts()) == before + 1
    theirs = [line["content"] for line in stage.lines() if line["role"] == "person"]
    known = [content for content in theirs if "live location is now" in content]
    assert known == ["(The person's live location is now: latitude 3.0, longitude 2.0.)"]


def test_a_topic_is_answered_in_the_topic(stage: Stage, telegram: Telegram) -> None:
    """The owner's topics are hers to answer, each where it was written, and nobody else's."""
    chat = Chat(stage, telegram)
    person = chat.paired.person
    person.chat.topics.add(77)
    chat.push("message", text="in a topic", message_thread_id=77, is_topic_message=True)
    chat.paired.hears("in a topic")

    def topic() -> list[Any]:
        sent = telegram.emulator.sent(person.id)
        return [one.get("message_thread_id") for one in sent if "in a topic" in one["text"]]

    assert wait_for(topic, "the answer") == [77]
    assert stage.channel()["strangers"] == 0
