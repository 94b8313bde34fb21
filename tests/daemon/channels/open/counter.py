"""A counter that is open to anybody: one persona, her open Telegram channel, and its visitors."""

from __future__ import annotations

import itertools
from typing import Any, Final, cast

from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.scripted import ScriptedMind
from tests.observed import status
from tests.providers import Telegram, TelegramChat

_numbers: Final = itertools.count(1)


class Counter:
    """A persona whose mind is ``brain`` and who answers anybody. Any in this class: JSON of the API."""

    def __init__(self, daemon: DaemonProcess, brain: ScriptedMind, telegram: Telegram) -> None:
        self.daemon = daemon
        self.brain = brain
        self.telegram = telegram
        self.brain.answer = lambda _: None
        self.id = daemon.create(
            f"Eve{next(_numbers)}",
            thinking_model="m",
            thinking_provider="openai",
            thinking_api_key="k",
            thinking_url=brain.url,
        )
        self.token = ""
        self.channel = ""

    def __enter__(self) -> Counter:
        return self

    def __exit__(self, *_: object) -> None:
        self.daemon.http.post(f"/api/persona/{self.id}/delete")

    def open(self, **fields: object) -> str:
        """Make the channel, wait until it is connected, and return its id."""
        self.token = self.telegram.add_bot(f"counter{next(_numbers)}")
        body = {"name": "Counter", "channelType": "telegram", "botToken": self.token, "systemPromptId": self.id}
        answer = self.daemon.http.post("/v1/channels", json={**body, **fields})
        assert answer.status_code in (200, 201), answer.text
        self.channel = answer.json()["id"]
        self.connected()
        return self.channel

    def post(self, verb: str) -> dict[str, Any]:
        """Call a route of the channel."""
        answer = self.daemon.http.post(f"/v1/channels/{self.channel}/{verb}")
        assert answer.status_code == 200, answer.text
        return cast("dict[str, Any]", answer.json())

    def shown(self) -> dict[str, Any]:
        """The channel as /v1 shows it."""
        answer = self.daemon.http.get(f"/v1/channels/{self.channel}")
        assert answer.status_code == 200, answer.text
        return cast("dict[str, Any]", answer.json())

    def visitor(self, name: str) -> TelegramChat:
        """A new person in a private chat with the bot."""
        return self.telegram.chat(self.token, name)

    def visitors(self, count: int) -> list[TelegramChat]:
        """``count`` new people."""
        return [self.visitor(f"guest{next(_numbers)}") for _ in range(count)]

    def view(self) -> dict[str, Any]:
        """Her part of the status."""
        return status(self.daemon, self.id)

    def health(self) -> dict[str, Any]:
        """The health of her first channel."""
        first = self.view()["channels"][0]
        assert isinstance(first, dict)
        return first

    def connected(self) -> None:
        """Wait until all her channels are connected."""
        wait_for(lambda: {one["state"] for one in self.view()["channels"]} == {"connected"}, "her channels")

    def conversations(self) -> list[dict[str, Any]]:
        """The channel's conversations."""
        answer = self.daemon.http.get(f"/v1/channels/{self.channel}/conversations", params={"limit": 100})
        return cast("list[dict[str, Any]]", answer.json()["items"])

    def said(self, chat: str) -> list[tuple[str, str]]:
        """A conversation's messages, oldest first: (role, content)."""
        path = f"/v1/channels/{self.channel}/conversations/{chat}/messages"
        items = self.daemon.http.get(path, params={"limit": 100}).json()["items"]
        return [(item["role"], item["content"]) for item in reversed(items)]

    def lines(self) -> list[dict[str, Any]]:
        """Her owner's conversation."""
        return self.daemon.conversation(self.id)
